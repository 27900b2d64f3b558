package lambdahost_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quarterturn-dev/quarterturn/testutil/lambdahost"
)

func TestColdAndWarm(t *testing.T) {
	t.Parallel()
	h := start(t, lambdahost.Function{Name: "turn", Region: "eu-central-1", Account: "111122223333",
		Timeout: time.Hour / 4})
	begin := time.Now()
	first, cold := succeed(t, h, event{Text: "hello"})
	end := time.Now()
	second, warm := succeed(t, h, event{})

	if !cold.Cold || cold.Init <= 0 || cold.Duration <= 0 {
		t.Errorf("first: cold %v, init %v, duration %v", cold.Cold, cold.Init, cold.Duration)
	}
	if warm.Cold || warm.Init != 0 || first.PID != second.PID {
		t.Errorf("second: cold %v, init %v, process %d after %d", warm.Cold, warm.Init, second.PID, first.PID)
	}
	if first.Text != "hello" {
		t.Errorf("text %q", first.Text)
	}
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	if !uuid.MatchString(cold.RequestID) || cold.RequestID != first.RequestID || first.RequestID == second.RequestID {
		t.Errorf("request ids: %q seen as %q, then %q", cold.RequestID, first.RequestID, second.RequestID)
	}
	if want := "arn:aws:lambda:eu-central-1:111122223333:function:turn"; first.ARN != want || h.ARN() != want {
		t.Errorf("ARN %q, seen as %q", h.ARN(), first.ARN)
	}
	if !regexp.MustCompile(`^Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0$`).MatchString(first.Trace) {
		t.Errorf("trace %q", first.Trace)
	}
	if first.Deadline < begin.Add(time.Hour/4).UnixMilli() || first.Deadline > end.Add(time.Hour/4).UnixMilli() {
		t.Errorf("deadline %d is not 15 minutes after the start", first.Deadline)
	}
	if runtime.GOOS == "linux" && warm.MaxMemoryMB < 1 {
		t.Error("no peak memory")
	}
}

func TestNoPayloadIsAnEmptyObject(t *testing.T) {
	t.Parallel()
	h := start(t, lambdahost.Function{})
	if result, err := h.Invoke(t.Context(), nil); err != nil || result.FunctionError != "" {
		t.Errorf("%v, %s", err, result.Payload)
	}
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	root := filepath.Dir(bootstrap)
	h := start(t, lambdahost.Function{
		Name: "turn", Region: "eu-west-1", MemoryMB: 256,
		Env: []string{"MODE=strict", "AWS_ACCESS_KEY_ID=chosen"},
	})
	s, _ := succeed(t, h, event{Do: "env"})
	env := map[string]string{}
	for _, kv := range s.Env {
		k, v, _ := strings.Cut(kv, "=")
		if _, twice := env[k]; twice {
			t.Errorf("%s is set twice", k)
		}
		env[k] = v
	}
	for k, want := range map[string]string{
		"_HANDLER":                        "bootstrap",
		"AWS_ACCESS_KEY_ID":               "chosen",
		"AWS_DEFAULT_REGION":              "eu-west-1",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
		"AWS_LAMBDA_FUNCTION_NAME":        "turn",
		"AWS_LAMBDA_FUNCTION_VERSION":     "$LATEST",
		"AWS_LAMBDA_INITIALIZATION_TYPE":  "on-demand",
		"AWS_LAMBDA_LOG_GROUP_NAME":       "/aws/lambda/turn",
		"AWS_REGION":                      "eu-west-1",
		"HOME":                            root,
		"LAMBDA_RUNTIME_DIR":              "/var/runtime",
		"LAMBDA_TASK_ROOT":                root,
		"MODE":                            "strict",
		"TZ":                              ":UTC",
	} {
		if env[k] != want {
			t.Errorf("%s is %q, not %q", k, env[k], want)
		}
	}
	for k, pattern := range map[string]string{
		"AWS_LAMBDA_LOG_STREAM_NAME": `^\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}$`,
		"AWS_LAMBDA_RUNTIME_API":     `^127\.0\.0\.1:\d+$`,
		"AWS_SECRET_ACCESS_KEY":      `.`,
		"AWS_SESSION_TOKEN":          `.`,
	} {
		if !regexp.MustCompile(pattern).MatchString(env[k]) {
			t.Errorf("%s does not match %s", k, pattern)
		}
	}
	for _, k := range []string{leak, "USER", "AWS_EXECUTION_ENV", "AWS_PROFILE"} {
		if _, found := env[k]; found {
			t.Errorf("%s is set", k)
		}
	}
	if s.Dir != root {
		t.Errorf("working directory %q, not the task root %q", s.Dir, root)
	}
}

