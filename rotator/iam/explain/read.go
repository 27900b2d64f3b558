package explain

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	iamapi "github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"

	"github.com/quarterturn-dev/quarterturn/rotator/iam"
	"github.com/quarterturn-dev/quarterturn/rotator/permissions"
)

// reason is an error of AWS's in few words.
func reason(err error) string {
	var api smithy.APIError
	switch {
	case err == nil:
		return "only its owner can read it"
	case errors.As(err, &api):
		return api.ErrorCode()
	}
	return err.Error()
}

// locate finds out what the call was about: the secret, the key, the action.
func (r *reading) locate(ctx context.Context) {
	d := &r.x.Denial
	id := r.call.SecretID
	if id == "" && strings.HasPrefix(d.Action, "secretsmanager:") {
		id = d.Resource
	}
	c := iam.Context{"aws:SecureTransport": {"true"}, "aws:RequestedRegion": {r.e.Config.Region}}
	r.request = iam.Request{Action: d.Action, Resource: d.Resource, Context: c}
	r.describe(ctx, id, c)
	switch {
	case d.Key:
		r.request.Action = keyAction(r.call)
		d.Action = r.request.Action
		r.ofKey(ctx, c)
	case strings.HasPrefix(d.Action, "kms:"):
		r.request.Resource, r.key = d.Resource, d.Resource
		c["aws:ViaAWSService"] = []string{"false"}
	case strings.HasPrefix(d.Action, "secretsmanager:"):
		c["secretsmanager:SecretId"] = []string{d.Resource} // as sent
		c["aws:ViaAWSService"] = []string{"false"}
		if r.x.Secret != "" {
			r.request.Resource = r.x.Secret
		}
		if r.call.Label != "" {
			c["secretsmanager:VersionStage"] = []string{r.call.Label}
		}
	default:
		c["aws:ViaAWSService"] = []string{"false"}
	}
	if !r.call.At.IsZero() {
		c["aws:CurrentTime"] = []string{r.call.At.UTC().Format(time.RFC3339)}
		c["aws:EpochTime"] = []string{strconv.FormatInt(r.call.At.Unix(), 10)}
	}
	if r.call.Function != "" {
		c["lambda:SourceFunctionArn"] = []string{r.call.Function}
	}
}

// describe adds what policies may ask about the secret. Where that cannot be read, such
// keys are unknown.
func (r *reading) describe(ctx context.Context, id string, c iam.Context) {
	if id == "" {
		return
	}
	out, err := secretsmanager.NewFromConfig(r.e.Config).
		DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &id})
	if err != nil {
		r.notRead("the description of the secret", err)
		if arns, _ := permissions.SecretARN(id, r.x.Denial.Principal, r.e.Config.Region); len(arns) > 0 {
			r.x.Secret = arns[0]
		}
		return
	}
	r.x.Secret, r.key = aws.ToString(out.ARN), aws.ToString(out.KmsKeyId)
	for _, t := range out.Tags {
		c["aws:ResourceTag/"+aws.ToString(t.Key)] = []string{aws.ToString(t.Value)}
		c["secretsmanager:ResourceTag/"+aws.ToString(t.Key)] = []string{aws.ToString(t.Value)}
	}
	if f := aws.ToString(out.RotationLambdaARN); f != "" {
		c["secretsmanager:resource/AllowRotationLambdaArn"] = []string{f}
	}
	primary := aws.ToString(out.PrimaryRegion)
	if primary == "" {
		primary = r.e.Config.Region
	}
	c["secretsmanager:SecretPrimaryRegion"] = []string{primary}
	if kind := aws.ToString(out.Type); kind != "" {
		c["secretsmanager:resource/Type"] = []string{kind}
	}
	r.described = true
}

// keyAction is what Secrets Manager asked of KMS in the caller's name.
func keyAction(c Call) string {
	if c.Operation == "PutSecretValue" || c.Operation == "" && strings.Contains(c.Denial, "PutSecretValue") {
		return "kms:GenerateDataKey"
	}
	return "kms:Decrypt"
}

