package mysql

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
)

func pairOf(user string) strategies.Pair {
	return strategies.Pair{Original: user, Clone: user + "_clone", Target: user + "_clone", Possession: possessed}
}

// possessed stands for a secret that holds a password of the account.
func possessed(context.Context, func(secret.Password) bool) error { return nil }

func back(p strategies.Pair) strategies.Pair {
	p.Target = p.Original
	return p
}

func at(user string) account { return account{user: user, host: "%"} }

// ensure runs EnsureClone and says how the next user logs in.
func (s server) ensure(t *testing.T, pair strategies.Pair) strategies.Login {
	t.Helper()
	p := password()
	ok(t, engine().EnsureClone(t.Context(), s.superuser(), pair, p))
	return withPassword(s.login(pair.Target, ""), p)
}

// alike fails the test unless the clone may do just what the original may.
func (s server) alike(t *testing.T, original, clone account) {
	t.Helper()
	if want, got := s.grantsOf(t, original), s.grantsOf(t, clone); want != got {
		t.Errorf("%s:\n%s\n%s:\n%s", original, want, clone, got)
	}
}

// role makes a role that the superuser may pass on: in MariaDB, to have all privileges
// is not enough for that.
func (s server) role(t *testing.T) string {
	t.Helper()
	role := "r_" + name()
	s.run(t, "CREATE ROLE "+role)
	if s.MariaDB {
		s.run(t, "GRANT "+role+" TO "+s.Superuser+"@'%' WITH ADMIN OPTION")
	}
	return role
}

// ed25519 is for servers of this package's own.
const ed25519 = "INSTALL PLUGIN IF NOT EXISTS ed25519 SONAME 'auth_ed25519'"

// everything gives an account one of each kind of right that the server has.
func (s server) everything(t *testing.T, user string) (db string) {
	db = s.NewDatabase(t)
	role, other := s.role(t), s.role(t)
	u := quoteIdent(user) + "@'%'"
	s.run(t,
		"CREATE TABLE "+db+".t (a int, `b``c` int)", "CREATE TABLE "+db+".x_y (a int)", "CREATE PROCEDURE "+db+".p() SELECT 1",
		"CREATE FUNCTION "+db+".f() RETURNS int DETERMINISTIC RETURN 1",
		"GRANT PROCESS ON *.* TO "+u,
		"GRANT SELECT, INSERT ON `"+strings.ReplaceAll(db, "_", `\_`)+"`.* TO "+u+" WITH GRANT OPTION",
		"GRANT SELECT (a, `b``c`), UPDATE (a), DELETE ON "+db+".t TO "+u,
		"GRANT EXECUTE ON PROCEDURE "+db+".p TO "+u, "GRANT EXECUTE, ALTER ROUTINE ON FUNCTION "+db+".f TO "+u,
		"GRANT "+role+" TO "+u, "GRANT "+other+" TO "+u+" WITH ADMIN OPTION")
	if s.MariaDB {
		s.run(t, "GRANT BINLOG ADMIN ON *.* TO "+u, "SET DEFAULT ROLE "+role+" FOR "+u,
			"ALTER USER "+u+" REQUIRE CIPHER 'none' WITH MAX_QUERIES_PER_HOUR 5000 MAX_STATEMENT_TIME 30.5 PASSWORD "+
				"EXPIRE INTERVAL 90 DAY")
	} else {
		s.run(t, "GRANT BINLOG_ADMIN, CONNECTION_ADMIN ON *.* TO "+u, "GRANT CLONE_ADMIN ON *.* TO "+u+
			" WITH GRANT OPTION", "SET DEFAULT ROLE "+role+", "+other+" TO "+u,
			"ALTER USER "+u+" REQUIRE SUBJECT '/CN=it''s' AND ISSUER '/O=x' WITH MAX_QUERIES_PER_HOUR 5000 PASSWORD "+
				"EXPIRE INTERVAL 90 DAY PASSWORD HISTORY 3 PASSWORD REUSE INTERVAL 2 DAY PASSWORD REQUIRE CURRENT "+
				"FAILED_LOGIN_ATTEMPTS 7 PASSWORD_LOCK_TIME UNBOUNDED")
	}
	return db
}

// attributes are what SHOW CREATE USER says, but for the name, the password and our mark.
func (s server) attributes(t *testing.T, user string) string {
	line := s.ask(t, "SHOW CREATE USER "+quoteIdent(user)+"@'%'")
	_, rest, found := strings.Cut(line, " REQUIRE ")
	if !found && s.MariaDB { // which shows no REQUIRE NONE
		_, rest, found = strings.Cut(line, " IDENTIFIED BY PASSWORD '")
		_, rest, _ = strings.Cut(rest, "'")
	}
	if !found {
		t.Fatalf("no REQUIRE in the account of %q", user)
	}
	rest, _, _ = strings.Cut(rest, " ATTRIBUTE ") // the mark of a clone
	return rest
}

// TestCloneHasEverything: every kind of right and attribute is carried over, and what
// the original lost the clone loses.
func TestCloneHasEverything(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		app := s.user(t)
		db := s.everything(t, app.User)
		pair := pairOf(app.User)
		s.ensure(t, pair)
		o, c := at(pair.Original), at(pair.Clone)
		s.alike(t, o, c)
		if want, got := s.attributes(t, pair.Original), s.attributes(t, pair.Clone); want != got {
			t.Errorf("original: %s\nclone:    %s", want, got)
		}

		// On the original's turn, the clone gains and does not lose.
		s.run(t, "GRANT CREATE ON "+db+".* TO "+o.String(), "REVOKE PROCESS ON *.* FROM "+o.String())
		original := s.grantsOf(t, o)
		ok(t, engine().EnsureClone(t.Context(), s.superuser(), back(pair), password()))
		if s.grantsOf(t, o) != original {
			t.Error("the original's rights changed on its turn")
		}
		if got := s.grantsOf(t, c); !strings.Contains(got, "name:PROCESS") || !strings.Contains(got, "name:CREATE ") {
			t.Errorf("the clone in use has:\n%s", got)
		}

		// On the clone's turn it loses as well.
		u := o.String()
		s.run(t, "REVOKE GRANT OPTION ON `"+strings.ReplaceAll(db, "_", `\_`)+"`.* FROM "+u, "REVOKE SELECT (a) ON "+db+".t FROM "+u,
			"REVOKE ALTER ROUTINE ON FUNCTION "+db+".f FROM "+u, "REVOKE EXECUTE ON PROCEDURE "+db+".p FROM "+u)
		if s.MariaDB {
			s.run(t, "SET DEFAULT ROLE NONE FOR "+u, "ALTER USER "+u+
				" REQUIRE NONE WITH MAX_STATEMENT_TIME 0 PASSWORD EXPIRE NEVER", "REVOKE BINLOG ADMIN ON *.* FROM "+u)
		} else {
			s.run(t, "SET DEFAULT ROLE NONE TO "+u, "ALTER USER "+u+
				" REQUIRE SSL PASSWORD HISTORY DEFAULT FAILED_LOGIN_ATTEMPTS 0 PASSWORD_LOCK_TIME 0",
				"REVOKE CLONE_ADMIN ON *.* FROM "+u)
		}
		s.ensure(t, pair)
		s.alike(t, o, c)
		for _, r := range strings.Split(s.ask(t, "SHOW GRANTS FOR "+u), "\n") {
			if p := (&parser{tokens: tokens(r)}); p.word("GRANT") && p.peek().kind == '`' {
				role, err := p.account()
				ok(t, err)
				s.run(t, "REVOKE "+role.String()+" FROM "+u)
			}
		}
		s.run(t, "REVOKE ALL PRIVILEGES, GRANT OPTION FROM "+u)
		s.ensure(t, pair)
		s.alike(t, o, c)
	})
}

