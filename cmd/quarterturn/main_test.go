package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/awsstore"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/rotator/serve"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
)

// canary is in every password, and must be in no output.
const canary = "canary-password-0123456789"

// pendingID is the version of the secret "stuck" that works.
var pendingID = awsemu.VersionID(2)

// stage is an emulator with secrets and a rotation function, and the program before it.
type stage struct {
	t   *testing.T
	emu *awsemu.Emulator
	db  *strategytest.Memory
	url string
}

// newStage puts secrets there in the states that the program tells apart. It sets the environment of the AWS SDK, so
// that tests that use it are not parallel.
func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{t: t, emu: &awsemu.Emulator{}, db: &strategytest.Memory{}}
	mux := http.NewServeMux()
	mux.Handle("/", s.emu)
	mux.HandleFunc("POST /2015-03-31/functions/{function}/invocations", s.invoke)
	server := httptest.NewServer(mux)
	s.url = server.URL
	t.Cleanup(func() { s.emu.Close(); server.Close() })
	none := filepath.Join(t.TempDir(), "none")
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": s.url, "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "x",
		"AWS_CONFIG_FILE": none, "AWS_SHARED_CREDENTIALS_FILE": none, "NO_COLOR": "",
	} {
		t.Setenv(name, value)
	}
	function := "arn:aws:lambda:us-east-1:123456789012:function:rotate"
	seed := func(name, user, function string, on *bool, values ...string) {
		sec := awsemu.Secret{Name: name, RotationEnabled: on, RotationLambdaARN: function}
		for i, v := range values {
			sec.Versions = append(sec.Versions,
				awsemu.Version{Labels: []string{[]string{"AWSCURRENT", "AWSPENDING"}[i]}, Value: awsemu.Text(
					`{"engine":"memory","host":"` + strategytest.MemoryHost + `","username":"` + user +
						`","password":"` +
						v + `"}`)})
		}
		s.emu.Seed(sec)
	}
	on := true
	seed("fine", "fine", function, &on, canary+"-1")
	seed("stuck", "stuck", function, &on, canary+"-old", canary+"-new")
	seed("wrong", "fine", function, &on, canary+"-2")
	seed("alone", "fine", "", nil, canary+"-1")
	seed("retry", "fine", function, &on, canary+"-1", canary+"-3")
	s.emu.Functions = []awsemu.Function{{ARN: function}}
	s.emu.Seed(awsemu.Secret{Name: "text", RotationEnabled: &on, RotationLambdaARN: function,
		Versions: []awsemu.Version{
			{Labels: []string{"AWSCURRENT"}, Value: awsemu.Text(canary)}}})
	s.db.Add(strategytest.Account{Name: "fine", Password: secret.NewPassword(canary + "-1")})
	s.db.Add(strategytest.Account{Name: "stuck", Password: secret.NewPassword(canary + "-new")})
	return s
}

// invoke is the rotation function, as Lambda answers for it.
func (s *stage) invoke(w http.ResponseWriter, r *http.Request) {
	if name := r.PathValue("function"); name != "rotate" && !strings.HasSuffix(name, ":rotate") {
		w.Header().Set("X-Amzn-Errortype", "ResourceNotFoundException")
		w.WriteHeader(http.StatusNotFound)
		return
	}
	payload, err := io.ReadAll(r.Body)
	if err != nil {
		s.t.Error(err)
	}
	cfg := aws.Config{Region: "us-east-1", BaseEndpoint: &s.url,
		Credentials: credentials.NewStaticCredentialsProvider("AKID", "x", "")}
	answer, err := rotator.Rotator{Store: awsstore.New(cfg, ""),
		Strategy: strategies.SingleUser{Engine: s.db}}.HandleJSON(r.Context(), payload)
	if err != nil {
		w.Header().Set("X-Amz-Function-Error", "Unhandled")
		json.NewEncoder(w).Encode(map[string]string{"errorMessage": err.Error(), "errorType": "StepError"})
		return
	}
	json.NewEncoder(w).Encode(answer)
}

// run runs the program and gives what it printed and how it ended.
func (s *stage) run(args ...string) (stdout, stderr string, code int) {
	s.t.Helper()
	var out, errOut bytes.Buffer
	around := &surroundings{os.LookupEnv, func(serve.Settings) ([]strategies.CloningEngine, error) {
		return []strategies.CloningEngine{s.db}, nil
	}}
	code = run(s.t.Context(), around, args, &out, &errOut)
	if text := out.String() + errOut.String(); strings.Contains(text, "canary") {
		s.t.Errorf("%q prints a password", args)
	}
	return out.String(), errOut.String(), code
}

