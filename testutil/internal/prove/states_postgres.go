package prove

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/postgres"
	"github.com/quarterturn-dev/quarterturn/testutil/rotationtest"
)

// role is what a role of PostgreSQL can be that bears the clone's name.
type role struct {
	name string
	// made is the statements that make it, by the superuser of the state if byBoss.
	made   func(c cast) []string
	byBoss bool
	after  func(c cast) []string // by the server's own superuser
	// pair says that it was made for the secret: nobody else holds it. Otherwise it has a
	// secret of its own, unless spare.
	pair, spare bool
	goesOn      bool   // a rotation must be possible, whoever made it
	from, until int    // major versions; 0: any
	noLogin     bool   // nobody can log in as it
	namedOnly   bool   // tried under alternateUsername alone
	closed      bool   // the secret's database is closed to it
	turn        string // "clone", "original": tried when that one's password is set, alone
	byOther     bool   // a role without SUPERUSER grants the original: no server lets it grant a superuser
}

// postgresRoles are those with which a pair can begin.
func postgresRoles() []role {
	login := func(c cast) string { return "CREATE ROLE " + c.clone + " LOGIN PASSWORD '" + c.password[c.clone] + "'" }
	template := func(more ...string) func(c cast) []string {
		return func(c cast) []string {
			return append([]string{login(c), "GRANT " + c.app + " TO " + c.clone}, c.fill(more)...)
		}
	}
	alone := func(more ...string) func(c cast) []string {
		return func(c cast) []string { return append([]string{login(c)}, c.fill(more)...) }
	}
	then := func(more ...string) func(c cast) []string {
		return func(c cast) []string { return c.fill(more) }
	}
	return []role{
		{name: "no second role", goesOn: true, pair: true},
		{name: "a clone of ours", made: template(), after: then("ALTER ROLE <clone> SET role = '<app>'"), byBoss: true,
			pair: true, goesOn: true},
		{name: "a clone of AWS's template", made: template(), byBoss: true, pair: true, goesOn: true},
		{name: "a clone of AWS's template by another superuser", made: template(), pair: true},
		{name: "a clone of AWS's template that owns a table", made: template(),
			after: then("CREATE TABLE own_<table> (n int)", "ALTER TABLE own_<table> OWNER TO <clone>"), byBoss: true,
			pair: true, goesOn: true},
		{name: "a clone of AWS's template with a privilege more", made: template(),
			after: then("GRANT SELECT ON more_<table> TO <clone>"), byBoss: true, pair: true},
		{name: "a clone of AWS's template with another privilege", made: template(), byBoss: true, pair: true,
			after: then("GRANT SELECT ON more_<table> TO <app>", "GRANT UPDATE ON more_<table> TO <clone>")},
		{name: "a clone of AWS's template with a privilege that the original may pass on", made: template(),
			after: then("GRANT SELECT ON more_<table> TO <app> WITH GRANT OPTION",
				"GRANT SELECT ON more_<table> TO <clone>"), byBoss: true, pair: true, goesOn: true},
		{name: "a clone of AWS's template in a group more", made: template(), after: then("GRANT <group> TO <clone>"),
			byBoss: true, pair: true},
		{name: "a clone of AWS's template in a predefined role", made: template(),
			after: then("GRANT pg_read_all_settings TO <clone>"), byBoss: true, pair: true},
		{name: "a clone of AWS's template with CREATEDB", made: template(), after: then("ALTER ROLE <clone> CREATEDB"),
			byBoss: true, pair: true},
		{name: "a clone of AWS's template with CREATEROLE", made: template(),
			after: then("ALTER ROLE <clone> CREATEROLE"), byBoss: true, pair: true},
		{name: "a clone of AWS's template with SUPERUSER", made: template(),
			after: then("ALTER ROLE <clone> SUPERUSER"), byBoss: true, pair: true},
		{name: "a clone of AWS's template with BYPASSRLS", made: template(),
			after: then("ALTER ROLE <clone> BYPASSRLS"), byBoss: true, pair: true},
		{name: "a clone of AWS's template with REPLICATION", made: template(),
			after: then("ALTER ROLE <clone> REPLICATION"), byBoss: true, pair: true},
		{name: "a clone of AWS's template with ADMIN on its original", made: template(),
			after: then("GRANT <app> TO <clone> WITH ADMIN OPTION"), byBoss: true, pair: true},
		{name: "a clone of AWS's template with NOINHERIT", made: template("ALTER ROLE <clone> NOINHERIT"), byBoss: true,
			pair: true},
		{name: "a clone of AWS's template with a setting", made: template(),
			after: then("ALTER ROLE <clone> SET work_mem = '7MB'"), byBoss: true, pair: true, goesOn: true},
		{name: "a clone of AWS's template with a connection limit", made: template(),
			after: then("ALTER ROLE <clone> CONNECTION LIMIT 9"), byBoss: true, pair: true, goesOn: true},
		{name: "a clone of AWS's template with NOLOGIN", made: template("ALTER ROLE <clone> NOLOGIN"), byBoss: true,
			pair: true, noLogin: true},
		{name: "a clone of AWS's template that is past VALID UNTIL",
			made: template("ALTER ROLE <clone> VALID UNTIL '2020-01-01'"), byBoss: true, pair: true, noLogin: true},
		{name: "a clone of AWS's template without a password", made: template("ALTER ROLE <clone> PASSWORD NULL"),
			byBoss: true, pair: true, noLogin: true},
		{name: "a clone in a group that is in the original", made: alone(),
			after: then("GRANT <app> TO <group>", "GRANT <group> TO <clone>"), pair: true},
		{name: "a clone with INHERIT alone", made: alone(),
			after: then("GRANT <app> TO <clone> WITH INHERIT TRUE, SET FALSE"), pair: true, from: 16},
		{name: "a clone with SET alone", made: alone(),
			after: then("GRANT <app> TO <clone> WITH INHERIT FALSE, SET TRUE"), pair: true, from: 16},
		{name: "a stranger with ADMIN alone", made: alone(),
			after: then("GRANT <app> TO <clone> WITH ADMIN TRUE, INHERIT FALSE, SET FALSE"), from: 16},
		{name: "a stranger with neither option", made: alone(),
			after: then("GRANT <app> TO <clone> WITH INHERIT FALSE, SET FALSE"), from: 16},
		{name: "a stranger", made: alone()},
		{name: "a stranger without a secret", made: alone(), spare: true},
		{name: "a stranger without a secret that may more", made: alone(),
			after: then("GRANT SELECT ON more_<table> TO <clone>", "GRANT <group> TO <clone>"), spare: true},
		{name: "a stranger without a secret that owns a table", made: alone(),
			after: then("CREATE TABLE own_<table> (n int)", "ALTER TABLE own_<table> OWNER TO <clone>"), spare: true},
		{name: "a stranger that may more", made: alone(),
			after: then("GRANT SELECT ON more_<table> TO <clone>", "GRANT <group> TO <clone>")},
		{name: "a stranger with CREATEROLE", made: alone("ALTER ROLE <clone> CREATEROLE")},
		{name: "a stranger with SUPERUSER", made: alone("ALTER ROLE <clone> SUPERUSER")},
		{name: "a stranger without a secret, with SUPERUSER", made: alone("ALTER ROLE <clone> SUPERUSER"), spare: true},
		{name: "a stranger without a secret, with CREATEROLE", made: alone("ALTER ROLE <clone> CREATEROLE"),
			spare: true},
		{name: "a member of the original that has another secret", made: template(), namedOnly: true},
		{name: "a stranger without a secret that another role is a member of", made: alone(),
			after: then("REVOKE <app> FROM <other>", "GRANT <clone> TO <other>"), spare: true},
		{name: "a clone with SET alone that another role is a member of", made: alone(),
			after: then("REVOKE <app> FROM <other>", "GRANT <app> TO <clone> WITH INHERIT FALSE, SET TRUE",
				"GRANT <clone> TO <other> WITH INHERIT TRUE, SET FALSE"), pair: true, from: 16},
		{name: "a clone of AWS's template that another role is a member of", made: template(),
			after: then("REVOKE <app> FROM <other>", "GRANT <clone> TO <other>"), byBoss: true, pair: true,
			goesOn: true},
		{name: "a stranger with CONNECTION LIMIT 0", made: alone(),
			after: then("ALTER ROLE <clone> CONNECTION LIMIT 0"), spare: true, noLogin: true},
		{name: "a stranger that may not connect to the database", made: alone(), closed: true, spare: true,
			noLogin: true},
		{name: "a stranger of which the original is a member", made: alone(), after: then("GRANT <clone> TO <app>")},
		{name: "a stranger that the original has ADMIN on", made: alone(),
			after: then("GRANT <clone> TO <app> WITH ADMIN TRUE, INHERIT FALSE, SET FALSE"), from: 16},
		{name: "a stranger to whom a third role granted the original", made: alone(),
			after: then("GRANT <app> TO <other> WITH ADMIN OPTION",
				"SET ROLE <other>; GRANT <app> TO <clone>; RESET ROLE"), byOther: true},
		{name: "a stranger to whom a role with CREATEROLE granted the original, which has REPLICATION", made: alone(),
			after: then("ALTER ROLE <app> REPLICATION", "ALTER ROLE <other> CREATEROLE",
				"SET ROLE <other>; GRANT <app> TO <clone>; RESET ROLE"), byOther: true, until: 15},
		{name: "a stranger with REPLICATION that was granted the original, which is in a group with it", made: alone(),
			after: then("ALTER ROLE <group> REPLICATION", "GRANT <group> TO <app>", "ALTER ROLE <clone> REPLICATION",
				"GRANT <app> TO <clone>"), turn: "clone", until: 15},

		// The superuser granted what had another name then.
		{name: "a stranger that was granted a role, which another may give the original's name", made: alone(),
			after: then("GRANT <app> TO <clone>", "GRANT <app> TO <other> WITH ADMIN OPTION"), from: 16},
		{name: "a stranger that was granted a role, which a role that is gone may have given the original's name",
			made: alone(), turn: "clone", from: 16,
			after: then("GRANT <app> TO <clone>", "REVOKE <app> FROM <boss>", "ALTER ROLE <other> CREATEROLE",
				"CREATE TABLE own_<table> (n int)", "ALTER TABLE own_<table> OWNER TO <clone>")},
		{name: "a stranger that is a member of the original, and another may give it the clone's name", made: alone(),
			after: then("GRANT <app> TO <clone>", "GRANT <clone> TO <other> WITH ADMIN OPTION"), turn: "original",
			from: 16},
	}
}

