package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
)

// rotation is a pair that takes turns, as clients see it.
type rotation struct {
	s               server
	admin           strategies.Login
	pair            strategies.Pair
	original, clone strategies.Login
	consent         bool // the superuser secret names the pair
}

// newRotation makes an original with a database of its own, and a superuser of
// the kind that RDS has.
func newRotation(t *testing.T, s server, attributes string) *rotation {
	t.Helper()
	name, pw := s.NewRole(t, "LOGIN "+attributes)
	r := &rotation{s: s, admin: s.master(t, name), pair: strategies.Pair{Original: name, Clone: name + "_clone"}}
	r.original, r.clone = s.login(name, pw), s.login(name+"_clone", "")
	db := s.NewDatabase(t, name)
	r.admin.Database, r.original.Database, r.clone.Database = db, db, db
	return r
}

// turn rotates to the clone, or back, and sees that both accounts log in after it.
func (r *rotation) turn(t *testing.T, toClone bool) {
	t.Helper()
	next, pair, p := &r.original, r.pair, password()
	if pair.Target = pair.Original; toClone {
		next, pair.Target = &r.clone, pair.Clone
	}
	old := *next
	pair.Consent, pair.Possession = r.consent,
		func(ctx context.Context, _ func(secret.Password) bool) error { return engine().Ping(ctx, old) }
	if old.Password.Empty() {
		pair.Possession = nil
	}
	ok(t, engine().EnsureClone(t.Context(), r.admin, pair, p))
	next.Password = p
	ok(t, engine().Ping(t.Context(), r.original))
	ok(t, engine().Ping(t.Context(), r.clone))
	if !old.Password.Empty() {
		wants(t, engine().Ping(t.Context(), old), rotator.KindLoginRejected)
	}
}

func (r *rotation) mustAs(t *testing.T, who strategies.Login, statements ...string) {
	t.Helper()
	ok(t, r.s.as(t, who, statements...))
}

// roleSetting is what sessions of the clone act as.
func (r *rotation) roleSetting(t *testing.T) string {
	t.Helper()
	return r.s.ask(t, `SELECT coalesce(string_agg(c, ' ' ORDER BY c), '') FROM pg_db_role_setting s, unnest(s.setconfig) c
WHERE s.setrole = (SELECT oid FROM pg_roles WHERE rolname = $1) AND s.setdatabase = 0 AND c LIKE 'role=%'`, r.pair.Clone)
}

// attributes is what pg_authid says of an account, but for its name and password.
func (r *rotation) attributes(t *testing.T, name string) string {
	t.Helper()
	return r.s.ask(t, `SELECT (to_jsonb(a) - 'oid' - 'rolname' - 'rolpassword')::text FROM pg_authid a WHERE rolname = $1`, name)
}

// settings is all settings of an account but its role.
func (r *rotation) settings(t *testing.T, name string) string {
	t.Helper()
	return r.s.ask(t, `SELECT coalesce(string_agg(s.setdatabase || ' ' || c, E'\n' ORDER BY s.setdatabase, c), '') FROM pg_db_role_setting s, unnest(s.setconfig) c
WHERE s.setrole = (SELECT oid FROM pg_roles WHERE rolname = $1) AND c NOT LIKE 'role=%'`, name)
}

// TestIssue175 is aws-samples' issue 175: tables that the clone made were out of the
// original's reach. Over many rotations, what either makes, both can use, alter and
// drop, and the original's default privileges and policies hold for it.
func TestIssue175(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		r := newRotation(t, s, "")
		reader, readerPw := s.NewRole(t, "LOGIN")
		r.mustAs(t, r.original, "CREATE SCHEMA work", "GRANT USAGE ON SCHEMA work TO "+reader,
			"ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO "+reader,
			"CREATE TABLE work.first (id serial, owner name DEFAULT current_user)",
			"ALTER TABLE work.first ENABLE ROW LEVEL SECURITY", "ALTER TABLE work.first FORCE ROW LEVEL SECURITY",
			fmt.Sprintf("CREATE POLICY mine ON work.first TO %s USING (owner = current_user)", r.pair.Original))
		for i := range 5 {
			toClone := i%2 == 0
			r.turn(t, toClone)
			maker, user := r.original, r.clone
			if toClone {
				maker, user = r.clone, r.original
			}
			r.mustAs(t, maker,
				fmt.Sprintf("CREATE TABLE work.t%d (id serial PRIMARY KEY, n int)", i),
				fmt.Sprintf("CREATE SEQUENCE work.s%d", i),
				fmt.Sprintf("CREATE FUNCTION work.f%d() RETURNS int LANGUAGE sql AS 'SELECT 1'", i),
				"INSERT INTO work.first DEFAULT VALUES")
			r.mustAs(t, user,
				fmt.Sprintf("INSERT INTO work.t%d (n) VALUES (1)", i),
				fmt.Sprintf("ALTER TABLE work.t%d ADD COLUMN c%d text", i, i),
				fmt.Sprintf("SELECT nextval('work.s%d')", i),
				fmt.Sprintf("CREATE OR REPLACE FUNCTION work.f%d() RETURNS int LANGUAGE sql AS 'SELECT 2'", i),
				fmt.Sprintf("DO $$ BEGIN IF (SELECT count(*) FROM work.first) <> %d THEN RAISE 'rows are hidden'; "+
					"END IF; END $$", i+1),
				fmt.Sprintf("DROP SEQUENCE work.s%d", i))
			reading := s.login(reader, readerPw)
			reading.Database = r.original.Database
			r.mustAs(t, reading, fmt.Sprintf("SELECT * FROM work.t%d", i))
			r.mustAs(t, maker, fmt.Sprintf("DROP FUNCTION work.f%d()", i))
			r.mustAs(t, user, fmt.Sprintf("DROP TABLE work.t%d", i))
		}
		if got := r.roleSetting(t); got != "role="+r.pair.Original {
			t.Errorf("the clone acts as %q", got)
		}
		if got := r.s.ask(t, "SELECT count(*)::text FROM pg_auth_members WHERE member = (SELECT oid FROM pg_roles "+
			"WHERE rolname = $1)", r.pair.Original); got != "0" {
			t.Error("the original became a member of something")
		}
		admins := s.ask(t, "SELECT pg_has_role($1, $2, 'USAGE')::text", r.admin.User, r.pair.Original)
		if admins != "false" {
			t.Error("the superuser kept the membership that it had for a moment")
		}
	})
}

