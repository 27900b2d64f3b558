package mysql

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/strategies"
)

// leftovers are what the server keeps for the name of an account, whether it exists or not:
// PROXY grants and grants of it as a role, by which others act as it, what was defined for it (DEFINER), which runs
// with its rights when others run it, and connections, which outlive their account and have
// what the next one of that name may do, its password with it. An account that was dropped leaves
// them to the one of the same name that a rotation creates.
type leftovers struct {
	gains  []string // what would be able to do more than before
	unseen bool     // whether there is more, the superuser may not see
}

// lookForLeftovers asks only where accounts of the clone are created, or given what they lacked.
// Of an account that exists, what it defined itself is no other's, and clients are connected to it; unless its mark
// alone says whose it is: its own user could write that, and CREATE USER was enough to set its password.
func (c *cloneSync) lookForLeftovers(ctx context.Context) (l leftovers, err error) {
	var created, given []account
	raised := false // one that others may have in hand is given more
	for _, o := range c.aligned() {
		clone, exists := c.clone(o.host)
		want, _, err := c.grants(ctx, o.account)
		if err != nil {
			return l, err
		}
		have := rights{}
		if exists {
			if have, _, err = c.grants(ctx, clone.account); err != nil {
				return l, err
			}
		}
		raised = raised || exists && c.markAlone
		switch {
		case !exists || c.markAlone:
			created = append(created, clone.account)
		case len(want.missing(have)) > 0:
			given = append(given, clone.account)
		}
	}
	holders, err := c.holders(ctx, slices.Concat(created, given))
	l.gains = append(l.gains, holders...)
	if err != nil || created == nil {
		return l, err
	}
	more, unseen, err := c.heldFor(ctx, created, raised)
	l.gains, l.unseen = append(l.gains, more...), unseen
	return l, err
}

// holders gives who may act as some accounts of the clone: by PROXY, and on MySQL, where each account can be granted
// as a role, by that.
func (c *cloneSync) holders(ctx context.Context, accounts []account) (gains []string, err error) {
	if accounts == nil {
		return nil, nil
	}
	st := operation{action: "looking up who may act as " + c.pair.Clone, limit: c.limit, sensitive: true}
	rows, err := c.query(ctx, st, "SELECT User, Host, "+untilNUL("Proxied_host")+" FROM mysql.proxies_priv WHERE "+
		isName("Proxied_user", c.pair.Clone)+" ORDER BY 1, 2, 3")
	for _, p := range rows {
		of := account{user: c.pair.Clone, host: p[2]}
		if p[2] == "" || slices.ContainsFunc(accounts, func(a account) bool { return like(p[2], a.host) || a == of }) {
			gains = append(gains, fmt.Sprintf("account %s, by PROXY on %s", account{user: p[0], host: p[1]}, of))
		}
	}
	if err != nil || c.mariadb {
		return gains, err
	}
	rows, err = c.query(ctx, st, "SELECT TO_USER, TO_HOST, "+untilNUL("FROM_HOST")+" FROM mysql.role_edges WHERE "+
		isName("FROM_USER", c.pair.Clone)+" ORDER BY 1, 2, 3")
	for _, p := range rows {
		to, of := account{user: p[0], host: p[1]}, account{user: c.pair.Clone, host: p[2]}
		if slices.Contains(accounts, of) && to.user != c.pair.Original && to.user != c.pair.Clone {
			gains = append(gains, fmt.Sprintf("account %s, which has %s as a role", to, of))
		}
	}
	if err != nil {
		return nil, err
	}
	row, err := c.row(ctx, st, "SELECT @@GLOBAL.mandatory_roles")
	if err != nil {
		return nil, err
	}
	for _, a := range mandatory(row[0]) {
		if slices.Contains(accounts, a) {
			gains = append(gains, fmt.Sprintf("each account, which has %s as a role by mandatory_roles", a))
		}
	}
	return gains, nil
}

const charNUL = "CHAR(0 USING utf8mb4)"

