package rotator

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// A Kind says what sort of failure an error is. The set is closed: decisions,
// logs and metrics use the kind and never the text. A Kind is itself an error,
// so it is wrapped beside its cause and found again with errors.Is:
//
//	fmt.Errorf("login as %s: %w: %w", user, rotator.KindLoginRejected, err)
type Kind string

const (
	// KindMisconfigured is a secret, event or environment that cannot work as it stands.
	KindMisconfigured Kind = "misconfigured"
	// KindNotFound is a secret, version or value that does not exist.
	KindNotFound Kind = "not found"
	// KindAccessDenied is a call that AWS refused: secret, key, or a policy in between.
	KindAccessDenied Kind = "access denied"
	// KindLoginRejected means, and alone means, that the database answered and did
	// not accept these credentials. Only this kind lets a strategy try others.
	KindLoginRejected Kind = "login rejected"
	// KindUnreachable is a name that does not resolve, a closed port, or silence.
	KindUnreachable Kind = "unreachable"
	// KindTLS is a certificate or handshake that did not hold. It never leads
	// to a connection without TLS.
	KindTLS Kind = "tls"
	// KindPrivilege is something that the database understood and does not allow
	// this account to do.
	KindPrivilege Kind = "insufficient privilege"
	// KindNotEntitled is an account whose password this secret may not set: nothing
	// proves that it belongs to the secret, or it can do more than the account in use.
	KindNotEntitled Kind = "not entitled"
	// KindPasswordPolicy is a password that the database's own policy refused.
	KindPasswordPolicy Kind = "password policy"
	// KindReadOnly is a replica, a reader endpoint or a server set to read only.
	KindReadOnly Kind = "read only"
	// KindTooManyConnections is a server, database or role with no free slot.
	KindTooManyConnections Kind = "too many connections"
	// KindConflict is a state in which this rotation must not go on: labels moved,
	// identities that do not agree, a version that is not pending.
	KindConflict Kind = "conflict"
	// KindThrottled is AWS asking for fewer requests, or failing on its side.
	KindThrottled Kind = "throttled"
	// KindDeadline is a deadline of ours, or too little time left to begin.
	KindDeadline Kind = "deadline exceeded"
	// KindInternal is everything that none of the above describes.
	KindInternal Kind = "internal"
)

// Error makes a Kind usable with %w.
func (k Kind) Error() string { return string(k) }

// isAnswer says whether an error of the kind names what is wrong: not that AWS or the database did not answer, for now
// or for a reason that it did not give.
func (k Kind) isAnswer() bool {
	switch k {
	case "", KindUnreachable, KindTooManyConnections, KindThrottled, KindDeadline, KindInternal:
		return false
	}
	return true
}

// ErrOtherEngine is wrapped beside KindMisconfigured by a Strategy that is given a secret
// of an engine which it does not rotate: another function's, most likely.
const ErrOtherEngine = reason("another engine")

type reason string

func (r reason) Error() string { return string(r) }

// A LoginError is an error of Strategy.Verify that was met on the way into the
// database. Such a value can be used: what is wrong is not in it.
type LoginError interface {
	error
	AtLogin()
}

// An AcceptedPassword is an error of Strategy.Verify of a login that the database ended after it had accepted the
// password, as where its database is gone or no connection is free for its user. The password is the one set.
type AcceptedPassword interface {
	error
	PasswordAccepted()
}

// A PartialLogin is a rejected login of a value that other servers of the same value let in: it is the right one, and
// those that reject it are behind. What it was given by [WithFix] has them let it in, too.
type PartialLogin interface {
	error
	PartlyLetIn()
}

// KindOf finds the kind of an error: the first Kind in its chain, KindDeadline for
// a deadline, Internal for anything else. It is "" for nil.
func KindOf(err error) Kind {
	var k Kind
	switch {
	case err == nil:
		return ""
	case errors.As(err, &k):
		return k
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return KindDeadline
	}
	return KindInternal
}

// Retryable says whether the same call may succeed later although nothing was fixed in
// between: AWS asked for fewer requests, no connection was free, nothing answered, or
// the time was over. Secrets Manager then tries the rotation again by itself. An error
// that has the method Retryable() bool knows better than its kind: a lock passes, and
// a server in offline mode stays in it.
func Retryable(err error) bool {
	if e, ok := errors.AsType[interface {
		error
		Retryable() bool
	}](err); ok {
		return e.Retryable()
	}
	switch KindOf(err) {
	case KindThrottled, KindTooManyConnections, KindUnreachable, KindDeadline:
		return true
	}
	return false
}

