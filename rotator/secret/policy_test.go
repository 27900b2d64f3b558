package secret

import (
	"math"
	"net/url"
	"strings"
	"testing"
)

// rare leaves one number, one capital and one punctuation character.
var rare = numbers[1:] + punctuation[1:] + uppercase[1:]

func TestPolicyValidate(t *testing.T) {
	t.Parallel()
	const notNumbers = lowercase + uppercase + punctuation
	tests := map[string]struct {
		policy PasswordPolicy
		want   string // "": valid
	}{
		"AWS's defaults":       {PasswordPolicy{}, ""},
		"URI-safe":             {PasswordPolicy{}.uriSafe(), ""},
		"longest":              {PasswordPolicy{Length: 4096}, ""},
		"too long":             {PasswordPolicy{Length: 4097}, "PASSWORD_LENGTH is 4097 and must be 1 to 4096"},
		"negative":             {PasswordPolicy{Length: -1}, "PASSWORD_LENGTH is -1 and must be 1 to 4096"},
		"harmless exclusion":   {PasswordPolicy{ExcludeCharacters: new("é\x00世")}, ""},
		"named twice":          {PasswordPolicy{ExcludeCharacters: new(strings.Repeat("é", 4096))}, ""},
		"exclusion too long":   {PasswordPolicy{ExcludeCharacters: new(strings.Repeat("a", 4097))}, "EXCLUDE_CHARACTERS has 4097 characters"},
		"nothing left":         {PasswordPolicy{ExcludeNumbers: true, ExcludePunctuation: true, ExcludeLowercase: true, ExcludeUppercase: true}, "leaves no character"},
		"all excluded":         {PasswordPolicy{ExcludeCharacters: new(notNumbers + numbers), AllowMissingTypes: true}, "leaves no character"},
		"required type empty":  {PasswordPolicy{ExcludeCharacters: new(numbers)}, "EXCLUDE_CHARACTERS leaves no number and REQUIRE_EACH_INCLUDED_TYPE asks for one; exclude fewer, or set EXCLUDE_NUMBERS to true"},
		"no punctuation":       {PasswordPolicy{ExcludeCharacters: new(punctuation)}, "set EXCLUDE_PUNCTUATION to true"},
		"no capitals":          {PasswordPolicy{ExcludeCharacters: new(uppercase)}, "set EXCLUDE_UPPERCASE to true"},
		"no small letters":     {PasswordPolicy{ExcludeCharacters: new(lowercase)}, "set EXCLUDE_LOWERCASE to true"},
		"type not included":    {PasswordPolicy{ExcludeCharacters: new(numbers), ExcludeNumbers: true}, ""},
		"type not required":    {PasswordPolicy{ExcludeCharacters: new(numbers), AllowMissingTypes: true}, ""},
		"shorter than types":   {PasswordPolicy{Length: 3}, "PASSWORD_LENGTH is 3 and REQUIRE_EACH_INCLUDED_TYPE asks for 4 types"},
		"of one character":     {PasswordPolicy{Length: 1}, "PASSWORD_LENGTH is 1 and REQUIRE_EACH_INCLUDED_TYPE asks for 4 types"},
		"of a type each":       {PasswordPolicy{Length: 4}, "4 characters out of 94"},
		"64 bits":              {PasswordPolicy{Length: 16, ExcludeCharacters: new(lowercase[6:] + uppercase + punctuation), AllowMissingTypes: true}, ""},
		"weak":                 {PasswordPolicy{Length: 9}, "9 characters out of 94 make 58.0 bits and 64 are needed"},
		"just strong enough":   {PasswordPolicy{Length: 10}, ""}, // 65.5 bits, 64.6 of them with each type
		"digits, 63.1 bits":    {PasswordPolicy{Length: 19, ExcludeCharacters: new(notNumbers), AllowMissingTypes: true}, "19 characters out of 10 make 63.1 bits and 64 are needed; raise PASSWORD_LENGTH or exclude less"},
		"digits, 66.4 bits":    {PasswordPolicy{Length: 20, ExcludeCharacters: new(notNumbers), AllowMissingTypes: true}, ""},
		"digits by types":      {PasswordPolicy{Length: 20, ExcludePunctuation: true, ExcludeLowercase: true, ExcludeUppercase: true}, ""},
		"one character":        {PasswordPolicy{Length: 4096, ExcludeCharacters: new(notNumbers + "123456789"), AllowMissingTypes: true}, "make 0.0 bits"},
		"types cost strength":  {PasswordPolicy{Length: 14, ExcludeCharacters: new(rare)}, "make 63.7 bits"},
		"types cost, optional": {PasswordPolicy{Length: 14, ExcludeCharacters: new(rare), AllowMissingTypes: true}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := tt.policy.Validate()
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("got %v, want no error", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("got %v, want %q in it", err, tt.want)
			}
			p, genErr := tt.policy.Generate()
			if (genErr == nil) != (err == nil) || p.Empty() != (err != nil) {
				t.Errorf("Generate and Validate disagree: %v", genErr)
			}
		})
	}
}

