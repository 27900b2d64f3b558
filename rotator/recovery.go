package rotator

import "slices"

// Standing is what is known of one stored version.
type Standing string

const (
	Accepted  Standing = "logs in"   // the strategy used it, and it worked
	Rejected  Standing = "rejected"  // the database answered, and did not accept it
	Unusable  Standing = "unusable"  // its value is none that could log in anywhere
	Elsewhere Standing = "elsewhere" // it is for another account or place than AWSCURRENT, so that it was not sent
	NoValue   Standing = "empty"     // it has no value yet, or there is no such version
	Unclear   Standing = "not known" // AWS or the database did not answer that question
	NotAsked  Standing = "not asked" // it does not matter, or an earlier answer makes asking unwise
	absent    Standing = ""          // no version carries the label
)

// Action is what to do about a secret.
type Action string

const (
	Nothing Action = "nothing" // all is well
	Finish  Action = "finish"  // move AWSCURRENT to the version that is AWSPENDING
	Discard Action = "discard" // take AWSPENDING away from its version
	Restore Action = "restore" // move AWSCURRENT back to the version that is AWSPREVIOUS
	Retry   Action = "retry"   // have the service take the rotation up again
	Cancel  Action = "cancel"  // turn rotation off, so that AWSPENDING can be discarded
	Wait    Action = "wait"    // mend what keeps the question from being answered, and ask again
	Provide Action = "provide" // store credentials that work
	Reset   Action = "reset"   // have a superuser set a password
	Leave   Action = "leave"   // the secret is not ours to rotate, or not here
)

// moves says whether the action is the move of a label, which recover can make.
// All others are for people, because they need a permission that a rotation
// function does not have and should not have.
func (a Action) moves() bool { return a == Finish || a == Discard || a == Restore }

// scene is everything that a decision rests on.
type scene struct {
	current, pending, previous Standing
	// pending is absent where AWSPENDING is on the version that is AWSCURRENT: so the
	// service leaves it after a rotation (user pain 18).

	// stale: AWSPENDING was not made from this AWSCURRENT. Somebody changed the secret
	// since, or went back to an earlier version.
	stale bool
	// running: rotation is on. A step that sets the pending password in the database
	// may come at any time, or be under way.
	running bool
}

// decide finds the row of the table that fits.
func decide(s scene) rule {
	all := rules()
	return all[slices.IndexFunc(all, func(r rule) bool { return r.fits(s) })]
}

// rule is a row of the table. A column that is nil fits everything.
type rule struct {
	current, pending, previous []Standing
	stale, running             []bool

	action  Action
	because string
}

func (r rule) fits(s scene) bool {
	return in(r.current, s.current) && in(r.pending, s.pending) && in(r.previous, s.previous) &&
		in(r.stale, s.stale) && in(r.running, s.running)
}

func in[T comparable](column []T, v T) bool { return column == nil || slices.Contains(column, v) }

// rules is the table of decisions, read from the top; the last row fits everything.
// What it never does:
//   - move AWSCURRENT to a version that was not seen to log in;
//   - move AWSCURRENT away from a version that logs in, unless it is to complete a
//     rotation of which both passwords work;
//   - take AWSPENDING away while a setSecret might yet make its password the only one
//     that works. A function refuses to begin one once rotation is off, and never
//     begins one for another account or place;
//   - take a silence for a no.
func rules() []rule {
	is := func(s ...Standing) []Standing { return s }
	yes, no := []bool{true}, []bool{false}
	return []rule{
		{current: is(NoValue, absent), action: Provide,
			because: "there is no value that a rotation could start from: store the credentials that are in use now"},
		{current: is(Unclear), action: Wait,
			because: "whether AWSCURRENT works could not be found out, so nothing should be changed: mend what is named above, and ask again"},

		// AWSCURRENT works.
		{current: is(Accepted), pending: is(absent), running: yes, action: Nothing,
			because: "AWSCURRENT works, and no rotation is half-way"},
		{current: is(Accepted), pending: is(absent), action: Nothing,
			because: "AWSCURRENT works, and no rotation is half-way. Rotation is not on: rotate-secret turns it on, and rotates at once"},
		{current: is(Accepted), pending: is(Accepted), stale: no, action: Finish,
			because: "both AWSCURRENT and AWSPENDING work: the rotation did everything but its last step, and the move completes it"},
		{current: is(Accepted), running: no, action: Discard,
			because: "AWSCURRENT works, rotation is off, and a rotation was left half-way: its version is only in the way of the next one. If rotation was turned off a moment ago, let the function's timeout pass first, for a step may still be running"},
		{current: is(Accepted), pending: is(Elsewhere, Unusable), action: Discard,
			because: "AWSCURRENT works, and no rotation can ever complete with AWSPENDING, which is no value for this account and place: without it the next one begins afresh"},
		{current: is(Accepted), pending: is(Accepted), action: Discard,
			because: "AWSCURRENT works, and somebody changed the secret after AWSPENDING was made (or went back to an earlier version): completing that rotation would undo it"},
		{current: is(Accepted), stale: yes, action: Cancel,
			because: "AWSCURRENT works, and somebody changed the secret after AWSPENDING was made (or went back to an earlier version): the service would complete that rotation and undo the change. Turn rotation off, so that no step can run, and ask again: then AWSPENDING can be discarded"},
		{current: is(Accepted), action: Retry,
			because: "AWSCURRENT works, and a rotation is half-way: the service takes it up again, and begins with what is there. (It answers \"A previous rotation isn't complete. That rotation will be reattempted.\", which is as it should be.) Where it fails again with the same error, as it does when the server's policy refuses the new password, turn rotation off (aws secretsmanager cancel-rotate-secret) and ask again: then AWSPENDING can be discarded"},

		// It does not.
		{pending: is(Accepted), action: Finish,
			because: "AWSPENDING works and AWSCURRENT does not: the database has the new password, and clients read the old one until the label moves"},
		{pending: is(Unclear), action: Wait,
			because: "AWSCURRENT does not work, and whether AWSPENDING does could not be found out: mend what is named above, and ask again"},
		{previous: is(Accepted), action: Restore,
			because: "AWSPREVIOUS works and AWSCURRENT does not: the database has an earlier password (a restored backup, or a value that was promoted or stored and never set)"},
		{previous: is(Unclear), action: Wait,
			because: "AWSCURRENT does not work, and whether AWSPREVIOUS does could not be found out: mend what is named above, and ask again"},
		{current: is(Unusable), action: Provide,
			because: "AWSCURRENT holds nothing that could log in, for the reason named above, and no other version works: store the credentials that are in use now, in the form that this function rotates"},
		{action: Reset,
			because: "no version that carries a label works: somebody changed the password in the database, or the user is gone. As a superuser, set the user's password to the one that AWSCURRENT holds, or set another and store it. (Before that: an older version that carries no label may hold the right one; aws secretsmanager list-secret-version-ids --include-deprecated lists them. A version that is for another account or place was not tried: where it is AWSCURRENT that names the wrong one, move the label back by hand.)"},
	}
}
