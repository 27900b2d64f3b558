package rotator

import (
	"slices"
	"strings"
)

// CredentialState is what is known of one stored version.
type CredentialState string

const (
	CredentialWorks    CredentialState = "works"    // the strategy used it, and it worked
	CredentialRejected CredentialState = "rejected" // the database answered, and did not accept it
	CredentialBlocked  CredentialState = "blocked"  // the database lets this account in with no password
	// CredentialRight: its password is the one set, as a superuser sees, or as the database says that accepts it and
	// then ends the login; no login by it succeeds now.
	CredentialRight       CredentialState = "right but blocked"
	CredentialInvalid     CredentialState = "invalid"      // its value is none that could log in anywhere
	CredentialOtherTarget CredentialState = "other target" // of another target than AWSCURRENT: it was not sent
	CredentialMissing     CredentialState = "missing"      // it has no value yet, or there is no such version
	CredentialUnknown     CredentialState = "unknown"      // AWS or the database did not answer that question
	CredentialNotTested   CredentialState = "not tested"   // it does not matter, or the login could lock the account
	credentialNone        CredentialState = ""             // no version carries the label
)

// Action is what to do about a secret.
type Action string

const (
	ActionNone             Action = "none"              // all is well
	ActionFinish           Action = "finish"            // move AWSCURRENT to the version that is AWSPENDING
	ActionDiscard          Action = "discard"           // take AWSPENDING away from its version
	ActionRollBack         Action = "rollback"          // move AWSCURRENT back to the version that is AWSPREVIOUS
	ActionRetry            Action = "retry"             // have the service take the rotation up again
	ActionCancel           Action = "cancel"            // turn rotation off, so that AWSPENDING can be discarded
	ActionInvestigate      Action = "investigate"       // fix what keeps status from an answer, and check again
	ActionStoreCredentials Action = "store-credentials" // store credentials that work
	ActionResetPassword    Action = "reset-password"    // have a superuser set a password
	ActionNotManaged       Action = "not-managed"       // the secret is not ours to rotate, or not here
)

// movesLabel says whether the action is the move of a label, which recover can make.
// All others are for people, because they need a permission that a rotation
// function does not have and should not have.
func (a Action) movesLabel() bool {
	return a == ActionFinish || a == ActionDiscard || a == ActionRollBack
}

// newName is what an action of before version 1 is called now, or "".
func (a Action) newName() Action {
	switch a {
	case "nothing":
		return ActionNone
	case "restore":
		return ActionRollBack
	case "wait":
		return ActionInvestigate
	case "provide":
		return ActionStoreCredentials
	case "reset":
		return ActionResetPassword
	case "leave":
		return ActionNotManaged
	}
	return ""
}

// situation is everything that a decision rests on.
type situation struct {
	current, pending, previous CredentialState
	// pending is absent where AWSPENDING is on the version that is AWSCURRENT: so the
	// service leaves it after a rotation.

	// stale: AWSPENDING was not made from this AWSCURRENT. The secret was edited or rolled
	// back since, or AWSPENDING was stored by hand.
	stale bool
	// copied: AWSPENDING holds AWSCURRENT's credentials.
	copied bool
	// otherUser: AWSPENDING is for another user than AWSCURRENT, whose password its rotation leaves alone.
	otherUser bool
	// strayed: AWSCURRENT works, is of another user than AWSPREVIOUS, and AWSPENDING is of that one, where no rotation
	// moves from one user to another.
	strayed bool
	// unusable: AWSCURRENT logs in, and clients cannot work with it, or any password would log in.
	unusable bool
	// readOnly: the server takes no changes, and does not have the password of AWSCURRENT, or not yet.
	readOnly bool
	// partly: AWSCURRENT is rejected, and other servers of its value let it in.
	partly bool
	// foreign: the secret is configured for another function, or its engine is not the
	// one that this function rotates.
	foreign bool
	// attempt is what the next attempt of an incomplete rotation would come to, or the next rotation.
	attempt attempt
	// setUp: the secret has a rotation function.
	setUp bool
	// pooled: the logins may have been a pooler's, for which the secret vouches.
	pooled bool
	// previousFirst: the event has AWSPREVIOUS tested before the others.
	previousFirst bool
	// rotationOn: rotation is on. A step that sets the pending password in the database
	// may come at any time, or be under way.
	rotationOn bool
}

