package rotationtest

// A Violation is a promise that was broken.
type Violation string

const (
	ViolationLockedOut    Violation = "locked out" // no labelled value logs in; with alternating users: not AWSCURRENT
	ViolationLeaked       Violation = "leaked"     // a secret is in something that people read
	ViolationPanicked     Violation = "panicked"
	ViolationHung         Violation = "hung"
	ViolationNotRecovered Violation = "stuck"      // what was in the way is gone, and the next rotation still fails
	ViolationCorrupted    Violation = "spoilt"     // a member of the secret changed that no rotation may change
	ViolationConnLeak     Violation = "left open"  // a connection outlived its step
	ViolationBystander    Violation = "bystander"  // another account or secret is not as it was before
	ViolationNotSaved     Violation = "not saved"  // what logged in does so no longer after a restart of the server
	ViolationPrivileges   Violation = "privileges" // who holds the secret may do more by it than before, or less
)

// Error makes a Violation usable with %w.
func (b Violation) Error() string { return string(b) }

// Violations is all of them, in the order in which they are told.
func Violations() []Violation {
	return []Violation{ViolationLockedOut, ViolationLeaked, ViolationPanicked, ViolationHung, ViolationNotRecovered,
		ViolationCorrupted, ViolationConnLeak, ViolationBystander, ViolationPrivileges, ViolationNotSaved}
}
