package mysql

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
)

// counting gives what has the server count wrong passwords of an account; on MariaDB it counts those of all.
func (s server) counting(t *testing.T, attempts int) (clause string) {
	t.Helper()
	if s.MariaDB {
		s.run(t, fmt.Sprintf("SET GLOBAL max_password_errors = %d", attempts))
		return ""
	}
	return fmt.Sprintf(" FAILED_LOGIN_ATTEMPTS %d PASSWORD_LOCK_TIME UNBOUNDED", attempts)
}

// TestGuessesInAWSPREVIOUS: where the server counts wrong passwords, a login judges whether the secret holds one of the
// other user, so that a wrong one counts, once a step, and a right one does not. What no login can show proves nothing,
// and the answer is the same for a right guess and a wrong one.
func TestGuessesInAWSPREVIOUS(t *testing.T) {
	t.Parallel()
	for _, version := range dbserver.MySQLsInTier(t) {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, version, nil)
			counter := s.counting(t, 3)
			strategy := strategies.AlternatingUsers{Engine: s.cloning()}
			steps := map[string]func(rotator.Rotation) error{
				"preflight": func(r rotator.Rotation) error {
					for _, f := range strategy.Preflight(t.Context(), r) {
						if f.ID == "P10" && f.Status != rotator.StatusPassed {
							return fmt.Errorf("%w: %s", rotator.KindNotEntitled, f.Detail)
						}
					}
					return nil
				},
				"setSecret": func(r rotator.Rotation) error { return strategy.Apply(t.Context(), r) },
			}
			// pair makes a user, and another's with a password, which the secret only names.
			type rotating = func(previous, pending secret.Password) rotator.Rotation
			pair := func(host, more string) (mine, victim strategies.Login, rotation rotating) {
				mine = s.user(t)
				victim = withPassword(s.login(name(), ""), password())
				s.run(t, fmt.Sprintf("CREATE USER %s@'%s' IDENTIFIED BY '%s'%s%s", victim.User, host,
					victim.Password.Reveal(), more, counter))
				return mine, victim, func(previous, pending secret.Password) rotator.Rotation {
					named := func(l strategies.Login, other string) secret.Document {
						return s.document(t, l, `,"masterarn":"super","alternateUsername":"`+other+`"`)
					}
					r := s.rotation(t, mine, pending)
					r.Current, r.Pending = named(mine, victim.User), named(withPassword(victim, pending), mine.User)
					r.ReadPrevious = func(context.Context) (secret.Document, error) {
						return named(withPassword(victim, previous), mine.User), nil
					}
					return r
				}
			}
			for step, run := range steps {
				_, victim, rotation := pair("%", "")
				wrong, pending := password(), password()
				for range 2 {
					wants(t, run(rotation(wrong, pending)), rotator.KindNotEntitled, "nothing proves")
				}
				if err := engine().Ping(t.Context(), withPassword(victim, wrong)); err == nil {
					t.Fatal("a wrong password lets in")
				}
				if err := engine().Ping(t.Context(), victim); err == nil {
					t.Errorf("%s: two wrong guesses did not count", step)
				}
				if err := run(rotation(victim.Password, pending)); err == nil {
					t.Errorf("%s: a blocked account was given a password after a third guess", step)
				}

				_, victim, rotation = pair("%", "")
				for range 2 {
					wants(t, run(rotation(wrong, pending)), rotator.KindNotEntitled, "nothing proves")
				}
				ok(t, engine().Ping(t.Context(), victim)) // two, and not three
				for range 4 {
					ok(t, run(rotation(victim.Password, pending)))
				}
				if step == "setSecret" {
					ok(t, engine().Ping(t.Context(), withPassword(victim, pending)))
				}
				// One that has expired lets in who knows it far enough to say so.
				_, victim, rotation = pair("%", " PASSWORD EXPIRE")
				ok(t, run(rotation(victim.Password, pending)))
				if s.MariaDB { // which may answer a login from another host as it would that of a blocked user
					s.run(t, "FLUSH PRIVILEGES")
				}
				for where, c := range map[string][2]string{"another host": {"10.%", ""}, "X509": {"%", " REQUIRE X509"}} {
					_, victim, rotation = pair(c[0], c[1])
					said := func(guess secret.Password) string {
						err := run(rotation(guess, pending))
						wants(t, err, rotator.KindNotEntitled, "nothing proves")
						return strings.ReplaceAll(err.Error(), victim.User, "VICTIM")
					}
					if right, wrong := said(victim.Password), said(wrong); right != wrong {
						t.Errorf("%s, %s: a right guess has\n%s\nand a wrong one\n%s", step, where, right, wrong)
					}
				}
			}
			// Who proves itself by a mark, or by consent, spends no login.
			app := s.user(t)
			s.run(t, "ALTER USER "+at(app.User).String()+" ACCOUNT UNLOCK"+counter)
			proved := pairOf(app.User)
			clone := s.ensure(t, proved)
			proved.Possession, proved.Consent = holding(password()), s.MariaDB
			for range 4 {
				_, err := engine().DryRunEnsureClone(t.Context(), s.superuser(), proved, password())
				ok(t, err)
			}
			ok(t, engine().Ping(t.Context(), clone))
			// Nor is a user that is gone found by its password among those whose wrong passwords count.
			mine, victim, _ := pair("%", "")
			lost := strategies.Pair{Original: name(), Clone: mine.User, Possession: holding(victim.Password)}
			lost.Target = lost.Original
			err := engine().EnsureClone(t.Context(), s.superuser(), lost, password())
			if wants(t, err, rotator.KindNotFound); strings.Contains(err.Error(), victim.User) {
				t.Errorf("a guess finds the account that has it: %v", err)
			}
		})
	}
}

