package rotator

import "slices"

// CredentialState is what is known of one stored version.
type CredentialState string

const (
	CredentialWorks       CredentialState = "logs in"   // the strategy used it, and it worked
	CredentialRejected    CredentialState = "rejected"  // the database answered, and did not accept it
	CredentialInvalid     CredentialState = "unusable"  // its value is none that could log in anywhere
	CredentialOtherTarget CredentialState = "elsewhere" // it is for another account or place than AWSCURRENT, so that it was not sent
	CredentialMissing     CredentialState = "empty"     // it has no value yet, or there is no such version
	CredentialUnknown     CredentialState = "not known" // AWS or the database did not answer that question
	CredentialNotTested   CredentialState = "not asked" // it does not matter, or an earlier answer makes asking unwise
	credentialNone        CredentialState = ""          // no version carries the label
)

// Action is what to do about a secret.
type Action string

const (
	ActionNone             Action = "nothing" // all is well
	ActionFinish           Action = "finish"  // move AWSCURRENT to the version that is AWSPENDING
	ActionDiscard          Action = "discard" // take AWSPENDING away from its version
	ActionRollBack         Action = "restore" // move AWSCURRENT back to the version that is AWSPREVIOUS
	ActionRetry            Action = "retry"   // have the service take the rotation up again
	ActionCancel           Action = "cancel"  // turn rotation off, so that AWSPENDING can be discarded
	ActionInvestigate      Action = "wait"    // mend what keeps the question from being answered, and ask again
	ActionStoreCredentials Action = "provide" // store credentials that work
	ActionResetPassword    Action = "reset"   // have a superuser set a password
	ActionNotManaged       Action = "leave"   // the secret is not ours to rotate, or not here
)

// movesLabel says whether the action is the move of a label, which recover can make.
// All others are for people, because they need a permission that a rotation
// function does not have and should not have.
func (a Action) movesLabel() bool {
	return a == ActionFinish || a == ActionDiscard || a == ActionRollBack
}

// situation is everything that a decision rests on.
type situation struct {
	current, pending, previous CredentialState
	// pending is absent where AWSPENDING is on the version that is AWSCURRENT: so the
	// service leaves it after a rotation (user pain 18).

	// stale: AWSPENDING was not made from this AWSCURRENT. Somebody changed the secret
	// since, or went back to an earlier version.
	stale bool
	// rotationOn: rotation is on. A step that sets the pending password in the database
	// may come at any time, or be under way.
	rotationOn bool
}

// decide finds the row of the table that fits.
func decide(s situation) rule {
	all := decisionTable()
	return all[slices.IndexFunc(all, func(r rule) bool { return r.matches(s) })]
}

// rule is a row of the table. A column that is nil fits everything.
type rule struct {
	current, pending, previous []CredentialState
	stale, rotationOn          []bool

	action Action
	reason string
}

func (r rule) matches(s situation) bool {
	return matchesAny(r.current, s.current) && matchesAny(r.pending, s.pending) && matchesAny(r.previous, s.previous) &&
		matchesAny(r.stale, s.stale) && matchesAny(r.rotationOn, s.rotationOn)
}

func matchesAny[T comparable](column []T, v T) bool {
	return column == nil || slices.Contains(column, v)
}

