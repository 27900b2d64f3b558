package rotator_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
)

// TestAnswersForPeople: a method gives the answer itself, blocked or not, and Handle
// leaves none unseen.
func TestAnswersForPeople(t *testing.T) {
	s := newStory(t)
	s.run("account app/other\nversion AWSCURRENT app/p1\nstate")
	report, err := s.rotator.Preflight(t.Context(), s.arn)
	if err != nil || report.Verdict() != rotator.VerdictBlocked || report.Counts()[rotator.StatusFailed] != 1 {
		t.Errorf("Preflight of a secret whose password is rejected: %+v, %v; want a report with one failed finding",
			report, err)
	}
	if report, err := s.rotator.Preflight(t.Context(), ""); report != nil || !errors.Is(err, rotator.KindMisconfigured) {
		t.Errorf("Preflight of no secret: %+v, %v; want an error alone", report, err)
	}
	d, err := s.rotator.Diagnose(t.Context(), s.arn, "")
	if err != nil || d.Action != rotator.ActionResetPassword || d.Verdict() != rotator.VerdictActionNeeded {
		t.Errorf("Diagnose: %+v, %v; want reset-password", d, err)
	}
	d, err = s.rotator.Recover(t.Context(), s.arn, rotator.ActionFinish)
	if !errors.Is(err, rotator.KindConflict) || d == nil || d.Action != rotator.ActionResetPassword {
		t.Errorf("Recover of what is not recommended: %+v, %v; want the diagnosis and a conflict", d, err)
	}
	for _, step := range []rotator.Step{rotator.StepPreflight, rotator.StepStatus, rotator.StepRecover} {
		if err := s.rotator.Handle(t.Context(), rotator.Event{Step: step, SecretID: s.arn}); !errors.Is(err,
			rotator.KindMisconfigured) {
			t.Errorf("Handle(%s): %v; want a refusal that names the method", step, err)
		}
	}
}

// TestAnswersInJSON: programs read these fields. A change of the files is a change for
// them, and belongs into CHANGELOG.md.
func TestAnswersInJSON(t *testing.T) {
	page, err := os.ReadFile("../docs/preflight.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, answer := range map[string]any{"report.json": fill[rotator.Report](),
		"diagnosis.json": fill[rotator.Diagnosis]()} {
		compact, err := json.Marshal(answer)
		if err != nil {
			t.Fatal(err)
		}
		compact = bytes.ReplaceAll(compact, []byte(rotator.Release), []byte("(Build)"))
		if !strings.HasPrefix(string(compact), `{"Verdict":"`) || !strings.Contains(string(compact), `","Counts":{"`) {
			t.Errorf("%s begins with %.40s, not with verdict and counts", name, compact)
		}
		for _, m := range regexp.MustCompile(`"(\w+)":`).FindAllStringSubmatch(string(compact), -1) {
			if !strings.Contains(string(page), "`"+m[1]+"`") && !strings.Contains(string(page), `"`+m[1]+`":`) {
				t.Errorf("docs/preflight.md does not name the field %s of %s", m[1], name)
			}
		}
		var got bytes.Buffer
		if err := json.Indent(&got, append(compact, '\n'), "", "  "); err != nil {
			t.Fatal(err)
		}
		file := "testdata/" + name
		if *update {
			if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if want, err := os.ReadFile(file); err != nil || got.String() != string(want) {
			t.Errorf("%v: %s is not what an answer looks like (-update writes it):\n%s", err, file, got.String())
		}
	}
}

// fill makes an answer in which no field is empty, whatever fields there are.
func fill[T any]() T {
	var v T
	fillValue(reflect.ValueOf(&v).Elem(), "")
	return v
}

func fillValue(v reflect.Value, name string) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && f.Tag.Get("json") != "-" {
				fillValue(v.Field(i), f.Name)
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fillValue(v.Index(0), name)
	case reflect.String:
		v.SetString("(" + name + ")")
	case reflect.Bool:
		v.SetBool(true)
	default:
		panic("a field of a kind that no answer has had: " + name)
	}
}

