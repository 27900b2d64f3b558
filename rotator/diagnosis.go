package rotator

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Response is what an event is answered with that people send: a Report or a
// Diagnosis. It marshals to JSON as it stands, or to one string where the event
// asked for text or Markdown.
type Response interface {
	json.Marshaler
	Text() string
	Markdown() string
}

// Diagnosis says which stored credentials of a secret work, and what to do. Its JSON
// begins with Verdict and Counts, and has the fields as they are named here. Where the
// event asked for text or Markdown, it is one string.
type Diagnosis struct {
	SecretID string
	Rotation string // on, off, or not set up
	Versions []VersionStatus
	// OtherFunction says that the secret is for another function than the one that was
	// asked. Then nothing is tested, moved or recommended.
	OtherFunction string `json:",omitempty"`
	// MovedLabel is the label that a recover has moved, and Undo takes that back. What
	// follows is then about the secret as it is now.
	MovedLabel  string `json:",omitempty"`
	UndoCommand string `json:",omitempty"`

	Action Action
	Reason string
	// Commands does it, in the AWS CLI.
	Commands []string `json:",omitempty"`
	// Fixes are what people run, in this order: what mends what the versions' lines name, a query that shows why
	// logins are rejected, and what else the reason asks for. Where For begins with "if", it depends. Where Commands do
	// what is recommended, the lines' are left out: one way out is enough.
	Fixes []Fix `json:",omitempty"`
	// RecoverEvent has the function do it: it looks again first. Where nothing is to be moved, it has the
	// function test a version that was not tested. If that is rejected, the server may count it against the user.
	RecoverEvent string `json:",omitempty"`

	format   string // of the event
	function string // whose command the text has in place of an event; "": not known
}

// VersionStatus is a version of the secret that carries a label which counts.
type VersionStatus struct {
	VersionID    string
	Labels       []string
	LabelMeaning string // what the labels say
	State        CredentialState
	Kind         Kind   `json:",omitempty"`
	Detail       string `json:",omitempty"`
}

// Text is the diagnosis for a terminal.
func (d Diagnosis) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "status of %s: %s\n", d.SecretID, d.summary())
	for _, s := range d.Versions {
		fmt.Fprintf(&b, "  %s  %s  %s\n       %s\n", s.VersionID, strings.Join(s.Labels, ","), s.State, s.LabelMeaning)
		if s.Detail != "" {
			fmt.Fprintf(&b, "       %s\n", s.Detail)
		}
	}
	if d.MovedLabel != "" {
		fmt.Fprintf(&b, "  %s\n       to undo: %s\n", d.MovedLabel, d.UndoCommand)
	}
	fmt.Fprintf(&b, "  recommended action: %s\n       %s\n", d.Action, d.Reason)
	before, after := d.aroundCommands()
	for _, x := range before {
		x.text(&b)
	}
	if before != nil && d.Commands != nil {
		b.WriteString("       after that, in a shell:\n")
	}
	for _, c := range d.Commands {
		fmt.Fprintf(&b, "         %s\n", c)
	}
	for _, x := range after {
		x.text(&b)
	}
	return b.String()
}

// Markdown is the diagnosis for a ticket.
func (d Diagnosis) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Status of `%s`: %s\n\n| version | labels | state | meaning |\n|---|---|---|---|\n", d.SecretID,
		d.summary())
	for _, s := range d.Versions {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", escapeCell(s.VersionID),
			escapeCell(strings.Join(s.Labels, ", ")), s.State,
			escapeCell(strings.TrimSpace(s.LabelMeaning+". "+s.Detail)))
	}
	if d.MovedLabel != "" {
		fmt.Fprintf(&b, "\n%s. To undo:\n\n    %s\n", d.MovedLabel, d.UndoCommand)
	}
	fmt.Fprintf(&b, "\nRecommended action: **%s**: %s\n", d.Action, d.Reason)
	before, after := d.aroundCommands()
	for _, x := range before {
		x.markdown(&b)
	}
	if before != nil && d.Commands != nil {
		b.WriteString("\nAfter that, in a shell:\n")
	}
	for _, c := range d.Commands {
		fmt.Fprintf(&b, "\n    %s\n", c)
	}
	for _, x := range after {
		x.markdown(&b)
	}
	return b.String()
}

