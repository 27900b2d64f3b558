package iam

import (
	"fmt"
	"slices"
	"strings"
)

// Message is the denial in the words of AWS ("Troubleshoot access denied error
// messages" in the IAM User Guide), or "" if the request is allowed.
func (d Decision) Message(r Request) string {
	if d.Allowed {
		return ""
	}
	text := fmt.Sprintf("User: %s is not authorized to perform: %s on resource: %s", r.Principal.name(), r.Action,
		r.Resource)
	if d.Explicit {
		return text + " with an explicit deny in " + article(d.Layer.policy())
	}
	return text + " because no " + d.Layer.policy() + " allows the " + r.Action + " action"
}

// MessageWithPolicy is Message as AWS words it, within an organization, since early
// 2026: with the ARN of the policy that denies, where one is known.
func (d Decision) MessageWithPolicy(r Request) string {
	text := d.Message(r)
	if d.Explicit && strings.HasPrefix(d.Policy, "arn:") && d.Layer.policy() != LayerResource.policy() &&
		d.Layer != LayerVPCEndpoint {
		return text + ": " + d.Policy
	}
	return text
}

// policy is the layer as denials call it.
func (l Layer) policy() string {
	switch l {
	case LayerBoundary:
		return string(l)
	case LayerKey:
		return LayerResource.policy()
	}
	return string(l) + " policy"
}

func article(noun string) string {
	if strings.HasPrefix(noun, "identity") {
		return "an " + noun
	}
	return "a " + noun
}

// Explain tells the decision in a few sentences: what decided, and where nothing
// allowed, the statement that came nearest and the element at which it failed. It is a
// reading of the policies that were given, says so, and lists the kinds that were not.
func (d Decision) Explain() string {
	text := "Our reading of the policies that could be seen: " + d.Reason() + "."
	if len(d.unseen) > 0 {
		text += " Not seen, and able to change the answer: " + strings.Join(d.unseen, ", ") + "."
	}
	return text
}

// Reason is what decided, without the reservations of Explain.
func (d Decision) Reason() string {
	request := d.request.Action + " on " + d.request.Resource
	switch {
	case len(d.Depends) > 0 && d.best.Allowed:
		return "whether " + request + " is allowed depends on " + strings.Join(d.Depends, ", ") + d.open()
	case len(d.Depends) > 0:
		return d.best.Reason() + d.open()
	case d.Allowed && d.Layer == "":
		return d.request.Action + " needs no permission"
	case d.Allowed && d.Statement == "":
		return "the root user of the account may do " + request
	case d.Allowed:
		return d.source() + " allows " + request
	case d.Explicit:
		return d.source() + " denies " + request + d.met()
	}
	return d.missing() + " " + request + d.nearest()
}

// Sentence says what a statement, or a grant, has to do with the denial of a request.
func (s StatementResult) Sentence() string {
	source := fmt.Sprintf("%s of %s %q", quoted(s.Statement), s.Layer.title(), s.Policy)
	switch {
	case s.Matched && s.Effect == deny:
		return source + " denies it" + s.met()
	case s.Matched:
		return source + " allows it"
	case len(s.Depends) > 0 && s.Effect == deny:
		return source + " denies it or not, depending on " + strings.Join(s.Depends, ", ")
	case len(s.Depends) > 0:
		return source + " allows it or not, depending on " + strings.Join(s.Depends, ", ")
	}
	return source + " does not apply: " + s.failure()
}

// Nearest is the statement of a layer that would have allowed, had it not failed later
// than the others. It answers false where the layer has none that allows anything.
func (d Decision) Nearest(layer Layer) (StatementResult, bool) {
	best, found := StatementResult{}, false
	for _, s := range d.Trace {
		if s.Layer == layer && s.Effect == allow && s.Failed != "" && (!found || s.rank() > best.rank()) {
			best, found = s, true
		}
	}
	return best, found
}

// open tells what every statement does that depends on an unknown key.
func (d Decision) open() string {
	text := ""
	for _, s := range d.Trace {
		if len(s.Depends) == 0 || s.Statement == "" { // or a policy that was not read
			continue
		}
		verb := "allows"
		if s.Effect == deny {
			verb = "denies"
		}
		text += fmt.Sprintf("; whether %s of %s %q %s it depends on %s", quoted(s.Statement), s.Layer.title(), s.Policy,
			verb, strings.Join(s.Depends, ", "))
	}
	return text
}

// source is the policy and statement that decided.
func (d Decision) source() string {
	return fmt.Sprintf("%s %q, %s,", d.Layer.title(), d.Policy, quoted(d.Statement))
}

