package strategytest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
)

// EngineFixture is an engine and a server to try it on. The first four fields are
// required. What else is missing makes cases skip, and say so. The server may be
// shared by fixtures: the suite gives every account a name of its own.
type EngineFixture struct {
	Engine    strategies.Engine
	Superuser strategies.Login
	User      strategies.Login // a fresh ordinary account, to which UsePrivilege is allowed
	// NewUser creates an ordinary account, to which UsePrivilege is not allowed.
	// ErrNotOffered: this database knows no such name.
	NewUser func(ctx context.Context, name string) (strategies.Login, error)

	// NewSuperuser creates an account that may do whatever Superuser may.
	NewSuperuser func(ctx context.Context, name string) (strategies.Login, error)

	// LogIn logs in by a client that is not the engine. nil: by the engine's Ping.
	LogIn func(ctx context.Context, login strategies.Login) error

	// What accounts are for, as a client does it. UsePrivilege exercises a privilege; CreateObject
	// makes an object, and ModifyObject reads and changes it.
	UsePrivilege func(ctx context.Context, login strategies.Login) error
	CreateObject func(ctx context.Context, login strategies.Login, object string) error
	ModifyObject func(ctx context.Context, login strategies.Login, object string) error
	// Revoke takes away the privilege that UsePrivilege exercises, and SetAttribute gives an attribute
	// (a limit, a setting) that HasAttribute looks for. An administrator does all three.
	Revoke       func(ctx context.Context, user string) error
	SetAttribute func(ctx context.Context, user string) error
	HasAttribute func(ctx context.Context, user string) (bool, error)

	// NewUserPerAuthMethod makes an account for each other way in which the server stores and
	// proves passwords: plugins, kinds of hashes.
	NewUserPerAuthMethod func(ctx context.Context) ([]strategies.Login, error)

	// ServerLog gives everything the server has logged, at its most talkative.
	ServerLog func() string
	// Dial connects to the server, for cases that cut the line.
	Dial func(ctx context.Context) (net.Conn, error)

	// Census is everything that the server stores of all its accounts, by Fact. It is
	// taken before and after each call, so that no call changes what is another's.
	Census func(ctx context.Context) (map[string]string, error)

	// Restart restarts the server, as after a loss of power, and returns when it is
	// ready. It is for a fixture whose server no other test uses: see TestDurability.
	Restart func(ctx context.Context) error
	// Nodes are the nodes of the server, each with accounts of its own, that User's login
	// leads to. LogInAt is a client's login at one of them, and LogIn then one at each. Where
	// there are some, a change that was cut may leave both passwords valid, and what comes at once
	// sets one password, as the duplicates of one rotation do.
	Nodes   []string
	LogInAt func(ctx context.Context, node string, login strategies.Login) error

	// SelfChangeIsAdmin says that, on this server, a user that may change its own password
	// may change every other's. User, and what NewUser makes, may; NewUnprivileged makes an
	// account that may change none. Where it is false, the suite assumes that an ordinary
	// account may change its own password and no other's, and NewUnprivileged is not needed.
	SelfChangeIsAdmin bool
	NewUnprivileged   func(ctx context.Context, name string) (strategies.Login, error)

	// Hosted is a fresh account whose name stands for several, each for clients of one
	// of Hosts. LogInFrom is a client's login from there.
	Hosted    strategies.Login
	Hosts     []string
	LogInFrom func(ctx context.Context, host string, login strategies.Login) error

	Locked           strategies.Login // right password, but the account may not log in
	Expired          strategies.Login // right password, that is good only for setting a new one
	DualPasswordUser strategies.Login // a fresh account, which may keep a second password
	TrustedUser      strategies.Login // the server lets it in whatever the password
	PlaintextOnly    strategies.Login // right, at a server without TLS
	TLS              bool             // User is verified by TLS, for Host or ServerName
	NoDatabases      bool             // a login's Database means nothing

	// CancelGrace is how long after the end of its context a call may still run. It
	// finds a call that is deaf to its context if it is shorter than the engine's
	// own time limits. 0: 10 s.
	CancelGrace time.Duration
}

