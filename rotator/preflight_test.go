package rotator

import (
	"context"
	"regexp"
	"strings"
	"testing"
)

// TestRunChecks: one cause is one finding. What needs a row that did not pass is skipped and names the row that stands in
// the way, however far above it is; what needs none is tried.
func TestRunChecks(t *testing.T) {
	passed := Finding{Status: StatusPassed}
	no := func(f Finding) bool { return f.Status != StatusPassed }
	yes := func() bool { return true }
	row := func(id string, f Finding, needs ...string) Check {
		return Check{ID: id, Proves: "proves " + id, Needs: needs, Run: func(context.Context) Finding { return f }}
	}
	with := func(c Check, change func(*Check)) Check { change(&c); return c }
	unanswered := Finding{Status: StatusUnknown, Kind: KindThrottled}
	deferredYet := Finding{Status: StatusUnknown, Kind: KindThrottled, Deferred: true}
	for name, c := range map[string]struct {
		table []Check
		want  string
	}{
		"nothing":                 {nil, ""},
		"all pass":                {[]Check{row("A", passed), row("B", passed, "A")}, "A passed, B passed"},
		"one that does not apply": {[]Check{row("A", Finding{}), row("B", passed, "A")}, "B passed"},
		"denied":                  {[]Check{row("A", Finding{Status: StatusDenied}), row("B", passed, "A"), row("C", passed)}, "A denied, B skipped by A, C passed"},
		"failed":                  {[]Check{row("A", Finding{Status: StatusFailed}), row("B", passed, "A")}, "A failed, B skipped by A"},
		"inferred":                {[]Check{row("A", Finding{Status: StatusInferred}), row("B", passed, "A")}, "A inferred, B passed"},
		"a warning of a kind":     {[]Check{row("A", Finding{Status: StatusPassed, Kind: KindMisconfigured}), row("B", passed, "A")}, "A passed, B passed"},
		"not tried":               {[]Check{row("A", Finding{Status: StatusUnknown}), row("B", passed, "A")}, "A unknown, B passed"},
		"no answer":               {[]Check{row("A", unanswered), row("B", passed, "A")}, "A unknown, B skipped by A"},
		"no answer yet":           {[]Check{row("A", deferredYet), row("B", passed, "A")}, "A unknown, B passed"},
		"left to a later call":    {[]Check{row("A", skippedLater()), row("B", passed, "A")}, "A skipped, B passed"},
		"the cause, not the row":  {[]Check{row("A", Finding{Status: StatusFailed}), row("B", passed, "A"), row("C", passed, "B")}, "A failed, B skipped by A, C skipped by A"},
		"two causes": {[]Check{row("A", Finding{Status: StatusFailed}), row("B", Finding{Status: StatusDenied}),
			row("C", passed, "B", "A")}, "A failed, B denied, C skipped by B"},
		"enough without": {[]Check{row("A", Finding{Status: StatusFailed}), with(row("B", passed, "A"),
			func(c *Check) { c.enough = yes }), row("C", passed, "A")}, "A failed, B passed, C skipped by A"},
		"not enough without": {[]Check{row("A", Finding{Status: StatusFailed}), with(row("B", passed, "A"),
			func(c *Check) { c.enough = func() bool { return false } })}, "A failed, B skipped by A"},
		"the end": {[]Check{with(row("A", unanswered), func(c *Check) { c.ends = no }), row("B", passed),
			with(row("C", passed), func(c *Check) { c.enough = yes })}, "A unknown, B skipped by A, C skipped by A"},
		"no end": {[]Check{with(row("A", passed), func(c *Check) { c.ends = no }), row("B", passed)},
			"A passed, B passed"},
		"two ends": {[]Check{with(row("A", unanswered), func(c *Check) { c.ends = no }),
			with(row("B", passed), func(c *Check) { c.ends = no }), row("C", passed)},
			"A unknown, B skipped by A, C skipped by A"},
	} {
		var got []string
		for _, f := range RunChecks(t.Context(), c.table) {
			by, _, _ := strings.Cut(strings.TrimPrefix(f.Detail, "not tested: "), " ")
			text := f.ID + " " + string(f.Status)
			if by != "" && by != "later" {
				text += " by " + by
			}
			got = append(got, text)
			if f.Check != "proves "+f.ID {
				t.Errorf("%s: %s is named %q", name, f.ID, f.Check)
			}
		}
		if got := strings.Join(got, ", "); got != c.want {
			t.Errorf("%s: %s; want %s", name, got, c.want)
		}
	}
}

func skippedLater() Finding { return Finding{Status: StatusSkipped, Detail: "later", Deferred: true} }

// TestRandomVersion: what the probe of a move names are two versions that no secret has.
func TestRandomVersion(t *testing.T) {
	a, b := randomVersion(), randomVersion()
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	if a == b || !uuid.MatchString(a) || !uuid.MatchString(b) {
		t.Errorf("%s and %s; want two random version ids", a, b)
	}
}
