package strategies

import (
	"errors"
	"strings"
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
		{"unknown, and in the way", []Warning{{Text: "blocked", Attempts: 1}, unseen}, nil, rotator.StatusFailed, ""},
		{"after a failure", []Warning{some}, errors.New("no"), "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := rehearsal{}.warnings(&loginResult{to: &Login{}, warnings: c.warnings, err: c.err})
			if got.Status != c.status || got.Detail != c.detail && c.status != rotator.StatusFailed {
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
		f := rehearsal{}.warnings(&loginResult{to: &Login{}, warnings: counted(n)})
		if f.Status != want || !strings.Contains(f.Detail, "MYSQL_DUAL_PASSWORDS=true") ||
			f.Status == rotator.StatusFailed && f.Kind != rotator.KindMisconfigured {
			t.Errorf("%d: %+v", n, f)
		}
		if left, _ := neverRefused(append(counted(n), Warn("another")), nil); len(left) != 1 ||
			left[0].Text != "another" {
			t.Errorf("%d: %v is left", n, left)
		}
	}
}

// An engine may refuse to touch an account where no superuser acts either. That is no
// failure of the login or of a policy of the server, and it is not passed over.
func TestAPreflightShowsThatAnAccountIsRefused(t *testing.T) {
	x := rehearsal{engine: refusing{}}
	user := &loginResult{to: &Login{}, acts: true, err: NotEntitled("no")}
	for _, f := range rotator.RunChecks(t.Context(), x.table(user)) {
		if f.Status == rotator.StatusDenied && f.ID == "P6" && f.Kind == rotator.KindNotEntitled {
			return
		}
	}
	t.Error("P6 is not denied")
}

type refusing struct{ Engine }

func (refusing) Traits() Traits { return Traits{} }
