package postgres

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
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
					for i := range causes { // what is said where no label is to be moved
						causes[i].Text = strings.TrimSuffix(causes[i].Text+": "+causes[i].Remedy, ": ")
					}
					if len(causes) != 2 || !strings.Contains(causes[0].Text, c.says) ||
						causes[0].Blocked != c.blocked || strings.Contains(causes[0].Text, pw) {
						t.Fatalf("%+v, want %s", causes, c.says)
					}
					if statement := regexp.MustCompile(`ALTER ROLE [^;]*`).FindString(causes[0].Text); c.blocked && superuser.User != master.User {
						s.run(t, statement)
						ok(t, engine().Ping(t.Context(), login))
					}
				}
				s.ask(t, "SELECT count(*)::text FROM ("+strings.TrimPrefix(engine().Inquiry(user, clone)[0].Run, trusted)+") AS shown")
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

// TestAnEndThatNoSuperuserSaw: where none could look, as of the superuser itself, the line that ends VALID UNTIL stands
// below the query that shows it, and what the end was is to be kept; a stored md5 hash is shown whatever the setting is.
func TestAnEndThatNoSuperuserSaw(t *testing.T) {
	t.Parallel()
	s := server{dbserver.Postgres(t, dbserver.Majors()[0])}
	user, pw := s.NewRole(t, "LOGIN VALID UNTIL '2001-01-01'")
	fixes := engine().Inquiry(user)
	if note := fixes[0].Note; !strings.Contains(note, "whatever current_setting is") {
		t.Errorf("of md5 it says: %s", note)
	}
	end := fixes[len(fixes)-1]
	if !strings.HasPrefix(end.For, "if rolvaliduntil") || !strings.Contains(end.Note, "is lost then") ||
		!end.IsFor(user) {
		t.Fatalf("to be run: %+v", fixes)
	}
	s.run(t, end.Run)
	ok(t, engine().Ping(t.Context(), s.login(user, pw)))
}

// TestThePasswordIsSetBackAndNoMore: the end of a role that is meant stays, and so does a lock; and a warning of an end
// says that its line takes it away.
func TestThePasswordIsSetBackAndNoMore(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		user, pw := s.NewRole(t, "NOLOGIN VALID UNTIL '2999-01-01'")
		line, note, _ := strings.Cut(engine().ResetStatement(user), " -- ")
		const stored = `that one's \own`
		if !strings.HasPrefix(note, "write each ' of the password twice") {
			t.Errorf("of a quote it says nothing: %s", note)
		}
		s.run(t, strings.Replace(line, "'PASSWORD'", "'"+strings.ReplaceAll(stored, "'", "''")+"'", 1))
		if kept := s.ask(t, "SELECT rolcanlogin || ' ' || extract(year FROM rolvaliduntil) FROM pg_roles WHERE rolname = $1",
			user); kept != "false 2999" || !strings.Contains(note, "add LOGIN") || !strings.Contains(note, "add VALID UNTIL") {
			t.Errorf("after %s (%s): %s", line, note, kept)
		}
		s.run(t, "ALTER ROLE "+user+" LOGIN VALID UNTIL 'tomorrow'")
		ok(t, engine().Ping(t.Context(), s.login(user, stored)))
		s.run(t, "ALTER ROLE "+user+" PASSWORD '"+pw+"'")
		warnings, err := engine().DryRunSetPassword(t.Context(), s.superuser(), user, password())
		ok(t, err)
		if len(warnings) != 1 || len(warnings[0].Fixes) != 1 || !strings.Contains(warnings[0].Fixes[0].For, "no end") {
			t.Errorf("%+v", warnings)
		}
	})
}

// TestARoleThatMayBeRenamedIsNotMadeTwice: the query for its name and the rename come first, on lines of their own, and
// of the other user of a pair nothing is said unless there is one.
func TestARoleThatMayBeRenamedIsNotMadeTwice(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		user, pw := s.NewRole(t, "LOGIN")
		s.run(t, "ALTER ROLE "+user+" RENAME TO "+user+"old")
		causes, err := engine().Explain(t.Context(), s.superuser(), s.login(user, pw))
		ok(t, err)
		fixes := causes[0].Fixes
		if len(fixes) != 2 || !strings.HasPrefix(fixes[0].Run, trusted+"SELECT rolname FROM pg_roles") ||
			fixes[1].Run != "ALTER ROLE ... RENAME TO "+quoteIdent(user) || !strings.HasPrefix(fixes[1].For, "if it was renamed") {
			t.Errorf("to be run first: %+v", fixes)
		}
		if strings.Contains(causes[0].Remedy, "_clone") {
			t.Errorf("names a clone that is not there: %s", causes[0].Remedy)
		}
		s.ask(t, "SELECT count(*)::text FROM ("+strings.TrimPrefix(fixes[0].Run, trusted)+") AS shown")
		s.run(t, strings.Replace(fixes[1].Run, "...", quoteIdent(user+"old"), 1))
		ok(t, engine().Ping(t.Context(), s.login(user, pw)))
	})
}

