package strategies

import (
	"context"
	"fmt"
	"strings"

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
	// SuperuserSecretARN is the ARN of that secret for secrets without masterarn.
	SuperuserSecretARN string
}

// Propose implements rotator.Strategy.
func (s SingleUser) Propose(_ context.Context, r rotator.Rotation) (secret.Document, error) {
	if _, err := s.Engine.Traits().parseLogin(r.Current); err != nil {
		return secret.Document{}, err
	}
	return withNewPassword(s.Engine.Traits(), r)
}

// Preflight implements rotator.Preflighter: one login, two through a superuser. The superuser secret is read where
// AWSCURRENT names one.
func (s SingleUser) Preflight(ctx context.Context, r rotator.Rotation) []rotator.Finding {
	return s.preflight(ctx, r, s.otherStrategy(r), func(login Login, user string, _, p secret.Password) ([]Warning,
		error) {
		return s.Engine.DryRunSetPassword(ctx, login, user, p)
	})
}

// otherStrategy says what in a secret is of another strategy, which may have rotated it before: the environment of a
// function is replaced whole, and without a setting that chooses another, single user is the strategy.
func (s SingleUser) otherStrategy(r rotator.Rotation) string {
	const compare = " before, the function's environment may have been replaced: compare it with its deployment " +
		"(STRATEGY, SINGLE_USER_THROUGH_SUPERUSER)"
	user, suffix := r.Current.Text(keyUser), s.Engine.Traits().CloneSuffix
	arn, err := superuserARN(r)
	switch {
	case suffix != "" && strings.HasSuffix(user, suffix):
		return fmt.Sprintf("user %q has the name of a clone, and this function rotates that user alone. If "+
			"alternating users rotated this secret"+compare, user)
	case !s.ThroughSuperuser && err == nil && arn != "" && !namesItself(r, arn):
		return fmt.Sprintf("%s names a superuser secret, and this function has user %q change itself. If a superuser "+
			"or alternating users rotated this secret"+compare, keySuperuser, user)
	}
	return ""
}

// preflight rehearses apply, with the dry run of its set. remark is what there is to know beside its warnings.
func (s SingleUser) preflight(ctx context.Context, r rotator.Rotation, remark string,
	dryRun func(login Login, user string, keep, p secret.Password) ([]Warning, error)) []rotator.Finding {
	t := s.Engine.Traits()
	current, err := t.parseLogin(r.Current)
	if err == nil && r.Pending.IsZero() {
		r.Pending, err = withNewPassword(t, r)
	}
	if err != nil {
		return []rotator.Finding{rotator.NewFinding("S9", descKeys, err)}
	}
	seen := map[string]string{}
	var judgeUser func(context.Context) rotator.Finding
	if !s.ThroughSuperuser {
		judgeUser = judgeSelfChange(t, r, current)
	}
	return rehearsal{
		engine: s.Engine, rotation: r, current: current, seen: seen, remark: remark,
		superuser: s.superuser(ctx, r, seen, true), judgeUser: judgeUser,
		isManagedUser: func(user string) bool { return user == current.User },
		dryRun: func(acting, accepted Login, p secret.Password) ([]Warning, error) {
			if acting.For == nil {
				acting.For = s.holding(ctx, r, accepted, true)
			}
			return dryRun(acting, current.User, accepted.Password, p)
		},
	}.findings(ctx)
}

// superuser finds the superuser who acts for a login that works. nil: none does. seen is what
// logins show until then. preflight
// says that the pending value of r is a proposal, and another may be stored.
func (s SingleUser) superuser(ctx context.Context, r rotator.Rotation, seen map[string]string,
	preflight bool) func(Login) (Login, error) {
	if !s.ThroughSuperuser {
		return nil
	}
	return func(login Login) (Login, error) {
		t := s.Engine.Traits()
		superuser, d, err := superuserLogin(ctx, t, r, s.SuperuserSecretARN, login, login.User)
		if err == nil {
			err = judging(superuser, pinging(ctx, s.Engine, seen))(login)
		}
		if err != nil {
			return superuser, err
		}
		h := s.holding(ctx, r, login, preflight)
		h.Consent, h.Seen, h.secretARN = consents(d, true, login.User), seen, superuser.For.secretARN
		superuser.For = h
		return superuser, nil
	}
}

// holding is what the secret holds for the user of a login that works.
func (s SingleUser) holding(ctx context.Context, r rotator.Rotation, login Login, preflight bool) *Holding {
	t := s.Engine.Traits()
	isManagedUser := func(user string) bool { return user == login.User }
	value := func(d secret.Document) func() (Login, error) {
		return func() (Login, error) { return t.parseLogin(d) }
	}
	previous := previousLogin(ctx, t, r, login, isManagedUser)
	others := []func() (Login, error){value(r.Pending), previous}
	if preflight { // AWSPENDING has to be read too, and AWSPREVIOUS is there more often
		others = []func() (Login, error){previous, stored(ctx, t, r, login, isManagedUser)}
	}
	return &Holding{Users: []string{login.User},
		Passwords: passwordsOf(append([]func() (Login, error){fixedLogin(login), value(r.Current)}, others...)...)}
}

// Apply implements rotator.Strategy. On the common path it logs in once: as the
// current user, who changes the password.
func (s SingleUser) Apply(ctx context.Context, r rotator.Rotation) error {
	set := func(login Login, user string, _, p secret.Password) error {
		return s.Engine.SetPassword(ctx, login, user, p)
	}
	return s.apply(ctx, r, "changed its password", set, func(e Persister, login Login, user string,
		p secret.Password) error {
		return e.Persist(ctx, login, user, p)
	})
}

