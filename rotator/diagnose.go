package rotator

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/quarterturn-dev/quarterturn/rotator/secret"
)

// recover says how the secret stands and what to do about it. It does so itself
// only where the event names that very action: the caller has read a diagnosis,
// and it still holds.
func (v *invocation) recover(ctx context.Context) (Outcome, error) {
	m, err := v.Store.Describe(ctx, v.event.SecretID)
	if err != nil {
		return OutcomeFailed, fmt.Errorf("secret: %w", err)
	}
	c := diagnoser{invocation: v, meta: m, probes: map[string]probe{}, last: map[string]CredentialState{}}
	if refusal := checkRotatable(m); refusal != nil {
		v.record.Diagnosis = c.diagnosis(ctx, rule{action: ActionNotManaged, reason: briefly(refusal),
			lines: FixesOf(refusal)})
	} else {
		if c.other = v.functionMismatch(ctx, m); c.other == "" {
			c.probeVersions(ctx)
			if v.event.Action == "" {
				c.testUse(ctx)
			}
			c.explain(ctx)
			c.compare(ctx)
			c.compareStale(ctx)
			c.compareEdited(ctx)
			c.warnOfEdit()
		}
		v.record.Diagnosis = c.diagnosis(ctx, c.decide(ctx))
	}
	d := v.record.Diagnosis
	v.logf("status: %s; recommended action: %s", d.summary(), d.Action)
	switch v.event.Action {
	case "":
		return OutcomeChecked, nil
	case d.Action:
		return c.apply(ctx)
	}
	current := c.meta.VersionWithLabel(LabelCurrent)
	if c.probes[c.first()].state == CredentialRejected && c.probes[current].limited {
		return OutcomeFailed, fmt.Errorf("recovery: %w: action %s was requested, but the version that it moves "+
			"AWSCURRENT to is rejected, so there is nothing to move. AWSCURRENT was not tested after that, for a "+
			"second rejected login in a row can lock the user: status tests it first. Nothing was changed",
			KindConflict, v.event.Action)
	}
	return OutcomeFailed, fmt.Errorf("recovery: %w: action %s was requested, but status recommends %s: %s. "+
		"Nothing was changed", KindConflict, v.event.Action, d.Action, d.Reason)
}

// decide finds what to do, and tries what that needs: for the answer may then be another.
func (c *diagnoser) decide(ctx context.Context) rule {
	c.testHost(ctx, decide(c.situation(ctx)).action)
	c.askSaved(ctx, decide(c.situation(ctx)).action)
	c.tryAction(ctx, decide(c.situation(ctx)).action)
	r := decide(c.situation(ctx))
	if r.action == ActionRollBack {
		c.compareMembers()
	}
	if c.notHere && r.action == ActionNone {
		r.lines = nil // to set up what would fail
	}
	return r
}

// compareMembers names what a rollback loses: members that AWSCURRENT alone has, which another team may have added.
func (c *diagnoser) compareMembers() {
	current, _, previous := c.labeledVersions()
	var lost []string
	for _, key := range c.probes[current].value.Keys() {
		if l := c.probes[previous]; !l.value.IsZero() && !slices.Contains(l.value.Keys(), key) {
			lost = append(lost, fmt.Sprintf("%.60q", key))
		}
	}
	const most = 5
	if n := len(lost); n > most {
		lost = append(lost[:most], fmt.Sprintf("%d more", n-most))
	}
	if lost != nil {
		c.note(previous, fmt.Sprintf("it lacks members of version %s: %s. Add those that clients need again, once the "+
			"label has moved", current, strings.Join(lost, ", ")))
	}
}

// apply moves the label, and says how the secret stands then. No login is tested again:
// that a label moves changes nothing about what works. What is to be done next is tried, as by status.
func (c *diagnoser) apply(ctx context.Context) (Outcome, error) {
	m := c.labelMove(c.event.Action)
	already, err := c.moveLabel(ctx, m)
	if err != nil {
		return OutcomeFailed, err
	}
	done := fmt.Sprintf("moved %s from version %s to version %s", m.Label, m.From, m.To)
	if m.To == "" {
		done = fmt.Sprintf("removed %s from version %s; its value stays readable by version id for at least a day",
			m.Label, m.From)
	}
	c.logf("%s", done)
	c.meta.Labels = m.labelsAfter(c.meta)
	c.testUse(ctx)
	d := c.diagnosis(ctx, c.decide(ctx))
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
	// other says that the secret is for another function; "": it is for this one.
	other string
	// last is how the last login of a user ended.
	last map[string]CredentialState
	// attempt is what the next attempt of the rotation would come to, or the next rotation.
	attempt attempt
	// unusable is why clients cannot work with AWSCURRENT, which logs in, or why anything would log in; nil: neither.
	unusable error
	// perhaps is what ends what may be so of AWSCURRENT on purpose.
	perhaps []Fix
	// back is among them, where AWSCURRENT may be another environment's: before anything else is done.
	back []Fix
	// readOnly is how a server says that it takes no changes which lets another version in than AWSCURRENT, or a
	// superuser who sees that AWSCURRENT has another password; nil: it takes them, or that was not found out.
	readOnly error
	// notHere: rotation is not set up, and this function could not rotate the secret, as a superuser's own.
	notHere bool
	// cannotMove: the function is denied what recover needs, which toMove mends.
	cannotMove bool
	toMove     []Fix
	// explained: a superuser has said why a version is rejected.
	explained bool
	// superuserFails: it could not be asked, which toAsk mends, or may not run what is printed.
	superuserFails bool
	toAsk          []Fix
	// reset are the statements that the superuser gave, by user.
	reset map[string]string
}

// probe is what was found out about a version.
type probe struct {
	value   secret.Document
	state   CredentialState
	tried   bool // the strategy was
	limited bool // and it was not, because rejected logins count
	err     error
	detail  string // in place of err
	why     string // what a superuser sees, which comes before err
	seen    bool   // why says what to run of what is blocked, in place of err
	remedy  string // in words, for where no label is to be moved
	fixes   []Fix  // of why and next; what err has comes beside them
	next    string // what else there is to say of it
}

