package localaws_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/awsstore"
	"github.com/quarterturn-dev/quarterturn/rotator/fleet"
	"github.com/quarterturn-dev/quarterturn/rotator/iam"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/internal/clients"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// TestRemedies does for each condition of docs/fleet.md what the report prints, in a shell, with the real AWS CLI and the
// real program, and looks again: the condition is gone. Where status says that a rotation is to be finished or discarded,
// what it says is done. Nothing rotates that was not asked to.
// It takes two minutes: some fifty commands, most of them of the AWS CLI, each of which takes a second to start.
func TestRemedies(t *testing.T) {
	tier.Long(t)
	cli := clients.CLI1(t, "../..")
	bin := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "github.com/quarterturn-dev/quarterturn/cmd/quarterturn").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}

	var later atomic.Int64 // how far the emulator's clock is ahead
	now := func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
	emu, db := &awsemu.Emulator{Now: now}, &strategytest.Memory{}
	var url string
	mux := http.NewServeMux()
	mux.Handle("/", emu)
	mux.HandleFunc("POST /2015-03-31/functions/{function}/invocations", func(w http.ResponseWriter, r *http.Request) {
		payload, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		cfg := aws.Config{Region: "us-east-1", BaseEndpoint: &url, Credentials: credentials.NewStaticCredentialsProvider("AKID", "x", "")}
		answer, err := rotator.Rotator{FunctionARN: func(context.Context) string { return r.PathValue("function") }, Store: awsstore.New(cfg, ""), Strategy: strategies.SingleUser{Engine: db}}.HandleJSON(r.Context(), payload)
		if err != nil {
			w.Header().Set("X-Amz-Function-Error", "Unhandled")
			json.NewEncoder(w).Encode(map[string]string{"errorMessage": err.Error(), "errorType": "StepError"})
			return
		}
		json.NewEncoder(w).Encode(answer)
	})
	server := httptest.NewServer(mux)
	url = server.URL
	t.Cleanup(func() { emu.Close(); server.Close() })
	emu.Invoke = awsemu.InvokeURL(url)

	names := emu.SeedFleet(now())
	for id, name := range names {
		memorySecret(emu, db, name, slices.Contains([]string{"F02", "F03"}, id)) // in F04 nothing was set
	}
	crowd(emu)
	key := emu.SeedKey(awsemu.Key{})
	policy := filepath.Join(t.TempDir(), "policy.json")
	const closed = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:root"},"Action":"secretsmanager:GetSecretValue","Resource":"*"}]}`
	if err := os.WriteFile(policy, []byte(closed), 0o600); err != nil {
		t.Fatal(err)
	}
	fill := strings.NewReplacer("FUNCTION", "arn:aws:lambda:us-east-1:123456789012:function:quarterturn-postgres-alternating-users",
		"--kms-key-id KEY", "--kms-key-id "+key, "Value=...", "Value=orders", "file://policy.json", "file://"+policy, "PASSWORD", "emulator-only")

	former := scanFleet(t, url, now, nil)
	for i := range former.Secrets { // as it was a rotation earlier: F27 wants to see it twice
		former.Secrets[i].Rotation.Last = former.Secrets[i].Rotation.Last.Add(-7 * 24 * time.Hour)
		former.Secrets[i].LastAccessed = former.Secrets[i].Rotation.Last
	}
	former.Generated = former.Generated.Add(-7 * 24 * time.Hour)
	shell := aShell(t, cli.Command(t.Context(), url, "AKID"), bin)
	first := scanFleet(t, url, now, former)
	remedies := map[string]fleet.Finding{}
	for id, name := range names {
		if f, ok := finding(first, name, id); ok {
			remedies[id] = f
		}
	}
	for _, f := range first.Findings {
		remedies[f.ID] = f.Finding
	}
	before := map[string]string{}
	for id, name := range names {
		before[id] = emu.Snapshot(name).Holder("AWSCURRENT").ID
	}
	for _, id := range slices.Sorted(maps.Keys(remedies)) {
		if remedies[id].Remedy == "" {
			t.Errorf("%s has no remedy: %s", id, remedies[id].Sentence)
			continue
		}
		if id == "F25" { // its sentence: store its value in a secret without a type
			if out, err := shell("aws secretsmanager create-secret --name fleet/own --secret-string \"$(" +
				"aws secretsmanager get-secret-value --secret-id " + names[id] + " --query SecretString --output text)\""); err != nil {
				t.Errorf("%s: %v\n%s", id, err, out)
			}
		}
		for command := range strings.SplitSeq(fill.Replace(remedies[id].Remedy), " && ") {
			out, err := shell(command)
			if exit, ok := err.(*exec.ExitError); ok && exit.ExitCode() == 1 && strings.HasPrefix(command, "quarterturn status ") {
				text, _ := shell(command + " --format json")
				var d struct{ Action string }
				if err := json.Unmarshal([]byte(text), &d); err != nil {
					t.Fatalf("%s: %v\n%s", id, err, text)
				}
				out, err = shell("quarterturn recover " + strings.Fields(command)[2] + " " + d.Action)
			}
			if err != nil {
				t.Errorf("%s: %s: %v\n%s", id, command, err, out)
			}
		}
		if name := names[id]; name != "" && emu.Snapshot(name).ARN != "" {
			emu.WaitRotation(t.Context(), emu.Snapshot(name).ARN) //nolint:errcheck // most remedies begin none
		}
	}
	for id, name := range names {
		asked := strings.Contains(remedies[id].Remedy, " rotate-secret ") && !strings.Contains(remedies[id].Remedy, "--no-rotate-immediately")
		status := strings.Contains(remedies[id].Remedy, "quarterturn status")
		if now := emu.Snapshot(name).Holder("AWSCURRENT").ID; now != before[id] && !asked && !status && !slices.Contains([]string{"F24", "F29"}, id) {
			t.Errorf("%s: its version was %q and is %q after %s", id, before[id], now, remedies[id].Remedy)
		}
	}

	after := scanFleet(t, url, now, former)
	later.Store(int64(24*time.Hour + time.Minute))
	dayLater := scanFleet(t, url, now, former)
	gone := map[string]bool{"F34": unreadableIsGone(t)}
	for id, remedy := range remedies {
		r := after
		if id == "F28" { // its sentence: versions make room a day later
			r = dayLater
			if _, there := finding(after, names[id], id); !there {
				t.Errorf("%s goes before a day is over", id)
			}
		}
		f, there := finding(r, names[id], id)
		if there {
			t.Errorf("%s is still there after %s: %s", id, remedy.Remedy, f.Sentence)
		}
		gone[id] = !there
	}
	if _, there := finding(after, names["F35"], "F26"); !there {
		t.Error("F26, no longer accepted, is not there again")
	}
	page, err := os.ReadFile("../../docs/fleet.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile(`(?m)^\| (F\d\d(?:, F\d\d)*) \|`).FindAllStringSubmatch(string(page), -1)
	if len(rows) < 30 {
		t.Fatalf("docs/fleet.md has %d rows of conditions", len(rows))
	}
	for _, row := range rows {
		for id := range strings.SplitSeq(row[1], ", ") {
			if !gone[id] {
				t.Errorf("%s: no remedy of it was run and found to help", id)
			}
		}
	}
}