// actors are the superusers of secrets, by what they are.
func postgresActors() map[string]string {
	return map[string]string{
		"a superuser":         "SUPERUSER",
		"a CREATEROLE role":   "CREATEROLE",
		"an RDS-like master":  "CREATEROLE CREATEDB",
		"a role without more": "",
	}
}

// postgresState is one of the generated ones.
type postgresState struct {
	Postgres
	pairState
	role role
}

// PostgresStates are generated: each role that can bear the clone's name, with each
// evidence, when the original is in use and when the clone is; the superusers of
// secrets, and the originals, in turn.
func (p Postgres) States() []State {
	all := p.soloStates()
	actors := []string{"a CREATEROLE role", "a superuser", "an RDS-like master"}
	add := func(s postgresState) {
		s.Postgres, s.second = p, s.role.name
		major := p.Server.Major
		if s.role.from > major || s.role.until != 0 && s.role.until < major {
			return
		}
		if s.evidence.pairsOnly && (!s.role.goesOn || s.role.made == nil && s.evidence.pending == "right") {
			return
		}
		if s.role.namedOnly && !s.named {
			return
		}
		if s.role.byOther && s.superuser() {
			return
		}
		if s.role.turn != "" && s.role.turn != map[bool]string{false: "clone", true: "original"}[s.back] {
			return
		}
		if s.back && (s.role.made == nil || s.role.noLogin) {
			return
		}
		if s.evidence.previous == "right" && (s.role.made == nil || s.role.noLogin) {
			return
		}
		goesOn := s.role.goesOn && s.original == "" && !s.victim && !s.named && s.actor != "a role without more"
		all = append(all, State{Name: s.name(), Strategy: "alternating users", Rotation: s.rotation, GoesOn: goesOn})
	}
	for i, r := range postgresRoles() {
		for j, e := range evidences() {
			add(postgresState{role: r, pairState: pairState{evidence: e, actor: actors[(i+j)%3]}})
			if !e.other {
				add(postgresState{role: r, pairState: pairState{evidence: e, actor: actors[(i+j+1)%3], back: true,
					victim: !r.pair}})
				add(postgresState{role: r, pairState: pairState{evidence: e, actor: actors[(i+j+2)%3], named: true}})
			}
		}
		add(postgresState{role: r, pairState: pairState{actor: "a role without more", evidence: evidences()[0]}})
		if r.made != nil {
			for _, original := range []string{"SUPERUSER", "CREATEROLE", "BYPASSRLS", "itself"} {
				e := evidences()[i%4]
				add(postgresState{role: r, pairState: pairState{evidence: e, actor: "a superuser", original: original,
					back: true, victim: !r.pair}})
			}
			if !r.byBoss { // the superuser of the secret, with no more power than the role in use
				add(postgresState{role: r, pairState: pairState{evidence: evidences()[3], actor: "a CREATEROLE role",
					original: "itself", back: true, victim: !r.pair}})
			}
		}
	}
	return all
}

