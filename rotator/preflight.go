package rotator

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/quarterturn-dev/quarterturn/rotator/secret"
)

// Preflighter is the one optional ability of a Strategy: to say, before anything
// is written, whether Apply would work with r.Pending. It changes nothing that
// lasts, sends passwords only where Apply would, and is as sparing with logins. Where
// r.ReadOnly is set it only looks. A finding of the kind PolicyRejected has another
// value proposed.
type Preflighter interface {
	Preflight(ctx context.Context, r Rotation) []Finding
}

// Examiner is what a Store may know beyond the calls of a rotation.
type Examiner interface {
	// ProbeKey asks KMS itself, by a dry run, whether the caller may have a data key
	// made with the key of the secret. The caller's own call is another than the one
	// that Secrets Manager makes in its name: a yes is a hint, and a no is none.
	ProbeKey(ctx context.Context, m Metadata) error
	// Explain reads the policies that the caller may see and says which statement
	// decided. It never fails: what it may not see it leaves out.
	Explain(ctx context.Context, r Refusal) []string
}

// Refusal is a call that AWS refused.
type Refusal struct {
	SecretID string // "": another secret than that of the event
	Label    string // the staging label that the call named
	Err      error
}

// Mode is what a preflight does with what it finds.
type Mode string

const (
	Enforce    Mode = "enforce" // whatever is denied or failed stops the rotation; the zero Mode too
	Strict     Mode = "strict"  // whatever is unknown does so as well
	ReportOnly Mode = "report"  // findings are logged, and the rotation goes on
	Off        Mode = "off"     // no preflight, as in AWS's templates
)

// What the checks on the AWS side try, by their ids. The order is that of
// dependency, and of the report.
func awsChecks() []Finding {
	return []Finding{
		{ID: "S0", Check: checkFunction},
		{ID: "S1", Check: checkDescribe},
		{ID: "S2", Check: checkState},
		{ID: "S3", Check: checkReplicas},
		{ID: "S4", Check: checkLabels},
		{ID: "S5", Check: checkRead},
		{ID: "S6", Check: checkReadPending},
		{ID: "S7", Check: checkPut},
		{ID: "K3", Check: checkDataKey},
		{ID: "S8", Check: checkPromote},
	}
}

const (
	checkFunction    = "the secret names this function"
	checkDescribe    = "secretsmanager:DescribeSecret"
	checkState       = "the secret is one to rotate, and here"
	checkReplicas    = "the replicas of the secret"
	checkLabels      = "the staging labels of the secret"
	checkRead        = "secretsmanager:GetSecretValue of AWSCURRENT, and kms:Decrypt with its key"
	checkReadPending = "secretsmanager:GetSecretValue of AWSPENDING"
	checkPut         = "secretsmanager:PutSecretValue (by a call that cannot succeed)"
	checkDataKey     = "kms:GenerateDataKey with the key of the secret (by a dry run)"
	checkPromote     = "secretsmanager:UpdateSecretVersionStage (by a call that cannot succeed)"
	checkDatabase    = "the database"
)

// sight is what the reads have shown that every rotation begins with.
type sight struct {
	meta     Metadata
	metaErr  error
	value    Value
	valueErr error

	pending    error // of reading AWSPENDING, where that was done
	pendingWas bool  // read, that is
	writes     bool  // createSecret itself comes next, and writes

	proposal secret.Document // the value to store; zero until it is proposed
}

// preflight proves, before anything is written, what the rotation is going to
// need. The reads that led here are part of the proof. The permission that counts
// most is the one that is used last: without UpdateSecretVersionStage, AWSCURRENT
// would go on naming a password that setSecret has replaced.
//
// What can be tried is tried: two missing permissions are two findings. What
// cannot be, because of an earlier finding, is skipped, so that one cause is one.
func (v *visit) preflight(ctx context.Context, seen *sight) Report {
	s := sheet{visit: v, report: Report{Secret: v.event.SecretID, Strict: v.Mode == Strict, format: v.event.Format}}
	s.metadata(ctx, *seen)
	s.access(ctx, *seen)
	s.complete()
	s.strategy(ctx, seen)
	s.explain(ctx)
	return s.report
}

