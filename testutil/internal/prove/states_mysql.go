package prove

import (
	"context"
	"fmt"
	"slices"

	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/mysql"
	"github.com/quarterturn-dev/quarterturn/testutil/rotationtest"
)

// user is what an account of MySQL or MariaDB can be that bears the clone's name.
type user struct {
	name string
	made []string // the statements that make it; nil: there is none
	ours bool     // the engine makes it
	// pair says that it was made for the secret: nobody else holds it. Otherwise it has a
	// secret of its own, unless spare.
	pair, spare bool
	goesOn      bool   // a rotation must be possible where something proves whose it is
	noLogin     bool   // nobody can log in as it
	only        string // family; "": both
	original    string // what the original may do, in all states of it
}

// mysqlUsers are those with which a pair can begin.
func mysqlUsers() []user {
	const create, like = "CREATE USER '<clone>'@'%' IDENTIFIED BY '<password>'",
		"GRANT SELECT, INSERT ON shop.* TO '<clone>'@'%'"
	template := func(more ...string) []string { return append([]string{create, like}, more...) }
	alone := func(more ...string) []string { return append([]string{create}, more...) }
	const to = " TO '<clone>'@'%'"
	return []user{
		{name: "no second account", pair: true, goesOn: true},
		{name: "a clone of ours", ours: true, pair: true, goesOn: true},
		{name: "a clone of AWS's template", made: template(), pair: true, goesOn: true},
		{name: "a clone of AWS's template that may less", made: alone("GRANT SELECT ON shop.*" + to), pair: true,
			goesOn: true},
		{name: "a clone of AWS's template that may more", made: template("GRANT DELETE ON shop.*" + to), pair: true},
		{name: "a clone of AWS's template with SELECT on everything", made: template("GRANT SELECT ON *.*" + to),
			pair: true},
		{name: "a clone of AWS's template with CREATE USER", made: template("GRANT CREATE USER ON *.*" + to),
			pair: true},
		{name: "a clone of AWS's template with ALL PRIVILEGES",
			made: template("GRANT ALL ON *.*" + to + " WITH GRANT OPTION"), pair: true},
		{name: "a clone of AWS's template with GRANT OPTION",
			made: template("GRANT SELECT ON shop.*" + to + " WITH GRANT OPTION"), pair: true},
		{name: "a clone of AWS's template with a role", made: template("GRANT '<group>'" + to), pair: true},
		{name: "a clone of AWS's template with a proxy", made: template("GRANT PROXY ON '<other>'@'%'" + to),
			pair: true},
		{name: "a clone of AWS's template with a limit",
			made: template("ALTER USER '<clone>'@'%' WITH MAX_USER_CONNECTIONS 9"), pair: true, goesOn: true},
		{name: "a clone of AWS's template with ACCOUNT LOCK", made: template("ALTER USER '<clone>'@'%' ACCOUNT LOCK"),
			pair: true, noLogin: true},
		{name: "a clone of AWS's template that is expired", made: template("ALTER USER '<clone>'@'%' PASSWORD EXPIRE"),
			pair: true, noLogin: true},
		{name: "a clone of AWS's template that wants TLS", made: template("ALTER USER '<clone>'@'%' REQUIRE SSL"),
			pair: true, noLogin: true},
		{name: "a clone of AWS's template with a counter",
			made: template("ALTER USER '<clone>'@'%' FAILED_LOGIN_ATTEMPTS 30 PASSWORD_LOCK_TIME UNBOUNDED"),
			pair: true, goesOn: true, only: "mysql"},
		{name: "a clone of AWS's template with a history",
			made: template("ALTER USER '<clone>'@'%' PASSWORD HISTORY 5"), pair: true, goesOn: true, only: "mysql"},
		{name: "a clone of AWS's template with another plugin",
			made: []string{"CREATE USER '<clone>'@'%' IDENTIFIED WITH sha256_password BY '<password>'", like},
			pair: true, only: "mysql", noLogin: true},
		{name: "a clone of AWS's template for one host more",
			made: template("CREATE USER '<clone>'@'127.0.0.2' IDENTIFIED BY '<password>'",
				"GRANT SELECT, INSERT ON shop.* TO '<clone>'@'127.0.0.2'"), pair: true},
		{name: "a stranger", made: alone()},
		{name: "a stranger with the same privileges", made: template()},
		{name: "a stranger with other privileges", made: alone("GRANT DELETE ON shop.*" + to)},
		{name: "a stranger with CREATE USER", made: alone("GRANT CREATE USER ON *.*" + to)},
		{name: "a stranger with ALL PRIVILEGES", made: alone("GRANT ALL ON *.*" + to + " WITH GRANT OPTION")},
		{name: "a stranger with a role", made: alone("GRANT '<group>'" + to)},
		{name: "a stranger that is locked on one host more",
			made: []string{create, like, "CREATE USER '<clone>'@'127.0.0.2' IDENTIFIED BY '<password>' ACCOUNT LOCK",
				"GRANT SELECT, INSERT ON shop.* TO '<clone>'@'127.0.0.2'"}},
		{name: "a stranger that wants a certificate on one host more",
			made: []string{create, like, "CREATE USER '<clone>'@'127.0.0.2' IDENTIFIED BY '<password>' REQUIRE X509",
				"GRANT SELECT, INSERT ON shop.* TO '<clone>'@'127.0.0.2'"}},
		{name: "a stranger on another host",
			made: []string{"CREATE USER '<clone>'@'127.0.0.1' IDENTIFIED BY '<password>'",
				"GRANT DELETE ON shop.* TO '<clone>'@'127.0.0.1'"}},
		{name: "a stranger without a secret", made: alone(), spare: true},
		{name: "a stranger without a secret, with other privileges", made: alone("GRANT DELETE ON shop.*" + to),
			spare: true},
		{name: "a stranger without a secret, with CREATE USER", made: alone("GRANT CREATE USER ON *.*" + to),
			spare: true},
		{name: "a stranger without a secret, with ALL PRIVILEGES",
			made: alone("GRANT ALL ON *.*" + to + " WITH GRANT OPTION"), spare: true},
		{name: "a stranger without a secret, as which another account may act",
			made: alone("GRANT PROXY ON '<clone>'@'%' TO '<other>'@'%'"), spare: true},
		{name: "a stranger that is marked as another's clone", made: alone(`ALTER USER '<clone>'@'%' ATTRIBUTE '{"quarterturn": {"clone_of": "<other>"}, "clone_of": "<app>"}'`), only: "mysql"},
		{name: "a stranger that CREATE USER was enough to mark", made: template(`ALTER USER '<clone>'@'%' ATTRIBUTE '{"quarterturn": {"clone_of": "<app>"}}'`), only: "mysql", original: "SYSTEM_USER"},
		{name: "a stranger whose name ends in a space",
			made: []string{"CREATE USER '<clone> '@'%' IDENTIFIED BY '<password>'"}, spare: true, noLogin: true,
			only: "mariadb"},
		{name: "strangers whose names look like it",
			made: []string{"CREATE USER '<clone>\u00a0'@'%' IDENTIFIED BY '<password>', '<clone>\u200b'@'%' " +
				"IDENTIFIED BY '<password>'"}, spare: true, noLogin: true},
		{name: "a role of that name", made: []string{"CREATE ROLE '<clone>'"}, spare: true, noLogin: true},
	}
}

