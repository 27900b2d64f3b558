package rotator_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
)

// mints is a strategy whose provider makes the credential.
type mints struct {
	finding error // of its preflight
	refusal error // of Mint, behind what it made
	made    []string
	left    []string // what was made and not discarded
	kept    error    // of Discard
	afresh  bool     // Mint begins with the value in use, not with the proposal
}

func (m *mints) Propose(_ context.Context, r rotator.Rotation) (secret.Document, error) {
	return r.Current.SetPassword(secret.NewPassword("stand-in-for-a-key")), nil
}
func (m *mints) Apply(context.Context, rotator.Rotation) error  { return nil }
func (m *mints) Verify(context.Context, rotator.Rotation) error { return nil }

func (m *mints) Preflight(context.Context, rotator.Rotation) []rotator.Finding {
	return []rotator.Finding{rotator.NewFinding("X1", "the provider", m.finding)}
}

func (m *mints) Mint(_ context.Context, r rotator.Rotation) (secret.Document, error) {
	key := fmt.Sprintf("key-of-the-provider-%d", len(m.made)+1)
	m.made, m.left = append(m.made, key), append(m.left, key)
	if m.refusal != nil {
		return r.Pending.SetPassword(secret.NewPassword(key)), fmt.Errorf("%w: behind %s", m.refusal, key)
	}
	if m.afresh {
		return r.Current.SetPassword(secret.NewPassword(key)), nil
	}
	return r.Pending.SetPassword(secret.NewPassword(key)), nil
}

func (m *mints) Discard(_ context.Context, r rotator.Rotation) error {
	if m.kept != nil {
		return m.kept
	}
	m.left = slices.DeleteFunc(m.left, func(key string) bool { return key == r.Pending.Password().Reveal() })
	return nil
}

// puts is a Store whose Put does something else.
type puts struct {
	rotator.Store
	put func(ctx context.Context, store rotator.Store, in rotator.PutInput) error
}

func (p puts) Put(ctx context.Context, in rotator.PutInput) error { return p.put(ctx, p.Store, in) }

// TestMint: the provider makes a credential in createSecret alone, when nothing else can
// fail any more, and none is left that could not be stored.
func TestMint(t *testing.T) {
	step := func(s *story) error {
		return s.rotator.Handle(t.Context(), rotator.Event{Step: rotator.StepCreateSecret, SecretID: s.arn,
			VersionID: awsemu.VersionID(2)})
	}
	store := func(ctx context.Context, to rotator.Store, in rotator.PutInput) error { return to.Put(ctx, in) }
	for name, c := range map[string]struct {
		finding    error
		put        func(ctx context.Context, store rotator.Store, in rotator.PutInput) error
		made, left int
		fails      bool
		stored     string // after createSecret was tried twice
	}{
		"stored":              {nil, store, 1, 1, false, "key-of-the-provider-1"},
		"a preflight finding": {rotator.KindUnreachable, store, 0, 0, true, ""},
		"putting is denied":   {nil, func(context.Context, rotator.Store, rotator.PutInput) error { return rotator.KindAccessDenied }, 2, 0, true, ""},
		"the answer is lost": {nil, func(ctx context.Context, to rotator.Store, in rotator.PutInput) error {
			return errors.Join(to.Put(ctx, in), rotator.KindUnreachable)
		}, 1, 1, true, "key-of-the-provider-1"},
		"another was quicker": {nil, func(ctx context.Context, to rotator.Store, in rotator.PutInput) error {
			other := in
			other.Document = in.Document.SetPassword(secret.NewPassword("key-of-a-duplicate"))
			return errors.Join(to.Put(ctx, other), rotator.KindConflict)
		}, 1, 0, false, "key-of-a-duplicate"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory(t)
			s.run("account app/p1\nversion AWSCURRENT app/p1\nversion AWSPENDING empty\nstate")
			m := &mints{finding: c.finding}
			s.rotator.Strategy, s.rotator.Store = m, puts{s.rotator.Store, c.put}
			first := step(s)
			second := step(s)
			if (first != nil) != c.fails || c.stored != "" && second != nil {
				t.Errorf("createSecret: %v; and again: %v", first, second)
			}
			if len(m.made) != c.made || len(m.left) != c.left {
				t.Errorf("%d credentials were made and %d left; want %d and %d", len(m.made), len(m.left), c.made,
					c.left)
			}
			value, err := s.rotator.Store.Value(t.Context(), s.arn, rotator.VersionRef{ID: awsemu.VersionID(2)})
			if got := value.Document.Password().Reveal(); got != c.stored {
				t.Errorf("stored: %q, %v; want %q", got, err, c.stored)
			}
		})
	}
}

