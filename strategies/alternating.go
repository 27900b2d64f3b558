package strategies

import (
	"context"
	"errors"
	"fmt"
	"iter"
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
	// SuperuserSecretARN is the ARN of the superuser secret for secrets without masterarn.
	SuperuserSecretARN string
	// RotateOnly sets passwords and never creates or aligns the clone.
	RotateOnly bool
}

// Propose implements rotator.Strategy.
func (a AlternatingUsers) Propose(_ context.Context, r rotator.Rotation) (secret.Document, error) {
	t := a.Engine.Traits()
	current, pair, err := t.parseCurrent(r)
	if err != nil {
		return secret.Document{}, err
	}
	next, err := withNewPassword(t, r)
	if err != nil {
		return secret.Document{}, err
	}
	next = next.Set(keyUser, pair.Target)
	if next.Text(keyAlternate) != "" {
		next = next.Set(keyAlternate, current.User)
	}
	return next, nil
}

// Preflight implements rotator.Preflighter: two logins.
func (a AlternatingUsers) Preflight(ctx context.Context, r rotator.Rotation) []rotator.Finding {
	t := a.Engine.Traits()
	if r.Pending.IsZero() {
		var err error
		if r.Pending, err = a.Propose(ctx, r); err != nil {
			return []rotator.Finding{rotator.NewFinding("S9", descKeys, err)}
		}
	}
	current, pair, err := t.parseCurrent(r)
	if err != nil {
		return []rotator.Finding{rotator.NewFinding("S9", descKeys, err)}
	}
	next := func(user string) bool { return user == pair.Target }
	seen := map[string]string{}
	return rehearsal{
		engine: a.Engine, rotation: r, current: current, seen: seen, clones: !a.rotateOnly(r.Current),
		isManagedUser: pair.has,
		superuser: func(accepted Login) (superuser Login, err error) {
			superuser, pair, err = a.superuser(ctx, t, r, current, accepted, pair, seen,
				stored(ctx, t, r, current, next))
			return superuser, err
		},
		dryRun: func(superuser, _ Login, p secret.Password) ([]Warning, error) {
			return neverRefused(a.Engine.DryRunEnsureClone(ctx, superuser, pair, p))
		},
	}.findings(ctx)
}

// Apply implements rotator.Strategy. On the common path it logs in twice: as the
// current user, to see that the secret is in good hands, and as the superuser.
func (a AlternatingUsers) Apply(ctx context.Context, r rotator.Rotation) error {
	t := a.Engine.Traits()
	current, pending, pair, err := a.parseLogins(t, r)
	if err != nil {
		return err
	}
	seen := map[string]string{}
	ping := pinging(ctx, a.Engine, seen)
	login, label, err := firstWorking(
		candidate{rotator.LabelCurrent, fixedLogin(current), ping},
		candidate{rotator.LabelPending, fixedLogin(pending), ping},
		candidate{rotator.LabelPrevious, previousLogin(ctx, t, r, current, pair.has), ping},
	)
	if err != nil {
		return err
	}
	persister, persists := a.Engine.(Persister)
	done := label == rotator.LabelPending && !t.SeveralAccounts
	if done && !persists {
		r.Logf("user %q has the pending password already", pending.User)
		return nil
	}
	superuser, pair, err := a.superuser(ctx, t, r, current, login, pair, seen, fixedLogin(pending))
	if err != nil {
		return err
	}
	if done {
		err = persister.Persist(ctx, superuser, pending.User, pending.Password)
	} else {
		err = a.Engine.EnsureClone(ctx, superuser, pair, pending.Password)
	}
	if err != nil {
		return fmt.Errorf("superuser %q: %w", superuser.User,
			staleSuperuser(a.Engine, superuser,
				lostUser(r, label, current.User == pair.Clone && !a.rotateOnly(r.Current), err)))
	}
	waitForReplica(ctx, a.Engine, r, superuser, pending)
	verified := map[string]string{login.User: " (verified with " + label + ")"}
	r.Logf("superuser %q changed the password of user %q%s; user %q%s is unchanged", superuser.User,
		pair.Target, verified[pair.Target], pair.InUse(), verified[pair.InUse()])
	return nil
}

