package mysql

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
)

// checkEntitled asks whether the passwords of the accounts of pair.Target may be set.
//
// Evidence counts only if all who could have made it could have set the password by hand.
// Provenance is a mark that create leaves on MySQL, of a clone which may do nothing that
// its original may not. CREATE USER is enough to write it, and to set the password of any
// account without SYSTEM_USER, which no rotation gives (checkGiven). MariaDB keeps no marks.
// Its own user can write it, too (ALTER USER ... IDENTIFIED BY ... ATTRIBUTE). So where a mark
// is all that there is, the account gets another password before it is given anything.
// Possession needs no login, for the superuser reads by what the server checks passwords,
// unless the server counts wrong ones (byLogin); and each account of the name must have one
// of the secret's passwords, or it belongs to another owner on another host.
//
// Administrative power is any privilege on *.* or on the mysql database, a role with
// ADMIN OPTION, PROXY, and all that comes by roles. Accounts of one name may differ in it,
// and which of them the secret is for, nothing tells: so it is measured by what all
// accounts of the user in use have.
func (c *cloneSync) checkEntitled(ctx context.Context) error {
	next, inUse := c.originals, c.clones
	if !c.inUse() {
		next, inUse = c.clones, c.originals
	}
	floor, err := c.floor(ctx, inUse)
	if err != nil {
		return err
	}
	holds, others := holdsAll(next)
	seen := strategies.Evidence{Acting: c.pair.Target == c.actingAccount.user, Holds: holds,
		Others: func() string { return names(others()) }}
	if len(next) > 1 {
		seen.Several = names(next)
	}
	for _, r := range next {
		extra, err := c.beyond(ctx, r, floor)
		if err != nil {
			return err
		}
		take, err := c.taking(ctx, r, extra)
		if err != nil {
			return err
		}
		seen.Taking = append(seen.Taking, take...)
		if len(extra) > 0 && !c.pair.PasswordOnly &&
			(c.inUse() || slices.ContainsFunc(c.originals, func(o accountRow) bool { return o.host == r.host })) {
			seen.Synced = append(seen.Synced, fmt.Sprintf("%s (account %s)", extra, r))
		} else if len(extra) > 0 {
			seen.Admin = append(seen.Admin, fmt.Sprintf("%s (account %s)", extra, r))
		}
	}
	for _, o := range c.aligned() {
		if _, exists := c.clone(o.host); exists {
			continue
		}
		extra, err := c.beyond(ctx, o, floor)
		if err != nil {
			return err
		}
		if len(extra) > 0 {
			seen.Admin = append(seen.Admin,
				fmt.Sprintf("%s (as account %s, of which others of the same name differ)", extra, o))
		}
	}
	// What the accounts in use may do is given to others, of the same hosts.
	using := slices.DeleteFunc(slices.Clone(inUse), func(r accountRow) bool { return !r.changeable() })
	given := slices.DeleteFunc(slices.Clone(using), func(r accountRow) bool {
		return !slices.ContainsFunc(c.aligned(), func(o accountRow) bool { return o.host == r.host })
	})
	if err := c.checkHeld(ctx, using, given); err != nil {
		return err
	}
	if seen.NoProvenance, err = c.noProvenance(ctx); err != nil {
		return err
	}
	if seen.NoProvenance == "" && seen.Synced != nil {
		seen.NoProvenance = "it has administrative privileges of its own"
	}
	asked := c.pair.Possession // of which possessed keeps the answer
	c.markAlone = seen.NoProvenance == "" && len(next) > 0 && !c.pair.Consent && c.possessed(ctx, holds) != nil
	if c.leftovers, err = c.lookForLeftovers(ctx); err != nil {
		return err
	}
	seen.Gains = c.leftovers.gains
	var look []rotator.Fix
	if c.markAlone && c.leftovers.unseen {
		look = append(look, c.seeingRemedy())
		seen.NoProvenance = fmt.Sprintf("the mark that it bears is not enough while user %q may not see whether an "+
			"earlier user of that name left routines, events, triggers, views or connections, which would have what "+
			"user %q may do (as an administrator, %s lets it see that)", c.actingAccount.user, c.pair.Original, look[0])
	}
	if len(next) == 0 && seen.Admin == nil && seen.Gains == nil {
		return c.checkWanted(ctx) // all of it is still to be created
	}
	counted := slices.ContainsFunc(next, func(r accountRow) bool { return r.counts })
	if !counted || c.pair.Consent {
		if err := c.checkStrays(ctx, holds, others); err != nil {
			return err
		}
	}
	pair := c.pair
	if counted && asked != nil { // and which of the accounts has a password of the secret, no comparison may say
		seen.Holds, _ = holdsAll(next)
		seen.Others = nil
		c.pair.Possession, pair.Possession = asked, c.byLogin(asked, next)
	}
	if err := pair.CheckEntitled(ctx, seen); err != nil { // before a line is printed that gives the account anything
		if seen.Others != nil {
			err = c.orRenamed(err, others())
		}
		return rotator.WithFix(err, "", look...)
	}
	return c.checkWanted(ctx)
}