// TestACloneIsLetInAsAMember, and not by a privilege of its own, for which rotations would leave it as it is: where
// the original alone may connect, what is printed has the clone log in, and it acts as the original after the next turns.
func TestACloneIsLetInAsAMember(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		r := newRotation(t, s, "")
		r.turn(t, true)
		o, c, db := r.pair.Original, r.pair.Clone, r.original.Database
		connect := "GRANT CONNECT ON DATABASE " + quoteIdent(db) + " TO "
		s.run(t, "ALTER DATABASE "+db+" OWNER TO "+s.Superuser, "REVOKE CONNECT ON DATABASE "+db+" FROM PUBLIC",
			connect+o+", "+r.admin.User, "ALTER ROLE "+c+" RESET role")
		member := "GRANT " + quoteIdent(o) + " TO " + quoteIdent(c)
		if s.Major >= 16 {
			s.run(t, "GRANT "+o+" TO "+c+" WITH INHERIT FALSE, SET FALSE GRANTED BY "+r.admin.User)
			member += " WITH INHERIT TRUE, SET TRUE"
		} else {
			s.run(t, "REVOKE "+o+" FROM "+c)
		}
		err := engine().Ping(t.Context(), r.clone)
		wants(t, err, rotator.KindPrivilege, "no CONNECT privilege", member)
		fixes := rotator.FixesOf(err)
		if len(fixes) != 4 || fixes[0].Run != connect+quoteIdent(o) || !strings.HasPrefix(fixes[1].Run,
			strings.TrimSuffix(member, " WITH INHERIT TRUE, SET TRUE")) {
			t.Errorf("what its original lacks comes first, and its membership where that was not it: %+v", fixes)
		}
		for _, f := range fixes {
			if !strings.HasPrefix(f.For, "if ") {
				t.Errorf("it may not be so: %+v", f)
			}
		}
		superuser := with(s.superuser(), func(l *strategies.Login) { l.Database = db })
		only := pairAt(r.pair, c)
		only.PasswordOnly, only.Consent = true, true
		_, err = engine().DryRunEnsureClone(t.Context(), superuser, only, password())
		wants(t, err, rotator.KindMisconfigured, member)
		for broken := range 2 {
			if broken == 1 { // the original may not connect either
				s.run(t, "REVOKE CONNECT ON DATABASE "+db+" FROM "+o)
				member = connect + quoteIdent(o)
			}
			causes, err := engine().Explain(t.Context(), superuser, r.clone)
			ok(t, err)
			if run := causes[0].Fixes; len(run) != 1 || !strings.HasPrefix(run[0].Run, member) || !causes[0].Blocked {
				t.Fatalf("want %s: %+v", member, causes)
			}
			s.run(t, strings.Split(causes[0].Fixes[0].Run, "; ")...)
			ok(t, engine().Ping(t.Context(), r.clone))
		}
		r.turn(t, false)
		r.turn(t, true)
		if set := r.roleSetting(t); set != "role="+o {
			t.Errorf("sessions of the clone act as %q", set)
		}
	})
}

func pairAt(pair strategies.Pair, target string) strategies.Pair {
	pair.Target = target
	return pair
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

// TestARoleOfNoPairIsNotToldToBeAnother: of a secret for one user, or for a pair by other names, who has a role as its
// member that is called like a clone of the user's may be another secret's. Nothing is printed that renames it.
func TestARoleOfNoPairIsNotToldToBeAnother(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		owner, _ := s.NewRole(t, "LOGIN")
		user, pw := s.NewRole(t, "LOGIN")
		s.run(t, "CREATE ROLE "+user+"_clone LOGIN IN ROLE "+owner, "DROP ROLE "+user)
		for _, users := range [][]string{{user}, {user, user + "b"}, {user, user + "_clone"}} {
			boss := s.superuser()
			boss.For = &strategies.Holding{Users: users}
			causes, err := engine().Explain(t.Context(), boss, s.login(user, pw))
			ok(t, err)
			want := users[len(users)-1] == user+"_clone"
			if named := strings.Contains(fmt.Sprint(causes), quoteIdent(owner)); named != want || causes[0].Blocked != want {
				t.Errorf("of %v: %+v", users, causes)
			}
		}
		s.run(t, "DROP ROLE "+user+"_clone")
	})
}

