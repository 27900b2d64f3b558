package main

import (
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
)

// TestWatchPrintsALine: for a request, for what a function says, however its output is cut; none for metrics and for
// Lambda's own lines.
func TestWatchPrintsALine(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	w := &watch{out: &out}
	w.call(awsemu.Call{Service: "secretsmanager", Operation: "DescribeSecret", Name: "app", Phase: "createSecret"})
	w.call(awsemu.Call{Service: "secretsmanager", Operation: "PutSecretValue", Name: "app", Err: "AccessDeniedException"})
	for _, piece := range []string{
		"START RequestId: 1\n{\"level\":\"INFO\",\"mess", "age\":\"createSecret done\"}\n",
		`{"_aws":{"Timestamp":1},"Duration":3}` + "\n",
		`{"level":"ERROR","message":"setSecret failed","error":"setSecret of app: conflict"}` + "\n",
		"panic: no JSON\nEND RequestId: 1\nREPORT RequestId: 1\tDuration: 3.10 ms\n",
	} {
		if n, err := w.Write([]byte(piece)); n != len(piece) || err != nil {
			t.Fatal(n, err)
		}
	}
	const want = `createSecret: app DescribeSecret
app PutSecretValue: AccessDeniedException
function: createSecret done
function: ERROR setSecret of app: conflict
function: panic: no JSON
`
	if out.String() != want {
		t.Errorf("got\n%s", out.String())
	}
}
