package fleet

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
)

// facts is everything that the conditions of one secret may look at.
type facts struct {
	*Secret
	now      time.Time
	policy   Policy
	function *Function // nil: the secret names none, or it was not asked
	key      *Key      // nil: AWS's key, or it was not asked
	resource *string   // resource policy of the secret; nil: not read
	before   *Entry    // of the former report; nil: none
	beforeAt time.Time // when the former report was made
	unread   bool      // a call that could have found something failed

	schedules schedules // of the visit
}

// schedules remembers the intervals of schedules, of which a fleet has few: to find those of one
// goes through four years.
type schedules map[rotator.RotationRules]intervals

type intervals struct {
	shortest, longest time.Duration
	err               error
}

func (f *facts) intervals() intervals {
	got, known := f.schedules[f.Rules]
	if !known {
		got.shortest, got.longest, got.err = f.Rules.Intervals()
		f.schedules[f.Rules] = got
	}
	return got
}

// condition is one thing that can be wrong. decide says whether it holds.
type condition struct {
	id, name string
	severity Severity
	decide   func(f *facts) (Finding, bool)
}

// found is a finding that is filled in by its condition.
func found(call, field, value, remedy, sentence string, args ...any) (Finding, bool) {
	return Finding{
		Sentence: printable(fmt.Sprintf(sentence, args...)),
		Remedy:   printable(remedy),
		Evidence: Evidence{call, field, value},
	}, true
}

