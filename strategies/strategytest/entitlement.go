package strategytest

import (
	"context"
	"errors"
	"fmt"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
)

// entitlementRules hold engines to strategies.Pair.CheckEntitled: a superuser can set
// any password, and an engine must not let a secret choose whose.
func entitlementRules() []engineRule {
	return []engineRule{
		cloning("entitled/unrelated", "Any user with CREATE privileges can make an account whose name ends in the "+
			"suffix, or give an account of that name a secret of its own.",
			func(ctx context.Context, b *engineEnv, c cloner) error {
				other, err := b.newUser(ctx, c.pair.Clone)
				if err != nil {
					return err
				}
				return c.notEntitled(ctx, "of an account that nothing proves to be the clone", stranger(c.pair), other)
			}),
		cloning("entitled/original", "A user that may create accounts can make one that bears the suffix, and would "+
			"be given the password of the original.", func(ctx context.Context, b *engineEnv, c cloner) error {
			clone, err := b.newUser(ctx, c.pair.Clone)
			if err != nil {
				return err
			}
			return steps(
				func() error {
					return c.notEntitled(ctx, "of the original, from a clone that is none",
						stranger(back(c.pair)), b.User)
				},
				func() error { return b.mustLogIn(ctx, clone, "after it was refused its original") },
			)
		}),
		cloning("entitled/possession-refuted", "That the secret holds a password of the account has to be tried, "+
			"each time.", func(ctx context.Context, b *engineEnv, c cloner) error {
			other, err := b.newUser(ctx, c.pair.Clone)
			if err != nil {
				return err
			}
			pair := c.pair
			pair.Possession = func(context.Context, func(secret.Password) bool) error {
				return fmt.Errorf("AWSPREVIOUS: %w", rotator.KindLoginRejected)
			}
			return c.notEntitled(ctx, "of an account that AWSPREVIOUS does not log in as", pair, other)
		}),
		cloning("entitled/possession-unclear", "An outage is no proof that the account belongs to another owner: the "+
			"rotation has to be tried again, and people need the real cause.",
			func(ctx context.Context, b *engineEnv, c cloner) error {
				other, err := b.newUser(ctx, c.pair.Clone)
				if err != nil {
					return err
				}
				pair := c.pair
				pair.Possession = func(context.Context, func(secret.Password) bool) error {
					return fmt.Errorf("AWSPREVIOUS: %w", rotator.KindThrottled)
				}
				p := b.password()
				return steps(
					func() error {
						return wantKind("EnsureClone while possession cannot be proved",
							c.EnsureClone(ctx, b.Superuser, pair, p), rotator.KindThrottled)
					},
					func() error { return b.mustReject(ctx, with(other, p), "after that") },
					func() error { return b.mustLogIn(ctx, other, "after that") },
				)
			}),
		cloning("entitled/consent", "A pair that an administrator made is proved by nothing on the server: the "+
			"superuser secret vouches for it.", func(ctx context.Context, b *engineEnv, c cloner) error {
			other, err := b.newUser(ctx, c.pair.Clone)
			if err != nil {
				return err
			}
			pair := stranger(c.pair)
			pair.Consent = true
			p := b.password()
			return steps(
				func() error { return wrapf(dryRunClone(ctx, c, b.Superuser, pair), "DryRunEnsureClone with consent") },
				func() error {
					return wrapf(c.EnsureClone(ctx, b.Superuser, pair, p), "EnsureClone with consent")
				},
				func() error { return b.mustHaveChanged(ctx, other, p) },
			)
		}),
		cloning("entitled/superuser", "A secret that names the superuser as its other user would be given the "+
			"superuser's password.", func(ctx context.Context, b *engineEnv, c cloner) error {
			pair := strategies.Pair{Original: b.User.User, Clone: b.Superuser.User, Target: b.Superuser.User,
				PasswordOnly: true, Named: true, Consent: true, Possession: possessed}
			synced := pair
			synced.PasswordOnly = false
			return steps(
				func() error { return c.notEntitled(ctx, "of the superuser itself", pair, b.Superuser) },
				func() error { return c.notEntitled(ctx, "of the superuser itself, as a clone", synced, b.Superuser) },
			)
		}),
		cloning("entitled/administrator", "The password of an account with more power than the one in use is that "+
			"power, although a pattern of names was consented to.",
			func(ctx context.Context, b *engineEnv, c cloner) error {
				if b.NewSuperuser == nil {
					return notOffered("NewSuperuser")
				}
				boss, err := b.NewSuperuser(ctx, c.pair.Clone)
				if err != nil {
					return fmt.Errorf("fixture: new superuser: %w", err)
				}
				b.keep(boss.Password)
				pair := stranger(c.pair)
				pair.Consent = true
				only := pair
				only.PasswordOnly, only.Named = true, true
				return steps(
					func() error { return c.notEntitled(ctx, "of an administrator", pair, boss) },
					func() error { return c.notEntitled(ctx, "of an administrator, its password alone", only, boss) },
				)
			}),
		cloning("entitled/password-only", "Of a pair that an administrator made, rotation is to set passwords and "+
			"nothing else.", func(ctx context.Context, b *engineEnv, c cloner) error {
			pair := c.pair
			pair.PasswordOnly, pair.Consent = true, true
			p := b.password()
			err := c.EnsureClone(ctx, b.Superuser, pair, p)
			if err := wantKind("EnsureClone of a password alone, without an account", err,
				rotator.KindNotFound); err != nil {
				return err
			}
			if err := b.mustReject(ctx, with(c.clone, p), "which was not to be created"); err != nil {
				return err
			}
			old, err := b.newUser(ctx, pair.Clone)
			if err != nil {
				return err
			}
			return steps(
				func() error {
					return wrapf(c.EnsureClone(ctx, b.Superuser, pair, p), "EnsureClone of a password alone")
				},
				func() error { return b.mustHaveChanged(ctx, old, p) },
				func() error {
					if b.UsePrivilege != nil && b.UsePrivilege(ctx, with(old, p)) == nil {
						return errors.New("the account got privileges of the other one with its password")
					}
					return nil
				},
			)
		}),
	}
}

