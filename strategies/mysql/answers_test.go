package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/dial"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
)

// TestWhatAServerAnswers brings servers to what operators meet at night, follows what the sentence says, and logs in.
func TestWhatAServerAnswers(t *testing.T) {
	t.Parallel()
	for _, name := range dbserver.MySQLsInTier(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, name, map[string]string{"max-connections": "40", "max-user-connections": "50"})
			// 127.0.0.1 is always localhost, for which there are accounts.
			elsewhere := s.proxy(t, "127.0.0.2", nil)
			far := func(as strategies.Login) strategies.Login {
				return with(as, func(l *strategies.Login) { l.Port = elsewhere.Port() })
			}
			for what, c := range map[string]struct {
				mysqlOnly bool
				// breaks brings it about for app, and mends is the action that the sentence names.
				breaks, mends []string
				kind          rotator.Kind
				says          string
				retry         bool
			}{
				"the user has all that max_user_connections gives": {false,
					[]string{"SET GLOBAL max_user_connections = 1"}, []string{"SET GLOBAL max_user_connections = 50"},
					rotator.KindTooManyConnections, "max_user_connections", true},
				"offline mode": {true, []string{"SET GLOBAL offline_mode = ON"},
					[]string{"SET GLOBAL offline_mode = OFF"}, rotator.KindUnreachable,
					"SET GLOBAL offline_mode = OFF", false},
				"no account for this address": {false, []string{"RENAME USER {app} TO '{name}'@'10.9.9.9'",
					"RENAME USER admin@'%' TO admin@'10.9.9.9'", "FLUSH PRIVILEGES"},
					[]string{"RENAME USER '{name}'@'10.9.9.9' TO {app}", "RENAME USER admin@'10.9.9.9' TO admin@'%'"},
					rotator.KindMisconfigured, "'user'@'10.0.%'", false},
			} {
				if c.mysqlOnly && s.MariaDB {
					continue
				}
				app := s.user(t)
				fill := strings.NewReplacer("{app}", at(app.User).String(), "{name}", app.User, "{password}",
					app.Password.Reveal())
				each := func(all []string) (filled []string) {
					for _, sql := range all {
						filled = append(filled, fill.Replace(sql))
					}
					return filled
				}
				held, err := s.Connect(t.Context(), app.User, app.Password.Reveal(), "")
				ok(t, err)
				s.run(t, each(c.breaks)...)
				err = engine().SetPassword(t.Context(), far(app), app.User, app.Password)
				wants(t, err, c.kind, c.says)
				if rotator.Retryable(err) != c.retry {
					t.Errorf("%s: a retry helps: %t", what, !c.retry)
				}
				held.Close()
				s.run(t, each(c.mends)...)
				ok(t, engine().Ping(t.Context(), far(app)))
				s.run(t, fill.Replace("DROP USER {app}")) // or an address would have an account
			}

			app := s.user(t)
			var all []*sql.DB
			var err error
			for err == nil { // those who have just left count for a while, and then leave room again
				for {
					db, err := s.Connect(t.Context(), app.User, app.Password.Reveal(), "")
					if err != nil {
						break
					}
					all = append(all, db)
				}
				err = engine().Ping(t.Context(), app)
			}
			wants(t, err, rotator.KindTooManyConnections, "max_connections")
			if !rotator.Retryable(err) {
				t.Error("a retry does not help")
			}
			for _, db := range all {
				db.Close()
			}
			free(t, s)
			ended(t, s, app, "KILL QUERY", rotator.KindDeadline)
			ended(t, s, app, "KILL", rotator.KindUnreachable, rotator.KindDeadline)
		})
	}
}

