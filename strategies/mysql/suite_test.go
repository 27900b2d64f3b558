package mysql

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest/census"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// TestSuite is the acceptance suite for engines, on every server: in make test on MariaDB, as it takes a minute there, and
// two on MySQL.
func TestSuite(t *testing.T) {
	t.Parallel()
	trusting := server{dbserver.NewMySQL(t, dbserver.MySQLOptions{Name: "mariadb-10.11",
		Conf: map[string]string{"skip-grant-tables": "ON"}})}
	for _, name := range tier.Share(t, dbserver.MySQLs(), "mariadb-11.8") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := server{dbserver.NewMySQL(t,
				dbserver.MySQLOptions{Name: name, TLS: &dbserver.TLS{Names: []string{"127.0.0.1"}},
					Conf: map[string]string{"max-connections": "300"}})}
			plain := server{dbserver.MySQL(t, name)}
			var fixtures census.Neighbors
			strategytest.TestEngine(t, func(t *testing.T) strategytest.EngineFixture {
				return fixture(t, s, plain, trusting, &fixtures)
			})
		})
	}
}

// TestDurability is the part of the suite that restarts the server.
func TestDurability(t *testing.T) {
	t.Parallel()
	// MySQL takes two seconds for each of some twenty restarts
	for _, name := range tier.Share(t, []string{"mysql-9.7", "mariadb-11.8"}, "mariadb-11.8") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := server{dbserver.NewMySQL(t, dbserver.MySQLOptions{Name: name})}
			var fixtures census.Neighbors
			strategytest.TestDurability(t, func(t *testing.T) strategytest.EngineFixture {
				f := fixture(t, s, s, s, &fixtures)
				f.TLS, f.Restart = false, s.Restart
				return f
			})
		})
	}
}

// dropAtEnd drops accounts and their clones when a case has ended, before the server does: a census reads all accounts,
// and would take longer with each case.
func (s server) dropAtEnd(t *testing.T, users ...string) {
	t.Cleanup(func() {
		var all []string
		for _, user := range users {
			for _, host := range []string{"%", "127.0.0.2", "127.0.0.3"} {
				all = append(all, user+"@'"+host+"'", user+"_clone@'"+host+"'")
			}
		}
		ok(t, s.Exec(context.WithoutCancel(t.Context()), "DROP USER IF EXISTS "+strings.Join(all, ", ")))
	})
}

