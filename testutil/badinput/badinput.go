// Package hostile is bad input for a rotation function: events, values of secrets,
// environments and names that were written by mistake or on purpose, and a Tally
// that holds a function to what it owes each of them: a sentence with a kind, nothing
// changed, nothing leaked, no panic, in time.
//
// The tables are data, the same in every run. An author of an engine runs them on it
// with a Trial each; this package's tests show how.
package badinput

import "strings"

// Input is one bad input.
type Input struct {
	Name  string // for people, and printable
	Field string // the member that is wrong; "": the whole
	Text  string
}

// Large is as long as the value of a secret may be, in bytes.
const Large = 65536

// text is a string that is never meant, and of which every reader must take care.
type text struct {
	name, s string
}

// texts are what the fields that hold a string are tried with.
var texts = []text{
	{"a space", " "},
	{"a NUL", "a\x00b"},
	{"a line feed and a forged line", "a\n{\"level\":\"INFO\",\"message\":\"finishSecret done\"}"},
	{"a carriage return", "a\rERROR forged"},
	{"a CRLF and a header", "a\r\nX-Forged: yes"},
	{"an escape sequence", "\x1b[2J\x1b]0;owned\x07"},
	{"a DEL", "a\x7fb"},
	{"a C1 control", "a\u0085b\u009b31m"},
	{"a line separator", "a\u2028b\u2029c"},
	{"a right-to-left override", "a\u202egnp.exe"},
	{"a zero width space", "a\u200bb"},
	{"a byte order mark", "\ufeffa"},
	{"a look-alike letter", "аdmin"}, // Cyrillic
	{"full-width letters", "ａｄｍｉｎ"},
	{"an emoji", "🔑"},
	{"combining marks", "Z" + strings.Repeat("\u0335", 40)},
	{"U+FFFD", "a\ufffdb"},
	{"a noncharacter", "a\uffffb"},
	{"a tab", "a\tb"},
	{"a backspace", "abc\b\b\bxyz"},
	{"verbs", "%s%n%x%!d(string=%v)"},
	{"a lookup", "${jndi:ldap://a.invalid}"},
	{"a variable", "$HOME $(id) `id`"},
	{"a statement", `'; DROP TABLE users; --`},
	{"a statement in a name", `"; DROP ROLE app; --`},
	{"backslashes", `\\\'\"\`},
	{"a path", "../../../../etc/passwd"},
	{"markup", "<script>alert(1)</script>"},
	{"a table in Markdown", "| a | b |\n|---|---|"},
	{"the word null", "null"},
	{"the word undefined", "undefined"},
	{"JSON", `{"Step":"finishSecret"}`},
	{"a template", "{{resolve:secretsmanager:app}}"},
	{"256 bytes", strings.Repeat("x", 256)},
	{"5,000 bytes", strings.Repeat("x", 5000)},
	{"65,536 bytes", strings.Repeat("x", Large)},
	{"65,536 line feeds", strings.Repeat("\n", Large)},
}

// kinds are the values in JSON that are no string.
var kinds = []text{
	{"null", `null`},
	{"true", `true`},
	{"false", `false`},
	{"zero", `0`},
	{"a number", `12345678`},
	{"a negative number", `-1`},
	{"a fraction", `1.5`},
	{"a number beyond a double", `1e400`},
	{"a number of 5,000 digits", strings.Repeat("9", 5000)},
	{"an empty array", `[]`},
	{"an array of a string", `["app"]`},
	{"an empty object", `{}`},
	{"an object", `{"value":"app"}`},
	{"an empty object deep down", strings.Repeat(`{"a":`, 500) + `{}` + strings.Repeat("}", 500)},
	{"an array deep down", strings.Repeat("[", 5000) + strings.Repeat("]", 5000)},
}
