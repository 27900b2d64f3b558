//go:build unix

package dbserver

import (
	"context"
	"crypto/x509"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

func TestEveryMajor(t *testing.T) {
	t.Parallel()
	for _, major := range Majors() {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			t.Parallel()
			s := Postgres(t, major)
			role, old := s.NewRole(t, "LOGIN")
			database := s.NewDatabase(t, role)
			conn := login(t, s, role, old, database)
			if version := query[int](t, conn, "SELECT current_setting('server_version_num')::int / 10000"); version != major {
				t.Errorf("this is PostgreSQL %d", version)
			}
			const changed = "a new one"
			if _, err := conn.Exec(t.Context(), "ALTER ROLE "+role+" PASSWORD '"+changed+"'"); err != nil {
				t.Fatal(err)
			}
			if code := refused(t, s, role, old, database); code != "28P01" {
				t.Errorf("the old password: %s", code)
			}
			login(t, s, role, changed, database)
			if stored := query[string](t, admin(t, s), "SELECT rolpassword FROM pg_authid WHERE rolname = $1", role); !strings.HasPrefix(stored, "SCRAM-SHA-256$") {
				t.Error("the password is not stored for SCRAM")
			}

			log := s.Log()
			for _, logged := range []string{"ALTER ROLE " + role + " PASSWORD '" + changed + "'", "28P01 " + role + "@" + database + " FATAL"} {
				if !strings.Contains(log, logged) {
					t.Errorf("the log lacks %q", logged)
				}
			}
			for _, ours := range []string{old, s.Password, "CREATE ROLE " + role, "rolpassword"} {
				if strings.Contains(log, ours) {
					t.Error("the log has what the superuser sent")
				}
			}
			if Postgres(t, major) != s {
				t.Error("the server is not shared")
			}
		})
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	s := NewPostgres(t, Options{TLS: &TLS{}, HBA: []string{"hostssl all all all scram-sha-256"}})
	role, password := s.NewRole(t, "LOGIN")
	conn := login(t, s, role, password, "postgres")
	if !query[bool](t, conn, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()") {
		t.Error("the connection is not encrypted")
	}
	pem, err := os.ReadFile(s.CAFile)
	if pool := x509.NewCertPool(); err != nil || !pool.AppendCertsFromPEM(pem) || !pool.Equal(s.CAs) {
		t.Errorf("CAFile is not CAs: %v", err)
	}
	plain := *s
	plain.CAs = nil
	if code := refused(t, &plain, role, password, "postgres"); code != "28000" {
		t.Errorf("without TLS: %s", code)
	}
	stranger := *s
	stranger.CAs = x509.NewCertPool()
	if err := refusal(t, &stranger, role, password); !as[x509.UnknownAuthorityError](err) {
		t.Errorf("without the authority: %v", err)
	}
	misnamed := *s
	misnamed.ServerName = "other.test"
	if err := refusal(t, &misnamed, role, password); !as[x509.HostnameError](err) {
		t.Errorf("under another name: %v", err)
	}
	byAddress := *s
	byAddress.ServerName = s.Host
	login(t, &byAddress, role, password, "postgres")
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	other := NewPostgres(t, Options{TLS: &TLS{Names: []string{"other.test"}}})
	if other.ServerName != "other.test" {
		t.Errorf("ServerName is %s", other.ServerName)
	}
	login(t, other, other.Superuser, other.Password, "postgres")
	byAddress := *other
	byAddress.ServerName = other.Host
	if err := refusal(t, &byAddress, other.Superuser, other.Password); !as[x509.HostnameError](err) {
		t.Errorf("by an address that is not in the certificate: %v", err)
	}

	expired := NewPostgres(t, Options{TLS: &TLS{Expired: true}})
	invalid := x509.CertificateInvalidError{}
	if err := refusal(t, expired, expired.Superuser, expired.Password); !errors.As(err, &invalid) || invalid.Reason != x509.Expired {
		t.Errorf("expired: %v", err)
	}
}

func TestHBA(t *testing.T) {
	t.Parallel()
	trusting := NewPostgres(t, Options{HBA: []string{"host all all all trust"}})
	role, _ := trusting.NewRole(t, "LOGIN")
	login(t, trusting, role, "nonsense", "postgres")

	old := NewPostgres(t, Options{HBA: []string{"host all all all md5"}, Conf: map[string]string{"password_encryption": "md5"}})
	role, password := old.NewRole(t, "LOGIN")
	login(t, old, role, password, "postgres")
	if code := refused(t, old, role, "nonsense", "postgres"); code != "28P01" {
		t.Errorf("a wrong password: %s", code)
	}
	if stored := query[string](t, admin(t, old), "SELECT rolpassword FROM pg_authid WHERE rolname = $1", role); !strings.HasPrefix(stored, "md5") {
		t.Error("the password is not stored as MD5")
	}
}

