// Package iam is the part of AWS IAM that decides: given a request and the
// policies in force, it says whether the request is allowed, which statement of
// which policy decided, and why. It knows what requests to Secrets Manager, KMS,
// STS and Lambda need, and nothing of any network.
//
// It serves an emulator that refuses as AWS does, and it turns a denial into a
// sentence. An explanation is a reading of the policies that it was given: AWS may
// know of more.
//
// The rules follow the IAM User Guide, "Policy evaluation logic" and "IAM JSON
// policy elements reference", and for keys the AWS KMS Developer Guide, "Determining
// access to AWS KMS keys". No answer of this package has been compared with AWS
// itself; decisions were cross-checked by hand against another simulator.
package iam

import "strings"

// Layer is a kind of policy that has a say, in the words that AWS's denials use.
// Key is the exception: AWS calls a key policy "resource-based" in its denials, and
// so does Decision.Message.
type Layer string

// The layers, in the order in which a denial is looked for.
const (
	LayerRCP         Layer = "resource control"
	LayerSCP         Layer = "service control"
	LayerVPCEndpoint Layer = "VPC endpoint"
	LayerResource    Layer = "resource-based"
	LayerKey         Layer = "key"
	LayerIdentity    Layer = "identity-based"
	LayerBoundary    Layer = "permissions boundary"
	LayerSession     Layer = "session"
)

// NamedPolicy is a policy with the name or ARN by which explanations call it.
type NamedPolicy struct {
	Name   string
	Policy Policy
	// Unread: it is in force, or may be, and could not be read. What it allows is as open
	// as a key that is unknown; what it denies is not known.
	Unread bool
}

// Principal is who asks. Exactly one of ARN and Service is set; a Principal with
// neither is anonymous and matches only "*".
type Principal struct {
	// ARN is arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION, arn:aws:iam::ACCOUNT:user/NAME
	// or arn:aws:iam::ACCOUNT:root.
	ARN string
	// Role is the ARN of an assumed role, with its path, which a session's ARN leaves
	// out. Empty means a role without a path.
	Role string
	// Account is twelve digits. Empty means the account of ARN.
	Account string
	// Service is a service principal such as secretsmanager.amazonaws.com.
	Service string
	// Tags are the tags of the user, the role or the session: aws:PrincipalTag/NAME.
	Tags map[string]string
}

// Request is one action on one resource.
type Request struct {
	Principal Principal
	Action    string // secretsmanager:GetSecretValue
	Resource  string // an ARN, or "*" for actions that have no resource
	// ResourceAccount owns the resource. Empty means the account of Resource, and the
	// principal's own where that names none.
	ResourceAccount string
	// Context holds what the request carries beyond its principal. Evaluate adds
	// aws:PrincipalArn, aws:PrincipalAccount, aws:PrincipalType, aws:PrincipalTag/NAME,
	// aws:PrincipalIsAWSService, aws:PrincipalServiceName, aws:username,
	// aws:ResourceAccount and, for KMS, kms:CallerAccount, where Context does not have
	// them. Times and addresses are the caller's business.
	Context Context
	// Unknown says of a condition key that is not in Context, in lower case, whether the
	// request may have carried it all the same, and with what value: those that Evaluate
	// adds, too. nil: Context is complete.
	Unknown func(key string) bool
}

// Context maps condition keys, in any letter case, to their values. A key that is
// not there, or has no values, is absent.
type Context map[string][]string

// Layers are the policies in force. The zero value of a field means that there is
// none of the kind, which forbids nothing but for Identity.
type Layers struct {
	Identity []NamedPolicy // of the user or role: managed and inline
	Boundary *NamedPolicy
	// Session are the policies passed to AssumeRole: what one of them allows, the
	// session may do as far as the role may.
	Session []NamedPolicy
	// SCPs and RCPs have one slice for each level, root first and account last. At
	// each level one policy must allow, and a level without any allows nothing. SCPs
	// are those of the principal's organization, RCPs those of the resource's.
	SCPs [][]NamedPolicy
	RCPs [][]NamedPolicy
	// Endpoint is the policy of the VPC endpoint through which the request came.
	Endpoint *NamedPolicy
	// Resource is the policy of the resource: of the secret, of the function, or the
	// trust policy of the role to assume.
	Resource *NamedPolicy
	// Key counts for kms: actions only, and takes the place of Resource there.
	Key *KeyPolicy
}

// KeyPolicy is what a KMS key itself says about who may use it.
type KeyPolicy struct {
	Policy NamedPolicy
	Grants []Grant
	// GrantsUnread: there may be others, which could not be read.
	GrantsUnread bool
}

