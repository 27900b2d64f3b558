package oracle

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/quarterturn-dev/quarterturn/rotator/iam"
)

// tuple is a random request with the policies in force, as ours and as the oracle's.
type tuple struct {
	question Question
	request  iam.Request
	layers   iam.Layers
}

const (
	ourAccount   = "111122223333"
	otherAccount = "444455556666"
	ourRole      = "arn:aws:iam::111122223333:role/service-role/rotate"
)

var (
	principals = []iam.Principal{
		{ARN: "arn:aws:sts::111122223333:assumed-role/rotate/function", Role: "arn:aws:iam::111122223333:role/rotate"},
		{ARN: "arn:aws:sts::444455556666:assumed-role/rotate/function", Role: "arn:aws:iam::444455556666:role/rotate"},
		{ARN: "arn:aws:iam::111122223333:user/ann"},
	}
	theSecret   = "arn:aws:secretsmanager:us-east-1:111122223333:secret:prod/app-AbCd12"
	theKey      = "arn:aws:kms:us-east-1:111122223333:key/10000000-0000-4000-8000-000000000001"
	theFunction = "arn:aws:lambda:us-east-1:111122223333:function:rotate"
	theTarget   = "arn:aws:iam::111122223333:role/target"
	theDatabase = "arn:aws:rds:us-east-1:111122223333:db:app"
)

// calls are the actions that rotations, and those who ask about them, use.
var calls = []struct {
	action, resource string
	keys             []string // condition keys of its own
	policied         bool     // its resources have policies
	controlled       bool     // RCPs are of its service
}{
	{"secretsmanager:GetSecretValue", theSecret, []string{"secretsmanager:VersionStage", "aws:ResourceTag/team"}, true, true},
	{"secretsmanager:PutSecretValue", theSecret, []string{"aws:ResourceTag/team"}, true, true},
	{"secretsmanager:UpdateSecretVersionStage", theSecret, []string{"secretsmanager:VersionStage", "aws:ResourceTag/team"}, true, true},
	{"secretsmanager:DescribeSecret", theSecret, []string{"aws:ResourceTag/team"}, true, true},
	{"secretsmanager:RotateSecret", theSecret, []string{"aws:ResourceTag/team"}, true, true},
	{"kms:Decrypt", theKey, []string{"kms:ViaService", "kms:EncryptionContext:SecretARN"}, true, true},
	{"kms:GenerateDataKey", theKey, []string{"kms:ViaService", "kms:EncryptionContext:SecretARN"}, true, true},
	{"lambda:InvokeFunction", theFunction, nil, true, false},
	{"sts:AssumeRole", theTarget, nil, true, true},
	{"rds:DescribeDBInstances", theDatabase, nil, false, false},
}

// values that a key has in requests, and that policies ask for.
var values = map[string][]string{
	"aws:SourceVpce":                  {"vpce-1", "vpce-2"},
	"aws:SourceIp":                    {"10.1.2.3", "203.0.113.7"},
	"aws:SecureTransport":             {"true", "false"},
	"aws:CurrentTime":                 {"2025-06-01T00:00:00Z", "2027-06-01T00:00:00Z"},
	"aws:PrincipalOrgID":              {"o-1", "o-2"},
	"aws:ResourceTag/team":            {"a", "b"},
	"aws:PrincipalTag/team":           {"a", "b"},
	"secretsmanager:VersionStage":     {"AWSCURRENT", "AWSPENDING"},
	"kms:ViaService":                  {"secretsmanager.us-east-1.amazonaws.com", "rds.us-east-1.amazonaws.com"},
	"kms:EncryptionContext:SecretARN": {theSecret, "arn:aws:secretsmanager:us-east-1:111122223333:secret:other-AbCd12"},
	"aws:PrincipalArn":                {"arn:aws:iam::111122223333:role/rotate", "arn:aws:iam::111122223333:role/admin"},
	"aws:PrincipalAccount":            {ourAccount, otherAccount},
}

var always = []string{"aws:SourceVpce", "aws:SourceIp", "aws:SecureTransport", "aws:CurrentTime", "aws:PrincipalOrgID",
	"aws:PrincipalTag/team", "aws:PrincipalArn", "aws:PrincipalAccount"}

type generator struct{ *rand.Rand }

func (g generator) chance(percent int) bool { return g.IntN(100) < percent }

func pick[T any](g generator, list []T) T { return list[g.IntN(len(list))] }

