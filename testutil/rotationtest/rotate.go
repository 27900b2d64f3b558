package rotationtest

import (
	"context"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
)

// Rotate is one rotation of a secret, in this process. superuser is the secret that current names in masterarn. It
// gives the service too, which the test's end closes.
func Rotate(t *testing.T, strategy rotator.Strategy, current, superuser secret.Document) (Service, error) {
	t.Helper()
	service, err := Local(ServiceConfig{
		Strategy: strategy, Current: current,
		Related:    map[string]secret.Document{current.Text("masterarn"): superuser},
		BeforeCall: func(string) Fault { return FaultNone },
		AfterCall:  func(string) {},
		Step:       func(ctx context.Context, step rotator.Step, invoke Invoke) error { return invoke(ctx, step) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { service.Close() })
	return service, service.Rotate(t.Context(), 1)
}
