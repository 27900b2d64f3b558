package strategytest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
)

// Fact is a key of a census: one thing that a server stores of an account. A census
// has all accounts of a server, with everything that the server stores of them and
// that is not the default: attributes, settings, privileges, what an account owns.
//
// Four beginnings of what have a meaning. "account" is there for every account.
// "verifier" is what goes with the password: its value is a digest, never the verifier
// itself. "strength" is the method of the verifier and its parameters, spelled so that
// the stronger of two is later in the order of strings. MemberOf is a membership. The
// words of its value say what it is good for: "inherit" for the privileges, "set" for
// becoming the other account, and "admin" for granting it on.
func Fact(user, what string) string { return strconv.Quote(user) + " " + what }

// MemberOf is for a Fact: that an account has the privileges of another.
func MemberOf(user string) string { return "member of " + strconv.Quote(user) }

// OfFact is the opposite of Fact.
func OfFact(key string) (user, what string) {
	quoted, err := strconv.QuotedPrefix(key)
	if err != nil {
		return "", key
	}
	user, err = strconv.Unquote(quoted)
	if err != nil {
		return "", key
	}
	return user, strings.TrimPrefix(key[len(quoted):], " ")
}

// Change is what one call of an engine, or one rotation, may change on a server. Its
// zero value is nothing.
type Change struct {
	Passwords []string // the accounts that get a password
	// Original and Clone are a pair that the engine keeps alike. "": there is none. The
	// clone may get what its original has, and lose what its original has not.
	Original, Clone string
	Superuser       string // who makes the change; the server makes it administrator of a new clone
	Cut             bool   // it failed, and may be done in part
}

// Check compares two censuses and lists what differs and may not: no account gains or
// loses a privilege, a setting or a password by a rotation of another account.
func (c Change) Check(before, after map[string]string) error {
	return checkAll([]Change{c}, before, after)
}

// checkAll is Check for what several rotations together may change.
func checkAll(may []Change, before, after map[string]string) error {
	var found []error
	keys := slices.Concat(slices.Collect(maps.Keys(before)), slices.Collect(maps.Keys(after)))
	slices.Sort(keys)
	for _, key := range slices.Compact(keys) {
		was, had := before[key]
		is, has := after[key]
		allowed := func(c Change) bool { return c.allows(key, was, is, had, has, before, after) }
		if had == has && was == is || slices.ContainsFunc(may, allowed) {
			continue
		}
		user, what := OfFact(key)
		switch {
		case strings.HasPrefix(what, "verifier"):
			found = append(found, fmt.Errorf("user %q: %s: changed", user, what))
		case !had:
			found = append(found, fmt.Errorf("user %q: %s: new: %q", user, what, is))
		case !has:
			found = append(found, fmt.Errorf("user %q: %s: gone; it was %q", user, what, was))
		default:
			found = append(found, fmt.Errorf("user %q: %s: %q; it was %q", user, what, is, was))
		}
	}
	if found == nil {
		return nil
	}
	return fmt.Errorf("census of the server: %w", errors.Join(found...))
}

func (c Change) allows(key, was, is string, had, has bool, before, after map[string]string) bool {
	user, what := OfFact(key)
	gets := slices.Contains(c.Passwords, user)
	switch {
	case gets && strings.HasPrefix(what, "verifier"):
		return true
	case gets && strings.HasPrefix(what, "strength"):
		return is >= was
	case user == c.Clone && c.Clone != "":
		if strings.HasPrefix(what, "verifier") || strings.HasPrefix(what, "strength") {
			return !had // of an account that is new
		}
		if strings.HasPrefix(what, MemberOf(c.Original)) { // that is what makes it the clone
			return has && (!slices.Contains(strings.Fields(is), "admin") || slices.Contains(strings.Fields(was), "admin"))
		}
		model, modelled := after[Fact(c.Original, what)]
		return modelled == has && model == is || !has && c.Cut
	case c.Clone != "" && what == MemberOf(c.Clone):
		_, existed := before[Fact(c.Clone, "account")]
		can := strings.Fields(is)
		return !existed && user == c.Superuser && !slices.Contains(can, "inherit") && !slices.Contains(can, "set")
	}
	return false
}

