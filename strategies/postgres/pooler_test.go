package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
	"github.com/quarterturn-dev/quarterturn/testutil/rotationtest"
)

// pooled is PgBouncer before a server with app, which owns nothing, and a superuser.
type pooled struct {
	server
	app, boss strategies.Login // at PgBouncer
}

func newPooled(t *testing.T, mode string, asks bool) pooled {
	s := server{dbserver.Postgres(t, dbserver.Majors()[len(dbserver.Majors())-1])}
	app, appPw := s.NewRole(t, "LOGIN")
	boss := s.superuser()
	o := dbserver.PgBouncerOptions{Mode: mode}
	if !asks {
		o.AuthFile = map[string]string{app: appPw, boss.User: boss.Password.Reveal()}
	}
	b := dbserver.NewPgBouncer(t, s.Server, o)
	at := func(l strategies.Login) strategies.Login {
		l.Host, l.Port = b.Host, b.Port
		return l
	}
	return pooled{s, at(s.login(app, appPw)), at(boss)}
}

// document is the secret of a login.
func document(login strategies.Login, more ...string) secret.Document {
	d := secret.Document{}.Set("engine", "postgres").Set("host", login.Host).Set("port",
		fmt.Sprint(login.Port)).Set("dbname", login.Database).
		Set("username", login.User).Set("ssl", "false").SetPassword(login.Password)
	for i := 0; i+1 < len(more); i += 2 {
		d = d.Set(more[i], more[i+1])
	}
	return d
}

// bossARN is where the superuser's secret is.
const bossARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:boss-a1b2c3"

// rotate is a whole rotation of app's secret, by a strategy. It gives the service too.
func (p pooled) rotate(t *testing.T, strategy rotator.Strategy, more ...string) (*rotationtest.Service, error) {
	t.Helper()
	return rotationtest.Rotate(t, strategy, document(p.app, append(more, "masterarn", bossARN)...), document(p.boss))
}

func poolModes() []string { return []string{"session", "transaction", "statement"} }

// A pooler has a login of its own: one that it lets in proves nothing, nor does one that it
// refuses, and nothing is changed through it. The rotation stops before anything is
// written, in every mode, however the pooler knows passwords.
func TestAPoolerStopsTheRotation(t *testing.T) {
	t.Parallel()
	for _, mode := range poolModes() {
		for _, asks := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, auth_query %t", mode, asks), func(t *testing.T) {
				t.Parallel()
				p := newPooled(t, mode, asks)
				before := p.everything(t, p.app.User+"%")
				for name, strategy := range map[string]rotator.Strategy{
					"single":      strategies.SingleUser{Engine: engine()},
					"superuser":   strategies.SingleUser{Engine: engine(), ThroughSuperuser: true},
					"alternating": strategies.AlternatingUsers{Engine: engine()},
				} {
					service, err := p.rotate(t, strategy)
					wants(t, err, rotator.KindMisconfigured, "[T3 failed]", "pooler", "the database's own endpoint")
					if d := service.ValueAt(rotator.LabelPending); !d.IsZero() {
						t.Errorf("%s: a pending value was stored", name)
					}
				}
				for name, err := range map[string]error{
					"ping":         engine().Ping(t.Context(), p.app),
					"wrong":        engine().Ping(t.Context(), withPassword(p.app, password())),
					"set password": engine().SetPassword(t.Context(), p.app, p.app.User, password()),
					"as superuser": engine().SetPassword(t.Context(), p.boss, p.app.User, password()),
					"ensure clone": engine().EnsureClone(t.Context(), p.boss,
						strategies.Pair{Original: p.app.User, Clone: p.app.User + "_clone", Target: p.app.User +
							"_clone"}, password()),
				} {
					var login rotator.LoginError
					if wants(t, err, rotator.KindMisconfigured, "pooler"); !errors.As(err, &login) {
						t.Errorf("%s: the value is blamed: %v", name, err)
					}
				}
				if after := p.everything(t, p.app.User+"%"); after != before {
					t.Errorf("changed from\n%s\nto\n%s", before, after)
				}
			})
		}
	}
}

