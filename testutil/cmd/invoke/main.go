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

	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
	"github.com/quarterturn-dev/quarterturn/testutil/samevents"
	"github.com/quarterturn-dev/quarterturn/testutil/stage"
)

func main() {
	function := flag.String("function", "postgres-single-user", "`folder` below handlers, and below build")
	event := flag.String("event", "sam/events/preflight.json", "`file` with the event")
	var env []string
	flag.Func("env", "`K=V` for the function, such as PREFLIGHT=report; may be given more than once", func(s string) error {
		env = append(env, s)
		return nil
	})
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	failed, err := invoke(ctx, filepath.Join("build", *function, "bootstrap"), *function, *event, env, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "invoke:", err)
	}
	if err != nil || failed {
		stop()
		os.Exit(1)
	}
}

// invoke says whether the function failed. Its error is one of our own.
func invoke(ctx context.Context, bootstrap, function, file string, env []string, out io.Writer) (failed bool, err error) {
	event, err := os.ReadFile(file)
	if err != nil {
		return false, err
	}
	db, err := dbserver.StartPostgres(ctx, dbserver.Options{})
	if err != nil {
		return false, err
	}
	defer db.Close()
	s, err := stage.Open(stage.Plan{
		Functions: []stage.Function{{Name: function, Bootstrap: bootstrap, Env: env}},
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
