package mysql

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest/census"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

func TestTraits(t *testing.T) {
	t.Parallel()
	m, d := Engine{}.Traits(), MariaDB{}.Traits()
	if m.Name != "MySQL" || strings.Join(m.Engines, " ") != "mysql aurora-mysql" || m.Port != 3306 || m.MaxUserBytes != 32 || m.ExcludeCharacters != `:/@"'\` {
		t.Errorf("%+v", m)
	}
	if d.Name != "MariaDB" || strings.Join(d.Engines, " ") != "mariadb" || d.Port != 3306 || d.MaxUserBytes != 128 {
		t.Errorf("%+v", d)
	}
}

// TestHashes has what servers made of these passwords.
func TestHashes(t *testing.T) {
	t.Parallel()
	if got := nativeHash(secret.NewPassword("password")); got != "*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19" {
		t.Error(got)
	}
	for _, stored := range []string{ // MySQL 9.7's caching_sha2_password and sha256_password, and the two above
		"$A$00A$Nw\x0eQP;B+'\x04!b:w\nu\x01&\x16xsl2sPdA2xtPasYzfkFr31VTM842qrlQpeOj0MYo31BC",
		"$5$%.\x10AViJ`\x1d\x16\x1b\x05\x03\x12-'05c3$55P.Bf6G3O9tqboOCnyUaubVnFVsDpZH2TQhODIXm/1",
		"*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19",
		"*2470c0c06dee42fd1618bb99005adca2ec9d1e19", // as MariaDB keeps it of IDENTIFIED BY PASSWORD
		"ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJY",
	} {
		p := secret.NewPassword("password")
		if strings.HasPrefix(stored, "Z") {
			p = secret.NewPassword("secret")
		}
		if !matches(stored, p) {
			t.Errorf("%q does not match", stored)
		}
		for n := range stored { // cut anywhere, or of another password
			if matches(stored[:n], p) {
				t.Errorf("%q matches", stored[:n])
			}
		}
		if matches(stored, secret.NewPassword("Password")) {
			t.Errorf("%q matches another password", stored)
		}
	}
	if got := ed25519Hash(secret.NewPassword("secret")); got != "ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJY" {
		t.Error(got)
	}
}

// TestPlugins: an account keeps its plugin and all else, whoever changes it.
func TestPlugins(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		accounts := map[string]string{"default": "BY '%s'"}
		if s.MariaDB {
			s.run(t, ed25519)
			accounts["ed25519"] = "VIA ed25519 USING PASSWORD('%s')"
			accounts["socket or ed25519"] = "VIA unix_socket OR ed25519 USING PASSWORD('%s')"
			accounts["socket or native"] = "VIA unix_socket OR mysql_native_password USING PASSWORD('%s')"
			accounts["native or socket"] = "VIA mysql_native_password USING PASSWORD('%s') OR unix_socket"
		} else {
			accounts["sha256"] = "WITH sha256_password BY '%s'"
			accounts["current required"] = "BY '%s' PASSWORD REQUIRE CURRENT"
		}
		for what, by := range accounts {
			t.Run(what, func(t *testing.T) {
				user, p, q := name(), password(), password()
				s.run(t, "CREATE USER "+user+"@'%' IDENTIFIED "+fmt.Sprintf(by, p.Reveal()))
				app := withPassword(s.login(user, ""), p)
				plugins := func() string {
					var words []string
					for _, t := range tokens(s.ask(t, "SHOW CREATE USER "+user+"@'%'")) {
						if t.kind == 'w' || t.kind == '\'' && len(t.text) < 25 {
							words = append(words, t.text)
						}
					}
					return strings.Join(words, " ")
				}
				before := plugins()
				_, err := engine().DryRunSetPassword(t.Context(), app, user, password())
				ok(t, err)
				ok(t, engine().Ping(t.Context(), app))
				ok(t, engine().SetPassword(t.Context(), app, user, q))
				ok(t, engine().Ping(t.Context(), withPassword(app, q)))
				wants(t, engine().Ping(t.Context(), app), rotator.KindLoginRejected)
				ok(t, engine().SetPassword(t.Context(), s.superuser(), user, p))
				ok(t, engine().Ping(t.Context(), app))
				if got := plugins(); got != before && s.MariaDB {
					t.Errorf("from %s to %s", before, got)
				}
			})
		}
	})
}

// TestSeveralPasswords: a superuser changes all passwords of an account, in one statement and as hashes. An account that
// changes itself changes the first, and a caveat says what stays.
func TestSeveralPasswords(t *testing.T) {
	t.Parallel()
	for _, name := range dbserver.MySQLsInTier(t) {
		if !strings.HasPrefix(name, "mariadb") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := server{dbserver.MySQL(t, name)}
			s.run(t, ed25519)
			for _, how := range []string{
				"ed25519 USING PASSWORD('%[1]s') OR mysql_native_password USING PASSWORD('%[2]s')",
				"mysql_native_password USING PASSWORD('%[1]s') OR ed25519 USING PASSWORD('%[2]s')",
				"unix_socket OR ed25519 USING PASSWORD('%[1]s') OR mysql_native_password USING PASSWORD('%[2]s')",
			} {
				app, second := withPassword(s.login("several_"+strings.ToLower(rand.Text()[:8]), ""), password()), password()
				s.run(t, "CREATE USER "+app.User+"@'%' IDENTIFIED VIA "+fmt.Sprintf(how, app.Password.Reveal(), second.Reveal()), "GRANT SELECT ON mysql.* TO "+app.User+"@'%'")
				before := methodsOf(s.ask(t, "SHOW CREATE USER "+app.User+"@'%'"))
				warnings, err := engine().DryRunSetPassword(t.Context(), app, app.User, password())
				ok(t, err)
				if !strings.Contains(texts(warnings), "several plugins") {
					t.Errorf("caveats: %s", texts(warnings))
				}
				p, q := password(), password()
				ok(t, engine().SetPassword(t.Context(), app, app.User, p))
				ok(t, engine().Ping(t.Context(), withPassword(app, p)))
				_, err = engine().DryRunSetPassword(t.Context(), s.superuser(), app.User, q)
				ok(t, err)
				for range 2 { // and again
					ok(t, engine().SetPassword(t.Context(), s.superuser(), app.User, q))
				}
				ok(t, engine().Ping(t.Context(), withPassword(app, q)))
				for what, old := range map[string]secret.Password{"first": p, "second": second} {
					if err := engine().Ping(t.Context(), withPassword(app, old)); err == nil {
						t.Errorf("%s: the old %s password lets in", how, what)
					}
				}
				if after := methodsOf(s.ask(t, "SHOW CREATE USER "+app.User+"@'%'")); !slices.Equal(before, after) {
					t.Errorf("from %s to %s", before, after)
				}
				log, err := s.GeneralLog(t.Context())
				ok(t, err)
				if strings.Contains(log, p.Reveal()) || strings.Contains(log, q.Reveal()) {
					t.Errorf("%s: the general log holds a password", how)
				}
			}
		})
	}
}

