// Rotates a pair of MySQL or Aurora MySQL users in turn.
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
		return strategies.AlternatingUsers{Engine: engine, RotateOnly: s.RotateOnly,
			SuperuserSecretARN: s.SuperuserSecretARN}, nil
	})
}
