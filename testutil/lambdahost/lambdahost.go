// Package lambdahost runs an unmodified Lambda bootstrap on this machine, as
// Lambda would: it serves the Lambda Runtime API to the process, and the Lambda
// Invoke API to callers, on 127.0.0.1 only. It tells success from failure, keeps
// deadlines, restarts a dead process and can kill it at any moment.
//
//	host, err := lambdahost.Start(lambdahost.Function{Bootstrap: "build/bootstrap"})
//	...
//	defer host.Close()
//	result, err := host.Invoke(ctx, []byte(`{"Step":"createSecret", ...}`))
//
// What it does not do:
//   - scale out: a Host has one execution environment, so invocations wait in turn
//     where Lambda would start another (a reserved concurrency of 1, but queueing);
//   - hold the process to MemoryMB, or freeze it between invocations;
//   - run a failed init a second time within the invocation, as Lambda does;
//   - repeat a failed invocation of type Event, which Lambda does twice;
//   - check who calls: there is no IAM here.
package lambdahost

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// Limits of AWS Lambda, in bytes.
// https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
const (
	maxPayload      = 6 << 20          // request of a synchronous invocation
	maxEventPayload = 1 << 20          // request of an asynchronous invocation
	maxResponse     = maxPayload + 100 // the figure that Lambda's own error message gives
)

// stopGrace is how long Close leaves a process between SIGTERM and SIGKILL.
const stopGrace = 500 * time.Millisecond

var (
	// ErrClosed is what a closed Host answers.
	ErrClosed = errors.New("lambda host: closed")
	// ErrTooLarge is an event of more than 6 MB.
	ErrTooLarge = errors.New("lambda host: event larger than 6 MB")
)

// Function is what to run, and how. Only Bootstrap has no default.
type Function struct {
	Bootstrap string // path of the executable; its folder is the task root
	Name      string // "": function
	Region    string // "": us-east-1
	Account   string // "": 123456789012

	// Env is what the function's configuration would add: "K=V" each. It wins
	// over the runtime's own variables, so that a test can choose credentials.
	// Nothing is inherited from the host's environment.
	Env []string

	Timeout     time.Duration // 0: 30 s, as rotation functions have; Lambda's default is 3 s
	InitTimeout time.Duration // 0: 10 s, Lambda's limit
	MemoryMB    int           // 0: 128; what the function is told, not enforced

	// Provisioned makes Start run the init too, as provisioned concurrency does;
	// otherwise the first invocation starts the process.
	Provisioned bool

	// Output takes what CloudWatch would show: the process's stdout and stderr,
	// line by line, between START, END and REPORT. It sees one call at a time and
	// must not block; it may call Kill but no other method. nil: discarded.
	Output io.Writer
}

// Result is how an invocation ended. A function that fails is a Result with
// FunctionError set and not an error, as in Lambda's API.
type Result struct {
	Payload       []byte // the function's response, or an error object
	FunctionError string // "", or "Unhandled"
	ErrorType     string // of the error object
	ErrorMessage  string // of the error object

	RequestID   string
	Cold        bool          // this invocation had to start a process
	Init        time.Duration // 0 unless Cold
	Duration    time.Duration // without Init
	MaxMemoryMB int           // peak resident size of the process; 0 where unknown (not Linux)
	CPU         time.Duration // of the process in this invocation, with Init if Cold; 0 where unknown
	Log         []byte        // last 4 KB of this invocation's log; a cold start's includes the init
}

// Host runs one function. Its methods may be called from many goroutines.
type Host struct {
	fn     Function
	log    logbook
	turn   chan struct{} // holds a token unless an invocation is under way
	ctx    context.Context
	cancel context.CancelFunc
	runs   sync.WaitGroup

	mu     sync.Mutex // guards box and closed; held while a process is started
	box    *sandbox   // nil, alive, or dead and not yet cleared away
	closed bool
}

// Start checks the function and makes a host for it.
func Start(fn Function) (*Host, error) {
	fn, err := fn.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("lambda function: %w", err)
	}
	h := &Host{fn: fn, turn: make(chan struct{}, 1)}
	h.log.out = fn.Output
	h.ctx, h.cancel = context.WithCancel(context.Background())
	h.turn <- struct{}{}
	if !fn.Provisioned {
		return h, nil
	}
	_, failed, err := h.coldStart()
	if failed != nil {
		err = fmt.Errorf("lambda init: %s: %s", failed.kind, failed.message)
	}
	if err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

