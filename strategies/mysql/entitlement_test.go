package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/dial"
	"github.com/quarterturn-dev/quarterturn/strategies/internal/enginetest"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// state is one of the accounts of a pair, and what may come of a change. In the
// statements, O is the original and C the clone, DB a database of theirs, R a role.
type state struct {
	name  string
	made  bool // the clone was created by this function; otherwise by the statements
	after bool // made after the statements
	setUp string
	back  bool // the original's turn
	only  bool // the password alone
	named bool // alternateUsername

	bare       string // words of the refusal on MySQL where nothing but the server speaks; "": it is entitled
	consented  string // the same with consent, on both
	possessing string // the same with possession, on both
}

const (
	create = "CREATE USER C@'%' IDENTIFIED BY 'x'; "
	never  = "has not"
	given  = "a rotation gives that to no account"
)

// whose is the table of states. MariaDB keeps no marks: there, nothing on the server
// ever proves an account that exists.
var whose = []state{
	{name: "unrelated", setUp: create, bare: "bears no mark"},
	{name: "unrelated, its original's turn", setUp: create, back: true, bare: "which of the two"},
	{name: "created by a rotation", made: true},
	{name: "created by a rotation, the original's turn", made: true, back: true, bare: "which of the two"},
	{name: "created by a rotation, only its password", made: true, only: true},
	{name: "created by a rotation, named by the secret", made: true, only: true, named: true,
		bare: "alternateUsername"},
	{name: "created by a rotation, and given more", made: true, setUp: "GRANT DELETE ON DB.* TO C@'%'",
		bare: "DELETE ON"},
	{name: "created by a rotation, and its original lost something", made: true,
		setUp: "REVOKE INSERT ON DB.* FROM O@'%'", bare: "INSERT ON"},
	{name: "created by a rotation, with a role of its own", made: true,
		setUp: "CREATE ROLE R; GRANT R TO C@'%'", bare: "R"},
	{name: "created by a rotation, and another beside it", made: true,
		setUp: "CREATE USER C@'10.%' IDENTIFIED BY 'x'; GRANT SELECT, INSERT ON DB.* TO C@'10.%'",
		bare:  "bears no mark"},
	{name: "may create users", setUp: create + "GRANT CREATE USER ON *.* TO C@'%'", bare: "nothing proves",
		consented: never},
	{name: "may create users, only its password", setUp: create + "GRANT CREATE USER ON *.* TO C@'%'", only: true,
		bare: never, consented: never, possessing: never},
	{name: "may create users by a role, only its password", setUp: create +
		"CREATE ROLE R; GRANT CREATE USER ON *.* TO R; GRANT R TO C@'%'", only: true, bare: never, consented: never,
		possessing: never},
	{name: "may create users by a role", setUp: create + "CREATE ROLE R; GRANT CREATE USER ON *.* TO R; GRANT R " +
		"TO C@'%'", bare: "nothing proves", consented: never},
	{name: "may write the accounts by a pattern", setUp: create + "GRANT UPDATE ON `my%`.* TO C@'%'", only: true,
		bare: never, consented: never, possessing: never},
	{name: "may write the accounts", setUp: create + "GRANT UPDATE ON mysql.* TO C@'%'", only: true, bare: never,
		consented: never, possessing: never},
	{name: "may stand for others", setUp: create + "GRANT PROXY ON ADMIN@'%' TO C@'%'", only: true, bare: never,
		consented: never, possessing: never},
	{name: "may do so on a host where its original is not", setUp: create +
		"CREATE USER C@'10.%' IDENTIFIED BY 'x'; GRANT CREATE USER ON *.* TO C@'10.%'", bare: never, consented: never,
		possessing: never},
	{name: "original with power, unrelated clone", setUp: create + "GRANT CREATE USER ON *.* TO O@'%'", back: true,
		bare: "nothing proves", consented: never},
	{name: "original with power, unrelated clone, only its password", setUp: create +
		"GRANT CREATE USER ON *.* TO O@'%'", back: true, only: true, bare: never, consented: never, possessing: never},
	{name: "both with power", setUp: create + "GRANT CREATE USER ON *.* TO O@'%'; GRANT CREATE USER ON *.* TO C@'%'",
		only: true, bare: "bears no mark"},
	{name: "original with more power on another host", setUp: "CREATE USER O@'10.%' IDENTIFIED BY 'x'; GRANT CREATE " +
		"USER ON *.* TO O@'10.%'", bare: never, consented: never, possessing: never},
}

// forged are marks that prove nothing, for MySQL.
var forged = []state{
	{name: "marked as another's clone", setUp: `CREATE USER C@'%' IDENTIFIED BY 'x' ATTRIBUTE '{"quarterturn": {"clone_of": "other"}}'`, bare: "bears no mark"},
	{name: "marked in another form", setUp: `CREATE USER C@'%' IDENTIFIED BY 'x' ATTRIBUTE '{"quarterturn": {"clone_of": ["O"]}}'`, bare: "bears no mark"},
	{name: "a comment", setUp: `CREATE USER C@'%' IDENTIFIED BY 'x' COMMENT 'quarterturn clone_of O'`, bare: "bears no mark"},
	{name: "marked, with power", setUp: `CREATE USER C@'%' IDENTIFIED BY 'x' ATTRIBUTE '{"quarterturn": {"clone_of": "O"}}'; GRANT CREATE USER ON *.* TO C@'%'`, bare: "nothing proves", consented: never},
	{name: "marked, and the original's turn", setUp: `CREATE USER C@'%' IDENTIFIED BY 'x' ATTRIBUTE '{"quarterturn": {"clone_of": "O"}}'`, back: true, bare: "which of the two"},
	{name: "SYSTEM_USER", setUp: create + "GRANT SYSTEM_USER ON *.* TO C@'%'", only: true, bare: never,
		consented: never, possessing: never},
	{name: "marked before its original had SYSTEM_USER", setUp: create + `ALTER USER C@'%' ATTRIBUTE '{"quarterturn": {"clone_of": "O"}}'; GRANT SYSTEM_USER ON *.* TO O@'%'`, bare: given, consented: given, possessing: given},
	{name: "SYSTEM_USER, and the original too", setUp: create + "GRANT SYSTEM_USER ON *.* TO O@'%'; GRANT SYSTEM_USER ON *.* TO C@'%'", bare: "bears no mark"},
	{name: "SYSTEM_USER, and the original may pass it on", setUp: create + "GRANT SYSTEM_USER ON *.* TO O@'%' WITH GRANT OPTION; GRANT SYSTEM_USER ON *.* TO C@'%'", bare: "bears no mark"},
	{name: "SYSTEM_USER to pass on, and the original not to", setUp: create + "GRANT SYSTEM_USER ON *.* TO O@'%'; GRANT SYSTEM_USER ON *.* TO C@'%' WITH GRANT OPTION", bare: "nothing proves", consented: never, possessing: given},
	{name: "SYSTEM_USER, the original too, and by a role", setUp: create + "CREATE ROLE R; GRANT SYSTEM_USER ON *.* TO R; GRANT R TO O@'%'; GRANT SYSTEM_USER ON *.* TO O@'%'; GRANT SYSTEM_USER ON *.* TO C@'%'", bare: "bears no mark"},
	{name: "marked, and only its password, of an original with SYSTEM_USER", setUp: create + `ALTER USER C@'%' ATTRIBUTE '{"quarterturn": {"clone_of": "O"}}'; GRANT SYSTEM_USER ON *.* TO O@'%'`, only: true},
	{name: "created by a rotation, and then its original got SYSTEM_USER, and its turn", made: true, back: true, setUp: "GRANT SYSTEM_USER ON *.* TO O@'%'", bare: "nothing proves", consented: never, possessing: given},
	{name: "marked, of an original with SYSTEM_USER by a role", setUp: create + `ALTER USER C@'%' ATTRIBUTE '{"quarterturn": {"clone_of": "O"}}'; CREATE ROLE R; GRANT SYSTEM_USER ON *.* TO R; GRANT R TO O@'%'`, bare: given, consented: given, possessing: given},
	{name: "SYSTEM_USER, of an original that may grant", setUp: create + "GRANT SYSTEM_USER ON *.* TO C@'%'; GRANT SUPER, CREATE USER ON *.* TO O@'%' WITH GRANT OPTION", only: true, bare: never, consented: never, possessing: never},
	{name: "the mark set by hand, as the runbook has it", setUp: create + `ALTER USER C@'%' ATTRIBUTE '{"quarterturn": {"clone_of": "O"}}'`},
}

