package secret

import (
	"bytes"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"
)

const (
	hiddenValue = "kX4mQ9wZt7"
	hiddenName  = "tR8vB3nL" // the name of a member may be a misplaced value
)

func hiddenDocument() Document {
	return mustParse(`{"password": "` + hiddenValue + `", "` + hiddenName + `": "` + hiddenValue + `"}`)
}

// mustParse parses a text that is known to be good.
func mustParse(text string) Document {
	d, err := ParseDocument(text)
	if err != nil {
		panic(err)
	}
	return d
}

// shown says whether what is hidden can be seen in a text, in clear or in hex.
func shown(text string) bool {
	for _, h := range []string{hiddenValue, hiddenName} {
		digits := hex.EncodeToString([]byte(h))
		for _, form := range []string{h, digits, strings.ToUpper(digits), fmt.Sprint([]byte(h)),
			fmt.Sprintf("% x", h)} {
			if strings.Contains(text, form) {
				return true
			}
		}
	}
	return false
}

type exported[T any] struct {
	XMLName xml.Name `json:"-"`
	Name    string
	Hidden  T
}

type unexported[T any] struct{ hidden T }

type nested[T any] struct {
	inner   unexported[T]
	pointer *unexported[T]
	list    []T
	byName  map[string]T
	any     any
}

// holders gives the ways in which a program may hold a value.
func holders[T any](v T) map[string]any {
	return map[string]any{
		"value":            v,
		"pointer":          &v,
		"exported field":   exported[T]{Hidden: v},
		"unexported field": unexported[T]{v},
		"pointer to field": &unexported[T]{v},
		"slice":            []T{v},
		"array":            [1]T{v},
		"map":              map[string]T{"k": v},
		"interface":        []any{v, &v},
		"nested": nested[T]{
			inner: unexported[T]{v}, pointer: &unexported[T]{v},
			list: []T{v}, byName: map[string]T{"k": v}, any: v,
		},
	}
}

func allHolders() map[string]any {
	var s Scrubber
	s.Add(NewPassword(hiddenValue), NewPassword(hiddenName))
	all := map[string]any{
		"scrubber":       s,
		"scrubbed error": s.Error(fmt.Errorf("login with %s", hiddenValue)),
	}
	for name, h := range holders(NewPassword(hiddenValue)) {
		all["password in "+name] = h
	}
	for name, h := range holders(hiddenDocument()) {
		all["document in "+name] = h
	}
	return all
}

func TestNoVerbShowsASecret(t *testing.T) {
	t.Parallel()
	for name, holder := range allHolders() {
		for _, flags := range []string{"", "+", "#", "-", " ", "0", "+#", "40", ".3", "40.30", "[1]"} {
			for verb := byte('A'); verb <= 'z'; verb++ {
				format := "%" + flags + string(verb)
				if shown(fmt.Sprintf(format, holder)) {
					t.Errorf("%s is shown by %s", name, format)
				}
			}
		}
		if shown(fmt.Sprint(holder)) || shown(fmt.Sprintln(holder)) {
			t.Errorf("%s is shown by Print", name)
		}
	}
}

func TestEveryVerbPrintsRedacted(t *testing.T) {
	t.Parallel()
	for _, v := range []any{NewPassword(hiddenValue), Password{}, hiddenDocument(), Document{}} {
		for _, verb := range "vsqxXdtcUeEfFgGbo" {
			for _, flag := range []string{"", "+", "#"} {
				if got := fmt.Sprintf("%"+flag+string(verb), v); got != Redacted {
					t.Errorf("%%%s%c of %T gives %d bytes, want %s", flag, verb, v, len(got), Redacted)
				}
			}
		}
	}
	for _, v := range []any{NewPassword(hiddenValue), hiddenDocument()} {
		// Handlers and encoders other than the standard library's look for these.
		if got := slog.AnyValue(v).Resolve(); got.Kind() != slog.KindString || got.String() != Redacted {
			t.Errorf("%T does not resolve to %s for slog", v, Redacted)
		}
		if _, ok := v.(json.Marshaler); !ok {
			t.Errorf("%T is no json.Marshaler", v)
		}
	}
	if got := NewPassword(hiddenValue).String() + hiddenDocument().String(); got != Redacted+Redacted {
		t.Error("String does not redact")
	}
}