// and is what two calls together may change.
func (c Change) and(d Change) Change {
	c.Passwords = append(slices.Clone(c.Passwords), d.Passwords...)
	if d.Clone != "" {
		c.Original, c.Clone = d.Original, d.Clone
	}
	if d.Superuser != "" {
		c.Superuser = d.Superuser
	}
	c.Cut = c.Cut || d.Cut
	return c
}

// errNoCensus is for cases about what becomes of others.
var errNoCensus = notOffered("Census (so whether another account loses a password, a grant or a membership was not looked at)")

// watcher takes a census before and after each call. Calls at the same time are judged
// together.
type watcher struct {
	take func(ctx context.Context) (map[string]string, error)

	mu      sync.Mutex
	running int
	before  map[string]string
	may     Change
	// cut is what calls that failed may change: the server may carry them out yet.
	cut   Change
	doing []string
	found []error
}

// censusTime is for one census: far more than any needs.
const censusTime = time.Minute

func (w *watcher) census(ctx context.Context) map[string]string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), censusTime)
	defer cancel()
	all, err := w.take(ctx)
	if err != nil {
		w.found = append(w.found, fmt.Errorf("fixture: census: %w", err))
	}
	return all
}

// watch makes a call between two censuses.
func (w *watcher) watch(ctx context.Context, doing string, may Change, call func() error) error {
	w.mu.Lock()
	if w.running == 0 {
		w.before, w.may, w.doing = w.census(ctx), w.cut, nil
	}
	w.running++
	w.may, w.doing = w.may.and(may), append(w.doing, doing)
	w.mu.Unlock()

	err := call()

	w.mu.Lock()
	defer w.mu.Unlock()
	w.running--
	if err != nil && !errors.Is(err, rotator.KindLoginRejected) {
		may.Cut = true
		w.cut, w.may = w.cut.and(may), w.may.and(may)
	}
	if w.running == 0 && len(w.found) == 0 {
		if differs := w.may.Check(w.before, w.census(ctx)); differs != nil {
			w.found = append(w.found, fmt.Errorf("%s: %w", strings.Join(w.doing, " and "), differs))
		}
	}
	return err
}

// verdict is what was found so far.
func (w *watcher) verdict() error {
	if w == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return errors.Join(w.found...)
}

// watched puts a watcher around an engine, which keeps its optional interfaces.
func watched(e strategies.Engine, w *watcher) strategies.Engine {
	plain := watchedEngine{e, w}
	c, clones := e.(strategies.CloningEngine)
	d, keeps := e.(strategies.DualPasswordEngine)
	switch {
	case clones && keeps:
		return struct {
			watchedEngine
			watchedCloning
			watchedDual
		}{plain, watchedCloning{c, w}, watchedDual{d, w}}
	case clones:
		return struct {
			watchedEngine
			watchedCloning
		}{plain, watchedCloning{c, w}}
	case keeps:
		return struct {
			watchedEngine
			watchedDual
		}{plain, watchedDual{d, w}}
	}
	return plain
}

type watchedEngine struct {
	engine  strategies.Engine
	watcher *watcher
}

func (e watchedEngine) Traits() strategies.Traits { return e.engine.Traits() }

func (e watchedEngine) Ping(ctx context.Context, login strategies.Login) error {
	return e.watcher.watch(ctx, "Ping", Change{}, func() error { return e.engine.Ping(ctx, login) })
}

func (e watchedEngine) SetPassword(ctx context.Context, login strategies.Login, user string, p secret.Password) error {
	return e.watcher.watch(ctx, fmt.Sprintf("SetPassword of %q", user), Change{Passwords: []string{user}}, func() error { return e.engine.SetPassword(ctx, login, user, p) })
}