// probeVersions reads the values and has the strategy test them: each once at most, AWSCURRENT
// first, and none where the answer changes nothing. Like a strategy's own search it
// ends at the first answer that is not about the credentials, and it makes one rejected
// login at most for each user that the server may lock after several. So that the other
// versions can be tested too, the caller may name the one to begin with.
func (c *diagnoser) probeVersions(ctx context.Context) {
	current, pending, previous := c.labeledVersions()
	c.readVersion(ctx, current, LabelCurrent)
	if c.unclear(current, pending, previous) {
		return
	}
	c.readVersion(ctx, pending, LabelPending)
	c.readVersion(ctx, previous, LabelPrevious)
	// Where AWSCURRENT says of no place, none is known yet that the other may be sent to.
	if first := c.first(); first != current && !c.probes[current].value.IsZero() {
		c.tryLogin(ctx, first, c.probes[current].value)
		if c.unclear(first, current, pending, previous) {
			return
		}
		if l := c.probes[first]; !l.value.IsZero() &&
			(l.state == CredentialInvalid || l.state == CredentialOtherTarget) {
			// It was not sent, and AWSCURRENT may be what is wrong.
			l.state, l.tried, l.err = CredentialNotTested, false, nil
			c.probes[first] = l
		}
	}
	c.tryLogin(ctx, current, secret.Document{})
	if l := c.probes[current]; errors.Is(l.err, ErrOtherEngine) {
		c.other, l.state = l.err.Error(), CredentialNotTested
		c.probes[current] = l
	}
	if first := c.first(); c.probes[first].state == CredentialRight { // it was tested before AWSCURRENT
		l := c.probes[first]
		l.state = c.stateOf(first, l, c.probes[current].value)
		c.probes[first] = l
	}
	if c.other != "" || c.unclear(current, pending, previous) {
		return
	}
	// A value is sent only where AWSCURRENT leads. Where that leads nowhere, the
	// place is that of AWSPREVIOUS, which was AWSCURRENT once.
	place := c.probes[current].value
	if s := c.probes[current].state; s == CredentialInvalid || s == CredentialMissing {
		place = c.probes[previous].value
	}
	if place.IsZero() {
		c.markNotTested("no version says which user and target it should be for", pending, previous)
		return
	}
	strayed := c.strayed()
	if was := c.probes[previous].value; strayed && !elsewhere(place, was) {
		place = was
	}
	if c.first() == previous && (c.probes[current].state != CredentialWorks || strayed) {
		c.tryLogin(ctx, previous, place) // asked for first, and not sent above
		if c.unclear(previous, pending) {
			return
		}
	}
	c.tryLogin(ctx, pending, place)
	works := c.probes[current].state == CredentialWorks && !strayed
	switch {
	case works && (pending == "" || pending == current) && c.anotherUser():
		if was := c.probes[previous].value; !elsewhere(place, was) { // the way back
			c.tryLogin(ctx, previous, was)
		}
	case works:
		c.markNotTested("not needed: AWSCURRENT works", previous)
	case c.probes[pending].state == CredentialWorks:
		c.markNotTested("not needed: AWSPENDING works", previous)
	case !c.unclear(pending, previous):
		c.tryLogin(ctx, previous, place)
	}
}

// testUse looks behind the login of AWSCURRENT where a person asks how things are.
func (c *diagnoser) testUse(ctx context.Context) {
	current, _, _ := c.labeledVersions()
	tester, ok := c.Strategy.(UseTester)
	if !ok || c.probes[current].state != CredentialWorks {
		return
	}
	remark, err := tester.TestUse(ctx, c.rotationWithoutLog(c.probes[current].value, secret.Document{}))
	c.unusable, c.perhaps = nil, nil
	switch KindOf(err) {
	case KindPrivilege, KindMisconfigured, KindUnreachable, KindNotFound, KindReadOnly, KindTooManyConnections:
		c.unusable = err
	case KindDeadline:
		if len(FixesOf(err)) > 0 { // what ends it is known: clients may meet it, too
			c.unusable = err
		}
	}
	switch {
	case c.unusable != nil:
		c.noteFix(current, briefly(err), FixesOf(err))
	case err != nil:
		c.note(current, "whether clients can work with it was not found out: "+err.Error())
	default:
		c.note(current, remark.Text)
		c.perhaps = remark.Fixes
		c.compareServers()
		c.compareUsers(ctx)
	}
}

// anotherUser says whether AWSCURRENT is of another user than AWSPREVIOUS, where no rotation moves from one to another:
// another's credentials may have been stored there by mistake, the superuser's perhaps.
func (c *diagnoser) anotherUser() bool {
	current, _, previous := c.labeledVersions()
	now, was := c.probes[current].value.Text("username"), c.probes[previous].value.Text("username")
	return now != "" && was != "" && was != now && !c.switchesAccount(c.probes[current].value)
}

// strayed says the same of an AWSCURRENT that works, where AWSPENDING is of the user of AWSPREVIOUS, and may be the one
// password of that user which works. Both are tested then, where AWSPREVIOUS leads.
func (c *diagnoser) strayed() bool {
	current, pending, previous := c.labeledVersions()
	return c.anotherUser() && pending != current && c.probes[current].state == CredentialWorks &&
		c.probes[pending].value.Text("username") == c.probes[previous].value.Text("username")
}

// compareServers remarks on an AWSCURRENT that works on another server than AWSPREVIOUS names. A move on purpose looks
// the same, until the first rotation after it.
func (c *diagnoser) compareServers() {
	current, pending, previous := c.labeledVersions()
	said, back := wayBack(c.probes[current].value, c.probes[previous].value, c.meta)
	// What has just gone back is not sent there again, and of the stray the reason says what to do.
	if said == "" || pending == current || c.event.Action != "" || c.strayed() {
		return
	}
	c.note(current, said)
	l := c.probes[current] // whose other lines are about a server that may be wrong
	l.fixes = slices.Insert(l.fixes, 0, back)
	c.probes[current] = l
	c.perhaps, c.back = append(c.perhaps, back), []Fix{back}
	if pending != "" {
		c.noteFix(pending, "", []Fix{back})
	}
}

// wayBack is what to say, and to run, where two values are for different servers; "": they are not.
func wayBack(now, was secret.Document, m Metadata) (said string, back Fix) {
	if !elsewhere(now, was) {
		return "", Fix{}
	}
	at, before := server(now), server(was)
	return fmt.Sprintf("AWSCURRENT names the server %s, and AWSPREVIOUS names %s: if %[1]s is wrong, as where another "+
			"environment's value was stored by hand, go back, before clients write there (unless you have just done "+
			"so)", at, before), Fix{By: ByShell,
			For: fmt.Sprintf("%sif the server %s is wrong, to go back to %s, then run status again", BeforeRotating, at,
				before),
			Run: LabelMove{LabelCurrent, m.VersionWithLabel(LabelCurrent), m.VersionWithLabel(LabelPrevious)}.
				cliCommand(m.ARN)}
}

// server is where a value is for, in quotes.
func server(d secret.Document) string {
	text := d.Text("host")
	if port, ok := d.Int("port"); ok {
		text = fmt.Sprintf("%s:%d", text, port)
	}
	return fmt.Sprintf("%.300q", text)
}

// compareUsers remarks on an AWSCURRENT of another user than AWSPREVIOUS, unless a rotation has made it: the next one
// would change the password of whose credentials were stored there, or be refused for that.
func (c *diagnoser) compareUsers(ctx context.Context) {
	current, pending, previous := c.labeledVersions()
	if pending == current || !c.anotherUser() {
		return
	}
	now, was := c.probes[current].value.Text("username"), c.probes[previous].value.Text("username")
	said := fmt.Sprintf("it is of user %q, and AWSPREVIOUS of user %q: if another user's credentials were stored by "+
		"mistake, the next rotation would change their password", now, was)
	if strings.HasPrefix(now, was) || strings.HasPrefix(was, now) { // a pair, by its names
		said += "; if alternating users rotated it before, compare the function's environment with its deployment " +
			"(STRATEGY)"
	}
	c.note(current, said)
	if pending != "" { // the reason says what to do
		return
	}
	back := []Fix{{By: ByShell, For: fmt.Sprintf("if they were, to go back to user %q", was),
		Run: c.labelMove(ActionRollBack).cliCommand(c.meta.ARN)}}
	if c.probes[previous].state != CredentialWorks {
		c.note(current, fmt.Sprintf("AWSPREVIOUS is not known to work: to go back to user %q, find a version that "+
			"does, or set the password in AWSPREVIOUS, as a superuser of the database, and run status again", was))
		back = olderVersions()
		for i := range back {
			back[i].Run = c.filledIn(ctx, back[i].Run)
		}
	}
	if f := c.deniedUser(ctx); f.ID != "" {
		c.attempt = attemptFails
		c.noteFix(current, "the next rotation would fail: "+f.brief(), append(back, f.Fixes...))
		return
	}
	c.perhaps = append(c.perhaps, back...)
}