func TestNoEncoderShowsASecret(t *testing.T) {
	t.Parallel()
	encoders := map[string]func(any) (string, error){
		"json": func(v any) (string, error) {
			b, err := json.Marshal(v)
			return string(b), err
		},
		"xml": func(v any) (string, error) {
			b, err := xml.Marshal(v)
			return string(b), err
		},
		"gob": func(v any) (string, error) {
			var b bytes.Buffer
			err := gob.NewEncoder(&b).Encode(v)
			return b.String(), err
		},
		"slog text": func(v any) (string, error) {
			var b bytes.Buffer
			slog.New(slog.NewTextHandler(&b, nil)).Info("m", "v", v, slog.Group("g", "v", v))
			return b.String(), nil
		},
		"slog json": func(v any) (string, error) {
			var b bytes.Buffer
			slog.New(slog.NewJSONHandler(&b, nil)).Info("m", "v", v, slog.Group("g", "v", v))
			return b.String(), nil
		},
	}
	for encoder, encode := range encoders {
		for name, holder := range allHolders() {
			// An encoder may refuse a type (xml a map, gob a struct with no exported
			// field); what matters is what it shows, its error included.
			text, err := encode(holder)
			if shown(text) || shown(fmt.Sprint(err)) {
				t.Errorf("%s is shown by %s", name, encoder)
			}
		}
		for _, v := range []any{exported[Password]{Hidden: NewPassword(hiddenValue)},
			exported[Document]{Hidden: hiddenDocument()}} {
			text, err := encode(v)
			if err != nil {
				t.Errorf("%s of %T: %v", encoder, v, err)
			}
			if !strings.Contains(text, Redacted) {
				t.Errorf("%s of %T does not say %s", encoder, v, Redacted)
			}
		}
	}
}

func TestNothingIsDecoded(t *testing.T) {
	t.Parallel()
	data := []byte(`"` + Redacted + `"`)
	var p Password
	var d Document
	for name, err := range map[string]error{
		"password json":   json.Unmarshal(data, &p),
		"password null":   json.Unmarshal([]byte("null"), &p),
		"document null":   json.Unmarshal([]byte("null"), &d),
		"password text":   p.UnmarshalText(data),
		"password binary": p.UnmarshalBinary(data),
		"document json":   json.Unmarshal(data, &d),
		"document text":   d.UnmarshalText(data),
		"document binary": d.UnmarshalBinary(data),
	} {
		if !errors.Is(err, errDecode) {
			t.Errorf("%s: got %v, want %v", name, err, errDecode)
		}
	}
}

// Dumpers that go by reflection see unexported fields and call no methods.
func TestReflectionFindsNoSecret(t *testing.T) {
	t.Parallel()
	for name, holder := range allHolders() {
		walk(reflect.ValueOf(holder), 0, func(v reflect.Value) {
			if v.Kind() == reflect.String && shown(v.String()) {
				t.Errorf("%s can be read by reflection", name)
			}
			if v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8 && shown(string(v.Bytes())) {
				t.Errorf("%s can be read by reflection, as bytes", name)
			}
		})
	}
}

func walk(v reflect.Value, depth int, visit func(reflect.Value)) {
	if !v.IsValid() || depth > 20 {
		return
	}
	visit(v)
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		walk(v.Elem(), depth+1, visit)
	case reflect.Struct:
		for i := range v.NumField() {
			walk(v.Field(i), depth+1, visit)
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			walk(v.Index(i), depth+1, visit)
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			walk(k, depth+1, visit)
			walk(v.MapIndex(k), depth+1, visit)
		}
	}
}

// The runtime prints the value of a panic by rules of its own.
func TestNoPanicShowsASecret(t *testing.T) {
	const env = "QUARTERTURN_TEST_PANIC"
	if name := os.Getenv(env); name != "" {
		panic(allHolders()[name])
	}
	t.Parallel()
	for _, name := range []string{
		"password in value", "password in pointer", "password in nested", "password in interface",
		"document in value", "document in pointer", "document in nested", "document in unexported field",
		"scrubber", "scrubbed error",
	} {
		if allHolders()[name] == nil {
			t.Fatalf("there is no holder %q", name)
		}
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestNoPanicShowsASecret$")
		cmd.Env = append(os.Environ(), env+"="+name)
		out, err := cmd.CombinedOutput()
		if err == nil || !bytes.Contains(out, []byte("panic: ")) {
			t.Fatalf("%s: the child did not panic: %v", name, err)
		}
		if shown(string(out)) {
			t.Errorf("%s is shown by a panic", name)
		}
	}
}

func TestPassword(t *testing.T) {
	t.Parallel()
	p, q := NewPassword(hiddenValue), NewPassword(hiddenName)
	switch {
	case p.Reveal() != hiddenValue:
		t.Error("Reveal is not what NewPassword got")
	case p.Empty() || !(Password{}).Empty() || !NewPassword("").Empty():
		t.Error("Empty is wrong")
	case !p.Equal(NewPassword(hiddenValue)) || p.Equal(q) || p.Equal(Password{}):
		t.Error("Equal is wrong")
	case !(Password{}).Equal(NewPassword("")):
		t.Error("empty passwords differ")
	}
}
