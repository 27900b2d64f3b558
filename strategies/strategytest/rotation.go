package strategytest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest/census"
)

// RotationFixture is a strategy, a secret and a server, for whole rotations with
// something going wrong in them. Of StrategyFixture it needs Strategy, Current,
// LogIn, and KeepsCurrent where it holds. Current must name its server in host and
// port if there is Dial; and if TLS is on, the pieces that are cut are records.
type RotationFixture struct {
	StrategyFixture

	// Previous and Pending are values that the secret has beside Current, of rotations
	// before this one, and of one that others began. Zero: there is none.
	Previous, Pending secret.Document

	// Dial reaches the server, for a Proxy to stand in between.
	Dial func(ctx context.Context) (net.Conn, error)
	// ContextReachesStrategy says that the step's context reaches the strategy, so that a server can
	// fall silent at every piece without each being waited for. (A function in a
	// process of its own waits for the engine's time limits.)
	ContextReachesStrategy bool
	// Tap is for a server without a network: ask is to be called when the server is
	// about to do something, and when it has done it. An error ends the call.
	Tap func(ask func(what string, after bool) error)

	// Troubles are what a server can be in: read only, without a free connection,
	// with the account locked by another transaction.
	Troubles map[string]Disruption
	// Restart restarts the server, as after a loss of power, and returns when it is
	// ready. Each trial ends in one, so that what was not saved is found missing.
	Restart func(ctx context.Context) error

	// Chaos is for ChaosTrials.
	Chaos Chaos

	// ServerLog gives everything the server has logged, at its most talkative.
	ServerLog func() string
	// Open opens the service that runs the rotation. nil: Local.
	Open func(ServiceConfig) (Service, error)
	// Close ends what is the fixture's alone. nil: there is nothing to end.
	Close func()

	name func(port int) (host string, end func() error, err error) // of the way to the server; nil: 127.0.0.1
}

// NewRotation makes a fixture, with an account that no other fixture has.
type NewRotation func(ctx context.Context) (RotationFixture, error)

// A Disruption begins, for the users that the fixture is about, and is ended by what
// it returns.
type Disruption func(ctx context.Context) (end func() error, err error)

// A Violation is a promise that was broken.
type Violation string

const (
	ViolationLockedOut    Violation = "locked out" // no labelled value logs in, or not AWSCURRENT with users that alternate
	ViolationLeaked       Violation = "leaked"     // a secret is in something that people read
	ViolationPanicked     Violation = "panicked"
	ViolationHung         Violation = "hung"
	ViolationNotRecovered Violation = "stuck"      // what was in the way is gone, and the next rotation still fails
	ViolationCorrupted    Violation = "spoilt"     // a member of the secret changed that no rotation may change
	ViolationConnLeak     Violation = "left open"  // a connection outlived its step
	ViolationBystander    Violation = "bystander"  // another account or secret is not as it was before
	ViolationNotSaved     Violation = "not saved"  // what logged in does so no longer after a restart of the server
	ViolationPrivileges   Violation = "privileges" // who holds the secret may do more by it than before, or less
)

// Error makes a Violation usable with %w.
func (b Violation) Error() string { return string(b) }

// Violations is all of them, in the order in which they are told.
func Violations() []Violation {
	return []Violation{ViolationLockedOut, ViolationLeaked, ViolationPanicked, ViolationHung, ViolationNotRecovered, ViolationCorrupted, ViolationConnLeak, ViolationBystander, ViolationPrivileges, ViolationNotSaved}
}

// A Trial is one rotation in which one thing goes wrong.
type Trial struct {
	Group string // "crash", "API", "line", "trouble", "order"; of ChaosTrials "failover", "certificate", "distance", "name", "processor"
	Name  string
	// Run is nil if every promise was kept, wraps ErrNotOffered where the thing did
	// not come to pass, and else wraps each Violation.
	Run func(ctx context.Context) error
}

