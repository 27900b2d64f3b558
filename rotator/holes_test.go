package rotator_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
)

// TestThePasswordPolicyReachesTheStrategy: PASSWORD_LENGTH and the rest count in a
// rotation, not only in the tests of strategies.
func TestThePasswordPolicyReachesTheStrategy(t *testing.T) {
	s := newStory(t)
	s.rotator.PasswordPolicy = secret.PasswordPolicy{Length: 41, ExcludePunctuation: true, ExcludeUppercase: true}
	s.run("account app/p1\nversion AWSCURRENT app/p1\nversion AWSPENDING empty\nstep createSecret v2")
	d, err := secret.ParseDocument(string(s.aws.Snapshot(s.arn).Holder("AWSPENDING").Value.Reveal()))
	if p := d.Password().Reveal(); err != nil || len(p) != 41 ||
		strings.Trim(p, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
		t.Errorf("a password of %d bytes, or of other characters: %v", len(p), err)
	}
	// A tag of the secret, where the function allows it, comes before.
	s = newStory(t)
	s.run("choices password-length=16-64\ntag quarterturn:password-length 23\naccount app/p1\nversion AWSCURRENT app/p1\n" +
		"version AWSPENDING empty\nstep createSecret v2")
	d, err = secret.ParseDocument(string(s.aws.Snapshot(s.arn).Holder("AWSPENDING").Value.Reveal()))
	if p := d.Password().Reveal(); err != nil || len(p) != 23 {
		t.Errorf("a password of %d bytes, and the tag says 23: %v", len(p), err)
	}
}

// TestARecordSaysHowAStepEnded, also one that failed.
func TestARecordSaysHowAStepEnded(t *testing.T) {
	s := newStory(t)
	s.run("account app/p1\nversion AWSCURRENT app/p1\nversion AWSPENDING app/p2\nstate")
	var got rotator.Record
	s.rotator.Observe = func(_ context.Context, r rotator.Record) { got = r }
	s.db.Before = func(context.Context, string, string) error {
		time.Sleep(time.Millisecond) // so that there is a duration
		return nil
	}
	s.step("testSecret", "v2")
	if got.Outcome != rotator.OutcomeFailed || got.Kind != rotator.KindLoginRejected ||
		!errors.Is(got.Err, rotator.KindLoginRejected) || got.Elapsed < time.Millisecond || got.Start.IsZero() {
		t.Errorf("%+v", got)
	}
	if got.Step != rotator.StepTestSecret || got.SecretID != s.arn || got.VersionID != awsemu.VersionID(2) {
		t.Errorf("not what it is of: %+v", got)
	}
	if _, err := s.rotator.Diagnose(t.Context(), s.arn, awsemu.VersionID(1)); err != nil || got.VersionID != awsemu.VersionID(1) {
		t.Errorf("status of a version: %+v", got)
	}
	s.step("testSecret", "v2")
	var failed *rotator.StepError
	if !errors.As(got.Err, &failed) || failed.Step != rotator.StepTestSecret || failed.SecretID != s.arn ||
		failed.VersionID != awsemu.VersionID(2) || failed.Hint == "" {
		t.Errorf("%+v", failed)
	}
}

// lagging is a store whose secret has a replica that is not in step, and which does not say when versions were made.
type lagging struct{ rotator.Store }

func (l lagging) Describe(ctx context.Context, id string) (rotator.Metadata, error) {
	m, err := l.Store.Describe(ctx, id)
	m.Replicas = []rotator.Replica{{Region: "eu-west-1", Status: "Failed"}, {Region: "eu-west-2", Status: "InSync"}}
	return m, err
}

func (l lagging) Value(ctx context.Context, id string, v rotator.VersionRef) (rotator.SecretValue, error) {
	val, err := l.Store.Value(ctx, id, v)
	val.Created = time.Time{}
	return val, err
}

// TestWhatTheRecordOfAMoveHas: for the inventory of a fleet, the version it came from, the target and the policy of the
// password; for the operator, the replica that clients should not read yet.
func TestWhatTheRecordOfAMoveHas(t *testing.T) {
	for tag, known := range map[string]bool{"23": true, "7": false} { // by now refused: what made the value is not known
		s := newStory(t)
		s.run("choices password-length=16-64\ntag quarterturn:password-length " + tag + "\naccount app/p2\nversion AWSCURRENT " +
			"app/p1\nversion AWSPENDING app/p2\nstate")
		s.rotator.Store = lagging{s.rotator.Store}
		var got rotator.Record
		s.rotator.Observe = func(_ context.Context, r rotator.Record) { got = r }
		s.step("finishSecret", "v2")
		want := ""
		if known {
			want = secret.PasswordPolicy{Length: 23}.Fingerprint()
		}
		if got.Err != nil || got.MovedFrom != awsemu.VersionID(1) || got.Target == (rotator.Target{}) || got.PasswordPolicy != want ||
			got.RotationTime != 0 {
			t.Errorf("length %s: %+v", tag, got)
		}
		if notes := strings.Join(got.Notes, "; "); !strings.Contains(notes, "eu-west-1") || strings.Contains(notes, "eu-west-2") {
			t.Errorf("the replica that lags is not named, or another is: %s", notes)
		}
	}
}