// TestHint: what to do, without the text around it: the statement to add, through the
// report of a preflight too, and otherwise what helps against the kind.
func TestHint(t *testing.T) {
	s := newStory(t)
	s.run("account app/p1\nversion AWSCURRENT app/p1\nversion AWSPENDING empty\nfault PutSecretValue 1 denied\nfault " +
		"UpdateSecretVersionStage 2 denied")
	event := rotator.Event{Step: rotator.StepCreateSecret, SecretID: s.arn, VersionID: awsemu.VersionID(2)}
	var step *rotator.StepError
	if err := s.rotator.Handle(t.Context(), event); !errors.As(err, &step) || !strings.Contains(step.Hint,
		`"Action":"secretsmanager:PutSecretValue"`) {
		t.Errorf("hint of a denial: %+v", step)
	}
	if err := s.rotator.Handle(t.Context(), event); !errors.As(err, &step) || !strings.Contains(step.Hint,
		`"Action":"secretsmanager:UpdateSecretVersionStage"`) {
		t.Errorf("hint of a denial in the preflight: %+v", step)
	}
	event.SecretID = "no-such-secret"
	if err := s.rotator.Handle(t.Context(), event); !errors.As(err, &step) || !strings.Contains(step.Hint, "Region") {
		t.Errorf("hint of a secret that is not there: %+v", step)
	}
}

type speaks struct {
	error
	passes bool
}

func (s speaks) Retryable() bool { return s.passes }

// TestRetryable: what passes by itself, and nothing else.
func TestRetryable(t *testing.T) {
	for _, k := range []rotator.Kind{rotator.KindThrottled, rotator.KindTooManyConnections, rotator.KindUnreachable,
		rotator.KindDeadline} {
		if !rotator.Retryable(&rotator.StepError{Err: k}) {
			t.Errorf("%s passes by itself", k)
		}
	}
	for said, err := range map[bool]error{true: speaks{rotator.KindConflict, true},
		false: speaks{rotator.KindUnreachable, false}} {
		if rotator.Retryable(fmt.Errorf("%w: %w", rotator.KindUnreachable, err)) != said {
			t.Errorf("%v says itself whether it passes", err)
		}
	}
	for _, err := range []error{nil, rotator.KindLoginRejected, rotator.KindMisconfigured, rotator.KindConflict,
		errors.New("unheard of")} {
		if rotator.Retryable(err) {
			t.Errorf("%v does not pass by itself", err)
		}
	}
}

// scripted is a Store that gives an error where there is one for a row of the preflight.
type scripted struct {
	rotator.Store
	key    string // of the secret
	errors map[string]error
}

func (s scripted) Describe(ctx context.Context, id string) (rotator.Metadata, error) {
	m, err := s.Store.Describe(ctx, id)
	m.KMSKeyID = s.key
	return m, err
}

func (s scripted) Value(ctx context.Context, id string, v rotator.VersionRef) (rotator.SecretValue, error) {
	if err, ok := s.errors["S6"]; ok && v.Label == rotator.LabelPending {
		return rotator.SecretValue{}, err
	}
	return s.Store.Value(ctx, id, v)
}

func (s scripted) Put(context.Context, rotator.PutInput) error { return s.errors["S7"] }

func (s scripted) MoveLabel(context.Context, string, rotator.LabelMove) error { return s.errors["S8"] }

// scriptedKeys is one that can ask KMS.
type scriptedKeys struct{ scripted }

func (s scriptedKeys) CheckKeyAccess(context.Context, rotator.Metadata) error { return s.errors["K3"] }

