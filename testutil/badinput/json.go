package badinput

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
)

// object is a JSON object by members, in order, as raw JSON.
type object []member

type member struct{ key, raw string }

func parse(valid string) object {
	dec := json.NewDecoder(strings.NewReader(valid))
	if token, err := dec.Token(); err != nil || token != json.Delim('{') {
		panic("hostile: what is to be spoilt must be a JSON object")
	}
	var o object
	for dec.More() {
		key, err := dec.Token()
		var raw json.RawMessage
		if err == nil {
			err = dec.Decode(&raw)
		}
		if err != nil {
			panic("hostile: what is to be spoilt is not JSON: " + err.Error())
		}
		o = append(o, member{key.(string), string(raw)})
	}
	return o
}

func (o object) String() string {
	members := make([]string, len(o))
	for i, m := range o {
		members[i] = quote(m.key) + ":" + m.raw
	}
	return "{" + strings.Join(members, ",") + "}"
}

// with gives an object in which a member is raw; it comes last if it is new.
func (o object) with(key, raw string) object {
	o = slices.Clone(o)
	for i := range o {
		if o[i].key == key {
			o[i].raw = raw
			return o
		}
	}
	return append(o, member{key, raw})
}

func (o object) without(key string) object {
	return slices.DeleteFunc(slices.Clone(o), func(m member) bool { return m.key == key })
}

func (o object) twice(key, raw string) object {
	return append(slices.Clone(o), member{key, raw})
}

// quote writes a JSON string. Bytes that are no UTF-8 stay.
func quote(s string) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		panic(err)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// shapes are what stands in place of a JSON object, or nearly is one. body is one
// that is right.
func shapes(body string) []Input {
	utf16Text := func(little bool) string {
		var b []byte
		for _, u := range utf16.Encode([]rune("\ufeff" + body)) {
			if little {
				b = append(b, byte(u), byte(u>>8))
			} else {
				b = append(b, byte(u>>8), byte(u))
			}
		}
		return string(b)
	}
	open := strings.TrimSuffix(body, "}")
	var all []Input
	add := func(name, text string) { all = append(all, Input{Name: name, Text: text}) }
	for _, k := range kinds {
		if k.name != "an empty object" && k.name != "an object" {
			add(k.name+" in place of an object", k.s)
		}
	}
	add("an empty object", `{}`)
	add("an object of one member", `{"value":"app"}`)
	add("white space", " \t\r\n")
	add("a string", `"app"`)
	add("the object in a string", quote(body))
	add("the object in an array", "["+body+"]")
	add("the object in an object", `{"secret":`+body+`}`)
	add("two objects", body+body)
	add("two objects on two lines", body+"\n"+body)
	add("something after the object", body+" x")
	add("a NUL after the object", body+"\x00")
	add("a brace too many", body+"}")
	add("a comma too many", open+",}")
	add("a comma at the beginning", "{,"+strings.TrimPrefix(body, "{"))
	add("a byte order mark", "\ufeff"+body)
	add("UTF-16, little end first", utf16Text(true))
	add("UTF-16, big end first", utf16Text(false))
	add("UTF-8 cut short", open+`,"more":"`+"\xe2\x82"+`"`)
	add("single quotes", strings.ReplaceAll(body, `"`, `'`))
	add("typographic quotes", strings.ReplaceAll(body, `"`, `”`))
	add("no quotes", strings.ReplaceAll(body, `"`, ``))
	add("equal signs", strings.ReplaceAll(body, `":`, `"=`))
	add("a comment", "// a secret\n"+body)
	add("a comment inside", open+"/* more */}")
	add("a line feed in a string", open+",\"more\":\"a\nb\"}")
	add("a NUL in a string", open+",\"more\":\"a\x00b\"}")
	add("a bad escape", open+`,"more":"\x41"}`)
	add("half an escape", open+`,"more":"\u00"}`)
	add("NaN", open+`,"more":NaN}`)
	add("Infinity", open+`,"more":-Infinity}`)
	add("a leading zero", open+`,"more":01}`)
	add("a plus sign", open+`,"more":+1}`)
	add("a name without a value", open+`,"more"}`)
	add("a name that is a number", open+`,1:2}`)
	add("a name that is null", open+`,null:2}`)
	add("hex", open+`,"more":0x10}`)
	add("True", open+`,"more":True}`)
	add("YAML", "Step: createSecret\nusername: app\n")
	add("XML", `<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>`)
	add("a form", "Step=createSecret&username=app")
	add("gzip", "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03")
	add("random bytes", "\x80\x81\xfe\xff\x00\x01\xc0\xaf")
	add("base64", "eyJTdGVwIjoiY3JlYXRlU2VjcmV0In0=")
	add("65,536 brackets", strings.Repeat("[", Large))
	add("65,536 braces", strings.Repeat(`{"":`, Large/4))
	add("20,000 objects in one another", strings.Repeat(`{"a":`, 20000)+"1"+strings.Repeat("}", 20000))
	add("65,536 quotes", strings.Repeat(`"`, Large))
	add("65,536 NULs", strings.Repeat("\x00", Large))
	add("a string of 65,536 bytes", quote(strings.Repeat("x", Large-2)))
	for end := 1; end < len(body); end += 4 {
		add(fmt.Sprintf("cut off after %d bytes", end), body[:end])
	}
	return all
}
