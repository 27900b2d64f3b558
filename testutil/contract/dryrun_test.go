package contract

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/awsstore"
	"github.com/quarterturn-dev/quarterturn/rotator/iam"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/internal/clients"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// TestTheCLIsDryRunSeesAMissingPermission drives aws secretsmanager rotate-secret --no-rotate-immediately by the AWS
// CLI, of version 1 and of version 2, with both forms of the pending version that a configuration test can have. It is
// a preflight: the role of the function lacks UpdateSecretVersionStage, and TestRotationFailed says that S8 is denied.
// With the permission the same test succeeds.
func TestTheCLIsDryRunSeesAMissingPermission(t *testing.T) {
	tier.Long(t)
	for name, cli := range map[string]clients.Client{"version 1": clients.CLI1(t, root), "version 2": clients.CLI2(t,
		root)} {
		for form, empty := range map[string]bool{"a copy": false, "no value": true} {
			t.Run(name+", "+form, func(t *testing.T) {
				dryRunBy(t, cli, empty)
			})
		}
	}
}

const (
	root        = "../.."
	dryFunction = "arn:aws:lambda:us-east-1:" + ownAccount + ":function:rotate"
	dryRole     = "arn:aws:iam::" + ownAccount + ":role/rotate"
)

// dryRunBy rotates a secret of an engine without a network, by a function whose role may do everything, and then
// everything but move labels.
func dryRunBy(t *testing.T, cli clients.Client, empty bool) {
	db := &strategytest.Memory{}
	db.Add(strategytest.Account{Name: "app", Password: secret.NewPassword("old-password-0123456789")})
	role := func(actions ...string) awsemu.Caller {
		return awsemu.Caller{AccessKey: "AKIAFUNCTION",
			Identity:  []iam.NamedPolicy{document("rights", Allow(actions...))},
			Principal: iam.Principal{ARN: strings.Replace(dryRole, ":iam:", ":sts:", 1) + "/f", Role: dryRole}}
	}
	emu := &awsemu.Emulator{EmptyTest: empty, Attempts: 1, Functions: []awsemu.Function{{ARN: dryFunction,
		Policy: document("function", Policy(map[string]any{"Effect": "Allow", "Principal": map[string]string{
			"Service": "secretsmanager.amazonaws.com"}, "Action": "lambda:InvokeFunction", "Resource": dryFunction}))}},
		Callers: []awsemu.Caller{{AccessKey: "AKIAPERSON", Identity: []iam.NamedPolicy{document("all", Allow("*"))},
			Principal: iam.Principal{ARN: "arn:aws:iam::" + ownAccount + ":user/person"}}, role("secretsmanager:*")}}
	server := httptest.NewServer(emu)
	defer server.Close()
	defer emu.Close()
	cfg := aws.Config{Region: "us-east-1", BaseEndpoint: &server.URL,
		Credentials: credentials.NewStaticCredentialsProvider("AKIAFUNCTION", "x", "")}
	function := rotator.Rotator{Store: awsstore.New(cfg, server.URL), Strategy: strategies.SingleUser{Engine: db}}
	emu.Invoke = awsemu.InvokeHandler(func(ctx context.Context, payload []byte) ([]byte, error) {
		report, err := function.HandleJSON(ctx, payload)
		answer, _ := json.Marshal(report)
		return answer, err
	})
	arn := emu.Seed(awsemu.Secret{Name: "app", Versions: []awsemu.Version{{Labels: []string{"AWSCURRENT"},
		Value: awsemu.Text(fmt.Sprintf(
			`{"engine":"memory","host":%q,"username":"app","password":"old-password-0123456789"}`,
			strategytest.MemoryHost))}}})

	rotate := func() awsemu.Rotation {
		t.Helper()
		if out, err := cli.Command(t.Context(), server.URL, "AKIAPERSON", "secretsmanager", "rotate-secret",
			"--secret-id", "app",
			"--rotation-lambda-arn", dryFunction, "--rotation-rules", "AutomaticallyAfterDays=30",
			"--no-rotate-immediately").
			CombinedOutput(); err != nil {
			t.Fatalf("aws secretsmanager rotate-secret: %v\n%s", err, out)
		}
		r, err := emu.WaitRotation(t.Context(), arn)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	before := emu.Snapshot(arn)
	if r := rotate(); r.Outcome != "TestRotationSucceeded" || !r.Test {
		t.Errorf("with every permission: %s %s", r.Outcome, r.Message)
	}
	emu.SetCaller(role("secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue",
		"secretsmanager:PutSecretValue"))
	r := rotate()
	if r.Outcome != "TestRotationFailed" || !strings.Contains(r.Message, "[S8 denied]") || !strings.Contains(r.Message,
		moveAction) {
		t.Errorf("without UpdateSecretVersionStage: %s %s", r.Outcome, r.Message)
	}
	if last := emu.Events()[len(emu.Events())-1]; last.Name != "TestRotationFailed" || !strings.Contains(last.Message,
		"[S8 denied]") {
		t.Errorf("the last event is %s: %s", last.Name, last.Message)
	}
	if after := emu.Snapshot(arn); len(after.Versions) != 1 ||
		!after.Holder("AWSCURRENT").Value.Equal(before.Holder("AWSCURRENT").Value) {
		t.Error("the configuration test changed the secret")
	}
}
