// Prints what a rotation costs beside what it cannot do without, in one table. `make
// bench` runs it. It ends well whatever falls short of its target.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/quarterturn-dev/quarterturn/testutil/internal/bench"
)

func main() {
	o := bench.Options{Fleets: []int{100, 1000, 10000}}
	flag.IntVar(&o.Pairs, "pairs", 30, "`rotations` of ours and of the bare side, in turn, for each line")
	flag.IntVar(&o.Starts, "starts", 11, "`starts` of each function")
	into := flag.String("into", "", "put the table into this `page`, too")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, *into); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, o bench.Options, into string) error {
	var table bytes.Buffer
	if err := bench.Run(ctx, o, &table, os.Stderr); err != nil {
		return err
	}
	os.Stdout.Write(table.Bytes())
	if into == "" {
		return nil
	}
	page, err := os.ReadFile(into)
	if err != nil {
		return err
	}
	text, err := bench.Into(string(page), table.String())
	if err != nil {
		return err
	}
	return os.WriteFile(into, []byte(text), 0o644)
}
