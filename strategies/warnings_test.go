package strategies

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
)

// What an account cannot see is unknown, so that the strict mode stops there; any
// other warning lets the rotation through.
func TestWarningsOfARehearsal(t *testing.T) {
	some, unseen := Warn("it expires on %s", "Friday"), Warning{Text: "other hosts are not shown", Unknown: true}
	for _, c := range []struct {
		name     string
		warnings []Warning
		err      error
		status   rotator.Status
		detail   string
	}{
		{"none", nil, nil, rotator.StatusPassed, ""},
		{"one", []Warning{some}, nil, rotator.StatusPassed, some.Text},
		{"unknown", []Warning{some, unseen}, nil, rotator.StatusUnknown, some.Text + "; " + unseen.Text},
		{"unknown, and in the way", []Warning{{Text: "blocked", Attempts: 1}, unseen}, nil, rotator.StatusFailed, ""},
		{"after a failure", []Warning{some}, errors.New("no"), "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := rehearsal{}.warnings(&loginResult{to: &Login{}, warnings: c.warnings, err: c.err})
			if got.Status != c.status || got.Detail != c.detail && c.status != rotator.StatusFailed {
				t.Errorf("P8 is %q: %q, want %q: %q", got.Status, got.Detail, c.status, c.detail)
			}
		})
	}
}

// A server that blocks an account after one refused login does not suit a strategy
// with a moment in which clients are refused; one that does so after several is
// named with what to do. It does not concern strategies without such a moment.
func TestWarningsOfCounters(t *testing.T) {
	counted := func(n int) []Warning { return []Warning{{Text: "blocked after so many", Attempts: n}} }
	for n, want := range map[int]rotator.Status{1: rotator.StatusFailed, 5: rotator.StatusPassed} {
		f := rehearsal{}.warnings(&loginResult{to: &Login{}, warnings: counted(n)})
		if f.Status != want || !strings.Contains(f.Detail, "lternating users") ||
			f.Status == rotator.StatusFailed && f.Kind != rotator.KindMisconfigured {
			t.Errorf("%d: %+v", n, f)
		}
		if left, _ := neverRefused(append(counted(n), Warn("another")), nil); len(left) != 1 ||
			left[0].Text != "another" {
			t.Errorf("%d: %v is left", n, left)
		}
	}
}

// An engine may refuse to touch an account where no superuser acts either. That is no
// failure of the login or of a policy of the server, and it is not passed over.
func TestAPreflightShowsThatAnAccountIsRefused(t *testing.T) {
	x := rehearsal{engine: refusing{}}
	user := &loginResult{to: &Login{}, acts: true, err: NotEntitled("no")}
	for _, f := range rotator.RunChecks(t.Context(), x.table(user)) {
		if f.Status == rotator.StatusDenied && f.ID == "P6" && f.Kind == rotator.KindNotEntitled {
			return
		}
	}
	t.Error("P6 is not denied")
}

type refusing struct{ Engine }

func (refusing) Traits() Traits { return Traits{} }

// TestASuperuserThatIsNotUsed: where the settings of a function were replaced, another strategy rotates its secrets. The
// secret shows that: it names a superuser who does nothing here, or its user has the name of a clone.
func TestASuperuserThatIsNotUsed(t *testing.T) {
	e := answering{traits: Traits{Engines: []string{"x"}, CloneSuffix: "_clone", Port: 1}}
	const boss = `,"masterarn":"boss"`
	says := map[string]string{"": "", boss: "SINGLE_USER_THROUGH_SUPERUSER", "_clone": `user "app_clone" has the name of a clone`}
	for name, c := range map[string]struct {
		strategy interface {
			rotator.Preflighter
			rotator.UseTester
		}
		user, more, want string
	}{
		"no superuser":              {SingleUser{Engine: e}, "app", "", ""},
		"a superuser, not used":     {SingleUser{Engine: e}, "app", boss, boss},
		"a superuser":               {SingleUser{Engine: e, ThroughSuperuser: true}, "app", boss, ""},
		"a clone":                   {SingleUser{Engine: e}, "app_clone", boss, "_clone"},
		"a clone, by a superuser":   {SingleUser{Engine: e, ThroughSuperuser: true}, "app_clone", boss, "_clone"},
		"alternating users":         {AlternatingUsers{Engine: e}, "app_clone", boss, ""},
		"one function, no STRATEGY": {ByEngine{Engines: []Engine{e}, Allowed: []string{"x"}}, "app", boss, boss},
	} {
		current, err := secret.ParseDocument(`{"engine":"x","host":"h","username":"` + c.user + `","password":"p"` + c.more + `}`)
		if err != nil {
			t.Fatal(err)
		}
		r := rotator.Rotation{SecretARN: "arn:aws:secretsmanager:us-east-1:123456789012:secret:app-AbCdEf", Current: current,
			ReadPrevious: func(context.Context) (secret.Document, error) { return secret.Document{}, rotator.KindNotFound },
			ReadSecret: func(context.Context, string) (secret.Document, error) {
				return secret.ParseDocument(`{"engine":"x","host":"h","username":"boss","password":"b"}`)
			}}
		remark, err := c.strategy.TestUse(t.Context(), r)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		seen := false
		for _, f := range c.strategy.Preflight(t.Context(), r) {
			if f.ID != "P8" && f.ID != "P9" {
				continue
			}
			seen = true
			for _, text := range []string{f.Detail, remark.Text} {
				if f.Status != rotator.StatusPassed || !strings.Contains(text, says[c.want]) ||
					strings.Contains(text, "STRATEGY") != (c.want != "") {
					t.Errorf("%s: %s %q, and %q", name, f.Status, f.Detail, remark.Text)
				}
			}
		}
		if !seen {
			t.Errorf("%s: no P8", name)
		}
	}
}
