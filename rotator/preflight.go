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
// r.ReadOnlyProbes is set it only looks. A finding of the kind KindPasswordPolicy has another
// value proposed.
type Preflighter interface {
	Preflight(ctx context.Context, r Rotation) []Finding
}

// KeyChecker is what a Store may know of the keys of secrets.
type KeyChecker interface {
	// CheckKeyAccess asks KMS itself, by a dry run, whether the caller may have a data key
	// made with the key of the secret. The caller's own call is another than the one
	// that Secrets Manager makes in its name: a yes is a hint, and a no is none.
	CheckKeyAccess(ctx context.Context, m Metadata) error
}

// PreflightMode is what a preflight does with what it finds.
type PreflightMode string

const (
	PreflightEnforce PreflightMode = "enforce" // whatever is denied or failed stops the rotation; the zero Mode too
	PreflightStrict  PreflightMode = "strict"  // whatever is unknown does so as well
	PreflightReport  PreflightMode = "report"  // findings are logged, and the rotation goes on
	PreflightOff     PreflightMode = "off"     // no preflight, as in AWS's templates
)

// What the checks on the AWS side try, by their ids. The order is that of
// dependency, and of the report.
func awsChecks() []Finding {
	return []Finding{
		{ID: "S0", Check: descFunction},
		{ID: "S1", Check: descDescribe},
		{ID: "S2", Check: descState},
		{ID: "S3", Check: descReplicas},
		{ID: "S4", Check: descLabels},
		{ID: "S5", Check: descRead},
		{ID: "S6", Check: descReadPending},
		{ID: "S7", Check: descPut},
		{ID: "K3", Check: descDataKey},
		{ID: "S8", Check: descPromote},
	}
}

const (
	descFunction    = "the secret names this function"
	descDescribe    = "secretsmanager:DescribeSecret"
	descState       = "this function may rotate the secret"
	descReplicas    = "the replicas of the secret"
	descLabels      = "the staging labels of the secret"
	descRead        = "secretsmanager:GetSecretValue of AWSCURRENT, and kms:Decrypt with its key"
	descReadPending = "secretsmanager:GetSecretValue of AWSPENDING"
	descPut         = "secretsmanager:PutSecretValue (probed with a call designed to fail)"
	descDataKey     = "kms:GenerateDataKey with the key of the secret (a dry run)"
	descPromote     = "secretsmanager:UpdateSecretVersionStage (probed with a call designed to fail)"
	descCopies      = "copies of the credentials in other members of the secret"
	descDatabase    = "the database"
)

// observed is what the reads have shown that every rotation begins with.
type observed struct {
	meta     Metadata
	metaErr  error
	value    SecretValue
	valueErr error

	pendingErr  error // of reading AWSPENDING, where that was done
	pendingRead bool  // read, that is
	willPut     bool  // createSecret itself comes next, and writes

	proposal secret.Document // the value to store; zero until it is proposed
	copies   []secret.Copy   // of what the proposal changes, in other members
}

// preflight proves, before anything is written, what the rotation is going to
// need. The reads that led here are part of the proof. The permission that counts
// most is the one that is used last: without UpdateSecretVersionStage, AWSCURRENT
// would go on naming a password that setSecret has replaced.
//
// What can be tried is tried: two missing permissions are two findings. What
// cannot be, because of an earlier finding, is skipped, so that one cause is one.
func (v *invocation) preflight(ctx context.Context, seen *observed) Report {
	s := reportBuilder{invocation: v, report: Report{SecretID: v.event.SecretID, Strict: v.PreflightMode == PreflightStrict, format: v.event.Format}}
	s.checkMetadata(ctx, *seen)
	s.checkAccess(ctx, *seen)
	s.fillSkipped()
	s.checkStrategy(ctx, seen)
	s.report.OtherFunction = s.functionMismatch(ctx, seen.meta)
	for _, f := range s.report.Findings {
		if f.otherEngine {
			s.report.OtherFunction = f.Detail
		}
	}
	return s.report
}

// reportBuilder is a report that is being written.
type reportBuilder struct {
	*invocation
	report    Report
	blockedBy string // the finding that leaves nothing more to try; "": none yet
}

