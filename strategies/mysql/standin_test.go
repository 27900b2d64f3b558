package mysql

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
)

func TestServing(t *testing.T) {
	rows := func(hosts ...string) (all []accountRow) {
		for _, h := range hosts {
			all = append(all, accountRow{account: account{host: h}})
		}
		return all
	}
	for _, c := range []struct {
		hosts []string
		of    string
		want  string // "-": none
	}{
		{nil, "%", "-"},
		{[]string{"%"}, "%", "%"},
		{[]string{"%"}, "localhost", "%"},
		{[]string{""}, "10.0.0.1", ""},
		{[]string{"%", "10.%", "10.1.%"}, "10.1.2.3", "10.1.%"},
		{[]string{"10.1.%", "10.%", "%"}, "10.1.%", "10.1.%"},
		{[]string{"10.1.%", "10.%", "%"}, "10.%", "10.%"},
		{[]string{"10.1.%"}, "10.%", "-"},
		{[]string{"10._.0.1"}, "10.2.0.1", "10._.0.1"},
		{[]string{"10._.0.1"}, "10.%.0.1", "-"},
		{[]string{"10.%.0.1"}, "10._.0.1", "10.%.0.1"},
		{[]string{"%", "10.0.0.0/255.0.0.0", "10.%"}, "10.0.0.1", "10.0.0.0/255.0.0.0"},
		{[]string{"10.0.0.0/255.0.0.0", "10.0.0.1"}, "10.0.0.1", "10.0.0.1"},
		{[]string{"10.0.0.0/255.0.0.0", "10.0.0.0/255.255.0.0"}, "10.0.0.1", "10.0.0.0/255.255.0.0"},
		{[]string{"10.0.0.0/255.0.0.0"}, "11.0.0.1", "-"},
		{[]string{"10.0.0.1/255.0.0.0"}, "10.0.0.1", "-"},
		{[]string{"10.0.0.0/8"}, "10.0.0.1", "-"}, // without lengths
		{[]string{"%", "%%"}, "10.0.0.1", "%%"},
		{[]string{"%%", "10.%"}, "10.0.0.1", "10.%"},
		{[]string{"DB.example.com"}, "db.example.com", "DB.example.com"},
		{[]string{"%.example.com"}, "a.b.example.com", "%.example.com"},
		{[]string{"%a%a%a%a%a%a%a%a%a%a%a%b"}, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "-"},
		{[]string{`a\_b`}, "a_b", `a\_b`},
		{[]string{`a\_b`}, "axb", "-"},
	} {
		got, ok := serving(rows(c.hosts...), c.of)
		if !ok {
			got.host = "-"
		}
		if got.host != c.want {
			t.Errorf("%q serve %q: %q; want %q", c.hosts, c.of, got.host, c.want)
		}
	}
}

// TestNetmasksOfAnOldMySQL: until 8.0.23 it put addresses, with netmasks or without, in no order.
func TestNetmasksOfAnOldMySQL(t *testing.T) {
	for _, c := range []struct {
		host, other string
		told        bool
	}{{"10.0.0.1", "10.0.0.0/255.0.0.0", false}, {"10.0.0.0/255.0.0.0", "10.0.0.0/255.255.0.0", false},
		{"10.0.0.0/255.0.0.0", "10.%", true}, {"10.0.0.0/255.0.0.0", "%", true}} {
		var rows []accountRow
		for _, host := range []string{c.host, c.other} {
			rows = append(rows, accountRow{account: account{host: host}, unordered: true})
		}
		if all := mayServe(rows, "10.0.0.1"); (len(all) == 1) != c.told {
			t.Errorf("%s and %s: %s", c.host, c.other, names(all))
		}
	}
}

