package dial_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/dial"
	"github.com/quarterturn-dev/quarterturn/strategies/mysql"
	"github.com/quarterturn-dev/quarterturn/strategies/postgres"
)

// TestARejectedLoginWithoutItsGuesses keeps whose login it was, and the error of the server.
func TestARejectedLoginWithoutItsGuesses(t *testing.T) {
	t.Parallel()
	cause := dial.Cause{Kind: rotator.KindLoginRejected}
	err := cause.Mark(errors.New("app at h: login rejected: this or: that: code 1"), "this or: that")
	var brief interface{ Brief() string }
	if !errors.As(err, &brief) || brief.Brief() != "app at h: login rejected: code 1" {
		t.Errorf("%v", err)
	}
}

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
	if got := c.Sentence(login, quote, rotator.Sentence{}); got != "<{database}> of <d> at h:1: the server does not permit it" {
		t.Error(got)
	}
	if got := c.Sentence(login, quote, rotator.Sentence{Text: "GRANT"}); !strings.HasSuffix(got, ": GRANT") {
		t.Error(got)
	}
}

// TestWhatLastsIsToldFromWhatPasses, in the tables of all engines: a sentence says "try
// again" where that can help and nowhere else, what lasts says what to do, and no row is
// hidden by an earlier one.
func TestWhatLastsIsToldFromWhatPasses(t *testing.T) {
	t.Parallel()
	passing := []rotator.Kind{rotator.KindUnreachable, rotator.KindTooManyConnections, rotator.KindConflict,
		rotator.KindDeadline}
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

// TestARowIsForItsAnswerAlone: each part of a row has to fit.
func TestARowIsForItsAnswerAlone(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		row                    dial.Cause
		work                   dial.Work
		routine, message, code string
		want                   bool
	}{
		"a code":                {dial.Cause{Codes: []string{"28P01"}}, dial.Login, "", "", "28P01", true},
		"another code":          {dial.Cause{Codes: []string{"28P01"}}, dial.Login, "", "", "28P02", false},
		"a code that begins so": {dial.Cause{Codes: []string{"28"}}, dial.Login, "", "", "28P01", false},
		"a class":               {dial.Cause{Codes: []string{"08*"}}, dial.Login, "", "", "08006", true},
		"another class":         {dial.Cause{Codes: []string{"08*"}}, dial.Login, "", "", "18006", false},
		"one of the works": {dial.Cause{Codes: []string{"1"}, During: dial.Begin | dial.Login},
			dial.Statement | dial.Begin, "", "", "1", true},
		"another work": {dial.Cause{Codes: []string{"1"}, During: dial.SetsPassword}, dial.Login, "",
			"", "1", false},
		"another routine": {dial.Cause{Codes: []string{"1"}, From: []string{"f"}}, dial.Login, "g", "",
			"1", false},
		"a message without one of words": {dial.Cause{Codes: []string{"1"}, Says: []string{"--a"}}, dial.Login, "",
			"--b", "1", false},
	} {
		c.row.Kind = rotator.KindPrivilege
		if got := dial.Find([]dial.Cause{c.row}, c.work, c.routine, c.message,
			c.code); (got.Kind == rotator.KindPrivilege) != c.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
	two := []dial.Cause{{Codes: []string{"2"}, Text: "of the second"}, {Codes: []string{"1"}, Text: "of the first"}}
	if got := dial.Find(two, dial.Login, "", "", "1", "2"); got.Text != "of the first" {
		t.Errorf("the first code that has a row counts: %q", got.Text)
	}
}

// TestWhatAnErrorSaysOfItself: whether trying again helps, and what to do.
func TestWhatAnErrorSaysOfItself(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		row      dial.Cause
		sentence string
		again    bool
		hint     string
		own      bool
	}{
		"it lasts": {dial.Cause{Kind: rotator.KindPrivilege}, "it may not: GRANT it: now",
			false, "GRANT it: now", false},
		"it passes": {dial.Cause{Kind: rotator.KindConflict, Retry: dial.RetryYes},
			"another session is at work", true, "", false},
		"it may pass": {dial.Cause{Kind: rotator.KindPrivilege, Retry: dial.RetryPerhaps},
			"full: wait", true, "wait", false},
		"it is this account's": {dial.Cause{Kind: rotator.KindTooManyConnections, OfAccount: true}, "full: raise it",
			false, "raise it", true},
		"a status knows more of a rejection": {dial.Cause{Kind: rotator.KindLoginRejected},
			"rejected: mend it", false, "", false},
	} {
		err := c.row.Mark(fmt.Errorf("server: %w", c.row.Kind), c.sentence)
		var again interface{ Retryable() bool }
		var hint interface{ Hint() string }
		var own interface{ OfAccount() bool }
		if !errors.As(err, &own) || own.OfAccount() != c.own {
			t.Errorf("%s: of this account alone: %t", name, !c.own)
		}
		if !errors.As(err, &again) || !errors.As(err, &hint) || again.Retryable() != c.again || hint.Hint() != c.hint ||
			!errors.Is(err, c.row.Kind) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestTheTableOfCauses is that of docs/runbook.md.
func TestTheTableOfCauses(t *testing.T) {
	t.Parallel()
	got := dial.Markdown([]dial.Cause{
		{Codes: []string{"1", "2*"}, Kind: rotator.KindPrivilege, Text: "{user} a|b: {remedy}"},
		{Codes: []string{"3"}, During: dial.Login, Says: []string{"--a", "--b"}, From: []string{"f", "g"},
			Kind: rotator.KindConflict, Retry: dial.RetryPerhaps, Text: "{database} at {address}"},
	})
	const want = "| answer | during | kind | try again | says |\n|---|---|---|---|---|\n" +
		"| 1, 2* | anything | insufficient privilege | no | `USER` a\\|b: (the privilege that was missing) |\n" +
		"| 3 with `--a` or `--b` of f, g | login | conflict | perhaps | `DATABASE` at `HOST:PORT` |\n"
	if got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	words := map[string]bool{}
	for _, w := range []dial.Work{0, dial.Login, dial.LoginWithoutTLS, dial.Statement, dial.Begin, dial.SetsPassword} {
		if words[w.String()] {
			t.Errorf("%d is %q, as another is", w, w)
		}
		words[w.String()] = true
	}
}
