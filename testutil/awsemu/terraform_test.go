package awsemu_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/internal/clients"
)

// TestTerraform: HashiCorp's provider makes a secret with its value, policy, replica and rotation, finds nothing to change
// afterwards, changes it, and removes it; of an operation that is not there it says so.
// It takes more than twenty seconds: the provider takes some to start, in each of seven runs.
func TestTerraform(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config, err := os.ReadFile("testdata/terraform/main.tf")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "main.tf"), config, 0o644); err != nil {
		t.Fatal(err)
	}
	terraform := clients.Terraform(t, dir)
	w := rotating(t, &awsemu.Emulator{}, &function{})
	run := func(args ...string) (string, error) {
		if args[0] != "output" && args[0] != "state" {
			args = append(slices.Insert(args, 1, "-input=false"), "-var", "function="+functionARN)
		}
		out, err := terraform.Command(t.Context(), w.url, "AKIDTERRAFORM", args...).CombinedOutput()
		return string(out), err
	}
	must := func(args ...string) string {
		t.Helper()
		out, err := run(args...)
		if err != nil {
			t.Fatalf("terraform %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return out
	}
	// settled: a plan that changes something exits with 2.
	settled := func(args ...string) {
		t.Helper()
		out, err := run(append([]string{"plan", "-detailed-exitcode"}, args...)...)
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.ExitCode() == 2 {
			t.Errorf("there is something left to change:\n%s", out)
		} else if err != nil {
			t.Errorf("terraform plan: %v\n%s", err, out)
		}
	}

	must("apply", "-auto-approve")
	w.wait()
	settled()
	var outputs map[string]struct{ Value any }
	if err := json.Unmarshal([]byte(must("output", "-json")), &outputs); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%v %v %v", outputs["read"].Value, outputs["length"].Value, outputs["found"].Value); got != "first 40 [app/db]" {
		t.Errorf("outputs: %s", got)
	}
	s := w.emu.Snapshot("app/db")
	if s.RotationEnabled == nil || !*s.RotationEnabled || s.Rules.AutomaticallyAfterDays != 30 || len(s.Versions) != 1 || s.Tags["team"] != "payments" {
		t.Errorf("after apply: rotation %v %+v, %d versions, tags %v", s.RotationEnabled, s.Rules, len(s.Versions), s.Tags)
	}

	changed := []string{"-var", "description=two", "-var", "value=second", "-var", "days=7"}
	must(append([]string{"apply", "-auto-approve"}, changed...)...)
	w.wait()
	settled(changed...)
	if s = w.emu.Snapshot("app/db"); s.Description != "two" || s.Rules.AutomaticallyAfterDays != 7 || string(s.Holder("AWSCURRENT").Value.Reveal()) != "second" {
		t.Errorf("after a change: %q, %+v", s.Description, s.Rules)
	}

	out, err := run(append([]string{"apply", "-auto-approve", "-var", "key=true"}, changed...)...)
	if err == nil || !strings.Contains(out, "UnknownOperationException") || strings.Contains(out, "StatusCode: 500") {
		t.Errorf("an operation that is not there: %v\n%s", err, out)
	}
	must("state", "rm", "aws_kms_key.app[0]") // it was made, and cannot be read whole
	must(append([]string{"destroy", "-auto-approve"}, changed...)...)
	if s := w.emu.Snapshot("app/db"); s.Name != "" {
		t.Errorf("%s is left", s.Name)
	}
	for _, c := range w.emu.Calls() {
		if c.AccessKey == "AKIDTERRAFORM" && c.Err == "InternalServiceError" {
			t.Errorf("%s: %s", c.Operation, c.Err)
		}
	}
}
