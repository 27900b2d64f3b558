package rotator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator/secret"
)

// run runs the step of the event.
func (v *invocation) run(ctx context.Context) (Outcome, error) {
	switch v.event.Step {
	case StepCreateSecret:
		return v.create(ctx)
	case StepSetSecret:
		return v.set(ctx)
	case StepTestSecret:
		return v.test(ctx)
	case StepPreflight:
		return v.onDemandPreflight(ctx)
	case StepStatus, StepRecover:
		return v.recover(ctx)
	default:
		return v.finish(ctx)
	}
}

// readStart passes the guards and reads the value that the rotation starts from. Both answers must be of the same
// version: by the value of an earlier one, the user whose turn it is would be the one in use.
func (v *invocation) readStart(ctx context.Context) (seen observed, done bool, err error) {
	err = v.retryRead(ctx, kindTwoCurrent, func() error {
		if seen.meta, done, err = v.checkSecret(ctx); err != nil || done {
			return err
		}
		if seen.value, err = v.readCurrent(ctx); err != nil {
			return err
		}
		described, read := seen.meta.VersionWithLabel(LabelCurrent), seen.value.VersionID
		if described != "" && read != "" && described != read {
			return fmt.Errorf("AWSCURRENT: %w: %w: DescribeSecret has the label on version %s, and GetSecretValue "+
				"gave version %s: it was moved meanwhile, or an answer was stale. This attempt changed nothing",
				KindConflict, kindTwoCurrent, described, read)
		}
		return nil
	})
	return seen, done, err
}

// kindTwoCurrent marks answers of Secrets Manager that do not agree about AWSCURRENT.
const kindTwoCurrent Kind = "two versions are said to be current"

// create gives the pending version a value. Nothing is read first to learn
// whether it has one: PutSecretValue never overwrites, and says so.
func (v *invocation) create(ctx context.Context) (Outcome, error) {
	seen, done, err := v.readStart(ctx)
	if err != nil || done {
		return OutcomeAlreadyDone, err
	}
	if err := v.shapePasswords(seen.meta); err != nil { // whatever the mode of the preflight
		if _, missing := v.readPendingOnce(ctx); missing == nil {
			return v.keep(ctx, seen) // it may be set already: a tag must not stop that rotation
		}
		return OutcomeFailed, fmt.Errorf("new value: %w; %s", err, v.unchanged(ctx))
	}
	if err := v.propose(ctx, &seen); err != nil {
		return OutcomeFailed, fmt.Errorf("new value: %w; %s", err, v.unchanged(ctx))
	}
	seen.willPut = true
	if err := v.runPreflight(ctx, &seen); err != nil {
		return OutcomeFailed, err
	}
	minter, mints := v.Strategy.(Minter)
	if mints {
		_, err := v.readPendingOnce(ctx)
		switch {
		case err == nil:
			return v.keep(ctx, seen)
		case !errors.Is(err, KindNotFound):
			return OutcomeFailed, fmt.Errorf("AWSPENDING: %w", err)
		}
		if err := v.mint(ctx, minter, &seen); err != nil {
			return OutcomeFailed, fmt.Errorf("new value: %w", err)
		}
	}
	err = v.Store.Put(ctx, PutInput{
		SecretID:      v.event.SecretID,
		VersionID:     v.event.VersionID,
		RotationToken: v.event.RotationToken,
		Document:      seen.proposal,
	})
	if err != nil && mints {
		v.discard(ctx, minter, seen)
	}
	if errors.Is(err, KindConflict) {
		return v.keep(ctx, seen)
	}
	switch kind := KindOf(err); {
	case !mints && (kind == KindAccessDenied || kind == KindMisconfigured): // an answer, and a no
		return OutcomeFailed, fmt.Errorf("AWSPENDING: %s: %w", v.unchanged(ctx), err)
	case err != nil:
		return OutcomeFailed, fmt.Errorf("AWSPENDING: %w", err)
	}
	v.logf("stored a new pending value; nothing else has changed")
	v.record.PasswordPolicy = v.PasswordPolicy.Fingerprint()
	notFixed := func(c secret.Copy) bool { return !c.Fixed }
	if followed := pathsOf(seen.copies, notFixed); followed != "" && v.Copies == CopiesFollow {
		v.logf("kept in step within the secret: %s", followed)
	}
	return OutcomeDone, nil
}

