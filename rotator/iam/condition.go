package iam

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// condition is one operator on one key. All conditions of a statement must hold.
type condition struct {
	operator string // as written
	key      string // as written
	values   []template

	compare  comparison
	negated  bool // Not...: holds where no value matches
	ifExists bool
	set      string // "", ForAnyValue or ForAllValues
}

// What may stand around the name of an operator.
const (
	forAnyValue  = "ForAnyValue"
	forAllValues = "ForAllValues"
	ifExists     = "IfExists"
)

// comparison says whether one value of the request matches one of the policy.
type comparison func(policy pattern, request string) bool

// operator is a comparison, the operator being its negation where not is set. valid
// refuses values that the comparison could never match; variables belong to String and
// Arn operators alone.
type operator struct {
	compare   comparison
	not       bool
	variables bool
	valid     func(string) error
}

// spellings are the operators as IAM writes them. It reads them in any letter case.
var spellings = []string{
	"StringEquals", "StringNotEquals", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase", "StringLike",
	"StringNotLike",
	"ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike", "Bool", "Null", "BinaryEquals", "IpAddress", "NotIpAddress",
	"NumericEquals", "NumericNotEquals", "NumericLessThan", "NumericLessThanEquals", "NumericGreaterThan",
	"NumericGreaterThanEquals",
	"DateEquals", "DateNotEquals", "DateLessThan", "DateLessThanEquals", "DateGreaterThan", "DateGreaterThanEquals",
}

// spelled gives a name of an operator as IAM writes it.
func spelled(name string) string {
	if i := slices.IndexFunc(spellings, func(s string) bool { return strings.EqualFold(s, name) }); i >= 0 {
		return spellings[i]
	}
	return name
}

// lookup finds an operator by its bare name. Null is handled by its caller.
func lookup(name string) (operator, bool) {
	switch name {
	case "BinaryEquals":
		return operator{compare: equal}, true
	case "StringEquals", "StringNotEquals":
		return operator{compare: equal, not: name == "StringNotEquals", variables: true}, true
	case "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase":
		return operator{compare: equalFold, not: name == "StringNotEqualsIgnoreCase", variables: true}, true
	case "StringLike", "StringNotLike":
		return operator{compare: like, not: name == "StringNotLike", variables: true}, true
	case "ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike": // Equals and Like are the same
		return operator{compare: arnLike, not: strings.HasPrefix(name, "ArnNot"), variables: true}, true
	case "Bool", "Null":
		return operator{compare: equalFold, valid: validBool}, true
	case "IpAddress", "NotIpAddress":
		return operator{compare: inNetwork, not: name == "NotIpAddress", valid: validNetwork}, true
	}
	if rest, ok := strings.CutPrefix(name, "Numeric"); ok {
		if order, not, ok := ordering(rest); ok {
			return operator{compare: byOrder(order, number), not: not, valid: validNumber}, true
		}
	}
	if rest, ok := strings.CutPrefix(name, "Date"); ok {
		if order, not, ok := ordering(rest); ok {
			return operator{compare: byOrder(order, date), not: not, valid: validDate}, true
		}
	}
	return operator{}, false
}

// ordering gives what the request's value must be to the policy's: the signs that
// are right, in the manner of cmp.Compare.
func ordering(name string) (signs []int, not, ok bool) {
	switch name {
	case "Equals":
		return []int{0}, false, true
	case "NotEquals":
		return []int{0}, true, true
	case "LessThan":
		return []int{-1}, false, true
	case "LessThanEquals":
		return []int{-1, 0}, false, true
	case "GreaterThan":
		return []int{1}, false, true
	case "GreaterThanEquals":
		return []int{1, 0}, false, true
	}
	return nil, false, false
}

func byOrder(signs []int, read func(string) (float64, error)) comparison {
	return func(policy pattern, request string) bool {
		want, err := read(policy.literal())
		have, err2 := read(request)
		if err != nil || err2 != nil {
			return false
		}
		sign := 0
		switch {
		case have < want:
			sign = -1
		case have > want:
			sign = 1
		}
		for _, s := range signs {
			if s == sign {
				return true
			}
		}
		return false
	}
}

func equal(p pattern, s string) bool     { return p.literal() == s }
func equalFold(p pattern, s string) bool { return strings.EqualFold(p.literal(), s) }
func like(p pattern, s string) bool      { return p.match([]rune(s)) }

// arnLike compares the six fields of ARNs one by one. What is no ARN matches nothing.
func arnLike(p pattern, s string) bool {
	return strings.HasPrefix(s, "arn:") && p.arn().match([]rune(s))
}

func inNetwork(p pattern, s string) bool {
	network, err := parseNetwork(p.literal())
	address, err2 := netip.ParseAddr(s)
	return err == nil && err2 == nil && network.Contains(address.Unmap())
}

func parseNetwork(s string) (netip.Prefix, error) {
	if strings.Contains(s, "/") {
		return netip.ParsePrefix(s)
	}
	address, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, err
	}
	return address.Prefix(address.BitLen())
}

