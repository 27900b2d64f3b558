package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// Place is one account and Region to look at, with credentials for it.
type Place struct {
	Account, Region string
	Config          aws.Config
}

// Scanner looks at a fleet. Places alone are required.
type Scanner struct {
	Places []Place
	Policy Policy
	// Deep reads versions, replicas and the resource policy of every secret, not of
	// suspects alone.
	Deep bool
	// Since is a former report, to be compared with; nil: none.
	Since *Report
	// Concurrency is how many places are looked at together; 0: 8. Quotas are those of
	// each account and Region, so that places do not slow one another.
	Concurrency int
	// Progress is told of each page; nil: not told.
	Progress func(place Place, secrets int)
	// All keeps the entries of secrets that are in order. Without it the report holds what
	// is not, and the memory needed does not grow with the fleet.
	All bool
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// Scan looks at all places. A place that cannot be read is in the report's scope, never an
// error: the error is that of a context that ended, or of a Scanner that cannot work.
func (s Scanner) Scan(ctx context.Context) (*Report, error) {
	if len(s.Places) == 0 {
		return nil, errors.New("fleet: no account and Region to look at")
	}
	now := time.Now
	if s.Now != nil {
		now = s.Now
	}
	r := &Report{Schema: Schema, Generated: now().UTC(), Policy: s.Policy.used(s.Deep), Calls: map[string]int{}}
	for _, p := range s.Places {
		r.Scope.Accounts = append(r.Scope.Accounts, p.Account)
		r.Scope.Regions = append(r.Scope.Regions, p.Region)
	}
	r.Scope.Accounts = slices.Compact(slices.Sorted(slices.Values(r.Scope.Accounts)))
	r.Scope.Regions = slices.Compact(slices.Sorted(slices.Values(r.Scope.Regions)))

	former := map[string]*Entry{}
	if s.Since != nil {
		for i := range s.Since.Secrets {
			former[s.Since.Secrets[i].ARN] = &s.Since.Secrets[i]
		}
	}
	var mu sync.Mutex
	var all sync.WaitGroup
	slots := make(chan struct{}, max(1, cmp.Or(s.Concurrency, 8)))
	for _, p := range s.Places {
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			v := visit{Scanner: s, place: p, client: newClient(p.Config), now: r.Generated, former: former,
				due: map[time.Time]int{}}
			v.run(ctx)
			mu.Lock()
			defer mu.Unlock()
			v.addTo(r)
		})
	}
	all.Wait()
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("fleet: %w", err)
	}
	r.sort()
	if s.Since != nil {
		r.compare(s.Since)
	}
	return r, nil
}

// visit is the work on one account and Region.
type visit struct {
	Scanner
	place  Place
	client *client
	now    time.Time
	former map[string]*Entry

	totals     Totals
	secrets    []Entry
	findings   []ScopeFinding
	exceptions []ExceptionUsed
	unreadable map[string]Unreadable // by call
	lost       map[string]bool       // functions and keys of which something could not be read
	// calls that were throttled to the end: asking for every secret would add to the load
	gaveUp    map[string]bool
	schedules schedules
	functions map[string]*Function
	keys      map[string]*Key
	rotates   map[string]int    // secrets by function
	due       map[time.Time]int // rotations by the hour in which they are due
}

func (v *visit) run(ctx context.Context) {
	v.gaveUp, v.lost, v.schedules = map[string]bool{}, map[string]bool{}, schedules{}
	v.unreadable, v.functions, v.keys, v.rotates = map[string]Unreadable{}, map[string]*Function{}, map[string]*Key{},
		map[string]int{}
	err := v.client.list(ctx, v.place, func(page []Secret) {
		for i := range page {
			v.judge(ctx, &page[i])
		}
		if v.Progress != nil {
			v.Progress(v.place, v.totals.Secrets)
		}
	})
	if err != nil {
		v.cannotRead(list, err)
	}
	v.crowds()
}

// cannotRead notes a call that failed: F34.
func (v *visit) cannotRead(call string, err error) {
	if assumed(err) {
		call = assumeRole
	}
	if throttled(err) {
		v.gaveUp[call] = true
	}
	if _, known := v.unreadable[call]; known || errors.Is(err, context.Canceled) {
		return
	}
	v.unreadable[call] = Unreadable{v.place.Account, v.place.Region, call, reason(call, err)}
}

