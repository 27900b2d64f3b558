package serve

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/awsstore"
	"github.com/quarterturn-dev/quarterturn/rotator/emf"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
)

const canary = "canary-password-0123456789"

// function starts a function as Lambda does, and gives it an event.
func function(t *testing.T, variable string, settings ...string) (out *bytes.Buffer, calls int, err error) {
	t.Helper()
	emu := &awsemu.Emulator{}
	server := httptest.NewServer(emu)
	t.Cleanup(func() { emu.Close(); server.Close() })
	arn := emu.Seed(awsemu.Secret{Name: "app", Versions: []awsemu.Version{
		{Labels: []string{"AWSCURRENT"}, Value: awsemu.Text(`{"engine":"memory","host":"` + strategytest.MemoryHost + `","username":"app","password":"` + canary + `"}`)},
		{Labels: []string{"AWSPENDING"}},
	}})
	settings = append(settings, variable, server.URL, "AWS_REGION", "us-east-1", "AWS_ACCESS_KEY_ID", "AKID",
		"AWS_SECRET_ACCESS_KEY", "x", "AWS_LAMBDA_FUNCTION_NAME", "rotate")
	db := &strategytest.Memory{}
	db.Add(strategytest.Account{Name: "app", Password: secret.NewPassword(canary)})
	out = &bytes.Buffer{}
	handler, err := start(func(Settings) (rotator.Strategy, error) { return strategies.SingleUser{Engine: db}, nil }, environment(settings...), out)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []string{"createSecret", "setSecret", "testSecret", "finishSecret"} {
		event, _ := json.Marshal(map[string]string{
			"Step": step, "SecretId": arn, "ClientRequestToken": awsemu.VersionID(2), "RotationToken": canary + "-token-0123456789",
		})
		if _, err := handler(t.Context(), event); err != nil {
			return out, len(emu.Calls()), err
		}
	}
	return out, len(emu.Calls()), nil
}

// TestTheEndpointIsOptionalAndHonoured: AWS's templates cannot do without theirs,
// and know no other name for it.
func TestTheEndpointIsOptionalAndHonoured(t *testing.T) {
	for _, variable := range []string{"SECRETS_MANAGER_ENDPOINT", "AWS_ENDPOINT_URL",
		"AWS_ENDPOINT_URL_SECRETS_MANAGER"} {
		t.Run(variable, func(t *testing.T) {
			if _, calls, err := function(t, variable); err != nil || calls != 12 {
				t.Errorf("%d calls reached the endpoint: %v", calls, err)
			}
		})
	}
}

// TestALogReadsAsAStory: about ten lines a rotation, all JSON, with Lambda's names,
// one metric line a step, and nothing secret.
func TestALogReadsAsAStory(t *testing.T) {
	out, _, err := function(t, "SECRETS_MANAGER_ENDPOINT")
	if err != nil {
		t.Fatal(err)
	}
	told, metrics := 0, 0
	for line := range strings.Lines(out.String()) {
		var entry map[string]any
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatalf("not JSON: %s", line)
		}
		if entry["_aws"] != nil {
			metrics++
			continue
		}
		told++
		for _, name := range []string{"timestamp", "level", "message", "step", "secret_arn", "version", "function",
			"build"} {
			if entry[name] == nil || entry[name] == "" {
				t.Errorf("no %s in %s", name, line)
			}
		}
	}
	if told < 4 || told > 12 || metrics != 4 {
		t.Errorf("%d lines and %d metric lines for a rotation", told, metrics)
	}
	if strings.Contains(out.String(), "canary") {
		t.Error("a secret is in the log")
	}
}

// TestPowertoolsNamesAreHonoured: an account that sets them for all its functions
// finds ours beside the others.
func TestPowertoolsNamesAreHonoured(t *testing.T) {
	out, _, err := function(t, "SECRETS_MANAGER_ENDPOINT", "POWERTOOLS_SERVICE_NAME", "payments",
		"POWERTOOLS_METRICS_NAMESPACE", "Bank")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out.String()) {
		var entry struct {
			AWS *struct {
				CloudWatchMetrics []struct{ Namespace string }
			} `json:"_aws"`
		}
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatal(err)
		}
		switch {
		case !strings.Contains(line, `ervice":"payments"`):
			t.Errorf("no service in %s", line)
		case entry.AWS != nil && entry.AWS.CloudWatchMetrics[0].Namespace != "Bank":
			t.Errorf("namespace %q", entry.AWS.CloudWatchMetrics[0].Namespace)
		}
	}
}