// TestIssue38And56 are aws-samples' issues 38 and 56: a clone that exists already got a
// password and no rights.
func TestIssue38And56(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		for _, attributes := range []string{"INHERIT", "NOINHERIT"} {
			r := newRotation(t, s, "")
			r.consent = true // nothing else speaks for a clone that was there before
			r.mustAs(t, r.original, "CREATE TABLE mine (id int)")
			s.run(t, fmt.Sprintf("CREATE ROLE %s LOGIN %s PASSWORD 'x'", r.pair.Clone, attributes))
			if s.Major >= 16 {
				s.run(t, fmt.Sprintf("GRANT %s TO %s WITH ADMIN OPTION", r.pair.Clone, r.admin.User))
			}
			r.turn(t, true)
			r.mustAs(t, r.clone, "SELECT * FROM mine", "CREATE TABLE ours (id int)")
			r.mustAs(t, r.original, "SELECT * FROM ours", "DROP TABLE ours")

			// A membership that gives nothing is made to give everything.
			s.run(t, fmt.Sprintf("ALTER ROLE %s RESET role", r.pair.Clone))
			if s.Major >= 16 {
				s.run(t, fmt.Sprintf("GRANT %s TO %s WITH INHERIT FALSE, SET FALSE", r.pair.Original, r.pair.Clone))
			} else {
				s.run(t, fmt.Sprintf("ALTER ROLE %s NOINHERIT", r.pair.Clone))
			}
			r.turn(t, true)
			r.mustAs(t, r.clone, "RESET role", "SELECT * FROM mine")
			if got := s.ask(t, "SELECT pg_has_role($1, $2, 'USAGE')::text", r.pair.Clone,
				r.pair.Original); got != "true" {
				t.Error("the clone does not inherit")
			}
		}
	})
}

// TestCloneInUseGetsMembership: at the original's turn too.
func TestCloneInUseGetsMembership(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		r := newRotation(t, s, "CONNECTION LIMIT 5 CREATEDB")
		s.run(t, fmt.Sprintf("ALTER ROLE %s SET work_mem = '7MB'", r.pair.Original),
			fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD 'x' CONNECTION LIMIT 9", r.pair.Clone),
			fmt.Sprintf("ALTER ROLE %s SET work_mem = '8MB'", r.pair.Clone))
		r.clone = with(r.clone, func(l *strategies.Login) { l.Password = s.login("", "x").Password })
		r.mustAs(t, r.original, "CREATE TABLE mine (id int)")
		original, clone := r.attributes(t, r.pair.Original), r.attributes(t, r.pair.Clone)
		originalSet, cloneSet := r.settings(t, r.pair.Original), r.settings(t, r.pair.Clone)
		r.turn(t, false)
		r.mustAs(t, r.clone, "SELECT * FROM mine")
		// Nothing is copied back from a clone that AWS's template may have made,
		// and the account in use stays as it is.
		if r.attributes(t, r.pair.Original) != original || r.settings(t, r.pair.Original) != originalSet {
			t.Error("the original changed")
		}
		if r.attributes(t, r.pair.Clone) != clone || r.settings(t, r.pair.Clone) != cloneSet || r.roleSetting(t) != "" {
			t.Error("the account in use changed")
		}
	})
}

