package contract

import (
	"flag"
	"os"
	"strings"
	"testing"
)

//go:generate go test -run TestPage -update .

var rewrite = flag.Bool("update", false, "write docs/aws-facts.md, and the differences of a moto server where one is tried")

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
