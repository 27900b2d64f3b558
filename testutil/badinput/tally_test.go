package badinput_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/badinput"
)

// TestATallySeesWhatIsWrong: a count of nothing is worth what the counter is.
func TestATallySeesWhatIsWrong(t *testing.T) {
	refuse := func(kind rotator.Kind, text string) func(context.Context) (rotator.Response, error) {
		return func(context.Context) (rotator.Response, error) {
			return nil, &rotator.StepError{Kind: kind, Err: fmt.Errorf("%s: %w", text, kind)}
		}
	}
	good := refuse(rotator.KindMisconfigured, "the secret holds no user name")
	prints := func(lines string) func() string { return func() string { return lines } }
	for name, c := range map[string]struct {
		trial badinput.Trial
		want  badinput.Tally
	}{
		"all well":         {badinput.Trial{Do: good, Printed: prints("{\"message\":\"failed\"}\n")}, badinput.Tally{}},
		"an answer of yes": {badinput.Trial{Do: func(context.Context) (rotator.Response, error) { return &rotator.Report{}, nil }}, badinput.Tally{Accepted: 1}},
		"an answer of no": {badinput.Trial{Do: func(context.Context) (rotator.Response, error) {
			return &rotator.Report{Findings: []rotator.Finding{rotator.NewFinding("P1", "try", rotator.KindConflict)}},
				nil
		}}, badinput.Tally{}},
		"nothing said":  {badinput.Trial{Do: func(context.Context) (rotator.Response, error) { return nil, nil }}, badinput.Tally{Accepted: 1}},
		"internal":      {badinput.Trial{Do: refuse(rotator.KindInternal, "something of a surprise")}, badinput.Tally{Internal: 1}},
		"a bare error":  {badinput.Trial{Do: func(context.Context) (rotator.Response, error) { return nil, errors.New("something went quite wrong") }}, badinput.Tally{Internal: 1, Unfit: 1}},
		"no sentence":   {badinput.Trial{Do: refuse(rotator.KindConflict, "no")}, badinput.Tally{Unfit: 1}},
		"too long":      {badinput.Trial{Do: refuse(rotator.KindConflict, strings.Repeat("long ", 2000))}, badinput.Tally{Unfit: 1}},
		"a line feed":   {badinput.Trial{Do: refuse(rotator.KindConflict, "user a\nb is somebody else")}, badinput.Tally{Unfit: 1}},
		"turned round":  {badinput.Trial{Do: refuse(rotator.KindConflict, "user a\u202eb is somebody else")}, badinput.Tally{Unfit: 1}},
		"a leak":        {badinput.Trial{Do: refuse(rotator.KindConflict, "password canary-1 is wrong"), Hidden: []string{"canary-1"}}, badinput.Tally{Leaked: 1}},
		"a leak in log": {badinput.Trial{Do: good, Hidden: []string{"canary-1"}, Printed: prints(`{"message":"\u0063anary-1"}`)}, badinput.Tally{Leaked: 1}},
		"a forged line": {badinput.Trial{Do: good, Printed: prints(`{"error":"a\nb"}`)}, badinput.Tally{Unfit: 1}},
		"forged deeper": {badinput.Trial{Do: good, Printed: prints(`{"why":["a\u001b[31m"]}`)}, badinput.Tally{Unfit: 1}},
		"not JSON":      {badinput.Trial{Do: good, Printed: prints("panic: oh\n")}, badinput.Tally{Unfit: 1}},
		"a panic":       {badinput.Trial{Do: func(context.Context) (rotator.Response, error) { panic("oh") }}, badinput.Tally{Panics: 1, Accepted: 1}},
		"one recovered": {badinput.Trial{Do: good, Printed: prints(`{"stack_trace":"main.go"}`)}, badinput.Tally{Panics: 1}},
		"a change":      {badinput.Trial{Do: good, Changed: func() []string { return []string{"a label"} }}, badinput.Tally{Changed: 1}},
		"late": {badinput.Trial{Within: time.Nanosecond, Do: func(ctx context.Context) (rotator.Response, error) {
			<-ctx.Done()
			return good(ctx)
		}}, badinput.Tally{Late: 1}},
	} {
		var got badinput.Tally
		wrong := got.Run(t.Context(), c.trial)
		found := got
		found.Inputs, found.Slowest, found.SlowestOf = 0, 0, ""
		if found != c.want || got.Inputs != 1 || (len(wrong) == 0) != (c.want == badinput.Tally{}) {
			t.Errorf("%s: %+v, and in words: %q", name, got, wrong)
		}
	}
}

// perhapsGood is a trial of what may be right, and is then acted on: what is left to
// judge is how it is told.
func perhapsGood(trial badinput.Trial) badinput.Trial {
	do := trial.Do
	trial.Changed = nil
	trial.Do = func(ctx context.Context) (rotator.Response, error) {
		if answer, err := do(ctx); err != nil {
			return answer, err
		}
		return nil, &rotator.StepError{Kind: rotator.KindConflict, Err: fmt.Errorf("this was a good one: %w",
			rotator.KindConflict)}
	}
	return trial
}

// FuzzEvent: whatever the payload, a function that has nothing to do says so properly.
func FuzzEvent(f *testing.F) {
	w := newWorld(ways[0].make, right())
	for i, input := range badinput.Events(w.arn, "99999999-9999-4999-8999-999999999999", token) {
		if i%40 == 0 && len(input.Text) < 2000 {
			f.Add([]byte(input.Text))
		}
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		s := right()
		s.pending = empty
		w := newWorld(ways[0].make, s)
		a := trials{t: t}
		a.run(perhapsGood(w.trial("fuzzed", string(payload))))
	})
}

// FuzzValue: whatever AWSCURRENT holds, nothing that is secret is told of it.
func FuzzValue(f *testing.F) {
	for i, input := range badinput.Values(value("app", password)) {
		if i%12 == 0 && len(input.Text) < 2000 {
			f.Add(input.Text)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) == 0 || len(text) > badinput.Large {
			return
		}
		s := right()
		s.current, s.pending = awsemu.Text(text), empty
		w := newWorld(ways[0].make, s)
		a := trials{t: t}
		a.run(perhapsGood(w.trial("fuzzed", event("createSecret", w.arn))))
	})
}
