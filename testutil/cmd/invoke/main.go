// Invoke gives a function one event of sam/events, as `sam local invoke` does, where
// there is neither Docker nor the SAM CLI: the bootstrap runs on a host of the Lambda
// Runtime API, against an emulator of Secrets Manager and a throwaway PostgreSQL on
// which the scene of each event is set. `make invoke EVENT=preflight-text` runs it.
//
// It prints what the function logged, and then its answer or its error.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
	"github.com/quarterturn-dev/quarterturn/testutil/internal/disk"
	"github.com/quarterturn-dev/quarterturn/testutil/internal/samevents"
	"github.com/quarterturn-dev/quarterturn/testutil/localaws"
)

func main() {
	function := flag.String("function", "postgres-single-user", "`folder` below handlers")
	event := flag.String("event", "preflight", "`name` of an event: a file of sam/events without .json")
	var env []string
	flag.Func("env", "`K=V` for the function, such as PREFLIGHT=report; may be given more than once",
		func(s string) error {
			env = append(env, s)
			return nil
		})
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	failed, err := run(ctx, *function, *event, env, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "invoke:", err)
	}
	if err != nil || failed {
		stop()
		os.Exit(1)
	}
}

// run compiles the function and gives it the event.
func run(ctx context.Context, function, event string, env []string, out io.Writer) (failed bool, err error) {
	if err := named("function", function, "handlers/*", ""); err != nil {
		return false, err
	}
	if err := named("event", event, "sam/events/*.json", ".json"); err != nil {
		return false, err
	}
	dir, err := disk.Temp("", "invoke")
	if err != nil {
		return false, err
	}
	defer dir.Remove()
	built, err := localaws.Build(ctx, dir.Path, function)
	if err != nil {
		return false, err
	}
	return invoke(ctx, built[function], function, filepath.Join("sam", "events", event+".json"), env, out)
}

// named says what there is, where a name is none of it.
func named(what, name, pattern, suffix string) error {
	found, err := filepath.Glob(pattern)
	if err != nil {
		return err
	}
	var names []string
	for _, path := range found {
		names = append(names, strings.TrimSuffix(filepath.Base(path), suffix))
	}
	if !slices.Contains(names, name) {
		return fmt.Errorf("there is no %s %q: %s", what, name, strings.Join(names, ", "))
	}
	return nil
}

// invoke says whether the function failed. Its error is one of our own.
func invoke(ctx context.Context, bootstrap, function, file string, env []string, out io.Writer) (failed bool,
	err error) {
	event, err := os.ReadFile(file)
	if err != nil {
		return false, err
	}
	db, err := dbserver.StartPostgres(ctx, dbserver.Options{})
	if err != nil {
		return false, err
	}
	defer db.Close()
	s, err := localaws.Start(localaws.Config{
		Functions: []localaws.Function{{Name: function, Bootstrap: bootstrap, Env: env}},
		Output:    out,
	})
	if err != nil {
		return false, err
	}
	defer s.Close()
	host := s.Functions[function]
	if err := samevents.Set(ctx, s.AWS, db, db.Host, host.ARN()); err != nil {
		return false, err
	}
	r, err := host.Invoke(ctx, event)
	if err != nil {
		return false, err
	}
	fmt.Fprintf(out, "\n%s\n", readable(r.Payload))
	return r.FunctionError != "", nil
}

// readable is an answer for people: text as it is, and JSON with its lines indented.
func readable(payload []byte) string {
	var text string
	if json.Unmarshal(payload, &text) == nil {
		return text
	}
	var indented bytes.Buffer
	if json.Indent(&indented, payload, "", "  ") != nil {
		return string(payload)
	}
	return indented.String()
}
