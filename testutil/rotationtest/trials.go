// Package rotationtest has whole rotations with something going wrong in each: the function killed, its calls refused
// or lost, the line to the database cut, events twice and late, failovers, clients that log in all the while. What a
// server stores, who logs in and what they may do then is compared before and after.
//
// A Fixture is a strategy, a secret and a server. Trials finds where something can go wrong in its rotation, and gives
// a Trial for each place; TestRotation runs them. The suites of package strategytest come first: they try one call at a
// time.
package rotationtest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest"
)

// A Trial is one rotation in which one thing goes wrong.
type Trial struct {
	// "crash", "API", "line", "trouble", "order"; of ChaosTrials "failover", "certificate", "distance", "name",
	// "processor"
	Group string
	Name  string
	// Run is nil if every promise was kept, wraps strategytest.ErrNotOffered where the thing did
	// not come to pass, and else wraps each Violation.
	Run func(ctx context.Context) error
}

// Trials finds out, by one rotation in which nothing goes wrong, where something
// can, and gives a trial for each place and each thing. The error is that of the
// one rotation.
func Trials(ctx context.Context, fresh NewFixture) ([]Trial, error) {
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
			verdicts := map[string]strategytest.ChunkAction{"reset": strategytest.ChunkReset}
			if w.ContextReachesStrategy {
				verdicts["silent"] = strategytest.ChunkDrop
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
				return r.at(ctx, step, func(ctx context.Context, step rotator.Step, invoke Invoke) error {
					return order(ctx, r, step, invoke)
				})
			})
		}
	}
	if w.Refuse != nil && w.KeepsCurrent && w.switches {
		add("trouble", "the user of AWSPENDING is refused in finishSecret", func(ctx context.Context,
			r *trialRun) error {
			return r.refusePending(ctx)
		})
	}
	slices.SortStableFunc(trials, func(a, b Trial) int { return strings.Compare(a.Group, b.Group) })
	return trials, nil
}

// recordMoments is the rotation in which nothing goes wrong.
func recordMoments(ctx context.Context, fresh NewFixture) (w *trialRun, err error) {
	err = within(ctx, fresh, func(ctx context.Context, r *trialRun) error {
		w = r
		err := r.service.Rotate(ctx, 1)
		r.switches = r.service.ValueAt(rotator.LabelCurrent).Text("username") != r.original.Text("username")
		return err
	})
	return w, err
}

// Options says how [TestRotation] goes about it. The zero value is right for a
// fixture in which a rotation takes milliseconds.
type Options struct {
	MaxTrials int // of all that there are, evenly spread; 0: all
}

// TestRotation runs the trials as subtests, one after another.
func TestRotation(t *testing.T, fresh NewFixture, o Options) {
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

// Attempt is one rotation in which nothing goes wrong, from a state in which it may
// have to be refused. refused is why it was; nothing is stored then, and nothing is
// otherwise than before. Where it is not refused, every promise is kept. broken says
// what of this is not true.
func Attempt(ctx context.Context, fresh NewFixture) (refused, broken error) {
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

// action is what happens at a moment. Zero: nothing.
type action struct {
	kill    bool
	fault   Fault
	verdict strategytest.ChunkAction
	refuse  bool // the server fails
	restart bool // the server restarts
}

func notOffered(what string) error { return fmt.Errorf("%s: %w", what, strategytest.ErrNotOffered) }

func wrap(err error, what string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
