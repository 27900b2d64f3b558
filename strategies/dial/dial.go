// Package dial is the way to a server, which is the same for every engine: a TCP
// connection within a time, TLS that is verified, and for whatever goes wrong on the
// way its kind and a sentence that names cause and remedy.
package dial

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

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/rdsca"
)

// Address is where a login goes: host:port.
func Address(as strategies.Login) string { return net.JoinHostPort(as.Host, strconv.Itoa(as.Port)) }

// Describe names the account and the place of a login. Errors of engines begin with it.
func Describe(as strategies.Login) string {
	text := fmt.Sprintf("user %q at %s", as.User, Address(as))
	if as.Database != "" {
		text += fmt.Sprintf(", database %q", as.Database)
	}
	return text
}

// Errorf is an error that an engine itself found, with what its sentence says that a person runs.
func Errorf(login strategies.Login, k rotator.Kind, format string, args ...any) error {
	said := rotator.Sentencef(format, args...)
	return rotator.WithFix(fmt.Errorf("%s: %w: %s", Describe(login), k, said), "", said.Fixes...)
}

// TimeoutOrDefault is a time limit of an engine; zero and less stand for 5 seconds.
func TimeoutOrDefault(d time.Duration) time.Duration {
	if d <= 0 {
		return 5 * time.Second
	}
	return d
}

// LoginTime is how long a login may take once the server was reached and TLS holds: what
// is left of the context but for a reserve, in which the password is changed and the
// answer given. A paused cluster that resumes takes 15 seconds and more. Without a
// deadline it is a minute; set, more than zero, is another limit.
func LoginTime(ctx context.Context, set time.Duration) time.Duration {
	const least, most, reserve = 5 * time.Second, time.Minute, 10 * time.Second
	if set > 0 {
		return set
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		return most
	}
	return max(least, time.Until(deadline)-reserve)
}

// Connect connects to the server. within is bounded by TimeoutOrDefault, as in Secure. Give the
// error to ClassifyDial.
func Connect(ctx context.Context, as strategies.Login, within time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, TimeoutOrDefault(within))
	defer cancel()
	return new(net.Dialer).DialContext(ctx, "tcp", Address(as))
}

// RDS is the roots of engines that are found on Amazon RDS: those given, or else Amazon's.
func RDS(roots *x509.CertPool) *x509.CertPool {
	if roots == nil {
		return rdsca.Pool()
	}
	return roots
}

// TLSConfig is how a server is verified: by the authorities in roots (nil: those of the
// machine; see RDS), and by its host name or the name that the secret gives instead.
func TLSConfig(as strategies.Login, roots *x509.CertPool) *tls.Config {
	config := &tls.Config{RootCAs: roots, ServerName: as.TLS.ServerName, MinVersion: tls.VersionTLS12}
	if config.ServerName == "" {
		config.ServerName = as.Host
	}
	return config
}

// Secure puts TLS around a connection, for protocols that begin with it. A login whose secret
// turns TLS off goes on with the connection as it is, and no other does. Give the error to ClassifyTLS, and
// close conn.
func Secure(ctx context.Context, conn net.Conn, as strategies.Login, roots *x509.CertPool,
	within time.Duration) (net.Conn, error) {
	if as.TLS.Disabled {
		return conn, nil
	}
	ctx, cancel := context.WithTimeout(ctx, TimeoutOrDefault(within))
	defer cancel()
	secured := tls.Client(conn, TLSConfig(as, roots))
	return secured, secured.HandshakeContext(ctx)
}

// IsTimeout says whether no answer came in time, by our clock or the network's.
func IsTimeout(err error) bool {
	var timeout net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}

// IsConnClosed says whether a connection ended from the other side, or broke.
func IsConnClosed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// WaitText says, for a sentence, how long was waited.
func WaitText(ctx context.Context, limit time.Duration) string {
	if ctx.Err() != nil {
		return "before the deadline"
	}
	return "within " + TimeoutOrDefault(limit).String()
}

// ClassifyDial gives the kind of a Connect that failed, and a sentence.
func ClassifyDial(ctx context.Context, as strategies.Login, limit time.Duration, err error) (rotator.Kind, string) {
	var dns *net.DNSError
	at := Address(as)
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return rotator.KindUnreachable,
			fmt.Sprintf("the host name %s does not resolve: check the host in the secret; if it is a private name, "+
				"associate its zone with the function's VPC and enable DNS support and host names there", as.Host)
	case errors.As(err, &dns):
		return rotator.KindUnreachable,
			fmt.Sprintf("the host name %s could not be looked up: the name server failed or did not answer", as.Host)
	case IsTimeout(err):
		return rotator.KindUnreachable,
			fmt.Sprintf("no answer from %s %s: usually a security group. Allow outbound TCP %d from the function's "+
				"group, and inbound TCP %d on the database's group from it; also check that the function is in the "+
				"VPC, and routes and network ACLs", at, WaitText(ctx, limit), as.Port, as.Port)
	case errors.Is(err, syscall.ECONNREFUSED):
		what := "database"
		if as.PoolerForwardsLogins {
			what = "pooler (or the database)"
		}
		return rotator.KindUnreachable,
			fmt.Sprintf("%s refused the connection: nothing listens on port %d. Wrong port in the secret, or the "+
				"%s is stopped (a security group would time out)", at, as.Port, what)
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return rotator.KindUnreachable,
			fmt.Sprintf("there is no route to %s: put the function into a VPC that has one", at)
	}
	return rotator.KindUnreachable, fmt.Sprintf("%s could not be reached", at)
}

