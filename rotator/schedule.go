package rotator

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// RotationRules is when a secret is to be rotated, as DescribeSecret and ListSecrets say it.
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_schedule.html
type RotationRules struct {
	Days       int    // AutomaticallyAfterDays; computed by the service where Expression is set
	Expression string // rate(...) or cron(...); "": Days alone
	Duration   string // "3h": the length of the window; "": to the end of the UTC day
}

// IsZero says whether no schedule was ever set.
func (r RotationRules) IsZero() bool { return r == RotationRules{} }

func (r RotationRules) String() string {
	switch {
	case r.Expression != "":
		return r.Expression
	case r.Days > 0:
		return fmt.Sprintf("every %d d", r.Days)
	}
	return "no schedule"
}

const day = 24 * time.Hour

// MinInterval is the shortest time between two rotations that clients with a cache survive: the caches of AWS keep a
// value for an hour where nothing else is set, and connection pools keep one for longer.
const MinInterval = day

// TooShort says what a schedule does to clients that cache, where two of its rotations are less than limit apart; "":
// nothing, or the schedule is not known.
func (r RotationRules) TooShort(limit time.Duration) string {
	shortest, _, err := r.Intervals()
	if err != nil || shortest >= limit {
		return ""
	}
	return fmt.Sprintf("its schedule, %s, is shorter than clients may cache a value: with alternating users and dual "+
		"passwords, a cached value stops working at the second rotation", r)
}

// Intervals are the shortest and the longest time between two rotations of the schedule.
func (r RotationRules) Intervals() (shortest, longest time.Duration, err error) {
	same := func(d time.Duration, err error) (time.Duration, time.Duration, error) { return d, d, err }
	switch {
	case strings.HasPrefix(r.Expression, "rate("):
		return same(parseRate(r.Expression))
	case strings.HasPrefix(r.Expression, "cron("):
		return cronIntervals(r.Expression)
	case r.Expression != "":
		return same(0, fmt.Errorf("schedule %q is neither rate() nor cron()", r.Expression))
	case r.Days > 0:
		return same(time.Duration(r.Days)*day, nil)
	}
	return same(0, fmt.Errorf("no schedule"))
}

// Window is how long after its beginning a rotation may still be started.
func (r RotationRules) Window(begin time.Time) time.Duration {
	if hours, err := strconv.Atoi(strings.TrimSuffix(r.Duration, "h")); err == nil && hours > 0 {
		return time.Duration(hours) * time.Hour
	}
	begin = begin.UTC()
	midnight := time.Date(begin.Year(), begin.Month(), begin.Day()+1, 0, 0, 0, 0, time.UTC)
	return midnight.Sub(begin)
}

func parseRate(expression string) (time.Duration, error) {
	text, closed := strings.CutSuffix(strings.TrimPrefix(expression, "rate("), ")")
	number, unit, _ := strings.Cut(text, " ")
	one := map[string]time.Duration{"hour": time.Hour, "hours": time.Hour, "day": day, "days": day}[unit]
	n, err := strconv.ParseUint(number, 10, 16) // 179 years of days, which a Duration holds
	if !closed || one == 0 || err != nil {
		return 0, fmt.Errorf("schedule %q is not a rate: rate(N hours) or rate(N days)", expression)
	}
	if n == 0 {
		return 0, fmt.Errorf("schedule %q: the number must be at least 1", expression)
	}
	return time.Duration(n) * one, nil
}

// cron is a parsed cron expression: the days and hours on which a window begins.
// Secrets Manager allows minute 0 alone, and neither fields of seconds.
type cron struct {
	hours, days, months, weekdays []int // days is nil where last or nearest says which
	last                          bool  // L in the day of the month
	nthWeekday                    int   // SUN#2: 2
	lastWeekday                   bool  // SUNL or 1L
	nearest                       int   // 15W: 15
}

var (
	monthNames   = []string{"", "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"}
	weekdayNames = []string{"", "SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"}
)

// cronIntervals are the shortest and the longest gap between two beginnings, found by going
// through the four years in which calendars repeat.
func cronIntervals(expression string) (shortest, longest time.Duration, err error) {
	c, err := parseCron(expression)
	if err != nil {
		return 0, 0, err
	}
	begin := time.Date(2028, 1, 1, 0, 0, 0, 0, time.UTC) // a leap year: 29 February is in it
	var first, last time.Time
	shortest = math.MaxInt64
	gap := func(d time.Duration) { shortest, longest = min(shortest, d), max(longest, d) }
	for d := range 4*365 + 1 {
		date := begin.AddDate(0, 0, d)
		if !c.matches(date) {
			continue
		}
		for hour := range 24 {
			if !slices.Contains(c.hours, hour) {
				continue
			}
			at := date.Add(time.Duration(hour) * time.Hour)
			if first.IsZero() {
				first = at
			} else {
				gap(at.Sub(last))
			}
			last = at
		}
	}
	if first.IsZero() {
		return 0, 0, fmt.Errorf("schedule %q names no day that exists", expression)
	}
	// From the last beginning of the four years to the first one of the next.
	gap(first.AddDate(4, 0, 0).Sub(last))
	return shortest, longest, nil
}

