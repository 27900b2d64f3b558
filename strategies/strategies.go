// Package strategies rotates database passwords: the logic of single user and of
// alternating users, written once for every engine.
//
// To add a database, write one file: a type with the methods of Engine, and with
// EnsureClone as well if users can alternate on it. Keep it stateless; log in as
// you are told, do one thing, log out; map every error of the driver to a kind in
// one function; put no password into a statement where the server takes anything
// better. Then run strategytest.TestEngine on it: each of its cases says why it is
// there. The engine to copy is strategytest/shelf, and docs/writing-an-engine.md the way.
package strategies

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
)

// withNewPassword is the value that createSecret stores: everything as it was, but
// for the password.
func withNewPassword(t Traits, r rotator.Rotation) (secret.Document, error) {
	p, err := r.PasswordPolicy.WithDefaultExclusions(t.ExcludeCharacters).Generate()
	if err != nil {
		return secret.Document{}, fmt.Errorf("password policy: %w: %w", rotator.KindMisconfigured, err)
	}
	if n := len(p.Reveal()); t.MaxPasswordSize > 0 && n > t.MaxPasswordSize {
		return secret.Document{},
			fmt.Errorf("password policy: %w: passwords of %d bytes, and %s takes %d: lower PASSWORD_LENGTH",
				rotator.KindMisconfigured, n, t.Name, t.MaxPasswordSize)
	}
	return r.Current.SetPassword(p), nil
}

// pingValue logs in with a value.
func pingValue(ctx context.Context, e Engine, d secret.Document) error {
	login, err := e.Traits().parseLogin(d)
	if err != nil {
		return err
	}
	return e.Ping(ctx, login)
}

// checkSameTarget refuses to have a value tested that is not for the account and place of
// AWSCURRENT, by the rule that says so.
func checkSameTarget(t Traits, r rotator.Rotation, rule func(current, other Login) error) error {
	current, err := t.parseLogin(r.Current)
	if err != nil {
		return fmt.Errorf("AWSCURRENT: %w", err)
	}
	other, err := t.parseLogin(r.Pending)
	if err == nil {
		err = rule(current, other)
	}
	if err != nil {
		return fmt.Errorf("value under test: %w", err)
	}
	return nil
}

// resetStatement implements rotator.PasswordResetter for the strategies.
func resetStatement(e Engine, d secret.Document) string {
	r, ok := e.(Resetter)
	if user := d.Text(keyUser); ok && user != "" {
		return r.ResetStatement(user)
	}
	return ""
}

// runners implements rotator.RunnerNamer for the strategies.
func runners(e Engine, d secret.Document, fallbackARN string) rotator.Runners {
	return rotator.Runners{Administrators: e.Traits().Administrators,
		Superuser: fallbackARN != "" || d.Text(keySuperuser) != ""}
}

// notInDryRun implements rotator.PartialDryRun for the strategies. superuser says that the user does not change itself.
func notInDryRun(ctx context.Context, e Engine, r rotator.Rotation, superuser bool, fallbackARN string) (untold string,
	err error) {
	p, ok := e.(PartialDryRun)
	if !ok {
		return "", nil
	}
	t := e.Traits()
	login, err := t.parseLogin(r.Current)
	if err == nil && superuser {
		login, _, err = superuserLogin(ctx, t, r, fallbackARN, login, login.User)
	}
	if err != nil { // whose kind is of nothing that an attempt has met
		return "", errors.New(err.Error())
	}
	return p.NotInDryRun(ctx, login)
}

// testUse implements rotator.UseTester for the strategies. A superuser, where there is one, sees more than the user in
// use can be told of itself. That it cannot be asked is no finding. clones says that a rotation gives both users of the
// pair the same.
func testUse(ctx context.Context, e Engine, r rotator.Rotation, fallbackARN string, clones bool) (
	remark rotator.Sentence, err error) {
	tester, ok := e.(UseTester)
	if !ok {
		return remark, nil
	}
	t := e.Traits()
	login, err := t.parseLogin(r.Current)
	if err != nil {
		return remark, err
	}
	remark, err = tester.TestUse(ctx, login)
	pairs, ok := e.(PairTester)
	if err != nil || !ok || fallbackARN == "" && r.Current.Text(keySuperuser) == "" {
		return remark, err
	}
	pair, err := t.parsePair(r.Current, login.User)
	if err != nil {
		return remark, nil
	}
	superuser, _, err := superuserLogin(ctx, t, r, fallbackARN, login, pair.InUse(), pair.Target)
	pair.PasswordOnly = !clones
	var lacks rotator.Sentence
	var differ string
	if err == nil {
		superuser.For.Passwords = passwordsOf(func() (Login, error) { return login, nil })
		lacks, differ, err = pairs.TestPair(ctx, superuser, pair)
	}
	switch {
	case err != nil && remark.Text != "":
		remark.Text = strings.Trim(remark.Text+"; "+differ, "; ") + "; the superuser could not be asked: " + err.Error()
		return remark, nil
	case err != nil || lacks.Text == "":
		remark.Text = strings.Trim(remark.Text+"; "+differ, "; ")
		return remark, nil
	}
	return rotator.Sentence{}, rotator.WithFix(fmt.Errorf("%w: %s", rotator.KindPrivilege, lacks), "", lacks.Fixes...)
}
