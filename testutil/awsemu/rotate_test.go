package awsemu_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
)

type event struct{ Step, SecretId, ClientRequestToken, RotationToken string }

// function is a rotation function: it keeps its events, and does its four steps
// through the SDK unless before says otherwise.
type function struct {
	mu     sync.Mutex
	events []event
	w      *world
	before func(event) error // its error ends the step
	after  func(event) error
}

func (f *function) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	var e event
	if err := json.Unmarshal(payload, &e); err != nil {
		return nil, err
	}
	f.mu.Lock()
	f.events = append(f.events, e)
	f.mu.Unlock()
	for _, do := range []func(event) error{f.before, f.step(ctx), f.after} {
		if do == nil {
			continue
		}
		if err := do(e); err != nil {
			return nil, err
		}
	}
	return []byte("null"), nil
}

func (f *function) step(ctx context.Context) func(event) error {
	return func(e event) (err error) {
		switch e.Step {
		case "createSecret":
			_, err = f.w.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: &e.SecretId, ClientRequestToken: &e.ClientRequestToken,
				SecretString: aws.String("new"), VersionStages: []string{"AWSPENDING"}, RotationToken: &e.RotationToken})
		case "finishSecret":
			var d *secretsmanager.DescribeSecretOutput
			if d, err = f.w.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &e.SecretId}); err != nil {
				return err
			}
			for v, labels := range d.VersionIdsToStages {
				if slices.Contains(labels, "AWSCURRENT") && v != e.ClientRequestToken {
					_, err = f.w.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{SecretId: &e.SecretId,
						VersionStage: aws.String("AWSCURRENT"), RemoveFromVersionId: &v, MoveToVersionId: &e.ClientRequestToken})
				}
			}
		}
		return err
	}
}

func (f *function) steps() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var names []string
	for _, e := range f.events {
		names = append(names, strings.TrimSuffix(e.Step, "Secret"))
	}
	return strings.Join(names, " ")
}

// rotating is a world whose emulator calls f.
func rotating(t *testing.T, emu *awsemu.Emulator, f *function) *world {
	t.Helper()
	emu.Invoke = awsemu.InvokeHandler(f.Invoke)
	f.w = newWorld(t, emu)
	return f.w
}

func (w *world) rotate(version string, change ...func(*secretsmanager.RotateSecretInput)) error {
	in := &secretsmanager.RotateSecretInput{SecretId: aws.String("app/db"), ClientRequestToken: &version, RotationLambdaARN: aws.String(functionARN)}
	for _, c := range change {
		c(in)
	}
	_, err := w.RotateSecret(w.ctx, in)
	return err
}

func (w *world) wait() awsemu.Rotation {
	w.t.Helper()
	r, err := w.emu.WaitRotation(w.ctx, "app/db")
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *world) eventNames() string {
	var names []string
	for _, e := range w.emu.Events() {
		names = append(names, e.Name)
	}
	return strings.Join(names, " ")
}

const fourSteps = "create set test finish"

func TestRotate(t *testing.T) {
	t.Parallel()
	c := newClock()
	f := &function{}
	w := rotating(t, &awsemu.Emulator{Now: c.now}, f)
	arn := w.emu.Seed(rotated())
	f.before = func(e event) error {
		if e.Step == "createSecret" {
			w.wantShape("v1[AWSPREVIOUS] v2[AWSCURRENT] v3[AWSPENDING]empty")
		}
		return nil
	}
	want(t, w.rotate(id(3), func(in *secretsmanager.RotateSecretInput) {
		in.RotationRules = &types.RotationRulesType{AutomaticallyAfterDays: aws.Int64(30)}
	}), "", "")
	r := w.wait()
	if r.Outcome != "RotationSucceeded" || r.Version != id(3) || len(r.Attempts) != 1 || f.steps() != fourSteps {
		t.Errorf("%+v after %s", r, f.steps())
	}
	w.wantShape("v1[] v2[AWSPREVIOUS] v3[AWSCURRENT]")
	for _, e := range f.events {
		if e.SecretId != arn || e.ClientRequestToken != id(3) || len(e.RotationToken) != 36 {
			t.Errorf("event of %s: secret %s, version %s, token of %d characters", e.Step, e.SecretId, e.ClientRequestToken, len(e.RotationToken))
		}
	}
	d, err := w.DescribeSecret(w.ctx, &secretsmanager.DescribeSecretInput{SecretId: &arn})
	want(t, err, "", "")
	if !aws.ToBool(d.RotationEnabled) || aws.ToString(d.RotationLambdaARN) != functionARN || !aws.ToTime(d.LastRotatedDate).Equal(c.now()) ||
		!aws.ToTime(d.NextRotationDate).Equal(time.Date(2026, 6, 3, 23, 59, 59, 0, time.UTC)) {
		t.Errorf("DescribeSecret: enabled %v, last %v, next %v", aws.ToBool(d.RotationEnabled), d.LastRotatedDate, d.NextRotationDate)
	}
	if w.eventNames() != "RotationStarted RotationSucceeded" {
		t.Errorf("events %s", w.eventNames())
	}
}

