package awsemu

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator/iam"
)

// States of a key. The service has more, all of them unusable.
const (
	keyEnabled         = "Enabled"
	keyDisabled        = "Disabled"
	keyPendingDeletion = "PendingDeletion"
	keyPendingImport   = "PendingImport"
	keyUnavailable     = "Unavailable"
)

// defaultAlias is the key of secrets that name none, managed by AWS.
const defaultAlias = "alias/aws/secretsmanager"

// Key is a KMS key. Once a key or a caller is there, every key that a secret names
// must be.
type Key struct {
	ID      string // "" in SeedKey: one that is the same in every run
	ARN     string // SeedKey makes it
	Account string // "": the Emulator's
	Region  string // "": the Emulator's

	Aliases     []string // "alias/app"
	Description string
	State       string // Enabled (""), Disabled, PendingDeletion, PendingImport, Unavailable
	Usage       string // "": ENCRYPT_DECRYPT, the only one that secrets can use
	MultiRegion bool
	Policy      string // JSON; "" in SeedKey: the default policy, which delegates to the account
	Grants      []Grant
	Tags        map[string]string
	Created     time.Time // zero in SeedKey: now
	Deletion    time.Time // when a key that is PendingDeletion goes

	managed bool // by AWS
	granted int  // how many grants there ever were
}

// Grant is a grant on a key.
type Grant struct {
	ID       string // "" in SeedKey: one that is the same in every run
	Name     string
	Retiring string // the principal that may retire it
	iam.Grant
}

// SeedKey puts a key in the given state, in place of the one with its id, and
// returns its ARN. It panics when the policy does not parse.
func (e *Emulator) SeedKey(k Key) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	k = k.clone()
	k.Account, k.Region = cmp.Or(k.Account, e.account()), cmp.Or(k.Region, e.region())
	at := home{k.Account, k.Region}
	if k.ID == "" {
		k.ID = fmt.Sprintf("10000000-0000-4000-8000-%012d", len(e.keys[at])+1)
	}
	k.ARN = "arn:aws:kms:" + k.Region + ":" + k.Account + ":key/" + k.ID
	k.State, k.Usage = cmp.Or(k.State, keyEnabled), cmp.Or(k.Usage, "ENCRYPT_DECRYPT")
	k.Policy = cmp.Or(k.Policy, defaultKeyPolicy(k.Account))
	k.Created = cmp.Or(k.Created, e.now())
	for i := range k.Grants {
		k.Grants[i].ID = cmp.Or(k.Grants[i].ID, grantID(k.ID, i+1))
	}
	k.granted = len(k.Grants)
	if _, err := iam.Parse(k.Policy); err != nil {
		panic("awsemu: SeedKey: " + err.Error())
	}
	e.addKey(k)
	return k.ARN
}

// KeySnapshot is a copy of a key's state, found by ARN, id or alias; account and
// Region are the ARN's, or the Emulator's. The zero Key if there is none.
func (e *Emulator) KeySnapshot(id string) Key {
	e.mu.Lock()
	defer e.mu.Unlock()
	k, err := e.findKey(e.homeOf(id), id)
	if err != nil {
		return Key{}
	}
	return k.clone()
}

func (k Key) clone() Key {
	k.Aliases, k.Grants, k.Tags = slices.Clone(k.Aliases), slices.Clone(k.Grants), maps.Clone(k.Tags)
	return k
}

func (e *Emulator) addKey(k Key) *Key {
	if e.keys == nil {
		e.keys = map[home][]*Key{}
	}
	at := home{k.Account, k.Region}
	e.keys[at] = slices.DeleteFunc(e.keys[at], func(old *Key) bool { return old.ID == k.ID })
	e.keys[at] = append(e.keys[at], &k)
	return &k
}

// findKey looks a key up by id, key ARN, alias or alias ARN. A key of another
// account goes by an ARN only.
func (e *Emulator) findKey(at home, id string) (*Key, error) {
	name := id
	if strings.HasPrefix(id, "arn:") {
		if region := arnPart(id, 3); region != at.region {
			return nil, refuse(codeKeyNotFound, "Invalid arn %s", region)
		}
		at.account, name = arnAccount(id), strings.TrimPrefix(arnPart(id, 5), "key/")
	}
	for _, k := range e.keys[at] {
		if k.ID == name || slices.Contains(k.Aliases, name) {
			return k, nil
		}
	}
	arn := "arn:aws:kms:" + at.region + ":" + at.account + ":"
	switch {
	case name == defaultAlias: // made when it is first used
		return e.addKey(managedKey(at, e.now())), nil
	case strings.HasPrefix(name, "alias/"):
		return nil, refuse(codeKeyNotFound, "Alias %s is not found.", arn+name)
	}
	if !keyID.MatchString(name) {
		return nil, refuse(codeKeyNotFound, "Invalid keyId '%s'", name)
	}
	return nil, refuse(codeKeyNotFound, "Key '%s' does not exist", arn+"key/"+name)
}