// printable writes what would begin a line, or do something to a terminal, as Go would: others choose tags.
func printable(text string) string {
	var b strings.Builder
	for _, r := range text {
		if strconv.IsPrint(r) {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
	}
	return b.String()
}

func no() (Finding, bool) { return Finding{}, false }

// The calls that findings rest on.
const (
	list     = "ListSecrets"
	describe = "DescribeSecret"
	versions = "ListSecretVersionIds"
)

// conditions are in the order of their ids. Those of the whole scope (F32, F34) stand in
// scan.go. The sources of each are in docs/fleet.md.
func conditions() []condition {
	return []condition{
		{"F01", "overdue", High, overdue},
		{"F02", "failing", Critical, failing},
		{"F03", "stuck", High, stuck},
		{"F04", "off, with a rotation left", High, offPending},
		{"F05", "never rotated", High, neverRotated},
		{"F06", "never configured", Medium, neverConfigured},
		{"F07", "turned off", High, turnedOff},
		{"F08", "too old", Medium, tooOld},
		{"F09", "schedule too long", Medium, scheduleTooLong},
		{"F10", "schedule not understood", Unknown, scheduleUnknown},
		{"F11", "not Quarterturn's function", Information, otherFunction},
		{"F12", "function gone", Critical, functionGone},
		{"F13", "function cannot run", Critical, functionStopped},
		{"F14", "runtime at its end", High, oldRuntime},
		{"F15", "permission missing", Critical, permissionMissing},
		{"F16", "permission too wide", Medium, permissionWide},
		{"F17", "function elsewhere", Information, functionElsewhere},
		{"F18", "key disabled", Critical, keyDisabled},
		{"F19", "key will be deleted", Critical, keyDeletion},
		{"F20", "AWS's key", Low, awsKey},
		{"F21", "replica not in step", High, replicaBehind},
		{"F22", "is a replica", Information, isReplica},
		{"F23", "deleted soon", Low, deletedSoon},
		{"F24", "owned by a service", Information, owned},
		{"F25", "external secret", Information, external},
		{"F26", "unused", Low, unused},
		{"F27", "read by its rotation only", Low, readByRotation},
		{"F28", "many versions", Low, manyVersions},
		{"F29", "no AWSCURRENT", Critical, noCurrent},
		{"F30", "no owner", Low, noOwner},
		{"F31", "settings tag refused", High, tagRefused},
		{"F33", "policy open", Medium, policyOpen},
		{"F35", "accepted", Information, accepted},
		{"F36", "schedule shorter than clients may cache", Medium, scheduleTooShort},
	}
}

// invoke asks the rotation function of a secret for its status.
func (f *facts) invoke(step string) string {
	if f.FunctionARN == "" {
		return "quarterturn " + step + " " + rotator.ShellWord(f.ARN) + " --here"
	}
	return "quarterturn " + step + " " + rotator.ShellWord(f.ARN)
}

func (f *facts) cli(operation, rest string) string {
	return strings.TrimSpace("aws secretsmanager " + operation + " --region " + f.Region + " --secret-id " +
		rotator.ShellWord(f.ARN) + " " + rest)
}

// handOver gives the secret to another function, which is asked first whether it can rotate it. The schedule stays.
func (f *facts) handOver() string {
	return "quarterturn preflight " + rotator.ShellWord(f.ARN) + " --function FUNCTION && " +
		f.cli("rotate-secret", "--rotation-lambda-arn FUNCTION --no-rotate-immediately")
}

// configure sets up rotation of a secret that has none.
func (f *facts) configure() string {
	return "quarterturn preflight " + rotator.ShellWord(f.ARN) + " --function FUNCTION && " +
		f.cli("rotate-secret", "--rotation-lambda-arn FUNCTION --rotation-rules AutomaticallyAfterDays=30 "+
			"--no-rotate-immediately")
}

// status asks what to do about a rotation that was not completed. Of a secret of RDS's, only RDS can make another.
func (f *facts) status() string {
	return cmp.Or(f.rds("--rotate-master-user-password"), f.invoke("status"))
}

// rotate rotates the secret when a step has found no objection.
func (f *facts) rotate(step string) string {
	return cmp.Or(f.rds("--rotate-master-user-password"), f.invoke(step)+" && "+f.cli("rotate-secret", ""))
}

// rds changes the database whose secret RDS manages; "": it is no such secret, or no tag says which database it is.
func (f *facts) rds(change string) string {
	for _, kind := range []struct{ tag, name string }{{"Instance", "instance"}, {"Cluster", "cluster"}} {
		parts := strings.Split(f.Tags["aws:rds:primaryDB"+kind.tag+"Arn"], ":")
		if f.OwningService == "rds" && len(parts) == 7 {
			return "aws rds modify-db-" + kind.name + " --region " + f.Region + " --db-" + kind.name + "-identifier " +
				parts[6] +
				" " + change + " --apply-immediately"
		}
	}
	return ""
}

// judged says whether rotation of the secret is this account's own business.
func (f *facts) judged() bool { return !f.replica() && f.Deleted.IsZero() && f.Type == "" }

// due is when the rotation had to have begun, the window and the grace included.
func (f *facts) due() time.Time {
	if !f.rotated() || f.NextRotation.IsZero() || !f.judged() {
		return time.Time{}
	}
	return f.NextRotation.Add(f.Rules.Window(f.NextRotation)).Add(f.policy.grace())
}

func (f *facts) late() bool { return !f.due().IsZero() && f.due().Before(f.now) }

func overdue(f *facts) (Finding, bool) {
	if !f.late() || f.pending() != "" {
		return no()
	}
	got, _ := found(list, "NextRotationDate", stamp(f.NextRotation), f.rotate("status"),
		"overdue by %s: last rotated %s, %s", age(f.now.Sub(f.NextRotation)), dateOr(f.LastRotated, "never"), f.Rules)
	got.Since = f.NextRotation
	return got, true
}

func failing(f *facts) (Finding, bool) {
	if !f.late() || f.pending() == "" {
		return no()
	}
	got, _ := found(list, "NextRotationDate, SecretVersionsToStages", stamp(f.NextRotation)+", "+f.pending(),
		f.status(),
		"its rotation was due %s and is not completed: version %s has AWSPENDING", dateOr(f.NextRotation, ""),
		f.pending())
	got.Since = f.NextRotation
	return got, true
}

// aWhile is how long a rotation may be under way before it counts as stuck.
const aWhile = time.Hour

func stuck(f *facts) (Finding, bool) {
	since := f.created(f.pending())
	if f.pending() == "" || !f.rotated() || since.IsZero() || f.now.Sub(since) < aWhile || !f.judged() {
		return no()
	}
	got, _ := found(versions, "CreatedDate of AWSPENDING", stamp(since), f.status(),
		"stuck since %s (%s): version %s has AWSPENDING", stamp(since), age(f.now.Sub(since)), f.pending())
	got.Since = since
	if f.singleUser() { // its clients may be reading a password that is gone
		got.Severity = Critical
	}
	return got, true
}

// singleUser says whether the function is one for single user rotation, as far as its name
// or the secret's tag tells.
func (f *facts) singleUser() bool {
	return strings.Contains(f.FunctionARN, "single-user") ||
		strings.Contains(strings.ToLower(f.FunctionARN), "singleuser") ||
		f.Tags["quarterturn:strategy"] == "single-user"
}

func offPending(f *facts) (Finding, bool) {
	since := f.created(f.pending())
	// A rotation that was cancelled a moment ago may still have a step under way.
	if f.RotationEnabled == nil || f.rotated() || f.pending() == "" || !since.IsZero() && f.now.Sub(since) < aWhile ||
		!f.judged() {
		return no()
	}
	got, _ := found(list, "RotationEnabled, SecretVersionsToStages", "false, "+f.pending(), f.status(),
		"rotation is disabled, and version %s of an incomplete rotation has AWSPENDING: the next rotation would "+
			"resume it", f.pending())
	got.Since = since
	return got, true
}

func neverRotated(f *facts) (Finding, bool) {
	i := f.intervals()
	if !f.rotated() || !f.LastRotated.IsZero() || i.err != nil || f.Created.Add(i.longest).After(f.now) || !f.judged() {
		return no()
	}
	return found(list, "LastRotatedDate", "", f.rotate("preflight"),
		"rotation is enabled since some time, and it was never rotated (created %s, %s)", dateOr(f.Created, ""),
		f.Rules)
}

func neverConfigured(f *facts) (Finding, bool) {
	if f.RotationEnabled != nil || !f.Rules.IsZero() || f.FunctionARN != "" || f.OwningService != "" || !f.judged() {
		return no()
	}
	return found(list, "RotationEnabled", "", f.configure(), "rotation was never configured")
}

func turnedOff(f *facts) (Finding, bool) {
	if f.rotated() || f.Rules.IsZero() && f.FunctionARN == "" || f.OwningService != "" || !f.judged() {
		return no()
	}
	return found(list, "RotationEnabled", "false", f.cli("rotate-secret", ""),
		"rotation is disabled; it was %s (CloudTrail's CancelRotateSecret says by whom)", f.Rules)
}

func tooOld(f *facts) (Finding, bool) {
	limit, since, call := f.policy.maxAge(), f.LastRotated, list
	if since.IsZero() { // it is null while rotation is disabled
		if current := f.created(f.holder("AWSCURRENT")); !current.IsZero() {
			since, call = current, versions
		} else if since = f.LastChanged; since.IsZero() {
			since = f.Created
		}
	}
	if since.IsZero() || f.now.Sub(since) <= limit || !f.judged() {
		return no()
	}
	remedy := f.cli("rotate-secret", "")
	switch {
	case f.OwningService != "":
		remedy = f.rds("--rotate-master-user-password")
	case f.FunctionARN == "":
		remedy = f.configure() + " && " + remedy
	}
	got, _ := found(call, "age", age(f.now.Sub(since)), remedy, "its value is %s old; at most %s are allowed",
		age(f.now.Sub(since)), age(limit))
	got.Since = since.Add(limit)
	return got, true
}

func scheduleTooLong(f *facts) (Finding, bool) {
	i := f.intervals()
	if i.err != nil || !f.rotated() || i.longest <= f.policy.maxInterval() || !f.judged() {
		return no()
	}
	return found(list, "RotationRules", f.Rules.String(),
		f.cli("rotate-secret", "--rotation-rules AutomaticallyAfterDays="+days(f.policy.maxInterval())+
			" --no-rotate-immediately"),
		"its schedule, %s, is longer than %s", f.Rules, age(f.policy.maxInterval()))
}

func scheduleTooShort(f *facts) (Finding, bool) {
	if i := f.intervals(); i.err != nil || i.shortest >= f.policy.minInterval() {
		return no()
	}
	why := f.Rules.TooShort(f.policy.minInterval())
	if why == "" || !f.rotated() || !f.judged() {
		return no()
	}
	return found(list, "RotationRules", f.Rules.String(),
		f.cli("rotate-secret", "--rotation-rules AutomaticallyAfterDays=30 --no-rotate-immediately"), "%s", why)
}

func scheduleUnknown(f *facts) (Finding, bool) {
	if err := f.intervals().err; err != nil && f.rotated() && f.Rules.Expression != "" {
		return found(list, "RotationRules.ScheduleExpression", f.Rules.Expression,
			f.cli("rotate-secret", "--rotation-rules AutomaticallyAfterDays=30 --no-rotate-immediately"), "%v", err)
	}
	return no()
}

func otherFunction(f *facts) (Finding, bool) {
	if f.FunctionARN == "" || f.policy.ours(f.FunctionARN) {
		return no()
	}
	why := "it is rotated by another function, %s: docs/migrating.md says how to move it"
	if f.kind() == "other" { // which a name alone does not rule out
		why += ". If that function is Quarterturn's, name it with --functions (FLEET_FUNCTIONS)"
	}
	return found(list, "RotationLambdaARN", f.FunctionARN, f.handOver(), why, functionName(f.FunctionARN))
}

// ours says whether a function is one of Quarterturn's.
func (p Policy) ours(arn string) bool {
	patterns := p.Functions
	if patterns == nil {
		patterns = []string{"quarterturn-*"}
	}
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		ok, _ := path.Match(pattern, functionName(arn))
		return ok || pattern == unqualified(arn)
	})
}

