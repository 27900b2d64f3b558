package postgres

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/strategies"
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

// place names the account and the place of a login, as every error does.
func place(as strategies.Login) string {
	text := fmt.Sprintf("user %q at %s", as.User, address(as))
	if as.Database != "" {
		text += fmt.Sprintf(", database %q", as.Database)
	}
	return text
}

func address(as strategies.Login) string { return net.JoinHostPort(as.Host, strconv.Itoa(as.Port)) }

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
		kind, sentence = ofNetwork(ctx, as, st, err)
	case isTimeout(err):
		kind, sentence = rotator.Unreachable, ofSilence(ctx, as, st)
	case st.stage == securing:
		kind, sentence = ofTLS(as, err)
	case isHangup(err):
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
	err = fmt.Errorf("%s: %w: %s: %w", place(as), kind, sentence, cause)
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

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}

func isHangup(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, pgconn.ErrConnClosed)
}

// ofSilence speaks of whoever did not answer in time.
func ofSilence(ctx context.Context, as strategies.Login, st step) string {
	within := "within " + st.limit.String()
	if ctx.Err() != nil {
		within = "before the deadline"
	}
	switch st.stage {
	case dialing:
		return fmt.Sprintf("no answer from %s %s: usually a security group. Allow outbound TCP %d from the function's group, and inbound TCP %d on the database's group from it; also check that the function is in the VPC, and routes and network ACLs", address(as), within, as.Port, as.Port)
	case securing:
		return fmt.Sprintf("%s accepted the connection and fell silent in the TLS handshake (%s): a proxy or load balancer without a target, or something that is not PostgreSQL", address(as), within)
	case loggingIn:
		return fmt.Sprintf("%s accepted the connection and fell silent during the login (%s): a proxy or load balancer without a target, an overloaded server, or something that is not PostgreSQL", address(as), within)
	}
	return fmt.Sprintf("the server fell silent %s: it is overloaded, or the network was cut", within)
}

// ofNetwork reads a failed dial.
func ofNetwork(ctx context.Context, as strategies.Login, st step, err error) (rotator.Kind, string) {
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return rotator.Unreachable, fmt.Sprintf("the host name %s does not resolve: check the host in the secret; if it is a private name, associate its zone with the function's VPC and enable DNS support and host names there", as.Host)
	case errors.As(err, &dns):
		return rotator.Unreachable, fmt.Sprintf("the host name %s could not be looked up: the name server failed or did not answer", as.Host)
	case isTimeout(err):
		return rotator.Unreachable, ofSilence(ctx, as, st)
	case errors.Is(err, syscall.ECONNREFUSED):
		return rotator.Unreachable, fmt.Sprintf("%s refuses connections: nothing listens on port %d. The port in the secret is wrong or the database is stopped; a security group does not look like this", address(as), as.Port)
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return rotator.Unreachable, fmt.Sprintf("there is no route to %s: put the function into a VPC that has one", address(as))
	}
	return rotator.Unreachable, fmt.Sprintf("%s could not be reached", address(as))
}

// ofTLS reads a failed handshake. Nothing here ever leads to plaintext.
func ofTLS(as strategies.Login, err error) (rotator.Kind, string) {
	name := as.TLS.ServerName
	if name == "" {
		name = as.Host
	}
	var unknown x509.UnknownAuthorityError
	var hostname x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	switch {
	case errors.Is(err, errRefusedTLS):
		return rotator.TLSFailed, `the server does not offer TLS: turn it on there (ssl = on). Only "ssl": false in the secret makes a connection without TLS`
	case errors.Is(err, errNotReady):
		return rotator.Unreachable, "the server cannot start a process for the connection: it is out of resources, starting or stopping"
	case errors.Is(err, errNotPostgres):
		return rotator.TLSFailed, fmt.Sprintf("%s does not speak PostgreSQL's protocol: check host and port in the secret", address(as))
	case errors.As(err, &unknown):
		return rotator.TLSFailed, "the server's certificate is signed by an authority that is not trusted here: it must be one of Amazon RDS, or the function must be given your own"
	case errors.As(err, &hostname):
		return rotator.TLSFailed, fmt.Sprintf("the server's certificate is not for %s: use the database's own endpoint name as host, or give the name in the certificate in tlsServerName", name)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return rotator.TLSFailed, "the server's certificate has expired or is not valid yet: renew it (on RDS, choose a current certificate authority for the instance)"
	case isHangup(err):
		return rotator.Unreachable, "the server closed the connection before or in the TLS handshake: it may be restarting, or a proxy in between has no database behind it"
	case errors.As(err, &record):
		return rotator.TLSFailed, fmt.Sprintf("%s does not answer in TLS: check host and port in the secret", address(as))
	}
	return rotator.TLSFailed, "the TLS handshake failed: TLS 1.2 or later and a certificate that verifies are needed"
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
		return rotator.Misconfigured, fmt.Sprintf("%s does not speak PostgreSQL's protocol: check host and port in the secret", address(as))
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
