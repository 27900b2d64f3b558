package localaws_test

import (
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
)

// broken is a privilege or state that stands in the way of a rotation of app, and
// what the preflight has to make of it.
type broken struct {
	with   string // single, superuser (single user through it), alternating or dual
	from   int    // major version
	breaks string // SQL, or
	mends  string //
	// secret makes another secret of the usual one: pairs of keys and values.
	secret func(t *testing.T, w *world) []any
	// hold keeps a session in this state meanwhile: of the superuser, or of app.
	hold, holdAsApp string
	// server is another server than the usual one, with app on it.
	server func(t *testing.T, major int) *dbserver.Server

	id, status, kind, says string
}

const (
	denied  = string(rotator.StatusDenied)
	failed  = string(rotator.StatusFailed)
	unknown = string(rotator.StatusUnknown)
	granted = string(rotator.StatusPassed) // with a sentence on what may surprise later
)

func says(pairs ...any) func(*testing.T, *world) []any {
	return func(*testing.T, *world) []any { return pairs }
}

func hba(lines ...string) func(*testing.T, int) *dbserver.Server {
	return func(t *testing.T, major int) *dbserver.Server {
		return dbserver.NewPostgres(t, dbserver.Options{Major: major, TLS: &dbserver.TLS{}, HBA: lines})
	}
}

