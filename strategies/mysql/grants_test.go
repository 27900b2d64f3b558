package mysql

import (
	"slices"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
)

var app = account{user: "app", host: "%"}

// TestParseGrants has lines as servers wrote them.
func TestParseGrants(t *testing.T) {
	for name, c := range map[string]struct {
		line string
		want []right
		role string
	}{
		"nothing": {line: "GRANT USAGE ON *.* TO `app`@`%`"},
		"global":  {line: "GRANT SELECT, REPLICATION CLIENT ON *.* TO `app`@`%`", want: []right{{name: "SELECT", object: "*.*"}, {name: "REPLICATION CLIENT", object: "*.*"}}},
		"dynamic": {line: "GRANT BINLOG_ADMIN,CLONE_ADMIN ON *.* TO `app`@`%` WITH GRANT OPTION", want: []right{
			{kind: dynamic, name: "BINLOG_ADMIN", object: "*.*", option: true},
			{kind: dynamic, name: "CLONE_ADMIN", object: "*.*", option: true}}},
		"database":     {line: "GRANT ALL PRIVILEGES ON `a\\_b`.* TO `app`@`%`", want: []right{{name: allPrivileges, object: "`a\\_b`.*"}}},
		"grant option": {line: "GRANT USAGE ON *.* TO `app`@`%` WITH GRANT OPTION", want: []right{{name: grantOption, object: "*.*"}}},
		"columns": {line: "GRANT SELECT (`a`, `we``ird, col)`), INSERT ON `d`.`t` TO `app`@`%`", want: []right{
			{name: "SELECT", column: "`a`", object: "`d`.`t`"}, {name: "SELECT", column: "`we``ird, col)`", object: "`d`.`t`"}, {name: "INSERT", object: "`d`.`t`"}}},
		"bare columns": {line: "GRANT SELECT (a, b) ON `d`.`t` TO `app`@`%`", want: []right{{name: "SELECT", column: "`a`", object: "`d`.`t`"}, {name: "SELECT", column: "`b`", object: "`d`.`t`"}}},
		"routine":      {line: "GRANT EXECUTE, ALTER ROUTINE ON PROCEDURE `d`.`p` TO `app`@`%`", want: []right{{name: "EXECUTE", object: "PROCEDURE `d`.`p`"}, {name: "ALTER ROUTINE", object: "PROCEDURE `d`.`p`"}}},
		"package":      {line: "GRANT EXECUTE ON PACKAGE BODY `d`.`p` TO `app`@`%`", want: []right{{name: "EXECUTE", object: "PACKAGE BODY `d`.`p`"}}},
		"MySQL roles":  {line: "GRANT `r1`@`%`,`r 2`@`h` TO `app`@`%` WITH ADMIN OPTION", want: []right{{kind: role, name: "`r1`@`%`", option: true}, {kind: role, name: "`r 2`@`h`", option: true}}},
		"MariaDB role": {line: "GRANT `r1` TO `app`@`%`", want: []right{{kind: role, name: "`r1`"}}},
		"default role": {line: "SET DEFAULT ROLE `r1` FOR `app`@`%`", role: "`r1`"},
		"proxy":        {line: "GRANT PROXY ON `o`@`%` TO `app`@`%` WITH GRANT OPTION", want: []right{{kind: proxy, name: "`o`@`%`", option: true}}},
		"restriction":  {line: "REVOKE INSERT, UPDATE ON `d`.* FROM `app`@`%`", want: []right{{kind: restriction, name: "INSERT", object: "`d`.*"}, {kind: restriction, name: "UPDATE", object: "`d`.*"}}},
		"hash": {line: "GRANT BINLOG ADMIN ON *.* TO `app`@`%` IDENTIFIED BY PASSWORD '*B69027D44F6E5EDC07F1AEAD1477967B16F28227' REQUIRE SUBJECT '/CN=a b''c' WITH GRANT OPTION MAX_USER_CONNECTIONS 7", want: []right{
			{name: "BINLOG ADMIN", object: "*.*"}, {name: grantOption, object: "*.*"}}},
		"option in a subject": {line: "GRANT SELECT ON *.* TO `app`@`%` REQUIRE SUBJECT ' WITH GRANT OPTION '", want: []right{{name: "SELECT", object: "*.*"}}},
		"others":              {line: "GRANT SELECT ON *.* TO `app`@`10.%`"},
		"public":              {line: "GRANT SELECT ON `d`.* TO PUBLIC"},
	} {
		t.Run(name, func(t *testing.T) {
			found, role, err := parseGrants([]string{c.line}, app)
			ok(t, err)
			if c.role == "" {
				c.role = "NONE"
			}
			if role != c.role || len(found) != len(c.want) {
				t.Fatalf("%v, default role %s", found.sorted(), role)
			}
			for _, r := range c.want {
				if !found[r] {
					t.Errorf("no %+v in %v", r, found.sorted())
				}
			}
		})
	}
}

