package rotator

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator/secret"
)

var standings = []CredentialState{CredentialWorks, CredentialRejected, CredentialBlocked, CredentialRight,
	CredentialInvalid, CredentialOtherTarget, CredentialMissing, CredentialUnknown, CredentialNotTested, credentialNone}

// scenes is the whole state space: some 80,000 scenes.
func scenes() []situation {
	var all []situation
	for _, s := range asStored() {
		for _, a := range []attempt{attemptOpen, attemptRefused, attemptFails} {
			s.attempt, s.setUp = a, true
			all = append(all, s)
		}
		if !s.rotationOn {
			s.attempt, s.setUp = attemptOpen, false
			all = append(all, s)
		}
	}
	return all
}

// asStored is what labels, values and logins come to.
func asStored() []situation {
	var all []situation
	for _, current := range standings {
		for _, pending := range standings {
			for _, previous := range standings {
				for _, stale := range []bool{false, true} {
					for _, running := range []bool{false, true} {
						s := situation{current: current, pending: pending, previous: previous, stale: stale,
							rotationOn: running}
						foreign, copied := s, s
						foreign.foreign, copied.copied = true, true
						all = append(all, s, foreign)
						if current == CredentialWorks { // it is tested further
							unusable := s
							unusable.unusable = true
							all = append(all, unusable)
						}
						if current == CredentialWorks && pending != credentialNone && previous != credentialNone {
							strayed := s // of another user
							strayed.strayed, strayed.otherUser = true, true
							all = append(all, strayed)
						}
						if current == pending { // the same credentials
							all = append(all, copied)
						}
						if pending == CredentialNotTested { // it was not the first
							first := s
							first.previousFirst = true
							all = append(all, first)
						}
						if pending == CredentialWorks { // of alternating users
							other := s
							other.otherUser = true
							all = append(all, other)
						}
					}
				}
			}
		}
	}
	for _, direct := range slices.Clone(all) {
		direct.pooled = true
		all = append(all, direct)
	}
	for _, s := range slices.Clone(all) {
		if s.readOnly = true; s.current == CredentialRejected || s.current == CredentialBlocked {
			all = append(all, s)
		}
	}
	for _, s := range slices.Clone(all) { // at several servers
		if s.partly = true; !s.readOnly && (s.current == CredentialRejected || s.current == CredentialBlocked) {
			all = append(all, s)
		}
	}
	return all
}

// TestDecisions holds every row of the table to what the table promises.
func TestDecisions(t *testing.T) {
	for _, s := range scenes() {
		r := decide(s)
		wrong := func(why string) { t.Errorf("%+v: %s: %s", s, r.action, why) }
		if r.reason == "" {
			wrong("says nothing")
		}
		if strings.HasPrefix(r.reason, "AWSCURRENT works") && s.current != CredentialWorks {
			wrong("it does not: " + r.reason)
		}
		if s.foreign && r.action != ActionInvestigate {
			wrong("it is another function's secret")
		}
		if s.strayed && !s.foreign && r.action != ActionInvestigate {
			wrong("AWSPENDING may be the only copy of what its user needs, and AWSCURRENT another's")
		}
		switch r.action {
		case ActionFinish:
			if s.copied {
				wrong("a rotation to the credentials in use would end")
			}
			if s.pending != CredentialWorks && !(s.pending == CredentialRight && s.current == CredentialRejected) {
				wrong("AWSCURRENT would move to a version that was not seen to log in")
			}
			if s.otherUser && strings.Contains(r.reason, "the database has the new password") {
				wrong("that is no password of AWSCURRENT's user")
			}
			if s.current == CredentialWorks && s.stale {
				wrong("what was changed in the meantime would be lost")
			}
		case ActionRollBack:
			if s.readOnly && s.previous == CredentialWorks {
				wrong("the accounts of that server may be behind")
			}
			if s.previous != CredentialWorks && !(s.previous == CredentialRight && s.current == CredentialRejected) ||
				s.current == CredentialWorks {
				wrong("AWSCURRENT would move to a version that was not seen to log in, or away from one that does")
			}
		case ActionDiscard:
			if s.pooled {
				wrong("what a pooler lets in may be what it alone knows")
			}
			if s.current != CredentialWorks {
				wrong("the last password that works might go")
			}
			// A setSecret under way makes the pending password the only one, except
			// where it works already beside the other, or is refused unseen.
			if s.rotationOn && !s.copied && s.pending != CredentialWorks && s.pending != CredentialOtherTarget &&
				s.pending != CredentialInvalid {
				wrong("a rotation under way would be left with a password that has no label")
			}
			if s.pending == credentialNone {
				wrong("there is nothing to discard")
			}
		case ActionCancel, ActionRetry:
			if !s.rotationOn || s.current != CredentialWorks || s.pending == credentialNone {
				wrong("there is no rotation to cancel or to go on with")
			}
			if r.action == ActionRetry && s.attempt != attemptOpen {
				wrong("it cannot succeed")
			}
		case ActionNone:
			if s.current != CredentialWorks || s.pending != credentialNone || s.unusable {
				wrong("all is not well")
			}
		case ActionResetPassword:
			if s.readOnly {
				wrong("it would be set there alone, if at all")
			}
			if s.partly {
				wrong("an older version would be offered first, where some servers have this one")
			}
			for _, state := range []CredentialState{s.current, s.pending, s.previous} {
				if state == CredentialWorks || state == CredentialUnknown || state == CredentialBlocked ||
					state == CredentialRight && s.current == CredentialRejected {
					wrong("something works, or might")
				}
			}
			if s.current == CredentialRejected && (s.pending == CredentialNotTested ||
				s.previous == CredentialNotTested) {
				wrong("what was not tested might work")
			}
		case ActionInvestigate:
			open := func(state CredentialState) bool {
				return state == CredentialUnknown || state == CredentialNotTested || state == CredentialBlocked ||
					state == CredentialRight
			}
			direct := s
			direct.pooled = false
			if !open(s.current) && !open(s.pending) && !open(s.previous) && !s.foreign && s.attempt != attemptFails && !s.unusable &&
				!s.readOnly && !s.partly && !s.strayed && !(s.pooled && decide(direct).action == ActionDiscard) {
				wrong("there is nothing to wait for")
			}
		case ActionStoreCredentials:
			if s.current != CredentialMissing && s.current != credentialNone && s.current != CredentialInvalid {
				wrong("there is a value")
			}
		default:
			wrong("is not for status to decide")
		}
	}
}

