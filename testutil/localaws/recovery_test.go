package localaws_test

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/internal/clients"
	"github.com/quarterturn-dev/quarterturn/testutil/lambdahost"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// diagnose has the function say how a secret stands, or recover it.
func (w *world) diagnose(arn, action string) rotator.Diagnosis {
	w.t.Helper()
	r, err := w.aws.Functions[w.name].Invoke(w.t.Context(), []byte(`{"Step":"recover","SecretId":"`+arn+`","Action":"`+action+`"}`))
	if err != nil || r.FunctionError != "" {
		w.t.Fatalf("recover: %v %s %s", err, r.ErrorType, r.ErrorMessage)
	}
	var d rotator.Diagnosis
	if err := json.Unmarshal(r.Payload, &d); err != nil || d.Action == "" {
		w.t.Fatalf("not a diagnosis: %v", err)
	}
	return d
}

// run runs a command of a person at this stage, and gives what it printed.
func (w *world) run(name string, args ...string) (string, error) {
	cmd := exec.CommandContext(w.t.Context(), name, args...)
	cmd.Env = append(os.Environ(), "AWS_ENDPOINT_URL="+w.aws.URL, "AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1", "AWS_ACCESS_KEY_ID=AKID", "AWS_SECRET_ACCESS_KEY=x",
		"AWS_CONFIG_FILE="+filepath.Join(w.t.TempDir(), "none"), "DATABASE_CA_FILE="+w.db.caFile())
	out, err := cmd.CombinedOutput()
	w.out.Write(out) // to be searched for passwords
	return string(out), err
}

// exitCode is how a command ended; 0 also where it did not.
func exitCode(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return 0
}

// withAWSCLI is the way to recover that needs the AWS CLI.
const withAWSCLI = "with the AWS CLI"

// TestAKilledRotationIsRecovered: the real function is killed when it has changed
// the real password and has not moved AWSCURRENT; then rotation is cancelled, after
// which every RotateSecret is refused. Whichever way it is recovered (by the
// function, by the command, or with the AWS CLI command that is printed), AWSCURRENT
// works, and a plain rotation goes through.
func TestAKilledRotationIsRecovered(t *testing.T) {
	tier.NotInCheck(t)
	command := filepath.Join(t.TempDir(), "quarterturn")
	if err := lambdahost.Build(t.Context(), "github.com/quarterturn-dev/quarterturn/cmd/quarterturn", command); err != nil {
		t.Fatal(err)
	}
	finish := map[string]func(w *world, arn string, d rotator.Diagnosis){
		"by the function": func(w *world, arn string, _ rotator.Diagnosis) {
			if d := w.diagnose(arn, "finish"); d.MovedLabel == "" || d.Action != rotator.ActionNone {
				w.t.Errorf("after it: %+v", d)
			}
		},
		"by the command": func(w *world, arn string, _ rotator.Diagnosis) {
			strategy := strings.TrimSuffix(strings.TrimPrefix(w.name, "postgres-"), "-user")
			strategy = strings.TrimSuffix(strategy, "-users")
			if out, err := w.run(command, "status", "app", "--here", "--strategy", strategy); exitCode(err) != 1 || !strings.Contains(out, "recommended action: finish") {
				w.t.Errorf("the command says: %v\n%s", err, out)
			}
			if out, err := w.run(command, "recover", "app", "finish", "--here", "--strategy", strategy); err != nil || !strings.Contains(out, "moved AWSCURRENT") {
				w.t.Errorf("the command says: %v\n%s", err, out)
			}
		},
		withAWSCLI: func(w *world, arn string, d rotator.Diagnosis) {
			args, ok := strings.CutPrefix(d.Commands[0], "aws ")
			out, err := clients.CLI1(w.t, "../..").Command(w.t.Context(), w.aws.URL, "AKID", strings.Fields(args)...).CombinedOutput()
			if w.out.Write(out); !ok || err != nil {
				w.t.Errorf("%s: %v\n%s", d.Commands[0], err, out)
			}
		},
	}
	for _, handler := range []string{"postgres-single-user", "postgres-alternating-users"} {
		for name, mend := range finish {
			t.Run(handler+" "+name, func(t *testing.T) {
				if name == withAWSCLI {
					tier.Long(t)
				} else {
					tier.Test(t)
				}
				t.Parallel()
				w := newWorld(t, plan{db: tlsServer(t, newest()), handler: handler, attempts: 1})
				password := w.user(w.db.app)
				boss := w.boss()
				superuser := w.seed("superuser", current(w.document("username", boss.Username, "password", boss.Password)))
				arn := w.seed("app", current(w.document("username", "app", "password", password, "masterarn", superuser)))

				w.aws.AWS.Fault = func(c awsemu.Call) awsemu.Fault {
					if c.Phase == "finishSecret" {
						return awsemu.Fault{Before: w.aws.Functions[w.name].Kill, Hang: true}
					}
					return awsemu.Fault{}
				}
				if r := w.rotate(arn); r.Outcome != "RotationFailed" || !w.accepts(w.holder(arn, "AWSPENDING")) {
					t.Fatalf("the rotation was not killed where it was to be: %s", r.Outcome)
				}
				w.aws.AWS.Fault = nil
				if _, err := w.sdk.CancelRotateSecret(t.Context(), &secretsmanager.CancelRotateSecretInput{SecretId: &arn}); err != nil {
					t.Fatal(err)
				}
				if _, err := w.sdk.RotateSecret(t.Context(), rotateNow(arn)); err == nil {
					t.Fatal("RotateSecret was accepted, so nothing was stuck")
				}
				w.wait(arn)

				logins := w.logins()
				d := w.diagnose(arn, "")
				most := 2
				if d.Versions[0].State == rotator.CredentialWorks { // one more looks whether clients can work with it, and one at the other of a pair
					most = 4
				}
				if n := w.logins() - logins; n > most {
					t.Errorf("the diagnosis logged in %d times", n)
				}
				if d.Action != rotator.ActionFinish || d.Versions[1].State != rotator.CredentialWorks || d.Rotation != "off" {
					t.Fatalf("%+v", d)
				}
				if rejected := d.Versions[0].State == rotator.CredentialRejected; rejected != (handler == "postgres-single-user") {
					t.Errorf("AWSCURRENT %s", d.Versions[0].State)
				}
				mend(w, arn, d)
				if !w.accepts(w.holder(arn, "AWSCURRENT")) {
					t.Fatal("AWSCURRENT is refused")
				}
				if r := w.rotate(arn); r.Outcome != "RotationSucceeded" || !w.accepts(w.holder(arn, "AWSCURRENT")) {
					t.Errorf("the next rotation: %s: %s", r.Outcome, r.Message)
				}
			})
		}
	}
}

