package awsemu

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

var (
	rateExpression = regexp.MustCompile(`^rate\(([1-9][0-9]*) (hour|hours|day|days)\)$`)
	cronExpression = regexp.MustCompile(`^cron\(([^() ]+(?: [^() ]+){5})\)$`)
)

const minRate = 4 // hours

// valid holds rules to what RotateSecret accepts. No rules at all are valid: the
// secret then rotates when asked.
func (r RotationRules) valid() error {
	switch {
	case r.AutomaticallyAfterDays > 0 && r.ScheduleExpression != "":
		return refuse(codeInvalidParameter, "You can't specify both AutomaticallyAfterDays and ScheduleExpression.")
	case r.ScheduleExpression != "" && r.every() == 0 && !cronExpression.MatchString(r.ScheduleExpression):
		return refuse(codeInvalidParameter, "Invalid ScheduleExpression: it must be a rate() or cron() expression.")
	case r.every() > 0 && r.every() < minRate*time.Hour:
		return refuse(codeInvalidParameter, "Invalid ScheduleExpression: a secret can't rotate more often than every "+
			"%d hours.", minRate)
	}
	if hours, _ := strconv.Atoi(strings.TrimSuffix(r.Duration, "h")); r.Duration != "" && (hours < 1 || hours > 24) {
		return refuse(codeInvalidParameter, "Invalid Duration: the rotation window must be 1 to 24 hours.")
	}
	return nil
}

// every is the interval of a rate; 0 for cron, or for no schedule.
func (r RotationRules) every() time.Duration {
	m := rateExpression.FindStringSubmatch(r.ScheduleExpression)
	n, unit := r.AutomaticallyAfterDays, "days"
	if m != nil {
		n, _ = strconv.ParseInt(m[1], 10, 32)
		unit = m[2]
	}
	if strings.HasPrefix(unit, "hour") {
		return time.Duration(n) * time.Hour
	}
	return time.Duration(n) * 24 * time.Hour
}

// next is the date "on or before" which the next rotation is due: the end of the
// day for rates in days, the hour for the rest. It is zero without a schedule,
// and for cron expressions with L, W or #, which this emulator does not compute.
func (r RotationRules) next(now time.Time) time.Time {
	now = now.UTC()
	const day = 24 * time.Hour
	switch every := r.every(); {
	case every > 0 && every%day == 0:
		return now.Add(every).Truncate(day).Add(day - time.Second)
	case every > 0:
		return now.Add(every).Truncate(time.Hour)
	}
	if m := cronExpression.FindStringSubmatch(r.ScheduleExpression); m != nil {
		return nextCron(strings.Fields(m[1]), now)
	}
	return time.Time{}
}

// nextCron walks through the hours of the coming years. Rotation windows begin on
// the hour, so minutes do not matter.
func nextCron(field []string, now time.Time) time.Time {
	const years = 2
	for t := now.Truncate(time.Hour).Add(time.Hour); t.Before(now.AddDate(years, 0, 0)); t = t.Add(time.Hour) {
		if matches(field[1], t.Hour(), nil) && matches(field[2], t.Day(), nil) &&
			matches(field[3], int(t.Month()), months) &&
			matches(field[4], int(t.Weekday())+1, weekdays) && matches(field[5], t.Year(), nil) {
			return t
		}
	}
	return time.Time{}
}

var (
	months   = []string{"", "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"}
	weekdays = []string{"", "SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"}
)

// matches knows *, ?, numbers, names, ranges, lists and steps.
func matches(field string, n int, names []string) bool {
	for _, part := range strings.Split(field, ",") {
		span, by, stepped := strings.Cut(part, "/")
		low, high, ranged := strings.Cut(span, "-")
		from, to, step := number(low, names), number(high, names), 1
		switch {
		case span == "*" || span == "?" || span == "" && stepped:
			from, to = 0, n
		case !ranged && stepped:
			to = n
		case !ranged:
			to = from
		}
		if stepped {
			step = number(by, nil)
		}
		if from >= 0 && step > 0 && from <= n && n <= to && (n-from)%step == 0 {
			return true
		}
	}
	return false
}

func number(s string, names []string) int {
	for i, name := range names {
		if name != "" && strings.EqualFold(name, s) {
			return i
		}
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return -1
	}
	return n
}
