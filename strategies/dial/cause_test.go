package dial_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/dial"
	"github.com/quarterturn-dev/quarterturn/strategies/mysql"
	"github.com/quarterturn-dev/quarterturn/strategies/postgres"
)

func TestTheFirstRowThatFitsCounts(t *testing.T) {
	t.Parallel()
	rows := []dial.Cause{
		{Codes: []string{"1"}, During: dial.Login, Text: "login"},
		{Codes: []string{"1"}, Says: []string{"--a", "--b"}, Text: "says"},
		{Codes: []string{"1"}, From: []string{"f"}, Text: "from"},
		{Codes: []string{"1", "2*"}, Text: "other"},
	}
	for want, got := range map[string]dial.Cause{
		"login": dial.Find(rows, dial.Login, "f", "--a", "1"),
		"says":  dial.Find(rows, dial.Statement, "f", "has --b on", "1"),
		"from":  dial.Find(rows, dial.Statement|dial.Begin, "f", "", "1"),
		"other": dial.Find(rows, dial.Statement, "g", "", "none", "23"),
	} {
		if got.Text != want {
			t.Errorf("want %s, got %s", want, got.Text)
		}
	}
	if c := dial.Find(rows, dial.Login, "", "", "3"); c.Kind != rotator.KindInternal || c.Text == "" {
		t.Errorf("no row: %+v", c)
	}
	c := dial.Cause{Text: "{user} of {database} at {address}: {remedy}"}
	login := strategies.Login{User: "{database}", Database: "d", Host: "h", Port: 1}
	quote := func(s string) string { return "<" + s + ">" }
	if got := c.Sentence(login, quote, ""); got != "<{database}> of <d> at h:1: the server does not permit it" {
		t.Error(got)
	}
	if got := c.Sentence(login, quote, "GRANT"); !strings.HasSuffix(got, ": GRANT") {
		t.Error(got)
	}
}

// TestWhatLastsIsToldFromWhatPasses, in the tables of all engines: a sentence says "try
// again" where that can help and nowhere else, what lasts says what to do, and no row is
// hidden by an earlier one.
func TestWhatLastsIsToldFromWhatPasses(t *testing.T) {
	t.Parallel()
	passing := []rotator.Kind{rotator.KindUnreachable, rotator.KindTooManyConnections, rotator.KindConflict, rotator.KindDeadline}
	for engine, rows := range map[string][]dial.Cause{"MySQL": mysql.Causes(), "PostgreSQL": postgres.Causes()} {
		if len(rows) < 25 {
			t.Errorf("%s has %d rows", engine, len(rows))
		}
		for i, c := range rows {
			wrong := func(why string) { t.Errorf("%s, %v during %v: %s: %s", engine, c.Codes, c.During, why, c.Text) }
			again := strings.Contains(strings.ToLower(c.Text), "try again")
			if again != (c.Retry != dial.RetryNo) {
				wrong("retry is " + string(c.Retry))
			}
			if c.Retry == dial.RetryYes && !slices.Contains(passing, c.Kind) {
				wrong("a kind of what lasts: " + string(c.Kind))
			}
			if c.Kind == "" || c.Kind == rotator.KindLoginRejected && c.During&(dial.Login|dial.LoginWithoutTLS) == 0 {
				wrong("not a kind for it: " + string(c.Kind))
			}
			for _, word := range []string{"nobody", "whoever", "somebody", "someone"} {
				if strings.Contains(c.Text, word) && !strings.Contains(c.Text, "lets nobody in") {
					wrong("says " + word)
				}
			}
			for _, code := range c.Codes {
				code = strings.TrimSuffix(code, "*")
				work := c.During
				if work == 0 {
					work = dial.Statement
				}
				from, says := "", ""
				if c.From != nil {
					from = c.From[0]
				}
				if c.Says != nil {
					says = c.Says[0]
				}
				if found := dial.Find(rows[:i], work, from, says, code); found.Kind != rotator.KindInternal {
					wrong("hidden by: " + found.Text)
				}
			}
		}
	}
}
