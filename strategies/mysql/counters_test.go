package mysql

import (
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
)

// Where refused logins count against an account, single user rotation has a moment in
// which its clients' own count. The preflight says so with the number, and refuses
// where one is enough. Strategies without such a moment say nothing.
func TestCountersOfFailedLogins(t *testing.T) {
	t.Parallel()
	for _, name := range dbserver.MySQLsInTier(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, name, nil)
			e := s.cloning()
			all := map[string]rotator.Preflighter{
				"itself":            strategies.SingleUser{Engine: e},
				"superuser":         strategies.SingleUser{Engine: e, ThroughSuperuser: true},
				"alternating users": strategies.AlternatingUsers{Engine: e},
			}
			if !s.MariaDB {
				all["dual passwords"] = strategies.DualPasswords{Engine: engine()}
			}
			for what, c := range map[string]struct {
				set    string
				status rotator.Status
				words  []string
			}{
				"none": {status: rotator.StatusPassed},
				"five": {set: "FAILED_LOGIN_ATTEMPTS 5 PASSWORD_LOCK_TIME UNBOUNDED",
					status: rotator.StatusPassed, words: []string{"5 failed logins", "FAILED_LOGIN_ATTEMPTS 0",
						"lternating users", "MYSQL_DUAL_PASSWORDS"}},
				"two": {set: "FAILED_LOGIN_ATTEMPTS 2 PASSWORD_LOCK_TIME UNBOUNDED",
					status: rotator.StatusPassed, words: []string{"2 failed logins", "FAILED_LOGIN_ATTEMPTS 0",
						"lternating users", "MYSQL_DUAL_PASSWORDS"}},
				"one": {set: "FAILED_LOGIN_ATTEMPTS 1 PASSWORD_LOCK_TIME 1",
					status: rotator.StatusFailed, words: []string{"1 failed logins"}},
				"counted, and without consequence": {set: "FAILED_LOGIN_ATTEMPTS 1 PASSWORD_LOCK_TIME 0",
					status: rotator.StatusPassed},
			} {
				app := s.user(t)
				switch {
				case s.MariaDB:
					n := map[string]string{"five": "5", "two": "2", "one": "1"}[what]
					if n == "" {
						n = "4294967295"
					}
					s.run(t, "SET GLOBAL max_password_errors = "+n)
				default:
					s.run(t, "GRANT APPLICATION_PASSWORD_ADMIN ON *.* TO "+at(app.User).String(),
						"ALTER USER "+at(app.User).String()+" "+c.set)
				}
				for how, strategy := range all {
					if how == "itself" && len(c.words) == 0 {
						continue // what it cannot see of itself is another test's
					}
					r := s.rotation(t, app, password())
					var p8 rotator.Finding
					for _, f := range strategy.Preflight(t.Context(), r) {
						if f.Status == rotator.StatusFailed && f.ID != "P8" {
							t.Errorf("%s, %s: %s %s", what, how, f.ID, f.Detail)
						}
						if strings.HasPrefix(f.ID, "P8") || f.ID == "P9" {
							p8 = f
						}
					}
					single := how == "itself" || how == "superuser"
					status := p8.Status
					if how == "itself" && status == rotator.StatusUnknown {
						status = rotator.StatusPassed
					}
					if single && status != c.status || !single && p8.Status == rotator.StatusFailed {
						t.Errorf("%s, %s: %s is %s: %s", what, how, p8.ID, p8.Status, p8.Detail)
					}
					if s.MariaDB && strings.Contains(p8.Detail, "dual passwords") {
						t.Errorf("%s, %s: MariaDB has none: %s", what, how, p8.Detail)
					}
					for _, w := range c.words {
						if s.MariaDB {
							w = map[string]string{"5 failed logins": "5 wrong passwords",
								"2 failed logins": "2 wrong passwords", "1 failed logins": "1 wrong passwords",
								"FAILED_LOGIN_ATTEMPTS 0": "max_password_errors = 4294967295"}[w]
						}
						if got := strings.Contains(p8.Detail, w); w != "" && got != single {
							t.Errorf("%s, %s: %q is %t in: %s", what, how, w, got, p8.Detail)
						}
					}
				}
			}
		})
	}
}
