// Tries to lock clients out of real databases by rotating their passwords: kills
// the function before and after everything it does, refuses and loses its calls,
// cuts its connections, sends its events twice and in the wrong order, and lets
// clients log in all the while. Prints what came of it, and fails if anybody was
// locked out, anything leaked, panicked, hung or was left behind. `make prove`
// runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
	"github.com/quarterturn-dev/quarterturn/testutil/internal/disk"
	"github.com/quarterturn-dev/quarterturn/testutil/internal/prove"
	"github.com/quarterturn-dev/quarterturn/testutil/localaws"
	"github.com/quarterturn-dev/quarterturn/testutil/rotationtest"
)

// plan is how much to try.
type plan struct {
	trials    int // of each target; 0: all
	rotations int // under load
	fleet     int
	states    int // of each server; 0: all; below: none
	seed      uint64
	patience  time.Duration // for each load
	engine    string
	newest    bool // no older server than the newest of each engine
	out       io.Writer
}

func main() {
	p := plan{out: os.Stdout}
	flag.IntVar(&p.trials, "trials", 0, "at most so many `trials` for each engine, strategy and way to run; 0: all")
	flag.IntVar(&p.rotations, "rotations", 300, "`rotations` under load, of each")
	flag.DurationVar(&p.patience, "load-time", time.Minute, "at most so `long` for each load")
	flag.IntVar(&p.fleet, "fleet", 10000, "`secrets` of the fleet; 0: no fleet")
	flag.IntVar(&p.states, "states", 0, "at most so many `states` of accounts for each server; 0: all; -1: none")
	flag.Uint64Var(&p.seed, "seed", 1, "`seed` of the sample of states")
	flag.StringVar(&p.engine, "engine", "", "only this `engine`: "+strings.Join(engines, ", "))
	flag.BoolVar(&p.newest, "newest", false, "the newest server of each engine alone, not the oldest too")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := p.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "prove:", err)
		stop()
		os.Exit(1)
	}
}

func (p plan) run(ctx context.Context) error {
	if err := p.check(); err != nil {
		return err
	}
	dir, err := disk.Temp("", "prove")
	if err != nil {
		return err
	}
	defer dir.Remove()
	built, err := localaws.Build(ctx, filepath.Join(dir.Path, "handlers"), prove.Handlers()...)
	if err != nil {
		return err
	}
	targets, closeAll, err := p.targets(ctx, built)
	defer closeAll()
	if err != nil {
		return err
	}
	err = errors.Join(p.tryAll(ctx, targets), p.loadAll(ctx, targets), p.sail(ctx), p.tryStates(ctx))
	fmt.Fprintln(p.out, "\nBad input, by kind and strategy:")
	err = errors.Join(err, prove.Inputs(ctx, ".", p.out))
	return errors.Join(err, ctx.Err())
}

// engines are what -engine may name.
var engines = []string{"memory", "postgres", "mysql", "mariadb", "valkey"}

// check refuses a plan by which nothing would be tried: empty tables prove nothing.
func (p plan) check() error {
	switch {
	case p.engine != "" && !slices.Contains(engines, p.engine):
		return fmt.Errorf("-engine: there is no engine %q: %s", p.engine, strings.Join(engines, ", "))
	case p.trials < 0 || p.fleet < 0:
		return errors.New("-trials and -fleet: not below 0")
	case p.rotations < 1:
		return errors.New("-rotations: at least 1")
	}
	return nil
}

