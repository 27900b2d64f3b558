package samtest

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator/iam"
	"github.com/quarterturn-dev/quarterturn/rotator/permissions"
)

const (
	secretPattern    = "arn:aws:secretsmanager:us-east-1:123456789012:secret:prod/app-??????"
	secretARN        = "arn:aws:secretsmanager:us-east-1:123456789012:secret:prod/app-AbCdEf"
	otherARN         = "arn:aws:secretsmanager:us-east-1:123456789012:secret:prod/other-AbCdEf"
	superuserPattern = "arn:aws:secretsmanager:us-east-1:123456789012:secret:prod/superuser-??????"
	superuserARN     = "arn:aws:secretsmanager:us-east-1:123456789012:secret:prod/superuser-AbCdEf"
	keyARN           = "arn:aws:kms:us-east-1:123456789012:key/10000000-0000-4000-8000-000000000001"
	superuserKeyARN  = "arn:aws:kms:us-east-1:123456789012:key/10000000-0000-4000-8000-000000000002"
	logARN           = "arn:aws:logs:us-east-1:123456789012:log-group:quarterturn-LogGroup-1ABCDEFGHIJK:log-stream:x"
	instanceARN      = "arn:aws:rds:us-east-1:123456789012:db:app"
	clusterARN       = "arn:aws:rds:us-east-1:123456789012:cluster:app"
	functionARN      = "arn:aws:lambda:us-east-1:123456789012:function:quarterturn-postgres-single-user"
)

// full is a deployment that uses every statement of the roles.
var full = map[string]string{
	"SecretArns": secretPattern, "KmsKeyArns": keyARN, "SuperuserSecretArns": superuserPattern, "SuperuserKmsKeyArns": superuserKeyARN,
	"SuperuserDatabaseArns": instanceARN + "," + clusterARN, "SingleUserThroughSuperuser": "true", "SubnetIds": "subnet-1", "SecurityGroupIds": "sg-1", "Tracing": "Active",
	"PermissionsBoundaryArn": "arn:aws:iam::123456789012:policy/boundary", "RolePath": "/service/",
}

// a request that a role must, or must not, be allowed.
type request struct {
	action, resource string
	context          iam.Context
	why              string // where it must not
}

func through(secret string) iam.Context {
	return iam.Context{"kms:ViaService": {"secretsmanager.us-east-1.amazonaws.com"},
		"kms:EncryptionContext:SecretARN": {secret}}
}

// needed is what a rotation does, as the User Guide has it ("Lambda rotation function
// execution role permissions"), and what Lambda does for it.
var needed = []request{
	{action: "secretsmanager:DescribeSecret", resource: secretARN},
	{action: "secretsmanager:GetSecretValue", resource: secretARN},
	{action: "secretsmanager:PutSecretValue", resource: secretARN},
	{action: "secretsmanager:UpdateSecretVersionStage", resource: secretARN},
	{action: "kms:Decrypt", resource: keyARN, context: through(secretARN)},
	{action: "kms:GenerateDataKey", resource: keyARN, context: through(secretARN)},
	{action: "secretsmanager:GetSecretValue", resource: superuserARN},
	{action: "secretsmanager:DescribeSecret", resource: superuserARN},
	{action: "kms:Decrypt", resource: superuserKeyARN, context: through(superuserARN)},
	{action: "rds:DescribeDBInstances", resource: instanceARN},
	{action: "rds:DescribeDBClusters", resource: clusterARN},
	{action: "logs:CreateLogStream", resource: logARN},
	{action: "logs:PutLogEvents", resource: logARN},
	{action: "ec2:CreateNetworkInterface", resource: "*"},
	{action: "ec2:DescribeNetworkInterfaces", resource: "*"},
	{action: "ec2:DescribeSubnets", resource: "*"},
	{action: "ec2:DeleteNetworkInterface", resource: "*"},
	{action: "ec2:AssignPrivateIpAddresses", resource: "*"},
	{action: "ec2:UnassignPrivateIpAddresses", resource: "*"},
	{action: "xray:PutTraceSegments", resource: "*"},
	{action: "xray:PutTelemetryRecords", resource: "*"},
}