// TestWhichAccountAServerTakes: of two for one address, the server takes the one that is said, or more than one is said.
func TestWhichAccountAServerTakes(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		told := 0
		for _, hosts := range [][]string{{"127.0.0.1", "127.0.0.%"}, {"127.0.0.%", "127.%"}, {"127.%", "%"}, {"%.0.0.1", "%"},
			{"127.0.0._", "127.0.%"}, {"127.%", "%.0.0.1"}, {"127._.0.1", "127.%"}, {"127.%.1", "127.%"}, {"127.%0.1", "127.%"},
			{"%.1", "%.0.0.1"}, {"_27.0.0.1", "127.%"}, {"_27.0.0.1", "%"}, {"_________", "127.%"}, {"%7.0.0.1", "_27.0.0.1"},
			{"127.0.0.1", "127.0.0.0/255.0.0.0"}, {"127.0.0.0/255.0.0.0", "127.0.0.%"}, {"127.0.0.0/255.0.0.0", "%"},
			{"127.0.0.0/255.0.0.0", "127.0.0.0/255.255.0.0"}, {"127.0.0.0/8", "127.0.0.1"}, {"127.0.0.0/8", "127.0.0.%"},
			{"127.0.0.0/8", "%"}, {"127.0.0.0/8", "127.0.0.0/255.0.0.0"}, {"127.0.0.0/8", "127.0.0.0/255.255.0.0"}, {"127.0.0.1/8", "%"}, {"0.0.0.0/0", "%%"},
			{"127.0.0.1/255.255.255.255", "127.0.0.1"}, {"127.0.0.1/32", "127.0.0.1"}, {"%%", "%"}, {"%%", ""}, {"%%", "127.%"}} {
			for range 2 {
				app := s.login(name(), password().Reveal())
				var rows []accountRow
				for _, host := range hosts {
					rows = append(rows, accountRow{account: account{user: app.User, host: host}, lengths: !s.MariaDB})
					s.run(t, "CREATE USER "+rows[len(rows)-1].String()+" IDENTIFIED BY '"+app.Password.Reveal()+"'")
				}
				session, err := engine().connect(t.Context(), app, false)
				ok(t, err)
				met, err := session.checkIdentity(t.Context())
				ok(t, err)
				session.close()
				all := mayServe(rows, "127.0.0.1")
				if !slices.ContainsFunc(all, func(r accountRow) bool { return r.account == met }) {
					t.Errorf("of %q the server takes %s, and not of %s", hosts, met, names(all))
				}
				if len(all) == 1 && !undecided(rows, "127.0.0.1") {
					told++
				}
				slices.Reverse(hosts)
			}
		}
		if told < 30 {
			t.Errorf("of %d pairs alone it is told which one the server takes", told)
		}
	})
}

// TestHostsThatSomeClientsShare: where neither of two patterns is for all that the other is for, a client of both may meet
// either account. None of the users in use meets one that does not let it in.
func TestHostsThatSomeClientsShare(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		for what, c := range map[string]struct {
			inUse, next []string
			fine        bool
		}{
			"shared":          {[]string{"127.%"}, []string{"127.%", "%.0.0.1"}, false},
			"shared, of both": {[]string{"127.%", "%.0.0.1"}, []string{"127.%", "%.0.0.1"}, false},
			"apart":           {[]string{"127.%"}, []string{"127.%", "10.%.0.1"}, true},
			"a wider network": {[]string{"127.0.0.0/255.255.0.0"}, []string{"127.0.%", "127.0.0.0/255.0.0.0"}, false},
			"a narrower one":  {[]string{"127.0.0.0/255.0.0.0"}, []string{"127.0.0.0/255.0.0.0", "127.7.0.0/255.255.0.0"}, false},
			"in a pattern":    {[]string{"127.%"}, []string{"127.%", "127.7.0.0/255.255.0.0"}, false},
			"of a pattern":    {[]string{"127.0.0.0/255.0.0.0"}, []string{"127.0.0.0/255.0.0.0", "%.7.0.1"}, true},
			"across":          {[]string{"%.0.1"}, []string{"%.0.1", "127.0.0.0/255.0.0.0"}, false},
			"another network": {[]string{"127.%"}, []string{"127.%", "10.7.0.0/255.255.0.0"}, true},
		} {
			for _, only := range []bool{true, false} {
				if what == "a wider network" && !only {
					continue // one like the original's is created, which comes first
				}
				app, other := s.login(name(), password().Reveal()), s.login("", password().Reveal())
				other.User = app.User + "_clone"
				for _, host := range c.inUse {
					s.run(t, "CREATE USER "+account{user: app.User, host: host}.String()+" IDENTIFIED BY '"+app.Password.Reveal()+"'")
				}
				for i, host := range c.next {
					lock := map[bool]string{true: " ACCOUNT LOCK"}[i > 0]
					s.run(t, "CREATE USER "+account{user: other.User, host: host}.String()+" IDENTIFIED BY '"+
						other.Password.Reveal()+"'"+lock)
				}
				pair := strategies.Pair{Original: app.User, Clone: other.User, Target: other.User, PasswordOnly: only,
					Named: only, Consent: true, Possession: possessed}
				_, err := engine().DryRunEnsureClone(t.Context(), s.superuser(), pair, password())
				switch {
				case c.fine && err != nil:
					t.Errorf("%s, only the password: %t: %v", what, only, err)
				case !c.fine:
					if wrong := differs(err, rotator.KindPrivilege, "would meet account "+
						account{user: other.User, host: c.next[1]}.String()+", which is locked"); wrong != nil {
						t.Errorf("%s, only the password: %t: %v", what, only, wrong)
					}
				}
			}
		}
	})
}

