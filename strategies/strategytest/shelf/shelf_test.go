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

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest/shelf"
	"github.com/quarterturn-dev/quarterturn/testutil/rotationtest"
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
			Dial:          dialer(secure),
			Restart:       server.Restart,
			TLS:           true,
			NoDatabases:   true,
		}
	})
}

// TestRotation has whole rotations go wrong at every place, over TCP. Each trial has a server of its
// own. The line is plain, so that what is cut is what the protocol says and not records of TLS.
func TestRotation(t *testing.T) {
	for name, throughSuperuser := range map[string]bool{"single-user": false, "through-superuser": true} {
		t.Run(name, func(t *testing.T) {
			rotationtest.TestRotation(t, rotation(throughSuperuser), rotationtest.Options{MaxTrials: 60})
		})
	}
}

// TestLoad rotates while clients log in. Every rotation must be complete. A single user has a gap, in
// which clients are refused.
func TestLoad(t *testing.T) {
	met, err := rotationtest.LoadTest{Rotations: 5, Clients: 2}.Run(t.Context(), rotation(false))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", met)
}

func rotation(throughSuperuser bool) rotationtest.NewFixture {
	const superuserARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:root-a1b2c3"
	return func(context.Context) (rotationtest.Fixture, error) {
		server := &shelf.Server{}
		plain := httptest.NewServer(server)
		value := func(user string, a shelf.Account) secret.Document {
			login := at(plain, user, rand.Text())
			server.Add(user, login.Password.Reveal(), a)
			return secret.Document{}.Set("engine", "shelf").Set("host", login.Host).Set("port",
				strconv.Itoa(login.Port)).Set("ssl", "false").
				Set("username", user).SetPassword(login.Password).Set("masterarn", superuserARN)
		}
		root, app, other := value("root", shelf.Account{Admin: true}), value("app", shelf.Account{}),
			value("other", shelf.Account{})
		return rotationtest.Fixture{
			StrategyFixture: strategytest.StrategyFixture{
				Strategy: strategies.SingleUser{Engine: shelf.Engine{}, ThroughSuperuser: throughSuperuser},
				Current:  app,
				// Clients are no part of what is cut: the server is asked without a network.
				LogIn: func(_ context.Context, d secret.Document) error {
					return server.LogIn(d.Text("username"), d.Password().Reveal())
				},
				Census: server.Census,
				Others: map[string]secret.Document{"other": other},
				Related: func(_ context.Context, id string) (secret.Document, error) {
					if id != superuserARN {
						return secret.Document{}, rotator.KindNotFound
					}
					return root, nil
				},
			},
			Dial:                   dialer(plain),
			ContextReachesStrategy: true,
			Restart:                server.Restart,
			ServerLog:              server.Log,
			Close:                  plain.Close,
		}, nil
	}
}

func dialer(s *httptest.Server) func(ctx context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", s.Listener.Addr().String())
	}
}

func at(s *httptest.Server, user, password string) strategies.Login {
	u, err := url.Parse(s.URL)
	if err != nil {
		panic(err) // of our own server
	}
	port, _ := strconv.Atoi(u.Port())
	return strategies.Login{Host: u.Hostname(), Port: port, User: user, Password: secret.NewPassword(password)}
}
