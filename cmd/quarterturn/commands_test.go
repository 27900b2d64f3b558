package main

import (
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
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
		"aws lambda invoke --function-name $(forged) --payload fileb:///dev/stdin status.json <<<'" +
			`{"Step":"status","SecretId":"app"}'`: `quarterturn status app --function '$(forged)'`,
	} {
		if got := q.inCommands(text); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	q = &question{secret: "app", here: true, strategy: "single-user"}
	const older = `aws lambda invoke --function-name rotate --payload fileb:///dev/stdin status.json <<<'` +
		`{"Step":"status","SecretId":"app","ClientRequestToken":"VERSION-ID","Format":"text"}'`
	d := &rotator.Diagnosis{Fixes: []rotator.Fix{{By: rotator.ByShell, Run: older}}}
	want := "quarterturn status app --version-id VERSION-ID --here --strategy single-user"
	if got := q.page(nil, d).toRead.(*rotator.Diagnosis).Fixes[0].Run; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