// TestNoRolePutsItselfInThePlaceOfAMissingOne: whom to rename is not said by a membership that was granted by who may
// not set the password of the other user: of itself until PostgreSQL 14, or of a role that it has ADMIN OPTION on.
func TestNoRolePutsItselfInThePlaceOfAMissingOne(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		for name, c := range map[string]struct {
			attribute, suffix string // of who grants it, and of who is missing
			itself, named     bool
			from, to          int
		}{
			"the original, itself":          {itself: true, to: 14},
			"the original, by ADMIN OPTION": {to: 99},
			"the original, by one it made":  {attribute: "CREATEROLE", from: 16, to: 99},
			"the original, by CREATEROLE":   {attribute: "CREATEROLE", named: true, to: 15},
			"the clone, by ADMIN OPTION":    {suffix: "_clone", to: 99},
			"the clone, by both":            {attribute: "CREATEROLE", suffix: "_clone", named: true, to: 99},
		} {
			if s.Major < c.from || s.Major > c.to {
				continue
			}
			user, pw := s.NewRole(t, "LOGIN")
			eve, evePW := s.NewRole(t, "LOGIN "+c.attribute)
			candidate, candidatePW := s.NewRole(t, "LOGIN")
			if c.itself {
				candidate = eve
			} else {
				s.run(t, "GRANT "+candidate+" TO "+eve+" WITH ADMIN OPTION")
			}
			s.run(t, "CREATE ROLE "+user+"_clone LOGIN PASSWORD 'x' IN ROLE "+user)
			missing, other, give := user, user+"_clone", "GRANT "+candidate+" TO "+user+"_clone"
			if c.suffix != "" {
				missing, other, give = other, user, "GRANT "+user+" TO "+candidate
				s.run(t, "GRANT "+user+" TO "+eve+" WITH ADMIN OPTION")
			}
			ok(t, s.as(t, s.login(eve, evePW), give))
			if c.suffix != "" {
				ok(t, s.as(t, s.login(candidate, candidatePW), "ALTER ROLE "+candidate+" SET role = '"+user+"'"))
			}
			s.run(t, "DROP ROLE "+missing)
			causes, err := engine().Explain(t.Context(), s.superuser(), s.login(missing, pw))
			ok(t, err)
			if named := strings.Contains(fmt.Sprint(causes), quoteIdent(candidate)); named != c.named || causes[0].Blocked != c.named {
				t.Errorf("%s: %+v", name, causes)
			}
			s.run(t, "DROP ROLE "+other)
		}
	})
}

// TestANameThatAnotherHasNow: where a role of a pair was renamed, and another has its name, that is said of it, to a
// preflight and to status, and no consent is offered by which the secret would get the other one's password.
func TestANameThatAnotherHasNow(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		for turn, suffix := range map[string]string{"the original": "", "the clone": "_clone"} {
			user, pw := s.NewRole(t, "LOGIN")
			clone, clonePW := user+"_clone", password()
			s.run(t, "CREATE ROLE "+clone+" LOGIN PASSWORD '"+clonePW.Reveal()+"' IN ROLE "+user)
			s.run(t, "ALTER ROLE "+clone+" SET role = '"+user+"'")
			taken := user + suffix
			s.run(t, "ALTER ROLE "+taken+" RENAME TO "+user+"old")
			s.run(t, "CREATE ROLE "+taken+" LOGIN PASSWORD 'another'")
			says := []string{"looks like it, renamed", quoteIdent(user+"old") + " RENAME TO " + quoteIdent(taken)}
			pair := strategies.Pair{Original: user, Clone: clone, Target: taken}
			_, err := engine().DryRunEnsureClone(t.Context(), s.superuser(), pair, password())
			wants(t, err, rotator.KindNotEntitled, says...)
			for _, fix := range rotator.FixesOf(err) {
				if strings.Contains(fix.Run, "rotates") || strings.Contains(fix.Run, "GRANT") {
					t.Errorf("%s: printed to be run: %s", turn, fix.Run)
				}
			}
			causes, err := engine().Explain(t.Context(), s.superuser(), s.login(taken, pw))
			ok(t, err)
			if text := causes[0].Text + causes[0].Remedy; !strings.Contains(text, says[0]) || !strings.Contains(text, says[1]) {
				t.Errorf("%s: %+v", turn, causes)
			}
			if turn == "the original" {
				err = engine().TestClone(t.Context(), s.login(clone, clonePW.Reveal()), pair)
				wants(t, err, rotator.KindNotFound, says...)
			}
			if turn == "the original" { // an owner that both share is none of the two, renamed
				s.run(t, "GRANT "+user+"old TO "+taken)
				_, err = engine().DryRunEnsureClone(t.Context(), s.superuser(), pair, password())
				wants(t, err, rotator.KindNotEntitled, "nothing proves that user", `"rotates"`)
				causes, err = engine().Explain(t.Context(), s.superuser(), s.login(taken, pw))
				ok(t, err)
				if !strings.Contains(causes[0].Text, "its password is another") {
					t.Errorf("%+v", causes)
				}
			}
			s.run(t, "DROP ROLE "+taken)
			s.run(t, "DROP ROLE "+user+"old")
			s.run(t, "DROP ROLE "+map[string]string{"": clone, "_clone": user}[suffix])
		}
	})
}

