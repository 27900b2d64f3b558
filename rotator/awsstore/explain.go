package awsstore

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/quarterturn-dev/quarterturn/rotator"
	reading "github.com/quarterturn-dev/quarterturn/rotator/iam"
	"github.com/quarterturn-dev/quarterturn/rotator/permissions"
)

// ExplainDenial implements rotator.AccessExplainer. It looks at the resource policy of the
// secret, the policy of its key, and at what IAM's simulator says of the role,
// wherever the caller may: secretsmanager:GetResourcePolicy, kms:DescribeKey,
// kms:GetKeyPolicy and iam:SimulatePrincipalPolicy, none of which a rotation needs.
func (s *Store) ExplainDenial(ctx context.Context, r rotator.AccessDenied) []string {
	ctx, cancel := context.WithTimeout(ctx, optionalCallTimeout)
	defer cancel()
	c, ok := s.parseDenial(ctx, r)
	if !ok {
		return nil
	}
	var lines []string
	for _, look := range []func(context.Context, deniedCall) string{s.evaluatePolicies, s.simulate} {
		if line := look(ctx, c); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// deniedCall is a call as the policies saw it.
type deniedCall struct {
	principal        string // ARN of the caller
	action, resource string
	secret           string // ARN; "": the call was about a database
	context          reading.Context
	kmsDenied        bool // the key was refused, not the secret
}

// parseDenial reads what AWS said. Of a refusal by KMS it says nothing but that.
func (s *Store) parseDenial(ctx context.Context, r rotator.AccessDenied) (c deniedCall, ok bool) {
	var api smithy.APIError
	var op *smithy.OperationError
	if !errors.As(r.Err, &api) || !errors.As(r.Err, &op) {
		return c, false
	}
	message := api.ErrorMessage()
	d, _ := permissions.ParseDenial(message)
	c = deniedCall{principal: d.Principal, action: d.Action, resource: d.Resource, secret: r.SecretID}
	if d.Key {
		c.kmsDenied, c.action = true, keyAction(op.Operation())
	} else {
		c.secret = c.resource
	}
	if c.secret == "" || c.action == "" {
		return c, false
	}
	c.context = reading.Context{
		"aws:SecureTransport": {"true"},
		"aws:ViaAWSService":   {fmt.Sprint(c.kmsDenied)},
		"aws:RequestedRegion": {s.cfg.Region},
	}
	if strings.HasPrefix(c.action, "rds:") { // a database has no policy of its own
		c.secret = ""
		return c, true
	}
	c.context["secretsmanager:SecretId"] = []string{c.secret}
	if r.Label != "" {
		c.context["secretsmanager:VersionStage"] = []string{r.Label}
	}
	m, err := s.Describe(ctx, c.secret)
	if err == nil {
		c.addSecretContext(m)
	}
	if c.kmsDenied && !s.addKeyContext(ctx, &c, m) {
		return c, false
	}
	return c, true
}

// addSecretContext adds what policies may ask about the secret.
func (c *deniedCall) addSecretContext(m rotator.Metadata) {
	for key, value := range m.Tags {
		c.context["aws:ResourceTag/"+key] = []string{value}
		c.context["secretsmanager:ResourceTag/"+key] = []string{value}
	}
	if m.RotationLambdaARN != "" {
		c.context["secretsmanager:resource/AllowRotationLambdaArn"] = []string{m.RotationLambdaARN}
	}
	primary := m.PrimaryRegion
	if primary == "" {
		primary = m.Region
	}
	c.context["secretsmanager:SecretPrimaryRegion"] = []string{primary}
}

// addKeyContext turns the question to the key: who asked, by which way, with which context.
func (s *Store) addKeyContext(ctx context.Context, c *deniedCall, m rotator.Metadata) bool {
	if !m.HasCustomerKey() {
		return false
	}
	if c.resource = s.keyARN(ctx, m); !strings.Contains(c.resource, ":key/") {
		return false // known by an alias only
	}
	id, err := sts.NewFromConfig(s.cfg).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return false
	}
	c.principal = aws.ToString(id.Arn)
	service := "secretsmanager." + s.cfg.Region + ".amazonaws.com"
	c.context["kms:ViaService"] = []string{service}
	c.context["aws:CalledVia"] = []string{"secretsmanager.amazonaws.com"}
	c.context["kms:EncryptionContext:SecretARN"] = []string{m.ARN}
	c.context["kms:EncryptionContext:SecretVersionId"] = []string{m.VersionWithLabel(rotator.LabelCurrent)}
	c.context["kms:EncryptionContextKeys"] = []string{"SecretARN", "SecretVersionId"}
	return true
}

// evaluatePolicies reads the policy of the secret or of the key. The identity-based
// policies are not seen: they are taken to allow everything, so that what is said is
// true of the other policy alone.
func (s *Store) evaluatePolicies(ctx context.Context, c deniedCall) string {
	everything, _ := reading.ParseIdentity(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`)
	layers := reading.Layers{Identity: []reading.NamedPolicy{{Name: "identity-based policies, not seen and taken to allow it", Policy: everything}}}
	name, text := s.policyOf(ctx, c)
	if text == "" {
		return ""
	}
	policy, err := reading.ParseResource(text)
	if err != nil {
		return ""
	}
	named := reading.NamedPolicy{Name: name, Policy: policy}
	if c.kmsDenied {
		layers.Key = &reading.KeyPolicy{Policy: named}
	} else {
		layers.Resource = &named
	}
	d := reading.Evaluate(reading.Request{Principal: reading.Principal{ARN: c.principal}, Action: c.action, Resource: c.resource, Context: c.context}, layers)
	if d.Allowed {
		return fmt.Sprintf("Our reading of the policies that could be seen: %s does not stand in the way of %s; what does is a policy that could not be seen, such as that of the role.", name, c.action)
	}
	return d.Explain()
}

// policyOf gives the policy of the secret or key, if the caller may see it.
func (s *Store) policyOf(ctx context.Context, c deniedCall) (name, text string) {
	if !c.kmsDenied && c.secret == "" {
		return "", ""
	}
	if c.kmsDenied {
		out, err := s.kmsClient().GetKeyPolicy(ctx, &kms.GetKeyPolicyInput{KeyId: &c.resource})
		if err != nil {
			return "", ""
		}
		return "the key policy of " + c.resource, aws.ToString(out.Policy)
	}
	out, err := s.client.GetResourcePolicy(ctx, &secretsmanager.GetResourcePolicyInput{SecretId: &c.secret})
	if err != nil {
		return "", ""
	}
	return "the resource policy of " + c.secret, aws.ToString(out.ResourcePolicy)
}

// simulate asks IAM what the role's own policies, its boundary and its
// organization make of the call. Resource policies of roles, session policies and
// endpoint policies are not in its answer. The ARN of a session leaves out the path
// of its role: the role is then not found, and nothing is said.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
func (s *Store) simulate(ctx context.Context, c deniedCall) string {
	client := iam.NewFromConfig(s.cfg, func(o *iam.Options) { o.RetryMaxAttempts = 1 })
	in := iam.SimulatePrincipalPolicyInput{
		PolicySourceArn: aws.String(permissions.RoleOf(c.principal)), ActionNames: []string{c.action}, ResourceArns: []string{c.resource},
	}
	for key, values := range c.context {
		kind := iamtypes.ContextKeyTypeEnumString
		if len(values) > 1 {
			kind = iamtypes.ContextKeyTypeEnumStringList
		}
		in.ContextEntries = append(in.ContextEntries, iamtypes.ContextEntry{ContextKeyName: aws.String(key), ContextKeyType: kind, ContextKeyValues: values})
	}
	out, err := client.SimulatePrincipalPolicy(ctx, &in)
	if err != nil || len(out.EvaluationResults) != 1 {
		return ""
	}
	return simulationText(c, out.EvaluationResults[0])
}

// simulationText puts an answer of the simulator into a sentence.
func simulationText(c deniedCall, result iamtypes.EvaluationResult) string {
	text := fmt.Sprintf("IAM's simulator, of the policies of %s: %s is %s", permissions.RoleOf(c.principal), c.action, decisionText(result.EvalDecision))
	for _, m := range result.MatchedStatements {
		text += fmt.Sprintf(", by %s", aws.ToString(m.SourcePolicyId))
	}
	if b := result.PermissionsBoundaryDecisionDetail; b != nil && !b.AllowedByPermissionsBoundary {
		text += "; its permissions boundary does not allow it"
	}
	if o := result.OrganizationsDecisionDetail; o != nil && !o.AllowedByOrganizations {
		text += "; a service control policy does not allow it"
	}
	if len(result.MissingContextValues) > 0 {
		text += "; it could not know " + strings.Join(result.MissingContextValues, ", ")
	}
	return text + "."
}

func decisionText(d iamtypes.PolicyEvaluationDecisionType) string {
	switch d {
	case iamtypes.PolicyEvaluationDecisionTypeAllowed:
		return "allowed"
	case iamtypes.PolicyEvaluationDecisionTypeExplicitDeny:
		return "explicitly denied"
	}
	return "allowed by none of them"
}