func TestConf(t *testing.T) {
	t.Parallel()
	s := NewPostgres(t, Options{Conf: map[string]string{"cluster_name": `it's a \ name`, "log_statement": "none"}})
	conn := login(t, s, s.Superuser, s.Password, "postgres")
	for name, want := range map[string]string{"cluster_name": `it's a \ name`, "log_statement": "none", "fsync": "off"} {
		if got := query[string](t, conn, "SELECT current_setting($1)", name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	if err := s.Exec(t.Context(), "ALTER SYSTEM SET work_mem = '7MB'", "SELECT pg_reload_conf()"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "ALTER SYSTEM has its way", func() bool { return query[string](t, conn, "SHOW work_mem") == "7MB" })
}

// TestStandby runs on both calls of the backup API: they got other names in 15.
func TestStandby(t *testing.T) {
	t.Parallel()
	for _, major := range []int{13, 15, 18} {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			t.Parallel()
			s := NewPostgres(t, Options{Major: major, TLS: &TLS{}})
			before, password := s.NewRole(t, "LOGIN")
			b, err := s.Standby(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := b.Close(); err != nil {
					t.Error(err)
				}
			})
			if b.Port == s.Port || b.DataDir == s.DataDir || b.CAFile == s.CAFile {
				t.Error("the standby is not on its own")
			}
			conn := login(t, b, before, password, "postgres")
			if !query[bool](t, conn, "SELECT pg_is_in_recovery()") || query[bool](t, login(t, s, before, password, "postgres"), "SELECT pg_is_in_recovery()") {
				t.Error("recovery is not where it belongs")
			}
			if _, err := conn.Exec(t.Context(), "CREATE TABLE t ()"); sqlState(err) != "25006" {
				t.Errorf("a write: %v", err)
			}
			after, _ := s.NewRole(t, "LOGIN")
			eventually(t, "the standby follows", func() bool {
				return query[int](t, conn, "SELECT count(*)::int FROM pg_roles WHERE rolname = $1", after) == 1
			})
		})
	}
}

func TestTwoServersAtOnce(t *testing.T) {
	t.Parallel()
	a, b := NewPostgres(t, Options{}), NewPostgres(t, Options{})
	if a.Port == b.Port || a.DataDir == b.DataDir || a.Password == b.Password {
		t.Error("two servers share something")
	}
	role, _ := a.NewRole(t, "LOGIN")
	if query[int](t, admin(t, b), "SELECT count(*)::int FROM pg_roles WHERE rolname = $1", role) != 0 {
		t.Error("two servers share their roles")
	}
	if system := "SELECT pg_backend_pid()"; query[int](t, admin(t, a), system) == query[int](t, admin(t, b), system) {
		t.Error("two servers share a process")
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	s := NewPostgres(t, Options{})
	conn := login(t, s, s.Superuser, s.Password, "postgres")
	pids := []int{s.cmd.Process.Pid, s.guard.Process.Pid}
	rows, err := conn.Query(t.Context(), "SELECT pid FROM pg_stat_activity")
	if err != nil {
		t.Fatal(err)
	}
	children, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil || len(children) < 2 {
		t.Fatalf("%d children: %v", len(children), err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, pid := range append(pids, children...) {
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("process %d is still there: %v", pid, err)
		}
	}
	if _, err := os.Stat(s.dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder is still there: %v", err)
	}
	if !strings.Contains(s.Log(), "SELECT pid FROM pg_stat_activity") || !strings.Contains(s.Log(), "database system is shut down") {
		t.Error("the log is not kept, or the end was not orderly")
	}
	if err := s.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
}

// TestEndsWithItsStarter kills a process that has started a server, in the one way that leaves it no time for anything.
func TestEndsWithItsStarter(t *testing.T) {
	t.Parallel()
	tier.Test(t)
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		if _, err := newestPostgres(t.Context()); err != nil {
			settle(t, err)
		}
		endsWithItsStarter(t, "")
	})
	for _, name := range []string{"mysql-9.7", "mariadb-11.8"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := FindMySQL(t.Context(), name); err != nil {
				settle(t, err)
			}
			endsWithItsStarter(t, name)
		})
	}
}

func endsWithItsStarter(t *testing.T, name string) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	note := filepath.Join(t.TempDir(), "note")
	cmd := exec.CommandContext(t.Context(), exe, "-test.run=^TestStarter$")
	cmd.Env = append(os.Environ(), "DBSERVER_TEST_NOTE="+note, "DBSERVER_TEST_SERVER="+name)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var fields []string
	eventually(t, "the starter has started", func() bool {
		text, _ := os.ReadFile(note)
		fields = strings.Fields(string(text))
		return len(fields) == 3
	})
	dir, address := fields[0], fields[1]
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	eventually(t, "the folder is gone", func() bool { return gone(dir) })
	eventually(t, "the port is closed", func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
}