// TestACloneThatLacksItsOriginal is seen by status and by a preflight, with a statement that gives all back as it stands;
// and a rotation moves clients to the original.
func TestACloneThatLacksItsOriginal(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		for name, c := range map[string]struct {
			breaks   []string
			from, to int // the versions that it is of
		}{
			"revoked":                   {[]string{"REVOKE %u FROM %u_clone%by"}, 0, 99},
			"gives nothing":             {[]string{"GRANT %u TO %u_clone WITH INHERIT FALSE, SET FALSE%by"}, 16, 99},
			"not inherited, no setting": {[]string{"GRANT %u TO %u_clone WITH INHERIT FALSE%by", "ALTER ROLE %u_clone RESET role"}, 16, 99},
			"NOINHERIT, no setting":     {[]string{"ALTER ROLE %u_clone NOINHERIT", "ALTER ROLE %u_clone RESET role"}, 0, 15},
			"another role is set":       {[]string{"GRANT pg_monitor TO %u_clone", "ALTER ROLE %u_clone SET role = pg_monitor"}, 0, 99},
			"a role that it cannot set": {[]string{"REVOKE %u FROM %u_clone%by", "ALTER ROLE %u_clone SET role = pg_monitor"}, 0, 99},
			"another role is set there": {[]string{"GRANT pg_monitor TO %u_clone",
				"ALTER ROLE %u_clone IN DATABASE %db SET role = pg_monitor"}, 0, 99},
			"another role is set there, and revoked": {[]string{"GRANT pg_monitor TO %u_clone",
				"ALTER ROLE %u_clone IN DATABASE %db SET role = pg_monitor", "REVOKE %u FROM %u_clone%by"}, 0, 99},
			"another role is set for all, and revoked": {[]string{"GRANT pg_monitor TO %u_clone",
				"ALTER ROLE %u_clone SET role = pg_monitor", "REVOKE %u FROM %u_clone%by"}, 0, 99},
			"in order: another role is set elsewhere": {[]string{"GRANT pg_monitor TO %u_clone",
				"ALTER ROLE %u_clone IN DATABASE postgres SET role = pg_monitor"}, 0, 99},
			"in order: another is set for all, the right one there": {[]string{"GRANT pg_monitor TO %u_clone",
				"ALTER ROLE %u_clone SET role = pg_monitor", "ALTER ROLE %u_clone IN DATABASE %db SET role = '%u'"}, 0, 99},
			"in order: one that it cannot set there": {[]string{
				"ALTER ROLE %u_clone IN DATABASE %db SET role = pg_monitor"}, 0, 99},
			"in order: itself there":     {[]string{"ALTER ROLE %u_clone IN DATABASE %db SET role = none"}, 0, 99},
			"in order: no setting":       {[]string{"ALTER ROLE %u_clone RESET role"}, 0, 99},
			"in order: NOINHERIT, a set": {[]string{"ALTER ROLE %u_clone NOINHERIT"}, 0, 99},
			"in order":                   {nil, 0, 99},
		} {
			if s.Major < c.from || s.Major > c.to {
				continue
			}
			r := newRotation(t, s, "")
			r.mustAs(t, r.original, "CREATE TABLE mine (id int)")
			r.turn(t, true)
			by := "" // as of 16 each membership is its grantor's
			if s.Major >= 16 {
				by = " GRANTED BY " + r.admin.User
			}
			for _, sql := range c.breaks {
				s.run(t, strings.NewReplacer("%u", r.pair.Original, "%db", r.original.Database,
					"%by", by).Replace(sql))
			}
			err, want := engine().TestClone(t.Context(), r.clone, r.pair), !strings.HasPrefix(name, "in order")
			if lacks := s.as(t, r.clone, "SELECT * FROM mine") != nil; lacks != want || (err != nil) != want {
				t.Errorf("%s: lacks %v, and status says %v", name, lacks, err)
				continue
			}
			toOriginal := r.pair
			toOriginal.Target = r.pair.Original
			toOriginal.Consent = true
			warnings, dry := engine().DryRunEnsureClone(t.Context(), r.admin, toOriginal, password())
			ok(t, dry)
			if told := strings.Contains(fmt.Sprint(warnings), "clients are on role"); told != want {
				t.Errorf("%s: the preflight warns of %v", name, warnings)
			}
			for _, w := range warnings {
				if strings.Contains(w.Text, "clients are on role") && w.Unknown {
					t.Errorf("%s: a strict preflight stops the rotation that moves clients away: %v", name, w)
				}
			}
			if !want {
				continue
			}
			wants(t, err, rotator.KindPrivilege, "clients lack what role")
			_, mend, _ := strings.Cut(err.Error(), "If the two are a pair, which their names alone say, to give it back at once: ")
			mend, _, _ = strings.Cut(mend, ". Or rotate-secret")
			if !strings.Contains(fmt.Sprint(warnings), mend) {
				t.Errorf("%s: the preflight names another remedy than %s: %v", name, mend, warnings)
			}
			s.run(t, strings.Split(mend, "; ")...)
			r.mustAs(t, r.clone, "SELECT * FROM mine")
			ok(t, engine().TestClone(t.Context(), r.clone, r.pair))
		}
	})
}