// TestNoRowIsForNothing: a row that no scene reaches is a mistake in an earlier one.
func TestNoRowIsForNothing(t *testing.T) {
	reached := map[string]bool{}
	for _, s := range scenes() {
		reached[decide(s).reason] = true
	}
	for i, r := range decisionTable() {
		if !reached[r.reason] {
			t.Errorf("row %d (%s: %s) is never reached", i+1, r.action, r.reason)
		}
	}
}

// TestEveryWayLeadsOut: from every scene in which some stored version logs in,
// following the decisions ends with an AWSCURRENT that works and with no AWSPENDING
// in the way of the next rotation.
func TestEveryWayLeadsOut(t *testing.T) {
	for _, start := range scenes() {
		s := start
		known := s.attempt != attemptFails && !s.readOnly // and nothing is left for people to fix first
		for _, state := range []CredentialState{s.current, s.pending, s.previous} {
			known = known && state != CredentialUnknown && state != CredentialNotTested && state != CredentialBlocked &&
				state != CredentialRight
		}
		if !known || s.foreign || s.current == CredentialMissing || s.current == credentialNone ||
			s.current != CredentialWorks && s.pending != CredentialWorks && s.previous != CredentialWorks {
			continue
		}
		for step := 0; ; step++ {
			a := decide(s).action
			if a == ActionNone || a == ActionRetry { // the service goes on from here
				break
			}
			if a == ActionInvestigate && (s.pooled || s.unusable || s.strayed) { // a person has to look at the database itself
				break
			}
			if step == 3 {
				t.Errorf("%+v: still %s after three actions", start, a)
				break
			}
			worked := s.current == CredentialWorks
			s = after(s, a)
			if worked && s.current != CredentialWorks {
				t.Errorf("%+v: %s takes a working AWSCURRENT away", start, a)
			}
		}
		if s.current != CredentialWorks {
			t.Errorf("%+v: ends with an AWSCURRENT that does not work: %+v", start, s)
		}
	}
}

// after is what becomes of a scene.
func after(s situation, a Action) situation {
	switch a {
	case ActionFinish:
		return situation{current: s.pending, pending: credentialNone, previous: s.current, setUp: s.setUp,
			rotationOn: s.rotationOn, pooled: s.pooled}
	case ActionRollBack:
		return situation{current: s.previous, pending: s.pending, previous: s.current, stale: s.stale, setUp: s.setUp,
			rotationOn: s.rotationOn, pooled: s.pooled}
	case ActionDiscard:
		s.pending, s.stale, s.copied = credentialNone, false, false
	case ActionCancel:
		s.rotationOn = false
	}
	return s
}

// TestIsCopy: a configuration test copies AWSCURRENT; credentials may be in a member that only the strategy knows.
func TestIsCopy(t *testing.T) {
	parse := func(text string) secret.Document {
		if text == "" {
			return secret.Document{}
		}
		d, err := secret.ParseDocument(text)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{`{"username":"app","password":"longer"}`, `{"username":"app","password":"longer","colour":"red"}`, true},
		{`{"username":"app","password":"longer"}`, `{"username":"app","password":"other1"}`, false},
		{`{"key":"longer"}`, `{"key":"longer"}`, true},
		{`{"key":"longer"}`, `{"key":"other1"}`, false},
		{"", "", false},
		{"", `{"key":"longer"}`, false},
	} {
		if got := isCopy(parse(c.a), parse(c.b)); got != c.want {
			t.Errorf("%s and %s: %v", c.a, c.b, got)
		}
	}
}

// TestPathsOf: a list of places stays short enough for a sentence.
func TestPathsOf(t *testing.T) {
	copies := []secret.Copy{{Path: "f", Fixed: true}}
	for i := range 11 {
		copies = append(copies, secret.Copy{Path: strconv.Itoa(i)})
	}
	for want, got := range map[string]string{
		"f":                            pathsOf(copies, isFixed),
		"f, 0, 1, 2, 3, 4, 5, 6, 7, 8": pathsOf(copies[:10], nil),
		"f, 0, 1, 2, 3, 4, 5, 6, 7, 8, and 2 more": pathsOf(copies, nil),
	} {
		if got != want {
			t.Errorf("%s; want %s", got, want)
		}
	}
}

// TestAnOlderVersionIsOfferedFirst: where no labeled version is known to work, wrong values may have been stored twice.
// No row has a password set before it says how an older version is tested; a value of another user has its own advice.
func TestAnOlderVersionIsOfferedFirst(t *testing.T) {
	for i, r := range decisionTable() {
		older := strings.Index(r.reason, "an older version may still be right")
		set := strings.Index(r.reason, "set the user's password to the one in AWSCURRENT")
		if lines := olderVersions(); !slices.Equal(r.lines[max(0, len(r.lines)-len(lines)):], lines) {
			older = -1
		}
		if r.resets && !slices.Contains(r.previous, CredentialOtherTarget) && (older < 0 || set >= 0 && set < older) {
			t.Errorf("row %d: %s", i, r.reason)
		}
	}
}