func parseCron(expression string) (c cron, err error) {
	inner, ok := strings.CutSuffix(strings.TrimPrefix(expression, "cron("), ")")
	fields := strings.Fields(inner)
	if !ok || len(fields) != 6 {
		return c, fmt.Errorf("schedule %q is not a cron expression of six fields", expression)
	}
	wrong := func(field string, err error) (cron, error) {
		return c, fmt.Errorf("schedule %q: %s: %w", expression, field, err)
	}
	if fields[0] != "0" {
		return wrong("minutes", fmt.Errorf("only 0 is possible"))
	}
	if c.hours, err = parseField(fields[1], 0, 23, nil); err != nil {
		return wrong("hours", err)
	}
	if c.months, err = parseField(fields[3], 1, 12, monthNames); err != nil {
		return wrong("month", err)
	}
	// Rare years lengthen no shortest interval: they are only checked.
	if _, err = parseField(fields[5], 1970, 2199, nil); err != nil {
		return wrong("year", err)
	}
	if err := c.parseDay(fields[2]); err != nil {
		return wrong("day of month", err)
	}
	if err := c.parseWeekday(fields[4]); err != nil {
		return wrong("day of week", err)
	}
	if fields[2] != "?" && fields[2] != "*" && fields[4] != "?" && fields[4] != "*" {
		return wrong("days", fmt.Errorf("day of month and day of week exclude each other"))
	}
	return c, nil
}

func (c *cron) parseDay(field string) (err error) {
	switch w, nearest := strings.CutSuffix(field, "W"); {
	case field == "L":
		c.last = true
		return nil
	case nearest:
		if c.nearest, _ = strconv.Atoi(w); c.nearest < 1 || c.nearest > 31 {
			return fmt.Errorf("%q is not a day", field)
		}
		return nil
	}
	c.days, err = parseField(field, 1, 31, nil)
	return err
}

func (c *cron) parseWeekday(field string) (err error) {
	if name, nth, ok := strings.Cut(field, "#"); ok {
		if c.nthWeekday, _ = strconv.Atoi(nth); c.nthWeekday < 1 || c.nthWeekday > 5 {
			return fmt.Errorf("%q is not the first to fifth of a weekday", field)
		}
		c.weekdays, err = parseField(name, 1, 7, weekdayNames)
		return err
	}
	if name, ok := strings.CutSuffix(field, "L"); ok && name != "" {
		c.lastWeekday = true
		field = name
	}
	c.weekdays, err = parseField(field, 1, 7, weekdayNames)
	return err
}

// parseField reads lists, ranges and steps of numbers or names.
func parseField(field string, low, high int, names []string) ([]int, error) {
	if field == "?" {
		field = "*"
	}
	number := func(s string) (int, error) {
		if at := slices.Index(names, strings.ToUpper(s)); at > 0 {
			return at, nil
		}
		n, err := strconv.Atoi(s)
		if err != nil || n < low || n > high {
			return 0, fmt.Errorf("%q is not between %d and %d", s, low, high)
		}
		return n, nil
	}
	var all []int
	for _, part := range strings.Split(field, ",") {
		span, stepText, stepped := strings.Cut(part, "/")
		from, to, ranged := strings.Cut(span, "-")
		begin, end, step := low, high, 1
		if span != "*" {
			var err error
			if begin, err = number(from); err != nil {
				return nil, err
			}
			if end = begin; ranged {
				if end, err = number(to); err != nil {
					return nil, err
				}
			} else if stepped {
				end = high
			}
		}
		if stepped {
			if step, _ = strconv.Atoi(stepText); step < 1 {
				return nil, fmt.Errorf("%q is not a step", part)
			}
			step = min(step, high+1) // more is no further, and n would overflow
		}
		if end < begin {
			return nil, fmt.Errorf("%q runs backwards", part)
		}
		for n := begin; n <= end; n += step {
			all = append(all, n)
		}
	}
	return all, nil
}

// matches says whether a window begins on a day.
func (c cron) matches(date time.Time) bool {
	weekday := int(date.Weekday()) + 1
	lastDay := time.Date(date.Year(), date.Month()+1, 0, 0, 0, 0, 0, time.UTC).Day()
	switch {
	case !slices.Contains(c.months, int(date.Month())) || !slices.Contains(c.weekdays, weekday) ||
		c.days != nil && !slices.Contains(c.days, date.Day()):
		return false
	case c.last && date.Day() != lastDay:
		return false
	case c.nearest > 0 && date.Day() != nearestWeekday(date, c.nearest):
		return false
	case c.nthWeekday > 0 && (date.Day()-1)/7+1 != c.nthWeekday:
		return false
	case c.lastWeekday && date.Day()+7 <= lastDay:
		return false
	}
	return true
}

// nearestWeekday is the day from Monday to Friday that is nearest to a day of the month,
// within the month.
func nearestWeekday(month time.Time, day int) int {
	last := time.Date(month.Year(), month.Month()+1, 0, 0, 0, 0, 0, time.UTC).Day()
	day = min(day, last)
	switch time.Date(month.Year(), month.Month(), day, 0, 0, 0, 0, time.UTC).Weekday() {
	case time.Saturday:
		if day == 1 {
			return 3
		}
		return day - 1
	case time.Sunday:
		if day == last {
			return day - 2
		}
		return day + 1
	}
	return day
}
