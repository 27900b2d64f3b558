package prove

import (
	"slices"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// TestMutantsFit: every rule that make prove removes is still there to be removed.
func TestMutantsFit(t *testing.T) {
	for _, m := range append(Mutants(), EngineMutants()...) {
		if _, err := m.apply("../.."); err != nil {
			t.Error(err)
		}
	}
}

// TestStatesHoldTheClauses removes each clause of the rule which says whose password may be set, and of what is asked
// of the account that clients use next: some state on a real server is wrong then. Each is compiled, so that it takes
// minutes.
func TestStatesHoldTheClauses(t *testing.T) {
	tier.Long(t)
	const pg, my = "PostgreSQL_18", "mysql"
	held := map[string][2]string{ // by which states: the server, and what their names have in them
		"entitlement: never an administrator":                                                {pg, "a stranger without a secret, with SUPERUSER"},
		"entitlement: a membership proves nothing of a pair that the secret names":           {pg, "a member of the original that has another secret"},
		"entitlement: provenance is looked for":                                              {pg, "a stranger; nothing"},
		"entitlement: consent is looked for":                                                 {pg, "a stranger; nothing"},
		"entitlement: consent gives no power away":                                           {pg, "of an original with CREATEROLE that has another secret; rotates names the pair"},
		"entitlement: possession is tried":                                                   {pg, "a stranger; AWSPREVIOUS is stale"},
		"entitlement: the superuser secret is of no user of the secret":                      {pg, "a role; AWSCURRENT works; through itself"},
		"entitlement: a membership without INHERIT and SET proves nothing":                   {pg, "a stranger with neither option; nothing"},
		"entitlement: a membership counts if whoever granted it could have set the password": {pg, "a third role granted the original; nothing"},
		"entitlement: a clone that may do more is not shown to be one":                       {pg, "with a privilege more; nothing"},
		"entitlement: a clone of ours bears a mark":                                          {my, "; nothing; through a superuser"},
		"entitlement: possession is of what the server stores":                               {my, "AWSPREVIOUS is stale; through"},
		"stand-ins: accounts that clients would meet next are looked at":                     {my, "one host more, named by"},
		"stand-ins: a role that clients would use next may connect":                          {pg, "may not connect to the database, named by"},
		"stand-ins: a clone can be given what is its original's own":                         {pg, "of which the original is a member; AWSPREVIOUS works"},
	}
	for _, m := range append(Mutants(), EngineMutants()...) {
		by, ok := held[m.Rule]
		if !ok {
			continue
		}
		delete(held, m.Rule)
		t.Run(m.Rule, func(t *testing.T) {
			out, failed, err := m.test(t.Context(), "../..", "-run", "TestStates$/"+by[0], "./testutil/prove", "-state", by[1])
			if err != nil {
				t.Fatal(err)
			}
			if !failed || !slices.ContainsFunc(strings.Split(string(out), "\n"), func(line string) bool {
				return strings.Contains(line, by[1]) && !strings.Contains(line, "fixture:")
			}) {
				t.Errorf("no state of %s with %q is wrong:\n%s", by[0], by[1], out)
			}
		})
	}
	for rule := range held {
		t.Errorf("no mutant removes %q", rule)
	}
}
