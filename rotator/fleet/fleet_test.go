package fleet_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
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

// seeded is an account with a secret for each finding: names is by the id of the finding.
func seeded(t *testing.T) (emu *awsemu.Emulator, s fleet.Scanner, names map[string]string) {
	t.Helper()
	emu = &awsemu.Emulator{}
	s = account(t, emu)
	return emu, s, emu.SeedFleet(now)
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
	emu, s, names := seeded(t)
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
		for _, f := range e.Findings {
			if f.ID == id && !strings.Contains(html.String(), template.HTMLEscapeString(f.Sentence)) {
				t.Errorf("the page does not say what %s is: %s", id, f.Sentence)
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
	_, s, names := seeded(t)
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
	if !r.Reaches(fleet.Critical) {
		t.Error("nothing is critical")
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
		names := emu.SeedFleet(now)
		r := scan(t, s)
		if len(r.Scope.Unreadable) != 1 || r.Scope.Unreadable[0].Call != call {
			t.Errorf("%s: %+v", operation, r.Scope.Unreadable)
			continue
		}
		if len(r.Findings) != 1 || r.Findings[0].ID != "F34" || !strings.Contains(r.Findings[0].Remedy, call) {
			t.Errorf("%s: %+v", operation, r.Findings)
		}
		for id, by := range map[string]string{"F18": "DescribeKey", "F16": "GetPolicy"} {
			if e := entry(r, names[id]); by == operation && e.State != fleet.Unknown {
				t.Errorf("%s: %s is %q", operation, e.Name, e.State)
			}
		}
		if operation == "GetPolicy" && r.Totals.InOrder > 4 { // those without a function of this account
			t.Errorf("%d in order, and GetPolicy was denied", r.Totals.InOrder)
		}
		if operation == "ListSecrets" && (r.Totals.InOrder != 0 || r.Reaches(fleet.Information)) {
			t.Errorf("%d in order, and what is unknown has a severity: %+v", r.Totals.InOrder, r.Findings)
		}
	}
}

// TestOldNewsIsConfirmed: ListSecrets may be five minutes behind, so that what DescribeSecret no longer shows is no finding.
func TestOldNewsIsConfirmed(t *testing.T) {
	t.Parallel()
	emu, s, names := seeded(t)
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
	emu, s, _ := seeded(t)
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

// TestLowFindingsCount: a limit of low is reached by what is low, whatever else is unknown or in order.
func TestLowFindingsCount(t *testing.T) {
	t.Parallel()
	_, s, names := seeded(t)
	all := scan(t, s)
	for ids, want := range map[string]bool{"F26": true, "F26 F10": true, "F10": false, "F22": false} {
		r := &fleet.Report{}
		for id := range strings.FieldsSeq(ids) {
			r.Secrets = append(r.Secrets, entry(all, names[id]))
		}
		if got := r.Reaches(fleet.Low); got != want {
			t.Errorf("%s: %v", ids, got)
		}
	}
}

// TestChanges: what is new and what is fixed, of any severity; and what was not looked for again, or could not be read, is
// not fixed.
func TestChanges(t *testing.T) {
	t.Parallel()
	emu, s, names := seeded(t)
	arn := func(id string) string { return emu.Snapshot(names[id]).ARN }
	s.Deep = true
	s.Since = scan(t, s)
	change := func(id string, to func(*awsemu.Secret)) {
		in := emu.Snapshot(names[id])
		to(&in)
		emu.Seed(in)
	}
	change("F11", func(in *awsemu.Secret) { in.RotationLambdaARN = emu.Snapshot("fleet/in-order-1").RotationLambdaARN })
	change("F26", func(in *awsemu.Secret) { in.Tags["quarterturn:accept"] = "F26.until-2027-01-31" })
	change("F22", func(in *awsemu.Secret) { in.LastAccessed = now.Add(-200 * 24 * time.Hour); in.PrimaryRegion = "" })
	s.Deep = false
	emu.Fault = func(c awsemu.Call) awsemu.Fault { return awsemu.Fault{Deny: c.Operation == "DescribeKey"} }
	r := scan(t, s)
	if want := []string{"123456789012 us-east-1 F34 DescribeKey", arn("F22") + " F26", arn("F26") + " F35"}; !slices.Equal(r.Changes.New, want) {
		t.Errorf("new: %q, want %q", r.Changes.New, want)
	}
	if want := []string{arn("F11") + " F11", arn("F22") + " F22"}; !slices.Equal(r.Changes.Fixed, want) {
		t.Errorf("fixed: %q, want %q", r.Changes.Fixed, want)
	}
	if want := []string{arn("F18") + " F18", arn("F19") + " F19", arn("F21") + " F21", arn("F28") + " F28", arn("F33") + " F33"}; !slices.Equal(r.Changes.NotRead, want) {
		t.Errorf("not read: %q, want %q", r.Changes.NotRead, want)
	}
	var text, page bytes.Buffer
	if err := errors.Join(r.Text(&text), r.HTML(&page, "test", "v0")); err != nil {
		t.Fatal(err)
	}
	line := fmt.Sprintf("3 new, 2 fixed, %d still there, 5 not looked for, or not readable", len(r.Changes.Still))
	if !strings.Contains(text.String(), line) || !strings.Contains(page.String(), line) || !strings.Contains(text.String(), "fixed  "+arn("F11")+" F11") {
		t.Errorf("the changes are not told: %s", text.String())
	}
	s.Places[0].Region = "eu-west-1" // of which the former report says nothing
	if c := scan(t, s).Changes; len(c.Fixed) > 0 {
		t.Errorf("fixed elsewhere: %q", c.Fixed)
	}
}

// TestReadByItsRotationOnly: LastAccessedDate is a day. Only a day without a read shows that no client reads.
func TestReadByItsRotationOnly(t *testing.T) {
	t.Parallel()
	day := 24 * time.Hour
	rotated := now.Add(-3 * day)
	for name, c := range map[string]struct {
		rotated, accessed, reported, before time.Time
		want                                bool
	}{
		"twice, and no read in between":       {rotated, rotated.Truncate(day), rotated.Add(-2 * day), rotated.Add(-7 * day), true},
		"read since":                          {rotated, now.Truncate(day), rotated.Add(-2 * day), rotated.Add(-7 * day), false},
		"rotated today":                       {now.Add(-time.Hour), now.Truncate(day), rotated.Add(-2 * day), rotated.Add(-7 * day), false},
		"the former report on the day itself": {rotated, rotated.Truncate(day), rotated.Add(-7 * day), rotated.Add(-7 * day), false},
		"read by a client before that report": {rotated, rotated.Truncate(day), rotated.Add(-2 * day), rotated.Add(-10 * day), false},
		"not rotated since the former report": {rotated, rotated.Truncate(day), now.Add(-day), rotated, false},
	} {
		emu, s, _ := seeded(t)
		in := emu.Snapshot("fleet/in-order-1")
		in.LastRotated, in.LastAccessed = c.rotated, c.accessed
		emu.Seed(in)
		former := scan(t, s)
		former.Generated = c.reported
		for i := range former.Secrets {
			former.Secrets[i].Rotation.Last, former.Secrets[i].LastAccessed = c.before, c.before.Truncate(day)
			if name == "read by a client before that report" {
				former.Secrets[i].LastAccessed = c.before.Add(3 * day).Truncate(day)
			}
		}
		s.Since = former
		if got := has(entry(scan(t, s), "fleet/in-order-1"), "F27"); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestRemediesOfRDS: a secret that RDS manages can be rotated by RDS alone; the tag says which database it is.
func TestRemediesOfRDS(t *testing.T) {
	t.Parallel()
	emu, s, names := seeded(t)
	for _, id := range []string{"F01", "F02", "F03", "F05", "F08"} {
		for tag, want := range map[string]string{
			"aws:rds:primaryDBInstanceArn": "aws rds modify-db-instance --region us-east-1 --db-instance-identifier orders --rotate-master-user-password --apply-immediately",
			"aws:rds:primaryDBClusterArn":  "aws rds modify-db-cluster --region us-east-1 --db-cluster-identifier orders --rotate-master-user-password --apply-immediately",
		} {
			in := emu.Snapshot(names[id])
			in.OwningService, in.RotationLambdaARN = "rds", ""
			in.Tags = map[string]string{tag: "arn:aws:rds:us-east-1:123456789012:db:orders"}
			emu.Seed(in)
			e := entry(scan(t, s), names[id])
			i := slices.IndexFunc(e.Findings, func(f fleet.Finding) bool { return f.ID == id })
			if i < 0 || e.Findings[i].Remedy != want {
				t.Errorf("%s: %+v", id, e.Findings)
			}
		}
	}
}

// TestTheJSONIsStable pins the names that others read, and that a former report can be read back.
func TestTheJSONIsStable(t *testing.T) {
	t.Parallel()
	_, s, _ := seeded(t)
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
	emu, s, _ := seeded(t)
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
	emu, s, names := seeded(t)
	in := emu.Snapshot(names["F31"])
	seed := func(name, function string, tags map[string]string) {
		in.Name, in.ARN, in.Tags = name, "", tags
		in.RotationLambdaARN = "arn:aws:lambda:us-east-1:123456789012:function:" + function
		emu.Seed(in)
	}
	seed("tags/allowed", "quarterturn-postgres-single-user", map[string]string{"quarterturn:password-length": "20"})
	seed("tags/unknown", "quarterturn-postgres-single-user", map[string]string{"quarterturn:password-lenght": "20"})
	seed("tags/no-effect", "quarterturn-postgres-alternating-users", map[string]string{"quarterturn:password-length": "20"})
	seed("tags/hostile", "quarterturn-postgres-single-user", map[string]string{"quarterturn:$(id)": "1", "quarterturn:a b": "1",
		"quarterturn:\n\x1b[2J": "1"})
	seed("tags/another", "rotate-by-hand", map[string]string{"quarterturn:password-length": "7"})
	r := scan(t, s)
	for name, want := range map[string]fleet.Severity{"tags/allowed": "", "tags/unknown": fleet.High, "tags/no-effect": fleet.Low, "tags/another": "",
		"tags/hostile": fleet.High} {
		got := fleet.Severity("")
		for _, f := range entry(r, name).Findings {
			if f.ID != "F31" {
				continue
			}
			got = f.Severity
			if strings.ContainsAny(f.Sentence+f.Remedy, "\n\x1b") || name == "tags/hostile" &&
				!strings.HasSuffix(f.Remedy, `--tag-keys 'quarterturn:\n\x1b[2J' 'quarterturn:$(id)' 'quarterturn:a b'`) {
				t.Errorf("whoever tags a secret may not choose what is run: %s", f.Remedy)
			}
		}
		if got != want {
			t.Errorf("%s: %q, want %q: %+v", name, got, want, entry(r, name).Findings)
		}
	}
}
