package rotationtest

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest"
)

// MemoryFixture makes fixtures for a strategy on a Memory, each with a Memory of its own: the fixture to read before
// writing one. keeps: KeepsCurrent. Its masterarn is in us-east-1, the Region of a deployed function.
func MemoryFixture(strategy func(e strategies.CloningEngine) rotator.Strategy, keeps bool) NewFixture {
	return func(context.Context) (Fixture, error) {
		const superuserARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:root-a1b2c3"
		db := &strategytest.Memory{}
		value := func(user string, superuser bool) (secret.Document, error) {
			p := secret.NewPassword("Fresh-" + rand.Text())
			db.Add(strategytest.Account{Name: user, Password: p, Superuser: superuser, Tables: []string{user + "'s"},
				Hosts: map[string]secret.Password{"10.0.0.2": p}})
			return secret.ParseDocument(fmt.Sprintf(`{"engine": "memory", "host": %q, "port": %d, "username": %q, "password": %q, "masterarn": %q, "colour": "blue"}`,
				strategytest.MemoryHost, strategytest.MemoryPort, user, p.Reveal(), superuserARN))
		}
		root, err := value("root", true)
		if err != nil {
			return Fixture{}, err
		}
		other, err := value("other", false)
		if err != nil {
			return Fixture{}, err
		}
		app, err := value("app", false)
		if err != nil {
			return Fixture{}, err
		}
		return Fixture{
			StrategyFixture: strategytest.StrategyFixture{
				Strategy:     strategy(db),
				Current:      app,
				KeepsCurrent: keeps,
				// Clients are judged by the accounts: what happens to the function's logins
				// does not happen to theirs.
				LogIn: func(_ context.Context, d secret.Document) error {
					return db.LogInFrom("", d.Text("username"), d.Password())
				},
				Census: db.Census,
				Others: map[string]secret.Document{"other": other},
				Rights: func(_ context.Context, d secret.Document) ([]string, error) {
					return db.Rights(d.Text("username"), d.Password())
				},
				Hosts: []string{"10.0.0.1", "10.0.0.2", "192.0.2.1"},
				LogInFrom: func(_ context.Context, host string, d secret.Document) error {
					return db.LogInFrom(host, d.Text("username"), d.Password())
				},
				Related: func(_ context.Context, id string) (secret.Document, error) {
					if id != superuserARN {
						return secret.Document{}, rotator.KindNotFound
					}
					return root, nil
				},
			},
			ContextReachesStrategy: true,
			Restart:                db.Restart,
			Refuse: func(user string) Disruption {
				lock := func(is bool) error {
					a, _ := db.Account(user)
					a.Locked = is
					db.Add(a)
					return nil
				}
				return func(context.Context) (func() error, error) {
					return func() error { return lock(false) }, lock(true)
				}
			},
			Tap: func(ask func(what string, after bool) error) {
				db.Before = func(_ context.Context, op, user string) error { return ask(op+" "+user, false) }
				db.After = func(_ context.Context, op, user string) error { return ask(op+" "+user, true) }
			},
		}, nil
	}
}
