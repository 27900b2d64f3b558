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

// A visit is one event being handled: everything that must not outlive it.
type visit struct {
	Rotator
	event  Event
	scrub  secret.Scrubber // knows every value read or proposed so far
	record Record
}

// close makes the outcome fit to be seen, tells the observer and names the error.
func (v *visit) close(ctx context.Context, err error) error {
	v.record.Elapsed = time.Since(v.record.Start)
	for i, note := range v.record.Notes {
		v.record.Notes[i] = v.fit(note)
	}
	if v.record.Report != nil {
		for i, f := range v.record.Report.Findings {
			v.record.Report.Findings[i].Detail = v.fit(f.Detail)
			for j, line := range f.Why {
				f.Why[j] = v.fit(line)
			}
		}
	}
	if d := v.record.Diagnosis; d != nil {
		d.Because = v.fit(d.Because)
		for i, s := range d.Versions {
			d.Versions[i].Detail, d.Versions[i].Means = v.fit(s.Detail), v.fit(s.Means)
			d.Versions[i].Labels = nil
			for _, label := range s.Labels {
				d.Versions[i].Labels = append(d.Versions[i].Labels, v.fit(label))
			}
		}
	}
	if err != nil {
		v.record.Outcome = Failed
		v.record.Kind = KindOf(err)
		v.record.Err = &StepError{
			Step: v.event.Step, Secret: v.event.SecretID, Version: v.event.Version,
			Kind: v.record.Kind, Err: v.scrub.Error(legible{err}),
		}
	}
	if v.Observe != nil {
		v.Observe(ctx, v.record)
	}
	return v.record.Err
}

// fit makes a text fit to be seen.
func (v *visit) fit(text string) string { return v.scrub.String(escaped(text)) }

// legible is an error that shows what would forge a line of a log, or hide in one:
// databases repeat the names that they are asked for as they are.
type legible struct{ error }

func (l legible) Error() string { return escaped(l.error.Error()) }
func (l legible) Unwrap() error { return l.error }

// escaped writes what is not printable as Go would. The scrubber knows a secret in
// that spelling too.
func escaped(text string) string {
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

func (v *visit) note(format string, args ...any) {
	v.record.Notes = append(v.record.Notes, fmt.Sprintf(format, args...))
}

// value reads a version, and remembers every secret in it for the scrubber.
func (v *visit) value(ctx context.Context, secretID string, which Version) (Value, error) {
	val, err := v.Store.Value(ctx, secretID, which)
	if err != nil {
		return val, err
	}
	v.scrub.AddDocument(val.Document)
	return val, nil
}

func (v *visit) current(ctx context.Context) (Value, error) {
	val, err := v.value(ctx, v.event.SecretID, Version{Label: LabelCurrent})
	if errors.Is(err, NotFound) {
		return Value{}, fmt.Errorf("AWSCURRENT: %w (a rotation starts from a value that works: store the present credentials first, with aws secretsmanager put-secret-value)", err)
	}
	if err != nil {
		return Value{}, fmt.Errorf("AWSCURRENT: %w", err)
	}
	return val, nil
}

// pending reads the version of the event under its label. The version may have
// been given its value only a moment ago, elsewhere, so that its absence is
// believed only after looking again.
func (v *visit) pending(ctx context.Context) (doc secret.Document, err error) {
	err = v.again(ctx, NotFound, func() error {
		val, err := v.value(ctx, v.event.SecretID, Version{ID: v.event.Version, Label: LabelPending})
		doc = val.Document
		return err
	})
	if err != nil {
		return secret.Document{}, fmt.Errorf("AWSPENDING: %w", err)
	}
	return doc, nil
}

// again repeats f while its answer may merely be stale: while it fails with kind,
// as often as Reread allows and as long as ctx lasts.
func (v *visit) again(ctx context.Context, kind Kind, f func() error) error {
	waits := v.Reread
	if waits == nil {
		waits = []time.Duration{100 * time.Millisecond, 300 * time.Millisecond, 900 * time.Millisecond}
	}
	for _, wait := range waits {
		if err := f(); !errors.Is(err, kind) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", OutOfTime, ctx.Err())
		case <-time.After(wait):
		}
	}
	return f()
}

// rotation is what the strategy is given.
func (v *visit) rotation(current, pending secret.Document) Rotation {
	r := Rotation{
		SecretARN: v.event.SecretID,
		Version:   v.event.Version,
		Current:   current,
		Pending:   pending,
		Policy:    v.Policy,
		Notes:     v.note,
		Previous: func(ctx context.Context) (secret.Document, error) {
			val, err := v.value(ctx, v.event.SecretID, Version{Label: LabelPrevious})
			return val.Document, err
		},
		ReadPending: func(ctx context.Context) (secret.Document, error) {
			val, err := v.value(ctx, v.event.SecretID, Version{ID: v.event.Version, Label: LabelPending})
			if errors.Is(err, Conflict) || errors.Is(err, Misconfigured) { // not its label, or no document
				err = fmt.Errorf("AWSPENDING: %w: %w", NotFound, err)
			}
			return val.Document, err
		},
		Related: func(ctx context.Context, secretID string) (secret.Document, error) {
			val, err := v.value(ctx, secretID, Version{Label: LabelCurrent})
			return val.Document, err
		},
	}
	if c, ok := v.Store.(Completer); ok {
		read := r.Related
		r.Related = func(ctx context.Context, secretID string) (secret.Document, error) {
			d, err := read(ctx, secretID)
			if err != nil {
				return secret.Document{}, err
			}
			return c.Complete(ctx, secretID, d)
		}
		r.Serves = c.Serves
	}
	return r
}