// scanFleet is a report of all conditions of the account.
func scanFleet(t *testing.T, url string, now func() time.Time, former *fleet.Report) *fleet.Report {
	t.Helper()
	cfg := aws.Config{Region: "us-east-1", BaseEndpoint: &url, Credentials: credentials.NewStaticCredentialsProvider("AKID", "x", "")}
	r, err := fleet.Scanner{
		Places: []fleet.Place{{Account: "123456789012", Region: "us-east-1", Config: cfg}}, Deep: true, All: true, Now: now, Since: former,
		Policy: fleet.Policy{CustomerKey: true, Tags: []string{"team"}},
	}.Scan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// finding is one of a secret, or, without a name, of the account.
func finding(r *fleet.Report, name, id string) (fleet.Finding, bool) {
	for _, e := range r.Secrets {
		for _, f := range e.Findings {
			if e.Name == name && f.ID == id {
				return f, true
			}
		}
	}
	for _, f := range r.Findings {
		if name == "" && f.ID == id {
			return f.Finding, true
		}
	}
	return fleet.Finding{}, false
}

// aShell runs lines as a terminal would that has the program in bin, and the AWS CLI under its name.
func aShell(t *testing.T, cli *exec.Cmd, bin string) func(line string) (string, error) {
	t.Helper()
	script := "#!/bin/sh\nexec '" + strings.Join(cli.Args, "' '") + "' \"$@\"\n"
	if err := os.WriteFile(filepath.Join(bin, "aws"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return func(line string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "sh", "-c", line)
		cmd.Env = append(cli.Env, "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
}

// unreadableIsGone: for each call that the reader's role lacks, the statement that the report prints is the one to add.
func unreadableIsGone(t *testing.T) bool {
	t.Helper()
	all := []string{"secretsmanager:ListSecrets", "secretsmanager:DescribeSecret", "secretsmanager:ListSecretVersionIds", "secretsmanager:GetResourcePolicy",
		"lambda:GetFunctionConcurrency", "lambda:GetFunctionConfiguration", "lambda:GetPolicy", "kms:DescribeKey"}
	gone := true
	for _, lacking := range all {
		document := func(statements ...string) iam.NamedPolicy {
			p, err := iam.ParseIdentity(`{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`)
			if err != nil {
				t.Fatalf("%s: %v", lacking, err)
			}
			return iam.NamedPolicy{Name: "reader", Policy: p}
		}
		rest := slices.DeleteFunc(slices.Clone(all), func(a string) bool { return a == lacking })
		granted := `{"Effect":"Allow","Action":["` + strings.Join(rest, `","`) + `"],"Resource":"*"}`
		reader := awsemu.Caller{AccessKey: "AKID", Principal: iam.Principal{ARN: "arn:aws:iam::123456789012:role/" + fleet.ReaderRole}, Identity: []iam.NamedPolicy{document(granted)}}
		emu := &awsemu.Emulator{Callers: []awsemu.Caller{reader}}
		emu.SeedFleet(time.Now())
		server := httptest.NewServer(emu)
		f, there := finding(scanFleet(t, server.URL, time.Now, nil), "", "F34")
		if !there {
			t.Errorf("without %s: no F34", lacking)
		} else {
			reader.Identity = []iam.NamedPolicy{document(granted, f.Remedy)}
			emu.SetCaller(reader)
		}
		if f, there := finding(scanFleet(t, server.URL, time.Now, nil), "", "F34"); there {
			t.Errorf("without %s, and with the statement: %s", lacking, f.Sentence)
			gone = false
		}
		emu.Close()
		server.Close()
	}
	return gone
}

// memorySecret gives the versions of a secret values of an account in the database, whose password is that of AWSCURRENT, or of AWSPENDING.
func memorySecret(emu *awsemu.Emulator, db *strategytest.Memory, name string, pending bool) {
	s := emu.Snapshot(name)
	user := strings.ReplaceAll(name, "/", "_")
	password := ""
	for i := range s.Versions {
		p := fmt.Sprintf("canary-%s-%d-0123456789abcdef", user, i)
		s.Versions[i].Value = awsemu.Text(`{"engine":"memory","host":"` + strategytest.MemoryHost + `","username":"` + user + `","password":"` + p + `"}`)
		label := "AWSCURRENT"
		if pending {
			label = "AWSPENDING"
		}
		if slices.Contains(s.Versions[i].Labels, label) {
			password = p
		}
	}
	emu.Seed(s)
	db.Add(strategytest.Account{Name: user, Password: secret.NewPassword(password)})
}

// crowd is a function with a reserved concurrency of 1, and more secrets than it can rotate in an hour: F32.
func crowd(emu *awsemu.Emulator) {
	one := 1
	function := emu.Functions[0]
	function.ARN, function.Reserved = strings.Replace(function.ARN, "quarterturn-postgres-single-user", "quarterturn-crowded", 1), &one
	emu.Functions = append(emu.Functions, function)
	s := emu.Snapshot("fleet/in-order-1")
	for i := range 361 {
		s.Name, s.ARN, s.RotationLambdaARN = fmt.Sprintf("crowd/%03d", i), "", function.ARN
		emu.Seed(s)
	}
}