// targets starts the servers of the engines asked for. closeAll ends those that have started, also after an error.
func (p plan) targets(ctx context.Context, built map[string]string) (targets []prove.Target, closeAll func(),
	err error) {
	var started []io.Closer
	closeAll = func() {
		for _, s := range slices.Backward(started) {
			s.Close()
		}
	}
	wanted := func(engine string) bool { return p.engine == "" || p.engine == engine }
	if wanted("memory") {
		targets = prove.MemoryTargets()
	}
	// A server for each target: a restart of one must not be seen in another's trial.
	for _, major := range ends(dbserver.Majors(), p.newest) {
		for i := range len(prove.Modes()) * 2 {
			if !wanted("postgres") {
				break
			}
			db, err := dbserver.StartPostgres(ctx, dbserver.Options{Major: major})
			if err != nil {
				return nil, closeAll, err
			}
			started = append(started, db)
			standby, err := db.Standby(ctx)
			if err != nil {
				return nil, closeAll, err
			}
			started = append(started, standby)
			targets = append(targets, prove.Postgres{Server: db, Standby: standby}.Targets(built)[i])
		}
	}
	// A server of MySQL's is shared by its targets, which run one after another.
	for _, name := range p.mysqls() {
		db, err := dbserver.StartMySQL(ctx, dbserver.MySQLOptions{Name: name})
		if err != nil {
			return nil, closeAll, err
		}
		started = append(started, db)
		targets = append(targets, prove.MySQL{Server: db}.Targets(built)...)
	}
	// A server for each target, for each trial ends in a restart.
	newestLast := slices.Clone(dbserver.Valkeys())
	slices.Reverse(newestLast)
	for _, name := range ends(newestLast, p.newest) {
		for i := range (len(prove.Modes()) + 1) * 2 {
			if !wanted("valkey") {
				break
			}
			db, err := dbserver.StartValkey(ctx, dbserver.ValkeyOptions{Name: name})
			if err != nil {
				return nil, closeAll, err
			}
			started = append(started, db)
			targets = append(targets, prove.Valkey{Server: db}.Targets(built)[i])
		}
	}
	return targets, closeAll, nil
}

// ends are the oldest and the newest of servers that are listed oldest first.
func ends[T comparable](all []T, newest bool) []T {
	if newest {
		return all[len(all)-1:]
	}
	return slices.Compact([]T{all[0], all[len(all)-1]})
}

// mysqls are the servers of MySQL and of MariaDB that are asked for.
func (p plan) mysqls() (names []string) {
	for _, engine := range []string{"mysql", "mariadb"} {
		if p.engine == "" || p.engine == engine {
			names = append(names, ends(slices.DeleteFunc(dbserver.MySQLs(), func(name string) bool {
				return !strings.HasPrefix(name, engine+"-")
			}), p.newest)...)
		}
	}
	return names
}

// tryStates rotates from each state in which accounts can be.
func (p plan) tryStates(ctx context.Context) error {
	if p.states < 0 {
		return nil
	}
	var results []prove.StatesResult
	var all []prove.State
	var errs []error
	try := func(engine string, states []prove.State) {
		r := prove.TryStates(ctx, engine, prove.SampleStates(states, p.states, p.seed), func(f string) {
			fmt.Fprintln(p.out, "FAILED:", f)
		})
		results, all = append(results, r), append(all, states...)
		if r.Failed() {
			errs = append(errs, fmt.Errorf("%s: %d states, %d wrong", engine, r.States, r.Wrong))
		}
	}
	for _, major := range ends(dbserver.Majors(), p.newest) {
		if p.engine != "" && p.engine != "postgres" {
			break
		}
		db, err := dbserver.StartPostgres(ctx, dbserver.Options{Major: major, HBA: prove.StatesHBA()})
		if err != nil {
			return err
		}
		defer db.Close()
		try(fmt.Sprint("PostgreSQL ", major), prove.Postgres{Server: db}.States())
	}
	for _, name := range p.mysqls() {
		db, err := dbserver.StartMySQL(ctx, dbserver.MySQLOptions{Name: name})
		if err != nil {
			return err
		}
		defer db.Close()
		try(name, prove.MySQL{Server: db}.States())
	}
	if len(results) == 0 {
		return nil
	}
	if mended := prove.Mended(all, results...); p.states == 0 && mended != nil {
		errs = append(errs, fmt.Errorf("faults that no state comes to any more (delete their marks in "+
			"testutil/internal/prove): %q", mended))
	}
	fmt.Fprintln(p.out, "\nStates of accounts, each rotated or refused (sample by -seed", p.seed,
		"if -states is given):")
	return errors.Join(append(errs, prove.WriteStates(p.out, results))...)
}

