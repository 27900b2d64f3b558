package mysql

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/strategies"
)

// cloneSuffix is AWS's.
const cloneSuffix = "_clone"

// Inquiry implements strategies.Explainer.
func (Engine) Inquiry(users ...string) []rotator.Fix {
	return inquiry("SELECT User, Host, plugin, ssl_type, @@require_secure_transport, @@read_only, account_locked, "+
		"password_expired, password_last_changed FROM mysql.user", users)
}

// Inquiry implements strategies.Explainer.
func (MariaDB) Inquiry(users ...string) []rotator.Fix {
	return inquiry("SELECT User, Host, plugin, ssl_type, @@require_secure_transport, @@read_only, "+
		"JSON_VALUE(Priv, '$.account_locked') AS account_locked, password_expired, "+
		"FROM_UNIXTIME(JSON_VALUE(Priv, '$.password_last_changed')) AS password_last_changed "+
		"FROM mysql.user JOIN mysql.global_priv USING (User, Host)", users)
}

// inquiry says what the answer means. REQUIRE is a statement of its own: in one with ACCOUNT UNLOCK it has to
// come before that. What brings an account back stands on lines of its own: ALTER USER of one that is not there fails.
func inquiry(query string, users []string) []rotator.Fix {
	var names, one string
	for _, user := range users {
		names += typedText(user) + ", "
		one = cmp.Or(one, quoteIdent(user))
	}
	all := []rotator.Fix{{By: rotator.BySuperuser, Run: query + " WHERE User IN (" + names + "'')",
		Note: "with @@read_only 1 it is a replica, perhaps, whose accounts come from its source: change none there, " +
			"and take the writer endpoint as host. Of several accounts whose Host matches an address, the server " +
			"takes the most specific: one that is another owner's, or has no name, hides the right one, so set no " +
			"password. RENAME USER the other owner's, whose clients then need that name; DROP USER the one without " +
			"a name. With ssl_type X509 or SPECIFIED no password will do: ALTER USER " + one + "@`%` REQUIRE SSL. " +
			"With ANY, or @@require_secure_transport 1, and \"ssl\": false in the secret, remove that there, and set " +
			"no password. No row for the name: the account is renamed or dropped. No row whose Host matches: CREATE " +
			"USER for one that does, and GRANT what it had. Where another secret's rotation changed the password at " +
			"password_last_changed, a line of its function's log of that time has the user as target.user"},
		allNames()}
	for _, user := range users {
		all = append(all, showGrants(account{user: user, host: "%"}, "if there is a row for the name, with its Host "+
			"in place of %, to see what that account may do"))
		create := strategies.Fix(strategies.Login{}, createStatement(user))
		create.For, create.Note = ifDropped, "then GRANT it what it had, and ALTER USER it to have its REQUIRE and "+
			"limits, as its deployment or a backup says"
		all = append(all, renameBack(user), create)
	}
	return all
}

// allNames shows what an account that is not there may be called now, and renameBack gives it its name.
func allNames() rotator.Fix {
	f := strategies.Fix(strategies.Login{}, "SELECT User, Host FROM mysql.user")
	f.For = "if it was renamed, to see its name"
	return f
}

func renameBack(user string) rotator.Fix {
	f := strategies.Fix(strategies.Login{}, "RENAME USER `NAME`@`HOST` TO "+account{user: user, host: "HOST"}.String())
	f.For = "if it was renamed, with its name and host now in place of NAME and HOST"
	return f
}

// ifDropped is what CREATE USER is for.
const ifDropped = "if it was dropped, to create it again"

// Explain implements strategies.Explainer, as Engine does.
func (m MariaDB) Explain(ctx context.Context, superuser strategies.Login,
	rejected ...strategies.Login) ([]rotator.RejectionCause, error) {
	return Engine(m).Explain(ctx, superuser, rejected...)
}

