package dbserver

import (
	"net"
	"syscall"
	"testing"
)

// TestDialFrom: `make prove` ran out of ports under load, and its clients were refused by this machine.
func TestDialFrom(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := Endpoint{"127.0.0.1", l.Addr().(*net.TCPAddr).Port}.DialFrom(t.Context(), "127.0.0.2")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if from := c.LocalAddr().(*net.TCPAddr).IP.String(); from != "127.0.0.2" {
		t.Errorf("the connection comes from %s", from)
	}
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var late int
	if ctl := raw.Control(func(fd uintptr) { late, err = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_IP, bindNoPort) }); ctl != nil || err != nil {
		t.Fatal(ctl, err)
	}
	if late != 1 {
		t.Error("the port was bound with the address")
	}
}
