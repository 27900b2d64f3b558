package strategytest

import (
	"context"
	"errors"
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
			return notOffered("SetPasswordKeeping (the engine is no strategies.DualPasswordEngine)")
		}
		if b.DualPasswordUser.User == "" {
			return notOffered("DualPasswordUser")
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
	return with(login, p), wrapf(k.self(ctx, login, p), "SetPasswordKeeping")
}

// self has the account change itself, and bySuperuser the superuser change it.
func (k keeper) self(ctx context.Context, login strategies.Login, p secret.Password) error {
	return k.SetPasswordKeeping(ctx, login, login.User, login.Password, p)
}

func (k keeper) bySuperuser(ctx context.Context, login strategies.Login, p secret.Password) error {
	return k.SetPasswordKeeping(ctx, k.Superuser, login.User, login.Password, p)
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
		keeping("dual/keeps-old", "This is what dual passwords are for: no client is refused by the one or the other.",
			func(ctx context.Context, b *engineEnv, k keeper) error {
				next, err := k.keep(ctx, k.user)
				if err != nil {
					return err
				}
				return steps(
					func() error { return k.both(ctx, k.user, next, "after SetPasswordKeeping") },
					func() error {
						return b.mustReject(ctx, with(k.user, b.password()),
							"after SetPasswordKeeping, with any other password")
					},
				)
			}),
		keeping("dual/retried", "setSecret is retried after it succeeded. To keep the current password then is to "+
			"keep the pending one twice, and to push out the one that clients have.",
			func(ctx context.Context, b *engineEnv, k keeper) error {
				next, err := k.keep(ctx, k.user)
				if err != nil {
					return err
				}
				for _, login := range []strategies.Login{k.user, next, k.user} {
					if err := k.self(ctx, login, next.Password); err != nil {
						return fmt.Errorf("the same SetPasswordKeeping again: %w", err)
					}
					if err := k.both(ctx, k.user, next, "after the same SetPasswordKeeping again"); err != nil {
						return err
					}
				}
				return nil
			}),
		keeping("dual/given-up", "A pending version that was set and then discarded must not cost clients the "+
			"password that the secret holds.", func(ctx context.Context, b *engineEnv, k keeper) error {
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
		keeping("dual/next-rotation", "A password that outlives the next rotation too is one that leaks long after "+
			"it is forgotten.", func(ctx context.Context, b *engineEnv, k keeper) error {
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
		keeping("dual/superuser", "Where an account that changes itself could change every other, a superuser has to "+
			"do it, and clients must not be refused by that either.",
			func(ctx context.Context, b *engineEnv, k keeper) error {
				second, third, stranger := b.password(), b.password(), b.password()
				if err := k.bySuperuser(ctx, k.user, second); errors.Is(err, rotator.KindMisconfigured) {
					return notOffered("dual passwords through a superuser (" + err.Error() + ")")
				} else if err != nil {
					return fmt.Errorf("SetPasswordKeeping by the superuser: %w", err)
				}
				next := with(k.user, second)
				return steps(
					func() error { return k.both(ctx, k.user, next, "after SetPasswordKeeping by the superuser") },
					func() error { return wrapf(k.bySuperuser(ctx, k.user, second), "the same again") },
					func() error { return k.both(ctx, k.user, next, "after the same again") },
					func() error {
						return wrapf(k.bySuperuser(ctx, next, second),
							"the same with keep and p the same")
					},
					func() error { return k.both(ctx, k.user, next, "after the same with keep and p the same") },
					func() error {
						_, err := k.DryRunKeeping(ctx, k.Superuser, next.User, next.Password, throwaway())
						return wrapf(err, "DryRunKeeping by the superuser")
					},
					func() error { return k.both(ctx, k.user, next, "after DryRunKeeping by the superuser") },
					func() error { return wrapf(k.bySuperuser(ctx, next, third), "the next rotation") },
					func() error { return k.both(ctx, next, with(next, third), "after the next rotation") },
					func() error { return b.mustReject(ctx, k.user, "with the password before the last") },
					func() error {
						return wrapf(k.bySuperuser(ctx, with(k.user, stranger), third),
							"SetPasswordKeeping with a keep that does not work (that is no error; keep must not begin "+
								"to work)")
					},
					func() error {
						return b.mustReject(ctx, with(k.user, stranger),
							"with a password that never worked and was to be kept")
					},
				)
			}),
		keeping("dual/concurrent", "A duplicate invocation sets the same pending password at the same time.",
			func(ctx context.Context, b *engineEnv, k keeper) error {
				p := b.password()
				err := together(4, func(int) error { return k.self(ctx, k.user, p) })
				if err != nil {
					return fmt.Errorf("SetPasswordKeeping, four times at once: %w", err)
				}
				return k.both(ctx, k.user, with(k.user, p), "after four at once")
			}),
		keeping("dual/wrong-password", "A client without a valid password must not be able to add one.",
			func(ctx context.Context, b *engineEnv, k keeper) error {
				p := b.password()
				return steps(
					func() error {
						return wantKind("SetPasswordKeeping with a wrong password",
							k.self(ctx, with(k.user, b.password()), p), rotator.KindLoginRejected)
					},
					func() error { return b.mustLogIn(ctx, k.user, "after the refusal") },
					func() error { return b.mustReject(ctx, with(k.user, p), "with the password that was refused") },
				)
			}),
		keeping("dual/rehearsal", "It runs before every rotation: both passwords must go on working.",
			func(ctx context.Context, b *engineEnv, k keeper) error {
				next, err := k.keep(ctx, k.user)
				if err != nil {
					return err
				}
				dryRun := func(login strategies.Login) error {
					_, err := k.DryRunKeeping(ctx, login, login.User, login.Password, throwaway())
					return err
				}
				return steps(
					func() error { return wrapf(dryRun(next), "DryRunKeeping") },
					func() error { return wrapf(dryRun(k.user), "DryRunKeeping with the old password") },
					func() error { return k.both(ctx, k.user, next, "after DryRunKeeping") },
					func() error {
						return wantKind("DryRunKeeping with a wrong password", dryRun(with(k.user, b.password())),
							rotator.KindLoginRejected)
					},
				)
			}),
		keeping("dual/cut-anywhere", "Connections break in the middle of everything, and clients must not notice.",
			func(ctx context.Context, b *engineEnv, k keeper) error {
				if b.Dial == nil {
					return notOffered("Dial")
				}
				keep := change{name: "SetPasswordKeeping", do: func(ctx context.Context, login strategies.Login,
					p secret.Password) error {
					return k.self(ctx, login, p)
				}}
				total, err := b.through(ctx, keep, k.user, b.password(), -1, 0)
				if err != nil {
					return fmt.Errorf("SetPasswordKeeping through a proxy: %w", err)
				}
				const cuts = 10
				for i := range int64(cuts) {
					p := b.password()
					sent, err := b.through(ctx, keep, k.user, p, total*i/cuts, 0)
					what := fmt.Sprintf("SetPasswordKeeping, with the line cut after %d of some %d bytes of the "+
						"answers",
						sent, total)
					if err == nil { // what was lost was a goodbye
						if err := k.both(ctx, k.user, with(k.user, p), what+": no error"); err != nil {
							return err
						}
						continue
					}
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
						return wrapf(k.self(ctx, k.user, p), "SetPasswordKeeping after all that")
					},
					func() error { return k.both(ctx, k.user, with(k.user, p), "after all that") },
				)
			}),
	}
}
