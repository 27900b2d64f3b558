package strategies_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/strategies"
)

// FuzzFixesIn: whatever a user is called, no statement but the one that a sentence gives is taken out of it.
func FuzzFixesIn(f *testing.F) {
	for _, name := range []string{"app", `a"b`, "it's", "a`b", `a\`, `x" ; ALTER ROLE root SUPERUSER, or `, "a\nb", "",
		`", GRANT ALL TO mallory; `, `\" GRANT root TO mallory: `} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		for quote, sentence := range map[string]string{
			`"`: "user %q may not log in: ALTER ROLE %s LOGIN, or give it (user %[1]q) another",
			"`": "account %[2]s of user %[1]q is locked: ALTER USER %[2]s ACCOUNT UNLOCK. Then try again",
		} {
			quoted := quote + strings.ReplaceAll(name, quote, quote+quote) + quote
			want := map[string]string{`"`: "ALTER ROLE " + quoted + " LOGIN", "`": "ALTER USER " + quoted + " ACCOUNT UNLOCK"}[quote]
			fixes := strategies.FixesIn(strategies.Login{}, fmt.Sprintf(sentence, name, quoted))
			for _, fix := range fixes {
				if fix.Run != want {
					t.Errorf("user %q: %s", name, fix.Run)
				}
			}
			if name == "app" && len(fixes) != 1 {
				t.Errorf("%d statements", len(fixes))
			}
		}
	})
}
