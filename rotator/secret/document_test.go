package secret

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestSameValue: what a member means, and not how it is written.
func TestSameValue(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{`{"k":5432}`, `{"k":"5432"}`, true}, {`{"k":5432}`, `{"k":5433}`, false}, {`{"k":5432}`, `{}`, false},
		{`{"k":true}`, `{"k":"True"}`, true}, {`{"k":true}`, `{"k":"yes"}`, false}, {`{"k":false}`, `{}`, false},
		{`{"k":null}`, `{}`, true}, {`{"k":""}`, `{}`, true}, {`{"k":"null"}`, `{}`, false},
		{`{"k":"a"}`, `{"k":"a"}`, true}, {`{"k":"a"}`, `{"k":"b"}`, false}, {`{"k":[1, 2]}`, `{"k":[1,2]}`, true},
		{`{"k":"A"}`, `{"k":"a"}`, false},
	} {
		a, err := ParseDocument(c.a)
		if err != nil {
			t.Fatal(err)
		}
		b, err := ParseDocument(c.b)
		if err != nil {
			t.Fatal(err)
		}
		if a.SameValue(b, "k") != c.want || b.SameValue(a, "k") != c.want {
			t.Errorf("%s and %s: want %t", c.a, c.b, c.want)
		}
	}
}

func TestParseDocumentRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ text, want string }{
		"empty":              {"", "is empty"},
		"blank":              {" \r\n\t", "is empty"},
		"bare password":      {"hunter2", "not JSON at byte offset 0"},
		"Python's quotes":    {`{'a': 1}`, "not JSON at byte offset 1"},
		"bad value":          {`{"a": hunter2}`, "not JSON at byte offset 6"},
		"comma at the end":   {`{"a": 1,}`, "not JSON at byte offset 8"},
		"control character":  {"{\"a\": \"\x01\"}", "not JSON at byte offset 7"},
		"NaN":                {`{"a": NaN}`, "not JSON at byte offset 6"},
		"cut off":            {`{"a": "hunter2`, "ends before its JSON does"},
		"only a brace":       {`{`, "ends before its JSON does"},
		"array":              {`["hunter2"]`, "is an array and not"},
		"string":             {` "hunter2"`, "is a string and not"},
		"number":             {`31337`, "is a number and not"},
		"negative":           {`-31337`, "is a number and not"},
		"boolean":            {`true`, "is a boolean and not"},
		"null":               {`null`, "is null and not"},
		"trailing text":      {`{"a": 1} hunter2`, "goes on after its JSON ends, at byte offset 9"},
		"two objects":        {`{"a": 1}{"b": 2}`, "goes on after its JSON ends, at byte offset 8"},
		"duplicate":          {`{"a": 1, "b": 2, "a": 3}`, "two members of the same name, the second at byte offset 17"},
		"duplicate, escaped": {`{"a": 1, "\u0061": 2}`, "two members of the same name, the second at byte offset 9"},
		"invalid UTF-8":      {"{\"a\ufffd\": \"\xff\"}", "not valid UTF-8 at byte offset 10"},
		"byte order mark":    {"\ufeff{}", "byte order mark"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, err := ParseDocument(tt.text)
			if err == nil {
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %q, want %q in it", err, tt.want)
			}
			if !d.IsZero() {
				t.Error("a document came with the error")
			}
			checkErrorText(t, err)
		})
	}
}

// checkErrorText holds errors to a closed list of sentences with nothing but
// offsets filled in, so that no fragment of a value can be in one.
func checkErrorText(t *testing.T, err error) {
	t.Helper()
	sentence := regexp.MustCompile(`offset \d+`).ReplaceAllString(err.Error(), "offset N")
	for _, known := range []string{
		"secret value is empty" + storeHint,
		"secret value is not valid UTF-8 at byte offset N; store it as UTF-8",
		"secret value begins with a byte order mark; store it as UTF-8 without one",
		"secret value is not JSON at byte offset N" + storeHint,
		"secret value ends before its JSON does" + storeHint,
		"secret value goes on after its JSON ends, at byte offset N" + storeHint,
		"secret value is an array and not a JSON object" + storeHint,
		"secret value is a string and not a JSON object" + storeHint,
		"secret value is a boolean and not a JSON object" + storeHint,
		"secret value is a number and not a JSON object" + storeHint,
		"secret value is null and not a JSON object" + storeHint,
		"secret value has two members of the same name, the second at byte offset N; remove one of them",
	} {
		if sentence == known {
			return
		}
	}
	t.Errorf("an error of %d bytes is none of the known sentences", len(sentence))
}

