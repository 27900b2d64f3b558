package mysql

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"

	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/dial"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// A database can be 300 ms away, and an account can have thousands of grants: of round
// trips there is one for a hundred of them. For 2000 they are at most 140, which at 50 ms
// are seven seconds.
func TestManyGrantsTakeFewRoundTrips(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		grants := tier.Share(t, []int{300, 2000}, 300)[0]
		most := int64(40 + grants/20)
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
		var asked atomic.Int64
		proxy := &strategytest.Proxy{
			Dial: func(ctx context.Context) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "tcp", dial.Address(boss))
			},
			OnChunk: func(c strategytest.Chunk) strategytest.ChunkAction {
				if !c.FromServer {
					asked.Add(1)
				}
				return strategytest.ChunkForward
			},
		}
		ok(t, proxy.Listen())
		t.Cleanup(proxy.Close)
		far := with(boss, func(l *strategies.Login) { l.Port = proxy.Port() })
		clone := app.User + "_clone"
		t.Cleanup(func() { s.Exec(context.Background(), "DROP USER IF EXISTS "+clone) })
		p := strategies.Pair{Original: app.User, Clone: clone, Target: clone, Consent: true}
		what := "the preflight"
		for range 3 {
			asked.Store(0)
			_, err := engine().DryRunEnsureClone(t.Context(), far, p, password())
			ok(t, err)
			if n := asked.Load(); n > most {
				t.Errorf("%s: %d round trips for %d grants", what, n, grants)
			}
			asked.Store(0)
			ok(t, engine().EnsureClone(t.Context(), far, p, password()))
			if n := asked.Load(); n > most {
				t.Errorf("after %s: %d round trips for %d grants", what, n, grants)
			}
			if what == "the preflight" {
				if a, b := s.grantsOf(t, at(app.User)), s.grantsOf(t, at(clone)); a != b {
					t.Errorf("the clone may do something else")
				}
				s.run(t, "REVOKE ALL PRIVILEGES, GRANT OPTION FROM "+app.User)
			}
			what = "all of them are to be taken away again"
		}
		if a, b := s.grantsOf(t, at(app.User)), s.grantsOf(t, at(clone)); a != b {
			t.Errorf("the clone may still do something else")
		}
	})
}
