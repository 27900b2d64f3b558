package rotationtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest/census"
)

// trialRun is a fixture in use.
type trialRun struct {
	Fixture
	service *Service
	proxy   *strategytest.Proxy
	around  StepFunc // nil: just invoke

	mu         sync.Mutex
	step       rotator.Step
	giveUp     context.CancelFunc // ends the step
	moments    []injectionPoint
	act        func(injectionPoint) action            // nil: nothing happens
	noFaultYet bool                                   // nothing has happened yet, as in the rotation without trouble
	skipChecks bool                                   // a trouble keeps clients out too: no login is tried
	values     []secret.Document                      // every value of a secret
	seen       secret.Scrubber                        // with what is secret in them, to be found in what is printed
	original   secret.Document                        // what may not change but for the password
	delay      func(strategytest.Chunk) time.Duration // of each piece; nil: none
	host       string                                 // by which the proxy is reached; "": 127.0.0.1
	ends       []func() error                         // of what trials have begun
	breaches   []error

	refused  bool // the rotation, and that is an end that may be
	switches bool // AWSCURRENT is for another user after a rotation

	// What there was before the rotation.
	own    []census.Admitted // the values of the secret
	census map[string]string
	others []census.Admitted
	rights map[string][]string // by label
	mayDo  map[string][]string // by the name of another's secret
}

// trialTime is when a trial counts as hanging: far more than any needs.
const trialTime = 10 * time.Minute

// within runs a trial in a fresh fixture, and takes account of what it left behind.
func within(parent context.Context, fresh NewFixture, run func(ctx context.Context, r *trialRun) error) error {
	ctx, cancel := context.WithTimeout(parent, trialTime)
	defer cancel()
	r, err := newRound(ctx, fresh)
	if err != nil {
		return fmt.Errorf("fixture: %w", err)
	}
	hung := false
	defer func() {
		if hung {
			go r.close() // it waits for what hangs
			return
		}
		r.close()
	}()
	done := make(chan error, 1)
	go func() { done <- run(ctx, r) }()
	select {
	case err = <-done:
	case <-ctx.Done():
		select {
		case err = <-done:
		case <-time.After(time.Minute):
			hung, err = true, errors.New("it ignores the end of its context, too")
		}
	}
	switch {
	case parent.Err() != nil:
		return parent.Err() // the run was ended from outside: that is no verdict
	case ctx.Err() != nil:
		return r.redact(fmt.Errorf("%w after %s: %w", ViolationHung, trialTime, err))
	}
	complete := err == nil && !r.refused
	broken := errors.Join(r.verdict(ctx, complete), r.aftermath(ctx, complete), r.restarted(ctx))
	if broken != nil && errors.Is(err, strategytest.ErrNotOffered) {
		err = nil
	}
	return r.redact(errors.Join(err, broken))
}

func newRound(ctx context.Context, fresh NewFixture) (r *trialRun, err error) {
	f, err := fresh(ctx)
	if err != nil {
		return nil, err
	}
	r = &trialRun{Fixture: f}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	r.Member = cmp.Or(r.Member, "password")
	if r.Changes == nil {
		r.Changes = []string{"username", r.Member, "alternateUsername"}
	}
	current := f.Current
	related, err := f.RelatedSecrets(ctx)
	if err != nil {
		return r, err
	}
	if f.Dial != nil {
		r.proxy = &strategytest.Proxy{Dial: f.Dial, OnChunk: r.piece}
		if err := r.proxy.Listen(); err != nil {
			return r, err
		}
		if f.name != nil {
			host, end, err := f.name(r.proxy.Port())
			if err != nil {
				return r, err
			}
			r.host, r.ends = host, append(r.ends, end)
		}
		current = r.lead(current)
		for id := range related {
			related[id] = r.lead(related[id])
		}
	}
	if f.Tap != nil {
		f.Tap(r.tapped)
	}
	r.original = current
	r.remember(current)
	for _, d := range related {
		r.remember(d)
	}
	if f.Census != nil {
		if r.census, err = f.Census(ctx); err != nil {
			return r, fmt.Errorf("census: %w", err)
		}
	}
	others := maps.Clone(related)
	maps.Copy(others, f.Others)
	r.others = r.clients().Admitted(ctx, others)
	// Where the name has no account for clients of a host, none is locked out there.
	if came := r.clients().Admitted(ctx, map[string]secret.Document{"": current}); f.Hosts != nil && came != nil {
		r.Hosts = came[0].Hosts
	}
	r.remember(f.Pending)
	r.remember(f.Previous)
	r.own = r.clients().Admitted(ctx, map[string]secret.Document{"itself": current})
	r.service, err = Open(ServiceConfig{
		Strategy: f.Strategy, Preflight: f.Preflight, Deploy: f.Deploy,
		Current: current, Previous: f.Previous, Pending: f.Pending, Related: related,
		BeforeCall: func(op string) Fault { return r.moment(injectionPoint{api: true, what: op}).fault },
		AfterCall:  func(op string) { r.moment(injectionPoint{api: true, after: true, what: op}) },
		Step:       r.run,
	})
	if err != nil {
		return r, err
	}
	r.rights, err = r.allRights(ctx)
	r.mayDo = r.rightsOfOthers(ctx)
	// Whom the server lets in with nothing of the secret's, no rotation locks out.
	if r.own == nil {
		rest := map[string]secret.Document{"previous": f.Previous, "pending": f.Pending}
		maps.DeleteFunc(rest, func(_ string, d secret.Document) bool { return d.IsZero() })
		r.skipChecks = r.clients().Admitted(ctx, rest) == nil
	}
	return r, err
}