func mysqlActors() map[string][]string {
	return map[string][]string{
		"a superuser": {"ALL ON *.* TO '<boss>'@'%' WITH GRANT OPTION"},
		"an account as told to": {"CREATE USER ON *.* TO '<boss>'@'%'", "SELECT, UPDATE ON mysql.* TO '<boss>'@'%'",
			"SELECT, INSERT, DELETE ON shop.* TO '<boss>'@'%' WITH GRANT OPTION"},
		"an RDS-like master": {"SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, RELOAD, PROCESS, REFERENCES, INDEX, " +
			"ALTER, SHOW DATABASES, CREATE TEMPORARY TABLES, LOCK TABLES, EXECUTE," +
			" CREATE VIEW, SHOW VIEW, CREATE ROUTINE, ALTER ROUTINE, CREATE USER, EVENT, TRIGGER ON *.* TO " +
			"'<boss>'@'%' WITH GRANT OPTION"},
		"an account without more": nil,
	}
}

// mysqlState is one of the generated ones.
type mysqlState struct {
	MySQL
	pairState
	user user
}

// States are generated as those of PostgreSQL are.
func (p MySQL) States() []State {
	all := p.soloStates()
	actors := []string{"an account as told to", "a superuser", "an RDS-like master"}
	add := func(s mysqlState) {
		s.MySQL, s.second = p, s.user.name
		if s.user.original != "" && s.original == "" {
			s.original = s.user.original
			if s.actor != "an account without more" {
				s.actor = "a superuser"
			}
		}
		exists := s.user.made != nil || s.user.ours
		switch {
		case s.user.only != "" && s.user.only != p.family(),
			s.evidence.pairsOnly && (!s.user.goesOn || !exists && s.evidence.pending == "right"),
			s.back && (!exists || s.user.noLogin),
			s.evidence.previous == "right" && (!exists || s.user.noLogin):
			return
		}
		proved := !exists || s.evidence.consents || s.evidence.previous == "right" || s.evidence.pending == "right" ||
			s.user.ours && !p.Server.MariaDB && !s.back && s.actor != "an account as told to" // which sees too little
		goesOn := s.user.goesOn && proved && s.original == "" && !s.victim && !s.named &&
			s.actor != "an account without more"
		all = append(all, State{Name: s.name(), Strategy: "alternating users", Rotation: s.rotation, GoesOn: goesOn})
	}
	for i, u := range mysqlUsers() {
		for j, e := range evidences() {
			add(mysqlState{user: u, pairState: pairState{evidence: e, actor: actors[(i+j)%3], hosts: (i+j)%2 == 1}})
			if !e.other {
				add(mysqlState{user: u, pairState: pairState{evidence: e, actor: actors[(i+j+1)%3], back: true,
					victim: !u.pair, hosts: (i+j)%2 == 0 && u.ours}})
				add(mysqlState{user: u, pairState: pairState{evidence: e, actor: actors[(i+j+2)%3], named: true}})
			}
		}
		add(mysqlState{user: u, pairState: pairState{actor: "an account without more", evidence: evidences()[0]}})
		for _, original := range []string{"ALL", "CREATE USER", "SELECT", "itself"} {
			add(mysqlState{user: u, pairState: pairState{evidence: evidences()[i%4], actor: "a superuser",
				original: original, back: true, victim: !u.pair}})
		}
		// The superuser of the secret, with no more power than the account in use.
		add(mysqlState{user: u, pairState: pairState{evidence: evidences()[3], actor: "an account as told to",
			original: "itself", back: true, victim: !u.pair}})
	}
	return all
}

