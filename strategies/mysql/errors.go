package mysql

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/dial"
)

// A phase is how far a call had come when it failed: the same error means
// different things in different stages.
type phase int

const (
	querying phase = iota
	dialing
	greeting
	securing
	loggingIn
)

// operation is what was being done, and what explain has to know of it.
type operation struct {
	phase   phase
	limit   time.Duration
	mariadb bool // known while logging in, if the server has said so

	action       string // "changing the password", of a statement
	remedy       string // what to do if the server does not permit it
	setsPassword bool   // the statement carries a new password: refusals are the policy's
	sensitive    bool   // the statement carries values that the server may repeat
	selfChange   bool   // the account changes itself
	isGrant      bool   // the statement is a GRANT, whose refusals have numbers of their own
}

// wrapError gives every failure of the driver, the network and the server its kind
// and a sentence that names cause and remedy. It is the only place that does.
func wrapError(ctx context.Context, login strategies.Login, st operation, err error) error {
	var server *mysql.MySQLError
	var kind rotator.Kind
	var sentence string
	cause := err
	switch {
	case errors.As(err, &server):
		kind, sentence = classifyServer(login, st, server)
		cause = redactServerError(server, st)
	case errors.Is(ctx.Err(), context.Canceled):
		kind, sentence, cause = rotator.KindDeadline, "the call was cancelled", ctx.Err()
	case st.phase == dialing:
		kind, sentence = dial.ClassifyDial(ctx, login, st.limit, err)
	case dial.IsTimeout(err):
		kind, sentence, cause = rotator.KindUnreachable, timeoutText(ctx, login, st), context.DeadlineExceeded
	case st.phase == securing && !isHangup(err):
		kind, sentence = dial.ClassifyTLS(login, err)
	case errors.Is(err, errNotMySQL), errors.Is(err, mysql.ErrOldProtocol):
		kind, sentence, cause = rotator.KindMisconfigured, fmt.Sprintf("%s does not speak MySQL's protocol: check host and port in the secret", dial.Address(login)), errNotMySQL
	case errors.Is(err, mysql.ErrNoTLS):
		kind, sentence = rotator.KindTLS, `the server does not offer TLS: turn it on there. Only "ssl": false in the secret makes a connection without TLS`
	case isHangup(err):
		kind, sentence = rotator.KindUnreachable, "the server closed the connection: it may be restarting or failing over, or a proxy in between has no database behind it"
	case st.phase != querying:
		kind, sentence, cause = classifyLogin(err)
	default:
		kind, sentence = rotator.KindInternal, "the driver failed"
	}
	if st.action != "" {
		sentence = st.action + ": " + sentence
	}
	err = fmt.Errorf("%s: %w: %s: %w", dial.Describe(login), kind, sentence, cause)
	if st.phase != querying {
		return strategies.MarkLoginError(err)
	}
	return err
}

// redactServerError keeps of a server's error what cannot hold a value of ours. Of a
// statement that carries values, messages are kept where it is known what is in
// them: names and privileges. (1064 repeats the statement.)
func redactServerError(e *mysql.MySQLError, st operation) error {
	safe := &mysql.MySQLError{Number: e.Number, SQLState: e.SQLState, Message: e.Message}
	if e.Number == 1064 || st.sensitive && !safeErrors[e.Number] {
		safe.Message = "message withheld"
	}
	return safe
}

var safeErrors = map[uint16]bool{
	1044: true, 1045: true, 1142: true, 1205: true, 1213: true, 1227: true, 1290: true, 1396: true, 1524: true, 1698: true,
	1699: true, 1792: true, 1819: true, 1820: true, 1836: true, 3638: true, 3891: true, 3892: true, 3893: true, 3894: true, 3895: true, 3878: true,
}

// beforeLogin are the errors with which a server answers a connection, and not a
// login: too many of them, an address that it does not know or has blocked, and its
// own start and end. Nothing else is believed before credentials were sent.
var beforeLogin = map[uint16]bool{1040: true, 1041: true, 1053: true, 1077: true, 1079: true, 1129: true, 1130: true, 1135: true,
	1152: true, 1158: true, 1159: true, 1160: true, 1161: true, 1184: true, 3169: true}

// isHangup knows the driver's own names for it too, of which one is unexported.
func isHangup(err error) bool {
	return dial.IsConnClosed(err) || errors.Is(err, mysql.ErrInvalidConn) || strings.HasSuffix(err.Error(), "bad connection")
}

// timeoutText speaks of whoever did not answer in time.
func timeoutText(ctx context.Context, login strategies.Login, st operation) string {
	within := dial.WaitText(ctx, st.limit)
	switch st.phase {
	case greeting:
		return fmt.Sprintf("%s accepted the connection and never greeted (%s): a proxy or load balancer without a target, or something that is not MySQL, where the client would have to speak first", dial.Address(login), within)
	case securing:
		return fmt.Sprintf("%s fell silent in the TLS handshake (%s): a proxy or load balancer without a target, or an overloaded server", dial.Address(login), within)
	case loggingIn:
		return fmt.Sprintf("%s fell silent during the login (%s): a proxy or load balancer without a target, or an overloaded server", dial.Address(login), within)
	}
	return fmt.Sprintf("the server fell silent %s: it is overloaded, or the network was cut. The statement may still be carried out", within)
}

