package prove

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/mysql"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest"
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
}

// mysqlUsers are those with which a pair can begin.
func mysqlUsers() []user {
	const create, like = "CREATE USER '<clone>'@'%' IDENTIFIED BY '<password>'", "GRANT SELECT, INSERT ON shop.* TO '<clone>'@'%'"
	template := func(more ...string) []string { return append([]string{create, like}, more...) }
	alone := func(more ...string) []string { return append([]string{create}, more...) }
	const to = " TO '<clone>'@'%'"
	return []user{
		{name: "no second account", pair: true, goesOn: true},
		{name: "a clone of ours", ours: true, pair: true, goesOn: true},
		{name: "a clone of AWS's template", made: template(), pair: true, goesOn: true},
		{name: "a clone of AWS's template that may less", made: alone("GRANT SELECT ON shop.*" + to), pair: true, goesOn: true},
		{name: "a clone of AWS's template that may more", made: template("GRANT DELETE ON shop.*" + to), pair: true},
		{name: "a clone of AWS's template with SELECT on everything", made: template("GRANT SELECT ON *.*" + to), pair: true},
		{name: "a clone of AWS's template with CREATE USER", made: template("GRANT CREATE USER ON *.*" + to), pair: true},
		{name: "a clone of AWS's template with ALL PRIVILEGES", made: template("GRANT ALL ON *.*" + to + " WITH GRANT OPTION"), pair: true},
		{name: "a clone of AWS's template with GRANT OPTION", made: template("GRANT SELECT ON shop.*" + to + " WITH GRANT OPTION"), pair: true},
		{name: "a clone of AWS's template with a role", made: template("GRANT '<group>'" + to), pair: true},
		{name: "a clone of AWS's template with a proxy", made: template("GRANT PROXY ON '<other>'@'%'" + to), pair: true},
		{name: "a clone of AWS's template with a limit", made: template("ALTER USER '<clone>'@'%' WITH MAX_USER_CONNECTIONS 9"), pair: true, goesOn: true},
		{name: "a clone of AWS's template with ACCOUNT LOCK", made: template("ALTER USER '<clone>'@'%' ACCOUNT LOCK"), pair: true, noLogin: true},
		{name: "a clone of AWS's template that is expired", made: template("ALTER USER '<clone>'@'%' PASSWORD EXPIRE"), pair: true, noLogin: true},
		{name: "a clone of AWS's template that wants TLS", made: template("ALTER USER '<clone>'@'%' REQUIRE SSL"), pair: true, noLogin: true},
		{name: "a clone of AWS's template with a counter", made: template("ALTER USER '<clone>'@'%' FAILED_LOGIN_ATTEMPTS 30 PASSWORD_LOCK_TIME UNBOUNDED"), pair: true, goesOn: true, only: "mysql"},
		{name: "a clone of AWS's template with a history", made: template("ALTER USER '<clone>'@'%' PASSWORD HISTORY 5"), pair: true, goesOn: true, only: "mysql"},
		{name: "a clone of AWS's template with another plugin", made: []string{"CREATE USER '<clone>'@'%' IDENTIFIED WITH sha256_password BY '<password>'", like}, pair: true, only: "mysql", noLogin: true},
		{name: "a clone of AWS's template for one host more", made: template("CREATE USER '<clone>'@'127.0.0.2' IDENTIFIED BY '<password>'", "GRANT SELECT, INSERT ON shop.* TO '<clone>'@'127.0.0.2'"), pair: true},
		{name: "a stranger", made: alone()},
		{name: "a stranger with the same privileges", made: template()},
		{name: "a stranger with other privileges", made: alone("GRANT DELETE ON shop.*" + to)},
		{name: "a stranger with CREATE USER", made: alone("GRANT CREATE USER ON *.*" + to)},
		{name: "a stranger with ALL PRIVILEGES", made: alone("GRANT ALL ON *.*" + to + " WITH GRANT OPTION")},
		{name: "a stranger with a role", made: alone("GRANT '<group>'" + to)},
		{name: "a stranger that is locked on one host more", made: []string{create, like, "CREATE USER '<clone>'@'127.0.0.2' IDENTIFIED BY '<password>' ACCOUNT LOCK", "GRANT SELECT, INSERT ON shop.* TO '<clone>'@'127.0.0.2'"}},
		{name: "a stranger that wants a certificate on one host more", made: []string{create, like, "CREATE USER '<clone>'@'127.0.0.2' IDENTIFIED BY '<password>' REQUIRE X509", "GRANT SELECT, INSERT ON shop.* TO '<clone>'@'127.0.0.2'"}},
		{name: "a stranger on another host", made: []string{"CREATE USER '<clone>'@'127.0.0.1' IDENTIFIED BY '<password>'", "GRANT DELETE ON shop.* TO '<clone>'@'127.0.0.1'"}},
		{name: "a stranger without a secret", made: alone(), spare: true},
		{name: "a stranger without a secret, with other privileges", made: alone("GRANT DELETE ON shop.*" + to), spare: true},
		{name: "a stranger without a secret, with CREATE USER", made: alone("GRANT CREATE USER ON *.*" + to), spare: true},
		{name: "a stranger without a secret, with ALL PRIVILEGES", made: alone("GRANT ALL ON *.*" + to + " WITH GRANT OPTION"), spare: true},
		{name: "a stranger that is marked as another's clone", made: alone(`ALTER USER '<clone>'@'%' ATTRIBUTE '{"quarterturn": {"clone_of": "<other>"}, "clone_of": "<app>"}'`), only: "mysql"},
		{name: "a role of that name", made: []string{"CREATE ROLE '<clone>'"}, spare: true, noLogin: true},
	}
}

