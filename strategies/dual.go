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
// The account changes itself, or a superuser changes it where changing oneself takes the
// power over all accounts: then a login by the secret comes first, and its password is
// the one that is kept.
type DualPasswords struct {
	Engine DualPasswordEngine
	// ThroughSuperuser sets the password as the superuser whose secret masterarn names.
	ThroughSuperuser bool
	// SuperuserSecretARN is the ARN of that secret for secrets without masterarn.
	SuperuserSecretARN string
}

// DualPasswordEngine is an Engine on whose accounts two passwords can work at a time.
type DualPasswordEngine interface {
	Engine
	// SetPasswordKeeping gives user the password p, and keep, which works, goes on
	// working; any other that worked does so no longer. user is login.User for a
	// self-change, and keep login.Password then; otherwise login is a superuser's, and
	// an engine that needs the account itself is KindMisconfigured. A keep that does not
	// work is no error, and does not begin to work. Where keep is p, no password changes, what
	// works beside it works on, and all of it is saved: the Persist of two passwords. It may be repeated, and cut off
	// anywhere: keep works at every
	// moment. nil means what it means for SetPassword.
	SetPasswordKeeping(ctx context.Context, login Login, user string, keep, p secret.Password) error
	// DryRunKeeping is to SetPasswordKeeping what DryRunSetPassword is to SetPassword.
	DryRunKeeping(ctx context.Context, login Login, user string, keep,
		p secret.Password) (warnings []Warning, err error)
}

// single is the same rotation with one password.
func (d DualPasswords) single() SingleUser {
	return SingleUser{Engine: d.Engine, ThroughSuperuser: d.ThroughSuperuser, SuperuserSecretARN: d.SuperuserSecretARN}
}

// Propose implements rotator.Strategy.
func (d DualPasswords) Propose(ctx context.Context, r rotator.Rotation) (secret.Document, error) {
	return d.single().Propose(ctx, r)
}

// Preflight implements rotator.Preflighter: one login, two through a superuser.
func (d DualPasswords) Preflight(ctx context.Context, r rotator.Rotation) []rotator.Finding {
	return d.single().preflight(ctx, r, "", func(login Login, user string, keep, p secret.Password) ([]Warning, error) {
		return neverRefused(d.Engine.DryRunKeeping(ctx, login, user, keep, p))
	})
}

// Apply implements rotator.Strategy: one login on the common path, two through a superuser.
func (d DualPasswords) Apply(ctx context.Context, r rotator.Rotation) error {
	set := func(login Login, user string, keep, p secret.Password) error {
		return d.Engine.SetPasswordKeeping(ctx, login, user, keep, p)
	}
	return d.single().apply(ctx, r, "now has both passwords", set, func(_ Persister, login Login, user string,
		p secret.Password) error {
		return set(login, user, p, p)
	})
}

// Verify implements rotator.Strategy: one login.
func (d DualPasswords) Verify(ctx context.Context, r rotator.Rotation) error {
	return d.single().Verify(ctx, r)
}

// LimitsFailedLogins implements rotator.FailedLoginLimiter.
func (d DualPasswords) LimitsFailedLogins(secret.Document) bool {
	return !d.Engine.Traits().NoFailedLoginLimit
}

// ResetStatement implements rotator.PasswordResetter.
func (d DualPasswords) ResetStatement(value secret.Document) string {
	return resetStatement(d.Engine, value)
}

// Runners implements rotator.RunnerNamer.
func (d DualPasswords) Runners(value secret.Document) rotator.Runners {
	return d.single().Runners(value)
}

// NotInDryRun implements rotator.PartialDryRun.
func (d DualPasswords) NotInDryRun(ctx context.Context, r rotator.Rotation) (untold string, err error) {
	return d.single().NotInDryRun(ctx, r)
}

// TestUse implements rotator.UseTester.
func (d DualPasswords) TestUse(ctx context.Context, r rotator.Rotation) (remark rotator.Sentence,
	err error) {
	return d.single().testUse(ctx, r)
}
