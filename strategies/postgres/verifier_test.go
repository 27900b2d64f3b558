package postgres

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// verifier is what the server stores for a role: "md5", or the iterations of SCRAM.
func (s server) verifier(t *testing.T, role string) string {
	t.Helper()
	return s.ask(t, "SELECT CASE WHEN rolpassword LIKE 'md5%' THEN 'md5' ELSE split_part(split_part(rolpassword, "+
		"'$', 2), ':', 1) END FROM pg_authid WHERE rolname = $1", role)
}

// What is stored for a password is never of a weaker method than what is there and
// works, whatever password_encryption says, and never of one that clients too old
// for SCRAM, where POSTGRES_ALLOW_MD5 says that there are such, do not know.
func TestStoredMethodIsNeverWeaker(t *testing.T) {
	t.Parallel()
	tier.NotInCheck(t)
	for _, major := range []int{13, 18} {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			t.Parallel()
			s := server{dbserver.NewPostgres(t,
				dbserver.Options{Major: major, TLS: &dbserver.TLS{Names: []string{"127.0.0.1"}},
					HBA: []string{"host all +hba_md5 all md5", "host all +hba_password all password",
						"host all all all scram-sha-256"}})}
			s.run(t, "CREATE ROLE hba_md5; CREATE ROLE hba_password; CREATE ROLE hba_scram")
			e := engine()
			e.Roots = s.CAs
			states, step := 0, tier.Stride(t, 7, 7) // no factor of the five ways by which it is changed
			for _, hba := range []string{"md5", "scram", "password"} {
				for _, there := range []string{"md5", "scram-sha-256"} {
					for _, encryption := range []string{"md5", "scram-sha-256"} {
						for _, e.AllowMD5 = range []bool{false, true} {
							for _, by := range []string{"itself", "superuser", "createrole", "clone by superuser",
								"clone by createrole"} {
								if hba == "scram" && there == "md5" {
									continue // it cannot log in
								}
								if states++; states%step > 0 {
									continue
								}
								what := fmt.Sprintf("pg_hba %s, stored %s, password_encryption %s, AllowMD5 %t, by %s",
									hba, there, encryption, e.AllowMD5, by)
								s.storesNoWeaker(t, e, what, hba, there, encryption, by)
							}
						}
					}
				}
			}
			t.Logf("%d states", states)
		})
	}
}

func (s server) storesNoWeaker(t *testing.T, e Engine, what, hba, there, encryption, by string) {
	name, pw := s.NewRole(t, "LOGIN")
	s.run(t, fmt.Sprintf("GRANT hba_%s TO %s; SET password_encryption = '%s'; ALTER ROLE %s PASSWORD '%s'", hba, name,
		there, name, pw))
	app := with(s.login(name, pw), func(l *strategies.Login) { l.TLS.Disabled = false })
	if err := e.Ping(t.Context(), app); err != nil {
		t.Fatalf("%s: before: %v", what, err)
	}
	login := app
	if strings.HasSuffix(by, "superuser") {
		login = with(s.superuser(), func(l *strategies.Login) { l.User, l.Password = s.bossOf(t, "SUPERUSER", name) })
	}
	if strings.HasSuffix(by, "createrole") {
		login = with(app, func(l *strategies.Login) { l.User, l.Password = s.bossOf(t, "CREATEROLE", name) })
	}
	login.TLS.Disabled = false
	s.run(t, fmt.Sprintf("ALTER ROLE %s SET password_encryption = '%s'", login.User, encryption))
	next := withPassword(app, password())
	var err error
	if strings.HasPrefix(by, "clone") {
		s.run(t, "DROP ROLE IF EXISTS "+name+"_clone")
		next.User = name + "_clone"
		err = e.EnsureClone(t.Context(), login, strategies.Pair{Original: name, Clone: next.User, Target: next.User},
			next.Password)
	} else {
		err = e.SetPassword(t.Context(), login, name, next.Password)
	}
	if err != nil {
		proved := there == "scram-sha-256" && !strings.HasSuffix(by, "createrole")
		if rotator.KindOf(err) != rotator.KindMisconfigured || e.AllowMD5 || proved || encryption != "md5" {
			t.Errorf("%s: %v", what, err)
		}
		if err := e.Ping(t.Context(), app); err != nil {
			t.Errorf("%s: after a refusal: %v", what, err)
		}
		return
	}
	if next.User != name {
		s.run(t, fmt.Sprintf("GRANT hba_%s TO %s", hba, next.User))
	}
	if err := e.Ping(t.Context(), next); err != nil {
		t.Errorf("%s: after: %v", what, err)
	}
	stored := s.verifier(t, next.User)
	if stored == "md5" && (there != "md5" || !e.AllowMD5) {
		t.Errorf("%s: md5 is stored", what)
	}
	if stored != "md5" && there == "md5" && e.AllowMD5 && hba == "md5" && !strings.HasSuffix(by, "createrole") {
		t.Errorf("%s: md5 was there, and clients that know nothing else are locked out", what)
	}
}

