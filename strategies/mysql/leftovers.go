package mysql

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/quarterturn-dev/quarterturn/strategies"
)

// leftovers are what the server keeps for the name of an account, whether it exists or not:
// PROXY grants, by which others act as it, and what was defined for it (DEFINER), which runs
// with its rights when others run it. An account that was dropped leaves them
// to the one of the same name that a rotation creates.
type leftovers struct {
	gains  []string // what would be able to do more than before
	unseen bool     // whether there is more, the superuser may not see
}

// lookForLeftovers asks only where accounts of the clone are created, or given what they lacked.
// Of an account that exists, what it defined itself is no other's.
func (c *cloneSync) lookForLeftovers(ctx context.Context) (l leftovers, err error) {
	if c.pair.PasswordOnly {
		return l, nil
	}
	var created, given []string
	for _, o := range c.originals {
		clone, exists := c.clone(o.host)
		if !exists {
			created = append(created, c.pair.Clone+"@"+o.host)
			continue
		}
		want, _, err := c.grants(ctx, o.account)
		if err != nil {
			return l, err
		}
		have, _, err := c.grants(ctx, clone.account)
		if err != nil {
			return l, err
		}
		if len(want.missing(have)) > 0 {
			given = append(given, c.pair.Clone+"@"+o.host)
		}
	}
	if created == nil && given == nil {
		return l, nil
	}
	st := operation{action: "looking up who may act as " + c.pair.Clone, limit: c.limit, sensitive: true}
	proxies, err := c.query(ctx, st, "SELECT User, Host, Proxied_host FROM mysql.proxies_priv WHERE Proxied_user = "+
		quoteText(c.pair.Clone)+" ORDER BY 1, 2, 3")
	if err != nil {
		return l, err
	}
	for _, p := range proxies {
		of := account{user: c.pair.Clone, host: p[2]}
		if p[2] == "" || slices.ContainsFunc(slices.Concat(created, given), func(a string) bool {
			return like(c.pair.Clone+"@"+p[2], a) || a == c.pair.Clone+"@"+p[2]
		}) {
			l.gains = append(l.gains, fmt.Sprintf("account %s, by PROXY on %s", account{user: p[0], host: p[1]}, of))
		}
	}
	if created == nil {
		return l, nil
	}
	l.unseen = !c.seesDefiners(ctx)
	for _, look := range c.definedFor(created) {
		limited, cancel := context.WithTimeout(ctx, c.limit)
		rows, err := c.rows(limited, look)
		cancel()
		if err != nil && errorNumber(err) == 0 {
			return l, c.wrapError(ctx, operation{action: "looking up what was defined for " + c.pair.Clone,
				limit: c.limit}, err)
		}
		l.unseen = l.unseen || err != nil // not permitted, or the server has too many to look at
		for _, r := range rows {
			l.gains = append(l.gains, fmt.Sprintf("%s %s, which is defined for %s", r[0], r[1], r[2]))
		}
	}
	return l, nil
}

// definedFor gives the queries for what is defined for accounts. On a server with many tables they
// take long, and then they are given up: they are asked once in the life of a pair.
func (c *cloneSync) definedFor(accounts []string) []string {
	quoted := make([]string, len(accounts))
	for i, a := range accounts {
		quoted[i] = quoteText(a)
	}
	are := " WHERE DEFINER IN (" + strings.Join(quoted, ", ") + ")"
	views, triggers := "'view', CONCAT(TABLE_SCHEMA, '.', TABLE_NAME), DEFINER FROM information_schema.VIEWS"+are,
		"'trigger', CONCAT(TRIGGER_SCHEMA, '.', TRIGGER_NAME), DEFINER FROM information_schema.TRIGGERS"+are
	if c.mariadb {
		const limited = "SET STATEMENT max_statement_time = 2 FOR SELECT "
		return []string{limited + "LOWER(type), CONCAT(db, '.', name), definer FROM mysql.proc" + are,
			limited + "'event', CONCAT(db, '.', name), definer FROM mysql.event" + are, limited + views,
			limited + triggers}
	}
	const limited = "SELECT /*+ MAX_EXECUTION_TIME(2000) */ "
	return []string{limited + "LOWER(ROUTINE_TYPE), CONCAT(ROUTINE_SCHEMA, '.', ROUTINE_NAME), DEFINER FROM " +
		"information_schema.ROUTINES" + are,
		limited + "'event', CONCAT(EVENT_SCHEMA, '.', EVENT_NAME), DEFINER FROM information_schema.EVENTS" + are,
		limited + views, limited + triggers}
}

// seesDefiners says whether the server shows the superuser all of what definedFor asks. MariaDB has
// routines and events in tables of mysql.
func (c *cloneSync) seesDefiners(ctx context.Context) bool {
	mine, _, err := c.grants(ctx, c.actingAccount)
	if err != nil {
		return false
	}
	needed := []string{"SELECT", "EVENT", "TRIGGER", "SHOW VIEW"}
	if c.mariadb {
		needed = []string{"SELECT", "TRIGGER", "SHOW VIEW"}
	}
	return len(mine.of(restriction)) == 0 && (mine.has(allPrivileges, "*.*") ||
		!slices.ContainsFunc(needed, func(p string) bool { return !mine.has(p, "*.*") }))
}

// warning says what could not be seen.
func (l leftovers) warning(clone string, s *session) []strategies.Warning {
	if !l.unseen {
		return nil
	}
	return []strategies.Warning{{Unknown: true,
		Text: fmt.Sprintf("user %q is to be created, and whether the server keeps routines, events, triggers or "+
			"views that an earlier user of that name defined is not known: they would run with its privileges. To "+
			"let the preflight look, GRANT SELECT, EVENT, TRIGGER, SHOW VIEW ON *.* TO %s; or see that there are none",
			clone, s.actingAccount)}}
}
