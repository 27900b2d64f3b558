package iam

import (
	"strings"
	"testing"
)

// FuzzParse: no text brings the parser, or a decision by what it took, to a panic; and a
// document that was taken does not allow what it does not speak of by mistake of form.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{"Version":"2012-10-17","Statement":[{"Sid":"A","Effect":"Allow","Action":["kms:*"],"Resource":"*"}]}`,
		`{"Statement":{"Effect":"Deny","NotPrincipal":{"AWS":["111122223333","*"]},"NotAction":"s3:Get*","NotResource":"arn:aws:s3:::${aws:username, 'x'}*"}}`,
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"s3.amazonaws.com"},"Action":"*","Condition":{"ForAnyValue:StringLikeIfExists":{"aws:CalledVia":["a*","${*}"]},"Null":{"aws:x":true},"NumericLessThan":{"aws:y":1e3}}}]}`,
		`{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"::/0"},"DateLessThan":{"aws:CurrentTime":"2026-01-01"},"ArnLike":{"aws:SourceArn":"arn:*:*"}}}]}`,
		`{"Statement":[[]]}`, `{"a":`, `{"Statement":{}}`, `{"Id":null}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Parse(text)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "policy: ") || len(p.statements) != 0 {
				t.Errorf("%d statements, %v", len(p.statements), err)
			}
			return
		}
		if len(p.statements) == 0 {
			t.Error("a policy without statements passed")
		}
		named := NamedPolicy{Name: "p", Policy: p}
		for _, l := range []Layers{
			{Identity: []NamedPolicy{named}},
			{Identity: []NamedPolicy{named}, Resource: &named, Boundary: &named, Session: []NamedPolicy{named}, Endpoint: &named, SCPs: [][]NamedPolicy{{named}}, RCPs: [][]NamedPolicy{{named}}},
			{Identity: []NamedPolicy{named}, Key: &KeyPolicy{Policy: named}},
		} {
			for _, action := range []string{"secretsmanager:GetSecretValue", "kms:Decrypt", "kms:"} {
				r := Request{
					Principal: Principal{ARN: "arn:aws:sts::111122223333:assumed-role/a/b"}, Action: action,
					Resource: "arn:aws:secretsmanager:us-east-1:111122223333:secret:x",
					Context:  Context{"aws:CalledVia": {"a", "b"}, "aws:SourceIp": {"::1"}, "aws:SourceArn": {"arn:aws"}},
				}
				d := Evaluate(r, l)
				if d.Explain() == "" || d.Allowed != (d.Message(r) == "") {
					t.Errorf("%+v", d)
				}
				if d.Allowed && !strings.Contains(text, "Allow") {
					t.Error("allowed without the word")
				}
			}
		}
	})
}

// FuzzMatch holds the matcher to the plainest one that is right, on texts short enough for
// that one.
func FuzzMatch(f *testing.F) {
	for _, seed := range [][2]string{{"a*b?c", "axxbyc"}, {"**", ""}, {"arn:a*a:*:?", "arn:aa:b:c:d"},
		{"*a*a*a*b", "aaaaaaaa"}, {"é?", "éß"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, p, s string) {
		if len(p) > 12 || len(s) > 12 {
			return
		}
		whole := glob(p)
		for name, q := range map[string]pattern{"whole": whole, "resource": whole.resource(), "arn": whole.arn()} {
			if got, want := q.match([]rune(s)), plain(q, []rune(s)); got != want {
				t.Errorf("%s: %q on %q: got %v, want %v", name, p, s, got, want)
			}
		}
	})
}

// plain matches by the definition of the wildcards.
func plain(p pattern, s []rune) bool {
	switch {
	case len(p) == 0:
		return len(s) == 0
	case p[0] == many || p[0] == few:
		more := len(s) > 0 && (p[0] == many || s[0] != ':') && plain(p, s[1:])
		return more || plain(p[1:], s)
	case len(s) == 0:
		return false
	}
	same := p[0] == s[0] || p[0] == one || p[0] == inner && s[0] != ':'
	return same && plain(p[1:], s[1:])
}

// TestMatchDoesNotBlowUp would run for longer than anybody waits with a matcher that
// tries every reading in turn.
func TestMatchDoesNotBlowUp(t *testing.T) {
	t.Parallel()
	p, s := strings.Repeat("*a", 1000)+"b", strings.Repeat("a", 2000)
	for _, q := range []pattern{glob(p), glob(p).resource(), glob(p).arn(), glob("arn:" + p).arn()} {
		if q.match([]rune(s)) {
			t.Error("matched without a b")
		}
	}
	if !glob(p).match([]rune(s + "b")) {
		t.Error("no match with one")
	}
}

// BenchmarkEvaluate is a request as a rotation makes it: three managed policies, a
// boundary, two levels of SCPs and a policy of the secret.
func BenchmarkEvaluate(b *testing.B) {
	policy := func(text string) NamedPolicy {
		p, err := Parse(text)
		if err != nil {
			b.Fatal(err)
		}
		return NamedPolicy{Name: "p", Policy: p}
	}
	statement := `{"Effect":"Allow","Action":["secretsmanager:DescribeSecret","secretsmanager:GetSecretValue"],"Resource":"arn:aws:secretsmanager:*:111122223333:secret:app/*","Condition":{"StringEquals":{"aws:ResourceTag/team":"${aws:PrincipalTag/team}"}}}`
	identity := policy(`{"Version":"2012-10-17","Statement":[` + statement + `,` + statement + `]}`)
	all := policy(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`)
	resource := policy(`{"Version":"2012-10-17","Statement":{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*","Condition":{"StringNotEquals":{"aws:SourceVpce":"vpce-1"}}}}`)
	r := Request{
		Principal: Principal{ARN: "arn:aws:sts::111122223333:assumed-role/rotator/fn", Tags: map[string]string{"team": "app"}},
		Action:    "secretsmanager:GetSecretValue", Resource: "arn:aws:secretsmanager:us-east-1:111122223333:secret:app/db-a1b2c3",
		Context: Context{"aws:SourceVpce": {"vpce-1"}, "aws:ResourceTag/team": {"app"}},
	}
	l := Layers{Identity: []NamedPolicy{identity, identity, identity}, Boundary: &all, SCPs: [][]NamedPolicy{{all},
		{all}}, Resource: &resource}
	if d := Evaluate(r, l); !d.Allowed {
		b.Fatal(d.Explain())
	}
	b.ReportAllocs()
	for b.Loop() {
		Evaluate(r, l)
	}
}
