package rotationtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/awsstore"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
)

// local is a function in this process. A process of it that was killed is one whose calls are no longer carried out;
// its database sees the same as of a real one if the lines to it are cut.
type local struct {
	region  string
	rotator rotator.Rotator // but for its Store
	client  *http.Client
	out     io.Writer

	mu      sync.Mutex
	running map[*process]bool
}

func inProcess(region string, strategy rotator.Strategy, mode rotator.PreflightMode) Deploy {
	return func(emulator *awsemu.Emulator, out io.Writer) (Function, error) {
		if strategy == nil {
			return nil, errors.New("service: Strategy or Deploy is required")
		}
		l := &local{region: region, client: emulator.Client(), out: out, running: map[*process]bool{}}
		l.rotator = rotator.Rotator{
			Strategy: strategy, PreflightMode: mode,
			ReadBackoff: []time.Duration{time.Millisecond, time.Millisecond}, Observe: l.print,
		}
		return l, nil
	}
}

func (l *local) ARN() string { return "arn:aws:lambda:" + l.region + ":123456789012:function:rotate" }

func (l *local) Close() error { return nil }

func (l *local) Kill() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for p := range l.running {
		p.cancel(errKilled)
	}
}

// errKilled is how the service learns of a process that was killed.
var errKilled = errors.New("service: the process was killed")

func (l *local) Invoke(ctx context.Context, event []byte) error {
	p := &process{client: l.client}
	p.ctx, p.cancel = context.WithCancelCause(ctx)
	defer p.cancel(nil)
	l.mu.Lock()
	l.running[p] = true
	l.mu.Unlock()
	r := l.rotator
	r.Store = awsstore.New(configOf(l.region, "FUNCTION", p), "")
	_, err := r.HandleJSON(p.ctx, event)
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.running, p)
	if p.dead() {
		return errKilled
	}
	return err
}

// process is that of one process, from an invocation to its end.
type process struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	client *http.Client
}

func (p *process) dead() bool { return context.Cause(p.ctx) == errKilled }

// Do sends a request, while the process lives.
func (p *process) Do(r *http.Request) (*http.Response, error) {
	if p.dead() {
		return nil, errKilled
	}
	answer, err := p.client.Do(r)
	if p.dead() {
		return nil, errKilled
	}
	return answer, err
}

func (l *local) print(_ context.Context, r rotator.Record) {
	fmt.Fprintf(l.out, "%s %s %s %v\n", r.Step, r.Outcome, r.Kind, r.Notes)
	if r.Err != nil {
		fmt.Fprintf(l.out, "%v\n", r.Err)
	}
	if r.Report != nil {
		for _, f := range r.Report.Findings {
			fmt.Fprintf(l.out, "%s %s %v\n", f.ID, f.Detail, f.PolicyAnalysis)
		}
	}
	if r.PanicStack != "" {
		fmt.Fprintf(l.out, "panic\n%s\n", r.PanicStack)
	}
}