// attempt is what a rehearsal of setSecret found out, and what was asked of the function's permissions.
type attempt string

const (
	attemptOpen    attempt = ""        // it may succeed, or was not rehearsed
	attemptRefused attempt = "refused" // the server's password policy refuses the pending password, for good
	attemptFails   attempt = "fails"   // for a reason that a person can fix
)

// decide finds the row of the table that fits. Behind a pooler nothing is discarded:
// what it lets in may be what it alone knows.
func decide(s situation) rule {
	all := decisionTable()
	r := all[slices.IndexFunc(all, func(r rule) bool { return r.matches(s) })]
	if r.action == ActionDiscard && s.pooled {
		r.action, r.reason, r.lines = ActionInvestigate, byHand, []Fix{{By: ByShell,
			For: "if that works, to remove the label AWSPENDING by hand",
			Run: LabelMove{Label: LabelPending, From: "PENDING-ID"}.cliCommand("ARN")}}
	}
	return r
}

// rule is a row of the table. A column that is nil fits everything. In its lines and the commands of its reason, ARN,
// FUNCTION-ARN, CURRENT-ID, PENDING-ID and PREVIOUS-ID stand for those of the secret, USER-NAME for the user of
// AWSCURRENT.
type rule struct {
	current, pending, previous         []CredentialState
	stale, copied, foreign, rotationOn []bool
	setUp, unusable, otherUser         []bool
	readOnly, previousFirst, partly    []bool
	strayed                            []bool
	attempt                            []attempt

	action Action
	reason string
	// besides ends the reason. Where something is printed below it, that is to be done first.
	besides string
	// lines are what the reason has a person run, after the query for the cause.
	lines []Fix
	// resets: the reason asks for a password to be set, by the strategy's statement.
	resets bool
}

// text is the reason, whole. printed is what stands below it to be run, and query says whether that has one for the
// cause.
func (r rule) text(printed []Fix, query bool) string {
	text, besides := r.reason, r.besides
	if !query {
		text = strings.ReplaceAll(text, byQuery, "")
	}
	if !slices.ContainsFunc(printed, func(f Fix) bool { return strings.Contains(f.Run, joinVersions) }) {
		text = strings.Replace(text, storePending+", as printed below", storePending, 1)
	}
	if slices.ContainsFunc(printed, Fix.TakesPassword) { // what mends it may be to set one
		besides = strings.Replace(besides, "set no password, and ", "", 1)
	}
	if besides != "" && printed != nil {
		return text + "what is printed below, and whatever else " + strings.TrimPrefix(besides, "what ")
	}
	if besides != "" { // what the line names may come without a way
		for do, fix := range map[string]string{" do ": " fix ", " Do ": " Fix "} {
			if before, ok := strings.CutSuffix(text, do); ok {
				text = before + fix
			}
		}
	}
	return text + besides
}

func (r rule) matches(s situation) bool {
	return matchesAny(r.current, s.current) && matchesAny(r.pending, s.pending) && matchesAny(r.previous, s.previous) &&
		matchesAny(r.stale, s.stale) && matchesAny(r.copied, s.copied) && matchesAny(r.foreign, s.foreign) &&
		matchesAny(r.rotationOn, s.rotationOn) &&
		matchesAny(r.setUp, s.setUp) && matchesAny(r.unusable, s.unusable) && matchesAny(r.readOnly, s.readOnly) &&
		matchesAny(r.otherUser, s.otherUser) && matchesAny(r.previousFirst, s.previousFirst) &&
		matchesAny(r.partly, s.partly) && matchesAny(r.strayed, s.strayed) &&
		matchesAny(r.attempt, s.attempt)
}

func matchesAny[T comparable](column []T, v T) bool {
	return column == nil || slices.Contains(column, v)
}

// byQuery stands in a reason where the strategy has a query for the cause.
const byQuery = " or by the query below"

