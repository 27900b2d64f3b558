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
	// SetPasswordRetainingCurrent gives login.User, who is logged in, the password p, and
	// login.Password goes on working; any other that worked does so no longer. It may
	// be repeated, and cut off anywhere: login.Password works at every moment.
	SetPasswordRetainingCurrent(ctx context.Context, login Login, p secret.Password) error
	// DryRunRetainingCurrent is to SetPasswordRetainingCurrent what DryRunSetPassword is to SetPassword.
	DryRunRetainingCurrent(ctx context.Context, login Login, p secret.Password) (warnings []Warning, err error)
}

// Propose implements rotator.Strategy.
func (d DualPasswords) Propose(ctx context.Context, r rotator.Rotation) (secret.Document, error) {
	return SingleUser{Engine: d.Engine}.Propose(ctx, r)
}

// Preflight implements rotator.Preflighter: one login.
func (d DualPasswords) Preflight(ctx context.Context, r rotator.Rotation) []rotator.Finding {
	dryRun := func(ctx context.Context, login Login, _ string, p secret.Password) ([]Warning, error) {
		return neverRefused(d.Engine.DryRunRetainingCurrent(ctx, login, p))
	}
	return runUserChecks(ctx, d.Engine, r, dryRun, nil)
}

// Apply implements rotator.Strategy: one login on the common path.
func (d DualPasswords) Apply(ctx context.Context, r rotator.Rotation) error {
	t := d.Engine.Traits()
	current, pending, err := SingleUser{Engine: d.Engine}.parseLogins(t, r)
	if err != nil {
		return err
	}
	change := func(login Login) error { return d.Engine.SetPasswordRetainingCurrent(ctx, login, pending.Password) }
	isManagedUser := func(user string) bool { return user == current.User }
	_, label, err := firstWorking(
		candidate{rotator.LabelCurrent, fixedLogin(current), change},
		candidate{rotator.LabelPending, fixedLogin(pending), func(login Login) error { return d.Engine.Ping(ctx, login) }},
		candidate{rotator.LabelPrevious, previousLogin(ctx, t, r, current, isManagedUser), change},
	)
	switch {
	case err != nil:
		return err
	case label == rotator.LabelPending:
		r.Logf("user %q has the pending password already", current.User)
	default:
		r.Logf("user %q, logged in with %s, now has both passwords", current.User, label)
	}
	return nil
}

// Verify implements rotator.Strategy: one login.
func (d DualPasswords) Verify(ctx context.Context, r rotator.Rotation) error {
	return SingleUser{Engine: d.Engine}.Verify(ctx, r)
}

// LimitsFailedLogins implements rotator.FailedLoginLimiter.
func (d DualPasswords) LimitsFailedLogins() bool { return !d.Engine.Traits().NoFailedLoginLimit }

// ResetStatement implements rotator.PasswordResetter.
func (d DualPasswords) ResetStatement(value secret.Document) string {
	return resetStatement(d.Engine, value)
}