func mysqlActors() map[string][]string {
	return map[string][]string{
		"a superuser":           {"ALL ON *.* TO '<boss>'@'%' WITH GRANT OPTION"},
		"an account as told to": {"CREATE USER ON *.* TO '<boss>'@'%'", "SELECT, UPDATE ON mysql.* TO '<boss>'@'%'", "SELECT, INSERT, DELETE ON shop.* TO '<boss>'@'%' WITH GRANT OPTION"},
		"an RDS-like master": {"SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, RELOAD, PROCESS, REFERENCES, INDEX, ALTER, SHOW DATABASES, CREATE TEMPORARY TABLES, LOCK TABLES, EXECUTE," +
			" CREATE VIEW, SHOW VIEW, CREATE ROUTINE, ALTER ROUTINE, CREATE USER, EVENT, TRIGGER ON *.* TO '<boss>'@'%' WITH GRANT OPTION"},
		"an account without more": nil,
	}
}

// mysqlState is one of the generated ones.
type mysqlState struct {
	MySQL
	user     user
	evidence evidence
	actor    string
	original string // what it is granted on *.*; "itself": it is the superuser of the secret
	back     bool   // the clone is in use
	named    bool   // the secret has alternateUsername
	victim   bool   // the original belongs to another secret
	hosts    bool   // the original's name stands for three accounts
}

func (s mysqlState) name() string {
	name := s.user.name
	if s.named {
		name += ", named by alternateUsername"
	}
	if s.back {
		name += ", in use"
	}
	if s.hosts {
		name += ", of an original on three hosts"
	}
	if s.original != "" {
		name += ", of an original with " + s.original
	}
	if s.victim {
		name += " that has another secret"
	}
	return name + "; " + s.evidence.name + "; through " + s.actor
}