func TestDocumentReads(t *testing.T) {
	t.Parallel()
	d := mustParse(` {
		"engine": "postgres", "n": null, "port": 5432, "text port": "05432",
		"float": 5432.0, "exp": 5e3, "big": 99999999999999999999, "neg": -3, "signed": "+3", "spaced": " 3", "empty": "",
		"t": true, "f": false, "T": "TRUE", "F": "False", "yes": "yes", "one": 1,
		"esc\u0061ped": "\u00e9\"\\\/\n", "object": {"port": 1, "t": true}, "list": ["x"],
		"password": "p"
	} `)
	texts := map[string]string{
		"engine": "postgres", "n": "", "port": "", "text port": "05432", "t": "", "T": "TRUE",
		"escaped": "é\"\\/\n", "object": "", "list": "", "absent": "", "Engine": "", "password": "p",
	}
	for key, want := range texts {
		if got := d.Text(key); got != want {
			t.Errorf("Text(%q) = %q, want %q", key, got, want)
		}
	}
	ints := map[string]int{"port": 5432, "text port": 5432, "neg": -3, "one": 1}
	bools := map[string]bool{"t": true, "T": true, "f": false, "F": false}
	for _, key := range append(d.Keys(), "absent") {
		wantInt, okInt := ints[key]
		if got, ok := d.Int(key); got != wantInt || ok != okInt {
			t.Errorf("Int(%q) = %d, %t, want %d, %t", key, got, ok, wantInt, okInt)
		}
		wantBool, okBool := bools[key]
		if got, ok := d.Bool(key); got != wantBool || ok != okBool {
			t.Errorf("Bool(%q) = %t, %t, want %t, %t", key, got, ok, wantBool, okBool)
		}
		if d.Has(key) != (key != "absent") {
			t.Errorf("Has(%q) = %t", key, d.Has(key))
		}
	}
	if got, want := d.Keys()[:4], []string{"engine", "n", "port", "text port"}; !slices.Equal(got, want) {
		t.Errorf("Keys() begins %q, want %q", got, want)
	}
	if !d.Password().Equal(NewPassword("p")) {
		t.Error("Password is not the member password")
	}
	if !mustParse(`{"password": 12345678}`).Password().Empty() {
		t.Error("a number passes for a password")
	}
}

