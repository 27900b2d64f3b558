// Rotates passwords on every engine that ENGINES allows, by the one strategy that STRATEGY names.
package main

import (
	"errors"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/serve"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/mysql"
	"github.com/quarterturn-dev/quarterturn/strategies/postgres"
)

func main() {
	serve.Lambda(func(s serve.Settings) (rotator.Strategy, error) {
		pg, bad := postgres.Engine{Roots: s.RootCAs}.Configure(s.Lookup)
		dual, err := mysql.DualPasswords(s.Lookup, s.ThroughSuperuser)
		engines := []strategies.Engine{pg, mysql.Engine{Roots: s.RootCAs}, mysql.MariaDB{Roots: s.RootCAs}}
		byEngine := strategies.ByEngine{Engines: engines, Allowed: s.Engines, Alternating: s.Alternating, ThroughSuperuser: s.ThroughSuperuser,
			DualPasswords: dual, SuperuserSecretARN: s.SuperuserSecretARN, RotateOnly: s.RotateOnly}
		return byEngine, errors.Join(bad, err, byEngine.Validate())
	})
}
