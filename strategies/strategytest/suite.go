// Package strategytest holds the acceptance suites for engines and strategies, and
// Memory, an engine and its server in one, without a network. The engine to copy is package
// shelf, below this one.
//
// Each suite is a list of cases. A case gets a fresh fixture, checks one rule, and
// says why the rule is there. Passing cannot prove an engine right, but no case
// fails on one that is: timing alone never decides, and a machine may be slow.
//
// A suite runs as subtests (TestEngine, TestStrategy) or, case by case, as
// functions that return an error (EngineCases, StrategyCases). The suites are held
// to that themselves: this package's tests run them on engines and strategies that
// are each wrong in one way, and the right case has to notice.
package strategytest

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
)

// Case is one rule, checked on a fixture of type F.
type Case[F any] struct {
	Name string
	Why  string // what goes wrong for people where the rule is broken
	// Check returns nil if the rule is kept, an error that wraps ErrNotOffered if
	// the fixture lacks what it takes to say, and otherwise one that tells what
	// happened. The error holds no password that the case or the fixture made.
	Check func(ctx context.Context, f F) error
}

// ErrNotOffered is wrapped by a case for which an optional part of the fixture is
// missing, and by a fixture's function for what the database cannot do at all.
var ErrNotOffered = errors.New("not offered by the fixture")

func notOffered(what string) error { return fmt.Errorf("%s: %w", what, ErrNotOffered) }

// run runs every case as a parallel subtest with a fixture of its own.
func run[F any](t *testing.T, cases []Case[F], newFixture func(t *testing.T) F) {
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), caseTime)
			defer cancel()
			switch err := c.Check(ctx, newFixture(t)); {
			case errors.Is(err, ErrNotOffered):
				t.Skip(err)
			case err != nil:
				t.Errorf("%v\nWhy this matters: %s", err, c.Why)
			}
		})
	}
}

const (
	// caseTime ends a case that waits for a server: far more than any needs.
	caseTime = 10 * time.Minute
	// defaultPatience is how long after the end of its context a call may still
	// run before it counts as deaf to it. It is long because machines are slow.
	defaultPatience = 10 * time.Second
)

// passwordSet keeps every password of a case, so that none is in what the case reports,
// and so that a case can look for them elsewhere.
type passwordSet struct {
	mu    sync.Mutex
	scrub secret.Scrubber
}

func (v *passwordSet) keep(ps ...secret.Password) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.scrub.Add(ps...)
}

// leaks says whether a text holds a password, as it is or escaped or encoded.
func (v *passwordSet) leaks(text string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.scrub.String(text) != text
}

// leaked reports an error that holds a password in any form in which it might be
// printed. It does not repeat the error.
func (v *passwordSet) leaked(what string, err error) error {
	if err != nil && v.leaks(fmt.Sprintf("%v\n%+v\n%#v", err, err, err)) {
		return fmt.Errorf("%s: the error (of type %T, kind %s) holds a password", what, err, rotator.KindOf(err))
	}
	return nil
}

func (v *passwordSet) redact(err error) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.scrub.Error(err)
}

// respectsContext runs call and gives its error, unless it is still running when ctx has
// been over for as long as patience.
func respectsContext(ctx context.Context, patience time.Duration, what string,
	call func(ctx context.Context) error) (outcome error, deaf error) {
	done := make(chan error, 1)
	go func() { done <- call(ctx) }()
	select {
	case outcome = <-done:
		return outcome, nil
	case <-ctx.Done():
	}
	timer := time.NewTimer(cmp.Or(patience, defaultPatience))
	defer timer.Stop()
	select {
	case outcome = <-done:
		return outcome, nil
	case <-timer.C:
		return nil, fmt.Errorf("%s: still running %s after its context had ended", what,
			cmp.Or(patience, defaultPatience))
	}
}

// wantKind says what is wrong with an error that must be of one of some kinds.
func wantKind(what string, err error, kinds ...rotator.Kind) error {
	switch got := rotator.KindOf(err); {
	case err == nil:
		return fmt.Errorf("%s: no error; want one of kind %s", what, list(kinds))
	case !slices.Contains(kinds, got):
		return fmt.Errorf("%s: the error is of kind %q; want %s: %w", what, got, list(kinds), err)
	}
	return nil
}

// wantFailure says what is wrong with an error that must have a kind, and not the
// one by which a strategy would go on to try other credentials.
func wantFailure(what string, err error) error {
	switch got := rotator.KindOf(err); {
	case err == nil:
		return fmt.Errorf("%s: no error; it must fail", what)
	case got == rotator.KindInternal:
		return fmt.Errorf("%s: the error wraps no rotator.Kind: %w", what, err)
	case errors.Is(err, rotator.KindLoginRejected):
		return fmt.Errorf("%s: the error is %q, but these credentials were not judged: %w", what,
			rotator.KindLoginRejected, err)
	}
	return nil
}

func list(kinds []rotator.Kind) string {
	words := make([]string, len(kinds))
	for i, k := range kinds {
		words[i] = fmt.Sprintf("%q", k)
	}
	return strings.Join(words, " or ")
}

// wrapf says what was being done, if it went wrong.
func wrapf(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), err)
}

// steps runs one after another, up to the first error.
func steps(all ...func() error) error {
	for _, step := range all {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// unique gives hexadecimal digits that no other call has given.
func unique() string {
	var b [6]byte
	rand.Read(b[:]) // never fails: it ends the program instead
	return hex.EncodeToString(b[:])
}