// tryAll runs the trials of several targets at once, as many as there are processors.
func (p plan) tryAll(ctx context.Context, targets []prove.Target) error {
	rows := make([]prove.TargetResult, len(targets))
	var mu sync.Mutex
	var running sync.WaitGroup
	slots := make(chan struct{}, runtime.NumCPU())
	lanes := map[string]*sync.Mutex{}
	for i, t := range targets {
		if lanes[t.Engine] == nil || strings.HasPrefix(t.Engine, "PostgreSQL") || strings.HasPrefix(t.Engine,
			"valkey") {
			lanes[t.Engine] = &sync.Mutex{} // each of PostgreSQL's and Valkey's has a server of its own
		}
		lane := lanes[t.Engine]
		running.Go(func() {
			lane.Lock()
			defer lane.Unlock()
			slots <- struct{}{}
			defer func() { <-slots }()
			rows[i] = prove.Try(ctx, t, p.trials, func(failure string) {
				mu.Lock()
				defer mu.Unlock()
				fmt.Fprintln(p.out, "FAILED:", failure)
			})
			mu.Lock()
			defer mu.Unlock()
			r := rows[i]
			fmt.Fprintf(p.out, "%s, %s (%s): %d trials in %s\n", r.Engine, r.Strategy, r.How, r.Sum(),
				r.Took.Round(time.Second))
		})
	}
	running.Wait()
	var errs []error
	for _, r := range rows {
		if r.Failed() {
			errs = append(errs, fmt.Errorf("%s, %s (%s): %d trials, breaches: %v, other failures: %d", r.Engine,
				r.Strategy, r.How, r.Sum(), r.Broken, r.Other))
		}
	}
	fmt.Fprintln(p.out, "\nRotations with something going wrong in each:")
	return errors.Join(append(errs, prove.WriteRows(p.out, rows))...)
}

// loadAll has clients log in while secrets rotate, one target after another: gaps
// are measured.
func (p plan) loadAll(ctx context.Context, targets []prove.Target) error {
	var loads []prove.LoadResult
	var errs []error
	for _, t := range targets {
		if t.How != "process" && t.Engine != "Memory" {
			continue // the function as it is deployed is what clients meet
		}
		load, err := rotationtest.LoadTest{Rotations: p.rotations, Clients: 2, MaxDuration: p.patience}.Run(ctx,
			t.Rotation)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s, %s (%s), under load: %w", t.Engine, t.Strategy, t.How, err))
		}
		loads = append(loads, prove.LoadResult{Target: t, LoadStats: load})
		errs = append(errs, loads[len(loads)-1].Check())
	}
	fmt.Fprintln(p.out, "\nClients that log in all the while, two that read the secret each time and two that keep it:")
	return errors.Join(append(errs, prove.WriteLoads(p.out, loads))...)
}

// sail rotates a fleet, and a part of it under the service's quota.
func (p plan) sail(ctx context.Context) error {
	if p.fleet == 0 {
		return nil
	}
	var fleets []prove.FleetResult
	var errs []error
	for _, f := range []prove.Fleet{
		{Secrets: p.fleet, AtOnce: 10},
		{Secrets: min(p.fleet, 300), AtOnce: 10, WritesPerSecond: 50},
		{Secrets: min(p.fleet, 300), AtOnce: 50, WritesPerSecond: 50},
	} {
		s, err := f.Run(ctx)
		fleets, errs = append(fleets, s), append(errs, err)
		if s.Goroutines > 0 || s.Failed > 0 {
			errs = append(errs, fmt.Errorf("fleet of %d: %d rotations failed, %d goroutines left", s.Secrets, s.Failed,
				s.Goroutines))
		}
	}
	fmt.Fprintln(p.out, "\nA fleet:")
	return errors.Join(append(errs, prove.WriteFleets(p.out, fleets))...)
}
