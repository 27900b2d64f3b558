package awsemu

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator/iam"
)

// keyManagement is KMS: its operations on a key that is there, with symmetric keys.
var keyManagement = service{
	name:   "kms",
	target: "TrentService.",
	codes:  map[string]string{codeInternal: "KMSInternalException"},
	operations: map[string]operation{
		"CancelKeyDeletion":   op((*Emulator).cancelKeyDeletion),
		"CreateAlias":         op((*Emulator).createAlias),
		"CreateGrant":         op((*Emulator).createGrant),
		"CreateKey":           op((*Emulator).createKey),
		"Decrypt":             op((*Emulator).decryptDataKey),
		"DescribeKey":         op((*Emulator).describeKey),
		"DisableKey":          op((*Emulator).disableKey),
		"EnableKey":           op((*Emulator).enableKey),
		"GenerateDataKey":     op((*Emulator).generateDataKey),
		"GetKeyPolicy":        op((*Emulator).getKeyPolicy),
		"ListAliases":         op((*Emulator).listAliases),
		"ListGrants":          op((*Emulator).listGrants),
		"PutKeyPolicy":        op((*Emulator).putKeyPolicy),
		"RetireGrant":         op((*Emulator).retireGrant),
		"RevokeGrant":         op((*Emulator).revokeGrant),
		"ScheduleKeyDeletion": op((*Emulator).scheduleKeyDeletion),
	},
}

// sharedOperations work on a key of another account.
var sharedOperations = []string{"CreateGrant", "Decrypt", "DescribeKey", "GenerateDataKey", "ListGrants", "RetireGrant",
	"RevokeGrant"}

// key finds the key that a request is about, and asks whether the caller may do
// what it asks. The key's state comes after.
func (e *Emulator) key(r *request, id string, encryption map[string]string) (*Key, error) {
	k, err := e.findKey(r.call.home(), id)
	if err != nil {
		return nil, err
	}
	operation := r.call.Operation
	if k.Account != r.call.Account && !slices.Contains(sharedOperations, operation) {
		return nil, refuse(codeDenied, "%s is not possible on a key of another account.", operation)
	}
	return k, e.allowKey(r, k, operation, encryption, false)
}

// dryRun is the answer to a request that would have succeeded.
func dryRun(asked bool) error {
	if asked {
		return refuse(codeDryRun, "The request would have succeeded, but the DryRun option is set.")
	}
	return nil
}

// Inputs have every member of the service model, also those that change nothing here, so that one of another type is
// refused.
type keyInput struct {
	KeyId       string   `check:"required len=1-2048"`
	GrantTokens []string `check:"len=0-10 each:len=1-8192"`
	PolicyName  string   `check:"len=1-128"`
}

// recipient is a Nitro enclave.
type recipient struct {
	KeyEncryptionAlgorithm string
	AttestationDocument    []byte
}

type keyMetadata struct {
	AWSAccountId          string
	KeyId                 string
	Arn                   string
	CreationDate          stamp
	DeletionDate          stamp `json:",omitzero"`
	Enabled               bool
	Description           string
	KeyUsage              string
	KeyState              string
	Origin                string
	KeyManager            string
	KeySpec               string
	CustomerMasterKeySpec string // the old name of KeySpec, still sent
	CurrentKeyMaterialId  string `json:",omitempty"`
	EncryptionAlgorithms  []string
	MultiRegion           bool
}

func (e *Emulator) describeKey(r *request, in *keyInput) (any, error) {
	k, err := e.key(r, in.KeyId, nil)
	if err != nil {
		return nil, err
	}
	return k.metadata(), nil
}

// allowWithoutKey asks about an operation on no key, which is the account's policies' to decide.
func (e *Emulator) allowWithoutKey(r *request) error {
	policy, err := iam.Parse(defaultKeyPolicy(r.call.Account))
	if err != nil {
		return err
	}
	return e.allow(r, query{action: "kms:" + r.call.Operation, resource: "*", account: r.call.Account,
		key: &iam.KeyPolicy{Policy: iam.NamedPolicy{Policy: policy}}})
}