// TestPrintedStatementsRun runs the statement in each sentence as it stands, with the password in place of PASSWORD, and
// logs in.
func TestPrintedStatementsRun(t *testing.T) {
	t.Parallel()
	for _, name := range dbserver.MySQLsInTier(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, name, map[string]string{"disconnect-on-expired-password": "OFF"})
			// MySQL's method, MariaDB's, and a row of mysql's tables with a plugin that is not there
			give := "ALTER USER {app} IDENTIFIED WITH caching_sha2_password BY 'PASSWORD'"
			set, socket := "ALTER USER {app} IDENTIFIED BY 'PASSWORD'", "WITH auth_socket"
			lost := "UPDATE mysql.user SET plugin = 'mysql_native_password' WHERE User = '{name}'"
			if s.MariaDB {
				give = "ALTER USER {app} IDENTIFIED VIA mysql_native_password USING PASSWORD('PASSWORD')"
				set = "SET PASSWORD FOR {app} = PASSWORD('PASSWORD')"
				socket = "VIA ed25519 USING PASSWORD('PASSWORD')" // which SET PASSWORD has to leave
				lost = "UPDATE mysql.global_priv SET Priv = JSON_SET(Priv, '$.plugin', 'nonesuch') WHERE User = '{name}'"
				s.run(t, ed25519)
			} else {
				s.run(t, "INSTALL PLUGIN auth_socket SONAME 'auth_socket.so'")
			}
			hourly := "ALTER USER {app} WITH MAX_%s_PER_HOUR 1000"
			for what, c := range map[string]struct {
				not    bool     // no such thing here
				breaks []string // after which app is used, and with a wrong password too
				use    string   // and by it
				kind   rotator.Kind
				says   string // the statement
			}{
				"logins an hour": {false, []string{"ALTER USER {app} WITH MAX_CONNECTIONS_PER_HOUR 1"}, "", rotator.KindTooManyConnections,
					fmt.Sprintf(hourly, "CONNECTIONS")},
				"statements an hour": {false, []string{"ALTER USER {app} WITH MAX_QUERIES_PER_HOUR 1"}, "", rotator.KindTooManyConnections,
					fmt.Sprintf(hourly, "QUERIES")},
				"no such plugin":                  {false, []string{lost, "FLUSH PRIVILEGES"}, "", rotator.KindPrivilege, give},
				"no such plugin, and a superuser": {false, []string{lost, "FLUSH PRIVILEGES"}, "", rotator.KindPrivilege, give},
				"the socket":                      {s.MariaDB, []string{"ALTER USER {app} IDENTIFIED " + socket}, "", rotator.KindPrivilege, give},
				"expired":                         {false, []string{"ALTER USER {app} PASSWORD EXPIRE"}, "", rotator.KindPrivilege, set},
				"expired, ed25519": {!s.MariaDB, []string{"ALTER USER {app} IDENTIFIED " + socket, "ALTER USER {app} PASSWORD EXPIRE"}, "",
					rotator.KindPrivilege, set},
				"expired, and cut off": {!s.MariaDB, []string{"ALTER USER {app} PASSWORD EXPIRE", "SET GLOBAL disconnect_on_expired_password = ON"}, "",
					rotator.KindPrivilege, set},
				"wrong passwords": {!s.MariaDB || s.Name == "mariadb-10.5", []string{"SET GLOBAL max_password_errors = 2"}, "wrong", rotator.KindPrivilege,
					"ALTER USER {app} ACCOUNT UNLOCK"},
				"wrong passwords, MariaDB 10.5": {!s.MariaDB, []string{"SET GLOBAL max_password_errors = 2"}, "wrong", rotator.KindPrivilege,
					"SET GLOBAL max_password_errors = 4294967295"},
			} {
				if c.not {
					continue
				}
				t.Run(what, func(t *testing.T) {
					app := s.user(t)
					fill := strings.NewReplacer("{app}", at(app.User).String(), "{name}", app.User, "PASSWORD'", app.Password.Reveal()+"'")
					for _, sql := range c.breaks {
						s.run(t, fill.Replace(sql))
					}
					if c.use == "wrong" {
						for range 3 {
							engine().Ping(t.Context(), withPassword(app, password()))
						}
					}
					use(t, s, app)
					wants(t, engine().Ping(t.Context(), app), c.kind, strings.ReplaceAll(c.says, "{app}", at(app.User).String()))
					if err := engine().Ping(t.Context(), app); c.kind == rotator.KindTooManyConnections {
						wants(t, err, c.kind, "a rotation logs in up to 6 times")
					}
					if what == "no such plugin, and a superuser" {
						causes, err := Engine{}.Explain(t.Context(), s.superuser(), app)
						ok(t, err)
						c.says = causes[0].Reset
					}
					s.run(t, fill.Replace(c.says))
					ok(t, engine().Ping(t.Context(), app))
					if what == "expired, ed25519" && !strings.Contains(s.ask(t, "SHOW CREATE USER "+at(app.User).String()), "ed25519") {
						t.Error("the account has another method now")
					}
				})
			}
		})
	}
}