// Grant is a KMS grant. Its constraints hold for cryptographic operations only, the
// others having no encryption context.
type Grant struct {
	Grantee                 string   // a principal's ARN
	Operations              []string // Decrypt, GenerateDataKey, ...: without "kms:"
	EncryptionContextEquals map[string]string
	EncryptionContextSubset map[string]string
}

// Decision is the answer to a request, with its reasons.
type Decision struct {
	Allowed  bool
	Explicit bool // a statement denies, as opposed to none allowing
	// Layer decided: it denies, or does not allow, or (where Allowed) it grants.
	Layer Layer
	// Policy and Statement name what decided. Where no statement allows, Statement is
	// empty, and Policy too unless the layer has but one policy.
	Policy    string
	Statement string // its Sid, or "statement N" counted from one
	// Depends are the unknown keys on which the answer depends, or the layer that gives
	// it. Where it is not empty, the decision is the stricter of those that are possible.
	Depends []string
	Trace   []StatementResult

	request Request
	level   int       // of the SCPs or RCPs that did not allow, counted from one
	levels  int       // that there are
	unseen  []string  // kinds of policies that were not given
	best    *Decision // where the answer depends: the one that suits the caller
}

// StatementResult is what one statement, or one grant of a key, made of the request.
type StatementResult struct {
	Layer     Layer
	Policy    string
	Statement string
	Effect    string // Allow or Deny
	Matched   bool
	// Failed is the first element that did not match: Principal, Action, Resource,
	// their Not forms, "Condition StringEquals aws:SourceVpce", or a constraint of a grant.
	Failed            string
	Expected, Actual  string
	MatchedConditions []ConditionResult // the conditions that held, where Matched or Depends
	// Depends are the unknown keys that decide whether it matches, where all else does.
	// Matched is false then, and Failed empty.
	Depends []string

	reach nameMatch
}

// ConditionResult is one condition that held.
type ConditionResult struct{ Operator, Key, Expected, Actual string }

// account is the fifth field of an ARN.
func account(arn string) string {
	fields := strings.SplitN(arn, ":", 6)
	if len(fields) < 6 {
		return ""
	}
	return fields[4]
}

func (p Principal) account() string {
	if p.Account != "" {
		return p.Account
	}
	return account(p.ARN)
}

// role is the ARN of the assumed role, or "" for any other principal.
func (p Principal) role() string {
	if p.Role != "" {
		return p.Role
	}
	head, rest, ok := strings.Cut(p.ARN, ":assumed-role/")
	if !ok {
		return ""
	}
	name, _, _ := strings.Cut(rest, "/")
	return strings.Replace(head, ":sts:", ":iam:", 1) + ":role/" + name
}

// user is the name of an IAM user, without its path, or "".
func (p Principal) user() string {
	_, path, ok := strings.Cut(p.ARN, ":user/")
	if !ok {
		return ""
	}
	return path[strings.LastIndex(path, "/")+1:]
}

func (p Principal) root() bool { return isRoot(p.ARN) }

func isRoot(arn string) bool {
	return strings.HasPrefix(arn, "arn:") && strings.HasSuffix(arn, ":root")
}

// resourceAccount is the account that owns the resource.
func (r Request) resourceAccount() string {
	if r.ResourceAccount != "" {
		return r.ResourceAccount
	}
	if a := account(r.Resource); a != "" {
		return a
	}
	return r.Principal.account()
}

// facts are the condition keys of a request in lower case, as keys ignore case.
type facts map[string][]string

func (r Request) facts() facts {
	f := facts{}
	add := func(key, value string) {
		if key = strings.ToLower(key); value != "" && (r.Unknown == nil || !r.Unknown(key)) {
			f[key] = []string{value}
		}
	}
	p := r.Principal
	add("aws:PrincipalAccount", p.account())
	add("aws:ResourceAccount", r.resourceAccount())
	add("aws:username", p.user())
	switch {
	case p.Service != "":
		add("aws:PrincipalIsAWSService", "true")
		add("aws:PrincipalServiceName", p.Service)
	case p.role() != "": // IAM gives the role's ARN here, not the session's
		add("aws:PrincipalArn", p.role())
		add("aws:PrincipalType", "AssumedRole")
	case p.root():
		add("aws:PrincipalArn", p.ARN)
		add("aws:PrincipalType", "Account")
	case p.ARN != "":
		add("aws:PrincipalArn", p.ARN)
		add("aws:PrincipalType", "User")
	}
	if p.ARN != "" {
		add("aws:PrincipalIsAWSService", "false")
	}
	for name, value := range p.Tags {
		f[strings.ToLower("aws:PrincipalTag/"+name)] = []string{value}
	}
	if r.kms() {
		add("kms:CallerAccount", p.account())
	}
	for key, values := range r.Context {
		f[strings.ToLower(key)] = values
	}
	return f
}

func (r Request) kms() bool { return hasPrefixFold(r.Action, "kms:") }

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}
