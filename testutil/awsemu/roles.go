package awsemu

import (
	"cmp"
	"net/url"
	"slices"
	"strings"

	"github.com/quarterturn-dev/quarterturn/rotator/iam"
)

// roleFacts is what IAM tells of a role: one of Roles, or that of a caller.
type roleFacts struct {
	arn      string
	tags     map[string]string
	identity []iam.NamedPolicy
	boundary *iam.NamedPolicy
}

func (e *Emulator) roleNamed(account, name string) (roleFacts, error) {
	is := func(arn string) bool {
		return arnAccount(arn) == account && strings.HasPrefix(arnPart(arn, 5), "role/") &&
			arn[strings.LastIndex(arn, "/")+1:] == name
	}
	for _, r := range e.Roles {
		if is(r.ARN) {
			return roleFacts{r.ARN, r.Tags, r.Identity, r.Boundary}, nil
		}
	}
	for _, c := range e.Callers {
		if is(c.Principal.Role) {
			return roleFacts{c.Principal.Role, c.Principal.Tags, c.Identity, c.Boundary}, nil
		}
	}
	return roleFacts{}, refuse(codeNoEntity, "The role with name %s cannot be found.", name)
}

// role finds the role that a request is about, and asks whether the caller may.
func (e *Emulator) readRole(r *request, name string) (roleFacts, error) {
	role, err := e.roleNamed(r.call.Account, name)
	resource := cmp.Or(role.arn, "arn:aws:iam::"+r.call.Account+":role/"+name)
	if denied := e.allow(r, query{action: "iam:" + r.call.Operation, resource: resource,
		account: r.call.Account}); denied != nil {
		return roleFacts{}, denied
	}
	return role, err
}

type roleInput struct {
	RoleName   string `check:"required len=1-64"`
	PolicyName string `check:"len=1-128"`
}

type roleOutput struct {
	Role struct {
		Path, RoleName, RoleId, Arn, CreateDate string

		PermissionsBoundary *attachedBoundary `xml:",omitempty"`
		Tags                []tag             `xml:"Tags>member"`
	}
}

type attachedBoundary struct{ PermissionsBoundaryType, PermissionsBoundaryArn string }

func (e *Emulator) getRole(r *request, in *roleInput) (any, error) {
	role, err := e.readRole(r, in.RoleName)
	if err != nil {
		return nil, err
	}
	var out roleOutput
	path := strings.TrimSuffix(strings.TrimPrefix(arnPart(role.arn, 5), "role"), in.RoleName)
	out.Role.Path, out.Role.RoleName, out.Role.Arn = path, in.RoleName, role.arn
	out.Role.RoleId, _, _ = strings.Cut(userID(iam.Principal{ARN: "arn:aws:sts::" + r.call.Account + ":assumed-role/" +
		in.RoleName + "/x", Account: r.call.Account}), ":")
	out.Role.CreateDate = "2026-01-01T00:00:00Z"
	if role.boundary != nil {
		out.Role.PermissionsBoundary = &attachedBoundary{"Policy", managedARN(r.call.Account, role.boundary.Name)}
	}
	for key, value := range role.tags {
		out.Role.Tags = append(out.Role.Tags, tag{key, value})
	}
	return out, nil
}

// managedARN is that of a policy that has to be managed, as boundaries do.
func managedARN(account, name string) string {
	if strings.HasPrefix(name, "arn:") {
		return name
	}
	return "arn:aws:iam::" + account + ":policy/" + name
}

type rolePoliciesOutput struct {
	PolicyNames []string `xml:"PolicyNames>member"`
	IsTruncated bool
}

func (e *Emulator) listRolePolicies(r *request, in *roleInput) (any, error) {
	role, err := e.readRole(r, in.RoleName)
	if err != nil {
		return nil, err
	}
	var out rolePoliciesOutput
	for _, p := range role.identity {
		if !strings.HasPrefix(p.Name, "arn:") {
			out.PolicyNames = append(out.PolicyNames, p.Name)
		}
	}
	return out, nil
}

type rolePolicyOutput struct{ RoleName, PolicyName, PolicyDocument string }

func (e *Emulator) getRolePolicy(r *request, in *roleInput) (any, error) {
	role, err := e.readRole(r, in.RoleName)
	if err != nil {
		return nil, err
	}
	for _, p := range role.identity {
		if p.Name == in.PolicyName {
			return rolePolicyOutput{in.RoleName, in.PolicyName, url.QueryEscape(p.Policy.String())}, nil
		}
	}
	return nil, refuse(codeNoEntity, "The role policy with name %s cannot be found.", in.PolicyName)
}

type putRolePolicyInput struct {
	RoleName       string `check:"required len=1-64"`
	PolicyName     string `check:"required len=1-128"`
	PolicyDocument string `check:"required len=1-131072"`
}

