package awsemu

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Names of events, as in CloudTrail.
const (
	rotationStarted       = "RotationStarted"
	rotationSucceeded     = "RotationSucceeded"
	rotationFailed        = "RotationFailed"
	rotationAbandoned     = "RotationAbandoned"
	testRotationStarted   = "TestRotationStarted"
	testRotationSucceeded = "TestRotationSucceeded"
	testRotationFailed    = "TestRotationFailed"
)

// Event is what the service writes to CloudTrail of its own accord.
type Event struct {
	Name     string // RotationStarted, RotationSucceeded, RotationFailed, RotationAbandoned, TestRotation...
	SecretID string // ARN
	Version  string
	Message  string
	Time     time.Time
}

// Rotation is the history of one rotation.
type Rotation struct {
	SecretID string // ARN
	Version  string
	Test     bool // RotateImmediately=false: testSecret alone, on a version made for it
	// Outcome is the name of the event that ended it, "Cancelled" after
	// CancelRotateSecret, DeleteSecret or Close, or "" while it runs.
	Outcome  string
	Message  string // why it failed
	Attempts []Attempt
}

// Attempt is one try of the whole rotation.
type Attempt struct{ Steps []StepRun }

// StepRun is one invocation of the function.
type StepRun struct {
	Step         string
	Response     []byte // the payload that came back
	ErrorType    string // of the function's error; "" for success
	ErrorMessage string
	Took         time.Duration
}

const (
	cancelled = "Cancelled"
	abandoned = rotationAbandoned
)

var steps = []string{"createSecret", "setSecret", "testSecret", "finishSecret"}

// run is a rotation in progress, or the last one. The emulator's lock guards it.
type run struct {
	history Rotation
	test    bool
	step    string // "" between steps
	stopped string // cancelled or abandoned: end before the next step
	done    chan struct{}
}

func (ru *run) ended() bool {
	select {
	case <-ru.done:
		return true
	default:
		return false
	}
}

// Events is what happened so far, oldest first.
func (e *Emulator) Events() []Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.events)
}

// WaitRotation waits until the rotation of a secret in progress ends, and gives
// its history, or that of the last one. It fails when the secret never rotated,
// or when ctx ends first, and then gives the history so far.
func (e *Emulator) WaitRotation(ctx context.Context, id string) (Rotation, error) {
	e.mu.Lock()
	rec, err := e.find(e.homeOf(id), id)
	if err == nil && rec.run == nil {
		err = fmt.Errorf("rotation of %s: none was started", id)
	}
	if err != nil {
		e.mu.Unlock()
		return Rotation{}, err
	}
	ru := rec.run
	e.mu.Unlock()
	select {
	case <-ru.done:
	case <-ctx.Done():
		err = fmt.Errorf("rotation of %s: %w", id, context.Cause(ctx))
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	h := ru.history
	h.Attempts = slices.Clone(h.Attempts)
	for i := range h.Attempts {
		h.Attempts[i].Steps = slices.Clone(h.Attempts[i].Steps)
	}
	return h, err
}

// start begins a rotation for a request; the caller holds the lock.
func (e *Emulator) start(r *request, rec *record, version string, test bool) {
	ru := &run{
		history: Rotation{SecretID: rec.secret.ARN, Version: version, Test: test},
		test:    test,
		done:    make(chan struct{}),
	}
	rec.run = ru
	name := rotationStarted
	if test {
		name = testRotationStarted
	}
	e.record(rec, name, version, "", r.now)
	ctx := e.lifetime()
	r.then = append(r.then, func() { e.running.Go(func() { e.rotate(ctx, rec, ru) }) })
}

// stop ends the running rotation before its next step; the caller holds the lock.
func (e *Emulator) stop(rec *record, why string) {
	if rec.run != nil && !rec.run.ended() && rec.run.stopped == "" {
		rec.run.stopped = why
	}
}

func (e *Emulator) record(rec *record, name, version, message string, now time.Time) {
	e.events = append(e.events, Event{name, rec.secret.ARN, version, message, now})
}

// rotate tries the whole rotation until it holds, fails for good or is stopped.
func (e *Emulator) rotate(ctx context.Context, rec *record, ru *run) {
	failure := errors.New("the function's goroutine ended") // t.FailNow in a handler of a test
	defer func() { e.conclude(ctx, rec, ru, failure) }()
	for n := 1; n <= e.attempts(ru); n++ {
		if failure = e.attempt(ctx, rec, ru); failure == nil || !e.goesOn(ctx, rec, ru) {
			break
		}
		if n < e.attempts(ru) && e.Backoff != nil {
			wait(ctx, e.Backoff(n))
		}
	}
}

func (e *Emulator) attempts(ru *run) int {
	switch {
	case ru.test:
		return 1
	case e.Attempts > 0:
		return e.Attempts
	}
	return 5
}

func (e *Emulator) goesOn(ctx context.Context, rec *record, ru *run) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return ru.goesOn(ctx, rec)
}