// TestWhatAnAnswerProves: of the calls that a preflight makes to learn of a permission, only a denial is a no, and
// only what the service says behind its look at the permission is a yes. Nothing that createSecret itself is going to
// try blocks a rotation in a strict preflight.
func TestWhatAnAnswerProves(t *testing.T) {
	const inferred, denied, unknown, failed = rotator.StatusInferred, rotator.StatusDenied, rotator.StatusUnknown,
		rotator.StatusFailed
	for _, c := range []struct {
		row    string
		err    error
		want   rotator.Status
		blocks bool
		says   string
	}{
		{"S6", rotator.KindNotFound, inferred, false, ""},
		{"S6", rotator.KindConflict, inferred, false, ""},
		{"S6", rotator.KindAccessDenied, denied, true, ""},
		{"S6", rotator.KindThrottled, unknown, false, ""},
		{"S6", rotator.KindMisconfigured, unknown, false, ""},
		{"S6", rotator.KindUnreachable, unknown, false, ""},
		{"S7", rotator.KindNotFound, inferred, false, ""},
		{"S7", rotator.KindConflict, inferred, false, ""},
		{"S7", rotator.KindAccessDenied, denied, true, ""},
		{"S7", rotator.KindMisconfigured, unknown, false, ""},
		{"S7", nil, unknown, false, ""}, // a call designed to fail
		{"S8", rotator.KindNotFound, inferred, false, ""},
		{"S8", rotator.KindConflict, inferred, false, ""},
		{"S8", rotator.KindAccessDenied, denied, true, ""},
		{"S8", rotator.KindUnreachable, unknown, true, ""}, // the last call of all: nothing tries it before
		{"K3", nil, inferred, false, ""},
		{"K3", rotator.KindMisconfigured, failed, true, ""}, // a key that is disabled
		{"K3", rotator.KindAccessDenied, unknown, false, "kms:ViaService"},
		{"K3", rotator.KindUnreachable, unknown, false, "could not be reached"},
		{"K3", rotator.KindThrottled, unknown, false, ""},
	} {
		s := newStory(t)
		s.run("mode strict\naccount app/p1\nversion AWSCURRENT app/p1\nstate")
		answers := map[string]error{"S6": rotator.KindNotFound, "S7": rotator.KindConflict, "S8": rotator.KindNotFound}
		answers[c.row] = c.err
		s.rotator.Store = scriptedKeys{scripted{s.rotator.Store, "alias/app", answers}}
		report, err := s.rotator.Preflight(t.Context(), s.arn)
		if err != nil {
			t.Fatal(err)
		}
		f := finding(report, c.row)
		if blocks := len(report.Blocking()) > 0; f.Status != c.want || blocks != c.blocks ||
			!strings.Contains(f.Detail, c.says) {
			t.Errorf("%s, answered %v: %+v, and that blocks: %v; want %s, and %v", c.row, c.err, f, blocks, c.want,
				c.blocks)
		}
		if c.row == "K3" && c.says == "" && strings.Contains(f.Detail, "createSecret tests") {
			t.Errorf("K3, answered %v, is explained by what another answer means: %s", c.err, f.Detail)
		}
		if legend := strings.Contains(report.Markdown(), "inferred: AWS answered"); !legend {
			t.Errorf("%s: the report does not explain what is inferred", c.row)
		}
	}
}

// TestTheKeyThatIsProbed: a customer managed one alone; and a Store that cannot, or is not to, blocks nothing.
func TestTheKeyThatIsProbed(t *testing.T) {
	for name, c := range map[string]struct {
		key        string
		asks, look bool
		want       rotator.Status
		says       string
	}{
		"a customer's key":            {"alias/app", true, false, rotator.StatusInferred, ""},
		"that of Secrets Manager":     {"arn:aws:kms:eu-west-1:123456789012:alias/aws/secretsmanager", true, false, "", ""},
		"none":                        {"", true, false, "", ""},
		"a Store that cannot call it": {"alias/app", false, false, rotator.StatusUnknown, "cannot call KMS"},
		"no calls that fail":          {"alias/app", true, true, rotator.StatusUnknown, "PREFLIGHT_PROBES=read-only"},
	} {
		s := newStory(t)
		s.run("account app/p1\nversion AWSCURRENT app/p1\nstate")
		store := scripted{s.rotator.Store, c.key, map[string]error{"S7": rotator.KindConflict, "S8": rotator.KindNotFound}}
		s.rotator.ReadOnlyProbes, s.rotator.Store = c.look, store
		if c.asks {
			s.rotator.Store = scriptedKeys{store}
		}
		report, err := s.rotator.Preflight(t.Context(), s.arn)
		if err != nil {
			t.Fatal(err)
		}
		f := finding(report, "K3")
		if f.Status != c.want || !strings.Contains(f.Detail, c.says) || f.Status == rotator.StatusUnknown && !f.Deferred {
			t.Errorf("%s: %+v, want %q", name, f, c.want)
		}
	}
}

