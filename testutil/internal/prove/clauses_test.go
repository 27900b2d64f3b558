package prove

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// A clause of the rule that says whose password may be set, or of what is asked of the account that clients use next.
// With Gone in place of what is marked, the clause is gone.
//
// The clauses are a list, beside the mutants that make mutants draws, for two reasons: what notices them is states on
// real servers, which are too many to run for each mutant; and each is to be noticed by the states that are for it.
type clause struct {
	Rule          string
	Server, State string // part of the name of a server, and of states on it
	File          string // in the module
	Where         string // is there exactly once; what stands between « and » is the clause, an expression
	Gone          string // an expression of the same type
}

func clauses() []clause {
	const pg, my = "PostgreSQL_18", "mysql"
	const core, alternating, superuser = "strategies/entitlement.go", "strategies/alternating.go", "strategies/superuser.go"
	const postgres, mysql = "strategies/postgres/", "strategies/mysql/"
	return []clause{
		{"entitlement: never an administrator",
			pg, "a stranger without a secret, with SUPERUSER",
			core, "case «len(seen.Admin) > 0»:", "false"},
		{"entitlement: a membership proves nothing of a pair that the secret names",
			pg, "a member of the original that has another secret",
			core, `case seen.NoProvenance == "" && «!p.Named»:`, "true"},
		{"entitlement: provenance is looked for",
			pg, "a stranger; nothing",
			core, `case «seen.NoProvenance == ""» && !p.Named:`, "true"},
		{"entitlement: consent is looked for",
			pg, "a stranger; nothing",
			alternating, "pair.Consent = «consents(d, pair.Clone == pair.Original+t.CloneSuffix, pair.Original, pair.Clone)»", "true"},
		{"entitlement: consent gives no power away",
			pg, "of an original with CREATEROLE that has another secret; rotates names the pair",
			core, "case p.Consent && «len(seen.Synced) == 0»:", "true"},
		{"entitlement: possession is tried",
			pg, "a stranger; AWSPREVIOUS is stale",
			core, "unproved = «p.Possession(ctx, seen.Holds)»", "error(nil)"},
		{"entitlement: the superuser secret is of no user of the secret",
			pg, "a role; AWSCURRENT works; through itself",
			superuser, "if «slices.Contains(users, name)» {", "false"},
		{"entitlement: a membership without INHERIT and SET proves nothing",
			pg, "a stranger with neither option; nothing",
			postgres + "entitlement.go", "case «!e.set && (!e.inherit || !toClone)»:", "false"},
		{"entitlement: a membership counts if whoever granted it could have set the password",
			"PostgreSQL_15", "a third role granted the original, in use", // later, clients move to no original of others anyway
			postgres + "entitlement.go", "couldSet := «e.grantorSuper» ||", "true"},
		{"entitlement: a membership counts if no other could have given its original that name",
			pg, "which another may give the original's name; nothing",
			postgres + "entitlement.go", "(«admins.id IS NOT NULL AND h.rolcanlogin» OR", "`false`"},
		{"entitlement: a membership counts if no other could have given the clone that name",
			pg, "another may give it the clone's name",
			postgres + "entitlement.go", "case «clone && len(makers) > 0»:", "false"},
		{"entitlement: clients move to an original that no other could have made",
			pg, "which another may give the original's name, in use",
			postgres + "entitlement.go", "case «clone && len(keepers) > 0»:", "false"},
		{"entitlement: a role that is gone could have given a name",
			pg, "which a role that is gone may have given",
			postgres + "entitlement.go", "OR «h.rolcreaterole» AND (admins", "`false`"},
		{"entitlement: a membership proves nothing of a role with REPLICATION until 15",
			"PostgreSQL_15", "which is in a group with it",
			postgres + "entitlement.go", "case «clone && s.version < 160000 && target.repl»:", "false"},
		{"entitlement: a clone that may do more is not shown to be one",
			pg, "with a privilege more; nothing",
			postgres + "entitlement.go", "case «more != nil && toClone»:", "false"},
		{"entitlement: a clone that has another privilege is not shown to be one",
			pg, "with another privilege; nothing",
			postgres + "entitlement.go", "OR «d.deptype = 'a'» AND EXISTS (", "`false`"},
		{"entitlement: a clone of ours bears a mark",
			my, "; nothing; through a superuser",
			mysql + "entitlement.go", "if «marks[clone.host] != c.pair.Original» {", "false"},
		{"entitlement: no clone is given SYSTEM_USER",
			my, "enough to mark, of an original with SYSTEM_USER; nothing; through a superuser",
			mysql + "entitlement.go", "if «len(give)+len(excepted) == 0» {", "true"},
		{"entitlement: possession is of what the server stores",
			my, "AWSPREVIOUS is stale; through",
			mysql + "entitlement.go", "return «len(left) == 0»", "true"},
		{"entitlement: no other role comes to act as the original",
			pg, "that another role is a member of; AWSPREVIOUS works",
			core, "case «len(seen.Gains) > 0 && !p.Consent»:", "false"},
		{"entitlement: every account of a name is the secret's",
			my, "another owner's; AWSCURRENT works; through a",
			mysql + "entitlement.go", "if «len(all) < 2 || len(left) == 0» {", "true"},
		{"stand-ins: accounts that clients would meet next are looked at",
			my, "one host more, named by",
			mysql + "clone.go", "err = «c.checkStandIns(ctx)»", "error(nil)"},
		{"stand-ins: a role that clients would use next may connect",
			pg, "may not connect to the database, named by",
			postgres + "clone.go", "err := «s.checkConnects(ctx, target)»;", "error(nil)"},
		{"stand-ins: a clone can be given what is its original's own",
			pg, "of which the original is a member; AWSPREVIOUS works",
			postgres + "clone.go", "if «err == nil && !free && pair.Target == pair.Clone» {", "false"},
	}
}

