package rotator_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/awsstore"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
)

// The budget of one rotation, preflight included.
var budgets = map[string]struct{ calls, logins int }{
	"single alone": {12, 4},
	"single":       {13, 4},
	"superuser":    {14, 6},
	"alternating":  {14, 6},
}

// TestBudgetOfCallsAndLogins: at most 12 API calls and 4 logins for single user, one call more where the secret names
// a superuser secret, 14 and 6 through the superuser.
func TestBudgetOfCallsAndLogins(t *testing.T) {
	for strategy, budget := range budgets {
		s := newStory(t)
		superuser := "account boss/ps superuser\nsuperuser boss/ps\n"
		if name, alone := strings.CutSuffix(strategy, " alone"); alone {
			strategy, superuser = name, ""
		}
		s.run("strategy " + strategy + "\n" + superuser + "account app/p1\nversion AWSCURRENT app/p1\nrotate")
		calls := len(s.aws.Calls()) - 1 // RotateSecret itself
		logins := 0
		for _, entry := range s.db.Journal() {
			if strings.HasPrefix(entry, "login ") {
				logins++
			}
		}
		if calls > budget.calls || logins > budget.logins {
			t.Errorf("%s: %d calls and %d logins; the budget is %d and %d", strategy, calls, logins, budget.calls,
				budget.logins)
		}
		s.aws.ResetCalls()
		version := s.aws.Snapshot(s.arn).Holder("AWSCURRENT").ID
		before := s.aws.Snapshot(s.arn)
		for _, step := range []rotator.Step{rotator.StepCreateSecret, rotator.StepSetSecret, rotator.StepTestSecret,
			rotator.StepFinishSecret} {
			s.aws.ResetCalls()
			if err := s.rotator.Handle(t.Context(),
				rotator.Event{Step: step, SecretID: s.arn, VersionID: version}); err != nil {
				t.Errorf("%s: %s of a finished rotation: %v", strategy, step, err)
			}
			if n := len(s.aws.Calls()); n > 2 {
				t.Errorf("%s: %s of a finished rotation makes %d calls, at most 2 are allowed", strategy, step, n)
			}
		}
		if d := before.Diff(s.aws.Snapshot(s.arn)); len(d) > 0 {
			t.Errorf("%s: running a finished rotation again changed: %v", strategy, d)
		}
	}
}

// TestDuplicatesAtTheSameTime: the service may deliver an event twice at once.
func TestDuplicatesAtTheSameTime(t *testing.T) {
	for _, strategy := range []string{"single", "superuser", "alternating"} {
		for range 8 {
			s := newStory(t)
			s.run("strategy " + strategy + "\naccount boss/ps superuser\nsuperuser boss/ps\naccount app/p1\nversion " +
				"AWSCURRENT app/p1\nversion AWSPENDING empty\nstate")
			for _, step := range []rotator.Step{rotator.StepCreateSecret, rotator.StepSetSecret, rotator.StepTestSecret,
				rotator.StepFinishSecret} {
				var both sync.WaitGroup
				for range 3 {
					both.Go(func() {
						if err := s.rotator.Handle(t.Context(),
							rotator.Event{Step: step, SecretID: s.arn, VersionID: awsemu.VersionID(2)}); err != nil {
							t.Errorf("%s: %s, three times at once: %v", strategy, step, err)
						}
					})
				}
				both.Wait()
			}
			if holder := s.aws.Snapshot(s.arn).Holder("AWSCURRENT").ID; holder != awsemu.VersionID(2) ||
				!s.works("AWSCURRENT") {
				t.Fatalf("%s: AWSCURRENT is on %s, and works: %v", strategy, holder, s.works("AWSCURRENT"))
			}
		}
	}
}

// TestRotationTokenIsPassedOn: without it a rotation across accounts, or by an
// assumed role, fails ("was not created by Lambda").
func TestRotationTokenIsPassedOn(t *testing.T) {
	s := newStory(t)
	s.aws.RequireToken = true
	if log := s.run("account app/p1\nversion AWSCURRENT app/p1\nrotate"); !strings.Contains(log, "RotationSucceeded") {
		t.Errorf("the rotation did not succeed:\n%s", log)
	}
}