func (r *trialRun) close() {
	if r.service != nil {
		r.service.Close()
	}
	if r.proxy != nil {
		r.proxy.Close()
	}
	for _, end := range r.ends {
		end() //nolint:errcheck // the verdict is given
	}
	if r.Close != nil {
		r.Close()
	}
}

// lead sends a value's logins to the proxy, and direct back to the server, where
// clients go that nothing happens to.
func (r *trialRun) lead(d secret.Document) secret.Document {
	if d.Text("tlsServerName") == "" {
		d = d.Set("tlsServerName", d.Text("host"))
	}
	return d.Set("host", cmp.Or(r.host, "127.0.0.1")).Set("port", strconv.Itoa(r.proxy.Port()))
}

func (r *trialRun) direct(d secret.Document) (secret.Document, error) {
	if r.proxy == nil {
		return d, nil
	}
	port, ok := r.Current.Int("port")
	if !ok {
		return d, errors.New("fixture: Current has no port")
	}
	return d.Set("host", r.Current.Text("host")).Set("port", strconv.Itoa(port)), nil
}

// remember has a value be found wherever it is printed. The caller holds the lock, or is alone.
func (r *trialRun) remember(d secret.Document) {
	if !slices.ContainsFunc(r.values, d.Equal) {
		r.values = append(r.values, d)
		r.seen.Add(d.SecretValues()...)
	}
}

func (r *trialRun) leaks(text string) bool { return r.seen.String(text) != text }

func (r *trialRun) redact(err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen.Error(err)
}

// run is a step. What the trial did to the line ends with it.
func (r *trialRun) run(ctx context.Context, step rotator.Step, invoke Invoke) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r.mu.Lock()
	r.step, r.giveUp = step, cancel
	r.mu.Unlock()
	if r.proxy != nil {
		defer r.proxy.ResetAll(false)
	}
	if r.around != nil {
		return r.around(ctx, step, invoke)
	}
	return invoke(ctx, step)
}

// patience is how long a silent server is waited for.
const patience = 200 * time.Millisecond

func (r *trialRun) piece(p strategytest.Chunk) strategytest.ChunkAction {
	m := injectionPoint{what: "a piece for the database", after: p.FromServer}
	if p.FromServer {
		m.what = "the database had carried out a piece"
	}
	if p.Opening {
		m.what = "a connection to the database"
	}
	r.mu.Lock()
	delay := r.delay
	r.mu.Unlock()
	if delay != nil {
		time.Sleep(delay(p))
	}
	a := r.moment(m)
	if a.kill {
		return strategytest.ChunkReset
	}
	return a.verdict
}

// errServer is a server that fails, where the engine under test is one.
var errServer = fmt.Errorf("%w: the server failed", rotator.KindUnreachable)

func (r *trialRun) tapped(what string, after bool) error {
	if r.moment(injectionPoint{what: what, after: after}).refuse {
		return errServer
	}
	return nil
}

// moment is where everything is asked and judged. It returns when what was to
// happen has happened.
func (r *trialRun) moment(m injectionPoint) action {
	r.mu.Lock()
	defer r.mu.Unlock()
	m.n, m.step = len(r.moments)+1, r.step
	r.moments = append(r.moments, m)
	var a action
	if r.act != nil {
		a = r.act(m)
	}
	r.noFaultYet = r.noFaultYet && a == action{}
	if !r.noFaultYet && m.changes() {
		r.judge(m.String())
	}
	if a.verdict == strategytest.ChunkDrop {
		time.AfterFunc(patience, r.giveUp)
	}
	if a.kill {
		if r.proxy != nil {
			r.proxy.ResetAll(true)
		}
		r.service.Kill()
		a.fault = FaultServerError // not carried out; the function is gone and gets no answer
	}
	if a.restart {
		if err := r.Restart(context.Background()); err != nil {
			r.breaches = append(r.breaches, fmt.Errorf("fixture: restart: %w", err))
		}
	}
	return a
}

// runTrial rotates with something happening, then without, and looks at what has
// become of everything.
func (r *trialRun) runTrial(ctx context.Context, act func(injectionPoint) action) error {
	r.mu.Lock()
	r.act, r.noFaultYet = act, true
	r.mu.Unlock()
	err := r.service.Rotate(ctx, 1)
	return r.finish(ctx, err)
}

// finish tries again, as the service does, if a rotation had an error.
func (r *trialRun) finish(ctx context.Context, failed error) error {
	r.mu.Lock()
	vacuous := r.noFaultYet
	r.act, r.noFaultYet, r.skipChecks = nil, false, false
	r.judge("afterwards")
	r.mu.Unlock()
	if vacuous { // the line was spoken in other pieces this time
		return errors.Join(notOffered("that moment, in this rotation"), failed)
	}
	if failed != nil {
		if err := r.service.Rotate(ctx, 1); err != nil {
			return fmt.Errorf("%w: after %q, the retry: %w", ViolationNotRecovered, failed, err)
		}
	}
	return nil
}
