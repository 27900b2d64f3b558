package dbserver

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/quarterturn-dev/quarterturn/testutil/internal/disk"
)

// Options describe a server of one's own. The zero value is the newest PostgreSQL that can be had, without TLS, where
// every role logs in over TCP by SCRAM.
type Options struct {
	// Major is the major version; zero is the newest that can be had.
	Major int
	// TLS turns ssl on.
	TLS *TLS
	// HBA is the lines of pg_hba.conf; nil is "host all all all scram-sha-256". Some others: "hostssl all all all
	// scram-sha-256" (TLS only), "host all all all md5", "host all all all trust". The superuser's way in (Admin) is a
	// private socket and is not concerned.
	HBA []string
	// Conf is settings of postgresql.conf, over those of this package: {"password_encryption": "md5"}.
	Conf map[string]string
	// Log, where not nil, is told in one line which server runs where.
	Log io.Writer
}

// Server is a running PostgreSQL server. Its log holds every statement of every client (log_statement=all), with its
// parameters and errors in full: what a test has to search for secrets. Only what is sent through Admin, Exec, NewRole
// and NewDatabase is not logged.
type Server struct {
	Endpoint
	Superuser string // postgres
	Password  string // of Superuser
	Major     int
	DataDir   string
	SocketDir string
	LogFile   string

	Identity

	*process
	bin   string
	scram bool // what password_encryption says
}

// Postgres is the server of a major version that all tests of this process share; every test makes roles and databases
// of its own on it (NewRole, NewDatabase). It lives until the process ends.
func Postgres(t testing.TB, major int) *Server {
	t.Helper()
	return sharedPostgres.get(t, major, func(ctx context.Context) (*Server, error) {
		return StartPostgres(ctx, Options{Major: major})
	})
}

var sharedPostgres shared[int, *Server]

// NewPostgres is a server for one test, closed at its end.
func NewPostgres(t testing.TB, o Options) *Server {
	t.Helper()
	return own(t, func(ctx context.Context) (*Server, error) { return StartPostgres(ctx, o) })
}

// StartPostgres starts a server, for whoever has no testing.TB: TestMain, a demo. The context bounds the start only.
// The caller closes the server; if it dies before, the server ends all the same. The error wraps ErrMissing when there
// are no binaries; when the server does not start it ends with the server's last words.
func StartPostgres(ctx context.Context, o Options) (*Server, error) {
	begin := time.Now()
	if o.Major == 0 {
		newest, err := newestPostgres(ctx)
		if err != nil {
			return nil, err
		}
		o.Major = newest
	}
	bin, err := FindPostgres(ctx, o.Major)
	if err != nil {
		return nil, err
	}
	s, err := newPostgres(bin, o.Major)
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL %d: %w", o.Major, err)
	}
	if err := s.setUp(ctx, o); err != nil {
		return nil, s.abandon(err)
	}
	if o.Log != nil {
		fmt.Fprintf(o.Log, "PostgreSQL %d from %s is ready on %s:%d after %v\n", s.Major, bin, s.Host, s.Port,
			time.Since(begin).Round(time.Millisecond))
	}
	return s, nil
}

// newPostgres makes the folders of a server.
func newPostgres(bin string, major int) (*Server, error) {
	p, err := newProcess(habits{
		name:    "pg" + strconv.Itoa(major),
		pidFile: "data/postmaster.pid",
		stop:    []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGKILL}, // fast, then immediate shutdown
	})
	if err != nil {
		return nil, err
	}
	s := &Server{
		Endpoint: Endpoint{Host: "127.0.0.1"}, Superuser: "postgres", Major: major,
		DataDir: filepath.Join(p.dir, "data"), SocketDir: filepath.Join(p.dir, "run"), LogFile: p.logFile,
		process: p, bin: bin,
	}
	if err := errors.Join(os.Mkdir(s.SocketDir, 0o700), give(s.SocketDir)); err != nil {
		return nil, s.abandon(err)
	}
	return s, nil
}

// setUp fills the data folder and starts the server.
func (s *Server) setUp(ctx context.Context, o Options) error {
	if err := postgresTemplate(s.bin, s.Major).copyTo(ctx, s.DataDir); err != nil {
		return err
	}
	conf := s.baseConf()
	if o.TLS != nil {
		id, err := o.TLS.install(s.DataDir)
		if err != nil {
			return err
		}
		s.Identity = id
		conf["ssl"] = "on"
	}
	maps.Copy(conf, o.Conf)
	s.scram = conf["password_encryption"] == "scram-sha-256"
	if err := errors.Join(s.writeHBA(o.HBA), s.appendConf(conf)); err != nil {
		return err
	}
	if err := s.serve(ctx); err != nil {
		return err
	}
	s.Password = randomHex(16)
	return s.Exec(ctx, "ALTER ROLE "+s.Superuser+" PASSWORD '"+s.stored(s.Password)+"'")
}

