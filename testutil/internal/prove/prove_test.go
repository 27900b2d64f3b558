package prove

import (
	"context"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
	"github.com/quarterturn-dev/quarterturn/testutil/internal/disk"
	"github.com/quarterturn-dev/quarterturn/testutil/localaws"
	"github.com/quarterturn-dev/quarterturn/testutil/rotationtest"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// handlers are the functions as they are deployed, built once.
var handlers struct {
	once sync.Once
	dir  disk.Folder
	all  map[string]string
	err  error
}

// built gives the path of each function.
func built(t *testing.T) map[string]string {
	t.Helper()
	handlers.once.Do(func() {
		if handlers.dir, handlers.err = disk.Temp("", "prove"); handlers.err == nil {
			handlers.all, handlers.err = localaws.Build(context.Background(), handlers.dir.Path, Handlers()...)
		}
	})
	if handlers.err != nil {
		t.Fatal(handlers.err)
	}
	return handlers.all
}

// names is what this process asks for the addresses of hosts.
var names *dbserver.NameServer

func TestMain(m *testing.M) {
	var err error
	if names, err = dbserver.StartNameServer(); err != nil {
		panic(err)
	}
	net.DefaultResolver = names.Resolver()
	code := m.Run()
	handlers.dir.Remove()
	os.Exit(code)
}

// TestPostgres is the quick form of what make prove does.
// It takes more than twenty seconds: each of ten trials of a strategy is whole rotations, and a third of them start a
// function and kill it.
func TestPostgres(t *testing.T) {
	tier.Test(t)
	for _, m := range Modes() {
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			server := dbserver.NewPostgres(t, dbserver.Options{})
			standby, err := server.Standby(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer standby.Close()
			p := Postgres{Server: server, Standby: standby, Mode: m}
			t.Run("in process", func(t *testing.T) {
				rotationtest.TestRotation(t, p.Rotation, rotationtest.Options{MaxTrials: 6})
			})
			p.Bootstrap, p.Peak = built(t)["postgres-"+m.Handler], new(atomic.Int64)
			t.Run("process", func(t *testing.T) {
				rotationtest.TestRotation(t, p.Rotation, rotationtest.Options{MaxTrials: 4})
			})
			t.Run("under load", func(t *testing.T) {
				const rotations = 4
				load, err := rotationtest.LoadTest{Rotations: rotations, Clients: 1}.Run(t.Context(), p.Rotation)
				if err != nil {
					t.Fatal(err)
				}
				borne := LoadResult{Target{"PostgreSQL", m.Name, "process", p.Rotation, p.Peak}, load}
				if err := borne.Check(); err != nil || load.Rotations != rotations || load.Reading.Logins == 0 || load.Caching.Logins == 0 {
					t.Errorf("%+v, %v", load, err)
				}
			})
		})
	}
}

// TestValkey is the same for Valkey. Each trial ends in a restart of the server.
func TestValkey(t *testing.T) {
	tier.Test(t)
	for i := range (Valkey{Server: &dbserver.ValkeyServer{}}).Targets(nil) {
		server := dbserver.NewValkey(t, dbserver.ValkeyOptions{})
		target := Valkey{Server: server}.Targets(built(t))[i]
		t.Run(target.Strategy+", "+target.How, func(t *testing.T) {
			t.Parallel()
			rotationtest.TestRotation(t, target.Rotation, rotationtest.Options{MaxTrials: 6})
		})
	}
}

// TestMySQL is the same for MySQL and MariaDB, by every strategy that they have: in make test on MariaDB.
// It takes more than twenty seconds: four trials of each strategy, and a server that takes a second to stop.
func TestMySQL(t *testing.T) {
	for _, name := range tier.Share(t, []string{"mysql-9.7", "mariadb-11.8"}, "mariadb-11.8") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := dbserver.NewMySQL(t, dbserver.MySQLOptions{Name: name})
			for _, target := range (MySQL{Server: server}).Targets(built(t)) {
				t.Run(target.Strategy+", "+target.How, func(t *testing.T) {
					rotationtest.TestRotation(t, target.Rotation, rotationtest.Options{MaxTrials: 4})
				})
			}
		})
	}
}
