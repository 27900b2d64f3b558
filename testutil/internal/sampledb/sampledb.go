// Package sampledb starts the throwaway database of a demonstration: the newest server of an engine, with an
// application's user, app, and a superuser, boss.
package sampledb

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
)

// Database is a throwaway server with an application's user and a superuser in the
// sense of RDS: one who may manage accounts and nothing more.
type Database struct {
	Title, Engine string
	dbserver.Endpoint
	CAFile    string
	Passwords map[string]string // of app, boss and Administrator

	Administrator string // the server's own superuser

	Login  func(ctx context.Context, user, password string) error
	Exec   func(ctx context.Context, sql ...string) error // as the server's own superuser
	Log    func() string
	Logins func() int // of the function
	Close  func() error

	client []string // that came with the server
}

// Engines are those that Start knows.
func Engines() []string { return []string{"postgres", "mysql", "mariadb", "valkey", "redis"} }

// Start starts the newest release of an engine (postgres, mysql, mariadb, valkey or redis), or the one that is named
// (mariadb-10.5). dual has the user be allowed two passwords.
func Start(ctx context.Context, engine string, dual bool) (*Database, error) {
	family, release, _ := strings.Cut(engine, "-")
	if !slices.Contains(Engines(), family) {
		return nil, fmt.Errorf("there is no engine %q: %s", engine, strings.Join(Engines(), ", "))
	}
	if release == "" {
		var err error
		if engine, err = dbserver.Newest(ctx, family); err != nil {
			return nil, err
		}
		_, release, _ = strings.Cut(engine, "-")
	}
	if family == "valkey" || family == "redis" {
		return startValkey(ctx, engine)
	}
	if family == "postgres" {
		return startPostgres(ctx, release)
	}
	return startMySQL(ctx, family, engine, dual)
}

func startPostgres(ctx context.Context, release string) (*Database, error) {
	major, err := strconv.Atoi(release)
	if err != nil {
		return nil, fmt.Errorf("postgres-%s is not a major version: postgres-17", release)
	}
	s, err := dbserver.StartPostgres(ctx, dbserver.Options{Major: major, TLS: &dbserver.TLS{},
		HBA: []string{"hostssl all all all scram-sha-256"}})
	if err != nil {
		return nil, err
	}
	db := &Database{
		Administrator: s.Superuser, Passwords: map[string]string{s.Superuser: s.Password},
		Title: fmt.Sprintf("PostgreSQL %d", s.Major), Engine: "postgres", Endpoint: s.Endpoint, CAFile: s.CAFile,
		Exec: s.Exec, Log: s.Log, Close: s.Close,
		Logins: func() int { return strings.Count(s.Log(), "application_name=quarterturn") },
		Login: func(ctx context.Context, user, password string) error {
			conn, err := s.Connect(ctx, user, password, "postgres")
			if err == nil {
				conn.Close(ctx)
			}
			return err
		},
	}
	return db.people(ctx, func(app, boss string) []string {
		return []string{
			"CREATE ROLE boss LOGIN CREATEROLE PASSWORD '" + boss + "'",
			"CREATE ROLE app LOGIN PASSWORD '" + app + "'",
			"GRANT app TO boss WITH ADMIN OPTION",
			"CREATE TABLE orders (id int)",
			"ALTER TABLE orders OWNER TO app",
		}
	})
}

func startMySQL(ctx context.Context, family, name string, dual bool) (*Database, error) {
	s, err := dbserver.StartMySQL(ctx, dbserver.MySQLOptions{Name: name,
		TLS: &dbserver.TLS{Names: []string{"127.0.0.1"}}, Conf: map[string]string{"require-secure-transport": "ON"}})
	if err != nil {
		return nil, err
	}
	general := func() string {
		text, err := s.GeneralLog(ctx)
		if err != nil {
			return "the general log cannot be read: " + err.Error()
		}
		return text
	}
	db := &Database{
		Administrator: s.Superuser, Passwords: map[string]string{s.Superuser: s.Password},
		Title: map[string]string{"mysql": "MySQL ", "mariadb": "MariaDB "}[family] + s.Version, Engine: family,
		Endpoint: s.Endpoint, CAFile: s.CAFile,
		Exec: s.Exec, Close: s.Close,
		Log: func() string {
			binary, err := s.BinaryLog(ctx)
			if err != nil {
				binary = "the binary log cannot be read: " + err.Error()
			}
			return general() + binary + s.Log()
		},
		Logins: func() int { return strings.Count(general(), "using SSL/TLS") },
		Login: func(ctx context.Context, user, password string) error {
			conn, err := s.Connect(ctx, user, password, "")
			if err == nil {
				conn.Close()
			}
			return err
		},
	}
	return db.people(ctx, func(app, boss string) []string {
		sql := []string{
			"CREATE DATABASE shop", "CREATE TABLE shop.orders (id int)",
			"CREATE USER 'app'@'%' IDENTIFIED BY '" + app + "'", "GRANT SELECT, INSERT ON shop.* TO 'app'@'%'",
			"CREATE USER 'boss'@'%' IDENTIFIED BY '" + boss + "'", "GRANT CREATE USER ON *.* TO 'boss'@'%'",
			"GRANT SELECT, UPDATE ON mysql.* TO 'boss'@'%'", "GRANT SELECT, INSERT ON shop.* TO 'boss'@'%' WITH " +
				"GRANT OPTION",
		}
		if dual {
			sql = append(sql, "GRANT APPLICATION_PASSWORD_ADMIN ON *.* TO 'app'@'%'")
		}
		return sql
	})
}