func TestRotateAgain(t *testing.T) {
	t.Parallel()
	for _, keep := range []bool{false, true} {
		t.Run(fmt.Sprintf("KeepPending=%v", keep), func(t *testing.T) {
			t.Parallel()
			w := rotating(t, &awsemu.Emulator{KeepPending: keep}, &function{})
			w.emu.Seed(rotated())
			want(t, w.rotate(id(3)), "", "")
			w.wait()
			if held := w.emu.Snapshot("app/db").Holder("AWSPENDING").ID == id(3); held != keep {
				t.Errorf("AWSPENDING is left: %v", held)
			}
			want(t, w.rotate(id(4)), "", "")
			if r := w.wait(); r.Outcome != "RotationSucceeded" || r.Version != id(4) {
				t.Errorf("second rotation: %+v", r)
			}
		})
	}
}

func TestRotateRetries(t *testing.T) {
	t.Parallel()
	t.Run("a failing step starts the whole rotation again", func(t *testing.T) {
		t.Parallel()
		failures := 2
		f := &function{before: func(e event) error {
			if e.Step == "testSecret" && failures > 0 {
				failures--
				return errors.New("not yet")
			}
			return nil
		}}
		var pauses []int
		w := rotating(t, &awsemu.Emulator{Backoff: func(n int) time.Duration { pauses = append(pauses, n); return 0 }}, f)
		w.emu.Seed(rotated())
		want(t, w.rotate(id(3)), "", "")
		r := w.wait()
		if r.Outcome != "RotationSucceeded" || f.steps() != "create set test create set test "+fourSteps || !slices.Equal(pauses, []int{1, 2}) {
			t.Errorf("%s after %s, pauses %v", r.Outcome, f.steps(), pauses)
		}
		if s := r.Attempts[0].Steps[2]; s.ErrorType != "errorString" || s.ErrorMessage != "not yet" {
			t.Errorf("first testSecret: %+v", s)
		}
	})
	t.Run("until the attempts are used up", func(t *testing.T) {
		t.Parallel()
		f := &function{before: func(e event) error { panic("broken") }}
		w := rotating(t, &awsemu.Emulator{Attempts: 3}, f)
		w.emu.Seed(rotated())
		want(t, w.rotate(id(3)), "", "")
		r := w.wait()
		if r.Outcome != "RotationFailed" || f.steps() != "create create create" || r.Message != "createSecret: string: broken" {
			t.Errorf("%s %q after %s", r.Outcome, r.Message, f.steps())
		}
		w.wantShape("v1[AWSPREVIOUS] v2[AWSCURRENT] v3[AWSPENDING]empty")
		if w.eventNames() != "RotationStarted RotationFailed" {
			t.Errorf("events %s", w.eventNames())
		}
	})
	t.Run("five by default", func(t *testing.T) {
		t.Parallel()
		f := &function{before: func(e event) error { return errors.New("no") }}
		w := rotating(t, &awsemu.Emulator{}, f)
		w.emu.Seed(rotated())
		want(t, w.rotate(id(3)), "", "")
		if r := w.wait(); len(r.Attempts) != 5 {
			t.Errorf("%d attempts", len(r.Attempts))
		}
	})
	t.Run("finishSecret that moves nothing has failed", func(t *testing.T) {
		t.Parallel()
		w := rotating(t, &awsemu.Emulator{}, &function{})
		w.emu.Invoke = awsemu.InvokeHandler(func(context.Context, []byte) ([]byte, error) { return nil, nil })
		w.emu.Seed(rotated())
		want(t, w.rotate(id(3)), "", "")
		if r := w.wait(); r.Outcome != "RotationFailed" || !strings.Contains(r.Message, "AWSPENDING") {
			t.Errorf("%+v", r)
		}
	})
}