// TestWithoutTLS: what a listener on the line can have is said of each way to make the change.
func TestWithoutTLS(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		app := s.user(t)
		pair := pairOf(app.User)
		for _, disabled := range []bool{true, false} {
			if !disabled && s.CAs == nil {
				continue
			}
			e := engine()
			e.Roots = s.CAs
			tls := func(l strategies.Login) strategies.Login {
				return with(l, func(l *strategies.Login) { l.TLS.Disabled = disabled })
			}
			own, err := e.DryRunSetPassword(t.Context(), tls(app), app.User, password())
			ok(t, err)
			through, err := e.DryRunSetPassword(t.Context(), tls(s.superuser()), app.User, password())
			ok(t, err)
			clone, err := e.DryRunEnsureClone(t.Context(), tls(s.superuser()), pair, password())
			ok(t, err)
			for _, warnings := range [][]strategies.Warning{own, through, clone} {
				if got := strings.Contains(texts(warnings), `"ssl": false`); got != disabled {
					t.Errorf("TLS disabled is %t: %s", disabled, texts(warnings))
				}
			}
		}
	})
}

// TestClearPasswordsAreNotLogged: where a server would log the password itself, it is not sent.
func TestClearPasswordsAreNotLogged(t *testing.T) {
	t.Parallel()
	for _, name := range dbserver.MySQLsInTier(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conf, off, says := map[string]string{"log-raw": "ON"}, "SET GLOBAL log_raw = 0", "log_raw"
			if strings.HasPrefix(name, "mariadb") {
				conf, off, says = map[string]string{"plugin-load-add": "simple_password_check"}, "SET GLOBAL general_log = 0", "strict_password_validation"
			}
			s := newServer(t, name, conf)
			app := s.user(t)
			pair := pairOf(app.User)
			var set secret.Scrubber
			fresh := func() secret.Password {
				p := secret.NewPassword("Good-1!" + password().Reveal())
				set.Add(p)
				return p
			}
			_, err := engine().DryRunSetPassword(t.Context(), app, app.User, fresh())
			wants(t, err, rotator.KindMisconfigured, says)
			if all := rotator.FixesOf(err); len(all) != 2 || all[0].Run != off || all[0].By != rotator.ByAdministrator ||
				all[1].Run != strings.Replace(off, "= 0", "= 1", 1) || all[1].Turn != rotator.TurnLast {
				t.Errorf("no line for an administrator, or none that puts it back: %+v", all)
			}
			_, err = engine().DryRunSetPassword(t.Context(), s.superuser(), app.User, fresh())
			wants(t, err, rotator.KindMisconfigured, says)
			_, err = engine().DryRunEnsureClone(t.Context(), s.superuser(), pair, fresh())
			wants(t, err, rotator.KindMisconfigured, says)
			wants(t, engine().SetPassword(t.Context(), app, app.User, fresh()), rotator.KindMisconfigured, says)
			wants(t, engine().SetPassword(t.Context(), s.superuser(), app.User, fresh()), rotator.KindMisconfigured, says)
			wants(t, engine().EnsureClone(t.Context(), s.superuser(), pair, fresh()), rotator.KindMisconfigured, says)
			if !s.MariaDB {
				s.run(t, "GRANT APPLICATION_PASSWORD_ADMIN ON *.* TO "+at(app.User).String())
				wants(t, engine().SetPasswordKeeping(t.Context(), app, app.User, app.Password, fresh()), rotator.KindMisconfigured, says)
			}
			ok(t, engine().Ping(t.Context(), app))
			if s.MariaDB {
				s.run(t, "SET GLOBAL log_output = 'TABLE', GLOBAL long_query_time = 0, GLOBAL slow_query_log = 1")
			}
			s.run(t, off)
			p := fresh()
			ok(t, engine().SetPassword(t.Context(), app, app.User, p))
			ok(t, engine().EnsureClone(t.Context(), s.superuser(), pair, fresh()))
			log, err := s.GeneralLog(t.Context())
			ok(t, err)
			if s.MariaDB {
				slow := s.ask(t, "SELECT CONVERT(sql_text USING utf8mb4) FROM mysql.slow_log")
				if !strings.Contains(slow, "SELECT") {
					t.Error("the slow log is empty")
				}
				log += slow
			}
			if set.String(log) != log {
				t.Error("a log holds a password")
			}
		})
	}
}

// TestExpired: an expired password gets its owner into a sandbox, from which the
// account changes it; also where the superuser does.
func TestExpired(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		app, other := s.user(t), s.user(t)
		s.run(t, "ALTER USER "+at(app.User).String()+" PASSWORD EXPIRE", "ALTER USER "+at(other.User).String()+" PASSWORD EXPIRE")
		warnings, err := engine().DryRunSetPassword(t.Context(), app, app.User, password())
		ok(t, err)
		if !strings.Contains(texts(warnings), "has expired") {
			t.Errorf("caveats: %s", texts(warnings))
		}
		p := password()
		ok(t, engine().SetPassword(t.Context(), app, app.User, p))
		ok(t, engine().Ping(t.Context(), withPassword(app, p)))
		ok(t, engine().SetPassword(t.Context(), s.superuser(), other.User, p))
		ok(t, engine().Ping(t.Context(), withPassword(other, p)))
	})
}

