package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// Whatever a role may set for itself, at its extremes: the password is rotated, or
// the preflight names the setting and nothing is changed. Under the race detector it
// tries every thirteenth: all of them are a thousand logins for each of two servers, and take
// a minute.
func TestEverySettingOfARole(t *testing.T) {
	t.Parallel()
	tier.NotInCheck(t)
	step := tier.Stride(t, 13, 13)
	for _, major := range []int{13, 18} {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			t.Parallel()
			s := server{dbserver.Postgres(t, major)}
			tried, refused, wrong := 0, 0, 0
			bad := func(format string, args ...any) {
				wrong++
				t.Errorf(format, args...)
			}
			for i, line := range strings.Split(s.ask(t, `SELECT string_agg(name || '=' || v, E'\n' ORDER BY name, v) FROM pg_settings,
  LATERAL (SELECT DISTINCT v FROM unnest(CASE vartype WHEN 'bool' THEN ARRAY['on', 'off'] WHEN 'enum' THEN enumvals
    WHEN 'string' THEN ARRAY['', 'x', '-1', boot_val] ELSE ARRAY[min_val, max_val, '0', '1'] END) v WHERE v IS NOT NULL) extremes
WHERE context = 'user' AND name !~ '^(session_authorization|role|transaction_(isolation|read_only|deferrable))$'`), "\n") {
				if i%step > 0 {
					continue
				}
				setting, value, _ := strings.Cut(line, "=")
				app, pw := s.NewRole(t, "LOGIN")
				if s.Exec(t.Context(), fmt.Sprintf("ALTER ROLE %s SET %s = '%s'", app, setting, value)) != nil {
					continue // it is out of range
				}
				tried++
				as, p := s.login(app, pw), password()
				_, err := engine().DryRunSetPassword(t.Context(), as, app, password())
				change := engine().SetPassword(t.Context(), as, app, p)
				now := as
				if change == nil {
					now = withPassword(as, p)
				}
				// what the setting does to clients is not ours
				ok(t, s.Exec(t.Context(), "ALTER ROLE "+app+" RESET ALL"))
				if e := engine().Ping(t.Context(), now); e != nil {
					bad("%s: no client gets in: %v", line, e)
				}
				// a millisecond is sometimes enough
				if (err == nil) != (change == nil) && !strings.HasSuffix(line, "_timeout=1") {
					bad("%s: the preflight says %v, and the change %v", line, err, change)
				}
				for _, err := range []error{err, change} {
					if err != nil && !strings.Contains(err.Error(), setting) {
						bad("%s is not named: %v", line, err)
					}
				}
				if err != nil {
					refused++
				}
			}
			t.Logf("%d settings, %d refused by name, %d faults", tried, refused, wrong)
			if tried < 150/step {
				t.Errorf("%d settings were tried", tried)
			}
		})
	}
}

// TestAnEncodingThatShutsClientsOut: a role can set in one database what no client that names no encoding gets into
// another with, and the login of a rotation is one of those.
func TestAnEncodingThatShutsClientsOut(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		ascii := s.NewDatabase(t, "") + "_ascii"
		s.run(t, "CREATE DATABASE "+ascii+" ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
		t.Cleanup(func() { s.Exec(context.Background(), "DROP DATABASE "+ascii) })
		app, pw := s.NewRole(t, "LOGIN")
		there := s.login(app, pw)
		there.Database = ascii
		ok(t, s.as(t, there, "ALTER ROLE "+app+" SET client_encoding = 'MULE_INTERNAL'"))
		err := engine().Ping(t.Context(), s.login(app, pw))
		wants(t, err, rotator.KindMisconfigured, "MULE_INTERNAL")
		fixes := rotator.FixesOf(err)
		if got := s.ask(t, "SELECT now FROM ("+strings.TrimPrefix(fixes[0].Run, trusted)+") AS x WHERE strpos(run, $1) > 0",
			app); got != "client_encoding=MULE_INTERNAL" || len(fixes) != 2 {
			t.Errorf("what is reset is not shown first: %q: %+v", got, fixes)
		}
		s.run(t, "ALTER ROLE "+app+" SET client_encoding = 'LATIN1'")
		ok(t, engine().Ping(t.Context(), s.login(app, pw)))
	})
}

