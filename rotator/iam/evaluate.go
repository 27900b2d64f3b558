package iam

import (
	"fmt"
	"slices"
	"strings"
)

// Evaluate decides a request.
//
// A statement that denies, in whatever layer, settles it. Then each level of RCPs and
// SCPs must allow, and so must the policy of a VPC endpoint. After that, in one
// account, a policy of the resource that names the session or the user suffices; one that
// names the role or every principal leaves boundary and session policy to allow; and
// one that names the account leaves it to the identity-based policies, which decide
// together with boundary and session policy wherever the resource's policy is silent.
// Across accounts both sides must allow.
//
// A key and a role to assume trust no principal by themselves, not even their own account:
// their policy must allow, or (for a key) a grant.
func Evaluate(r Request, l Layers) Decision {
	if strings.EqualFold(r.Action, "sts:GetCallerIdentity") {
		// It answers every caller, even those to whom a policy denies it.
		return Decision{Allowed: true, request: r}
	}
	d, open := evaluate(r, l, false)
	if len(open) == 0 {
		return d
	}
	// What is unknown may be to the caller's advantage, in every statement at once.
	best, _ := evaluate(r, l, true)
	switch {
	case d.Allowed: // even so
	case best.Allowed, best.Layer != d.Layer, best.Explicit != d.Explicit, best.Statement != d.Statement:
		d.Depends, d.best = open, &best
	}
	return d
}

// evaluate decides with every unknown key to the caller's advantage, or to the
// contrary, and gives the unknown keys that were asked for.
func evaluate(r Request, l Layers, advantage bool) (Decision, []string) {
	e := &evaluation{
		request: r, facts: r.facts(), bounded: l.Boundary != nil, advantage: advantage,
		action: []rune(strings.ToLower(r.Action)), target: []rune(r.Resource),
	}
	sides := e.mustAllow(l)
	resource := e.resource(l)
	identity := e.identity(l)
	boundary := e.optional(LayerBoundary, l.Boundary)
	session := e.side(LayerSession, l.Session)
	session.silent = len(l.Session) == 0
	sides = append(sides, e.required(resource, identity, boundary, session)...)

	var open []string
	for _, s := range e.trace {
		open = append(open, s.Depends...)
	}
	slices.Sort(open)
	return e.decide(sides, resource, identity, unseen(r, l)), slices.Compact(open)
}

func (e *evaluation) decide(sides []layerResult, resource, identity layerResult, unseen []string) Decision {
	d := Decision{Trace: e.trace, request: e.request, unseen: unseen}
	if i := slices.IndexFunc(e.trace, e.denies); i >= 0 {
		d.Explicit = true
		d.decidedBy(e.trace[i])
		return d
	}
	for _, s := range sides {
		if !s.allows() {
			d.Layer, d.Policy, d.level, d.levels = s.layer, s.only, s.level, s.levels
			return d
		}
	}
	d.Allowed = true
	d.decidedBy(e.granting(resource, identity))
	return d
}

// denies says whether a step is a deny that applies, a definite one before others.
func (e *evaluation) denies(s StatementResult) bool {
	return s.Effect == deny && (s.Matched || len(s.Depends) > 0 && !e.advantage && !slices.ContainsFunc(e.trace,
		StatementResult.denies))
}

func (d *Decision) decidedBy(s StatementResult) {
	d.Layer, d.Policy, d.Statement = s.Layer, s.Policy, s.Statement
}

// evaluation is one request on its way through the layers.
type evaluation struct {
	request Request
	facts   facts
	action  []rune // in lower case: actions ignore case
	target  []rune // the resource
	bounded bool   // the principal has a permissions boundary
	// advantage: a statement that depends on an unknown key is taken as it suits the caller.
	advantage bool
	trace     []StatementResult
}

// layerResult is what the policies of one layer, or one level of it, say together.
type layerResult struct {
	layer  Layer
	silent bool      // there is no such policy, which forbids nothing
	reach  nameMatch // the closest that a statement which allows comes to the principal
	step   int       // of that statement in the trace
	only   string
	level  int
	levels int
}