// canary is a strategy that fails with a secret in its error, as drivers do.
type canary struct{ fail func(rotator.Rotation) error }

func (c canary) Propose(_ context.Context, r rotator.Rotation) (secret.Document, error) {
	return r.Current.SetPassword(secret.NewPassword("canary-proposed-password")), c.fail(r)
}
func (c canary) Apply(_ context.Context, r rotator.Rotation) error  { return c.fail(r) }
func (c canary) Verify(_ context.Context, r rotator.Rotation) error { return c.fail(r) }

// TestNoSecretInAnyError: not in the error, not in what the observer sees, whatever
// a strategy or a driver puts into its text, and not in a panic.
func TestNoSecretInAnyError(t *testing.T) {
	const other = "canary-api-key-of-the-application"
	for name, fail := range map[string]func(rotator.Rotation) error{
		"an error": func(r rotator.Rotation) error {
			r.Logf("tried %s", r.Current.Password().Reveal())
			return fmt.Errorf("%w: statement: ALTER USER app PASSWORD '%s' -- %s %s", rotator.KindPrivilege,
				r.Current.Password().Reveal(), r.Pending.Password().Reveal(), r.Current.Text("apikey"))
		},
		"a panic": func(r rotator.Rotation) error {
			panic(fmt.Sprintf("%q %q", r.Current.Password().Reveal(), r.Pending.Password().Reveal()))
		},
	} {
		s := newStory(t)
		s.run("account app/p1\nversion AWSCURRENT app/p1 apikey=" + other + "\nversion AWSPENDING app/p2\nstate")
		var seen []string
		s.rotator.Strategy = canary{fail}
		s.rotator.Observe = func(_ context.Context, r rotator.Record) {
			text, _ := json.Marshal(r)
			seen = append(seen, string(text), fmt.Sprintf("%+v %v", r, r.Err), strings.Join(r.Notes, " "))
		}
		for _, step := range []rotator.Step{rotator.StepCreateSecret, rotator.StepSetSecret, rotator.StepTestSecret} {
			err := s.rotator.Handle(t.Context(), rotator.Event{
				Step: step, SecretID: s.arn, VersionID: awsemu.VersionID(2), RotationToken: secret.NewPassword(token),
			})
			var named *rotator.StepError
			if !errors.As(err, &named) || named.Step != step {
				t.Fatalf("%s: %s: %T", name, step, err)
			}
			seen = append(seen, err.Error(), fmt.Sprintf("%+v %#v", err, err))
		}
		for _, text := range seen {
			if strings.Contains(text, "canary-") {
				t.Errorf("%s: a secret is in %q", name, text)
			}
		}
	}
}

// indiscreet is a strategy that puts secrets into its findings.
type indiscreet struct{ canary }

func (indiscreet) Preflight(_ context.Context, r rotator.Rotation) []rotator.Finding {
	return []rotator.Finding{rotator.NewFinding("X1", "discretion", fmt.Errorf("%w: %s", rotator.KindPrivilege,
		r.Current.Password().Reveal()))}
}

// TestNoSecretInAnyReport: as JSON, text, Markdown or error.
func TestNoSecretInAnyReport(t *testing.T) {
	s := newStory(t)
	s.run("account app/p1\nversion AWSCURRENT app/p1\nstate")
	s.rotator.Strategy = indiscreet{canary{func(rotator.Rotation) error { return nil }}}
	answer, err := s.rotator.HandleJSON(t.Context(), []byte(`{"Step":"preflight","SecretId":"app"}`))
	report, _ := answer.(*rotator.Report)
	if err != nil || report == nil || len(report.Blocking()) != 1 {
		t.Fatalf("%+v, %v", report, err)
	}
	text, _ := json.Marshal(report)
	for _, seen := range []string{string(text), report.Text(), report.Markdown(), report.Err().Error()} {
		if strings.Contains(seen, "canary-") || !strings.Contains(seen, "X1") {
			t.Errorf("a secret, or no finding, is in %q", seen)
		}
	}
}

// leaky is a store whose client puts requests into its errors.
type leaky struct{ rotator.Store }

func (leaky) Put(_ context.Context, p rotator.PutInput) error {
	return fmt.Errorf("%w: request %s %s", rotator.KindInternal, p.Document.Encode().Reveal(), p.RotationToken.Reveal())
}