func functionGone(f *facts) (Finding, bool) {
	if f.function == nil || !f.function.Gone {
		return no()
	}
	return found("GetFunctionConcurrency", "error", "ResourceNotFoundException", f.handOver(),
		"its rotation function %s does not exist: deploy it again, or name another", functionName(f.FunctionARN))
}

func functionStopped(f *facts) (Finding, bool) {
	if f.function == nil {
		return no()
	}
	name := functionName(f.FunctionARN)
	switch fn := f.function; {
	case fn.Reserved != nil && *fn.Reserved == 0:
		return found("GetFunctionConcurrency", "ReservedConcurrentExecutions", "0",
			"aws lambda delete-function-concurrency --region "+f.Region+" --function-name "+name,
			"its rotation function %s has a reserved concurrency of 0: nothing can run", name)
	case slices.Contains([]string{"Failed", "Inactive", "Deactivated", "ActiveNonInvocable"}, fn.State):
		return found("GetFunctionConfiguration", "State", fn.State, "aws lambda get-function-configuration --region "+
			f.Region+" --function-name "+name,
			"its rotation function %s is %s: deploy it again", name, fn.State)
	case fn.LastUpdate == "Failed":
		return found("GetFunctionConfiguration", "LastUpdateStatus", fn.LastUpdate,
			"aws lambda get-function-configuration --region "+f.Region+" --function-name "+name,
			"the last update of its rotation function %s failed: deploy it again", name)
	}
	return no()
}