// TestSetPasswordRefused: what the server does not permit, and who says what to do.
func TestSetPasswordRefused(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		app, locked := s.user(t), s.user(t)
		nothing, reader, writer := s.user(t), s.user(t, "SELECT ON mysql.*"), s.user(t, "CREATE USER ON *.*", "SELECT, UPDATE ON mysql.*")
		s.run(t, "ALTER USER "+at(locked.User).String()+" ACCOUNT LOCK")
		nologin, plugin := name(), "WITH mysql_no_login"
		if s.MariaDB {
			plugin = "VIA unix_socket"
		}
		remedy := "GRANT CREATE USER ON *.* TO `" + reader.User + "`@`%`"
		if s.MariaDB {
			remedy = "GRANT SELECT, UPDATE ON `mysql`.* TO `" + reader.User + "`@`%`"
		}
		for what, c := range map[string]struct {
			as    strategies.Login
			user  string
			kind  rotator.Kind
			words []string
		}{
			"no right to look": {nothing, app.User, rotator.KindPrivilege, []string{"GRANT SELECT ON `mysql`.* TO `" + nothing.User + "`@`%`"}},
			"no right":         {reader, app.User, rotator.KindPrivilege, []string{remedy}},
			"no such account":  {writer, "nobody_at_all", rotator.KindNotFound, []string{`"nobody_at_all"`}},
			"locked":           {writer, locked.User, rotator.KindPrivilege, []string{"ACCOUNT UNLOCK"}},
			"empty name":       {writer, "", rotator.KindMisconfigured, []string{"empty"}},
		} {
			t.Run(what, func(t *testing.T) {
				wants(t, engine().SetPassword(t.Context(), c.as, c.user, password()), c.kind, c.words...)
				_, err := engine().DryRunSetPassword(t.Context(), c.as, c.user, password())
				wants(t, err, c.kind, c.words...)
			})
		}
		ok(t, engine().Ping(t.Context(), app))
		if s.MariaDB {
			s.run(t, "CREATE USER "+nologin+"@'%' IDENTIFIED "+plugin)
			wants(t, engine().SetPassword(t.Context(), writer, nologin, password()), rotator.KindMisconfigured, "unix_socket", "stop rotating")
			return
		}
		s.run(t, "GRANT SYSTEM_USER ON *.* TO "+at(app.User).String())
		_, err := engine().DryRunSetPassword(t.Context(), writer, app.User, password())
		wants(t, err, rotator.KindPrivilege, "SYSTEM_USER")
		if all := rotator.FixesOf(err); len(all) != 2 || !strings.HasPrefix(all[0].Run, "REVOKE SYSTEM_USER ON *.* FROM ") ||
			!strings.HasPrefix(all[1].For, "if account ") {
			t.Errorf("to have it taken from the account is not the first way: %+v", all)
		}
		wants(t, engine().SetPassword(t.Context(), writer, app.User, password()), rotator.KindPrivilege, "SYSTEM_USER")
	})
}

// TestDryRunsChangeNothing: not an account, not the binary log.
func TestDryRunsChangeNothing(t *testing.T) {
	t.Parallel()
	for _, server := range dbserver.MySQLsInTier(t) {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, server, nil)
			db := s.NewDatabase(t)
			app := s.user(t, "SELECT ON "+db+".*")
			s.ensure(t, pairOf(app.User))
			lone := s.user(t, "INSERT ON "+db+".*")
			state := func() string {
				table := "mysql.user"
				if s.MariaDB {
					table = "mysql.global_priv"
				}
				binary, err := s.BinaryLog(t.Context())
				ok(t, err)
				columns := "CONCAT_WS('|', User, Host, HEX(authentication_string), password_last_changed)"
				if s.MariaDB {
					columns = "CONCAT_WS('|', User, Host, Priv)"
				}
				return s.ask(t, "SELECT "+columns+" FROM "+table+" ORDER BY 1") + "\n" + binary
			}
			before := state()
			for range 2 {
				for _, call := range []func() ([]strategies.Warning, error){
					func() ([]strategies.Warning, error) {
						return engine().DryRunSetPassword(t.Context(), app, app.User, password())
					},
					func() ([]strategies.Warning, error) {
						return engine().DryRunSetPassword(t.Context(), s.superuser(), app.User, password())
					},
					func() ([]strategies.Warning, error) {
						return engine().DryRunEnsureClone(t.Context(), s.superuser(), pairOf(app.User), password())
					},
					func() ([]strategies.Warning, error) {
						return engine().DryRunEnsureClone(t.Context(), s.superuser(), back(pairOf(app.User)), password())
					},
					func() ([]strategies.Warning, error) {
						return engine().DryRunEnsureClone(t.Context(), s.superuser(), pairOf(lone.User), password())
					},
				} {
					warnings, err := call()
					ok(t, err)
					warnings = slices.DeleteFunc(warnings, func(w strategies.Warning) bool { return w.Unknown || strings.HasPrefix(w.Text, `"ssl": false`) })
					if len(warnings) > 0 {
						t.Errorf("caveats: %s", texts(warnings))
					}
				}
			}
			if after := state(); after != before {
				t.Errorf("from\n%s\nto\n%s", before, after)
			}
		})
	}
}

