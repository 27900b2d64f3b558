package fleet

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// Text writes the report for a terminal: the worst first, one line a secret, and at most
// two more for what to do.
func (r *Report) Text(out io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "fleet  %s\n", r.Summary())
	for _, e := range r.Secrets {
		e.text(&b)
	}
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "  %-11s  %s %s  %s %s\n", strings.ToUpper(string(f.Severity)), f.Account, f.Region, f.ID,
			f.Sentence)
		if f.Remedy != "" {
			fmt.Fprintf(&b, "        %s\n", f.Remedy)
		}
	}
	for _, e := range r.Exceptions {
		fmt.Fprintf(&b, "  accepted     %s: %s until %s\n", e.ARN, e.Finding, e.Until.Add(-day).Format("2006-01-02"))
	}
	fmt.Fprintf(&b, "functions  %s\n", r.functions())
	if c := r.Changes; c != nil {
		fmt.Fprintf(&b, "since %s  %s\n", stamp(c.Since), c.summary())
		for _, key := range c.New {
			fmt.Fprintf(&b, "  new    %s\n", key)
		}
		for _, key := range c.Fixed {
			fmt.Fprintf(&b, "  fixed  %s\n", key)
		}
		for _, key := range c.NotRead {
			fmt.Fprintf(&b, "  not looked for  %s\n", key)
		}
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func (e Entry) text(b *strings.Builder) {
	switch {
	case len(e.Findings) > 0:
	case e.State == Unknown:
		fmt.Fprintf(b, "  %-11s  %s  %s %s  not everything could be read: F34, below\n", "UNKNOWN", e.Name, e.Account,
			e.Region)
		return
	default:
		fmt.Fprintf(b, "  %-11s  %s  %s %s\n", "in order", e.Name, e.Account, e.Region)
		return
	}
	worst := e.Findings[0]
	fmt.Fprintf(b, "  %-11s  %s  %s %s  %s %s\n", strings.ToUpper(string(worst.Severity)), e.Name, e.Account, e.Region,
		worst.ID, worst.Sentence)
	if worst.Remedy != "" {
		fmt.Fprintf(b, "        %s\n", worst.Remedy)
	}
	if len(e.Findings) > 1 {
		var others []string
		for _, f := range e.Findings[1:] {
			others = append(others, f.ID+" "+f.Name)
		}
		fmt.Fprintf(b, "        also: %s\n", strings.Join(others, ", "))
	}
}

// summary counts the changes.
func (c *Changes) summary() string {
	text := fmt.Sprintf("%d new, %d fixed, %d still there", len(c.New), len(c.Fixed), len(c.Still))
	if n := len(c.NotRead); n > 0 {
		text += fmt.Sprintf(", %d not looked for, or not readable", n)
	}
	return text
}

// Summary is the report in one line.
func (r *Report) Summary() string {
	parts := []string{fmt.Sprintf("%d in order", r.Totals.InOrder)}
	for _, s := range []Severity{Critical, High, Medium, Unknown} {
		if n := r.Totals.Severity[s]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}
	text := fmt.Sprintf("%s, %s, %s at %s: %s", count(len(r.Scope.Accounts), "account"),
		count(len(r.Scope.Regions), "Region"),
		count(r.Totals.Secrets, "secret"), stamp(r.Generated), strings.Join(parts, ", "))
	if n := len(r.Scope.Unreadable); n > 0 {
		text += fmt.Sprintf("; %s not readable", count(n, "part"))
	}
	return text
}

func count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

// functions says whose functions rotate how many secrets, and AWS's by runtime.
func (r *Report) functions() string {
	runtimes := map[string]int{}
	for _, f := range r.Functions {
		if f.Kind == "aws" && f.Runtime != "" {
			runtimes[f.Runtime] += f.Secrets
		}
	}
	var old []string
	for _, runtime := range slices.Sorted(maps.Keys(runtimes)) {
		old = append(old, fmt.Sprintf("%s: %d", runtime, runtimes[runtime]))
	}
	aws := fmt.Sprintf("AWS's templates %d", r.Totals.Function["aws"])
	if old != nil {
		aws += " (" + strings.Join(old, ", ") + ")"
	}
	return fmt.Sprintf("Quarterturn's %d secrets; %s; others %d; a service's own %d; none %d",
		r.Totals.Function["quarterturn"], aws, r.Totals.Function["other"], r.Totals.Function["service"],
		r.Totals.Function["none"])
}

// JSON writes the report as one object.
func (r *Report) JSON(out io.Writer) error {
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// JSONLines writes a secret a line, and a line for each finding of an account and Region as a
// whole, which has no arn.
func (r *Report) JSONLines(out io.Writer) error {
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	for _, s := range r.Secrets {
		if err := e.Encode(s); err != nil {
			return err
		}
	}
	for _, f := range r.Findings {
		if err := e.Encode(f); err != nil {
			return err
		}
	}
	return nil
}