// endedRuntimes are those of AWS's rotation templates which Lambda no longer updates.
// https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html
var endedRuntimes = [...]string{"python2.7", "python3.6", "python3.7", "python3.8", "python3.9", "python3.10"}

func oldRuntime(f *facts) (Finding, bool) {
	if f.function == nil || !slices.Contains(endedRuntimes[:], f.function.Runtime) {
		return no()
	}
	return found("GetFunctionConfiguration", "Runtime", f.function.Runtime, f.handOver(),
		"its rotation function %s runs on %s, which Lambda no longer updates: docs/migrating.md says how to move the "+
			"secret", functionName(f.FunctionARN), f.function.Runtime)
}

func permissionMissing(f *facts) (Finding, bool) {
	if f.function == nil || !f.function.PolicyRead || f.function.Gone || !f.rotated() {
		return no()
	}
	if allowed, _ := invokers(f.function.Policy, f.Account, f.ARN); allowed {
		return no()
	}
	return found("GetPolicy", "Policy", "", f.admit(),
		"the policy of its rotation function %s does not let Secrets Manager of account %s invoke it",
		functionName(f.FunctionARN), f.Account)
}

func permissionWide(f *facts) (Finding, bool) {
	if f.function == nil || !f.function.PolicyRead || f.function.Gone {
		return no()
	}
	_, wide := invokers(f.function.Policy, f.Account, f.ARN)
	if wide == nil {
		return no()
	}
	remedy := f.admit()
	for _, sid := range wide {
		remedy += " && aws lambda remove-permission --region " + f.Region + " --function-name " +
			functionName(f.FunctionARN) + " --statement-id " + sid
	}
	return found("GetPolicy", "Condition", "", remedy,
		"the policy of its rotation function %s lets Secrets Manager invoke it for every account: add a source "+
			"account, then remove the old statement", functionName(f.FunctionARN))
}

