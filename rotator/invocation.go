package rotator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator/secret"
)

// An invocation is one event being handled: everything that must not outlive it.
type invocation struct {
	Rotator
	event  Event
	scrub  secret.Scrubber // knows every value read or proposed so far
	record Record
	stack  string // of a panic
}

// conclude makes the outcome fit to be seen, tells the observer and names the error.
func (v *invocation) conclude(ctx context.Context, err error) error {
	v.record.Elapsed = time.Since(v.record.Start)
	if err != nil {
		v.record.Outcome, v.record.Kind = OutcomeFailed, KindOf(err)
	}
	v.sanitizeFields(&v.record)
	v.record.PanicStack = v.scrub.String(v.stack) // which has lines of its own
	if err != nil {
		failed := &StepError{
			Step: v.event.Step, SecretID: v.event.SecretID, VersionID: v.event.VersionID,
			Kind: v.record.Kind, Hint: cmp.Or(knownHint(err), kindHint(v.record.Kind)),
		}
		v.sanitizeFields(failed)
		failed.Err = v.scrub.Error(sanitizedError{err})
		v.record.Err = failed
	}
	if v.Observe != nil {
		v.Observe(ctx, v.record)
	}
	return v.record.Err
}

func (v *invocation) logf(format string, args ...any) {
	v.record.Notes = append(v.record.Notes, fmt.Sprintf(format, args...))
}

// readValue reads a version, and remembers every secret in it for the scrubber.
func (v *invocation) readValue(ctx context.Context, secretID string, which VersionRef) (SecretValue, error) {
	val, err := v.Store.Value(ctx, secretID, which)
	if err != nil {
		return val, err
	}
	v.scrub.AddDocument(val.Document)
	return val, nil
}

func (v *invocation) readCurrent(ctx context.Context) (SecretValue, error) {
	val, err := v.readValue(ctx, v.event.SecretID, VersionRef{Label: LabelCurrent})
	if err != nil {
		return SecretValue{}, fmt.Errorf("AWSCURRENT: %w", err)
	}
	return val, nil
}

// isNoDocument says that a version was read, and holds nothing that could be credentials. A key that cannot be used is
// KindMisconfigured too, and says nothing of the value.
func isNoDocument(val SecretValue, err error) bool {
	return errors.Is(err, KindMisconfigured) && val.VersionID != ""
}

// readPendingOnce reads the version of the event under its label.
func (v *invocation) readPendingOnce(ctx context.Context) (SecretValue, error) {
	return v.readValue(ctx, v.event.SecretID, VersionRef{ID: v.event.VersionID, Label: LabelPending})
}

// readPending is readPendingOnce until there is a value. The version may have
// been given its value only a moment ago, elsewhere, so that its absence is
// believed only after looking again.
func (v *invocation) readPending(ctx context.Context) (val SecretValue, err error) {
	err = v.retryRead(ctx, KindNotFound, func() (err error) {
		val, err = v.readPendingOnce(ctx)
		return err
	})
	if err != nil {
		return SecretValue{}, fmt.Errorf("AWSPENDING: %w", err)
	}
	return val, nil
}

// retryRead repeats f while its answer may merely be stale: while it fails with kind,
// as often as Reread allows and as long as ctx lasts.
func (v *invocation) retryRead(ctx context.Context, kind Kind, f func() error) error {
	return retry(ctx, v.readBackoff(), func(err error, _ int) bool { return errors.Is(err, kind) }, f)
}

func (v *invocation) readBackoff() []time.Duration {
	if v.ReadBackoff == nil {
		return []time.Duration{100 * time.Millisecond, 300 * time.Millisecond, 900 * time.Millisecond}
	}
	return v.ReadBackoff
}

// retry repeats f after each of the waits, for as long as ctx lasts and the error, of
// the n-th time, may pass; none does not.
func retry(ctx context.Context, waits []time.Duration, passes func(err error, n int) bool, f func() error) error {
	for n, wait := range waits {
		err := f()
		if !passes(err, n) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w: %w", KindDeadline, ctx.Err(), err)
		case <-time.After(wait):
		}
	}
	return f()
}

