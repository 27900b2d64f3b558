package rotationtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
)

// A Service is one secret in Secrets Manager and the function that rotates it. The
// suite for rotations has one of its own, in this process (see Local). Package
// testutil/prove has another, with a real function that can really be killed.
type Service interface {
	// Rotate begins a rotation, or goes on with the one that is not complete, and
	// tries it so many times. nil: it is complete.
	Rotate(ctx context.Context, attempts int) error
	// PutByHand stores a value by hand, which becomes AWSCURRENT.
	PutByHand(ctx context.Context, d secret.Document) error
	// ValueAt gives the value under a label; zero: there is none.
	ValueAt(label string) secret.Document
	// Kill ends the process that runs the function, whatever it is doing, and
	// returns when it can do nothing more. The next step runs in another.
	Kill()
	// Output is everything that the function has printed and answered.
	Output() string
	Close() error
}

// ServiceConfig is what a Service is opened with. Its functions may be called by many
// goroutines at once.
type ServiceConfig struct {
	Strategy rotator.Strategy // for a service that runs it in this process
	Current  secret.Document
	Previous secret.Document            // zero: there is none
	Pending  secret.Document            // of a rotation that is not complete; zero: there is none
	Related  map[string]secret.Document // other secrets that Current names, by id
	Strict   bool                       // PREFLIGHT=strict, for a service that runs it in this process

	// BeforeCall is asked before each API call of the function, and Called told when it
	// was carried out and not yet answered.
	BeforeCall func(operation string) Fault
	AfterCall  func(operation string)
	// Step runs in place of each step; invoke calls the function.
	Step StepFunc
}

// StepFunc runs one step, by invoke or otherwise.
type StepFunc func(ctx context.Context, step rotator.Step, invoke Invoke) error

// Invoke calls the function once, for the version that is being rotated.
type Invoke func(ctx context.Context, step rotator.Step) error

// Fault is what goes wrong with one API call.
type Fault string

const (
	FaultNone        Fault = ""
	FaultThrottled   Fault = "throttled"
	FaultServerError Fault = "server error"
	FaultExpired     Fault = "expired credentials"
	FaultDenied      Fault = "access denied"
	FaultKeyDisabled Fault = "key disabled"
	FaultStale       Fault = "stale read"
	FaultSlow        Fault = "slow"
	FaultLostAnswer  Fault = "lost answer" // carried out, and never answered
	FaultLostCall    Fault = "lost call"   // neither
)

// faults is all of them.
func faults() []Fault {
	return []Fault{FaultThrottled, FaultServerError, FaultExpired, FaultDenied, FaultKeyDisabled, FaultStale, FaultSlow, FaultLostAnswer, FaultLostCall}
}

// appliesTo says whether a fault makes a difference to an operation.
func (f Fault) appliesTo(operation string) bool {
	switch f {
	case FaultStale:
		return operation == "GetSecretValue" || operation == "DescribeSecret"
	case FaultKeyDisabled:
		return operation == "GetSecretValue" || operation == "PutSecretValue"
	}
	return true
}

// slowness is how late a slow call is.
const slowness = 30 * time.Millisecond

// rotationSteps are the steps of a rotation, in order.
func rotationSteps() []rotator.Step {
	return []rotator.Step{rotator.StepCreateSecret, rotator.StepSetSecret, rotator.StepTestSecret, rotator.StepFinishSecret}
}

// Local is a Service in this process. It keeps the service's rules of versions and
// labels, as far as rotations come across them. A process that was killed is one
// whose calls are no longer carried out; its database sees the same as of a real
// one if the lines to it are cut.
func Local(s ServiceConfig) (Service, error) {
	l := &local{ServiceConfig: s, state: state{map[string]secret.Document{"v1": s.Current}, map[string]string{rotator.LabelCurrent: "v1"}}}
	for label, d := range map[string]secret.Document{rotator.LabelPrevious: s.Previous, rotator.LabelPending: s.Pending} {
		if !d.IsZero() {
			id := "version-" + rand.Text() + rand.Text()
			l.values[id], l.labels[label] = d, id
		}
	}
	l.before = l.snapshot()
	return l, nil
}

// secretARN names the secret of a fixture: in the Region of the superuser secret that it names, for a function reads no other.
func secretARN(current secret.Document) string {
	partition, region := "aws", "eu-central-1"
	if parts := strings.Split(current.Text("masterarn"), ":"); len(parts) > 4 && parts[0] == "arn" {
		partition, region = parts[1], parts[3]
	}
	return "arn:" + partition + ":secretsmanager:" + region + ":123456789012:secret:suite-a1b2c3"
}