// TestAllPrivileges: ALL on an object holds the single ones, and both directions of
// that are told apart.
func TestAllPrivileges(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		db := s.NewDatabase(t)
		app := s.user(t, "ALL ON "+db+".*")
		pair := pairOf(app.User)
		s.ensure(t, pair)
		s.alike(t, at(pair.Original), at(pair.Clone))
		s.run(t, "REVOKE ALL ON "+db+".* FROM "+at(app.User).String(), "GRANT SELECT, INSERT ON "+db+".* TO "+at(app.User).String())
		s.ensure(t, pair)
		s.alike(t, at(pair.Original), at(pair.Clone))
		s.run(t, "GRANT ALL ON "+db+".* TO "+at(app.User).String()+" WITH GRANT OPTION")
		s.ensure(t, pair)
		s.alike(t, at(pair.Original), at(pair.Clone))
	})
}

// TestTheDryRunOfCreatingMakesNoAccount: MariaDB is told to create an account that is there, and says so. Where it was
// renamed just before that, none is made, which the pending password would let in; nor where a plugin judges passwords.
func TestTheDryRunOfCreatingMakesNoAccount(t *testing.T) {
	test := func(t *testing.T, s server) {
		for _, judge := range []string{"", "INSTALL SONAME 'simple_password_check'"} {
			app := s.user(t)
			if judge != "" && s.MariaDB {
				s.run(t, judge)
			}
			c, err := engine().beginClone(t.Context(), s.superuser(), pairOf(app.User), true)
			ok(t, err)
			defer c.close()
			ok(t, c.dryRunCreate(t.Context(), nil, password()))
			s.run(t, "RENAME USER "+at(app.User).String()+" TO "+at(app.User+"_1").String())
			if err := c.dryRunCreate(t.Context(), nil, password()); s.MariaDB {
				wants(t, err, rotator.KindConflict, "is not there any more")
			} else { // it refuses the hash before it looks for the account
				ok(t, err)
			}
			if n := s.ask(t, "SELECT COUNT(*) FROM mysql.user WHERE User = "+quoteText(app.User)); n != "0" {
				t.Errorf("%s accounts were created", n)
			}
		}
	}
	onThese(t, slices.DeleteFunc(dbserver.MySQLsInTier(t), func(name string) bool {
		return strings.HasPrefix(name, "mariadb")
	}), test)
	onOwnMariaDB(t, nil, test)
}

// TestALostOriginalComesBackAsItWas: the line that creates it has what its clone demands and is limited to, by which the
// next rotation goes.
func TestALostOriginalComesBackAsItWas(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		for what, alter := range map[string]string{
			"plain":       "ALTER USER %s REQUIRE NONE",
			"a few":       "ALTER USER %s REQUIRE SSL WITH MAX_USER_CONNECTIONS 12",
			"not its own": "ALTER USER %s REQUIRE SUBJECT '/CN=a\\\\b'",
			"everything":  "",
		} {
			app := s.user(t)
			pair := pairOf(app.User)
			if alter == "" {
				s.everything(t, app.User)
			} else {
				s.run(t, fmt.Sprintf(alter, at(app.User)))
			}
			s.ensure(t, pair)
			s.run(t, "ALTER USER "+at(pair.Clone).String()+" ACCOUNT LOCK", "DROP USER "+at(app.User).String())
			pair.Possession = possessed
			_, err := engine().DryRunEnsureClone(t.Context(), s.superuser(), pair, password())
			wants(t, err, rotator.KindNotFound, "CREATE USER")
			for _, fix := range rotator.FixesOf(err) {
				if strings.HasPrefix(fix.Run, "CREATE USER") || strings.Contains(fix.Run, "GRANT ") ||
					strings.HasPrefix(fix.Run, "SET DEFAULT") {
					s.run(t, fix.Run)
				}
				if what == "not its own" && strings.HasPrefix(fix.Run, "CREATE USER") &&
					(!strings.Contains(fix.Run, "REQUIRE X509") || !strings.Contains(fix.Note, "SHOW CREATE USER")) {
					t.Errorf("%s (%s)", fix.Run, fix.Note)
				}
			}
			s.alike(t, at(pair.Clone), at(app.User))
			want, got := s.attributes(t, pair.Clone), s.attributes(t, app.User)
			if want != got && what != "not its own" {
				t.Errorf("%s: clone:    %s\noriginal: %s", what, want, got)
			}
		}
	})
}

// TestALostOriginalLogsInAsItsClone does: by the same plugin.
func TestALostOriginalLogsInAsItsClone(t *testing.T) {
	for _, c := range []struct {
		plugins []string
		want    string
	}{
		{[]string{"mysql_native_password"}, "BY 'PASSWORD'"},
		{[]string{"ed25519"}, "VIA ed25519 USING PASSWORD('PASSWORD')"},
		{[]string{"unix_socket", "ed25519", "mysql_native_password"}, "VIA ed25519 USING PASSWORD('PASSWORD') OR " +
			"mysql_native_password USING PASSWORD('PASSWORD')"},
		{[]string{"unix_socket"}, "BY 'PASSWORD'"},
	} {
		got, _ := createLike(true, at("app"), accountRow{plugins: c.plugins, require: "REQUIRE NONE"})
		if got != "CREATE USER `app`@`%` IDENTIFIED "+c.want {
			t.Errorf("%v: %s", c.plugins, got)
		}
	}
	for _, plugin := range []string{"sha256_password", "caching_sha2_password"} { // neither need be the server's default
		got, note := createLike(false, at("app"), accountRow{plugins: []string{plugin}, require: "REQUIRE NONE"})
		if got != "CREATE USER `app`@`%` IDENTIFIED WITH "+plugin+" BY 'PASSWORD'" || note != "" {
			t.Error(got, note)
		}
	}
	if got, note := createLike(false, at("app"), accountRow{account: at("app_clone"), locked: true}); !strings.HasSuffix(got,
		" ACCOUNT LOCK") || !strings.Contains(note, "`app_clone`@`%` is locked: leave ACCOUNT LOCK out") {
		t.Error(got, note)
	}
}

// TestWhoMayChangeAccountsMayNotCreateThem: UPDATE on mysql.* is enough for the former. The dry run says so.
func TestWhoMayChangeAccountsMayNotCreateThem(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		db := s.NewDatabase(t)
		app, boss := s.user(t, "SELECT ON "+db+".*"), s.user(t, "SELECT, UPDATE ON mysql.*")
		s.run(t, "GRANT SELECT ON "+db+".* TO "+at(boss.User).String()+" WITH GRANT OPTION")
		_, err := engine().DryRunEnsureClone(t.Context(), boss, pairOf(app.User), password())
		wants(t, err, rotator.KindPrivilege, "GRANT CREATE USER ON *.* TO "+at(boss.User).String())
		s.run(t, "GRANT CREATE USER ON *.* TO "+at(boss.User).String())
		_, err = engine().DryRunEnsureClone(t.Context(), boss, pairOf(app.User), password())
		ok(t, err)
		s.ensure(t, pairOf(app.User))
	})
}