func (e *Emulator) putRolePolicy(r *request, in *putRolePolicyInput) (any, error) {
	policy, err := iam.ParseIdentity(in.PolicyDocument)
	if err != nil {
		return nil, refuse("MalformedPolicyDocument", "Syntax errors in policy: %s", err)
	}
	role, err := e.readRole(r, in.RoleName)
	if err != nil {
		return nil, err
	}
	e.setIdentity(role.arn, replace(role.identity, iam.NamedPolicy{Name: in.PolicyName, Policy: policy},
		func(old iam.NamedPolicy) bool { return old.Name == in.PolicyName }))
	return struct{}{}, nil
}

type deleteRolePolicyInput struct {
	RoleName   string `check:"required len=1-64"`
	PolicyName string `check:"required len=1-128"`
}

func (e *Emulator) deleteRolePolicy(r *request, in *deleteRolePolicyInput) (any, error) {
	role, err := e.readRole(r, in.RoleName)
	if err != nil {
		return nil, err
	}
	named := func(p iam.NamedPolicy) bool { return p.Name == in.PolicyName }
	left := slices.DeleteFunc(slices.Clone(role.identity), named)
	if len(left) == len(role.identity) {
		return nil, refuse(codeNoEntity, "The role policy with name %s cannot be found.", in.PolicyName)
	}
	e.setIdentity(role.arn, left)
	return struct{}{}, nil
}

// setIdentity gives a role its policies, in lists of the emulator's own.
func (e *Emulator) setIdentity(arn string, policies []iam.NamedPolicy) {
	e.Roles, e.Callers = slices.Clone(e.Roles), slices.Clone(e.Callers)
	for i := range e.Roles {
		if e.Roles[i].ARN == arn {
			e.Roles[i].Identity = policies
			return
		}
	}
	for i := range e.Callers {
		if e.Callers[i].Principal.Role == arn {
			e.Callers[i].Identity = policies
		}
	}
}

type attachedOutput struct {
	AttachedPolicies []struct{ PolicyName, PolicyArn string } `xml:"AttachedPolicies>member"`
	IsTruncated      bool
}

func (e *Emulator) listAttachedRolePolicies(r *request, in *roleInput) (any, error) {
	role, err := e.readRole(r, in.RoleName)
	if err != nil {
		return nil, err
	}
	var out attachedOutput
	for _, p := range role.identity {
		if strings.HasPrefix(p.Name, "arn:") {
			out.AttachedPolicies = append(out.AttachedPolicies,
				struct{ PolicyName, PolicyArn string }{p.Name[strings.LastIndex(p.Name, "/")+1:], p.Name})
		}
	}
	return out, nil
}

type managedInput struct {
	PolicyArn string `check:"required len=20-2048"`
	VersionId string `check:"len=1-32"`
}

// managed finds a policy by its ARN among those that roles and callers have.
func (e *Emulator) managed(r *request, arn string) (iam.Policy, error) {
	if err := e.allow(r, query{action: "iam:" + r.call.Operation, resource: arn, account: r.call.Account}); err != nil {
		return iam.Policy{}, err
	}
	var all []iam.NamedPolicy
	for _, role := range e.Roles {
		all = append(all, role.Identity...)
		if role.Boundary != nil {
			all = append(all, *role.Boundary)
		}
	}
	for _, c := range e.Callers {
		all = append(all, c.Identity...)
		if c.Boundary != nil {
			all = append(all, *c.Boundary)
		}
	}
	for _, p := range all {
		if managedARN(r.call.Account, p.Name) == arn {
			return p.Policy, nil
		}
	}
	return iam.Policy{}, refuse(codeNoEntity, "Policy %s was not found.", arn)
}

type policyOutput struct {
	Policy struct{ PolicyName, Arn, DefaultVersionId string }
}

func (e *Emulator) getPolicy(r *request, in *managedInput) (any, error) {
	if _, err := e.managed(r, in.PolicyArn); err != nil {
		return nil, err
	}
	var out policyOutput
	out.Policy.PolicyName = in.PolicyArn[strings.LastIndex(in.PolicyArn, "/")+1:]
	out.Policy.Arn, out.Policy.DefaultVersionId = in.PolicyArn, "v1"
	return out, nil
}

type policyVersionOutput struct {
	PolicyVersion struct {
		Document, VersionId string
		IsDefaultVersion    bool
	}
}

func (e *Emulator) getPolicyVersion(r *request, in *managedInput) (any, error) {
	policy, err := e.managed(r, in.PolicyArn)
	if err != nil {
		return nil, err
	}
	var out policyVersionOutput
	out.PolicyVersion.Document = url.QueryEscape(policy.String())
	out.PolicyVersion.VersionId, out.PolicyVersion.IsDefaultVersion = in.VersionId, true
	return out, nil
}
