package awsemu

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator/iam"
)

// Decision is what the policies said about one action of a request. A request may
// need several: GetSecretValue is also kms:Decrypt of the caller.
type Decision struct {
	Request iam.Request
	iam.Decision
}

// authorise decides on a request before the state is looked at, as the service
// does: a caller without the right learns nothing, not even that a secret exists.
// The other services decide in their operations, once they know the key, the role or
// the database.
func (e *Emulator) authorise(r *request) error {
	if r.fault.Deny {
		who := "arn:aws:sts::" + e.account() + ":assumed-role/caller/" + r.call.AccessKey
		if r.caller != nil {
			who = r.caller.Principal.ARN
		}
		action := r.call.Service + ":" + r.call.Operation
		return refuse(codeDenied, "User: %s is not authorized to perform: %s on resource: %s because no "+
			"identity-based policy allows the %s action",
			who, action, cmp.Or(r.call.SecretID, e.resource(r.call)), action)
	}
	if r.call.Service != secretsManagerName {
		return nil
	}
	for _, action := range actionsOf(r.call.Operation, r.asked) {
		if err := e.allowSecret(r, action, r.call.SecretID); err != nil {
			return err
		}
	}
	return nil
}

// actionsOf is what the caller of an operation must be allowed, by the service
// model's "Required permissions". What depends on state (the key, the function,
// each secret of a batch) comes later.
func actionsOf(operation string, asked members) []string {
	actions := []string{operation}
	for _, also := range [...]struct{ operation, member, action string }{
		{"CreateSecret", "Tags", "TagResource"},
		{"CreateSecret", "AddReplicaRegions", "ReplicateSecretToRegions"},
		{"BatchGetSecretValue", "Filters", "ListSecrets"},
		{"ValidateResourcePolicy", "ResourcePolicy", "PutResourcePolicy"},
	} {
		if _, present := asked[also.member]; present && also.operation == operation {
			actions = append(actions, also.action)
		}
	}
	return actions
}

// allowSecret asks the policies about one action on one secret.
func (e *Emulator) allowSecret(r *request, action, id string) error {
	if r.caller == nil {
		return nil
	}
	c := r.call
	c.SecretID = id
	if slices.Contains([]string{"BatchGetSecretValue", "GetRandomPassword", "ListSecrets"}, action) {
		c.SecretID = ""
	}
	q := query{action: secretsManagerName + ":" + action, resource: e.resource(c), shown: cmp.Or(id, "*")}
	if c.SecretID == "" {
		q.shown = "*"
	}
	q.account = cmp.Or(arnAccount(q.resource), c.Account)
	var s *Secret
	if rec, err := e.find(c.home(), c.SecretID); err == nil {
		s = &rec.secret
	}
	if s != nil && s.Policy != "" {
		policy, err := iam.Parse(s.Policy)
		if err != nil {
			return refuse(codeInternal, "The secret was seeded with a policy that does not parse: %s", err)
		}
		q.policy = &iam.NamedPolicy{Name: s.ARN, Policy: policy}
	}
	if q.resource != "*" {
		q.context = secretContext(action, id, s, r.asked)
	}
	return e.allow(r, q)
}

// resource is the ARN that a request is about: the secret's, or what it would be.
func (e *Emulator) resource(c Call) string {
	if c.Service == rdsName {
		return databaseARN(c)
	}
	if c.Service != secretsManagerName {
		return cmp.Or(c.Target, "*")
	}
	switch rec, err := e.find(c.home(), c.SecretID); {
	case c.SecretID == "":
		return "*"
	case err == nil:
		return rec.secret.ARN
	case strings.HasPrefix(c.SecretID, "arn:"):
		return c.SecretID
	}
	return secretARN(c.home(), c.SecretID)
}

// requestKeys is the condition keys that an action takes from its request, by the
// Service Authorization Reference. They are there when the member was sent: no
// VersionStage means AWSCURRENT to the operation, and no key to a policy
// (AU-013 of docs/aws-facts.md, recorded). PutSecretValue has none.
var requestKeys = map[string][]string{
	"CreateSecret": {"Name", "Description", "KmsKeyId", "Type", "AddReplicaRegions",
		"ForceOverwriteReplicaSecret"},
	"DeleteSecret":             {"ForceDeleteWithoutRecovery", "RecoveryWindowInDays"},
	"GetSecretValue":           {"VersionId", "VersionStage"},
	"PutResourcePolicy":        {"BlockPublicPolicy"},
	"ReplicateSecretToRegions": {"AddReplicaRegions", "ForceOverwriteReplicaSecret"},
	"RotateSecret":             {"RotationLambdaARN", "RotateImmediately"},
	"UpdateSecret":             {"Description", "KmsKeyId", "Type"},
	"UpdateSecretVersionStage": {"VersionStage"},
}

// secretContext is the condition keys of Secrets Manager's own. s is nil when
// there is no such secret.
func secretContext(action, id string, s *Secret, asked members) iam.Context {
	c := iam.Context{}
	if action != "CreateSecret" {
		c["secretsmanager:SecretId"] = []string{id} // as sent: a name does not match an ARN
	}
	for _, key := range requestKeys[action] {
		if values := asked.words(key); values != nil {
			c["secretsmanager:"+key] = values
		}
	}
	if _, present := asked["RotationRules"]; present {
		c["secretsmanager:ModifyRotationRules"] = []string{"true"}
	}
	tagKeys := asked.words("TagKeys")
	for _, t := range asked.tags() {
		c["aws:RequestTag/"+t.Key] = []string{t.Value}
		tagKeys = append(tagKeys, t.Key)
	}
	if tagKeys != nil {
		c["aws:TagKeys"] = tagKeys
	}
	if s == nil {
		return c
	}
	c["secretsmanager:SecretPrimaryRegion"] = []string{cmp.Or(s.PrimaryRegion, s.Region)}
	if s.RotationLambdaARN != "" {
		c["secretsmanager:resource/AllowRotationLambdaArn"] = []string{s.RotationLambdaARN}
	}
	if s.Type != "" {
		c["secretsmanager:resource/Type"] = []string{s.Type}
	}
	for key, value := range s.Tags {
		c["secretsmanager:ResourceTag/"+key] = []string{value}
		c["aws:ResourceTag/"+key] = []string{value}
	}
	return c
}

