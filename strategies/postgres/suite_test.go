package postgres

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

// TestSuite is the acceptance suite for engines, on every version: in make test on the newest, as it takes a minute.
func TestSuite(t *testing.T) {
	t.Parallel()
	trusting := server{dbserver.NewPostgres(t, dbserver.Options{HBA: []string{"host all all all trust"}})}
	for _, major := range tier.Share(t, dbserver.Majors(), 18) {
		t.Run(fmt.Sprint(major), func(t *testing.T) {
			t.Parallel()
			s := server{dbserver.NewPostgres(t,
				dbserver.Options{Major: major, TLS: &dbserver.TLS{Names: []string{"127.0.0.1"}}})}
			plain := server{dbserver.Postgres(t, major)}
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
	s := server{dbserver.NewPostgres(t, dbserver.Options{})}
	trusting := server{dbserver.NewPostgres(t, dbserver.Options{HBA: []string{"host all all all trust"}})}
	var fixtures census.Neighbors
	strategytest.TestDurability(t, func(t *testing.T) strategytest.EngineFixture {
		f := fixture(t, s, s, trusting, &fixtures)
		f.TLS, f.Restart = false, s.Restart
		return f
	})
}

// fixture gives a user a database of its own, so that what cases revoke and own
// there is nobody else's.
func fixture(t *testing.T, s, plain, trusting server, others *census.Neighbors) strategytest.EngineFixture {
	e := engine()
	e.Roots = s.CAs
	in := func(s server, user, password, database string) strategies.Login {
		login := s.login(user, password)
		login.Database, login.TLS.Disabled = database, s.CAs == nil
		return login
	}
	user, locked, pw := "user_"+secretless(), "locked_"+secretless(), "pw"+secretless()
	mine := others.Join(user, locked)
	s.run(t, "CREATE ROLE "+user+" LOGIN PASSWORD '"+pw+"'", "CREATE ROLE "+locked+" NOLOGIN PASSWORD '"+pw+"'")
	db := s.NewDatabase(t, user)
	plainUser, plainPw := plain.NewRole(t, "LOGIN")
	anyUser, anyPw := trusting.NewRole(t, "LOGIN")
	f := strategytest.EngineFixture{
		Engine:      e,
		Superuser:   in(s, s.Superuser, s.Password, db),
		User:        in(s, user, pw, db),
		Locked:      in(s, locked, pw, db),
		TrustedUser: in(trusting, anyUser, anyPw, "postgres"),
		PlaintextOnly: with(in(plain, plainUser, plainPw, "postgres"), func(l *strategies.Login) {
			l.TLS.Disabled = false
		}),
		TLS:         true,
		ServerLog:   s.Log,
		CancelGrace: 0,
		LogIn:       e.Ping,
		Census: func(ctx context.Context) (map[string]string, error) {
			all, err := s.Census(ctx)
			return mine.Census(all, "_clone"), err
		},
		Dial: s.Dial,
	}
	admin := func(ctx context.Context, sql string) error {
		conn, err := s.Admin(ctx, db)
		if err != nil {
			return err
		}
		defer conn.Close(context.Background())
		_, err = conn.PgConn().Exec(ctx, sql).ReadAll()
		return err
	}
	client := func(ctx context.Context, login strategies.Login, sql string) error {
		conn, err := s.Connect(ctx, login.User, login.Password.Reveal(), login.Database)
		if err != nil {
			return errors.New("login failed")
		}
		defer conn.Close(context.Background())
		_, err = conn.PgConn().Exec(ctx, sql).ReadAll()
		return err
	}
	ok(t, admin(t.Context(),
		fmt.Sprintf("CREATE SCHEMA work AUTHORIZATION %s; CREATE TABLE work.shared (id int); GRANT SELECT ON "+
			"work.shared TO %s", user, user)))
	f.NewUser = func(ctx context.Context, name string) (strategies.Login, error) {
		p := "pw" + strings.ToLower(password().Reveal())
		mine.Owns(name)
		if strings.ContainsRune(name, 0) {
			return strategies.Login{}, strategytest.ErrNotOffered
		}
		return in(s, name, p, db), admin(ctx, fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s'", quoteIdent(name), p))
	}
	f.NewSuperuser = func(ctx context.Context, name string) (strategies.Login, error) {
		p := "pw" + strings.ToLower(password().Reveal())
		return in(s, name, p, db),
			admin(ctx, fmt.Sprintf("CREATE ROLE %s LOGIN CREATEROLE PASSWORD '%s'", quoteIdent(name), p))
	}
	f.UsePrivilege = func(ctx context.Context, login strategies.Login) error {
		return client(ctx, login, "SELECT * FROM work.shared")
	}
	f.CreateObject = func(ctx context.Context, login strategies.Login, object string) error {
		return client(ctx, login, "CREATE TABLE work."+quoteIdent(object)+" (n int)")
	}
	f.ModifyObject = func(ctx context.Context, login strategies.Login, object string) error {
		o := "work." + quoteIdent(object)
		return client(ctx, login, "SELECT * FROM "+o+"; INSERT INTO "+o+" (n) VALUES (1); ALTER TABLE "+o+
			" ADD COLUMN m"+secretless()+" int")
	}
	f.Revoke = func(ctx context.Context, user string) error {
		return admin(ctx, "REVOKE SELECT ON work.shared FROM "+quoteIdent(user))
	}
	f.SetAttribute = func(ctx context.Context, user string) error {
		return admin(ctx, "ALTER ROLE "+quoteIdent(user)+" CONNECTION LIMIT 77")
	}
	f.HasAttribute = func(ctx context.Context, user string) (bool, error) {
		conn, err := s.Admin(ctx, db)
		if err != nil {
			return false, err
		}
		defer conn.Close(context.Background())
		var limit int
		err = conn.QueryRow(ctx, "SELECT rolconnlimit FROM pg_roles WHERE rolname = $1", user).Scan(&limit)
		return limit == 77, err
	}
	return f
}

// secretless makes a part of a name.
func secretless() string { return strings.ToLower(strings.TrimPrefix(password().Reveal(), "canary-")) }