func (p MySQL) engine() strategies.CloningEngine {
	if p.Server.MariaDB {
		return mysql.MariaDB{}
	}
	return mysql.Engine{}
}

// accounts makes those of a state, but for the second of a pair.
func (p MySQL) accounts(ctx context.Context, c cast, actor string, hosts ...string) error {
	create := func(user, host string) string {
		return "CREATE USER '" + user + "'@'" + host + "' IDENTIFIED BY '" + c.password[user] + "'"
	}
	statements := []string{
		"CREATE DATABASE IF NOT EXISTS shop", "CREATE ROLE '<group>'", "GRANT DELETE ON shop.* TO '<group>'",
		create(c.other, "%"), "GRANT SELECT ON shop.* TO '<other>'@'%'", "GRANT '<group>' TO '<other>'@'%'",
		create(c.boss, "%"),
	}
	for _, grant := range mysqlActors()[actor] {
		statements = append(statements, "GRANT "+grant)
	}
	for _, host := range hosts {
		if c.app != c.boss {
			statements = append(statements, create(c.app, host), "GRANT SELECT, INSERT ON shop.* TO '<app>'@'"+host+"'")
		}
	}
	return p.Server.Exec(ctx, c.fill(statements)...)
}

func (s mysqlState) rotation(ctx context.Context) (f rotationtest.Fixture, err error) {
	c := s.cast()
	hosts := []string{"%"}
	if s.hosts {
		hosts = append(hosts, "127.0.0.2", "127.0.0.3")
	}
	err = s.accounts(ctx, c, s.actor, hosts...)
	if err == nil && c.app != c.boss && s.original != "" {
		err = s.Server.Exec(ctx, c.fill([]string{"GRANT " + s.original + " ON *.* TO '<app>'@'%'"})...)
	}
	if err != nil {
		return f, fmt.Errorf("%s: %w", s.name(), err)
	}
	if s.user.ours {
		boss := strategies.Login{Host: s.Server.Host, Port: s.Server.Port, User: s.Server.Superuser,
			Password: secret.NewPassword(s.Server.Password), TLS: strategies.TLS{Disabled: true}}
		pair := strategies.Pair{Original: c.app, Clone: c.clone, Target: c.clone}
		if lines := s.systemUser(); lines != nil { // which no rotation gives: an administrator does, and consents
			pair.Consent = true
			if err := s.Server.Exec(ctx, c.fill(lines)...); err != nil {
				return f, fmt.Errorf("%s: %w", s.name(), err)
			}
		}
		if err := s.engine().EnsureClone(ctx, boss, pair, secret.NewPassword(c.password[c.clone])); err != nil {
			return f, fmt.Errorf("%s: %w", s.name(), err)
		}
	}
	if err := s.Server.Exec(ctx, c.fill(s.user.made)...); err != nil {
		return f, fmt.Errorf("%s: %w", s.name(), err)
	}
	return s.fixture(c)
}