// classifyLogin reads a login that failed on our side of the wire. The driver's own texts
// advise on settings that nobody has here.
func classifyLogin(err error) (rotator.Kind, string, error) {
	switch {
	case errors.Is(err, mysql.ErrCleartextPassword):
		return rotator.KindMisconfigured, "the server asks for the password in clear (mysql_clear_password, as for PAM, LDAP or IAM accounts), and it is not sent: give the account caching_sha2_password, or ed25519 on MariaDB, or stop rotating this secret", errRefused
	case errors.Is(err, mysql.ErrOldPassword):
		return rotator.KindMisconfigured, "the server asks for the password in the form of MySQL 4.0, which shows it to whoever listens: give the account caching_sha2_password, or ed25519 on MariaDB", errRefused
	case errors.Is(err, mysql.ErrUnknownPlugin):
		return rotator.KindMisconfigured, "the server asks for a proof that this function cannot give (parsec, gssapi, PAM, LDAP or WebAuthn): give the account caching_sha2_password, or ed25519 on MariaDB", errRefused
	}
	return rotator.KindMisconfigured, "the server and this function found no way to prove the password: something that is not MySQL, or an account of a plugin that proves passwords in another way", errRefused
}

// errRefused stands in for texts of the driver that would mislead.
var errRefused = errors.New("the driver refused to go on")

