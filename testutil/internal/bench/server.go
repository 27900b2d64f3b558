package bench

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/quarterturn-dev/quarterturn/strategies"
	engine "github.com/quarterturn-dev/quarterturn/strategies/mysql"
	"github.com/quarterturn-dev/quarterturn/strategies/postgres"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
)

// server is a throwaway database with TLS, and what a plain driver does to it.
type server struct {
	kind, title string // of secrets; for people
	dbserver.Endpoint
	caFile string
	roots  *x509.CertPool
	engine strategies.CloningEngine
	exec   func(ctx context.Context, sql ...string) error
	stop   func() error

	// The bare side: a plain login, the statement that changes a password, and the one
	// that ours rehearses it by, which may end in an error.
	open     func(ctx context.Context, port int, user, password string) (conn, error)
	change   func(user, password string) string
	rehearse func(user, password string) string
	users    func(names map[string]string) []string
}

type conn interface {
	exec(ctx context.Context, sql string) error
	close(ctx context.Context)
}

// start starts the newest release of an engine.
func start(ctx context.Context, kind string, conf map[string]string) (*server, error) {
	name, err := dbserver.Newest(ctx, kind)
	if err != nil {
		return nil, err
	}
	if kind == "postgres" {
		return startPostgres(ctx, strings.TrimPrefix(name, "postgres-"), conf)
	}
	return startMySQL(ctx, kind, name, conf)
}

func startPostgres(ctx context.Context, release string, conf map[string]string) (*server, error) {
	major, err := strconv.Atoi(release)
	if err != nil {
		return nil, err
	}
	s, err := dbserver.StartPostgres(ctx,
		dbserver.Options{Major: major, TLS: &dbserver.TLS{}, HBA: []string{"hostssl all all all scram-sha-256"},
			Conf: conf})
	if err != nil {
		return nil, err
	}
	return &server{
		kind: "postgres", title: fmt.Sprintf("PostgreSQL %d", s.Major), Endpoint: s.Endpoint, caFile: s.CAFile,
		roots: s.CAs, engine: postgres.Engine{Roots: s.CAs}, exec: s.Exec, stop: s.Close,
		open: func(ctx context.Context, port int, user, password string) (conn, error) {
			config, err := pgconn.ParseConfig(fmt.Sprintf("host=127.0.0.1 port=%d dbname=postgres sslmode=disable",
				port))
			if err != nil {
				return nil, err
			}
			config.User, config.Password, config.TLSConfig = user, password,
				&tls.Config{RootCAs: s.CAs, ServerName: "127.0.0.1"}
			c, err := pgconn.ConnectConfig(ctx, config)
			return postgresConn{c}, err
		},
		change: func(user, password string) string { return "ALTER ROLE " + user + " PASSWORD '" + password + "'" },
		rehearse: func(user, password string) string {
			return "BEGIN; ALTER ROLE " + user + " PASSWORD '" + sample + "'; ROLLBACK"
		},
		users: func(names map[string]string) (sql []string) {
			for user, password := range names {
				rights := " LOGIN"
				if strings.HasPrefix(user, "boss") {
					rights = " LOGIN CREATEROLE"
				}
				sql = append(sql, "CREATE ROLE "+user+rights+" PASSWORD '"+password+"'")
			}
			for user := range names {
				if !strings.HasPrefix(user, "boss") {
					sql = append(sql, "GRANT "+user+" TO boss"+strings.TrimLeft(user, "abcdefghijklmnopqrstuvwxyz")+
						" WITH ADMIN OPTION")
				}
			}
			return sql
		},
	}, nil
}

// sample is the form of a verifier: a rehearsal computes none.
const sample = "SCRAM-SHA-256$4096:AAAAAAAAAAAAAAAAAAAAAA==$" +
	"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

type postgresConn struct{ *pgconn.PgConn }