// tuple makes one.
func (g generator) tuple() tuple {
	c := pick(g, calls)
	p := pick(g, principals)
	account := strings.Split(p.ARN, ":")[4]
	context := iam.Context{"aws:PrincipalAccount": {account}, "aws:ResourceAccount": {ourAccount}}
	context["aws:PrincipalArn"] = []string{p.ARN}
	if p.Role != "" {
		context["aws:PrincipalArn"] = []string{p.Role}
	}
	if strings.HasPrefix(c.action, "kms:") {
		context["kms:CallerAccount"] = []string{account}
	}
	keys := append(slices.Clone(always), c.keys...)
	for _, key := range keys {
		if context[key] == nil && g.chance(70) {
			context[key] = []string{pick(g, values[key])}
		}
	}
	t := tuple{request: iam.Request{Principal: p, Action: c.action, Resource: c.resource, ResourceAccount: ourAccount,
		Context: context}}
	t.question = Question{Principal: p.ARN, Action: c.action, Resource: c.resource, Account: ourAccount,
		Context: context}
	document := func(named bool, lean int) string { return g.document(c.action, c.resource, keys, named, lean) }
	one := func(name, text string) *iam.NamedPolicy {
		read := iam.ParseIdentity
		if name == "resource" || name == "endpoint" || name == "rcp" || name == "key" {
			read = iam.ParseResource
		}
		policy, err := read(text)
		if err != nil {
			panic(fmt.Sprintf("%v: %s", err, text))
		}
		return &iam.NamedPolicy{Name: name, Policy: policy}
	}
	for range 1 + g.IntN(2) {
		text := document(false, 70)
		t.layers.Identity = append(t.layers.Identity, *one("identity", text))
		t.question.Identity = append(t.question.Identity, json.RawMessage(text))
	}
	if g.chance(25) {
		text := document(false, 80)
		t.layers.Boundary, t.question.Boundary = one("boundary", text), json.RawMessage(text)
	}
	if p.Role != "" && g.chance(25) {
		text := document(false, 80)
		t.layers.Session, t.question.Session = []iam.NamedPolicy{*one("session", text)}, json.RawMessage(text)
	}
	if g.chance(25) {
		text := g.documentOf(1+g.IntN(3), func() string { // principals other than everybody are for conditions
			effect := "Allow"
			if g.chance(15) {
				effect = "Deny"
			}
			return g.statement(effect, c.action, c.resource, keys, `"Principal":"*"`)
		})
		t.layers.Endpoint, t.question.Endpoint = one("endpoint", text), json.RawMessage(text)
	}
	if g.chance(30) {
		for range 1 + g.IntN(2) {
			text := document(false, 85)
			t.layers.SCPs = append(t.layers.SCPs, []iam.NamedPolicy{*one("scp", text)})
			t.question.SCPs = append(t.question.SCPs, []json.RawMessage{json.RawMessage(text)})
		}
	}
	if c.controlled && g.chance(20) { // RCPs of one's own deny only; AWS's allows, and cannot be taken away
		text := g.documentOf(1, func() string {
			s := notAction.ReplaceAllString(g.statement("Deny", c.action, c.resource, keys, `"Principal":"*"`),
				`"Action"`)
			return strings.Replace(s, `"Action":"*"`, `"Action":"`+c.action+`"`, 1) // RCPs name their services
		})
		t.layers.RCPs = [][]iam.NamedPolicy{{*one("rcp", everythingToAll), *one("rcp", text)}}
		t.question.RCPs = [][]json.RawMessage{{json.RawMessage(text)}}
	}
	kms, assume := strings.HasPrefix(c.action, "kms:"), strings.HasPrefix(c.action, "sts:")
	if c.policied && (kms || assume || g.chance(50)) {
		text := document(true, 75)
		if assume { // trust policies have no Resource
			text = noResource.ReplaceAllString(text, "")
		}
		t.question.ResourcePolicy = json.RawMessage(text)
		if kms {
			t.layers.Key = &iam.KeyPolicy{Policy: *one("key", text)}
		} else {
			t.layers.Resource = one("resource", text)
		}
	}
	return t
}

func (g generator) document(action, resource string, keys []string, named bool, lean int) string {
	return g.documentOf(1+g.IntN(3), func() string {
		effect, principal := "Allow", ""
		if !g.chance(lean) {
			effect = "Deny"
		}
		if named {
			principal = g.principal(effect)
		}
		return g.statement(effect, action, resource, keys, principal)
	})
}

func (g generator) documentOf(n int, statement func() string) string {
	all := make([]string, n)
	for i := range all {
		all[i] = statement()
	}
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(all, ",") + `]}`
}

