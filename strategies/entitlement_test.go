package strategies

import (
	"context"
	"errors"
	"fmt"
	"iter"
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
		"provenance": {Pair{}, Evidence{}, "", ""},
		"nothing": {Pair{}, Evidence{NoProvenance: foreign},
			rotator.KindNotEntitled, foreign},
		"consent": {Pair{Consent: true}, Evidence{NoProvenance: foreign}, "", ""},
		"gains":   {Pair{Possession: holds}, Evidence{Gains: []string{"role staff"}}, rotator.KindNotEntitled, `staff. Take that away; or, if it may be so, add this to the superuser secret: "rotates": ["app/app_clone"]`},
		"gains with consent": {Pair{Consent: true},
			Evidence{Gains: []string{"role staff"}}, "", ""},
		"eight gains": {Pair{}, Evidence{Gains: strings.Split("abcdefgh", "")},
			rotator.KindNotEntitled, "g, h. Take"},
		"nine gains": {Pair{}, Evidence{Gains: strings.Split("abcdefghi", "")},
			rotator.KindNotEntitled, "g, h and 1 more"},
		"possession without provenance": {Pair{Possession: possession(rotator.KindNotEntitled)},
			Evidence{NoProvenance: foreign}, rotator.KindNotEntitled, foreign},
		"a privilege is missing": {Pair{Possession: possession(rotator.KindPrivilege)},
			Evidence{NoProvenance: foreign}, rotator.KindPrivilege, "whether the secret holds"},
		"possession":         {Pair{Possession: holds}, Evidence{NoProvenance: foreign}, "", ""},
		"possession refuted": {Pair{Possession: rejected}, Evidence{NoProvenance: foreign}, rotator.KindNotEntitled, `"rotates": ["app/app_clone"]`},
		"possession unclear": {Pair{Possession: possession(rotator.KindUnreachable)},
			Evidence{NoProvenance: foreign}, rotator.KindUnreachable, "whether the secret holds"},
		"a named pair": {Pair{Named: true}, Evidence{}, rotator.KindNotEntitled,
			"alternateUsername"},
		"a named pair with consent":    {Pair{Named: true, Consent: true}, Evidence{}, "", ""},
		"a named pair with possession": {Pair{Named: true, Possession: holds}, Evidence{}, "", ""},
		"the superuser": {Pair{Consent: true, Possession: holds}, Evidence{Acting: true},
			rotator.KindNotEntitled, "acts as"},
		"power": {Pair{Consent: true, Possession: holds}, Evidence{Admin: power},
			rotator.KindNotEntitled, "SUPERUSER"},
		"power that is taken, with consent": {Pair{Consent: true}, Evidence{Synced: power, NoProvenance: foreign},
			rotator.KindNotEntitled, "SUPERUSER"},
		"power that is taken, with possession": {Pair{Consent: true, Possession: holds},
			Evidence{Synced: power, NoProvenance: foreign}, "", ""},
		"power that is taken, consent, rejected": {Pair{Consent: true, Possession: rejected},
			Evidence{Synced: power, NoProvenance: foreign}, rotator.KindNotEntitled, "AWSPREVIOUS"},
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
		{`["a/b/c"]`, "a", "b/c", false},                    // or a/b and c?
		{`["a/b/c"]`, "a/b", "c", false},
		{`["a/b\u0000c"]`, "a/b", "c", true},
		{`["c\u0000a/b"]`, "a/b", "c", true},
		{`["a/b\u0000c"]`, "a", "b/c", false},
		{`["a\u0000c"]`, "a", "c", false},
		{`["a/*"]`, "a/b", "a/c", true},
		{`["x*y/z"]`, "x*y", "z", false},
		{`["x*y\u0000z"]`, "x*y", "z", true},
		{`["a*\u0000"]`, "aa", "ab", false},
		{`["app"]`, "app", "app_clone", false},
		{`["app", "app_clone"]`, "app", "app_clone", false},
		{`["App/App_clone"]`, "app", "app_clone", false},
		{`["app/app_clone "]`, "app", "app_clone", false},
		{`["app*"]`, "app", "boss", false},
		{`["app*"]`, "boss", "app", false},
		{`["a"]`, "app", "app_clone", false},
		{`["a*x*"]`, "app", "app_clone", false},
		{`["a*x*e"]`, "ape", "axe", false},
		{`["a*x*e"]`, "a-x-e", "axe", true},
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
		if got := consents(d, true, c.original, c.clone); got != c.want {
			t.Errorf("%s for %s and %s: %t", c.rotates, c.original, c.clone, got)
		}
	}
	if consents(secret.Document{}, true, "a", "b") {
		t.Error("no secret consents")
	}
}