// abandon closes a server that did not start, and adds its last words to the reason.
func (s *Server) abandon(err error) error {
	closing := s.Close()
	err = fmt.Errorf("PostgreSQL %d: %w\n%s", s.Major, err, logTail([]byte(s.Log())))
	return errors.Join(disk.Full(err, s.dir, "PostgreSQL", serverGigabytes), closing)
}

// baseConf is the settings of a server that is quick, forgets everything and logs everything.
func (s *Server) baseConf() map[string]string {
	conf := map[string]string{
		"listen_addresses":           s.Host,
		"unix_socket_directories":    s.SocketDir,
		"shared_buffers":             "16MB",
		"dynamic_shared_memory_type": "mmap", // in the data folder, so that not even a killed server leaves any
		"fsync":                      "off",
		"full_page_writes":           "off",
		"synchronous_commit":         "off",
		"wal_keep_size":              "64MB", // for a standby
		"timezone":                   "UTC",
		"log_timezone":               "UTC",
		"password_encryption":        "scram-sha-256",       // 13 still has md5
		"log_line_prefix":            "%m [%p] %e %q%u@%d ", // %e: SQLSTATE
		"log_statement":              "all",
		"log_connections":            "on",
		"log_disconnections":         "on",
		"log_min_messages":           "info",
	}
	if s.Major >= 16 {
		conf["scram_iterations"] = strconv.Itoa(iterations)
	}
	return conf
}

// iterations is how often the passwords of this package's roles are hashed. PostgreSQL's own 4096 are most of what a
// login costs a test under the race detector, and what a login proves does not depend on their number.
const iterations = 16

// stored is what CREATE ROLE and ALTER ROLE are given for a password, in the server's kind of encryption.
func (s *Server) stored(password string) string {
	if !s.scram {
		return password
	}
	salt := []byte(randomHex(8))
	// password is ASCII: SASLprep leaves it as it is
	salted, err := pbkdf2.Key(sha256.New, password, salt, iterations, sha256.Size)
	if err != nil {
		return password // FIPS mode: the server hashes it
	}
	sum := func(key []byte, text string) []byte {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(text))
		return mac.Sum(nil)
	}
	storedKey := sha256.Sum256(sum(salted, "Client Key"))
	base64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", iterations, base64(salt), base64(storedKey[:]),
		base64(sum(salted, "Server Key")))
}

// appendConf adds settings to postgresql.conf, where the last one counts; ALTER SYSTEM still goes over them.
func (s *Server) appendConf(conf map[string]string) (err error) {
	f, err := os.OpenFile(filepath.Join(s.DataDir, "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	for _, name := range slices.Sorted(maps.Keys(conf)) {
		value := strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(conf[name])
		if _, err := fmt.Fprintf(f, "%s = '%s'\n", name, value); err != nil {
			return err
		}
	}
	return nil
}

// writeHBA puts the superuser's socket before the lines asked for. The socket's folder is closed to other users, so
// trust is as good as a password there.
func (s *Server) writeHBA(lines []string) error {
	if lines == nil {
		lines = []string{"host all all all scram-sha-256"}
	}
	own := []string{"local all " + s.Superuser + " trust", "local replication " + s.Superuser + " trust"}
	text := strings.Join(append(own, lines...), "\n") + "\n"
	return writeFile(filepath.Join(s.DataDir, "pg_hba.conf"), []byte(text))
}

// serve runs the server on a free port until it says that it is ready.
func (s *Server) serve(ctx context.Context) (err error) {
	argv := func(port int) []string {
		return []string{filepath.Join(s.bin, "postgres"), "-D", s.DataDir, "-p", strconv.Itoa(port)}
	}
	s.Port, err = s.process.serve(ctx, argv, s.ready, "could not create any TCP/IP sockets")
	return err
}

// ready reads the eighth line of postmaster.pid, which is where the server tells pg_ctl: "starting", "stopping",
// "ready" or "standby" (a recovery that does not yet answer queries).
func (s *Server) ready() bool {
	text, err := os.ReadFile(filepath.Join(s.dir, s.pidFile))
	lines := strings.Split(string(text), "\n")
	return err == nil && len(lines) >= 8 && strings.TrimSpace(lines[7]) == "ready"
}

// Connect logs in over TCP as a test's client would; with TLS fully verified where the server has TLS. The caller
// closes the connection.
func (s *Server) Connect(ctx context.Context, user, password, database string) (*pgx.Conn, error) {
	config, err := s.config(user, password, database)
	if err != nil {
		return nil, err
	}
	config.Host = s.Host
	config.TLSConfig = s.tlsConfig()
	return pgx.ConnectConfig(ctx, config)
}

// Admin logs in as the superuser over the private socket, whatever pg_hba.conf says. What it sends does not get into
// the log, so that the log shows what the code under test made the server write. The caller closes the connection.
func (s *Server) Admin(ctx context.Context, database string) (*pgx.Conn, error) {
	config, err := s.config(s.Superuser, "", database)
	if err != nil {
		return nil, err
	}
	config.Host = s.SocketDir
	config.RuntimeParams["log_statement"] = "none"
	config.RuntimeParams["log_min_error_statement"] = "panic"
	return pgx.ConnectConfig(ctx, config)
}

// config is a connection without TLS and without the PG* variables of the environment.
func (s *Server) config(user, password, database string) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig("host=" + s.Host + " sslmode=disable passfile=/dev/null")
	if err != nil {
		return nil, fmt.Errorf("connection settings: %w", err)
	}
	config.Port = uint16(s.Port)
	config.User, config.Password, config.Database = user, password, database
	config.Fallbacks, config.TLSConfig = nil, nil
	config.RuntimeParams = map[string]string{"application_name": "dbserver"}
	return config, nil
}