// Explain implements strategies.Explainer. The superuser comes from the address that the rejected logins came from, so
// that
// it sees which account the server took them for.
func (e Engine) Explain(ctx context.Context, superuser strategies.Login,
	rejected ...strategies.Login) ([]rotator.RejectionCause, error) {
	superuser.Database = "" // which need not be there
	s, err := e.openForChange(ctx, superuser, nil)
	if err != nil {
		return nil, err
	}
	defer s.close()
	if s.sandbox {
		return nil, s.expiredSuperuser()
	}
	host, err := s.address(ctx)
	if err != nil {
		return nil, err
	}
	anonymous, err := s.accounts(ctx, "")
	if err != nil {
		return nil, err
	}
	loaded, err := s.methods(ctx)
	if err != nil {
		return nil, err
	}
	loaded.known = func(r accountRow) bool {
		return slices.ContainsFunc(rejected, func(login strategies.Login) bool {
			return login.User == r.user && r.accepts(login.Password)
		}) || superuser.For != nil && ofSecret(ctx, superuser, r)
	}
	causes := make([]rotator.RejectionCause, len(rejected))
	for i, login := range rejected {
		own, err := s.accounts(ctx, login.User)
		if err != nil {
			return nil, err
		}
		partners, err := s.accounts(ctx, otherOf(login.User))
		if err != nil {
			return nil, err
		}
		if len(own) == 0 {
			former, err := s.renamed(ctx, login)
			if err != nil {
				return nil, err
			}
			if former != nil {
				causes[i] = renamedCause(login.User, former)
				continue
			}
		}
		causes[i] = rejectionCause(login, host, own, anonymous, loaded, partners)
		if text := hiddenByOther(login, rejected, host, own, anonymous); text != "" {
			causes[i] = rotator.RejectionCause{Blocked: true, Text: text}
		}
		if !causes[i].Right {
			continue
		}
		met, _ := serving(slices.Concat(anonymous, accountsOnly(own)), host)
		if login.TLS.Disabled {
			demands, err := s.row(ctx, operation{action: "looking up whether the server demands TLS"}, demandsTLSNow)
			if err != nil {
				return nil, err
			}
			if demands[0] == "1" {
				causes[i] = rotator.RejectionCause{Invalid: true, Remedy: removeNoTLS,
					Text: `the server takes connections with TLS only (require_secure_transport), and "ssl": false in ` +
						"the secret turns it off"}
				continue
			}
		}
		if err := s.noDatabase(ctx, login.Database, met, own, partners, &causes[i]); err != nil {
			return nil, err
		}
	}
	return causes, nil
}

// demandsTLSNow shows what MariaDB 10 does not say: it answers to a login without TLS as to a wrong password.
const (
	demandsTLSNow = "SELECT @@GLOBAL.require_secure_transport"
	removeNoTLS   = `remove "ssl": false from the secret`
)

// TestUse implements strategies.UseTester, as Engine does.
func (m MariaDB) TestUse(ctx context.Context, login strategies.Login) (rotator.Sentence, error) {
	return Engine(m).TestUse(ctx, login)
}

// TestUse implements strategies.UseTester. At a replica clients can read and not write. That an account may do nothing
// can be so on purpose; it is also all that the server shows of one which was dropped and created again.
func (e Engine) TestUse(ctx context.Context, login strategies.Login) (remark rotator.Sentence, err error) {
	s, err := e.connect(ctx, login, false)
	if err != nil {
		return remark, err
	}
	defer s.close()
	me, err := s.checkIdentity(ctx)
	if err != nil {
		return remark, err
	}
	if err := s.checkPrimary(ctx); err != nil {
		return remark, err
	}
	lines, err := s.query(ctx, operation{action: "looking up what the user may do", sensitive: true}, ownGrants)
	if err != nil || slices.ContainsFunc(lines, func(line []string) bool {
		return !strings.HasPrefix(line[0], "GRANT USAGE ON *.* TO ")
	}) {
		return remark, err
	}
	s.actingAccount = me
	if lacks, err := s.twinHas(ctx); err == nil && lacks.Text != "" {
		return remark, s.errorf(rotator.KindPrivilege, "%s", lacks)
	}
	other := account{user: otherOf(login.User), host: me.host}
	from := "before the next rotation: its deployment or a backup says; and where %s is its clone, SHOW GRANTS FOR " +
		"that, from which the next rotation of the pair takes what account %s lacks"
	if strings.HasSuffix(login.User, cloneSuffix) {
		from = "(where %s is its original, SHOW GRANTS FOR that), or, where the two alternate, rotate-secret, which " +
			"gives account %s what its original has"
	}
	return rotator.Sentencef("account %s may do nothing but log in. Was it dropped and created again? Then, as an "+
		"administrator (%s), GRANT it what it had "+from, me, administrators, other, me), nil
}

