package fleet_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/quarterturn-dev/quarterturn/rotator/fleet"
	"github.com/quarterturn-dev/quarterturn/rotator/iam"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/samtest"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

const (
	audit    = "123456789012" // the account that the report is made in
	orders   = "210987654321"
	roleless = "310987654321"
)

// organization is an emulator with three accounts in use and one that is suspended. The function's role is that of template.yaml,
// and the reader's in the account orders that of deploy/cloudformation/fleet-reader.yaml; the account roleless has none.
func organization(t *testing.T) (*awsemu.Emulator, fleet.Accounts) {
	t.Helper()
	deploy := func(path string, with map[string]string) samtest.Stack {
		template, err := samtest.Read("../../" + path)
		if err != nil {
			t.Fatal(err)
		}
		s, err := template.Deploy(with)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	parse := func(name string, document any, parse func(string) (iam.Policy, error)) iam.NamedPolicy {
		text, ok := document.(string)
		if !ok {
			raw, err := json.Marshal(document)
			if err != nil {
				t.Fatal(err)
			}
			text = string(raw)
		}
		policy, err := parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return iam.NamedPolicy{Name: name, Policy: policy}
	}
	function := deploy("template.yaml", map[string]string{
		"SecretTag": "x", "FleetSchedule": "hourly", "FleetAccounts": "organization",
	})
	role := "arn:aws:iam::" + audit + ":role/fleet"
	caller := awsemu.Caller{
		AccessKey: "AKIDFLEET",
		Principal: iam.Principal{ARN: "arn:aws:sts::" + audit + ":assumed-role/fleet/run", Role: role, Account: audit},
		Context:   iam.Context{"aws:PrincipalOrgID": {"o-abcdefghij"}},
	}
	for name, text := range function.Policies("FleetRole") {
		caller.Identity = append(caller.Identity, parse(name, text, iam.ParseIdentity))
	}
	reader := samtest.Get(deploy("deploy/cloudformation/fleet-reader.yaml", map[string]string{
		"ReaderArn": role, "OrganizationId": "o-abcdefghij", "AWS::AccountId": orders,
	}).Resource("Reader"), "Properties")
	policies := samtest.Get(reader, "Policies").([]any)
	emu := &awsemu.Emulator{
		Account: audit, Callers: []awsemu.Caller{caller},
		Accounts: []awsemu.Account{{ID: audit}, {ID: orders}, {ID: roleless}, {ID: "410987654321", Status: "SUSPENDED"}},
		Roles: []awsemu.Role{{
			ARN:      "arn:aws:iam::" + orders + ":role/" + fleet.ReaderRole,
			Trust:    parse("trust", samtest.Get(reader, "AssumeRolePolicyDocument"), iam.ParseResource),
			Identity: []iam.NamedPolicy{parse("read-descriptions", samtest.Get(policies[0], "PolicyDocument"), iam.ParseIdentity)},
		}},
	}
	server := httptest.NewServer(emu)
	t.Cleanup(func() { emu.Close(); server.Close() })
	return emu, fleet.Accounts{
		All: true, Regions: []string{"us-east-1", "eu-west-1"},
		Config: aws.Config{Region: "us-east-1", BaseEndpoint: &server.URL, Credentials: credentials.NewStaticCredentialsProvider("AKIDFLEET", "x", "")},
	}
}

// TestAcrossAccounts: by the roles as they are deployed, judged by the emulator's policies. What an account without the role has
// cannot be read and is said so, with what to do; nothing is asked of a suspended account; no role can read a value.
func TestAcrossAccounts(t *testing.T) {
	t.Parallel()
	emu, accounts := organization(t)
	names := emu.SeedFleet(time.Now())
	template := emu.Snapshot(names["F02"])
	for _, at := range []struct{ account, region string }{{orders, "us-east-1"}, {orders, "eu-west-1"}, {roleless, "us-east-1"}} {
		s := template
		s.Name, s.ARN, s.Account, s.Region, s.KMSKeyID = "theirs", "", at.account, at.region, ""
		s.RotationLambdaARN = "arn:aws:lambda:" + at.region + ":" + at.account + ":function:quarterturn-gone"
		emu.Seed(s)
	}
	places, err := accounts.Places(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(places) != 6 {
		t.Fatalf("%d places, want three accounts in two Regions", len(places))
	}
	r := scan(t, fleet.Scanner{Places: places})
	found := map[string]string{} // by place
	for _, e := range r.Secrets {
		if e.Name == "theirs" {
			found[e.Account+" "+e.Region] = fmt.Sprint(e.State, has(e, "F02"), has(e, "F12"))
		}
	}
	if want := fmt.Sprint(fleet.Critical, true, true); len(found) != 2 || found[orders+" us-east-1"] != want || found[orders+" eu-west-1"] != want {
		t.Errorf("in the other account: %v", found)
	}
	if len(r.Scope.Unreadable) != 2 {
		t.Errorf("unreadable: %+v", r.Scope.Unreadable)
	}
	for _, u := range r.Scope.Unreadable {
		if u.Account != roleless || u.Call != "AssumeRole" || !strings.Contains(u.Reason, "sts:AssumeRole") {
			t.Errorf("unreadable: %+v", u)
		}
	}
	for _, f := range r.Findings {
		if f.ID == "F34" && (!strings.Contains(f.Sentence, fleet.ReaderRole) || strings.Contains(f.Remedy, "ListSecrets")) {
			t.Errorf("F34 of an account without the role: %+v", f.Finding)
		}
	}
	assumed, keys := 0, map[string]bool{}
	for _, c := range emu.Calls() {
		switch c.Operation {
		case "AssumeRole":
			assumed++
		case "GetSecretValue", "BatchGetSecretValue", "Decrypt":
			t.Errorf("%s was called", c.Operation)
		case "ListSecrets":
			keys[c.Account+" "+c.AccessKey] = true
		}
		if c.Account == "410987654321" {
			t.Errorf("the suspended account was asked: %v", c)
		}
	}
	// One session for an account, whatever its Regions; what is denied is asked once in each.
	if assumed < 2 || assumed > 3 || len(keys) != 2 {
		t.Errorf("%d calls of AssumeRole, and %v list secrets", assumed, keys)
	}
}

// TestAccountsByList: a list needs no Organizations, and the caller's own account no role.
func TestAccountsByList(t *testing.T) {
	t.Parallel()
	emu, accounts := organization(t)
	accounts.All, accounts.IDs, accounts.Regions = false, []string{orders, audit, orders}, nil
	emu.SeedFleet(time.Now())
	places, err := accounts.Places(t.Context())
	if err != nil || len(places) != 2 {
		t.Fatalf("%v, %v", places, err)
	}
	if r := scan(t, fleet.Scanner{Places: places}); len(r.Scope.Unreadable) != 0 || !slices.Equal(r.Scope.Accounts, []string{audit, orders}) {
		t.Errorf("scope: %+v", r.Scope)
	}
	for _, bad := range []string{"12345678901", "x23456789012"} {
		accounts.IDs = []string{bad}
		if _, err := accounts.Places(t.Context()); err == nil {
			t.Errorf("account %q is taken", bad)
		}
	}
}

// TestPlacesAreBounded: no more are looked at together than asked for.
func TestPlacesAreBounded(t *testing.T) {
	t.Parallel()
	emu, s, _ := seeded(t)
	var under, most atomic.Int64
	emu.Fault = func(awsemu.Call) awsemu.Fault {
		n := under.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		return awsemu.Fault{}
	}
	emu.Observe = func(awsemu.Call) { under.Add(-1) }
	one := s.Places[0]
	for range 11 {
		s.Places = append(s.Places, one)
	}
	s.Concurrency = 3
	r := scan(t, s)
	if r.Totals.Secrets%12 != 0 || r.Totals.Secrets == 0 || most.Load() > 3 {
		t.Errorf("%d secrets of 12 places, %d calls at once", r.Totals.Secrets, most.Load())
	}
}

// TestThrottlingIsNotAmplified: a call that is throttled for good is tried five times, and not again for each secret. The report
// says so, and has what the other calls said.
func TestThrottlingIsNotAmplified(t *testing.T) {
	tier.Long(t) // the waits between its attempts take twenty seconds
	t.Parallel()
	emu := &awsemu.Emulator{}
	var asked atomic.Int64
	emu.Fault = func(c awsemu.Call) awsemu.Fault {
		if c.Operation != "DescribeSecret" {
			return awsemu.Fault{}
		}
		asked.Add(1)
		return awsemu.Fault{Throttle: true}
	}
	s := account(t, emu)
	names := emu.SeedFleet(now)
	r := scan(t, s)
	if asked.Load() > 5 {
		t.Errorf("DescribeSecret was tried %d times", asked.Load())
	}
	if len(r.Scope.Unreadable) != 1 || r.Scope.Unreadable[0].Call != "DescribeSecret" || !has(entry(r, names["F02"]), "F02") {
		t.Errorf("unreadable: %+v", r.Scope.Unreadable)
	}
}

// TestFindingsOfAnAccount: a crowd and what could not be read are in every form of the report; the statement that is printed makes
// it readable.
func TestFindingsOfAnAccount(t *testing.T) {
	t.Parallel()
	policy := func(text string) iam.NamedPolicy {
		parsed, err := iam.ParseIdentity(`{"Version":"2012-10-17","Statement":[` + text + `]}`)
		if err != nil {
			t.Fatal(err)
		}
		return iam.NamedPolicy{Name: "p", Policy: parsed}
	}
	caller := awsemu.Caller{
		AccessKey: "AKID", Principal: iam.Principal{ARN: "arn:aws:iam::123456789012:user/reader"},
		Identity: []iam.NamedPolicy{policy(`{"Effect":"Allow","NotAction":"lambda:GetPolicy","Resource":"*"}`)},
	}
	one := 1
	function := "arn:aws:lambda:us-east-1:123456789012:function:quarterturn-crowded"
	emu := &awsemu.Emulator{Callers: []awsemu.Caller{caller}, Functions: []awsemu.Function{{ARN: function, Reserved: &one}}}
	s := account(t, emu)
	emu.SeedFleet(now)
	in := emu.Snapshot("fleet/in-order-1")
	for i := range 361 {
		in.Name, in.ARN, in.RotationLambdaARN = fmt.Sprintf("crowd/%03d", i), "", function
		emu.Seed(in)
	}
	r := scan(t, s)
	var text, whole, lines, html bytes.Buffer
	for _, err := range []error{r.Text(&text), r.JSON(&whole), r.JSONLines(&lines), r.HTML(&html, "test", "v0")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for form, page := range map[string]string{"text": text.String(), "json": whole.String(), "jsonl": lines.String(), "html": html.String()} {
		for _, id := range []string{"F32", "F34"} {
			if !strings.Contains(page, id) || !strings.Contains(page, "lambda:GetPolicy") || !strings.Contains(page, "delete-function-concurrency") {
				t.Errorf("%s or its remedy is not in the %s", id, form)
			}
		}
	}
	for _, f := range r.Findings {
		if f.ID == "F34" {
			caller.Identity = append(caller.Identity, policy(f.Remedy))
		}
	}
	emu.SetCaller(caller)
	if after := scan(t, s); len(after.Scope.Unreadable) != 0 {
		t.Errorf("with the statements of the remedies: %+v", after.Scope.Unreadable)
	}
}