// TestAnAnswerThatIsBrokenOff: on a busy machine, PgBouncer's error is in the midst of a row.
func TestAnAnswerThatIsBrokenOff(t *testing.T) {
	refused, err := (&pgproto3.ErrorResponse{Severity: "FATAL", Code: "08P01",
		Message: "transaction blocks not allowed in statement pooling mode"}).Encode(nil)
	ok(t, err)
	for _, row := range []string{"", "D\x00\x00\x00", "D\x00\x00\x00\x20\x00\x01\x00\x00", "D\x00\x00\x02\x00\x00\x01\x00"} {
		for _, r := range []io.Reader{bytes.NewReader(append([]byte(row), refused...)),
			io.MultiReader(strings.NewReader(row), bytes.NewReader(refused))} {
			f := pgproto3.NewFrontend(&poolerReader{Reader: r}, nil)
			var err error
			for err == nil {
				_, err = f.Receive()
			}
			err = wrapError(t.Context(), strategies.Login{}, operation{action: "looking"}, err)
			wants(t, err, rotator.KindMisconfigured, "looking", "statement pooling", "the database's own endpoint")
			var login rotator.LoginError
			if !errors.As(err, &login) {
				t.Errorf("%v is not of the login", err)
			}
		}
	}
	row, err := (&pgproto3.DataRow{Values: [][]byte{[]byte("C08P01M" + noTransactions)}}).Encode(nil)
	ok(t, err)
	f := pgproto3.NewFrontend(&poolerReader{Reader: bytes.NewReader(row)}, nil)
	if _, err := f.Receive(); err != nil {
		t.Errorf("a row of such words: %v", err)
	}
}

// Where the secret says that the pooler has the database judge logins, and it does, the
// rotation goes through it: in session and transaction mode.
func TestAPoolerThatForwardsLogins(t *testing.T) {
	t.Parallel()
	for _, mode := range poolModes() {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			for name, strategy := range map[string]rotator.Strategy{
				"single": strategies.SingleUser{Engine: engine()}, "superuser": strategies.SingleUser{Engine: engine(),
					ThroughSuperuser: true},
				"alternating": strategies.AlternatingUsers{Engine: engine()},
			} {
				p := newPooled(t, mode, true)
				ok(t, p.as(t, p.direct(p.app), "SELECT 1")) // and connections of the old password are in the pool
				service, err := p.rotate(t, strategy, "poolerForwardsLogins", "true")
				if mode == "statement" {
					wants(t, err, rotator.KindMisconfigured, "[T3 failed]", "statement pooling")
					continue
				}
				if err != nil {
					t.Errorf("%s: %v\n%s", name, err, service.Output())
					continue
				}
				now := service.ValueAt(rotator.LabelCurrent)
				login := p.app
				login.User, login.Password, login.PoolerForwardsLogins = now.Text("username"), now.Password(), true
				ok(t, engine().Ping(t.Context(), login))
				ok(t, engine().Ping(t.Context(), p.direct(login)))
				wants(t, engine().Ping(t.Context(), withPassword(login, password())), rotator.KindLoginRejected)
				if name != "alternating" {
					old := p.app
					old.PoolerForwardsLogins = true
					wants(t, engine().Ping(t.Context(), old), rotator.KindLoginRejected)
				}
			}
		})
	}
}

