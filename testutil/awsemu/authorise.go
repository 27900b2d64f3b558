package awsemu

import "strings"

// authorise decides on a request before the state is looked at, as the service
// does: a caller without the right learns nothing, not even that a secret exists.
// Today only Fault denies; the evaluation of policies belongs here.
func (e *Emulator) authorise(r *request) error {
	if !r.fault.Deny {
		return nil
	}
	action := targetPrefix + r.call.Operation
	action = strings.Replace(action, ".", ":", 1)
	return refuse(codeDenied, "User: arn:aws:sts::%s:assumed-role/caller/%s is not authorized to perform: %s on resource: %s because no identity-based policy allows the %s action",
		e.account(), r.call.AccessKey, action, e.resource(r.call), action)
}

// resource is the ARN that a denial names: the secret's, or what it would be.
func (e *Emulator) resource(c Call) string {
	switch rec, err := e.find(c.Region, c.SecretID); {
	case c.SecretID == "":
		return "*"
	case err == nil:
		return rec.secret.ARN
	case strings.HasPrefix(c.SecretID, "arn:"):
		return c.SecretID
	}
	return e.arn(c.Region, c.SecretID)
}

// decrypt is the use of the secret's key to read a value. It comes after the
// state was looked at: a version that is not there is not decrypted.
func (r *request) decrypt() error {
	switch {
	case r.fault.DenyKMS:
		return refuse(codeDenied, "Access to KMS is not allowed")
	case r.fault.DecryptionFailure:
		return refuse(codeDecryption, "Secrets Manager can't decrypt the protected secret text using the provided KMS key.")
	}
	return nil
}

// encrypt is the use of the secret's key to write a value.
func (r *request) encrypt() error {
	switch {
	case r.fault.DenyKMS:
		return refuse(codeDenied, "Access to KMS is not allowed")
	case r.fault.EncryptionFailure:
		return refuse(codeEncryption, "Secrets Manager can't encrypt the protected secret text using the provided KMS key. Check that the KMS key is available, enabled, and not in an invalid state.")
	}
	return nil
}