func TestDocumentSet(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ text, key, value, want string }{
		"replace":           {`{"a": "1" , "b":"2"}`, "a", "x", `{"a": "x" , "b":"2"}`},
		"replace the last":  {`{"a":"1","b" : "2" }`, "b", "x", `{"a":"1","b" : "x" }`},
		"replace an object": {`{"a":{"b":[1, 2]},"c":3.50}`, "a", "x", `{"a":"x","c":3.50}`},
		"replace a number":  {`{"a":1 ,"c":3}`, "a", "x", `{"a":"x" ,"c":3}`},
		"replace null":      {"{\"a\":null\n}", "a", "x", "{\"a\":\"x\"\n}"},
		"escaped name":      {`{"\u0061":1}`, "a", "x", `{"\u0061":"x"}`},
		"same value":        {`{"a":"\u0031"}`, "a", "1", `{"a":"\u0031"}`},
		"others keep bytes": {`{"z":1.0e0,"h":"\u003c\/","a":"1","big":12345678901234567890}`, "a", "x", `{"z":1.0e0,"h":"\u003c\/","a":"x","big":12345678901234567890}`},
		"no HTML escaping":  {`{}`, "a", `<&>"'\/é`, `{"a":"<&>\"'\\/é"}`},
		"into nothing":      {`{}`, "a", "1", `{"a":"1"}`},
		"nothing, new":      {`{}`, "a", "", `{"a":""}`},
		"nothing, replaced": {`{"a":1}`, "a", "", `{"a":""}`},
		"nothing for null":  {`{"a":null}`, "a", "", `{"a":""}`},
		"into white space":  {"{ }", "a", "1", `{"a":"1" }`},
		"new, dense":        {`{"a":1}`, "b", "2", `{"a":1,"b":"2"}`},
		"new, spaced":       {`{"a": 1}`, "b", "2", `{"a": 1, "b": "2"}`},
		"new, spaced twice": {`{"a": 1, "c": 3}`, "b", "2", `{"a": 1, "c": 3, "b": "2"}`},
		"new, padded":       {`{ "a": 1 }`, "b", "2", `{ "a": 1, "b": "2" }`},
		"new, lines":        {"{\n  \"a\": 1\n}\n", "b", "2", "{\n  \"a\": 1,\n  \"b\": \"2\"\n}\n"},
		"new, comma first":  {"{ \"a\": 1\n, \"c\": 3\n}", "b", "2", "{ \"a\": 1\n, \"c\": 3, \"b\": \"2\"\n}"},
		"new, after object": {`{"o": {"x": "}"}}`, "b", "2", `{"o": {"x": "}"}, "b": "2"}`},
		"not UTF-8":         {`{"` + "\ufffd\ufffd" + `":"1"}`, "\xff\xfe", "\xffa", `{"` + "\ufffd\ufffd" + `":"` + "\ufffd" + `a"}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := mustParse(tt.text)
			got := d.Set(tt.key, tt.value)
			if text := got.Encode().Reveal(); text != tt.want {
				t.Errorf("got  %s\nwant %s", text, tt.want)
			}
			if d.Encode().Reveal() != tt.text {
				t.Error("Set changed the document it was called on")
			}
			if reparsed, err := ParseDocument(tt.want); err != nil || !reparsed.Equal(got) ||
				!slices.Equal(reparsed.Keys(), got.Keys()) {
				t.Errorf("the result does not parse to itself: %v", err)
			}
		})
	}
}

func TestZeroDocument(t *testing.T) {
	t.Parallel()
	var d Document
	if !d.IsZero() || d.Has("a") || d.Keys() != nil || d.Text("a") != "" || d.SecretValues() != nil {
		t.Error("the zero Document is not empty")
	}
	if !d.Encode().Empty() || !d.Password().Empty() || !d.Equal(Document{}) || d.Equal(mustParse("{}")) {
		t.Error("the zero Document is not no document")
	}
	if got := d.Set("a", "1").SetPassword(NewPassword("p")).Encode().Reveal(); got != `{"a":"1","password":"p"}` {
		t.Errorf("Set on the zero Document gives %s", got)
	}
	if mustParse("{}").IsZero() {
		t.Error("an empty object passes for no document")
	}
}

func TestDocumentEqual(t *testing.T) {
	t.Parallel()
	d := mustParse(`{"a":"1"}`)
	if !d.Equal(mustParse(`{"a":"1"}`)) || d.Equal(mustParse(`{"a": "1"}`)) || d.Equal(d.Set("a", "2")) {
		t.Error("Equal does not compare bytes")
	}
}

func TestDocumentDiffering(t *testing.T) {
	t.Parallel()
	d := mustParse(`{"username":"app","password":"p1","port":5432,"gone":null}`)
	for text, want := range map[string]string{
		`{"username":"app","password":"p1","port":5432,"gone":null}`:    "[]",
		`{ "gone": null, "port":5432,"password":"p1","username":"app"}`: "[]",
		`{"username":"app","password":"p2","port":"5432","new":1}`:      "[password port gone new]",
	} {
		if got := fmt.Sprint(d.ChangedKeys(mustParse(text))); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	if got := fmt.Sprint(d.ChangedKeys(Document{})); got != "[username password port gone]" {
		t.Errorf("no document: %s", got)
	}
}

func TestDocumentSameLogin(t *testing.T) {
	t.Parallel()
	d := mustParse(`{"username":"app","password":"p1"}`)
	for text, want := range map[string]bool{
		`{"password":"p1","username":"app","colour":"red"}`: true,
		`{"username":"app","password":"p2"}`:                false,
		`{"username":"app_clone","password":"p1"}`:          false,
		`{"username":"app"}`:                                false,
	} {
		if got := d.SameCredentials(mustParse(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
	if none := mustParse(`{"username":"app"}`); none.SameCredentials(none) {
		t.Error("two documents without a password are the same login")
	}
}

func TestDocumentSecrets(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		text string
		want []string
	}{
		"none": {`{}`, nil},
		"public": {`{"engine":"postgres","host":"db.example.com","port":"543211","username":"app_user","dbname":"inventory",
			"ssl":"truetrue","dbInstanceIdentifier":"instance","dbClusterIdentifier":"cluster","masterarn":"arn:aws:x",
			"alternateUsername":"app_user_clone","tlsServerName":"db.internal"}`, nil},
		"short":               {`{"password":"x","other":"12345","number":12345}`, []string{"x"}},
		"long":                {`{"apiKey":"123456","number":1234567.5}`, []string{"123456", "1234567.5"}},
		"empty":               {`{"password":"","other":""}`, nil},
		"number for password": {`{"password":1234}`, []string{"1234"}},
		"parts of password":   {`{"password":["a",{"b":"c"}]}`, []string{"a", "c"}},
		"nested":              {`{"o":{"password":"nested-1","l":["nested-2",[1234567]],"t":true,"n":null}}`, []string{"nested-1", "nested-2", "1234567"}},
		"nested twice":        {`{"o":{"x":"nested-1","x" : "nested-2"}}`, []string{"nested-1", "nested-2"}},
		"below a public name": {`{"host":{"token":"nested-1"}}`, []string{"nested-1"}},
		"public name below":   {`{"o":{"host":"nested-1"}}`, []string{"nested-1"}},
		"below a list":        {`{"rotates":{"x":"nested-1"},"other":["nested-2"]}`, []string{"nested-1", "nested-2"}},
		"public lists":        {`{"rotates":["app_user/app_clone"],"nodes":["node-1.test"],"a":["app_user/app_clone"],"b":"node-1.test"}`, nil},
		"public value again":  {`{"username":"app_user","owner":"app_user"}`, nil},
		"password is public":  {`{"username":"app_user","password":"app_user"}`, []string{"app_user"}},
		"case matters":        {`{"Host":"db.example.com"}`, []string{"db.example.com"}},
		"decoded":             {`{"token":"\u0061bcde\/"}`, []string{"abcde/"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, p := range mustParse(tt.text).SecretValues() {
				got = append(got, p.Reveal())
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func FuzzParseDocument(f *testing.F) {
	for _, text := range []string{
		"", "hunter2", "{}", "{ }", "[]", `"s"`, "null", "-1.5e3", "{", `{"a"`, `{"a":}`, `{"a":1,}`, `{} x`,
		"\ufeff{}", "{\"\xff\":1}",
		`{"engine":"postgres","host":"h","port":5432,"username":"u","password":"p","ssl":true}`,
		`{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, `{"a":"\ud800"}`, `{"\ud800":1,"\ud801":2}`, `{"":""}`,
		"{\n\t\"a\" : [ {\"}\":\"]\"} ] ,\r\n\t\"b\":1e400 }\n", `{"password":{"x":["y",1]},"o":{"k":"v","k":"w"}}`,
	} {
		f.Add(text, "password", "s3cr3t\"\\<\u2028")
		f.Add(text, "a", "\xff")
	}
	f.Fuzz(func(t *testing.T, text, key, value string) {
		d, err := ParseDocument(text)
		if err != nil {
			checkErrorText(t, err)
			return
		}
		if !json.Valid([]byte(text)) || !utf8.ValidString(text) {
			t.Fatal("parsed what is not JSON in UTF-8")
		}
		if d.Encode().Reveal() != text {
			t.Fatal("the text changed by being parsed")
		}
		checkMembers(t, d)
		checkSet(t, d, key, value)
		d.SecretValues()
	})
}

// checkMembers compares with what encoding/json makes of the text.
func checkMembers(t *testing.T, d Document) {
	t.Helper()
	var want map[string]json.RawMessage
	if err := json.Unmarshal([]byte(d.Encode().Reveal()), &want); err != nil {
		t.Fatal("a document is not a JSON object")
	}
	keys := d.Keys()
	if len(keys) != len(want) {
		t.Fatalf("%d members, want %d", len(keys), len(want))
	}
	for i, key := range keys {
		if d.raw(key) != string(want[key]) {
			t.Fatalf("member %d has other bytes", i)
		}
	}
}

// checkSet sets a member and compares all others.
func checkSet(t *testing.T, d Document, key, value string) {
	t.Helper()
	set := d.Set(key, value)
	reparsed, err := ParseDocument(set.Encode().Reveal())
	if err != nil {
		t.Fatalf("the result of Set does not parse: %v", err)
	}
	key, value = string([]rune(key)), string([]rune(value))
	if reparsed.Text(key) != value || set.Text(key) != value {
		t.Fatal("the value set is not the value read")
	}
	keys := d.Keys()
	if !d.Has(key) {
		keys = append(keys, key)
	}
	if !slices.Equal(reparsed.Keys(), keys) || !slices.Equal(set.Keys(), keys) {
		t.Fatal("Set changed the order of the members")
	}
	if around(set, key) != around(d, key) && d.Has(key) {
		t.Fatal("Set changed bytes outside the value")
	}
	for i, k := range keys {
		if k != key && (set.raw(k) != d.raw(k) || reparsed.raw(k) != d.raw(k)) {
			t.Fatalf("Set changed the bytes of member %d", i)
		}
	}
	if again := set.Set(key, value); !again.Equal(set) {
		t.Fatal("setting the same value again changed something")
	}
}

// around gives the text of a document without the value of one member.
func around(d Document, key string) string {
	c := d.content()
	m, _ := c.member(key)
	return c.text[:m.start] + c.text[m.end:]
}

func BenchmarkParseDocument(b *testing.B) {
	const text = `{"engine":"postgres","host":"db.example.com","port":5432,"username":"app","password":"0123456789abcdef0123456789abcdef","dbname":"app","masterarn":"arn:aws:secretsmanager:eu-central-1:123456789012:secret:admin-AbCdEf"}`
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseDocument(text); err != nil {
			b.Fatal(err)
		}
	}
}

// TestValuesOfOtherShapes: an engine's own keys may be strings, lists or anything else.
func TestValuesOfOtherShapes(t *testing.T) {
	d := mustParse(`{"object": { "a" : 1 }, "list": ["x", "y"], "mixed": ["x", 1], "string": " s ", "true": true}`)
	for key, want := range map[string]string{
		"object": `{"a":1} []`, "list": `["x","y"] [x y]`, "mixed": `["x",1] []`, "string": " s  [ s ]", "true": "true []", "absent": " []",
	} {
		if got := fmt.Sprintf("%s %s", d.Compact(key), d.Texts(key)); got != want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
}

// TestShape: each kind of JSON value has a name for sentences, and a member that is not there has none.
func TestShape(t *testing.T) {
	d := mustParse(`{"object":{},"array":[],"string":"","true":true,"false":false,"null":null,"number":-1}`)
	for key, want := range map[string]string{
		"object": "an object", "array": "an array", "string": "a string", "true": "a boolean", "false": "a boolean",
		"null": "null", "number": "a number", "absent": "",
	} {
		if got := d.Shape(key); got != want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
}
