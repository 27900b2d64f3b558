package secret

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"strconv"
	"strings"
	"testing"
)

func scrubber(values ...string) *Scrubber {
	var s Scrubber
	for _, v := range values {
		s.Add(NewPassword(v))
	}
	return &s
}

func TestScrubberString(t *testing.T) {
	t.Parallel()
	const odd = "a'b\"c\\d/e f<é\n😀" // something of all that anybody escapes
	inJSON := string(must(json.Marshal(odd)))
	tests := map[string]struct {
		values     []string
		text, want string
	}{
		"nothing known":        {nil, "hunter2", "hunter2"},
		"empty value":          {[]string{""}, "hunter2", "hunter2"},
		"not in it":            {[]string{"hunter2"}, "login as hunter", "login as hunter"},
		"in clear":             {[]string{"hunter2"}, "try hunter2, hunter2!", "try [redacted], [redacted]!"},
		"one in another":       {[]string{"hunter2", "hunter2-and-more"}, "hunter2-and-more hunter2", "[redacted] [redacted]"},
		"one in the other":     {[]string{"hunter2-and-more", "hunter2"}, "hunter2-and-more hunter2", "[redacted] [redacted]"},
		"overlapping":          {[]string{"abcd", "cdef"}, "-abcdef-", "-[redacted]-"},
		"overlapping itself":   {[]string{"abab"}, "-ababab-", "-[redacted]-"},
		"side by side":         {[]string{"abcd"}, "abcdabcd", "[redacted][redacted]"},
		"short":                {[]string{"one", "p"}, "everyone's port", "everyone's port"},
		"JSON":                 {[]string{odd}, "got " + inJSON, `got "[redacted]"`},
		"JSON, not for HTML":   {[]string{odd}, encode(odd), `"[redacted]"`},
		"JSON in JSON":         {[]string{odd}, string(must(json.Marshal(inJSON))), `"\"[redacted]\""`},
		"JSON in JSON in %q":   {[]string{odd}, strconv.Quote(string(must(json.Marshal(inJSON)))), `"\"\\\"[redacted]\\\"\""`},
		"JSON, ASCII":          {[]string{odd}, `"a'b\"c\\d\/e f<\u00e9\n\ud83d\ude00"`, `"[redacted]"`},
		"JSON, needless":       {[]string{"abcd"}, `"\u0061b\u0063d"`, `"[redacted]"`},
		"%q":                   {[]string{odd}, fmt.Sprintf("%q", odd), `"[redacted]"`},
		"%+q":                  {[]string{odd}, fmt.Sprintf("%+q", odd), `"[redacted]"`},
		"%q, not UTF-8":        {[]string{"ab\x01\xffcd"}, fmt.Sprintf("%q", "ab\x01\xffcd"), `"[redacted]"`},
		"query":                {[]string{odd}, "p=" + url.QueryEscape(odd) + "&", "p=[redacted]&"},
		"path":                 {[]string{odd}, "/" + url.PathEscape(odd) + "/", "/[redacted]/"},
		"user information":     {[]string{odd}, "pg://" + url.UserPassword("u", odd).String() + "@h", "pg://u:[redacted]@h"},
		"URL, small hex":       {[]string{"a/b:c"}, "a%2fb%3ac", "[redacted]"},
		"SQL":                  {[]string{odd}, "'" + strings.ReplaceAll(odd, "'", "''") + "'", "'[redacted]'"},
		"SQL identifier":       {[]string{odd}, `"` + strings.ReplaceAll(odd, `"`, `""`) + `"`, `"[redacted]"`},
		"SQL, MySQL":           {[]string{odd}, strings.NewReplacer(`\`, `\\`, `'`, `\'`, `"`, `\"`, "\n", `\n`).Replace(odd), "[redacted]"},
		"SQL, backslash twice": {[]string{odd}, strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(odd), "[redacted]"},
		"hex":                  {[]string{"hunter2"}, "\\x" + hex.EncodeToString([]byte("hunter2")), "\\x[redacted]"},
		"hex, capitals":        {[]string{"jklm"}, fmt.Sprintf("%X", "jklm"), "[redacted]"},
		"base64":               {[]string{"hunter2?"}, base64.StdEncoding.EncodeToString([]byte("hunter2?")), "[redacted]"},
		"base64, raw":          {[]string{"hunter2?"}, base64.RawStdEncoding.EncodeToString([]byte("hunter2?")) + ".", "[redacted]."},
		"base64, URL":          {[]string{"\xfb\xff\xbe!"}, base64.URLEncoding.EncodeToString([]byte("\xfb\xff\xbe!")), "[redacted]"},
		"a bell":               {[]string{"ab\acd"}, `ab\acd`, "[redacted]"},
		"a plus":               {[]string{"abcd"}, "ab+d", "ab+d"},
		"a letter twice":       {[]string{"abcd"}, "abbcd", "abbcd"},
		"after a backslash":    {[]string{"abcd"}, `\abcd`, `\[redacted]`},
		"one character less":   {[]string{"hunter2"}, "hunter", "hunter"},
		"mask within value":    {[]string{"redacted"}, "it was redacted", "it was ***"},
		"value in mask":        {[]string{"acted"}, "who acted?", "who ***?"},
		"mask makes a value":   {[]string{"x[re", "long-value"}, "xlong-value", "x***"},
		"mask ends a value":    {[]string{"ed]x", "long-value"}, "long-valuex", "***x"},
		"two masks will not":   {[]string{"x[re", "x***", "long-value"}, "xlong-value", "x###"},
		"no mask will do":      {[]string{"x[re", "x***", "x###", "long-value"}, "xlong-value", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := scrubber(tt.values...)
			got := s.String(tt.text)
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if again := s.String(got); again != got {
				t.Errorf("scrubbed twice it is %q", again)
			}
		})
	}
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

// A header of Basic authentication holds the password at any of three offsets.
func TestScrubberFindsValuesWithinBase64(t *testing.T) {
	t.Parallel()
	const value = "Qd7?~xW>2z"
	s := scrubber(value)
	for _, before := range []string{"", "u", "us", "usr", "user:"} {
		for _, after := range []string{"", "x", "xy", "xyz"} {
			for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding,
				base64.RawURLEncoding} {
				got := s.String(enc.EncodeToString([]byte(before + value + after)))
				// What stays are digits that also depend on before and after.
				kept := strings.Trim(strings.Replace(got, Redacted, "", 1), "=")
				if most := (len(before)*8+5)/6 + (len(after)*8+5)/6 + 1; !strings.Contains(got, Redacted) ||
					len(kept) > most {
					t.Errorf("of base64 with %d bytes before and %d after stay %d digits, want at most %d", len(before),
						len(after), len(kept), most)
				}
			}
		}
	}
}

func TestScrubberAddDocument(t *testing.T) {
	t.Parallel()
	var s Scrubber
	s.AddDocument(Document{})
	s.AddDocument(mustParse(`{"username": "app", "host": "db.example.com", "password": "pa\"w", "extra": {"token": "token-1"}}`))
	text := `app@db.example.com: pa"w token-1 in {"password": "pa\"w", "token": "token-1"}`
	want := `app@db.example.com: [redacted] [redacted] in {"password": "[redacted]", "token": "[redacted]"}`
	if got := s.String(text); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

type kind string

func (k kind) Error() string { return string(k) }

func TestScrubberError(t *testing.T) {
	t.Parallel()
	s := scrubber("hunter2")
	if s.Error(nil) != nil {
		t.Error("nil became an error")
	}
	cause := &fs.PathError{Op: "open", Path: "/hunter2", Err: io.ErrUnexpectedEOF}
	err := s.Error(fmt.Errorf("login with hunter2: %w: %w", kind("rejected"), cause))
	if want := "login with [redacted]: rejected: open /[redacted]: unexpected EOF"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	wrapped := fmt.Errorf("step: %w", err)
	if !errors.Is(wrapped, io.ErrUnexpectedEOF) || !errors.Is(wrapped, kind("rejected")) || errors.Is(wrapped, io.EOF) {
		t.Error("errors.Is does not see the chain as it is")
	}
	if k, ok := errors.AsType[kind](wrapped); !ok || k != "rejected" {
		t.Error("errors.As does not find the kind")
	}
	if p, ok := errors.AsType[*fs.PathError](wrapped); !ok || p != cause {
		t.Error("errors.As does not find the cause")
	}
	if _, ok := errors.AsType[*url.Error](wrapped); ok {
		t.Error("errors.As finds what is not there")
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		text := fmt.Sprintf(format, err)
		if strings.Contains(text, "hunter2") || strings.Contains(text, hex.EncodeToString([]byte("hunter2"))) {
			t.Errorf("%s shows the value", format)
		}
	}
	var none Scrubber
	if got := none.Error(cause); got.Error() != cause.Error() || !errors.Is(got, cause) {
		t.Error("a Scrubber that knows nothing changes an error")
	}
}

// forms writes a value by the means that programs have, not by those of scrub.go.
func forms(v string) []string {
	var unescaped bytes.Buffer
	enc := json.NewEncoder(&unescaped)
	enc.SetEscapeHTML(false)
	enc.Encode(v)
	inner := func(quoted string) string { return quoted[1 : len(quoted)-1] }
	inJSON := inner(string(must(json.Marshal(v))))
	all := []string{
		v, inJSON, inner(strings.TrimSpace(unescaped.String())), inner(string(must(json.Marshal(inJSON)))),
		inner(strconv.Quote(v)), inner(strconv.QuoteToASCII(v)), inner(strconv.QuoteToGraphic(v)),
		inner(strconv.Quote(inJSON)),
		url.QueryEscape(v), url.PathEscape(v), strings.TrimPrefix(url.UserPassword("", v).String(), ":"),
		strings.ReplaceAll(v, `'`, `''`), strings.ReplaceAll(v, `"`, `""`), strings.ReplaceAll(v, "`", "``"),
		strings.ReplaceAll(v, `\`, `\\`),
		strings.NewReplacer(`'`, `''`, `\`, `\\`).Replace(v),
		strings.NewReplacer(`'`, `\'`, `"`, `\"`, `\`, `\\`, "\n", `\n`, "\r", `\r`).Replace(v),
	}
	b := []byte(v)
	return append(all, hex.EncodeToString(b), fmt.Sprintf("%X", v),
		base64.StdEncoding.EncodeToString(b), base64.RawStdEncoding.EncodeToString(b),
		base64.URLEncoding.EncodeToString(b), base64.RawURLEncoding.EncodeToString(b))
}

func FuzzScrub(f *testing.F) {
	values := []string{
		"hunter2", "hunter2-and-more", "redacted", "[redacted]", "acted]x", "x[red", "e", "***", "\\\\\\\\", `\'\"`,
		"''''", "aaaa", "\xff\xfe\xfd\xfc",
		"pa'ss\"wo\\rd/ <é>\n", "😀\u2028\ufffd\x00", "%41+b c", `\u0061bcd`, "68756e74", "aHVudGVyMg",
	}
	for i, v := range values {
		w := values[(i+1)%len(values)]
		f.Add(v, w, "login with ", ": ", byte(i), byte(i*7))
		f.Add(v, v, v[:len(v)/2], v[len(v)/2:], byte(i), byte(0))
	}
	f.Fuzz(func(t *testing.T, v, w, before, between string, i, j byte) {
		if len(v)+len(w)+len(before)+len(between) > 400 {
			t.Skip("long inputs find nothing that short ones do not")
		}
		s := scrubber(v, w)
		vs, ws := forms(v), forms(w)
		text := before + vs[int(i)%len(vs)] + between + ws[int(j)%len(ws)] + before
		got := s.String(text)
		for _, value := range []string{v, w} {
			if len(value) < minScrubLen {
				continue
			}
			for n, form := range forms(value) {
				if strings.Contains(got, form) {
					t.Fatalf("a scrubbed text holds form %d of a value", n)
				}
			}
		}
		if s.String(got) != got {
			t.Fatal("scrubbing twice is not scrubbing once")
		}
		if v != "" && !errors.Is(s.Error(fmt.Errorf("%s: %w", text, io.EOF)), io.EOF) {
			t.Fatal("a scrubbed error lost its chain")
		}
	})
}

// TestScrubberIsNotHeldUp: what a writer of the secret can put into it takes no minutes to be searched, and where all of
// it cannot be searched, nothing of it stays.
func TestScrubberIsNotHeldUp(t *testing.T) {
	t.Parallel()
	for _, c := range []string{`\`, "a", "ab", `\a`, "%", "\n", "é"} {
		value := strings.Repeat(c, 15_000/len(c))
		if got := scrubber(value).String(value + "-" + value + value); len(got) > len(Redacted) {
			t.Errorf("of %q repeated, %d bytes stay", c, len(got))
		}
	}
}

func BenchmarkScrubberString(b *testing.B) {
	var s Scrubber
	for _, p := range []string{"0123456789abcdef0123456789abcdef", "Xq7~b-W2.m_K9zR4tLp0Yc8HvN3sGdJ1",
		"AbCdEfGhIjKlMnOpQrStUvWxYz012345"} {
		s.Add(NewPassword(p))
	}
	text := strings.Repeat("failed SASL auth: FATAL: password authentication failed for user \"app\" (SQLSTATE "+
		"28P01); ", 4)
	b.ReportAllocs()
	b.Run("backslashes", func(b *testing.B) {
		run := strings.Repeat(`\`, 200)
		s := scrubber(run)
		for b.Loop() {
			s.String(run + run)
		}
	})
	b.Run("letters", func(b *testing.B) {
		run := strings.Repeat("a", 200)
		s := scrubber(run)
		for b.Loop() {
			s.String(run + run)
		}
	})
	b.Run("clean", func(b *testing.B) {
		for b.Loop() {
			s.String(text)
		}
	})
	b.Run("secret", func(b *testing.B) {
		for b.Loop() {
			s.String(text + "Xq7~b-W2.m_K9zR4tLp0Yc8HvN3sGdJ1")
		}
	})
}
