package strategies

import (
	"context"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
)

// DualPasswords is single user rotation without the gap: the account takes its new
// password and goes on taking the one that the secret holds until the next rotation.
// At every moment AWSCURRENT lets clients in, and so does AWSPREVIOUS for as long:
// where an old password has to end at once, use SingleUser once, as a superuser.
//
// The account changes itself, for that tells the engine which of the two passwords
// the secret holds.
type DualPasswords struct {
	Engine DualPasswordEngine
}

// DualPasswordEngine is an Engine on whose accounts two passwords can work at a time.
type DualPasswordEngine interface {
	Engine
	// SetPasswordKeepingOld gives as.User, who is logged in, the password p, and
	// as.Password goes on working; any other that worked does so no longer. It may
	// be repeated, and cut off anywhere: as.Password works at every moment.
	SetPasswordKeepingOld(ctx context.Context, as Login, p secret.Password) error
	// RehearseKeepingOld is to SetPasswordKeepingOld what Rehearse is to SetPassword.
	RehearseKeepingOld(ctx context.Context, as Login, p secret.Password) (warnings []Warning, err error)
}

// Next implements rotator.Strategy.
func (d DualPasswords) Next(ctx context.Context, r rotator.Rotation) (secret.Document, error) {
	return SingleUser{Engine: d.Engine}.Next(ctx, r)
}

// Preflight implements rotator.Preflighter: one login.
func (d DualPasswords) Preflight(ctx context.Context, r rotator.Rotation) []rotator.Finding {
	rehearse := func(ctx context.Context, as Login, _ string, p secret.Password) ([]Warning, error) {
		return d.Engine.RehearseKeepingOld(ctx, as, p)
	}
	return inspectUser(ctx, d.Engine, r, rehearse, nil)
}

// Apply implements rotator.Strategy: one login on the common path.
func (d DualPasswords) Apply(ctx context.Context, r rotator.Rotation) error {
	t := d.Engine.Traits()
	current, pending, err := SingleUser{Engine: d.Engine}.logins(t, r)
	if err != nil {
		return err
	}
	change := func(as Login) error { return d.Engine.SetPasswordKeepingOld(ctx, as, pending.Password) }
	ours := func(user string) bool { return user == current.User }
	_, label, err := firstAccepted(
		candidate{rotator.LabelCurrent, always(current), change},
		candidate{rotator.LabelPending, always(pending), func(as Login) error { return d.Engine.Ping(ctx, as) }},
		candidate{rotator.LabelPrevious, previous(ctx, t, r, current, ours), change},
	)
	switch {
	case err != nil:
		return err
	case label == rotator.LabelPending:
		r.Note("user %q has the pending password already", current.User)
	default:
		r.Note("user %q, logged in with %s, has the pending password beside that one", current.User, label)
	}
	return nil
}

// Verify implements rotator.Strategy: one login.
func (d DualPasswords) Verify(ctx context.Context, r rotator.Rotation) error {
	return SingleUser{Engine: d.Engine}.Verify(ctx, r)
}
