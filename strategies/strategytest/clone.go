package strategytest

import (
	"context"
	"errors"
	"fmt"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
)

// pair is an account and its clone, whose turn is next.
func (b *engineEnv) pair(original string) strategies.Pair {
	clone := original + b.Engine.Traits().CloneSuffix
	return strategies.Pair{Original: original, Clone: clone, Target: clone, Possession: possessed}
}

// possessed stands for a secret that holds a password of the account.
func possessed(context.Context, func(secret.Password) bool) error { return nil }

// stranger is the pair when nothing proves that its accounts belong to each other.
func stranger(p strategies.Pair) strategies.Pair {
	p.Possession = nil
	return p
}

// back is the same pair when the clone is in use.
func back(p strategies.Pair) strategies.Pair {
	p.Target = p.Original
	return p
}

// cloning makes rules for engines that clone, and for others rules that say so.
func cloning(name, why string, check func(ctx context.Context, b *engineEnv, c cloner) error) engineRule {
	return engineRule{name, why, func(ctx context.Context, b *engineEnv) error {
		e, ok := b.Engine.(strategies.CloningEngine)
		if !ok {
			return notOffered("EnsureClone (the engine is no strategies.CloningEngine)")
		}
		pair := b.pair(b.User.User)
		return check(ctx, b, cloner{e, b, pair, account(b.User, pair.Clone, secret.Password{})})
	}}
}

// cloner is what a case for cloning works with.
type cloner struct {
	strategies.CloningEngine
	*engineEnv
	pair  strategies.Pair // of User and its clone, the clone's turn
	clone strategies.Login
}

// ensure makes the clone, or aligns it, and says how to log in.
func (c cloner) ensure(ctx context.Context) (strategies.Login, error) {
	p := c.password()
	err := c.EnsureClone(ctx, c.Superuser, c.pair, p)
	return with(c.clone, p), wrapf(err, "EnsureClone")
}

// refused calls EnsureClone where it must fail, and must not make an account.
func (c cloner) refused(ctx context.Context, what string, login strategies.Login, pair strategies.Pair,
	kinds ...rotator.Kind) error {
	p := c.password()
	err := c.EnsureClone(ctx, login, pair, p)
	if err := wantFailure("EnsureClone "+what, err); err != nil {
		return err
	}
	if len(kinds) > 0 {
		if err := wantKind("EnsureClone "+what, err, kinds...); err != nil {
			return err
		}
	}
	for _, user := range []string{pair.Original, pair.Clone} {
		if err := c.mustReject(ctx, account(c.User, user, p), "after EnsureClone "+what); err != nil {
			return err
		}
	}
	return c.mustLogIn(ctx, c.User, "after EnsureClone "+what)
}

