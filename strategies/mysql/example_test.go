package mysql_test

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/mysql"
)

// MySQL and MariaDB are two engines. Only MySQL can keep two passwords for an account:
// strategies.DualPasswords{Engine: mysql.MariaDB{}} does not compile.
func Example() {
	for _, s := range []rotator.Strategy{
		strategies.SingleUser{Engine: mysql.MariaDB{}},
		strategies.AlternatingUsers{Engine: mysql.MariaDB{}},
		strategies.DualPasswords{Engine: mysql.Engine{}},
	} {
		fmt.Printf("%T\n", s)
	}
	fmt.Println(mysql.Engine{}.Traits().Engines, mysql.MariaDB{}.Traits().Engines)
	// Output:
	// strategies.SingleUser
	// strategies.AlternatingUsers
	// strategies.DualPasswords
	// [mysql aurora-mysql] [mariadb]
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
	err = mysql.Engine{}.Ping(context.Background(), strategies.Login{
		Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port,
		User: "app", Password: secret.NewPassword("secret"),
	})
	fmt.Println(rotator.KindOf(err), errors.Is(err, rotator.KindLoginRejected))
	// Output: unreachable false
}
