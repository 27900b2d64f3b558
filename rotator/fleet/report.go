package fleet

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// Schema names the form of the JSON. Members are added under the same name; whatever is
// changed or removed makes another.
const Schema = "quarterturn.fleet/1"

// Report is the state of a fleet at one time. Its JSON is stable: see Schema.
type Report struct {
	Schema     string           `json:"schema"`
	Generated  time.Time        `json:"generated"`
	Scope      Scope            `json:"scope"`
	Policy     PolicyUsed       `json:"policy"`
	Totals     Totals           `json:"totals"`
	Secrets    []Entry          `json:"secrets"`
	Findings   []ScopeFinding   `json:"findings,omitempty"` // of an account and Region as a whole
	Exceptions []ExceptionUsed  `json:"exceptions,omitempty"`
	Functions  []FunctionReport `json:"functions"`
	Keys       []Key            `json:"keys"`
	Calls      map[string]int   `json:"calls"`
	Changes    *Changes         `json:"changes,omitempty"` // since a former report
}

// Scope is what was looked at, and what could not be.
type Scope struct {
	Accounts   []string     `json:"accounts"`
	Regions    []string     `json:"regions"`
	Unreadable []Unreadable `json:"unreadable,omitempty"`
}

// Unreadable is an account and Region, or a part of it, that could not be read.
type Unreadable struct {
	Account string `json:"account"`
	Region  string `json:"region"`
	Call    string `json:"call"`
	Reason  string `json:"reason"`
}

// PolicyUsed is the policy as it was applied, with its defaults.
type PolicyUsed struct {
	MaxAgeDays       int      `json:"maxAgeDays"`
	MaxIntervalDays  int      `json:"maxIntervalDays"`
	MinIntervalHours int      `json:"minIntervalHours"`
	GraceHours       int      `json:"graceHours"`
	UnusedDays       int      `json:"unusedDays"`
	CustomerKey      bool     `json:"customerKey"`
	Deep             bool     `json:"deep,omitempty"` // versions, replicas and resource policies of every secret were read
	RequiredTags     []string `json:"requiredTags,omitempty"`
}

func (p Policy) used(deep bool) PolicyUsed {
	return PolicyUsed{
		int(p.maxAge() / day), int(p.maxInterval() / day), int(p.minInterval() / time.Hour), int(p.grace() / time.Hour),
		int(p.unused() / day), p.CustomerKey, deep, p.Tags,
	}
}

// Totals counts secrets, each once: by its worst finding, or in order.
type Totals struct {
	Secrets  int              `json:"secrets"`
	InOrder  int              `json:"inOrder"`
	Severity map[Severity]int `json:"severity"`
	Finding  map[string]int   `json:"finding"`
	Function map[string]int   `json:"function"` // quarterturn, aws, other, none, service
	Days     int              `json:"oldestDays"`
}

// Entry is a secret in a report.
type Entry struct {
	ARN           string            `json:"arn"`
	Name          string            `json:"name"`
	Account       string            `json:"account"`
	Region        string            `json:"region"`
	Tags          map[string]string `json:"tags,omitempty"`
	State         Severity          `json:"state"` // "": in order
	Rotation      Rotation          `json:"rotation"`
	Versions      VersionsReport    `json:"versions"`
	Key           string            `json:"key,omitempty"`
	Replicas      []Replica         `json:"replicas,omitempty"`
	LastAccessed  time.Time         `json:"lastAccessed,omitzero"`
	OwningService string            `json:"owningService,omitempty"`
	Findings      []Finding         `json:"findings,omitempty"`
}

// Rotation is when a secret is and was rotated.
type Rotation struct {
	Enabled        bool      `json:"enabled"`
	Function       string    `json:"function,omitempty"`
	Expression     string    `json:"expression,omitempty"`
	IntervalHours  int       `json:"intervalHours,omitempty"`
	Duration       string    `json:"duration,omitempty"`
	Last           time.Time `json:"last,omitzero"`
	Next           time.Time `json:"next,omitzero"`
	OverdueSeconds int       `json:"overdueSeconds,omitempty"`
}