// ofKey turns the question to the secret's key, as Secrets Manager asked it. Secrets
// Manager is not among the services that set aws:CalledVia.
func (r *reading) ofKey(ctx context.Context, c iam.Context) {
	r.request.Resource = r.key
	for name := range c { // of the secret, not of the key
		if strings.HasPrefix(name, "secretsmanager:") || strings.HasPrefix(name, "aws:ResourceTag/") {
			delete(c, name)
		}
	}
	c["aws:ViaAWSService"] = []string{"true"}
	c["kms:ViaService"] = []string{"secretsmanager." + r.e.Config.Region + ".amazonaws.com"}
	if r.x.Secret != "" {
		c["kms:EncryptionContext:SecretARN"] = []string{r.x.Secret}
	}
	c["kms:EncryptionContextKeys"] = []string{"SecretARN", "SecretVersionId"}
	if r.key == "" || r.managedKey() {
		if r.managedKey() {
			r.request.Resource = "arn:aws:kms:" + r.e.Config.Region + ":" + account(r.x.Secret) +
				":alias/aws/secretsmanager"
		}
		return
	}
	out, err := kms.NewFromConfig(r.e.Config).DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &r.key})
	switch {
	case err == nil:
		r.key = aws.ToString(out.KeyMetadata.Arn)
	case !strings.HasPrefix(r.key, "arn:") && !strings.HasPrefix(r.key, "alias/") && r.x.Secret != "":
		r.key = strings.Replace(strings.SplitN(r.x.Secret, ":secret:", 2)[0], ":secretsmanager:", ":kms:", 1) +
			":key/" + r.key
	}
	r.request.Resource = r.key
}

// collect reads the policies.
func (r *reading) collect(ctx context.Context) {
	r.role(ctx)
	switch {
	case r.keyed():
		r.keyPolicy(ctx)
	case strings.HasPrefix(r.request.Action, "secretsmanager:") && r.x.Secret != "":
		r.resourcePolicy(ctx)
	}
	r.notRead("service control and resource control policies, and the policy of a VPC endpoint", nil)
	r.request.Unknown = r.unknown
}

// role finds the role with its path, its policies and its boundary.
func (r *reading) role(ctx context.Context) {
	arn := r.call.Role
	if arn == "" {
		arn = permissions.RoleOf(r.x.Denial.Principal)
	}
	name := arn[strings.LastIndex(arn, "/")+1:]
	principal := r.x.Denial.Principal
	r.request.Principal = iam.Principal{ARN: principal}
	if !strings.Contains(arn, ":role/") && (strings.Contains(arn, ":") || name == "") {
		if name != "" { // a user
			r.x.Role = principal
		}
		r.unreadRole(errNotARole)
		return
	}
	client := iamapi.NewFromConfig(r.e.Config)
	out, err := client.GetRole(ctx, &iamapi.GetRoleInput{RoleName: &name})
	if err != nil {
		r.x.Role, r.pathless = arn, !strings.HasPrefix(r.call.Role, "arn:")
		r.notRead("the role itself, with its path, its tags and its boundary", err)
		r.layers.Boundary = &iam.NamedPolicy{Name: "the permissions boundary, if the role has one", Unread: true}
	} else {
		r.x.Role = aws.ToString(out.Role.Arn)
		r.request.Principal.Tags = map[string]string{}
		for _, t := range out.Role.Tags {
			r.request.Principal.Tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
		}
		if b := out.Role.PermissionsBoundary; b != nil {
			boundary := r.managed(ctx, client, aws.ToString(b.PermissionsBoundaryArn), "the permissions boundary")
			r.layers.Boundary = &boundary
		}
	}
	if strings.HasPrefix(r.x.Role, "arn:") {
		r.request.Principal.Role = r.x.Role
	}
	if principal == "" { // KMS does not name it; the session of a function has the function's name
		session := "unknown"
		if i := strings.LastIndex(r.call.Function, ":function:"); i >= 0 {
			session, _, _ = strings.Cut(r.call.Function[i+len(":function:"):], ":")
		}
		r.request.Principal.ARN = strings.Replace(strings.SplitN(r.x.Role, ":role/", 2)[0], ":iam:", ":sts:", 1) +
			":assumed-role/" + name + "/" + session
	}
	r.identity(ctx, client, name)
}

