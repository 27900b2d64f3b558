package rotator

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/quarterturn-dev/quarterturn/rotator/secret"
)

// An invocation is one event being handled: everything that must not outlive it.
type invocation struct {
	Rotator
	event  Event
	scrub  secret.Scrubber // knows every value read or proposed so far
	record Record
}

// conclude makes the outcome fit to be seen, tells the observer and names the error.
func (v *invocation) conclude(ctx context.Context, err error) error {
	v.record.Elapsed = time.Since(v.record.Start)
	for i, note := range v.record.Notes {
		v.record.Notes[i] = v.sanitize(note)
	}
	if v.record.Report != nil {
		v.record.Report.OtherFunction = v.sanitize(v.record.Report.OtherFunction)
		for i, f := range v.record.Report.Findings {
			v.record.Report.Findings[i].Detail = v.sanitize(f.Detail)
			for j, line := range f.PolicyAnalysis {
				f.PolicyAnalysis[j] = v.sanitize(line)
			}
		}
	}
	if d := v.record.Diagnosis; d != nil {
		d.Reason, d.OtherFunction = v.sanitize(d.Reason), v.sanitize(d.OtherFunction)
		for i, s := range d.Versions {
			d.Versions[i].Detail, d.Versions[i].LabelMeaning = v.sanitize(s.Detail), v.sanitize(s.LabelMeaning)
			d.Versions[i].Labels = nil
			for _, label := range s.Labels {
				d.Versions[i].Labels = append(d.Versions[i].Labels, v.sanitize(label))
			}
		}
	}
	if err != nil {
		v.record.Outcome = OutcomeFailed
		v.record.Kind = KindOf(err)
		v.record.Err = &StepError{
			Step: v.event.Step, SecretID: v.event.SecretID, VersionID: v.event.VersionID,
			Kind: v.record.Kind, Hint: v.sanitize(hintOf(err)), Err: v.scrub.Error(sanitizedError{err}),
		}
	}
	if v.Observe != nil {
		v.Observe(ctx, v.record)
	}
	return v.record.Err
}

// sanitize makes a text fit to be seen.
func (v *invocation) sanitize(text string) string { return v.scrub.String(escapeControl(text)) }

// sanitizedError is an error that shows what would forge a line of a log, or hide in one:
// databases repeat the names that they are asked for as they are.
type sanitizedError struct{ error }

func (l sanitizedError) Error() string { return escapeControl(l.error.Error()) }
func (l sanitizedError) Unwrap() error { return l.error }

// escapeControl writes what is not printable as Go would. The scrubber knows a secret in
// that spelling too.
func escapeControl(text string) string {
	var b strings.Builder
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, text[0])
		case strconv.IsPrint(r):
			b.WriteString(text[:size])
		default:
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
		text = text[size:]
	}
	return b.String()
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
	if errors.Is(err, KindNotFound) {
		return SecretValue{}, fmt.Errorf("AWSCURRENT: %w (a rotation starts from a value that works: store the present credentials first, with aws secretsmanager put-secret-value)", err)
	}
	if err != nil {
		return SecretValue{}, fmt.Errorf("AWSCURRENT: %w", err)
	}
	return val, nil
}

// readPending reads the version of the event under its label. The version may have
// been given its value only a moment ago, elsewhere, so that its absence is
// believed only after looking again.
func (v *invocation) readPending(ctx context.Context) (val SecretValue, err error) {
	err = v.retryRead(ctx, KindNotFound, func() (err error) {
		val, err = v.readValue(ctx, v.event.SecretID, VersionRef{ID: v.event.VersionID, Label: LabelPending})
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
	waits := v.ReadBackoff
	if waits == nil {
		waits = []time.Duration{100 * time.Millisecond, 300 * time.Millisecond, 900 * time.Millisecond}
	}
	for _, wait := range waits {
		if err := f(); !errors.Is(err, kind) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", KindDeadline, ctx.Err())
		case <-time.After(wait):
		}
	}
	return f()
}

// newRotation is what the strategy is given.
func (v *invocation) newRotation(current, pending secret.Document) Rotation {
	r := Rotation{
		SecretARN:      v.event.SecretID,
		VersionID:      v.event.VersionID,
		Current:        current,
		Pending:        pending,
		PasswordPolicy: v.PasswordPolicy,
		Log:            v.logf,
		ReadPrevious: func(ctx context.Context) (secret.Document, error) {
			val, err := v.readValue(ctx, v.event.SecretID, VersionRef{Label: LabelPrevious})
			return val.Document, err
		},
		ReadPending: func(ctx context.Context) (secret.Document, error) {
			val, err := v.readValue(ctx, v.event.SecretID, VersionRef{ID: v.event.VersionID, Label: LabelPending})
			if errors.Is(err, KindConflict) || errors.Is(err, KindMisconfigured) { // not its label, or no document
				err = fmt.Errorf("AWSPENDING: %w: %w", KindNotFound, err)
			}
			return val.Document, err
		},
		ReadSecret: func(ctx context.Context, secretID string) (secret.Document, error) {
			val, err := v.readValue(ctx, secretID, VersionRef{Label: LabelCurrent})
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
