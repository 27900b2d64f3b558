// Rotates a pair of ACL users of Valkey or Redis in turn.
package main

import (
	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/serve"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/valkey"
)

func main() {
	serve.Lambda(func(s serve.Settings) (rotator.Strategy, error) {
		engine, err := valkey.Engine{Roots: s.RootCAs}.Configure(s.Lookup)
		return strategies.AlternatingUsers{Engine: engine, RotateOnly: s.RotateOnly,
			SuperuserSecretARN: s.SuperuserSecretARN}, err
	})
}
