package strategytest_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"unicode"

	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest"
)

// TestShelf is what an engine of your own has beside it: a fixture with a server that
// runs, and one call. What a fixture leaves out makes cases skip, and they say so.
func TestShelf(t *testing.T) {
	strategytest.TestEngine(t, func(t *testing.T) strategytest.EngineFixture {
		server := &shelfServer{accounts: map[string]shelfAccount{}}
		secure, plain := httptest.NewTLSServer(server), httptest.NewServer(server)
		secure.Config.ErrorLog, plain.Config.ErrorLog = log.New(io.Discard, "", 0), log.New(io.Discard, "", 0)
		t.Cleanup(secure.Close)
		t.Cleanup(plain.Close)
		roots := x509.NewCertPool()
		roots.AddCert(secure.Certificate())
		add := func(name string, login shelfAccount) strategies.Login {
			password := rand.Text()
			server.add(name, password, login)
			return at(secure, name, password)
		}
		user := add("app", shelfAccount{})
		plaintext := at(plain, user.User, user.Password.Reveal())
		return strategytest.EngineFixture{
			Engine:    Shelf{Roots: roots},
			Superuser: add("root", shelfAccount{admin: true}),
			User:      user,
			NewUser: func(_ context.Context, name string) (strategies.Login, error) {
				return add(name, shelfAccount{}), nil
			},
			Census:        server.census,
			Locked:        add("locked", shelfAccount{locked: true}),
			PlaintextOnly: plaintext,
			ServerLog:     server.log.String,
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

// shelfServer is the database of Shelf, as far as accounts go: it keeps digests, and logs
// who asked for what.
type shelfServer struct {
	mu       sync.Mutex
	accounts map[string]shelfAccount
	log      shelfLog
}

type shelfAccount struct {
	digest        [sha256.Size]byte
	admin, locked bool
}

func (s *shelfServer) add(name, password string, a shelfAccount) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a.digest = sha256.Sum256([]byte(password))
	s.accounts[name] = a
}

// census is what the suite compares before and after each call: everything that the
// server stores of all accounts.
func (s *shelfServer) census(context.Context) (map[string]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[string]string{}
	for name, a := range s.accounts {
		all[strategytest.Fact(name, "account")] = fmt.Sprintf("admin %t, locked %t", a.admin, a.locked)
		all[strategytest.Fact(name, "verifier")] = fmt.Sprintf("%x", a.digest)
	}
	return all, nil
}

// ServeHTTP answers with a status and nothing else.
func (s *shelfServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var q shelfRequest
	w.Header().Set("Server", "shelf")
	if json.NewDecoder(r.Body).Decode(&q) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	status := s.serve(r.URL.Path, q)
	fmt.Fprintf(&s.log, "%s %q %q: %d\n", r.URL.Path, q.User, q.Target, status)
	w.WriteHeader(status)
}

func (s *shelfServer) serve(path string, q shelfRequest) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	me, known := s.accounts[q.User]
	sent := sha256.Sum256([]byte(q.Password))
	target, ok := s.accounts[q.Target]
	switch {
	case !known || subtle.ConstantTimeCompare(sent[:], me.digest[:]) == 0:
		return http.StatusUnauthorized
	case me.locked:
		return http.StatusLocked
	case path == "/login":
		return http.StatusNoContent
	case path != "/password":
		return http.StatusBadRequest
	case q.Target != q.User && !me.admin:
		return http.StatusForbidden
	case !ok:
		return http.StatusNotFound
	case len(q.New) < 8 || !strings.ContainsFunc(q.New, unicode.IsLetter):
		return http.StatusUnprocessableEntity
	}
	if !q.DryRun {
		target.digest = sha256.Sum256([]byte(q.New))
		s.accounts[q.Target] = target
	}
	return http.StatusNoContent
}

// shelfLog is what the server has logged.
type shelfLog struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *shelfLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *shelfLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
