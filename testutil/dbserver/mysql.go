package dbserver

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/quarterturn-dev/quarterturn/testutil/internal/disk"
)

// MySQLOptions describe a MySQL or MariaDB server of one's own. The zero value is MySQL 9.7 without TLS.
type MySQLOptions struct {
	// Name is one of MySQLs: "mysql-9.7", "mariadb-10.11". Empty is the first.
	Name string
	// TLS turns TLS on. Without it the server offers none, not even by a certificate that it makes for itself.
	TLS *TLS
	// Conf is settings of the server's option file, over those of this package: {"require_secure_transport": "ON",
	// "plugin-load-add": "simple_password_check"}.
	Conf map[string]string
	// Log, where not nil, is told in one line which server runs where.
	Log io.Writer

	like Identity // of another server, whose names and authority it has
}

// MySQLServer is a running MySQL or MariaDB server. Its general log holds every statement of every client, and its
// binary log every statement that changes something, as the server writes them (MySQL puts <secret> in the place of a
// password, unless Conf has "log-raw": "ON"; MariaDB does not): what a test has to search for secrets. Only what is
// sent through Admin, Exec, NewUser and NewDatabase is in neither, but for their logins.
//
// Measured: it starts in 0.1 s (MariaDB) or 0.4 s (MySQL, which takes 1 s to stop); the very first of a release, which
// makes the template of the data folder, in 0.5 s or 2.8 s.
//
// Host names are not resolved (skip-name-resolve): an account that is to log in over TCP is at '127.0.0.1' or '%', and
// 'localhost' is the socket.
type MySQLServer struct {
	Name    string // mysql-9.7
	Version string // as the server says it: 10.11.18-MariaDB-0+deb12u1-log
	MariaDB bool
	Endpoint
	Socket    string
	Superuser string // admin, at any host, with all privileges; root@localhost is for Admin
	Password  string // of Superuser

	Identity

	*process
	binaries mysqlBinaries
}

// MySQLs is the names of the servers that tests run on: those that Fetch brings, oldest first of each kind, then those
// that QUARTERTURN_MYSQL_SERVERS gives: servers that somebody else runs, for the releases that cannot be had here
// (MySQL 8.0 and 8.4), as name=user:password@host:port, separated by spaces:
//
//	QUARTERTURN_MYSQL_SERVERS="mysql-8.4=root:password@127.0.0.1:3306 mysql-8.0=root:password@127.0.0.1:3307"
//
// The account must be allowed everything, over TCP without TLS; tests make users and databases with random names there
// and drop them again. Tests that need a server of their own are skipped. GeneralLog needs log_output to include TABLE
// and general_log to be ON. Unverified: no test of this project has run on MySQL 8.0 or 8.4.
func MySQLs() []string {
	var names []string
	for _, r := range mysqlReleases {
		names = append(names, r.name)
	}
	for _, e := range externalServers() {
		names = append(names, e.name)
	}
	return names
}

// MySQL is the server of that name that all tests of this process share; every test makes users and databases of its
// own on it (NewUser, NewDatabase). It lives until the process ends.
func MySQL(t testing.TB, name string) *MySQLServer {
	t.Helper()
	e, elsewhere := externalOf(name)
	if !elsewhere {
		e = external{name: name}
	}
	return sharedMySQL.get(t, e, func(ctx context.Context) (*MySQLServer, error) {
		if elsewhere {
			return e.reach(ctx)
		}
		return StartMySQL(ctx, MySQLOptions{Name: name})
	})
}

var sharedMySQL shared[external, *MySQLServer]

// NewMySQL is a server for one test, closed at its end.
func NewMySQL(t testing.TB, o MySQLOptions) *MySQLServer {
	t.Helper()
	return own(t, func(ctx context.Context) (*MySQLServer, error) { return StartMySQL(ctx, o) })
}