// judge decides all conditions of a secret: first by what ListSecrets said, then, for
// suspects, by what further calls say.
func (v *visit) judge(ctx context.Context, s *Secret) {
	f := &facts{Secret: s, now: v.now, policy: v.Policy, before: v.former[s.ARN], schedules: v.schedules}
	if v.Since != nil {
		f.beforeAt = v.Since.Generated
	}
	f.function = v.function(ctx, s)
	f.key = v.key(ctx, s)
	f.unread = v.lost[unqualified(s.FunctionARN)] || v.lost[s.KMSKeyID]
	findings := decide(f)
	switch wanted := v.wantsVersions(f); {
	case wanted && v.gaveUp[versions]:
		f.unread = true
	case wanted:
		if list, err := v.client.versions(ctx, s.ARN); err != nil {
			v.cannotRead(versions, err)
			f.unread = true
		} else {
			s.Versions = list
		}
		findings = decide(f)
	}
	if v.Deep || len(findings) > 0 && findings[0].Severity.AtLeast(High) {
		findings = v.confirm(ctx, f, findings)
	}
	switch wanted := v.Deep && s.Deleted.IsZero(); { // of a deleted secret nothing is said
	case wanted && v.gaveUp["GetResourcePolicy"]:
		f.unread = true
	case wanted:
		if document, err := v.client.resourcePolicy(ctx, s.ARN); err != nil {
			v.cannotRead("GetResourcePolicy", err)
			f.unread = true
		} else {
			f.resource = &document
			findings = decide(f)
		}
	}
	findings = v.without(f, findings)
	e := f.entry(findings)
	v.totals.count(f, e)
	if v.All || len(findings) > 0 {
		v.secrets = append(v.secrets, e)
	}
	if s.FunctionARN != "" {
		v.rotates[unqualified(s.FunctionARN)]++
	}
	if next := f.due(); !next.IsZero() && s.NextRotation.After(v.now) {
		v.due[s.NextRotation.Truncate(time.Hour)]++
	}
}

// wantsVersions: only ListSecretVersionIds says when a version was made. It may be asked
// 50 times a second, so that suspects alone are.
func (v *visit) wantsVersions(f *facts) bool {
	old := !f.rotated() && f.LastRotated.IsZero() && f.now.Sub(f.LastChanged) <= f.policy.maxAge() &&
		f.now.Sub(f.Created) > f.policy.maxAge() && !f.LastChanged.Equal(f.Created) && !f.Rules.IsZero()
	return v.Deep || f.pending() != "" && f.judged() || old && f.judged()
}

// confirm asks DescribeSecret, which is fresher than ListSecrets, and decides again.
func (v *visit) confirm(ctx context.Context, f *facts, findings []Finding) []Finding {
	if v.gaveUp[describe] {
		f.unread = true
		return findings
	}
	fresh, err := v.client.describe(ctx, v.place, f.ARN)
	if err != nil {
		v.cannotRead(describe, err)
		f.unread = true
		return findings
	}
	fresh.Versions, fresh.LastAccessed = f.Versions, later(fresh.LastAccessed, f.LastAccessed)
	*f.Secret = fresh
	return decide(f)
}

// without takes out what a tag accepts, and keeps it as an exception.
func (v *visit) without(f *facts, findings []Finding) []Finding {
	e, err := exception(f.Tags)
	if err != nil || e.Finding == "" || !v.now.Before(e.Until) {
		return findings
	}
	if len(v.Policy.Tags) > 0 {
		e.Owner = f.Tags[v.Policy.Tags[0]]
	}
	v.exceptions = append(v.exceptions, ExceptionUsed{f.ARN, e})
	return slices.DeleteFunc(findings, func(f Finding) bool { return f.ID == e.Finding })
}

// decide goes through the conditions: the findings, worst first.
func decide(f *facts) []Finding {
	var findings []Finding
	for _, c := range conditions() {
		got, ok := c.decide(f)
		if !ok {
			continue
		}
		got.ID, got.Name = c.id, c.name
		if got.Severity == "" {
			got.Severity = c.severity
		}
		findings = append(findings, got)
	}
	slices.SortStableFunc(findings, func(a, b Finding) int { return a.Severity.rank() - b.Severity.rank() })
	return findings
}

// function asks about a function once.
func (v *visit) function(ctx context.Context, s *Secret) *Function {
	if s.FunctionARN == "" || s.OwningService != "" {
		return nil
	}
	id := unqualified(s.FunctionARN)
	if known, ok := v.functions[id]; ok || v.gaveUp["GetFunctionConcurrency"] || v.gaveUp["GetPolicy"] {
		v.lost[id] = v.lost[id] || !ok
		return known
	}
	var fn *Function
	if c := v.clientFor(id); c != nil {
		fn = &Function{ARN: id, Ours: v.Policy.ours(id)}
		for call, err := range c.function(ctx, fn) {
			v.lost[id] = true
			v.cannotRead(call, err)
		}
	}
	v.functions[id] = fn
	return fn
}

// clientFor is the client for the account and Region of a function; nil: the report does not look there.
func (v *visit) clientFor(function string) *client {
	parts := strings.Split(function, ":")
	if len(parts) < 7 || parts[3] == v.place.Region && parts[4] == v.place.Account {
		return v.client
	}
	for _, p := range v.Places {
		if p.Region == parts[3] && p.Account == parts[4] {
			c := newClient(p.Config)
			c.calls = v.client.calls
			return c
		}
	}
	return nil
}