// explain has the store look at the policies behind every refusal.
func (s *sheet) explain(ctx context.Context) {
	examiner, ok := s.Store.(Examiner)
	for i, f := range s.report.Findings {
		if !ok || f.Status != Denied || f.Kind != Forbidden {
			continue
		}
		r := Refusal{SecretID: s.event.SecretID, Label: LabelCurrent, Err: f.err}
		switch f.ID {
		case "S1", "S7": // these calls name no label
			r.Label = ""
		case "S6":
			r.Label = LabelPending
		case "S10":
			r.SecretID = ""
		}
		s.report.Findings[i].Why = examiner.Explain(ctx, r)
	}
}

// sheet is a report that is being written.
type sheet struct {
	*visit
	report Report
	failed string // the finding that leaves nothing more to try; "": none yet
}

func (s *sheet) add(f Finding) { s.report.Findings = append(s.report.Findings, f) }

// metadata judges what DescribeSecret said.
func (s *sheet) metadata(ctx context.Context, seen sight) {
	if err := seen.metaErr; err != nil {
		s.add(Judge("S1", checkDescribe, err))
		if !errors.Is(err, Forbidden) { // no route, no such secret: nothing else would fare better
			s.failed = "S1"
		}
		return
	}
	s.add(s.function(ctx, seen.meta))
	s.add(Judge("S1", checkDescribe, nil))
	state := Judge("S2", checkState, ours(seen.meta))
	s.add(state)
	if state.Status != Granted {
		s.failed = "S2"
		return
	}
	s.add(Finding{ID: "S3", Check: checkReplicas, Status: Granted, Detail: outOfSync(seen.meta)})
	s.add(Finding{ID: "S4", Check: checkLabels, Status: Granted, Detail: s.oddLabels(seen.meta)})
}

// function compares the function that the secret names with the one that runs.
// Nothing that it finds stops a rotation; but policies may.
func (s *sheet) function(ctx context.Context, m Metadata) Finding {
	if s.Invoked == nil || s.Invoked(ctx) == "" {
		return Finding{ID: "S0", Check: checkFunction, Status: Skipped, Detail: "this is not a Lambda function"}
	}
	return Finding{ID: "S0", Check: checkFunction, Status: Granted, Detail: otherFunction(m, s.Invoked(ctx))}
}

func otherFunction(m Metadata, invoked string) string {
	const beware = ": a policy with the condition secretsmanager:resource/AllowRotationLambdaArn compares the two letter by letter"
	switch {
	case m.RotationLambdaARN == invoked:
		return ""
	case m.RotationLambdaARN == "":
		return "rotation is not set up yet (a policy with the condition secretsmanager:resource/AllowRotationLambdaArn denies everything until it is): aws secretsmanager rotate-secret --secret-id " + m.ARN + " --rotation-lambda-arn " + invoked + " --rotation-rules AutomaticallyAfterDays=30"
	case unqualified(m.RotationLambdaARN) == unqualified(invoked):
		return fmt.Sprintf("the secret names %s, and this runs as %s%s", m.RotationLambdaARN, invoked, beware)
	default:
		return fmt.Sprintf("the secret names another function, %s, than this one, %s%s", m.RotationLambdaARN, invoked, beware)
	}
}

// unqualified is the ARN of a function without version or alias.
func unqualified(arn string) string {
	parts := strings.SplitN(arn, ":", 8)
	return strings.Join(parts[:min(len(parts), 7)], ":")
}

// outOfSync names the replicas that a new value may not reach.
func outOfSync(m Metadata) string {
	var lines []string
	for _, r := range m.Replicas {
		if r.Status != ReplicaInSync {
			lines = append(lines, fmt.Sprintf("the replica in %s is %s (%s), and the new value may not reach it: aws secretsmanager replicate-secret-to-regions --secret-id %s --add-replica-regions Region=%s --force-overwrite-replica-secret mends most of these", r.Region, r.Status, r.Message, m.ARN, r.Region))
		}
	}
	return strings.Join(lines, "; ")
}

// manyVersions is near the quota of about 100 versions of a secret.
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html
const manyVersions = 90

// oddLabels names a rotation that has not ended, and a secret near its quota.
func (s *sheet) oddLabels(m Metadata) string {
	var lines []string
	if id := m.Holder(LabelPending); id != "" && id != s.event.Version && !m.Has(id, LabelCurrent) {
		lines = append(lines, fmt.Sprintf("version %s is AWSPENDING: an earlier rotation has not ended, and the next one takes it up again; to finish or discard it instead, ask first: {\"Step\":\"status\",\"SecretId\":\"%s\"}", id, m.ARN))
	}
	if n := len(m.Labels); n >= manyVersions {
		lines = append(lines, fmt.Sprintf("%d versions carry labels, and a secret holds about 100: remove labels of your own that are not needed", n))
	}
	return strings.Join(lines, "; ")
}