// noneWorks is what to do once each version with a label has been rejected, with the lines of whoSetIt.
const noneWorks = "no labeled version works. In this order: (1) Find the cause, from the lines above" + byQuery + ": " +
	"the password was changed in the database, or the user is dropped, expired, off or hidden by another account. " +
	"Where a rotation of another secret for this user changed it, as the log of its function shows, that secret has " +
	"the password that works, and its clients need it: set none. Clients of this secret are locked out until it is " +
	"stored here, as printed below, and again by that one's next rotation: one of the two must stop rotating, and " +
	"its clients use the other. (2) Where wrong values were stored, a backup of the " +
	"database was restored, or AWSPENDING was removed after setSecret had set its password, an older version may " +
	"still be right: have status test it, as printed below, and roll back to it if it works. (3) Else, as a " +
	"superuser of the database, set the user's password to the one in AWSCURRENT (create the user if it is gone), " +
	"and rotate once that works: a log of the server may have kept it as it was typed. Then run status again"

// storePending stands in a reason before ", as printed below", where a line with joinVersions is.
const storePending = "Store it beside all else that AWSCURRENT has"

// joinVersions puts two versions together.
const joinVersions = "jq -ces 'if length == 2 then "

// moveBack is for an AWSCURRENT that was stored for the wrong target.
func moveBack() Fix {
	return Fix{By: ByShell, For: "if AWSCURRENT names the wrong user or target, to move the label back",
		Run: LabelMove{LabelCurrent, "CURRENT-ID", "PREVIOUS-ID"}.cliCommand("ARN")}
}

// whoSetIt finds the rotations of a user, by the lines that each has left in the log of its function, and then older
// versions.
func whoSetIt() []Fix {
	const pattern = `'{ $.message = "rotation completed" && $.target.user = "USER-NAME" }'`
	return append([]Fix{{By: ByShell, For: "if another secret may be for this user, to see the rotations that set " +
		"its password, with the log group of each rotation function in place of LOG-GROUP", Run: "aws logs " +
		"filter-log-events --log-group-name LOG-GROUP --filter-pattern " + pattern + " --query 'events[].message' " +
		"--output text", Note: "the last one of the same host: is its secret_arn another?"},
		{By: ByShell, For: "if it is, to see whether that secret is there, with its ARN in place of OTHER-ARN",
			Run: "aws secretsmanager describe-secret --secret-id OTHER-ARN", Note: "if it is not found, it was " +
				"deleted, or was this secret before it was made again, with other last six characters: go on as if " +
				"there were none"},
		{By: ByShell, For: "if it is, so that this secret's rotation does not lock that one's clients out",
			Run: "aws secretsmanager cancel-rotate-secret --secret-id ARN"},
		{By: ByShell, For: "if it is, so that this secret's clients can log in, with that secret's ARN in place of " +
			"OTHER-ARN", Run: storeOther, Note: "where another member has the password too, as a URL, edit that as " +
			"well"},
	}, olderVersions()...)
}

// storeOther takes the password of another secret for the same user.
const storeOther = "{ aws secretsmanager get-secret-value --secret-id ARN --query SecretString --output text; aws " +
	"secretsmanager get-secret-value --secret-id OTHER-ARN --query SecretString --output text; } | jq -ces 'if " +
	"length == 2 and .[0].username == .[1].username then .[0] + {password: .[1].password} else error(\"a secret " +
	"was not read, or is for another user\") end' | aws secretsmanager put-secret-value --secret-id ARN " +
	"--secret-string file:///dev/stdin"

// olderVersions is how to come to a version without a label. PREVIOUS-ID and what goes with it is left out where there
// is no AWSPREVIOUS.
func olderVersions() []Fix {
	return []Fix{
		{By: ByShell, For: "to list older versions",
			Run: "aws secretsmanager list-secret-version-ids --secret-id ARN --include-deprecated"},
		{By: ByShell, For: "if one of them may be right, to have status test it (the newest without a label first, " +
			"then the next older one each time), with its id in place of VERSION-ID",
			Run: LabelMove{LabelPrevious, "PREVIOUS-ID", "VERSION-ID"}.cliCommand("ARN")},
		{By: ByShell, For: "if one of them may be right, after that, with its id in place of VERSION-ID once more",
			Run: statusCommand("FUNCTION-ARN", "ARN", "VERSION-ID")},
	}
}