// clientAddress is what the server takes for the address of this session.
const clientAddress = "SELECT CAST(SUBSTRING_INDEX(USER(), '@', -1) AS BINARY) LIMIT 1"

func (s *session) address(ctx context.Context) (string, error) {
	row, err := s.row(ctx, operation{action: "asking where the login comes from"}, clientAddress)
	if err != nil {
		return "", err
	}
	return row[0], nil
}

// authMethods are those of authentication that a server has.
type authMethods struct {
	mariadb bool
	loaded  []string
	known   func(accountRow) bool // that another password of the secret is that of an account
}

// loadedPlugins asks for the methods of authentication that the server has, which any user may.
const loadedPlugins = "SELECT PLUGIN_NAME FROM information_schema.PLUGINS " +
	"WHERE PLUGIN_TYPE = 'AUTHENTICATION' AND PLUGIN_STATUS = 'ACTIVE'"

func (s *session) methods(ctx context.Context) (authMethods, error) {
	rows, err := s.query(ctx, operation{action: "looking up the methods of authentication"}, loadedPlugins)
	m := authMethods{mariadb: s.mariadb}
	for _, row := range rows {
		m.loaded = append(m.loaded, row[0])
	}
	return m, err
}

// of leaves those by which an account has a password.
func (m authMethods) of(r accountRow) []string {
	return slices.DeleteFunc(r.passwords(), func(p string) bool { return !slices.Contains(m.loaded, p) })
}

// clientsOf is the query that shows from where clients are logged in as a user: on MySQL also those that were.
// MariaDB has its performance schema off by default.
func (m authMethods) clientsOf(user string) string {
	table := "performance_schema.accounts"
	if m.mariadb {
		table = "information_schema.PROCESSLIST"
	}
	return "SELECT HOST FROM " + table + " WHERE USER = " + typedText(user)
}

// resetStatement gives an account a password by the methods that it has, or else by the best of the server. The account
// may be locked after failed logins too, which no table shows. What else it logs in by it keeps: its clients may use
// that.
func (m authMethods) resetStatement(r accountRow) string {
	by := m.of(r)
	unlock := "ALTER USER " + r.String() + " ACCOUNT UNLOCK"
	const set = " USING PASSWORD('PASSWORD')"
	switch {
	case !m.mariadb && len(by) == 0:
		return "ALTER USER " + r.String() + " IDENTIFIED WITH caching_sha2_password BY 'PASSWORD' ACCOUNT UNLOCK"
	case !m.mariadb:
		return "ALTER USER " + r.String() + " IDENTIFIED BY 'PASSWORD' ACCOUNT UNLOCK"
	case len(by) == 1 && len(r.plugins) > 1 && by[0] == firstOfPassword(r.plugins):
		return "SET PASSWORD FOR " + r.String() + " = PASSWORD('PASSWORD'); " + unlock
	}
	var via []string
	for i, plugin := range r.plugins {
		switch {
		case slices.Contains(by, plugin):
			via = append(via, plugin+set)
		case !slices.Contains(m.loaded, plugin), !slices.Contains(passwordless, plugin):
		case r.stored[i] == "" || strings.HasPrefix(r.stored[i], "*"): // a hash of former times is for no one to read
			via = append(via, plugin)
		default:
			via = append(via, plugin+" USING "+typedText(r.stored[i]))
		}
	}
	if len(by) == 0 {
		best := "mysql_native_password" // which each has
		if slices.Contains(m.loaded, "ed25519") {
			best = "ed25519"
		}
		// The driver is not asked for anything by a socket, and cannot do what others ask for.
		at := slices.IndexFunc(via, func(method string) bool { return !strings.HasPrefix(method, "unix_socket") })
		if at < 0 {
			at = len(via)
		}
		via = slices.Insert(via, at, best+set)
	}
	return strings.Replace(unlock, " ACCOUNT", " IDENTIFIED VIA "+strings.Join(via, " OR ")+" ACCOUNT", 1)
}