// VersionsReport is what is known of a secret's versions.
type VersionsReport struct {
	Current      string    `json:"current,omitempty"`
	Pending      string    `json:"pending,omitempty"`
	PendingSince time.Time `json:"pendingSince,omitzero"`
	Count        int       `json:"count,omitempty"`
}

// ScopeFinding is a finding of an account and Region as a whole.
type ScopeFinding struct {
	Account string `json:"account"`
	Region  string `json:"region"`
	Finding
}

// ExceptionUsed is a finding that a tag accepts.
type ExceptionUsed struct {
	ARN string `json:"arn"`
	Exception
}

// FunctionReport is a function and how many secrets it rotates.
type FunctionReport struct {
	ARN     string `json:"arn"`
	Kind    string `json:"kind"` // quarterturn, aws, other
	Runtime string `json:"runtime,omitempty"`
	Gone    bool   `json:"gone,omitempty"`
	Secrets int    `json:"secrets"`
}

// Changes is what is different from a former report: secrets by ARN and finding, and findings of an account and Region.
type Changes struct {
	Since time.Time `json:"since"`
	New   []string  `json:"new,omitempty"`
	Fixed []string  `json:"fixed,omitempty"`
	Still []string  `json:"still,omitempty"`
	// NotRead are findings of the former report that this one did not look for, or could not: nothing says
	// that they are fixed.
	NotRead []string `json:"notRead,omitempty"`
}

// Read reads a former report.
func Read(r io.Reader) (*Report, error) {
	var report Report
	if err := json.NewDecoder(r).Decode(&report); err != nil {
		return nil, fmt.Errorf("former report: %w", err)
	}
	if report.Schema != Schema {
		return nil, fmt.Errorf("former report: its schema is %q, and this program reads %s", report.Schema, Schema)
	}
	return &report, nil
}

// entry puts a judged secret into the report's form.
func (f *facts) entry(findings []Finding) Entry {
	interval := f.intervals().longest
	e := Entry{
		ARN: f.ARN, Name: f.Name, Account: f.Account, Region: f.Region, Tags: f.Tags,
		Rotation: Rotation{
			Enabled: f.rotated(), Function: f.FunctionARN, Expression: f.Rules.String(),
			IntervalHours: int(interval / time.Hour), Duration: f.Rules.Duration, Last: f.LastRotated,
			Next: f.NextRotation,
		},
		Versions: VersionsReport{
			Current: f.holder("AWSCURRENT"), Pending: f.pending(), PendingSince: f.created(f.pending()),
			Count: len(f.Versions),
		},
		Key: f.KMSKeyID, Replicas: f.Replicas, LastAccessed: f.LastAccessed, OwningService: f.OwningService,
		Findings: findings,
	}
	if f.Rules.IsZero() {
		e.Rotation.Expression = ""
	}
	if f.late() {
		e.Rotation.OverdueSeconds = int(f.now.Sub(f.NextRotation).Seconds())
	}
	if len(findings) > 0 && findings[0].Severity.AtLeast(Unknown) {
		e.State = findings[0].Severity
	}
	if e.State == "" && f.unread { // F34 says of which call, once for all secrets
		e.State = Unknown
	}
	return e
}

// kind says whose function rotates a secret: the progress of a migration.
func (f *facts) kind() string {
	switch {
	case f.OwningService != "":
		return "service"
	case f.FunctionARN == "":
		return "none"
	case f.policy.ours(f.FunctionARN):
		return "quarterturn"
	case strings.HasPrefix(functionName(f.FunctionARN), "SecretsManager"):
		return "aws"
	}
	return "other"
}

