package strategytest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest/census"
)

// Memory is a database server in memory and, at the same time, the engine that
// speaks to it. It is correct by the contract of strategies.CloningEngine and
// small enough to be read, after package shelf, by the author of an engine with clones or
// two passwords. Its zero value is a server without accounts.
// It must not be copied, and serves any number of goroutines.
//
// It answers at MemoryHost and MemoryPort, with TLS for that name. At MemoryReader a
// replica answers, which is never behind and takes no changes. No other host can be
// reached.
type Memory struct {
	// LockAfter is how many rejected logins in a row lock an account. 0: none do.
	LockAfter int

	// Before is asked when the server is about to do op ("login", "set", "clone",
	// "rehearse", "create", "use") for user. An error ends the call in place of it. It may block
	// until ctx ends, as a silent server does, and may call the Memory.
	Before func(ctx context.Context, op, user string) error
	// After is asked when the server has done it. An error ends the call, as if
	// the answer had been lost.
	After func(ctx context.Context, op, user string) error

	mu       sync.Mutex
	accounts map[string]Account
	saved    map[string]Account // what a restart brings back
	journal  []string
}

var (
	_ strategies.CloningEngine      = (*Memory)(nil)
	_ strategies.DualPasswordEngine = (*Memory)(nil)
)

// Where a Memory answers.
const (
	MemoryHost     = "db.example.com"
	MemoryReader   = "db-reader.example.com"
	MemoryPort     = 7000
	MemoryDatabase = "main"
)

// Account is an account of a Memory.
type Account struct {
	Name               string
	Password           secret.Password
	Superuser          bool              // may change other accounts
	Locked             bool              // may not log in
	Expired            bool              // may log in to set a new password, and for nothing else
	RetainedPassword   secret.Password   // a second password, beside Password
	AcceptsAnyPassword bool              // is let in with any password, as by PostgreSQL's trust
	Settings           map[string]string // whatever an administrator has set for it
	Tables             []string          // what it may use; it owns those that it made
	// Hosts are further accounts of this name, each for clients of one host, with a
	// password of their own. From any other host, Password counts.
	Hosts map[string]secret.Password
	// SetRole is the account whose tables it uses in place of its own, and which
	// owns what it makes. That is how the two accounts of a pair do the same.
	SetRole string

	rejected int // logins in a row
}

// owner is the account whose tables count.
func (a Account) owner() string {
	if a.SetRole != "" {
		return a.SetRole
	}
	return a.Name
}