// firstOfPassword is the method whose password SET PASSWORD changes.
func firstOfPassword(plugins []string) string {
	i := slices.IndexFunc(plugins, func(p string) bool { return !slices.Contains(passwordless, p) })
	return append(plugins, "")[max(0, i)]
}

// reset is the cause of a login that a password mends, which MySQL may refuse as one of its history.
func (m authMethods) reset(r accountRow, text string) rotator.RejectionCause {
	statement := m.resetStatement(r) + " -- " + typedTwice
	if m.mariadb {
		statement += ". " + refusedMariaDB
	} else {
		statement += ". Error 3638: it was used before, so " + usedBefore + ". " + refusedMySQL
	}
	return rotator.RejectionCause{Reset: statement, Text: text, Fixes: m.whose(r)}
}

// whose shows whose an account is that has another password. Where the secret's account was renamed, it may be that of
// another owner. What other accounts have the password is not looked up here: that would tell the writer of the secret
// what passwords they have. It is this secret's where another of its passwords is that of the account.
func (m authMethods) whose(r accountRow) []rotator.Fix {
	if m.known != nil && m.known(r) {
		return nil
	}
	names, back := allNames(), renameBack(r.user)
	names.For = "to see whether this secret's account has another name now"
	back.For = "if it has, and once " + r.String() + " has another, with the name and host of the former in place of " +
		"NAME and HOST"
	clients := strategies.Fix(strategies.Login{}, m.clientsOf(r.user))
	clients.For = "to see from where clients log in by this name"
	return []rotator.Fix{showGrants(r.account, "to see what "+r.String()+" may do"), clients, names, back}
}

// showGrants tells the account of a secret from another owner's.
func showGrants(of account, why string) rotator.Fix {
	f := strategies.Fix(strategies.Login{}, grantsOf(of))
	f.For = why
	f.Note = "unless that is what this secret's clients need, it may be another owner's, whom the secret's password " +
		"would lock out, and whose privileges these clients would have: set none before it is known whose it is, and " +
		"have another owner give it another name. One that may do nothing may be this secret's, made again"
	return f
}

// ofNoPassword says what to do about an account that this function can neither log in as nor give a password.
func (s *session) ofNoPassword(ctx context.Context, r accountRow) rotator.Sentence {
	m, err := s.methods(ctx)
	if err != nil {
		m = authMethods{mariadb: s.mariadb}
	}
	return rotator.Sentencef("logs in by %s, and this function changes and proves passwords of %s: %s, %s",
		strings.Join(r.plugins, " or "), strings.Join(passwordPlugins, ", "), s.fix("%s", m.resetStatement(r)),
		typedFor(r.user))
}

// expiredSuperuser is the error of a superuser in the sandbox.
func (s *session) expiredSuperuser() error {
	kept := ""
	if !s.mariadb {
		kept = " (" + history + ")"
	}
	return s.errorf(rotator.KindPrivilege, "the superuser's own password has expired: rotate its secret first, or as "+
		"another superuser, %s, with the password in AWSCURRENT of its secret in place of PASSWORD%s",
		s.resetExpired(), kept)
}

