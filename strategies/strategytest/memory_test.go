package strategytest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
)

// unsaved has a Memory forget at its next restart what a call changes.
func (w world) unsaved(call func() error) error {
	w.mu.Lock()
	saved := w.saved
	w.mu.Unlock()
	err := call()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.saved = saved
	return err
}

// save has it remember everything.
func (w world) save() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.saved = maps.Clone(w.accounts)
}

// world is a Memory with the accounts that fixtures need.
type world struct {
	*Memory
	superuser, user strategies.Login
}

func newWorld() world {
	m := &Memory{}
	w := world{m, m.Login("root", fresh()), m.Login("app", fresh())}
	m.Add(Account{Name: "root", Password: w.superuser.Password, Superuser: true})
	m.Add(Account{Name: "app", Password: w.user.Password, Tables: []string{"shared"},
		Hosts: map[string]secret.Password{node2: w.user.Password}})
	// Bystanders, with what a wrong engine could take from them.
	m.Add(Account{Name: "owner", Password: fresh(), Tables: []string{"owned"}})
	m.Add(Account{Name: "reader", Password: reader, SetRole: "owner", Settings: map[string]string{"limit": "3"}})
	return w
}

// reader is the password of a bystander whose secret is stored.
var reader = fresh()

func fresh() secret.Password { return secret.NewPassword("Fresh-" + unique() + unique()) }

// The second node of a world, and the first.
const node1, node2 = "node-1", "node-2"

// engineFixture offers everything that a Memory can.
func (w world) engineFixture(e strategies.Engine) EngineFixture {
	newUser := func(_ context.Context, name string) (strategies.Login, error) {
		login := w.Login(name, fresh())
		w.Add(Account{Name: name, Password: login.Password})
		return login, nil
	}
	alter := func(user string, change func(a *Account)) error {
		a, ok := w.Account(user)
		if !ok {
			return fmt.Errorf("no user %q", user)
		}
		change(&a)
		w.Add(a)
		return nil
	}
	special := func(a Account) strategies.Login {
		a.Password = fresh()
		a.Hosts = onHosts(a.Hosts, a.Password)
		w.Add(a)
		return w.Login(a.Name, a.Password)
	}
	return EngineFixture{
		Engine:    e,
		Superuser: w.superuser,
		User:      w.user,
		NewUser:   newUser,
		NewSuperuser: func(ctx context.Context, name string) (strategies.Login, error) {
			return special(Account{Name: name, Superuser: true}), nil
		},
		LogIn:        w.Ping,
		UsePrivilege: func(ctx context.Context, login strategies.Login) error { return w.Use(ctx, login, "shared") },
		CreateObject: w.Create,
		ModifyObject: w.Use,
		Revoke: func(_ context.Context, user string) error {
			return alter(user, func(a *Account) { a.Tables = nil })
		},
		SetAttribute: func(_ context.Context, user string) error {
			return alter(user, func(a *Account) { a.Settings = map[string]string{"limit": "7"} })
		},
		HasAttribute: func(_ context.Context, user string) (bool, error) {
			a, _ := w.Account(user)
			return a.Settings["limit"] == "7", nil
		},
		ServerLog:        func() string { return strings.Join(w.Journal(), "\n") },
		Locked:           special(Account{Name: "locked", Locked: true}),
		Expired:          special(Account{Name: "expired", Expired: true}),
		DualPasswordUser: special(Account{Name: "two"}),
		NewUserPerAuthMethod: func(ctx context.Context) ([]strategies.Login, error) {
			one, _ := newUser(ctx, "method_1")
			two, _ := newUser(ctx, "method_2")
			return []strategies.Login{one, two}, nil
		},
		Census:  w.Census,
		Restart: w.Restart,
		Nodes:   []string{node1, node2},
		LogInAt: func(_ context.Context, node string, login strategies.Login) error {
			return w.LogInFrom(node, login.User, login.Password)
		},
		Hosted: special(Account{Name: "hosted", Hosts: map[string]secret.Password{"10.0.0.1": {}, "10.0.0.2": {}}}),
		Hosts:  []string{"10.0.0.1", "10.0.0.2", "192.0.2.1"},
		LogInFrom: func(_ context.Context, host string, login strategies.Login) error {
			return w.LogInFrom(host, login.User, login.Password)
		},
		TrustedUser: special(Account{Name: "trusted", AcceptsAnyPassword: true}),
		TLS:         true,
	}
}

func TestMemoryIsAnEngine(t *testing.T) {
	TestEngine(t, func(t *testing.T) EngineFixture {
		w := newWorld()
		return w.engineFixture(w)
	})
}

// TestWatchedHidesNothing: what a watched engine does not show, no case would ask for.
func TestWatchedHidesNothing(t *testing.T) {
	t.Parallel()
	var plain strategies.Engine = &Memory{}
	around := reflect.TypeOf(watched(plain, &watcher{}))
	login := reflect.TypeFor[strategies.Login]()
	for m := range methods(reflect.TypeOf(plain)) {
		if m.Type.NumIn() > 2 && m.Type.In(2) == login && m.Name != "Create" && m.Name != "Use" {
			if _, ok := around.MethodByName(m.Name); !ok {
				t.Errorf("a watched engine does not show %s", m.Name)
			}
		}
	}
}

func methods(t reflect.Type) func(yield func(reflect.Method) bool) {
	return func(yield func(reflect.Method) bool) {
		for i := range t.NumMethod() {
			if !yield(t.Method(i)) {
				return
			}
		}
	}
}