// count adds a secret to the totals.
func (t *Totals) count(f *facts, e Entry) {
	if t.Severity == nil {
		t.Severity, t.Finding, t.Function = map[Severity]int{}, map[string]int{}, map[string]int{}
	}
	t.Secrets++
	if e.State == "" {
		t.InOrder++
	} else {
		t.Severity[e.State]++
	}
	for _, finding := range e.Findings {
		t.Finding[finding.ID]++
	}
	t.Function[f.kind()]++
	if f.judged() && f.rotated() {
		if since := later(f.LastRotated, f.Created); !since.IsZero() {
			t.Days = max(t.Days, int(f.now.Sub(since)/day))
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// sort puts the report into its stable order: worst first, then by name and ARN.
func (r *Report) sort() {
	slices.SortFunc(r.Secrets, func(a, b Entry) int {
		return cmp.Or(rankOf(a.State)-rankOf(b.State), strings.Compare(a.Name, b.Name), strings.Compare(a.ARN, b.ARN))
	})
	slices.SortFunc(r.Findings, func(a, b ScopeFinding) int {
		return cmp.Or(a.Severity.rank()-b.Severity.rank(), strings.Compare(a.Account+a.Region, b.Account+b.Region),
			strings.Compare(a.ID, b.ID))
	})
	slices.SortFunc(r.Exceptions, func(a, b ExceptionUsed) int { return strings.Compare(a.ARN, b.ARN) })
	slices.SortFunc(r.Functions, func(a, b FunctionReport) int { return strings.Compare(a.ARN, b.ARN) })
	slices.SortFunc(r.Keys, func(a, b Key) int { return strings.Compare(a.ID, b.ID) })
	slices.SortFunc(r.Scope.Unreadable, func(a, b Unreadable) int {
		return strings.Compare(a.Account+a.Region+a.Call, b.Account+b.Region+b.Call)
	})
}

func rankOf(state Severity) int {
	if state == "" {
		return len(severities)
	}
	return state.rank()
}

// Reaches says whether a finding is at least as severe as a limit. What is unknown is not: it has no severity yet.
func (r *Report) Reaches(limit Severity) bool {
	reaches := func(f Finding) bool { return f.Severity != Unknown && f.Severity.AtLeast(limit) }
	return slices.ContainsFunc(r.Findings, func(f ScopeFinding) bool { return reaches(f.Finding) }) ||
		slices.ContainsFunc(r.Secrets, func(e Entry) bool { return slices.ContainsFunc(e.Findings, reaches) })
}

// keyed are the findings of a report, each under a name that is the same in the next one.
func (r *Report) keyed() map[string]ScopeFinding {
	all := map[string]ScopeFinding{}
	for _, e := range r.Secrets {
		for _, f := range e.Findings {
			all[e.ARN+" "+f.ID] = ScopeFinding{e.Account, e.Region, f}
		}
	}
	for _, f := range r.Findings {
		all[f.Account+" "+f.Region+" "+f.ID+" "+f.Evidence.Call] = f
	}
	return all
}

// lookedFor says whether a finding of the former report would be in this one if it still held.
func (r *Report) lookedFor(f ScopeFinding, former *Report) bool {
	if !slices.Contains(r.Scope.Accounts, f.Account) || !slices.Contains(r.Scope.Regions, f.Region) ||
		former.Policy.Deep && !r.Policy.Deep && slices.Contains([]string{"F21", "F28", "F33"}, f.ID) {
		return false
	}
	return !slices.ContainsFunc(r.Scope.Unreadable, func(u Unreadable) bool {
		return u.Account == f.Account && u.Region == f.Region &&
			slices.Contains([]string{list, assumeRole, f.Evidence.Call}, u.Call)
	})
}

// compare says what is new, fixed and still there since a former report.
func (r *Report) compare(former *Report) {
	now, before := r.keyed(), former.keyed()
	for _, e := range r.Exceptions { // it holds, and is accepted
		delete(before, e.ARN+" "+e.Finding)
	}
	c := &Changes{Since: former.Generated}
	for _, key := range slices.Sorted(maps.Keys(now)) {
		if _, known := before[key]; known {
			c.Still = append(c.Still, key)
		} else {
			c.New = append(c.New, key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(before)) {
		switch _, there := now[key]; {
		case there:
		case r.lookedFor(before[key], former):
			c.Fixed = append(c.Fixed, key)
		default:
			c.NotRead = append(c.NotRead, key)
		}
	}
	r.Changes = c
}
