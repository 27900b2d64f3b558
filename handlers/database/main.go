// Rotates passwords on every engine that ENGINES allows, by the one strategy that STRATEGY names.
package main

import (
	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/serve"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/mysql"
	"github.com/quarterturn-dev/quarterturn/strategies/postgres"
)

func main() {
	serve.Lambda(func(s serve.Settings) rotator.Strategy {
		engines := []strategies.Engine{postgres.Engine{Roots: s.RootCAs, AllowMD5: s.AllowMD5}, mysql.Engine{Roots: s.RootCAs}, mysql.MariaDB{Roots: s.RootCAs}}
		return strategies.ByEngine{Engines: engines, Allowed: s.Engines, Alternating: s.Alternating, ThroughSuperuser: s.ThroughSuperuser,
			DualPasswords: s.DualPasswords, SuperuserSecretARN: s.SuperuserSecretARN, RotateOnly: s.RotateOnly}
	})
}
