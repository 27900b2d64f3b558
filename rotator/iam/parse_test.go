package iam_test

import (
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator/iam"
)

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct{ why, text, want string }{
		{"no JSON", `{`, "not JSON"},
		{"a list", `[]`, "not a JSON object"},
		{"nothing", ``, "not a JSON object"},
		{"more after the document", doc(can("*")) + `{}`, "more after"},
		{"null", `null`, "not a JSON object"},
		{"another version", `{"Version":"2012-10-18","Statement":` + can("*") + `}`, "Version"},
		{"a version that is a number", `{"Version":20121017,"Statement":` + can("*") + `}`, "Version"},
		{"an unknown element", `{"Statements":[` + can("*") + `]}`, "Statements: unknown"},
		{"an element in another case", `{"statement":[` + can("*") + `]}`, "statement: unknown"},
		{"an element twice", `{"Statement":` + can("*") + `,"Statement":` + cannot("*") + `}`, "Statement: there twice"},
		{"no statement", `{"Version":"2012-10-17"}`, "Statement"},
		{"an empty list of statements", doc(), "Statement"},
		{"a statement that is text", `{"Statement":"Allow"}`, "statement 1: not a JSON object"},
		{"an unknown element, by number", doc(can("*"), can("*", `"Conditions":{}`)), "statement 2: Conditions: unknown"},
		{"an unknown element, by Sid", doc(can("*", `"Conditions":{}`, sid("Mine"))), "Mine: Conditions: unknown"},
		{"a Sid that is a number", doc(can("*", `"Sid":1`)), "Sid"},
		{"a Sid twice", doc(can("*", sid("A")), can("*", sid("A"))), `"A" is there twice`},
		{"no Effect", doc(`{"Sid":"A","Action":"*","Resource":"*"}`), "A: Effect: missing"},
		{"an Effect in another case", doc(`{"Effect":"allow","Action":"*","Resource":"*"}`), `"allow" is neither`},
		{"an Effect that is null", doc(`{"Effect":null,"Action":"*","Resource":"*"}`), "Effect"},
		{"no Action", doc(`{"Effect":"Allow","Resource":"*"}`), "Action: missing"},
		{"both forms of Action", doc(can("*", `"NotAction":"*"`)), "NotAction: there in both its forms"},
		{"an empty Action", doc(`{"Effect":"Allow","Action":[],"Resource":"*"}`), "Action: empty"},
		{"an Action without a service", doc(can("GetSecretValue")), "service:action"},
		{"an Action with spaces", doc(can("secretsmanager: Get*")), "service:action"},
		{"an Action that is a number", doc(`{"Effect":"Allow","Action":7,"Resource":"*"}`), "Action"},
		{"no Resource", doc(`{"Effect":"Allow","Action":"*"}`), "Resource: missing"},
		{"both forms of Resource", doc(can("*", `"NotResource":"*"`)), "NotResource: there in both its forms"},
		{"a name for a Resource", doc(canOn("*", "app/db")), "neither * nor an ARN"},
		{"a variable that is not closed", doc(canOn("*", "arn:aws:s3:::${aws:username")), "not closed"},
		{"a variable without a name", doc(canOn("*", "arn:aws:s3:::${}")), "no condition key"},
		{"a default without quotes", doc(canOn("*", "arn:aws:s3:::${aws:username, x}")), "quotes"},
		{"both forms of Principal", doc(can("*", to("*"), `"NotPrincipal":"*"`)), "NotPrincipal: there in both its forms"},
		{"a Principal that is an ARN alone", doc(can("*", `"Principal":"`+role+`"`)), "stands alone"},
		{"a Principal of an unknown kind", doc(can("*", `"Principal":{"Role":"`+role+`"}`)), "no principal"},
		{"an empty Principal", doc(can("*", `"Principal":{}`)), "Principal: empty"},
		{"a Principal with a wildcard", doc(can("*", to("arn:aws:iam::111122223333:role/*"))), "no principal"},
		{"a Principal that is a group", doc(can("*", to("arn:aws:iam::111122223333:group/ops"))), "no principal"},
		{"a Principal that is a short account", doc(can("*", to("11112222333"))), "no principal"},
		{"a session without a role", doc(can("*", to("arn:aws:sts::111122223333:assumed-role/rotator"))), "no principal"},
		{"a service that is an ARN", doc(can("*", `"Principal":{"Service":"`+role+`"}`)), "no principal"},
		{"an unknown operator", doc(can("*", when("StringMatches", "aws:SourceVpce", `"x"`))), "StringMatches aws:SourceVpce: unknown operator"},
		{"an unknown order", doc(can("*", when("NumericMoreThan", "aws:MultiFactorAuthAge", `"1"`))), "unknown operator"},
		{"an unknown set operator", doc(can("*", when("ForSomeValues:StringEquals", "aws:CalledVia", `"x"`))), "unknown operator"},
		{"Null with IfExists", doc(can("*", when("NullIfExists", "aws:SourceVpce", `"true"`))), "Null"},
		{"Null with a set operator", doc(can("*", when("ForAnyValue:Null", "aws:SourceVpce", `"true"`))), "Null"},
		{"a condition key without a service", doc(can("*", when("StringEquals", "SourceVpce", `"x"`))), "service:name"},
		{"a condition on an object", doc(can("*", when("StringEquals", "aws:SourceVpce", `{}`))), "not a string"},
		{"a condition that is a list", doc(can("*", `"Condition":[]`)), "Condition"},
		{"a condition key twice", doc(can("*", `"Condition":{"StringEquals":{"aws:SourceVpce":"a","aws:SourceVpce":"b"}}`)), "there twice"},
		{"an operator twice", doc(can("*", `"Condition":{"Bool":{"aws:a":"true"},"Bool":{"aws:b":"true"}}`)), "there twice"},
		{"a Bool that is neither", doc(can("*", when("Bool", "aws:SecureTransport", `"yes"`))), "neither true nor false"},
		{"a number that is none", doc(can("*", when("NumericEquals", "aws:MultiFactorAuthAge", `"0x10"`))), "no number"},
		{"a date that is none", doc(can("*", when("DateLessThan", "aws:CurrentTime", `"tomorrow"`))), "no date"},
		{"an address that is none", doc(can("*", when("IpAddress", "aws:SourceIp", `"203.0.113.0/33"`))), "IpAddress"},
	}
	for _, test := range tests {
		t.Run(test.why, func(t *testing.T) {
			t.Parallel()
			_, err := iam.Parse(test.text)
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "policy: ") {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestParseTakes(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{"Version":"2012-10-17","Id":"key-default-1","Statement":{"Sid":"Enable IAM User Permissions","Effect":"Allow","Principal":{"AWS":"` + root + `"},"Action":"kms:*","Resource":"*"}}`,
		`{"Statement":[` + can("*") + `]}`,
		doc(can("*:*")),
		doc(can("*", `"Principal":{"AWS":["*","111122223333"],"Service":"lambda.amazonaws.com","Federated":"cognito-identity.amazonaws.com"}`)),
		doc(can("*", to("arn:aws-us-gov:iam::111122223333:role/a/b/c"))),
		awsManagedKey,
		" " + doc(can("*")) + "\n",
		"\ufeff" + doc(can("*")),
		doc(can("*", `"NotPrincipal":{"AWS":"`+role+`"}`)),
		doc(can("*", when("forAnyValue:stringlikeifexists", "aws:SourceVpce", `[]`))),
		doc(can("*", `"Principal":{"AWS":[],"Service":["elasticmapreduce.amazonaws.com.cn","s3.c2s.ic.gov"]}`)),
		doc(`{"Effect":"Deny","Action":["kms:*"],"Resource":["*"],"Condition":{}}`),
		`{"Version":"2012-10-17","Statement":[` + can("*", sid("")) + `,` + can("*", sid("")) + `]}`,
	} {
		parse(t, text)
	}
}

func TestParseForItsPlace(t *testing.T) {
	t.Parallel()
	identity, resource := doc(can("*")), doc(can("*", sid("Mine"), to(role)))
	if _, err := iam.ParseIdentity(identity); err != nil {
		t.Error(err)
	}
	if _, err := iam.ParseResource(resource); err != nil {
		t.Error(err)
	}
	if _, err := iam.ParseIdentity(resource); err == nil || !strings.Contains(err.Error(), "Mine: Principal") {
		t.Errorf("a policy of an identity with a principal: %v", err)
	}
	if _, err := iam.ParseResource(identity); err == nil || !strings.Contains(err.Error(), "statement 1: Principal: "+
		"missing") {
		t.Errorf("a policy of a resource without one: %v", err)
	}
	for _, read := range []func(string) (iam.Policy, error){iam.ParseIdentity, iam.ParseResource} {
		if _, err := read(`{}`); err == nil {
			t.Error("an empty document passed")
		}
	}
}
