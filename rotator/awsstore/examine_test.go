package awsstore_test

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/awsstore"
	"github.com/quarterturn-dev/quarterturn/rotator/iam"
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
func judged(t *testing.T, identity, secretPolicy, keyPolicy string,
	change func(*awsemu.Caller, *awsemu.Key)) (*awsstore.Store, string) {
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

// TestProbeKey: what a dry run of KMS says of GenerateDataKey.
func TestProbeKey(t *testing.T) {
	t.Parallel()
	via := strings.Replace(mayKey, `"Resource":"*"`,
		`"Resource":"*","Condition":{"StringEquals":{"kms:ViaService":"secretsmanager.us-east-1.amazonaws.com"}}`, 1)
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
		if err := awsstore.New(cfg, "").CheckKeyAccess(t.Context(),
			rotator.Metadata{KMSKeyID: "alias/app"}); !errors.Is(err, rotator.KindUnreachable) {
			t.Error(err)
		}
	})
}