// brokenStates is table D1 of what was found on real servers, less what only RDS
// has and no stand-in shows (PAM, rds.restrict_password_commands).
func brokenStates() map[string]broken {
	long := strings.Repeat("n", 58)
	return map[string]broken{
		// The way to the server.
		"closed port":  {with: "single", secret: func(t *testing.T, _ *world) []any { return []any{"port", dbserver.ClosedPort(t)} }, id: "T1", status: failed, kind: "unreachable", says: "refused the connection"},
		"unknown host": {with: "single", secret: says("host", "db.invalid"), id: "T1", status: failed, kind: "unreachable", says: "does not resolve"},
		"server without TLS": {with: "single", server: func(t *testing.T, major int) *dbserver.Server {
			return dbserver.NewPostgres(t, dbserver.Options{Major: major})
		}, id: "T2", status: failed, kind: "tls", says: "does not offer TLS"},
		"TLS is turned off":     {with: "single", secret: says("ssl", false), id: "T2", status: failed, kind: "tls", says: `remove "ssl": false`},
		"endpoint of RDS Proxy": {with: "single", secret: says("host", "app.proxy-abcdefghijkl.eu-west-1.rds.amazonaws.com"), id: "T3", status: failed, kind: "misconfigured", says: "Use the database endpoint"},
		"pooler in between":     {with: "single", secret: func(t *testing.T, w *world) []any { return []any{"port", forward(t, w.postgres())} }, id: "P8", status: granted, says: "a pooler in between"},
		"reader endpoint":       {with: "single", secret: readerEndpoint, id: "P4", status: failed, kind: "read only", says: "writer endpoint"},
		"no entry in pg_hba":    {with: "single", server: hba("hostssl all postgres all scram-sha-256"), id: "P3", status: failed, kind: "misconfigured", says: "needs an entry"},
		"rejected by pg_hba":    {with: "single", server: hba("hostssl all app all reject", "hostssl all all all scram-sha-256"), id: "P3", status: failed, kind: "misconfigured", says: "pg_hba.conf does not let this user in"},
		"trusted, not asked":    {with: "single", server: hba("hostssl all all all trust"), id: "P3", status: failed, kind: "misconfigured", says: "require scram-sha-256"},

		// The login.
		"wrong password":          {with: "single", secret: func(_ *testing.T, w *world) []any { return []any{"password", w.canary()} }, id: "P2", status: failed, kind: "login rejected", says: "did not accept the password"},
		"no such role":            {with: "single", secret: says("username", "nobody_there"), id: "P2", status: failed, kind: "login rejected", says: `if the role "nobody_there" does not exist`},
		"VALID UNTIL has passed":  {with: "single", breaks: "ALTER ROLE app VALID UNTIL '2001-01-01'", mends: "ALTER ROLE app VALID UNTIL 'infinity'", id: "P2", status: failed, kind: "login rejected", says: "VALID UNTIL has passed"},
		"VALID UNTIL comes soon":  {with: "single", breaks: "DO $$BEGIN EXECUTE format('ALTER ROLE app VALID UNTIL %L', now() + interval '5 days'); END$$", mends: "ALTER ROLE app VALID UNTIL 'infinity'", id: "P8", status: granted, says: `ALTER ROLE "app" VALID UNTIL 'infinity'`},
		"md5 stored, SCRAM asked": {with: "single", breaks: "SET password_encryption = 'md5'; ALTER ROLE app PASSWORD '%app'; RESET password_encryption", mends: "ALTER ROLE app PASSWORD '%app'", id: "P2", status: failed, kind: "login rejected", says: "an md5 hash under scram-sha-256"},
		"locked":                  {with: "single", breaks: "ALTER ROLE app NOLOGIN", mends: "ALTER ROLE app LOGIN", id: "P3", status: denied, kind: "insufficient privilege", says: `ALTER ROLE "app" LOGIN`},
		"no slot of the role":     {with: "single", breaks: "ALTER ROLE app CONNECTION LIMIT 0", mends: "ALTER ROLE app CONNECTION LIMIT -1", id: "P1", status: failed, kind: "too many connections", says: "CONNECTION LIMIT N"},
		"last slot of the role":   {with: "single", breaks: "ALTER ROLE app CONNECTION LIMIT 2", mends: "ALTER ROLE app CONNECTION LIMIT -1", id: "P8", status: granted, says: `ALTER ROLE "app" CONNECTION LIMIT`},
		"no slot of the database": {with: "single", breaks: "ALTER DATABASE postgres CONNECTION LIMIT 0", mends: "ALTER DATABASE postgres CONNECTION LIMIT -1", id: "P1", status: failed, kind: "too many connections", says: "CONNECTION LIMIT N"},
		"no CONNECT":              {with: "single", breaks: "REVOKE CONNECT ON DATABASE postgres FROM PUBLIC", mends: "GRANT CONNECT ON DATABASE postgres TO PUBLIC", id: "P3", status: denied, kind: "insufficient privilege", says: `GRANT CONNECT ON DATABASE "postgres" TO "app"`},
		"no such database":        {with: "single", secret: says("dbname", "nowhere"), id: "P3", status: failed, kind: "misconfigured", says: "correct dbname"},
		"database takes nobody":   {with: "single", breaks: "CREATE DATABASE closed ALLOW_CONNECTIONS false", mends: "DROP DATABASE closed", secret: says("dbname", "closed"), id: "P3", status: denied, kind: "insufficient privilege", says: `ALTER DATABASE "closed" ALLOW_CONNECTIONS true`},

		// The change.
		"IAM user":                      {with: "single", breaks: "GRANT rds_iam TO app", mends: "REVOKE rds_iam FROM app", id: "P6", status: failed, kind: "misconfigured", says: `REVOKE rds_iam FROM "app"`},
		"IAM user, through a group":     {with: "single", breaks: "CREATE ROLE people; GRANT rds_iam TO people; GRANT people TO app", mends: "DROP ROLE people", id: "P6", status: failed, kind: "misconfigured", says: `REVOKE rds_iam FROM "app" (or from the group`},
		"somebody alters the role":      {with: "single", hold: "ALTER ROLE app CONNECTION LIMIT -1", id: "P6", status: unknown, kind: "conflict", says: "Try again"},
		"superuser without CREATEROLE":  {with: "superuser", breaks: "ALTER ROLE boss NOCREATEROLE", mends: "ALTER ROLE boss CREATEROLE", id: "P6", status: denied, kind: "insufficient privilege", says: `ALTER ROLE "boss" CREATEROLE`},
		"superuser, 15 made 16":         {with: "superuser", from: 16, breaks: "REVOKE app FROM boss", mends: "GRANT app TO boss WITH ADMIN OPTION", id: "P6", status: denied, kind: "insufficient privilege", says: `GRANT "app" TO "boss" WITH ADMIN TRUE, INHERIT FALSE, SET FALSE`},
		"app is a superuser":            {with: "superuser", breaks: "ALTER ROLE app SUPERUSER", mends: "ALTER ROLE app NOSUPERUSER", id: "P6", status: denied, kind: "insufficient privilege", says: "only a superuser may change its password"},
		"app is locked, through boss":   {with: "superuser", breaks: "ALTER ROLE app NOLOGIN", mends: "ALTER ROLE app LOGIN", id: "P3", status: denied, kind: "insufficient privilege", says: `ALTER ROLE "app" LOGIN`},
		"alternating, no CREATEROLE":    {with: "alternating", breaks: "ALTER ROLE boss NOCREATEROLE", mends: "ALTER ROLE boss CREATEROLE", id: "P7", status: denied, kind: "insufficient privilege", says: `ALTER ROLE "boss" CREATEROLE`},
		"alternating, 15 made 16":       {with: "alternating", from: 16, breaks: "REVOKE app FROM boss", mends: "GRANT app TO boss WITH ADMIN OPTION", id: "P7", status: denied, kind: "insufficient privilege", says: `GRANT "app" TO "boss" WITH ADMIN TRUE, INHERIT FALSE, SET FALSE`},
		"somebody else's clone":         {with: "alternating", from: 16, breaks: "CREATE ROLE app_clone LOGIN; GRANT app TO app_clone", mends: "DROP ROLE app_clone", id: "P7", status: denied, kind: "insufficient privilege", says: `GRANT "app_clone" TO "boss" WITH ADMIN TRUE, INHERIT FALSE, SET FALSE`},
		"clone that owns a table":       {with: "alternating", breaks: "CREATE ROLE app_clone LOGIN; GRANT app TO app_clone; GRANT app_clone TO boss WITH ADMIN OPTION; CREATE TABLE its_own (); ALTER TABLE its_own OWNER TO app_clone", mends: "DROP OWNED BY app_clone; DROP ROLE app_clone", id: "P9", status: granted, says: `REASSIGN OWNED BY "app_clone" TO "app"`},
		"alternating, superuser locked": {with: "alternating", breaks: "ALTER ROLE boss NOLOGIN", mends: "ALTER ROLE boss LOGIN", id: "P3", status: denied, kind: "insufficient privilege", says: `ALTER ROLE "boss" LOGIN`},
		"alternating, original locked":  {with: "alternating", breaks: "ALTER ROLE app NOLOGIN", mends: "ALTER ROLE app LOGIN", id: "P3", status: denied, kind: "insufficient privilege", says: `ALTER ROLE "app" LOGIN`},

		// The secrets.
		"name too long for a clone": {with: "alternating", secret: says("username", long), id: "S9", status: failed, kind: "misconfigured", says: "alternateUsername"},
		"another engine":            {with: "single", secret: says("engine", "mysql"), id: "S9", status: failed, kind: "misconfigured", says: "this function rotates postgres"},
		"no superuser secret":       {with: "alternating", secret: says("masterarn", ""), id: "S10", status: failed, kind: "misconfigured", says: "key masterarn is missing"},
		"superuser of another host": {with: "alternating", secret: func(_ *testing.T, w *world) []any {
			return []any{"masterarn", w.seed("elsewhere", current(w.document("username", "boss", "password", w.canary(), "port", 1)))}
		}, id: "S10", status: failed, kind: "conflict", says: "must be the same server or its replica"},
		"superuser's wrong password": {with: "alternating", secret: func(_ *testing.T, w *world) []any {
			return []any{"masterarn", w.seed("stale", current(w.document("username", "boss", "password", w.canary())))}
		}, id: "P2", status: failed, kind: "login rejected", says: `user "boss"`},
	}
}