func TestPreviousRotationIncomplete(t *testing.T) {
	t.Parallel()
	w := rotating(t, &awsemu.Emulator{}, &function{})
	w.emu.Seed(pendingEmpty())
	want(t, w.rotate(id(4)), "InvalidRequestException", "A previous rotation isn't complete. That rotation will be reattempted.")
	if r := w.wait(); r.Version != id(3) || r.Outcome != "RotationSucceeded" {
		t.Errorf("%+v", r)
	}
	w.wantShape("v1[] v2[AWSPREVIOUS] v3[AWSCURRENT]")
}

func TestRotateSecretAnswers(t *testing.T) {
	t.Parallel()
	with := func(change func(*secretsmanager.RotateSecretInput)) func(*world) error {
		return func(w *world) error { return w.rotate(id(3), change) }
	}
	schedule := func(expression, duration string, days int64) func(*world) error {
		return with(func(in *secretsmanager.RotateSecretInput) {
			in.RotationRules = &types.RotationRulesType{ScheduleExpression: str(expression), Duration: str(duration)}
			if days != 0 {
				in.RotationRules.AutomaticallyAfterDays = &days
			}
		})
	}
	external := rotated()
	external.Type = "SnowflakeKeyPairAuthentication"
	noFunction := with(func(in *secretsmanager.RotateSecretInput) { in.RotationLambdaARN = nil })
	for _, r := range []rule{
		{name: "a function now or earlier", seed: rotated(), call: noFunction, code: "InvalidRequestException", text: "No Lambda rotation function ARN"},
		{name: "the function's policy", seed: rotated(), call: with(func(*secretsmanager.RotateSecretInput) {}), code: "AccessDeniedException", text: "cannot invoke the specified Lambda function"},
		{name: "a secret marked for deletion", seed: deleted(), call: noFunction, code: "InvalidRequestException", text: "marked for deletion"},
		{name: "a secret that a service owns", seed: owned(), call: noFunction, code: "InvalidRequestException", text: "managed by another service"},
		{name: "a managed external secret", seed: external, call: noFunction, code: "InvalidRequestException"},
		{name: "0 days", seed: rotated(), call: schedule("rate(1 day)", "", -1), code: "ValidationException", text: "automaticallyAfterDays"},
		{name: "1001 days", seed: rotated(), call: schedule("", "", 1001), code: "ValidationException", text: "1000"},
		{name: "a duration is hours", seed: rotated(), call: schedule("rate(1 day)", "3m", 0), code: "ValidationException", text: "duration"},
		{name: "a schedule's characters", seed: rotated(), call: schedule("rate(1 day);", "", 0), code: "ValidationException", text: "scheduleExpression"},
	} {
		r.run(t)
	}
	for _, r := range []struct{ name, expression, duration, text string }{
		{"days or an expression, not both", "rate(10 days)", "", "both"},
		{"at most every four hours", "rate(3 hours)", "", "every 4 hours"},
		{"rate or cron", "often", "", "rate() or cron()"},
		{"no minutes", "rate(30 minutes)", "", "rate() or cron()"},
		{"six fields in cron", "cron(0 8 1 *)", "", "rate() or cron()"},
		{"a day at most", "rate(10 days)", "25h", "Duration"},
	} {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			w := rotating(t, &awsemu.Emulator{}, &function{})
			w.emu.Seed(rotated())
			days := int64(0)
			if r.text == "both" {
				days = 10
			}
			want(t, schedule(r.expression, r.duration, days)(w), "InvalidParameterException", r.text)
			w.wantShape("v1[AWSPREVIOUS] v2[AWSCURRENT]")
		})
	}
}

