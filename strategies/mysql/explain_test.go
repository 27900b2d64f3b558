package mysql

import (
	"context"
	"fmt"
	"iter"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
)

// TestASuperuserSeesThatTheServerDemandsTLS: to a login without it, MariaDB 10.5 answers as to a wrong password.
func TestASuperuserSeesThatTheServerDemandsTLS(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"mariadb-10.5", "mysql-9.7"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := server{dbserver.NewMySQL(t, dbserver.MySQLOptions{Name: name,
				TLS: &dbserver.TLS{Names: []string{"127.0.0.1"}}})}
			e := engine()
			e.Roots = s.CAs
			app := with(s.user(t), func(l *strategies.Login) { l.TLS.Disabled = true })
			s.run(t, "SET GLOBAL require_secure_transport = ON")
			causes, err := e.Explain(t.Context(), s.superuser(), app)
			ok(t, err)
			if c := causes[0]; !c.Invalid || c.Right || c.Reset != "" || c.Remedy != `remove "ssl": false from the secret` {
				t.Errorf("%+v", c)
			}
			app.TLS.Disabled = false
			ok(t, e.Ping(t.Context(), app))
		})
	}
}

// TestASuperuserSeesWhyALoginIsRejected: what it says mends it is run as it stands, and the login is accepted.
func TestASuperuserSeesWhyALoginIsRejected(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		s = newServer(t, s.Name, nil) // which has few enough accounts for passwords to be compared with
		for name, c := range map[string]struct {
			breaks, says string
			blocked      bool
		}{
			"locked":             {"ALTER USER %u@`%` ACCOUNT LOCK", "is locked: ALTER USER", true},
			"client certificate": {"ALTER USER %u@`%` REQUIRE X509", "demands a client certificate (REQUIRE X509)", true},
			"another host":       {"RENAME USER %u@`%` TO %u@`10.0.0.1`", "is for the address of this function", true},
			"another account":    {"CREATE USER %u@`127.0.0.1` IDENTIFIED BY 'Another-1-owner'", "hides", true},
			"renamed":            {"RENAME USER %u@`%` TO `renamed%u`@`%`", "has this very password: it looks like it, renamed", true},
			"dropped":            {"DROP USER %u@`%`", "CREATE USER", false},
			"another password":   {"ALTER USER %u@`%` IDENTIFIED BY 'Another-1-password'", "its password is another", false},
			"another owner's":    {"RENAME USER %u@`%` TO %u@`10.0.0.1`; ALTER USER %u@`10.0.0.1` IDENTIFIED BY 'Another-1-owner'", "none of these has this password", false},
			"in order":           {"SELECT 1", "has this very password", false},
			"netmask":            {"CREATE USER %u@`10.0.0.0/255.0.0.0` IDENTIFIED BY 'Another-1-owner'", "has this very password", false},
			"no netmask":         {"CREATE USER %u@`10.0.0.0/255.0.255.0` IDENTIFIED BY 'Another-1-owner'", "has the accounts", false},
			"no password":        {"", "with this version's password in place of PASSWORD", false},
		} {
			t.Run(name, func(t *testing.T) {
				app := s.user(t)
				if name == "no password" {
					c.breaks = "ALTER USER %u@`%` IDENTIFIED WITH auth_socket"
					if s.MariaDB {
						c.breaks = "ALTER USER %u@`%` IDENTIFIED VIA unix_socket"
					} else {
						//nolint:errcheck // it may be there
						s.Exec(t.Context(), "INSTALL PLUGIN auth_socket SONAME 'auth_socket.so'")
					}
				}
				s.run(t, strings.Split(strings.NewReplacer("`renamed%u`", quoteIdent(app.User+"old"), "%u", quoteIdent(app.User)).Replace(c.breaks), "; ")...)
				causes, err := Engine{}.Explain(t.Context(), s.superuser(), app)
				ok(t, err)
				for i := range causes { // what is said where no label is to be moved
					causes[i].Text = strings.TrimSuffix(causes[i].Text+": "+causes[i].Remedy, ": ")
				}
				if len(causes) != 1 || !strings.Contains(causes[0].Text, c.says) || causes[0].Blocked != c.blocked ||
					strings.Contains(causes[0].Text, app.Password.Reveal()) {
					t.Fatalf("%+v, want %s", causes, c.says)
				}
				resets := []string{"another password", "no password", "dropped", "another owner's"}
				if causes[0].Right != (name == "in order" || name == "netmask") || slices.Contains(resets, name) != (causes[0].Reset != "") {
					t.Errorf("%+v", causes[0])
				}
				if causes[0].Reset != "" {
					s.run(t, strings.Replace(causes[0].Reset, "PASSWORD'", app.Password.Reveal()+"'", 1))
					ok(t, Engine{}.Ping(t.Context(), app))
				}
				if !c.blocked {
					return
				}
				text := causes[0].Text
				if name == "another account" { // both ways end well, and the query runs
					s.run(t, regexp.MustCompile("SELECT HOST FROM .*? WHERE USER = '[^']*'").FindString(text))
					_, text, _ = strings.Cut(text, "; otherwise ")
				}
				s.run(t, regexp.MustCompile("(?:ALTER|RENAME|DROP) USER [^;,)]*").FindString(text))
				if name == "another account" {
					ok(t, Engine{}.Ping(t.Context(), app))
					s.run(t, "DROP USER "+quoteIdent(app.User+"_former")+"@`127.0.0.1`",
						"CREATE USER "+quoteIdent(app.User)+"@`127.0.0.1` IDENTIFIED BY 'Another-1-owner'",
						regexp.MustCompile("DROP USER [^;,)]*").FindString(causes[0].Text))
				}
				if name == "client certificate" && app.TLS.Disabled { // and what it says of the secret
					s.run(t, "ALTER USER "+quoteIdent(app.User)+"@`%` REQUIRE NONE")
				}
				ok(t, Engine{}.Ping(t.Context(), app))
			})
		}
	})
}

