package strategies

import (
	"context"
	"fmt"
	"strings"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
)

// AlternatingUsers rotates a pair of accounts in turn: while one gets a new
// password, clients go on with the other, and none is ever refused. A superuser,
// whose secret masterarn names, does the work.
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotation-strategy.html
//
// The pair is app and app_clone, by AWS's rule, so that pairs which AWS's templates
// made go on alternating. Where the secret has the key alternateUsername, the pair
// is username and alternateUsername, made beforehand: the two change places in the
// secret at every rotation, and only passwords are set.
type AlternatingUsers struct {
	Engine CloningEngine
	// Superuser is the ARN of the superuser's secret for secrets without masterarn.
	Superuser string
	// RotateOnly sets passwords and never creates or aligns the clone.
	RotateOnly bool
}

// Next implements rotator.Strategy.
func (a AlternatingUsers) Next(_ context.Context, r rotator.Rotation) (secret.Document, error) {
	t := a.Engine.Traits()
	current, err := t.login(r.Current)
	if err != nil {
		return secret.Document{}, err
	}
	pair, err := t.pair(r.Current, current.User)
	if err != nil {
		return secret.Document{}, err
	}
	next, err := withNewPassword(t, r)
	if err != nil {
		return secret.Document{}, err
	}
	next = next.Set(keyUser, pair.Next)
	if next.Has(keyAlternate) {
		next = next.Set(keyAlternate, current.User)
	}
	return next, nil
}

// Preflight implements rotator.Preflighter: two logins.
func (a AlternatingUsers) Preflight(ctx context.Context, r rotator.Rotation) []rotator.Finding {
	t := a.Engine.Traits()
	current, err := t.login(r.Current)
	var pair Pair
	if err == nil {
		pair, err = t.pair(r.Current, current.User)
	}
	if err == nil && r.Pending.IsZero() {
		r.Pending, err = a.Next(ctx, r)
	}
	if err != nil {
		return []rotator.Finding{rotator.Judge("S9", checkKeys, err)}
	}
	ours := func(user string) bool { return user == pair.Original || user == pair.Clone }
	admin := func(as Login) (Login, error) { return superuser(ctx, t, r, a.Superuser, as) }
	if a.rotateOnly(r.Current) {
		rehearse := func(admin Login) ([]Warning, error) {
			return a.Engine.Rehearse(ctx, admin, pair.Next, r.Pending.Password())
		}
		return inspect(ctx, a.Engine, r, current, ours, "P6", rehearse, admin)
	}
	rehearse := func(admin Login) ([]Warning, error) {
		return a.Engine.RehearseClone(ctx, admin, pair, r.Pending.Password())
	}
	return inspect(ctx, a.Engine, r, current, ours, "P7", rehearse, admin)
}

// Apply implements rotator.Strategy. On the common path it logs in twice: as the
// current user, to see that the secret is in good hands, and as the superuser.
func (a AlternatingUsers) Apply(ctx context.Context, r rotator.Rotation) error {
	t := a.Engine.Traits()
	current, pending, pair, err := a.logins(t, r)
	if err != nil {
		return err
	}
	ping := func(as Login) error { return a.Engine.Ping(ctx, as) }
	ours := func(user string) bool { return user == pair.Original || user == pair.Clone }
	as, label, err := firstAccepted(
		candidate{rotator.LabelCurrent, always(current), ping},
		candidate{rotator.LabelPending, always(pending), ping},
		candidate{rotator.LabelPrevious, previous(ctx, t, r, current, ours), ping},
	)
	if err != nil {
		return err
	}
	if label == rotator.LabelPending && !t.SeveralAccounts {
		r.Note("user %q has the pending password already", pending.User)
		return nil
	}
	admin, err := superuser(ctx, t, r, a.Superuser, as)
	if err != nil {
		return err
	}
	if a.rotateOnly(r.Current) {
		err = a.Engine.SetPassword(ctx, admin, pair.Next, pending.Password)
	} else {
		err = a.Engine.EnsureClone(ctx, admin, pair, pending.Password)
	}
	if err != nil {
		return fmt.Errorf("superuser %q: %w", admin.User, err)
	}
	arrived(ctx, a.Engine, r, admin, pending)
	r.Note("superuser %q set the password of user %q; user %q (known by %s) keeps its own", admin.User, pair.Next, pair.InUse(), label)
	return nil
}

func (a AlternatingUsers) rotateOnly(d secret.Document) bool {
	return a.RotateOnly || d.Has(keyAlternate)
}

// logins reads both values and refuses a pending one for any account but the other
// of the pair, or for another place.
func (a AlternatingUsers) logins(t Traits, r rotator.Rotation) (current, pending Login, pair Pair, err error) {
	if current, pending, err = t.logins(r); err != nil {
		return current, pending, pair, err
	}
	if pair, err = t.pair(r.Current, current.User); err != nil {
		return current, pending, pair, fmt.Errorf("AWSCURRENT: %w", err)
	}
	if pending.User != pair.Next {
		return current, pending, pair, fmt.Errorf("AWSPENDING: %w: it is for user %q and the other user beside %q is %q", rotator.Conflict, pending.User, current.User, pair.Next)
	}
	if err = samePlace(current, pending); err != nil {
		err = fmt.Errorf("AWSPENDING: %w", err)
	}
	return current, pending, pair, err
}

// pair says who takes turns with user: the account that the secret names, or
// AWS's rule, by which a name with the suffix is a clone and any other is not.
func (t Traits) pair(d secret.Document, user string) (Pair, error) {
	pair := Pair{Original: user, Clone: user + t.CloneSuffix}
	pair.Next = pair.Clone
	if original, isClone := strings.CutSuffix(user, t.CloneSuffix); isClone {
		pair = Pair{Original: original, Clone: user, Next: original}
	}
	if d.Has(keyAlternate) {
		other := d.Text(keyAlternate)
		pair = Pair{Original: user, Clone: other, Next: other}
	}
	switch {
	case pair.Next == "" || pair.Next == user:
		return pair, fmt.Errorf("secret: %w: nobody takes turns with user %q: give the other user in alternateUsername", rotator.Misconfigured, user)
	case t.checkUser(pair.Next) != nil:
		return pair, fmt.Errorf("%w (use a shorter name, or give the other user of a pair that exists in alternateUsername)", t.checkUser(pair.Next))
	}
	return pair, nil
}

// Verify implements rotator.Strategy: one login, as either user of the pair.
func (a AlternatingUsers) Verify(ctx context.Context, r rotator.Rotation) error {
	if !r.Current.IsZero() {
		t := a.Engine.Traits()
		either := func(current, other Login) error { return samePair(t, r, current, other) }
		if err := underTest(t, r, either); err != nil {
			return err
		}
		r.Current = secret.Document{}
	}
	return SingleUser{Engine: a.Engine}.Verify(ctx, r)
}

// samePair refuses a value for any account but the two of the pair, or for another
// place.
func samePair(t Traits, r rotator.Rotation, current, other Login) error {
	pair, err := t.pair(r.Current, current.User)
	if err != nil {
		return err
	}
	if other.User != pair.Original && other.User != pair.Clone {
		return fmt.Errorf("%w: it is for user %q, and the pair is %q and %q", rotator.Conflict, other.User, pair.Original, pair.Clone)
	}
	return samePlace(current, other)
}
