package prove

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/lambdahost"
	"github.com/quarterturn-dev/quarterturn/testutil/localaws"
	"github.com/quarterturn-dev/quarterturn/testutil/rotationtest"
)

// Function is a rotation function as it is deployed: the binary that the Lambda
// runtime runs. The secrets are in us-east-1: a masterarn has to name that Region.
type Function struct {
	Bootstrap string
	Env       []string // "K=V"
	Timeout   time.Duration
	// Peak is given the most memory, in MB, that any process of it had. nil: nobody
	// wants to know.
	Peak *atomic.Int64
}

// Deploy is for rotationtest.Fixture: the function is a process, which Kill ends with SIGKILL.
func (f Function) Deploy(emulator *awsemu.Emulator, out io.Writer) (rotationtest.Function, error) {
	opened, err := localaws.Start(localaws.Config{
		Functions: []localaws.Function{{Name: "rotate", Bootstrap: f.Bootstrap, Env: f.Env, Timeout: f.Timeout}},
		Output:    out, AWS: emulator,
	})
	if err != nil {
		return nil, err
	}
	return &deployed{function: f, env: opened, out: out, host: opened.Functions["rotate"]}, nil
}

type deployed struct {
	function Function
	env      *localaws.Env
	out      io.Writer
	host     *lambdahost.Host

	mu    sync.Mutex
	spare *lambdahost.Host // for an invocation while host is busy: Lambda would scale out
	busy  bool
}

func (d *deployed) ARN() string { return d.host.ARN() }

// Invoke invokes the function, or a second instance of it while the first is busy.
func (d *deployed) Invoke(ctx context.Context, event []byte) error {
	d.mu.Lock()
	host := d.host
	first := !d.busy
	if first {
		d.busy = true
	} else {
		if d.spare == nil {
			spare, err := lambdahost.Start(lambdahost.Function{
				Name: "rotate", Bootstrap: d.function.Bootstrap, Timeout: d.function.Timeout, Output: d.out,
				Env: append([]string{"AWS_ENDPOINT_URL=" + d.env.URL}, d.function.Env...),
			})
			if err != nil {
				d.mu.Unlock()
				return err
			}
			d.spare = spare
		}
		host = d.spare
	}
	d.mu.Unlock()
	result, err := host.Invoke(ctx, event)
	d.mu.Lock()
	defer d.mu.Unlock()
	if first {
		d.busy = false
	}
	if peak := d.function.Peak; peak != nil {
		for old := peak.Load(); int64(result.MaxMemoryMB) > old &&
			!peak.CompareAndSwap(old, int64(result.MaxMemoryMB)); old = peak.Load() {
		}
	}
	if err == nil && result.FunctionError != "" {
		err = fmt.Errorf("%s: %s", result.ErrorType, result.ErrorMessage)
	}
	return err
}

func (d *deployed) Kill() {
	d.mu.Lock()
	host, spare := d.host, d.spare
	d.mu.Unlock()
	host.Kill()
	if spare != nil {
		spare.Kill()
	}
}

func (d *deployed) Close() error {
	err := d.env.Close()
	d.mu.Lock()
	spare := d.spare
	d.mu.Unlock()
	if spare != nil {
		err = errors.Join(err, spare.Close())
	}
	return err
}