// TestABlockedAccount: its clients go on trying the old password, and what is printed lets it in all the same, with its
// limit back at the end.
func TestABlockedAccount(t *testing.T) {
	t.Parallel()
	for _, name := range dbserver.MySQLsInTier(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, name, nil)
			app := s.user(t)
			clients := func() {
				for range 4 {
					engine().Ping(t.Context(), withPassword(app, password()))
				}
			}
			limit, says := "ALTER USER "+at(app.User).String()+" FAILED_LOGIN_ATTEMPTS 2 PASSWORD_LOCK_TIME 1",
				"SELECT LOGGED, DATA FROM performance_schema.error_log"
			if s.MariaDB {
				limit, says = "SET GLOBAL max_password_errors = 2", "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('log_error'"
			}
			s.run(t, limit)
			clients()
			err := engine().Ping(t.Context(), app)
			wants(t, err, rotator.KindPrivilege, "put the limit back once the label has moved")
			fixes := rotator.FixesOf(err)
			open := true
			for _, f := range fixes {
				if open && f.Turn == rotator.TurnLast {
					open = false
					ok(t, engine().Ping(t.Context(), app))
					clients()
				}
				if s.MariaDB && strings.Contains(f.Run, "FLUSH") {
					if err := engine().Ping(t.Context(), app); err == nil {
						t.Error("the server had forgotten the wrong passwords: FLUSH PRIVILEGES is of no use")
					}
				}
				s.run(t, strings.ReplaceAll(f.Run, itsLimit, "2"))
				if open {
					clients()
				}
			}
			if open || !slices.ContainsFunc(fixes, func(f rotator.Fix) bool { return strings.Contains(f.Run, says) }) {
				t.Errorf("of %q: no line puts the limit back, or none shows whose logins these are", fixes)
			}
			ok(t, engine().Ping(t.Context(), app))
			clients()
			wants(t, engine().Ping(t.Context(), app), rotator.KindPrivilege, "blocked")
			if !s.MariaDB && !slices.ContainsFunc(fixes, func(f rotator.Fix) bool {
				return strings.HasSuffix(f.Run, "FAILED_LOGIN_ATTEMPTS 2")
			}) {
				t.Errorf("the server named the limit, and of %q none puts it back", fixes)
			}
			if logged := s.Log(); s.MariaDB && !strings.Contains(logged, "Access denied for user '"+app.User) {
				t.Errorf("the error log does not name the logins:\n%s", logged)
			}
		})
	}
}

// TestABlockedAddress unblocks it by the statement that the sentence has. The server counts broken connections where it looks
// up the names of addresses, and never those of 127.0.0.1.
func TestABlockedAddress(t *testing.T) {
	t.Parallel()
	for _, name := range dbserver.MySQLsInTier(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, name, map[string]string{"skip-name-resolve": "OFF", "max-connect-errors": "1"})
			app := s.user(t)
			app.Port = s.proxy(t, "127.0.0.2", nil).Port()
			ok(t, engine().Ping(t.Context(), app))
			limit, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			err := error(nil)
			for err == nil && limit.Err() == nil {
				breakOff(t, app)
				err = engine().Ping(limit, app)
			}
			says := "TRUNCATE TABLE performance_schema.host_cache"
			if s.MariaDB {
				says = "FLUSH HOSTS"
			}
			wants(t, err, rotator.KindConflict, "blocked the address", says, "SET GLOBAL max_connect_errors = 10000")
			s.run(t, says)
			ok(t, engine().Ping(t.Context(), app))
		})
	}
}

// breakOff answers the greeting with what is no handshake, and goes.
func breakOff(t *testing.T, login strategies.Login) {
	t.Helper()
	conn, err := net.Dial("tcp", dial.Address(login))
	ok(t, err)
	defer conn.Close()
	_, err = conn.Read(make([]byte, 1024))
	ok(t, err)
	_, err = conn.Write([]byte("\x05\x00\x00\x01wrong"))
	ok(t, err)
	_, err = io.Copy(io.Discard, conn) // until the server has seen it
	ok(t, err)
}

// use has a client of the account log in and ask, until a limit of it is used up.
func use(t *testing.T, s server, app strategies.Login) {
	for range 20 {
		db, err := s.Connect(t.Context(), app.User, app.Password.Reveal(), "")
		if err != nil {
			return
		}
		_, err = db.ExecContext(t.Context(), "SELECT 1")
		db.Close()
		if err != nil {
			return
		}
	}
}