// finding is that of a row; the zero one: there is none.
func finding(r *rotator.Report, id string) rotator.Finding {
	for _, f := range r.Findings {
		if f.ID == id {
			return f
		}
	}
	return rotator.Finding{}
}

// TestVerdictOfADiagnosis: what monitoring reads.
func TestVerdictOfADiagnosis(t *testing.T) {
	of := func(current rotator.CredentialState, kind rotator.Kind, pending ...rotator.CredentialState) rotator.Diagnosis {
		d := rotator.Diagnosis{Action: rotator.ActionInvestigate, Versions: []rotator.VersionStatus{
			{Labels: []string{rotator.LabelCurrent}, State: current, Kind: kind}}}
		for _, state := range pending {
			d.Versions = append(d.Versions, rotator.VersionStatus{Labels: []string{rotator.LabelPending}, State: state})
		}
		return d
	}
	for _, c := range []struct {
		d    rotator.Diagnosis
		want rotator.Verdict
	}{
		{rotator.Diagnosis{Action: rotator.ActionNone}, rotator.VerdictOK},
		{rotator.Diagnosis{Action: rotator.ActionRetry, MovedLabel: "moved"}, rotator.VerdictOK},
		{rotator.Diagnosis{Action: rotator.ActionFinish}, rotator.VerdictActionNeeded},
		{rotator.Diagnosis{Action: rotator.ActionInvestigate}, rotator.VerdictUnknown},
		{of(rotator.CredentialWorks, ""), rotator.VerdictActionNeeded},   // a retry would fail, or clients cannot work
		{of(rotator.CredentialBlocked, ""), rotator.VerdictActionNeeded}, // its line names what lets it in
		{of(rotator.CredentialUnknown, rotator.KindMisconfigured), rotator.VerdictActionNeeded},
		{of(rotator.CredentialUnknown, rotator.KindTLS), rotator.VerdictActionNeeded},
		{of(rotator.CredentialUnknown, rotator.KindAccessDenied), rotator.VerdictActionNeeded},
		{of(rotator.CredentialUnknown, rotator.KindUnreachable), rotator.VerdictUnknown},
		{of(rotator.CredentialUnknown, rotator.KindTooManyConnections), rotator.VerdictUnknown},
		{of(rotator.CredentialUnknown, rotator.KindThrottled), rotator.VerdictUnknown},
		{of(rotator.CredentialUnknown, rotator.KindDeadline), rotator.VerdictUnknown},
		{of(rotator.CredentialUnknown, rotator.KindInternal), rotator.VerdictUnknown},
		{of(rotator.CredentialNotTested, ""), rotator.VerdictUnknown},
		{of(rotator.CredentialRejected, "", rotator.CredentialNotTested), rotator.VerdictUnknown}, // a status by version id
		{of(rotator.CredentialRejected, "", rotator.CredentialUnknown), rotator.VerdictUnknown},
		{of(rotator.CredentialRejected, "", rotator.CredentialBlocked), rotator.VerdictActionNeeded},
		{of(rotator.CredentialWorks, "", rotator.CredentialNotTested), rotator.VerdictActionNeeded},
		{rotator.Diagnosis{Action: rotator.ActionNotManaged, OtherFunction: "another"}, rotator.VerdictUnknown},
	} {
		if got := c.d.Verdict(); got != c.want {
			t.Errorf("%+v: %s, want %s", c.d, got, c.want)
		}
	}
}

// TestHandleIsForTheFourSteps: what people ask is refused, with where its answer is, unless something else is wrong.
func TestHandleIsForTheFourSteps(t *testing.T) {
	for says, event := range map[string]rotator.Event{
		"call the method of Rotator": {Step: rotator.StepStatus, SecretID: "app"},
		"SecretId is missing":        {Step: rotator.StepStatus},
	} {
		err := rotator.Rotator{}.Handle(t.Context(), event)
		if !errors.Is(err, rotator.KindMisconfigured) || !strings.Contains(err.Error(), says) {
			t.Errorf("%+v: %v, want %q", event, err, says)
		}
	}
}