// TestLeftoversOfADroppedClone: what the server keeps for the name of an account that is gone would come to the one
// that
// a rotation creates. Nothing is created then, unless the superuser secret names the pair.
func TestLeftoversOfADroppedClone(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		for what, c := range map[string]struct{ setUp, says string }{
			"a procedure":                  {"CREATE DEFINER=C PROCEDURE DB.p() SELECT 1", "procedure DB.p, which is defined for"},
			"a procedure for another host": {"CREATE DEFINER=N@'127.0.0.1' PROCEDURE DB.p() SELECT 1", "procedure DB.p"},
			"an event for a host without a name": {"CREATE DEFINER=N@'' EVENT DB.e ON SCHEDULE EVERY 1 DAY DISABLE DO SELECT 1",
				"event DB.e"},
			"a role of a name with NUL": {`DROP USER NAME@'%'; CREATE USER 'NAME\0x'@'%'; GRANT 'NAME\0x'@'%' TO OTHER; DROP USER 'NAME\0x'@'%'; ` +
				`CREATE USER NAME@'%'`,
				"OTHER, which has "},
			"a role of a host with NUL": {`DROP USER NAME@'%'; CREATE USER NAME@'%\0x'; GRANT NAME@'%\0x' TO OTHER; DROP USER NAME@'%\0x'; ` +
				`CREATE USER NAME@'%'`,
				"OTHER, which has "},
			"a function": {"CREATE DEFINER=C FUNCTION DB.f() RETURNS int DETERMINISTIC RETURN 1", "function DB.f"},
			"an event":   {"CREATE DEFINER=C EVENT DB.e ON SCHEDULE EVERY 1 DAY DISABLE DO SELECT 1", "event DB.e"},
			"a view":     {"CREATE DEFINER=C VIEW DB.v AS SELECT 1", "view DB.v"},
			"a trigger": {"CREATE TABLE DB.t (n int); CREATE DEFINER=C TRIGGER DB.r BEFORE INSERT ON DB.t FOR EACH " +
				"ROW SET NEW.n = 1", "trigger DB.r"},
			"a proxy": {"GRANT PROXY ON C TO OTHER", "OTHER, by PROXY on "},
			"a proxy of an account that is still there": {"GRANT PROXY ON C TO OTHER; -", "OTHER, by PROXY on "},
			"nothing": {},
		} {
			t.Run(what, func(t *testing.T) {
				db := s.NewDatabase(t)
				app, other := s.user(t, "SELECT, INSERT ON "+db+".*"), s.user(t)
				pair := pairOf(app.User)
				clone := account{user: pair.Clone, host: "%"}
				if s.MariaDB && strings.Contains(c.setUp, `\0`) {
					t.Skip("no account is a role on MariaDB")
				}
				words := strings.NewReplacer("DB", db, "=C ", "="+clone.String()+" ", "ON C", "ON "+clone.String(),
					"=N@", "="+quoteIdent(clone.user)+"@", "NAME", clone.user,
					"OTHER", account{user: other.User, host: "%"}.String())
				s.run(t, "CREATE USER "+clone.String()+" IDENTIFIED BY 'x'", "GRANT ALL ON "+db+".* TO "+clone.String())
				there := false
				for _, sql := range strings.Split(c.setUp, "; ") {
					if there = sql == "-"; sql != "" && !there {
						s.run(t, words.Replace(sql))
					}
				}
				if !there {
					s.run(t, "DROP USER "+clone.String())
				} else { // the secret holds its password, and it lacks what the original may do
					s.run(t, "REVOKE ALL PRIVILEGES, GRANT OPTION FROM "+clone.String())
					pair.Possession = possessed
				}
				_, dry := engine().DryRunEnsureClone(t.Context(), s.superuser(), pair, password())
				done := engine().EnsureClone(t.Context(), s.superuser(), pair, password())
				if what == "nothing" {
					ok(t, dry)
					ok(t, done)
					return
				}
				for _, err := range []error{dry, done} {
					wants(t, err, rotator.KindNotEntitled, words.Replace(c.says), `"rotates": ["`+pair.Original+"/"+pair.Clone+`"]`)
				}
				if n := s.ask(t, "SELECT COUNT(*) FROM mysql.user WHERE User = "+quoteText(pair.Clone)); n != "0" &&
					!there {
					t.Errorf("%s accounts were created", n)
				}
				pair.Consent = true
				ok(t, engine().EnsureClone(t.Context(), s.superuser(), pair, password()))
			})
		}
	})
}

// connected is a connection of a login that stays open until the function that it gives is called.
func (s server) connected(t *testing.T, who strategies.Login) (id string, conn *sql.Conn) {
	t.Helper()
	db, err := s.Connect(t.Context(), who.User, who.Password.Reveal(), "")
	ok(t, err)
	t.Cleanup(func() { db.Close() })
	conn, err = db.Conn(t.Context())
	ok(t, err)
	ok(t, conn.QueryRowContext(t.Context(), "SELECT CONNECTION_ID()").Scan(&id))
	return id, conn
}

// kill ends a connection, as the refusal has it, and waits until the server shows it no longer.
func (s server) kill(t *testing.T, id string) {
	t.Helper()
	s.run(t, "KILL "+id)
	for s.ask(t, "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE ID = "+id) != "0" && t.Context().Err() == nil {
	}
}

// loggedOut waits until the server shows no connection of a user.
func (s server) loggedOut(t *testing.T, user string) {
	t.Helper()
	const open = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = "
	for s.ask(t, open+quoteText(user)) != "0" && t.Context().Err() == nil {
	}
}

// TestConnectionsOfADroppedClone: a connection outlives its account, and may do what the next account of that name may:
// set its password among others. None is created as long as there is one.
func TestConnectionsOfADroppedClone(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		db := s.NewDatabase(t)
		app := s.user(t, "SELECT, INSERT ON "+db+".*")
		pair, p := pairOf(app.User), password()
		clone := account{user: pair.Clone, host: "%"}
		s.run(t, "CREATE USER "+clone.String()+" IDENTIFIED BY '"+p.Reveal()+"'")
		id, _ := s.connected(t, withPassword(s.login(pair.Clone, ""), p))
		s.run(t, "DROP USER "+clone.String())
		_, dry := engine().DryRunEnsureClone(t.Context(), s.superuser(), pair, password())
		for _, err := range []error{dry, engine().EnsureClone(t.Context(), s.superuser(), pair, password())} {
			wants(t, err, rotator.KindNotEntitled, "connection "+id+" from ", "KILL "+id, `"rotates": ["`)
		}
		if n := s.ask(t, "SELECT COUNT(*) FROM mysql.user WHERE User = "+quoteText(pair.Clone)); n != "0" {
			t.Errorf("%s accounts were created", n)
		}
		s.kill(t, id)
		ok(t, engine().EnsureClone(t.Context(), s.superuser(), pair, password()))
		s.connected(t, s.ensure(t, pair)) // clients of a clone that goes on are no matter
		s.ensure(t, pair)
	})
}