// untilNUL is a column of names as the server takes it for the name of an account: it reads none past a NUL.
func untilNUL(column string) string {
	return "SUBSTRING_INDEX(CAST(" + column + " AS CHAR), " + charNUL + ", 1)"
}

// isName compares it with a name, whose case and accents count.
func isName(column, name string) string {
	return "CAST(" + untilNUL(column) + " AS BINARY) = CAST(" + quoteText(name) + " AS BINARY)"
}

// mandatory reads mandatory_roles, in which no name needs quotes: r1, r2@%.example.com.
func mandatory(list string) (all []account) {
	role, ofHost := account{host: "%"}, false
	for _, t := range append(tokens(list), token{kind: ','}) {
		switch {
		case t.kind == ',':
			all = append(all, role)
			role, ofHost = account{host: "%"}, false
		case t.kind == '@':
			role.host, ofHost = "", true
		case ofHost:
			role.host += t.text
		default:
			role.user += t.text
		}
	}
	return all
}

// heldFor gives what else is there for accounts: what is defined for them, and who is connected, or about to be, as the
// clone. The server does not show by which account. One that is there lets in the secret's clients: a connection from
// where none does is of an account that is gone, or has another name now. raised is where others could be connected
// until then: each connection counts.
func (c *cloneSync) heldFor(ctx context.Context, accounts []account, raised bool) (gains []string, unseen bool,
	err error) {
	mine, _, err := c.grants(ctx, c.actingAccount)
	unseen = err != nil || !c.seesAll(mine)
	ended, err := c.loginsHaveEnded(ctx)
	if err != nil {
		return nil, false, err
	}
	if !ended {
		gains = append(gains, "a connection that has begun to log in and does not end")
	}
	ask := func(look string) ([][]string, error) {
		limited, cancel := context.WithTimeout(ctx, c.limit)
		defer cancel()
		return c.rows(limited, look)
	}
	acting, loggedIn := connectionsOf(c.pair.Clone)
	connections := acting + loggedIn
	for _, look := range append(c.definedFor(), connections) {
		rows, err := ask(look)
		if look == connections && errorNumber(err) != 0 { // it may not read the performance schema
			rows, err = ask(acting)
		}
		if err != nil && errorNumber(err) == 0 {
			return nil, false, c.wrapError(ctx, operation{action: "looking up what is kept for " + c.pair.Clone,
				limit: c.limit}, err)
		}
		unseen = unseen || err != nil // not permitted, or the server has too many to look at
		for _, r := range rows {
			if look != connections && c.ofAnother(r[3], accounts) {
				continue
			}
			if look != connections || raised || !c.serves(r[3]) {
				gains = append(gains, fmt.Sprintf("%s %s, %s", r[0], r[1], r[2]))
			}
		}
	}
	return gains, unseen, nil
}

// connectionsOf gives the query for those who act as a user now, and what adds those who have logged in as it: within a
// routine of another (SQL SECURITY DEFINER), a session is shown as that one. The performance schema, where it is on,
// names who has logged in; not for which account an event runs.
func connectionsOf(user string) (acting, loggedIn string) {
	const list = "information_schema.PROCESSLIST WHERE CAST(USER AS BINARY) = "
	connection := func(id, host, from string) string {
		return "SELECT 'connection', CONCAT(" + id + ", ' from ', " + host + "), CONCAT('which is open (KILL ', " + id +
			", ')'), " + from + " FROM "
	}
	return connection("ID", "HOST", "HOST") + list + quoteText(user),
		" UNION ALL " + connection("PROCESSLIST_ID", "PROCESSLIST_HOST", "CONCAT(PROCESSLIST_HOST, ':')") +
			"performance_schema.threads WHERE CAST(PROCESSLIST_USER AS BINARY) = " + quoteText(user) +
			" AND PROCESSLIST_ID NOT IN (SELECT ID FROM " + list + quoteText(user) + ")"
}

// serves says whether a connection from an address and a port can be by an account of the clone that is there.
func (c *cloneSync) serves(from string) bool {
	host := from
	if i := strings.LastIndexByte(from, ':'); i >= 0 {
		host = from[:i]
	}
	_, ok := serving(c.clones, host)
	return ok || undecided(c.clones, host)
}

