package mysql

import (
	"context"
	"fmt"
	"testing"

	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// A database can be 300 ms away, and an account can have thousands of grants: of round
// trips there is one for a hundred of them. For 2000 they are at most 140, which at 50 ms
// are seven seconds.
func TestManyGrantsTakeFewRoundTrips(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		grants := tier.Share(t, []int{300, 2000}, 300)[0]
		most := 40 + grants/20
		app, boss := s.user(t), s.superuser()
		sql := make([]string, grants)
		for i := range sql {
			on := fmt.Sprintf("SELECT, INSERT ON db_%d.*", i)
			if i%2 == 0 {
				on = fmt.Sprintf("CREATE, SELECT ON many.t%d", i) // with CREATE, for a table that is not there
			}
			sql[i] = "GRANT " + on + " TO " + app.User
		}
		s.run(t, sql...)
		clone := app.User + "_clone"
		t.Cleanup(func() { s.Exec(context.Background(), "DROP USER IF EXISTS "+clone) })
		p := strategies.Pair{Original: app.User, Clone: clone, Target: clone, Consent: true}
		what := "the preflight"
		for range 3 {
			n := s.roundTrips(t, boss, func(far strategies.Login) error {
				_, err := engine().DryRunEnsureClone(t.Context(), far, p, password())
				return err
			})
			if n > most {
				t.Errorf("%s: %d round trips for %d grants", what, n, grants)
			}
			n = s.roundTrips(t, boss, func(far strategies.Login) error {
				return engine().EnsureClone(t.Context(), far, p, password())
			})
			if n > most {
				t.Errorf("after %s: %d round trips for %d grants", what, n, grants)
			}
			if what == "the preflight" {
				if a, b := s.grantsOf(t, at(app.User)), s.grantsOf(t, at(clone)); a != b {
					t.Errorf("the clone may do something else")
				}
				s.run(t, "REVOKE ALL PRIVILEGES, GRANT OPTION FROM "+app.User, sql[0]) // with none, it was made again
			}
			what = "all of them are to be taken away again"
		}
		if a, b := s.grantsOf(t, at(app.User)), s.grantsOf(t, at(clone)); a != b {
			t.Errorf("the clone may still do something else")
		}
	})
}