// TestANetworkOfAPair: a clone that is still to be made lets in by the network what its original does.
func TestANetworkOfAPair(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		for _, host := range []string{"127.0.0.0/8", "127.0.0.0/255.0.0.0"} {
			if s.MariaDB && host == "127.0.0.0/8" {
				continue // it knows no lengths
			}
			app := s.login(name(), password().Reveal())
			s.run(t, "CREATE USER "+account{user: app.User, host: host}.String()+" IDENTIFIED BY '"+app.Password.Reveal()+"'")
			_, err := engine().DryRunEnsureClone(t.Context(), s.superuser(), pairOf(app.User), password())
			ok(t, err)
			clone := s.ensure(t, pairOf(app.User))
			ok(t, engine().Ping(t.Context(), clone))
			_, err = engine().DryRunEnsureClone(t.Context(), s.superuser(), back(pairOf(app.User)), password())
			ok(t, err)
		}
	})
}

func TestShared(t *testing.T) {
	for _, c := range []struct{ a, b, want string }{ // "-": none
		{"127.%", "%.0.0.1", "127..0.0.1"},
		{"127.%", "127.0.%", "-"},
		{"127.%", "10.%", "-"},
		{"10._.0.1", "10.2.%", "10.2.0.1"},
		{"1_.%", "_0.1", "10.1"},
		{"%.a", "%.b", "-"},
		{strings.Repeat("%a", 60), strings.Repeat("%b", 60), "-"},
		{strings.Repeat("%a", 60), strings.Repeat("%b", 60) + "%", "some"},
	} {
		for range 2 {
			got, ok := shared(c.a, c.b)
			if !ok {
				got = "-"
			}
			if ok != (c.want != "-") || ok && (!covers(c.a, got) || !covers(c.b, got)) {
				t.Errorf("%q and %q: %q, want %q", c.a, c.b, got, c.want)
			}
			c.a, c.b = c.b, c.a
		}
	}
}

