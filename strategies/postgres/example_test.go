package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/postgres"
)

// The zero value is ready for use, by any strategy.
func Example() {
	for _, s := range []rotator.Strategy{
		strategies.SingleUser{Engine: postgres.Engine{}},
		strategies.SingleUser{Engine: postgres.Engine{}, ThroughSuperuser: true},
		strategies.AlternatingUsers{Engine: postgres.Engine{}},
	} {
		fmt.Printf("%T\n", s)
	}
	fmt.Println(postgres.Engine{}.Traits().Engines)
	// Output:
	// strategies.SingleUser
	// strategies.SingleUser
	// strategies.AlternatingUsers
	// [postgres aurora-postgresql]
}

// An error has the kind by which a strategy decides: a closed port says nothing of the
// password.
func ExampleEngine_Ping() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	l.Close() // nobody listens there now
	err = postgres.Engine{}.Ping(context.Background(), strategies.Login{
		Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port,
		Database: "postgres", User: "app", Password: secret.NewPassword("secret"),
	})
	fmt.Println(rotator.KindOf(err), errors.Is(err, rotator.KindLoginRejected))
	// Output: unreachable false
}
