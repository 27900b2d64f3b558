package rotationtest

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
)

// onMemory opens a service for a rotation on a Memory.
func onMemory(t *testing.T, change func(c *ServiceConfig)) *Service {
	t.Helper()
	f, err := MemoryFixture(func(e strategies.CloningEngine) rotator.Strategy {
		return strategies.SingleUser{Engine: e}
	}, false)(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c := ServiceConfig{Strategy: f.Strategy, Current: f.Current}
	change(&c)
	s, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// TestFaults: what goes wrong with a call reaches the function as AWS would have it, a value is stored or not
// accordingly, and what follows is a rotation.
func TestFaults(t *testing.T) {
	for _, c := range []struct {
		fault     Fault
		operation string
		kind      rotator.Kind // "": it does not fail
		stored    bool         // AWSPENDING
	}{
		{FaultThrottled, "PutSecretValue", rotator.KindThrottled, false},
		{FaultServerError, "PutSecretValue", rotator.KindThrottled, false},
		{FaultExpired, "PutSecretValue", rotator.KindMisconfigured, false},
		{FaultDenied, "PutSecretValue", rotator.KindAccessDenied, false},
		{FaultKeyDisabled, "PutSecretValue", rotator.KindMisconfigured, false},
		{FaultLostCall, "PutSecretValue", rotator.KindUnreachable, false},
		{FaultLostAnswer, "PutSecretValue", rotator.KindUnreachable, true},
		{FaultSlow, "PutSecretValue", "", false},
		{FaultStale, "DescribeSecret", "", false},
	} {
		t.Run(string(c.fault), func(t *testing.T) {
			var asked, answered int
			s := onMemory(t, func(cfg *ServiceConfig) {
				cfg.BeforeCall = func(operation string) Fault {
					if operation != c.operation {
						return FaultNone
					}
					if asked++; asked > 1 {
						return FaultNone
					}
					return c.fault
				}
				cfg.AfterCall = func(operation string) {
					if operation == c.operation {
						answered++
					}
				}
			})
			before := s.ValueAt(rotator.LabelCurrent)
			err := s.Rotate(t.Context(), 1)
			if got := rotator.KindOf(err); err != nil && got != c.kind || (err == nil) != (c.kind == "") {
				t.Errorf("kind %q, want %q: %v", got, c.kind, err)
			}
			if stored := !s.ValueAt(rotator.LabelPending).IsZero(); err != nil && stored != c.stored {
				t.Errorf("a pending value is stored: %t, want %t", stored, c.stored)
			}
			if err != nil && !s.ValueAt(rotator.LabelCurrent).Equal(before) {
				t.Error("AWSCURRENT has moved")
			}
			if err := s.Rotate(t.Context(), 1); err != nil {
				t.Errorf("the retry: %v", err)
			}
			if asked == 0 || answered == 0 || s.ValueAt(rotator.LabelCurrent).Equal(before) {
				t.Errorf("asked %d times, answered %d; AWSCURRENT is the old one: %t", asked, answered,
					s.ValueAt(rotator.LabelCurrent).Equal(before))
			}
		})
	}
}

// TestKill: a function that was killed makes no more calls, whether or not the one under way was carried out.
func TestKill(t *testing.T) {
	for name, after := range map[string]bool{"before a call": false, "after a call": true} {
		t.Run(name, func(t *testing.T) {
			var s *Service
			killed, calls := false, 0
			kill := func(operation string) (now bool) {
				if operation == "PutSecretValue" && !killed {
					killed, now = true, true
					s.Kill()
				}
				return now
			}
			s = onMemory(t, func(c *ServiceConfig) {
				c.BeforeCall = func(operation string) Fault {
					if killed {
						calls++
					}
					if !after && kill(operation) {
						return FaultServerError
					}
					return FaultNone
				}
				c.AfterCall = func(operation string) {
					if after {
						kill(operation)
					}
				}
			})
			if err := s.Rotate(t.Context(), 1); !errors.Is(err, errKilled) {
				t.Errorf("error %v", err)
			}
			if stored := !s.ValueAt(rotator.LabelPending).IsZero(); calls > 0 || stored != after {
				t.Errorf("%d calls after its end; a value is stored: %t", calls, stored)
			}
		})
	}
}

// TestPutByHand: a value that a person stores ends the rotation that is running.
func TestPutByHand(t *testing.T) {
	var s *Service
	edited := false
	s = onMemory(t, func(c *ServiceConfig) {
		c.Step = func(ctx context.Context, step rotator.Step, invoke Invoke) error {
			if step == rotator.StepSetSecret && !edited {
				edited = true
				if err := s.PutByHand(ctx, s.ValueAt(rotator.LabelCurrent).Set("colour", "red")); err != nil {
					return err
				}
			}
			return invoke(ctx, step)
		}
	})
	if err := s.Rotate(t.Context(), 1); err == nil || s.ValueAt(rotator.LabelCurrent).Text("colour") != "red" {
		t.Errorf("error %v, colour %q", err, s.ValueAt(rotator.LabelCurrent).Text("colour"))
	}
	if err := s.Rotate(t.Context(), 1); err != nil || s.ValueAt(rotator.LabelCurrent).Text("colour") != "red" {
		t.Errorf("the next rotation: error %v", err)
	}
}

// TestOpen: the strategy is required, and what a function prints is kept, without a password.
func TestOpen(t *testing.T) {
	if _, err := Open(ServiceConfig{Current: secret.Document{}.Set("username", "app")}); err == nil {
		t.Error("a service without a function")
	}
	s := onMemory(t, func(*ServiceConfig) {})
	if err := s.Rotate(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	out := s.Output()
	if !strings.Contains(out, "createSecret done") || !strings.Contains(out, "PutSecretValue") {
		t.Errorf("output: %s", out)
	}
	if strings.Contains(out, s.ValueAt(rotator.LabelCurrent).Password().Reveal()) {
		t.Error("the output holds a password")
	}
}
