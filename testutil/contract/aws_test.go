package contract

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/quarterturn-dev/quarterturn/testutil/internal/clients"
)

// TestAccountLeavesNothing makes everything that a run on AWS makes, on a moto server, which has IAM and Lambda: also
// when something in between fails, Close removes it all.
func TestAccountLeavesNothing(t *testing.T) {
	url := clients.Moto(t, root)
	ctx := t.Context()
	cfg := aws.Config{Region: "us-east-1", BaseEndpoint: &url, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("AKIACONTRACT", "secret", "")}
	var said []string
	a := &Account{Config: cfg, Settle: time.Millisecond, Module: "../..",
		Say: func(format string, args ...any) { said = append(said, format) }}
	key, err := a.Key(ctx, "main")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := a.Key(ctx, "main"); err != nil || again != key {
		t.Errorf("the key of the same name is %s (%v), then %s", key, err, again)
	}
	if _, err := a.Role(ctx, Rights{Identity: Allow("sts:GetCallerIdentity"), Boundary: Allow("*")}); err != nil {
		t.Error(err)
	}
	if _, err := a.Role(ctx, Rights{Identity: "{", Boundary: Allow("*")}); !errors.Is(err, ErrMissing) {
		t.Errorf("a policy that IAM refuses: %v, want a reason why rows are not tried", err)
	}
	if _, err := a.Function(ctx); err != nil {
		t.Error(err)
	}
	sm := secretsmanager.NewFromConfig(cfg)
	if _, err := sm.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: aws.String(Prefix + "left")}); err != nil {
		t.Fatal(err)
	}
	if _, err := sm.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: aws.String("not-ours")}); err != nil {
		t.Fatal(err)
	}
	if err := a.Close(context.WithoutCancel(ctx)); err != nil {
		t.Errorf("Close: %v", err)
	}
	if len(said) < 10 {
		t.Errorf("%d things were said to be made or removed", len(said))
	}

	roles, err := iam.NewFromConfig(cfg).ListRoles(ctx, &iam.ListRolesInput{})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range roles.Roles {
		if strings.HasPrefix(aws.ToString(r.RoleName), Prefix) {
			t.Errorf("role %s is left", *r.RoleName)
		}
	}
	policies, err := iam.NewFromConfig(cfg).ListPolicies(ctx, &iam.ListPoliciesInput{Scope: "Local"})
	if err != nil || len(policies.Policies) > 0 {
		t.Errorf("%d policies are left (%v)", len(policies.Policies), err)
	}
	functions, err := lambda.NewFromConfig(cfg).ListFunctions(ctx, &lambda.ListFunctionsInput{})
	if err != nil || len(functions.Functions) > 0 {
		t.Errorf("%d functions are left (%v)", len(functions.Functions), err)
	}
	secrets, err := sm.ListSecrets(ctx, &secretsmanager.ListSecretsInput{})
	if err != nil || len(secrets.SecretList) != 1 || *secrets.SecretList[0].Name != "not-ours" {
		t.Errorf("%d secrets are left, want the one that is not ours (%v)", len(secrets.SecretList), err)
	}
	described, err := kms.NewFromConfig(cfg).DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: aws.String(keyID(key))})
	if err != nil || described.KeyMetadata.KeyState != "PendingDeletion" {
		t.Errorf("the key is not pending deletion (%v)", err)
	}
}

// TestPlan: what a run on AWS makes and costs is said before.
func TestPlan(t *testing.T) {
	a := &Account{Config: aws.Config{Region: "eu-west-1"}}
	plan := a.Plan(Table())
	for _, want := range []string{"eu-west-1", Prefix, "secrets", "keys", "function", "roles", "USD",
		"second account are not tried", "20 minutes"} {
		if !strings.Contains(plan, want) {
			t.Errorf("the plan does not say %q:\n%s", want, plan)
		}
	}
	if plan := a.Plan(Select(Table(), "SM-")); strings.Contains(plan, "function of") ||
		strings.Contains(plan, "customer keys") {
		t.Errorf("rows about secrets alone need no key and no function:\n%s", plan)
	}
}

// TestRecord: a record has every row and nothing that would tell an account.
func TestRecord(t *testing.T) {
	e, err := OpenEmulator()
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	rows := Select(Table(), "SM-0", "AU-001")
	results, err := Run(t.Context(), rows, e.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "records", "day.json")
	if err := WriteRecord(path, "us-east-1", time.Unix(0, 0), results); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if !strings.Contains(string(b), `"`+r.ID+`"`) {
			t.Errorf("%s is not in the record", r.ID)
		}
	}
	if strings.Contains(string(b), ownAccount) {
		t.Error("the record has the id of the account in it")
	}
}
