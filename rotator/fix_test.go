package rotator_test

import (
	"slices"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
)

// TestWhatIsRunIsWhatTheSentenceSays, in its order, whatever a user is called.
func TestWhatIsRunIsWhatTheSentenceSays(t *testing.T) {
	const name = `"x"": GRANT ALL TO mallory; "`
	unlock := rotator.NewFix(rotator.BySuperuser, "ALTER ROLE "+name+" LOGIN -- a note")
	grants := rotator.RunEach(rotator.NewFix(rotator.BySuperuser, "GRANT a TO b"),
		rotator.NewFix(rotator.BySuperuser, "GRANT c TO d"))
	s := rotator.Sentencef("user %s: %s, or %s (%d)", name, unlock, grants, 1)
	if s.String() != "user "+name+": ALTER ROLE "+name+" LOGIN, or GRANT a TO b; GRANT c TO d (1)" {
		t.Error(s)
	}
	if !slices.Equal(s.Fixes, append([]rotator.Fix{unlock}, grants.Fixes...)) || s.Fixes[0].Note != "a note" {
		t.Errorf("%+v", s.Fixes)
	}
}