// States are generated as those of PostgreSQL are.
func (p MySQL) States() []State {
	var all []State
	actors := []string{"an account as told to", "a superuser", "an RDS-like master"}
	add := func(s mysqlState) {
		s.MySQL = p
		exists := s.user.made != nil || s.user.ours
		switch {
		case s.user.only != "" && s.user.only != p.family(),
			s.evidence.pairsOnly && (!s.user.goesOn || !exists && s.evidence.pending == "right"),
			s.back && (!exists || s.user.noLogin),
			s.evidence.previous == "right" && (!exists || s.user.noLogin):
			return
		}
		proved := !exists || s.evidence.consents || s.evidence.previous == "right" || s.evidence.pending == "right" || s.user.ours && !p.Server.MariaDB && !s.back
		goesOn := s.user.goesOn && proved && s.original == "" && !s.victim && !s.named && s.actor != "an account without more"
		all = append(all, State{Name: s.name(), Strategy: "alternating users", Rotation: s.rotation, GoesOn: goesOn})
	}
	for i, u := range mysqlUsers() {
		for j, e := range evidences() {
			add(mysqlState{user: u, evidence: e, actor: actors[(i+j)%3], hosts: (i+j)%2 == 1})
			if !e.other {
				add(mysqlState{user: u, evidence: e, actor: actors[(i+j+1)%3], back: true, victim: !u.pair, hosts: (i+j)%2 == 0 && u.ours})
				add(mysqlState{user: u, evidence: e, actor: actors[(i+j+2)%3], named: true})
			}
		}
		add(mysqlState{user: u, actor: "an account without more", evidence: evidences()[0]})
		for _, original := range []string{"ALL", "CREATE USER", "SELECT", "itself"} {
			add(mysqlState{user: u, evidence: evidences()[i%4], actor: "a superuser", original: original, back: true, victim: !u.pair})
		}
		// The superuser of the secret, with no more power than the account in use.
		add(mysqlState{user: u, evidence: evidences()[3], actor: "an account as told to", original: "itself", back: true, victim: !u.pair})
	}
	return all
}

func (s mysqlState) engine() strategies.CloningEngine {
	if s.Server.MariaDB {
		return mysql.MariaDB{}
	}
	return mysql.Engine{}
}

func (s mysqlState) rotation(ctx context.Context) (f strategytest.RotationFixture, err error) {
	id := strings.ToLower(rand.Text()[:10])
	c := cast{app: "app_" + id, clone: "app_" + id + "_clone", boss: "boss_" + id, other: "other_" + id, group: "group_" + id, password: map[string]string{}}
	if s.named {
		c.clone = "second_" + id
	}
	if s.original == "itself" {
		c.boss = c.app
	}
	for _, u := range []string{c.app, c.clone, c.boss, c.other} {
		c.password[u] = "Canary-1" + rand.Text()
	}
	create := func(user, host string) string {
		return "CREATE USER '" + user + "'@'" + host + "' IDENTIFIED BY '" + c.password[user] + "'"
	}
	statements := []string{
		"CREATE DATABASE IF NOT EXISTS shop", "CREATE ROLE '<group>'", "GRANT DELETE ON shop.* TO '<group>'",
		create(c.other, "%"), "GRANT SELECT ON shop.* TO '<other>'@'%'", "GRANT '<group>' TO '<other>'@'%'", create(c.boss, "%"),
	}
	for _, grant := range mysqlActors()[s.actor] {
		statements = append(statements, "GRANT "+grant)
	}
	if c.app != c.boss {
		hosts := []string{"%"}
		if s.hosts {
			hosts = append(hosts, "127.0.0.2", "127.0.0.3")
		}
		for _, host := range hosts {
			statements = append(statements, create(c.app, host), "GRANT SELECT, INSERT ON shop.* TO '<app>'@'"+host+"'")
		}
		if s.original != "" {
			statements = append(statements, "GRANT "+s.original+" ON *.* TO '<app>'@'%'")
		}
	}
	if err := s.Server.Exec(ctx, c.fill(statements)...); err != nil {
		return f, fmt.Errorf("%s: %w", s.name(), err)
	}
	if s.user.ours {
		boss := strategies.Login{Host: s.Server.Host, Port: s.Server.Port, User: s.Server.Superuser, Password: secret.NewPassword(s.Server.Password), TLS: strategies.TLS{Disabled: true}}
		pair := strategies.Pair{Original: c.app, Clone: c.clone, Target: c.clone}
		if err := s.engine().EnsureClone(ctx, boss, pair, secret.NewPassword(c.password[c.clone])); err != nil {
			return f, fmt.Errorf("%s: %w", s.name(), err)
		}
	}
	var made []string
	for _, sql := range c.fill(s.user.made) {
		made = append(made, strings.ReplaceAll(sql, "<password>", c.password[c.clone]))
	}
	if err := s.Server.Exec(ctx, made...); err != nil {
		return f, fmt.Errorf("%s: %w", s.name(), err)
	}
	return s.fixture(c)
}

