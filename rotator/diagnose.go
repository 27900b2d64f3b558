package rotator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/quarterturn-dev/quarterturn/rotator/secret"
)

// recover says how the secret stands and what to do about it. It does so itself
// only where the event names that very action: whoever asks has read a diagnosis,
// and it still holds.
func (v *invocation) recover(ctx context.Context) (Outcome, error) {
	m, err := v.Store.Describe(ctx, v.event.SecretID)
	if err != nil {
		return OutcomeFailed, fmt.Errorf("secret: %w", err)
	}
	c := diagnoser{invocation: v, meta: m, probes: map[string]probe{}}
	if refusal := checkRotatable(m); refusal != nil {
		v.record.Diagnosis = c.diagnosis(rule{action: ActionNotManaged, reason: refusal.Error()})
	} else {
		c.probeVersions(ctx)
		v.record.Diagnosis = c.diagnosis(decide(c.situation(ctx)))
	}
	d := v.record.Diagnosis
	v.logf("status: %s; to do: %s", d.summary(), d.Action)
	switch v.event.Action {
	case "":
		return OutcomeChecked, nil
	case d.Action:
		return c.apply(ctx)
	}
	return OutcomeFailed, fmt.Errorf("recovery: %w: asked to %s, and what there is to do is %s: %s. Nothing was changed", KindConflict, v.event.Action, d.Action, d.Reason)
}

// apply moves the label, and says how the secret stands then. Nobody is asked again:
// that a label moves changes nothing about what works.
func (c *diagnoser) apply(ctx context.Context) (Outcome, error) {
	m := c.labelMove(c.event.Action)
	already, err := c.moveLabel(ctx, m)
	if err != nil {
		return OutcomeFailed, err
	}
	done := fmt.Sprintf("moved %s from version %s to version %s", m.Label, m.From, m.To)
	if m.To == "" {
		done = fmt.Sprintf("took %s away from version %s, whose value can be read by its id for another day at least", m.Label, m.From)
	}
	c.logf("%s", done)
	c.meta.Labels = m.labelsAfter(c.meta)
	d := c.diagnosis(decide(c.situation(ctx)))
	d.MovedLabel, d.UndoCommand = done, LabelMove{m.Label, m.To, m.From}.cliCommand(c.meta.ARN)
	c.record.Diagnosis = d
	if already {
		return OutcomeAlreadyDone, nil
	}
	return OutcomeDone, nil
}

// diagnoser is what was found out about a secret.
type diagnoser struct {
	*invocation
	meta   Metadata
	probes map[string]probe // by version id
}

// probe is what was found out about a version.
type probe struct {
	value  secret.Document
	state  CredentialState
	tried  bool // the strategy was
	err    error
	detail string // in place of err
}

// probeVersions reads the values and has the strategy try them: each once at most, AWSCURRENT
// first, and none where the answer changes nothing. Like a strategy's own search it
// ends at the first answer that is not about the credentials.
func (c *diagnoser) probeVersions(ctx context.Context) {
	current, pending, previous := c.labeledVersions()
	c.readVersion(ctx, current, LabelCurrent)
	if c.probes[current].state == CredentialUnknown {
		c.markNotTested("because of AWSCURRENT", pending, previous)
		return
	}
	c.readVersion(ctx, pending, LabelPending)
	c.readVersion(ctx, previous, LabelPrevious)
	c.tryLogin(ctx, current, secret.Document{})
	if c.probes[current].state == CredentialUnknown {
		c.markNotTested("because of AWSCURRENT", pending, previous)
		return
	}
	// A value is sent only where AWSCURRENT leads. Where that leads nowhere, the
	// place is that of AWSPREVIOUS, which was AWSCURRENT once.
	place := c.probes[current].value
	if s := c.probes[current].state; s == CredentialInvalid || s == CredentialMissing {
		place = c.probes[previous].value
	}
	if place.IsZero() {
		c.markNotTested("nothing says which account and place it should be for", pending, previous)
		return
	}
	c.tryLogin(ctx, pending, place)
	switch {
	case c.probes[current].state == CredentialWorks || c.probes[pending].state == CredentialWorks:
		c.markNotTested("a later version works", previous)
	case c.probes[pending].state == CredentialUnknown:
		c.markNotTested("because of AWSPENDING", previous)
	default:
		c.tryLogin(ctx, previous, place)
	}
}