// resetExpired gives the account of a session its own password once more, by which it no longer is an expired one, once
// it is shown which accounts there are.
func (s *session) resetExpired() rotator.Sentence {
	reset := s.fix("%s", namedIn(resetMySQL, s.login.User))
	reset.Note = typedTwice + "; " + historyMySQL
	if s.mariadb {
		reset = s.fix("%s", namedIn(resetMariaDB, s.login.User))
		reset.Note = typedTwice + ". " + refusedMariaDB
	}
	says := rotator.Sentencef("%s", reset)
	says.Fixes = append(typedFixes(itsHosts(), s.login.User), says.Fixes...)
	return says
}

// namedIn writes the name of a user into a text of the table.
func namedIn(text, user string) string { return strings.ReplaceAll(text, "{user}", quoteIdent(user)) }

// typedFor says which password to type.
func typedFor(user string) string { return namedIn(typed, user) }

// mostCompared is how many accounts a password is compared with: each costs thousands of rounds on MySQL.
const mostCompared = 200

// renamed gives the accounts of another name that have the password of a login, if they are of one: RENAME USER keeps
// it. Of too many it looks at those whose names have the user's in them alone: one that the others have beside it would
// not be seen. And it looks at none whose wrong passwords the server counts: that would be a guess which costs nothing.
func (s *session) renamed(ctx context.Context, login strategies.Login) (found []account, err error) {
	sql := "SELECT User, Host, HEX(authentication_string) FROM mysql.user WHERE " +
		"COALESCE(User_attributes->>'$.Password_locking.failed_login_attempts', '0') = '0'"
	if s.mariadb {
		sql = "SELECT User, Host, Priv FROM mysql.global_priv WHERE @@GLOBAL.max_password_errors = 4294967295"
	}
	rows, err := s.query(ctx, operation{action: "looking for the user by its password", sensitive: true},
		fmt.Sprintf("%s AND User NOT IN ('', %[2]s, %[3]s) ORDER BY LOCATE(%[2]s, User) = 0, 1, 2 LIMIT %[4]d", sql,
			quoteText(login.User), quoteText(s.login.User), mostCompared+1))
	if err != nil {
		return nil, err
	}
	if len(rows) > mostCompared {
		rows = slices.DeleteFunc(rows, func(row []string) bool { return !strings.Contains(row[0], login.User) })
	}
	if len(rows) > mostCompared {
		return nil, nil
	}
	for _, row := range rows {
		if ctx.Err() != nil {
			return nil, s.wrapError(ctx, operation{action: "comparing passwords"}, ctx.Err())
		}
		r := accountRow{account: account{user: row[0], host: row[1]}, stored: []string{verifier(row[2])}}
		if s.mariadb {
			_, r.stored = methods(row[2])
		}
		switch {
		case !r.holds(login.Password):
		case found != nil && found[0].user != r.user:
			return nil, nil
		default:
			found = append(found, r.account)
		}
	}
	return found, nil
}

// renamedCause is that of a user that is gone, where accounts of another name have its password.
func renamedCause(user string, former []account) rotator.RejectionCause {
	var back []rotator.Fix
	for _, a := range former {
		rename := strategies.Fix(strategies.Login{}, fmt.Sprintf("RENAME USER %s TO %s", a,
			account{user: user, host: a.host}))
		rename.For = fmt.Sprintf("to fix it, if no client logs in as %q", a.user)
		back = append(back, rename)
	}
	remedy := rotator.Sentencef("it looks like it, renamed. If no client logs in by that name, %s",
		rotator.RunEach(back...))
	return rotator.RejectionCause{Blocked: true, Remedy: remedy.Text, Fixes: remedy.Fixes,
		Text: fmt.Sprintf("%s, and user %q has this very password", noAccount(user), former[0].user)}
}

