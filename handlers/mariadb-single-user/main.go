// Rotates the password of one MariaDB user.
package main

import (
	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/serve"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/mysql"
)

func main() {
	serve.Lambda(func(s serve.Settings) (rotator.Strategy, error) {
		engine := mysql.MariaDB{Roots: s.RootCAs}
		return strategies.SingleUser{Engine: engine, ThroughSuperuser: s.ThroughSuperuser,
			SuperuserSecretARN: s.SuperuserSecretARN}, nil
	})
}
