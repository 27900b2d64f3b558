package rotator

import "testing"

var standings = []CredentialState{CredentialWorks, CredentialRejected, CredentialInvalid, CredentialOtherTarget, CredentialMissing, CredentialUnknown, CredentialNotTested, credentialNone}

// scenes is the whole state space: 2048 scenes.
func scenes() []situation {
	var all []situation
	for _, current := range standings {
		for _, pending := range standings {
			for _, previous := range standings {
				for _, stale := range []bool{false, true} {
					for _, running := range []bool{false, true} {
						all = append(all, situation{current, pending, previous, stale, running})
					}
				}
			}
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
		switch r.action {
		case ActionFinish:
			if s.pending != CredentialWorks {
				wrong("AWSCURRENT would move to a version that was not seen to log in")
			}
			if s.current == CredentialWorks && s.stale {
				wrong("what somebody changed in the meantime would be lost")
			}
		case ActionRollBack:
			if s.previous != CredentialWorks || s.current == CredentialWorks {
				wrong("AWSCURRENT would move to a version that was not seen to log in, or away from one that does")
			}
		case ActionDiscard:
			if s.current != CredentialWorks {
				wrong("the last password that works might go")
			}
			// A setSecret under way makes the pending password the only one, except
			// where it works already beside the other, or is refused unseen.
			if s.rotationOn && s.pending != CredentialWorks && s.pending != CredentialOtherTarget && s.pending != CredentialInvalid {
				wrong("a rotation under way would be left with a password that has no label")
			}
			if s.pending == credentialNone {
				wrong("there is nothing to discard")
			}
		case ActionCancel, ActionRetry:
			if !s.rotationOn || s.current != CredentialWorks || s.pending == credentialNone {
				wrong("there is no rotation to cancel or to go on with")
			}
		case ActionNone:
			if s.current != CredentialWorks || s.pending != credentialNone {
				wrong("all is not well")
			}
		case ActionResetPassword:
			if s.current == CredentialWorks || s.current == CredentialUnknown || s.pending == CredentialWorks || s.pending == CredentialUnknown || s.previous == CredentialWorks || s.previous == CredentialUnknown {
				wrong("something works, or might")
			}
		case ActionInvestigate:
			if s.current != CredentialUnknown && s.pending != CredentialUnknown && s.previous != CredentialUnknown {
				wrong("there is nothing to wait for")
			}
		case ActionStoreCredentials:
			if s.current != CredentialMissing && s.current != credentialNone && s.current != CredentialInvalid {
				wrong("there is a value")
			}
		default:
			wrong("is for nobody here to decide")
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
		known := s.current != CredentialUnknown && s.pending != CredentialUnknown && s.previous != CredentialUnknown
		if !known || s.current == CredentialMissing || s.current == credentialNone || s.current != CredentialWorks && s.pending != CredentialWorks && s.previous != CredentialWorks {
			continue
		}
		for step := 0; ; step++ {
			a := decide(s).action
			if a == ActionNone || a == ActionRetry { // the service goes on from here
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
		return situation{current: s.pending, pending: credentialNone, previous: s.current, rotationOn: s.rotationOn}
	case ActionRollBack:
		return situation{current: s.previous, pending: s.pending, previous: s.current, stale: s.stale, rotationOn: s.rotationOn}
	case ActionDiscard:
		s.pending, s.stale = credentialNone, false
	case ActionCancel:
		s.rotationOn = false
	}
	return s
}