// TestPartialRevokes: MySQL's exceptions from global privileges.
func TestPartialRevokes(t *testing.T) {
	t.Parallel()
	s := newServer(t, "mysql-9.7", map[string]string{"partial-revokes": "ON"})
	db := s.NewDatabase(t)
	app := s.user(t, "SELECT, INSERT ON *.*")
	pair := pairOf(app.User)
	s.ensure(t, pair)
	s.run(t, "REVOKE INSERT ON mysql.* FROM "+at(app.User).String(), "REVOKE SELECT ON "+db+".* FROM "+at(app.User).String())
	clone := s.ensure(t, pair)
	s.alike(t, at(pair.Original), at(pair.Clone))
	if err := s.as(t.Context(), clone, "INSERT INTO mysql.time_zone (Time_zone_id) VALUES (1)"); err == nil {
		t.Error("the clone may do what its original may not")
	}
	s.run(t, "GRANT SELECT ON "+db+".* TO "+at(app.User).String())
	s.ensure(t, pair)
	s.alike(t, at(pair.Original), at(pair.Clone))
}

// TestExceptionsOfAPrivilegeThatIsGone: to grant what a partial revoke took lifts the exception, and where the privilege
// itself is gone, gives it. A clone that has both, of an original that has neither, gets neither.
func TestExceptionsOfAPrivilegeThatIsGone(t *testing.T) {
	t.Parallel()
	s := newServer(t, "mysql-9.7", map[string]string{"partial-revokes": "ON"})
	for _, turn := range []func(strategies.Pair) strategies.Pair{
		func(p strategies.Pair) strategies.Pair { return p }, back,
	} {
		db, app := s.NewDatabase(t), s.user(t, "SELECT ON *.*")
		pair := pairOf(app.User)
		s.ensure(t, pair)
		s.run(t, "CREATE TABLE "+db+".t (n int)", "REVOKE SELECT ON "+db+".* FROM "+at(app.User).String())
		clone := s.ensure(t, pair)
		s.run(t, "REVOKE SELECT ON *.* FROM "+at(app.User).String())
		if next := s.ensure(t, turn(pair)); next.User == pair.Clone {
			s.alike(t, at(pair.Original), at(pair.Clone))
			clone = next
		}
		if err := s.as(t.Context(), clone, "SELECT * FROM "+db+".t"); err == nil {
			t.Errorf("next %q: the clone may now read what neither could", turn(pair).Target)
		}
	}
}

// TestExceptionsOfAPrivilegeThatIsNew: what the original got everywhere but in a database, the clone never has in that
// database. CREATE USER is enough to give the original's name to an account without the exception: so no rotation gives
// it. What an administrator is told to run gives the clone no more either.
func TestExceptionsOfAPrivilegeThatIsNew(t *testing.T) {
	t.Parallel()
	s := newServer(t, "mysql-9.7", map[string]string{"partial-revokes": "ON"})
	db, app := s.NewDatabase(t), s.user(t, "UPDATE ON *.*")
	boss := s.user(t, "CREATE USER, SELECT, INSERT, UPDATE ON *.*")
	s.run(t, "CREATE TABLE "+db+".t (n int)", "GRANT GRANT OPTION ON *.* TO "+at(boss.User).String())
	pair := pairOf(app.User)
	clone := s.ensure(t, pair)
	s.run(t, "GRANT SELECT, INSERT ON *.* TO "+at(app.User).String()+" WITH GRANT OPTION",
		"REVOKE SELECT ON "+db+".* FROM "+at(app.User).String())
	err := engine().EnsureClone(t.Context(), boss, back(pair), password())
	wants(t, err, rotator.KindNotEntitled, given, "to have SELECT ON *.* with exceptions")
	for _, fix := range rotator.FixesOf(err) {
		s.run(t, fix.Run)
		if err := s.as(t.Context(), clone, "SELECT * FROM "+db+".t"); err == nil {
			t.Errorf("after %s, the clone may read what the original may not", fix.Run)
		}
	}
	ok(t, engine().EnsureClone(t.Context(), boss, back(pair), password()))
	if err := s.as(t.Context(), clone, "SELECT * FROM "+db+".t"); err == nil {
		t.Error("the clone may read what the original may not")
	}
	ok(t, s.as(t.Context(), clone, "INSERT INTO "+db+".t VALUES (1)"))
	s.alike(t, at(pair.Original), at(pair.Clone))
}

// TestPowerThatIsExcepted: who has a privilege everywhere has more than one that has it with an exception.
func TestPowerThatIsExcepted(t *testing.T) {
	t.Parallel()
	s := newServer(t, "mysql-9.7", map[string]string{"partial-revokes": "ON"})
	app, other := s.user(t, "SELECT, UPDATE ON *.*"), s.user(t, "SELECT, UPDATE ON *.*")
	pair := strategies.Pair{Original: app.User, Clone: other.User, Target: other.User, PasswordOnly: true, Named: true,
		Consent: true}
	s.run(t, "REVOKE UPDATE ON mysql.* FROM "+at(app.User).String())
	wants(t, engine().EnsureClone(t.Context(), s.superuser(), pair, password()), rotator.KindNotEntitled,
		"UPDATE ON `mysql`.*")
	for range 2 { // and one that has more exceptions has less
		s.run(t, "REVOKE UPDATE ON mysql.* FROM "+at(other.User).String())
		s.ensure(t, pair)
		s.run(t, "REVOKE SELECT ON mysql.* FROM "+at(other.User).String())
	}
	same, elsewhere := account{user: app.User, host: "10.%"}, s.user(t)
	s.run(t, "CREATE USER "+same.String()+" IDENTIFIED BY '"+app.Password.Reveal()+"'", "GRANT SELECT, UPDATE ON *.* TO "+
		same.String())
	wants(t, engine().SetPassword(t.Context(), s.superuser(), app.User, password()), rotator.KindNotEntitled,
		"UPDATE ON `mysql`.*")
	ok(t, engine().SetPassword(t.Context(), s.superuser(), elsewhere.User, password()))
}

// TestIssue44: the clone's grants were copied as the superuser, who may lack them, and
// "Access denied" was all that people learned.
func TestIssue44(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		db := s.NewDatabase(t)
		app := s.user(t, "SELECT ON "+db+".*")
		admin := s.user(t, "CREATE USER ON *.*", "SELECT, UPDATE ON mysql.*")
		pair := pairOf(app.User)
		remedy := "GRANT SELECT ON `" + db + "`.* TO `" + admin.User + "`@`%` WITH GRANT OPTION"
		_, err := engine().DryRunEnsureClone(t.Context(), admin, pair, password())
		wants(t, err, rotator.KindPrivilege, remedy)
		if n := s.ask(t, "SELECT COUNT(*) FROM mysql.user WHERE User = "+quoteText(pair.Clone)+" OR User LIKE 'qt-%'"); n != "0" {
			t.Errorf("the rehearsal made %s accounts", n)
		}
		wants(t, engine().EnsureClone(t.Context(), admin, pair, password()), rotator.KindPrivilege, remedy)
		s.run(t, "GRANT SELECT ON "+db+".* TO "+admin.User+"@'%' WITH GRANT OPTION")
		_, err = engine().DryRunEnsureClone(t.Context(), admin, pair, password())
		ok(t, err)
		ok(t, engine().EnsureClone(t.Context(), admin, pair, password()))
		s.alike(t, at(pair.Original), at(pair.Clone))
	})
}

