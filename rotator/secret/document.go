package secret

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Document is the JSON object that a secret holds. It is an immutable value: Set
// gives a new one, in which every other member keeps its place, its white space
// and its very bytes, whatever it is. It prints as Redacted everywhere. The zero
// Document is "no document".
type Document struct {
	redacted
	open func() content // a closure for the reason that Password has one
}

// content is the text of an object and where its members are.
type content struct {
	text    string
	members []member
}

// member is one top-level member, as offsets into the text.
type member struct {
	key              string
	keyStart, keyEnd int // the name, quotes included
	start, end       int // the value
}

// storeHint ends every error: it is what the reader of one has to do.
const storeHint = `; store one JSON object, such as {"engine": "...", "host": "...", "username": "...", "password": "..."}`

// ParseDocument reads the value of a secret. Its errors say what is wrong and
// where, and quote nothing of the text: it may be a bare password. A name that
// occurs twice is refused, because readers disagree about which value counts.
func ParseDocument(text string) (Document, error) {
	if err := checkObject(text); err != nil {
		return Document{}, err
	}
	d := newDocument(text)
	seen := make(map[string]bool)
	for _, m := range d.content().members {
		if seen[m.key] {
			return Document{}, fmt.Errorf("secret value has two members of the same name, the second at byte offset "+
				"%d; remove one of them", m.keyStart)
		}
		seen[m.key] = true
	}
	return d, nil
}

// checkObject says whether text is one JSON object and nothing else.
func checkObject(text string) error {
	switch {
	case strings.Trim(text, jsonSpace) == "":
		return errors.New("secret value is empty" + storeHint)
	case !utf8.ValidString(text):
		return fmt.Errorf("secret value is not valid UTF-8 at byte offset %d; store it as UTF-8", invalidAt(text))
	case strings.HasPrefix(text, "\ufeff"):
		return errors.New("secret value begins with a byte order mark; store it as UTF-8 without one")
	}
	dec := json.NewDecoder(strings.NewReader(text))
	var value json.RawMessage
	if err := dec.Decode(&value); err != nil {
		return syntaxError(err)
	}
	end := int(dec.InputOffset())
	if rest := strings.TrimLeft(text[end:], jsonSpace); rest != "" {
		return fmt.Errorf("secret value goes on after its JSON ends, at byte offset %d"+storeHint, len(text)-len(rest))
	}
	if shape := shapeOf(value[0]); shape != "an object" {
		return fmt.Errorf("secret value is %s and not a JSON object"+storeHint, shape)
	}
	return nil
}

// jsonSpace is the white space of RFC 8259.
const jsonSpace = " \t\r\n"

// syntaxError keeps the place of a mistake and drops the json package's words,
// which quote the text.
func syntaxError(err error) error {
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("secret value is not JSON at byte offset %d"+storeHint, max(0, syntax.Offset-1))
	}
	// io.ErrUnexpectedEOF: from a text, a decoder has no other.
	return errors.New("secret value ends before its JSON does" + storeHint)
}