// A pooler that has the database judge logins, and cannot log in there itself, says nothing of the secret: its host and
// its port stay.
func TestAPoolerThatCannotLogIn(t *testing.T) {
	t.Parallel()
	s := server{dbserver.Postgres(t, dbserver.Majors()[0])}
	app, pw := s.NewRole(t, "LOGIN")
	asks := &dbserver.Server{Endpoint: s.Endpoint, Superuser: s.Superuser, Password: "another"}
	b := dbserver.NewPgBouncer(t, asks, dbserver.PgBouncerOptions{Mode: "transaction"})
	login := s.login(app, pw)
	login.Port, login.PoolerForwardsLogins = b.Port, true
	var err error
	for range 60 { // those that come before its first failure are kept waiting
		err = impatient(time.Second).Ping(t.Context(), login)
		if !strings.Contains(fmt.Sprint(err), "did not respond") {
			break
		}
	}
	wants(t, err, rotator.KindUnreachable, "server login has been failing", "pooler", "see its log", "auth_user",
		"auth_file", "Leave host and port")
	waited := wrapError(t.Context(), login, operation{phase: beginning}, &pgconn.PgError{Severity: "FATAL", Code: "08P01",
		Message: "query_wait_timeout"})
	for _, err := range []error{err, waited} {
		if strings.Contains(err.Error(), "endpoint") || !strings.Contains(err.Error(), poolerItself) ||
			!rotator.Retryable(err) {
			t.Errorf("%v", err)
		}
		fixes := rotator.FixesOf(err)
		if len(fixes) != 1 || !strings.Contains(err.Error(), "VALID UNTIL") || !strings.Contains(err.Error(), "[databases]") {
			t.Fatalf("%v: %+v", err, fixes)
		}
		s.run(t, fixes[0].Run) // its log names the user, who may be locked or expired
	}
}

// TestAPoolerWhoseAuthQueryFails: what its auth_user lacks is in the database, and is shown there.
func TestAPoolerWhoseAuthQueryFails(t *testing.T) {
	t.Parallel()
	s := server{dbserver.Postgres(t, dbserver.Majors()[0])}
	app, pw := s.NewRole(t, "LOGIN")
	user, userPw := s.NewRole(t, "LOGIN") // which may not read pg_shadow
	asks := &dbserver.Server{Endpoint: s.Endpoint, Superuser: user, Password: userPw}
	b := dbserver.NewPgBouncer(t, asks, dbserver.PgBouncerOptions{Mode: "transaction"})
	login := s.login(app, pw)
	login.Port, login.PoolerForwardsLogins = b.Port, true
	err := engine().Ping(t.Context(), login)
	wants(t, err, rotator.KindUnreachable, "bouncer config error", "its auth_query failed", "EXECUTE on", "Leave host and port")
	fixes := rotator.FixesOf(err)
	if len(fixes) != 1 || !strings.Contains(fixes[0].For, `"postgres"`) {
		t.Fatalf("%+v", fixes)
	}
	s.run(t, fmt.Sprintf("CREATE SCHEMA s_%s; CREATE FUNCTION s_%[1]s.f_%[1]s() RETURNS int LANGUAGE sql AS 'SELECT 1'; "+
		"REVOKE EXECUTE ON FUNCTION s_%[1]s.f_%[1]s() FROM PUBLIC", user))
	query := strings.NewReplacer(trusted, "", "AUTH_USER", user, "FUNCTION", "f_"+user).Replace(fixes[0].Run)
	if row := s.ask(t, "SELECT concat_ws(' ', may_execute, may_use_schema, may_connect) FROM ("+query+") AS s"); row != "f f t" {
		t.Errorf("it shows %s", row)
	}
}

// TestAUserThatThePoolerHasAnOlderPasswordOf: a line of its auth_file comes before auth_query. The pooler rejects the
// new password, and by the old one it cannot log in at the database, as this user: both answers name the line.
func TestAUserThatThePoolerHasAnOlderPasswordOf(t *testing.T) {
	t.Parallel()
	s := server{dbserver.Postgres(t, dbserver.Majors()[0])}
	app, old := s.NewRole(t, "LOGIN")
	b := dbserver.NewPgBouncer(t, s.Server, dbserver.PgBouncerOptions{Mode: "transaction",
		Static: map[string]string{app: old}})
	login := s.login(app, old)
	login.Port, login.PoolerForwardsLogins = b.Port, true
	p := password()
	ok(t, engine().SetPassword(t.Context(), s.login(app, old), app, p))
	line := fmt.Sprintf("a line for user %q itself, which comes before auth_query", app)
	wants(t, engine().Ping(t.Context(), withPassword(login, p)), rotator.KindLoginRejected, "did not accept the password",
		line, "remove it, reload the pooler, run status again")
	// By the old one, the pooler lets the client wait while it tries again, or answers so, by its server_login_retry.
	err := wrapError(t.Context(), login, operation{phase: loggingIn, proved: true}, &pgconn.PgError{Severity: "FATAL",
		Code: "08P01", Message: "server login has been failing, try again later (server_login_retry)"})
	wants(t, err, rotator.KindUnreachable, "server login has been failing", line, "remove it, reload the pooler")
	waited := wrapError(t.Context(), login, operation{phase: loggingIn, proved: true}, context.DeadlineExceeded)
	wants(t, waited, rotator.KindUnreachable, "did not respond to the login", "paused (SHOW DATABASES and RESUME in "+
		"its console)", line)
}

