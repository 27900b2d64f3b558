package rotator

import (
	"strings"
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
		{RotationRules{Expression: "cron(0 5/9223372036854775807 * * ? *)"}, day},
		{RotationRules{Expression: "cron(0 0/23 * * ? *)"}, 23 * time.Hour},
		{RotationRules{Expression: "cron(0 0/24 * * ? *)"}, day},
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
		{RotationRules{Expression: "cron(0 * * * ? *)"}, time.Hour},
		{RotationRules{Expression: "cron(0 24 1 * ? *)"}, 0},
		{RotationRules{Expression: "cron(0 2 1 * MON *)"}, 0},
		{RotationRules{Expression: "cron(0 2 1 *)"}, 0},
		{RotationRules{Expression: "cron(0 5-3 * * ? *)"}, 0},
		{RotationRules{Expression: "cron(0 2 1W * ? *)"}, 33 * day}, // not back into the month before
		{RotationRules{Expression: "cron(0 2 1 * ? *"}, 0},
		{RotationRules{Expression: "cron(0 2 1 * ? * *)"}, 0},
		{RotationRules{Expression: "cron(0 5-24 * * ? *)"}, 0},
		{RotationRules{Expression: "cron(0 */0 * * ? *)"}, 0},
		{RotationRules{Expression: "cron(0 */x * * ? *)"}, 0},
		{RotationRules{Expression: "cron(0 2 0 * ? *)"}, 0},
		{RotationRules{Expression: "cron(0 2 32 * ? *)"}, 0},
		{RotationRules{Expression: "cron(0 2 0W * ? *)"}, 0},
		{RotationRules{Expression: "cron(0 2 32W * ? *)"}, 0},
		{RotationRules{Expression: "cron(0 2 xW * ? *)"}, 0},
		{RotationRules{Expression: "cron(0 2 1 0 ? *)"}, 0},
		{RotationRules{Expression: "cron(0 2 1 13 ? *)"}, 0},
		{RotationRules{Expression: "cron(0 2 ? * MON, *)"}, 0},
		{RotationRules{Expression: "cron(0 2 ? * 0 *)"}, 0},
		{RotationRules{Expression: "cron(0 2 ? * 8 *)"}, 0},
		{RotationRules{Expression: "cron(0 2 ? * MON#0 *)"}, 0},
		{RotationRules{Expression: "cron(0 2 ? * MON#6 *)"}, 0},
		{RotationRules{Expression: "cron(0 2 ? * MON#x *)"}, 0},
		{RotationRules{Expression: "cron(0 2 ? * 8#1 *)"}, 0},
		{RotationRules{Expression: "cron(0 2 ? * 8L *)"}, 0},
		{RotationRules{Expression: "cron(0 2 1 * ? 1969)"}, 0},
		{RotationRules{Expression: "cron(0 2 1 * ? 2200)"}, 0},
		{RotationRules{Expression: "cron(0 0,23 ? * sat,1 *)"}, 5*day + time.Hour}, // 1 is SUN
		{RotationRules{Expression: "cron(0 */1 * * ? *)"}, time.Hour},
		{RotationRules{Expression: "cron(0 2 * * MON *)"}, 7 * day},
		{RotationRules{Expression: "cron(0 2 1 * * *)"}, 31 * day},
		{RotationRules{Expression: "cron(0 x * * ? *)"}, 0},
		{RotationRules{Expression: "cron(0 5-3,4 * * ? *)"}, 0},
		{RotationRules{Days: 1, Expression: "every day"}, 0},
		{RotationRules{}, 0},
	} {
		_, got, err := c.rules.Intervals()
		if (err != nil) != (c.want == 0) || err == nil && got != c.want {
			t.Errorf("%+v: %s, %v; want %s", c.rules, got, err, c.want)
		}
	}
}

