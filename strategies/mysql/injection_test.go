package mysql

import (
	"crypto/rand"
	"fmt"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// TestNoNameOrPasswordEndsItsConstant: sessions that change something may send several statements in one text, so that
// a
// name or a password that ended its constant could go on as a statement. Names of users, databases, tables, columns,
// routines and roles that try to, and passwords, under every sql_mode and character set in which constants are read
// otherwise: each is changed, copied and logged in with, and the account that they would drop is there.
func TestNoNameOrPasswordEndsItsConstant(t *testing.T) {
	t.Parallel()
	for _, name := range dbserver.MySQLsInTier(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, name, nil)
			s.run(t, "CREATE USER v", "CREATE ROLE `r``;DROP USER v;#`")
			boss := s.user(t, "SELECT, UPDATE ON mysql.*", "CREATE USER ON *.*")
			b := at(boss.User).String()
			s.run(t, "GRANT `r``;DROP USER v;#` TO "+b+" WITH ADMIN OPTION", "GRANT SELECT, INSERT, EXECUTE ON *.* TO "+b+" WITH GRANT OPTION")
			step := max(tier.Stride(t, 37, 37), 3) // which have no factor in common with the number of names
			for i, set := range s.readings() {
				for j := range hostileNames {
					if (i*len(hostileNames)+j)%step == 0 {
						s.tryHostile(t, boss, i, j, set)
					}
				}
			}
			if got := s.ask(t, "SELECT COUNT(*) FROM mysql.user WHERE User = 'v'"); got != "1" {
				t.Error("an account was dropped by a name or a password")
			}
		})
	}
}

