package localaws_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/awsstore"
	"github.com/quarterturn-dev/quarterturn/rotator/fleet"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/internal/clients"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// looked are conditions whose remedy only shows what is wrong, or which have none: nothing that could be typed would be right everywhere.
var looked = []string{"F10", "F11", "F14", "F17", "F22", "F24", "F25", "F27", "F28", "F29", "F35"}

// TestRemedies runs the remedy of each condition as the report prints it, by the real AWS CLI and the real program, and looks
// again: the condition is gone. Where status says that a rotation is to be finished or discarded, what it says is done.
// It takes a minute: some thirty commands of the AWS CLI, each of which takes a second to start.
func TestRemedies(t *testing.T) {
	tier.Long(t)
	cli := clients.CLI1(t, "../..")
	program := filepath.Join(t.TempDir(), "quarterturn")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "github.com/quarterturn-dev/quarterturn/cmd/quarterturn").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}

	emu, db := &awsemu.Emulator{}, &strategytest.Memory{}
	var url string
	mux := http.NewServeMux()
	mux.Handle("/", emu)
	mux.HandleFunc("POST /2015-03-31/functions/{function}/invocations", func(w http.ResponseWriter, r *http.Request) {
		payload, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		cfg := aws.Config{Region: "us-east-1", BaseEndpoint: &url, Credentials: credentials.NewStaticCredentialsProvider("AKID", "x", "")}
		answer, err := rotator.Rotator{Store: awsstore.New(cfg, ""), Strategy: strategies.SingleUser{Engine: db}}.HandleJSON(r.Context(), payload)
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

	names := emu.SeedFleet(time.Now())
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
		"--kms-key-id KEY", "--kms-key-id "+key, "Value=...", "Value=orders", "file://policy.json", "file://"+policy)

	scan := func() *fleet.Report {
		t.Helper()
		cfg := aws.Config{Region: "us-east-1", BaseEndpoint: &url, Credentials: credentials.NewStaticCredentialsProvider("AKID", "x", "")}
		r, err := fleet.Scanner{
			Places: []fleet.Place{{Account: "123456789012", Region: "us-east-1", Config: cfg}}, Deep: true, All: true,
			Policy: fleet.Policy{CustomerKey: true, Tags: []string{"team"}},
		}.Scan(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	run := func(words ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), program, words[1:]...)
		environment := cli.Command(t.Context(), url, "AKID")
		if cmd.Env = environment.Env; words[0] == "aws" {
			cmd = cli.Command(t.Context(), url, "AKID", words[1:]...)
		}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	first := scan()
	remedies := map[string]fleet.Finding{}
	for id, name := range names {
		for _, e := range first.Secrets {
			for _, f := range e.Findings {
				if e.Name == name && f.ID == id {
					remedies[id] = f
				}
			}
		}
	}
	for _, f := range first.Findings {
		remedies[f.ID] = f.Finding
	}
	if remedies["F32"].Remedy == "" {
		t.Errorf("no crowd: %+v", first.Findings)
	}
	for _, id := range slices.Sorted(maps.Keys(remedies)) {
		if slices.Contains(looked, id) {
			if r := remedies[id].Remedy; r != "" && id != "F28" && id != "F29" {
				t.Errorf("%s has a remedy, which nothing runs: %s", id, r)
			}
			continue
		}
		remedy := remedies[id].Remedy
		if remedy == "" {
			t.Errorf("%s has no remedy", id)
			continue
		}
		for command := range strings.SplitSeq(fill.Replace(remedy), " && ") {
			words := strings.Fields(command)
			out, err := run(words...)
			if exit, ok := err.(*exec.ExitError); ok && exit.ExitCode() == 1 && words[0] == "quarterturn" && words[1] == "status" {
				text, _ := run(append(words, "--format", "json")...)
				var d struct{ Action string }
				if err := json.Unmarshal([]byte(text), &d); err != nil {
					t.Fatalf("%s: %v\n%s", id, err, text)
				}
				out, err = run("quarterturn", "recover", words[2], d.Action)
			}
			if err != nil {
				t.Errorf("%s: %s: %v\n%s", id, command, err, out)
			}
		}
		if name := names[id]; name != "" {
			emu.WaitRotation(t.Context(), emu.Snapshot(name).ARN) //nolint:errcheck // most remedies begin none
		}
	}
	after := scan()
	for id, remedy := range remedies {
		if slices.Contains(looked, id) {
			continue
		}
		for _, e := range after.Secrets {
			for _, f := range e.Findings {
				if e.Name == names[id] && f.ID == id {
					t.Errorf("%s is still there after %s: %s", id, remedy.Remedy, f.Sentence)
				}
			}
		}
		for _, f := range after.Findings {
			if f.ID == id {
				t.Errorf("%s is still there after %s: %s", id, remedy.Remedy, f.Sentence)
			}
		}
	}
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