// TestADroppedOriginalIsSetBackAsItWas: with what its clone demands and is limited to, for the host that has.
func TestADroppedOriginalIsSetBackAsItWas(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		app := s.user(t)
		s.run(t, "ALTER USER "+at(app.User).String()+" REQUIRE SSL WITH MAX_USER_CONNECTIONS 12",
			"RENAME USER "+at(app.User).String()+" TO "+account{user: app.User, host: "127.0.0.%"}.String())
		clone := s.ensure(t, pairOf(app.User))
		s.run(t, "DROP USER "+account{user: app.User, host: "127.0.0.%"}.String(),
			"ALTER USER "+account{user: clone.User, host: "127.0.0.%"}.String()+" ACCOUNT LOCK")
		causes, err := engine().Explain(t.Context(), s.superuser(), app)
		ok(t, err)
		reset, remedy := causes[0].Reset, causes[0].Remedy
		if !strings.Contains(remedy, "by the line that is printed") || strings.Contains(remedy, "IDENTIFIED") ||
			!strings.Contains(reset, "leave ACCOUNT LOCK out") {
			t.Errorf("%s: %s", remedy, reset)
		}
		s.run(t, strings.ReplaceAll(reset, "PASSWORD'", app.Password.Reveal()+"'"))
		was := func(user string) string {
			return s.ask(t, "SELECT CONCAT_WS(' ', Host, ssl_type, max_user_connections) FROM mysql.user WHERE User = "+
				quoteText(user))
		}
		if got := was(app.User); got != was(clone.User) {
			t.Errorf("%s, want %s", got, was(clone.User))
		}
		// A clone is made again by the next rotation, from its original.
		s.run(t, "DROP USER "+account{user: clone.User, host: "127.0.0.%"}.String())
		causes, err = engine().Explain(t.Context(), s.superuser(), clone)
		ok(t, err)
		if plain := createStatement(clone.User); !strings.HasPrefix(causes[0].Reset, plain+" --") {
			t.Errorf("%s, want %s", causes[0].Reset, plain)
		}
	})
}

