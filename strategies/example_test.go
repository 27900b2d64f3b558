package strategies_test

import (
	"context"
	"fmt"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest"
)

// A user and its clone in turn: the one in use keeps its password.
func ExampleAlternatingUsers() {
	var db strategytest.Memory // an engine like postgres.Engine{} and mysql.Engine{}
	db.Add(strategytest.Account{Name: "root", Password: secret.NewPassword("of-root"), Superuser: true})
	db.Add(strategytest.Account{Name: "app", Password: secret.NewPassword("in-use")})
	value := func(user, password string) secret.Document {
		return secret.Document{}.Set("engine", "memory").Set("host", "db.example.com").
			Set("username", user).SetPassword(secret.NewPassword(password)).Set("masterarn", "root-secret")
	}
	r := rotator.Rotation{
		Current:      value("app", "in-use"),
		ReadSecret:   func(context.Context, string) (secret.Document, error) { return value("root", "of-root"), nil },
		ReadPrevious: func(context.Context) (secret.Document, error) { return secret.Document{}, rotator.KindNotFound },
	}
	s := strategies.AlternatingUsers{Engine: &db}
	ctx := context.Background()
	var err error
	if r.Pending, err = s.Propose(ctx, r); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("next:", r.Pending.Text("username"))
	fmt.Println(s.Apply(ctx, r), s.Verify(ctx, rotator.Rotation{Pending: r.Pending}))
	fmt.Println("still works:", db.Ping(ctx, db.Login("app", secret.NewPassword("in-use"))) == nil)
	// Output:
	// next: app_clone
	// <nil> <nil>
	// still works: true
}

// The preflight of a strategy tells where the way ends. With a password that the server
// rejects, what comes after the login is not tried.
func ExampleSingleUser_Preflight() {
	var db strategytest.Memory
	db.Add(strategytest.Account{Name: "app", Password: secret.NewPassword("changed-by-hand")})
	current := secret.Document{}.Set("engine", "memory").Set("host", "db.example.com").
		Set("username", "app").SetPassword(secret.NewPassword("in-the-secret"))
	none := func(context.Context) (secret.Document, error) { return secret.Document{}, rotator.KindNotFound }
	for _, f := range (strategies.SingleUser{Engine: &db}).Preflight(context.Background(), rotator.Rotation{
		Current: current, ReadPending: none, ReadPrevious: none,
	}) {
		if f.ID == "T1" || f.ID == "P2" || f.ID == "P6" {
			fmt.Println(f.ID, f.Status)
		}
	}
	// Output:
	// T1 passed
	// P2 failed
	// P6 skipped
}
