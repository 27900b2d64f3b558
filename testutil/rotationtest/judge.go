package rotationtest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest/census"
)

// judge logs in with what is labelled, and writes down a breach. The caller holds
// the lock.
func (r *trialRun) judge(when string) {
	if r.skipChecks || r.service == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), trialTime)
	defer cancel()
	for _, host := range r.clients().Origins() {
		r.judgeFrom(ctx, host, when+census.FromHost(host))
	}
}

func (r *trialRun) judgeFrom(ctx context.Context, host, when string) {
	for _, label := range []string{rotator.LabelCurrent, rotator.LabelPending, rotator.LabelPrevious} {
		d := r.service.ValueAt(label)
		if d.IsZero() {
			continue
		}
		r.remember(d)
		switch err := r.clients().From(ctx, host, d); {
		case err == nil:
			return
		case rotator.KindOf(err) != rotator.KindLoginRejected:
			r.breaches = append(r.breaches, fmt.Errorf("%s: whether %s logs in could not be seen: %w", when,
				label, err))
			return
		case r.KeepsCurrent:
			r.breaches = append(r.breaches, fmt.Errorf("%s: %w: %s is refused", when, ViolationLockedOut, label))
			return
		}
	}
	r.breaches = append(r.breaches, fmt.Errorf("%s: %w: no labelled value logs in", when, ViolationLockedOut))
}

// clients are those of the fixture, by the way that they take: not through the proxy.
func (r *trialRun) clients() census.Clients {
	c := r.Clients()
	direct := func(d secret.Document, logIn func(secret.Document) error) error {
		d, err := r.direct(d)
		if err != nil {
			return err
		}
		return logIn(d)
	}
	return census.Clients{
		Hosts: c.Hosts,
		LogIn: func(ctx context.Context, d secret.Document) error {
			return direct(d, func(d secret.Document) error { return c.LogIn(ctx, d) })
		},
		LogInFrom: func(ctx context.Context, host string, d secret.Document) error {
			return direct(d, func(d secret.Document) error { return c.LogInFrom(ctx, host, d) })
		},
	}
}