func TestRotateSecretIsIdempotent(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	f := &function{before: func(event) error { <-hold; return nil }}
	w := rotating(t, &awsemu.Emulator{}, f)
	w.emu.Seed(rotated())
	want(t, w.rotate(id(3)), "", "")
	want(t, w.rotate(id(3)), "", "")
	want(t, w.rotate(id(4)), "InvalidRequestException", "isn't complete")
	close(hold)
	w.wait()
	want(t, w.rotate(id(3)), "", "")
	want(t, w.rotate(id(1)), "InvalidParameterException", "already in use")
	if f.steps() != fourSteps || w.eventNames() != "RotationStarted RotationSucceeded" {
		t.Errorf("steps %s, events %s: the same token must not rotate twice", f.steps(), w.eventNames())
	}
}

func TestRotateImmediatelyFalse(t *testing.T) {
	t.Parallel()
	later := func(in *secretsmanager.RotateSecretInput) { in.RotateImmediately = aws.Bool(false) }
	for _, c := range []struct {
		name, outcome string
		err           error
		empty         bool
	}{
		{"succeeds", "TestRotationSucceeded", nil, false},
		{"succeeds without a copy", "TestRotationSucceeded", nil, true},
		{"fails once, without another attempt", "TestRotationFailed", errors.New("no"), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := &function{before: func(event) error { return c.err }}
			w := rotating(t, &awsemu.Emulator{EmptyTest: c.empty}, f)
			w.emu.Seed(rotated())
			f.after = func(event) error {
				shape := "v1[AWSPREVIOUS] v2[AWSCURRENT] v3[AWSPENDING]"
				if c.empty {
					shape += "empty"
				}
				w.wantShape(shape)
				if s := w.emu.Snapshot("app/db"); !c.empty && !s.Holder("AWSPENDING").Value.Equal(s.Holder("AWSCURRENT").Value) {
					t.Error("AWSPENDING does not hold a copy of AWSCURRENT's value")
				}
				return nil
			}
			want(t, w.rotate(id(3), later), "", "")
			if r := w.wait(); !r.Test || r.Outcome != c.outcome || f.steps() != "test" {
				t.Errorf("%+v after %s", r, f.steps())
			}
			w.wantShape("v1[AWSPREVIOUS] v2[AWSCURRENT]")
			if s := w.emu.Snapshot("app/db"); !aws.ToBool(s.RotationEnabled) || !s.LastRotated.IsZero() {
				t.Error("rotation is set up, and has not happened")
			}
			if w.eventNames() != "TestRotationStarted "+c.outcome {
				t.Errorf("events %s", w.eventNames())
			}
		})
	}
}

func TestRotationToken(t *testing.T) {
	t.Parallel()
	t.Run("a wrong one is refused", func(t *testing.T) {
		t.Parallel()
		f := &function{}
		w := rotating(t, &awsemu.Emulator{Attempts: 1}, f)
		w.emu.Seed(rotated())
		f.before = func(e event) error {
			_, err := w.PutSecretValue(w.ctx, &secretsmanager.PutSecretValueInput{SecretId: &e.SecretId, ClientRequestToken: &e.ClientRequestToken,
				SecretString: aws.String("new"), VersionStages: []string{"AWSPENDING"}, RotationToken: aws.String(id(77))})
			want(t, err, "InvalidParameterException", "RotationToken")
			return nil
		}
		want(t, w.rotate(id(3)), "", "")
		w.wait()
	})
	t.Run("one of a version that is not there is refused", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, &awsemu.Emulator{})
		w.emu.Seed(rotated())
		_, err := w.PutSecretValue(w.ctx, &secretsmanager.PutSecretValueInput{SecretId: aws.String("app/db"), ClientRequestToken: aws.String(id(3)), SecretString: aws.String("x"), RotationToken: aws.String(id(77))})
		want(t, err, "InvalidParameterException", "RotationToken")
	})
	for name, token := range map[string]string{"35 characters": id(1)[:35], "257 characters": strings.Repeat("a", 257), "other characters": strings.Repeat("_", 40)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, &awsemu.Emulator{})
			w.emu.Seed(pendingEmpty())
			_, err := w.PutSecretValue(w.ctx, &secretsmanager.PutSecretValueInput{SecretId: aws.String("app/db"), ClientRequestToken: aws.String(id(3)), SecretString: aws.String("x"), RotationToken: &token})
			want(t, err, "ValidationException", "rotationToken")
		})
	}
	t.Run("none, where one is required, fails the rotation", func(t *testing.T) {
		t.Parallel()
		f := &function{}
		w := rotating(t, &awsemu.Emulator{RequireToken: true}, f)
		w.emu.Seed(rotated())
		f.before = func(e event) error { return put(e.ClientRequestToken, "new", "AWSPENDING")(w) }
		want(t, w.rotate(id(3)), "", "")
		if r := w.wait(); r.Outcome != "RotationFailed" || !strings.HasPrefix(r.Message, "Pending secret version "+id(3)) || f.steps() != "create" {
			t.Errorf("%s %q after %s", r.Outcome, r.Message, f.steps())
		}
	})
	t.Run("the right one, where one is required", func(t *testing.T) {
		t.Parallel()
		w := rotating(t, &awsemu.Emulator{RequireToken: true}, &function{})
		w.emu.Seed(rotated())
		want(t, w.rotate(id(3)), "", "")
		if r := w.wait(); r.Outcome != "RotationSucceeded" {
			t.Errorf("%s %q", r.Outcome, r.Message)
		}
	})
}

