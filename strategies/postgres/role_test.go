package postgres

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/dial"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

func TestSetPasswordSelf(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		name, pw := s.NewRole(t, "LOGIN CONNECTION LIMIT 7")
		login := s.login(name, pw)
		before := s.ask(t, "SELECT (to_jsonb(a) - 'rolpassword')::text FROM pg_authid a WHERE rolname = $1", name)
		next := password()
		ok(t, engine().SetPassword(t.Context(), login, name, next))
		wants(t, engine().Ping(t.Context(), login), rotator.KindLoginRejected, name, fmt.Sprint(s.Port), `"postgres"`, "VALID UNTIL", "28P01")
		login.Password = next
		ok(t, engine().Ping(t.Context(), login))
		ok(t, engine().SetPassword(t.Context(), login, name, next)) // again, to the same end
		ok(t, engine().Ping(t.Context(), login))
		if after := s.ask(t, "SELECT (to_jsonb(a) - 'rolpassword')::text FROM pg_authid a WHERE rolname = $1",
			name); after != before {
			t.Errorf("the account changed:\n%s\n%s", before, after)
		}
		stored := s.ask(t, "SELECT rolpassword FROM pg_authid WHERE rolname = $1", name)
		if !strings.HasPrefix(stored, "SCRAM-SHA-256$") {
			t.Error("what is stored is no SCRAM verifier")
		}
	})
}

func TestSetPasswordBySuperuser(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		name, pw := s.NewRole(t, "LOGIN")
		for _, admin := range []strategies.Login{s.superuser(), s.master(t, name)} {
			next := password()
			ok(t, engine().SetPassword(t.Context(), admin, name, next))
			ok(t, engine().Ping(t.Context(), s.login(name, next.Reveal())))
			wants(t, engine().Ping(t.Context(), s.login(name, pw)), rotator.KindLoginRejected)
			pw = next.Reveal()
		}
	})
}

// TestSetPasswordRefused: each of these fails with its own kind and sentence, and
// changes nothing.
func TestSetPasswordRefused(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		app, appPw := s.NewRole(t, "LOGIN")
		other, otherPw := s.NewRole(t, "LOGIN")
		boss, _ := s.NewRole(t, "LOGIN SUPERUSER")
		repl, _ := s.NewRole(t, "LOGIN REPLICATION")
		locked, _ := s.NewRole(t, "NOLOGIN")
		expired, _ := s.NewRole(t, "LOGIN VALID UNTIL '2020-01-01'")
		iam, _ := s.NewRole(t, "LOGIN")
		group, _ := s.NewRole(t, "NOLOGIN")
		s.rds(t)
		s.run(t, "GRANT rds_iam TO "+group, "GRANT "+group+" TO "+iam)
		master := s.master(t)
		master2 := s.master(t, boss, repl, locked, expired, iam)
		self := s.login(app, appPw)
		for name, c := range map[string]struct {
			as    strategies.Login
			user  string
			p     secret.Password
			kind  rotator.Kind
			words []string
		}{
			"wrong password": {s.login(app, "wrong"), app, password(), rotator.KindLoginRejected,
				[]string{"did not accept the password"}},
			"no such role": {s.superuser(), "role_nobody", password(), rotator.KindNotFound, []string{`"role_nobody"`}},
			"empty":        {self, app, secret.Password{}, rotator.KindMisconfigured, []string{"empty"}},
			"NUL": {self, app, secret.NewPassword("a\x00b"), rotator.KindMisconfigured,
				[]string{"NUL"}},
			"name too long": {s.superuser(), strings.Repeat("x", 64), password(), rotator.KindMisconfigured,
				[]string{"64 bytes", "63"}},
			"name with NUL": {s.superuser(), app + "\x00", password(), rotator.KindMisconfigured,
				[]string{"NUL"}},
			"no name":             {s.superuser(), "", password(), rotator.KindMisconfigured, []string{"empty"}},
			"ordinary user":       {s.login(other, otherPw), app, password(), rotator.KindPrivilege, []string{`ALTER ROLE "` + other + `" CREATEROLE`, "42501"}},
			"target is superuser": {master2, boss, password(), rotator.KindPrivilege, []string{"is a superuser"}},
			"target replicates":   {master2, repl, password(), rotator.KindPrivilege, []string{"REPLICATION"}},
			"locked":              {master2, locked, password(), rotator.KindPrivilege, []string{`ALTER ROLE "` + locked + `" LOGIN`}},
			"expired": {master2, expired, password(), rotator.KindPrivilege,
				[]string{"VALID UNTIL 'infinity'"}},
			"rds_iam": {master2, iam, password(), rotator.KindMisconfigured, []string{"rds_iam"}},
		} {
			t.Run(name, func(t *testing.T) {
				if s.Major >= 16 && c.user == repl {
					t.Skip("16 lets CREATEROLE with ADMIN OPTION do it")
				}
				wants(t, engine().SetPassword(t.Context(), c.as, c.user, c.p), c.kind, c.words...)
			})
		}
		if s.Major >= 16 {
			wants(t, engine().SetPassword(t.Context(), master, app, password()), rotator.KindPrivilege,
				fmt.Sprintf(`GRANT "%s" TO "%s" WITH ADMIN TRUE, INHERIT FALSE, SET FALSE`, app, master.User))
		}
		ok(t, engine().Ping(t.Context(), self))
		if n := s.ask(t, "SELECT count(*)::text FROM pg_authid WHERE rolname IN ('role_nobody', '') OR rolname LIKE "+
			"'xxxx%'"); n != "0" {
			t.Error("a role was created")
		}
	})
}

