package strategies_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest"
)

// saving is a Memory with keys of its own, which has to be asked to save what works.
type saving struct {
	*strategytest.Memory
	saved *[]string
}

func (s saving) Traits() strategies.Traits {
	t := s.Memory.Traits()
	t.Keys = []strategies.Key{{Name: "nodes", Server: true}, {Name: "realm"}}
	return t
}

func (s saving) Persist(ctx context.Context, login strategies.Login, user string, _ secret.Password) error {
	*s.saved = append(*s.saved, login.User+" "+user)
	return s.Ping(ctx, login)
}

// rotation is one of the user app on a saving Memory: app has the password stored, and the
// secret says more.
func rotation(t *testing.T, password string, more ...string) (saving, rotator.Rotation) {
	t.Helper()
	db := saving{&strategytest.Memory{}, new([]string)}
	db.Add(strategytest.Account{Name: "boss", Password: secret.NewPassword("boss-1"), Superuser: true})
	db.Add(strategytest.Account{Name: "app", Password: secret.NewPassword(password)})
	db.Add(strategytest.Account{Name: "app_clone", Password: secret.NewPassword(password), SetRole: "app"})
	value := func(user, password string, more ...string) secret.Document {
		d, err := secret.ParseDocument(fmt.Sprintf(`{"engine": "memory", "host": %q, "username": %q, "password": %q, "masterarn": "boss"%s}`,
			strategytest.MemoryHost, user, password, strings.Join(append([]string{""}, more...), ", ")))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	return db, rotator.Rotation{
		Current:      value("app", "app-1", more...),
		Pending:      value("app", "app-2", more...),
		ReadPrevious: func(context.Context) (secret.Document, error) { return secret.Document{}, rotator.KindNotFound },
		ReadSecret: func(context.Context, string) (secret.Document, error) {
			return value("boss", "boss-1", `"nodes": [ "n1", "n2" ]`), nil
		},
	}
}

// TestPersist: a pending value that works already is saved by whoever would have set it.
func TestPersist(t *testing.T) {
	for name, c := range map[string]struct {
		strategy func(db saving) rotator.Strategy
		want     []string
	}{
		"single user": {func(db saving) rotator.Strategy { return strategies.SingleUser{Engine: db} },
			[]string{"app app"}},
		"through superuser": {func(db saving) rotator.Strategy {
			return strategies.SingleUser{Engine: db, ThroughSuperuser: true}
		}, []string{"boss app"}},
		"alternating users": {func(db saving) rotator.Strategy { return strategies.AlternatingUsers{Engine: db} },
			[]string{"boss app_clone"}},
	} {
		db, r := rotation(t, "app-2", `"nodes": ["n1","n2"]`)
		if name == "alternating users" {
			r.Pending = r.Pending.Set("username", "app_clone")
		}
		if err := c.strategy(db).Apply(t.Context(), r); err != nil || !slices.Equal(*db.saved, c.want) {
			t.Errorf("%s: saved %q, want %q: %v", name, *db.saved, c.want, err)
		}
		db, r = rotation(t, "app-1", `"nodes": ["n1","n2"]`)
		if name == "alternating users" {
			r.Pending = r.Pending.Set("username", "app_clone")
		}
		if err := c.strategy(db).Apply(t.Context(), r); err != nil || len(*db.saved) > 0 {
			t.Errorf("%s, on the common path: saved %q: %v", name, *db.saved, err)
		}
	}
}

// TestDualPasswordsThroughSuperuser: the superuser acts for a login that works, and what that
// logged in with goes on working.
func TestDualPasswordsThroughSuperuser(t *testing.T) {
	db, r := rotation(t, "app-1", `"nodes": ["n1","n2"]`)
	s := strategies.DualPasswords{Engine: db, ThroughSuperuser: true}
	for _, f := range s.Preflight(t.Context(), r) {
		if f.Status != rotator.StatusPassed {
			t.Errorf("%s %s: %s %s", f.ID, f.Check, f.Status, f.Detail)
		}
	}
	for range 2 {
		if err := s.Apply(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		for _, p := range []string{"app-1", "app-2"} {
			if err := db.Ping(t.Context(), db.Login("app", secret.NewPassword(p))); err != nil {
				t.Errorf("%s: %v", p, err)
			}
		}
	}
	db, r = rotation(t, "another", `"nodes": ["n1","n2"]`)
	if err := (strategies.DualPasswords{Engine: db, ThroughSuperuser: true}).Apply(t.Context(), r); !errors.Is(err,
		rotator.KindLoginRejected) {
		t.Errorf("the superuser acts for a stranger: %v", err)
	}
}

// TestKeysOfAnEngine: they are part of the place, and a superuser's servers are its own.
func TestKeysOfAnEngine(t *testing.T) {
	same := `"nodes": ["n1", "n2"], "realm": "r"`
	for name, c := range map[string]struct {
		current, pending string
		want             error
	}{
		"the same":             {same, same, nil},
		"in other white space": {same, `"realm":"r","nodes":["n1","n2"]`, nil},
		"another node":         {same, `"nodes": ["n1", "n3"], "realm": "r"`, rotator.KindConflict},
		"a node less":          {same, `"realm": "r"`, rotator.KindConflict},
		"another realm":        {same, `"nodes": ["n1", "n2"], "realm": "x"`, rotator.KindConflict},
		"nodes that the superuser secret does not have": {`"nodes": ["n1", "evil"]`, `"nodes": ["n1", "evil"]`, rotator.KindConflict},
	} {
		db, r := rotation(t, "app-1", c.current)
		_, with := rotation(t, "app-1", c.pending)
		r.Pending = with.Pending
		err := strategies.SingleUser{Engine: db, ThroughSuperuser: true}.Apply(t.Context(), r)
		if !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		for _, entry := range db.Journal() {
			if c.want != nil && strings.HasPrefix(entry, "login boss") {
				t.Errorf("%s: the superuser logged in", name)
			}
		}
	}
}

// TestTheTwoListsOfServersAreNamed: which of the two secrets is wrong, a person sees by what each says.
func TestTheTwoListsOfServersAreNamed(t *testing.T) {
	for more, says := range map[string]string{
		`"nodes": ["n1", "n3"]`: `the secret to rotate has nodes ["n1","n3"]`,
		`"realm": "r"`:          "the secret to rotate has no nodes",
	} {
		db, r := rotation(t, "app-1", more)
		err := strategies.SingleUser{Engine: db, ThroughSuperuser: true}.Apply(t.Context(), r)
		if !errors.Is(err, rotator.KindConflict) || !strings.Contains(err.Error(), `The superuser secret has nodes ["n1","n2"], `+says) ||
			!strings.Contains(err.Error(), "a server that is gone") {
			t.Errorf("%s: %v", more, err)
		}
	}
}
