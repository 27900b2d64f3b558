package contract

import (
	"bufio"
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Differences are the rows in which an endpoint is known to differ, each with the Difference of its Result.
type Differences map[string]string

// ReadDifferences reads a list of lines "ID DIFFERENCE". Empty lines and those that begin with # are remarks.
func ReadDifferences(path string) (Differences, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("differences: %w", err)
	}
	defer f.Close()
	d := Differences{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		id, what, ok := strings.Cut(strings.TrimSpace(lines.Text()), " ")
		if ok && !strings.HasPrefix(id, "#") {
			d[id] = strings.TrimSpace(what)
		}
	}
	return d, lines.Err()
}

// Unexpected are the results that the list does not foresee, as sentences: a difference that is not listed, one that is
// another than listed, and a listed one that is gone.
func (d Differences) Unexpected(results []Result) []string {
	var problems []string
	for _, r := range results {
		listed, known := d[r.Row.ID]
		switch {
		case r.NotTried != "":
		case r.Difference == listed:
		case !known:
			problems = append(problems, fmt.Sprintf("%s differs: %s", r.Row.ID, r.Difference))
		case r.Difference == "":
			problems = append(problems, fmt.Sprintf("%s no longer differs (listed: %s)", r.Row.ID, listed))
		default:
			problems = append(problems, fmt.Sprintf("%s differs otherwise than listed: %s (listed: %s)", r.Row.ID,
				r.Difference, listed))
		}
	}
	return problems
}

// Print writes what became of each row, with its source, and a line of counts.
func Print(w io.Writer, at string, results []Result, d Differences) {
	held, tried := 0, 0
	for _, r := range results {
		state := "ok"
		switch {
		case r.NotTried != "":
			state = "not tried: " + r.NotTried
		case r.Difference != "" && r.Difference == d[r.Row.ID]:
			state = "listed: " + r.Difference
		case r.Difference != "":
			state = "DIFFERS: " + r.Difference
		default:
			held++
		}
		if r.NotTried == "" {
			tried++
		}
		fmt.Fprintf(w, "%s  %-10s  %s\n        %s\n        source: %s\n", r.Row.ID, r.Row.State, r.Row.Does, state,
			r.Row.Source)
	}
	fmt.Fprintf(w, "\n%s: %d of %d rows hold", at, held, tried)
	if n := len(results) - tried; n > 0 {
		fmt.Fprintf(w, "; %d could not be tried", n)
	}
	fmt.Fprintln(w, ".")
}

// Summary counts the table, for documents.
func Summary(rows []Row) string {
	return fmt.Sprintf("Of %d facts about AWS %d are recorded, %d documented and %d believed",
		len(rows), Count(rows, Recorded), Count(rows, Documented), Count(rows, Believed))
}

// sections are the parts of the page, by the beginning of the ids.
var sections = []struct{ prefix, title string }{
	{"SM-0", "Secrets and values"}, {"SM-1", "Versions and staging labels"},
	{"SM-2", "Deletion, tags, lists, resource policies, passwords"},
	{"RO-", "Rotation"}, {"AU-", "Denials"}, {"AC-", "Other accounts"}, {"KM-", "Keys"}, {"ST-", "STS"}, {"RD-", "RDS"},
	{"WI-", "The wire"},
}

// Page is docs/aws-facts.md: rows as they are known, and when AWS itself was asked.
func Page(rows []Row, records []Record) string {
	rows, _ = Confirm(rows, records)
	var b strings.Builder
	fmt.Fprintf(&b, `# What we know of AWS

Made from the table in `+"`testutil/contract`"+` by `+"`go generate ./testutil/contract`"+`. Do not edit it.

%s. *Recorded*: seen on AWS, in a test that others ran there or in a
text that people pasted. *Documented*: AWS's documentation or service model says so. *Believed*: neither, and no public record.

`+"`make contract`"+` holds the emulator to every row, and the long tests hold a moto server to its known differences
(`+"`testutil/contract/testdata/moto.txt`"+`). `+"`make contract AWS=1`"+` tries the rows on a real account. %s

In braces: what the row made. {first}, {second}: version ids in order; {arn}, {name}: the secret; {principal}: the caller.
`, Summary(rows), runs(records))
	for _, s := range sections {
		fmt.Fprintf(&b, "\n## %s\n\n| id | done | comes back | state | source |\n|---|---|---|---|---|\n", s.title)
		for _, r := range rows {
			if strings.HasPrefix(r.ID, s.prefix) {
				fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", r.ID, cell(r.Does), cell(r.Want.String()), r.State,
					cell(r.Source))
			}
		}
	}
	return b.String()
}

