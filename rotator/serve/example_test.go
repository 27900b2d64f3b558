package serve_test

import (
	"fmt"
	"strings"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/serve"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/postgres"
)

// The whole of a Lambda function. It does not return.
func ExampleLambda() {
	serve.Lambda(func(s serve.Settings) (rotator.Strategy, error) {
		engine, err := postgres.Engine{Roots: s.RootCAs}.Configure(s.Lookup)
		return strategies.AlternatingUsers{Engine: engine, SuperuserSecretARN: s.SuperuserSecretARN,
			RotateOnly: s.RotateOnly}, err
	})
}

// A variable that cannot be is named; nothing is guessed.
func ExampleFromEnvironment() {
	environment := map[string]string{"PASSWORD_LENGTH": "40", "PREFLIGHT": "strickt"}
	lookup := func(name string) (string, bool) { value, ok := environment[name]; return value, ok }
	_, err := serve.FromEnvironment(lookup)
	fmt.Println(rotator.KindOf(err), strings.Contains(err.Error(), "PREFLIGHT"))

	environment["PREFLIGHT"] = "strict"
	s, err := serve.FromEnvironment(lookup)
	fmt.Println(s.PasswordPolicy.Length, s.PreflightMode, err)
	// Output:
	// misconfigured true
	// 40 strict <nil>
}
