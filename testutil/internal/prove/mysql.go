package prove

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net"
	"strings"
	"sync/atomic"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/mysql"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest/census"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
	"github.com/quarterturn-dev/quarterturn/testutil/rotationtest"
)

// MySQL is MySQL or MariaDB for rotations, as Postgres is PostgreSQL.
type MySQL struct {
	Server    *dbserver.MySQLServer
	Mode      Mode
	Bootstrap string        // the function; "": the strategy runs in this process
	Peak      *atomic.Int64 // see Function
	Chaos     Chaos
}

func (p MySQL) family() string {
	if p.Server.MariaDB {
		return "mariadb"
	}
	return "mysql"
}

// Rotation makes a fixture with a pair of users of its own.
func (p MySQL) Rotation(ctx context.Context) (rotationtest.Fixture, error) {
	id := strings.ToLower(rand.Text()[:10])
	app, boss, other := "app_"+id, "boss_"+id, "other_"+id
	users := map[string]string{app: "Canary-1" + rand.Text(), boss: "Canary-1" + rand.Text(),
		other: "Canary-1" + rand.Text()}
	statements := []string{
		"CREATE DATABASE IF NOT EXISTS shop",
		"CREATE USER '" + app + "'@'%' IDENTIFIED BY '" + users[app] + "'",
		"GRANT SELECT, INSERT ON shop.* TO '" + app + "'@'%'",
		"CREATE USER '" + boss + "'@'%' IDENTIFIED BY '" + users[boss] + "'",
		"GRANT CREATE USER ON *.* TO '" + boss + "'@'%'",
		"GRANT SELECT ON mysql.* TO '" + boss + "'@'%'",
		"GRANT SELECT, INSERT ON shop.* TO '" + boss + "'@'%' WITH GRANT OPTION",
		// A bystander, with something of each kind to lose.
		"CREATE USER '" + other + "'@'%' IDENTIFIED BY '" + users[other] + "' WITH MAX_USER_CONNECTIONS 30",
		"CREATE ROLE 'role_" + id + "'", "GRANT 'role_" + id + "' TO '" + other + "'@'%'",
		"GRANT SELECT, DELETE ON shop.* TO '" + other + "'@'%'",
	}
	// Where a superuser makes the change, the name stands for several accounts.
	var hosts []string
	if p.Mode.Name != single && p.Mode.Name != dual {
		hosts = []string{"127.0.0.1", "127.0.0.2", "127.0.0.3"}
		for _, host := range hosts[1:] {
			statements = append(statements, "CREATE USER '"+app+"'@'"+host+"' IDENTIFIED BY '"+users[app]+"'",
				"GRANT SELECT, INSERT ON shop.* TO '"+app+"'@'"+host+"'")
		}
	}
	var engine strategies.CloningEngine = mysql.Engine{Roots: p.Server.CAs}
	if p.Server.MariaDB {
		statements = append(statements, "GRANT UPDATE ON mysql.* TO '"+boss+"'@'%'")
		engine = mysql.MariaDB{Roots: p.Server.CAs}
	} else if p.Mode.Name == alternating {
		// Without it, the mark of a clone that an abandoned rotation left proves nothing: what an earlier user of its
		// name has left is not seen.
		statements = append(statements, "GRANT SELECT, EVENT, TRIGGER, SHOW VIEW, PROCESS ON *.* TO '"+boss+"'@'%'")
	} else if p.Mode.Name == dual {
		statements = append(statements, "GRANT APPLICATION_PASSWORD_ADMIN ON *.* TO '"+app+"'@'%'")
	}
	if err := p.exec(ctx, statements...); err != nil {
		return rotationtest.Fixture{}, err
	}
	var target atomic.Pointer[dbserver.MySQLServer]
	target.Store(p.Server)
	// now is the server that the fixture's logins and questions go to, which changes in a failover.
	now := func() MySQL {
		q := p
		q.Server = target.Load()
		return q
	}
	current, err := p.document(app, users[app], "colour", "blue")
	if err != nil {
		return rotationtest.Fixture{}, err
	}
	superuser, err := p.document(boss, users[boss])
	if err != nil {
		return rotationtest.Fixture{}, err
	}
	if p.Server.MariaDB {
		// Without it, a first rotation that was abandoned would leave a clone that nothing proves to be one.
		superuser = superuser.Set("rotates", app+"/"+app+"_clone")
	}
	another, err := p.document(other, users[other])
	if err != nil {
		return rotationtest.Fixture{}, err
	}
	logged, err := p.Server.GeneralLog(ctx)
	if err != nil {
		return rotationtest.Fixture{}, err
	}
	f := rotationtest.Fixture{
		StrategyFixture: strategytest.StrategyFixture{
			Strategy: p.Mode.Strategy(engine),
			Current:  current,
			LogIn:    func(ctx context.Context, d secret.Document) error { return now().logIn(ctx, "127.0.0.1", d) },
			Census:   func(ctx context.Context) (map[string]string, error) { return now().census(ctx) },
			Others:   map[string]secret.Document{other: another},
			Rights: func(ctx context.Context, d secret.Document) ([]string, error) {
				return now().Server.Rights(ctx, d.Text("username"), d.Password().Reveal())
			},
			Hosts: hosts,
			LogInFrom: func(ctx context.Context, host string, d secret.Document) error {
				return now().logIn(ctx, host, d)
			},
			KeepsCurrent: p.Mode.KeepsCurrent,
			Related:      related(superuser),
		},
		Dial:                   func(ctx context.Context) (net.Conn, error) { return now().Server.Dial(ctx) },
		ContextReachesStrategy: p.Bootstrap == "",
		ServerLog: func() string {
			log, err := p.Server.GeneralLog(context.Background())
			if err != nil {
				return err.Error()
			}
			return log[len(logged):]
		},
		Refuse: p.locksUser,
		Troubles: map[string]rotationtest.Disruption{
			"read only":                   p.readOnly,
			"a backup has its lock on it": p.locked,
		},
	}
	f.Chaos = chaosOf(p.Server, p.Server.CAs != nil, target.Store)
	p.Chaos.into(&f, Function{Bootstrap: p.Chaos.Bootstrap, Env: withCA(p.Mode.Env, p.Server.CAFile),
		Timeout: functionTimeout})
	if p.Bootstrap != "" {
		f.Deploy = Function{Bootstrap: p.Bootstrap, Env: withCA(p.Mode.Env, p.Server.CAFile), Timeout: 2 * time.Minute,
			Peak: p.Peak}.Deploy
	}
	return f, nil
}

