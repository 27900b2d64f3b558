package mysql

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
)

// TestWhatAPairLacksIsWhatItsClientsCannotDo: what one account of a pair is said to lack of the other's, its clients
// cannot do; whatever lines of SHOW GRANTS let them do it.
func TestWhatAPairLacksIsWhatItsClientsCannotDo(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		for what, c := range map[string]struct {
			setUp string // C is the clone, in use, O its original, R a role and D a database with the table t
			lacks bool
		}{
			"nothing wider":                   {"GRANT INSERT ON D.t TO O", true},
			"a database over a table":         {"GRANT INSERT ON D.t TO O; GRANT INSERT ON D.* TO C", false},
			"a table over a column":           {"GRANT INSERT (n) ON D.t TO O; GRANT INSERT ON D.t TO C", false},
			"all databases over one":          {"GRANT INSERT ON D.* TO O; GRANT INSERT ON *.* TO C", false},
			"all privileges over one":         {"GRANT INSERT ON D.* TO O; GRANT ALL ON *.* TO C", false},
			"all on a database, over a table": {"GRANT INSERT ON D.t TO O; GRANT ALL ON D.* TO C", false},
			"all, over all on a database":     {"GRANT ALL ON D.* TO O; GRANT ALL ON *.* TO C", false},
			"a pattern over a database":       {"GRANT INSERT ON D.* TO O; GRANT INSERT ON `D%`.* TO C", false},
			"a pattern over a table":          {"GRANT INSERT ON D.t TO O; GRANT INSERT ON `D%`.* TO C", false},
			"a pattern behind a name": {"GRANT SELECT, INSERT ON D.* TO O; GRANT INSERT ON `D%`.* TO C; " +
				"GRANT SELECT ON D.* TO C", true},
			"a role that is active":                {"GRANT INSERT ON D.* TO O; GRANT INSERT ON D.* TO R; GRANT R TO C; ACTIVE", false},
			"a role that is not":                   {"GRANT INSERT ON D.* TO O; GRANT INSERT ON D.* TO R; GRANT R TO C", true},
			"a role of the other's":                {"GRANT INSERT ON D.* TO R; GRANT R TO O; SET; GRANT INSERT ON *.* TO C", false},
			"a role that is active for the other":  {"GRANT INSERT ON D.* TO R; GRANT R TO O; SET", true},
			"a role of both, active for the other": {"GRANT INSERT ON D.* TO R; GRANT R TO O; SET; GRANT R TO C", true},
			"a role of the other's that is not":    {"GRANT INSERT ON D.* TO R; GRANT R TO O", false},
		} {
			t.Run(what, func(t *testing.T) {
				db, role := strings.ReplaceAll(name(), "_", ""), s.role(t) // no pattern
				s.run(t, "CREATE DATABASE "+db)
				t.Cleanup(func() { ok(t, s.Exec(context.WithoutCancel(t.Context()), "DROP DATABASE "+db)) })
				app := s.user(t, "SELECT ON "+s.NewDatabase(t)+".*")
				pair := back(pairOf(app.User))
				clone := s.ensure(t, pairOf(app.User))
				active := (&session{mariadb: s.MariaDB}).defaultRoleStatement(at(pair.Clone), role)
				set := (&session{mariadb: s.MariaDB}).defaultRoleStatement(at(app.User), role)
				words := strings.NewReplacer("TO O", "TO "+at(app.User).String(), "TO C", "TO "+at(pair.Clone).String(),
					" R ", " "+role+" ", "TO R", "TO "+role, "D.", db+".", "`D%`", "`"+db[:len(db)-1]+"%`", "ACTIVE", active, "SET", set)
				s.run(t, "CREATE TABLE "+db+".t (n int)")
				for _, sql := range strings.Split(c.setUp, "; ") {
					s.run(t, words.Replace(sql))
				}
				insert := "INSERT INTO " + db + ".t (n) VALUES (1)"
				of, others := s.as(t.Context(), clone, insert), s.as(t.Context(), app, insert)
				if (of != nil && others == nil) != c.lacks {
					t.Fatalf("its clients: %v; the other's: %v", of, others)
				}
				lacks, remark, err := engine().TestPair(t.Context(), s.superuser(), pair)
				ok(t, err)
				if (remark != "") != c.lacks || lacks.Text != "" {
					t.Errorf("%s%s", lacks, remark)
				}
				if _, lines, found := strings.Cut(remark, ifPair+": "); found {
					s.run(t, strings.Split(lines, "; ")...)
					ok(t, s.as(t.Context(), clone, insert))
					_, remark, err = engine().TestPair(t.Context(), s.superuser(), pair)
					ok(t, err)
				}
				if remark != "" {
					t.Errorf("after the lines: %s", remark)
				}
			})
		}
	})
}