// TestAnAnonymousAccountIsSeen, which comes before the account of the name.
func TestAnAnonymousAccountIsSeen(t *testing.T) {
	met := []accountRow{{account: account{user: "", host: "127.0.0.1"}}}
	own := []accountRow{{account: account{user: "app", host: "%"}, plugins: []string{"ed25519"},
		require: "REQUIRE SSL"}}
	by := authMethods{mariadb: true, loaded: []string{"ed25519"}}
	app := strategies.Login{User: "app", TLS: strategies.TLS{Disabled: true}}
	if c := rejectionCause(app, "127.0.0.1", own, met, by, nil); !c.Blocked || !strings.Contains(c.Remedy, "DROP USER ``@`127.0.0.1`") {
		t.Errorf("%+v", c)
	}
	if c := rejectionCause(app, "10.0.0.1", own, met, by, nil); !c.Invalid || c.Blocked || !strings.Contains(c.Text+": "+c.Remedy, `demands TLS, and "ssl": false in the secret turns it off: remove "ssl": false`) {
		t.Errorf("%+v", c)
	}
	own[0].host = "127.0.0.1"
	own[0].require = "REQUIRE NONE"
	if c := rejectionCause(app, "127.0.0.1", own, met, by, nil); c.Blocked ||
		!strings.Contains(c.Text, "its password is another") {
		t.Errorf("of two for one host the one with a name is met: %+v", c)
	}
}

// TestWhatTextsDoNotTell is not decided: of netmasks, and of addresses that the server has found a name for.
func TestWhatTextsDoNotTell(t *testing.T) {
	for _, c := range []struct {
		account, address string
		undecided        bool
	}{
		{"%", "10.0.0.1", false},
		{"10.0.%", "10.0.0.1", false},
		{"10.0.%", "172.16.0.1", false},
		{"10.0.0.0/255.255.0.0", "10.0.0.1", false},
		{"10.0.0.0/16", "10.0.0.1", false},
		{"10.0.0.0/255.0.255.0", "10.0.0.1", true},
		{"10.0.0.0/255.255.0.0", "ip-10-0-0-1.ec2.internal", true},
		{"fd00::/8", "fd00::1", true},
		{"%", "ip-10-0-0-1.ec2.internal", false},
		{"10.0.%", "ip-10-0-0-1.ec2.internal", true},
		{"127.0.0.1", "localhost", true},
		{"%.ec2.internal", "ip-10-0-0-1.ec2.internal", false},
	} {
		rows := []accountRow{{account: account{user: "app", host: c.account}}}
		if undecided(rows, c.address) != c.undecided {
			t.Errorf("an account for %s, and a login from %s: undecided is not %t", c.account, c.address, c.undecided)
		}
	}
}

// TestANetworkThatHidesAnAccount: an account for the network of the function's address, which is locked, comes before
// the one for all hosts; the preflight says so, and of none that the server does not take.
func TestANetworkThatHidesAnAccount(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		for host, hides := range map[string]bool{"127.%": true, "127.0.0.0/255.0.0.0": true, "127.0.0.0/8": !s.MariaDB,
			"%%": true, "127.1.0.0/255.255.0.0": false, "128.0.0.0/8": false, "127.0.0.1/255.0.0.0": false} {
			app := s.user(t)
			pair := pairOf(app.User)
			s.ensure(t, pair)
			hidden := account{user: app.User, host: host}
			s.run(t, "CREATE USER "+hidden.String()+" IDENTIFIED BY 'x' ACCOUNT LOCK")
			back := back(pair)
			back.Possession = possessed
			_, err := engine().DryRunEnsureClone(t.Context(), s.superuser(), back, password())
			if !hides {
				ok(t, err)
				continue
			}
			if wrong := differs(err, rotator.KindMisconfigured, "account "+hidden.String()+" is locked"); wrong != nil {
				t.Errorf("%s: %v", host, wrong)
			}
		}
	})
}

