package rotator

import (
	"cmp"
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

// Check is a row of a preflight: one thing that a rotation needs.
type Check struct {
	ID     string // stable, for runbooks
	Proves string // what it proves
	// Needs are rows above. Where one of them is denied, failed, or unknown because the
	// answer was of no use, this one is skipped, so that one cause is one finding.
	Needs []string
	// Run finds out. Its Finding needs neither ID nor Check. The zero Finding: the row does
	// not apply here, and is left out.
	Run func(ctx context.Context) Finding

	enough func() bool        // what it needs did not pass, and is enough; nil: it never is
	ends   func(Finding) bool // nothing more can be tried after that
}

// RunChecks runs a table from the top. What can be tried is tried: two missing
// permissions are two findings. A strategy whose [Preflighter] has a table of its own
// runs it with this.
func RunChecks(ctx context.Context, table []Check) []Finding {
	var findings []Finding
	because := map[string]string{} // of each row that others cannot do without: what stands in the way
	ended := ""
	for _, c := range table {
		cause := ended
		for _, need := range c.Needs {
			if c.enough == nil || !c.enough() {
				cause = cmp.Or(cause, because[need])
			}
		}
		f := skippedBy(cause)
		if cause == "" {
			f = c.Run(ctx)
			unanswered := f.Status == StatusUnknown && f.Kind != "" && !f.Deferred
			if f.Status == StatusDenied || f.Status == StatusFailed || unanswered {
				cause = c.ID
			}
		}
		because[c.ID] = cause
		if f.Status == "" {
			continue
		}
		if c.ends != nil && ended == "" && c.ends(f) {
			ended = c.ID
		}
		f.ID, f.Check = c.ID, c.Proves
		findings = append(findings, f)
	}
	return findings
}

// examination is a preflight under way.
type examination struct {
	*invocation
	*observed
	strategy []Finding // of the strategy's own rows
}

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

// table is the preflight in the order of the report: the rows of the secret, its key and
// its permissions. A strategy that implements [Preflighter] adds its own in place of P0.
func (x *examination) table() []Check {
	noAnswer := func(f Finding) bool { return f.Status != StatusPassed && f.Status != StatusDenied }
	notPassed := func(f Finding) bool { return f.Status != StatusPassed }
	noValue := func(f Finding) bool {
		return noAnswer(f) && f.Kind != KindMisconfigured && f.Kind != KindNotFound
	}
	return []Check{
		{ID: "S0", Proves: "which function the secret names", Run: x.checkFunctionARN},
		{ID: "S1", Proves: "secretsmanager:DescribeSecret", Run: x.checkDescribe, ends: noAnswer},
		{ID: "S2", Proves: "this function may rotate the secret", Needs: []string{"S1"}, Run: x.checkState,
			ends: func(f Finding) bool { return notPassed(f) && x.metaErr == nil }},
		{ID: "S3", Proves: "the replicas of the secret", Needs: []string{"S2"}, Run: x.checkReplicas},
		{ID: "S4", Proves: "the staging labels of the secret", Needs: []string{"S2"}, Run: x.checkLabels},
		{ID: "S12", Proves: "the rotation schedule of the secret", Needs: []string{"S2"}, Run: x.checkSchedule},
		{ID: "S13", Proves: "the tags that shape the password", Needs: []string{"S2"}, Run: x.checkTags},
		{ID: "S5", Proves: "secretsmanager:GetSecretValue of AWSCURRENT, and kms:Decrypt with its key",
			Run: x.checkRead, ends: noValue},
		{ID: "S6", Proves: "secretsmanager:GetSecretValue of AWSPENDING",
			Needs: []string{"S5"}, Run: x.checkReadPending,
			enough: func() bool { return !errors.Is(x.valueErr, KindAccessDenied) }},
		{ID: "S7", Proves: "secretsmanager:PutSecretValue (probed with a call designed to fail)",
			Needs: []string{"S5"}, Run: x.probePut},
		{ID: "K3", Proves: "kms:GenerateDataKey with the key of the secret (a dry run)",
			Needs: []string{"S1"}, Run: x.probeKey},
		{ID: "S8", Proves: "secretsmanager:UpdateSecretVersionStage (probed with a call designed to fail)",
			Run: x.probeMoveLabel},
		{ID: "S11", Proves: "copies of the credentials in other members of the secret",
			Needs: []string{"S5"}, Run: x.checkCopies},
		{ID: "P0", Proves: "the database", Needs: []string{"S5"}, Run: x.checkStrategy},
	}
}

// AWSChecks lists the rows of a preflight that are about the secret, its key and the
// permissions of the function, in the order of the report. It is exported for tables like
// that of docs/preflight.md, which is made from it.
func AWSChecks() []Check { return (&examination{}).table() }

// rows are those of the table that apply to this function: without choices it reads no tags.
func (x *examination) rows() []Check {
	return slices.DeleteFunc(x.table(), func(c Check) bool { return c.ID == "S13" && x.TagChoices.IsZero() })
}

// preflight proves, before anything is written, what the rotation is going to
// need. The reads that led here are part of the proof. The permission that counts
// most is the one that is used last: without UpdateSecretVersionStage, AWSCURRENT
// would go on naming a password that setSecret has replaced.
func (v *invocation) preflight(ctx context.Context, seen *observed) Report {
	x := &examination{invocation: v, observed: seen}
	report := Report{SecretID: v.event.SecretID, Strict: v.PreflightMode == PreflightStrict, format: v.event.Format}
	report.Findings = RunChecks(ctx, x.rows())
	report.Findings = append(report.Findings, x.strategy...) // which running P0 has filled
	report.OtherFunction = v.functionMismatch(ctx, seen.meta)
	who := v.runners(seen.value.Document)
	for i, f := range report.Findings {
		report.Findings[i].Fixes = who.named(f.Fixes)
		if f.otherEngine {
			report.OtherFunction = f.Detail
		}
	}
	return report
}

// skippedBy is the finding of a check that another finding stopped.
func skippedBy(id string) Finding {
	return Finding{Status: StatusSkipped, Detail: "not tested: " + id + " did not pass"}
}

// checkFunctionARN compares the function that the secret names with the one that runs.
// Nothing that it finds stops a rotation; but policies may.
func (x *examination) checkFunctionARN(ctx context.Context) Finding {
	switch {
	case x.FunctionARN == nil || x.FunctionARN(ctx) == "": // this is not a Lambda function
		return Finding{}
	case x.metaErr != nil:
		return skippedBy("S1")
	}
	return Finding{Status: StatusPassed, Detail: functionMismatch(x.meta, x.FunctionARN(ctx))}
}

func (x *examination) checkDescribe(context.Context) Finding { return judge(x.metaErr) }

func (x *examination) checkState(context.Context) Finding { return judge(checkRotatable(x.meta)) }

// judge is a finding whose row gives it id and name.
func judge(err error) Finding { return NewFinding("", "", err) }

func functionMismatch(m Metadata, invoked string) string {
	const beware = ": a policy condition on secretsmanager:resource/AllowRotationLambdaArn requires an exact match"
	switch {
	case m.RotationLambdaARN == invoked:
		return ""
	case m.RotationLambdaARN == "":
		return "rotation is not set up yet (a policy with the condition " +
			"secretsmanager:resource/AllowRotationLambdaArn denies everything until it is): aws secretsmanager " +
			"rotate-secret --secret-id " + ShellWord(m.ARN) + " --rotation-lambda-arn " + invoked +
			" --rotation-rules AutomaticallyAfterDays=30"
	case unqualified(m.RotationLambdaARN) == unqualified(invoked):
		return fmt.Sprintf("the secret is configured for %s; this function runs as %s%s", m.RotationLambdaARN, invoked,
			beware)
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

// checkReplicas is for secrets that have any.
func (x *examination) checkReplicas(context.Context) Finding {
	if len(x.meta.Replicas) == 0 {
		return Finding{}
	}
	return Finding{Status: StatusPassed, Detail: replicaWarnings(x.meta)}
}

// replicaWarnings names the replicas that a new value may not reach.
func replicaWarnings(m Metadata) string {
	var lines []string
	for _, r := range m.Replicas {
		if r.Status != replicaInSync {
			lines = append(lines, fmt.Sprintf("replica %s has status %s (%s) and may not get the new value. "+
				"Usual fix: aws secretsmanager replicate-secret-to-regions --secret-id %s --add-replica-regions "+
				"Region=%s --force-overwrite-replica-secret", r.Region, r.Status, r.Message, ShellWord(m.ARN),
				r.Region))
		}
	}
	return strings.Join(lines, "; ")
}

func (x *examination) checkLabels(context.Context) Finding {
	if err := checkLabelRoom(x.meta); err != nil {
		return judge(err)
	}
	return Finding{Status: StatusPassed, Detail: x.labelWarnings(x.meta)}
}

// labelWarnings names a rotation that has not ended.
func (v *invocation) labelWarnings(m Metadata) string {
	id := m.VersionWithLabel(LabelPending)
	if id == "" || id == v.event.VersionID || m.HasLabel(id, LabelCurrent) {
		return ""
	}
	return fmt.Sprintf("version %s still has AWSPENDING from an incomplete rotation, which the "+
		"next one resumes. To finish or discard it, run status first: {\"Step\":\"status\",\"SecretId\":\"%s\"}", id,
		m.ARN)
}

// checkSchedule is for secrets that rotate more often than clients may cache a value.
func (x *examination) checkSchedule(context.Context) Finding {
	why := x.meta.Schedule.TooShort(MinInterval)
	if why == "" || x.meta.RotationEnabled == nil || !*x.meta.RotationEnabled {
		return Finding{}
	}
	return Finding{Status: StatusPassed, Detail: why + ". To lengthen it: aws secretsmanager rotate-secret " +
		"--secret-id " + ShellWord(x.meta.ARN) + " --rotation-rules AutomaticallyAfterDays=30 --no-rotate-immediately"}
}

// checkTags is for functions that read tags. Where it fails, the rest is tried with the
// function's own settings.
func (x *examination) checkTags(context.Context) Finding { return judge(x.shapePasswords(x.meta)) }

func (x *examination) checkRead(context.Context) Finding { return judge(x.valueErr) }

// deferred is a check that createSecret, which comes next, makes in earnest.
func deferred() Finding {
	return Finding{Status: StatusSkipped, Deferred: true, Detail: "createSecret tests this with the real call, " +
		"before anything changes"}
}

// notProbed is a check that the probes of Rotator.ReadOnlyProbes leave out.
func notProbed(deferred bool) Finding {
	return Finding{Status: StatusUnknown, Deferred: deferred, Detail: "not tested, to avoid a failed call in " +
		"CloudTrail (PREFLIGHT_PROBES=read-only)"}
}

// checkReadPending matters where a policy tells labels apart.
func (x *examination) checkReadPending(ctx context.Context) Finding {
	if x.willPut {
		return deferred()
	}
	err := x.pendingErr
	if !x.pendingRead {
		_, err = x.readValue(ctx, x.event.SecretID, VersionRef{Label: LabelPending})
	}
	f := judge(err)
	f.Deferred = true
	switch {
	case errors.Is(err, KindNotFound), errors.Is(err, KindConflict):
		return Finding{Status: StatusInferred}
	case err != nil && !errors.Is(err, KindAccessDenied):
		f.Status = StatusUnknown
	}
	return f
}

// probePut offers another value for the version in use, which has one: the service
// never overwrites, and says so only to a caller that may write. AWSPENDING is never
// offered anything, for it may be empty. That the permission is looked at first is
// believed for this call (AU-015 of docs/aws-facts.md), so any other answer is unknown, never a no.
// CloudTrail shows a PutSecretValue that failed.
func (x *examination) probePut(ctx context.Context) Finding {
	switch {
	case x.willPut:
		return deferred()
	case x.ReadOnlyProbes:
		return notProbed(true)
	}
	f := fromFailingCall(x.Store.Put(ctx, PutInput{
		SecretID: x.event.SecretID, VersionID: x.value.VersionID, RotationToken: x.event.RotationToken,
		Document: secret.Document{}.Set("preflight", randomVersion()),
	}))
	f.Deferred = true
	return f
}

// probeMoveLabel asks for a promotion that cannot happen, between two versions
// that do not exist: a caller that may not move labels is told so, and one that may is told
// that there is no such version. That the service refuses is documented, that it looks
// at the permission first is believed for this call (SM-114 to SM-116 and AU-014 of
// docs/aws-facts.md), so any other answer is unknown, never a no. CloudTrail shows the
// call as an UpdateSecretVersionStage that failed.
func (x *examination) probeMoveLabel(ctx context.Context) Finding {
	if x.ReadOnlyProbes {
		return notProbed(false)
	}
	return fromFailingCall(x.Store.MoveLabel(ctx, x.event.SecretID, LabelMove{LabelCurrent, randomVersion(),
		randomVersion()}))
}

// fromFailingCall judges a call that cannot succeed.
func fromFailingCall(err error) Finding {
	f := judge(err)
	switch {
	case errors.Is(err, KindConflict), errors.Is(err, KindNotFound):
		return Finding{Status: StatusInferred}
	case !errors.Is(err, KindAccessDenied):
		f.Status = StatusUnknown
	}
	return f
}

// probeKey asks for what PutSecretValue needs of a customer managed key. The
// caller's own call lacks kms:ViaService, which good policies ask for, and a VPC
// may have no way to KMS, which a rotation does not need: a no is unknown.
func (x *examination) probeKey(ctx context.Context) Finding {
	keys, ok := x.Store.(KeyChecker)
	switch {
	case !x.meta.HasCustomerKey(): // aws/secretsmanager needs no permission
		return Finding{}
	case x.willPut:
		return deferred()
	case x.ReadOnlyProbes:
		return notProbed(true)
	case !ok:
		return Finding{Status: StatusUnknown, Deferred: true, Detail: "this Store cannot call KMS"}
	}
	err := keys.CheckKeyAccess(ctx, x.meta)
	if err == nil {
		return Finding{Status: StatusInferred}
	}
	f := judge(err)
	f.Deferred = true
	if errors.Is(err, KindMisconfigured) {
		return f
	}
	f.Status = StatusUnknown
	pending := x.meta.VersionWithLabel(LabelPending)
	switch incomplete := pending != "" && !x.meta.HasLabel(pending, LabelCurrent); {
	case errors.Is(err, KindAccessDenied):
		detail := "KMS denied a direct call, as expected if policies require kms:ViaService; createSecret tests the " +
			"real call before any change (" + f.Detail + ")"
		if incomplete {
			detail += ". Where the error in the function's log says that access to KMS is not allowed, give it both " +
				"kms:Decrypt and kms:GenerateDataKey first"
		} else {
			f.Fixes = nil // what is not known to be missing
		}
		f.Detail = detail
	case errors.Is(err, KindUnreachable):
		f.Detail = "KMS could not be reached, which a rotation does not need; createSecret tests the real call " +
			"before any change (" + f.Detail + ")"
	}
	return f
}

// checkStrategy has the strategy look at what is its own: the value, and the database.
func (x *examination) checkStrategy(ctx context.Context) Finding {
	p, ok := x.Strategy.(Preflighter)
	if !ok {
		return Finding{Status: StatusUnknown, Detail: "this strategy does not implement Preflight"}
	}
	x.strategy = x.rehearse(ctx, p)
	return Finding{}
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
func (x *examination) checkCopies(ctx context.Context) Finding {
	x.proposeOnce(ctx)
	if len(x.copies) == 0 {
		return Finding{}
	}
	fixed := pathsOf(x.copies, isFixed)
	switch {
	case x.Copies == CopiesIgnore:
		return Finding{Status: StatusPassed, Detail: "left as they are (ROTATE_COPIES=ignore): " +
			pathsOf(x.copies, nil)}
	case x.Copies == CopiesFollow && fixed == "":
		return Finding{Status: StatusPassed, Detail: "createSecret keeps them in step (ROTATE_COPIES=follow): " +
			pathsOf(x.copies, nil)}
	case x.Copies == CopiesFollow:
		return judge(fmt.Errorf("secret: %w: ROTATE_COPIES=follow cannot keep the copies in %s in step: "+
			"store a plain value or a URL there, set PASSWORD_PRESET=uri-safe if the copy stands in the middle of a "+
			"text, or set ROTATE_COPIES=ignore", KindMisconfigured, fixed))
	}
	return judge(fmt.Errorf("secret: %w: it also holds the credentials in %s, which the rotation would leave as they "+
		"are, so that their readers would be locked out: remove them, or set ROTATE_COPIES=follow to keep them in "+
		"step, or ROTATE_COPIES=ignore", KindMisconfigured, pathsOf(x.copies, nil)))
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
// that a password which the server refuses is never stored.
func (x *examination) rehearse(ctx context.Context, p Preflighter) []Finding {
	for refused := 0; ; refused++ {
		x.proposeOnce(ctx)
		r := x.newRotation(x.value.Document, x.proposal)
		r.ReadOnlyProbes = x.ReadOnlyProbes
		findings := p.Preflight(ctx, r)
		byPolicy := func(f Finding) bool { return f.Kind == KindPasswordPolicy }
		if !slices.ContainsFunc(findings, byPolicy) || refused+1 == proposals {
			if refused > 0 {
				x.logf("the password policy of the server refused %d proposed password(s)", refused)
			}
			return x.goBack(ctx, r, findings)
		}
		x.proposal = secret.Document{}
	}
}

// goBack adds to a superuser secret that is not of the server of AWSCURRENT, or that AWSCURRENT does not name, how to
// go back to another server, where AWSPREVIOUS names one.
func (x *examination) goBack(ctx context.Context, r Rotation, findings []Finding) []Finding {
	at := slices.IndexFunc(findings, func(f Finding) bool {
		return f.ID == "S10" && (f.Kind == KindConflict || f.Kind == KindMisconfigured)
	})
	if at < 0 || x.meta.VersionWithLabel(LabelPrevious) == "" {
		return findings
	}
	was, err := r.ReadPrevious(ctx)
	if err != nil {
		return findings
	}
	if said, back := wayBack(r.Current, was, x.meta); said != "" {
		findings[at].Detail += ". " + said
		findings[at].Fixes = append([]Fix{back}, findings[at].Fixes...)
	}
	return findings
}

// proposeOnce has a value proposed, unless there is one. What cannot be proposed the strategy's Preflight explains.
func (x *examination) proposeOnce(ctx context.Context) {
	if x.proposal.IsZero() {
		x.propose(ctx, x.observed) //nolint:errcheck // see above
	}
}

// randomVersion is a version id that no version has.
func randomVersion() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
