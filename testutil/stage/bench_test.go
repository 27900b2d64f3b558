package stage_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// BenchmarkRotation is a whole rotation by the deployed binary, warm: from
// RotateSecret to the end, TLS and the server's own hashing included.
func BenchmarkRotation(b *testing.B) {
	for name, handler := range map[string]string{"single": "postgres-single-user", "alternating": "postgres-alternating-users"} {
		b.Run(name, func(b *testing.B) {
			w := newWorld(b, plan{db: tlsServer(b, newest()), handler: handler, attempts: 1})
			app := w.role("app", "LOGIN")
			boss := w.boss("app")
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
