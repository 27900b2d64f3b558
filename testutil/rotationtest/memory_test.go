package rotationtest

import (
	"context"
	"errors"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// modes are the strategies, on whatever engine.
func modes() map[string]func(e strategies.CloningEngine) rotator.Strategy {
	return map[string]func(e strategies.CloningEngine) rotator.Strategy{
		"single user": func(e strategies.CloningEngine) rotator.Strategy { return strategies.SingleUser{Engine: e} },
		"single user through superuser": func(e strategies.CloningEngine) rotator.Strategy {
			return strategies.SingleUser{Engine: e, ThroughSuperuser: true}
		},
		alternating: func(e strategies.CloningEngine) rotator.Strategy { return strategies.AlternatingUsers{Engine: e} },
	}
}

const alternating = "alternating users"

// TestRotationOnMemory: 564 trials of two whole rotations each; under the race detector some of them, or they would take a
// minute.
func TestRotationOnMemory(t *testing.T) {
	var o Options
	if tier.Stride(t, 1, 2) > 1 {
		o.MaxTrials = 40
	}
	for name, strategy := range modes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			TestRotation(t, MemoryFixture(strategy, name == alternating), o)
		})
	}
}

func TestEnduranceOnMemory(t *testing.T) {
	for name, strategy := range modes() {
		t.Run(name, func(t *testing.T) {
			rotations := 100 / tier.Stride(t, 1, 4)
			load, err := LoadTest{Rotations: rotations, Clients: 2}.Run(t.Context(), MemoryFixture(strategy, name == alternating))
			if err != nil {
				t.Fatal(err)
			}
			if load.Rotations != rotations || load.Reading.Logins == 0 || load.Caching.Logins == 0 {
				t.Errorf("the clients were not there, or not to the end: %+v", load)
			}
		})
	}
}

// TestAFixtureThatFails is an error of its own, and closes what it has opened.
func TestAFixtureThatFails(t *testing.T) {
	closed := false
	_, err := Trials(t.Context(), func(ctx context.Context) (Fixture, error) {
		f, err := MemoryFixture(func(e strategies.CloningEngine) rotator.Strategy {
			return strategies.SingleUser{Engine: e}
		}, false)(ctx)
		f.Related = func(context.Context, string) (secret.Document, error) {
			return secret.Document{}, rotator.KindThrottled
		}
		f.Close = func() { closed = true }
		return f, err
	})
	if !errors.Is(err, rotator.KindThrottled) || !closed {
		t.Errorf("%v, closed: %t", err, closed)
	}
}