func TestHostileNamesAndPasswords(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		names := []string{`a"b`, `Up Per`, `x'; DROP ROLE postgres; --`, `back\slash`, `per%cent%s`, `dot.ted@host`,
			`dash-ed`, `dollar$1`, `ünï`, `user`, `none`, `public;`, `{{name}}`, strings.Repeat("n", 63), `ä` + strings.Repeat("b", 61), ` lead `, "tab\tnl\n"}
		passwords := []string{`'`, `"`, `\`, `\'`, `'';--`, `$1`, `$$`, `%s%n`, `{{password}}`, ` `, `a b `, `ümläut`, `SCRAM-SHA-256$4096:x$y:z`,
			`md5` + strings.Repeat("0", 32), strings.Repeat("long", 500), `E'\x'`, "new\nline", `!#$%&()*+,-.:;<=>?@[]^_{|}~` + "`"}
		for n, name := range names {
			name += fmt.Sprint(s.Major) // the servers are shared by nobody else
			if len(name) > 63 {
				name = name[2:]
			}
			s.run(t, "DROP ROLE IF EXISTS "+quoteIdent(name), "CREATE ROLE "+quoteIdent(name)+" LOGIN PASSWORD 'first'")
			login := s.login(name, "first")
			for i, p := range passwords {
				if i%len(names) != n {
					continue // each password once, not with every name
				}
				next := secret.NewPassword(p)
				if err := engine().SetPassword(t.Context(), login, name, next); err != nil {
					t.Fatalf("%q: %v", name, err)
				}
				login.Password = next
				if err := engine().Ping(t.Context(), login); err != nil {
					t.Fatalf("%q: %v", name, err)
				}
			}
			next := password()
			ok(t, engine().SetPassword(t.Context(), s.superuser(), name, next))
			ok(t, engine().Ping(t.Context(), s.login(name, next.Reveal())))
			s.run(t, "DROP ROLE "+quoteIdent(name))
		}
	})
}

// TestSetRoleTrap: where a role setting makes sessions act as an owner, ALTER ROLE
// must be for the account that logged in, and must be allowed.
func TestSetRoleTrap(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		owner, ownerPw := s.NewRole(t, "LOGIN")
		app, pw := s.NewRole(t, "LOGIN IN ROLE "+owner)
		s.run(t, fmt.Sprintf("ALTER ROLE %s SET role = '%s'", app, owner))
		next := password()
		ok(t, engine().SetPassword(t.Context(), s.login(app, pw), app, next))
		ok(t, engine().Ping(t.Context(), s.login(app, next.Reveal())))
		ok(t, engine().Ping(t.Context(), s.login(owner, ownerPw)))
	})
}