// TestFailures has every way in which an invocation goes wrong, and what comes next.
func TestFailures(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		fn        lambdahost.Function
		event     event
		errorType string
		message   string // may have %s for the request id
		log       string // somewhere in the log; may have %s too
		report    string // at the end of the log
		survives  bool   // the next invocation finds the same process
	}{
		{
			name:      "error returned",
			event:     event{Do: "fail", Text: "no luck"},
			errorType: "OddError", message: "no luck", survives: true,
		},
		{
			name:      "panic: the process says why, then exits",
			event:     event{Do: "panic", Text: "oh dear"},
			errorType: "string", message: "oh dear",
			log:    "RequestId: %s Error: Runtime exited with error: exit status 1\nRuntime.ExitError\n",
			report: "Status: error\tError Type: Runtime.ExitError\n",
		},
		{
			name:      "exit",
			event:     event{Do: "exit", N: 3},
			errorType: "Runtime.ExitError", message: "RequestId: %s Error: Runtime exited with error: exit status 3",
			log:    "RequestId: %s Error: Runtime exited with error: exit status 3\nRuntime.ExitError\n",
			report: "Status: error\tError Type: Runtime.ExitError\n",
		},
		{
			name:      "exit 0",
			event:     event{Do: "exit"},
			errorType: "Runtime.ExitError", message: "RequestId: %s Error: Runtime exited without providing a reason",
		},
		{
			name:      "deadline missed",
			fn:        lambdahost.Function{Timeout: 150 * time.Millisecond},
			event:     event{Do: "hang"},
			errorType: "Sandbox.Timedout", message: "RequestId: %s Error: Task timed out after 0.15 seconds",
			log:    "Z %s Task timed out after 0.15 seconds\n",
			report: "Status: timeout\n",
		},
		{
			name:      "response too large",
			event:     event{Do: "big", N: 7 << 20},
			errorType: "Function.ResponseSizeTooLarge",
			message:   "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
		},
		{
			name:      "exit in init",
			fn:        lambdahost.Function{Env: []string{"INIT=exit"}},
			errorType: "Runtime.ExitError", message: "RequestId: %s Error: Runtime exited with error: exit status 7",
			log: "init gives up\nSTART RequestId: %s ",
		},
		{
			name:      "exit 0 in init",
			fn:        lambdahost.Function{Env: []string{"INIT=exit0"}},
			errorType: "Runtime.ExitError", message: "RequestId: %s Error: Runtime exited without providing a reason",
		},
		{
			name:      "error of the init",
			fn:        lambdahost.Function{Env: []string{"INIT=error"}},
			errorType: "Odd.Init", message: "no configuration",
			report: "Status: error\tError Type: Odd.Init\n",
		},
		{
			name:      "error of the init, in the header only",
			fn:        lambdahost.Function{Env: []string{"INIT=bare error"}},
			errorType: "Odd.Bare",
		},
		{
			name:      "init never ends",
			fn:        lambdahost.Function{Env: []string{"INIT=hang"}, InitTimeout: 150 * time.Millisecond},
			errorType: "Sandbox.Timedout", message: "RequestId: %s Error: Task timed out after 0.15 seconds",
			report: "Status: timeout\n",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := start(t, tt.fn)
			result := invoke(t, h, tt.event)
			withID := func(s string) string { return strings.ReplaceAll(s, "%s", result.RequestID) }
			if result.FunctionError != "Unhandled" || result.ErrorType != tt.errorType ||
				result.ErrorMessage != withID(tt.message) {
				t.Errorf("%q, %q, %q", result.FunctionError, result.ErrorType, result.ErrorMessage)
			}
			if !result.Cold {
				t.Error("the first invocation was not cold")
			}
			log := string(result.Log)
			if !strings.Contains(log, withID(tt.log)) || !strings.HasSuffix(log, tt.report) {
				t.Errorf("log:\n%s", log)
			}
			if next := invoke(t, h, event{}); next.Cold == tt.survives {
				t.Errorf("next invocation: cold %v", next.Cold)
			}
		})
	}
}