// TestACloneThatDoesNotActAsItsOriginal: what clients create as it is lost to them with the next rotation. Status and
// the preflight say so, and what they print has them keep it.
func TestACloneThatDoesNotActAsItsOriginal(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		if s.Major < 16 {
			return
		}
		for _, owns := range []bool{true, false} {
			r := newRotation(t, s, "")
			r.turn(t, true)
			o, c := r.pair.Original, r.pair.Clone
			s.run(t, "GRANT "+o+" TO "+c+" WITH SET FALSE GRANTED BY "+r.admin.User)
			if owns {
				r.mustAs(t, r.clone, "CREATE TABLE made (id int)")
			}
			err := engine().TestClone(t.Context(), r.clone, r.pair)
			wants(t, err, rotator.KindPrivilege, "do not act as", "WITH SET TRUE")
			next := pairAt(r.pair, o)
			next.Consent = true
			warnings, dry := engine().DryRunEnsureClone(t.Context(), r.admin, next, password())
			ok(t, dry)
			if !strings.Contains(fmt.Sprint(warnings), "do not act as") {
				t.Errorf("the preflight warns of %v", warnings)
			}
			fixes := rotator.FixesOf(err)
			if owns != (len(fixes) == 2) || owns && !strings.Contains(fixes[1].For, r.original.Database) {
				t.Fatalf("to be run: %+v", fixes)
			}
			superuser := with(s.superuser(), func(l *strategies.Login) { l.Database = r.original.Database })
			for _, f := range fixes {
				ok(t, s.as(t, superuser, f.Run))
			}
			ok(t, engine().TestClone(t.Context(), r.clone, r.pair))
			r.mustAs(t, r.clone, "CREATE TABLE later (id int)")
			r.turn(t, false)
			r.mustAs(t, r.original, "SELECT * FROM later")
			if owns {
				r.mustAs(t, r.original, "SELECT * FROM made")
			}
		}
	})
}