// TestConnectionsWithinARoutine: while a connection of a dropped account is within a routine of another, SHOW PROCESSLIST
// names that one's definer; the performance schema, where it is on, names who has logged in. A superuser that may not
// read that goes on, as where it is off.
func TestConnectionsWithinARoutine(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		s = newServer(t, s.Name, map[string]string{"performance-schema": "ON"})
		db := s.NewDatabase(t)
		app, definer := s.user(t), s.user(t)
		boss := s.user(t, "CREATE USER ON *.*", "SELECT, UPDATE ON mysql.*", "PROCESS ON *.*")
		pair, p := pairOf(app.User), password()
		clone := at(pair.Clone).String()
		holder, err := s.Admin(t.Context())
		ok(t, err)
		defer holder.Close()
		held, err := holder.Conn(t.Context())
		ok(t, err)
		_, err = held.ExecContext(t.Context(), "DO GET_LOCK('within', 0)")
		ok(t, err)
		s.run(t, "CREATE USER "+clone+" IDENTIFIED BY '"+p.Reveal()+"'", "GRANT EXECUTE ON "+db+".* TO "+clone,
			"CREATE DEFINER="+at(definer.User).String()+" PROCEDURE "+db+".p() SQL SECURITY DEFINER DO GET_LOCK('within', 60)",
			"GRANT EXECUTE ON "+db+".* TO "+at(definer.User).String())
		id, conn := s.connected(t, withPassword(s.login(pair.Clone, ""), p))
		done := make(chan error, 1)
		go func() {
			_, err := conn.ExecContext(t.Context(), "CALL "+db+".p()")
			done <- err
		}()
		for s.ask(t, "SELECT USER FROM information_schema.PROCESSLIST WHERE ID = "+id) != definer.User && t.Context().Err() == nil {
		}
		s.run(t, "DROP USER "+clone)
		_, dry := engine().DryRunEnsureClone(t.Context(), s.superuser(), pair, password())
		for _, err := range []error{dry, engine().EnsureClone(t.Context(), s.superuser(), pair, password())} {
			wants(t, err, rotator.KindNotEntitled, "connection "+id+" from 127.0.0.1, which is open (KILL "+id+")")
		}
		_, err = engine().DryRunEnsureClone(t.Context(), boss, pair, password())
		ok(t, err)
		s.kill(t, id)
		<-done
		ok(t, engine().EnsureClone(t.Context(), s.superuser(), pair, password()))
	})
}

// TestWhatNoRotationGives: until the clone has SYSTEM_USER, CREATE USER is enough to give another account its name, to
// which a GRANT would go then; or the original's, by which exceptions from a privilege go (AS). So none is sent, whatever
// proves the pair; what an administrator is told to do instead is followed by rotations.
func TestWhatNoRotationGives(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		if s.MariaDB {
			t.Skip("MariaDB has no SYSTEM_USER: CREATE USER is enough to set any password")
		}
		s = newServer(t, s.Name, map[string]string{"log-output": "TABLE", "partial-revokes": "ON"})
		db := s.NewDatabase(t)
		const system = "GRANT SYSTEM_USER ON *.* TO O"
		const excepted = "GRANT SELECT, DELETE ON *.* TO O; REVOKE SELECT ON mysql.* FROM O"
		for what, c := range map[string]struct {
			made  bool   // a rotation has made the clone
			setUp string // then
			back  bool
			uses  string // of what the clone has, and keeps
		}{
			"no clone":                      {setUp: system},
			"a clone":                       {made: true, setUp: system},
			"a clone with another password": {made: true, setUp: system + "; ALTER USER C IDENTIFIED BY 'x' RETAIN CURRENT PASSWORD"},
			"a clone in use":                {made: true, back: true, setUp: system},
			"to pass on":                    {made: true, setUp: system + "; GRANT SYSTEM_USER ON *.* TO C WITH GRANT OPTION"},
			"all":                           {setUp: "GRANT ALL ON *.* TO O WITH GRANT OPTION"},
			"by a role":                     {setUp: "GRANT R TO O"},
			"by a role of a role":           {made: true, setUp: "CREATE ROLE R2; GRANT R TO R2; GRANT R2 TO O"},
			"with exceptions":               {setUp: excepted},
			"with exceptions, to pass on":   {setUp: excepted + "; GRANT INSERT ON *.* TO O WITH GRANT OPTION"},
			"with exceptions, a clone":      {made: true, setUp: excepted},
			"with exceptions, in use":       {made: true, back: true, setUp: excepted},
			"with exceptions, on what clients use": {made: true, back: true, setUp: "GRANT DELETE ON *.* TO O; " +
				"REVOKE DELETE ON hr.* FROM O; GRANT DELETE ON hr.* TO C", uses: "GRANT DELETE ON `hr`.*"},
			"both": {made: true, setUp: system + "; " + excepted},
		} {
			t.Run(what, func(t *testing.T) {
				app, role := s.user(t, "SELECT, INSERT ON "+db+".*"), s.role(t)
				s.run(t, "GRANT SYSTEM_USER ON *.* TO "+role)
				pair := pairOf(app.User)
				if c.made {
					s.ensure(t, pair)
				}
				words := strings.NewReplacer("TO O", "TO "+at(app.User).String(), "FROM O", "FROM "+at(app.User).String(), "TO C", "TO "+at(pair.Clone).String(),
					"USER C", "USER "+at(pair.Clone).String(), "R2", role+"2", " R ", " "+role+" ")
				for _, sql := range strings.Split(c.setUp, "; ") {
					s.run(t, words.Replace(sql))
				}
				if c.back {
					pair = back(pair)
				}
				pair.Possession = possessed
				before := s.census(t, app.User)
				s.run(t, "TRUNCATE mysql.general_log", "SET GLOBAL general_log = ON")
				pair.Consent = true
				_, dry := engine().DryRunEnsureClone(t.Context(), s.superuser(), pair, password())
				real := engine().EnsureClone(t.Context(), s.superuser(), pair, password())
				pair.Consent = false
				other := engine().EnsureClone(t.Context(), s.superuser(), pair, password())
				s.run(t, "SET GLOBAL general_log = OFF")
				for _, err := range []error{dry, real, other} {
					wants(t, err, rotator.KindNotEntitled, given, "dual passwords", "single user through a superuser", "as an administrator")
				}
				const sent = "SELECT CONVERT(argument USING utf8mb4) FROM mysql.general_log WHERE argument "
				if sent := s.ask(t, sent+"REGEXP '^(GRANT|REVOKE|CREATE USER|RENAME)'"); sent != "" {
					t.Errorf("sent: %s", sent)
				}
				if s.census(t, app.User) != before {
					t.Error("a refused call changed something")
				}

				asMeant := func(err error) []rotator.Fix { // what takes it from the original comes first
					return slices.DeleteFunc(rotator.FixesOf(err), func(f rotator.Fix) bool {
						return f.For == "if account "+at(app.User).String()+" is not meant to have it, to take it away"
					})
				}
				fixes := asMeant(dry)
				if len(fixes) == 0 {
					t.Fatal("nothing is printed")
				}
				if c.made && !c.back && !strings.Contains(c.setUp, " C ") && !strings.Contains(c.setUp, excepted) { // nothing but the mark says whose the clone is
					alone := pair
					alone.Possession = nil
					_, err := engine().DryRunEnsureClone(t.Context(), s.superuser(), alone, password())
					fixes = asMeant(err)
					if first := "ALTER USER " + at(pair.Clone).String() + " IDENTIFIED BY RANDOM PASSWORD"; len(fixes) == 0 || fixes[0].Run != first {
						t.Errorf("the first line is not %s: %v", first, err)
					}
				}
				for _, fix := range fixes {
					s.run(t, fix.Run)
				}
				if has := s.ask(t, grantsOf(at(pair.Clone))); !strings.Contains(has, c.uses) {
					t.Errorf("what was printed took %s: %s", c.uses, has)
				}
				if !c.back {
					pair.Possession = nil
				}
				_, err := engine().DryRunEnsureClone(t.Context(), s.superuser(), pair, password())
				ok(t, err)
				s.ensure(t, pair)
				if c.uses == "" {
					s.alike(t, at(app.User), at(pair.Clone))
				}
				pair.Possession = possessed
				for range 2 {
					pair.Target = pair.InUse()
					s.ensure(t, pair)
				}
			})
		}
	})
}

