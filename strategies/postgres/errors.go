package postgres

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
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
	roots  *x509.CertPool // known while securing
	method authMethod     // known while logging in
	proved bool           // a proof of the password has been sent
	proven bool           // and accepted

	action       string           // "changing the password", of a statement
	remedy       rotator.Sentence // what to do if the server does not permit it
	setsPassword bool             // the statement carries a password: refusals are the policy's
	sensitive    bool             // the statement carries values that the server may repeat
}

// wrapError gives every failure of the driver, the network and the server its kind
// and a sentence that names cause and remedy. It is the only place that does.
func wrapError(ctx context.Context, login strategies.Login, st operation, err error) error {
	var pgErr *pgconn.PgError
	var kind rotator.Kind
	var sentence string
	cause, mark := err, func(err error) error { return err }
	switch {
	case errors.As(err, &pgErr):
		kind, sentence = classifyServer(login, st, pgErr)
		if c := causeOf(login, st, pgErr); c.Kind == kind {
			says := sentence
			mark = func(err error) error { return c.WithFix(c.Mark(err, says), login, quoteIdent, st.remedy) }
		}
		cause = redactServerError(pgErr, st)
	case errors.Is(ctx.Err(), context.Canceled):
		kind, sentence, cause = rotator.KindDeadline, "the call was cancelled", ctx.Err()
	case st.phase == dialing:
		kind, sentence = dial.ClassifyDial(ctx, login, st.limit, err)
	case dial.IsTimeout(err):
		kind, sentence = rotator.KindUnreachable, timeoutText(ctx, login, st)
		if st.phase == loggingIn && st.answered(login) {
			mark = func(err error) error { return rotator.WithFix(err, "", loginsWaitLine()) }
		}
	case st.phase == securing:
		kind, sentence = classifyTLS(login, st.roots, err)
		if errors.Is(err, errRefusedTLS) {
			mark = func(err error) error { return rotator.WithFix(err, "", tlsLines()...) }
		}
	case dial.IsConnClosed(err), errors.Is(err, pgconn.ErrConnClosed):
		kind, sentence = rotator.KindUnreachable, "the server closed the connection: it may be restarting or failing "+
			"over, or a proxy in between has no database behind it"
		if st.phase == loggingIn && st.method == authUnknown && login.TLS.Disabled {
			sentence += ", or " + dial.ProxyProtocol + inLog
		}
	case st.phase == loggingIn:
		kind, sentence = rotator.KindMisconfigured, classifyLogin(login, st.method)
		if strings.Contains(sentence, "pg_hba.conf") {
			mark = func(err error) error { return rotator.WithFix(err, "", hbaLines()...) }
		}
	default:
		kind, sentence = rotator.KindInternal, "the driver failed"
	}
	// The driver's outermost error carries its configuration, and so the password.
	var connectErr *pgconn.ConnectError
	if errors.As(cause, &connectErr) {
		cause = connectErr.Unwrap()
	}
	if strings.Contains(sentence, poolerItself) {
		inner := mark
		mark = func(err error) error { return rotator.WithFix(inner(err), "", poolerLines()...) }
	}
	if strings.Contains(sentence, mendAuthQuery) {
		inner := mark
		mark = func(err error) error { return rotator.WithFix(inner(err), "", authQueryLines(login)...) }
	}
	if st.action != "" {
		sentence = st.action + ": " + sentence
	}
	err = mark(fmt.Errorf("%s: %w: %s: %w", dial.Describe(login), kind, sentence, cause))
	if st.proven && pgErr != nil && pgErr.Routine != "" { // by a server: a pooler names no routine
		err = strategies.MarkPasswordAccepted(err)
	}
	if pgErr != nil && kind == rotator.KindMisconfigured && saidByPooler(pgErr) {
		return strategies.MarkPoolerError(err)
	}
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

// answered says whether more of a server than its port has answered a login.
func (st operation) answered(login strategies.Login) bool {
	return !login.TLS.Disabled || st.method != authUnknown
}

const loginsWait = "a session holds a lock on a catalog (pg_authid, pg_database), as an open transaction with " +
	"REINDEX, VACUUM FULL or LOCK does, at which each new login waits, an administrator's too: from a session " +
	"that is open already, " + catalogLocks + " shows it, and SELECT pg_catalog.pg_terminate_backend(pid) ends it"

// catalogLocks is without views that read the roles or databases: it would wait for them, too.
const catalogLocks = trusted + "SELECT DISTINCT pid, relation::regclass FROM pg_locks WHERE granted AND " +
	"mode = 'AccessExclusiveLock' AND relation < 16384 AND pid IS DISTINCT FROM pg_backend_pid()"

func loginsWaitLine() rotator.Fix {
	look := byAdministrator(catalogLocks)
	look.For = "if an administrator's login waits, too, from a session that is open already: to see whose lock it is"
	look.Note = "SELECT pg_catalog.pg_terminate_backend(pid) ends it; a row without a pid is a prepared transaction: " +
		"SELECT * FROM pg_catalog.pg_prepared_xact(), then ROLLBACK PREPARED 'GID', after asking whose it is. " +
		"Without an open session: on the server's machine, ps shows logins that wait (authentication waiting, " +
		"startup waiting) and sessions that are idle in transaction: kill PID (not -9) ends one; or restart the " +
		"server (RDS: reboot)"
	return look
}

// timeoutText says what did not answer in time.
func timeoutText(ctx context.Context, login strategies.Login, st operation) string {
	within := dial.WaitText(ctx, st.limit)
	switch st.phase {
	case securing:
		return fmt.Sprintf("%s accepted the connection, then did not respond to the TLS handshake (%s): %s, a proxy "+
			"or load balancer without a target, or something that is not PostgreSQL", dial.Address(login), within,
			dial.Hangs)
	case loggingIn:
		text := fmt.Sprintf("%s accepted the connection, then did not respond to the login (%s): ", dial.Address(login),
			within)
		if st.method == authUnknown { // one that has asked for a password is up
			text += dial.Hangs + ", a paused cluster that is resuming (then try again), "
		}
		if text += "an overloaded server, or "; st.answered(login) {
			text += loginsWait
		} else {
			text += "a proxy or load balancer without a target"
		}
		if login.PoolerForwardsLogins {
			text += "; or a pooler that is paused (SHOW DATABASES and RESUME in its console), or " + olderLine(login)
		}
		return text
	}
	return fmt.Sprintf("no response from the server %s: it is overloaded, or the network was cut", within)
}

// inLog is what a server logs that is greeted by the PROXY protocol.
const inLog = ` (the server's log then has "invalid length of startup packet")`

// classifyTLS reads a failed handshake, and what comes before it on PostgreSQL's port.
func classifyTLS(login strategies.Login, roots *x509.CertPool, err error) (rotator.Kind, string) {
	switch {
	case errors.Is(err, errRefusedTLS):
		return rotator.KindTLS, "the server does not offer TLS: " + turnOnTLS + " there, then " + reload +
			`. Only "ssl": false in the secret makes a connection without TLS`
	case errors.Is(err, errNotReady):
		return rotator.KindUnreachable, "the server cannot start a process for the connection: it is out of " +
			"resources, starting or stopping"
	case errors.Is(err, errNotPostgres):
		return rotator.KindTLS,
			fmt.Sprintf("%s does not speak PostgreSQL's protocol: check host and port in the secret",
				dial.Address(login))
	}
	kind, says := dial.ClassifyTLS(login, roots, err)
	if strings.HasSuffix(says, dial.ProxyProtocol) {
		says += inLog
	}
	return kind, says
}

// classifyLogin reads a login that failed on our side of the wire.
func classifyLogin(login strategies.Login, m authMethod) string {
	switch {
	case m == authNone:
		return "pg_hba.conf (trust or similar) accepts this user without a password, so a login verifies nothing: " +
			"require scram-sha-256" + hba
	case m == authCleartext && login.TLS.Disabled:
		return `the server asks for the password in clear, and "ssl": false in the secret turns TLS off: the password is not sent. Ask for scram-sha-256 in pg_hba.conf, or use TLS` + hba
	case m == authGSS, m == authSSPI:
		return "pg_hba.conf has this user prove itself by Kerberos (gss or sspi), so that no password of ours will " +
			"do: it needs an entry with scram-sha-256 before that one, or stop rotating this secret" + hba
	case m == authUnknown:
		return fmt.Sprintf("%s does not speak PostgreSQL's protocol: check host and port in the secret",
			dial.Address(login))
	}
	return "no common authentication method: the server offers neither SCRAM-SHA-256 nor md5, or failed SCRAM's " +
		"check of the server"
}

// poolerItself is what to do about a pooler that the secret names on purpose: another host would go around it for good.
const poolerItself = "see its log, its auth_user (is it locked, or has its VALID UNTIL passed?), and the password " +
	"for that in its auth_file; what is mended may count after server_login_retry alone (15 s). Leave host and port " +
	"in the secret as they are"

// What PgBouncer says where its auth_query fails. Its log has the error.
const (
	brokenAuthQuery = "bouncer config error"
	mendAuthQuery   = "its auth_query failed, and its log says why. Its auth_user needs, in each database that " +
		"clients name (or in auth_dbname), CONNECT, USAGE on the schema of the function that auth_query calls, and " +
		"EXECUTE on that. Leave host and port in the secret as they are"
)

// authQueryLines show what a pooler's auth_user may do, in the database that the secret names.
func authQueryLines(login strategies.Login) []rotator.Fix {
	look := byAdministrator(trusted + "SELECT p.oid::regprocedure, has_function_privilege(r.oid, p.oid, 'EXECUTE') " +
		"AS may_execute, has_schema_privilege(r.oid, n.oid, 'USAGE') AS may_use_schema, " +
		"has_database_privilege(r.oid, " +
		"current_database(), 'CONNECT') AS may_connect FROM pg_roles AS r, pg_proc AS p JOIN pg_namespace AS n ON " +
		"n.oid = pronamespace WHERE rolname = 'AUTH_USER' AND proname = 'FUNCTION'")
	look.For = "in database " + quoteIdent(login.Database) + " (or auth_dbname of the pooler), to see what its " +
		"auth_user lacks, with the names of that and of the function in its auth_query"
	look.Note = "no row: that role or function is not there; f: GRANT it (EXECUTE ON FUNCTION, USAGE ON SCHEMA, " +
		"CONNECT ON DATABASE)"
	return []rotator.Fix{look}
}

// poolerLines show whether the user by which a pooler asks can log in.
func poolerLines() []rotator.Fix {
	look := byAdministrator(trusted + "SELECT rolname, rolcanlogin, rolvaliduntil FROM pg_roles WHERE rolname = '...'")
	look.For = "to see whether the pooler's auth_user can log in, with its name in place of the dots"
	look.Note = "what is mended may count after server_login_retry alone (15 s)"
	return []rotator.Fix{look}
}

// olderLine is what makes a pooler answer so of a user whom it knows itself: it then asks the database for no password,
// and logs in there by its own.
func olderLine(login strategies.Login) string {
	return fmt.Sprintf("its auth_file (userlist.txt) has a line for user %q itself, which comes before auth_query, or "+
		"its [databases] has user= or password=, and it holds an older password: then remove it, reload the pooler, "+
		"run status again", login.User)
}

// classifyServer reads the server's own errors, by SQLSTATE.
// https://www.postgresql.org/docs/current/errcodes-appendix.html
func classifyServer(login strategies.Login, st operation, e *pgconn.PgError) (rotator.Kind, string) {
	duringLogin := st.phase == loggingIn
	pooler := saidByPooler(e)
	onPurpose := login.PoolerForwardsLogins && e.Routine == "" && strings.HasPrefix(e.Code, "08")
	switch {
	case onPurpose && (!pooler || strings.Contains(e.Message, "server login")) && saidOfServers(e.Message):
		return rotator.KindUnreachable, "a pooler in between has no connection to the database, or cannot log in " +
			"there itself, which says nothing of this secret: " + poolerItself + ". Or " + olderLine(login)
	case onPurpose && e.Message == brokenAuthQuery:
		return rotator.KindUnreachable, "a pooler in between could not look the user up at the database, which says " +
			"nothing of this secret: " + mendAuthQuery
	case onPurpose && !pooler:
		return rotator.KindUnreachable, "a pooler in between refused it by a rule of its own, which says nothing of " +
			"this secret; its own words follow. Leave host and port in the secret as they are"
	case pooler && duringLogin && login.PoolerForwardsLogins && !st.proved:
		return rotator.KindMisconfigured, "a pooler in between refused the user before it asked for a password, " +
			"which says nothing of that: it does not know the user, or cannot ask the database: " + poolerItself
	case duringLogin && !st.proved && (e.Code == "28P01" || pooler):
		return rotator.KindMisconfigured, "the user was refused before a password was asked for, so that this says " +
			"nothing of the password: a pooler in between that does not know the user, or something that is not " +
			"PostgreSQL. Use the database's own endpoint as host"
	case pooler && duringLogin && !login.PoolerForwardsLogins:
		return rotator.KindMisconfigured, "a pooler in between refused the login, by a password that it knows or by " +
			"its own login at the database: that says nothing of what the database would answer. To fix it, " +
			strategies.PoolerRemedy
	case pooler && duringLogin:
		return rotator.KindLoginRejected, "a pooler in between, which has the database judge logins by the word of " +
			"the secret, did not accept the password: the database has another, or " + olderLine(login)
	case pooler:
		return rotator.KindMisconfigured, "a pooler in between allows no transactions (statement pooling): use the " +
			"database's own endpoint as host"
	}
	c := causeOf(login, st, e)
	return c.Kind, c.Sentence(login, quoteIdent, st.remedy)
}

// causeOf finds what the server's own error means.
func causeOf(login strategies.Login, st operation, e *pgconn.PgError) dial.Cause {
	work, duringLogin := dial.Statement, st.phase == loggingIn
	switch {
	case duringLogin && e.Where != "": // it has a context where functions run
		work = dial.RunAtLogin
	case duringLogin && login.TLS.Disabled:
		work = dial.Login | dial.LoginWithoutTLS
	case duringLogin:
		work = dial.Login
	case st.phase == beginning:
		work |= dial.Begin
	}
	if st.setsPassword {
		work |= dial.SetsPassword
	}
	return dial.Find(Causes(), work, e.Routine, e.Message, e.Code)
}

// saidOfServers says whether PgBouncer speaks of its own connections to the database.
func saidOfServers(message string) bool {
	return slices.ContainsFunc([]string{"server login", "server conn", "cannot connect", "query_wait_timeout"},
		func(words string) bool { return strings.Contains(message, words) })
}

// saidByPooler knows what PgBouncer says of its own accord of a login, or of a
// transaction. A server names the routine that an error comes from, and does not
// translate the name; PgBouncer names none, and has SQLSTATEs of its own in some
// releases only.
func saidByPooler(e *pgconn.PgError) bool {
	if e.Routine != "" || e.Code != "08P01" && e.Code != "28P01" && e.Code != "28000" {
		return false
	}
	for _, words := range []string{"SASL authentication failed", "password authentication failed", "auth failed",
		"no such user", "server login", "login rejected", "statement pooling"} {
		if strings.Contains(e.Message, words) {
			return true
		}
	}
	return false
}