// testFirst has status test a version first; "": AWSCURRENT.
func testFirst(label, version string) Fix {
	return Fix{By: ByShell, For: "if no earlier status has found " + label + " rejected, to have it tested first",
		Run: statusCommand("FUNCTION-ARN", "ARN", version)}
}

// statusCommand asks a function for the status of a secret, in versions 1 and 2 of the AWS CLI. It tests the version
// first; "": AWSCURRENT.
func statusCommand(function, arn, version string) string {
	if version != "" {
		version = `","ClientRequestToken":"` + version
	}
	return invokeForStatus(function, `{"Step":"status","SecretId":"`+arn+version+`","Format":"text"}`)
}

// invokeForStatus sends an event.
func invokeForStatus(function, event string) string {
	return "aws lambda invoke --function-name " + function + " --payload fileb:///dev/stdin status.json <<<'" +
		event + "'"
}

// setUpCommand sets rotation up, and rotates.
const setUpCommand = "aws secretsmanager rotate-secret --secret-id ARN --rotation-lambda-arn FUNCTION-ARN " +
	"--rotation-rules AutomaticallyAfterDays=30"

// valueFile says what a stored value is made of.
const valueFile = "It is a JSON object with engine, host, username, password, dbname (or what the engine has in its " +
	"place), and masterarn for a superuser"

// byHand is for what would be discarded, were it not for a pooler.
const byHand = "AWSCURRENT works and AWSPENDING is of no use, but these logins went through a pooler " +
	"(poolerForwardsLogins). Log in to the database itself by the value of AWSCURRENT. If that works, remove the " +
	"label AWSPENDING by hand, as printed below, and rotate again. If it does not, keep AWSPENDING and try its value"

