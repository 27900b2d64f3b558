package localaws_test

import (
	"net"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

func rotateNow(arn string) *secretsmanager.RotateSecretInput {
	return &secretsmanager.RotateSecretInput{SecretId: &arn}
}

func testOnly(arn string) *secretsmanager.RotateSecretInput {
	return &secretsmanager.RotateSecretInput{SecretId: &arn, RotateImmediately: aws.Bool(false)}
}

// TestEachFailureHasItsKindAndSentence, by the real binary on real servers: one
// cause each, where AWS's templates have one message for all. Every
// one ends within the time of the function, with setSecret, and changes nothing.
func TestEachFailureHasItsKindAndSentence(t *testing.T) {
	tier.Test(t)
	type trouble struct {
		// arrange breaks something, for user app with a password that was right, and
		// gives what the secret says beside the usual.
		arrange    func(t *testing.T, w *world) []any
		server     func(t *testing.T) *dbserver.Server // nil: TLS only
		env        []string
		kind, says string
	}
	plain := func(*testing.T, *world) []any { return nil }
	for name, c := range map[string]trouble{
		"wrong password": {
			arrange: func(_ *testing.T, w *world) []any { return []any{"password", w.canary()} },
			kind:    "login rejected", says: "did not accept the password",
		},
		"closed port": {
			arrange: func(t *testing.T, _ *world) []any { return []any{"port", dbserver.ClosedPort(t)} },
			kind:    "unreachable", says: "refused the connection",
		},
		"silent port": {
			arrange: func(t *testing.T, _ *world) []any { return []any{"port", silentPort(t)} },
			kind:    "unreachable", says: "did not respond to",
		},
		"unknown host": {
			arrange: func(*testing.T, *world) []any { return []any{"host", "db.invalid"} },
			kind:    "unreachable", says: "does not resolve",
		},
		"missing database": {
			arrange: func(*testing.T, *world) []any { return []any{"dbname", "nowhere"} },
			kind:    "misconfigured", says: `no database "nowhere"`,
		},
		"untrusted CA": {
			arrange: plain, env: []string{"DATABASE_CA_FILE="}, // back to RDS's authorities
			kind: "tls", says: "CA is not trusted",
		},
		"name mismatch": {
			arrange: plain,
			server: func(t *testing.T) *dbserver.Server {
				return dbserver.NewPostgres(t, dbserver.Options{TLS: &dbserver.TLS{Names: []string{"other.example.com"}}})
			},
			kind: "tls", says: "is not for 127.0.0.1",
		},
		"server without TLS": {
			arrange: plain,
			server:  func(t *testing.T) *dbserver.Server { return dbserver.NewPostgres(t, dbserver.Options{}) },
			kind:    "tls", says: "does not offer TLS",
		},
		"TLS turned off in the secret, server insists": {
			arrange: func(*testing.T, *world) []any { return []any{"ssl", false} },
			kind:    "tls", says: `remove "ssl": false`,
		},
		"locked role": {
			arrange: func(_ *testing.T, w *world) []any { w.exec("ALTER ROLE app NOLOGIN"); return nil },
			kind:    "insufficient privilege", says: `ALTER ROLE "app" LOGIN`,
		},
		"expired role": {
			arrange: func(_ *testing.T, w *world) []any { w.exec("ALTER ROLE app VALID UNTIL '2001-01-01'"); return nil },
			kind:    "login rejected", says: "VALID UNTIL",
		},
		"too many connections": {
			arrange: func(t *testing.T, w *world) []any {
				w.exec("ALTER ROLE app CONNECTION LIMIT 1")
				conn, err := w.postgres().Connect(t.Context(), "app", w.canaries[0], "postgres")
				if err != nil {
					t.Fatal("login as app: refused")
				}
				t.Cleanup(func() { conn.Close(t.Context()) })
				return nil
			},
			kind: "too many connections", says: "no free connection",
		},
		"no CONNECT privilege": {
			arrange: func(_ *testing.T, w *world) []any {
				w.exec("CREATE DATABASE closed")
				w.exec("REVOKE CONNECT ON DATABASE closed FROM PUBLIC")
				return []any{"dbname", "closed"}
			},
			kind: "insufficient privilege", says: "GRANT CONNECT",
		},
		"a trusting server": {
			arrange: plain,
			server: func(t *testing.T) *dbserver.Server {
				return dbserver.NewPostgres(t, dbserver.Options{TLS: &dbserver.TLS{}, HBA: []string{"host all all all trust"}})
			},
			kind: "misconfigured", says: "verifies nothing",
		},
		"reader endpoint": {
			arrange: func(t *testing.T, w *world) []any {
				reader, err := w.postgres().Standby(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { reader.Close() })
				return []any{"port", reader.Port}
			},
			kind: "read only", says: "writer endpoint",
		},
		"passwords too weak by the settings": {
			arrange: plain, env: []string{"PASSWORD_LENGTH=5"}, // refused at start already
			kind: "misconfigured", says: "PASSWORD_LENGTH",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := tlsServer(t, newest())
			if c.server != nil {
				server = postgres{c.server(t)}
			}
			w := newWorld(t, plan{db: server, handler: "postgres-single-user", env: c.env, attempts: 1})
			password := w.role("app")
			pairs := append([]any{"username", "app", "password", password}, c.arrange(t, w)...)
			arn := w.seed("app", current(w.document(pairs...)))
			before := w.accountState()
			r := w.rotate(arn)
			if r.Outcome != "RotationFailed" {
				t.Fatalf("the rotation ended with %s", r.Outcome)
			}
			steps := r.Attempts[0].Steps
			failed := steps[len(steps)-1]
			kind, sentence := w.last()
			if kind != c.kind || !strings.Contains(sentence, c.says) || !strings.Contains(failed.ErrorMessage, c.says) {
				t.Errorf("want %q and a sentence that says %q; the log says %q: %s\nand the service was told: %s", c.kind, c.says, kind, sentence, failed.ErrorMessage)
			}
			if failed.ErrorType != "StepError" {
				t.Errorf("errorType is %q: alarms count on StepError", failed.ErrorType)
			}
			if w.accountState() != before {
				t.Error("the account has changed")
			}
			if w.aws.AWS.Snapshot(arn).Holder("AWSCURRENT").ID != w.aws.AWS.Snapshot(arn).Versions[0].ID {
				t.Error("AWSCURRENT has moved")
			}
		})
	}
}

// silentPort accepts, by way of the kernel, and never answers.
func silentPort(t *testing.T) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().(*net.TCPAddr).Port
}
