package permissions_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator/permissions"
)

const (
	secretARN = "arn:aws:secretsmanager:us-east-1:111122223333:secret:app/prod/db-AbCd12"
	keyARN    = "arn:aws:kms:us-east-1:111122223333:key/10000000-0000-4000-8000-000000000001"
	session   = "arn:aws:sts::111122223333:assumed-role/rotate/function"
)

// says is a denial of GetSecretValue as AWS words it, with an ending.
func says(ending string) string {
	return "User: " + session + " is not authorized to perform: secretsmanager:GetSecretValue on resource: " +
		secretARN + ending
}

const noIdentity = " because no identity-based policy allows the secretsmanager:GetSecretValue action"

// TestEveryFormOfADenial: what AWS says of a denied call, in the forms that were seen:
// action, layer, resource and whether a statement denies; and what comes of it.
func TestEveryFormOfADenial(t *testing.T) {
	t.Parallel()
	type form struct {
		name, text string
		want       permissions.Denial
		do         string // parts of the remedy, with | in between
	}
	get := func(layer string, explicit bool) permissions.Denial {
		return permissions.Denial{Principal: session, Action: "secretsmanager:GetSecretValue", Resource: secretARN,
			Layer: layer, Explicit: explicit}
	}
	with := func(d permissions.Denial, change func(*permissions.Denial)) permissions.Denial { change(&d); return d }
	const (
		paste  = `{"Effect":"Allow","Action":"secretsmanager:GetSecretValue","Resource":"` + secretARN + `"}`
		forAll = `{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"secretsmanager:GetSecretValue","Resource":"` +
			secretARN + `"}`
		forRole = `{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:role/rotate"},"Action":"secretsmanager:GetSecretValue","Resource":"` + secretARN + `"}`
		unsaid  = "AWS does not say which policy decided"
		deny    = "an explicit deny in "
	)
	identity := get("identity-based policy", false)
	forms := []form{
		{"an ARN", says(noIdentity), identity, "add to the role of the function: " + paste},
		{"a name", strings.Replace(says(noIdentity), secretARN, "app/prod/db", 1), with(identity, func(d *permissions.Denial) { d.Resource = "app/prod/db" }), paste},
		{"a partial ARN", strings.Replace(says(noIdentity), "-AbCd12", "", 1), with(identity, func(d *permissions.Denial) { d.Resource = strings.TrimSuffix(secretARN, "-AbCd12") }), paste},
		{"a name that ends in a full stop", strings.Replace(says(noIdentity), secretARN, "app.", 1), with(identity, func(d *permissions.Denial) { d.Resource = "app." }), paste},
		{"no resource-based policy", says(strings.Replace(noIdentity, "identity-based", "resource-based", 1)), get("resource-based policy", false), "add to the resource policy of the secret: " + forRole + "|aws iam get-role --role-name rotate"},
		{"no permissions boundary", says(strings.Replace(noIdentity, "identity-based policy", "permissions boundary", 1)), get("permissions boundary", false), "let the permissions boundary allow it: " + paste},
		{"no session policy", says(strings.Replace(noIdentity, "identity-based", "session", 1)), get("session policy", false), "let the session policy allow it: " + paste},
		{"no VPC endpoint policy", says(strings.Replace(noIdentity, "identity-based", "VPC endpoint", 1)), get("VPC endpoint policy", false), "let the VPC endpoint policy allow it: " + forAll},
		{"no service control policy", says(strings.Replace(noIdentity, "identity-based", "service control", 1)), get("service control policy", false), "let the service control policy allow it: " + paste},
		{"no resource control policy", says(strings.Replace(noIdentity, "identity-based", "resource control", 1)), get("resource control policy", false), "let the resource control policy allow it: " + forAll},
		{"a layer that is not known here", says(strings.Replace(noIdentity, "identity-based", "tenant", 1)), get("tenant policy", false), "let the tenant policy allow it: " + paste},

		{"a name in quotes that JSON escaped", strings.Replace(says(noIdentity), secretARN, `\"app/prod/db\"`, 1), with(identity, func(d *permissions.Denial) { d.Resource = "app/prod/db" }), paste},
		{"a caller without credentials", strings.Replace(says(strings.Replace(noIdentity, "identity-based",
			"resource-based", 1)), session, "anonymous", 1),
			with(get("resource-based policy", false), func(d *permissions.Denial) { d.Principal = "anonymous" }), "the resource policy of the secret must allow secretsmanager:GetSecretValue|without credentials"},
		{"a key by its ciphertext", "User: " + session + " is not authorized to perform: kms:Decrypt on the resource " +
			"associated with this ciphertext because the resource does not exist in this Region, no resource-based " +
			"policies allow access, or a resource-based policy explicitly denies access",
			permissions.Denial{Principal: session, Action: "kms:Decrypt", NoKey: true}, "three causes|not in this Region|aws kms get-key-policy"},
		{"a key, unsaid", "User: " + session + " is not authorized to perform: kms:DescribeKey on this resource " +
			"because the resource does not exist in this Region, no resource-based policies allow access, " +
			"or a resource-based policy explicitly denies access",
			permissions.Denial{Principal: session, Action: "kms:DescribeKey", NoKey: true}, "three causes"},
		{"deny, resource-based", says(" with an explicit deny in a resource-based policy"), get("resource-based policy", true), deny + "the resource policy of the secret|No Allow overrides"},
		{"deny, identity-based", says(" with an explicit deny in an identity-based policy"), get("identity-based policy", true), deny + "an identity-based policy of the role"},
		{"deny, boundary", says(" with an explicit deny in a permissions boundary"), get("permissions boundary", true), deny + "the permissions boundary"},
		{"deny, session", says(" with an explicit deny in a session policy"), get("session policy", true), deny + "the session policy"},
		{"deny, SCP", says(" with an explicit deny in a service control policy"), get("service control policy", true), deny + "the service control policy|It may be there on purpose: ask whose it is first"},
		{"deny, RCP", says(" with an explicit deny in a resource control policy"), get("resource control policy", true), deny + "the resource control policy"},
		{"deny, endpoint", says(" with an explicit deny in a VPC endpoint policy"), get("VPC endpoint policy", true), deny + "the VPC endpoint policy"},
		{"deny, in other case", says(" with an explicit deny in a vpc endpoint policy"), get("VPC endpoint policy", true), deny + "the VPC endpoint policy"},

		{"deny in a named identity policy", says(" with an explicit deny in an identity-based policy: " +
			"arn:aws:iam::111122223333:policy/team/guard"),
			with(get("identity-based policy", true), func(d *permissions.Denial) { d.Policy = "arn:aws:iam::111122223333:policy/team/guard" }), deny + "an identity-based policy of the role, arn:aws:iam::111122223333:policy/team/guard"},
		{"deny in a named boundary", says(" with an explicit deny in a permissions boundary: " +
			"arn:aws:iam::111122223333:policy/b"),
			with(get("permissions boundary", true), func(d *permissions.Denial) { d.Policy = "arn:aws:iam::111122223333:policy/b" }), deny + "the permissions boundary, arn:aws:iam::111122223333:policy/b"},
		{"deny in a named SCP", says(" with an explicit deny in a service control policy: " +
			"arn:aws:organizations::444455556666:policy/o-1/service_control_policy/p-1\n\tstatus code: 400, " +
			"request id: 0"),
			with(get("service control policy", true), func(d *permissions.Denial) {
				d.Policy = "arn:aws:organizations::444455556666:policy/o-1/service_control_policy/p-1"
			}), "p-1"},
		{"two layers", says(" with an explicit deny in a VPC endpoint policy transitively through a service " +
			"control policy"),
			with(get("VPC endpoint policy", true), func(d *permissions.Denial) { d.Through = "service control policy" }), "the VPC endpoint policy and the service control policy|No Allow overrides"},
		{"two layers and a policy", says(" with an explicit deny in a VPC endpoint policy transitively through a " +
			"service control policy: arn:aws:organizations::444455556666:policy/o-1/service_control_policy/p-1"),
			with(get("VPC endpoint policy", true), func(d *permissions.Denial) {
				d.Through, d.Policy = "service control policy",
					"arn:aws:organizations::444455556666:policy/o-1/service_control_policy/p-1"
			}), "the VPC endpoint policy and the service control policy, arn:aws:organizations"},
		{"deny, no layer", says(" with an explicit deny"), get("", true), "a policy that AWS does not name denies it explicitly"},
		{"deny, no layer, a request id", says(" with an explicit deny (Service: SecretsManager, Status Code: 400, Request ID: 0)"), get("", true), "does not name"},

		{"no reason", says(""), get("", false), unsaid},
		{"no reason, a request id", says("\n\tstatus code: 400, request id: 0f"), get("", false), unsaid},
		{"no reason, of a name", strings.Replace(says("; request id: 0"), secretARN, "app", 1), with(get("", false), func(d *permissions.Denial) { d.Resource = "app" }), unsaid},
		{"no resource, ListSecrets", "User: " + session + " is not authorized to perform: secretsmanager:ListSecrets " +
			"because no identity-based policy allows the secretsmanager:ListSecrets action",
			permissions.Denial{Principal: session, Action: "secretsmanager:ListSecrets", Layer: "identity-based policy"}, `"Action":"secretsmanager:ListSecrets","Resource":"*"`},
		{"no resource, BatchGetSecretValue", "User: " + session + " is not authorized to perform: " +
			"secretsmanager:BatchGetSecretValue because no identity-based policy allows the " +
			"secretsmanager:BatchGetSecretValue action",
			permissions.Denial{Principal: session, Action: "secretsmanager:BatchGetSecretValue", Layer: "identity-based policy"}, `"Resource":"*"`},
		{"no resource, of a secret", "User: " + session + " is not authorized to perform: " +
			"secretsmanager:PutSecretValue because no identity-based policy allows the " +
			"secretsmanager:PutSecretValue action",
			permissions.Denial{Principal: session, Action: "secretsmanager:PutSecretValue", Layer: "identity-based policy"}, `"Action":"secretsmanager:PutSecretValue","Resource":"` + secretARN + `"`},
		{"this resource", "User: " + session + " is not authorized to perform: kms:GenerateDataKey on this resource " +
			"because no identity-based policy allows the kms:GenerateDataKey action",
			permissions.Denial{Principal: session, Action: "kms:GenerateDataKey", Layer: "identity-based policy"}, `add to the role of the function: |"Action":"kms:GenerateDataKey","Resource":"` + keyARN + `"|kms:ViaService|` + secretARN},
		{"quotes", strings.Replace(says(noIdentity), secretARN, `"`+secretARN+`"`, 1), identity, paste},
		{"a request id behind", says(noIdentity + "\n\tstatus code: 400, request id: 1b2c"), identity, paste},
		{"Java's ending", says(noIdentity + " (Service: AWSSecretsManager; Status Code: 400; Error Code: AccessDeniedException; Request ID: 0; Proxy: null)"), identity, paste},
		{"line breaks", strings.NewReplacer(" is not", "\nis not", "on resource: ", "on resource:\n    ", "because", "\r\nbecause", "policy allows", "policy\nallows").Replace(says(noIdentity)), identity, paste},
		{"Python's beginning", "An error occurred (AccessDeniedException) when calling the GetSecretValue operation: " + says(noIdentity), identity, paste},
		{"Terraform's frame", "│ Error: reading Secrets Manager Secret: operation error Secrets Manager: GetSecretValue, https response error StatusCode: 400, RequestID: 0, api error AccessDeniedException: " + says(noIdentity) + "\n│\n", identity, paste},

		{"an IAM user", strings.Replace(says(noIdentity), session, "arn:aws:iam::111122223333:user/team/deploy", 1), with(identity, func(d *permissions.Denial) { d.Principal = "arn:aws:iam::111122223333:user/team/deploy" }), paste},
		{"a federated user", strings.Replace(says(noIdentity), session, "arn:aws:sts::111122223333:federated-user/ann", 1), with(identity, func(d *permissions.Denial) { d.Principal = "arn:aws:sts::111122223333:federated-user/ann" }), paste},
		{"a session by e-mail address", strings.Replace(says(noIdentity), session,
			"arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_Admin_0123/ann.lee@example.com", 1),
			with(identity, func(d *permissions.Denial) {
				d.Principal = "arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_Admin_0123/ann.lee@example.com"
			}), paste},
		{"anonymous", strings.Replace(says(noIdentity), session, "anonymous", 1), with(identity, func(d *permissions.Denial) { d.Principal = "anonymous" }), paste},
		{"a principal", strings.Replace(says(noIdentity), "User:", "Principal:", 1), identity, paste},
		{"a user who is not shown", "User is not authorized to perform: secretsmanager:GetSecretValue on resource: " + secretARN + noIdentity, with(identity, func(d *permissions.Denial) { d.Principal = "" }), paste},

		{"the policy of a key", "User: " + session + " is not authorized to perform: kms:Decrypt on resource: " +
			keyARN + " because no resource-based policy allows the kms:Decrypt action",
			permissions.Denial{Principal: session, Action: "kms:Decrypt", Resource: keyARN, Layer: "resource-based policy"}, `add to the policy of the key: |"Principal":{"AWS":"arn:aws:iam::111122223333:role/rotate"},"Action":"kms:Decrypt","Resource":"*"|kms:ViaService`},
		{"a deny in the policy of a key", "User: " + session + " is not authorized to perform: kms:Decrypt on " +
			"resource: " + keyARN + " with an explicit deny in a resource-based policy",
			permissions.Denial{Principal: session, Action: "kms:Decrypt", Resource: keyARN, Layer: "resource-based policy", Explicit: true}, deny + "the policy of the key"},
		{"a database", "User: " + session + " is not authorized to perform: rds:DescribeDBInstances on resource: " +
			"arn:aws:rds:us-east-1:111122223333:db:db1 because no identity-based policy allows the " +
			"rds:DescribeDBInstances action",
			permissions.Denial{Principal: session, Action: "rds:DescribeDBInstances", Resource: "arn:aws:rds:us-east-1:111122223333:db:db1", Layer: "identity-based policy"}, `"Resource":"arn:aws:rds:us-east-1:111122223333:db:db1"`},

		{"KMS", "Access to KMS is not allowed", permissions.Denial{Key: true}, ""},
		{"KMS, an old key", "Access to KMS is not allowed. This version of secret is not encrypted with the current KMS key.", permissions.Denial{Key: true, OldKey: true}, ""},
		{"KMS, perhaps no key", "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access.", permissions.Denial{Key: true, NoKey: true}, ""},
		{"the function's policy", "Secrets Manager cannot invoke the specified Lambda function. Ensure that the " +
			"function policy grants access to the principal secretsmanager.amazonaws.com.",
			permissions.Denial{Principal: "secretsmanager.amazonaws.com", Action: "lambda:InvokeFunction", Layer: "resource-based policy"}, "the resource policy of the function must allow lambda:InvokeFunction to secretsmanager.amazonaws.com"},
	}
	for _, partition := range []string{"aws-cn", "aws-us-gov", "aws-iso", "aws-iso-b", "aws-eusc"} {
		d := identity
		d.Principal, d.Resource = strings.Replace(d.Principal, "arn:aws:", "arn:"+partition+":", 1),
			strings.Replace(d.Resource, "arn:aws:", "arn:"+partition+":", 1)
		forms = append(forms, form{partition, strings.ReplaceAll(says(noIdentity), "arn:aws:", "arn:"+partition+":"), d,
			"arn:" + partition + ":secretsmanager:"})
	}
	for _, f := range forms {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			for _, around := range []string{f.text, "GetSecretValue: access denied: AccessDeniedException: " + f.text +
				" (add to the role of the function: {})"} {
				got, ok := permissions.ParseDenial(around)
				if !ok || got != f.want {
					t.Errorf("%s\ngot  %+v\nwant %+v", around, got, f.want)
				}
			}
			arn := secretARN
			if strings.Contains(f.text, "arn:aws-") {
				arn = f.want.Resource
			}
			remedy := f.want.Remedy(permissions.Place{Secret: permissions.StringList{arn}, Key: keyARN})
			for part := range strings.SplitSeq(f.do, "|") {
				if !strings.Contains(remedy, part) || f.do == "" && remedy != "" {
					t.Errorf("remedy lacks %q: %s", part, remedy)
				}
			}
			if (f.want.Explicit || f.want.Layer == "") && strings.Contains(remedy, `"Effect":"Allow"`) {
				t.Errorf("an Allow for what no Allow helps: %s", remedy)
			}
			if found := regexp.MustCompile(`\{.*\}`).FindString(remedy); found != "" && !json.Valid([]byte(found)) {
				t.Errorf("not JSON: %s", found)
			}
		})
	}
	for _, text := range []string{"", "denied, somehow", "Rate exceeded", "The security token included in the " +
		"request is expired", "is not authorized to perform:"} {
		if d, ok := permissions.ParseDenial(text); ok {
			t.Errorf("%q: a denial, %+v", text, d)
		}
	}
}

