//go:build unix

package dbserver

import (
	"context"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

func TestEveryMySQL(t *testing.T) {
	t.Parallel()
	for _, name := range MySQLs() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := MySQL(t, name)
			database := s.NewDatabase(t)
			user, old := s.NewUser(t, "ALL ON "+database+".*")
			db := loginMySQL(t, s, user, old, database)
			if version := askMySQL[string](t, db, "SELECT VERSION()"); !isRelease(name, version) || strings.Contains(version, "MariaDB") != s.MariaDB {
				t.Errorf("this is %s", version)
			}
			changed := "a new one " + randomHex(4)
			change, how := "ALTER USER CURRENT_USER() IDENTIFIED BY '"+changed+"'", "ALTER USER"
			if s.MariaDB { // where the above takes the privilege to create users
				change, how = "SET PASSWORD = PASSWORD('"+changed+"')", "SET PASSWORD"
			}
			for _, statement := range []string{"CREATE TABLE things (id INT PRIMARY KEY)", change} {
				if _, err := db.ExecContext(t.Context(), statement); err != nil {
					t.Fatal(err)
				}
			}
			if number := refusedMySQL(t, s, user, old); number != 1045 {
				t.Errorf("the old password: %d", number)
			}
			loginMySQL(t, s, user, changed, database)
			if super := loginMySQL(t, s, s.Superuser, s.Password, ""); askMySQL[int](t, super, "SELECT COUNT(*) FROM mysql.user WHERE user = ?", user) != 1 {
				t.Error("the superuser does not see the account")
			}

			general, err := s.GeneralLog(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			binary, err := s.BinaryLog(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, log := range []string{general, binary} {
				for _, logged := range []string{"CREATE TABLE things", how} {
					if !strings.Contains(log, logged) {
						t.Errorf("a log lacks %q", logged)
					}
				}
				for _, ours := range []string{old, s.Password, "CREATE USER " + user, "CREATE USER '" + user, "CREATE DATABASE " + database} {
					if strings.Contains(log, ours) {
						t.Error("a log has what the superuser sent")
					}
				}
			}
			if !strings.Contains(general, "Access denied for user '"+user) {
				t.Error("the general log lacks the login that was refused")
			}
			if MySQL(t, name) != s {
				t.Error("the server is not shared")
			}
		})
	}
}

func TestMySQLTLS(t *testing.T) {
	t.Parallel()
	for _, r := range mysqlReleases {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			s := NewMySQL(t, MySQLOptions{Name: r.name, TLS: &TLS{}, Conf: map[string]string{"require_secure_transport": "ON"}})
			user, password := s.NewUser(t)
			db := loginMySQL(t, s, user, password, "")
			if _, cipher := statusOf(t, db, "Ssl_cipher"); cipher == "" {
				t.Error("the connection is not encrypted")
			}
			plain := *s
			plain.CAs = nil
			if number := refusedMySQL(t, &plain, user, password); number != 3159 && number != 4151 && number != 1045 {
				t.Errorf("without TLS: %d", number)
			}
			stranger := *s
			stranger.CAs = x509.NewCertPool()
			if err := refusalMySQL(t, &stranger, user, password); !as[x509.UnknownAuthorityError](err) {
				t.Errorf("without the authority: %v", err)
			}
			misnamed := *s
			misnamed.ServerName = "other.test"
			if err := refusalMySQL(t, &misnamed, user, password); !as[x509.HostnameError](err) {
				t.Errorf("under another name: %v", err)
			}
			expired := NewMySQL(t, MySQLOptions{Name: r.name, TLS: &TLS{Expired: true}})
			invalid := x509.CertificateInvalidError{}
			if err := refusalMySQL(t, expired, expired.Superuser, expired.Password); !errors.As(err, &invalid) || invalid.Reason != x509.Expired {
				t.Errorf("expired: %v", err)
			}
		})
	}
}

// TestMySQLWithoutTLS: servers that would make a certificate for themselves do not.
func TestMySQLWithoutTLS(t *testing.T) {
	t.Parallel()
	for _, r := range mysqlReleases {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			s := *MySQL(t, r.name)
			s.CAs = x509.NewCertPool()
			if err := refusalMySQL(t, &s, s.Superuser, s.Password); !errors.Is(err, mysql.ErrNoTLS) {
				t.Errorf("TLS with a server that has none: %v", err)
			}
		})
	}
}