func number(s string) (float64, error) {
	if strings.Trim(s, "+-.0123456789eE") != "" { // no hexadecimal, no Inf, no NaN
		return 0, fmt.Errorf("%q is no number", s)
	}
	return strconv.ParseFloat(s, 64)
}

// date reads the W3C profile of ISO 8601, or seconds since 1970, into seconds. A time
// without a zone is one of UTC, and four digits are a year.
func date(s string) (float64, error) {
	for _, layout := range []string{
		time.RFC3339Nano, "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05.999999999", "2006-01-02T15:04", time.DateOnly,
		"2006-01", "2006",
	} {
		if t, err := time.Parse(layout, s); err == nil {
			return float64(t.Unix()) + float64(t.Nanosecond())/1e9, nil
		}
	}
	seconds, err := number(s)
	if err != nil {
		return 0, fmt.Errorf("%q is no date", s)
	}
	return seconds, nil
}

func validBool(s string) error {
	if !strings.EqualFold(s, "true") && !strings.EqualFold(s, "false") {
		return fmt.Errorf("%q is neither true nor false", s)
	}
	return nil
}

func validNetwork(s string) error { _, err := parseNetwork(s); return err }
func validNumber(s string) error  { _, err := number(s); return err }
func validDate(s string) error    { _, err := date(s); return err }

func parseConditions(raw json.RawMessage, variables bool) ([]condition, error) {
	operators, err := members(raw)
	if err != nil {
		return nil, err
	}
	var all []condition
	for _, o := range operators {
		keys, err := members(o.value)
		if err != nil {
			return nil, at(o.name, err)
		}
		for _, k := range keys {
			c, err := newCondition(o.name, k, variables)
			if err != nil {
				return nil, at(o.name+" "+k.name, err)
			}
			all = append(all, c)
		}
	}
	return all, nil
}

func newCondition(name string, k member, variables bool) (condition, error) {
	c := condition{operator: name, key: k.name}
	bare := name
	if set, rest, ok := strings.Cut(name, ":"); ok {
		switch {
		case strings.EqualFold(set, forAnyValue):
			c.set = forAnyValue
		case strings.EqualFold(set, forAllValues):
			c.set = forAllValues
		default:
			return c, errors.New("unknown operator")
		}
		bare = rest
	}
	if cut := len(bare) - len(ifExists); cut > 0 && strings.EqualFold(bare[cut:], ifExists) {
		bare, c.ifExists = bare[:cut], true
	}
	bare = spelled(bare)
	op, ok := lookup(bare)
	if !ok {
		return c, errors.New("unknown operator")
	}
	if bare == "Null" {
		if c.ifExists || c.set != "" {
			return c, errors.New("neither IfExists nor a set operator goes with Null")
		}
		op.compare = nil // it asks for the key, not for its values
	}
	c.compare, c.negated = op.compare, op.not
	if !strings.Contains(k.name, ":") {
		return c, errors.New("a condition key has the form service:name")
	}
	values, err := texts(k.value, scalar) // none at all is a list that nothing matches
	if err != nil && !errors.Is(err, errEmpty) {
		return c, err
	}
	for _, v := range values {
		if op.valid != nil {
			if err := op.valid(v); err != nil {
				return c, err
			}
		}
		t, err := newTemplate(v, variables && op.variables)
		if err != nil {
			return c, err
		}
		c.values = append(c.values, t)
	}
	return c, nil
}

// scalar reads a string, a boolean or a number, which IAM takes as their text.
func scalar(raw json.RawMessage) (string, error) {
	s := string(raw)
	if s == "true" || s == "false" {
		return s, nil
	}
	if _, err := number(s); err == nil {
		return s, nil
	}
	err := member{"value", raw}.text(&s)
	return s, err
}

// holds decides the condition, for the keys that a request has.
func (c condition) holds(f facts) bool {
	values := f[strings.ToLower(c.key)]
	switch {
	case c.compare == nil:
		absent := len(values) == 0
		return c.any(func(t template) bool { return strings.EqualFold(t.text, "true") == absent })
	case len(values) == 0:
		return c.absent()
	case c.set == forAllValues:
		for _, v := range values {
			if c.matches(v, f) == c.negated {
				return false
			}
		}
		return true
	case c.set == "" && c.negated:
		// Without a set operator a negation is that of the whole: none may match.
		for _, v := range values {
			if c.matches(v, f) {
				return false
			}
		}
		return true
	}
	for _, v := range values {
		if c.matches(v, f) != c.negated {
			return true
		}
	}
	return false
}

// absent decides without a value: a negation holds, as nothing can match it, and so
// does "all of none". An IfExists does by its name.
func (c condition) absent() bool {
	switch {
	case c.ifExists, c.set == forAllValues:
		return true
	case c.set == forAnyValue:
		return false
	}
	return c.negated
}

// matches says whether the value is one of the policy's, negation aside.
func (c condition) matches(value string, f facts) bool {
	return c.any(func(t template) bool {
		p, ok := t.expand(f)
		return ok && c.compare(p, value)
	})
}

func (c condition) any(match func(template) bool) bool {
	for _, t := range c.values {
		if match(t) {
			return true
		}
	}
	return false
}