// TestAPatternMakesNoPair: the writer of a secret names the other user in alternateUsername. Where a pattern of the
// superuser secret stands for both, that other one may be another secret's.
func TestAPatternMakesNoPair(t *testing.T) {
	for rotates, want := range map[string]bool{`["app*"]`: false, `["*"]`: false, `["app/app2"]`: true,
		`["app2/app"]`: true, `["app", "app2"]`: false} {
		d := document(t, `{"rotates": `+rotates+`}`)
		if got := consents(d, false, "app", "app2"); got != want {
			t.Errorf("%s: %t", rotates, got)
		}
	}
}

// TestConsentMember: the line to paste is one that consents, whatever the names are, and to no others.
func TestConsentMember(t *testing.T) {
	names := []string{"app", `q"uo'te`, `back\slash`, "a/b", "<a&b>", "*", "ü ñ", "new\nline", "a*", "/"}
	all := [][]string{{"a", "b/c"}, {"a/b", "c"}, {"a", "b"}, {"aa", "ab"}}
	for _, name := range names {
		all = append(all, []string{name}, []string{name, name + "_clone"})
	}
	for i, one := range all {
		d := document(t, "{"+consentMember(one...)+"}")
		for j, other := range all {
			if consents(d, true, other...) != (i == j) {
				t.Errorf("%s for %q: %t", consentMember(one...), other, i != j)
			}
		}
	}
}

// TestConsentIsALineToRun: what a superuser secret has to say for a pair, or for the accounts of one name, is a command,
// except where RDS alone may write that secret.
func TestConsentIsALineToRun(t *testing.T) {
	const arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:boss-AbCdEf"
	pair := Pair{Original: "app", Clone: `a"p'p`, Target: `a"p'p`}
	foreign := Evidence{NoProvenance: "the server shows nothing"}
	checks := map[string]func(arn string) error{
		"no proof": func(arn string) error { pair.secretARN = arn; return pair.CheckEntitled(t.Context(), foreign) },
		"gains": func(arn string) error {
			pair.secretARN = arn
			return pair.CheckEntitled(t.Context(), Evidence{Gains: []string{"role staff"}})
		},
		"several accounts": func(arn string) error {
			l := Login{For: &Holding{Users: []string{pair.Original, pair.Clone}, secretARN: arn,
				Passwords: passwordsOf()}}
			return l.CheckHeld(t.Context(), "app", func(secret.Password) string { return "app@%" })
		},
	}
	for name, check := range checks {
		fixes := rotator.FixesOf(check(arn))
		if len(fixes) != 1 || fixes[0].By != rotator.ByShell || strings.Count(fixes[0].Run, "--secret-id "+arn+" ") != 2 ||
			!strings.Contains(fixes[0].Run, `flatten + ["app/a\"p'\''p"])'`) {
			t.Errorf("%s: %+v", name, fixes)
		}
		if err := check("arn:aws:secretsmanager:us-east-1:123456789012:secret:rds!db-1a2b-AbCdEf"); err == nil ||
			rotator.FixesOf(err) != nil {
			t.Errorf("%s, of RDS: %v, %+v", name, err, rotator.FixesOf(err))
		}
	}
	pair = Pair{Original: "app", Clone: "app_clone", Target: "app_clone"}
	for name, check := range checks { // whose users they are is to be seen first
		fixes := rotator.FixesOf(check(arn))
		if len(fixes) != 3 || !strings.HasSuffix(fixes[1].Run, " describe-secret --secret-id OTHER-ARN") ||
			!strings.Contains(fixes[0].Run, `'{ $.message = "rotation completed" && `+
				`($.target.user = "app" || $.target.user = "app_clone") }'`) ||
			!strings.Contains(fixes[0].Note, "AWSPREVIOUS is rejected") {
			t.Errorf("%s: %+v", name, fixes)
		}
	}
}