// The number of passwords is counted by trying every string.
func TestPolicyBits(t *testing.T) {
	t.Parallel()
	few := new(lowercase[3:] + uppercase[2:] + numbers[1:] + punctuation[1:]) // leaves abcAB0!
	for _, p := range []PasswordPolicy{
		{Length: 4, ExcludeCharacters: few},
		{Length: 5, ExcludeCharacters: few},
		{Length: 5, ExcludeCharacters: few, AllowMissingTypes: true},
		{Length: 5, ExcludeCharacters: few, ExcludePunctuation: true},
		{Length: 3, ExcludeCharacters: few, ExcludePunctuation: true, ExcludeNumbers: true},
		{Length: 3, ExcludeCharacters: few, ExcludePunctuation: true, ExcludeNumbers: true, ExcludeUppercase: true},
	} {
		count := 0
		var try func(s string)
		try = func(s string) {
			switch {
			case len(s) < p.Length:
				for _, c := range alphabet(p.classes()) {
					try(s + string(c))
				}
			case p.AllowMissingTypes || holdsEach(p.classes(), s):
				count++
			}
		}
		try("")
		if got := math.Exp2(p.entropyBits()); math.Abs(got-float64(count)) > 1e-6*float64(count) {
			t.Errorf("%+v: bits says %.3f passwords, there are %d", p, got, count)
		}
	}
}

func TestPickIsUniform(t *testing.T) {
	t.Parallel()
	all := lowercase + uppercase + numbers + punctuation
	for n := 1; n <= len(all); n++ {
		count := make(map[byte]int)
		for b := range 256 {
			if c, ok := pick(all[:n], byte(b)); ok {
				count[c]++
			}
		}
		for _, c := range []byte(all[:n]) {
			if count[c] != 256/n {
				t.Fatalf("of %d characters, %q has %d bytes of 256, want %d", n, c, count[c], 256/n)
			}
		}
	}
}

// Each count is binomial; nine standard deviations are past one in 10^18.
func TestGenerateIsUniform(t *testing.T) {
	t.Parallel()
	const passwords, length = 2000, 32
	for name, p := range map[string]PasswordPolicy{
		"all":      {AllowMissingTypes: true},
		"URI-safe": {ExcludeCharacters: PasswordPolicy{}.uriSafe().ExcludeCharacters, AllowMissingTypes: true},
	} {
		count := make(map[byte]int)
		for range passwords {
			for _, c := range []byte(generate(t, p)) {
				count[c]++
			}
		}
		from := alphabet(p.classes())
		if len(count) != len(from) {
			t.Errorf("%s: %d characters came up, want %d", name, len(count), len(from))
		}
		checkCounts(t, name, count, from, passwords*length)
	}
}

// With each type required, no place may favour a type: a generator that repairs
// passwords and does not shuffle well would.
func TestGenerateFavoursNoPlace(t *testing.T) {
	t.Parallel()
	const passwords, length = 3000, 12
	p := PasswordPolicy{Length: length}
	total := 0
	var at [length]int // numbers at each place
	for range passwords {
		for i, c := range []byte(generate(t, p)) {
			if strings.IndexByte(numbers, c) >= 0 {
				at[i]++
				total++
			}
		}
	}
	mean := float64(total) / length
	for i, n := range at {
		if math.Abs(float64(n)-mean) > 9*math.Sqrt(mean) {
			t.Errorf("place %d has %d numbers, the mean is %.0f", i, n, mean)
		}
	}
}

func checkCounts(t *testing.T, name string, count map[byte]int, from string, total int) {
	t.Helper()
	share := 1 / float64(len(from))
	mean := float64(total) * share
	bound := 9 * math.Sqrt(mean*(1-share))
	for _, c := range []byte(from) {
		if math.Abs(float64(count[c])-mean) > bound {
			t.Errorf("%s: %q came up %d times, want %.0f ± %.0f", name, c, count[c], mean, bound)
		}
	}
}