// TestEngine runs the suite for engines: one subtest for each case, in parallel,
// each with a fixture of its own. The cases for cloning run on a CloningEngine.
func TestEngine(t *testing.T, newFixture func(t *testing.T) EngineFixture) {
	run(t, EngineCases(), newFixture)
}

// EngineCases gives the suite for engines, for use outside of go test.
func EngineCases() []Case[EngineFixture] {
	var cases []Case[EngineFixture]
	for _, rules := range [][]engineRule{engineRules(), setRules(), dualRules(), dryRunRules(), networkRules(),
		cloneRules(), entitlementRules(), othersRules(), durableRules(), nodeRules()} {
		for _, r := range rules {
			cases = append(cases, engineCase(r))
		}
	}
	return cases
}

func engineCase(r engineRule) Case[EngineFixture] {
	return Case[EngineFixture]{r.name, r.why, func(ctx context.Context, f EngineFixture) error {
		if f.Engine == nil || f.NewUser == nil || f.User.User == "" || f.Superuser.User == "" {
			return errors.New("fixture: Engine, Superuser, User and NewUser are required")
		}
		b := newBench(f)
		err, deaf := respectsContext(ctx, f.CancelGrace, "the whole case", func(ctx context.Context) error {
			return r.check(ctx, b)
		})
		return b.redact(found(err, deaf, b.watcher.verdict()))
	}}
}

// found joins what a case found. What it could not look at counts only if that is all.
func found(err error, more ...error) error {
	rest := errors.Join(more...)
	if rest != nil && errors.Is(err, ErrNotOffered) {
		return rest
	}
	return errors.Join(err, rest)
}

type engineRule struct {
	name, why string
	check     func(ctx context.Context, b *engineEnv) error
}

// engineEnv is a fixture, and what cases do with it.
type engineEnv struct {
	EngineFixture
	passwordSet
	raw      strategies.Engine // Engine, with nothing around it
	watcher  *watcher          // nil: there is no Census
	canaries passwordSet       // those alone that no setting up of a fixture can have shown
}

func newBench(f EngineFixture) *engineEnv {
	b := &engineEnv{EngineFixture: f, raw: f.Engine}
	if b.LogIn == nil {
		b.LogIn = f.Engine.Ping
	}
	if f.Census != nil {
		b.watcher = &watcher{take: f.Census}
		b.Engine = watched(f.Engine, b.watcher)
	}
	b.keep(f.Hosted.Password)
	b.keep(f.Superuser.Password, f.User.Password, f.Locked.Password, f.Expired.Password, f.DualPasswordUser.Password,
		f.PlaintextOnly.Password)
	return b
}

// password makes one as a rotation would.
func (b *engineEnv) password() secret.Password {
	p, err := secret.PasswordPolicy{}.WithDefaultExclusions(b.Engine.Traits().ExcludeCharacters).Generate()
	if err != nil {
		p = secret.NewPassword("Aa1-" + unique() + unique()) // the traits are judged elsewhere
	}
	b.keep(p)
	return p
}

// newUser creates a bystander, or another account that is needed beside User.
func (b *engineEnv) newUser(ctx context.Context, name string) (strategies.Login, error) {
	login, err := b.NewUser(ctx, name)
	if err != nil {
		return login, fmt.Errorf("fixture: new user %q: %w", name, err)
	}
	b.keep(login.Password)
	return login, nil
}

// newUnprivileged creates an account that may not change the password of another.
func (b *engineEnv) newUnprivileged(ctx context.Context, name string) (strategies.Login, error) {
	if !b.SelfChangeIsAdmin {
		return b.newUser(ctx, name)
	}
	if b.NewUnprivileged == nil {
		return strategies.Login{},
			notOffered("NewUnprivileged (and SelfChangeIsAdmin says that what NewUser makes may change others)")
	}
	login, err := b.NewUnprivileged(ctx, name)
	if err != nil {
		return login, fmt.Errorf("fixture: new unprivileged user %q: %w", name, err)
	}
	b.keep(login.Password)
	return login, nil
}

