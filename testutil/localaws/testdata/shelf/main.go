// The function of docs/writing-an-engine.md.
package main

import (
	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/serve"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest/shelf"
)

func main() {
	serve.Lambda(func(s serve.Settings) (rotator.Strategy, error) {
		return strategies.SingleUser{
			Engine:             shelf.Engine{Roots: s.RootCAs},
			ThroughSuperuser:   s.ThroughSuperuser,
			SuperuserSecretARN: s.SuperuserSecretARN,
		}, nil
	})
}