func (e watchedEngine) DryRunSetPassword(ctx context.Context, login strategies.Login, user string, sample secret.Password) (warnings []strategies.Warning, err error) {
	err = e.watcher.watch(ctx, fmt.Sprintf("DryRunSetPassword for %q", user), Change{}, func() (err error) {
		warnings, err = e.engine.DryRunSetPassword(ctx, login, user, sample)
		return err
	})
	return warnings, err
}

type watchedCloning struct {
	cloning strategies.CloningEngine
	clones  *watcher
}

func (e watchedCloning) EnsureClone(ctx context.Context, login strategies.Login, pair strategies.Pair, p secret.Password) error {
	may := Change{Passwords: []string{pair.Target}, Original: pair.Original, Clone: pair.Clone, Superuser: login.User}
	if pair.PasswordOnly {
		may.Original, may.Clone = "", ""
	}
	return e.clones.watch(ctx, fmt.Sprintf("EnsureClone of %q and %q", pair.Original, pair.Clone), may, func() error { return e.cloning.EnsureClone(ctx, login, pair, p) })
}

func (e watchedCloning) DryRunEnsureClone(ctx context.Context, login strategies.Login, pair strategies.Pair, sample secret.Password) (warnings []strategies.Warning, err error) {
	err = e.clones.watch(ctx, fmt.Sprintf("DryRunEnsureClone of %q and %q", pair.Original, pair.Clone), Change{}, func() (err error) {
		warnings, err = e.cloning.DryRunEnsureClone(ctx, login, pair, sample)
		return err
	})
	return warnings, err
}

type watchedDual struct {
	dual  strategies.DualPasswordEngine
	keeps *watcher
}

func (e watchedDual) SetPasswordKeeping(ctx context.Context, login strategies.Login, user string, keep, p secret.Password) error {
	return e.keeps.watch(ctx, fmt.Sprintf("SetPasswordKeeping of %q", user), Change{Passwords: []string{user}}, func() error { return e.dual.SetPasswordKeeping(ctx, login, user, keep, p) })
}

func (e watchedDual) DryRunKeeping(ctx context.Context, login strategies.Login, user string, keep, sample secret.Password) (warnings []strategies.Warning, err error) {
	err = e.keeps.watch(ctx, fmt.Sprintf("DryRunKeeping for %q", user), Change{}, func() (err error) {
		warnings, err = e.dual.DryRunKeeping(ctx, login, user, keep, sample)
		return err
	})
	return warnings, err
}

// watchedStrategy puts a watcher around a strategy. What Apply may change is told by
// the two values: the password of the pending one's user, and where that name is the
// current one's with something more, or less, at its end, the clone of the two.
type watchedStrategy struct {
	rotator.Strategy
	watcher   *watcher
	superuser string
}

func (s watchedStrategy) Propose(ctx context.Context, r rotator.Rotation) (d secret.Document, err error) {
	err = s.watcher.watch(ctx, "Next", Change{}, func() (err error) {
		d, err = s.Strategy.Propose(ctx, r)
		return err
	})
	return d, err
}

func (s watchedStrategy) Apply(ctx context.Context, r rotator.Rotation) error {
	may := changeOf(r.Current, r.Pending)
	may.Superuser = s.superuser
	return s.watcher.watch(ctx, "Apply", may, func() error { return s.Strategy.Apply(ctx, r) })
}

func (s watchedStrategy) Verify(ctx context.Context, r rotator.Rotation) error {
	return s.watcher.watch(ctx, "Verify", Change{}, func() error { return s.Strategy.Verify(ctx, r) })
}

