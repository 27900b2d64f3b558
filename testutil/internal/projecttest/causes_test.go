package projecttest

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/strategies/dial"
	"github.com/quarterturn-dev/quarterturn/strategies/mysql"
	"github.com/quarterturn-dev/quarterturn/strategies/postgres"
	"github.com/quarterturn-dev/quarterturn/strategies/valkey"
)

var update = flag.Bool("update", false, "write the generated parts of the documents")

// TestTheRunbookShowsEveryCause: the tables of what servers answer are those that the
// engines decide by.
func TestTheRunbookShowsEveryCause(t *testing.T) {
	const path, end = "docs/runbook.md", "<!-- end -->\n"
	page := read(t, path)
	for engine, causes := range map[string][]dial.Cause{"mysql": mysql.Causes(), "postgres": postgres.Causes(),
		"valkey": valkey.Causes()} {
		before, rest, begins := strings.Cut(page, "<!-- causes of "+engine+":")
		note, rest, closes := strings.Cut(rest, "-->\n")
		table, after, ends := strings.Cut(rest, end)
		if !begins || !closes || !ends {
			t.Fatalf("%s has no place for the causes of %s", path, engine)
		}
		want := dial.Markdown(causes)
		if table == want {
			continue
		}
		if !*update {
			t.Errorf("%s does not show what the answers of %s mean as the code has it. To write it: "+
				"go test ./testutil/internal/projecttest -run TestTheRunbookShowsEveryCause -update", path, engine)
		}
		page = before + "<!-- causes of " + engine + ":" + note + "-->\n" + want + end + after
	}
	if *update {
		if err := os.WriteFile(filepath.Join(root, path), []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
