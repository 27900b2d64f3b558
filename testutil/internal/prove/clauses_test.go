package prove

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// A clause of the rule that says whose password may be set, or of what is asked of the account that clients use next.
// Where New stands in the place of Old, the clause is gone.
//
// The clauses are a list, beside the mutants that make mutants draws, for two reasons: what notices them is states on
// real servers, which are too many to run for each mutant; and each is to be noticed by the states that are for it.
type clause struct {
	Rule          string
	Server, State string // part of the name of a server, and of states on it
	File          string // in the module
	Old, New      string // Old is there exactly once
}

func clauses() []clause {
	const pg, my = "PostgreSQL_18", "mysql"
	const core, alternating, superuser = "strategies/entitlement.go", "strategies/alternating.go", "strategies/superuser.go"
	const postgres, mysql = "strategies/postgres/", "strategies/mysql/"
	return []clause{
		{"entitlement: never an administrator",
			pg, "a stranger without a secret, with SUPERUSER",
			core, "case len(seen.Admin) > 0:", "case false:"},
		{"entitlement: a membership proves nothing of a pair that the secret names",
			pg, "a member of the original that has another secret",
			core, `case seen.NoProvenance == "" && !p.Named:`, `case seen.NoProvenance == "":`},
		{"entitlement: provenance is looked for",
			pg, "a stranger; nothing",
			core, `case seen.NoProvenance == "" && !p.Named:`, "case !p.Named:"},
		{"entitlement: consent is looked for",
			pg, "a stranger; nothing",
			alternating, "pair.Consent = consents(d, pair.Original, pair.Clone)", "pair.Consent = consents(d, pair.Original, pair.Clone) || true"},
		{"entitlement: consent gives no power away",
			pg, "of an original with CREATEROLE that has another secret; rotates names the pair",
			core, "case p.Consent && len(seen.Synced) == 0:", "case p.Consent:"},
		{"entitlement: possession is tried",
			pg, "a stranger; AWSPREVIOUS is stale",
			core, "unproved = p.Possession(ctx, seen.Holds)", "unproved = nil"},
		{"entitlement: the superuser secret is of no user of the secret",
			pg, "a role; AWSCURRENT works; through itself",
			superuser, "if slices.Contains(users, name) {", "if slices.Contains(users, name) && false {"},
		{"entitlement: a membership without INHERIT and SET proves nothing",
			pg, "a stranger with neither option; nothing",
			postgres + "entitlement.go", "case !e.set && (!e.inherit || !toClone):", "case false:"},
		{"entitlement: a membership counts if whoever granted it could have set the password",
			pg, "a third role granted the original, in use",
			postgres + "entitlement.go", "couldSet := e.grantorSuper ||", "couldSet := true ||"},
		{"entitlement: a membership counts if no other could have given its original that name",
			pg, "which another may give the original's name; nothing",
			postgres + "entitlement.go", "admins.id IS NOT NULL AND h.rolcanlogin OR ", ""},
		{"entitlement: a membership counts if no other could have given the clone that name",
			pg, "another may give it the clone's name",
			postgres + "entitlement.go", "case clone && len(makers) > 0:", "case false:"},
		{"entitlement: a role that is gone could have given a name",
			pg, "which a role that is gone may have given",
			postgres + "entitlement.go", "OR h.rolcreaterole AND (", "OR false AND ("},
		{"entitlement: a membership proves nothing of a role with REPLICATION until 15",
			"PostgreSQL_15", "which is in a group with it",
			postgres + "entitlement.go", "case clone && s.version < 160000 && target.repl:", "case false:"},
		{"entitlement: a clone that may do more is not shown to be one",
			pg, "with a privilege more; nothing",
			postgres + "entitlement.go", "case more != nil && toClone:", "case false:"},
		{"entitlement: a clone that has another privilege is not shown to be one",
			pg, "with another privilege; nothing",
			postgres + "entitlement.go", "OR d.deptype = 'a' AND EXISTS (", "OR false AND EXISTS ("},
		{"entitlement: a clone of ours bears a mark",
			my, "; nothing; through a superuser",
			mysql + "entitlement.go", "if marks[clone.host] != c.pair.Original {", "if marks[clone.host] != c.pair.Original && false {"},
		{"entitlement: a mark counts if who wrote it could have set the original's password",
			my, "enough to mark, of an original with SYSTEM_USER; nothing; through a superuser",
			mysql + "entitlement.go", "if !c.pair.PasswordOnly && want.isSystem() && !have.isSystem() {", "if false {"},
		{"entitlement: possession is of what the server stores",
			my, "AWSPREVIOUS is stale; through",
			mysql + "entitlement.go", "return len(left) == 0", "return true"},
		{"entitlement: no other role comes to act as the original",
			pg, "that another role is a member of; AWSPREVIOUS works",
			core, "case len(seen.Gains) > 0 && !p.Consent:", "case false:"},
		{"entitlement: every account of a name is the secret's",
			my, "another owner's; AWSCURRENT works; through a",
			mysql + "entitlement.go", "if len(all) < 2 || len(left) == 0 {", "if true {"},
		{"stand-ins: accounts that clients would meet next are looked at",
			my, "one host more, named by",
			mysql + "clone.go", "err = c.checkStandIns(ctx)", "err = nil"},
		{"stand-ins: a role that clients would use next may connect",
			pg, "may not connect to the database, named by",
			postgres + "clone.go", "err := s.checkConnects(target)", "err := error(nil)"},
		{"stand-ins: a clone can be given what is its original's own",
			pg, "of which the original is a member; AWSPREVIOUS works",
			postgres + "clone.go", "if err == nil && !free && pair.Target == pair.Clone {", "if err == nil && !free && pair.Target == pair.Clone && false {"},
	}
}