// TestParseGrantsRefuses: what is not understood is not copied, and its text, which
// may hold a hash, is not repeated.
func TestParseGrantsRefuses(t *testing.T) {
	for _, line := range []string{
		"", "SELECT 1", "GRANT", "GRANT SELECT", "GRANT SELECT ON", "GRANT SELECT ON `d` TO `app`@`%`", "GRANT SELECT ON *.*", "GRANT SELECT (`a` ON `d`.`t` TO `app`@`%`",
		"GRANT SELECT ON *.* TO `app`@`%` REQUIRE SUBJECT '/CN=a b'c' CIPHER 'x'y' IDENTIFIED BY PASSWORD '*CANARY",
		"GRANT SELECT ON *.* TO `app", "GRANT PROXY ON TO `app`@`%`x`", "SET DEFAULT ROLE `r` `app`", "GRANT , ON *.* TO `app`@`%`",
	} {
		_, _, err := parseGrants([]string{line}, app)
		switch {
		case err == nil:
			t.Errorf("%s: no error", line)
		case strings.Contains(err.Error(), "CANARY"):
			t.Errorf("%s: the error repeats the line", line)
		}
	}
}

// FuzzParseGrants: nothing makes the parser fail otherwise than by an error, and what
// it understands it renders so that it understands it again.
func FuzzParseGrants(f *testing.F) {
	for _, line := range []string{
		"GRANT SELECT (`a`, `b``c`), INSERT ON `d`.`t` TO `app`@`%` WITH GRANT OPTION",
		"GRANT A_B,C_D ON *.* TO `app`@`%`", "GRANT `r`@`%` TO `app`@`%` WITH ADMIN OPTION", "GRANT PROXY ON `o`@`%` TO `app`@`%`",
		"REVOKE INSERT ON `d`.* FROM `app`@`%`", "GRANT EXECUTE ON FUNCTION `d`.`f` TO `app`@`%`", "SET DEFAULT ROLE `r` FOR `app`@`%`",
		"GRANT ALL PRIVILEGES ON *.* TO `app`@`%` IDENTIFIED VIA ed25519 USING 'x' OR unix_socket REQUIRE SSL WITH GRANT OPTION MAX_STATEMENT_TIME 2.000000",
	} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		found, _, err := parseGrants([]string{line}, app)
		if err != nil {
			return
		}
		var again []string
		for _, s := range append(found.grants(app), found.addRestrictions(app)...) {
			again = append(again, s.text)
		}
		same, _, err := parseGrants(again, app)
		if err != nil {
			t.Fatalf("%q became %q: %v", line, again, err)
		}
		if len(same.without(found)) > 0 || len(found.without(same)) > 0 {
			t.Fatalf("%q became %q: %v became %v", line, again, found.sorted(), same.sorted())
		}
	})
}

