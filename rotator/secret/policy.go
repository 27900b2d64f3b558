package secret

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// PasswordPolicy is how passwords are made. It means what the parameters of the same
// name mean to AWS's GetRandomPassword, and its zero value is their defaults: 32
// characters, drawn from all four types, with at least one of each.
type PasswordPolicy struct {
	Length             int     // in characters; 0: 32
	ExcludeCharacters  *string // nil: the engine's default, see Or; "" excludes nothing
	ExcludeNumbers     bool
	ExcludePunctuation bool
	ExcludeUppercase   bool
	ExcludeLowercase   bool
	AllowMissingTypes  bool // AWS's RequireEachIncludedType, turned round to make its default the zero value
}

// The environment names of AWS's rotation templates, and the one that is ours.
const (
	EnvLength             = "PASSWORD_LENGTH"
	EnvExcludeCharacters  = "EXCLUDE_CHARACTERS"
	EnvExcludeNumbers     = "EXCLUDE_NUMBERS"
	EnvExcludePunctuation = "EXCLUDE_PUNCTUATION"
	EnvExcludeUppercase   = "EXCLUDE_UPPERCASE"
	EnvExcludeLowercase   = "EXCLUDE_LOWERCASE"
	EnvRequireEachType    = "REQUIRE_EACH_INCLUDED_TYPE"
	EnvPreset             = "PASSWORD_PRESET"
)

// The limits of GetRandomPassword, and one of ours.
const (
	defaultLength = 32
	maxLength     = 4096 // also of ExcludeCharacters
	minBits       = 64   // fewer can be searched offline
)

// The character types of GetRandomPassword.
const (
	numbers     = "0123456789"
	lowercase   = "abcdefghijklmnopqrstuvwxyz"
	uppercase   = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	punctuation = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
)

// uriSafe is the punctuation that RFC 3986, section 2.3, calls unreserved.
const uriSafe = "-._~"

// presets are names for alphabets. They exclude characters, and allow none that a policy
// excludes.
var presets = [...]string{"uri-safe", "alphanumeric"}

// uriSafe gives passwords that stand unescaped in a URI's user information, and
// so in every connection string: letters, digits and "-._~".
func (p PasswordPolicy) uriSafe() PasswordPolicy {
	return p.exclude(without(punctuation, uriSafe))
}

// preset narrows a policy to an alphabet.
func (p PasswordPolicy) preset(name string) (narrowed PasswordPolicy, known bool) {
	switch name {
	case presets[0]:
		return p.uriSafe(), true
	case presets[1]: // letters and digits
		p.ExcludePunctuation = true
		return p, true
	}
	return p, false
}

// Fingerprint tells policies apart: the start of the SHA-256 of their settings, of which
// EXCLUDE_CHARACTERS may be the engine's default.
func (p PasswordPolicy) Fingerprint() string {
	exclude := "default"
	if p.ExcludeCharacters != nil {
		exclude = strconv.Quote(*p.ExcludeCharacters)
	}
	text := fmt.Sprintf("%s=%d %s=%s %s=%t %s=%t %s=%t %s=%t %s=%t", EnvLength, p.length(), EnvExcludeCharacters,
		exclude,
		EnvExcludeNumbers, p.ExcludeNumbers, EnvExcludePunctuation, p.ExcludePunctuation, EnvExcludeUppercase,
		p.ExcludeUppercase,
		EnvExcludeLowercase, p.ExcludeLowercase, EnvRequireEachType, !p.AllowMissingTypes)
	return fmt.Sprintf("%.8x", sha256.Sum256([]byte(text)))
}

// exclude adds to the excluded characters.
func (p PasswordPolicy) exclude(characters string) PasswordPolicy {
	all := p.excluded() + characters
	p.ExcludeCharacters = &all
	return p
}

// WithDefaultExclusions fills in an engine's default for the excluded characters if none are given.
func (p PasswordPolicy) WithDefaultExclusions(exclude string) PasswordPolicy {
	if p.ExcludeCharacters == nil {
		p.ExcludeCharacters = &exclude
	}
	return p
}

func (p PasswordPolicy) excluded() string {
	if p.ExcludeCharacters == nil {
		return ""
	}
	return *p.ExcludeCharacters
}

func (p PasswordPolicy) length() int {
	if p.Length == 0 {
		return defaultLength
	}
	return p.Length
}