// TestPolicies: what the server's policy refuses is the policy's, and where it cannot
// be asked in advance a caveat says so.
func TestPolicies(t *testing.T) {
	t.Parallel()
	t.Run("MySQL", func(t *testing.T) {
		t.Parallel()
		s := newServer(t, "mysql-9.7", nil)
		s.run(t, "INSTALL COMPONENT 'file://component_validate_password'")
		app := s.user(t)
		_, err := engine().DryRunSetPassword(t.Context(), app, app.User, password())
		ok(t, err)
		wants(t, engine().SetPassword(t.Context(), app, app.User, secret.NewPassword("weak")), rotator.KindPasswordPolicy, "validate_password")
		s.run(t, "SET GLOBAL validate_password.length = 200")
		_, err = engine().DryRunSetPassword(t.Context(), app, app.User, password())
		wants(t, err, rotator.KindPasswordPolicy, "policy")
		_, err = engine().DryRunSetPassword(t.Context(), s.superuser(), app.User, password())
		wants(t, err, rotator.KindPasswordPolicy, "policy")
		// What is made to measure is taken, an account of the clone on its way too.
		long := secret.NewPassword("Long-1!" + strings.Repeat("x", 200))
		_, err = engine().DryRunSetPassword(t.Context(), app, app.User, long)
		ok(t, err)
		ok(t, engine().EnsureClone(t.Context(), s.superuser(), pairOf(app.User), long))
		s.run(t, "SET GLOBAL validate_password.length = 8", "SET GLOBAL validate_password.changed_characters_percentage = 100")
		near := secret.NewPassword(app.Password.Reveal() + "x")
		warnings, err := engine().DryRunSetPassword(t.Context(), app, app.User, near)
		ok(t, err)
		if !strings.Contains(texts(warnings), "compares a new password with the old one") {
			t.Errorf("caveats: %s", texts(warnings))
		}
		wants(t, engine().SetPassword(t.Context(), app, app.User, near), rotator.KindPasswordPolicy)
		ok(t, engine().SetPassword(t.Context(), s.superuser(), app.User, near))
		app = withPassword(app, near)
		s.run(t, "SET GLOBAL validate_password.changed_characters_percentage = 0")
		p := password()
		s.run(t, "ALTER USER "+at(app.User).String()+" PASSWORD HISTORY 5")
		ok(t, engine().SetPassword(t.Context(), app, app.User, p))
		wants(t, engine().SetPassword(t.Context(), withPassword(app, p), app.User, p), rotator.KindPasswordPolicy, "HISTORY")
	})
	onOwnMariaDB(t, map[string]string{"plugin-load-add": "simple_password_check"}, func(t *testing.T, s server) {
		app := s.user(t)
		s.run(t, "SET GLOBAL general_log = 0") // see TestClearPasswordsAreNotLogged
		_, err := engine().DryRunSetPassword(t.Context(), app, app.User, password())
		ok(t, err)
		for _, weak := range []string{"weak", "Weakweakweak1", "weakweak-1", "WEAKWEAK-1", "Weakweak-"} {
			_, err := engine().DryRunSetPassword(t.Context(), app, app.User, secret.NewPassword(weak))
			wants(t, err, rotator.KindPasswordPolicy, "simple_password_check", "8 characters at least, 1 digits")
			_, err = engine().DryRunEnsureClone(t.Context(), s.superuser(), pairOf(app.User), secret.NewPassword(weak))
			wants(t, err, rotator.KindPasswordPolicy, "simple_password_check")
		}
		wants(t, engine().SetPassword(t.Context(), app, app.User, secret.NewPassword("weak")), rotator.KindPasswordPolicy, "simple_password_check")
		p := secret.NewPassword("Good-1!" + password().Reveal())
		ok(t, engine().SetPassword(t.Context(), app, app.User, p))
		ok(t, engine().Ping(t.Context(), withPassword(app, p)))
		pair := pairOf(app.User)
		ok(t, engine().EnsureClone(t.Context(), s.superuser(), pair, p))
		ok(t, engine().Ping(t.Context(), withPassword(s.login(pair.Clone, ""), p)))
		binary, err := s.BinaryLog(t.Context())
		ok(t, err)
		if strings.Contains(binary, p.Reveal()) {
			t.Error("the binary log holds the password")
		}
		s.run(t, "SET GLOBAL strict_password_validation = 0", "SET GLOBAL general_log = 1")
		q := password()
		ok(t, engine().SetPassword(t.Context(), withPassword(app, p), app.User, q))
		general, err := s.GeneralLog(t.Context())
		ok(t, err)
		if strings.Contains(general, q.Reveal()) {
			t.Error("the general log holds the password, though the server took a hash")
		}
		warnings, err := engine().DryRunSetPassword(t.Context(), s.superuser(), app.User, password())
		ok(t, err)
		if all := texts(warnings); !strings.Contains(all, "are not judged") {
			t.Errorf("caveats: %s", all)
		}
		if s.Name == "mariadb-10.5" {
			return // it has no other plugin
		}
		s.run(t, "SET GLOBAL strict_password_validation = 1", "SET GLOBAL general_log = 0", "INSTALL SONAME 'password_reuse_check'")
		warnings, err = engine().DryRunSetPassword(t.Context(), s.superuser(), app.User, password())
		ok(t, err)
		if !slices.ContainsFunc(warnings, func(w strategies.Warning) bool {
			if !w.Unknown || !strings.Contains(w.Text, "judged by password_reuse_check") || len(w.Fixes) != 1 {
				return false
			}
			s.run(t, w.Fixes[0].Run) // status shows what has one beside a retry
			return strings.Contains(w.Fixes[0].Note, "no retry helps: cancel rotation")
		}) {
			t.Errorf("caveats: %s", texts(warnings))
		}
	})
}

