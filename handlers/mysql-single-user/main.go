// Rotates the password of one MySQL or Aurora MySQL user.
package main

import (
	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/serve"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/mysql"
)

func main() {
	serve.Lambda(func(s serve.Settings) (rotator.Strategy, error) {
		engine := mysql.Engine{Roots: s.RootCAs}
		dual, err := mysql.DualPasswords(s.Lookup, s.ThroughSuperuser)
		if dual {
			return strategies.DualPasswords{Engine: engine}, err
		}
		return strategies.SingleUser{Engine: engine, ThroughSuperuser: s.ThroughSuperuser,
			SuperuserSecretARN: s.SuperuserSecretARN}, err
	})
}