// key asks about a key once.
func (v *visit) key(ctx context.Context, s *Secret) *Key {
	if s.KMSKeyID == "" {
		return nil
	}
	if known, ok := v.keys[s.KMSKeyID]; ok || v.gaveUp["DescribeKey"] {
		v.lost[s.KMSKeyID] = v.lost[s.KMSKeyID] || !ok
		return known
	}
	k, err := v.client.key(ctx, s.KMSKeyID)
	if err != nil {
		v.lost[s.KMSKeyID] = true
		v.cannotRead("DescribeKey", err)
	}
	v.keys[s.KMSKeyID] = k
	return k
}

// startsPerSecond is how many rotations of an account and Region can begin: each makes two
// writes of the 50 a second that Secrets Manager allows, and RotateSecret is one.
const startsPerSecond = 17

// crowds finds hours in which more rotations are due than can begin: F32.
func (v *visit) crowds() {
	for _, hour := range slices.SortedFunc(maps.Keys(v.due), time.Time.Compare) {
		n := v.due[hour]
		if limit := startsPerSecond * 3600; n > limit {
			v.findings = append(v.findings, ScopeFinding{v.place.Account, v.place.Region, Finding{
				ID: "F32", Name: "crowd", Severity: Medium, Since: hour,
				Sentence: fmt.Sprintf("%d secrets are due in the hour of %s, and about %d can be rotated: spread "+
					"their schedules", n, stamp(hour), limit),
				Evidence: Evidence{list, "NextRotationDate", stamp(hour)},
			}})
		}
	}
	for id, fn := range v.functions {
		if fn == nil || fn.Reserved == nil || *fn.Reserved == 0 {
			continue
		}
		if limit := *fn.Reserved * 3600 / secondsPerRotation; v.rotates[id] > limit {
			v.findings = append(v.findings, ScopeFinding{v.place.Account, v.place.Region, Finding{
				ID: "F32", Name: "crowd", Severity: Medium,
				Sentence: fmt.Sprintf("function %s rotates %d secrets with a reserved concurrency of %d: not all of "+
					"them can be rotated in an hour", functionName(id), v.rotates[id], *fn.Reserved),
				Remedy: "aws lambda delete-function-concurrency --region " + v.place.Region + " --function-name " +
					functionName(id),
				Evidence: Evidence{"GetFunctionConcurrency", "ReservedConcurrentExecutions", fmt.Sprint(*fn.Reserved)},
			}})
		}
	}
}

// secondsPerRotation is what the four invocations of a rotation take together, at the most
// that is usual.
const secondsPerRotation = 10

// addTo puts the visit into the report. The caller holds the report's lock.
func (v *visit) addTo(r *Report) {
	t := &r.Totals
	if t.Severity == nil {
		t.Severity, t.Finding, t.Function = map[Severity]int{}, map[string]int{}, map[string]int{}
	}
	t.Secrets, t.InOrder, t.Days = t.Secrets+v.totals.Secrets, t.InOrder+v.totals.InOrder, max(t.Days, v.totals.Days)
	for s, n := range v.totals.Severity {
		t.Severity[s] += n
	}
	for id, n := range v.totals.Finding {
		t.Finding[id] += n
	}
	for kind, n := range v.totals.Function {
		t.Function[kind] += n
	}
	r.Secrets = append(r.Secrets, v.secrets...)
	r.Findings = append(r.Findings, v.findings...)
	r.Exceptions = append(r.Exceptions, v.exceptions...)
	for _, u := range v.unreadable {
		r.Scope.Unreadable = append(r.Scope.Unreadable, u)
		remedy := grant(u)
		r.Findings = append(r.Findings, ScopeFinding{u.Account, u.Region, Finding{
			ID: "F34", Name: "unreadable", Severity: Unknown, Sentence: u.Call + " could not be read: " + u.Reason,
			Remedy:   remedy,
			Evidence: Evidence{u.Call, "error", u.Reason},
		}})
	}
	for id, fn := range v.functions {
		kind := "other"
		switch f := (&facts{Secret: &Secret{FunctionARN: id}, policy: v.Policy}); f.kind() {
		case "quarterturn", "aws":
			kind = f.kind()
		}
		entry := FunctionReport{ARN: id, Kind: kind, Secrets: v.rotates[id]}
		if fn != nil {
			entry.Runtime, entry.Gone = fn.Runtime, fn.Gone
		}
		r.Functions = append(r.Functions, entry)
	}
	for _, k := range v.keys {
		if k != nil {
			r.Keys = append(r.Keys, *k)
		}
	}
	for call, n := range v.client.calls {
		r.Calls[call] += n
	}
}
