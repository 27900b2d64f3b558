package strategies

import (
	"context"
	"fmt"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
)

// SingleUser changes the password of one account. Between setSecret and
// finishSecret the stored password is refused: clients that log in then need to
// try again, or AlternatingUsers.
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotation-strategy.html
type SingleUser struct {
	Engine Engine
	// ThroughSuperuser sets the password as the superuser whose secret masterarn
	// names. Otherwise the account changes its own.
	ThroughSuperuser bool
	// Superuser is the ARN of that secret for secrets without masterarn.
	Superuser string
}

// Next implements rotator.Strategy.
func (s SingleUser) Next(_ context.Context, r rotator.Rotation) (secret.Document, error) {
	if _, err := s.Engine.Traits().login(r.Current); err != nil {
		return secret.Document{}, err
	}
	return withNewPassword(s.Engine.Traits(), r)
}

// Preflight implements rotator.Preflighter: one login, two through a superuser.
func (s SingleUser) Preflight(ctx context.Context, r rotator.Rotation) []rotator.Finding {
	var admin func(Login) (Login, error)
	if s.ThroughSuperuser {
		admin = func(as Login) (Login, error) { return superuser(ctx, s.Engine.Traits(), r, s.Superuser, as) }
	}
	return inspectUser(ctx, s.Engine, r, s.Engine.Rehearse, admin)
}

// Apply implements rotator.Strategy. On the common path it logs in once: as the
// current user, who changes the password.
func (s SingleUser) Apply(ctx context.Context, r rotator.Rotation) error {
	t := s.Engine.Traits()
	current, pending, err := s.logins(t, r)
	if err != nil {
		return err
	}
	change := func(as Login) error { return s.Engine.SetPassword(ctx, as, current.User, pending.Password) }
	ping := func(as Login) error { return s.Engine.Ping(ctx, as) }
	try := change
	if s.ThroughSuperuser {
		try = ping
	}
	ours := func(user string) bool { return user == current.User }
	as, label, err := firstAccepted(
		candidate{rotator.LabelCurrent, always(current), try},
		candidate{rotator.LabelPending, always(pending), ping},
		candidate{rotator.LabelPrevious, previous(ctx, t, r, current, ours), try},
	)
	switch {
	case err != nil:
		return err
	case label == rotator.LabelPending && !(s.ThroughSuperuser && t.SeveralAccounts):
		r.Note("user %q has the pending password already", current.User)
		return nil
	case s.ThroughSuperuser:
		// Whoever holds working credentials may have them changed; nobody else
		// may have the superuser do it for them. AWSPENDING is such a credential
		// too: an earlier attempt may have been cut off between two accounts.
		admin, err := superuser(ctx, t, r, s.Superuser, as)
		if err != nil {
			return err
		}
		if err := s.Engine.SetPassword(ctx, admin, current.User, pending.Password); err != nil {
			return fmt.Errorf("superuser %q: %w", admin.User, err)
		}
		arrived(ctx, s.Engine, r, admin, pending)
		r.Note("superuser %q set the password of user %q (who is known by %s)", admin.User, current.User, label)
	default:
		r.Note("user %q, logged in with %s, changed its password", current.User, label)
	}
	return nil
}

// logins reads both values and refuses a pending one for another account or place.
func (s SingleUser) logins(t Traits, r rotator.Rotation) (current, pending Login, err error) {
	if current, pending, err = t.logins(r); err != nil {
		return current, pending, err
	}
	if err = sameAccount(current, pending); err != nil {
		err = fmt.Errorf("AWSPENDING: %w", err)
	}
	return current, pending, err
}

func sameAccount(current, other Login) error {
	if other.User != current.User {
		return fmt.Errorf("%w: it is for user %q and AWSCURRENT for %q: single user rotation changes one account", rotator.Conflict, other.User, current.User)
	}
	return samePlace(current, other)
}

// Verify implements rotator.Strategy: one login.
func (s SingleUser) Verify(ctx context.Context, r rotator.Rotation) error {
	if !r.Current.IsZero() {
		if err := underTest(s.Engine.Traits(), r, sameAccount); err != nil {
			return err
		}
	}
	if err := verify(ctx, s.Engine, r.Pending); err != nil {
		return err
	}
	r.Note("user %q logged in with the value under test", r.Pending.Text(keyUser))
	return nil
}
