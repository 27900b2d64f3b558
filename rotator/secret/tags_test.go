package secret

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestTagChoices: a tag chooses among what the function allows, and nothing else.
func TestTagChoices(t *testing.T) {
	t.Parallel()
	const allowed = "password-length=16-64,password-preset=uri-safe|alphanumeric"
	for name, c := range map[string]struct {
		choices string
		tags    map[string]string
		want    PasswordPolicy
		refused string // keys
	}{
		"no tags":             {allowed, nil, PasswordPolicy{Length: 32}, ""},
		"a length":            {allowed, map[string]string{TagLength: "16"}, PasswordPolicy{Length: 16}, ""},
		"the longest":         {allowed, map[string]string{TagLength: "64"}, PasswordPolicy{Length: 64}, ""},
		"the only one":        {"password-length=16-16", map[string]string{TagLength: "16"}, PasswordPolicy{Length: 16}, ""},
		"the bounds":          {"password-length=8-256", map[string]string{TagLength: "256"}, PasswordPolicy{Length: 256}, ""},
		"a preset":            {allowed, map[string]string{TagPreset: "alphanumeric"}, PasswordPolicy{Length: 32, ExcludePunctuation: true}, ""},
		"others are others'":  {allowed, map[string]string{"team": "x", "quarterturn": "prod", "quarterturn:accept": "F26"}, PasswordPolicy{Length: 32}, ""},
		"below":               {allowed, map[string]string{TagLength: "15"}, PasswordPolicy{}, TagLength},
		"above":               {allowed, map[string]string{TagLength: "65"}, PasswordPolicy{}, TagLength},
		"not a number":        {allowed, map[string]string{TagLength: "20 "}, PasswordPolicy{}, TagLength},
		"empty":               {allowed, map[string]string{TagLength: ""}, PasswordPolicy{}, TagLength},
		"another preset":      {allowed, map[string]string{TagPreset: "hex"}, PasswordPolicy{}, TagPreset},
		"not named":           {"password-length=16-64", map[string]string{TagPreset: "uri-safe"}, PasswordPolicy{}, TagPreset},
		"every one":           {allowed, map[string]string{TagLength: "1", TagPreset: "x", TagPrefix + "host": "evil"}, PasswordPolicy{}, TagPrefix + "host " + TagLength + " " + TagPreset},
		"too weak":            {"password-length=8-64,password-preset=alphanumeric", map[string]string{TagLength: "8", TagPreset: "alphanumeric"}, PasswordPolicy{}, TagLength + " " + TagPreset},
		"weak, and not known": {"password-length=8-64,password-preset=alphanumeric", map[string]string{TagLength: "8", TagPreset: "hex"}, PasswordPolicy{}, TagPreset},
		"presets alone":       {"password-preset=alphanumeric", map[string]string{TagPreset: "alphanumeric"}, PasswordPolicy{Length: 32, ExcludePunctuation: true}, ""},
		"no length":           {"password-preset=alphanumeric", map[string]string{TagLength: "0"}, PasswordPolicy{}, TagLength},
		"off":                 {"", map[string]string{TagLength: "1", TagPrefix + "host": "evil"}, PasswordPolicy{Length: 32}, ""},
	} {
		choices, err := ParseTagChoices(c.choices)
		if err != nil {
			t.Fatal(err)
		}
		function := PasswordPolicy{Length: 32}
		got, err := choices.Apply(function, c.tags)
		var refused *TagError
		switch {
		case c.refused == "" && (err != nil || got != c.want):
			t.Errorf("%s: %+v, %v", name, got, err)
		case c.refused != "" && (!errors.As(err, &refused) || strings.Join(refused.Keys, " ") != c.refused ||
			got != function):
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// TestARefusedTagSaysWhatIsAllowed, each in a part of its own.
func TestARefusedTagSaysWhatIsAllowed(t *testing.T) {
	t.Parallel()
	all := TagChoices{MinLength: 16, MaxLength: 64, Presets: []string{"uri-safe", "alphanumeric"}}
	for _, c := range []struct {
		choices    TagChoices
		key, value string
		want       string
	}{
		{all, TagLength, "1", `"1", and this function allows 16 to 64 (`},
		{all, TagPreset, "hex", `"hex", and this function allows uri-safe, alphanumeric (`},
		{TagChoices{Presets: all.Presets}, TagLength, "1", "allows no tag for the length ("},
		{TagChoices{MinLength: 16, MaxLength: 64}, TagPreset, "uri-safe", "allows no tag for a preset ("},
		{TagChoices{MinLength: 8, MaxLength: 64}, TagLength, "8", "cannot be followed: password policy is too weak"},
	} {
		_, err := c.choices.Apply(PasswordPolicy{}, map[string]string{c.key: c.value, TagPrefix + "host": "evil"})
		if _, alone := c.choices.Apply(PasswordPolicy{}, map[string]string{c.key: c.value}); alone == nil ||
			!strings.Contains(alone.Error(), c.want) || !strings.HasPrefix(alone.Error(), "tag "+c.key) {
			t.Errorf("%s=%s: %v; want %q in it", c.key, c.value, alone, c.want)
		}
		if err == nil || !strings.Contains(err.Error(), "tag "+TagPrefix+"host is not known") {
			t.Errorf("%s=%s, and another: %v", c.key, c.value, err)
		}
	}
	// The function's own policy is not what a tag says.
	if p, err := all.Apply(PasswordPolicy{Length: 1}, nil); err != nil || p.Length != 1 {
		t.Errorf("no tags: %+v, %v", p, err)
	}
}

// TestTagChoicesAreBounded: what cannot be meant is refused when the function starts.
func TestTagChoicesAreBounded(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"password-length", "password-length=7-64", "password-length=8-257", "password-length=64-16",
		"password-length=16", "password-length=a-b",
		"password-preset=", "password-preset=hex", "host=evil", "password-length=16-64;password-preset=uri-safe",
		"password-length=16-64,",
	} {
		if c, err := ParseTagChoices(text); err == nil || !strings.Contains(err.Error(), "SECRET_TAGS") || !c.IsZero() {
			t.Errorf("%q: %+v, %v", text, c, err)
		}
	}
}

// FuzzTagChoices: whatever tags say, the policy is valid, and no longer or shorter than allowed.
func FuzzTagChoices(f *testing.F) {
	f.Add("16", "uri-safe", "x")
	f.Add("-1", "", "password-length")
	f.Fuzz(func(t *testing.T, length, preset, other string) {
		choices := TagChoices{MinLength: 16, MaxLength: 64, Presets: []string{"uri-safe", "alphanumeric"}}
		p, err := choices.Apply(PasswordPolicy{}, map[string]string{TagLength: length, TagPreset: preset, TagPrefix +
			other: "1"})
		if p.Validate() != nil || err == nil && (p.Length < 16 || p.Length > 64) || err != nil &&
			p != (PasswordPolicy{}) {
			t.Errorf("%+v, %v", p, err)
		}
	})
}

// TestFingerprint: two policies that differ in anything have another.
func TestFingerprint(t *testing.T) {
	t.Parallel()
	empty, some := "", "/@"
	seen := map[string]PasswordPolicy{}
	for _, p := range []PasswordPolicy{
		{Length: 32}, {Length: 33}, {ExcludeCharacters: &empty}, {ExcludeCharacters: &some}, {ExcludeNumbers: true}, {ExcludePunctuation: true},
		{ExcludeUppercase: true}, {ExcludeLowercase: true}, {AllowMissingTypes: true},
	} {
		if other, twice := seen[p.Fingerprint()]; twice || len(p.Fingerprint()) != 16 {
			t.Errorf("%+v and %+v: %s", p, other, p.Fingerprint())
		}
		seen[p.Fingerprint()] = p
	}
	sum := sha256.Sum256([]byte("PASSWORD_LENGTH=32 EXCLUDE_CHARACTERS=default EXCLUDE_NUMBERS=false EXCLUDE_PUNCTUATION=false " +
		"EXCLUDE_UPPERCASE=false EXCLUDE_LOWERCASE=false REQUIRE_EACH_INCLUDED_TYPE=true"))
	if got := (PasswordPolicy{}).Fingerprint(); got != fmt.Sprintf("%x", sum[:8]) {
		t.Errorf("not that of the settings: %s", got)
	}
	if seen[PasswordPolicy{}.Fingerprint()].Length != 32 {
		t.Error("the default length has another fingerprint than none")
	}
}