func (s mysqlState) fixture(c cast) (strategytest.RotationFixture, error) {
	scene := scene{
		cast: c, evidence: s.evidence, back: s.back, named: s.named,
		victim: s.victim, stranger: (s.user.made != nil) && !s.user.pair && !s.user.spare,
		base: map[string]any{"engine": s.family(), "host": s.Server.Host, "port": s.Server.Port, "dbname": "shop", "ssl": false},
	}
	f, err := scene.fixture()
	f.Strategy = strategies.AlternatingUsers{Engine: s.engine()}
	f.LogIn = func(ctx context.Context, d secret.Document) error { return s.logIn(ctx, "127.0.0.1", d) }
	f.Hosts, f.LogInFrom = []string{"127.0.0.1", "127.0.0.2", "127.0.0.3"}, s.logIn
	f.Census = s.Server.Census
	f.Rights = func(ctx context.Context, d secret.Document) ([]string, error) {
		rights, err := s.Server.Rights(ctx, d.Text("username"), d.Password().Reveal())
		if s.evidence.consents {
			rights = administrative(rights)
		}
		return rights, err
	}
	return f, err
}

// scene is the secrets of a state.
type scene struct {
	cast
	evidence         evidence
	back, named      bool
	victim, stranger bool           // the original, the other account belongs to another secret
	base             map[string]any // which server it is
}

func (s scene) fixture() (f strategytest.RotationFixture, err error) {
	value := func(user, password string, more map[string]any) secret.Document {
		m := map[string]any{"username": user, "password": password}
		for _, from := range []map[string]any{s.base, more} {
			for k, v := range from {
				m[k] = v
			}
		}
		text, failed := json.Marshal(m)
		if failed != nil {
			err = failed
			return secret.Document{}
		}
		d, failed := secret.ParseDocument(string(text))
		if failed != nil {
			err = failed
		}
		return d
	}
	inUse, next := s.app, s.clone
	if s.back {
		inUse, next = s.clone, s.app
	}
	of := func(user, password, alternate string) secret.Document {
		more := map[string]any{"masterarn": superuserARN}
		if s.named {
			more["alternateUsername"] = alternate
		}
		return value(user, password, more)
	}
	labelled := func(kind string) secret.Document {
		switch kind {
		case "right":
			return of(next, s.password[next], inUse)
		case "stale":
			return of(next, "Canary-1"+rand.Text(), inUse)
		}
		return secret.Document{}
	}
	consent := map[string]any{}
	if s.evidence.rotates != nil {
		consent["rotates"] = s.evidence.rotates(s.cast)
	}
	superuser := value(s.boss, s.password[s.boss], consent)
	f.Others = map[string]secret.Document{s.other: value(s.other, s.password[s.other], nil)}
	// Where the superuser secret names the pair, its owner has given it away; and where
	// this secret holds a password that works, the account is no other secret's alone.
	if !s.evidence.consents && s.evidence.previous != "right" && s.evidence.pending != "right" {
		if !s.back && s.stranger {
			f.Others[s.clone] = value(s.clone, s.password[s.clone], nil)
		}
		if s.back && s.victim && s.app != s.boss {
			f.Others[s.app] = value(s.app, s.password[s.app], nil)
		}
	}
	f.Current, f.Previous, f.Pending = of(inUse, s.password[inUse], next), labelled(s.evidence.previous), labelled(s.evidence.pending)
	f.KeepsCurrent = true
	f.Related = func(_ context.Context, id string) (secret.Document, error) {
		if id != superuserARN {
			return secret.Document{}, rotator.KindNotFound
		}
		return superuser, nil
	}
	return f, err
}
