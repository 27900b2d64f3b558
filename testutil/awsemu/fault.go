package awsemu

import (
	"fmt"
	"strings"
	"time"
)

// Call is one request, without any secret value.
type Call struct {
	N         int    // 1 for the first request
	Service   string // "secretsmanager", "kms", "sts", "iam" or "rds"
	Operation string // "GetSecretValue"
	SecretID  string // as asked: a name, an ARN, a list with commas
	Name      string // of the secret that SecretID means; "" if there is none
	Version   string // VersionId, MoveToVersionId or ClientRequestToken, as asked
	From      string // RemoveFromVersionId, as asked
	Stage     string // VersionStage, or VersionStages with commas, as asked
	Region    string // of the signature
	Target    string // the key, role or database that a request to another service is about, as asked
	AccessKey string // of the signature
	Account   string // of the caller
	Phase     string // the step of the rotation that is running on this secret; "" if none is
	Err       string // the error's code; "" for success
	Lost      bool   // the answer was never sent

	// Decisions is what the policies said, in the order in which they were asked;
	// none, as long as there are no Callers.
	Decisions []Decision

	place, fromPlace int // of Version and From among the secret's versions; 0: unknown
}

// String is one line for golden files. Versions appear by their place in the
// order of creation, v1, v2 and so on, or v? when the secret has no such version.
// Calls of other services begin with the service's name:
//
//	GetSecretValue v2 AWSPENDING
//	UpdateSecretVersionStage v2 from v1 AWSCURRENT
//	PutSecretValue v2 AWSPENDING: ResourceExistsException
//	sts:AssumeRole
func (c Call) String() string {
	var b strings.Builder
	if c.Service != secretsManagerName && c.Service != "" {
		b.WriteString(c.Service + ":")
	}
	b.WriteString(c.Operation)
	if c.Version != "" {
		b.WriteString(" " + ordinal(c.place))
	}
	if c.From != "" {
		b.WriteString(" from " + ordinal(c.fromPlace))
	}
	if c.Stage != "" {
		b.WriteString(" " + c.Stage)
	}
	if c.Err != "" {
		b.WriteString(": " + c.Err)
	}
	if c.Lost {
		b.WriteString(" (no answer)")
	}
	return b.String()
}

func ordinal(n int) string {
	if n == 0 {
		return "v?"
	}
	return fmt.Sprintf("v%d", n)
}

// Fault is what goes wrong with one request. Fields combine: a call may be slow,
// stale and without an answer. Of several refusals the first in this order wins.
type Fault struct {
	Before func()        // runs first, before anything is looked at
	Delay  time.Duration // then this passes
	Hang   bool          // never carried out and never answered: ends when the client gives up, or with Close
	// LoseRequest closes the connection without an answer, and carries nothing out.
	LoseRequest bool

	ExpiredToken bool // ExpiredTokenException
	Throttle     bool // ThrottlingException
	ServerError  bool // InternalServiceError, HTTP 500, not carried out
	Deny         bool // AccessDeniedException: no identity-based policy allows the action

	// The next three strike only where the operation needs the key, that is where
	// a value is read, written or compared, and after the state was looked at.
	DenyKMS           bool // AccessDeniedException: Access to KMS is not allowed
	DecryptionFailure bool // the key is disabled, or pending deletion
	EncryptionFailure bool // the same, for writing

	Stale        bool   // a read answers from before the latest write to its secret
	After        func() // runs when the operation is carried out, before the answer
	LoseResponse bool   // the operation is carried out and the connection closed without an answer
}

// Calls is every call so far, in the order in which they were carried out.
func (e *Emulator) Calls() []Call {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]Call(nil), e.calls...)
}

// ResetCalls forgets the calls so far. N goes on counting.
func (e *Emulator) ResetCalls() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.calls = nil
}

// log keeps a finished call; the caller holds the lock. Places are looked up now,
// because the call may have made its version.
func (e *Emulator) log(c *Call) {
	if rec, err := e.find(c.home(), c.SecretID); err == nil {
		c.Name = rec.secret.Name
		c.place, c.fromPlace = rec.secret.place(c.Version), rec.secret.place(c.From)
	}
	e.calls = append(e.calls, *c)
}

func (s *Secret) place(id string) int {
	if v := s.version(id); v != nil {
		return v.n
	}
	return 0
}