// decisionTable is the table of decisions, read from the top; the last row fits everything.
// What it never does:
//   - move AWSCURRENT to a version that was not seen to log in;
//   - move AWSCURRENT away from a version that logs in, unless it is to complete a
//     rotation of which both passwords work;
//   - take AWSPENDING away while a setSecret might yet make its password the only one
//     that works. A function refuses to begin one once rotation is off, and never
//     begins one for another account or place;
//   - take a silence for a no.
func decisionTable() []rule {
	is := func(s ...CredentialState) []CredentialState { return s }
	yes, no := []bool{true}, []bool{false}
	return []rule{
		{current: is(CredentialMissing, credentialNone), action: ActionStoreCredentials,
			reason: "there is no value that a rotation could start from: store the credentials that are in use now"},
		{current: is(CredentialUnknown), action: ActionInvestigate,
			reason: "whether AWSCURRENT works could not be found out, so nothing should be changed: mend what is named above, and ask again"},

		// AWSCURRENT works.
		{current: is(CredentialWorks), pending: is(credentialNone), rotationOn: yes, action: ActionNone,
			reason: "AWSCURRENT works, and no rotation is half-way"},
		{current: is(CredentialWorks), pending: is(credentialNone), action: ActionNone,
			reason: "AWSCURRENT works, and no rotation is half-way. Rotation is not on: rotate-secret turns it on, and rotates at once"},
		{current: is(CredentialWorks), pending: is(CredentialWorks), stale: no, action: ActionFinish,
			reason: "both AWSCURRENT and AWSPENDING work: the rotation did everything but its last step, and the move completes it"},
		{current: is(CredentialWorks), rotationOn: no, action: ActionDiscard,
			reason: "AWSCURRENT works, rotation is off, and a rotation was left half-way: its version is only in the way of the next one. If rotation was turned off a moment ago, let the function's timeout pass first, for a step may still be running"},
		{current: is(CredentialWorks), pending: is(CredentialOtherTarget, CredentialInvalid), action: ActionDiscard,
			reason: "AWSCURRENT works, and no rotation can ever complete with AWSPENDING, which is no value for this account and place: without it the next one begins afresh"},
		{current: is(CredentialWorks), pending: is(CredentialWorks), action: ActionDiscard,
			reason: "AWSCURRENT works, and somebody changed the secret after AWSPENDING was made (or went back to an earlier version): completing that rotation would undo it"},
		{current: is(CredentialWorks), stale: yes, action: ActionCancel,
			reason: "AWSCURRENT works, and somebody changed the secret after AWSPENDING was made (or went back to an earlier version): the service would complete that rotation and undo the change. Turn rotation off, so that no step can run, and ask again: then AWSPENDING can be discarded"},
		{current: is(CredentialWorks), action: ActionRetry,
			reason: "AWSCURRENT works, and a rotation is half-way: the service takes it up again, and begins with what is there. (It answers \"A previous rotation isn't complete. That rotation will be reattempted.\", which is as it should be.) Where it fails again with the same error, as it does when the server's policy refuses the new password, turn rotation off (aws secretsmanager cancel-rotate-secret) and ask again: then AWSPENDING can be discarded"},

		// It does not.
		{pending: is(CredentialWorks), action: ActionFinish,
			reason: "AWSPENDING works and AWSCURRENT does not: the database has the new password, and clients read the old one until the label moves"},
		{pending: is(CredentialUnknown), action: ActionInvestigate,
			reason: "AWSCURRENT does not work, and whether AWSPENDING does could not be found out: mend what is named above, and ask again"},
		{previous: is(CredentialWorks), action: ActionRollBack,
			reason: "AWSPREVIOUS works and AWSCURRENT does not: the database has an earlier password (a restored backup, or a value that was promoted or stored and never set)"},
		{previous: is(CredentialUnknown), action: ActionInvestigate,
			reason: "AWSCURRENT does not work, and whether AWSPREVIOUS does could not be found out: mend what is named above, and ask again"},
		{current: is(CredentialInvalid), action: ActionStoreCredentials,
			reason: "AWSCURRENT holds nothing that could log in, for the reason named above, and no other version works: store the credentials that are in use now, in the form that this function rotates"},
		{action: ActionResetPassword,
			reason: "no version that carries a label works: somebody changed the password in the database, or the user is gone. As a superuser, set the user's password to the one that AWSCURRENT holds, or set another and store it. (Before that: an older version that carries no label may hold the right one; aws secretsmanager list-secret-version-ids --include-deprecated lists them. A version that is for another account or place was not tried: where it is AWSCURRENT that names the wrong one, move the label back by hand.)"},
	}
}
