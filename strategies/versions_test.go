package strategies

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
)

// TestWhichOtherVersionIsTried: a password is sent only where its value is for an account of
// the secret at the same place; what cannot be read is said, and not taken for absent.
func TestWhichOtherVersionIsTried(t *testing.T) {
	ctx := t.Context()
	traits := sample()
	traits.Keys = []Key{{Name: "realm"}}
	d := document(t, `{"engine":"sample","host":"k","username":"app","password":"earlier"}`)
	current := Login{Host: "k", Port: 7, Database: "db", User: "app", Password: secret.NewPassword("current")}
	managed := func(user string) bool { return user == "app" || user == "app_clone" }
	for name, c := range map[string]struct {
		value             secret.Document
		err               error
		previous, pending string // the user who is tried, or the error
	}{
		"the same account": {d, nil, "app", "app"},
		"the other one":    {d.Set("username", "app_clone"), nil, "app_clone", "app_clone"},
		"none":             {d, rotator.KindNotFound, errNoCandidate.Error(), errNoCandidate.Error()},
		"not readable": {d, rotator.KindAccessDenied, string(rotator.KindAccessDenied),
			string(rotator.KindAccessDenied)},
		"no login": {d.Set("password", ""), nil, errNoCandidate.Error(), errNoCandidate.Error()},
		"a database of no server": {d.Set("dbname", strings.Repeat("d", 256)), nil, errNoCandidate.Error(),
			errNoCandidate.Error()},
		"another account": {d.Set("username", "stranger"), nil, errNoCandidate.Error(),
			errNoCandidate.Error()},
		"another host": {d.Set("host", "other"), nil, errNoCandidate.Error(), errNoCandidate.Error()},
		// the sign of Kelvin, a K to strings.EqualFold
		"a host that looks alike": {d.Set("host", "\u212a"), nil, errNoCandidate.Error(), errNoCandidate.Error()},
		"its name, written out":   {d.Set("tlsServerName", "k"), nil, "app", errNoCandidate.Error()},
		"another port":            {d.Set("port", "8"), nil, errNoCandidate.Error(), errNoCandidate.Error()},
		"another name under TLS": {d.Set("tlsServerName", "other"), nil, errNoCandidate.Error(),
			errNoCandidate.Error()},
		"another key of its own": {d.Set("realm", "r"), nil, errNoCandidate.Error(), errNoCandidate.Error()},
		"without TLS, another name": {d.Set("ssl", "false").Set("tlsServerName", "other"), nil, "app",
			errNoCandidate.Error()},
		// AWSPREVIOUS is tried at AWSCURRENT's
		"another database":        {d.Set("dbname", "old"), nil, "app", errNoCandidate.Error()},
		"one that was not for it": {d.Set("ssl", "false"), nil, "app", errNoCandidate.Error()},
	} {
		read := func(context.Context) (secret.Document, error) { return c.value, c.err }
		r := rotator.Rotation{ReadPrevious: read, ReadPending: read}
		for label, found := range map[string]struct {
			login func() (Login, error)
			want  string
		}{
			rotator.LabelPrevious: {previousLogin(ctx, traits, r, current, managed), c.previous},
			rotator.LabelPending:  {stored(ctx, traits, r, current, managed), c.pending},
		} {
			login, err := found.login()
			got := login.User
			if err != nil {
				got = err.Error()
			}
			if got != found.want {
				t.Errorf("%s, %s: %s, want %s", name, label, got, found.want)
			}
			if err == nil && (login.Host != "k" || login.Port != 7 || login.Database != "db" ||
				login.TLS != current.TLS || login.Password.Reveal() != "earlier") {
				t.Errorf("%s, %s: %+v", name, label, login)
			}
		}
	}
	if _, err := stored(ctx, traits, rotator.Rotation{}, current, managed)(); !errors.Is(err, errNoCandidate) {
		t.Errorf("where no earlier attempt can be looked up: %v", err)
	}
}