// quoted tells a Sid from the number of a statement or grant.
func quoted(statement string) string {
	if strings.HasPrefix(statement, "statement ") || strings.HasPrefix(statement, "grant ") {
		return statement
	}
	return fmt.Sprintf("statement %q", statement)
}

// met says why the conditions of the denying statement hold.
func (d Decision) met() string {
	return d.Trace[slices.IndexFunc(d.Trace, StatementResult.denies)].met()
}

func (s StatementResult) met() string {
	var all []string
	for _, t := range s.MatchedConditions {
		all = append(all, fmt.Sprintf("condition %s %s=%s is met because %s", t.Operator, t.Key, t.Expected,
			t.carried()))
	}
	if len(all) == 0 {
		return ""
	}
	return ": " + strings.Join(all, "; ")
}

func (t ConditionResult) carried() string {
	if t.Actual != absent {
		return "the request carried " + t.Actual
	}
	text := "the request carried no " + t.Key
	if t.forwarded() && strings.HasPrefix(t.Operator, "StringNot") {
		return text + " (a direct call; through " + t.Expected + " it would not apply)"
	}
	if t.forwarded() {
		return text + " (a direct call, not one that a service made on behalf of the caller)"
	}
	return text
}

// forwarded says whether a key is there only when a service calls for the caller.
func (t ConditionResult) forwarded() bool {
	return strings.EqualFold(t.Key, "kms:ViaService") || strings.EqualFold(t.Key, "aws:CalledVia")
}

// missing is the subject of a sentence about a layer that does not allow.
func (d Decision) missing() string {
	switch {
	case d.levels > 1:
		return fmt.Sprintf("no %s at level %d of %d, the root being the first, allows", d.Layer.title(), d.level,
			d.levels)
	case d.Layer == LayerKey:
		return "no statement of the key policy and no grant allows the caller, or its account,"
	case d.Layer == LayerIdentity && d.delegated():
		return "the " + resourceTitle(d.request) + " leaves it to the account, and no identity-based policy " +
			"there allows"
	case d.Policy != "" && d.Layer != LayerIdentity:
		return fmt.Sprintf("%s %q does not allow", d.Layer.title(), d.Policy)
	}
	return "no " + d.Layer.title() + " allows"
}

func resourceTitle(r Request) string {
	if r.kms() {
		return LayerKey.title()
	}
	return LayerResource.title()
}

// delegated says whether the resource's policy names the account.
func (d Decision) delegated() bool {
	return slices.ContainsFunc(d.Trace, func(s StatementResult) bool {
		return s.Effect == allow && s.reach == byAccount && (s.Layer == LayerKey || s.Layer == LayerResource)
	})
}

// nearest is Nearest of the deciding layer, in words.
func (d Decision) nearest() string {
	best, ok := d.Nearest(d.Layer)
	if !ok {
		return ""
	}
	return fmt.Sprintf("; nearest is %s of %q, %s", quoted(best.Statement), best.Policy, best.failure())
}

// failure is the first element that did not match, and why.
func (s StatementResult) failure() string {
	operatorAndKey, ok := strings.CutPrefix(s.Failed, "Condition ")
	if !ok {
		return fmt.Sprintf("whose %s is %s, where the request has %s", s.Failed, s.Expected, s.Actual)
	}
	operator, key, _ := strings.Cut(operatorAndKey, " ")
	return fmt.Sprintf("whose condition %s %s=%s is not met because %s", operator, key, s.Expected,
		ConditionResult{operator, key, s.Expected, s.Actual}.carried())
}

// rank counts the elements that matched before the one that failed.
func (s StatementResult) rank() int {
	switch strings.TrimPrefix(s.Failed, "Not") {
	case "Principal", "Grantee":
		return 0
	case "Action", "Operations":
		return 1
	case "Resource":
		return 2
	}
	return 3
}

// title is the layer as explanations call it.
func (l Layer) title() string {
	if l == LayerKey {
		return "key policy"
	}
	return l.policy()
}

// unseen lists the kinds of policies that were not given.
func unseen(r Request, l Layers) []string {
	var all []string
	add := func(absent bool, kind string) {
		if absent {
			all = append(all, kind)
		}
	}
	account := r.Principal.Service == ""
	add(account && len(l.SCPs) == 0, "service control policies")
	add(len(l.RCPs) == 0, "resource control policies")
	add(l.Endpoint == nil, "VPC endpoint policy")
	add(!r.kms() && l.Resource == nil, "resource-based policy")
	add(r.kms() && l.Key == nil, "key policy")
	add(account && l.Boundary == nil, "permissions boundary")
	add(r.Principal.role() != "" && len(l.Session) == 0, "session policies")
	return all
}