type createKeyInput struct {
	Description string `check:"len=0-8192"`
	Policy      string `check:"len=1-131072"`
	MultiRegion bool
}

// createKey makes a symmetric key for encryption, whatever else is asked.
func (e *Emulator) createKey(r *request, in *createKeyInput) (any, error) {
	if err := e.allowWithoutKey(r); err != nil {
		return nil, err
	}
	at := r.call.home()
	if in.Policy == "" {
		in.Policy = defaultKeyPolicy(at.account)
	} else if _, err := iam.ParseResource(in.Policy); err != nil {
		return nil, refuse(codeMalformedPolicy, "The new key policy is not well formed: %s", err)
	}
	id := newUUID()
	k := e.addKey(Key{ID: id, ARN: "arn:aws:kms:" + at.region + ":" + at.account + ":key/" + id, Account: at.account,
		Region: at.region, Description: in.Description, State: keyEnabled, Usage: "ENCRYPT_DECRYPT", Policy: in.Policy,
		MultiRegion: in.MultiRegion, Created: r.now})
	return k.metadata(), nil
}

type createAliasInput struct {
	AliasName   string `check:"required len=1-256"`
	TargetKeyId string `check:"required len=1-2048"`
}

func (e *Emulator) createAlias(r *request, in *createAliasInput) (any, error) {
	k, err := e.key(r, in.TargetKeyId, nil)
	if err != nil {
		return nil, err
	}
	if name, ok := strings.CutPrefix(in.AliasName, "alias/"); !ok || name == "" || strings.HasPrefix(name, "aws/") {
		return nil, refuse(codeValidation, "Alias must start with the prefix \"alias/\", and not with \"alias/aws/\".")
	}
	if other, err := e.findKey(r.call.home(), in.AliasName); err == nil {
		return nil, refuse("AlreadyExistsException", "An alias with the name %s already exists, of %s", in.AliasName,
			other.ARN)
	}
	k.Aliases = append(k.Aliases, in.AliasName)
	return struct{}{}, nil
}

type listAliasesInput struct {
	KeyId  string `check:"len=1-2048"`
	Limit  int64  `check:"min=1 max=100"`
	Marker string `check:"len=1-1024"`
}

func (e *Emulator) listAliases(r *request, in *listAliasesInput) (any, error) {
	if err := e.allowWithoutKey(r); err != nil {
		return nil, err
	}
	type alias struct{ AliasName, AliasArn, TargetKeyId string }
	list := []alias{}
	at := r.call.home()
	for _, k := range e.keys[at] {
		for _, name := range k.Aliases {
			if in.KeyId == "" || in.KeyId == k.ID || in.KeyId == k.ARN {
				list = append(list, alias{name, "arn:aws:kms:" + at.region + ":" + at.account + ":" + name, k.ID})
			}
		}
	}
	list, next, err := page(list, in.Marker, int(in.Limit), 50)
	return struct {
		Aliases    []alias
		NextMarker string `json:",omitempty"`
		Truncated  bool
	}{list, next, next != ""}, err
}

func (k *Key) metadata() any {
	m := keyMetadata{
		AWSAccountId: k.Account, KeyId: k.ID, Arn: k.ARN, CreationDate: stamp{k.Created},
		DeletionDate: stamp{k.Deletion}, Enabled: k.State == keyEnabled, Description: k.Description, KeyUsage: k.Usage,
		KeyState: k.State, Origin: "AWS_KMS", KeyManager: "CUSTOMER", KeySpec: "SYMMETRIC_DEFAULT",
		EncryptionAlgorithms: []string{"SYMMETRIC_DEFAULT"}, MultiRegion: k.MultiRegion,
		CustomerMasterKeySpec: "SYMMETRIC_DEFAULT", CurrentKeyMaterialId: k.material(),
	}
	if k.managed {
		m.KeyManager = "AWS"
	}
	if k.State == keyPendingImport {
		m.Origin, m.CurrentKeyMaterialId = "EXTERNAL", ""
	}
	return struct{ KeyMetadata keyMetadata }{m}
}

