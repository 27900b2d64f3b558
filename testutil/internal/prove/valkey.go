package prove

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest"
	"github.com/quarterturn-dev/quarterturn/strategies/valkey"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
	"github.com/quarterturn-dev/quarterturn/testutil/rotationtest"
)

// Valkey is Valkey or Redis for rotations, as Postgres is PostgreSQL.
type Valkey struct {
	Server    *dbserver.ValkeyServer
	Mode      Mode
	Bootstrap string        // the function; "": the strategy runs in this process
	Peak      *atomic.Int64 // see Function
	Chaos     Chaos
}

// Rotation makes a fixture with a pair of users of its own.
func (p Valkey) Rotation(ctx context.Context) (rotationtest.Fixture, error) {
	id := strings.ToLower(rand.Text()[:10])
	app, boss, other := "app_"+id, "boss_"+id, "other_"+id
	values := map[string]secret.Document{}
	appRules := []string{"~" + id + ":*", "+@read", "+@write", "+ping"}
	if p.Server.Name != "redis-6" { // 6.0 knows neither channels nor selectors
		appRules = append(appRules, "&"+id, "(~log:* +append)")
	}
	superusers := []string{"+acl", "+config|get", "+config|rewrite", "+info", "+multi", "+exec", "+discard"}
	rules := map[string][]string{
		app:   appRules,
		boss:  superusers,
		other: {"~" + id + ":*", "+get"},
	}
	if p.Mode.Env != nil && slices.Contains(p.Mode.Env, "VALKEY_SELF_CHANGE=true") {
		rules[app] = append(rules[app], superusers...)
	}
	for user, words := range rules {
		password := "Canary-1" + rand.Text()
		if err := p.Server.Exec(ctx, append([]string{"ACL", "SETUSER", user, "on", ">" + password}, words...),
			[]string{"ACL", "SAVE"}); err != nil {
			return rotationtest.Fixture{}, err
		}
		var err error
		if values[user], err = document("valkey", p.Server.Host, p.Server.Port, "", p.Server.CAs != nil, user, password,
			[]string{"colour", "blue"}); err != nil {
			return rotationtest.Fixture{}, err
		}
	}
	// Without it, a first rotation that was abandoned would leave a clone that nothing proves to be one.
	values[boss] = values[boss].Set("rotates", app+"/"+app+"_clone")
	var target atomic.Pointer[dbserver.ValkeyServer]
	target.Store(p.Server)
	// now is the server that the fixture's logins and questions go to, which changes in a failover.
	now := func() Valkey {
		q := p
		q.Server = target.Load()
		return q
	}
	f := rotationtest.Fixture{
		StrategyFixture: strategytest.StrategyFixture{
			Strategy: p.Mode.Strategy(valkey.Engine{AllowSelfChange: true, Roots: p.Server.CAs}),
			Current:  values[app],
			LogIn:    func(ctx context.Context, d secret.Document) error { return now().logIn(ctx, d) },
			Census:   func(ctx context.Context) (map[string]string, error) { return now().Server.Census(ctx) },
			Others:   map[string]secret.Document{other: values[other]},
			Rights: func(ctx context.Context, d secret.Document) ([]string, error) {
				return now().rights(ctx, d)
			},
			KeepsCurrent: p.Mode.KeepsCurrent,
			Related:      related(values[boss]),
		},
		Dial:                   func(ctx context.Context) (net.Conn, error) { return now().Server.Dial(ctx) },
		ContextReachesStrategy: p.Bootstrap == "",
		Restart:                p.Server.Restart,
		ServerLog:              p.Server.Log,
		Refuse: func(user string) rotationtest.Disruption {
			return func(ctx context.Context) (func() error, error) {
				return func() error { return p.Server.Exec(ctx, []string{"ACL", "SETUSER", user, "on"}) },
					p.Server.Exec(ctx, []string{"ACL", "SETUSER", user, "off"})
			}
		},
	}
	f.Chaos = chaosOf(p.Server, p.Server.CAs != nil, target.Store)
	p.Chaos.into(&f, Function{Bootstrap: p.Chaos.Bootstrap, Env: withCA(p.Mode.Env, p.Server.CAFile),
		Timeout: functionTimeout})
	if p.Bootstrap != "" {
		f.Deploy = Function{Bootstrap: p.Bootstrap, Env: withCA(p.Mode.Env, p.Server.CAFile),
			Timeout: 2 * time.Minute, Peak: p.Peak}.Deploy
	}
	return f, nil
}

// logIn is a client's login.
func (p Valkey) logIn(ctx context.Context, d secret.Document) error {
	err := p.Server.As(ctx, d.Text("username"), d.Password().Reveal())
	var said dbserver.ValkeyError
	if errors.As(err, &said) && strings.HasPrefix(string(said), "WRONGPASS") {
		return fmt.Errorf("user %q: %w", d.Text("username"), rotator.KindLoginRejected)
	}
	return err
}

// rights are the rules of a user.
func (p Valkey) rights(ctx context.Context, d secret.Document) ([]string, error) {
	if err := p.logIn(ctx, d); err != nil {
		return nil, err
	}
	users, err := p.Server.Users(ctx)
	words := slices.DeleteFunc(strings.Fields(users[d.Text("username")]), func(w string) bool {
		return strings.HasPrefix(w, "#")
	})
	return words, err
}

// modes are those that the server has.
func (p Valkey) modes() []Mode {
	all := append(Modes(), Mode{Name: dual, Handler: "single-user",
		Env: []string{"VALKEY_DUAL_PASSWORDS=true", "SINGLE_USER_THROUGH_SUPERUSER=true"}, KeepsCurrent: true,
		Strategy: func(e strategies.CloningEngine) rotator.Strategy {
			return strategies.DualPasswords{Engine: e.(strategies.DualPasswordEngine), ThroughSuperuser: true}
		}})
	for i := range all {
		if all[i].Name == single {
			all[i].Env = []string{"VALKEY_SELF_CHANGE=true"}
		}
	}
	return all
}

// Targets are the strategies on a server, each in this process and deployed.
func (p Valkey) Targets(built map[string]string) []Target {
	var all []Target
	for _, m := range p.modes() {
		p.Mode, p.Bootstrap, p.Peak = m, "", nil
		all = append(all, Target{p.Server.Name, m.Name, "in process", p.Rotation, nil})
		p.Bootstrap, p.Peak = built["valkey-"+m.Handler], new(atomic.Int64)
		all = append(all, Target{p.Server.Name, m.Name, "process", p.Rotation, p.Peak})
	}
	return all
}