// labeledVersions gives the versions that carry the labels; "" for a label that none carries.
func (c *diagnoser) labeledVersions() (current, pending, previous string) {
	return c.meta.VersionWithLabel(LabelCurrent), c.meta.VersionWithLabel(LabelPending), c.meta.VersionWithLabel(LabelPrevious)
}

// readVersion reads a value, by its id and its label, so that a label which has moved in
// the meantime is noticed.
func (c *diagnoser) readVersion(ctx context.Context, id, label string) {
	if _, known := c.probes[id]; known || id == "" {
		return
	}
	val, err := c.readValue(ctx, c.event.SecretID, VersionRef{ID: id, Label: label})
	l := probe{value: val.Document, state: CredentialNotTested, err: err}
	switch {
	case errors.Is(err, KindNotFound):
		l.state = CredentialMissing
	case errors.Is(err, KindMisconfigured) && val.VersionID != "": // read, and no document
		l.state = CredentialInvalid
	case err != nil:
		l.state = CredentialUnknown
	}
	c.probes[id] = l
}

// tryLogin has the strategy log in with a version, unless that has been done, with the
// same credentials or under another label. place is AWSCURRENT's value; zero: this
// is it.
func (c *diagnoser) tryLogin(ctx context.Context, id string, place secret.Document) {
	l, known := c.probes[id]
	if !known || l.tried || l.state != CredentialNotTested {
		return
	}
	for _, other := range c.probes {
		if other.tried && other.value.SameCredentials(l.value) {
			l.state, l.detail = other.state, "the same user and password as those of another version here"
			c.probes[id] = l
			return
		}
	}
	if place.Equal(l.value) {
		place = secret.Document{}
	}
	l.tried, l.detail = true, ""
	l.err = c.Strategy.Verify(ctx, c.rotationWithoutLog(place, l.value))
	switch kind := KindOf(l.err); {
	case l.err == nil:
		l.state = CredentialWorks
	case kind == KindLoginRejected:
		l.state = CredentialRejected
	case kind == KindMisconfigured:
		l.state = CredentialInvalid
	case kind == KindConflict && !place.IsZero():
		l.state, l.tried = CredentialOtherTarget, false
	default:
		l.state = CredentialUnknown
	}
	c.probes[id] = l
}

// rotationWithoutLog is a rotation of which nothing is told: the diagnosis says it all.
func (c *diagnoser) rotationWithoutLog(current, pending secret.Document) Rotation {
	r := c.newRotation(current, pending)
	r.Log = nil
	return r
}

// markNotTested says why versions are not asked about.
func (c *diagnoser) markNotTested(why string, ids ...string) {
	for _, id := range ids {
		l, known := c.probes[id]
		if id == "" || known && (l.tried || l.state != CredentialNotTested) {
			continue
		}
		l.state, l.detail = CredentialNotTested, why
		c.probes[id] = l
	}
}

// situation gives what the decision rests on.
func (c *diagnoser) situation(ctx context.Context) situation {
	current, pending, previous := c.labeledVersions()
	s := situation{
		current:    c.probes[current].state,
		previous:   c.probes[previous].state,
		rotationOn: c.meta.RotationEnabled != nil && *c.meta.RotationEnabled,
	}
	if pending != current {
		s.pending = c.probes[pending].state
		s.stale = pending == previous || c.stale(ctx, c.probes[current], c.probes[pending])
	}
	return s
}

// stale says whether AWSPENDING cannot have been made from AWSCURRENT: whether it
// differs from it in other members than the strategy's own proposal does.
func (c *diagnoser) stale(ctx context.Context, current, pending probe) bool {
	if current.state != CredentialWorks || pending.value.IsZero() {
		return false
	}
	next, err := c.Strategy.Propose(ctx, c.rotationWithoutLog(current.value, secret.Document{}))
	if err != nil {
		return false
	}
	c.scrub.AddDocument(next)
	differing := func(d secret.Document) []string { return slices.Sorted(slices.Values(current.value.ChangedKeys(d))) }
	return !slices.Equal(differing(next), differing(pending.value))
}

