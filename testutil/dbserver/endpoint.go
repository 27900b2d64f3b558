package dbserver

import (
	"context"
	"fmt"
	"net"
	"strconv"
)

// Endpoint is where a server of this package is reached.
type Endpoint struct {
	Host string // 127.0.0.1
	Port int
}

// Address is the host and port as net.Dial takes them.
func (e Endpoint) Address() string { return net.JoinHostPort(e.Host, strconv.Itoa(e.Port)) }

// Dial is a connection on which no byte has been sent.
func (e Endpoint) Dial(ctx context.Context) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "tcp", e.Address())
}

// DialFrom is Dial by an address of this machine, such as 127.0.0.2, as clients of another host do.
func (e Endpoint) DialFrom(ctx context.Context, from string) (net.Conn, error) {
	ip := net.ParseIP(from)
	if ip == nil {
		return nil, fmt.Errorf("%q is no address", from)
	}
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: ip}, Control: portAtConnect}
	return d.DialContext(ctx, "tcp", e.Address())
}