func TestRotationAbandoned(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(*world) error{"PutSecretValue": put(id(9), "manual"), "UpdateSecret": update(id(9), "manual")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &function{}
			w := rotating(t, &awsemu.Emulator{}, f)
			w.emu.Seed(rotated())
			f.after = func(e event) error {
				if e.Step == "setSecret" {
					return write(w)
				}
				return nil
			}
			want(t, w.rotate(id(3)), "", "")
			if r := w.wait(); r.Outcome != "RotationAbandoned" || f.steps() != "create set" {
				t.Errorf("%s after %s", r.Outcome, f.steps())
			}
			w.wantShape("v1[] v2[AWSPREVIOUS] v3[] v4[AWSCURRENT]")
			if w.eventNames() != "RotationStarted RotationAbandoned" {
				t.Errorf("events %s", w.eventNames())
			}
		})
	}
}

func TestCancelRotateSecret(t *testing.T) {
	t.Parallel()
	t.Run("a running rotation stops before its next step", func(t *testing.T) {
		t.Parallel()
		f := &function{}
		w := rotating(t, &awsemu.Emulator{}, f)
		w.emu.Seed(rotated())
		f.after = func(e event) error {
			if e.Step != "setSecret" {
				return nil
			}
			out, err := w.CancelRotateSecret(w.ctx, &secretsmanager.CancelRotateSecretInput{SecretId: &e.SecretId})
			if err == nil && aws.ToString(out.VersionId) != id(3) {
				t.Errorf("VersionId %s, want the pending version", aws.ToString(out.VersionId))
			}
			return err
		}
		want(t, w.rotate(id(3)), "", "")
		if r := w.wait(); r.Outcome != "Cancelled" || f.steps() != "create set" {
			t.Errorf("%s after %s", r.Outcome, f.steps())
		}
		w.wantShape("v1[AWSPREVIOUS] v2[AWSCURRENT] v3[AWSPENDING]")
		if s := w.emu.Snapshot("app/db"); s.RotationEnabled == nil || *s.RotationEnabled || s.RotationLambdaARN != functionARN {
			t.Error("rotation is off, and its function stays")
		}
	})
	t.Run("nothing pending, no version", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, &awsemu.Emulator{})
		s := rotated()
		s.RotationEnabled = aws.Bool(true)
		w.emu.Seed(s)
		out, err := w.CancelRotateSecret(w.ctx, &secretsmanager.CancelRotateSecretInput{SecretId: aws.String("app/db")})
		want(t, err, "", "")
		if out.VersionId != nil {
			t.Errorf("VersionId %s", *out.VersionId)
		}
	})
}

func TestCloseEndsRotations(t *testing.T) {
	t.Parallel()
	called := make(chan struct{})
	emu := &awsemu.Emulator{Invoke: func(ctx context.Context, _ string, _ []byte) (awsemu.Response, error) {
		close(called)
		<-ctx.Done()
		return awsemu.Response{}, ctx.Err()
	}}
	w := newWorld(t, emu)
	emu.Seed(rotated())
	want(t, w.rotate(id(3)), "", "")
	<-called
	emu.Close()
	if r := w.wait(); r.Outcome != "Cancelled" || len(r.Attempts) != 1 {
		t.Errorf("%+v", r)
	}
	want(t, w.rotate(id(5)), "InternalServiceError", "")
}

