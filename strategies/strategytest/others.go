package strategytest

import (
	"context"
	"errors"
	"fmt"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest/census"
)

// othersRules are about accounts that a call was not asked to change. The censuses
// around each call find what differs; these cases see to it that there are accounts
// with similar names, and calls of each kind.
func othersRules() []engineRule {
	return []engineRule{
		{"others/set", "A rotation that changes what another account is, has or may do is an attack, or an outage of " +
			"another application.", func(ctx context.Context, b *engineEnv) error {
			all, err := b.bystanders(ctx, b.User.User)
			if err != nil {
				return err
			}
			p, q := b.password(), b.password()
			return steps(
				func() error { return wrapf(b.Engine.SetPassword(ctx, b.User, b.User.User, p), "SetPassword") },
				func() error {
					return wrapf(b.Engine.SetPassword(ctx, b.Superuser, b.User.User, q), "SetPassword by the superuser")
				},
				func() error { return b.allWork(ctx, all, "after another account was changed") },
			)
		}},
		{"others/rehearsal", "It runs before every rotation, also before those that are refused.",
			func(ctx context.Context, b *engineEnv) error {
				all, err := b.bystanders(ctx, b.User.User)
				if err != nil {
					return err
				}
				return steps(
					func() error { return wrapf(b.dryRun(ctx, b.User, b.User.User), "DryRunSetPassword") },
					func() error {
						return wrapf(b.dryRun(ctx, b.Superuser, b.User.User), "DryRunSetPassword by the superuser")
					},
					func() error {
						e, ok := b.Engine.(strategies.CloningEngine)
						if !ok {
							return nil
						}
						return wrapf(dryRunClone(ctx, e, b.Superuser, b.pair(b.User.User)), "DryRunEnsureClone")
					},
					func() error { return b.allWork(ctx, all, "after another account was rehearsed") },
				)
			}},
		cloning("others/clone", "A clone may do what its original may and no more, and no third account may have "+
			"more or less than before.", func(ctx context.Context, b *engineEnv, c cloner) error {
			all, err := b.bystanders(ctx, c.pair.Clone)
			if err != nil {
				return err
			}
			if _, err := c.ensure(ctx); err != nil {
				return err
			}
			if b.SetAttribute != nil { // what the original has now, the clone may get
				if err := b.SetAttribute(ctx, c.pair.Original); err != nil {
					return fmt.Errorf("fixture: mark: %w", err)
				}
			}
			if _, err := c.ensure(ctx); err != nil {
				return err
			}
			return steps(
				func() error {
					return wrapf(c.EnsureClone(ctx, b.Superuser, back(c.pair), b.password()),
						"EnsureClone on the original's turn")
				},
				func() error { return b.allWork(ctx, all, "after an account was cloned") },
			)
		}),
		{"hosts/set", "Where a name stands for several accounts, one for clients of each host, a change of some " +
			"locks the clients of the others out.", func(ctx context.Context, b *engineEnv) error {
			if b.Hosted.User == "" || b.LogInFrom == nil {
				return notOffered("Hosted, Hosts and LogInFrom")
			}
			p := b.password()
			return steps(
				func() error { return b.fromEveryHost(ctx, b.Hosted, "before anything was set") },
				func() error {
					return wrapf(b.Engine.SetPassword(ctx, b.Superuser, b.Hosted.User, p),
						"SetPassword by the superuser")
				},
				func() error { return b.fromEveryHost(ctx, with(b.Hosted, p), "with the new password") },
			)
		}},
		cloning("hosts/clone", "Clients of every host go on with the clone after the next rotation, and come back to "+
			"the original after the one that follows.", func(ctx context.Context, b *engineEnv, c cloner) error {
			if b.Hosted.User == "" || b.LogInFrom == nil {
				return notOffered("Hosted, Hosts and LogInFrom")
			}
			pair, p, q := b.pair(b.Hosted.User), b.password(), b.password()
			clone := account(b.Hosted, pair.Clone, p)
			return steps(
				func() error { return wrapf(c.EnsureClone(ctx, b.Superuser, pair, p), "EnsureClone") },
				func() error { return b.fromEveryHost(ctx, clone, "as the clone") },
				func() error { return b.fromEveryHost(ctx, b.Hosted, "as the original, which is in use,") },
				func() error {
					return wrapf(c.EnsureClone(ctx, b.Superuser, back(pair), q), "EnsureClone on the original's turn")
				},
				func() error { return b.fromEveryHost(ctx, with(b.Hosted, q), "as the original") },
				func() error { return b.fromEveryHost(ctx, clone, "as the clone, which is in use,") },
			)
		}),
	}
}

