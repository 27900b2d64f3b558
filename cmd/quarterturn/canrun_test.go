package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
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
		code      int
	}{
		"it can":         {"retry", []awsemu.Function{rotate}, []string{"recommended action: retry"}, true, exitToDo},
		"it has some":    {"retry", []awsemu.Function{{ARN: rotate.ARN, Reserved: &some}}, []string{"recommended action: retry"}, true, exitToDo},
		"it is stopped":  {"retry", []awsemu.Function{{ARN: rotate.ARN, Reserved: &none}}, []string{"recommended action: investigate", "its reserved concurrency is 0", command}, false, exitToDo},
		"it is gone":     {"retry", nil, []string{"recommended action: investigate", "there is no function " + rotate.ARN, "list-functions"}, false, exitToDo},
		"after a finish": {"stuck", []awsemu.Function{{ARN: rotate.ARN, Reserved: &none}}, []string{"recommended action: finish", "Before the next rotation", command}, false, exitToDo},
		"beside another failure": {"denied", []awsemu.Function{{ARN: rotate.ARN, Reserved: &none}}, []string{"recommended action: investigate",
			"the server says", "Before the next rotation", command}, false, exitToDo},
		"where nothing works": {"wrong", []awsemu.Function{{ARN: rotate.ARN, Reserved: &none}}, []string{"recommended action: reset-password", "Before the next rotation", command}, false, exitToDo},
		"nothing is to do":    {"fine", []awsemu.Function{rotate}, []string{"recommended action: none"}, false, exitFine},
	} {
		s.db.Before = func(_ context.Context, op, user string) error {
			if c.secret == "denied" && op == "rehearse" {
				return fmt.Errorf("%w: the server says no", rotator.KindPrivilege)
			}
			return nil
		}
		s.emu.Functions = c.functions
		secret := strings.Replace(c.secret, "denied", "retry", 1)
		out, errOut, code := s.run("status", secret, "--here")
		if retry := strings.Contains(out, "\n         aws secretsmanager rotate-secret"); retry != c.retry || code != c.code ||
			slices.ContainsFunc(c.says, func(want string) bool { return !strings.Contains(out, want) }) {
			t.Errorf("%s: exit %d, or does not say %q:\n%s%s", name, code, c.says, out, errOut)
		}
	}
}
