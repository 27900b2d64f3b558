package strategytest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest/census"
)

// errNoCensus is for cases about what becomes of others.
var errNoCensus = notOffered("Census (so whether another account loses a password, a grant or a membership was not " +
	"looked at)")

// watcher takes a census before and after each call. Calls at the same time are judged
// together.
type watcher struct {
	take func(ctx context.Context) (map[string]string, error)

	mu      sync.Mutex
	running int
	before  map[string]string
	may     census.Change
	// cut is what calls that failed may change: the server may carry them out yet.
	cut   census.Change
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
func (w *watcher) watch(ctx context.Context, doing string, may census.Change, call func() error) error {
	w.mu.Lock()
	if w.running == 0 {
		w.before, w.may, w.doing = w.census(ctx), w.cut, nil
	}
	w.running++
	w.may, w.doing = w.may.And(may), append(w.doing, doing)
	w.mu.Unlock()

	err := call()

	w.mu.Lock()
	defer w.mu.Unlock()
	w.running--
	if err != nil && !errors.Is(err, rotator.KindLoginRejected) {
		may.Cut = true
		w.cut, w.may = w.cut.And(may), w.may.And(may)
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
	return e.watcher.watch(ctx, "Ping", census.Change{}, func() error { return e.engine.Ping(ctx, login) })
}

func (e watchedEngine) SetPassword(ctx context.Context, login strategies.Login, user string, p secret.Password) error {
	return e.watcher.watch(ctx, fmt.Sprintf("SetPassword of %q", user), census.Change{Passwords: []string{user}},
		func() error { return e.engine.SetPassword(ctx, login, user, p) })
}

func (e watchedEngine) DryRunSetPassword(ctx context.Context, login strategies.Login, user string,
	sample secret.Password) (warnings []strategies.Warning, err error) {
	err = e.watcher.watch(ctx, fmt.Sprintf("DryRunSetPassword for %q", user), census.Change{}, func() (err error) {
		warnings, err = e.engine.DryRunSetPassword(ctx, login, user, sample)
		return err
	})
	return warnings, err
}

type watchedCloning struct {
	cloning strategies.CloningEngine
	clones  *watcher
}

func (e watchedCloning) EnsureClone(ctx context.Context, login strategies.Login, pair strategies.Pair,
	p secret.Password) error {
	may := census.Change{Passwords: []string{pair.Target}, Original: pair.Original, Clone: pair.Clone,
		Superuser: login.User}
	if pair.PasswordOnly {
		may.Original, may.Clone = "", ""
	}
	return e.clones.watch(ctx, fmt.Sprintf("EnsureClone of %q and %q", pair.Original, pair.Clone), may, func() error {
		return e.cloning.EnsureClone(ctx, login, pair, p)
	})
}

func (e watchedCloning) DryRunEnsureClone(ctx context.Context, login strategies.Login, pair strategies.Pair,
	sample secret.Password) (warnings []strategies.Warning, err error) {
	err = e.clones.watch(ctx, fmt.Sprintf("DryRunEnsureClone of %q and %q", pair.Original, pair.Clone), census.Change{},
		func() (err error) {
			warnings, err = e.cloning.DryRunEnsureClone(ctx, login, pair, sample)
			return err
		})
	return warnings, err
}

type watchedDual struct {
	dual  strategies.DualPasswordEngine
	keeps *watcher
}

func (e watchedDual) SetPasswordKeeping(ctx context.Context, login strategies.Login, user string, keep,
	p secret.Password) error {
	return e.keeps.watch(ctx, fmt.Sprintf("SetPasswordKeeping of %q", user), census.Change{Passwords: []string{user}},
		func() error { return e.dual.SetPasswordKeeping(ctx, login, user, keep, p) })
}

func (e watchedDual) DryRunKeeping(ctx context.Context, login strategies.Login, user string, keep,
	sample secret.Password) (warnings []strategies.Warning, err error) {
	err = e.keeps.watch(ctx, fmt.Sprintf("DryRunKeeping for %q", user), census.Change{}, func() (err error) {
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
	err = s.watcher.watch(ctx, "Propose", census.Change{}, func() (err error) {
		d, err = s.Strategy.Propose(ctx, r)
		return err
	})
	return d, err
}

func (s watchedStrategy) Apply(ctx context.Context, r rotator.Rotation) error {
	may := census.OfRotation(r.Current, r.Pending)
	may.Superuser = s.superuser
	return s.watcher.watch(ctx, "Apply", may, func() error { return s.Strategy.Apply(ctx, r) })
}

func (s watchedStrategy) Verify(ctx context.Context, r rotator.Rotation) error {
	return s.watcher.watch(ctx, "Verify", census.Change{}, func() error { return s.Strategy.Verify(ctx, r) })
}