// testHost looks whether the server is read-only that lets AWSPREVIOUS in, and AWSCURRENT not: a replica that has
// stopped, or a restored backup, has older passwords than its primary.
func (c *diagnoser) testHost(ctx context.Context, a Action) {
	current, _, previous := c.labeledVersions()
	l := c.probes[previous]
	tester, ok := c.Strategy.(UseTester)
	if !ok || c.readOnly != nil || a != ActionRollBack || c.probes[current].state == CredentialInvalid ||
		l.state != CredentialWorks {
		return
	}
	_, err := tester.TestUse(ctx, c.rotationWithoutLog(l.value, secret.Document{}))
	if !errors.Is(err, KindReadOnly) {
		return
	}
	c.readOnly = err
	c.noteFix(previous, briefly(err), append(FixesOf(err), Fix{By: ByShell,
		For: "if a failover or a restored backup has lost changes, and this host is to be the primary, after that",
		Run: c.labelMove(a).cliCommand(c.meta.ARN)}))
}

// first is the version to test first: the one that the event names, or the one that
// its action would move AWSCURRENT to.
func (c *diagnoser) first() string {
	current, pending, previous := c.labeledVersions()
	switch {
	case c.event.Action == ActionFinish, c.event.VersionID == pending && pending != "":
		return pending
	case c.event.Action == ActionRollBack && previous != "", c.event.VersionID == previous && previous != "":
		return previous
	}
	return current
}

// unclear says whether a version could not be tested. Others would fare no better.
func (c *diagnoser) unclear(id string, others ...string) bool {
	if c.probes[id].state != CredentialUnknown {
		return false
	}
	label := LabelCurrent
	switch _, pending, previous := c.labeledVersions(); id {
	case pending:
		label = LabelPending
	case previous:
		label = LabelPrevious
	}
	c.markNotTested("skipped: "+label+" could not be tested", others...)
	return true
}

// guess is an error whose text says what may be wrong, and which is without that where a superuser sees what it is.
type guess interface {
	error
	Brief() string
}

func isGuess(err error) bool {
	var g guess
	return errors.As(err, &g)
}

func isPartly(err error) bool {
	var p PartialLogin
	return errors.As(err, &p)
}

// explain has a superuser look why AWSCURRENT is rejected, unless AWSPENDING's password is accepted: after
// setSecret that is as expected. What no password mends is said so of every version of that user, also of one that
// was not tested. That one is rejected where the superuser sees another password, and tested where it sees this
// one, which locks nothing. Where the server itself has said what blocks a login, three things are news: that the
// password is another; of a version beside AWSCURRENT, that it is the one set; and what is to be run where the
// server's answer lets guess, or something else is, as for an account for another host.
func (c *diagnoser) explain(ctx context.Context) {
	current, pending, previous := c.labeledVersions()
	explainer, ok := c.Strategy.(LoginExplainer)
	var ids []string
	var values []secret.Document
	for _, id := range slices.Compact([]string{current, pending, previous}) {
		l := c.probes[id]
		if l.state == CredentialRejected || l.state == CredentialBlocked || l.limited || isGuess(l.err) ||
			l.state == CredentialNotTested && c.last[l.value.Text("username")] == CredentialBlocked {
			ids, values = append(ids, id), append(values, l.value)
		}
	}
	if !ok || !slices.Contains(ids, current) || c.probes[pending].state == CredentialWorks ||
		isAccepted(c.probes[pending].err) {
		return
	}
	r := c.rotationWithoutLog(c.probes[current].value, secret.Document{})
	causes, err := explainer.ExplainRejected(ctx, r, values...)
	if errors.Is(err, KindReadOnly) && causes != nil {
		c.readOnly = err
		c.noteFix(current, briefly(err), FixesOf(err))
		err = nil
	}
	if err != nil {
		c.superuserFails = true
		var first []Fix // what lets clients in, where the server itself has said it
		if l := c.probes[current]; l.state == CredentialBlocked {
			first = FixesOf(l.err)
		}
		c.toAsk = FixesOf(err)
		mend := "mend that first and run status again, which then names the cause"
		if first != nil {
			mend = "mend that too, and run status again"
		}
		c.noteFix(current, "the superuser could not be asked why ("+mend+"): "+briefly(err), append(first, c.toAsk...))
		return
	}
	c.superuserFails = slices.ContainsFunc(causes, func(cause RejectionCause) bool { return cause.ByAdministrator })
	c.reset = map[string]string{}
	for i, cause := range causes[:min(len(causes), len(ids))] {
		id, l := ids[i], c.probes[ids[i]]
		proven := cause.Right && id != current
		known := FixesOf(l.err)
		news := cause.Blocked && (isGuess(l.err) || len(inTurn(append(known, cause.Fixes...))) > len(known))
		unknown := l.state == CredentialUnknown
		if cause.Text == "" || l.state == CredentialBlocked && cause.Reset == "" && !proven && !news ||
			unknown && (!cause.Right || cause.Remedy == "") {
			continue
		}
		c.explained, l.seen = true, l.state == CredentialBlocked && news || unknown || isPartly(l.err)
		sentence := "the superuser sees why: " + cause.Text
		switch {
		case cause.Blocked:
			l.state, l.limited = CredentialBlocked, false
		case cause.Invalid:
			l.state, l.limited = CredentialInvalid, false
		case cause.Reset != "":
			if l.state == CredentialNotTested {
				l.detail = "no login was tried"
			}
			l.state, l.limited = CredentialRejected, false
			c.reset[l.value.Text("username")] = cause.Reset
		case cause.Right && l.state == CredentialRejected && cause.Remedy == "":
			sentence += ". The server's log says what else is wrong"
		case cause.Right:
			sentence = "the superuser sees: " + cause.Text
		}
		l.why, l.remedy, l.fixes = sentence, cause.Remedy, append(l.fixes, cause.Fixes...)
		c.probes[id] = l
		if cause.Right && !unknown {
			c.testRight(ctx, id, current)
			// To set the password that is set already would change nothing.
			if l = c.probes[id]; id == current && l.state == CredentialRejected {
				l.state = CredentialRight
				c.probes[id] = l
			}
		}
		if proven {
			c.note(current, "the password of "+strings.Join(c.meta.Labels[id], "+")+" is the one set")
			if l = c.probes[id]; l.state == CredentialBlocked {
				l.state = CredentialRight
				c.probes[id] = l
			}
		}
	}
}

