package dbserver

import (
	"errors"
	"net"
	"strconv"
	"syscall"
	"testing"
)

// TestClosedPort: it refuses, and it cannot be taken.
func TestClosedPort(t *testing.T) {
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(ClosedPort(t)))
	if conn, err := net.Dial("tcp", address); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("%v, %v", conn, err)
	}
	if l, err := net.Listen("tcp", address); err == nil {
		l.Close()
		t.Error("something else can listen there")
	}
}