// fixture gives a user a database of its own, so that what cases revoke and own
// there is nobody else's.
func fixture(t *testing.T, s, plain, trusting server, others *census.Neighbors) strategytest.EngineFixture {
	e := engine()
	e.Roots = s.CAs
	var of strategies.Engine = e
	if s.MariaDB {
		of = MariaDB(e)
	}
	db := s.NewDatabase(t)
	in := func(s server, user, password string) strategies.Login {
		login := s.login(user, password)
		if s.MySQLServer != plain.MySQLServer {
			login.Database = db
		}
		return login
	}
	user, locked, expired, keeper, hosted := name(), name(), name(), name(), name()
	mine, pw := others.Join(user, locked, expired, keeper, hosted), "Pw1-"+password().Reveal()
	s.dropAtEnd(t, user, locked, expired, keeper, hosted)
	for at, users := range map[string][]string{"%": {user, locked, expired, keeper, hosted}, "127.0.0.2": {hosted},
		"127.0.0.3": {hosted}} {
		for _, u := range users {
			s.run(t, "CREATE USER "+u+"@'"+at+"' IDENTIFIED BY '"+pw+"'", "GRANT SELECT ON "+db+".* TO "+u+"@'"+at+"'")
		}
	}
	s.run(t, "GRANT CREATE, INSERT, ALTER ON "+db+".* TO "+user+"@'%'")
	s.run(t, "ALTER USER "+locked+"@'%' ACCOUNT LOCK", "ALTER USER "+expired+"@'%' PASSWORD EXPIRE", "CREATE TABLE "+db+
		".shared (id int)")
	plainUser, plainPw := plain.NewUser(t)
	f := strategytest.EngineFixture{
		Engine:        of,
		Superuser:     in(s, s.Superuser, s.Password),
		User:          in(s, user, pw),
		Locked:        in(s, locked, pw),
		Expired:       in(s, expired, pw),
		PlaintextOnly: with(in(plain, plainUser, plainPw), func(l *strategies.Login) { l.TLS.Disabled = false }),
		TrustedUser:   trusting.login("whoever", "whatever"),
		TLS:           true,
		ServerLog: func() string {
			general, err := s.GeneralLog(t.Context())
			ok(t, err)
			binary, err := s.BinaryLog(t.Context())
			ok(t, err)
			return general + binary + s.Log()
		},
		LogIn: e.Ping,
		Census: func(ctx context.Context) (map[string]string, error) {
			all, err := s.Census(ctx)
			return mine.Census(all, "_clone"), err
		},
		Hosted: in(s, hosted, pw),
		Hosts:  []string{"127.0.0.1", "127.0.0.2", "127.0.0.3"},
		LogInFrom: func(ctx context.Context, host string, login strategies.Login) error {
			conn, err := s.ConnectFrom(ctx, host, login.User, login.Password.Reveal(), "")
			if err != nil {
				return errors.New("login failed")
			}
			return conn.Close()
		},
		Dial: s.Dial,
	}
	f.NewUser = func(ctx context.Context, name string) (strategies.Login, error) {
		p := "Pw1-" + password().Reveal()
		mine.Owns(name)
		if strings.ContainsRune(name, 0) || len(name) > 80 && strings.HasPrefix(s.Name, "mariadb-10.5") {
			return strategies.Login{}, strategytest.ErrNotOffered
		}
		// The database is the user's of the fixture, and one has to get into it.
		who := quoteIdent(name) + "@'%'"
		return in(s, name, p), s.Exec(ctx, "CREATE USER "+who+" IDENTIFIED BY '"+p+"'", "GRANT EXECUTE ON "+db+".* TO "+
			who)
	}
	methods := map[string]string{"sha256_password": "WITH sha256_password BY '%s'",
		"caching_sha2_password": "WITH caching_sha2_password BY '%s'"}
	if s.MariaDB {
		methods = map[string]string{"ed25519": "VIA ed25519 USING PASSWORD('%s')",
			"mysql_native_password": "VIA mysql_native_password USING PASSWORD('%s') OR unix_socket"}
	} else {
		f.DualPasswordUser = in(s, keeper, pw)
		s.run(t, "GRANT APPLICATION_PASSWORD_ADMIN ON *.* TO "+keeper+"@'%'")
	}
	f.NewUserPerAuthMethod = func(ctx context.Context) (all []strategies.Login, err error) {
		if s.MariaDB {
			err = s.Exec(ctx, ed25519)
		}
		for _, by := range methods {
			user, p := name(), "Pw1-"+password().Reveal()
			mine.Owns(user)
			err = errors.Join(err, s.Exec(ctx, "CREATE USER "+user+"@'%' IDENTIFIED "+fmt.Sprintf(by, p),
				"GRANT SELECT ON "+db+".* TO "+user+"@'%'"))
			all = append(all, in(s, user, p))
		}
		return all, err
	}
	f.NewSuperuser = func(ctx context.Context, name string) (strategies.Login, error) {
		p := "Pw1-" + password().Reveal()
		who := quoteIdent(name) + "@'%'"
		return in(s, name, p), s.Exec(ctx, "CREATE USER "+who+" IDENTIFIED BY '"+p+"'", "GRANT CREATE USER ON *.* TO "+
			who, "GRANT EXECUTE ON "+db+".* TO "+who)
	}
	f.UsePrivilege = func(ctx context.Context, login strategies.Login) error {
		return s.as(ctx, login, "SELECT * FROM shared")
	}
	f.CreateObject = func(ctx context.Context, login strategies.Login, object string) error {
		return s.as(ctx, login, "CREATE TABLE "+quoteIdent(object)+" (n int)")
	}
	f.ModifyObject = func(ctx context.Context, login strategies.Login, object string) error {
		o := quoteIdent(object)
		return s.as(ctx, login, "SELECT * FROM "+o, "INSERT INTO "+o+" (n) VALUES (1)", "ALTER TABLE "+o+" ADD COLUMN "+
			name()+" int")
	}
	f.Revoke = func(ctx context.Context, user string) error {
		return s.Exec(ctx, "REVOKE SELECT ON "+db+".* FROM "+quoteIdent(user)+"@'%'")
	}
	f.SetAttribute = func(ctx context.Context, user string) error {
		return s.Exec(ctx, "ALTER USER "+quoteIdent(user)+"@'%' WITH MAX_USER_CONNECTIONS 77")
	}
	f.HasAttribute = func(ctx context.Context, user string) (bool, error) {
		conn, err := s.Admin(ctx)
		if err != nil {
			return false, err
		}
		defer conn.Close()
		var limit int
		err = conn.QueryRowContext(ctx, "SELECT max_user_connections FROM mysql.user WHERE User = "+
			quoteText(user)).Scan(&limit)
		return limit == 77, err
	}
	return f
}