// apply has set give the account its password: p beside or in place of keep, by which the
// account logs in. Where p works already, finish completes that.
func (s SingleUser) apply(ctx context.Context, r rotator.Rotation, what string, set func(login Login, user string, keep,
	p secret.Password) error,
	finish func(e Persister, login Login, user string, p secret.Password) error) error {
	t := s.Engine.Traits()
	current, pending, err := s.parseLogins(t, r)
	if err != nil {
		return err
	}
	seen := map[string]string{}
	ping := pinging(ctx, s.Engine, seen)
	try := ping
	if !s.ThroughSuperuser {
		try = func(login Login) error { return set(login, current.User, login.Password, pending.Password) }
	}
	isManagedUser := func(user string) bool { return user == current.User }
	login, label, err := firstWorking(
		candidate{rotator.LabelCurrent, fixedLogin(current), try},
		candidate{rotator.LabelPending, fixedLogin(pending), ping},
		candidate{rotator.LabelPrevious, previousLogin(ctx, t, r, current, isManagedUser), try},
	)
	persister, persists := s.Engine.(Persister)
	done := label == rotator.LabelPending && !(s.ThroughSuperuser && t.SeveralAccounts)
	switch {
	case err != nil:
		return err
	case done && !persists:
		r.Logf("user %q has the pending password already", current.User)
		return nil
	case !s.ThroughSuperuser && !done:
		r.Logf("user %q, logged in with %s, %s", current.User, label, what)
		return nil
	}
	// Without working credentials, no value may have the superuser change the
	// password. AWSPENDING is such a credential
	// too: an earlier attempt may have been cut off between two accounts.
	acting := login
	if s.ThroughSuperuser {
		if acting, err = s.superuser(ctx, r, seen, false)(login); err != nil {
			return err
		}
	}
	if done {
		err = finish(persister, acting, current.User, pending.Password)
	} else {
		err = set(acting, current.User, login.Password, pending.Password)
	}
	if err != nil && s.ThroughSuperuser {
		err = fmt.Errorf("superuser %q: %w", acting.User, staleSuperuser(s.Engine, acting, err))
	}
	if err != nil {
		return err
	}
	if done {
		r.Logf("user %q has the pending password already, and the server has saved it", current.User)
		return nil
	}
	waitForReplica(ctx, s.Engine, r, acting, pending)
	r.Logf("superuser %q changed the password of user %q (verified with %s)", acting.User, current.User, label)
	return nil
}

// parseLogins reads both values and refuses a pending one for another account or place.
func (s SingleUser) parseLogins(t Traits, r rotator.Rotation) (current, pending Login, err error) {
	if current, pending, err = t.parseLogins(r); err != nil {
		return current, pending, err
	}
	if err = checkSameUser(current, pending); err != nil {
		err = fmt.Errorf("AWSPENDING: %w", err)
	}
	return current, pending, err
}

func checkSameUser(current, other Login) error {
	if other.User != current.User {
		return fmt.Errorf("%w: it is for user %q and AWSCURRENT for %q: single user rotation changes one account",
			rotator.KindConflict, other.User, current.User)
	}
	return checkSameDatabase(current, other)
}

// Verify implements rotator.Strategy: one login.
func (s SingleUser) Verify(ctx context.Context, r rotator.Rotation) error {
	if !r.Current.IsZero() {
		if err := checkSameTarget(s.Engine.Traits(), r, checkSameUser); err != nil {
			return err
		}
	}
	if err := pingValue(ctx, s.Engine, r.Pending); err != nil {
		return err
	}
	r.Logf("user %q logged in with the value under test", r.Pending.Text(keyUser))
	return nil
}

// LimitsFailedLogins implements rotator.FailedLoginLimiter.
func (s SingleUser) LimitsFailedLogins(secret.Document) bool {
	return !s.Engine.Traits().NoFailedLoginLimit
}

// ResetStatement implements rotator.PasswordResetter.
func (s SingleUser) ResetStatement(d secret.Document) string { return resetStatement(s.Engine, d) }

// Runners implements rotator.RunnerNamer.
func (s SingleUser) Runners(d secret.Document) rotator.Runners {
	arn := ""
	if s.ThroughSuperuser {
		arn = s.SuperuserSecretARN
	}
	return runners(s.Engine, d, arn)
}

// NotInDryRun implements rotator.PartialDryRun.
func (s SingleUser) NotInDryRun(ctx context.Context, r rotator.Rotation) (untold string, err error) {
	return notInDryRun(ctx, s.Engine, r, s.ThroughSuperuser, s.SuperuserSecretARN)
}

// TestUse implements rotator.UseTester.
func (s SingleUser) TestUse(ctx context.Context, r rotator.Rotation) (remark rotator.Sentence,
	err error) {
	remark, err = s.testUse(ctx, r)
	remark.Text = strings.Trim(remark.Text+"; "+s.otherStrategy(r), "; ")
	return remark, err
}

func (s SingleUser) testUse(ctx context.Context, r rotator.Rotation) (rotator.Sentence, error) {
	arn := ""
	if s.ThroughSuperuser {
		arn = s.SuperuserSecretARN
	}
	return testUse(ctx, s.Engine, r, arn, false)
}
