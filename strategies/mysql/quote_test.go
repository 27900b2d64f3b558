package mysql

import "testing"

// FuzzQuote: nothing gets out of a constant or an identifier, and nothing is lost in it.
func FuzzQuote(f *testing.F) {
	for _, s := range []string{"", "app", "'; DROP USER app; --", "`", "a``b'", "\\'", "%", "\x00\n", "日本'", "a@b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		text, name := quoteText(s), quoteIdent(s)
		if got, end := unquote(text, '\''); got != s || end != len(text) {
			t.Errorf("constant of %q reads as %q, up to %d of %d", s, got, end, len(text))
		}
		if got, end := unquote(name, '`'); got != s || end != len(name) {
			t.Errorf("identifier of %q reads as %q, up to %d of %d", s, got, end, len(name))
		}
		if a := accountOf(s + "@%"); a.user != s || a.host != "%" {
			t.Errorf("account of %q reads as %q at %q", s, a.user, a.host)
		}
	})
}