// Traits implements strategies.Engine.
func (m *Memory) Traits() strategies.Traits {
	return strategies.Traits{
		Name:              "Memory",
		Engines:           []string{"memory"},
		Port:              MemoryPort,
		Database:          MemoryDatabase,
		CloneSuffix:       "_clone",
		MaxUserBytes:      32,
		MaxPasswordSize:   128,
		ExcludeCharacters: `:/@"'\`,

		NoFailedLoginLimit: m.LockAfter == 0,
		DetectsPoolers:     true, // nothing can stand in between
	}
}

// Ping implements strategies.Engine.
func (m *Memory) Ping(ctx context.Context, login strategies.Login) error {
	return m.login(ctx, login)
}

// SetPassword implements strategies.Engine.
func (m *Memory) SetPassword(ctx context.Context, login strategies.Login, user string, p secret.Password) error {
	return m.setPassword(ctx, "set", login, user, p)
}

// DryRunSetPassword implements strategies.Engine: the same, taken back.
func (m *Memory) DryRunSetPassword(ctx context.Context, login strategies.Login, user string,
	sample secret.Password) ([]strategies.Warning, error) {
	return nil, m.setPassword(ctx, dryRun, login, user, sample)
}

func (m *Memory) setPassword(ctx context.Context, op string, login strategies.Login, user string,
	p secret.Password) error {
	if err := m.checkNew(p, user); err != nil {
		return err
	}
	if err := m.enter(ctx, login, login.User == user); err != nil {
		return err
	}
	return m.do(ctx, op, user, func() error {
		target, err := m.changeable(login, user)
		if err != nil {
			return err
		}
		target.Password, target.RetainedPassword, target.Expired = p, secret.Password{}, false
		target.Hosts = onHosts(target.Hosts, p)
		m.accounts[user] = target
		return nil
	})
}

// changeable is the account of user, if login may change its password.
func (m *Memory) changeable(login strategies.Login, user string) (Account, error) {
	a, ok := m.accounts[user]
	switch {
	case login.Host == MemoryReader:
		return a, errReplica
	case user != login.User && !m.accounts[login.User].Superuser:
		return a, fmt.Errorf("user %q: %w: only a superuser may change user %q", login.User,
			rotator.KindPrivilege, user)
	case !ok:
		return a, fmt.Errorf("user %q: %w: create it, or correct the name in the secret", user, rotator.KindNotFound)
	case a.Locked:
		return a, fmt.Errorf("user %q: %w: the account is locked, and a new password would not open it", user,
			rotator.KindPrivilege)
	}
	return a, nil
}

// onHosts gives all accounts of a name a password.
func onHosts(hosts map[string]secret.Password, p secret.Password) map[string]secret.Password {
	all := map[string]secret.Password{}
	for host := range hosts {
		all[host] = p
	}
	return all
}

// SetPasswordKeeping implements strategies.DualPasswordEngine.
func (m *Memory) SetPasswordKeeping(ctx context.Context, login strategies.Login, user string, keep,
	p secret.Password) error {
	return m.keep(ctx, "set", login, user, keep, p)
}

// DryRunKeeping implements strategies.DualPasswordEngine: the same, taken back.
func (m *Memory) DryRunKeeping(ctx context.Context, login strategies.Login, user string, keep,
	sample secret.Password) ([]strategies.Warning, error) {
	return nil, m.keep(ctx, dryRun, login, user, keep, sample)
}

// keep keeps the password that it is told, whichever of the two it is: the other one is
// what goes.
func (m *Memory) keep(ctx context.Context, op string, login strategies.Login, user string, keep,
	p secret.Password) error {
	if err := m.checkNew(p, user); err != nil {
		return err
	}
	if err := m.login(ctx, login); err != nil {
		return err
	}
	return m.do(ctx, op, user, func() error {
		a, err := m.changeable(login, user)
		switch {
		case err != nil:
			return err
		case p.Equal(keep):
			return nil
		case !a.has(keep):
			keep = secret.Password{}
		}
		a.Password, a.RetainedPassword = p, keep
		m.accounts[user] = a
		return nil
	})
}

// has says whether a password opens the account.
func (a Account) has(p secret.Password) bool {
	return a.Password.Equal(p) || !a.RetainedPassword.Empty() && a.RetainedPassword.Equal(p)
}

// EnsureClone implements strategies.CloningEngine. The clone acts for the
// original, so that whatever either may use or makes is there for both.
func (m *Memory) EnsureClone(ctx context.Context, login strategies.Login, pair strategies.Pair,
	p secret.Password) error {
	return m.ensureClone(ctx, "clone", login, pair, p)
}

// DryRunEnsureClone implements strategies.CloningEngine: the same, taken back.
func (m *Memory) DryRunEnsureClone(ctx context.Context, login strategies.Login, pair strategies.Pair,
	sample secret.Password) ([]strategies.Warning, error) {
	return nil, m.ensureClone(ctx, dryRun, login, pair, sample)
}

// checkEntitled shows the strategy what the server knows of an account that exists: a
// clone acts for its original, and nothing but a cloning makes it do that.
func (m *Memory) checkEntitled(ctx context.Context, login strategies.Login, pair strategies.Pair) error {
	next, ok := m.Account(pair.Target)
	if !ok {
		return nil
	}
	inUse, _ := m.Account(pair.InUse())
	seen := strategies.Evidence{Acting: pair.Target == login.User}
	if clone, _ := m.Account(pair.Clone); clone.SetRole != pair.Original {
		seen.NoProvenance = fmt.Sprintf("user %q does not act for user %q", pair.Clone, pair.Original)
	}
	switch power := []string{"the powers of a superuser"}; {
	case !next.Superuser || inUse.Superuser:
	case pair.PasswordOnly:
		seen.Admin = power
	default:
		seen.Synced, seen.NoProvenance = power, "it is a superuser"
	}
	return pair.CheckEntitled(ctx, seen)
}

func (m *Memory) ensureClone(ctx context.Context, op string, login strategies.Login, pair strategies.Pair,
	p secret.Password) error {
	if pair.Original == pair.Clone || pair.Target != pair.Original && pair.Target != pair.Clone {
		return fmt.Errorf("pair %q and %q, next %q: %w: want two users, and one of them", pair.Original, pair.Clone,
			pair.Target, rotator.KindMisconfigured)
	}
	if err := m.checkNew(p, pair.Original, pair.Clone); err != nil {
		return err
	}
	if err := m.login(ctx, login); err != nil {
		return err
	}
	// who is none hears that first
	if acting, _ := m.Account(login.User); acting.Superuser && login.Host != MemoryReader {
		if err := m.checkEntitled(ctx, login, pair); err != nil {
			return err
		}
	}
	return m.do(ctx, op, pair.Target, func() error {
		if login.Host == MemoryReader {
			return errReplica
		}
		if !m.accounts[login.User].Superuser {
			return fmt.Errorf("user %q: %w: only a superuser may clone user %q", login.User, rotator.KindPrivilege,
				pair.Original)
		}
		inUse, ok := m.accounts[pair.InUse()]
		if !ok {
			return fmt.Errorf("user %q, to be aligned with %q: %w", pair.InUse(), pair.Target, rotator.KindNotFound)
		}
		next, ok := m.accounts[pair.Target]
		if !ok && pair.Target == pair.Original {
			return fmt.Errorf("user %q, to be cloned: %w", pair.Original, rotator.KindNotFound)
		}
		if next.Locked {
			return fmt.Errorf("user %q: %w: the account is locked, and a new password would not open it", pair.Target,
				rotator.KindPrivilege)
		}
		if pair.PasswordOnly {
			if !ok {
				return fmt.Errorf("user %q: %w: create it, or correct the name in the secret", pair.Target,
					rotator.KindNotFound)
			}
			next.Password, next.Hosts = p, onHosts(next.Hosts, p)
			m.accounts[pair.Target] = next
			return nil
		}
		next.Name, next.Password, next.Hosts = pair.Target, p, onHosts(inUse.Hosts, p)
		next.Superuser, next.Settings = inUse.Superuser, maps.Clone(inUse.Settings)
		m.accounts[pair.Target] = next

		// A clone that was there before may have tables of its own. They go to the
		// original, or one of the two would lose them.
		original, clone := m.accounts[pair.Original], m.accounts[pair.Clone]
		original.Tables = union(original.Tables, clone.Tables)
		clone.Tables, clone.SetRole = nil, original.Name
		m.accounts[pair.Original], m.accounts[pair.Clone] = original, clone
		return nil
	})
}

// union gives a new slice of what is in a or in b.
func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

// checkNew refuses what the server would refuse or, worse, take in another sense,
// before the first login.
func (m *Memory) checkNew(p secret.Password, users ...string) error {
	t := m.Traits()
	switch value := p.Reveal(); {
	case value == "":
		return fmt.Errorf("new password: %w: it is empty", rotator.KindMisconfigured)
	case strings.ContainsRune(value, 0):
		return fmt.Errorf("new password: %w: it holds a NUL", rotator.KindMisconfigured)
	case len(value) > t.MaxPasswordSize:
		return fmt.Errorf("new password: %w: %d bytes, and %s takes %d", rotator.KindPasswordPolicy, len(value), t.Name,
			t.MaxPasswordSize)
	}
	for _, user := range users {
		if user == "" || strings.ContainsRune(user, 0) || len(user) > t.MaxUserBytes {
			return fmt.Errorf("user name %q: %w: want 1 to %d bytes without NUL", user, rotator.KindMisconfigured,
				t.MaxUserBytes)
		}
	}
	return nil
}

// login finds the server, checks whom it speaks to, and proves who it is. Only the
// server's answer to the password is KindLoginRejected.
func (m *Memory) login(ctx context.Context, login strategies.Login) error {
	return m.enter(ctx, login, false)
}

// enter is a login, perhaps one that is to end in a new password.
func (m *Memory) enter(ctx context.Context, login strategies.Login, toChange bool) error {
	place := net.JoinHostPort(login.Host, strconv.Itoa(login.Port))
	err := m.do(ctx, "login", login.User, func() error {
		switch {
		case login.Host != MemoryHost && login.Host != MemoryReader || login.Port != MemoryPort:
			return fmt.Errorf("%w: no server there", rotator.KindUnreachable)
		case !login.TLS.Disabled && login.TLS.ServerName != "" && login.TLS.ServerName != MemoryHost:
			return fmt.Errorf("%w: the certificate is for %s, not for %q", rotator.KindTLS, MemoryHost,
				login.TLS.ServerName)
		case m.accounts[login.User].AcceptsAnyPassword:
			return fmt.Errorf("%w: the server accepts any password of this user, so a login verifies nothing",
				rotator.KindMisconfigured)
		case !m.accepts(login):
			return fmt.Errorf("%w: wrong password, or no such user", rotator.KindLoginRejected)
		case m.accounts[login.User].Locked:
			return fmt.Errorf("%w: the account is locked", rotator.KindPrivilege)
		case m.accounts[login.User].Expired && !toChange:
			return fmt.Errorf("%w: the password has expired, and is good only for setting a new one",
				rotator.KindPrivilege)
		case login.Database != "" && login.Database != MemoryDatabase:
			return fmt.Errorf("%w: there is no database %q on this server", rotator.KindMisconfigured, login.Database)
		}
		return nil
	})
	if err != nil {
		return strategies.MarkLoginError(fmt.Errorf("login as %q at %s: %w", login.User, place, err))
	}
	return nil
}

var errReplica = fmt.Errorf("server: %w: %s follows %s", rotator.KindReadOnly, MemoryReader, MemoryHost)

// accepts judges a password, and counts rejected ones.
func (m *Memory) accepts(login strategies.Login) bool {
	a, ok := m.accounts[login.User]
	if !ok || a.Password.Empty() {
		return false
	}
	right := a.has(login.Password)
	if right {
		a.rejected = 0
	} else {
		a.rejected++
	}
	a.Locked = a.Locked || m.LockAfter > 0 && a.rejected >= m.LockAfter
	m.accounts[login.User] = a
	return right
}

// dryRun is the op of what is taken back.
const dryRun = "rehearse"

// throwaway is a password that is not kept.
func throwaway() secret.Password { return secret.NewPassword(rand.Text()) }

// do has the server do one thing, of which no client sees half: work checks
// everything before it changes anything. A rehearsal ends as it began.
func (m *Memory) do(ctx context.Context, op, user string, work func() error) error {
	err := ask(ctx, m.Before, op, user)
	m.mu.Lock()
	if err == nil {
		before := maps.Clone(m.accounts)
		if err = work(); op == dryRun {
			m.accounts = before
		} else if err == nil && op != "login" {
			m.saved = maps.Clone(m.accounts)
		}
	}
	entry := op + " " + user
	if err != nil {
		entry += ": " + string(rotator.KindOf(err))
	}
	m.journal = append(m.journal, entry)
	m.mu.Unlock()
	if err != nil {
		return err
	}
	return ask(ctx, m.After, op, user)
}

// ask lets a hook answer, if there is one, and obeys ctx before and after.
func ask(ctx context.Context, hook func(ctx context.Context, op, user string) error, op, user string) error {
	var err error
	if hook != nil && ctx.Err() == nil {
		err = hook(ctx, op, user)
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w: %w", op, rotator.KindDeadline, ctx.Err())
	}
	return err
}

// Add creates an account, or replaces the one of that name.
func (m *Memory) Add(a Account) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.accounts == nil {
		m.accounts = make(map[string]Account)
	}
	m.accounts[a.Name] = a
	m.saved = maps.Clone(m.accounts)
}

// Restart loses what was not saved. Every call of an engine saves what it changes.
func (m *Memory) Restart(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.accounts = maps.Clone(m.saved)
	return nil
}

// Account gives an account as it is now, if there is one of that name.
func (m *Memory) Account(name string) (Account, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a, ok := m.accounts[name]
	return a, ok
}

// LogInFrom judges the credentials of a client at a host. No hook is asked, and it does
// not count as a login.
func (m *Memory) LogInFrom(host, user string, p secret.Password) error {
	a, ok := m.Account(user)
	right := a.Password
	if there, ok := a.Hosts[host]; ok {
		right = there
	}
	if !ok || a.Locked || !right.Equal(p) {
		return fmt.Errorf("user %q%s: %w", user, census.FromHost(host), rotator.KindLoginRejected)
	}
	return nil
}

// Rights lists what an account may do, for a caller that has its password.
func (m *Memory) Rights(user string, p secret.Password) ([]string, error) {
	if err := m.LogInFrom("", user, p); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []string
	if m.accounts[user].Superuser {
		all = append(all, "superuser")
	}
	for _, table := range m.accounts[m.accounts[user].owner()].Tables {
		all = append(all, "table "+table)
	}
	return all, nil
}

// Census gives everything that the server stores of all accounts, by census.Fact.
func (m *Memory) Census(context.Context) (map[string]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := map[string]string{}
	for name, a := range m.accounts {
		put := func(what, value string) { all[census.Fact(name, what)] = value }
		put("account", "yes")
		put("verifier", digest(a.Password))
		for host, p := range a.Hosts {
			put("verifier at "+host, digest(p))
		}
		if !a.RetainedPassword.Empty() {
			put("verifier kept", digest(a.RetainedPassword))
		}
		for what, is := range map[string]bool{"verifier expired": a.Expired, "superuser": a.Superuser,
			"locked": a.Locked, "trusted": a.AcceptsAnyPassword} {
			if is {
				put(what, "yes")
			}
		}
		for key, value := range a.Settings {
			put("setting "+key, value)
		}
		for _, table := range a.Tables {
			put("table "+table, "yes")
		}
		if a.SetRole != "" {
			put(census.MemberOf(a.SetRole), "yes")
		}
	}
	return all, nil
}

func digest(p secret.Password) string {
	sum := sha256.Sum256([]byte(p.Reveal()))
	return hex.EncodeToString(sum[:])
}

// Journal lists what the server was asked to do, in order, and the kind of error
// if it did not: "login app", "set app_clone", "login app: login rejected". It
// holds no password.
func (m *Memory) Journal() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.journal)
}

// Login is an account at this server.
func (*Memory) Login(user string, p secret.Password) strategies.Login {
	return strategies.Login{Host: MemoryHost, Port: MemoryPort, Database: MemoryDatabase, User: user, Password: p}
}

// Create makes a table, as a client would.
func (m *Memory) Create(ctx context.Context, login strategies.Login, table string) error {
	if err := m.login(ctx, login); err != nil {
		return err
	}
	return m.do(ctx, "create", login.User, func() error {
		owner := m.accounts[m.accounts[login.User].owner()]
		owner.Tables = union(owner.Tables, []string{table})
		m.accounts[owner.Name] = owner
		return nil
	})
}

// Use reads and writes a table, as a client would.
func (m *Memory) Use(ctx context.Context, login strategies.Login, table string) error {
	if err := m.login(ctx, login); err != nil {
		return err
	}
	return m.do(ctx, "use", login.User, func() error {
		if owner := m.accounts[login.User].owner(); !slices.Contains(m.accounts[owner].Tables, table) {
			return fmt.Errorf("user %q: %w: may not use table %q", login.User, rotator.KindPrivilege, table)
		}
		return nil
	})
}
