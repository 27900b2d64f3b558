package strategytest_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest"
)

// A strategy rotates a password of a Memory, and the journal says what it did.
func ExampleMemory() {
	var db strategytest.Memory
	db.Add(strategytest.Account{Name: "app", Password: secret.NewPassword("before")})

	current, err := secret.ParseDocument(`{"engine": "memory", "host": "db.example.com", "username": "app", "password": "before"}`)
	if err != nil {
		fmt.Println(err)
	}
	pending := current.SetPassword(secret.NewPassword("after"))
	s := strategies.SingleUser{Engine: &db}
	fmt.Println(s.Apply(context.Background(), rotator.Rotation{Current: current, Pending: pending}))
	fmt.Println(s.Verify(context.Background(), rotator.Rotation{Pending: pending}))
	for _, entry := range db.Journal() {
		fmt.Println("-", entry)
	}
	// Output:
	// <nil>
	// <nil>
	// - login app
	// - set app
	// - login app
}

// The server goes away in the middle of a call, and the engine says so.
func ExampleMemory_outage() {
	db := strategytest.Memory{
		Before: func(_ context.Context, op, user string) error {
			return fmt.Errorf("%w: the server is failing over", rotator.KindUnreachable)
		},
	}
	p := secret.NewPassword("secret")
	db.Add(strategytest.Account{Name: "app", Password: p})
	fmt.Println(db.Ping(context.Background(), db.Login("app", p)))
	// Output: login as "app" at db.example.com:7000: unreachable: the server is failing over
}

// A suite is a list of cases, so that it can run outside of go test: against a
// staging server, say.
func ExampleEngineCases() {
	for _, c := range strategytest.EngineCases() {
		if c.Name != "ping/wrong-password" {
			continue
		}
		err := c.Check(context.Background(), fixture(gullible{&strategytest.Memory{}}))
		fmt.Println(c.Name, "notices:", err != nil && !errors.Is(err, strategytest.ErrNotOffered))
		fmt.Println(c.Why)
	}
	// Output:
	// ping/wrong-password notices: true
	// testSecret would promote a password that does not work, and every client would be locked out.
}

// gullible lets everybody in.
type gullible struct{ *strategytest.Memory }

func (gullible) Ping(context.Context, strategies.Login) error { return nil }

func fixture(e gullible) strategytest.EngineFixture {
	add := func(name, password string, superuser bool) strategies.Login {
		p := secret.NewPassword(password)
		e.Add(strategytest.Account{Name: name, Password: p, Superuser: superuser})
		return e.Login(name, p)
	}
	return strategytest.EngineFixture{
		Engine:    e,
		Superuser: add("root", "of all", true),
		User:      add("app", "of mine", false),
		NewUser: func(_ context.Context, name string) (strategies.Login, error) {
			return add(name, "of "+name, false), nil
		},
	}
}