// TestAPasswordThatWasUsedBefore is refused for good, and no setting of the function is to blame.
func TestAPasswordThatWasUsedBefore(t *testing.T) {
	test := func(t *testing.T, s server) {
		app, p := s.user(t), password()
		if s.MariaDB {
			if s.Name == "mariadb-10.5" {
				t.Skip("it has no such plugin")
			}
			s.run(t, "SET GLOBAL general_log = 0", "INSTALL SONAME 'password_reuse_check'")
		} else {
			s.run(t, "ALTER USER "+at(app.User).String()+" PASSWORD HISTORY 3")
		}
		for _, next := range []secret.Password{p, password()} {
			ok(t, engine().SetPassword(t.Context(), s.superuser(), app.User, next))
		}
		err := engine().SetPassword(t.Context(), s.superuser(), app.User, p)
		wants(t, err, rotator.KindPasswordPolicy, "had this password before", "settings need no change")
		if strings.Contains(err.Error(), "adapt") {
			t.Error(err)
		}
	}
	onThese(t, slices.DeleteFunc(dbserver.MySQLsInTier(t), func(name string) bool {
		return strings.HasPrefix(name, "mariadb")
	}), test)
	onOwnMariaDB(t, nil, test)
}

// TestClearPasswordsAreShown: a password that MariaDB takes in clear is in its processlist while it is set, and the
// preflight says to whom.
func TestClearPasswordsAreShown(t *testing.T) {
	t.Parallel()
	onOwnMariaDB(t, map[string]string{"plugin-load-add": "simple_password_check"}, func(t *testing.T, s server) {
		s.run(t, "SET GLOBAL general_log = 0")
		app, other, monitor := s.user(t), s.user(t), s.user(t)
		s.run(t, "GRANT PROCESS ON *.* TO "+at(monitor.User).String())
		for _, strict := range []bool{true, false} {
			if !strict {
				s.run(t, "SET GLOBAL strict_password_validation = 0")
			}
			for what, dry := range map[string]func() ([]strategies.Warning, error){
				app.User: func() ([]strategies.Warning, error) {
					return engine().DryRunSetPassword(t.Context(), app, app.User, password())
				},
				s.Superuser: func() ([]strategies.Warning, error) {
					return engine().DryRunSetPassword(t.Context(), s.superuser(), app.User, password())
				},
				s.Superuser + "'s clone": func() ([]strategies.Warning, error) {
					return engine().DryRunEnsureClone(t.Context(), s.superuser(), pairOf(app.User), password())
				},
			} {
				warnings, err := dry()
				ok(t, err)
				all, own := texts(warnings), what == app.User
				said := strings.Contains(all, fmt.Sprintf("to every session of user %q", strings.TrimSuffix(what, "'s clone")))
				if said != strict || strings.Contains(all, "SINGLE_USER_THROUGH_SUPERUSER=true, by which clients") != (strict && own) {
					t.Errorf("strict is %t, user %s: %s", strict, what, all)
				}
			}
		}
		for _, acting := range []strategies.Login{app, s.superuser()} {
			lock, err := s.Admin(t.Context())
			ok(t, err)
			defer lock.Close()
			lock.SetMaxOpenConns(1)
			_, err = lock.ExecContext(t.Context(), "FLUSH TABLES WITH READ LOCK")
			ok(t, err)
			p, done := password(), make(chan error, 1)
			go func() {
				done <- s.as(t.Context(), acting, "SET PASSWORD FOR "+at(app.User).String()+" = "+inClear(p)(""))
			}()
			const waits = "SELECT COALESCE(GROUP_CONCAT(info), '') FROM information_schema.processlist WHERE state LIKE 'Waiting%'"
			for s.ask(t, waits+" AND info LIKE 'SET PASSWORD%'") == "" {
				time.Sleep(10 * time.Millisecond) // until the deadline of the test
			}
			for _, reader := range []strategies.Login{app, monitor, other} {
				db, err := s.Connect(t.Context(), reader.User, reader.Password.Reveal(), "")
				ok(t, err)
				defer db.Close()
				var text string
				ok(t, db.QueryRowContext(t.Context(), waits).Scan(&text))
				want := reader.User == monitor.User || reader.User == acting.User
				if strings.Contains(text, p.Reveal()) != want {
					t.Errorf("user %s sets it: shown to %s: %t", acting.User, reader.User, !want)
				}
			}
			_, err = lock.ExecContext(t.Context(), "UNLOCK TABLES")
			ok(t, err)
			ok(t, <-done)
			app = withPassword(app, p)
		}
	})
}

// TestClearPasswordsInTheBinaryLog: where MariaDB takes no hashes, it writes a password into its binary log as it was
// sent, unless that is by SET PASSWORD. No password of an account, and none made of its characters, is sent otherwise.
func TestClearPasswordsInTheBinaryLog(t *testing.T) {
	t.Parallel()
	onOwnMariaDB(t, map[string]string{"plugin-load-add": "simple_password_check"}, func(t *testing.T, s server) {
		s.run(t, ed25519, "SET GLOBAL general_log = 0")
		app := s.user(t)
		pair := pairOf(app.User)
		var sent secret.Scrubber
		for _, by := range []string{"mysql_native_password", "ed25519"} { // created by the one, then given the other
			s.run(t, "ALTER USER "+at(app.User).String()+" IDENTIFIED VIA "+by+" USING PASSWORD('"+app.Password.Reveal()+"')")
			p := password()
			sent.Add(p)
			sent.Add(interim(p))
			ok(t, engine().EnsureClone(t.Context(), s.superuser(), pair, p))
			ok(t, engine().Ping(t.Context(), withPassword(s.login(pair.Clone, ""), p)))
			if plugin := s.ask(t, "SELECT plugin FROM mysql.user WHERE User = "+quoteText(pair.Clone)); plugin != by {
				t.Errorf("the clone logs in by %s, its original by %s", plugin, by)
			}
		}
		s.run(t, "ALTER USER "+at(app.User).String()+" IDENTIFIED VIA ed25519 USING PASSWORD('"+app.Password.Reveal()+
			"') OR mysql_native_password USING PASSWORD('"+app.Password.Reveal()+"')")
		before := s.census(t, app.User)
		for what, call := range map[string]func(secret.Password) error{
			"single": func(p secret.Password) error { return engine().SetPassword(t.Context(), s.superuser(), app.User, p) },
			"single, dry run": func(p secret.Password) error {
				_, err := engine().DryRunSetPassword(t.Context(), s.superuser(), app.User, p)
				return err
			},
			"pair": func(p secret.Password) error { return engine().EnsureClone(t.Context(), s.superuser(), pair, p) },
			"pair, dry run": func(p secret.Password) error {
				_, err := engine().DryRunEnsureClone(t.Context(), s.superuser(), pair, p)
				return err
			},
		} {
			p := password()
			sent.Add(p)
			sent.Add(interim(p))
			if wrong := differs(call(p), rotator.KindMisconfigured, "several plugins", "strict_password_validation = 0"); wrong != nil {
				t.Errorf("%s: %v", what, wrong)
			}
		}
		if s.census(t, app.User) != before {
			t.Error("a refused call changed something")
		}
		binary, err := s.BinaryLog(t.Context())
		ok(t, err)
		if !strings.Contains(binary, pair.Clone) || sent.String(binary) != binary {
			t.Error("the binary log holds a password, or does not show what was done")
		}
		s.run(t, "SET GLOBAL strict_password_validation = 0")
		ok(t, engine().Ping(t.Context(), s.ensure(t, pair)))
	})
}

