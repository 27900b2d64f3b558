package explain_test

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/quarterturn-dev/quarterturn/rotator/iam"
	"github.com/quarterturn-dev/quarterturn/rotator/iam/explain"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
)

const (
	home     = "123456789012"
	abroad   = "999988887777"
	role     = "arn:aws:iam::" + home + ":role/service-role/rotate"
	session  = "arn:aws:sts::" + home + ":assumed-role/rotate/function"
	function = "arn:aws:lambda:us-east-1:" + home + ":function:function"
	via      = "secretsmanager.us-east-1.amazonaws.com"
	guard    = "arn:aws:iam::" + home + ":policy/guard"

	get  = "secretsmanager:GetSecretValue"
	put  = "secretsmanager:PutSecretValue"
	move = "secretsmanager:UpdateSecretVersionStage"
)

// doc is a document, allow and deny statements on everything.
func doc(statements ...string) string {
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
}

func statement(effect, sid, action string, more ...string) string {
	text := `{"Sid":"` + sid + `","Effect":"` + effect + `","Action":"` + action + `"`
	if !slices.ContainsFunc(more, func(m string) bool { return strings.Contains(m, `"Resource"`) }) {
		more = append(more, `"Resource":"*"`)
	}
	return text + "," + strings.Join(more, ",") + "}"
}
func allow(sid, action string, more ...string) string {
	return statement("Allow", sid, action, more...)
}
func deny(sid, action string, more ...string) string { return statement("Deny", sid, action, more...) }
func to(who string) string                           { return `"Principal":{"AWS":"` + who + `"}` }
func when(operator, key, value string) string {
	return `"Condition":{"` + operator + `":{"` + key + `":"` + value + `"}}`
}

// situation is a call of a function that AWS denies, and what the explanation has to say.
type situation struct {
	name               string
	identity           []string // by name, then document; nil: everything is allowed
	boundary, session  string
	scp, rcp, endpoint string
	secret, key        string // policies; "": none, and the default one
	grants             []iam.Grant
	managedKey         bool // the secret is under aws/secretsmanager
	abroad             bool // the function is of another account
	call               string
	label              string
	tags, roleTags     map[string]string
	vpce               string // through which the function comes
	operator           string // what the person may, beside everything: a deny
	at                 time.Time
	says, not          []string
	depends            string // what the one cause depends on
	cause              string // "LAYER STATEMENT" of the causes, by comma
}

