package prove

import "testing"

// TestMutantsFit: every rule that make prove removes is still there to be removed.
func TestMutantsFit(t *testing.T) {
	for _, m := range Mutants() {
		if _, err := m.apply("../.."); err != nil {
			t.Error(err)
		}
	}
}
