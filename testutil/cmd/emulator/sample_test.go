package main

import (
	"net"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
	"github.com/quarterturn-dev/quarterturn/testutil/localaws"
)

// TestAnnounceSaysWhatToType: the endpoint, the CA file that --here needs, and the function's ARN.
func TestAnnounceSaysWhatToType(t *testing.T) {
	t.Parallel()
	plan := localaws.Config{Functions: []localaws.Function{{Name: prefix + "postgres-single-user",
		Bootstrap: "/bin/true"}}}
	s, err := localaws.Start(plan)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var out strings.Builder
	announce(&out, plan, scene{sample: true, denied: []string{"kms:Decrypt"}}, s,
		&dbserver.Server{Identity: dbserver.Identity{CAFile: "/run/ca.pem"}})
	for _, want := range []string{
		"AWS_ENDPOINT_URL=" + s.URL, "export DATABASE_CA_FILE=/run/ca.pem", "is denied kms:Decrypt",
		"--rotation-lambda-arn " + s.Functions["quarterturn-postgres-single-user"].ARN(),
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s in\n%s", want, out.String())
		}
	}
}

// TestTakenAddress: the error of a second emulator says how to choose another address.
func TestTakenAddress(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	err = run(t.Context(), localaws.Config{Address: taken.Addr().String()}, scene{})
	if err == nil || !strings.Contains(err.Error(), "make emulator ARGS=") || strings.Contains(err.Error(), "stage") {
		t.Error(err)
	}
}

// TestWatchPrintsALine: for a request, for what a function says, however its output is cut; none for metrics and for
// Lambda's own lines.
func TestWatchPrintsALine(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	w := &watch{out: &out}
	w.call(awsemu.Call{Service: "secretsmanager", Operation: "DescribeSecret", Name: "app", Phase: "createSecret"})
	w.call(awsemu.Call{Service: "secretsmanager", Operation: "PutSecretValue", Name: "app",
		Err: "AccessDeniedException"})
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