func (s *reportBuilder) add(f Finding) { s.report.Findings = append(s.report.Findings, f) }

// checkMetadata judges what DescribeSecret said.
func (s *reportBuilder) checkMetadata(ctx context.Context, seen observed) {
	if err := seen.metaErr; err != nil {
		s.add(NewFinding("S1", descDescribe, err))
		if !errors.Is(err, KindAccessDenied) { // no route, no such secret: nothing else would fare better
			s.blockedBy = "S1"
		}
		return
	}
	s.add(s.checkFunctionARN(ctx, seen.meta))
	s.add(NewFinding("S1", descDescribe, nil))
	state := NewFinding("S2", descState, checkRotatable(seen.meta))
	s.add(state)
	if state.Status != StatusPassed {
		s.blockedBy = "S2"
		return
	}
	s.add(Finding{ID: "S3", Check: descReplicas, Status: StatusPassed, Detail: replicaWarnings(seen.meta)})
	s.add(Finding{ID: "S4", Check: descLabels, Status: StatusPassed, Detail: s.labelWarnings(seen.meta)})
}

// checkFunctionARN compares the function that the secret names with the one that runs.
// Nothing that it finds stops a rotation; but policies may.
func (s *reportBuilder) checkFunctionARN(ctx context.Context, m Metadata) Finding {
	if s.FunctionARN == nil || s.FunctionARN(ctx) == "" {
		return Finding{ID: "S0", Check: descFunction, Status: StatusSkipped, Detail: "this is not a Lambda function"}
	}
	return Finding{ID: "S0", Check: descFunction, Status: StatusPassed, Detail: functionMismatch(m, s.FunctionARN(ctx))}
}

func functionMismatch(m Metadata, invoked string) string {
	const beware = ": a policy condition on secretsmanager:resource/AllowRotationLambdaArn requires an exact match"
	switch {
	case m.RotationLambdaARN == invoked:
		return ""
	case m.RotationLambdaARN == "":
		return "rotation is not set up yet (a policy with the condition secretsmanager:resource/AllowRotationLambdaArn denies everything until it is): aws secretsmanager rotate-secret --secret-id " + m.ARN + " --rotation-lambda-arn " + invoked + " --rotation-rules AutomaticallyAfterDays=30"
	case unqualified(m.RotationLambdaARN) == unqualified(invoked):
		return fmt.Sprintf("the secret is configured for %s; this function runs as %s%s", m.RotationLambdaARN, invoked, beware)
	default:
		return mismatch(m, invoked) + beware
	}
}

func mismatch(m Metadata, invoked string) string {
	return fmt.Sprintf("the secret is configured for function %s; this function is %s", m.RotationLambdaARN, invoked)
}

// functionMismatch says that the secret is configured for another function than the
// one that runs, whatever the version or alias; "": it is not, or that is not known.
func (v *invocation) functionMismatch(ctx context.Context, m Metadata) string {
	if v.FunctionARN == nil || m.RotationLambdaARN == "" {
		return ""
	}
	if invoked := v.FunctionARN(ctx); invoked != "" && unqualified(invoked) != unqualified(m.RotationLambdaARN) {
		return mismatch(m, invoked)
	}
	return ""
}

// unqualified is the ARN of a function without version or alias.
func unqualified(arn string) string {
	parts := strings.SplitN(arn, ":", 8)
	return strings.Join(parts[:min(len(parts), 7)], ":")
}

// replicaWarnings names the replicas that a new value may not reach.
func replicaWarnings(m Metadata) string {
	var lines []string
	for _, r := range m.Replicas {
		if r.Status != replicaInSync {
			lines = append(lines, fmt.Sprintf("replica %s has status %s (%s) and may not get the new value. Usual fix: aws secretsmanager replicate-secret-to-regions --secret-id %s --add-replica-regions Region=%s --force-overwrite-replica-secret", r.Region, r.Status, r.Message, m.ARN, r.Region))
		}
	}
	return strings.Join(lines, "; ")
}

// manyVersions is near the quota of about 100 versions of a secret.
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html
const manyVersions = 90

