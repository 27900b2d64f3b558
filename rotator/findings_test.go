package rotator_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
)

// described is a Store whose secret is otherwise than that of the emulator, and which keeps what is put.
type described struct {
	rotator.Store
	as  func(*rotator.Metadata)
	put []rotator.PutInput
}

func (d *described) Describe(ctx context.Context, id string) (rotator.Metadata, error) {
	m, err := d.Store.Describe(ctx, id)
	if err == nil {
		d.as(&m)
	}
	return m, err
}

func (d *described) Put(ctx context.Context, p rotator.PutInput) error {
	d.put = append(d.put, p)
	return d.Store.Put(ctx, p)
}

// TestWhatASecretShows: what DescribeSecret says of a secret becomes a finding where there is something to know, and
// blocks nothing.
func TestWhatASecretShows(t *testing.T) {
	const rotate = "arn:aws:lambda:us-east-1:123456789012:function:rotate"
	named := func(arn string) func(*rotator.Metadata) {
		return func(m *rotator.Metadata) { m.RotationLambdaARN = arn }
	}
	replicas := func(r ...rotator.Replica) func(*rotator.Metadata) {
		return func(m *rotator.Metadata) { m.Replicas = r }
	}
	hourly := func(on *bool) func(*rotator.Metadata) {
		return func(m *rotator.Metadata) {
			m.RotationEnabled, m.Schedule = on, rotator.RotationRules{Expression: "rate(4 hours)"}
		}
	}
	const passed = rotator.StatusPassed
	inSync := rotator.Replica{Region: "eu-west-1", Status: "InSync"}
	late := rotator.Replica{Region: "eu-west-2", Status: "Failed", Message: "a secret of that name is there"}
	waits := rotator.Replica{Region: "eu-west-3", Status: "InProgress"}
	for name, c := range map[string]struct {
		row     string
		want    rotator.Status // "": there is no such row
		says    string         // parts of the detail, by "|"; "": there is none
		never   string
		other   bool   // it is another function's
		version string // of the event
		invoked string // the function's ARN; "-": there is none
		as      func(*rotator.Metadata)
	}{
		"on a person's machine":      {row: "S0", invoked: "-"},
		"outside Lambda":             {row: "S0", invoked: ""},
		"the function that it names": {row: "S0", want: passed, invoked: rotate},
		"no function yet":            {row: "S0", want: passed, invoked: rotate, as: named(""), says: "not set up|--rotation-lambda-arn " + rotate},
		"an alias":                   {row: "S0", want: passed, invoked: rotate + ":live", says: rotate + ";|" + rotate + ":live|exact match"},
		"the function of an alias":   {row: "S0", want: passed, invoked: rotate, as: named(rotate + ":7"), says: rotate + ":7;|exact match"},
		"another function":           {row: "S0", want: passed, invoked: rotate + "2", other: true, says: rotate + ";|" + rotate + "2|exact match"},

		"no replica":               {row: "S3"},
		"a replica in sync":        {row: "S3", want: passed, as: replicas(inSync)},
		"replicas that are behind": {row: "S3", want: passed, as: replicas(inSync, late, waits), says: "eu-west-2 has status Failed (a secret of that name is there)|Region=eu-west-2|eu-west-3|InProgress|; ", never: "eu-west-1"},

		"no rotation":               {row: "S4", want: passed},
		"none, and one is asked of": {row: "S4", want: passed, version: awsemu.VersionID(2)},
		"one that is incomplete":    {row: "S4", want: passed, as: func(m *rotator.Metadata) { m.Labels["p"] = []string{"AWSPENDING"} }, says: "version p still has AWSPENDING"},
		"this one":                  {row: "S4", want: passed, as: func(m *rotator.Metadata) { m.Labels[awsemu.VersionID(2)] = []string{"AWSPENDING"} }, version: awsemu.VersionID(2)},
		"one that is complete":      {row: "S4", want: passed, as: func(m *rotator.Metadata) { m.Labels[awsemu.VersionID(1)] = []string{"AWSCURRENT", "AWSPENDING"} }},
		"a schedule that is short":  {row: "S12", want: passed, as: hourly(aws.Bool(true)), says: "rate(4 hours)|AutomaticallyAfterDays=30"},
		"a schedule that is off":    {row: "S12", as: hourly(aws.Bool(false))},
		"a schedule not set up yet": {row: "S12", as: hourly(nil)},
		"a schedule that is long":   {row: "S12"},
		"no tags are read":          {row: "S13"},
	} {
		s := newStory(t)
		s.run("account app/p1\nversion AWSCURRENT app/p1\nstate")
		as := c.as
		if as == nil {
			as = func(*rotator.Metadata) {}
		}
		s.rotator.Store = &described{Store: s.rotator.Store, as: as}
		if c.invoked != "-" {
			s.rotator.FunctionARN = func(context.Context) string { return c.invoked }
		}
		report := s.preflight(c.version)
		f := finding(report, c.row)
		if f.Status != c.want || f.Detail != "" && c.says == "" || (report.OtherFunction != "") != c.other ||
			report.Verdict() != rotator.VerdictReady || c.never != "" && strings.Contains(f.Detail, c.never) {
			t.Errorf("%s: %+v, of another function: %q, and %s; want %s %q", name, f, report.OtherFunction, report.Verdict(), c.want, c.says)
		}
		for part := range strings.SplitSeq(c.says, "|") {
			if !strings.Contains(f.Detail, part) {
				t.Errorf("%s: %q does not say %q", name, f.Detail, part)
			}
		}
	}
}