// admit is the command that lets Secrets Manager of the account invoke the function, under an id
// that no other tool gives its statements.
func (f *facts) admit() string {
	return "aws lambda add-permission --region " + f.Region + " --function-name " + functionName(f.FunctionARN) +
		" --statement-id QuarterturnSecretsManager --action lambda:InvokeFunction --principal " +
		"secretsmanager.amazonaws.com --source-account " + f.Account
}

func functionElsewhere(f *facts) (Finding, bool) {
	parts := strings.Split(f.FunctionARN, ":")
	if len(parts) < 7 || parts[3] == f.Region && parts[4] == f.Account {
		return no()
	}
	got, _ := found(list, "RotationLambdaARN", f.FunctionARN, f.handOver(),
		"its rotation function is in account %s, Region %s", parts[4], parts[3])
	if f.function == nil {
		got.Sentence += ", which this report does not look at: whether it can run is not known"
	}
	if parts[3] != f.Region { // the service cannot invoke it there
		got.Severity = High
	}
	return got, true
}

func keyDisabled(f *facts) (Finding, bool) {
	if f.key == nil || !slices.Contains([]string{"Disabled", "Unavailable", "PendingImport"}, f.key.State) {
		return no()
	}
	remedy := ""
	if f.key.State == "Disabled" {
		remedy = "aws kms enable-key --region " + f.Region + " --key-id " + f.key.ID
	}
	return found("DescribeKey", "KeyState", f.key.State, remedy,
		"its KMS key is %s: the secret can be neither read nor rotated", f.key.State)
}

func keyDeletion(f *facts) (Finding, bool) {
	if f.key == nil || f.key.State != "PendingDeletion" {
		return no()
	}
	got, _ := found("DescribeKey", "DeletionDate", stamp(f.key.Deletion), "aws kms cancel-key-deletion --region "+
		f.Region+" --key-id "+f.key.ID+" && aws kms enable-key --region "+f.Region+" --key-id "+f.key.ID,
		"its KMS key is deleted %s: the value is lost with it", dateOr(f.key.Deletion, "soon"))
	return got, true
}

func awsKey(f *facts) (Finding, bool) {
	if !f.policy.CustomerKey || f.KMSKeyID != "" && !strings.HasSuffix(f.KMSKeyID, "alias/aws/secretsmanager") ||
		!f.judged() {
		return no()
	}
	remedy := f.cli("update-secret", "--kms-key-id KEY")
	if f.OwningService != "" { // which chose the key
		remedy = ""
	}
	return found(list, "KmsKeyId", f.KMSKeyID, remedy,
		"it is encrypted with AWS's key, not with one of the account's own")
}

func replicaBehind(f *facts) (Finding, bool) {
	for _, r := range f.Replicas {
		if r.Status == "Failed" || r.Status == "InProgress" && f.now.Sub(f.LastChanged) > aWhile {
			return found(describe, "ReplicationStatus", r.Region+" "+r.Status,
				f.cli("replicate-secret-to-regions", "--add-replica-regions Region="+r.Region+
					" --force-overwrite-replica-secret"),
				"its replica in %s is %s: %s", r.Region, r.Status, r.Message)
		}
	}
	return no()
}

func isReplica(f *facts) (Finding, bool) {
	if !f.replica() {
		return no()
	}
	return found(list, "PrimaryRegion", f.PrimaryRegion, f.cli("stop-replication-to-replica", ""),
		"it is a replica of the secret in %s, where it is rotated. Only to make it a secret of its own, stop the "+
			"replication", f.PrimaryRegion)
}

