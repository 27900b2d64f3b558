package strategies

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/quarterturn-dev/quarterturn/rotator"
)

// candidate is a set of credentials to try, and what trying it means.
type candidate struct {
	label string
	login func() (Login, error) // errNoCandidate: there is none
	try   func(Login) error
}

// errNoCandidate leaves a candidate out.
var errNoCandidate = errors.New("no such credentials")

// firstWorking tries candidates in turn and gives the login that the database
// accepted. It goes on to the next only after a rejected login: any other failure
// says nothing of the credentials, and trying others could lock the account. None is
// tried twice. The error lists every attempt with its own cause, and is of the kind of the last.
//
// Rejected logins in a row count against an account. So the pending value comes right
// after AWSCURRENT wherever there is one: on a retry, one of the two works.
func firstWorking(candidates ...candidate) (Login, string, error) {
	var tried rotator.LoginAttempts
	var logins []Login
	var fixes []rotator.Fix // of what is printed twice, that of AWSCURRENT counts, which clients have
	for _, c := range candidates {
		login, err := c.login()
		again := func(l Login) bool { return l.User == login.User && l.Password.Equal(login.Password) }
		if errors.Is(err, errNoCandidate) || slices.ContainsFunc(logins, again) {
			continue
		}
		if err == nil {
			logins = append(logins, login)
			err = c.try(login)
		}
		if err == nil {
			return login, c.label, nil
		}
		tried = append(tried, rotator.LoginAttempt{Label: c.label, User: login.User, Err: err})
		fixes = append(fixes, labelled(err, c.label)...)
		if !errors.Is(err, rotator.KindLoginRejected) {
			break
		}
	}
	if len(tried) == 0 {
		return Login{}, "", errNoCandidate
	}
	if len(tried) == 1 {
		return Login{}, "", rotator.WithFix(fmt.Errorf("%s: %w", tried[0].Label, tried[0].Err), "", fixes...)
	}
	last := tried[len(tried)-1]
	if !errors.Is(last.Err, rotator.KindLoginRejected) { // it may be let in, and what comes next fail
		return Login{}, "", fmt.Errorf("%v; %s (user %q): %w", tried[:len(tried)-1], last.Label, last.User, last.Err)
	}
	return Login{}, "", rotator.WithFix(fmt.Errorf("no stored credentials work: %w", tried), "", fixes...)
}

// labelled are the lines in an error of a login, and those that set a password say of which version it is.
func labelled(err error, label string) []rotator.Fix {
	fixes := rotator.FixesOf(err)
	for i, fix := range fixes {
		if fix.PasswordOf == "" && fix.TakesPassword() {
			fixes[i].PasswordOf = label
		}
	}
	return fixes
}

// fixedLogin makes a candidate of a login that is known.
func fixedLogin(login Login) func() (Login, error) {
	return func() (Login, error) { return login, nil }
}

// previousLogin makes a candidate of AWSPREVIOUS: its user and password, at the place
// and under the TLS rules of AWSCURRENT. It is left out where it names another
// host or an account that this secret does not rotate, or wants TLS where AWSCURRENT
// has none or of a server of another name, so that its password goes nowhere that
// its own value does not send it.
func previousLogin(ctx context.Context, t Traits, r rotator.Rotation, current Login,
	isManagedUser func(user string) bool) func() (Login, error) {
	return func() (Login, error) {
		d, err := r.ReadPrevious(ctx)
		if errors.Is(err, rotator.KindNotFound) {
			return Login{}, errNoCandidate
		}
		if err != nil {
			return Login{}, err
		}
		login, err := t.parseLogin(d)
		if err != nil || !isManagedUser(login.User) || !sameEndpoint(login, current) || !asStrict(current, login) ||
			differing(current.Extra, login.Extra) != nil {
			return Login{}, errNoCandidate
		}
		there := current
		there.User, there.Password = login.User, login.Password
		return there, nil
	}
}

// stored makes a candidate of the value that an earlier attempt stored under
// AWSPENDING. It is left out where Apply would refuse it.
func stored(ctx context.Context, t Traits, r rotator.Rotation, current Login,
	isManagedUser func(user string) bool) func() (Login, error) {
	return func() (Login, error) {
		if r.ReadPending == nil {
			return Login{}, errNoCandidate
		}
		d, err := r.ReadPending(ctx)
		if errors.Is(err, rotator.KindNotFound) {
			return Login{}, errNoCandidate
		}
		if err != nil {
			return Login{}, err
		}
		login, err := t.parseLogin(d)
		if err != nil || !isManagedUser(login.User) || checkSameDatabase(current, login) != nil {
			return Login{}, errNoCandidate
		}
		return login, nil
	}
}