// TestCloneWithRights: a clone that owns something, has been granted something or
// is in a group of its own keeps that, and so does not act as the original. Moved
// over as the documentation says, it does.
func TestCloneWithRights(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		for name, give := range map[string]func(r *rotation) string{
			"owns": func(r *rotation) string { return "CREATE SCHEMA old AUTHORIZATION " + r.pair.Clone },
			"granted": func(r *rotation) string {
				return "CREATE TABLE g (id int); GRANT SELECT ON g TO " + r.pair.Clone
			},
			"defaults": func(r *rotation) string {
				return "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO " + r.pair.Clone
			},
			"group": func(r *rotation) string {
				g, _ := s.NewRole(t, "NOLOGIN")
				return "GRANT " + g + " TO " + r.pair.Clone
			},
		} {
			r := newRotation(t, s, "")
			r.consent = true // nothing else speaks for a clone that was there before
			s.run(t, fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD 'x' IN ROLE %s", r.pair.Clone, r.pair.Original))
			if s.Major >= 16 {
				s.run(t, fmt.Sprintf("GRANT %s TO %s WITH ADMIN OPTION", r.pair.Clone, r.admin.User))
			}
			inDatabase := func(sql string) {
				conn, err := s.Admin(t.Context(), r.original.Database)
				ok(t, err)
				defer conn.Close(t.Context())
				_, err = conn.PgConn().Exec(t.Context(), sql).ReadAll()
				ok(t, err)
			}
			inDatabase(give(r))
			r.turn(t, true)
			r.turn(t, false)
			if got := r.roleSetting(t); got != "" {
				t.Errorf("%s: the clone acts as %q and loses its own rights", name, got)
			}
			next := pairAt(r.pair, r.pair.Clone)
			next.Consent = true
			warnings, err := engine().DryRunEnsureClone(t.Context(), r.admin, next, password())
			ok(t, err)
			if !slices.ContainsFunc(warnings, func(w strategies.Warning) bool {
				return len(w.Fixes) == 1 && strings.HasPrefix(w.Fixes[0].For, rotator.BeforeRotating)
			}) {
				t.Errorf("%s: nothing is to be run before the next rotation: %+v", name, warnings)
			}
			inDatabase(fmt.Sprintf("REASSIGN OWNED BY %s TO %s; DROP OWNED BY %s", r.pair.Clone, r.pair.Original,
				r.pair.Clone))
			s.run(t, fmt.Sprintf(`DO $$ DECLARE g name; BEGIN FOR g IN SELECT roleid::regrole::name FROM pg_auth_members
WHERE member = '%s'::regrole AND roleid <> '%s'::regrole LOOP EXECUTE format('REVOKE %%I FROM %s', g); END LOOP; END $$`, r.pair.Clone, r.pair.Original, r.pair.Clone))
			r.turn(t, true)
			if got := r.roleSetting(t); got != "role="+r.pair.Original {
				t.Errorf("%s: after it was moved over, the clone acts as %q", name, got)
			}
		}
	})
}

func TestCloneTakesAfterOriginal(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		r := newRotation(t, s, "CONNECTION LIMIT 7 CREATEDB CREATEROLE VALID UNTIL '2999-01-01'")
		o := r.pair.Original
		s.run(t,
			fmt.Sprintf(`ALTER ROLE %s SET search_path = "$user", "odd, ""name""", public`, o),
			fmt.Sprintf(`ALTER ROLE %s SET work_mem = '7MB'`, o),
			fmt.Sprintf(`ALTER ROLE %s SET "TimeZone" = 'Europe/Berlin'`, o),
			fmt.Sprintf(`ALTER ROLE %s SET temp_tablespaces = ''`, o),
			fmt.Sprintf(`ALTER ROLE %s IN DATABASE %s SET work_mem = '9MB'`, o, r.original.Database))
		r.turn(t, true)
		same := func() {
			t.Helper()
			if got, want := r.settings(t, r.pair.Clone), r.settings(t, o); got != want {
				t.Errorf("settings of the clone:\n%s\nwant\n%s", got, want)
			}
			got, want := r.attributes(t, r.pair.Clone), r.attributes(t, o)
			if got != want {
				t.Errorf("attributes of the clone: %s, want %s", got, want)
			}
		}
		same()
		r.turn(t, false)
		same()
		s.run(t, fmt.Sprintf("ALTER ROLE %s CONNECTION LIMIT 3 NOCREATEDB NOCREATEROLE VALID UNTIL '3000-01-01'", o),
			fmt.Sprintf("ALTER ROLE %s RESET search_path", o), fmt.Sprintf("ALTER ROLE %s SET work_mem = '6MB'", o),
			fmt.Sprintf("ALTER ROLE %s IN DATABASE %s RESET ALL", o, r.original.Database))
		r.turn(t, true)
		same()
		s.run(t, fmt.Sprintf("ALTER ROLE %s VALID UNTIL '2000-01-01'", r.pair.Clone)) // the original was extended, and it was not
		r.turn(t, true)
		same()
		before := s.everything(t, r.pair.Original+"%")
		r.turn(t, true)
		if after := s.everything(t, r.pair.Original+"%"); len(after) != len(before) {
			t.Errorf("a second time changed something:\n%s\n%s", before, after)
		}
	})
}

