package postgres

import (
	"testing"

	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
)

// roundTrips counts how often the server answers while call runs: what distance costs.
func (s server) roundTrips(t *testing.T, login strategies.Login, call func(strategies.Login) error) int {
	t.Helper()
	return dbserver.RoundTrips(t, s.Dial, func(port int) error {
		return call(with(login, func(l *strategies.Login) { l.Host, l.Port = "127.0.0.1", port }))
	})
}

// Three of the round trips are the login by SCRAM. No other client logs in at these servers: a new clone would wait.
func TestRoundTrips(t *testing.T) {
	onEachMajor(t, func(t *testing.T, shared server) {
		s := server{dbserver.NewPostgres(t, dbserver.Options{Major: shared.Major})}
		app, pw := s.NewRole(t, "LOGIN")
		self, boss := s.login(app, pw), s.master(t, app)
		pair := strategies.Pair{Original: app, Clone: app + "_clone", Target: app + "_clone", Consent: true}
		back := pair
		back.Target = app
		only := pair
		only.PasswordOnly = true
		clone := func(p strategies.Pair) func(strategies.Login) error {
			return func(l strategies.Login) error { return engine().EnsureClone(t.Context(), l, p, password()) }
		}
		dryRun := func(p strategies.Pair) func(strategies.Login) error {
			return func(l strategies.Login) error {
				_, err := engine().DryRunEnsureClone(t.Context(), l, p, password())
				return err
			}
		}
		for _, c := range []struct {
			name  string
			login strategies.Login
			want  int
			call  func(strategies.Login) error
		}{
			{"Ping", self, 3 + 1, func(l strategies.Login) error { return engine().Ping(t.Context(), l) }},
			{"DryRunSetPassword", self, 3 + 2, func(l strategies.Login) error {
				_, err := engine().DryRunSetPassword(t.Context(), l, app, password())
				return err
			}},
			{"SetPassword by a CREATEROLE role", boss, 3 + 2, func(l strategies.Login) error {
				return engine().SetPassword(t.Context(), l, app, password())
			}},
			{"SetPassword by one that may read pg_authid", s.superuser(), 3 + 3, func(l strategies.Login) error {
				return engine().SetPassword(t.Context(), l, app, password())
			}},
			// Which logins go on is asked when the clone is there.
			{"EnsureClone, a new clone", boss, 3 + 3, clone(pair)},
			{"DryRunEnsureClone", boss, 3 + 2, dryRun(pair)},
			{"EnsureClone", boss, 3 + 2, clone(pair)},
			{"DryRunEnsureClone, of the original", boss, 3 + 2, dryRun(back)},
			{"EnsureClone, of the original", boss, 3 + 2, clone(back)},
			{"DryRunEnsureClone, the password only", boss, 3 + 2, dryRun(only)},
			{"EnsureClone, the password only", boss, 3 + 2, clone(only)},
		} {
			if got := s.roundTrips(t, c.login, c.call); got != c.want {
				t.Errorf("%s: %d round trips, want %d", c.name, got, c.want)
			}
		}
	})
}
