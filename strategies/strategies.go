// Package strategies rotates database passwords: the logic of single user and of
// alternating users, written once for every engine.
//
// To add a database, write one file: a type with the methods of Engine, and with
// EnsureClone as well if users can alternate on it. Keep it stateless; log in as
// you are told, do one thing, log out; map every error of the driver to a kind in
// one function; put no password into a statement where the server takes anything
// better. Then run strategytest.TestEngine on it: each of its cases says why it is
// there. strategytest.Memory is a small engine to read first.
package strategies

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
)

// withNewPassword is the value that createSecret stores: everything as it was, but
// for the password.
func withNewPassword(t Traits, r rotator.Rotation) (secret.Document, error) {
	p, err := r.Policy.Or(t.Exclude).Generate()
	if err != nil {
		return secret.Document{}, fmt.Errorf("password policy: %w: %w", rotator.Misconfigured, err)
	}
	if n := len(p.Reveal()); t.MaxPasswordSize > 0 && n > t.MaxPasswordSize {
		return secret.Document{}, fmt.Errorf("password policy: %w: passwords of %d bytes, and %s takes %d: lower PASSWORD_LENGTH", rotator.Misconfigured, n, t.Name, t.MaxPasswordSize)
	}
	return r.Current.SetPassword(p), nil
}

// verify logs in with a value.
func verify(ctx context.Context, e Engine, d secret.Document) error {
	as, err := e.Traits().login(d)
	if err != nil {
		return err
	}
	return e.Ping(ctx, as)
}

// underTest refuses to have a value tested that is not for the account and place of
// AWSCURRENT, by the rule that says so.
func underTest(t Traits, r rotator.Rotation, rule func(current, other Login) error) error {
	current, err := t.login(r.Current)
	if err != nil {
		return fmt.Errorf("AWSCURRENT: %w", err)
	}
	other, err := t.login(r.Pending)
	if err == nil {
		err = rule(current, other)
	}
	if err != nil {
		return fmt.Errorf("value under test: %w", err)
	}
	return nil
}

// candidate is a set of credentials to try, and what trying it means.
type candidate struct {
	label string
	login func() (Login, error) // errNoCandidate: there is none
	try   func(Login) error
}

// errNoCandidate leaves a candidate out.
var errNoCandidate = errors.New("no such credentials")

// firstAccepted tries candidates in turn and gives the login that the database
// accepted. It goes on to the next only after a rejected login: any other failure
// says nothing of the credentials, and trying others could lock the account. None is
// tried twice. The error lists every attempt with its own cause.
//
// Rejected logins in a row count against an account. So the pending value comes right
// after AWSCURRENT wherever there is one: on a retry, one of the two works.
func firstAccepted(candidates ...candidate) (Login, string, error) {
	var tried rotator.Attempts
	var logins []Login
	for _, c := range candidates {
		as, err := c.login()
		again := func(l Login) bool { return l.User == as.User && l.Password.Equal(as.Password) }
		if errors.Is(err, errNoCandidate) || err == nil && slices.ContainsFunc(logins, again) {
			continue
		}
		logins = append(logins, as)
		if err == nil {
			err = c.try(as)
		}
		if err == nil {
			return as, c.label, nil
		}
		tried = append(tried, rotator.Attempt{Label: c.label, User: as.User, Err: err})
		if !errors.Is(err, rotator.LoginRejected) {
			break
		}
	}
	if len(tried) == 1 {
		return Login{}, "", fmt.Errorf("%s: %w", tried[0].Label, tried[0].Err)
	}
	return Login{}, "", fmt.Errorf("no stored credentials work: %w", tried)
}

// always makes a candidate of a login that is known.
func always(as Login) func() (Login, error) {
	return func() (Login, error) { return as, nil }
}