// TestPowerBySetting: a superuser secret whose user has CREATEROLE by way of a
// role setting keeps it.
func TestPowerBySetting(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		app, _ := s.NewRole(t, "LOGIN")
		master := s.master(t, app)
		bot, pw := s.NewRole(t, "LOGIN IN ROLE "+master.User)
		s.run(t, fmt.Sprintf("ALTER ROLE %s SET role = '%s'", bot, master.User))
		ok(t, engine().SetPassword(t.Context(), s.login(bot, pw), app, password()))
	})
}

// TestRestricted: RDS's own refusal is not to be had here, but another one is, under
// the setting by which the engine tells.
func TestRestricted(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		app, pw := s.NewRole(t, "LOGIN")
		s.run(t, fmt.Sprintf("ALTER ROLE %s SET rds.restrict_password_commands = 'on'", app))
		wants(t, engine().SetPassword(t.Context(), s.login(app, pw), s.Superuser, password()), rotator.KindPrivilege,
			fmt.Sprintf(`GRANT rds_password TO "%s"`, app))
	})
}

func TestReadOnlyByDefault(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		app, pw := s.NewRole(t, "LOGIN")
		s.run(t, "ALTER ROLE "+app+" SET default_transaction_read_only = on")
		next := password()
		ok(t, engine().SetPassword(t.Context(), s.login(app, pw), app, next))
		ok(t, engine().Ping(t.Context(), s.login(app, next.Reveal())))
	})
}

// TestHostileSettings: the owner of a database cannot have a superuser run his
// functions in place of the system's.
func TestHostileSettings(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		app, _ := s.NewRole(t, "LOGIN")
		master := s.master(t, app)
		master.Database = s.NewDatabase(t, app)
		conn, err := s.Admin(t.Context(), master.Database)
		ok(t, err)
		defer conn.Close(t.Context())
		_, err = conn.PgConn().Exec(t.Context(), `CREATE SCHEMA evil; GRANT USAGE ON SCHEMA evil TO public;
CREATE FUNCTION evil.pg_has_role(name, oid, text) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RAISE ''shadowed''; END';
CREATE FUNCTION evil.current_setting(text) RETURNS text LANGUAGE plpgsql AS 'BEGIN RAISE ''shadowed''; END';
ALTER DATABASE `+master.Database+` SET search_path = evil, pg_catalog`).ReadAll()
		ok(t, err)
		ok(t, engine().SetPassword(t.Context(), master, app, password()))
	})
}

// TestPolicy: passwordcheck is in every server's contrib.
func TestPolicy(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		app, pw := s.NewRole(t, "LOGIN")
		s.run(t, fmt.Sprintf("ALTER ROLE %s SET session_preload_libraries = passwordcheck", app))
		login := s.login(app, pw)
		// Of a verifier the extension can tell one thing: that it is the name's.
		err := engine().SetPassword(t.Context(), login, app, secret.NewPassword(app))
		if err != nil && strings.Contains(err.Error(), "could not access file") {
			t.Skip("these binaries have no passwordcheck")
		}
		wants(t, err, rotator.KindPasswordPolicy, "policy", "password")
		ok(t, engine().Ping(t.Context(), login))
	})
}