// refused is what an attacker who has taken over a function would try.
func refused() []request {
	byTheFunction := iam.Context{"lambda:SourceFunctionArn": {functionARN}}
	r := []request{
		{"secretsmanager:GetSecretValue", otherARN, nil, "another secret"},
		{"secretsmanager:PutSecretValue", superuserARN, nil, "the superuser secret is read only"},
		{"secretsmanager:UpdateSecretVersionStage", superuserARN, nil, "the superuser secret is read only"},
		{"secretsmanager:DeleteSecret", secretARN, nil, "no rotation deletes"},
		{"secretsmanager:ListSecrets", "*", nil, "no rotation lists"},
		{"secretsmanager:GetRandomPassword", "*", nil, "passwords are made in the function"},
		{"kms:Decrypt", keyARN, iam.Context{"kms:EncryptionContext:SecretARN": {secretARN}}, "not through Secrets Manager"},
		{"kms:Decrypt", keyARN, through(otherARN), "another secret under the same key"},
		{"kms:GenerateDataKey", superuserKeyARN, through(superuserARN), "the superuser secret is read only"},
		{"kms:Decrypt", superuserKeyARN, iam.Context{"kms:EncryptionContext:SecretARN": {superuserARN}}, "not through Secrets Manager"},
		{"kms:Decrypt", superuserKeyARN, through(otherARN), "another secret under the same key"},
		{"kms:Decrypt", "arn:aws:kms:us-east-1:123456789012:key/other", through(secretARN), "another key"},
		{"kms:Decrypt", "arn:aws:kms:us-east-1:123456789012:key/other", through(superuserARN), "another key"},
		{"rds:DescribeDBInstances", "arn:aws:rds:us-east-1:123456789012:db:other", nil, "another database"},
		{"secretsmanager:GetResourcePolicy", secretARN, nil, "why a call was denied is for a person to ask"},
		{"iam:SimulatePrincipalPolicy", "arn:aws:iam::123456789012:role/role", nil, "why a call was denied is for a person to ask"},
		{"logs:PutLogEvents", "arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/other:log-stream:x", nil, "another function's log"},
		{"logs:CreateLogGroup", "arn:aws:logs:us-east-1:123456789012:log-group:quarterturn-LogGroup-1ABCDEFGHIJK", nil, "the group is the stack's"},
		{"rds:ModifyDBInstance", instanceARN, nil, "no rotation changes an instance"},
	}
	for _, q := range needed {
		if q.resource == "*" && q.action[:4] == "ec2:" {
			r = append(r, request{q.action, "*", byTheFunction, "network interfaces are the service's business"})
		}
	}
	return r
}

// unneeded is what a role may not do where a deployment does not ask for it.
var unneeded = []struct {
	without string
	what    map[string]string
	role    string
	request
}{
	{"a superuser", nil, "SingleUserRole", request{action: "secretsmanager:GetSecretValue", resource: superuserARN}},
	{"SingleUserThroughSuperuser", map[string]string{"SuperuserSecretArns": superuserPattern}, "SingleUserRole", request{action: "secretsmanager:GetSecretValue", resource: superuserARN}},
	{"SuperuserDatabaseArns", map[string]string{"SuperuserSecretArns": superuserPattern}, "AlternatingUsersRole", request{action: "secretsmanager:DescribeSecret", resource: superuserARN}},
	{"SuperuserDatabaseArns", map[string]string{"SuperuserSecretArns": superuserPattern}, "AlternatingUsersRole", request{action: "rds:DescribeDBInstances", resource: instanceARN}},
	{"a VPC", nil, "SingleUserRole", request{action: "ec2:CreateNetworkInterface", resource: "*"}},
	{"traces", nil, "SingleUserRole", request{action: "xray:PutTraceSegments", resource: "*"}},
	{"a key", nil, "SingleUserRole", request{action: "kms:Decrypt", resource: keyARN, context: through(secretARN)}},
}

// identity gives the policies of a role, ready to decide.
func identity(s Stack, role string) ([]iam.NamedPolicy, error) {
	var all []iam.NamedPolicy
	for name, text := range s.Policies(role) {
		policy, err := iam.ParseIdentity(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w\n%s", name, err, text)
		}
		all = append(all, iam.NamedPolicy{Name: name, Policy: policy})
	}
	return all, nil
}

// partitions are where a stack may stand, with what AWS calls them.
var partitions = []map[string]string{
	{"AWS::Partition": "aws", "AWS::Region": "us-east-1", "AWS::URLSuffix": "amazonaws.com"},
	{"AWS::Partition": "aws-cn", "AWS::Region": "cn-north-1", "AWS::URLSuffix": "amazonaws.com.cn"},
	{"AWS::Partition": "aws-us-gov", "AWS::Region": "us-gov-west-1", "AWS::URLSuffix": "amazonaws.com"},
	{"AWS::Partition": "aws-iso", "AWS::Region": "us-iso-east-1", "AWS::URLSuffix": "c2s.ic.gov"},
}