// superuser says whether the original is one.
func (s postgresState) superuser() bool {
	return s.original == "SUPERUSER" || s.original == itself && postgresActors()[s.actor] == "SUPERUSER"
}

// accounts makes those of a state, but for the second of a pair.
func (p Postgres) accounts(ctx context.Context, c cast, actor, original string) error {
	statements := []string{
		// Those of the states before it could have made what this one proves itself by.
		"DO $$ DECLARE r name; BEGIN FOR r IN SELECT rolname FROM pg_roles WHERE rolcreaterole AND NOT rolsuper LOOP " +
			"EXECUTE format('ALTER ROLE %I NOCREATEROLE', r); END LOOP; END $$",
		"CREATE ROLE <group>",
		"CREATE TABLE <table> (n int)", "CREATE TABLE more_<table> (n int)",
		"GRANT SELECT ON more_<table> TO <group>",
		"CREATE ROLE <other> LOGIN CONNECTION LIMIT 30 PASSWORD '" + c.password[c.other] + "'",
		"CREATE ROLE <boss> LOGIN " + postgresActors()[actor] + " PASSWORD '" + c.password[c.boss] + "'",
	}
	if c.app != c.boss {
		statements = append(statements, "CREATE ROLE <app> LOGIN "+original+" PASSWORD '<app's password>'")
		if actor != "a superuser" && actor != "a role without more" {
			statements = append(statements, "GRANT <app> TO <boss> WITH ADMIN OPTION")
		}
	}
	statements = append(statements, "ALTER TABLE <table> OWNER TO <app>", "GRANT SELECT ON <table> TO <other>",
		"GRANT <app> TO <other>")
	if actor == "an RDS-like master" {
		statements = append(statements, "CREATE ROLE rds_"+c.id, "GRANT pg_monitor, pg_signal_backend TO rds_"+c.id,
			"GRANT rds_"+c.id+" TO <boss> WITH ADMIN OPTION")
	}
	return p.Server.Exec(ctx, c.fill(statements)...)
}

