package strategies

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
)

// single is an engine with neither clones nor two passwords.
type single struct{ Engine }

func (single) Traits() Traits { return Traits{Name: "Single", Engines: []string{"single"}, Port: 1} }

func (single) ResetStatement(user string) string { return "RESET " + user }

func (single) NotInDryRun(_ context.Context, login Login) (string, error) {
	return "saving as " + login.User, nil
}

func (single) TestUse(_ context.Context, login Login) (rotator.Sentence, error) {
	return rotator.Sentence{}, fmt.Errorf("%w: %s", rotator.KindPrivilege, login.User)
}

// used is an engine with all abilities, on which a login is not enough.
type used struct{ *listener }

func (used) TestUse(ctx context.Context, login Login) (rotator.Sentence, error) {
	return single{}.TestUse(ctx, login)
}

// TestALoginIsNotEnough: what else an engine tests of a value is tested by every strategy.
func TestALoginIsNotEnough(t *testing.T) {
	d := document(t, `{"engine":"test","host":"db","username":"app","password":"p"}`)
	e := used{&listener{}}
	for name, s := range map[string]rotator.UseTester{"single user": SingleUser{Engine: e},
		"a pair":        AlternatingUsers{Engine: e},
		"two passwords": DualPasswords{Engine: e}} {
		if _, err := s.TestUse(t.Context(), rotator.Rotation{Current: d}); !errors.Is(err, rotator.KindPrivilege) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestTheStrategyOfAnEngine: what a function is set to is what the strategy of each
// secret is set to.
func TestTheStrategyOfAnEngine(t *testing.T) {
	both := &listener{}
	for name, c := range map[string]struct {
		by     ByEngine
		engine string
		want   ability
	}{
		"single user": {ByEngine{}, "single", SingleUser{Engine: single{}}},
		"single user, all set": {ByEngine{ThroughSuperuser: true, SuperuserSecretARN: "boss",
			RotateOnly: true}, "single",
			SingleUser{Engine: single{}, ThroughSuperuser: true, SuperuserSecretARN: "boss"}},
		"alternating users": {ByEngine{Alternating: true}, "test", AlternatingUsers{Engine: both}},
		"alternating users, all set": {ByEngine{Alternating: true, SuperuserSecretARN: "boss", RotateOnly: true},
			"test", AlternatingUsers{Engine: both, SuperuserSecretARN: "boss", RotateOnly: true}},
		"two passwords, not wanted": {ByEngine{}, "test", SingleUser{Engine: both}},
		"of another engine": {ByEngine{DualPasswords: map[string]bool{"Single": true}}, "test",
			SingleUser{Engine: both}},
		"it has none": {ByEngine{DualPasswords: map[string]bool{"Single": true}}, "single",
			SingleUser{Engine: single{}}},
		"two passwords": {ByEngine{DualPasswords: map[string]bool{"test": true}}, "test",
			DualPasswords{Engine: both}},
		"two passwords, all set": {ByEngine{DualPasswords: map[string]bool{"test": true}, ThroughSuperuser: true,
			SuperuserSecretARN: "boss"}, "test",
			DualPasswords{Engine: both, ThroughSuperuser: true, SuperuserSecretARN: "boss"}},
	} {
		c.by.Engines, c.by.Allowed = []Engine{both, single{}}, []string{"test", "single"}
		got, err := c.by.strategy(rotator.Rotation{Current: document(t, `{"engine":"`+c.engine+`"}`)})
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %#v, want %#v: %v", name, got, c.want, err)
		}
	}
	two := DualPasswords{Engine: both, ThroughSuperuser: true, SuperuserSecretARN: "boss"}
	if got, want := two.single(),
		(SingleUser{Engine: both, ThroughSuperuser: true, SuperuserSecretARN: "boss"}); got != want {
		t.Errorf("two passwords: %#v, want %#v", got, want)
	}
}

// TestWhatASecretIsFor: what a diagnosis names, and the statement that it gives an
// administrator, are those of the strategy that rotates.
func TestWhatASecretIsFor(t *testing.T) {
	d := document(t, `{"engine":"test","host":"db","username":"app","password":"p","poolerForwardsLogins":true}`)
	of := d.Set("engine", "single")
	by := ByEngine{Engines: []Engine{&listener{}, single{}}, Allowed: []string{"test", "single"}}
	for name, c := range map[string]struct {
		strategy ability
		value    secret.Document
		target   rotator.Target
		reset    string
	}{
		"single user": {SingleUser{Engine: single{}}, of,
			rotator.Target{Strategy: "single-user", Engine: "single", Host: "db", Port: 1, User: "app"}, "RESET app"},
		"through superuser": {SingleUser{Engine: single{}, ThroughSuperuser: true}, of,
			rotator.Target{Strategy: "single-user-through-superuser", Engine: "single", Host: "db", Port: 1,
				User: "app"}, "RESET app"},
		"alternating users": {AlternatingUsers{Engine: &listener{}}, d.Set("dbname", "shop"),
			rotator.Target{Strategy: "alternating-users", Engine: "test", Host: "db", Port: 1, Database: "shop",
				User: "app"}, ""},
		"two passwords": {DualPasswords{Engine: &listener{}}, d.Set("port", "7"),
			rotator.Target{Strategy: "dual-passwords", Engine: "test", Host: "db", Port: 7, User: "app"}, ""},
		"by engine": {by, of, rotator.Target{Strategy: "single-user", Engine: "single", Host: "db", Port: 1,
			User: "app"}, "RESET app"},
		"no engine of ours": {by, d.Set("engine", "oracle"), rotator.Target{}, ""},
		"no login": {SingleUser{Engine: single{}}, of.Set("password", ""),
			rotator.Target{Strategy: "single-user"}, "RESET app"},
		"no user": {SingleUser{Engine: single{}}, of.Set("username", ""),
			rotator.Target{Strategy: "single-user"}, ""},
	} {
		if got := c.strategy.Target(c.value); got != c.target {
			t.Errorf("%s: %+v, want %+v", name, got, c.target)
		}
		if got := c.strategy.ResetStatement(c.value); got != c.reset {
			t.Errorf("%s: %q, want %q", name, got, c.reset)
		}
		said, bad := c.strategy.NotInDryRun(t.Context(), rotator.Rotation{Current: c.value.Set("masterarn", "boss"),
			ReadSecret: func(context.Context, string) (secret.Document, error) {
				return c.value.Set("username", "boss"), nil
			}})
		acting := map[bool]string{true: "boss", false: "app"}[name == "through superuser"]
		if partial := c.target.Engine == "single"; partial != (said == "saving as "+acting) ||
			(bad != nil) != strings.HasPrefix(name, "no ") {
			t.Errorf("%s: what no dry run tries: %q, %v", name, said, bad)
		}
		_, err := c.strategy.TestUse(t.Context(), rotator.Rotation{Current: c.value})
		if name == "no engine of ours" && !errors.Is(err, rotator.ErrOtherEngine) {
			t.Errorf("%s: %v", name, err)
		}
		if found := c.target.Engine == "single"; found != errors.Is(err, rotator.KindPrivilege) || found &&
			!strings.Contains(err.Error(), c.target.User) {
			t.Errorf("%s: what a login does not show: %v", name, err)
		}
		pooled := c.strategy.(rotator.PooledLogins)
		if !pooled.LoginsArePooled(c.value) || pooled.LoginsArePooled(c.value.Set("poolerForwardsLogins", "false")) ||
			pooled.LoginsArePooled(c.value.Set("poolerForwardsLogins", "perhaps")) {
			t.Errorf("%s: whether a pooler has the database judge logins", name)
		}
	}
	for name, s := range map[string]ability{"single user": SingleUser{Engine: single{}},
		"alternating users": AlternatingUsers{Engine: &listener{}},
		"two passwords":     DualPasswords{Engine: &listener{}}} {
		if !s.LimitsFailedLogins(secret.Document{}) {
			t.Errorf("%s: an engine that says nothing may lock an account", name)
		}
	}
}

// TestWhoThereIs to run what a person has to run: a superuser secret's user where the secret or the function names one.
func TestWhoThereIs(t *testing.T) {
	d := document(t, `{"engine":"single","host":"db","username":"app","password":"p"}`)
	by := ByEngine{Engines: []Engine{&listener{}, single{}}, Allowed: []string{"test", "single"}, SuperuserSecretARN: "boss"}
	alternating := by
	alternating.Alternating = true
	for name, c := range map[string]struct {
		strategy rotator.RunnerNamer
		value    secret.Document
		want     bool
	}{
		"none":                              {SingleUser{Engine: single{}}, d, false},
		"of the secret":                     {SingleUser{Engine: single{}}, d.Set("masterarn", "boss"), true},
		"of a function that does not ask":   {SingleUser{Engine: single{}, SuperuserSecretARN: "boss"}, d, false},
		"of the function":                   {SingleUser{Engine: single{}, ThroughSuperuser: true, SuperuserSecretARN: "boss"}, d, true},
		"two passwords":                     {DualPasswords{Engine: &listener{}, ThroughSuperuser: true, SuperuserSecretARN: "boss"}, d, true},
		"alternating":                       {AlternatingUsers{Engine: &listener{}}, d, false},
		"alternating, of the function":      {AlternatingUsers{Engine: &listener{}, SuperuserSecretARN: "boss"}, d, true},
		"by engine":                         {by, d, false},
		"by engine, alternating":            {alternating, d.Set("engine", "test"), true},
		"by engine, which is none of these": {alternating, d.Set("engine", "oracle"), false},
	} {
		if got := c.strategy.Runners(c.value); got.Superuser != c.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestWhoseTurnIsNext: where two users take turns, what keeps one out does not concern AWSCURRENT.
func TestWhoseTurnIsNext(t *testing.T) {
	for name, c := range map[string]struct {
		strategy rotator.Strategy
		want     bool
	}{
		"alternating users":            {AlternatingUsers{}, true},
		"alternating users, by engine": {ByEngine{Alternating: true}, true},
		"single user, by engine":       {ByEngine{}, false},
		"single user":                  {SingleUser{}, false},
		"two passwords":                {DualPasswords{}, false},
	} {
		switcher, ok := c.strategy.(rotator.AccountSwitcher)
		if got := ok && switcher.SwitchesAccount(secret.Document{}); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// askable is an engine that has a query for a rejected login, and no statement that sets a password.
type askable struct{ Engine }

func (askable) Inquiry(users ...string) []rotator.Fix { return []rotator.Fix{{Run: "WHY " + users[0]}} }

func (askable) Explain(context.Context, Login, ...Login) ([]rotator.RejectionCause, error) {
	return nil, nil
}

// TestWhatToDoAboutARejectedSuperuser: what the engine knows, and the command for the secret that holds its password.
func TestWhatToDoAboutARejectedSuperuser(t *testing.T) {
	const secretARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:"
	for arn, command := range map[string]string{
		secretARN + "boss-a1b2c3":             "aws secretsmanager put-secret-value --secret-id " + secretARN + "boss-a1b2c3 ",
		secretARN + "rds!cluster-1a2b-a1b2c3": "aws rds modify-db-cluster ",
		secretARN + "rds!db-1a2b-a1b2c3":      "aws rds modify-db-instance ",
	} {
		for _, c := range []struct {
			engine       Engine
			asks, resets bool
		}{{single{}, false, true}, {askable{}, true, false}, {&listener{}, false, false}} {
			superuser := Login{User: "boss", For: &Holding{secretARN: arn}}
			err := staleSuperuser(c.engine, superuser, rotator.KindLoginRejected)
			if !errors.Is(err, rotator.KindLoginRejected) || !strings.Contains(err.Error(), command) ||
				strings.Contains(err.Error(), "WHY boss") != c.asks ||
				strings.Contains(err.Error(), "RESET boss") != c.resets ||
				strings.Contains(err.Error(), "To find the cause") != c.asks ||
				strings.Contains(err.Error(), "or set the one there") != c.resets {
				t.Errorf("%T: %v", c.engine, err)
			}
			fixes := rotator.FixesOf(err)
			if !strings.Contains(arn, "rds!") { // its own rotation may be stuck, and AWSPENDING have the password
				own := "quarterturn status " + arn + " --function FUNCTION"
				if fixes[0].Run != own || !strings.HasPrefix(fixes[0].For, "if ") || !strings.Contains(err.Error(), "("+
					"If the superuser secret rotates, first see how that stands: "+own) {
					t.Errorf("%T: first %q: %v", c.engine, fixes[0].Run, err)
				}
				fixes = fixes[1:]
			}
			for _, f := range fixes { // whether it is another is not known
				if f.PasswordOf != "" && !strings.Contains(f.For, "if ") {
					t.Errorf("%T: %q is for %q", c.engine, f.Run, f.For)
				}
			}
			if first := fixes[0]; c.asks && !strings.Contains(first.For, "the cause of the superuser's") {
				t.Errorf("whose cause %s finds is not said: %s", first.Run, first.For)
			}
			if err := staleSuperuser(c.engine, superuser, rotator.KindUnreachable); err != rotator.KindUnreachable {
				t.Errorf("%T, of no rejected login: %v", c.engine, err)
			}
		}
	}
}

// TestWhosePasswordAFixTakes: the superuser's goes to the fix of the superuser alone, and not to that of a user whose name
// has the superuser's in it.
func TestWhosePasswordAFixTakes(t *testing.T) {
	superuser := Login{User: "admin", For: &Holding{secretARN: "arn:boss"}}
	for user, want := range map[string]string{"admin": "AWSCURRENT of arn:boss", "webadmin": "", "admin_clone": ""} {
		for _, quote := range []string{"`", `"`} {
			fix := rotator.Fix{Run: "ALTER USER " + quote + user + quote + " IDENTIFIED BY 'PASSWORD'"}
			look := rotator.Fix{Run: "SELECT Host FROM mysql.user"}
			fixes := rotator.FixesOf(staleSuperuser(single{}, superuser, rotator.WithFix(rotator.KindPrivilege, "", look, fix)))
			if len(fixes) != 2 || fixes[0] != look {
				t.Errorf("what shows which account it is comes first: %+v", fixes)
			}
			if fix := fixes[len(fixes)-1]; fix.PasswordOf != want {
				t.Errorf("%s: with the password of %q, and not of %q", fix.Run, fix.PasswordOf, want)
			}
		}
	}
}

// TestNoError: an engine may pass on what it has met, also where that is nothing.
func TestNoError(t *testing.T) {
	if MarkPoolerError(nil) != nil || MarkLoginError(nil) != nil {
		t.Error("an error of nothing")
	}
	for name, err := range map[string]error{"pooler": MarkPoolerError(rotator.KindLoginRejected),
		"login": MarkLoginError(rotator.KindLoginRejected)} {
		var at rotator.LoginError
		if !errors.Is(err, rotator.KindLoginRejected) || !errors.As(err, &at) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
