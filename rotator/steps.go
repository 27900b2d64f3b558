package rotator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator/secret"
)

// turn runs the step of the event.
func (v *visit) turn(ctx context.Context) (Outcome, error) {
	switch v.event.Step {
	case CreateSecret:
		return v.create(ctx)
	case SetSecret:
		return v.set(ctx)
	case TestSecret:
		return v.test(ctx)
	case Preflight:
		return v.check(ctx)
	case Diagnose, Recover:
		return v.recover(ctx)
	default:
		return v.finish(ctx)
	}
}

// begin passes the guards and reads the value that the rotation starts from.
func (v *visit) begin(ctx context.Context) (seen sight, done bool, err error) {
	if seen.meta, done, err = v.open(ctx); err == nil && !done {
		seen.value, err = v.current(ctx)
	}
	return seen, done, err
}

// create gives the pending version a value. Nothing is read first to learn
// whether it has one: PutSecretValue never overwrites, and says so.
func (v *visit) create(ctx context.Context) (Outcome, error) {
	seen, done, err := v.begin(ctx)
	if err != nil || done {
		return AlreadyDone, err
	}
	if seen.proposal, err = v.propose(ctx, seen.value.Document); err != nil {
		return Failed, fmt.Errorf("new value: %w", err)
	}
	seen.writes = true
	if err := v.clear(ctx, &seen); err != nil {
		return Failed, err
	}
	err = v.Store.Put(ctx, Put{
		SecretID:      v.event.SecretID,
		Version:       v.event.Version,
		RotationToken: v.event.RotationToken,
		Document:      seen.proposal,
	})
	if errors.Is(err, Conflict) {
		return v.keep(ctx, seen)
	}
	if err != nil {
		return Failed, fmt.Errorf("AWSPENDING: %w", err)
	}
	v.note("stored a new pending value; nothing else has changed")
	return Done, nil
}

// propose has the strategy propose a value for createSecret to store.
func (v *visit) propose(ctx context.Context, current secret.Document) (secret.Document, error) {
	next, err := v.Strategy.Next(ctx, v.rotation(current, secret.Document{}))
	v.scrub.AddDocument(next)
	return next, err
}

// keep resumes with the value that an earlier attempt stored.
func (v *visit) keep(ctx context.Context, seen sight) (Outcome, error) {
	pending, err := v.pending(ctx)
	if err == nil {
		err = v.checkNotCopied(seen.value.Document, pending)
	}
	if err != nil {
		return Failed, err
	}
	v.note("kept the pending value that an earlier attempt stored")
	return AlreadyDone, nil
}

// checkNotCopied refuses to rotate to the credentials that are in use: such a
// rotation would change nothing, or under alternating users fail every time. A
// configuration test makes such a copy, and may leave it behind.
func (v *visit) checkNotCopied(current, pending secret.Document) error {
	if !pending.SameLogin(current) {
		return nil
	}
	return fmt.Errorf("AWSPENDING: %w: version %s holds the credentials of AWSCURRENT (a copy that a configuration test left, or that was stored by hand), and the value of a version cannot be replaced, so this rotation would change nothing. Remove the label and rotate again: %s; aws secretsmanager rotate-secret --secret-id %s",
		Conflict, v.event.Version, Move{Label: LabelPending, From: v.event.Version}.command(v.event.SecretID), v.event.SecretID)
}

// set makes the pending value count. The labels are read afresh, although that
// costs a call: a late duplicate after CancelRotateSecret must not touch the
// database.
func (v *visit) set(ctx context.Context) (Outcome, error) {
	seen, done, err := v.begin(ctx)
	if err != nil || done {
		return AlreadyDone, err
	}
	pending, err := v.pending(ctx)
	if errors.Is(err, NotFound) {
		return Failed, fmt.Errorf("%w (createSecret has not stored one: rotate again, and the service begins there)", err)
	}
	if err != nil {
		return Failed, err
	}
	if err := v.checkNotCopied(seen.value.Document, pending); err != nil {
		return Failed, err
	}
	if err := v.enoughTime(ctx); err != nil {
		return Failed, err
	}
	err = v.Strategy.Apply(ctx, v.rotation(seen.value.Document, pending))
	if errors.Is(err, PolicyRejected) {
		return Failed, fmt.Errorf("%w (the value of a version never changes, so retrying cannot help. Adjust the password settings of the function, then cancel rotation: aws secretsmanager cancel-rotate-secret --secret-id %s. Then status says how to discard that version: {\"Step\":\"status\",\"SecretId\":\"%s\"})", err, v.event.SecretID, v.event.SecretID)
	}
	if err != nil {
		return Failed, err
	}
	return Done, nil
}

// enoughTime refuses to begin a change that could be cut off.
func (v *visit) enoughTime(ctx context.Context) error {
	deadline, ok := ctx.Deadline()
	if !ok {
		return nil
	}
	need, left := or(v.ApplyTime, 10*time.Second), time.Until(deadline)
	if left < need {
		return fmt.Errorf("%w: %s left and a change of the database may take %s: nothing was changed; raise the timeout of the function", OutOfTime, left.Round(100*time.Millisecond), need)
	}
	return nil
}