func TestNotAProgram(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "bootstrap")
	if err := os.WriteFile(path, []byte("not a program"), 0o755); err != nil {
		t.Fatal(err)
	}
	h := start(t, lambdahost.Function{Bootstrap: path})
	for range 2 {
		if r := invoke(t, h, event{}); r.FunctionError == "" || r.ErrorType != "Runtime.InvalidEntrypoint" {
			t.Errorf("%q %q %q", r.FunctionError, r.ErrorType, r.ErrorMessage)
		}
	}
}

func TestRuntimeAPIRefuses(t *testing.T) {
	t.Parallel()
	h := start(t, lambdahost.Function{})
	_, first := succeed(t, h, event{})
	s, _ := succeed(t, h, event{Do: "misbehave", ID: first.RequestID})
	want := []string{
		`400 {"errorType":"InvalidRequestID",`, // never heard of
		`400 {"errorType":"InvalidRequestID",`, // over
		`400 {"errorType":"InvalidRequestID",`,
		`403 {"errorType":"InvalidStateTransition",`, // init/error after the init
		`403 {"errorType":"InvalidStateTransition",`, // next before the response
	}
	if !slices.EqualFunc(s.Answers, want, strings.HasPrefix) {
		t.Errorf("answers: %q", s.Answers)
	}
}

func TestFirstResponseCounts(t *testing.T) {
	t.Parallel()
	h := start(t, lambdahost.Function{})
	// aws-lambda-go gives up when its own response, the second, is refused.
	s, result := succeed(t, h, event{Do: "answer twice", Text: "second"})
	if s.Text != "first" {
		t.Errorf("text %q", s.Text)
	}
	if !bytes.Contains(result.Log, []byte("403")) {
		t.Errorf("log:\n%s", result.Log)
	}
}

func TestKill(t *testing.T) {
	t.Parallel()
	h := start(t, lambdahost.Function{})
	h.Kill() // no process yet

	before, _ := succeed(t, h, event{})
	inFlight := hold(t, t.Context(), h)
	h.Kill()
	r := <-inFlight.ended
	want := "RequestId: " + r.RequestID + " Error: Runtime exited with error: signal: killed"
	if inFlight.err != nil || r.FunctionError != "Unhandled" || r.ErrorType != "Runtime.ExitError" ||
		r.ErrorMessage != want {
		t.Errorf("killed: %v, %q, %q, %q", inFlight.err, r.FunctionError, r.ErrorType, r.ErrorMessage)
	}

	after, result := succeed(t, h, event{})
	if !result.Cold || after.PID == before.PID {
		t.Errorf("after the kill: cold %v, process %d after %d", result.Cold, after.PID, before.PID)
	}
	h.Kill() // idle
	if _, result := succeed(t, h, event{}); !result.Cold {
		t.Error("after the kill of an idle process: not cold")
	}
}