// TestExitCodes: 0 all is well, 1 there is something to do, 2 wrong use, 3 it could not be found out.
func TestExitCodes(t *testing.T) {
	s := newStage(t)
	for _, c := range []struct {
		args string
		code int
		says string // on either
	}{
		{"preflight fine", 0, "preflight of"},
		{"status fine", 0, "AWSCURRENT"},
		{"status fine --here", 0, "AWSCURRENT"},
		{"status fine --function rotate", 0, ""},
		{"status stuck", 1, "finish"},
		{"status stuck --version-id " + pendingID, 1, "finish"},
		{"status stuck --here --version-id " + pendingID, 1, "finish"},
		{"preflight wrong", 1, "P2"},
		{"preflight wrong --here", 1, "P2"},
		{"status alone", 1, "names no rotation function"},
		{"status missing", 3, "no secret missing in us-east-1 of account 123456789012: check the name, the Region " +
			"(AWS_REGION)"},
		{"status missing --here", 3, "no secret missing in us-east-1 of account 123456789012: check the name, the " +
			"Region (AWS_REGION)"},
		{"recover missing finish", 3, "no secret missing in us-east-1"},
		{"status arn:aws:secretsmanager:eu-west-1:123456789012:secret:missing-AbCdEf", 3, "in eu-west-1 of account"},
		{"status fine --function other", 3, "from a machine that reaches the database: --here"},
		{"status text --here", 1, "recommended action: store-credentials"},
		{"status text", 1, "recommended action: store-credentials"},
		{"preflight text --here", 1, "S5   failed"},
		{"preflight text", 1, "S5   failed"},
		{"recover stuck discard --version-id " + pendingID, 1, "finish"},
		{"recover stuck discard --here --version-id " + pendingID, 1, "finish"},
		{"version", 0, "quarterturn"},
		{"--help", 0, "Exit codes"},
		{"", 0, "Exit codes"},
		{"help status", 0, "staging labels"},
		{"status", 2, "SECRET is missing"},
		{"status a b", 2, `one SECRET, got "a" and "b"`},
		{"statsu fine", 2, "did you mean status?"},
		{"rotate fine", 2, "fleet, policies, preflight, recover, status, version"},
		{"fleet fine", 2, "fleet takes flags alone"},
		{"version fine", 2, "version takes flags alone"},
		{"status _", 2, "SECRET is empty"},
		{"status fine --nope", 2, "unknown flag"},
		{"status fine --format xml", 2, "--format is"},
		{"status fine --color red", 2, "--color is"},
		{"status fine --width -1", 2, "--width is"},
		{"status fine --width abc", 2, `--width is "abc": give a whole number`},
		{"status fine --here=maybe", 2, `--here is "maybe": give true or false`},
		{"fleet --grace soon", 2, `--grace is "soon": give a duration`},
		{"fleet --max-age 9z", 2, `--max-age is "9z": give a whole number`},
		{"status fine --version-id nope", 2, "--version-id is"},
		{"recover stuck finish --version-id nope", 2, "--version-id is"},
		{"status fine --here --function rotate", 2, "exclude each other"},
		{"status fine --strategy single", 2, "needs --here"},
		{"status fine --here --strategy both", 2, "choose single-user, superuser, alternating-users or dual-passwords"},
		{"status fine --here --strategy single-user", 0, ""},
		{"status fine --here --strategy dual", 0, ""},
		{"status fine --here --strategy dual-passwords", 0, ""},
		{"recover stuck retry", 2, "choose finish"},
		{"recover stuck", 2, "name the action, finish, discard, rollback, as quarterturn status stuck recommends"},
		{"recover", 2, "SECRET is missing"},
		{"recover stuck finish now", 2, "one SECRET and one action"},
		{"policies", 2, "--secret"},
		{"fleet --format markdown", 2, "html"},
		{"fleet --fail-on worst", 2, "critical"},
		{"fleet --accounts 1 --organization", 2, "choose one"},
		{"fleet --accounts 1", 2, "an account id has twelve digits"},
		{"fleet --since /nowhere", 2, "--since"},
	} {
		args := strings.Fields(c.args)
		for i, arg := range args {
			args[i] = strings.TrimPrefix(arg, "_") // an empty argument
		}
		out, errOut, code := s.run(args...)
		if text := out + errOut; strings.Contains(text, "RequestID") || strings.Contains(text,
			"strconv") || strings.Contains(text, "operation error") {
			t.Errorf("%q: what the SDK and Go say is printed as it is:\n%s", c.args, text)
		}
		if code != c.code || !strings.Contains(out+errOut, c.says) {
			t.Errorf("%q: exit %d, want %d, and %q in\n%s%s", c.args, code, c.code, c.says, out, errOut)
		}
	}
}