// StartMySQL starts a server, for whoever has no testing.TB: TestMain, a demo. The context bounds the start only. The
// caller closes the server; if it dies before, the server ends all the same. The error wraps ErrMissing when there are
// no binaries; when the server does not start it ends with the server's last words.
func StartMySQL(ctx context.Context, o MySQLOptions) (*MySQLServer, error) {
	begin := time.Now()
	if o.Name == "" {
		o.Name = mysqlReleases[0].name
	}
	if _, ok := externalOf(o.Name); ok {
		return nil, fmt.Errorf("%s of one's own: %w: %s names one that others run", title(o.Name), ErrMissing,
			externalVariable)
	}
	b, err := findMySQL(ctx, o.Name)
	if err != nil {
		return nil, err
	}
	s, err := newMySQL(b, o.Name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", title(o.Name), err)
	}
	if err := s.setUp(ctx, o); err != nil {
		return nil, s.abandon(err)
	}
	if o.Log != nil {
		fmt.Fprintf(o.Log, "%s (%s) from %s is ready on %s:%d after %v\n", title(s.Name), s.Version, b.daemon, s.Host,
			s.Port, time.Since(begin).Round(time.Millisecond))
	}
	return s, nil
}

// generalLog is the server's record of all statements, relative to its folder.
const generalLog = "general.log"

// newMySQL makes the folder of a server.
func newMySQL(b mysqlBinaries, name string) (*MySQLServer, error) {
	p, err := newProcess(habits{
		name:    strings.ReplaceAll(name, ".", ""),
		pidFile: "pid",
		stop:    []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL},
		logs:    []string{generalLog},
	})
	if err != nil {
		return nil, err
	}
	return &MySQLServer{
		Name: name, Version: b.version, MariaDB: mariaDB(name),
		Endpoint: Endpoint{Host: "127.0.0.1"}, Socket: filepath.Join(p.dir, "socket"), Superuser: "admin",
		process: p, binaries: b,
	}, nil
}

// setUp fills the data folder, starts the server and gives the accounts of the superuser a password.
func (s *MySQLServer) setUp(ctx context.Context, o MySQLOptions) error {
	if err := mysqlTemplate(s.binaries, s.Name).copyTo(ctx, s.dataDir()); err != nil {
		return err
	}
	conf := s.baseConf()
	if o.TLS != nil {
		id, err := o.TLS.install(s.dir)
		if err != nil {
			return err
		}
		s.Identity = id
	} else if o.like.issuer != nil {
		s.Identity = o.like
		if err := s.renew(s.dir, true); err != nil {
			return err
		}
	}
	if s.issuer != nil {
		s.confTLS(conf)
	}
	maps.Copy(conf, o.Conf)
	if err := s.writeConf(conf); err != nil {
		return err
	}
	if err := s.serve(ctx); err != nil {
		return err
	}
	if conf["skip-grant-tables"] == "ON" {
		return nil // MariaDB then lets in whoever comes, and knows no accounts
	}
	password := goodPassword()
	err := s.Exec(ctx,
		"CREATE USER "+s.Superuser+"@'%' IDENTIFIED BY '"+password+"'",
		"GRANT ALL ON *.* TO "+s.Superuser+"@'%' WITH GRANT OPTION",
		"ALTER USER root@localhost IDENTIFIED BY '"+password+"'")
	s.Password = password
	return err
}

// goodPassword has one of each of the kinds of characters that the servers' password policies ask for.
func goodPassword() string { return "Aa1-" + randomHex(12) }

// abandon closes a server that did not start, and adds its last words to the reason.
func (s *MySQLServer) abandon(err error) error {
	closing := s.Close()
	err = fmt.Errorf("%s: %w\n%s", title(s.Name), err, logTail([]byte(s.Log())))
	return errors.Join(disk.Full(err, s.dir, title(s.Name), serverGigabytes), closing)
}

func (s *MySQLServer) dataDir() string { return filepath.Join(s.dir, "data") }