// TestANameWithWordsOfAGrant: what a superuser lacks is named whole.
func TestANameWithWordsOfAGrant(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		db := quoteIdent(name() + " WITH GRANT")
		s.run(t, "CREATE DATABASE "+db)
		defer s.run(t, "DROP DATABASE "+db)
		app, admin := s.user(t, "SELECT ON "+db+".*"), s.user(t, "CREATE USER ON *.*", "SELECT, UPDATE ON mysql.*")
		_, err := engine().DryRunEnsureClone(t.Context(), admin, pairOf(app.User), password())
		wants(t, err, rotator.KindPrivilege, "GRANT SELECT ON "+db+".* TO "+at(admin.User).String()+" WITH GRANT")
	})
}

// TestIssue90 and PR 102: WITH GRANT OPTION was cut off with the account's name.
func TestIssue90(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		db := s.NewDatabase(t)
		app, third := s.user(t), s.user(t)
		s.run(t, "GRANT SELECT ON "+db+".* TO "+app.User+"@'%' WITH GRANT OPTION")
		clone := s.ensure(t, pairOf(app.User))
		ok(t, s.as(t.Context(), clone, "GRANT SELECT ON "+db+".* TO "+third.User+"@'%'"))
	})
}

// TestIssue101: an account at any other host than '%' was error 1141.
func TestIssue101(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		db, user := s.NewDatabase(t), name()
		p := password()
		s.run(t,
			fmt.Sprintf("CREATE USER %s@'127.0.0.%%' IDENTIFIED BY '%s'", user, p.Reveal()), fmt.Sprintf("GRANT SELECT ON %s.* TO %s@'127.0.0.%%'", db, user),
			fmt.Sprintf("CREATE USER %s@'10.1.%%' IDENTIFIED BY '%s'", user, p.Reveal()), fmt.Sprintf("GRANT INSERT ON %s.* TO %s@'10.1.%%'", db, user))
		app := withPassword(s.login(user, ""), p)
		ok(t, engine().Ping(t.Context(), app))
		pair := pairOf(user)
		clone := s.ensure(t, pair)
		ok(t, engine().Ping(t.Context(), clone))
		for _, host := range []string{"127.0.0.%", "10.1.%"} {
			s.alike(t, account{user: user, host: host}, account{user: pair.Clone, host: host})
		}
		// A superuser changes all accounts of the name, or clients elsewhere are locked out.
		hash := "SELECT COUNT(DISTINCT authentication_string) FROM mysql.user WHERE User = " + quoteText(user) + " AND authentication_string IN (%s)"
		before := s.ask(t, "SELECT CONCAT(QUOTE(HEX(authentication_string))) FROM mysql.user WHERE User = "+quoteText(user))
		q := password()
		ok(t, engine().SetPassword(t.Context(), s.superuser(), user, q))
		ok(t, engine().Ping(t.Context(), withPassword(app, q)))
		for _, old := range strings.Split(before, "\n") {
			if s.ask(t, fmt.Sprintf(strings.Replace(hash, "authentication_string IN", "HEX(authentication_string) IN", 1), old)) != "0" {
				t.Error("an account of the name has kept its password")
			}
		}
		warnings, err := engine().DryRunSetPassword(t.Context(), s.superuser(), user, password())
		ok(t, err)
		if all := texts(warnings); !strings.Contains(all, "2 accounts") || !strings.Contains(all, "`10.1.%`") {
			t.Errorf("caveats: %s", all)
		}
	})
}

// TestIssue110: names were held to 16 bytes, the limit of MySQL 5.6.
func TestIssue110(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		user := (name() + strings.Repeat("x", 32))[:32-len("_clone")]
		p := password()
		s.run(t, fmt.Sprintf("CREATE USER %s@'%%' IDENTIFIED BY '%s'", user, p.Reveal()))
		pair := pairOf(user)
		ok(t, engine().Ping(t.Context(), s.ensure(t, pair)))
		long := strings.Repeat("x", 123)
		if s.MariaDB && s.Name != "mariadb-10.5" {
			s.run(t, fmt.Sprintf("CREATE USER %s@'%%' IDENTIFIED BY '%s'", long, p.Reveal()))
			wants(t, engine().EnsureClone(t.Context(), s.superuser(), pairOf(long), password()), rotator.KindMisconfigured, "128")
			s.run(t, "DROP USER "+long+"@'%'")
		}
	})
}

// TestRolesAndDefaults: SET DEFAULT ROLE, a line of MariaDB's SHOW GRANTS, was a syntax
// error in AWS's template, and its text had the new password in it.
func TestCloneWithDefaultRole(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		db, role := s.NewDatabase(t), s.role(t)
		app := s.user(t)
		word := " TO "
		if s.MariaDB {
			word = " FOR "
		}
		s.run(t, "GRANT SELECT ON "+db+".* TO "+role, "CREATE TABLE "+db+".t (n int)", "GRANT "+role+" TO "+app.User+"@'%'", "SET DEFAULT ROLE "+role+word+app.User+"@'%'")
		clone := s.ensure(t, pairOf(app.User))
		ok(t, s.as(t.Context(), clone, "SELECT * FROM "+db+".t"))
	})
}

// TestADefaultRoleThatTheCloneMayPassOn: the clone may no longer pass it on, and has it active after a login as before.
func TestADefaultRoleThatTheCloneMayPassOn(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		db, role, app := s.NewDatabase(t), s.role(t), s.user(t)
		word := " TO "
		if s.MariaDB {
			word = " FOR "
		}
		s.run(t, "GRANT SELECT ON "+db+".* TO "+role, "CREATE TABLE "+db+".t (n int)", "GRANT "+role+" TO "+
			at(app.User).String(), "SET DEFAULT ROLE "+role+word+at(app.User).String())
		pair := pairOf(app.User)
		s.ensure(t, pair)
		s.run(t, "GRANT "+role+" TO "+at(pair.Clone).String()+" WITH ADMIN OPTION")
		ok(t, s.as(t.Context(), s.ensure(t, pair), "SELECT * FROM "+db+".t"))
		s.alike(t, at(app.User), at(pair.Clone))
	})
}

// TestStrangersAmongClones: accounts of the clone's name where the original has none.
func TestStrangersAmongClones(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		user := name()
		p, q := password(), password()
		s.run(t, fmt.Sprintf("CREATE USER %s@'127.0.0.1' IDENTIFIED BY '%s'", user, p.Reveal()), fmt.Sprintf("CREATE USER %s_clone@'%%' IDENTIFIED BY '%s'", user, q.Reveal()))
		pair := pairOf(user)
		warnings, err := engine().DryRunEnsureClone(t.Context(), s.superuser(), pair, password())
		ok(t, err)
		if !strings.Contains(texts(warnings), "DROP USER `"+pair.Clone+"`@`%`") {
			t.Errorf("caveats: %s", texts(warnings))
		}
		clone := s.ensure(t, pair)
		ok(t, engine().Ping(t.Context(), clone))
		wants(t, engine().Ping(t.Context(), withPassword(clone, q)), rotator.KindLoginRejected)
	})
}