// TestASuperuserFromElsewhere does not judge by its own address: the user in use has logged in from another.
func TestASuperuserFromElsewhere(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		app := s.user(t)
		pair := strategies.Pair{Original: app.User, Clone: app.User + "_clone", Target: app.User + "_clone", Consent: true}
		ok(t, engine().EnsureClone(t.Context(), s.superuser(), pair, password()))
		pair.Target = app.User
		clone := at(pair.Clone).String()
		for host, refused := range map[string]bool{"%": true, "10.0.%": false} {
			s.run(t, "RENAME USER "+at(app.User).String()+" TO "+quoteIdent(app.User)+"@`10.0.%`")
			if host != "%" {
				s.run(t, "RENAME USER "+clone+" TO "+quoteIdent(pair.Clone)+"@`10.0.%`")
			}
			_, err := engine().DryRunEnsureClone(t.Context(), s.superuser(), pair, password())
			if refused {
				wants(t, err, rotator.KindMisconfigured, "the new password could not log in", "RENAME USER")
			} else {
				ok(t, err)
				s.run(t, "RENAME USER "+quoteIdent(pair.Clone)+"@`10.0.%` TO "+clone)
			}
			s.run(t, "RENAME USER "+quoteIdent(app.User)+"@`10.0.%` TO "+at(app.User).String())
		}
		s.run(t, "DROP USER "+clone)
	})
}

// TestAnOriginalThatIsGone is brought back by hand, with what its clone may do.
func TestAnOriginalThatIsGone(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		app := s.user(t)
		clone := quoteIdent(app.User+"_clone") + "@`%`"
		s.run(t, "RENAME USER "+quoteIdent(app.User)+"@`%` TO "+clone)
		pair := strategies.Pair{Original: app.User, Clone: app.User + "_clone", Target: app.User}
		_, err := Engine{}.DryRunEnsureClone(t.Context(), s.superuser(), pair, app.Password)
		wants(t, err, rotator.KindNotFound, "if it was renamed, to one of SELECT User, Host FROM mysql.user, RENAME USER", "SHOW GRANTS FOR "+clone)
		if fixes := rotator.FixesOf(err); len(fixes) < 3 || !strings.HasPrefix(fixes[1].Run, "RENAME USER") || !strings.HasPrefix(fixes[2].Run, "CREATE USER "+at(app.User).String()) {
			t.Errorf("%+v", fixes)
		}
		s.run(t, "DROP USER "+clone)
	})
}

// TestTheQueryForTheCauseShowsAReplica: what the other lines change, an administrator could change there alone.
func TestTheQueryForTheCauseShowsAReplica(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		ask := engine().Inquiry
		if s.MariaDB {
			ask = MariaDB(engine()).Inquiry
		}
		look := ask(s.user(t).User)[0]
		shown := "SELECT `@@read_only` FROM (" + look.Run + ") x"
		if got, want := s.ask(t, shown), s.ask(t, "SELECT @@read_only"); got != want || !strings.HasPrefix(look.Note, "with @@read_only 1 ") {
			t.Errorf("%s, in place of %s: %s", got, want, look.Note)
		}
	})
}