// labelWarnings names a rotation that has not ended, and a secret near its quota.
func (s *reportBuilder) labelWarnings(m Metadata) string {
	var lines []string
	if id := m.VersionWithLabel(LabelPending); id != "" && id != s.event.VersionID && !m.HasLabel(id, LabelCurrent) {
		lines = append(lines, fmt.Sprintf("version %s still has AWSPENDING from an incomplete rotation, which the next one resumes. To finish or discard it, run status first: {\"Step\":\"status\",\"SecretId\":\"%s\"}", id, m.ARN))
	}
	if n := len(m.Labels); n >= manyVersions {
		lines = append(lines, fmt.Sprintf("%d versions have labels, and the quota of a secret is about 100 versions: remove your own labels that are not needed", n))
	}
	return strings.Join(lines, "; ")
}

// checkAccess tries every permission that the rotation will use.
func (s *reportBuilder) checkAccess(ctx context.Context, seen observed) {
	if s.blockedBy != "" {
		return
	}
	s.add(NewFinding("S5", descRead, seen.valueErr))
	if err := seen.valueErr; err != nil && !errors.Is(err, KindAccessDenied) && !errors.Is(err, KindMisconfigured) && !errors.Is(err, KindNotFound) {
		s.blockedBy = "S5"
		return
	}
	s.add(s.checkReadPending(ctx, seen))
	s.add(s.probePut(ctx, seen))
	s.add(s.probeKey(ctx, seen))
	s.add(s.probeMoveLabel(ctx))
}

// deferred is a check that createSecret, which comes next, makes in earnest.
func deferred(id, check string) Finding {
	return Finding{ID: id, Check: check, Status: StatusSkipped, Deferred: true, Detail: "createSecret tests this with the real call, before anything changes"}
}

// notProbed is a check that the probes of Rotator.ReadOnlyProbes leave out.
func notProbed(id, check string) Finding {
	return Finding{ID: id, Check: check, Status: StatusUnknown, Detail: "not tested, to avoid a failed call in CloudTrail (PREFLIGHT_PROBES=read-only)"}
}

// checkReadPending matters where a policy tells labels apart.
func (s *reportBuilder) checkReadPending(ctx context.Context, seen observed) Finding {
	switch {
	case seen.willPut:
		return deferred("S6", descReadPending)
	case errors.Is(seen.valueErr, KindAccessDenied): // for the same reason, most likely
		return Finding{ID: "S6", Check: descReadPending, Status: StatusSkipped, Detail: notTested("S5")}
	}
	err := seen.pendingErr
	if !seen.pendingRead {
		_, err = s.readValue(ctx, s.event.SecretID, VersionRef{Label: LabelPending})
	}
	f := NewFinding("S6", descReadPending, err)
	f.Deferred = true
	switch {
	case errors.Is(err, KindNotFound), errors.Is(err, KindConflict):
		return Finding{ID: f.ID, Check: f.Check, Status: StatusInferred}
	case err != nil && !errors.Is(err, KindAccessDenied):
		f.Status = StatusUnknown
	}
	return f
}

// probePut offers another value for the version in use, which has one: the service
// never overwrites, and says so only to whoever may write. AWSPENDING is never
// offered anything, for it may be empty. That the permission is looked at first is
// believed for this call (AU-015 of docs/aws-facts.md), so any other answer is unknown, never a no.
// CloudTrail shows a PutSecretValue that failed.
func (s *reportBuilder) probePut(ctx context.Context, seen observed) Finding {
	in := seen.value.VersionID
	switch {
	case seen.willPut:
		return deferred("S7", descPut)
	case s.ReadOnlyProbes:
		f := notProbed("S7", descPut)
		f.Deferred = true
		return f
	case in == "":
		return Finding{ID: "S7", Check: descPut, Status: StatusSkipped, Detail: notTested("S5") + ", and the probe needs a version that has a value"}
	}
	err := s.Store.Put(ctx, PutInput{
		SecretID: s.event.SecretID, VersionID: in, RotationToken: s.event.RotationToken,
		Document: secret.Document{}.Set("preflight", randomVersion()),
	})
	f := fromFailingCall("S7", descPut, err)
	f.Deferred = true
	return f
}