// faultsOfStatements: the statements are those that rotator/permissions prints, in every
// partition, for secrets by ARN and by pattern.
func faultsOfStatements(t Template) (f []string) {
	for _, where := range partitions {
		for _, names := range [][2]string{{secretARN, superuserARN}, {secretPattern, superuserPattern}} {
			f = append(f, faultsOfStatementsIn(t, where, names[0], names[1])...)
		}
	}
	return f
}

func faultsOfStatementsIn(t Template, where map[string]string, secret, superuser string) (f []string) {
	there := strings.NewReplacer("arn:aws:", "arn:"+where["AWS::Partition"]+":", "us-east-1",
		where["AWS::Region"]).Replace
	rotation := permissions.Rotation{
		Secret: permissions.Secret{ARN: there(secret), Key: there(keyARN)}, Superuser: permissions.Secret{ARN: there(superuser), Key: there(superuserKeyARN)},
		Database: there(instanceARN), Function: there(functionARN),
	}
	printed := statementsBySid(rotation.RolePolicy(), rotation.RuntimePolicy(true))
	// A stack may have several databases; the printer has one.
	rotation.Database = there(clusterARN)
	of := statementsBySid(rotation.RolePolicy())["FindTheDatabase"]
	both := printed["FindTheDatabase"]
	both.Action, both.Resource = append(both.Action, of.Action...), append(both.Resource, of.Resource...)
	printed["FindTheDatabase"] = both

	with := maps.Clone(where)
	for name, value := range full {
		with[name] = there(value)
	}
	with["SecretArns"], with["SuperuserSecretArns"] = there(secret), there(superuser)
	s, err := t.Deploy(with)
	if err != nil {
		return []string{err.Error()}
	}
	written := map[string]permissions.Statement{}
	for _, text := range s.Policies("AlternatingUsersRole") {
		var document struct{ Statement []loose }
		if err := json.Unmarshal([]byte(text), &document); err != nil {
			f = append(f, err.Error())
		}
		for _, statement := range document.Statement {
			written[statement.Sid] = statement.strict()
		}
	}
	for sid, want := range printed {
		if sid == "WriteTheLog" { // the printer does not know the group's name
			want.Resource = written[sid].Resource
		}
		if got := written[sid]; normal(got) != normal(want) {
			f = append(f, fmt.Sprintf("in %s, statement %s is %s, and rotator/permissions prints %s",
				where["AWS::Partition"], sid, normal(got), normal(want)))
		}
		delete(written, sid)
	}
	delete(written, "NoNetworkForTheCode") // a Deny, and traces: the template's own
	delete(written, "Traces")
	for sid := range written {
		f = append(f, fmt.Sprintf("statement %s is nothing that rotator/permissions prints", sid))
	}
	return f
}

// The limits of IAM and of CloudFormation.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
const (
	maxPolicy    = 6144  // characters of a managed policy, white space not counted
	maxPolicies  = 10    // managed policies of a role, without a raised quota
	maxParameter = 4096  // characters of a parameter's value
	maxBody      = 51200 // bytes of a template that is not in a bucket
)

// longest fills a parameter with ARNs of a form, to the last that fits.
func longest(form string) string {
	var all []string
	for n := 0; ; n++ {
		next := append(all, fmt.Sprintf(form, n))
		if len(strings.Join(next, ",")) > maxParameter {
			return strings.Join(all, ",")
		}
		all = next
	}
}

