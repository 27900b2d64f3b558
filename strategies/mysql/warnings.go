package mysql

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
)

// ownCaveats says what an account can see of itself that may surprise later. A
// retained password needs no warning where it was asked for.
func (s *session) ownCaveats(ctx context.Context, sample secret.Password, keeping bool) ([]strategies.Warning, error) {
	if s.sandbox {
		return []strategies.Warning{strategies.Warn("the password of user %q has expired, and clients are refused "+
			"until this rotation has set a new one", s.login.User)}, nil
	}
	all, err := s.policyCaveats(ctx, sample, ", or set SINGLE_USER_THROUGH_SUPERUSER=true, by which clients of the "+
		"secret see nothing")
	if err != nil {
		return nil, err
	}
	if s.attempts > 0 {
		all = append(all, attemptsWarning(s.actingAccount, s.attempts))
	}
	if s.changed != "" && s.changed != "0" {
		all = append(all, strategies.Warning{Unknown: true, Text: fmt.Sprintf("the server compares a new password "+
			"with the old one (%s is %s), which it does only when one is really set: whether it takes the next one "+
			"is not known. With SINGLE_USER_THROUGH_SUPERUSER=true it compares none", changedCharacters, s.changed)})
	}
	shown, unseen, err := s.shownTwins(ctx)
	if err != nil {
		return nil, err
	}
	var rows []accountRow
	if unseen == nil {
		rows, err = s.accounts(ctx, s.login.User)
	}
	if unseen != nil || rotator.KindOf(err) == rotator.KindPrivilege {
		all = append(all, unseen...)
		if err = s.refuseTwins(shown); err == nil && !keeping && !s.mariadb {
			all, err = s.guessRetained(ctx, all)
		}
		return all, err
	}
	if err != nil {
		return nil, err
	}
	var twins []string
	for i, r := range rows {
		rows[i].retained = r.retained && !keeping
		delete(rows[i].rules, "attempts") // of this account it has been said
		if r.account != s.actingAccount && r.plugin() != "" && !r.isRole && !r.locked {
			twins = append(twins, r.String())
		}
		if r.account == s.actingAccount {
			all = append(all, s.unheld(ctx, r, keeping)...)
		}
		if passwords := r.passwords(); r.account == s.actingAccount && len(passwords) > 1 {
			all = append(all, strategies.Warn("account %s has passwords of several plugins (%s), and one that "+
				"changes itself changes that of the first alone: an old one goes on letting clients in. With "+
				"SINGLE_USER_THROUGH_SUPERUSER=true, all are changed", r, strings.Join(passwords, ", ")))
		}
	}
	return append(all, s.rowCaveats(rows)...), s.refuseTwins(twins)
}

// unheld warns of a password of an account that the secret does not hold, and that this rotation ends: others who
// log in with it are locked out then. A rotation whose AWSPENDING lost its label after setSecret leaves one, too.
func (s *session) unheld(ctx context.Context, r accountRow, keeping bool) []strategies.Warning {
	if s.mariadb || s.login.For == nil || s.login.For.Passwords == nil || r.plugin() == "" || r.locked {
		return nil
	}
	ended, unread := r.stored[0], ""
	if keeping && matches(ended, s.login.Password) { // which is the one that is retained then
		ended = r.second
	}
	if ended == "" {
		return nil
	}
	for p, err := range s.login.For.Passwords(ctx, r.user) {
		switch {
		case err != nil:
			unread = fmt.Sprintf(" (as far as they could be read: %v)", err)
		case matches(ended, p):
			return nil
		}
		if r.counts { // what comes next may be a guess, which costs as much as a login
			break
		}
	}
	// One that is retained may be left of an AWSCURRENT that was edited since.
	unknown := !s.login.For.Consent && ended != r.second
	return []strategies.Warning{{Unknown: unknown, Text: fmt.Sprintf("account %s has a password that "+
		"AWSCURRENT, AWSPENDING and AWSPREVIOUS do not hold%s. This rotation ends it, and clients that log in with "+
		"it are refused. If there are such clients, first give them a user of their own, with what SHOW GRANTS FOR "+
		"%s shows. If a rotation left it, whose AWSPENDING lost its label after setSecret, there is nothing to do",
		r, unread, r)}}
}