// TestTheARNOfASecret, by what a caller may send for it.
func TestTheARNOfASecret(t *testing.T) {
	t.Parallel()
	const head = "arn:aws-cn:secretsmanager:cn-north-1:111122223333:secret:"
	for id, want := range map[string]struct {
		arns string
		sure bool
	}{
		head + "app-AbCd12":   {head + "app-AbCd12", true},
		head + "app":          {head + "app-??????", false},
		head + "prod/app":     {head + "prod/app-??????", false},
		head + "db-secret":    {head + "db-secret-?????? " + head + "db-secret", false},
		head + "db-Server":    {head + "db-Server-?????? " + head + "db-Server", false},
		head + "app-202611":   {head + "app-202611-?????? " + head + "app-202611", false},
		"app":                 {head + "app-??????", false},
		"db-secret":           {head + "db-secret-??????", false},
		"rds!db-0123456789ab": {head + "rds!db-0123456789ab-??????", false},
		"":                    {"", false},
	} {
		arns, sure := permissions.SecretARN(id, "arn:aws-cn:sts::111122223333:assumed-role/rotate/function",
			"cn-north-1")
		if got := strings.Join(arns, " "); got != want.arns || sure != want.sure {
			t.Errorf("%s: %q, sure %v; want %q, %v", id, got, sure, want.arns, want.sure)
		}
	}
	if arns, _ := permissions.SecretARN("app", "", "us-east-1"); arns != nil {
		t.Errorf("an ARN of no account: %q", arns)
	}
}

// FuzzParseDenial: whatever AWS says, reading it ends, and what is read is in it.
func FuzzParseDenial(f *testing.F) {
	for _, ending := range []string{noIdentity, "", " with an explicit deny in a VPC endpoint policy transitively " +
		"through a service control policy"} {
		f.Add(says(ending))
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, ok := permissions.ParseDenial(text)
		if !ok {
			return
		}
		if !strings.Contains(strings.Join(strings.Fields(text), " "), d.Resource) || !d.Key && d.Action == "" {
			t.Errorf("%+v of %q", d, text)
		}
		d.Remedy(permissions.Place{Secret: permissions.StringList{secretARN}})
	})
}