// TestHostileSettings: the server's defaults, and what init_connect does, change the
// meaning of nothing.
func TestHostileSettings(t *testing.T) {
	t.Parallel()
	for _, name := range dbserver.MySQLsInTier(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conf := map[string]string{"character-set-client-handshake": "OFF", "character-set-server": "gbk", "collation-server": "gbk_chinese_ci",
				"init-connect": "SET sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT', sql_quote_show_create = 0", "sql-mode": "ANSI_QUOTES"}
			if strings.HasPrefix(name, "mysql") {
				delete(conf, "character-set-client-handshake") // gone in 9.7
			}
			s := newServer(t, name, conf)
			db := s.NewDatabase(t)
			app := s.user(t, "SELECT ON "+db+".*")
			readOnly := "transaction_read_only"
			if s.MariaDB {
				readOnly = "tx_read_only"
			}
			s.run(t, "SET GLOBAL "+readOnly+" = 1")
			for _, odd := range []string{`\' OR 1=1 -- `, "\xc3\x9f\\'; x", `"` + "`" + `\\`} {
				p := secret.NewPassword(odd + password().Reveal())
				ok(t, engine().SetPassword(t.Context(), app, app.User, p))
				app = withPassword(app, p)
				ok(t, engine().Ping(t.Context(), app))
				ok(t, engine().SetPassword(t.Context(), s.superuser(), app.User, p))
				ok(t, engine().Ping(t.Context(), app))
				pair := pairOf(app.User)
				ok(t, engine().EnsureClone(t.Context(), s.superuser(), pair, p))
				ok(t, engine().Ping(t.Context(),
					withPassword(with(app, func(l *strategies.Login) { l.User = pair.Clone }), p)))
				s.alike(t, at(pair.Original), at(pair.Clone))
			}
		})
	}
}

// TestPR152 asked for single user rotation without the moment at which the secret's
// password is refused. Clients log in all the while by what the secret holds, over a
// hundred rotations (under the race detector ten) in which setSecret runs twice: with
// dual passwords, and with alternating users, none is refused.
func TestPR152(t *testing.T) {
	t.Parallel()
	rotations := 100 / tier.Stride(t, 10, 10)
	for _, name := range dbserver.MySQLsInTier(t) {
		s := server{dbserver.MySQL(t, name)}
		for what, c := range s.strategies() {
			if !c.keeps {
				continue
			}
			t.Run(name+", "+what, func(t *testing.T) {
				t.Parallel()
				s.rotateBesideClients(t, s.strategy(t, c, new(census.Neighbors)), rotations)
			})
		}
	}
}

func (s server) rotateBesideClients(t *testing.T, f strategytest.StrategyFixture, rotations int) {
	var current atomic.Pointer[secret.Document]
	current.Store(&f.Current)
	ctx, stop := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	defer clients.Wait()
	defer stop()
	var logins [3]atomic.Int64
	refused := make(chan error, len(logins))
	for i := range logins {
		clients.Go(func() {
			for ; ctx.Err() == nil; logins[i].Add(1) {
				if err := f.LogIn(ctx, *current.Load()); err != nil && ctx.Err() == nil {
					refused <- err
					return
				}
			}
		})
	}
	var previous secret.Document
	for range rotations {
		r := rotator.Rotation{Current: *current.Load(), ReadSecret: f.Related,
			ReadPrevious: func(context.Context) (secret.Document, error) {
				if previous.IsZero() {
					return previous, rotator.KindNotFound
				}
				return previous, nil
			}}
		var err error
		r.Pending, err = f.Strategy.Propose(t.Context(), r)
		ok(t, err)
		ok(t, f.Strategy.Apply(t.Context(), r))
		ok(t, f.Strategy.Apply(t.Context(), r))
		ok(t, f.Strategy.Verify(t.Context(), r))
		previous = r.Current
		current.Store(&r.Pending) // finishSecret
		for i := range logins {
			// A client that has read the secret logs in by it before the next rotation.
			for since := logins[i].Load(); logins[i].Load() < since+2 && len(refused) == 0; {
				runtime.Gosched()
			}
		}
		select {
		case err := <-refused:
			t.Fatalf("a client was refused: %v", err)
		default:
		}
	}
	t.Logf("%d, %d and %d logins over %d rotations", logins[0].Load(), logins[1].Load(), logins[2].Load(), rotations)
}

