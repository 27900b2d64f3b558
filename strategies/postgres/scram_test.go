package postgres

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
)

// TestScramRFC7677 holds the keys to the example of RFC 7677, section 3: with the
// ServerKey made here, the server's signature there must come out.
func TestScramRFC7677(t *testing.T) {
	t.Parallel()
	const (
		salt      = "W22ZaJ0SNY7soEsUEjb6gQ=="
		message   = "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
		signature = "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
	)
	s, _ := base64.StdEncoding.DecodeString(salt)
	got, err := scramVerifierWith(secret.NewPassword("pencil"), s, 4096)
	ok(t, err)
	head, keys, _ := strings.Cut(strings.TrimPrefix(got, "SCRAM-SHA-256$"), "$")
	if head != "4096:"+salt {
		t.Errorf("iterations and salt: %s", head)
	}
	_, server, _ := strings.Cut(keys, ":")
	key, err := base64.StdEncoding.DecodeString(server)
	ok(t, err)
	if sig := base64.StdEncoding.EncodeToString(hmacSHA256(key, message)); sig != signature {
		t.Errorf("server signature %s, want %s", sig, signature)
	}
}

func TestScramSaltsDiffer(t *testing.T) {
	t.Parallel()
	a, err := scramVerifier(password(), scramIterations)
	ok(t, err)
	b, err := scramVerifier(password(), scramIterations)
	ok(t, err)
	if a[:40] == b[:40] {
		t.Error("two verifiers have one salt")
	}
}

// oddPasswords are passwords whose bytes SASLprep changes, refuses or leaves alone.
// None holds a quote or a backslash: they go into statements of the test.
var oddPasswords = map[string]string{
	"ASCII":                       "abcABC123",
	"punctuation":                 "!#$%&()*+,-.:;<=>?@[]^_`{|}~",
	"spaces around":               "  two  spaces  ",
	"control":                     "a\tb\x01c",
	"umlauts":                     "pässwörd",
	"decomposed":                  "pa\u0308ss",
	"ligature":                    "\ufb01sh",
	"ordinal":                     "x\u00aa",
	"no-break space":              "a\u00a0b",
	"ideographic space":           "a\u3000b",
	"zero width space":            "a\u200bb",
	"zero width joiner":           "a\u200db",
	"soft hyphen":                 "I\u00adX",
	"only soft hyphen":            "\u00ad",
	"byte order mark":             "a\ufeffb",
	"variation selector":          "a\ufe0fb",
	"emoji (unassigned in 3.2)":   "key\U0001f511",
	"private use":                 "a\ue000\u00a0b",
	"ohm sign":                    "\u2126",
	"Roman numeral":               "\u2168",
	"Hebrew":                      "\u05d0\u05d1\u05d2",
	"Hebrew and Latin":            "a\u05d0b",
	"Hebrew, then digit":          "\u05d01",
	"tag":                         "a\U000e0041b",
	"non-character":               "a\ufffeb",
	"object replacement":          "a\ufffcb",
	"line separator":              "a\u2028b",
	"left-to-right mark":          "a\u200eb",
	"ideographic description":     "a\u2ff0b",
	"compatibility ideograph":     "\uf900",
	"Hangul Jamo":                 "\u1100\u1161",
	"fullwidth":                   "\uff21\uff22",
	"long":                        strings.Repeat("long ", 400),
	"long and normalised":         strings.Repeat("ä\u00a0\ufb01", 300),
	"Mongolian free variation":    "a\u180bb",
	"Cherokee (unassigned lower)": "\uab70",
}

// TestSaslPrep compares with the servers themselves: what PostgreSQL stores for a
// password sent in clear, and what is made here with the same salt, must be equal.
func TestSaslPrep(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		role, _ := s.NewRole(t, "LOGIN")
		for name, p := range oddPasswords {
			if s.Major == 13 && len(p) > 1000 {
				continue // "password too long", for clear passwords only
			}
			s.run(t, fmt.Sprintf("SET password_encryption = 'scram-sha-256'; ALTER ROLE %s PASSWORD '%s'", role, p))
			want := s.ask(t, "SELECT rolpassword FROM pg_authid WHERE rolname = $1", role)
			head, _, _ := strings.Cut(strings.TrimPrefix(want, "SCRAM-SHA-256$"), "$")
			n, salt64, _ := strings.Cut(head, ":")
			iterations, err := strconv.Atoi(n)
			ok(t, err)
			salt, err := base64.StdEncoding.DecodeString(salt64)
			ok(t, err)
			got, err := scramVerifierWith(secret.NewPassword(p), salt, iterations)
			ok(t, err)
			if got != want {
				t.Errorf("%s: the server stores another verifier", name)
			}
		}
	})
}

// TestOddPasswordsLogIn: the engine sets them, and logs in with them.
func TestOddPasswordsLogIn(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		name, pw := s.NewRole(t, "LOGIN")
		login := s.login(name, pw)
		for what, p := range oddPasswords {
			next := secret.NewPassword(p)
			if err := engine().SetPassword(t.Context(), login, name, next); err != nil {
				t.Fatalf("%s: set: %v", what, err)
			}
			login.Password = next
			if err := engine().Ping(t.Context(), login); err != nil {
				t.Fatalf("%s: login: %v", what, err)
			}
		}
	})
}

// TestUnclearPasswordRefused: this one SASLprep refuses, so that servers take it as
// it is, and the driver would change it: set, it could not be verified.
func TestUnclearPasswordRefused(t *testing.T) {
	t.Parallel()
	err := engine().SetPassword(t.Context(), strategies.Login{Host: "127.0.0.1", Port: 1, User: "app"}, "app", secret.NewPassword("a\u0340"))
	wants(t, err, rotator.KindMisconfigured, "normalise")
}

// TestMD5Hash compares with what servers store.
func TestMD5Hash(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		role, _ := s.NewRole(t, "LOGIN")
		s.run(t, "SET password_encryption = 'md5'; ALTER ROLE "+role+" PASSWORD 'open sesame'")
		want := s.ask(t, "SELECT rolpassword FROM pg_authid WHERE rolname = $1", role)
		if md5Hash(role, secret.NewPassword("open sesame")) != want {
			t.Error("the server stores another hash")
		}
	})
}

func BenchmarkScramVerifier(b *testing.B) {
	p := password()
	for b.Loop() {
		if _, err := scramVerifier(p, scramIterations); err != nil {
			b.Fatal(err)
		}
	}
}
