package iam_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator/iam"
)

func TestMessage(t *testing.T) {
	t.Parallel()
	const head = "User: " + session + " is not authorized to perform: " + read + " on resource: " + secret
	all, canRead, nothing := doc(can("*")), doc(can(read)), doc(can("s3:*"))
	no := doc(cannot(read))
	noForAll := doc(can("*", to("*")), cannot(read, to("*")))
	tests := []struct {
		row  row
		want string
	}{
		{row{}, " because no identity-based policy allows the " + read + " action"},
		{row{Identity: canRead, Boundary: nothing}, " because no permissions boundary allows the " + read + " action"},
		{row{Identity: canRead, Session: nothing}, " because no session policy allows the " + read + " action"},
		{row{Identity: canRead, SCPs: []string{nothing}}, " because no service control policy allows the " + read + " action"},
		{row{Identity: canRead, RCPs: []string{""}}, " because no resource control policy allows the " + read + " action"},
		{row{Identity: canRead, Endpoint: doc(can("s3:*", to("*")))}, " because no VPC endpoint policy allows the " + read + " action"},
		{row{Identity: canRead, Account: "444455556666"}, " because no resource-based policy allows the " + read + " action"},
		{row{Identity: no}, " with an explicit deny in an identity-based policy"},
		{row{Identity: canRead, Boundary: no}, " with an explicit deny in a permissions boundary"},
		{row{Identity: canRead, Session: no}, " with an explicit deny in a session policy"},
		{row{Identity: canRead, SCPs: []string{all, no}}, " with an explicit deny in a service control policy"},
		{row{Identity: canRead, RCPs: []string{noForAll}}, " with an explicit deny in a resource control policy"},
		{row{Identity: canRead, Endpoint: noForAll}, " with an explicit deny in a VPC endpoint policy"},
		{row{Identity: canRead, Resources: noForAll}, " with an explicit deny in a resource-based policy"},
		{row{Identity: canRead}, ""},
	}
	for _, test := range tests {
		want := test.want
		if want != "" {
			want = head + want
		}
		r := test.row.request()
		if got := iam.Evaluate(r, test.row.layers(t)).Message(r); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	// A key policy is a resource-based policy in the words of AWS.
	r := row{Action: "kms:Decrypt", Resource: key, Key: doc(can("kms:*", to(user)))}
	want := "User: " + session + " is not authorized to perform: kms:Decrypt on resource: " + key +
		" because no resource-based policy allows the kms:Decrypt action"
	if got := iam.Evaluate(r.request(), r.layers(t)).Message(r.request()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestMessageWithPolicy(t *testing.T) {
	t.Parallel()
	const arn = "arn:aws:iam::111122223333:policy/guard"
	no := parse(t, doc(cannot("*")))
	noForAll := parse(t, doc(cannot("*", to("*"))))
	r := row{}.request()
	for _, test := range []struct {
		why    string
		layers iam.Layers
		shown  bool
	}{
		{"a managed policy", iam.Layers{Identity: []iam.NamedPolicy{{Name: arn, Policy: no}}}, true},
		{"a boundary", iam.Layers{Boundary: &iam.NamedPolicy{Name: arn, Policy: no}}, true},
		{"an inline policy has no ARN", iam.Layers{Identity: []iam.NamedPolicy{{Name: "guard", Policy: no}}}, false},
		{"a resource's policy is not named", iam.Layers{Resource: &iam.NamedPolicy{Name: arn, Policy: noForAll}}, false},
		{"an endpoint's policy is not named", iam.Layers{Endpoint: &iam.NamedPolicy{Name: arn, Policy: noForAll}}, false},
		{"no policy allows", iam.Layers{}, false},
	} {
		d := iam.Evaluate(r, test.layers)
		if got := d.MessageWithPolicy(r); strings.HasSuffix(got, ": "+arn) != test.shown ||
			!strings.HasPrefix(got, d.Message(r)) {
			t.Errorf("%s: %s", test.why, got)
		}
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	const label = "Our reading of the policies that could be seen: "
	onlyVia := cannot("kms:*", sid("OnlyVia"), to("*"), when("StringNotEquals", "kms:ViaService", `"`+via+`"`))
	delegates := can("kms:*", sid("Delegate"), to(root))
	tests := []struct {
		why  string
		row  row
		want string
	}{
		{"a direct call that only the service may make", row{Action: "kms:Decrypt", Resource: key, Identity: doc(can("*")), Key: doc(delegates, onlyVia)},
			`key policy "key", statement "OnlyVia", denies kms:Decrypt on ` + key +
				`: condition StringNotEquals kms:ViaService=` + via +
				` is met because the request carried no kms:ViaService (a direct call; through ` + via +
				` it would not apply).`},
		{"a deny without a condition", row{Identity: doc(can("*"), cannot(read))},
			`identity-based policy "identity", statement 2, denies ` + read + ` on ` + secret + `.`},
		{"a condition that is met by a value", row{Identity: doc(cannot(read, sid("D"), when("StringEquals", "aws:SourceVpce", `"vpce-1"`))), Context: iam.Context{"aws:SourceVpce": {"vpce-1"}}},
			`condition StringEquals aws:SourceVpce=vpce-1 is met because the request carried vpce-1.`},
		{"nothing at all", row{}, `no identity-based policy allows ` + read + ` on ` + secret + `.`},
		{"the nearest fails at its resource", row{Identity: doc(can("s3:*"), canOn(read, secret+"x", sid("Read")), can("kms:*"))},
			`; nearest is statement "Read" of "identity", whose Resource is ` + secret + `x, where the request has ` +
				secret + `.`},
		{"the nearest fails at a condition", row{Identity: doc(can(read, sid("Stage"), when("StringEquals", "secretsmanager:VersionStage", `["AWSCURRENT","AWSPREVIOUS"]`)), can("s3:*")), Context: iam.Context{"secretsmanager:VersionStage": {"AWSPENDING"}}},
			`; nearest is statement "Stage" of "identity", whose condition StringEquals secretsmanager:VersionStage=AWSCURRENT, AWSPREVIOUS is not met because the request carried AWSPENDING.`},
		{"the nearest lacks the service", row{Action: "kms:Decrypt", Resource: key, Key: doc(delegates), Identity: doc(can("kms:Decrypt", when("StringEquals", "kms:ViaService", `"`+via+`"`)))},
			`the key policy leaves it to the account, and no identity-based policy there allows kms:Decrypt on ` + key +
				`; nearest is statement 1 of "identity", whose condition StringEquals kms:ViaService=` + via +
				` is not met because the request carried no kms:ViaService (a direct call, not one that a service made on behalf of the caller).`},
		{"a key policy for others", row{Action: "kms:Decrypt", Resource: key, Key: doc(can("kms:*", to(user)))},
			`no statement of the key policy and no grant allows the caller, or its account, kms:Decrypt on ` + key +
				`; nearest is statement 1 of "key", whose Principal is {"AWS":"` + user + `"}, where the request has ` +
				session + `.`},
		{"a boundary", row{Identity: doc(can("*")), Boundary: doc(can("s3:*"))},
			`permissions boundary "boundary" does not allow ` + read + ` on ` + secret +
				`; nearest is statement 1 of "boundary", whose Action is s3:*, where the request has ` + read + `.`},
		{"a level of SCPs", row{Identity: doc(can("*")), SCPs: []string{doc(can("*")), doc(can("s3:*"))}},
			`no service control policy at level 2 of 2, the root being the first, allows ` + read},
		{"allowed", row{Identity: doc(can(read, sid("Read")))}, `identity-based policy "identity", statement "Read", allows ` + read + ` on ` + secret + `.`},
		{"allowed by the key policy", row{Action: "kms:Decrypt", Resource: key, Key: doc(can("kms:*", sid("K"), to(role)))}, `key policy "key", statement "K", allows kms:Decrypt on ` + key + `.`},
		{"allowed by a grant", row{Action: "kms:Decrypt", Resource: key, Key: doc(can("kms:*", to(user))), Grants: []iam.Grant{{Grantee: role, Operations: []string{"Decrypt"}}}}, `key policy "key", grant 1, allows`},
		{"the root user", row{Principal: asRoot}, "the root user of the account may do " + read + " on " + secret + "."},
		{"no permission needed", row{Action: "sts:GetCallerIdentity", Resource: "*"}, "sts:GetCallerIdentity needs no permission."},
		{"what was not seen", row{}, " Not seen, and able to change the answer: service control policies, resource control policies, VPC endpoint policy, resource-based policy, permissions boundary, session policies."},
	}
	for _, test := range tests {
		t.Run(test.why, func(t *testing.T) {
			t.Parallel()
			got := iam.Evaluate(test.row.request(), test.row.layers(t)).Explain()
			if !strings.HasPrefix(got, label) || !strings.Contains(got, test.want) {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestExplainListsOnlyWhatIsUnseen(t *testing.T) {
	t.Parallel()
	all, forAll := doc(can("*")), doc(can("*", to("*")))
	r := row{Identity: all, Boundary: all, Session: all, Endpoint: forAll, Resources: forAll, SCPs: []string{all},
		RCPs: []string{forAll}}
	if got := iam.Evaluate(r.request(), r.layers(t)).Explain(); strings.Contains(got, "Not seen") {
		t.Error(got)
	}
}

func TestTrace(t *testing.T) {
	t.Parallel()
	r := row{Identity: doc(can("s3:*"), can(read, sid("Read"), when("StringEquals", "aws:SourceVpce", `"vpce-1"`))),
		Resources: doc(cannot(read, sid("Others"), to(user))), Context: iam.Context{"aws:SourceVpce": {"vpce-1"}}}
	d := iam.Evaluate(r.request(), r.layers(t))
	want := []string{
		`resource-based resource Others Deny false Principal {"AWS":"` + user + `"} ` + session,
		`identity-based identity statement 1 Allow false Action s3:* ` + read,
		`identity-based identity Read Allow true   `,
	}
	if len(d.Trace) != len(want) {
		t.Fatalf("%d steps: %+v", len(d.Trace), d.Trace)
	}
	for i, s := range d.Trace {
		matched := "false"
		if s.Matched {
			matched = "true"
		}
		if got := strings.Join([]string{string(s.Layer), s.Policy, s.Statement, s.Effect, matched, s.Failed, s.Expected, s.Actual}, " "); got != want[i] {
			t.Errorf("got  %s\nwant %s", got, want[i])
		}
	}
	if met := d.Trace[2].MatchedConditions; len(met) != 1 ||
		met[0] != (iam.ConditionResult{Operator: "StringEquals", Key: "aws:SourceVpce", Expected: "vpce-1",
			Actual: "vpce-1"}) {
		t.Errorf("met %+v", met)
	}
}

func TestTraceOfGrants(t *testing.T) {
	t.Parallel()
	r := row{Action: "kms:Decrypt", Resource: key, Key: doc(can("kms:*", to(user))), Grants: []iam.Grant{
		{Grantee: user, Operations: []string{"Decrypt"}},
		{Grantee: role, Operations: []string{"Encrypt"}},
		{Grantee: role, Operations: []string{"Decrypt"}, EncryptionContextSubset: map[string]string{"SecretARN": secret}},
		{Grantee: role, Operations: []string{"Decrypt"}, EncryptionContextEquals: map[string]string{"SecretARN": secret}},
	}}
	d := iam.Evaluate(r.request(), r.layers(t))
	for i, want := range []string{"Principal", "Grantee", "Operations", "EncryptionContextSubset",
		"EncryptionContextEquals"} {
		if s := d.Trace[i]; s.Matched || s.Failed != want || s.Layer != iam.LayerKey || s.Policy != "key" {
			t.Errorf("step %d, want %s: %+v", i+1, want, s)
		}
	}
}

// TestWhatIsUnknownDecidesNothing: a key that the request may or may not have carried
// leaves the answer open wherever the answer rests on it, and nowhere else.
func TestWhatIsUnknownDecidesNothing(t *testing.T) {
	t.Parallel()
	unknown := func(keys ...string) func(string) bool {
		return func(key string) bool {
			return slices.ContainsFunc(keys, func(k string) bool { return strings.EqualFold(k, key) })
		}
	}
	network := unknown("aws:SourceVpce", "aws:SourceIp")
	all, put := doc(can("*")), "secretsmanager:PutSecretValue"
	perimeter := cannot("*", sid("Perimeter"), to("*"), when("StringNotEquals", "aws:SourceVpce", `"vpce-1"`))
	for _, test := range []struct {
		why     string
		row     row
		unknown func(string) bool
		want    string // the outcome
		depends string
		says    string
	}{
		{"a deny on an unknown key", row{Identity: all, Resources: doc(perimeter)}, network, "deny resource-based " +
			"Perimeter", "aws:SourceVpce",
			`whether ` + read + ` on ` + secret +
				` is allowed depends on aws:SourceVpce; whether statement "Perimeter" of resource-based policy "resource" denies it depends on aws:SourceVpce.`},
		{"a deny on an unknown key, and nothing that allows", row{Action: put, Identity: doc(can(read)),
			Resources: doc(perimeter)}, network, "deny resource-based Perimeter", "aws:SourceVpce",
			`no identity-based policy allows ` + put + ` on ` + secret + `; nearest`},
		{"the same key known", row{Identity: all, Resources: doc(perimeter), Context: iam.Context{"AWS:sourcevpce": {"vpce-1"}}}, network, "allowed", "", "allows"},
		{"the same key known to be absent", row{Identity: all, Resources: doc(perimeter)}, unknown("aws:SourceIp"), "deny resource-based Perimeter", "", "carried no aws:SourceVpce"},
		{"an unknown key in a statement for another action", row{Identity: all, Resources: doc(cannot(put, to("*"), when("StringNotEquals", "aws:SourceVpce", `"vpce-1"`)))}, network, "allowed", "", "allows"},
		{"an unknown key beside a condition that fails", row{Identity: all, Resources: doc(cannot("*", to("*"), `"Condition":{"StringEquals":{"aws:SourceVpce":"vpce-1"},"Bool":{"aws:SecureTransport":"false"}}`)), Context: iam.Context{"aws:SecureTransport": {"true"}}}, network, "allowed", "", "allows"},
		{"a deny that is certain beside one that is not", row{Identity: all, Resources: doc(perimeter, cannot(read, sid("Never"), to("*")))}, network, "deny resource-based Never", "", `"Never"`},
		{"an allow on an unknown key", row{Identity: doc(can(read, sid("Here"), when("IpAddress", "aws:SourceIp", `"10.0.0.0/8"`)))}, network, "no identity-based", "aws:SourceIp", `whether statement "Here" of identity-based policy "identity" allows it depends on aws:SourceIp`},
		{"an allow on an unknown key beside one that is certain", row{Identity: doc(can(read, when("IpAddress", "aws:SourceIp", `"10.0.0.0/8"`)), can("*", sid("All")))}, network, "allowed", "", `"All"`},
		{"Null on an unknown key", row{Identity: all, Resources: doc(cannot("*", to("*"), when("Null", "aws:SourceVpce", `"true"`)))}, network, "deny resource-based statement 1", "aws:SourceVpce", "depends on aws:SourceVpce"},
		{"IfExists on an unknown key", row{Identity: all, Resources: doc(cannot("*", to("*"), when("StringNotEqualsIfExists", "aws:SourceVpce", `"vpce-1"`)))}, network, "deny resource-based statement 1", "aws:SourceVpce", "depends on"},
		{"a variable that is unknown, in a resource", row{Identity: doc(canOn(read, "arn:aws:secretsmanager:*:*:secret:${aws:PrincipalTag/team}/*"))}, unknown("aws:PrincipalTag/team"), "no identity-based", "aws:PrincipalTag/team", "depends on aws:PrincipalTag/team"},
		{"a variable that is unknown, in a condition", row{Identity: doc(can(read, when("StringEquals", "aws:ResourceTag/team", `"${aws:PrincipalTag/team}"`))), Context: iam.Context{"aws:ResourceTag/team": {"a"}}}, unknown("aws:PrincipalTag/team"), "no identity-based", "aws:PrincipalTag/team", "depends on"},
		{"a variable that is unknown, beside a resource that matches", row{Identity: doc(`{"Effect":"Allow","Action":"*","Resource":["arn:aws:s3:::${aws:PrincipalTag/team}","*"]}`)}, unknown("aws:PrincipalTag/team"), "allowed", "", "allows"},
		{"NotResource by a variable that is unknown", row{Identity: doc(can("*"), `{"Sid":"D","Effect":"Deny","Action":"*","NotResource":"arn:aws:secretsmanager:*:*:secret:${aws:PrincipalTag/team}/*"}`)}, unknown("aws:PrincipalTag/team"), "deny identity-based D", "aws:PrincipalTag/team", "depends on"},
		{"two unknown keys", row{Identity: all, Resources: doc(perimeter, cannot("*", to("*"), when("NotIpAddress", "aws:SourceIp", `"10.0.0.0/8"`)))}, network, "deny resource-based Perimeter", "aws:SourceIp aws:SourceVpce", "depends on aws:SourceIp, aws:SourceVpce"},
		{"a key policy that depends, and no identity policy", row{Action: "kms:Decrypt", Resource: key, Key: doc(can("kms:*", to(role), when("StringEquals", "aws:SourceVpce", `"vpce-1"`)))}, network, "no key", "aws:SourceVpce", "depends on aws:SourceVpce"},
	} {
		t.Run(test.why, func(t *testing.T) {
			t.Parallel()
			r := test.row.request()
			r.Unknown = test.unknown
			d := iam.Evaluate(r, test.row.layers(t))
			if outcome(d) != test.want || strings.Join(d.Depends, " ") != test.depends || !strings.Contains(d.Explain(),
				test.says) {
				t.Errorf("got  %s, depending on %q: %s\nwant %s, depending on %q: %s", outcome(d), d.Depends,
					d.Explain(), test.want, test.depends, test.says)
			}
		})
	}
}