// labelMove is the label that an action moves.
func (c *diagnoser) labelMove(a Action) LabelMove {
	current, pending, previous := c.labeledVersions()
	switch a {
	case ActionFinish:
		return LabelMove{LabelCurrent, current, pending}
	case ActionRollBack:
		return LabelMove{LabelCurrent, current, previous}
	default:
		return LabelMove{LabelPending, pending, ""}
	}
}

// diagnosis puts it all into words.
func (c *diagnoser) diagnosis(r rule) *Diagnosis {
	d := &Diagnosis{
		SecretID: c.event.SecretID, Rotation: "on", Action: r.action, Reason: r.reason,
		Commands: c.commands(r.action), format: c.event.Format,
	}
	switch {
	case c.meta.RotationEnabled == nil:
		d.Rotation = "not set up"
	case !*c.meta.RotationEnabled:
		d.Rotation = "off"
	}
	if r.action.movesLabel() {
		event, _ := json.Marshal(struct {
			Step     Step
			SecretID string `json:"SecretId"`
			Action   Action
		}{StepRecover, c.meta.ARN, r.action})
		d.RecoverEvent = string(event)
	}
	current, pending, previous := c.labeledVersions()
	for i, id := range []string{current, pending, previous} {
		if id == "" || i > 0 && id == current || i > 1 && id == pending {
			continue
		}
		l := c.probes[id]
		s := VersionStatus{VersionID: id, Labels: c.meta.Labels[id], LabelMeaning: labelMeaning(c.meta.Labels[id]), State: l.state, Detail: l.detail}
		if s.State == credentialNone { // of a secret that is not ours
			s.State = CredentialNotTested
		}
		if l.err != nil {
			s.Kind, s.Detail = KindOf(l.err), l.err.Error()
		}
		d.Versions = append(d.Versions, s)
	}
	return d
}

// commands does an action in the AWS CLI.
func (c *diagnoser) commands(a Action) []string {
	rotate := "aws secretsmanager rotate-secret --secret-id " + c.meta.ARN
	switch {
	case a == ActionDiscard: // and begin anew
		return []string{c.labelMove(a).cliCommand(c.meta.ARN), rotate}
	case a.movesLabel():
		return []string{c.labelMove(a).cliCommand(c.meta.ARN)}
	case a == ActionRetry, a == ActionNone && c.meta.RotationEnabled != nil && !*c.meta.RotationEnabled:
		return []string{rotate}
	case a == ActionCancel:
		return []string{"aws secretsmanager cancel-rotate-secret --secret-id " + c.meta.ARN}
	case a == ActionStoreCredentials, a == ActionResetPassword:
		return []string{"aws secretsmanager put-secret-value --secret-id " + c.meta.ARN + " --secret-string file://value.json"}
	}
	return nil
}

// cliCommand makes the move in the AWS CLI.
func (m LabelMove) cliCommand(secretID string) string {
	text := "aws secretsmanager update-secret-version-stage --secret-id " + secretID + " --version-stage " + m.Label
	if m.To != "" {
		text += " --move-to-version-id " + m.To
	}
	if m.From != "" {
		text += " --remove-from-version-id " + m.From
	}
	return text
}

// labelsAfter gives the labels as the service leaves them after a move.
func (m LabelMove) labelsAfter(before Metadata) map[string][]string {
	labels := maps.Clone(before.Labels)
	put := func(label, from, to string) {
		labels[from] = slices.DeleteFunc(slices.Clone(labels[from]), func(l string) bool { return l == label })
		if to != "" {
			labels[to] = append(slices.Clone(labels[to]), label)
		}
	}
	put(m.Label, m.From, m.To)
	if m.Label == LabelCurrent {
		put(LabelPrevious, before.VersionWithLabel(LabelPrevious), m.From)
	}
	for id := range labels {
		slices.Sort(labels[id])
	}
	return labels
}