// TestARoleThatWasMadeAgain: where what is left of a pair shows that a role was dropped and created again, or the other
// of its pair may do what it may not, that comes first, with what gives it that, and it ends so.
func TestARoleThatWasMadeAgain(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		t.Run("the setting of its clone is left", func(t *testing.T) {
			r := newRotation(t, s, "")
			r.turn(t, true)
			o, c := r.pair.Original, r.pair.Clone
			s.run(t, "ALTER DATABASE "+r.original.Database+" OWNER TO "+s.Superuser)
			again := func() {
				s.run(t, "DROP ROLE "+o, fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s'", o, r.original.Password.Reveal()))
			}
			again()
			_, err := engine().TestUse(t.Context(), r.original)
			wants(t, err, rotator.KindPrivilege, "was dropped and created again", "its deployment or a backup says")
			fixes := rotator.FixesOf(err)
			if len(fixes) != 1 || !strings.HasPrefix(fixes[0].Run, "GRANT "+quoteIdent(o)+" TO "+quoteIdent(c)) {
				t.Fatalf("to be run: %+v", fixes)
			}
			err = engine().TestClone(t.Context(), r.clone, r.pair)
			wants(t, err, rotator.KindPrivilege, "may do nothing in database", fixes[0].Run)
			s.run(t, strings.Split(fixes[0].Run, "; ")...)
			remark, err := engine().TestUse(t.Context(), r.original)
			ok(t, err)
			if !strings.Contains(remark.Text, "may do nothing") {
				t.Errorf("what it had is still to be granted: %q", remark.Text)
			}
			again()
			s.run(t, "GRANT CREATE ON DATABASE "+r.original.Database+" TO "+o) // it was given what it had
			if remark, err = engine().TestUse(t.Context(), r.original); err != nil || remark.Text != "" {
				t.Errorf("it may do something: %v, %v", remark, err)
			}
			s.run(t, "REVOKE CREATE ON DATABASE "+r.original.Database+" FROM "+o)
			again()
			s.run(t, "GRANT "+o+" TO "+c, "ALTER ROLE "+o+" RENAME TO "+o+"_old",
				fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s'", o, r.original.Password.Reveal()))
			_, err = engine().TestUse(t.Context(), r.original)
			wants(t, err, rotator.KindPrivilege, "looks like it, renamed", "RENAME TO "+quoteIdent(o))
		})
		t.Run("its setting role names an owner that it lost", func(t *testing.T) {
			app, pw := s.NewRole(t, "LOGIN")
			owner, _ := s.NewRole(t, "NOLOGIN")
			login := s.login(app, pw)
			login.Database = s.NewDatabase(t, owner)
			s.run(t, "GRANT "+owner+" TO "+app, "ALTER ROLE "+app+" SET role = '"+owner+"'")
			use := func() (rotator.Sentence, error) { return engine().TestUse(t.Context(), login) }
			if remark, err := use(); err != nil || remark.Text != "" {
				t.Errorf("in order: %v, %v", remark, err)
			}
			s.run(t, "REVOKE "+owner+" FROM "+app)
			_, err := use()
			wants(t, err, rotator.KindPrivilege, fmt.Sprintf("its setting role names role %q", owner))
			fixes := rotator.FixesOf(err)
			if len(fixes) != 1 || !strings.HasPrefix(fixes[0].For, "if ") {
				t.Fatalf("to be run: %+v", fixes)
			}
			s.run(t, "GRANT CREATE ON DATABASE "+login.Database+" TO "+app)
			remark, err := use() // it may do something
			ok(t, err)
			if !strings.Contains(remark.Text, "its setting role names role") || len(remark.Fixes) != 1 || remark.Fixes[0] != fixes[0] {
				t.Errorf("%+v", remark)
			}
			s.run(t, "ALTER ROLE "+owner+" CREATEROLE") // each role may give itself that setting
			if remark, err := use(); err != nil || remark.Text != "" {
				t.Errorf("who may do more than clients need is offered to none: %v, %v", remark, err)
			}
			s.run(t, "ALTER ROLE "+owner+" NOCREATEROLE", fixes[0].Run)
			if remark, err := use(); err != nil || remark.Text != "" {
				t.Errorf("it has it again: %v, %v", remark, err)
			}
			ok(t, s.as(t, login, "CREATE SCHEMA made"))
			lost, _ := s.NewRole(t, "NOLOGIN")
			s.run(t, "ALTER ROLE "+app+" SET role = '"+lost+"'", "ALTER ROLE "+app+" IN DATABASE "+login.Database+
				" SET role = '"+owner+"'")
			if remark, err := use(); err != nil || remark.Text != "" {
				t.Errorf("it acts as what is set in this database: %v, %v", remark, err)
			}
			s.run(t, "ALTER ROLE "+app+" NOINHERIT", "REVOKE "+owner+" FROM "+app)
			if _, err = use(); len(rotator.FixesOf(err)) != 1 {
				if remark, _ := use(); len(remark.Fixes) != 1 {
					t.Fatalf("to be run: %v, %v", remark, err)
				}
			}
			remark, _ = use()
			for _, f := range append(rotator.FixesOf(err), remark.Fixes...) {
				s.run(t, f.Run)
			}
			if s.ask(t, "SELECT rolinherit::text FROM pg_roles WHERE rolname = '"+app+"'") != "false" {
				t.Error("what is printed has it inherit")
			}
			if s.Major >= 16 && s.ask(t, "SELECT bool_or(inherit_option)::text FROM pg_auth_members WHERE member = '"+app+
				"'::regrole") == "true" {
				t.Error("it inherits what it is to act as alone")
			}
		})
		t.Run("the other has it", func(t *testing.T) {
			app, pw := s.NewRole(t, "LOGIN")
			other, _ := s.NewRole(t, "LOGIN")
			login := s.login(app, pw)
			login.Database = s.NewDatabase(t, "")
			there := with(s.superuser(), func(l *strategies.Login) { l.Database = login.Database })
			pair := strategies.Pair{Original: app, Clone: other, Target: other, PasswordOnly: true}
			lacks := func() rotator.Sentence {
				lacks, remark, err := engine().TestPair(t.Context(), there, pair)
				if err != nil || remark != "" {
					t.Fatalf("%s, %v", remark, err)
				}
				return lacks
			}
			none := func(why string) {
				t.Helper()
				if said := lacks(); said.Text != "" {
					t.Errorf("%s: %s", why, said)
				}
			}
			none("neither may do anything")
			ok(t, s.as(t, there, "CREATE TABLE things (id int)", "GRANT SELECT ON things TO "+other))
			for attribute, no := range map[string]string{"SUPERUSER": "NOSUPERUSER", "CREATEROLE": "NOCREATEROLE"} {
				s.run(t, "ALTER ROLE "+other+" "+attribute)
				none("who may do more than clients need is no other of a pair: " + attribute)
				s.run(t, "ALTER ROLE "+other+" "+no)
			}
			s.run(t, "GRANT "+app+" TO "+other)
			none("the other is a member of it, and it can be none of the other")
			s.run(t, "REVOKE "+app+" FROM "+other)
			clone := pair
			clone.PasswordOnly, clone.Original, clone.Clone, clone.Target = false, other, app, other
			pair, clone = clone, pair
			none("of a clone TestClone says it")
			pair = clone
			said := lacks()
			if !strings.Contains(said.Text, "may do nothing") || len(said.Fixes) != 1 ||
				!strings.HasPrefix(said.Fixes[0].For, "if the two are a pair, and no other secret is for either of them") {
				t.Fatalf("%+v", said)
			}
			s.run(t, strings.Split(said.Fixes[0].Run, "; ")...)
			ok(t, s.as(t, login, "SELECT * FROM things"))
			none("it has it")
			remark, err := engine().TestUse(t.Context(), login)
			if err != nil || remark.Text != "" {
				t.Errorf("it may do something: %v, %v", remark, err)
			}
		})
	})
}