// TestWhatMayBeLeftOfAnAccount: the line before the one that protects a clone shows who has it as a role, its connections
// and a second password, which end what is said to end them; and it shows nothing of one that has none.
func TestWhatMayBeLeftOfAnAccount(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		if s.MariaDB {
			t.Skip("MariaDB has no SYSTEM_USER")
		}
		shows := func(of string) string {
			return s.ask(t, "SELECT CONCAT_WS(' ', role_of, connections, second_password) FROM ("+heldQuery(at(of))+") q")
		}
		clone, other := s.user(t, "SELECT ON *.*"), s.user(t, "SELECT ON *.*")
		if got := shows(clone.User); got != "0 0 0" {
			t.Errorf("of an account that has nothing: %s", got)
		}
		s.run(t, "GRANT "+at(clone.User).String()+" TO "+at(other.User).String())
		db, err := s.Connect(t.Context(), clone.User, clone.Password.Reveal(), "")
		ok(t, err)
		defer db.Close()
		conn, err := db.Conn(t.Context())
		ok(t, err)
		defer conn.Close()
		newer := password()
		s.run(t, "ALTER USER "+at(clone.User).String()+" IDENTIFIED BY '"+newer.Reveal()+"' RETAIN CURRENT PASSWORD")
		if got := shows(clone.User); got != "1 1 1" {
			t.Errorf("of one with a member, a connection and a second password: %s", got)
		}
		// The secret has the older one: to discard that alone would lock clients out.
		note := heldUntilNow(accountRow{account: at(clone.User)}, true)
		for _, line := range regexp.MustCompile("ALTER USER `[^`]+`@`[^`]+` (?:IDENTIFIED BY 'PASSWORD'|DISCARD OLD PASSWORD)").
			FindAllString(note, -1) {
			s.run(t, strings.Replace(line, "'PASSWORD'", "'"+clone.Password.Reveal()+"'", 1))
		}
		ok(t, engine().Ping(t.Context(), clone))
		clone.Password = newer
		wants(t, engine().Ping(t.Context(), clone), rotator.KindLoginRejected)
	})
}

// TestWhatAnOriginalIsNotMeantToHave: of privileges on all databases that the superuser may not give, what takes them
// from the original comes first. The lines run as they stand, and leave all else to it.
func TestWhatAnOriginalIsNotMeantToHave(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		db := s.NewDatabase(t)
		for _, extra := range []string{"ALL", "ALL WITH", "PROCESS", "SYSTEM_USER"} {
			if s.MariaDB && extra == "SYSTEM_USER" {
				continue
			}
			app := s.user(t, "SELECT, INSERT ON "+db+".*")
			boss := s.user(t, "CREATE USER ON *.*", "SELECT, UPDATE ON mysql.*", "SELECT, INSERT ON "+db+".*",
				"PROCESS ON *.*")
			s.run(t, "GRANT GRANT OPTION ON "+db+".* TO "+at(boss.User).String())
			pair := pairOf(app.User)
			ok(t, engine().EnsureClone(t.Context(), boss, pair, password()))
			pair.Consent = true
			mine, theirs := s.grantsOf(t, at(boss.User)), s.grantsOf(t, at(app.User))
			privileges, with, _ := strings.Cut(extra, " ")
			if with != "" {
				with = " WITH GRANT OPTION"
			}
			s.run(t, "GRANT "+privileges+" ON *.* TO "+at(app.User).String()+with)
			rounds := 0
			for ; ; rounds++ {
				_, err := engine().DryRunEnsureClone(t.Context(), boss, pair, password())
				if err == nil {
					break
				}
				all := rotator.FixesOf(err)
				if rounds > 1 || len(all) == 0 || !strings.HasPrefix(all[0].Run, "REVOKE ") {
					t.Fatalf("%s, round %d: %v: %+v", extra, rounds, err, all)
				}
				wants(t, err, rotator.KindOf(err), " not meant", ": as an administrator, REVOKE ", ". If it is: ")
				for _, fix := range all {
					if fix.By != rotator.ByAdministrator || !strings.HasPrefix(fix.For, "if ") {
						t.Errorf("%s: on no condition: %+v", extra, fix)
					}
					if fix.For == "if account "+at(app.User).String()+" is not meant to have it, to take it away" {
						s.run(t, fix.Run)
					}
				}
			}
			if got := s.grantsOf(t, at(app.User)); rounds == 0 || got != theirs || s.grantsOf(t, at(boss.User)) != mine {
				t.Errorf("%s, %d rounds: the original has %s; it had %s", extra, rounds, got, theirs)
			}
		}
	})
}

// TestAGrantOnADroppedTable: what takes it from the original is a line.
func TestAGrantOnADroppedTable(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		db := s.NewDatabase(t)
		app := s.user(t, "SELECT ON "+db+".*")
		pair := pairOf(app.User)
		s.ensure(t, pair)
		for what, drop := range map[string]string{"UPDATE": "DROP TABLE " + db + ".t", "UPDATE (m)": "ALTER TABLE " + db +
			".t DROP COLUMN m"} {
			s.run(t, "CREATE TABLE "+db+".t (n int, m int)", "GRANT "+what+", INSERT ON "+db+".t TO "+at(app.User).String(), drop)
			_, err := engine().DryRunEnsureClone(t.Context(), s.superuser(), pair, password())
			wants(t, err, rotator.KindMisconfigured, "REVOKE that privilege from the original")
			all := rotator.FixesOf(err)
			if len(all) != 1 || !strings.HasPrefix(all[0].For, "if ") {
				t.Fatalf("%+v", all)
			}
			s.run(t, all[0].Run)
			_, err = engine().DryRunEnsureClone(t.Context(), s.superuser(), pair, password())
			ok(t, err)
			s.run(t, "DROP TABLE IF EXISTS "+db+".t")
			if has := s.grantsOf(t, at(app.User)); strings.Contains(has, "UPDATE") {
				t.Errorf("%s", has)
			}
		}
	})
}