// rejectionCause says why a login from a host is rejected. own are the accounts of the name, anonymous those without
// one, and partners those of the other user of its pair.
func rejectionCause(login strategies.Login, host string, own, anonymous []accountRow, m authMethods,
	partners []accountRow) rotator.RejectionCause {
	_, hidden := hides(login, host, own, anonymous)
	own = accountsOnly(own)
	var elsewhere []accountRow // with this very password, for other addresses
	for _, r := range own {
		if !r.covers(host) && r.accepts(login.Password) {
			elsewhere = append(elsewhere, r)
		}
	}
	if len(own) == 0 {
		create, then := createStatement(login.User), "GRANT it what it had"
		if partners = accountsOnly(partners); len(partners) > 0 {
			then += ", which " + shownOf(partners[0])
		}
		if hasLike(login.User, partners) {
			like, served := serving(partners, host)
			if !served {
				like = partners[0]
			}
			sql, note := createLike(m.mariadb, account{user: login.User, host: like.host}, like)
			if create = sql; note != "" {
				then += "; " + note
			}
		}
		remedy := bringBack(login.User, partners)
		return rotator.RejectionCause{Text: noAccount(login.User), Remedy: remedy.Text, Fixes: remedy.Fixes,
			Reset: create +
				" -- where RENAME USER does not bring it back; then " + then}
	}
	if _, served := serving(slices.Concat(anonymous, own), host); !served && elsewhere == nil && !undecided(own, host) {
		return rotator.RejectionCause{
			Text: noneFor(login.User, host, own) + ", and none of these has this password",
			Remedy: "if one of these is this secret's, RENAME USER it to a host that covers that address; if all are " +
				"another owner's, CREATE USER another, and GRANT it what it had",
			Reset: createStatement(login.User) + " -- if none of these is this secret's; then GRANT it what it had"}
	}
	met, blocks, remedy := obstacle(login, host, own, anonymous)
	former := former(met)
	switch {
	case undecided(slices.Concat(anonymous, own), host):
		return rotator.RejectionCause{Text: fmt.Sprintf("user %q has the accounts %s, and the server calls the "+
			"address of this function %s", login.User, names(own), quoteText(host))}
	// Another owner's, whatever keeps that owner out.
	case hidden != nil:
		return rotator.RejectionCause{Blocked: true, Fixes: []rotator.Fix{former},
			Text: fmt.Sprintf("the server takes the login for account %s, which hides %s, whose password this is: "+
				"if no client uses the former (%s shows where clients of either come from), DROP USER %s; otherwise "+
				"%s, or to another name, and give that to its clients",
				met, names(hidden), m.clientsOf(login.User), met, former)}
	case met.demandsTLS(login):
		return rotator.RejectionCause{Invalid: true, Text: blocks, Remedy: remedy.Text}
	case blocks != "":
		if met.user != "" && !met.accepts(login.Password) {
			if len(met.passwords()) > 0 {
				blocks += "; its password is another, too"
			}
			if whose := m.whose(met); whose != nil {
				remedy = ifIts(remedy)
				remedy.Fixes = append(whose, remedy.Fixes...)
			}
		}
		return rotator.RejectionCause{Blocked: true, Text: blocks, Remedy: remedy.Text, Fixes: remedy.Fixes}
	case len(m.of(met)) == 0:
		how := "not by a password"
		if met.plugin() != "" {
			how = "this server has not loaded that"
		}
		return rotator.RejectionCause{Reset: m.resetStatement(met), Fixes: m.whose(met),
			Text: fmt.Sprintf("the server takes the login for account %s, which logs in by %s, and %s: %s, %s, or "+
				"stop "+
				"rotating this secret", met, strings.Join(met.plugins, " or "), how, m.resetStatement(met), typedHere)}
	case met.accepts(login.Password):
		return rotator.RejectionCause{Right: true,
			Text: fmt.Sprintf("account %s, which the server takes the login for, has this very password", met)}
	}
	besides := ""
	if elsewhere != nil {
		besides = fmt.Sprintf(" (that of %s, for other addresses, is this one)", names(elsewhere))
	}
	return m.reset(met, fmt.Sprintf("the server takes the login for account %s, and its password is another%s", met,
		besides))
}