// Trials finds out, by one rotation in which nothing goes wrong, where something
// can, and gives a trial for each place and each thing. The error is that of the
// one rotation.
func Trials(ctx context.Context, fresh NewRotation) ([]Trial, error) {
	w, err := recordMoments(ctx, fresh)
	if err != nil {
		return nil, fmt.Errorf("a rotation in which nothing goes wrong: %w", err)
	}
	var trials []Trial
	add := func(group, name string, run func(ctx context.Context, r *trialRun) error) {
		trials = append(trials, Trial{group, name, func(ctx context.Context) error { return within(ctx, fresh, run) }})
	}
	for _, m := range w.moments {
		add("crash", "killed "+m.String(), func(ctx context.Context, r *trialRun) error {
			return r.runTrial(ctx, func(at injectionPoint) action { return action{kill: at.n == m.n} })
		})
	}
	for _, m := range w.moments {
		switch {
		case m.api && !m.after:
			for _, f := range faults() {
				if !f.appliesTo(m.what) {
					continue
				}
				add("API", string(f)+" "+m.String(), func(ctx context.Context, r *trialRun) error {
					return r.runTrial(ctx, func(at injectionPoint) action {
						if at.n == m.n {
							return action{fault: f}
						}
						return action{}
					})
				})
			}
		case !m.api && w.Dial != nil:
			verdicts := map[string]ChunkAction{"reset": ChunkReset}
			if w.ContextReachesStrategy {
				verdicts["silent"] = ChunkDrop
			}
			if w.Restart != nil {
				add("trouble", "a restart "+m.String(), func(ctx context.Context, r *trialRun) error {
					return r.runTrial(ctx, func(at injectionPoint) action { return action{restart: at.n == m.n} })
				})
			}
			for what, v := range verdicts {
				add("line", what+" "+m.String(), func(ctx context.Context, r *trialRun) error {
					return r.runTrial(ctx, func(at injectionPoint) action {
						if at.n == m.n {
							return action{verdict: v}
						}
						return action{}
					})
				})
			}
		case !m.api:
			add("line", "an error "+m.String(), func(ctx context.Context, r *trialRun) error {
				return r.runTrial(ctx, func(at injectionPoint) action { return action{refuse: at.n == m.n} })
			})
		}
	}
	for _, step := range rotationSteps() {
		for name, begin := range w.troubles() {
			add("trouble", fmt.Sprintf("%s in %s", name, step), func(ctx context.Context, r *trialRun) error {
				return r.trouble(ctx, step, name, begin(r))
			})
		}
		for name, order := range orders() {
			add("order", fmt.Sprintf("%s, at %s", name, step), func(ctx context.Context, r *trialRun) error {
				return r.at(ctx, step, func(ctx context.Context, step rotator.Step, invoke Invoke) error { return order(ctx, r, step, invoke) })
			})
		}
	}
	slices.SortStableFunc(trials, func(a, b Trial) int { return strings.Compare(a.Group, b.Group) })
	return trials, nil
}

// RotationOptions says how [TestRotation] goes about it. The zero value is right for a
// fixture in which a rotation takes milliseconds.
type RotationOptions struct {
	MaxTrials int // of all that there are, evenly spread; 0: all
}

// TestRotation runs the trials as subtests, one after another.
func TestRotation(t *testing.T, fresh NewRotation, o RotationOptions) {
	trials, err := Trials(t.Context(), fresh)
	if err != nil {
		t.Fatal(err)
	}
	for _, trial := range Sample(trials, o.MaxTrials) {
		trial.test(t)
	}
}

// Sample takes at most n, evenly. 0: all.
func Sample[T any](all []T, n int) []T {
	if n <= 0 || n >= len(all) {
		return all
	}
	some := make([]T, n)
	for i := range some {
		some[i] = all[i*len(all)/n]
	}
	return some
}

// injectionPoint is a point of a rotation at which something can happen: before or after a
// call of the API, or a piece of what is said on the line to the database.
type injectionPoint struct {
	n     int // 1, 2, ...
	step  rotator.Step
	api   bool
	after bool // carried out, not yet answered
	what  string
}

func (m injectionPoint) String() string {
	when := "before"
	if m.after {
		when = "after"
	}
	return fmt.Sprintf("%s %s of %s (moment %d)", when, m.what, m.step, m.n)
}

