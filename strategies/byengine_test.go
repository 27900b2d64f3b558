package strategies_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest"
)

// other is Memory under another name of engine.
type other struct{ *strategytest.Memory }

func (o other) Traits() strategies.Traits {
	t := o.Memory.Traits()
	t.Name, t.Engines = "Other", []string{"other", "aurora-other"}
	return t
}

// plain is an engine without clones.
type plain struct{ strategies.Engine }

func (plain) Traits() strategies.Traits {
	return strategies.Traits{Name: "Plain", Engines: []string{"plain"}, NoFailedLoginLimit: true}
}

// limited is an engine that may lock an account.
type limited struct{ plain }

func (limited) Traits() strategies.Traits { return strategies.Traits{Engines: []string{"limited"}} }

func document(t *testing.T, engine string) secret.Document {
	t.Helper()
	d, err := secret.ParseDocument(`{"engine":"` + engine + `","host":"` + strategytest.MemoryHost + `","username":"app","password":"0123456789abcdef"}`)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestByEngine: the secret's engine chooses, ENGINES allows, and whatever is wrong is
// refused before anything is asked of a database.
func TestByEngine(t *testing.T) {
	memory, second := &strategytest.Memory{}, &strategytest.Memory{}
	memory.Add(strategytest.Account{Name: "app", Password: secret.NewPassword("0123456789abcdef")})
	second.Add(strategytest.Account{Name: "app", Password: secret.NewPassword("another, so that it is rejected")})
	engines := []strategies.Engine{memory, other{second}, plain{}}
	both := strategies.ByEngine{Engines: engines, Allowed: []string{"memory", "other", "aurora-other"}}
	for name, c := range map[string]struct {
		strategy strategies.ByEngine
		engine   string
		kind     error  // of Verify
		says     string // of the error
	}{
		"the first":             {both, "memory", nil, ""},
		"the second":            {both, "other", rotator.KindLoginRejected, ""},
		"the second, as Aurora": {both, "aurora-other", rotator.KindLoginRejected, ""},
		"not in the list":       {strategies.ByEngine{Engines: engines, Allowed: []string{"memory"}}, "other", rotator.ErrOtherEngine, `engine is "other", and this function rotates memory (ENGINES)`},
		"an engine of nobody's": {both, "oracle", rotator.ErrOtherEngine, "ENGINES"},
		"no engine":             {both, "", rotator.KindMisconfigured, "the key engine is missing"},
		"no list": {strategies.ByEngine{Engines: engines}, "memory", rotator.KindMisconfigured,
			"by comma: memory,other,aurora-other,plain"},
		"a list with a misspelt": {strategies.ByEngine{Engines: engines, Allowed: []string{"memory", "othr"}}, "memory", rotator.KindMisconfigured, `ENGINES names "othr"`},
		"no clones": {strategies.ByEngine{Engines: engines, Allowed: []string{"plain"}, Alternating: true},
			"plain", rotator.KindMisconfigured, "STRATEGY=single-user"},
	} {
		d := document(t, c.engine)
		err := c.strategy.Verify(t.Context(), rotator.Rotation{Pending: d})
		if !errors.Is(err, c.kind) || c.kind != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %v that says %q", name, err, c.kind, c.says)
		}
		if c.says == "" {
			continue
		}
		_, proposed := c.strategy.Propose(t.Context(), rotator.Rotation{Current: d})
		findings := c.strategy.Preflight(t.Context(), rotator.Rotation{Current: d})
		for what, err := range map[string]error{"Propose": proposed,
			"Apply": c.strategy.Apply(t.Context(), rotator.Rotation{Current: d, Pending: d})} {
			if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %s: %v", name, what, err)
			}
		}
		if len(findings) != 1 || findings[0].Status != rotator.StatusFailed ||
			!strings.Contains(findings[0].Detail, c.says) {
			t.Errorf("%s: Preflight: %+v", name, findings)
		}
	}
	d := document(t, "memory")
	if next, err := both.Propose(t.Context(), rotator.Rotation{Current: d}); err != nil ||
		next.Text("username") != "app" || next.SameCredentials(d) {
		t.Errorf("Propose: %v", err)
	}
	if findings := both.Preflight(t.Context(), rotator.Rotation{Current: d}); len(findings) < 10 {
		t.Errorf("Preflight: %+v", findings)
	}
	// AWSCURRENT decides. A pending value for another engine is sent nowhere.
	mixed := rotator.Rotation{Current: document(t, "memory"), Pending: document(t, "other")}
	for what, err := range map[string]error{"Apply": both.Apply(t.Context(), mixed),
		"Verify": both.Verify(t.Context(), mixed)} {
		if !errors.Is(err, rotator.ErrOtherEngine) {
			t.Errorf("%s with values for two engines: %v", what, err)
		}
	}
	// Whether rejected logins count, the engine of the secret says.
	b := strategies.ByEngine{Engines: []strategies.Engine{plain{}, limited{}}, Allowed: []string{"plain", "limited"}}
	for engine, want := range map[string]bool{"plain": false, "limited": true, "another": true} {
		if got := b.LimitsFailedLogins(document(t, engine)); got != want {
			t.Errorf("%s: rejected logins count: %t", engine, got)
		}
	}
}

// TestByEngineHasEveryAbility: the core asks a strategy for its optional abilities, and one
// that the dispatch did not pass on would be missed in silence.
func TestByEngineHasEveryAbility(t *testing.T) {
	is := reflect.TypeFor[strategies.ByEngine]()
	for _, s := range []reflect.Type{reflect.TypeFor[strategies.SingleUser](),
		reflect.TypeFor[strategies.AlternatingUsers](), reflect.TypeFor[strategies.DualPasswords]()} {
		for i := range s.NumMethod() {
			if _, ok := is.MethodByName(s.Method(i).Name); !ok {
				t.Errorf("%s has %s, and ByEngine does not pass it on", s.Name(), s.Method(i).Name)
			}
		}
	}
}
