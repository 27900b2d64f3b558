package localaws_test

import (
	"crypto/rand"
	"encoding/json"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
	"github.com/quarterturn-dev/quarterturn/testutil/lambdahost"
	"github.com/quarterturn-dev/quarterturn/testutil/localaws"
)

// TestValkeyRotatesByTheRealBinary: the deployed binary on a real server with TLS only, by every
// strategy: five rotations in a row, within the budget of calls and logins, no client refused where
// the strategy says so, and no password in what the server was sent or in what the function prints.
func TestValkeyRotatesByTheRealBinary(t *testing.T) {
	t.Parallel()
	for _, release := range dbserver.ValkeysInTier(t) {
		s := dbserver.NewValkey(t, dbserver.ValkeyOptions{Name: release, TLS: &dbserver.TLS{Names: []string{"127.0.0.1"}}})
		for what, c := range map[string]struct {
			handler       string
			env           []string
			calls, logins int
			keeps         bool
		}{
			"superuser":   {"valkey-single-user", []string{"SINGLE_USER_THROUGH_SUPERUSER=true"}, 14, 7, false},
			"dual":        {"valkey-single-user", []string{"SINGLE_USER_THROUGH_SUPERUSER=true", "VALKEY_DUAL_PASSWORDS=true"}, 14, 7, true},
			"alternating": {"valkey-alternating-users", nil, 14, 7, true},
			"dual, by the function for several engines": {"database", []string{"ENGINES=postgres,valkey", "STRATEGY=single-user", "SINGLE_USER_THROUGH_SUPERUSER=true",
				"VALKEY_DUAL_PASSWORDS=true"}, 14, 7, true},
			"alternating, by the function for several engines": {"database", []string{"ENGINES=postgres,valkey", "STRATEGY=alternating-users"}, 14, 7, true},
		} {
			t.Run(release+" "+what, func(t *testing.T) {
				var out lambdahost.Output
				handler := c.handler
				env, err := localaws.Start(localaws.Config{
					Functions: []localaws.Function{{Name: handler, Bootstrap: bootstrap(t, handler), Env: append([]string{"DATABASE_CA_FILE=" + s.CAFile}, c.env...)}},
					Output:    &out,
					Prepare:   func(e *awsemu.Emulator) { e.Attempts = 1 },
				})
				if err != nil {
					t.Fatal(err)
				}
				defer env.Close()
				seed := func(user, superuser string, rules ...string) string {
					p := rand.Text()
					if err := s.Exec(t.Context(), append([]string{"ACL", "SETUSER", user, "reset", "on", ">" + p}, rules...), []string{"ACL", "SAVE"}); err != nil {
						t.Fatal(err)
					}
					value, _ := json.Marshal(map[string]any{"engine": "valkey", "host": s.Host, "port": s.Port, "username": user, "password": p, "masterarn": superuser, "colour": "blue"})
					return env.AWS.Seed(awsemu.Secret{Name: user, Versions: []awsemu.Version{{Labels: []string{"AWSCURRENT"}, Value: awsemu.Text(string(value))}}})
				}
				id := strings.ToLower(rand.Text()[:6])
				boss := seed("boss-"+id, "", "+acl", "+config|get", "+config|rewrite", "+info", "+multi", "+exec", "+discard")
				app := seed("app-"+id, boss, "~app:*", "+get", "+set")
				logins := func() int {
					sent, err := s.Commands(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					return strings.Count(sent, "HELLO 2 AUTH")
				}
				type account struct{ Username, Password string }
				holder := func() (c account) {
					if err := json.Unmarshal(env.AWS.Snapshot(app).Holder("AWSCURRENT").Value.Reveal(), &c); err != nil {
						t.Fatal(err)
					}
					return c
				}
				accepts := func(c account) bool {
					return s.As(t.Context(), c.Username, c.Password, []string{"GET", "app:1"}) == nil
				}
				sdk := secretsmanager.New(secretsmanager.Options{BaseEndpoint: &env.URL, Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")})
				var made []string
				for n := range 5 {
					before, loggedIn := holder(), logins()
					env.AWS.ResetCalls()
					arn := env.Functions[handler].ARN()
					if _, err := sdk.RotateSecret(t.Context(), &secretsmanager.RotateSecretInput{SecretId: &app, RotationLambdaARN: &arn, RotationRules: &types.RotationRulesType{AutomaticallyAfterDays: aws.Int64(30)}}); err != nil {
						t.Fatal(err)
					}
					r, err := env.AWS.WaitRotation(t.Context(), app)
					if err != nil || r.Outcome != "RotationSucceeded" {
						t.Fatalf("rotation %d: %s: %s, %v", n, r.Outcome, r.Message, err)
					}
					want := c.calls
					if strings.HasPrefix(what, "alternating") && n > 0 {
						want += 2 // AWSPREVIOUS, in createSecret and in setSecret: the server does not show whose clone it is
					}
					// AWSPREVIOUS, in createSecret: whether it names a node that AWSCURRENT does not, or the other password
					if n == 0 || !strings.HasPrefix(what, "alternating") {
						want++
					}
					if calls := len(env.AWS.Calls()) - 1; calls > want {
						t.Errorf("rotation %d: %d API calls, at most %d are allowed", n, calls, want)
					}
					if n := logins() - loggedIn; n > c.logins {
						t.Errorf("%d logins, at most %d are allowed", n, c.logins)
					}
					after := holder()
					if !accepts(after) || accepts(before) != c.keeps {
						t.Errorf("rotation %d: the new value works: %t; the old one: %t, want %t", n, accepts(after), accepts(before), c.keeps)
					}
					made = append(made, after.Password)
				}
				// A status of what works costs what docs/runbook.md says: three reads and S8, and two logins. Of a pair, it reads
				// the superuser secret, too, and AWSPREVIOUS once more, and the superuser logs in.
				wantCalls, wantLogins, loggedIn := 4, 2, logins()
				if strings.HasPrefix(what, "alternating") {
					wantCalls, wantLogins = 6, 3
				}
				env.AWS.ResetCalls()
				answer, err := env.Functions[handler].Invoke(t.Context(), []byte(`{"Step":"status","SecretId":"`+app+`"}`))
				if err != nil || !strings.Contains(string(answer.Payload), `"Action":"none"`) {
					t.Errorf("status: %s, %v", answer.Payload, err)
				}
				if calls, n := len(env.AWS.Calls()), logins()-loggedIn; calls != wantCalls || n != wantLogins &&
					release != "redis-6" { // whose slow log has no HELLO
					t.Errorf("status: %d API calls and %d logins, want %d and %d", calls, n, wantCalls, wantLogins)
				}
				sent, err := s.Commands(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for _, p := range made {
					if strings.Contains(out.String(), p) || strings.Contains(sent, p) {
						t.Error("a password is in the output of the function, or in what the server was sent")
					}
				}
			})
		}
	}
}
