package mysql

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
)

// TestAWrongPasswordIsToldByWhateverMethods: an account of MariaDB may log in by any of several methods, and the driver
// answers one request for another method. A wrong password is a refused login all the same, by one try that counts;
// where
// it cannot be told from an account that has no password of ours, the preflight says so before it matters.
func TestAWrongPasswordIsToldByWhateverMethods(t *testing.T) {
	t.Parallel()
	for _, name := range dbserver.MySQLsInTier(t) {
		if !strings.HasPrefix(name, "mariadb") {
			continue
		}
		for _, secured := range []string{"", "TLSv1.2", "TLSv1.3"} { // each shakes hands in its own way
			t.Run(name+" "+secured, func(t *testing.T) {
				t.Parallel()
				o := dbserver.MySQLOptions{Name: name, Conf: map[string]string{"unix_socket": "ON"}}
				if secured != "" {
					o.Conf["tls_version"], o.TLS = secured, &dbserver.TLS{Names: []string{"127.0.0.1"}}
				}
				s := server{dbserver.NewMySQL(t, o)}
				e := engine()
				e.Roots = s.CAs
				s.run(t, ed25519)
				all := []string{"mysql_native_password", "ed25519", "unix_socket"}
				if s.Exec(t.Context(), "INSTALL PLUGIN IF NOT EXISTS parsec SONAME 'auth_parsec'") == nil {
					all = append(all, "parsec")
				}
				for _, methods := range orders(all) {
					s.tryMethods(t, e, methods)
				}
			})
		}
	}
}

func (s server) tryMethods(t *testing.T, e Engine, methods []string) {
	user, p := name(), password()
	via := make([]string, len(methods))
	for i, m := range methods {
		via[i] = m
		if m != "unix_socket" {
			via[i] += " USING PASSWORD('" + p.Reveal() + "')"
		}
	}
	s.run(t, "CREATE USER "+user+"@'%' IDENTIFIED VIA "+strings.Join(via, " OR "))
	app := s.login(user, p.Reveal())
	const refusals = "SELECT variable_value FROM information_schema.global_status WHERE variable_name = " +
		"'ABORTED_CONNECTS'"
	before := s.ask(t, refusals)
	wrong := e.Ping(t.Context(), withPassword(app, password()))
	var counted int
	fmt.Sscan(s.ask(t, "SELECT variable_value - "+before+" FROM information_schema.global_status WHERE variable_name "+
		"= 'ABORTED_CONNECTS'"), &counted)
	right := e.Ping(t.Context(), app)
	_, dryRun := e.DryRunSetPassword(t.Context(), s.superuser(), user, password())
	// What the server asks the driver for, in turn.
	asks := slices.DeleteFunc(slices.Clone(methods), func(m string) bool { return m == "unix_socket" })
	untold := methods[0] == "mysql_native_password" && len(asks) > 1 && asks[1] == "parsec"
	switch {
	case len(asks) == 0:
		wants(t, right, rotator.KindLoginRejected, "unix_socket")
	case asks[0] == "parsec":
		wants(t, wrong, rotator.KindMisconfigured, "parsec")
		wants(t, right, rotator.KindMisconfigured, "parsec")
	case untold:
		ok(t, right)
		wants(t, wrong, rotator.KindMisconfigured, "parsec")
		wants(t, dryRun, rotator.KindMisconfigured, "mysql_native_password or parsec")
	default:
		ok(t, right)
		ok(t, dryRun)
		wants(t, wrong, rotator.KindLoginRejected, user)
	}
	// a challenge that ends in zero is asked for again
	if counted > 1 && !slices.Contains(methods, "ed25519") || counted > 2 {
		t.Errorf("%v: a wrong password counted %d times", methods, counted)
	}
	if t.Failed() {
		t.Fatalf("%v: wrong: %v\nright: %v\ndry run: %v", methods, wrong, right, dryRun)
	}
}

// TestAResetKeepsTheOtherMethods: clients may log in by any of them.
func TestAResetKeepsTheOtherMethods(t *testing.T) {
	onOwnMariaDB(t, map[string]string{"unix_socket": "ON"}, func(t *testing.T, s server) {
		s.run(t, ed25519)
		all := []string{"mysql_native_password", "ed25519", "unix_socket"}
		for plugin, library := range map[string]string{"parsec": "auth_parsec", "pam": "auth_pam"} {
			if s.Exec(t.Context(), "INSTALL PLUGIN "+plugin+" SONAME '"+library+"'") == nil {
				all = append(all, plugin)
			}
		}
		for _, methods := range orders(all) {
			ours := slices.ContainsFunc(methods, func(m string) bool { return slices.Contains(passwordPlugins, m) })
			via := make([]string, len(methods))
			for i, m := range methods {
				via[i] = m + map[string]string{"unix_socket": "", "pam": " USING 'mariadb-10'"}[m]
				if m != "unix_socket" && m != "pam" {
					via[i] += " USING PASSWORD('" + password().Reveal() + "')"
				}
			}
			app := s.login(name(), password().Reveal())
			s.run(t, "CREATE USER "+at(app.User).String()+" IDENTIFIED VIA "+strings.Join(via, " OR "))
			causes, err := Engine{}.Explain(t.Context(), s.superuser(), app)
			ok(t, err)
			line, _, _ := strings.Cut(causes[0].Reset, " -- ")
			for _, statement := range strings.Split(strings.ReplaceAll(line, "'PASSWORD'",
				"'"+app.Password.Reveal()+"'"), "; ") {
				s.run(t, statement)
			}
			created := s.ask(t, "SHOW CREATE USER "+at(app.User).String())
			has := methodsOf(created)
			for _, m := range methods {
				// one of passwords has no other clients than those of one that takes its place
				if !slices.Contains(has, m) && (m != "parsec" || len(methods) == 2 && ours && methods[0] != m) {
					t.Errorf("%v: %s: lost %s", methods, line, m)
				}
			}
			if slices.Contains(methods, "pam") && !strings.Contains(created, "USING 'mariadb-10'") {
				t.Errorf("%v: %s: lost what pam goes by", methods, line)
			}
			if ours && (has[0] == "pam" || has[0] == "parsec" || has[0] == "unix_socket" && len(has) > 1 && (has[1] == "pam" ||
				has[1] == "parsec")) {
				continue // the driver is asked for what it does not have
			}
			if err := engine().Ping(t.Context(), app); err != nil {
				t.Errorf("%v: %s: %v", methods, line, err)
			}
		}
	})
}

// orders gives every choice of one to three methods, in every order.
func orders(all []string) (found [][]string) {
	for begun := [][]string{nil}; len(begun) > 0; begun = begun[1:] {
		for _, m := range all {
			if len(begun[0]) < 3 && !slices.Contains(begun[0], m) {
				next := append(slices.Clone(begun[0]), m)
				begun, found = append(begun, next), append(found, next)
			}
		}
	}
	return found
}
