package fleet

import (
	"testing"
	"time"
)

func TestIntervals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rules Rules
		want  time.Duration // 0: an error
	}{
		{Rules{Days: 30}, 30 * day},
		{Rules{Days: 8, Expression: "rate(7 days)"}, 7 * day}, // the expression counts
		{Rules{Expression: "rate(1 day)"}, day},
		{Rules{Expression: "rate(4 hours)"}, 4 * time.Hour},
		{Rules{Expression: "rate(10 minutes)"}, 0},
		{Rules{Expression: "rate(0 days)"}, 0},
		{Rules{Expression: "cron(0 3 ? * SUN *)"}, 7 * day},
		{Rules{Expression: "cron(0 8/8 * * ? *)"}, 16 * time.Hour}, // 8 and 16
		{Rules{Expression: "cron(0 */6 * * ? *)"}, 6 * time.Hour},
		{Rules{Expression: "cron(0 2 1 * ? *)"}, 31 * day},
		{Rules{Expression: "cron(0 2 L * ? *)"}, 31 * day},
		{Rules{Expression: "cron(0 2 1 1/3 ? *)"}, 92 * day},
		{Rules{Expression: "cron(0 2 ? * MON#1 *)"}, 35 * day},
		{Rules{Expression: "cron(0 2 ? * 6L *)"}, 35 * day},
		{Rules{Expression: "cron(0 2 29 2 ? *)"}, 1461 * day},
		{Rules{Expression: "cron(0 2 ? * MON-FRI *)"}, 3 * day},
		{Rules{Expression: "cron(0 2 15W * ? *)"}, 32 * day},
		{Rules{Expression: "cron(0 2 30 2 ? *)"}, 0}, // no such day
		{Rules{Expression: "cron(5 2 1 * ? *)"}, 0},
		{Rules{Expression: "cron(0 24 1 * ? *)"}, 0},
		{Rules{Expression: "cron(0 2 1 * MON *)"}, 0},
		{Rules{Expression: "cron(0 2 1 *)"}, 0},
		{Rules{Expression: "cron(0 5-3 * * ? *)"}, 0},
		{Rules{Expression: "every day"}, 0},
		{Rules{}, 0},
	} {
		got, err := c.rules.Interval()
		if (err != nil) != (c.want == 0) || err == nil && got != c.want {
			t.Errorf("%+v: %s, %v; want %s", c.rules, got, err, c.want)
		}
	}
}

func TestWindows(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 26, 15, 0, 0, 0, time.UTC)
	for duration, want := range map[string]time.Duration{"3h": 3 * time.Hour, "": 9 * time.Hour, "x": 9 * time.Hour} {
		if got := (Rules{Duration: duration}).Window(at); got != want {
			t.Errorf("%q: %s, want %s", duration, got, want)
		}
	}
}

func FuzzInterval(f *testing.F) {
	f.Add("cron(0 3 ? * SUN *)")
	f.Add("rate(1 day)")
	f.Fuzz(func(t *testing.T, expression string) {
		got, err := Rules{Expression: expression}.Interval()
		if err == nil && (got <= 0 || got > 100000*day) {
			t.Errorf("%q: %s", expression, got)
		}
	})
}