func with(login strategies.Login, p secret.Password) strategies.Login {
	login.Password = p
	return login
}

func account(login strategies.Login, user string, p secret.Password) strategies.Login {
	login.User, login.Password = user, p
	return login
}

// mustLogIn, and refuses, ask the server.
func (b *engineEnv) mustLogIn(ctx context.Context, login strategies.Login, when string) error {
	return wrapf(b.LogIn(ctx, login), "%s, user %q must be able to log in", when, login.User)
}

func (b *engineEnv) mustReject(ctx context.Context, login strategies.Login, when string) error {
	return wantKind(fmt.Sprintf("%s, login as %q", when, login.User), b.LogIn(ctx, login), rotator.KindLoginRejected)
}

// mustHaveChanged says whether the password of an account went from one to the other.
func (b *engineEnv) mustHaveChanged(ctx context.Context, login strategies.Login, p secret.Password) error {
	return steps(
		func() error { return b.mustLogIn(ctx, with(login, p), "with the new password") },
		func() error { return b.mustReject(ctx, login, "with the old password") },
	)
}

// oneOf says whether exactly one of some passwords lets an account in, and which.
// Where a call was cut off, the server may only just be carrying it out; so it
// looks again before it complains.
func (b *engineEnv) oneOf(ctx context.Context, login strategies.Login,
	passwords ...secret.Password) (secret.Password, error) {
	var right []secret.Password
	for range 10 {
		right = nil
		for _, p := range passwords {
			err := b.LogIn(ctx, with(login, p))
			switch {
			case err == nil:
				right = append(right, p)
			case !errors.Is(err, rotator.KindLoginRejected):
				return secret.Password{}, fmt.Errorf("login as %q: %w", login.User, err)
			}
		}
		if len(right) == 1 || len(right) > 1 && b.Nodes != nil {
			return right[len(right)-1], nil
		}
	}
	return secret.Password{}, fmt.Errorf("%d of the %d passwords that user %q may have let it in; want exactly one",
		len(right), len(passwords), login.User)
}

// change is a call that sets a password.
type change struct {
	name string
	do   func(ctx context.Context, login strategies.Login, p secret.Password) error
	as   strategies.Login
	of   strategies.Login // whose password it sets
}

// changes gives every way to set a password. The clone need not exist.
func (b *engineEnv) changes() []change {
	all := []change{
		{"SetPassword by the user itself", func(ctx context.Context, login strategies.Login, p secret.Password) error {
			return b.Engine.SetPassword(ctx, login, b.User.User, p)
		}, b.User, b.User},
		{"SetPassword by the superuser", func(ctx context.Context, login strategies.Login, p secret.Password) error {
			return b.Engine.SetPassword(ctx, login, b.User.User, p)
		}, b.Superuser, b.User},
	}
	if e, ok := b.Engine.(strategies.CloningEngine); ok {
		pair := b.pair(b.User.User)
		all = append(all, change{"EnsureClone", func(ctx context.Context, login strategies.Login,
			p secret.Password) error {
			return e.EnsureClone(ctx, login, pair, p)
		}, b.Superuser, account(b.User, pair.Clone, secret.Password{})})
	}
	return all
}

// calls gives every method as a call by some login.
func (b *engineEnv) calls() []change {
	ping := change{name: "Ping", do: func(ctx context.Context, login strategies.Login, _ secret.Password) error {
		return b.Engine.Ping(ctx, login)
	}, as: b.User, of: b.User}
	dryRun := change{name: "DryRunSetPassword", do: func(ctx context.Context, login strategies.Login,
		_ secret.Password) error {
		return b.dryRun(ctx, login, b.User.User)
	}, as: b.User, of: b.User}
	all := append([]change{ping, dryRun}, b.changes()...)
	if e, ok := b.Engine.(strategies.CloningEngine); ok {
		pair := b.pair(b.User.User)
		all = append(all, change{name: "DryRunEnsureClone", do: func(ctx context.Context, login strategies.Login,
			_ secret.Password) error {
			return dryRunClone(ctx, e, login, pair)
		}, as: b.Superuser, of: b.User})
	}
	return all
}