// probeMoveLabel asks for a promotion that cannot happen, between two versions
// that do not exist: whoever may not promote is told so, and whoever may is told
// that there is no such version. That the service refuses is documented, that it looks
// at the permission first is believed for this call (SM-114 to SM-116 and AU-014 of
// docs/aws-facts.md), so any other answer is unknown, never a no. CloudTrail shows the
// call as an UpdateSecretVersionStage that failed.
func (s *reportBuilder) probeMoveLabel(ctx context.Context) Finding {
	if s.ReadOnlyProbes {
		return notProbed("S8", descPromote)
	}
	return fromFailingCall("S8", descPromote, s.Store.MoveLabel(ctx, s.event.SecretID, LabelMove{LabelCurrent, randomVersion(), randomVersion()}))
}

// fromFailingCall judges a call that cannot succeed.
func fromFailingCall(id, check string, err error) Finding {
	f := NewFinding(id, check, err)
	switch {
	case errors.Is(err, KindConflict), errors.Is(err, KindNotFound):
		return Finding{ID: id, Check: check, Status: StatusInferred}
	case !errors.Is(err, KindAccessDenied):
		f.Status = StatusUnknown
	}
	return f
}

// probeKey asks for what PutSecretValue needs of a customer managed key. The
// caller's own call lacks kms:ViaService, which good policies ask for, and a VPC
// may have no way to KMS, which a rotation does not need: a no is unknown.
func (s *reportBuilder) probeKey(ctx context.Context, seen observed) Finding {
	keys, ok := s.Store.(KeyChecker)
	switch {
	case seen.metaErr != nil:
		return Finding{ID: "K3", Check: descDataKey, Status: StatusSkipped, Detail: notTested("S1")}
	case !seen.meta.HasCustomerKey():
		return Finding{ID: "K3", Check: descDataKey, Status: StatusInferred, Detail: "the key aws/secretsmanager permits every principal of its account that calls through Secrets Manager"}
	case seen.willPut:
		return deferred("K3", descDataKey)
	case s.ReadOnlyProbes:
		f := notProbed("K3", descDataKey)
		f.Deferred = true
		return f
	case !ok:
		return Finding{ID: "K3", Check: descDataKey, Status: StatusUnknown, Deferred: true, Detail: "this Store cannot call KMS"}
	}
	err := keys.CheckKeyAccess(ctx, seen.meta)
	if err == nil {
		return Finding{ID: "K3", Check: descDataKey, Status: StatusInferred}
	}
	f := NewFinding("K3", descDataKey, err)
	f.Deferred = true
	if errors.Is(err, KindMisconfigured) {
		return f
	}
	f.Status = StatusUnknown
	switch {
	case errors.Is(err, KindAccessDenied):
		f.Detail = "KMS denied a direct call, as expected if policies require kms:ViaService; createSecret tests the real call before any change (" + f.Detail + ")"
	case errors.Is(err, KindUnreachable):
		f.Detail = "KMS could not be reached, which a rotation does not need; createSecret tests the real call before any change (" + f.Detail + ")"
	}
	return f
}

// notTested is the detail of a check that another finding stopped.
func notTested(because string) string { return "not tested: " + because + " did not pass" }

// fillSkipped puts the findings in order, and skips what was not got to.
func (s *reportBuilder) fillSkipped() {
	because := s.blockedBy
	if because == "" {
		because = "S1"
	}
	all := awsChecks()
	for i, check := range all {
		all[i].Status, all[i].Detail = StatusSkipped, notTested(because)
		for _, f := range s.report.Findings {
			if f.ID == check.ID {
				all[i] = f
			}
		}
	}
	s.report.Findings = all
}