// onceSet is a handler and its log where setSecret is done: the database accepts AWSPENDING of the secret app.
func onceSet(t *testing.T, app awsemu.Secret) (Handler, *bytes.Buffer) {
	t.Helper()
	emu := &awsemu.Emulator{}
	server := httptest.NewServer(emu)
	t.Cleanup(func() { emu.Close(); server.Close() })
	value := func(password string) awsemu.Value {
		return awsemu.Text(`{"engine":"memory","host":"` + strategytest.MemoryHost + `","username":"app","password":"` +
			password + `"}`)
	}
	app.Name, app.Versions = "app", []awsemu.Version{
		{Labels: []string{"AWSCURRENT"}, Value: value(canary)}, {Labels: []string{"AWSPENDING"}, Value: value(canary + "-new")},
	}
	emu.Seed(app)
	db := &strategytest.Memory{}
	db.Add(strategytest.Account{Name: "app", Password: secret.NewPassword(canary + "-new")})
	var out bytes.Buffer
	cfg := aws.Config{Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("AKID", "x", "")}
	return NewHandler(rotator.Rotator{Store: awsstore.New(cfg, server.URL),
		Strategy: strategies.SingleUser{Engine: db}}, Logger(&out, slog.LevelInfo), emf.Writer{W: &out}), &out
}

// TestADiagnosisIsAnsweredAndLogged: a line for each version, one that says what to
// do, and nothing secret; the answer is JSON, or the text that was asked for.
func TestADiagnosisIsAnsweredAndLogged(t *testing.T) {
	handler, out := onceSet(t, awsemu.Secret{})
	for event, says := range map[string]string{
		`{"Step":"status","SecretId":"app"}`:                  `"Action":"finish"`,
		`{"Step":"status","SecretId":"app","Format":"text"}`:  `"status of app: AWSCURRENT is rejected, AWSPENDING works`,
		`{"Step":"recover","SecretId":"app","Format":"text"}`: `recommended action: finish`,
	} {
		out.Reset()
		answer, err := handler(t.Context(), json.RawMessage(event))
		text, _ := json.Marshal(answer)
		if err != nil || !strings.Contains(string(text), says) {
			t.Errorf("%s: %v: %s", event, err, text)
		}
		for _, want := range []string{`"state":"rejected"`, `"state":"works"`, `"recommended action: finish"`,
			"update-secret-version-stage"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s: no %s in the log", event, want)
			}
		}
		if strings.Contains(out.String()+string(text), "canary") {
			t.Errorf("%s: a secret is in the log or the answer", event)
		}
	}
	if answer, err := handler(t.Context(),
		json.RawMessage(`{"Step":"finishSecret","SecretId":"app","ClientRequestToken":"`+awsemu.VersionID(2)+
			`"}`)); err != nil || answer != nil {
		t.Errorf("a step of a rotation is answered with %v, %v", answer, err)
	}
}

// TestThePreflightCanBeTurnedOff: then a rotation makes one call less.
func TestThePreflightCanBeTurnedOff(t *testing.T) {
	if _, calls, err := function(t, "SECRETS_MANAGER_ENDPOINT", "PREFLIGHT", "off"); err != nil || calls != 11 {
		t.Errorf("%d calls: %v", calls, err)
	}
}

// TestStartSaysWhyItCannot: the reason is a named error, before any event.
func TestStartSaysWhyItCannot(t *testing.T) {
	_, err := start(nil, environment("PASSWORD_LENGTH", "5"), &bytes.Buffer{})
	if step, ok := err.(*rotator.StepError); !ok || step.Kind != rotator.KindMisconfigured ||
		!strings.Contains(err.Error(), "PASSWORD_LENGTH") {
		t.Errorf("%T: %v", err, err)
	}
}

// TestTheSDKSpeaksJSONToo: what it has to say of a broken answer is a line like others.
func TestTheSDKSpeaksJSONToo(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		conn.Write([]byte("HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: " +
			"100\r\n\r\n{}"))
		conn.Close()
	}))
	t.Cleanup(server.Close)
	var out bytes.Buffer
	handler, err := start(func(Settings) (rotator.Strategy, error) {
		return strategies.SingleUser{Engine: &strategytest.Memory{}}, nil
	},
		environment("SECRETS_MANAGER_ENDPOINT", server.URL, "AWS_REGION", "us-east-1", "AWS_ACCESS_KEY_ID", "AKID",
			"AWS_SECRET_ACCESS_KEY", "x"), &out)
	if err != nil {
		t.Fatal(err)
	}
	handler(t.Context(), json.RawMessage(`{"Step":"status","SecretId":"app"}`))
	said := false
	for line := range strings.Lines(out.String()) {
		var entry struct{ Message, Detail string }
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Errorf("not JSON: %s", line)
		}
		said = said || entry.Message == "AWS SDK" && entry.Detail != ""
	}
	if !said {
		t.Errorf("the SDK said nothing, or elsewhere:\n%s", out.String())
	}
}

// TestABuildPanicIsTheAnswer: in place of a process that ends, with Runtime.ExitError for every event.
func TestABuildPanicIsTheAnswer(t *testing.T) {
	_, err := start(func(Settings) (rotator.Strategy, error) { panic("no engine for this shelf") }, environment(), &bytes.Buffer{})
	var failed *rotator.StepError
	if !errors.As(err, &failed) || failed.Kind != rotator.KindInternal || !strings.Contains(err.Error(),
		"no engine for this shelf") {
		t.Errorf("want a *rotator.StepError with the panic's value, got: %v", err)
	}
}

