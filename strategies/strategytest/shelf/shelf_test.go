package shelf_test

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"net/url"
	"strconv"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest/shelf"
)

// TestSuite is what an engine of your own has beside it: a fixture with a server that
// runs, and one call. What a fixture leaves out makes cases skip, and they say so.
func TestSuite(t *testing.T) {
	strategytest.TestEngine(t, func(t *testing.T) strategytest.EngineFixture {
		server := &shelf.Server{}
		secure, plain := httptest.NewTLSServer(server), httptest.NewServer(server)
		secure.Config.ErrorLog, plain.Config.ErrorLog = log.New(io.Discard, "", 0), log.New(io.Discard, "", 0)
		t.Cleanup(secure.Close)
		t.Cleanup(plain.Close)
		roots := x509.NewCertPool()
		roots.AddCert(secure.Certificate())
		add := func(name string, login shelf.Account) strategies.Login {
			password := rand.Text()
			server.Add(name, password, login)
			return at(secure, name, password)
		}
		user := add("app", shelf.Account{})
		plaintext := at(plain, user.User, user.Password.Reveal())
		return strategytest.EngineFixture{
			Engine:    shelf.Engine{Roots: roots},
			Superuser: add("root", shelf.Account{Admin: true}),
			User:      user,
			NewUser: func(_ context.Context, name string) (strategies.Login, error) {
				return add(name, shelf.Account{}), nil
			},
			Census:        server.Census,
			Locked:        add("locked", shelf.Account{Locked: true}),
			PlaintextOnly: plaintext,
			ServerLog:     server.Log,
			Dial: func(ctx context.Context) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "tcp", secure.Listener.Addr().String())
			},
			TLS:         true,
			NoDatabases: true,
		}
	})
}

func at(s *httptest.Server, user, password string) strategies.Login {
	u, err := url.Parse(s.URL)
	if err != nil {
		panic(err) // of our own server
	}
	port, _ := strconv.Atoi(u.Port())
	return strategies.Login{Host: u.Hostname(), Port: port, User: user, Password: secret.NewPassword(password)}
}
