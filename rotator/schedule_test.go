package rotator

import (
	"testing"
	"time"
)

func TestIntervals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rules RotationRules
		want  time.Duration // 0: an error
	}{
		{RotationRules{Days: 30}, 30 * day},
		{RotationRules{Days: 8, Expression: "rate(7 days)"}, 7 * day}, // the expression counts
		{RotationRules{Expression: "rate(1 day)"}, day},
		{RotationRules{Expression: "rate(4 hours)"}, 4 * time.Hour},
		{RotationRules{Expression: "rate(10 minutes)"}, 0},
		{RotationRules{Expression: "rate(999 days)"}, 999 * day},
		{RotationRules{Expression: "rate(0 days)"}, 0},
		{RotationRules{Expression: "rate(-1 days)"}, 0},
		{RotationRules{Expression: "rate(+1 days)"}, 0},
		{RotationRules{Expression: "rate(100000 days)"}, 0},
		{RotationRules{Expression: "rate(1 day"}, 0},
		{RotationRules{Expression: "rate( 1 day)"}, 0},
		{RotationRules{Expression: "rate(days)"}, 0},
		{RotationRules{Expression: "rate()"}, 0},
		{RotationRules{Expression: "cron(0 3 ? * SUN *)"}, 7 * day},
		{RotationRules{Expression: "cron(0 8/8 * * ? *)"}, 16 * time.Hour}, // 8 and 16
		{RotationRules{Expression: "cron(0 */6 * * ? *)"}, 6 * time.Hour},
		{RotationRules{Expression: "cron(0 2 1 * ? *)"}, 31 * day},
		{RotationRules{Expression: "cron(0 2 L * ? *)"}, 31 * day},
		{RotationRules{Expression: "cron(0 2 1 1/3 ? *)"}, 92 * day},
		{RotationRules{Expression: "cron(0 2 ? * MON#1 *)"}, 35 * day},
		{RotationRules{Expression: "cron(0 2 ? * 6L *)"}, 35 * day},
		{RotationRules{Expression: "cron(0 2 29 2 ? *)"}, 1461 * day},
		{RotationRules{Expression: "cron(0 2 ? * MON-FRI *)"}, 3 * day},
		{RotationRules{Expression: "cron(0 2 15W * ? *)"}, 32 * day},
		{RotationRules{Expression: "cron(0 2 30 2 ? *)"}, 0}, // no such day
		{RotationRules{Expression: "cron(5 2 1 * ? *)"}, 0},
		{RotationRules{Expression: "cron(0 24 1 * ? *)"}, 0},
		{RotationRules{Expression: "cron(0 2 1 * MON *)"}, 0},
		{RotationRules{Expression: "cron(0 2 1 *)"}, 0},
		{RotationRules{Expression: "cron(0 5-3 * * ? *)"}, 0},
		{RotationRules{Expression: "every day"}, 0},
		{RotationRules{}, 0},
	} {
		_, got, err := c.rules.Intervals()
		if (err != nil) != (c.want == 0) || err == nil && got != c.want {
			t.Errorf("%+v: %s, %v; want %s", c.rules, got, err, c.want)
		}
	}
}

func TestSchedulesThatAreTooShort(t *testing.T) {
	t.Parallel()
	for rules, want := range map[RotationRules]bool{
		{}:                                       false,
		{Days: 1}:                                false,
		{Expression: "rate(4 hours)"}:            true,
		{Expression: "rate(24 hours)"}:           false,
		{Expression: "cron(0 */8 * * ? *)"}:      true,
		{Expression: "cron(0 3 * * ? *)"}:        false,
		{Expression: "cron(0 8,16 1 * ? *)"}:     true, // twice on one day of the month
		{Expression: "cron(0 3 29 2 ? *)"}:       false,
		{Expression: "cron(0 0,12 ? * MON#1 *)"}: true,
		{Expression: "every hour"}:               false, // not known
	} {
		if got := rules.TooShort(MinInterval); (got != "") != want {
			t.Errorf("%s: %q", rules, got)
		}
	}
}

func TestWindows(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 26, 15, 0, 0, 0, time.UTC)
	for duration, want := range map[string]time.Duration{"3h": 3 * time.Hour, "": 9 * time.Hour, "x": 9 * time.Hour} {
		if got := (RotationRules{Duration: duration}).Window(at); got != want {
			t.Errorf("%q: %s, want %s", duration, got, want)
		}
	}
}

func FuzzInterval(f *testing.F) {
	f.Add("cron(0 3 ? * SUN *)")
	f.Add("rate(1 day)")
	f.Fuzz(func(t *testing.T, expression string) {
		shortest, longest, err := RotationRules{Expression: expression}.Intervals()
		if err == nil && (shortest <= 0 || shortest > longest || longest > 100000*day) {
			t.Errorf("%q: %s, %s", expression, shortest, longest)
		}
	})
}
