package strategytest

import (
	"context"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/strategies"
)

// rehearsalRules hold Rehearse and RehearseClone to what a preflight relies on:
// they say what the real thing would, and leave no trace.
func rehearsalRules() []engineRule {
	return []engineRule{
		{"rehearse/self", "It runs before every rotation: clients must not notice.", func(ctx context.Context, b *bench) error {
			return steps(
				func() error { return wrapf(b.rehearse(ctx, b.User, b.User.User), "Rehearse") },
				func() error { return b.works(ctx, b.User, "after Rehearse") },
			)
		}},
		{"rehearse/superuser", "A superuser's rehearsal must not touch the account either.", func(ctx context.Context, b *bench) error {
			return steps(
				func() error { return wrapf(b.rehearse(ctx, b.Superuser, b.User.User), "Rehearse") },
				func() error { return b.works(ctx, b.User, "after a superuser's Rehearse") },
				func() error { return b.works(ctx, b.Superuser, "after its Rehearse") },
			)
		}},
		{"rehearse/wrong-password", "A preflight that does not see a stale AWSCURRENT sees nothing.", func(ctx context.Context, b *bench) error {
			err := b.rehearse(ctx, with(b.User, b.password()), b.User.User)
			return wantKind("Rehearse with a wrong password", err, rotator.LoginRejected)
		}},
		{"rehearse/no-privilege", "What would stop the change has to stop the rehearsal, or the preflight is green and the rotation fails.", func(ctx context.Context, b *bench) error {
			other, err := b.newUser(ctx, "other_"+unique())
			if err != nil {
				return err
			}
			return wantKind("Rehearse for another account by an ordinary one", b.rehearse(ctx, other, b.User.User), rotator.Privilege)
		}},
		cloning("rehearse/clone", "The preflight of alternating users must not make, change or open an account.", func(ctx context.Context, b *bench, c cloner) error {
			return steps(
				func() error { return wrapf(rehearseClone(ctx, c, b.Superuser, c.pair), "RehearseClone") },
				func() error { return b.works(ctx, b.User, "after RehearseClone") },
				func() error {
					return wantFailure("SetPassword of a clone that was only rehearsed", b.Engine.SetPassword(ctx, b.Superuser, c.pair.Clone, b.password()))
				},
			)
		}),
		cloning("rehearse/clone-no-privilege", "A superuser's secret that names no superuser is what a preflight is for.", func(ctx context.Context, b *bench, c cloner) error {
			other, err := b.newUser(ctx, "other_"+unique())
			if err != nil {
				return err
			}
			return wantKind("RehearseClone by an ordinary account", rehearseClone(ctx, c, other, c.pair), rotator.Privilege)
		}),
	}
}

// rehearse leaves the caveats aside: what they say is the engine's affair.
func (b *bench) rehearse(ctx context.Context, as strategies.Login, user string) error {
	_, err := b.Engine.Rehearse(ctx, as, user, throwaway())
	return err
}

func rehearseClone(ctx context.Context, e strategies.CloningEngine, as strategies.Login, pair strategies.Pair) error {
	_, err := e.RehearseClone(ctx, as, pair, throwaway())
	return err
}
