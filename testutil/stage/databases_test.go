package stage_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
)

// database is a throwaway server, as far as all kinds are alike.
type database interface {
	// where is the keys of a secret that say which server it is for.
	where() map[string]any
	caFile() string // "": the server has no TLS
	// Exec runs statements as an administrator, in no log.
	Exec(ctx context.Context, sql ...string) error
	// as logs in and runs statements. Its error shows no password.
	as(ctx context.Context, a account, sql ...string) error
	// app and boss are the statements that make the user of a secret, and a superuser
	// who may rotate it and no more.
	app(password string) []string
	boss(password string) []string
	// state is what the server stores of all accounts, hashed.
	state(ctx context.Context) (string, error)
	// logs is all that the server writes down and anybody might read, logins how often
	// a function logged in by that, and written how often something was changed.
	logs() string
	logins() int
	written() int
}

// postgres is a server of PostgreSQL.
type postgres struct{ *dbserver.Server }

func tlsServer(t testing.TB, major int) postgres {
	t.Helper()
	return postgres{dbserver.NewPostgres(t, dbserver.Options{Major: major, TLS: &dbserver.TLS{}, HBA: []string{"hostssl all all all scram-sha-256"}})}
}

func newest() int { return dbserver.Majors()[len(dbserver.Majors())-1] }

// postgres is the world's server, for what other kinds have nothing like.
func (w *world) postgres() *dbserver.Server { return w.db.(postgres).Server }

func (p postgres) where() map[string]any {
	return map[string]any{"engine": "postgres", "host": p.Host, "port": p.Port, "dbname": "postgres"}
}

func (p postgres) caFile() string { return p.CAFile }

func (p postgres) as(ctx context.Context, a account, sql ...string) error {
	conn, err := p.Connect(ctx, a.Username, a.Password, "postgres")
	if err != nil {
		return fmt.Errorf("login as %s: refused", a.Username)
	}
	defer conn.Close(context.Background())
	for _, s := range sql {
		if _, err := conn.Exec(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

func (postgres) app(password string) []string {
	return []string{"CREATE ROLE app LOGIN PASSWORD '" + password + "'"}
}

// boss is what RDS calls a superuser: CREATEROLE, and ADMIN OPTION on app.
func (postgres) boss(password string) []string {
	return []string{"CREATE ROLE boss LOGIN CREATEROLE PASSWORD '" + password + "'", "GRANT app TO boss WITH ADMIN OPTION"}
}

func (p postgres) state(ctx context.Context) (state string, err error) {
	conn, err := p.Admin(ctx, "postgres")
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	err = conn.QueryRow(ctx, "SELECT md5(string_agg(a::text, ',' ORDER BY oid)) FROM pg_authid a").Scan(&state)
	return state, err
}

func (p postgres) logs() string { return p.Log() }
func (p postgres) logins() int  { return strings.Count(p.Log(), "application_name=quarterturn") }
func (p postgres) written() int { return strings.Count(p.Log(), "statement: COMMIT") }
