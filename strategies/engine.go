package strategies

import (
	"context"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
)

// Engine is one kind of database. It is stateless: each method logs in as the
// given account, does one thing and logs out, and obeys ctx in dial, handshake
// and every statement. A silent server must not hold it past its deadline.
//
// Every error wraps a rotator.Kind beside its cause. rotator.KindLoginRejected is
// wrapped when, and only when, the server answered and did not accept these
// credentials, so that another password might do; every other failure (network,
// TLS, missing database, no free connection, an account that may not log in) has
// its own kind. What was met before the server had let the account in is marked by
// MarkLoginError. No error and no statement text holds a password.
//
// A pooler or proxy that logs clients in by what it knows itself is no database. Where
// an engine can tell that it talks to one, no login of it counts, neither accepted nor
// rejected, and nothing is changed through it: the error is marked by MarkPoolerError,
// unless login.PoolerForwardsLogins.
type Engine interface {
	// Traits gives the engine's names and limits, as data.
	Traits() Traits
	// Ping logs in and runs a statement. A server that would let any password in
	// (PostgreSQL's trust) is an error: such a login proves nothing.
	Ping(ctx context.Context, login Login) error
	// SetPassword gives user a new password. user is login.User for a self-change;
	// otherwise login is a superuser's. Attributes and rights of the account stay. nil
	// means that the new password is the only one, at every node of the server, and
	// that it survives a restart. Where a server saves by a second command, see Persister.
	SetPassword(ctx context.Context, login Login, user string, p secret.Password) error
	// DryRunSetPassword does what SetPassword would, so that everything which could stop
	// SetPassword stops it, and takes it back: the account and everything else stay as
	// they are, whatever happens. Where a server has no way to take a change back, it
	// checks what can be checked. p is the password that createSecret is about to store,
	// for the server's policy to judge: a refusal is KindPasswordPolicy, and another is
	// proposed. Beside its error DryRunSetPassword gives warnings:
	// what will work and may surprise later, and what could not be seen.
	DryRunSetPassword(ctx context.Context, login Login, user string, p secret.Password) (warnings []Warning, err error)
}

// CloningEngine is an Engine on which AlternatingUsers works.
type CloningEngine interface {
	Engine
	// EnsureClone makes both accounts of a pair able to do the same, creates the
	// clone if it is missing, and gives pair.Target the password p.
	// login is a superuser's. It runs at every rotation and comes to the same end each time.
	// A pair of one account, or a Target that is neither of the two, is KindMisconfigured.
	// Before it touches an account that exists, it looks whose that is and asks
	// pair.CheckEntitled, in the session, and where there is one in the transaction, of
	// the change. With pair.PasswordOnly it sets the password and does nothing else.
	EnsureClone(ctx context.Context, login Login, pair Pair, p secret.Password) error
	// DryRunEnsureClone is to EnsureClone what DryRunSetPassword is to SetPassword.
	DryRunEnsureClone(ctx context.Context, login Login, pair Pair, p secret.Password) (warnings []Warning, err error)
}

// Persister is an optional ability of an Engine: to complete a change that was cut off
// when the new password worked already, but was not saved, or not the only one. An
// engine needs it if its server does not change and save in one. A strategy calls
// Persist where it finds that the pending value works, as login: the user itself with p,
// or a superuser. It may be repeated, and changes nothing where nothing is left to do.
// DualPasswords calls SetPasswordKeeping in its place, with a keep that is p.
type Persister interface {
	Engine
	Persist(ctx context.Context, login Login, user string, p secret.Password) error
}

// Observer is an optional ability of an Engine: a Ping that says what the login showed of the
// account, in words of the engine's own. A superuser that then acts for the login may not be
// allowed to see that otherwise, and has it in Login.For.Seen.
type Observer interface {
	Engine
	Observe(ctx context.Context, login Login) (seen string, err error)
}