// A charClass is a character type and what a policy leaves of it.
type charClass struct {
	name, env  string // for messages
	characters string
}

// classes gives the types that the policy includes.
func (p PasswordPolicy) classes() []charClass {
	var included []charClass
	add := func(excluded bool, c charClass) {
		if !excluded {
			c.characters = without(c.characters, p.excluded())
			included = append(included, c)
		}
	}
	add(p.ExcludeLowercase, charClass{"lowercase letter", EnvExcludeLowercase, lowercase})
	add(p.ExcludeUppercase, charClass{"uppercase letter", EnvExcludeUppercase, uppercase})
	add(p.ExcludeNumbers, charClass{"number", EnvExcludeNumbers, numbers})
	add(p.ExcludePunctuation, charClass{"punctuation character", EnvExcludePunctuation, punctuation})
	return included
}

// without gives s less the characters in excluded.
func without(s, excluded string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(excluded, r) {
			return -1
		}
		return r
	}, s)
}

// Validate says why a policy can make no password, or only weak ones, and what
// to change. GetRandomPassword does not document what becomes of a required type
// that ExcludeCharacters leaves empty; here it is a contradiction.
func (p PasswordPolicy) Validate() error {
	if err := checkLength(p.length()); err != nil {
		return err
	}
	if n := utf8.RuneCountInString(p.excluded()); n > maxLength {
		return fmt.Errorf("%s has %d characters and may have %d; a character need be named once only",
			EnvExcludeCharacters, n, maxLength)
	}
	classes := p.classes()
	alphabet := alphabet(classes)
	if alphabet == "" {
		return fmt.Errorf("password policy leaves no character to use; relax %s, %s, %s, %s or %s",
			EnvExcludeCharacters, EnvExcludeNumbers, EnvExcludePunctuation, EnvExcludeUppercase, EnvExcludeLowercase)
	}
	if !p.AllowMissingTypes {
		if err := checkRequired(classes, p.length()); err != nil {
			return err
		}
	}
	if bits := p.entropyBits(); bits < minBits {
		return fmt.Errorf("password policy is too weak: %d characters out of %d make %.1f bits and %d are needed; "+
			"raise %s or exclude less",
			p.length(), len(alphabet), math.Floor(bits*10)/10, minBits, EnvLength)
	}
	return nil
}

func checkLength(n int) error {
	if n < 1 || n > maxLength {
		return fmt.Errorf("%s is %d and must be 1 to %d", EnvLength, n, maxLength)
	}
	return nil
}

// checkRequired says whether a password of that length can hold each type.
func checkRequired(classes []charClass, length int) error {
	for _, c := range classes {
		if c.characters == "" {
			return fmt.Errorf("%s leaves no %s and %s asks for one; exclude fewer, or set %s to true or %s to false",
				EnvExcludeCharacters, c.name, EnvRequireEachType, c.env, EnvRequireEachType)
		}
	}
	if length < len(classes) {
		return fmt.Errorf("%s is %d and %s asks for %d types; raise the one or set the other to false",
			EnvLength, length, EnvRequireEachType, len(classes))
	}
	return nil
}

func alphabet(classes []charClass) string {
	var b strings.Builder
	for _, c := range classes {
		b.WriteString(c.characters)
	}
	return b.String()
}

// entropyBits is the logarithm of how many passwords the policy allows.
func (p PasswordPolicy) entropyBits() float64 {
	classes := p.classes()
	size, length := float64(len(alphabet(classes))), float64(p.length())
	bits := length * math.Log2(size)
	if p.AllowMissingTypes {
		return bits
	}
	// The share of strings that hold every type, by inclusion and exclusion over
	// the sets of types that a string may lack.
	share := 0.0
	for set := range 1 << len(classes) {
		rest, sign := size, 1.0
		for i, c := range classes {
			if set>>i&1 == 1 {
				rest, sign = rest-float64(len(c.characters)), -sign
			}
		}
		share += sign * math.Pow(rest/size, length)
	}
	return bits + math.Log2(share)
}

