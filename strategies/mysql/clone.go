package mysql

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
)

// EnsureClone implements strategies.CloningEngine.
//
// The original is the model, the clone its image: for each account of the original
// ('app'@'10.0.%', 'app'@'%') that can log in with a password, there is one of the
// clone on the same host, of the same plugin, with the same
//
//   - privileges: global, dynamic, on databases, tables, columns and routines, with
//     their GRANT OPTION, but those with exceptions (see checkGiven);
//   - roles, with their ADMIN OPTION, and default roles; PROXY;
//   - REQUIRE, limits of resources, and rules of passwords (expiry, and on MySQL
//     history, reuse, current, failed logins). ACCOUNT LOCK is not copied, nor that a
//     password has expired.
//
// What of all this is to be done, SHOW GRANTS says at each turn, and no more is done.
// When the clone is the target, no client uses it: it is given what it lacks and loses what the
// original lost, and only then gets its password. On the original's turn clients are
// on the clone: it is given what it lacks and loses nothing, no account of it is created,
// and of the original nothing is changed but the password.
//
// These servers commit every statement by itself. A rotation that is cut off
// leaves the account in use with all that it had, and the other one without the
// pending password; the next run does the rest.
//
// Accounts of the clone for hosts on which the original has none (AWS's templates
// make 'app_clone'@'%' whatever the original's host is) get the new password and are
// otherwise left alone; the preflight names them, and refuses one that clients of the
// original would meet and that may do less (see checkStandIns).
//
// # Rights that the superuser needs
//
// On MySQL CREATE USER, SELECT on mysql.*, and all that the original may do WITH
// GRANT OPTION (roles WITH ADMIN OPTION, or ROLE_ADMIN); on MariaDB UPDATE on
// mysql.* as well.
func (e Engine) EnsureClone(ctx context.Context, login strategies.Login, pair strategies.Pair,
	p secret.Password) error {
	if err := checkNewPassword(p, pair.Original, pair.Clone); err != nil {
		return err
	}
	c, err := e.beginClone(ctx, login, pair, false)
	if err != nil {
		return err
	}
	defer c.close()
	if err := c.checkMasked(ctx); err != nil {
		return err
	}
	for _, original := range c.aligned() {
		if err := c.align(ctx, original, interim(p)); err != nil {
			return err
		}
	}
	targets, err := c.targets(ctx)
	if err != nil {
		return err
	}
	return c.changeOthers(ctx, targets, p)
}

// DryRunEnsureClone implements strategies.CloningEngine, as DryRunSetPassword does it. Grants are
// rehearsed on an account that does not exist, and that the server does not create.
func (e Engine) DryRunEnsureClone(ctx context.Context, login strategies.Login, pair strategies.Pair,
	sample secret.Password) ([]strategies.Warning, error) {
	for _, name := range []string{pair.Original, pair.Clone} {
		if err := checkName(userName, name); err != nil {
			return nil, err
		}
	}
	c, err := e.beginClone(ctx, login, pair, true)
	if err != nil {
		return nil, err
	}
	defer c.close()
	if err := c.checkMasked(ctx); err != nil {
		return nil, err
	}
	if pair.PasswordOnly {
		targets, err := c.targets(ctx)
		if err == nil {
			err = c.dryRunOthers(ctx, targets, sample)
		}
		if err == nil {
			err = c.checkReached(ctx)
		}
		if err != nil {
			return nil, err
		}
		return c.warnings(ctx, pair.Target, c.allTargets(), sample)
	}
	return c.dryRun(ctx, sample)
}

// cloneSync is the alignment of a clone with its original.
type cloneSync struct {
	*session
	pair      strategies.Pair
	ping      func(context.Context, strategies.Login) error // Engine.Ping
	originals []accountRow                                  // the accounts of the original that count
	clones    []accountRow                                  // all accounts of the clone

	allOriginals []accountRow
	leftovers    leftovers
	markAlone    bool // nothing but their marks says that the clone's accounts are the secret's
	waited       bool // logins that were going on have ended meanwhile
}