// shapeOf names a JSON value by its first byte.
func shapeOf(first byte) string {
	switch first {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}

func invalidAt(text string) int {
	for i, r := range text {
		if r == utf8.RuneError && !strings.HasPrefix(text[i:], "\ufffd") {
			return i
		}
	}
	return len(text)
}

// newDocument finds the members of a text that is a JSON object.
func newDocument(text string) Document {
	c := content{text: text}
	dec := json.NewDecoder(strings.NewReader(text))
	dec.Token() // the opening brace
	for dec.More() {
		key, _ := dec.Token()
		m := member{key: key.(string), keyEnd: int(dec.InputOffset())}
		// Between a value and the next name there is no other quote.
		m.keyStart = c.inside() + strings.IndexByte(text[c.inside():], '"')
		var value json.RawMessage
		dec.Decode(&value)
		m.end = int(dec.InputOffset())
		m.start = m.end - len(value)
		c.members = append(c.members, m)
	}
	return Document{open: func() content { return c }}
}

// inside is where the last member ends, or the object begins.
func (c content) inside() int {
	if n := len(c.members); n > 0 {
		return c.members[n-1].end
	}
	return strings.IndexByte(c.text, '{') + 1
}

// member finds a member by its exact name.
func (c content) member(key string) (member, bool) {
	i := slices.IndexFunc(c.members, func(m member) bool { return m.key == key })
	if i < 0 {
		return member{}, false
	}
	return c.members[i], true
}

func (d Document) content() content {
	if d.open == nil {
		return content{}
	}
	return d.open()
}

// raw gives the bytes of a member's value, "" if there is none.
func (d Document) raw(key string) string {
	c := d.content()
	m, _ := c.member(key)
	return c.text[m.start:m.end]
}

// IsZero says whether there is no document.
func (d Document) IsZero() bool { return d.open == nil }

// Has says whether there is a member of that exact name, null included.
func (d Document) Has(key string) bool {
	_, ok := d.content().member(key)
	return ok
}

// Keys gives the names of the members, in their order.
func (d Document) Keys() []string {
	var keys []string
	for _, m := range d.content().members {
		keys = append(keys, m.key)
	}
	return keys
}

// text gives the value of a member that is a JSON string.
func (d Document) text(key string) (s string, ok bool) {
	raw := d.raw(key)
	if !strings.HasPrefix(raw, `"`) {
		return "", false
	}
	err := json.Unmarshal([]byte(raw), &s)
	return s, err == nil
}

// Text gives the value of a member that is a JSON string, and "" if it is
// absent or anything else.
func (d Document) Text(key string) string {
	s, _ := d.text(key)
	return s
}

// Shape says what JSON a member is, as a sentence needs it: "a string", "an array". It is
// "" if there is none.
func (d Document) Shape(key string) string {
	if raw := d.raw(key); raw != "" {
		return shapeOf(raw[0])
	}
	return ""
}

// Compact gives the value of a member: a string as it is, and anything else as JSON
// without white space. "": there is none.
func (d Document) Compact(key string) string {
	if s, ok := d.text(key); ok {
		return s
	}
	var b bytes.Buffer
	json.Compact(&b, []byte(d.raw(key))) // which writes nothing where there is none
	return b.String()
}

// Texts gives the strings of a member that is a JSON string or an array of them, and
// none if it is anything else.
func (d Document) Texts(key string) []string {
	if s, ok := d.text(key); ok {
		return []string{s}
	}
	var all []string
	if json.Unmarshal([]byte(d.raw(key)), &all) != nil {
		return nil
	}
	return all
}

// Int gives the value of a member that is an integer, or a string of digits:
// secrets in the wild have "port" both ways. It is not ok for 5432.0 or 5e3.
func (d Document) Int(key string) (n int, ok bool) {
	digits, isString := d.text(key)
	if !isString {
		digits = d.raw(key)
	} else if strings.Trim(digits, "0123456789") != "" {
		return 0, false // no sign, no space
	}
	n, err := strconv.Atoi(digits)
	if err != nil {
		return 0, false
	}
	return n, true
}

// Bool gives the value of a member that is true or false, or a string that says
// so in any case, as AWS's templates read "ssl". Anything else is not ok.
func (d Document) Bool(key string) (v, ok bool) {
	word, isString := d.text(key)
	if !isString {
		word = d.raw(key)
	}
	switch strings.ToLower(word) {
	case "true":
		return true, true
	case "false":
		return false, true
	}
	return false, false
}

// Password gives the member "password", empty if it is absent or no string.
func (d Document) Password() Password { return NewPassword(d.Text(keyPassword)) }

// SetPassword sets the member "password".
func (d Document) SetPassword(p Password) Document { return d.Set(keyPassword, p.Reveal()) }

// Set gives a document in which the member key is a string. A new member comes
// last, written in the style of the one before it; setting the value that is
// there changes no byte. Set on the zero Document begins an object. JSON holds
// UTF-8 and nothing else, so each byte that is not becomes U+FFFD.
func (d Document) Set(key, value string) Document {
	key, value = string([]rune(key)), string([]rune(value))
	if d.IsZero() {
		d = newDocument("{}")
	}
	if old, ok := d.text(key); ok && old == value {
		return d
	}
	c := d.content()
	if m, ok := c.member(key); ok {
		return newDocument(c.text[:m.start] + encode(value) + c.text[m.end:])
	}
	before, between := c.style()
	at := c.inside()
	return newDocument(c.text[:at] + before + encode(key) + between + encode(value) + c.text[at:])
}

// style gives what separates a new last member from the one before it, and its
// name from its value.
func (c content) style() (before, between string) {
	n := len(c.members)
	if n == 0 {
		return "", ":"
	}
	last := c.members[n-1]
	between = c.text[last.keyEnd:last.start]
	if n > 1 {
		_, space, _ := strings.Cut(c.text[c.members[n-2].end:last.keyStart], ",")
		return "," + space, between
	}
	_, space, _ := strings.Cut(c.text[:last.keyStart], "{")
	if space == "" {
		_, space, _ = strings.Cut(between, ":") // {"a": 1} goes on as {"a": 1, "b": 2}
	}
	return "," + space, between
}

// encode writes a JSON string and escapes no more than it must: "<" stays "<",
// so that a person finds in the console what they look for.
func encode(s string) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.Encode(s)
	return strings.TrimSuffix(b.String(), "\n")
}