// unread is a Store that does not give the pending value.
type unread struct {
	rotator.Store
	err error
}

func (u unread) Value(ctx context.Context, id string, v rotator.VersionRef) (rotator.SecretValue, error) {
	if v.Label == rotator.LabelPending {
		return rotator.SecretValue{}, u.err
	}
	return u.Store.Value(ctx, id, v)
}

// TestMintOnlyWhereNothingIsStored: where it is not known, or the provider refuses, no value is stored. What was stored
// stays at the provider, although it cannot be read yet.
func TestMintOnlyWhereNothingIsStored(t *testing.T) {
	for name, c := range map[string]struct {
		read, refusal, want error
		made                int
		stored              bool
	}{
		"a read that comes late":         {rotator.KindNotFound, nil, nil, 1, true},
		"a read that fails":              {rotator.KindThrottled, nil, rotator.KindThrottled, 0, false},
		"a provider that refuses":        {rotator.KindNotFound, rotator.KindAccessDenied, rotator.KindAccessDenied, 1, false},
		"a read that fails, and refuses": {rotator.KindThrottled, rotator.KindAccessDenied, rotator.KindThrottled, 0, false},
	} {
		s := newStory(t)
		s.run("account app/p1\nversion AWSCURRENT app/p1\nversion AWSPENDING empty\nstate")
		m := &mints{refusal: c.refusal}
		s.rotator.Strategy, s.rotator.Store = m, unread{s.rotator.Store, c.read}
		err := s.rotator.Handle(t.Context(), rotator.Event{Step: rotator.StepCreateSecret, SecretID: s.arn,
			VersionID: awsemu.VersionID(2)})
		if err != nil && strings.Contains(err.Error(), "key-of-the-provider") {
			t.Errorf("%s: a minted key is in the error: %v", name, err)
		}
		stored := !s.aws.Snapshot(s.arn).Holder("AWSPENDING").Value.Empty()
		if !errors.Is(err, c.want) || len(m.made) != c.made || len(m.left) != c.made || stored != c.stored {
			t.Errorf("%s: %v; made %v, left %v, stored: %v", name, err, m.made, m.left, stored)
		}
	}
}

// TestWhatWasMadeAndNotStored: it is discarded, or a person is told where it is left; and it is left where it may be
// stored after all.
func TestWhatWasMadeAndNotStored(t *testing.T) {
	for name, c := range map[string]struct {
		read, kept error // of the read behind the Put, and of Discard
		left       int
		says       string
	}{
		"discarded":           {rotator.KindNotFound, nil, 0, "it was discarded"},
		"cannot be discarded": {rotator.KindNotFound, rotator.KindUnreachable, 1, "remove it at the provider"},
		"not known":           {rotator.KindThrottled, nil, 1, "remove it at the provider"},
	} {
		s := newStory(t)
		s.run("account app/p1\nversion AWSCURRENT app/p1\nversion AWSPENDING empty\nstate")
		m := &mints{kept: c.kept}
		store := &unread{s.rotator.Store, rotator.KindNotFound}
		s.rotator.Strategy, s.rotator.Store = m, puts{store, func(context.Context, rotator.Store, rotator.PutInput) error {
			store.err = c.read
			return rotator.KindAccessDenied
		}}
		var got rotator.Record
		s.rotator.Observe = func(_ context.Context, r rotator.Record) { got = r }
		s.step("createSecret", "v2")
		if notes := strings.Join(got.Notes, "; "); len(m.left) != c.left || strings.Count(notes, c.says) != 1 {
			t.Errorf("%s: left %v; %s", name, m.left, notes)
		}
		if got.Err == nil || strings.Contains(got.Err.Error(), nothingChanged) {
			t.Errorf("%s: a credential was made, and the error says otherwise: %v", name, got.Err)
		}
	}
}