// TestMissing: what something larger gives already is not given again.
func TestMissing(t *testing.T) {
	read := func(lines ...string) rights {
		found, _, err := parseGrants(lines, app)
		ok(t, err)
		return found
	}
	for name, c := range map[string]struct {
		want, have []string
		give       string
	}{
		"new":            {[]string{"GRANT SELECT, INSERT ON `d`.* TO `app`@`%` WITH GRANT OPTION"}, nil, "GRANT INSERT, SELECT ON `d`.* TO `app`@`%` WITH GRANT OPTION"},
		"the same":       {[]string{"GRANT SELECT ON `d`.* TO `app`@`%`"}, []string{"GRANT SELECT ON `d`.* TO `app`@`%`"}, ""},
		"one more":       {[]string{"GRANT SELECT, INSERT ON `d`.* TO `app`@`%`"}, []string{"GRANT SELECT ON `d`.* TO `app`@`%`"}, "GRANT INSERT ON `d`.* TO `app`@`%`"},
		"part of all":    {[]string{"GRANT SELECT ON `d`.* TO `app`@`%`"}, []string{"GRANT ALL PRIVILEGES ON `d`.* TO `app`@`%`"}, ""},
		"all":            {[]string{"GRANT ALL PRIVILEGES ON `d`.* TO `app`@`%`"}, []string{"GRANT SELECT ON `d`.* TO `app`@`%`"}, "GRANT ALL PRIVILEGES ON `d`.* TO `app`@`%`"},
		"only option":    {[]string{"GRANT SELECT ON `d`.* TO `app`@`%` WITH GRANT OPTION"}, []string{"GRANT SELECT ON `d`.* TO `app`@`%`"}, "GRANT USAGE ON `d`.* TO `app`@`%` WITH GRANT OPTION"},
		"larger role":    {[]string{"GRANT `r` TO `app`@`%`"}, []string{"GRANT `r` TO `app`@`%` WITH ADMIN OPTION"}, ""},
		"larger dynamic": {[]string{"GRANT A_B ON *.* TO `app`@`%`"}, []string{"GRANT A_B ON *.* TO `app`@`%` WITH GRANT OPTION"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var texts []string
			for _, s := range read(c.want...).missing(read(c.have...)).grants(app) {
				texts = append(texts, s.text)
			}
			if got := strings.Join(texts, "; "); got != c.give {
				t.Errorf("%s", got)
			}
		})
	}
}