// shapePasswords has the passwords of this invocation made as the tags of the secret say.
func (v *invocation) shapePasswords(m Metadata) error {
	policy, err := v.TagChoices.Apply(v.PasswordPolicy, m.Tags)
	if err != nil {
		return fmt.Errorf("secret: %w: %w", KindMisconfigured, err)
	}
	v.PasswordPolicy = policy
	return nil
}

// propose has the strategy propose a value for createSecret to store, and looks for
// copies of what it changes.
func (v *invocation) propose(ctx context.Context, seen *observed) error {
	current := seen.value.Document
	next, err := v.Strategy.Propose(ctx, v.newRotation(current, secret.Document{}))
	if err != nil {
		return err
	}
	followed, copies := current.Follow(next)
	if v.Copies == CopiesFollow {
		next = followed
	}
	v.scrub.AddDocument(next)
	seen.proposal, seen.copies = next, copies
	return nil
}

// mint has the provider make what the proposal has a stand-in for.
func (v *invocation) mint(ctx context.Context, minter Minter, seen *observed) error {
	if err := v.checkTimeLeft(ctx); err != nil {
		return err
	}
	current := seen.value.Document
	minted, err := minter.Mint(ctx, v.newRotation(current, seen.proposal))
	v.scrub.AddDocument(minted)
	if err != nil {
		return err
	}
	if v.Copies == CopiesFollow {
		// A copy holds what the strategy began with: the value in use, or the proposal's stand-in.
		minted, _ = current.Follow(minted)
		minted, _ = seen.proposal.Follow(minted)
	}
	seen.proposal = minted
	return nil
}

// discard has the provider remove what it made, unless it was stored after all, or may
// have been: a credential too many does less harm than a stored value that never works.
func (v *invocation) discard(ctx context.Context, minter Minter, seen observed) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	stored, err := v.readPending(ctx)
	switch {
	case stored.Document.Equal(seen.proposal):
		return
	case err == nil, errors.Is(err, KindNotFound):
		if err = minter.Discard(ctx, v.newRotation(seen.value.Document, seen.proposal)); err == nil {
			v.logf("the credential that the provider made could not be stored: it was discarded")
			return
		}
	}
	v.logf("the provider made a credential for version %s, and whether that was stored is not known, or it could not "+
		"be discarded: remove it at the provider if no version holds it: %v", v.event.VersionID, err)
}

const nothingChanged = "nothing was changed"

// unchanged is what createSecret says of the secret and the database where it stores
// nothing. An earlier attempt of the same rotation may have stored a value, and set it.
func (v *invocation) unchanged(ctx context.Context) string {
	_, err := v.readPendingOnce(ctx)
	switch {
	case errors.Is(err, KindNotFound):
		return nothingChanged
	case err != nil:
		return "this attempt changed nothing"
	}
	return "this attempt changed nothing, but an earlier one stored AWSPENDING and may have set it (status says " +
		"which version logs in)"
}

// keep resumes with the value that an earlier attempt stored.
func (v *invocation) keep(ctx context.Context, seen observed) (Outcome, error) {
	pending, err := v.readPending(ctx)
	if err == nil {
		err = v.checkNotCopied(seen.value.Document, pending.Document)
	}
	if err != nil {
		return OutcomeFailed, err
	}
	v.logf("kept the pending value that an earlier attempt stored")
	return OutcomeAlreadyDone, nil
}