// TestWhatIsMintedIsFollowed by the copies in other members, as a proposal is.
func TestWhatIsMintedIsFollowed(t *testing.T) {
	for mode, want := range map[string]string{"follow": "key-of-the-provider-1", "ignore": "canary-p1-0123456789"} {
		for _, afresh := range []bool{false, true} {
			s := newStory(t)
			s.run("copies " + mode + "\naccount app/p1\nversion AWSCURRENT app/p1 copy=canary-p1-0123456789\nversion " +
				"AWSPENDING empty\nstate")
			s.rotator.Strategy = &mints{afresh: afresh}
			s.step("createSecret", "v2")
			d, err := secret.ParseDocument(string(s.aws.Snapshot(s.arn).Holder("AWSPENDING").Value.Reveal()))
			if err != nil || d.Text("copy") != want {
				t.Errorf("%s, afresh %t: the copy is %q, %v; want %q", mode, afresh, d.Text("copy"), err, want)
			}
		}
	}
}

// TestNothingIsMintedWithoutTimeToStoreIt, nor stored in its place.
func TestNothingIsMintedWithoutTimeToStoreIt(t *testing.T) {
	s := newStory(t)
	s.run("account app/p1\nversion AWSCURRENT app/p1\nversion AWSPENDING empty\nstate")
	m := &mints{}
	s.rotator.Strategy, s.rotator.MinApplyTime = m, 10*time.Hour
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	err := s.rotator.Handle(ctx, rotator.Event{Step: rotator.StepCreateSecret, SecretID: s.arn, VersionID: awsemu.VersionID(2)})
	if !errors.Is(err, rotator.KindDeadline) || len(m.made) > 0 || !s.aws.Snapshot(s.arn).Holder("AWSPENDING").Value.Empty() {
		t.Errorf("%v; made %v", err, m.made)
	}
}

// TestWhatAnEarlierAttemptDidIsNotKnown: a finding that blocks says no more than it knows.
func TestWhatAnEarlierAttemptDidIsNotKnown(t *testing.T) {
	for read, want := range map[rotator.Kind]string{rotator.KindThrottled: "this attempt changed nothing", rotator.KindNotFound: nothingChanged} {
		s := newStory(t)
		s.run("account app/p1\nversion AWSCURRENT app/p1\nversion AWSPENDING empty\nstate")
		s.rotator.Strategy, s.rotator.Store = &mints{finding: rotator.KindUnreachable}, unread{s.rotator.Store, read}
		err := s.rotator.Handle(t.Context(), rotator.Event{Step: rotator.StepCreateSecret, SecretID: s.arn,
			VersionID: awsemu.VersionID(2)})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "an earlier one stored") {
			t.Errorf("%s: %v; want %q", read, err, want)
		}
	}
}

// TestATestOfWhatIsInUse: the read of AWSPENDING may come late, when the version is AWSCURRENT already. Nothing is tested.
func TestATestOfWhatIsInUse(t *testing.T) {
	s := newStory(t)
	s.run("account app/p2\nversion AWSPREVIOUS app/p1\nversion AWSCURRENT app/p2\nstate")
	s.rotator.Store = unread{s.rotator.Store, rotator.KindNotFound}
	var got rotator.Record
	s.rotator.Observe = func(_ context.Context, r rotator.Record) { got = r }
	s.step("testSecret", "v2")
	if got.Outcome != rotator.OutcomeAlreadyDone || got.Err != nil || got.Report != nil {
		t.Errorf("%+v", got)
	}
}

// TestAStrategyNeedNotNameItsTarget to end a rotation.
func TestAStrategyNeedNotNameItsTarget(t *testing.T) {
	s := newStory(t)
	s.run("account app/p2\nversion AWSCURRENT app/p1\nversion AWSPENDING app/p2\nstate")
	s.rotator.Strategy = &mints{}
	err := s.rotator.Handle(t.Context(), rotator.Event{Step: rotator.StepFinishSecret, SecretID: s.arn, VersionID: awsemu.VersionID(2)})
	if got := s.aws.Snapshot(s.arn).Holder("AWSCURRENT").ID; err != nil || got != awsemu.VersionID(2) {
		t.Errorf("AWSCURRENT is %s: %v", got, err)
	}
}

const nothingChanged = "nothing was changed"
