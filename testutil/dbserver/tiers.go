package dbserver

import (
	"testing"

	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// MajorsInTier is those of Majors that a test of all versions runs on in the tier that is running: in make test the
// newest, in make test-long the others. In make check it skips the test.
func MajorsInTier(t testing.TB) []int {
	t.Helper()
	return tier.Share(t, Majors(), 18)
}

// MySQLsInTier is the same of MySQLs: in make test MySQL and the newest MariaDB.
func MySQLsInTier(t testing.TB) []string {
	t.Helper()
	return tier.Share(t, MySQLs(), "mysql-9.7", "mariadb-11.8")
}
