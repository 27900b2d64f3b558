package mysql

import (
	"testing"

	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
)

// roundTrips counts how often the server answers while call runs: what distance costs.
func (s server) roundTrips(t *testing.T, login strategies.Login, call func(strategies.Login) error) int {
	t.Helper()
	return dbserver.RoundTrips(t, s.Dial, func(port int) error {
		login.Port = port
		return call(login)
	})
}

// Distance costs a round trip for each text that is sent. What is asked for always goes
// with the settings of the session.
func TestRoundTrips(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		app, own, boss := s.user(t), s.user(t), s.superuser()
		pair := strategies.Pair{Original: app.User, Clone: app.User + "_clone", Target: app.User + "_clone",
			Consent: true}
		back := pair
		back.Target = app.User
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
		trips := func(login strategies.Login, call func(strategies.Login) error) int {
			t.Helper()
			ok(t, engine().Ping(t.Context(), login)) // the first login after a change takes longer
			return s.roundTrips(t, login, call)
		}
		ping := func(l strategies.Login) error { return engine().Ping(t.Context(), l) }
		ok(t, engine().EnsureClone(t.Context(), boss, pair, password()))
		for _, c := range []struct {
			name           string
			login          strategies.Login
			mysql, mariadb int // after the login
			call           func(strategies.Login) error
		}{
			// What may not be seen (mysql.user) is asked for in the first text; MySQL is then asked of other accounts.
			{"DryRunSetPassword", app, 3, 2, func(l strategies.Login) error {
				_, err := engine().DryRunSetPassword(t.Context(), l, app.User, password())
				return err
			}},
			{"SetPassword", own, 2, 2, func(l strategies.Login) error {
				return engine().SetPassword(t.Context(), l, own.User, password())
			}},
			{"SetPassword by a superuser", boss, 2, 2, func(l strategies.Login) error {
				return engine().SetPassword(t.Context(), l, app.User, password())
			}},
			{"DryRunEnsureClone", boss, 3, 3, dryRun(pair)},
			{"EnsureClone", boss, 3, 3, clone(pair)},
			{"DryRunEnsureClone, of the original", boss, 3, 3, dryRun(back)},
			{"EnsureClone, of the original", boss, 3, 3, clone(back)},
			{"DryRunEnsureClone, the password only", boss, 3, 3, dryRun(only)},
			{"EnsureClone, the password only", boss, 3, 3, clone(only)},
		} {
			want := c.mysql
			if s.MariaDB {
				want = c.mariadb
			}
			login := trips(c.login, ping) - 1
			if got := trips(c.login, c.call) - login; got != want {
				t.Errorf("%s: %d round trips after the login, want %d", c.name, got, want)
			}
		}
	})
}