// query is one question to the policies.
type query struct {
	action, resource string
	shown            string           // the resource as the caller sent it, for the text; "": resource
	account          string           // the resource's
	context          iam.Context      // beside the global keys
	policy           *iam.NamedPolicy // the resource's
	key              *iam.KeyPolicy
	via              bool // Secrets Manager asks in the caller's name
}

func (e *Emulator) allow(r *request, q query) error {
	if r.caller == nil {
		return nil
	}
	d := e.ask(r, q)
	if d.Allowed {
		return nil
	}
	as := d.Request
	as.Resource = cmp.Or(q.shown, q.resource)
	return refuse(codeDenied, "%s", strings.Replace(d.Message(as), " on resource: * ", " ", 1))
}

// ask puts a query to every policy that has a say, and logs the answer.
func (e *Emulator) ask(r *request, q query) Decision {
	c := r.caller
	layers := iam.Layers{
		Identity: c.Identity, Boundary: c.Boundary, Session: c.Session,
		SCPs: e.accountOf(c.Principal.Account).SCPs, RCPs: e.accountOf(q.account).RCPs,
		Resource: q.policy, Key: q.key,
	}
	if !q.via { // what a service does in the caller's name does not pass the caller's endpoint
		layers.Endpoint = c.Endpoints[r.call.Service].Policy
	}
	return r.decide(iam.Request{
		Principal: c.Principal, Action: q.action, Resource: q.resource, ResourceAccount: q.account,
		Context: r.context(q),
	}, layers)
}

func (r *request) decide(req iam.Request, layers iam.Layers) Decision {
	d := Decision{req, iam.Evaluate(req, layers)}
	r.call.Decisions = append(r.call.Decisions, d)
	return d
}

// context is the condition keys of a query: global ones, those of the query, and
// last the caller's, which overrule. Those that say who asks come from package iam.
func (r *request) context(q query) iam.Context {
	c := iam.Context{
		"aws:CurrentTime":     {r.now.UTC().Format(time.RFC3339)},
		"aws:EpochTime":       {strconv.FormatInt(r.now.Unix(), 10)},
		"aws:RequestedRegion": {r.call.Region},
		"aws:SecureTransport": {"true"}, // the service takes nothing else
		"aws:userid":          {userID(r.caller.Principal)},
		"aws:ViaAWSService":   {strconv.FormatBool(q.via)},
	}
	if r.caller.Principal.Role != "" { // temporary credentials
		issued := r.caller.issued
		if issued.IsZero() {
			issued = r.now
		}
		c["aws:TokenIssueTime"] = []string{issued.UTC().Format(time.RFC3339)}
	}
	if endpoint := r.caller.Endpoints[r.call.Service]; endpoint.ID != "" && !q.via {
		c["aws:SourceVpce"], c["aws:SourceVpc"] = []string{endpoint.ID}, []string{endpoint.VPC}
	}
	maps.Copy(c, q.context)
	for key, values := range r.caller.Context {
		if q.via && network(key) {
			continue
		}
		maps.DeleteFunc(c, func(other string, _ []string) bool { return strings.EqualFold(other, key) })
		c[key] = values
	}
	return c
}

// network says whether a key is about the caller's own connection, which a call
// that a service makes in the caller's name does not have.
func network(key string) bool {
	return slices.Contains([]string{"aws:sourceip", "aws:sourcevpc", "aws:sourcevpce", "aws:vpcsourceip"},
		strings.ToLower(key))
}

// policy is the function's resource policy, in whichever form it was given.
func (f Function) policy() (iam.NamedPolicy, error) {
	if f.Document == "" {
		return f.Policy, nil
	}
	policy, err := iam.Parse(f.Document)
	if err != nil {
		return iam.NamedPolicy{}, refuse(codeInternal, "The function has a policy that does not parse: %s", err)
	}
	return iam.NamedPolicy{Name: f.ARN, Policy: policy}, nil
}

// mayInvoke asks whether the caller of RotateSecret may invoke the function, and
// whether the function's policy lets Secrets Manager in.
func (e *Emulator) mayInvoke(r *request, s *Secret, arn string) error {
	q := query{action: "lambda:InvokeFunction", resource: arn, account: arnAccount(arn), via: true}
	i := slices.IndexFunc(e.Functions, func(f Function) bool { return f.ARN == arn })
	if i >= 0 {
		policy, err := e.Functions[i].policy()
		if err != nil {
			return err
		}
		q.policy = &policy
	}
	if err := e.allow(r, q); err != nil || i < 0 {
		return err
	}
	d := r.decide(iam.Request{
		Principal: iam.Principal{Service: secretsManagerName + ".amazonaws.com"},
		Action:    q.action, Resource: arn, ResourceAccount: q.account,
		Context: iam.Context{"aws:SourceAccount": {s.Account}, "aws:SourceArn": {s.ARN}},
	}, iam.Layers{Resource: q.policy}) // resource control policies are not for Lambda
	if !d.Allowed {
		return errNotInvocable()
	}
	return nil
}
