package mysql

import (
	"crypto/x509"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// TestLoginFailures: each has a kind and a sentence of its own, in all methods.
func TestLoginFailures(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		db := s.NewDatabase(t)
		app := s.user(t, "SELECT ON "+db+".*")
		locked, full, blocked, x509 := s.user(t), s.user(t), s.user(t), s.user(t)
		expired, expiredQuietly := s.user(t), s.user(t)
		s.run(t, "ALTER USER "+at(locked.User).String()+" ACCOUNT LOCK", "ALTER USER "+at(full.User).String()+
			" WITH MAX_USER_CONNECTIONS 1",
			"ALTER USER "+at(x509.User).String()+" REQUIRE SSL",
			"ALTER USER "+at(expired.User).String()+" PASSWORD EXPIRE", "ALTER USER "+at(expiredQuietly.User).String()+
				" PASSWORD EXPIRE")
		holding, err := s.Connect(t.Context(), full.User, full.Password.Reveal(), "")
		ok(t, err)
		t.Cleanup(func() { holding.Close() })
		socket := name()
		plugin := "WITH auth_socket"
		if s.MariaDB {
			plugin = "VIA unix_socket"
			s.run(t, "CREATE USER "+socket+"@'%' IDENTIFIED "+plugin)
		}
		type failure struct {
			as    strategies.Login
			kind  rotator.Kind
			words []string
		}
		cases := map[string]failure{
			"wrong password":   {withPassword(app, password()), rotator.KindLoginRejected, []string{app.User, "the password is wrong", "no account `" + app.User + "`", `remove "ssl": false`}},
			"unknown user":     {s.login("nobody_at_all", "x"), rotator.KindLoginRejected, []string{"no account `nobody_at_all`"}},
			"locked":           {locked, rotator.KindPrivilege, []string{"locked", "ACCOUNT UNLOCK"}},
			"demands TLS":      {x509, rotator.KindLoginRejected, []string{"demands TLS", `remove "ssl": false`}},
			"user is full":     {full, rotator.KindTooManyConnections, []string{full.User, "MAX_USER_CONNECTIONS"}},
			"expired":          {expired, rotator.KindPrivilege, []string{"has expired", "single user"}},
			"no such database": {with(app, func(l *strategies.Login) { l.Database = "db_none" }), rotator.KindMisconfigured, []string{`"db_none"`, "dbname"}},
			"no TLS": {with(app, func(l *strategies.Login) { l.TLS.Disabled = false }), rotator.KindTLS,
				[]string{"does not offer TLS"}},
			"no such host": {with(app, func(l *strategies.Login) { l.Host = "nowhere.invalid" }),
				rotator.KindUnreachable, []string{"nowhere.invalid"}},
			"closed port": {with(app, func(l *strategies.Login) { l.Port = dbserver.ClosedPort(t) }),
				rotator.KindUnreachable, []string{"refused the connection"}},
			"no port": {with(app, func(l *strategies.Login) { l.Port = 0 }), rotator.KindMisconfigured,
				[]string{"port"}},
			"no host": {with(app, func(l *strategies.Login) { l.Host = "" }), rotator.KindMisconfigured,
				[]string{"host"}},
			"no password":     {withPassword(app, secret.Password{}), rotator.KindMisconfigured, []string{"empty"}},
			"NUL in user":     {s.login(app.User+"\x00x", "x"), rotator.KindMisconfigured, []string{"NUL"}},
			"NUL in password": {s.login(app.User, "x\x00"), rotator.KindMisconfigured, []string{"NUL"}},
		}
		if s.MariaDB {
			cases["locked"] = failure{locked, rotator.KindPrivilege, []string{"locked", "ACCOUNT UNLOCK"}}
			cases["socket"] = failure{s.login(socket, "x"), rotator.KindLoginRejected, []string{"unix_socket"}}
		} else {
			s.run(t, "ALTER USER "+at(blocked.User).String()+" FAILED_LOGIN_ATTEMPTS 1 PASSWORD_LOCK_TIME 1")
			engine().Ping(t.Context(), withPassword(blocked, password()))
			cases["blocked"] = failure{blocked, rotator.KindPrivilege, []string{"FAILED_LOGIN_ATTEMPTS"}}
		}
		for name, c := range cases {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				wants(t, engine().Ping(t.Context(), c.as), c.kind, c.words...)
				if name == "expired" {
					return // it may change itself
				}
				pair := strategies.Pair{Original: "app_x", Clone: "app_y", Target: "app_y"}
				_, dryRun := engine().DryRunSetPassword(t.Context(), c.as, app.User, password())
				for _, err := range []error{
					engine().SetPassword(t.Context(), c.as, app.User, password()),
					engine().EnsureClone(t.Context(), c.as, pair, password()),
					dryRun,
				} {
					wants(t, err, c.kind, c.words...)
				}
			})
		}
		ok(t, engine().Ping(t.Context(), app))
		s.run(t, "CREATE DATABASE IF NOT EXISTS private")
		hourly := s.user(t)
		s.run(t, "ALTER USER "+at(hourly.User).String()+" WITH MAX_CONNECTIONS_PER_HOUR 1")
		ok(t, engine().Ping(t.Context(), hourly))
		for name, as := range map[string]strategies.Login{"user is full": full, "hour is over": hourly, "no such database": cases["no such database"].as,
			"not its database": with(app, func(l *strategies.Login) { l.Database = "private" })} {
			if err := engine().Ping(t.Context(), as); err == nil || !errors.As(err, new(rotator.AcceptedPassword)) {
				t.Errorf("%s: %v does not count as an accepted password", name, err)
			}
			err := engine().Ping(t.Context(), withPassword(as, password()))
			if !errors.Is(err, rotator.KindLoginRejected) || errors.As(err, new(rotator.AcceptedPassword)) {
				t.Errorf("%s, with another password: %v", name, err)
			}
		}
	})
}

