// Package mysql rotates passwords of MySQL 8.0 to 9.x and Aurora MySQL (Engine), and
// of MariaDB 10.5 to 11.x (MariaDB), on Amazon RDS or elsewhere. Its tests run on
// MySQL 9.7 and on MariaDB 10.5, 10.11 and 11.8; MySQL 8.0 and 8.4 (which
// QUARTERTURN_MYSQL_SERVERS can name to them) and all of Amazon's have not been tried.
//
// TLS is verified or the connection fails; only TLS.Disabled, which the secret has to
// ask for, means plaintext. Even then the password of a login is never sent in clear,
// and a server that asks for the clear text is refused. But accounts of
// caching_sha2_password and sha256_password prove it by encrypting it with an RSA key
// that the server sends, unverified: a host that answers in the server's place, with a key
// of its own, can read the password. And a listener reads every statement:
// on MySQL the one that sets the new password carries it. The preflight reports T2
// as skipped then.
//
// Nothing is read from a file for the server (LOAD DATA LOCAL). Several statements go in one
// text where distance would cost a round trip for each, and none of them sets a password: the
// settings of a session with what it looks up, and grants that are copied to a clone.
//
// # Accounts
//
// An account of these servers is a user name and a host, and a name may have several
// ('app'@'10.0.%', 'app'@'localhost'), each with its own password. A secret holds the
// name alone, and its clients come from wherever they run. So:
//
//   - A user that changes its own password changes the one account that the server let
//     it in as, CURRENT_USER(); it has no right to the others. The preflight fails
//     where it sees another: MySQL says of 'app'@'%' and 'app'@'localhost' whether
//     they exist, and SELECT (User, Host) on mysql.user shows them all. What is not
//     shown is unknown. A login that turned into another name (an anonymous
//     account, a proxied one, a server run with skip-grant-tables) proves nothing,
//     and is an error.
//   - A superuser changes every account of the name that has a password, to the same
//     password, if the secret holds a password of each (see checkHeld): to change only
//     the one that the function itself would meet would
//     lock out the clients on other hosts. One statement changes them all, and
//     whatever was cut off, the next run looks which of them do not have the
//     password yet. Accounts of the name that are locked, or have no password
//     (auth_socket, unix_socket), are left alone.
//   - A clone has an account for every host that the original has one for.
//
// # What the server logs
//
// MySQL masks passwords in its general log, and stores hashes in its binary log.
// MariaDB does neither for every statement: there the password is hashed here, and
// the statement is given the hash, so that no log can hold it in clear. One case is
// left: where a password validation plugin is loaded and strict_password_validation
// is on (its default), MariaDB takes no hashes, and the password has to be sent. It
// is not sent where the general log is on. (The binary log holds a hash, and the slow
// log can be turned off for the session.) While it is set, the processlist shows it: no
// statement that sets a password takes a parameter, and of one that is put together on
// the server, the list has the result. Where
// strict_password_validation is off, the plugin sees no hash, and so is not asked.
//
// # Two passwords at a time
//
// MySQL 8.0.14 and later keep a second password for an account that may have one
// (APPLICATION_PASSWORD_ADMIN): strategies.DualPasswords{Engine: mysql.Engine{}}
// rotates with no moment at which the old or the new one is refused. MariaDB has
// nothing like it, and strategies.DualPasswords{Engine: mysql.MariaDB{}} does not
// compile. To go back to SingleUser: a retained password stays, until
// ALTER USER ... DISCARD OLD PASSWORD. The preflight says so.
//
// # What works of MariaDB's authentication
//
// mysql_native_password and ed25519. The driver knows no parsec, gssapi or pam: such
// accounts cannot log in here, and a superuser is told so before it changes one. Of an
// account with several methods the driver tries mysql_native_password, where that is the
// first, and one more: what a later method alone would accept is a refused login here.
package mysql

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
)