// The iterations of SCRAM are the server's own, and never fewer than the account has.
func TestStoredIterations(t *testing.T) {
	t.Parallel()
	for _, major := range tier.Share(t, []int{15, 16, 18}, 18) {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			t.Parallel()
			s := server{dbserver.Postgres(t, major)}
			settings := []int{0, 1, 20000}
			if major < 16 {
				settings = []int{0}
			}
			for _, there := range []int{1000, 4096, 30000} {
				for _, setting := range settings {
					for _, by := range []string{"itself", "superuser", "createrole"} {
						name, pw := s.NewRole(t, "LOGIN")
						stored, err := scramVerifierWith(s.login(name, pw).Password, []byte("0123456789abcdef"), there)
						ok(t, err)
						s.run(t, fmt.Sprintf("ALTER ROLE %s PASSWORD '%s'", name, stored))
						effective := setting
						if setting == 0 {
							effective, err = strconv.Atoi(s.ask(t,
								"SELECT coalesce(current_setting('scram_iterations', true), '4096')"))
							ok(t, err)
						}
						login, want := s.login(name, pw), max(there, effective)
						if by != "itself" {
							login.User, login.Password = s.bossOf(t, by, name)
						}
						if by == "createrole" { // it cannot see what is there
							want = max(4096, effective)
						}
						if setting > 0 {
							s.run(t, fmt.Sprintf("ALTER ROLE %s SET scram_iterations = %d", login.User, setting))
						}
						ok(t, engine().SetPassword(t.Context(), login, name, password()))
						if got := s.verifier(t, name); got != strconv.Itoa(want) {
							t.Errorf("%d were there, the server says %d, by %s: %s are stored, want %d", there, setting,
								by, got, want)
						}
					}
				}
			}
			if major < 16 {
				return
			}
			name, pw := s.NewRole(t, "LOGIN")
			owner, _ := s.NewRole(t, "LOGIN")
			db := s.NewDatabase(t, owner)
			own := s.verifier(t, name)
			s.run(t, "ALTER DATABASE "+db+" SET scram_iterations = 100000") // as its owner may
			for _, by := range []string{"itself", "superuser", "createrole"} {
				login, p := s.login(name, pw), password()
				if by != "itself" {
					login.User, login.Password = s.bossOf(t, by, name)
				}
				login.Database = db
				ok(t, engine().SetPassword(t.Context(), login, name, p))
				pw = p.Reveal()
				if by == "createrole" { // it cannot see what is there
					own = "4096"
				}
				if got := s.verifier(t, name); got != own {
					t.Errorf("by %s: %s are stored, want %s, and no more by the owner of the database", by, got, own)
				}
			}
			s.run(t, "ALTER ROLE "+name+" SET scram_iterations = 2147483647")
			wants(t, engine().SetPassword(t.Context(), s.login(name, pw), name, password()), rotator.KindMisconfigured,
				"scram_iterations")
		})
	}
}

// credcheck says its number to everybody. (The extension is not there: a setting of
// its name stands in for it.)
func TestCounterOfCredcheck(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		name, pw := s.NewRole(t, "LOGIN")
		s.run(t, "ALTER ROLE "+name+" SET credcheck.max_auth_failure = 3")
		warnings, err := engine().DryRunSetPassword(t.Context(), s.login(name, pw), name, password())
		ok(t, err)
		if len(warnings) != 1 || warnings[0].Attempts != 3 || !strings.Contains(warnings[0].Text, "3 failed logins") {
			t.Errorf("%+v", warnings)
		}
	})
}
