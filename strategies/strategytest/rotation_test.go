package strategytest

import (
	"context"
	"fmt"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
)

// modes are the strategies, on whatever engine.
func modes() map[string]func(e strategies.CloningEngine) rotator.Strategy {
	return map[string]func(e strategies.CloningEngine) rotator.Strategy{
		"single user": func(e strategies.CloningEngine) rotator.Strategy { return strategies.SingleUser{Engine: e} },
		"single user through superuser": func(e strategies.CloningEngine) rotator.Strategy {
			return strategies.SingleUser{Engine: e, ThroughSuperuser: true}
		},
		"alternating users": func(e strategies.CloningEngine) rotator.Strategy { return strategies.AlternatingUsers{Engine: e} },
	}
}

// memoryRotation has a Memory of its own, whose clients are asked by its accounts:
// what happens to the function's logins does not happen to theirs.
func memoryRotation(t *testing.T, s rotator.Strategy, w world) RotationFixture {
	f := w.strategyFixture(t, s)
	f.LogIn = func(_ context.Context, d secret.Document) error {
		a, ok := w.Account(d.Text("username"))
		if !ok || a.Locked || !a.Password.Equal(d.Password()) {
			return fmt.Errorf("user %q: %w", d.Text("username"), rotator.LoginRejected)
		}
		return nil
	}
	return RotationFixture{
		StrategyFixture: f,
		Tap: func(ask func(what string, after bool) error) {
			w.Before = func(_ context.Context, op, user string) error { return ask(op+" "+user, false) }
			w.After = func(_ context.Context, op, user string) error { return ask(op+" "+user, true) }
		},
	}
}

func TestRotationOnMemory(t *testing.T) {
	for name, make := range modes() {
		t.Run(name, func(t *testing.T) {
			TestRotation(t, 0, func(context.Context) (RotationFixture, error) {
				w := newWorld()
				return memoryRotation(t, make(w), w), nil
			})
		})
	}
}