func deletedSoon(f *facts) (Finding, bool) {
	if f.Deleted.IsZero() {
		return no()
	}
	got, _ := found(list, "DeletedDate", stamp(f.Deleted), f.cli("restore-secret", ""),
		"it is scheduled for deletion (%s)", dateOr(f.Deleted, ""))
	const week = 7 * day
	if f.rotated() || !f.LastAccessed.IsZero() && f.now.Sub(f.LastAccessed) < week {
		got.Severity, got.Sentence = High, got.Sentence+", and it is still in use"
	}
	return got, true
}

func owned(f *facts) (Finding, bool) {
	if f.OwningService == "" {
		return no()
	}
	sentence := "it is managed and rotated by %s"
	remedy := f.rds("--no-manage-master-user-password --master-user-password PASSWORD")
	if remedy != "" {
		sentence += ". Only to rotate it by a function of yours, give the database a password and make a secret with " +
			"it: RDS deletes this one"
	}
	return found(list, "OwningService", f.OwningService, remedy, sentence, f.OwningService)
}

func external(f *facts) (Finding, bool) {
	if f.Type == "" || !f.Deleted.IsZero() {
		return no()
	}
	return found(list, "Type", f.Type, f.cli("delete-secret", "--recovery-window-in-days 30"),
		"it is a managed external secret, rotated without a function. Only to rotate it by a function of yours, "+
			"store its value in a secret without a type, then delete this one")
}

func unused(f *facts) (Finding, bool) {
	since := f.LastAccessed
	if since.IsZero() {
		since = f.Created
	}
	if since.IsZero() || f.now.Sub(since) <= f.policy.unused() || !f.judged() || f.OwningService != "" {
		return no()
	}
	return found(list, "LastAccessedDate", stamp(f.LastAccessed),
		f.cli("delete-secret", "--recovery-window-in-days 30"),
		"it was last read %s", dateOr(f.LastAccessed, "never"))
}

// readByRotation needs the former report: once is a coincidence. LastAccessedDate is a day, so that reads by clients
// on the day of a rotation do not show: each report has to come after a whole day without a read.
func readByRotation(f *facts) (Finding, bool) {
	only := func(access, rotation, at time.Time) bool {
		return !rotation.IsZero() && !access.IsZero() && access.Sub(rotation).Abs() <= day && at.Sub(access) >= 2*day
	}
	if f.before == nil || f.before.Rotation.Last.Equal(f.LastRotated) || !f.judged() ||
		!only(f.LastAccessed, f.LastRotated, f.now) ||
		!only(f.before.LastAccessed, f.before.Rotation.Last, f.beforeAt) {
		return no()
	}
	return found(list, "LastAccessedDate", stamp(f.LastAccessed),
		f.cli("delete-secret", "--recovery-window-in-days 30"),
		"it seems to be read by its own rotation only: ask its owner whether it is needed, and delete it if not")
}

// manyInADay is the bound of F28. A secret has about 100 versions at most, and versions without a label make room when
// they are a day old: what is older is no sign of anything.
const (
	manyInADay      = 20
	quotaOfVersions = 100
)

func manyVersions(f *facts) (Finding, bool) {
	today := 0
	for _, v := range f.Versions {
		if f.now.Sub(v.Created) < day {
			today++
		}
	}
	if today <= manyInADay {
		return no()
	}
	return found(versions, "CreatedDate", fmt.Sprint(today), f.cli("list-secret-version-ids", "--include-deprecated"),
		"%d of its %d versions were stored in the last day, and about %d are possible: stop what stores values in a "+
			"loop (CloudTrail's PutSecretValue says by whom). "+
			"Versions make room a day later", today, len(f.Versions), quotaOfVersions)
}

// candidate is the version that can become current: the only one with a label, or the word VERSION for what nothing
// here tells.
func (f *facts) candidate() string {
	if ids := slices.Collect(maps.Keys(f.Labels)); len(ids) == 1 {
		return ids[0]
	}
	return "VERSION"
}

func noCurrent(f *facts) (Finding, bool) {
	if f.holder("AWSCURRENT") != "" || len(f.Labels) == 0 || !f.Deleted.IsZero() {
		return no()
	}
	return found(list, "SecretVersionsToStages", "no AWSCURRENT",
		f.cli("update-secret-version-stage", "--version-stage AWSCURRENT --move-to-version-id "+
			rotator.ShellWord(f.candidate())),
		"no version has AWSCURRENT: clients cannot read it. Move the label to the version with the credentials in use")
}

