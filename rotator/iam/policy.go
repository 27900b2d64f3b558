package iam

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// Policy is a policy document, read and found sound. The zero value has no
// statements and allows nothing.
type Policy struct {
	text       string
	id         string
	statements []statement
}

// statement is one statement. Exactly one of a pair such as action and notAction is
// there; the flag says which.
type statement struct {
	name      string // Sid, or "statement N"
	effect    string
	principal *principals // nil in policies of identities
	actions   list
	resources list // empty in trust policies
	condition []condition
}

// list is what Action, Resource and their Not forms hold.
type list struct {
	not    bool
	values []template
}

func (l list) present() bool { return len(l.values) > 0 }

const (
	allow = "Allow"
	deny  = "Deny"
)

// Parse reads a policy document as strictly as IAM does, or more so: an element that it
// does not know is an error, since a document that says more than was understood must
// not decide anything. Errors name the statement by its Sid or number.
//
// Whether a document fits its place is for ParseIdentity and ParseResource to say.
func Parse(text string) (Policy, error) {
	p, err := parse(text)
	if err != nil {
		return Policy{}, fmt.Errorf("policy: %w", err)
	}
	p.text = text
	return p, nil
}

// String is the document that the policy was parsed from.
func (p Policy) String() string { return p.text }

// ParseIdentity is Parse for policies without Principal: of users and roles,
// boundaries, session policies and SCPs.
func ParseIdentity(text string) (Policy, error) {
	return parseFor(text, func(s statement) error {
		if s.principal != nil {
			return at("Principal", errors.New("not in a policy of an identity"))
		}
		return nil
	})
}

// ParseResource is Parse for policies that must say whom they concern: of secrets, keys,
// functions, VPC endpoints, trust policies and RCPs.
func ParseResource(text string) (Policy, error) {
	return parseFor(text, func(s statement) error {
		if s.principal == nil {
			return at("Principal", errMissing)
		}
		return nil
	})
}

func parseFor(text string, check func(statement) error) (Policy, error) {
	p, err := Parse(text)
	if err != nil {
		return p, err
	}
	for _, s := range p.statements {
		if err := check(s); err != nil {
			return Policy{}, fmt.Errorf("policy: %s: %w", s.name, err)
		}
	}
	return p, nil
}

// at says which element an error is about.
func at(element string, err error) error { return fmt.Errorf("%s: %w", element, err) }

var (
	errMissing = errors.New("missing")
	errEmpty   = errors.New("empty")
	errUnknown = errors.New("unknown element")
)

func parse(text string) (Policy, error) {
	elements, err := members([]byte(strings.TrimPrefix(text, "\ufeff"))) // some editors write that first
	if err != nil {
		return Policy{}, err
	}
	var p Policy
	version := "2008-10-17" // what IAM takes where none is given
	var statements json.RawMessage
	for _, e := range elements {
		switch e.name {
		case "Version":
			err = e.text(&version)
		case "Id":
			err = e.text(&p.id)
		case "Statement":
			statements = e.value
		default:
			err = at(e.name, errUnknown)
		}
		if err != nil {
			return p, err
		}
	}
	if version != "2012-10-17" && version != "2008-10-17" {
		return p, at("Version", fmt.Errorf("%q is neither 2012-10-17 nor 2008-10-17", version))
	}
	p.statements, err = parseStatements(statements, version == "2012-10-17")
	return p, err
}

func parseStatements(raw json.RawMessage, variables bool) ([]statement, error) {
	items, err := items(raw)
	if err != nil || len(items) == 0 {
		return nil, at("Statement", errors.New("missing or empty"))
	}
	var all []statement
	for i, item := range items {
		s, err := parseStatement(item, variables)
		named := s.name != ""
		if !named {
			s.name = fmt.Sprintf("statement %d", i+1)
		}
		if err != nil {
			return nil, at(s.name, err)
		}
		if slices.ContainsFunc(all, func(o statement) bool { return named && o.name == s.name }) {
			return nil, fmt.Errorf("statement %d: Sid: %q is there twice", i+1, s.name)
		}
		all = append(all, s)
	}
	return all, nil
}

func parseStatement(raw json.RawMessage, variables bool) (statement, error) {
	var s statement
	elements, err := members(raw)
	if err != nil {
		return s, err
	}
	// The Sid comes first, so that every other error can name it.
	for _, e := range elements {
		if e.name == "Sid" {
			if err := e.text(&s.name); err != nil {
				return s, err
			}
		}
	}
	for _, e := range elements {
		if err := s.set(e, variables); err != nil {
			return s, at(e.name, err)
		}
	}
	return s, s.complete()
}