func generate(t *testing.T, p PasswordPolicy) string {
	t.Helper()
	password, err := p.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return password.Reveal()
}

func TestGenerate(t *testing.T) {
	t.Parallel()
	// The default exclusions of AWS's PostgreSQL template.
	const postgres = `:/@"'\`
	tests := map[string]struct {
		policy          PasswordPolicy
		length          int
		each            []string
		never, mustOnly string
	}{
		"defaults":       {PasswordPolicy{}, 32, []string{numbers, lowercase, uppercase, punctuation}, "", ""},
		"engine":         {PasswordPolicy{}.WithDefaultExclusions(postgres), 32, []string{numbers, lowercase, uppercase, punctuation}, postgres, ""},
		"own exclusions": {PasswordPolicy{ExcludeCharacters: new("abc")}.WithDefaultExclusions(postgres), 32, nil, "abc", ""},
		"URI-safe":       {PasswordPolicy{}.uriSafe().WithDefaultExclusions(postgres), 32, []string{numbers, lowercase, uppercase, uriSafe}, postgres, numbers + lowercase + uppercase + uriSafe},
		"short":          {PasswordPolicy{Length: 10}, 10, []string{numbers, lowercase, uppercase, punctuation}, "", ""},
		"no numbers":     {PasswordPolicy{ExcludeNumbers: true}, 32, []string{lowercase, uppercase, punctuation}, numbers, ""},
		"no punctuation": {PasswordPolicy{ExcludePunctuation: true}, 32, []string{lowercase, uppercase, numbers}, punctuation, ""},
		"no capitals":    {PasswordPolicy{ExcludeUppercase: true}, 32, []string{lowercase, numbers, punctuation}, uppercase, ""},
		"no small":       {PasswordPolicy{ExcludeLowercase: true}, 32, []string{uppercase, numbers, punctuation}, lowercase, ""},
		"rare types": {PasswordPolicy{Length: 15, ExcludeCharacters: new(rare)}, 15,
			[]string{"0", "!", "A", lowercase}, "", "0!A" + lowercase},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seen := make(map[string]bool)
			for range 200 {
				got := generate(t, tt.policy)
				if len(got) != tt.length {
					t.Fatalf("%d characters, want %d", len(got), tt.length)
				}
				for _, class := range tt.each {
					if !strings.ContainsAny(got, class) {
						t.Errorf("a password has none of %q", class)
					}
				}
				if strings.ContainsAny(got, tt.never) {
					t.Errorf("a password has one of %q", tt.never)
				}
				if tt.mustOnly != "" && strings.Trim(got, tt.mustOnly) != "" {
					t.Errorf("a password has a character that is not one of %q", tt.mustOnly)
				}
				if seen[got] {
					t.Error("a password came twice")
				}
				seen[got] = true
			}
		})
	}
}

func TestURISafeNeedsNoEscaping(t *testing.T) {
	t.Parallel()
	for range 200 {
		p := generate(t, PasswordPolicy{}.uriSafe())
		u, err := url.Parse("postgres://user:" + p + "@db.example.com:5432/app?password=" + p)
		if err != nil {
			t.Fatal("a password breaks a URI")
		}
		if got, _ := u.User.Password(); got != p || url.QueryEscape(p) != p || url.PathEscape(p) != p {
			t.Fatal("a password does not survive a URI as it is")
		}
	}
}

func TestOr(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		policy PasswordPolicy
		want   string
	}{
		{PasswordPolicy{}, "xyz"},
		{PasswordPolicy{ExcludeCharacters: new("")}, ""},
		{PasswordPolicy{ExcludeCharacters: new("a")}, "a"},
	} {
		if got := tt.policy.WithDefaultExclusions("xyz"); *got.ExcludeCharacters != tt.want {
			t.Errorf("Or excludes %q, want %q", *got.ExcludeCharacters, tt.want)
		}
	}
}

func TestParsePolicy(t *testing.T) {
	t.Parallel()
	type env map[string]string
	flags := func(value string) env {
		return env{
			EnvExcludeNumbers: value, EnvExcludePunctuation: value, EnvExcludeUppercase: value,
			EnvExcludeLowercase: value, EnvRequireEachType: value,
		}
	}
	yes := PasswordPolicy{ExcludeNumbers: true, ExcludePunctuation: true, ExcludeUppercase: true,
		ExcludeLowercase: true}
	no := PasswordPolicy{AllowMissingTypes: true}
	tests := map[string]struct {
		env  env
		want PasswordPolicy
		errs []string // in the error
	}{
		"nothing set":       {env{}, PasswordPolicy{}, nil},
		"length":            {env{EnvLength: "20"}, PasswordPolicy{Length: 20}, nil},
		"length, padded":    {env{EnvLength: " 20 "}, PasswordPolicy{Length: 20}, nil},
		"length empty":      {env{EnvLength: ""}, PasswordPolicy{}, nil},
		"length zero":       {env{EnvLength: "0"}, PasswordPolicy{}, []string{"PASSWORD_LENGTH is 0 and must be 1 to 4096"}},
		"length negative":   {env{EnvLength: "-1"}, PasswordPolicy{}, []string{"PASSWORD_LENGTH is -1 and must be 1 to 4096"}},
		"length too long":   {env{EnvLength: "5000"}, PasswordPolicy{}, []string{"PASSWORD_LENGTH is 5000 and must be 1 to 4096"}},
		"length a word":     {env{EnvLength: "long"}, PasswordPolicy{}, []string{`PASSWORD_LENGTH is "long" and must be a number`}},
		"true":              {flags("true"), yes, nil},
		"TRUE":              {flags("TRUE"), yes, nil},
		"1":                 {flags("1"), yes, nil},
		"y":                 {flags("y"), yes, nil},
		"Yes":               {flags("Yes"), yes, nil},
		"false":             {flags("False"), no, nil},
		"0":                 {flags("0"), no, nil},
		"n":                 {flags("N"), no, nil},
		"no":                {flags("no"), no, nil},
		"empty words":       {flags(""), PasswordPolicy{}, nil},
		"unknown words":     {flags("ture"), PasswordPolicy{}, []string{`EXCLUDE_NUMBERS is "ture" and must be true or false`, "EXCLUDE_PUNCTUATION", "EXCLUDE_UPPERCASE", "EXCLUDE_LOWERCASE", "REQUIRE_EACH_INCLUDED_TYPE"}},
		"exclude":           {env{EnvExcludeCharacters: `/@"'\ `}, PasswordPolicy{ExcludeCharacters: new(`/@"'\ `)}, nil},
		"exclude nothing":   {env{EnvExcludeCharacters: ""}, PasswordPolicy{ExcludeCharacters: new("")}, nil},
		"preset":            {env{EnvPreset: "URI-safe"}, PasswordPolicy{}.uriSafe(), nil},
		"preset empty":      {env{EnvPreset: ""}, PasswordPolicy{}, nil},
		"preset and more":   {env{EnvPreset: "uri-safe", EnvExcludeCharacters: "~", EnvLength: "40"}, PasswordPolicy{Length: 40, ExcludeCharacters: new("~" + *PasswordPolicy{}.uriSafe().ExcludeCharacters)}, nil},
		"preset unknown":    {env{EnvPreset: "strong"}, PasswordPolicy{}, []string{`PASSWORD_PRESET is "strong" and must be uri-safe, alphanumeric or not set`}},
		"every one is told": {env{EnvPreset: "x", EnvLength: "y", EnvExcludeNumbers: "z"}, PasswordPolicy{}, []string{"PASSWORD_PRESET", "PASSWORD_LENGTH", "EXCLUDE_NUMBERS"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := ParsePolicy(func(key string) (string, bool) {
				value, ok := tt.env[key]
				return value, ok
			})
			if (err != nil) != (tt.errs != nil) {
				t.Fatalf("got error %v, want %q", err, tt.errs)
			}
			for _, want := range tt.errs {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %q, want %q in it", err, want)
				}
			}
			if (got.ExcludeCharacters == nil) != (tt.want.ExcludeCharacters == nil) ||
				got.excluded() != tt.want.excluded() {
				t.Errorf("excludes %q, want %q", got.excluded(), tt.want.excluded())
			}
			got.ExcludeCharacters, tt.want.ExcludeCharacters = nil, nil
			if got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func BenchmarkGenerate(b *testing.B) {
	p := PasswordPolicy{}.WithDefaultExclusions(`:/@"'\`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Generate(); err != nil {
			b.Fatal(err)
		}
	}
}