// TestABuildErrorIsTheAnswer: a setting that only the strategy knows stops the function as
// one of its own does.
func TestABuildErrorIsTheAnswer(t *testing.T) {
	_, err := start(func(s Settings) (rotator.Strategy, error) {
		_, err := rotator.BoolSetting(s.Lookup, "SHELF_STRICT")
		return strategies.SingleUser{Engine: &strategytest.Memory{}}, err
	}, environment("SHELF_STRICT", "perhaps"), &bytes.Buffer{})
	var failed *rotator.StepError
	if !errors.As(err, &failed) || failed.Kind != rotator.KindMisconfigured || !strings.Contains(err.Error(),
		"SHELF_STRICT") {
		t.Errorf("want a *rotator.StepError that names the setting, got: %v", err)
	}
}

// TestARotationLeavesOneAuditLine: with the members that docs/runbook.md promises, once, and not
// for a duplicate; replicas that are not in step are named then.
func TestARotationLeavesOneAuditLine(t *testing.T) {
	out, _, err := function(t, "SECRETS_MANAGER_ENDPOINT")
	if err != nil {
		t.Fatal(err)
	}
	lines := 0
	for line := range strings.Lines(out.String()) {
		var entry map[string]any
		if json.Unmarshal([]byte(line), &entry) != nil || entry["audit"] == nil {
			continue
		}
		lines++
		for member, want := range map[string]any{
			"audit": "quarterturn.audit/1", "message": "rotation completed", "step": "finishSecret", "version": awsemu.VersionID(2),
			"previous_version": awsemu.VersionID(1), "build": rotator.Release, "strategy": "single-user",
			"password_policy": secret.PasswordPolicy{}.Fingerprint(),
		} {
			if entry[member] != want {
				t.Errorf("%s is %v, want %v", member, entry[member], want)
			}
		}
		target := map[string]any{"engine": "memory", "host": strategytest.MemoryHost,
			"port": float64(strategytest.MemoryPort), "database": "main", "user": "app"}
		if !reflect.DeepEqual(entry["target"], target) {
			t.Errorf("target is %v, want %v", entry["target"], target)
		}
		times := map[string]time.Time{}
		for _, member := range []string{"timestamp", "started", "finish_started", "finished"} {
			at, err := time.Parse(time.RFC3339Nano, fmt.Sprint(entry[member]))
			if err != nil {
				t.Errorf("%s is %v", member, entry[member])
			}
			times[member] = at
		}
		if times["finish_started"].Before(times["started"]) || times["finished"].Before(times["finish_started"]) {
			t.Errorf("times: %s", line)
		}
		if page, err := os.ReadFile("../../docs/runbook.md"); err != nil {
			t.Error(err)
		} else {
			_, section, _ := strings.Cut(string(page), "## The audit line")
			section, _, _ = strings.Cut(section, "\n## ")
			for member := range entry {
				if !strings.Contains(section, "`"+member+"`") {
					t.Errorf("docs/runbook.md does not name the member %s", member)
				}
			}
		}
	}
	if lines != 1 {
		t.Errorf("%d audit lines, want 1", lines)
	}
	// The other steps are found by the version: the last line of each has its time.
	steps := map[string]bool{}
	policies := 0
	for line := range strings.Lines(out.String()) {
		var entry map[string]any
		if json.Unmarshal([]byte(line), &entry) != nil || entry["duration_ms"] == nil {
			continue
		}
		if entry["version"] != awsemu.VersionID(2) || entry["timestamp"] == nil {
			t.Errorf("not to be found: %s", line)
		}
		steps[fmt.Sprint(entry["step"])] = true
		if entry["password_policy"] != nil {
			policies++
		}
	}
	if len(steps) != 4 || policies != 2 {
		t.Errorf("%v have a line with duration_ms, %d of them with password_policy; want four, and createSecret and "+
			"finishSecret", steps, policies)
	}
}

// TestReplicasNotInStepAreNamed when AWSCURRENT has moved.
func TestReplicasNotInStepAreNamed(t *testing.T) {
	on := true
	handler, out := onceSet(t, awsemu.Secret{RotationEnabled: &on, Replicas: []awsemu.Replica{{Region: "eu-central-1",
		Status: "Failed", StatusMessage: "a name that is taken"}}})
	if _, err := handler(t.Context(), json.RawMessage(`{"Step":"finishSecret","SecretId":"app",`+
		`"ClientRequestToken":"`+awsemu.VersionID(2)+`"}`)); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "replica eu-central-1 has status Failed") || !strings.Contains(out.String(),
		`"audit"`) {
		t.Errorf("%s", out.String())
	}
}