// refusesAccount says whether the server has refused this very account, and might let another in: by any answer but
// those that every account shares. An error that has the method OfAccount() bool knows better than its kind: of the
// limits on connections and on time, some are an account's own.
func refusesAccount(err error) bool {
	if e, ok := errors.AsType[interface {
		error
		OfAccount() bool
	}](err); ok && e.OfAccount() {
		return true
	}
	switch KindOf(err) {
	case "", KindUnreachable, KindTLS, KindReadOnly, KindTooManyConnections, KindThrottled, KindDeadline:
		return false
	}
	return true
}

// WithHint adds to an error what to do now, which [StepError.Hint] repeats. The text of
// the error ends with it, in parentheses. Of several in a chain, the outermost counts.
func WithHint(err error, hint string) error {
	if err == nil || hint == "" {
		return err
	}
	return hinted{err, hint}
}

type hinted struct {
	error
	hint string
}

func (h hinted) Error() string { return h.error.Error() + " (" + h.hint + ")" }
func (h hinted) Unwrap() error { return h.error }
func (h hinted) Hint() string  { return h.hint }

// isAccepted says whether the database accepted the password before it ended the login.
func isAccepted(err error) bool {
	var a AcceptedPassword
	return errors.As(err, &a)
}

// knownHint is what an error itself says is to be done; "": it does not.
func knownHint(err error) string {
	if h, ok := errors.AsType[interface {
		error
		Hint() string
	}](err); ok {
		return h.Hint()
	}
	return ""
}

// kindHint is what helps against errors of a kind; docs/runbook.md says more.
func kindHint(k Kind) string {
	switch k {
	case KindMisconfigured:
		return "correct what the error names: in the secret, the event or the environment"
	case KindNotFound:
		return "check the name, the Region and the account; give a secret without a value the credentials now in use"
	case KindAccessDenied:
		return "allow the call that the error names"
	case KindLoginRejected, KindConflict:
		return "send the event status: it says which stored version works, and what to do"
	case KindUnreachable:
		return "check host, port, security groups and routes; after an outage the service tries again by itself"
	case KindTLS:
		return "fix the certificate or the host name; the function never connects without TLS by itself"
	case KindPrivilege:
		return "run the statement that the error names, in the database"
	case KindNotEntitled:
		return "do what the error names, so that the account provably belongs to the secret"
	case KindPasswordPolicy:
		return "adjust the password settings of the function to the policy of the server"
	case KindReadOnly:
		return "use the writer endpoint as host"
	case KindTooManyConnections:
		return "free a connection, or raise the limit; the service tries again by itself"
	case KindThrottled:
		return "wait: the service tries again by itself"
	case KindDeadline:
		return "increase the timeout of the function, or find what is slow"
	}
	return "report it, with the error and the log of the function"
}

// A StepError is what a step of a rotation returns. It is a type of its own
// because Lambda reports the Go type name of the outermost error as errorType,
// and alarms and dashboards can count on it. Its text holds no secret.
type StepError struct {
	Step      Step
	SecretID  string // ARN
	VersionID string
	Kind      Kind
	// Hint is what to do now, for programs that show it by itself: the policy statement
	// to add, if one is known, and otherwise what helps against errors of the Kind.
	Hint string
	Err  error
}

func (e *StepError) Error() string {
	if e.SecretID == "" {
		return e.Err.Error()
	}
	return fmt.Sprintf("%s of %s: %v", e.Step, e.SecretID, e.Err)
}

func (e *StepError) Unwrap() error { return e.Err }

// A LoginAttempt is one set of credentials that was tried, and what came of it.
type LoginAttempt struct {
	Label string // AWSCURRENT, AWSPENDING or AWSPREVIOUS
	User  string
	Err   error
}

// LoginAttempts lists every set of credentials that was tried, each with its own
// cause, in the order in which they were tried. Its kind is that of the last. Where that
// is no rejected login, at which a strategy stops, its own error may stand alone.
type LoginAttempts []LoginAttempt

func (a LoginAttempts) Error() string {
	lines := make([]string, len(a))
	for i, t := range a {
		lines[i] = fmt.Sprintf("%s (user %q): %v", t.Label, t.User, t.Err)
	}
	return strings.Join(lines, "; ")
}

// Unwrap gives the causes, the last first: KindOf must see what ended the search.
func (a LoginAttempts) Unwrap() []error {
	errs := make([]error, 0, len(a))
	for i := len(a) - 1; i >= 0; i-- {
		errs = append(errs, a[i].Err)
	}
	return errs
}
