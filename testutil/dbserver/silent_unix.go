//go:build unix

package dbserver

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"
)

// keepSilent has an address of this machine answer no connection to a port, as one does behind a firewall that drops:
// its queue of connections is full.
func keepSilent(ip net.IP, port int) (end func() error, err error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		return nil, fmt.Errorf("silent address: %w", err)
	}
	var queue []net.Conn
	end = func() error {
		for _, c := range queue {
			c.Close()
		}
		return syscall.Close(fd)
	}
	syscall.CloseOnExec(fd)
	at := &syscall.SockaddrInet4{Port: port, Addr: [4]byte(ip.To4())}
	if err := errors.Join(syscall.Bind(fd, at), syscall.Listen(fd, 0)); err != nil {
		return nil, errors.Join(fmt.Errorf("silent address %s: %w", ip, err), end())
	}
	const most = 20
	for len(queue) < most {
		c, err := net.DialTimeout("tcp", (&net.TCPAddr{IP: ip, Port: port}).String(), 300*time.Millisecond)
		if err != nil {
			return end, nil
		}
		queue = append(queue, c)
	}
	return nil, errors.Join(fmt.Errorf("silent address %s: it took %d connections", ip, most), end())
}