// preflight is that of a person, or of a version.
func (s *story) preflight(version string) *rotator.Report {
	s.t.Helper()
	event := map[string]string{"Step": "preflight", "SecretId": s.arn}
	if version != "" {
		event["ClientRequestToken"] = version
	}
	payload, _ := json.Marshal(event)
	answer, err := s.rotator.HandleJSON(s.t.Context(), payload)
	report, ok := answer.(*rotator.Report)
	if err != nil || !ok {
		s.t.Fatalf("preflight: %T, %v", answer, err)
	}
	return report
}

// TestWhatCannotBeRead: what rests on an answer that did not come is not tested, and names what it rests on; the rest is
// tried, so that two missing permissions are two findings.
func TestWhatCannotBeRead(t *testing.T) {
	const passed, inferred, denied, failed, unknown = rotator.StatusPassed, rotator.StatusInferred, rotator.StatusDenied,
		rotator.StatusFailed, rotator.StatusUnknown
	const s1, s5 = "not tested: S1 did not pass", "not tested: S5 did not pass"
	for name, c := range map[string]struct {
		value   string
		faults  string
		want    map[string]rotator.Status
		skipped map[string]string // what each names
	}{
		"DescribeSecret denied": {"app/p1", "fault DescribeSecret 1 denied\n",
			map[string]rotator.Status{"S1": denied, "S5": passed, "S6": inferred, "S7": inferred, "S8": inferred, "P6": passed},
			map[string]string{"S0": s1, "S2": s1, "S3": s1, "S4": s1, "S12": s1, "S13": s1, "K3": s1}},
		"GetSecretValue denied": {"app/p1", "fault GetSecretValue 1 denied\n",
			map[string]rotator.Status{"S1": passed, "S5": denied, "S8": inferred},
			map[string]string{"S6": s5, "S7": s5, "S11": s5, "P0": s5}},
		"GetSecretValue throttled": {"app/p1", "fault GetSecretValue 1 throttled\nfault GetSecretValue 1 throttled\n",
			map[string]rotator.Status{"S1": passed, "S2": passed, "S5": unknown},
			map[string]string{"S6": s5, "S7": s5, "K3": s5, "S8": s5, "S11": s5, "P0": s5}},
		"no value": {"empty", "",
			map[string]rotator.Status{"S5": failed, "S6": inferred, "S8": inferred},
			map[string]string{"S7": s5, "S11": s5, "P0": s5}},
		"no document": {"text not JSON", "",
			map[string]rotator.Status{"S5": failed, "S6": inferred, "S8": inferred},
			map[string]string{"S7": s5, "S11": s5, "P0": s5}},
	} {
		s := newStory(t)
		s.run("choices password-length=16-64\naccount app/p1\nversion AWSCURRENT " + c.value + "\n" + c.faults + "state")
		s.rotator.FunctionARN = func(context.Context) string { return s.seed.RotationLambdaARN }
		report := s.preflight("")
		for row, want := range c.want {
			if f := finding(report, row); f.Status != want {
				t.Errorf("%s: %s: %+v; want %s", name, row, f, want)
			}
		}
		for row, want := range c.skipped {
			if f := finding(report, row); f.Status != rotator.StatusSkipped || f.Detail != want {
				t.Errorf("%s: %s: %+v; want it skipped: %s", name, row, f, want)
			}
		}
		if report.OtherFunction != "" {
			t.Errorf("%s: of another function: %s", name, report.OtherFunction)
		}
	}
}