// TestCloneCaveats: what the clone has and the original has not is told before it goes.
func TestCloneCaveats(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		db := s.NewDatabase(t)
		app := s.user(t, "SELECT ON "+db+".*")
		pair := pairOf(app.User)
		s.ensure(t, pair)
		s.run(t, "GRANT DELETE ON "+db+".* TO "+at(pair.Clone).String())
		warnings, err := engine().DryRunEnsureClone(t.Context(), s.superuser(), back(pair), password())
		ok(t, err)
		if all := texts(warnings); !strings.Contains(all, "which clients use now and lack after the next rotation; the one after that revokes them: DELETE ON `"+db+"`.*") {
			t.Errorf("caveats while the clone is in use: %s", all)
		}
		pair.Possession = possessed
		warnings, err = engine().DryRunEnsureClone(t.Context(), s.superuser(), pair, password())
		ok(t, err)
		if all := texts(warnings); !strings.Contains(all, "and the next rotation revokes them: DELETE ON `"+db+"`.*") {
			t.Errorf("caveats while the original is in use: %s", all)
		}
	})
}

// TestWhatTheOriginalDemandsByThen: on the original's turn, clients of any host would meet what it has been made to
// demand since they left it. Roles that are not its default any more, and limits, are told.
func TestWhatTheOriginalDemandsByThen(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		app, role := s.user(t), s.role(t)
		elsewhere, pair := account{user: app.User, host: "10.%"}, pairOf(app.User)
		word := " TO "
		if s.MariaDB {
			word = " FOR "
		}
		s.run(t, "CREATE USER "+elsewhere.String()+" IDENTIFIED BY '"+app.Password.Reveal()+"'", "GRANT "+role+" TO "+
			at(app.User).String(), "SET DEFAULT ROLE "+role+word+at(app.User).String())
		s.ensure(t, pair)
		turn := back(pair)
		for demand, noTLS := range map[string]bool{"X509": false, "SUBJECT '/CN=x'": false, "SSL": true} {
			s.run(t, "ALTER USER "+elsewhere.String()+" REQUIRE "+demand)
			turn.NoTLS = noTLS
			_, dry := engine().DryRunEnsureClone(t.Context(), s.superuser(), turn, password())
			for _, err := range []error{dry, engine().EnsureClone(t.Context(), s.superuser(), turn, password())} {
				wants(t, err, rotator.KindMisconfigured, "clients of account", "refuses them without what it demands",
					"ALTER USER "+elsewhere.String()+" REQUIRE NONE")
			}
		}
		turn.NoTLS = false
		s.run(t, "ALTER USER "+elsewhere.String()+" REQUIRE SSL")
		_, err := engine().DryRunEnsureClone(t.Context(), s.superuser(), turn, password())
		ok(t, err)
		for _, a := range []account{elsewhere, {user: pair.Clone, host: "10.%"}} {
			s.run(t, "ALTER USER "+a.String()+" REQUIRE X509")
		}
		s.run(t, "SET DEFAULT ROLE NONE"+word+at(app.User).String(), "ALTER USER "+at(app.User).String()+
			" WITH MAX_USER_CONNECTIONS 1")
		warnings, err := engine().DryRunEnsureClone(t.Context(), s.superuser(), turn, password())
		ok(t, err)
		for _, words := range []string{at(app.User).String() + " has DEFAULT ROLE NONE, and ",
			"MAX_USER_CONNECTIONS 1", " has DEFAULT ROLE `" + role + "`", "get the former with the next rotation"} {
			if !strings.Contains(texts(warnings), words) {
				t.Errorf("no %q: %s", words, texts(warnings))
			}
		}
	})
}

// TestAnOriginalThatWasMadeAgainWithLess: what its clone would lose is told on the turn of either, with the line by which
// that stays, and what the original has of its own is not.
func TestAnOriginalThatWasMadeAgainWithLess(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		db := s.NewDatabase(t)
		app := s.user(t)
		pair := pairOf(app.User)
		pair.Possession = possessed
		lost := func(turn strategies.Pair) string {
			warnings, err := engine().DryRunEnsureClone(t.Context(), s.superuser(), turn, password())
			ok(t, err)
			return texts(warnings)
		}
		grant := "GRANT SELECT ON " + db + ".* TO " + at(app.User).String()
		s.run(t, grant)
		s.ensure(t, pair)
		had := " REQUIRE SSL WITH MAX_USER_CONNECTIONS 70 PASSWORD EXPIRE INTERVAL 90 DAY"
		made := " IDENTIFIED VIA unix_socket OR mysql_native_password USING PASSWORD('" + app.Password.Reveal() + "')"
		if !s.MariaDB {
			had += " PASSWORD HISTORY 3 PASSWORD REUSE INTERVAL 2 DAY PASSWORD REQUIRE CURRENT FAILED_LOGIN_ATTEMPTS 7 " +
				"PASSWORD_LOCK_TIME 2"
			made = " IDENTIFIED WITH sha256_password BY '" + app.Password.Reveal() + "'"
		}
		s.run(t, "ALTER USER "+at(pair.Clone).String()+had)
		for _, turn := range []strategies.Pair{pair, back(pair)} {
			s.run(t, "DROP USER "+at(app.User).String(), "CREATE USER "+at(app.User).String()+made, grant)
			all := lost(turn)
			_, line, _ := strings.Cut(all, "the former was made again, ")
			line, _, _ = strings.Cut(line, "; ")
			if line != "ALTER USER "+at(app.User).String()+had {
				t.Fatalf("%q: %s", line, all)
			}
			if !s.MariaDB && turn.Target == pair.Original &&
				!strings.Contains(all, "has IDENTIFIED WITH sha256_password, and ") {
				t.Errorf("nothing of the plugin: %s", all)
			}
			s.run(t, line)
			for _, own := range []string{"", " WITH MAX_USER_CONNECTIONS 5 PASSWORD EXPIRE INTERVAL 30 DAY"} {
				s.run(t, "ALTER USER "+at(app.User).String()+" REQUIRE SSL"+own)
				if all := lost(turn); strings.Contains(all, "made again") {
					t.Errorf("nothing is lost: %s", all)
				}
			}
		}
	})
}

// TestHostsThatAreLockedOut: the clone has no account for a host that one of the original's locks out.
func TestHostsThatAreLockedOut(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		app := s.user(t)
		locked, pair := account{user: app.User, host: "10.%"}, pairOf(app.User)
		twin := account{user: pair.Clone, host: "10.%"}
		s.run(t, "CREATE USER "+locked.String()+" IDENTIFIED BY 'x' ACCOUNT LOCK")
		for _, turn := range []strategies.Pair{pair, back(pair)} {
			warnings, err := engine().DryRunEnsureClone(t.Context(), s.superuser(), turn, password())
			ok(t, err)
			if want := "CREATE USER " + twin.String() + " ACCOUNT LOCK"; !strings.Contains(texts(warnings), want) {
				t.Errorf("next %q: no %q: %s", turn.Target, want, texts(warnings))
			}
			s.ensure(t, turn)
		}
		s.run(t, "CREATE USER "+twin.String()+" ACCOUNT LOCK")
		for _, turn := range []strategies.Pair{pair, back(pair)} {
			warnings, err := engine().DryRunEnsureClone(t.Context(), s.superuser(), turn, password())
			ok(t, err)
			if strings.Contains(texts(warnings), "ACCOUNT LOCK") {
				t.Errorf("next %q: %s", turn.Target, texts(warnings))
			}
			s.ensure(t, turn)
		}
	})
}

