package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

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
	securing
	loggingIn
	beginning
)

// operation is what was being done, and what explain has to know of it.
type operation struct {
	phase  phase
	limit  time.Duration
	method authMethod // known while logging in
	proved bool       // a proof of the password has been sent

	action       string // "changing the password", of a statement
	remedy       string // what to do if the server does not permit it
	setsPassword bool   // the statement carries a password: refusals are the policy's
	sensitive    bool   // the statement carries values that the server may repeat
}

// wrapError gives every failure of the driver, the network and the server its kind
// and a sentence that names cause and remedy. It is the only place that does.
func wrapError(ctx context.Context, login strategies.Login, st operation, err error) error {
	var pgErr *pgconn.PgError
	var kind rotator.Kind
	var sentence string
	cause := err
	switch {
	case errors.As(err, &pgErr):
		kind, sentence = classifyServer(login, st, pgErr)
		cause = redactServerError(pgErr, st)
	case errors.Is(ctx.Err(), context.Canceled):
		kind, sentence, cause = rotator.KindDeadline, "the call was cancelled", ctx.Err()
	case st.phase == dialing:
		kind, sentence = dial.ClassifyDial(ctx, login, st.limit, err)
	case dial.IsTimeout(err):
		kind, sentence = rotator.KindUnreachable, timeoutText(ctx, login, st)
	case st.phase == securing:
		kind, sentence = classifyTLS(login, err)
	case dial.IsConnClosed(err), errors.Is(err, pgconn.ErrConnClosed):
		kind, sentence = rotator.KindUnreachable, "the server closed the connection: it may be restarting or failing over, or a proxy in between has no database behind it"
	case st.phase == loggingIn:
		kind, sentence = classifyLogin(login, st.method)
	default:
		kind, sentence = rotator.KindInternal, "the driver failed"
	}
	// The driver's outermost error carries its configuration, and so the password.
	var connectErr *pgconn.ConnectError
	if errors.As(cause, &connectErr) {
		cause = connectErr.Unwrap()
	}
	if st.action != "" {
		sentence = st.action + ": " + sentence
	}
	err = fmt.Errorf("%s: %w: %s: %w", dial.Describe(login), kind, sentence, cause)
	if st.phase == dialing || st.phase == securing || st.phase == loggingIn {
		return strategies.MarkLoginError(err)
	}
	return err
}

// redactServerError keeps of a server's error what cannot hold a value of ours: not
// the detail, the statement or the context, and the message only where the
// statement had no values in it.
func redactServerError(e *pgconn.PgError, st operation) error {
	safe := &pgconn.PgError{Severity: e.Severity, Code: e.Code, Message: e.Message}
	if st.sensitive && e.Code != "42501" {
		safe.Message = "message withheld"
	}
	return safe
}

// timeoutText speaks of whoever did not answer in time.
func timeoutText(ctx context.Context, login strategies.Login, st operation) string {
	within := dial.WaitText(ctx, st.limit)
	switch st.phase {
	case securing:
		return fmt.Sprintf("%s accepted the connection and fell silent in the TLS handshake (%s): a proxy or load balancer without a target, or something that is not PostgreSQL", dial.Address(login), within)
	case loggingIn:
		return fmt.Sprintf("%s accepted the connection and fell silent during the login (%s): a proxy or load balancer without a target, an overloaded server, or something that is not PostgreSQL", dial.Address(login), within)
	}
	return fmt.Sprintf("the server fell silent %s: it is overloaded, or the network was cut", within)
}

// classifyTLS reads a failed handshake, and what comes before it on PostgreSQL's port.
func classifyTLS(login strategies.Login, err error) (rotator.Kind, string) {
	switch {
	case errors.Is(err, errRefusedTLS):
		return rotator.KindTLS, `the server does not offer TLS: turn it on there (ssl = on). Only "ssl": false in the secret makes a connection without TLS`
	case errors.Is(err, errNotReady):
		return rotator.KindUnreachable, "the server cannot start a process for the connection: it is out of resources, starting or stopping"
	case errors.Is(err, errNotPostgres):
		return rotator.KindTLS, fmt.Sprintf("%s does not speak PostgreSQL's protocol: check host and port in the secret", dial.Address(login))
	}
	return dial.ClassifyTLS(login, err)
}