// TestOpenAlter: another session holds the role, and then changes it.
func TestOpenAlter(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		app, pw := s.NewRole(t, "LOGIN")
		conn, err := s.Admin(t.Context(), "postgres")
		ok(t, err)
		defer conn.Close(t.Context())
		tx, err := conn.Begin(t.Context())
		ok(t, err)
		_, err = tx.Exec(t.Context(), "ALTER ROLE "+app+" CONNECTION LIMIT 9")
		ok(t, err)
		tier.Patiently(t, func(limit time.Duration) error {
			e := engine()
			e.StatementTimeout = limit // the server gives up on the lock, then on the statement, then we do
			return differs(e.SetPassword(t.Context(), s.login(app, pw), app, password()), rotator.KindConflict, "holds a lock")
		})
		waiting := make(chan error, 1)
		go func() { waiting <- engine().SetPassword(t.Context(), s.login(app, pw), app, password()) }()
		s.until(t, "SELECT (count(*) > 0)::text FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE NOT granted AND "+
			"usename = '"+app+"'", "true")
		query := dial.Find(Causes(), dial.Statement, "", "", "55P03").Fix // shows who holds it, and not who waits
		if users := s.ask(t, "SELECT string_agg(usename, ' ') FROM ("+strings.TrimPrefix(query, trusted)+
			") AS s WHERE waits_for = '{}' AND usename IN ('"+app+"', '"+s.Superuser+"')"); users != s.Superuser {
			t.Errorf("whose session holds the lock: %s", users)
		}
		ok(t, tx.Rollback(t.Context()))
		ok(t, <-waiting)
	})
}

// TestAPreparedTransactionIsShown: no session holds its locks, which stay when its client is gone.
func TestAPreparedTransactionIsShown(t *testing.T) {
	t.Parallel()
	for _, major := range dbserver.MajorsInTier(t) {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			t.Parallel()
			s := server{dbserver.NewPostgres(t, dbserver.Options{Major: major,
				Conf: map[string]string{"max_prepared_transactions": "2"}})}
			app, pw := s.NewRole(t, "LOGIN")
			ok(t, s.as(t, s.superuser(), "BEGIN", "ALTER ROLE "+app+" CONNECTION LIMIT 9", "PREPARE TRANSACTION 'xa'"))
			e := engine()
			e.StatementTimeout = time.Second
			err := e.SetPassword(t.Context(), s.login(app, pw), app, password())
			wants(t, err, rotator.KindConflict, "prepared", "ROLLBACK PREPARED", "synchronous_standby_names")
			fixes := rotator.FixesOf(err)
			const query = "SELECT string_agg(usename || ' ' || gid || ' ' || datname || ' ' || (xact_start < now()), ';') FROM (%s) AS s"
			shows := func(when string) {
				if shown := s.ask(t, fmt.Sprintf(query, strings.TrimPrefix(lockHolders, trusted))); shown != s.Superuser+" xa postgres true" {
					t.Errorf("%s, it shows %s", when, shown)
				}
			}
			if fixes[0].Run != lockHolders || !strings.Contains(fixes[0].Note, "ROLLBACK PREPARED") {
				t.Errorf("%+v", fixes)
			}
			shows("at first")
			ok(t, s.Restart(t.Context()))
			shows("after a restart")
			ok(t, s.as(t, s.superuser(), "ROLLBACK PREPARED 'xa'"))
			ok(t, engine().SetPassword(t.Context(), s.login(app, pw), app, password()))
		})
	}
}

// TestConcurrentSetters: they wait for each other, and one of their passwords works.
func TestConcurrentSetters(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		app, _ := s.NewRole(t, "LOGIN")
		passwords := make([]secret.Password, 6)
		errs := make([]error, len(passwords))
		var wg sync.WaitGroup
		for i := range passwords {
			passwords[i] = password()
			wg.Go(func() { errs[i] = engine().SetPassword(t.Context(), s.superuser(), app, passwords[i]) })
		}
		wg.Wait()
		ok(t, errors.Join(errs...))
		working := 0
		for _, p := range passwords {
			if engine().Ping(t.Context(), s.login(app, p.Reveal())) == nil {
				working++
			}
		}
		if working != 1 {
			t.Errorf("%d passwords work, want 1", working)
		}
	})
}

