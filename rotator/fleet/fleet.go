// Package fleet says which secrets of an account, or of many, are not rotated as they
// should be: stuck since when, overdue, never rotated, turned off, whose function or key
// is gone, and what to type.
//
// It never reads a value, and the role that it is meant for denies that explicitly: one
// page of ListSecrets decides nearly everything for a hundred secrets. Functions and keys
// are asked about once each, and a finding of severity critical or high is confirmed by
// one DescribeSecret, because ListSecrets may be five minutes behind. What could not be
// read is a finding of its own and never counts as in order.
//
// Whether a stored password works, and for which engine, host and user it is, cannot be
// told without the value: the status of the secret says it.
package fleet

import (
	"cmp"
	"slices"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator"
)

const day = 24 * time.Hour

// Secret is a secret as ListSecrets describes it, with what other calls added.
type Secret struct {
	ARN, Name, Account, Region string
	Tags                       map[string]string

	RotationEnabled *bool // nil: never set up
	FunctionARN     string
	Rules           rotator.RotationRules

	Created, LastRotated, LastChanged, LastAccessed, NextRotation, Deleted time.Time

	KMSKeyID      string // "": aws/secretsmanager
	OwningService string
	Type          string // of an external secret
	PrimaryRegion string
	Labels        map[string][]string // version id to staging labels

	Replicas []Replica // DescribeSecret alone says them
	Versions []Version // ListSecretVersionIds; nil: not asked
}

// Replica is a copy of a secret in another Region.
type Replica struct{ Region, Status, Message string }

// Version is a stored version of a secret.
type Version struct {
	ID      string
	Labels  []string
	Created time.Time
}

// holder is the version that has a label, or "".
func (s *Secret) holder(label string) string {
	for id, labels := range s.Labels {
		if slices.Contains(labels, label) {
			return id
		}
	}
	return ""
}

// pending is the version that has AWSPENDING and not AWSCURRENT: a rotation that is not
// completed. The service leaves AWSPENDING on the version that became AWSCURRENT.
func (s *Secret) pending() string {
	if id := s.holder("AWSPENDING"); id != s.holder("AWSCURRENT") {
		return id
	}
	return ""
}

// created is when a version was made; zero: not known.
func (s *Secret) created(version string) time.Time {
	for _, v := range s.Versions {
		if v.ID == version {
			return v.Created
		}
	}
	return time.Time{}
}

func (s *Secret) rotated() bool { return s.RotationEnabled != nil && *s.RotationEnabled }

// replica says whether the secret is a copy of one in another Region.
func (s *Secret) replica() bool { return s.PrimaryRegion != "" && s.PrimaryRegion != s.Region }

// Function is a rotation function, asked about once.
type Function struct {
	ARN        string
	Gone       bool // Lambda knows no such function
	Reserved   *int // concurrency; nil: none reserved
	State      string
	LastUpdate string
	Runtime    string
	Ours       bool   // it is one of Policy.Functions
	Policy     string // resource policy; "": none, or not read
	PolicyRead bool

	settings     map[string]string // of one of ours, as far as passwords and tags go
	settingsRead bool
}

// Key is a KMS key, asked about once.
type Key struct {
	ID       string
	State    string    // "": not read
	Deletion time.Time // zero: none
}

// Severity is how bad a finding is.
type Severity string

// The severities, worst first.
const (
	Critical    Severity = "critical" // clients are or will be locked out, or nothing can rotate
	High        Severity = "high"     // the rotation does not happen
	Medium      Severity = "medium"   // it is against the policy
	Unknown     Severity = "unknown"  // it could not be read; never counted as in order
	Low         Severity = "low"      // hygiene
	Information Severity = "information"
)

// severities is worst first.
var severities = [...]Severity{Critical, High, Medium, Unknown, Low, Information}

// rank orders severities: 0 is the worst.
func (s Severity) rank() int { return slices.Index(severities[:], s) }

// AtLeast says whether a severity is as bad as another, or worse.
func (s Severity) AtLeast(other Severity) bool { return s.rank() <= other.rank() }

// Finding is one condition that holds for a secret.
type Finding struct {
	ID       string    `json:"id"`
	Name     string    `json:"name"`
	Severity Severity  `json:"severity"`
	Since    time.Time `json:"since,omitzero"`
	Sentence string    `json:"sentence"`
	Remedy   string    `json:"remedy,omitempty"` // a command, ready to paste
	Evidence Evidence  `json:"evidence,omitzero"`
}

// Evidence is what a finding rests on.
type Evidence struct {
	Call  string `json:"call"`
	Field string `json:"field"`
	Value string `json:"value"`
}

// Policy is what counts as in order. Its zero value is sensible.
type Policy struct {
	MaxAge      time.Duration // F08; 0: 90 days
	MaxInterval time.Duration // F09; 0: 90 days
	MinInterval time.Duration // F36: schedules shorter than clients may cache; 0: 1 day
	Grace       time.Duration // F01, after the window; 0: 1 h
	Unused      time.Duration // F26; 0: 90 days
	CustomerKey bool          // F20: a secret needs a customer managed key
	Tags        []string      // F30: keys that every secret must have
	// Functions are our functions: ARNs, or names that end in * (F11); nil: quarterturn-*.
	Functions []string
	Accounts  []string // F33: other accounts that a resource policy may name
}

func (p Policy) maxAge() time.Duration      { return cmp.Or(p.MaxAge, 90*day) }
func (p Policy) maxInterval() time.Duration { return cmp.Or(p.MaxInterval, 90*day) }
func (p Policy) minInterval() time.Duration { return cmp.Or(p.MinInterval, rotator.MinInterval) }
func (p Policy) grace() time.Duration       { return cmp.Or(p.Grace, time.Hour) }
func (p Policy) unused() time.Duration      { return cmp.Or(p.Unused, 90*day) }