// TestConnectionsOfARenamedClone: an account of the clone's name was another owner's, and got another name, as a refusal
// has it. Its connections keep the old one, and would have what the account may do that is created in its place. Where
// an account that is there lets clients in from, connections are the secret's.
func TestConnectionsOfARenamedClone(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		db := s.NewDatabase(t)
		app, mine, others := s.user(t, "SELECT ON "+db+".*"), password(), password()
		pair := pairOf(app.User)
		pair.Possession = holding(mine)
		clone := at(pair.Clone)
		here := account{user: pair.Clone, host: "127.0.0.2"}
		s.run(t, "CREATE USER "+app.User+"@'127.0.0.2' IDENTIFIED BY '"+app.Password.Reveal()+"'",
			"CREATE USER "+here.String()+" IDENTIFIED BY '"+mine.Reveal()+"'",
			"CREATE USER "+clone.String()+" IDENTIFIED BY '"+others.Reveal()+"'")
		secrets, err := s.ConnectFrom(t.Context(), here.host, here.user, mine.Reveal(), "")
		ok(t, err)
		defer secrets.Close()
		ok(t, secrets.PingContext(t.Context()))
		id, _ := s.connected(t, withPassword(s.login(pair.Clone, ""), others))
		s.run(t, "RENAME USER "+clone.String()+" TO "+at("other_"+pair.Clone).String())
		_, dry := engine().DryRunEnsureClone(t.Context(), s.superuser(), pair, password())
		for _, err := range []error{dry, engine().EnsureClone(t.Context(), s.superuser(), pair, password())} {
			wants(t, err, rotator.KindNotEntitled, "connection "+id+" from ", "KILL "+id)
			if strings.Count(err.Error(), "KILL ") > 1 {
				t.Errorf("a connection of the secret's is in the way: %v", err)
			}
		}
		if n := s.ask(t, "SELECT COUNT(*) FROM mysql.user WHERE User = "+quoteText(pair.Clone)); n != "1" {
			t.Errorf("%s accounts are there", n)
		}
		s.kill(t, id)
		s.ensure(t, pair)
	})
}

// TestLoginsThatBeganBefore: a login that began before its account was dropped, or got another password, is let in by the
// password of that time, as the account that is there when it ends.
func TestLoginsThatBeganBefore(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		s = newServer(t, s.Name, nil) // where no other rotation waits for a login
		by := "BY '%s'"
		if s.MariaDB { // whose other logins are one packet
			s.run(t, ed25519)
			by = "VIA ed25519 USING PASSWORD('%s')"
		}
		for what, c := range map[string]struct {
			then   string // when the login has begun
			during bool   // the change had begun before that
		}{
			"dropped":                   {then: "DROP USER C"},
			"only its mark proves that": {during: true},
		} {
			if c.during && s.MariaDB {
				continue
			}
			app := s.user(t)
			pair, p, loggedIn := pairOf(app.User), password(), make(chan error, 1)
			paused := enginetest.NewPause(2) // by then, the server has looked up the account
			clone := at(pair.Clone).String()
			s.run(t, "CREATE USER "+clone+" IDENTIFIED "+fmt.Sprintf(by, p.Reveal()))
			change := func() error { return engine().EnsureClone(t.Context(), s.superuser(), pair, password()) }
			if c.during {
				pair.Possession = nil
				s.run(t, "ALTER USER "+clone+" ATTRIBUTE "+quoteText(markOf(app.User)))
				begun, err := engine().beginClone(t.Context(), s.superuser(), pair, false)
				ok(t, err)
				defer begun.close()
				change = func() error { return begun.align(t.Context(), begun.originals[0], password()) }
			}
			config := mysql.NewConfig()
			config.Net, config.Addr, config.User, config.Passwd = "tcp", dial.Address(app), pair.Clone, p.Reveal()
			config.DialFunc = paused.Dial
			connector, err := mysql.NewConnector(config)
			ok(t, err)
			go func() {
				conn, err := connector.Connect(t.Context())
				if err == nil {
					t.Cleanup(func() { conn.Close() })
				}
				loggedIn <- err
			}()
			select {
			case <-paused.Reached:
			case err := <-loggedIn:
				t.Fatalf("%s: logged in by one packet: %v", what, err)
			}
			if c.then != "" {
				s.run(t, strings.Replace(c.then, " C", " "+clone, 1))
			}
			done := make(chan error, 1)
			go func() { done <- change() }()
			// MySQL shows that there is a login, and MariaDB at once who it will be.
			for len(done) == 0 && s.ask(t, waiting) == "0" {
			}
			close(paused.Resume)
			ok(t, <-loggedIn)
			wants(t, <-done, rotator.KindNotEntitled, "connection ", "KILL ")
			if n := s.ask(t, "SELECT COUNT(*) FROM mysql.user WHERE User = "+quoteText(pair.Clone)); c.then != "" && n != "0" {
				t.Errorf("%s: %s accounts were created", what, n)
			}
		}
	})
}

// TestWhatChangesDuringAWait: a clone that is made when logins have ended gets what its original has then, and none is
// made for one that has SYSTEM_USER then.
func TestWhatChangesDuringAWait(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		s = newServer(t, s.Name, nil) // where nobody else logs in
		db := s.NewDatabase(t)
		for _, then := range []string{"", "SYSTEM_USER"} {
			if then != "" && s.MariaDB {
				continue
			}
			app := s.user(t, "SELECT, INSERT ON "+db+".*")
			pair, done := pairOf(app.User), make(chan error, 1)
			begun, err := net.Dial("tcp", dial.Address(app))
			ok(t, err)
			defer begun.Close()
			const going = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = 'unauthenticated user'"
			for s.ask(t, going) == "0" && t.Context().Err() == nil {
			}
			go func() { done <- engine().EnsureClone(t.Context(), s.superuser(), pair, password()) }()
			for len(done) == 0 && s.ask(t, waiting) == "0" {
			}
			s.run(t, "REVOKE INSERT ON "+db+".* FROM "+at(app.User).String(), "ALTER USER "+at(app.User).String()+
				" REQUIRE SSL WITH MAX_QUERIES_PER_HOUR 77")
			if then != "" {
				s.run(t, "GRANT "+then+" ON *.* TO "+at(app.User).String())
			}
			begun.Close()
			err = <-done
			if then != "" {
				wants(t, err, rotator.KindNotEntitled, given)
				continue
			}
			ok(t, err)
			s.alike(t, at(app.User), at(pair.Clone))
			if want, got := s.attributes(t, app.User), s.attributes(t, pair.Clone); want != got {
				t.Errorf("original: %s\nclone:    %s", want, got)
			}
		}
	})
}

// waiting counts the rotations that wait for a login.
const waiting = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO = 'SELECT SLEEP(0.2)'"

// TestMarksThatTheirUsersWrote: who may do nothing but log in can mark its own account, beside a new password. Who is
// connected as it then, or has left what runs as it, does not come to be able to do what the original may.
func TestMarksThatTheirUsersWrote(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		if s.MariaDB {
			t.Skip("MariaDB keeps no marks")
		}
		db := s.NewDatabase(t)
		app := s.user(t, "SELECT, CREATE ROUTINE ON "+db+".*")
		pair := pairOf(app.User)
		pair.Possession = nil
		clone, others := at(pair.Clone).String(), withPassword(s.login(pair.Clone, ""), password())
		s.run(t, "CREATE TABLE "+db+".t (n int)", "CREATE USER "+clone+" IDENTIFIED BY 'x'")
		mark := func() {
			t.Helper()
			ok(t, s.as(t.Context(), withPassword(others, secret.NewPassword("x")), "ALTER USER "+clone+
				" IDENTIFIED BY '"+others.Password.Reveal()+"' ATTRIBUTE "+quoteText(markOf(app.User))))
		}
		mark()
		id, conn := s.connected(t, others)
		before := s.census(t, app.User)
		_, dry := engine().DryRunEnsureClone(t.Context(), s.superuser(), pair, password())
		for _, err := range []error{dry, engine().EnsureClone(t.Context(), s.superuser(), pair, password())} {
			wants(t, err, rotator.KindNotEntitled, "KILL "+id, `"rotates": ["`)
		}
		_, err := conn.ExecContext(t.Context(), "SELECT * FROM "+db+".t")
		if err == nil || s.census(t, app.User) != before {
			t.Errorf("a refused call changed something: %v", err)
		}
		s.kill(t, id)

		// Nor does who connects in the middle of a change.
		c, err := engine().beginClone(t.Context(), s.superuser(), pair, false)
		ok(t, err)
		defer c.close()
		id, conn = s.connected(t, others)
		wants(t, c.align(t.Context(), c.originals[0], password()), rotator.KindNotEntitled, "KILL "+id)
		if _, err := conn.ExecContext(t.Context(), "SELECT * FROM "+db+".t"); err == nil {
			t.Error("who marked the account may read what the original may")
		}
		s.kill(t, id)

		// Where nobody has it in hand, it is the secret's, as one is that an administrator marks.
		s.run(t, "ALTER USER "+clone+" IDENTIFIED BY 'x'")
		mark()
		s.loggedOut(t, pair.Clone)
		s.ensure(t, pair)
		s.alike(t, at(app.User), at(pair.Clone))
		if err := engine().Ping(t.Context(), others); err == nil {
			t.Error("the password that marked the account still logs in")
		}
	})
}