func TestWaitRotation(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	f := &function{before: func(event) error { <-hold; return nil }}
	w := rotating(t, &awsemu.Emulator{}, f)
	w.emu.Seed(rotated())
	if _, err := w.emu.WaitRotation(t.Context(), "app/db"); err == nil {
		t.Error("a secret that never rotated has no history")
	}
	if _, err := w.emu.WaitRotation(t.Context(), "none"); err == nil {
		t.Error("a secret that is not there has no history")
	}
	want(t, w.rotate(id(3)), "", "")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if r, err := w.emu.WaitRotation(ended, "app/db"); !errors.Is(err, context.Canceled) || r.Outcome != "" {
		t.Errorf("%+v, %v", r, err)
	}
	close(hold)
	w.wait()
}

func TestInvokeURL(t *testing.T) {
	t.Parallel()
	var paths []string
	lambda := httptest.NewServer(handlerFunc(func(path string) (status int, functionError, body string) {
		paths = append(paths, path)
		switch len(paths) {
		case 1:
			return 200, "Unhandled", `{"errorType":"StepError","errorMessage":"first"}`
		case 2:
			return 404, "", `{}`
		}
		return 200, "", "null"
	}))
	defer lambda.Close()
	w := newWorld(t, &awsemu.Emulator{Invoke: awsemu.InvokeURL(lambda.URL), Attempts: 3})
	w.emu.Seed(rotated())
	want(t, w.rotate(id(3)), "", "")
	r := w.wait()
	if first := r.Attempts[0].Steps[0]; first.ErrorType != "StepError" || first.ErrorMessage != "first" {
		t.Errorf("first: %+v", first)
	}
	if second := r.Attempts[1].Steps[0]; second.ErrorType != "InvocationFailed" || !strings.Contains(second.ErrorMessage, "404") {
		t.Errorf("second: %+v", second)
	}
	if len(r.Attempts[2].Steps) != 4 || paths[0] != "/2015-03-31/functions/"+functionARN+"/invocations" {
		t.Errorf("third: %+v, path %s", r.Attempts[2], paths[0])
	}
}

func TestNextRotation(t *testing.T) {
	t.Parallel()
	day := func(month time.Month, d, h int) time.Time { return time.Date(2026, month, d, h, 0, 0, 0, time.UTC) }
	end := func(month time.Month, d int) time.Time { return time.Date(2026, month, d, 23, 59, 59, 0, time.UTC) }
	for _, c := range []struct {
		expression string
		want       time.Time // from Monday, 4 May 2026, 10:30 UTC
	}{
		{"rate(10 days)", end(5, 14)},
		{"rate(1 day)", end(5, 5)},
		{"rate(4 hours)", day(5, 4, 14)},
		{"cron(0 8 * * ? *)", day(5, 5, 8)},
		{"cron(0 /4 * * ? *)", day(5, 4, 12)},
		{"cron(0 16 1,15 * ? *)", day(5, 15, 16)},
		{"cron(0 8 ? * MON-FRI *)", day(5, 5, 8)},
		{"cron(0 8 ? * sun *)", day(5, 10, 8)},
		{"cron(0 10 1 JAN ? *)", day(13, 1, 10)},
		{"cron(0 8 L * ? *)", time.Time{}},
	} {
		t.Run(c.expression, func(t *testing.T) {
			t.Parallel()
			w := rotating(t, &awsemu.Emulator{Now: newClock().now}, &function{})
			w.emu.Seed(rotated())
			want(t, w.rotate(id(3), func(in *secretsmanager.RotateSecretInput) {
				in.RotationRules = &types.RotationRulesType{ScheduleExpression: &c.expression}
			}), "", "")
			w.wait()
			if got := w.emu.Snapshot("app/db").NextRotation; !got.Equal(c.want) {
				t.Errorf("next rotation %v, want %v", got, c.want)
			}
		})
	}
}