// TestKillAtLine kills from Output, at a line that the function wrote.
func TestKillAtLine(t *testing.T) {
	t.Parallel()
	out := newOutput()
	var h *lambdahost.Host
	out.onLine = func(line string) {
		if line == "hanging\n" {
			h.Kill()
		}
	}
	h = start(t, lambdahost.Function{Output: out})
	if r := invoke(t, h, event{Do: "hang"}); r.ErrorType != "Runtime.ExitError" {
		t.Errorf("%q %q", r.ErrorType, r.ErrorMessage)
	}
}

func TestKillDuringInit(t *testing.T) {
	t.Parallel()
	out := newOutput()
	var h *lambdahost.Host
	out.onLine = func(line string) {
		if line == "init speaks\n" {
			h.Kill()
		}
	}
	h = start(t, lambdahost.Function{Output: out, Env: []string{"INIT=print"}})
	// The process may get as far as its first event before the signal.
	if r := invoke(t, h, event{Do: "hang"}); r.ErrorType != "Runtime.ExitError" || !r.Cold {
		t.Errorf("%q %q", r.ErrorType, r.ErrorMessage)
	}
}

func TestOneAtATime(t *testing.T) {
	t.Parallel()
	h := start(t, lambdahost.Function{})
	first := hold(t, t.Context(), h)

	ctx, cancel := context.WithCancel(t.Context())
	waited := make(chan error)
	go func() {
		_, err := h.Invoke(ctx, nil)
		waited <- err
	}()
	cancel()
	if err := <-waited; !errors.Is(err, context.Canceled) {
		t.Errorf("waiting caller: %v", err)
	}

	second := make(chan lambdahost.Result)
	go func() {
		result, _ := h.Invoke(t.Context(), event{Text: "second"}.json(t))
		second <- result
	}()
	select {
	case <-second:
		t.Error("the second invocation ran beside the first")
	default:
	}
	first.Close() // release
	if r := <-first.ended; first.err != nil || r.FunctionError != "" {
		t.Errorf("first: %v, %s", first.err, r.Payload)
	}
	if r := <-second; r.Cold || !strings.Contains(string(r.Payload), `"second"`) {
		t.Errorf("second: cold %v, %s", r.Cold, r.Payload)
	}
}

func TestInvocationOutlivesItsCaller(t *testing.T) {
	t.Parallel()
	out := newOutput()
	h := start(t, lambdahost.Function{Output: out})
	ctx, hangUp := context.WithCancel(t.Context())
	inFlight := hold(t, ctx, h)
	hangUp()
	if <-inFlight.ended; !errors.Is(inFlight.err, context.Canceled) {
		t.Errorf("caller: %v", inFlight.err)
	}
	if strings.Contains(out.String(), "END") {
		t.Error("the invocation ended with its caller")
	}
	inFlight.Close()
	out.wait(t, "REPORT")
	if _, result := succeed(t, h, event{}); result.Cold {
		t.Error("the process did not survive")
	}
}

func TestManyCallers(t *testing.T) {
	t.Parallel()
	h := start(t, lambdahost.Function{})
	var callers sync.WaitGroup
	for i := range 8 {
		callers.Go(func() {
			for j := range 4 {
				text := fmt.Sprint(i, ",", j)
				result, err := h.Invoke(t.Context(), event{Text: text}.json(t))
				switch {
				case err != nil:
					t.Error(err)
				case result.ErrorType == "Runtime.ExitError": // one of the kills
				case !strings.Contains(string(result.Payload), `"`+text+`"`):
					t.Errorf("%q got %s", text, result.Payload)
				}
			}
		})
	}
	callers.Go(func() {
		for range 8 {
			h.Kill()
			runtime.Gosched()
		}
	})
	callers.Wait()
	if _, result := succeed(t, h, event{Text: "after"}); result.RequestID == "" {
		t.Error("no request id")
	}
}