// TestUsersThatWereMadeAgain: the server shows of an account that was dropped and created again that it may do nothing;
// and a superuser, where it is one of a pair, what it had.
func TestUsersThatWereMadeAgain(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		db, role := s.NewDatabase(t), s.role(t)
		app := s.user(t, "SELECT ON "+db+".*")
		clone := s.ensure(t, pairOf(app.User))
		remark := func(who strategies.Login) string {
			remark, err := engine().TestUse(t.Context(), who)
			ok(t, err)
			return remark.Text
		}
		for _, who := range []strategies.Login{app, clone} {
			if got := remark(who); got != "" {
				t.Errorf("user %q: %s", who.User, got)
			}
		}
		s.run(t, "DROP USER "+at(app.User).String())
		causes, err := engine().Explain(t.Context(), s.superuser(), app)
		ok(t, err)
		for _, text := range []string{causes[0].Remedy, causes[0].Reset} { // the name proves nothing
			if !strings.Contains(text, "SHOW GRANTS FOR "+at(clone.User).String()+" shows if the two are a pair") {
				t.Error(text)
			}
		}
		create, _, _ := strings.Cut(causes[0].Reset, " -- ")
		s.run(t, strings.Replace(create, "PASSWORD", app.Password.Reveal(), 1))
		if got := remark(app); !strings.Contains(got, "where "+at(clone.User).String()+" is its clone, SHOW GRANTS FOR that") {
			t.Errorf("made again: %q", got)
		}
		s.run(t, "GRANT "+role+" TO "+at(clone.User).String())
		for _, turn := range []strategies.Pair{pairOf(app.User), back(pairOf(app.User))} { // no rotation takes it from the clone
			turn.Possession = possessed
			_, err = engine().DryRunEnsureClone(t.Context(), s.superuser(), turn, password())
			wants(t, err, rotator.KindPrivilege, at(app.User).String()+" may do nothing but log in, as one that was dropped", "GRANT SELECT ON `"+db+"`.* TO "+at(app.User).String())
		}
		lacks, _, err := engine().TestPair(t.Context(), s.superuser(), pairOf(app.User))
		ok(t, err)
		for i, fix := range lacks.Fixes {
			if !strings.HasPrefix(fix.For, "if the two are a pair, and no other secret") && i > 0 {
				t.Errorf("%s: %s", fix.For, fix.Run)
			}
			s.run(t, fix.Run)
		}
		s.alike(t, at(app.User), at(clone.User))
		for _, turn := range []strategies.Pair{pairOf(app.User), back(pairOf(app.User))} {
			if lacks, _, err = engine().TestPair(t.Context(), s.superuser(), turn); err != nil || lacks.Text != "" {
				t.Errorf("both have all: %s, %v", lacks, err)
			}
		}
		s.run(t, "REVOKE "+role+" FROM "+at(app.User).String(), "DROP USER "+at(clone.User).String(),
			"CREATE USER "+at(clone.User).String()+" IDENTIFIED BY '"+clone.Password.Reveal()+"'")
		if got := remark(clone); !strings.Contains(got, "or, where the two alternate, rotate-secret, which gives") {
			t.Errorf("a clone that was made again: %q", got)
		}
		turn := back(pairOf(app.User))
		turn.Possession = possessed
		app = s.ensure(t, turn)
		if got := remark(clone); got != "" {
			t.Errorf("after a rotation: %s", got)
		}
		s.alike(t, at(app.User), at(clone.User))
		s.run(t, "REVOKE SELECT ON "+db+".* FROM "+at(app.User).String())
		s.run(t, "GRANT "+role+" TO "+at(app.User).String())
		if got := remark(app); got != "" {
			t.Errorf("with a role: %s", got)
		}
	})
}

// TestOneOfVeryManyIsNotSaidToBeTheUser: where not all accounts are compared, one that has the password of a user that is
// gone may not be the only one. Its name says that it is the user's, or nothing does.
func TestOneOfVeryManyIsNotSaidToBeTheUser(t *testing.T) {
	t.Parallel()
	for _, version := range dbserver.MySQLsInTier(t) {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, version, nil)
			app := s.user(t)
			causes := func() string {
				all, err := engine().Explain(t.Context(), s.superuser(), app)
				ok(t, err)
				return all[0].Text + all[0].Remedy
			}
			s.run(t, "RENAME USER "+at(app.User).String()+" TO "+at("another").String())
			if said := causes(); !strings.Contains(said, "`another`@`%` TO") {
				t.Errorf("of few: %s", said)
			}
			all, err := engine().Explain(t.Context(), s.superuser(), app)
			ok(t, err)
			if fix := all[0].Fixes[0]; fix.For != `to fix it, if no client logs in as "another"` { // before the line
				t.Errorf("%s: %s", fix.For, fix.Run)
			}
			many := make([]string, mostCompared)
			for i := range many {
				many[i] = at(fmt.Sprintf("many%d", i)).String()
			}
			s.run(t, "CREATE USER "+strings.Join(many, ", "))
			if said := causes(); strings.Contains(said, "another") {
				t.Errorf("of many: %s", said)
			}
			s.run(t, "RENAME USER "+at("another").String()+" TO "+at("old_"+app.User).String())
			if said := causes(); !strings.Contains(said, "`old_"+app.User+"`@`%` TO") {
				t.Errorf("of many, by its name: %s", said)
			}
		})
	}
}