// TestWhatIsTriedNext: only a rejected login leads on to other credentials, and none is
// tried twice: each counts against the account.
func TestWhatIsTriedNext(t *testing.T) {
	login := func(user, password string) func() (Login, error) {
		return fixedLogin(Login{User: user, Password: secret.NewPassword(password)})
	}
	fails := func(err error) func() (Login, error) { return func() (Login, error) { return Login{}, err } }
	for name, c := range map[string]struct {
		logins []func() (Login, error)
		answer map[string]error // by user and password; none: rejected
		tried  string
		label  string
		want   error
	}{
		"the first": {[]func() (Login, error){login("a", "1"), login("a", "2")},
			map[string]error{"a 1": nil}, "a 1", "A", nil},
		"the last": {[]func() (Login, error){login("a", "1"), login("a", "2"), login("b", "3")},
			map[string]error{"b 3": nil}, "a 1,a 2,b 3", "C", nil},
		"none": {[]func() (Login, error){login("a", "1"), login("b", "1")}, nil, "a 1,b 1", "",
			rotator.KindLoginRejected},
		"one alone": {[]func() (Login, error){login("a", "1")}, nil, "a 1", "",
			rotator.KindLoginRejected},
		"another with it": {[]func() (Login, error){login("a", "1"), login("b", "1")},
			map[string]error{"b 1": nil}, "a 1,b 1", "B", nil},
		"the same again": {[]func() (Login, error){login("a", "1"), login("a", "1")}, nil, "a 1", "",
			rotator.KindLoginRejected},
		"an outage": {[]func() (Login, error){login("a", "1"), login("a", "2")},
			map[string]error{"a 1": rotator.KindUnreachable}, "a 1", "", rotator.KindUnreachable},
		"an outage at the next": {[]func() (Login, error){login("a", "1"), login("a", "2"), login("b", "3")},
			map[string]error{"a 2": rotator.KindUnreachable}, "a 1,a 2", "", rotator.KindUnreachable},
		"one is left out": {[]func() (Login, error){fails(errNoCandidate), login("a", "2")},
			map[string]error{"a 2": nil}, "a 2", "B", nil},
		"all are left out": {[]func() (Login, error){fails(errNoCandidate)}, nil, "", "", errNoCandidate},
		"one cannot be read": {[]func() (Login, error){fails(rotator.KindThrottled), login("a", "2")},
			map[string]error{"a 2": nil}, "", "", rotator.KindThrottled},
		"the next cannot be read": {[]func() (Login, error){
			login("a", "1"), fails(rotator.KindThrottled), login("a", "2")}, map[string]error{"a 2": nil}, "a 1", "",
			rotator.KindThrottled},
	} {
		var tried []string
		var candidates []candidate
		for i, l := range c.logins {
			candidates = append(candidates, candidate{string(rune('A' + i)), l, func(l Login) error {
				key := l.User + " " + l.Password.Reveal()
				tried = append(tried, key)
				if err, ok := c.answer[key]; ok {
					return err
				}
				return rotator.KindLoginRejected
			}})
		}
		got, label, err := firstWorking(candidates...)
		if strings.Join(tried, ",") != c.tried || label != c.label || !errors.Is(err, c.want) {
			t.Errorf("%s: tried %q, %q works: %v", name, tried, label, err)
		}
		for i, key := range tried {
			if user, _, _ := strings.Cut(key, " "); err != nil && len(tried) > 1 &&
				!strings.Contains(err.Error(), fmt.Sprintf("%c (user %q): ", 'A'+i, user)) {
				t.Errorf("%s: it does not say that %s was tried: %v", name, key, err)
			}
		}
		if len(tried) == 1 && err != nil && len(c.logins) == 1 && !strings.HasPrefix(err.Error(), "A: ") {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil && fmt.Sprint(got.User, " ", got.Password.Reveal()) != tried[len(tried)-1] {
			t.Errorf("%s: not the login that works", name)
		}
	}
}

// TestValuesThatAreRefused: a value that is no login, or one for another account or place, is
// an error that says which version it is, before anything is asked of a server.
func TestValuesThatAreRefused(t *testing.T) {
	l := &listener{}
	d := document(t, `{"engine":"test","host":"db","username":"app","password":"p"}`)
	clone := d.Set("username", "app_clone")
	for name, c := range map[string]struct {
		strategy         rotator.Strategy
		current, pending secret.Document
		kind             rotator.Kind
		says, verify     string // of Apply and of Verify; verify "": it is refused in neither way
	}{
		"no login": {SingleUser{Engine: l}, d.Set("host", ""), d, rotator.KindMisconfigured,
			"AWSCURRENT: ", "AWSCURRENT: "},
		"no pending login": {SingleUser{Engine: l}, d, d.Set("host", ""), rotator.KindMisconfigured,
			"AWSPENDING: ", "value under test: "},
		"another user": {SingleUser{Engine: l}, d, clone, rotator.KindConflict, "AWSPENDING: ",
			"value under test: "},
		"another place": {SingleUser{Engine: l}, d, d.Set("host", "x"), rotator.KindConflict,
			"AWSPENDING: ", "value under test: "},
		"two passwords, another user": {DualPasswords{Engine: l}, d, clone, rotator.KindConflict, "AWSPENDING: ",
			"value under test: "},
		"of a pair: no login": {AlternatingUsers{Engine: l}, d.Set("host", ""), clone,
			rotator.KindMisconfigured, "AWSCURRENT: ", "AWSCURRENT: "},
		"of a pair: no pending login": {AlternatingUsers{Engine: l}, d, clone.Set("host", ""),
			rotator.KindMisconfigured, "AWSPENDING: ", "value under test: "},
		"of a pair: no pair": {AlternatingUsers{Engine: l}, d.Set("username", "_clone"),
			d.Set("username", "_clone"), rotator.KindMisconfigured, "AWSCURRENT: ", "value under test: "},
		"of a pair: the same user": {AlternatingUsers{Engine: l}, d, d, rotator.KindConflict,
			"AWSPENDING: ", ""},
		"of a pair: another user": {AlternatingUsers{Engine: l}, d, d.Set("username", "stranger"),
			rotator.KindConflict, "AWSPENDING: ", "value under test: "},
		"of a pair: another place": {AlternatingUsers{Engine: l}, d, clone.Set("port", "2"),
			rotator.KindConflict, "AWSPENDING: ", "value under test: "},
		"of a pair: a name that is no text": {AlternatingUsers{Engine: l}, document(t, `{"engine":"test","host":"db","username":"app","password":"p","alternateUsername":7}`), clone, rotator.KindMisconfigured, "alternateUsername is a number", "value under test: "},
	} {
		r := rotator.Rotation{Current: c.current, Pending: c.pending,
			ReadPrevious: func(context.Context) (secret.Document, error) {
				return secret.Document{}, rotator.KindNotFound
			}}
		if err := c.strategy.Apply(t.Context(), r); rotator.KindOf(err) != c.kind ||
			!strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: Apply: %v", name, err)
		}
		if err := c.strategy.Verify(t.Context(), r); c.verify != "" &&
			(rotator.KindOf(err) != c.kind || !strings.HasPrefix(err.Error(), c.verify)) {
			t.Errorf("%s: Verify: %v", name, err)
		}
		if c.verify != "" && len(l.heard) > 0 {
			t.Errorf("%s: %d passwords were sent", name, len(l.heard))
		}
		l.heard = nil
	}
	// Either of a pair may be tested, and has to log in.
	for _, r := range []rotator.Rotation{{Current: d, Pending: clone}, {Current: clone, Pending: d}} {
		if err := (AlternatingUsers{Engine: l}).Verify(t.Context(), r); !errors.Is(err, rotator.KindLoginRejected) {
			t.Errorf("%s of a pair: %v", r.Pending.Text("username"), err)
		}
	}
	// Where AWSCURRENT is not known, the value alone is judged.
	if err := (SingleUser{Engine: l}).Verify(t.Context(),
		rotator.Rotation{Pending: d.Set("host", "")}); rotator.KindOf(err) != rotator.KindMisconfigured {
		t.Errorf("a value that is no login: %v", err)
	}
	for name, s := range map[string]rotator.Strategy{"single user": SingleUser{Engine: l},
		"a pair": AlternatingUsers{Engine: l}} {
		for what, current := range map[string]secret.Document{"no login": d.Set("host", ""),
			"no pair": d.Set("username", "_clone")} {
			if _, err := s.Propose(t.Context(),
				rotator.Rotation{Current: current}); rotator.KindOf(err) != rotator.KindMisconfigured &&
				!(name == "single user" && what == "no pair") {
				t.Errorf("%s: %s: Propose: %v", name, what, err)
			}
		}
	}
	// A preflight judges AWSCURRENT also where the value to store is given, and a value that cannot be made.
	none := secret.PasswordPolicy{ExcludeLowercase: true, ExcludeUppercase: true, ExcludeNumbers: true,
		ExcludePunctuation: true}
	for what, r := range map[string]rotator.Rotation{
		string(rotator.KindLoginRejected): {Current: d, Pending: clone},
		"missing or not a string":         {Current: d.Set("host", ""), Pending: clone},
		"leaves no character to use":      {Current: d, PasswordPolicy: none},
		"user \"_clone\" has no second":   {Current: d.Set("username", "_clone"), Pending: clone},
	} {
		r.ReadPrevious = func(context.Context) (secret.Document, error) {
			return secret.Document{}, rotator.KindNotFound
		}
		findings := AlternatingUsers{Engine: l}.Preflight(t.Context(), r)
		if !slices.ContainsFunc(findings, func(f rotator.Finding) bool {
			return f.Status == rotator.StatusFailed && strings.Contains(f.Detail, what)
		}) {
			t.Errorf("no finding says %q: %+v", what, findings)
		}
	}
	// The two of a pair that the secret names change places.
	next, err := AlternatingUsers{Engine: l}.Propose(t.Context(),
		rotator.Rotation{Current: d.Set("alternateUsername", "green")})
	if err != nil || next.Text("username") != "green" || next.Text("alternateUsername") != "app" {
		t.Errorf("a pair that is named: %q and %q: %v", next.Text("username"), next.Text("alternateUsername"), err)
	}
	next, err = AlternatingUsers{Engine: l}.Propose(t.Context(), rotator.Rotation{Current: d})
	if err != nil || next.Text("username") != "app_clone" || next.Has("alternateUsername") {
		t.Errorf("a pair by its suffix: %q: %v", next.Text("username"), err)
	}
}