// baseConf is the settings of a server that is quick, small, forgets everything and logs everything.
func (s *MySQLServer) baseConf() map[string]string {
	conf := map[string]string{
		"bind-address":                   s.Host,
		"socket":                         s.Socket,
		"datadir":                        s.dataDir(),
		"tmpdir":                         s.dir,
		"pid-file":                       filepath.Join(s.dir, s.pidFile),
		"skip-name-resolve":              "ON",
		"max-connections":                "100",
		"table-open-cache":               "200",
		"key-buffer-size":                "1M",
		"innodb-flush-log-at-trx-commit": "0",
		"innodb-fast-shutdown":           "2",
		"server-id":                      "1",
		"log-bin":                        filepath.Join(s.dataDir(), "binlog"),
		"binlog-format":                  "MIXED", // statements, where they are safe
		"sync-binlog":                    "0",
		"log-output":                     "FILE",
		"general-log":                    "ON",
		"general-log-file":               filepath.Join(s.dir, generalLog),
	}
	if s.MariaDB {
		maps.Copy(conf, map[string]string{"ssl": "OFF", "aria-pagecache-buffer-size": "2M"})
	} else {
		maps.Copy(conf, map[string]string{
			"tls-version": "", "auto-generate-certs": "OFF",
			// Measured: 150 MB of memory in place of 220.
			"innodb-log-buffer-size": "1M", "temptable-max-ram": "2M", "table-definition-cache": "400",
		})
	}
	for _, option := range append(s.binaries.where(), smallFiles(s.MariaDB)...) {
		name, value, _ := strings.Cut(strings.TrimPrefix(option, "--"), "=")
		conf[name] = value
	}
	return conf
}

func (s *MySQLServer) confTLS(conf map[string]string) {
	if s.MariaDB {
		conf["ssl"] = "ON"
	} else {
		delete(conf, "tls-version")
	}
	conf["ssl-ca"] = filepath.Join(s.dir, "authority.crt")
	conf["ssl-cert"] = filepath.Join(s.dir, "server.crt")
	conf["ssl-key"] = filepath.Join(s.dir, "server.key")
}

func (s *MySQLServer) confFile() string { return filepath.Join(s.dir, "my.cnf") }

