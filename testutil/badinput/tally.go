package badinput

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/quarterturn-dev/quarterturn/rotator"
)

// Trial is a function that is given one bad input.
type Trial struct {
	Input string // for people
	// Do gives the function its event. The answer may be nil.
	Do func(context.Context) (rotator.Response, error)
	// Printed is all that the function wrote since: lines of JSON. nil: nothing.
	Printed func() string
	// Changed says in sentences what is otherwise than before. nil: nothing is.
	Changed func() []string
	// Hidden are the values that may not be seen, of 8 bytes or more each.
	Hidden []string
	// Within is how long it may take. 0: 30 s, which a slow machine does not need either.
	Within time.Duration
}

// Tally counts what became of bad inputs. Its zero value is ready.
type Tally struct {
	Inputs, Accepted, Changed, Leaked, Panics, Internal, Unfit, Late int

	Slowest   time.Duration
	SlowestOf string
}

// Counted is what a Tally counts, in the words of its String.
const Counted = "bad inputs"

// String is the count, for a report.
func (t Tally) String() string {
	return fmt.Sprintf("%d "+Counted+": %d accepted, %d with a change, %d leaked, %d panics, %d internal, "+
		"%d unfit for a log, %d late (the slowest took %s: %s)",
		t.Inputs, t.Accepted, t.Changed, t.Leaked, t.Panics, t.Internal, t.Unfit, t.Late,
		t.Slowest.Round(time.Millisecond), t.SlowestOf)
}

// longest is how long an error may be, and a line of the log twelve times that.
const longest = 8 << 10

// Run makes a trial and gives what is wrong with what became of it.
func (t *Tally) Run(ctx context.Context, trial Trial) (wrong []string) {
	t.Inputs++
	say := func(count *int, format string, args ...any) {
		*count++
		wrong = append(wrong, fmt.Sprintf(format, args...))
	}
	if trial.Within == 0 {
		trial.Within = 30 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, trial.Within)
	defer cancel()
	start := time.Now()
	answer, panicked, err := do(ctx, trial)
	took := time.Since(start)
	if took > t.Slowest {
		t.Slowest, t.SlowestOf = took, trial.Input
	}
	if took > trial.Within {
		say(&t.Late, "it took %s", took)
	}
	var printed string
	if trial.Printed != nil {
		printed = trial.Printed()
	}
	if panicked != "" || strings.Contains(printed, "stack_trace") {
		say(&t.Panics, "a panic: %s", panicked)
	}
	// What people ask is answered, also where the answer is no.
	refusal := err
	if refusal == nil && answer != nil {
		refusal = inAnswer(answer)
	}
	if refusal == nil {
		say(&t.Accepted, "accepted")
	} else if kind := rotator.KindOf(refusal); kind == rotator.KindInternal || kind == "" {
		say(&t.Internal, "the error is internal: %s", visible(refusal.Error()))
	}
	if err != nil {
		if why := notLoggable(err); why != "" {
			say(&t.Unfit, "%s: %s", why, visible(err.Error()))
		}
	}
	told := shown(answer, err)
	for line := range strings.Lines(printed) {
		text, why := decoded(line)
		if why != "" {
			say(&t.Unfit, "%s in the output: %s", why, visible(line))
		}
		told += "\n" + line + "\n" + text
	}
	for _, h := range trial.Hidden {
		if len(h) >= 8 && strings.Contains(told, h) {
			say(&t.Leaked, "a secret is in what it says")
		}
	}
	if trial.Changed != nil {
		for _, c := range trial.Changed() {
			say(&t.Changed, "changed: %s", c)
		}
	}
	return wrong
}

func do(ctx context.Context, trial Trial) (answer rotator.Response, panicked string, err error) {
	defer func() {
		if p := recover(); p != nil {
			panicked = "it came out of the function"
		}
	}()
	answer, err = trial.Do(ctx)
	return answer, "", err
}

// inAnswer is the error that an answer stands for: nil where all is well.
func inAnswer(a rotator.Response) error {
	switch a := a.(type) {
	case *rotator.Report:
		return a.Err()
	case *rotator.Diagnosis:
		for _, v := range a.Versions {
			if v.Kind != "" {
				return fmt.Errorf("%s: %w", v.Detail, v.Kind)
			}
		}
	}
	return nil
}

// notLoggable says why an error is not one to be shown to people; "" if it is.
func notLoggable(err error) string {
	text := err.Error()
	switch step := new(rotator.StepError); {
	case !errors.As(err, &step):
		return fmt.Sprintf("the error is a %T and not a *rotator.StepError", err)
	case len(text) < 20 || !strings.Contains(text, " "):
		return "the error is no sentence"
	case len(text) > longest:
		return fmt.Sprintf("the error has %d bytes", len(text))
	case !fit(text):
		return "the error has characters that do not belong in a log"
	}
	return ""
}

// fit says whether a text shows as it is: valid UTF-8 without controls, and without
// what turns, hides or breaks lines.
func fit(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool {
		return unicode.In(r, unicode.C, unicode.Zl, unicode.Zp)
	})
}

// shown is every way to print an answer and an error.
func shown(answer rotator.Response, err error) string {
	text := fmt.Sprintf("%v\n%+v\n%#v\n%q", err, err, err, fmt.Sprint(err))
	if answer != nil {
		body, _ := json.Marshal(answer)
		text += "\n" + string(body) + "\n" + answer.Text() + "\n" + answer.Markdown()
	}
	return text
}

// decoded gives the strings of a line of JSON, and says why it is not fit for a log.
func decoded(line string) (text, unfit string) {
	var entry map[string]any
	switch {
	case len(line) > 12*longest:
		unfit = fmt.Sprintf("a line of %d bytes", len(line))
	case json.Unmarshal([]byte(line), &entry) != nil:
		return "", "a line that is not JSON"
	case !fit(strings.TrimSuffix(line, "\n")):
		unfit = "a line that does not show as it is"
	}
	for key, value := range entry {
		for _, s := range flat(value) {
			text += s + "\n"
			if key != "stack_trace" && !fit(s) {
				unfit = key + " with characters that do not belong in a log"
			}
		}
	}
	return text, unfit
}

func flat(value any) (all []string) {
	switch v := value.(type) {
	case string:
		return []string{v}
	case []any:
		for _, item := range v {
			all = append(all, flat(item)...)
		}
	case map[string]any:
		for key, item := range v {
			all = append(append(all, key), flat(item)...)
		}
	}
	return all
}

// visible is a text for the failure of a test.
func visible(text string) string {
	if len(text) > 500 {
		text = text[:500] + "..."
	}
	return fmt.Sprintf("%+q", text)
}