// TestNoNameEndsWhatIsTyped: the query that status prints for an administrator's session, in which a backslash escapes, is
// for the user of that very name.
func TestNoNameEndsWhatIsTyped(t *testing.T) {
	t.Parallel()
	for _, name := range dbserver.MySQLsInTier(t) {
		s := newServer(t, name, nil)
		asks := Engine{}.Inquiry
		if s.MariaDB {
			asks = MariaDB{}.Inquiry
		}
		for _, user := range []string{"app", `\'); DROP USER v; -- `, `a\`, `it's`, "a\u00a0b", `\\'`, "ü"} {
			s.run(t, "CREATE USER "+quoteIdent(user))
			query := asks(user)[0].Run
			if got := s.ask(t, "SELECT COUNT(*) FROM ("+query+") AS q"); got != "1" {
				t.Errorf("%s: %s finds %s users, not the one", name, query, got)
			}
			_, constant, _ := strings.Cut(authMethods{mariadb: s.MariaDB}.clientsOf(user), "USER = ")
			if got := s.ask(t, "SELECT HEX("+constant+")"); got != fmt.Sprintf("%X", user) {
				t.Errorf("%s: %s is another name than %q", name, constant, user)
			}
			if held := heldQuery(at(user)); !s.MariaDB && s.ask(t, "SELECT COUNT(*) FROM ("+held+") AS q") != "1" {
				t.Errorf("%s: %s", name, held)
			}
			s.run(t, "DROP USER "+quoteIdent(user))
		}
	}
}

// TestNoDemandEndsWhatIsTyped: CREATE USER is enough to have an account demand a text that would end its constant in an
// administrator's session, and go on as a statement.
func TestNoDemandEndsWhatIsTyped(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		app, other := s.user(t), s.user(t)
		pair := strategies.Pair{Original: app.User, Clone: other.User, Target: other.User, PasswordOnly: true,
			Named: true, Consent: true}
		s.run(t, "ALTER USER "+at(other.User).String()+" REQUIRE X509")
		for subject, printed := range map[string]bool{"/CN=a": true, `/CN=a\`: false} {
			s.run(t, "SET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES'", "ALTER USER "+at(app.User).String()+
				" REQUIRE SUBJECT "+quoteText(subject))
			_, err := engine().DryRunEnsureClone(t.Context(), s.superuser(), pair, password())
			wants(t, err, rotator.KindMisconfigured, "refuses them without what it demands")
			if len(rotator.FixesOf(err)) > 0 != printed || strings.Contains(err.Error(), subject) != printed {
				t.Errorf("%s: %v", subject, err)
			}
		}
	})
}

// readings are the settings by which a server reads constants otherwise: what is global, and init_connect.
func (s server) readings() (all [][2]string) {
	modes := []string{"", "ANSI_QUOTES", "NO_BACKSLASH_ESCAPES", "ANSI", "TRADITIONAL,PIPES_AS_CONCAT,IGNORE_SPACE"}
	sets := []string{"gbk", "sjis", "big5", "cp932", "latin1", "utf8mb3", "gb2312", "euckr"}
	if s.MariaDB {
		modes = append(modes, "ORACLE", "MSSQL", "POSTGRESQL,NO_BACKSLASH_ESCAPES")
	} else {
		sets = append(sets, "gb18030")
	}
	for _, mode := range modes {
		all = append(all, [2]string{mode, ""})
	}
	for _, set := range sets {
		all = append(all, [2]string{"ANSI_QUOTES", "SET NAMES " + set},
			[2]string{"", "SET character_set_client = " + set})
	}
	return all
}

// hostileNames have a place for what makes each of them another.
var hostileNames = []string{
	"%s';DROP USER v;#", "%s`;DROP USER v;#", `%s";DROP USER v;#`, `%s\';DROP USER v;#`, "%s\\`;DROP USER v;#", `%s\`, `%s\\';`,
	"%s縗\\';DROP USER v;#", "%s縗';DROP USER v;#", "%sé`;DROP USER v;#", "%s表\\", "%s*/;DROP USER v;/*", "%s/*!;DROP USER v*/",
	"%s\n;DROP USER v\n#", "%s'@'x", "%s@x", "%s'';", "%s%%_", "%s$$;", "%sｱ'",
}

func hostilePasswords(n int) secret.Password {
	all := []string{
		"'; DROP USER v; -- ", `\'; DROP USER v; #`, `\`, "縗\\'; DROP USER v; #", "é'; DROP USER v; #", "' REPLACE '", "\n'; DROP USER v;\n", `"; DROP USER v; #`,
		"`; DROP USER v; #", "'/*!; DROP USER v */", "😀'; DROP USER v; #", "'' ; DROP USER v", "表\\", "' || '", "\x1a\b\t%_",
	}
	return secret.NewPassword(rand.Text() + all[n%len(all)])
}

func (s server) tryHostile(t *testing.T, superuser strategies.Login, i, j int, set [2]string) {
	t.Helper()
	id := strings.ToLower(rand.Text()[:5])
	app := withPassword(s.login(fmt.Sprintf(hostileNames[j], id), ""), hostilePasswords(i+j))
	object := fmt.Sprintf("%d%s", i, fmt.Sprintf(hostileNames[j], id))
	o, u := quoteIdent(object), at(app.User).String()
	s.run(t, "SET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES'", "CREATE USER "+u+" IDENTIFIED BY "+
		quotePassword(app.Password), "CREATE DATABASE "+o, "CREATE TABLE "+o+"."+o+" ("+o+" int)",
		"CREATE PROCEDURE "+o+"."+o+"() SELECT 1", "GRANT SELECT ON "+o+".* TO "+u, "GRANT INSERT ("+o+") ON "+o+"."+o+
			" TO "+u,
		"GRANT EXECUTE ON PROCEDURE "+o+"."+o+" TO "+u, "GRANT `r``;DROP USER v;#` TO "+u)
	s.run(t, "SET GLOBAL sql_mode = '"+set[0]+"', GLOBAL init_connect = '"+set[1]+"'")
	defer s.run(t, "SET GLOBAL sql_mode = DEFAULT, GLOBAL init_connect = ''")
	what := fmt.Sprintf("%q, %q: user %q", set[0], set[1], app.User)
	must := func(step string, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %s: %v", what, step, err)
		}
	}
	e := engine()
	_, err := e.DryRunSetPassword(t.Context(), app, app.User, hostilePasswords(i+j+1))
	must("dry run", err)
	p := hostilePasswords(i + j + 2)
	must("change of itself", e.SetPassword(t.Context(), app, app.User, p))
	app = withPassword(app, p)
	must("login", e.Ping(t.Context(), app))
	p = hostilePasswords(i + j + 3)
	must("change by a superuser", e.SetPassword(t.Context(), superuser, app.User, p))
	must("login", e.Ping(t.Context(), withPassword(app, p)))
	pair := pairOf(app.User)
	_, err = e.DryRunEnsureClone(t.Context(), superuser, pair, hostilePasswords(i+j+4))
	must("dry run of a clone", err)
	p = hostilePasswords(i + j + 5)
	must("clone", e.EnsureClone(t.Context(), superuser, pair, p))
	must("login of the clone", e.Ping(t.Context(), withPassword(s.login(pair.Clone, ""), p)))
}

// TestANameThatInitConnectWouldTranslate: a login says whom the server let in, in the character set that init_connect
// has
// chosen for results. A name that is not in it is the same name all the same, for testSecret as for setSecret.
func TestANameThatInitConnectWouldTranslate(t *testing.T) {
	t.Parallel()
	for _, name := range dbserver.MySQLsInTier(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, name, nil)
			app := withPassword(s.login("müller縗", ""), password())
			s.run(t, "CREATE USER "+at(app.User).String()+" IDENTIFIED BY "+quotePassword(app.Password))
			for _, set := range []string{"SET NAMES latin1", "SET NAMES gbk", "SET character_set_results = ascii",
				"SET character_set_results = utf16", "SET character_set_results = NULL"} {
				s.run(t, "SET GLOBAL init_connect = '"+set+"'")
				ok(t, engine().Ping(t.Context(), app))
				p := password()
				ok(t, engine().SetPassword(t.Context(), app, app.User, p))
				app = withPassword(app, p)
				ok(t, engine().Ping(t.Context(), app))
			}
		})
	}
}
