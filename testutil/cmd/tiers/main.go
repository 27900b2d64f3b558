// Tiers runs make targets that run `go test`, one after the other, and says how long each package took and whether any
// test ran in none of them. .ci/run runs it with the tiers of package tier:
//
//	go run ./testutil/cmd/tiers test test-long
//
// It prints what fails as it fails, and ends with go test's own line of each package, slowest first.
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: tiers TARGET ...")
		os.Exit(2)
	}
	if err := runAll(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "tiers:", err)
		os.Exit(1)
	}
}

// runAll runs every target, also when one before it failed.
func runAll(targets []string, out io.Writer) error {
	var errs []error
	var reports []*report
	for _, target := range targets {
		r := newReport("make "+target, out)
		reports = append(reports, r)
		if err := r.run(exec.Command("make", "--no-print-directory", target, "ARGS=-json")); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", r.title, err))
		}
	}
	for _, left := range neverRun(reports) {
		errs = append(errs, fmt.Errorf("no tier ran %s", left))
	}
	for _, r := range reports {
		r.write(out)
	}
	return errors.Join(errs...)
}

// event is a line of `go test -json`; `go doc test2json` says what it means.
type event struct {
	Action, Package, Test, Output string
	Elapsed                       float64
}

// report is what one run of `go test` came to.
type report struct {
	title   string
	out     io.Writer
	begin   time.Time
	took    time.Duration
	outputs map[string]string  // of a test that has not ended, or of a package, by key
	lines   map[string]string  // go test's own line of a package
	seconds map[string]float64 // of a package
	ran     map[string]bool    // of a test: whether it ran or was skipped
	why     map[string]string  // of a skipped test
}

func newReport(title string, out io.Writer) *report {
	return &report{title: title, out: out, begin: time.Now(), outputs: map[string]string{}, lines: map[string]string{},
		seconds: map[string]float64{}, ran: map[string]bool{}, why: map[string]string{}}
}

func (r *report) run(cmd *exec.Cmd) error {
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	reading := r.read(stdout)
	err = cmd.Wait()
	r.took = time.Since(r.begin)
	return errors.Join(reading, err)
}

// read takes the lines of `go test -json`, and prints all others as they are.
func (r *report) read(from io.Reader) error {
	lines := bufio.NewReader(from)
	for {
		line, err := lines.ReadString('\n')
		var e event
		if json.Unmarshal([]byte(line), &e) == nil && e.Action != "" {
			r.add(e)
		} else {
			io.WriteString(r.out, line)
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

func (r *report) add(e event) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "build-output":
		io.WriteString(r.out, e.Output)
	case "output":
		r.outputs[key] += e.Output
		if e.Test == "" && isResult(e.Output, e.Package) {
			r.lines[e.Package] = strings.TrimRight(e.Output, "\n")
		}
	case "pass", "fail", "skip":
		if e.Action == "fail" {
			for line := range strings.Lines(r.outputs[key]) {
				if !strings.HasPrefix(line, "=== ") {
					io.WriteString(r.out, line)
				}
			}
		} else if e.Test == "" && r.lines[e.Package] != "" {
			fmt.Fprintln(r.out, r.lines[e.Package])
		}
		switch {
		case e.Test == "":
			r.seconds[e.Package] = e.Elapsed
		case !strings.Contains(e.Test, "/"):
			r.ran[key] = e.Action != "skip"
			r.why[key] = reason(r.outputs[key])
		}
		delete(r.outputs, key)
	}
}

// isResult tells go test's own line of a package: "ok <tab> package <tab> 1.2s", or FAIL.
func isResult(line, pkg string) bool {
	fields := strings.Fields(line)
	return len(fields) > 1 && (fields[0] == "ok" || fields[0] == "FAIL") && fields[1] == pkg
}

// reason is what a skipped test says, without the lines that go test puts around it.
func reason(output string) string {
	var words []string
	for line := range strings.Lines(output) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "=== ") && !strings.HasPrefix(line, "--- ") {
			words = append(words, line)
		}
	}
	return strings.Join(words, " ")
}

// write gives the lines of the packages, slowest first.
func (r *report) write(out io.Writer) {
	fmt.Fprintf(out, "\n%s took %s; its packages, slowest first:\n", r.title, r.took.Round(time.Second))
	slowest := func(a, b string) int { return cmp.Or(cmp.Compare(r.seconds[b], r.seconds[a]), cmp.Compare(a, b)) }
	for _, pkg := range slices.SortedFunc(maps.Keys(r.lines), slowest) {
		fmt.Fprintln(out, r.lines[pkg])
	}
}

// leftTo is how package tier ends what it says of a test that another tier runs.
const leftTo = " runs it"

// neverRun is the tests that each tier left to another one. A test that was skipped for a reason of its own, such as
// not being root, is none of them: what must not be missing on a machine of CI fails there by itself (tier.Missing).
func neverRun(reports []*report) (left []string) {
	all := map[string]bool{}
	for _, r := range reports {
		for test, ran := range r.ran {
			all[test] = all[test] || ran
		}
	}
	for _, test := range slices.Sorted(maps.Keys(all)) {
		if all[test] {
			continue
		}
		var why []string
		for _, r := range reports {
			if text := r.why[test]; strings.HasSuffix(text, leftTo) {
				why = append(why, text)
			}
		}
		if len(why) == len(reports) {
			left = append(left, test+": "+strings.Join(why, "; "))
		}
	}
	return left
}
