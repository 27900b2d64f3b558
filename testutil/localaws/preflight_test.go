package localaws_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// preflight asks the function for a report, as a person would.
func (w *world) preflight(arn string) rotator.Report {
	w.t.Helper()
	r, err := w.aws.Functions[w.name].Invoke(w.t.Context(), []byte(`{"Step":"preflight","SecretId":"`+arn+`"}`))
	if err != nil || r.FunctionError != "" {
		w.t.Fatalf("preflight: %v %s %s", err, r.ErrorType, r.ErrorMessage)
	}
	var report rotator.Report
	if err := json.Unmarshal(r.Payload, &report); err != nil || len(report.Findings) == 0 {
		w.t.Fatalf("not a report: %v", err)
	}
	return report
}

// TestLosingUpdateSecretVersionStageChangesNothing: with AWS's templates this locks
// clients out, for the permission is first used when the password has changed.
func TestLosingUpdateSecretVersionStageChangesNothing(t *testing.T) {
	tier.Test(t)
	w := newWorld(t, plan{db: tlsServer(t, newest()), handler: "postgres-single-user", attempts: 2})
	password := w.role("app")
	arn := w.seed("app", current(w.document("username", "app", "password", password)))
	w.aws.AWS.Fault = func(c awsemu.Call) awsemu.Fault {
		return awsemu.Fault{Deny: c.Operation == "UpdateSecretVersionStage"}
	}
	before := w.accountState()
	if r := w.rotate(arn); r.Outcome != "RotationFailed" {
		t.Fatalf("the rotation ended with %s", r.Outcome)
	}
	kind, sentence := w.last()
	if kind != "access denied" || !strings.Contains(sentence, "[S8 denied]") || !strings.Contains(sentence, "secretsmanager:UpdateSecretVersionStage") {
		t.Errorf("%s: %s", kind, sentence)
	}
	after := w.aws.AWS.Snapshot(arn)
	if w.accountState() != before || !w.accepts(account{Username: "app", Password: password}) {
		t.Error("the account has changed")
	}
	if !after.Holder("AWSPENDING").Value.Empty() || after.Holder("AWSCURRENT").ID != after.Versions[0].ID {
		t.Error("the secret has changed")
	}
	// With the permission back, the same rotation goes through.
	w.aws.AWS.Fault = nil
	w.sdk.RotateSecret(t.Context(), rotateNow(arn)) // refused, for the first is taken up again
	if r := w.wait(arn); r.Outcome != "RotationSucceeded" || !w.accepts(w.holder(arn, "AWSCURRENT")) {
		t.Errorf("afterwards: %s: %s", r.Outcome, r.Message)
	}
}
