package dial_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/dial"
	"github.com/quarterturn-dev/quarterturn/strategies/internal/enginetest"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
)

// listen is a port of this machine, and what happens to whoever connects to it.
func listen(t *testing.T, serve func(net.Conn)) strategies.Login {
	t.Helper()
	return strategies.Login{Host: "127.0.0.1", Port: enginetest.Listen(t, serve), User: "app"}
}

func check(t *testing.T, what string, kind rotator.Kind, sentence string, want rotator.Kind, says string) {
	t.Helper()
	if kind != want || !strings.Contains(sentence, says) {
		t.Errorf("%s: %s: %s; want %s, and a sentence that says %q", what, kind, sentence, want, says)
	}
}

// TestUnreached: each reason why there is no connection has its sentence.
func TestUnreached(t *testing.T) {
	t.Parallel()
	closed := listen(t, func(net.Conn) {})
	closed.Port = dbserver.ClosedPort(t)
	nowhere := closed
	nowhere.Host = "db.invalid"
	for what, c := range map[string]struct {
		as   strategies.Login
		err  error // nil: what really happens
		says string
	}{
		"a closed port":         {closed, nil, "refused the connection"},
		"no such name":          {nowhere, &net.DNSError{IsNotFound: true}, "does not resolve"},
		"no name server":        {nowhere, &net.DNSError{IsTimeout: true}, "could not be looked up"},
		"nobody answers":        {closed, context.DeadlineExceeded, "usually a security group"},
		"no route":              {closed, fmt.Errorf("dial: %w", syscall.EHOSTUNREACH), "no route"},
		"no network":            {closed, fmt.Errorf("dial: %w", syscall.ENETUNREACH), "no route"},
		"a network's own limit": {closed, &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}, "within 5s"},
		"something else":        {closed, syscall.EPERM, "could not be reached"},
	} {
		if c.err == nil {
			_, c.err = dial.Connect(t.Context(), c.as, time.Minute)
		}
		kind, sentence := dial.ClassifyDial(t.Context(), c.as, 5*time.Second, c.err)
		check(t, what, kind, sentence, rotator.KindUnreachable, c.says)
	}
	pooled := closed
	pooled.PoolerForwardsLogins = true
	if _, sentence := dial.ClassifyDial(t.Context(), pooled, time.Second,
		syscall.ECONNREFUSED); !strings.Contains(sentence, "the pooler (or the database) is stopped") {
		t.Error(sentence)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, sentence := dial.ClassifyDial(ended, closed, time.Second,
		context.DeadlineExceeded); !strings.Contains(sentence, "before the deadline") {
		t.Error(sentence)
	}
}

