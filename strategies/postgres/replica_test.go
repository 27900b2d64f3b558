package postgres

import (
	"context"
	"fmt"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
)

// TestAReplicaThatIsBehindProvesNothing: who knew a password that a user has no longer could have the user's next one,
// by a secret whose host is a replica that has not heard of the change.
func TestAReplicaThatIsBehindProvesNothing(t *testing.T) {
	t.Parallel()
	s := server{dbserver.NewPostgres(t, dbserver.Options{})}
	app, pw := s.NewRole(t, "LOGIN")
	clone := app + "_clone"
	s.run(t, "CREATE ROLE "+clone+" LOGIN PASSWORD '"+pw+"'")
	copied, err := s.Standby(t.Context())
	ok(t, err)
	t.Cleanup(func() { copied.Close() })
	replica := server{copied}
	document := func(at server, user string, p string) secret.Document {
		d, err := secret.ParseDocument(fmt.Sprintf(`{"engine":"postgres","host":%q,"port":%d,"username":%q,`+
			`"password":%q,"ssl":false,"masterarn":"superuser"}`, at.Host, at.Port, user, p))
		ok(t, err)
		return d
	}
	rotate := func(strategy rotator.Strategy, next string) error {
		p := password()
		return strategy.Apply(t.Context(), rotator.Rotation{
			Current: document(replica, app, pw), Pending: document(replica, next, p.Reveal()),
			ReadPrevious: func(context.Context) (secret.Document, error) { return document(replica, clone, pw), nil },
			ReadSecret: func(context.Context, string) (secret.Document, error) {
				return document(s, s.Superuser, s.Password), nil
			},
			IsEndpointOf: func(context.Context, secret.Document, string, int) error { return nil },
			Log:          t.Logf,
		})
	}
	single := strategies.SingleUser{Engine: engine(), ThroughSuperuser: true}
	pair := strategies.AlternatingUsers{Engine: engine()}
	replica.run(t, "SELECT pg_wal_replay_pause()")
	replica.until(t, "SELECT pg_get_wal_replay_pause_state()", "paused")
	for user, next := range map[string]string{app: "the user in use", clone: "the other of the pair"} {
		t.Run(next, func(t *testing.T) {
			theirs := password()
			s.run(t, fmt.Sprintf("ALTER ROLE %s PASSWORD '%s'", user, theirs.Reveal()))
			before := s.everything(t, app+"%")
			if user == app {
				wants(t, rotate(single, app), rotator.KindConflict, "it is behind", "changed nothing")
			}
			wants(t, rotate(pair, clone), rotator.KindConflict, "is behind")
			if s.everything(t, app+"%") != before {
				t.Error("a refused rotation changed something")
			}
			s.run(t, fmt.Sprintf("ALTER ROLE %s PASSWORD '%s'", user, pw))
		})
	}
	replica.run(t, "SELECT pg_wal_replay_resume()")
	ok(t, copied.CatchUp(t.Context(), s.Server))
	ok(t, rotate(pair, clone)) // AWSPREVIOUS shows that the clone is this secret's
	ok(t, rotate(single, app))
}