// superuser gives the superuser's login, and the pair with what is known of it then.
// as is the login that worked, seen what logins showed, pending what may be stored under AWSPENDING.
func (a AlternatingUsers) superuser(ctx context.Context, t Traits, r rotator.Rotation, current, login Login, pair Pair,
	seen map[string]string, pending func() (Login, error)) (Login, Pair, error) {
	superuser, d, err := superuserLogin(ctx, t, r, a.SuperuserSecretARN, login, pair.Original, pair.Clone)
	// What the user in use may do goes to the other one only if the secret has shown that it is
	// in its hands: AWSPREVIOUS may be of the other, whose password alone is the secret's then.
	pair.PasswordOnly = a.rotateOnly(r.Current) || login.User != pair.InUse()
	pair.Named, pair.NoTLS = r.Current.Text(keyAlternate) != "", current.TLS.Disabled
	pair.Consent = consents(d, pair.Clone == pair.Original+t.CloneSuffix, pair.Original, pair.Clone)
	if err != nil {
		return superuser, pair, err
	}
	ping := pinging(ctx, a.Engine, seen)
	judge := judging(superuser, ping)
	if err := judge(login); err != nil {
		return superuser, pair, err
	}
	try := func(login Login) error {
		if err := ping(login); err != nil {
			return err
		}
		return judge(login)
	}
	pair.Possession = possession(t, r, current, login, pair.Target, try, pending)
	h := superuser.For
	pair.secretARN = h.secretARN
	h.Users, h.Consent, h.Seen = []string{pair.Original, pair.Clone}, pair.Consent, seen
	h.Passwords = func(ctx context.Context, user string) iter.Seq2[secret.Password, error] {
		if user != pair.Target { // what it may do is the secret's by a login alone
			return passwordsOf(fixedLogin(login))(ctx, user)
		}
		next := func(user string) bool { return user == pair.Target }
		return passwordsOf(fixedLogin(login), previousLogin(ctx, t, r, current, next), pending)(ctx, user)
	}
	return superuser, pair, nil
}

func (a AlternatingUsers) rotateOnly(d secret.Document) bool {
	return a.RotateOnly || d.Text(keyAlternate) != ""
}

// parseLogins reads both values and refuses a pending one for any account but the other
// of the pair, or for another place.
func (a AlternatingUsers) parseLogins(t Traits, r rotator.Rotation) (current, pending Login, pair Pair, err error) {
	if current, pending, err = t.parseLogins(r); err != nil {
		return current, pending, pair, err
	}
	if pair, err = t.parsePair(r.Current, current.User); err != nil {
		return current, pending, pair, fmt.Errorf("AWSCURRENT: %w", err)
	}
	if pending.User != pair.Target {
		return current, pending, pair, fmt.Errorf("AWSPENDING: %w: it is for user %q; the second user of %q is %q",
			rotator.KindConflict, pending.User, current.User, pair.Target)
	}
	if err = checkSameDatabase(current, pending); err != nil {
		err = fmt.Errorf("AWSPENDING: %w", err)
	}
	return current, pending, pair, err
}

// parseCurrent reads AWSCURRENT and its pair.
func (t Traits) parseCurrent(r rotator.Rotation) (current Login, pair Pair, err error) {
	if current, err = t.parseLogin(r.Current); err == nil {
		pair, err = t.parsePair(r.Current, current.User)
	}
	return current, pair, err
}

// parsePair gives the pair that user is of: the account that the secret names, or
// AWS's rule, by which a name with the suffix is a clone and any other is not.
func (t Traits) parsePair(d secret.Document, user string) (Pair, error) {
	pair := Pair{Original: user, Clone: user + t.CloneSuffix}
	pair.Target = pair.Clone
	if original, isClone := strings.CutSuffix(user, t.CloneSuffix); isClone {
		pair = Pair{Original: original, Clone: user, Target: original}
	}
	other, err := optionalText(d, keyAlternate)
	if err != nil {
		return pair, err
	}
	if other != "" {
		pair = Pair{Original: user, Clone: other, Target: other}
	}
	switch {
	case pair.Target == "" || pair.Target == user:
		return pair, fmt.Errorf("secret: %w: user %q has no second user: set alternateUsername",
			rotator.KindMisconfigured, user)
	case t.checkUser(pair.Target) != nil:
		return pair, fmt.Errorf("%w (use a shorter name, or give the other user of a pair that exists in "+
			"alternateUsername)", t.checkUser(pair.Target))
	}
	return pair, nil
}

// Verify implements rotator.Strategy: one login, as either user of the pair.
func (a AlternatingUsers) Verify(ctx context.Context, r rotator.Rotation) error {
	if !r.Current.IsZero() {
		t := a.Engine.Traits()
		either := func(current, other Login) error { return checkSamePair(t, r, current, other) }
		if err := checkSameTarget(t, r, either); err != nil {
			return err
		}
		r.Current = secret.Document{}
	}
	return SingleUser{Engine: a.Engine}.Verify(ctx, r)
}

