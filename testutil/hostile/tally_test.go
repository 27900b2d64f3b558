package hostile_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/hostile"
)

// TestATallySeesWhatIsWrong: a count of nothing is worth what the counter is.
func TestATallySeesWhatIsWrong(t *testing.T) {
	refuse := func(kind rotator.Kind, text string) func(context.Context) (rotator.Answer, error) {
		return func(context.Context) (rotator.Answer, error) {
			return nil, &rotator.StepError{Kind: kind, Err: fmt.Errorf("%s: %w", text, kind)}
		}
	}
	good := refuse(rotator.Misconfigured, "the secret holds no user name")
	prints := func(lines string) func() string { return func() string { return lines } }
	for name, c := range map[string]struct {
		trial hostile.Trial
		want  hostile.Tally
	}{
		"all well":         {hostile.Trial{Do: good, Printed: prints("{\"message\":\"failed\"}\n")}, hostile.Tally{}},
		"an answer of yes": {hostile.Trial{Do: func(context.Context) (rotator.Answer, error) { return &rotator.Report{}, nil }}, hostile.Tally{Accepted: 1}},
		"an answer of no": {hostile.Trial{Do: func(context.Context) (rotator.Answer, error) {
			return &rotator.Report{Findings: []rotator.Finding{rotator.Judge("P1", "try", rotator.Conflict)}}, nil
		}}, hostile.Tally{}},
		"nothing said":  {hostile.Trial{Do: func(context.Context) (rotator.Answer, error) { return nil, nil }}, hostile.Tally{Accepted: 1}},
		"internal":      {hostile.Trial{Do: refuse(rotator.Internal, "something of a surprise")}, hostile.Tally{Internal: 1}},
		"a bare error":  {hostile.Trial{Do: func(context.Context) (rotator.Answer, error) { return nil, errors.New("something went quite wrong") }}, hostile.Tally{Internal: 1, Unfit: 1}},
		"no sentence":   {hostile.Trial{Do: refuse(rotator.Conflict, "no")}, hostile.Tally{Unfit: 1}},
		"too long":      {hostile.Trial{Do: refuse(rotator.Conflict, strings.Repeat("long ", 2000))}, hostile.Tally{Unfit: 1}},
		"a line feed":   {hostile.Trial{Do: refuse(rotator.Conflict, "user a\nb is somebody else")}, hostile.Tally{Unfit: 1}},
		"turned round":  {hostile.Trial{Do: refuse(rotator.Conflict, "user a\u202eb is somebody else")}, hostile.Tally{Unfit: 1}},
		"a leak":        {hostile.Trial{Do: refuse(rotator.Conflict, "password canary-1 is wrong"), Hidden: []string{"canary-1"}}, hostile.Tally{Leaked: 1}},
		"a leak in log": {hostile.Trial{Do: good, Hidden: []string{"canary-1"}, Printed: prints(`{"message":"\u0063anary-1"}`)}, hostile.Tally{Leaked: 1}},
		"a forged line": {hostile.Trial{Do: good, Printed: prints(`{"error":"a\nb"}`)}, hostile.Tally{Unfit: 1}},
		"forged deeper": {hostile.Trial{Do: good, Printed: prints(`{"why":["a\u001b[31m"]}`)}, hostile.Tally{Unfit: 1}},
		"not JSON":      {hostile.Trial{Do: good, Printed: prints("panic: oh\n")}, hostile.Tally{Unfit: 1}},
		"a panic":       {hostile.Trial{Do: func(context.Context) (rotator.Answer, error) { panic("oh") }}, hostile.Tally{Panics: 1, Accepted: 1}},
		"one recovered": {hostile.Trial{Do: good, Printed: prints(`{"stack_trace":"main.go"}`)}, hostile.Tally{Panics: 1}},
		"a change":      {hostile.Trial{Do: good, Changed: func() []string { return []string{"a label"} }}, hostile.Tally{Changed: 1}},
		"late": {hostile.Trial{Within: time.Nanosecond, Do: func(ctx context.Context) (rotator.Answer, error) {
			<-ctx.Done()
			return good(ctx)
		}}, hostile.Tally{Late: 1}},
	} {
		var got hostile.Tally
		wrong := got.Run(t.Context(), c.trial)
		found := got
		found.Inputs, found.Slowest, found.SlowestOf = 0, 0, ""
		if found != c.want || got.Inputs != 1 || (len(wrong) == 0) != (c.want == hostile.Tally{}) {
			t.Errorf("%s: %+v, and in words: %q", name, got, wrong)
		}
	}
}

// perhapsGood is a trial of what may be right, and is then acted on: what is left to
// judge is how it is told.
func perhapsGood(trial hostile.Trial) hostile.Trial {
	do := trial.Do
	trial.Changed = nil
	trial.Do = func(ctx context.Context) (rotator.Answer, error) {
		if answer, err := do(ctx); err != nil {
			return answer, err
		}
		return nil, &rotator.StepError{Kind: rotator.Conflict, Err: fmt.Errorf("this was a good one: %w", rotator.Conflict)}
	}
	return trial
}

// FuzzEvent: whatever the payload, a function that has nothing to do says so properly.
func FuzzEvent(f *testing.F) {
	w := newWorld(ways[0].make, right())
	for i, input := range hostile.Events(w.arn, "99999999-9999-4999-8999-999999999999", token) {
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
	for i, input := range hostile.Values(value("app", password)) {
		if i%12 == 0 && len(input.Text) < 2000 {
			f.Add(input.Text)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) == 0 || len(text) > hostile.Large {
			return
		}
		s := right()
		s.current, s.pending = awsemu.Text(text), empty
		w := newWorld(ways[0].make, s)
		a := trials{t: t}
		a.run(perhapsGood(w.trial("fuzzed", event("createSecret", w.arn))))
	})
}