// TestADatabaseThatTheSuperuserMayNotSee may be there: what gives it to the user as its counterpart has it is printed.
func TestADatabaseThatTheSuperuserMayNotSee(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		db, app := s.NewDatabase(t), s.user(t)
		boss := s.user(t, "SELECT, UPDATE ON mysql.*", "CREATE USER ON *.*")
		app.Database = db
		clone := s.ensure(t, pairOf(app.User))
		s.run(t, "GRANT SELECT, INSERT ON "+db+".* TO "+at(clone.User).String())
		causes, err := engine().Explain(t.Context(), boss, app)
		ok(t, err)
		cause := causes[0]
		if !strings.Contains(cause.Text, "that the superuser may see") || !strings.Contains(cause.Remedy, "correct dbname") {
			t.Errorf("%s: %s", cause.Text, cause.Remedy)
		}
		i := slices.IndexFunc(cause.Fixes, func(f rotator.Fix) bool { return strings.HasPrefix(f.Run, "GRANT ") })
		if i < 0 {
			t.Fatalf("no line: %s: %v", cause.Remedy, cause.Fixes)
		}
		for _, f := range cause.Fixes {
			if !strings.HasPrefix(f.For, "if an administrator sees that database") {
				t.Errorf("%s: %s", f.For, f.Run)
			}
		}
		s.run(t, cause.Fixes[i].Run)
		s.alike(t, at(clone.User), at(app.User))
	})
}

// TestNoLineGivesWhatNoRotationGives: what a pair's account lacks of that is said, with a caution and without a line.
func TestNoLineGivesWhatNoRotationGives(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		if s.MariaDB {
			t.Skip("MariaDB has no SYSTEM_USER")
		}
		db, role := s.NewDatabase(t), s.role(t)
		s.run(t, "GRANT SYSTEM_USER ON *.* TO "+role)
		for what, sql := range map[string]string{"SYSTEM_USER": "GRANT SYSTEM_USER ON *.* TO ",
			role: "GRANT " + role + " TO "} {
			app := s.user(t, "SELECT ON "+db+".*")
			pair := pairOf(app.User)
			s.ensure(t, pair)
			cautious := func(said string) {
				t.Helper()
				if strings.Contains(said, sql) || strings.Contains(said, "GRANT `"+role) ||
					strings.Contains(said, "the next rotation") || !strings.Contains(said, "no rotation gives SYSTEM_USER") ||
					!strings.Contains(said, what) || !strings.Contains(said, "see first whose account") {
					t.Errorf("%s: %s", what, said)
				}
			}
			s.run(t, sql+at(app.User).String())
			if what == role {
				s.run(t, (&session{}).defaultRoleStatement(at(app.User), role))
			}
			_, remark, err := engine().TestPair(t.Context(), s.superuser(), back(pair))
			ok(t, err)
			cautious(remark)
			s.run(t, "GRANT DELETE ON "+db+".* TO "+at(app.User).String())
			_, remark, err = engine().TestPair(t.Context(), s.superuser(), back(pair))
			ok(t, err)
			cautious(remark)
			if strings.Contains(remark, "GRANT") { // who has CREATE USER has the account in hand
				t.Errorf("while it has no SYSTEM_USER: %s", remark)
			}
			s.run(t, "REVOKE SELECT ON "+db+".* FROM "+at(pair.Clone).String())
			s.run(t, "REVOKE DELETE, SELECT ON "+db+".* FROM "+at(app.User).String())
			lacks, _, err := engine().TestPair(t.Context(), s.superuser(), back(pair))
			ok(t, err)
			if cautious(lacks.Text); lacks.Fixes != nil {
				t.Errorf("where the other has nothing else: %v", lacks.Fixes)
			}
			s.run(t, "GRANT DELETE, SELECT ON "+db+".* TO "+at(app.User).String())
			lacks, _, err = engine().TestPair(t.Context(), s.superuser(), back(pair))
			ok(t, err)
			cautious(lacks.Text)
			if lacks.Fixes != nil {
				t.Errorf("of an account that may do nothing: %v", lacks.Fixes)
			}
			s.run(t, sql+at(pair.Clone).String(), "DROP USER "+at(app.User).String())
			pair.Possession = possessed
			_, err = engine().DryRunEnsureClone(t.Context(), s.superuser(), pair, password())
			wants(t, err, rotator.KindNotFound, "CREATE USER", "no rotation gives SYSTEM_USER", what)
			for _, fix := range rotator.FixesOf(err) {
				if strings.Contains(fix.Run, "SYSTEM_USER") || strings.Contains(fix.Run, "GRANT `"+role) {
					t.Errorf("an original that is gone: %s", fix.Run)
				}
			}
		}
	})
}