var errNotARole = errors.New("the principal is not a role")

func (r *reading) unreadRole(err error) {
	r.notRead("the identity-based policies and the permissions boundary", err)
	r.layers.Identity = []iam.NamedPolicy{{Name: "the identity-based policies", Unread: true}}
	r.layers.Boundary = &iam.NamedPolicy{Name: "the permissions boundary", Unread: true}
}

// identity reads the inline and the attached policies of the role.
func (r *reading) identity(ctx context.Context, client *iamapi.Client, name string) {
	unread := func(what string, err error) {
		r.notRead(what, err)
		r.layers.Identity = append(r.layers.Identity, iam.NamedPolicy{Name: what, Unread: true})
	}
	inline := iamapi.NewListRolePoliciesPaginator(client, &iamapi.ListRolePoliciesInput{RoleName: &name})
	for inline.HasMorePages() {
		page, err := inline.NextPage(ctx)
		if err != nil {
			unread("the inline policies of the role", err)
			break
		}
		for _, policy := range page.PolicyNames {
			out, err := client.GetRolePolicy(ctx, &iamapi.GetRolePolicyInput{RoleName: &name, PolicyName: &policy})
			if err != nil {
				unread("inline policy "+policy, err)
				continue
			}
			r.layers.Identity = append(r.layers.Identity, r.parse(policy, aws.ToString(out.PolicyDocument),
				"inline policy "+policy, iam.ParseIdentity))
		}
	}
	attached := iamapi.NewListAttachedRolePoliciesPaginator(client,
		&iamapi.ListAttachedRolePoliciesInput{RoleName: &name})
	for attached.HasMorePages() {
		page, err := attached.NextPage(ctx)
		if err != nil {
			unread("the policies attached to the role", err)
			break
		}
		for _, policy := range page.AttachedPolicies {
			r.layers.Identity = append(r.layers.Identity, r.managed(ctx, client, aws.ToString(policy.PolicyArn),
				"policy "+aws.ToString(policy.PolicyArn)))
		}
	}
}

// managed reads the version of a managed policy that is in force.
func (r *reading) managed(ctx context.Context, client *iamapi.Client, arn, what string) iam.NamedPolicy {
	policy, err := client.GetPolicy(ctx, &iamapi.GetPolicyInput{PolicyArn: &arn})
	if err != nil {
		r.notRead(what, err)
		return iam.NamedPolicy{Name: arn, Unread: true}
	}
	version, err := client.GetPolicyVersion(ctx, &iamapi.GetPolicyVersionInput{PolicyArn: &arn,
		VersionId: policy.Policy.DefaultVersionId})
	if err != nil {
		r.notRead(what, err)
		return iam.NamedPolicy{Name: arn, Unread: true}
	}
	return r.parse(arn, aws.ToString(version.PolicyVersion.Document), what, iam.ParseIdentity)
}

// parse reads a document, which IAM sends escaped as in a URL.
func (r *reading) parse(name, text, what string, read func(string) (iam.Policy, error)) iam.NamedPolicy {
	if plain, err := url.QueryUnescape(text); err == nil && strings.HasPrefix(strings.TrimSpace(text), "%7B") {
		text = plain
	}
	policy, err := read(text)
	if err != nil {
		r.notRead(what, err)
		return iam.NamedPolicy{Name: name, Unread: true}
	}
	return iam.NamedPolicy{Name: name, Policy: policy}
}

func (r *reading) resourcePolicy(ctx context.Context) {
	name := "the resource policy of " + r.x.Secret
	out, err := secretsmanager.NewFromConfig(r.e.Config).
		GetResourcePolicy(ctx, &secretsmanager.GetResourcePolicyInput{SecretId: &r.x.Secret})
	switch {
	case err != nil:
		r.notRead(name, err)
		r.layers.Resource = &iam.NamedPolicy{Name: name, Unread: true}
	case aws.ToString(out.ResourcePolicy) != "":
		policy := r.parse(r.x.Secret, *out.ResourcePolicy, name, iam.ParseResource)
		r.layers.Resource = &policy
	}
}