// TestServerSettings: what a server as a whole refuses.
func TestServerSettings(t *testing.T) {
	t.Parallel()
	for _, name := range dbserver.MySQLsInTier(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, name, map[string]string{"disconnect-on-expired-password": "ON"})
			app, expired := s.user(t), s.user(t)
			s.run(t, "ALTER USER "+at(expired.User).String()+" PASSWORD EXPIRE", "SET GLOBAL read_only = 1")
			wants(t, engine().SetPassword(t.Context(), app, app.User, password()), rotator.KindReadOnly,
				"writer endpoint")
			_, err := engine().DryRunSetPassword(t.Context(), app, app.User, password())
			wants(t, err, rotator.KindReadOnly, "writer endpoint")
			s.run(t, "SET GLOBAL read_only = 0")
			ok(t, engine().SetPassword(t.Context(), expired, expired.User, password())) // for it is announced
			if s.MariaDB {
				s.run(t, "SET GLOBAL max_password_errors = 1")
				engine().Ping(t.Context(), withPassword(app, password()))
				wants(t, engine().Ping(t.Context(), app), rotator.KindPrivilege, "max_password_errors",
					"FLUSH PRIVILEGES")
				s.run(t, "SET GLOBAL max_password_errors = 1000", "FLUSH PRIVILEGES")
			}
			s.run(t, "SET GLOBAL require_secure_transport = ON")
			err = engine().Ping(t.Context(), app)
			if s.MariaDB {
				if !strings.Contains(err.Error(), `remove "ssl": false`) {
					t.Error(err)
				}
			} else {
				wants(t, err, rotator.KindTLS, `remove "ssl": false`)
			}
		})
	}
}

