package awsstore_test

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/awsstore"
	"github.com/quarterturn-dev/quarterturn/rotator/iam"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
)

const (
	roleARN = "arn:aws:iam::123456789012:role/rotate"
	mayRead = `{"Effect":"Allow","Action":["secretsmanager:DescribeSecret","secretsmanager:GetSecretValue"],"Resource":"*"}`
	mayKey  = `{"Effect":"Allow","Action":["kms:Decrypt","kms:GenerateDataKey"],"Resource":"*"}`
	mayLook = `{"Effect":"Allow","Action":["secretsmanager:GetResourcePolicy","kms:DescribeKey","kms:GetKeyPolicy"],"Resource":"*"}`
	maySim  = `{"Effect":"Allow","Action":"iam:SimulatePrincipalPolicy","Resource":"*"}`
	toRoot  = `{"Sid":"Account","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:root"},"Action":"kms:*","Resource":"*"}`
)

func document(statements ...string) string {
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
}

// judged is a store whose caller is judged, and a secret under a key of its own.
func judged(t *testing.T, identity, secretPolicy, keyPolicy string, change func(*awsemu.Caller, *awsemu.Key)) (*awsstore.Store, string) {
	t.Helper()
	policy, err := iam.ParseIdentity(identity)
	if err != nil {
		t.Fatal(err)
	}
	caller := awsemu.Caller{
		AccessKey: "AKID", Principal: iam.Principal{ARN: "arn:aws:sts::123456789012:assumed-role/rotate/function", Role: roleARN},
		Identity: []iam.NamedPolicy{{Name: "RotationPolicy", Policy: policy}},
	}
	key := awsemu.Key{Aliases: []string{"alias/app"}, Policy: keyPolicy}
	if change != nil {
		change(&caller, &key)
	}
	emu := &awsemu.Emulator{Callers: []awsemu.Caller{caller}}
	server := httptest.NewServer(emu)
	t.Cleanup(func() { emu.Close(); server.Close() })
	emu.SeedKey(key)
	arn := emu.Seed(awsemu.Secret{Name: "app", KMSKeyID: "alias/app", Policy: secretPolicy, Versions: []awsemu.Version{
		{Labels: []string{"AWSCURRENT"}, Value: awsemu.Text(`{"password":"` + clear + `"}`)}}})
	cfg := config()
	cfg.BaseEndpoint = &server.URL
	return awsstore.New(cfg, ""), arn
}

