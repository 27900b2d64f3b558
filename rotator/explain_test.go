package rotator

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator/secret"
)

// explainer has a superuser who sees causes.
type explainer struct {
	Strategy
	causes []RejectionCause
	err    error
	asked  []string
}

func (e *explainer) ResetStatement(d secret.Document) string { return "SET " + d.Text("username") }
func (e *explainer) Inquiry(d ...secret.Document) string     { return "WHY " + d[0].Text("username") }
func (e *explainer) ExplainRejected(_ context.Context, r Rotation, rejected ...secret.Document) ([]RejectionCause, error) {
	if r.Current.IsZero() || !r.Pending.IsZero() {
		return nil, errors.New("not the value of AWSCURRENT alone")
	}
	for _, d := range rejected {
		e.asked = append(e.asked, d.Text("password"))
	}
	return e.causes, e.err
}

func explained(t *testing.T, e *explainer, probes map[string]probe) *diagnoser {
	t.Helper()
	c := &diagnoser{invocation: &invocation{Rotator: Rotator{Strategy: e}}, probes: map[string]probe{},
		meta: Metadata{Labels: map[string][]string{"v1": {LabelPrevious}, "v2": {LabelCurrent}, "v3": {LabelPending}}}}
	for id, p := range probes {
		user := "app"
		if id == "v1" {
			user = "app_clone"
		}
		var err error
		if p.value, err = secret.ParseDocument(`{"username":"` + user + `","password":"` + id + `"}`); err != nil {
			t.Fatal(err)
		}
		c.probes[id] = p
	}
	c.explain(t.Context())
	return c
}

// TestASuperuserExplainsARejectedAWSCURRENT, and what no password mends is blocked, also of a version that was not tested.
func TestASuperuserExplainsARejectedAWSCURRENT(t *testing.T) {
	rejected := probe{state: CredentialRejected, tried: true}
	limited := probe{state: CredentialNotTested, limited: true}
	e := &explainer{causes: []RejectionCause{{"it has expired", true}, {"it has expired", true}, {"another password", false}}}
	c := explained(t, e, map[string]probe{"v1": rejected, "v2": rejected, "v3": limited})
	if !slices.Equal(e.asked, []string{"v2", "v3", "v1"}) || !c.explained {
		t.Errorf("asked about %v", e.asked)
	}
	for id, want := range map[string]CredentialState{"v1": CredentialRejected, "v2": CredentialBlocked, "v3": CredentialBlocked} {
		if p := c.probes[id]; p.state != want || !strings.HasPrefix(p.next, "the superuser sees why: ") || p.limited {
			t.Errorf("%s: %+v", id, p)
		}
	}
	if inquiry, _ := c.resets(); inquiry != "" {
		t.Errorf("what is known is asked for: %s", inquiry)
	}
	for name, probes := range map[string]map[string]probe{
		"AWSPENDING works":         {"v2": rejected, "v3": {state: CredentialWorks, tried: true}},
		"AWSCURRENT works":         {"v2": {state: CredentialWorks, tried: true}, "v3": rejected},
		"nothing was answered":     {"v2": {state: CredentialUnknown, tried: true}},
		"AWSCURRENT is not tested": {"v2": {state: CredentialNotTested}, "v3": rejected},
	} {
		if e := (&explainer{}); explained(t, e, probes).explained || e.asked != nil {
			t.Errorf("%s: asked about %v", name, e.asked)
		}
	}
	e = &explainer{err: errors.New("its secret is unreadable")}
	if c := explained(t, e, map[string]probe{"v2": rejected}); c.explained || c.probes["v2"].state != CredentialRejected ||
		c.probes["v2"].next != "the superuser could not be asked why: its secret is unreadable" {
		t.Errorf("%+v", c.probes["v2"])
	}
}

// TestBothPasswordsOfAPairAreReset, the original's first: a clone that has to be created is made a member of it.
func TestBothPasswordsOfAPairAreReset(t *testing.T) {
	rejected := probe{state: CredentialRejected, tried: true}
	c := explained(t, &explainer{}, map[string]probe{"v1": rejected, "v2": rejected, "v3": rejected})
	inquiry, all := c.resets()
	want := []ResetStatement{{LabelCurrent, "SET app"}, {LabelPrevious, "SET app_clone"}}
	if inquiry != "WHY app" || !slices.Equal(all, want) {
		t.Errorf("%s, %v", inquiry, all)
	}
	c = explained(t, &explainer{}, map[string]probe{"v1": {state: CredentialWorks}, "v2": rejected, "v3": rejected})
	if _, all := c.resets(); !slices.Equal(all, want[:1]) {
		t.Errorf("what works is reset: %v", all)
	}
	d := Diagnosis{Action: ActionInvestigate, Inquiry: inquiry, Statements: want, RecoverEvent: `{"ClientRequestToken":"v1"}`,
		Versions: []VersionStatus{{VersionID: "v2", Labels: []string{LabelCurrent}}, {VersionID: "v1", Labels: []string{LabelPrevious}}}}
	var at []int
	for _, line := range []string{"to find the cause first, as a superuser of the database: WHY app", "to have the function test AWSPREVIOUS, which changes nothing: {",
		"with that of AWSCURRENT in place of PASSWORD: SET app\n", "with that of AWSPREVIOUS in place of PASSWORD: SET app_clone\n"} {
		at = append(at, strings.Index(d.Text(), line))
	}
	if !slices.IsSorted(at) || at[0] < 0 || strings.Contains(d.Text(), "let the function do it") {
		t.Errorf("%v: %s", at, d.Text())
	}
}
