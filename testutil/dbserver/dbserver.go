// Package dbserver starts throwaway database servers on 127.0.0.1: for the tests of this module, for its demo, and for
// whoever writes an engine of their own.
//
//	for _, major := range dbserver.Majors() {
//		t.Run(strconv.Itoa(major), func(t *testing.T) {
//			s := dbserver.Postgres(t, major) // shared by the tests of this process
//			role, password := s.NewRole(t, "LOGIN")
//			...
//		})
//	}
//	for _, name := range dbserver.MySQLs() {
//		t.Run(name, func(t *testing.T) {
//			s := dbserver.MySQL(t, name) // MySQL or MariaDB
//			user, password := s.NewUser(t, "ALL ON "+s.NewDatabase(t)+".*")
//			...
//		})
//	}
//
// A server that is not to be had skips the test with one sentence that says how to get it; where CI or
// QUARTERTURN_REQUIRE_SERVERS is true it fails the test (tier.Required), so that a run cannot go silently empty.
//
// Binaries are looked for in the cache folder (see CacheDir) and then in the usual places of the machine. Nothing is
// ever downloaded by a test: the command testutil/cmd/dbservers does that, once. With -short no test has a server: all
// that ask for one are skipped.
//
// A server is an ordinary process, never root (which servers refuse; root becomes uid and gid 65534), with a data
// folder of its own. It ends with the process that started it, however that one ends, and its folder goes with it.
//
// One family of servers is one file and one type around process: postgres.go is the first, mysql.go the second.
package dbserver

import (
	"errors"
	"os"
	"testing"

	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// ErrMissing says that the binaries of a server are not on this machine. The error around it says where they were
// looked for and what to run.
var ErrMissing = errors.New("not on this machine")

// fetchCommand works in this module and in any module that imports it.
const fetchCommand = "go run github.com/quarterturn-dev/quarterturn/testutil/cmd/dbservers"

// settle ends a test whose server did not start: skipped where the server is merely not here, failed otherwise.
func settle(t testing.TB, err error) {
	t.Helper()
	if skips(err, os.Getenv) {
		t.Skip(err)
	}
	t.Fatal(err)
}

// skips is the decision of settle.
func skips(err error, getenv func(string) string) bool {
	return errors.Is(err, ErrMissing) && !tier.Required(getenv)
}
