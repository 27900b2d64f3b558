package mysql

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// Whatever init_connect sets for the sessions of a superuser secret and of a user,
// at its extremes: every account of the name is changed, or the preflight fails and
// nothing is. Under the race detector it tries every seventh: all of them are some thousand
// logins for each server, and take minutes.
func TestEverySettingOfInitConnect(t *testing.T) {
	t.Parallel()
	tier.NotInCheck(t)
	step := tier.Stride(t, 7, 7) // which has no factor in common with the five values of each
	for _, server := range []string{"mysql-9.7", "mariadb-11.8"} {
		t.Run(server, func(t *testing.T) {
			if server == "mysql-9.7" {
				tier.Long(t) // it writes each account to the disk
			}
			t.Parallel()
			s := newServer(t, server, nil)
			boss := s.user(t, "SELECT, UPDATE ON mysql.*", "CREATE USER ON *.*")
			probe := s.user(t)
			extremes := `SELECT CONCAT(v.VARIABLE_NAME, '=', x.v) FROM performance_schema.session_variables v
  JOIN performance_schema.variables_info i USING (VARIABLE_NAME),
  JSON_TABLE(JSON_ARRAY(i.MIN_VALUE, i.MAX_VALUE, '0', '1', "''"), '$[*]' COLUMNS (v VARCHAR(100) PATH '$')) x WHERE x.v IS NOT NULL ORDER BY 1`
			if s.MariaDB {
				extremes = `SELECT DISTINCT CONCAT(VARIABLE_NAME, '=', CASE n.k WHEN 'min' THEN NUMERIC_MIN_VALUE WHEN 'max' THEN NUMERIC_MAX_VALUE ELSE n.k END)
  FROM information_schema.SYSTEM_VARIABLES JOIN (SELECT 'min' k UNION SELECT 'max' UNION SELECT '0' UNION SELECT '1' UNION SELECT '''''') n
  WHERE VARIABLE_SCOPE LIKE '%SESSION%' AND CASE n.k WHEN 'min' THEN NUMERIC_MIN_VALUE WHEN 'max' THEN NUMERIC_MAX_VALUE ELSE n.k END IS NOT NULL ORDER BY 1`
			}
			tried, refused, wrong := 0, 0, 0
			bad := func(format string, args ...any) {
				wrong++
				t.Errorf(format, args...)
			}
			seen := map[string]bool{}
			for i, line := range strings.Split(s.ask(t, extremes), "\n") {
				set := "SET SESSION " + strings.ToLower(line)
				if i%step > 0 || seen[set] || s.as(t.Context(), probe, set) != nil {
					continue // it is out of range, or not for users
				}
				seen[set] = true
				tried++
				app, p := s.several(t, "BY '%s'"), password()
				s.run(t, "SET GLOBAL init_connect = "+quoteText(set))
				_, err := engine().DryRunSetPassword(t.Context(), boss, app.User, password())
				change := engine().SetPassword(t.Context(), boss, app.User, p)
				self := s.user(t)
				_, selfErr := engine().DryRunSetPassword(t.Context(), self, self.User, password())
				selfChange := engine().SetPassword(t.Context(), self, self.User, p)
				s.run(t, "SET GLOBAL init_connect = ''") // what it does to clients is not ours
				if (err == nil) != (change == nil) || (selfErr == nil) != (selfChange == nil) {
					bad("%s: the preflight says %v and %v, and the changes %v and %v", set, err, selfErr,
						change, selfChange)
				}
				if err != nil || selfErr != nil {
					refused++
					t.Logf("%s: %v %v", set, err, selfErr)
				}
				now := app
				if change == nil {
					now = withPassword(app, p)
				}
				s.holdEverywhere(t, now)
				if selfChange == nil {
					self = withPassword(self, p)
				}
				if err := engine().Ping(t.Context(), self); err != nil {
					bad("%s: %v", set, err)
				}
			}
			t.Logf("%d settings, %d refused by name, %d faults", tried, refused, wrong)
			if tried < 200/step || refused > 5 {
				t.Errorf("%d settings were tried, and %d of them refused", tried, refused)
			}
		})
	}
}

// An answer without a row is an error, and no panic.
func TestAnswersWithoutARow(t *testing.T) {
	t.Parallel()
	for _, name := range dbserver.MySQLsInTier(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, name, nil)
			app := s.user(t)
			s.run(t, "SET GLOBAL init_connect = 'SET sql_select_limit = 0'")
			ok(t, engine().Ping(t.Context(), app))
			p := password()
			ok(t, engine().SetPassword(t.Context(), app, app.User, p))
			ok(t, engine().Ping(t.Context(), withPassword(app, p)))
		})
	}
}

// The lock that rotations wait for each other by is a courtesy: whoever may log in
// can hold it, and delays a rotation by seconds.
func TestAHeldLockStopsNothing(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		app, other := s.user(t), s.user(t)
		left, err := engine().openForChange(t.Context(), other, nil, app.User)
		ok(t, err)
		defer left.close()
		p := password()
		ok(t, engine().SetPassword(t.Context(), app, app.User, p))
		ok(t, engine().Ping(t.Context(), withPassword(app, p)))
	})
}