func TestMemoryLocksAccounts(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.LockAfter = 3
	const rejected = rotator.KindLoginRejected
	for i, want := range []rotator.Kind{"", rejected, rejected, "", rejected, rejected, "", rejected, rejected,
		rejected, rotator.KindPrivilege} {
		login := w.user
		if want == rejected {
			login.Password = fresh()
		}
		if got := rotator.KindOf(w.Ping(t.Context(), login)); got != want {
			t.Fatalf("login %d: got %q, want %q", i+1, got, want)
		}
	}
	if got := rotator.KindOf(w.SetPassword(t.Context(), w.superuser, w.user.User,
		fresh())); got != rotator.KindPrivilege {
		t.Errorf("a new password for a locked account: got %q, want %q", got, rotator.KindPrivilege)
	}
}

// TestMemoryHooks: Before keeps a thing from happening, After only its answer.
func TestMemoryHooks(t *testing.T) {
	t.Parallel()
	fails := func(_ context.Context, op, _ string) error {
		if op == "set" {
			return rotator.KindUnreachable
		}
		return nil
	}
	for name, c := range map[string]struct {
		bend    func(m *Memory)
		changed bool
		journal []string
	}{
		"before": {func(m *Memory) { m.Before = fails }, false, []string{"login root", "set app: unreachable"}},
		"after":  {func(m *Memory) { m.After = fails }, true, []string{"login root", "set app"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, p := newWorld(), fresh()
			c.bend(w.Memory)
			if err := w.SetPassword(t.Context(), w.superuser, "app", p); !errors.Is(err, rotator.KindUnreachable) {
				t.Errorf("SetPassword: got %v, want %v", err, rotator.KindUnreachable)
			}
			if a, _ := w.Account("app"); a.Password.Equal(p) != c.changed {
				t.Errorf("changed: got %t, want %t", !c.changed, c.changed)
			}
			if got := w.Journal(); !slices.Equal(got, c.journal) {
				t.Errorf("journal: got %q, want %q", got, c.journal)
			}
		})
	}
}

// TestMemoryFallsSilent: a hook may block, and the context still ends the call.
func TestMemoryFallsSilent(t *testing.T) {
	t.Parallel()
	w := newWorld()
	ctx, cancel := context.WithCancel(t.Context())
	w.Before = func(ctx context.Context, _, _ string) error {
		cancel()
		<-ctx.Done()
		return nil
	}
	if err := w.Ping(ctx, w.user); !errors.Is(err, rotator.KindDeadline) {
		t.Errorf("Ping: got %v, want %v", err, rotator.KindDeadline)
	}
}

// TestReportsHoldNoPassword: an engine that leaks must not do so through a case.
func TestReportsHoldNoPassword(t *testing.T) {
	for _, c := range EngineCases() {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			e := &bent{CloningEngine: w}
			e.ping = func(_ context.Context, login strategies.Login) error {
				return fmt.Errorf("%w: %s", rotator.KindUnreachable, login.Password.Reveal())
			}
			e.set = func(_ context.Context, login strategies.Login, _ string, p secret.Password) error {
				return fmt.Errorf("%w: %s: %s", rotator.KindInternal, login.Password.Reveal(), p.Reveal())
			}
			if err := c.Check(t.Context(), w.engineFixture(e)); err != nil && strings.Contains(err.Error(), "Fresh-") {
				t.Error("the report holds a password of the fixture")
			}
		})
	}
}

// TestSkipsNameFields: what a case says is missing is what to write into the fixture.
func TestSkipsNameFields(t *testing.T) {
	t.Parallel()
	fields := reflect.TypeFor[EngineFixture]()
	for _, c := range EngineCases() {
		w := newWorld()
		full := w.engineFixture(w.Memory)
		err := c.Check(t.Context(), EngineFixture{Engine: full.Engine, Superuser: full.Superuser, User: full.User,
			NewUser: full.NewUser, NoDatabases: true})
		if !errors.Is(err, ErrNotOffered) {
			continue
		}
		what, _, _ := strings.Cut(err.Error(), ": not offered")
		for _, name := range regexp.MustCompile(`\b[A-Z]\w+`).FindAllString(what, -1) {
			if _, ok := fields.FieldByName(name); !ok {
				t.Errorf("%s: %q: a fixture has no %s", c.Name, what, name)
			}
		}
	}
}

func TestFixturesLackWhatIsRequired(t *testing.T) {
	t.Parallel()
	if err := EngineCases()[0].Check(t.Context(), EngineFixture{}); err == nil ||
		!strings.Contains(err.Error(), "fixture:") {
		t.Errorf("an empty EngineFixture: got %v", err)
	}
	if err := StrategyCases()[0].Check(t.Context(), StrategyFixture{}); err == nil ||
		!strings.Contains(err.Error(), "fixture:") {
		t.Errorf("an empty StrategyFixture: got %v", err)
	}
}

// TestWhatAWatchedClientSawCounts, also where what it watched ends a moment later; what ends with it does not.
func TestWhatAWatchedClientSawCounts(t *testing.T) {
	t.Parallel()
	for _, kind := range []rotator.Kind{rotator.KindLoginRejected, rotator.KindUnreachable, rotator.KindDeadline} {
		ctx, cancel := context.WithCancel(t.Context())
		err := watch(ctx, make(chan struct{}), func(context.Context) error { cancel(); return kind })
		if (err != nil) != (kind == rotator.KindLoginRejected) {
			t.Errorf("%s as the watching ends: %v", kind, err)
		}
	}
}