// keyPolicy reads the policy of the key and its grants.
func (r *reading) keyPolicy(ctx context.Context) {
	client := kms.NewFromConfig(r.e.Config)
	name := "the policy of key " + r.key
	r.layers.Key = &iam.KeyPolicy{Policy: iam.NamedPolicy{Name: name, Unread: true}, GrantsUnread: true}
	if r.managedKey() {
		policy, _ := iam.ParseResource(`{"Version":"2012-10-17","Statement":{"Sid":"aws/secretsmanager","Effect":"Allow","Principal":{"AWS":"*"},"Action":"kms:*","Resource":"*","Condition":{"StringEquals":{"kms:CallerAccount":"` + account(r.x.Secret) + `"}}}}`)
		r.layers.Key = &iam.KeyPolicy{Policy: iam.NamedPolicy{Name: "aws/secretsmanager", Policy: policy}}
		return
	}
	if r.key == "" {
		r.notRead("the policy of the key of the secret", errNoKey)
		return
	}
	out, err := client.GetKeyPolicy(ctx, &kms.GetKeyPolicyInput{KeyId: &r.key})
	if err != nil {
		r.notRead(name, err)
	} else {
		r.layers.Key.Policy = r.parse(r.key, aws.ToString(out.Policy), name, iam.ParseResource)
	}
	grants := kms.NewListGrantsPaginator(client, &kms.ListGrantsInput{KeyId: &r.key})
	for grants.HasMorePages() {
		page, err := grants.NextPage(ctx)
		if err != nil {
			r.notRead("the grants of the key", err)
			return
		}
		for _, g := range page.Grants {
			grant := iam.Grant{Grantee: aws.ToString(g.GranteePrincipal)}
			for _, o := range g.Operations {
				grant.Operations = append(grant.Operations, string(o))
			}
			if c := g.Constraints; c != nil {
				grant.EncryptionContextEquals, grant.EncryptionContextSubset = c.EncryptionContextEquals,
					c.EncryptionContextSubset
			}
			r.layers.Key.Grants = append(r.layers.Key.Grants, grant)
		}
	}
	r.layers.Key.GrantsUnread = false
}

var errNoKey = errors.New("which key that is could not be read")

// managedKey says that the secret is encrypted with aws/secretsmanager, which serves its
// own account, by way of Secrets Manager, whatever IAM says.
func (r *reading) managedKey() bool {
	return r.described && (r.key == "" || strings.HasSuffix(r.key, "alias/aws/secretsmanager"))
}

// account is the fifth field of an ARN.
func account(arn string) string {
	if parts := strings.SplitN(arn, ":", 6); len(parts) == 6 {
		return parts[4]
	}
	return ""
}

// told are the keys that a call of a rotation function does not carry, by the pages on
// global condition keys and on those of the services, and those that follow from who calls.
var told = []string{
	"aws:calledvia", "aws:calledviafirst", "aws:calledvialast", "aws:principalservicename",
	"aws:principalservicenameslist",
	"aws:sourcearn", "aws:sourceaccount", "aws:sourceorgid", "aws:sourceorgpaths", "aws:username", "aws:tagkeys",
	"aws:principaltype", "aws:principalisawsservice", "aws:principalaccount", "aws:resourceaccount",
	"kms:calleraccount",
}