// hostsOf asks for the hosts of a name, by as little of mysql.user as shows them.
func hostsOf(user string) string {
	return "SELECT Host FROM mysql.user WHERE User = " + quoteText(user)
}

// shownTwins are the other accounts of the name, as far as the account may see them, and what is said if it may not.
func (s *session) shownTwins(ctx context.Context) (twins []string, unseen []strategies.Warning, err error) {
	rows, err := s.query(ctx, operation{action: "looking up the hosts of the user", sensitive: true},
		hostsOf(s.login.User))
	if rotator.KindOf(err) == rotator.KindPrivilege {
		return s.guessTwins(ctx)
	}
	for _, row := range rows {
		twin := account{user: s.login.User, host: row[0]}
		if twin != s.actingAccount && (twin.host != "" || !s.mariadb) { // a role of MariaDB has no host
			twins = append(twins, twin.String())
		}
	}
	return twins, nil, err
}

// guessTwins asks for other accounts of the name where mysql.user may not be read.
// MySQL tells a user whether there is one on a host that it names. MariaDB does not.
func (s *session) guessTwins(ctx context.Context) (twins []string, unseen []strategies.Warning, err error) {
	asked := ""
	if !s.mariadb {
		var hosts []string
		for _, host := range []string{"%", "localhost"} {
			twin := account{user: s.login.User, host: host}
			if twin == s.actingAccount {
				continue
			}
			hosts = append(hosts, twin.String())
			_, err := s.query(ctx, operation{action: "looking up whether there is an account " + twin.String(),
				sensitive: true}, "SHOW GRANTS FOR "+twin.String())
			switch {
			case err == nil:
				twins = append(twins, twin.String())
			case errorNumber(err) != 1141 && errorNumber(err) != 1044: // there is none, or a server that does not say
				return nil, nil, err
			}
		}
		asked = " (there is no " + strings.Join(hosts, " and no ") + ")"
	}
	return twins, []strategies.Warning{{Unknown: true, Text: fmt.Sprintf("user %q may not see whether it has accounts "+
		"for other hosts than %s%s. Their clients would be refused, for their password stays the old one. As an "+
		"administrator, SELECT Host FROM mysql.user WHERE User = %s; if there is one, set "+
		"SINGLE_USER_THROUGH_SUPERUSER=true. To let the preflight look, GRANT SELECT (`User`, `Host`) ON "+
		"`mysql`.`user` TO %s", s.login.User, s.actingAccount, asked, typedText(s.login.User), s.actingAccount)}}, nil
}

// ownGrants are those of the account that asks, with its active roles.
const ownGrants = "SHOW GRANTS"

// discard ends a password that is retained, in a sentence. Until a rotation has set another, that may be AWSCURRENT's:
// who may alter the account can have made it the older one.
const discard = "To discard it, after the next rotation and not before, for AWSCURRENT may have the older one: " +
	"ALTER USER %s DISCARD OLD PASSWORD"

// guessRetained adds that a second password may be there, of an account that may keep one and
// may not see mysql.user.
func (s *session) guessRetained(ctx context.Context, all []strategies.Warning) ([]strategies.Warning, error) {
	lines, err := s.query(ctx, operation{action: "looking up whether the user may keep a second password",
		sensitive: true}, ownGrants)
	if err != nil || !slices.ContainsFunc(lines, func(line []string) bool {
		return strings.Contains(line[0], "APPLICATION_PASSWORD_ADMIN")
	}) {
		return all, err
	}
	return append(all, strategies.Warn("account %s may keep a second password (APPLICATION_PASSWORD_ADMIN). If dual "+
		"passwords rotated it before, the old one goes on letting clients in, and a rotation without them leaves it. "+
		discard, s.actingAccount, s.actingAccount)), nil
}