type local struct {
	ServiceConfig

	mu sync.Mutex
	state
	before state // as it was until the latest write
	made   int   // versions so far
	kill   map[*process]bool
	output strings.Builder
}

type state struct {
	values map[string]secret.Document // by version
	labels map[string]string          // the version that has it
}

func (s state) snapshot() state { return state{maps.Clone(s.values), maps.Clone(s.labels)} }

// process is that of one process, from an invocation to its end.
type process struct {
	*local
	ctx    context.Context
	cancel context.CancelCauseFunc
}

func (l *local) Rotate(ctx context.Context, attempts int) (err error) {
	version := l.begin()
	for range attempts {
		if err = l.attempt(ctx, version); err == nil {
			return nil
		}
	}
	return err
}

// begin gives the version that is pending, or makes an empty one.
func (l *local) begin() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	pending, ok := l.labels[rotator.LabelPending]
	if ok && pending != l.labels[rotator.LabelCurrent] {
		return pending
	}
	l.made++
	id := fmt.Sprintf("version-%s-%012d", rand.Text(), l.made)
	l.before = l.snapshot()
	l.labels[rotator.LabelPending] = id
	return id
}

func (l *local) attempt(ctx context.Context, version string) error {
	for _, step := range rotationSteps() {
		if l.holder(rotator.LabelPending) != version && l.holder(rotator.LabelCurrent) != version {
			return errors.New("service: the rotation was abandoned")
		}
		err := l.Step(ctx, step, func(ctx context.Context, step rotator.Step) error { return l.invoke(ctx, step, version) })
		if err != nil {
			return fmt.Errorf("%s: %w", step, err)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.labels[rotator.LabelCurrent] != version {
		return errors.New("service: every step has succeeded, and AWSCURRENT has not moved")
	}
	delete(l.labels, rotator.LabelPending)
	return nil
}

func (l *local) holder(label string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.labels[label]
}

// errKilled is how the service learns of a process that was killed.
var errKilled = errors.New("service: the process was killed")

func (l *local) invoke(ctx context.Context, step rotator.Step, version string) error {
	p := &process{local: l}
	p.ctx, p.cancel = context.WithCancelCause(ctx)
	defer p.cancel(nil)
	l.mu.Lock()
	if l.kill == nil {
		l.kill = map[*process]bool{}
	}
	l.kill[p] = true
	l.mu.Unlock()
	mode := rotator.PreflightEnforce
	if l.Strict {
		mode = rotator.PreflightStrict
	}
	err := rotator.Rotator{
		Store: p, Strategy: l.Strategy, ReadBackoff: []time.Duration{time.Millisecond, time.Millisecond}, Observe: l.print, PreflightMode: mode,
	}.Handle(p.ctx, rotator.Event{Step: step, SecretID: secretARN(l.Current), VersionID: version, RotationToken: secret.NewPassword("token-" + rand.Text())})
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.kill, p)
	if p.dead() {
		return errKilled
	}
	return err
}

func (l *local) print(_ context.Context, r rotator.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(&l.output, "%s %s %s %v\n", r.Step, r.Outcome, r.Kind, r.Notes)
	if r.Err != nil {
		fmt.Fprintf(&l.output, "%v\n", r.Err)
	}
	if r.Report != nil {
		for _, f := range r.Report.Findings {
			fmt.Fprintf(&l.output, "%s %s %v\n", f.ID, f.Detail, f.PolicyAnalysis)
		}
	}
	if r.PanicStack != "" {
		fmt.Fprintf(&l.output, "panic\n%s\n", r.PanicStack)
	}
}

func (l *local) Output() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.output.String()
}

func (l *local) Kill() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for p := range l.kill {
		p.cancel(errKilled)
	}
}

func (l *local) Close() error { return nil }

func (l *local) ValueAt(label string) secret.Document {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.values[l.labels[label]]
}

func (l *local) PutByHand(_ context.Context, d secret.Document) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.made++
	id := fmt.Sprintf("edited-%d", l.made)
	l.before = l.snapshot()
	l.values[id] = d
	l.promote(id)
	delete(l.labels, rotator.LabelPending) // a rotation that was under way is abandoned
	return nil
}

// promote moves AWSCURRENT; the caller holds the lock.
func (l *local) promote(id string) {
	l.labels[rotator.LabelPrevious] = l.labels[rotator.LabelCurrent]
	l.labels[rotator.LabelCurrent] = id
}

func (p *process) dead() bool { return context.Cause(p.ctx) == errKilled }

