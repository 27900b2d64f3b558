// Rotates the password of one PostgreSQL or Aurora PostgreSQL user.
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
		return strategies.SingleUser{Engine: engine, ThroughSuperuser: s.ThroughSuperuser,
			SuperuserSecretARN: s.SuperuserSecretARN}, err
	})
}
