package prove

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/quarterturn-dev/quarterturn/strategies/strategytest"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
	"github.com/quarterturn-dev/quarterturn/testutil/stage"
)

var built map[string]string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "quarterturn-prove-")
	if err == nil {
		built, err = stage.Build(context.Background(), filepath.Join(dir, "handlers"), Handlers()...)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// TestPostgres is the quick form of what make prove does.
func TestPostgres(t *testing.T) {
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
			t.Run("in process", func(t *testing.T) { strategytest.TestRotation(t, 18, p.Rotation) })
			p.Bootstrap, p.Peak = built["postgres-"+m.Handler], new(atomic.Int64)
			t.Run("process", func(t *testing.T) { strategytest.TestRotation(t, 9, p.Rotation) })
			t.Run("under load", func(t *testing.T) {
				const rotations = 6
				load, err := strategytest.Endurance{Rotations: rotations, Clients: 1}.Run(t.Context(), p.Rotation)
				if err != nil {
					t.Fatal(err)
				}
				borne := Borne{Target{"PostgreSQL", m.Name, "process", p.Rotation, p.Peak}, load}
				if err := borne.Check(); err != nil || load.Rotations != rotations || load.Reading.Logins == 0 || load.Caching.Logins == 0 {
					t.Errorf("%+v, %v", load, err)
				}
			})
		})
	}
}

// TestMySQL is the same for MySQL and MariaDB, by every strategy that they have.
func TestMySQL(t *testing.T) {
	for _, name := range []string{"mysql-9.7", "mariadb-11.8"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := dbserver.NewMySQL(t, dbserver.MySQLOptions{Name: name})
			for _, target := range (MySQL{Server: server}).Targets(built) {
				t.Run(target.Strategy+", "+target.How, func(t *testing.T) { strategytest.TestRotation(t, 6, target.Rotation) })
			}
		})
	}
}