func noOwner(f *facts) (Finding, bool) {
	var missing []string
	for _, key := range f.policy.Tags {
		if f.Tags[key] == "" {
			missing = append(missing, key)
		}
	}
	if missing == nil || f.OwningService != "" || f.replica() {
		return no()
	}
	return found(list, "Tags", strings.Join(missing, ", "),
		f.cli("tag-resource", "--tags Key="+missing[0]+",Value=..."), "it lacks the tags %s",
		strings.Join(missing, ", "))
}

// tagRefused asks the settings of the function itself, as a rotation would.
func tagRefused(f *facts) (Finding, bool) {
	if f.function == nil || !f.function.settingsRead || f.replica() {
		return no()
	}
	lookup := func(name string) (string, bool) { v, ok := f.function.settings[name]; return v, ok }
	policy, err := secret.ParsePolicy(lookup)
	if err != nil { // the function does not start with them, and says so
		return no()
	}
	choices, err := secret.ParseTagChoices(f.function.settings[secret.EnvTags])
	if err != nil {
		return no()
	}
	untag := func(keys ...string) string {
		words := "--tag-keys"
		for _, key := range keys {
			words += " " + rotator.ShellWord(key)
		}
		return f.cli("untag-resource", words)
	}
	var refused *secret.TagError
	if _, err := choices.Apply(policy, f.Tags); errors.As(err, &refused) {
		return found(list, "Tags", strings.Join(refused.Keys, ", "), untag(refused.Keys...),
			"its rotation stops before anything changes: %v", refused)
	}
	for _, key := range []string{secret.TagLength, secret.TagPreset} {
		if value, ok := f.Tags[key]; ok && choices.IsZero() {
			got, _ := found(list, "Tags", key, untag(key), "tag %s=%s has no effect: its rotation function %s reads "+
				"no tags (%s)", key, value, functionName(f.FunctionARN), secret.EnvTags)
			got.Severity = Low
			return got, true
		}
	}
	return no()
}

func policyOpen(f *facts) (Finding, bool) {
	if f.resource == nil || *f.resource == "" {
		return no()
	}
	for _, principal := range principals(*f.resource) {
		account := principal
		if parts := strings.Split(principal, ":"); len(parts) > 4 {
			account = parts[4]
		}
		if account == f.Account || slices.Contains(f.policy.Accounts, account) {
			continue
		}
		return found("GetResourcePolicy", "Principal", principal,
			f.cli("put-resource-policy", "--block-public-policy --resource-policy file://policy.json"),
			"its resource policy allows %s", principal)
	}
	return no()
}

// Exception is what a tag accepts, and until when.
type Exception struct {
	Finding string    `json:"finding"`
	Until   time.Time `json:"until"`
	Owner   string    `json:"owner,omitempty"` // the value of the first required tag
}

// exception reads the tag quarterturn:accept=F26.until-2027-01-31.
func exception(tags map[string]string) (Exception, error) {
	text, ok := tags["quarterturn:accept"]
	if !ok {
		return Exception{}, nil
	}
	id, end, ok := strings.Cut(text, ".until-")
	until, err := time.Parse(time.DateOnly, end)
	if !ok || err != nil || len(id) != 3 || id[0] != 'F' {
		return Exception{}, fmt.Errorf("tag quarterturn:accept is %.80q: it must be like F26.until-2027-01-31", text)
	}
	return Exception{Finding: id, Until: until.Add(day)}, nil
}

func accepted(f *facts) (Finding, bool) {
	e, err := exception(f.Tags)
	switch {
	case err != nil:
		got, _ := found(list, "Tags", f.Tags["quarterturn:accept"],
			f.cli("untag-resource", "--tag-keys quarterturn:accept"), "%v", err)
		got.Severity = Unknown
		return got, true
	case e.Finding == "" || !f.now.Before(e.Until):
		return no()
	}
	return found(list, "Tags", f.Tags["quarterturn:accept"], f.cli("untag-resource", "--tag-keys quarterturn:accept"),
		"%s is accepted until %s", e.Finding, e.Until.Add(-day).Format(time.DateOnly))
}