// access tries every permission that the rotation will use.
func (s *sheet) access(ctx context.Context, seen sight) {
	if s.failed != "" {
		return
	}
	s.add(Judge("S5", checkRead, seen.valueErr))
	if err := seen.valueErr; err != nil && !errors.Is(err, Forbidden) && !errors.Is(err, Misconfigured) && !errors.Is(err, NotFound) {
		s.failed = "S5"
		return
	}
	s.add(s.readPending(ctx, seen))
	s.add(s.probePut(ctx, seen))
	s.add(s.probeKey(ctx, seen))
	s.add(s.probePromotion(ctx))
}

// later is a check that createSecret, which comes next, makes in earnest.
func later(id, check string) Finding {
	return Finding{ID: id, Check: check, Status: Skipped, Later: true, Detail: "the rotation does it in earnest, before it changes anything"}
}

// untried is a check that the probes of Rotator.ReadOnlyProbes leave out.
func untried(id, check string) Finding {
	return Finding{ID: id, Check: check, Status: Unknown, Detail: "the probe was not made: it would leave a failed call in CloudTrail (PREFLIGHT_PROBES=read-only)"}
}

// readPending matters where a policy tells labels apart.
func (s *sheet) readPending(ctx context.Context, seen sight) Finding {
	switch {
	case seen.writes:
		return later("S6", checkReadPending)
	case errors.Is(seen.valueErr, Forbidden): // for the same reason, most likely
		return Finding{ID: "S6", Check: checkReadPending, Status: Skipped, Detail: "because of S5"}
	}
	err := seen.pending
	if !seen.pendingWas {
		_, err = s.value(ctx, s.event.SecretID, Version{Label: LabelPending})
	}
	f := Judge("S6", checkReadPending, err)
	f.Later = true
	switch {
	case errors.Is(err, NotFound), errors.Is(err, Conflict):
		return Finding{ID: f.ID, Check: f.Check, Status: Inferred}
	case err != nil && !errors.Is(err, Forbidden):
		f.Status = Unknown
	}
	return f
}

// probePut offers another value for the version in use, which has one: the service
// never overwrites, and says so only to whoever may write. AWSPENDING is never
// offered anything, for it may be empty. That the permission is looked at first is
// unverified on real AWS for this call, so any other answer is unknown, never a no.
// CloudTrail shows a PutSecretValue that failed.
func (s *sheet) probePut(ctx context.Context, seen sight) Finding {
	in := seen.value.VersionID
	switch {
	case seen.writes:
		return later("S7", checkPut)
	case s.ReadOnlyProbes:
		f := untried("S7", checkPut)
		f.Later = true
		return f
	case in == "":
		return Finding{ID: "S7", Check: checkPut, Status: Skipped, Detail: "because of S5: nothing is offered to a version that is not known to have a value"}
	}
	err := s.Store.Put(ctx, Put{
		SecretID: s.event.SecretID, Version: in, RotationToken: s.event.RotationToken,
		Document: secret.Document{}.Set("preflight", randomVersion()),
	})
	f := refusable("S7", checkPut, err)
	f.Later = true
	return f
}

// probePromotion asks for a promotion that cannot happen, between two versions
// that do not exist: whoever may not promote is told so, and whoever may is told
// that there is no such version. That the permission is looked at first is how the
// service is documented to work in general; for this call it is unverified on real
// AWS, so any other answer is unknown, never a no. CloudTrail shows the call as an
// UpdateSecretVersionStage that failed.
func (s *sheet) probePromotion(ctx context.Context) Finding {
	if s.ReadOnlyProbes {
		return untried("S8", checkPromote)
	}
	return refusable("S8", checkPromote, s.Store.Move(ctx, s.event.SecretID, Move{LabelCurrent, randomVersion(), randomVersion()}))
}