// TestALibraryThatIsNone: it is told where it is set, wherever that is and whatever is wrong with the library, by what
// can be run in another database, and what ends it does.
func TestALibraryThatIsNone(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		for _, set := range []string{
			"ALTER DATABASE %d SET session_preload_libraries = 'gone'",
			"ALTER DATABASE %d SET local_preload_libraries = 'gone'",
			"ALTER ROLE %u SET local_preload_libraries = 'gone'",
			"ALTER ROLE %u SET local_preload_libraries = '/elsewhere/gone'",
			"ALTER ROLE %u IN DATABASE %d SET session_preload_libraries = 'gone'",
			"ALTER ROLE %u SET session_preload_libraries = '/proc/self/exe'",
		} {
			app, pw := s.NewRole(t, "LOGIN")
			login := s.login(app, pw)
			login.Database = s.NewDatabase(t, "")
			s.run(t, strings.NewReplacer("%u", app, "%d", login.Database).Replace(set))
			err := engine().Ping(t.Context(), login)
			wants(t, err, rotator.KindMisconfigured, "cannot load a library")
			fixes := rotator.FixesOf(err)
			if len(fixes) != 1 || !strings.HasPrefix(fixes[0].Run, trusted+"SELECT ") || strings.Contains(err.Error(), "ALTER ROLE "+quoteIdent(app)) {
				t.Fatalf("%s: to be run: %+v", set, fixes)
			}
			s.run(t, s.ask(t, "SELECT string_agg(run, '; ') FROM ("+strings.TrimPrefix(fixes[0].Run, trusted)+") x WHERE run LIKE $1 OR run LIKE $2",
				"%"+app+"%", "%"+login.Database+"%"))
			ok(t, engine().Ping(t.Context(), login))
		}
	})
}

// TestAnEncodingOfTheDatabase: where the role's own setting is not what refuses the login, what is printed finds the one
// that does, and what ends it.
func TestAnEncodingOfTheDatabase(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		app, pw := s.NewRole(t, "LOGIN")
		login := s.login(app, pw)
		login.Database = s.NewDatabase(t, "")
		ascii := login.Database + "_ascii" // where another encoding may be set
		s.run(t, "CREATE DATABASE "+ascii+" ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
		t.Cleanup(func() { s.Exec(context.Background(), "DROP DATABASE "+ascii) })
		there := with(s.superuser(), func(l *strategies.Login) { l.Database = ascii })
		ok(t, s.as(t, there, "ALTER DATABASE "+login.Database+" SET client_encoding = 'MULE_INTERNAL'"))
		err := engine().Ping(t.Context(), login)
		wants(t, err, rotator.KindMisconfigured, "MULE_INTERNAL")
		fixes := rotator.FixesOf(err)
		if len(fixes) != 2 || !strings.HasPrefix(fixes[0].For, "to see first where") {
			t.Fatalf("to be run: %+v", fixes)
		}
		run := s.ask(t, "SELECT run FROM ("+strings.TrimPrefix(fixes[0].Run, trusted)+") x WHERE run LIKE $1", "%"+login.Database+"%")
		s.run(t, fixes[1].Run, run)
		ok(t, engine().Ping(t.Context(), login))
	})
}

// An account in a database of another encoding is the one that it was named as.
func TestNamesInAnotherEncoding(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		db := s.NewDatabase(t, "")
		latin := db + "_latin1"
		s.run(t, "CREATE DATABASE "+latin+" ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
		t.Cleanup(func() { s.Exec(context.Background(), "DROP DATABASE "+latin) })
		plain, pw := s.NewRole(t, "LOGIN")
		name := strings.Replace(plain, "role", "müller", 1)
		s.run(t, fmt.Sprintf("ALTER ROLE %s RENAME TO %s; ALTER ROLE %s PASSWORD '%s'", plain, quoteIdent(name),
			quoteIdent(name), pw))
		t.Cleanup(func() { s.Exec(context.Background(), "DROP ROLE IF EXISTS "+quoteIdent(name)) })
		as := with(s.login(name, pw), func(l *strategies.Login) { l.Database = latin })
		ok(t, engine().Ping(t.Context(), as))
		p := password()
		ok(t, engine().SetPassword(t.Context(), as, name, p))
		ok(t, engine().Ping(t.Context(), withPassword(as, p)))
		boss := with(s.superuser(), func(l *strategies.Login) { l.Database = latin })
		ok(t, engine().EnsureClone(t.Context(), boss, strategies.Pair{Original: name, Clone: name + "_clone",
			Target: name + "_clone"}, p))
		t.Cleanup(func() { s.Exec(context.Background(), "DROP ROLE IF EXISTS "+quoteIdent(name+"_clone")) })
		ok(t, engine().Ping(t.Context(), with(withPassword(as, p), func(l *strategies.Login) { l.User += "_clone" })))
	})
}