// checkWanted refuses what no rotation gives, for each account of the clone.
func (c *cloneSync) checkWanted(ctx context.Context) error {
	for _, o := range c.aligned() {
		if _, _, err := c.wanted(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

// byLogin has a login decide what a comparison alone would otherwise, where the server counts wrong passwords of one of
// the accounts: a guess in AWSPREVIOUS then costs what it costs anyone. What is stored says only which password to try,
// so that no more than one wrong one is counted, and none where one is right.
func (c *cloneSync) byLogin(possession func(context.Context, func(secret.Password) bool) error,
	accounts []accountRow) func(context.Context, func(secret.Password) bool) error {
	return func(ctx context.Context, stored func(secret.Password) bool) error {
		var first secret.Password
		var tried bool
		var failure error
		logsIn := func(p secret.Password) bool {
			if slices.ContainsFunc(accounts, func(r accountRow) bool { return r.holds(interim(p)) }) {
				p = interim(p)
			}
			login := c.login
			login.User, login.Password, login.Database, login.For = c.pair.Target, p, "", nil
			login.TLS.Disabled = login.TLS.Disabled && c.pair.NoTLS
			tried, failure = true, c.ping(ctx, login)
			if n := errorNumber(failure); n == 1820 || n == 1862 { // it has expired: said to who knows it alone
				failure = nil
			}
			return failure == nil
		}
		proof := possession(ctx, func(p secret.Password) bool {
			if first.Empty() {
				first = p
			}
			return !tried && stored(p) && logsIn(p)
		})
		if proof != nil && !tried && !first.Empty() {
			logsIn(first)
		}
		if proof != nil && failure != nil && rotator.KindOf(failure) != rotator.KindLoginRejected {
			return failure
		}
		return proof
	}
}

// possessed asks once whether the secret holds a password of the accounts.
func (c *cloneSync) possessed(ctx context.Context, holds func(secret.Password) bool) error {
	if c.pair.Possession == nil {
		return rotator.KindNotEntitled
	}
	proof := c.pair.Possession(ctx, holds)
	c.pair.Possession = func(context.Context, func(secret.Password) bool) error { return proof }
	return proof
}

// checkStrays refuses an account of the clone's name that has none of the secret's passwords, where others of the name
// have one, on a host for which the original has no account. Consent is for the pair, and this one is not of it.
func (c *cloneSync) checkStrays(ctx context.Context, holds func(secret.Password) bool,
	others func() []accountRow) error {
	paired := func(r accountRow) bool {
		return slices.ContainsFunc(c.allOriginals, func(o accountRow) bool { return o.host == r.host })
	}
	alone := slices.DeleteFunc(slices.Clone(c.clones), paired)
	if c.inUse() || len(c.clones) < 2 || len(alone) == 0 || c.pair.Possession == nil {
		return nil
	}
	proof := c.possessed(ctx, holds)
	if kind := rotator.KindOf(proof); proof != nil && kind != rotator.KindLoginRejected &&
		kind != rotator.KindNotEntitled {
		return fmt.Errorf("finding out which accounts of user %q the secret holds a password of: %w", c.pair.Target,
			proof)
	}
	strays := slices.DeleteFunc(others(), paired)
	if proof == nil || len(strays) == 0 {
		return nil
	}
	return c.orRenamed(strategies.NotEntitled("user %q has several accounts, and %s has another password than the "+
		"others of the name, none that the secret holds, and is for a host for which user %q has no account: another "+
		"owner may use it, who would be locked out. Find out whose it is. If it is another owner's: RENAME USER %s TO "+
		"another name, which its clients then log in by. If it is this secret's, and no client needs it: DROP USER "+
		"%[4]s; else have it take the password of the others", c.pair.Target, names(strays), c.pair.Original,
		strays[0]), strays)
}

// floor is the power that all of some accounts have, with the exceptions of each.
func (s *session) floor(ctx context.Context, accounts []accountRow) (rights, error) {
	var floor rights
	for i, r := range accounts {
		power, err := s.power(ctx, r.account, map[account]bool{})
		if err != nil {
			return nil, err
		}
		if i == 0 {
			floor = power
		}
		floor = floor.without(floor.missing(power))
		maps.Copy(floor, power.of(restriction))
	}
	return floor, nil
}

// beyond is the power of an account that is not in floor, or is excepted there.
func (s *session) beyond(ctx context.Context, r accountRow, floor rights) (rights, error) {
	all := floor.has(allPrivileges, "*.*") || floor.has("SUPER", "*.*") && floor.has("CREATE USER", "*.*")
	power, err := s.power(ctx, r.account, map[account]bool{})
	if all && floor.has(grantOption, "*.*") && len(floor.of(restriction)) == 0 {
		// it can give itself whatever there is, but for SYSTEM_USER
		maps.DeleteFunc(power, func(r right, _ bool) bool { return !rights{r: true}.isSystem() })
	}
	extra := power.missing(floor)
	for x := range floor.of(restriction).without(power) {
		if power.has(x.name, "*.*") || power.has(allPrivileges, "*.*") {
			extra[right{kind: privilege, name: x.name, object: x.object}] = true
		}
	}
	return extra, err
}

// taking is what takes some rights from an account: those that it has itself, and the roles by which it has others.
// A role that is only to lose its ADMIN OPTION is left to people.
func (s *session) taking(ctx context.Context, from accountRow, some rights) (take []rotator.Fix, err error) {
	have, _, err := s.grants(ctx, from.account)
	if err != nil || len(some) == 0 {
		return nil, err
	}
	mine := rights{}
	for x := range have {
		if some[x] && (x.kind != role || !x.option) {
			mine[x] = true
		}
		if x.kind != role || x.option {
			continue
		}
		name, err := (&parser{tokens: tokens(x.name)}).account()
		if err != nil {
			continue
		}
		power, err := s.power(ctx, name, map[account]bool{})
		if err != nil {
			return nil, err
		}
		mine[x] = mine[x] || len(some.without(power)) < len(some)
	}
	maps.DeleteFunc(mine, func(_ right, taken bool) bool { return !taken })
	for x := range some { // which another is excepted from
		if x.kind == privilege && !have[x] && have.has(x.name, "*.*") {
			mine[x] = true
		}
	}
	for _, sql := range mine.revokes(from.account) {
		take = append(take, s.fix("%s", sql.text))
	}
	return take, nil
}

// power is what an account may do that is administrative.
func (s *session) power(ctx context.Context, of account, seen map[account]bool) (rights, error) {
	seen[of] = true
	all, _, err := s.grants(ctx, of)
	if err != nil {
		return nil, err
	}
	power := rights{}
	for r := range all {
		switch {
		case r.kind == dynamic, r.kind == proxy, r.kind == restriction, r.kind == role && r.option,
			r.kind == privilege && (r.object == "*.*" || opens(r, "mysql")):
			power[r] = true
		}
		if r.kind != role {
			continue
		}
		name, err := r.role()
		if err != nil || seen[name] {
			continue // the name is one that we have put together ourselves
		}
		more, err := s.power(ctx, name, seen)
		if err != nil {
			return nil, err
		}
		for r := range more {
			power[r] = true
		}
	}
	return power, nil
}

// holdsAll makes the Holds of an Evidence, and what gives the accounts that have none of the passwords which that has
// been asked for, where others have one. One without a password has none of the secret's.
func holdsAll(accounts []accountRow) (holds func(secret.Password) bool, others func() []accountRow) {
	left := slices.DeleteFunc(slices.Clone(accounts), func(r accountRow) bool { return r.plugin() == "" || r.locked })
	all := len(left)
	others = func() []accountRow {
		if len(left) == all {
			return nil
		}
		return slices.Clone(left)
	}
	return func(p secret.Password) bool {
		left = slices.DeleteFunc(left, func(r accountRow) bool { return r.accepts(p) || r.holds(interim(p)) })
		return len(left) == 0
	}, others
}

// mark is what MySQL keeps for us beside a clone, as its ATTRIBUTE.
type mark struct {
	Quarterturn struct {
		CloneOf string `json:"clone_of"`
	} `json:"quarterturn"`
}

func markOf(original string) string {
	var m mark
	m.Quarterturn.CloneOf = original
	text, _ := json.Marshal(m) // a struct of strings
	return string(text)
}

// noProvenance says why the server does not show that the accounts of the clone were
// made for the original and may do nothing that it may not. See checkEntitled for when a mark counts.
func (c *cloneSync) noProvenance(ctx context.Context) (string, error) {
	if c.inUse() {
		return "the server does not keep which of the two was there first", nil
	}
	if c.mariadb {
		return "MariaDB does not keep who created an account", nil
	}
	marks, err := c.marks(ctx)
	if err != nil {
		return "", err
	}
	for _, clone := range c.clones {
		if marks[clone.host] != c.pair.Original {
			return fmt.Sprintf("account %s bears no mark of a clone that this function created for user %q", clone,
				c.pair.Original), nil
		}
		if clone.retained {
			return fmt.Sprintf("account %s keeps a second password, which a rotation does not change (ALTER USER %s "+
				"DISCARD OLD PASSWORD ends it)", clone, clone), nil
		}
		i := slices.IndexFunc(c.originals, func(o accountRow) bool { return o.host == clone.host })
		if i < 0 {
			return fmt.Sprintf("user %q has no account for the host of account %s", c.pair.Original, clone), nil
		}
		have, _, err := c.grants(ctx, clone.account)
		if err != nil {
			return "", err
		}
		want, _, err := c.grants(ctx, c.originals[i].account)
		if err != nil {
			return "", err
		}
		if more := have.missing(want); len(more) > 0 {
			return fmt.Sprintf("account %s has what %s lacks: %s", clone, c.originals[i], more), nil
		}
		if more := want.of(restriction).without(have); len(more) > 0 {
			return fmt.Sprintf("account %s is without restrictions that %s has", clone, c.originals[i]), nil
		}
	}
	return "", nil
}

// isSystem says whether an account with these rights is one whose password, mark and name CREATE USER
// is not enough to change. The server looks at what is granted to the account itself, not at its roles.
func (r rights) isSystem() bool {
	system := right{kind: dynamic, name: "SYSTEM_USER", object: "*.*"}
	passedOn := system
	passedOn.option = true
	return r[system] || r[passedOn]
}

// system are the rights that come with SYSTEM_USER: itself, and roles that have it.
func (s *session) system(ctx context.Context, some rights) (rights, error) {
	found := rights{}
	for x := range some {
		if x.kind == role {
			name, err := x.role()
			if err != nil {
				continue // the name is one that we have put together ourselves
			}
			power, err := s.power(ctx, name, map[account]bool{})
			if err != nil {
				return nil, err
			}
			found[x] = power.isSystem()
		} else {
			found[x] = rights{x: true}.isSystem()
		}
	}
	maps.DeleteFunc(found, func(_ right, is bool) bool { return !is })
	return found, nil
}

// checkGiven refuses to give an account of the clone what no rotation gives, with or without consent: SYSTEM_USER, or a
// role that has it, and a privilege on *.* that the original has with exceptions (partial_revokes). CREATE USER is
// enough to rename accounts: GRANT goes by the name, the exceptions with it (AS), and no look before or after it shows
// what bore that name in between.
func (c *cloneSync) checkGiven(ctx context.Context, original accountRow, want, have rights) error {
	if c.mariadb {
		return nil
	}
	extra := have.extra(want)
	if c.inUse() {
		extra = nil
	}
	left := have.without(extra)
	missing := want.missing(left)
	if err := c.checkKept(original, missing); err != nil {
		return err
	}
	give, err := c.system(ctx, missing)
	if err != nil {
		return err
	}
	if left.isSystem() {
		give = rights{}
	}
	excepted := missing.without(missing.without(want.excepted()))
	if len(give)+len(excepted) == 0 {
		return nil
	}
	take, err := c.system(ctx, extra)
	if err != nil {
		return err
	}
	clone, exists := c.clone(original.host)
	var lines []rotator.Fix
	line := func(statements ...statement) {
		for _, sql := range statements {
			lines = append(lines, rotator.Fix{By: rotator.ByAdministrator, Run: sql.text,
				For: ifPair + ", and while " + quiet})
		}
	}
	const rotateNow = "rotate right after it: clients that still have AWSPREVIOUS are rejected until then; the " +
		"password that it shows is not needed"
	var what, why []string
	switch random := clone.String() + " IDENTIFIED BY RANDOM PASSWORD"; {
	case !exists:
		line(statement{text: "CREATE USER " + random})
	case c.markAlone, !c.inUse() && len(give) > 0: // others may know its password: who holds AWSPREVIOUS logs in by it
		line(statement{text: "ALTER USER " + random})
		lines[len(lines)-1].Note = rotateNow
		line(statement{text: "ALTER USER " + clone.String() + " DISCARD OLD PASSWORD"})
	}
	if len(give) > 0 {
		by := ""
		if !give.isSystem() {
			by = " by the role " + give.String()
		}
		what = append(what, "SYSTEM_USER"+by)
		why = append(why, "until one has it itself, CREATE USER is enough to alter or rename it")
		if exists {
			line(statement{text: heldQuery(clone.account)})
			lines[len(lines)-1].Note = heldUntilNow(clone, c.inUse())
		}
		line(append(take.revokes(clone.account), give.grants(clone.account)...)...)
	}
	if len(excepted) > 0 {
		what = append(what, excepted.String()+" with exceptions (partial_revokes)")
		why = append(why, "who has CREATE USER could have it come without these, by renaming accounts")
		line(excepted.grantsAs(clone.account, " AS "+original.String())...)
		exceptions := want.exceptions(excepted)
		maps.DeleteFunc(exceptions, func(x right, _ bool) bool { // which clients use: REVOKE would take the GRANT there
			return c.inUse() && (have.has(x.name, x.object) || have.has(allPrivileges, x.object))
		})
		line(exceptions.addRestrictions(clone.account)...)
	}
	if !c.inUse() && (len(give) > 0 || !exists) {
		// what was done to it until then ends, or the rotation searches for it, as only the mark proves it
		mark := c.markClause(original.user)
		line(statement{text: "ALTER USER " + clone.String() + " IDENTIFIED BY RANDOM PASSWORD" +
			strings.ReplaceAll(mark, `\`, `\\`)})
		lines[len(lines)-1].Note = rotateNow
		if strings.Contains(mark, `\`) {
			lines[len(lines)-1].Note += "; " + backslashes
		}
	}
	over, err := c.excess(ctx, original.account, missing)
	if err != nil {
		return err
	}
	first := "So "
	if over != nil {
		for i := range lines {
			lines[i].For = fmt.Sprintf("if account %s is meant to have it, %s", original, lines[i].For[len("if "):])
		}
		first = fmt.Sprintf("If account %s is not meant to have it: "+asAdministrator+"%s. If it is: ", original,
			rotator.RunEach(over...))
	}
	return rotator.WithFix(strategies.NotEntitled("account %s is to have %s, as account %s has it, and a "+
		"rotation gives that to no account: %s. %s"+
		"rotate this secret with dual passwords, or as single user through a superuser. Or as an administrator, %s, "+
		"and while %s: %s", clone, strings.Join(what, ", and "), original, strings.Join(why, "; "), first, ifPair,
		quiet, rotator.RunEach(lines...)), "", append(over, lines...)...)
}

// heldUntilNow is what to see to before an account is protected: who had CREATE USER may have it in hand, and keeps it.
// Which of two passwords is the secret's is not known when the line is run: that of AWSCURRENT may be the older one.
func heldUntilNow(of accountRow, inUse bool) string {
	says := fmt.Sprintf("go on only if all are 0, for who had CREATE USER could have left them: where it is a role of "+
		"others, REVOKE it from those (mysql.role_edges); KILL its connections (SHOW PROCESSLIST, by PROCESS); a "+
		"second password ends by ALTER USER %s DISCARD OLD PASSWORD", of)
	if inUse {
		says = fmt.Sprintf("go on only if it is no role of others (or REVOKE it from those, mysql.role_edges), SHOW "+
			"GRANTS FOR %[1]s shows no role that is not meant, and SHOW PROCESSLIST no connection of its user but of "+
			"the secret's clients: who had CREATE USER could have left them. If it has a second password, the newer "+
			"one may be another's: ALTER USER %[1]s IDENTIFIED BY 'PASSWORD', with the one in AWSCURRENT (%[2]s; "+
			"error 3638: %[3]s), and only if that succeeded ALTER USER %[1]s DISCARD OLD PASSWORD", of, typedTwice,
			usedBefore)
	}
	return says
}

// heldQuery shows what of an account no SHOW CREATE USER shows: who has it as a role, and a second password.
func heldQuery(of account) string {
	user, host := typedText(of.user), typedText(of.host)
	return "SELECT (SELECT COUNT(*) FROM mysql.role_edges WHERE FROM_USER = " + user + " AND FROM_HOST = " + host +
		") AS role_of, (SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = " + user +
		") AS connections, COUNT(User_attributes->'$.additional_password') AS second_password FROM mysql.user " +
		"WHERE User = " + user + " AND Host = " + host
}

// backslashes is for a line that has some.
const backslashes = "where sql_mode has NO_BACKSLASH_ESCAPES, SET SESSION sql_mode = '' before it"

// checkKept refuses to copy a privilege on a routine whose name has letters beyond ASCII. MySQL stores that name in
// another character set than it reads it in: from the next reload of its grants on, as after each statement on accounts
// that fails (a dry run), it names a routine that there is not, and GRANT fails once the account is created.
func (c *cloneSync) checkKept(original accountRow, missing rights) error {
	for _, x := range missing.sorted() {
		name := x.object[strings.LastIndex(x.object, "`.`")+1:]
		if !strings.HasPrefix(x.object, "PROCEDURE ") && !strings.HasPrefix(x.object, "FUNCTION ") ||
			!strings.ContainsFunc(name, func(r rune) bool { return r > unicode.MaxASCII }) {
			continue
		}
		return c.errorf(rotator.KindMisconfigured, "account %s has %s, and the server loses privileges on routines "+
			"whose names have letters beyond ASCII: after a restart, FLUSH PRIVILEGES or a statement on accounts that "+
			"fails, they are for a name that no routine has, and cannot be copied. As an administrator, GRANT the "+
			"account EXECUTE on the database instead, or on a routine with an ASCII name; then REVOKE this privilege "+
			"(where it is lost already, GRANT it by the right name first, and FLUSH PRIVILEGES after the REVOKE)",
			original, rights{x: true})
	}
	return nil
}

// marks reads of which user each account of the clone was created as a clone, by host.
func (c *cloneSync) marks(ctx context.Context) (map[string]string, error) {
	st := operation{action: "looking up who created the accounts"}
	table, err := c.query(ctx, st, marksOf(c.pair.Clone))
	marks := map[string]string{}
	for _, t := range table {
		marks[t[0]] = t[1]
	}
	return marks, err
}

func marksOf(user string) string {
	return "SELECT Host, User_attributes->>'$.metadata.quarterturn.clone_of' FROM mysql.user WHERE User = " +
		quoteText(user)
}

// checkHeld refuses to change accounts of a name, or to give others what they may do, where one of them has no password
// of the secret's. all are those that a login by the name can be of: the only one has just logged in. Where the server
// counts wrong passwords, any but the one that has logged in would be a guess that costs nothing.
func (s *session) checkHeld(ctx context.Context, all, accounts []accountRow) error {
	left := slices.Clone(accounts)
	if len(all) < 2 || len(left) == 0 {
		return nil
	}
	counted, loggedIn := "", true
	if slices.ContainsFunc(left, func(r accountRow) bool { return r.counts }) {
		counted = " (only the password that has just logged in is compared where the server counts wrong ones. Where " +
			"an earlier attempt was cut off between them, all are this secret's: say so as follows, or give the " +
			"others that password by hand)"
	}
	err := s.login.CheckHeld(ctx, left[0].user, func(p secret.Password) string {
		left = slices.DeleteFunc(left, func(r accountRow) bool { return (loggedIn || !r.counts) && r.accepts(p) })
		loggedIn = false
		if len(left) == 0 {
			return ""
		}
		return names(left) + counted
	})
	return s.orRenamed(err, left)
}

// orRenamed puts first what gives another name to accounts that have no password of the secret.
func (s *session) orRenamed(err error, accounts []accountRow) error {
	if rotator.KindOf(err) != rotator.KindNotEntitled {
		return err
	}
	var lines []rotator.Fix
	for _, r := range accounts {
		rename := former(r)
		rename.For = "if account " + r.String() + " is another owner's"
		lines = append(lines, rename)
	}
	return rotator.WithFix(err, "", lines...)
}

// checkAlike refuses to give several accounts of one name the same password where one
// has more administrative power than another: a user with the password of the weaker one
// would have that of the other.
func (s *session) checkAlike(ctx context.Context, accounts []accountRow) error {
	if len(accounts) < 2 {
		return nil
	}
	floor, err := s.floor(ctx, accounts)
	if err != nil {
		return err
	}
	for _, r := range accounts {
		extra, err := s.beyond(ctx, r, floor)
		if err != nil {
			return err
		}
		if len(extra) > 0 {
			return strategies.NotEntitled("account %s has %s, which other accounts of the same name (%s) lack, and "+
				"all of them would get the same password. Revoke that, or give one of them another name", r, extra,
				names(accounts))
		}
	}
	return nil
}
