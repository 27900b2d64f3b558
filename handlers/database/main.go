// Rotates passwords on every engine that ENGINES allows, by the one strategy that STRATEGY names.
package main

import (
	"errors"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/serve"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/mysql"
	"github.com/quarterturn-dev/quarterturn/strategies/postgres"
	"github.com/quarterturn-dev/quarterturn/strategies/valkey"
)

func main() {
	serve.Lambda(func(s serve.Settings) (rotator.Strategy, error) {
		pg, badPostgres := postgres.Engine{Roots: s.RootCAs}.Configure(s.Lookup)
		vk, badValkey := valkey.Engine{Roots: s.RootCAs}.Configure(s.Lookup)
		my := mysql.Engine{Roots: s.RootCAs}
		dualMySQL, badMySQL := mysql.DualPasswords(s.Lookup, s.ThroughSuperuser)
		dualValkey, badDual := valkey.DualPasswords(s.Lookup)
		byEngine := strategies.ByEngine{Engines: []strategies.Engine{pg, my, mysql.MariaDB{Roots: s.RootCAs}, vk},
			Allowed: s.Engines, Alternating: s.Alternating, ThroughSuperuser: s.ThroughSuperuser,
			SuperuserSecretARN: s.SuperuserSecretARN, RotateOnly: s.RotateOnly,
			DualPasswords: map[string]bool{my.Traits().Name: dualMySQL, vk.Traits().Name: dualValkey}}
		return byEngine, errors.Join(badPostgres, badValkey, badMySQL, badDual, byEngine.Validate())
	})
}