// call does to one call what Call says, and carries it out. work holds the lock and
// is given the state to answer from.
func (p *process) call(ctx context.Context, operation string, write, key bool, work func(state) error) error {
	if p.dead() {
		return fmt.Errorf("%w: %w", rotator.KindUnreachable, errKilled)
	}
	fault := p.BeforeCall(operation)
	switch err := p.refusal(ctx, fault, key); {
	case err != nil:
		return err
	case p.ctx.Err() != nil:
		return fmt.Errorf("%w: %w", rotator.KindDeadline, context.Cause(p.ctx))
	}
	p.mu.Lock()
	from := p.state
	if fault == FaultStale && !write {
		from = p.before
	}
	was := p.snapshot()
	err := work(from)
	if write && err == nil {
		p.before = was
	}
	p.mu.Unlock()
	p.AfterCall(operation)
	switch {
	case p.dead():
		return fmt.Errorf("%w: %w", rotator.KindUnreachable, errKilled)
	case fault == FaultLostAnswer:
		return fmt.Errorf("%s: %w: no answer", operation, rotator.KindUnreachable)
	}
	return err
}

func (p *process) refusal(ctx context.Context, f Fault, key bool) error {
	switch f {
	case FaultThrottled, FaultServerError:
		return fmt.Errorf("%w: %s", rotator.KindThrottled, f)
	case FaultExpired, FaultDenied:
		return fmt.Errorf("%w: %s", rotator.KindAccessDenied, f)
	case FaultLostCall:
		return fmt.Errorf("%w: %s", rotator.KindUnreachable, f)
	case FaultKeyDisabled:
		if key {
			return fmt.Errorf("%w: %s", rotator.KindAccessDenied, f)
		}
	case FaultSlow:
		timer := time.NewTimer(slowness)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", rotator.KindDeadline, ctx.Err())
		}
	}
	return nil
}

// Describe implements rotator.Store, as do the next three.
func (p *process) Describe(ctx context.Context, id string) (m rotator.Metadata, err error) {
	err = p.call(ctx, "DescribeSecret", false, false, func(s state) error {
		on := true
		m = rotator.Metadata{ARN: id, Name: "suite", RotationEnabled: &on, Labels: map[string][]string{}}
		for label, version := range s.labels {
			m.Labels[version] = append(m.Labels[version], label)
		}
		return nil
	})
	return m, err
}

func (p *process) Value(ctx context.Context, id string, v rotator.VersionRef) (val rotator.SecretValue, err error) {
	err = p.call(ctx, "GetSecretValue", false, true, func(s state) error {
		if id != secretARN(p.Current) {
			d, ok := p.Related[id]
			if !ok {
				return fmt.Errorf("secret %s: %w", id, rotator.KindNotFound)
			}
			val = rotator.SecretValue{VersionID: "v1", Document: d}
			return nil
		}
		label := v.Label
		if label == "" && v.ID == "" {
			label = rotator.LabelCurrent
		}
		version := v.ID
		if version == "" {
			version = s.labels[label]
		}
		d, filled := s.values[version]
		labelled := s.labelled(version)
		switch {
		case !filled && !labelled, !filled:
			return fmt.Errorf("version %q: %w", version, rotator.KindNotFound)
		case label != "" && s.labels[label] != version:
			return fmt.Errorf("version %q: %w: it is not labelled %s", version, rotator.KindConflict, label)
		}
		val = rotator.SecretValue{VersionID: version, Document: d}
		return nil
	})
	return val, err
}

func (s state) labelled(version string) bool {
	for _, v := range s.labels {
		if v == version {
			return true
		}
	}
	return false
}

func (p *process) Put(ctx context.Context, put rotator.PutInput) error {
	return p.call(ctx, "PutSecretValue", true, true, func(s state) error {
		if old, ok := s.values[put.VersionID]; ok {
			if old.Equal(put.Document) {
				return nil
			}
			return fmt.Errorf("%w: the version has another value already", rotator.KindConflict)
		}
		s.values[put.VersionID] = put.Document
		s.labels[rotator.LabelPending] = put.VersionID
		return nil
	})
}

func (p *process) MoveLabel(ctx context.Context, _ string, m rotator.LabelMove) error {
	return p.call(ctx, "UpdateSecretVersionStage", true, false, func(s state) error {
		known := s.labelled(m.To)
		switch _, filled := s.values[m.To]; {
		case m.To != "" && !known && !filled:
			return fmt.Errorf("version %q: %w", m.To, rotator.KindNotFound)
		case s.labels[m.Label] != m.From:
			return fmt.Errorf("%w: %s is not on version %q", rotator.KindConflict, m.Label, m.From)
		case m.Label == rotator.LabelCurrent:
			p.promote(m.To)
		case m.To == "":
			delete(s.labels, m.Label)
		default:
			s.labels[m.Label] = m.To
		}
		return nil
	})
}
