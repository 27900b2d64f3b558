package secret

import (
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Copy is a place in a document that holds a credential which a rotation changes, beside
// the member that is made for it: the password in a connection string, for example.
type Copy struct {
	// Path names the place, as JavaScript would: DATABASE_URL, replicas[0].password.
	Path string
	// Fixed says that the place cannot be kept in step: the credential is spelled in a
	// way that is only recognised, or what surrounds it might misread the new one.
	Fixed bool
}

// Follow gives next, which is a new value for d, with every copy of what it changes in d
// kept in step, and the copies that were found. It looks for the secrets that next
// changes, from 6 bytes on, raw, escaped, percent-encoded or within base64; and where next
// changes the user name, for that as the user of a URL, behind "user=" or "user:", before
// ":" and the password, and under a name that says it is a user. A password that is a word,
// such as the user's name, is followed only where it stands as a password. Members that say
// which account and place a secret is for are no copies. What is no copy keeps its very
// bytes.
func (d Document) Follow(next Document) (Document, []Copy) {
	var changes []change
	var user *[2]string    // before, and after
	var passwords []string // before and after, as they are and percent-encoded
	for _, key := range d.ChangedKeys(next) {
		before := d.Text(key)
		after, has := next.text(key)
		switch {
		case before == "" || !has:
		case key == keyUser:
			user = &[2]string{before, after}
		case !isPublicKey(key) && len(before) >= minSecretLen:
			changes = append(changes, newSecretChange(before, after, d.isWord(before)))
			for _, p := range []string{before, after} {
				if p != "" {
					passwords = append(passwords, p, percentEncode(p))
				}
			}
		}
	}
	if user != nil {
		changes = append(changes, newUserChange(user[0], user[1], passwords))
	}
	if changes == nil {
		return next, nil
	}
	var copies []Copy
	c := next.content()
	var text strings.Builder
	written := 0
	for _, m := range c.members {
		if isPublicKey(m.key) || next.raw(m.key) != d.raw(m.key) {
			continue
		}
		for _, s := range scalarsOf(c.text[m.start:m.end], pathOf(m.key)) {
			copied := Copy{Path: s.path}
			found, value := false, s.value
			for _, ch := range changes {
				followed, is, ok := ch(s, value)
				found, copied.Fixed = found || is, copied.Fixed || is && !ok
				value = followed
			}
			if !found {
				continue
			}
			copies = append(copies, copied)
			if !copied.Fixed && value != s.value {
				text.WriteString(c.text[written : m.start+s.start])
				text.WriteString(encode(value))
				written = m.start + s.end
			}
		}
	}
	text.WriteString(c.text[written:])
	return newDocument(text.String()), copies
}

// change says whether a value, which stands at a place, holds what is changed, and gives
// the value with it changed. ok: it can be.
type change func(at scalar, value string) (followed string, found, ok bool)

// newSecretChange recognises a secret in any spelling that the scrubber knows. One that is a word is changed only where
// a password stands.
func newSecretChange(before, after string, word bool) change {
	var s Scrubber
	s.Add(NewPassword(before))
	return func(at scalar, value string) (string, bool, bool) {
		spans := s.find(value)
		switch {
		case len(spans) == 0, word && at.ofUser && !at.ofPassword && !at.number && !isURL(value):
			return value, false, false
		case at.number, word && value == before && !at.ofPassword:
			return value, true, false
		case value == before:
			return after, true, true
		case word:
			spans = slices.DeleteFunc(spans, func(at span) bool { return !isPasswordAt(value, at) })
		}
		if len(spans) == 0 {
			return value, true, false
		}
		var b strings.Builder
		written := 0
		for _, span := range spans {
			spelled, ok := respell(value[span.start:span.end], before, after, isURL(value))
			if !ok {
				return value, true, false
			}
			b.WriteString(value[written:span.start])
			b.WriteString(spelled)
			written = span.end
		}
		b.WriteString(value[written:])
		followed := b.String()
		return followed, true, word || len(s.find(followed)) == 0 || before == after
	}
}

// isPasswordAt says whether a password stands at a part of a text: between ":" and "@", or behind "password=".
func isPasswordAt(text string, at span) bool {
	before, after := text[:at.start], text[at.end:]
	named := regexp.MustCompile(`(?i)(pass(word|wd|phrase)?|pwd)[\\"']*\s*[=:]\s*[\\"']*$`)
	return strings.HasSuffix(before, ":") && strings.HasPrefix(after, "@") || named.MatchString(before)
}

// respell writes the new value as the old one is written within a longer text. In a URL
// everything is percent-encoded; elsewhere only a value of which no character could mean
// something to a parser of the text goes in as it is.
func respell(text, before, after string, inURL bool) (string, bool) {
	escaped := percentEncode(after)
	switch {
	case text == before && !inURL:
		return after, after == escaped
	case text == before, unescapes(url.PathUnescape, text, before), unescapes(url.QueryUnescape, text, before):
		return escaped, true
	}
	return text, false
}

func unescapes(unescape func(string) (string, error), text, want string) bool {
	got, _ := unescape(text) // "" is no credential
	return got == want
}

const alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// percentEncode leaves only what RFC 3986 calls unreserved as it is.
func percentEncode(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if strings.IndexByte(alphanumeric+"-._~", s[i]) >= 0 {
			b.WriteByte(s[i])
		} else {
			fmt.Fprintf(&b, "%%%02X", s[i])
		}
	}
	return b.String()
}

// isURL says whether a text begins as a URL does, those of JDBC included.
func isURL(s string) bool {
	scheme, _, ok := strings.Cut(s, "://")
	return ok && scheme != "" && strings.Trim(scheme, alphanumeric+"+.-:") == ""
}