// runs says when AWS was asked.
func runs(records []Record) string {
	if len(records) == 0 {
		return "No such run has been committed so far."
	}
	var all []string
	for _, rec := range records {
		held, differed := 0, 0
		for _, row := range rec.Rows {
			switch {
			case row.NotTried != "":
			case row.Difference != "":
				differed++
			default:
				held++
			}
		}
		all = append(all, fmt.Sprintf("on %s in %s, where %d rows held and %d did not, of %d", rec.day(), rec.Region,
			held, differed, len(rec.Rows)))
	}
	return "That was done " + strings.Join(all, "; ") + "."
}

func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;", "*", `\*`, "_", `\_`).Replace(s)
}

// Select are the rows whose id matches one of the beginnings; none: all.
func Select(rows []Row, beginnings ...string) []Row {
	if len(beginnings) == 0 {
		return rows
	}
	return slices.DeleteFunc(slices.Clone(rows), func(r Row) bool {
		return !slices.ContainsFunc(beginnings, func(b string) bool { return strings.HasPrefix(r.ID, b) })
	})
}

// Record is what a run on AWS found, fit to be committed: no id of an account, a key or a version is in it.
type Record struct {
	Region string               `json:"region"`
	Time   time.Time            `json:"time"`
	Rows   map[string]RecordRow `json:"rows"`
}

// RecordRow is one row of a Record.
type RecordRow struct {
	Want string `json:"want"` // what the table expected at that time
	Got
	Difference string `json:"difference,omitempty"` // from what the table expects
	NotTried   string `json:"notTried,omitempty"`
}

// WriteRecord writes what was found to a file.
func WriteRecord(path, region string, now time.Time, results []Result) error {
	rec := Record{Region: region, Time: now.UTC().Truncate(time.Second), Rows: map[string]RecordRow{}}
	for _, r := range results {
		rec.Rows[r.Row.ID] = RecordRow{r.Row.Want.String(), r.Got, r.Difference, r.NotTried}
	}
	b, err := json.MarshalIndent(rec, "", "\t")
	if err != nil {
		return fmt.Errorf("record: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("record: %w", err)
	}
	if err := os.WriteFile(path, append(b, '\n'), 0o644); err != nil {
		return fmt.Errorf("record: %w", err)
	}
	return nil
}

// recordFiles are the records of runs on AWS that were committed.
//
//go:embed records
var recordFiles embed.FS

// Records are the committed records of runs on AWS, oldest first.
func Records() ([]Record, error) { return readRecords(recordFiles) }

func readRecords(files fs.FS) ([]Record, error) {
	names, err := fs.Glob(files, "records/*.json")
	if err != nil {
		return nil, fmt.Errorf("records: %w", err)
	}
	var records []Record
	for _, name := range names {
		b, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, fmt.Errorf("records: %w", err)
		}
		var rec Record
		if err := json.Unmarshal(b, &rec); err != nil {
			return nil, fmt.Errorf("records: %s: %w", name, err)
		}
		if rec.Region == "" || rec.Time.IsZero() || len(rec.Rows) == 0 {
			return nil, fmt.Errorf("records: %s: no Region, no time or no rows", name)
		}
		records = append(records, rec)
	}
	slices.SortStableFunc(records, func(a, b Record) int { return a.Time.Compare(b.Time) })
	return records, nil
}

// Confirm applies records to rows. A row that held on AWS is recorded, with the day and the Region of the last time.
// What AWS answered otherwise in a row's last record is a contradiction, and the row's source still decides its state.
// A row that was changed after it was recorded expects something that AWS was not asked about, so that such a record
// says nothing of it.
func Confirm(rows []Row, records []Record) (confirmed []Row, contradictions []string) {
	confirmed = slices.Clone(rows)
	for i, row := range confirmed {
		for _, rec := range slices.Backward(records) {
			seen, ok := rec.Rows[row.ID]
			if !ok || seen.NotTried != "" || seen.Want != row.Want.String() {
				continue
			}
			if seen.Difference != "" {
				contradictions = append(contradictions, fmt.Sprintf("%s: AWS answered otherwise on %s in %s: %s",
					row.ID, rec.day(), rec.Region, seen.Difference))
				break
			}
			by := fmt.Sprintf("make contract AWS=1 on %s in %s", rec.day(), rec.Region)
			if row.State == Believed {
				row.Source = by
			} else {
				row.Source += "; " + by
			}
			row.State = Recorded
			confirmed[i] = row
			break
		}
	}
	return confirmed, contradictions
}

func (r Record) day() string { return r.Time.Format(time.DateOnly) }
