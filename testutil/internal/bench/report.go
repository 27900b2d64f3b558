package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/quarterturn-dev/quarterturn/testutil/localaws"
	"github.com/quarterturn-dev/quarterturn/testutil/prove"
)

// Options is how much to measure.
type Options struct {
	Pairs  int
	Starts int   // of each function
	Fleets []int // secrets
}

// figure is a line of the table.
type figure struct {
	name, value, target string
	missed              bool
	note                string
}

func (f figure) verdict() string {
	switch {
	case f.target == "":
		return ""
	case f.missed:
		return "missed"
	}
	return "reached"
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1e3) }

// Run measures everything and writes one table, in Markdown. Progress goes to log. What
// falls short of its target is no error.
func Run(ctx context.Context, o Options, out, log io.Writer) error {
	var all []figure
	engines := []string{"postgres", "mysql", "mariadb"}
	servers := map[string]*server{}
	defer func() {
		for _, s := range servers {
			s.stop()
		}
	}()
	for _, engine := range engines {
		fmt.Fprintf(log, "starting %s ...\n", engine)
		s, err := start(ctx, engine, nil)
		if err != nil {
			return err
		}
		servers[engine] = s
	}
	warm, err := o.rotations(ctx, servers, log)
	if err != nil {
		return err
	}
	all = append(all, warm...)
	dir, err := os.MkdirTemp("", "quarterturn-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	fmt.Fprintln(log, "compiling the functions ...")
	built, err := localaws.Build(ctx, dir, "postgres-single-user", "mysql-single-user", "mariadb-single-user")
	if err != nil {
		return err
	}
	for _, engine := range engines {
		bootstrap := built[engine+"-single-user"]
		fmt.Fprintf(log, "starting %s %d times ...\n", filepath.Base(filepath.Dir(bootstrap)), o.Starts)
		s, err := measureStart(ctx, servers[engine], bootstrap, o.Starts)
		if err != nil {
			return fmt.Errorf("%s: %w", engine, err)
		}
		all = append(all, s.figures()...)
	}
	for _, n := range o.Fleets {
		fmt.Fprintf(log, "rotating %d secrets ...\n", n)
		f, err := prove.Fleet{Secrets: n, AtOnce: 10}.Run(ctx)
		if err != nil {
			return fmt.Errorf("fleet of %d: %w", n, err)
		}
		all = append(all, figure{name: fmt.Sprintf("fleet of %d secrets, 10 at once: one rotation", n), value: ms(f.Elapsed / time.Duration(n)),
			note: fmt.Sprintf("first tenth %s and %d kB allocated, last tenth %s and %d kB; %d goroutines left", ms(f.EarlyTook), f.EarlyAlloc>>10, ms(f.LateTook), f.LateAlloc>>10, f.Goroutines)})
	}
	fmt.Fprint(out, table(all))
	return nil
}

func (o Options) rotations(ctx context.Context, servers map[string]*server, log io.Writer) ([]figure, error) {
	cases := Cases()
	results, errs := make([]Result, len(cases)), make([]error, len(cases))
	var far sync.WaitGroup
	for i, c := range cases {
		s := servers[c.Engine]
		measure := func() {
			results[i], errs[i] = c.Measure(ctx, s, i, o.Pairs)
			fmt.Fprintf(log, "%s, %s: %.2f\n", s.title, c, results[i].Ratio)
		}
		if c.Away < 10*time.Millisecond {
			measure()
			continue
		}
		far.Go(measure) // they wait, and take no processor's time from each other
	}
	far.Wait()
	var all []figure
	for _, r := range results {
		f := figure{name: r.Server + ", " + r.Case.String(), value: fmt.Sprintf("%.2f", r.Ratio)}
		if r.Target > 0 {
			f.target, f.missed = fmt.Sprintf("%.2f", r.Target), r.Ratio > r.Target
		}
		f.note = fmt.Sprintf("%s, bare %s; %d calls, %d logins; round trips to the database %d, bare %d", ms(r.Ours), ms(r.Bare), r.Calls, r.Logins, r.DatabaseOurs, r.DatabaseBare)
		all = append(all, f)
	}
	return all, errors.Join(errs...)
}

// table is Markdown that reads as it is, too.
func table(all []figure) string {
	rows := [][]string{{"figure", "this run", "target", "verdict", ""}}
	for _, f := range all {
		rows = append(rows, []string{f.name, f.value, f.target, f.verdict(), f.note})
	}
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len(cell))
		}
	}
	rule := make([]string, len(widths))
	for i, w := range widths {
		rule[i] = strings.Repeat("-", w)
	}
	var b strings.Builder
	for _, row := range slices.Insert(rows, 1, rule) {
		for i, cell := range row {
			fmt.Fprintf(&b, "| %-*s ", widths[i], cell)
		}
		b.WriteString("|\n")
	}
	fmt.Fprintf(&b, "\n%s. Ratios are of ours to bare, medians of interleaved pairs; times are medians.\n", machine())
	return b.String()
}

// Begin and End are the lines of a page between which the table stands.
const (
	Begin = "<!-- make bench: begin -->"
	End   = "<!-- make bench: end -->"
)

// Into puts a table in its place in a page.
func Into(page, table string) (string, error) {
	before, rest, ok := strings.Cut(page, Begin)
	_, after, closed := strings.Cut(rest, End)
	if !ok || !closed {
		return "", fmt.Errorf("the page has no place for the table: the lines %s and %s", Begin, End)
	}
	return before + Begin + "\n\n" + table + "\n" + End + after, nil
}

// machine says where a run was.
func machine() string {
	model := runtime.GOARCH
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	return fmt.Sprintf("%s, %d processors (%s), %s, %s", runtime.GOOS, runtime.NumCPU(), model, runtime.Version(), time.Now().UTC().Format(time.DateOnly))
}
