package valkey_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest/census"
	"github.com/quarterturn-dev/quarterturn/strategies/valkey"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
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

// wrongEngine is a fault, the case that is named for it, and what that says.
type wrongEngine struct {
	name, by, says string
	bend           func(s server, e *wrong)
}

func wrongEngines() []wrongEngine {
	right := valkey.Engine{AllowSelfChange: true}
	return []wrongEngine{
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
	}
}

// wrongServers are one for the cases that share a server, one for those that restart it, and a second node.
type wrongServers struct {
	shared, own, second server
	all, alone          census.Neighbors
}

func newWrongServers(t *testing.T) *wrongServers {
	start := func() server { return server{dbserver.NewValkey(t, dbserver.ValkeyOptions{})} }
	return &wrongServers{shared: start(), own: start(), second: start()}
}

// aside says whether a case needs a server that no other case uses meanwhile.
func aside(rule strategytest.Case[strategytest.EngineFixture]) bool {
	return strings.HasPrefix(rule.Name, "durable/") || strings.HasPrefix(rule.Name, "nodes/")
}

// check has a case judge a wrong engine. What the fixture does not offer is no fault.
func (w *wrongServers) check(t *testing.T, c wrongEngine, rule strategytest.Case[strategytest.EngineFixture]) error {
	at, others := w.shared, &w.all
	if aside(rule) {
		at, others = w.own, &w.alone
	}
	f := fixture(t, at, at, others)
	switch {
	case strings.HasPrefix(rule.Name, "durable/"):
		f.Restart = w.own.Restart
	case strings.HasPrefix(rule.Name, "nodes/"):
		withNodes(t, &f, w.own, w.second)
	}
	e := wrong{CloningEngine: valkey.Engine{AllowSelfChange: true}}
	c.bend(at, &e)
	f.Engine = e
	if err := rule.Check(t.Context(), f); !errors.Is(err, strategytest.ErrNotOffered) {
		return err
	}
	return nil
}

func (c wrongEngine) found(err error) bool {
	return err != nil && strings.Contains(err.Error(), c.says)
}

// TestWrongEngines: each fault is found by the case that is named for it, alone.
func TestWrongEngines(t *testing.T) {
	t.Parallel()
	w := newWrongServers(t)
	rules := strategytest.EngineCases()
	for _, c := range wrongEngines() {
		at := slices.IndexFunc(rules, func(rule strategytest.Case[strategytest.EngineFixture]) bool {
			return rule.Name == c.by
		})
		if err := w.check(t, c, rules[at]); !c.found(err) {
			t.Errorf("%s: %s does not find it: %v", c.name, c.by, err)
		}
	}
}

// TestWrongEnginesInTheFullRun: it finds the fault when the whole suite runs, too, and what other cases find is the
// same
// fault. It runs the suite six times.
func TestWrongEnginesInTheFullRun(t *testing.T) {
	tier.Long(t)
	t.Parallel()
	for _, c := range wrongEngines() {
		t.Run(c.name, func(t *testing.T) {
			w := newWrongServers(t)
			var mu sync.Mutex
			caught := map[string]error{}
			look := func(rule strategytest.Case[strategytest.EngineFixture]) {
				if err := w.check(t, c, rule); err != nil {
					mu.Lock()
					defer mu.Unlock()
					caught[rule.Name] = err
				}
			}
			// As many at once as go test runs: more, and the limits of the engine end what has to wait for its turn.
			slots := make(chan struct{}, runtime.GOMAXPROCS(0))
			var running sync.WaitGroup
			rules := strategytest.EngineCases()
			for _, rule := range rules {
				if !aside(rule) {
					slots <- struct{}{}
					running.Go(func() { look(rule); <-slots })
				}
			}
			for _, rule := range rules {
				if aside(rule) {
					look(rule)
				}
			}
			running.Wait()
			if !c.found(caught[c.by]) {
				t.Errorf("%s does not find it: %v", c.by, caught[c.by])
			}
			for name, err := range caught {
				if !c.found(err) {
					t.Errorf("%s finds another fault: %v", name, err)
				}
			}
		})
	}
}

// TestACommandThatIsRenamedIsNamed: which one it is, the server says, and of the rest of its answer nothing is shown.
func TestACommandThatIsRenamedIsNamed(t *testing.T) {
	t.Parallel()
	for _, release := range dbserver.ValkeysInTier(t) {
		s := server{dbserver.NewValkey(t, dbserver.ValkeyOptions{Name: release, Conf: map[string]string{"rename-command": `CONFIG ""`}})}
		boss, app := s.login(s.Superuser, secret.NewPassword(s.Password)), name("app")
		ok(t, s.Exec(t.Context(), []string{"ACL", "SETUSER", app, "on", ">" + password().Reveal(), "+get"}))
		_, err := valkey.Engine{}.DryRunSetPassword(t.Context(), boss, app, password())
		wants(t, err, rotator.KindMisconfigured, "Remove its rename-command from the server's configuration file", "(-NAME). "+
			"The command is CONFIG")
		if strings.Contains(err.Error(), "older than") {
			t.Errorf("%s: it knows users, so it is not older than they are: %v", release, err)
		}
	}
}