// faultsOfSizes: the roles stay inside IAM's limits with as much in each list as a
// parameter takes, of ARNs as short and as long as they can be.
func faultsOfSizes(t Template) (f []string) {
	name := strings.Repeat("n", 400)
	for _, forms := range [][]string{
		{"arn:aws:secretsmanager:us-east-1:123456789012:secret:%d", "arn:aws:kms:us-east-1:123456789012:key/%d", "arn:aws:rds:us-east-1:123456789012:db:a%d"},
		{"arn:aws:secretsmanager:us-east-1:123456789012:secret:production/team/database/app-%02d-??????", "arn:aws:kms:us-east-1:123456789012:key/10000000-0000-4000-8000-%012d", "arn:aws:rds:us-east-1:123456789012:cluster:production-team-database-app-%02d"},
		{"arn:aws-iso-b:secretsmanager:ap-southeast-2:123456789012:secret:" + name + "-%02d-??????", "arn:aws-iso-b:kms:ap-southeast-2:123456789012:key/mrk-%032d", "arn:aws-iso-b:rds:ap-southeast-2:123456789012:cluster:" + name[:60] + "-%02d"},
	} {
		s, err := t.Deploy(map[string]string{
			"SecretArns": longest(forms[0]), "SuperuserSecretArns": longest(forms[0]), "KmsKeyArns": longest(forms[1]), "SuperuserKmsKeyArns": longest(forms[1]),
			"SuperuserDatabaseArns": longest(forms[2]), "SecretTag": strings.Repeat("t", 256), "OnlyConfiguredSecrets": "true",
			"SingleUserThroughSuperuser": "true", "SubnetIds": "subnet-1", "SecurityGroupIds": "sg-1", "Tracing": "Active",
			"AWS::StackName": strings.Repeat("s", 128),
		})
		if err != nil {
			return append(f, err.Error())
		}
		for _, role := range []string{"SingleUserRole", "AlternatingUsersRole"} {
			policies := s.Policies(role)
			if len(policies) > maxPolicies {
				f = append(f, fmt.Sprintf("%s has %d policies, and IAM takes %d", role, len(policies), maxPolicies))
			}
			for name, text := range policies { // encoding/json writes no white space outside of strings
				if len(text) > maxPolicy {
					f = append(f, fmt.Sprintf("%s has %d characters with %.60s..., and IAM takes %d", name, len(text),
						forms[0], maxPolicy))
				}
			}
		}
	}
	return f
}