// TestTLS is one server and what verification makes of it.
func TestTLS(t *testing.T) {
	t.Parallel()
	for _, name := range dbserver.MySQLsInTier(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := server{dbserver.NewMySQL(t,
				dbserver.MySQLOptions{Name: name,
					TLS: &dbserver.TLS{Names: []string{"db.quarterturn.test", "127.0.0.1"}}})}
			app := s.user(t)
			s.run(t, "ALTER USER "+at(app.User).String()+" REQUIRE SSL")
			trusting := engine()
			trusting.Roots = s.CAs
			ok(t, trusting.Ping(t.Context(), app)) // an address, by the certificate's IP
			ok(t, trusting.Ping(t.Context(),
				with(app, func(l *strategies.Login) { l.TLS.ServerName = "db.quarterturn.test" })))
			ok(t, trusting.SetPassword(t.Context(), app, app.User, app.Password))

			wants(t, engine().Ping(t.Context(), app), rotator.KindTLS, "authority", "Amazon RDS")
			empty := engine()
			empty.Roots = x509.NewCertPool()
			wants(t, empty.Ping(t.Context(), app), rotator.KindTLS, "authority")
			wants(t, trusting.Ping(t.Context(), with(app, func(l *strategies.Login) { l.Host = "localhost" })),
				rotator.KindTLS, "not for localhost", "tlsServerName")
			wants(t, trusting.Ping(t.Context(),
				with(app, func(l *strategies.Login) { l.TLS.ServerName = "other.test" })), rotator.KindTLS,
				"not for other.test")
			wants(t, trusting.Ping(t.Context(), withPassword(app, password())), rotator.KindLoginRejected,
				"REQUIRE X509")
		})
	}
}

func TestTLSExpired(t *testing.T) {
	t.Parallel()
	for name, reload := range map[string]string{"mariadb-10.11": "FLUSH SSL", "mysql-9.7": "ALTER INSTANCE RELOAD TLS"} {
		s := server{dbserver.NewMySQL(t, dbserver.MySQLOptions{Name: name, TLS: &dbserver.TLS{Expired: true}})}
		e := engine()
		e.Roots = s.CAs
		err := e.Ping(t.Context(), s.superuser())
		wants(t, err, rotator.KindTLS, "expired")
		if fixes := rotator.FixesOf(err); len(fixes) != 1 || fixes[0].Run != reload {
			t.Errorf("%s: %v", name, fixes)
		}
	}
}

// TestASuperuserThatMayNotUseTheDatabase is given what it has to pass on.
func TestASuperuserThatMayNotUseTheDatabase(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		db, boss := s.NewDatabase(t)+`\a_%`, s.user(t)
		s.run(t, "CREATE DATABASE "+quoteIdent(db))
		defer s.run(t, "DROP DATABASE "+quoteIdent(db))
		boss.Database, boss.For = db, &strategies.Holding{}
		err := engine().Ping(t.Context(), boss)
		wants(t, err, rotator.KindMisconfigured, "WITH GRANT OPTION what the users of this secret have")
		if strings.Contains(err.Error(), "the other user of a pair") {
			t.Error(err)
		}
		i := slices.IndexFunc(rotator.FixesOf(err), func(f rotator.Fix) bool { return strings.Contains(f.Run, "PRIVILEGES") })
		if i < 1 {
			t.Fatalf("no line of %v", rotator.FixesOf(err))
		}
		if hosts := s.ask(t, rotator.FixesOf(err)[i-1].Run); hosts != "%" {
			t.Errorf("its hosts: %s", hosts)
		}
		grant := strings.Replace(rotator.FixesOf(err)[i].Run, "PRIVILEGES", "SELECT", 1)
		admin, err := s.Admin(t.Context())
		ok(t, err)
		defer admin.Close()
		_, err = admin.ExecContext(t.Context(), "SET SESSION sql_mode = ''")
		ok(t, err)
		if _, err = admin.ExecContext(t.Context(), strings.Replace(grant, "HOST", "10.9.9.9", 1)); err == nil {
			t.Error("an account without a password was made")
		}
		s.run(t, strings.Replace(grant, "HOST", "%", 1))
		ok(t, engine().Ping(t.Context(), boss))
		boss.For = nil
		s.run(t, "REVOKE ALL PRIVILEGES, GRANT OPTION FROM "+at(boss.User).String())
		wants(t, engine().Ping(t.Context(), boss), rotator.KindMisconfigured, "the other user of a pair")
	})
}