// TestCloneKeepsPlugin: the clone is of its original's plugin, and a clone that has
// another keeps it.
func TestCloneKeepsPlugin(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		user := name()
		plugin, by := "sha256_password", "WITH sha256_password BY '%s'"
		if s.MariaDB {
			s.run(t, ed25519)
			plugin, by = "ed25519", "VIA ed25519 USING PASSWORD('%s')"
		}
		s.run(t, "CREATE USER "+user+"@'%' IDENTIFIED "+fmt.Sprintf(by, password().Reveal()))
		pair := pairOf(user)
		for range 2 {
			ok(t, engine().Ping(t.Context(), s.ensure(t, pair)))
			ok(t, engine().Ping(t.Context(), s.ensure(t, back(pair))))
		}
		if got := s.ask(t, "SELECT plugin FROM mysql.user WHERE User IN ("+quoteText(user)+", "+quoteText(pair.Clone)+")"); got != plugin+"\n"+plugin {
			t.Errorf("plugins: %s", got)
		}
	})
}

// TestTheCloneLogsInByThePluginsOfItsOriginal: those that it has now, all of them, for a client may know but one.
func TestTheCloneLogsInByThePluginsOfItsOriginal(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		by := []string{"IDENTIFIED WITH caching_sha2_password BY '%s'", "IDENTIFIED WITH sha256_password BY '%s'"}
		if s.MariaDB {
			s = newServer(t, s.Name, nil)
			s.run(t, ed25519)
			by = []string{"IDENTIFIED VIA mysql_native_password USING PASSWORD('%s')",
				"IDENTIFIED VIA ed25519 USING PASSWORD('%[1]s') OR mysql_native_password USING PASSWORD('%[1]s')"}
		}
		plugins := func(user string) (all []string) {
			session, err := engine().connect(t.Context(), s.superuser(), false)
			ok(t, err)
			defer session.close()
			rows, err := session.accounts(t.Context(), user)
			ok(t, err)
			for _, r := range rows {
				all = append(all, r.plugins...)
			}
			return all
		}
		for i := range by {
			app := s.user(t)
			pair := pairOf(app.User)
			for j := range 3 {
				s.run(t, "ALTER USER "+at(app.User).String()+" "+fmt.Sprintf(by[(i+j)%2], app.Password.Reveal()))
				clone := at(pair.Clone)
				before := ""
				if j > 0 {
					before = s.ask(t, "SHOW CREATE USER "+clone.String())
				}
				_, err := engine().DryRunEnsureClone(t.Context(), s.superuser(), pair, password())
				ok(t, err)
				if j > 0 && s.ask(t, "SHOW CREATE USER "+clone.String()) != before {
					t.Error("the dry run has changed the clone")
				}
				next := s.ensure(t, pair)
				ok(t, engine().Ping(t.Context(), next))
				if want, got := plugins(app.User), plugins(next.User); !slices.Equal(want, got) {
					t.Errorf("the original logs in by %v, the clone by %v", want, got)
				}
				s.ensure(t, pair) // to the same end
				app = s.ensure(t, back(pair))
			}
		}
	})
}

// TestAPrivilegeOnWhatWasDropped: it stays with the original, and the server gives it to no other. The preflight names
// it, and no clone is made that would lack it when the table is there again.
func TestAPrivilegeOnWhatWasDropped(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		for _, drop := range []string{"DROP TABLE %s.t", "ALTER TABLE %s.t DROP COLUMN m"} {
			db := s.NewDatabase(t)
			s.run(t, "CREATE TABLE "+db+".t (n int, m int)")
			app := s.user(t, "SELECT (n, m) ON "+db+".t")
			s.run(t, fmt.Sprintf(drop, db))
			pair := pairOf(app.User)
			_, dryRun := engine().DryRunEnsureClone(t.Context(), s.superuser(), pair, password())
			for _, err := range []error{dryRun, engine().EnsureClone(t.Context(), s.superuser(), pair, password())} {
				wants(t, err, rotator.KindMisconfigured, "`"+db+"`.`t`", "REVOKE that privilege from the original")
			}
			s.run(t, "REVOKE ALL PRIVILEGES, GRANT OPTION FROM "+at(app.User).String())
			ok(t, engine().Ping(t.Context(), s.ensure(t, pair)))
		}
	})
}

// TestARoutineThatTheServerForgets: MySQL stores its name in another character set than it reads it in, at each reload.
// The preflight says so before it makes one, and nothing is created.
func TestARoutineThatTheServerForgets(t *testing.T) {
	t.Parallel()
	for _, name := range dbserver.MySQLsInTier(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, name, nil) // others would reload its grants
			db := s.NewDatabase(t)
			s.run(t, "CREATE PROCEDURE "+db+".größe() SELECT 7")
			app := s.user(t, "EXECUTE ON PROCEDURE "+db+".größe")
			pair := pairOf(app.User)
			_, dryRun := engine().DryRunEnsureClone(t.Context(), s.superuser(), pair, password())
			ok(t, s.as(t.Context(), app, "CALL "+db+".größe()"))
			if s.MariaDB {
				ok(t, dryRun)
				ok(t, s.as(t.Context(), s.ensure(t, pair), "CALL "+db+".größe()"))
				return
			}
			for _, reload := range []string{"DO 1", "FLUSH PRIVILEGES"} {
				s.run(t, reload)
				_, dryRun = engine().DryRunEnsureClone(t.Context(), s.superuser(), pair, password())
				for _, err := range []error{dryRun, engine().EnsureClone(t.Context(), s.superuser(), pair, password())} {
					wants(t, err, rotator.KindMisconfigured, at(app.User).String(), "beyond ASCII", "REVOKE")
				}
				if s.ask(t, "SELECT 1 FROM mysql.user WHERE User = '"+pair.Clone+"'") != "" {
					t.Error("an account was created")
				}
			}
			one := " EXECUTE ON PROCEDURE " + db + ".größe "
			s.run(t, "GRANT EXECUTE ON "+db+".* TO "+at(app.User).String(), "GRANT"+one+"TO "+at(app.User).String(),
				"REVOKE"+one+"FROM "+at(app.User).String(), "FLUSH PRIVILEGES")
			ok(t, s.as(t.Context(), s.ensure(t, pair), "CALL "+db+".größe()"))
		})
	}
}

