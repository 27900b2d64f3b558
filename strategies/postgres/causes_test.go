package postgres

import (
	"strings"
	"testing"
)

// TestWhatIsResetIsShownFirst: a value that somebody has set can be put back.
func TestWhatIsResetIsShownFirst(t *testing.T) {
	resets := 0
	for _, c := range Causes() {
		_, setting, is := strings.Cut(c.Fix, " RESET ")
		if !is || !strings.HasPrefix(c.Fix, "ALTER ") {
			continue
		}
		resets++
		setting, _, _ = strings.Cut(setting, ";")
		if len(c.Before) != 1 || c.Before[0].Run != whereSet(setting) || !strings.Contains(c.Before[0].Note, "keep") {
			t.Errorf("%s: before %q comes %+v", c.Codes, c.Fix, c.Before)
		}
	}
	if resets < 3 {
		t.Errorf("%d settings are reset", resets)
	}
}