func situations() []situation {
	all := allow("All", "*")
	only := func(actions ...string) []string {
		var list []string
		for i, a := range actions {
			list = append(list, allow(fmt.Sprintf("May%d", i+1), a))
		}
		return []string{"Rotation", doc(list...)}
	}
	perimeter := func(operator, key, value string) string {
		return doc(deny("Perimeter", "*", to("*"), when(operator, key, value)))
	}
	root := allow("Account", "kms:*", to("arn:aws:iam::"+home+":root"))
	lacking := only(get, "secretsmanager:DescribeSecret", "kms:*")
	const implicit = "implicitly denied"
	list := []situation{
		// Nothing allows, in each layer.
		{name: "the role lacks an action", identity: lacking, call: put, says: []string{implicit + " to " + role + ": no identity-based policy allows it", "The nearest statement is", "add to the role of the function"}},
		{name: "the role lacks it for this secret", identity: []string{"R", doc(allow("Other", "secretsmanager:*", `"Resource":"arn:aws:secretsmanager:us-east-1:`+home+`:secret:other-??????"`))}, call: get, says: []string{`"Other"`, "whose Resource is"}},
		{name: "the role has no policy at all", identity: []string{"R", doc(allow("S3", "s3:*"))}, call: get, says: []string{`"S3"`, "whose Action is s3:*"}},
		{name: "a label that is not allowed", identity: []string{"R", doc(allow("Current", get, when("StringEquals", "secretsmanager:VersionStage", "AWSPENDING")))}, call: get, label: "AWSCURRENT", says: []string{`"Current"`, "the request carried AWSCURRENT"}},
		{name: "a label that nobody told", identity: []string{"R", doc(allow("Current", get, when("StringEquals", "secretsmanager:VersionStage", "AWSPENDING")))}, call: get, says: []string{"depending on secretsmanager:VersionStage"}, cause: "identity-based Current", depends: "secretsmanager:VersionStage"},
		{name: "a tag that the secret lacks", identity: []string{"R", doc(allow("Tagged", "secretsmanager:*", when("StringEquals", "aws:ResourceTag/team", "a")))}, call: get, says: []string{`"Tagged"`, "carried no aws:ResourceTag/team"}},
		{name: "another tag", identity: []string{"R", doc(allow("Tagged", "secretsmanager:*", when("StringEquals", "aws:ResourceTag/team", "a")))}, tags: map[string]string{"team": "b"}, call: get, says: []string{"the request carried b"}},
		{name: "the role's own tag", identity: []string{"R", doc(allow("Mine", "secretsmanager:*", when("StringEquals", "aws:ResourceTag/team", "${aws:PrincipalTag/team}")))}, tags: map[string]string{"team": "b"}, roleTags: map[string]string{"team": "a"}, call: get, says: []string{"aws:ResourceTag/team=a", "carried b"}},
		{name: "only from an endpoint", identity: []string{"R", doc(allow("Here", "secretsmanager:*", when("StringEquals", "aws:SourceVpce", "vpce-1")))}, call: get, cause: "identity-based Here", depends: "aws:SourceVpce", says: []string{"depending on aws:SourceVpce"}},
		{name: "only from an address", identity: []string{"R", doc(allow("Here", "secretsmanager:*", when("IpAddress", "aws:SourceIp", "10.0.0.0/8")))}, call: get, cause: "identity-based Here", depends: "aws:SourceIp"},
		{name: "only once rotation is configured", identity: []string{"R", doc(allow("Configured", "secretsmanager:*", when("ArnEquals", "secretsmanager:resource/AllowRotationLambdaArn", function)))}, call: get, says: []string{"carried no secretsmanager:resource/AllowRotationLambdaArn"}},
		{name: "a boundary lacks it", boundary: doc(allow("Reads", "secretsmanager:Get*")), call: put, says: []string{"no permissions boundary allows it", `"Reads"`, "let the permissions boundary allow it"}},
		{name: "a boundary on an endpoint", boundary: doc(allow("Here", "*", when("StringEquals", "aws:SourceVpce", "vpce-9"))), call: get, cause: "permissions boundary Here", depends: "aws:SourceVpce"},
		{name: "a session policy lacks it", session: doc(allow("Reads", "secretsmanager:Get*")), call: put, says: []string{"no session policy allows it", "could be read here"}},
		{name: "an SCP lacks it", scp: doc(allow("Reads", "secretsmanager:Get*")), call: put, says: []string{"no service control policy allows it", "No service control policy could be read here"}},
		{name: "an RCP lacks it", rcp: doc(allow("Reads", "secretsmanager:Get*", to("*"))), call: put, says: []string{"no resource control policy allows it"}},
		{name: "an endpoint's policy lacks it", endpoint: doc(allow("Reads", "secretsmanager:Get*", to("*"))), vpce: "vpce-1", call: put, says: []string{"no VPC endpoint policy allows it"}},
		{name: "another account, and the secret lets nobody in", abroad: true, call: get, says: []string{"no resource-based policy allows it"}},
		{name: "another account, and the secret lets another role in", abroad: true, secret: doc(allow("Theirs", get, to("arn:aws:iam::"+abroad+":role/other"))), call: get, says: []string{"no resource-based policy", "could be read here", "add to the resource policy of the secret"}},

		// A statement denies, in each layer.
		{name: "an identity policy denies", identity: []string{"R", doc(all, deny("Never", put))}, call: put, says: []string{"with an explicit deny in an identity-based policy", "No Allow overrides"}, cause: "identity-based Never"},
		{name: "an attached policy denies", identity: []string{"R", doc(all), guard, doc(deny("Guard", put))}, call: put, says: []string{guard}, cause: "identity-based Guard"},
		{name: "the second of two denies", identity: []string{"R", doc(all, deny("Other", "s3:*"), deny("This", put))}, call: put, cause: "identity-based This", not: []string{`"Other"`}},
		{name: "an identity policy denies by label", identity: []string{"R", doc(all, deny("Pending", get, when("StringEquals", "secretsmanager:VersionStage", "AWSPENDING")))}, call: get, label: "AWSPENDING", cause: "identity-based Pending", says: []string{"the request carried AWSPENDING"}},
		{name: "an identity policy denies by endpoint", identity: []string{"R", doc(all, deny("Perimeter", "*", when("StringNotEquals", "aws:SourceVpce", "vpce-1")))}, call: get, cause: "identity-based Perimeter", depends: "aws:SourceVpce"},
		{name: "a boundary denies", boundary: doc(all, deny("Never", put)), call: put, cause: "permissions boundary Never"},
		{name: "a session policy denies", session: doc(all, deny("Never", put)), call: put, says: []string{"with an explicit deny in a session policy", "could be read here"}},
		{name: "an SCP denies", scp: doc(all, deny("Never", put)), call: put, says: []string{"explicit deny in a service control policy", "could be read here"}},
		{name: "an RCP denies", rcp: doc(allow("All", "*", to("*")), deny("Never", put, to("*"))), call: put, says: []string{"explicit deny in a resource control policy"}},
		{name: "an endpoint's policy denies", endpoint: doc(allow("All", "*", to("*")), deny("Never", put, to("*"))), vpce: "vpce-1", call: put, says: []string{"explicit deny in a VPC endpoint policy"}},
		{name: "the secret's policy denies", secret: doc(deny("Never", put, to("*"))), call: put, cause: "resource-based Never", says: []string{"the resource policy of the secret"}},
		{name: "the secret's policy denies this role", secret: doc(deny("You", put, to(role))), call: put, cause: "resource-based You"},
		{name: "the secret's policy denies a label", secret: doc(deny("Label", move, to("*"), when("StringEquals", "secretsmanager:VersionStage", "AWSCURRENT"))), call: move, label: "AWSCURRENT", cause: "resource-based Label"},
		{name: "the secret's policy denies all but another role", secret: doc(deny("Others", "secretsmanager:Put*", to("*"), when("ArnNotEquals", "aws:PrincipalArn", "arn:aws:iam::"+home+":role/admin"))), call: put, cause: "resource-based Others", says: []string{role}},
		{name: "the secret's policy denies all but the role without its path", secret: doc(deny("Others", "secretsmanager:Put*", to("*"), when("ArnNotEquals", "aws:PrincipalArn", "arn:aws:iam::"+home+":role/rotate"))), call: put, cause: "resource-based Others"},
		{name: "NotPrincipal without the session", secret: doc(`{"Sid":"NP","Effect":"Deny","NotPrincipal":{"AWS":["` + role + `","arn:aws:iam::` + home + `:root"]},"Action":"secretsmanager:Put*","Resource":"*"}`), call: put, cause: "resource-based NP"},

		// Keys that only the request knows.
		{name: "C1: the role lacks it, and a perimeter is met", identity: lacking, secret: perimeter("StringNotEquals", "aws:SourceVpce", "vpce-1"), vpce: "vpce-1", call: put, says: []string{"no identity-based policy allows it"}, not: []string{"Perimeter"}},
		{name: "a perimeter by endpoint", secret: doc(deny("Perimeter", "secretsmanager:Put*", to("*"), when("StringNotEquals", "aws:SourceVpce", "vpce-1"))), vpce: "vpce-2", call: put, cause: "resource-based Perimeter", depends: "aws:SourceVpce"},
		{name: "a perimeter by VPC", secret: doc(deny("Perimeter", "secretsmanager:Put*", to("*"), when("StringNotEquals", "aws:SourceVpc", "vpc-9"))), vpce: "vpce-2", call: put, cause: "resource-based Perimeter", depends: "aws:SourceVpc"},
		{name: "a perimeter by address", secret: doc(deny("Perimeter", "secretsmanager:Put*", to("*"), when("NotIpAddress", "aws:SourceIp", "10.0.0.0/8"))), call: put, cause: "resource-based Perimeter", depends: "aws:SourceIp"},
		{name: "a perimeter by organization", secret: doc(deny("Perimeter", "secretsmanager:Put*", to("*"), when("StringNotEquals", "aws:PrincipalOrgID", "o-1"))), call: put, cause: "resource-based Perimeter", depends: "aws:PrincipalOrgID"},
		{name: "a perimeter by VPC's address", secret: doc(deny("Perimeter", "secretsmanager:Put*", to("*"), when("NotIpAddress", "aws:VpcSourceIp", "10.0.0.0/8"))), call: put, cause: "resource-based Perimeter", depends: "aws:VpcSourceIp"},
		{name: "a perimeter by MFA", secret: doc(deny("Perimeter", "secretsmanager:Put*", to("*"), when("BoolIfExists", "aws:MultiFactorAuthPresent", "false"))), call: put, cause: "resource-based Perimeter", depends: "aws:MultiFactorAuthPresent"},
		{name: "a perimeter by account of the principal", secret: doc(deny("Perimeter", "secretsmanager:Put*", to("*"), when("StringNotEquals", "aws:PrincipalAccount", abroad))), call: put, cause: "resource-based Perimeter", says: []string{"the request carried " + home}},
		{name: "a perimeter by Region", secret: doc(deny("Perimeter", "secretsmanager:Put*", to("*"), when("StringNotEquals", "aws:RequestedRegion", "eu-west-1"))), call: put, cause: "resource-based Perimeter", says: []string{"us-east-1"}},
		{name: "C2: a time that has passed", secret: doc(deny("Late", "secretsmanager:Put*", to("*"), when("DateGreaterThan", "aws:CurrentTime", "2020-01-01T00:00:00Z"))), call: put, cause: "resource-based Late", depends: "aws:CurrentTime", not: []string{"No statement"}},
		{name: "C2: a time that has passed, the denial's being known", secret: doc(deny("Late", "secretsmanager:Put*", to("*"), when("DateGreaterThan", "aws:CurrentTime", "2020-01-01T00:00:00"))), at: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), call: put, cause: "resource-based Late"},
		{name: "C2: seconds since 1970", secret: doc(deny("Late", "secretsmanager:Put*", to("*"), when("NumericGreaterThan", "aws:EpochTime", "1577836800"))), call: put, cause: "resource-based Late", depends: "aws:EpochTime"},
		{name: "C3: an exemption for this very role, and nothing that allows", identity: lacking, secret: doc(deny("Others", "*", to("*"), when("ArnNotEquals", "aws:PrincipalArn", role))), call: put, says: []string{"no identity-based policy allows it"}, not: []string{`"Others"`}},

		// C5: documents as people write them.
		{name: "C5: operators in lower case", secret: doc(deny("Low", put, to("*"), when("stringequals", "aws:RequestedRegion", "us-east-1"))), call: put, cause: "resource-based Low"},
		{name: "C5: a set operator in other case", secret: doc(deny("Set", put, to("*"), when("forAnyValue:StringLike", "aws:PrincipalArn", "*rotate"))), call: put, cause: "resource-based Set"},
		{name: "C5: NotPrincipal with Allow", abroad: true, secret: doc(`{"Sid":"NP","Effect":"Allow","NotPrincipal":{"AWS":"arn:aws:iam::` + abroad + `:role/service-role/rotate"},"Action":"*","Resource":"*"}`), call: get, says: []string{"no resource-based policy", `"NP"`}},
		{name: "C5: no values", identity: []string{"R", doc(allow("None", "*", `"Condition":{"StringEquals":{"aws:RequestedRegion":[]}}`))}, call: put, says: []string{`"None"`}},

		// The key.
		{name: "the role lacks the key", identity: only("secretsmanager:*"), call: get, says: []string{"KMS denied kms:Decrypt", "no identity-based policy there allows kms:Decrypt", "add to the role of the function", "kms:ViaService"}},
		{name: "the role lacks the key for writing", identity: only("secretsmanager:*", "kms:Decrypt"), call: put, says: []string{"KMS denied kms:GenerateDataKey", "no identity-based policy there allows"}},
		{name: "the key's policy knows nobody", key: doc(allow("Theirs", "kms:*", to("arn:aws:iam::"+home+":role/admin"))), call: get, says: []string{"no statement of the key policy and no grant allows"}},
		{name: "the key's policy denies", key: doc(root, deny("NotHere", "kms:Decrypt", to("*"), when("StringEquals", "kms:ViaService", via))), call: get, cause: "key NotHere", says: []string{"kms:ViaService"}},
		{name: "an identity policy denies the key", identity: []string{"R", doc(all, deny("NoKey", "kms:*"))}, call: get, cause: "identity-based NoKey"},
		{name: "C4: a grant allows, and an identity policy denies", identity: []string{"R", doc(all, deny("NoKey", "kms:*"))}, key: doc(allow("Theirs", "kms:*", to("arn:aws:iam::"+home+":role/admin"))), grants: []iam.Grant{{Grantee: role, Operations: []string{"Decrypt"}}}, call: get, cause: "identity-based NoKey", not: []string{"no grant"}},
		{name: "a grant for another operation", key: doc(allow("Theirs", "kms:*", to("arn:aws:iam::"+home+":role/admin"))), grants: []iam.Grant{{Grantee: role, Operations: []string{"Encrypt"}}}, call: get, says: []string{"no statement of the key policy and no grant"}},
		{name: "a grant for another secret", key: doc(allow("Theirs", "kms:*", to("arn:aws:iam::"+home+":role/admin"))), grants: []iam.Grant{{Grantee: role, Operations: []string{"Decrypt"}, EncryptionContextSubset: map[string]string{"SecretARN": "arn:aws:secretsmanager:us-east-1:" + home + ":secret:other-AbCd12"}}}, call: get, says: []string{"no grant"}},
		{name: "C4: grants that may not be read", key: doc(allow("Theirs", "kms:*", to("arn:aws:iam::"+home+":role/admin"))), operator: "kms:ListGrants", call: get, says: []string{"depends on the grants of the key"}, not: []string{"no grant allows the caller"}},
		{name: "the key's policy and an endpoint", key: doc(root, deny("Perimeter", "kms:Decrypt", to("*"), when("StringNotEquals", "aws:SourceVpce", "vpce-1"))), vpce: "vpce-1", call: get, cause: "key Perimeter", depends: "aws:SourceVpce"},
		{name: "the key's policy wants a direct call", key: doc(root, deny("Direct", "kms:Decrypt", to("*"), when("Bool", "aws:ViaAWSService", "true"))), call: get, cause: "key Direct"},
		{name: "the key's policy pins a version", key: doc(allow("Pinned", "kms:*", to(role), when("StringEquals", "kms:EncryptionContext:SecretVersionId", "x"))), call: get, says: []string{"depends on kms:EncryptionContext:SecretVersionId"}},
		{name: "the boundary lacks the key", boundary: doc(allow("Secrets", "secretsmanager:*")), call: get, says: []string{"KMS denied kms:Decrypt", "permissions boundary", "does not allow"}},
		{name: "an SCP denies the key", scp: doc(all, deny("NoKey", "kms:*")), call: get, says: []string{"IAM's simulator agrees: a service control policy does not let the role do it"}},
		{name: "another account, and the key knows it not", abroad: true, secret: doc(allow("You", "secretsmanager:*", to("arn:aws:iam::"+abroad+":role/service-role/rotate"))), call: get, says: []string{"KMS denied kms:Decrypt"}},

		// Other keys, other elements.
		{name: "sessions that were revoked", identity: []string{"R", doc(all, deny("Revoked", "*", when("DateLessThan", "aws:TokenIssueTime", "2099-01-01T00:00:00Z")))}, call: put, cause: "identity-based Revoked", depends: "aws:TokenIssueTime"},
		{name: "every value of a key that the request lacks", secret: doc(deny("Tags", "secretsmanager:Put*", to("*"), when("ForAllValues:StringEquals", "aws:TagKeys", "team"))), call: put, cause: "resource-based Tags"},
		{name: "one condition that is met, and one that only the request knows", secret: doc(deny("Two", "secretsmanager:Put*", to("*"), `"Condition":{"StringEquals":{"aws:RequestedRegion":"us-east-1"},"StringNotEquals":{"AWS:sourcevpce":"vpce-1"}}`)), call: put, cause: "resource-based Two", depends: "AWS:sourcevpce"},
		{name: "one condition that is not met, and nothing that allows", identity: lacking, secret: doc(deny("Two", "*", to("*"), `"Condition":{"StringEquals":{"aws:RequestedRegion":"eu-west-1"},"StringNotEquals":{"aws:SourceVpce":"vpce-1"}}`)), call: put, not: []string{`"Two"`}},
		{name: "the role's tag is another", secret: doc(deny("Team", "secretsmanager:Put*", to("*"), when("StringNotEquals", "aws:PrincipalTag/team", "payments"))), roleTags: map[string]string{"team": "web"}, call: put, cause: "resource-based Team", says: []string{"aws:PrincipalTag/team"}},
		{name: "every role of a path", secret: doc(deny("Path", "secretsmanager:Put*", to("*"), when("ArnLike", "aws:PrincipalArn", "arn:aws:iam::*:role/service-role/*"))), call: put, cause: "resource-based Path"},
		{name: "a user id", secret: doc(deny("Id", "secretsmanager:Put*", to("*"), when("StringNotLike", "aws:userid", "AROANOBODY:*"))), call: put, cause: "resource-based Id", depends: "aws:userid"},
		{name: "all actions but some", secret: doc(`{"Sid":"Rest","Effect":"Deny","Principal":"*","NotAction":["secretsmanager:Get*","secretsmanager:Describe*"],"Resource":"*"}`), call: put, cause: "resource-based Rest"},
		{name: "all resources but another", identity: []string{"R", doc(all, `{"Sid":"Elsewhere","Effect":"Deny","Action":"secretsmanager:*","NotResource":"arn:aws:secretsmanager:*:*:secret:other-*"}`)}, call: put, cause: "identity-based Elsewhere"},
		{name: "a name from the role's tag", identity: []string{"R", doc(allow("Own", "secretsmanager:*", `"Resource":"arn:aws:secretsmanager:*:*:secret:${aws:PrincipalTag/team}/*"`))}, roleTags: map[string]string{"team": "web"}, call: put, says: []string{`"Own"`}},
		{name: "no TLS, which no call of AWS's clients lacks", identity: lacking, secret: doc(deny("Plain", "*", to("*"), when("Bool", "aws:SecureTransport", "false"))), call: put, says: []string{"no identity-based policy allows it"}, not: []string{`"Plain"`}},
		{name: "resources outside an organization", identity: []string{"R", doc(all, deny("Perimeter", "*", when("StringNotEquals", "aws:ResourceOrgID", "o-1")))}, call: put, cause: "identity-based Perimeter", depends: "aws:ResourceOrgID"},
		{name: "resources of other accounts", identity: []string{"R", doc(all, deny("Perimeter", "*", when("StringNotEquals", "aws:ResourceAccount", abroad)))}, call: put, cause: "identity-based Perimeter", says: []string{home}},
		{name: "all but services of AWS", secret: doc(deny("People", "secretsmanager:Put*", to("*"), when("Bool", "aws:PrincipalIsAWSService", "false"))), call: put, cause: "resource-based People"},
		{name: "a key that nobody documents", secret: doc(deny("New", "secretsmanager:Put*", to("*"), when("StringNotEqualsIfExists", "aws:SomethingNew", "x"))), call: put, cause: "resource-based New", depends: "aws:SomethingNew"},
		{name: "one statement that is no list, without a Sid", secret: `{"Version":"2008-10-17","Statement":{"Effect":"Deny","Principal":{"AWS":["*"]},"Action":["SecretsManager:putsecretvalue"],"Resource":"*"}}`, call: put, says: []string{"resource policy of the secret"}},
		{name: "a key for another secret alone", key: doc(allow("Theirs", "kms:*", to(role), when("StringLike", "kms:EncryptionContext:SecretARN", "arn:aws:secretsmanager:*:*:secret:other-*"))), call: get, says: []string{`"Theirs"`}},
		{name: "a key denies other accounts and other services", key: doc(root, deny("NotVia", "kms:Decrypt", to("*"), when("StringEquals", "kms:CallerAccount", home))), call: get, cause: "key NotVia"},
		{name: "a Null condition on a label", secret: doc(deny("Unlabelled", put, to("*"), when("Null", "secretsmanager:VersionStage", "true"))), call: put, cause: "resource-based Unlabelled"},

		// What the person may not read.
		{name: "the role may not be read", identity: lacking, operator: "iam:GetRole", call: put, says: []string{"no identity-based policy allows it", "Not read: the role itself, with its path"}},
		{name: "the path is not known, and a policy names it", secret: doc(deny("Others", "secretsmanager:Put*", to("*"), when("ArnNotEquals", "aws:PrincipalArn", "arn:aws:iam::"+home+":role/rotate"))), operator: "iam:GetRole", call: put, cause: "resource-based Others", depends: "aws:PrincipalArn the path of the role"},
		{name: "the role's policies may not be read", identity: lacking, operator: "iam:List*", call: put, says: []string{"No identity-based policy could be read here", "inline policies of the role (AccessDenied"}},
		{name: "an attached policy may not be read", identity: []string{guard, doc(deny("Never", put)), "R", doc(all)}, operator: "iam:GetPolicyVersion", call: put, says: []string{"explicit deny in an identity-based policy", "policy " + guard}, not: []string{"denies it now"}},
		{name: "the resource policy may not be read", secret: doc(deny("Never", put, to("*"))), operator: "secretsmanager:GetResourcePolicy", call: put, says: []string{"No resource-based policy could be read here"}},
		{name: "the key's policy may not be read", key: doc(root, deny("NotHere", "kms:Decrypt", to("*"))), operator: "kms:GetKeyPolicy", call: get, says: []string{"Not read:", "the policy of key"}},
		{name: "the secret may not be described", identity: lacking, operator: "secretsmanager:DescribeSecret", call: put, says: []string{"no identity-based policy allows it", "the description of the secret"}},
		{name: "the simulator may not be asked", identity: lacking, operator: "iam:SimulatePrincipalPolicy", call: put, says: []string{"IAM's simulator (AccessDenied"}, not: []string{"agrees"}},
		{name: "nothing may be read", identity: lacking, operator: "*", call: put, says: []string{"no identity-based policy allows it"}},
	}
	for _, c := range []struct{ key, value string }{{"aws:UserAgent", "x"}, {"aws:referer", "x"},
		{"aws:SourceIdentity", "x"}, {"aws:PrincipalOrgPaths", "o-1/*"}, {"aws:Ec2InstanceSourceVpc", "vpc-1"},
		{"aws:FederatedProvider", "x"}} {
		list = append(list, situation{name: "a perimeter by " + c.key,
			secret: doc(deny("Perimeter", "secretsmanager:Put*", to("*"), when("StringNotLike", c.key, c.value))),
			call:   put, cause: "resource-based Perimeter", depends: c.key})
	}
	return list
}