// TestWhatTheTablesKeepOfAClone: where rows of mysql.user were deleted by hand, the server creates no account of that name.
// The preflight says so, with what takes the rest away.
func TestWhatTheTablesKeepOfAClone(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		s = newServer(t, s.Name, nil)
		db := s.NewDatabase(t)
		for _, rest := range []string{
			"INSERT INTO mysql.db (Host, Db, User, Select_priv) VALUES ('%', '" + db + "', 'C', 'Y')",
			"INSERT INTO mysql.tables_priv (Host, Db, User, Table_name, Grantor, Table_priv) VALUES ('%', '" + db + "', 'C', 't', '', 'Select')",
			"INSERT INTO mysql.columns_priv (Host, Db, User, Table_name, Column_name, Column_priv) VALUES ('%', '" + db + "', 'C', 't', 'c', 'Select')",
			"INSERT INTO mysql.procs_priv (Host, Db, User, Routine_name, Routine_type, Grantor, Proc_priv) VALUES ('%', '" + db + "', 'C', 'p', 'PROCEDURE', '', 'Execute')",
			"INSERT INTO mysql.proxies_priv (Host, User, Proxied_host, Proxied_user, With_grant, Grantor) VALUES ('%', 'C', '%', 'x', 0, '')",
			"INSERT INTO mysql.db (Host, Db, User, Select_priv) VALUES ('10.%', '" + db + "', 'C', 'Y')", // of another host
		} {
			app := s.user(t, "INSERT ON "+db+".*")
			pair := pairOf(app.User)
			s.run(t, strings.ReplaceAll(rest, "'C'", quoteText(pair.Clone)), "FLUSH PRIVILEGES")
			_, err := engine().DryRunEnsureClone(t.Context(), s.superuser(), pair, password())
			if strings.Contains(rest, "10.%") {
				ok(t, err)
			} else {
				drop := "DROP USER IF EXISTS " + at(pair.Clone).String()
				for _, err := range []error{err, engine().EnsureClone(t.Context(), s.superuser(), pair, password())} {
					wants(t, err, rotator.KindMisconfigured, "deleted by hand", drop)
				}
				for _, fix := range rotator.FixesOf(err) {
					s.run(t, fix.Run)
				}
			}
			ok(t, engine().Ping(t.Context(), s.ensure(t, pair)))
			s.alike(t, at(app.User), at(pair.Clone))
		}
	})
}

// TestTheViewOfTheAccounts: mysql.user of MariaDB is a view, and its definer an account that some drop.
func TestTheViewOfTheAccounts(t *testing.T) {
	t.Parallel()
	onOwnMariaDB(t, nil, func(t *testing.T, s server) {
		app := s.user(t)
		s.run(t, "DROP USER `mariadb.sys`@localhost")
		_, err := engine().DryRunSetPassword(t.Context(), app, app.User, password()) // which asks for no account
		ok(t, err)
		_, err = engine().DryRunEnsureClone(t.Context(), s.superuser(), pairOf(app.User), password())
		wants(t, err, rotator.KindMisconfigured, "CREATE USER `mariadb.sys`@`localhost`")
		for _, fix := range rotator.FixesOf(err) {
			s.run(t, fix.Run)
		}
		ok(t, engine().Ping(t.Context(), s.ensure(t, pairOf(app.User))))
	})
}

// TestAuthenticationPolicy: what MySQL's authentication_policy does not permit, it finds after all that a dry run tries. The
// preflight reads it.
func TestAuthenticationPolicy(t *testing.T) {
	t.Parallel()
	s := newServer(t, "mysql-9.7", nil)
	app, boss := s.user(t), s.user(t, "CREATE USER, SELECT ON *.*")
	another := s.login(name(), password().Reveal())
	s.run(t, "CREATE USER "+at(another.User).String()+" IDENTIFIED WITH sha256_password BY '"+another.Password.Reveal()+"'")
	for policy, refused := range map[string]map[string]bool{
		"*,,":                       {},
		"*:caching_sha2_password,,": {},
		"caching_sha2_password,,":   {"self": true, "superuser": true, "clone": true},
		"sha256_password,,":         {},
		"*,*,":                      {"clone": true},
	} {
		s.run(t, "SET GLOBAL authentication_policy = "+quoteText(policy))
		pair := pairOf(another.User)
		for what, call := range map[string][2]func() error{
			"self": {func() error {
				_, err := engine().DryRunSetPassword(t.Context(), another, another.User, password())
				return err
			}, func() error { return engine().SetPassword(t.Context(), another, another.User, another.Password) }},
			"superuser": {func() error {
				_, err := engine().DryRunSetPassword(t.Context(), boss, another.User, password())
				return err
			}, func() error {
				if err := engine().SetPassword(t.Context(), boss, another.User, password()); err != nil {
					return err
				}
				return engine().SetPassword(t.Context(), boss, another.User, another.Password)
			}},
			"clone": {func() error {
				_, err := engine().DryRunEnsureClone(t.Context(), boss, pair, password())
				return err
			}, func() error { return engine().EnsureClone(t.Context(), boss, pair, password()) }},
		} {
			for i, err := range []error{call[0](), call[1]()} {
				switch {
				case !refused[what] && err != nil:
					t.Errorf("%s, %s: %v", policy, what, err)
				case refused[what]:
					if wrong := differs(err, rotator.KindMisconfigured, "authentication_policy"); wrong != nil {
						t.Errorf("%s, %s, dry run %t: %v", policy, what, i == 0, wrong)
					}
				}
			}
			s.run(t, "DROP USER IF EXISTS "+at(pair.Clone).String())
		}
		_, err := engine().DryRunSetPassword(t.Context(), app, app.User, password())
		if policy != "sha256_password,," {
			ok(t, err)
		}
	}
	s.run(t, "SET GLOBAL authentication_policy = 'caching_sha2_password,*,'", "GRANT AUTHENTICATION_POLICY_ADMIN ON *.* TO "+at(boss.User).String())
	_, err := engine().DryRunEnsureClone(t.Context(), boss, pairOf(another.User), password())
	ok(t, err)
	ok(t, engine().EnsureClone(t.Context(), boss, pairOf(another.User), password()))
}

// TestFurtherFactors: a clone has a password alone, and where its original demands more, none is made.
func TestFurtherFactors(t *testing.T) {
	t.Parallel()
	s := newServer(t, "mysql-9.7", map[string]string{"plugin-load-add": "auth_socket.so"})
	app := s.user(t)
	more := account{user: app.User, host: "10.%"}.String()
	s.run(t, "CREATE USER "+more+" IDENTIFIED BY '"+app.Password.Reveal()+"' AND IDENTIFIED WITH auth_socket")
	_, dryRun := engine().DryRunEnsureClone(t.Context(), s.superuser(), pairOf(app.User), password())
	for _, err := range []error{dryRun, engine().EnsureClone(t.Context(), s.superuser(), pairOf(app.User), password())} {
		wants(t, err, rotator.KindMisconfigured, more+" demands further factors")
	}
	if n := s.ask(t, "SELECT COUNT(*) FROM mysql.user WHERE User = "+quoteText(app.User+"_clone")); n != "0" {
		t.Errorf("%s accounts were made", n)
	}
	ok(t, engine().SetPassword(t.Context(), s.superuser(), app.User, password()))
	if line := s.ask(t, "SHOW CREATE USER "+more); !strings.Contains(line, "AND IDENTIFIED WITH 'auth_socket'") {
		t.Error("the account has lost a factor")
	}
}

// TestHashesStay: no error holds a hash, whatever stops EnsureClone.
func TestHashesStay(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		app := s.user(t, "SELECT ON mysql.*")
		var hashes secret.Scrubber
		hashes.Add(secret.NewPassword(s.ask(t, "SELECT authentication_string FROM mysql.user WHERE User = "+quoteText(app.User))))
		for _, grants := range [][]string{{"CREATE USER ON *.*"}, {"CREATE USER ON *.*", "SELECT ON mysql.*"}, {"CREATE USER ON *.*", "SELECT, UPDATE ON mysql.*"}} {
			err := engine().EnsureClone(t.Context(), s.user(t, grants...), pairOf(app.User), password())
			wants(t, err, rotator.KindPrivilege)
			if hashes.String(err.Error()) != err.Error() {
				t.Error("the error holds a hash")
			}
		}
	})
}