// greetings are what servers of the test's own making begin with.
func greeted(version, plugin string) []byte {
	body := append([]byte{10}, version...)
	body = append(body, 0, 1, 0, 0, 0)
	body = append(body, "12345678"...)
	body = append(body, 0, 0xff, 0xff, 45, 2, 0, 0xff, 0x81, 21)
	body = append(body, make([]byte, 10)...)
	body = append(body, "123456789012\x00"...)
	body = append(body, plugin+"\x00"...)
	return packet(0, body)
}

func packet(seq byte, body []byte) []byte {
	return append([]byte{byte(len(body)), byte(len(body) >> 8), byte(len(body) >> 16), seq}, body...)
}

// TestHostileServers: what a server asks for that must not be given, and what it
// sends that must not be believed.
func TestHostileServers(t *testing.T) {
	t.Parallel()
	canary := password()
	for name, c := range map[string]struct {
		serve func(c net.Conn)
		tls   bool
		kind  rotator.Kind
		words []string
	}{
		"asks for clear text": {func(c net.Conn) {
			c.Write(greeted("9.7.4", "mysql_native_password"))
			c.Read(make([]byte, 4096))
			c.Write(packet(2, []byte("\xfemysql_clear_password\x00")))
		}, false, rotator.KindMisconfigured, []string{"mysql_clear_password", "not sent"}},
		"asks for the old form": {func(c net.Conn) {
			c.Write(greeted("9.7.4", "mysql_native_password"))
			c.Read(make([]byte, 4096))
			c.Write(packet(2, []byte("\xfemysql_old_password\x0012345678\x00")))
		}, false, rotator.KindMisconfigured, []string{"MySQL 4.0"}},
		"asks for parsec": {func(c net.Conn) {
			c.Write(greeted("5.5.5-11.8.9-MariaDB", "mysql_native_password"))
			c.Read(make([]byte, 4096))
			c.Write(packet(2, []byte("\xfeparsec\x0012345678901234567890123456789012\x00")))
		}, false, rotator.KindMisconfigured, []string{"parsec", "USING PASSWORD"}},
		"has a key that is none": {func(c net.Conn) {
			c.Write(greeted("9.7.4", "caching_sha2_password"))
			c.Read(make([]byte, 4096))
			c.Write(packet(2, []byte{1, 4}))
			c.Read(make([]byte, 4096))
			c.Write(packet(4, []byte("\x01-----BEGIN PUBLIC "+
				"KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n")))
		}, false, rotator.KindMisconfigured, nil},
		"greets short": {func(c net.Conn) { c.Write(packet(0, []byte{10})) }, false,
			rotator.KindMisconfigured, []string{"does not speak MySQL's protocol"}},
		"greets with a zero": {func(c net.Conn) { c.Write(packet(0, []byte("\x0a9.7.4\x00"))) }, false,
			rotator.KindMisconfigured, []string{"does not speak MySQL's protocol"}},
		"speaks HTTP": {func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n")
		}, false, rotator.KindMisconfigured, []string{"does not speak MySQL's protocol"}},
		"says too many": {func(c net.Conn) {
			c.Write(packet(0, []byte("\xff\x10\x04#08004Too many connections")))
		}, false, rotator.KindTooManyConnections, []string{"max_connections"}},
		"says blocked": {func(c net.Conn) {
			c.Write(packet(0, []byte("\xff\x69\x04Host is blocked")))
		}, false, rotator.KindConflict, []string{"host_cache"}},
		"says no host": {func(c net.Conn) {
			c.Write(packet(0, []byte("\xff\x6a\x04Host is not allowed")))
		}, false, rotator.KindMisconfigured, []string{"address of this function"}},
		"rejects in place of the greeting": {func(c net.Conn) {
			c.Write(packet(0, []byte("\xff\x15\x04#28000Access denied")))
		}, true, rotator.KindMisconfigured, []string{"before a password was sent"}},
		"rejects so, and there is no TLS": {func(c net.Conn) {
			c.Write(packet(0, []byte("\xff\xa2\x06Access denied")))
		}, false, rotator.KindMisconfigured, []string{"before a password was sent"}},
		"is locked in place of the greeting": {func(c net.Conn) {
			c.Write(packet(0, []byte("\xff\x2e\x0c#HY000locked")))
		}, false, rotator.KindMisconfigured, []string{"before a password was sent"}},
		"rejects in place of TLS": {func(c net.Conn) {
			c.Write(greeted("9.7.4", "caching_sha2_password"))
			c.Read(make([]byte, 4096))
			c.Write(packet(2, []byte("\xff\x15\x04#28000Access denied")))
		}, true, rotator.KindUnreachable, nil},
		"rejects what was sent": {func(c net.Conn) {
			c.Write(greeted("9.7.4", "mysql_native_password"))
			c.Read(make([]byte, 4096))
			c.Write(packet(2, []byte("\xff\x15\x04#28000Access denied")))
		}, false, rotator.KindLoginRejected, nil},
		"answers TLS with nonsense": {func(c net.Conn) {
			c.Write(greeted("9.7.4", "caching_sha2_password"))
			c.Read(make([]byte, 4096))
			io.WriteString(c, "this is no TLS, whatever else it is")
		}, true, rotator.KindTLS, []string{"does not answer in TLS"}},
		"speaks TLS 1.1": {func(c net.Conn) {
			c.Write(greeted("9.7.4", "caching_sha2_password"))
			io.ReadFull(c, make([]byte, 36)) // the request for TLS
			c.Read(make([]byte, 4096))
			c.Write([]byte{21, 3, 1, 0, 2, 2, 70})
		}, true, rotator.KindTLS, []string{"TLS 1.2"}},
		"hangs up in TLS": {func(c net.Conn) {
			c.Write(greeted("9.7.4", "caching_sha2_password"))
			c.Read(make([]byte, 4096))
		}, true, rotator.KindUnreachable, []string{"closed the connection"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			heard := make(chan string, 1)
			login := listen(t, func(conn net.Conn) {
				listening := &recorder{Conn: conn}
				c.serve(listening)
				conn.(*net.TCPConn).CloseWrite() // nothing more comes; what the client still says is heard to its end
				io.Copy(io.Discard, listening)
				select {
				case heard <- listening.text.String():
				default:
				}
			})
			login.Password, login.TLS.Disabled = canary, !c.tls
			err := engine().Ping(t.Context(), login)
			wants(t, err, c.kind, c.words...)
			if strings.Contains(<-heard, canary.Reveal()) {
				t.Error("the server was sent the password in clear")
			}
			if strings.Contains(err.Error(), "DSN") {
				t.Errorf("advice of the driver's: %v", err)
			}
		})
	}
}

