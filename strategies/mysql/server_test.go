package mysql

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

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

// onEach runs a test on every server, MySQL and MariaDB.
func onEach(t *testing.T, test func(t *testing.T, s server)) {
	onThese(t, dbserver.MySQLsInTier(t), test)
}

func onThese(t *testing.T, names []string, test func(t *testing.T, s server)) {
	t.Parallel()
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, server{dbserver.MySQL(t, name)})
		})
	}
}

// onOwnMariaDB runs a test on a server of its own of each MariaDB.
func onOwnMariaDB(t *testing.T, conf map[string]string, test func(t *testing.T, s server)) {
	t.Helper()
	for _, name := range dbserver.MySQLsInTier(t) {
		if strings.HasPrefix(name, "mysql") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newServer(t, name, conf))
		})
	}
}

type server struct{ *dbserver.MySQLServer }

func (s server) login(user, password string) strategies.Login {
	return strategies.Login{Host: s.Host, Port: s.Port, User: user,
		Password: secret.NewPassword(password), TLS: strategies.TLS{Disabled: s.CAs == nil}}
}

func (s server) superuser() strategies.Login { return s.login(s.Superuser, s.Password) }

// user makes an account at any host.
func (s server) user(t *testing.T, grants ...string) strategies.Login {
	t.Helper()
	return s.login(s.NewUser(t, grants...))
}

// name is one that nobody else has.
func name() string { return "qtu_" + strings.ToLower(rand.Text()[:10]) }

// run is for set-up: as the superuser, unlogged.
func (s server) run(t *testing.T, statements ...string) {
	t.Helper()
	if err := s.Exec(t.Context(), statements...); err != nil {
		t.Fatalf("%v\n%s", err, strings.Join(statements, "\n"))
	}
}

// ask gives the first column of what a query answers with, line by line.
func (s server) ask(t *testing.T, sql string) string {
	t.Helper()
	db, err := s.Admin(t.Context())
	ok(t, err)
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), sql)
	ok(t, err)
	defer rows.Close()
	var lines []string
	for rows.Next() {
		var line *string
		ok(t, rows.Scan(&line))
		if line == nil {
			line = new(string)
		}
		lines = append(lines, *line)
	}
	ok(t, rows.Err())
	return strings.Join(lines, "\n")
}

// as runs statements the way a client of an account does, one by one.
func (s server) as(ctx context.Context, who strategies.Login, statements ...string) error {
	db, err := s.Connect(ctx, who.User, who.Password.Reveal(), who.Database)
	if err != nil {
		return err
	}
	defer db.Close()
	for _, sql := range statements {
		if _, err := db.ExecContext(ctx, sql); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
	return nil
}

// grantsOf is what SHOW GRANTS says of an account, without the names of it and its
// hash: what two accounts of a pair must have in common.
func (s server) grantsOf(t *testing.T, a account) string {
	t.Helper()
	lines := strings.Split(s.ask(t, "SHOW GRANTS FOR "+a.String()), "\n")
	found, role, err := parseGrants(lines, a)
	ok(t, err)
	var all []string
	for _, r := range found.sorted() {
		all = append(all, fmt.Sprintf("%+v", r))
	}
	return strings.Join(append(all, "default role "+role), "\n")
}

// password makes one that appears nowhere else, so that it can be searched for.
func password() secret.Password { return secret.NewPassword("Canary-7" + rand.Text() + "z") }

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
	return strategies.Login{Host: "127.0.0.1", Port: enginetest.Listen(t, serve), User: "app", Password: password()}
}

// newServer is one with settings of its own.
func newServer(t *testing.T, name string, conf map[string]string) server {
	t.Helper()
	return server{dbserver.NewMySQL(t, dbserver.MySQLOptions{Name: name, Conf: conf})}
}

// texts joins warnings.
func texts(all []strategies.Warning) string {
	var b strings.Builder
	for _, w := range all {
		b.WriteString(w.Text + "; ")
	}
	return b.String()
}
