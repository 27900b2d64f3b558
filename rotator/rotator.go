package rotator

import (
	"cmp"
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator/secret"
)

// Rotator turns secrets. Only Store and Strategy are required. It is a value
// without state: one Rotator serves any number of events, also at once.
type Rotator struct {
	Store          Store
	Strategy       Strategy
	PasswordPolicy secret.PasswordPolicy // how new passwords are made; zero: AWS's defaults
	// TagChoices is what the tags of a secret may change of PasswordPolicy; zero: no tag is read.
	TagChoices secret.TagChoices

	// Copies is what becomes of copies of the credentials in other members of the
	// secret; zero: CopiesRefuse.
	Copies CopiesMode
	// PreflightMode is what the preflight does with what it finds; zero: Enforce.
	PreflightMode PreflightMode
	// ReadOnlyProbes has the preflight only look: no call that is made to fail, and
	// so no failed call in CloudTrail, no rehearsal in the database. What that leaves
	// open is unknown.
	ReadOnlyProbes bool
	// FunctionARN gives the ARN that the function was invoked by, to be compared with the
	// one that the secret names. nil: not a Lambda function.
	FunctionARN func(context.Context) string

	// Observe is told of every step when it has ended; nil: nothing is told. It is the
	// one way out to logs and metrics.
	Observe func(context.Context, Record)

	// DeadlineMargin is kept back from the deadline of the invocation, so that there is
	// time left to say what happened before Lambda ends the process. 0: 500 ms.
	DeadlineMargin time.Duration
	// MinApplyTime is how much time setSecret must have left before it touches the
	// database: half a change is what a rotation must never leave. 0: 10 s.
	MinApplyTime time.Duration
	// ReadBackoff is how long to wait before each further look at something that was
	// written a moment ago: Secrets Manager is eventually consistent, and so are replicas
	// of a database. Its length bounds the looks. testSecret looks twice more at a database
	// without a free connection, after 3 and 9 times the last. nil: 100 ms, 300 ms, 900 ms.
	ReadBackoff []time.Duration
}

// Record is what a step did, for logs and metrics. It holds no secret.
type Record struct {
	Step      Step
	SecretID  string // as the event named it
	VersionID string
	Outcome   Outcome
	Notes     []string // sentences: what was done, in order
	Report    *Report  // of the preflight, if there was one
	// Diagnosis is that of a status or a recover.
	Diagnosis  *Diagnosis
	Err        error  // a *StepError, or nil
	Kind       Kind   // of Err
	PanicStack string // of a panic
	Start      time.Time
	Elapsed    time.Duration
	// RotationTime is how long ago the version was created that finishSecret has moved
	// AWSCURRENT to. 0: it moved nothing, or the Store does not say.
	RotationTime time.Duration
	// MovedFrom is the version that AWSCURRENT was moved from: this step has completed a
	// rotation. "": it moved nothing.
	MovedFrom string
	// Target is what that rotation was for, if the Strategy is a TargetNamer.
	Target Target
	// PasswordPolicy is the fingerprint of the policy, where createSecret stored a value or
	// finishSecret completed a rotation.
	PasswordPolicy string
}

// Outcome is how a step ended.
type Outcome string

const (
	OutcomeDone        Outcome = "done"
	OutcomeAlreadyDone Outcome = "already done" // a duplicate, or another attempt after success
	OutcomeChecked     Outcome = "checked"      // the service's configuration test passed; nothing changed
	OutcomeFailed      Outcome = "failed"
)

// response is what people who asked are told; nil for the steps of a rotation that
// had no preflight.
func (r Record) response() Response {
	switch {
	case r.Diagnosis != nil:
		return r.Diagnosis
	case r.Report != nil:
		return r.Report
	}
	return nil
}

// HandleJSON runs one step, from the event as Lambda delivers it. It gives the
// *Report of a preflight, if there was one, or the *Diagnosis of a status or a
// recover.
func (r Rotator) HandleJSON(ctx context.Context, payload []byte) (Response, error) {
	e, err := parseEvent(payload)
	return r.handle(ctx, e, err)
}

// Handle runs one of the four steps. Its error is a *[StepError] whose text is safe to
// log. What people ask has methods of its own, which give the answer: [Rotator.Preflight],
// [Rotator.Diagnose] and [Rotator.Recover].
func (r Rotator) Handle(ctx context.Context, e Event) error {
	invalid := e.validate()
	if invalid == nil && e.Step.isOnDemand() {
		invalid = fmt.Errorf("event: %w: Step is %s, which has an answer: call the method of Rotator for it, "+
			"or HandleJSON", KindMisconfigured, e.Step)
	}
	_, err := r.handle(ctx, e, invalid)
	return err
}

// Preflight tests everything that a rotation of a secret needs, and changes nothing. The
// report is there also where findings block; Report.Err says so. The error says that
// there is no report.
func (r Rotator) Preflight(ctx context.Context, secretID string) (*Report, error) {
	answer, err := r.ask(ctx, Event{Step: StepPreflight, SecretID: secretID})
	report, _ := answer.(*Report)
	return report, err
}

// Diagnose says which stored versions of a secret log in, and what to do. It changes
// nothing. versionID is the version to test first; "": AWSCURRENT.
func (r Rotator) Diagnose(ctx context.Context, secretID, versionID string) (*Diagnosis, error) {
	return r.diagnose(ctx, Event{Step: StepStatus, SecretID: secretID, VersionID: versionID})
}

// Recover diagnoses, and carries out the action if the diagnosis comes to it:
// [ActionFinish], [ActionDiscard] or [ActionRollBack], each of which moves one label. The
// diagnosis is there also beside an error that says why nothing was moved.
func (r Rotator) Recover(ctx context.Context, secretID string, a Action) (*Diagnosis, error) {
	return r.diagnose(ctx, Event{Step: StepRecover, SecretID: secretID, Action: a})
}

func (r Rotator) diagnose(ctx context.Context, e Event) (*Diagnosis, error) {
	answer, err := r.ask(ctx, e)
	d, _ := answer.(*Diagnosis)
	return d, err
}

func (r Rotator) ask(ctx context.Context, e Event) (Response, error) {
	return r.handle(ctx, e, e.validate())
}

func (r Rotator) handle(ctx context.Context, e Event, invalid error) (answer Response, err error) {
	if invalid != nil {
		e = Event{Step: "event"} // what it names is not fit for logs and metrics
	}
	v := &invocation{Rotator: r, event: e}
	v.record = Record{Step: e.Step, SecretID: e.SecretID, VersionID: e.VersionID, Start: time.Now()}
	v.scrub.Add(e.RotationToken)
	defer func() {
		if p := recover(); p != nil {
			// The value may hold anything; the stack holds addresses, not values.
			err = fmt.Errorf("%w: panic: %v", KindInternal, p)
			v.stack = string(debug.Stack())
		}
		err = v.conclude(ctx, err)
		answer = v.record.response()
	}()

	if invalid != nil {
		return nil, invalid
	}
	stepCtx, cancel := r.withMargin(ctx)
	defer cancel()
	v.record.Outcome, err = v.run(stepCtx)
	return nil, err
}

// withMargin ends a step before Lambda does.
func (r Rotator) withMargin(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return ctx, func() {}
	}
	return context.WithDeadline(ctx, deadline.Add(-cmp.Or(r.DeadlineMargin, 500*time.Millisecond)))
}
