package postgres

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/strategies"
)

// TestASuperuserSeesWhyALoginIsRejected, as one with CREATEROLE alone too. What it says mends it is run as it stands;
// then
// the login is accepted, or a password is all that is missing. The query that is printed where there is no superuser
// runs.
func TestASuperuserSeesWhyALoginIsRejected(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		for name, c := range map[string]struct {
			breaks, says string
			blocked      bool
		}{
			"expired":       {"ALTER ROLE %u VALID UNTIL '2001-01-01'", "the VALID UNTIL of role", true},
			"locked":        {"ALTER ROLE %u NOLOGIN", "is locked", true},
			"no connection": {"ALTER ROLE %u CONNECTION LIMIT 0", "has CONNECTION LIMIT 0", true},
			"renamed":       {"ALTER ROLE %u RENAME TO %uold", "looks like it, renamed", true},
			"dropped": {"ALTER ROLE %u RENAME TO %uold; REVOKE %uold FROM %u_clone",
				"if it was dropped, CREATE ROLE", false},
			"clone renamed": {"ALTER ROLE %u_clone SET role = '%u'; ALTER ROLE %u_clone RENAME TO %uold",
				"looks like it, renamed", true},
			"in order": {"SELECT 1", "its password is another", false},
		} {
			t.Run(name, func(t *testing.T) {
				user, pw := s.NewRole(t, "LOGIN")
				clone, clonePW := user+"_clone", password()
				s.run(t, "CREATE ROLE "+clone+" LOGIN PASSWORD '"+clonePW.Reveal()+"' IN ROLE "+user)
				login := s.login(user, pw)
				if name == "clone renamed" {
					login = s.login(clone, clonePW.Reveal())
				}
				master := s.master(t, user, clone)
				for _, statement := range strings.Split(strings.ReplaceAll(c.breaks, "%u", user), "; ") {
					s.run(t, statement)
				}
				for _, superuser := range []strategies.Login{master, s.superuser()} {
					causes, err := engine().Explain(t.Context(), superuser, login, s.login(clone, "another"))
					ok(t, err)
					if len(causes) != 2 || !strings.Contains(causes[0].Text, c.says) ||
						causes[0].Blocked != c.blocked || strings.Contains(causes[0].Text, pw) {
						t.Fatalf("%+v, want %s", causes, c.says)
					}
					if statement := regexp.MustCompile(`ALTER ROLE [^;]*`).FindString(causes[0].Text); c.blocked && superuser.User != master.User {
						s.run(t, statement)
						ok(t, engine().Ping(t.Context(), login))
					}
				}
				query, _, _ := strings.Cut(engine().Inquiry(user, clone), " -- ")
				s.ask(t, "SELECT count(*)::text FROM ("+query+") AS shown")
				s.run(t, "DROP ROLE IF EXISTS "+clone)
			})
		}
		_, err := engine().Explain(t.Context(), s.login("nobody_at_all", "x"), s.login("app", "y"))
		if !errors.Is(err, rotator.KindLoginRejected) {
			t.Errorf("a superuser that is rejected: %v", err)
		}
		if causes, err := engine().Explain(t.Context(), s.superuser()); causes != nil || err != nil {
			t.Errorf("of nothing: %v, %v", causes, err)
		}
	})
}

// TestAnOriginalThatIsGoneIsNotPromisedToComeBack: no rotation makes one. A role in its place is named.
func TestAnOriginalThatIsGoneIsNotPromisedToComeBack(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		user, _ := s.NewRole(t, "LOGIN")
		clone := user + "_clone"
		s.run(t, "CREATE ROLE "+clone+" LOGIN PASSWORD 'x' IN ROLE "+user)
		pair := strategies.Pair{Original: user, Clone: clone, Target: user}
		s.run(t, "ALTER ROLE "+user+" RENAME TO "+user+"old")
		_, err := engine().DryRunEnsureClone(t.Context(), s.superuser(), pair, password())
		wants(t, err, rotator.KindNotFound, "ALTER ROLE "+quoteIdent(user+"old")+" RENAME TO "+quoteIdent(user),
			"No rotation makes an original")
		s.run(t, "DROP ROLE "+user+"old")
		_, err = engine().DryRunEnsureClone(t.Context(), s.superuser(), pair, password())
		wants(t, err, rotator.KindNotFound, "CREATE ROLE "+quoteIdent(user)+" LOGIN", "No rotation makes an original")
		s.run(t, "DROP ROLE "+clone)
	})
}