// checkNotCopied refuses to rotate to the credentials that are in use: such a
// rotation would change nothing, or under alternating users fail every time. A
// configuration test makes such a copy, and may leave it behind.
func (v *invocation) checkNotCopied(current, pending secret.Document) error {
	if !isCopy(pending, current) {
		return nil
	}
	return fmt.Errorf("AWSPENDING: %w: version %s holds the credentials of AWSCURRENT (a copy that a configuration "+
		"test left, or that was stored by hand), and the value of a version cannot be replaced, so this rotation "+
		"would change nothing. Remove the label and rotate again: %s; aws secretsmanager rotate-secret --secret-id %s",
		KindConflict, v.event.VersionID, LabelMove{Label: LabelPending,
			From: v.event.VersionID}.cliCommand(v.event.SecretID), ShellWord(v.event.SecretID))
}

// isCopy says whether two values hold the same credentials. Those that are in a member
// which only the strategy knows are the same where everything is.
func isCopy(a, b secret.Document) bool { return a.SameCredentials(b) || !a.IsZero() && a.Equal(b) }

// set makes the pending value count. The labels are read afresh, although that
// costs a call: a late duplicate after CancelRotateSecret must not touch the
// database.
func (v *invocation) set(ctx context.Context) (Outcome, error) {
	seen, done, err := v.readStart(ctx)
	if err != nil || done {
		return OutcomeAlreadyDone, err
	}
	pending, err := v.readPending(ctx)
	if errors.Is(err, KindNotFound) {
		return OutcomeFailed, fmt.Errorf("%w (createSecret has not stored one: run rotate-secret; the service "+
			"restarts at createSecret)", err)
	}
	if err != nil {
		return OutcomeFailed, err
	}
	if err := v.checkNotCopied(seen.value.Document, pending.Document); err != nil {
		return OutcomeFailed, err
	}
	if err := checkLabelRoom(seen.meta); err != nil { // whatever the mode of the preflight
		return OutcomeFailed, fmt.Errorf("%w; this attempt changed nothing, and status prints "+
			"the commands: {\"Step\":\"status\",\"SecretId\":\"%s\"}", err, v.event.SecretID)
	}
	if err := v.checkTimeLeft(ctx); err != nil {
		return OutcomeFailed, err
	}
	err = v.Strategy.Apply(ctx, v.newRotation(seen.value.Document, pending.Document))
	if errors.Is(err, KindPasswordPolicy) {
		return OutcomeFailed, fmt.Errorf("%w (the value of a version never changes, so retrying cannot help. "+
			"Cancel rotation: aws secretsmanager "+
			"cancel-rotate-secret --secret-id %s. Then status says how to discard that version: "+
			"{\"Step\":\"status\",\"SecretId\":\"%s\"})", err, ShellWord(v.event.SecretID), v.event.SecretID)
	}
	if err != nil {
		return OutcomeFailed, err
	}
	return OutcomeDone, nil
}

// checkTimeLeft refuses to begin a change that could be cut off.
func (v *invocation) checkTimeLeft(ctx context.Context) error {
	deadline, ok := ctx.Deadline()
	if !ok {
		return nil
	}
	need, left := cmp.Or(v.MinApplyTime, 10*time.Second), time.Until(deadline)
	if left < need {
		return fmt.Errorf("%w: %s left, but changing the database may take %s. This attempt changed nothing; "+
			"increase the function timeout", KindDeadline, left.Round(100*time.Millisecond), need)
	}
	return nil
}