// TestTheTemplateFitsIntoARequest, without a bucket in between (which would take 1 MB).
func TestTheTemplateFitsIntoARequest(t *testing.T) {
	t.Parallel()
	info, err := os.Stat(filepath.Join(root, "template.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > maxBody {
		t.Errorf("template.yaml has %d bytes, and CloudFormation takes %d as a body", info.Size(), maxBody)
	}
}

func statementsBySid(policies ...permissions.Policy) map[string]permissions.Statement {
	all := map[string]permissions.Statement{}
	for _, policy := range policies {
		for _, s := range policy {
			all[s.Sid] = s
		}
	}
	return all
}

// loose is a statement with one value or several in each place.
type loose struct {
	Sid, Effect      string
	Action, Resource any
	Condition        map[string]map[string]any
}

func (l loose) strict() permissions.Statement {
	list := func(value any) (values permissions.StringList) {
		several, ok := value.([]any)
		if !ok {
			several = []any{value}
		}
		for _, v := range several {
			values = append(values, v.(string))
		}
		return values
	}
	s := permissions.Statement{Sid: l.Sid, Effect: l.Effect, Action: list(l.Action), Resource: list(l.Resource)}
	for operator, tests := range l.Condition {
		for key, values := range tests {
			if s.Condition == nil {
				s.Condition = permissions.Condition{}
			}
			if s.Condition[operator] == nil {
				s.Condition[operator] = map[string]permissions.StringList{}
			}
			s.Condition[operator][key] = list(values)
		}
	}
	return s
}

// normal is a statement as text in which the order of lists does not count. The template
// takes patterns and always compares by Like, which without a wildcard is Equals: that
// way it is written, but for the service, which is none.
func normal(s permissions.Statement) string {
	condition := permissions.Condition{}
	for operator, tests := range s.Condition {
		for key, values := range tests {
			operator := operator
			if key == "kms:EncryptionContext:SecretARN" {
				operator = strings.Replace(operator, "StringEquals", "StringLike", 1)
			}
			if condition[operator] == nil {
				condition[operator] = map[string]permissions.StringList{}
			}
			condition[operator][key] = values
		}
	}
	s.Condition = condition
	s.Action, s.Resource = slices.Sorted(slices.Values(s.Action)), slices.Sorted(slices.Values(s.Resource))
	return s.String()
}

func allowed(identity []iam.NamedPolicy, q request) bool {
	r := iam.Request{
		Principal: iam.Principal{ARN: "arn:aws:sts::123456789012:assumed-role/role/function"},
		Action:    q.action, Resource: q.resource, Context: q.context,
	}
	layers := iam.Layers{Identity: identity}
	if q.action[:4] == "kms:" { // the key policy leaves it to IAM, as the default one does
		key, err := iam.ParseResource(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:root"},"Action":"kms:*","Resource":"*"}]}`)
		if err != nil {
			panic(err)
		}
		layers.Key = &iam.KeyPolicy{Policy: iam.NamedPolicy{Name: "key", Policy: key}}
	}
	if q.action[:4] == "sts:" { // the role trusts the account
		trust, err := iam.ParseResource(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:root"},"Action":"sts:AssumeRole"}]}`)
		if err != nil {
			panic(err)
		}
		layers.Resource = &iam.NamedPolicy{Name: "trust", Policy: trust}
	}
	return iam.Evaluate(r, layers).Allowed
}

// faultsOfRoles: the roles may do what a rotation needs, and nothing else.
func faultsOfRoles(t Template) (f []string) {
	policiesOf := func(s Stack, role string) []iam.NamedPolicy {
		policies, err := identity(s, role)
		if err != nil {
			f = append(f, err.Error())
		}
		return policies
	}
	judge := func(policies []iam.NamedPolicy, role string, q request, want bool, why string) {
		if is := allowed(policies, q); is != want {
			f = append(f, fmt.Sprintf("%s: %s on %s (%v) is allowed: %t; %s", role, q.action, q.resource, q.context, is,
				why))
		}
	}
	whole, err := t.Deploy(full)
	if err != nil {
		return append(f, err.Error())
	}
	for _, role := range []string{"SingleUserRole", "AlternatingUsersRole"} {
		policies := policiesOf(whole, role)
		for _, q := range needed {
			judge(policies, role, q, true, "it is needed")
		}
		for _, q := range refused() {
			judge(policies, role, q, false, q.why)
		}
		properties := Get(whole.Resource(role), "Properties")
		if Get(properties, "PermissionsBoundary") != full["PermissionsBoundaryArn"] ||
			Get(properties, "Path") != full["RolePath"] {
			f = append(f, role+" does not have the boundary and the path that were asked for")
		}
		for policy := range whole.Policies(role) {
			if Get(whole.Resource(policy), "Properties", "Path") != full["RolePath"] {
				f = append(f, policy+" does not have the path that was asked for")
			}
		}
	}
	deployed := func(with map[string]string, role string) []iam.NamedPolicy {
		s, err := t.Deploy(with)
		if err != nil {
			f = append(f, err.Error())
		}
		return policiesOf(s, role)
	}
	for _, u := range unneeded {
		with := map[string]string{"SecretArns": secretPattern}
		maps.Copy(with, u.what)
		judge(deployed(with, u.role), u.role, u.request, false, "without "+u.without+" no call needs it")
	}
	// By tag, and only where rotation is set to the stack.
	const tag, function = "aws:ResourceTag/quarterturn", "secretsmanager:resource/AllowRotationLambdaArn"
	get := func(key, value string) request {
		return request{action: "secretsmanager:GetSecretValue", resource: secretARN, context: iam.Context{key: {value}}}
	}
	byTag := deployed(map[string]string{"SecretTag": "yes"}, "SingleUserRole")
	judge(byTag, "SingleUserRole", get(tag, "yes"), true, "it has the tag")
	judge(byTag, "SingleUserRole", get(tag, "no"), false, "it has another tag")
	judge(byTag, "SingleUserRole", get("aws:ResourceTag/other", "yes"), false, "it has no such tag")
	configured := deployed(map[string]string{"SecretArns": secretPattern, "OnlyConfiguredSecrets": "true"},
		"SingleUserRole")
	judge(configured, "SingleUserRole", get(function, functionARN), true, "its rotation is set to the stack")
	judge(configured, "SingleUserRole", get(function, "arn:aws:lambda:us-east-1:123456789012:function:other"), false,
		"another function rotates it")
	judge(configured, "SingleUserRole", get(tag, "yes"), false, "no function rotates it")

	// Several secrets, of one list: of keys it is said that they serve secrets, and of
	// secrets, which.
	several := deployed(map[string]string{"SecretArns": secretPattern + "," + otherARN, "KmsKeyArns": keyARN},
		"SingleUserRole")
	judge(several, "SingleUserRole", request{action: "secretsmanager:GetSecretValue", resource: otherARN}, true,
		"it is in the list")
	judge(several, "SingleUserRole", request{action: "secretsmanager:GetSecretValue", resource: superuserARN}, false,
		"it is not in the list")
	judge(several, "SingleUserRole", request{action: "kms:Decrypt", resource: keyARN, context: through(otherARN)}, true,
		"it is in the list")
	judge(several, "SingleUserRole", request{action: "kms:Decrypt", resource: keyARN}, false,
		"not through Secrets Manager")
	return f
}