// former gives an account another name.
func former(r accountRow) rotator.Fix {
	const longest, end = 32, "_former" // characters of a name on MySQL
	name := []rune(r.user)
	name = name[:min(len(name), longest-len(end))]
	f := strategies.Fix(strategies.Login{}, fmt.Sprintf("RENAME USER %s TO %s", r,
		account{user: string(name) + end, host: r.host}))
	f.Note = "its clients, if it has any, then need that name"
	return f
}

// hides gives the account that the server takes a login from a host for, and, where it has another password, those of
// the user for that host that have this one: the former, which hides them, is another owner's then.
func hides(login strategies.Login, host string, own, anonymous []accountRow) (met accountRow, hidden []accountRow) {
	own = accountsOnly(own)
	all := slices.Concat(anonymous, own)
	met, ok := serving(all, host)
	if !ok || met.user == "" || undecided(all, host) || met.accepts(login.Password) {
		return met, nil
	}
	for _, r := range own {
		if r.covers(host) && r.accepts(login.Password) {
			hidden = append(hidden, r)
		}
	}
	return met, hidden
}

// hiddenByOther says of a login where another password of the secret shows that the account which it is taken for is
// another owner's: nothing that changes this is to be printed then. "": that is not so.
func hiddenByOther(login strategies.Login, all []strategies.Login, host string, own, anonymous []accountRow) string {
	if _, hidden := hides(login, host, own, anonymous); hidden != nil {
		return ""
	}
	for _, other := range all {
		if other.User != login.User {
			continue
		}
		if met, hidden := hides(other, host, own, anonymous); hidden != nil && !met.accepts(login.Password) {
			return fmt.Sprintf("the server takes the login for account %s, which hides %s, and that has another "+
				"password of this secret, whose line says what to do", met, names(hidden))
		}
	}
	return ""
}

// obstacle gives the account that the server takes a login from a host for, what keeps it out whatever the password
// ("": nothing), and what to do about that.
func obstacle(login strategies.Login, host string, own, anonymous []accountRow) (met accountRow, blocks string,
	remedy rotator.Sentence) {
	// of two for the same host the server takes the one with a name
	own = accountsOnly(own)
	met, ok := serving(slices.Concat(anonymous, own), host)
	fix := func(format string, args ...any) rotator.Fix {
		return strategies.Fix(strategies.Login{}, fmt.Sprintf(format, args...))
	}
	switch {
	case !ok && len(own) > 0:
		blocks = noneFor(login.User, host, own)
		at := max(0, slices.IndexFunc(own, func(r accountRow) bool { return r.accepts(login.Password) }))
		remedy = rotator.Sentencef("%s, or CREATE USER for that address, and GRANT what it had",
			fix("RENAME USER %s TO %s", own[at], account{user: login.User, host: "%"}))
	case !ok:
	case met.user == "":
		blocks = fmt.Sprintf("the server takes the login for the anonymous account %s, which comes before any account "+
			"of %q for the address of this function", met, login.User)
		remedy = rotator.Sentencef("%s", fix("DROP USER %s", met))
	case met.locked:
		blocks = fmt.Sprintf("account %s is locked", met)
		remedy = rotator.Sentencef("%s", fix("ALTER USER %s ACCOUNT UNLOCK", met))
	case met.demandsTLS(login):
		blocks = fmt.Sprintf(`account %s demands TLS, and "ssl": false in the secret turns it off`, met)
		remedy = rotator.Sentencef(removeNoTLS)
	case met.require != "REQUIRE NONE" && met.require != "REQUIRE SSL":
		without := ""
		if login.TLS.Disabled {
			without = ", and " + removeNoTLS
		}
		blocks = fmt.Sprintf("account %s demands a client certificate (%s), of which this function has none", met,
			met.require)
		remedy = rotator.Sentencef("%s%s", fix("ALTER USER %s REQUIRE SSL", met), without)
	}
	return met, blocks, remedy
}

