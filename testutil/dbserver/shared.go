package dbserver

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// startTimeout bounds the start of a server for which the caller gives no context of its own. It is generous: a slow
// machine is no reason to fail.
const startTimeout = 10 * time.Minute

// shared holds the servers of one kind that all tests of this process share. They are state of the process because what
// they stand for is: server processes that `go test` has no hook to start and stop around a package without a TestMain in
// each. They end with the process (see guardScript).
type shared[K comparable, S any] struct {
	mu     sync.Mutex
	starts map[K]func() (S, error)
}

// get is the server of a key, started by whoever asks first.
func (s *shared[K, S]) get(t testing.TB, key K, start func(context.Context) (S, error)) S {
	t.Helper()
	tier.NotInCheck(t)
	s.mu.Lock()
	once, ok := s.starts[key]
	if !ok {
		if s.starts == nil {
			s.starts = map[K]func() (S, error){}
		}
		once = sync.OnceValues(func() (S, error) {
			ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
			defer cancel()
			return start(ctx)
		})
		s.starts[key] = once
	}
	s.mu.Unlock()
	server, err := once()
	if err != nil {
		settle(t, err)
	}
	return server
}

// own is a server for one test, closed at its end.
func own[S io.Closer](t testing.TB, start func(context.Context) (S, error)) S {
	t.Helper()
	tier.NotInCheck(t)
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	server, err := start(ctx)
	if err != nil {
		settle(t, err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return server
}

// randomHex is n random bytes in hexadecimal: safe in any name and between any quotes.
func randomHex(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return hex.EncodeToString(b)
}