// TestRolesThatNoLoginMakesActive: where a server made each granted role active and does so no more, the one that lets a
// user into its database is not all that its clients lack.
func TestRolesThatNoLoginMakesActive(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		if s.MariaDB {
			t.Skip("it has one default role, and never makes all active")
		}
		db, other := s.NewDatabase(t), s.NewDatabase(t)
		opens, besides := s.role(t), s.role(t)
		app := with(s.user(t), func(l *strategies.Login) { l.Database = db })
		for role, of := range map[string]string{opens: db, besides: other} {
			s.run(t, "CREATE TABLE "+of+".t (n int)", "GRANT SELECT ON "+of+".* TO "+role, "GRANT "+role+" TO "+
				at(app.User).String())
		}
		causes, err := engine().Explain(t.Context(), s.superuser(), app)
		ok(t, err)
		c := causes[0]
		if len(c.Fixes) != 2 || c.Fixes[0].Run != "SET DEFAULT ROLE ALL TO "+at(app.User).String() ||
			!strings.HasPrefix(c.Fixes[0].For, "if all roles that it is granted are meant") ||
			!strings.Contains(c.Remedy, "@@activate_all_roles_on_login is OFF") {
			t.Fatalf("%+v", c)
		}
		s.run(t, c.Fixes[1].Run)
		ok(t, engine().Ping(t.Context(), app))
		s.run(t, c.Fixes[0].Run)
		ok(t, s.as(t.Context(), app, "SELECT * FROM "+db+".t", "SELECT * FROM "+other+".t"))
	})
}

// TestAnAccountOfNoPasswordHasNoOther that could be another.
func TestAnAccountOfNoPasswordHasNoOther(t *testing.T) {
	t.Parallel()
	login := strategies.Login{User: "app", Password: password()}
	for plugin, other := range map[string]bool{"auth_socket": false, passwordPlugins[0]: true} {
		r := accountRow{account: at("app"), plugins: []string{plugin}, locked: true}
		cause := rejectionCause(login, "10.0.0.1", []accountRow{r}, nil, authMethods{}, nil)
		if !cause.Blocked || strings.Contains(cause.Text, "its password is another, too") != other {
			t.Errorf("%s: %s", plugin, cause.Text)
		}
	}
}

// TestAnotherOwnersAccountIsOpenedOnACondition: who locked an account, or has it demand a certificate, may be its owner.
func TestAnotherOwnersAccountIsOpenedOnACondition(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		for _, how := range []string{" ACCOUNT LOCK", " REQUIRE X509"} {
			app := s.user(t)
			s.run(t, "ALTER USER "+at(app.User).String()+how)
			for pw, want := range map[string]string{app.Password.Reveal(): "", "another": "to fix it, if that account is this secret's"} {
				causes, err := engine().Explain(t.Context(), s.superuser(), withPassword(app, secret.NewPassword(pw)))
				ok(t, err)
				if all := causes[0].Fixes; all[len(all)-1].For != want || (len(all) == 1) != (want == "") ||
					strings.Contains(causes[0].Text, "its password is another, too") != (want != "") {
					t.Errorf("%s: %+v", how, causes[0])
				}
			}
			app = s.user(t)
			pair := pairOf(app.User)
			p := s.ensure(t, pair).Password.Reveal()
			s.run(t, "CREATE USER "+account{user: pair.Clone, host: "127.0.0.1"}.String()+" IDENTIFIED BY '"+p+"'"+how)
			pair.Consent = true
			_, err := engine().DryRunEnsureClone(t.Context(), s.superuser(), pair, password())
			if all := rotator.FixesOf(err); len(all) != 1 || all[0].For != "to fix it, if that account is this secret's" {
				t.Errorf("%s: %v: %+v", how, err, all)
			}
		}
	})
}