func (s layerResult) allows() bool { return s.silent || s.reach > unnamed }

func (e *evaluation) side(layer Layer, policies []NamedPolicy) layerResult {
	s := layerResult{layer: layer}
	if len(policies) == 1 {
		s.only = policies[0].Name
	}
	for _, named := range policies {
		if named.Unread {
			e.record(&s, StatementResult{Layer: layer, Policy: named.Name, Effect: allow, Depends: []string{named.Name},
				reach: byItself})
		}
		for _, st := range named.Policy.statements {
			step := e.statement(st, layer)
			step.Policy = named.Name
			e.record(&s, step)
		}
	}
	return s
}

func (e *evaluation) record(s *layerResult, step StatementResult) {
	if (step.Matched || len(step.Depends) > 0 && e.advantage) && step.Effect == allow && step.reach > s.reach {
		s.reach, s.step = step.reach, len(e.trace)
	}
	e.trace = append(e.trace, step)
}

func (e *evaluation) optional(layer Layer, policy *NamedPolicy) layerResult {
	if policy == nil {
		return layerResult{layer: layer, silent: true}
	}
	return e.side(layer, []NamedPolicy{*policy})
}

// mustAllow are the layers that grant nothing and must allow all the same. SCPs bind the
// principals of accounts, and so no service.
func (e *evaluation) mustAllow(l Layers) []layerResult {
	sides := e.levels(LayerRCP, l.RCPs)
	if e.request.Principal.Service == "" {
		sides = append(sides, e.levels(LayerSCP, l.SCPs)...)
	}
	return append(sides, e.optional(LayerVPCEndpoint, l.Endpoint))
}

func (e *evaluation) levels(layer Layer, levels [][]NamedPolicy) []layerResult {
	var sides []layerResult
	for i, level := range levels {
		s := e.side(layer, level)
		s.level, s.levels = i+1, len(levels)
		sides = append(sides, s)
	}
	return sides
}

// resource is the side of the resource. No policy is no grant.
func (e *evaluation) resource(l Layers) layerResult {
	switch {
	case !e.request.kms() && l.Resource == nil:
		return layerResult{layer: LayerResource}
	case !e.request.kms():
		return e.side(LayerResource, []NamedPolicy{*l.Resource})
	case l.Key == nil:
		return layerResult{layer: LayerKey}
	}
	s := e.side(LayerKey, []NamedPolicy{l.Key.Policy})
	if l.Key.GrantsUnread {
		e.record(&s, StatementResult{Layer: LayerKey, Policy: l.Key.Policy.Name, Effect: allow,
			Depends: []string{"the grants of the key"}, reach: byItself})
	}
	for i, g := range l.Key.Grants {
		step := e.grant(g)
		step.Policy, step.Statement = l.Key.Policy.Name, fmt.Sprintf("grant %d", i+1)
		e.record(&s, step)
	}
	return s
}

// identity is the side of the principal's own account. A root user has no policies
// there and may do everything.
func (e *evaluation) identity(l Layers) layerResult {
	if p := e.request.Principal; p.root() {
		return layerResult{layer: LayerIdentity, silent: true}
	}
	return e.side(LayerIdentity, l.Identity)
}

// required are the sides that must allow beside the gates, in the order in which a
// missing one is reported.
func (e *evaluation) required(resource, identity, boundary, session layerResult) []layerResult {
	switch {
	case e.request.Principal.Service != "":
		return []layerResult{resource}
	case e.request.resourceAccount() != e.request.Principal.account():
		return []layerResult{resource, identity, boundary, session}
	case resource.reach == byItself:
		return []layerResult{resource}
	case resource.reach == byRole:
		return []layerResult{resource, boundary, session}
	case e.needsOwnGrant():
		return []layerResult{resource, identity, boundary, session}
	}
	return []layerResult{identity, boundary, session}
}

