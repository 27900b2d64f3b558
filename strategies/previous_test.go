package strategies

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
)

// listener accepts no password, and remembers where each was sent.
type listener struct{ heard []Login }

func (l *listener) reject(login Login) error {
	l.heard = append(l.heard, login)
	return rotator.KindLoginRejected
}

func (l *listener) Traits() Traits {
	return Traits{Name: "test", Engines: []string{"test"}, Port: 1, CloneSuffix: "_clone"}
}
func (l *listener) Ping(_ context.Context, login Login) error { return l.reject(login) }
func (l *listener) SetPassword(_ context.Context, login Login, _ string, _ secret.Password) error {
	return l.reject(login)
}
func (l *listener) DryRunSetPassword(_ context.Context, login Login, _ string, _ secret.Password) ([]Warning, error) {
	return nil, l.reject(login)
}
func (l *listener) EnsureClone(_ context.Context, login Login, _ Pair, _ secret.Password) error {
	return l.reject(login)
}
func (l *listener) DryRunEnsureClone(_ context.Context, login Login, _ Pair, _ secret.Password) ([]Warning, error) {
	return nil, l.reject(login)
}
func (l *listener) SetPasswordKeeping(_ context.Context, login Login, _ string, _, _ secret.Password) error {
	return l.reject(login)
}
func (l *listener) DryRunKeeping(_ context.Context, login Login, _ string, _, _ secret.Password) ([]Warning, error) {
	return nil, l.reject(login)
}

// The password of AWSPREVIOUS goes where its own value sends it and nowhere else:
// whoever may write AWSCURRENT must not be able to have it sent to another server,
// or to the same without TLS, or under another name in the certificate.
func TestPreviousGoesWhereItsOwnValueSendsIt(t *testing.T) {
	t.Parallel()
	places := []string{``, `,"ssl":true`, `,"ssl":"yes"`, `,"ssl":false`, `,"ssl":"false"`, `,"tlsServerName":"other"`, `,"tlsServerName":"db"`,
		`,"host":"DB"`, `,"host":"elsewhere"`, `,"port":2`, `,"username":"another"`, `,"engine":"unknown"`}
	document := func(password, more string) secret.Document {
		d, err := secret.ParseDocument(`{"engine":"test","host":"db","username":"app","password":"` + password + `"}`)
		if err != nil {
			t.Fatal(err)
		}
		extra, err := secret.ParseDocument(`{"none":""` + more + `}`)
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"ssl", "tlsServerName", "host", "port", "username", "engine"} {
			if on, ok := extra.Bool(key); ok && key == "ssl" {
				d = d.Set(key, fmt.Sprint(on))
			} else if text := extra.Text(key); text != "" {
				d = d.Set(key, text)
			}
		}
		if extra.Has("port") {
			d = d.Set("port", "2")
		}
		return d
	}
	for _, current := range places {
		for _, before := range places {
			l := &listener{}
			r := rotator.Rotation{
				Current: document("current", current),
				Pending: document("pending", current),
				ReadPrevious: func(context.Context) (secret.Document, error) {
					return document("previous", before), nil
				},
			}
			own, ownErr := l.Traits().parseLogin(document("previous", before))
			for _, s := range []rotator.Strategy{SingleUser{Engine: l}, SingleUser{Engine: l, ThroughSuperuser: true},
				DualPasswords{Engine: l}, AlternatingUsers{Engine: l}} {
				l.heard = nil
				_ = s.Apply(t.Context(), r)
				s.(rotator.Preflighter).Preflight(t.Context(), r)
				sent := 0
				for _, login := range l.heard {
					if login.Password.Reveal() != "previous" {
						continue
					}
					sent++
					if ownErr != nil || !sameEndpoint(own, login) || login.User != own.User || login.TLS.Disabled &&
						!own.TLS.Disabled || !own.TLS.Disabled && !strings.EqualFold(certificateName(login),
						certificateName(own)) {
						t.Errorf("AWSCURRENT %s, AWSPREVIOUS %s, %T: its password was sent to %s:%d %+v", current,
							before, s, login.Host, login.Port, login.TLS)
					}
				}
				if current == "" && before == "" && sent == 0 {
					t.Errorf("%T: AWSPREVIOUS was not tried", s)
				}
			}
		}
	}
}

func certificateName(login Login) string {
	if login.TLS.ServerName != "" {
		return login.TLS.ServerName
	}
	return login.Host
}

// Two spellings of one name of DNS are one host.
func TestSpellingsOfOneHost(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"db.test", "db.test.", true}, {"DB.test.", "db.TEST", true}, {"db.test", "db", false},
		{"db.test..", "db.test", false}, {"10.0.0.1", "10.0.0.1", true}, {"::1", "::1", true},
	} {
		a, b := Login{Host: c.a, Port: 1}, Login{Host: c.b, Port: 1}
		if sameEndpoint(a, b) != c.same || (checkSameDatabase(a, b) == nil) != c.same {
			t.Errorf("%s and %s: %t, %v", c.a, c.b, sameEndpoint(a, b), checkSameDatabase(a, b))
		}
	}
}

// TestTheVersionThatWasTriedIsNamed: a line that sets a password says of which version, where several are for the user.
func TestTheVersionThatWasTriedIsNamed(t *testing.T) {
	t.Parallel()
	try := func(login Login) error {
		set := func(of string) rotator.Fix {
			return rotator.Fix{Run: "ACL SETUSER " + of + login.User + " on >PASSWORD", PasswordOf: of}
		}
		return rotator.WithFix(rotator.KindLoginRejected, "", rotator.Fix{Run: "ACL LIST"}, set(""), set("AWSCURRENT of boss"))
	}
	at := func(user, p string) func() (Login, error) {
		return fixedLogin(Login{User: user, Password: secret.NewPassword(p)})
	}
	_, _, err := firstWorking(candidate{rotator.LabelCurrent, at("app", "1"), try},
		candidate{rotator.LabelPending, at("app", "3"), try}, candidate{rotator.LabelPrevious, at("other", "2"), try})
	var of []string
	for _, fix := range rotator.FixesOf(err) {
		of = append(of, fix.PasswordOf)
	}
	if want := ", AWSCURRENT, AWSCURRENT of boss, AWSPREVIOUS, AWSCURRENT of boss"; strings.Join(of, ", ") != want {
		t.Errorf("%q, want %q", of, want)
	}
}