// TestListThatNoSETWrote: a list of names that a session had from elsewhere is stored as it is, and there the server
// reads names without quotes as small letters, and skips white space.
func TestListThatNoSETWrote(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		r := newRotation(t, s, "")
		r.mustAs(t, r.original, "CREATE SCHEMA myapp", "CREATE TABLE myapp.t (id int)",
			`SELECT set_config('search_path', E'"Other",\n\tMyApp', false)`,
			fmt.Sprintf("ALTER ROLE %s SET search_path FROM CURRENT", r.pair.Original))
		r.mustAs(t, r.original, "SELECT * FROM t")
		r.turn(t, true)
		r.mustAs(t, r.clone, "SELECT * FROM t")
	})
}

// TestWarningsOfAPair: what would end the login of the user that clients are moved to is said before, and what the
// clone has beside the original is named as the clone's.
func TestWarningsOfAPair(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		r := newRotation(t, s, "")
		r.turn(t, true)
		s.run(t, fmt.Sprintf("ALTER ROLE %s VALID UNTIL '%s'", r.pair.Original, time.Now().Add(time.Hour).Format(time.RFC3339)))
		pair := r.pair
		pair.Target = pair.Original
		warnings, err := engine().DryRunEnsureClone(t.Context(), r.admin, pair, password())
		ok(t, err)
		if len(warnings) != 1 || !strings.Contains(warnings[0].Text, "VALID UNTIL") {
			t.Errorf("warnings: %v", warnings)
		}
		pair.Target = pair.Clone
		warnings, err = engine().DryRunEnsureClone(t.Context(), r.admin, pair, password())
		ok(t, err)
		if len(warnings) != 2 || !strings.Contains(warnings[1].Text, pair.Clone) {
			t.Errorf("warnings of both, of which the clone takes over the end: %v", warnings)
		}
		s.run(t, fmt.Sprintf("ALTER ROLE %s VALID UNTIL 'infinity'", r.pair.Original),
			fmt.Sprintf("ALTER ROLE %s SET log_statement = 'all'", r.pair.Clone))
		pair.Target = pair.Clone
		_, err = engine().DryRunEnsureClone(t.Context(), r.admin, pair, password())
		wants(t, err, rotator.KindPrivilege, fmt.Sprintf(`ALTER ROLE "%s" RESET "log_statement"`, r.pair.Clone))
	})
}

// TestSecurityLabels: a label may keep something from a role (PostgreSQL Anonymizer's MASKED), and a clone without it
// would see that. No provider of labels is at hand: one that is not loaded refuses to give its label.
func TestSecurityLabels(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		r := newRotation(t, s, "")
		label := func(role string) {
			t.Helper()
			s.run(t, "INSERT INTO pg_shseclabel SELECT oid, 'pg_authid'::regclass, 'anon', 'MASKED' FROM pg_roles WHERE rolname = '"+role+"'")
		}
		label(r.pair.Original)
		pair := r.pair
		pair.Target = pair.Clone
		err := engine().EnsureClone(t.Context(), r.admin, pair, password())
		wants(t, err, rotator.KindMisconfigured, "security label", "anon", r.pair.Clone)
		if n := s.ask(t, "SELECT count(*)::text FROM pg_roles WHERE rolname = $1", pair.Clone); n != "0" {
			t.Error("a clone without the label was made")
		}
		s.run(t, "DELETE FROM pg_shseclabel")
		r.turn(t, true)
		label(r.pair.Original)
		label(r.pair.Clone)
		r.turn(t, false)
		r.turn(t, true)
		s.run(t, "DELETE FROM pg_shseclabel WHERE objoid = '"+r.pair.Original+"'::regrole")
		wants(t, engine().EnsureClone(t.Context(), r.admin, pair, password()), rotator.KindMisconfigured, "IS NULL")
	})
}

// TestMinorReleasesThatIgnoreTheSettingRole cannot have such a server: the warning rests on its version.
func TestMinorReleasesThatIgnoreTheSettingRole(t *testing.T) {
	t.Parallel()
	for version, warns := range map[int]int{160004: 0, 160005: 1, 160006: 0, 180001: 0, 170001: 1} {
		s := &session{version: version, roles: map[string]role{}}
		got := s.pairWarnings(strategies.Pair{Original: "app", Clone: "app_clone", Target: "app_clone"}, "app")
		if len(got) != warns || warns == 1 && (!got[0].Unknown || !strings.Contains(got[0].Text, "upgrade")) {
			t.Errorf("%d: %v", version, got)
		}
	}
}