func TestMySQLConf(t *testing.T) {
	t.Parallel()
	s := NewMySQL(t, MySQLOptions{Name: "mariadb-11.8", Conf: map[string]string{
		"plugin-load-add": "simple_password_check;password_reuse_check;auth_ed25519", "init_connect": `SET @a = "it's a \\ \"name\""`, "max_connections": "33", "general_log": "OFF",
	}})
	user, password := s.NewUser(t)
	if got := askMySQL[string](t, loginMySQL(t, s, user, password, ""), "SELECT @a"); got != `it's a \ "name"` {
		t.Errorf("init_connect gives %s", got)
	}
	db := adminMySQL(t, s)
	if got := askMySQL[string](t, db, "SELECT CONCAT_WS(' ', @@max_connections, @@general_log+0, @@skip_name_resolve+0)"); got != "33 0 1" {
		t.Errorf("settings: %s", got)
	}
	var failure *mysql.MySQLError
	if err := s.Exec(t.Context(), "CREATE USER weak@'%' IDENTIFIED BY 'a'"); !errors.As(err, &failure) || failure.Number != 1819 {
		t.Errorf("a weak password: %v", err)
	}
	if err := s.Exec(t.Context(), "CREATE USER strong@'%' IDENTIFIED VIA ed25519 USING PASSWORD('Str0ng-enough')"); err != nil {
		t.Fatal(err)
	}
	loginMySQL(t, s, "strong", "Str0ng-enough", "")
	if err := s.Exec(t.Context(), "SET GLOBAL read_only = ON"); err != nil {
		t.Errorf("read only: %v", err)
	}
}

// TestMySQLAlone: an own server is nobody else's, and ends in order with all that it had.
func TestMySQLAlone(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"mysql-9.7", "mariadb-10.11"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := NewMySQL(t, MySQLOptions{Name: name}), NewMySQL(t, MySQLOptions{Name: name})
			if a.Port == b.Port || a.Socket == b.Socket || a.Password == b.Password {
				t.Error("two servers share something")
			}
			if len(a.Socket) > 100 {
				t.Errorf("the socket's path %s is too long for some systems", a.Socket)
			}
			user, _ := a.NewUser(t)
			if askMySQL[int](t, adminMySQL(t, b), "SELECT COUNT(*) FROM mysql.user WHERE user = ?", user) != 0 {
				t.Error("two servers share their accounts")
			}
			loginMySQL(t, a, a.Superuser, a.Password, "")
			if number := refusedMySQL(t, a, "root", ""); number != 1045 && number != 1130 {
				t.Errorf("root without a password: %d", number)
			}
			if number := refusedMySQL(t, a, "", ""); number != 1045 && number != 1130 {
				t.Errorf("nobody without a password: %d", number)
			}

			if err := a.Close(); err != nil {
				t.Fatal(err)
			}
			for _, pid := range []int{a.cmd.Process.Pid, a.guard.Process.Pid} {
				if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
					t.Errorf("process %d is still there: %v", pid, err)
				}
			}
			if _, err := os.Stat(a.dir); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the folder is still there: %v", err)
			}
			if general, err := a.GeneralLog(t.Context()); err != nil || !strings.Contains(general, "Connect\t"+a.Superuser+"@127.0.0.1") {
				t.Errorf("the general log is not kept: %v", err)
			}
			if log := strings.ToLower(a.Log()); !strings.Contains(log, "shutdown complete") {
				t.Error("the end was not orderly, or the log is not kept")
			}
			if err := a.Close(); err != nil {
				t.Errorf("a second Close: %v", err)
			}
		})
	}
}

func TestMySQLStartThatFails(t *testing.T) {
	t.Parallel()
	tier.Test(t)
	for _, name := range []string{"mysql-9.7", "mariadb-10.5"} {
		s, err := StartMySQL(t.Context(), MySQLOptions{Name: name, Conf: map[string]string{"no-such-setting": "1"}})
		if errors.Is(err, ErrMissing) {
			settle(t, err)
		}
		if err == nil {
			s.Close()
			t.Fatal("a server with an impossible setting starts")
		}
		if !strings.Contains(err.Error(), "no-such-setting") {
			t.Errorf("the server's last words are missing: %v", err)
		}
	}
}

func TestFindMySQLSaysWhatToDo(t *testing.T) {
	t.Setenv("QUARTERTURN_CACHE", openDir(t))
	_, err := FindMySQL(t.Context(), "mysql-9.7")
	if err == nil {
		t.Skip("MySQL 9.7 is on this machine")
	}
	if !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "mysql-9.7-"+platform()) || !strings.Contains(err.Error(), fetchCommand) {
		t.Error(err)
	}
	if _, err := FindMySQL(t.Context(), "mysql-3.23"); !errors.Is(err, ErrMissing) {
		t.Errorf("of a release that nobody knows: %v", err)
	}
}