type recorder struct {
	net.Conn
	text strings.Builder
}

func (r *recorder) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	r.text.Write(p[:n])
	return n, err
}

// TestSilence: whoever accepts and never answers, or drips, is given up on in every
// stage, and the stage is named.
func TestSilence(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		serve func(c net.Conn)
		off   bool
		words string
	}{
		"greeting":   {func(c net.Conn) {}, false, "a server that hangs or whose machine is stopped"},
		"PostgreSQL": {func(c net.Conn) { c.Read(make([]byte, 8)); c.Write([]byte("N")) }, false, "never greeted"},
		"dripping": {func(c net.Conn) {
			for _, b := range greeted("9.7.4", "caching_sha2_password") {
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
		}, false, "never greeted"},
		"TLS": {func(c net.Conn) { c.Write(greeted("9.7.4", "caching_sha2_password")) }, false,
			"a server that hangs or whose machine is stopped"},
		"login": {func(c net.Conn) { c.Write(greeted("9.7.4", "caching_sha2_password")) }, true,
			"respond to the login"},
		"statement": {func(c net.Conn) {
			c.Write(greeted("9.7.4", "mysql_native_password"))
			c.Read(make([]byte, 4096))
			c.Write(packet(2, []byte{0, 0, 0, 2, 0, 0, 0}))
		}, true, "no response from the server"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			login := listen(t, func(conn net.Conn) {
				c.serve(conn)
				io.Copy(io.Discard, conn)
			})
			login.TLS.Disabled = c.off
			tier.Patiently(t, func(limit time.Duration) error {
				return differs(impatient(limit).Ping(t.Context(), login), rotator.KindUnreachable, c.words)
			})
		})
	}
}