// TestWhatThePutProbeOffers: to the version in use, as this rotation function does, another value than any that counts. A role that is
// assumed needs the token of the event for it. Nothing is stored.
func TestWhatThePutProbeOffers(t *testing.T) {
	s := newStory(t)
	s.run("account app/p1\nversion AWSCURRENT app/p1\nversion AWSPENDING empty\nstate")
	store := &described{Store: s.rotator.Store, as: func(*rotator.Metadata) {}}
	s.rotator.Store = store
	before := s.aws.Snapshot(s.arn)
	if err := s.rotator.Handle(t.Context(), rotator.Event{Step: rotator.StepTestSecret, SecretID: s.arn,
		VersionID: awsemu.VersionID(2), RotationToken: secret.NewPassword(token)}); err != nil {
		t.Fatal(err)
	}
	if len(store.put) != 1 {
		t.Fatalf("%d values were offered, want 1", len(store.put))
	}
	p := store.put[0]
	if p.SecretID != s.arn || p.VersionID != awsemu.VersionID(1) || p.RotationToken.Reveal() != token ||
		slices.Contains(p.Document.Keys(), "password") || len(p.Document.Keys()) == 0 {
		t.Errorf("offered to %s, version %s, with the event's token: %v, and members %v", p.SecretID, p.VersionID,
			p.RotationToken.Reveal() == token, p.Document.Keys())
	}
	if diff := before.Diff(s.aws.Snapshot(s.arn)); len(diff) > 0 {
		t.Errorf("the probe changed the secret: %v", diff)
	}
}

// TestWhatCreateSecretDefers: what its own call is about to test is not probed, and blocks nothing even in a strict preflight.
func TestWhatCreateSecretDefers(t *testing.T) {
	s := newStory(t)
	s.run("mode strict\naccount app/p1\nversion AWSCURRENT app/p1\nversion AWSPENDING empty\nstate")
	store := &described{Store: s.rotator.Store, as: func(m *rotator.Metadata) { m.KMSKeyID = "alias/app" }}
	var report *rotator.Report
	s.rotator.Store = store
	s.rotator.Observe = func(_ context.Context, r rotator.Record) { report = r.Report }
	s.step("createSecret", "v2")
	for _, row := range []string{"S6", "S7", "K3"} {
		if f := finding(report, row); f.Status != rotator.StatusSkipped || !f.Deferred {
			t.Errorf("%s: %+v; want it left to createSecret", row, f)
		}
	}
	if len(store.put) != 1 || store.put[0].RotationToken.Reveal() != token || report.Verdict() != rotator.VerdictReady {
		t.Errorf("%d values put, and the preflight is %s: %+v", len(store.put), report.Verdict(), report.Blocking())
	}
}

// TestOnlyLooking: each probe that is left out says so. Those that createSecret makes up for block no strict rotation.
func TestOnlyLooking(t *testing.T) {
	s := newStory(t)
	s.run("mode strict\nlook\naccount app/p1\nversion AWSCURRENT app/p1\nstate")
	store := &described{Store: s.rotator.Store, as: func(m *rotator.Metadata) { m.KMSKeyID = "alias/app" }}
	s.rotator.Store = store
	report := s.preflight("")
	for row, deferred := range map[string]bool{"S7": true, "K3": true, "S8": false} {
		if f := finding(report, row); f.Status != rotator.StatusUnknown || f.Deferred != deferred ||
			!strings.Contains(f.Detail, "PREFLIGHT_PROBES") {
			t.Errorf("%s: %+v", row, f)
		}
	}
	if len(store.put) != 0 {
		t.Errorf("%d values offered", len(store.put))
	}
	for _, row := range []string{"S7", "S8", "K3"} {
		if blocks := slices.ContainsFunc(report.Blocking(), func(f rotator.Finding) bool { return f.ID == row }); blocks != (row == "S8") {
			t.Errorf("%s blocks: %v", row, blocks)
		}
	}
}

// TestAStrategyWithoutAPreflight: that nothing was tried is said, and a strict rotation does not begin.
func TestAStrategyWithoutAPreflight(t *testing.T) {
	s := newStory(t)
	s.run("mode strict\naccount app/p1\nversion AWSCURRENT app/p1\nstate")
	s.rotator.Strategy = canary{func(rotator.Rotation) error { return nil }}
	report := s.preflight("")
	if f := finding(report, "P0"); f.Status != rotator.StatusUnknown || !strings.Contains(f.Detail, "Preflight") ||
		len(report.Blocking()) != 1 {
		t.Errorf("%+v", report.Findings)
	}
}