func (s postgresState) rotation(ctx context.Context) (f rotationtest.Fixture, err error) {
	c := s.cast()
	original := s.original
	if original == itself {
		original = ""
	}
	if err := s.accounts(ctx, c, s.actor, original); err != nil {
		return f, fmt.Errorf("%s: %w", s.name(), err)
	}
	database := "postgres"
	if s.role.closed {
		database = "db_" + c.id
		err := s.Server.Exec(ctx, "CREATE DATABASE "+database, "REVOKE CONNECT ON DATABASE "+database+" FROM PUBLIC",
			"GRANT CONNECT ON DATABASE "+database+" TO "+strings.Join(slices.Compact([]string{c.app, c.boss}), ", "))
		if err != nil {
			return f, fmt.Errorf("%s: %w", s.name(), err)
		}
	}
	if s.role.made != nil {
		if err := s.make(ctx, c); err != nil {
			return f, fmt.Errorf("%s: %w", s.name(), err)
		}
	}
	return s.fixture(c, database)
}

// make makes the second role.
func (s postgresState) make(ctx context.Context, c cast) error {
	able := s.actor != "a role without more"
	made := s.role.made(c)
	if s.role.byBoss && able {
		conn, err := s.Server.Connect(ctx, c.boss, c.password[c.boss], "postgres")
		if err != nil {
			return err
		}
		defer conn.Close(ctx)
		for _, sql := range made {
			if _, err := conn.PgConn().Exec(ctx, sql).ReadAll(); err != nil {
				return fmt.Errorf("%s: %w", strings.ReplaceAll(sql, c.password[c.clone], "..."), err)
			}
		}
		made = nil
	}
	if s.role.after != nil {
		made = append(made, s.role.after(c)...)
	}
	if !s.role.byBoss && able && c.app != c.boss && s.actor != "a superuser" && s.Server.Major >= 16 {
		made = append(made, "GRANT "+c.clone+" TO "+c.boss+" WITH ADMIN TRUE, INHERIT FALSE, SET FALSE")
	}
	return s.Server.Exec(ctx, made...)
}