// decisionTable is the table of decisions, read from the top; the last row fits everything.
// What it never does:
//   - move AWSCURRENT to a version that was not seen to log in. One exception: AWSCURRENT is rejected, and
//     the password of the other version is the one set, as a superuser sees, or as the database says that
//     accepts it, while no login by it succeeds. AWSCURRENT is of no use then, whatever is done; and its
//     clients, which go on trying, have the user blocked again as often as it is unlocked. In this order it
//     ends: the label moves, clients read what is right, the user is unlocked;
//   - move AWSCURRENT away from a version that logs in, unless it is to complete a
//     rotation of which both passwords work;
//   - remove AWSPENDING while a setSecret might yet make its password the only one
//     that works. A function refuses to begin one once rotation is off, and never
//     begins one for another account or place, or for the credentials in use;
//   - take no response for a no;
//   - recommend anything that moves or rewrites for a secret of another function.
func decisionTable() []rule {
	is := func(s ...CredentialState) []CredentialState { return s }
	yes, no := []bool{true}, []bool{false}
	return []rule{
		{foreign: yes, action: ActionInvestigate,
			reason: "this function cannot judge the secret and changes nothing. Run status with the function that " +
				"rotates it; if the secret is configured for this one, correct engine in it, or configure it for a " +
				"function of its engine"},
		{current: is(CredentialMissing, credentialNone), action: ActionStoreCredentials,
			reason: "AWSCURRENT has no value: store the credentials now in use, in value.json. " + valueFile},
		{current: is(CredentialUnknown), action: ActionInvestigate,
			reason: "AWSCURRENT could not be tested: do ",
			besides: "what its line names, then run status again. Until then set no password, and move no label but " +
				"where its line says so"},
		{current: is(CredentialNotTested), action: ActionInvestigate, resets: true,
			lines: append([]Fix{testFirst(LabelCurrent, "")}, whoSetIt()...),
			reason: "AWSCURRENT was not tested, and its line says why. If no earlier status has found it rejected, " +
				"change nothing, and have it tested first, as printed below. If one has, and a status of its own " +
				"each other version, " + noneWorks},

		// AWSCURRENT works, and may be what is wrong: a person has to say. AWSPENDING keeps its label, and no rotation
		// is started, which would be one of the other user.
		{current: is(CredentialWorks), strayed: yes, pending: is(CredentialWorks), action: ActionInvestigate,
			lines: []Fix{{By: ByShell, For: "if AWSCURRENT was stored by mistake, to move the label to AWSPENDING",
				Run: LabelMove{LabelCurrent, "CURRENT-ID", "PENDING-ID"}.cliCommand("ARN")}},
			reason: "AWSCURRENT works and is of another user than AWSPREVIOUS and AWSPENDING. AWSPENDING works too: " +
				"a rotation has set its password. Start no rotation, and remove no label. If AWSCURRENT was stored " +
				"by mistake, as may be the superuser's credentials, move the label to AWSPENDING, as printed below, " +
				"then run status again. If the secret is to be of the new user, AWSPENDING blocks its rotations, and " +
				"may be the only copy of that password: store it elsewhere before you remove its label"},
		{current: is(CredentialWorks), strayed: yes, previous: is(CredentialWorks), action: ActionInvestigate,
			lines: []Fix{{By: ByShell, For: "if AWSCURRENT was stored by mistake, to move the label back",
				Run: LabelMove{LabelCurrent, "CURRENT-ID", "PREVIOUS-ID"}.cliCommand("ARN")}},
			reason: "AWSCURRENT works and is of another user than AWSPREVIOUS, which works too, and AWSPENDING, " +
				"which was not set. Start no rotation. If AWSCURRENT was stored by mistake, as may be the " +
				"superuser's credentials, move the label back, as printed below, then run status again. If the " +
				"secret is to be of the new user, AWSPENDING blocks its rotations until you remove that label by hand"},
		{current: is(CredentialWorks), strayed: yes, pending: is(CredentialRejected), previous: is(CredentialNotTested),
			action: ActionInvestigate,
			reason: "AWSCURRENT works and is of another user than AWSPREVIOUS and AWSPENDING, which is rejected. " +
				"AWSPREVIOUS was not tested, for a second rejected login in a row can lock the user: have it " +
				"tested first, as printed below. Start no rotation, and remove no label"},
		{current: is(CredentialWorks), strayed: yes, pending: is(CredentialUnknown, CredentialBlocked),
			action: ActionInvestigate,
			reason: "AWSCURRENT works and is of another user than AWSPREVIOUS and AWSPENDING, which may be the only " +
				"copy of its user's password and could not be tested. Start no rotation, and remove no label: do ",
			besides: "what the line of AWSPENDING names, then run status again"},
		{current: is(CredentialWorks), strayed: yes, action: ActionInvestigate, lines: olderVersions(),
			reason: "AWSCURRENT works and is of another user than AWSPREVIOUS and AWSPENDING, neither of which is " +
				"known to work. Start no rotation, and remove no label. If AWSCURRENT was stored by mistake, as may " +
				"be the superuser's credentials, find the cause first, from their lines. An older version may be " +
				"right: have status test it, as printed below. Else, as a superuser of the database, set the " +
				"password of that user to the one in AWSPENDING. Then run status again"},

		// AWSCURRENT works.
		{current: is(CredentialWorks), pending: is(credentialNone), unusable: yes, action: ActionInvestigate,
			reason:  "AWSCURRENT logs in, which is not enough for clients, or for a rotation, as said above: do ",
			besides: "what its line names, then run status again. No rotation is in progress"},
		{current: is(CredentialWorks), pending: is(credentialNone), attempt: []attempt{attemptFails},
			action: ActionInvestigate,
			reason: "AWSCURRENT works; no rotation in progress. The next one would fail, or lock clients out where " +
				"no preflight stops it: start none. Do ",
			besides: "what AWSCURRENT's line names, then run status again"},
		{current: is(CredentialWorks), pending: is(credentialNone), rotationOn: yes, action: ActionNone,
			reason: "AWSCURRENT works; no rotation in progress"},
		{current: is(CredentialWorks), pending: is(credentialNone), setUp: no, action: ActionNone,
			reason: "AWSCURRENT works; no rotation in progress. Rotation is not set up",
			lines:  []Fix{{By: ByShell, For: "to set it up and rotate now", Run: setUpCommand}}},
		{current: is(CredentialWorks), pending: is(credentialNone), action: ActionNone,
			reason: "AWSCURRENT works; no rotation in progress. Rotation is disabled",
			lines: []Fix{{By: ByShell, For: "to enable it and rotate now, unless it was cancelled on purpose, as " +
				"where another secret for this user rotates, whose clients that would lock out",
				Run: "aws secretsmanager rotate-secret --secret-id ARN"}}},
		{current: is(CredentialWorks), copied: yes, action: ActionDiscard,
			reason: "AWSCURRENT works, and AWSPENDING holds the same credentials: a copy that a configuration test " +
				"left, or that was stored by hand. No rotation can complete with it: discard it"},
		{current: is(CredentialWorks), pending: is(CredentialWorks), stale: no, attempt: []attempt{attemptFails},
			action: ActionInvestigate,
			reason: "AWSCURRENT and AWSPENDING both work, but the password of AWSPENDING may not be saved: clients " +
				"could be locked out after a restart. Move no label yet. Do ",
			besides: "what AWSPENDING's line names, then run status again"},
		{current: is(CredentialWorks), pending: is(CredentialWorks), stale: no, action: ActionFinish,
			reason: "AWSCURRENT and AWSPENDING both work: only finishSecret is missing. Moving AWSCURRENT completes " +
				"the rotation"},
		{current: is(CredentialWorks), rotationOn: no, action: ActionDiscard,
			reason: "AWSCURRENT works, rotation is disabled, and AWSPENDING of an incomplete rotation blocks the " +
				"next one. If rotation was disabled just now, a step may still run: first wait as long as the " +
				"function's timeout"},
		{current: is(CredentialWorks), pending: is(CredentialOtherTarget, CredentialInvalid), action: ActionDiscard,
			reason: "AWSCURRENT works. AWSPENDING is invalid or for another target, so its rotation cannot complete: " +
				"discard it"},
		{current: is(CredentialWorks), pending: is(CredentialWorks), action: ActionDiscard,
			reason: "AWSCURRENT works. AWSPENDING is not what a rotation makes from it: it was stored by hand, or " +
				"AWSCURRENT was edited or rolled back after AWSPENDING was created. Completing that rotation would " +
				"undo the edit"},
		{current: is(CredentialWorks), stale: yes, action: ActionCancel,
			reason: "AWSCURRENT works. AWSPENDING is not what a rotation makes from it: it was stored by hand, or " +
				"AWSCURRENT was edited or rolled back after AWSPENDING was created. The next attempt of that " +
				"rotation would fail, or undo the edit. Cancel rotation, then run status again: AWSPENDING can be " +
				"discarded once no step can run"},
		{current: is(CredentialWorks), pending: is(CredentialBlocked, CredentialRight), action: ActionInvestigate,
			reason: "AWSCURRENT works. The database does not let the user of AWSPENDING log in, so its rotation " +
				"cannot complete: do ",
			besides: "what the line of AWSPENDING says, then run status again"},
		// Nothing is rehearsed here: what an attempt lacks is no news, and to give a user that alone, and save it,
		// may overwrite the only copy of what clients need.
		{current: is(CredentialWorks), unusable: yes, action: ActionInvestigate,
			reason: "AWSCURRENT logs in, which is not enough for clients, or for a rotation, as said above, and one " +
				"is incomplete: do ",
			besides: "what AWSCURRENT's line names, then run status again"},
		{current: is(CredentialWorks), attempt: []attempt{attemptRefused}, action: ActionCancel,
			reason: "AWSCURRENT works. The server's password policy refuses the password in AWSPENDING, " +
				"so its rotation cannot complete. Cancel rotation, then run status again: AWSPENDING can be " +
				"discarded, and the next rotation proposes another password"},
		{current: is(CredentialWorks), attempt: []attempt{attemptFails}, action: ActionInvestigate,
			reason:  "AWSCURRENT works and a rotation is incomplete, but its next attempt would fail: do ",
			besides: "what AWSPENDING's line names, then run status again"},
		{current: is(CredentialWorks), action: ActionRetry,
			reason: "AWSCURRENT works and a rotation is incomplete: rotate-secret resumes it (and answers \"A " +
				"previous rotation isn't complete. That rotation will be reattempted.\", as expected)"},

		// It does not.
		{pending: is(CredentialWorks), otherUser: yes, action: ActionFinish,
			reason: "AWSPENDING works and AWSCURRENT, which is for another user, does not: the rotation changed " +
				"nothing of that user, whom something else keeps out, as its line says. Clients read its password " +
				"until the label moves"},
		{pending: is(CredentialWorks), action: ActionFinish,
			reason: "AWSPENDING works and AWSCURRENT does not: the database has the new password, and clients read " +
				"the old one until the label moves"},
		{pending: is(CredentialUnknown), action: ActionInvestigate,
			reason:  "AWSCURRENT does not work, and AWSPENDING could not be tested: do ",
			besides: "what its line names, then run status again"},
		{readOnly: yes, action: ActionInvestigate,
			reason: "AWSCURRENT does not work, and the server is read-only: its accounts may be behind, as those of " +
				"a replica that has stopped, or of a restored backup. Look at the host in the secret and at its " +
				"replication first. Until then set no password, and move no label. Do ",
			besides: "what the lines above name, then run status again"},
		{previous: is(CredentialWorks), action: ActionRollBack,
			reason: "AWSPREVIOUS works, AWSCURRENT does not. A value was stored that the database was never given, " +
				"or that is none (not JSON, or no password in it); or the database has another password (restored " +
				"backup, set by hand, or by a rotation of another secret for this user); or the label was moved by " +
				"hand; or the user of AWSCURRENT is locked, or gone"},
		{previous: is(CredentialUnknown), action: ActionInvestigate,
			reason:  "AWSCURRENT does not work, and AWSPREVIOUS could not be tested: do ",
			besides: "what its line names, then run status again"},
		// Older versions would be no better: some servers have this one.
		{partly: yes, action: ActionInvestigate,
			reason: "some servers of the secret let AWSCURRENT in, and others do not, as its line says: clients are " +
				"locked out of those alone. Move no label. Do ",
			besides: "what its line names, then run status again"},
		{current: is(CredentialRejected), pending: is(CredentialRight), action: ActionFinish,
			reason: "AWSCURRENT is rejected. The password of AWSPENDING is the one set, and the database does not " +
				"let its user log in, for what its line names. The label moves first: clients that try AWSCURRENT " +
				"can have the user blocked again. Once they read the new value, run status again: it prints what " +
				"lets the user log in"},
		{current: is(CredentialRejected), previous: is(CredentialRight), action: ActionRollBack,
			reason: "AWSCURRENT is rejected. The password of AWSPREVIOUS is the one set, and the database does not " +
				"let its user log in, for what its line names. The label moves first: clients that try AWSCURRENT " +
				"can have the user blocked again. Once they read the old value, run status again: it prints what " +
				"lets the user log in"},
		{current: is(CredentialBlocked, CredentialRight), action: ActionInvestigate,
			reason: "the database does not let the user of AWSCURRENT log in, whatever the password: clients are " +
				"locked out. Do ",
			besides: "what its line names, then run status again"},
		{pending: is(CredentialBlocked), action: ActionInvestigate,
			reason: "AWSCURRENT does not work, and the database does not let the user of AWSPENDING log in, " +
				"whatever the password: clients are locked out. Do ",
			besides: "what its line names, then run status again"},
		{previous: is(CredentialBlocked), action: ActionInvestigate,
			reason: "AWSCURRENT does not work, and the database does not let the user of AWSPREVIOUS log in, " +
				"whatever the password: clients are locked out. Do ",
			besides: "what its line names, then run status again"},
		// There is no event for it here: each of the two would name the other for ever.
		{current: is(CredentialRejected), pending: is(CredentialNotTested), previousFirst: yes,
			action: ActionInvestigate, resets: true,
			lines: append([]Fix{testFirst(LabelPending, "PENDING-ID")}, whoSetIt()...),
			reason: "AWSCURRENT is rejected. AWSPENDING was not tested, and its line says why. If no earlier status " +
				"has found it rejected, change nothing, and have it tested first, as printed below. If " +
				"one has, " + noneWorks},
		{current: is(CredentialRejected), pending: is(CredentialNotTested), action: ActionInvestigate,
			reason: "AWSCURRENT is rejected. AWSPENDING was not tested, for a second rejected login in a row can " +
				"lock the user: have it tested first, as printed below. If it works, finish it"},
		// It may have the one password that is set: that comes before AWSPREVIOUS.
		{current: is(CredentialRejected), pending: is(CredentialOtherTarget), otherUser: no,
			previous: is(CredentialOtherTarget), action: ActionResetPassword, resets: true,
			lines: append([]Fix{moveBack()}, whoSetIt()...),
			reason: "AWSCURRENT is rejected. AWSPENDING and AWSPREVIOUS are for another user or target, as their " +
				"lines say, and were not tried: keep both. If AWSCURRENT names the wrong one, move the label back, " +
				"as printed below, and run status again. If it names the right one, and was edited after setSecret, " +
				"the password of AWSPENDING is the one set. Store it beside all else that AWSCURRENT has, as printed " +
				"below, and run status again: it says what of that is wrong. Else " + noneWorks},
		{current: is(CredentialRejected), pending: is(CredentialOtherTarget), otherUser: no,
			previous: is(CredentialNotTested), action: ActionInvestigate, resets: true, lines: whoSetIt(),
			reason: "AWSCURRENT is rejected. AWSPENDING is for another target, as its line says, and was not tried: " +
				"keep it. If one of the two was edited after setSecret, the password of AWSPENDING is the one set. " +
				"Store it beside all else that AWSCURRENT has, as printed below, and run status again: it says what " +
				"of that is wrong. Else have AWSPREVIOUS tested first, as printed below: a second rejected login in " +
				"a row can lock the user. If it is rejected too, " + noneWorks},
		{current: is(CredentialRejected), pending: is(CredentialOtherTarget), otherUser: no,
			previous: is(credentialNone, CredentialRejected), action: ActionResetPassword, resets: true,
			lines: whoSetIt(),
			reason: "AWSCURRENT is rejected. AWSPENDING is for another target, as its line says, and was not tried: " +
				"keep it. If one of the two was edited after setSecret, the password of AWSPENDING is the one set. " +
				"Store it beside all else that AWSCURRENT has, as printed below, and run status again: it says what " +
				"of that is wrong. Else " + noneWorks},
		{current: is(CredentialRejected), previous: is(CredentialNotTested), action: ActionInvestigate, resets: true,
			lines: whoSetIt(),
			reason: "AWSCURRENT is rejected. AWSPREVIOUS was not tested, for a second rejected login in a row can " +
				"lock the user: have it tested first, as printed below. If it is rejected too, " + noneWorks},
		{current: is(CredentialInvalid), previous: is(CredentialNotTested), action: ActionInvestigate,
			reason: "AWSCURRENT is invalid, for the reason above. AWSPREVIOUS was not tested, for a second rejected " +
				"login in a row can lock the user: have it tested first, as printed below. If it works, " +
				"roll back to it"},
		{current: is(CredentialInvalid), action: ActionStoreCredentials, resets: true, lines: olderVersions(),
			reason: "AWSCURRENT is invalid, for the reason above, and no other version works. Where another is " +
				"rejected, find the cause first, from its line" + byQuery + ". Where that was stored by hand as " +
				"well, an older version may still be right: have status test it, as printed below, and roll back to " +
				"it if it works. Else store the credentials now in use, in value.json, with every member that this " +
				"function needs. Where AWSPREVIOUS is a JSON object, copy it first, for storing moves that label " +
				"(aws secretsmanager get-secret-value --secret-id ARN --version-stage AWSPREVIOUS), and replace " +
				"what is wrong in it, as the password. " + valueFile + ". Where the password is not known, have a " +
				"superuser set the one that you store"},
		{previous: is(CredentialOtherTarget), action: ActionResetPassword, resets: true,
			lines: []Fix{moveBack()},
			reason: "AWSCURRENT does not work, and AWSPREVIOUS was not tried: it is for another user or target. If " +
				"AWSCURRENT names the wrong one, move the label back, as printed below. If it names the right one: " +
				"find the cause, from the lines above" + byQuery + ". Then, as a superuser of the database, set the " +
				"user's password to the one in AWSCURRENT (create the user if it is gone). In either case run status " +
				"again"},
		{action: ActionResetPassword, resets: true, lines: whoSetIt(), reason: noneWorks},
	}
}
