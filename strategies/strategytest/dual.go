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
func keeping(name, why string, check func(ctx context.Context, b *bench, k keeper) error) engineRule {
	return engineRule{name, why, func(ctx context.Context, b *bench) error {
		e, ok := b.Engine.(strategies.DualPasswordEngine)
		if !ok {
			return notOffered("SetPasswordKeepingOld (the engine is no strategies.DualPasswordEngine)")
		}
		if b.KeepsTwo.User == "" {
			return notOffered("KeepsTwo")
		}
		return check(ctx, b, keeper{e, b, b.KeepsTwo})
	}}
}

// keeper is what a case for dual passwords works with.
type keeper struct {
	strategies.DualPasswordEngine
	*bench
	user strategies.Login
}

// keep gives the account another password beside the one it logs in with.
func (k keeper) keep(ctx context.Context, as strategies.Login) (strategies.Login, error) {
	p := k.password()
	return with(as, p), wrapf(k.SetPasswordKeepingOld(ctx, as, p), "SetPasswordKeepingOld")
}

// both says whether two passwords of an account work.
func (k keeper) both(ctx context.Context, stored, pending strategies.Login, when string) error {
	return steps(
		func() error { return k.works(ctx, stored, when+", with the password that the secret holds") },
		func() error { return k.works(ctx, pending, when+", with the new password") },
	)
}

func dualRules() []engineRule {
	return []engineRule{
		keeping("dual/keeps-old", "This is what dual passwords are for: no client is refused by the one or the other.", func(ctx context.Context, b *bench, k keeper) error {
			next, err := k.keep(ctx, k.user)
			if err != nil {
				return err
			}
			return steps(
				func() error { return k.both(ctx, k.user, next, "after SetPasswordKeepingOld") },
				func() error {
					return b.refuses(ctx, with(k.user, b.password()), "after SetPasswordKeepingOld, with any other password")
				},
			)
		}),
		keeping("dual/retried", "setSecret is retried after it succeeded. To keep the current password then is to keep the pending one twice, and to push out the one that clients have.", func(ctx context.Context, b *bench, k keeper) error {
			next, err := k.keep(ctx, k.user)
			if err != nil {
				return err
			}
			for _, as := range []strategies.Login{k.user, next, k.user} {
				if err := k.SetPasswordKeepingOld(ctx, as, next.Password); err != nil {
					return fmt.Errorf("the same SetPasswordKeepingOld again: %w", err)
				}
				if err := k.both(ctx, k.user, next, "after the same SetPasswordKeepingOld again"); err != nil {
					return err
				}
			}
			return nil
		}),
		keeping("dual/given-up", "A pending version that was set and then discarded must not cost clients the password that the secret holds.", func(ctx context.Context, b *bench, k keeper) error {
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
				func() error { return b.refuses(ctx, lost, "with the password that was given up") },
			)
		}),
		keeping("dual/next-rotation", "A password that outlives the next rotation too is one that leaks long after anybody thinks of it.", func(ctx context.Context, b *bench, k keeper) error {
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
				func() error { return b.refuses(ctx, k.user, "with the password before the last") },
			)
		}),
		keeping("dual/concurrent", "A duplicate invocation sets the same pending password at the same time.", func(ctx context.Context, b *bench, k keeper) error {
			p := b.password()
			err := together(4, func(int) error { return k.SetPasswordKeepingOld(ctx, k.user, p) })
			if err != nil {
				return fmt.Errorf("SetPasswordKeepingOld, four times at once: %w", err)
			}
			return k.both(ctx, k.user, with(k.user, p), "after four at once")
		}),
		keeping("dual/wrong-password", "Whoever does not know a valid password must not be able to add one.", func(ctx context.Context, b *bench, k keeper) error {
			p := b.password()
			return steps(
				func() error {
					return wantKind("SetPasswordKeepingOld with a wrong password", k.SetPasswordKeepingOld(ctx, with(k.user, b.password()), p), rotator.LoginRejected)
				},
				func() error { return b.works(ctx, k.user, "after the refusal") },
				func() error { return b.refuses(ctx, with(k.user, p), "with the password that was refused") },
			)
		}),
		keeping("dual/rehearsal", "It runs before every rotation: both passwords must go on working.", func(ctx context.Context, b *bench, k keeper) error {
			next, err := k.keep(ctx, k.user)
			if err != nil {
				return err
			}
			rehearse := func(as strategies.Login) error {
				_, err := k.RehearseKeepingOld(ctx, as, throwaway())
				return err
			}
			return steps(
				func() error { return wrapf(rehearse(next), "RehearseKeepingOld") },
				func() error { return wrapf(rehearse(k.user), "RehearseKeepingOld with the old password") },
				func() error { return k.both(ctx, k.user, next, "after RehearseKeepingOld") },
				func() error {
					return wantKind("RehearseKeepingOld with a wrong password", rehearse(with(k.user, b.password())), rotator.LoginRejected)
				},
			)
		}),
		keeping("dual/cut-anywhere", "Connections break in the middle of everything, and clients must not notice.", func(ctx context.Context, b *bench, k keeper) error {
			if b.Dial == nil {
				return notOffered("Dial")
			}
			keep := change{name: "SetPasswordKeepingOld", do: func(ctx context.Context, as strategies.Login, p secret.Password) error {
				return k.SetPasswordKeepingOld(ctx, as, p)
			}}
			total, err := b.through(ctx, keep, k.user, b.password(), -1, true)
			if err != nil {
				return fmt.Errorf("SetPasswordKeepingOld through a proxy: %w", err)
			}
			const cuts = 10
			for i := range int64(cuts) {
				p := b.password()
				sent, err := b.through(ctx, keep, k.user, p, total*i/cuts, true)
				what := fmt.Sprintf("SetPasswordKeepingOld, with the line cut after %d of some %d bytes of the answers", sent, total)
				if err := wantFailure(what, err); err != nil {
					return err
				}
				if err := b.works(ctx, k.user, what); err != nil {
					return err
				}
			}
			p := b.password()
			return steps(
				func() error {
					return wrapf(k.SetPasswordKeepingOld(ctx, k.user, p), "SetPasswordKeepingOld after all that")
				},
				func() error { return k.both(ctx, k.user, with(k.user, p), "after all that") },
			)
		}),
	}
}