// TestWhatIsWrongWithASchedule: the error names the field, and what is written there.
func TestWhatIsWrongWithASchedule(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]string{
		"rate(1 day":            "is not a rate",
		"rate(0 days)":          "must be at least 1",
		"cron(0 2 1 *)":         "six fields",
		"cron(0 2 1 * ? *":      "six fields",
		"cron(5 2 1 * ? *)":     "minutes: only 0",
		"cron(0 24 1 * ? *)":    `hours: "24" is not between 0 and 23`,
		"cron(0 5-24 * * ? *)":  `hours: "24" is not between`,
		"cron(0 5-3 * * ? *)":   `hours: "5-3" runs backwards`,
		"cron(0 */x * * ? *)":   `hours: "*/x" is not a step`,
		"cron(0 2 1 13 ? *)":    `month: "13" is not between 1 and 12`,
		"cron(0 2 1 * ? 1969)":  `year: "1969" is not between`,
		"cron(0 2 32 * ? *)":    `day of month: "32" is not between 1 and 31`,
		"cron(0 2 32W * ? *)":   `day of month: "32W" is not a day`,
		"cron(0 2 ? * 8 *)":     `day of week: "8" is not between 1 and 7`,
		"cron(0 2 ? * 8#1 *)":   `day of week: "8" is not between 1 and 7`,
		"cron(0 2 ? * L *)":     `day of week: "L" is not between 1 and 7`,
		"cron(0 2 ? * MON#6 *)": `day of week: "MON#6" is not the first to fifth`,
		"cron(0 2 1 * MON *)":   "exclude each other",
		"cron(0 2 30 2 ? *)":    "no day that exists",
		"every day":             "neither rate() nor cron()",
		"":                      "no schedule",
	} {
		if _, _, err := (RotationRules{Expression: expression}).Intervals(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q in it", expression, err, want)
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

func TestSchedulesInWords(t *testing.T) {
	t.Parallel()
	for rules, want := range map[RotationRules]string{
		{}:                                    "no schedule",
		{Days: 30}:                            "every 30 d",
		{Days: 7, Expression: "rate(7 days)"}: "rate(7 days)",
	} {
		if got := rules.String(); got != want {
			t.Errorf("%+v: %s, want %s", rules, got, want)
		}
	}
}

func TestWindows(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 26, 15, 0, 0, 0, time.UTC)
	for duration, want := range map[string]time.Duration{"3h": 3 * time.Hour, "1h": time.Hour, "": 9 * time.Hour, "x": 9 * time.Hour,
		"0h": 9 * time.Hour, "99999999999999999999h": 9 * time.Hour} {
		for _, begin := range []time.Time{at, at.In(time.FixedZone("", 10*3600))} {
			if got := (RotationRules{Duration: duration}).Window(begin); got != want {
				t.Errorf("%q from %s: %s, want %s", duration, begin, got, want)
			}
		}
	}
}

// TestMatches: the days of the schedules that name no fixed ones. 2028-01-01 is a Saturday.
func TestMatches(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]string{
		"cron(0 2 1W 1 ? *)":       "01-03", // not back into December
		"cron(0 2 30W 4 ? *)":      "04-28", // a Sunday: not on into May
		"cron(0 2 2W 1 ? *)":       "01-03", // a Sunday
		"cron(0 2 8W 1 ? *)":       "01-07", // a Saturday
		"cron(0 2 5W 1 ? *)":       "01-05", // a Wednesday
		"cron(0 2 31W 2 ? *)":      "02-29",
		"cron(0 2 L 2 ? *)":        "02-29",
		"cron(0 2 ? 1 SUNL *)":     "01-30",
		"cron(0 2 ? 1 MONL *)":     "01-31",
		"cron(0 2 ? 1 TUEL *)":     "01-25",
		"cron(0 2 ? 1 FRI#1 *)":    "01-07",
		"cron(0 2 ? 1 SAT#1 *)":    "01-01",
		"cron(0 2 ? 1 SAT#5 *)":    "01-29",
		"cron(0 2 ? 1 FRI#5 *)":    "",
		"cron(0 2 1/10 1 ? *)":     "01-01 01-11 01-21 01-31",
		"cron(0 2 1-9/4 1 ? *)":    "01-01 01-05 01-09",
		"cron(0 2 9,1,9 1 ? *)":    "01-01 01-09",
		"cron(0 2 ? FEB-mar 1L *)": "02-27 03-26",
	} {
		c, err := parseCron(expression)
		if err != nil {
			t.Fatal(err)
		}
		var days []string
		for date := time.Date(2028, 1, 1, 0, 0, 0, 0, time.UTC); date.Year() == 2028; date = date.AddDate(0, 0, 1) {
			if c.matches(date) {
				days = append(days, date.Format("01-02"))
			}
		}
		if got := strings.Join(days, " "); got != want {
			t.Errorf("%s: %s, want %s", expression, got, want)
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