// TestCopiesInAReport: the places are named, whatever becomes of them, and what is to be done where they are in the way.
func TestCopiesInAReport(t *testing.T) {
	const plain, within = `"url":"postgres://app:<p1>@db/orders"`, `"note":"it is <p1>, or was"`
	for name, c := range map[string]struct {
		mode    rotator.CopiesMode
		members string
		want    rotator.Status
		says    []string
	}{
		"none":          {"", `"x":"y"`, "", nil},
		"refused":       {"", plain, rotator.StatusFailed, []string{"url", "ROTATE_COPIES=follow"}},
		"ignored":       {rotator.CopiesIgnore, plain + "," + within, rotator.StatusPassed, []string{"left as they are", "url", "note"}},
		"followed":      {rotator.CopiesFollow, plain, rotator.StatusPassed, []string{"in step", "url"}},
		"not followed":  {rotator.CopiesFollow, within, rotator.StatusFailed, []string{"cannot keep the copies in note in step"}},
		"one is not":    {rotator.CopiesFollow, plain + "," + within, rotator.StatusFailed, []string{"cannot keep the copies in note in step"}},
		"refused, both": {rotator.CopiesRefuse, plain + "," + within, rotator.StatusFailed, []string{"url", "note"}},
	} {
		s := newStory(t)
		s.run("account app/p1\nversion AWSCURRENT text " +
			`{"engine":"memory","host":"db.example.com","username":"app","password":"<p1>",` + c.members + "}\nstate")
		s.rotator.Copies = c.mode
		f := finding(s.preflight(""), "S11")
		if f.Status != c.want {
			t.Errorf("%s: %+v, want %s", name, f, c.want)
		}
		for _, part := range c.says {
			if !strings.Contains(f.Detail, part) {
				t.Errorf("%s: %q does not say %q", name, f.Detail, part)
			}
		}
	}
}

// TestAPasswordThatIsRefused: another is proposed, at most three in all, each of them a new one; and what is stored is the one
// that the server accepted.
func TestAPasswordThatIsRefused(t *testing.T) {
	for refusals := range 5 {
		s := newStory(t)
		engine := &choosy{Engine: &s.db, refusals: refusals}
		s.run("account app/p1\nversion AWSCURRENT app/p1\nversion AWSPENDING empty\nstate")
		strategy := &counting{SingleUser: strategies.SingleUser{Engine: engine}}
		s.rotator.Strategy = strategy
		var got rotator.Record
		s.rotator.Observe = func(_ context.Context, r rotator.Record) { got = r }
		s.step("createSecret", "v2")
		stored := s.aws.Snapshot(s.arn).Holder("AWSPENDING").Value
		if tries := min(refusals+1, 3); len(engine.offered) != tries || len(slices.Compact(slices.Sorted(slices.Values(engine.offered)))) != tries {
			t.Errorf("%d refusals: %d passwords were tried, or one twice; want %d", refusals, len(engine.offered), tries)
		}
		if strategy.proposed != len(engine.offered) {
			t.Errorf("%d refusals: %d values were proposed, and %d tried", refusals, strategy.proposed, len(engine.offered))
		}
		if refused := refusals > 2; refused != errors.Is(got.Err, rotator.KindPasswordPolicy) || refused != stored.Empty() {
			t.Errorf("%d refusals: %v; a value is stored: %v", refusals, got.Err, !stored.Empty())
		}
		if !stored.Empty() && !strings.Contains(string(stored.Reveal()), engine.offered[refusals]) {
			t.Errorf("%d refusals: another password is stored than the one that was tried", refusals)
		}
		if said := strings.Contains(strings.Join(got.Notes, "\n"), fmt.Sprintf("refused %d proposed", min(refusals, 2))); said != (refusals > 0) {
			t.Errorf("%d refusals: %v", refusals, got.Notes)
		}
	}
}

// choosy is an engine whose password policy refuses the first passwords, whatever they are.
type choosy struct {
	strategies.Engine
	refusals int
	offered  []string
}

func (e *choosy) DryRunSetPassword(ctx context.Context, login strategies.Login, user string, p secret.Password) ([]strategies.Warning, error) {
	if e.offered = append(e.offered, p.Reveal()); len(e.offered) <= e.refusals {
		return nil, fmt.Errorf("%w: not that one", rotator.KindPasswordPolicy)
	}
	return e.Engine.DryRunSetPassword(ctx, login, user, p)
}

// counting counts what is proposed.
type counting struct {
	strategies.SingleUser
	proposed int
}

func (c *counting) Propose(ctx context.Context, r rotator.Rotation) (secret.Document, error) {
	c.proposed++
	return c.SingleUser.Propose(ctx, r)
}

// TestTheFormatOfAnEvent: what was asked for as text or Markdown is one string, in every answer.
func TestTheFormatOfAnEvent(t *testing.T) {
	s := newStory(t)
	s.run("account app/p1\nversion AWSCURRENT app/p1\nstate")
	for _, step := range []string{"preflight", "status"} {
		for format, begins := range map[string]string{"": `{"Verdict"`, "json": `{"Verdict"`, "text": `"` + step + ` of `,
			"markdown": `"` + strings.ToUpper(step[:1]) + step[1:] + " of `"} {
			answer, err := s.rotator.HandleJSON(t.Context(), []byte(`{"Step":"`+step+`","SecretId":"app","Format":"`+format+`"}`))
			text, _ := json.Marshal(answer)
			if err != nil || !strings.HasPrefix(string(text), begins) {
				t.Errorf("%s as %q begins with %.40s, %v; want %s", step, format, text, err, begins)
			}
		}
	}
}
