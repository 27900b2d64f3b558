package awsemu

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator/iam"
)

// tokens is STS, as much of it as roles need.
var tokens = service{
	name:  "sts",
	space: "https://sts.amazonaws.com/doc/2011-06-15/",
	codes: map[string]string{
		codeDenied: "AccessDenied", codeValidation: "ValidationError", codeUnrecognized: "InvalidClientTokenId",
		codeExpired: "ExpiredToken", codeThrottled: "Throttling", codeInternal: "InternalFailure",
		codeUnknown: "InvalidAction", codeNoToken: "MissingAuthenticationToken",
		codeBadSignature: "IncompleteSignature", codeMalformedPolicy: "MalformedPolicyDocument",
	},
	operations: map[string]operation{
		"AssumeRole":        op((*Emulator).assumeRole),
		"GetCallerIdentity": op((*Emulator).getCallerIdentity),
	},
}

// Role is a role that AssumeRole may give out.
type Role struct {
	ARN        string
	Trust      iam.NamedPolicy // who may assume it
	Identity   []iam.NamedPolicy
	Boundary   *iam.NamedPolicy
	Tags       map[string]string
	MaxSession time.Duration // 0: an hour
}

// SetRole puts a role in place of the one with its ARN, or beside the others. The
// sessions that it has follow its policies.
func (e *Emulator) SetRole(role Role) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.Roles = replace(e.Roles, role, func(old Role) bool { return old.ARN == role.ARN })
}

func (e *Emulator) role(arn string) *Role {
	if i := slices.IndexFunc(e.Roles, func(r Role) bool { return r.ARN == arn }); i >= 0 {
		return &e.Roles[i]
	}
	return nil
}

type callerIdentity struct{ UserId, Account, Arn string }

// getCallerIdentity needs no permission.
func (e *Emulator) getCallerIdentity(r *request, _ *struct{}) (any, error) {
	p := iam.Principal{ARN: "arn:aws:iam::" + e.account() + ":root", Account: e.account()}
	if r.caller != nil {
		p = r.caller.Principal
	}
	return callerIdentity{userID(p), p.Account, p.ARN}, nil
}

type assumeRoleInput struct {
	RoleArn         string `check:"required len=20-2048"`
	RoleSessionName string `check:"required len=2-64 pattern=session"`
	Policy          string `check:"len=1-2048"`
	PolicyArns      []struct{ Arn string }
	DurationSeconds string `check:"len=1-5 pattern=number"`
	Tags            []tag  `check:"len=0-50"`
	ExternalId      string `check:"len=2-1224"`
}

type assumeRoleOutput struct {
	Credentials struct {
		AccessKeyId, SecretAccessKey, SessionToken, Expiration string
	}
	AssumedRoleUser struct{ AssumedRoleId, Arn string }
}

// assumeRole makes a session, whose access key is a caller from now on. Without
// Callers there is nobody to trust, and every role can be assumed.
func (e *Emulator) assumeRole(r *request, in *assumeRoleInput) (any, error) {
	if arn := strings.SplitN(in.RoleArn, ":", 6); len(arn) < 6 || arn[0] != "arn" ||
		slices.Contains([]string{arn[1], arn[2], arn[4], arn[5]}, "") {
		return nil, refuse(codeValidation, "%s is invalid", in.RoleArn)
	}
	role := e.role(in.RoleArn)
	if r.caller == nil {
		role = &Role{ARN: in.RoleArn, MaxSession: 12 * time.Hour}
	}
	if role == nil || !e.trusted(r, role, in) {
		return nil, refuse(codeDenied, "User: %s is not authorized to perform: sts:AssumeRole on resource: %s",
			r.caller.Principal.ARN, in.RoleArn)
	}
	duration, err := sessionLength(role, r.caller, in.DurationSeconds)
	if err != nil {
		return nil, err
	}
	s, err := newSession(role, in)
	if err != nil {
		return nil, err
	}
	s.issued, s.Expires = r.now, r.now.Add(duration)
	if r.caller != nil { // the same network
		s.Endpoints, s.Context = r.caller.Endpoints, r.caller.Context
	}
	if e.sessions == nil {
		e.sessions = map[string]Caller{}
	}
	e.sessions[s.AccessKey] = s
	var out assumeRoleOutput
	c := &out.Credentials
	c.AccessKeyId, c.SecretAccessKey, c.SessionToken = s.AccessKey, "none", string(s.token.Reveal())
	c.Expiration = s.Expires.UTC().Format(time.RFC3339)
	out.AssumedRoleUser.AssumedRoleId, out.AssumedRoleUser.Arn = userID(s.Principal), s.Principal.ARN
	return out, nil
}

