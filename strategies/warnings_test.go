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
