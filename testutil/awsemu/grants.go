package awsemu

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/quarterturn-dev/quarterturn/rotator/iam"
)

type grantConstraints struct {
	EncryptionContextSubset map[string]string `json:",omitempty"`
	EncryptionContextEquals map[string]string `json:",omitempty"`
}

type createGrantInput struct {
	KeyId             string   `check:"required len=1-2048"`
	GranteePrincipal  string   `check:"required len=1-256"`
	RetiringPrincipal string   `check:"len=1-256"`
	Operations        []string `check:"required len=1-20 each:enum=Decrypt|Encrypt|GenerateDataKey|GenerateDataKeyWithoutPlaintext|ReEncryptFrom|ReEncryptTo|CreateGrant|RetireGrant|DescribeKey|GenerateDataKeyPair|GenerateDataKeyPairWithoutPlaintext|Sign|Verify|GetPublicKey|GenerateMac|VerifyMac|DeriveSharedSecret"`
	Constraints       *grantConstraints
	Name              string `check:"len=1-256"`
	DryRun            bool
}

// createGrant takes effect at once; the service may take minutes, for which it has
// grant tokens.
func (e *Emulator) createGrant(r *request, in *createGrantInput) (any, error) {
	k, err := e.key(r, in.KeyId, nil)
	if err = cmp.Or(err, usable(k), dryRun(in.DryRun)); err != nil {
		return nil, err
	}
	g := Grant{Name: in.Name, Retiring: in.RetiringPrincipal,
		Grant: iam.Grant{Grantee: in.GranteePrincipal, Operations: in.Operations}}
	if c := in.Constraints; c != nil {
		g.EncryptionContextSubset, g.EncryptionContextEquals = c.EncryptionContextSubset, c.EncryptionContextEquals
	}
	k.granted++
	g.ID = grantID(k.ID, k.granted)
	k.Grants = append(k.Grants, g)
	return struct{ GrantId, GrantToken string }{g.ID, g.ID}, nil
}

type listGrantsInput struct {
	KeyId            string `check:"required len=1-2048"`
	GrantId          string `check:"len=1-128"`
	GranteePrincipal string `check:"len=1-256"`
	Limit            int64  `check:"min=1 max=1000"`
	Marker           string `check:"len=1-1024"`
}

type grantEntry struct {
	KeyId             string
	GrantId           string
	Name              string `json:",omitempty"`
	GranteePrincipal  string
	RetiringPrincipal string `json:",omitempty"`
	IssuingAccount    string
	Operations        []string
	Constraints       *grantConstraints `json:",omitempty"`
}

type listGrantsOutput struct {
	Grants    []grantEntry
	Truncated bool
}

// listGrants answers on one page.
func (e *Emulator) listGrants(r *request, in *listGrantsInput) (any, error) {
	k, err := e.key(r, in.KeyId, nil)
	if err != nil {
		return nil, err
	}
	out := listGrantsOutput{Grants: []grantEntry{}}
	for _, g := range k.Grants {
		if in.GrantId != "" && g.ID != in.GrantId || in.GranteePrincipal != "" && g.Grantee != in.GranteePrincipal {
			continue
		}
		entry := grantEntry{
			KeyId: k.ARN, GrantId: g.ID, Name: g.Name, GranteePrincipal: g.Grantee, RetiringPrincipal: g.Retiring,
			IssuingAccount: "arn:aws:iam::" + k.Account + ":root", Operations: g.Operations,
		}
		if g.EncryptionContextEquals != nil || g.EncryptionContextSubset != nil {
			entry.Constraints = &grantConstraints{g.EncryptionContextSubset, g.EncryptionContextEquals}
		}
		out.Grants = append(out.Grants, entry)
	}
	return out, nil
}

type revokeGrantInput struct {
	KeyId   string `check:"required len=1-2048"`
	GrantId string `check:"required len=1-128"`
	DryRun  bool
}

func (e *Emulator) revokeGrant(r *request, in *revokeGrantInput) (any, error) {
	k, err := e.key(r, in.KeyId, nil)
	if err != nil {
		return nil, err
	}
	i := k.grant(in.GrantId)
	if i < 0 {
		return nil, refuse(codeKeyNotFound, "Grant ID %s not found", in.GrantId)
	}
	return struct{}{}, k.endGrant(i, in.DryRun)
}

type retireGrantInput struct {
	GrantToken string `check:"len=1-8192"`
	KeyId      string `check:"len=1-2048"`
	GrantId    string `check:"len=1-128"`
	DryRun     bool
}

// retireGrant is for the principal that the grant names, who needs no policy, and
// for whom policies allow it. A grant's token is its id here.
func (e *Emulator) retireGrant(r *request, in *retireGrantInput) (any, error) {
	k, i := e.grantOf(r, in)
	if i < 0 {
		if in.GrantToken != "" {
			return nil, refuse(codeGrantToken, "The grant token does not belong to a grant.")
		}
		return nil, refuse(codeKeyNotFound, "Grant ID %s not found", in.GrantId)
	}
	retiring := k.Grants[i].Retiring
	if r.caller == nil || retiring == "" || retiring != r.caller.Principal.ARN && retiring != r.caller.Principal.Role {
		if err := e.allowKey(r, k, "RetireGrant", nil, false); err != nil {
			return nil, err
		}
	}
	return struct{}{}, k.endGrant(i, in.DryRun)
}

func (e *Emulator) grantOf(r *request, in *retireGrantInput) (*Key, int) {
	if in.GrantToken == "" {
		k, err := e.findKey(r.call.home(), in.KeyId)
		if err != nil {
			return nil, -1
		}
		return k, k.grant(in.GrantId)
	}
	for _, keys := range e.keys {
		for _, k := range keys {
			if i := k.grant(in.GrantToken); i >= 0 {
				return k, i
			}
		}
	}
	return nil, -1
}

func (k *Key) grant(id string) int {
	return slices.IndexFunc(k.Grants, func(g Grant) bool { return g.ID == id })
}

// grantID is the same in every run.
func grantID(key string, n int) string {
	return fmt.Sprintf("%x", sha256.Sum256(fmt.Appendf(nil, "%s/%d", key, n)))
}

func (k *Key) endGrant(i int, dry bool) error {
	if err := dryRun(dry); err != nil {
		return err
	}
	k.Grants = slices.Delete(k.Grants, i, i+1)
	return nil
}