// TestNoProposedSecretInAnyError: a value that was only proposed is a secret too.
func TestNoProposedSecretInAnyError(t *testing.T) {
	s := newStory(t)
	s.run("account app/p1\nversion AWSCURRENT app/p1\nversion AWSPENDING empty\nstate")
	s.rotator.Strategy = canary{func(rotator.Rotation) error { return nil }}
	s.rotator.Store = leaky{s.rotator.Store}
	err := s.rotator.Handle(t.Context(), rotator.Event{
		Step: rotator.StepCreateSecret, SecretID: s.arn, VersionID: awsemu.VersionID(2),
		RotationToken: secret.NewPassword(token),
	})
	if err == nil || strings.Contains(err.Error(), "canary-") {
		t.Errorf("a secret, or nothing at all, is in the error: %q", err)
	}
}

// TestAReplicaInItsRegionIsRefused on the wire, by what DescribeSecret says there.
func TestAReplicaInItsRegionIsRefused(t *testing.T) {
	s := newStory(t)
	s.run("account app/p1\nversion AWSCURRENT app/p1\nversion AWSPENDING empty\nstate")
	if _, err := s.sdk.ReplicateSecretToRegions(t.Context(), &secretsmanager.ReplicateSecretToRegionsInput{
		SecretId: &s.arn, AddReplicaRegions: []types.ReplicaRegionType{{Region: aws.String("eu-west-1")}},
	}); err != nil {
		t.Fatal(err)
	}
	there := s.config
	there.Region = "eu-west-1"
	r := s.rotator
	r.Store = awsstore.New(there, s.url)
	arn := strings.Replace(s.arn, "us-east-1", "eu-west-1", 1)
	err := r.Handle(t.Context(), rotator.Event{Step: rotator.StepCreateSecret, SecretID: arn,
		VersionID: awsemu.VersionID(2)})
	if !errors.Is(err, rotator.KindMisconfigured) || !strings.Contains(err.Error(), "replica of the secret in "+
		"us-east-1") {
		t.Errorf("want a refusal that names the primary Region, got: %v", err)
	}
	if r.Store = s.rotator.Store; r.Handle(t.Context(),
		rotator.Event{Step: rotator.StepCreateSecret, SecretID: s.arn, VersionID: awsemu.VersionID(2)}) != nil {
		t.Error("the primary, which has a replica, is refused")
	}
}

// TestAServerThatDoesNotRespondDoesNotStopTheMove: the login before the move takes half
// of the time that is left at most. It takes two seconds, for the limits to be apart on
// a slow machine.
func TestAServerThatDoesNotRespondDoesNotStopTheMove(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	s.run("account app/p2\nversion AWSCURRENT app/p1\nversion AWSPENDING app/p2\nstate")
	s.db.Before = func(ctx context.Context, _, _ string) error {
		<-ctx.Done()
		return ctx.Err()
	}
	s.timeLeft = 4500 * time.Millisecond
	s.step("finishSecret", "v2")
	if s.aws.Snapshot(s.arn).Holder("AWSCURRENT").ID != awsemu.VersionID(2) {
		t.Errorf("AWSCURRENT was not moved:\n%s", s.out.String())
	}
}

// TestTheTimeOfARotationIsKnown, without a call for it: GetSecretValue says when the
// pending version was created.
func TestTheTimeOfARotationIsKnown(t *testing.T) {
	s := newStory(t)
	s.aws.Now = func() time.Time { return time.Now().Add(-time.Hour) }
	s.run("account app/p2\nversion AWSCURRENT app/p1\nversion AWSPENDING app/p2\nstate")
	took := map[rotator.Step]time.Duration{}
	s.rotator.Observe = func(_ context.Context, r rotator.Record) { took[r.Step] = r.RotationTime }
	s.step("testSecret", "v2")
	s.step("finishSecret", "v2")
	if took[rotator.StepTestSecret] != 0 || took[rotator.StepFinishSecret] < time.Hour-time.Minute ||
		took[rotator.StepFinishSecret] > 2*time.Hour {
		t.Errorf("took %v", took)
	}
	s.step("finishSecret", "v2")
	if took[rotator.StepFinishSecret] != 0 {
		t.Errorf("a duplicate took %v", took)
	}
}