func (s postgresState) fixture(c cast, database string) (rotationtest.Fixture, error) {
	stranger := s.role.made != nil && !s.role.pair && !s.role.spare
	f, err := s.stateFixture(scene{cast: c, evidence: s.evidence, back: s.back, named: s.named, victim: s.victim,
		stranger: stranger}, database, s.role.pair)
	f.Strategy = strategies.AlternatingUsers{Engine: postgres.Engine{}}
	return f, err
}

// stateFixture: pair says that what the clone owns, its sessions made.
func (p Postgres) stateFixture(s scene, database string, pair bool) (rotationtest.Fixture, error) {
	s.base = map[string]any{"engine": "postgres", "host": p.Server.Host, "port": p.Server.Port, "dbname": database,
		"ssl": false}
	f, err := s.fixture()
	f.LogIn, f.Census = p.logIn, p.Server.Census
	f.Rights = func(ctx context.Context, d secret.Document) ([]string, error) {
		rights, err := p.Server.Rights(ctx, d.Text("username"), d.Password().Reveal(), s.app, s.clone)
		switch {
		case s.evidence.consents:
			rights = administrative(rights)
		case pair:
			rights = slices.DeleteFunc(rights, func(r string) bool { return strings.HasSuffix(r, " owner "+s.clone) })
		}
		return rights, err
	}
	return f, err
}