// test proves the pending value. Reading it by id and label at once proves the
// label too. AWSCURRENT is read beside it, because the service sends testSecret alone
// for a configuration test (aws secretsmanager rotate-secret
// --no-rotate-immediately), on a version with AWSPENDING that holds a copy of
// AWSCURRENT's value, or nothing.
func (v *visit) test(ctx context.Context) (Outcome, error) {
	pending, err := v.pending(ctx)
	switch {
	case errors.Is(err, Conflict):
		// Not pending any more: harmless if the rotation has ended with it.
		if _, done, guard := v.open(ctx); guard != nil || done {
			return AlreadyDone, guard
		}
		return Failed, err
	case errors.Is(err, NotFound):
		return v.testConfiguration(ctx, err)
	case err != nil:
		return Failed, err
	}
	current, err := v.current(ctx)
	switch {
	case err != nil:
		return Failed, err
	case current.VersionID == v.event.Version:
		return AlreadyDone, nil
	case pending.SameLogin(current.Document):
		return v.testConfiguration(ctx, nil)
	}
	if err := v.Strategy.Verify(ctx, v.rotation(current.Document, pending)); err != nil {
		return Failed, fmt.Errorf("pending credentials: %w", err)
	}
	return Done, nil
}

// testConfiguration has the credentials in use tested, and whatever a rotation would
// need; nothing changes. pending is how the read of AWSPENDING ended.
func (v *visit) testConfiguration(ctx context.Context, pending error) (Outcome, error) {
	seen, done, err := v.begin(ctx)
	if err != nil || done {
		return AlreadyDone, err
	}
	if v.Mode == Off {
		err = v.Strategy.Verify(ctx, v.rotation(secret.Document{}, seen.value.Document))
	} else {
		seen.pending, seen.pendingWas = pending, true
		err = v.clear(ctx, &seen)
	}
	if err != nil {
		return Failed, fmt.Errorf("AWSCURRENT: %w", err)
	}
	v.note("configuration test passed; nothing was changed")
	return Tested, nil
}

// check is the preflight on demand. It runs whether or not rotation is set up.
func (v *visit) check(ctx context.Context) (Outcome, error) {
	var seen sight
	seen.meta, seen.metaErr = v.Store.Describe(ctx, v.event.SecretID)
	if errors.Is(seen.metaErr, Forbidden) || seen.metaErr == nil && ours(seen.meta) == nil {
		seen.value, seen.valueErr = v.current(ctx)
	}
	report := v.preflight(ctx, &seen)
	v.record.Report = &report
	v.note("preflight: %s", report.verdict())
	return Tested, nil
}

// clear is nil if a rotation may begin.
func (v *visit) clear(ctx context.Context, seen *sight) error {
	if v.Mode == Off {
		return nil
	}
	report := v.preflight(ctx, seen)
	v.record.Report = &report
	v.note("preflight: %s", report.verdict())
	if v.Mode == ReportOnly {
		return nil
	}
	return report.Err()
}

// finish moves AWSCURRENT, in one call that fails if the label was moved in the
// meantime. AWSPENDING stays where it is: removing it with a second call would tell
// the service that the rotation failed; it does so itself.
func (v *visit) finish(ctx context.Context) (Outcome, error) {
	m, done, err := v.open(ctx)
	if err != nil || done {
		return AlreadyDone, err
	}
	from := m.Holder(LabelCurrent)
	if from == "" {
		return Failed, fmt.Errorf("secret: %w: no version carries AWSCURRENT, so there is nothing to move the label from", Conflict)
	}
	if err := v.prove(ctx); err != nil {
		return Failed, err
	}
	already, err := v.move(ctx, Move{LabelCurrent, from, v.event.Version})
	switch {
	case err != nil:
		return Failed, err
	case already:
		v.note("AWSCURRENT is on the new version already")
		return AlreadyDone, nil
	}
	v.note("moved AWSCURRENT from version %s to version %s", from, v.event.Version)
	return Done, nil
}

// prove logs in with the pending value once more, immediately before clients are
// sent to it: the password may have been changed since testSecret. Only an answer
// that judges the password stops the move. A locked account, no free connection or no
// response does not: testSecret has passed, and none of these makes the old value
// better.
func (v *visit) prove(ctx context.Context) error {
	pending, err := v.pending(ctx)
	if err != nil {
		return err
	}
	if deadline, ok := ctx.Deadline(); ok { // a server that does not respond must leave time for the move
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/2)
		defer cancel()
	}
	r := v.rotation(secret.Document{}, pending)
	r.Notes = nil
	err = v.Strategy.Verify(ctx, r)
	switch {
	case errors.Is(err, LoginRejected):
		return fmt.Errorf("pending credentials: %w: the database rejects them: the password was changed after testSecret, or setSecret never set it. AWSCURRENT was not moved. To see which stored version logs in: {\"Step\":\"status\",\"SecretId\":\"%s\"}: %w", Conflict, v.event.SecretID, err)
	case err != nil:
		v.note("the login before the move did not judge the password, which testSecret has tested: %v", err)
	}
	return nil
}