// TestGuessesForAnotherHost: of a user with accounts for several hosts, a login shows one password. One with a counter is
// compared with that alone: with a guess under another label, the answer is the same for a right one and a wrong one, and
// nothing is changed.
func TestGuessesForAnotherHost(t *testing.T) {
	t.Parallel()
	for _, version := range dbserver.MySQLsInTier(t) {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, version, nil)
			counter := s.counting(t, 9)
			strategy := strategies.SingleUser{Engine: s.cloning(), ThroughSuperuser: true}
			rotate := func(r rotator.Rotation) (said string) {
				for _, f := range strategy.Preflight(t.Context(), r) {
					if f.ID == "P10" {
						said += f.Detail + "\n"
					}
				}
				return said + fmt.Sprint(strategy.Apply(t.Context(), r))
			}
			for label, put := range map[string]func(r *rotator.Rotation, mine, guess secret.Document){
				rotator.LabelPrevious: func(r *rotator.Rotation, _, guess secret.Document) {
					r.ReadPrevious = func(context.Context) (secret.Document, error) { return guess, nil }
				},
				rotator.LabelPending: func(r *rotator.Rotation, _, guess secret.Document) {
					r.Pending = guess
					r.ReadPending = func(context.Context) (secret.Document, error) { return guess, nil }
				},
				rotator.LabelCurrent: func(r *rotator.Rotation, mine, guess secret.Document) {
					r.Current, r.Pending = guess, mine
					r.ReadPending = func(context.Context) (secret.Document, error) { return mine, nil }
				},
			} {
				said := map[bool]string{}
				for _, right := range []bool{false, true} {
					mine := s.login(name(), password().Reveal())
					victim := withPassword(mine, password())
					for i, l := range []strategies.Login{mine, victim} {
						s.run(t, fmt.Sprintf("CREATE USER %s@'%s' IDENTIFIED BY '%s'%s", l.User, hosts[i],
							l.Password.Reveal(), counter))
					}
					guess := victim
					if !right {
						guess.Password = password()
					}
					r := s.rotation(t, mine, password())
					value := func(l strategies.Login) secret.Document { return s.document(t, l, `,"masterarn":"super"`) }
					put(&r, value(mine), value(guess))
					said[right] = strings.ReplaceAll(rotate(r), mine.User, "USER")
					for i, l := range []strategies.Login{mine, victim} {
						if err := engine().Ping(t.Context(), s.from(t, hosts[i], l)); err != nil {
							t.Errorf("%s, %t: a password was changed: %v", label, right, err)
						}
					}
				}
				if said[true] != said[false] || !strings.Contains(said[true], "has just logged in") {
					t.Errorf("%s: a right guess has\n%s\nand a wrong one\n%s", label, said[true], said[false])
				}
			}
			// All of them have the password that logs in.
			app, p := s.several(t, "BY '%s'"+counter), password()
			ok(t, strategy.Apply(t.Context(), s.rotation(t, app, p)))
			s.holdEverywhere(t, withPassword(app, p))
			// A change that was cut off between them goes on with the consent that is printed.
			app, p = s.several(t, "BY '%s'"+counter), password()
			s.run(t, fmt.Sprintf("ALTER USER %s@'%s' IDENTIFIED BY '%s'", app.User, hosts[0], p.Reveal()))
			r := s.rotation(t, app, p)
			wants(t, strategy.Apply(t.Context(), r), rotator.KindNotEntitled, "was cut off between them, all are this "+
				"secret's: say so as follows", `"rotates": ["`+app.User+`"]`)
			r.ReadSecret = func(context.Context, string) (secret.Document, error) {
				boss := with(s.superuser(), func(l *strategies.Login) { l.Port = app.Port })
				return s.document(t, boss, `,"rotates":["`+app.User+`"]`), nil
			}
			ok(t, strategy.Apply(t.Context(), r))
			s.holdEverywhere(t, withPassword(app, p))
		})
	}
}
