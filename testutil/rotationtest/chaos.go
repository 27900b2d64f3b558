package rotationtest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest/census"
)

// Chaos is what ChaosTrials need of a fixture beside what Trials do. What is nil makes trials skip.
type Chaos struct {
	// Standby starts a copy of the server that follows it.
	Standby func(ctx context.Context) (Standby, error)
	// NewCertificate has the server show another certificate to clients that come from now on: of an authority that the
	// strategy trusts, or of another.
	NewCertificate func(ctx context.Context, trusted bool) error
	// Name gives a host whose last address is 127.0.0.1; before that come addresses that are dead at a port: so many
	// refuse a connection there, and so many never answer one.
	Name func(port, refused, silent int) (host string, end func() error, err error)
	// Starved makes a function that has 7 % of a processor and 128 MB of memory, which is what the smallest function of
	// Lambda has.
	Starved Deploy
}

// Standby is a server that follows the one of a fixture.
type Standby struct {
	// Cut has it catch up, and follow no longer.
	Cut func(ctx context.Context) error
	// Promote makes it a server of its own, in place of the one that it followed: what the fixture does from now on, it
	// does there.
	Promote func(ctx context.Context) error
	Close   func() error
}

// ChaosTrials are rotations in the weather of networks and data centers, in place of a fault at a moment: failovers
// between steps, names with dead addresses, great distances, little bandwidth, little processor, other certificates.
func ChaosTrials(fresh NewFixture) []Trial {
	var trials []Trial
	add := func(group, name string, run func(ctx context.Context, r *trialRun) error) {
		trials = append(trials, Trial{group, name, func(ctx context.Context) error { return within(ctx, fresh, run) }})
	}
	with := func(group, name string, fresh NewFixture) {
		trials = append(trials, Trial{group, name, func(ctx context.Context) error {
			return within(ctx, fresh, func(ctx context.Context, r *trialRun) error { return r.rotate(ctx) })
		}})
	}
	for _, step := range rotationSteps() {
		add("failover", "after "+string(step), func(ctx context.Context, r *trialRun) error {
			return r.failover(ctx, step, false)
		})
		twice := "a duplicate of " + string(step) + " at once, 100 ms away"
		add("order", twice, func(ctx context.Context, r *trialRun) error {
			if r.proxy == nil {
				return notOffered("Dial")
			}
			r.slow(roundTrip(100 * time.Millisecond))
			return r.at(ctx, step, func(ctx context.Context, step rotator.Step, invoke Invoke) error {
				return orders()["a duplicate at once"](ctx, r, step, invoke)
			})
		})
		if step == rotator.StepCreateSecret {
			continue // there is nothing yet to lose
		}
		add("failover", "after "+string(step)+", without the change", func(ctx context.Context, r *trialRun) error {
			return r.failover(ctx, step, true)
		})
		add("certificate", "another before "+string(step), func(ctx context.Context, r *trialRun) error {
			return r.certificate(ctx, step, true)
		})
		unknown := "one of an unknown authority before " + string(step)
		add("certificate", unknown, func(ctx context.Context, r *trialRun) error {
			return r.certificate(ctx, step, false)
		})
	}
	far := func(name string, delay func(strategytest.Chunk) time.Duration) {
		add("distance", name, func(ctx context.Context, r *trialRun) error {
			if r.proxy == nil {
				return notOffered("Dial")
			}
			r.slow(delay)
			return r.rotate(ctx)
		})
	}
	far("600 ms", roundTrip(600*time.Millisecond))
	far("300 ms", roundTrip(300*time.Millisecond))
	far("20 kB/s", func(c strategytest.Chunk) time.Duration { return time.Duration(c.Size) * time.Second / 20_000 })
	with("name", "the first two of its addresses refuse", named(fresh, 2, 0))
	with("name", "the first of its addresses refuses, the second is silent", named(fresh, 1, 1))
	with("name", "the first two of its addresses are silent", named(fresh, 0, 2))
	with("processor", "7 % of one, with 128 MB", starved(fresh))
	return trials
}

// TestChaos runs the trials as subtests. They wait more than they work: so many run at once as there are fixtures
// given, which must not share a server.
func TestChaos(t *testing.T, fresh ...NewFixture) {
	results := make([]error, len(ChaosTrials(nil)))
	next := make(chan int)
	var running sync.WaitGroup
	for _, f := range fresh {
		trials := ChaosTrials(f)
		running.Go(func() {
			for i := range next {
				results[i] = trials[i].Run(t.Context())
			}
		})
	}
	for i := range results {
		next <- i
	}
	close(next)
	running.Wait()
	for i, trial := range ChaosTrials(nil) {
		trial.Run = func(context.Context) error { return results[i] }
		trial.test(t)
	}
}

