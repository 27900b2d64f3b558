package stage_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
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
	w := newWorld(t, plan{db: tlsServer(t, newest()), handler: "postgres-single-user", attempts: 2})
	password := w.role("app", "LOGIN")
	arn := w.seed("app", current(w.document("username", "app", "password", password)))
	w.aws.AWS.Fault = func(c awsemu.Call) awsemu.Fault {
		return awsemu.Fault{Deny: c.Operation == "UpdateSecretVersionStage"}
	}
	before := w.accountState()
	if r := w.rotate(arn); r.Outcome != "RotationFailed" {
		t.Fatalf("the rotation ended with %s", r.Outcome)
	}
	kind, sentence := w.last()
	if kind != "forbidden" || !strings.Contains(sentence, "[S3 denied]") || !strings.Contains(sentence, "secretsmanager:UpdateSecretVersionStage") {
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

// TestThePreflightFindsWhatIsMissing, on every major version: for each broken
// privilege or state its finding and the words to paste, nothing changed by
// looking, and no false alarm before and after.
func TestThePreflightFindsWhatIsMissing(t *testing.T) {
	type fault struct {
		handler         string
		from            int    // major version
		breaks, mends   string // SQL
		id, kind, paste string
	}
	faults := map[string]fault{
		"locked":                  {"postgres-single-user", 0, "ALTER ROLE app NOLOGIN", "ALTER ROLE app LOGIN", "P2", "privilege", `ALTER ROLE "app" LOGIN`},
		"IAM user":                {"postgres-single-user", 0, "GRANT rds_iam TO app", "REVOKE rds_iam FROM app", "P1", "misconfigured", `REVOKE rds_iam FROM "app"`},
		"no slot":                 {"postgres-single-user", 0, "ALTER ROLE app CONNECTION LIMIT 0", "ALTER ROLE app CONNECTION LIMIT -1", "P1", "too many connections", "raise the limit"},
		"no CONNECT":              {"postgres-single-user", 0, "REVOKE CONNECT ON DATABASE postgres FROM PUBLIC", "GRANT CONNECT ON DATABASE postgres TO PUBLIC", "P2", "privilege", `GRANT CONNECT ON DATABASE "postgres" TO "app"`},
		"boss without CREATEROLE": {"postgres-alternating-users", 0, "ALTER ROLE boss NOCREATEROLE", "ALTER ROLE boss CREATEROLE", "P2", "privilege", `ALTER ROLE "boss" CREATEROLE`},
		"upgraded from 15 to 16":  {"postgres-alternating-users", 16, "REVOKE app FROM boss", "GRANT app TO boss WITH ADMIN OPTION", "P2", "privilege", `GRANT "app" TO "boss" WITH ADMIN OPTION`},
		"superuser locked":        {"postgres-alternating-users", 0, "ALTER ROLE boss NOLOGIN", "ALTER ROLE boss LOGIN", "P2", "privilege", `ALTER ROLE "boss" LOGIN`},
		"original locked":         {"postgres-alternating-users", 0, "ALTER ROLE app NOLOGIN", "ALTER ROLE app LOGIN", "P2", "privilege", `ALTER ROLE "app" LOGIN`},
	}
	for _, major := range dbserver.Majors() {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			t.Parallel()
			db := tlsServer(t, major)
			worlds := map[string]*world{}
			arns := map[string]string{}
			var app, boss string
			for _, handler := range []string{"postgres-single-user", "postgres-alternating-users"} {
				w := newWorld(t, plan{db: db, handler: handler})
				if app == "" {
					w.exec("CREATE ROLE rds_iam")
					app, boss = w.role("app", "LOGIN"), w.boss("app").Password
				}
				superuser := w.seed("superuser", current(w.document("username", "boss", "password", boss)))
				arns[handler] = w.seed("app", current(w.document("username", "app", "password", app, "masterarn", superuser)))
				worlds[handler] = w
			}
			tried, named := 0, 0
			for name, f := range faults {
				if f.from > major {
					continue
				}
				w, arn := worlds[f.handler], arns[f.handler]
				if alarms := w.preflight(arn).Blocking(); len(alarms) != 0 {
					t.Fatalf("before %s: a false alarm: %+v", name, alarms)
				}
				w.exec(f.breaks)
				tried++
				secretBefore, accountsBefore := w.aws.AWS.Snapshot(arn), w.accountState()
				found := w.preflight(arn).Blocking()
				if len(found) == 1 && found[0].ID == f.id && string(found[0].Kind) == f.kind && strings.Contains(found[0].Detail, f.paste) {
					named++
				} else {
					t.Errorf("%s: want one finding %s, %s, with %q; got %+v", name, f.id, f.kind, f.paste, found)
				}
				if w.accountState() != accountsBefore || !secretBefore.Equal(w.aws.AWS.Snapshot(arn)) {
					t.Errorf("%s: looking changed something", name)
				}
				w.exec(f.mends)
				if alarms := w.preflight(arn).Blocking(); len(alarms) != 0 {
					t.Errorf("%s, mended: a false alarm: %+v", name, alarms)
				}
			}
			t.Logf("PostgreSQL %d: %d broken, %d named", major, tried, named)
		})
	}
}