// TestUntrusted: so has each reason why TLS does not hold, with real handshakes.
func TestUntrusted(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	known := x509.NewCertPool()
	known.AddCert(server.Certificate())
	trusted := strategies.Login{Host: "127.0.0.1", Port: server.Listener.Addr().(*net.TCPAddr).Port}
	other := trusted
	other.TLS.ServerName = "db.example.org"
	for what, c := range map[string]struct {
		as    strategies.Login
		roots *x509.CertPool
		want  rotator.Kind // "": it holds
		says  string
	}{
		"known and verified":       {trusted, known, "", ""},
		"an authority of its own":  {trusted, nil, rotator.KindTLS, `issued by "`},
		"no pool but the system's": {trusted, nil, rotator.KindTLS, "trusted are the CAs of the machine"},
		"none of Amazon's": {trusted, dial.RDS(nil), rotator.KindTLS,
			"compare the function's whole environment with its deployment"},
		"none of those given": {trusted, x509.NewCertPool(), rotator.KindTLS,
			"trusted are the CAs in DATABASE_CA_FILE alone"},
		"another name": {other, known, rotator.KindTLS, "not for db.example.org"},
		"no TLS at all": {listen(t, func(c net.Conn) { c.Write([]byte("hello, who is there?")) }), known,
			rotator.KindTLS, "does not answer in TLS"},
		"gone in the middle of it": {listen(t, func(c net.Conn) {
			c.(*net.TCPConn).CloseWrite()
			c.Read(make([]byte, 4096))
		}), known, rotator.KindUnreachable, "closed the connection"},
	} {
		conn, err := dial.Connect(t.Context(), c.as, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		err = tls.Client(conn, dial.TLSConfig(c.as, c.roots)).HandshakeContext(t.Context())
		conn.Close()
		if err == nil {
			check(t, what, "", "", c.want, c.says)
			continue
		}
		kind, sentence := dial.ClassifyTLS(c.as, c.roots, err)
		check(t, what, kind, sentence, c.want, c.says)
	}
}

// TestWhyTLSDoesNotHold: those reasons that take a server of a certain age.
func TestWhyTLSDoesNotHold(t *testing.T) {
	t.Parallel()
	as := strategies.Login{Host: "db.example.com", Port: 5432}
	named := as
	named.TLS.ServerName = "real.example.com"
	for what, c := range map[string]struct {
		as   strategies.Login
		err  error
		want rotator.Kind
		says string
	}{
		"expired": {as, x509.CertificateInvalidError{Reason: x509.Expired}, rotator.KindTLS,
			"has expired: renew it, and have the server read it again"},
		"not valid yet": {as, x509.CertificateInvalidError{Reason: x509.Expired, Cert: &x509.Certificate{
			NotBefore: time.Date(2999, 12, 31, 0, 0, 0, 0, time.UTC)}}, rotator.KindTLS,
			"the server's certificate is not valid before 2999-12-31 00:00:00 UTC: until then"},
		"a CA that is not valid yet": {as, x509.CertificateInvalidError{Reason: x509.Expired, Cert: &x509.Certificate{IsCA: true,
			Subject: pkix.Name{CommonName: "our CA"}, NotBefore: time.Date(2999, 12, 31, 0, 0, 0, 0, time.UTC)}}, rotator.KindTLS,
			`the CA certificate "CN=our CA" is not valid before 2999-12-31 00:00:00 UTC: until then`},
		"expired CA": {as, x509.CertificateInvalidError{Reason: x509.Expired, Cert: &x509.Certificate{IsCA: true,
			Subject: pkix.Name{CommonName: "our CA"}}}, rotator.KindTLS,
			`the CA certificate "CN=our CA" has expired: give a current one in DATABASE_CA_FILE`},
		"invalid": {as, x509.CertificateInvalidError{Reason: x509.NotAuthorizedToSign}, rotator.KindTLS,
			"the TLS handshake failed"},
		"not for the host": {as, x509.HostnameError{}, rotator.KindTLS, "not for db.example.com"},
		"not for the name": {named, x509.HostnameError{}, rotator.KindTLS, "not for real.example.com"},
		"for others": {as, x509.HostnameError{Certificate: &x509.Certificate{DNSNames: []string{"a.example.com", "b\n.example.com"},
			IPAddresses: []net.IP{net.IPv4(10, 0, 0, 1)}}}, rotator.KindTLS,
			`not for db.example.com, but for "a.example.com", "b\n.example.com", 10.0.0.1: use`},
		"for many": {as, x509.HostnameError{Certificate: &x509.Certificate{DNSNames: strings.Split("abcdefg", "")}},
			rotator.KindTLS, `"e", others: use`},
		"for none": {as, x509.HostnameError{Certificate: &x509.Certificate{}}, rotator.KindTLS, "names none (a common name"},
		"reset": {as, &net.OpError{Op: "read", Err: syscall.ECONNRESET}, rotator.KindUnreachable,
			"closed the connection"},
		"broken": {as, &net.OpError{Op: "write", Err: syscall.EPIPE}, rotator.KindUnreachable,
			"closed the connection"},
		"the end":               {as, io.EOF, rotator.KindUnreachable, "closed the connection"},
		"the end of a record":   {as, io.ErrUnexpectedEOF, rotator.KindUnreachable, "closed the connection"},
		"closed from this side": {as, net.ErrClosed, rotator.KindUnreachable, "closed the connection"},
		"no answer": {as, context.DeadlineExceeded, rotator.KindUnreachable,
			"TLS handshake in time: it hangs or its machine is stopped (if this worked before, look there), or port 5432 is"},
		"no answer at last": {as, errors.Join(&net.OpError{Op: "read", Err: syscall.ECONNRESET},
			context.DeadlineExceeded), rotator.KindUnreachable, "did not answer the TLS handshake in time"},
		"a CA that is not shown": {as, x509.UnknownAuthorityError{}, rotator.KindTLS,
			"the server shows a certificate and trusted are"},
		"something else": {as, syscall.EPERM, rotator.KindTLS, "the TLS handshake failed"},
	} {
		kind, sentence := dial.ClassifyTLS(c.as, nil, fmt.Errorf("handshake: %w", c.err))
		check(t, what, kind, sentence, c.want, c.says)
	}
}

// TestHowAServerIsVerified: by the secret's name or else by the host, under TLS 1.2 and
// later, and by Amazon's authorities where none are given.
func TestHowAServerIsVerified(t *testing.T) {
	t.Parallel()
	own := x509.NewCertPool()
	as := strategies.Login{Host: "db.example.com"}
	if c := dial.TLSConfig(as, own); c.ServerName != as.Host || c.RootCAs != own || c.MinVersion != tls.VersionTLS12 ||
		c.InsecureSkipVerify {
		t.Errorf("%+v", c)
	}
	as.TLS.ServerName = "real.example.com"
	if c := dial.TLSConfig(as, nil); c.ServerName != "real.example.com" || c.RootCAs != nil {
		t.Errorf("%+v", c)
	}
	if dial.RDS(own) != own || dial.RDS(nil) == nil {
		t.Error("the authorities of a server on RDS")
	}
}

// TestTLSFirst: where a protocol begins with TLS, a port without it may just wait for more,
// and a secret that turns TLS off goes on with the line as it is.
func TestTLSFirst(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	waits := listen(t, func(net.Conn) { <-release })
	conn, err := dial.Connect(t.Context(), waits, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err = dial.Secure(t.Context(), conn, waits, nil, 50*time.Millisecond); err == nil {
		t.Fatal("a handshake with nobody")
	}
	kind, sentence := dial.ClassifyTLS(waits, nil, err)
	check(t, "a port without TLS", kind, sentence, rotator.KindUnreachable, "did not answer the TLS handshake")
	conn2, err := dial.Connect(t.Context(), waits, 0) // as every limit of an engine: zero is 5 seconds
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn2.Close() })
	waits.TLS.Disabled = true
	if same, err := dial.Secure(t.Context(), conn, waits, nil, time.Minute); same != conn || err != nil {
		t.Errorf("without TLS: %v", err)
	}
}