type keyPolicyOutput struct{ Policy, PolicyName string }

func (e *Emulator) getKeyPolicy(r *request, in *keyInput) (any, error) {
	k, err := e.key(r, in.KeyId, nil)
	if err != nil {
		return nil, err
	}
	return keyPolicyOutput{k.Policy, "default"}, nil
}

type putKeyPolicyInput struct {
	KeyId  string `check:"required len=1-2048"`
	Policy string `check:"required len=1-131072"`
}

// putKeyPolicy does without the service's check that the caller can still change
// the policy afterwards.
func (e *Emulator) putKeyPolicy(r *request, in *putKeyPolicyInput) (any, error) {
	k, err := e.key(r, in.KeyId, nil)
	if err != nil {
		return nil, err
	}
	if _, err := iam.ParseResource(in.Policy); err != nil {
		return nil, refuse(codeMalformedPolicy, "The new key policy is not well formed: %s", err)
	}
	k.Policy = in.Policy
	return struct{}{}, nil
}

func (e *Emulator) enableKey(r *request, in *keyInput) (any, error) {
	return e.turnKey(r, in.KeyId, keyEnabled)
}

func (e *Emulator) disableKey(r *request, in *keyInput) (any, error) {
	return e.turnKey(r, in.KeyId, keyDisabled)
}

func (e *Emulator) turnKey(r *request, id, state string) (any, error) {
	k, err := e.key(r, id, nil)
	if err != nil {
		return nil, err
	}
	if k.State != keyEnabled && k.State != keyDisabled {
		return nil, k.usable()
	}
	k.State = state
	return struct{}{}, nil
}

type scheduleKeyDeletionInput struct {
	KeyId               string `check:"required len=1-2048"`
	PendingWindowInDays int64  `check:"min=7 max=30"`
}

type scheduleKeyDeletionOutput struct {
	KeyId               string
	DeletionDate        stamp
	KeyState            string
	PendingWindowInDays int64
}

// scheduleKeyDeletion makes a key unusable at once. When its day comes it stays so.
func (e *Emulator) scheduleKeyDeletion(r *request, in *scheduleKeyDeletionInput) (any, error) {
	k, err := e.key(r, in.KeyId, nil)
	if err != nil {
		return nil, err
	}
	if k.State == keyPendingDeletion {
		return nil, k.usable()
	}
	days := cmp.Or(in.PendingWindowInDays, 30)
	k.State, k.Deletion = keyPendingDeletion, r.now.Add(time.Duration(days)*24*time.Hour)
	return scheduleKeyDeletionOutput{k.ARN, stamp{k.Deletion}, k.State, days}, nil
}

func (e *Emulator) cancelKeyDeletion(r *request, in *keyInput) (any, error) {
	k, err := e.key(r, in.KeyId, nil)
	if err != nil {
		return nil, err
	}
	if k.State != keyPendingDeletion {
		return nil, refuse(codeKeyState, "%s is not pending deletion.", k.ARN)
	}
	k.State, k.Deletion = keyDisabled, time.Time{}
	return struct{ KeyId string }{k.ARN}, nil
}

// material is the id of a key's material, 64 hexadecimal digits, the same in every run.
func (k *Key) material() string { return fmt.Sprintf("%x", sha256.Sum256([]byte(k.ARN))) }

// dataKey is what a ciphertext of this emulator stands for: nothing is encrypted.
type dataKey struct {
	arn       string
	context   map[string]string
	plaintext Value
}

type generateDataKeyInput struct {
	KeyId             string `check:"required len=1-2048"`
	EncryptionContext map[string]string
	NumberOfBytes     int64  `check:"min=1 max=1024"`
	KeySpec           string `check:"enum=AES_256|AES_128"`
	GrantTokens       []string
	Recipient         *recipient
	DryRun            bool
}