// TestTheMachineCannotAsk: what this machine lacks is said, with what to do, by each command that asks AWS; and nobody is
// told to run another command, which would fail likewise.
func TestTheMachineCannotAsk(t *testing.T) {
	commands := []string{"status fine", "status fine --here", "preflight fine", "preflight fine --here", "recover " +
		"stuck finish", "recover stuck finish --here", "fleet"}
	for _, c := range []struct {
		name string
		env  map[string]string
		deny bool
		code int
		says string
	}{
		{"no credentials", map[string]string{"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "",
			"AWS_EC2_METADATA_DISABLED": "true"}, false, 3, "no AWS credentials: sign in (aws sso login)"},
		{"no Region", map[string]string{"AWS_REGION": ""}, false, 2, "no AWS Region: set AWS_REGION"},
		{"no such profile", map[string]string{"AWS_PROFILE": "nosuch"}, false, 3, "AWS configuration: failed to get " +
			"shared config profile, nosuch"},
		{"closed endpoint", map[string]string{"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_MAX_ATTEMPTS": "1"},
			false, 3, "no connection to 127.0.0.1:1: "},
		{"expired", nil, true, 3, "does not accept these credentials: sign in"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t)
			for name, value := range c.env {
				t.Setenv(name, value)
			}
			if c.deny {
				s.emu.Fault = func(awsemu.Call) awsemu.Fault { return awsemu.Fault{ExpiredToken: true} }
			}
			for _, command := range commands {
				out, errOut, code := s.run(strings.Fields(command)...)
				if text := out + errOut; code != c.code || !strings.Contains(text, c.says) || strings.Contains(text,
					"RequestID") ||
					strings.Contains(text, "operation error") || strings.Contains(text, "run quarterturn") {
					t.Errorf("%s: exit %d, want %d and %q in\n%s", command, code, c.code, c.says, text)
				}
			}
		})
	}
}

// TestBadSettingIsWrongUse: a value of the environment that cannot be is named, and is wrong use.
func TestBadSettingIsWrongUse(t *testing.T) {
	s := newStage(t)
	t.Setenv("PASSWORD_LENGTH", "3")
	for _, command := range []string{"status fine --here", "preflight fine --here"} {
		if _, errOut, code := s.run(strings.Fields(command)...); code != exitUsage || !strings.Contains(errOut,
			"PASSWORD_LENGTH") {
			t.Errorf("%s: exit %d\n%s", command, code, errOut)
		}
	}
}

// TestDeniedRecovery: it ends in what to do about the denial, and not in a status alone.
func TestDeniedRecovery(t *testing.T) {
	s := newStage(t)
	s.emu.Fault = func(c awsemu.Call) awsemu.Fault { return awsemu.Fault{Deny: c.Operation == "UpdateSecretVersionStage"} }
	_, errOut, code := s.run("recover", "stuck", "finish", "--version-id", pendingID)
	if code != exitToDo || !strings.Contains(errOut, `"Action":"secretsmanager:UpdateSecretVersionStage"`) || !strings.Contains(errOut, "Add that statement") {
		t.Errorf("exit %d\n%s", code, errOut)
	}
}