// statements are those of a policy document; a document that cannot be read has none.
func statements(document string) []statement {
	var many struct{ Statement []statement }
	if json.Unmarshal([]byte(document), &many) == nil {
		return many.Statement
	}
	var one struct{ Statement statement }
	if json.Unmarshal([]byte(document), &one) == nil {
		return []statement{one.Statement}
	}
	return nil
}

type statement struct {
	Sid       string
	Effect    string
	Principal json.RawMessage
	Action    words
	Condition map[string]map[string]words
}

// words is a JSON string or an array of them.
type words []string

func (w *words) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*w = words{one}
		return nil
	}
	var many []string
	err := json.Unmarshal(data, &many)
	*w = many
	return err
}

// named gives the principals of a statement under a kind: AWS or Service. "*" is of both.
func (s statement) named(kind string) []string {
	var all words
	if json.Unmarshal(s.Principal, &all) == nil {
		return all
	}
	var kinds map[string]words
	if json.Unmarshal(s.Principal, &kinds) != nil {
		return nil
	}
	return kinds[kind]
}

// principals are those that a policy allows without looking at who they are by condition.
func principals(document string) []string {
	var all []string
	for _, s := range statements(document) {
		if s.Effect == "Allow" {
			all = append(all, s.named("AWS")...)
		}
	}
	return all
}

// invokers says whether Secrets Manager may invoke a function for a secret, and by which
// statements it may for every account's.
func invokers(document, account, arn string) (allowed bool, wide []string) {
	for _, s := range statements(document) {
		services := s.named("Service")
		invokes := slices.ContainsFunc(s.Action, func(a string) bool {
			ok, _ := path.Match(strings.ToLower(a), "lambda:invokefunction")
			return ok
		})
		if s.Effect != "Allow" || !invokes || !slices.Contains(services, "secretsmanager.amazonaws.com") &&
			!slices.Contains(services, "*") {
			continue
		}
		accounts, arns := s.condition("aws:SourceAccount"), s.condition("aws:SourceArn")
		switch {
		case accounts == nil && arns == nil:
			allowed, wide = true, append(wide, s.Sid)
		case accounts != nil && !matchesAny(accounts, account), arns != nil && !matchesAny(arns, arn):
		default:
			allowed = true
		}
	}
	return allowed, wide
}

// condition gives the values of a condition key, whatever its operator; nil: it is not there.
func (s statement) condition(key string) []string {
	for _, keys := range s.Condition {
		for name, values := range keys {
			if strings.EqualFold(name, key) {
				return append([]string{}, values...)
			}
		}
	}
	return nil
}

// matchesAny compares as StringLike does: a star is anything, slashes included.
func matchesAny(patterns []string, text string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		parts := strings.Split(pattern, "*")
		if len(parts) == 1 {
			return pattern == text
		}
		rest, ok := strings.CutPrefix(text, parts[0])
		if !ok {
			return false
		}
		for _, part := range parts[1 : len(parts)-1] {
			_, after, found := strings.Cut(rest, part)
			if !found {
				return false
			}
			rest = after
		}
		return strings.HasSuffix(rest, parts[len(parts)-1])
	})
}

// functionName is the name in a function's ARN.
func functionName(arn string) string {
	if parts := strings.Split(arn, ":"); len(parts) > 6 {
		return parts[6]
	}
	return arn
}

// unqualified is a function's ARN without version or alias.
func unqualified(arn string) string {
	parts := strings.Split(arn, ":")
	return strings.Join(parts[:min(len(parts), 7)], ":")
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04Z")
}

func dateOr(t time.Time, absent string) string {
	if t.IsZero() {
		return absent
	}
	return t.UTC().Format(time.DateOnly)
}

// age writes a duration in the two largest units that say something.
func age(d time.Duration) string {
	switch minutes := int(d.Minutes()); {
	case minutes < 60:
		return fmt.Sprintf("%d min", minutes)
	case minutes < 24*60:
		return fmt.Sprintf("%d h %d min", minutes/60, minutes%60)
	}
	return days(d) + " d"
}

func days(d time.Duration) string { return fmt.Sprint(int(d / day)) }
