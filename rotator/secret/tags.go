package secret

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// EnvTags is the variable that ParseTagChoices reads.
const EnvTags = "SECRET_TAGS"

// The tags of a secret that may choose the shape of its password. Permission to tag a secret is
// often given where that to write it is not, so that no tag says who acts, where, or how strictly.
const (
	TagPrefix = "quarterturn:"
	TagLength = TagPrefix + "password-length"
	TagPreset = TagPrefix + "password-preset"
)

// reportTags are read by reports alone, and never by a rotation.
var reportTags = [...]string{TagPrefix + "accept", TagPrefix + "strategy"}

// The bounds of TagLength, within which a function sets its own.
const (
	shortestByTag = 8
	longestByTag  = 256
)

// TagChoices is what the tags of a secret may choose. The zero value reads no tag.
type TagChoices struct {
	MinLength, MaxLength int      // of TagLength; 0: it is refused
	Presets              []string // of TagPreset; nil: it is refused
}

// ParseTagChoices reads what a function allows, such as
// "password-length=16-64,password-preset=uri-safe|alphanumeric": a tag without its prefix, and
// what it may say.
func ParseTagChoices(text string) (TagChoices, error) {
	var c TagChoices
	if strings.TrimSpace(text) == "" {
		return c, nil
	}
	for item := range strings.SplitSeq(text, ",") {
		name, values, _ := strings.Cut(strings.TrimSpace(item), "=")
		ok := false
		switch TagPrefix + name {
		case TagLength:
			low, high, _ := strings.Cut(values, "-")
			c.MinLength, c.MaxLength = number(low), number(high)
			ok = c.MinLength >= shortestByTag && c.MaxLength >= c.MinLength && c.MaxLength <= longestByTag
		case TagPreset:
			c.Presets = strings.Split(values, "|")
			ok = !slices.ContainsFunc(c.Presets, func(p string) bool {
				_, known := (PasswordPolicy{}).preset(p)
				return !known
			})
		}
		if !ok {
			return TagChoices{}, fmt.Errorf("%s is %.200q: want password-length=MIN-MAX (%d to %d), "+
				"password-preset=%s, or both with a comma between them",
				EnvTags, text, shortestByTag, longestByTag, strings.Join(presets[:], "|"))
		}
	}
	return c, nil
}

// number is 0 for what is none; one that no int holds stays too far from all that is allowed.
func number(text string) int {
	n, _ := strconv.Atoi(text)
	return n
}

// IsZero says that no tag is read.
func (c TagChoices) IsZero() bool { return c.MaxLength == 0 && c.Presets == nil }

// Apply gives the policy as the tags of a secret shape it. A preset excludes characters and
// allows none that the policy excludes. The error is a *TagError that names every tag with the
// prefix that is refused; the policy is then p.
func (c TagChoices) Apply(p PasswordPolicy, tags map[string]string) (PasswordPolicy, error) {
	if c.IsZero() {
		return p, nil
	}
	chosen, refused := p, &TagError{}
	var used []string
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		if !strings.HasPrefix(key, TagPrefix) || slices.Contains(reportTags[:], key) {
			continue
		}
		used = append(used, key)
		switch value := tags[key]; key {
		case TagLength:
			if n := number(value); n < c.MinLength || n > c.MaxLength || c.MaxLength == 0 {
				refused.add(key, "is %.80q, and %s", value, c.lengths())
			} else {
				chosen.Length = n
			}
		case TagPreset:
			if !slices.Contains(c.Presets, value) {
				refused.add(key, "is %.80q, and %s", value, c.presets())
			} else {
				chosen, _ = chosen.preset(value)
			}
		default:
			refused.add(key, "is not known: want %s or %s", TagLength, TagPreset)
		}
	}
	if refused.Keys == nil {
		if err := chosen.Validate(); err != nil {
			refused.add(strings.Join(used, " and tag "), "cannot be followed: %v", err)
			refused.Keys = used
		}
	}
	if refused.Keys != nil {
		return p, refused
	}
	return chosen, nil
}

func (c TagChoices) lengths() string {
	if c.MaxLength == 0 {
		return "this function allows no tag for the length (" + EnvTags + ")"
	}
	return fmt.Sprintf("this function allows %d to %d (%s)", c.MinLength, c.MaxLength, EnvTags)
}

func (c TagChoices) presets() string {
	if c.Presets == nil {
		return "this function allows no tag for a preset (" + EnvTags + ")"
	}
	return fmt.Sprintf("this function allows %s (%s)", strings.Join(c.Presets, ", "), EnvTags)
}

// TagError names the tags of a secret that are refused, and why.
type TagError struct {
	Keys []string
	why  []string
}

func (e *TagError) add(key, format string, args ...any) {
	e.Keys = append(e.Keys, key)
	e.why = append(e.why, "tag "+key+" "+fmt.Sprintf(format, args...))
}

// Error gives a sentence for each.
func (e *TagError) Error() string { return strings.Join(e.why, "; ") }