// writeConf writes the option file. Dashes and underscores are the same to the server, so they must be to Conf: the
// last one of a name would count, but not the one that the caller means.
func (s *MySQLServer) writeConf(conf map[string]string) error {
	text := "[mysqld]\n"
	for _, name := range slices.Sorted(maps.Keys(conf)) {
		if dashed := strings.ReplaceAll(name, "_", "-"); dashed != name {
			conf[dashed] = conf[name]
			delete(conf, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(conf)) {
		text += fmt.Sprintf("%s = \"%s\"\n", name, strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(conf[name]))
	}
	return writeFile(s.confFile(), []byte(text))
}

// serve runs the server on a free port until it says that it is ready.
func (s *MySQLServer) serve(ctx context.Context) (err error) {
	argv := func(port int) []string {
		return s.binaries.argv("--defaults-file="+s.confFile(), "--port="+strconv.Itoa(port))
	}
	s.Port, err = s.process.serve(ctx, argv, s.ready, portTaken)
	return err
}

// portTaken is in the log of a server that cannot have its port.
const portTaken = "Bind on TCP/IP port"

// readyText is what servers of both kinds log last, each time they start.
const readyText = ": ready for connections."

func (s *MySQLServer) ready() bool { return strings.Contains(s.Log(), readyText) }

// Restart ends every session and the server, and starts it again on the same port. It returns when the server is ready.
func (s *MySQLServer) Restart(ctx context.Context) error {
	if err := s.end(); err != nil {
		return fmt.Errorf("restart: %w", err)
	}
	said := strings.Count(s.Log(), readyText)
	if err := s.start(s.binaries.argv("--defaults-file="+s.confFile(), "--port="+strconv.Itoa(s.Port)),
		serverEnv()); err != nil {
		return fmt.Errorf("restart: %w", err)
	}
	return s.await(ctx, func() bool { return strings.Count(s.Log(), readyText) > said })
}

// Connect logs in over TCP as a test's client would; with TLS fully verified where the server has TLS. What it answers
// is one session, open already: a DB of one connection. The caller closes it.
func (s *MySQLServer) Connect(ctx context.Context, user, password, database string) (*sql.DB, error) {
	config := s.config(user, password, database)
	config.TLS = s.tlsConfig()
	return session(ctx, config)
}

// Admin logs in as a superuser over the server's socket. What it sends gets into neither the general nor the binary
// log, so that these show what the code under test made the server write. What it answers is one session, as by
// Connect.
func (s *MySQLServer) Admin(ctx context.Context) (*sql.DB, error) {
	config := s.config(s.Superuser, s.Password, "")
	if s.Socket != "" {
		config.Net, config.Addr, config.User = "unix", s.Socket, "root"
	}
	config.Params = map[string]string{"sql_log_off": "1", "sql_log_bin": "0"}
	return session(ctx, config)
}

func (s *MySQLServer) config(user, password, database string) *mysql.Config {
	config := mysql.NewConfig()
	config.Net, config.Addr = "tcp", s.Address()
	config.User, config.Passwd, config.DBName = user, password, database
	config.Logger = quiet{} // what matters is in the error
	return config
}

// quiet is a log of the driver that says nothing.
type quiet struct{}

func (quiet) Print(...any) {}

// session opens the one connection of a DB.
func session(ctx context.Context, config *mysql.Config) (*sql.DB, error) {
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(1)
	err = db.PingContext(ctx)
	for tries := 3; errors.Is(err, mysql.ErrMalformPkt) && tries > 0; tries-- {
		// Version 1.10.1 of the driver drops the last byte of ed25519's challenge when it is zero, which it is in one
		// login of 256; the next challenge is another.
		err = db.PingContext(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// Exec runs statements as the superuser, one after the other, unlogged (see Admin).
func (s *MySQLServer) Exec(ctx context.Context, statements ...string) (err error) {
	db, err := s.Admin(ctx)
	if err != nil {
		return fmt.Errorf("superuser: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	for i, sql := range statements {
		if _, err := db.ExecContext(ctx, sql); err != nil {
			return fmt.Errorf("statement %d of the superuser: %w", i+1, err) // its text can hold a password
		}
	}
	return nil
}

// NewUser makes an account at any host with a random name and password. Grants are what stands between GRANT and TO:
// "SELECT ON db.*", "CREATE USER ON *.*".
func (s *MySQLServer) NewUser(t testing.TB, grants ...string) (name, password string) {
	t.Helper()
	name, password = "user_"+randomHex(6), goodPassword()
	statements := []string{"CREATE USER " + name + "@'%' IDENTIFIED BY '" + password + "'"}
	for _, grant := range grants {
		statements = append(statements, "GRANT "+grant+" TO "+name+"@'%'")
	}
	s.make(t, "DROP USER IF EXISTS "+name+"@'%'", statements...)
	return name, password
}

// NewDatabase makes a database with a random name.
func (s *MySQLServer) NewDatabase(t testing.TB) string {
	t.Helper()
	name := "db_" + randomHex(6)
	s.make(t, "DROP DATABASE IF EXISTS "+name, "CREATE DATABASE "+name)
	return name
}

// make runs statements, and takes back what they did where the server goes on without us.
func (s *MySQLServer) make(t testing.TB, undo string, statements ...string) {
	t.Helper()
	if s.process == nil {
		t.Cleanup(func() {
			if err := s.Exec(context.WithoutCancel(t.Context()), undo); err != nil {
				t.Errorf("clean up: %v", err)
			}
		})
	}
	if err := s.Exec(t.Context(), statements...); err != nil {
		t.Fatalf("%s: %v", strings.Join(strings.Fields(statements[0])[:2], " "), err)
	}
}

// GeneralLog is every statement of every client that is not Admin, as the server wrote it. It works after Close.
func (s *MySQLServer) GeneralLog(ctx context.Context) (string, error) {
	if s.process == nil {
		return s.generalTable(ctx)
	}
	return s.log(generalLog), nil
}

// BinaryLog is what the server has written to its binary log, one event a line: statements, and before them what they
// depend on.
func (s *MySQLServer) BinaryLog(ctx context.Context) (log string, err error) {
	db, err := s.Admin(ctx)
	if err != nil {
		return "", fmt.Errorf("binary log: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	files, err := texts(ctx, db, "SHOW BINARY LOGS", 0)
	if err != nil {
		return "", fmt.Errorf("binary log: %w", err)
	}
	for _, file := range files {
		events, err := texts(ctx, db, "SHOW BINLOG EVENTS IN '"+file+"'", 5) // Info
		if err != nil {
			return "", fmt.Errorf("binary log: %w", err)
		}
		log += strings.Join(events, "\n") + "\n"
	}
	return log, nil
}

// texts is one column of what a query answers.
func texts(ctx context.Context, db *sql.DB, query string, column int) (values []string, err error) {
	columns, rows, err := mysqlTable(ctx, db, query)
	if err != nil {
		return nil, err
	}
	if column >= len(columns) {
		return nil, fmt.Errorf("%d columns", len(columns))
	}
	for _, row := range rows {
		values = append(values, row[column])
	}
	return values, nil
}
