package strategytest

import (
	"context"
	"fmt"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
)

// keeping makes rules for engines whose accounts keep two passwords, and for others
// rules that say so.
func keeping(name, why string, check func(ctx context.Context, b *engineEnv, k keeper) error) engineRule {
	return engineRule{name, why, func(ctx context.Context, b *engineEnv) error {
		e, ok := b.Engine.(strategies.DualPasswordEngine)
		if !ok {
			return notOffered("SetPasswordRetainingCurrent (the engine is no strategies.DualPasswordEngine)")
		}
		if b.DualPasswordUser.User == "" {
			return notOffered("KeepsTwo")
		}
		return check(ctx, b, keeper{e, b, b.DualPasswordUser})
	}}
}

// keeper is what a case for dual passwords works with.
type keeper struct {
	strategies.DualPasswordEngine
	*engineEnv
	user strategies.Login
}

// keep gives the account another password beside the one it logs in with.
func (k keeper) keep(ctx context.Context, login strategies.Login) (strategies.Login, error) {
	p := k.password()
	return with(login, p), wrapf(k.SetPasswordRetainingCurrent(ctx, login, p), "SetPasswordRetainingCurrent")
}

// both says whether two passwords of an account work.
func (k keeper) both(ctx context.Context, stored, pending strategies.Login, when string) error {
	return steps(
		func() error { return k.mustLogIn(ctx, stored, when+", with the password that the secret holds") },
		func() error { return k.mustLogIn(ctx, pending, when+", with the new password") },
	)
}

func dualRules() []engineRule {
	return []engineRule{
		keeping("dual/keeps-old", "This is what dual passwords are for: no client is refused by the one or the other.", func(ctx context.Context, b *engineEnv, k keeper) error {
			next, err := k.keep(ctx, k.user)
			if err != nil {
				return err
			}
			return steps(
				func() error { return k.both(ctx, k.user, next, "after SetPasswordRetainingCurrent") },
				func() error {
					return b.mustReject(ctx, with(k.user, b.password()), "after SetPasswordRetainingCurrent, with any other password")
				},
			)
		}),
		keeping("dual/retried", "setSecret is retried after it succeeded. To keep the current password then is to keep the pending one twice, and to push out the one that clients have.", func(ctx context.Context, b *engineEnv, k keeper) error {
			next, err := k.keep(ctx, k.user)
			if err != nil {
				return err
			}
			for _, login := range []strategies.Login{k.user, next, k.user} {
				if err := k.SetPasswordRetainingCurrent(ctx, login, next.Password); err != nil {
					return fmt.Errorf("the same SetPasswordRetainingCurrent again: %w", err)
				}
				if err := k.both(ctx, k.user, next, "after the same SetPasswordRetainingCurrent again"); err != nil {
					return err
				}
			}
			return nil
		}),
		keeping("dual/given-up", "A pending version that was set and then discarded must not cost clients the password that the secret holds.", func(ctx context.Context, b *engineEnv, k keeper) error {
			lost, err := k.keep(ctx, k.user)
			if err != nil {
				return err
			}
			next, err := k.keep(ctx, k.user)
			if err != nil {
				return err
			}
			return steps(
				func() error { return k.both(ctx, k.user, next, "after a pending password was given up") },
				func() error { return b.mustReject(ctx, lost, "with the password that was given up") },
			)
		}),
		keeping("dual/next-rotation", "A password that outlives the next rotation too is one that leaks long after anybody thinks of it.", func(ctx context.Context, b *engineEnv, k keeper) error {
			second, err := k.keep(ctx, k.user)
			if err != nil {
				return err
			}
			third, err := k.keep(ctx, second)
			if err != nil {
				return err
			}
			return steps(
				func() error { return k.both(ctx, second, third, "after the next rotation") },
				func() error { return b.mustReject(ctx, k.user, "with the password before the last") },
			)
		}),
		keeping("dual/concurrent", "A duplicate invocation sets the same pending password at the same time.", func(ctx context.Context, b *engineEnv, k keeper) error {
			p := b.password()
			err := together(4, func(int) error { return k.SetPasswordRetainingCurrent(ctx, k.user, p) })
			if err != nil {
				return fmt.Errorf("SetPasswordRetainingCurrent, four times at once: %w", err)
			}
			return k.both(ctx, k.user, with(k.user, p), "after four at once")
		}),
		keeping("dual/wrong-password", "Whoever does not know a valid password must not be able to add one.", func(ctx context.Context, b *engineEnv, k keeper) error {
			p := b.password()
			return steps(
				func() error {
					return wantKind("SetPasswordRetainingCurrent with a wrong password", k.SetPasswordRetainingCurrent(ctx, with(k.user, b.password()), p), rotator.KindLoginRejected)
				},
				func() error { return b.mustLogIn(ctx, k.user, "after the refusal") },
				func() error { return b.mustReject(ctx, with(k.user, p), "with the password that was refused") },
			)
		}),
		keeping("dual/rehearsal", "It runs before every rotation: both passwords must go on working.", func(ctx context.Context, b *engineEnv, k keeper) error {
			next, err := k.keep(ctx, k.user)
			if err != nil {
				return err
			}
			dryRun := func(login strategies.Login) error {
				_, err := k.DryRunRetainingCurrent(ctx, login, throwaway())
				return err
			}
			return steps(
				func() error { return wrapf(dryRun(next), "DryRunRetainingCurrent") },
				func() error { return wrapf(dryRun(k.user), "DryRunRetainingCurrent with the old password") },
				func() error { return k.both(ctx, k.user, next, "after DryRunRetainingCurrent") },
				func() error {
					return wantKind("DryRunRetainingCurrent with a wrong password", dryRun(with(k.user, b.password())), rotator.KindLoginRejected)
				},
			)
		}),
		keeping("dual/cut-anywhere", "Connections break in the middle of everything, and clients must not notice.", func(ctx context.Context, b *engineEnv, k keeper) error {
			if b.Dial == nil {
				return notOffered("Dial")
			}
			keep := change{name: "SetPasswordRetainingCurrent", do: func(ctx context.Context, login strategies.Login, p secret.Password) error {
				return k.SetPasswordRetainingCurrent(ctx, login, p)
			}}
			total, err := b.through(ctx, keep, k.user, b.password(), -1, true)
			if err != nil {
				return fmt.Errorf("SetPasswordRetainingCurrent through a proxy: %w", err)
			}
			const cuts = 10
			for i := range int64(cuts) {
				p := b.password()
				sent, err := b.through(ctx, keep, k.user, p, total*i/cuts, true)
				what := fmt.Sprintf("SetPasswordRetainingCurrent, with the line cut after %d of some %d bytes of the answers", sent, total)
				if err := wantFailure(what, err); err != nil {
					return err
				}
				if err := b.mustLogIn(ctx, k.user, what); err != nil {
					return err
				}
			}
			p := b.password()
			return steps(
				func() error {
					return wrapf(k.SetPasswordRetainingCurrent(ctx, k.user, p), "SetPasswordRetainingCurrent after all that")
				},
				func() error { return k.both(ctx, k.user, with(k.user, p), "after all that") },
			)
		}),
	}
}
