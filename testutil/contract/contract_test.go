package contract

import (
	"context"
	"regexp"
	"strings"
	"testing"
)

// TestEmulator holds the emulator to every row.
func TestEmulator(t *testing.T) {
	e, err := OpenEmulator()
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	results, err := Run(context.Background(), Table(), e.Endpoint)
	if err != nil {
		t.Error(err)
	}
	for _, r := range results {
		t.Run(r.Row.ID, func(t *testing.T) {
			if r.NotTried != "" {
				t.Errorf("not tried: %s", r.NotTried)
			}
			if r.Difference != "" {
				t.Errorf("%s (%s)\nwant %s\ngot  %s\nsource: %s", r.Row.Does, r.Row.State, r.Row.Want, r.Difference, r.Row.Source)
			}
		})
	}
}

// TestTable holds the table to what it promises: ids that stay, sources, and how many rows count.
func TestTable(t *testing.T) {
	rows := Table()
	seen := map[string]bool{}
	id := regexp.MustCompile(`^[A-Z]{2}-\d{3}$`)
	for _, r := range rows {
		if seen[r.ID] || !id.MatchString(r.ID) {
			t.Errorf("id %q is not new, or not two letters and three digits", r.ID)
		}
		seen[r.ID] = true
		if r.Does == "" || r.Do == nil || r.Source == "" {
			t.Errorf("%s lacks what is done, how, or a source", r.ID)
		}
		if (r.State == Believed) != strings.HasPrefix(r.Source, noSource) && r.State != Believed {
			t.Errorf("%s is %s and has no source", r.ID, r.State)
		}
	}
	if n := len(rows); n < 120 {
		t.Errorf("%d rows, at least 120 are promised", n)
	}
	if n := Count(rows, Recorded) + Count(rows, Documented); n < 80 {
		t.Errorf("%d rows are recorded or documented, at least 80 are promised", n)
	}
}