// needsOwnGrant says whether the resource trusts no principal by itself.
func (e *evaluation) needsOwnGrant() bool {
	return e.request.kms() || hasPrefixFold(e.request.Action, "sts:AssumeRole") || strings.EqualFold(e.request.Action,
		"sts:TagSession")
}

// granting is the step that gave the permission: that of the resource, if it did more
// than to delegate.
func (e *evaluation) granting(resource, identity layerResult) StatementResult {
	switch {
	case resource.reach > byAccount:
		return e.trace[resource.step]
	case identity.silent:
		return StatementResult{Layer: LayerIdentity}
	}
	return e.trace[identity.step]
}

// statement compares element by element and stops at the first that does not match.
func (e *evaluation) statement(s statement, layer Layer) StatementResult {
	step := StatementResult{Layer: layer, Statement: s.name, Effect: s.effect, reach: byItself}
	switch {
	case !e.principal(s, &step):
	case !e.actions(s.actions):
		step.fail(s.actions.name("Action"), s.actions.String(), e.request.Action)
	case !e.resources(s.resources, &step):
		step.fail(s.resources.name("Resource"), s.resources.String(), e.request.Resource)
	default:
		e.conditions(s.condition, &step)
	}
	return step
}

func (s StatementResult) denies() bool { return s.Matched && s.Effect == deny }

func (s *StatementResult) fail(element, expected, actual string) {
	s.Failed, s.Expected, s.Actual, s.MatchedConditions, s.Depends, s.reach = element, expected, actual, nil, nil,
		unnamed
}

// principal holds a statement to the form of its layer: policies of identities name
// no principal, those of resources do, and a statement of the other form matches nothing.
func (e *evaluation) principal(s statement, step *StatementResult) bool {
	named := slices.Contains([]Layer{LayerRCP, LayerVPCEndpoint, LayerResource, LayerKey}, step.Layer)
	actual := e.request.Principal.name()
	switch {
	case !named && s.principal == nil:
		return true
	case !named:
		step.fail("Principal", "none", s.principal.text)
		return false
	case s.principal == nil:
		step.fail("Principal", "none", actual)
		return false
	}
	if step.reach = s.principal.reach(e.request.Principal, s.effect, e.bounded); step.reach > unnamed {
		return true
	}
	element := "Principal"
	if s.principal.not {
		element = "NotPrincipal"
	}
	step.fail(element, s.principal.text, actual)
	return false
}

func (p Principal) name() string {
	switch {
	case p.Service != "":
		return p.Service
	case p.ARN != "":
		return p.ARN
	}
	return "anonymous"
}

func (e *evaluation) actions(l list) bool {
	return l.not != slices.ContainsFunc(l.values, func(t template) bool {
		return t.pieces[0].fixed.match(e.action)
	})
}

func (e *evaluation) resources(l list, step *StatementResult) bool {
	matches := !l.present() || slices.ContainsFunc(l.values, func(t template) bool {
		p, ok := t.expand(e.facts)
		return ok && p.resource().match(e.target)
	})
	if open := e.openIn(l.values); !matches && len(open) > 0 {
		step.Depends = append(step.Depends, open...)
		return true
	}
	return !l.present() || l.not != matches
}

// openIn are the unknown keys that texts name by their variables.
func (e *evaluation) openIn(texts []template) (keys []string) {
	for _, t := range texts {
		for _, p := range t.pieces {
			if p.key != "" && e.open(p.key) {
				keys = append(keys, p.written)
			}
		}
	}
	return keys
}

// unresolved says that a condition compares with a variable that the request gives no
// value. What a negation makes of that is not documented: the stricter reading is taken.
func (e *evaluation) unresolved(c condition) bool {
	return c.negated && slices.ContainsFunc(c.values, func(t template) bool { _, ok := t.expand(e.facts); return !ok })
}

