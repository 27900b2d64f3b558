package secret_test

import (
	"errors"
	"fmt"
	"io"

	"github.com/quarterturn-dev/quarterturn/rotator/secret"
)

func ExampleDocument() {
	current, err := secret.ParseDocument(`{"engine": "postgres", "port": 5432, "username": "app", "password": "old", "team": {"on call": true}}`)
	if err != nil {
		fmt.Println(err)
		return
	}
	port, _ := current.Int("port")
	fmt.Println(current.Text("engine"), port, current.Password())

	pending := current.SetPassword(secret.NewPassword("new"))
	fmt.Println(pending)
	fmt.Println(pending.Encode().Reveal())
	// Output:
	// postgres 5432 [redacted]
	// [redacted]
	// {"engine": "postgres", "port": 5432, "username": "app", "password": "new", "team": {"on call": true}}
}

func ExamplePasswordPolicy() {
	// What AWS's template for PostgreSQL makes, at another length.
	policy := secret.PasswordPolicy{Length: 40}.WithDefaultExclusions(`:/@"'\`)
	p, err := policy.Generate()
	fmt.Println(p, len(p.Reveal()), err)

	fmt.Println(secret.PasswordPolicy{Length: 8}.Validate())
	// Output:
	// [redacted] 40 <nil>
	// password policy is too weak: 8 characters out of 94 make 51.3 bits and 64 are needed; raise PASSWORD_LENGTH or exclude less
}

func ExampleParsePolicy() {
	env := map[string]string{"PASSWORD_PRESET": "uri-safe", "PASSWORD_LENGTH": "48", "EXCLUDE_NUMBERS": "ture"}
	_, err := secret.ParsePolicy(func(name string) (string, bool) {
		value, ok := env[name]
		return value, ok
	})
	fmt.Println(err)
	// Output:
	// password policy: EXCLUDE_NUMBERS is "ture" and must be true or false
}

func ExampleScrubber() {
	var s secret.Scrubber
	s.Add(secret.NewPassword("p@ss/word"))
	err := s.Error(fmt.Errorf("dial postgres://app:p%%40ss%%2Fword@db: %w", io.ErrUnexpectedEOF))
	fmt.Println(err)
	fmt.Println(errors.Is(err, io.ErrUnexpectedEOF))
	// Output:
	// dial postgres://app:[redacted]@db: unexpected EOF
	// true
}
