package rotator

import (
	"context"

	"github.com/quarterturn-dev/quarterturn/rotator/secret"
)

// Strategy rotates one kind of credential. The core has checked the event, the
// secret and its labels before it calls, and moves labels afterwards; a Strategy
// never sees either. All three methods may be called again at any time, also at
// the same time by a duplicate invocation, and must then come to the same end.
//
// An error wraps the Kind that fits. KindLoginRejected has a strict meaning, see there.
type Strategy interface {
	// Propose proposes the pending value from r.Current. It changes nothing
	// anywhere and keeps every member that it has no reason to change.
	Propose(ctx context.Context, r Rotation) (secret.Document, error)
	// Apply makes r.Pending valid where the credential is used. It returns nil
	// when it is so already. It checks that r.Pending and r.Current name the same
	// account and place before it sends a password anywhere.
	Apply(ctx context.Context, r Rotation) error
	// Verify proves that r.Pending works, by using it. It changes nothing. Where
	// r.Current is there, r.Pending need not have been through Apply: as Apply does, it
	// first checks that both name the same account and place, and is KindConflict
	// otherwise.
	Verify(ctx context.Context, r Rotation) error
}

// Minter is an optional ability of a Strategy, for a provider that makes the secret part
// of a credential itself, as most do with API keys. Propose, which also serves status and
// preflights, then gives a value with a stand-in of its own making in that member.
type Minter interface {
	// Mint has the provider make a credential, and gives r.Pending, which Propose made,
	// with it. It is called in createSecret alone, after the preflight and immediately
	// before the value is stored. A credential that is made need not be usable before
	// Apply. No value that is stored may stop working, but for AWSPREVIOUS where the provider has
	// two places for credentials and no third.
	//
	// A function can end between Mint and the storing. createSecret is then called again
	// for the same r.VersionID: name the credential after it at the provider, so that
	// Mint finds, and replaces, what was left.
	Mint(ctx context.Context, r Rotation) (secret.Document, error)
	// Discard removes at the provider what Mint made, r.Pending: it could not be stored,
	// and no account will ever have it.
	Discard(ctx context.Context, r Rotation) error
}

// FailedLoginLimiter is an optional ability of a Strategy: to say whether rejected
// logins in a row can lock an account that a value is for. A diagnosis then makes one at
// most for each account. Without this method it is assumed that they can.
type FailedLoginLimiter interface {
	LimitsFailedLogins(d secret.Document) bool
}

// AccountSwitcher is an optional ability of a Strategy: to say that a pending value is for another account than
// AWSCURRENT, which works on whatever becomes of that one. finishSecret then moves AWSCURRENT only if that one
// logs in. Without this method both values are taken to be of one account, which is refused by both.
type AccountSwitcher interface {
	SwitchesAccount(pending secret.Document) bool
}

// PasswordResetter is an optional ability of a Strategy: to give the statement by which a
// superuser of the database has the password in a value accepted, without the password.
// "": there is none. A diagnosis shows it where no stored version works.
type PasswordResetter interface {
	ResetStatement(d secret.Document) string
}

// PartialDryRun is an optional ability of a Strategy: to say which lasting failure its Preflight cannot find. A
// diagnosis asks where it would recommend a retry, or to finish. An error of KindMisconfigured is one that an attempt
// has met, with what shows that it is mended: then the next attempt may come. Any other error says that nothing was
// found out, and untold, a sentence, what there is to find.
type PartialDryRun interface {
	NotInDryRun(ctx context.Context, r Rotation) (untold string, err error)
}

// UseTester is an optional ability of a Strategy: to find what keeps clients from working with r.Current, which logs
// in, or why such a login proves nothing. A diagnosis asks it. KindPrivilege, KindMisconfigured, KindReadOnly,
// KindUnreachable and KindNotFound are such findings; any other error says that it could not be found out. The remark
// says what may be so on purpose, and what ends that if it is not: the For of each line begins with "if".
type UseTester interface {
	TestUse(ctx context.Context, r Rotation) (remark Sentence, err error)
}