// TestHoldersOfAClone: who has the clone as a role has what it is given.
func TestHoldersOfAClone(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		if s.MariaDB {
			t.Skip("on MariaDB, an account cannot be granted as a role")
		}
		db := s.NewDatabase(t)
		app, other := s.user(t, "SELECT ON "+db+".*"), at(s.user(t).User)
		pair := pairOf(app.User)
		s.ensure(t, pair)
		clone := at(pair.Clone).String()
		s.run(t, "GRANT "+clone+" TO "+other.String())
		s.ensure(t, pair) // which gives nothing
		s.run(t, "GRANT INSERT ON "+db+".* TO "+at(app.User).String())
		_, dry := engine().DryRunEnsureClone(t.Context(), s.superuser(), pair, password())
		for _, err := range []error{dry, engine().EnsureClone(t.Context(), s.superuser(), pair, password())} {
			wants(t, err, rotator.KindNotEntitled, "account "+other.String()+", which has "+clone+" as a role", `"rotates": ["`)
		}
		s.run(t, "REVOKE "+clone+" FROM "+other.String())
		s.ensure(t, pair)
		s.alike(t, at(app.User), at(pair.Clone))
	})
}

// TestClonesThatEachAccountHasAsARole: mandatory_roles is for the whole server, and may name an account that is not there.
func TestClonesThatEachAccountHasAsARole(t *testing.T) {
	s := newServer(t, "mysql-9.7", nil)
	app := s.user(t)
	pair := pairOf(app.User)
	for _, roles := range []string{pair.Clone, "other, " + at(pair.Clone).String(), "other@'10.%'",
		pair.Clone + "@'10.%'", "r1, r2@%.example.com, " + pair.Clone + "@%",
		"r3@%.example.com,r4@10.0.0.1, " + pair.Clone + "@10.0.0.1"} {
		s.run(t, "SET GLOBAL mandatory_roles = "+quoteText(roles))
		_, err := engine().DryRunEnsureClone(t.Context(), s.superuser(), pair, password())
		if strings.HasSuffix(roles, "10.%'") || strings.HasSuffix(roles, "10.0.0.1") {
			ok(t, err)
			continue
		}
		wants(t, err, rotator.KindNotEntitled, "by mandatory_roles")
	}
}

// TestLeftoversThatAreNotSeen: a superuser who is not shown them all says that it does not know.
func TestLeftoversThatAreNotSeen(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		db := s.NewDatabase(t)
		for grant, unknown := range map[string]bool{"": true, "SELECT, EVENT, TRIGGER, SHOW VIEW ON *.*": true,
			"SELECT, EVENT, TRIGGER, SHOW VIEW, PROCESS ON *.*": false} {
			app, boss := s.user(t, "SELECT ON "+db+".*"), s.user(t, "CREATE USER ON *.*", "SELECT, UPDATE ON mysql.*",
				"SELECT ON "+db+".*")
			s.run(t, "GRANT GRANT OPTION ON "+db+".* TO "+at(boss.User).String())
			if grant != "" {
				s.run(t, "GRANT "+grant+" TO "+at(boss.User).String())
			}
			warnings, err := engine().DryRunEnsureClone(t.Context(), boss, pairOf(app.User), password())
			ok(t, err)
			if got := strings.Contains(texts(warnings), "an earlier user of that name"); got != unknown {
				t.Errorf("with %q: %s", grant, texts(warnings))
			}
		}
	})
}

// TestAMarkOfWhichNotAllIsSeen: where a mark alone proves a clone, and the superuser may not see what an earlier user of
// that name left, what lets it see is a line before the one that consents. Then the mark is enough.
func TestAMarkOfWhichNotAllIsSeen(t *testing.T) {
	t.Parallel()
	s := server{dbserver.MySQL(t, "mysql-9.7")}
	app, boss := s.user(t, "PROCESS ON *.*"), s.user(t, "CREATE USER ON *.*", "SELECT, UPDATE ON mysql.*")
	s.run(t, "GRANT PROCESS ON *.* TO "+at(boss.User).String()+" WITH GRANT OPTION")
	pair := pairOf(app.User)
	s.ensure(t, pair)
	pair.Possession = nil
	_, err := engine().DryRunEnsureClone(t.Context(), boss, pair, password())
	wants(t, err, rotator.KindNotEntitled, "the mark that it bears is not enough", `"rotates": ["`)
	all := rotator.FixesOf(err)
	if len(all) == 0 || all[0].By != rotator.ByAdministrator || strings.Contains(err.Error(), "Take that away") {
		t.Fatalf("%v: %+v", err, all)
	}
	s.run(t, all[0].Run)
	_, err = engine().DryRunEnsureClone(t.Context(), boss, pair, password())
	ok(t, err)
}

// TestWhosePasswordMayBeSet goes through the tables with each of the proofs that a
// strategy can bring. On MySQL they take half a minute: under the race detector each row
// has one of its proofs.
func TestWhosePasswordMayBeSet(t *testing.T) {
	tier.NotInCheck(t)
	step := tier.Stride(t, 3, 3)
	onThese(t, tier.Some(t, dbserver.MySQLs(), "mysql-9.7", "mariadb-11.8"), func(t *testing.T, s server) {
		states := whose
		if !s.MariaDB {
			states = append(states[:len(states):len(states)], forged...)
		}
		for i, c := range states {
			t.Run(c.name, func(t *testing.T) {
				bare := c.bare
				if s.MariaDB && bare == "" {
					bare = "MariaDB does not keep"
				} else if s.MariaDB && bare != never && !c.back && !c.named {
					bare = "nothing proves"
				}
				for j, refusal := range []string{bare, c.consented, c.possessing} {
					if (i+j)%step == 0 {
						s.tryPair(t, c, []string{"server", "consent", "possession"}[j], refusal)
					}
				}
			})
		}
	})
}

func (s server) tryPair(t *testing.T, c state, proof, refusal string) {
	t.Helper()
	db := s.NewDatabase(t)
	app := s.user(t, "SELECT, INSERT ON "+db+".*")
	pair, role := pairOf(app.User), "r_"+name()
	if c.made && !c.after {
		s.ensure(t, pair)
	}
	words := strings.NewReplacer("O@", app.User+"@", "C@", pair.Clone+"@", "DB.", db+".", "ROLE R", "ROLE "+role,
		"TO R", "TO "+role, "GRANT R ", "GRANT "+role+" ",
		`"O"`, `"`+app.User+`"`, "clone_of O", "clone_of "+app.User, "ADMIN@", s.Superuser+"@")
	for _, sql := range strings.Split(c.setUp, "; ") {
		if sql != "" {
			s.run(t, words.Replace(sql))
		}
		if s.MariaDB && sql == "CREATE ROLE R" { // whose creator has nothing to pass on otherwise
			s.run(t, "GRANT "+role+" TO "+s.Superuser+"@'%' WITH ADMIN OPTION")
		}
	}
	if c.made && c.after {
		s.ensure(t, pair)
	}
	pair.Possession, pair.PasswordOnly, pair.Named, pair.Consent = nil, c.only, c.named, proof == "consent"
	if c.back {
		pair.Target = pair.Original
	}
	if proof == "possession" {
		pair.Possession = possessed
	}
	if c.bare == "R" && refusal != "" {
		refusal = "nothing proves"
	}
	t.Run(proof, func(t *testing.T) {
		enginetest.Entitled(t, engine(), s.superuser(), pair, password(), refusal, func() string {
			return s.census(t, app.User)
		})
	})
}

