// Package prove tries to lock clients out, and counts. It puts the trials of
// package rotationtest around what is deployed: the Lambda binaries, on a host of
// the Lambda Runtime API, before an emulator of Secrets Manager and real database
// servers. The command testutil/cmd/prove prints what came of it.
//
// An engine is proved by a function that makes a rotationtest.Fixture for it,
// as Postgres.Rotation does; Function.Deploy is what makes the fixture's rotations run
// in a process that can be killed.
package prove

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/quarterturn-dev/quarterturn/strategies/strategytest"
	"github.com/quarterturn-dev/quarterturn/testutil/rotationtest"
)

// Target is a strategy on an engine, to be tried.
type Target struct {
	Engine, Strategy string
	How              string // "process": the deployed binary; "in process"
	Rotation         rotationtest.NewFixture
	Peak             *atomic.Int64 // MB of memory that a process of it had at most; nil: there is none
}

// TargetResult is what came of a Target.
type TargetResult struct {
	Target
	Tried  map[string]int // by group of trials
	Missed int            // trials in which the thing did not come to pass: "moot"
	Broken map[rotationtest.Violation]int
	Other  int // failures that are no breach: of a fixture, of the machine
	Took   time.Duration
}

// Try runs the trials of a target, at most limit (0: all), and tells each failure.
func Try(ctx context.Context, t Target, limit int, tell func(failure string)) TargetResult {
	row := TargetResult{Target: t, Tried: map[string]int{}, Broken: map[rotationtest.Violation]int{}}
	begin := time.Now()
	defer func() { row.Took = time.Since(begin) }()
	trials, err := rotationtest.Trials(ctx, t.Rotation)
	if err != nil {
		row.blame(err)
		tell(err.Error())
		return row
	}
	for _, trial := range rotationtest.Sample(trials, limit) {
		if ctx.Err() != nil {
			break
		}
		switch err := trial.Run(ctx); {
		case ctx.Err() != nil:
			return row
		case errors.Is(err, strategytest.ErrNotOffered):
			row.Missed++
			continue
		case err != nil:
			row.blame(err)
			tell(fmt.Sprintf("%s, %s (%s): %s: %s: %v", t.Engine, t.Strategy, t.How, trial.Group, trial.Name, err))
		}
		row.Tried[trial.Group]++
	}
	row.Took = time.Since(begin)
	return row
}

func (r *TargetResult) blame(err error) {
	known := false
	for _, b := range rotationtest.Violations() {
		if errors.Is(err, b) {
			r.Broken[b]++
			known = true
		}
	}
	if !known {
		r.Other++
	}
}

// Sum is how many trials there were.
func (r TargetResult) Sum() (n int) {
	for _, tried := range r.Tried {
		n += tried
	}
	return n
}

// Failed says whether anything was broken, or nothing tried.
func (r TargetResult) Failed() bool { return len(r.Broken) > 0 || r.Other > 0 || r.Sum() == 0 }

// groups are those of trials, in the order of the table.
var groups = []string{"crash", "API", "line", "trouble", "order"}

// WriteRows prints the table of trials.
func WriteRows(w io.Writer, rows []TargetResult) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	head := []string{"engine", "strategy", "function"}
	head = append(head, groups...)
	head = append(head, "tried")
	for _, b := range rotationtest.Violations() {
		head = append(head, string(b))
	}
	fmt.Fprintln(t, strings.Join(append(head, "other", "moot", "took"), "\t")+"\t")
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%s\t%s\t", r.Engine, r.Strategy, r.How)
		for _, g := range groups {
			fmt.Fprintf(t, "%d\t", r.Tried[g])
		}
		fmt.Fprintf(t, "%d\t", r.Sum())
		for _, b := range rotationtest.Violations() {
			fmt.Fprintf(t, "%d\t", r.Broken[b])
		}
		fmt.Fprintf(t, "%d\t%d\t%s\t\n", r.Other, r.Missed, r.Took.Round(100*time.Millisecond))
	}
	return t.Flush()
}