// systemUser makes the clone of an original that has SYSTEM_USER; nil: it has not.
func (s mysqlState) systemUser() []string {
	option := map[string]string{"ALL": "", itself: " WITH GRANT OPTION"}
	grants, has := option[s.original]
	if !has || s.Server.MariaDB || s.actor != "a superuser" {
		return nil
	}
	return []string{"CREATE USER '<clone>'@'%' IDENTIFIED BY RANDOM PASSWORD " +
		`ATTRIBUTE '{"quarterturn":{"clone_of":"<app>"}}'`, "GRANT SYSTEM_USER ON *.* TO '<clone>'@'%'" + grants}
}

func (s mysqlState) fixture(c cast) (rotationtest.Fixture, error) {
	stranger := s.user.made != nil && !s.user.pair && !s.user.spare
	f, err := s.stateFixture(scene{cast: c, evidence: s.evidence, back: s.back, named: s.named, victim: s.victim,
		stranger: stranger})
	f.Strategy = strategies.AlternatingUsers{Engine: s.engine()}
	return f, err
}

func (p MySQL) stateFixture(s scene) (rotationtest.Fixture, error) {
	s.base = map[string]any{"engine": p.family(), "host": p.Server.Host, "port": p.Server.Port, "dbname": "shop",
		"ssl": false}
	f, err := s.fixture()
	f.LogIn = func(ctx context.Context, d secret.Document) error { return p.logIn(ctx, "127.0.0.1", d) }
	f.Hosts, f.LogInFrom = []string{"127.0.0.1", "127.0.0.2", "127.0.0.3"}, p.logIn
	f.Census = p.Server.Census
	f.Rights = func(ctx context.Context, d secret.Document) ([]string, error) {
		rights, err := p.Server.Rights(ctx, d.Text("username"), d.Password().Reveal())
		if s.evidence.consents {
			rights = administrative(rights)
		}
		return rights, err
	}
	return f, err
}