// TestAnswersSpeakToTheirReader: whoever runs this program is told its commands, where the function tells events; a
// program that reads JSON gets the event.
func TestAnswersSpeakToTheirReader(t *testing.T) {
	s := newStage(t)
	for command, says := range map[string]string{
		"preflight stuck":                        "quarterturn status stuck",
		"status stuck --version-id " + pendingID: "quarterturn recover stuck finish",
		"status stuck --here --version-id " + pendingID: "quarterturn recover stuck finish --here --strategy " +
			"single-user",
	} {
		for _, format := range []string{"text", "markdown", "html"} {
			out, _, _ := s.run(append(strings.Fields(command), "--format", format)...)
			if !strings.Contains(out, says) || strings.Contains(out, `"Step"`) || strings.Contains(out, "&#34;Step") {
				t.Errorf("%s as %s: no %q, or an event, in\n%s", command, format, says, out)
			}
		}
		if out, _, _ := s.run(append(strings.Fields(command), "--format", "json")...); !strings.Contains(out, `\"Step\"`) {
			t.Errorf("%s as json: no event\n%s", command, out)
		}
	}
}

// TestRecoverFinishes: a rotation that lacks its last step is completed, once by each way.
func TestRecoverFinishes(t *testing.T) {
	for _, here := range []bool{false, true} {
		s := newStage(t)
		args := []string{"recover", "stuck", "finish", "--version-id", pendingID}
		if here {
			args = append(args, "--here")
		}
		if out, errOut, code := s.run(args...); code != 0 || !strings.Contains(out, "moved AWSCURRENT") {
			t.Errorf("%q: exit %d\n%s%s", args, code, out, errOut)
		}
		if s.emu.Snapshot("stuck").Holder("AWSCURRENT").ID != awsemu.VersionID(2) {
			t.Error("AWSCURRENT did not move")
		}
		if out, errOut, code := s.run("status", "stuck"); code != 0 {
			t.Errorf("afterwards: exit %d\n%s%s", code, out, errOut)
		}
	}
}

// TestExplain: a denial comes with what the policies say, where it is asked for; AWS's own sentence stays.
func TestExplain(t *testing.T) {
	s := newStage(t)
	s.emu.Fault = func(c awsemu.Call) awsemu.Fault {
		return awsemu.Fault{Deny: c.Operation == "UpdateSecretVersionStage"}
	}
	plain, _, code := s.run("preflight", "fine")
	if code != exitToDo || !strings.Contains(plain, "no identity-based policy allows the "+
		"secretsmanager:UpdateSecretVersionStage") {
		t.Fatalf("exit %d\n%s", code, plain)
	}
	explained, errOut, code := s.run("preflight", "fine", "--explain")
	if code != exitToDo || len(explained) <= len(plain) || !strings.Contains(explained, "no identity-based "+
		"policy allows") {
		t.Errorf("exit %d\n%s%s", code, explained, errOut)
	}
}

// TestFormats: each is what it says, of a report and of a diagnosis.
func TestFormats(t *testing.T) {
	s := newStage(t)
	for _, command := range []string{"preflight", "status"} {
		for format, check := range map[string]func(string) error{
			"json": func(out string) error {
				var members map[string]json.RawMessage
				return json.Unmarshal([]byte(out), &members)
			},
			"jsonl": func(out string) error {
				for line := range strings.Lines(out) {
					if !json.Valid([]byte(line)) {
						return errors.New("not a line of JSON: " + line)
					}
				}
				return nil
			},
			"markdown": func(out string) error {
				if !strings.Contains(out, "|---|") {
					return errors.New("no table")
				}
				return nil
			},
			"html": func(out string) error {
				if !strings.HasPrefix(out, "<!DOCTYPE html>") || !strings.Contains(out, "</html>") ||
					strings.Contains(out, "<script") {
					return errors.New("not a page")
				}
				return nil
			},
		} {
			out, errOut, _ := s.run(command, "stuck", "--here", "--format", format)
			if err := check(out); err != nil || !strings.Contains(out, "stuck") && format != "jsonl" {
				t.Errorf("%s as %s: %v\n%s%s", command, format, err, out, errOut)
			}
		}
	}
}

// TestTextWraps: no line is wider than asked for, but for commands, which are to be copied; and nothing is lost.
func TestTextWraps(t *testing.T) {
	s := newStage(t)
	wide, _, _ := s.run("status", "stuck")
	narrow, _, _ := s.run("status", "stuck", "--width", "60")
	for line := range strings.Lines(narrow) {
		line = strings.TrimRight(line, "\n")
		if len(line) > 60 && !isCommand(line) && strings.Contains(strings.TrimSpace(line), " ") {
			t.Errorf("%d columns: %s", len(line), line)
		}
	}
	if got, want := strings.Join(strings.Fields(narrow), " "), strings.Join(strings.Fields(wide), " "); got != want {
		t.Errorf("wrapped:\n%s\nunwrapped:\n%s", got, want)
	}
}