// TestStarter is the other process of TestEndsWithItsStarter.
func TestStarter(t *testing.T) {
	note := os.Getenv("DBSERVER_TEST_NOTE")
	if note == "" {
		t.SkipNow()
	}
	var dir string
	var port int
	if name := os.Getenv("DBSERVER_TEST_SERVER"); name != "" {
		s, err := StartMySQL(t.Context(), MySQLOptions{Name: name})
		if err != nil {
			t.Fatal(err)
		}
		dir, port = s.dir, s.Port
	} else {
		s, err := StartPostgres(t.Context(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		dir, port = s.dir, s.Port
	}
	if err := os.WriteFile(note, []byte(dir+" "+net.JoinHostPort("127.0.0.1", strconv.Itoa(port))+" ."), 0o600); err != nil {
		t.Fatal(err)
	}
	<-t.Context().Done() // killed here
}

// TestAsOrdinaryUser is for machines where tests run as root: there it runs some others as nobody, whose cache it is not.
func TestAsOrdinaryUser(t *testing.T) {
	t.Parallel()
	tier.Test(t)
	if os.Geteuid() != 0 {
		t.Skip("not root: every other test runs as an ordinary user")
	}
	cache, err := CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := openDir(t)
	// Where go test puts it, only root can go. Another process copies it: a file that
	// this one writes is "busy" while a server that a test beside this one forks still
	// holds it open.
	copied := filepath.Join(dir, "test")
	if err := errors.Join(exec.CommandContext(t.Context(), "cp", exe, copied).Run(), os.Chmod(copied, 0o700), give(dir), give(copied)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), copied, "-test.v", "-test.run=^(TestTLS|TestClose|TestMySQLAlone)$/^mariadb-10.11$")
	cmd.Dir, cmd.SysProcAttr = dir, asServerUser()
	cmd.Env = append(os.Environ(), "QUARTERTURN_CACHE="+cache, "TMPDIR="+dir, "HOME="+dir)
	out, err := cmd.CombinedOutput()
	for _, name := range []string{"TestClose", "TestMySQLAlone/mariadb-10.11"} {
		if err != nil || !strings.Contains(string(out), "--- PASS: "+name) && !strings.Contains(string(out), "--- SKIP: "+name) {
			t.Errorf("%s as uid %d: %v\n%s", name, nobody, err, out)
		}
	}
}

func TestStartThatFails(t *testing.T) {
	t.Parallel()
	tier.Test(t)
	s, err := StartPostgres(t.Context(), Options{Conf: map[string]string{"max_connections": "many"}})
	if errors.Is(err, ErrMissing) {
		settle(t, err)
	}
	if err == nil {
		s.Close()
		t.Fatal("a server with an impossible setting starts")
	}
	if !strings.Contains(err.Error(), `invalid value for parameter "max_connections"`) {
		t.Errorf("the server's last words are missing: %v", err)
	}
}

func TestAwaitObeysItsContext(t *testing.T) {
	t.Parallel()
	p, err := newProcess(habits{name: "test", pidFile: "pid", stop: []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL}})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.start([]string{"/bin/sleep", "600"}, nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := p.await(ctx, func() bool { return false }); !errors.Is(err, ctx.Err()) || err == nil {
		t.Errorf("await: %v", err)
	}
	if err := p.Close(); err != nil || !gone(p.dir) {
		t.Errorf("close: %v", err)
	}
}

func TestServerThatEndsIsNotAwaited(t *testing.T) {
	t.Parallel()
	p, err := newProcess(habits{name: "test", pidFile: "pid", stop: []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.start([]string{"/bin/sh", "-c", "echo last words"}, nil); err != nil {
		t.Fatal(err)
	}
	if err := p.await(t.Context(), func() bool { return false }); err == nil || p.Log() != "last words\n" {
		t.Errorf("await: %v; log: %q", err, p.Log())
	}
}

func login(t *testing.T, s *Server, user, password, database string) *pgx.Conn {
	t.Helper()
	conn, err := s.Connect(t.Context(), user, password, database)
	if err != nil {
		t.Fatalf("login: %v", err)
	}
	t.Cleanup(func() { conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

func admin(t *testing.T, s *Server) *pgx.Conn {
	t.Helper()
	conn, err := s.Admin(t.Context(), "postgres")
	if err != nil {
		t.Fatalf("superuser: %v", err)
	}
	t.Cleanup(func() { conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

// refusal is why a login fails.
func refusal(t *testing.T, s *Server, user, password string) error {
	t.Helper()
	conn, err := s.Connect(t.Context(), user, password, "postgres")
	if err == nil {
		conn.Close(t.Context())
		t.Error("a login that has to fail succeeds")
	}
	return err
}

// refused is the SQLSTATE of a login that fails.
func refused(t *testing.T, s *Server, user, password, database string) string {
	t.Helper()
	conn, err := s.Connect(t.Context(), user, password, database)
	if err == nil {
		conn.Close(t.Context())
		return "logged in"
	}
	return sqlState(err)
}

func sqlState(err error) string {
	var failure *pgconn.PgError
	if errors.As(err, &failure) {
		return failure.Code
	}
	return "no SQLSTATE"
}

func as[E error](err error) bool {
	var target E
	return errors.As(err, &target)
}

func query[T any](t *testing.T, conn *pgx.Conn, sql string, args ...any) (value T) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), sql, args...).Scan(&value); err != nil {
		t.Fatalf("query: %v", err)
	}
	return value
}

// eventually fails only where what is awaited never comes: its limit is far beyond any slow machine.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(time.Minute)
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("never: %s", what)
		}
	}
}
