package postgres

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
	"github.com/quarterturn-dev/quarterturn/testutil/rotationtest"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

func TestTraits(t *testing.T) {
	t.Parallel()
	tr := Engine{}.Traits()
	if tr.Name != "PostgreSQL" || tr.Port != 5432 || tr.CloneSuffix != "_clone" || tr.MaxUserBytes != 63 || len(tr.Engines) != 2 || tr.ExcludeCharacters != `:/@"'\` {
		t.Errorf("%+v", tr)
	}
}

// TestTLS is one server and what verification makes of it.
func TestTLS(t *testing.T) {
	t.Parallel()
	s := server{dbserver.NewPostgres(t,
		dbserver.Options{TLS: &dbserver.TLS{Names: []string{"db.quarterturn.test", "127.0.0.1"}},
			HBA: []string{"hostssl all all all scram-sha-256"}})}
	app, pw := s.NewRole(t, "LOGIN")
	login := with(s.login(app, pw), func(l *strategies.Login) { l.TLS.Disabled = false })
	trusting := engine()
	trusting.Roots = s.CAs
	ok(t, trusting.Ping(t.Context(), login)) // an address, by the certificate's IP
	ok(t, trusting.Ping(t.Context(),
		with(login, func(l *strategies.Login) { l.TLS.ServerName = "db.quarterturn.test" })))

	wants(t, engine().Ping(t.Context(), login), rotator.KindTLS, "authority", "Amazon RDS")
	wants(t, trusting.Ping(t.Context(), with(login, func(l *strategies.Login) { l.Host = "localhost" })),
		rotator.KindTLS, "not for localhost", "tlsServerName")
	wants(t, trusting.Ping(t.Context(), with(login, func(l *strategies.Login) { l.TLS.ServerName = "other.test" })),
		rotator.KindTLS, "not for other.test")
	wants(t, trusting.Ping(t.Context(), with(login, func(l *strategies.Login) { l.TLS.Disabled = true })), rotator.KindTLS, `remove "ssl": false`)
	wants(t, trusting.Ping(t.Context(), with(login, func(l *strategies.Login) { l.Password = password() })),
		rotator.KindLoginRejected)

	if log := s.Log(); strings.Contains(log, "SSL off") && !strings.Contains(log, "no encryption") {
		t.Error("a connection without TLS was tried where the secret did not ask for one")
	}
}

func TestTLSExpired(t *testing.T) {
	t.Parallel()
	s := server{dbserver.NewPostgres(t, dbserver.Options{TLS: &dbserver.TLS{Expired: true}})}
	e := engine()
	e.Roots = s.CAs
	login := with(s.superuser(), func(l *strategies.Login) { l.TLS.Disabled = false })
	wants(t, e.Ping(t.Context(), login), rotator.KindTLS, "expired")
}

// TestMinimumTLS: a server that knows nothing newer than TLS 1.1 is refused.
func TestMinimumTLS(t *testing.T) {
	t.Parallel()
	login := listen(t, func(c net.Conn) {
		io.ReadFull(c, make([]byte, 8))
		c.Write([]byte("S"))
		c.Read(make([]byte, 4096))
		c.Write([]byte{21, 3, 1, 0, 2, 2, 70}) // alert: protocol version
	})
	wants(t, engine().Ping(t.Context(), login), rotator.KindTLS, "TLS 1.2")
}

// TestRoots: nil means the authorities of Amazon RDS, and not the machine's.
func TestRoots(t *testing.T) {
	t.Parallel()
	s := server{dbserver.NewPostgres(t, dbserver.Options{TLS: &dbserver.TLS{}})}
	e := engine()
	e.Roots = x509.NewCertPool()
	login := with(s.superuser(), func(l *strategies.Login) { l.TLS.Disabled = false })
	wants(t, e.Ping(t.Context(), login), rotator.KindTLS, "authority")
}

// TestLoginFailures: each has a kind and a sentence of its own, in all methods.
func TestLoginFailures(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		app, pw := s.NewRole(t, "LOGIN")
		login := s.login(app, pw)
		locked, lockedPw := s.NewRole(t, "NOLOGIN")
		expired, expiredPw := s.NewRole(t, "LOGIN VALID UNTIL '2020-01-01'")
		full, fullPw := s.NewRole(t, "LOGIN CONNECTION LIMIT 0")
		fullDB, closedDB, privateDB := s.NewDatabase(t, ""), s.NewDatabase(t, ""), s.NewDatabase(t, "")
		s.run(t, "ALTER DATABASE "+fullDB+" CONNECTION LIMIT 0", "ALTER DATABASE "+closedDB+" ALLOW_CONNECTIONS false",
			"REVOKE CONNECT ON DATABASE "+privateDB+" FROM public")
		in := func(db string) strategies.Login {
			return with(login, func(l *strategies.Login) { l.Database = db })
		}
		for name, c := range map[string]struct {
			as    strategies.Login
			kind  rotator.Kind
			words []string
		}{
			"wrong password": {s.login(app, "wrong"), rotator.KindLoginRejected,
				[]string{app, "did not accept the password", "VALID UNTIL"}},
			"unknown user": {s.login("role_nobody", "x"), rotator.KindLoginRejected,
				[]string{"role_nobody", "does not exist"}},
			"expired":            {s.login(expired, expiredPw), rotator.KindLoginRejected, []string{"VALID UNTIL"}},
			"locked":             {s.login(locked, lockedPw), rotator.KindPrivilege, []string{`ALTER ROLE "` + locked + `" LOGIN`}},
			"role is full":       {s.login(full, fullPw), rotator.KindTooManyConnections, []string{full}},
			"database is full":   {in(fullDB), rotator.KindTooManyConnections, []string{fullDB}},
			"database is closed": {in(closedDB), rotator.KindPrivilege, []string{closedDB, "ALLOW_CONNECTIONS"}},
			"no such database":   {in("db_none"), rotator.KindMisconfigured, []string{`no database "db_none"`, "dbname"}},
			"may not connect":    {in(privateDB), rotator.KindPrivilege, []string{`GRANT CONNECT ON DATABASE "` + privateDB + `" TO "` + app + `"`}},
			"no TLS": {with(login, func(l *strategies.Login) { l.TLS.Disabled = false }), rotator.KindTLS,
				[]string{"does not offer TLS"}},
			"no such host": {with(login, func(l *strategies.Login) { l.Host = "nowhere.invalid" }),
				rotator.KindUnreachable, []string{"nowhere.invalid"}},
			"closed port": {with(login, func(l *strategies.Login) { l.Port = dbserver.ClosedPort(t) }),
				rotator.KindUnreachable, []string{"refused the connection"}},
			"no port": {with(login, func(l *strategies.Login) { l.Port = 0 }), rotator.KindMisconfigured,
				[]string{"port"}},
			"no host": {with(login, func(l *strategies.Login) { l.Host = "" }), rotator.KindMisconfigured,
				[]string{"host"}},
			"long user":       {s.login(strings.Repeat("u", 64), pw), rotator.KindMisconfigured, []string{"63"}},
			"long database":   {in(strings.Repeat("d", 64)), rotator.KindMisconfigured, []string{"63"}},
			"NUL in user":     {s.login(app+"\x00database\x00x", pw), rotator.KindMisconfigured, []string{"NUL"}},
			"NUL in password": {s.login(app, pw+"\x00"), rotator.KindMisconfigured, []string{"NUL"}},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				pair := strategies.Pair{Original: "role_x", Clone: "role_y", Target: "role_y"}
				for _, err := range []error{
					engine().Ping(t.Context(), c.as),
					engine().SetPassword(t.Context(), c.as, app, password()),
					engine().EnsureClone(t.Context(), c.as, pair, password()),
				} {
					wants(t, err, c.kind, c.words...)
				}
			})
		}
		ok(t, engine().Ping(t.Context(), login))
		for name, as := range map[string]strategies.Login{"locked": s.login(locked, lockedPw), "role is full": s.login(full, fullPw),
			"database is full": in(fullDB), "database is closed": in(closedDB), "no such database": in("db_none"), "may not connect": in(privateDB)} {
			judged(t, name, as)
		}
		for name, as := range map[string]strategies.Login{"wrong password": s.login(app, "wrong"), "unknown user": s.login("role_nobody", "x"),
			"closed port": with(login, func(l *strategies.Login) { l.Port = dbserver.ClosedPort(t) })} {
			if err := engine().Ping(t.Context(), as); errors.As(err, new(rotator.AcceptedPassword)) {
				t.Errorf("%s: %v counts as an accepted password", name, err)
			}
		}
	})
}

// judged checks that a login which the server ends counts as one of an accepted password, and with another password as
// a rejected one.
func judged(t *testing.T, name string, as strategies.Login) {
	t.Helper()
	if err := engine().Ping(t.Context(), as); err == nil || !errors.As(err, new(rotator.AcceptedPassword)) {
		t.Errorf("%s: %v does not count as an accepted password", name, err)
	}
	as.Password = password()
	if err := engine().Ping(t.Context(), as); !errors.Is(err, rotator.KindLoginRejected) || errors.As(err, new(rotator.AcceptedPassword)) {
		t.Errorf("%s, with another password: %v", name, err)
	}
}

// TestAPasswordIsProvedInAnotherDatabase: where the owner of a database keeps statements in it from an end, it is the
// password that counts, for clients of other databases have it, too.
func TestAPasswordIsProvedInAnotherDatabase(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		app, pw := s.NewRole(t, "LOGIN")
		db := "held_" + app
		s.run(t, "CREATE DATABASE "+db)
		hold, err := s.Admin(t.Context(), db)
		ok(t, err)
		defer hold.Close(context.Background())
		for _, sql := range []string{"BEGIN", "LOCK TABLE pg_catalog.pg_proc IN ACCESS EXCLUSIVE MODE"} {
			_, err := hold.Exec(t.Context(), sql)
			ok(t, err)
		}
		as := s.login(app, pw)
		as.Database = db
		impatient := engine()
		impatient.StatementTimeout = 300 * time.Millisecond
		if err := impatient.Ping(t.Context(), as); err == nil || !errors.As(err, new(rotator.AcceptedPassword)) {
			t.Errorf("%v does not count as an accepted password", err)
		}
		as.Password = password()
		if err := impatient.Ping(t.Context(), as); !errors.Is(err, rotator.KindLoginRejected) ||
			errors.As(err, new(rotator.AcceptedPassword)) {
			t.Errorf("with another password: %v", err)
		}
	})
}

// TestALimitIsRaisedForWhomItShows: what holds the connections comes first, of a role and of a database, and no line
// takes a limit away.
func TestALimitIsRaisedForWhomItShows(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		app, pw := s.NewRole(t, "LOGIN")
		login := s.login(app, pw)
		login.Database = s.NewDatabase(t, "")
		for _, of := range []string{"DATABASE " + login.Database, "ROLE " + app} {
			holder, err := s.Connect(t.Context(), app, pw, login.Database)
			ok(t, err)
			defer holder.Close(context.Background())
			s.run(t, "ALTER "+of+" CONNECTION LIMIT 1")
			err = engine().Ping(t.Context(), login)
			wants(t, err, rotator.KindTooManyConnections, "CONNECTION LIMIT N", "what holds them")
			fixes := rotator.FixesOf(err)
			_, name, _ := strings.Cut(of, " ")
			held := strconv.Itoa(int(holder.PgConn().PID()))
			if len(fixes) != 2 || !strings.Contains(s.ask(t, "SELECT string_agg(pids::text, '') FROM ("+
				strings.TrimPrefix(fixes[0].Run, trusted)+") AS x (name) WHERE name = '"+name+"'"), held) {
				t.Fatalf("%s: to be run: %+v", of, fixes)
			}
			if s.Exec(t.Context(), fixes[1].Run) == nil {
				t.Errorf("%s is taken as it stands", fixes[1].Run)
			}
			s.run(t, strings.ReplaceAll(fixes[1].Run, " N", " 50"))
			ok(t, engine().Ping(t.Context(), login))
			ok(t, holder.Close(t.Context()))
		}
	})
}

// TestSilence: whoever goes silent, and whenever, holds nobody past the limit.
func TestSilence(t *testing.T) {
	t.Parallel()
	mute := func(c net.Conn) { io.Copy(io.Discard, c) }
	sayThenMute := func(b ...byte) func(net.Conn) {
		return func(c net.Conn) {
			c.Read(make([]byte, 1024))
			c.Write(b)
			mute(c)
		}
	}
	for name, c := range map[string]struct {
		serve func(net.Conn)
		off   bool
		words string
	}{
		"at once":              {mute, false, "a server that hangs or whose machine is stopped"},
		"in the TLS handshake": {sayThenMute('S'), false, "TLS handshake"},
		"at once, without TLS": {mute, true, "a server that hangs or whose machine is stopped"},
		"in the login": {sayThenMute('R', 0, 0, 0, 12, 0, 0, 0, 5, 1, 2, 3, 4), true,
			"respond to the login"},
		"in the middle of a word":  {sayThenMute('R', 0, 0), true, "respond to the login"},
		"after a hang-up":          {func(net.Conn) {}, true, "closed the connection"},
		"after a hang-up with TLS": {func(net.Conn) {}, false, "closed the connection"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			login := listen(t, c.serve)
			login.TLS.Disabled = c.off
			tier.Patiently(t, func(limit time.Duration) error {
				return differs(impatient(limit).Ping(t.Context(), login), rotator.KindUnreachable, c.words)
			})
			// The context bounds a call as the limits do.
			tier.Patiently(t, func(limit time.Duration) error {
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				defer cancel()
				return differs(engine().SetPassword(ctx, login, "app", password()), rotator.KindUnreachable)
			})
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(50*time.Millisecond, cancel)
			if err := engine().Ping(ctx, login); err == nil {
				t.Error("a cancelled call succeeded")
			}
		})
	}
}

// TestSilentStatement: a proxy that goes deaf once the login is through.
func TestSilentStatement(t *testing.T) {
	t.Parallel()
	s := server{dbserver.NewPostgres(t, dbserver.Options{})}
	app, pw := s.NewRole(t, "LOGIN")
	login := listen(t, func(client net.Conn) {
		up, err := s.Dial(t.Context())
		if err != nil {
			return
		}
		defer up.Close()
		go io.Copy(client, up)
		buf := make([]byte, 4096)
		for {
			n, err := client.Read(buf)
			if err != nil {
				return
			}
			if buf[0] == 'P' || buf[0] == 'Q' { // a statement
				io.Copy(io.Discard, client)
				return
			}
			up.Write(buf[:n])
		}
	})
	login.User, login.Password, login.TLS.Disabled = app, secret.NewPassword(pw), true
	tier.Patiently(t, func(limit time.Duration) error {
		e := engine()
		e.StatementTimeout = limit
		if wrong := differs(e.Ping(t.Context(), login), rotator.KindUnreachable, "no response from the server within "+
			limit.String()); wrong != nil {
			return wrong
		}
		return differs(e.SetPassword(t.Context(), login, app, password()), rotator.KindUnreachable,
			"no response from the server")
	})
	tier.Patiently(t, func(limit time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		return differs(engine().Ping(ctx, login), rotator.KindUnreachable)
	})
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	connections := make(chan struct{}, 9)
	login := listen(t, func(net.Conn) { connections <- struct{}{} })
	pair := strategies.Pair{Original: "a", Clone: "b", Target: "b"}
	wants(t, engine().Ping(ctx, login), rotator.KindDeadline)
	wants(t, engine().SetPassword(ctx, login, "a", password()), rotator.KindDeadline)
	wants(t, engine().EnsureClone(ctx, login, pair, password()), rotator.KindDeadline)
	if len(connections) != 0 {
		t.Error("a cancelled call went to the network")
	}
}

// TestMethods: what servers may ask of us, and what they may not.
func TestMethods(t *testing.T) {
	t.Parallel()
	role := func(t *testing.T, s server) strategies.Login {
		name, pw := s.NewRole(t, "LOGIN")
		return s.login(name, pw)
	}
	t.Run("trust proves nothing", func(t *testing.T) {
		t.Parallel()
		s := server{dbserver.NewPostgres(t, dbserver.Options{HBA: []string{"host all all all trust"},
			TLS: &dbserver.TLS{}})}
		wants(t, engine().Ping(t.Context(), role(t, s)), rotator.KindMisconfigured, "trust", "verifies nothing")
		wants(t, engine().Ping(t.Context(), s.login(s.Superuser, "wrong")), rotator.KindMisconfigured, "trust")
		e := engine()
		e.Roots = s.CAs
		login := with(role(t, s), func(l *strategies.Login) { l.TLS.Disabled = false })
		wants(t, e.Ping(t.Context(), login), rotator.KindMisconfigured, "trust")
	})
	// A login for which the server wants something else than a password is no refused one, and the sentence says what.
	for name, c := range map[string]struct {
		hba   string
		ca    bool // the server can check client certificates
		kind  rotator.Kind
		words []string
	}{
		"cert, no authority": {"hostssl all all all cert", false, rotator.KindMisconfigured,
			[]string{"client certificate", "F0000"}},
		"cert": {"hostssl all all all cert", true, rotator.KindMisconfigured,
			[]string{"client certificate", "28000"}},
		"SCRAM and certificate": {"hostssl all all all scram-sha-256 clientcert=verify-full", true,
			rotator.KindMisconfigured, []string{"client certificate", "28000"}},
		"trust with certificate": {"hostssl all all all trust clientcert=verify-full", true, rotator.KindMisconfigured,
			[]string{"client certificate", "28000"}},
		"ident": {"host all all all ident", false, rotator.KindPrivilege,
			[]string{"another system", "Ident authentication failed"}},
		"RADIUS": {"host all all all radius radiusservers=127.0.0.1 radiussecrets=x", false,
			rotator.KindPrivilege, []string{"another system", "RADIUS authentication failed"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, major := range []int{13, 18} {
				o := dbserver.Options{Major: major, HBA: []string{c.hba},
					TLS: &dbserver.TLS{Names: []string{"127.0.0.1"}}}
				if c.ca {
					o.Conf = map[string]string{"ssl_ca_file": "ca.crt"} // in the data folder
				}
				s := server{dbserver.NewPostgres(t, o)}
				e := engine()
				e.Roots = s.CAs
				login := with(role(t, s), func(l *strategies.Login) { l.TLS.Disabled = false })
				_, dryRun := e.DryRunSetPassword(t.Context(), login, login.User, password())
				for _, err := range []error{e.SetPassword(t.Context(), login, login.User, password()), dryRun} {
					wants(t, err, c.kind, append(c.words, "scram-sha-256")...)
				}
			}
		})
	}
	for name, method := range map[string]byte{"gss": 7, "sspi": 9} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			login := listen(t, func(c net.Conn) {
				c.Read(make([]byte, 1024))
				c.Write([]byte{'R', 0, 0, 0, 8, 0, 0, 0, method})
				io.Copy(io.Discard, c)
			})
			login.TLS.Disabled = true
			wants(t, engine().Ping(t.Context(), login), rotator.KindMisconfigured, "Kerberos", "scram-sha-256")
		})
	}
	t.Run("md5 with a SCRAM verifier", func(t *testing.T) {
		t.Parallel()
		s := server{dbserver.NewPostgres(t, dbserver.Options{HBA: []string{"host all all all md5"}})}
		login := role(t, s)
		ok(t, engine().SetPassword(t.Context(), login, login.User, login.Password))
		ok(t, engine().Ping(t.Context(), login))
	})
	t.Run("clear password", func(t *testing.T) {
		t.Parallel()
		s := server{dbserver.NewPostgres(t, dbserver.Options{HBA: []string{"host all all all password"},
			TLS: &dbserver.TLS{}})}
		login := role(t, s)
		wants(t, engine().Ping(t.Context(), login), rotator.KindMisconfigured, "in clear", "not sent")
		login.TLS.Disabled = false
		e := engine()
		e.Roots = s.CAs
		ok(t, e.Ping(t.Context(), login))
		ok(t, e.SetPassword(t.Context(), login, login.User, login.Password))
		ok(t, e.Ping(t.Context(), login))
		// The preflight says it of both logins.
		value := func(l strategies.Login, more string) secret.Document {
			d, err := secret.ParseDocument(fmt.Sprintf(`{"engine":"postgres","host":%q,"port":%d,"username":%q,"password":%q%s}`, l.Host, l.Port, l.User, l.Password.Reveal(), more))
			ok(t, err)
			return d
		}
		boss := with(s.superuser(), func(l *strategies.Login) { l.TLS.Disabled = false })
		r := rotator.Rotation{Current: value(login, `,"masterarn":"super"`),
			ReadPrevious: func(context.Context) (secret.Document, error) {
				return secret.Document{}, rotator.KindNotFound
			},
			ReadSecret: func(context.Context, string) (secret.Document, error) { return value(boss, ""), nil }}
		for what, strategy := range map[string]rotator.Preflighter{"single user": strategies.SingleUser{Engine: e,
			ThroughSuperuser: true}, "alternating users": strategies.AlternatingUsers{Engine: e}} {
			said := false
			for _, f := range strategy.Preflight(t.Context(), r) {
				said = said || strings.Contains(f.Detail, fmt.Sprintf("password of user %q and %q sent to it in clear",
					login.User, boss.User))
			}
			if !said {
				t.Errorf("%s: the preflight does not say that passwords were sent in clear", what)
			}
		}
	})
	t.Run("md5 hash under scram-sha-256", func(t *testing.T) {
		t.Parallel()
		s := server{dbserver.NewPostgres(t, dbserver.Options{})}
		login := role(t, s)
		s.run(t, fmt.Sprintf("SET password_encryption = 'md5'; ALTER ROLE %s PASSWORD '%s'", login.User,
			login.Password.Reveal()))
		wants(t, engine().Ping(t.Context(), login), rotator.KindLoginRejected, "md5 hash under scram-sha-256")
	})
	for name, hba := range map[string]string{"no entry": "host other all all scram-sha-256",
		"rejected": "host all all all reject"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := server{dbserver.NewPostgres(t, dbserver.Options{HBA: []string{hba}, TLS: &dbserver.TLS{}})}
			e := engine()
			e.Roots = s.CAs
			login := s.superuser()
			// the server does not say which
			wants(t, e.Ping(t.Context(), login), rotator.KindTLS, `remove "ssl": false`, "or none is for it with TLS either")
			login.TLS.Disabled = false
			err := e.Ping(t.Context(), login)
			wants(t, err, rotator.KindMisconfigured, "pg_hba.conf")
			var lines []string
			for _, fix := range rotator.FixesOf(err) {
				lines = append(lines, fix.Run)
				s.run(t, fix.Run)
			}
			if len(lines) != 2 || !strings.Contains(lines[0], "pg_hba_file_rules") || lines[1] != "SELECT pg_catalog.pg_reload_conf()" {
				t.Errorf("to be run: %q", lines)
			}
		})
	}
	t.Run("no TLS, and it is turned on as printed", func(t *testing.T) {
		t.Parallel()
		s := server{dbserver.NewPostgres(t, dbserver.Options{TLS: &dbserver.TLS{}})}
		e := engine()
		e.Roots = s.CAs
		login := s.superuser()
		login.TLS.Disabled = false
		ok(t, e.Ping(t.Context(), login))
		s.run(t, "ALTER SYSTEM SET ssl = off")
		s.run(t, "SELECT pg_reload_conf()")
		var err error
		for err == nil { // the server reads its files again between two logins
			err = e.Ping(t.Context(), login)
		}
		wants(t, err, rotator.KindTLS, "does not offer TLS")
		for _, fix := range rotator.FixesOf(err) {
			s.run(t, fix.Run)
		}
		for err != nil && t.Context().Err() == nil {
			wants(t, err, rotator.KindTLS, "does not offer TLS")
			err = e.Ping(t.Context(), login)
		}
	})
	t.Run("not PostgreSQL", func(t *testing.T) {
		t.Parallel()
		login := listen(t, func(c net.Conn) { c.Write([]byte("220 smtp ready\r\n")); io.Copy(io.Discard, c) })
		wants(t, engine().Ping(t.Context(), login), rotator.KindTLS, "does not speak PostgreSQL")
		login.TLS.Disabled = true
		wants(t, engine().Ping(t.Context(), login), rotator.KindMisconfigured, "does not speak PostgreSQL")
	})
	t.Run("an error in place of TLS", func(t *testing.T) {
		t.Parallel()
		login := listen(t, func(c net.Conn) { c.Read(make([]byte, 8)); c.Write([]byte("Ecould not fork")) })
		wants(t, engine().Ping(t.Context(), login), rotator.KindUnreachable, "cannot start a process")
	})
}

// TestClearPasswordNeverSent: a server in disguise asks for it over plaintext.
func TestClearPasswordNeverSent(t *testing.T) {
	t.Parallel()
	sent := make(chan string, 1)
	login := listen(t, func(c net.Conn) {
		buf := make([]byte, 4096)
		c.Read(buf)
		c.Write([]byte{'R', 0, 0, 0, 8, 0, 0, 0, 3})
		rest, _ := io.ReadAll(c)
		sent <- string(rest)
	})
	login.TLS.Disabled = true
	wants(t, engine().Ping(t.Context(), login), rotator.KindMisconfigured, "not sent")
	if strings.Contains(<-sent, login.Password.Reveal()) {
		t.Error("the password went over the wire in clear")
	}
}

// TestServerErrors plays errors that no throwaway server can be brought to.
func TestServerErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		code, message, routine string
		kind                   rotator.Kind
		words                  string
	}{
		{"53300", "sorry, too many clients already", "", rotator.KindTooManyConnections, "no free connection"},
		{"57P03", "the database system is starting up", "", rotator.KindUnreachable, "starting"},
		{"57P01", "terminating connection due to administrator command", "", rotator.KindUnreachable, "stopping"},
		{"28000", `PAM authentication failed for user "app"`, "auth_failed", rotator.KindPrivilege, `REVOKE rds_iam FROM "app"`},
		{"28000", "something new", "", rotator.KindMisconfigured, "whatever the password"},
		{"08P01", "unsupported startup parameter", "", rotator.KindUnreachable, ""},
		{"08P01", "invalid password packet size", "recv_password_packet", rotator.KindUnreachable, ""},
		{"XX000", "internal", "", rotator.KindInternal, "reported an error"},
	} {
		login := listen(t, func(c2 net.Conn) {
			c2.Read(make([]byte, 1024))
			c2.Write(pgError(c.code, c.message+"\x00Dcanary-detail", c.routine))
		})
		login.TLS.Disabled = true
		err := engine().Ping(t.Context(), login)
		wants(t, err, c.kind, c.words, c.code, c.message)
		if strings.Contains(fmt.Sprintf("%+v", err), "canary-detail") {
			t.Error("the detail of a server's error is in ours")
		}
	}
}

func TestStandby(t *testing.T) {
	t.Parallel()
	s := server{dbserver.NewPostgres(t, dbserver.Options{})}
	app, pw := s.NewRole(t, "LOGIN")
	copied, err := s.Standby(t.Context())
	ok(t, err)
	t.Cleanup(func() { copied.Close() })
	replica := server{copied}
	login := replica.login(app, pw)
	ok(t, engine().Ping(t.Context(), login))
	wants(t, engine().SetPassword(t.Context(), login, app, password()), rotator.KindReadOnly, "writer endpoint")
	pair := strategies.Pair{Original: app, Clone: app + "_clone", Target: app + "_clone"}
	wants(t, engine().EnsureClone(t.Context(), replica.login(s.Superuser, s.Password), pair, password()),
		rotator.KindReadOnly, "writer endpoint")
	ok(t, engine().Ping(t.Context(), login))
}

// TestWhatClientsCannotDo: a role that was dropped and created again lacks its grants, and transactions that begin
// read-only cannot write. A login shows neither.
func TestWhatClientsCannotDo(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		app, pw := s.NewRole(t, "LOGIN")
		login := s.login(app, pw)
		login.Database = s.NewDatabase(t, app)
		var printed []string
		says := func(login strategies.Login, words ...string) {
			t.Helper()
			remark, err := engine().TestUse(t.Context(), login)
			ok(t, err)
			if len(words) == 0 && remark.Text != "" {
				t.Errorf("user %q: %s", login.User, remark)
			}
			for _, w := range words {
				if !strings.Contains(remark.Text, w) {
					t.Errorf("user %q: %q does not have %q", login.User, remark, w)
				}
			}
			printed = printed[:0]
			for _, f := range remark.Fixes {
				if printed = append(printed, f.Run); !strings.HasPrefix(f.For, "if ") {
					t.Errorf("user %q: it may be on purpose: %+v", login.User, f)
				}
			}
		}
		says(login)
		// The most specific setting counts. What is printed takes it back.
		for _, alter := range []string{"ALTER DATABASE " + login.Database, "ALTER ROLE " + app,
			"ALTER ROLE " + app + " IN DATABASE " + login.Database} {
			s.run(t, alter+" SET default_transaction_read_only = 'TRUE'")
			run := "BEGIN READ WRITE; " + alter + " RESET default_transaction_read_only; COMMIT"
			says(login, "begin read-only, by "+alter+" SET", run)
			s.run(t, append([]string{"SET default_transaction_read_only = on"}, printed...)...)
			s.run(t, alter+" SET default_transaction_read_only = 'on'")
		}
		s.run(t, "ALTER ROLE "+app+" IN DATABASE "+login.Database+" SET default_transaction_read_only = off")
		says(login)
		if got := s.roundTrips(t, login, func(l strategies.Login) error {
			_, err := engine().TestUse(t.Context(), l)
			return err
		}); got != 3+1 {
			t.Errorf("%d round trips; want one beside the login", got)
		}
		s.run(t, "ALTER DATABASE "+login.Database+" RESET default_transaction_read_only")
		// Made again, beside a clone that is no member of it any more.
		bare, pw := s.NewRole(t, "LOGIN")
		again := s.login(bare, pw)
		admin := []string{"GRANT \"" + bare + "\" TO that WITH ADMIN TRUE, INHERIT FALSE, SET FALSE"}
		if s.Major < 16 {
			admin = nil
		}
		clone := bare + "_clone"
		says(again, append(admin, fmt.Sprintf("role %q may do nothing in database \"postgres\" but connect", bare),
			"another database of that name", "administrator GRANT it, before the next rotation, what it had")...)
		s.run(t, "CREATE ROLE "+clone+" LOGIN PASSWORD 'clone'")
		t.Cleanup(func() { ok(t, s.Exec(context.Background(), "DROP ROLE "+clone)) })
		for _, login := range []strategies.Login{again, s.login(clone, "clone")} {
			says(login, fmt.Sprintf("then GRANT %q TO %q", bare, clone), fmt.Sprintf("if %q is the clone of %q", clone, bare))
			s.run(t, printed...)
			says(s.login(clone, "clone"), "may do nothing")
			s.run(t, "REVOKE "+bare+" FROM "+clone)
		}
		s.run(t, "GRANT "+bare+" TO "+clone)
		if says(again, "may do nothing"); len(printed) != 0 {
			t.Errorf("its clone is a member of it: %q", printed)
		}
		s.run(t, "GRANT CONNECT ON DATABASE "+login.Database+" TO "+bare)
		says(again, "may do nothing") // which another database, or a login, is no matter of
		again.Database = login.Database
		says(again, "may do nothing")
		for _, can := range []string{"ALTER ROLE " + bare + " CREATEDB", "ALTER ROLE " + bare + " NOCREATEDB SUPERUSER",
			"ALTER ROLE " + bare + " NOSUPERUSER; GRANT pg_read_all_stats TO " + bare,
			"REVOKE pg_read_all_stats FROM " + bare + "; GRANT CREATE ON DATABASE " + login.Database + " TO " + bare} {
			s.run(t, can)
			says(again)
		}
		s.run(t, "REVOKE ALL ON DATABASE "+login.Database+" FROM "+bare)
		here := s.login(clone, "clone")
		says(here, "may do nothing")
		s.run(t, "GRANT USAGE ON SCHEMA public TO "+bare)
		says(here)
		s.run(t, "REVOKE USAGE ON SCHEMA public FROM "+bare)
	})
}

// TestACatalogueThatIsClosed: where PUBLIC may not read tables of the catalogue, each rotation works or stops before it
// has changed anything, and what status cannot look up is no fault of the user's.
func TestACatalogueThatIsClosed(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		for _, closed := range []string{"pg_roles", "pg_settings", "pg_shdepend", "pg_auth_members", "pg_database",
			"pg_db_role_setting", "pg_roles, pg_settings, pg_database, pg_shdepend, pg_auth_members, pg_db_role_setting"} {
			app, pw := s.NewRole(t, "LOGIN")
			db := s.NewDatabase(t, app)
			in := func(l strategies.Login) strategies.Login { l.Database = db; return l }
			login := in(s.login(app, pw))
			ok(t, s.as(t, in(s.superuser()), "REVOKE SELECT ON "+closed+" FROM PUBLIC"))
			for what, c := range map[string]struct {
				strategy rotator.Strategy
				boss     strategies.Login
				must     bool
			}{
				"itself":           {strategies.SingleUser{Engine: engine()}, s.superuser(), false},
				"superuser":        {strategies.SingleUser{Engine: engine(), ThroughSuperuser: true}, s.superuser(), true},
				"CREATEROLE":       {strategies.SingleUser{Engine: engine(), ThroughSuperuser: true}, s.master(t, app), false},
				"pair, CREATEROLE": {strategies.AlternatingUsers{Engine: engine()}, s.master(t, app), false},
				"pair, superuser":  {strategies.AlternatingUsers{Engine: engine()}, s.superuser(), true},
			} {
				service, err := rotationtest.Rotate(t, c.strategy, document(login, "masterarn", bossARN),
					document(in(c.boss)))
				if err != nil && (c.must || !service.ValueAt(rotator.LabelPending).IsZero()) {
					t.Errorf("%s, %s: it stopped after the preflight, or at all: %v", closed, what, err)
				}
				now := service.ValueAt(rotator.LabelCurrent)
				login.User, login.Password = now.Text("username"), now.Password()
				remark, err := engine().TestUse(t.Context(), login)
				if err != nil || (remark.Text == "") == strings.Contains(remark.Text, "was not found out") {
					t.Errorf("%s, %s: of what works: %q, %v", closed, what, remark, err)
				}
				if c.strategy == rotator.Strategy(strategies.AlternatingUsers{Engine: engine()}) && login.User != app {
					login.User = app // whose password is as it was
					login.Password = service.ValueAt(rotator.LabelPrevious).Password()
					s.run(t, "DROP ROLE "+app+"_clone")
				}
			}
		}
	})
}

// TestTheServerBeginsReadOnly: by postgresql.conf, a parameter group or ALTER SYSTEM.
func TestTheServerBeginsReadOnly(t *testing.T) {
	t.Parallel()
	s := server{dbserver.NewPostgres(t, dbserver.Options{})}
	s.run(t, "ALTER SYSTEM SET default_transaction_read_only = on")
	s.run(t, "SELECT pg_reload_conf()")
	s.until(t, "SHOW default_transaction_read_only", "on")
	remark, err := engine().TestUse(t.Context(), s.superuser())
	ok(t, err)
	for _, f := range remark.Fixes {
		s.run(t, f.Run)
	}
	s.until(t, "SHOW default_transaction_read_only", "off")
	if want := "by postgresql.conf or ALTER SYSTEM SET default_transaction_read_only, which stops no rotation. If that is not on " +
		"purpose, have an administrator run: ALTER SYSTEM SET default_transaction_read_only = off, then SELECT pg_catalog.pg_reload_conf()"; !strings.Contains(remark.Text, want) || len(remark.Fixes) != 2 {
		t.Error(remark)
	}
}

// TestTheSuperuserMayNotSetThePassword: who has CREATEROLE alone created the role, or was given it, and either is lost
// where the role was dropped and created again, with all that it had.
func TestTheSuperuserMayNotSetThePassword(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		app, _ := s.NewRole(t, "LOGIN")
		boss, pw := s.NewRole(t, "LOGIN CREATEROLE")
		says := func() rotator.RejectionCause {
			t.Helper()
			causes, err := engine().Explain(t.Context(), s.login(boss, pw), s.login(app, "another"))
			ok(t, err)
			return causes[0]
		}
		grants := func(cause rotator.RejectionCause) (all []string) {
			for _, fix := range cause.Fixes {
				if strings.HasPrefix(fix.Run, "GRANT ") {
					all = append(all, fix.Run)
				}
			}
			return all
		}
		cause, admin := says(), fmt.Sprintf("GRANT %q TO %q WITH ADMIN TRUE, INHERIT FALSE, SET FALSE", app, boss)
		if s.Major < 16 {
			if grants(cause) != nil {
				t.Errorf("%+v", cause)
			}
			return
		}
		if !strings.Contains(cause.Text, "its memberships, settings and privileges may be gone, too") ||
			!slices.Equal(grants(cause), []string{admin}) || cause.Blocked {
			t.Errorf("%+v", cause)
		}
		_, query, _ := strings.Cut(cause.Text, "compare ")
		query, _, _ = strings.Cut(query, ", and")
		s.run(t, query, admin)
		if cause := says(); grants(cause) != nil || strings.Contains(cause.Text, "ADMIN") {
			t.Errorf("%+v", cause)
		}
		// What the superuser's role may do by a membership, it may afterwards, and no more.
		for _, had := range []string{"INHERIT FALSE, SET FALSE", "INHERIT TRUE, SET FALSE", "INHERIT FALSE, SET TRUE",
			"INHERIT TRUE, SET TRUE", ""} {
			s.run(t, "REVOKE "+app+" FROM "+boss)
			if had != "" {
				s.run(t, "GRANT "+app+" TO "+boss+" WITH "+had)
			}
			const may = "SELECT pg_has_role($1, $2, 'USAGE') || ' ' || pg_has_role($1, $2, 'SET')"
			before := s.ask(t, may, boss, app)
			err := engine().SetPassword(t.Context(), s.login(boss, pw), app, password())
			fixes := rotator.FixesOf(err)
			if len(fixes) != 1 {
				t.Fatalf("%s: %v: %+v", had, err, fixes)
			}
			s.run(t, fixes[0].Run)
			ok(t, engine().SetPassword(t.Context(), s.login(boss, pw), app, password()))
			if after := s.ask(t, may, boss, app); after != before {
				t.Errorf("%s: %s made of %q what is %q", had, fixes[0].Run, before, after)
			}
		}
	})
}

// TestNoEnvironment: nothing of libpq's world has any influence. Not parallel: it
// sets the environment.
func TestNoEnvironment(t *testing.T) {
	s := server{dbserver.NewPostgres(t, dbserver.Options{})}
	app, pw := s.NewRole(t, "LOGIN")
	home := t.TempDir()
	passfile, service := filepath.Join(home, ".pgpass"), filepath.Join(home, ".pg_service.conf")
	ok(t, os.WriteFile(passfile, []byte("*:*:*:*:"+pw+"\n"), 0o600))
	ok(t, os.WriteFile(service, []byte("[hostile]\nhost=192.0.2.1\nsslmode=allow\nuser=postgres\n"), 0o600))
	ok(t, os.MkdirAll(filepath.Join(home, ".postgresql"), 0o700))
	for _, name := range []string{"postgresql.crt", "postgresql.key", "root.crt"} {
		ok(t, os.WriteFile(filepath.Join(home, ".postgresql", name), []byte("not PEM"), 0o600))
	}
	for name, value := range map[string]string{
		"HOME": home, "PGHOST": "192.0.2.1,192.0.2.2", "PGPORT": "none", "PGDATABASE": "hostile", "PGUSER": "hostile",
		"PGPASSWORD": pw,
		"PGPASSFILE": passfile, "PGSERVICEFILE": service, "PGAPPNAME": "hostile", "PGOPTIONS": "-c hostile=1",
		"PGTZ": "hostile", "PGSSLMODE": "hostile", "PGSSLCERT": "/none", "PGSSLKEY": "/none", "PGSSLROOTCERT": "/none",
		"PGSSLCERTMODE":    "hostile",
		"PGSSLNEGOTIATION": "direct", "PGSSLPASSWORD": "hostile", "PGTARGETSESSIONATTRS": "standby",
		"PGCONNECT_TIMEOUT":    "-1",
		"PGMINPROTOCOLVERSION": "9.9", "PGMAXPROTOCOLVERSION": "9.9", "PGCHANNELBINDING": "require",
		"PGREQUIREAUTH": "none",
	} {
		t.Setenv(name, value)
	}
	login := s.login(app, pw)
	ok(t, engine().Ping(t.Context(), login))
	next := password()
	ok(t, engine().SetPassword(t.Context(), login, app, next))
	// An empty password is an empty password, whatever the environment has.
	wants(t, engine().Ping(t.Context(), with(login, func(l *strategies.Login) { l.Password = secret.Password{} })),
		rotator.KindLoginRejected)
	login.TLS.Disabled = false
	wants(t, engine().Ping(t.Context(), with(login, func(l *strategies.Login) { l.Password = next })), rotator.KindTLS)
	// The driver cannot be told to have no service: it is refused, whatever the file has.
	t.Setenv("PGSERVICE", "hostile")
	login.TLS.Disabled, login.Password = true, next
	if err := engine().Ping(t.Context(), login); !strings.Contains(fmt.Sprint(err), "PGSERVICE") {
		t.Errorf("with PGSERVICE: %v; want a refusal that names it", err)
	}
	wants(t, engine().Ping(t.Context(), login), rotator.KindMisconfigured)
}

// TestOneConnection counts connections, and asks the server who we say we are.
func TestOneConnection(t *testing.T) {
	t.Parallel()
	s := server{dbserver.NewPostgres(t,
		dbserver.Options{Conf: map[string]string{"log_connections": "on", "log_disconnections": "on"}})}
	app, pw := s.NewRole(t, "LOGIN")
	count := func() int { return strings.Count(s.Log(), "connection authenticated: identity=\""+app) }
	before := count()
	ok(t, engine().Ping(t.Context(), s.login(app, pw)))
	ok(t, engine().SetPassword(t.Context(), s.login(app, pw), app, password()))
	wants(t, engine().Ping(t.Context(), s.login(app, "wrong")), rotator.KindLoginRejected)
	if n := count() - before; n > 3 {
		t.Errorf("%d connections for three calls", n)
	}
}

// TestNothingStays: no goroutine and no connection outlives a call by long. Not
// parallel: it counts goroutines.
func TestNothingStays(t *testing.T) {
	s := server{dbserver.NewPostgres(t, dbserver.Options{})}
	app, pw := s.NewRole(t, "LOGIN")
	login := s.login(app, pw)
	silent := listen(t, func(c net.Conn) { io.Copy(io.Discard, c) })
	before := runtime.NumGoroutine()
	for range 20 {
		ok(t, engine().Ping(t.Context(), login))
		wants(t, engine().Ping(t.Context(), s.login(app, "wrong")), rotator.KindLoginRejected)
		e := impatient(time.Millisecond)
		wants(t, e.Ping(t.Context(), silent), rotator.KindUnreachable)
	}
	deadline := time.Now().Add(30 * time.Second)
	for runtime.NumGoroutine() > before && time.Now().Before(deadline) {
		runtime.Gosched()
	}
	if n := runtime.NumGoroutine(); n > before {
		t.Errorf("%d goroutines, %d before", n, before)
	}
	for s.ask(t, "SELECT count(*)::text FROM pg_stat_activity WHERE usename = $1", app) != "0" {
		if time.Now().After(deadline) {
			t.Fatal("connections stay open")
		}
	}
}

func BenchmarkPing(b *testing.B) {
	s := server{dbserver.NewPostgres(b, dbserver.Options{})}
	login := s.superuser()
	for b.Loop() {
		if err := engine().Ping(b.Context(), login); err != nil {
			b.Fatal(err)
		}
	}
}

// TestASlowLoginIsWaitedFor: a paused cluster that resumes answers after 8 to 15 seconds.
// The server here does so after five times what the handshake is given.
func TestASlowLoginIsWaitedFor(t *testing.T) {
	t.Parallel()
	s := server{dbserver.NewPostgres(t, dbserver.Options{})}
	app, pw := s.NewRole(t, "LOGIN")
	const handshake = 2 * time.Second
	login := listen(t, func(client net.Conn) {
		up, err := s.Dial(t.Context())
		if err != nil {
			return
		}
		defer up.Close()
		go io.Copy(up, client)
		time.Sleep(5 * handshake)
		io.Copy(client, up)
	})
	login.User, login.Password, login.TLS.Disabled = app, secret.NewPassword(pw), true
	ok(t, Engine{HandshakeTimeout: handshake}.Ping(t.Context(), login))
}

// TestALockAtWhichLoginsWait: neither a paused cluster nor a load balancer asks for a password.
func TestALockAtWhichLoginsWait(t *testing.T) {
	onEachMajor(t, func(t *testing.T, shared server) {
		s := server{dbserver.NewPostgres(t, dbserver.Options{Major: shared.Major})}
		app, pw := s.NewRole(t, "LOGIN")
		for _, lock := range []string{"LOCK pg_database", "LOCK pg_authid"} {
			open, err := s.Admin(t.Context(), "postgres")
			ok(t, err)
			defer open.Close(context.Background())
			holder, err := s.Admin(t.Context(), "postgres")
			ok(t, err)
			defer holder.Close(context.Background())
			pid := strconv.Itoa(int(holder.PgConn().PID()))
			_, err = holder.PgConn().Exec(t.Context(), "BEGIN; "+lock).ReadAll()
			ok(t, err)
			err = impatient(2*time.Second).Ping(t.Context(), s.login(app, pw))
			wants(t, err, rotator.KindUnreachable, "did not respond to the login")
			asked := lock != "LOCK pg_authid" // before that, it asks for no password, and this login has no TLS
			if says := strings.Contains(err.Error(), "each new login waits, an administrator's too"); says != asked ||
				asked == strings.Contains(err.Error(), "load balancer") || asked == strings.Contains(err.Error(), "paused") {
				t.Errorf("%s: %v", lock, err)
			}
			if fixes := rotator.FixesOf(err); asked && (len(fixes) != 1 || fixes[0].Run != catalogLocks) || !asked && fixes != nil {
				t.Errorf("%s: %+v", lock, fixes)
			}
			shown, err := open.PgConn().Exec(t.Context(), catalogLocks).ReadAll()
			ok(t, err)
			if rows := shown[1].Rows; len(rows) == 0 || string(rows[0][0]) != pid {
				t.Errorf("%s: it shows %s, not %s", lock, rows, pid)
			}
			_, err = open.PgConn().Exec(t.Context(), "SELECT pg_catalog.pg_terminate_backend("+pid+")").ReadAll()
			ok(t, err)
			ok(t, engine().Ping(t.Context(), s.login(app, pw)))
		}
		overTLS := withPassword(s.login(app, pw), password())
		overTLS.TLS.Disabled = false
		err := wrapError(t.Context(), overTLS, operation{phase: loggingIn, method: authUnknown}, context.DeadlineExceeded)
		wants(t, err, rotator.KindUnreachable, "paused cluster", catalogLocks)
	})
}

// TestWhatRunsAtLoginFails: an event trigger is not taken for a missing CONNECT, nor for any other refusal of the
// server's own, in whatever language it speaks. What is printed shows it and ends it, also to an administrator whom it
// keeps out.
func TestWhatRunsAtLoginFails(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		if s.Major < 17 {
			return
		}
		for name, c := range map[string]struct {
			body string
			kind rotator.Kind
		}{
			"may not":             {"INSERT INTO audit_logins VALUES (session_user)", rotator.KindMisconfigured},
			"raises":              {"RAISE 'not today'", rotator.KindMisconfigured},
			"raises 28P01":        {"RAISE 'no' USING ERRCODE = '28P01'", rotator.KindMisconfigured},
			"raises 23505":        {"RAISE 'no' USING ERRCODE = '23505'", rotator.KindMisconfigured},
			"raises 55000":        {"RAISE 'no' USING ERRCODE = '55000'", rotator.KindMisconfigured},
			"a deadlock":          {"RAISE 'no' USING ERRCODE = '40P01'", rotator.KindConflict},
			"none of a procedure": {"", rotator.KindInternal},
		} {
			db := s.NewDatabase(t, "")
			app, pw := s.NewRole(t, "LOGIN")
			login := s.login(app, pw)
			login.Database = db
			language := "plpgsql AS 'BEGIN " + strings.ReplaceAll(c.body, "'", "''") + "; END'"
			if c.body == "" {
				language = "internal AS 'pg_event_trigger_ddl_commands'" // which says that it is called at no such time
			}
			admin := with(s.superuser(), func(l *strategies.Login) { l.Database = db })
			ok(t, s.as(t, admin, "CREATE TABLE audit_logins (who text)",
				"CREATE FUNCTION audit() RETURNS event_trigger LANGUAGE "+language,
				"DO $$ BEGIN CREATE EVENT TRIGGER audit ON login EXECUTE FUNCTION audit(); ALTER EVENT TRIGGER audit ENABLE ALWAYS; END $$"))
			err := engine().Ping(t.Context(), login)
			wants(t, err, c.kind, "event trigger ON login", db, loginTriggers)
			fixes := rotator.FixesOf(err)
			if strings.Contains(fmt.Sprint(err, fixes), "GRANT CONNECT") || len(fixes) != 3 ||
				!strings.HasPrefix(fixes[1].For, "if ") || !strings.HasPrefix(fixes[2].For, "if ") {
				t.Fatalf("%s: to be run: %+v", name, fixes)
			}
			config, err := pgx.ParseConfig(fmt.Sprintf("host=%s port=%d dbname=%s user=%s sslmode=disable", admin.Host,
				admin.Port, db, admin.User))
			ok(t, err)
			config.Password = admin.Password.Reveal()
			config.RuntimeParams["options"] = "-c event_triggers=off"
			conn, err := pgx.ConnectConfig(t.Context(), config)
			ok(t, err)
			var trigger, enabled, function string
			ok(t, conn.QueryRow(t.Context(), strings.Replace(strings.TrimPrefix(fixes[0].Run, trusted), "evtfoid::regproc", "evtfoid::regproc::text", 1)).Scan(&trigger, &enabled, &function))
			_, err = conn.Exec(t.Context(), strings.Replace(fixes[1].Run, "...", quoteIdent(trigger), 1))
			ok(t, err)
			ok(t, conn.Close(t.Context()))
			ok(t, engine().Ping(t.Context(), login))
			ok(t, s.as(t, admin, "CREATE OR REPLACE FUNCTION audit() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'",
				strings.Replace(fixes[2].Run, "...", quoteIdent(trigger), 1)))
			ok(t, engine().Ping(t.Context(), login))
			if !strings.Contains(fixes[2].Note, "A: ENABLE ALWAYS") || enabled != "A" {
				t.Errorf("it was %s: %+v", enabled, fixes[2])
			}
		}
	})
}