// TestCapturedLogins: the server lets us in as somebody else.
func TestCapturedLogins(t *testing.T) {
	t.Parallel()
	for _, name := range dbserver.MySQLsInTier(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, name, nil)
			p := "Anon-1" + password().Reveal()
			s.run(t, "CREATE USER ''@'127.0.0.1' IDENTIFIED BY '"+p+"'", "CREATE USER app@'%' IDENTIFIED BY '"+p+"'")
			wants(t, engine().SetPassword(t.Context(), s.login("app", p), "app", password()), rotator.KindMisconfigured,
				"anonymous account ''@'127.0.0.1'", "DROP USER")
			wants(t, engine().Ping(t.Context(), s.login("app", p)), rotator.KindMisconfigured, "anonymous")
		})
	}
}

// TestErrorsOfEveryNumber: each number of the catalogue has a kind, and what a server
// repeats of a statement stays out.
func TestErrorsOfEveryNumber(t *testing.T) {
	t.Parallel()
	login := strategies.Login{Host: "h", Port: 1, User: "app"}
	for kind, numbers := range map[rotator.Kind][]uint16{
		rotator.KindLoginRejected:      {1045, 1698},
		rotator.KindPrivilege:          {3118, 4151, 3955, 4150, 1862, 1820, 1524},
		rotator.KindMisconfigured:      {1130, 1049, 1044, 1251},
		rotator.KindTooManyConnections: {1040, 1203, 1226},
		rotator.KindConflict:           {1129},
		rotator.KindTLS:                {3159},
	} {
		for _, n := range numbers {
			err := wrapError(t.Context(), login, operation{phase: loggingIn},
				&driver.MySQLError{Number: n, Message: "max_questions"}) // which 1226 names
			wants(t, err, kind)
			if strings.Contains(err.Error(), "reported an error") {
				t.Errorf("%d has no sentence", n)
			}
		}
	}
	for kind, numbers := range map[rotator.Kind][]uint16{
		rotator.KindPrivilege:      {1044, 1045, 1142, 1227, 1370, 1698, 1820},
		rotator.KindNotFound:       {1133, 1396, 3523},
		rotator.KindReadOnly:       {1836, 1792, 1874},
		rotator.KindPasswordPolicy: {1819, 3638},
		rotator.KindMisconfigured:  {1290, 1524, 1699, 3879, 3894, 3878, 3895, 1470, 1372, 1054, 1146},
		rotator.KindConflict:       {1205, 1213, 3891, 3892, 3893, 1141},
		rotator.KindUnreachable:    {1053, 4031, 1927},
		rotator.KindDeadline:       {1317, 1969, 3024},
		rotator.KindInternal:       {1064, 9999},
	} {
		for _, n := range numbers {
			e := &driver.MySQLError{Number: n, Message: "near 'CANARY'"}
			err := wrapError(t.Context(), login, operation{action: "x", sensitive: true, setsPassword: true}, e)
			wants(t, err, kind)
			if c := causeOf(login, operation{setsPassword: true}, e); !c.Public &&
				strings.Contains(err.Error(), "CANARY") {
				t.Errorf("%d: %v", n, err)
			}
			if kind != rotator.KindInternal && strings.Contains(err.Error(), "reported an error") {
				t.Errorf("%d has no sentence", n)
			}
		}
	}
	err := wrapError(t.Context(), login, operation{action: "x"},
		&driver.MySQLError{Number: 1064, Message: "near 'CANARY'"})
	if strings.Contains(err.Error(), "CANARY") {
		t.Error(err)
	}
	if err := wrapError(t.Context(), login, operation{},
		&driver.MySQLError{Number: 1290, Message: "running with the --super-read-only option"}); !errors.Is(err,
		rotator.KindReadOnly) {
		t.Error(err)
	}
}

