package rotator_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
)

// asks is a strategy that shows what it is given.
type asks struct {
	apply  func(context.Context, rotator.Rotation) error
	verify func() error
}

func (a asks) Propose(_ context.Context, r rotator.Rotation) (secret.Document, error) {
	return r.Current.SetPassword(secret.NewPassword("proposed-one")), nil
}
func (a asks) Apply(ctx context.Context, r rotator.Rotation) error { return a.apply(ctx, r) }
func (a asks) Verify(context.Context, rotator.Rotation) error      { return a.verify() }

// blind is a Store from which some labels cannot be read.
type blind struct {
	rotator.Store
	rotator.DatabaseResolver
	errs map[string]error // by label
}

// errNoDocument is of a value that was read.
var errNoDocument = errors.New("no document")

func (b blind) Value(ctx context.Context, id string, v rotator.VersionRef) (rotator.SecretValue, error) {
	switch err := b.errs[v.Label]; {
	case err == errNoDocument:
		return rotator.SecretValue{VersionID: awsemu.VersionID(9)}, rotator.KindMisconfigured
	case err != nil:
		return rotator.SecretValue{}, err
	}
	return b.Store.Value(ctx, id, v)
}

// TestWhatAStrategyIsGiven: whose rotation it is, the values, and ways to read others of which each says so where there
// is none, or where that is not known.
func TestWhatAStrategyIsGiven(t *testing.T) {
	for name, c := range map[string]struct {
		pending, previous, other             error
		wantPending, wantPrevious, wantOther rotator.Kind
	}{
		"all are read":                 {},
		"not its label any more":       {pending: rotator.KindConflict, wantPending: rotator.KindNotFound},
		"AWSPENDING is no document":    {pending: errNoDocument, wantPending: rotator.KindNotFound},
		"AWSPENDING is not decrypted":  {pending: rotator.KindMisconfigured, wantPending: rotator.KindMisconfigured},
		"AWSPENDING is not known":      {pending: rotator.KindThrottled, wantPending: rotator.KindThrottled},
		"none before":                  {previous: rotator.KindNotFound, wantPrevious: rotator.KindNotFound},
		"AWSPREVIOUS is no document":   {previous: errNoDocument, wantPrevious: rotator.KindNotFound},
		"AWSPREVIOUS is not decrypted": {previous: rotator.KindMisconfigured, wantPrevious: rotator.KindMisconfigured},
		"another is not allowed":       {other: rotator.KindAccessDenied, wantOther: rotator.KindAccessDenied},
		"another is no document":       {other: errNoDocument, wantOther: rotator.KindMisconfigured},
	} {
		s := newStory(t)
		s.run("account app/p1\nversion AWSPREVIOUS app/p0\nversion AWSCURRENT app/p1\nversion AWSPENDING app/p2\nstate")
		errs := map[string]error{}
		store := blind{s.rotator.Store, s.rotator.Store.(rotator.DatabaseResolver), errs}
		s.rotator.Store, s.rotator.ReadBackoff = store, []time.Duration{}
		s.rotator.Strategy = asks{apply: func(ctx context.Context, r rotator.Rotation) error {
			errs[rotator.LabelPending], errs[rotator.LabelPrevious], errs[rotator.LabelCurrent] = c.pending, c.previous, c.other
			if r.SecretARN != s.arn || r.VersionID != awsemu.VersionID(3) || r.IsEndpointOf == nil || r.Current.IsZero() ||
				r.Pending.IsZero() || r.Pending.Equal(r.Current) {
				t.Errorf("%s: %+v", name, r)
			}
			pending, err := r.ReadPending(ctx)
			if rotator.KindOf(err) != c.wantPending || err == nil && !pending.Equal(r.Pending) {
				t.Errorf("%s: AWSPENDING: %v", name, err)
			}
			if previous, err := r.ReadPrevious(ctx); rotator.KindOf(err) != c.wantPrevious || err == nil && previous.IsZero() {
				t.Errorf("%s: AWSPREVIOUS: %v", name, err)
			}
			other, err := r.ReadSecret(ctx, s.arn)
			if rotator.KindOf(err) != c.wantOther || err == nil && !other.Equal(r.Current) {
				t.Errorf("%s: another secret: %v", name, err)
			}
			r.Logf("it was asked")
			return nil
		}}
		var got rotator.Record
		s.rotator.Observe = func(_ context.Context, r rotator.Record) { got = r }
		s.step("setSecret", "v3")
		if got.Err != nil || got.Outcome != rotator.OutcomeDone || strings.Join(got.Notes, "; ") != "it was asked" {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestAPanicIsAFailedStep, of which the record has the stack; neither shows the token, which a Store may repeat.
func TestAPanicIsAFailedStep(t *testing.T) {
	s := newStory(t)
	s.run("account app/p1\nversion AWSCURRENT app/p1\nversion AWSPENDING empty\nstate")
	s.rotator.PreflightMode = rotator.PreflightOff
	const token = "token-of-the-rotation"
	s.rotator.Store = puts{s.rotator.Store, func(_ context.Context, _ rotator.Store, in rotator.PutInput) error {
		panic("put with " + in.RotationToken.Reveal())
	}}
	var got rotator.Record
	s.rotator.Observe = func(_ context.Context, r rotator.Record) { got = r }
	err := s.rotator.Handle(t.Context(), rotator.Event{Step: rotator.StepCreateSecret, SecretID: s.arn,
		VersionID: awsemu.VersionID(2), RotationToken: secret.NewPassword(token)})
	if !errors.Is(err, rotator.KindInternal) || !strings.Contains(err.Error(), "panic: put with") || strings.Contains(err.Error(), token) {
		t.Error(err)
	}
	if !strings.Contains(got.PanicStack, "rotator.(*invocation).create") || strings.Contains(got.PanicStack, token) {
		t.Errorf("the stack: %s", got.PanicStack)
	}
}

// moves is a Store whose MoveLabel does what it is asked, or not, and then fails; from then on Describe does something
// else, and is counted.
type moves struct {
	rotator.Store
	arrives       bool
	err, describe error
	asked         *int
}

func (m moves) MoveLabel(ctx context.Context, id string, move rotator.LabelMove) error {
	*m.asked = 1
	if m.arrives {
		if err := m.Store.MoveLabel(ctx, id, move); err != nil {
			return err
		}
	}
	return m.err
}

func (m moves) Describe(ctx context.Context, id string) (rotator.Metadata, error) {
	if *m.asked > 0 {
		if *m.asked++; m.describe != nil {
			return rotator.Metadata{}, m.describe
		}
	}
	return m.Store.Describe(ctx, id)
}

// TestAMoveWithoutAnAnswer: the labels say whether it was made, as long as they can be read; a refusal is one whatever
// they say.
func TestAMoveWithoutAnAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		arrives       bool
		err, describe error
		want          rotator.Outcome
		asked         int // for labels, behind the move
	}{
		"made":             {true, rotator.KindUnreachable, nil, rotator.OutcomeAlreadyDone, 1},
		"not made":         {false, rotator.KindUnreachable, nil, rotator.OutcomeFailed, 3},
		"not known":        {true, rotator.KindUnreachable, rotator.KindThrottled, rotator.OutcomeFailed, 1},
		"made and refused": {true, rotator.KindAccessDenied, nil, rotator.OutcomeFailed, 0},
	} {
		s := newStory(t)
		s.run("account app/p2\nversion AWSCURRENT app/p1\nversion AWSPENDING app/p2\nstate")
		asked := 0
		s.rotator.Store = moves{s.rotator.Store, c.arrives, c.err, c.describe, &asked}
		s.rotator.ReadBackoff = []time.Duration{time.Millisecond, time.Millisecond}
		var got rotator.Record
		s.rotator.Observe = func(_ context.Context, r rotator.Record) { got = r }
		s.step("finishSecret", "v2")
		if got.Outcome != c.want || asked-1 != c.asked {
			t.Errorf("%s: %s after %d looks: %v", name, got.Outcome, asked-1, got.Err)
		}
	}
}

// TestAStepHasNoAnswer for people, unless it had a preflight.
func TestAStepHasNoAnswer(t *testing.T) {
	s := newStory(t)
	s.run("account app/p2\nversion AWSCURRENT app/p1\nversion AWSPENDING app/p2\nstate")
	answer, err := s.rotator.HandleJSON(t.Context(), fmt.Appendf(nil, `{"Step":"finishSecret","SecretId":%q,"ClientRequestToken":%q}`,
		s.arn, awsemu.VersionID(2)))
	if answer != nil || err != nil {
		t.Errorf("%v, %v", answer, err)
	}
}

// TestWhereNothingIsRepeated, for tests of others: the first answer counts.
func TestWhereNothingIsRepeated(t *testing.T) {
	s := newStory(t)
	s.run("account app/p2\nversion AWSCURRENT app/p1\nversion AWSPENDING app/p2\nstate")
	s.rotator.ReadBackoff = []time.Duration{}
	logins := 0
	s.rotator.Strategy = asks{verify: func() error { logins++; return rotator.KindTooManyConnections }}
	err := s.rotator.Handle(t.Context(), rotator.Event{Step: rotator.StepTestSecret, SecretID: s.arn, VersionID: awsemu.VersionID(2)})
	if !errors.Is(err, rotator.KindTooManyConnections) || logins != 1 {
		t.Errorf("%d logins: %v", logins, err)
	}
}

// TestAWaitEndsWithTheInvocation, and what was waited for has not come.
func TestAWaitEndsWithTheInvocation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond) // 200 ms without the margin
		defer cancel()
		store, began := &stale{}, time.Now()
		err := rotator.Rotator{Store: store, Strategy: canary{}}.Handle(ctx,
			rotator.Event{Step: rotator.StepFinishSecret, SecretID: "app", VersionID: awsemu.VersionID(2)})
		if took := time.Since(began); !errors.Is(err, rotator.KindDeadline) || !errors.Is(err, rotator.KindNotFound) ||
			store.reads != 2 || took != 200*time.Millisecond {
			t.Errorf("%d reads in %s: %v", store.reads, took, err)
		}
	})
}
