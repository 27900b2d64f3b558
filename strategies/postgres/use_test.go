package postgres

import (
	"errors"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/strategies"
)

// TestWhatIsSetForClients: what a role, its database or all roles have set, and clients fail by, is named where the
// login alone says that all is well, with the line that ends it. What is so on purpose as a rule is not.
func TestWhatIsSetForClients(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		app, pw := s.NewRole(t, "LOGIN")
		login := s.login(app, pw)
		login.Database = s.NewDatabase(t, app)
		there := with(s.superuser(), func(l *strategies.Login) { l.Database = login.Database })
		in := strings.NewReplacer("%u", app, "%d", login.Database)
		for breaks, c := range map[string]struct {
			says string // "": nothing
			from int
		}{
			"ALTER ROLE %u SET search_path = gone":                                               {"none of the schemas", 0},
			"ALTER DATABASE %d SET search_path = gone, \"$user\"":                                {"none of the schemas", 0},
			"ALTER ROLE %u SET search_path = ''":                                                 {"", 0}, // names with their schemas
			"ALTER ROLE %u SET search_path = gone, public":                                       {"", 0},
			"ALTER ROLE %u IN DATABASE %d SET statement_timeout = '90ms'":                        {"statement_timeout", 0},
			"ALTER ROLE %u SET statement_timeout = '1s'":                                         {"", 0},
			"ALTER DATABASE %d SET idle_in_transaction_session_timeout = 60":                     {"idle_in_transaction_session_timeout", 0},
			"ALTER ROLE %u SET idle_session_timeout = 99":                                        {"idle_session_timeout", 14},
			"ALTER ROLE %u SET transaction_timeout = 99":                                         {"transaction_timeout", 17},
			"ALTER ROLE %u SET lock_timeout = 50":                                                {"", 0}, // to try again later
			"ALTER ROLE %u IN DATABASE postgres SET idle_in_transaction_session_timeout = '1ms'": {"", 0},
		} {
			if s.Major < c.from {
				continue
			}
			breaks = in.Replace(breaks)
			ok(t, s.as(t, there, breaks))
			remark, err := engine().TestUse(t.Context(), login)
			// On a busy machine, what is set ends what asks for it, too.
			for try := 0; try < 50 && err != nil && strings.Contains(c.says, "timeout"); try++ {
				remark, err = engine().TestUse(t.Context(), login)
			}
			ok(t, err)
			set, _, _ := strings.Cut(breaks, " = ")
			by, name, _ := strings.Cut(set, " SET ")
			if !strings.Contains(remark.Text, c.says) || (remark.Text == "") != (c.says == "") || c.says != "" &&
				!strings.Contains(remark.Text, by) {
				t.Errorf("%s: %q", breaks, remark.Text)
			}
			for _, f := range remark.Fixes {
				if !strings.HasPrefix(f.For, "if that is not on purpose") {
					t.Errorf("%s: %+v", breaks, f)
				}
				ok(t, s.as(t, there, f.Run))
			}
			if c.says == "" {
				s.run(t, by+" RESET "+name)
			}
			if remark, err := engine().TestUse(t.Context(), login); err != nil || remark.Text != "" {
				t.Errorf("%s: after what is printed: %v, %v", breaks, remark, err)
			}
		}
	})
}

// TestALimitThatEndsWhatShowsIt: a database's limit of time in milliseconds ends the session of an administrator there,
// too, and what is printed shows it all the same, and ends it.
func TestALimitThatEndsWhatShowsIt(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		app, pw := s.NewRole(t, "LOGIN")
		login := s.login(app, pw)
		for setting, from := range map[string]int{"statement_timeout": 0, "transaction_timeout": 17} {
			if s.Major < from {
				continue
			}
			login.Database = s.NewDatabase(t, app)
			s.run(t, "ALTER DATABASE "+login.Database+" SET "+setting+" = 1")
			err := error(nil)
			for try := 0; try < 50 && !errors.Is(err, rotator.KindDeadline); try++ { // a closed connection may come first
				var session *session
				if session, err = engine().connect(t.Context(), login); err == nil {
					_, err = session.query(t.Context(), operation{action: "waiting"}, "SELECT pg_sleep(60)")
					session.close()
				}
			}
			wants(t, err, rotator.KindDeadline, setting)
			fixes := rotator.FixesOf(err)
			if len(fixes) != 2 || fixes[1].For != asShown {
				t.Fatalf("%s: %v: %+v", setting, err, fixes)
			}
			run := ""
			for try := 0; try < 50 && run == ""; try++ { // a busy machine takes longer for the first words
				conn, err := s.Connect(t.Context(), s.Superuser, s.Password, login.Database)
				if err != nil {
					continue
				}
				results, _ := conn.PgConn().Exec(t.Context(), fixes[0].Run).ReadAll()
				for _, result := range results {
					for _, row := range result.Rows {
						if strings.HasPrefix(string(row[0]), "ALTER DATABASE "+login.Database) {
							run = string(row[0])
						}
					}
				}
				conn.Close(t.Context())
			}
			if run == "" {
				t.Fatalf("%s ends what shows it: %s", setting, fixes[0].Run)
			}
			s.run(t, run)
			_, err = engine().TestUse(t.Context(), login)
			ok(t, err)
		}
	})
}