func (p MySQL) document(user, password string, more ...string) (secret.Document, error) {
	return document(p.family(), p.Server.Host, p.Server.Port, "shop", p.Server.CAs != nil, user, password, more)
}

// exec runs statements of an administrator that are in the binary log, for a standby to repeat.
func (p MySQL) exec(ctx context.Context, statements ...string) (err error) {
	db, err := p.Server.Connect(ctx, p.Server.Superuser, p.Server.Password, "")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	for _, sql := range statements {
		if _, err := db.ExecContext(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

// census is that of the server but for the superusers, which a standby has of its own.
func (p MySQL) census(ctx context.Context) (map[string]string, error) {
	all, err := p.Server.Census(ctx)
	maps.DeleteFunc(all, func(key, _ string) bool {
		user, _ := census.OfFact(key)
		name, _, _ := strings.Cut(user, "@")
		return name == p.Server.Superuser || name == "root"
	})
	return all, err
}

// logIn is a client's login, from an address of this machine.
func (p MySQL) logIn(ctx context.Context, host string, d secret.Document) error {
	const accessDenied = 1045
	db, err := p.Server.ConnectFrom(ctx, host, d.Text("username"), d.Password().Reveal(), "")
	var refused *driver.MySQLError
	switch {
	case errors.As(err, &refused) && refused.Number == accessDenied,
		// after several tries: the first of several methods has refused the password
		errors.Is(err, driver.ErrMalformPkt):
		return fmt.Errorf("user %q: %w", d.Text("username"), rotator.KindLoginRejected)
	case err != nil:
		return err
	}
	return db.Close()
}

// locksUser locks all accounts of a user.
func (p MySQL) locksUser(user string) rotationtest.Disruption {
	alter := func(ctx context.Context, how string) (err error) {
		db, err := p.Server.Connect(ctx, p.Server.Superuser, p.Server.Password, "")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, db.Close()) }()
		var accounts string
		if err := db.QueryRowContext(ctx, "SELECT GROUP_CONCAT(CONCAT('`', User, '`@`', Host, '`')) FROM mysql.user "+
			"WHERE User = '"+user+"'").Scan(&accounts); err != nil {
			return err
		}
		return p.exec(ctx, "ALTER USER "+accounts+" "+how)
	}
	return func(ctx context.Context) (func() error, error) {
		return func() error { return alter(ctx, "ACCOUNT UNLOCK") }, alter(ctx, "ACCOUNT LOCK")
	}
}

// readOnly makes the server what a reader is.
func (p MySQL) readOnly(ctx context.Context) (func() error, error) {
	name := "super_read_only"
	if p.Server.MariaDB {
		name = "read_only"
	}
	end := func() error {
		return p.Server.Exec(ctx, "SET GLOBAL super_read_only = OFF", "SET GLOBAL read_only = OFF")
	}
	if p.Server.MariaDB {
		end = func() error { return p.Server.Exec(ctx, "SET GLOBAL read_only = OFF") }
	}
	return end, p.Server.Exec(ctx, "SET GLOBAL "+name+" = ON")
}

// locked has somebody hold the lock that a backup takes.
func (p MySQL) locked(ctx context.Context) (func() error, error) {
	db, err := p.Server.Admin(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := db.ExecContext(ctx, "FLUSH TABLES WITH READ LOCK"); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db.Close, nil
}

// modes are those that the server has.
func (p MySQL) modes() []Mode {
	if p.Server.MariaDB {
		return Modes()
	}
	return append(Modes(), Mode{Name: dual, Handler: "single-user", Env: []string{"MYSQL_DUAL_PASSWORDS=true"},
		KeepsCurrent: true,
		Strategy: func(e strategies.CloningEngine) rotator.Strategy {
			return strategies.DualPasswords{Engine: e.(strategies.DualPasswordEngine)}
		}})
}

// Modes by name.
const (
	single           = "single user"
	throughSuperuser = "through superuser"
	alternating      = "alternating users"
	dual             = "dual passwords"
)

// Targets are the strategies on a server, each in this process and deployed.
func (p MySQL) Targets(built map[string]string) []Target {
	var all []Target
	for _, m := range p.modes() {
		p.Mode, p.Bootstrap, p.Peak = m, "", nil
		all = append(all, Target{p.Server.Name, m.Name, "in process", p.Rotation, nil})
		p.Bootstrap, p.Peak = built[p.family()+"-"+m.Handler], new(atomic.Int64)
		all = append(all, Target{p.Server.Name, m.Name, "process", p.Rotation, p.Peak})
	}
	return all
}