// TestInBoth: an address of a network that has a pattern is found wherever the pattern has its wildcards.
func TestInBoth(t *testing.T) {
	for _, c := range []struct {
		network, pattern string
		want             bool
	}{
		{"10.0.0.0/255.0.0.0", "10.4%", true}, {"10.45.0.0/255.255.0.0", "10.4%", true}, {"10.32.0.0/255.224.0.0", "10.4%", true},
		{"10.45.0.0/255.255.0.0", "10.4_%.7", true}, {"10.50.0.0/255.254.0.0", "10.4%", false}, {"10.0.0.0/255.128.0.0", "10.1_.%", true},
		{"10.64.0.0/255.192.0.0", "10.1_.%", false}, {"10.96.0.0/255.224.0.0", "10.1_%.2", true}, {"10.0.0.0/255.255.255.0", "%.2_4", true},
		{"10.0.0.0/255.255.255.0", "%.26_", false}, {"10.0.0.0/255.255.255.0", "%4%5%6%", false}, {"10.0.0.0/255.255.0.0", "%4%5%6%", true},
		{"127.0.0.0/255.0.0.0", "%.0.1", true}, {"127.7.0.0/255.255.0.0", "10.%", false}, {"127.0.0.0/8", "1%1", true},
		{"127.0.0.0/255.0.0.0", "127.0.0.1", false}, {"127.0.0.0/255.0.0.0", "%.example.com", false},
		{"10.0.0.0/255.0.0.0", strings.Repeat("%_", 8), true}, {"10.0.0.0/255.0.0.0", strings.Repeat("%_", 28), false},
	} {
		n := accountRow{account: account{host: c.network}, lengths: true}
		for _, two := range [][2]string{{c.network, c.pattern}, {c.pattern, c.network}} {
			got, ok := inBoth(two[0], two[1])
			if in, _ := n.inNetwork(got); ok != c.want || ok && (!in || !covers(c.pattern, got)) {
				t.Errorf("%q: %q, %t", two, got, ok)
			}
		}
	}
}

// TestDatabasesThatAUserMayUse: names in other letters, where the server makes no difference, and what is everyone's.
func TestDatabasesThatAUserMayUse(t *testing.T) {
	t.Parallel()
	for _, server := range dbserver.MySQLsInTier(t) {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			conf, databases := map[string]string{}, []string{"information_schema", "INFORMATION_SCHEMA"}
			if strings.HasPrefix(server, "mariadb") { // MySQL's data folder is of one setting
				conf["lower-case-table-names"] = "1"
				databases = append(databases, "appdb", "AppDB", "APPDB")
			}
			s := newServer(t, server, conf)
			s.run(t, "CREATE DATABASE AppDB")
			for _, database := range databases {
				app, other := s.user(t, "SELECT ON AppDB.*"), s.user(t, "SELECT ON AppDB.*")
				boss := with(s.superuser(), func(l *strategies.Login) { l.Database = database })
				pair := strategies.Pair{Original: app.User, Clone: other.User, Target: other.User, PasswordOnly: true,
					Named: true, Consent: true}
				_, err := engine().DryRunEnsureClone(t.Context(), boss, pair, password())
				if err != nil {
					t.Errorf("%s: %v", database, err)
				}
				ok(t, engine().Ping(t.Context(), with(other, func(l *strategies.Login) { l.Database = database })))
				s.run(t, fmt.Sprintf("REVOKE SELECT ON AppDB.* FROM %s", at(other.User)))
				if _, err = engine().DryRunEnsureClone(t.Context(), boss, pair, password()); strings.EqualFold(database, "appdb") {
					wants(t, err, rotator.KindMisconfigured, "may not use the database")
				}
			}
		})
	}
}

func TestOpens(t *testing.T) {
	for _, c := range []struct {
		r    right
		want bool
	}{
		{right{name: "SELECT", object: "*.*"}, true},
		{right{name: "CREATE USER", object: "*.*"}, false},
		{right{name: "SELECT", object: "`shop`.*"}, true},
		{right{name: "SELECT", object: "`sh%`.*"}, true},
		{right{name: "SELECT", object: "`sh%`.`t`"}, false},
		{right{name: "SELECT", object: "`shop`.`t`"}, true},
		{right{name: "EXECUTE", object: "PROCEDURE `shop`.`p`"}, true},
		{right{name: "SELECT", object: "`other`.*"}, false},
	} {
		if got := opens(c.r, "shop"); got != c.want {
			t.Errorf("%+v: %v", c.r, got)
		}
	}
}