// postgresSolos are what the role of a secret can be that rotates alone.
func postgresSolos() []solo {
	const alter = "ALTER ROLE <app> "
	return []solo{
		{name: "a role", goesOn: true},
		{name: "a role of which a new password has 20,000 iterations",
			made: []string{alter + "SET scram_iterations = 20000"}, from: 16, goesOn: true},
		{name: "a role with 20,000 iterations",
			made: []string{"SET scram_iterations = 20000; " + alter + "PASSWORD '<app's password>'"}, from: 16,
			goesOn: true},
		{name: "a role with an md5 verifier",
			made: []string{"SET password_encryption = 'md5'; " + alter + "PASSWORD '<app's password>'"}},
		{name: "a role of which a new password is md5", made: []string{alter + "SET password_encryption = 'md5'"}},
		{name: "a role with NOLOGIN", made: []string{alter + "NOLOGIN"}, once: true},
		{name: "a role past VALID UNTIL", made: []string{alter + "VALID UNTIL '2020-01-01'"}, once: true},
		{name: "a role that ends in VALID UNTIL", made: []string{alter + "VALID UNTIL '2100-01-01'"}, goesOn: true},
		{name: "a role with CONNECTION LIMIT 0", made: []string{alter + "CONNECTION LIMIT 0"}, once: true},
		{name: "a role with a connection limit", made: []string{alter + "CONNECTION LIMIT 20"}, goesOn: true},
		{name: "a role that reads only", made: []string{alter + "SET default_transaction_read_only = on"},
			goesOn: true},
		{name: "a role that acts as another", made: []string{"GRANT <group> TO <app>", alter + "SET role = '<group>'"},
			goesOn: true},
		{name: "a role whose transactions may not wait",
			made: []string{alter + "SET idle_in_transaction_session_timeout = '1ms'"}, goesOn: true},
		{name: "a role that does not wait for the disk", made: []string{alter + "SET synchronous_commit = off"},
			goesOn: true},
		{name: "a role with a path of its own", made: []string{alter + "SET search_path = pg_temp"}, goesOn: true},
		{name: "a role in a group", made: []string{"GRANT <group> TO <app>"}, goesOn: true},
		{name: "a role with SUPERUSER", made: []string{alter + "SUPERUSER"}},
		{name: "a role with CREATEROLE", made: []string{alter + "CREATEROLE"}},
		{name: "a role with REPLICATION", made: []string{alter + "REPLICATION"}},
		{name: "a role with BYPASSRLS", made: []string{alter + "BYPASSRLS"}},
		{name: "a role in a group that is called as RDS's", made: grouped("rds_iam"), goesOn: true},
		{name: "a role that trust lets in", made: grouped("trusted"), once: true},
		{name: "a role that ident is asked for", made: grouped("outsiders"), once: true},
		{name: "a role that another has ADMIN OPTION on", made: []string{"GRANT <app> TO <other> WITH ADMIN OPTION"},
			goesOn: true},
	}
}

// grouped makes the role a member of a group that every state may make.
func grouped(group string) []string {
	return []string{"DO $$ BEGIN CREATE ROLE " + group + "; EXCEPTION WHEN duplicate_object OR unique_violation THEN " +
		"END $$", "GRANT " + group + " TO <app>"}
}

// soloStates rotate one role, by itself and through a superuser.
func (p Postgres) soloStates() []State {
	var all []State
	solos := slices.DeleteFunc(postgresSolos(), func(a solo) bool { return a.from > p.Server.Major })
	for _, s := range soloStates(Modes(), solos, []string{"a CREATEROLE role", "a superuser", "an RDS-like master"},
		"a role without more") {
		for _, md5 := range []bool{false, true} {
			if md5 && !strings.Contains(s.solo.name, "md5") {
				continue
			}
			if md5 {
				s.values.name += ", POSTGRES_ALLOW_MD5"
			}
			all = append(all, s.state(postgres.Engine{AllowMD5: md5},
				func(ctx context.Context, c cast) (rotationtest.Fixture, error) {
					err := p.accounts(ctx, c, s.actor, "")
					if err == nil {
						err = p.Server.Exec(ctx, c.fill(s.made)...)
					}
					if err != nil {
						return rotationtest.Fixture{}, err
					}
					return p.stateFixture(s.scene(c), "postgres", false)
				}))
		}
	}
	return all
}

// StatesHBA is the pg_hba.conf that the states need: md5 lets in those with an md5 verifier, and others by SCRAM.
// Members of two groups are let in otherwise.
func StatesHBA() []string {
	return []string{"host all +trusted all trust", "host all +outsiders all ident", "host all all all md5"}
}
