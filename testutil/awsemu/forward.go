package awsemu

import (
	"cmp"
	"errors"
	"fmt"
)

// decrypt is the use of the secret's key to read a value. It comes after the
// state was looked at: a version that is not there is not decrypted.
func (e *Emulator) decrypt(r *request, s *Secret, version string) error {
	switch {
	case r.fault.DenyKMS:
		return errNoAccessToKMS()
	case r.fault.DecryptionFailure:
		return errDecryption()
	}
	v := s.version(version)
	if v == nil || v.key == "" || v.key == cmp.Or(s.KMSKeyID, defaultAlias) {
		return e.forward(r, s, "Decrypt", version)
	}
	old := *s
	old.KMSKeyID = v.key
	err := e.forward(r, &old, "Decrypt", version)
	if code(err) == codeDenied {
		return refuse(codeDenied, "Access to KMS is not allowed. This version of secret is not encrypted with the "+
			"current KMS key.")
	}
	return err
}

// encrypt is the use of the secret's key to write a value.
func (e *Emulator) encrypt(r *request, s *Secret, version string) error {
	switch {
	case r.fault.DenyKMS:
		return errNoAccessToKMS()
	case r.fault.EncryptionFailure:
		return errEncryption()
	}
	return e.forward(r, s, "GenerateDataKey", version)
}

// tryKey is what the service does when a secret gets another key: both uses, with
// a version id that stands for the trial.
func (e *Emulator) tryKey(r *request, s *Secret) error {
	if s.KMSKeyID == "" {
		return nil
	}
	const trial = "RequestToValidateKeyAccess"
	if err := e.forward(r, s, "GenerateDataKey", trial); err != nil {
		return err
	}
	return e.forward(r, s, "Decrypt", trial)
}

// forward is a call to KMS that Secrets Manager makes in the caller's name. Of a
// refusal the caller learns only that there was one. That a key in a bad state
// surfaces as DecryptionFailure or EncryptionFailure is documented (KM-031, KM-033 of
// docs/aws-facts.md).
func (e *Emulator) forward(r *request, s *Secret, operation, version string) error {
	if r.caller == nil && len(e.keys) == 0 {
		return nil
	}
	id := cmp.Or(s.KMSKeyID, defaultAlias)
	at := s.home()
	if at.account != r.call.Account {
		if id == defaultAlias {
			return refuse(codeInvalidRequest, "You can't access a secret from a different AWS account if you encrypt "+
				"the secret with the default KMS service key.")
		}
		at.account = r.call.Account // where a bare id or an alias is looked up
	}
	k, err := e.findKey(at, id)
	if err == nil {
		context := map[string]string{"SecretARN": s.ARN, "SecretVersionId": version}
		if e.allowKey(r, k, operation, context, true) != nil {
			return errNoAccessToKMS()
		}
		err = k.usable()
	}
	var kms *apiError
	if err == nil || !errors.As(err, &kms) {
		return err
	}
	said := fmt.Sprintf("%s (Service: AWSKMS; Status Code: %d; Error Code: %s; Request ID: %s; Proxy: null)",
		kms.Message, kms.Status, kms.Code, newUUID())
	if operation == "Decrypt" {
		return refuse(codeDecryption, "Secrets Manager can't decrypt the secret value: %s", said)
	}
	return refuse(codeEncryption, "Secrets Manager can't encrypt the secret value: %s", said)
}

func errNoAccessToKMS() error { return refuse(codeDenied, "Access to KMS is not allowed") }

func errDecryption() error {
	return refuse(codeDecryption, "Secrets Manager can't decrypt the protected secret text using the provided KMS key.")
}

func errEncryption() error {
	return refuse(codeEncryption, "Secrets Manager can't encrypt the protected secret text using the provided KMS "+
		"key. Check that the KMS key is available, enabled, and not in an invalid state.")
}