// changes says whether anything may be otherwise than at the moment before.
func (m injectionPoint) changes() bool {
	return m.after && !(m.api && (m.what == "GetSecretValue" || m.what == "DescribeSecret"))
}

// patience is how long a silent server is waited for.
const patience = 200 * time.Millisecond

// action is what happens at a moment. Zero: nothing.
type action struct {
	kill    bool
	fault   Fault
	verdict ChunkAction
	refuse  bool // the server fails
	restart bool // the server restarts
}

// trialRun is a fixture in use.
type trialRun struct {
	RotationFixture
	passwordSet
	service Service
	proxy   *Proxy
	around  func(ctx context.Context, step rotator.Step, invoke Invoke) error // nil: just invoke

	mu         sync.Mutex
	step       rotator.Step
	giveUp     context.CancelFunc // ends the step
	moments    []injectionPoint
	act        func(injectionPoint) action // nil: nothing happens
	noFaultYet bool                        // nothing has happened yet: it is as in the rotation without trouble
	skipChecks bool                        // a trouble keeps clients out too: no login is tried
	original   secret.Document             // what may not change but for the password
	delay      func(Chunk) time.Duration   // of each piece; nil: none
	host       string                      // by which the proxy is reached; "": 127.0.0.1
	ends       []func() error              // of what trials have begun
	breaches   []error

	refused bool // the rotation, and that is an end that may be

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
func within(parent context.Context, fresh NewRotation, run func(ctx context.Context, r *trialRun) error) error {
	ctx, cancel := context.WithTimeout(parent, trialTime)
	defer cancel()
	r, err := newRound(ctx, fresh)
	if err != nil {
		return fmt.Errorf("fixture: %w", err)
	}
	defer r.close()
	err, deaf := respectsContext(ctx, time.Minute, "the trial", func(ctx context.Context) error { return run(ctx, r) })
	switch {
	case parent.Err() != nil:
		return parent.Err() // the run was ended from outside: that is no verdict
	case ctx.Err() != nil || deaf != nil:
		return r.redact(fmt.Errorf("%w after %s: %w", ViolationHung, trialTime, errors.Join(err, deaf)))
	}
	complete := err == nil && !r.refused
	broken := errors.Join(r.verdict(ctx, complete), r.aftermath(ctx, complete), r.restarted(ctx))
	if broken != nil && errors.Is(err, ErrNotOffered) {
		err = nil
	}
	return r.redact(errors.Join(err, broken))
}

func newRound(ctx context.Context, fresh NewRotation) (r *trialRun, err error) {
	f, err := fresh(ctx)
	if err != nil {
		return nil, err
	}
	r = &trialRun{RotationFixture: f}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	if r.Changes == nil {
		r.Changes = []string{"username", r.member(), "alternateUsername"}
	}
	current := f.Current
	related, err := f.RelatedSecrets(ctx)
	if err != nil {
		return nil, err
	}
	if f.Dial != nil {
		r.proxy = &Proxy{Dial: f.Dial, OnChunk: r.piece}
		if err := r.proxy.Listen(); err != nil {
			return nil, err
		}
		if f.name != nil {
			host, end, err := f.name(r.proxy.Port())
			if err != nil {
				return nil, err
			}
			r.host, r.ends = host, append(r.ends, end)
		}
		if current, err = r.lead(current); err != nil {
			return nil, err
		}
		for id := range related {
			if related[id], err = r.lead(related[id]); err != nil {
				return nil, err
			}
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
	open := f.Open
	if open == nil {
		open = Local
	}
	if f.Census != nil {
		if r.census, err = f.Census(ctx); err != nil {
			return r, fmt.Errorf("census: %w", err)
		}
	}
	r.others = r.clients().Admitted(ctx, r.RotationFixture.others(related))
	// Where the name has no account for clients of a host, none is locked out there.
	if came := r.clients().Admitted(ctx, map[string]secret.Document{"": current}); f.Hosts != nil && came != nil {
		r.Hosts = came[0].Hosts
	}
	r.remember(f.Pending)
	r.remember(f.Previous)
	r.own = r.clients().Admitted(ctx, map[string]secret.Document{"itself": current})
	r.service, err = open(ServiceConfig{
		Strategy: f.Strategy, Current: current, Previous: f.Previous, Pending: f.Pending, Related: related,
		BeforeCall: func(op string) Fault { return r.moment(injectionPoint{api: true, what: op}).fault },
		AfterCall:  func(op string) { r.moment(injectionPoint{api: true, after: true, what: op}) },
		Step:       func(ctx context.Context, step rotator.Step, invoke Invoke) error { return r.run(ctx, step, invoke) },
	})
	if err != nil {
		return r, err
	}
	if err == nil {
		r.rights, err = r.allRights(ctx)
		r.mayDo = r.rightsOfOthers(ctx)
	}
	// Whom the server lets in with nothing of the secret's, no rotation locks out.
	if r.own == nil {
		rest := map[string]secret.Document{"previous": f.Previous, "pending": f.Pending}
		maps.DeleteFunc(rest, func(_ string, d secret.Document) bool { return d.IsZero() })
		r.skipChecks = r.clients().Admitted(ctx, rest) == nil
	}
	return r, err
}

// allRights asks, for each labelled value that logs in, what it is good for.
func (r *trialRun) allRights(ctx context.Context) (map[string][]string, error) {
	all := map[string][]string{}
	if r.Rights == nil {
		return all, nil
	}
	for _, label := range []string{rotator.LabelCurrent, rotator.LabelPending, rotator.LabelPrevious} {
		d := r.service.ValueAt(label)
		if d.IsZero() || r.clients().Admitted(ctx, map[string]secret.Document{label: d}) == nil {
			continue
		}
		d, err := r.direct(d)
		if err != nil {
			return nil, err
		}
		if all[label], err = r.Rights(ctx, d); err != nil {
			return nil, fmt.Errorf("rights by %s: %w", label, err)
		}
	}
	return all, nil
}

// rightsOfOthers asks the same for the secrets of others that log in.
func (r *trialRun) rightsOfOthers(ctx context.Context) map[string][]string {
	all := map[string][]string{}
	for name, d := range r.Others {
		if r.Rights == nil {
			break
		}
		if may, err := r.Rights(ctx, d); err == nil {
			all[name] = may
		}
	}
	return all
}

// aftermath compares the server, the other secrets and what the values of this one are
// good for with what there was before.
func (r *trialRun) aftermath(ctx context.Context, complete bool) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), censusTime)
	defer cancel()
	var found []error
	breach := func(b Violation, err error) {
		if err != nil {
			found = append(found, fmt.Errorf("at the end: %w: %w", b, err))
		}
	}
	current := r.service.ValueAt(rotator.LabelCurrent)
	if r.census != nil {
		after, err := r.Census(ctx)
		if err != nil {
			return fmt.Errorf("fixture: census: %w", err)
		}
		breach(ViolationBystander, r.may(complete).Check(r.census, after))
	}
	breach(ViolationBystander, r.clients().StillAdmitted(ctx, r.others))
	if r.refused {
		breach(ViolationLockedOut, r.clients().StillAdmitted(ctx, r.own))
	}
	rights, err := r.allRights(ctx)
	if err != nil {
		return fmt.Errorf("fixture: %w", err)
	}
	var held, holds []string
	for _, some := range r.rights {
		held = append(held, some...)
	}
	for _, some := range rights {
		holds = append(holds, some...)
	}
	breach(ViolationPrivileges, census.SameRights(held, holds, false))
	for name, may := range r.rightsOfOthers(ctx) {
		if before, ok := r.mayDo[name]; ok {
			if more := census.Without(may, before); more != nil {
				breach(ViolationPrivileges, fmt.Errorf("by the secret %s, clients can do what they could not before: %q", name, more))
			}
		}
	}
	// The clone may do all that its original may. (The original need not be able to do
	// what a clone could that others had made.)
	now, works := rights[rotator.LabelCurrent]
	if c := census.OfRotation(r.original, current); works && c.Clone != "" && c.Clone == current.Text("username") {
		if lost := census.Without(r.rights[rotator.LabelCurrent], now); lost != nil {
			breach(ViolationPrivileges, fmt.Errorf("by AWSCURRENT, clients cannot do what they could before: %q", lost))
		}
	}
	return errors.Join(found...)
}