// ofAnother says whether a definer is an account of the clone's name that is there, and none of accounts: then it runs
// as that one. Where no account has just its host, the server has it run as the one that a client from there meets.
func (c *cloneSync) ofAnother(definer string, accounts []account) bool {
	a := account{user: c.pair.Clone, host: strings.TrimPrefix(definer, c.pair.Clone+"@")}
	return !slices.Contains(accounts, a) &&
		slices.ContainsFunc(c.clones, func(r accountRow) bool { return r.account == a })
}

// definedFor gives the queries for what is defined for accounts of the clone's name, whatever their host. On a server
// with many tables they take long, and then they are given up: they are asked once in the life of a pair.
func (c *cloneSync) definedFor() []string {
	name := quoteText(c.pair.Clone)
	are := ", CONCAT('which is defined for ', DEFINER), DEFINER FROM %s WHERE LEFT(CAST(DEFINER AS BINARY), " +
		strconv.Itoa(len(c.pair.Clone)+1) + ") IN (CAST(CONCAT(" + name + ", '@') AS BINARY), CAST(CONCAT(" +
		name + ", " + charNUL + ") AS BINARY))"
	of := func(first, second, table string) string {
		limited := "SELECT /*+ MAX_EXECUTION_TIME(2000) */ "
		if c.mariadb {
			limited = "SET STATEMENT max_statement_time = 2 FOR SELECT "
		}
		return limited + first + ", CONCAT(" + second + ")" + strings.Replace(are, "%s", table, 1)
	}
	looks := []string{of("'view'", "TABLE_SCHEMA, '.', TABLE_NAME", "information_schema.VIEWS"),
		of("'trigger'", "TRIGGER_SCHEMA, '.', TRIGGER_NAME", "information_schema.TRIGGERS")}
	if c.mariadb {
		return append(looks, of("LOWER(type)", "db, '.', name", "mysql.proc"),
			of("'event'", "db, '.', name", "mysql.event"))
	}
	return append(looks, of("LOWER(ROUTINE_TYPE)", "ROUTINE_SCHEMA, '.', ROUTINE_NAME", "information_schema.ROUTINES"),
		of("'event'", "EVENT_SCHEMA, '.', EVENT_NAME", "information_schema.EVENTS"))
}

// toSee are the privileges by which the server shows all of what heldFor asks. MariaDB has routines and events in
// tables of mysql.
func (c *cloneSync) toSee() []string {
	if c.mariadb {
		return []string{"SELECT", "TRIGGER", "SHOW VIEW", "PROCESS"}
	}
	return []string{"SELECT", "EVENT", "TRIGGER", "SHOW VIEW", "PROCESS"}
}

// seesAll says whether a superuser with these rights has them.
func (c *cloneSync) seesAll(mine rights) bool {
	return len(mine.of(restriction)) == 0 && (mine.has(allPrivileges, "*.*") ||
		!slices.ContainsFunc(c.toSee(), func(p string) bool { return !mine.has(p, "*.*") }))
}

func (c *cloneSync) seeingRemedy() rotator.Fix {
	f := c.fix("GRANT %s ON *.* TO %s", strings.Join(c.toSee(), ", "), c.actingAccount)
	f.For = fmt.Sprintf("to let user %q see what an earlier user %q left", c.actingAccount.user, c.pair.Clone)
	return f
}

// unseenWarning says what could not be seen.
func (c *cloneSync) unseenWarning() []strategies.Warning {
	if !c.leftovers.unseen {
		return nil
	}
	return []strategies.Warning{{Unknown: true,
		Text: fmt.Sprintf("user %q is to be created, and whether the server keeps routines, events, triggers or "+
			"views that an earlier user of that name defined, or connections of it, is not known: they would have its "+
			"privileges. To let the preflight look, %s; or see that there are none", c.pair.Clone, c.seeingRemedy())}}
}
