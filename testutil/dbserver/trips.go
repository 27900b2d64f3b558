package dbserver

import (
	"context"
	"net"
	"sync"
	"testing"

	"github.com/quarterturn-dev/quarterturn/strategies/strategytest"
)

// RoundTrips counts how often a server answers while call runs by way of a port of this
// machine: what distance costs. What a server says unasked is no answer.
func RoundTrips(t testing.TB, dial func(context.Context) (net.Conn, error), call func(port int) error) int {
	t.Helper()
	var mu sync.Mutex
	asked, answers := false, 0
	p := strategytest.Proxy{
		Dial: dial,
		OnChunk: func(c strategytest.Chunk) strategytest.ChunkAction {
			mu.Lock()
			defer mu.Unlock()
			if c.FromServer && asked {
				answers++
			}
			asked = !c.FromServer
			return strategytest.ChunkForward
		},
	}
	if err := p.Listen(); err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := call(p.Port()); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	return answers
}