// unknown says of a key whether the request may have carried it. What is said to be known
// is what the call, the secret or the role tells.
func (r *reading) unknown(key string) bool {
	switch {
	case strings.HasPrefix(key, "aws:requesttag/"):
		return false
	case strings.HasPrefix(key, "aws:principaltag/"):
		return r.request.Principal.Tags == nil
	case key == "aws:principalarn":
		return r.pathless
	case strings.HasPrefix(key, "aws:resourcetag/"):
		return r.keyed() || !r.described
	case strings.HasPrefix(key, "secretsmanager:resourcetag/"), strings.HasPrefix(key, "secretsmanager:resource/"),
		key == "secretsmanager:secretprimaryregion":
		return !r.keyed() && !r.described
	case key == "secretsmanager:versionstage":
		return strings.HasSuffix(r.request.Action, ":GetSecretValue") || strings.HasSuffix(r.request.Action,
			":UpdateSecretVersionStage")
	case key == "secretsmanager:versionid":
		return strings.HasSuffix(r.request.Action, ":GetSecretValue")
	case strings.HasPrefix(key, "secretsmanager:"):
		return false
	case key == "kms:viaservice", key == "kms:encryptioncontextkeys":
		return false
	case strings.HasPrefix(key, "kms:encryptioncontext:"):
		return r.keyed() && strings.EqualFold(key, "kms:EncryptionContext:SecretVersionId") || r.keyed() &&
			r.x.Secret == ""
	}
	return !slices.Contains(told, key)
}

// simulate asks IAM what the role's own policies, its boundary and its organization make
// of the call. What it answers is said where it agrees with AWS's verdict: it knows no
// resource, session or endpoint policy, and no key that only the request has.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
func (r *reading) simulate(ctx context.Context) {
	if r.pathless || !strings.Contains(r.x.Role, ":role/") || !strings.HasPrefix(r.request.Resource, "arn:") {
		return
	}
	in := iamapi.SimulatePrincipalPolicyInput{PolicySourceArn: &r.x.Role, ActionNames: []string{r.request.Action},
		ResourceArns: []string{r.request.Resource}}
	for key, values := range r.request.Context {
		kind := iamtypes.ContextKeyTypeEnumString
		if len(values) > 1 {
			kind = iamtypes.ContextKeyTypeEnumStringList
		}
		in.ContextEntries = append(in.ContextEntries, iamtypes.ContextEntry{ContextKeyName: aws.String(key),
			ContextKeyType: kind, ContextKeyValues: values})
	}
	out, err := iamapi.NewFromConfig(r.e.Config).SimulatePrincipalPolicy(ctx, &in)
	if err != nil {
		r.notRead("IAM's simulator", err)
		return
	}
	if len(out.EvaluationResults) == 1 {
		r.simulated(out.EvaluationResults[0])
	}
}

func (r *reading) simulated(result iamtypes.EvaluationResult) {
	d := r.x.Denial
	layer := r.layerOf(d.Layer)
	denies := result.EvalDecision == iamtypes.PolicyEvaluationDecisionTypeExplicitDeny
	nothing := result.EvalDecision == iamtypes.PolicyEvaluationDecisionTypeImplicitDeny
	scp := result.OrganizationsDecisionDetail != nil && !result.OrganizationsDecisionDetail.AllowedByOrganizations
	boundary := result.PermissionsBoundaryDecisionDetail != nil &&
		!result.PermissionsBoundaryDecisionDetail.AllowedByPermissionsBoundary
	agrees := false
	switch layer {
	case iam.LayerIdentity:
		agrees = d.Explicit && denies || !d.Explicit && nothing && !scp && !boundary
	case iam.LayerBoundary:
		agrees = boundary
	case iam.LayerSCP:
		agrees = scp
	case "":
		agrees = denies || nothing
	}
	if !agrees || len(result.MissingContextValues) > 0 {
		if len(result.MissingContextValues) > 0 {
			r.say("IAM's simulator does not settle it without %s.", strings.Join(result.MissingContextValues, ", "))
		}
		return
	}
	text := "IAM's simulator agrees: by the policies of the role it is explicitly denied"
	if !denies {
		text = "IAM's simulator agrees: no policy of the role allows it"
	}
	switch {
	case scp:
		text = "IAM's simulator agrees: a service control policy does not let the role do it"
	case boundary:
		text = "IAM's simulator agrees: the permissions boundary does not let the role do it"
	}
	for i, m := range result.MatchedStatements {
		if i == 0 {
			text += ", by "
		} else {
			text += " and "
		}
		text += aws.ToString(m.SourcePolicyId)
	}
	r.say("%s.", text)
}