// TestDualPasswordsLost: a pending password that was set and then given up must not
// push out the one that the secret holds.
func TestDualPasswordsLost(t *testing.T) {
	t.Parallel()
	s := server{dbserver.MySQL(t, "mysql-9.7")}
	app := s.user(t, "APPLICATION_PASSWORD_ADMIN ON *.*")
	lost, p := password(), password()
	ok(t, engine().SetPasswordKeeping(t.Context(), app, app.User, app.Password, lost))
	ok(t, engine().SetPasswordKeeping(t.Context(), app, app.User, app.Password, p))
	ok(t, engine().Ping(t.Context(), app))
	ok(t, engine().Ping(t.Context(), withPassword(app, p)))
	wants(t, engine().Ping(t.Context(), withPassword(app, lost)), rotator.KindLoginRejected)
	own := func(dryRun func() ([]strategies.Warning, error), says bool) {
		t.Helper()
		warnings, err := dryRun()
		ok(t, err)
		if got := strings.Contains(texts(warnings), "may keep a second password") &&
			strings.Contains(texts(warnings), "DISCARD OLD PASSWORD"); got != says {
			t.Errorf("caveats: %s", texts(warnings))
		}
	}
	plain, dual := s.user(t), withPassword(app, p)
	own(func() ([]strategies.Warning, error) {
		return engine().DryRunSetPassword(t.Context(), dual, dual.User, password())
	}, true)
	own(func() ([]strategies.Warning, error) {
		return engine().DryRunKeeping(t.Context(), dual, dual.User, dual.Password, password())
	}, false)
	own(func() ([]strategies.Warning, error) {
		return engine().DryRunSetPassword(t.Context(), plain, plain.User, password())
	}, false)
	// By the retained password, plain single user rotation works too.
	q := password()
	ok(t, engine().SetPassword(t.Context(), app, app.User, q))
	ok(t, engine().Ping(t.Context(), withPassword(app, q)))
	warnings, err := engine().DryRunSetPassword(t.Context(), s.superuser(), app.User, password())
	ok(t, err)
	if !strings.Contains(texts(warnings), "DISCARD OLD PASSWORD") {
		t.Errorf("caveats: %s", texts(warnings))
	}
}

// TestAPasswordOfAnotherIsEnded: who can see what the server stores is told of a password that the secret does not hold,
// before a rotation ends it, and of no other.
func TestAPasswordOfAnotherIsEnded(t *testing.T) {
	t.Parallel()
	s := server{dbserver.MySQL(t, "mysql-9.7")}
	for how, strategy := range map[string]interface {
		rotator.Strategy
		rotator.Preflighter
	}{
		"dual passwords": strategies.DualPasswords{Engine: engine()},
		"itself":         strategies.SingleUser{Engine: engine()},
		"superuser":      strategies.SingleUser{Engine: engine(), ThroughSuperuser: true},
	} {
		for where, sets := range map[string][]string{
			"primary":  {"{other}' RETAIN CURRENT PASSWORD"},
			"retained": {"{other}'", "{app}' RETAIN CURRENT PASSWORD"},
			"previous": {"{other}'", "{app}' RETAIN CURRENT PASSWORD"},
		} {
			app := s.user(t, "APPLICATION_PASSWORD_ADMIN ON *.*", "SELECT ON mysql.*")
			other := password()
			for _, set := range sets {
				s.run(t, "ALTER USER "+at(app.User).String()+" IDENTIFIED BY '"+strings.NewReplacer("{other}",
					other.Reveal(), "{app}", app.Password.Reveal()).Replace(set))
			}
			ok(t, engine().Ping(t.Context(), app))
			ok(t, engine().Ping(t.Context(), withPassword(app, other)))
			r := s.rotation(t, app, password())
			if where == "previous" {
				r.ReadPrevious = func(context.Context) (secret.Document, error) {
					return s.document(t, withPassword(app, other), ""), nil
				}
			}
			says := false
			for _, f := range strategy.Preflight(t.Context(), r) {
				if f.Status == rotator.StatusFailed || f.Status == rotator.StatusDenied {
					t.Errorf("%s, %s: %s: %s", how, where, f.ID, f.Detail)
				}
				// One that is retained may be left of an edit, which is to stop no strict preflight.
				says = says || strings.Contains(f.Detail, "AWSPENDING and AWSPREVIOUS do not hold") &&
					(f.Status == rotator.StatusUnknown || where == "retained" && f.Status == rotator.StatusPassed)
			}
			ok(t, strategy.Apply(t.Context(), r))
			ended := engine().Ping(t.Context(), withPassword(app, other)) != nil
			if says != (ended && where != "previous") {
				t.Errorf("%s, %s: it says so: %t; the password has ended: %t", how, where, says, ended)
			}
		}
	}
}

// TestDualPasswordsRefused: each reason has its sentence.
func TestDualPasswordsRefused(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		app := s.user(t)
		for _, call := range []func() error{
			func() error { return engine().SetPasswordKeeping(t.Context(), app, app.User, app.Password, password()) },
			func() error {
				_, err := engine().DryRunKeeping(t.Context(), app, app.User, app.Password, password())
				return err
			},
		} {
			if s.MariaDB {
				wants(t, call(), rotator.KindMisconfigured, "MariaDB", "alternating users")
			} else {
				wants(t, call(), rotator.KindPrivilege, "GRANT APPLICATION_PASSWORD_ADMIN ON *.* TO `"+app.User+"`@`%`")
			}
		}
		ok(t, engine().Ping(t.Context(), app))
	})
	old := session{login: strategies.Login{User: "app"}, wire: &wire{version: "8.0.13"}}
	wants(t, old.checkKeeping(), rotator.KindMisconfigured, "8.0.13", "8.0.14")
}

