package prove

import (
	"slices"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
	"github.com/quarterturn-dev/quarterturn/testutil/rotationtest"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// atOnce is how many trials of a strategy run at once, each on a server of its own.
const atOnce = 5

// TestChaosOnPostgres, and the next, rotate in the weather of networks and data centers. Each takes more than twenty
// seconds: what is far away is waited for, and each failover starts a server.
func TestChaosOnPostgres(t *testing.T) {
	tier.Long(t)
	for _, m := range Modes() {
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			var lanes []rotationtest.NewFixture
			for range atOnce {
				p := Postgres{Server: dbserver.NewPostgres(t, dbserver.Options{TLS: &dbserver.TLS{Names: []string{"127.0.0.1"}}}), Mode: m}
				p.Chaos = Chaos{Bootstrap: built(t)["postgres-"+m.Handler], Names: names}
				lanes = append(lanes, p.Rotation)
			}
			rotationtest.TestChaos(t, lanes...)
		})
	}
}

func TestChaosOnMySQL(t *testing.T) {
	tier.Long(t)
	for name, strategies := range map[string][]string{"mysql-9.7": {throughSuperuser, alternating, dual}, "mariadb-11.8": {single, alternating}} {
		server := &dbserver.MySQLServer{MariaDB: strings.HasPrefix(name, "mariadb")}
		for _, m := range chosen(MySQL{Server: server}.modes(), strategies...) {
			t.Run(name+"/"+m.Name, func(t *testing.T) {
				t.Parallel()
				var lanes []rotationtest.NewFixture
				for range atOnce {
					server := dbserver.NewMySQL(t, dbserver.MySQLOptions{Name: name, TLS: &dbserver.TLS{Names: []string{"127.0.0.1"}}})
					p := MySQL{Server: server, Mode: m}
					p.Chaos = Chaos{Bootstrap: built(t)[p.family()+"-"+m.Handler], Names: names}
					lanes = append(lanes, p.Rotation)
				}
				rotationtest.TestChaos(t, lanes...)
			})
		}
	}
}

// TestChaosOnValkey (half a minute, as above), where a failover is to a server that has the ACL file.
func TestChaosOnValkey(t *testing.T) {
	tier.Long(t)
	for _, m := range chosen((Valkey{}).modes(), throughSuperuser, alternating) {
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			var lanes []rotationtest.NewFixture
			for range atOnce {
				p := Valkey{Server: dbserver.NewValkey(t, dbserver.ValkeyOptions{TLS: &dbserver.TLS{Names: []string{"127.0.0.1"}}}), Mode: m}
				p.Chaos = Chaos{Bootstrap: built(t)["valkey-"+m.Handler], Names: names}
				lanes = append(lanes, p.Rotation)
			}
			rotationtest.TestChaos(t, lanes...)
		})
	}
}

// crowd is more secrets than a server has connections: one for each two that rotate at once.
const crowd, connections, attempts = 50, "20", 5

// TestCrowd rotates fifty secrets at once on a server that takes twenty connections, some of which are for superusers.
func TestCrowd(t *testing.T) {
	tier.Long(t)
	run := func(t *testing.T, name string, fresh rotationtest.NewFixture) {
		t.Run(name, func(t *testing.T) {
			retries, err := rotationtest.Crowd(t.Context(), fresh, crowd, attempts)
			if err != nil {
				t.Error(err)
			}
			t.Logf("%d secrets rotated, by %d attempts more than one each", crowd, retries)
		})
	}
	postgres := dbserver.NewPostgres(t, dbserver.Options{Conf: map[string]string{"max_connections": connections}})
	for _, m := range chosen(Modes(), single, alternating) {
		run(t, "postgres, "+m.Name, Postgres{Server: postgres, Mode: m}.Rotation)
	}
	// It keeps no connection for superusers, of whom a fixture's own logins are.
	cache := dbserver.NewValkey(t, dbserver.ValkeyOptions{Conf: map[string]string{"maxclients": connections}})
	for _, m := range chosen(Valkey{Server: cache}.modes(), throughSuperuser, alternating) {
		run(t, "valkey, "+m.Name, Valkey{Server: cache, Mode: m}.Rotation)
	}
	for name, strategies := range map[string][]string{"mysql-9.7": {single, alternating}, "mariadb-11.8": {throughSuperuser}} {
		server := dbserver.NewMySQL(t, dbserver.MySQLOptions{Name: name, Conf: map[string]string{"max-connections": connections}})
		for _, m := range chosen(MySQL{Server: server}.modes(), strategies...) {
			run(t, name+", "+m.Name, MySQL{Server: server, Mode: m}.Rotation)
		}
	}
}

func chosen(modes []Mode, names ...string) []Mode {
	return slices.DeleteFunc(modes, func(m Mode) bool { return !slices.Contains(names, m.Name) })
}