// TestAttributesOfSuperusers: what only a superuser may give is asked of nobody who
// need not give it, and named where it is needed.
func TestAttributesOfSuperusers(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		r := newRotation(t, s, "BYPASSRLS")
		pair := r.pair
		pair.Target = pair.Clone
		wants(t, engine().EnsureClone(t.Context(), r.admin, pair, password()), rotator.KindPrivilege, "BYPASSRLS")
		if n := s.ask(t, "SELECT count(*)::text FROM pg_roles WHERE rolname = $1", pair.Clone); n != "0" {
			t.Error("a clone was left behind")
		}
		s.run(t, "ALTER ROLE "+pair.Original+" NOBYPASSRLS", "ALTER ROLE "+pair.Original+" SET log_statement = 'all'")
		wants(t, engine().EnsureClone(t.Context(), r.admin, pair, password()), rotator.KindPrivilege, "log_statement")
		admin := s.superuser()
		ok(t, engine().EnsureClone(t.Context(), admin, pair, password()))
		if s.Major >= 16 {
			wants(t, engine().EnsureClone(t.Context(), r.admin, pair, password()), rotator.KindPrivilege, fmt.Sprintf(`GRANT "%s" TO`, pair.Clone))
			s.run(t, fmt.Sprintf("GRANT %s TO %s WITH ADMIN OPTION", pair.Clone, r.admin.User))
		}
		r.turn(t, true) // now there is nothing left to give
	})
}

// TestSharedOwner: where the original acts as an owner of its own, so does the clone.
func TestSharedOwner(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		owner, _ := s.NewRole(t, "NOLOGIN")
		r := newRotation(t, s, "IN ROLE "+owner)
		s.run(t, fmt.Sprintf("ALTER ROLE %s SET role = '%s'", r.pair.Original, owner),
			fmt.Sprintf("ALTER DATABASE %s OWNER TO %s", r.original.Database, owner))
		r.turn(t, true)
		r.turn(t, false)
		r.turn(t, true)
		if got := r.roleSetting(t); got != "role="+owner {
			t.Errorf("the clone acts as %q", got)
		}
		r.mustAs(t, r.clone, "CREATE SCHEMA work", "CREATE TABLE work.t (id int)")
		r.mustAs(t, r.original, "ALTER TABLE work.t ADD n int", "DROP TABLE work.t")
	})
}

// TestSettingRoleOfADatabase: what sessions of the original act as in one database alone, those of the clone
// act as there, and no client loses by it: neither what the clone owned before, nor what the other user of the
// pair creates.
func TestSettingRoleOfADatabase(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		for name, c := range map[string]struct {
			general, inDatabase string // what the original is set to act as; O, F are the two, N another, and "" for none
			old                 bool   // the clone was made by AWS's template, and owns a table
			ofAll               string // what all users of the database are set to act as
		}{
			"an owner there":                     {"", "F", false, ""},
			"an owner there, a clone of before":  {"", "F", true, ""},
			"an owner everywhere, and before":    {"F", "", true, ""},
			"itself there":                       {"", "none", false, ""},
			"itself there, an owner elsewhere":   {"F", "none", false, ""},
			"by its name there, owner elsewhere": {"F", "O", false, ""},
			"all users an owner there":           {"", "", false, "F"},
			"all of them, itself everywhere":     {"none", "", false, "F"},
			"what it may not be":                 {"N", "", false, ""},
			"what it may not be, all an owner":   {"N", "N", false, "F"},
			"itself there, a clone of before":    {"F", "none", true, ""},
		} {
			t.Run(name, func(t *testing.T) {
				owner, _ := s.NewRole(t, "NOLOGIN")
				r := newRotation(t, s, "IN ROLE "+owner)
				other, _ := s.NewRole(t, "NOLOGIN")
				words := strings.NewReplacer("O", r.pair.Original, "F", owner, "N", other)
				s.run(t, fmt.Sprintf("ALTER DATABASE %s OWNER TO %s", r.original.Database, owner))
				if c.general != "" {
					s.run(t, fmt.Sprintf("ALTER ROLE %s SET role = '%s'", r.pair.Original, words.Replace(c.general)))
				}
				if c.inDatabase != "" {
					s.run(t, fmt.Sprintf("ALTER ROLE %s IN DATABASE %s SET role = '%s'", r.pair.Original,
						r.original.Database, words.Replace(c.inDatabase)))
				}
				if c.ofAll != "" {
					s.run(t, fmt.Sprintf("ALTER DATABASE %s SET role = '%s'", r.original.Database,
						words.Replace(c.ofAll)))
				}
				if c.old {
					r.consent, r.clone.Password = true, password()
					s.run(t, fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s' IN ROLE %s", r.pair.Clone,
						r.clone.Password.Reveal(), r.pair.Original))
					if s.Major >= 16 {
						s.run(t, fmt.Sprintf("GRANT %s TO %s WITH ADMIN OPTION", r.pair.Clone, r.admin.User))
					}
					r.mustAs(t, r.clone, "CREATE SCHEMA old", "CREATE TABLE old.t (id int)")
				}
				r.turn(t, true)
				if c.old {
					r.mustAs(t, r.clone, "SELECT * FROM old.t")
				} else {
					r.mustAs(t, r.clone, "CREATE SCHEMA work", "CREATE TABLE work.t (id int)")
					r.mustAs(t, r.original, "ALTER TABLE work.t ADD n int", "DROP TABLE work.t")
				}
				ok(t, engine().TestClone(t.Context(), r.clone, r.pair))
				before := s.everything(t, r.pair.Clone)
				r.turn(t, true)
				if after := s.everything(t, r.pair.Clone); len(after) != len(before) {
					t.Errorf("a second time changed something:\n%s\n%s", before, after)
				}
			})
		}
	})
}