func engineRules() []engineRule {
	return []engineRule{
		{"traits/sane", "Traits decide what secrets, names and passwords are possible: a slip there fails every " +
			"rotation, or cuts a name to that of another account.", traitsAreSane},
		{"ping/right-password", "Every rotation begins and ends by proving credentials that are right.",
			func(ctx context.Context, b *engineEnv) error {
				return steps(
					func() error { return wrapf(b.Engine.Ping(ctx, b.User), "Ping as the user") },
					func() error { return wrapf(b.Engine.Ping(ctx, b.Superuser), "Ping as the superuser") },
				)
			}},
		{"ping/wrong-password", "testSecret would promote a password that does not work, and every client would be " +
			"locked out.", func(ctx context.Context, b *engineEnv) error {
			for what, p := range map[string]secret.Password{
				"another password":       b.password(),
				"a password cut short":   secret.NewPassword(b.User.Password.Reveal()[1:]),
				"a password with a tail": secret.NewPassword(b.User.Password.Reveal() + "x"),
				"no password":            {},
			} {
				err := b.Engine.Ping(ctx, with(b.User, p))
				if what == "no password" && err != nil {
					continue // need not get as far as the server
				}
				if err := wantKind("Ping with "+what, err, rotator.KindLoginRejected); err != nil {
					return err
				}
			}
			return nil
		}},
		{"ping/unknown-user", "Credentials of an account that is gone were judged and rejected: a strategy must be " +
			"free to try others.", func(ctx context.Context, b *engineEnv) error {
			login := account(b.User, "nobody_"+unique(), b.password())
			return wantKind("Ping as a user that does not exist", b.Engine.Ping(ctx, login), rotator.KindLoginRejected)
		}},
		{"ping/missing-database", "A missing database says nothing of the password; people were sent looking for a " +
			"wrong one for days.", func(ctx context.Context, b *engineEnv) error {
			if b.NoDatabases {
				return notOffered("databases (NoDatabases)")
			}
			login := b.User
			login.Database = "missing_" + unique()
			return wantFailure("Ping of a database that does not exist", b.Engine.Ping(ctx, login))
		}},
		{"ping/locked", "The password of an account that may not log in is right: trying older ones cannot help, and " +
			"setting another does not open it.", func(ctx context.Context, b *engineEnv) error {
			if b.Locked.User == "" {
				return notOffered("Locked")
			}
			return wantFailure("Ping as a locked account", b.Engine.Ping(ctx, b.Locked))
		}},
		{"ping/expired", "A password that is good only for setting another is none to promote.",
			func(ctx context.Context, b *engineEnv) error {
				if b.Expired.User == "" {
					return notOffered("Expired")
				}
				return wantFailure("Ping with an expired password", b.Engine.Ping(ctx, b.Expired))
			}},
		{"ping/any-password", "Where the server accepts any password, a login verifies nothing, and a password that " +
			"was never set would be promoted. Nor is the stored value wrong: a status that calls it so has it " +
			"overwritten.", func(ctx context.Context, b *engineEnv) error {
			if b.TrustedUser.User == "" {
				return notOffered("TrustedUser")
			}
			err := b.Engine.Ping(ctx, with(b.TrustedUser, b.password()))
			if err != nil && !errors.As(err, new(rotator.LoginError)) {
				return fmt.Errorf("Ping where the server asks for no password: the error reads as one of the value "+
					"(strategies.MarkLoginError): %w", err)
			}
			return wantFailure("Ping where the server asks for no password", err)
		}},
		{"ping/tls", "Without the name in the certificate, a host in between gets the password.",
			func(ctx context.Context, b *engineEnv) error {
				if !b.TLS {
					return notOffered("TLS")
				}
				login := b.User
				login.TLS.ServerName = "wrong.example.org"
				return wantKind("Ping with a server name that is not in the certificate", b.Engine.Ping(ctx, login),
					rotator.KindTLS)
			}},
		{"ping/plaintext-server", "A silent fall back to plaintext shows the password to the network.",
			func(ctx context.Context, b *engineEnv) error {
				if b.PlaintextOnly.User == "" {
					return notOffered("PlaintextOnly")
				}
				// Where the protocol begins with TLS, the server may just wait for more.
				return wantKind("Ping of a server without TLS", b.Engine.Ping(ctx, b.PlaintextOnly), rotator.KindTLS,
					rotator.KindUnreachable)
			}},
		{"ping/changes-nothing", "Ping runs against production on every check: it must be safe to run at any time.",
			pingChangesNothing},
		{"engine/stateless", "A Lambda serves many secrets, one after another and restarted at any time: what is " +
			"kept of one login (a pool, a session) answers for another.", engineIsStateless},
		{"errors/kind", "Decisions, alarms and the advice that people get follow from the kind: an error without one " +
			"is a riddle at night.", everyErrorHasAKind},
	}
}

