package awsemu

import (
	"cmp"
	"slices"

	"github.com/quarterturn-dev/quarterturn/rotator/iam"
)

// identities is IAM, as much of it as a person may use who asks why a role was
// denied a call: the policies of the role, and the simulator.
var identities = service{
	name:  "iam",
	space: "https://iam.amazonaws.com/doc/2010-05-08/",
	codes: map[string]string{
		codeDenied: "AccessDenied", codeValidation: "ValidationError", codeUnrecognized: "InvalidClientTokenId",
		codeExpired: "ExpiredToken", codeThrottled: "Throttling", codeInternal: "ServiceFailure",
		codeUnknown: "InvalidAction", codeNoToken: "MissingAuthenticationToken",
		codeBadSignature: "IncompleteSignature",
	},
	operations: map[string]operation{
		"DeleteRolePolicy":         op((*Emulator).deleteRolePolicy),
		"GetPolicy":                op((*Emulator).getPolicy),
		"GetPolicyVersion":         op((*Emulator).getPolicyVersion),
		"GetRole":                  op((*Emulator).getRole),
		"GetRolePolicy":            op((*Emulator).getRolePolicy),
		"ListAttachedRolePolicies": op((*Emulator).listAttachedRolePolicies),
		"ListRolePolicies":         op((*Emulator).listRolePolicies),
		"PutRolePolicy":            op((*Emulator).putRolePolicy),
		"SimulatePrincipalPolicy":  op((*Emulator).simulatePrincipalPolicy),
	},
}

// codeNoEntity is IAM's word for what is not there.
const codeNoEntity = "NoSuchEntity"

type simulateInput struct {
	PolicySourceArn string   `check:"required len=20-2048"`
	ActionNames     []string `check:"required"`
	ResourceArns    []string
	ContextEntries  []struct {
		ContextKeyName   string
		ContextKeyValues []string
	}
}

type simulateOutput struct {
	EvaluationResults []evaluationResult `xml:"EvaluationResults>member"`
	IsTruncated       bool
}

type evaluationResult struct {
	EvalActionName, EvalResourceName, EvalDecision string

	MatchedStatements []matchedStatement `xml:"MatchedStatements>member"`

	OrganizationsDecisionDetail       *organizationsDetail `xml:",omitempty"`
	PermissionsBoundaryDecisionDetail *boundaryDetail      `xml:",omitempty"`
}

type (
	matchedStatement    struct{ SourcePolicyId, SourcePolicyType string }
	organizationsDetail struct{ AllowedByOrganizations bool }
	boundaryDetail      struct{ AllowedByPermissionsBoundary bool }
)

// simulatePrincipalPolicy evaluates what is the role's own: its policies, its
// boundary, and its organization's. Resource, session and endpoint policies have no
// part in it, as in AWS.
func (e *Emulator) simulatePrincipalPolicy(r *request, in *simulateInput) (any, error) {
	q := query{action: "iam:SimulatePrincipalPolicy", resource: in.PolicySourceArn,
		account: arnAccount(in.PolicySourceArn)}
	if err := e.allow(r, q); err != nil {
		return nil, err
	}
	principal, layers, ok := e.source(in.PolicySourceArn)
	if !ok {
		return nil, refuse(codeNoEntity, "The principal %s cannot be found.", in.PolicySourceArn)
	}
	c := iam.Context{}
	for _, entry := range in.ContextEntries {
		c[entry.ContextKeyName] = entry.ContextKeyValues
	}
	var out simulateOutput
	for _, action := range in.ActionNames {
		for _, resource := range in.ResourceArns {
			request := iam.Request{Principal: principal, Action: action, Resource: resource, Context: c,
				ResourceAccount: principal.Account}
			out.EvaluationResults = append(out.EvaluationResults, simulate(request, layers))
		}
	}
	return out, nil
}

// source gives the policies of a role, or of the caller that is one.
func (e *Emulator) source(arn string) (p iam.Principal, l iam.Layers, ok bool) {
	p = iam.Principal{ARN: arn, Account: arnAccount(arn)}
	l.SCPs = e.accountOf(p.Account).SCPs
	if role := e.role(arn); role != nil {
		p.Tags, l.Identity, l.Boundary = role.Tags, role.Identity, role.Boundary
		return p, l, true
	}
	i := slices.IndexFunc(e.Callers, func(c Caller) bool { return cmp.Or(c.Principal.Role, c.Principal.ARN) == arn })
	if i < 0 {
		return p, l, false
	}
	p.Tags, l.Identity, l.Boundary = e.Callers[i].Principal.Tags, e.Callers[i].Identity, e.Callers[i].Boundary
	return p, l, true
}

func simulate(request iam.Request, l iam.Layers) evaluationResult {
	// The simulator knows no key policies: a key is taken to leave it to IAM.
	delegating := iam.KeyPolicy{Policy: must(iam.ParseResource(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + request.ResourceAccount + `:root"},"Action":"*","Resource":"*"}}`))}
	decide := func(l iam.Layers) iam.Decision {
		l.Key = &delegating
		return iam.Evaluate(request, l)
	}
	d := decide(l)
	result := evaluationResult{EvalActionName: request.Action, EvalResourceName: request.Resource,
		EvalDecision: "implicitDeny"}
	switch {
	case d.Allowed:
		result.EvalDecision = "allowed"
	case d.Explicit:
		result.EvalDecision = "explicitDeny"
	}
	if (d.Allowed || d.Explicit) && d.Policy != "" {
		result.MatchedStatements = []matchedStatement{{d.Policy, "IAM Policy"}}
	}
	if l.SCPs != nil {
		allowed := decide(iam.Layers{Identity: []iam.NamedPolicy{everything}, SCPs: l.SCPs}).Allowed
		result.OrganizationsDecisionDetail = &organizationsDetail{allowed}
	}
	if l.Boundary != nil {
		allowed := decide(iam.Layers{Identity: []iam.NamedPolicy{everything}, Boundary: l.Boundary}).Allowed
		result.PermissionsBoundaryDecisionDetail = &boundaryDetail{allowed}
	}
	return result
}

var everything = must(iam.ParseIdentity(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`))

func must(p iam.Policy, err error) iam.NamedPolicy {
	if err != nil {
		panic(err)
	}
	return iam.NamedPolicy{Policy: p}
}