// open says whether it is not known if the request carries a key, and with what value.
func (e *evaluation) open(key string) bool {
	key = strings.ToLower(key)
	_, known := e.facts[key]
	return !known && e.request.Unknown != nil && e.request.Unknown(key)
}

// conditions must all hold. One that certainly does not settles it, whatever others
// depend on.
func (e *evaluation) conditions(all []condition, step *StatementResult) {
	for _, c := range all {
		open := e.openIn(c.values)
		if e.open(c.key) {
			open = append(open, c.key)
		}
		expected, actual := c.expected(e.facts), absent
		if values := e.facts[strings.ToLower(c.key)]; len(values) > 0 {
			actual = strings.Join(values, ", ")
		}
		switch {
		case len(open) > 0:
			step.Depends = append(step.Depends, open...)
		case !c.holds(e.facts), step.Effect == allow && e.unresolved(c):
			step.fail("Condition "+c.operator+" "+c.key, expected, actual)
			return
		default:
			step.MatchedConditions = append(step.MatchedConditions, ConditionResult{c.operator, c.key, expected,
				actual})
		}
	}
	step.Matched = len(step.Depends) == 0
}

// absent is what Actual says of a condition key that the request does not carry.
const absent = "absent"

func (c condition) expected(f facts) string {
	all := make([]string, len(c.values))
	for i, t := range c.values {
		all[i] = t.text
		if p, ok := t.expand(f); ok {
			all[i] = p.literal()
		}
	}
	return strings.Join(all, ", ")
}

func (l list) name(element string) string {
	if l.not {
		return "Not" + element
	}
	return element
}

func (l list) String() string {
	all := make([]string, len(l.values))
	for i, t := range l.values {
		all[i] = t.text
	}
	return strings.Join(all, ", ")
}

// grant reads a grant as a statement that allows its operations to its grantee. A
// grant to a role is taken for a key policy that names the role.
func (e *evaluation) grant(g Grant) StatementResult {
	step := StatementResult{Layer: LayerKey, Effect: allow, reach: nameReach(g.Grantee, e.request.Principal)}
	operation := e.request.Action[len("kms:"):]
	carried := encryptionContext(e.request.Context)
	switch {
	case step.reach == unnamed:
		step.fail("Grantee", g.Grantee, e.request.Principal.name())
	case !slices.ContainsFunc(g.Operations, func(o string) bool { return strings.EqualFold(o, operation) }):
		step.fail("Operations", strings.Join(g.Operations, ", "), operation)
	case g.EncryptionContextEquals != nil && cryptographic(operation) && !(subset(g.EncryptionContextEquals, carried) &&
		len(carried) == len(g.EncryptionContextEquals)):
		step.fail("EncryptionContextEquals", fmt.Sprint(g.EncryptionContextEquals), fmt.Sprint(carried))
	case cryptographic(operation) && !subset(g.EncryptionContextSubset, carried):
		step.fail("EncryptionContextSubset", fmt.Sprint(g.EncryptionContextSubset), fmt.Sprint(carried))
	default:
		step.Matched = true
	}
	return step
}

// cryptographic says whether an operation takes an encryption context; constraints of
// grants are not applied to the others.
func cryptographic(operation string) bool {
	return slices.ContainsFunc([]string{"Decrypt", "Encrypt", "GenerateDataKey", "ReEncrypt"},
		func(prefix string) bool {
			return hasPrefixFold(operation, prefix)
		})
}

// encryptionContext is the context as sent: grants, unlike conditions, mind the case of
// its keys.
func encryptionContext(c Context) map[string]string {
	const prefix = "kms:EncryptionContext:"
	all := map[string]string{}
	for key, values := range c {
		if hasPrefixFold(key, prefix) && len(values) == 1 {
			all[key[len(prefix):]] = values[0]
		}
	}
	return all
}

func subset(part, whole map[string]string) bool {
	for key, value := range part {
		if have, ok := whole[key]; !ok || have != value {
			return false
		}
	}
	return true
}
