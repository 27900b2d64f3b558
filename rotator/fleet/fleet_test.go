package fleet_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/quarterturn-dev/quarterturn/rotator/fleet"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
)

var now = time.Date(2026, 11, 26, 15, 0, 0, 0, time.UTC)

// account is an emulator and a scanner of it.
func account(t *testing.T, emu *awsemu.Emulator) fleet.Scanner {
	t.Helper()
	emu.Now = func() time.Time { return now }
	server := httptest.NewServer(emu)
	t.Cleanup(func() { emu.Close(); server.Close() })
	return fleet.Scanner{
		Places: []fleet.Place{{Account: "123456789012", Region: "us-east-1", Config: aws.Config{
			Region: "us-east-1", BaseEndpoint: &server.URL, Credentials: credentials.NewStaticCredentialsProvider("AKID", "x", ""),
		}}},
		Now: func() time.Time { return now }, All: true,
	}
}

func scan(t *testing.T, s fleet.Scanner) *fleet.Report {
	t.Helper()
	r, err := s.Scan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func entry(r *fleet.Report, name string) fleet.Entry {
	i := slices.IndexFunc(r.Secrets, func(e fleet.Entry) bool { return e.Name == name })
	if i < 0 {
		return fleet.Entry{}
	}
	return r.Secrets[i]
}

func has(e fleet.Entry, id string) bool {
	return slices.ContainsFunc(e.Findings, func(f fleet.Finding) bool { return f.ID == id })
}

// TestEveryConditionIsFound: each seeded secret has its condition, in all four forms of the report; the secrets that are
// in order have none; and no value was read.
func TestEveryConditionIsFound(t *testing.T) {
	t.Parallel()
	emu := &awsemu.Emulator{}
	s := account(t, emu)
	names := emu.SeedFleet(now)
	s.Policy = fleet.Policy{CustomerKey: false, Tags: []string{"team"}}
	s.Deep = true
	former := scan(t, s)
	for i := range former.Secrets { // a rotation earlier: F27 wants to see it twice
		former.Secrets[i].Rotation.Last = former.Secrets[i].Rotation.Last.Add(-7 * 24 * time.Hour)
		former.Secrets[i].LastAccessed = former.Secrets[i].Rotation.Last
	}
	s.Since = former
	r := scan(t, s)
	var text, jsonl, html bytes.Buffer
	for _, err := range []error{r.Text(&text), r.JSONLines(&jsonl), r.HTML(&html, "test", "v0")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for id, name := range names {
		e := entry(r, name)
		switch {
		case id == "F20": // only where the policy wants a key of one's own
			continue
		case !has(e, id):
			t.Errorf("%s is not found: %s %+v", id, name, e.Findings)
		}
		for form, page := range map[string]string{"text": text.String(), "jsonl": jsonl.String(), "html": html.String()} {
			if !strings.Contains(page, name) || !strings.Contains(page, id) {
				t.Errorf("%s is not in the %s", id, form)
			}
		}
	}
	for i := range 3 {
		if e := entry(r, fmt.Sprintf("fleet/in-order-%d", i+1)); e.State != "" || len(e.Findings) > 0 {
			t.Errorf("in order, and yet: %+v", e.Findings)
		}
	}
	for _, c := range emu.Calls() {
		if strings.Contains(c.Operation, "SecretValue") || c.Operation == "Decrypt" {
			t.Errorf("%s was called", c.Operation)
		}
	}
	if len(r.Exceptions) != 1 || r.Exceptions[0].Finding != "F26" || has(entry(r, names["F35"]), "F26") {
		t.Errorf("exceptions: %+v", r.Exceptions)
	}
	if strings.Contains(jsonl.String()+text.String()+html.String(), "emulator-only") {
		t.Error("a value is printed")
	}
	s.Policy.CustomerKey = true
	if !has(entry(scan(t, s), names["F20"]), "F20") {
		t.Error("F20 is not found")
	}
}

// TestSeverities: what locks clients out, or stops every rotation, is critical.
func TestSeverities(t *testing.T) {
	t.Parallel()
	emu := &awsemu.Emulator{}
	s := account(t, emu)
	names := emu.SeedFleet(now)
	r := scan(t, s)
	for id, want := range map[string]fleet.Severity{
		"F01": fleet.High, "F02": fleet.Critical, "F03": fleet.Critical, "F04": fleet.High, "F05": fleet.High, "F06": fleet.Medium,
		"F07": fleet.High, "F09": fleet.Medium, "F10": fleet.Unknown, "F12": fleet.Critical, "F15": fleet.Critical, "F18": fleet.Critical,
		"F26": "", "F29": fleet.Critical, "F36": fleet.Medium,
	} {
		if e := entry(r, names[id]); e.State != want {
			t.Errorf("%s: %q, want %q (%+v)", id, e.State, want, e.Findings)
		}
	}
	if r.Worst() != fleet.Critical {
		t.Errorf("worst: %s", r.Worst())
	}
	sum := r.Totals.InOrder
	for _, n := range r.Totals.Severity {
		sum += n
	}
	if sum != r.Totals.Secrets || r.Totals.Secrets != len(r.Secrets) {
		t.Errorf("totals: %+v of %d", r.Totals, len(r.Secrets))
	}
}

// TestUnreadableIsNotInOrder: a call that is denied is a finding with the statement to add, and no secret counts as in order
// because of it.
func TestUnreadableIsNotInOrder(t *testing.T) {
	t.Parallel()
	for operation, call := range map[string]string{"ListSecrets": "ListSecrets", "ListSecretVersionIds": "ListSecretVersionIds", "GetPolicy": "GetPolicy", "DescribeKey": "DescribeKey"} {
		emu := &awsemu.Emulator{Fault: func(c awsemu.Call) awsemu.Fault { return awsemu.Fault{Deny: c.Operation == operation} }}
		s := account(t, emu)
		emu.SeedFleet(now)
		r := scan(t, s)
		if len(r.Scope.Unreadable) != 1 || r.Scope.Unreadable[0].Call != call {
			t.Errorf("%s: %+v", operation, r.Scope.Unreadable)
			continue
		}
		if len(r.Findings) != 1 || r.Findings[0].ID != "F34" || !strings.Contains(r.Findings[0].Remedy, call) {
			t.Errorf("%s: %+v", operation, r.Findings)
		}
		if operation == "ListSecrets" && (r.Totals.InOrder != 0 || r.Worst() != fleet.Unknown) {
			t.Errorf("%d in order, worst %q", r.Totals.InOrder, r.Worst())
		}
	}
}

// TestOldNewsIsConfirmed: ListSecrets may be five minutes behind, so that what DescribeSecret no longer shows is no finding.
func TestOldNewsIsConfirmed(t *testing.T) {
	t.Parallel()
	emu := &awsemu.Emulator{}
	s := account(t, emu)
	names := emu.SeedFleet(now)
	emu.Observe = func(c awsemu.Call) {
		if c.Operation == "ListSecrets" { // the rotation ends in this moment
			late := emu.Snapshot(names["F01"])
			late.NextRotation, late.LastRotated = now.Add(7*24*time.Hour), now
			emu.Seed(late)
		}
	}
	if r := scan(t, s); entry(r, names["F01"]).State != "" {
		t.Errorf("still %+v", entry(r, names["F01"]).Findings)
	}
}

// TestCallsAreFew: a page for a hundred secrets, and one call a function, a key and a suspect.
func TestCallsAreFew(t *testing.T) {
	t.Parallel()
	emu := &awsemu.Emulator{}
	s := account(t, emu)
	emu.SeedFleet(now)
	in := emu.Snapshot("fleet/in-order-1")
	for i := range 960 {
		in.Name, in.ARN = fmt.Sprintf("more/%03d", i), ""
		emu.Seed(in)
	}
	s.All = false
	r := scan(t, s)
	if r.Totals.Secrets < 960 || r.Calls["ListSecrets"] != 10 || r.Calls["DescribeSecret"] > 20 || r.Calls["ListSecretVersionIds"] > 5 || r.Calls["DescribeKey"] != 2 {
		t.Errorf("%d secrets: %v", r.Totals.Secrets, r.Calls)
	}
	if len(r.Secrets) > 40 {
		t.Errorf("%d entries are kept", len(r.Secrets))
	}
}

// TestTheJSONIsStable pins the names that others read, and that a former report can be read back.
func TestTheJSONIsStable(t *testing.T) {
	t.Parallel()
	emu := &awsemu.Emulator{}
	s := account(t, emu)
	emu.SeedFleet(now)
	r := scan(t, s)
	var first, second bytes.Buffer
	if err := r.JSON(&first); err != nil {
		t.Fatal(err)
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(first.Bytes(), &members); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"schema", "generated", "scope", "policy", "totals", "secrets", "functions", "keys", "calls"} {
		if members[name] == nil {
			t.Errorf("there is no %s", name)
		}
	}
	back, err := fleet.Read(bytes.NewReader(first.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if err := scan(t, s).JSON(&second); err != nil {
		t.Fatal(err)
	}
	if first.String() != second.String() {
		t.Error("two reports of the same fleet differ")
	}
	s.Since = back
	if c := scan(t, s).Changes; len(c.New) > 0 || len(c.Fixed) > 0 || len(c.Still) == 0 {
		t.Errorf("changes: %+v", c)
	}
	if _, err := fleet.Read(strings.NewReader(`{"schema":"quarterturn.fleet/9"}`)); err == nil {
		t.Error("another schema is read")
	}
}

// TestOthersInputIsEscaped: names and tags are written by others.
func TestOthersInputIsEscaped(t *testing.T) {
	t.Parallel()
	emu := &awsemu.Emulator{}
	s := account(t, emu)
	emu.SeedFleet(now)
	in := emu.Snapshot("fleet/F01")
	in.Name, in.ARN, in.Tags = "evil", "", map[string]string{"quarterturn:accept": "<script>alert(1)</script>"}
	emu.Seed(in)
	var html bytes.Buffer
	if err := scan(t, s).HTML(&html, "<b>me</b>", "v0"); err != nil {
		t.Fatal(err)
	}
	if page := html.String(); strings.Contains(page, "<script") || strings.Contains(page, "<b>me") || !strings.Contains(page, "&lt;script&gt;") {
		t.Error("not escaped")
	}
}

// TestTagsAreJudgedBySettings: by those of the function that rotates the secret, which alone knows what it allows.
func TestTagsAreJudgedBySettings(t *testing.T) {
	t.Parallel()
	emu := &awsemu.Emulator{}
	s := account(t, emu)
	names := emu.SeedFleet(now)
	in := emu.Snapshot(names["F31"])
	seed := func(name, function string, tags map[string]string) {
		in.Name, in.ARN, in.Tags = name, "", tags
		in.RotationLambdaARN = "arn:aws:lambda:us-east-1:123456789012:function:" + function
		emu.Seed(in)
	}
	seed("tags/allowed", "quarterturn-postgres-single-user", map[string]string{"quarterturn:password-length": "20"})
	seed("tags/unknown", "quarterturn-postgres-single-user", map[string]string{"quarterturn:password-lenght": "20"})
	seed("tags/no-effect", "quarterturn-postgres-alternating-users", map[string]string{"quarterturn:password-length": "20"})
	seed("tags/another", "rotate-by-hand", map[string]string{"quarterturn:password-length": "7"})
	r := scan(t, s)
	for name, want := range map[string]fleet.Severity{"tags/allowed": "", "tags/unknown": fleet.High, "tags/no-effect": fleet.Low, "tags/another": ""} {
		got := fleet.Severity("")
		for _, f := range entry(r, name).Findings {
			if f.ID == "F31" {
				got = f.Severity
			}
		}
		if got != want {
			t.Errorf("%s: %q, want %q: %+v", name, got, want, entry(r, name).Findings)
		}
	}
}
