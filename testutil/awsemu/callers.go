package awsemu

import (
	"cmp"
	"slices"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator/iam"
)

// Caller is who signs with an access key, and what the policies say about them.
// A caller without policies may do nothing. As long as there are no callers at
// all, every key is taken and everything is allowed.
type Caller struct {
	AccessKey string
	Principal iam.Principal // Account "": that of its ARN
	Identity  []iam.NamedPolicy
	Boundary  *iam.NamedPolicy
	Session   []iam.NamedPolicy

	// Endpoints are the VPC endpoints on the caller's way, by service:
	// "secretsmanager", "kms", "sts". The others are reached without one.
	Endpoints map[string]Endpoint
	// Context is what the emulator cannot know of its requests, such as
	// aws:SourceIp, aws:PrincipalOrgID or a key to be overruled.
	Context iam.Context
	// Expires is when the credentials end; zero: never.
	Expires time.Time

	token  Value     // the session token that must come along; empty: not a session of AssumeRole
	issued time.Time // of a session of AssumeRole; zero, for a session: as the request comes
}

// Endpoint is a VPC endpoint.
type Endpoint struct {
	ID     string           // aws:SourceVpce
	VPC    string           // aws:SourceVpc
	Policy *iam.NamedPolicy // nil: the endpoint lets everything through
}

// Account is what an organization lays over one of its accounts: for each level
// from the root to the account the policies there, of which one must allow.
type Account struct {
	ID     string
	Status string // in the organization; "": ACTIVE
	SCPs   [][]iam.NamedPolicy
	RCPs   [][]iam.NamedPolicy
}

// Function is a Lambda function with its resource policy. Functions that are not
// listed let Secrets Manager in.
type Function struct {
	ARN    string
	Policy iam.NamedPolicy

	// What Lambda says of it, where it is asked.
	Document    string // the policy as GetPolicy gives it; "": there is none
	Reserved    *int   // concurrency; nil: none reserved
	Runtime     string // "": provided.al2023
	State       string // "": Active
	LastUpdate  string // "": Successful
	Environment map[string]string
}

// SetCaller puts a caller in place of the one with its access key, or beside the
// others.
func (e *Emulator) SetCaller(c Caller) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.Callers = replace(e.Callers, c, func(old Caller) bool { return old.AccessKey == c.AccessKey })
}

// SetOthers sets who signs with a key that is not listed.
func (e *Emulator) SetOthers(c Caller) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.Others = &c
}

// SetAccount puts an account in place of the one with its id, or beside the others.
func (e *Emulator) SetAccount(a Account) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.Accounts = replace(e.Accounts, a, func(old Account) bool { return old.ID == a.ID })
}

// replace gives a new list, because the old one belongs to whoever made it.
func replace[T any](list []T, item T, same func(T) bool) []T {
	return append(slices.DeleteFunc(slices.Clone(list), same), item)
}

// identify finds who signed a request: a listed caller, or the session of a role.
func (e *Emulator) identify(r *request, s signer) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	r.call.Account = e.account()
	if len(e.Callers) == 0 {
		return nil
	}
	caller, ok := e.caller(s.accessKey)
	if !ok || !caller.token.Empty() && !caller.token.Equal(Text(s.token)) {
		return refuse(codeUnrecognized, "The security token included in the request is invalid.")
	}
	r.caller, r.call.Account = &caller, caller.Principal.Account
	if !caller.Expires.IsZero() && !r.now.Before(caller.Expires) {
		return refuse(codeExpired, "The security token included in the request is expired")
	}
	return nil
}

func (e *Emulator) caller(accessKey string) (Caller, bool) {
	same := func(c Caller) bool { return c.AccessKey == accessKey }
	if i := slices.IndexFunc(e.Callers, same); i >= 0 {
		c := e.Callers[i]
		c.Principal.Account = cmp.Or(c.Principal.Account, arnAccount(c.Principal.ARN), e.account())
		return c, true
	}
	c, ok := e.sessions[accessKey]
	if !ok && e.Others != nil {
		c, ok = *e.Others, true
		c.Principal.Account = cmp.Or(c.Principal.Account, arnAccount(c.Principal.ARN), e.account())
	}
	if role := e.role(c.Principal.Role); ok && role != nil { // the role's policies of this moment
		c.Identity, c.Boundary = role.Identity, role.Boundary
	}
	return c, ok
}

func (e *Emulator) accountOf(id string) Account {
	for _, a := range e.Accounts {
		if a.ID == id {
			return a
		}
	}
	return Account{}
}
