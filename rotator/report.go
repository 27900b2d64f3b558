package rotator

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Status is what a check found.
type Status string

const (
	// StatusPassed: the very thing was done, or done and taken back. A Detail beside it
	// is something to know, and no reason to wait.
	StatusPassed Status = "passed"
	// StatusInferred: the answer is one that only comes after the permission was found.
	StatusInferred Status = "inferred"
	// StatusDenied: a policy or the server refused.
	StatusDenied Status = "denied"
	// StatusFailed: it is not a matter of permission, and it would not work.
	StatusFailed Status = "failed"
	// StatusUnknown: it could not be tried. It never counts as a no, and as a yes only
	// where the mode is not Strict.
	StatusUnknown Status = "unknown"
	// StatusSkipped: an earlier finding leaves nothing to try, or a later call tries it.
	StatusSkipped Status = "skipped"
)

// Finding is the outcome of one check.
type Finding struct {
	ID             string // stable, for runbooks: S1, T1, P1 and so on
	Check          string // what was tried
	Status         Status
	Kind           Kind     `json:",omitempty"` // of what is wrong
	Detail         string   `json:",omitempty"` // what is wrong and what to do, or why it was skipped
	Hint           string   `json:",omitempty"` // what to do, where it is as exact as a policy statement
	PolicyAnalysis []string `json:",omitempty"` // after a denial: what quarterturn preflight found in the policies
	Fixes          []Fix    `json:",omitempty"` // what people run
	// Deferred: the rotation itself tries it, before anything has changed, so that not
	// to know it yet blocks nothing.
	Deferred bool `json:",omitempty"`

	otherEngine bool // see ErrOtherEngine
}

// NewFinding makes a Finding of a check that ended with err. An outage is never a
// denial: what was asked and not answered stays unknown for Secrets Manager, and
// is a fault of its own for a database.
func NewFinding(id, check string, err error) Finding {
	f := Finding{ID: id, Check: check, Status: StatusPassed, otherEngine: errors.Is(err, ErrOtherEngine)}
	if err == nil {
		return f
	}
	f.Kind, f.Detail, f.Hint, f.Fixes = KindOf(err), briefly(err), knownHint(err), FixesOf(err)
	switch f.Kind {
	case KindAccessDenied, KindPrivilege, KindNotEntitled:
		f.Status = StatusDenied
	case KindThrottled, KindDeadline, KindInternal:
		f.Status = StatusUnknown
	default:
		f.Status = StatusFailed
	}
	return f
}

// line is the finding within a sentence, with what its detail leaves to Fixes.
func (f Finding) line() string {
	text := f.brief()
	for _, fix := range f.Fixes {
		if !strings.Contains(f.Detail, fix.Run) {
			text += fmt.Sprintf(" (%s: %s)", fix.lead(), fix.Run)
		}
	}
	return text
}

func (f Finding) brief() string {
	return fmt.Sprintf("[%s %s] %s: %s", f.ID, f.Status, f.Check, f.Detail)
}

// Report is what a preflight found. Its JSON begins with Verdict and Counts, and has the
// fields as they are named here. Where the event asked for text or Markdown, it is one string.
type Report struct {
	SecretID string
	Strict   bool `json:",omitempty"` // what is unknown is in the way too
	Findings []Finding
	// OtherFunction says that the secret is for another function than the one that was
	// asked.
	OtherFunction string `json:",omitempty"`

	format string // of the event
}

// Blocking gives the findings for which a rotation must not begin.
func (r Report) Blocking() []Finding {
	var blocking []Finding
	for _, f := range r.Findings {
		if f.Status == StatusDenied || f.Status == StatusFailed || f.Status == StatusUnknown && r.Strict &&
			!f.Deferred {
			blocking = append(blocking, f)
		}
	}
	return blocking
}

// Err is nil if nothing blocks the rotation. Otherwise it names every blocking finding,
// and its kind is that of the first.
func (r Report) Err() error { return r.err(nothingChanged) }

// err is Err, with what became of secret and database.
func (r Report) err(unchanged string) error {
	blocking := r.Blocking()
	if len(blocking) == 0 {
		return nil
	}
	lines := make([]string, len(blocking))
	for i, f := range blocking {
		lines[i] = f.line()
	}
	kind := blocking[0].Kind
	if kind == "" {
		kind = KindMisconfigured // unknown for want of trying, in a strict report
	}
	return blockedError{fmt.Errorf("preflight: %w: %s; %s: %s", kind, r.blocked(len(blocking)),
		unchanged, strings.Join(lines, "; ")), blocking[0].Hint}
}

// blockedError is that of a report. Its text has the hint of each finding already.
type blockedError struct {
	error
	hint string
}

