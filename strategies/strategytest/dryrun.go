package strategytest

import (
	"context"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/strategies"
)

// dryRunRules hold DryRunSetPassword and DryRunEnsureClone to what a preflight relies on:
// they say what the real thing would, and leave no trace.
func dryRunRules() []engineRule {
	return []engineRule{
		{"rehearse/self", "It runs before every rotation: clients must not notice.",
			func(ctx context.Context, b *engineEnv) error {
				return steps(
					func() error { return wrapf(b.dryRun(ctx, b.User, b.User.User), "DryRunSetPassword") },
					func() error { return b.mustLogIn(ctx, b.User, "after DryRunSetPassword") },
				)
			}},
		{"rehearse/superuser", "A superuser's rehearsal must not touch the account either.",
			func(ctx context.Context, b *engineEnv) error {
				return steps(
					func() error { return wrapf(b.dryRun(ctx, b.Superuser, b.User.User), "DryRunSetPassword") },
					func() error { return b.mustLogIn(ctx, b.User, "after a superuser's DryRunSetPassword") },
					func() error { return b.mustLogIn(ctx, b.Superuser, "after its DryRunSetPassword") },
				)
			}},
		{"rehearse/wrong-password", "A preflight that does not see a stale AWSCURRENT sees nothing.",
			func(ctx context.Context, b *engineEnv) error {
				err := b.dryRun(ctx, with(b.User, b.password()), b.User.User)
				return wantKind("DryRunSetPassword with a wrong password", err, rotator.KindLoginRejected)
			}},
		{"rehearse/no-privilege", "What would stop the change has to stop the rehearsal, or the preflight is green " +
			"and the rotation fails.", func(ctx context.Context, b *engineEnv) error {
			other, err := b.newUnprivileged(ctx, "other_"+unique())
			if err != nil {
				return err
			}
			return wantKind("DryRunSetPassword for another account by an ordinary one",
				b.dryRun(ctx, other, b.User.User), rotator.KindPrivilege)
		}},
		cloning("rehearse/clone", "The preflight of alternating users must not make, change or open an account.",
			func(ctx context.Context, b *engineEnv, c cloner) error {
				return steps(
					func() error { return wrapf(dryRunClone(ctx, c, b.Superuser, c.pair), "DryRunEnsureClone") },
					func() error { return b.mustLogIn(ctx, b.User, "after DryRunEnsureClone") },
					func() error {
						return wantFailure("SetPassword of a clone that was only rehearsed",
							b.Engine.SetPassword(ctx, b.Superuser, c.pair.Clone, b.password()))
					},
				)
			}),
		cloning("rehearse/clone-no-privilege", "A superuser secret that names no superuser is what a preflight is for.",
			func(ctx context.Context, b *engineEnv, c cloner) error {
				other, err := b.newUnprivileged(ctx, "other_"+unique())
				if err != nil {
					return err
				}
				return wantKind("DryRunEnsureClone by an ordinary account", dryRunClone(ctx, c, other, c.pair),
					rotator.KindPrivilege)
			}),
	}
}

// dryRun leaves the caveats aside: what they say is the engine's affair.
func (b *engineEnv) dryRun(ctx context.Context, login strategies.Login, user string) error {
	_, err := b.Engine.DryRunSetPassword(ctx, login, user, throwaway())
	return err
}

func dryRunClone(ctx context.Context, e strategies.CloningEngine, login strategies.Login, pair strategies.Pair) error {
	_, err := e.DryRunEnsureClone(ctx, login, pair, throwaway())
	return err
}