// TestColorIsAskedFor: none where the output is no terminal, and only around words.
func TestColorIsAskedFor(t *testing.T) {
	s := newStage(t)
	plain, _, _ := s.run("preflight", "fine")
	colored, _, _ := s.run("preflight", "fine", "--color", "always")
	if strings.Contains(plain, "\x1b") || !strings.Contains(colored, "\x1b[32m") {
		t.Errorf("plain:\n%q\ncolored:\n%q", plain, colored)
	}
	stripped := colored
	for _, hue := range []string{red, green, yellow, gray, bold, "0"} {
		stripped = strings.ReplaceAll(stripped, "\x1b["+hue+"m", "")
	}
	if stripped != plain {
		t.Errorf("colors change the text:\n%s\n%s", stripped, plain)
	}
}

// TestAFunctionOfATemplateIsNotOurs: AWS's templates know rotations alone, and end on a status with a KeyError; so does any
// other function, in its own way. What to run instead is said. A function of ours that Lambda ended is ours all the same.
func TestAFunctionOfATemplateIsNotOurs(t *testing.T) {
	s := newStage(t)
	for function, want := range map[string]string{
		"SecretsManagerRDSMySQLRotationSingleUser": "quarterturn status app --here --strategy single-user",
		"SecretsManagerRDSMySQLRotationMultiUser":  "quarterturn status app --here --strategy alternating-users",
	} {
		for kind, hint := range map[string]bool{"KeyError": true, "ValueError": true, "StepError": false, "Sandbox.Timedout": false, "Runtime.ExitError": false} {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("X-Amz-Function-Error", "Unhandled")
				json.NewEncoder(w).Encode(map[string]string{"errorMessage": "'ClientRequestToken'", "errorType": kind})
			}))
			t.Setenv("AWS_ENDPOINT_URL", server.URL)
			_, errOut, code := s.run("status", "app", "--function", function)
			server.Close()
			if code != exitUnknown || strings.Contains(errOut, want) != hint || !strings.Contains(errOut, "'ClientRequestToken'") {
				t.Errorf("%s, %s: exit %d: %s", function, kind, code, errOut)
			}
		}
	}
}

// TestFleet: the report of an account, in each format, and what is new since the last.
func TestFleet(t *testing.T) {
	s := newStage(t)
	s.emu.SeedFleet(time.Now())
	text, errOut, code := s.run("fleet")
	if code != exitToDo || !strings.Contains(text, "CRITICAL") || !strings.Contains(text, "fleet/F03") {
		t.Errorf("exit %d\n%s%s", code, text, errOut)
	}
	if _, _, code := s.run("fleet", "--fail-on", "critical", "--format", "jsonl"); code != exitToDo {
		t.Errorf("--fail-on critical: exit %d", code)
	}
	kept := filepath.Join(t.TempDir(), "kept.json")
	page, _, _ := s.run("fleet", "--format", "html", "--json-file", kept)
	if !strings.HasPrefix(page, "<!DOCTYPE html>") {
		t.Error("not a page")
	}
	if data, err := os.ReadFile(kept); err != nil || !strings.Contains(page, fmt.Sprintf("%x", sha256.Sum256(data))) {
		t.Errorf("the page does not name the SHA-256 of the JSON beside it (%v)", err)
	}
	if help, _, _ := s.run("fleet", "--help"); strings.Contains(help, "markdown") {
		t.Errorf("the help offers a format that is refused:\n%s", help)
	}
	report, _, _ := s.run("fleet", "--format", "json")
	file := filepath.Join(t.TempDir(), "report.json")
	if err := os.WriteFile(file, []byte(report), 0o600); err != nil {
		t.Fatal(err)
	}
	if again, _, _ := s.run("fleet", "--since", file); !strings.Contains(again, "0 new, 0 fixed") {
		t.Errorf("since:\n%s", again)
	}
	s.emu.Fault = func(c awsemu.Call) awsemu.Fault { return awsemu.Fault{Deny: c.Operation == "ListSecrets"} }
	if text, _, code := s.run("fleet"); code != exitUnknown || !strings.Contains(text, "secretsmanager:ListSecrets") {
		t.Errorf("unreadable: exit %d\n%s", code, text)
	}
}