func (e Engine) beginClone(ctx context.Context, login strategies.Login, pair strategies.Pair,
	dryRun bool) (*cloneSync, error) {
	if pair.Original == pair.Clone || pair.Target != pair.Original && pair.Target != pair.Clone {
		return nil, fmt.Errorf("pair %q and %q, next %q: %w: want two users, and one of them", pair.Original,
			pair.Clone, pair.Target, rotator.KindMisconfigured)
	}
	looks := func(s *session) []string {
		all := []string{s.accountsOf(pair.Original), s.accountsOf(pair.Clone), cutShortTo(pair.Target)}
		if dryRun {
			all = append(all, clientAddress, s.accountsOf(""))
		}
		if dryRun || !s.mariadb {
			all = append(all, s.whatAChangeAsks())
		}
		if !s.mariadb && pair.Target == pair.Clone {
			all = append(all, marksOf(pair.Clone))
		}
		return all
	}
	s, err := e.openForChange(ctx, login, looks, pair.Original, pair.Clone)
	if err != nil {
		return nil, err
	}
	c := &cloneSync{session: s, pair: pair, ping: e.Ping}
	err = c.readAll(ctx)
	if err == nil && c.waited { // for seconds, in which the original may have lost what the clone is not to get
		c.granted = nil
		err = c.readAll(ctx)
	}
	if err == nil {
		err = c.checkStandIns(ctx)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return c, nil
}

// readAll reads what there is, and asks whether it may be changed.
func (c *cloneSync) readAll(ctx context.Context) error {
	err := c.readAccounts(ctx)
	if err == nil {
		err = c.readGrantsAhead(ctx)
	}
	if err == nil {
		err = c.checkEntitled(ctx)
	}
	return err
}

func (c *cloneSync) readAccounts(ctx context.Context) (err error) {
	if c.sandbox {
		return c.expiredSuperuser()
	}
	if c.allOriginals, err = c.accounts(ctx, c.pair.Original); err != nil {
		return err
	}
	if c.clones, err = c.accounts(ctx, c.pair.Clone); err != nil {
		return err
	}
	if err := c.checkCutShort(ctx); err != nil {
		return err
	}
	if len(c.allOriginals) == 0 {
		return c.lostOriginal(ctx)
	}
	if c.originals, err = c.changeable(ctx, c.allOriginals, c.pair.Original); err != nil {
		return err
	}
	for _, r := range c.originals {
		if r.factors && !c.inUse() && !c.pair.PasswordOnly {
			return c.errorf(rotator.KindMisconfigured, "account %s demands further factors beside the password, and "+
				"the clone's account for that host would be let in by the password alone: rotate this secret as "+
				"single user, or DROP USER %s if no client needs it", r, r)
		}
	}
	for _, r := range c.clones {
		if r.isRole {
			return c.errorf(rotator.KindMisconfigured, "%q is a role on this server, and the second user of a pair "+
				"is to be an account: DROP ROLE %s, or give the secret another user", c.pair.Clone,
				quoteIdent(c.pair.Clone))
		}
	}
	if len(c.clones) == 0 && c.pair.PasswordOnly {
		return c.errorf(rotator.KindNotFound, "there is no account of user %q on this server; create it, or correct "+
			"the user name in the secret", c.pair.Clone)
	}
	if len(c.clones) == 0 && c.pair.Target == c.pair.Original {
		return c.errorf(rotator.KindNotFound, "there is no account of user %q on this server, though it is the user "+
			"of AWSCURRENT", c.pair.Clone)
	}
	return nil
}

// checkCutShort refuses a target whose name another has up to a NUL. There the server takes it to end, unlike its
// tables: such an account keeps one of the target from being created, or comes before it for its host.
func (c *cloneSync) checkCutShort(ctx context.Context) error {
	rows, err := c.query(ctx, operation{action: "looking up names with a NUL"}, cutShortTo(c.pair.Target))
	if err != nil || len(rows) == 0 {
		return err
	}
	var lines []rotator.Fix
	for _, row := range rows {
		name := strings.NewReplacer("\x00", `\0`, `\`, `\\`, "'", "''").Replace(row[0])
		line := c.fix("DROP USER '%s'@%s", name, quoteIdent(row[1]))
		line.For = "if no client logs in by it"
		line.Note = backslashes
		lines = append(lines, line)
	}
	return c.errorf(rotator.KindMisconfigured, "an account has the character NUL in its name, and the server takes "+
		"for one of user %q what is none in its tables: clients would meet it. See who made it, and %s (%s)",
		c.pair.Target, rotator.RunEach(lines...), backslashes)
}

// cutShortTo asks for the accounts whose name another is up to its first NUL.
func cutShortTo(user string) string {
	return "SELECT User, Host FROM mysql.user WHERE LOCATE(" + charNUL + ", User) > 0 AND SUBSTRING_INDEX(User, " +
		charNUL + ", 1) = " + quoteText(user)
}

// lostOriginal says how an original without an account comes back: by its name where another has a password of it, and
// else with what the clone has. It compares passwords while it holds the lock of the pair, for which others wait two
// seconds at most, and then say the same.
func (c *cloneSync) lostOriginal(ctx context.Context) error {
	user := c.pair.Original
	var former []account
	if c.pair.Possession != nil {
		_ = c.pair.Possession(ctx, func(p secret.Password) bool {
			found, err := c.renamed(ctx, strategies.Login{User: user, Password: p})
			if former == nil && err == nil {
				former = found
			}
			return false // it proves nothing of the user that is not there
		})
	}
	if former != nil {
		cause := renamedCause(user, former)
		return c.errorf(rotator.KindNotFound, "%s, and user %q has a password that the secret has for it: %s",
			noAccount(user), former[0].user, rotator.Sentence{Text: cause.Remedy, Fixes: cause.Fixes})
	}
	var lines []rotator.Fix
	apart := ""
	for _, clone := range accountsOnly(c.clones) {
		to := account{user: user, host: clone.host}
		sql, note := createLike(c.mariadb, to, clone)
		create := strategies.Fix(strategies.Login{}, sql)
		create.For, create.Note = ifDropped, note
		give, left, err := c.given(ctx, to, nil, "NONE", clone.account, "if it was dropped, and "+
			strings.TrimPrefix(ifPair, "if "), "to give it what it had")
		if err != nil {
			return err
		}
		if len(give) > 20 { // which no person reads
			show := c.fix("%s", grantsOf(clone.account))
			show.For = "if it was dropped, to see what to GRANT it, " + ifPair
			give = []rotator.Fix{show}
		}
		for i, line := range give {
			if c.mariadb && strings.HasPrefix(line.Run, "GRANT ") {
				give[i].Run = makesNone + line.Run
			}
		}
		lines, apart = append(append(lines, create), give...), apart+left
	}
	back := bringBack(user, accountsOnly(c.clones))
	back.Fixes = append(back.Fixes, lines...)
	return c.errorf(rotator.KindNotFound, "%s: %s%s", noAccount(user), back, apart)
}

// makesNone has MariaDB grant nothing to an account that is not there, of which it else makes one without a password.
const makesNone = "SET STATEMENT sql_mode = 'NO_AUTO_CREATE_USER' FOR "

// anyCertificate is demanded in place of one whose name could end its constant.
const anyCertificate = "REQUIRE X509"

// createLike makes an account again with what its counterpart demands and is limited to: the next rotation makes that
// one like it. note is what to know before it is run.
func createLike(mariadb bool, to account, like accountRow) (sql, note string) {
	by := "BY 'PASSWORD'"
	switch plugin := like.plugin(); {
	case mariadb && !slices.Equal(like.passwords(), []string{"mysql_native_password"}) && plugin != "":
		made := accountRow{plugins: like.passwords(), stored: make([]string, len(like.passwords()))}
		by = "VIA " + made.via(func(string) string { return "PASSWORD('PASSWORD')" })
	case !mariadb && plugin != "": // the server's default may be another
		by = "WITH " + plugin + " BY 'PASSWORD'"
	}
	sql = "CREATE USER " + to.String() + " IDENTIFIED " + by + typedAll(like.clauses())
	var notes []string
	if strings.ContainsFunc(like.require, otherwiseTyped) {
		notes = append(notes, "SHOW CREATE USER "+like.String()+" shows which certificate that demands")
	}
	if like.locked {
		sql += " ACCOUNT LOCK"
		notes = append(notes, "account "+like.String()+" is locked: leave ACCOUNT LOCK out unless that is on purpose")
	}
	return sql, strings.Join(notes, "; ")
}

// clauses are what an account demands, each of its limits, and its rules of passwords; "": as all have it that were
// given no other.
func (r accountRow) clauses() []string {
	all := []string{r.require}
	limits := strings.Fields(r.limits)
	for pair := range slices.Chunk(limits[min(1, len(limits)):], 2) {
		all = append(all, strings.Join(pair, " "))
	}
	all = append(all, r.expiry, r.rules["history"], r.rules["reuse"], r.rules["current"], r.rules["attempts"])
	for i, c := range all {
		if c == "REQUIRE NONE" || c == noAttempts || strings.HasSuffix(c, " DEFAULT") ||
			strings.HasPrefix(c, "MAX_") && strings.HasSuffix(strings.TrimRight(c, "0."), " ") {
			all[i] = ""
		}
	}
	return all
}

// typedAll are clauses as people type them.
func typedAll(clauses []string) (text string) {
	with := " WITH"
	for _, c := range clauses {
		switch {
		case c == "":
			continue
		case strings.HasPrefix(c, "REQUIRE ") && strings.ContainsFunc(c, otherwiseTyped):
			c = anyCertificate
		case strings.HasPrefix(c, "MAX_"):
			text, with = text+with, ""
		}
		text += " " + c
	}
	return text
}

// lost are the clauses of a clone in whose place its original has none, or demands less.
func lost(original, clone accountRow) string {
	clauses := clone.clauses()
	for i, c := range original.clauses() {
		if c != "" && !(c == "REQUIRE SSL" && clauses[i] != "") || c == clauses[i] {
			clauses[i] = ""
		}
	}
	return typedAll(clauses)
}

// readGrantsAhead asks for what the accounts of both may do, which is asked for whatever is done.
func (c *cloneSync) readGrantsAhead(ctx context.Context) error {
	var looks []string
	for _, r := range slices.Concat(c.originals, c.clones) {
		looks = append(looks, grantsOf(r.account))
		if !c.mariadb {
			looks = append(looks, defaultRolesOf(r.account))
		}
	}
	st := operation{action: "looking up the privileges of " + names(slices.Concat(c.originals, c.clones)),
		sensitive: true, limit: c.limit}
	for some := range slices.Chunk(looks, batch) {
		limited, cancel := context.WithTimeout(ctx, c.limit)
		err := c.askAhead(limited, "", some)
		cancel()
		if err != nil && errorNumber(err) == 0 {
			return c.wrapError(ctx, st, err)
		}
	}
	return nil
}

// clone finds the clone's account on a host.
func (c *cloneSync) clone(host string) (accountRow, bool) {
	for _, r := range c.clones {
		if r.host == host {
			return r, true
		}
	}
	return c.newRow(account{user: c.pair.Clone, host: host}), false
}

// aligned gives the accounts of the original that one of the clone is made like. While clients are on the clone none is
// created: it would come before the account that lets in clients of its host. And none is given anything that has no
// password, or is locked: it is not one that they log in by.
func (c *cloneSync) aligned() []accountRow {
	return slices.DeleteFunc(slices.Clone(c.originals), func(original accountRow) bool {
		clone, _ := c.clone(original.host)
		return c.pair.PasswordOnly || c.inUse() && !clone.changeable()
	})
}

// allTargets gives all accounts of the target.
func (c *cloneSync) allTargets() []accountRow {
	if c.inUse() {
		return c.allOriginals
	}
	return c.clones
}

// synced gives all accounts of the target as they will be: those of the clone on a host of the original are like it.
func (c *cloneSync) synced() []accountRow {
	if c.inUse() || c.pair.PasswordOnly {
		return c.allTargets()
	}
	var all []accountRow
	for _, original := range c.originals {
		clone, _ := c.clone(original.host)
		clone.require = original.require
		all = append(all, clone)
	}
	for _, clone := range c.clones {
		if !slices.ContainsFunc(all, func(r accountRow) bool { return r.host == clone.host }) {
			all = append(all, clone)
		}
	}
	return all
}

// targets gives the accounts whose password is set. One of the clone gets it for the plugins of the original: a client
// may know no others.
func (c *cloneSync) targets(ctx context.Context) ([]accountRow, error) {
	rows, err := c.changeable(ctx, c.allTargets(), c.pair.Target)
	if c.inUse() || c.pair.PasswordOnly {
		return rows, err
	}
	for i, r := range rows {
		o := slices.IndexFunc(c.originals, func(o accountRow) bool { return o.host == r.host })
		if o < 0 || len(r.passwords()) < len(r.plugins) || slices.Equal(r.plugins, c.originals[o].passwords()) {
			continue
		}
		rows[i].plugins, rows[i].replugged = c.originals[o].passwords(), true
		rows[i].stored = make([]string, len(rows[i].plugins))
	}
	return rows, err
}

// inUse says whether clients may be on the clone.
func (c *cloneSync) inUse() bool { return c.pair.Target == c.pair.Original }

// align makes one account of the clone what one of the original is.
func (c *cloneSync) align(ctx context.Context, original accountRow, interim secret.Password) error {
	clone, ok := c.clone(original.host)
	want, wantRole, err := c.wantedNow(ctx, original)
	if err != nil {
		return err
	}
	if !ok || c.markAlone {
		if ok {
			err = c.changeOthers(ctx, []accountRow{clone}, interim)
		} else {
			err = c.create(ctx, original, clone.account, interim)
		}
		if err != nil {
			return err
		}
		rows, err := c.accounts(ctx, c.pair.Clone)
		if err != nil {
			return err
		}
		c.clones = rows
		clone, _ = c.clone(original.host)
		if !clone.holdsAlone(interim) {
			return c.errorf(rotator.KindConflict, "account %s is not as it was left a moment ago: another session "+
				"changes it", clone)
		}
	}
	if ok && c.markAlone {
		err := c.checkUnshared(ctx, clone, "what account "+original.String()+" may do")
		if err == nil {
			want, wantRole, err = c.wantedNow(ctx, original)
		}
		if err != nil {
			return err
		}
	}
	have, haveRole, err := c.grants(ctx, clone.account)
	if err != nil {
		return err
	}
	if !c.inUse() {
		before := have.of(role)
		if have, err = c.revokeExtra(ctx, clone.account, have, want); err != nil {
			return err
		}
		if len(before.without(have)) > 0 {
			haveRole = "" // on MySQL, a role that is revoked is no default role when it is granted again
		}
	}
	missing := want.missing(have)
	give := append(missing.grants(clone.account), have.lifted(want).removeRestrictions(clone.account)...)
	giving := func(sql statement) operation {
		return operation{action: fmt.Sprintf("copying %s from %s to %s", sql.what, original, clone),
			remedy: c.passOnRemedy(sql)}
	}
	if err := c.execAll(ctx, giving, give); err != nil {
		return err
	}
	if c.inUse() {
		return nil
	}
	excepting := func(sql statement) operation {
		return operation{action: fmt.Sprintf("copying the exception %s from %s to %s", sql.what, original, clone),
			remedy: c.passOnRemedy(sql)}
	}
	if err := c.execAll(ctx, excepting, want.of(restriction).without(have).addRestrictions(clone.account)); err != nil {
		return err
	}
	if wantRole != haveRole {
		if err := c.setDefaultRole(ctx, clone.account, wantRole); err != nil {
			return err
		}
	}
	return c.copyAttributes(ctx, original, clone)
}

// wantedNow is wanted, read again after a wait.
func (c *cloneSync) wantedNow(ctx context.Context, original accountRow) (rights, string, error) {
	if c.waited {
		c.granted, c.waited = nil, false
	}
	return c.wanted(ctx, original)
}

// wanted is what the clone is to be able to do, and its default roles.
func (c *cloneSync) wanted(ctx context.Context, original accountRow) (want rights, defaultRole string, err error) {
	want, defaultRole, err = c.grants(ctx, original.account)
	clone, exists := c.clone(original.host)
	have := rights{}
	if err == nil && exists {
		have, _, err = c.grants(ctx, clone.account)
	}
	if err == nil {
		err = c.checkGiven(ctx, original, want, have)
	}
	return want, defaultRole, err
}

// create makes an account of the clone. Until everything else is as it should be, its
// password is one that no client knows: at no moment is there an account without one,
// or one that lets the pending password in and may not do all that it should. MySQL
// keeps who made it, and for which original, beside the account: its mark.
func (c *cloneSync) create(ctx context.Context, original accountRow, clone account, p secret.Password) error {
	st := operation{action: "creating " + clone.String(), remedy: c.createUserRemedy(), sensitive: true,
		setsPassword: true, limit: c.limit}
	if err := c.checkOrphans(ctx, []account{clone}); err != nil {
		return err
	}
	if !c.mariadb {
		return c.created(ctx, clone, c.exec(ctx, st, fmt.Sprintf("CREATE USER %s IDENTIFIED WITH %s BY %s%s", clone,
			quoteText(original.plugin()), quotePassword(p), c.markClause(original.user))))
	}
	create := "CREATE USER " + clone.String() + " IDENTIFIED VIA "
	made := accountRow{account: clone, plugins: original.passwords()}
	if err := c.checkOneMethod(ctx, []accountRow{made}); err != nil {
		return err
	}
	err := c.execRaw(ctx, create+made.via(func(plugin string) string { return quoteText(hash(plugin, p)) }))
	if c.wantsClear(ctx, err) { // the binary log has this statement as it is
		return c.execClear(ctx, st, block(create+made.via(inClear(disguise(p))),
			"SET PASSWORD FOR "+clone.String()+" = "+inClear(p)("")))
	}
	if err != nil {
		return c.created(ctx, clone, c.wrapError(ctx, st, err))
	}
	return nil
}

// created is the error of a statement that creates an account: where that is there now, another session made it.
func (c *cloneSync) created(ctx context.Context, clone account, err error) error {
	if errorNumber(err) != 1396 {
		return err
	}
	rows, failed := c.accounts(ctx, clone.user)
	if failed != nil || !slices.ContainsFunc(rows, func(r accountRow) bool { return r.account == clone }) {
		return err
	}
	return c.errorf(rotator.KindConflict, "creating %s: another session has created it just now. See whose it is, and "+
		"rotate again", clone)
}

// checkOrphans refuses to create accounts of the clone for which the tables keep privileges, as they do where rows of
// mysql.user were deleted by hand: the server creates none then, or one that has them.
func (c *cloneSync) checkOrphans(ctx context.Context, accounts []account) error {
	if len(accounts) == 0 {
		return nil
	}
	var tables []string
	for _, table := range []string{"db", "tables_priv", "columns_priv", "procs_priv", "proxies_priv"} {
		tables = append(tables, "SELECT Host FROM mysql."+table+" WHERE User = "+quoteText(c.pair.Clone))
	}
	rows, err := c.query(ctx, operation{action: "looking up privileges of accounts that are gone"},
		strings.Join(tables, " UNION "))
	if err != nil {
		return err
	}
	var orphans []rotator.Fix
	for _, a := range accounts {
		if slices.ContainsFunc(rows, func(row []string) bool { return row[0] == a.host }) {
			orphans = append(orphans, c.fix("DROP USER IF EXISTS %s", a))
		}
	}
	if orphans == nil {
		return nil
	}
	return c.errorf(rotator.KindMisconfigured, "account %s is to be created, and the tables of mysql keep "+
		"privileges of one of that name which is gone, as where rows of mysql.user were deleted by hand: %s, which "+
		"takes them away", accounts[0], rotator.RunEach(orphans...))
}

// markClause writes the mark of a clone where the server keeps one.
func (c *cloneSync) markClause(original string) string {
	if olderThan(c.wire.version, 8, 0, 21) {
		return ""
	}
	return " ATTRIBUTE " + quoteText(markOf(original))
}

// checkUnshared refuses to give an account what others would be able to do with it.
func (c *cloneSync) checkUnshared(ctx context.Context, clone accountRow, what string) error {
	others, err := c.sharers(ctx, clone)
	if err != nil || others == nil {
		return err
	}
	return strategies.NotEntitled("account %s would get %s, and so would: %s. Take that away, and rotate again", clone,
		what, strings.Join(others, ", "))
}

// sharers gives what has an account in hand besides this rotation: what is kept for it, connections of it, and a
// session that has changed its password since it was looked up.
func (c *cloneSync) sharers(ctx context.Context, of accountRow) ([]string, error) {
	c.waited = false // for those that began meanwhile
	others, _, err := c.heldFor(ctx, []account{of.account}, true)
	if err != nil {
		return nil, err
	}
	now, err := c.accounts(ctx, of.user)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(now, func(r accountRow) bool {
		return r.account == of.account && slices.Equal(r.stored, of.stored) && r.second == ""
	}) {
		others = append(others, "a session that has changed its password")
	}
	return others, nil
}

// loginsHaveEnded waits for the logins that are going on. One that began before an account was changed can be let in by
// what was its password then, and as what it is now. The server ends each after connect_timeout, 10 seconds as a rule.
func (c *cloneSync) loginsHaveEnded(ctx context.Context) (bool, error) {
	if c.waited {
		return true, nil
	}
	const going = "SELECT ID FROM information_schema.PROCESSLIST WHERE USER = 'unauthenticated user'"
	st := operation{action: "waiting for logins that are going on"}
	first := map[string]bool{}
	for try := range 100 {
		rows, err := c.query(ctx, st, going)
		if err != nil {
			return false, err
		}
		left := false
		for _, r := range rows {
			first[r[0]] = first[r[0]] || try == 0
			left = left || first[r[0]]
		}
		if !left {
			c.waited = try > 0
			return true, nil
		}
		if _, err := c.query(ctx, st, "SELECT SLEEP(0.2)"); err != nil {
			return false, err
		}
	}
	return false, nil
}

// interim is a password of the same characters in another order, so that the server's
// policy takes it where it takes p. It follows from p, so that a retry knows an account
// that an attempt with p was cut off from.
func interim(p secret.Password) secret.Password {
	text := []rune(p.Reveal())
	order := rand.New(rand.NewChaCha8(sha256.Sum256([]byte("quarterturn interim\x00" + p.Reveal()))))
	order.Shuffle(len(text), func(i, j int) { text[i], text[j] = text[j], text[i] })
	return secret.NewPassword(string(text))
}

// grants reads what an account or a role may do, and its default roles, ready for a
// statement. It reads once in a session: what a session changes it does not look at
// again.
func (s *session) grants(ctx context.Context, of account) (rights, string, error) {
	if known, ok := s.granted[of]; ok {
		return maps.Clone(known.rights), known.defaultRole, nil
	}
	found, defaultRole, err := s.readGrants(ctx, of)
	if err == nil {
		if s.granted == nil {
			s.granted = map[account]granted{}
		}
		s.granted[of] = granted{maps.Clone(found), defaultRole}
	}
	return found, defaultRole, err
}

// granted is what grants has read.
type granted struct {
	rights      rights
	defaultRole string
}

func (s *session) readGrants(ctx context.Context, of account) (rights, string, error) {
	found, defaultRole, err := s.readRights(ctx, of)
	if err != nil || s.mariadb || of.role {
		return found, defaultRole, err
	}
	st := operation{action: "looking up the default roles of " + of.String(), sensitive: true,
		remedy: rotator.Sentencef(asAdministrator+"%s", s.grantToSee())}
	table, err := s.query(ctx, st, defaultRolesOf(of))
	if err != nil {
		return nil, "", err
	}
	var roles []string
	for _, row := range table {
		roles = append(roles, account{user: row[0], host: row[1]}.String())
	}
	if roles != nil {
		defaultRole = strings.Join(roles, ", ")
	}
	return found, defaultRole, nil
}

// readRights reads what an account or a role may do, by one query. On MariaDB that has its default role, too.
func (s *session) readRights(ctx context.Context, of account) (rights, string, error) {
	st := operation{action: "looking up the privileges of " + of.String(), sensitive: true,
		remedy: rotator.Sentencef(asAdministrator+"%s", s.grantToSee())}
	table, err := s.query(ctx, st, grantsOf(of))
	if errorNumber(err) == 1141 && !of.role {
		return nil, "", s.notKnown(ctx, of)
	}
	if err != nil {
		return nil, "", err
	}
	lines := make([]string, len(table))
	for i, row := range table {
		lines[i] = row[0]
	}
	found, defaultRole, err := parseGrants(lines, of)
	if err != nil {
		return nil, "", s.errorf(rotator.KindInternal, "%v", err)
	}
	return found, defaultRole, nil
}

// notKnown says why the server does not know an account that was in its tables.
func (s *session) notKnown(ctx context.Context, of account) error {
	rows, err := s.query(ctx, operation{action: "looking up account " + of.String()},
		"SELECT 1 FROM mysql.user WHERE User = "+quoteText(of.user)+" AND Host = "+quoteText(of.host))
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		return s.gone(of)
	}
	why := changedByHand
	if s.mariadb {
		why = notInMemory
	}
	return s.errorf(rotator.KindMisconfigured, "the tables of mysql have an account %s, and the server knows none: %s",
		of, why)
}

func (s *session) gone(of account) error {
	return s.errorf(rotator.KindConflict, "account %s is not there any more: another session has dropped or "+
		"renamed it just now. See which one does, and rotate again", of)
}

func grantsOf(a account) string { return "SHOW GRANTS FOR " + a.String() }

func defaultRolesOf(a account) string {
	return fmt.Sprintf("SELECT DEFAULT_ROLE_USER, DEFAULT_ROLE_HOST FROM mysql.default_roles WHERE USER = %s AND "+
		"HOST = %s ORDER BY 1, 2", quoteText(a.user), quoteText(a.host))
}

// revokeExtra takes from the clone what the original has not. Where the clone has ALL
// PRIVILEGES on something and the original only some, all are taken, and those some
// are given again with the rest.
func (c *cloneSync) revokeExtra(ctx context.Context, clone account, have, want rights) (rights, error) {
	extra := have.extra(want)
	taking := func(sql statement) operation {
		return operation{action: fmt.Sprintf("taking %s from %s, since %q has it not", sql.what, clone,
			c.pair.Original), remedy: rotator.Sentencef(asAdministrator+"%s", c.fix("%s", sql.text))}
	}
	if err := c.execAll(ctx, taking, extra.revokes(clone)); err != nil {
		return nil, err
	}
	left := have.without(extra)
	for x := range extra {
		if x.kind == privilege && x.name == allPrivileges {
			// Gone with it: whatever else was there on the same object.
			for y := range left {
				if y.kind == privilege && y.object == x.object && y.name != grantOption && y.column == "" {
					delete(left, y)
				}
			}
		}
	}
	return left, nil
}

func (c *cloneSync) setDefaultRole(ctx context.Context, clone account, role string) error {
	st := operation{action: fmt.Sprintf("setting default role %s of %s", role, clone), remedy: c.createUserRemedy()}
	if c.mariadb {
		st.remedy = c.setPasswordRemedy()
	}
	return c.exec(ctx, st, c.defaultRoleStatement(clone, role))
}

func (s *session) defaultRoleStatement(of account, role string) string {
	word := " TO "
	if s.mariadb {
		word = " FOR "
	}
	return "SET DEFAULT ROLE " + role + word + of.String()
}

// identified says by which plugins an account has passwords.
func identified(r accountRow) string { return "IDENTIFIED WITH " + strings.Join(r.passwords(), " OR ") }

// copyAttributes emits what differs and no more: older servers do not know all of it.
func (c *cloneSync) copyAttributes(ctx context.Context, original, clone accountRow) error {
	var clauses []string
	for _, a := range [][2]string{{original.require, clone.require}, {original.limits, clone.limits},
		{original.expiry, clone.expiry}} {
		if a[0] != a[1] {
			clauses = append(clauses, a[0])
		}
	}
	for _, rule := range []string{"history", "reuse", "current", "attempts"} {
		if original.rules[rule] != clone.rules[rule] {
			clauses = append(clauses, original.rules[rule])
		}
	}
	if clauses == nil {
		return nil
	}
	text := strings.Join(clauses, " ")
	st := operation{action: fmt.Sprintf("copying attributes from %s to %s (%s)", original, clone, text),
		remedy: c.createUserRemedy()}
	return c.exec(ctx, st, "ALTER USER "+clone.String()+" "+text)
}

// grantRemedy is the statement that permits another, and why it is needed.
func (s *session) grantRemedy(sql statement) (grant rotator.Fix, why string) {
	what, option := sql.what, "GRANT"
	for _, with := range []string{" WITH GRANT OPTION", " WITH ADMIN OPTION"} {
		what = strings.TrimSuffix(what, with)
	}
	if role, isRole := strings.CutPrefix(what, theRole); isRole {
		what, option = role, "ADMIN"
	}
	return s.fix("GRANT %s TO %s WITH %s OPTION", what, s.actingAccount, option),
		": a superuser can pass on only what it has itself"
}

func (s *session) passOnRemedy(sql statement) rotator.Sentence {
	grant, why := s.grantRemedy(sql)
	return rotator.Sentencef(asAdministrator+"%s%s", grant, why)
}

// dryRun goes through what EnsureClone would do, without doing it.
func (c *cloneSync) dryRun(ctx context.Context, sample secret.Password) ([]strategies.Warning, error) {
	warnings, err := c.policyCaveats(ctx, sample, "")
	if err != nil {
		return nil, err
	}
	warnings = append(warnings, c.unseenWarning()...)
	var existing, given []accountRow
	var denied denials
	for _, original := range c.aligned() {
		clone, ok := c.clone(original.host)
		want, wantRole, err := c.grants(ctx, original.account)
		if err != nil {
			return nil, err
		}
		have, extra, haveRole := rights{}, rights{}, ""
		if ok {
			existing = append(existing, clone)
			if have, haveRole, err = c.grants(ctx, clone.account); err != nil {
				return nil, err
			}
			lacks, err := c.lacks(ctx, original, []accountRow{clone})
			if err == nil && lacks.Text != "" { // clients would have nothing, and the clone's is the last copy
				err = c.errorf(rotator.KindPrivilege, "%s", lacks)
			}
			if err != nil {
				return nil, err
			}
			extra = have.extra(want)
			can, err := c.able(ctx, original.account, map[account]bool{})
			if err != nil {
				return nil, err
			}
			felt := maps.Clone(extra)
			maps.DeleteFunc(felt, func(x right, _ bool) bool { return can.cover(x) })
			if len(felt.revokes(clone.account)) > 0 && !want.has(allPrivileges, "*.*") {
				then := "and the next rotation revokes them"
				if c.inUse() {
					then = "which clients use now and lack after the next rotation; the one after that revokes them"
				}
				warnings = append(warnings,
					strategies.Warn("%s has privileges that %s has not, %s: %s. Grant to %[2]s what the application "+
						"needs of these", clone, original, then, felt))
			}
		}
		if c.inUse() {
			for _, is := range [][2]string{{"DEFAULT ROLE " + wantRole, "DEFAULT ROLE " + haveRole},
				{original.limits, clone.limits}, {identified(original), identified(clone)}} {
				if is[0] != is[1] {
					warnings = append(warnings, strategies.Warn("%s has %s, and %s, which clients use now, has %s: "+
						"they get the former with the next rotation", original, is[0], clone, is[1]))
				}
			}
		}
		if ok {
			then := "and the next rotation takes it away"
			if c.inUse() {
				then = "which clients lack after the next rotation; the one after that takes it away"
			}
			if clauses := lost(original, clone); clauses != "" {
				warnings = append(warnings, strategies.Warn("%s lacks what %s has, %s:%s. If it is to stay, as where "+
					"the former was made again, ALTER USER %[1]s%[4]s", original, clone, then, clauses))
			}
		}
		if ok && c.inUse() {
			differ, err := c.differ(ctx, clone, original)
			if err != nil {
				return nil, err
			}
			if differ != "" {
				warnings = append(warnings, strategies.Warn("%s", differ))
			}
		}
		missing := want.missing(have)
		if c.inUse() && len(missing) > 0 && clone.changeable() && !c.mariadb {
			given = append(given, clone)
		}
		more, err := c.dryRunGrants(ctx, copying, original.account, missing)
		if err != nil {
			return nil, err
		}
		denied = append(denied, more...)
		if c.inUse() {
			continue
		}
		// Who may take a right away may also give it. Who may not, needs no more power for it: an administrator takes
		// it, and SYSTEM_USER before anything else.
		if more, err = c.dryRunGrants(ctx, "taking", clone.account, extra); err != nil {
			return nil, err
		}
		if more = more.insteadBy(extra.revokes(clone.account)); more != nil && extra.isSystem() {
			return nil, more.err()
		}
		denied = append(denied, more...)
	}
	// A user that may not change an account with SYSTEM_USER may not grant it anything either.
	if err := denied.add(c.dryRunOthers(ctx, given, sample)); err != nil {
		return nil, fmt.Errorf("giving user %q what user %q may do: %w", c.pair.Clone, c.pair.Original, err)
	}
	for _, r := range c.clones {
		if !r.locked && !slices.ContainsFunc(c.originals, func(o accountRow) bool { return o.host == r.host }) {
			text := "%s has no counterpart of user %q on its host: it gets the new passwords and keeps its " +
				"privileges. DROP USER %s, if AWS's template left it"
			if c.inUse() {
				text = "%s, of the user now in use, has no counterpart of user %q on its host: clients that it alone " +
					"admits cannot log in after the next rotation. Was that account renamed or dropped? Then " +
					"bring it back (RENAME USER). Otherwise, once the other user is in use, DROP USER %s, if AWS's " +
					"template left it"
			}
			warnings = append(warnings, strategies.Warn(text, r, c.pair.Original, r))
		}
	}
	for _, r := range c.allOriginals {
		_, exists := c.clone(r.host)
		if wider, ok := serving(c.originals, r.host); ok && r.locked && !exists {
			warnings = append(warnings, strategies.Warn("account %s is locked, and keeps out the clients of its host "+
				"that account %s would let in. The clone's account for that host lets them in: CREATE USER %s ACCOUNT "+
				"LOCK, unless they may come, or DROP USER %[1]s", r, wider, account{user: c.pair.Clone, host: r.host}))
		}
	}
	var created []account
	for _, original := range c.aligned() {
		if clone, exists := c.clone(original.host); !exists {
			created = append(created, clone.account)
		}
	}
	if err := c.checkOrphans(ctx, created); err != nil {
		return nil, err
	}
	if len(created) > 0 {
		if err := c.checkOneMethod(ctx, c.originals); err != nil {
			return nil, err
		}
		if err := c.checkPolicy(ctx, true, c.originals...); err != nil {
			return nil, err
		}
	}
	for _, try := range []func(context.Context, []accountRow, secret.Password) error{c.dryRunAccounts, c.dryRunCreate} {
		if err := denied.add(try(ctx, existing, sample)); err != nil {
			return nil, err
		}
	}
	if err := denied.err(); err != nil {
		return nil, err
	}
	if err := c.checkReached(ctx); err != nil {
		return nil, err
	}
	return append(warnings, c.rowCaveats(c.allTargets())...), nil
}

// dryRunAccounts tries whether the accounts of whose turn it is can be changed.
func (c *cloneSync) dryRunAccounts(ctx context.Context, _ []accountRow, sample secret.Password) error {
	switch {
	case c.inUse():
		return c.dryRunOthers(ctx, c.originals, sample)
	case len(c.clones) == 0:
		return c.dryRunOthers(ctx, c.originals[:1], sample)
	}
	targets, err := c.targets(ctx)
	if err != nil {
		return err
	}
	return c.dryRunOthers(ctx, targets, sample)
}

// dryRunCreate tries whether accounts can be created, where some are missing: to change them, UPDATE on mysql.* is
// enough.
func (c *cloneSync) dryRunCreate(ctx context.Context, existing []accountRow, _ secret.Password) error {
	if c.inUse() || len(existing) == len(c.originals) {
		return nil
	}
	// An account that is there already cannot be created, and the server looks at the
	// right first. (For ALTER USER it would make do with UPDATE on mysql.*, and IF NOT
	// EXISTS would leave a line in the binary log.)
	// And if it is gone just now, none is created with what is no hash.
	st := operation{action: fmt.Sprintf("dry run of creating %q", c.pair.Clone), sensitive: true, limit: c.limit}
	noHash := " IDENTIFIED BY PASSWORD 'x'"
	if !c.mariadb {
		noHash = " IDENTIFIED WITH " + quoteText(c.originals[0].plugin()) + " AS 'x'"
	}
	err := c.execRaw(ctx, "CREATE USER "+c.originals[0].String()+noHash)
	switch {
	case errorNumber(err) == 1396, errorNumber(err) == 1827: // MySQL looks at the hash before it looks for the account
		return nil
	case errorNumber(err) == 1372, c.strict(err):
		return c.gone(c.originals[0].account)
	case err == nil:
		return c.errorf(rotator.KindConflict, "account %s was not there any more, and a dry run has created it, "+
			"without privileges and with a password that is stored nowhere: another session changes the same "+
			"accounts. See which one does, and if nothing was done with that account since, %s", c.originals[0],
			c.fix("DROP USER %s", c.originals[0]))
	}
	return c.denied(ctx, st, err, c.grantToCreate(), "")
}