// changeOf is what a rotation from one value to another may change. Next to a pair that
// the secret itself names (alternateUsername), nothing is kept alike.
func changeOf(current, pending secret.Document) Change {
	from, to := current.Text("username"), pending.Text("username")
	c := Change{Passwords: []string{to}}
	switch {
	case from == "" || to == "" || from == to || current.Text("alternateUsername") != "":
	case strings.HasPrefix(to, from):
		c.Original, c.Clone = from, to
	case strings.HasPrefix(from, to):
		c.Original, c.Clone = to, from
	}
	return c
}

// stored is a secret of the server's that a rotation has nothing to do with.
type stored struct {
	name string
	d    secret.Document
	from []string // hosts from which it logs in
}

// loggingIn keeps those that log in, with the hosts from which they do.
func loggingIn(ctx context.Context, all map[string]secret.Document, hosts []string, logIn func(ctx context.Context, host string, d secret.Document) error) []stored {
	var some []stored
	for _, name := range slices.Sorted(maps.Keys(all)) {
		s := stored{name: name, d: all[name]}
		for _, host := range hosts {
			if logIn(ctx, host, s.d) == nil {
				s.from = append(s.from, host)
			}
		}
		if s.from != nil {
			some = append(some, s)
		}
	}
	return some
}

// stillLoggingIn lists those that logged in and do so no longer.
func stillLoggingIn(ctx context.Context, all []stored, logIn func(ctx context.Context, host string, d secret.Document) error) error {
	var found []error
	for _, s := range all {
		for _, host := range s.from {
			if err := logIn(ctx, host, s.d); err != nil {
				found = append(found, fmt.Errorf("the secret %s, of user %q, no longer logs in%s: %w", s.name, s.d.Text("username"), fromHost(host), err))
			}
		}
	}
	return errors.Join(found...)
}

func fromHost(host string) string {
	if host == "" {
		return ""
	}
	return " from " + host
}

// hostsOr is the hosts of a fixture, or the one that has no name.
func hostsOr(hosts []string) []string {
	if hosts == nil {
		return []string{""}
	}
	return hosts
}

// everything is what Rights says of who may do everything.
const everything = "superuser"

// without lists what of some privileges is not among others.
func without(some, others []string) []string {
	var rest []string
	if slices.Contains(others, everything) {
		return nil
	}
	for _, s := range some {
		if !slices.Contains(others, s) && !slices.Contains(rest, s) {
			rest = append(rest, s)
		}
	}
	return rest
}

// Neighbors keeps apart the accounts of fixtures that share a server and are in use
// at the same time. Its zero value has none.
type Neighbors struct {
	mu    sync.Mutex
	count int
	owner map[string]int
}

// Neighbor is one fixture among others.
type Neighbor struct {
	all *Neighbors
	id  int
}

// Join adds a fixture, with the accounts that it has.
func (n *Neighbors) Join(users ...string) *Neighbor {
	n.mu.Lock()
	n.count++
	one := &Neighbor{n, n.count}
	n.mu.Unlock()
	one.Owns(users...)
	return one
}

// Owns gives the fixture accounts, which it is about to create.
func (n *Neighbor) Owns(users ...string) {
	n.all.mu.Lock()
	defer n.all.mu.Unlock()
	if n.all.owner == nil {
		n.all.owner = map[string]int{}
	}
	for _, u := range users {
		n.all.owner[u] = n.id
	}
}

// Census leaves out of a census the accounts of the other fixtures, and their clones.
func (n *Neighbor) Census(all map[string]string, cloneSuffix string) map[string]string {
	n.all.mu.Lock()
	defer n.all.mu.Unlock()
	others := func(user string) bool {
		for _, name := range []string{user, strings.TrimSuffix(user, cloneSuffix)} {
			if id, ok := n.all.owner[name]; ok {
				return id != n.id
			}
		}
		return false
	}
	mine := map[string]string{}
	for key, value := range all {
		user, what := OfFact(key)
		if rest, is := strings.CutPrefix(what, "member of "); is && !others(user) {
			if of, _ := OfFact(rest); others(of) {
				continue
			}
		}
		if !others(user) {
			mine[key] = value
		}
	}
	return mine
}