// TestNoPasswordInTheLogs: neither log holds a password in clear, whatever was done.
func TestNoPasswordInTheLogs(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		app := s.user(t)
		var set secret.Scrubber
		pair := pairOf(app.User)
		change := func(do func(p secret.Password) error) secret.Password {
			p := password()
			set.Add(p)
			ok(t, do(p))
			return p
		}
		if !s.MariaDB {
			s.run(t, "GRANT APPLICATION_PASSWORD_ADMIN ON *.* TO "+at(app.User).String())
			app = withPassword(app, change(func(p secret.Password) error {
				return engine().SetPasswordKeeping(t.Context(), app, app.User, app.Password, p)
			}))
		}
		app = withPassword(app,
			change(func(p secret.Password) error { return engine().SetPassword(t.Context(), app, app.User, p) }))
		change(func(p secret.Password) error { return engine().SetPassword(t.Context(), s.superuser(), app.User, p) })
		change(func(p secret.Password) error { return engine().EnsureClone(t.Context(), s.superuser(), pair, p) })
		change(func(p secret.Password) error { return engine().EnsureClone(t.Context(), s.superuser(), back(pair), p) })
		general, err := s.GeneralLog(t.Context())
		ok(t, err)
		binary, err := s.BinaryLog(t.Context())
		ok(t, err)
		if !strings.Contains(general, app.User) || !strings.Contains(binary, pair.Clone) {
			t.Error("the logs do not show what was done")
		}
		if set.String(general) != general {
			t.Error("the general log holds a password")
		}
		if set.String(binary) != binary {
			t.Error("the binary log holds a password")
		}
	})
}

// TestStrategies is the acceptance suite for strategies, on these engines.
// It takes more than twenty seconds: a hundred cases for each server and strategy, many of which wait until a server
// that has fallen silent is given up. In make test it is MySQL, which has all strategies.
func TestStrategies(t *testing.T) {
	t.Parallel()
	for _, name := range tier.Share(t, dbserver.MySQLs(), "mysql-9.7") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, name, map[string]string{"max-connections": "300"})
			var fixtures census.Neighbors
			for what, c := range s.strategies() {
				t.Run(what, func(t *testing.T) {
					strategytest.TestStrategy(t, func(t *testing.T) strategytest.StrategyFixture {
						return s.strategy(t, c, &fixtures)
					})
				})
			}
		})
	}
}

type strategyCase struct {
	make       func(e strategies.CloningEngine) rotator.Strategy
	bySuper    bool
	keeps      bool
	privileges []string
}

func (s server) strategies() map[string]strategyCase {
	all := map[string]strategyCase{
		"single user": {make: func(e strategies.CloningEngine) rotator.Strategy {
			return strategies.SingleUser{Engine: e}
		}},
		"through superuser": {make: func(e strategies.CloningEngine) rotator.Strategy {
			return strategies.SingleUser{Engine: e, ThroughSuperuser: true}
		}, bySuper: true},
		"alternating users": {make: func(e strategies.CloningEngine) rotator.Strategy {
			return strategies.AlternatingUsers{Engine: e}
		}, bySuper: true, keeps: true},
	}
	if !s.MariaDB {
		all["dual passwords"] = strategyCase{keeps: true, privileges: []string{"APPLICATION_PASSWORD_ADMIN ON *.*"},
			make: func(e strategies.CloningEngine) rotator.Strategy {
				return strategies.DualPasswords{Engine: e.(Engine)}
			}}
	}
	return all
}

func (s server) strategy(t *testing.T, c strategyCase, fixtures *census.Neighbors) strategytest.StrategyFixture {
	e := engine()
	var of strategies.CloningEngine = e
	kind := "mysql"
	if s.MariaDB {
		of, kind = MariaDB(e), "mariadb"
	}
	db := s.NewDatabase(t)
	app, other := withPassword(s.login(name(), ""), password()), withPassword(s.login(name(), ""), password())
	mine := fixtures.Join(app.User, other.User)
	s.dropAtEnd(t, app.User, other.User)
	for _, login := range []strategies.Login{app, other} {
		s.run(t, fmt.Sprintf("CREATE USER %s@'%%' IDENTIFIED BY '%s'", login.User, login.Password.Reveal()))
		for _, privilege := range append(c.privileges, "SELECT ON "+db+".*") {
			s.run(t, "GRANT "+privilege+" TO "+login.User+"@'%'")
		}
	}
	document := func(login strategies.Login, more string) secret.Document {
		d, err := secret.ParseDocument(fmt.Sprintf(`{"engine":%q,"host":%q,"port":%d,"dbname":%q,"username":%q,"password":%q,"ssl":false%s}`,
			kind, login.Host, login.Port, db, login.User, login.Password.Reveal(), more))
		ok(t, err)
		return d
	}
	f := strategytest.StrategyFixture{
		Strategy:     c.make(of),
		Current:      document(app, ""),
		KeepsCurrent: c.keeps,
		LogIn: func(ctx context.Context, d secret.Document) error {
			login := s.login(d.Text("username"), "")
			login.Database = d.Text("dbname")
			return e.Ping(ctx, withPassword(login, d.Password()))
		},
		Census: func(ctx context.Context) (map[string]string, error) {
			all, err := s.Census(ctx)
			return mine.Census(all, "_clone"), err
		},
		Others: map[string]secret.Document{"other": document(other, "")},
		Rights: func(ctx context.Context, d secret.Document) ([]string, error) {
			return s.Rights(ctx, d.Text("username"), d.Password().Reveal())
		},
	}
	if c.bySuper {
		f.Current = document(app, `,"masterarn":"super"`)
		f.Related = func(context.Context, string) (secret.Document, error) { return document(s.superuser(), ""), nil }
	}
	return f
}

// TestOneConnection: each call makes one connection, and leaves none behind.
func TestOneConnection(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		app := s.user(t)
		var connections atomic.Int64
		proxy := &strategytest.Proxy{Dial: func(ctx context.Context) (net.Conn, error) {
			connections.Add(1)
			return s.Dial(ctx)
		}}
		ok(t, proxy.Listen())
		t.Cleanup(proxy.Close)
		through := func(login strategies.Login) strategies.Login {
			return with(login, func(l *strategies.Login) { l.Port = proxy.Port() })
		}
		ok(t, engine().Ping(t.Context(), through(app)))
		ok(t, engine().SetPassword(t.Context(), through(app), app.User, app.Password))
		ok(t, engine().EnsureClone(t.Context(), through(s.superuser()), pairOf(app.User), password()))
		if n := connections.Load(); n != 3 {
			t.Errorf("3 calls made %d connections", n)
		}
	})
}
