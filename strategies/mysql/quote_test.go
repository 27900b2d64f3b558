package mysql

import (
	"strings"
	"testing"
)

// read reads a constant or an identifier as the server does where a quote is all
// that means anything; ok says that it ends where the text does.
func read(text string, quote string) (s string, ok bool) {
	inner, ok := strings.CutPrefix(text, quote)
	for ok {
		before, after, found := strings.Cut(inner, quote)
		s += before
		if !found {
			return s, false
		}
		if inner, ok = strings.CutPrefix(after, quote); !ok {
			return s, after == ""
		}
		s += quote
	}
	return s, false
}

// FuzzQuote: nothing gets out of a constant or an identifier, and nothing is lost in it.
func FuzzQuote(f *testing.F) {
	for _, s := range []string{"", "app", "'; DROP USER app; --", "`", "a``b'", "\\'", "%", "\x00\n", "日本'", "a@b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got, ok := read(quoteText(s), "'"); !ok || got != s {
			t.Errorf("constant of %q reads as %q", s, got)
		}
		if got, ok := read(quoteIdent(s), "`"); !ok || got != s {
			t.Errorf("identifier of %q reads as %q", s, got)
		}
		if a := accountOf(s + "@%"); a.user != s || a.host != "%" {
			t.Errorf("account of %q reads as %q at %q", s, a.user, a.host)
		}
	})
}