// classifyLogin reads a login that failed on our side of the wire.
func classifyLogin(login strategies.Login, m authMethod) (rotator.Kind, string) {
	switch {
	case m == authNone:
		return rotator.KindMisconfigured, "the server lets this user in without asking for the password (trust or the like in pg_hba.conf), so that a login proves nothing: ask for scram-sha-256 there"
	case m == authCleartext && login.TLS.Disabled:
		return rotator.KindMisconfigured, `the server asks for the password in clear, and "ssl": false in the secret turns TLS off: the password is not sent. Ask for scram-sha-256 in pg_hba.conf, or use TLS`
	}
	if m == authUnknown {
		return rotator.KindMisconfigured, fmt.Sprintf("%s does not speak PostgreSQL's protocol: check host and port in the secret", dial.Address(login))
	}
	return rotator.KindMisconfigured, "the server and this function found no way to prove the password: it offers neither SCRAM-SHA-256 nor md5, or failed to prove that it knows the password itself"
}

// classifyServer reads the server's own errors, by SQLSTATE.
// https://www.postgresql.org/docs/current/errcodes-appendix.html
func classifyServer(login strategies.Login, st operation, e *pgconn.PgError) (rotator.Kind, string) {
	duringLogin := st.phase == loggingIn
	pooler := e.Routine == "" // servers name it, and do not translate the name
	switch {
	case duringLogin && !st.proved && (e.Code == "28P01" || pooler && e.Code == "08P01" && isPoolerRejection(e.Message)):
		return rotator.KindMisconfigured, "the user was refused before a password was asked for, so that this says nothing of the password: a pooler in between that does not know the user, or something that is not PostgreSQL. Rotate on the database's own endpoint"
	case e.Code == "28P01" && duringLogin:
		return rotator.KindLoginRejected, fmt.Sprintf("the server did not accept the password. PostgreSQL says the same if the role %q does not exist, its VALID UNTIL has passed, or its stored password does not suit the method in pg_hba.conf (an md5 hash under scram-sha-256)", login.User)
	case e.Code == "28000" && duringLogin:
		return classify28000(login, e)
	case pooler && e.Code == "08P01" && duringLogin && isPoolerRejection(e.Message):
		return rotator.KindLoginRejected, "a pooler in between did not accept the password; it may know an older one. Rotate on the database's own endpoint"
	case pooler && e.Code == "08P01" && strings.Contains(e.Message, "statement pooling"):
		return rotator.KindMisconfigured, "a pooler in between allows no transactions: rotate on the database's own endpoint"
	case e.Code == "3D000":
		return rotator.KindMisconfigured, fmt.Sprintf("there is no database %q on this server: correct dbname in the secret", login.Database)
	case e.Code == "55000" && duringLogin:
		return rotator.KindMisconfigured, fmt.Sprintf("the database %q does not take connections: correct dbname in the secret, or ALTER DATABASE %s ALLOW_CONNECTIONS true", login.Database, quoteIdent(login.Database))
	case e.Code == "42501" && duringLogin:
		return rotator.KindPrivilege, fmt.Sprintf("the user has no CONNECT privilege: GRANT CONNECT ON DATABASE %s TO %s", quoteIdent(login.Database), quoteIdent(login.User))
	case e.Code == "42501":
		return rotator.KindPrivilege, cmp.Or(st.remedy, "the server does not permit it")
	case e.Code == "53300":
		return rotator.KindTooManyConnections, fmt.Sprintf("no free connection: raise the limit of the server, the database or the role %q; a rotation needs one or two beside the application's", login.User)
	case e.Code == "25006", e.Code == "0A000" && st.phase == beginning:
		return rotator.KindReadOnly, "this server takes no changes: it is a replica, or set to read only. Point the secret at the writer endpoint, not at a reader endpoint"
	case e.Code == "55P03":
		return rotator.KindConflict, "another session holds a lock on it: a second rotation, or an open transaction that alters the same role. Nothing was changed; try again"
	case e.Code == "XX000" && (e.Routine == "simple_heap_update" || e.Routine == "simple_heap_delete"), // tuple concurrently updated
		e.Code == "40001", e.Code == "40P01", e.Code == "23505", e.Code == "42710":
		return rotator.KindConflict, "another session changed the same role at the same time. Nothing was changed here; try again"
	case e.Code == "57014":
		return rotator.KindDeadline, "the server cancelled the statement, which took too long (statement_timeout). Nothing was changed; try again"
	case e.Code == "57P05":
		return rotator.KindMisconfigured, fmt.Sprintf("idle_session_timeout ends sessions of this role or database before a statement can follow another: ALTER ROLE %s RESET idle_session_timeout, or set seconds where it is set", quoteIdent(login.User))
	case e.Code == "25P03", e.Code == "25P04":
		return rotator.KindDeadline, "the server ended the transaction (idle_in_transaction_session_timeout, transaction_timeout): the function or the network stood still. Nothing was changed; try again"
	case e.Code == "58P01" && duringLogin:
		return rotator.KindMisconfigured, fmt.Sprintf("the server cannot load a library that a setting of this role or database names: ALTER ROLE %s RESET local_preload_libraries (or session_preload_libraries), where it is set", quoteIdent(login.User))
	case e.Code == "22021":
		return rotator.KindMisconfigured, "a name is not valid in the encoding of this database: give another dbname in the secret, one in UTF-8"
	case strings.HasPrefix(e.Code, "57P"), strings.HasPrefix(e.Code, "08"), strings.HasPrefix(e.Code, "58"), strings.HasPrefix(e.Code, "53"):
		return rotator.KindUnreachable, "the server is starting, stopping, failing over or out of resources: try again when it is up"
	case st.setsPassword && policyCodes[e.Code]:
		return rotator.KindPasswordPolicy, "a password policy of the server refused the new password: adapt the function's password settings to it, or let it take SCRAM verifiers"
	}
	return rotator.KindInternal, "the server reported an error"
}