// TestAPreviousValueThatIsNoDocument: a person stores a value that is no credentials, and status has it moved back, to
// AWSPREVIOUS. The next rotation goes on where the server shows the pair. Elsewhere that value proves no pair, and the line
// that the refusal has does.
func TestAPreviousValueThatIsNoDocument(t *testing.T) {
	tier.NotInCheck(t)
	servers := maps.Clone(newestServers)
	servers["Valkey"] = newValkey
	for engine, open := range servers {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, plan{db: open(t), attempts: 1, handler: map[string]string{"PostgreSQL": "postgres", "MySQL": "mysql",
				"MariaDB": "mariadb", "Valkey": "valkey"}[engine] + "-alternating-users"})
			password, boss := w.user(w.db.app), w.boss()
			superuser := w.seed("superuser")
			vouching := func(more ...any) {
				value := w.document(append([]any{"username", boss.Username, "password", boss.Password}, more...)...)
				w.aws.AWS.Seed(awsemu.Secret{Name: "superuser", ARN: superuser, Versions: []awsemu.Version{current(value)}})
			}
			vouching()
			arn := w.seed("app", current(w.document("username", "app", "password", password, "masterarn", superuser)))
			for range 2 {
				if r := w.rotate(arn); r.Outcome != "RotationSucceeded" {
					t.Fatalf("%s: %s", r.Outcome, r.Message)
				}
			}
			for _, stored := range []secretsmanager.PutSecretValueInput{{SecretString: new("not json")}, {SecretBinary: []byte{0, 1}}} {
				vouching()
				before := w.accountState()
				stored.SecretId = &arn
				if _, err := w.sdk.PutSecretValue(t.Context(), &stored); err != nil {
					t.Fatal(err)
				}
				if d := w.diagnose(arn, "rollback"); d.MovedLabel == "" {
					t.Fatalf("not moved back: %+v", d)
				}
				r := w.rotate(arn)
				if kind, sentence := w.last(); w.db.family() != "postgres" {
					line := regexp.MustCompile(`"rotates": \["([^"]+)"\]`).FindStringSubmatch(sentence)
					if r.Outcome == "RotationSucceeded" || kind != string(rotator.KindNotEntitled) || line == nil || w.accountState() != before {
						t.Fatalf("%s: %s: %s", r.Outcome, kind, sentence)
					}
					vouching("rotates", line[1])
					if _, err := w.sdk.RotateSecret(t.Context(), rotateNow(arn)); err == nil {
						t.Fatal("RotateSecret was accepted, so nothing was stuck")
					}
					r = w.wait(arn)
				}
				if r.Outcome != "RotationSucceeded" || !w.accepts(w.holder(arn, "AWSCURRENT")) {
					t.Fatalf("%s: %s", r.Outcome, r.Message)
				}
			}
		})
	}
}