// test runs a trial as a subtest.
func (trial Trial) test(t *testing.T) {
	t.Run(trial.Group+"/"+trial.Name, func(t *testing.T) {
		switch err := trial.Run(t.Context()); {
		case errors.Is(err, strategytest.ErrNotOffered):
			t.Skip(err)
		case err != nil:
			t.Error(err)
		}
	})
}

// roundTrip delays what is said by half of the time, and a new connection, which takes a round trip of its own, by all
// of it.
func roundTrip(d time.Duration) func(strategytest.Chunk) time.Duration {
	return func(c strategytest.Chunk) time.Duration {
		if c.Opening {
			return d
		}
		return d / 2
	}
}

// slow makes the line slow from now on. Clients, who are judged, are not on that line.
func (r *trialRun) slow(delay func(strategytest.Chunk) time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.delay, r.noFaultYet = delay, false
}

// rotate is a rotation in which nothing is to go wrong: the fixture's function or line is wrong enough.
func (r *trialRun) rotate(ctx context.Context) error {
	r.mu.Lock()
	r.noFaultYet = false
	r.mu.Unlock()
	return r.finish(ctx, r.service.Rotate(ctx, 1))
}

// named has the secrets name their server by a host of which not all addresses are alive.
func named(fresh NewFixture, refused, silent int) NewFixture {
	return func(ctx context.Context) (Fixture, error) {
		f, err := fresh(ctx)
		if err != nil {
			return f, err
		}
		if f.Chaos.Name == nil || f.Dial == nil {
			return f, lacking(f, "Chaos.Name")
		}
		f.name = func(port int) (string, func() error, error) { return f.Chaos.Name(port, refused, silent) }
		return f, nil
	}
}

// lacking ends a fixture that has not what a trial needs.
func lacking(f Fixture, what string) error {
	if f.Close != nil {
		f.Close()
	}
	return notOffered(what)
}

func starved(fresh NewFixture) NewFixture {
	return func(ctx context.Context) (Fixture, error) {
		f, err := fresh(ctx)
		if err != nil {
			return f, err
		}
		if f.Deploy = f.Chaos.Starved; f.Deploy == nil {
			return f, lacking(f, "Chaos.Starved")
		}
		return f, nil
	}
}

// failover loses the server when a step has ended, for a standby that has the change of setSecret or has it not.
func (r *trialRun) failover(ctx context.Context, after rotator.Step, lost bool) (err error) {
	if r.Chaos.Standby == nil || r.proxy == nil {
		return notOffered("Chaos.Standby")
	}
	standby, err := r.Chaos.Standby(ctx)
	if err != nil {
		return fmt.Errorf("fixture: standby: %w", err)
	}
	r.ends = append(r.ends, standby.Close)
	over, broken := false, error(nil)
	do := func(what string, err error) bool {
		broken = errors.Join(broken, wrap(err, "fixture: "+what))
		return err == nil
	}
	r.around = func(ctx context.Context, step rotator.Step, invoke Invoke) error {
		if lost && !over && step == rotator.StepSetSecret {
			do("cut", standby.Cut(ctx))
		}
		failed := invoke(ctx, step)
		if over || step != after {
			return failed
		}
		over = true
		r.see(false)
		if (lost || do("cut", standby.Cut(ctx))) && do("promote", standby.Promote(ctx)) {
			r.proxy.ResetAll(false)
		}
		r.mu.Lock()
		// What AWSCURRENT named is lost with the server that had it; by one of the others clients get in.
		r.KeepsCurrent = r.KeepsCurrent && !(lost && step == rotator.StepFinishSecret)
		r.mu.Unlock()
		r.see(true)
		return failed
	}
	failed := r.service.Rotate(ctx, 1)
	switch {
	case broken != nil:
		return broken
	case !over:
		return errors.Join(fmt.Errorf("%s was not reached", after), failed)
	case lost && after == rotator.StepFinishSecret:
		return errors.Join(failed, r.afterLoss(ctx))
	case failed == nil && lost:
		return fmt.Errorf("%w: AWSCURRENT moved to a value that the failover had lost", ViolationLockedOut)
	}
	return r.finish(ctx, failed)
}