func TestLog(t *testing.T) {
	t.Parallel()
	out := newOutput()
	h := start(t, lambdahost.Function{Output: out, MemoryMB: 512, Env: []string{"INIT=print"}})
	_, cold := succeed(t, h, event{Do: "print", Text: "three"})
	id := cold.RequestID
	want := regexp.MustCompile(`^init speaks\n` +
		`START RequestId: ` + id + ` Version: \$LATEST\n` +
		`one\ntwo\nthree\n` +
		`END RequestId: ` + id + `\n` +
		`REPORT RequestId: ` + id + `\tDuration: \d+\.\d\d ms\tBilled Duration: \d+ ms\tMemory Size: 512 MB\tMax Memory Used: \d+ MB\tInit Duration: \d+\.\d\d ms\t\n$`)
	if !want.Match(cold.Log) {
		t.Errorf("log of the cold start:\n%s", cold.Log)
	}
	_, warm := succeed(t, h, event{})
	if !bytes.HasPrefix(warm.Log, []byte("START RequestId: "+warm.RequestID)) || bytes.Contains(warm.Log,
		[]byte("Init Duration")) {
		t.Errorf("log of the warm invocation:\n%s", warm.Log)
	}
	if out.String() != string(cold.Log)+string(warm.Log) {
		t.Errorf("output:\n%s", out)
	}
}

func TestLogTail(t *testing.T) {
	t.Parallel()
	out := newOutput()
	h := start(t, lambdahost.Function{Output: out})
	const lines = 2000
	_, result := succeed(t, h, event{Do: "lines", N: lines})
	if len(result.Log) != 4096 || !strings.HasSuffix(out.String(), string(result.Log)) {
		t.Errorf("%d bytes of log, not the last 4096 of the output", len(result.Log))
	}
	if n := strings.Count(out.String(), "of many"); n != lines {
		t.Errorf("%d lines of %d in the output", n, lines)
	}
}

func TestProvisioned(t *testing.T) {
	t.Parallel()
	h := start(t, lambdahost.Function{Provisioned: true})
	s, result := succeed(t, h, event{Do: "env"})
	if result.Cold || result.Init != 0 {
		t.Errorf("cold %v, init %v", result.Cold, result.Init)
	}
	if !slices.Contains(s.Env, "AWS_LAMBDA_INITIALIZATION_TYPE=provisioned-concurrency") {
		t.Error("the function is not told")
	}
	_, err := lambdahost.Start(lambdahost.Function{Bootstrap: bootstrap, Provisioned: true, Env: []string{"INIT=exit"}})
	if err == nil || !strings.Contains(err.Error(), "exit status 7") {
		t.Errorf("init fails: %v", err)
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	out := newOutput()
	h := start(t, lambdahost.Function{Output: out})
	inFlight := hold(t, t.Context(), h)
	waiting := make(chan error)
	go func() {
		_, err := h.Invoke(t.Context(), nil)
		waiting <- err
	}()
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	if !strings.Contains(out.String(), "REPORT") {
		t.Error("Close did not wait for the invocation in flight")
	}
	if r := <-inFlight.ended; inFlight.err != nil || !strings.HasSuffix(r.ErrorMessage, "signal: terminated") {
		t.Errorf("in flight: %v, %q", inFlight.err, r.ErrorMessage)
	}
	if err := <-waiting; !errors.Is(err, lambdahost.ErrClosed) {
		t.Errorf("waiting: %v", err)
	}
	if _, err := h.Invoke(t.Context(), nil); !errors.Is(err, lambdahost.ErrClosed) {
		t.Errorf("after: %v", err)
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	h.Kill()
}

func TestCloseKillsWhatIgnoresIt(t *testing.T) {
	t.Parallel()
	h := start(t, lambdahost.Function{Env: []string{"INIT=stubborn"}})
	inFlight := hold(t, t.Context(), h)
	h.Close()
	if r := <-inFlight.ended; !strings.HasSuffix(r.ErrorMessage, "signal: killed") {
		t.Errorf("%q", r.ErrorMessage)
	}
}

// TestNothingLeft is not parallel: it counts the goroutines of the whole process.
func TestNothingLeft(t *testing.T) {
	before := runtime.NumGoroutine()
	h := start(t, lambdahost.Function{})
	succeed(t, h, event{})
	h.Kill()
	succeed(t, h, event{})
	h.Close()
	// Close while a process is being started, or is about to be.
	for range 20 {
		h := start(t, lambdahost.Function{})
		ended := make(chan error)
		go func() {
			_, err := h.Invoke(t.Context(), nil)
			ended <- err
		}()
		runtime.Gosched()
		h.Close()
		if err := <-ended; err != nil && !errors.Is(err, lambdahost.ErrClosed) {
			t.Error(err)
		}
	}
	// A goroutine that has said that it is done may still need a moment to end.
	for deadline := time.Now().Add(time.Minute); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before,
				stacks[:runtime.Stack(stacks, true)])
		}
	}
}

func TestStartRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		fn   lambdahost.Function
		want string
	}{
		{"no bootstrap", lambdahost.Function{Bootstrap: filepath.Join(t.TempDir(), "none")}, "bootstrap: "},
		{"a folder", lambdahost.Function{Bootstrap: t.TempDir()}, "is not a file"},
		{"name", lambdahost.Function{Name: "a b"}, "name "},
		{"account", lambdahost.Function{Account: "12"}, "account "},
		{"long timeout", lambdahost.Function{Timeout: time.Hour}, "timeout "},
		{"negative timeout", lambdahost.Function{Timeout: -1}, "timeout "},
		{"negative init timeout", lambdahost.Function{InitTimeout: -1}, "init timeout "},
		{"negative memory", lambdahost.Function{MemoryMB: -1}, "memory "},
		{"no value", lambdahost.Function{Env: []string{"PASSWORD"}}, "environment: "},
		{"the host's own", lambdahost.Function{Env: []string{"AWS_LAMBDA_RUNTIME_API=x"}}, "environment: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.fn.Bootstrap == "" {
				tt.fn.Bootstrap = bootstrap
			}
			h, err := lambdahost.Start(tt.fn)
			if err == nil {
				h.Close()
				t.Fatal("started")
			}
			if !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "PASSWORD") {
				t.Errorf("error: %v", err)
			}
		})
	}
}

func TestEventTooLarge(t *testing.T) {
	t.Parallel()
	h := start(t, lambdahost.Function{})
	if _, err := h.Invoke(t.Context(), make([]byte, 6<<20+1)); !errors.Is(err, lambdahost.ErrTooLarge) {
		t.Error(err)
	}
}

func TestPartitions(t *testing.T) {
	t.Parallel()
	for region, partition := range map[string]string{"": "aws", "cn-north-1": "aws-cn", "us-gov-west-1": "aws-us-gov"} {
		h := start(t, lambdahost.Function{Region: region})
		if !strings.HasPrefix(h.ARN(), "arn:"+partition+":lambda:"+region) {
			t.Errorf("%q: %s", region, h.ARN())
		}
	}
}

func TestBuild(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "bootstrap")
	if err := lambdahost.Build(t.Context(), "./testdata/nothing", out); err == nil || !strings.Contains(err.Error(),
		"testdata/nothing") {
		t.Errorf("no such package: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := lambdahost.Build(ctx, "./testdata/bootstrap", out); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

func BenchmarkWarm(b *testing.B) {
	h := start(b, lambdahost.Function{Provisioned: true})
	for b.Loop() {
		invoke(b, h, event{})
	}
}

func BenchmarkCold(b *testing.B) {
	h := start(b, lambdahost.Function{})
	for b.Loop() {
		invoke(b, h, event{})
		h.Kill()
	}
}
