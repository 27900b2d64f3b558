package contract

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// TestRecords: no committed record of a run on AWS contradicts the table. Where one does, the row is what has to
// change.
func TestRecords(t *testing.T) {
	records, err := Records()
	if err != nil {
		t.Fatal(err)
	}
	_, contradictions := Confirm(Table(), records)
	for _, c := range contradictions {
		t.Error(c)
	}
}

// TestARecordMakesFactsRecorded runs rows on the emulator as if it were AWS, in this test alone, writes the record as a
// run on AWS does, reads it back, and looks at what the page then says: a row that held is recorded with the day, the
// one that AWS answered otherwise is named, and the rows that were not tried, or have changed since, are what they
// were.
func TestARecordMakesFactsRecorded(t *testing.T) {
	e, err := OpenEmulator()
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	var believed, documented, recorded Row // one of each, that needs nothing but secrets
	for _, r := range Table() {
		if r.Needs != 0 || r.Ask != nil {
			continue
		}
		switch r.State {
		case Believed:
			believed = r
		case Documented:
			documented = r
		case Recorded:
			recorded = r
		}
	}
	otherwise := believed // of another id, and with an expectation that no server meets
	otherwise.ID, otherwise.Want = "ZZ-001", Want{Code: "NoSuchCode"}
	untried := Row{ID: "ZZ-002", State: Believed, Source: noSource, Needs: NeedManaged}
	rows := []Row{believed, documented, recorded, otherwise, untried}
	at := e.Endpoint
	at.Has = 0
	results, err := Run(t.Context(), rows, at)
	if err != nil {
		t.Fatal(err)
	}
	day := time.Date(2031, 3, 4, 5, 6, 7, 0, time.UTC)
	path := filepath.Join(t.TempDir(), "made.json")
	if err := WriteRecord(path, "eu-west-1", day, results); err != nil {
		t.Fatal(err)
	}
	made, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	older := strings.Replace(string(made), "2031", "2030", 1)
	records, err := readRecords(fstest.MapFS{"records/b.json": {Data: made}, "records/a.json": {Data: []byte(older)},
		"records/README.md": {}})
	if err != nil || len(records) != 2 || records[1].Time != day {
		t.Fatalf("%d records: %v", len(records), err)
	}
	confirmed, contradictions := Confirm(rows, records)
	by := "make contract AWS=1 on 2031-03-04 in eu-west-1"
	for i, want := range []Row{{State: Recorded, Source: by}, {State: Recorded, Source: documented.Source + "; " + by},
		{State: Recorded, Source: recorded.Source + "; " + by}, otherwise, untried} {
		if got := confirmed[i]; got.State != want.State || got.Source != want.Source {
			t.Errorf("%s is %s, %s; want %s, %s", got.ID, got.State, got.Source, want.State, want.Source)
		}
	}
	if len(contradictions) != 1 || !strings.HasPrefix(contradictions[0], "ZZ-001: AWS answered otherwise on "+
		"2031-03-04 in eu-west-1: ") {
		t.Errorf("contradictions: %q", contradictions)
	}
	page := Page(rows, records)
	for _, want := range []string{Summary(confirmed), fmt.Sprintf("| %s |", believed.ID), "| recorded | " + by + " |",
		"on 2031-03-04 in eu-west-1, where 3 rows held and 1 did not, of 5"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if strings.Contains(Page(rows, nil), "2031") || !strings.Contains(Page(rows, nil), "No such run has been "+
		"committed") {
		t.Error("without a record the page tells of one")
	}

	changed := believed
	changed.Want = Want{Code: denied}
	if got, wrong := Confirm([]Row{changed}, records); got[0].State != Believed || len(wrong) > 0 {
		t.Errorf("a row that was changed since is %s, %q", got[0].State, wrong)
	}
}

// TestWrongRecords: what is no record is no proof.
func TestWrongRecords(t *testing.T) {
	for _, text := range []string{"", "{", "{}", `{"region":"us-east-1","rows":{"SM-001":{}}}`,
		`{"time":"2031-01-01T00:00:00Z","region":"us-east-1"}`} {
		if _, err := readRecords(fstest.MapFS{"records/a.json": {Data: []byte(text)}}); err == nil {
			t.Errorf("%q counts as a record", text)
		}
	}
}
