// Rotates the password of one ACL user of Valkey or Redis.
package main

import (
	"errors"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/serve"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/valkey"
)

func main() {
	serve.Lambda(func(s serve.Settings) (rotator.Strategy, error) {
		engine, bad := valkey.Engine{Roots: s.RootCAs}.Configure(s.Lookup)
		dual, err := valkey.DualPasswords(s.Lookup)
		if dual {
			return strategies.DualPasswords{Engine: engine, ThroughSuperuser: s.ThroughSuperuser,
				SuperuserSecretARN: s.SuperuserSecretARN}, errors.Join(bad, err)
		}
		return strategies.SingleUser{Engine: engine, ThroughSuperuser: s.ThroughSuperuser,
			SuperuserSecretARN: s.SuperuserSecretARN}, errors.Join(bad, err)
	})
}