// classifyServer reads the server's own errors, by number.
// https://dev.mysql.com/doc/mysql-errors/9.0/en/server-error-reference.html
// https://mariadb.com/kb/en/mariadb-error-codes/
func classifyServer(login strategies.Login, st operation, e *mysql.MySQLError) (rotator.Kind, string) {
	duringLogin := st.phase != querying
	says := func(words string) bool { return strings.Contains(e.Message, words) }
	remedy := func(otherwise string) string {
		if st.remedy != "" {
			return st.remedy
		}
		return otherwise
	}
	if st.phase == greeting && !beforeLogin[e.Number] {
		return rotator.KindMisconfigured, fmt.Sprintf("%s refused the connection before a password was sent, so that this says nothing of the password: a proxy in between, or something that is not MySQL. Check host and port in the secret", dial.Address(login))
	}
	switch e.Number {
	// Logins.
	case 1045:
		if duringLogin {
			return rotator.KindLoginRejected, rejectionText(login, st)
		}
		return rotator.KindPrivilege, remedy("the user has no right to pass privileges on: it needs them WITH GRANT OPTION on *.*")
	case 1698:
		if duringLogin { // MariaDB answers so for accounts of unix_socket, and for names that it does not know, where it has such accounts
			return rotator.KindLoginRejected, rejectionText(login, st, "the account logs in by unix_socket or auth_socket, on the server's own machine")
		}
		return rotator.KindPrivilege, remedy("the server does not permit it")
	case 1130:
		return rotator.KindMisconfigured, fmt.Sprintf("no account on this server may log in from the address of this function: create %s for a host that matches it, as 'user'@'10.0.%%'", quoteIdent(login.User))
	case 1129:
		return rotator.KindConflict, "the server has blocked the address of this function after too many broken connections: FLUSH HOSTS (TRUNCATE TABLE performance_schema.host_cache), and raise max_connect_errors"
	case 3118, 4151:
		return rotator.KindPrivilege, fmt.Sprintf("the account is locked, and no password opens it: ALTER USER %s ACCOUNT UNLOCK, with its host", quoteIdent(login.User))
	case 3955:
		return rotator.KindPrivilege, fmt.Sprintf("the account is blocked for a time after too many failed logins (FAILED_LOGIN_ATTEMPTS): ALTER USER %s ACCOUNT UNLOCK, with its host, and find who tries the old password", quoteIdent(login.User))
	case 4150:
		return rotator.KindPrivilege, "the account is blocked after max_password_errors wrong passwords: FLUSH PRIVILEGES, and find who tries the old one"
	case 1862:
		return rotator.KindPrivilege, "the password has expired (disconnect_on_expired_password): SET PASSWORD for the account as an administrator, or turn that off and let the rotation do it"
	case 1820:
		return rotator.KindPrivilege, "the password has expired, and the server answers nothing but a change of it: let the account rotate itself (single user), or set a new one as an administrator"
	case 3159, 4031:
		if e.Number == 3159 {
			return rotator.KindTLS, `the server takes connections with TLS only (require_secure_transport): remove "ssl": false from the secret`
		}
		return rotator.KindUnreachable, "the server ended the connection because it had been idle"
	case 1049:
		return rotator.KindMisconfigured, fmt.Sprintf("there is no database %q on this server: correct dbname in the secret, or leave it out", login.Database)
	case 1044:
		if duringLogin {
			return rotator.KindMisconfigured, fmt.Sprintf("the user has no privilege on the database %q, or there is none (the server does not say which): correct dbname in the secret, leave it out, or GRANT SELECT ON %s.* TO %s", login.Database, quoteIdent(login.Database), quoteIdent(login.User))
		}
		return rotator.KindPrivilege, remedy("the user has no right to that database")
	case 1040, 1203, 1226:
		if e.Number == 1226 && !says("max_user_connections") && !says("max_connections") {
			return rotator.KindTooManyConnections, fmt.Sprintf("the account %q has used up a limit of its own: ALTER USER with a higher one (MAX_QUERIES_PER_HOUR, MAX_UPDATES_PER_HOUR), or wait an hour", login.User)
		}
		return rotator.KindTooManyConnections, fmt.Sprintf("no free connection: raise max_connections of the server, or max_user_connections (MAX_USER_CONNECTIONS of %q); a rotation needs one or two beside the application's", login.User)
	case 1251, 1275:
		return rotator.KindMisconfigured, "the server and this function have no way of authentication in common for this account"
	case 1524:
		return rotator.KindMisconfigured, "the account's authentication plugin is not loaded on this server (mysql_native_password is off by default in MySQL 8.4 and gone in 9): ALTER USER ... IDENTIFIED WITH caching_sha2_password BY a new password"

	// Changes.
	case 1142, 1143, 1227, 1370, 1403, 3530, 1959:
		return rotator.KindPrivilege, remedy("the server does not permit it")
	case 1133, 1396:
		return rotator.KindNotFound, "the server knows no such account, or another session made or dropped it just now"
	case 1141, 1147:
		return rotator.KindConflict, "a right that was to be taken away is gone already: another session changes the same accounts. Try again"
	case 3523:
		return rotator.KindNotFound, "the server knows no such account or role"
	case 1290:
		switch {
		case says("read-only") || says("read_only") || says("READ-ONLY") || says("READ_ONLY"):
			return rotator.KindReadOnly, readOnly
		case says("strict-password-validation"):
			return rotator.KindPasswordPolicy, "MariaDB takes no hashes where a plugin has to see passwords"
		}
		return rotator.KindMisconfigured, "an option that the server runs with forbids it (skip-grant-tables?): restart it without"
	case 1836, 1874, 1792, 3100:
		return rotator.KindReadOnly, readOnly
	case 1819, 3638, 4165:
		return rotator.KindPasswordPolicy, "a password policy of the server refused the new password (validate_password, PASSWORD HISTORY or REUSE, or a plugin that the message names): adapt the function's password settings to it"
	case 1699, 3879, 3894:
		return rotator.KindMisconfigured, "the account has no password in the server (auth_socket, unix_socket, PAM, LDAP or IAM), so that there is none to change: stop rotating this secret, or give the account a password plugin"
	case 3892:
		return rotator.KindConflict, "the account must name its current password (PASSWORD REQUIRE CURRENT), and the one it logged in with is not that: somebody has changed it in the meantime, or it is a retained one. Rotate through a superuser's secret once"
	case 3891, 3893:
		return rotator.KindConflict, "the current password is another than the one that was used to log in: somebody has changed it in the meantime. Try again"
	case 3878, 3895:
		return rotator.KindMisconfigured, "the server keeps no empty password as the second one"
	case 1205, 1213, 1412, 3572:
		return rotator.KindConflict, "another session holds a lock on the server's accounts: a second rotation, a backup, or FLUSH TABLES. Try again"
	case 1470:
		return rotator.KindMisconfigured, "the name is longer than this server takes (MySQL 32 characters, MariaDB 128, until 10.5 80): use a shorter one"
	case 1053, 1077, 1079, 1152, 1153, 1158, 1159, 1160, 1161, 1184, 1927, 3169:
		return rotator.KindUnreachable, "the server is starting, stopping or failing over, or an administrator ended the connection: try again when it is up"
	case 1317, 1969, 3024:
		return rotator.KindDeadline, "the server ended the statement, which took too long: try again"
	case 1372, 1827, 1390:
		return rotator.KindMisconfigured, "the server takes hashes of another kind for this account"
	}
	if st.setsPassword && strings.HasPrefix(string(e.SQLState[:]), "45") { // SIGNAL, in a plugin or an audit filter
		return rotator.KindPasswordPolicy, "something on the server refused the new password"
	}
	return rotator.KindInternal, "the server reported an error"
}

const readOnly = "this server takes no changes: it is a replica, or set to read only. Point the secret at the writer endpoint, not at a reader endpoint"

// rejectionText names what 1045 can mean, but for what is known not to be so.
func rejectionText(login strategies.Login, st operation, more ...string) string {
	causes := []string{
		"the password is wrong",
		fmt.Sprintf("there is no account %s for the address of this function", quoteIdent(login.User)),
		"another account comes before it for this address, an anonymous one perhaps",
	}
	if login.TLS.Disabled {
		causes = append(causes, `the account or the server demands TLS (remove "ssl": false)`)
	} else {
		causes = append(causes, "the account demands a client certificate (REQUIRE X509)")
	}
	if st.mariadb {
		causes = append(causes, "the account is locked (MariaDB says so only where the password is right)")
	}
	causes = append(causes, more...)
	return "the server did not accept the login, and does not say why: " + strings.Join(causes[:len(causes)-1], ", ") + ", or " + causes[len(causes)-1]
}
