// Package permissions says what a rotation, and anyone who deals with a rotated
// secret, has to be allowed: as policies ready to paste, with the real ARNs, and
// no wider than they must be. The role in template.yaml is held to it, and the
// remedies of a preflight come from it.
//
// Each policy is loaded into an emulator by this package's tests. What it must allow
// works; with any one action taken away it does not; and what lies beside is denied.
// None of them has met AWS itself.
//
// The pages of AWS that say what is needed:
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotating-secrets-required-permissions-function.html
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/auth-and-access.html
package permissions

import (
	"slices"
	"strings"
)

// The labels that policies can tell apart.
const (
	labelCurrent  = "AWSCURRENT"
	labelPending  = "AWSPENDING"
	labelPrevious = "AWSPREVIOUS"
)

// Secret is a secret and its key, by their ARNs.
type Secret struct {
	ARN string
	// Key is a customer managed key. "" is aws/secretsmanager, for which principals of the
	// account need no permission, and others can have none.
	Key string
}

// Rotation is the rotation of one secret by one function.
type Rotation struct {
	Secret Secret
	// Superuser is the superuser secret. Zero: the user changes its own password.
	Superuser Secret
	// Database is the RDS instance or cluster whose managed secret Superuser is, by its
	// ARN. "": the superuser secret says by itself where the database is.
	Database string
	// Role is the role of the function, Function the function itself, by their ARNs.
	Role, Function string
	// OnlyConfigured limits the role to the secret for as long as that names Function
	// as its rotation function. The two are compared letter by letter, and before
	// rotation is set up there is no match: nor can a preflight be asked for then.
	OnlyConfigured bool
}

// RolePolicy is what the function's role needs, beside writing its log and, in a
// VPC, having network interfaces, which it needs from Lambda (RuntimePolicy).
func (r Rotation) RolePolicy() Policy {
	rotate := rotating(r.Secret.ARN)
	if r.OnlyConfigured {
		rotate.Condition = Condition{"ArnEquals": {"secretsmanager:resource/AllowRotationLambdaArn": {r.Function}}}
	}
	p := Policy{rotate}
	if r.Secret.Key != "" {
		p = append(p, sid("UseTheKey", KeyUseStatement(r.Secret, "kms:Decrypt", "kms:GenerateDataKey")))
	}
	if r.Superuser.ARN == "" {
		return p
	}
	p = append(p, r.readingSuperuser())
	if r.Superuser.Key != "" {
		p = append(p, sid("UseTheSuperusersKey", KeyUseStatement(r.Superuser, "kms:Decrypt")))
	}
	if r.Database != "" {
		p = append(p, Statement{Sid: "FindTheDatabase", Effect: "Allow", Action: StringList{findDatabase(r.Database)},
			Resource: StringList{r.Database}})
	}
	return p
}

// rotating is the four actions of a rotation.
func rotating(arn string) Statement {
	return Statement{Sid: "Rotate", Effect: "Allow", Resource: StringList{arn}, Action: StringList{
		"secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue",
		"secretsmanager:PutSecretValue", "secretsmanager:UpdateSecretVersionStage",
	}}
}

func (r Rotation) readingSuperuser() Statement {
	s := Statement{Sid: "ReadTheSuperusersSecret", Effect: "Allow", Action: StringList{"secretsmanager:GetSecretValue"},
		Resource: StringList{r.Superuser.ARN}}
	if r.Database != "" { // its tags say which database it belongs to
		s.Action = StringList{"secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"}
	}
	return s
}

// findDatabase is the action that finds the endpoint of an instance or a cluster.
func findDatabase(arn string) string {
	if strings.Contains(arn, ":cluster:") {
		return "rds:DescribeDBClusters"
	}
	return "rds:DescribeDBInstances"
}

// RuntimePolicy is what Lambda itself needs of the role: to write the function's log
// and, in a VPC, to have network interfaces, for which AWS knows no narrower resource.
// The log group is that of the function, whatever version or alias of it runs. It must be
// there: without logs:CreateLogGroup nothing makes it, nor gives it a retention for ever.
// No emulator here runs Lambda's side: documented, and not tried.
// https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html
func (r Rotation) RuntimePolicy(vpc bool) Policy {
	group := "arn:" + field(r.Function, 1) + ":logs:" + field(r.Function, 3) + ":" + field(r.Function, 4) +
		":log-group:" + logGroupName(r.Function)
	p := Policy{{Sid: "WriteTheLog", Effect: "Allow", Action: StringList{"logs:CreateLogStream", "logs:PutLogEvents"},
		Resource: StringList{group + ":*"}}}
	if vpc {
		p = append(p, Statement{Sid: "JoinTheNetwork", Effect: "Allow", Resource: StringList{"*"}, Action: StringList{
			"ec2:AssignPrivateIpAddresses", "ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface",
			"ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:UnassignPrivateIpAddresses",
		}})
	}
	return p
}