// TestASettingRoleThatIsNotTheSuperusers: what the owner of a database has all sessions there act as takes no power from
// a superuser that is a member of that.
func TestASettingRoleThatIsNotTheSuperusers(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		owner, _ := s.NewRole(t, "NOLOGIN")
		r := newRotation(t, s, "IN ROLE "+owner)
		s.run(t, fmt.Sprintf("GRANT %s TO %s", owner, r.admin.User),
			fmt.Sprintf("ALTER DATABASE %s OWNER TO %s", r.original.Database, owner),
			fmt.Sprintf("ALTER DATABASE %s SET role = '%s'", r.original.Database, owner))
		r.turn(t, true)
		r.mustAs(t, r.clone, "CREATE SCHEMA work", "CREATE TABLE work.t (id int)")
		r.turn(t, false)
		r.mustAs(t, r.original, "DROP TABLE work.t")
		r.turn(t, true)
		for _, boss := range []strategies.Login{r.admin, s.superuser()} {
			boss.Database = r.original.Database
			ok(t, engine().SetPassword(t.Context(), boss, r.pair.Original, password()))
		}
	})
}

// TestClientsAreMovedWhereTheyMayConnect: at the original's turn nothing but its password is set.
func TestClientsAreMovedWhereTheyMayConnect(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		r := newRotation(t, s, "")
		r.turn(t, true)
		o, c, db := r.pair.Original, r.pair.Clone, r.original.Database
		pair := r.pair
		pair.Target = pair.Original
		try := func(words ...string) {
			t.Helper()
			before := s.everything(t, o+"%")
			_, err := engine().DryRunEnsureClone(t.Context(), r.admin, pair, password())
			wants(t, err, rotator.KindMisconfigured, words...)
			wants(t, engine().EnsureClone(t.Context(), r.admin, pair, password()), rotator.KindMisconfigured, words...)
			if s.everything(t, o+"%") != before {
				t.Error("a refused call changed something")
			}
		}
		s.run(t, "ALTER ROLE "+o+" CONNECTION LIMIT 0")
		try("CONNECTION LIMIT 0")
		s.run(t, "ALTER ROLE "+o+" CONNECTION LIMIT -1")
		r.turn(t, false)
		s.run(t, "ALTER ROLE "+c+" CONNECTION LIMIT 0")
		r.turn(t, true) // the clone gets its original's
		s.run(t, "ALTER DATABASE "+db+" OWNER TO "+s.Superuser, "REVOKE CONNECT ON DATABASE "+db+" FROM PUBLIC",
			"GRANT CONNECT ON DATABASE "+db+" TO "+c+", "+r.admin.User)
		try("may not connect")
		s.run(t, "GRANT CONNECT ON DATABASE "+db+" TO "+o)
		r.turn(t, false)
	})
}

// TestTheLimitOfASuperuser: no limit counts for a superuser, and its clone is none. Until PostgreSQL 15 that would put
// the superuser into the hands of every role with CREATEROLE: no such clone is made, and one that is there is warned of.
func TestTheLimitOfASuperuser(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		r := newRotation(t, s, "SUPERUSER CONNECTION LIMIT 0")
		r.admin = with(s.superuser(), func(l *strategies.Login) { l.Database = r.admin.Database })
		if s.Major < 16 {
			pair := r.pair
			pair.Target = pair.Clone
			err := engine().EnsureClone(t.Context(), r.admin, pair, password())
			wants(t, err, rotator.KindMisconfigured, "every role with CREATEROLE")
			_, err = engine().DryRunEnsureClone(t.Context(), r.admin, pair, password())
			wants(t, err, rotator.KindMisconfigured, "every role with CREATEROLE")
			s.run(t, fmt.Sprintf("CREATE ROLE %s LOGIN; GRANT %s TO %[1]s", r.pair.Clone, r.pair.Original))
			r.consent = true
			pair.Consent = true
			warnings, err := engine().DryRunEnsureClone(t.Context(), r.admin, pair, password())
			ok(t, err)
			if !strings.Contains(fmt.Sprint(warnings), "every role with CREATEROLE may grant it to itself") {
				t.Errorf("no warning of it: %v", warnings)
			}
			creator, pw := s.NewRole(t, "LOGIN CREATEROLE")
			ok(t, s.as(t, s.login(creator, pw), "GRANT "+r.pair.Clone+" TO "+creator, "SET ROLE "+r.pair.Original))
		}
		r.turn(t, true)
		r.turn(t, false)
		r.turn(t, true)
	})
}

