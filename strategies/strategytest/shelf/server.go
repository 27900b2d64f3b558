package shelf

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"unicode"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest/census"
)

// Server is the database, as far as accounts go: an http.Handler that keeps digests, and
// logs who asked for what. A restart brings back what was saved last. Its zero value has no
// accounts.
type Server struct {
	mu       sync.Mutex
	accounts map[string]Account
	saved    map[string]Account
	log      logText
}

// Account is one of a Server.
type Account struct {
	Admin, Locked bool
	digest        [sha256.Size]byte
}

// Add creates an account, or replaces it, and saves it.
func (s *Server) Add(name, password string, a Account) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.accounts == nil {
		s.accounts = map[string]Account{}
	}
	a.digest = sha256.Sum256([]byte(password))
	s.accounts[name] = a
	s.saved = maps.Clone(s.accounts)
}

// Restart loses what was not saved.
func (s *Server) Restart(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accounts = maps.Clone(s.saved)
	return nil
}

// Census is what the suite compares before and after each call: everything that the
// server stores of all accounts.
func (s *Server) Census(context.Context) (map[string]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[string]string{}
	for name, a := range s.accounts {
		all[census.Fact(name, "account")] = fmt.Sprintf("admin %t, locked %t", a.Admin, a.Locked)
		all[census.Fact(name, "verifier")] = fmt.Sprintf("%x", a.digest)
	}
	return all, nil
}

// ServeHTTP answers with a status and nothing else.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var q request
	w.Header().Set("Server", "shelf")
	if json.NewDecoder(r.Body).Decode(&q) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	status := s.serve(r.URL.Path, q)
	fmt.Fprintf(&s.log, "%s %q %q: %d\n", r.URL.Path, q.User, q.Target, status)
	w.WriteHeader(status)
}

func (s *Server) serve(path string, q request) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	me, known := s.accounts[q.User]
	sent := sha256.Sum256([]byte(q.Password))
	target, ok := s.accounts[q.Target]
	switch {
	case !known || subtle.ConstantTimeCompare(sent[:], me.digest[:]) == 0:
		return http.StatusUnauthorized
	case me.Locked:
		return http.StatusLocked
	case path == "/login":
		return http.StatusNoContent
	case path == "/save":
		s.saved = maps.Clone(s.accounts)
		return http.StatusNoContent
	case path != "/password":
		return http.StatusBadRequest
	case q.Target != q.User && !me.Admin:
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

// LogIn is a client's login, without a network: nil, or rotator.KindLoginRejected.
func (s *Server) LogIn(user, password string) error {
	if status := s.serve("/login", request{User: user, Password: password}); status != http.StatusNoContent {
		return fmt.Errorf("client: %w: status %d", rotator.KindLoginRejected, status)
	}
	return nil
}

// Log is what the server has logged.
func (s *Server) Log() string { return s.log.String() }

// logText is what the server has logged.
type logText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
