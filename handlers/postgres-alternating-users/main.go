// Rotates a pair of PostgreSQL or Aurora PostgreSQL users in turn.
package main

import (
	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/serve"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/postgres"
)

func main() {
	serve.Lambda(func(s serve.Settings) (rotator.Strategy, error) {
		engine, err := postgres.Engine{Roots: s.RootCAs}.Configure(s.Lookup)
		return strategies.AlternatingUsers{Engine: engine, SuperuserSecretARN: s.SuperuserSecretARN,
			RotateOnly: s.RotateOnly}, err
	})
}
