package mysql

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
)

// openForChange logs in to change an account, and waits for another rotation of one of the
// users. looks gives what the change will ask for first; nil: nothing is to be changed.
func (e Engine) openForChange(ctx context.Context, login strategies.Login, looks func(*session) []string,
	users ...string) (*session, error) {
	s, err := e.connect(ctx, login, true)
	if err != nil {
		return nil, err
	}
	if err := s.prepare(ctx, looks, users); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// prepare sets the session up, learns who is logged in, and what looks asks for, in one
// round trip.
func (s *session) prepare(ctx context.Context, looks func(*session) []string, users []string) error {
	// The server gives up on a lock a little before we do, so that it can say why.
	seconds := max(1, int(s.limit*8/10/time.Second))
	ahead := []string{whoIsLoggedIn}
	for _, user := range users {
		ahead = append(ahead, lockOf(user, seconds))
	}
	if looks != nil {
		ahead = append(append(ahead, whereChangesGo), looks(s)...)
	}
	st := operation{action: "setting up the session", limit: s.limit +
		time.Duration(len(users)*min(2, seconds))*time.Second}
	limited, cancel := context.WithTimeout(ctx, st.limit)
	err := s.askAhead(limited, s.settings(seconds), ahead)
	cancel()
	switch {
	case errorNumber(err) == 1820:
		s.sandbox = true
		return nil
	case err != nil:
		return s.wrapError(ctx, st, err)
	}
	me, err := s.checkIdentity(ctx)
	switch {
	case s.sandbox:
		return nil
	case err != nil:
		return err
	}
	s.actingAccount = me
	if looks != nil {
		if err := s.checkPrimary(ctx); err != nil {
			return err
		}
	}
	return s.lock(ctx, seconds, users)
}

const whereChangesGo = "SELECT @@GLOBAL.read_only, @@SESSION.sql_log_bin"

// checkPrimary refuses a server that is read-only: its accounts come from its source, and who may change them here all
// the same (SUPER, CONNECTION_ADMIN, READ ONLY ADMIN) would change them here alone. And it refuses a session whose
// changes no replica gets, by init_connect.
func (s *session) checkPrimary(ctx context.Context) error {
	row, err := s.row(ctx, operation{action: "looking up whether the server is read-only"}, whereChangesGo)
	switch {
	case err != nil:
		return err
	case row[0] != "0" && row[0] != "OFF":
		fix := s.fix(writable)
		fix.Note = onPrimary
		return s.errorf(rotator.KindReadOnly, strings.Replace(readOnly, "{fix}", "%s", 1)+". Accounts of a replica "+
			"come from its source: what a superuser may change here all the same, it would change here alone", fix)
	case row[1] == "0":
		return s.errorf(rotator.KindMisconfigured, "what this session changes is not written to the binary log "+
			"(sql_log_bin is 0, by init_connect), so that no replica would get it: SHOW GLOBAL VARIABLES LIKE "+
			"'init_connect', and take that out")
	}
	return nil
}

// settings makes the session independent of the server's defaults and of
// init_connect, with which every session begins but a superuser's.
func (s *session) settings(lockSeconds int) string {
	all := []string{
		// The server gives up on a lock a little before we do. It ends a session whose
		// function is gone within seconds, and with it what the session has locked.
		fmt.Sprintf("lock_wait_timeout = %d", lockSeconds),
		fmt.Sprintf("wait_timeout = %d", max(10, int(2*s.limit/time.Second))),
		"autocommit = 1", "completion_type = 0", // no statement waits for a COMMIT, and none ends the session
		// No answer is cut.
		"sql_select_limit = 18446744073709551615", "max_join_size = 18446744073709551615", "sql_big_selects = 1",
		"sql_safe_updates = 0",
		"group_concat_max_len = 1048576", "sql_notes = 1", "sql_auto_is_null = 0",
		"sql_quote_show_create = 1", // with backticks
	}
	// NO_BACKSLASH_ESCAPES leaves one way to read a string constant. On a server whose
	// transactions are read only by default, an account can be changed all the same.
	if s.mariadb {
		// A GRANT must not create the account that it names, PASSWORD() must not make
		// the hash of MySQL 4.0, and ALTER must not pass over an account that is gone.
		all = append(all, "sql_mode = 'NO_BACKSLASH_ESCAPES,NO_AUTO_CREATE_USER'", "tx_read_only = 0",
			"old_passwords = 0", "sql_if_exists = 0",
			"max_error_count = 64", "max_session_mem_used = 9223372036854775807", "sort_buffer_size = 2097152",
			"tmp_disk_table_size = 18446744073709551615",
			// By which a change of an account ends that waits for a lock: lock_wait_timeout does not end that.
			fmt.Sprintf("max_statement_time = %.3f", max(1, 0.9*s.limit.Seconds())))
	} else {
		all = append(all, "sql_mode = 'NO_BACKSLASH_ESCAPES'", "transaction_read_only = 0",
			fmt.Sprintf("max_execution_time = %d", max(1000, s.limit.Milliseconds())))
	}
	// UTF-8 leaves one way to read the bytes of a constant.
	return "SET NAMES utf8mb4, SESSION " + strings.Join(all, ", SESSION ")
}

// checkIdentity asks the server which account it logged in, and refuses any other: a server
// run with skip-grant-tables, an anonymous account and a proxied one all let in who
// need not be who was named.
func (s *session) checkIdentity(ctx context.Context) (account, error) {
	limited, cancel := context.WithTimeout(ctx, s.limit)
	defer cancel()
	row, err := s.oneRow(limited, whoIsLoggedIn)
	st := operation{action: "asking who is logged in", limit: s.limit}
	if err != nil {
		s.sandbox = errorNumber(err) == 1820
		return account{}, s.wrapError(ctx, st, err)
	}
	me := accountOf(row[0])
	if me.user == s.login.User {
		return me, s.checkDirect(row[1])
	}
	says := fmt.Sprintf("the server logged us in as %s, whose privileges %q has by proxy: the password to change is "+
		"not that account's. Take the host of the database itself, and an account that is no proxy user", me,
		s.login.User)
	switch {
	case me.user == "" && me.host == "", strings.HasPrefix(me.user, "skip-grants"):
		says = "skip-grant-tables: the server accepts any password, so a login verifies nothing. Restart it without; " +
			"until then store nothing in the secret"
	case me.user == "":
		says = fmt.Sprintf("the server logged us in as the anonymous account ''@'%s', which comes before any account "+
			"of %q for this host: DROP USER ''@'%[1]s'", me.host, s.login.User)
	}
	// Nothing is wrong with what is stored.
	return me, strategies.MarkLoginError(s.errorf(rotator.KindMisconfigured, "%s", says))
}

// whoIsLoggedIn has a LIMIT of its own: sql_select_limit may be 0. The number of the connection
// is asked for beside something else: ProxySQL answers SELECT CONNECTION_ID() itself. Both come
// as bytes of UTF-8, whatever init_connect has made of the character sets.
const whoIsLoggedIn = "SELECT CAST(CURRENT_USER() AS BINARY), CAST(CONVERT(CONNECTION_ID() USING utf8mb4) AS BINARY) " +
	"LIMIT 1"

// checkDirect refuses a connection that ends at a pooler: the greeting had the number of
// the pooler's connection, and the statement was answered on one of the server's.
func (s *session) checkDirect(id string) error {
	n, err := strconv.ParseUint(id, 10, 64)
	if s.login.PoolerForwardsLogins || err == nil && uint32(n) == s.wire.thread {
		return nil
	}
	return strategies.MarkPoolerError(s.errorf(rotator.KindMisconfigured,
		"a proxy is in between (the greeting was of connection %d, and the statement was answered on connection %s): "+
			"it may judge logins by passwords of its own, so that this login proves nothing and nothing is changed. "+
			"To fix it, %s", s.wire.thread, id, strategies.PoolerRemedy))
}

// lock makes rotations of the same account wait for each other, for at most two
// seconds. It is a courtesy: any user that may log in can hold such a lock, and clusters know
// none. The statements that matter are safe against each other.
func (s *session) lock(ctx context.Context, seconds int, users []string) error {
	for _, user := range users {
		st := operation{action: fmt.Sprintf("waiting for other rotations of %q", user), limit: s.limit}
		limited, cancel := context.WithTimeout(ctx, s.limit)
		_, err := s.oneRow(limited, lockOf(user, seconds))
		cancel()
		if err != nil && errorNumber(err) == 0 {
			return s.wrapError(ctx, st, err)
		}
	}
	return nil
}

func lockOf(user string, seconds int) string {
	sum := sha256.Sum256([]byte(user))
	return fmt.Sprintf("SELECT GET_LOCK('quarterturn %s', %d)", hex.EncodeToString(sum[:16]), min(2, seconds))
}

// changeOwn changes the password of the account that is logged in.
func (s *session) changeOwn(ctx context.Context, p secret.Password) error {
	st := operation{action: fmt.Sprintf("changing the password of %q", s.login.User), sensitive: true,
		setsPassword: true, selfChange: true,
		remedy: ownPasswordRemedy()}
	if s.mariadb {
		return s.setPassword(ctx, st, "", p)
	}
	if s.sandbox && !needsNoEscaping(p) {
		return s.errorf(rotator.KindMisconfigured, "the password has expired, and until it is changed the server "+
			"cannot be asked how it reads quotes and backslashes, which the new one holds: exclude them, or as a "+
			"superuser, %s, %s", s.resetExpired(), typedFor(s.login.User))
	}
	// REPLACE is wanted by accounts that PASSWORD REQUIRE CURRENT holds to it.
	change := "ALTER USER USER() IDENTIFIED BY " + quotePassword(p)
	if s.sandbox && !needsNoEscaping(s.login.Password) {
		return s.exec(ctx, st, change)
	}
	err := s.execRaw(ctx, change+" REPLACE "+quotePassword(s.login.Password))
	if errorNumber(err) == 3891 {
		// We were let in by a password that is not the current one: a retained one,
		// or another session has changed it in the meantime.
		err = s.execRaw(ctx, change)
	}
	if err != nil {
		st.limit = s.limit
		return s.wrapError(ctx, st, err)
	}
	return nil
}

// changeOthers changes the passwords of other accounts, of those that do not have p
// yet: an earlier attempt may have changed some, and to set a password again is
// against a policy of reuse. One statement carries all of it, so that no line can be
// cut between two accounts. MySQL changes all of them or none. MariaDB stops at the
// first that it refuses, and the next attempt looks again.
func (s *session) changeOthers(ctx context.Context, targets []accountRow, p secret.Password) error {
	targets = slices.DeleteFunc(slices.Clone(targets), func(r accountRow) bool { return r.holdsAlone(p) })
	if len(targets) == 0 {
		return nil
	}
	st := operation{sensitive: true, setsPassword: true, action: "changing the password of " + names(targets),
		limit: s.limit}
	if !s.mariadb {
		parts := make([]string, len(targets))
		for i, t := range targets {
			parts[i] = t.String() + " IDENTIFIED " + t.withPlugin() + "BY " + quotePassword(p)
		}
		st.remedy = s.createUserRemedy()
		return s.exec(ctx, st, "ALTER USER "+strings.Join(parts, ", "))
	}
	st.remedy = s.setPasswordRemedy()
	if err := s.checkOneMethod(ctx, targets); err != nil {
		return err
	}
	err := s.execRaw(ctx, setPasswords(targets, p))
	if s.wantsClear(ctx, err) {
		return s.execClear(ctx, st, setInClear(targets, p))
	}
	if err != nil {
		return s.wrapError(ctx, st, err)
	}
	return nil
}

// setPasswords is MariaDB's statement for several accounts. SET PASSWORD changes the first
// password of an account. Where there are more, an old one would go on letting in.
func setPasswords(targets []accountRow, p secret.Password) string {
	to := func(plugin string) string { return quoteText(hash(plugin, p)) }
	parts := make([]string, len(targets))
	for i, t := range targets {
		parts[i] = "SET PASSWORD FOR " + t.String() + " = " + to(t.plugin())
		if len(t.passwords()) > 1 || t.replugged {
			parts[i] = "ALTER USER " + t.String() + " IDENTIFIED VIA " + t.via(to)
		}
	}
	return block(parts...)
}

// setInClear is the same where the server takes no hashes, for accounts of one password each. MariaDB hashes that of
// SET PASSWORD in its binary log, and no other: where the plugin changes, another password stands for it.
func setInClear(targets []accountRow, p secret.Password) string {
	var parts []string
	for _, t := range targets {
		if t.replugged {
			parts = append(parts, "ALTER USER "+t.String()+" IDENTIFIED VIA "+t.via(inClear(disguise(p))))
		}
		parts = append(parts, "SET PASSWORD FOR "+t.String()+" = "+inClear(p)(t.plugin()))
	}
	return block(parts...)
}

// inClear is a password for a server that takes no hashes.
func inClear(p secret.Password) func(plugin string) string {
	return func(string) string { return "PASSWORD(" + quotePassword(p) + ")" }
}

// block makes one statement of several, of MariaDB, so that no line can be cut between them.
func block(parts ...string) string {
	if len(parts) == 1 {
		return parts[0]
	}
	return "BEGIN NOT ATOMIC " + strings.Join(parts, "; ") + "; END"
}

// disguise is a password of which a policy says what it says of p, and that says nothing of p: in place of each letter
// and digit stands any.
func disguise(p secret.Password) secret.Password {
	return secret.NewPassword(strings.Map(func(r rune) rune {
		for _, class := range []string{"abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789"} {
			if strings.ContainsRune(class, r) {
				return rune(class[rand.IntN(len(class))])
			}
		}
		return r
	}, p.Reveal()))
}

// checkOneMethod refuses accounts of several passwords at a server of MariaDB that takes no hashes: SET PASSWORD sets
// the first alone, and any other statement is in the binary log as it is.
func (s *session) checkOneMethod(ctx context.Context, accounts []accountRow) error {
	i := slices.IndexFunc(accounts, func(r accountRow) bool { return len(r.passwords()) > 1 })
	if !s.mariadb || i < 0 {
		return nil
	}
	row, err := s.row(ctx, operation{action: "looking up what judges passwords"}, passwordJudges)
	if err != nil || row[0] == "" || row[1] != "Y" {
		return err
	}
	return s.errorf(rotator.KindMisconfigured, "account %s has passwords of several plugins (%s), and where passwords "+
		"are judged by a plugin (%s), MariaDB takes the new one in clear, and has it in its binary log: ALTER USER "+
		"that account to have one, or "+asAdministrator+"%s", accounts[i],
		strings.Join(accounts[i].passwords(), ", "), row[0], s.off("strict_password_validation"))
}

// via are the methods of an account of MariaDB, with another password for those that have one.
func (r accountRow) via(to func(plugin string) string) string {
	methods := slices.Clone(r.plugins)
	for i, plugin := range r.plugins {
		switch {
		case slices.Contains(passwordPlugins, plugin):
			methods[i] += " USING " + to(plugin)
		case r.stored[i] != "":
			methods[i] += " USING " + quoteText(r.stored[i])
		}
	}
	return strings.Join(methods, " OR ")
}

// setPassword is MariaDB's way. (ALTER USER would turn the account over to
// mysql_native_password, and needs a privilege even for oneself.) The server refuses
// a hash that is not of the account's plugin, so that trying is knowing; the better
// one goes first, so that no log holds the other where it is not needed, unless the server
// says that it is not for this account.
func (s *session) setPassword(ctx context.Context, st operation, whose string, p secret.Password) error {
	set := "SET PASSWORD" + whose + " = "
	hashes := []string{ed25519Hash(p), nativeHash(p)}
	if !s.sandbox {
		how, err := s.query(ctx, operation{action: "looking up how the user logs in"}, howTheUserLogsIn)
		if err == nil && len(how) == 1 && !slices.Contains(methodsOf(how[0][0]), "ed25519") {
			hashes = hashes[1:]
		}
	}
	var err error
	for _, hash := range hashes {
		err = s.execRaw(ctx, set+quoteText(hash))
		// 1699: of a plugin without passwords that comes before the account's other ones
		if n := errorNumber(err); n != 1372 && n != 1699 {
			break
		}
	}
	st.limit = s.limit
	if s.strict(err) {
		return s.execClear(ctx, st, set+"PASSWORD("+quotePassword(p)+")")
	}
	if err != nil {
		return s.wrapError(ctx, st, err)
	}
	return nil
}

// execClear sends MariaDB a password in clear, which it demands (see strict), unless a log
// of the server would hold it: MariaDB masks none.
func (s *session) execClear(ctx context.Context, st operation, sql string) error {
	if err := s.checkUnlogged(ctx); err != nil {
		return err
	}
	return s.exec(ctx, st, sql)
}

// whatIsLogged has two lines that are ON where MySQL masks no passwords, and what methods it lets accounts have.
const whatIsLogged = "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('general_log', 'log_raw') AND Value = 'ON' " +
	"OR Variable_name IN ('" + authenticationPolicy + "', '" + changedCharacters + "')"

const (
	authenticationPolicy = "authentication_policy"
	changedCharacters    = "validate_password.changed_characters_percentage"
)

// checkMasked refuses a server of MySQL that does not mask passwords in its log, as others do.
func (s *session) checkMasked(ctx context.Context) error {
	if s.mariadb || s.sandbox {
		return nil
	}
	on, err := s.query(ctx, operation{action: "looking up what the server logs", limit: s.limit}, whatIsLogged)
	on = slices.DeleteFunc(on, func(row []string) bool {
		switch row[0] {
		case authenticationPolicy:
			s.policy = row[1]
		case changedCharacters:
			s.changed = row[1]
		default:
			return false
		}
		return true
	})
	if err == nil && len(on) == 2 {
		err = s.errorf(rotator.KindMisconfigured, "the general log of this server is on and does not mask passwords "+
			"(log_raw), and would hold the new one: "+asAdministrator+"%s, or general_log = 0", s.off("log_raw"))
	}
	return err
}

// checkPolicy refuses accounts whose plugin MySQL's authentication_policy does not permit them to have any more: the
// server finds that after all that a dry run tries. created are to be made, with one factor.
// https://dev.mysql.com/doc/refman/9.0/en/server-system-variables.html#sysvar_authentication_policy
func (s *session) checkPolicy(ctx context.Context, created bool, accounts ...accountRow) error {
	factors := strings.Split(s.policy+",,", ",")
	first := strings.TrimSpace(factors[0])
	another := slices.IndexFunc(accounts, func(r accountRow) bool {
		return first != "" && first[0] != '*' && r.plugin() != first
	})
	created = created && strings.Trim(strings.Join(factors[1:], ""), " ") != ""
	if another < 0 && !created {
		return nil
	}
	mine, err := s.query(ctx, operation{action: "looking up what the user may do", sensitive: true}, ownGrants)
	if err != nil || slices.ContainsFunc(mine, func(line []string) bool {
		return strings.Contains(line[0], "AUTHENTICATION_POLICY_ADMIN")
	}) {
		return err
	}
	may := s.fix("GRANT AUTHENTICATION_POLICY_ADMIN ON *.* TO %s", s.actingAccount)
	if another < 0 {
		return s.errorf(rotator.KindMisconfigured, "the server's authentication_policy (%s) demands further factors "+
			"of an account that is created, and the clients of this secret have a password alone: "+asAdministrator+
			"%s, or SET GLOBAL authentication_policy", s.policy, may)
	}
	return s.errorf(rotator.KindMisconfigured, "the server's authentication_policy (%s) lets no account have a new "+
		"password of %s, by which account %s logs in: ALTER USER it to log in by %s, or "+asAdministrator+"%s, or "+
		"SET GLOBAL authentication_policy", s.policy, accounts[another].plugin(), accounts[another], first, may)
}

// checkUnlogged refuses a server of MariaDB that would log what is sent in clear.
func (s *session) checkUnlogged(ctx context.Context) error {
	st := operation{action: "looking up what the server logs", limit: s.limit}
	if err := s.exec(ctx, st, "SET SESSION slow_query_log = 0"); err != nil {
		return err
	}
	row, err := s.row(ctx, st, "SELECT IF(@@GLOBAL.general_log AND NOT @@SESSION.sql_log_off, 'Y', 'N')")
	if err != nil {
		return err
	}
	if row[0] == "Y" {
		return s.errorf(rotator.KindMisconfigured, "a plugin that judges passwords has MariaDB take them in clear "+
			"(strict_password_validation), and its general log, which is on, would hold the new one: "+asAdministrator+
			"%s, or strict_password_validation = 0", s.off("general_log"))
	}
	return nil
}

// off turns off what has the server log a password, or take it in clear. The sentence is the line that does.
func (s *session) off(setting string) rotator.Sentence {
	f, back := s.fix("SET GLOBAL %s = 0", setting), s.fix("SET GLOBAL %s = 1", setting)
	f.Note = "each rotation needs it off; RDS: the parameter group"
	back.For, back.Turn = "once the rotation has succeeded, if it has to be on", rotator.TurnLast
	return rotator.Sentence{Text: f.Run, Fixes: []rotator.Fix{f, back}}
}

// strict says whether MariaDB wants to see a password, for a plugin to judge it.
func (s *session) strict(err error) bool {
	var e *mysql.MySQLError
	return errors.As(err, &e) && e.Number == 1290 && strings.Contains(e.Message, "strict-password-validation")
}

// wantsClear is strict, also where MariaDB says so in a warning beside another error: of ALTER USER, and of an account
// with a plugin without passwords.
func (s *session) wantsClear(ctx context.Context, err error) bool {
	if n := errorNumber(err); s.strict(err) || n != 1396 && n != 1699 {
		return s.strict(err)
	}
	warnings, err := s.query(ctx, operation{action: "looking up why"}, "SHOW WARNINGS")
	return err == nil && slices.ContainsFunc(warnings, func(w []string) bool {
		return w[1] == "1290" && strings.Contains(w[2], "strict-password-validation")
	})
}

// asAdministrator stands before statements that the superuser of a secret cannot run: they give it what it lacks.
const asAdministrator = "as an administrator, "

// ownPasswordRemedy is for a user that may not change itself.
func ownPasswordRemedy() rotator.Sentence {
	return rotator.Sentencef("the server does not let this user change its own password: rotate through a " +
		"superuser secret")
}

func (s *session) createUserRemedy() rotator.Sentence {
	system := ""
	if !s.mariadb {
		system = ", and where the message names SYSTEM_USER, that too"
	}
	return rotator.Sentencef(asAdministrator+"%s%s", s.grantToCreate(), system)
}

func (s *session) setPasswordRemedy() rotator.Sentence {
	return rotator.Sentencef(asAdministrator+"%s", s.grantToSetPasswords())
}

func (s *session) grantToCreate() rotator.Fix {
	return s.fix("GRANT CREATE USER ON *.* TO %s", s.actingAccount)
}

func (s *session) grantToSetPasswords() rotator.Fix {
	return s.fix("GRANT SELECT, UPDATE ON `mysql`.* TO %s", s.actingAccount)
}

// grantToSee is for a superuser that cannot read what accounts there are.
func (s *session) grantToSee() rotator.Fix {
	return s.fix("GRANT SELECT ON `mysql`.* TO %s", s.actingAccount)
}

// grantToChange is what MySQL wants of a superuser that changes an account.
func (s *session) grantToChange(ctx context.Context, of account) rotator.Fix {
	theirs, _, err := s.grants(ctx, of)
	mine, _, failed := s.grants(ctx, s.actingAccount)
	if err != nil || failed != nil || !theirs.isSystem() || mine.isSystem() {
		return s.grantToCreate()
	}
	return s.fix("GRANT CREATE USER, SYSTEM_USER ON *.* TO %s", s.actingAccount)
}

// accountRow is what mysql.user says of an account.
type accountRow struct {
	account
	plugins []string // how it may log in: one of these, in the server's order
	stored  []string // what the server checks the password by, of each plugin
	locked  bool
	isRole  bool
	// replugged says that it is to log in by plugins, and logs in by others now: what is stored is of those.
	replugged bool
	retained  bool   // a second password is retained (MySQL)
	second    string // what the server checks that by
	factors   bool   // it demands further factors beside the password (MySQL)
	counts    bool   // the server blocks it after some wrong passwords
	lengths   bool   // the server knows hosts with the length of a netmask (MySQL)
	unordered bool   // it puts addresses, with netmasks or without, in no order (MySQL until 8.0.23)

	require   string            // REQUIRE SSL, or what it is
	limits    string            // WITH MAX_QUERIES_PER_HOUR 5 ...
	expiry    string            // PASSWORD EXPIRE ...
	rules     map[string]string // MySQL's further rules of passwords, by their clause
	expiresOn string            // when the password expires
}

// passwordPlugins are those with a password in the server, which the driver can
// prove.
var passwordPlugins = []string{"caching_sha2_password", "sha256_password", "mysql_native_password", "ed25519"}

// plugin is the first by which the account has a password, or "".
func (r accountRow) plugin() string {
	return strings.Join(r.passwords()[:min(1, len(r.passwords()))], "")
}

// withPlugin is what MySQL is told of a plugin that changes with the password.
func (r accountRow) withPlugin() string {
	if !r.replugged {
		return ""
	}
	return "WITH " + quoteText(r.plugin()) + " "
}

// changeable says whether a superuser may give the account a password that works.
func (r accountRow) changeable() bool { return !r.isRole && !r.locked && r.plugin() != "" }

// holds says whether p is the account's password.
func (r accountRow) holds(p secret.Password) bool {
	return slices.ContainsFunc(r.stored, func(stored string) bool { return stored != "" && matches(stored, p) })
}

// accepts says whether p lets in: it is the account's password, or one that is retained.
func (r accountRow) accepts(p secret.Password) bool {
	return r.holds(p) || r.second != "" && matches(r.second, p)
}

// passwords are the plugins by which it has one. On MariaDB there may be several.
func (r accountRow) passwords() []string {
	return slices.DeleteFunc(slices.Clone(r.plugins), func(p string) bool {
		return !slices.Contains(passwordPlugins, p)
	})
}

// holdsAlone says whether p is the account's password, by whichever plugin.
func (r accountRow) holdsAlone(p secret.Password) bool {
	for i, plugin := range r.plugins {
		if slices.Contains(passwordPlugins, plugin) && !matches(r.stored[i], p) {
			return false
		}
	}
	return true
}

// hash is what MariaDB is to store for p.
func hash(plugin string, p secret.Password) string {
	if plugin == "ed25519" {
		return ed25519Hash(p)
	}
	return nativeHash(p)
}

func names(rows []accountRow) string {
	all := make([]string, len(rows))
	for i, r := range rows {
		all[i] = r.String()
	}
	return strings.Join(all, ", ")
}

// accountsOf asks for every account of a name.
func (s *session) accountsOf(user string) string {
	sql := `SELECT Host, plugin, account_locked, 'N', ssl_type, ssl_cipher, x509_issuer, x509_subject,
  max_questions, max_updates, max_connections, max_user_connections, '', password_lifetime,
  CASE WHEN password_lifetime > 0 AND password_last_changed + INTERVAL password_lifetime DAY < NOW() + INTERVAL 30 DAY
    THEN DATE_FORMAT(password_last_changed + INTERVAL password_lifetime DAY, '%Y-%m-%d') ELSE '' END,
  User_attributes->>'$.additional_password' IS NOT NULL, HEX(authentication_string),
  Password_reuse_history, Password_reuse_time, Password_require_current,
  User_attributes->>'$.Password_locking.failed_login_attempts', User_attributes->>'$.Password_locking.password_lock_time_days',
  HEX(User_attributes->>'$.additional_password'), User_attributes->>'$.multi_factor_authentication' IS NOT NULL, COUNT(*) OVER ()
FROM mysql.user WHERE User = `
	if s.mariadb {
		sql = `SELECT u.Host, JSON_VALUE(p.Priv, '$.plugin'),
  IF(JSON_VALUE(p.Priv, '$.account_locked'), 'Y', 'N'), u.is_role, u.ssl_type, u.ssl_cipher, u.x509_issuer, u.x509_subject,
  u.max_questions, u.max_updates, u.max_connections, u.max_user_connections, u.max_statement_time, JSON_VALUE(p.Priv, '$.password_lifetime'),
  CASE WHEN JSON_VALUE(p.Priv, '$.password_lifetime') > 0
    AND FROM_UNIXTIME(JSON_VALUE(p.Priv, '$.password_last_changed')) + INTERVAL JSON_VALUE(p.Priv, '$.password_lifetime') DAY < NOW() + INTERVAL 30 DAY
    THEN DATE_FORMAT(FROM_UNIXTIME(JSON_VALUE(p.Priv, '$.password_last_changed')) + INTERVAL JSON_VALUE(p.Priv, '$.password_lifetime') DAY, '%Y-%m-%d') ELSE '' END,
  0, p.Priv, @@GLOBAL.max_password_errors < 4294967295, COUNT(*) OVER ()
FROM mysql.user u JOIN mysql.global_priv p ON p.Host = u.Host AND p.User = u.User WHERE u.User = `
	}
	return sql + quoteText(user) + " ORDER BY 1"
}

// accounts looks up every account of a name.
func (s *session) accounts(ctx context.Context, user string) ([]accountRow, error) {
	st := operation{action: "looking up accounts", remedy: rotator.Sentencef(asAdministrator+"%s: a superuser has "+
		"to see the accounts that it changes", s.grantToSee())}
	table, err := s.query(ctx, st, s.accountsOf(user))
	if err != nil {
		return nil, err
	}
	// An answer that was cut would leave an account with its old password.
	if n := len(table); n > 0 && table[0][len(table[0])-1] != strconv.Itoa(n) {
		return nil, s.errorf(rotator.KindInternal, "%s: the server answered with %d of %s accounts: is there a proxy "+
			"in between that cuts answers? Take the host of the database itself", st.action, n,
			table[0][len(table[0])-1])
	}
	rows := make([]accountRow, len(table))
	for i, t := range table {
		rows[i] = s.newRow(account{user: user, host: t[0]})
		rows[i].locked, rows[i].isRole = t[2] == "Y", t[3] == "Y"
		rows[i].require, rows[i].limits = require(t[4], t[5], t[6], t[7]), s.limits(t[8:13])
		rows[i].expiry, rows[i].expiresOn = expiry(t[13]), t[14]
		rows[i].retained = t[15] == "1"
		if s.mariadb {
			rows[i].plugins, rows[i].stored = methods(t[16])
			rows[i].counts = t[17] == "1"
			continue
		}
		rows[i].plugins, rows[i].stored = []string{t[1]}, []string{verifier(t[16])}
		rows[i].rules, rows[i].second, rows[i].factors = rules(t[17:]), verifier(t[22]), t[23] == "1"
		rows[i].counts = attemptsOf(rows[i].rules["attempts"]) > 0
	}
	return rows, nil
}

// newRow is an account of which no more is known yet than its name, and what the server makes of its host.
func (s *session) newRow(of account) accountRow {
	old := olderThan(s.wire.version, 8, 0, 23)
	return accountRow{account: of, lengths: !s.mariadb && !old, unordered: !s.mariadb && old}
}

// require gives the clause that demands what mysql.user does.
func require(kind, cipher, issuer, subject string) string {
	switch kind {
	case "":
		return "REQUIRE NONE"
	case "ANY":
		return "REQUIRE SSL"
	case "X509":
		return "REQUIRE X509"
	}
	var parts []string
	for _, p := range []struct{ word, value string }{{"SUBJECT", subject}, {"ISSUER", issuer}, {"CIPHER", cipher}} {
		if p.value != "" {
			parts = append(parts, p.word+" "+quoteText(p.value))
		}
	}
	return "REQUIRE " + strings.Join(parts, " AND ")
}

func (s *session) limits(n []string) string {
	clause := fmt.Sprintf("WITH MAX_QUERIES_PER_HOUR %s MAX_UPDATES_PER_HOUR %s MAX_CONNECTIONS_PER_HOUR %s "+
		"MAX_USER_CONNECTIONS %s", n[0], n[1], n[2], n[3])
	if s.mariadb {
		clause += " MAX_STATEMENT_TIME " + n[4]
	}
	return clause
}

func expiry(days string) string {
	switch n, err := strconv.Atoi(days); {
	case err != nil || n < 0:
		return "PASSWORD EXPIRE DEFAULT"
	case n == 0:
		return "PASSWORD EXPIRE NEVER"
	}
	return "PASSWORD EXPIRE INTERVAL " + days + " DAY"
}

// noAttempts is the rule of an account that wrong passwords do not block.
const noAttempts = "FAILED_LOGIN_ATTEMPTS 0 PASSWORD_LOCK_TIME 0"

// rules gives the clauses of MySQL's rules of passwords.
func rules(t []string) map[string]string {
	orElse := func(s, other string) string {
		if s == "" {
			return other
		}
		return s
	}
	current := map[string]string{"": "PASSWORD REQUIRE CURRENT DEFAULT", "Y": "PASSWORD REQUIRE CURRENT",
		"N": "PASSWORD REQUIRE CURRENT OPTIONAL"}
	reuse := "DEFAULT"
	if t[1] != "" {
		reuse = t[1] + " DAY"
	}
	days := orElse(t[4], "0")
	if days == "-1" {
		days = "UNBOUNDED"
	}
	return map[string]string{
		"history":  "PASSWORD HISTORY " + orElse(t[0], "DEFAULT"),
		"reuse":    "PASSWORD REUSE INTERVAL " + reuse,
		"current":  current[t[2]],
		"attempts": "FAILED_LOGIN_ATTEMPTS " + orElse(t[3], "0") + " PASSWORD_LOCK_TIME " + days,
	}
}

// passwordAccounts gives the accounts of a name whose password a superuser is to
// change, and says what stands in the way if there are none.
func (s *session) passwordAccounts(ctx context.Context, user string) ([]accountRow, error) {
	all, err := s.accounts(ctx, user)
	if err != nil {
		return nil, err
	}
	return s.changeable(ctx, all, user)
}

// changeable leaves of the accounts of a name those whose password can be changed.
func (s *session) changeable(ctx context.Context, all []accountRow, user string) ([]accountRow, error) {
	var targets, locked, others []accountRow
	for _, r := range all {
		switch {
		case r.isRole:
		case r.plugin() == "":
			others = append(others, r)
		case r.locked:
			locked = append(locked, r)
		default:
			targets = append(targets, r)
		}
	}
	switch {
	case targets != nil:
		return targets, nil
	case locked != nil:
		return nil, s.errorf(rotator.KindPrivilege, "account %s is locked, and its password is left alone: %s",
			names(locked), s.fix("ALTER USER %s ACCOUNT UNLOCK", names(locked)))
	case others != nil:
		return nil, s.errorf(rotator.KindMisconfigured, "account %s %s, or stop rotating this secret", names(others),
			s.ofNoPassword(ctx, others[0]))
	}
	return nil, s.errorf(rotator.KindNotFound, "there is no account of user %q on this server; create it, or correct "+
		"the user name in the secret", user)
}