func cloneRules() []engineRule {
	return []engineRule{
		cloning("clone/creates", "The first rotation makes the second account of the pair.",
			func(ctx context.Context, b *engineEnv, c cloner) error {
				clone, err := c.ensure(ctx)
				if err != nil {
					return err
				}
				return steps(
					func() error { return b.mustLogIn(ctx, clone, "after EnsureClone") },
					func() error {
						return b.mustReject(ctx, with(clone, b.User.Password),
							"with its original's password")
					},
					func() error { return b.mustReject(ctx, with(clone, b.password()), "with any other password") },
					func() error { return b.mustLogIn(ctx, b.Superuser, "after EnsureClone") },
				)
			}),
		cloning("clone/original-undisturbed", "Clients go on with the account in use; that none of them is ever "+
			"refused is what two users are for.", undisturbed),
		cloning("clone/back", "Every second rotation is the original's turn; then clients are on the clone.",
			func(ctx context.Context, b *engineEnv, c cloner) error {
				clone, err := c.ensure(ctx)
				if err != nil {
					return err
				}
				p := b.password()
				return steps(
					func() error {
						return wrapf(c.EnsureClone(ctx, b.Superuser, back(c.pair), p),
							"EnsureClone on the original's turn")
					},
					func() error { return b.mustHaveChanged(ctx, b.User, p) },
					func() error { return b.mustLogIn(ctx, clone, "on its original's turn") },
					func() error { return b.mustReject(ctx, with(clone, p), "with its original's new password") },
				)
			}),
		cloning("clone/idempotent", "It runs at every rotation, and again when a rotation is retried.",
			func(ctx context.Context, b *engineEnv, c cloner) error {
				clone, err := c.ensure(ctx)
				if err != nil {
					return err
				}
				if err := c.EnsureClone(ctx, b.Superuser, c.pair, clone.Password); err != nil {
					return fmt.Errorf("the same EnsureClone again: %w", err)
				}
				if err := b.mustLogIn(ctx, clone, "after the same EnsureClone again"); err != nil {
					return err
				}
				next, err := c.ensure(ctx)
				if err != nil {
					return fmt.Errorf("with another password: %w", err)
				}
				return steps(
					func() error { return b.mustHaveChanged(ctx, clone, next.Password) },
					func() error { return b.mustLogIn(ctx, b.User, "after all that") },
				)
			}),
		cloning("clone/concurrent", "A duplicate invocation makes the same clone at the same time.",
			func(ctx context.Context, b *engineEnv, c cloner) error {
				for range 2 { // the second time, the clone is there
					err := b.race(ctx, c.clone, func(p secret.Password) error {
						return c.EnsureClone(ctx, b.Superuser, c.pair, p)
					})
					if err != nil {
						return err
					}
				}
				return b.mustLogIn(ctx, b.User, "after two clonings at once")
			}),
		cloning("clone/rights", "A rotation that succeeds and leaves the application without its rights is an outage.",
			func(ctx context.Context, b *engineEnv, c cloner) error {
				if b.UsePrivilege == nil {
					return notOffered("UsePrivilege")
				}
				clone, err := c.ensure(ctx)
				if err != nil {
					return err
				}
				return steps(
					func() error { return wrapf(b.UsePrivilege(ctx, b.User), "what the original was allowed to do") },
					func() error {
						return wrapf(b.UsePrivilege(ctx, clone), "as the clone, what the original is allowed to do")
					},
				)
			}),
		cloning("clone/pre-existing-without-rights", "AWS's templates copy rights only when they create the clone: "+
			"one that was there before got a password and none.",
			func(ctx context.Context, b *engineEnv, c cloner) error {
				if b.UsePrivilege == nil {
					return notOffered("UsePrivilege")
				}
				old, err := b.newUser(ctx, c.pair.Clone)
				if err != nil {
					return err
				}
				if b.UsePrivilege(ctx, old) == nil {
					return errors.New("fixture: NewUser must make an account that is not allowed to Use")
				}
				clone, err := c.ensure(ctx)
				if err != nil {
					return err
				}
				return steps(
					func() error { return b.mustHaveChanged(ctx, old, clone.Password) },
					func() error {
						return wrapf(b.UsePrivilege(ctx, clone),
							"as a clone that was there before, what the original is allowed to do")
					},
				)
			}),
		cloning("clone/revoked", "A right that was taken from the original must not live on in the clone.",
			func(ctx context.Context, b *engineEnv, c cloner) error {
				if b.UsePrivilege == nil || b.Revoke == nil {
					return notOffered("UsePrivilege and Revoke")
				}
				if _, err := c.ensure(ctx); err != nil {
					return err
				}
				if err := b.Revoke(ctx, b.User.User); err != nil {
					return fmt.Errorf("fixture: revoke: %w", err)
				}
				clone, err := c.ensure(ctx)
				if err != nil {
					return err
				}
				if b.UsePrivilege(ctx, clone) == nil {
					return errors.New("the clone may still do what was taken from its original")
				}
				return nil
			}),
		cloning("clone/objects-both-ways", "What one account of the pair makes, the other must be able to use after "+
			"the next rotation; AWS's clones locked their originals out of new tables.",
			func(ctx context.Context, b *engineEnv, c cloner) error {
				if b.CreateObject == nil || b.ModifyObject == nil {
					return notOffered("CreateObject and ModifyObject")
				}
				before, after, cloned := "before_"+unique(), "after_"+unique(), "cloned_"+unique()
				if err := b.CreateObject(ctx, b.User, before); err != nil {
					return fmt.Errorf("fixture: own: %w", err)
				}
				clone, err := c.ensure(ctx)
				if err != nil {
					return err
				}
				original := with(b.User, b.password())
				touch := func(login strategies.Login, object, made string) func() error {
					return func() error {
						return wrapf(b.ModifyObject(ctx, login, object), "user %q, an object made by %s",
							login.User, made)
					}
				}
				return steps(
					touch(clone, before, "the original before it was cloned"),
					func() error { return wrapf(b.CreateObject(ctx, clone, cloned), "the clone makes an object") },
					touch(b.User, cloned, "the clone"),
					func() error { return wrapf(b.CreateObject(ctx, b.User, after), "the original makes an object") },
					touch(clone, after, "the original after it was cloned"),
					func() error {
						return wrapf(c.EnsureClone(ctx, b.Superuser, back(c.pair), original.Password),
							"EnsureClone on the original's turn")
					},
					touch(original, cloned, "the clone, after another turn"),
					touch(clone, after, "the original, after another turn"),
				)
			}),
		cloning("clone/attributes", "A limit or a setting of the account holds for the application, whichever "+
			"account is in use.", func(ctx context.Context, b *engineEnv, c cloner) error {
			if b.SetAttribute == nil || b.HasAttribute == nil {
				return notOffered("SetAttribute and HasAttribute")
			}
			if _, err := c.ensure(ctx); err != nil {
				return err
			}
			// An administrator changes the original when the clone is there already.
			if err := b.SetAttribute(ctx, c.pair.Original); err != nil {
				return fmt.Errorf("fixture: mark: %w", err)
			}
			if _, err := c.ensure(ctx); err != nil {
				return err
			}
			return steps(
				func() error { return b.stillMarked(ctx, c.pair.Clone) },
				func() error {
					return wrapf(c.EnsureClone(ctx, b.Superuser, back(c.pair), b.password()),
						"EnsureClone on the original's turn")
				},
				func() error { return b.stillMarked(ctx, c.pair.Original) },
				func() error { return b.stillMarked(ctx, c.pair.Clone) },
			)
		}),
		cloning("clone/missing-original", "A slip in the user name must not make accounts.",
			func(ctx context.Context, b *engineEnv, c cloner) error {
				return c.refused(ctx, "of an account that does not exist", b.Superuser, b.pair("nobody_"+unique()),
					rotator.KindNotFound, rotator.KindMisconfigured)
			}),
		cloning("clone/not-a-pair", "An account that takes turns with itself locks its clients out, and one that is "+
			"not of the pair belongs to another owner.", func(ctx context.Context, b *engineEnv, c cloner) error {
			same, stranger := c.pair, c.pair
			same.Clone, same.Target = same.Original, same.Original
			stranger.Target = "nobody_" + unique()
			return steps(
				func() error { return c.refused(ctx, "of an account with itself", b.Superuser, same) },
				func() error { return c.refused(ctx, "with the turn of a third account", b.Superuser, stranger) },
			)
		}),
		cloning("clone/name-over-limit", "A clone's name that the server cuts is another account's, perhaps the "+
			"original's.", func(ctx context.Context, b *engineEnv, c cloner) error {
			t := b.Engine.Traits()
			if t.MaxUserBytes == 0 {
				return notOffered("a limit of names (the engine has none)")
			}
			for _, n := range []int{t.MaxUserBytes, t.MaxUserBytes - len(t.CloneSuffix) + 1} {
				original, err := b.newUser(ctx, pad("long_"+unique()+"_", n))
				if err != nil {
					return err
				}
				pair := b.pair(original.User)
				p := b.password()
				err = c.EnsureClone(ctx, b.Superuser, pair, p)
				if err := wantFailure("EnsureClone with a name over the limit", err); err != nil {
					return err
				}
				cut := account(b.User, pair.Clone[:t.MaxUserBytes], p)
				if err := b.mustReject(ctx, cut, "which is the clone's name, cut"); err != nil {
					return err
				}
				if err := b.mustLogIn(ctx, original, "after its clone was refused"); err != nil {
					return err
				}
			}
			return nil
		}),
		cloning("clone/hostile-names", "Names reach more statements here than anywhere else.",
			func(ctx context.Context, b *engineEnv, c cloner) error {
				id := unique()
				for _, name := range []string{"UPPER" + id, `q"uo'te` + id, "sp ace." + id, "a@b%" + id, `sl\ash;` + id, "$1`" + id, "ünï" + id} {
					original, err := b.newUser(ctx, name)
					if errors.Is(err, ErrNotOffered) {
						continue
					}
					if err != nil {
						return err
					}
					pair, p, q := b.pair(name), b.password(), b.password()
					err = steps(
						func() error { return wrapf(c.EnsureClone(ctx, b.Superuser, pair, p), "EnsureClone") },
						func() error { return b.mustLogIn(ctx, account(original, pair.Clone, p), "after EnsureClone") },
						func() error { return b.mustLogIn(ctx, original, "after EnsureClone") },
						func() error {
							return wrapf(c.EnsureClone(ctx, b.Superuser, back(pair), q), "EnsureClone on the original's turn")
						},
						func() error { return b.mustHaveChanged(ctx, original, q) },
					)
					if err != nil {
						return fmt.Errorf("user %q: %w", name, err)
					}
				}
				return b.mustLogIn(ctx, b.User, "after others with odd names were cloned")
			}),
		cloning("clone/no-privilege", "An ordinary account that can make accounts owns the database; and people need to be told which right is missing.", func(ctx context.Context, b *engineEnv, c cloner) error {
			ordinary := b.User
			if b.SelfChangeIsAdmin {
				var err error
				if ordinary, err = b.newUnprivileged(ctx, "other_"+unique()); err != nil {
					return err
				}
			}
			return c.refused(ctx, "by an ordinary account", ordinary, c.pair, rotator.KindPrivilege)
		}),
		cloning("clone/wrong-password", "Only who knows the superuser's password may act as the superuser.", func(ctx context.Context, b *engineEnv, c cloner) error {
			p := b.password()
			return steps(
				func() error {
					return wantKind("EnsureClone with a wrong password", c.EnsureClone(ctx, with(b.Superuser, b.password()), c.pair, p), rotator.KindLoginRejected)
				},
				func() error { return b.mustReject(ctx, with(c.clone, p), "after EnsureClone with a wrong password") },
			)
		}),
	}
}