// TestMD5Server walks through the rule of stored, with a server whose
// password_encryption is md5.
func TestMD5Server(t *testing.T) {
	t.Parallel()
	s := server{dbserver.NewPostgres(t, dbserver.Options{HBA: []string{"host all all all md5"}, Conf: map[string]string{"password_encryption": "md5"}})}
	allow := engine()
	allow.AllowMD5 = true

	old, pw := s.NewRole(t, "LOGIN") // has an md5 hash
	login := s.login(old, pw)
	ok(t, engine().Ping(t.Context(), login))
	wants(t, engine().SetPassword(t.Context(), login, old, password()), rotator.KindMisconfigured, "password_encryption", "POSTGRES_ALLOW_MD5=true")
	wants(t, engine().SetPassword(t.Context(), s.superuser(), old, password()), rotator.KindMisconfigured, "password_encryption")
	wants(t, engine().EnsureClone(t.Context(), s.superuser(), strategies.Pair{Original: old, Clone: old + "_clone", Target: old + "_clone"}, password()), rotator.KindMisconfigured, "password_encryption")
	ok(t, engine().Ping(t.Context(), login))
	next := password()
	ok(t, allow.SetPassword(t.Context(), login, old, next))
	login.Password = next
	ok(t, engine().Ping(t.Context(), login))
	if stored := s.ask(t, "SELECT rolpassword FROM pg_authid WHERE rolname = $1", old); stored != md5Hash(old, next) {
		t.Error("what is stored is no md5 hash")
	}

	// One who logs in by SCRAM has clients that know it.
	modern, pw := s.NewRole(t, "LOGIN")
	s.run(t, fmt.Sprintf("SET password_encryption = 'scram-sha-256'; ALTER ROLE %s PASSWORD '%s'", modern, pw))
	next = password()
	ok(t, allow.SetPassword(t.Context(), s.login(modern, pw), modern, next))
	ok(t, engine().Ping(t.Context(), s.login(modern, next.Reveal())))
	if stored := s.ask(t, "SELECT rolpassword FROM pg_authid WHERE rolname = $1", modern); !strings.HasPrefix(stored, "SCRAM") {
		t.Error("a SCRAM account was put back to md5")
	}
}

// TestAnMD5HashThatGoes: clients that know nothing else would be refused, which is said before.
func TestAnMD5HashThatGoes(t *testing.T) {
	t.Parallel()
	s := server{dbserver.NewPostgres(t, dbserver.Options{HBA: []string{"host all all all md5"}})}
	name, pw := s.NewRole(t, "LOGIN")
	s.run(t, fmt.Sprintf("SET password_encryption = 'md5'; ALTER ROLE %s PASSWORD '%s'", name, pw))
	allow := engine()
	allow.AllowMD5 = true
	for _, login := range []strategies.Login{s.login(name, pw), s.superuser()} {
		warnings, err := engine().DryRunSetPassword(t.Context(), login, name, password())
		ok(t, err)
		if len(warnings) != 1 || !strings.Contains(warnings[0].Text, "POSTGRES_ALLOW_MD5=true") {
			t.Errorf("%s: %v", login.User, warnings)
		}
		warnings, err = allow.DryRunSetPassword(t.Context(), login, name, password())
		ok(t, err)
		// Who changes itself has it seen by its other sessions, and an md5 hash is as good as the password.
		seen := strings.Contains(fmt.Sprint(warnings), "pg_stat_activity")
		if itself := login.User == name; len(warnings) > 1 || itself != seen || itself == (len(warnings) == 0) {
			t.Errorf("%s, with POSTGRES_ALLOW_MD5: %v", login.User, warnings)
		}
	}
	pair := strategies.Pair{Original: name, Clone: name + "_clone", Target: name + "_clone"}
	warnings, err := engine().DryRunEnsureClone(t.Context(), s.superuser(), pair, password())
	ok(t, err)
	if len(warnings) != 1 || !strings.Contains(warnings[0].Text, pair.Clone) {
		t.Errorf("%v", warnings)
	}
}