// TestAPrintedQueryRunsNothingOfTheOwners: whoever owns the database has views and functions of its own there that have
// the names of the server's, first in the search_path or as a better match. A superuser who runs what is printed runs
// none of them.
func TestAPrintedQueryRunsNothingOfTheOwners(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		s.NewRole(t, "CONNECTION LIMIT 50")
		s.run(t, "CREATE DATABASE trap CONNECTION LIMIT 50") // without a row, no trap is sprung
		defer s.run(t, "DROP DATABASE trap")
		boss := s.superuser()
		boss.Database = "trap"
		ok(t, s.as(t, boss, "CREATE SCHEMA evil", "CREATE FUNCTION evil.trapped() RETURNS bool LANGUAGE plpgsql AS "+
			"$$ BEGIN RAISE 'this is the owner''s'; END $$", "CREATE FUNCTION public.quote_ident(name) RETURNS text "+
			"LANGUAGE sql AS 'SELECT evil.trapped()::text'", "CREATE FUNCTION evil.pg_reload_conf() RETURNS bool LANGUAGE sql "+
			"AS 'SELECT evil.trapped()'"))
		for _, view := range []string{"pg_roles", "pg_database", "pg_stat_activity", "pg_locks", "pg_event_trigger",
			"pg_db_role_setting"} {
			ok(t, s.as(t, boss, "CREATE VIEW evil."+view+" AS SELECT x.* FROM (SELECT evil.trapped() AS it "+
				"OFFSET 0) AS o LEFT JOIN pg_catalog."+view+" AS x ON it"))
		}
		ok(t, s.as(t, boss, "CREATE FUNCTION evil.pg_hba_file_rules() RETURNS SETOF bool LANGUAGE sql AS "+
			"'SELECT evil.trapped()'", "ALTER DATABASE trap SET search_path = evil, pg_catalog, public"))
		fixes := Engine{}.Inquiry("app", "app_clone")
		for _, c := range Causes() {
			fixes = append(append(append(fixes, c.Before...), c.Lines...), rotator.Fix{Run: c.Fix})
		}
		tried := map[string]bool{}
		for _, f := range append(fixes, names()) {
			if !strings.Contains(f.Run, "SELECT ") || strings.HasPrefix(f.Run, "GRANT ") || tried[f.Run] {
				continue
			}
			tried[f.Run] = true
			err := s.as(t, boss, strings.NewReplacer("{user}", "app", "{database}", "trap").Replace(f.Run))
			if strings.Contains(f.Run, "_timeout = 0") && strings.Contains(fmt.Sprint(err), "unrecognized") {
				continue // where the server does not have it, it ends nothing
			}
			if err != nil {
				t.Error(err)
			}
			if bare := strings.TrimPrefix(f.Run, trusted); bare != f.Run {
				if s.as(t, boss, bare) == nil {
					t.Errorf("the traps are not set for %s", bare)
				}
			}
		}
		if len(tried) < 8 {
			t.Errorf("%d queries are printed", len(tried))
		}
	})
}