// overlay is a file for go test -overlay that removes the clause.
func (c clause) overlay(t *testing.T, root string) string {
	t.Helper()
	original, err := filepath.Abs(filepath.Join(root, c.File))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(original)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(text, []byte(c.Old)); n != 1 {
		t.Fatalf("%q is in %s %d times; want once: adapt the clause to the code", c.Old, c.File, n)
	}
	mutated, overlay := filepath.Join(t.TempDir(), "mutant.go"), filepath.Join(t.TempDir(), "overlay.json")
	plan, err := json.Marshal(map[string]map[string]string{"Replace": {original: mutated}})
	if err != nil {
		t.Fatal(err)
	}
	for file, content := range map[string][]byte{mutated: bytes.Replace(text, []byte(c.Old), []byte(c.New), 1), overlay: plan} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return overlay
}

// TestClausesFit: every clause is still there to be removed.
func TestClausesFit(t *testing.T) {
	for _, c := range clauses() {
		t.Run(c.Rule, func(t *testing.T) { c.overlay(t, "../../..") })
	}
}

// TestStatesHoldTheClauses removes each clause: some state on a real server is wrong then. Each is compiled, so that it
// takes minutes.
func TestStatesHoldTheClauses(t *testing.T) {
	tier.Long(t)
	for _, c := range clauses() {
		t.Run(c.Rule, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), "go", "test", "-failfast", "-count=1", "-vet=off", "-ldflags=-w", "-timeout=5m",
				"-overlay", c.overlay(t, "../../.."), "-run", "TestStates$/"+c.Server, "./testutil/internal/prove", "-state", c.State)
			cmd.Dir = "../../.."
			out, err := cmd.CombinedOutput()
			if bytes.Contains(out, []byte("[build failed]")) {
				t.Fatalf("it does not compile without the clause:\n%s", out)
			}
			wrong := func(line string) bool {
				return strings.Contains(line, c.State) && !strings.Contains(line, "fixture:")
			}
			if err == nil || !slices.ContainsFunc(strings.Split(string(out), "\n"), wrong) {
				t.Errorf("no state of %s with %q is wrong:\n%s", c.Server, c.State, out)
			}
		})
	}
}
