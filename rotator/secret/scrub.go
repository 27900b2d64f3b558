package secret

import (
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Scrubber takes secret values out of texts that others wrote, such as the
// errors of a driver. Its zero value scrubs nothing. It is not for concurrent
// use while values are added.
type Scrubber struct {
	patterns []func() pattern // closures for the reason that Password has one
}

// minScrubLen is the length in bytes from which a value is looked for. A shorter
// one would be found by chance in every message, and the holes would spell it out.
const minScrubLen = 4

// Add makes the values known. Those of less than 4 bytes are ignored.
func (s *Scrubber) Add(ps ...Password) {
	for _, p := range ps {
		value := p.Reveal()
		if len(value) >= minScrubLen {
			s.add(charPattern(value))
			s.add(pattern{encoded(value)})
		}
	}
}

func (s *Scrubber) add(p pattern) {
	s.patterns = append(s.patterns, func() pattern { return p })
}

// AddDocument makes every secret value of a document known.
func (s *Scrubber) AddDocument(d Document) { s.Add(d.SecretValues()...) }

// String gives text with every known value replaced by Redacted, also where it
// is escaped as in JSON, Go, SQL or a URL, or is part of base64 or hex. No known
// value is in the result, not even one that the replacement would make up: then
// another mask stands in, and a text that no mask can clean is given as "".
func (s *Scrubber) String(text string) string {
	found := s.find(text)
	if len(found) == 0 {
		return text
	}
	// "acted" is in Redacted, and "x[" arises when Redacted comes after an x.
	for _, mask := range []string{Redacted, "***", "###"} {
		if masked := replace(text, found, mask); len(s.find(masked)) == 0 {
			return masked
		}
	}
	return ""
}

// span is a part of a text, as offsets.
type span struct{ start, end int }

// find gives the parts of text that must be hidden, in order. Occurrences that
// overlap are one part, so that no tail of either stays.
func (s *Scrubber) find(text string) []span {
	var all []span
	for _, known := range s.patterns {
		all = append(all, known().find(text)...)
	}
	slices.SortFunc(all, func(a, b span) int { return cmp.Compare(a.start, b.start) })
	var merged []span
	for _, next := range all {
		if n := len(merged); n > 0 && next.start < merged[n-1].end {
			merged[n-1].end = max(merged[n-1].end, next.end)
		} else {
			merged = append(merged, next)
		}
	}
	return merged
}

func replace(text string, parts []span, mask string) string {
	var b strings.Builder
	at := 0
	for _, part := range parts {
		b.WriteString(text[at:part.start])
		b.WriteString(mask)
		at = part.end
	}
	b.WriteString(text[at:])
	return b.String()
}

// Error gives an error whose text is scrubbed, nil for nil. errors.Is and
// errors.As still see the chain, so decisions survive; there is no Unwrap, so
// that nothing which merely prints gets at the text beneath.
func (s *Scrubber) Error(err error) error {
	if err == nil {
		return nil
	}
	return &scrubbed{text: s.String(err.Error()), cause: func() error { return err }}
}

// scrubbed keeps its cause in a closure: %#v prints fields.
type scrubbed struct {
	text  string
	cause func() error
}

func (e *scrubbed) Error() string        { return e.text }
func (e *scrubbed) Is(target error) bool { return errors.Is(e.cause(), target) }
func (e *scrubbed) As(target any) bool   { return errors.As(e.cause(), target) }

// A pattern is a value as a sequence of units.
type pattern []unit

// A unit is a part of a value: every way to write it.
type unit []string

// find gives every occurrence, overlapping ones too. Where a text and a value say the same over and over again, as a
// long run of backslashes does, it gives up, and all of the text is to be hidden: who writes both could hold up the
// function otherwise.
func (p pattern) find(text string) []span {
	var found []span
	effort := 1<<16 + 8*len(text) // far more than a text in which a value is sometimes begun
	var first [256]bool           // the bytes that it can begin with: most places need no second look
	for _, way := range p[0] {
		first[way[0]] = true
	}
	for start := range len(text) {
		if !first[text[start]] {
			continue
		}
		if end, ok := p.match(text, start, &effort); ok {
			found = append(found, span{start, end})
		}
		if effort < 0 {
			return []span{{0, len(text)}}
		}
	}
	return found
}

// match gives the end of the longest occurrence that begins at start. Any number
// of backslashes may stand between two units: that is how all escaping by
// backslash looks, at whatever depth JSON sits inside JSON. It ends early where effort does.
func (p pattern) match(text string, start int, effort *int) (end int, ok bool) {
	ends := []int{start}
	for i, unit := range p {
		if i > 0 {
			ends = skipBackslashes(text, ends)
		}
		*effort -= len(ends)
		ends = unit.match(text, ends)
		if len(ends) == 0 || *effort < 0 {
			return 0, false
		}
	}
	return ends[len(ends)-1], true
}

// match gives where the unit can end if it begins at one of the given places,
// in order.
func (u unit) match(text string, places []int) []int {
	var ends []int
	for _, at := range places {
		for _, way := range u {
			if strings.HasPrefix(text[at:], way) {
				ends = append(ends, at+len(way))
			}
		}
	}
	slices.Sort(ends)
	return slices.Compact(ends)
}

// skipBackslashes adds the places within and after each run of backslashes that
// begins at one of the given places. Both lists are in order.
func skipBackslashes(text string, places []int) []int {
	var all []int
	for _, at := range places {
		if n := len(all); n > 0 && at <= all[n-1] {
			continue // in a run that is there already
		}
		all = append(all, at)
		for at < len(text) && text[at] == '\\' {
			at++
			all = append(all, at)
		}
	}
	return all
}

// charPattern gives the ways to write each character of a value. Equal characters
// share a unit: a secret may hold certificates, and its function 128 MB.
func charPattern(value string) pattern {
	var p pattern
	known := make(map[string]unit)
	for len(value) > 0 {
		r, size := utf8.DecodeRuneInString(value)
		c := value[:size]
		if known[c] == nil {
			known[c] = charForms(c, r)
		}
		p = append(p, known[c])
		value = value[size:]
	}
	return p
}

// charForms gives the ways to write one character: as it is; doubled, as SQL quotes;
// as Go and JSON escape it; as URLs do. A mere backslash before it is not among
// them, see match.
func charForms(c string, r rune) unit {
	all := unit{c}
	if strings.Contains("'\"`", c) {
		all = append(all, c+c)
	}
	if c == " " {
		all = append(all, "+")
	}
	if i := strings.Index("\a\b\f\n\r\t\v", c); i >= 0 {
		all = append(all, `\`+"abfnrtv"[i:i+1])
	}
	all = append(all, escaped(`\x`, 2, []byte(c))...)
	all = append(all, escaped(`%`, 2, []byte(c))...)
	all = append(all, escaped(`\u`, 4, utf16.Encode([]rune{r}))...)
	return append(all, escaped(`\U`, 8, []rune{r})...)
}

// escaped writes each code in hex after a prefix, once with small digits and
// once with capital ones.
func escaped[T byte | uint16 | rune](prefix string, digits int, codes []T) []string {
	var small, capital string
	for _, code := range codes {
		number := strconv.FormatUint(uint64(code), 16) // not fmt: this is done for every character of every value read
		number = strings.Repeat("0", max(0, digits-len(number))) + number
		small += prefix + number
		capital += prefix + strings.ToUpper(number)
	}
	return []string{small, capital}
}

// encoded gives the ways to write a whole value.
func encoded(value string) unit {
	digits := hex.EncodeToString([]byte(value))
	all := unit{digits, strings.ToUpper(digits)}
	for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		all = append(all, enc.EncodeToString([]byte(value)),
			enc.WithPadding(base64.NoPadding).EncodeToString([]byte(value)))
		for before := range 3 {
			all = append(all, base64Within(enc, value, before))
		}
	}
	return all
}

// base64Within gives the base64 of a value in the midst of a longer text, such as the
// "user:password" of Basic authentication: the digits that depend on the value
// alone, if so many bytes come before it, modulo 3.
func base64Within(enc *base64.Encoding, value string, before int) string {
	bits := 8 * (before + len(value))
	digits := enc.EncodeToString([]byte(strings.Repeat("\x00", before) + value))
	return digits[(8*before+5)/6 : bits/6]
}