// LoginExplainer is an optional ability of a Strategy whose database does not tell the client why
// it rejects a login.
type LoginExplainer interface {
	// Inquiry is a query by which a superuser of the database finds the cause for the users of values, and after it
	// what mends a cause that no password does, each with its condition; nil: there is none. A diagnosis shows them
	// before the statement that sets a password.
	Inquiry(d ...secret.Document) []Fix
	// ExplainRejected has the superuser of r.Current look why the logins by values are
	// rejected: one login, and one more where another password is set; they change nothing. It gives a cause for
	// each; nil where the secret names no superuser. An error of KindReadOnly beside them: no password can be set
	// where the superuser is.
	ExplainRejected(ctx context.Context, r Rotation, rejected ...secret.Document) ([]RejectionCause, error)
}

// RejectionCause is why a login is rejected, as a superuser sees it.
type RejectionCause struct {
	Text    string // what is wrong, and to whom; "": nothing was found
	Remedy  string // in words what to do about it, where nothing stored works; "": Text or Fixes says it
	Fixes   []Fix  // what people run
	Blocked bool   // no password will do before that
	Invalid bool   // no password will do in this value: another member of it is wrong
	Right   bool   // the password is the one that the server has: a login by it counts as no failed one
	Reset   string // where the server has another: the statement that sets the one in place of PASSWORD
	// ByAdministrator: the superuser that looked may not run what is printed.
	ByAdministrator bool
}

// PooledLogins is an optional ability of a Strategy: to say whether what logs in with a
// value may be a pooler, for which the secret vouches. A diagnosis then discards nothing.
type PooledLogins interface {
	LoginsArePooled(d secret.Document) bool
}

// TargetNamer is an optional ability of a Strategy: to say, for the audit line, by which name it
// goes and which account a value is for.
type TargetNamer interface {
	Target(d secret.Document) Target
}

// Target is an account, where it is, and the strategy by which its credentials are rotated. It
// holds no secret. Fields that a kind of credential does not have are empty.
type Target struct {
	Strategy string
	Engine   string
	Host     string
	Port     int
	Database string
	User     string
}

// Rotation is what a Strategy works on: one secret, one pending version.
type Rotation struct {
	SecretARN string
	VersionID string // id of the pending version

	Current secret.Document // the value under AWSCURRENT; zero where Verify has nothing to compare
	// Pending is the value under AWSPENDING; in a preflight the value that createSecret
	// is about to store; zero in Propose.
	Pending secret.Document

	// ReadPending reads the value that an earlier attempt stored under AWSPENDING;
	// KindNotFound if there is none, or it is no document. A preflight needs it once
	// AWSCURRENT is rejected: after setSecret that is as expected, and the pending value logs in.
	ReadPending func(ctx context.Context) (secret.Document, error)
	// ReadPrevious reads the value under AWSPREVIOUS; KindNotFound if there is none, or it is
	// no document, which proves nothing about any account.
	ReadPrevious func(ctx context.Context) (secret.Document, error)
	// ReadSecret reads AWSCURRENT of another secret, such as a superuser's. What RDS
	// leaves out of the secrets that it manages is filled in: see Completer.
	ReadSecret func(ctx context.Context, secretID string) (secret.Document, error)
	// IsEndpointOf is nil if host and port are a reader endpoint or a replica of the
	// database that a related secret is for: see Completer. nil: not known.
	IsEndpointOf func(ctx context.Context, related secret.Document, host string, port int) error
	// PasswordPolicy is how new passwords are made.
	PasswordPolicy secret.PasswordPolicy
	// ReadOnlyProbes has a preflight look, and rehearse nothing.
	ReadOnlyProbes bool
	// Log takes sentences for the log: what was done, to which account. nil:
	// they are dropped.
	Log func(format string, args ...any)
}

// Logf leaves a sentence for the log.
func (r Rotation) Logf(format string, args ...any) {
	if r.Log != nil {
		r.Log(format, args...)
	}
}