// TestCheckHeld: a superuser may change all accounts of one name only where the secret has a
// password of each, or the superuser secret says so.
func TestCheckHeld(t *testing.T) {
	logins := func(more ...func() (Login, error)) func(context.Context, string) iter.Seq2[secret.Password, error] {
		return passwordsOf(append([]func() (Login, error){
			fixedLogin(Login{User: "app", Password: secret.NewPassword("current")})}, more...)...)
	}
	fails := func(err error) func() (Login, error) { return func() (Login, error) { return Login{}, err } }
	stranger := fixedLogin(Login{User: "stranger", Password: secret.NewPassword("stranger's")})
	previous := fixedLogin(Login{User: "app", Password: secret.NewPassword("previous")})
	for name, c := range map[string]struct {
		held  *Holding
		last  string // the password by which all accounts are held
		asked string
		want  rotator.Kind
	}{
		"nothing is known": {nil, "none", "", ""},
		"consent": {&Holding{Users: []string{"app"}, Consent: true, Passwords: logins()},
			"none", "", ""},
		"the first": {&Holding{Users: []string{"app"},
			Passwords: logins(fails(rotator.KindUnreachable))}, "current", "current", ""},
		"a later one": {&Holding{Users: []string{"app"}, Passwords: logins(fails(errNoCandidate),
			stranger, previous)}, "previous", "current,previous", ""},
		"none": {&Holding{Users: []string{"app"}, Passwords: logins(previous)}, "none",
			"current,previous", rotator.KindNotEntitled},
		"another user's": {&Holding{Users: []string{"app"}, Passwords: logins(stranger)}, "stranger's",
			"current", rotator.KindNotEntitled},
		"one that cannot be read": {&Holding{Users: []string{"app"}, Passwords: logins(fails(rotator.KindThrottled),
			previous)}, "previous", "current", rotator.KindThrottled},
		"no value for it can be read": {&Holding{Users: []string{"app"}, Passwords: logins(fails(errNoCandidate))},
			"none", "current", rotator.KindNotEntitled},
	} {
		var asked []string
		err := Login{For: c.held}.CheckHeld(t.Context(), "app", func(p secret.Password) string {
			asked = append(asked, p.Reveal())
			if p.Reveal() == c.last {
				return ""
			}
			return "'app'@'10.%'"
		})
		if rotator.KindOf(err) != c.want || strings.Join(asked, ",") != c.asked {
			t.Errorf("%s: asked for %q: %v", name, asked, err)
		}
		if err != nil && !errors.As(err, new(entitlementError)) {
			t.Errorf("%s: a preflight would not know it: %v", name, err)
		}
		if c.want == rotator.KindNotEntitled && (!strings.Contains(err.Error(), "'app'@'10.%'") ||
			!strings.Contains(err.Error(), consentMember("app"))) {
			t.Errorf("%s: neither what it is nor what to do: %v", name, err)
		}
	}
}