// startValkey gives the superuser what it needs to change users, and the user that too, for the
// one strategy by which it changes itself.
func startValkey(ctx context.Context, engine string) (*Database, error) {
	s, err := dbserver.StartValkey(ctx, dbserver.ValkeyOptions{Name: engine,
		TLS: &dbserver.TLS{Names: []string{"127.0.0.1"}}})
	if err != nil {
		return nil, err
	}
	sent := func() string {
		text, err := s.Commands(ctx)
		if err != nil {
			return "the slow log cannot be read: " + err.Error()
		}
		return text
	}
	db := &Database{
		Administrator: s.Superuser, Passwords: map[string]string{s.Superuser: s.Password},
		Title: engine, Engine: "valkey", Endpoint: s.Endpoint, CAFile: s.CAFile, Close: s.Close, client: s.Client(),
		Log:    func() string { return sent() + s.Log() },
		Logins: func() int { return strings.Count(sent(), "HELLO 2 AUTH") },
		Login:  func(ctx context.Context, user, password string) error { return s.As(ctx, user, password) },
		Exec: func(ctx context.Context, commands ...string) error {
			var all [][]string
			for _, c := range commands {
				all = append(all, strings.Fields(c))
			}
			return s.Exec(ctx, append(all, []string{"ACL", "SAVE"})...)
		},
	}
	const rights = " +acl +config|get +config|rewrite +info +multi +exec +discard"
	hash := func(password string) string { return fmt.Sprintf("#%x", sha256.Sum256([]byte(password))) }
	return db.people(ctx, func(app, boss string) []string {
		return []string{
			"ACL SETUSER boss on " + hash(boss) + rights,
			"ACL SETUSER app on " + hash(app) + " ~orders:* +@read +@write" + rights,
		}
	})
}

// people makes the two users.
func (db *Database) people(ctx context.Context, sql func(app, boss string) []string) (*Database, error) {
	db.Passwords["app"], db.Passwords["boss"] = rand.Text(), rand.Text()
	if err := db.Exec(ctx, sql(db.Passwords["app"], db.Passwords["boss"])...); err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

// SetPassword is what a superuser does by hand.
func (db *Database) SetPassword(ctx context.Context, user, password string) error {
	switch db.Engine {
	case "valkey":
		return db.Exec(ctx, fmt.Sprintf("ACL SETUSER %s resetpass #%x", user, sha256.Sum256([]byte(password))))
	case "postgres":
		return db.Exec(ctx, "ALTER ROLE "+user+" PASSWORD '"+password+"'")
	}
	return db.Exec(ctx, "ALTER USER '"+user+"'@'%' IDENTIFIED BY '"+password+"'")
}

// Secret is the JSON of an account's secret.
func (db *Database) Secret(user, superuserARN string) string {
	text, _ := json.Marshal(struct { // strings and a number cannot fail
		Engine    string `json:"engine"`
		Host      string `json:"host"`
		Port      int    `json:"port"`
		Username  string `json:"username"`
		Password  string `json:"password"`
		Superuser string `json:"masterarn,omitempty"`
	}{db.Engine, db.Host, db.Port, user, db.Passwords[user], superuserARN})
	return string(text)
}

// SelfChangeEnv is what a function needs so that app may change its own password: on Valkey that is power over every
// user, and has to be allowed.
func (db *Database) SelfChangeEnv() []string {
	if db.Engine == "valkey" {
		return []string{"VALKEY_SELF_CHANGE=true"}
	}
	return nil
}

// LoginCommand logs in to the server as a user whose password the shell has in PASSWORD, by a client that is there: of
// the machine, or one that came with the server. Where none is, it says which package has one.
func (db *Database) LoginCommand(user string) string {
	fill := fmt.Sprintf
	switch db.Engine {
	case "valkey":
		client := strings.Join(db.client, " ")
		for _, name := range []string{"redis-cli", "valkey-cli"} {
			if _, err := exec.LookPath(name); err == nil {
				client = name
			}
		}
		if client == "" { // the server takes lines of words, too
			return fill("(printf 'AUTH %s %%s\\r\\n' \"$PASSWORD\"; cat) | openssl s_client -quiet "+
				"-verify_return_error -connect %s:%d -CAfile %s", user, db.Host, db.Port, db.CAFile)
		}
		return fill("REDISCLI_AUTH=$PASSWORD %s -h %s -p %d --user %s --tls --cacert %s",
			client, db.Host, db.Port, user, db.CAFile)
	case "postgres":
		return fill("PGPASSWORD=$PASSWORD psql \"host=%s port=%d user=%s dbname=postgres sslmode=verify-full "+
			"sslrootcert=%s\"", db.Host, db.Port, user, db.CAFile) + missing("psql", "postgresql-client")
	}
	return fill("MYSQL_PWD=$PASSWORD mysql --host=%s --port=%d --user=%s --ssl-ca=%s", db.Host, db.Port, user,
		db.CAFile) + missing("mysql", "mariadb-client")
}

// missing is a remark on a client that is not there.
func missing(client, pkg string) string {
	if _, err := exec.LookPath(client); err == nil {
		return ""
	}
	return fmt.Sprintf("  # %s is not on this machine: Debian has it in %s", client, pkg)
}