func TestQuote(t *testing.T) {
	for s, want := range map[string]string{"a": "'a'", "": "''", "a'b": "'a''b'", `a\`: `'a\'`, "'": "''''"} {
		if got := quoteText(s); got != want {
			t.Errorf("%q: %s", s, got)
		}
	}
	for s, want := range map[string]account{"app@%": {user: "app", host: "%"}, "a@b@10.%": {user: "a@b", host: "10.%"},
		"@": {}, "": {}} {
		if got := accountOf(s); got != want {
			t.Errorf("%q: %+v", s, got)
		}
	}
	if got := (account{user: "a`b", host: "%"}).String(); got != "`a``b`@`%`" {
		t.Error(got)
	}
}

func TestBefore(t *testing.T) {
	for version, want := range map[string]bool{"8.0.13": true, "8.0.14": false, "8.0.36": false, "9.7.4-2": false, "5.7.44-log": true, "8.0.mysql_aurora.3.04.0": true, "8.4.0": false, "": true} {
		if olderThan(version, 8, 0, 14) != want {
			t.Errorf("%q: %v", version, !want)
		}
	}
}

// TestARoleThatAnotherGranted to the user is one that the superuser may not pass on: what takes it away is printed, and on
// MariaDB who may run that.
func TestARoleThatAnotherGranted(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		db, role := s.NewDatabase(t), s.role(t)
		app, boss := s.user(t), s.user(t, "SELECT, UPDATE ON mysql.*", "CREATE USER ON *.*")
		s.run(t, "GRANT SELECT ON "+db+".* TO "+at(app.User).String(), "GRANT "+role+" TO "+at(app.User).String(),
			"GRANT SELECT ON "+db+".* TO "+at(boss.User).String()+" WITH GRANT OPTION")
		_, err := engine().DryRunEnsureClone(t.Context(), boss, pairOf(app.User), password())
		wants(t, err, rotator.KindPrivilege, "WITH ADMIN OPTION")
		fixes := rotator.FixesOf(err)
		i := slices.IndexFunc(fixes, func(f rotator.Fix) bool { return strings.HasPrefix(f.Run, "REVOKE ") })
		if i < 0 {
			t.Fatalf("no line takes it away: %v", fixes)
		}
		if note := fixes[i].Note; s.MariaDB {
			_, query, _ := strings.Cut(note, "SELECT ")
			query, _, _ = strings.Cut(query, " shows;")
			if got := s.ask(t, "SELECT CONCAT(User, '@', Host) FROM ("+"SELECT "+query+") AS t"); got == "" {
				t.Errorf("nobody may: %s", note)
			}
		}
		s.run(t, fixes[i].Run)
		_, err = engine().DryRunEnsureClone(t.Context(), boss, pairOf(app.User), password())
		ok(t, err)
	})
}

// TestARoleGrantedWithAdminOption is not taken from an account that clients use for the sake of the option.
func TestARoleGrantedWithAdminOption(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		role, app, boss := s.role(t), s.user(t), s.user(t, "SELECT, UPDATE ON mysql.*", "CREATE USER ON *.*")
		s.run(t, "GRANT "+role+" TO "+at(app.User).String()+" WITH ADMIN OPTION")
		_, err := engine().DryRunEnsureClone(t.Context(), boss, pairOf(app.User), password())
		wants(t, err, rotator.KindPrivilege, "WITH ADMIN OPTION")
		words := ""
		for _, fix := range rotator.FixesOf(err) {
			words += fix.Note
			if strings.HasPrefix(fix.Run, "REVOKE ") {
				s.run(t, fix.Run)
			}
		}
		if !s.MariaDB && !strings.Contains(words, "GRANT it again without") {
			t.Errorf("no word of the option: %v", rotator.FixesOf(err))
		}
		if grants := s.ask(t, "SHOW GRANTS FOR "+at(app.User).String()); !strings.Contains(grants, role) ||
			s.MariaDB && strings.Contains(grants, "WITH ADMIN OPTION") {
			t.Errorf("it is left with %s", grants)
		}
	})
}

// TestOnePasteGivesAllThatIsMissing: a superuser that may do next to nothing is told all that it lacks at once, and that
// an administrator has to run it.
func TestOnePasteGivesAllThatIsMissing(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		one, two, role := s.NewDatabase(t), s.NewDatabase(t), s.role(t)
		app := s.user(t, "SELECT, INSERT ON "+one+".*", "EXECUTE ON "+two+".*")
		s.run(t, "CREATE TABLE "+two+".t (a int)", "GRANT UPDATE (a) ON "+two+".t TO "+at(app.User).String(),
			"GRANT "+role+" TO "+at(app.User).String(),
			"CREATE USER "+app.User+"@'10.%' IDENTIFIED BY '"+app.Password.Reveal()+"'", "GRANT DELETE ON "+one+".* TO "+app.User+"@'10.%'")
		boss := s.user(t, "SELECT ON mysql.*")
		if !s.MariaDB {
			s.run(t, "GRANT ROLE_ADMIN ON *.* TO "+at(app.User).String(), "GRANT ROLE_ADMIN ON *.* TO "+app.User+"@'10.%'",
				"GRANT SELECT, EVENT, TRIGGER, SHOW VIEW, PROCESS ON *.* TO "+at(boss.User).String())
		}
		_, err := engine().DryRunEnsureClone(t.Context(), boss, pairOf(app.User), password())
		wants(t, err, rotator.KindPrivilege, "as an administrator, GRANT", "WITH ADMIN OPTION")
		const asOne = "as an administrator, " // first what takes ROLE_ADMIN away, if it is not meant
		paste := err.Error()[strings.LastIndex(err.Error(), asOne)+len(asOne):]
		paste, _, _ = strings.Cut(paste, ": a superuser can pass on")
		s.run(t, strings.Split(paste, "; ")...)
		if _, err := engine().DryRunEnsureClone(t.Context(), boss, pairOf(app.User), password()); err != nil {
			t.Fatalf("after\n%s\n%v", paste, err)
		}
		ok(t, engine().EnsureClone(t.Context(), boss, pairOf(app.User), password()))
		s.alike(t, at(app.User), at(app.User+"_clone"))
	})
}