// TestASlowLoginIsWaitedFor: connection_control and clusters that resume take their time.
// The server here answers a login after more than what the greeting and TLS are given.
func TestASlowLoginIsWaitedFor(t *testing.T) {
	t.Parallel()
	const handshake = 2 * time.Second
	login := listen(t, func(conn net.Conn) {
		conn.Write(greeted("9.7.4", "mysql_native_password"))
		conn.Read(make([]byte, 4096))
		time.Sleep(handshake + time.Second) // at least so long, on any machine, after the handshake began
		conn.Write(packet(2, append([]byte{0xff, 0x15, 0x04}, "#28000Access denied"...)))
		io.Copy(io.Discard, conn)
	})
	login.TLS.Disabled = true
	wants(t, Engine{HandshakeTimeout: handshake}.Ping(t.Context(), login), rotator.KindLoginRejected)
}

// TestALoginThatAPluginDelays: what is printed shows the plugin or the component, and by the value that it shows the
// user is let in at once.
func TestALoginThatAPluginDelays(t *testing.T) {
	t.Parallel()
	for prefix, install := range map[string]string{
		"component_connection_control.": "INSTALL COMPONENT 'file://component_connection_control'",
		"connection_control_":           "INSTALL PLUGIN CONNECTION_CONTROL SONAME 'connection_control.so'",
	} {
		t.Run(prefix, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, "mysql-9.7", map[string]string{"performance-schema": "ON", "log-error-verbosity": "3"})
			app := s.user(t)
			const long = "100000" // milliseconds
			s.run(t, install, "SET GLOBAL "+prefix+"max_connection_delay = "+long,
				"SET GLOBAL "+prefix+"min_connection_delay = "+long,
				"SET GLOBAL "+prefix+"failed_connections_threshold = 2")
			for range 2 {
				wants(t, engine().Ping(t.Context(), withPassword(app, password())), rotator.KindLoginRejected)
			}
			err := impatient(2*time.Second).Ping(t.Context(), app)
			wants(t, err, rotator.KindUnreachable, "respond to the login")
			fixes := rotator.FixesOf(err)
			if len(fixes) != 4 {
				t.Fatalf("%+v", fixes)
			}
			if clients := s.ask(t, strings.Replace(fixes[1].Run, "LOGGED, ", "", 1)); !strings.Contains(clients,
				"Access denied for user '"+app.User+"'@'127.0.0.1'") {
				t.Errorf("%s: %s", fixes[1].Run, clients)
			}
			s.run(t, fixes[0].Run)
			shown := s.ask(t, strings.Replace(fixes[0].Run, "SHOW GLOBAL VARIABLES", "SELECT VARIABLE_NAME FROM "+
				"performance_schema.global_variables WHERE VARIABLE_NAME", 1))
			if !strings.Contains(shown, prefix+"failed_connections_threshold") {
				t.Errorf("%s: %s", fixes[0].Run, shown)
			}
			for _, fix := range fixes[2:] {
				if strings.Contains(fix.Run, prefix) {
					s.run(t, strings.ReplaceAll(fix.Run, "THRESHOLD", "2"))
				}
			}
			ok(t, impatient(50*time.Second).Ping(t.Context(), app))
		})
	}
}

