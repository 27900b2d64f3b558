package main

import (
	"encoding/json"
	"regexp"
	"strings"

	"github.com/quarterturn-dev/quarterturn/rotator"
)

// An answer tells its reader which event to send next, for it may be read in a log or a
// ticket. Who runs this program has a command for each event.
var (
	eventInText  = regexp.MustCompile(`\{"Step":"[a-z]+"[^{}]*\}`)
	invokeInText = regexp.MustCompile(`aws lambda invoke --function-name (\S+) --payload fileb:///dev/stdin \S+ ` +
		`<<<'(\{"Step":"[a-z]+"[^{}]*\})'`)
)

// inCommands puts commands of this program in place of events.
func (q *question) inCommands(text string) string {
	text = invokeInText.ReplaceAllStringFunc(text, func(match string) string {
		parts := invokeInText.FindStringSubmatch(match)
		other := question{secret: q.secret, function: strings.Trim(parts[1], "'"), here: q.here, strategy: q.strategy}
		return other.commandFor(parts[2])
	})
	return eventInText.ReplaceAllStringFunc(text, q.commandFor)
}

// commandFor is the command that sends an event, or the event as it is where there is none.
func (q *question) commandFor(text string) string {
	var e event
	if json.Unmarshal([]byte(text), &e) != nil {
		return text
	}
	switch e.Step {
	case rotator.StepPreflight, rotator.StepStatus, rotator.StepRecover:
		about := *q
		if e.SecretID != q.secret && !strings.Contains(e.SecretID, ":secret:"+q.secret+"-") {
			about.secret = e.SecretID
		}
		return about.command(e.Step, e.Action, e.Version)
	}
	return text
}

// command asks the same function, or this machine, again.
func (q *question) command(step rotator.Step, action rotator.Action, version string) string {
	words := []string{"quarterturn", string(step), q.secret}
	if action != "" {
		words = append(words, string(action))
	}
	if version != "" {
		words = append(words, "--version-id", version)
	}
	switch {
	case q.here:
		words = append(words, "--here", "--strategy", q.strategy)
	case q.function != "":
		words = append(words, "--function", q.function)
	}
	for i, word := range words { // what looks like an event may be part of a name of another's choice
		words[i] = rotator.ShellWord(word)
	}
	return strings.Join(words, " ")
}

// page is an answer to show. What is for programs (JSON) stays as the function gave it.
func (q *question) page(report *rotator.Report, d *rotator.Diagnosis) page {
	p := page{Report: report, Diagnosis: d}
	if report != nil {
		read := *report
		read.Findings = nil
		for _, f := range report.Findings {
			f.Detail, f.Hint = q.inCommands(f.Detail), q.inCommands(f.Hint)
			read.Findings = append(read.Findings, f)
		}
		p.toRead = &read
		return p
	}
	read := *d
	read.Versions, read.Commands, read.Fixes = nil, nil, nil
	for _, v := range d.Versions {
		v.Detail = q.inCommands(v.Detail)
		read.Versions = append(read.Versions, v)
	}
	for _, c := range d.Commands {
		read.Commands = append(read.Commands, q.inCommands(c))
	}
	for _, f := range d.Fixes {
		if f.By == rotator.ByShell {
			f.Run = q.inCommands(f.Run)
		}
		read.Fixes = append(read.Fixes, f)
	}
	read.RecoverEvent = q.inCommands(d.RecoverEvent)
	p.toRead = &read
	return p
}