// Exec runs statements as the superuser in the database postgres, one after the other, unlogged (see Admin).
func (s *Server) Exec(ctx context.Context, statements ...string) (err error) {
	conn, err := s.Admin(ctx, "postgres")
	if err != nil {
		return fmt.Errorf("superuser: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	for i, sql := range statements {
		if _, err := conn.PgConn().Exec(ctx, sql).ReadAll(); err != nil {
			return fmt.Errorf("statement %d of the superuser: %w", i+1, err) // its text can hold a password
		}
	}
	return nil
}

// NewRole makes a role with a random name and password. Attributes are those of CREATE ROLE: "LOGIN", "LOGIN
// CREATEROLE".
func (s *Server) NewRole(t testing.TB, attributes string) (name, password string) {
	t.Helper()
	name, password = "role_"+randomHex(6), randomHex(12)
	if err := s.Exec(t.Context(), "CREATE ROLE "+name+" "+attributes+" PASSWORD '"+s.stored(password)+"'"); err != nil {
		t.Fatalf("new role: %v", err)
	}
	return name, password
}

// NewDatabase makes a database with a random name that belongs to a role; "" is the superuser.
func (s *Server) NewDatabase(t testing.TB, owner string) string {
	t.Helper()
	name := "db_" + randomHex(6)
	sql := "CREATE DATABASE " + name
	if owner != "" {
		sql += " OWNER " + pgx.Identifier{owner}.Sanitize()
	}
	if err := s.Exec(t.Context(), sql); err != nil {
		t.Fatalf("new database: %v", err)
	}
	return name
}

// initdbOptions make a small data folder (1 MB of log to copy, not 16) whose superuser has no password yet.
func initdbOptions() []string {
	return []string{"-U", "postgres", "-A", "trust", "--no-sync", "--locale=C", "-E", "UTF8", "--wal-segsize=1"}
}

// initdb makes the data folder dir.
func initdb(ctx context.Context, bin, dir string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), append(initdbOptions(), "-D", dir)...)
	cmd.Dir, cmd.Env, cmd.SysProcAttr = filepath.Dir(dir), serverEnv(), asServerUser()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, logTail(out))
	}
	return nil
}

// Restart ends every session and the server, and starts it again on the same port. It returns when the server is ready.
func (s *Server) Restart(ctx context.Context) error {
	if err := s.end(); err != nil {
		return fmt.Errorf("restart: %w", err)
	}
	if err := s.start([]string{filepath.Join(s.bin, "postgres"), "-D", s.DataDir, "-p", strconv.Itoa(s.Port)},
		serverEnv()); err != nil {
		return fmt.Errorf("restart: %w", err)
	}
	return s.await(ctx, s.ready)
}

func postgresTemplate(bin string, major int) template {
	return template{
		name:    "postgres-" + strconv.Itoa(major),
		binary:  filepath.Join(bin, "postgres"),
		options: initdbOptions(),
		make:    func(ctx context.Context, dir string) error { return initdb(ctx, bin, dir) },
	}
}