// pinging is Ping, and keeps what an Observer says in seen, by user.
func pinging(ctx context.Context, e Engine, seen map[string]string) func(Login) error {
	return func(login Login) (err error) {
		o, ok := e.(Observer)
		if !ok {
			return e.Ping(ctx, login)
		}
		said, err := o.Observe(ctx, login)
		if err == nil {
			seen[login.User] = said
		}
		return err
	}
}

// Warning is what a dry run found that does not stop the change.
type Warning struct {
	Text  string
	Fixes []rotator.Fix // what Text has a person run
	// Unknown says that clients may be locked out or not, and that the account which looked is not shown
	// which, or that they lack something now. PREFLIGHT=strict does not go on then.
	Unknown bool
	// Attempts is the number of refused logins after which the server blocks the
	// account. Text names it, and how to change it. A strategy that never has clients
	// refused drops this warning.
	Attempts int
}

// Resetter is an optional ability of an engine: to give the statement by which a superuser
// sets the password of a user, and lets the user in where an expiry keeps it out. The
// word PASSWORD, in quotes of the engine's, stands for the password.
type Resetter interface {
	ResetStatement(user string) string
}

// PartialDryRun is an optional ability of an engine: to say what its dry runs cannot try, and would
// fail again if it failed. status asks where it would recommend a retry, or to finish. login is that of who changes
// passwords. The error is KindMisconfigured where it has failed; any other says that it could not be found out.
type PartialDryRun interface {
	NotInDryRun(ctx context.Context, login Login) (untold string, err error)
}

// UseTester is an optional ability of an Engine: to find what keeps clients from working by a login that the
// server accepts, and what makes such a login prove nothing. It changes nothing, and is for
// people who ask for status: a server may note what it denies. The error is KindPrivilege, KindMisconfigured,
// KindReadOnly or KindUnreachable; any other says that it could not be found out. The remark says what may be so on
// purpose, and what ends that if it is not: the For of each line begins with "if".
type UseTester interface {
	Engine
	TestUse(ctx context.Context, login Login) (remark rotator.Sentence, err error)
}

// CloneTester is an optional ability of a CloningEngine on which the clone has its rights from the original: to
// see, by a login of the clone, that it has them still. It changes nothing, and is for people who ask for status.
// The error is KindPrivilege or KindNotFound; any other says that it could not be found out.
type CloneTester interface {
	CloningEngine
	TestClone(ctx context.Context, login Login, pair Pair) error
}

// PairTester is an optional ability of a CloningEngine that gives both users of a pair the same: to see, as superuser,
// that clients of the user in use may do nothing, on one of its hosts perhaps, and what the other of its pair may do,
// or it itself on another host, with what gives them that. superuser.For has the password of the user in use, and the
// other user need not be there. "": it lacks nothing that is known. Of a user that may do something, the remark says
// what else the other one may, unless pair.PasswordOnly. It changes nothing, and is for people who ask for status.
type PairTester interface {
	CloningEngine
	TestPair(ctx context.Context, superuser Login, pair Pair) (lacks rotator.Sentence, remark string, err error)
}

// PairComparer is an optional ability of a CloningEngine whose clone has what it may do from its original alone: to
// say, as superuser, what the user in use lacks of what the other may do, with what gives it that, or else what a
// rotation would overwrite. pair is what EnsureClone would be given. "": nothing, as far as is known. The error is
// KindPrivilege, KindMisconfigured or KindNotFound where the next rotation would be refused; any other says that it
// could not be found out. It changes nothing, and is for people who ask for status.
type PairComparer interface {
	CloningEngine
	ComparePair(ctx context.Context, superuser Login, pair Pair) (lacks rotator.Sentence, remark string, err error)
}

// Explainer is an optional ability of an engine whose server does not tell a client why it
// rejects a login.
type Explainer interface {
	Engine
	// Inquiry is a query by which a superuser finds the cause for users, with what its answer means as its note, and
	// after it what mends a cause that no password does, each with its condition.
	Inquiry(users ...string) []rotator.Fix
	// Explain looks, as superuser, why logins of other users at the same server are rejected, of one
	// user or of the two of a pair, and gives a cause for each. It changes nothing.
	Explain(ctx context.Context, superuser Login, rejected ...Login) ([]rotator.RejectionCause, error)
}