// TestAnOwnerThatMayDoNothing: where a setting role has sessions act as a role that may do nothing, what the user itself
// may do is of no use to clients.
func TestAnOwnerThatMayDoNothing(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		app, pw := s.NewRole(t, "LOGIN")
		owner, _ := s.NewRole(t, "NOLOGIN")
		login := s.login(app, pw)
		login.Database = s.NewDatabase(t, app)
		there := with(s.superuser(), func(l *strategies.Login) { l.Database = login.Database })
		s.run(t, "GRANT "+owner+" TO "+app)
		ok(t, s.as(t, login, "CREATE TABLE things (id int)"))
		for _, by := range []string{"ALTER DATABASE " + login.Database, "ALTER ROLE " + app, "ALTER ROLE " + app +
			" IN DATABASE " + login.Database} {
			ok(t, s.as(t, there, by+" SET role = "+owner))
			if s.as(t, login, "SELECT * FROM things") == nil {
				t.Error("clients can read")
			}
			remark, err := engine().TestUse(t.Context(), login)
			ok(t, err)
			if len(remark.Fixes) != 1 || remark.Fixes[0].Run != by+" RESET role" || !strings.Contains(remark.Text, "act as role") {
				t.Fatalf("%+v", remark)
			}
			s.run(t, "GRANT CREATE ON DATABASE "+login.Database+" TO "+owner)
			if remark, err := engine().TestUse(t.Context(), login); err != nil || remark.Text != "" {
				t.Errorf("it may do something: %v, %v", remark, err)
			}
			s.run(t, "REVOKE CREATE ON DATABASE "+login.Database+" FROM "+owner, remark.Fixes[0].Run)
			ok(t, s.as(t, login, "SELECT * FROM things"))
			if remark, err := engine().TestUse(t.Context(), login); err != nil || remark.Text != "" {
				t.Errorf("after what is printed: %v, %v", remark, err)
			}
		}
	})
}

// TestASchemaThatMayNotBeUsed: a privilege on a table is of no use without USAGE of its schema, which is given to the
// role that has the privilege: to a clone it would be one of its own.
func TestASchemaThatMayNotBeUsed(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		r := newRotation(t, s, "")
		r.turn(t, true)
		there := with(s.superuser(), func(l *strategies.Login) { l.Database = r.original.Database })
		o := quoteIdent(r.pair.Original)
		ok(t, s.as(t, there, "CREATE SCHEMA shop", "CREATE SCHEMA other", "CREATE TABLE shop.things (id int)",
			"CREATE TABLE other.things (id int)", "GRANT SELECT ON shop.things TO "+o))
		for _, login := range []strategies.Login{r.original, r.clone} {
			ok(t, s.as(t, there, "REVOKE USAGE ON SCHEMA shop FROM "+o))
			r.mustAs(t, login, "CREATE TEMP TABLE mine (id int)")
			remark, err := engine().TestUse(t.Context(), login)
			ok(t, err)
			if len(remark.Fixes) != 1 || !strings.Contains(remark.Text, `schema "shop"`) ||
				!strings.HasPrefix(remark.Fixes[0].For, "if ") || remark.Fixes[0].Run != `GRANT USAGE ON SCHEMA "shop" TO `+o {
				t.Fatalf("%+v", remark)
			}
			ok(t, s.as(t, there, remark.Fixes[0].Run))
			r.mustAs(t, login, "SELECT * FROM shop.things")
			if remark, err := engine().TestUse(t.Context(), login); err != nil || remark.Text != "" {
				t.Errorf("after what is printed: %v, %v", remark, err)
			}
		}
		app, pw := s.NewRole(t, "LOGIN NOINHERIT")
		s.run(t, "GRANT "+o+" TO "+app)
		login := s.login(app, pw)
		login.Database = r.original.Database
		if remark, err := engine().TestUse(t.Context(), login); err != nil || len(remark.Fixes) > 0 {
			t.Errorf("the role that has the privileges may use them: %v, %v", remark, err)
		}
	})
}