// goesOn says whether the next step may be called: a value that did not come from
// the function ends a rotation for good.
func (ru *run) goesOn(ctx context.Context, rec *record) bool {
	v := rec.secret.version(ru.history.Version)
	return ctx.Err() == nil && ru.stopped == "" && v != nil && !v.foreign
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// attempt calls the function once for each step, until one fails.
func (e *Emulator) attempt(ctx context.Context, rec *record, ru *run) error {
	e.mu.Lock()
	ru.history.Attempts = append(ru.history.Attempts, Attempt{})
	e.mu.Unlock()
	todo := steps
	if ru.test {
		todo = []string{"testSecret"}
	}
	for _, step := range todo {
		payload, function, ok := e.enter(ctx, rec, ru, step)
		if !ok {
			return fmt.Errorf("%s: not called", step)
		}
		began := time.Now()
		response, err := e.Invoke(ctx, function, payload)
		if err := e.leave(ru, stepRun(step, response, err, time.Since(began))); err != nil {
			return err
		}
	}
	return nil
}

// enter makes the event of a step, unless the rotation was stopped.
func (e *Emulator) enter(ctx context.Context, rec *record, ru *run, step string) (payload []byte, function string,
	ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !ru.goesOn(ctx, rec) {
		return nil, "", false
	}
	v := rec.secret.version(ru.history.Version)
	if v.RotationToken.Empty() { // a version that was seeded, and is reattempted now
		v.RotationToken = Text(newUUID())
	}
	ru.step = step
	payload, _ = json.Marshal(struct{ Step, SecretId, ClientRequestToken, RotationToken string }{
		step, rec.secret.ARN, v.ID, string(v.RotationToken.Reveal()),
	})
	return payload, rec.secret.RotationLambdaARN, true
}

func (e *Emulator) leave(ru *run, s StepRun) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	ru.step = ""
	last := &ru.history.Attempts[len(ru.history.Attempts)-1]
	last.Steps = append(last.Steps, s)
	if s.ErrorType != "" {
		return fmt.Errorf("%s: %s: %s", s.Step, s.ErrorType, s.ErrorMessage)
	}
	return nil
}

// conclude writes down how the rotation ended, and looks at the labels: pending
// must be on the current version or on none.
func (e *Emulator) conclude(ctx context.Context, rec *record, ru *run, failure error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	defer close(ru.done)
	now, h := e.now(), &ru.history
	if ctx.Err() != nil && ru.stopped == "" {
		ru.stopped = cancelled
	}
	if ru.test {
		e.change(rec, now, func(s *Secret) error { s.removeVersion(h.Version); return nil })
	}
	v := rec.secret.version(h.Version)
	p, cur := rec.secret.holder(pending), rec.secret.holder(current)
	switch {
	case ru.stopped != "":
		h.Outcome = ru.stopped
		return
	case ru.test && failure == nil:
		h.Outcome = testRotationSucceeded
	case ru.test:
		h.Outcome, h.Message = testRotationFailed, failure.Error()
	case v != nil && v.foreign:
		h.Outcome = rotationFailed
		h.Message = fmt.Sprintf("Pending secret version %s for Secret %s was not created by Lambda %s. Remove the "+
			"AWSPENDING staging label and restart rotation",
			h.Version, rec.secret.ARN, rec.secret.RotationLambdaARN)
	case failure != nil:
		h.Outcome, h.Message = rotationFailed, failure.Error()
	case p != nil && (cur == nil || p.ID != cur.ID):
		h.Outcome, h.Message = rotationFailed, "finishSecret: AWSPENDING is still alone on version "+p.ID
	default:
		h.Outcome = rotationSucceeded
		e.settle(rec, now)
	}
	e.record(rec, h.Outcome, h.Version, h.Message, now)
}

// settle is what the service does after a success.
func (e *Emulator) settle(rec *record, now time.Time) {
	e.change(rec, now, func(s *Secret) error {
		s.LastRotated, s.NextRotation = now, s.Rules.next(now)
		if !e.KeepPending {
			s.unlabel(pending)
		}
		return nil
	})
}

func (s *Secret) removeVersion(id string) {
	s.Versions = slices.DeleteFunc(s.Versions, func(v Version) bool { return v.ID == id })
}
