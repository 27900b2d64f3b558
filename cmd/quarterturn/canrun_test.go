package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
)

// TestNoRetryWhereTheFunctionCannotRun: from this machine, status looks at the function before it recommends to have it
// run, and prints the command that lets it.
func TestNoRetryWhereTheFunctionCannotRun(t *testing.T) {
	s := newStage(t)
	none, some := 0, 3
	rotate := s.emu.Functions[0]
	command := "\n         aws lambda delete-function-concurrency --function-name " + rotate.ARN + "\n"
	for name, c := range map[string]struct {
		secret    string
		functions []awsemu.Function
		says      []string
		retry     bool
	}{
		"it can":         {"retry", []awsemu.Function{rotate}, []string{"recommended action: retry"}, true},
		"it has some":    {"retry", []awsemu.Function{{ARN: rotate.ARN, Reserved: &some}}, []string{"recommended action: retry"}, true},
		"it is stopped":  {"retry", []awsemu.Function{{ARN: rotate.ARN, Reserved: &none}}, []string{"recommended action: investigate", "its reserved concurrency is 0", command}, false},
		"it is gone":     {"retry", nil, []string{"recommended action: investigate", "there is no function " + rotate.ARN, "list-functions"}, false},
		"after a finish": {"stuck", []awsemu.Function{{ARN: rotate.ARN, Reserved: &none}}, []string{"recommended action: finish", "Before the next rotation", command}, false},
	} {
		s.emu.Functions = c.functions
		out, errOut, _ := s.run("status", c.secret, "--here")
		if retry := strings.Contains(out, "\n         aws secretsmanager rotate-secret"); retry != c.retry ||
			slices.ContainsFunc(c.says, func(want string) bool { return !strings.Contains(out, want) }) {
			t.Errorf("%s: does not say %q:\n%s%s", name, c.says, out, errOut)
		}
	}
}