// keyID is what the id of a key looks like; of another shape, no key is looked for.
var keyID = regexp.MustCompile(`^(mrk-[0-9a-f]{32}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})$`)

func managedKey(at home, now time.Time) Key {
	const id = "00000000-0000-4000-8000-000000000000"
	return Key{
		ID: id, ARN: "arn:aws:kms:" + at.region + ":" + at.account + ":key/" + id, Account: at.account,
		Region: at.region, Aliases: []string{defaultAlias},
		Description: "Protects the secrets that name no key of their own", State: keyEnabled, Usage: "ENCRYPT_DECRYPT",
		Policy: managedKeyPolicy(at), Created: now, managed: true,
	}
}

// defaultKeyPolicy is the one that KMS gives to a key made without any: it leaves
// the decision to the account's identity policies.
func defaultKeyPolicy(account string) string {
	return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Sid":"DelegateToAccount","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::%s:root"},"Action":"kms:*","Resource":"*"}]}`, account)
}

// managedKeyPolicy lets everybody of the account in through Secrets Manager, and
// nobody directly but to look at the key's metadata. Nobody can change it.
func managedKeyPolicy(at home) string {
	return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Sid":"ThroughSecretsManager","Effect":"Allow","Principal":{"AWS":"*"},"Action":["kms:Encrypt","kms:Decrypt","kms:ReEncrypt*","kms:GenerateDataKey*","kms:CreateGrant","kms:DescribeKey"],"Resource":"*","Condition":{"StringEquals":{"kms:CallerAccount":"%s","kms:ViaService":"%s"}}},{"Sid":"Metadata","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::%s:root"},"Action":["kms:Describe*","kms:Get*","kms:List*"],"Resource":"*"}]}`,
		at.account, viaService(at.region), at.account)
}

func viaService(region string) string { return secretsManagerName + "." + region + ".amazonaws.com" }

// usable says why a key cannot be used, if it cannot.
func (k *Key) usable() error {
	switch {
	case k.State == keyDisabled:
		return refuse(codeKeyDisabled, "%s is disabled.", k.ARN)
	case k.State == keyPendingDeletion:
		return refuse(codeKeyState, "%s is pending deletion.", k.ARN)
	case k.State == keyPendingImport:
		return refuse(codeKeyState, "%s is pending import.", k.ARN)
	case k.State != keyEnabled:
		return refuse(codeKeyState, "%s is unavailable.", k.ARN)
	case k.Usage != "ENCRYPT_DECRYPT":
		return refuse(codeKeyUsage, "%s key usage is %s which is not valid for this operation.", k.ARN, k.Usage)
	}
	return nil
}

// allowKey asks the key policy, its grants and the caller's policies. context is
// the encryption context; via says that Secrets Manager makes the call.
func (e *Emulator) allowKey(r *request, k *Key, operation string, context map[string]string, via bool) error {
	if r.caller == nil {
		return nil
	}
	policy, err := iam.Parse(k.Policy)
	if err != nil {
		return refuse(codeInternal, "The key's policy does not parse: %s", err)
	}
	q := query{
		action: "kms:" + operation, resource: k.ARN, account: k.Account, via: via,
		context: keyContext(k, r.caller.Principal.Account, context),
		key:     &iam.KeyPolicy{Policy: iam.NamedPolicy{Name: k.ARN, Policy: policy}},
	}
	if via {
		q.context["kms:ViaService"] = []string{viaService(k.Region)}
	}
	for _, g := range k.Grants {
		q.key.Grants = append(q.key.Grants, g.Grant)
	}
	return e.allow(r, q)
}

func keyContext(k *Key, caller string, encryption map[string]string) iam.Context {
	c := iam.Context{"kms:CallerAccount": {caller}}
	for name, value := range encryption {
		c["kms:EncryptionContext:"+name] = []string{value}
	}
	if len(encryption) > 0 {
		c["kms:EncryptionContextKeys"] = slices.Sorted(maps.Keys(encryption))
	}
	if k.Aliases != nil {
		c["kms:ResourceAliases"] = k.Aliases
	}
	for name, value := range k.Tags {
		c["aws:ResourceTag/"+name] = []string{value}
	}
	return c
}