// withDefaults fills fn in and checks it.
func (fn Function) withDefaults() (Function, error) {
	path, err := filepath.Abs(fn.Bootstrap)
	if err != nil {
		return fn, fmt.Errorf("bootstrap: %w", err)
	}
	switch info, err := os.Stat(path); {
	case err != nil:
		return fn, fmt.Errorf("bootstrap: %w", err)
	case !info.Mode().IsRegular():
		return fn, fmt.Errorf("bootstrap: %s is not a file", fn.Bootstrap)
	}
	fn.Bootstrap = path
	fn.Name = cmp.Or(fn.Name, "function")
	fn.Region = cmp.Or(fn.Region, "us-east-1")
	fn.Account = cmp.Or(fn.Account, "123456789012")
	fn.Timeout = cmp.Or(fn.Timeout, 30*time.Second)
	fn.InitTimeout = cmp.Or(fn.InitTimeout, 10*time.Second)
	fn.MemoryMB = cmp.Or(fn.MemoryMB, 128)
	if fn.Output == nil {
		fn.Output = io.Discard
	}
	return fn, fn.check()
}

// check says which value Lambda would not accept, or the host could not use.
func (fn Function) check() error {
	switch {
	case !regexp.MustCompile(`^[a-zA-Z0-9-_]{1,64}$`).MatchString(fn.Name):
		return fmt.Errorf("name %q: up to 64 letters, digits, hyphens and underscores", fn.Name)
	case !regexp.MustCompile(`^[0-9]{12}$`).MatchString(fn.Account):
		return fmt.Errorf("account %q: twelve digits", fn.Account)
	case fn.Timeout < 0 || fn.Timeout > 15*time.Minute:
		return fmt.Errorf("timeout %v: more than 0, and at most 15 minutes", fn.Timeout)
	case fn.InitTimeout < 0:
		return fmt.Errorf("init timeout %v: negative", fn.InitTimeout)
	case fn.MemoryMB < 0:
		return fmt.Errorf("memory %d MB: negative", fn.MemoryMB)
	}
	for _, kv := range fn.Env {
		switch k, _, ok := strings.Cut(kv, "="); {
		case !ok || k == "":
			return errors.New("environment: an entry is not of the form K=V") // not quoted: it may be a secret
		case k == "AWS_LAMBDA_RUNTIME_API":
			return fmt.Errorf("environment: %s is the host's to set", k)
		}
	}
	return nil
}

// ARN is the function's name in full, without a version.
func (h *Host) ARN() string {
	partition := "aws"
	switch {
	case strings.HasPrefix(h.fn.Region, "cn-"):
		partition = "aws-cn"
	case strings.HasPrefix(h.fn.Region, "us-gov-"):
		partition = "aws-us-gov"
	}
	return fmt.Sprintf("arn:%s:lambda:%s:%s:function:%s", partition, h.fn.Region, h.fn.Account, h.fn.Name)
}

// Invoke runs the function once, after the invocations that came before. No
// payload means {}. ctx ends the wait, not the function: as in Lambda, an
// invocation goes on when its caller hangs up. The error is for what never
// reached the function; what went wrong in it is in the Result.
func (h *Host) Invoke(ctx context.Context, payload []byte) (Result, error) {
	if len(payload) > maxPayload {
		return Result{}, ErrTooLarge
	}
	select {
	case <-h.turn:
	case <-ctx.Done():
		return Result{}, ctx.Err()
	case <-h.ctx.Done():
		return Result{}, ErrClosed
	}
	type ending struct {
		result Result
		err    error
	}
	ended := make(chan ending, 1)
	begun := h.background(func() {
		result, err := h.run(payload)
		h.turn <- struct{}{}
		ended <- ending{result, err}
	})
	if !begun {
		h.turn <- struct{}{}
		return Result{}, ErrClosed
	}
	select {
	case e := <-ended:
		return e.result, e.err
	case <-ctx.Done():
		return Result{}, ctx.Err()
	}
}

// background runs f in a goroutine that Close waits for, unless Close has begun.
func (h *Host) background(f func()) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closed {
		h.runs.Go(f)
	}
	return !h.closed
}

