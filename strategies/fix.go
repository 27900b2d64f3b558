package strategies

import (
	"errors"
	"fmt"
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

// editLine is the command line that has jq change the value of a secret by a filter.
func editLine(arn, filter string) string {
	return fmt.Sprintf("aws secretsmanager get-secret-value --secret-id %[1]s --query SecretString --output text | "+
		"jq -c '%[2]s' | aws secretsmanager put-secret-value --secret-id %[1]s --secret-string file:///dev/stdin",
		rotator.ShellWord(arn), strings.ReplaceAll(filter, "'", `'\''`))
}

// OtherServers marks an error that other servers in the secret mend: by that filter of jq. What names servers is to be
// the same in a superuser secret.
func OtherServers(err error, filter string) error { return otherServers{err, filter} }

type otherServers struct {
	error
	filter string
}

func (o otherServers) Unwrap() error { return o.error }

// withServers adds to an error the lines that store the servers which it names.
func withServers(err error, r rotator.Rotation, fallbackARN string) error {
	var other otherServers
	if !errors.As(err, &other) {
		return err
	}
	superuser, invalid := superuserARN(r)
	if superuser == "" && invalid == nil {
		superuser = fallbackARN
	}
	store := []rotator.Fix{{By: rotator.ByShell, For: "to store that in the secret",
		Run: editLine(r.SecretARN, other.filter)}}
	if superuser != "" {
		store = append(store, rotator.Fix{By: rotator.ByShell, For: "to store the same in the superuser secret",
			Run: editLine(superuser, other.filter)})
	}
	return rotator.WithFix(err, "", store...)
}