// free waits until the server has ended the sessions that clients have closed: it does so after the client is gone.
func free(t *testing.T, s server) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for sessions := 0; ; time.Sleep(20 * time.Millisecond) {
		db, err := s.Admin(ctx)
		if err == nil {
			err = db.QueryRowContext(ctx, "SELECT COUNT(*) FROM information_schema.processlist WHERE user "+
				"LIKE 'qtu%'").Scan(&sessions)
			db.Close()
		}
		if err == nil && sessions == 0 {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("the server still has %d sessions of clients that are gone: %v", sessions, err)
		}
	}
}

// ended: an administrator ends our statement, or our session, while it waits for a lock. A retry completes.
func ended(t *testing.T, s server, app strategies.Login, how string, kinds ...rotator.Kind) {
	lock, err := s.Admin(t.Context())
	ok(t, err)
	defer lock.Close()
	_, err = lock.ExecContext(t.Context(), "FLUSH TABLES WITH READ LOCK")
	ok(t, err)
	done := make(chan error, 1)
	go func() { done <- engine().SetPassword(t.Context(), app, app.User, app.Password) }()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for killed := false; !killed; {
		if ctx.Err() != nil {
			t.Fatal("the change of the password never waited for the lock")
		}
		if id := s.ask(t, "SELECT id FROM information_schema.processlist WHERE user = '"+app.User+
			"' AND state LIKE 'Waiting%'"); strings.TrimSpace(id) != "" {
			s.run(t, how+" "+strings.TrimSpace(id))
			killed = true
		}
		time.Sleep(20 * time.Millisecond)
	}
	err = <-done
	if !slices.Contains(kinds, rotator.KindOf(err)) || !rotator.Retryable(err) {
		t.Errorf("%s: %v (a retry helps: %t)", how, err, rotator.Retryable(err))
	}
	_, err = lock.ExecContext(t.Context(), "UNLOCK TABLES")
	ok(t, err)
	ok(t, engine().SetPassword(t.Context(), app, app.User, app.Password))
}

// TestTheServerEndsAStatementBeforeWeDo, so that it says so: MariaDB ends a change of an account that waits for a lock by
// max_statement_time alone, and a connection that we have shut says nothing of a lock.
func TestTheServerEndsAStatementBeforeWeDo(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		app, e := s.user(t), Engine{StatementTimeout: 2 * time.Second}
		session, err := e.openForChange(t.Context(), app, nil)
		ok(t, err)
		defer session.close()
		limits := "SELECT @@SESSION.lock_wait_timeout < 2"
		if s.MariaDB {
			limits += " AND @@SESSION.max_statement_time < 2 AND @@SESSION.max_statement_time >= @@SESSION.lock_wait_timeout"
		}
		if row, err := session.row(t.Context(), operation{}, limits); err != nil || row[0] != "1" {
			t.Errorf("%s: %v, %v", limits, row, err)
		}
		if !s.MariaDB {
			return
		}
		over, cancel := context.WithCancel(t.Context())
		cancel()
		if left, err := session.refused(over, []statement{{text: "DO 1"}}); err == nil || left != nil {
			t.Errorf("a statement that was not answered counts as one that was refused: %v", left)
		}
	})
}

// TestNoPasswordIsSetBeforeItsAccountIsShown: a server does not say which account it took a login for. A line that sets
// the password of the one for every host would lock its clients out, where that is another owner's.
func TestNoPasswordIsSetBeforeItsAccountIsShown(t *testing.T) {
	for _, c := range Causes() {
		if strings.Contains(c.Fix, "'PASSWORD'") && len(c.Before) == 0 {
			t.Errorf("%v: %s", c.Codes, c.Fix)
		}
	}
	onEach(t, func(t *testing.T, s server) {
		app := s.user(t) // of another owner
		mine := withPassword(app, password())
		s.run(t, "CREATE USER "+account{user: app.User, host: "127.0.0.1"}.String()+" IDENTIFIED BY '"+mine.Password.Reveal()+
			"' PASSWORD EXPIRE")
		all := rotator.FixesOf(engine().Ping(t.Context(), mine))
		if len(all) != 2 || !strings.Contains(all[1].Run, "'PASSWORD'") {
			t.Fatal(all)
		}
		if shown := s.ask(t, "SELECT Host FROM ("+all[0].Run+") x ORDER BY 1"); shown != "%\n127.0.0.1" {
			t.Errorf("%s shows %s", all[0].Run, shown)
		}
	})
}
