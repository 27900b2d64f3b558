// Package awsemu is a strict AWS Secrets Manager in memory, with KMS, STS, the
// deciding part of IAM and the describing part of RDS behind it. It is an http.Handler that speaks the services'
// own protocols, so that the real SDKs and the AWS CLI talk to it without knowing:
//
//	emu := &awsemu.Emulator{Invoke: awsemu.InvokeHandler(handler)}
//	defer emu.Close()
//	srv := httptest.NewServer(emu)
//	arn := emu.Seed(awsemu.Secret{Name: "app/db", Versions: []awsemu.Version{
//		{Labels: []string{"AWSCURRENT"}, Value: awsemu.Text(`{"password":"old"}`)},
//	}})
//
// Strict means that it refuses what the service refuses: a label sits on one
// version and moves only by compare-and-swap, a version that has a value keeps
// it, a rotation's pending version starts without any, a rotation that is not complete
// blocks the next one. RotateSecret calls a real function, step by step, and
// tries the whole rotation again when a step fails. Fault injects what networks
// and accounts do: denials, throttling, lost answers, stale reads.
//
// The rules come from the service model, the User Guide and what others recorded on
// AWS; package contract has them as a table with sources, and holds the emulator to
// it. Where no source gives the text of an error, the text is ours and the error's
// code is theirs: code that decides by text will be surprised.
//
// What it does not do: it reads the Region and the access key from a request's
// signature and does not verify the signature; it rotates when RotateSecret is
// called, never because a date has come.
//
// Policies decide once there are Callers: who signs with which access key, and
// with which rights. Then every request is put to the policies of the caller, the
// secret, the key, the account and the VPC endpoint, with the condition keys that
// the service would give, by package iam; what they said is in Call.Decisions.
// Secrets Manager uses keys in the caller's name, as the service does. The handler
// serves as much of KMS and STS as that needs: GetCallerIdentity and AssumeRole,
// and the operations on a key that is there (SeedKey); of IAM its simulator; and of
// RDS what it says of databases that are there (SeedInstance, SeedCluster).
package awsemu

import (
	"cmp"
	"context"
	"sync"
	"time"
)

// Emulator is AWS accounts with their secrets and keys in all Regions. The zero value is
// ready; exported fields are set before the first request. Its methods and its
// handler may be used from many goroutines. Close ends running rotations.
type Emulator struct {
	// Region is that of Seed and Snapshot when they name none, and of requests whose signature does; "us-east-1".
	Region  string
	Account string           // the account of what names none, twelve digits; "123456789012"
	Now     func() time.Time // nil: time.Now

	// Invoke is how a rotation reaches its function. Without it RotateSecret
	// answers that the function's policy does not let Secrets Manager in.
	Invoke InvokeFunc
	// HasFunction says whether there is a function of that ARN: RotateSecret refuses one that is not there. nil: those
	// of Functions, or, if it lists none, every one.
	HasFunction func(functionARN string) bool
	// Configure gives a function the environment that UpdateFunctionConfiguration has set. nil: none is told.
	Configure func(functionARN string, env map[string]string)
	// EmptyTest leaves the pending version of a configuration test (RotateImmediately=false) without a value. Otherwise
	// it holds a copy of AWSCURRENT's value, as the service was seen to do.
	EmptyTest bool
	// Attempts is how often a whole rotation is tried before it counts as failed;
	// 0 is 5, for the guide's "several times".
	Attempts int
	// Backoff is the pause after a failed attempt (1, 2, ...); nil: none.
	Backoff func(attempt int) time.Duration
	// KeepPending leaves AWSPENDING beside AWSCURRENT after a successful rotation.
	// The service is seen to do either.
	KeepPending bool
	// WritesPerSecond is the quota that PutSecretValue, UpdateSecret,
	// UpdateSecretVersionStage and replication share in an account and Region; what is
	// above it is throttled. 0: no limit. The service's: 50.
	WritesPerSecond int
	// RequireToken makes rotations behave as with a function that assumes a role
	// or works across accounts: a pending value that came without the event's
	// RotationToken fails the rotation as "not created by Lambda". Callers of another
	// account than the secret's, and sessions of AssumeRole, are held to it anyway.
	RequireToken bool

	// Callers, once there are any, make policies decide. Roles are what AssumeRole
	// knows, Accounts what an organization lays over accounts, Functions whose
	// resource policies have a say. SetCaller, SetRole and SetAccount change them
	// between requests.
	Callers   []Caller
	Others    *Caller // who signs with a key that Callers do not list; nil: refused
	Roles     []Role
	Accounts  []Account
	Functions []Function

	// Fault is asked once for each request, possibly by many goroutines at once.
	// nil, or a zero Fault, lets the request through.
	Fault func(Call) Fault
	// Observe is told of every call after it was carried out and before it is
	// answered, possibly by many goroutines at once.
	Observe func(Call)

	mu       sync.Mutex
	secrets  map[home]map[string]*record // then by name
	listed   *listing                    // the latest
	births   map[string]int              // place and name: how often such a secret was made
	keys     map[home][]*Key
	wrapped  map[string]dataKey // by ciphertext
	quota    map[home]allowance
	sessions map[string]Caller // of assumed roles, by access key
	dbs      map[home]*fleet
	calls    []Call
	arrived  int // requests so far; the last Call's N
	events   []Event
	base     context.Context // ends with Close
	cancel   context.CancelFunc
	running  sync.WaitGroup
	closed   bool
}

// Close stops every running rotation before its next step, cancels the context
// of functions that are being called, lets go of requests that hang, and waits.
func (e *Emulator) Close() error {
	e.mu.Lock()
	e.closed = true
	e.lifetime()
	cancel := e.cancel
	e.mu.Unlock()
	cancel()
	e.running.Wait()
	return nil
}

// lifetime is the context that Close ends; the caller holds the lock.
func (e *Emulator) lifetime() context.Context {
	if e.base == nil {
		e.base, e.cancel = context.WithCancel(context.Background())
	}
	return e.base
}

func (e *Emulator) now() time.Time {
	if e.Now == nil {
		return time.Now()
	}
	return e.Now()
}

func (e *Emulator) region() string  { return cmp.Or(e.Region, "us-east-1") }
func (e *Emulator) account() string { return cmp.Or(e.Account, "123456789012") }