// Warn makes a Warning as [rotator.Sentencef] makes a sentence.
func Warn(format string, args ...any) Warning {
	said := rotator.Sentencef(format, args...)
	return Warning{Text: said.Text, Fixes: said.Fixes}
}

// Pair is two accounts that take turns.
type Pair struct {
	Original string // the account that came first and owns the rights
	Clone    string // the account that can do whatever Original can
	Target   string // Original or Clone: whose password is set now

	// PasswordOnly leaves everything but the password as it is, and creates nothing.
	PasswordOnly bool
	// Named says that the pair is one because the secret says so (alternateUsername).
	Named bool
	// NoTLS says that clients of the secret log in without TLS.
	NoTLS bool
	// Consent says that the superuser secret names the pair.
	Consent bool
	// Possession proves that the secret holds a password of Next which works: where holds
	// cannot tell, by a login. KindNotEntitled, KindLoginRejected: it holds none. nil: nothing
	// can be proved.
	Possession func(ctx context.Context, holds func(secret.Password) bool) error `json:"-"`

	secretARN string // of the superuser secret
}

// InUse gives the account of the pair that clients log in with until the
// rotation ends: it must not be disturbed.
func (p Pair) InUse() string {
	if p.Target == p.Original {
		return p.Clone
	}
	return p.Original
}

// has says whether user is an account of the pair.
func (p Pair) has(user string) bool { return user == p.Original || user == p.Clone }

// Traits are an engine's names and limits.
type Traits struct {
	Name              string   // for people: "PostgreSQL"
	Engines           []string // values of the secret's engine key that it serves
	Port              int      // if the secret names none
	Database          string   // if the secret names none; may be ""
	Administrators    string   // who may do all, in words: "postgres or the master user of RDS"; may be ""
	CloneSuffix       string   // AWS's: "_clone"
	MaxUserBytes      int      // longer names are refused, never cut
	MaxPasswordSize   int      // in bytes; 0: no limit worth naming
	ExcludeCharacters string   // characters that AWS's template leaves out of passwords
	// NoFailedLoginLimit says that rejected logins in a row never lock an account.
	NoFailedLoginLimit bool
	DetectsPoolers     bool // errors are marked by MarkPoolerError where there is reason to
	// a user name can stand for several accounts, each with a password: a login proves one (Login.CheckHeld)
	SeveralAccounts bool
	// Keys are keys of the secret, beside AWS's, that say where a login goes and how. They
	// are in Login.Extra, and AWSPENDING may not differ from AWSCURRENT in any.
	Keys []Key
}

// Key is a key of the secret that only one engine knows.
type Key struct {
	Name string
	// Server: it names servers, as host does. A superuser secret must say the same, and
	// its own value counts, so that no other secret sends the superuser's password anywhere.
	Server bool
}

// Login is an account at a place.
type Login struct {
	Host     string
	Port     int
	Database string // may be ""
	User     string
	Password secret.Password
	TLS      TLS
	// Extra has the values of those Traits.Keys that the secret has: a string as it is,
	// and anything else as compact JSON.
	Extra map[string]string
	// For is for a superuser's login, and for the dry run of a user that changes itself: the secret for whose
	// user it acts. nil: none, and what would be asked of a secret is not asked.
	For *Holding `json:"-"`
	// PoolerForwardsLogins says that the secret vouches for what may stand between this
	// place and the database: each login there is judged by the database's own passwords.
	PoolerForwardsLogins bool
	// Rotates says that the secret is a superuser secret: it has the member rotates. Its user may be one that rotates
	// others and does nothing else.
	Rotates bool
}

// TLS says how a connection is protected. The zero value is TLS with the
// certificate verified against the engine's roots and the host name.
type TLS struct {
	Disabled   bool   // the secret says "ssl": false, and nothing else may
	ServerName string // checked in place of the host; serves CNAMEs
}
