package strategytest

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestProxy does to a line each thing that it can do.
func TestProxy(t *testing.T) {
	echo, err := listen(func(_ *fakeServer, c net.Conn) { io.Copy(c, c); c.Close() })
	if err != nil {
		t.Fatal(err)
	}
	defer echo.close()
	var verdict atomic.Int32
	p := Proxy{
		Dial: func(ctx context.Context) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", echo.listener.Addr().String())
		},
		OnChunk: func(piece Chunk) ChunkAction {
			if piece.FromServer {
				return ChunkAction(verdict.Load())
			}
			return ChunkForward
		},
	}
	if err := p.Listen(); err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	say := func(v ChunkAction, wait time.Duration) (string, error) {
		verdict.Store(int32(v))
		c, err := net.Dial("tcp", p.listener.Addr().String())
		if err != nil {
			return "", err
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(wait))
		io.WriteString(c, "hello")
		heard := make([]byte, 5)
		n, err := io.ReadFull(c, heard)
		return string(heard[:n]), err
	}
	for v, want := range map[ChunkAction]string{ChunkForward: "hello", ChunkSlow: "hello", ChunkReset: "",
		ChunkDrop: ""} {
		wait := time.Minute
		if v == ChunkDrop {
			wait = 50 * time.Millisecond
		}
		heard, err := say(v, wait)
		if heard != want || (err == nil) != (want != "") || errors.Is(err, os.ErrDeadlineExceeded) != (v == ChunkDrop) {
			t.Errorf("verdict %d: heard %q, %v", v, heard, err)
		}
		if err := p.Idle(t.Context()); err != nil {
			t.Errorf("verdict %d: %v", v, err)
		}
	}
	p.ResetAll(true)
	if heard, err := say(ChunkForward, time.Minute); err == nil {
		t.Errorf("down: heard %q", heard)
	}
	p.ResetAll(false)
	if heard, err := say(ChunkForward, time.Minute); heard != "hello" {
		t.Errorf("up again: heard %q, %v", heard, err)
	}
	held, err := net.Dial("tcp", p.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	io.WriteString(held, "hello")
	io.ReadFull(held, make([]byte, 5)) // now it is through
	over, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := p.Idle(over); err == nil || !strings.Contains(err.Error(), "left open") {
		t.Errorf("a connection that is held: %v", err)
	}
}