// census is all that the server keeps of a user's accounts and of its clone's.
func (s server) census(t *testing.T, user string) string {
	t.Helper()
	var all []string
	for _, name := range []string{user, user + "_clone"} {
		for _, host := range strings.Fields(s.ask(t, "SELECT Host FROM mysql.user WHERE User = "+quoteText(name)+
			" ORDER BY 1")) {
			a := account{user: name, host: host}
			all = append(all, s.ask(t, "SHOW CREATE USER "+a.String()), s.ask(t, "SHOW GRANTS FOR "+a.String()))
		}
	}
	return strings.Join(all, "\n")
}

// holding is the possession of a secret that knows these passwords, as a strategy
// proves it where the server's own record can be read.
func holding(known ...secret.Password) func(context.Context, func(secret.Password) bool) error {
	return func(_ context.Context, holds func(secret.Password) bool) error {
		for _, p := range known {
			if holds(p) {
				return nil
			}
		}
		return rotator.KindLoginRejected
	}
}

// TestPossession: each account of the name has to have one of the secret's passwords.
// One on another host that does not is somebody else's.
func TestPossession(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		old, half, next, others := password(), password(), password(), password()
		for name, c := range map[string]struct {
			accounts map[string]secret.Password // by host
			fails    bool
		}{
			"the old password":                {map[string]secret.Password{"%": old}, false},
			"the new one, from an attempt":    {map[string]secret.Password{"%": next}, false},
			"both":                            {map[string]secret.Password{"%": old, "10.%": next}, false},
			"half created":                    {map[string]secret.Password{"%": interim(next)}, false},
			"half created by another attempt": {map[string]secret.Password{"%": interim(half)}, true},
			"another":                         {map[string]secret.Password{"%": others}, true},
			"another on another host":         {map[string]secret.Password{"%": old, "10.%": others}, true},
		} {
			app := s.user(t)
			pair := pairOf(app.User)
			for host, p := range c.accounts {
				s.run(t, fmt.Sprintf("CREATE USER %s@'%s' IDENTIFIED BY '%s'", pair.Clone, host, p.Reveal()))
			}
			pair.Possession = holding(old, next)
			before := s.census(t, app.User)
			err := engine().EnsureClone(t.Context(), s.superuser(), pair, next)
			switch {
			case !c.fails && err != nil:
				t.Errorf("%s: %v", name, err)
			case c.fails && (rotator.KindOf(err) != rotator.KindNotEntitled || s.census(t, app.User) != before):
				t.Errorf("%s: want a refusal that changes nothing: %v", name, err)
			}
		}
	})
}

// TestAnotherOwnersAccountOfTheClonesName: the refusal names it, and what keeps it before what takes it. Consent is for
// the pair: an account of another host with a password of its own is not of it.
func TestAnotherOwnersAccountOfTheClonesName(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		mine, lost, others := password(), password(), password()
		for name, c := range map[string]struct {
			hosts     map[string]secret.Password // of the clone
			originals []string                   // hosts of the original beside %
			consent   bool
			says      []string // in this order; none: it is fine
			never     string
		}{
			"another's": {hosts: map[string]secret.Password{"%": mine, "10.%": others},
				says: []string{"C@`10.%` has another password", "RENAME USER C@`10.%`"}, never: "rotates"},
			"another's, with consent": {hosts: map[string]secret.Password{"%": mine, "10.%": others}, consent: true,
				says: []string{"C@`10.%` has another password", "RENAME USER C@`10.%`"}, never: "rotates"},
			"another's, where the original has one": {hosts: map[string]secret.Password{"%": mine, "10.%": others},
				originals: []string{"10.%"},
				says:      []string{"of C@`10.%` the secret holds no", "RENAME USER", "rotates", "All of them then get"}},
			"the pair's, with consent": {hosts: map[string]secret.Password{"%": mine, "10.%": others},
				originals: []string{"10.%"}, consent: true},
			"none is known": {hosts: map[string]secret.Password{"%": lost, "10.%": others},
				says: []string{"It has several accounts: ", "RENAME USER", "rotates", "All of its accounts"}},
			"none is known, with consent": {hosts: map[string]secret.Password{"%": lost, "10.%": others}, consent: true},
			"both":                        {hosts: map[string]secret.Password{"%": mine, "10.%": mine}, consent: true},
			"AWS's template's alone":      {hosts: map[string]secret.Password{"10.%": lost}, consent: true},
		} {
			app := s.user(t)
			pair := pairOf(app.User)
			for _, host := range c.originals {
				s.run(t, fmt.Sprintf("CREATE USER %s@'%s' IDENTIFIED BY '%s'", app.User, host, app.Password.Reveal()))
			}
			for host, p := range c.hosts {
				s.run(t, fmt.Sprintf("CREATE USER %s@'%s' IDENTIFIED BY '%s'", pair.Clone, host, p.Reveal()))
			}
			pair.Possession, pair.Consent = holding(mine), c.consent
			before := s.census(t, app.User)
			err := engine().EnsureClone(t.Context(), s.superuser(), pair, password())
			if c.says == nil {
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
				continue
			}
			if rotator.KindOf(err) != rotator.KindNotEntitled || s.census(t, app.User) != before {
				t.Errorf("%s: want a refusal that changes nothing: %v", name, err)
				continue
			}
			rest := err.Error()
			for _, words := range c.says {
				_, after, found := strings.Cut(rest, strings.ReplaceAll(words, "C@", quoteIdent(pair.Clone)+"@"))
				if !found {
					t.Errorf("%s: no %q, or not in this order: %v", name, words, err)
				}
				rest = after
			}
			if c.never != "" && strings.Contains(err.Error(), c.never) {
				t.Errorf("%s: says %q: %v", name, c.never, err)
			}
			fixes := append(rotator.FixesOf(err), rotator.Fix{})
			told := strings.HasPrefix(fixes[0].Run, "RENAME USER "+account{user: pair.Clone, host: "10.%"}.String()+" TO ")
			if told != !strings.HasPrefix(name, "none") {
				t.Errorf("%s: %+v", name, fixes)
			} else if told {
				s.run(t, fixes[0].Run)
				ok(t, engine().EnsureClone(t.Context(), s.superuser(), pair, password()))
				s.run(t, "DROP USER "+account{user: pair.Clone + "_former", host: "10.%"}.String())
			}
		}
	})
}

