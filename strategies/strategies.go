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
	"strings"
	"time"

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
		return secret.Document{}, fmt.Errorf("password policy: %w: passwords of %d bytes, and %s takes %d: lower PASSWORD_LENGTH", rotator.KindMisconfigured, n, t.Name, t.MaxPasswordSize)
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
// tried twice. The error lists every attempt with its own cause.
//
// Rejected logins in a row count against an account. So the pending value comes right
// after AWSCURRENT wherever there is one: on a retry, one of the two works.
func firstWorking(candidates ...candidate) (Login, string, error) {
	var tried rotator.LoginAttempts
	var logins []Login
	for _, c := range candidates {
		login, err := c.login()
		again := func(l Login) bool { return l.User == login.User && l.Password.Equal(login.Password) }
		if errors.Is(err, errNoCandidate) || err == nil && slices.ContainsFunc(logins, again) {
			continue
		}
		logins = append(logins, login)
		if err == nil {
			err = c.try(login)
		}
		if err == nil {
			return login, c.label, nil
		}
		tried = append(tried, rotator.LoginAttempt{Label: c.label, User: login.User, Err: err})
		if !errors.Is(err, rotator.KindLoginRejected) {
			break
		}
	}
	if len(tried) == 0 {
		return Login{}, "", errNoCandidate
	}
	if len(tried) == 1 {
		return Login{}, "", fmt.Errorf("%s: %w", tried[0].Label, tried[0].Err)
	}
	return Login{}, "", fmt.Errorf("no stored credentials work: %w", tried)
}