// afterLoss is the next rotation where the database has lost what AWSCURRENT names. It completes, or says that the way
// back is a rollback, which is then made: the previous value is stored, and rotates.
func (r *trialRun) afterLoss(ctx context.Context) error {
	failed := r.service.Rotate(ctx, 1)
	if failed == nil {
		return nil
	}
	previous := r.service.ValueAt(rotator.LabelPrevious)
	if r.clients().Everywhere(ctx, previous) != nil {
		return r.finish(ctx, failed) // it failed after setSecret, so that this is no way back, and AWSPENDING is one on
	}
	if !strings.Contains(failed.Error()+r.service.Output(), "rollback") {
		return fmt.Errorf("%w: the rotation after the failover names no rollback: %w", ViolationNotRecovered, failed)
	}
	if err := r.service.PutByHand(ctx, previous); err != nil {
		return fmt.Errorf("fixture: rollback: %w", err)
	}
	if err := r.service.Rotate(ctx, 1); err != nil {
		return fmt.Errorf("%w: after a failover and a rollback: %w", ViolationNotRecovered, err)
	}
	return nil
}

// certificate has the server show another one when a step is about to be called. One that no client can trust may stop
// the rotation, until the server shows the first again.
func (r *trialRun) certificate(ctx context.Context, before rotator.Step, trusted bool) error {
	if r.Chaos.NewCertificate == nil {
		return notOffered("Chaos.NewCertificate")
	}
	var broken error
	show := func(trusted bool) {
		broken = errors.Join(broken, wrap(r.Chaos.NewCertificate(ctx, trusted), "fixture: certificate"))
	}
	err := r.at(ctx, before, func(ctx context.Context, step rotator.Step, invoke Invoke) error {
		r.see(false) // clients do not trust every certificate either
		show(trusted)
		failed := invoke(ctx, step)
		show(true)
		r.see(true)
		// finishSecret moves AWSCURRENT by what testSecret has found, unless a login is rejected.
		if failed == nil && !trusted && step != rotator.StepFinishSecret {
			broken = errors.Join(broken,
				fmt.Errorf("%w: %s trusted a certificate of an unknown authority", ViolationLeaked, step))
		}
		return failed
	})
	return errors.Join(broken, err)
}

// Crowd rotates so many secrets at once, on a server that has fewer connections than they need. Each attempt may fail,
// and the service tries again; at the end every secret has rotated, and none was locked out on the way. Fixtures share
// the server.
func Crowd(ctx context.Context, fresh NewFixture, secrets, attempts int) (retries int, err error) {
	ctx, cancel := context.WithTimeout(ctx, trialTime)
	defer cancel()
	rounds := make([]*trialRun, secrets)
	defer func() {
		for _, r := range rounds {
			if r != nil {
				r.close()
			}
		}
	}()
	for i := range rounds {
		if rounds[i], err = newRound(ctx, fresh); err != nil {
			return 0, fmt.Errorf("fixture: %w", err)
		}
		rounds[i].skipChecks = true // clients find no free connection either
	}
	before, err := rounds[0].censusOrNone(ctx)
	if err != nil {
		return 0, err
	}
	var running sync.WaitGroup
	failed := make([]error, secrets)
	tries := make([]int, secrets)
	for i, r := range rounds {
		running.Go(func() {
			for tries[i] = 1; ; tries[i]++ {
				if failed[i] = r.service.Rotate(ctx, 1); failed[i] == nil || tries[i] == attempts || ctx.Err() != nil {
					return
				}
			}
		})
	}
	running.Wait()
	var found []error
	var may []census.Change
	for i, r := range rounds {
		retries += tries[i] - 1
		r.skipChecks, r.noFaultYet = false, false
		r.judge("when all had tried")
		// It is quiet now: whatever was left by the crowd, one more attempt completes.
		if failed[i] != nil {
			if err := r.service.Rotate(ctx, 1); err != nil {
				err = fmt.Errorf("%w: after %q, when it was quiet: %w", ViolationNotRecovered, failed[i], err)
				found = append(found, r.redact(err))
			}
		}
		found = append(found, r.redact(r.verdict(ctx, true)))
		may = append(may, r.may(true))
	}
	after, err := rounds[0].censusOrNone(ctx)
	if err != nil {
		return retries, err
	}
	if err := census.CheckAll(may, before, after); err != nil {
		found = append(found, fmt.Errorf("%w: %w", ViolationBystander, err))
	}
	return retries, errors.Join(found...)
}

func (r *trialRun) censusOrNone(ctx context.Context) (map[string]string, error) {
	if r.Census == nil {
		return nil, nil
	}
	all, err := r.Census(ctx)
	return all, wrap(err, "fixture: census")
}