// TestReversedMembership: the original is a member of the clone, by somebody's design. What is the original's own is
// then
// out of the clone's reach: it is for the clone to own.
func TestReversedMembership(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		r := newRotation(t, s, "")
		r.consent = true // nothing else speaks for a clone that was there before
		s.run(t, fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD 'x'", r.pair.Clone),
			fmt.Sprintf("GRANT %s TO %s", r.pair.Clone, r.pair.Original))
		if s.Major >= 16 {
			s.run(t, fmt.Sprintf("GRANT %s TO %s WITH ADMIN OPTION", r.pair.Clone, r.admin.User))
		}
		pair := r.pair
		pair.Target, pair.Consent = pair.Clone, true
		_, err := engine().DryRunEnsureClone(t.Context(), r.admin, pair, password())
		wants(t, err, rotator.KindMisconfigured, "REVOKE", "REASSIGN OWNED BY")
		s.run(t, fmt.Sprintf("REASSIGN OWNED BY %s TO %s", r.pair.Original, r.pair.Clone))
		r.turn(t, true)
		r.turn(t, false)
		if got := r.roleSetting(t); got != "" {
			t.Errorf("the clone acts as %q", got)
		}
	})
}

// TestCloneRefused: every refusal leaves the catalogue as it was.
func TestCloneRefused(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		r := newRotation(t, s, "")
		weak := s.master(t) // as of 16, without ADMIN OPTION
		iam, _ := s.NewRole(t, "LOGIN")
		s.rds(t)
		s.run(t, "GRANT rds_iam TO "+iam)
		locked := newRotation(t, s, "")
		s.run(t, fmt.Sprintf("CREATE ROLE %s NOLOGIN", locked.pair.Clone))
		o, c := r.pair.Original, r.pair.Clone
		type testCase struct {
			as    strategies.Login
			pair  strategies.Pair
			kind  rotator.Kind
			words []string
		}
		cases := map[string]testCase{
			"missing original": {r.admin, strategies.Pair{Original: o + "x", Clone: o + "x_clone",
				Target: o + "x_clone"}, rotator.KindNotFound, []string{o + "x"}},
			"missing original2": {r.admin, strategies.Pair{Original: o + "x", Clone: o + "x_clone", Target: o + "x"},
				rotator.KindNotFound, nil},
			"missing clone": {r.admin, strategies.Pair{Original: o, Clone: c, Target: o}, rotator.KindNotFound,
				[]string{c}},
			"no third account": {r.admin, strategies.Pair{Original: o, Clone: c, Target: iam},
				rotator.KindMisconfigured, nil},
			"one account": {r.admin, strategies.Pair{Original: o, Clone: o, Target: o},
				rotator.KindMisconfigured, nil},
			"name too long": {r.admin, strategies.Pair{Original: o, Clone: strings.Repeat("c", 64),
				Target: strings.Repeat("c", 64)}, rotator.KindMisconfigured, []string{"63"}},
			"ordinary user": {r.original, strategies.Pair{Original: o, Clone: c, Target: c}, rotator.KindPrivilege,
				[]string{"CREATEROLE"}},
			"rds_iam": {s.superuser(), strategies.Pair{Original: iam, Clone: iam + "_clone",
				Target: iam + "_clone"}, rotator.KindMisconfigured, []string{"rds_iam"}},
			"locked clone": {s.superuser(), strategies.Pair{Original: locked.pair.Original,
				Clone: locked.pair.Clone, Target: locked.pair.Clone, Consent: true}, rotator.KindPrivilege, []string{"LOGIN"}},
		}
		if s.Major >= 16 {
			cases["no admin option"] = testCase{weak, strategies.Pair{Original: o, Clone: c, Target: c}, rotator.KindPrivilege, []string{fmt.Sprintf(`GRANT "%s" TO "%s" WITH ADMIN TRUE, INHERIT FALSE, SET FALSE`, o, weak.User)}}
		}
		before, beforeIAM, beforeLocked := s.everything(t, o+"%"), s.everything(t, iam+"%"),
			s.everything(t, locked.pair.Original+"%")
		for name, tc := range cases {
			t.Run(name, func(t *testing.T) {
				wants(t, engine().EnsureClone(t.Context(), tc.as, tc.pair, password()), tc.kind, tc.words...)
			})
		}
		if s.everything(t, o+"%") != before || s.everything(t, iam+"%") != beforeIAM ||
			s.everything(t, locked.pair.Original+"%") != beforeLocked {
			t.Error("a refused call changed something")
		}
	})
}

func TestConcurrentClones(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		r := newRotation(t, s, "CONNECTION LIMIT 9")
		pair := r.pair
		pair.Target = pair.Clone
		p := password()
		errs := make([]error, 6)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() {
				for {
					errs[i] = engine().EnsureClone(t.Context(), r.admin, pair, p)
					// On a busy machine a rotation waits for the others in vain, and says to try again.
					if !errors.Is(errs[i], rotator.KindConflict) {
						return
					}
				}
			})
		}
		wg.Wait()
		ok(t, errors.Join(errs...))
		r.clone.Password = p
		ok(t, engine().Ping(t.Context(), r.clone))
		ok(t, engine().Ping(t.Context(), r.original))
	})
}

