package bench

import (
	"context"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/quarterturn-dev/quarterturn/testutil/internal/disk"
	"github.com/quarterturn-dev/quarterturn/testutil/internal/prove"
	"github.com/quarterturn-dev/quarterturn/testutil/localaws"
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
	results, err := o.rotations(ctx, servers, log)
	if err != nil {
		return err
	}
	for _, r := range results {
		all = append(all, r.figure())
	}
	dir, err := disk.Temp("", "bench")
	if err != nil {
		return err
	}
	defer dir.Remove()
	fmt.Fprintln(log, "compiling the functions ...")
	var functions []string
	for _, engine := range engines {
		functions = append(functions, engine+"-single-user", engine+"-alternating-users")
	}
	built, err := localaws.Build(ctx, dir.Path, functions...)
	if err != nil {
		return err
	}
	for i, function := range functions {
		starts := o.Starts
		if i%2 == 1 { // of alternating users, memory alone
			starts = 1
		}
		fmt.Fprintf(log, "starting %s %d times ...\n", function, starts)
		s, err := measureStart(ctx, servers[engines[i/2]], built[function], 1000+i, starts)
		if err != nil {
			return fmt.Errorf("%s: %w", function, err)
		}
		all = append(all, s.figures()...)
	}
	for _, n := range o.Fleets {
		fmt.Fprintf(log, "rotating %d secrets ...\n", n)
		f, err := prove.Fleet{Secrets: n, AtOnce: 10}.Run(ctx)
		if err != nil {
			return fmt.Errorf("fleet of %d: %w", n, err)
		}
		all = append(all, figure{name: fmt.Sprintf("fleet of %d secrets, 10 at once: one rotation", n),
			value: ms(f.Elapsed / time.Duration(n)),
			note: fmt.Sprintf("first tenth %s and %d kB allocated, last tenth %s and %d kB; %d goroutines left",
				ms(f.EarlyTook), f.EarlyAlloc>>10, ms(f.LateTook), f.LateAlloc>>10, f.Goroutines)})
	}
	fmt.Fprintf(out, "%s\n%s\n%s\n%s. Ratios are of ours to bare, medians of interleaved pairs; times are medians.\n",
		table(all), profile(results), cost(results), machine())
	return nil
}

func (o Options) rotations(ctx context.Context, servers map[string]*server, log io.Writer) ([]Result, error) {
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
	return results, errors.Join(errs...)
}

func (r Result) figure() figure {
	f := figure{name: r.name(), value: fmt.Sprintf("%.2f", r.Ratio)}
	if r.Target > 0 {
		f.target, f.missed = fmt.Sprintf("%.2f", r.Target), r.Ratio > r.Target
	}
	f.note = fmt.Sprintf("%s, bare %s; %d calls, %d logins; round trips to the database %d, bare %d", ms(r.Ours),
		ms(r.Bare), r.Calls, r.Logins, r.DatabaseOurs, r.DatabaseBare)
	return f
}

func (r Result) name() string { return r.Server + ", " + r.Case.String() }

// profile says where the time of what is near is, beside that of the bare side.
func profile(results []Result) string {
	rows := [][]string{{"where the time is", "waiting for the API", "for logins", "for statements", "in the process",
		"of that, proofs of passwords"}}
	proof := proofTime()
	for _, r := range results {
		if r.Away > 0 {
			continue
		}
		for i, side := range []spent{r.SpentOurs, r.SpentBare} {
			proofs := "" // of MySQL they are a few hashes
			if r.Engine == "postgres" {
				n := r.Logins + 1 - i // each login, and of ours the verifier
				proofs = fmt.Sprintf("%d, %s", n, ms(time.Duration(n)*proof))
			}
			rows = append(rows, []string{r.name() + [...]string{"", ", bare"}[i], ms(side.api), ms(side.logins),
				ms(side.statements), ms(side.process), proofs})
		}
	}
	return align(rows)
}

// List prices of us-east-1, in dollars, and what share of a processor a function of 128 MB has.
const (
	perCall, perRequest, perGBSecond = 0.05 / 10_000, 0.20 / 1_000_000, 0.0000133334
	memory, share                    = 128.0 / 1024, 128.0 / 1769
)

// cost is that of a million rotations, as far away as in a VPC: their calls, an invocation for
// each step, and the time that they wait and compute.
func cost(results []Result) string {
	rows := [][]string{{"a million rotations", "API calls", "invocations", "one takes", "its GB seconds", "in all"}}
	dollars := func(n float64) string { return fmt.Sprintf("$%.2f", n*1e6) }
	for _, r := range results {
		if r.Away != vpc {
			continue
		}
		took := (r.Ours - r.SpentOurs.process).Seconds() + r.SpentOurs.process.Seconds()/share
		calls, requests, time := float64(r.Calls)*perCall, 4*perRequest, took*memory*perGBSecond
		rows = append(rows, []string{r.name(), dollars(calls), dollars(requests), fmt.Sprintf("%.2f s", took),
			dollars(time), dollars(calls + requests + time)})
	}
	return align(rows)
}

// proofTime is what one proof of a password by SCRAM takes.
func proofTime() time.Duration {
	var all []time.Duration
	for range 11 {
		begin := time.Now()
		//nolint:errcheck // the key is long enough
		pbkdf2.Key(sha256.New, "Aa1-"+rand.Text(), []byte(rand.Text()[:16]), 4096, sha256.Size)
		all = append(all, time.Since(begin))
	}
	return median(all)
}

// table is Markdown that reads as it is, too.
func table(all []figure) string {
	rows := [][]string{{"figure", "this run", "target", "verdict", ""}}
	for _, f := range all {
		rows = append(rows, []string{f.name, f.value, f.target, f.verdict(), f.note})
	}
	return align(rows)
}

// align gives a table whose first row is the heads of its columns.
func align(rows [][]string) string {
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
	return fmt.Sprintf("%s, %d processors (%s), %s, %s", runtime.GOOS, runtime.NumCPU(), model, runtime.Version(),
		time.Now().UTC().Format(time.DateOnly))
}