// TestNoLineGivesWhatIsExceptedInBetween: what an account is given back comes with the exceptions that its counterpart
// has from it, at each moment.
func TestNoLineGivesWhatIsExceptedInBetween(t *testing.T) {
	t.Parallel()
	s := newServer(t, "mysql-9.7", map[string]string{"partial-revokes": "ON"})
	db, app := s.NewDatabase(t), s.user(t, "SELECT ON *.*")
	pair := pairOf(app.User)
	clone := s.ensure(t, pair)
	s.run(t, "CREATE TABLE "+db+".t (n int)", "REVOKE SELECT ON "+db+".* FROM "+at(app.User).String(),
		"REVOKE SELECT ON *.* FROM "+at(pair.Clone).String())
	lacks, _, err := engine().TestPair(t.Context(), s.superuser(), back(pair))
	ok(t, err)
	if len(lacks.Fixes) == 0 {
		t.Fatal("nothing is printed")
	}
	for _, fix := range lacks.Fixes[1:] {
		s.run(t, fix.Run)
		if s.as(t.Context(), clone, "SELECT * FROM "+db+".t") == nil {
			t.Errorf("after %s it may read what its counterpart may not", fix.Run)
		}
		if !strings.Contains(fix.For, "while no other session creates or renames users") {
			t.Errorf("%s: %s", fix.For, fix.Run)
		}
	}
	s.alike(t, at(app.User), at(pair.Clone))
}

// TestOneAccountThatCannotBeLookedUp keeps nobody from comparing those for other hosts.
func TestOneAccountThatCannotBeLookedUp(t *testing.T) {
	t.Parallel()
	onOwnMariaDB(t, nil, func(t *testing.T, s server) {
		db, user, host := s.NewDatabase(t), name(), "127.0.0.1"
		for _, a := range []account{{user: user, host: host}, {user: user + cloneSuffix, host: host}} {
			s.run(t, "CREATE USER "+a.String()+" IDENTIFIED BY 'x'", "GRANT SELECT ON "+db+".* TO "+a.String())
		}
		s.run(t, "GRANT INSERT ON "+db+".* TO "+account{user: user + cloneSuffix, host: host}.String(),
			"INSERT INTO mysql.global_priv SELECT '10.%', User, Priv FROM mysql.global_priv WHERE User = '"+user+"'")
		_, remark, err := engine().TestPair(t.Context(), s.superuser(), pairOf(user))
		wants(t, err, rotator.KindMisconfigured, "`10.%`", "FLUSH PRIVILEGES")
		if !strings.Contains(remark, "GRANT INSERT ON `"+db+"`.*") {
			t.Errorf("of the other host: %q", remark)
		}
	})
}

// TestNoGrantMakesAnAccount: where a server's sql_mode lets GRANT create the account that it names, it has no password.
// One who runs what is printed, and whose CREATE USER failed, makes none.
func TestNoGrantMakesAnAccount(t *testing.T) {
	t.Parallel()
	onOwnMariaDB(t, map[string]string{"sql-mode": ""}, func(t *testing.T, s server) {
		db, role := s.NewDatabase(t), s.role(t)
		app := s.user(t, "SELECT ON "+db+".*")
		s.run(t, "GRANT "+role+" TO "+at(app.User).String())
		pair := pairOf(app.User)
		s.ensure(t, pair)
		s.run(t, "DROP USER "+at(app.User).String())
		pair.Possession = possessed
		_, err := engine().DryRunEnsureClone(t.Context(), s.superuser(), pair, password())
		wants(t, err, rotator.KindNotFound, "CREATE USER")
		made := func() string {
			return s.ask(t, "SELECT COUNT(*) FROM mysql.user WHERE User = "+quoteText(app.User))
		}
		var create string
		for _, fix := range rotator.FixesOf(err) {
			if strings.HasPrefix(fix.Run, "CREATE USER") {
				create = fix.Run
			}
			if !strings.Contains(fix.Run, "GRANT ") {
				continue
			}
			if err := s.Exec(t.Context(), fix.Run); err == nil || made() != "0" {
				t.Errorf("%s: %v, and made %s accounts", fix.Run, err, made())
			}
		}
		s.run(t, create)
		for _, fix := range rotator.FixesOf(err) {
			if strings.Contains(fix.Run, "GRANT ") {
				s.run(t, fix.Run)
			}
		}
		s.alike(t, at(pair.Clone), at(app.User))
	})
}

// TestARoleThatTheUserMayNotLookUp of an account of its name is named with a caution, and what else that one has is said.
func TestARoleThatTheUserMayNotLookUp(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		if s.MariaDB {
			t.Skip("MariaDB shows a user no other account")
		}
		db, role, app := s.NewDatabase(t), s.role(t), s.user(t)
		s.run(t, "GRANT SELECT ON "+db+".* TO "+at(app.User).String(), "GRANT "+role+" TO "+at(app.User).String())
		here := account{user: app.User, host: "127.0.0.1"}
		s.run(t, "CREATE USER "+here.String()+" IDENTIFIED BY '"+app.Password.Reveal()+"'")
		_, err := engine().TestUse(t.Context(), app)
		wants(t, err, rotator.KindPrivilege, "GRANT SELECT ON `"+db+"`.* TO "+here.String(), "Account "+at(app.User).String()+
			" has `"+role+"`@`%`, which no line here gives")
		s.run(t, "REVOKE SELECT ON "+db+".* FROM "+at(app.User).String())
		_, err = engine().TestUse(t.Context(), app)
		wants(t, err, rotator.KindPrivilege, "may do nothing but log in", "Account "+at(app.User).String()+
			" has `"+role+"`@`%`, which no line here gives")
	})
}
