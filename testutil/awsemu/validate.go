package awsemu

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Inputs are structs whose check tags repeat the service model. A tag is a list
// of words:
//
//	required      the member must be there
//	len=1-2048    characters of a string, bytes of a blob, items of a list
//	bytes=1-65536 the same in bytes, for secret values
//	min=1 max=20  of a number
//	pattern=name  one of patterns
//	name          a secret's name, or an ARN
//	enum=a|b      one of these
//	each:WORD     a word for each item of a list
//
// A member that is absent or null is not checked further, and one that is there
// and empty is: VersionStage "" is an error and no VersionStage is not.

var patterns = map[string]*regexp.Regexp{
	"duration": regexp.MustCompile(`^[0-9]+h$`),
	"filter":   regexp.MustCompile(`^!?[a-zA-Z0-9 :_@/+=.\-!]*$`),
	"number":   regexp.MustCompile(`^[0-9]+$`),
	"region":   regexp.MustCompile(`^([a-z]+-)+\d+$`),
	"schedule": regexp.MustCompile(`^[0-9A-Za-z()#?*\-/, ]+$`),
	"session":  regexp.MustCompile(`^[\w+=,.@-]*$`),
	"token":    regexp.MustCompile(`^[a-zA-Z0-9\-]+$`),
}

// decode fills a struct from JSON and then holds it to its check tags: as with the service, a value of the wrong type
// comes before everything else that is wrong. Names are compared exactly, as the service does and encoding/json does
// not; members that the struct does not know are ignored, as the service does. Errors never quote a secret value.
func decode(body []byte, into any) error {
	if len(body) == 0 {
		body = []byte("{}")
	}
	var d decoder
	if err := d.value(body, reflect.ValueOf(into).Elem(), ""); err != nil {
		return err
	}
	for _, check := range d.checks {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// decoder collects what is to be checked once every type is right.
type decoder struct{ checks []func() error }

func (d *decoder) value(raw json.RawMessage, v reflect.Value, path string) error {
	switch {
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return d.value(raw, v.Elem(), path)
	case v.Kind() == reflect.Struct:
		return d.structure(raw, v, path)
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() != reflect.Uint8:
		return d.list(raw, v, path)
	}
	// A blob is a string; encoding/json would take a list of numbers, too.
	if v.Kind() == reflect.Slice && raw[0] != '"' || json.Unmarshal(raw, v.Addr().Interface()) != nil {
		return refuse(codeSerialization, "The value at '%s' is of the wrong type.", path)
	}
	return nil
}

func (d *decoder) structure(raw json.RawMessage, v reflect.Value, path string) error {
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &members) != nil || members == nil {
		return refuse(codeSerialization, "The request is not a JSON object where one belongs.")
	}
	for i := range v.NumField() {
		field := v.Type().Field(i)
		at := join(path, strings.ToLower(field.Name[:1])+field.Name[1:])
		tag := strings.Fields(field.Tag.Get("check"))
		raw, ok := members[field.Name]
		if !ok || string(raw) == "null" {
			if len(tag) > 0 && tag[0] == "required" {
				d.checks = append(d.checks, func() error {
					return broken(at, reflect.Value{}, "Member must not be null")
				})
			}
			continue
		}
		if err := d.value(raw, v.Field(i), at); err != nil {
			return err
		}
		d.checks = append(d.checks, func() error { return check(v.Field(i), tag, at) })
	}
	return nil
}

func (d *decoder) list(raw json.RawMessage, v reflect.Value, path string) error {
	var items []json.RawMessage
	if json.Unmarshal(raw, &items) != nil {
		return refuse(codeSerialization, "The value at '%s' is not a list.", path)
	}
	v.Set(reflect.MakeSlice(v.Type(), len(items), len(items)))
	for i, item := range items {
		at := fmt.Sprintf("%s.%d.member", path, i+1)
		if string(item) == "null" {
			d.checks = append(d.checks, func() error { return broken(at, reflect.Value{}, "Member must not be null") })
			continue
		}
		if err := d.value(item, v.Index(i), at); err != nil {
			return err
		}
	}
	return nil
}

func check(v reflect.Value, tag []string, path string) error {
	v = reflect.Indirect(v)
	for _, word := range tag {
		if each, ok := strings.CutPrefix(word, "each:"); ok {
			for i := range v.Len() {
				if err := check(v.Index(i), []string{each}, fmt.Sprintf("%s.%d.member", path, i+1)); err != nil {
					return err
				}
			}
			continue
		}
		if word == "name" {
			if err := checkName(v.String()); err != nil {
				return err
			}
			continue
		}
		if must := violation(v, word); must != "" {
			return broken(path, v, must)
		}
	}
	return nil
}

// violation is what the word of a tag demands and the value does not do; "" if
// all is well.
func violation(v reflect.Value, word string) string {
	name, arg, _ := strings.Cut(word, "=")
	switch name {
	case "len", "bytes":
		low, high := bounds(arg)
		switch n := length(v, name == "bytes"); {
		case n < low:
			return fmt.Sprintf("Member must have length greater than or equal to %d", low)
		case n > high:
			return fmt.Sprintf("Member must have length less than or equal to %d", high)
		}
	case "min":
		if low, _ := strconv.ParseInt(arg, 10, 64); v.Int() < low {
			return fmt.Sprintf("Member must have value greater than or equal to %d", low)
		}
	case "max":
		if high, _ := strconv.ParseInt(arg, 10, 64); v.Int() > high {
			return fmt.Sprintf("Member must have value less than or equal to %d", high)
		}
	case "pattern":
		if !patterns[arg].MatchString(v.String()) {
			return "Member must satisfy regular expression pattern: " + strings.Trim(patterns[arg].String(), "^$")
		}
	case "enum":
		if !strings.Contains("|"+arg+"|", "|"+v.String()+"|") {
			return "Member must satisfy enum value set: [" + strings.ReplaceAll(arg, "|", ", ") + "]"
		}
	}
	return ""
}

func length(v reflect.Value, bytes bool) int {
	if v.Kind() == reflect.String && !bytes {
		return utf8.RuneCountInString(v.String())
	}
	return v.Len()
}

func bounds(arg string) (low, high int) {
	a, b, _ := strings.Cut(arg, "-")
	low, _ = strconv.Atoi(a)
	high, _ = strconv.Atoi(b)
	return low, high
}

// broken is the answer to a member that the model does not allow. Short text that is no value of a secret is quoted, as
// the services do.
func broken(path string, v reflect.Value, must string) error {
	at := "Value at"
	switch {
	case !v.IsValid() || valueMembers[path]:
	case v.Kind() == reflect.String && v.Len() <= 256:
		at = "Value '" + v.String() + "' at"
	case v.CanInt():
		at = fmt.Sprintf("Value '%d' at", v.Int())
	}
	return refuse(codeValidation, "1 validation error detected: %s '%s' failed to satisfy constraint: %s", at, path,
		must)
}

// valueMembers are never quoted.
var valueMembers = map[string]bool{"secretString": true, "secretBinary": true, "rotationToken": true}

var secretName = regexp.MustCompile(`^(arn:[^ ]*:secret:)?[A-Za-z0-9/_+=.@!\-]+$`)

// checkName refuses what cannot be the name of a secret, or an ARN with one, before anything is looked up.
func checkName(id string) error {
	if secretName.MatchString(id) || strings.HasPrefix(id, "arn:") && !strings.ContainsAny(id, " *?\\[]{}<>\"'") {
		return nil
	}
	return refuse(codeValidation, "Invalid name. Must be a valid name containing alphanumeric characters, or any of "+
		"the following: -/_+=.@!")
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
