package rotator

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
)

// Preflighter is the one optional ability of a Strategy: to say, before anything
// is written, whether Apply would work. It changes nothing that lasts, sends
// passwords only where Apply would, and is as sparing with logins.
type Preflighter interface {
	Preflight(ctx context.Context, r Rotation) []Finding
}

// Status is what a check found.
type Status string

const (
	// Granted: the very thing was done, or done and taken back.
	Granted Status = "granted"
	// Inferred: the answer is one that only comes after the permission was found.
	Inferred Status = "granted-inferred"
	// Denied: somebody who decides said no.
	Denied Status = "denied"
	// Faulty: it is not a matter of permission, and it would not work.
	Faulty Status = "failed"
	// Unknown: it could not be tried. It never counts as a no.
	Unknown Status = "unknown"
	// Skipped: an earlier finding leaves nothing to try.
	Skipped Status = "skipped"
)

// Finding is the outcome of one check.
type Finding struct {
	ID     string // stable, for runbooks: S1, T1, P1 and so on
	Check  string // what was tried
	Status Status
	Kind   Kind   `json:",omitempty"` // of what is wrong
	Detail string `json:",omitempty"` // what is wrong and what to do, or why it was skipped
}

// Report is what a preflight found. It marshals to JSON as it stands.
type Report struct {
	Secret   string
	Findings []Finding
}

// Judge makes a Finding of a check that ended with err. An outage is never a
// denial: what was asked and not answered stays unknown for Secrets Manager, and
// is a fault of its own for a database.
func Judge(id, check string, err error) Finding {
	f := Finding{ID: id, Check: check, Status: Granted}
	if err == nil {
		return f
	}
	f.Kind, f.Detail = KindOf(err), err.Error()
	switch f.Kind {
	case Forbidden, Privilege:
		f.Status = Denied
	case Throttled, OutOfTime, Internal:
		f.Status = Unknown
	default:
		f.Status = Faulty
	}
	return f
}

// Blocking gives the findings for which a rotation must not begin.
func (r Report) Blocking() []Finding {
	var blocking []Finding
	for _, f := range r.Findings {
		if f.Status == Denied || f.Status == Faulty {
			blocking = append(blocking, f)
		}
	}
	return blocking
}

// Err is nil for a rotation that may begin, and otherwise names everything that
// is in its way. Its kind is that of the first.
func (r Report) Err() error {
	blocking := r.Blocking()
	if len(blocking) == 0 {
		return nil
	}
	lines := make([]string, len(blocking))
	for i, f := range blocking {
		lines[i] = fmt.Sprintf("[%s %s] %s: %s", f.ID, f.Status, f.Check, f.Detail)
	}
	return fmt.Errorf("preflight: %w: %d of %d checks are in the way, and nothing was changed: %s",
		blocking[0].Kind, len(blocking), len(r.Findings), strings.Join(lines, "; "))
}

// Text is the report for a terminal.
func (r Report) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "preflight of %s\n", r.Secret)
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "  %-3s %-16s %s\n", f.ID, f.Status, f.Check)
		if f.Detail != "" {
			fmt.Fprintf(&b, "      %s\n", f.Detail)
		}
	}
	return b.String()
}

// Markdown is the report for a ticket.
func (r Report) Markdown() string {
	var b strings.Builder
	cell := strings.NewReplacer("|", `\|`, "\n", " ")
	fmt.Fprintf(&b, "Preflight of `%s`\n\n| check | status | tried | found |\n|---|---|---|---|\n", r.Secret)
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", f.ID, f.Status, cell.Replace(f.Check), cell.Replace(f.Detail))
	}
	return b.String()
}

// preflight proves, before anything is written, what the rotation is going to
// need. The reads that led here are part of the proof. The permission that counts
// most is the one that is used last: without UpdateSecretVersionStage, AWSCURRENT
// would go on naming a password that setSecret has replaced.
func (v *visit) preflight(ctx context.Context, r Rotation) Report {
	report := v.report(Judge("S1", checkDescribe, nil), Judge("S2", checkRead, nil), v.probePromotion(ctx))
	if p, ok := v.Strategy.(Preflighter); ok {
		report.Findings = append(report.Findings, p.Preflight(ctx, r)...)
	} else {
		report.Findings = append(report.Findings, Finding{ID: "P0", Check: "database", Status: Unknown, Detail: "the strategy has no checks of its own"})
	}
	return report
}

// What the reads prove that every rotation begins with.
const (
	checkDescribe = "secretsmanager:DescribeSecret"
	checkRead     = "secretsmanager:GetSecretValue of AWSCURRENT, and kms:Decrypt with its key"
)

func (v *visit) report(findings ...Finding) Report {
	return Report{Secret: v.event.SecretID, Findings: findings}
}

// probePromotion asks for a promotion that cannot happen, between two versions
// that do not exist: whoever may not promote is told so, and whoever may is told
// that there is no such version. That the permission is looked at first is how the
// service is documented to work in general; for this call it is unverified on real
// AWS, so any other answer is unknown, never a no. CloudTrail shows the call as an
// UpdateSecretVersionStage that failed.
func (v *visit) probePromotion(ctx context.Context) Finding {
	err := v.Store.Promote(ctx, v.event.SecretID, randomVersion(), randomVersion())
	f := Judge("S3", "secretsmanager:UpdateSecretVersionStage (by a call that cannot succeed)", err)
	switch {
	case errors.Is(err, Conflict), errors.Is(err, NotFound):
		return Finding{ID: f.ID, Check: f.Check, Status: Inferred}
	case !errors.Is(err, Forbidden):
		f.Status = Unknown
	}
	return f
}

// randomVersion is a version id that nobody has.
func randomVersion() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
