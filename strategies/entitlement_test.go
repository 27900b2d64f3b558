package strategies

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
)

func TestCheckEntitled(t *testing.T) {
	const foreign = "the server shows nothing"
	power := []string{"SUPERUSER"}
	possession := func(err error) func(context.Context, func(secret.Password) bool) error {
		return func(context.Context, func(secret.Password) bool) error { return err }
	}
	holds, rejected := possession(nil), possession(fmt.Errorf("AWSPREVIOUS: %w", rotator.KindLoginRejected))
	for name, c := range map[string]struct {
		pair Pair
		seen Evidence
		want rotator.Kind
		says string
	}{
		"provenance":                             {Pair{}, Evidence{}, "", ""},
		"nothing":                                {Pair{}, Evidence{NoProvenance: foreign}, rotator.KindNotEntitled, foreign},
		"consent":                                {Pair{Consent: true}, Evidence{NoProvenance: foreign}, "", ""},
		"possession":                             {Pair{Possession: holds}, Evidence{NoProvenance: foreign}, "", ""},
		"possession refuted":                     {Pair{Possession: rejected}, Evidence{NoProvenance: foreign}, rotator.KindNotEntitled, `"rotates": ["app/app_clone"]`},
		"possession unclear":                     {Pair{Possession: possession(rotator.KindUnreachable)}, Evidence{NoProvenance: foreign}, rotator.KindUnreachable, "whether the secret holds"},
		"a named pair":                           {Pair{Named: true}, Evidence{}, rotator.KindNotEntitled, "alternateUsername"},
		"a named pair with consent":              {Pair{Named: true, Consent: true}, Evidence{}, "", ""},
		"a named pair with possession":           {Pair{Named: true, Possession: holds}, Evidence{}, "", ""},
		"the superuser":                          {Pair{Consent: true, Possession: holds}, Evidence{Acting: true}, rotator.KindNotEntitled, "acts as"},
		"power":                                  {Pair{Consent: true, Possession: holds}, Evidence{Admin: power}, rotator.KindNotEntitled, "SUPERUSER"},
		"power that is taken, with consent":      {Pair{Consent: true}, Evidence{Synced: power, NoProvenance: foreign}, rotator.KindNotEntitled, "SUPERUSER"},
		"power that is taken, with possession":   {Pair{Consent: true, Possession: holds}, Evidence{Synced: power, NoProvenance: foreign}, "", ""},
		"power that is taken, consent, rejected": {Pair{Consent: true, Possession: rejected}, Evidence{Synced: power, NoProvenance: foreign}, rotator.KindNotEntitled, "AWSPREVIOUS"},
	} {
		t.Run(name, func(t *testing.T) {
			c.pair.Original, c.pair.Clone, c.pair.Target = "app", "app_clone", "app_clone"
			err := c.pair.CheckEntitled(t.Context(), c.seen)
			switch {
			case rotator.KindOf(err) != c.want || err != nil && !strings.Contains(err.Error(), c.says):
				t.Errorf("want kind %q and %q, got: %v", c.want, c.says, err)
			case err != nil && !errors.As(err, new(entitlementError)):
				t.Errorf("a preflight would not know it: %v", err)
			case c.want == rotator.KindNotEntitled && errors.Is(err, rotator.KindLoginRejected):
				t.Errorf("a strategy would try other credentials: %v", err)
			}
		})
	}
}

// TestConsent: what a superuser secret has to say for a pair, and what is not enough.
func TestConsent(t *testing.T) {
	for _, c := range []struct {
		rotates, original, clone string
		want                     bool
	}{
		{`"app/app_clone"`, "app", "app_clone", true},
		{`["app/app_clone"]`, "app", "app_clone", true},
		{`["blue/green", "app/app_clone"]`, "app", "app_clone", true},
		{`["app_clone/app"]`, "app", "app_clone", true},
		{`["blue/green"]`, "green", "blue", true},
		{`["app*"]`, "app", "app_clone", true},
		{`"*"`, "app", "app_clone", true},
		{`["a*p*"]`, "app", "app_clone", true},
		{`["*_a", "*_clone"]`, "app_a", "app_clone", false}, // one pattern for both
		{`["a/b/c"]`, "a", "b/c", true},
		{`["x*y/z"]`, "x*y", "z", true},
		{`["app"]`, "app", "app_clone", false},
		{`["app", "app_clone"]`, "app", "app_clone", false},
		{`["App/App_clone"]`, "app", "app_clone", false},
		{`["app/app_clone "]`, "app", "app_clone", false},
		{`["app*"]`, "app", "boss", false},
		{`["app*"]`, "boss", "app", false},
		{`["ap*p"]`, "ap", "app", false}, // what is before * and what is after do not overlap
		{`["app.*"]`, "app", "app_clone", false},
		{`["*clone*clone"]`, "app_clone", "b_clone", false},
		{`{"app": "app_clone"}`, "app", "app_clone", false},
		{`[["app", "app_clone"]]`, "app", "app_clone", false},
		{`["app/app_clone", 7]`, "app", "app_clone", false},
		{`true`, "app", "app_clone", false},
		{`null`, "app", "app_clone", false},
		{`""`, "app", "app_clone", false},
		{`[]`, "app", "app_clone", false},
	} {
		d := document(t, `{"rotates": `+c.rotates+`}`)
		if got := consents(d, c.original, c.clone); got != c.want {
			t.Errorf("%s for %s and %s: %t", c.rotates, c.original, c.clone, got)
		}
	}
	if consents(secret.Document{}, "a", "b") {
		t.Error("no secret consents")
	}
}

// TestConsentMember: the line to paste is one that consents, whatever the names are.
func TestConsentMember(t *testing.T) {
	for _, name := range []string{"app", `q"uo'te`, `back\slash`, "a/b", "<a&b>", "*", "ü ñ", "new\nline"} {
		p := Pair{Original: name, Clone: name + "_clone"}
		if !consents(document(t, "{"+consentMember(p.Original, p.Clone)+"}"), p.Original, p.Clone) {
			t.Errorf("%s does not speak for %q", consentMember(p.Original, p.Clone), name)
		}
	}
}