// Hangs is a server that accepts connections and says nothing, as its machine does while the server is stopped.
const Hangs = "a server that hangs or whose machine is stopped (if this worked before, look there)"

// ProxyProtocol is why a server hangs up that a load balancer greets first.
const ProxyProtocol = "a load balancer sends the PROXY protocol (HAProxy: send-proxy, NLB: proxy_protocol_v2), " +
	"which the server does not understand: turn it off there"

// ClassifyTLS gives the kind of a Secure that failed, and a sentence. roots are those of TLSConfig. Nothing here ever
// leads to
// plaintext.
func ClassifyTLS(as strategies.Login, roots *x509.CertPool, err error) (rotator.Kind, string) {
	name := as.TLS.ServerName
	if name == "" {
		name = as.Host
	}
	var unknown x509.UnknownAuthorityError
	var hostname x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	switch {
	case IsTimeout(err):
		return rotator.KindUnreachable,
			fmt.Sprintf("%s accepted the connection and did not answer the TLS handshake in time: it hangs or its "+
				"machine is stopped (if this worked before, look there), or port %d is one without TLS, or of a load "+
				"balancer without a target. Give the port that has TLS; only \"ssl\": false in the secret makes a "+
				"connection without", Address(as), as.Port)
	case errors.As(err, &unknown):
		issuer := ""
		if unknown.Cert != nil {
			issuer = fmt.Sprintf(", issued by %.100q,", unknown.Cert.Issuer.String())
		}
		return rotator.KindTLS, "the certificate's CA is not trusted: the server shows a certificate" + issuer +
			" and trusted are " + trusted(roots)
	case errors.As(err, &hostname):
		return rotator.KindTLS,
			fmt.Sprintf("the server's certificate is not for %s%s: use the database's own endpoint name as host, or "+
				"give the name in the certificate in tlsServerName, if it is this database's", name,
				butFor(hostname.Certificate))
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && invalid.Cert != nil &&
		time.Now().Before(invalid.Cert.NotBefore):
		what := "the server's certificate"
		if invalid.Cert.IsCA {
			what = fmt.Sprintf("the CA certificate %.100q", invalid.Cert.Subject.String())
		}
		return rotator.KindTLS, fmt.Sprintf("%s is not valid before %s: until then use the one before it, or have it "+
			"issued again (the clock of its issuer may be wrong)", what,
			invalid.Cert.NotBefore.UTC().Format("2006-01-02 15:04:05 UTC"))
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && invalid.Cert != nil && invalid.Cert.IsCA:
		return rotator.KindTLS, fmt.Sprintf("the CA certificate %.100q has expired: give a current one "+
			"in DATABASE_CA_FILE, and at the server, where that shows it", invalid.Cert.Subject.String())
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return rotator.KindTLS, "the server's certificate has expired: renew it, and have the server " +
			"read it again, by a reload or a restart: until then it shows the old one (on RDS, choose a " +
			"current certificate authority for the instance)"
	case IsConnClosed(err):
		return rotator.KindUnreachable, "the server closed the connection before or in the TLS handshake: it may be " +
			"restarting, a proxy in between has no database behind it, or " + ProxyProtocol
	case errors.As(err, &record):
		return rotator.KindTLS, fmt.Sprintf("%s does not answer in TLS: check host and port in the secret", Address(as))
	}
	return rotator.KindTLS, "the TLS handshake failed: TLS 1.2 or later and a certificate that verifies are needed"
}

// butFor names whom a certificate is for, as it says itself: nothing has vouched for it yet.
func butFor(c *x509.Certificate) string {
	if c == nil {
		return ""
	}
	var names []string
	for _, name := range c.DNSNames {
		names = append(names, fmt.Sprintf("%.100q", name))
	}
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	switch {
	case names == nil:
		return " but names none (a common name does not count)"
	case len(names) > 5:
		names = append(names[:5], "others")
	}
	return ", but for " + strings.Join(names, ", ")
}

// trusted says which CAs a server was verified by, and what to do where the server has another.
func trusted(roots *x509.CertPool) string {
	const other = ". For a server with a CA of its own, give that CA's certificate in DATABASE_CA_FILE"
	switch {
	case roots == nil:
		return "the CAs of the machine (the system's pool)" + other
	case roots.Equal(rdsca.Pool()):
		return "the CAs of Amazon RDS alone, for there is no DATABASE_CA_FILE" + other + ". If it was there, compare " +
			"the function's whole environment with its deployment: other settings may be gone with it"
	}
	return "the CAs in DATABASE_CA_FILE alone: give the certificate of this server's CA there, beside those of others"
}