func readerEndpoint(t *testing.T, w *world) []any {
	reader, err := w.postgres().Standby(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reader.Close() })
	return []any{"port", reader.Port}
}

// forward is a port from which everything goes on to a server, as through a pooler.
func forward(t *testing.T, db *dbserver.Server) int {
	p := &strategytest.Proxy{Dial: db.Dial}
	if err := p.Listen(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p.Port()
}

// remarkable is what a report says beside that all is well.
func remarkable(r rotator.Report) []rotator.Finding {
	var all []rotator.Finding
	for _, f := range r.Findings {
		quiet := f.Status == rotator.StatusPassed && f.Detail == "" || f.Status == rotator.StatusInferred || f.Status == rotator.StatusSkipped || f.Deferred ||
			f.Status == rotator.StatusUnknown && (strings.Contains(f.Detail, "has accounts for other hosts") || // MySQL and MariaDB show a user but some of them,
				strings.Contains(f.Detail, "that an earlier user of that name defined, or connections of it, is not known")) // and some of the objects
		if !quiet && f.ID != "S0" {
			all = append(all, f)
		}
	}
	return all
}

func (b broken) named(found []rotator.Finding) bool {
	return len(found) == 1 && found[0].ID == b.id && string(found[0].Status) == b.status &&
		string(found[0].Kind) == b.kind && strings.Contains(found[0].Detail, b.says)
}

// counted adds up what tests that run side by side have tried, and found right.
type counted struct {
	mu           sync.Mutex
	tried, right int
}

func (c *counted) add(right bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tried++
	if right {
		c.right++
	}
}

// TestThePreflightFindsWhatIsMissing, on every server: for each broken privilege or
// state its finding and the words to paste, nothing changed by looking, and no false
// alarm before and after.
// It takes more than twenty seconds: some forty broken states for each server, with a preflight before, in and after each.
func TestThePreflightFindsWhatIsMissing(t *testing.T) {
	t.Parallel()
	var count counted
	t.Run("servers", func(t *testing.T) {
		for _, major := range dbserver.MajorsInTier(t) {
			t.Run("PostgreSQL "+strconv.Itoa(major), func(t *testing.T) {
				t.Parallel()
				states := brokenStates()
				for name, b := range states {
					if b.from > major {
						delete(states, name)
					}
				}
				open := func(b broken) database {
					if b.server != nil {
						return postgres{b.server(t, major)}
					}
					return tlsServer(t, major)
				}
				lookForAll(t, states, open, &count)
			})
		}
		for _, server := range dbserver.MySQLsInTier(t) {
			t.Run(server, func(t *testing.T) {
				t.Parallel()
				lookForAll(t, brokenOnMySQL(server), func(broken) database { return newMySQL(t, server) }, &count)
			})
		}
	})
	t.Logf("%d broken, %d named, %d wrong", count.tried, count.right, count.tried-count.right)
}

// lookForAll looks for one broken state after the other, at a place for each strategy
// where the state does not ask for one of its own.
func lookForAll(t *testing.T, states map[string]broken, open func(broken) database, count *counted) {
	places := map[string]*place{}
	for name, b := range states {
		p := places[b.with]
		if p == nil || b.server != nil {
			p = newPlace(t, b.with, open(b))
		}
		if b.server == nil {
			places[b.with] = p
		}
		count.add(p.look(t, name, b))
	}
}

// place is a world with app and its superuser in it, and their secrets.
type place struct {
	*world
	app  string // the password
	arn  string
	rest []any // of the secret
}

func newPlace(t *testing.T, with string, db database) *place {
	t.Helper()
	p := plan{db: db, handler: db.family() + "-single-user"}
	switch with {
	case "superuser":
		p.env = []string{"SINGLE_USER_THROUGH_SUPERUSER=true"}
	case "dual":
		p.env = []string{"MYSQL_DUAL_PASSWORDS=true"}
	case "alternating":
		p.handler = db.family() + "-alternating-users"
	}
	at := &place{world: newWorld(t, p)}
	at.app = at.user(db.app)
	if with == "dual" {
		at.exec("GRANT APPLICATION_PASSWORD_ADMIN ON *.* TO 'app'@'%'")
	}
	superuser := at.seed("superuser", current(at.document("username", "boss", "password", at.user(db.boss))))
	at.rest = []any{"username", "app", "password", at.app, "masterarn", superuser}
	if with == "single" { // which P8 remarks on
		at.rest = at.rest[:4]
	}
	at.arn = at.seed("app", current(at.document(at.rest...)))
	return at
}

// look breaks, looks, and mends.
func (p *place) look(t *testing.T, name string, b broken) bool {
	t.Helper()
	if b.server == nil {
		if alarms := remarkable(p.preflight(p.arn)); len(alarms) != 0 {
			t.Fatalf("before %s: a false alarm: %+v", name, alarms)
		}
	}
	p.sql(b.breaks)
	arn := p.arn
	if b.secret != nil {
		arn = p.seed(strings.NewReplacer(" ", "-", "'", "", ",", "").Replace(name), current(p.document(append(p.rest, b.secret(t, p.world)...)...)))
	}
	release := p.db.hold(t, account{Username: "app", Password: p.app}, b.hold, b.holdAsApp)
	secretBefore, accountsBefore := p.aws.AWS.Snapshot(arn), p.accountState()
	found := remarkable(p.preflight(arn))
	right := b.named(found)
	if !right {
		t.Errorf("%s: want one finding %s, %s, %s, with %q; got %+v", name, b.id, b.status, b.kind, b.says, found)
	}
	if p.accountState() != accountsBefore || !secretBefore.Equal(p.aws.AWS.Snapshot(arn)) {
		t.Errorf("%s: looking changed something", name)
	}
	release()
	p.sql(b.mends)
	if b.server == nil {
		if alarms := remarkable(p.preflight(p.arn)); len(alarms) != 0 {
			t.Errorf("%s, mended: a false alarm: %+v", name, alarms)
		}
	}
	return right
}

// sql runs statements, which "; " parts, outside of a DO.
func (p *place) sql(text string) {
	p.t.Helper()
	switch text = strings.ReplaceAll(text, "%app", p.app); {
	case text == "":
	case strings.HasPrefix(text, "DO "):
		p.exec(text)
	default:
		p.exec(strings.Split(text, "; ")...)
	}
}