// test proves the pending value. Reading it by id and label at once proves the
// label too. AWSCURRENT is read beside it, because the service sends testSecret alone
// for a configuration test (aws secretsmanager rotate-secret
// --no-rotate-immediately), on a version with AWSPENDING that holds a copy of
// AWSCURRENT's value, or nothing.
func (v *invocation) test(ctx context.Context) (Outcome, error) {
	pending, err := v.readPending(ctx)
	switch {
	case errors.Is(err, KindConflict):
		// Not pending any more: harmless if the rotation has ended with it.
		if _, done, guard := v.checkSecret(ctx); guard != nil || done {
			return OutcomeAlreadyDone, guard
		}
		return OutcomeFailed, err
	case errors.Is(err, KindNotFound):
		return v.testConfiguration(ctx, err)
	case err != nil:
		return OutcomeFailed, err
	}
	current, err := v.readCurrent(ctx)
	switch {
	case err != nil:
		return OutcomeFailed, err
	case current.VersionID == v.event.VersionID:
		return OutcomeAlreadyDone, nil
	case isCopy(pending.Document, current.Document):
		return v.testConfiguration(ctx, nil)
	}
	if err := v.verifyAgain(ctx, current.Document, pending.Document, true); err != nil {
		return OutcomeFailed, fmt.Errorf("pending credentials: %w", err)
	}
	// finishSecret moves the label next, and reads AWSCURRENT no more.
	if lost, _ := v.lostWithMove(ctx, current.Document, pending.Document); lost != "" {
		v.logf("AWSCURRENT has another %s than the new version, stored while this rotation was under way: that is "+
			"lost when AWSCURRENT moves. To keep it, store it once more, with the new password", lost)
	}
	return OutcomeDone, nil
}

// testConfiguration has the credentials in use tested, and whatever a rotation would
// need; nothing changes. pending is how the read of AWSPENDING ended.
func (v *invocation) testConfiguration(ctx context.Context, pending error) (Outcome, error) {
	seen, done, err := v.readStart(ctx)
	if err != nil || done {
		return OutcomeAlreadyDone, err
	}
	if v.PreflightMode == PreflightOff {
		err = v.Strategy.Verify(ctx, v.newRotation(secret.Document{}, seen.value.Document))
	} else {
		seen.pendingErr, seen.pendingRead = pending, true
		err = v.runPreflight(ctx, &seen)
	}
	if err != nil {
		return OutcomeFailed, fmt.Errorf("AWSCURRENT: %w", err)
	}
	v.logf("configuration test passed; " + nothingChanged)
	return OutcomeChecked, nil
}

// onDemandPreflight is the preflight on demand. It runs whether or not rotation is set up.
func (v *invocation) onDemandPreflight(ctx context.Context) (Outcome, error) {
	var seen observed
	seen.meta, seen.metaErr = v.Store.Describe(ctx, v.event.SecretID)
	if errors.Is(seen.metaErr, KindAccessDenied) || seen.metaErr == nil && checkRotatable(seen.meta) == nil {
		seen.value, seen.valueErr = v.readCurrent(ctx)
	}
	report := v.preflight(ctx, &seen)
	v.record.Report = &report
	v.logf("preflight: %s", report.summary())
	return OutcomeChecked, nil
}

// runPreflight is nil if a rotation may begin.
func (v *invocation) runPreflight(ctx context.Context, seen *observed) error {
	if v.PreflightMode == PreflightOff {
		return nil
	}
	report := v.preflight(ctx, seen)
	v.record.Report = &report
	v.logf("preflight: %s", report.summary())
	if v.PreflightMode == PreflightReport {
		return nil
	}
	if seen.willPut && len(report.Blocking()) > 0 {
		return report.err(v.unchanged(ctx))
	}
	return report.Err()
}

// finish moves AWSCURRENT, in one call that fails if the label was moved in the
// meantime. AWSPENDING stays where it is: removing it with a second call would tell
// the service that the rotation failed; it does so itself.
func (v *invocation) finish(ctx context.Context) (Outcome, error) {
	m, done, err := v.checkSecret(ctx)
	if err != nil || done {
		return OutcomeAlreadyDone, err
	}
	from := m.VersionWithLabel(LabelCurrent)
	if from == "" {
		return OutcomeFailed, fmt.Errorf("secret: %w: no version carries AWSCURRENT, so there is nothing to move the "+
			"label from", KindConflict)
	}
	pending, err := v.prove(ctx)
	if err != nil {
		return OutcomeFailed, err
	}
	already, err := v.moveLabel(ctx, LabelMove{LabelCurrent, from, v.event.VersionID})
	switch {
	case err != nil:
		return OutcomeFailed, err
	case already:
		v.logf("AWSCURRENT is on the new version already")
		return OutcomeAlreadyDone, nil
	}
	if !pending.Created.IsZero() {
		v.record.RotationTime = max(0, time.Since(pending.Created))
	}
	v.logf("moved AWSCURRENT from version %s to version %s", from, v.event.VersionID)
	v.record.MovedFrom = from
	if namer, ok := v.Strategy.(TargetNamer); ok {
		v.record.Target = namer.Target(pending.Document)
	}
	if v.shapePasswords(m) == nil { // tags that are refused by now were others when the value was made
		v.record.PasswordPolicy = v.PasswordPolicy.Fingerprint()
	}
	if late := replicaWarnings(m); late != "" { // as they stood a moment before the move
		v.logf("%s", late)
	}
	return OutcomeDone, nil
}