// TestAPasswordThatIsTypedByHand with a quote and a backslash in it: by what is printed beside the line, it is the one
// that is set, in a session of an administrator's.
func TestAPasswordThatIsTypedByHand(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		app := withPassword(s.user(t), secret.NewPassword(`Canary-7'b\nC`))
		causes, err := engine().Explain(t.Context(), s.superuser(), app)
		ok(t, err)
		reset := engine().ResetStatement
		if s.MariaDB {
			reset = MariaDB(engine()).ResetStatement
		}
		for _, statement := range []string{causes[0].Reset, reset(app.User)} {
			if !strings.Contains(statement, `write each ' and each \ of it twice`) {
				t.Error(statement)
			}
			run, _, _ := strings.Cut(statement, " -- ")
			s.run(t, strings.ReplaceAll(run, "'PASSWORD'", `'Canary-7''b\\nC'`))
			ok(t, engine().Ping(t.Context(), app))
		}
	})
}

// TestAnAccountThatTookAName: where an account was renamed and another owner made one of its name, what is printed shows
// whose that is before it sets a password. Other accounts are not compared with the secret's passwords.
func TestAnAccountThatTookAName(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		for _, made := range []string{"", " ACCOUNT LOCK", " REQUIRE X509"} {
			app := s.user(t)
			old := account{user: app.User + "old", host: "%"}
			s.dropAtEnd(t, old.user)
			s.run(t, "RENAME USER "+at(app.User).String()+" TO "+old.String(),
				"CREATE USER "+at(app.User).String()+" IDENTIFIED BY 'Another-1-owner'"+made,
				"GRANT PROCESS ON *.* TO "+at(app.User).String())
			causes, err := engine().Explain(t.Context(), s.superuser(), app)
			ok(t, err)
			c := causes[0]
			if len(c.Fixes) < 4 || c.Fixes[0].Run != "SHOW GRANTS FOR "+at(app.User).String() ||
				!strings.Contains(c.Fixes[0].Note, "it may be another owner's, whom the secret's password would lock out") {
				t.Fatalf("%q: %+v", made, c)
			}
			for _, fix := range c.Fixes[:3] {
				s.run(t, fix.Run)
			}
			if clients := c.Fixes[1].Run; !strings.HasPrefix(clients, "SELECT HOST FROM ") ||
				c.Fixes[2].Run != allNames().Run {
				t.Errorf("%+v", c.Fixes)
			}
			back := strings.NewReplacer("NAME`", old.user+"`", "HOST`", "%`").Replace(c.Fixes[3].Run)
			if strings.Contains(c.Text+c.Remedy, old.user) {
				t.Errorf("it says who has the password: %+v", c)
			}
			s.run(t, "DROP USER "+at(app.User).String(), back)
			ok(t, Engine{}.Ping(t.Context(), app))
		}
	})
}

// TestWhoseAnAccountIsASecretShows: where one of its passwords is that of the account, nothing is printed to find out
// whose it is, for another of them.
func TestWhoseAnAccountIsASecretShows(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		for _, made := range []string{" ACCOUNT UNLOCK", " ACCOUNT LOCK", " REQUIRE X509"} {
			app := s.user(t)
			s.run(t, "ALTER USER "+at(app.User).String()+made)
			earlier, holds := withPassword(app, password()), s.superuser()
			holds.For = &strategies.Holding{Passwords: func(context.Context, string) iter.Seq2[secret.Password, error] {
				return func(yield func(secret.Password, error) bool) { yield(app.Password, nil) }
			}}
			for name, c := range map[string]struct {
				superuser strategies.Login
				rejected  []strategies.Login
				asks      bool
			}{
				"both rejected": {s.superuser(), []strategies.Login{earlier, app}, false},
				"one works":     {holds, []strategies.Login{earlier}, false},
				"neither known": {s.superuser(), []strategies.Login{earlier, withPassword(app, password())}, true},
			} {
				causes, err := engine().Explain(t.Context(), c.superuser, c.rejected...)
				ok(t, err)
				asks := slices.ContainsFunc(causes[0].Fixes, func(f rotator.Fix) bool {
					return strings.HasPrefix(f.Run, "SHOW GRANTS") || strings.HasPrefix(f.Run, "RENAME USER")
				})
				if asks != c.asks || !strings.Contains(causes[0].Text, "its password is another") {
					t.Errorf("%q, %s: %+v", made, name, causes[0])
				}
			}
		}
	})
}

