package rotator_test

import (
	"bytes"
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
			if f := v.Type().Field(i); f.IsExported() {
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