type dataKeyOutput struct {
	CiphertextBlob      []byte `json:",omitempty"`
	Plaintext           []byte
	KeyId               string
	KeyMaterialId       string
	EncryptionAlgorithm string `json:",omitempty"`
}

func (e *Emulator) generateDataKey(r *request, in *generateDataKeyInput) (any, error) {
	size := cmp.Or(in.NumberOfBytes, map[string]int64{"AES_256": 32, "AES_128": 16}[in.KeySpec])
	if size == 0 || in.NumberOfBytes > 0 && in.KeySpec != "" {
		return nil, refuse(codeValidation, "Please specify either number of bytes or key spec.")
	}
	k, err := e.key(r, in.KeyId, in.EncryptionContext)
	if err = cmp.Or(err, usable(k), dryRun(in.DryRun)); err != nil {
		return nil, err
	}
	plain, name := make([]byte, size), make([]byte, 32)
	rand.Read(plain)
	rand.Read(name)
	if e.wrapped == nil {
		e.wrapped = map[string]dataKey{}
	}
	e.wrapped[string(name)] = dataKey{k.ARN, in.EncryptionContext, Binary(plain)}
	return dataKeyOutput{CiphertextBlob: name, Plaintext: plain, KeyId: k.ARN, KeyMaterialId: k.material()}, nil
}

type decryptInput struct {
	CiphertextBlob      []byte `check:"len=1-6144"`
	EncryptionContext   map[string]string
	EncryptionAlgorithm string `check:"enum=SYMMETRIC_DEFAULT|RSAES_OAEP_SHA_1|RSAES_OAEP_SHA_256|SM2PKE"`
	KeyId               string `check:"len=1-2048"`
	GrantTokens         []string
	Recipient           *recipient
	DryRun              bool
	DryRunModifiers     []string `check:"each:enum=IGNORE_CIPHERTEXT"`
}

// decryptDataKey opens what GenerateDataKey made here. A dry run that ignores the
// ciphertext asks about the permission alone, and needs no ciphertext.
func (e *Emulator) decryptDataKey(r *request, in *decryptInput) (any, error) {
	ignore := len(in.DryRunModifiers) > 0
	switch {
	case ignore && !in.DryRun:
		return nil, refuse(codeValidation, "DryRunModifiers can only be specified when DryRun is true.")
	case ignore && in.KeyId == "":
		return nil, refuse(codeValidation, "KeyId must be specified when the ciphertext is ignored.")
	case !ignore && len(in.CiphertextBlob) == 0:
		return nil, broken("ciphertextBlob", reflect.Value{}, "Member must not be null")
	}
	blob, known := e.wrapped[string(in.CiphertextBlob)]
	id := cmp.Or(in.KeyId, blob.arn)
	if id == "" {
		return nil, refuse(codeCiphertext, "")
	}
	k, err := e.key(r, id, in.EncryptionContext)
	if err = cmp.Or(err, usable(k)); err != nil {
		return nil, err
	}
	switch {
	case ignore:
		return nil, dryRun(true)
	case !known || !maps.Equal(blob.context, in.EncryptionContext):
		return nil, refuse(codeCiphertext, "")
	case blob.arn != k.ARN:
		return nil, refuse(codeKeyIncorrect, "The key ID in the request does not identify a CMK that can perform "+
			"this operation.")
	case in.DryRun:
		return nil, dryRun(true)
	}
	return dataKeyOutput{Plaintext: blob.plaintext.Reveal(), KeyId: k.ARN, KeyMaterialId: k.material(),
		EncryptionAlgorithm: "SYMMETRIC_DEFAULT"}, nil
}

// usable is the method for a key that may be nil, after an error.
func usable(k *Key) error {
	if k == nil {
		return nil
	}
	return k.usable()
}
