package mutation

import (
	_ "embed"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"text/tabwriter"
)

// accepted is the mutants that may survive: "equivalent" change nothing that anything outside could
// see, "text" change what is said and not what is done. A line has the class, a mutant's
// Key and, behind " # ", the reason.
//
//go:embed accepted.txt
var accepted string

// Accept marks the survivors that may survive, and gives the lines of the packages of all that no mutant needs.
func Accept(fates []Fate, all []Mutant) (unused []string) {
	classes, reasons := map[string]string{}, map[string]string{}
	for line := range strings.Lines(accepted) {
		class, rest, ok := strings.Cut(strings.TrimSpace(line), " ")
		key, reason, reasoned := strings.Cut(rest, " # ")
		if ok && reasoned && !strings.HasPrefix(line, "#") {
			classes[key], reasons[key] = class, reason
		}
	}
	known, drawnFrom := map[string]bool{}, map[string]bool{}
	for _, m := range all {
		known[m.Key()], drawnFrom[m.Package] = true, true
	}
	for key := range classes {
		file, _, _ := strings.Cut(key, " ")
		if !known[key] && drawnFrom[path.Dir(file)] {
			unused = append(unused, key)
		}
	}
	for i, f := range fates {
		if f.Killed == "" {
			fates[i].Class, fates[i].Reason = classes[f.Key()], reasons[f.Key()]
		}
	}
	slices.Sort(unused)
	return unused
}

// Score is of what is neither equivalent nor text only.
type Score struct{ Tried, Killed, Survived, Equivalent, Text int }

// Percent is how many of those that matter were killed.
func (s Score) Percent() float64 {
	if s.Killed+s.Survived == 0 {
		return 100
	}
	return 100 * float64(s.Killed) / float64(s.Killed+s.Survived)
}

func (s *Score) add(f Fate) {
	s.Tried++
	switch {
	case f.Killed != "":
		s.Killed++
	case f.Class == "equivalent":
		s.Equivalent++
	case f.Class == "text":
		s.Text++
	default:
		s.Survived++
	}
}

// Write prints a line for each package, the whole, and each survivor's place.
func Write(out io.Writer, fates []Fate) (Score, error) {
	packages := map[string]*Score{}
	var whole Score
	for _, f := range fates {
		if packages[f.Package] == nil {
			packages[f.Package] = new(Score)
		}
		packages[f.Package].add(f)
		whole.add(f)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "package\ttried\tkilled\tsurvived\tequivalent\ttext only\tscore")
	line := func(name string, s Score) {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%.1f %%\n", name, s.Tried, s.Killed, s.Survived, s.Equivalent, s.Text,
			s.Percent())
	}
	for _, name := range slices.Sorted(maps.Keys(packages)) {
		line(name, *packages[name])
	}
	line("all", whole)
	if err := w.Flush(); err != nil {
		return whole, err
	}
	for _, f := range fates {
		if f.Killed == "" && f.Class == "" {
			fmt.Fprintf(out, "survived: %s:%d: %s: %s: %s\n", f.File, f.Line, f.Func, f.Operator, f.Code)
		}
	}
	return whole, nil
}