// logGroupName is where Lambda writes the log of a function, by its ARN.
func logGroupName(function string) string {
	parts := strings.Split(function, ":") // arn:P:lambda:R:A:function:NAME[:QUALIFIER]
	return "/aws/lambda/" + parts[min(6, len(parts)-1)]
}

// KeyUseStatement is the use of a secret's key by way of Secrets Manager, for that secret
// alone. The caller's own calls to KMS are not in it. Where Key names an alias, which
// no statement can have for its resource, it is the key that has this alias. In every
// partition kms:ViaService ends in .amazonaws.com.
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html
// https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html#conditions-kms-via-service
func KeyUseStatement(s Secret, actions ...string) Statement {
	use := Statement{Effect: "Allow", Action: actions, Resource: StringList{s.Key},
		Condition: Condition{"StringEquals": {
			"kms:ViaService": {"secretsmanager." + field(s.ARN, 3) + ".amazonaws.com"},
		}}}
	use.Condition.add(like(s.ARN), "kms:EncryptionContext:SecretARN", s.ARN)
	if before, alias, ok := strings.Cut(s.Key, ":alias/"); ok {
		use.Resource = StringList{before + ":key/*"}
		use.Condition.add("ForAnyValue:StringEquals", "kms:ResourceAliases", "alias/"+alias)
	}
	return use
}

// like is the operator that compares with a pattern as one, and with text as text.
func like(pattern string) string {
	if strings.ContainsAny(pattern, "*?") {
		return "StringLike"
	}
	return "StringEquals"
}

func (c Condition) add(operator, key string, values ...string) {
	if c[operator] == nil {
		c[operator] = map[string]StringList{}
	}
	c[operator][key] = values
}

// ResourcePolicy is what the secret's own policy must say where the function's role
// is of another account.
func (r Rotation) ResourcePolicy() Policy {
	return Policy{rotating(r.Secret.ARN).WithPrincipal(r.Role)}
}

// SuperuserResourcePolicy is the same of the superuser secret.
func (r Rotation) SuperuserResourcePolicy() Policy {
	return Policy{r.readingSuperuser().WithPrincipal(r.Role)}
}

// KeyPolicy is what to add to the policy of the secret's key where it does not leave
// the key to the IAM policies of the role's account, or is of another account.
func (r Rotation) KeyPolicy() Policy {
	return Policy{sid("RotateWithTheKey", KeyUseStatement(r.Secret, "kms:Decrypt",
		"kms:GenerateDataKey").WithPrincipal(r.Role))}
}

// SuperuserKeyPolicy is the same of the superuser's key.
func (r Rotation) SuperuserKeyPolicy() Policy {
	return Policy{sid("ReadTheSuperusersSecret", KeyUseStatement(r.Superuser, "kms:Decrypt").WithPrincipal(r.Role))}
}

// FunctionPolicy lets Secrets Manager invoke the function, for secrets of the
// secret's account. A condition on the ARN of one secret would shut out the others.
func (r Rotation) FunctionPolicy() Policy {
	return Policy{{Sid: "InvokedBySecretsManager", Effect: "Allow",
		Principal: map[string]StringList{"Service": {"secretsmanager.amazonaws.com"}},
		Action:    StringList{"lambda:InvokeFunction"}, Resource: StringList{r.Function},
		Condition: Condition{"StringEquals": {"aws:SourceAccount": {field(r.Secret.ARN, 4)}}},
	}}
}