// refuseTwins stops a change that reaches one account of a name where clients may be
// on others.
func (s *session) refuseTwins(twins []string) error {
	if twins == nil {
		return nil
	}
	look := s.fix("%s", authMethods{mariadb: s.mariadb}.clientsOf(s.login.User))
	look.For = "to see from where clients log in by this name"
	look.Note = fmt.Sprintf("a job that runs at night is not shown by day; if %s was added during a rotation, the "+
		"account that it hides may have AWSPENDING's password by now: DROP USER the added one, and status says to "+
		"finish", s.actingAccount)
	return s.errorf(rotator.KindMisconfigured, "user %q logged in as %s and can change the password of that account "+
		"only. %s would keep the password that it has, and refuse the clients that it is for. DROP USER the one of "+
		"them that no client needs (%s shows where clients come from), as one that was added since the last rotation, "+
		"or, if all are this secret's, set SINGLE_USER_THROUGH_SUPERUSER=true, by which a superuser changes all "+
		"accounts of the name, for each secret that this function rotates",
		s.login.User, s.actingAccount, strings.Join(twins, ", "), look)
}

// warnings says what of a user's accounts will work today and may surprise later.
func (s *session) warnings(ctx context.Context, user string, rows []accountRow,
	sample secret.Password) ([]strategies.Warning, error) {
	all, err := s.policyCaveats(ctx, sample, "")
	if err != nil {
		return nil, err
	}
	var having []accountRow
	for _, r := range rows {
		if r.plugin() != "" && !r.isRole {
			having = append(having, r)
		}
	}
	if len(having) > 1 {
		all = append(all, strategies.Warn("user %q has %d accounts, %s: all of them that are not locked get the same "+
			"new password", user, len(having), names(having)))
	}
	return append(all, s.rowCaveats(having)...), nil
}

func (s *session) rowCaveats(rows []accountRow) []strategies.Warning {
	var all []strategies.Warning
	for _, r := range rows {
		if r.retained {
			all = append(all, strategies.Warn("account %s has a retained second password, which lets clients in, and "+
				"a rotation without dual passwords leaves it. "+discard, r, r))
		}
		if n := attemptsOf(r.rules["attempts"]); n > 0 {
			all = append(all, attemptsWarning(r.account, n))
		}
		if r.expiresOn != "" && strings.Contains(r.expiry, "INTERVAL") {
			all = append(all, strategies.Warn("the password of account %s expires on %s, unless it is rotated "+
				"before: rotate more often than %s", r, r.expiresOn,
				strings.TrimPrefix(r.expiry, "PASSWORD EXPIRE INTERVAL ")))
		}
	}
	return all
}

func attemptsWarning(a account, n int) strategies.Warning {
	w := strategies.Warn("account %s is blocked after %d failed logins (FAILED_LOGIN_ATTEMPTS), also for the right "+
		"password. To lift that: ALTER USER %s FAILED_LOGIN_ATTEMPTS 0; or rotate it with dual passwords "+
		"(MYSQL_DUAL_PASSWORDS=true), by which no client is refused", a, n, a)
	w.Attempts = n
	return w
}

// simpleCheck is MariaDB's own plugin that judges passwords. What it wants can be read.
const simpleCheck = "simple_password_check"

// reuseCheck is the one that refuses what was set before.
const reuseCheck = "password_reuse_check"

// passwordJudges asks MariaDB for its plugins that judge passwords, and what else policyCaveats says.
const passwordJudges = `SELECT GROUP_CONCAT(PLUGIN_NAME ORDER BY 1 SEPARATOR ', '), IF(@@GLOBAL.strict_password_validation, 'Y', 'N'),
  @@GLOBAL.max_password_errors
FROM information_schema.PLUGINS WHERE PLUGIN_TYPE = 'PASSWORD VALIDATION' AND PLUGIN_STATUS = 'ACTIVE'`