// trusted asks the caller's policies and the role's trust policy, for tags too.
func (e *Emulator) trusted(r *request, role *Role, in *assumeRoleInput) bool {
	if r.caller == nil {
		return true
	}
	c := iam.Context{"sts:RoleSessionName": {in.RoleSessionName}}
	if in.ExternalId != "" {
		c["sts:ExternalId"] = []string{in.ExternalId}
	}
	actions := []string{"sts:AssumeRole"}
	for _, t := range in.Tags {
		c["aws:RequestTag/"+t.Key] = []string{t.Value}
		c["aws:TagKeys"] = append(c["aws:TagKeys"], t.Key)
		actions = []string{"sts:AssumeRole", "sts:TagSession"}
	}
	for key, value := range role.Tags {
		c["aws:ResourceTag/"+key] = []string{value}
	}
	for _, action := range actions {
		q := query{action: action, resource: role.ARN, account: arnAccount(role.ARN), context: c, policy: &role.Trust}
		if !e.ask(r, q).Allowed {
			return false
		}
	}
	return true
}

// sessionLength is bounded by the role, and by an hour for a session that assumes
// another role.
func sessionLength(role *Role, caller *Caller, asked string) (time.Duration, error) {
	if asked == "" {
		return time.Hour, nil
	}
	seconds, _ := strconv.Atoi(asked) // digits, by its pattern
	d := time.Duration(seconds) * time.Second
	switch {
	case d < 15*time.Minute:
		return 0, broken("durationSeconds", reflect.Value{}, "Member must have value greater than or equal to 900")
	case d > 12*time.Hour:
		return 0, broken("durationSeconds", reflect.Value{}, "Member must have value less than or equal to 43200")
	case d > time.Hour && caller != nil && !caller.token.Empty():
		return 0, refuse(codeValidation, "The requested DurationSeconds exceeds the 1 hour session limit for roles "+
			"assumed by role chaining")
	case d > cmp.Or(role.MaxSession, time.Hour):
		return 0, refuse(codeValidation, "The requested DurationSeconds exceeds the MaxSessionDuration set for this "+
			"role.")
	}
	return d, nil
}

// newSession is the caller that a role becomes.
func newSession(role *Role, in *assumeRoleInput) (Caller, error) {
	name := role.ARN[strings.LastIndex(role.ARN, "/")+1:]
	p := iam.Principal{
		ARN:  "arn:aws:sts::" + arnAccount(role.ARN) + ":assumed-role/" + name + "/" + in.RoleSessionName,
		Role: role.ARN, Account: arnAccount(role.ARN), Tags: map[string]string{},
	}
	for key, value := range role.Tags {
		p.Tags[key] = value
	}
	for _, t := range in.Tags { // a tag of the session overrules the role's
		p.Tags[t.Key] = t.Value
	}
	s := Caller{AccessKey: "ASIA" + strings.ToUpper(strings.ReplaceAll(newUUID(), "-", "")[:16]), Principal: p,
		token: Text(newUUID())}
	if len(in.PolicyArns) > 0 {
		return s, refuse(codeValidation, "This emulator has no managed policies: pass session policies as Policy.")
	}
	if in.Policy == "" {
		return s, nil
	}
	policy, err := iam.ParseIdentity(in.Policy)
	if err != nil {
		return s, refuse(codeMalformedPolicy, "The session policy is malformed: %s", err)
	}
	s.Session = []iam.NamedPolicy{{Name: "session policy of " + in.RoleSessionName, Policy: policy}}
	return s, nil
}

// userID is a principal's unique id, the same in every run: AIDA... for a user,
// AROA...:session for the session of a role.
func userID(p iam.Principal) string {
	letters := func(arn string) string { return fmt.Sprintf("%X", sha256.Sum256([]byte(arn)))[:17] }
	head, session, isSession := strings.Cut(arnPart(p.ARN, 5), "/")
	switch {
	case head == "root":
		return p.Account
	case head == "assumed-role" && isSession:
		role, name, _ := strings.Cut(session, "/")
		return "AROA" + letters(p.Account+"/"+role) + ":" + name
	}
	return "AIDA" + letters(p.ARN)
}