// ExplainPolicy is for the person who asks why a call of the function was denied. It
// shows the policies in force and the grants of the keys, and nothing that is secret. The
// function itself does not need it.
func (r Rotation) ExplainPolicy() Policy {
	secrets, keys := StringList{r.Secret.ARN}, StringList{}
	if r.Superuser.ARN != "" {
		secrets = append(secrets, r.Superuser.ARN)
	}
	for _, key := range []string{r.Secret.Key, r.Superuser.Key} {
		if key != "" && !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	policies := "arn:" + field(r.Role, 1) + ":iam::" + field(r.Role, 4) + ":policy/*"
	p := Policy{
		{Sid: "SeeTheSecret", Effect: "Allow", Action: StringList{"secretsmanager:DescribeSecret",
			"secretsmanager:GetResourcePolicy"}, Resource: secrets},
		{Sid: "SeeTheRole", Effect: "Allow", Resource: StringList{r.Role}, Action: StringList{
			"iam:GetRole", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies", "iam:ListRolePolicies",
			"iam:SimulatePrincipalPolicy",
		}},
		{Sid: "SeeThePolicies", Effect: "Allow", Action: StringList{"iam:GetPolicy", "iam:GetPolicyVersion"},
			Resource: StringList{policies, strings.Replace(policies, field(r.Role, 4), "aws", 1)}},
	}
	if len(keys) > 0 {
		p = append(p, Statement{Sid: "SeeTheKey", Effect: "Allow", Action: StringList{"kms:DescribeKey",
			"kms:GetKeyPolicy", "kms:ListGrants"}, Resource: keys})
	}
	return p
}

// OperatorPolicy is for the person or pipeline that sets rotation up, starts it,
// stops it, and discards a pending version that stands in the way. It reads no
// value, moves no AWSCURRENT, and names no other function. It may ask the function
// for a status and a recover, which moves AWSCURRENT to what has logged in and to
// nothing else. It may send the steps of a rotation, too: SECURITY.md says what
// finishSecret then moves to.
func (r Rotation) OperatorPolicy() Policy {
	return Policy{
		{Sid: "Look", Effect: "Allow", Action: StringList{"secretsmanager:DescribeSecret",
			"secretsmanager:CancelRotateSecret"}, Resource: StringList{r.Secret.ARN}},
		{Sid: "Rotate", Effect: "Allow", Action: StringList{"secretsmanager:RotateSecret"},
			Resource:  StringList{r.Secret.ARN},
			Condition: Condition{"ArnEqualsIfExists": {"secretsmanager:RotationLambdaARN": {r.Function}}}},
		{Sid: "InvokeTheFunction", Effect: "Allow", Action: StringList{"lambda:InvokeFunction"},
			Resource: StringList{r.Function}},
		{Sid: "DiscardPending", Effect: "Allow", Action: StringList{"secretsmanager:UpdateSecretVersionStage"},
			Resource:  StringList{r.Secret.ARN},
			Condition: Condition{"StringEquals": {"secretsmanager:VersionStage": {labelPending}}}},
	}
}

// SecretReader is an application that reads a secret.
type SecretReader struct {
	Secret    Secret
	Principal string   // its role, by ARN: for the policies of resources
	Labels    []string // that it may ask for; nil: AWSCURRENT
}

// IdentityPolicy is for the application's role. It reads what carries the labels,
// asked for by label or not at all; a version asked for by id is denied, since no
// condition can tell which label that one carries.
func (r SecretReader) IdentityPolicy() Policy {
	p := r.reading()
	if r.Secret.Key != "" {
		p = append(p, sid("UseTheKey", KeyUseStatement(r.Secret, "kms:Decrypt")))
	}
	return p
}

func (r SecretReader) reading() Policy {
	labels := StringList(r.Labels)
	if labels == nil {
		labels = StringList{labelCurrent}
	}
	return Policy{
		{Sid: "Read", Effect: "Allow", Action: StringList{"secretsmanager:GetSecretValue"},
			Resource: StringList{r.Secret.ARN}, Condition: Condition{
				"StringEqualsIfExists": {"secretsmanager:VersionStage": labels},
				"Null":                 {"secretsmanager:VersionId": {"true"}},
			}},
		// Caches of AWS's client libraries ask which version is current.
		{Sid: "Look", Effect: "Allow", Action: StringList{"secretsmanager:DescribeSecret"},
			Resource: StringList{r.Secret.ARN}},
	}
}

// ResourcePolicy is what the secret's own policy must say for an application of
// another account.
func (r SecretReader) ResourcePolicy() Policy {
	p := r.reading()
	for i := range p {
		p[i] = p[i].WithPrincipal(r.Principal)
	}
	return p
}

// KeyPolicy is what to add to the policy of the secret's key for it.
func (r SecretReader) KeyPolicy() Policy {
	return Policy{sid("ReadWithTheKey", KeyUseStatement(r.Secret, "kms:Decrypt").WithPrincipal(r.Principal))}
}

// DenyReplication denies replicating secrets to other Regions than those named; with
// none named, to any. It is for identities or for an organization, and needs
// another policy to allow the rest. CreateSecret is in it as on AWS's page, although
// to create replicas along with a secret takes ReplicateSecretToRegions too.
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/auth-and-access_iam-policies.html
func DenyReplication(regions ...string) Policy {
	s := Statement{Sid: "NoReplication", Effect: "Deny", Resource: StringList{"*"},
		Action:    StringList{"secretsmanager:CreateSecret", "secretsmanager:ReplicateSecretToRegions"},
		Condition: Condition{"Null": {"secretsmanager:AddReplicaRegions": {"false"}}}}
	if len(regions) > 0 {
		s.Condition = Condition{"ForAnyValue:StringNotEquals": {"secretsmanager:AddReplicaRegions": regions}}
	}
	return Policy{s}
}

func sid(name string, s Statement) Statement {
	s.Sid = name
	return s
}

// field is a part of an ARN: 3 the Region, 4 the account.
func field(arn string, n int) string {
	parts := strings.SplitN(arn, ":", 7)
	if len(parts) <= n {
		return ""
	}
	return parts[n]
}