// refusable judges a call that cannot succeed.
func refusable(id, check string, err error) Finding {
	f := Judge(id, check, err)
	switch {
	case errors.Is(err, Conflict), errors.Is(err, NotFound):
		return Finding{ID: id, Check: check, Status: Inferred}
	case !errors.Is(err, Forbidden):
		f.Status = Unknown
	}
	return f
}

// probeKey asks for what PutSecretValue needs of a customer managed key. The
// caller's own call lacks kms:ViaService, which good policies ask for, and a VPC
// may have no way to KMS, which a rotation does not need: a no is unknown.
func (s *sheet) probeKey(ctx context.Context, seen sight) Finding {
	examiner, ok := s.Store.(Examiner)
	switch {
	case seen.metaErr != nil:
		return Finding{ID: "K3", Check: checkDataKey, Status: Skipped, Detail: "because of S1"}
	case !seen.meta.CustomerKey():
		return Finding{ID: "K3", Check: checkDataKey, Status: Inferred, Detail: "aws/secretsmanager lets in everybody in its account who comes through Secrets Manager"}
	case seen.writes:
		return later("K3", checkDataKey)
	case s.ReadOnlyProbes:
		f := untried("K3", checkDataKey)
		f.Later = true
		return f
	case !ok:
		return Finding{ID: "K3", Check: checkDataKey, Status: Unknown, Later: true, Detail: "the store cannot ask KMS"}
	}
	err := examiner.ProbeKey(ctx, seen.meta)
	if err == nil {
		return Finding{ID: "K3", Check: checkDataKey, Status: Inferred}
	}
	f := Judge("K3", checkDataKey, err)
	f.Later = true
	if errors.Is(err, Misconfigured) {
		return f
	}
	f.Status = Unknown
	switch {
	case errors.Is(err, Forbidden):
		f.Detail = "KMS refused the function's own call, which is as it should be where policies ask for kms:ViaService: createSecret finds out, before anything has changed (" + f.Detail + ")"
	case errors.Is(err, Unreachable):
		f.Detail = "KMS was not reached, which no rotation needs to do: createSecret finds out, before anything has changed (" + f.Detail + ")"
	}
	return f
}

// complete puts the findings in order, and skips what was not got to.
func (s *sheet) complete() {
	because := s.failed
	if because == "" {
		because = "S1"
	}
	all := awsChecks()
	for i, check := range all {
		all[i].Status, all[i].Detail = Skipped, "because of "+because
		for _, f := range s.report.Findings {
			if f.ID == check.ID {
				all[i] = f
			}
		}
	}
	s.report.Findings = all
}

// strategy has the strategy look at what is its own: the value, and the database.
func (s *sheet) strategy(ctx context.Context, seen *sight) {
	p, ok := s.Strategy.(Preflighter)
	switch {
	case s.failed != "":
		s.add(Finding{ID: "P0", Check: checkDatabase, Status: Skipped, Detail: "because of " + s.failed})
	case seen.valueErr != nil:
		s.add(Finding{ID: "P0", Check: checkDatabase, Status: Skipped, Detail: "because of S5"})
	case !ok:
		s.add(Finding{ID: "P0", Check: checkDatabase, Status: Unknown, Detail: "the strategy has no checks of its own"})
	default:
		s.report.Findings = append(s.report.Findings, s.rehearse(ctx, p, seen)...)
	}
}

// proposals is how many values are proposed to a server whose password policy refuses
// what it is shown. Each costs the logins of a dry run.
const proposals = 3

// rehearse has the strategy try the very value that createSecret is about to store, so
// that a password which the server refuses is never stored. What Next cannot propose,
// the strategy's Preflight explains.
func (s *sheet) rehearse(ctx context.Context, p Preflighter, seen *sight) []Finding {
	for refused := 0; ; refused++ {
		if seen.proposal.IsZero() {
			seen.proposal, _ = s.propose(ctx, seen.value.Document)
		}
		r := s.rotation(seen.value.Document, seen.proposal)
		r.ReadOnly = s.ReadOnlyProbes
		findings := p.Preflight(ctx, r)
		byPolicy := func(f Finding) bool { return f.Kind == PolicyRejected }
		if !slices.ContainsFunc(findings, byPolicy) || refused+1 == proposals {
			if refused > 0 {
				s.note("the password policy of the server refused %d proposed password(s)", refused)
			}
			return findings
		}
		seen.proposal = secret.Document{}
	}
}

// randomVersion is a version id that nobody has.
func randomVersion() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