// TestAChangeBesideABackup: MariaDB makes a change of an account before it waits for a backup to write that to the binary
// log, and the error says so. What tries again finds it made.
func TestAChangeBesideABackup(t *testing.T) {
	t.Parallel()
	onOwnMariaDB(t, nil, func(t *testing.T, s server) {
		app, p := s.user(t), password()
		_, backup := s.connected(t, s.superuser())
		for _, stage := range []string{"START", "BLOCK_COMMIT"} {
			_, err := backup.ExecContext(t.Context(), "BACKUP STAGE "+stage)
			ok(t, err)
		}
		_, err := impatient(2*time.Second).DryRunSetPassword(t.Context(), s.superuser(), app.User, p)
		ok(t, err) // it changes nothing, and so waits for nothing
		err = impatient(2*time.Second).SetPassword(t.Context(), s.superuser(), app.User, p)
		wants(t, err, rotator.KindConflict, "is made all the same and is not in the binary log", "at each replica")
		ok(t, engine().Ping(t.Context(), withPassword(app, p)))
		_, err = backup.ExecContext(t.Context(), "BACKUP STAGE END")
		ok(t, err)
		ok(t, engine().SetPassword(t.Context(), s.superuser(), app.User, p))
		log, err := s.BinaryLog(t.Context())
		ok(t, err)
		if strings.Contains(log, nativeHash(p)) {
			t.Error("it is in the binary log: say nothing of replicas")
		}
	})
}

// A function that is gone without a word leaves a session, which ends by itself.
func TestASessionLeftBehindEnds(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		app := s.user(t)
		e := engine()
		e.StatementTimeout = 0
		left, err := e.openForChange(t.Context(), app, nil, app.User)
		ok(t, err)
		defer left.close()
		row, err := left.row(t.Context(), operation{action: "looking"},
			"SELECT @@SESSION.wait_timeout, @@SESSION.lock_wait_timeout")
		ok(t, err)
		if fmt.Sprint(row) != "[10 4]" {
			t.Errorf("wait_timeout and lock_wait_timeout are %v", row)
		}
	})
}

