package mysql

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
)

// TestWhatAServerAnswers brings servers to what operators meet at night, follows what the sentence says, and logs in.
// (1129, a
// blocked address, no server says to clients of 127.0.0.1, whom it does not count.)
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
				"an hourly limit of logins": {false, []string{"ALTER USER {app} WITH MAX_CONNECTIONS_PER_HOUR 1"},
					[]string{"ALTER USER {app} WITH MAX_USER_CONNECTIONS 0 MAX_CONNECTIONS_PER_HOUR 0"},
					rotator.KindTooManyConnections, "MAX_CONNECTIONS_PER_HOUR 0", true},
				"an hourly limit of statements": {false, []string{"ALTER USER {app} WITH MAX_QUERIES_PER_HOUR 1"},
					[]string{"ALTER USER {app} WITH MAX_QUERIES_PER_HOUR 0 MAX_UPDATES_PER_HOUR 0"},
					rotator.KindTooManyConnections, "MAX_QUERIES_PER_HOUR 0", false},
				"offline mode": {true, []string{"SET GLOBAL offline_mode = ON"},
					[]string{"SET GLOBAL offline_mode = OFF"}, rotator.KindUnreachable,
					"SET GLOBAL offline_mode = OFF", false},
				"no account for this address": {false, []string{"RENAME USER {app} TO '{name}'@'10.9.9.9'",
					"RENAME USER admin@'%' TO admin@'10.9.9.9'", "FLUSH PRIVILEGES"},
					[]string{"RENAME USER '{name}'@'10.9.9.9' TO {app}", "RENAME USER admin@'10.9.9.9' TO admin@'%'"},
					rotator.KindMisconfigured, "'user'@'10.0.%'", false},
				"the plugin is gone": {true,
					[]string{"UPDATE mysql.user SET plugin = 'mysql_native_password' WHERE user = '{name}'",
						"FLUSH PRIVILEGES"},
					[]string{"ALTER USER {app} IDENTIFIED WITH caching_sha2_password BY '{password}'"},
					rotator.KindPrivilege, "IDENTIFIED WITH caching_sha2_password BY", false},
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
				if strings.Contains(c.says, "PER_HOUR") {
					use(t, s, app) // the one that there is
				}
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
			for {
				db, err := s.Connect(t.Context(), app.User, app.Password.Reveal(), "")
				if err != nil {
					break
				}
				all = append(all, db)
			}
			err := engine().Ping(t.Context(), app)
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