// Engine is MySQL. The zero value is ready for use. At a server that turns out to be
// MariaDB it speaks MariaDB's dialect; the two types differ in what secrets they
// serve, in limits, and in that only this one keeps old passwords.
type Engine struct {
	// Roots are the authorities by which server certificates are judged.
	// nil: those of Amazon RDS.
	Roots *x509.CertPool

	// DialTimeout bounds finding the host and reaching it, HandshakeTimeout the
	// server's greeting and TLS, StatementTimeout every statement. Zero: 5 seconds.
	// LoginTimeout bounds the authentication after that. Zero: what the context leaves,
	// less 10 seconds (dial.LoginTime). The context bounds them all.
	DialTimeout      time.Duration
	HandshakeTimeout time.Duration
	LoginTimeout     time.Duration
	StatementTimeout time.Duration
}

// MariaDB is MariaDB: the same engine with other names and limits.
type MariaDB Engine

var (
	_ strategies.CloningEngine      = Engine{}
	_ strategies.PairTester         = Engine{}
	_ strategies.DualPasswordEngine = Engine{}
	_ strategies.CloningEngine      = MariaDB{}
	_ strategies.PairTester         = MariaDB{}
)

const (
	// maxPassword is what caching_sha2_password takes, the least of all plugins.
	maxPassword = 256
	// exclude is AWS's for both.
	exclude = `:/@"'\`
	// administrators are those that there are of each server of these.
	administrators = "root or the master user of RDS"
)

// Traits implements strategies.Engine.
func (Engine) Traits() strategies.Traits {
	return strategies.Traits{
		Name:              "MySQL",
		Engines:           []string{"mysql", "aurora-mysql"},
		Port:              3306,
		CloneSuffix:       cloneSuffix,
		MaxUserBytes:      32, // the server counts characters; bytes are on the safe side
		MaxPasswordSize:   maxPassword,
		ExcludeCharacters: exclude,
		Administrators:    administrators,
		DetectsPoolers:    true,
		SeveralAccounts:   true,
	}
}

// Traits implements strategies.Engine.
func (MariaDB) Traits() strategies.Traits {
	t := Engine{}.Traits()
	t.Name, t.Engines = "MariaDB", []string{"mariadb"}
	t.MaxUserBytes = 128 // until 10.5 it is 80, and the server itself says so
	return t
}

// Ping implements strategies.Engine. It logs in, asks the server whom it let in, and
// logs out. Whether a proxy says that a database is not for the user, and so nothing of the
// password, a login to none shows.
func (e Engine) Ping(ctx context.Context, login strategies.Login) error {
	err := e.ping(ctx, login)
	if n := errorNumber(err); login.Database == "" || login.PoolerForwardsLogins || n != 1044 && n != 1049 {
		return err
	}
	login.Database = ""
	if none := e.ping(ctx, login); none != nil && !errors.As(none, new(rotator.AcceptedPassword)) {
		return none
	}
	return err
}

func (e Engine) ping(ctx context.Context, login strategies.Login) error {
	s, err := e.connect(ctx, login, false)
	if err != nil {
		return err
	}
	defer s.close()
	_, err = s.checkIdentity(ctx)
	return err
}

// SetPassword implements strategies.Engine. An account changes its own password with
// no right but to log in, also when the password has expired. A superuser needs, on
// MySQL, CREATE USER (and SYSTEM_USER to change an account that has it) and SELECT on
// the tables of mysql; on MariaDB, UPDATE and SELECT on mysql.*.
func (e Engine) SetPassword(ctx context.Context, login strategies.Login, user string, p secret.Password) error {
	if err := checkNewPassword(p, user); err != nil {
		return err
	}
	s, err := e.openForChange(ctx, login, looksOf(login, user, false), user)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.checkMasked(ctx); err != nil {
		return err
	}
	if user == login.User {
		return s.changeOwn(ctx, p)
	}
	targets, err := s.passwordAccounts(ctx, user)
	if err == nil {
		err = s.checkAlike(ctx, targets)
	}
	if err == nil {
		err = s.checkHeld(ctx, targets, targets)
	}
	if err != nil {
		return err
	}
	return s.changeOthers(ctx, targets, p)
}

// DryRunSetPassword implements strategies.Engine. Neither server can take a change of an
// account back, but both can be asked for one that must fail at the very end, when
// everything else has been checked: MySQL to replace a password that is not the
// account's, MariaDB to store a hash that is none.
func (e Engine) DryRunSetPassword(ctx context.Context, login strategies.Login, user string,
	sample secret.Password) ([]strategies.Warning, error) {
	return e.dryRun(ctx, login, user, sample, "")
}

func (e Engine) dryRun(ctx context.Context, login strategies.Login, user string, sample secret.Password,
	keeping string) ([]strategies.Warning, error) {
	if err := checkName(userName, user); err != nil {
		return nil, err
	}
	s, err := e.openForChange(ctx, login, looksOf(login, user, true), user)
	if err != nil {
		return nil, err
	}
	defer s.close()
	if err := s.checkMasked(ctx); err != nil {
		return nil, err
	}
	if keeping != "" {
		if err := s.checkKeeping(); err != nil {
			return nil, err
		}
	}
	if user == login.User {
		if err := s.dryRunOwn(ctx, sample, keeping); err != nil {
			return nil, err
		}
		return s.ownCaveats(ctx, sample, keeping != "")
	}
	all, err := s.accounts(ctx, user)
	if err != nil {
		return nil, err
	}
	targets, err := s.changeable(ctx, all, user)
	if err == nil {
		err = s.checkAlike(ctx, targets)
	}
	if err == nil {
		err = s.checkHeld(ctx, targets, targets)
	}
	if err != nil {
		return nil, err
	}
	targets = slices.DeleteFunc(slices.Clone(targets), func(r accountRow) bool { return r.holdsAlone(sample) })
	if len(targets) == 0 && len(all) > 0 { // as after setSecret: nothing is left to be refused
		return nil, nil
	}
	if err := s.dryRunOthers(ctx, targets, sample); err != nil {
		return nil, err
	}
	warnings, err := s.warnings(ctx, user, all, sample)
	if len(targets) == 1 { // of several, checkHeld looks at each
		warnings = append(warnings, s.unheld(ctx, targets[0], false)...)
	}
	return warnings, err
}

// looksOf gives what a change of the password of user, or its dry run, asks for before anything
// else. What an account may not see comes last: the server runs nothing after a failure.
func looksOf(login strategies.Login, user string, dryRun bool) func(*session) []string {
	return func(s *session) (looks []string) {
		own := user == login.User
		if dryRun || !s.mariadb {
			looks = append(looks, s.whatAChangeAsks())
		}
		if own && (dryRun || s.mariadb) {
			looks = append(looks, howTheUserLogsIn)
		}
		if dryRun && own && !s.mariadb {
			looks = append(looks, ownGrants)
		}
		if dryRun && own {
			looks = append(looks, hostsOf(user))
		}
		if dryRun || !own {
			looks = append(looks, s.accountsOf(user))
		}
		return looks
	}
}

// whatAChangeAsks is of the server: what judges passwords, or would log them.
func (s *session) whatAChangeAsks() string {
	if s.mariadb {
		return passwordJudges
	}
	return whatIsLogged
}

// Ping implements strategies.Engine.
func (m MariaDB) Ping(ctx context.Context, login strategies.Login) error {
	return Engine(m).Ping(ctx, login)
}

// SetPassword implements strategies.Engine, as Engine does.
func (m MariaDB) SetPassword(ctx context.Context, login strategies.Login, user string, p secret.Password) error {
	return Engine(m).SetPassword(ctx, login, user, p)
}

// DryRunSetPassword implements strategies.Engine, as Engine does.
func (m MariaDB) DryRunSetPassword(ctx context.Context, login strategies.Login, user string,
	sample secret.Password) ([]strategies.Warning, error) {
	return Engine(m).DryRunSetPassword(ctx, login, user, sample)
}

// EnsureClone implements strategies.CloningEngine, as Engine does.
func (m MariaDB) EnsureClone(ctx context.Context, login strategies.Login, pair strategies.Pair,
	p secret.Password) error {
	return Engine(m).EnsureClone(ctx, login, pair, p)
}

// DryRunEnsureClone implements strategies.CloningEngine, as Engine does.
func (m MariaDB) DryRunEnsureClone(ctx context.Context, login strategies.Login, pair strategies.Pair,
	sample secret.Password) ([]strategies.Warning, error) {
	return Engine(m).DryRunEnsureClone(ctx, login, pair, sample)
}

// checkNewPassword refuses what the server would take in another sense than was meant.
func checkNewPassword(p secret.Password, names ...string) error {
	switch text := p.Reveal(); {
	case p.Empty():
		return fmt.Errorf("new password: %w: it is empty: every client could log in", rotator.KindMisconfigured)
	case strings.ContainsRune(text, 0):
		return fmt.Errorf("new password: %w: it holds a NUL, at which clients end it", rotator.KindMisconfigured)
	case !utf8.ValidString(text):
		return fmt.Errorf("new password: %w: it is not UTF-8", rotator.KindMisconfigured)
	case len(text) > maxPassword:
		return fmt.Errorf("new password: %w: it has %d bytes, and caching_sha2_password takes %d",
			rotator.KindMisconfigured, len(text), maxPassword)
	}
	for _, name := range names {
		if err := checkName(userName, name); err != nil {
			return err
		}
	}
	return nil
}

// userName is what checkName calls one.
const userName = "user name"

// checkName refuses a name that some part of the way would end at a NUL, and an
// empty one, which is the anonymous user's. Names that are too long the server
// itself refuses: it knows its limit, and cuts none.
func checkName(what, name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%s: %w: it is empty", what, rotator.KindMisconfigured)
	case strings.ContainsRune(name, 0):
		return fmt.Errorf("%s %q: %w: it holds a NUL", what, name, rotator.KindMisconfigured)
	case !utf8.ValidString(name):
		return fmt.Errorf("%s %q: %w: it is not UTF-8", what, name, rotator.KindMisconfigured)
	case what == userName && strings.HasSuffix(name, " "):
		return fmt.Errorf("%s %q: %w: it ends in a space, which MySQL ignores: it would be another user's", what, name,
			rotator.KindMisconfigured)
	}
	return nil
}

// ResetStatement implements strategies.Resetter.
func (Engine) ResetStatement(user string) string {
	return resetStatement(user) + ". Error 3638: it was used before, so " + usedBefore + ". " + refusedMySQL
}

// ResetStatement implements strategies.Resetter.
func (MariaDB) ResetStatement(user string) string {
	return resetStatement(user) + ". " + refusedMariaDB
}

func resetStatement(user string) string {
	return "ALTER USER " + quoteIdent(user) + "@`%` IDENTIFIED BY 'PASSWORD' ACCOUNT UNLOCK " +
		"-- with the host that the account has (error 1396: there is none for this host). " + typedTwice
}

// typedTwice is how a password is typed in place of PASSWORD.
const typedTwice = `In place of PASSWORD, write each ' and each \ of it twice` + twiceBut

// twiceBut is where a backslash in a constant stands for itself.
const twiceBut = ` (a \ once where sql_mode has NO_BACKSLASH_ESCAPES)`

// A password that a policy refuses is not set by relaxing that, which would be for every user of the server until it is
// put back.
const (
	refusedMySQL   = "Error 1819: a policy refuses it, so " + setAnother
	refusedMariaDB = "Error 1819, or 1396 of an account that is there: a plugin refuses it, so " + setAnother
	setAnother     = "set another that it takes, and store that in the user's secret, with all else that AWSCURRENT " +
		"has (put-secret-value; of a pair, then move AWSPREVIOUS back to the version that had it)"
)

// usedBefore is how MySQL takes a password again that its history has.
const usedBefore = "add PASSWORD HISTORY 0 PASSWORD REUSE INTERVAL 0 DAY, and put both back afterwards to what SHOW " +
	"CREATE USER shows before"
