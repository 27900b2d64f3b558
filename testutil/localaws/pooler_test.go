package localaws_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
)

// Behind a pooler the only working password is never thrown away. setSecret of an
// earlier release has changed it; the pooler knows the old one, and lets it in over a
// connection that it has. Whether the secret vouches for the pooler or not, and
// whether rotation is on or off, nothing is discarded.
func TestNothingIsDiscardedBehindAPooler(t *testing.T) {
	t.Parallel()
	for _, vouched := range []bool{false, true} {
		t.Run(fmt.Sprintf("vouched for: %t", vouched), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, plan{db: postgres{dbserver.NewPostgres(t, dbserver.Options{})}, handler: "postgres-single-user", attempts: 1})
			old, pending := w.user(w.db.app), w.canary()
			b := dbserver.NewPgBouncer(t, w.postgres(), dbserver.PgBouncerOptions{Mode: "transaction", AuthFile: map[string]string{"app": old}})
			pairs := []any{"host", b.Host, "port", b.Port, "ssl", false, "username", "app", "password", old}
			if vouched {
				pairs = append(pairs, "poolerForwardsLogins", true)
			}
			arn := w.seed("app", current(w.document(pairs...)),
				awsemu.Version{Labels: []string{"AWSPENDING"}, Value: awsemu.Text(w.document(append(pairs, "password", pending)...))})
			w.aws.Functions[w.name].Invoke(t.Context(), []byte(`{"Step":"status","SecretId":"`+arn+`"}`)) // the pooler has a connection now
			w.exec("ALTER ROLE app PASSWORD '" + pending + "'")
			for _, rotation := range []string{"on", "off"} {
				if rotation == "off" {
					if _, err := w.sdk.CancelRotateSecret(t.Context(), &secretsmanager.CancelRotateSecretInput{SecretId: &arn}); err != nil {
						t.Fatal(err)
					}
				}
				d := w.status(`{"Step":"status","SecretId":"` + arn + `"}`)
				if d.Action == rotator.ActionDiscard || d.Action == rotator.ActionRetry && rotation == "off" || !vouched && d.Action != rotator.ActionInvestigate || strings.Contains(strings.Join(d.Commands, " "), "AWSPENDING") {
					t.Errorf("rotation %s: %s: %s %v", rotation, d.Action, d.Reason, d.Commands)
				}
				if !vouched && (d.Versions[0].State != rotator.CredentialUnknown || !strings.Contains(d.Versions[0].Detail, "pooler")) {
					t.Errorf("rotation %s: %+v", rotation, d.Versions[0])
				}
				r, err := w.aws.Functions[w.name].Invoke(t.Context(), []byte(`{"Step":"recover","SecretId":"`+arn+`","Action":"discard"}`))
				if err != nil || r.FunctionError == "" {
					t.Errorf("rotation %s: discarded: %v %s", rotation, err, r.Payload)
				}
			}
			if got := w.holder(arn, "AWSPENDING"); got.Password != pending {
				t.Error("AWSPENDING is gone, and with it the only password that works")
			}
		})
	}
}
