package postgres

import (
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

// A stage is how far a call had come when it failed: the same error means
// different things in different stages.
type stage int

const (
	querying stage = iota
	dialing
	securing
	loggingIn
	beginning
)

// step is what was being done, and what explain has to know of it.
type step struct {
	stage  stage
	limit  time.Duration
	method authMethod // known while logging in

	doing   string // "changing the password", of a statement
	remedy  string // what to do if the server does not permit it
	policy  bool   // the statement carries a password: refusals are the policy's
	private bool   // the statement carries values that the server may repeat
}

// explain gives every failure of the driver, the network and the server its kind
// and a sentence that names cause and remedy. It is the only place that does.
func explain(ctx context.Context, as strategies.Login, st step, err error) error {
	var pgErr *pgconn.PgError
	var kind rotator.Kind
	var sentence string
	cause := err
	switch {
	case errors.As(err, &pgErr):
		kind, sentence = ofServer(as, st, pgErr)
		cause = withoutValues(pgErr, st)
	case errors.Is(ctx.Err(), context.Canceled):
		kind, sentence, cause = rotator.OutOfTime, "the call was cancelled", ctx.Err()
	case st.stage == dialing:
		kind, sentence = dial.Unreached(ctx, as, st.limit, err)
	case dial.IsTimeout(err):
		kind, sentence = rotator.Unreachable, ofSilence(ctx, as, st)
	case st.stage == securing:
		kind, sentence = ofTLS(as, err)
	case dial.IsHangup(err), errors.Is(err, pgconn.ErrConnClosed):
		kind, sentence = rotator.Unreachable, "the server closed the connection: it may be restarting or failing over, or a proxy in between has no database behind it"
	case st.stage == loggingIn:
		kind, sentence = ofLogin(as, st.method)
	default:
		kind, sentence = rotator.Internal, "the driver failed"
	}
	// The driver's outermost error carries its configuration, and so the password.
	var connectErr *pgconn.ConnectError
	if errors.As(cause, &connectErr) {
		cause = connectErr.Unwrap()
	}
	if st.doing != "" {
		sentence = st.doing + ": " + sentence
	}
	err = fmt.Errorf("%s: %w: %s: %w", dial.Place(as), kind, sentence, cause)
	if st.stage == dialing || st.stage == securing || st.stage == loggingIn {
		return strategies.AtLogin(err)
	}
	return err
}

// withoutValues keeps of a server's error what cannot hold a value of ours: not
// the detail, the statement or the context, and the message only where the
// statement had no values in it.
func withoutValues(e *pgconn.PgError, st step) error {
	safe := &pgconn.PgError{Severity: e.Severity, Code: e.Code, Message: e.Message}
	if st.private && e.Code != "42501" {
		safe.Message = "message withheld"
	}
	return safe
}

// ofSilence speaks of whoever did not answer in time.
func ofSilence(ctx context.Context, as strategies.Login, st step) string {
	within := dial.Within(ctx, st.limit)
	switch st.stage {
	case securing:
		return fmt.Sprintf("%s accepted the connection and fell silent in the TLS handshake (%s): a proxy or load balancer without a target, or something that is not PostgreSQL", dial.Address(as), within)
	case loggingIn:
		return fmt.Sprintf("%s accepted the connection and fell silent during the login (%s): a proxy or load balancer without a target, an overloaded server, or something that is not PostgreSQL", dial.Address(as), within)
	}
	return fmt.Sprintf("the server fell silent %s: it is overloaded, or the network was cut", within)
}

// ofTLS reads a failed handshake, and what comes before it on PostgreSQL's port.
func ofTLS(as strategies.Login, err error) (rotator.Kind, string) {
	switch {
	case errors.Is(err, errRefusedTLS):
		return rotator.TLSFailed, `the server does not offer TLS: turn it on there (ssl = on). Only "ssl": false in the secret makes a connection without TLS`
	case errors.Is(err, errNotReady):
		return rotator.Unreachable, "the server cannot start a process for the connection: it is out of resources, starting or stopping"
	case errors.Is(err, errNotPostgres):
		return rotator.TLSFailed, fmt.Sprintf("%s does not speak PostgreSQL's protocol: check host and port in the secret", dial.Address(as))
	}
	return dial.Untrusted(as, err)
}

// ofLogin reads a login that failed on our side of the wire.
func ofLogin(as strategies.Login, m authMethod) (rotator.Kind, string) {
	switch {
	case m == authNone:
		return rotator.Misconfigured, "the server lets this user in without asking for the password (trust or the like in pg_hba.conf), so that a login proves nothing: ask for scram-sha-256 there"
	case m == authCleartext && as.TLS.Off:
		return rotator.Misconfigured, `the server asks for the password in clear, and "ssl": false in the secret turns TLS off: the password is not sent. Ask for scram-sha-256 in pg_hba.conf, or use TLS`
	}
	if m == authUnknown {
		return rotator.Misconfigured, fmt.Sprintf("%s does not speak PostgreSQL's protocol: check host and port in the secret", dial.Address(as))
	}
	return rotator.Misconfigured, "the server and this function found no way to prove the password: it offers neither SCRAM-SHA-256 nor md5, or failed to prove that it knows the password itself"
}

// ofServer reads the server's own errors, by SQLSTATE.
// https://www.postgresql.org/docs/current/errcodes-appendix.html
func ofServer(as strategies.Login, st step, e *pgconn.PgError) (rotator.Kind, string) {
	login := st.stage == loggingIn
	switch {
	case e.Code == "28P01" && login:
		return rotator.LoginRejected, fmt.Sprintf("the server did not accept the password. PostgreSQL says the same if the role %q does not exist, its VALID UNTIL has passed, or its stored password does not suit the method in pg_hba.conf (an md5 hash under scram-sha-256)", as.User)
	case e.Code == "28000" && login:
		return ofRefusal(as, e)
	case e.Code == "08P01" && login && saysRejected(e.Message):
		return rotator.LoginRejected, "a pooler in between did not accept the password; it may know an older one. Rotate on the database's own endpoint"
	case e.Code == "08P01" && strings.Contains(e.Message, "statement pooling"):
		return rotator.Misconfigured, "a pooler in between allows no transactions: rotate on the database's own endpoint"
	case e.Code == "3D000":
		return rotator.Misconfigured, fmt.Sprintf("there is no database %q on this server: correct dbname in the secret", as.Database)
	case e.Code == "55000" && login:
		return rotator.Misconfigured, fmt.Sprintf("the database %q does not take connections: correct dbname in the secret, or ALTER DATABASE %s ALLOW_CONNECTIONS true", as.Database, quoteIdent(as.Database))
	case e.Code == "42501" && login:
		return rotator.Privilege, fmt.Sprintf("the user has no CONNECT privilege: GRANT CONNECT ON DATABASE %s TO %s", quoteIdent(as.Database), quoteIdent(as.User))
	case e.Code == "42501":
		return rotator.Privilege, orElse(st.remedy, "the server does not permit it")
	case e.Code == "53300":
		return rotator.TooManyConnections, fmt.Sprintf("no free connection: raise the limit of the server, the database or the role %q; a rotation needs one or two beside the application's", as.User)
	case e.Code == "25006", e.Code == "0A000" && st.stage == beginning:
		return rotator.ReadOnly, "this server takes no changes: it is a replica, or set to read only. Point the secret at the writer endpoint, not at a reader endpoint"
	case e.Code == "55P03":
		return rotator.Conflict, "another session holds a lock on it: a second rotation, or an open transaction that alters the same role. Nothing was changed; try again"
	case e.Code == "XX000" && strings.Contains(e.Message, "concurrently updated"), e.Code == "40001", e.Code == "40P01", e.Code == "23505", e.Code == "42710":
		return rotator.Conflict, "another session changed the same role at the same time. Nothing was changed here; try again"
	case e.Code == "57014":
		return rotator.OutOfTime, "the server cancelled the statement, which took too long. Nothing was changed; try again"
	case strings.HasPrefix(e.Code, "57P"), strings.HasPrefix(e.Code, "08"), strings.HasPrefix(e.Code, "58"), strings.HasPrefix(e.Code, "53"):
		return rotator.Unreachable, "the server is starting, stopping, failing over or out of resources: try again when it is up"
	case st.policy && !strings.HasPrefix(e.Code, "42") && !strings.HasPrefix(e.Code, "XX"):
		return rotator.PolicyRejected, "a password policy of the server refused the new password: adapt the function's password settings to it, or let it take SCRAM verifiers"
	}
	return rotator.Internal, "the server reported an error"
}

// ofRefusal reads 28000, which says that no password would do: hence never
// LoginRejected.
func ofRefusal(as strategies.Login, e *pgconn.PgError) (rotator.Kind, string) {
	says := func(words string) bool { return strings.Contains(e.Message, words) }
	switch {
	case says("is not permitted to log in"):
		return rotator.Privilege, fmt.Sprintf("the role is locked: ALTER ROLE %s LOGIN", quoteIdent(as.User))
	case says("pg_hba.conf") && as.TLS.Off && (says("no encryption") || says("SSL off")):
		return rotator.TLSFailed, `the server takes connections with TLS only, or none from here at all: remove "ssl": false from the secret`
	case says("pg_hba.conf"):
		return rotator.Misconfigured, "pg_hba.conf does not let this user in from here: it needs an entry for this user, database and address"
	case says("PAM authentication failed"):
		return rotator.Misconfigured, fmt.Sprintf("the server asks PAM, as RDS does for IAM users: passwords do not apply to them. REVOKE rds_iam FROM %s, or stop rotating this secret", quoteIdent(as.User))
	}
	return rotator.Misconfigured, "the server does not let this user in from here, whatever the password"
}

// saysRejected knows the words of pgbouncer, which has no SQLSTATE for it.
func saysRejected(message string) bool {
	for _, words := range []string{"SASL authentication failed", "password authentication failed", "auth failed", "no such user"} {
		if strings.Contains(message, words) {
			return true
		}
	}
	return false
}

func orElse(s, t string) string {
	if s == "" {
		return t
	}
	return s
}