// run is one invocation from START to REPORT. Its caller holds the turn.
func (h *Host) run(payload []byte) (Result, error) {
	inv := newInvocation(payload, h.ARN())
	result := Result{RequestID: inv.id}
	h.log.reset()
	box := h.warm()
	var failed *failure
	var used time.Duration // before this invocation
	if box != nil {
		used = processorTime(box.cmd.Process.Pid)
	} else {
		var err error
		begin := time.Now()
		if box, failed, err = h.coldStart(); err != nil {
			return Result{}, err
		}
		result.Cold = true
		result.Init = time.Since(begin)
	}

	h.log.printf("START RequestId: %s Version: $LATEST\n", inv.id)
	begin := time.Now()
	if failed == nil {
		failed = box.serve(inv, h.fn.Timeout)
	}
	result.Duration = time.Since(begin)
	if box != nil {
		result.MaxMemoryMB = box.sample()
		if !box.dead() {
			result.CPU = processorTime(box.cmd.Process.Pid) - used
		}
		if failed != nil {
			box.kill()
		}
		box.pipe.sync() // what the process wrote comes before END
	}

	result.settle(inv, failed)
	h.log.end(result, h.fn.MemoryMB, failed)
	result.Log = h.log.last()
	return result, nil
}

// settle fills in what the caller is told: the answer of the process if it gave
// one, even if it died right after; otherwise Lambda's own account of the failure.
func (r *Result) settle(inv *invocation, failed *failure) {
	if inv.answer == nil {
		inv.answer = &answer{payload: failed.payload(inv.id), failed: true}
	}
	r.Payload = inv.answer.payload
	if inv.answer.failed {
		r.FunctionError = "Unhandled" // Lambda's word for every error of a custom runtime
		r.ErrorType, r.ErrorMessage = parseError(r.Payload)
	}
}

// warm gives the environment that waits for work, or nil.
func (h *Host) warm() *sandbox {
	h.mu.Lock()
	box := h.box
	h.mu.Unlock()
	if box != nil && box.dead() {
		h.discard(box)
		return nil
	}
	return box
}

// coldStart starts a process and waits until it is ready for its first event. A
// process that does not get there is a failure of the function, as in Lambda, and
// one that cannot be run at all leaves no environment; what goes wrong in the host
// is an error.
func (h *Host) coldStart() (*sandbox, *failure, error) {
	box, failed, err := h.launch()
	if err != nil || failed != nil {
		return nil, failed, err
	}
	failed = box.init(h.fn.InitTimeout)
	box.sample()
	box.pipe.sync() // what the init wrote comes before START
	return box, failed, nil
}

// launch holds the lock, so that Kill and Close find either no process or all of it.
func (h *Host) launch() (*sandbox, *failure, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, nil, ErrClosed
	}
	box, failed, err := startSandbox(h.fn, &h.log)
	h.box = box
	return box, failed, err
}

// discard ends an environment for good.
func (h *Host) discard(box *sandbox) {
	box.close()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.box == box {
		h.box = nil
	}
}

// Kill ends the process with SIGKILL, whatever it is doing, and returns when it is
// dead. An invocation in flight ends as Lambda reports a crash (errorType
// Runtime.ExitError); the next one starts a fresh process. Without a process it
// does nothing.
func (h *Host) Kill() {
	h.mu.Lock()
	box := h.box
	h.mu.Unlock()
	if box != nil {
		box.kill()
	}
}

// SetEnv adds variables to the environment, as update-function-configuration does: the
// next invocation starts a fresh process.
func (h *Host) SetEnv(env ...string) error {
	return h.ReplaceEnv(append(slices.Clone(h.fn.Env), env...)...)
}

// ReplaceEnv is SetEnv for all variables that Function.Env had.
func (h *Host) ReplaceEnv(env ...string) error {
	fn := Function{Name: h.fn.Name, Account: h.fn.Account, Env: env}
	if err := fn.check(); err != nil {
		return fmt.Errorf("lambda function: %w", err)
	}
	<-h.turn
	h.mu.Lock()
	h.fn.Env = slices.Clone(env)
	box := h.box
	h.mu.Unlock()
	if box != nil {
		h.discard(box)
	}
	h.turn <- struct{}{}
	return nil
}

// Close ends the process, with SIGTERM and soon after with SIGKILL, and everything
// the host had running. Invocations that wait end with ErrClosed. It may be called
// again; its error is always nil.
func (h *Host) Close() error {
	h.mu.Lock()
	h.closed = true
	box := h.box
	h.mu.Unlock()
	h.cancel()
	if box != nil {
		box.terminate(stopGrace)
	}
	h.runs.Wait()
	if box != nil {
		h.discard(box)
	}
	return nil
}