// testRight has a version tested after all, of which a superuser has said that its password is right.
func (c *diagnoser) testRight(ctx context.Context, id, current string) {
	l, place := c.probes[id], c.probes[current].value
	if id == current {
		place = secret.Document{}
	}
	delete(c.last, l.value.Text("username"))
	l.limited, l.detail = false, ""
	c.probes[id] = l
	c.tryLogin(ctx, id, place)
}

// compare says of an AWSCURRENT that does not work, or that clients cannot work with, in which members it differs from
// AWSPREVIOUS, beside those that a rotation changes, where that may be the cause: a person may have stored a wrong one.
func (c *diagnoser) compare(ctx context.Context) {
	id, _, previous := c.labeledVersions()
	current, other := c.probes[id], c.probes[previous]
	unlike := other.state == CredentialOtherTarget &&
		(current.state == CredentialRejected || current.state == CredentialBlocked)
	met := c.unusable
	if current.state == CredentialUnknown {
		met = current.err
	}
	if !unlike && met == nil || current.value.IsZero() || other.value.IsZero() {
		return
	}
	next, err := c.Strategy.Propose(ctx, c.rotationWithoutLog(current.value, secret.Document{}))
	if err != nil {
		return
	}
	c.scrub.AddDocument(next)
	followed, _ := current.value.Follow(next)
	rotated := append(current.value.ChangedKeys(next), current.value.ChangedKeys(followed)...)
	keys := slices.DeleteFunc(current.value.ChangedKeys(other.value), func(key string) bool {
		return slices.Contains(rotated, key) || current.value.SameValue(other.value, key) ||
			!unlike && !causes(key, met)
	})
	switch all := strings.Join(keys, ", "); {
	case all == "":
	case unlike && current.state == CredentialRejected: // the reason says what to do
		c.note(id, "AWSPREVIOUS has another "+all)
	default:
		c.note(id, "AWSPREVIOUS has another "+all+". If AWSCURRENT has a wrong one, move the label back first")
		l := c.probes[id] // whose other lines mend what need not be broken then
		l.fixes = slices.Insert(l.fixes, 0, Fix{By: ByShell, For: "if AWSCURRENT has a wrong " + all + ", to move " +
			"the label back", Run: LabelMove{LabelCurrent, id, previous}.cliCommand(c.meta.ARN)},
			Fix{By: ByShell, For: "if AWSPREVIOUS has a wrong one too, to store the right one, in value.json, " +
				"beside all else that AWSCURRENT has", Run: c.commands(ActionStoreCredentials)[0]})
		c.probes[id] = l
	}
}

// causes says whether a wrong value of a member can be behind an error by which a version was not tested, or not to be
// worked with. That no connection is free, say, no member causes.
func causes(key string, met error) bool {
	switch key {
	case "masterarn", "alternateUsername", "rotates": // of which no login of this user makes use
		return false
	}
	switch KindOf(met) {
	case KindUnreachable, KindTLS, KindReadOnly: // which name a server, and no user or database of it
		return key != "username" && key != "dbname"
	case KindMisconfigured:
		var login LoginError
		return errors.As(met, &login)
	}
	return false
}

// labeledVersions gives the versions that carry the labels; "" for a label that none carries.
func (c *diagnoser) labeledVersions() (current, pending, previous string) {
	return c.meta.VersionWithLabel(LabelCurrent), c.meta.VersionWithLabel(LabelPending),
		c.meta.VersionWithLabel(LabelPrevious)
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
	case isNoDocument(val, err):
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
	l := c.probes[id]
	if l.state != CredentialNotTested {
		return
	}
	for _, other := range c.probes { // a value that is invalid was not sent, maybe for its host
		if other.tried && other.state != CredentialInvalid && other.value.SameCredentials(l.value) &&
			!elsewhere(other.value, l.value) {
			l.state, l.detail = other.state, "the same user and password as those of another version here"
			c.probes[id] = l
			return
		}
	}
	user := l.value.Text("username")
	switch limiter, ok := c.Strategy.(FailedLoginLimiter); {
	case elsewhere(place, l.value), anotherDatabase(place, l.value): // nothing will be sent
	case c.last[user] == CredentialBlocked:
		c.markNotTested(fmt.Sprintf("not tested: the database does not let user %q log in", user), id)
		return
	case c.last[user] == CredentialRejected && (!ok || limiter.LimitsFailedLogins(l.value)):
		c.markNotTested(fmt.Sprintf("not tested: a second rejected login in a row can lock user %q", user), id)
		l = c.probes[id]
		l.limited = true
		c.probes[id] = l
		return
	}
	l.tried, l.detail = true, ""
	l.err = c.Strategy.Verify(ctx, c.rotationWithoutLog(place, l.value))
	l.state = c.stateOf(id, l, place)
	l.tried = l.state != CredentialOtherTarget
	if c.probes[id] = l; l.tried {
		c.last[user] = l.state
	}
}

// stateOf is what the end of a login says of a version, and of AWSCURRENT as far as that has been tested.
func (c *diagnoser) stateOf(id string, l probe, place secret.Document) CredentialState {
	current := c.meta.VersionWithLabel(LabelCurrent)
	var login LoginError
	switch kind := KindOf(l.err); {
	case l.err == nil:
		return CredentialWorks
	case isAccepted(l.err) && id != current && c.probes[current].state != CredentialWorks:
		return CredentialRight // where clients need another: else to mend what ends the login comes first
	case kind == KindLoginRejected:
		return CredentialRejected
	case kind == KindPrivilege:
		return CredentialBlocked
	case kind == KindMisconfigured && !errors.As(l.err, &login):
		return CredentialInvalid
	case kind == KindConflict && !place.IsZero() && !errors.As(l.err, &login):
		return CredentialOtherTarget
	case refusesAccount(l.err) && c.switchesAccount(l.value) && c.probes[current].state == CredentialWorks:
		return CredentialBlocked // this user alone, for the other is let in
	}
	return CredentialUnknown
}

// elsewhere says whether two values are for different servers, so that no strategy sends the one where the other leads.
func elsewhere(a, b secret.Document) bool {
	host := func(d secret.Document) string { return strings.TrimSuffix(strings.ToLower(d.Text("host")), ".") }
	portA, okA := a.Int("port")
	portB, okB := b.Int("port")
	return host(a) != "" && host(b) != "" && host(a) != host(b) || okA && okB && portA != portB
}

// anotherDatabase says whether two values name different databases, so that neither is sent where the other leads.
func anotherDatabase(a, b secret.Document) bool {
	const key = "dbname"
	return a.Text(key) != "" && b.Text(key) != "" && a.Text(key) != b.Text(key)
}

