package postgres

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/internal/enginetest"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
)

// engine is patient: a slow machine is no reason to fail.
func engine() Engine {
	return Engine{DialTimeout: time.Minute, HandshakeTimeout: time.Minute, LoginTimeout: time.Minute,
		StatementTimeout: time.Minute}
}

// impatient meets servers that never answer.
func impatient(limit time.Duration) Engine {
	return Engine{DialTimeout: time.Minute, HandshakeTimeout: limit, LoginTimeout: limit, StatementTimeout: limit}
}

// onEachMajor runs a test on every version that is to work.
func onEachMajor(t *testing.T, test func(t *testing.T, s server)) {
	onThese(t, dbserver.MajorsInTier(t), test)
}

func onThese(t *testing.T, majors []int, test func(t *testing.T, s server)) {
	t.Parallel()
	for _, major := range majors {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			t.Parallel()
			test(t, server{dbserver.Postgres(t, major)})
		})
	}
}

type server struct{ *dbserver.Server }

func (s server) login(user, password string) strategies.Login {
	return strategies.Login{Host: s.Host, Port: s.Port, Database: "postgres", User: user,
		Password: secret.NewPassword(password), TLS: strategies.TLS{Disabled: true}}
}

func (s server) superuser() strategies.Login { return s.login(s.Superuser, s.Password) }

// master makes what RDS calls a superuser: a role that may create roles and is no
// superuser. As of 16 it is given ADMIN OPTION on the roles named.
func (s server) master(t *testing.T, roles ...string) strategies.Login {
	t.Helper()
	name, password := s.NewRole(t, "LOGIN CREATEROLE CREATEDB")
	for _, r := range roles {
		if s.Major >= 16 {
			s.run(t, fmt.Sprintf("GRANT %s TO %s WITH ADMIN OPTION, INHERIT FALSE, SET FALSE", quoteIdent(r), name))
		}
	}
	return s.login(name, password)
}

// run is for set-up: as the superuser, unlogged.
func (s server) run(t *testing.T, statements ...string) {
	t.Helper()
	if err := s.Exec(t.Context(), statements...); err != nil {
		t.Fatal(err)
	}
}

// ask gives the one value that a query answers with.
func (s server) ask(t *testing.T, sql string, args ...any) string {
	t.Helper()
	conn, err := s.Admin(t.Context(), "postgres")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	var answer *string
	if err := conn.QueryRow(t.Context(), sql, args...).Scan(&answer); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	if answer == nil {
		return "NULL"
	}
	return *answer
}

// until asks until the answer is what is wanted, for a minute at the most.
func (s server) until(t *testing.T, sql, want string, args ...any) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); s.ask(t, sql, args...) != want; {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not %s within a minute", sql, want)
		}
	}
}

// as runs statements the way a client of an account does, one by one.
func (s server) as(t *testing.T, who strategies.Login, statements ...string) error {
	t.Helper()
	conn, err := s.Connect(t.Context(), who.User, who.Password.Reveal(), who.Database)
	if err != nil {
		return err
	}
	defer conn.Close(context.Background())
	for _, sql := range statements {
		if _, err := conn.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
	return nil
}

// everything is what the catalogue says of all roles: a failure must leave it alone.
func (s server) everything(t *testing.T, like string) string {
	return s.ask(t, `SELECT string_agg(x, E'\n' ORDER BY x) FROM (
  SELECT a::text FROM pg_authid a WHERE rolname LIKE $1
  UNION ALL SELECT m.roleid::regrole || '>' || m.member::regrole FROM pg_auth_members m JOIN pg_authid a ON a.oid = m.member WHERE a.rolname LIKE $1
  UNION ALL SELECT s.setrole::regrole || s.setconfig::text FROM pg_db_role_setting s JOIN pg_authid a ON a.oid = s.setrole WHERE a.rolname LIKE $1) AS all_of_it(x)`, like)
}

// password makes one that appears nowhere else, so that it can be searched for.
func password() secret.Password { return secret.NewPassword("canary-" + rand.Text()) }

// The helpers that the tests of the engines share, under the names that they have here.
var (
	ok           = enginetest.OK
	wants        = enginetest.Wants
	differs      = enginetest.Differs
	with         = enginetest.With
	withPassword = enginetest.WithPassword
)

// listen is a server of the test's own.
func listen(t *testing.T, serve func(net.Conn)) strategies.Login {
	t.Helper()
	return strategies.Login{Host: "127.0.0.1", Port: enginetest.Listen(t, serve), Database: "postgres",
		User: "app", Password: password()}
}

// bossOf makes a role that may change another's password.
func (s server) bossOf(t *testing.T, attribute, role string) (string, secret.Password) {
	t.Helper()
	name, pw := s.NewRole(t, "LOGIN "+attribute)
	if s.Major >= 16 {
		s.run(t, fmt.Sprintf("GRANT %s TO %s WITH ADMIN OPTION, INHERIT FALSE, SET FALSE", quoteIdent(role), name))
	}
	return name, secret.NewPassword(pw)
}