// checkStrategy has the strategy look at what is its own: the value, and the database.
func (s *reportBuilder) checkStrategy(ctx context.Context, seen *observed) {
	p, ok := s.Strategy.(Preflighter)
	switch {
	case s.blockedBy != "":
		s.add(Finding{ID: "P0", Check: descDatabase, Status: StatusSkipped, Detail: notTested(s.blockedBy)})
	case seen.valueErr != nil:
		s.add(Finding{ID: "P0", Check: descDatabase, Status: StatusSkipped, Detail: notTested("S5")})
	case !ok:
		s.checkCopies(ctx, seen)
		s.add(Finding{ID: "P0", Check: descDatabase, Status: StatusUnknown, Detail: "this strategy does not implement Preflight"})
	default:
		findings := s.rehearse(ctx, p, seen)
		s.checkCopies(ctx, seen)
		s.report.Findings = append(s.report.Findings, findings...)
	}
}

// CopiesMode is what becomes of copies of the credentials in other members of the secret.
type CopiesMode string

const (
	CopiesRefuse CopiesMode = "refuse" // they stop the rotation; the zero CopiesMode too
	CopiesFollow CopiesMode = "follow" // createSecret keeps them in step
	CopiesIgnore CopiesMode = "ignore" // they stay as they are, and are named
)

// checkCopies names the places in the secret where what the rotation changes would go
// on being read. There is no finding where there is no such place.
func (s *reportBuilder) checkCopies(ctx context.Context, seen *observed) {
	if seen.proposal.IsZero() && s.propose(ctx, seen) != nil || len(seen.copies) == 0 {
		return
	}
	f := NewFinding("S11", descCopies, nil)
	fixed := pathsOf(seen.copies, isFixed)
	switch {
	case s.Copies == CopiesIgnore:
		f.Detail = "left as they are (ROTATE_COPIES=ignore): " + pathsOf(seen.copies, nil)
	case s.Copies == CopiesFollow && fixed == "":
		f.Detail = "createSecret keeps them in step (ROTATE_COPIES=follow): " + pathsOf(seen.copies, nil)
	case s.Copies == CopiesFollow:
		f = NewFinding("S11", descCopies, fmt.Errorf("secret: %w: ROTATE_COPIES=follow cannot keep the copies in %s in step: store a plain value or a URL there, set PASSWORD_PRESET=uri-safe if the copy stands in the middle of a text, or set ROTATE_COPIES=ignore", KindMisconfigured, fixed))
	default:
		f = NewFinding("S11", descCopies, fmt.Errorf("secret: %w: it also holds the credentials in %s, which the rotation would leave as they are, so that their readers would be locked out: remove them, or set ROTATE_COPIES=follow to keep them in step, or ROTATE_COPIES=ignore", KindMisconfigured, pathsOf(seen.copies, nil)))
	}
	s.add(f)
}

func isFixed(c secret.Copy) bool { return c.Fixed }

// pathsOf names the first of the copies that are wanted; nil: of all.
func pathsOf(copies []secret.Copy, wanted func(secret.Copy) bool) string {
	const most = 10
	var paths []string
	for _, c := range copies {
		if wanted == nil || wanted(c) {
			paths = append(paths, c.Path)
		}
	}
	if n := len(paths); n > most {
		paths = append(paths[:most], fmt.Sprintf("and %d more", n-most))
	}
	return strings.Join(paths, ", ")
}

// proposals is how many values are proposed to a server whose password policy refuses
// what it is shown. Each costs the logins of a dry run.
const proposals = 3

// rehearse has the strategy try the very value that createSecret is about to store, so
// that a password which the server refuses is never stored. What Propose cannot propose,
// the strategy's Preflight explains.
func (s *reportBuilder) rehearse(ctx context.Context, p Preflighter, seen *observed) []Finding {
	for refused := 0; ; refused++ {
		if seen.proposal.IsZero() {
			s.propose(ctx, seen) //nolint:errcheck // the strategy's Preflight says why there is none
		}
		r := s.newRotation(seen.value.Document, seen.proposal)
		r.ReadOnlyProbes = s.ReadOnlyProbes
		findings := p.Preflight(ctx, r)
		byPolicy := func(f Finding) bool { return f.Kind == KindPasswordPolicy }
		if !slices.ContainsFunc(findings, byPolicy) || refused+1 == proposals {
			if refused > 0 {
				s.logf("the password policy of the server refused %d proposed password(s)", refused)
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