// TestNoPasswordInTheLog: the servers log every statement and every error in full.
func TestNoPasswordInTheLog(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		app, pw := s.NewRole(t, "LOGIN")
		admin := s.superuser()
		var canaries []secret.Password
		next := func() secret.Password {
			p := password()
			canaries = append(canaries, p)
			return p
		}
		var errs []error
		p := next()
		errs = append(errs,
			engine().SetPassword(t.Context(), s.login(app, pw), app, p),
			engine().Ping(t.Context(), s.login(app, p.Reveal())),
			engine().Ping(t.Context(), s.login(app, next().Reveal())),
			engine().SetPassword(t.Context(), s.login(app, p.Reveal()), admin.User, next()),
			engine().SetPassword(t.Context(), admin, "role_missing", next()),
			engine().EnsureClone(t.Context(), admin, strategies.Pair{Original: app, Clone: app + "_clone", Target: app + "_clone"}, next()),
			engine().EnsureClone(t.Context(), admin, strategies.Pair{Original: app, Clone: app + "_clone", Target: app}, next()),
			engine().EnsureClone(t.Context(), s.login(app, canaries[len(canaries)-1].Reveal()), strategies.Pair{Original: app, Clone: app + "_clone2", Target: app + "_clone2"}, next()),
		)
		log := s.Log()
		if !strings.Contains(log, app) {
			t.Fatal("this is not the log of these statements")
		}
		canaries = append(canaries, secret.NewPassword(s.Password))
		for i, c := range canaries {
			if strings.Contains(log, c.Reveal()) {
				t.Errorf("password %d is in the server's log", i)
			}
			if strings.Contains(fmt.Sprintf("%+v %#v", errs, errs), c.Reveal()) {
				t.Errorf("password %d is in an error", i)
			}
		}
	})
}

// TestNoVerifierInTheLogOfErrors: as servers log by default, a statement stands in the log where it fails, or where the
// owner of a database has it printed. A lock that is held is enough to make it fail.
func TestNoVerifierInTheLogOfErrors(t *testing.T) {
	t.Parallel()
	for _, major := range dbserver.MajorsInTier(t) {
		t.Run(fmt.Sprint(major), func(t *testing.T) {
			t.Parallel()
			s := server{dbserver.NewPostgres(t, dbserver.Options{Major: major, Conf: map[string]string{"log_statement": "none"}})}
			app, pw := s.NewRole(t, "LOGIN")
			boss, bossPW := s.bossOf(t, "CREATEROLE", app)
			s.run(t, "ALTER DATABASE postgres SET debug_print_parse = on", "ALTER DATABASE postgres SET debug_print_plan = on",
				"ALTER DATABASE postgres SET debug_print_rewritten = on", "ALTER DATABASE postgres SET trace_sort = on",
				"CREATE ROLE owner",
				"ALTER DATABASE postgres SET role = owner") // which takes a superuser's power from it
			p := password()
			ok(t, engine().SetPassword(t.Context(), s.login(app, pw), app, p))
			ok(t, engine().EnsureClone(t.Context(), s.login(boss, bossPW.Reveal()), strategies.Pair{Original: app,
				Clone: app + "_clone", Target: app + "_clone"}, password()))
			holder, err := s.Admin(t.Context(), "postgres")
			ok(t, err)
			_, err = holder.PgConn().Exec(t.Context(), "SET role = none; BEGIN; ALTER ROLE "+app+" CONNECTION LIMIT 100").ReadAll()
			ok(t, err)
			err = engine().SetPassword(t.Context(), s.superuser(), app, password())
			wants(t, err, rotator.KindConflict, "lock")
			ok(t, holder.Close(context.Background()))
			log := s.Log()
			if !strings.Contains(log, "canceling statement due to lock timeout") {
				t.Fatalf("this is not the log of these statements: %s", log)
			}
			if found := regexp.MustCompile(`SCRAM-SHA-256.{0,40}`).FindAllString(log, -1); found != nil {
				t.Errorf("verifiers are in the server's log: %q", found)
			}
		})
	}
}

// rds gives a server what RDS has: its superuser, and the role of IAM users.
func (s server) rds(t *testing.T) {
	t.Helper()
	for _, role := range []string{"rdsadmin SUPERUSER", "rds_iam"} {
		s.run(t, "DO $$ BEGIN CREATE ROLE "+role+"; EXCEPTION WHEN duplicate_object OR unique_violation THEN END $$")
	}
}