// LoadResult is what clients of a target met under load.
type LoadResult struct {
	Target
	rotationtest.LoadStats
}

// WriteLoads prints the table of loads.
func WriteLoads(w io.Writer, loads []LoadResult) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "engine\tstrategy\tfunction\trotations\tin\tlogins\trefused\tlongest gap\tcached "+
		"logins\trefused\tlongest gap\tpeak memory\t")
	for _, l := range loads {
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\t%d\t%d\t%s\t%d\t%d\t%s\t%s\t\n", l.Engine, l.Strategy, l.How, l.Rotations,
			l.Elapsed.Round(10*time.Millisecond),
			l.Reading.Logins, l.Reading.Refused, gap(l.Reading.Gap), l.Caching.Logins, l.Caching.Refused,
			gap(l.Caching.Gap), l.peak())
	}
	return t.Flush()
}

// maxPeak is how much memory, in MB, a function may need.
const maxPeak = 30

// Check is an error where a function needed more memory than it may.
func (b LoadResult) Check() error {
	if b.Peak != nil && b.Peak.Load() > maxPeak {
		return fmt.Errorf("%s, %s: %d MB of memory at the peak; at most %d are allowed", b.Engine, b.Strategy,
			b.Peak.Load(), maxPeak)
	}
	return nil
}

func (b LoadResult) peak() string {
	if b.Peak == nil || b.Peak.Load() == 0 {
		return "-"
	}
	return fmt.Sprintf("%d MB", b.Peak.Load())
}

func gap(d time.Duration) string {
	if d == 0 {
		return "none"
	}
	return d.Round(100 * time.Microsecond).String()
}

// WriteFleets prints the table of fleets.
func WriteFleets(w io.Writer, fleets []FleetResult) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "secrets\tat once\tquota\tin\tfailed\tattempts\twrites needed\tarrived\ttime each: "+
		"early\tlate\tallocated each: early\tlate\theap retained each\tgoroutines left\t")
	for _, f := range fleets {
		quota := "none"
		if f.WritesPerSecond > 0 {
			quota = fmt.Sprintf("%d/s", f.WritesPerSecond)
		}
		fmt.Fprintf(t, "%d\t%d\t%s\t%s\t%d\t%d\t%d\t%d\t%s\t%s\t%d kB\t%d kB\t%.1f kB\t%d\t\n", f.Secrets, f.AtOnce,
			quota, f.Elapsed.Round(10*time.Millisecond),
			f.Failed, f.Attempts, f.Needed, f.Arrived, f.EarlyTook.Round(10*time.Microsecond),
			f.LateTook.Round(10*time.Microsecond),
			f.EarlyAlloc/1000, f.LateAlloc/1000, float64(f.Retained)/1000, f.Goroutines)
	}
	return t.Flush()
}

// MemoryTargets are the strategies on strategytest.Memory.
func MemoryTargets() []Target {
	var all []Target
	for _, m := range Modes() {
		all = append(all, Target{"Memory", m.Name, "in process", rotationtest.MemoryFixture(m.Strategy, m.KeepsCurrent),
			nil})
	}
	return all
}

// Targets are the strategies on a server, each in this process and deployed; built
// is where the bootstraps are, by handler.
func (p Postgres) Targets(built map[string]string) []Target {
	var all []Target
	name := fmt.Sprintf("PostgreSQL %d", p.Server.Major)
	for _, m := range Modes() {
		p.Mode, p.Bootstrap, p.Peak = m, "", nil
		all = append(all, Target{name, m.Name, "in process", p.Rotation, nil})
		p.Bootstrap, p.Peak = built["postgres-"+m.Handler], new(atomic.Int64)
		all = append(all, Target{name, m.Name, "process", p.Rotation, p.Peak})
	}
	return all
}

// Handlers are those that targets need.
func Handlers() []string {
	names := map[string]bool{}
	for _, m := range Modes() {
		for _, family := range []string{"postgres-", "mysql-", "mariadb-", "valkey-"} {
			names[family+m.Handler] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}