// notEntitled sees both calls refused, and the account untouched.
func (c cloner) notEntitled(ctx context.Context, what string, pair strategies.Pair, target strategies.Login) error {
	p := c.password()
	target.User = pair.Target
	return steps(
		func() error {
			return wantKind("DryRunEnsureClone "+what, dryRunClone(ctx, c, c.Superuser, pair), rotator.KindNotEntitled)
		},
		func() error {
			return wantKind("EnsureClone "+what, c.EnsureClone(ctx, c.Superuser, pair, p), rotator.KindNotEntitled)
		},
		func() error { return c.mustReject(ctx, with(target, p), "after EnsureClone "+what) },
		func() error { return c.mustLogIn(ctx, target, "after EnsureClone "+what) },
		func() error { return c.mustLogIn(ctx, c.User, "after EnsureClone "+what) },
	)
}

// entitlementStrategyRules hold strategies to the same.
func entitlementStrategyRules() []strategyRule {
	refused := func(ctx context.Context, w *caseEnv, what string, user func(pending secret.Document) string) error {
		if !w.Current.Has(keySuperuser) {
			return notOffered("masterarn in Current")
		}
		pending, err := w.next(ctx, w.Current)
		if err != nil {
			return err
		}
		related, asked := w.Related, false
		w.Related = func(ctx context.Context, id string) (secret.Document, error) {
			d, err := related(ctx, id)
			if err == nil {
				asked, d = true, d.Set("username", user(pending))
			}
			return d, err
		}
		err = w.apply(ctx, w.Current, pending)
		if err == nil && !asked {
			return notOffered("a superuser (masterarn is there, and the strategy needs none)")
		}
		return steps(
			func() error { return wantKind("Apply "+what, err, rotator.KindNotEntitled) },
			func() error { return w.mustBeUnchanged(ctx, pending) },
		)
	}
	return []strategyRule{
		{"superuser/not-itself", "A secret whose masterarn names itself would make its user its own superuser, and " +
			"one rotation would leave that without rights or password.", func(ctx context.Context, w *caseEnv) error {
			return refused(ctx, w, "with a superuser secret for the user of the secret itself",
				func(secret.Document) string { return w.Current.Text("username") })
		}},
		{"superuser/not-its-own-password", "The superuser's password belongs to the superuser secret: set by another " +
			"rotation, every rotation through it fails from then on.", func(ctx context.Context, w *caseEnv) error {
			return refused(ctx, w, "with a superuser secret for the user whose password is set",
				func(pending secret.Document) string { return pending.Text("username") })
		}},
	}
}
