package valkey_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest"
	"github.com/quarterturn-dev/quarterturn/strategies/valkey"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
)

// wrong is the engine with a fault. It is no Persister: embedding the interface leaves that out.
type wrong struct {
	strategies.CloningEngine
	set   func(ctx context.Context, login strategies.Login, user string, p secret.Password) error
	clone func(ctx context.Context, login strategies.Login, pair strategies.Pair, p secret.Password) error
}

func (e wrong) SetPassword(ctx context.Context, login strategies.Login, user string, p secret.Password) error {
	if e.set != nil {
		return e.set(ctx, login, user, p)
	}
	return e.CloningEngine.SetPassword(ctx, login, user, p)
}

func (e wrong) EnsureClone(ctx context.Context, login strategies.Login, pair strategies.Pair, p secret.Password) error {
	if e.clone != nil {
		return e.clone(ctx, login, pair, p)
	}
	return e.CloningEngine.EnsureClone(ctx, login, pair, p)
}

// TestWrongEngines: each fault is found by the case that is named for it, alone, and when the whole suite runs; and
// what other cases find is the same fault. It runs the suite six times, so it takes some 25 seconds.
func TestWrongEngines(t *testing.T) {
	t.Parallel()
	right := valkey.Engine{AllowSelfChange: true}
	for _, c := range []struct {
		name, by, says string
		bend           func(s server, e *wrong)
	}{
		{"saves in a second command", "durable/cut", "after a restart", func(_ server, e *wrong) {
			e.set = func(ctx context.Context, login strategies.Login, user string, p secret.Password) error {
				return right.SetUnsaved(ctx, login, user, p, true)
			}
		}},
		{"never saves", "durable/set", "after a restart", func(_ server, e *wrong) {
			e.set = func(ctx context.Context, login strategies.Login, user string, p secret.Password) error {
				return right.SetUnsaved(ctx, login, user, p, false)
			}
		}},
		{"grants the clone more than its original has", "others/clone", `+@admin`, func(s server, e *wrong) {
			e.clone = func(ctx context.Context, login strategies.Login, pair strategies.Pair, p secret.Password) error {
				err := right.EnsureClone(ctx, login, pair, p)
				if err == nil {
					err = s.Exec(ctx, []string{"ACL", "SETUSER", pair.Clone, "+@admin"}, []string{"ACL", "SAVE"})
				}
				return err
			}
		}},
		{"grants the user more with its password", "others/set", `+@admin`, func(s server, e *wrong) {
			e.set = func(ctx context.Context, login strategies.Login, user string, p secret.Password) error {
				err := right.SetPassword(ctx, login, user, p)
				if err == nil {
					err = s.Exec(ctx, []string{"ACL", "SETUSER", user, "+@admin"}, []string{"ACL", "SAVE"})
				}
				return err
			}
		}},
		{"forgets a node", "nodes/set", "at node second", func(_ server, e *wrong) {
			e.set = func(ctx context.Context, login strategies.Login, user string, p secret.Password) error {
				login.Extra = nil
				return right.SetPassword(ctx, login, user, p)
			}
		}},
		{"forgets a node of a clone", "nodes/set", "at node second", func(_ server, e *wrong) {
			e.clone = func(ctx context.Context, login strategies.Login, pair strategies.Pair, p secret.Password) error {
				login.Extra = nil
				return right.EnsureClone(ctx, login, pair, p)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			// One server is for the cases that share one, one for those that restart it, or use it as a node.
			s, own, second := server{dbserver.NewValkey(t, dbserver.ValkeyOptions{})}, server{dbserver.NewValkey(t, dbserver.ValkeyOptions{})}, server{dbserver.NewValkey(t, dbserver.ValkeyOptions{})}
			var shared, alone strategytest.Neighbors
			check := func(rule strategytest.Case[strategytest.EngineFixture]) error {
				at, others := s, &shared
				restarts, nodes := strings.HasPrefix(rule.Name, "durable/"), strings.HasPrefix(rule.Name, "nodes/")
				if restarts || nodes {
					at, others = own, &alone
				}
				f := fixture(t, at, at, others)
				switch {
				case restarts:
					f.Restart = own.Restart
				case nodes:
					withNodes(t, &f, own, second)
				}
				e := wrong{CloningEngine: right}
				c.bend(at, &e)
				f.Engine = e
				return rule.Check(t.Context(), f)
			}
			named := func(rule strategytest.Case[strategytest.EngineFixture]) bool { return rule.Name == c.by }
			rules := strategytest.EngineCases()
			found := func(err error) bool {
				return err != nil && !errors.Is(err, strategytest.ErrNotOffered) && strings.Contains(err.Error(), c.says)
			}
			if err := check(rules[slices.IndexFunc(rules, named)]); !found(err) {
				t.Errorf("alone, %s does not find it: %v", c.by, err)
			}
			var mu sync.Mutex
			caught := map[string]error{}
			look := func(rule strategytest.Case[strategytest.EngineFixture]) {
				if err := check(rule); err != nil && !errors.Is(err, strategytest.ErrNotOffered) {
					mu.Lock()
					defer mu.Unlock()
					caught[rule.Name] = err
				}
			}
			var running sync.WaitGroup
			for _, rule := range rules {
				if !strings.HasPrefix(rule.Name, "durable/") && !strings.HasPrefix(rule.Name, "nodes/") {
					running.Go(func() { look(rule) })
				}
			}
			for _, rule := range rules {
				if strings.HasPrefix(rule.Name, "durable/") || strings.HasPrefix(rule.Name, "nodes/") {
					look(rule)
				}
			}
			running.Wait()
			if !found(caught[c.by]) {
				t.Errorf("among all, %s does not find it: %v", c.by, caught[c.by])
			}
			for name, err := range caught {
				if !found(err) {
					t.Errorf("%s finds another fault: %v", name, err)
				}
			}
		})
	}
}
