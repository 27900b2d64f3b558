package localaws_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// TestMoves plays through what docs/migrating.md says of Terraform and CloudFormation, by the calls
// that they make in their order. After a move as it is described, rotation is on, the new function
// rotates, and nothing was rotated unasked. The orders that the page warns of end with rotation
// disabled, and its way back enables it without a rotation.
func TestMoves(t *testing.T) {
	tier.Long(t)
	const (
		handOver = "RotateSecret of the new function, not immediately"
		cancel   = "CancelRotateSecret"
	)
	for name, c := range map[string]struct {
		from  string // function before; "": none
		calls []string
		on    bool
	}{
		"from a hosted rotation, in place":            {"SecretsManagerapp-hosted", []string{handOver}, true},
		"from a template's function, in place":        {"SecretsManagerRDSPostgreSQLRotation", []string{handOver}, true},
		"from nothing":                                {"", []string{handOver}, true},
		"a new address, destroyed before it is made":  {"SecretsManagerRDSPostgreSQLRotation", []string{cancel, handOver}, true},
		"a new address, created before it is deleted": {"SecretsManagerRDSPostgreSQLRotation", []string{handOver, cancel}, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, plan{db: tlsServer(t, newest()), handler: "postgres-single-user"})
			password := w.role("app")
			ours := w.aws.Functions[w.name].ARN()
			secret := awsemu.Secret{Name: "app", Versions: []awsemu.Version{current(w.document("username", "app", "password", password))}}
			if c.from != "" {
				secret.RotationEnabled, secret.RotationLambdaARN = aws.Bool(true), "arn:aws:lambda:us-east-1:123456789012:function:"+c.from
				secret.Rules = awsemu.RotationRules{AutomaticallyAfterDays: 30}
			}
			arn := w.aws.AWS.Seed(secret)
			before := w.holder(arn, "AWSCURRENT")
			move := func() {
				t.Helper()
				_, err := w.sdk.RotateSecret(t.Context(), &secretsmanager.RotateSecretInput{
					SecretId: &arn, RotationLambdaARN: &ours, RotateImmediately: aws.Bool(false),
					RotationRules: &types.RotationRulesType{ScheduleExpression: aws.String("cron(0 3 ? * SUN *)")},
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			for _, call := range c.calls {
				switch call {
				case handOver:
					move()
					w.wait(arn)
				case cancel:
					if _, err := w.sdk.CancelRotateSecret(t.Context(), &secretsmanager.CancelRotateSecretInput{SecretId: &arn}); err != nil {
						t.Fatal(err)
					}
				}
			}
			now := func() awsemu.Secret { return w.aws.AWS.Snapshot(arn) }
			on := func() bool { s := now(); return s.RotationEnabled != nil && *s.RotationEnabled }
			if on() != c.on {
				t.Fatalf("rotation is on: %t, want %t", on(), c.on)
			}
			if !c.on { // the way back
				move()
				w.wait(arn)
			}
			if !on() || now().RotationLambdaARN != ours {
				t.Errorf("rotation is on: %t, by %s", on(), now().RotationLambdaARN)
			}
			if w.holder(arn, "AWSCURRENT") != before || !w.accepts(before) {
				t.Error("the secret was rotated unasked")
			}
			w.secrets = append(w.secrets, arn)
			if r := w.rotate(arn); r.Outcome != "RotationSucceeded" || !w.accepts(w.holder(arn, "AWSCURRENT")) {
				t.Errorf("the new function does not rotate: %s: %s", r.Outcome, r.Message)
			}
		})
	}
}