// policyCaveats says what of a server's policy cannot be asked in advance, and refuses what can
// be seen to be against it: MariaDB lets its plugins judge a password only when it
// is really set. another is what else keeps a password in clear from being seen.
func (s *session) policyCaveats(ctx context.Context, sample secret.Password, another string) ([]strategies.Warning,
	error) {
	var all []strategies.Warning
	switch {
	case !s.login.TLS.Disabled:
	case s.mariadb:
		all = append(all, strategies.Warn(`"ssl": false: a listener on the line reads the hash of the new password, and with the next login can make from it what lets in as well as the password. Use TLS`))
	default:
		all = append(all, strategies.Warn(`"ssl": false: a listener on the line reads the new password in the statement that sets it, and a host that answers in the server's place can have the password of each login. Use TLS`))
	}
	if !s.mariadb {
		return all, nil
	}
	row, err := s.row(ctx, operation{action: "looking up what judges passwords"}, passwordJudges)
	if err != nil {
		return nil, err
	}
	if n, err := strconv.ParseUint(row[2], 10, 64); err == nil && n < math.MaxUint32 {
		w := strategies.Warn("this server blocks a user after %d wrong passwords in a row (max_password_errors), "+
			"until FLUSH PRIVILEGES. To lift that: SET GLOBAL max_password_errors = 4294967295", n)
		w.Attempts = int(n)
		all = append(all, w)
	}
	if row[0] == "" {
		return all, nil
	}
	if row[1] != "Y" {
		return append(all, strategies.Warn("new passwords are not judged by %s: strict_password_validation is off, "+
			"and MariaDB is given a hash", row[0])), nil
	}
	all = append(all, strategies.Warn("MariaDB takes the new password in clear for %s to judge "+
		"(strict_password_validation), and SHOW PROCESSLIST shows it while it is set, to every session of user %q and "+
		"to every account with PROCESS (performance_schema, where it is on, to those that may read it). REVOKE these "+
		"from accounts that may not have it%s; or SET GLOBAL strict_password_validation = 0, by which MariaDB is "+
		"given a hash, and the plugin judges nothing", row[0], s.login.User, another))
	plugins := strings.Split(row[0], ", ")
	if slices.Contains(plugins, simpleCheck) {
		if err := s.checkSimply(ctx, sample); err != nil {
			return nil, err
		}
		plugins = slices.DeleteFunc(plugins, func(p string) bool { return p == simpleCheck })
	}
	if len(plugins) > 0 {
		w := strategies.Warning{Unknown: true,
			Text: fmt.Sprintf("new passwords are judged by %s, which MariaDB does only when one is really set: "+
				"whether it takes the next one is not known. See that the function's password settings satisfy it",
				strings.Join(plugins, ", "))}
		if slices.Contains(plugins, reuseCheck) { // it is shown beside a retry, too
			show := s.fix("SHOW GLOBAL VARIABLES LIKE '" + reuseCheck + "_interval'")
			show.For = "to see for how many days " + reuseCheck + " refuses a password that was used (0: for ever)"
			show.Note = "if setSecret says that the user had AWSPENDING's password before, no retry helps: cancel " +
				"rotation, then run status again"
			w.Fixes = []rotator.Fix{show}
		}
		all = append(all, w)
	}
	return all, s.checkUnlogged(ctx)
}

// checkSimply holds a password to the variables of simple_password_check, as the plugin does.
// https://mariadb.com/kb/en/simple-password-check-plugin/
func (s *session) checkSimply(ctx context.Context, p secret.Password) error {
	row, err := s.row(ctx, operation{action: "looking up what " + simpleCheck + " wants"}, `SELECT @@GLOBAL.simple_password_check_minimal_length, @@GLOBAL.simple_password_check_digits,
  @@GLOBAL.simple_password_check_letters_same_case, @@GLOBAL.simple_password_check_other_characters`)
	if err != nil {
		return err
	}
	var want [4]int
	for i := range want {
		if want[i], err = strconv.Atoi(row[i]); err != nil {
			return s.errorf(rotator.KindInternal, "the variables of %s: %v", simpleCheck, err)
		}
	}
	var digits, lower, upper, others int
	for _, c := range []byte(p.Reveal()) {
		switch {
		case c >= '0' && c <= '9':
			digits++
		case c >= 'a' && c <= 'z':
			lower++
		case c >= 'A' && c <= 'Z':
			upper++
		default:
			others++
		}
	}
	if len(p.Reveal()) < want[0] || digits < want[1] || min(lower, upper) < want[2] || others < want[3] {
		return s.errorf(rotator.KindPasswordPolicy, "%s of this server would refuse the new password: it wants %d "+
			"characters at least, %d digits, %d letters of each case and %d others. Adapt the function's password "+
			"settings (PASSWORD_LENGTH, EXCLUDE_NUMBERS, EXCLUDE_PUNCTUATION, EXCLUDE_UPPERCASE, EXCLUDE_LOWERCASE, "+
			"REQUIRE_EACH_INCLUDED_TYPE)",
			simpleCheck, want[0], want[1], want[2], want[3])
	}
	return nil
}
