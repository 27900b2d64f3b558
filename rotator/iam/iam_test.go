package iam_test

import (
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator/iam"
)

const (
	secret   = "arn:aws:secretsmanager:us-east-1:111122223333:secret:app/db-a1b2c3"
	key      = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
	function = "arn:aws:lambda:us-east-1:111122223333:function:rotate"
	role     = "arn:aws:iam::111122223333:role/rotator"
	session  = "arn:aws:sts::111122223333:assumed-role/rotator/fn"
	user     = "arn:aws:iam::111122223333:user/ops/alice"
	root     = "arn:aws:iam::111122223333:root"
	foreign  = "arn:aws:sts::444455556666:assumed-role/rotator/fn"
	via      = "secretsmanager.us-east-1.amazonaws.com"

	read = "secretsmanager:GetSecretValue"
)

// doc is a document of the version that has variables.
func doc(statements ...string) string {
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
}

// can and cannot are statements on all resources, with further elements.
func can(action string, more ...string) string    { return on("Allow", action, "*", more) }
func cannot(action string, more ...string) string { return on("Deny", action, "*", more) }

func on(effect, action, resource string, more []string) string {
	return `{"Effect":"` + effect + `","Action":"` + action + `","Resource":"` + resource + `"` + tail(more) + `}`
}

// canOn is a statement that allows on one resource.
func canOn(action, resource string, more ...string) string {
	return on("Allow", action, resource, more)
}

func tail(more []string) string {
	if len(more) == 0 {
		return ""
	}
	return "," + strings.Join(more, ",")
}

func sid(s string) string { return `"Sid":"` + s + `"` }

// to is a Principal element.
func to(arn string) string { return `"Principal":{"AWS":"` + arn + `"}` }

// when is a Condition element of one condition.
func when(operator, key, value string) string {
	return `"Condition":{"` + operator + `":{"` + key + `":` + value + `}}`
}

// row is one decision. Policies are documents; an empty one is none.
type row struct {
	Why       string
	Principal iam.Principal // zero: the role's session
	Action    string        // empty: read
	Resource  string        // empty: secret
	Account   string        // of the resource
	Context   iam.Context

	Identity, Boundary, Session, Endpoint, Resources, Key string
	SCPs, RCPs                                            []string // one for each level
	Grants                                                []iam.Grant

	Want string // "allowed", "no LAYER" or "deny LAYER STATEMENT"
}

func (r row) request() iam.Request {
	q := iam.Request{Principal: r.Principal, Action: r.Action, Resource: r.Resource, ResourceAccount: r.Account,
		Context: r.Context}
	if q.Principal.ARN == "" && q.Principal.Service == "" {
		q.Principal.ARN = session
	}
	if q.Action == "" {
		q.Action = read
	}
	if q.Resource == "" {
		q.Resource = secret
	}
	return q
}

func (r row) layers(t testing.TB) iam.Layers {
	one := func(name, text string) *iam.NamedPolicy {
		if text == "" {
			return nil
		}
		return &iam.NamedPolicy{Name: name, Policy: parse(t, text)}
	}
	list := func(name, text string) []iam.NamedPolicy {
		if text == "" {
			return nil
		}
		return []iam.NamedPolicy{*one(name, text)}
	}
	l := iam.Layers{
		Identity: list("identity", r.Identity),
		Boundary: one("boundary", r.Boundary),
		Session:  list("session", r.Session),
		Endpoint: one("endpoint", r.Endpoint),
		Resource: one("resource", r.Resources),
	}
	if k := one("key", r.Key); k != nil {
		l.Key = &iam.KeyPolicy{Policy: *k, Grants: r.Grants}
	}
	for _, level := range r.SCPs {
		l.SCPs = append(l.SCPs, list("scp", level))
	}
	for _, level := range r.RCPs {
		l.RCPs = append(l.RCPs, list("rcp", level))
	}
	return l
}

func parse(t testing.TB, text string) iam.Policy {
	t.Helper()
	p, err := iam.Parse(text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return p
}

// outcome is a decision in the words of row.Want.
func outcome(d iam.Decision) string {
	switch {
	case d.Allowed:
		return "allowed"
	case d.Explicit:
		return "deny " + string(d.Layer) + " " + d.Statement
	}
	return "no " + string(d.Layer)
}

func TestEvaluate(t *testing.T) {
	t.Parallel()
	rows := decisions()
	for _, r := range rows {
		t.Run(r.Why, func(t *testing.T) {
			t.Parallel()
			d := iam.Evaluate(r.request(), r.layers(t))
			if got := outcome(d); got != r.Want {
				t.Errorf("got %q, want %q\n%s\n%+v", got, r.Want, d.Explain(), d.Trace)
			}
			if d.Allowed != (d.Message(r.request()) == "") {
				t.Errorf("allowed %v, but the message is %q", d.Allowed, d.Message(r.request()))
			}
		})
	}
}

func TestConditions(t *testing.T) {
	t.Parallel()
	rows := conditions()
	for _, c := range rows {
		t.Run(c.Why, func(t *testing.T) {
			t.Parallel()
			r := c.row()
			if got := outcome(iam.Evaluate(r.request(), r.layers(t))); got != r.Want {
				t.Errorf("%s with %v: got %q, want %q", c.Condition, c.Context, got, r.Want)
			}
		})
	}
}

func TestEnoughDecisions(t *testing.T) {
	t.Parallel()
	why := map[string]bool{}
	for _, r := range decisions() {
		why[r.Why] = true
	}
	for _, c := range conditions() {
		why[c.Why] = true
	}
	if n := len(why); n < 120 || n != len(decisions())+len(conditions()) || why[""] {
		t.Errorf("%d different reasons for %d decisions", n, len(decisions())+len(conditions()))
	}
}
