package fleet

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

//go:embed report.html
var reportHTML string

// maxRows is how many secrets the page lists; the rest is in the JSON. A browser is slow
// with more.
const maxRows = 5000

// HTML writes the report as one page for people and auditors: no script, no network, light
// and dark, and made to be printed. by is who ran it, version the program's.
//
// Names, tags and error texts are other people's input: the template escapes them.
func (r *Report) HTML(out io.Writer, by, version string) error {
	var data bytes.Buffer
	if err := r.JSON(&data); err != nil {
		return err
	}
	t, err := template.New("report").Funcs(template.FuncMap{
		"stamp": stamp, "date": func(t time.Time) string { return dateOr(t, "never") }, "join": strings.Join,
		"count": count, "changes": (*Changes).summary,
	}).Parse(reportHTML)
	if err != nil {
		return err
	}
	return t.Execute(out, reportPage{Report: r, By: by, Version: version,
		Sum: fmt.Sprintf("%x", sha256.Sum256(data.Bytes()))})
}

// reportPage is what the template sees.
type reportPage struct {
	*Report
	By, Version, Sum string
}

// Rows are the secrets that the page lists.
func (p reportPage) Rows() []Entry { return p.Secrets[:min(len(p.Secrets), maxRows)] }

// Beyond is how many secrets are in the JSON alone.
func (p reportPage) Beyond() int { return len(p.Secrets) - len(p.Rows()) }

// Tiles are the counts at the top.
func (p reportPage) Tiles() []Severity { return []Severity{Critical, High, Medium, Unknown} }

// maxListed is how many secrets a severity lists in full.
const maxListed = 200

// bySeverity is a severity and the secrets of which it is the worst.
type bySeverity struct {
	Severity Severity
	Entries  []Entry
	Beyond   int
}

// BySeverity groups the secrets that have findings by the worst of them.
func (p reportPage) BySeverity() []bySeverity {
	var groups []bySeverity
	for _, s := range severities {
		var entries []Entry
		for _, e := range p.Secrets {
			if len(e.Findings) > 0 && e.Findings[0].Severity == s {
				entries = append(entries, e)
			}
		}
		if entries != nil {
			shown := entries[:min(len(entries), maxListed)]
			groups = append(groups, bySeverity{s, shown, len(entries) - len(shown)})
		}
	}
	return groups
}

// place is one cell of the table of accounts and Regions.
type placeRow struct {
	Account, Region                 string
	Critical, High, Medium, Unknown int
}

// Places counts what is not in order by account and Region.
func (p reportPage) Places() []placeRow {
	rows := map[string]*placeRow{}
	for _, account := range p.Scope.Accounts {
		for _, region := range p.Scope.Regions {
			rows[account+" "+region] = &placeRow{Account: account, Region: region}
		}
	}
	for _, e := range p.Secrets {
		row := rows[e.Account+" "+e.Region]
		if row == nil {
			continue
		}
		switch e.State {
		case Critical:
			row.Critical++
		case High:
			row.High++
		case Medium:
			row.Medium++
		case Unknown:
			row.Unknown++
		}
	}
	var list []placeRow
	for _, key := range slices.Sorted(maps.Keys(rows)) {
		list = append(list, *rows[key])
	}
	return list
}

// bar is one line of a histogram, drawn by a width in percent.
type bar struct {
	Label   string
	N       int
	Percent int
}

func bars(labels []string, counts []int) []bar {
	most := 1
	for _, n := range counts {
		most = max(most, n)
	}
	all := make([]bar, len(labels))
	for i, label := range labels {
		all[i] = bar{label, counts[i], counts[i] * 100 / most}
	}
	return all
}

// Ages is how long ago the rotated secrets of the report were rotated.
func (p reportPage) Ages() []bar {
	limits := []int{7, 30, 60, 90, 180, 365}
	labels := []string{"up to 7 days", "8 to 30", "31 to 60", "61 to 90", "91 to 180", "181 to 365", "older",
		"never rotated"}
	counts := make([]int, len(labels))
	for _, e := range p.Secrets {
		if !e.Rotation.Enabled {
			continue
		}
		at := len(labels) - 1
		if !e.Rotation.Last.IsZero() {
			age := int(p.Generated.Sub(e.Rotation.Last) / day)
			if at = slices.IndexFunc(limits, func(limit int) bool { return age <= limit }); at < 0 {
				at = len(limits)
			}
		}
		counts[at]++
	}
	return bars(labels, counts)
}

// Next is how many rotations are due on each of the next seven days.
func (p reportPage) Next() []bar {
	labels, counts := make([]string, 7), make([]int, 7)
	midnight := p.Generated.Truncate(day)
	for i := range labels {
		labels[i] = midnight.Add(time.Duration(i) * day).Format("Mon 2 Jan")
	}
	for _, e := range p.Secrets {
		if at := int(e.Rotation.Next.Sub(midnight) / day); !e.Rotation.Next.Before(midnight) && at < len(counts) {
			counts[at]++
		}
	}
	return bars(labels, counts)
}

// Controls are what auditors ask for, and which conditions answer it.
func (p reportPage) Controls() []struct{ Control, Answer string } {
	return []struct{ Control, Answer string }{
		{"Security Hub SecretsManager.1: automatic rotation is enabled", "F06, F07"},
		{"Security Hub SecretsManager.2: rotation succeeds", "F01, F02, F03, F05, F12, F13, F15"},
		{"Security Hub SecretsManager.3: unused secrets are removed", "F26, F27"},
		{"Security Hub SecretsManager.4: secrets are rotated within a number of days", "F08, F09"},
		{"Security Hub SecretsManager.5: secrets are tagged", "F30"},
		{"PCI DSS 4.0.1 8.3.9 and 8.6.3: passwords are changed periodically", "F01 to F09"},
		{"NIST SP 800-53 AC-2(1) and AC-3(15)", "F01 to F09, F33"},
	}
}