// TestALoginThatADroppedDatabaseDelays: what is printed shows the session that drops it, and to end that lets the user in.
func TestALoginThatADroppedDatabaseDelays(t *testing.T) {
	t.Parallel()
	s := newServer(t, "mysql-9.7", nil)
	app := s.user(t)
	app.Database = s.NewDatabase(t)
	s.run(t, "CREATE TABLE "+app.Database+".t (n int)", "GRANT SELECT ON "+app.Database+".* TO "+at(app.User).String())
	_, holds := s.connected(t, s.superuser())
	for _, sql := range []string{"BEGIN", "INSERT INTO " + app.Database + ".t VALUES (1)"} {
		_, err := holds.ExecContext(t.Context(), sql)
		ok(t, err)
	}
	id, drops := s.connected(t, s.superuser())
	done := make(chan struct{})
	go func() {
		drops.ExecContext(t.Context(), "DROP DATABASE "+app.Database)
		close(done)
	}()
	shown := "SELECT ID FROM information_schema.PROCESSLIST WHERE STATE LIKE 'Waiting for % metadata lock' AND ID = " + id
	for s.ask(t, shown) == "" {
		time.Sleep(10 * time.Millisecond)
	}
	err := impatient(2*time.Second).Ping(t.Context(), app)
	wants(t, err, rotator.KindUnreachable, "respond to the login", `a DROP DATABASE of "`+app.Database)
	if fixes := rotator.FixesOf(err); len(fixes) == 0 || fixes[0].Run != holders ||
		!strings.Contains("\n"+s.ask(t, strings.Replace(fixes[0].Run,
			"SELECT ID, USER, HOST, COMMAND, TIME, STATE ", "SELECT ID ", 1))+"\n", "\n"+id+"\n") {
		t.Fatalf("%+v", fixes)
	}
	s.kill(t, id)
	<-done
	ok(t, engine().Ping(t.Context(), app))
}

// TestAnAccountOfAnotherMethod: who had it moved to one that proves more may have meant that, and clients may log in by
// it. What sets a password names the strongest method that this function proves first, and how that is typed.
func TestAnAccountOfAnotherMethod(t *testing.T) {
	t.Parallel()
	login := strategies.Login{Host: "h", Port: 1, User: "app"}
	for product, want := range map[string][]string{productMySQL: {"caching_sha2_password"},
		productMariaDB: {"ed25519", "mysql_native_password"}} {
		says, _ := classifyLogin(driver.ErrUnknownPlugin, login, product)
		lines := says.Fixes[1:]
		if !strings.Contains(says.Text, "Clients that can give it log in as before") || len(lines) != len(want) {
			t.Fatalf("%s: %+v", product, says)
		}
		for i, line := range lines {
			if !strings.Contains(line.Run, want[i]) || line.Note != typedTwice || (line.For == "") != (len(want) == 1) {
				t.Errorf("%s: %+v", product, line)
			}
		}
	}
	for _, c := range Causes() { // of whichever product
		if strings.Contains(c.Fix, "'PASSWORD'") && !strings.Contains(c.Note, typedTwice) {
			t.Errorf("%v: %s: %q does not say how a password is typed", c.Codes, c.Fix, c.Note)
		}
	}
}

// TestWhatAnAnswerMeans: sentences of answers that no throwaway server gives, and whether
// they pass.
func TestWhatAnAnswerMeans(t *testing.T) {
	t.Parallel()
	login := strategies.Login{Host: "h", Port: 1, User: "app"}
	for name, c := range map[string]struct {
		number uint16
		kind   rotator.Kind
		says   string
		passes bool
	}{
		"offline mode":             {3032, rotator.KindUnreachable, "SET GLOBAL offline_mode = OFF", false},
		"out of disk":              {1021, rotator.KindInternal, "out of disk", false},
		"a packet too large":       {1153, rotator.KindMisconfigured, "max_allowed_packet", false},
		"Galera, not in sync":      {1047, rotator.KindUnreachable, "Galera", true},
		"ProxySQL without backend": {9001, rotator.KindUnreachable, "ProxySQL", true},
		"a lock":                   {1205, rotator.KindConflict, "Try again", true},
	} {
		err := wrapError(t.Context(), login, operation{phase: querying},
			&driver.MySQLError{Number: c.number, Message: "m"})
		wants(t, err, c.kind, c.says)
		if rotator.Retryable(err) != c.passes {
			t.Errorf("%s: passes: %t", name, !c.passes)
		}
	}
}
