package iam

import (
	"fmt"
	"slices"
	"strings"
)

// pattern is text in which values that no rune has stand for the wildcards, so that
// the "*" of a tag or of ${*} stays a plain character.
type pattern []rune

const (
	many  rune = -1 // "*": any characters, also none
	one   rune = -2 // "?": one character
	few   rune = -3 // "*" inside a field of an ARN: no colon
	inner rune = -4 // "?" inside a field of an ARN: no colon
)

func glob(s string) pattern {
	p := pattern(s)
	for i, r := range p {
		switch r {
		case '*':
			p[i] = many
		case '?':
			p[i] = one
		}
	}
	return p
}

// match follows all readings of the wildcards at once, and so takes at most
// len(p)*len(s) steps whatever the pattern.
func (p pattern) match(s []rune) bool {
	for len(p) > 0 && p[0] >= 0 { // the common case: plain text up to a wildcard
		if len(s) == 0 || s[0] != p[0] {
			return false
		}
		p, s = p[1:], s[1:]
	}
	if len(p) == 1 && p[0] == many {
		return true
	}
	at := make([]bool, len(p)+1) // at[i]: what was read so far matches p[:i]
	at[0] = true
	p.skip(at)
	for _, r := range s {
		for i := len(p); i >= 0; i-- {
			stays := i < len(p) && at[i] && (p[i] == many || p[i] == few && r != ':')
			at[i] = stays || i > 0 && at[i-1] && takes(p[i-1], r)
		}
		if !slices.Contains(at, true) {
			return false
		}
		p.skip(at)
	}
	return at[len(p)]
}

// skip lets every "*" stand for nothing.
func (p pattern) skip(at []bool) {
	for i, r := range p {
		if at[i] && (r == many || r == few) {
			at[i+1] = true
		}
	}
}

// takes says whether one rune of a pattern consumes r.
func takes(want, r rune) bool {
	return want == r || want == one || want == inner && r != ':'
}

// resource reads the pattern as an ARN of a Resource element. In the first five fields a
// wildcard stays in its field, but for a "*" at the very end of one, which may "expand to
// match beyond the colon boundaries" (IAM User Guide, Resource element): so
// arn:aws:secretsmanager:* and arn:aws:secretsmanager:*:secret:x both work.
func (p pattern) resource() pattern { return p.fields(true) }

// arn reads it as that of an Arn operator, where each of six fields is "checked
// separately" (IAM User Guide, ARN condition operators).
func (p pattern) arn() pattern { return p.fields(false) }

func (p pattern) fields(beyond bool) pattern {
	q := slices.Clone(p)
	colons := 0
	for i := 0; i < len(q) && colons < 5; i++ {
		last := i+1 == len(q) || q[i+1] == ':'
		switch {
		case q[i] == ':':
			colons++
		case q[i] == one:
			q[i] = inner
		case q[i] == many && !(beyond && last):
			q[i] = few
		}
	}
	return q
}

// literal is the text as written: for operators that know no wildcards.
func (p pattern) literal() string {
	var b strings.Builder
	for _, r := range p {
		switch r {
		case many:
			r = '*'
		case one:
			r = '?'
		}
		b.WriteRune(r)
	}
	return b.String()
}

// template is a text with policy variables, taken apart once.
type template struct {
	text   string
	pieces []piece // fixed text, then variables and fixed text by turns
}

// piece is either fixed text or one variable.
type piece struct {
	fixed    pattern
	key      string // in lower case; empty for fixed text
	written  string // the key as it is written
	fallback string
	def      bool // fallback is given
}

// newTemplate reads ${key}, ${key, 'default'}, ${*}, ${?} and ${$}. Documents of
// version 2008-10-17 have no variables: there, "${" is text.
func newTemplate(text string, variables bool) (template, error) {
	t := template{text: text}
	if !variables {
		t.pieces = []piece{{fixed: glob(text)}}
		return t, nil
	}
	var fixed pattern
	rest := text
	for {
		before, after, found := strings.Cut(rest, "${")
		fixed = append(fixed, glob(before)...)
		if !found {
			break
		}
		name, tail, closed := strings.Cut(after, "}")
		if !closed {
			return t, fmt.Errorf("policy variable in %q: not closed", text)
		}
		rest = tail
		if name == "*" || name == "?" || name == "$" {
			fixed = append(fixed, rune(name[0]))
			continue
		}
		v, err := variable(name)
		if err != nil {
			return t, fmt.Errorf("policy variable in %q: %w", text, err)
		}
		t.pieces = append(t.pieces, piece{fixed: fixed}, v)
		fixed = nil
	}
	t.pieces = append(t.pieces, piece{fixed: fixed})
	return t, nil
}

func variable(name string) (piece, error) {
	key, fallback, def := strings.Cut(name, ",")
	key, fallback = strings.TrimSpace(key), strings.TrimSpace(fallback)
	if !strings.Contains(key, ":") || strings.ContainsAny(key, "*?${'") {
		return piece{}, fmt.Errorf("%q is no condition key", key)
	}
	if !def {
		return piece{key: strings.ToLower(key), written: key}, nil
	}
	if len(fallback) < 2 || fallback[0] != '\'' || fallback[len(fallback)-1] != '\'' {
		return piece{}, fmt.Errorf("default %s: not in single quotes", fallback)
	}
	return piece{key: strings.ToLower(key), written: key, fallback: fallback[1 : len(fallback)-1], def: true}, nil
}

// expand fills the variables in. Their values are literal: a "*" in a tag is no
// wildcard. It answers false where a key without a default is absent or has several
// values; such a text matches nothing.
func (t template) expand(f facts) (pattern, bool) {
	if len(t.pieces) == 1 {
		return t.pieces[0].fixed, true
	}
	var p pattern
	for _, piece := range t.pieces {
		switch values := f[piece.key]; {
		case piece.key == "":
			p = append(p, piece.fixed...)
		case len(values) == 1:
			p = append(p, []rune(values[0])...)
		case len(values) == 0 && piece.def:
			p = append(p, []rune(piece.fallback)...)
		default:
			return nil, false
		}
	}
	return p, true
}