// undisturbed has clients log in all the while as the account in use.
func undisturbed(ctx context.Context, b *engineEnv, c cloner) error {
	turns := []strategies.Pair{c.pair, c.pair, back(c.pair), c.pair}
	password := map[string]secret.Password{c.pair.Original: b.User.Password}
	for i, pair := range turns {
		inUse := account(b.User, pair.InUse(), password[pair.InUse()])
		p := b.password()
		watching, stop := context.WithCancel(ctx)
		seen := make(chan error, 1)
		began := make(chan struct{})
		go func() {
			seen <- watch(watching, began, func(ctx context.Context) error { return b.LogIn(ctx, inUse) })
		}()
		<-began
		err := c.EnsureClone(ctx, b.Superuser, pair, p)
		stop()
		if refused := <-seen; refused != nil {
			return fmt.Errorf("while EnsureClone ran (turn %d), a client of %q, the account in use: %w", i+1, pair.InUse(), refused)
		}
		if err != nil {
			return fmt.Errorf("EnsureClone (turn %d): %w", i+1, err)
		}
		if err := b.mustLogIn(ctx, inUse, "after EnsureClone"); err != nil {
			return err
		}
		password[pair.Target] = p
	}
	return nil
}

// watch repeats a login until ctx ends, and gives the first error that is not of
// that end: an answer of the server never is. It says when it has begun.
func watch(ctx context.Context, began chan<- struct{}, logIn func(ctx context.Context) error) error {
	for first := true; ; first = false {
		err := logIn(ctx)
		if first {
			close(began)
		}
		switch {
		case errors.Is(err, rotator.KindLoginRejected):
			return err
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
	}
}