func TestHostileClones(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		for _, name := range []string{`a"b`, `Up Per`, `x'; DROP ROLE postgres; --`, `back\slash`, `per%cent%s`, `ünï`, `user`, strings.Repeat("n", 57)} {
			r := &rotation{s: s, admin: s.superuser(), pair: strategies.Pair{Original: name, Clone: name + "_clone"},
				original: s.login(name, "x"), clone: s.login(name+"_clone", "")}
			s.run(t, "CREATE ROLE "+quoteIdent(name)+" LOGIN PASSWORD 'x'", "ALTER ROLE "+quoteIdent(name)+` SET app."Motto" = E'it''s a\\b "c", d=e '`)
			r.turn(t, true)
			if got, want := r.settings(t, r.pair.Clone), r.settings(t, name); got != want || got == "" {
				t.Errorf("settings %s, want %s", got, want)
			}
			r.turn(t, false)
			r.turn(t, true)
			if got := r.roleSetting(t); got != "role="+name {
				t.Errorf("%q: the clone acts as %q", name, got)
			}
		}
	})
}

// TestAUserThatWasMadeAgain: of a pair that was made beforehand, which only the password is set of, one user was dropped,
// and has its password again and nothing else.
func TestAUserThatWasMadeAgain(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		a, _ := s.NewRole(t, "LOGIN")
		b, _ := s.NewRole(t, "LOGIN")
		pair := strategies.Pair{Original: a, Clone: b, Target: b, Named: true, PasswordOnly: true, Consent: true}
		boss := s.master(t, a, b)
		try := func(want string) {
			t.Helper()
			warnings, err := engine().DryRunEnsureClone(t.Context(), boss, pair, password())
			ok(t, err)
			if want == "" != (warnings == nil) || want != "" && !(warnings[0].Unknown &&
				strings.Contains(warnings[0].Text, want)) {
				t.Errorf("warnings %v, want %q", warnings, want)
			}
		}
		try("") // neither may do anything
		s.run(t, "CREATE TABLE "+a+" ()", "GRANT SELECT ON "+a+" TO "+a)
		try(fmt.Sprintf("GRANT %q TO %q", a, b))
		s.run(t, "GRANT INSERT ON "+a+" TO "+b)
		try("")
		s.run(t, "REVOKE INSERT ON "+a+" FROM "+b, fmt.Sprintf("GRANT %q TO %q", a, b))
		try("")
		s.run(t, fmt.Sprintf("REVOKE %q FROM %q", a, b), "ALTER ROLE "+b+" CREATEDB", "ALTER ROLE "+a+" CREATEDB")
		try("")
	})
}

// TestPoolsThatResetSessions: what a pool sends before it hands a session on leaves that acting as the original.
func TestPoolsThatResetSessions(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		r := newRotation(t, s, "")
		r.turn(t, true)
		for i, reset := range []string{"DISCARD ALL", "RESET ALL", "RESET role", "SET SESSION AUTHORIZATION DEFAULT"} {
			r.mustAs(t, r.clone, reset, fmt.Sprintf("CREATE TABLE made_%d ()", i))
			if err := s.as(t, r.original, fmt.Sprintf("DROP TABLE made_%d", i)); err != nil {
				t.Errorf("%s: %v", reset, err)
			}
		}
	})
}

// TestSelfChangeOfClone: the clone acts as the original, and changes its own password.
func TestSelfChangeOfClone(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		r := newRotation(t, s, "")
		r.turn(t, true)
		next := password()
		ok(t, engine().SetPassword(t.Context(), r.clone, r.pair.Clone, next))
		r.clone.Password = next
		ok(t, engine().Ping(t.Context(), r.clone))
		ok(t, engine().Ping(t.Context(), r.original))
	})
}

// TestAPairTurnsWhereTransactionsBeginReadOnly: what a person is told there is not what the rotation itself sends.
func TestAPairTurnsWhereTransactionsBeginReadOnly(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		r := newRotation(t, s, "CONNECTION LIMIT 9 VALID UNTIL '2999-01-01'")
		s.run(t, "ALTER DATABASE "+r.original.Database+" SET default_transaction_read_only = on")
		_, err := engine().DryRunEnsureClone(t.Context(), r.admin, pairAt(r.pair, r.pair.Clone), password())
		ok(t, err)
		r.turn(t, true)
		s.run(t, "ALTER ROLE "+r.pair.Original+" CONNECTION LIMIT 8")
		r.turn(t, false)
		r.turn(t, true)
		if got := s.ask(t, "SELECT rolconnlimit::text FROM pg_roles WHERE rolname = "+quoteLiteral(r.pair.Clone)); got != "8" {
			t.Errorf("the clone's limit is %s", got)
		}
	})
}
