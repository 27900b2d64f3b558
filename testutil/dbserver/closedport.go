package dbserver

import (
	"net"
	"testing"
)

// ClosedPort is a port of 127.0.0.1 at which nothing listens, and nothing will until the test ends: it is the near end
// of a connection. A port that was merely closed again is soon somebody else's.
func ClosedPort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); far.Close() })
	return near.LocalAddr().(*net.TCPAddr).Port
}
