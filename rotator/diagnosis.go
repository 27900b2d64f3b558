package rotator

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Answer is what an event is answered with that people send: a Report or a
// Diagnosis. It marshals to JSON as it stands, or to one string where the event
// asked for text or Markdown.
type Answer interface {
	json.Marshaler
	Text() string
	Markdown() string
}

// Diagnosis says which stored credentials of a secret work, and what to do.
type Diagnosis struct {
	Secret   string
	Rotation string // on, off, or not set up
	Versions []Stored
	// Moved is the label that a recover has moved, and Undo takes that back. What
	// follows is then about the secret as it is now.
	Moved string `json:",omitempty"`
	Undo  string `json:",omitempty"`

	Action  Action
	Because string
	// Commands does it, in the AWS CLI.
	Commands []string `json:",omitempty"`
	// Event has the function do it: it looks again first.
	Event string `json:",omitempty"`

	format string // of the event
}

// Stored is a version of the secret that carries a label which counts.
type Stored struct {
	Version  string
	Labels   []string
	Means    string // what the labels say
	Standing Standing
	Kind     Kind   `json:",omitempty"`
	Detail   string `json:",omitempty"`
}

// Text is the diagnosis for a terminal.
func (d Diagnosis) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "status of %s: %s\n", d.Secret, d.verdict())
	for _, s := range d.Versions {
		fmt.Fprintf(&b, "  %s  %s  %s\n       %s\n", s.Version, strings.Join(s.Labels, ","), s.Standing, s.Means)
		if s.Detail != "" {
			fmt.Fprintf(&b, "       %s\n", s.Detail)
		}
	}
	if d.Moved != "" {
		fmt.Fprintf(&b, "  %s\n       to take that back: %s\n", d.Moved, d.Undo)
	}
	fmt.Fprintf(&b, "  to do: %s\n       %s\n", d.Action, d.Because)
	for _, c := range d.Commands {
		fmt.Fprintf(&b, "       %s\n", c)
	}
	if d.Event != "" {
		fmt.Fprintf(&b, "       or, by the function, which looks again first: %s\n", d.Event)
	}
	return b.String()
}

// Markdown is the diagnosis for a ticket.
func (d Diagnosis) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Status of `%s`: %s\n\n| version | labels | state | meaning |\n|---|---|---|---|\n", d.Secret, d.verdict())
	for _, s := range d.Versions {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", s.Version, strings.Join(s.Labels, ", "), s.Standing, cell(strings.TrimSpace(s.Means+". "+s.Detail)))
	}
	if d.Moved != "" {
		fmt.Fprintf(&b, "\n%s. To take that back:\n\n    %s\n", d.Moved, d.Undo)
	}
	fmt.Fprintf(&b, "\nTo do: **%s**: %s\n", d.Action, d.Because)
	for _, c := range d.Commands {
		fmt.Fprintf(&b, "\n    %s\n", c)
	}
	if d.Event != "" {
		fmt.Fprintf(&b, "\nOr, by the function, which looks again first:\n\n    %s\n", d.Event)
	}
	return b.String()
}

// MarshalJSON implements json.Marshaler.
func (d Diagnosis) MarshalJSON() ([]byte, error) {
	type plain Diagnosis
	return marshal(d.format, d, plain(d))
}

// verdict is one line: what works, and how things stand.
func (d Diagnosis) verdict() string {
	var parts []string
	for _, s := range d.Versions {
		parts = append(parts, fmt.Sprintf("%s %s", strings.Join(s.Labels, "+"), phrase(s.Standing)))
	}
	return strings.Join(append(parts, "rotation is "+d.Rotation), ", ")
}

func phrase(s Standing) string {
	if s == Accepted {
		return string(s)
	}
	return "is " + string(s)
}

// meaning explains the labels that a version carries.
func meaning(labels []string) string {
	has := func(label string) bool { return slices.Contains(labels, label) }
	switch {
	case has(LabelCurrent) && has(LabelPending):
		return "what clients read; AWSPENDING is left from the rotation that made it, which has ended: that is no fault, and the next rotation takes it away"
	case has(LabelCurrent):
		return "what clients read"
	case has(LabelPending) && has(LabelPrevious):
		return "what clients read before, and the value of a rotation that has not ended: somebody went back from it, and the next rotation would take it up again"
	case has(LabelPending):
		return "the value of a rotation that has not ended"
	}
	return "what clients read before"
}
