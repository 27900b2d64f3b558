// Package shelf is the engine to copy for a database of your own. The database does not
// exist; it is one of those that are administered over HTTPS and save by a second command, and
// Server is a small one. The test beside it has the fixtures to copy: it runs the acceptance
// suite of package strategytest, and whole rotations over TCP.
package shelf

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/dial"
)

// Engine is an engine, whole. Six things to see: nothing is kept between calls (1), the line
// is verified or there is none (2), the context reaches every byte (3), each failure gets its
// kind in one place, a rejected login strictly (4), no text holds a password (5), and a change
// is not done before it is saved (6).
type Engine struct {
	Roots *x509.CertPool // nil: the machine's
}

var _ strategies.Persister = Engine{} // strategies.Engine, where a server saves what it changes

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

// SetPassword implements strategies.Engine. This server forgets at its next restart what was not
// saved (6).
func (e Engine) SetPassword(ctx context.Context, login strategies.Login, user string, p secret.Password) error {
	if err := e.set(ctx, login, user, p, false); err != nil {
		return err
	}
	if user == login.User {
		login.Password = p // the old one is no longer accepted
	}
	return e.Persist(ctx, login, user, p)
}

// Persist implements strategies.Persister: a function can end between the two commands above.
func (e Engine) Persist(ctx context.Context, login strategies.Login, _ string, _ secret.Password) error {
	return e.ask(ctx, login, "/save", request{})
}

// DryRunSetPassword implements strategies.Engine. This server can be asked what it would say.
// One that changes data in transactions is made to change it and roll back; see
// strategies/postgres, and strategies/mysql for servers that have neither.
func (e Engine) DryRunSetPassword(ctx context.Context, login strategies.Login, user string,
	sample secret.Password) ([]strategies.Warning, error) {
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
		return fmt.Errorf("new password: %w: %d bytes, and %s takes %d", rotator.KindPasswordPolicy, len(value), t.Name,
			t.MaxPasswordSize)
	case user == "" || strings.ContainsRune(user, 0) || !utf8.ValidString(user) || len(user) > t.MaxUserBytes:
		return fmt.Errorf("user name %q: %w: want 1 to %d bytes of UTF-8 without NUL", user, rotator.KindMisconfigured,
			t.MaxUserBytes)
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
	// "http", because the line has TLS already.
	// (3)
	call, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+dial.Address(login)+path,
		bytes.NewReader(body))
	if err != nil {
		return strategies.MarkLoginError(fmt.Errorf("host %q: %w", login.Host, rotator.KindMisconfigured))
	}
	line, err := e.connect(ctx, login)
	if err != nil {
		return err
	}
	defer line.Close()
	client := http.Client{
		Transport: &http.Transport{ // no proxy, no connection that is kept
			DisableKeepAlives: true,
			DialContext:       func(context.Context, string, string) (net.Conn, error) { return line, nil },
		},
		// A redirection would take the password somewhere else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	answer, err := client.Do(call)
	if err == nil {
		answer.Body.Close()
	}
	return explain(ctx, login, answer, err)
}

// connect is the way to the server, which package dial has ready, with the kind and the sentence of
// whatever goes wrong on it. Only a login whose secret turns TLS off comes without (2).
func (e Engine) connect(ctx context.Context, login strategies.Login) (net.Conn, error) {
	conn, err := dial.Connect(ctx, login, 0)
	if err != nil {
		kind, says := dial.ClassifyDial(ctx, login, 0, err)
		return nil, failedLogin(login, kind, says)
	}
	line, err := dial.Secure(ctx, conn, login, e.Roots, 0)
	if err != nil {
		conn.Close()
		kind, says := dial.ClassifyTLS(login, e.Roots, err)
		return nil, failedLogin(login, kind, says)
	}
	return line, nil
}

// failed is an error that says what happened, to whom, and what to do.
func failed(login strategies.Login, kind rotator.Kind, says string) error {
	return fmt.Errorf("%s: %w: %s", dial.Describe(login), kind, says)
}

// failedLogin is one from before the server had let the user in: a preflight says so then, and
// not that the change failed.
func failedLogin(login strategies.Login, kind rotator.Kind, says string) error {
	return strategies.MarkLoginError(failed(login, kind, says))
}

// explain gives every failure its kind and a sentence that says what to do (4). The texts are
// ours: the client's may repeat what it was given (5).
func explain(ctx context.Context, login strategies.Login, answer *http.Response, err error) error {
	switch {
	case err != nil && ctx.Err() != nil:
		return failedLogin(login, rotator.KindDeadline, "no answer before the deadline")
	case err != nil:
		return failedLogin(login, rotator.KindUnreachable,
			"the server closed the connection before it answered: try again when it is up")
	// only the database itself judges a password, and a gateway says 401 too
	case answer.Header.Get("Server") != "shelf":
		return failedLogin(login, rotator.KindUnreachable,
			"something that is not Shelf answers there: correct host and port in the secret")
	}
	switch answer.StatusCode {
	case http.StatusNoContent:
		return nil
	case http.StatusUnauthorized:
		return failedLogin(login, rotator.KindLoginRejected, "the password is wrong, or there is no such user")
	case http.StatusLocked:
		return failedLogin(login, rotator.KindPrivilege, "the account is locked: have an administrator open it")
	case http.StatusServiceUnavailable:
		return failedLogin(login, rotator.KindUnreachable,
			"the server is starting or stopping: try again when it is up")
	case http.StatusForbidden:
		return failed(login, rotator.KindPrivilege, "only an administrator may change another's password: rotate as "+
			"the user itself, or make it one")
	case http.StatusNotFound:
		return failed(login, rotator.KindNotFound, "there is no such user: correct username in the secret")
	case http.StatusUnprocessableEntity:
		return failed(login, rotator.KindPasswordPolicy,
			"the server's policy refused the new password: adapt the function's password settings")
	}
	return failed(login, rotator.KindInternal, "the server answered "+answer.Status)
}
