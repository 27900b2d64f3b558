package contract

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

//go:generate go test -run TestPage -update .

var rewrite = flag.Bool("update", false, "write docs/aws-facts.md, and the differences of a moto server where one "+
	"is tried")

// TestPage: docs/aws-facts.md is the table, every row is on it, and the README counts the rows as it does.
func TestPage(t *testing.T) {
	const path = "../../docs/aws-facts.md"
	records, err := Records()
	if err != nil {
		t.Fatal(err)
	}
	rows, _ := Confirm(Table(), records)
	want := Page(Table(), records)
	for _, r := range rows {
		if strings.Count(want, "\n| "+r.ID+" |") != 1 {
			t.Errorf("%s is not on the page, or not once: its id needs a section", r.ID)
		}
	}
	if *rewrite {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Errorf("%s is not what the table says: go generate ./testutil/contract (%v)", path, err)
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(strings.Join(strings.Fields(string(readme)), " "), Summary(rows)) {
		t.Errorf("README.md does not say: %s", Summary(rows))
	}
}

// TestDocumentsNameFacts: what the documents say of AWS they say by row, with the state that the row has, and not as
// "unverified".
func TestDocumentsNameFacts(t *testing.T) {
	records, err := Records()
	if err != nil {
		t.Fatal(err)
	}
	rows, _ := Confirm(Table(), records)
	states := map[string]State{}
	for _, r := range rows {
		states[r.ID] = r.State
	}
	paths, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for _, path := range append(paths, "../../README.md", "../../SECURITY.md", "../../sam/README.md") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if path == "../../docs/aws-facts.md" {
			continue
		}
		if regexp.MustCompile(`(?i)\bunverified\b`).Match(text) {
			t.Errorf("%s says unverified: name the row of the table, or add one", path)
		}
		for _, m := range regexp.MustCompile(`\b((?:SM|RO|AU|AC|KM|ST|RD|WI)-\d{3})\b(?:\s\(?|, )?(recorded|documented|believed)?`).FindAllStringSubmatch(string(text), -1) {
			named++
			if state, ok := states[m[1]]; !ok || m[2] != "" && m[2] != string(state) {
				t.Errorf("%s names %s: the row is %q", path, m[0], state)
			}
		}
	}
	if named < 10 {
		t.Errorf("the documents name %d rows", named)
	}
}