// TestPlace: what errors of engines begin with.
func TestPlace(t *testing.T) {
	as := strategies.Login{Host: "::1", Port: 5432, User: "app", Database: "shop"}
	if got := dial.Describe(as); got != `user "app" at [::1]:5432, database "shop"` {
		t.Error(got)
	}
	as.Database = ""
	if got := dial.Describe(as); got != `user "app" at [::1]:5432` {
		t.Error(got)
	}
	if dial.TimeoutOrDefault(0) != 5*time.Second || dial.TimeoutOrDefault(time.Second) != time.Second {
		t.Error("the limit of an engine that names none")
	}
}

// TestLoginTime: what the invocation leaves, less what the change and the answer need.
func TestLoginTime(t *testing.T) {
	t.Parallel()
	within := func(limit time.Duration) context.Context {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		t.Cleanup(cancel)
		return ctx
	}
	for name, c := range map[string]struct {
		ctx      context.Context
		set      time.Duration
		from, to time.Duration
	}{
		"an hour":        {within(time.Hour), 0, 50 * time.Minute, 59*time.Minute + 50*time.Second},
		"little left":    {within(time.Second), 0, 5 * time.Second, 5 * time.Second},
		"no deadline":    {t.Context(), 0, time.Minute, time.Minute},
		"a limit is set": {within(time.Hour), time.Second, time.Second, time.Second},
	} {
		if got := dial.LoginTime(c.ctx, c.set); got < c.from || got > c.to {
			t.Errorf("%s: %s", name, got)
		}
	}
}