// TestARoleCalledAsOneOfRDSStopsNothingElsewhere: with CREATEROLE a role rds_iam can be made and granted, and rdsadmin can
// be made, but not with SUPERUSER. Neither stops a rotation of a server that is not RDS.
func TestARoleCalledAsOneOfRDSStopsNothingElsewhere(t *testing.T) {
	t.Parallel()
	for _, major := range dbserver.MajorsInTier(t) {
		t.Run(fmt.Sprint(major), func(t *testing.T) {
			t.Parallel()
			s := server{dbserver.NewPostgres(t, dbserver.Options{Major: major})}
			app, pw := s.NewRole(t, "LOGIN")
			mallory, malloryPw := s.NewRole(t, "LOGIN CREATEROLE")
			forger := s.login(mallory, malloryPw)
			ok(t, s.as(t, forger, "CREATE ROLE rds_iam", "CREATE ROLE rdsadmin", "GRANT rds_iam TO "+app))
			for _, sql := range []string{"ALTER ROLE rdsadmin SUPERUSER", "CREATE ROLE rdsadmin2 SUPERUSER", "ALTER ROLE postgres RENAME TO rdsadmin"} {
				if s.as(t, forger, sql) == nil {
					t.Fatalf("%s: a role with CREATEROLE may", sql)
				}
			}
			login := s.login(app, pw)
			_, err := engine().DryRunSetPassword(t.Context(), login, app, password())
			ok(t, err)
			_, err = engine().DryRunSetPassword(t.Context(), s.superuser(), app, password())
			ok(t, err)
			p := password()
			ok(t, engine().SetPassword(t.Context(), login, app, p))
			ok(t, engine().EnsureClone(t.Context(), s.superuser(), strategies.Pair{Original: app, Clone: app + "_clone", Target: app + "_clone"}, password()))

			s.run(t, "ALTER ROLE rdsadmin SUPERUSER") // what RDS has
			_, err = engine().DryRunSetPassword(t.Context(), withPassword(login, p), app, password())
			wants(t, err, rotator.KindMisconfigured, "rds_iam")
		})
	}
}

// TestWhatAPreflightHasRunStandsByItself: each statement in a refusal or a warning is one that a person runs, as it
// stands, and ends what was said.
func TestWhatAPreflightHasRunStandsByItself(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		for breaks, run := range map[string]string{
			"VALID UNTIL '2001-01-01'": "VALID UNTIL 'infinity'",
			"VALID UNTIL 'tomorrow'":   "VALID UNTIL 'infinity'",
			"NOLOGIN":                  "LOGIN",
			"CONNECTION LIMIT 0":       "CONNECTION LIMIT -1",
		} {
			r := newRotation(t, s, "")
			r.turn(t, true)
			user := quoteIdent(r.pair.Original)
			s.run(t, "ALTER ROLE "+user+" "+breaks)
			dry := func() []rotator.Fix {
				warnings, err := engine().DryRunEnsureClone(t.Context(), r.admin, pairAt(r.pair, r.pair.Original), password())
				fixes := rotator.FixesOf(err)
				for _, w := range warnings {
					fixes = append(fixes, w.Fixes...)
				}
				return fixes
			}
			fixes := dry()
			if len(fixes) != 1 || fixes[0].Run != "ALTER ROLE "+user+" "+run {
				t.Errorf("%s: to be run: %+v", breaks, fixes)
				continue
			}
			if run == "VALID UNTIL 'infinity'" && (!strings.Contains(fixes[0].Note+fixes[0].For, "later") ||
				strings.Contains(breaks, "2001") != strings.Contains(fixes[0].Note, "2001-01-01 ")) {
				t.Errorf("%s: an end that was set on purpose is lost: %+v", breaks, fixes[0])
			}
			s.run(t, fixes[0].Run)
			if left := dry(); left != nil {
				t.Errorf("%s, mended: to be run: %+v", breaks, left)
			}
		}
	})
}