// policyCodes are the SQLSTATEs by which what judges passwords refuses one:
// passwordcheck's invalid_parameter_value, credcheck's invalid_password and
// invalid_authorization_specification, and what a function raises that is hooked in
// (pg_tle on RDS): raise_exception, check_violation.
var policyCodes = map[string]bool{"22023": true, "28P01": true, "28000": true, "P0001": true, "23514": true}

// classify28000 reads 28000, which says that no password would do: hence never
// KindLoginRejected. Which of its meanings it is, the name of the server's routine tells:
// texts are in the server's language (lc_messages).
func classify28000(login strategies.Login, e *pgconn.PgError) (rotator.Kind, string) {
	switch {
	case e.Routine == "InitializeSessionUserId":
		return rotator.KindPrivilege, fmt.Sprintf("the role is locked: ALTER ROLE %s LOGIN", quoteIdent(login.User))
	case e.Routine == "ClientAuthentication" && login.TLS.Disabled:
		return rotator.KindTLS, `the server takes connections with TLS only, or none from here at all: remove "ssl": false from the secret`
	case e.Routine == "ClientAuthentication":
		return rotator.KindMisconfigured, "pg_hba.conf does not let this user in from here: it needs an entry for this user, database and address. An Aurora cluster that is resuming after a pause answers so too: then try again"
	case e.Routine == "auth_failed":
		return rotator.KindMisconfigured, fmt.Sprintf("the server asks another system than its own passwords (PAM, as RDS does for IAM users; LDAP, RADIUS): REVOKE rds_iam FROM %s, or stop rotating this secret", quoteIdent(login.User))
	}
	return rotator.KindMisconfigured, "the server does not let this user in from here, whatever the password"
}

// isPoolerRejection knows the words of pgbouncer, which has no SQLSTATE for it.
func isPoolerRejection(message string) bool {
	for _, words := range []string{"SASL authentication failed", "password authentication failed", "auth failed", "no such user"} {
		if strings.Contains(message, words) {
			return true
		}
	}
	return false
}