// tryAction tries what an action needs, so that nothing is recommended which must fail.
func (c *diagnoser) tryAction(ctx context.Context, a Action) {
	current, pending, _ := c.labeledVersions()
	onLambda := c.FunctionARN != nil && c.FunctionARN(ctx) != ""
	if a == ActionNone && c.event.Action == "" && c.meta.RotationEnabled == nil {
		c.trySetUp(ctx)
	}
	switch {
	// The permission that a rotation uses last. A first look is enough: after a move the function has it.
	case a == ActionNone:
		rows := []string{"S4"}
		if onLambda && c.event.Action == "" {
			rows = append(rows, "S8")
		}
		for _, f := range c.check(ctx, rows...) {
			if f.Status != StatusDenied && f.Status != StatusFailed {
				continue
			}
			c.attempt = attemptFails
			if f.Status == StatusDenied && c.meta.RotationEnabled == nil {
				f.Fixes = append(f.Fixes, Fix{By: ByShell, For: "if a policy allows this on the condition " +
					"secretsmanager:resource/AllowRotationLambdaArn, which denies it until rotation is set up, to " +
					"set it up without rotating", Run: c.filledIn(ctx, setUpCommand) + " --no-rotate-immediately"})
			}
			c.noteFix(current, "the next rotation would fail: "+f.brief(), f.Fixes)
		}
	case a == ActionRetry:
		c.rehearse(ctx)
		if c.attempt == attemptOpen && !c.probes[pending].value.IsZero() {
			c.askUntried(ctx, pending)
		}
		rows := []string{"S4"}
		if c.probes[pending].value.IsZero() {
			rows = append(rows, "S13")
		}
		if c.PreflightMode != PreflightOff && c.PreflightMode != PreflightReport {
			rows = append(rows, "S11")
		}
		if onLambda {
			rows = append(rows, "S7", "S8")
		}
		// Each step reads AWSPENDING. What a person is denied, the function may be allowed; a bad key fails for both.
		if l := c.probes[pending]; errors.Is(l.err, KindAccessDenied) && onLambda ||
			errors.Is(l.err, KindMisconfigured) && l.value.IsZero() {
			c.attempt = cmp.Or(c.attempt, attemptFails)
		}
		found := c.check(ctx, rows...)
		// Why no value was stored, the log says. Where all else passes, it may be the key: the real call alone tells.
		failing := func(f Finding) bool { return f.Status != StatusUnknown }
		if onLambda && c.probes[pending].state == CredentialMissing && c.attempt == attemptOpen &&
			!slices.ContainsFunc(found, failing) {
			found = append(found, c.check(ctx, "K3")...)
		}
		for _, f := range found {
			if f.Status == StatusUnknown {
				c.noteFix(pending, "the next attempt needs "+f.Check+": "+f.Detail, f.Fixes)
				continue
			}
			c.attempt = cmp.Or(c.attempt, attemptFails)
			c.noteFails(pending, f)
		}
		if !onLambda && c.attempt == attemptOpen { // a person's permissions are not the function's
			c.note(pending, "the permissions of the function were not tested: its preflight tests them")
		}
	case a.movesLabel() && c.event.Action == "":
		if a != ActionRollBack {
			for _, f := range c.check(ctx, "S4") {
				if a == ActionFinish {
					c.note(pending, "the label cannot move yet: "+f.brief())
				} else {
					c.note(current, "the next rotation would fail: "+f.brief())
				}
				c.toMove = append(c.toMove, f.Fixes...)
			}
		}
		if !onLambda {
			return
		}
		for _, f := range c.check(ctx, "S8") {
			if f.Status == StatusDenied {
				m := c.labelMove(a)
				c.cannotMove = true
				c.note(cmp.Or(m.To, m.From), "the function may not move the label, so run the command below "+
					"yourself, and where you are denied it too, first do what mends that: "+f.brief())
				c.toMove = append(c.toMove, f.Fixes...)
			}
		}
	}
}

// trySetUp looks whether the function finds the superuser by whom it would rotate a secret that is not set up. What it
// is denied, a policy may allow once that is done.
func (c *diagnoser) trySetUp(ctx context.Context) {
	current := c.meta.VersionWithLabel(LabelCurrent)
	if f := c.deniedUser(ctx); f.ID != "" {
		c.notHere = true
		c.note(current, "this function cannot rotate it as it is: "+f.brief())
	}
}

// deniedUser is why a preflight refuses the user of AWSCURRENT, or finds no superuser for it; zero: neither.
func (c *diagnoser) deniedUser(ctx context.Context) Finding {
	p, ok := c.Strategy.(Preflighter)
	if !ok {
		return Finding{}
	}
	r := c.rotationWithoutLog(c.probes[c.meta.VersionWithLabel(LabelCurrent)].value, secret.Document{})
	r.ReadOnlyProbes = true
	for _, f := range p.Preflight(ctx, r) {
		if f.ID == "S10" && f.Status == StatusFailed || f.ID == "P10" && f.Kind == KindNotEntitled {
			return f
		}
	}
	return Finding{}
}

// askUntried asks what no rehearsal tries. Whether what an attempt has met lasts, the next attempt alone shows: it may
// come once a person has seen that it does not.
func (c *diagnoser) askUntried(ctx context.Context, pending string) {
	p, ok := c.Strategy.(PartialDryRun)
	if !ok {
		return
	}
	r := c.rotationWithoutLog(c.probes[c.meta.VersionWithLabel(LabelCurrent)].value, c.probes[pending].value)
	untold, err := p.NotInDryRun(ctx, r)
	switch {
	case errors.Is(err, KindMisconfigured):
		c.attempt = attemptFails
		c.noteFix(pending, "the next attempt would fail, unless this is mended: "+briefly(err), append(FixesOf(err),
			c.goOn(ActionRetry)))
	case err != nil:
		c.note(pending, "what no dry run tries was not found out: "+err.Error())
	default:
		c.note(pending, untold)
	}
}

// goOn is what completes a rotation once all else is mended.
func (c *diagnoser) goOn(a Action) Fix {
	return Fix{By: ByShell, For: "once that succeeds, to go on", Run: c.commands(a)[0], Turn: TurnLast}
}

// askSaved asks the same where a label is to move to AWSPENDING, which works: perhaps until the server is restarted. No
// client is refused while AWSCURRENT works too, so what is not saved comes first then, and an attempt saves it.
func (c *diagnoser) askSaved(ctx context.Context, a Action) {
	current, pending, _ := c.labeledVersions()
	p, ok := c.Strategy.(PartialDryRun)
	if !ok || a != ActionFinish || c.probes[pending].state != CredentialWorks {
		return
	}
	_, err := p.NotInDryRun(ctx, c.rotationWithoutLog(c.probes[current].value, c.probes[pending].value))
	if !errors.Is(err, KindMisconfigured) {
		return
	}
	c.attempt = attemptFails
	switch {
	case c.probes[current].state != CredentialWorks:
		c.noteFix(pending, "once the label has moved, mend this, or it may be rejected after the next restart of a "+
			"server: "+briefly(err), FixesOf(err))
	case c.meta.RotationEnabled != nil && *c.meta.RotationEnabled:
		c.noteFix(pending, "after the next restart of a server it may be rejected, unless this is mended: "+
			briefly(err), append(FixesOf(err), c.goOn(ActionRetry)))
	default:
		c.noteFix(pending, "after the next restart of a server it may be rejected, unless this is mended: "+
			briefly(err), append(FixesOf(err), c.goOn(ActionFinish)))
	}
}

// check runs rows of a preflight, and gives what does not pass.
func (c *diagnoser) check(ctx context.Context, rows ...string) []Finding {
	current := c.meta.VersionWithLabel(LabelCurrent)
	x := &examination{invocation: c.invocation, observed: &observed{
		meta: c.meta, value: SecretValue{VersionID: current, Document: c.probes[current].value},
	}}
	table := slices.DeleteFunc(x.rows(), func(r Check) bool { return !slices.Contains(rows, r.ID) })
	return slices.DeleteFunc(RunChecks(ctx, table), func(f Finding) bool {
		return f.Status == StatusPassed || f.Status == StatusInferred
	})
}