// bystanders makes accounts whose names are much like one that is to be changed.
func (b *engineEnv) bystanders(ctx context.Context, name string) ([]strategies.Login, error) {
	if b.watcher == nil {
		return nil, errNoCensus
	}
	all := []strategies.Login{b.Superuser}
	for _, like := range []string{name + "_2", "x" + name, name + "%"} {
		if limit := b.Engine.Traits().MaxUserBytes; limit > 0 && len(like) > limit {
			continue
		}
		login, err := b.newUser(ctx, like)
		switch {
		case errors.Is(err, ErrNotOffered):
			continue
		case err != nil:
			return nil, err
		}
		all = append(all, login)
	}
	return all, nil
}

func (b *engineEnv) allWork(ctx context.Context, all []strategies.Login, when string) error {
	for _, login := range all {
		if err := b.mustLogIn(ctx, login, when); err != nil {
			return err
		}
	}
	return nil
}

func (b *engineEnv) fromEveryHost(ctx context.Context, login strategies.Login, when string) error {
	for _, host := range b.Hosts {
		if err := b.LogInFrom(ctx, host, login); err != nil {
			return fmt.Errorf("%s, user %q must be able to log in from %s: %w", when, login.User, host, err)
		}
	}
	return nil
}

// bystanderRules are about what a strategy does beside its work.
func bystanderRules() []strategyRule {
	// rotate rotates twice, there and back where users alternate.
	rotate := func(ctx context.Context, w *caseEnv, look func(current, pending secret.Document) error) error {
		current := w.Current
		for range 2 {
			pending, err := w.next(ctx, current)
			if err != nil {
				return err
			}
			err = steps(
				func() error { return wrapf(w.apply(ctx, current, pending), "Apply") },
				func() error { return wrapf(w.verify(ctx, pending), "Verify") },
				func() error { return look(current, pending) },
			)
			if err != nil {
				return err
			}
			w.previous, current = current, pending
		}
		return nil
	}
	return []strategyRule{
		{"others/untouched", "A rotation that changes what another account is, has or may do is an attack, or an " +
			"outage of another application.", func(ctx context.Context, w *caseEnv) error {
			if w.watcher == nil {
				return errNoCensus
			}
			return rotate(ctx, w, func(_, _ secret.Document) error { return nil })
		}},
		{"others/secrets", "Who holds another secret of the same server has nothing to do with this rotation, and " +
			"must be able to log in after it.", func(ctx context.Context, w *caseEnv) error {
			if len(w.Others) == 0 {
				return notOffered("Others")
			}
			for name, d := range w.Others {
				if err := w.mustLogIn(ctx, d, "before the rotation, the secret "+name); err != nil {
					return fmt.Errorf("fixture: %w", err)
				}
			}
			return rotate(ctx, w, func(_, _ secret.Document) error { return nil })
		}},
		{"holder/gains-nothing", "Who may write a secret must not have a superuser hand out an account that may " +
			"do more.", func(ctx context.Context, w *caseEnv) error {
			if w.Rights == nil {
				return notOffered("Rights")
			}
			held, err := w.Rights(ctx, w.Current)
			if err != nil {
				return fmt.Errorf("fixture: rights: %w", err)
			}
			return rotate(ctx, w, func(_, pending secret.Document) error {
				now, err := w.Rights(ctx, pending)
				if err != nil {
					return fmt.Errorf("fixture: rights: %w", err)
				}
				return census.SameRights(held, now, true)
			})
		}},
		{"hosts/every", "Clients of the name on every host read the same secret.",
			func(ctx context.Context, w *caseEnv) error {
				if w.Hosts == nil {
					return notOffered("Hosts and LogInFrom")
				}
				return rotate(ctx, w, func(_, pending secret.Document) error {
					return w.mustLogIn(ctx, pending, "the new value")
				})
			}},
		{"others/refused", "A rotation that cannot be is one that leaves everything as it was.",
			func(ctx context.Context, w *caseEnv) error {
				if w.watcher == nil {
					return errNoCensus
				}
				current := w.wrong(w.Current)
				pending, err := w.next(ctx, current)
				if err != nil {
					return err
				}
				before := w.watcher.census(ctx)
				return steps(
					func() error {
						return wantKind("Apply with a current password that is not valid",
							w.apply(ctx, current, pending),
							rotator.KindLoginRejected)
					},
					func() error {
						return wrapf(census.Change{}.Check(before, w.watcher.census(ctx)),
							"after a refusal")
					},
				)
			}},
	}
}
