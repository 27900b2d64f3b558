package strategies

import (
	"errors"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
)

// What an account cannot see is unknown, so that the strict mode stops there; any
// other warning lets the rotation through.
func TestWarningsOfARehearsal(t *testing.T) {
	some, unseen := Warn("it expires on %s", "Friday"), Warning{Text: "other hosts are not shown", Unknown: true}
	for _, c := range []struct {
		name     string
		warnings []Warning
		err      error
		status   rotator.Status
		detail   string
	}{
		{"none", nil, nil, rotator.StatusPassed, ""},
		{"one", []Warning{some}, nil, rotator.StatusPassed, some.Text},
		{"unknown", []Warning{some, unseen}, nil, rotator.StatusUnknown, some.Text + "; " + unseen.Text},
		{"after a failure", []Warning{some}, errors.New("no"), "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got rotator.Finding
			for _, f := range (loginResult{changeID: "P6", warnings: c.warnings, err: c.err}).findings(Login{}) {
				if f.ID == "P8" {
					got = f
				}
			}
			if got.Status != c.status || got.Detail != c.detail {
				t.Errorf("P8 is %q: %q, want %q: %q", got.Status, got.Detail, c.status, c.detail)
			}
		})
	}
}

// A server that blocks an account after one refused login does not suit a strategy
// with a moment in which clients are refused; one that does so after several is
// named with what to do. It does not concern strategies without such a moment.
func TestWarningsOfCounters(t *testing.T) {
	counted := func(n int) []Warning { return []Warning{{Text: "blocked after so many", Attempts: n}} }
	for n, want := range map[int]rotator.Status{1: rotator.StatusFailed, 5: rotator.StatusPassed} {
		all := loginResult{changeID: "P6", warnings: counted(n)}.findings(Login{})
		if f := all[len(all)-1]; f.ID != "P8" || f.Status != want || f.Status == rotator.StatusFailed && f.Kind != rotator.KindMisconfigured {
			t.Errorf("%d: %+v", n, f)
		}
		if left, _ := neverRefused(counted(n), nil); len(left) > 0 {
			t.Errorf("%d: %v is left", n, left)
		}
	}
}
