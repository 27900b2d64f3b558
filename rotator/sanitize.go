package rotator

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
)

// sanitizeFields makes every text fit to be seen that v, a pointer to a struct, holds in
// exported fields, at any depth: values that must not be seen are masked, and what would
// forge a line of a log is escaped. It goes by the type, so that a field which is added
// later cannot be forgotten.
func (v *invocation) sanitizeFields(of any) { v.sanitizeValue(reflect.ValueOf(of).Elem()) }

// sanitizeValue leaves alone the strings of a type with a name: closed sets, of our own
// words, which a password may be equal to. It changes no slice and no map in place, for
// others may hold them: a Store, for one.
func (v *invocation) sanitizeValue(at reflect.Value) {
	switch at.Kind() {
	case reflect.String:
		if at.Type().PkgPath() == "" {
			at.SetString(v.sanitize(at.String()))
		}
	case reflect.Struct:
		for i := range at.NumField() {
			if f := at.Field(i); f.CanSet() {
				v.sanitizeValue(f)
			}
		}
	case reflect.Pointer:
		v.sanitizeValue(at.Elem()) // of nil: of no kind
	case reflect.Slice:
		if at.IsNil() {
			return
		}
		clone := reflect.MakeSlice(at.Type(), at.Len(), at.Len())
		reflect.Copy(clone, at)
		for i := range clone.Len() {
			v.sanitizeValue(clone.Index(i))
		}
		at.Set(clone)
	case reflect.Map:
		if at.IsNil() {
			return
		}
		clone := reflect.MakeMap(at.Type())
		for entries := at.MapRange(); entries.Next(); {
			key, value := reflect.New(at.Type().Key()).Elem(), reflect.New(at.Type().Elem()).Elem()
			key.Set(entries.Key())
			value.Set(entries.Value())
			v.sanitizeValue(key)
			v.sanitizeValue(value)
			clone.SetMapIndex(key, value)
		}
		at.Set(clone)
	}
}

// sanitize makes a text fit to be seen.
func (v *invocation) sanitize(text string) string { return v.scrub.String(escapeControl(text)) }

// sanitizedError is an error that shows what would forge a line of a log, or hide in one:
// databases repeat the names that they are asked for as they are.
type sanitizedError struct{ error }

func (l sanitizedError) Error() string { return escapeControl(l.error.Error()) }
func (l sanitizedError) Unwrap() error { return l.error }

// escapeControl writes what is not printable as Go would. The scrubber knows a secret in
// that spelling too.
func escapeControl(text string) string {
	var b strings.Builder
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, text[0])
		case strconv.IsPrint(r):
			b.WriteString(text[:size])
		default:
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
		text = text[size:]
	}
	return b.String()
}