// TestWhatIsPrintedRunsWhereTransactionsBeginReadOnly: a database was frozen, and its role locked. Who runs what is
// printed begins read-only there, too.
func TestWhatIsPrintedRunsWhereTransactionsBeginReadOnly(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		app, pw := s.NewRole(t, "LOGIN")
		db := s.NewDatabase(t, app)
		in := func(l strategies.Login) strategies.Login { l.Database = db; return l }
		boss, login := in(s.master(t, app)), in(s.login(app, pw))
		freeze := "ALTER DATABASE " + quoteIdent(db) + " SET default_transaction_read_only = on"
		follow := func(fixes []rotator.Fix) {
			t.Helper()
			if len(fixes) == 0 {
				t.Error("nothing is printed")
			}
			for _, f := range fixes {
				ok(t, s.as(t, in(s.superuser()), f.Run))
			}
		}
		explain := func() rotator.RejectionCause {
			t.Helper()
			causes, err := engine().Explain(t.Context(), boss, login)
			ok(t, err)
			return causes[0]
		}
		broken := "ALTER ROLE " + app + " NOLOGIN VALID UNTIL '2001-01-01' CONNECTION LIMIT 0"
		s.run(t, freeze, broken, "REVOKE CONNECT ON DATABASE "+db+" FROM PUBLIC, "+app, "GRANT CONNECT ON DATABASE "+db+" TO "+boss.User)
		cause := explain()
		if want := "begin read-only, by ALTER DATABASE " + db + " SET"; !strings.Contains(cause.Text, want) {
			t.Errorf("the freeze is not named: %s", cause.Text)
		}
		if f := cause.Fixes[0]; !strings.Contains(f.Note, "a later end") || !strings.Contains(f.Note, "2001-01-01 ") {
			t.Errorf("an end that was set on purpose is lost: %+v", f)
		}
		for _, f := range cause.Fixes {
			if !strings.Contains(cause.Text, f.Run) {
				t.Errorf("it says other than %s: %s", f.Run, cause.Text)
			}
		}
		follow(cause.Fixes)
		if cause = explain(); cause.Blocked || strings.Contains(cause.Text, "read-only") {
			t.Errorf("what was printed has not ended it: %+v", cause)
		}
		ok(t, engine().Ping(t.Context(), login))

		s.run(t, freeze, broken)
		follow(rotator.FixesOf(engine().SetPassword(t.Context(), boss, app, password())))
		s.run(t, "ALTER ROLE "+app+" CONNECTION LIMIT -1", "ALTER ROLE "+app+" IN DATABASE "+db+" SET search_path = nonesuch")
		remark, err := engine().TestUse(t.Context(), login)
		ok(t, err)
		follow(remark.Fixes)
		if remark, err = engine().TestUse(t.Context(), login); err != nil || len(remark.Fixes) != 0 {
			t.Errorf("%v, %v", remark, err)
		}

		// Of its own role alone, no client knows.
		s.run(t, broken, "ALTER ROLE "+boss.User+" SET default_transaction_read_only = on")
		cause = explain()
		if strings.Contains(cause.Text, boss.User) || !strings.HasPrefix(cause.Fixes[0].Run, "BEGIN READ WRITE; ALTER") ||
			cause.Fixes[0].By != rotator.BySuperuser {
			t.Errorf("%+v", cause)
		}
		ok(t, s.as(t, boss, cause.Fixes[0].Run))
		s.run(t, "ALTER DATABASE "+db+" OWNER TO "+boss.User, "ALTER ROLE "+app+" RENAME TO x"+app) // what makes it again
		for _, f := range append(explain().Fixes, rotator.NewFix(rotator.BySuperuser, explain().Reset)) {
			if strings.HasPrefix(f.Run, "CREATE") || strings.HasPrefix(f.Run, "ALTER") {
				t.Errorf("it does not run: %s", f.Run)
			}
		}
		s.run(t, "ALTER ROLE x"+app+" RENAME TO "+app)
	})
}

// TestARoleThatTookAName: where a role was renamed and another owner made one of its name, what is printed shows whose
// that is before it sets a password.
func TestARoleThatTookAName(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		user, pw := s.NewRole(t, "LOGIN")
		name, old := quoteIdent(user), quoteIdent(user+"old")
		s.run(t, "ALTER ROLE "+name+" RENAME TO "+old, "CREATE ROLE "+name+" LOGIN PASSWORD 'another'",
			"CREATE SCHEMA "+quoteIdent(user+"_has")+" AUTHORIZATION "+name)
		causes, err := engine().Explain(t.Context(), s.superuser(), s.login(user, pw))
		ok(t, err)
		c := causes[0]
		if len(c.Fixes) < 4 || c.Blocked ||
			!strings.Contains(c.Fixes[0].Note, "it may be another owner's, whom the secret's password would lock out") {
			t.Fatalf("%+v", c)
		}
		shown := func(fix rotator.Fix, column string) string {
			return s.ask(t, "SELECT coalesce(string_agg("+column+"::text, ' '), '') FROM ("+
				strings.TrimPrefix(fix.Run, trusted)+") AS shown")
		}
		if has := shown(c.Fixes[0], "shown"); !strings.Contains(has, "pg_namespace,o,1") {
			t.Errorf("what it owns: %s", has)
		}
		if all := shown(c.Fixes[1], "rolname"); !strings.Contains(all, user+"old") {
			t.Errorf("the roles: %s", all)
		}
		if strings.Contains(c.Text+c.Remedy, "old") {
			t.Errorf("it guesses: %+v", c)
		}
		if !strings.Contains(c.Fixes[2].For, "another owner's, who agrees") || !strings.Contains(c.Fixes[2].Note, "md5") ||
			!strings.Contains(c.Fixes[3].Note, "md5") {
			t.Errorf("%+v", c.Fixes)
		}
		s.run(t, strings.Replace(c.Fixes[2].Run, "...", quoteIdent(user+"theirs"), 1),
			strings.Replace(c.Fixes[3].Run, "...", old, 1))
		ok(t, engine().Ping(t.Context(), s.login(user, pw)))
		s.run(t, "DROP SCHEMA "+quoteIdent(user+"_has"), "DROP ROLE "+quoteIdent(user+"theirs"))
	})
}