// TestTheOriginalThatIsGoneGetsItsRulesFromItsClone: the line that brings it back is printed, without the clone's password.
func TestTheOriginalThatIsGoneGetsItsRulesFromItsClone(t *testing.T) {
	t.Parallel()
	s := server{dbserver.NewValkey(t, dbserver.ValkeyOptions{})}
	boss, app := s.pair(t)
	clone, err := s.user(t.Context(), app.User+"_clone", ordinary)
	ok(t, err)
	before, err := s.Users(t.Context())
	ok(t, err)
	ok(t, s.Exec(t.Context(), []string{"ACL", "DELUSER", app.User}))
	boss.For = &strategies.Holding{Users: []string{app.User, clone.User}}
	pair := strategies.Pair{Original: app.User, Clone: clone.User, Target: app.User, Consent: true}
	_, err = valkey.Engine{}.DryRunEnsureClone(t.Context(), boss, pair, password())
	wants(t, err, rotator.KindNotFound, "there is no user", "if the two are a pair", "the password in AWSPREVIOUS")
	if strings.Contains(err.Error(), "dual passwords") || strings.Contains(err.Error(), sha(clone.Password)) {
		t.Error(err)
	}
	for _, fix := range rotator.FixesOf(err) {
		ok(t, s.Exec(t.Context(), strings.Fields(strings.ReplaceAll(fix.Run, "PASSWORD", app.Password.Reveal()))))
	}
	if after, _ := s.Users(t.Context()); after[app.User] != before[app.User] {
		t.Errorf("it has %q; it had %q", after[app.User], before[app.User])
	}
	if line := s.savedLine(t, app.User); !strings.Contains(line, sha(app.Password)) {
		t.Errorf("it is not saved: %s", line)
	}
	// Where the clone is no help, the words of a line are taken by hand, and its password is not.
	ok(t, s.Exec(t.Context(), []string{"ACL", "DELUSER", app.User}, []string{"ACL", "SETUSER", clone.User, "reset", "on",
		">" + clone.Password.Reveal(), "+acl"}))
	_, err = valkey.Engine{}.DryRunEnsureClone(t.Context(), boss, pair, password())
	wants(t, err, rotator.KindNotFound, "with >PASSWORD in place of the word that begins with #", "Then save users (ACL SAVE)")
}

// TestRulesThatDifferAtANodeAreSaid: no rotation changes them, and clients there get NOPERM.
func TestRulesThatDifferAtANodeAreSaid(t *testing.T) {
	t.Parallel()
	s, second := server{dbserver.NewValkey(t, dbserver.ValkeyOptions{})},
		server{dbserver.NewValkey(t, dbserver.ValkeyOptions{})}
	boss, app := s.pair(t)
	s.copyTo(t, second, boss, app)
	e, at, p := valkey.Engine{}, and(boss, second), password()
	for _, differ := range []bool{false, true} {
		if differ {
			ok(t, second.Exec(t.Context(), []string{"ACL", "SETUSER", app.User, "-set"}))
		}
		for what, dry := range map[string]func() ([]strategies.Warning, error){
			"one password":  func() ([]strategies.Warning, error) { return e.DryRunSetPassword(t.Context(), at, app.User, p) },
			"two passwords": func() ([]strategies.Warning, error) { return e.DryRunKeeping(t.Context(), at, app.User, p, p) },
			"a clone": func() ([]strategies.Warning, error) {
				return e.DryRunEnsureClone(t.Context(), at, strategies.Pair{Original: app.User, Clone: app.User + "_clone",
					Target: app.User + "_clone"}, p)
			},
		} {
			warnings, err := dry()
			ok(t, err)
			said := slices.ContainsFunc(warnings, func(w strategies.Warning) bool {
				return strings.HasPrefix(w.Text, fmt.Sprintf("at %s, user %q has other rules than at %s (", second.Address(),
					app.User, s.Address())) && !w.Unknown
			})
			if said != differ {
				t.Errorf("%s: it has other rules at a node: %t, said: %+v", what, differ, warnings)
			}
		}
	}
}

// TestWhatIsLackingIsNotSaidToBeUsers: who may change users, and not see where they are saved, is told what a rotation needs.
func TestWhatIsLackingIsNotSaidToBeUsers(t *testing.T) {
	t.Parallel()
	s := server{dbserver.NewValkey(t, dbserver.ValkeyOptions{})}
	_, app := s.pair(t)
	boss, err := s.user(t.Context(), name("boss"), []string{"+acl", "+info", "+multi", "+exec", "+discard"})
	ok(t, err)
	_, err = valkey.Engine{}.DryRunSetPassword(t.Context(), boss, app.User, password())
	wants(t, err, rotator.KindPrivilege, "finding out where users are saved: user", "has no rule for it. If it was deleted")
	for _, fix := range rotator.FixesOf(err) {
		if fix.By != rotator.ByAdministrator {
			t.Errorf("who lacks rules is to run %q", fix.Run)
		}
	}
}