// verifyAgain has the strategy log in with a value that the database has just been given, and
// again while the answer may merely be of the moment. Clients are waiting for the
// rotation to end. A server without a free connection, or that is failing over, is
// looked at for some twelve seconds. A rejected login is looked at for about one, in
// case a replica answered that does not have the change yet; once only, where rejected
// logins may lock the account. A password that the database accepts before it ends the login is the one set: where
// AWSCURRENT is of the same account, it is met by what ends this login, too, and no better.
func (v *invocation) verifyAgain(ctx context.Context, current, pending secret.Document, unavailable bool) error {
	waits, r := v.readBackoff(), v.newRotation(current, pending)
	rejections := len(waits)
	if limiter, ok := v.Strategy.(FailedLoginLimiter); !ok || limiter.LimitsFailedLogins(pending) {
		rejections = 0
	}
	if n := len(waits); n > 0 {
		last := waits[n-1]
		waits = append(slices.Clone(waits), 3*last, 9*last)
	}
	proven := func(err error) bool { // only of a value that was compared with AWSCURRENT
		return isAccepted(err) && !current.IsZero() && !v.switchesAccount(pending)
	}
	passes := func(err error, n int) bool {
		if proven(err) {
			return false
		}
		switch KindOf(err) {
		case KindTooManyConnections, KindUnreachable:
			return unavailable
		case KindLoginRejected:
			return n < rejections
		}
		return false
	}
	var rejected error
	err := retry(ctx, waits, passes, func() error {
		err := v.Strategy.Verify(ctx, r)
		if errors.Is(err, KindLoginRejected) {
			rejected = err
		}
		return err
	})
	if proven(err) {
		v.logf("the database accepted the password, so that clients need this value, and then ended the login, which "+
			"keeps them out until it is mended: %v", err)
		return nil
	}
	if err != nil && rejected != nil && !unavailable { // no later answer of another sort takes a rejection back
		return rejected
	}
	return err
}

// newRotation is what the strategy is given.
func (v *invocation) newRotation(current, pending secret.Document) Rotation {
	var previous *secret.Document
	r := Rotation{
		SecretARN:      v.event.SecretID,
		VersionID:      v.event.VersionID,
		Current:        current,
		Pending:        pending,
		PasswordPolicy: v.PasswordPolicy,
		Log:            v.logf,
		ReadPrevious: func(ctx context.Context) (secret.Document, error) {
			if previous == nil { // once is enough: this step moves no label of it
				val, err := v.readValue(ctx, v.event.SecretID, VersionRef{Label: LabelPrevious})
				if isNoDocument(val, err) {
					err = fmt.Errorf("AWSPREVIOUS: %w: %w", KindNotFound, err)
				}
				if err != nil {
					return secret.Document{}, err
				}
				previous = &val.Document
			}
			return *previous, nil
		},
		ReadPending: func(ctx context.Context) (secret.Document, error) {
			val, err := v.readPendingOnce(ctx)
			if errors.Is(err, KindConflict) || isNoDocument(val, err) { // Conflict: it has not the label
				err = fmt.Errorf("AWSPENDING: %w: %w", KindNotFound, err)
			}
			return val.Document, err
		},
		ReadSecret: func(ctx context.Context, secretID string) (secret.Document, error) {
			val, err := v.readValue(ctx, secretID, VersionRef{Label: LabelCurrent, OnlyRead: true})
			return val.Document, err
		},
	}
	if c, ok := v.Store.(DatabaseResolver); ok {
		read := r.ReadSecret
		r.ReadSecret = func(ctx context.Context, secretID string) (secret.Document, error) {
			d, err := read(ctx, secretID)
			if err != nil {
				return secret.Document{}, err
			}
			return c.Resolve(ctx, secretID, d)
		}
		r.IsEndpointOf = c.IsEndpointOf
	}
	return r
}