func (g generator) principal(effect string) string {
	names := []string{"*", "arn:aws:iam::111122223333:root", otherAccount, "arn:aws:iam::111122223333:role/rotate",
		"arn:aws:sts::111122223333:assumed-role/rotate/function",
		"arn:aws:iam::444455556666:role/rotate", "arn:aws:iam::111122223333:user/ann",
		"arn:aws:iam::111122223333:role/admin"}
	if effect == "Deny" && g.chance(15) {
		return `"NotPrincipal":{"AWS":` + quote(pick(g, [][]string{
			{"arn:aws:iam::111122223333:root", "arn:aws:iam::111122223333:role/rotate", "arn:aws:sts::111122223333:assumed-role/rotate/function"},
			{"arn:aws:iam::111122223333:root", "arn:aws:iam::111122223333:user/ann"},
			{"arn:aws:iam::111122223333:root", "arn:aws:iam::111122223333:role/rotate"},
			{"arn:aws:iam::111122223333:root"},
		})) + `}`
	}
	if g.chance(10) {
		return `"Principal":{"Service":"secretsmanager.amazonaws.com"}`
	}
	if g.chance(20) {
		return `"Principal":"*"`
	}
	return `"Principal":{"AWS":` + quote([]string{pick(g, names), pick(g, names)}) + `}`
}

func quote(list []string) string {
	text, _ := json.Marshal(list)
	return string(text)
}

func (g generator) statement(effect, action, resource string, keys []string, principal string) string {
	service, name, _ := strings.Cut(action, ":")
	actions := []string{action, service + ":*", "*", service + ":" + name[:3] + "*", strings.ToUpper(service[:1]) +
		service[1:] + ":" + strings.ToLower(name)}
	resources := []string{resource, "*", resource[:len(resource)-4] + "*", resource[:len(resource)-2] + "??",
		"arn:aws:*:*:" + ourAccount + ":*"}
	if g.chance(20) {
		actions = []string{"s3:GetObject", service + ":List*"}
	}
	if g.chance(15) {
		resources = []string{resource + "x", "arn:aws:s3:::bucket/*", resource[:len(resource)-3] + "?"}
	}
	element, target := "Action", "Resource"
	if g.chance(5) {
		element = "NotAction"
	}
	if g.chance(5) {
		target = "NotResource"
	}
	text := fmt.Sprintf(`{"Effect":%q,%q:%q`, effect, element, pick(g, actions))
	text += fmt.Sprintf(`,%q:[%q]`, target, pick(g, resources))
	if principal != "" {
		text += "," + principal
	}
	if g.chance(45) {
		text += `,"Condition":` + g.condition(keys)
	}
	return text + "}"
}

// condition is one operator on one key, or two.
func (g generator) condition(keys []string) string {
	all := map[string]map[string]any{}
	for range 1 + g.IntN(2) {
		key := pick(g, keys)
		operators := []string{"StringEquals", "StringNotEquals", "StringLike", "StringNotLike",
			"StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase", "Null"}
		value := any(pick(g, values[key]))
		switch key {
		case "aws:SourceIp":
			operators, value = []string{"IpAddress", "NotIpAddress", "Null"}, "10.0.0.0/8"
		case "aws:SecureTransport":
			operators = []string{"Bool", "Null"}
		case "aws:CurrentTime":
			operators, value = []string{"DateGreaterThan", "DateLessThan", "DateGreaterThanEquals", "Null"},
				"2026-01-01T00:00:00Z"
		case "kms:EncryptionContext:SecretARN":
			operators = append(operators, "StringLike")
		case "aws:PrincipalArn":
			operators = []string{"ArnEquals", "ArnNotEquals", "ArnLike", "ArnNotLike", "StringEquals", "StringLike",
				"Null"}
		}
		operator := pick(g, operators)
		switch {
		case operator == "Null":
			value = pick(g, []string{"true", "false"})
		case g.chance(25):
			operator += "IfExists"
		}
		if text := value.(string); (strings.Contains(operator, "Like")) && g.chance(50) {
			value = text[:len(text)-1] + pick(g, []string{"*", "?"})
		}
		if (key == "aws:ResourceTag/team") && g.chance(20) && strings.HasPrefix(operator, "String") {
			value = "${aws:PrincipalTag/team}"
		}
		if all[operator] == nil {
			all[operator] = map[string]any{}
		}
		all[operator][key] = value
	}
	text, _ := json.Marshal(all)
	return string(text)
}