func (c postgresConn) exec(ctx context.Context, sql string) error {
	_, err := c.Exec(ctx, sql).ReadAll()
	return err
}

func (c postgresConn) close(ctx context.Context) { c.Close(ctx) }

func startMySQL(ctx context.Context, kind, name string, conf map[string]string) (*server, error) {
	s, err := dbserver.StartMySQL(ctx,
		dbserver.MySQLOptions{Name: name, TLS: &dbserver.TLS{Names: []string{"127.0.0.1"}}, Conf: conf})
	if err != nil {
		return nil, err
	}
	db := &server{
		kind: kind, Endpoint: s.Endpoint, caFile: s.CAFile, roots: s.CAs, exec: s.Exec, stop: s.Close,
		open: func(ctx context.Context, port int, user, password string) (conn, error) {
			config := mysql.NewConfig()
			config.Net, config.Addr, config.User, config.Passwd = "tcp", fmt.Sprintf("127.0.0.1:%d", port), user,
				password
			config.TLS = &tls.Config{RootCAs: s.CAs, ServerName: "127.0.0.1"}
			config.Logger = new(mysql.NopLogger)
			connector, err := mysql.NewConnector(config)
			if err != nil {
				return nil, err
			}
			c, err := connector.Connect(ctx)
			return mysqlConn{c}, err
		},
		users: func(names map[string]string) (sql []string) {
			for user, password := range names {
				sql = append(sql, "CREATE USER '"+user+"'@'%' IDENTIFIED BY '"+password+"'")
				if strings.HasPrefix(user, "boss") {
					sql = append(sql, "GRANT CREATE USER ON *.* TO '"+user+"'@'%'",
						"GRANT SELECT, UPDATE ON mysql.* TO '"+user+"'@'%'")
				}
			}
			return sql
		},
	}
	if kind == "mysql" {
		db.title, db.engine = "MySQL "+s.Version, engine.Engine{Roots: s.CAs}
		db.change = func(user, password string) string {
			return "ALTER USER '" + user + "'@'%' IDENTIFIED BY '" + password + "'"
		}
		db.rehearse = func(user, password string) string { return db.change(user, password) + " REPLACE 'x'" }
		return db, nil
	}
	version, _, _ := strings.Cut(s.Version, "-")
	db.title, db.engine = "MariaDB "+version, engine.MariaDB{Roots: s.CAs}
	db.change = func(user, password string) string {
		return "SET PASSWORD FOR '" + user + "'@'%' = PASSWORD('" + password + "')"
	}
	db.rehearse = func(user, _ string) string { return "SET PASSWORD FOR '" + user + "'@'%' = 'x'" }
	return db, nil
}

type mysqlConn struct{ driver.Conn }

func (c mysqlConn) exec(ctx context.Context, sql string) error {
	_, err := c.Conn.(driver.ExecerContext).ExecContext(ctx, sql, nil)
	return err
}

func (c mysqlConn) close(context.Context) { c.Close() }

// pair is an application's user and its superuser, made for one measurement.
type pair struct{ app, boss string }

func (s *server) pair(ctx context.Context, id int) (pair, map[string]string, error) {
	p := pair{fmt.Sprintf("app%d", id), fmt.Sprintf("boss%d", id)}
	passwords := map[string]string{p.app: "Aa1-" + rand.Text(), p.boss: "Aa1-" + rand.Text()}
	return p, passwords, s.exec(ctx, s.users(passwords)...)
}

// secret is the JSON of a user's secret, reached by way of port.
func (s *server) secret(port int, user, password, superuserARN string) string {
	text, _ := json.Marshal(struct { // strings and a number cannot fail
		Engine    string `json:"engine"`
		Host      string `json:"host"`
		Port      int    `json:"port"`
		Username  string `json:"username"`
		Password  string `json:"password"`
		Superuser string `json:"masterarn,omitempty"`
	}{s.kind, "127.0.0.1", port, user, password, superuserARN})
	return string(text)
}