func (e blockedError) Unwrap() error { return e.error }
func (e blockedError) Hint() string  { return e.hint }

// Verdict is what a report or a diagnosis comes to.
type Verdict string

const (
	VerdictReady        Verdict = "ready"         // a preflight: nothing blocks a rotation
	VerdictBlocked      Verdict = "blocked"       // a preflight: a finding stops the rotation
	VerdictOK           Verdict = "ok"            // a diagnosis: there is nothing to do
	VerdictActionNeeded Verdict = "action needed" // a diagnosis: the Action is to be done, or what a line names
	VerdictUnknown      Verdict = "unknown"       // a diagnosis: how things are could not be found out
)

// Verdict says whether a rotation may begin.
func (r Report) Verdict() Verdict {
	if len(r.Blocking()) > 0 {
		return VerdictBlocked
	}
	return VerdictReady
}

// Counts says how many findings have each status; a status that none has is absent.
func (r Report) Counts() map[Status]int {
	return count(r.Findings, func(f Finding) Status { return f.Status })
}

func count[T any, K comparable](all []T, key func(T) K) map[K]int {
	counts := map[K]int{}
	for _, one := range all {
		counts[key(one)]++
	}
	return counts
}

// blocked counts the n findings that block a rotation.
func (r Report) blocked(n int) string {
	verb := "block"
	if n == 1 {
		verb = "blocks"
	}
	return fmt.Sprintf("%d of %d checks %s the rotation", n, len(r.Findings), verb)
}

// Text is the report for a terminal.
func (r Report) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "preflight of %s: %s\n", r.SecretID, r.summary())
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "  %-3s  %-8s  %s\n", f.ID, f.Status, f.Check)
		for _, line := range append(f.details(), f.PolicyAnalysis...) {
			fmt.Fprintf(&b, "       %s\n", line)
		}
		for _, x := range f.ToRun() {
			x.text(&b)
		}
	}
	b.WriteString(r.legend("  %s\n"))
	return b.String()
}

// legend explains the status that does not speak for itself, where a finding has it.
func (r Report) legend(format string) string {
	if r.Counts()[StatusInferred] == 0 {
		return ""
	}
	return fmt.Sprintf(format, "inferred: AWS answered a call designed to fail as it answers only those who have the "+
		"permission")
}

// Markdown is the report for a ticket.
func (r Report) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Preflight of `%s`: %s\n\n| check | status | tried | found |\n|---|---|---|---|\n", r.SecretID,
		r.summary())
	for _, f := range r.Findings {
		found := escapeCell(strings.Join(append(f.details(), f.PolicyAnalysis...), " "))
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", f.ID, f.Status, escapeCell(f.Check), found)
	}
	b.WriteString(r.legend("\n%s\n"))
	for _, f := range r.Findings {
		for _, x := range f.ToRun() {
			x.markdown(&b)
		}
	}
	return b.String()
}

// escapeCell fits text into a cell of a table in Markdown, where "\\|" would be a backslash and the end of the cell.
func escapeCell(text string) string {
	text = strings.ReplaceAll(text, "\n", " ")
	return regexp.MustCompile(`\\*\|`).ReplaceAllStringFunc(text, func(bar string) string {
		return strings.Repeat(`\`, 2*len(bar)-1) + "|"
	})
}

// ToRun is what people run for it, as it is shown.
func (f Finding) ToRun() []ToRun { return toRun(f.Fixes) }

func (f Finding) details() []string {
	if f.Detail == "" {
		return nil
	}
	return []string{f.Detail}
}

func (r Report) summary() string {
	text := fmt.Sprintf("%d checks, none blocks a rotation", len(r.Findings))
	if n := len(r.Blocking()); n > 0 {
		text = r.blocked(n)
	}
	if unknown := r.Counts()[StatusUnknown]; unknown > 0 {
		text += fmt.Sprintf(", %d unknown", unknown)
	}
	if r.OtherFunction != "" {
		text = r.OtherFunction + ". " + text
	}
	return text
}

// MarshalJSON implements json.Marshaler.
func (r Report) MarshalJSON() ([]byte, error) {
	type plain Report
	return marshal(r.format, r, struct {
		Verdict Verdict
		Counts  map[Status]int
		plain
		Build string // of the function that made the report
	}{r.Verdict(), r.Counts(), plain(r), Release})
}

// marshal gives an answer as the event asked for it; plain is the answer as data.
func marshal(format string, a Response, plain any) ([]byte, error) {
	switch format {
	case formatText:
		return json.Marshal(a.Text())
	case formatMarkdown:
		return json.Marshal(a.Markdown())
	}
	return json.Marshal(plain)
}

// The values of an event's Format.
const (
	formatJSON     = "json"
	formatText     = "text"
	formatMarkdown = "markdown"
)
