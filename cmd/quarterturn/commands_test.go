package main

import (
	"strings"
	"testing"
)

// TestACommandOfAnotherText: an answer repeats names that others chose, such as that of a database. What looks like an
// event in one becomes no command that runs anything else.
func TestACommandOfAnotherText(t *testing.T) {
	q := &question{secret: "app", function: "rotate"}
	for text, want := range map[string]string{
		`{"Step":"status","SecretId":"$(forged)"}`:                `quarterturn status '$(forged)' --function rotate`,
		`{"Step":"status","SecretId":"app"}`:                      `quarterturn status app --function rotate`,
		`{"Step":"recover","SecretId":"app","Action":"; forged"}`: `quarterturn recover app '; forged' --function rotate`,
		`{"Step":"status","SecretId":"rds!db-x"}`:                 `quarterturn status 'rds!db-x' --function rotate`,
		"aws lambda invoke --function-name $(forged) --payload '" + `{"Step":"status","SecretId":"app"}' out`: `quarterturn ` +
			`status app --function '$(forged)'`,
	} {
		if got := q.inCommands(text); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}
