package prove

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/postgres"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
	"github.com/quarterturn-dev/quarterturn/testutil/rotationtest"
)

// Mode is one of the strategies, as the engines of this project offer it.
type Mode struct {
	Name         string
	Handler      string // after the engine's name and a dash: a folder of handlers
	Env          []string
	KeepsCurrent bool
	Strategy     func(e strategies.CloningEngine) rotator.Strategy
}

// Modes is all of them.
func Modes() []Mode {
	return []Mode{
		{Name: single, Handler: "single-user",
			Strategy: func(e strategies.CloningEngine) rotator.Strategy { return strategies.SingleUser{Engine: e} }},
		{Name: throughSuperuser, Handler: "single-user", Env: []string{"SINGLE_USER_THROUGH_SUPERUSER=true"},
			Strategy: func(e strategies.CloningEngine) rotator.Strategy {
				return strategies.SingleUser{Engine: e, ThroughSuperuser: true}
			}},
		{Name: alternating, Handler: "alternating-users", KeepsCurrent: true,
			Strategy: func(e strategies.CloningEngine) rotator.Strategy {
				return strategies.AlternatingUsers{Engine: e}
			}},
	}
}

// superuserARN names the superuser secret in every fixture.
const superuserARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:superuser-a1b2c3"

// related is the Related of a fixture: there is one superuser secret, and this is its value.
func related(superuser secret.Document) func(context.Context, string) (secret.Document, error) {
	return func(_ context.Context, id string) (secret.Document, error) {
		if id != superuserARN {
			return secret.Document{}, rotator.KindNotFound
		}
		return superuser, nil
	}
}

// document is the secret's value in every fixture; more is keys and values in turn.
func document(engine, host string, port int, dbname string, tls bool, user, password string,
	more []string) (secret.Document, error) {
	m := map[string]any{
		"engine": engine, "host": host, "port": port, "dbname": dbname, "ssl": tls,
		"username": user, "password": password, "masterarn": superuserARN,
	}
	for i := 0; i < len(more); i += 2 {
		m[more[i]] = more[i+1]
	}
	text, err := json.Marshal(m)
	if err != nil {
		return secret.Document{}, err
	}
	return secret.ParseDocument(string(text))
}

// Postgres is PostgreSQL for rotations. The line to a server without TLS is plain, so that what is
// cut is what the protocol says in one breath; trials of chaos want one with TLS.
type Postgres struct {
	Server  *dbserver.Server
	Standby *dbserver.Server // nil: nothing fails over
	Mode    Mode
	// Bootstrap is the function; "": the strategy runs in this process.
	Bootstrap string
	Peak      *atomic.Int64 // see Function
	Chaos     Chaos
}

// Rotation makes a fixture with a pair of roles of its own.
func (p Postgres) Rotation(ctx context.Context) (rotationtest.Fixture, error) {
	id := strings.ToLower(rand.Text()[:10])
	app, boss, other := "app_"+id, "boss_"+id, "other_"+id
	users := map[string]string{app: "canary-" + rand.Text(), boss: "canary-" + rand.Text(),
		other: "canary-" + rand.Text()}
	err := p.Server.Exec(ctx,
		"CREATE ROLE "+app+" LOGIN PASSWORD '"+users[app]+"'",
		"CREATE ROLE "+boss+" LOGIN CREATEROLE PASSWORD '"+users[boss]+"'",
		"GRANT "+app+" TO "+boss+" WITH ADMIN OPTION",
		// A bystander, with something of each kind to lose.
		"CREATE ROLE "+other+" LOGIN CONNECTION LIMIT 30 PASSWORD '"+users[other]+"'",
		"ALTER ROLE "+other+" SET work_mem = '6MB'", "GRANT pg_monitor, "+app+" TO "+other,
		"CREATE TABLE table_"+id+" (n int)", "ALTER TABLE table_"+id+" OWNER TO "+app,
		"GRANT SELECT ON table_"+id+" TO "+other)
	if err != nil {
		return rotationtest.Fixture{}, err
	}
	current, err := p.document(app, users[app], "colour", "blue")
	if err != nil {
		return rotationtest.Fixture{}, err
	}
	superuser, err := p.document(boss, users[boss])
	if err != nil {
		return rotationtest.Fixture{}, err
	}
	another, err := p.document(other, users[other])
	if err != nil {
		return rotationtest.Fixture{}, err
	}
	var target atomic.Pointer[dbserver.Server]
	target.Store(p.Server)
	// now is the server that the fixture's logins and questions go to, which changes in a failover.
	now := func() Postgres {
		q := p
		q.Server = target.Load()
		return q
	}
	log, err := os.Stat(p.Server.LogFile)
	if err != nil {
		return rotationtest.Fixture{}, err
	}
	f := rotationtest.Fixture{
		StrategyFixture: strategytest.StrategyFixture{
			Strategy: p.Mode.Strategy(postgres.Engine{Roots: p.Server.CAs}),
			Current:  current,
			LogIn:    func(ctx context.Context, d secret.Document) error { return now().logIn(ctx, d) },
			Census:   func(ctx context.Context) (map[string]string, error) { return now().Server.Census(ctx) },
			Others:   map[string]secret.Document{other: another},
			Rights: func(ctx context.Context, d secret.Document) ([]string, error) {
				return now().Server.Rights(ctx, d.Text("username"), d.Password().Reveal(), app, app+"_clone")
			},
			KeepsCurrent: p.Mode.KeepsCurrent,
			Related:      related(superuser),
		},
		Dial:                   func(ctx context.Context) (net.Conn, error) { return now().Server.Dial(ctx) },
		ContextReachesStrategy: p.Bootstrap == "",
		Restart:                func(ctx context.Context) error { return now().Server.Restart(ctx) },
		ServerLog:              func() string { return tail(p.Server.LogFile, log.Size()) },
		Refuse: func(user string) rotationtest.Disruption {
			return func(ctx context.Context) (func() error, error) {
				return func() error { return p.Server.Exec(ctx, "ALTER ROLE "+user+" LOGIN") },
					p.Server.Exec(ctx, "ALTER ROLE "+user+" NOLOGIN")
			}
		},
		Troubles: map[string]rotationtest.Disruption{
			"no free connection":            p.full(app, boss),
			"the accounts are being edited": p.locked(app, boss),
		},
	}
	f.Chaos = chaosOf(p.Server, p.Server.CAs != nil, target.Store)
	p.Chaos.into(&f, Function{Bootstrap: p.Chaos.Bootstrap, Env: withCA(p.Mode.Env, p.Server.CAFile),
		Timeout: functionTimeout})
	if p.Standby != nil {
		f.Troubles["failed over to a reader"] = p.failedOver(&target)
	}
	if p.Bootstrap != "" {
		f.Deploy = Function{Bootstrap: p.Bootstrap, Env: withCA(p.Mode.Env, p.Server.CAFile), Timeout: 2 * time.Minute,
			Peak: p.Peak}.Deploy
	}
	return f, nil
}