// TestNamesThatAreNearlyTheClones: an account whose name is nearly that of the clone is another, and nothing happens to it.
// MariaDB keeps a space at the end of a name in its memory and not in its tables, so that the two differ until they are
// read again: the preflight names the cause, and nothing is changed.
func TestNamesThatAreNearlyTheClones(t *testing.T) {
	near := map[string]func(string) string{
		"space at the end":    func(s string) string { return s + " " },
		"space at the front":  func(s string) string { return " " + s },
		"tab":                 func(s string) string { return s + "\t" },
		"no-break space":      func(s string) string { return s + "\u00a0" },
		"zero width space":    func(s string) string { return s + "\u200b" },
		"capitals":            strings.ToUpper,
		"an accent":           func(s string) string { return strings.Replace(s, "o", "ö", 1) },
		"an accent, in parts": func(s string) string { return strings.Replace(s, "o", "o\u0308", 1) },
		"Cyrillic":            func(s string) string { return strings.Replace(s, "o", "о", 1) },
		"full width":          func(s string) string { return strings.Replace(s, "o", "ｏ", 1) },
	}
	onEach(t, func(t *testing.T, s server) {
		for what, of := range near {
			t.Run(what, func(t *testing.T) {
				app, p := s.user(t), password()
				pair := pairOf(app.User)
				other := withPassword(s.login(of(pair.Clone), ""), p)
				s.run(t, "CREATE USER "+at(other.User).String()+" IDENTIFIED BY '"+p.Reveal()+"'")
				if what == "space at the end" {
					if !s.MariaDB {
						ok(t, engine().Ping(t.Context(), withPassword(s.login(pair.Clone, ""), p))) // it is the clone
						return
					}
					_, dryRun := engine().DryRunEnsureClone(t.Context(), s.superuser(), pair, password())
					_, single := engine().DryRunSetPassword(t.Context(), s.superuser(), pair.Clone, password())
					for _, err := range []error{
						dryRun, engine().EnsureClone(t.Context(), s.superuser(), pair, password()),
					} {
						wants(t, err, rotator.KindMisconfigured, "space at its end", "FLUSH PRIVILEGES", "DROP USER")
					}
					wants(t, single, rotator.KindNotFound, "space at its end", "FLUSH PRIVILEGES", "DROP USER")
					ok(t, s.as(t.Context(), other, "SELECT 1"))
					s.run(t, "DROP USER "+at(other.User).String())
					ok(t, engine().Ping(t.Context(), s.ensure(t, pair)))
					return
				}
				before := engine().Ping(t.Context(), other) // MySQL takes white space off both ends of a new name, and lets in no name that has any
				_, err := engine().DryRunEnsureClone(t.Context(), s.superuser(), pair, password())
				ok(t, err)
				next := s.ensure(t, pair)
				ok(t, engine().Ping(t.Context(), next))
				s.alike(t, at(app.User), at(next.User))
				if after := engine().Ping(t.Context(), other); (after == nil) != (before == nil) {
					t.Errorf("before: %v; after: %v", before, after)
				}
			})
		}
	})
}

// TestClonesThatAnotherSessionChanges: an account that is dropped or created in the middle of a change is said to be, and
// what MariaDB alone does to a name is said of MariaDB alone.
func TestClonesThatAnotherSessionChanges(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		begun := func(made bool) (*cloneSync, string) {
			app := s.user(t, "CREATE USER ON *.*")
			pair := pairOf(app.User)
			if made {
				s.ensure(t, pair)
				s.run(t, "GRANT RELOAD ON *.* TO "+at(app.User).String())
			}
			pair.Possession = possessed
			c, err := engine().beginClone(t.Context(), s.superuser(), pair, false)
			ok(t, err)
			t.Cleanup(c.close)
			return c, at(pair.Clone).String()
		}
		c, clone := begun(false)
		s.run(t, "CREATE USER "+clone+" IDENTIFIED BY 'x'")
		wants(t, c.align(t.Context(), c.originals[0], password()), rotator.KindConflict, "another session has created it")

		c, clone = begun(true)
		s.run(t, "DROP USER "+clone)
		errs := map[string]error{"GRANT": c.align(t.Context(), c.originals[0], password()),
			"ALTER USER": c.changeOthers(t.Context(), c.clones, password())}
		c.granted = nil
		_, _, errs["SHOW GRANTS"] = c.grants(t.Context(), c.clones[0].account)
		for what, err := range errs {
			t.Log(what, err)
			if err == nil || !s.MariaDB && strings.Contains(err.Error(), "space at its end") {
				t.Errorf("%s: %v", what, err)
			}
		}
		wants(t, errs["SHOW GRANTS"], rotator.KindConflict, "another session has dropped or renamed it")
	})
}

// TestTheUserInUseLacksAPrivilege that the other one has: status and P9 say so, with what gives it back.
func TestTheUserInUseLacksAPrivilege(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		db := s.NewDatabase(t)
		app := s.user(t, "SELECT, INSERT, DELETE ON "+db+".*")
		there := pairOf(app.User)
		s.ensure(t, there)
		clone, original, shop := at(there.Clone).String(), at(app.User).String(), " ON `"+db+"`.* TO "
		remark := func(pair strategies.Pair) string {
			t.Helper()
			lacks, remark, err := engine().TestPair(t.Context(), s.superuser(), pair)
			if err != nil || lacks.Text != "" {
				t.Errorf("%s, %v", lacks, err)
			}
			return remark
		}
		p9 := func(pair strategies.Pair) string {
			t.Helper()
			warnings, err := engine().DryRunEnsureClone(t.Context(), s.superuser(), pair, password())
			ok(t, err)
			return texts(warnings)
		}
		s.run(t, "REVOKE INSERT, DELETE ON "+db+".* FROM "+clone)
		give := "GRANT DELETE, INSERT" + shop + clone
		for what, said := range map[string]string{"status": remark(back(there)), "P9": p9(back(there))} {
			if !strings.Contains(said, give) || !strings.Contains(said, "the next rotation gives clients account "+original) {
				t.Errorf("%s: %q", what, said)
			}
		}
		if said := remark(there); said != "" { // the original is in use, and has all
			t.Errorf("the original: %s", said)
		}
		alone := back(there)
		if alone.PasswordOnly = true; remark(alone) != "" {
			t.Errorf("a rotation that clones nothing: %s", remark(alone))
		}
		s.run(t, give, "REVOKE INSERT ON "+db+".* FROM "+original)
		for _, pair := range []strategies.Pair{there, back(there)} {
			said := remark(pair)
			want := "GRANT INSERT" + shop + original
			if pair.Target == pair.Original {
				want = ""
			}
			if !strings.Contains(said, want) || want == "" && said != "" {
				t.Errorf("next is %s: %q", pair.Target, said)
			}
		}
		s.run(t, "GRANT INSERT ON *.* TO "+original)
		if said := remark(there); said != "" {
			t.Errorf("it has that on all databases: %s", said)
		}
	})
}
