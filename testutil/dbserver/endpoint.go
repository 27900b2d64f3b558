package dbserver

import (
	"context"
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