// Generate makes a password with crypto/rand. Every password that the policy
// allows is equally likely: one that lacks a required type is thrown away as a
// whole, because repairing it would favour some. Its errors are Validate's.
func (p PasswordPolicy) Generate() (Password, error) {
	if err := p.Validate(); err != nil {
		return Password{}, fmt.Errorf("make a password: %w", err)
	}
	classes := p.classes()
	from := alphabet(classes)
	for {
		candidate := draw(from, p.length())
		if p.AllowMissingTypes || holdsEach(classes, candidate) {
			return NewPassword(candidate), nil
		}
	}
}

func holdsEach(classes []charClass, s string) bool {
	for _, c := range classes {
		if !strings.ContainsAny(s, c.characters) {
			return false
		}
	}
	return true
}

// draw gives n characters of an alphabet of at most 256, each equally likely.
func draw(alphabet string, n int) string {
	drawn := make([]byte, 0, n)
	random := make([]byte, n)
	for {
		rand.Read(random) // never fails: it ends the program instead
		for _, b := range random {
			if c, ok := pick(alphabet, b); ok {
				drawn = append(drawn, c)
			}
			if len(drawn) == n {
				return string(drawn)
			}
		}
	}
}

// pick maps a random byte to a character. It refuses the bytes that are left
// over when 256 is shared out evenly: they would favour the first characters.
func pick(alphabet string, random byte) (c byte, ok bool) {
	even := 256 - 256%len(alphabet)
	if int(random) >= even {
		return 0, false
	}
	return alphabet[int(random)%len(alphabet)], true
}

// ParsePolicy reads a policy from the environment names of AWS's templates, with
// their meaning, and PASSWORD_PRESET, uri-safe or alphanumeric, to which
// EXCLUDE_CHARACTERS adds. lookup is os.LookupEnv or of its kind. An empty value
// is as good as none, except that EXCLUDE_CHARACTERS then excludes nothing. The
// error names every variable that is wrong; what contradicts itself is for
// Validate, once the engine's defaults are in.
func ParsePolicy(lookup func(string) (string, bool)) (PasswordPolicy, error) {
	e := environment{lookup: lookup}
	p := PasswordPolicy{
		Length:             e.length(EnvLength),
		ExcludeNumbers:     e.flag(EnvExcludeNumbers, false),
		ExcludePunctuation: e.flag(EnvExcludePunctuation, false),
		ExcludeUppercase:   e.flag(EnvExcludeUppercase, false),
		ExcludeLowercase:   e.flag(EnvExcludeLowercase, false),
		AllowMissingTypes:  !e.flag(EnvRequireEachType, true),
	}
	if characters, ok := lookup(EnvExcludeCharacters); ok {
		p = p.exclude(characters)
	}
	if preset := e.word(EnvPreset); preset != "" {
		var known bool
		if p, known = p.preset(preset); !known {
			e.refuse("%s is %.80q and must be %s or not set", EnvPreset, preset, strings.Join(presets[:], ", "))
		}
	}
	if len(e.wrong) > 0 {
		return PasswordPolicy{}, errors.New("password policy: " + strings.Join(e.wrong, "; "))
	}
	return p, nil
}

// environment reads variables and gathers what is wrong with them.
type environment struct {
	lookup func(string) (string, bool)
	wrong  []string
}

func (e *environment) refuse(format string, args ...any) {
	e.wrong = append(e.wrong, fmt.Sprintf(format, args...))
}

// word gives a value that has no meaning in its case or outer white space.
func (e *environment) word(name string) string {
	value, _ := e.lookup(name)
	return strings.ToLower(strings.TrimSpace(value))
}

// length is checked here although Validate does so: a 0 must not become 32.
func (e *environment) length(name string) int {
	word := e.word(name)
	if word == "" {
		return 0
	}
	n, err := strconv.Atoi(word)
	if err != nil {
		e.refuse("%s is %.80q and must be a number", name, word)
		return 0
	}
	if err := checkLength(n); err != nil {
		e.wrong = append(e.wrong, err.Error())
	}
	return n
}

// flag knows AWS's words for true. AWS takes every other word for false, so that
// a misspelt "ture" weakens passwords without an error; we refuse those.
func (e *environment) flag(name string, byDefault bool) bool {
	switch word := e.word(name); word {
	case "":
		return byDefault
	case "true", "1", "y", "yes":
		return true
	case "false", "0", "n", "no":
		return false
	default:
		e.refuse("%s is %.80q and must be true or false", name, word)
		return byDefault
	}
}