// prove logs in with the pending value once more, immediately before clients are
// sent to it: it may have been made useless since testSecret. Where AWSCURRENT is for
// another account, which works on, it moves only if this login succeeds. Where both are of
// one account, only an answer that judges the password stops the move: neither a lock, nor
// a setting, nor a server without a free connection or a response makes the old value better.
//
// That is so of a value that testSecret has tested. Who may invoke the function and move AWSPENDING can send this step
// alone, for any version of the secret: one that does not log in is compared with AWSCURRENT before it is moved to.
func (v *invocation) prove(ctx context.Context) (pending SecretValue, err error) {
	if pending, err = v.readPending(ctx); err != nil {
		return pending, err
	}
	notes := len(v.record.Notes)
	err = v.tryBeforeMove(ctx, secret.Document{}, pending.Document)
	switches := v.switchesAccount(pending.Document)
	if err != nil && !errors.Is(err, KindLoginRejected) && !switches {
		current, failed := v.readCurrent(ctx)
		if failed != nil {
			return pending, failed
		}
		second := v.tryBeforeMove(ctx, current.Document, pending.Document)
		if second == nil || errors.Is(second, KindLoginRejected) || isOfValue(second) {
			err = second
		}
	}
	v.record.Notes = v.record.Notes[:notes]
	switch {
	case errors.Is(err, KindLoginRejected):
		return pending, fmt.Errorf("pending credentials: %w: the database rejects them: the password was changed "+
			"after testSecret, or setSecret never set it. AWSCURRENT was not moved. To see which stored version logs "+
			"in: {\"Step\":\"status\",\"SecretId\":\"%s\"}: %w", KindConflict, v.event.SecretID, err)
	case err != nil && switches:
		return pending, fmt.Errorf("pending credentials: their user cannot log in. "+
			"AWSCURRENT was not moved: it is for another user, which this rotation left as it was. If that lasts, fix "+
			"what follows, then complete the rotation: aws secretsmanager rotate-secret --secret-id %s: %w",
			ShellWord(v.event.SecretID), err)
	case isOfValue(err):
		return pending, fmt.Errorf("pending credentials: AWSCURRENT was not moved, for testSecret would not pass: %w",
			err)
	case err != nil:
		v.logf("the login before the move did not judge the password, which testSecret has tested: %v", err)
	}
	return pending, nil
}

// isOfValue says that a value was refused as it is, before any server was asked.
func isOfValue(err error) bool {
	var login LoginError
	kind := KindOf(err)
	return (kind == KindConflict || kind == KindMisconfigured) && !errors.As(err, &login)
}

// tryBeforeMove has the pending value log in, in half of the time that is left: a server that does not respond must
// leave some for the move, and one without a free connection is no reason to keep clients waiting.
func (v *invocation) tryBeforeMove(ctx context.Context, current, pending secret.Document) error {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/2)
		defer cancel()
	}
	return v.verifyAgain(ctx, current, pending, false)
}

// switchesAccount says whether a pending value is for another account than AWSCURRENT.
func (v *invocation) switchesAccount(pending secret.Document) bool {
	switcher, ok := v.Strategy.(AccountSwitcher)
	return ok && switcher.SwitchesAccount(pending)
}
