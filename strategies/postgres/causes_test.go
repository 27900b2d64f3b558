package postgres

import (
	"strings"
	"testing"
)

// TestALimitIsNotMadeTight: one of 0 was set to keep clients out, and what it was is not 1.
func TestALimitIsNotMadeTight(t *testing.T) {
	for _, c := range Causes() {
		if strings.Contains(c.Fix, "CONNECTION LIMIT N") && !strings.Contains(c.Note, "that it had, or -1 for no limit") {
			t.Errorf("%s: %s", c.Fix, c.Note)
		}
		if strings.HasSuffix(c.Fix, " LOGIN") && c.Note != notLocked {
			t.Errorf("%s: %q", c.Fix, c.Note)
		}
	}
}

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
		if len(c.Before) != 1 || c.Before[0].Run != whereSet(setting) || !strings.Contains(c.Before[0].Note, "keep") || c.For != asShown {
			t.Errorf("%s: before %q comes %+v", c.Codes, c.Fix, c.Before)
		}
	}
	if resets < 4 {
		t.Errorf("%d settings are reset", resets)
	}
}
