package rotator

import "testing"

var standings = []Standing{Accepted, Rejected, Unusable, Elsewhere, NoValue, Unclear, NotAsked, absent}

// scenes is the whole state space: 2048 scenes.
func scenes() []scene {
	var all []scene
	for _, current := range standings {
		for _, pending := range standings {
			for _, previous := range standings {
				for _, stale := range []bool{false, true} {
					for _, running := range []bool{false, true} {
						all = append(all, scene{current, pending, previous, stale, running})
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
		if r.because == "" {
			wrong("says nothing")
		}
		switch r.action {
		case Finish:
			if s.pending != Accepted {
				wrong("AWSCURRENT would move to a version that was not seen to log in")
			}
			if s.current == Accepted && s.stale {
				wrong("what somebody changed in the meantime would be lost")
			}
		case Restore:
			if s.previous != Accepted || s.current == Accepted {
				wrong("AWSCURRENT would move to a version that was not seen to log in, or away from one that does")
			}
		case Discard:
			if s.current != Accepted {
				wrong("the last password that works might go")
			}
			// A setSecret under way makes the pending password the only one, except
			// where it works already beside the other, or is refused unseen.
			if s.running && s.pending != Accepted && s.pending != Elsewhere && s.pending != Unusable {
				wrong("a rotation under way would be left with a password that has no label")
			}
			if s.pending == absent {
				wrong("there is nothing to discard")
			}
		case Cancel, Retry:
			if !s.running || s.current != Accepted || s.pending == absent {
				wrong("there is no rotation to cancel or to go on with")
			}
		case Nothing:
			if s.current != Accepted || s.pending != absent {
				wrong("all is not well")
			}
		case Reset:
			if s.current == Accepted || s.current == Unclear || s.pending == Accepted || s.pending == Unclear || s.previous == Accepted || s.previous == Unclear {
				wrong("something works, or might")
			}
		case Wait:
			if s.current != Unclear && s.pending != Unclear && s.previous != Unclear {
				wrong("there is nothing to wait for")
			}
		case Provide:
			if s.current != NoValue && s.current != absent && s.current != Unusable {
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
		reached[decide(s).because] = true
	}
	for i, r := range rules() {
		if !reached[r.because] {
			t.Errorf("row %d (%s: %s) is never reached", i+1, r.action, r.because)
		}
	}
}

// TestEveryWayLeadsOut: from every scene in which some stored version logs in,
// following the decisions ends with an AWSCURRENT that works and with no AWSPENDING
// in the way of the next rotation.
func TestEveryWayLeadsOut(t *testing.T) {
	for _, start := range scenes() {
		s := start
		known := s.current != Unclear && s.pending != Unclear && s.previous != Unclear
		if !known || s.current == NoValue || s.current == absent || s.current != Accepted && s.pending != Accepted && s.previous != Accepted {
			continue
		}
		for step := 0; ; step++ {
			a := decide(s).action
			if a == Nothing || a == Retry { // the service goes on from here
				break
			}
			if step == 3 {
				t.Errorf("%+v: still %s after three actions", start, a)
				break
			}
			worked := s.current == Accepted
			s = after(s, a)
			if worked && s.current != Accepted {
				t.Errorf("%+v: %s takes a working AWSCURRENT away", start, a)
			}
		}
		if s.current != Accepted {
			t.Errorf("%+v: ends with an AWSCURRENT that does not work: %+v", start, s)
		}
	}
}

// after is what becomes of a scene.
func after(s scene, a Action) scene {
	switch a {
	case Finish:
		return scene{current: s.pending, pending: absent, previous: s.current, running: s.running}
	case Restore:
		return scene{current: s.previous, pending: s.pending, previous: s.current, stale: s.stale, running: s.running}
	case Discard:
		s.pending, s.stale = absent, false
	case Cancel:
		s.running = false
	}
	return s
}
