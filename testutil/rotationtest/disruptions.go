package rotationtest

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest"
)

// troubles are those of the fixture, and those that a line can have for a whole step.
func (r *trialRun) troubles() map[string]func(*trialRun) Disruption {
	all := map[string]func(*trialRun) Disruption{}
	for name := range r.Troubles {
		all[name] = func(r *trialRun) Disruption { return r.Troubles[name] }
	}
	if r.proxy == nil {
		return all
	}
	all["connections refused"] = func(r *trialRun) Disruption {
		return func(context.Context) (func() error, error) {
			r.proxy.ResetAll(true)
			return func() error { r.proxy.ResetAll(false); return nil }, nil
		}
	}
	all["a slow drip"] = func(r *trialRun) Disruption {
		return func(context.Context) (func() error, error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.act = func(injectionPoint) action { return action{verdict: strategytest.ChunkSlow} }
			return func() error { return nil }, nil
		}
	}
	return all
}

// trouble holds while a step runs, and is over when the service tries again. What
// keeps the function out may keep clients out, and so no login is tried meanwhile.
func (r *trialRun) trouble(ctx context.Context, during rotator.Step, name string, begin Disruption) error {
	return r.at(ctx, during, func(ctx context.Context, step rotator.Step, invoke Invoke) error {
		r.see(false)
		end, err := begin(ctx)
		if err != nil {
			return fmt.Errorf("fixture: %s: %w", name, err)
		}
		failed := invoke(ctx, step)
		if err := end(); err != nil {
			return fmt.Errorf("fixture: end of %s: %w", name, err)
		}
		r.see(true)
		return failed
	})
}

// refusePending has the server refuse the user of AWSPENDING while finishSecret is about to send clients to it. They go
// on as the other one, which nothing keeps out.
func (r *trialRun) refusePending(ctx context.Context) error {
	return r.at(ctx, rotator.StepFinishSecret, func(ctx context.Context, step rotator.Step, invoke Invoke) error {
		end, err := r.Refuse(r.service.ValueAt(rotator.LabelPending).Text("username"))(ctx)
		if err != nil {
			return fmt.Errorf("fixture: %w", err)
		}
		failed := invoke(ctx, step)
		r.see(true)
		return errors.Join(failed, end())
	})
}

func (r *trialRun) see(on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.skipChecks = !on
	if on {
		r.act = nil
		r.judge("after a trouble")
	}
}

// at rotates with something else in place of one step.
func (r *trialRun) at(ctx context.Context, which rotator.Step, instead StepFunc) error {
	r.around = func(ctx context.Context, step rotator.Step, invoke Invoke) error {
		if step != which {
			return invoke(ctx, step)
		}
		return instead(ctx, step, invoke)
	}
	err := r.service.Rotate(ctx, 1)
	r.around = nil
	return r.finish(ctx, err)
}

// An order is other than that in which the service calls the steps of a rotation.
type order func(ctx context.Context, r *trialRun, step rotator.Step, invoke Invoke) error

func orders() map[string]order {
	return map[string]order{
		"a duplicate after it": func(ctx context.Context, _ *trialRun, step rotator.Step, invoke Invoke) error {
			return errors.Join(invoke(ctx, step), wrap(invoke(ctx, step), "the duplicate"))
		},
		"a duplicate at once": func(ctx context.Context, _ *trialRun, step rotator.Step, invoke Invoke) error {
			other := make(chan error, 1)
			go func() { other <- invoke(ctx, step) }()
			return errors.Join(invoke(ctx, step), wrap(<-other, "the duplicate"))
		},
		"the steps before it again": func(ctx context.Context, _ *trialRun, step rotator.Step, invoke Invoke) error {
			for _, s := range rotationSteps()[:slices.Index(rotationSteps(), step)] {
				invoke(ctx, s) // may fail, and may do no harm
			}
			return invoke(ctx, step)
		},
		"the steps after it too early": func(ctx context.Context, _ *trialRun, step rotator.Step, invoke Invoke) error {
			// But for finishSecret: that testSecret has passed it takes from the service,
			// which calls it then alone. To log in once more would cost every rotation a
			// call and a login.
			for _, s := range rotationSteps()[slices.Index(rotationSteps(), step)+1:] {
				if s != rotator.StepFinishSecret {
					invoke(ctx, s)
				}
			}
			return invoke(ctx, step)
		},
		"a value stored by hand before it": edited,
	}
}

// edited has a person store the credentials that work, with a member of their own,
// when a step is about to be called. The next rotation begins from there.
func edited(ctx context.Context, r *trialRun, step rotator.Step, invoke Invoke) error {
	for _, label := range []string{rotator.LabelCurrent, rotator.LabelPending} {
		d := r.service.ValueAt(label)
		if d.IsZero() || r.clients().Everywhere(ctx, d) != nil {
			continue
		}
		d = d.Set("editedByHand", "yes")
		if err := r.service.PutByHand(ctx, d); err != nil {
			return fmt.Errorf("fixture: edit: %w", err)
		}
		r.mu.Lock()
		r.original = d
		r.mu.Unlock()
		break
	}
	if err := invoke(ctx, step); err != nil {
		return err
	}
	return errors.New("the rotation was abandoned")
}