// parts are what stands before the clause, the clause, and what stands behind it.
func (c clause) parts() (before, is, after string) {
	before, rest, _ := strings.Cut(c.Where, "«")
	is, after, _ = strings.Cut(rest, "»")
	return before, is, after
}

// variable has the number of the clause that is gone.
const variable = "QUARTERTURN_TEST_CLAUSE"

// clauseGone is put into each package that has clauses.
const clauseGone = `package %s

import "os"

func clauseGone[T any](number string, is, gone T) T {
	if os.Getenv("` + variable + `") == number {
		return gone
	}
	return is
}
`

// overlay is a file for go test -overlay, by which any clause can be gone: so all of them are compiled once.
func overlay(t *testing.T, root string) string {
	t.Helper()
	folder, replace := t.TempDir(), map[string]string{}
	put := func(path, text string) {
		replace[path] = filepath.Join(folder, strconv.Itoa(len(replace))+".go")
		if err := os.WriteFile(replace[path], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for file, all := range byFile() {
		path, err := filepath.Abs(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		source, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text := string(source)
		places := map[int]int{} // of the clauses in text
		for _, i := range all {
			before, is, after := clauses()[i].parts()
			if where := before + is + after; strings.Count(text, where) != 1 {
				t.Fatalf("%q is in %s %d times; want once: adapt the clause to the code", where, file, strings.Count(text, where))
			}
			places[i] = strings.Index(text, before+is+after) + len(before)
		}
		// from the end, so that the places of the others stay
		slices.SortFunc(all, func(a, b int) int { return places[b] - places[a] })
		for _, i := range all {
			_, is, _ := clauses()[i].parts()
			call, before, after := "clauseGone(%q, %s, %s)", text[:places[i]], text[places[i]+len(is):]
			if strings.HasPrefix(clauses()[i].Gone, "`") { // in a text
				call, is = "` + "+call+" + `", "`"+is+"`"
			}
			text = before + fmt.Sprintf(call, strconv.Itoa(i), is, clauses()[i].Gone) + after
		}
		put(path, strings.ReplaceAll(text, "const sql = `", "sql := `")) // no constant any more
		if at := filepath.Join(filepath.Dir(path), "zz_clauses.go"); replace[at] == "" {
			put(at, fmt.Sprintf(clauseGone, filepath.Base(filepath.Dir(path))))
		}
	}
	plan, err := json.Marshal(map[string]map[string]string{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "overlay.json")
	if err := os.WriteFile(path, plan, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// byFile gives the numbers of the clauses of each file.
func byFile() map[string][]int {
	files := map[string][]int{}
	for i, c := range clauses() {
		files[c.File] = append(files[c.File], i)
	}
	return files
}

// TestClausesFit: every clause is still there to be removed.
func TestClausesFit(t *testing.T) { overlay(t, "../../..") }

// TestStatesHoldTheClauses removes each clause: some state on a real server is wrong then, and none while all are there.
// Each takes a server of its own, so that it takes minutes.
func TestStatesHoldTheClauses(t *testing.T) {
	tier.Long(t)
	binary := filepath.Join(t.TempDir(), "states")
	out, err := exec.CommandContext(t.Context(), "go", "test", "-c", "-vet=off", "-ldflags=-w", "-overlay", overlay(t, "../../.."), "-o", binary, ".").CombinedOutput()
	if err != nil {
		t.Fatalf("it does not compile with the clauses: %v\n%s", err, out)
	}
	try := func(c clause, gone string) (out []byte, err error) {
		cmd := exec.CommandContext(t.Context(), binary, "-test.failfast", "-test.timeout=10m", "-test.run", "TestStates$/"+c.Server, "-state", c.State)
		cmd.Env = append(os.Environ(), variable+"="+gone)
		return cmd.CombinedOutput()
	}
	for i, c := range clauses() {
		t.Run(c.Rule, func(t *testing.T) {
			t.Parallel()
			out, err := try(c, strconv.Itoa(i))
			wrong := func(line string) bool {
				return strings.Contains(line, c.State) && !strings.Contains(line, "fixture:")
			}
			if err == nil || !slices.ContainsFunc(strings.Split(string(out), "\n"), wrong) {
				t.Errorf("no state of %s with %q is wrong:\n%s", c.Server, c.State, out)
			}
			if i%5 > 0 { // each costs as much again
				return
			}
			if out, err := try(c, ""); err != nil {
				t.Errorf("with the clause a state of %s with %q is wrong:\n%s", c.Server, c.State, out)
			}
		})
	}
}
