package main

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/internal/sampledb"
)

// narrator reads what the function prints, as CloudWatch would, and tells each step
// in a few lines.
type narrator struct {
	aws     *awsemu.Emulator
	db      *sampledb.Database
	verbose bool
	quiet   bool // tells no steps

	step          string
	notes         []string
	rest          string
	called, login int // up to the step before
}

var report = regexp.MustCompile(`Duration: ([0-9.]+) ms\s.*?Max Memory Used: (\d+) MB(?:.*Init Duration: ([0-9.]+) ms)?`)

// Write takes the function's output in pieces.
func (n *narrator) Write(p []byte) (int, error) {
	n.rest += string(p)
	for {
		line, rest, ok := strings.Cut(n.rest, "\n")
		if !ok {
			return len(p), nil
		}
		n.rest = rest
		n.line(line)
	}
}

func (n *narrator) line(text string) {
	if n.verbose {
		fmt.Println("  | " + text)
	}
	var entry struct{ Message, Step, Error string }
	switch {
	case strings.HasPrefix(text, "REPORT "):
		n.tell(text)
	case json.Unmarshal([]byte(text), &entry) == nil && entry.Message != "":
		n.step = entry.Step
		if entry.Error != "" {
			entry.Message = entry.Error
		}
		n.notes = append(n.notes, entry.Message)
	}
}

// calls is the requests of the function, without the one that started it.
func (n *narrator) calls() []awsemu.Call {
	var own []awsemu.Call
	for _, c := range n.aws.Calls() {
		if c.Operation != "RotateSecret" {
			own = append(own, c)
		}
	}
	return own
}

// tell ends a step.
func (n *narrator) tell(text string) {
	took, init, memory := "?", "", ""
	if m := report.FindStringSubmatch(text); m != nil {
		took = m[1]
		memory = ", " + m[2] + " MB"
		if m[3] != "" {
			init = ", cold start " + m[3] + " ms"
		}
	}
	if n.quiet {
		return
	}
	calls, logins := n.calls(), n.db.Logins()
	fmt.Printf("%s: %s ms%s%s\n", n.step, took, init, memory)
	for _, c := range calls[n.called:] {
		why := ""
		if n.step == "createSecret" && strings.Contains(c.String(), "ResourceNotFoundException") {
			why = " (S8: a probe, designed to fail)"
		}
		fmt.Printf("  calls      %s%s\n", c, why)
	}
	if logins > n.login {
		fmt.Printf("  logins     %d\n", logins-n.login)
	}
	if len(n.notes) > 0 {
		for _, note := range n.notes[:len(n.notes)-1] {
			fmt.Printf("  did        %s\n", note)
		}
		fmt.Printf("  ended      %s\n", n.notes[len(n.notes)-1])
	}
	fmt.Println()
	n.called, n.login, n.notes = len(calls), logins, nil
}
