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
func (v *visit) recover(ctx context.Context) (Outcome, error) {
	m, err := v.Store.Describe(ctx, v.event.SecretID)
	if err != nil {
		return Failed, fmt.Errorf("secret: %w", err)
	}
	c := chart{visit: v, meta: m, looks: map[string]look{}}
	if refusal := ours(m); refusal != nil {
		v.record.Diagnosis = c.diagnosis(rule{action: Leave, because: refusal.Error()})
	} else {
		c.ask(ctx)
		v.record.Diagnosis = c.diagnosis(decide(c.scene(ctx)))
	}
	d := v.record.Diagnosis
	v.note("status: %s; to do: %s", d.verdict(), d.Action)
	switch v.event.Action {
	case "":
		return Tested, nil
	case d.Action:
		return c.act(ctx)
	}
	return Failed, fmt.Errorf("recovery: %w: asked to %s, and what there is to do is %s: %s. Nothing was changed", Conflict, v.event.Action, d.Action, d.Because)
}

// act moves the label, and says how the secret stands then. Nobody is asked again:
// that a label moves changes nothing about what works.
func (c *chart) act(ctx context.Context) (Outcome, error) {
	m := c.moveFor(c.event.Action)
	already, err := c.move(ctx, m)
	if err != nil {
		return Failed, err
	}
	done := fmt.Sprintf("moved %s from version %s to version %s", m.Label, m.From, m.To)
	if m.To == "" {
		done = fmt.Sprintf("took %s away from version %s, whose value can be read by its id for another day at least", m.Label, m.From)
	}
	c.note("%s", done)
	c.meta.Labels = m.applied(c.meta)
	d := c.diagnosis(decide(c.scene(ctx)))
	d.Moved, d.Undo = done, Move{m.Label, m.To, m.From}.command(c.meta.ARN)
	c.record.Diagnosis = d
	if already {
		return AlreadyDone, nil
	}
	return Done, nil
}

// chart is what was found out about a secret.
type chart struct {
	*visit
	meta  Metadata
	looks map[string]look // by version id
}

// look is what was found out about a version.
type look struct {
	value    secret.Document
	standing Standing
	asked    bool // the strategy was
	err      error
	detail   string // in place of err
}

// ask reads the values and has the strategy try them: each once at most, AWSCURRENT
// first, and none where the answer changes nothing. Like a strategy's own search it
// ends at the first answer that is not about the credentials.
func (c *chart) ask(ctx context.Context) {
	current, pending, previous := c.ids()
	c.read(ctx, current, LabelCurrent)
	if c.looks[current].standing == Unclear {
		c.skip("because of AWSCURRENT", pending, previous)
		return
	}
	c.read(ctx, pending, LabelPending)
	c.read(ctx, previous, LabelPrevious)
	c.try(ctx, current, secret.Document{})
	if c.looks[current].standing == Unclear {
		c.skip("because of AWSCURRENT", pending, previous)
		return
	}
	// A value is sent only where AWSCURRENT leads. Where that leads nowhere, the
	// place is that of AWSPREVIOUS, which was AWSCURRENT once.
	place := c.looks[current].value
	if s := c.looks[current].standing; s == Unusable || s == NoValue {
		place = c.looks[previous].value
	}
	if place.IsZero() {
		c.skip("nothing says which account and place it should be for", pending, previous)
		return
	}
	c.try(ctx, pending, place)
	switch {
	case c.looks[current].standing == Accepted || c.looks[pending].standing == Accepted:
		c.skip("a later version works", previous)
	case c.looks[pending].standing == Unclear:
		c.skip("because of AWSPENDING", previous)
	default:
		c.try(ctx, previous, place)
	}
}

// ids gives the versions that carry the labels; "" for a label that none carries.
func (c *chart) ids() (current, pending, previous string) {
	return c.meta.Holder(LabelCurrent), c.meta.Holder(LabelPending), c.meta.Holder(LabelPrevious)
}

// read reads a value, by its id and its label, so that a label which has moved in
// the meantime is noticed.
func (c *chart) read(ctx context.Context, id, label string) {
	if _, known := c.looks[id]; known || id == "" {
		return
	}
	val, err := c.value(ctx, c.event.SecretID, Version{ID: id, Label: label})
	l := look{value: val.Document, standing: NotAsked, err: err}
	switch {
	case errors.Is(err, NotFound):
		l.standing = NoValue
	case errors.Is(err, Misconfigured) && val.VersionID != "": // read, and no document
		l.standing = Unusable
	case err != nil:
		l.standing = Unclear
	}
	c.looks[id] = l
}

// try has the strategy log in with a version, unless that has been done, with the
// same credentials or under another label. place is AWSCURRENT's value; zero: this
// is it.
func (c *chart) try(ctx context.Context, id string, place secret.Document) {
	l, known := c.looks[id]
	if !known || l.asked || l.standing != NotAsked {
		return
	}
	for _, other := range c.looks {
		if other.asked && other.value.SameLogin(l.value) {
			l.standing, l.detail = other.standing, "the same user and password as those of another version here"
			c.looks[id] = l
			return
		}
	}
	if place.Equal(l.value) {
		place = secret.Document{}
	}
	l.asked, l.detail = true, ""
	l.err = c.Strategy.Verify(ctx, c.quietly(place, l.value))
	switch kind := KindOf(l.err); {
	case l.err == nil:
		l.standing = Accepted
	case kind == LoginRejected:
		l.standing = Rejected
	case kind == Misconfigured:
		l.standing = Unusable
	case kind == Conflict && !place.IsZero():
		l.standing, l.asked = Elsewhere, false
	default:
		l.standing = Unclear
	}
	c.looks[id] = l
}

