package localaws_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/awsstore"
	"github.com/quarterturn-dev/quarterturn/strategies"
	engine "github.com/quarterturn-dev/quarterturn/strategies/postgres"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
)

// BenchmarkRotation is a whole rotation by the deployed binary, warm: from
// RotateSecret to the end, TLS and the server's own hashing included.
func BenchmarkRotation(b *testing.B) {
	for name, handler := range map[string]string{"single": "postgres-single-user", "alternating": "postgres-alternating-users"} {
		b.Run(name, func(b *testing.B) {
			w := newWorld(b, plan{db: tlsServer(b, newest()), handler: handler, attempts: 1})
			app := w.role("app")
			boss := w.boss()
			superuser := w.seed("superuser", current(w.document("username", "boss", "password", boss.Password)))
			arn := w.seed("app", current(w.document("username", "app", "password", app, "masterarn", superuser)))
			w.rotate(arn) // the cold start
			calls, rotations := 0, 0
			for b.Loop() {
				w.aws.AWS.ResetCalls()
				if _, err := w.sdk.RotateSecret(b.Context(), &secretsmanager.RotateSecretInput{SecretId: &arn}); err != nil {
					b.Fatal(err)
				}
				if r, err := w.aws.AWS.WaitRotation(b.Context(), arn); err != nil || r.Outcome != "RotationSucceeded" {
					b.Fatal(r.Message, err)
				}
				calls, rotations = calls+len(w.aws.AWS.Calls())-1, rotations+1
			}
			b.ReportMetric(float64(calls)/float64(rotations), "calls/op")
		})
	}
}

// BenchmarkPreflight holds a whole preflight of a healthy secret against its own API
// calls and login made one after another: "ratio" is the one through the other, and
// should stay under 2. It runs in this process, so that both sides are without the
// way through Lambda.
func BenchmarkPreflight(b *testing.B) {
	w := newWorld(b, plan{db: tlsServer(b, newest()), handler: "postgres-single-user"})
	app := w.role("app")
	arn := w.seed("app", current(w.document("username", "app", "password", app)))
	cfg := aws.Config{Region: "us-east-1", BaseEndpoint: &w.aws.URL, Credentials: credentials.NewStaticCredentialsProvider("AKID", "x", "")}
	r := rotator.Rotator{Store: awsstore.New(cfg, ""), Strategy: strategies.SingleUser{Engine: engine.Engine{Roots: w.postgres().CAs}}}
	event := rotator.Event{Step: rotator.StepPreflight, SecretID: arn}
	bare := func() {
		ctx, nobody, label := b.Context(), awsemu.VersionID(99), "AWSCURRENT"
		w.sdk.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &arn})
		out, _ := w.sdk.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &arn})
		w.sdk.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &arn, VersionStage: aws.String("AWSPENDING")})
		w.sdk.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: &arn, ClientRequestToken: out.VersionId, SecretString: aws.String("other")})
		w.sdk.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{SecretId: &arn, VersionStage: &label, MoveToVersionId: &nobody, RemoveFromVersionId: &nobody})
		conn, err := w.postgres().Connect(ctx, "app", app, "postgres")
		if err != nil {
			b.Fatal("login as app: refused")
		}
		conn.Exec(ctx, "SELECT session_user")
		conn.Close(ctx)
	}
	var whole, parts time.Duration
	for b.Loop() {
		begin := time.Now()
		if err := r.Handle(b.Context(), event); err != nil {
			b.Fatal(err)
		}
		whole += time.Since(begin)
		begin = time.Now()
		bare()
		parts += time.Since(begin)
	}
	b.ReportMetric(float64(whole)/float64(parts), "ratio")
}