// world is an emulator in which the situation holds, and the text of the denial.
func (s situation) world(t *testing.T) (aws.Config, string, iam.Decision, string, string) {
	t.Helper()
	named := func(name, text string, read func(string) (iam.Policy, error)) *iam.NamedPolicy {
		if text == "" {
			return nil
		}
		p, err := read(text)
		if err != nil {
			t.Fatal(err)
		}
		return &iam.NamedPolicy{Name: name, Policy: p}
	}
	account, roleARN, sessionARN := home, role, session
	if s.abroad {
		account, roleARN, sessionARN = abroad, strings.Replace(role, home, abroad, 1), strings.Replace(session, home,
			abroad, 1)
	}
	everything := named("Everything", doc(allow("All", "*")), iam.ParseIdentity)
	caller := awsemu.Caller{AccessKey: "FUNCTION", Principal: iam.Principal{ARN: sessionARN, Role: roleARN,
		Tags: s.roleTags}, Identity: []iam.NamedPolicy{*everything}, Boundary: named("arn:aws:iam::"+account+
		":policy/boundary", s.boundary, iam.ParseIdentity)}
	if s.identity != nil {
		caller.Identity = nil
		for i := 0; i < len(s.identity); i += 2 {
			caller.Identity = append(caller.Identity, *named(s.identity[i], s.identity[i+1], iam.ParseIdentity))
		}
	}
	if p := named("session", s.session, iam.ParseIdentity); p != nil {
		caller.Session = []iam.NamedPolicy{*p}
	}
	if s.vpce != "" {
		caller.Endpoints = map[string]awsemu.Endpoint{"secretsmanager": {ID: s.vpce, VPC: "vpc-1",
			Policy: named("endpoint", s.endpoint, iam.ParseResource)}}
	}
	operator := awsemu.Caller{AccessKey: "PERSON", Principal: iam.Principal{ARN: "arn:aws:iam::" + account +
		":user/person"}, Identity: []iam.NamedPolicy{*everything}}
	if s.operator != "" {
		operator.Identity = append(operator.Identity, *named("limits", doc(deny("Not", s.operator)), iam.ParseIdentity))
	}
	emu := &awsemu.Emulator{Callers: []awsemu.Caller{caller, operator}}
	if p := named("scp", s.scp, iam.ParseIdentity); p != nil {
		emu.Accounts = append(emu.Accounts, awsemu.Account{ID: account, SCPs: [][]iam.NamedPolicy{{*p}}})
		emu.Callers[1].Principal.ARN, emu.Callers[1].Principal.Account = "arn:aws:iam::"+account+":root", account
	}
	if p := named("rcp", s.rcp, iam.ParseResource); p != nil {
		emu.Accounts = append(emu.Accounts, awsemu.Account{ID: home, RCPs: [][]iam.NamedPolicy{{*p}}})
	}
	server := httptest.NewServer(emu)
	t.Cleanup(func() { emu.Close(); server.Close() })
	key := awsemu.Key{Policy: s.key}
	if s.key != "" { // the person may read it all the same
		key.Policy = strings.TrimSuffix(s.key, "]}") + "," + allow("Person", "kms:*", to("arn:aws:iam::"+home+
			":user/person")) + "]}"
	}
	for _, g := range s.grants {
		key.Grants = append(key.Grants, awsemu.Grant{Grant: g})
	}
	id := emu.SeedKey(key)
	if s.managedKey {
		id = ""
	}
	arn := emu.Seed(awsemu.Secret{Name: "app", KMSKeyID: id, Policy: s.secret, Tags: s.tags,
		Versions: []awsemu.Version{{Labels: []string{"AWSCURRENT"}, Value: awsemu.Text("{}")},
			{Labels: []string{"AWSPENDING"}, Value: awsemu.Text("{}")}}})
	cfg := aws.Config{Region: "us-east-1", BaseEndpoint: &server.URL, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("FUNCTION", "x", "")}
	client := secretsmanager.NewFromConfig(cfg)
	var err error
	switch label := "AWSCURRENT"; s.call {
	case get:
		if s.label != "" {
			label = s.label
		}
		_, err = client.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &arn,
			VersionStage: &label})
	case put:
		_, err = client.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: &arn,
			SecretString: aws.String("x")})
	case move:
		_, err = client.UpdateSecretVersionStage(t.Context(),
			&secretsmanager.UpdateSecretVersionStageInput{SecretId: &arn, VersionStage: &label,
				MoveToVersionId: aws.String(awsemu.VersionID(2)), RemoveFromVersionId: aws.String(awsemu.VersionID(1))})
	}
	if err == nil {
		t.Fatal("AWS does not deny it")
	}
	var decided iam.Decision
	for _, call := range emu.Calls() {
		for _, d := range call.Decisions {
			if !d.Allowed {
				decided = d.Decision
			}
		}
	}
	cfg.Credentials = credentials.NewStaticCredentialsProvider("PERSON", "x", "")
	return cfg, err.Error(), decided, arn, roleARN
}

