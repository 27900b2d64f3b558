package rotator_test

import (
	"context"
	"fmt"
	"testing"

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
		{step: rotator.StepFinishSecret, kind: rotator.KindTooManyConnections, times: 99, logins: 1},
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
