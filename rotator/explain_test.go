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

func (e *explainer) ResetStatement(d secret.Document) string {
	return "SET " + d.Text("username") + " >PASSWORD"
}
func (e *explainer) Inquiry(d ...secret.Document) []Fix {
	return []Fix{{By: BySuperuser, Run: "WHY " + d[0].Text("username")}}
}
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
	c := &diagnoser{invocation: &invocation{Rotator: Rotator{Strategy: e}}, probes: map[string]probe{}, last: map[string]CredentialState{},
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
		if p.tried {
			c.last[user] = p.state
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
	e := &explainer{causes: []RejectionCause{{Text: "it has expired", Blocked: true}, {Text: "it has expired", Blocked: true}, {Text: "another password"}}}
	c := explained(t, e, map[string]probe{"v1": rejected, "v2": rejected, "v3": limited})
	if !slices.Equal(e.asked, []string{"v2", "v3", "v1"}) || !c.explained {
		t.Errorf("asked about %v", e.asked)
	}
	for id, want := range map[string]CredentialState{"v1": CredentialRejected, "v2": CredentialBlocked, "v3": CredentialBlocked} {
		if p := c.probes[id]; p.state != want || !strings.HasPrefix(p.why, "the superuser sees why: ") || p.limited {
			t.Errorf("%s: %+v", id, p)
		}
	}
	if asks := c.inquiry(rule{resets: true}); asks != nil {
		t.Errorf("what is known is asked for: %v", asks)
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
	e = &explainer{}
	if explained(t, e, map[string]probe{"v2": {state: CredentialBlocked, tried: true}, "v3": {state: CredentialInvalid}}); !slices.Equal(e.asked, []string{"v2"}) {
		t.Errorf("of a user that is blocked and a value that is none, asked about %v", e.asked)
	}
	e = &explainer{err: errors.New("its secret is unreadable")}
	if c := explained(t, e, map[string]probe{"v2": rejected}); c.explained || c.probes["v2"].state != CredentialRejected ||
		!strings.HasSuffix(c.probes["v2"].next, ": its secret is unreadable") {
		t.Errorf("%+v", c.probes["v2"])
	}
	// What lets clients in, which the server has said, comes first.
	locked := probe{state: CredentialBlocked, tried: true, err: WithFix(KindPrivilege, "", Fix{Run: "UNLOCK app"})}
	e = &explainer{err: WithFix(errors.New("it is locked, too"), "", Fix{Run: "UNLOCK boss"})}
	if p := explained(t, e, map[string]probe{"v2": locked}).probes["v2"]; !strings.Contains(p.next, "mend that too") ||
		len(p.fixes) != 2 || p.fixes[0].Run != "UNLOCK app" {
		t.Errorf("%+v", p)
	}
}

// TestWhatASuperuserSeesOfAPassword: a version that was not tested is rejected where it is another, and tested where it is
// right; and an account that the server blocks gets the right password, too.
func TestWhatASuperuserSeesOfAPassword(t *testing.T) {
	rejected, blocked := probe{state: CredentialRejected, tried: true}, probe{state: CredentialBlocked, tried: true}
	limited := probe{state: CredentialNotTested, limited: true, detail: "not tested"}
	behind := probe{state: CredentialNotTested, detail: "not tested"} // a blocked one of the same user
	another := RejectionCause{Text: "another", Reset: "SET app TOO"}
	right := RejectionCause{Text: "this very password", Right: true}
	for name, c := range map[string]struct {
		current, pending         probe
		causes                   []RejectionCause
		states                   [2]CredentialState
		currentSays, pendingSays string
		resets                   string
	}{
		"another":                         {rejected, limited, []RejectionCause{another, another}, [2]CredentialState{CredentialRejected, CredentialRejected}, "sees why: another", "sees why: another", "SET app TOO"},
		"right":                           {rejected, limited, []RejectionCause{another, right}, [2]CredentialState{CredentialRejected, CredentialWorks}, "the password of AWSPENDING is the one set", "the superuser sees: this very password", "SET app TOO"},
		"right, rejected":                 {rejected, rejected, []RejectionCause{right, another}, [2]CredentialState{CredentialRight, CredentialRejected}, "this very password. The server's log says", "another", "SET app TOO"},
		"blocked, another":                {blocked, probe{}, []RejectionCause{another}, [2]CredentialState{CredentialRejected, ""}, "sees why: another", "", "SET app TOO"},
		"blocked, right":                  {blocked, probe{}, []RejectionCause{right}, [2]CredentialState{CredentialBlocked, ""}, "", "", "SET app >PASSWORD"},
		"blocked, and why":                {blocked, probe{}, []RejectionCause{{Text: "it has expired", Blocked: true}}, [2]CredentialState{CredentialBlocked, ""}, "", "", "SET app >PASSWORD"},
		"blocked, and the other is right": {blocked, behind, []RejectionCause{another, right}, [2]CredentialState{CredentialRejected, CredentialRight}, "the password of AWSPENDING is the one set", "the superuser sees: this very password", "SET app TOO"},
		"the other, blocked, is right":    {behind, blocked, []RejectionCause{another, right}, [2]CredentialState{CredentialRejected, CredentialRight}, "the password of AWSPENDING is the one set", "the superuser sees: this very password", "SET app TOO"},
		"blocked, and both are another":   {blocked, behind, []RejectionCause{another, another}, [2]CredentialState{CredentialRejected, CredentialRejected}, "sees why: another", "sees why: another", "SET app TOO"},
		"nothing was found":               {rejected, limited, nil, [2]CredentialState{CredentialRejected, CredentialNotTested}, "", "", "SET app >PASSWORD"},
	} {
		e := &explainer{Strategy: accepting{}, causes: c.causes}
		if c.current.state == CredentialBlocked || c.pending.state == CredentialBlocked {
			e.Strategy = blocking{}
		}
		d := explained(t, e, map[string]probe{"v2": c.current, "v3": c.pending})
		current, pending := d.probes["v2"], d.probes["v3"]
		current.next, pending.next = current.why+current.next, pending.why+pending.next
		if got := [2]CredentialState{current.state, pending.state}; got != c.states || !strings.Contains(current.next, c.currentSays) ||
			!strings.Contains(pending.next, c.pendingSays) || c.currentSays == "" && current.next != "" || pending.limited != (c.causes == nil) && c.pending.limited {
			t.Errorf("%s: %+v, %+v", name, current, pending)
		}
		if current.detail != "" && c.current.tried {
			t.Errorf("%s: AWSCURRENT was tested: %s", name, current.detail)
		}
		if c.causes != nil && (c.pending.limited || c.pending.detail != "") && pending.detail == "not tested" {
			t.Errorf("%s: AWSPENDING is called %s, and %s", name, pending.state, pending.detail)
		}
		if all := d.resets(); all[len(all)-1].Run != c.resets {
			t.Errorf("%s: %v", name, all)
		}
	}
}

// guessing is a rejected login of which the server does not say why.
type guessing struct{ error }

func (guessing) Brief() string { return "role app: login rejected: code 1" }

// TestTheAnswerOfASuperuserComesFirst, and what an error guesses beside it is left out. Without an answer it stays.
func TestTheAnswerOfASuperuserComesFirst(t *testing.T) {
	guesses := guessing{errors.New("role app: login rejected: this or that: code 1")}
	for want, causes := range map[string][]RejectionCause{
		"the superuser sees why: it is hidden; role app: login rejected: code 1": {{Text: "it is hidden"}},
		"role app: login rejected: this or that: code 1":                         nil,
	} {
		c := explained(t, &explainer{causes: causes},
			map[string]probe{"v2": {state: CredentialRejected, tried: true, err: guesses}})
		if got := c.diagnosis(t.Context(), rule{}).Versions[0].Detail; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// accepting lets every value in.
type accepting struct{ Strategy }

func (accepting) Verify(context.Context, Rotation) error { return nil }

// blocking lets none in, whatever the password.
type blocking struct{ Strategy }

func (blocking) Verify(context.Context, Rotation) error { return KindPrivilege }

// manned is a strategy that says who there is.
type manned struct{ *explainer }

func (manned) Runners(secret.Document) Runners { return Runners{"root", true} }

// TestWhoRunsAFix: the user of the superuser secret is named where there is one and nothing has shown that it cannot log
// in, and the administrators are those of the engine.
func TestWhoRunsAFix(t *testing.T) {
	const boss, root = "as the superuser secret's user", "an administrator (root)"
	rejected := func() map[string]probe { return map[string]probe{"v2": {state: CredentialRejected, tried: true}} }
	for name, c := range map[string]struct {
		s          Strategy
		boss, root bool
	}{
		"it answers":              {manned{&explainer{}}, true, true},
		"it cannot log in":        {manned{&explainer{err: KindLoginRejected}}, false, true},
		"a strategy that is mute": {&explainer{}, true, false},
	} {
		e, ok := c.s.(*explainer)
		if !ok {
			e = c.s.(manned).explainer
		}
		x := explained(t, e, rejected())
		x.Strategy = c.s
		text := x.diagnosis(t.Context(), rule{action: ActionResetPassword, resets: true}).Text()
		if strings.Contains(text, boss) != c.boss || strings.Contains(text, root) != c.root || !strings.Contains(text, "as an administrator") && !c.boss {
			t.Errorf("%s: %s", name, text)
		}
	}
}

// TestBothPasswordsOfAPairAreReset, the original's first: a clone that has to be created is made a member of it.
func TestBothPasswordsOfAPairAreReset(t *testing.T) {
	rejected := probe{state: CredentialRejected, tried: true}
	c := explained(t, &explainer{}, map[string]probe{"v1": rejected, "v2": rejected, "v3": rejected})
	all := append(c.inquiry(rule{resets: true}), c.resets()...)
	want := []Fix{{By: BySuperuser, For: toFindTheCause, Run: "WHY app"},
		{By: BySuperuser, For: "to set the password", Run: "SET app >PASSWORD", PasswordOf: LabelCurrent},
		{By: BySuperuser, For: "to set the password", Run: "SET app_clone >PASSWORD", PasswordOf: LabelPrevious}}
	if !slices.Equal(all, want) {
		t.Errorf("%v", all)
	}
	c = explained(t, &explainer{}, map[string]probe{"v1": {state: CredentialWorks}, "v2": rejected, "v3": rejected})
	if all := c.resets(); !slices.Equal(all, want[1:2]) {
		t.Errorf("what works is reset: %v", all)
	}
	const unless = "only if no other secret has the one that works, to set the password, "
	for _, r := range []rule{{resets: true, lines: whoSetIt()}, {resets: true, lines: olderVersions()}} {
		text := c.diagnosis(t.Context(), r).Text()
		if strings.Contains(text, unless) != (len(r.lines) > len(olderVersions())) || !strings.Contains(text, "to set the password, ") {
			t.Errorf("another secret may have the password that works: %s", text)
		}
	}
	d := Diagnosis{Action: ActionInvestigate, Fixes: want, RecoverEvent: `{"ClientRequestToken":"v1"}`,
		Versions: []VersionStatus{{VersionID: "v2", Labels: []string{LabelCurrent}}, {VersionID: "v1", Labels: []string{LabelPrevious}}}}
	asked := d
	asked.function = "arn:f"
	if text := asked.Text(); !strings.Contains(text, "\n         aws lambda invoke --function-name arn:f --payload fileb:///dev/stdin status.json <<<'"+d.RecoverEvent+"'\n") {
		t.Errorf("no command that has AWSPREVIOUS tested: %s", text)
	}
	var at []int
	for _, line := range []string{"to find the cause first, in the database, as the superuser secret's user", "to have the function test AWSPREVIOUS (a rejected login counts against the user, as each of a client's does):\n         {",
		"with the password in AWSCURRENT in place of PASSWORD:\n         SET app >PASSWORD\n", "with the password in AWSPREVIOUS in place of PASSWORD:\n         SET app_clone >PASSWORD\n"} {
		at = append(at, strings.Index(d.Text(), line))
	}
	if !slices.IsSorted(at) || at[0] < 0 || strings.Contains(d.Text(), "let the function do it") {
		t.Errorf("%v: %s", at, d.Text())
	}
}