// TestNoContradiction: in every situation the verdict is AWS's, and what is said of a
// statement is what that statement did when AWS decided.
func TestNoContradiction(t *testing.T) {
	t.Parallel()
	if n := len(situations()); n < 60 {
		t.Errorf("%d situations, want at least 60", n)
	}
	for _, s := range situations() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			cfg, denial, truth, arn, roleARN := s.world(t)
			x, err := explain.Explainer{Config: cfg}.Explain(t.Context(), explain.Call{
				Denial:    strings.Replace(denial, "operation error Secrets Manager: ", "", 1),
				Operation: strings.TrimPrefix(s.call, "secretsmanager:"), SecretID: arn, Label: s.label,
				Role: roleARN[strings.LastIndex(roleARN, "/")+1:], Function: strings.Replace(function, home,
					strings.Split(roleARN, ":")[4], 1), At: s.at,
			})
			if err != nil {
				t.Fatal(err)
			}
			text := x.Text()
			if !x.Denial.Key && (x.Denial.Explicit != truth.Explicit || !strings.Contains(truth.Message(iam.Request{}),
				x.Denial.Layer)) {
				t.Errorf("the verdict is not AWS's: %+v, and AWS decided %+v", x.Denial, truth)
			}
			var causes, depends []string
			for _, c := range x.Causes {
				causes = append(causes, string(c.Layer)+" "+c.Statement)
				depends = append(depends, c.Depends...)
				i := slices.IndexFunc(truth.Trace, func(step iam.StatementResult) bool {
					return step.Layer == c.Layer && step.Statement == c.Statement
				})
				if i < 0 {
					t.Errorf("no such statement counted: %+v", c)
				} else if len(c.Depends) == 0 && (!truth.Trace[i].Matched || truth.Trace[i].Effect != "Deny") {
					t.Errorf("said to deny, and did not: %+v: %+v", c, truth.Trace[i])
				}
			}
			for _, step := range truth.Trace { // what did not deny is not said to have
				if step.Effect == "Deny" && !step.Matched && step.Statement != "" && strings.Contains(text,
					fmt.Sprintf("%q of", step.Statement)) && strings.Contains(text, fmt.Sprintf("Statement %q",
					step.Statement)) && strings.Contains(text, " denies it:") {
					t.Errorf("statement %q did not deny: %s", step.Statement, text)
				}
			}
			if got := strings.Join(causes, ","); s.cause != "" && got != s.cause {
				t.Errorf("causes %q, want %q", got, s.cause)
			}
			if got := strings.Join(depends, " "); (s.cause != "" || s.depends != "") && got != s.depends {
				t.Errorf("depends on %q, want %q", got, s.depends)
			}
			for _, part := range s.says {
				if !strings.Contains(text, part) {
					t.Errorf("lacks %q", part)
				}
			}
			for _, part := range append(s.not, "stand in the way", "%!") {
				if strings.Contains(text, part) {
					t.Errorf("has %q", part)
				}
			}
			if t.Failed() {
				t.Logf("AWS: %s\n%s", denial, text)
			}
		})
	}
	if _, err := (explain.Explainer{}).Explain(t.Context(), explain.Call{Denial: "Rate exceeded"}); !errors.Is(err,
		explain.ErrNoDenial) {
		t.Errorf("of no denial: %v", err)
	}
}