// TestARotationsPreflightIsRecorded, and what a stored value was made by.
func TestARotationsPreflightIsRecorded(t *testing.T) {
	s := newStory(t)
	s.run("account app/p1\nversion AWSCURRENT app/p1\nversion AWSPENDING empty\nstate")
	var got rotator.Record
	s.rotator.Observe = func(_ context.Context, r rotator.Record) { got = r }
	s.step("createSecret", "v2")
	if got.Err != nil || got.Report == nil || len(got.Report.Findings) == 0 || got.PasswordPolicy !=
		s.rotator.PasswordPolicy.Fingerprint() {
		t.Errorf("%+v", got)
	}
}

// stale is a store that never has the pending value yet; it counts how often it is asked.
type stale struct {
	rotator.Store
	reads int
}

func (s *stale) Describe(context.Context, string) (rotator.Metadata, error) {
	return rotator.Metadata{Labels: map[string][]string{"current": {"AWSCURRENT"},
		awsemu.VersionID(2): {"AWSPENDING"}}}, nil
}

func (s *stale) Value(context.Context, string, rotator.VersionRef) (rotator.SecretValue, error) {
	s.reads++
	return rotator.SecretValue{}, rotator.KindNotFound
}

// TestHowLongAReadIsRepeated where nothing else is set, as in production: four reads
// within 1.3 seconds.
func TestHowLongAReadIsRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &stale{}
		began := time.Now()
		err := rotator.Rotator{Store: store, Strategy: canary{}}.Handle(t.Context(),
			rotator.Event{Step: rotator.StepFinishSecret, SecretID: "app", VersionID: awsemu.VersionID(2)})
		if took := time.Since(began); !errors.Is(err, rotator.KindNotFound) || store.reads != 4 ||
			took != 1300*time.Millisecond {
			t.Errorf("%d reads in %s: %v", store.reads, took, err)
		}
	})
}

// TestWhatBlocks: what is denied or failed, and in a strict report what is unknown, but
// for what createSecret tries itself before anything has changed.
func TestWhatBlocks(t *testing.T) {
	findings := []rotator.Finding{
		{ID: "1", Status: rotator.StatusPassed}, {ID: "2", Status: rotator.StatusInferred}, {ID: "3", Status: rotator.StatusSkipped},
		{ID: "4", Status: rotator.StatusDenied}, {ID: "5", Status: rotator.StatusFailed, Deferred: true},
		{ID: "6", Status: rotator.StatusUnknown}, {ID: "7", Status: rotator.StatusUnknown, Deferred: true},
	}
	for strict, want := range map[bool]string{false: "45", true: "456"} {
		got := ""
		for _, f := range (rotator.Report{Strict: strict, Findings: findings}).Blocking() {
			got += f.ID
		}
		if got != want {
			t.Errorf("strict %v: %s block, want %s", strict, got, want)
		}
	}
}

// TestAStaleAWSCURRENT: the user whose turn it is is told by the value of AWSCURRENT. A read may give an earlier one
// shortly after a rotation, or after the label was moved by hand, and its turn is that of the user in use.
func TestAStaleAWSCURRENT(t *testing.T) {
	for name, c := range map[string]struct {
		stale int // that many reads
		says  string
	}{
		"for a moment": {1, `it is for user "app_clone"; the second user of "app_clone" is "app"`},
		"to the end":   {99, "DescribeSecret has the label on version " + awsemu.VersionID(2)},
	} {
		s := newStory(t)
		s.run("strategy alternating\naccount boss/ps superuser\nsuperuser boss/ps\naccount app/p1\n" +
			"account app_clone/p2 clone\nversion AWSPREVIOUS app/p1\nversion AWSCURRENT app_clone/p2\n" +
			"version AWSPENDING app_clone/p3\nstate")
		s.rotator.Store = &staleCurrent{s.rotator.Store, c.stale}
		err := s.rotator.Handle(t.Context(), rotator.Event{Step: rotator.StepSetSecret, SecretID: s.arn,
			VersionID: awsemu.VersionID(3)})
		if !errors.Is(err, rotator.KindConflict) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
		d, err := s.ask("status", "")
		if err != nil || d.Versions[0].State != rotator.CredentialWorks {
			t.Errorf("%s: the user in use: %+v, %v", name, d, err)
		}
	}
}

// staleCurrent is a Store that gives AWSPREVIOUS for AWSCURRENT, that many times.
type staleCurrent struct {
	rotator.Store
	left int
}

func (s *staleCurrent) Value(ctx context.Context, secretID string, v rotator.VersionRef) (rotator.SecretValue, error) {
	if v == (rotator.VersionRef{Label: rotator.LabelCurrent}) && !strings.Contains(secretID, "superuser") && s.left > 0 {
		s.left--
		v.Label = rotator.LabelPrevious
	}
	return s.Store.Value(ctx, secretID, v)
}