// note adds a sentence, or nothing, to what is said of a version.
func (c *diagnoser) note(id, sentence string) {
	l := c.probes[id]
	l.next = strings.Trim(l.next+"; "+sentence, "; ")
	c.probes[id] = l
}

// noteFix adds to it what people run, too.
func (c *diagnoser) noteFix(id, sentence string, fixes []Fix) {
	c.note(id, sentence)
	l := c.probes[id]
	l.fixes = append(l.fixes, fixes...)
	c.probes[id] = l
}

func (c *diagnoser) noteFails(id string, f Finding) {
	c.noteFix(id, "the next attempt would fail: "+f.brief(), f.Fixes)
}

// rehearse has the strategy try what setSecret would do next, or createSecret where
// nothing was stored. It is the rehearsal of a preflight: nothing is changed, and AWSCURRENT, which works, is what
// logs in.
func (c *diagnoser) rehearse(ctx context.Context) {
	current, pending, _ := c.labeledVersions()
	l := c.probes[pending]
	p, ok := c.Strategy.(Preflighter)
	if !ok || l.value.IsZero() && l.state != CredentialMissing {
		return
	}
	r := c.rotationWithoutLog(c.probes[current].value, l.value)
	r.ReadOnlyProbes = c.ReadOnlyProbes
	for _, f := range p.Preflight(ctx, r) {
		switch {
		case f.Kind == KindPasswordPolicy && !l.value.IsZero():
			c.attempt = attemptRefused
		case f.Status == StatusDenied, f.Status == StatusFailed:
			c.attempt = attemptFails
		// A lock, which passes, or a person ends it.
		case f.Fixes != nil && (f.Kind == KindConflict || f.Kind == KindDeadline):
			c.noteFix(pending, "a dry run met what the next attempt would meet now: "+f.brief(), f.Fixes)
			continue
		// What clients come to have, or to lack.
		case f.ID == "P9" && f.Status == StatusPassed && f.Detail != "", f.Status == StatusUnknown && f.Fixes != nil:
			c.noteFix(pending, "before the next attempt: "+f.Detail, f.Fixes)
			continue
		default:
			continue
		}
		c.noteFails(pending, f)
		return
	}
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
		if id == "" || known && l.state != CredentialNotTested {
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
		setUp:      c.meta.RotationEnabled != nil,
		rotationOn: c.meta.RotationEnabled != nil && *c.meta.RotationEnabled,
		attempt:    c.attempt,
		foreign:    c.other != "",
		unusable:   c.unusable != nil,
		readOnly:   c.readOnly != nil,
		partly:     isPartly(c.probes[current].err),
		// where it is AWSCURRENT's version, too, no row asks
		previousFirst: previous != "" && c.first() == previous,
	}
	if p, ok := c.Strategy.(PooledLogins); ok {
		s.pooled = p.LoginsArePooled(c.probes[current].value)
	}
	if pending != current {
		s.pending = c.probes[pending].state
		user, other := c.probes[current].value.Text("username"), c.probes[pending].value.Text("username")
		s.otherUser = user != "" && other != "" && user != other
		s.copied = isCopy(c.probes[pending].value, c.probes[current].value)
		keys, _ := c.notFromCurrent(ctx, c.probes[current].value, c.probes[pending].value)
		s.stale = pending == previous || keys != nil
		s.strayed = c.strayed()
	}
	return s
}

// notFromCurrent names the members that show that AWSPENDING cannot have been made from AWSCURRENT: those in which one
// of it and the strategy's own proposal is as AWSCURRENT, and the other is not. It gives that proposal, too.
func (v *invocation) notFromCurrent(ctx context.Context, current, pending secret.Document) (keys []string,
	next secret.Document) {
	if pending.IsZero() {
		return nil, secret.Document{}
	}
	r := v.newRotation(current, secret.Document{})
	r.Log = nil
	next, err := v.Strategy.Propose(ctx, r)
	if err != nil {
		return nil, secret.Document{}
	}
	v.scrub.AddDocument(next)
	found := current.ChangedKeys(pending)
	unlike := func(proposal secret.Document) (keys []string) {
		proposed := current.ChangedKeys(proposal)
		for _, key := range slices.Concat(found, proposed) {
			if !slices.Contains(found, key) || !slices.Contains(proposed, key) {
				keys = append(keys, key)
			}
		}
		return keys
	}
	followed, _ := current.Follow(next) // whatever ROTATE_COPIES was when AWSPENDING was made
	keys, keysFollowed := unlike(next), unlike(followed)
	if len(keysFollowed) < len(keys) {
		return keysFollowed, followed
	}
	return keys, next
}

// lostWithMove names the members in which AWSCURRENT was edited since AWSPENDING was made from it, so that they are
// lost when the label moves; "": none.
func (v *invocation) lostWithMove(ctx context.Context, current, pending secret.Document) (lost string,
	next secret.Document) {
	keys, next := v.notFromCurrent(ctx, current, pending)
	found := current.ChangedKeys(pending)
	keys = slices.DeleteFunc(keys, func(key string) bool {
		return key == "username" || !slices.Contains(found, key) || current.SameValue(pending, key)
	})
	slices.Sort(keys)
	return strings.Join(keys, ", "), next
}

// compareEdited says what of an AWSCURRENT is lost that works no more, when AWSPENDING takes its place, and how that is
// kept: a person may have edited it after setSecret. The line names versions by id, so that it may come after the move.
// Where that edit is of the target, AWSPENDING is not tried, and no label moves to it: the same line brings AWSCURRENT
// back, if its password is the one set, and comes first.
func (c *diagnoser) compareEdited(ctx context.Context) {
	id, pending, previous := c.labeledVersions()
	current, l := c.probes[id], c.probes[pending]
	untried := current.state == CredentialRejected && l.state == CredentialOtherTarget &&
		current.value.Text("username") == l.value.Text("username") && (previous == "" || slices.Contains(
		[]CredentialState{CredentialRejected, CredentialNotTested, CredentialOtherTarget}, c.probes[previous].state))
	if pending == id || l.state != CredentialWorks && l.state != CredentialRight && !untried ||
		current.state == CredentialWorks || current.value.IsZero() || l.value.IsZero() {
		return
	}
	lost, next := c.lostWithMove(ctx, current.value, l.value)
	if lost == "" {
		return
	}
	when, turn := "if what is lost is to be kept, once the label has moved, to store it with the password of "+
		"AWSPENDING", TurnLast
	switch {
	case untried && c.probes[previous].state == CredentialOtherTarget:
		when = "if AWSCURRENT names the right user and target, and was edited after setSecret, to store the password " +
			"of AWSPENDING beside all else that AWSCURRENT has"
	case untried:
		when, turn = "if AWSCURRENT or AWSPENDING was edited after setSecret, to store the password of AWSPENDING "+
			"beside all else that AWSCURRENT has", TurnFirst
	default:
		c.note(pending, "the version that is AWSCURRENT now has another "+lost+", which is lost when the label moves")
	}
	read := func(id string) string {
		return fmt.Sprintf("aws secretsmanager get-secret-value --secret-id %s --version-id %s --query SecretString "+
			"--output text", ShellWord(c.meta.ARN), ShellWord(id))
	}
	var rotated []string
	for _, key := range slices.Sorted(slices.Values(current.value.ChangedKeys(next))) {
		if strings.Trim(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") != "" {
			return // it would end a quote
		}
		rotated = append(rotated, fmt.Sprintf("%q: .[1][%[1]q]", key))
	}
	c.noteFix(pending, "", []Fix{{By: ByShell, Turn: turn, For: when,
		Run: "{ " + read(id) + "; " + read(pending) + "; } | " + joinVersions + ".[0] + {" +
			strings.Join(rotated, ", ") + "} else error(\"a version was not read\") end' | " +
			fmt.Sprintf("aws secretsmanager put-secret-value --secret-id %s --secret-string file:///dev/stdin",
				ShellWord(c.meta.ARN))}})
}