// restarted restarts the server, and compares what logs in with what did before.
func (r *trialRun) restarted(ctx context.Context) error {
	if r.Restart == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), trialTime)
	defer cancel()
	stored := map[string]secret.Document{}
	for _, label := range []string{rotator.LabelCurrent, rotator.LabelPending, rotator.LabelPrevious} {
		if d := r.service.ValueAt(label); !d.IsZero() {
			stored[label] = d
		}
	}
	own := r.clients().Admitted(ctx, stored)
	if err := r.Restart(ctx); err != nil {
		return fmt.Errorf("fixture: restart: %w", err)
	}
	if err := errors.Join(r.clients().StillAdmitted(ctx, own), r.clients().StillAdmitted(ctx, r.others)); err != nil {
		return fmt.Errorf("after a restart: %w: %w", ViolationNotSaved, err)
	}
	return nil
}

// may is what the rotations of a trial may have changed.
func (r *trialRun) may(complete bool) census.Change {
	if r.refused {
		return census.Change{}
	}
	first := r.Current
	c := census.Change{Passwords: []string{first.Text("username")}}
	for _, label := range []string{rotator.LabelCurrent, rotator.LabelPending, rotator.LabelPrevious} {
		if d := r.service.ValueAt(label); !d.IsZero() {
			c = c.And(census.OfRotation(first, d))
		}
	}
	for _, s := range r.others {
		if s.Name == first.Text(keySuperuser) {
			c.Superuser = s.Value.Text("username")
		}
	}
	c.Cut = !complete
	return c
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
func (r *trialRun) lead(d secret.Document) (secret.Document, error) {
	if d.Text("tlsServerName") == "" {
		d = d.Set("tlsServerName", d.Text("host"))
	}
	return member(d.Set("host", cmp.Or(r.host, "127.0.0.1")), "port", r.proxy.Port())
}

func (r *trialRun) direct(d secret.Document) (secret.Document, error) {
	if r.proxy == nil {
		return d, nil
	}
	port, ok := r.Current.Int("port")
	if !ok {
		return d, errors.New("fixture: Current has no port")
	}
	return member(d.Set("host", r.Current.Text("host")), "port", port)
}

func (r *trialRun) remember(d secret.Document) {
	r.keep(d.SecretValues()...)
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

func (r *trialRun) piece(p Chunk) ChunkAction {
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
		return ChunkReset
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
	if a.verdict == ChunkDrop {
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

// judge logs in with what is labelled, and writes down a breach. The caller holds
// the lock.
func (r *trialRun) judge(when string) {
	if r.skipChecks || r.service == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), trialTime)
	defer cancel()
	for _, host := range r.clients().Origins() {
		r.judgeFrom(ctx, host, when+census.FromHost(host))
	}
}

func (r *trialRun) judgeFrom(ctx context.Context, host, when string) {
	for _, label := range []string{rotator.LabelCurrent, rotator.LabelPending, rotator.LabelPrevious} {
		d := r.service.ValueAt(label)
		if d.IsZero() {
			continue
		}
		r.remember(d)
		switch err := r.clients().From(ctx, host, d); {
		case err == nil:
			return
		case rotator.KindOf(err) != rotator.KindLoginRejected:
			r.breaches = append(r.breaches, fmt.Errorf("%s: whether %s logs in could not be seen: %w", when, label, err))
			return
		case r.KeepsCurrent:
			r.breaches = append(r.breaches, fmt.Errorf("%s: %w: %s is refused", when, ViolationLockedOut, label))
			return
		}
	}
	r.breaches = append(r.breaches, fmt.Errorf("%s: %w: no labelled value logs in", when, ViolationLockedOut))
}

// clients are those of the fixture, by the way that they take: not through the proxy.
func (r *trialRun) clients() census.Clients {
	c := r.Clients()
	direct := func(d secret.Document, logIn func(secret.Document) error) error {
		d, err := r.direct(d)
		if err != nil {
			return err
		}
		return logIn(d)
	}
	return census.Clients{
		Hosts: c.Hosts,
		LogIn: func(ctx context.Context, d secret.Document) error {
			return direct(d, func(d secret.Document) error { return c.LogIn(ctx, d) })
		},
		LogInFrom: func(ctx context.Context, host string, d secret.Document) error {
			return direct(d, func(d secret.Document) error { return c.LogInFrom(ctx, host, d) })
		},
	}
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

// verdict looks at what a trial has left.
func (r *trialRun) verdict(ctx context.Context, complete bool) error {
	var found []error
	if r.proxy != nil { // first: its last pieces are moments too
		ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
		defer cancel()
		if err := r.proxy.Idle(ctx); err != nil {
			found = append(found, fmt.Errorf("%w: %w", ViolationConnLeak, err))
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	current := r.service.ValueAt(rotator.LabelCurrent)
	for _, label := range []string{rotator.LabelCurrent, rotator.LabelPending, rotator.LabelPrevious} {
		r.remember(r.service.ValueAt(label))
	}
	if err := r.clients().Everywhere(ctx, current); complete && err != nil {
		found = append(found, fmt.Errorf("at the end: %w: AWSCURRENT: %w", ViolationLockedOut, err))
	}
	if complete && current.Text(r.member()) == r.original.Text(r.member()) {
		found = append(found, fmt.Errorf("at the end: %w: the %s is still the old one", ViolationNotRecovered, r.member()))
	}
	if err := sameBut(r.Changes, r.original, current); err != nil {
		found = append(found, fmt.Errorf("at the end: %w: %w", ViolationCorrupted, err))
	}
	output := r.service.Output()
	if r.leaks(output) {
		found = append(found, fmt.Errorf("%w: a password is in the output of the function", ViolationLeaked))
	}
	if strings.Contains(output, "panic") {
		found = append(found, fmt.Errorf("%w", ViolationPanicked))
	}
	if r.ServerLog != nil && r.leaks(r.ServerLog()) {
		found = append(found, fmt.Errorf("%w: a password is in the log of the server", ViolationLeaked))
	}
	return errors.Join(append(r.breaches, found...)...)
}

// recordMoments is the rotation in which nothing goes wrong.
func recordMoments(ctx context.Context, fresh NewRotation) (w *trialRun, err error) {
	err = within(ctx, fresh, func(ctx context.Context, r *trialRun) error {
		w = r
		return r.service.Rotate(ctx, 1)
	})
	return w, err
}

// Attempt is one rotation in which nothing goes wrong, from a state in which it may
// have to be refused. refused is why it was; nothing is stored then, and nothing is
// otherwise than before. Where it is not refused, every promise is kept. broken says
// what of this is not true.
func Attempt(ctx context.Context, fresh NewRotation) (refused, broken error) {
	broken = within(ctx, fresh, func(ctx context.Context, r *trialRun) error {
		pending := r.service.ValueAt(rotator.LabelPending)
		err := r.service.Rotate(ctx, 1)
		if err == nil {
			return nil
		}
		refused = r.redact(err)
		if !r.service.ValueAt(rotator.LabelPending).Equal(pending) {
			return fmt.Errorf("%w: refused when a value was stored already: %w", ViolationNotRecovered, err)
		}
		r.refused = true
		return nil
	})
	return refused, broken
}

// troubles are those of the fixture, and those that a line can have for a whole step.
func (r *trialRun) troubles() map[string]func(*trialRun) Disruption {
	all := map[string]func(*trialRun) Disruption{}
	for name := range r.Troubles {
		all[name] = func(r *trialRun) Disruption { return r.Troubles[name] }
	}
	if r.proxy == nil {
		return all
	}
	all["connections refused"] = func(r *trialRun) Disruption {
		return func(context.Context) (func() error, error) {
			r.proxy.ResetAll(true)
			return func() error { r.proxy.ResetAll(false); return nil }, nil
		}
	}
	all["a slow drip"] = func(r *trialRun) Disruption {
		return func(context.Context) (func() error, error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.act = func(injectionPoint) action { return action{verdict: ChunkSlow} }
			return func() error { return nil }, nil
		}
	}
	return all
}

// trouble holds while a step runs, and is over when the service tries again. What
// keeps the function out may keep clients out, and so no login is tried meanwhile.
func (r *trialRun) trouble(ctx context.Context, during rotator.Step, name string, begin Disruption) error {
	return r.at(ctx, during, func(ctx context.Context, step rotator.Step, invoke Invoke) error {
		r.see(false)
		end, err := begin(ctx)
		if err != nil {
			return fmt.Errorf("fixture: %s: %w", name, err)
		}
		failed := invoke(ctx, step)
		if err := end(); err != nil {
			return fmt.Errorf("fixture: end of %s: %w", name, err)
		}
		r.see(true)
		return failed
	})
}

func (r *trialRun) see(on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.skipChecks = !on
	if on {
		r.act = nil
		r.judge("after a trouble")
	}
}

// at rotates with something else in place of one step.
func (r *trialRun) at(ctx context.Context, which rotator.Step, instead func(ctx context.Context, step rotator.Step, invoke Invoke) error) error {
	r.around = func(ctx context.Context, step rotator.Step, invoke Invoke) error {
		if step != which {
			return invoke(ctx, step)
		}
		return instead(ctx, step, invoke)
	}
	err := r.service.Rotate(ctx, 1)
	r.around = nil
	return r.finish(ctx, err)
}

// An order is other than that in which the service calls the steps of a rotation.
type order func(ctx context.Context, r *trialRun, step rotator.Step, invoke Invoke) error

func orders() map[string]order {
	return map[string]order{
		"a duplicate after it": func(ctx context.Context, _ *trialRun, step rotator.Step, invoke Invoke) error {
			return errors.Join(invoke(ctx, step), wrapf(invoke(ctx, step), "the duplicate"))
		},
		"a duplicate at once": func(ctx context.Context, _ *trialRun, step rotator.Step, invoke Invoke) error {
			other := make(chan error, 1)
			go func() { other <- invoke(ctx, step) }()
			return errors.Join(invoke(ctx, step), wrapf(<-other, "the duplicate"))
		},
		"the steps before it again": func(ctx context.Context, _ *trialRun, step rotator.Step, invoke Invoke) error {
			for _, s := range rotationSteps()[:slices.Index(rotationSteps(), step)] {
				invoke(ctx, s) // may fail, and may do no harm
			}
			return invoke(ctx, step)
		},
		"the steps after it too early": func(ctx context.Context, _ *trialRun, step rotator.Step, invoke Invoke) error {
			// But for finishSecret: that testSecret has passed it takes from the service,
			// which calls it then alone. To log in once more would cost every rotation a
			// call and a login.
			for _, s := range rotationSteps()[slices.Index(rotationSteps(), step)+1:] {
				if s != rotator.StepFinishSecret {
					invoke(ctx, s)
				}
			}
			return invoke(ctx, step)
		},
		"a value stored by hand before it": edited,
	}
}

// edited has a person store the credentials that work, with a member of their own,
// when a step is about to be called. The next rotation begins from there.
func edited(ctx context.Context, r *trialRun, step rotator.Step, invoke Invoke) error {
	for _, label := range []string{rotator.LabelCurrent, rotator.LabelPending} {
		d := r.service.ValueAt(label)
		if d.IsZero() || r.clients().Everywhere(ctx, d) != nil {
			continue
		}
		d = d.Set("editedByHand", "yes")
		if err := r.service.PutByHand(ctx, d); err != nil {
			return fmt.Errorf("fixture: edit: %w", err)
		}
		r.mu.Lock()
		r.original = d
		r.mu.Unlock()
		break
	}
	if err := invoke(ctx, step); err != nil {
		return err
	}
	return errors.New("the rotation was abandoned")
}