// lostUser adds to an error of a superuser what to do where the user of AWSCURRENT is
// gone and AWSPREVIOUS logs in: a failover or a restored backup has lost a clone that a
// rotation made shortly before. No later rotation mends that; label is the version that
// logged in.
func lostUser(r rotator.Rotation, label string, err error) error {
	if label != rotator.LabelPrevious || !errors.Is(err, rotator.KindNotFound) {
		return err
	}
	return fmt.Errorf("%w (AWSCURRENT is rejected and AWSPREVIOUS works: a failover or a restored backup may have lost the user of AWSCURRENT. Roll back, and the next rotation makes it again: {\"Step\":\"recover\",\"Action\":\"rollback\",\"SecretId\":\"%s\"})", err, r.SecretARN)
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
func previousLogin(ctx context.Context, t Traits, r rotator.Rotation, current Login, isManagedUser func(user string) bool) func() (Login, error) {
	return func() (Login, error) {
		d, err := r.ReadPrevious(ctx)
		if errors.Is(err, rotator.KindNotFound) {
			return Login{}, errNoCandidate
		}
		if err != nil {
			return Login{}, err
		}
		login, err := t.parseLogin(d)
		if err != nil || !isManagedUser(login.User) || !sameEndpoint(login, current) || !asStrict(current, login) || differing(current.Extra, login.Extra) != nil {
			return Login{}, errNoCandidate
		}
		there := current
		there.User, there.Password = login.User, login.Password
		return there, nil
	}
}

// stored makes a candidate of the value that an earlier attempt stored under
// AWSPENDING. It is left out where Apply would refuse it.
func stored(ctx context.Context, t Traits, r rotator.Rotation, current Login, isManagedUser func(user string) bool) func() (Login, error) {
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

// superuserLogin reads the secret that masterarn names, or else otherwise, and gives
// its login. The host is that secret's own, never the rotated secret's, or anyone who
// may write the one could send the other's password anywhere; and it must be the
// same host, or the superuser would act on another server than the one whose secret
// this is. The one exception is AWS's: where the rotated secret is for a reader or a
// replica, which takes no changes, the superuser works where the changes come from.
// The database is the rotated secret's, as in AWS's templates.
//
// It must be no account of users, of which the rotation is: a secret that names itself,
// or whose user is the superuser, would have the superuser's own password set.
func superuserLogin(ctx context.Context, t Traits, r rotator.Rotation, fallbackARN string, current Login, users ...string) (Login, secret.Document, error) {
	arn, err := superuserARN(r)
	if err != nil {
		return Login{}, secret.Document{}, err
	}
	if arn == "" {
		arn = fallbackARN
	}
	if arn == "" {
		return Login{}, secret.Document{}, fmt.Errorf("secret: %w: key %s is missing: set it to the superuser secret's ARN, or set SUPERUSER_SECRET_ARN", rotator.KindMisconfigured, keySuperuser)
	}
	d, err := r.ReadSecret(ctx, arn)
	if err != nil {
		return Login{}, secret.Document{}, fmt.Errorf("superuser secret %s: %w", arn, err)
	}
	login, err := t.parseLogin(d)
	if err != nil {
		return Login{}, secret.Document{}, fmt.Errorf("superuser secret %s: %w", arn, err)
	}
	if !sameEndpoint(login, current) {
		if err := checkIsEndpoint(ctx, r, d, current); err != nil {
			return Login{}, secret.Document{}, fmt.Errorf("superuser secret %s is for %s:%d, the rotated secret for %s:%d, which must be the same server or its replica: %w", arn, login.Host, login.Port, current.Host, current.Port, err)
		}
	}
	if keys := differing(t.serverKeys(login), t.serverKeys(current)); keys != nil {
		return Login{}, secret.Document{}, fmt.Errorf("superuser's secret %s: %w: it and the secret to rotate differ in %s, which names servers: both must say the same", arn, rotator.KindConflict, strings.Join(keys, ", "))
	}
	login.Database = current.Database
	// What the rotated secret says of this place is enough: whether a pooler there knows
	// the superuser's password does not matter to the secret's clients.
	login.PoolerForwardsLogins = login.PoolerForwardsLogins || current.PoolerForwardsLogins
	for _, name := range []string{login.User, d.Text(keyAlternate)} {
		if slices.Contains(users, name) {
			return login, d, NotEntitled("superuser secret %s is for user %q, whose password this rotation may not set: %s must name another secret, of another user", arn, name, keySuperuser)
		}
	}
	return login, d, nil
}

// superuserARN reads masterarn. What templates of others put there by mistake is said,
// for Secrets Manager would only say that it finds no such secret.
func superuserARN(r rotator.Rotation) (string, error) {
	wrong := func(format string, args ...any) (string, error) {
		return "", fmt.Errorf("secret: %w: %s is "+format, append([]any{rotator.KindMisconfigured, keySuperuser}, args...)...)
	}
	shape := r.Current.Shape(keySuperuser)
	if shape == "an array" || shape == "an object" {
		return wrong("%s: it must be the ARN alone, a string (Terraform: master_user_secret[0].secret_arn)", shape)
	}
	arn, err := optionalText(r.Current, keySuperuser)
	if err != nil || arn == "" {
		return "", err
	}
	parts := strings.Split(arn, ":")
	own := strings.Split(r.SecretARN, ":")
	switch {
	case strings.TrimSpace(arn) != arn:
		return wrong("%.200q, with white space around it: store it without", arn)
	case !rotator.ValidSecretID(arn):
		return wrong("not a secret's ARN: it is too long, or holds what no ARN does")
	case parts[0] == "arn" && (len(parts) < 7 || parts[2] != "secretsmanager" || parts[5] != "secret"):
		return wrong("%.200q, and not the ARN of a secret (arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME): RDS gives the secret that it manages as MasterUserSecret.SecretArn in describe-db-instances", arn)
	case parts[0] == "arn" && len(own) > 3 && parts[3] != own[3]:
		return wrong("%s, in Region %s, and this function reads secrets in %s: name a secret there, or a replica of that one (aws secretsmanager replicate-secret-to-regions)", arn, parts[3], own[3])
	}
	return arn, nil
}

// waitForReplica gives a change that the superuser has made elsewhere the time to reach the
// reader or replica that the secret is for: there, testSecret would come too early.
// It is no failure if the change does not arrive. testSecret judges, and the service
// starts over. A rejected login may count against the account, so one is all it takes.
func waitForReplica(ctx context.Context, e Engine, r rotator.Rotation, superuser, pending Login) {
	if sameEndpoint(superuser, pending) {
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
	if !wait(500*time.Millisecond) || !errors.Is(e.Ping(ctx, pending), rotator.KindLoginRejected) {
		return
	}
	wait(2 * time.Second)
	r.Logf("the change made at %s:%d has not replicated to %s:%d yet", superuser.Host, superuser.Port, pending.Host, pending.Port)
}

// checkIsEndpoint asks whether a login goes to another endpoint of the superuser's database.
func checkIsEndpoint(ctx context.Context, r rotator.Rotation, superuser secret.Document, login Login) error {
	if r.IsEndpointOf == nil {
		return fmt.Errorf("host: %w: this Store cannot look up replicas", rotator.KindConflict)
	}
	return r.IsEndpointOf(ctx, superuser, login.Host, login.Port)
}