// previous makes a candidate of AWSPREVIOUS: its user and password, at the place
// and under the TLS rules of AWSCURRENT. It is left out where it names another
// host or an account that this secret does not rotate, so that its password goes
// nowhere else.
func previous(ctx context.Context, t Traits, r rotator.Rotation, current Login, ours func(user string) bool) func() (Login, error) {
	return func() (Login, error) {
		d, err := r.Previous(ctx)
		if errors.Is(err, rotator.NotFound) {
			return Login{}, errNoCandidate
		}
		if err != nil {
			return Login{}, err
		}
		as, err := t.login(d)
		if err != nil || !ours(as.User) || !sameHost(as, current) {
			return Login{}, errNoCandidate
		}
		there := current
		there.User, there.Password = as.User, as.Password
		return there, nil
	}
}

// stored makes a candidate of the value that an earlier attempt stored under
// AWSPENDING. It is left out where Apply would refuse it.
func stored(ctx context.Context, t Traits, r rotator.Rotation, current Login, ours func(user string) bool) func() (Login, error) {
	return func() (Login, error) {
		if r.ReadPending == nil {
			return Login{}, errNoCandidate
		}
		d, err := r.ReadPending(ctx)
		if errors.Is(err, rotator.NotFound) {
			return Login{}, errNoCandidate
		}
		if err != nil {
			return Login{}, err
		}
		as, err := t.login(d)
		if err != nil || !ours(as.User) || samePlace(current, as) != nil {
			return Login{}, errNoCandidate
		}
		return as, nil
	}
}

// superuser reads the secret that masterarn names, or else otherwise, and gives
// its login. The host is that secret's own, never the rotated secret's, or whoever
// may write the one could send the other's password anywhere; and it must be the
// same host, or the superuser would act on another server than the one whose secret
// this is. The one exception is AWS's: where the rotated secret is for a reader or a
// replica, which takes no changes, the superuser works where the changes come from.
// The database is the rotated secret's, as in AWS's templates.
func superuser(ctx context.Context, t Traits, r rotator.Rotation, otherwise string, current Login) (Login, error) {
	arn := r.Current.Text(keySuperuser)
	if arn == "" {
		arn = otherwise
	}
	if arn == "" {
		return Login{}, fmt.Errorf("secret: %w: the key %s is missing: it names the secret of the superuser who sets the password (SUPERUSER_SECRET_ARN names one for all secrets without the key)", rotator.Misconfigured, keySuperuser)
	}
	if !rotator.ValidSecretID(arn) {
		return Login{}, fmt.Errorf("secret: %w: %s is not a secret's ARN", rotator.Misconfigured, keySuperuser)
	}
	d, err := r.Related(ctx, arn)
	if err != nil {
		return Login{}, fmt.Errorf("superuser's secret %s: %w", arn, err)
	}
	as, err := t.login(d)
	if err != nil {
		return Login{}, fmt.Errorf("superuser's secret %s: %w", arn, err)
	}
	if !sameHost(as, current) {
		if err := serves(ctx, r, d, current); err != nil {
			return Login{}, fmt.Errorf("superuser's secret %s: it is for %s:%d and the secret to rotate for %s:%d: both must name the same server, or the latter a replica of the former: %w", arn, as.Host, as.Port, current.Host, current.Port, err)
		}
	}
	as.Database = current.Database
	return as, nil
}

// arrived gives a change that the superuser has made elsewhere the time to reach the
// reader or replica that the secret is for: there, testSecret would come too early.
// It is no failure if the change does not arrive. testSecret judges, and the service
// starts over. A rejected login may count against the account, so one is all it takes.
func arrived(ctx context.Context, e Engine, r rotator.Rotation, admin, pending Login) {
	if sameHost(admin, pending) {
		return
	}
	wait := func(d time.Duration) bool {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(d):
			return true
		}
	}
	if !wait(500*time.Millisecond) || !errors.Is(e.Ping(ctx, pending), rotator.LoginRejected) {
		return
	}
	wait(2 * time.Second)
	r.Note("the change made at %s:%d had not replicated to %s:%d after half a second", admin.Host, admin.Port, pending.Host, pending.Port)
}

// serves asks whether a login goes to another endpoint of the superuser's database.
func serves(ctx context.Context, r rotator.Rotation, superuser secret.Document, as Login) error {
	if r.Serves == nil {
		return fmt.Errorf("host: %w: nobody here knows of replicas", rotator.Conflict)
	}
	return r.Serves(ctx, superuser, as.Host, as.Port)
}
