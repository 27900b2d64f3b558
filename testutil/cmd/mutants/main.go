// Makes small faults in the code, one at a time, and prints which of them no test
// notices. `make mutants` runs it.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/quarterturn-dev/quarterturn/testutil/internal/disk"
	"github.com/quarterturn-dev/quarterturn/testutil/internal/mutation"
)

// core is what is mutated, and by is whose tests are asked: those of make check. The engines are a group of
// their own: most of what they do only a server can judge, and those tests are not asked.
var (
	core = []string{"rotator", "rotator/secret", "rotator/awsstore", "strategies", "strategies/dial"}
	by   = append(slices.Clone(core), "rotator/serve", "strategies/strategytest", "testutil/badinput",
		"testutil/rotationtest")
	engines = []string{"strategies/postgres", "strategies/mysql", "strategies/valkey"}
)

func main() {
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "`seed` of the sample")
	n := flag.Int("n", 300, "`mutants` to try; 0: all")
	only := flag.String("only", "", "only mutants whose file begins with this `text`")
	ofEngines := flag.Bool("engines", false, "mutants of the engines instead; without servers, many survive")
	atLeast := flag.Float64("at-least", 0, "fail below so many `percent` killed")
	flag.Parse()
	if *ofEngines {
		core, by = engines, engines
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *seed, *n, *only, *atLeast); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, seed uint64, n int, only string, atLeast float64) error {
	dir, err := disk.Temp("", "mutants")
	if err != nil {
		return err
	}
	defer dir.Remove()
	fmt.Fprintln(os.Stderr, "compiling ...")
	b, err := mutation.New(ctx, ".", dir.Path, core, by)
	if err != nil {
		return err
	}
	every := b.Mutants
	b.Mutants = slices.DeleteFunc(slices.Clone(every), func(m mutation.Mutant) bool {
		return !strings.HasPrefix(m.File, only)
	})
	sample := b.Sample(n, seed)
	fmt.Printf("%d of %d mutants, seed %d\n", len(sample), len(b.Mutants), seed)
	if slices.Equal(core, engines) {
		fmt.Println("No test that starts a server is asked: what only a server shows survives.")
	}
	reached, err := b.Reached(ctx)
	if err != nil {
		return err
	}
	tried := 0
	fates := b.Try(ctx, sample, reached, runtime.NumCPU(), 20*time.Second, func(f mutation.Fate) {
		if tried++; tried%25 == 0 {
			fmt.Fprintf(os.Stderr, "%d of %d ...\n", tried, len(sample))
		}
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for _, line := range mutation.Accept(fates, every) {
		fmt.Printf("accepted.txt names no mutant: %s\n", line)
	}
	score, err := mutation.Write(os.Stdout, fates)
	if err == nil && score.Percent() < atLeast {
		err = fmt.Errorf("%.1f %% killed, and %.1f %% are wanted", score.Percent(), atLeast)
	}
	return err
}