// TestAnInitConnectThatFails lasts, unlike a connection that broke: the server lets the login in, and answers so to its
// first statement. The superuser whom it exempts can follow the sentence.
func TestAnInitConnectThatFails(t *testing.T) {
	t.Parallel()
	for _, server := range dbserver.MySQLsInTier(t) {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, server, nil)
			app := s.user(t)
			s.run(t, "SET GLOBAL init_connect = 'INSERT INTO none.logins VALUES (1)'")
			err := engine().Ping(t.Context(), app)
			if login := rotator.LoginError(nil); !errors.As(err, &login) {
				t.Errorf("%v reads as an error of the secret's value", err)
			}
			if !errors.Is(err, rotator.KindMisconfigured) ||
				!strings.Contains(err.Error(), "SET GLOBAL init_connect = ''") ||
				strings.Contains(err.Error(), "Try again") {
				t.Errorf("Ping gives %v", err)
			}
			s.run(t, "SET GLOBAL init_connect = ''")
			ok(t, engine().Ping(t.Context(), app))
			// What it was is put back as the note says, in either way of reading a constant.
			fixes := rotator.FixesOf(err)
			back := fixes[len(fixes)-1]
			if !strings.Contains(back.Note, `each ' and each \ of it twice (a \ once where sql_mode has NO_BACKSLASH_ESCAPES)`) {
				t.Fatalf("%s (%s)", back, back.Note)
			}
			const was = `SET @a = 'it''s a \\\\ name'`
			typed := strings.ReplaceAll(was, "'", "''")
			for mode, typed := range map[string]string{"": strings.ReplaceAll(typed, `\`, `\\`), "NO_BACKSLASH_ESCAPES": typed} {
				admin, err := s.Admin(t.Context())
				ok(t, err)
				for _, sql := range []string{"SET SESSION sql_mode = '" + mode + "'", strings.Replace(back.Run, "SHOWN", typed, 1)} {
					_, err = admin.ExecContext(t.Context(), sql)
					ok(t, err)
				}
				ok(t, admin.Close())
				if is := s.ask(t, "SELECT @@GLOBAL.init_connect"); is != was {
					t.Errorf("sql_mode %q: %s, want %s", mode, is, was)
				}
			}
		})
	}
}

// TestAServerThatIsReadOnly: the accounts of a replica come from its source. Who may change them there all the same
// changes none, and what changes nothing goes on.
func TestAServerThatIsReadOnly(t *testing.T) {
	t.Parallel()
	for _, name := range dbserver.MySQLsInTier(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, name, nil)
			may := []string{"CONNECTION_ADMIN, APPLICATION_PASSWORD_ADMIN ON *.*"}
			if s.MariaDB {
				may = []string{"SUPER ON *.*", "READ ONLY ADMIN ON *.*"}
			}
			app, admin, boss := s.user(t), s.user(t, may...), s.superuser()
			pair := pairOf(app.User)
			pair.Possession = possessed
			s.ensure(t, pair)
			s.run(t, "SET GLOBAL read_only = ON")
			calls := map[string]func() error{}
			add := func(what string, dryRun func(secret.Password) ([]strategies.Warning, error),
				change func(secret.Password) error) {
				calls[what] = func() error { return change(password()) }
				calls[what+", dry run"] = func() error {
					_, err := dryRun(password())
					return err
				}
			}
			for what, c := range map[string][2]strategies.Login{"itself": {app, app}, "itself, and may": {admin, admin},
				"superuser": {boss, app}} {
				add(what, func(p secret.Password) ([]strategies.Warning, error) {
					return engine().DryRunSetPassword(t.Context(), c[0], c[1].User, p)
				}, func(p secret.Password) error { return engine().SetPassword(t.Context(), c[0], c[1].User, p) })
			}
			for what, turn := range map[string]strategies.Pair{"clone": pair, "original": back(pair)} {
				add(what, func(p secret.Password) ([]strategies.Warning, error) {
					return engine().DryRunEnsureClone(t.Context(), boss, turn, p)
				}, func(p secret.Password) error { return engine().EnsureClone(t.Context(), boss, turn, p) })
			}
			if !s.MariaDB {
				add("two passwords", func(p secret.Password) ([]strategies.Warning, error) {
					return engine().DryRunKeeping(t.Context(), admin, admin.User, admin.Password, p)
				}, func(p secret.Password) error {
					return engine().SetPasswordKeeping(t.Context(), admin, admin.User, admin.Password, p)
				})
			}
			calls["status"] = func() error {
				_, err := engine().TestUse(t.Context(), app)
				return err
			}
			before := s.census(t, app.User) + s.census(t, admin.User)
			for what, call := range calls {
				if wrong := differs(call(), rotator.KindReadOnly, "use the writer endpoint", "SET GLOBAL read_only = OFF"); wrong != nil {
					t.Errorf("%s: %v", what, wrong)
				}
			}
			if s.census(t, app.User)+s.census(t, admin.User) != before {
				t.Error("a refused call changed something")
			}
			ok(t, engine().Ping(t.Context(), app))
			_, err := engine().Explain(t.Context(), boss, app)
			ok(t, err)
			_, _, err = engine().TestPair(t.Context(), boss, pair)
			ok(t, err)
			s.run(t, "SET GLOBAL read_only = OFF")
			ok(t, calls["superuser"]())
		})
	}
}

// TestADatabaseThatNoReplicaFollows: the writer of a secret chooses dbname, and information_schema is everyone's. Where it
// is left out of the binary log, or by a replica, a clone would be made at this server alone, and changed at all later.
func TestADatabaseThatNoReplicaFollows(t *testing.T) {
	t.Parallel()
	for _, name := range dbserver.MySQLsInTier(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, name, map[string]string{"binlog-ignore-db": "information_schema"})
			app := s.user(t)
			boss := s.superuser()
			app.Database, boss.Database = "INFORMATION_SCHEMA", "information_schema"
			if s.MariaDB {
				app.Database = "information_schema"
			}
			pair := pairOf(app.User)
			ok(t, engine().EnsureClone(t.Context(), boss, pair, password()))
			ok(t, engine().SetPassword(t.Context(), app, app.User, password()))
			binary, err := s.BinaryLog(t.Context())
			ok(t, err)
			for user, change := range map[string]string{pair.Clone: "CREATE USER", app.User: "(ALTER USER|SET PASSWORD FOR)"} {
				if !regexp.MustCompile(change + " ['`]" + user + "['`]").MatchString(binary) {
					t.Errorf("no %s of user %q in the binary log:\n%s", change, user, binary)
				}
			}
		})
	}
}

// TestASessionThatNoReplicaFollows: whom init_connect takes out of the binary log changes the passwords of this server
// alone.
func TestASessionThatNoReplicaFollows(t *testing.T) {
	t.Parallel()
	for _, name := range dbserver.MySQLsInTier(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, name, nil)
			grant := "SESSION_VARIABLES_ADMIN, CREATE USER, SELECT ON *.*"
			if s.MariaDB {
				grant = "BINLOG ADMIN, CREATE USER, SELECT, UPDATE ON *.*"
			}
			boss, app := s.user(t, grant), s.user(t)
			s.run(t, "SET GLOBAL init_connect = 'SET sql_log_bin = 0'")
			_, dryRun := engine().DryRunSetPassword(t.Context(), boss, app.User, password())
			for _, err := range []error{dryRun, engine().SetPassword(t.Context(), boss, app.User, password())} {
				wants(t, err, rotator.KindMisconfigured, "binary log", "init_connect")
			}
			s.run(t, "SET GLOBAL init_connect = ''") // which ends the sessions of those that may not do so
			ok(t, engine().Ping(t.Context(), app))
		})
	}
}
