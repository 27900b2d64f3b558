package prove

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

var (
	seed      = flag.Uint64("seed", 0, "`seed` of the sample of states, which is printed; 0: always the same in make test, any in make test-long")
	howMany   = flag.Int("states", 0, "`states` to try of each server; 0: a handful in make test, 60 in make test-long")
	only      = flag.String("state", "", "try all states whose name has this `text` in it, and no others")
	handful   = 8
	inTheLong = 60
)

// TestStates tries some of the states that make prove tries all of.
func TestStates(t *testing.T) {
	tier.NotInCheck(t)
	n := *howMany
	from := *seed
	if n == 0 {
		n = tier.Stride(t, handful, handful)
		if n == 1 {
			n, from = inTheLong, max(from, uint64(time.Now().UnixNano()))
		}
	}
	t.Logf("go test ./testutil/internal/prove -run TestStates -seed %d -states %d", from, n)
	try := func(name string, states []State) {
		if *only != "" {
			states, n = slices.DeleteFunc(states, func(s State) bool { return !strings.Contains(s.Name, *only) }), 0
		}
		for _, s := range states {
			if s.Strategy == "" || strings.Contains(s.Name, "  ") {
				t.Errorf("state %q is not named", s.Name)
			}
		}
		r := TryStates(t.Context(), name, SampleStates(states, n, from), func(f string) { t.Error(f) })
		t.Logf("%+v", r)
	}
	for _, major := range []int{15, 18} {
		t.Run(fmt.Sprint("PostgreSQL ", major), func(t *testing.T) {
			t.Parallel()
			try(t.Name(), Postgres{Server: dbserver.NewPostgres(t, dbserver.Options{Major: major, HBA: StatesHBA()})}.States())
		})
	}
	for _, name := range []string{"mysql-9.7", "mariadb-11.8"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			try(name, MySQL{Server: dbserver.NewMySQL(t, dbserver.MySQLOptions{Name: name})}.States())
		})
	}
}

// TestStatesCanBeMade makes each state on each server, and does nothing from there: which of them a run comes to is chance,
// and none may fail before it has begun. 6,500 states on ten servers take over a minute.
func TestStatesCanBeMade(t *testing.T) {
	tier.Long(t)
	try := func(t *testing.T, states []State) {
		for _, s := range states {
			f, err := s.Rotation(t.Context())
			if err != nil {
				t.Errorf("%s: %v", s.Strategy, err)
			}
			if f.Close != nil {
				f.Close()
			}
		}
		t.Logf("%d states", len(states))
	}
	for _, major := range dbserver.Majors() {
		t.Run(fmt.Sprint("PostgreSQL ", major), func(t *testing.T) {
			t.Parallel()
			try(t, Postgres{Server: dbserver.NewPostgres(t, dbserver.Options{Major: major, HBA: StatesHBA()})}.States())
		})
	}
	for _, name := range dbserver.MySQLs() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			try(t, MySQL{Server: dbserver.NewMySQL(t, dbserver.MySQLOptions{Name: name})}.States())
		})
	}
}

// TestStatesAreMany counts what make prove tries.
func TestStatesAreMany(t *testing.T) {
	n, names := 0, map[string]bool{}
	count := func(engine string, states []State) {
		for _, s := range states {
			n++
			name := engine + ", " + s.Strategy + ": " + s.Name
			if names[name] {
				t.Errorf("two states are %q", name)
			}
			names[name] = true
		}
	}
	for _, major := range []int{13, 18} {
		count(fmt.Sprint(major), Postgres{Server: &dbserver.Server{Major: major}}.States())
	}
	for _, mariadb := range []bool{false, true} {
		count(fmt.Sprint(mariadb), MySQL{Server: &dbserver.MySQLServer{MariaDB: mariadb}}.States())
	}
	if n < 300 {
		t.Errorf("%d states; want 300", n)
	}
	t.Logf("%d states", n)
}
