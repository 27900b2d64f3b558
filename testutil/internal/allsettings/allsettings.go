// Package allsettings reads every setting that some function of this project has: those of
// package serve, and those that live with an engine.
package allsettings

import (
	"github.com/quarterturn-dev/quarterturn/rotator/serve"
	"github.com/quarterturn-dev/quarterturn/strategies/mysql"
	"github.com/quarterturn-dev/quarterturn/strategies/postgres"
	"github.com/quarterturn-dev/quarterturn/strategies/valkey"
)

// Read gives the first error.
func Read(lookup func(string) (string, bool)) error {
	s, err := serve.FromEnvironment(lookup)
	for _, read := range []func() error{
		func() error { _, err := postgres.Engine{}.Configure(s.Lookup); return err },
		func() error { _, err := mysql.DualPasswords(s.Lookup, s.ThroughSuperuser); return err },
		func() error { _, err := valkey.Engine{}.Configure(s.Lookup); return err },
		func() error { _, err := valkey.DualPasswords(s.Lookup); return err },
	} {
		if err == nil {
			err = read()
		}
	}
	return err
}