// Encode gives the whole text, for the store and nothing else.
func (d Document) Encode() Password { return NewPassword(d.content().text) }

// Equal says whether two documents are the same, byte for byte: that is how
// Secrets Manager compares the values of one version.
func (d Document) Equal(e Document) bool {
	return d.Encode().Equal(e.Encode())
}

// ChangedKeys gives the names of the members that are in only one of two documents,
// or of which the values are not the same, byte for byte.
func (d Document) ChangedKeys(e Document) []string {
	var keys []string
	for _, key := range d.Keys() {
		if d.raw(key) != e.raw(key) {
			keys = append(keys, key)
		}
	}
	for _, key := range e.Keys() {
		if !d.Has(key) {
			keys = append(keys, key)
		}
	}
	return keys
}

// SameValue says whether a member of two documents means the same, however it is written: a port as a number or as a
// string of digits, true as a word. A member that is absent, null or "" is none.
func (d Document) SameValue(e Document, key string) bool {
	if n, ok := d.Int(key); ok {
		m, ok := e.Int(key)
		return ok && n == m
	}
	if v, ok := d.Bool(key); ok {
		w, ok := e.Bool(key)
		return ok && v == w
	}
	written := func(d Document) string {
		if d.Shape(key) == "null" {
			return ""
		}
		return d.Compact(key)
	}
	return written(d) == written(e)
}

// SameCredentials says whether two documents hold the same user name and password.
func (d Document) SameCredentials(e Document) bool {
	return !d.Password().Empty() && d.Password().Equal(e.Password()) && d.Text(keyUser) == e.Text(keyUser)
}

const (
	keyUser     = "username"
	keyPassword = "password"
	keyRotates  = "rotates" // names of accounts, in a list
	keyNodes    = "nodes"   // further servers, in a list
)

// isPublicKey are the members whose values may appear in messages: they say which
// account and place a message is about. Every other value is a secret.
func isPublicKey(key string) bool {
	switch key {
	case "engine", "host", "port", "username", "dbname", "ssl",
		"dbInstanceIdentifier", "dbClusterIdentifier",
		"masterarn", "alternateUsername", "rotates", "tlsServerName", "nodes":
		return true
	}
	return false
}

// minSecretLen is the length in bytes from which a value other than the password
// counts as secret. Hiding every "1" or "prod" would shred every message.
const minSecretLen = 6

// SecretValues gives every string and number, nested ones included, that must not be
// seen: all but the values of public members and what is equal to one of them.
// The password is among them whatever it is.
func (d Document) SecretValues() []Password {
	shown := make(map[string]bool)
	var passwords, others []string
	c := d.content()
	for _, m := range c.members {
		values := scalars(c.text[m.start:m.end])
		nested := strings.ContainsRune("{[", rune(c.text[m.start]))
		switch {
		case m.key == keyPassword:
			passwords = append(passwords, values...)
		case isPublicKey(m.key) && !nested, (m.key == keyRotates || m.key == keyNodes) && c.text[m.start] == '[':
			for _, v := range values {
				shown[v] = true
			}
		default:
			others = append(others, values...)
		}
	}
	hidden := slices.DeleteFunc(others, func(v string) bool { return len(v) < minSecretLen || shown[v] })
	var all []Password
	for _, v := range append(passwords, hidden...) {
		if v != "" {
			all = append(all, NewPassword(v))
		}
	}
	return all
}

// scalars gives the strings and numbers in a JSON value, at every depth, names
// of members excepted.
func scalars(raw string) []string {
	var found []string
	dec := json.NewDecoder(strings.NewReader(raw))
	dec.UseNumber()
	for {
		token, err := dec.Token()
		if err != nil {
			return found
		}
		switch v := token.(type) {
		case string:
			rest := strings.TrimLeft(raw[dec.InputOffset():], jsonSpace)
			if !strings.HasPrefix(rest, ":") { // only a name has a colon after it
				found = append(found, v)
			}
		case json.Number:
			found = append(found, v.String())
		}
	}
}