// TestPossession: an account is the secret's where a password of it that is, or was, in the
// secret works. AWSPENDING counts, for setSecret may have been here before.
func TestPossession(t *testing.T) {
	value := func(user, password string) secret.Document {
		return document(t, `{"engine":"sample","host":"h","username":"`+user+`","password":"`+password+`"}`)
	}
	current := Login{Host: "h", Port: 7, Database: "db", User: "app", Password: secret.NewPassword("current")}
	clone := func(password string) func() (Login, error) {
		return fixedLogin(Login{Host: "h", Port: 7, Database: "db", User: "app_clone",
			Password: secret.NewPassword(password)})
	}
	for name, c := range map[string]struct {
		login    Login
		previous secret.Document
		pending  func() (Login, error)
		works    string
		tried    string
		want     rotator.Kind
	}{
		"it has just logged in": {Login{User: "app_clone"}, secret.Document{}, nil, "", "", ""},
		"the previous password works": {current, value("app_clone", "previous"), clone("pending"), "previous",
			"previous", ""},
		"the pending password works": {current, value("app_clone", "previous"), clone("pending"), "pending",
			"previous,pending", ""},
		"neither works": {current, value("app_clone", "previous"), clone("pending"), "",
			"previous,pending", rotator.KindLoginRejected},
		"AWSPREVIOUS is another user's": {current, value("app", "previous"), clone("pending"), "previous", "pending",
			rotator.KindLoginRejected},
		"there is no password to try": {current, secret.Document{}, func() (Login, error) {
			return Login{}, errNoCandidate
		}, "", "", rotator.KindNotEntitled},
		"there is only that of AWSPENDING": {current, secret.Document{}, clone("pending"), "pending", "pending", ""},
	} {
		var notes []string
		r := rotator.Rotation{Log: func(format string, args ...any) {
			notes = append(notes, fmt.Sprintf(format, args...))
		}, ReadPrevious: func(context.Context) (secret.Document, error) {
			if c.previous.IsZero() {
				return c.previous, rotator.KindNotFound
			}
			return c.previous, nil
		}}
		for _, stored := range []bool{false, true} { // the superuser can read what the server stores
			e := &only{password: c.works}
			notes = nil
			var holds func(secret.Password) bool
			if stored {
				holds = func(p secret.Password) bool { return e.accepts(p) == nil }
			}
			try := pinging(t.Context(), e, map[string]string{})
			err := possession(sample(), r, current, c.login, "app_clone", try, c.pending)(t.Context(), holds)
			if rotator.KindOf(err) != c.want || strings.Join(e.tried, ",") != c.tried {
				t.Errorf("%s (%t): tried %q: %v", name, stored, e.tried, err)
			}
			label := map[string]string{"previous": "AWSPREVIOUS holds", "pending": "AWSPENDING holds"}[c.works]
			if noted := err == nil && c.tried != ""; noted != (len(notes) == 1) || noted &&
				!strings.Contains(notes[0], label) {
				t.Errorf("%s (%t): the log says %q", name, stored, notes)
			}
			if stored && e.logins > 0 {
				t.Errorf("%s: %d logins, each of which may count against the account", name, e.logins)
			}
		}
	}
}

// TestPossessionOfWhatCannotBeRead: an AWSPREVIOUS that is no document proves nothing, as where there is none, and hides
// no AWSPENDING. Where it is not known what it is, nothing is known.
func TestPossessionOfWhatCannotBeRead(t *testing.T) {
	current := Login{Host: "h", Port: 7, User: "app", Password: secret.NewPassword("current")}
	noDocument := fmt.Errorf("AWSPREVIOUS: %w: %w", rotator.KindNotFound, rotator.KindMisconfigured)
	for name, c := range map[string]struct {
		previous error
		pending  string
		want     rotator.Kind
	}{
		"no document":                            {noDocument, "", rotator.KindNotEntitled},
		"no document, and a password that works": {noDocument, "works", ""},
		"no document, and another password":      {noDocument, "another", rotator.KindLoginRejected},
		"a key that cannot be used":              {rotator.KindMisconfigured, "works", rotator.KindMisconfigured},
	} {
		e := &only{password: "works"}
		r := rotator.Rotation{ReadPrevious: func(context.Context) (secret.Document, error) {
			return secret.Document{}, c.previous
		}}
		pending := func() (Login, error) {
			if c.pending == "" {
				return Login{}, errNoCandidate
			}
			return Login{User: "app_clone", Password: secret.NewPassword(c.pending)}, nil
		}
		try := pinging(t.Context(), e, map[string]string{})
		err := possession(sample(), r, current, current, "app_clone", try, pending)(t.Context(), nil)
		if rotator.KindOf(err) != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// only lets one password in.
type only struct {
	Engine
	password string
	tried    []string
	logins   int
}

func (e *only) accepts(p secret.Password) error {
	if e.tried = append(e.tried, p.Reveal()); p.Reveal() != e.password {
		return rotator.KindLoginRejected
	}
	return nil
}

func (e *only) Ping(_ context.Context, login Login) error {
	e.logins++
	return e.accepts(login.Password)
}