// quietly is a rotation of which nothing is told: the diagnosis says it all.
func (c *chart) quietly(current, pending secret.Document) Rotation {
	r := c.rotation(current, pending)
	r.Notes = nil
	return r
}

// skip says why versions are not asked about.
func (c *chart) skip(why string, ids ...string) {
	for _, id := range ids {
		l, known := c.looks[id]
		if id == "" || known && (l.asked || l.standing != NotAsked) {
			continue
		}
		l.standing, l.detail = NotAsked, why
		c.looks[id] = l
	}
}

// scene gives what the decision rests on.
func (c *chart) scene(ctx context.Context) scene {
	current, pending, previous := c.ids()
	s := scene{
		current:  c.looks[current].standing,
		previous: c.looks[previous].standing,
		running:  c.meta.RotationEnabled != nil && *c.meta.RotationEnabled,
	}
	if pending != current {
		s.pending = c.looks[pending].standing
		s.stale = pending == previous || c.stale(ctx, c.looks[current], c.looks[pending])
	}
	return s
}

// stale says whether AWSPENDING cannot have been made from AWSCURRENT: whether it
// differs from it in other members than the strategy's own proposal does.
func (c *chart) stale(ctx context.Context, current, pending look) bool {
	if current.standing != Accepted || pending.value.IsZero() {
		return false
	}
	next, err := c.Strategy.Next(ctx, c.quietly(current.value, secret.Document{}))
	if err != nil {
		return false
	}
	c.scrub.AddDocument(next)
	differing := func(d secret.Document) []string { return slices.Sorted(slices.Values(current.value.Differing(d))) }
	return !slices.Equal(differing(next), differing(pending.value))
}

// moveFor is the label that an action moves.
func (c *chart) moveFor(a Action) Move {
	current, pending, previous := c.ids()
	switch a {
	case Finish:
		return Move{LabelCurrent, current, pending}
	case Restore:
		return Move{LabelCurrent, current, previous}
	default:
		return Move{LabelPending, pending, ""}
	}
}

// diagnosis puts it all into words.
func (c *chart) diagnosis(r rule) *Diagnosis {
	d := &Diagnosis{
		Secret: c.event.SecretID, Rotation: "on", Action: r.action, Because: r.because,
		Commands: c.commands(r.action), format: c.event.Format,
	}
	switch {
	case c.meta.RotationEnabled == nil:
		d.Rotation = "not set up"
	case !*c.meta.RotationEnabled:
		d.Rotation = "off"
	}
	if r.action.moves() {
		event, _ := json.Marshal(struct {
			Step     Step
			SecretID string `json:"SecretId"`
			Action   Action
		}{Recover, c.meta.ARN, r.action})
		d.Event = string(event)
	}
	current, pending, previous := c.ids()
	for i, id := range []string{current, pending, previous} {
		if id == "" || i > 0 && id == current || i > 1 && id == pending {
			continue
		}
		l := c.looks[id]
		s := Stored{Version: id, Labels: c.meta.Labels[id], Means: meaning(c.meta.Labels[id]), Standing: l.standing, Detail: l.detail}
		if s.Standing == absent { // of a secret that is not ours
			s.Standing = NotAsked
		}
		if l.err != nil {
			s.Kind, s.Detail = KindOf(l.err), l.err.Error()
		}
		d.Versions = append(d.Versions, s)
	}
	return d
}

// commands does an action in the AWS CLI.
func (c *chart) commands(a Action) []string {
	rotate := "aws secretsmanager rotate-secret --secret-id " + c.meta.ARN
	switch {
	case a == Discard: // and begin anew
		return []string{c.moveFor(a).command(c.meta.ARN), rotate}
	case a.moves():
		return []string{c.moveFor(a).command(c.meta.ARN)}
	case a == Retry, a == Nothing && c.meta.RotationEnabled != nil && !*c.meta.RotationEnabled:
		return []string{rotate}
	case a == Cancel:
		return []string{"aws secretsmanager cancel-rotate-secret --secret-id " + c.meta.ARN}
	case a == Provide, a == Reset:
		return []string{"aws secretsmanager put-secret-value --secret-id " + c.meta.ARN + " --secret-string file://value.json"}
	}
	return nil
}

// command makes the move in the AWS CLI.
func (m Move) command(secretID string) string {
	text := "aws secretsmanager update-secret-version-stage --secret-id " + secretID + " --version-stage " + m.Label
	if m.To != "" {
		text += " --move-to-version-id " + m.To
	}
	if m.From != "" {
		text += " --remove-from-version-id " + m.From
	}
	return text
}

// applied gives the labels as the service leaves them after a move.
func (m Move) applied(before Metadata) map[string][]string {
	labels := maps.Clone(before.Labels)
	put := func(label, from, to string) {
		labels[from] = slices.DeleteFunc(slices.Clone(labels[from]), func(l string) bool { return l == label })
		if to != "" {
			labels[to] = append(slices.Clone(labels[to]), label)
		}
	}
	put(m.Label, m.From, m.To)
	if m.Label == LabelCurrent {
		put(LabelPrevious, before.Holder(LabelPrevious), m.From)
	}
	for id := range labels {
		slices.Sort(labels[id])
	}
	return labels
}