// TestExplain: after a refusal, which statement decided and why, as far as the
// caller may look, and silence where it may not.
func TestExplain(t *testing.T) {
	t.Parallel()
	const (
		denyLabel = `{"Sid":"NoCurrent","Effect":"Deny","Principal":"*","Action":"secretsmanager:GetSecretValue","Resource":"*","Condition":{"StringEquals":{"secretsmanager:VersionStage":"AWSCURRENT"}}}`
		denyVia   = `{"Sid":"NotHere","Effect":"Deny","Principal":"*","Action":"kms:Decrypt","Resource":"*","Condition":{"StringEquals":{"kms:ViaService":"secretsmanager.us-east-1.amazonaws.com"}}}`
		noPut     = "secretsmanager:PutSecretValue"
	)
	boundary := func(c *awsemu.Caller, _ *awsemu.Key) {
		p, err := iam.ParseIdentity(document(mayRead, mayKey, mayLook, maySim))
		if err != nil {
			t.Fatal(err)
		}
		c.Boundary = &iam.NamedPolicy{Name: "Boundary", Policy: p}
	}
	read := func(s *awsstore.Store, arn string) error {
		_, err := s.Value(t.Context(), arn, rotator.VersionRef{Label: rotator.LabelCurrent})
		return err
	}
	put := func(s *awsstore.Store, arn string) error {
		return s.Put(t.Context(), rotator.PutInput{SecretID: arn, VersionID: awsemu.VersionID(9), Document: secret.Document{}.Set("a", "b")})
	}
	for _, c := range []struct {
		name, identity, secret, key string
		change                      func(*awsemu.Caller, *awsemu.Key)
		call                        func(*awsstore.Store, string) error
		label                       string
		want                        []string // one for each line: parts, with | in between
	}{
		{"a deny in the resource policy", document(mayRead, mayKey, mayLook), document(denyLabel), "", nil, read, rotator.LabelCurrent,
			[]string{`Our reading of the policies|"NoCurrent"|denies secretsmanager:GetSecretValue|the request carried AWSCURRENT|Not seen`}},
		{"a deny in the key policy", document(mayRead, mayKey, mayLook), "", document(toRoot, denyVia), nil, read, rotator.LabelCurrent,
			[]string{`key policy|"NotHere"|denies kms:Decrypt|kms:ViaService`}},
		{"a key policy that knows nobody", document(mayRead, mayKey, mayLook), "", document(strings.ReplaceAll(toRoot, "123456789012", "444455556666"), `{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:root"},"Action":["kms:DescribeKey","kms:GetKeyPolicy"],"Resource":"*"}`), nil, read, rotator.LabelCurrent,
			[]string{`no statement of the key policy and no grant allows|kms:Decrypt`}},
		{"the role lacks the key", document(mayRead, mayLook, maySim), "", document(toRoot), nil, read, rotator.LabelCurrent,
			[]string{`the key policy of arn:aws:kms:|does not stand in the way of kms:Decrypt`, `simulator|` + roleARN + `|kms:Decrypt is allowed by none of them`}},
		{"the role lacks the action", document(mayRead, mayKey, maySim), "", "", nil, put, "",
			[]string{`simulator|` + noPut + ` is allowed by none of them`}},
		{"an explicit deny of the role", document(mayRead, mayKey, maySim, `{"Effect":"Deny","Action":"secretsmanager:Put*","Resource":"*"}`), "", "", nil, put, "",
			[]string{`simulator|` + noPut + ` is explicitly denied, by RotationPolicy`}},
		{"a boundary", document(mayRead, mayKey, maySim, `{"Effect":"Allow","Action":"secretsmanager:Put*","Resource":"*"}`), "", "", boundary, put, "",
			[]string{`simulator|allowed by none of them; its permissions boundary does not allow it`}},
		{"nothing may be looked at", document(mayRead, mayKey), document(denyLabel), "", nil, read, rotator.LabelCurrent, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			store, arn := judged(t, c.identity, c.secret, c.key, c.change)
			err := c.call(store, arn)
			if !errors.Is(err, rotator.KindAccessDenied) {
				t.Fatalf("want a refusal, got %v", err)
			}
			lines := store.ExplainDenial(t.Context(), rotator.AccessDenied{SecretID: arn, Label: c.label, Err: err})
			if len(lines) != len(c.want) {
				t.Fatalf("%d lines, want %d: %q", len(lines), len(c.want), lines)
			}
			for i, line := range lines {
				for _, part := range strings.Split(c.want[i], "|") {
					if !strings.Contains(line, part) {
						t.Errorf("line %d lacks %q: %s", i+1, part, line)
					}
				}
			}
		})
	}
	t.Run("an error of another kind", func(t *testing.T) {
		t.Parallel()
		store, arn := judged(t, document(mayRead), "", "", nil)
		if lines := store.ExplainDenial(t.Context(), rotator.AccessDenied{SecretID: arn, Err: rotator.KindAccessDenied}); lines != nil {
			t.Errorf("%q", lines)
		}
	})
}

// TestProbeKey: what a dry run of KMS says of GenerateDataKey.
func TestProbeKey(t *testing.T) {
	t.Parallel()
	via := strings.Replace(mayKey, `"Resource":"*"`, `"Resource":"*","Condition":{"StringEquals":{"kms:ViaService":"secretsmanager.us-east-1.amazonaws.com"}}`, 1)
	state := func(s string) func(*awsemu.Caller, *awsemu.Key) {
		return func(_ *awsemu.Caller, k *awsemu.Key) { k.State = s }
	}
	for _, c := range []struct {
		name, identity string
		change         func(*awsemu.Caller, *awsemu.Key)
		want           rotator.Kind
	}{
		{"allowed", document(mayRead, mayKey), nil, ""},
		{"only through Secrets Manager", document(mayRead, via), nil, rotator.KindAccessDenied},
		{"not allowed", document(mayRead), nil, rotator.KindAccessDenied},
		{"disabled", document(mayRead, mayKey), state("Disabled"), rotator.KindMisconfigured},
		{"pending deletion", document(mayRead, mayKey), state("PendingDeletion"), rotator.KindMisconfigured},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			store, arn := judged(t, c.identity, "", "", c.change)
			m, err := store.Describe(t.Context(), arn)
			if err != nil {
				t.Fatal(err)
			}
			if err := store.CheckKeyAccess(t.Context(), m); rotator.KindOf(err) != c.want {
				t.Errorf("want %q, got %v", c.want, err)
			}
		})
	}
	t.Run("no way to KMS", func(t *testing.T) {
		t.Parallel()
		cfg, nowhere := config(), "http://127.0.0.1:1"
		cfg.BaseEndpoint = &nowhere
		if err := awsstore.New(cfg, "").CheckKeyAccess(t.Context(), rotator.Metadata{KMSKeyID: "alias/app"}); !errors.Is(err, rotator.KindUnreachable) {
			t.Error(err)
		}
	})
}