// mysqlSolos are what the account of a secret can be that rotates alone.
func mysqlSolos() []solo {
	const alter, ed25519 = "ALTER USER '<app>'@'%' ", "INSTALL PLUGIN IF NOT EXISTS ed25519 SONAME 'auth_ed25519'"
	return []solo{
		{name: "an account", goesOn: true},
		{name: "an account on three hosts", hosts: []string{"127.0.0.2", "127.0.0.3"}, strict: true},
		{name: "an account on localhost as well", hosts: []string{"localhost"}, strict: true},
		{name: "an account on one host more that is another owner's", hosts: []string{"127.0.0.2"},
			made: []string{"ALTER USER '<app>'@'127.0.0.2' IDENTIFIED BY '<password>'"}, strict: true, once: true,
			twin: true},
		{name: "an account that is locked", made: []string{alter + "ACCOUNT LOCK"}, once: true},
		{name: "an account that is locked on one host more", hosts: []string{"127.0.0.2"},
			made: []string{"ALTER USER '<app>'@'127.0.0.2' ACCOUNT LOCK"}, strict: true, once: true},
		{name: "an account that is expired", made: []string{alter + "PASSWORD EXPIRE"}, once: true, expired: true},
		{name: "an account that expires", made: []string{alter + "PASSWORD EXPIRE INTERVAL 1 DAY"}, goesOn: true},
		{name: "an account that wants TLS", made: []string{alter + "REQUIRE SSL"}, once: true},
		{name: "an account with a limit", made: []string{alter + "WITH MAX_USER_CONNECTIONS 30"}, goesOn: true},
		{name: "an account that no refused login may meet",
			made: []string{alter + "FAILED_LOGIN_ATTEMPTS 1 PASSWORD_LOCK_TIME UNBOUNDED"}, once: true, only: "mysql"},
		{name: "an account with a history", made: []string{alter + "PASSWORD HISTORY 5 PASSWORD REUSE INTERVAL 9 DAY"},
			goesOn: true, only: "mysql"},
		{name: "an account that must name its password", made: []string{alter + "PASSWORD REQUIRE CURRENT"},
			goesOn: true, only: "mysql"},
		{name: "an account with a retained password",
			made: []string{alter + "IDENTIFIED BY '<password>'",
				alter + "IDENTIFIED BY '<app's password>' RETAIN CURRENT PASSWORD"}, only: "mysql"},
		{name: "an account of sha256_password",
			made: []string{alter + "IDENTIFIED WITH sha256_password BY '<app's password>'"}, only: "mysql"},
		{name: "an account of ed25519",
			made: []string{ed25519, "ALTER USER '<app>'@'%' IDENTIFIED VIA ed25519 USING PASSWORD('<app's password>')"},
			only: "mariadb", goesOn: true},
		{name: "an account of unix_socket or a password",
			made: []string{"ALTER USER '<app>'@'%' IDENTIFIED VIA unix_socket OR mysql_native_password USING " +
				"PASSWORD('<app's password>')"}, only: "mariadb", goesOn: true},
		{name: "an account with two passwords", made: []string{ed25519,
			"ALTER USER '<app>'@'%' IDENTIFIED VIA ed25519 USING PASSWORD('<app's password>') OR " +
				"mysql_native_password USING PASSWORD('<app's password>')"}, goesOn: true, only: "mariadb"},
		{name: "an account with a role", made: []string{"GRANT '<group>' TO '<app>'@'%'"}, goesOn: true},
		{name: "an account with CREATE USER", made: []string{"GRANT CREATE USER ON *.* TO '<app>'@'%'"}},
		{name: "an account with ALL PRIVILEGES", made: []string{"GRANT ALL ON *.* TO '<app>'@'%' WITH GRANT OPTION"}},
		{name: "an account with ALL PRIVILEGES on one host more", hosts: []string{"127.0.0.2"},
			made: []string{"GRANT ALL ON *.* TO '<app>'@'127.0.0.2' WITH GRANT OPTION"}, strict: true},
	}
}

// soloStates rotate one account, by itself and through a superuser.
func (p MySQL) soloStates() []State {
	var all []State
	solos := slices.DeleteFunc(mysqlSolos(), func(a solo) bool { return a.only != "" && a.only != p.family() })
	for _, s := range soloStates(p.modes(), solos,
		[]string{"an account as told to", "a superuser", "an RDS-like master"}, "an account without more") {
		all = append(all, s.state(p.engine(), func(ctx context.Context, c cast) (rotationtest.Fixture, error) {
			err := p.accounts(ctx, c, s.actor, append([]string{"%"}, s.hosts...)...)
			if err == nil && s.mode.Name == dual {
				err = p.Server.Exec(ctx, c.fill([]string{"GRANT APPLICATION_PASSWORD_ADMIN ON *.* TO '<app>'@'%'"})...)
			}
			if err == nil {
				err = p.Server.Exec(ctx, c.fill(s.made)...)
			}
			if err != nil {
				return rotationtest.Fixture{}, err
			}
			return p.stateFixture(s.scene(c))
		}))
	}
	return all
}