// TestExternalMySQL plays somebody else's server by one of ours. The variable is for releases that we have none of; which
// one it names does not matter to what is tested here.
func TestExternalMySQL(t *testing.T) {
	own := NewMySQL(t, MySQLOptions{Name: "mariadb-10.11", Conf: map[string]string{"log-output": "FILE,TABLE"}})
	entry := func(name, password string) string {
		return fmt.Sprintf("%s=%s:%s@%s:%d", name, own.Superuser, password, own.Host, own.Port)
	}
	t.Setenv(externalVariable, strings.Join([]string{entry("mariadb-10.11.", own.Password), entry("mysql-8.4", own.Password), entry("mariadb-10", "wrong@wrong"), "mysql-8.0=nonsense"}, " "))
	if names := MySQLs(); !slices.Equal(names[len(names)-2:], []string{"mariadb-10", "mysql-8.0"}) {
		t.Errorf("names: %v", names)
	}
	for name, says := range map[string]string{"mysql-8.4": "it is version 10.11.", "mariadb-10": "Access denied", "mysql-8.0": "is not name=user"} {
		e, _ := externalOf(name)
		if _, err := e.reach(t.Context()); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := StartMySQL(t.Context(), MySQLOptions{Name: "mysql-8.4"}); !errors.Is(err, ErrMissing) {
		t.Errorf("an own server: %v", err)
	}

	t.Setenv(externalVariable, entry("mariadb-10", own.Password))
	var user string
	t.Run("use", func(t *testing.T) {
		s := MySQL(t, "mariadb-10")
		var password string
		user, password = s.NewUser(t, "SELECT ON "+s.NewDatabase(t)+".*")
		askMySQL[int](t, loginMySQL(t, s, user, password, ""), "SELECT 4711")
		if log, err := s.GeneralLog(t.Context()); err != nil || !strings.Contains(log, "SELECT 4711") || strings.Contains(log, password) {
			t.Errorf("the general log: %v", err)
		}
		if _, err := s.BinaryLog(t.Context()); err != nil {
			t.Error(err)
		}
		if s.Log() != "" || s.Close() != nil {
			t.Error("what is not ours is not left alone")
		}
	})
	if askMySQL[int](t, adminMySQL(t, own), "SELECT COUNT(*) FROM mysql.user WHERE user = ?", user) != 0 {
		t.Error("an account is left behind")
	}
	if askMySQL[int](t, adminMySQL(t, own), "SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name LIKE 'db\\_%'") != 0 {
		t.Error("a database is left behind")
	}
}

// TestPortTakenMeanwhile: whoever was quicker keeps the port, and the server gets another.
func TestPortTakenMeanwhile(t *testing.T) {
	t.Parallel()
	tier.Test(t)
	for _, r := range mysqlReleases {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			b, err := findMySQL(t.Context(), r.name)
			if err != nil {
				settle(t, err)
			}
			s, err := newMySQL(b, r.name)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			quicker, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer quicker.Close()
			if err := mysqlTemplate(b, r.name).copyTo(t.Context(), s.dataDir()); err != nil {
				t.Fatal(err)
			}
			if err := s.writeConf(s.baseConf()); err != nil {
				t.Fatal(err)
			}
			starts := 0
			argv := func(port int) []string {
				if starts++; starts == 1 {
					port = quicker.Addr().(*net.TCPAddr).Port
				}
				return s.binaries.argv("--defaults-file="+s.confFile(), "--port="+strconv.Itoa(port))
			}
			port, err := s.process.serve(t.Context(), argv, s.ready, portTaken)
			if err != nil || starts != 2 {
				t.Fatalf("%d starts: %v\n%s", starts, err, logTail([]byte(s.Log())))
			}
			if !strings.Contains(s.Log(), "port: "+strconv.Itoa(port)) {
				t.Errorf("the server is not on port %d", port)
			}
		})
	}
}

func loginMySQL(t *testing.T, s *MySQLServer, user, password, database string) *sql.DB {
	t.Helper()
	db, err := s.Connect(t.Context(), user, password, database)
	if err != nil {
		t.Fatalf("login: %v", err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func adminMySQL(t *testing.T, s *MySQLServer) *sql.DB {
	t.Helper()
	db, err := s.Admin(t.Context())
	if err != nil {
		t.Fatalf("superuser: %v", err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// refusalMySQL is why a login fails.
func refusalMySQL(t *testing.T, s *MySQLServer, user, password string) error {
	t.Helper()
	db, err := s.Connect(context.WithoutCancel(t.Context()), user, password, "")
	if err == nil {
		db.Close()
		t.Error("a login that has to fail succeeds")
	}
	return err
}

// refusedMySQL is the number of the error by which a login fails, or 0.
func refusedMySQL(t *testing.T, s *MySQLServer, user, password string) uint16 {
	t.Helper()
	var failure *mysql.MySQLError
	if err := refusalMySQL(t, s, user, password); errors.As(err, &failure) {
		return failure.Number
	}
	return 0
}

func askMySQL[T any](t *testing.T, db *sql.DB, query string, args ...any) (value T) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), query, args...).Scan(&value); err != nil {
		t.Fatalf("query: %v", err)
	}
	return value
}

func statusOf(t *testing.T, db *sql.DB, name string) (variable, value string) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), "SHOW STATUS LIKE '"+name+"'").Scan(&variable, &value); err != nil {
		t.Fatalf("status: %v", err)
	}
	return variable, value
}
