package rotator_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
)

// TestAfterTheChangeWhatPassesIsWaitedFor: from setSecret on, clients wait for the rotation
// to end. A database without a free connection, or that is failing over, is looked at
// again, and so is a rejected login, which may be a replica's that is behind; but never
// where rejected logins can lock the account.
func TestAfterTheChangeWhatPassesIsWaitedFor(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		step      rotator.Step
		kind      rotator.Kind // of the first logins of the step
		times     int
		lockAfter int
		fails     bool
		logins    int
	}{
		{step: rotator.StepTestSecret, kind: rotator.KindTooManyConnections, times: 1, logins: 2},
		{step: rotator.StepTestSecret, kind: rotator.KindTooManyConnections, times: 3, logins: 4},
		{step: rotator.StepTestSecret, kind: rotator.KindTooManyConnections, times: 3, lockAfter: 3, logins: 4},
		{step: rotator.StepTestSecret, kind: rotator.KindTooManyConnections, times: 99, fails: true, logins: 4},
		{step: rotator.StepTestSecret, kind: rotator.KindUnreachable, times: 2, logins: 3},
		{step: rotator.StepTestSecret, kind: rotator.KindLoginRejected, times: 1, logins: 2},
		{step: rotator.StepTestSecret, kind: rotator.KindLoginRejected, times: 99, fails: true, logins: 2},
		{step: rotator.StepTestSecret, kind: rotator.KindLoginRejected, times: 1, lockAfter: 3, fails: true, logins: 1},
		{step: rotator.StepTestSecret, kind: rotator.KindTLS, times: 1, fails: true, logins: 1},
		{step: rotator.StepTestSecret, kind: rotator.KindPrivilege, times: 1, fails: true, logins: 1},
		{step: rotator.StepFinishSecret, kind: rotator.KindLoginRejected, times: 1, logins: 2},
		{step: rotator.StepFinishSecret, kind: rotator.KindLoginRejected, times: 1, lockAfter: 3, fails: true, logins: 1},
		{step: rotator.StepFinishSecret, kind: rotator.KindTooManyConnections, times: 99, logins: 2},
	} {
		t.Run(fmt.Sprintf("%s, %d times %s, locks after %d", c.step, c.times, c.kind, c.lockAfter), func(t *testing.T) {
			t.Parallel()
			s := newStory(t)
			s.db.LockAfter = c.lockAfter
			s.run("strategy single\naccount app/p1\nversion AWSCURRENT app/p1\nversion AWSPENDING empty\nstate")
			var err error
			for _, step := range []rotator.Step{rotator.StepCreateSecret, rotator.StepSetSecret, rotator.StepTestSecret,
				rotator.StepFinishSecret} {
				logins := 0
				if step == c.step {
					s.db.Before = func(_ context.Context, op, user string) error {
						if op != "login" {
							return nil
						}
						if logins++; logins > c.times {
							return nil
						}
						return fmt.Errorf("the database: %w", c.kind)
					}
				}
				err = s.rotator.Handle(t.Context(), rotator.Event{Step: step, SecretID: s.arn,
					VersionID: awsemu.VersionID(2)})
				if step == c.step {
					s.db.Before = nil
					if logins != c.logins {
						t.Errorf("%d logins, want %d", logins, c.logins)
					}
				}
				if err != nil {
					break
				}
			}
			if (err != nil) != c.fails {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestARejectionIsNotTakenBack: neither by the end of the time, nor by what a second try comes to, does finishSecret
// move AWSCURRENT to a password that the database has rejected.
func TestARejectionIsNotTakenBack(t *testing.T) {
	t.Parallel()
	for name, second := range map[string]error{"no time for a second try": nil, "the second is not answered": rotator.KindUnreachable} {
		s := newStory(t)
		s.run("strategy single\naccount app/p1\nversion AWSCURRENT app/p1\nversion AWSPENDING app/p2\nstate")
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		logins := 0
		s.db.Before = func(ctx context.Context, op, user string) error {
			if logins++; logins > 1 {
				return second
			}
			if second == nil {
				<-ctx.Done()
			}
			return rotator.KindLoginRejected
		}
		err := s.rotator.Handle(ctx, rotator.Event{Step: rotator.StepFinishSecret, SecretID: s.arn, VersionID: awsemu.VersionID(2)})
		if err == nil || s.aws.Snapshot(s.arn).Holder("AWSCURRENT").ID == awsemu.VersionID(2) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// acceptedFirst is an answer that the server gives once it has accepted the password.
type acceptedFirst struct{ error }

func (a acceptedFirst) Unwrap() error   { return a.error }
func (acceptedFirst) PasswordAccepted() {}

// TestAnAcceptedPasswordIsProof: where a login ends after the database has accepted the password, testSecret passes
// at once if AWSCURRENT is of the same account; where it is of another, which works on, the rotation does not go on.
func TestAnAcceptedPasswordIsProof(t *testing.T) {
	t.Parallel()
	for strategy, passes := range map[string]bool{"single": true, "alternating": false} {
		for _, kind := range []rotator.Kind{rotator.KindMisconfigured, rotator.KindPrivilege, rotator.KindTooManyConnections, rotator.KindConflict} {
			s, pending := newStory(t), map[string]string{"single": "app", "alternating": "app_clone"}[strategy]
			s.run("strategy " + strategy + "\naccount app/p1\naccount " + pending + "/p2 clone\n" +
				"version AWSCURRENT app/p1\nversion AWSPENDING " + pending + "/p2\nstate")
			logins := 0
			s.db.Before = func(_ context.Context, op, user string) error {
				if op == "login" {
					logins++
				}
				return acceptedFirst{kind}
			}
			invoke := func(step rotator.Step) error {
				return s.rotator.Handle(t.Context(), rotator.Event{Step: step, SecretID: s.arn, VersionID: awsemu.VersionID(2)})
			}
			err := invoke(rotator.StepTestSecret)
			if (err == nil) != passes || passes && logins != 1 {
				t.Errorf("%s, %s: testSecret: %v, after %d logins", strategy, kind, err, logins)
			}
			err = invoke(rotator.StepFinishSecret)
			if moved := s.aws.Snapshot(s.arn).Holder("AWSCURRENT").ID == awsemu.VersionID(2); moved != passes || (err == nil) != passes {
				t.Errorf("%s, %s: finishSecret: %v; moved: %v", strategy, kind, err, moved)
			}
		}
	}
}

// ofAccount is an answer that the server gives this account alone, whatever its kind.
type ofAccount struct{ error }

func (a ofAccount) Unwrap() error { return a.error }
func (ofAccount) OfAccount() bool { return true }

// TestNoAccountThatIsRefusedTakesOver: testSecret has passed, and then the login of the pending value fails. Where
// that is for another account, AWSCURRENT stays on the one that works; where it is for the same one, the old value is
// no better, unless the password is rejected. A status calls an account blocked that the server refuses alone.
func TestNoAccountThatIsRefusedTakesOver(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err     error
		single  bool // whether the label moves; where the account is another, it never does
		blocked bool // what status says of it then
	}{
		{rotator.KindLoginRejected, false, false},
		{rotator.KindPrivilege, true, true},
		{rotator.KindMisconfigured, true, true},
		{rotator.KindNotFound, true, true},
		{rotator.KindConflict, true, true},
		{rotator.KindInternal, true, true},
		{rotator.KindUnreachable, true, false},
		{rotator.KindTLS, true, false},
		{rotator.KindReadOnly, true, false},
		{rotator.KindTooManyConnections, true, false},
		{rotator.KindThrottled, true, false},
		{rotator.KindDeadline, true, false},
		{ofAccount{rotator.KindTooManyConnections}, true, true},
		{ofAccount{rotator.KindDeadline}, true, true},
		{ofAccount{rotator.KindTLS}, true, true},
	} {
		for strategy, moves := range map[string]bool{"single": c.single, "alternating": false, "rotate-only": false} {
			t.Run(fmt.Sprintf("%s, %T %v", strategy, c.err, c.err), func(t *testing.T) {
				t.Parallel()
				s, pending := newStory(t), "app_clone"
				if strategy == "single" {
					pending = "app"
				}
				s.run("strategy " + strategy + "\naccount app/p1\naccount " + pending + "/p2 clone\n" +
					"version AWSCURRENT app/p1\nversion AWSPENDING " + pending + "/p2\nstep testSecret v2")
				s.db.Before = func(_ context.Context, _, user string) error {
					if user != pending {
						return nil
					}
					return fmt.Errorf("the database: %w", c.err)
				}
				err := s.rotator.Handle(t.Context(), rotator.Event{Step: rotator.StepFinishSecret, SecretID: s.arn,
					VersionID: awsemu.VersionID(2)})
				if moved := s.aws.Snapshot(s.arn).Holder("AWSCURRENT").ID == awsemu.VersionID(2); moved != moves {
					t.Errorf("AWSCURRENT moved: %t, want %t: %v", moved, moves, err)
				}
				if (err == nil) != moves || err != nil && !strings.Contains(err.Error(), "AWSCURRENT was not moved") {
					t.Errorf("finishSecret: %v", err)
				}
				if status, err := s.ask("status", ""); strategy == "alternating" &&
					(err != nil || (status.Versions[1].State == rotator.CredentialBlocked) != c.blocked) {
					t.Errorf("status: %+v, %v", status, err)
				}
				s.db.Before = nil // it is mended, and the service tries again
				if err := s.rotator.Handle(t.Context(), rotator.Event{Step: rotator.StepFinishSecret, SecretID: s.arn,
					VersionID: awsemu.VersionID(2)}); err != nil {
					t.Errorf("the retry: %v", err)
				}
			})
		}
	}
}