// The lock that rotations wait for each other by is a courtesy: whoever may log in
// can hold it, and delays a rotation by seconds.
func TestAHeldLockStopsNothing(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		app, pw := s.NewRole(t, "LOGIN")
		other, otherPw := s.NewRole(t, "LOGIN")
		conn, err := s.Connect(t.Context(), other, otherPw, "postgres")
		ok(t, err)
		defer conn.Close(t.Context())
		_, err = conn.Exec(t.Context(), "SELECT pg_advisory_lock("+lockKey(app)+")")
		ok(t, err)
		e := engine()
		e.StatementTimeout = 0
		p := password()
		ok(t, e.SetPassword(t.Context(), s.login(app, pw), app, p))
		ok(t, e.Ping(t.Context(), s.login(app, p.Reveal())))
	})
}

// A function that is gone without a word leaves a session in the middle of a
// transaction. It ends by itself, within seconds.
func TestASessionLeftBehindEnds(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		app, _ := s.NewRole(t, "LOGIN")
		e := engine()
		e.StatementTimeout = time.Second
		left, err := e.openForChange(t.Context(), s.superuser(), false, app)
		ok(t, err)
		defer left.close()
		_, err = left.query(t.Context(), operation{action: "leaving"}, "ALTER ROLE "+quoteIdent(app)+
			" CONNECTION LIMIT 7")
		ok(t, err)
		p := password()
		for end := time.Now().Add(time.Minute); ; {
			err := e.SetPassword(t.Context(), s.superuser(), app, p)
			if err == nil {
				break
			}
			if rotator.KindOf(err) != rotator.KindConflict {
				t.Fatal(err)
			}
			if time.Now().After(end) {
				t.Fatalf("after a minute: %v", err)
			}
		}
		ok(t, e.Ping(t.Context(), s.login(app, p.Reveal())))
	})
}

// A role that makes other roles gets no membership in them by a setting of its own.
func TestTheSuperuserGainsNothingByItsSettings(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		if s.Major < 16 {
			t.Skip("createrole_self_grant is of PostgreSQL 16")
		}
		app, _ := s.NewRole(t, "LOGIN")
		boss := s.master(t, app)
		s.run(t, "ALTER ROLE "+boss.User+" SET createrole_self_grant = 'set, inherit'")
		ok(t, engine().EnsureClone(t.Context(), boss, strategies.Pair{Original: app, Clone: app + "_clone",
			Target: app + "_clone"}, password()))
		if got := s.ask(t, "SELECT count(*)::text FROM pg_auth_members WHERE roleid = $1::regrole AND member = "+
			"$2::regrole AND (inherit_option OR set_option)", app+"_clone", boss.User); got != "0" {
			t.Error("the superuser can act as the clone")
		}
	})
}

// TestTheSuperuserKeepsItsMemberships: createrole_self_grant = 'inherit' gives a superuser one in each role that it
// makes, which is its own to change and to lose. Releases until November 2024 want another for a moment; the server is
// of a later one, which takes that as well.
func TestTheSuperuserKeepsItsMemberships(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		if s.Major < 16 {
			t.Skip("until PostgreSQL 15, memberships have no options")
		}
		for _, options := range []string{"INHERIT TRUE, SET FALSE", "INHERIT FALSE, SET FALSE",
			"INHERIT TRUE, SET FALSE GRANTED BY group"} {
			r := newRotation(t, s, "")
			group, _ := s.NewRole(t, "NOLOGIN")
			s.run(t, fmt.Sprintf("GRANT %s TO %s WITH ADMIN OPTION", r.pair.Original, group),
				fmt.Sprintf("GRANT %s TO %s WITH SET FALSE", group, r.admin.User))
			r.mustAs(t, r.admin, fmt.Sprintf("GRANT %s TO %s WITH %s", r.pair.Original, r.admin.User,
				strings.Replace(options, "group", group, 1)))
			has := func() string {
				return s.ask(t, `SELECT string_agg(m::text, ' ' ORDER BY m) FROM (
  SELECT grantor, admin_option, inherit_option, set_option FROM pg_auth_members
  WHERE roleid = $1::regrole AND member = $2::regrole) m`, r.pair.Original, r.admin.User)
			}
			before := has()
			pair := r.pair
			pair.Target = pair.Clone
			old, err := engine().open(t.Context(), r.admin, false, &pair, pair.Original, pair.Clone)
			ok(t, err)
			defer old.close()
			old.version = 160004
			changes, _, err := old.planClone(t.Context(), pair, password())
			ok(t, err)
			if !slices.ContainsFunc(changes, func(st statement) bool { return strings.HasPrefix(st.sql, "REVOKE ") }) {
				t.Errorf("%s: no membership for a moment", options)
			}
			ok(t, old.finish(t.Context(), changes...))
			if after := has(); after != before {
				t.Errorf("%s: the superuser's memberships were %s, and are %s", options, before, after)
			}
			if got := r.roleSetting(t); got != "role="+r.pair.Original {
				t.Errorf("%s: the clone acts as %q", options, got)
			}
		}
	})
}