// TestStatusLeavesNothingInASession: a pooler in transaction mode hands the session on to a client, who would look in
// another schema for its tables. The other users of the pool have sessions of their own.
func TestStatusLeavesNothingInASession(t *testing.T) {
	t.Parallel()
	p := newPooled(t, "transaction", true)
	p.app.PoolerForwardsLogins = true
	conn, err := pgx.Connect(t.Context(), fmt.Sprintf("postgres://%s:%s@%s:%d/%s?sslmode=disable&"+
		"default_query_exec_mode=simple_protocol", p.app.User, p.app.Password.Reveal(), p.app.Host, p.app.Port, p.app.Database))
	ok(t, err)
	defer conn.Close(context.Background())
	session := func() (pid int, path string) {
		t.Helper()
		ok(t, conn.QueryRow(t.Context(), "SELECT pg_catalog.pg_backend_pid(), pg_catalog.current_setting('search_path')").Scan(&pid,
			&path))
		return pid, path
	}
	pid, before := session()
	_, err = engine().TestUse(t.Context(), p.app)
	ok(t, err)
	again, after := session()
	if pid != again || before != after {
		t.Errorf("session %d has search_path %q, and session %d had %q", again, after, pid, before)
	}
}

func (p pooled) direct(login strategies.Login) strategies.Login {
	login.Host, login.Port = p.Host, p.Port
	return login
}

// TestTheProxyProtocol: a server takes what a load balancer says first for a message of PostgreSQL's, and hangs up.
func TestTheProxyProtocol(t *testing.T) {
	t.Parallel()
	s := server{dbserver.Postgres(t, dbserver.Majors()[0])}
	login := listen(t, func(client net.Conn) {
		up, err := s.Dial(t.Context())
		if err != nil {
			return
		}
		defer up.Close()
		io.WriteString(up, "PROXY TCP4 127.0.0.1 127.0.0.1 1 1\r\n")
		go io.Copy(up, client)
		io.Copy(client, up)
	})
	for _, login.TLS.Disabled = range []bool{false, true} {
		wants(t, engine().Ping(t.Context(), login), rotator.KindUnreachable, "PROXY protocol", "turn it off",
			"invalid length of startup packet")
	}
}

// HAProxy in TCP mode carries what the server says: it is no pooler.
func TestAProxyThatCarriesBytesIsNoPooler(t *testing.T) {
	t.Parallel()
	s := server{dbserver.Postgres(t, dbserver.Majors()[0])}
	app, pw := s.NewRole(t, "LOGIN")
	h := dbserver.NewHAProxy(t, s.Address())
	login, boss := s.login(app, pw), s.superuser()
	login.Port, boss.Port = h.Port, h.Port
	p := pooled{s, login, boss}
	for name, strategy := range map[string]rotator.Strategy{
		"single": strategies.SingleUser{Engine: engine()}, "alternating": strategies.AlternatingUsers{Engine: engine()},
	} {
		service, err := p.rotate(t, strategy)
		if err != nil || !strings.Contains(service.Output(), "T3  []") {
			t.Errorf("%s: %v\n%s", name, err, service.Output())
		}
		now := service.ValueAt(rotator.LabelCurrent)
		p.app.User, p.app.Password = now.Text("username"), now.Password()
	}
}