func traitsAreSane(_ context.Context, b *engineEnv) error {
	t := b.Engine.Traits()
	engines := slices.Clone(t.Engines)
	slices.Sort(engines)
	generated, err := secret.PasswordPolicy{}.WithDefaultExclusions(t.ExcludeCharacters).Generate()
	_, clones := b.Engine.(strategies.CloningEngine)
	switch {
	case t.Name == "":
		return errors.New("Traits: no Name")
	case len(engines) == 0 || slices.Contains(engines, ""):
		return errors.New("Traits: Engines is empty, or one of them is: no secret could name this engine")
	case len(slices.Compact(engines)) != len(t.Engines):
		return fmt.Errorf("Traits: Engines has one twice: %q", t.Engines)
	case t.Port < 1 || t.Port > 65535:
		return fmt.Errorf("Traits: Port is %d", t.Port)
	case t.MaxUserBytes < 0 || t.MaxPasswordSize < 0:
		return errors.New("Traits: a limit is negative")
	case clones && t.CloneSuffix == "":
		return errors.New("Traits: CloneSuffix is empty: a clone would be its original")
	case t.MaxUserBytes > 0 && len(t.CloneSuffix) >= t.MaxUserBytes:
		return fmt.Errorf("Traits: no name of %d bytes has room for the suffix %q", t.MaxUserBytes, t.CloneSuffix)
	case err != nil:
		return fmt.Errorf("Traits: Exclude leaves no good password: %w", err)
	case t.MaxPasswordSize > 0 && len(generated.Reveal()) > t.MaxPasswordSize:
		return fmt.Errorf("Traits: MaxPasswordSize is %d, less than the passwords that are made by default",
			t.MaxPasswordSize)
	case slices.ContainsFunc(t.Keys, func(k strategies.Key) bool {
		return k.Name == "" || slices.Contains(awsKeys, k.Name)
	}):
		return fmt.Errorf("Traits: a key of Keys has no name, or that of one which every engine has: %v", t.Keys)
	case !reflect.DeepEqual(t, b.Engine.Traits()):
		return errors.New("Traits: differ from one call to the next")
	}
	return nil
}

// awsKeys are those of every engine.
var awsKeys = []string{"engine", "host", "port", "dbname", "username", "password", "ssl", "masterarn", "tlsServerName",
	"alternateUsername", "rotates"}