func (s *statement) set(e member, variables bool) error {
	var err error
	switch e.name {
	case "Sid":
	case "Effect":
		if err := e.text(&s.effect); err != nil {
			return err
		}
		if s.effect != allow && s.effect != deny {
			return fmt.Errorf("%q is neither Allow nor Deny", s.effect)
		}
	case "Principal", "NotPrincipal":
		if s.principal != nil {
			return errors.New("there in both its forms")
		}
		s.principal, err = parsePrincipals(e.value)
		if err == nil {
			s.principal.not = e.name == "NotPrincipal"
		}
	case "Action", "NotAction":
		err = s.actions.set(e, readAction)
	case "Resource", "NotResource":
		err = s.resources.set(e, func(v string) (template, error) { return readResource(v, variables) })
	case "Condition":
		s.condition, err = parseConditions(e.value, variables)
	default:
		err = errUnknown
	}
	return err
}

// complete says what a statement lacks. Trust policies have no Resource: a role is
// its own.
func (s *statement) complete() error {
	switch {
	case s.effect == "":
		return at("Effect", errMissing)
	case !s.actions.present():
		return at("Action", errMissing)
	case !s.resources.present() && s.principal == nil:
		return at("Resource", errMissing)
	}
	return nil
}

func (l *list) set(e member, read func(string) (template, error)) error {
	if l.present() {
		return errors.New("there in both its forms")
	}
	values, err := stringList(e.value)
	if err != nil {
		return err
	}
	l.not = strings.HasPrefix(e.name, "Not")
	for _, v := range values {
		t, err := read(v)
		if err != nil {
			return err
		}
		l.values = append(l.values, t)
	}
	return nil
}

var actionForm = regexp.MustCompile(`^(\*|[A-Za-z0-9-]+:[A-Za-z0-9*?]+|\*:\*)$`)

// readAction keeps the pattern in lower case, as actions ignore case.
func readAction(s string) (template, error) {
	if !actionForm.MatchString(s) {
		return template{}, fmt.Errorf("%q is neither * nor of the form service:action", s)
	}
	return template{text: s, pieces: []piece{{fixed: glob(strings.ToLower(s))}}}, nil
}

func readResource(s string, variables bool) (template, error) {
	if s != "*" && !strings.HasPrefix(s, "arn:") {
		return template{}, fmt.Errorf("%q is neither * nor an ARN", s)
	}
	return newTemplate(s, variables)
}

// member is one name and value of a JSON object.
type member struct {
	name  string
	value json.RawMessage
}

func (m member) text(to *string) error {
	var s *string
	if json.Unmarshal(m.value, &s) != nil || s == nil {
		return at(m.name, errors.New("not a string"))
	}
	*to = *s
	return nil
}

// members reads an object in its order. A name that is there twice is an error:
// encoding/json would quietly keep the last, and with it half a policy.
func members(raw []byte) ([]member, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("not a JSON object")
	}
	var all []member
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("not JSON: %w", err)
		}
		m := member{name: t.(string)} // a token before a colon is a string, or an error
		if err := d.Decode(&m.value); err != nil {
			return nil, fmt.Errorf("not JSON: %w", err)
		}
		if slices.ContainsFunc(all, func(o member) bool { return o.name == m.name }) {
			return nil, at(m.name, errors.New("there twice"))
		}
		all = append(all, m)
	}
	if _, err := d.Token(); err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("not JSON: more after the object")
	}
	return all, nil
}

// items reads a list, or one value that stands for a list of one.
func items(raw json.RawMessage) ([]json.RawMessage, error) {
	if raw = bytes.TrimSpace(raw); len(raw) == 0 {
		return nil, nil
	}
	if raw[0] != '[' {
		return []json.RawMessage{raw}, nil
	}
	var list []json.RawMessage
	return list, json.Unmarshal(raw, &list)
}

// stringList reads a string or a list of them; none at all is an error.
func stringList(raw json.RawMessage) ([]string, error) {
	return texts(raw, func(item json.RawMessage) (string, error) {
		var s string
		err := member{"value", item}.text(&s)
		return s, err
	})
}

func texts(raw json.RawMessage, read func(json.RawMessage) (string, error)) ([]string, error) {
	list, err := items(raw)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, errEmpty
	}
	all := make([]string, len(list))
	for i, item := range list {
		if all[i], err = read(item); err != nil {
			return nil, err
		}
	}
	return all, nil
}
