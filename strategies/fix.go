package strategies

import (
	"slices"
	"strings"

	"github.com/quarterturn-dev/quarterturn/rotator"
)

// Fix is a statement that a person runs for what a login met, with who may run it. It is the one place that decides
// that: the user of a superuser secret may change users, and no more need be granted to it. What the superuser itself
// has met, it cannot mend.
func Fix(met Login, statement string) rotator.Fix {
	by := rotator.ByAdministrator
	words := strings.Fields(statement)
	if len(words) > 1 && met.For == nil && slices.Contains([]string{
		"ALTER ROLE", "CREATE ROLE", "ALTER USER", "CREATE USER", "RENAME USER", "DROP USER", "SET PASSWORD",
		"ACL SETUSER",
		"ACL SAVE",
	}, words[0]+" "+words[1]) {
		by = rotator.BySuperuser
	}
	return rotator.NewFix(by, statement)
}