// TestWhatTakesPowerFromAClone: what is printed to be run takes it, be it the account's own or a role's.
func TestWhatTakesPowerFromAClone(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		for what, setUp := range map[string]string{
			"its own":       "GRANT CREATE USER, PROCESS ON *.* TO %c",
			"to pass on":    "GRANT USAGE ON *.* TO %c WITH GRANT OPTION",
			"by a pattern":  "GRANT INSERT ON `mysq_`.* TO %c; GRANT SELECT ON `%`.* TO %c",
			"on the tables": "GRANT SELECT ON mysql.* TO %c; GRANT SELECT (Host) ON mysql.db TO %c",
			"by a role":     "CREATE ROLE %r; GRANT CREATE USER ON *.* TO %r; GRANT %r TO %c",
			"by a role of a role, and its own": "CREATE ROLE %r; CREATE ROLE %s; GRANT PROCESS ON *.* TO %r; " +
				"GRANT %r TO %s; GRANT %s TO %c; GRANT RELOAD ON *.* TO %c",
			"another's": "GRANT PROXY ON %a TO %c",
		} {
			app, other := s.user(t), s.user(t)
			pair := strategies.Pair{Original: app.User, Clone: other.User, Target: other.User, PasswordOnly: true,
				Named: true, Consent: true}
			words := strings.NewReplacer("%c", at(other.User).String(), "%r", "r_"+app.User, "%s", "s_"+app.User, "%a",
				at(s.Superuser).String())
			for _, sql := range strings.Split(setUp, "; ") {
				s.run(t, words.Replace(sql))
			}
			_, err := engine().DryRunEnsureClone(t.Context(), s.superuser(), pair, password())
			wants(t, err, rotator.KindNotEntitled, never)
			fixes := rotator.FixesOf(err)
			if len(fixes) == 0 {
				t.Errorf("%s: nothing is printed: %v", what, err)
			}
			for _, fix := range fixes {
				s.run(t, fix.Run)
			}
			if _, err = engine().DryRunEnsureClone(t.Context(), s.superuser(), pair, password()); err != nil {
				t.Errorf("%s, after %v: %v", what, fixes, err)
			}
		}
	})
}

// TestASuperuserThatMayNotTakeSystemUser is given nothing for that: an administrator takes it from the clone, and the rest
// is as it was.
func TestASuperuserThatMayNotTakeSystemUser(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		db := s.NewDatabase(t)
		app, boss := s.user(t, "INSERT ON "+db+".*"), s.user(t, "CREATE USER ON *.*", "SELECT, UPDATE ON mysql.*")
		s.run(t, "GRANT INSERT ON "+db+".* TO "+at(boss.User).String()+" WITH GRANT OPTION")
		pair := pairOf(app.User)
		pair.Possession = possessed
		for what, grant := range map[string]string{"SYSTEM_USER": "SYSTEM_USER ON *.*", "DELETE": "SELECT, DELETE ON " + db + ".*",
			"all": "ALL ON " + db + ".*"} {
			if s.MariaDB && what == "SYSTEM_USER" {
				continue
			}
			s.ensure(t, pair)
			s.run(t, "GRANT "+grant+" TO "+at(pair.Clone).String()+" WITH GRANT OPTION")
			_, dryRun := engine().DryRunEnsureClone(t.Context(), boss, pair, password())
			fixes := rotator.FixesOf(dryRun)
			for _, err := range []error{dryRun, engine().EnsureClone(t.Context(), boss, pair, password())} {
				wants(t, err, rotator.KindPrivilege, "as an administrator, REVOKE ")
				if strings.Contains(err.Error(), "GRANT "+what) || strings.Contains(err.Error(), "GRANT CREATE USER") {
					t.Errorf("%s: %v", what, err)
				}
			}
			for _, fix := range fixes {
				s.run(t, fix.Run)
			}
			if _, err := engine().DryRunEnsureClone(t.Context(), boss, pair, password()); err != nil {
				t.Errorf("%s, after %v: %v", what, fixes, err)
			}
			ok(t, engine().EnsureClone(t.Context(), boss, pair, password()))
			s.alike(t, at(app.User), at(pair.Clone))
		}
	})
}

// TestAccountsOfOneName: a password for several accounts would be a way from the weaker
// to the stronger.
func TestAccountsOfOneName(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		app := s.user(t)
		s.run(t, "CREATE USER "+app.User+"@'10.%' IDENTIFIED BY 'x'")
		ok(t, engine().SetPassword(t.Context(), s.superuser(), app.User, password()))
		s.run(t, "GRANT CREATE USER ON *.* TO "+app.User+"@'10.%'")
		before := s.census(t, app.User)
		_, err := engine().DryRunSetPassword(t.Context(), s.superuser(), app.User, password())
		wants(t, err, rotator.KindNotEntitled, "CREATE USER", "`10.%`")
		wants(t, engine().SetPassword(t.Context(), s.superuser(), app.User, password()), rotator.KindNotEntitled, "CREATE USER", "`10.%`")
		if s.census(t, app.User) != before {
			t.Error("a refused call changed something")
		}
		s.run(t, "GRANT CREATE USER ON *.* TO "+app.User+"@'%'")
		ok(t, engine().SetPassword(t.Context(), s.superuser(), app.User, password()))
	})
}

// TestNamesLikeTheSuperusers: spellings that some part of a server might take for the
// superuser's name. None of them changes its password, whatever else.
func TestNamesLikeTheSuperusers(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		boss := s.user(t, "ALL PRIVILEGES ON *.*")
		s.run(t, "GRANT ALL PRIVILEGES ON *.* TO "+boss.User+"@'%' WITH GRANT OPTION")
		app := s.user(t)
		before := s.census(t, boss.User)
		for _, target := range []string{boss.User, strings.ToUpper(boss.User), boss.User + " ", " " + boss.User,
			boss.User + "\x00", boss.User + "@%",
			"`" + boss.User + "`", boss.User + "\t", strings.Replace(boss.User, "_", "\u005f\u0301", 1), boss.User + "😀", strings.Replace(boss.User, "u", "ü", 1)} {
			for _, only := range []bool{true, false} {
				pair := strategies.Pair{Original: app.User, Clone: target, Target: target, PasswordOnly: only,
					Named: true, Consent: true, Possession: possessed}
				err := engine().EnsureClone(t.Context(), boss, pair, password())
				if err == nil && (only || target == boss.User) {
					t.Errorf("%q, only the password %t: done", target, only)
				}
			}
			if err := engine().SetPassword(t.Context(), boss, target, password()); err == nil && target != boss.User {
				if n := s.ask(t, "SELECT COUNT(*) FROM mysql.user WHERE BINARY User = "+quoteText(target)); n == "0" {
					t.Errorf("%q: the password of an account was set that does not exist", target)
				}
			} else if target == boss.User {
				t.Log("the superuser changed itself, which SingleUser does without a superuser")
				s.run(t, fmt.Sprintf("ALTER USER %s@'%%' IDENTIFIED BY '%s'", boss.User, boss.Password.Reveal()))
				before = s.census(t, boss.User)
			}
			if s.census(t, boss.User) != before {
				t.Fatalf("%q: the superuser's account was changed", target)
			}
			ok(t, engine().Ping(t.Context(), boss))
		}
	})
}

// TestAMarkThatIsTyped: what an administrator runs ends the password that others may know, whatever the original's name
// has that JSON and a constant read otherwise.
func TestAMarkThatIsTyped(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		if s.MariaDB {
			t.Skip("MariaDB keeps no marks")
		}
		for _, odd := range []string{`"`, `<`, `\`, `'`} {
			pair := pairOf(name() + odd)
			original := at(pair.Original).String()
			s.run(t, "CREATE USER "+original+" IDENTIFIED BY 'x'", "GRANT SYSTEM_USER ON *.* TO "+original)
			_, err := engine().DryRunEnsureClone(t.Context(), s.superuser(), pair, password())
			wants(t, err, rotator.KindNotEntitled, given)
			for _, fix := range rotator.FixesOf(err) {
				if err := s.Exec(t.Context(), fix.Run); err != nil {
					t.Errorf("%s: %s: %v", odd, fix.Run, err)
				}
			}
			c := s.ask(t, "SELECT User_attributes->>'$.metadata.quarterturn.clone_of' FROM mysql.user WHERE User = "+typedText(pair.Clone))
			if c != pair.Original {
				t.Errorf("the mark is of %s, not of %s", c, pair.Original)
			}
		}
	})
}
