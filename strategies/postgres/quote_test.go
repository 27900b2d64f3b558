package postgres

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestQuoteIdent(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		`app`:        `"app"`,
		`App User`:   `"App User"`,
		`a"b`:        `"a""b"`,
		`"`:          `""""`,
		`"; DROP --`: `"""; DROP --"`,
		`a\b`:        `"a\b"`,
		`select`:     `"select"`,
	} {
		if got := quoteIdent(name); got != want {
			t.Errorf("quoteIdent(%s) = %s, want %s", name, got, want)
		}
	}
}

func TestQuoteValue(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, value, want string }{
		{"work_mem", "4MB", `'4MB'`},
		{"app.motto", `it's`, `'it''s'`},
		{"app.path", `a\b'c`, ` E'a\\b''c'`},
		{"app.list", `a, b`, `'a, b'`},
		{"search_path", `"$user", public`, `'$user', 'public'`},
		{"search_path", `"a, b", "c""d", e`, `'a, b', 'c"d', 'e'`},
		{"search_path", `""`, `''`},
		{"Temp_Tablespaces", `fast`, `'fast'`},
		{"search_path", "\"User\",\n\tMyApp ", `'User', 'myapp'`},
		{"local_preload_libraries", `Auth`, `'Auth'`},
	} {
		if got := quoteValue(c.name, c.value); got != c.want {
			t.Errorf("quoteValue(%s, %s) = %s, want %s", c.name, c.value, got, c.want)
		}
	}
}

// FuzzQuoteIdent reads the identifier back as PostgreSQL's lexer does: whatever
// the name, there is one identifier and nothing after it.
func FuzzQuoteIdent(f *testing.F) {
	for _, s := range []string{"app", `a"b`, `""`, `"; --`, "", "ä\u00ad", `\"`, "a\nb"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		got := quoteIdent(name)
		body := got[1 : len(got)-1]
		if got[0] != '"' || got[len(got)-1] != '"' || strings.Contains(strings.ReplaceAll(body, `""`, ``), `"`) {
			t.Fatalf("%q ends early: %s", name, got)
		}
		if strings.ReplaceAll(body, `""`, `"`) != name {
			t.Fatalf("%q came back as another name: %s", name, got)
		}
	})
}

// FuzzQuoteLiteral does the same for constants, in both of their forms.
func FuzzQuoteLiteral(f *testing.F) {
	for _, s := range []string{"", "a'b", `\`, `\'`, `'\`, `''`, "a\nb"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := strings.TrimPrefix(quoteLiteral(s), " ")
		body, escapes := strings.CutPrefix(got, "E")
		var back strings.Builder
		inside := body[1 : len(body)-1]
		for i := 0; i < len(inside); i++ {
			c := inside[i]
			if c == '\'' || escapes && c == '\\' {
				if i++; i == len(inside) || inside[i] != c {
					t.Fatalf("%q ends early: %s", s, got)
				}
			}
			if c == '\\' && !escapes {
				t.Fatalf("%q: what a backslash means depends on a setting: %s", s, got)
			}
			back.WriteByte(c)
		}
		if back.String() != s {
			t.Fatalf("%q came back as %q", s, back.String())
		}
	})
}

// FuzzSplitNames: the server's list of quoted names is taken apart into the names.
func FuzzSplitNames(f *testing.F) {
	f.Add("a", `B "c", d`)
	f.Add("", "$user")
	f.Fuzz(func(t *testing.T, a, b string) {
		if !utf8.ValidString(a + b) {
			t.Skip()
		}
		got := splitNames(quoteIdent(a)+", "+quoteIdent(b), false)
		if len(got) != 2 || got[0] != a || got[1] != b {
			t.Fatalf("%q, %q came back as %q", a, b, got)
		}
	})
}