func pingChangesNothing(ctx context.Context, b *engineEnv) error {
	other, err := b.newUser(ctx, "other_"+unique())
	if err != nil {
		return err
	}
	if b.SetAttribute != nil {
		if err := b.SetAttribute(ctx, b.User.User); err != nil {
			return fmt.Errorf("fixture: mark: %w", err)
		}
	}
	wrong := b.password()
	for range 2 {
		if err := b.Engine.Ping(ctx, b.User); err != nil {
			return fmt.Errorf("Ping: %w", err)
		}
		b.Engine.Ping(ctx, with(b.User, wrong)) //nolint:errcheck // judged elsewhere
	}
	return steps(
		func() error { return b.mustLogIn(ctx, b.User, "after Ping") },
		func() error { return b.mustLogIn(ctx, other, "after Ping as another") },
		func() error { return b.mustReject(ctx, with(b.User, wrong), "with the wrong password, after Ping") },
		func() error { return b.stillMarked(ctx, b.User.User) },
	)
}

// stillMarked says whether an attribute is there, where the fixture can tell.
func (b *engineEnv) stillMarked(ctx context.Context, user string) error {
	if b.SetAttribute == nil || b.HasAttribute == nil {
		return nil
	}
	marked, err := b.HasAttribute(ctx, user)
	if err != nil {
		return fmt.Errorf("fixture: marked: %w", err)
	}
	if !marked {
		return fmt.Errorf("user %q has lost an attribute that an administrator gave it", user)
	}
	return nil
}

func engineIsStateless(ctx context.Context, b *engineEnv) error {
	other, err := b.newUser(ctx, "other_"+unique())
	if err != nil {
		return err
	}
	crossed := with(b.User, other.Password)
	again := b.Engine // a copy, where engines are values
	judge := func(e strategies.Engine) error {
		return steps(
			func() error { return wrapf(e.Ping(ctx, b.User), "Ping as one user") },
			func() error {
				return wantKind("Ping as that user with another's password", e.Ping(ctx, crossed),
					rotator.KindLoginRejected)
			},
			func() error { return wrapf(e.Ping(ctx, other), "Ping as the other user") },
		)
	}
	// In turn, so that a login which is kept answers for the next; and at once.
	if err := steps(func() error { return judge(b.Engine) }, func() error { return judge(again) }); err != nil {
		return err
	}
	return together(4, func(int) error { return judge(b.Engine) })
}

// together runs n calls at once and joins their errors.
func together(n int, call func(i int) error) error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = call(i) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func everyErrorHasAKind(ctx context.Context, b *engineEnv) error {
	port, err := closedPort()
	if err != nil {
		return err
	}
	wrong, closed, missing := with(b.User, b.password()), b.User, b.User
	closed.Host, closed.Port = "127.0.0.1", port
	missing.Database = "missing_" + unique()
	logins := []strategies.Login{wrong, closed}
	if !b.NoDatabases {
		logins = append(logins, missing)
	}
	for _, call := range b.calls() {
		for _, login := range logins {
			if err := hasKind(call.name, call.do(ctx, login, b.password())); err != nil {
				return err
			}
		}
	}
	other := b.User
	if b.SelfChangeIsAdmin {
		if other, err = b.newUnprivileged(ctx, "other_"+unique()); err != nil {
			return err
		}
	}
	for what, err := range map[string]error{
		"SetPassword of an unknown user": b.Engine.SetPassword(ctx, b.Superuser, "nobody_"+unique(), b.password()),
		"SetPassword by another user":    b.Engine.SetPassword(ctx, other, b.Superuser.User, b.password()),
		"SetPassword with no password":   b.Engine.SetPassword(ctx, b.Superuser, b.User.User, secret.Password{}),
		"SetPassword with a NUL": b.Engine.SetPassword(ctx, b.Superuser, b.User.User,
			secret.NewPassword("a\x00b")),
		"SetPassword of no user": b.Engine.SetPassword(ctx, b.Superuser, "", b.password()),
	} {
		if err := hasKind(what, err); err != nil {
			return err
		}
	}
	return nil
}

func hasKind(what string, err error) error {
	switch {
	case err == nil:
		return fmt.Errorf("%s: no error", what)
	case rotator.KindOf(err) == rotator.KindInternal:
		return fmt.Errorf("%s: the error wraps no rotator.Kind: %w", what, err)
	}
	return nil
}