// A setting of the role does not make a change that is lost when the server dies.
func TestChangesAreDurable(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		app, pw := s.NewRole(t, "LOGIN")
		s.run(t, "ALTER ROLE "+app+" SET synchronous_commit = off")
		left, err := engine().openForChange(t.Context(), s.login(app, pw), false, app)
		ok(t, err)
		defer left.close()
		rows, err := left.query(t.Context(), operation{}, "SHOW synchronous_commit")
		ok(t, err)
		if rows[0][0] != "on" {
			t.Errorf("synchronous_commit is %s", rows[0][0])
		}
	})
}

// TestNoStandbyToWaitFor: where no synchronous standby is left, a COMMIT waits for ever, and has made the change: it
// comes to light when the standby is back, or the session ends, which no rotation knows of by then.
func TestNoStandbyToWaitFor(t *testing.T) {
	t.Parallel()
	s := server{dbserver.NewPostgres(t, dbserver.Options{Conf: map[string]string{"synchronous_commit": "on"}})}
	app, pw := s.NewRole(t, "LOGIN")
	names := func(want string) {
		s.run(t, "ALTER SYSTEM SET synchronous_standby_names = "+want, reload)
		s.until(t, "SHOW synchronous_standby_names", strings.Trim(want, "'"))
	}
	names("'walreceiver'")
	login, p := s.login(app, pw), password()
	refused := func() {
		for _, who := range []strategies.Login{login, s.superuser()} {
			_, err := engine().DryRunSetPassword(t.Context(), who, app, p)
			wants(t, err, rotator.KindMisconfigured, "ALTER SYSTEM SET synchronous_standby_names = ''", "caught up")
			fixes, now := rotator.FixesOf(err), s.ask(t, "SHOW synchronous_standby_names")
			if len(fixes) != 5 || !strings.Contains(fixes[1].Note, "run status at once") ||
				fixes[3].Run != "ALTER SYSTEM SET synchronous_standby_names = '"+now+"'" {
				t.Fatalf("to be run: %+v", fixes)
			}
			s.run(t, fixes[3].Run)
			wants(t, engine().SetPassword(t.Context(), who, app, p), rotator.KindMisconfigured, "Nothing was changed")
		}
	}
	refused()
	_, err := engine().Explain(t.Context(), s.superuser(), login) // which changes nothing
	ok(t, err)
	// To end a session that waits for a standby is to have its change count: it is no holder of a lock to be ended.
	waiting, err := s.Admin(t.Context(), "postgres")
	ok(t, err)
	ended := make(chan error, 1)
	go func() {
		_, err := waiting.PgConn().Exec(t.Context(), "ALTER ROLE "+app+" CONNECTION LIMIT 9").ReadAll()
		ended <- err
	}()
	s.until(t, "SELECT count(*)::text FROM pg_stat_activity WHERE wait_event = 'SyncRep'", "1")
	for _, cause := range Causes() {
		if cause.Codes[0] == "55P03" && cause.Kind == rotator.KindConflict && cause.Fix != "" {
			if shown := s.ask(t, "SELECT count(*)::text FROM ("+strings.TrimPrefix(cause.Fix, trusted)+") AS x"); shown != "0" {
				t.Errorf("sessions that are shown as holders: %s", shown)
			}
			if says := "is not empty, a change waits for a standby that does not answer"; !strings.Contains(cause.Note, says) ||
				!strings.Contains(cause.Text, says) {
				t.Errorf("where none is shown: %s (%s)", cause.Text, cause.Note)
			}
		}
	}
	s.run(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
	<-ended
	waiting.Close(context.Background())
	standby, err := s.Standby(t.Context())
	ok(t, err)
	defer standby.Close() //nolint:errcheck // a throwaway copy
	s.until(t, "SELECT count(*)::text FROM pg_stat_replication WHERE sync_state = 'sync'", "1")
	ok(t, engine().SetPassword(t.Context(), login, app, p))
	login = withPassword(login, p)
	ok(t, engine().Ping(t.Context(), login))
	names("'ANY 2 (walreceiver, other)'")
	refused()
	s.run(t, "SET synchronous_commit = local", "REVOKE SELECT ON pg_stat_replication FROM PUBLIC") // no rotation needs it
	_, err = engine().DryRunSetPassword(t.Context(), login, app, p)
	ok(t, err)
}

// TestStandbysComeBackFromTheFile: what names the standbys is put back where it was, so that a file which names others
// later, as one of a cluster manager, counts.
func TestStandbysComeBackFromTheFile(t *testing.T) {
	t.Parallel()
	const name, off = "synchronous_standby_names", "ALTER SYSTEM SET synchronous_standby_names = ''"
	s := server{dbserver.NewPostgres(t, dbserver.Options{Conf: map[string]string{"synchronous_commit": "on"}})}
	app, pw := s.NewRole(t, "LOGIN")
	conf, err := os.OpenFile(filepath.Join(s.DataDir, "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	ok(t, err)
	_, err = conf.WriteString(name + " = 'filed'\n")
	ok(t, errors.Join(err, conf.Close()))
	for file, sets := range map[string]string{"postgresql.conf": "ALTER SYSTEM RESET " + name,
		"postgresql.auto.conf": "ALTER SYSTEM SET " + name + " = 'other'"} {
		s.run(t, sets, reload)
		s.until(t, "SELECT (setting <> '')::text FROM pg_settings WHERE name = '"+name+"'", "true")
		was := s.ask(t, "SHOW "+name)
		_, err := engine().DryRunSetPassword(t.Context(), s.login(app, pw), app, password())
		wants(t, err, rotator.KindMisconfigured, off)
		fixes := rotator.FixesOf(err)
		shown := s.ask(t, strings.Replace(strings.TrimPrefix(fixes[0].Run, trusted), "SELECT setting, ", "SELECT ", 1))
		if !strings.HasSuffix(shown, "/"+file) || fixes[1].Run != off {
			t.Fatalf("%s: shown is %s by %+v", file, shown, fixes)
		}
		s.run(t, fixes[1].Run, fixes[2].Run)
		s.until(t, "SHOW "+name, "")
		for _, back := range fixes[3:] {
			if strings.Contains(back.For, "postgresql.auto.conf") == (file == "postgresql.auto.conf") {
				s.run(t, back.Run, reload)
			}
		}
		s.until(t, "SHOW "+name, was)
		if is := s.ask(t, "SELECT sourcefile FROM pg_settings WHERE name = '"+name+"'"); is != shown {
			t.Errorf("it was set in %s, and is in %s now", shown, is)
		}
	}
}

// TestEveryConnectionIsTaken: who holds them is shown by what is printed, to one who still gets in, and when one is ended
// clients log in.
func TestEveryConnectionIsTaken(t *testing.T) {
	t.Parallel()
	for _, major := range []int{13, 18} {
		s := server{dbserver.NewPostgres(t, dbserver.Options{Major: major, Conf: map[string]string{"max_connections": "5",
			"superuser_reserved_connections": "2", "max_wal_senders": "0"}})}
		app, pw := s.NewRole(t, "LOGIN")
		var err error
		for err == nil { // a session that has ended may free its slot late
			conn, taken := s.Connect(t.Context(), app, pw, "postgres")
			if taken != nil {
				err = engine().Ping(t.Context(), s.login(app, pw))
				continue
			}
			t.Cleanup(func() { conn.Close(context.Background()) })
		}
		wants(t, err, rotator.KindTooManyConnections, "max_connections", "pg_terminate_backend")
		fixes := rotator.FixesOf(err)
		if len(fixes) != 1 {
			t.Fatalf("to be run: %+v", fixes)
		}
		pid := s.ask(t, "SELECT pids[1]::text FROM ("+strings.TrimPrefix(fixes[0].Run, trusted)+") AS shown WHERE usename = $1 AND state = 'idle'", app)
		s.run(t, "SELECT pg_terminate_backend("+pid+")")
		for end := time.Now().Add(time.Minute); err != nil; { // it ends when it can
			if err = engine().Ping(t.Context(), s.login(app, pw)); err != nil && time.Now().After(end) {
				t.Fatalf("after a minute: %v", err)
			}
		}
	}
}

// TestNoSessionRunsWhatTheOwnerMade: the owner of the database has an operator and a function of its own for each of the
// server's, first in the search_path. No session of a rotation, a preflight or a status calls one of them.
func TestNoSessionRunsWhatTheOwnerMade(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		r := newRotation(t, s, "")
		r.turn(t, true)
		admin := s.superuser()
		admin.Database = r.original.Database
		ok(t, s.as(t, admin, "CREATE SCHEMA evil", "GRANT USAGE ON SCHEMA evil TO PUBLIC", "CREATE SEQUENCE evil.called",
			"GRANT ALL ON SEQUENCE evil.called TO PUBLIC", `DO $do$ DECLARE o record; n int := 0; BEGIN
  FOR o IN SELECT oprname AS op, oprleft::regtype AS l, oprright::regtype AS r, oprresult::regtype AS t FROM pg_operator
    WHERE oprnamespace = 'pg_catalog'::regnamespace AND oprleft <> 0 AND oprright <> 0 LOOP
    BEGIN
      n := n + 1;
      EXECUTE format($f$CREATE FUNCTION evil.op%s(%s, %s) RETURNS %s LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_catalog.nextval('evil.called'); RETURN NULL; END $$$f$, n, o.l, o.r, o.t);
      EXECUTE format('CREATE OPERATOR evil.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = evil.op%s)', o.op, o.l, o.r, n);
    EXCEPTION WHEN OTHERS THEN NULL;
    END;
  END LOOP;
  FOR o IN SELECT quote_ident(proname) AS name, pg_get_function_identity_arguments(oid) AS args, prorettype::regtype AS t
    FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind = 'f' AND NOT proretset AND provariadic = 0 LOOP
    BEGIN
      EXECUTE format($f$CREATE FUNCTION evil.%s(%s) RETURNS %s LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_catalog.nextval('evil.called'); RETURN NULL; END $$$f$, o.name, o.args, o.t);
    EXCEPTION WHEN OTHERS THEN NULL;
    END;
  END LOOP; END $do$`, "ALTER DATABASE "+admin.Database+" SET search_path = evil, pg_catalog, public"))
		called := func() string {
			var is bool
			conn, err := s.Connect(t.Context(), admin.User, admin.Password.Reveal(), admin.Database)
			ok(t, err)
			defer conn.Close(context.WithoutCancel(t.Context()))
			ok(t, conn.QueryRow(t.Context(), "SELECT is_called FROM evil.called").Scan(&is))
			return strconv.FormatBool(is)
		}
		ok(t, s.as(t, admin, "SELECT 'a'::text = 'a'::text"))
		if called() != "true" {
			t.Fatal("no trap is set")
		}
		ok(t, s.as(t, admin, "ALTER SEQUENCE evil.called RESTART"))
		for _, boss := range []strategies.Login{r.admin, admin} {
			r.admin = boss
			for what, do := range map[string]func() error{
				"ping": func() error { return engine().Ping(t.Context(), r.original) },
				"dry run": func() error {
					_, err := engine().DryRunSetPassword(t.Context(), r.original, r.original.User, password())
					return err
				},
				"dry run of a turn": func() error {
					pair := pairAt(r.pair, r.pair.Original)
					pair.Possession = possessed // other roles of the server may create roles
					_, err := engine().DryRunEnsureClone(t.Context(), r.admin, pair, password())
					return err
				},
				"turns":      func() error { r.turn(t, false); r.turn(t, true); return nil },
				"use":        func() error { _, err := engine().TestUse(t.Context(), r.original); return err },
				"test clone": func() error { return engine().TestClone(t.Context(), r.clone, r.pair) },
				"test pair": func() error {
					_, _, err := engine().TestPair(t.Context(), r.admin, pairAt(r.pair, r.pair.Clone))
					return err
				},
				"explain": func() error { _, err := engine().Explain(t.Context(), r.admin, r.original); return err },
				"password": func() error {
					return engine().SetPassword(t.Context(), r.original, r.original.User, r.original.Password)
				},
				"password by a superuser": func() error {
					return engine().SetPassword(t.Context(), r.admin, r.original.User, r.original.Password)
				},
			} {
				if err := do(); err != nil {
					t.Errorf("%s: %v", what, err)
				}
				if called() != "false" {
					t.Fatalf("%s called what the owner made", what)
				}
			}
		}
	})
}
