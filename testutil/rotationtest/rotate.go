package rotationtest

import (
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
)

// Rotate is one rotation of a secret, in this process. superuser is the secret that current names in masterarn. It
// gives the service too, which the test's end closes.
func Rotate(t *testing.T, strategy rotator.Strategy, current, superuser secret.Document) (*Service, error) {
	t.Helper()
	service, err := Open(ServiceConfig{
		Strategy: strategy, Current: current,
		Related: map[string]secret.Document{current.Text("masterarn"): superuser},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { service.Close() })
	return service, service.Rotate(t.Context(), 1)
}