// ifIts is a remedy that opens an account which may be another owner's.
func ifIts(remedy rotator.Sentence) rotator.Sentence {
	remedy.Fixes = slices.Clone(remedy.Fixes)
	for i := range remedy.Fixes {
		remedy.Fixes[i].For = "to fix it, if that account is this secret's"
	}
	return remedy
}

// demandsTLS says whether an account that is not locked keeps a login out for that alone.
func (r accountRow) demandsTLS(login strategies.Login) bool {
	return r.user != "" && !r.locked && r.require == "REQUIRE SSL" && login.TLS.Disabled
}

// checkReached refuses a change after which the login that testSecret makes would be rejected, whatever the password.
func (c *cloneSync) checkReached(ctx context.Context) error {
	host, err := c.address(ctx)
	if err != nil {
		return err
	}
	anonymous, err := c.accounts(ctx, "")
	if err != nil {
		return err
	}
	next, inUse := c.synced(), c.allOriginals
	if c.inUse() {
		inUse = c.clones
	}
	login := strategies.Login{User: c.pair.Target, TLS: strategies.TLS{Disabled: c.pair.NoTLS}}
	// The user in use has logged in. Where its accounts do not tell how, the superuser comes by another way.
	if _, ok := serving(accountsOnly(inUse), host); !ok || undecided(slices.Concat(anonymous, next), host) {
		return nil
	}
	met, blocks, remedy := obstacle(login, host, next, anonymous)
	switch {
	case blocks != "":
		return c.errorf(rotator.KindMisconfigured, "the new password could not log in: %s: %s", blocks, remedy)
	case c.inUse():
		return c.checkMayUse(ctx, met)
	}
	return nil // a clone may what its original may, which is in use
}

// accountsOnly leaves the roles out.
func accountsOnly(rows []accountRow) []accountRow {
	return slices.DeleteFunc(slices.Clone(rows), func(r accountRow) bool { return r.isRole })
}

// undecided says whether the texts do not tell which account the server takes: it compares an address that it has found
// a name for by both, also with netmasks, and two patterns by more than that one is for all that the other is for.
func undecided(rows []accountRow, host string) bool {
	_, err := netip.ParseAddr(host)
	return len(mayServe(rows, host)) > 1 || slices.ContainsFunc(rows, func(r accountRow) bool {
		_, told := r.inNetwork(host)
		return !told || err != nil && r.host != "%" && strings.Trim(r.host, "0123456789abcdefABCDEF.:%_") == ""
	})
}

// noneFor says of a user that none of its accounts is for an address.
func noneFor(user, host string, own []accountRow) string {
	return fmt.Sprintf("no account of user %q is for the address of this function, which the server calls %s, but %s",
		user, quoteText(host), names(own))
}

func noAccount(user string) string {
	return fmt.Sprintf("there is no account of user %q on this server", user)
}

func bringBack(user string, clones []accountRow) rotator.Sentence {
	had, create := "its deployment or a backup says", createStatement(user)
	if len(clones) > 0 {
		had = shownOf(clones[0])
	}
	if hasLike(user, clones) {
		create = "CREATE USER it by the line that is printed"
	}
	return rotator.Sentencef("if it was renamed, to one of %s, %s; if it was dropped, %s, %s, and GRANT it what it "+
		"had, which %s; or correct the user name in the secret", allNames(), renameBack(user), create,
		typedFor(user), had)
}

// hasLike says whether a user that is gone is an original whose clone has what it had: the next rotation makes the
// clone like it.
func hasLike(user string, others []accountRow) bool {
	return len(others) > 0 && !strings.HasSuffix(user, cloneSuffix)
}

// shownOf says which statements show what the other of a pair had.
func shownOf(other accountRow) string {
	return "SHOW GRANTS FOR " + other.String() + " shows " + ifPair + " (SHOW CREATE USER " + other.String() +
		" shows its REQUIRE and limits)"
}

// createStatement makes an account for every host.
func createStatement(user string) string {
	return "CREATE USER " + account{user: user, host: "%"}.String() + " IDENTIFIED BY 'PASSWORD'"
}
