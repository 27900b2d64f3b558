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

// FixesIn gives the statements in a sentence of this project's own, such as what a superuser needs to be granted: from
// a first word outside quotes that begins one to where words go on. Names are quoted there, so that none can begin or
// end a statement: for SQL by doubling the quotes in them, and for people as Go does it, with a backslash. Where there
// is one, it is not known which of the two a quote ends, and nothing is taken out.
func FixesIn(met Login, sentence string) (fixes []rotator.Fix) {
	if strings.Contains(sentence, `\`) {
		return nil
	}
	verbs := []string{"GRANT ", "ALTER ROLE ", "ALTER USER ", "SET PASSWORD ", "ACL SETUSER "}
	begins := func(at int) bool {
		return (at == 0 || sentence[at-1] == ' ') && slices.ContainsFunc(verbs, func(verb string) bool {
			return strings.HasPrefix(sentence[at:], verb)
		})
	}
	ends := func(at int) bool {
		rest := sentence[at:]
		return rest == "" || slices.ContainsFunc([]string{": ", "; ", ". ", ", and ", ", or ", ", with ", ", then ",
			" ("}, func(end string) bool { return strings.HasPrefix(rest, end) })
	}
	start, quote := -1, byte(0)
	for at := 0; at <= len(sentence); at++ {
		switch {
		case quote != 0:
			if at < len(sentence) && sentence[at] == quote {
				quote = 0
			}
		case start < 0 && at < len(sentence) && begins(at):
			start = at
		case start >= 0 && ends(at):
			statement := sentence[start:at]
			if whole := !strings.HasPrefix(statement, "GRANT ") || strings.Contains(statement, " TO "); whole &&
				!strings.Contains(statement, "...") {
				fixes = append(fixes, Fix(met, statement))
			}
			start = -1
			if strings.HasPrefix(sentence[at:], ". ") {
				return fixes
			}
		case at < len(sentence) && strings.IndexByte("\"`'", sentence[at]) >= 0:
			quote = sentence[at]
		}
	}
	return fixes
}