// TestWhatASecretsOtherPasswordsShow: where one password of the secret is that of a hidden account, the account that
// hides it is another owner's, and for the other password nothing is printed that changes that.
func TestWhatASecretsOtherPasswordsShow(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		for _, made := range []string{"", " ACCOUNT LOCK", " REQUIRE X509"} {
			app := s.user(t)
			s.run(t, "CREATE USER "+account{user: app.User, host: "127.0.0.1"}.String()+
				" IDENTIFIED BY 'Another-1-owner'"+made)
			earlier := withPassword(app, password())
			for _, logins := range [][]strategies.Login{{app, earlier}, {earlier, app}} {
				causes, err := engine().Explain(t.Context(), s.superuser(), logins...)
				ok(t, err)
				for i, c := range causes {
					switch right := logins[i].Password.Reveal() == app.Password.Reveal(); {
					case right && (len(c.Fixes) != 1 || !strings.HasPrefix(c.Fixes[0].Run, "RENAME USER ")):
						t.Errorf("%q: %+v", made, c)
					case !right && (c.Fixes != nil || c.Reset != "" || c.Remedy != "" || !c.Blocked):
						t.Errorf("%q: %+v", made, c)
					}
				}
			}
		}
	})
}

// TestAPolicyThatRefusesAStoredPassword: what stands beside the line says which error that is, and what to do.
func TestAPolicyThatRefusesAStoredPassword(t *testing.T) {
	test := func(t *testing.T, s server, reset func(string) string, length string, methods ...string) {
		for _, by := range methods {
			s.run(t, "SET GLOBAL "+length+" = 8")
			app := s.user(t)
			s.run(t, "SET GLOBAL "+length+" = 60")
			s.run(t, "ALTER USER "+at(app.User).String()+" IDENTIFIED "+by)
			causes, err := engine().Explain(t.Context(), s.superuser(), app)
			ok(t, err)
			for _, statement := range []string{causes[0].Reset, reset(app.User)} {
				run, note, _ := strings.Cut(statement, " -- ")
				run, _, _ = strings.Cut(run, "; ")
				err := s.Exec(t.Context(), strings.Replace(run, "'PASSWORD'", "'"+app.Password.Reveal()+"'", 1))
				if n := errorNumber(err); n == 0 || !strings.Contains(note, fmt.Sprintf("rror %d", n)) &&
					!strings.Contains(note, fmt.Sprintf(" or %d", n)) || !strings.Contains(note, "set another") {
					t.Errorf("%s: %v: %s", run, err, note)
				}
			}
			run, _, _ := strings.Cut(causes[0].Reset, " -- ")
			long := strings.Repeat("Long-1!", 9)
			s.run(t, strings.Split(strings.Replace(run, "'PASSWORD'", "'"+long+"'", 1), "; ")...)
			ok(t, engine().Ping(t.Context(), withPassword(app, secret.NewPassword(long))))
		}
	}
	t.Parallel()
	t.Run("MySQL", func(t *testing.T) {
		t.Parallel()
		s := newServer(t, "mysql-9.7", nil)
		s.run(t, "INSTALL COMPONENT 'file://component_validate_password'")
		test(t, s, engine().ResetStatement, "validate_password.length", "BY '"+strings.Repeat("Other-1!", 9)+"'")
	})
	onOwnMariaDB(t, map[string]string{"plugin-load-add": "simple_password_check"}, func(t *testing.T, s server) {
		s.run(t, ed25519)
		using := " USING PASSWORD('" + strings.Repeat("Other-1!", 9) + "')"
		test(t, s, MariaDB(engine()).ResetStatement, "simple_password_check_minimal_length", "VIA ed25519"+using, "VIA mysql_native_password"+using,
			"VIA mysql_native_password"+using+" OR unix_socket")
	})
}