// checkSamePair refuses a value for any account but the two of the pair, or for another
// place.
func checkSamePair(t Traits, r rotator.Rotation, current, other Login) error {
	pair, err := t.parsePair(r.Current, current.User)
	if err != nil {
		return err
	}
	if !pair.has(other.User) {
		return fmt.Errorf("%w: it is for user %q, and the pair is %q and %q", rotator.KindConflict, other.User,
			pair.Original, pair.Clone)
	}
	return checkSameDatabase(current, other)
}

// SwitchesAccount implements rotator.AccountSwitcher: Apply refuses a pending value for the user in use.
func (AlternatingUsers) SwitchesAccount(secret.Document) bool { return true }

// LimitsFailedLogins implements rotator.FailedLoginLimiter.
func (a AlternatingUsers) LimitsFailedLogins(secret.Document) bool {
	return !a.Engine.Traits().NoFailedLoginLimit
}

// ResetStatement implements rotator.PasswordResetter.
func (a AlternatingUsers) ResetStatement(d secret.Document) string {
	return resetStatement(a.Engine, d)
}

// Runners implements rotator.RunnerNamer.
func (a AlternatingUsers) Runners(d secret.Document) rotator.Runners {
	return runners(a.Engine, d, a.SuperuserSecretARN)
}

// NotInDryRun implements rotator.PartialDryRun.
func (a AlternatingUsers) NotInDryRun(ctx context.Context, r rotator.Rotation) (untold string, err error) {
	return notInDryRun(ctx, a.Engine, r, true, a.SuperuserSecretARN)
}

// TestUse implements rotator.UseTester. A clone that an original is to have rights from is looked at too, and whether a
// rotation would overwrite what one of the two alone may do.
func (a AlternatingUsers) TestUse(ctx context.Context, r rotator.Rotation) (remark rotator.Sentence,
	err error) {
	remark, err = testUse(ctx, a.Engine, r, a.SuperuserSecretARN, !a.rotateOnly(r.Current))
	comparer, compares := a.Engine.(PairComparer)
	if err != nil && !(compares && errors.Is(err, rotator.KindPrivilege)) || a.rotateOnly(r.Current) {
		return remark, err
	}
	if err != nil { // the other of the pair may have still what it has lost
		if login, pair, other := a.Engine.Traits().parseCurrent(r); other == nil {
			_, other = a.comparePair(ctx, r, comparer, login, pair, remark)
			err = rotator.WithFix(err, "", append(rotator.FixesOf(err), rotator.FixesOf(other)...)...)
		}
		return remark, err
	}
	login, pair, err := a.Engine.Traits().parseCurrent(r)
	if err != nil {
		return remark, err
	}
	if clones, ok := a.Engine.(CloneTester); ok && pair.InUse() == pair.Clone {
		return remark, clones.TestClone(ctx, login, pair)
	}
	if compares {
		return a.comparePair(ctx, r, comparer, login, pair, remark)
	}
	return remark, nil
}

// comparePair adds to a remark. That the superuser cannot be asked is no finding.
func (a AlternatingUsers) comparePair(ctx context.Context, r rotator.Rotation, e PairComparer, login Login, pair Pair,
	remark rotator.Sentence) (rotator.Sentence, error) {
	next := func(user string) bool { return user == pair.Target }
	t := e.Traits()
	superuser, pair, err := a.superuser(ctx, t, r, login, login, pair, map[string]string{},
		stored(ctx, t, r, login, next))
	if err != nil {
		return remark, nil
	}
	lacks, differ, err := e.ComparePair(ctx, superuser, pair)
	switch rotator.KindOf(err) {
	case rotator.KindPrivilege, rotator.KindMisconfigured, rotator.KindNotFound:
		return rotator.Sentence{}, err
	}
	if lacks.Text != "" {
		alike := "make the two alike"
		if pair.InUse() == pair.Clone {
			alike = fmt.Sprintf("move clients to user %q and ", pair.Target) + alike
		}
		rotate := rotator.Fix{By: rotator.ByShell, For: "if a rotation is to " + alike + ", in place of that " +
			"(not where rotation was cancelled on purpose)", Turn: rotator.TurnLast,
			Run: "aws secretsmanager rotate-secret --secret-id " + rotator.ShellWord(r.SecretARN)}
		return rotator.Sentence{}, rotator.WithFix(fmt.Errorf("%w: %s", rotator.KindPrivilege, lacks), "",
			append(lacks.Fixes, rotate)...)
	}
	remark.Text = strings.Trim(remark.Text+"; "+differ, "; ")
	return remark, nil
}