// tail is a file from an offset on.
func tail(file string, from int64) string {
	f, err := os.Open(file)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	text, err := io.ReadAll(io.NewSectionReader(f, from, math.MaxInt64-from))
	return string(text) + fmt.Sprint(err)
}

func (p Postgres) document(user, password string, more ...string) (secret.Document, error) {
	return document("postgres", p.Server.Host, p.Server.Port, "postgres", p.Server.CAs != nil, user, password, more)
}

// logIn is a client's login.
func (p Postgres) logIn(ctx context.Context, d secret.Document) error {
	conn, err := p.Server.Connect(ctx, d.Text("username"), d.Password().Reveal(), "postgres")
	var refused *pgconn.PgError
	switch {
	case errors.As(err, &refused) && refused.Code == "28P01":
		return fmt.Errorf("user %q: %w", d.Text("username"), rotator.KindLoginRejected)
	case err != nil:
		return err
	}
	return conn.Close(ctx)
}

// full leaves the roles no connection.
func (p Postgres) full(roles ...string) rotationtest.Disruption {
	limit := func(ctx context.Context, n int) error {
		for _, r := range roles {
			for _, user := range []string{r, r + "_clone"} {
				if err := p.Server.Exec(ctx, fmt.Sprintf("ALTER ROLE %s CONNECTION LIMIT %d", user, n)); err != nil &&
					!missing(err) {
					return err
				}
			}
		}
		return nil
	}
	return func(ctx context.Context) (func() error, error) {
		return func() error { return limit(ctx, -1) }, limit(ctx, 0)
	}
}

func missing(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "42704"
}

// locked has a transaction of somebody's hold what a change of the roles needs.
func (p Postgres) locked(roles ...string) rotationtest.Disruption {
	return func(ctx context.Context) (func() error, error) {
		conn, err := p.Server.Admin(ctx, "postgres")
		if err != nil {
			return nil, err
		}
		all := []string{"BEGIN"}
		for _, r := range roles {
			all = append(all, "ALTER ROLE "+r+" SET work_mem = '5MB'")
		}
		for _, sql := range all {
			if _, err := conn.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol); err != nil {
				return nil, errors.Join(err, conn.Close(ctx))
			}
		}
		return func() error { return conn.Close(ctx) }, nil // and so ROLLBACK
	}
}

// failedOver leads to a copy of the server that takes no changes, and back.
func (p Postgres) failedOver(target *atomic.Pointer[dbserver.Server]) rotationtest.Disruption {
	return func(ctx context.Context) (func() error, error) {
		if err := p.Standby.CatchUp(ctx, p.Server); err != nil {
			return nil, err
		}
		target.Store(p.Standby)
		return func() error { target.Store(p.Server); return nil }, nil
	}
}
