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
	next, err := v.Strategy.Next(ctx, v.rotation(seen.value.Document, secret.Document{}))
	if err != nil {
		return Failed, fmt.Errorf("new value: %w", err)
	}
	seen.writes = true
	if err := v.clear(ctx, seen); err != nil {
		return v.unlessBegun(ctx, err)
	}
	v.scrub.AddDocument(next)
	err = v.Store.Put(ctx, Put{
		SecretID:      v.event.SecretID,
		Version:       v.event.Version,
		RotationToken: v.event.RotationToken,
		Document:      next,
	})
	if errors.Is(err, Conflict) {
		v.note("kept the pending value that an earlier attempt stored")
		return AlreadyDone, nil
	}
	if err != nil {
		return Failed, fmt.Errorf("AWSPENDING: %w", err)
	}
	v.note("stored a new pending value; nothing else has changed")
	return Done, nil
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
	if err := v.enoughTime(ctx); err != nil {
		return Failed, err
	}
	err = v.Strategy.Apply(ctx, v.rotation(seen.value.Document, pending))
	if errors.Is(err, PolicyRejected) {
		return Failed, fmt.Errorf("%w (the value of a version never changes, so retrying cannot help: discard it with %s, adjust the password settings of the function, and rotate again)", err, Move{Label: LabelPending, From: v.event.Version}.command(v.event.SecretID))
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
// label too, so that nothing else is asked of the service on the common path.
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
	if err := v.Strategy.Verify(ctx, v.rotation(secret.Document{}, pending)); err != nil {
		return Failed, fmt.Errorf("pending credentials: %w", err)
	}
	return Done, nil
}

// testConfiguration answers aws secretsmanager rotate-secret
// --no-rotate-immediately, for which the service calls testSecret alone, on a
// pending version that has no value and is taken away afterwards. The credentials
// in use must work; nothing changes.
func (v *visit) testConfiguration(ctx context.Context, pending error) (Outcome, error) {
	seen, done, err := v.begin(ctx)
	if err != nil || done {
		return AlreadyDone, err
	}
	if v.Mode == Off {
		err = v.Strategy.Verify(ctx, v.rotation(secret.Document{}, seen.value.Document))
	} else {
		seen.pending, seen.pendingWas = pending, true
		err = v.clear(ctx, seen)
	}
	if err != nil {
		return Failed, fmt.Errorf("AWSCURRENT: %w", err)
	}
	v.note("configuration test: the pending version is empty, a rotation would work, nothing was changed")
	return Tested, nil
}

// check is the preflight on demand. It runs whether or not rotation is set up.
func (v *visit) check(ctx context.Context) (Outcome, error) {
	var seen sight
	seen.meta, seen.metaErr = v.Store.Describe(ctx, v.event.SecretID)
	if errors.Is(seen.metaErr, Forbidden) || seen.metaErr == nil && ours(seen.meta) == nil {
		seen.value, seen.valueErr = v.current(ctx)
	}
	report := v.preflight(ctx, seen)
	v.record.Report = &report
	v.note("preflight: %s", report.verdict())
	return Tested, nil
}

// clear is nil if a rotation may begin.
func (v *visit) clear(ctx context.Context, seen sight) error {
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

// unlessBegun lets a rotation go on that an earlier attempt has brought past
// setSecret: AWSCURRENT is then rightly rejected, and a pending value is there.
// Whatever else is in the way stays in the way, above all a missing permission for
// finishSecret.
func (v *visit) unlessBegun(ctx context.Context, err error) (Outcome, error) {
	for _, f := range v.record.Report.Blocking() {
		if f.Kind != LoginRejected {
			return Failed, err
		}
	}
	if _, missing := v.value(ctx, v.event.SecretID, Version{ID: v.event.Version, Label: LabelPending}); missing != nil {
		return Failed, err
	}
	v.note("kept the pending value that an earlier attempt stored; AWSCURRENT is rejected, as it must be once that value is set")
	return AlreadyDone, nil
}

// finish moves AWSCURRENT, in one call that fails if somebody else moved it first.
// AWSPENDING stays where it is: taking it away with a second call would tell the
// service that the rotation failed; it does so itself.
func (v *visit) finish(ctx context.Context) (Outcome, error) {
	m, done, err := v.open(ctx)
	if err != nil || done {
		return AlreadyDone, err
	}
	from := m.Holder(LabelCurrent)
	if from == "" {
		return Failed, fmt.Errorf("secret: %w: no version carries AWSCURRENT, so there is nothing to move the label from", Conflict)
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