// newUserChange recognises a user name only where it is one: names are too short, and too much like others, to be
// looked for everywhere. In a text that has one of the passwords, which change with it, a name that is not recognised
// may be the user's all the same: then the text cannot follow.
func newUserChange(before, after string, passwords []string) change {
	const begins, ends = `(^|[^A-Za-z0-9_%.@-])`, `($|[^A-Za-z0-9_%.@-])`
	either := func(spellings ...string) string {
		for i, s := range spellings {
			spellings[i] = regexp.QuoteMeta(s)
		}
		return "(" + strings.Join(spellings, "|") + ")"
	}
	name, escaped := either(before), percentEncode(after)
	behind := func(separator, name string) *regexp.Regexp {
		return regexp.MustCompile(`((?i:user|uid|login)(?i:[ _]?(?:id|name))?[\\"']*\s*[` + separator +
			`]\s*[\\"']*)` + name + ends)
	}
	inText, inURL := behind("=", name), behind("=", either(before, percentEncode(before)))
	withPassword := behind("=:", name)
	password := regexp.MustCompile(either(passwords...))
	// as in app:secret@tcp(db:3306)/shop
	beside := regexp.MustCompile(begins + name + "(:" + password.String() + ")")
	word := regexp.MustCompile(begins + name + ends)
	beforeHost := regexp.MustCompile(`(?s)^(.*?://)([^:@/?#]+)((?::.*)?@.*)$`)
	beforeHosts := regexp.MustCompile(`(://)([^:@/?#\s,]+)((?::[^\s,]*?)?@)`) // of several URLs
	return func(at scalar, value string) (string, bool, bool) {
		switch {
		case value == before:
			if !at.ofUser {
				return value, false, false
			}
			return after, true, true
		case isURL(value):
			followed := inURL.ReplaceAllString(value, "${1}"+escaped+"${3}")
			for _, places := range []*regexp.Regexp{beforeHosts, beforeHost} {
				followed = places.ReplaceAllStringFunc(followed, func(text string) string {
					at := places.FindStringSubmatch(text)
					if at[2] != before && !unescapes(url.PathUnescape, at[2], before) {
						return text
					}
					return at[1] + escaped + at[3]
				})
			}
			return followed, followed != value, true
		}
		verbatim := "${1}" + strings.ReplaceAll(after, "$", "$$") + "${3}"
		has := passwords != nil && password.MatchString(value)
		followed := inText.ReplaceAllString(value, verbatim)
		if has {
			followed = beside.ReplaceAllString(withPassword.ReplaceAllString(followed, verbatim), verbatim)
		}
		if followed == value {
			return value, has && word.MatchString(value), false
		}
		return followed, true, after == escaped
	}
}

// scalar is a string or a number within a JSON value.
type scalar struct {
	value      string
	path       string
	start, end int // in the text of the value; of strings alone
	number     bool
	ofUser     bool // the nearest name above a string says that it is a user
	ofPassword bool // or a password
}

// scalarsOf gives the strings and numbers in a JSON value, at every depth, names of
// members excepted.
func scalarsOf(raw, path string) []scalar {
	var found []scalar
	dec := json.NewDecoder(strings.NewReader(raw))
	dec.UseNumber()
	type level struct {
		path  string
		name  string // of the member whose value comes next; in an array: of the array
		index int    // -1: an object
		named bool   // the name was read
	}
	levels := []level{{path: extend("", path), name: path, index: -1, named: true}}
	before := 0 // where the token before ended
	for {
		token, err := dec.Token()
		if err != nil {
			return found
		}
		end := int(dec.InputOffset())
		top := &levels[len(levels)-1]
		if token == json.Delim('}') || token == json.Delim(']') {
			levels = levels[:len(levels)-1]
			continue
		}
		if top.index < 0 && !top.named {
			top.name, top.named, before = token.(string), true, end
			continue
		}
		place, name := top.path, top.name
		switch {
		case top.index >= 0:
			place = extend(place, "["+strconv.Itoa(top.index)+"]")
			top.index++
		case len(levels) > 1:
			step := pathOf(top.name)
			if step == top.name {
				step = "." + step
			}
			place = extend(place, step)
			top.named = false
		}
		switch v := token.(type) {
		case json.Delim:
			inside := level{path: place, name: name, index: -1}
			if v == '[' {
				inside.index = 0
			}
			levels = append(levels, inside)
		case string:
			start := before + strings.IndexByte(raw[before:], '"')
			found = append(found, scalar{value: v, path: place, start: start, end: end,
				ofUser: names(name, "user", "login", "uid"), ofPassword: names(name, "pass", "pwd", "secret")})
		case json.Number:
			found = append(found, scalar{value: v.String(), path: place, number: true})
		}
		before = end
	}
}

// names says whether the name of a member has one of the words in it.
func names(name string, words ...string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc(words, func(word string) bool { return strings.Contains(name, word) })
}

// extend gives the path of what is within a path, cut where that is long: each value below a long name, or deep within
// others, has a path, and a function has little memory.
func extend(path, step string) string {
	const most, more = 200, "..."
	if len(path) > most {
		return path
	}
	if path += step; len(path) > most {
		return strings.ToValidUTF8(path[:most], "") + more
	}
	return path
}

// pathOf is a name as a path begins with it.
func pathOf(name string) string {
	if name != "" && strings.Trim(name, alphanumeric+"_-") == "" {
		return name
	}
	return "[" + strconv.Quote(name) + "]"
}

// isWord says whether a credential is part of what says which account and place the secret is for, as a password is
// that is the user's name. Such a text stands elsewhere for what it says.
func (d Document) isWord(credential string) bool {
	return slices.ContainsFunc(d.Keys(), func(key string) bool {
		return isPublicKey(key) && strings.Contains(d.Compact(key), credential)
	})
}
