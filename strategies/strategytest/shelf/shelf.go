// Package shelf is the engine to copy for a database of your own. The database does not
// exist; it is one of those that are administered over HTTPS, and Server is a small one. The
// test beside it is the fixture to copy: it runs the acceptance suite of package strategytest.
package shelf

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
)

// Engine is an engine, whole. Five things to see: nothing is kept between calls (1), the line
// is verified or there is none (2), the context reaches every byte (3), each failure gets its
// kind in one place, a rejected login strictly (4), and no text holds a password (5).
type Engine struct {
	Roots *x509.CertPool // nil: the machine's
}

var _ strategies.Engine = Engine{}

// Traits implements strategies.Engine.
func (Engine) Traits() strategies.Traits {
	return strategies.Traits{
		Name:              "Shelf",
		Engines:           []string{"shelf"},
		Port:              7443,
		CloneSuffix:       "_clone",
		MaxUserBytes:      64,
		MaxPasswordSize:   256,
		ExcludeCharacters: `:/@"'\`,
	}
}

// Ping implements strategies.Engine.
func (e Engine) Ping(ctx context.Context, login strategies.Login) error {
	return e.ask(ctx, login, "/login", request{})
}

// SetPassword implements strategies.Engine.
func (e Engine) SetPassword(ctx context.Context, login strategies.Login, user string, p secret.Password) error {
	return e.set(ctx, login, user, p, false)
}

// DryRunSetPassword implements strategies.Engine. This server can be asked what it would say.
// One that changes data in transactions is made to change it and roll back; see
// strategies/postgres, and strategies/mysql for servers that have neither.
func (e Engine) DryRunSetPassword(ctx context.Context, login strategies.Login, user string, sample secret.Password) ([]strategies.Warning, error) {
	return nil, e.set(ctx, login, user, sample, true)
}

func (e Engine) set(ctx context.Context, login strategies.Login, user string, p secret.Password, dry bool) error {
	// What the server would take in another sense is refused before the login.
	// JSON turns bytes that are not UTF-8 into others: no client could log in with those.
	t := e.Traits()
	switch value := p.Reveal(); {
	case value == "" || strings.ContainsRune(value, 0) || !utf8.ValidString(value):
		return fmt.Errorf("new password: %w: want UTF-8 without NUL, and not nothing", rotator.KindMisconfigured)
	case len(value) > t.MaxPasswordSize:
		return fmt.Errorf("new password: %w: %d bytes, and %s takes %d", rotator.KindPasswordPolicy, len(value), t.Name, t.MaxPasswordSize)
	case user == "" || strings.ContainsRune(user, 0) || !utf8.ValidString(user) || len(user) > t.MaxUserBytes:
		return fmt.Errorf("user name %q: %w: want 1 to %d bytes of UTF-8 without NUL", user, rotator.KindMisconfigured, t.MaxUserBytes)
	}
	return e.ask(ctx, login, "/password", request{Target: user, New: p.Reveal(), DryRun: dry})
}

// request is what goes over the wire: the one place where passwords are text.
type request struct {
	User, Password string
	Target, New    string `json:",omitempty"`
	DryRun         bool   `json:",omitempty"`
}

// ask connects, logs in, does one thing and hangs up (1).
func (e Engine) ask(ctx context.Context, login strategies.Login, path string, r request) error {
	r.User, r.Password = login.User, login.Password.Reveal()
	body, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("request: %w: %w", rotator.KindInternal, err)
	}
	scheme := "https"
	if login.TLS.Disabled { // the secret says so, and nothing else may (2)
		scheme = "http"
	}
	address := net.JoinHostPort(login.Host, strconv.Itoa(login.Port))
	call, err := http.NewRequestWithContext(ctx, http.MethodPost, scheme+"://"+address+path, bytes.NewReader(body)) // (3)
	if err != nil {
		return fmt.Errorf("host %q: %w", login.Host, rotator.KindMisconfigured)
	}
	client := http.Client{
		Transport: &http.Transport{ // no proxy, no connection that is kept
			DisableKeepAlives: true,
			TLSClientConfig:   &tls.Config{RootCAs: e.Roots, ServerName: cmp.Or(login.TLS.ServerName, login.Host), MinVersion: tls.VersionTLS12},
		},
		// A redirection would take the password somewhere else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	answer, err := client.Do(call)
	if err == nil {
		answer.Body.Close()
	}
	return explain(ctx, fmt.Sprintf("user %q at %s", login.User, address), answer, err)
}

// explain gives every failure its kind and a sentence that says what to do (4). What
// happened before the server had let the user in is marked by strategies.MarkLoginError. The texts are
// ours: the client's may repeat what it was given (5).
func explain(ctx context.Context, who string, answer *http.Response, err error) error {
	wrong := func(kind rotator.Kind, says string) error { return fmt.Errorf("%s: %w: %s", who, kind, says) }
	if err != nil {
		var certificate *tls.CertificateVerificationError
		var record tls.RecordHeaderError
		switch {
		case ctx.Err() != nil:
			return strategies.MarkLoginError(fmt.Errorf("%s: %w: %w", who, rotator.KindDeadline, ctx.Err()))
		case errors.As(err, &certificate):
			return strategies.MarkLoginError(wrong(rotator.KindTLS, "the server's certificate does not hold: give tlsServerName, or the authority that signed it"))
		case errors.As(err, &record), strings.Contains(err.Error(), "HTTP response to HTTPS client"):
			return strategies.MarkLoginError(wrong(rotator.KindTLS, "the server speaks no TLS: turn it on there"))
		}
		return strategies.MarkLoginError(wrong(rotator.KindUnreachable, "no answer: see that host, port and security groups are right"))
	}
	// Only the database itself judges a password. A gateway in between says 401 too.
	if answer.Header.Get("Server") != "shelf" {
		return strategies.MarkLoginError(wrong(rotator.KindUnreachable, "something that is not Shelf answers there: correct host and port in the secret"))
	}
	switch answer.StatusCode {
	case http.StatusNoContent:
		return nil
	case http.StatusUnauthorized:
		return strategies.MarkLoginError(wrong(rotator.KindLoginRejected, "the password is wrong, or there is no such user"))
	case http.StatusLocked:
		return strategies.MarkLoginError(wrong(rotator.KindPrivilege, "the account is locked: have an administrator open it"))
	case http.StatusForbidden:
		return wrong(rotator.KindPrivilege, "only an administrator may change another's password: rotate as the user itself, or make it one")
	case http.StatusNotFound:
		return wrong(rotator.KindNotFound, "there is no such user: correct username in the secret")
	case http.StatusUnprocessableEntity:
		return wrong(rotator.KindPasswordPolicy, "the server's policy refused the new password: adapt the function's password settings")
	case http.StatusServiceUnavailable:
		return wrong(rotator.KindUnreachable, "the server is starting or stopping: try again when it is up")
	}
	return wrong(rotator.KindInternal, "the server answered "+answer.Status)
}
