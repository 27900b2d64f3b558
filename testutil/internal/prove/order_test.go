package prove

import (
	"errors"
	"testing"

	"github.com/quarterturn-dev/quarterturn/strategies/strategytest"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
	"github.com/quarterturn-dev/quarterturn/testutil/rotationtest"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// TestEveryOrderOfAPairsSteps on MySQL, where a clone of a rotation that was abandoned is proved by its mark alone:
// make prove in its short form draws few of them.
func TestEveryOrderOfAPairsSteps(t *testing.T) {
	tier.Long(t)
	server := dbserver.NewMySQL(t, dbserver.MySQLOptions{Name: "mysql-9.7", TLS: &dbserver.TLS{Names: []string{"127.0.0.1"}}})
	for _, m := range chosen(MySQL{Server: server}.modes(), alternating) {
		trials, err := rotationtest.Trials(t.Context(), MySQL{Server: server, Mode: m}.Rotation)
		if err != nil {
			t.Fatal(err)
		}
		for _, trial := range trials {
			if trial.Group != "order" {
				continue
			}
			if err := trial.Run(t.Context()); err != nil && !errors.Is(err, strategytest.ErrNotOffered) {
				t.Errorf("%s: %v", trial.Name, err)
			}
		}
	}
}