// warnOfEdit says what an edit of an AWSCURRENT that could not be tested may take: where setSecret is done, AWSPENDING
// has the password that is set, and an edit makes it one for another target.
func (c *diagnoser) warnOfEdit() {
	id, pending, _ := c.labeledVersions()
	current, l := c.probes[id], c.probes[pending]
	if pending == id || current.state != CredentialUnknown || !causes("host", current.err) || l.value.IsZero() ||
		isCopy(l.value, current.value) || l.value.Text("username") != current.value.Text("username") {
		return
	}
	c.note(pending, "it may have the password that is set: keep its label. If AWSCURRENT is edited, and rejected "+
		"after that, store AWSCURRENT again, with the password of AWSPENDING")
}

// compareStale says of an AWSPENDING that was not made from an AWSCURRENT that works in what it differs from one that
// was: a person may have stored it, for the wrong user.
func (c *diagnoser) compareStale(ctx context.Context) {
	id, pending, _ := c.labeledVersions()
	current, l := c.probes[id], c.probes[pending]
	if pending == id || current.state != CredentialWorks || isCopy(l.value, current.value) ||
		l.state == CredentialOtherTarget || l.state == CredentialInvalid { // its error says so
		return
	}
	keys, next := c.notFromCurrent(ctx, current.value, l.value)
	var another, same []string
	for _, key := range keys {
		switch {
		case key == "username":
			c.note(pending, fmt.Sprintf("it is for user %q; a rotation from this AWSCURRENT makes it for user %q",
				l.value.Text(key), next.Text(key)))
		case !slices.Contains(current.value.ChangedKeys(l.value), key):
			same = append(same, key)
		case current.value.SameValue(l.value, key):
			another = append(another, "spelling of "+key)
		default:
			another = append(another, key)
		}
	}
	if another != nil {
		c.note(pending, "AWSCURRENT has another "+strings.Join(another, ", "))
	}
	if same != nil {
		c.note(pending, "AWSCURRENT has the same "+strings.Join(same, ", "))
	}
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
func (c *diagnoser) diagnosis(ctx context.Context, r rule) *Diagnosis {
	d := &Diagnosis{
		SecretID: c.event.SecretID, Rotation: "on", OtherFunction: c.other, Action: r.action,
		Commands: c.commands(r.action), format: c.event.Format,
	}
	switch {
	case c.meta.RotationEnabled == nil:
		d.Rotation = "not set up"
	case !*c.meta.RotationEnabled:
		d.Rotation = "off"
	}
	if c.FunctionARN != nil {
		d.function = c.FunctionARN(ctx)
	}
	d.RecoverEvent = c.nextEvent(r.action)
	d.Fixes = slices.Clone(c.toMove)
	inWords := r.action == ActionInvestigate || r.action == ActionResetPassword || r.action == ActionStoreCredentials
	if !inWords { // else they come with what is said of AWSCURRENT
		d.Fixes = append(d.Fixes, c.toAsk...)
	}
	current, pending, previous := c.labeledVersions()
	for i, id := range []string{current, pending, previous} {
		if id == "" || i > 0 && id == current || i > 1 && id == pending {
			continue
		}
		l := c.probes[id]
		s := VersionStatus{VersionID: id, Labels: c.meta.Labels[id], LabelMeaning: labelMeaning(c.meta.Labels[id]),
			State: l.state, Detail: l.detail}
		if s.State == credentialNone { // of a secret that is not ours, or another function's
			s.State = CredentialNotTested
		}
		switch {
		case l.state == CredentialMissing && id == pending && id != current:
			s.Detail = "it has no value: createSecret stored none"
			if c.attempt == attemptOpen && c.probes[current].state == CredentialWorks { // else another line says why
				s.Detail += ", and its error in the function's log says why. " +
					"If the log has no error, the function did not run: its reserved concurrency may be 0, or its " +
					"policy may not let Secrets Manager invoke it. quarterturn fleet finds the cause"
			}
		case l.err != nil:
			s.Kind, s.Detail = KindOf(l.err), briefly(l.err)
			if brief := (guess)(nil); l.why != "" && errors.As(l.err, &brief) { // what it may be is no longer asked
				s.Detail = brief.Brief()
			}
		}
		if l.why != "" {
			s.Detail = strings.TrimSuffix(l.why+"; "+s.Detail, "; ")
		}
		if inWords && l.remedy != "" {
			s.Detail += "; " + l.remedy
		}
		if l.next != "" {
			s.Detail = strings.TrimPrefix(s.Detail+"; "+l.next, "; ")
		}
		d.Versions = append(d.Versions, s)
		switch {
		case (r.action == ActionRetry || r.action == ActionFinish && l.state == CredentialWorks) && id == pending:
			d.Fixes = append(d.Fixes, l.fixes...)
		case inWords:
			d.Fixes = append(d.Fixes, c.fixesOf(id, []string{LabelCurrent, LabelPending, LabelPrevious}[i])...)
		}
	}
	if r.action == ActionNone {
		d.Fixes = append(d.Fixes, c.perhaps...)
	} else if r.action == ActionDiscard || r.action == ActionCancel {
		d.Fixes = append(d.Fixes, c.back...)
	}
	inquiry := c.inquiry(r)
	d.Fixes = append(d.Fixes, inquiry...)
	off := c.meta.RotationEnabled != nil && !*c.meta.RotationEnabled
	for _, f := range r.lines {
		if off && strings.Contains(f.Run, " cancel-rotate-secret ") { // it is done
			continue
		}
		f.Run = c.filledIn(ctx, f.Run)
		d.Fixes = append(d.Fixes, f)
	}
	if r.resets {
		for _, f := range c.resets() {
			if slices.ContainsFunc(r.lines, func(line Fix) bool { return line.Run == storeOther }) {
				f.For = "only if no other secret has the one that works, " + f.For
			}
			d.Fixes = append(d.Fixes, f)
		}
	}
	d.Fixes = inTurn(d.Fixes)
	if d.Fixes != nil {
		who := c.runners(c.probes[current].value)
		who.Superuser = who.Superuser && !c.superuserFails
		d.Fixes = who.named(d.Fixes)
	}
	d.Reason = c.filledIn(ctx, r.text(d.Fixes, inquiry != nil))
	return d
}

// filledIn is a text of a rule with the ids of this secret in its commands. A label that no version has is taken from
// none.
func (c *diagnoser) filledIn(ctx context.Context, text string) string {
	current, pending, previous := c.labeledVersions()
	pairs := []string{"--secret-id ARN", "--secret-id " + ShellWord(c.meta.ARN), `"SecretId":"ARN`, `"SecretId":"` +
		c.meta.ARN, "CURRENT-ID", ShellWord(current), "PENDING-ID", ShellWord(pending)}
	if previous == "" {
		pairs = append(pairs, " --remove-from-version-id PREVIOUS-ID", "")
	}
	pairs = append(pairs, "PREVIOUS-ID", ShellWord(previous))
	if user := c.probes[current].value.Text("username"); ShellWord(user) == user { // in quotes of two kinds
		pairs = append(pairs, "USER-NAME", user)
	}
	pairs = append(pairs, "FUNCTION-ARN", ShellWord(cmp.Or(c.function(ctx), "FUNCTION-ARN")))
	return strings.NewReplacer(pairs...).Replace(text)
}

// function is the ARN of this function, or else of the one that the secret names; "": none is known.
func (c *diagnoser) function(ctx context.Context) string {
	if c.FunctionARN == nil {
		return c.meta.RotationLambdaARN
	}
	return cmp.Or(c.FunctionARN(ctx), c.meta.RotationLambdaARN)
}

// fixesOf is what people run for what is said of a version, and whose password is the one to type.
func (c *diagnoser) fixesOf(id, label string) []Fix {
	l := c.probes[id]
	all := slices.Clone(l.fixes)
	current, pending, previous := c.labeledVersions()
	// where some servers alone have the pending password, a retry gives it to the others, and saves it
	retried := id == pending && isPartly(l.err) && c.probes[current].state == CredentialWorks
	if !l.seen && !retried {
		all = append(all, FixesOf(l.err)...)
	}
	for i, f := range all {
		if f.PasswordOf != "" || !f.TakesPassword() {
			continue
		}
		for _, version := range [][2]string{{id, label}, {current, LabelCurrent}, {previous, LabelPrevious},
			{pending, LabelPending}} {
			if f.IsFor(c.probes[version[0]].value.Text("username")) {
				all[i].PasswordOf = version[1]
				break
			}
		}
	}
	return all
}

// rejectedOnes are the values whose users may have another password: that of AWSCURRENT, if it is one, and that of
// AWSPREVIOUS where its user is another and rejected too. AWSPENDING's user may never have been there, and the next
// attempt sets its password. The original of a pair, whose name the clone's begins with, comes first: a clone that has
// to be created is made a member of it. It gives the label of each by its user, too.
func (c *diagnoser) rejectedOnes() (values []secret.Document, labels map[string]string) {
	current, _, previous := c.labeledVersions()
	labels = map[string]string{}
	if l := c.probes[current]; l.state != CredentialInvalid {
		values, labels[l.value.Text("username")] = append(values, l.value), LabelCurrent
	}
	l := c.probes[previous]
	if user := l.value.Text("username"); l.state == CredentialRejected && user != "" && labels[user] == "" {
		values, labels[user] = append(values, l.value), LabelPrevious
	}
	slices.SortFunc(values, func(a, b secret.Document) int {
		return strings.Compare(a.Text("username"), b.Text("username"))
	})
	return values, labels
}

// inquiry is the query that shows why logins are rejected, where that is not known, with what follows from its answer.
func (c *diagnoser) inquiry(r rule) []Fix {
	explainer, ok := c.Strategy.(LoginExplainer)
	if !ok || !r.resets || c.explained {
		return nil
	}
	values, labels := c.rejectedOnes()
	if len(values) == 0 {
		return nil
	}
	all := explainer.Inquiry(values...)
	for i, f := range all {
		if i == 0 {
			all[i].For = toFindTheCause
		}
		for user, label := range labels {
			if f.TakesPassword() && f.IsFor(user) {
				all[i].PasswordOf = label
			}
		}
	}
	return all
}

// resets are the statements that set the passwords of those that are rejected.
func (c *diagnoser) resets() (all []Fix) {
	reset, ok := c.Strategy.(PasswordResetter)
	if !ok {
		return nil
	}
	values, labels := c.rejectedOnes()
	for _, d := range values {
		if statement := cmp.Or(c.reset[d.Text("username")], reset.ResetStatement(d)); statement != "" {
			f := NewFix(BySuperuser, statement)
			f.For, f.PasswordOf = "to set the password", labels[d.Text("username")]
			all = append(all, f)
		}
	}
	return all
}

// nextEvent is the event that has the function do an action, or that tests first what
// was not tested; "": there is none.
func (c *diagnoser) nextEvent(a Action) string {
	next := struct {
		Step               Step
		SecretID           string `json:"SecretId"`
		ClientRequestToken string `json:",omitempty"`
		Action             Action `json:",omitempty"`
		Format             string `json:",omitempty"`
	}{Step: StepRecover, SecretID: c.meta.ARN, Action: a, Format: c.event.Format}
	if c.cannotMove {
		return ""
	}
	if !a.movesLabel() {
		next.Step, next.Action = StepStatus, ""
		_, pending, previous := c.labeledVersions()
		switch first := c.first(); {
		case first == previous:
			return ""
		case first != pending && c.probes[pending].limited:
			next.ClientRequestToken = pending
		case c.probes[previous].limited:
			next.ClientRequestToken = previous
		default:
			return ""
		}
	}
	event, _ := json.Marshal(next)
	return string(event)
}

// commands does an action in the AWS CLI.
func (c *diagnoser) commands(a Action) []string {
	rotate := "aws secretsmanager rotate-secret --secret-id " + ShellWord(c.meta.ARN)
	on := c.meta.RotationEnabled != nil && *c.meta.RotationEnabled
	switch {
	case c.other != "" && !strings.Contains(c.other, ErrOtherEngine.Error()):
		return []string{statusCommand(ShellWord(c.meta.RotationLambdaARN), c.meta.ARN, "")}
	case a == ActionDiscard && !c.cannotMove && on: // and begin anew; who has cancelled rotation may not want that
		return []string{c.labelMove(a).cliCommand(c.meta.ARN), rotate}
	case a.movesLabel():
		return []string{c.labelMove(a).cliCommand(c.meta.ARN)}
	case a == ActionRetry:
		return []string{rotate}
	case a == ActionCancel:
		return []string{"aws secretsmanager cancel-rotate-secret --secret-id " + ShellWord(c.meta.ARN)}
	case a == ActionStoreCredentials:
		return []string{"aws secretsmanager put-secret-value --secret-id " + ShellWord(c.meta.ARN) +
			" --secret-string file://value.json"}
	}
	return nil
}

// cliCommand makes the move in the AWS CLI.
func (m LabelMove) cliCommand(secretID string) string {
	text := "aws secretsmanager update-secret-version-stage --secret-id " + ShellWord(secretID) +
		" --version-stage " + m.Label
	if m.To != "" {
		text += " --move-to-version-id " + ShellWord(m.To)
	}
	if m.From != "" {
		text += " --remove-from-version-id " + ShellWord(m.From)
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
	for id, all := range labels {
		labels[id] = slices.Sorted(slices.Values(all))
	}
	return labels
}