// aroundCommands is ToRun in two: what comes before the Commands, and what after them.
func (d Diagnosis) aroundCommands() (before, after []ToRun) {
	for _, x := range d.ToRun() {
		if strings.HasPrefix(x.Lead, BeforeRotating) || strings.HasPrefix(x.Lead, beforeMoving) {
			before = append(before, x)
		} else {
			after = append(after, x)
		}
	}
	return before, after
}

// ToRun is what there is to run beside the Commands, in order: each line by itself, with what it is for.
func (d Diagnosis) ToRun() []ToRun {
	all := toRun(d.Fixes)
	if d.RecoverEvent == "" {
		return all
	}
	if d.Action.movesLabel() {
		return append(all, ToRun{Lead: "or let the function do it (it checks again first)", Line: d.RecoverEvent})
	}
	tests := slices.IndexFunc(d.Versions, func(s VersionStatus) bool {
		return strings.Contains(d.RecoverEvent, s.VersionID)
	})
	test := ToRun{Lead: "to have the function test " + strings.Join(d.Versions[max(0, tests)].Labels, "+") +
		" (a rejected login counts against the user, as each of a client's does)", Line: d.RecoverEvent}
	if d.function != "" {
		test.Line = invokeForStatus(ShellWord(d.function), d.RecoverEvent)
	}
	at := slices.IndexFunc(d.Fixes, func(f Fix) bool { // the queries come first
		return !strings.HasPrefix(f.For, "to find the cause")
	})
	if at < 0 {
		at = len(d.Fixes)
	}
	return slices.Insert(all, at, test)
}

// MarshalJSON implements json.Marshaler.
func (d Diagnosis) MarshalJSON() ([]byte, error) {
	type plain Diagnosis
	return marshal(d.format, d, struct {
		Verdict Verdict
		Counts  map[CredentialState]int
		plain
		Build string // of the function that made the diagnosis
	}{d.Verdict(), d.Counts(), plain(d), Release})
}

// Verdict says whether there is anything to do.
func (d Diagnosis) Verdict() Verdict {
	switch {
	case d.OtherFunction != "" || d.Action == ActionInvestigate && !d.foundOut():
		return VerdictUnknown
	case d.MovedLabel != "" || d.Action == ActionNone:
		return VerdictOK
	}
	return VerdictActionNeeded
}

// foundOut says whether the cause is known of what is to be investigated: no version is left of which nothing was
// learned, but where AWSCURRENT works, which is enough.
func (d Diagnosis) foundOut() bool {
	current := slices.IndexFunc(d.Versions, func(s VersionStatus) bool {
		return slices.Contains(s.Labels, LabelCurrent)
	})
	if current < 0 || d.Versions[current].State == CredentialWorks {
		return current >= 0
	}
	return !slices.ContainsFunc(d.Versions, func(s VersionStatus) bool {
		return s.State == CredentialUnknown && !s.Kind.isAnswer() ||
			s.State == CredentialNotTested && (slices.Contains(s.Labels, LabelCurrent) || d.RecoverEvent != "" ||
				d.Versions[current].State == CredentialRejected)
	})
}

// Counts says how many versions are in each state; a state that none is in is absent.
func (d Diagnosis) Counts() map[CredentialState]int {
	return count(d.Versions, func(s VersionStatus) CredentialState { return s.State })
}

// summary is one line: what works, and how things stand.
func (d Diagnosis) summary() string {
	if d.OtherFunction != "" {
		return d.OtherFunction
	}
	var parts []string
	for _, s := range d.Versions {
		parts = append(parts, fmt.Sprintf("%s %s", strings.Join(s.Labels, "+"), stateText(s.State)))
	}
	return strings.Join(append(parts, "rotation is "+d.Rotation), ", ")
}

func stateText(s CredentialState) string {
	switch s {
	case CredentialWorks:
		return string(s)
	case CredentialOtherTarget:
		return "is for another target"
	}
	return "is " + string(s)
}

// labelMeaning explains the labels that a version has.
func labelMeaning(labels []string) string {
	has := func(label string) bool { return slices.Contains(labels, label) }
	switch {
	case has(LabelCurrent) && has(LabelPending):
		return "the value clients read. AWSPENDING is left on it; the next rotation removes it"
	case has(LabelCurrent):
		return "the value clients read"
	case has(LabelPending) && has(LabelPrevious):
		return "previous value, and pending value of an incomplete rotation: rolled back; the next rotation would " +
			"resume it"
	case has(LabelPending):
		return "pending value of an incomplete rotation"
	}
	return "the value clients read before"
}