// verdict looks at what a trial has left.
func (r *trialRun) verdict(ctx context.Context, complete bool) error {
	var found []error
	if r.proxy != nil { // first: its last pieces are moments too
		ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
		defer cancel()
		if err := r.proxy.Idle(ctx); err != nil {
			found = append(found, fmt.Errorf("%w: %w", ViolationConnLeak, err))
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	current := r.service.ValueAt(rotator.LabelCurrent)
	for _, label := range []string{rotator.LabelCurrent, rotator.LabelPending, rotator.LabelPrevious} {
		r.remember(r.service.ValueAt(label))
	}
	if err := r.clients().Everywhere(ctx, current); complete && err != nil {
		found = append(found, fmt.Errorf("at the end: %w: AWSCURRENT: %w", ViolationLockedOut, err))
	}
	if complete && current.Text(r.Member) == r.original.Text(r.Member) {
		found = append(found, fmt.Errorf("at the end: %w: the %s is still the old one", ViolationNotRecovered,
			r.Member))
	}
	if others := census.Without(r.original.ChangedKeys(current), r.Changes); others != nil {
		found = append(found, fmt.Errorf("at the end: %w: members that no rotation may change: %q",
			ViolationCorrupted, others))
	}
	output := r.service.Output()
	if r.leaks(output) {
		found = append(found, fmt.Errorf("%w: a password is in the output of the function", ViolationLeaked))
	}
	if strings.Contains(output, "panic") {
		found = append(found, fmt.Errorf("%w", ViolationPanicked))
	}
	if r.ServerLog != nil && r.leaks(r.ServerLog()) {
		found = append(found, fmt.Errorf("%w: a password is in the log of the server", ViolationLeaked))
	}
	return errors.Join(append(r.breaches, found...)...)
}

// allRights asks, for each labelled value that logs in, what it is good for.
func (r *trialRun) allRights(ctx context.Context) (map[string][]string, error) {
	all := map[string][]string{}
	if r.Rights == nil {
		return all, nil
	}
	for _, label := range []string{rotator.LabelCurrent, rotator.LabelPending, rotator.LabelPrevious} {
		d := r.service.ValueAt(label)
		if d.IsZero() || r.clients().Admitted(ctx, map[string]secret.Document{label: d}) == nil {
			continue
		}
		d, err := r.direct(d)
		if err != nil {
			return nil, err
		}
		if all[label], err = r.Rights(ctx, d); err != nil {
			return nil, fmt.Errorf("rights by %s: %w", label, err)
		}
	}
	return all, nil
}

// rightsOfOthers asks the same for the secrets of others that log in.
func (r *trialRun) rightsOfOthers(ctx context.Context) map[string][]string {
	all := map[string][]string{}
	for name, d := range r.Others {
		if r.Rights == nil {
			break
		}
		if may, err := r.Rights(ctx, d); err == nil {
			all[name] = may
		}
	}
	return all
}

// aftermath compares the server, the other secrets and what the values of this one are
// good for with what there was before.
func (r *trialRun) aftermath(ctx context.Context, complete bool) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	var found []error
	breach := func(b Violation, err error) {
		if err != nil {
			found = append(found, fmt.Errorf("at the end: %w: %w", b, err))
		}
	}
	current := r.service.ValueAt(rotator.LabelCurrent)
	if r.census != nil {
		after, err := r.Census(ctx)
		if err != nil {
			return fmt.Errorf("fixture: census: %w", err)
		}
		breach(ViolationBystander, r.may(complete).Check(r.census, after))
	}
	breach(ViolationBystander, r.clients().StillAdmitted(ctx, r.others))
	if r.refused {
		breach(ViolationLockedOut, r.clients().StillAdmitted(ctx, r.own))
	}
	rights, err := r.allRights(ctx)
	if err != nil {
		return fmt.Errorf("fixture: %w", err)
	}
	var held, holds []string
	for _, some := range r.rights {
		held = append(held, some...)
	}
	for _, some := range rights {
		holds = append(holds, some...)
	}
	breach(ViolationPrivileges, census.SameRights(held, holds, false))
	for name, may := range r.rightsOfOthers(ctx) {
		if before, ok := r.mayDo[name]; ok {
			if more := census.Without(may, before); more != nil {
				breach(ViolationPrivileges, fmt.Errorf("by the secret %s, clients can do what they could not before: "+
					"%q", name, more))
			}
		}
	}
	// The clone may do all that its original may. (The original need not be able to do
	// what a clone could that others had made.)
	now, works := rights[rotator.LabelCurrent]
	if c := census.OfRotation(r.original, current); works && c.Clone != "" && c.Clone == current.Text("username") {
		if lost := census.Without(r.rights[rotator.LabelCurrent], now); lost != nil {
			breach(ViolationPrivileges, fmt.Errorf("by AWSCURRENT, clients cannot do what they could before: %q", lost))
		}
	}
	return errors.Join(found...)
}

// restarted restarts the server, and compares what logs in with what did before.
func (r *trialRun) restarted(ctx context.Context) error {
	if r.Restart == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), trialTime)
	defer cancel()
	stored := map[string]secret.Document{}
	for _, label := range []string{rotator.LabelCurrent, rotator.LabelPending, rotator.LabelPrevious} {
		if d := r.service.ValueAt(label); !d.IsZero() {
			stored[label] = d
		}
	}
	own := r.clients().Admitted(ctx, stored)
	if err := r.Restart(ctx); err != nil {
		return fmt.Errorf("fixture: restart: %w", err)
	}
	if err := errors.Join(r.clients().StillAdmitted(ctx, own), r.clients().StillAdmitted(ctx, r.others)); err != nil {
		return fmt.Errorf("after a restart: %w: %w", ViolationNotSaved, err)
	}
	return nil
}

// may is what the rotations of a trial may have changed.
func (r *trialRun) may(complete bool) census.Change {
	if r.refused {
		return census.Change{}
	}
	first := r.Current
	c := census.Change{Passwords: []string{first.Text("username")}}
	for _, label := range []string{rotator.LabelCurrent, rotator.LabelPending, rotator.LabelPrevious} {
		if d := r.service.ValueAt(label); !d.IsZero() {
			c = c.And(census.OfRotation(first, d))
		}
	}
	for _, s := range r.others {
		if s.Name == first.Text("masterarn") {
			c.Superuser = s.Value.Text("username")
		}
	}
	c.Cut = !complete
	return c
}
