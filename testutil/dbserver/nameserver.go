package dbserver

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
)

// NameServer is a name server for tests, on 127.0.0.1: hosts that have several addresses, of which some are dead. A
// test has its process ask it by net.DefaultResolver = names.Resolver(), in TestMain; no other name resolves then but
// those of /etc/hosts.
type NameServer struct {
	socket net.PacketConn

	mu    sync.Mutex
	hosts map[string][]net.IP
}

// StartNameServer starts a name server, which lives until the process ends.
func StartNameServer() (*NameServer, error) {
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("name server: %w", err)
	}
	n := &NameServer{socket: socket, hosts: map[string][]net.IP{}}
	go n.serve()
	return n, nil
}

// Resolver asks this name server, whatever /etc/resolv.conf says.
func (n *NameServer) Resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", n.socket.LocalAddr().String())
	}}
}

// Name gives a host whose first addresses are dead, at a port: so many refuse a connection, and so many never answer
// one. Its last address is 127.0.0.1.
func (n *NameServer) Name(port, refused, silent int) (host string, end func() error, err error) {
	var addresses []net.IP
	var ends []func() error
	end = func() error {
		var errs []error
		for _, e := range ends {
			errs = append(errs, e())
		}
		return errors.Join(errs...)
	}
	for i := range refused + silent {
		ip := net.IPv4(127, byte(1+rand.IntN(254)), byte(rand.IntN(255)), byte(1+rand.IntN(254)))
		if i >= refused {
			e, err := keepSilent(ip, port)
			if err != nil {
				return "", nil, errors.Join(err, end())
			}
			ends = append(ends, e)
		}
		addresses = append(addresses, ip)
	}
	host = "db-" + randomHex(4) + ".quarterturn.test"
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hosts[host] = append(addresses, net.IPv4(127, 0, 0, 1))
	return host, end, nil
}

func (n *NameServer) serve() {
	question := make([]byte, 512)
	for {
		size, from, err := n.socket.ReadFrom(question)
		if err != nil {
			return
		}
		if answer := n.answer(question[:size]); answer != nil {
			_, _ = n.socket.WriteTo(answer, from) // who asked asks again
		}
	}
}

// answer is that of RFC 1035 to one question: the addresses of a host, or that there is no such name.
func (n *NameServer) answer(question []byte) []byte {
	const header, typeA, noSuchName = 12, 1, 3
	if len(question) < header {
		return nil
	}
	var labels []string
	at := header
	for at < len(question) && question[at] != 0 {
		next := at + 1 + int(question[at])
		if next >= len(question) {
			return nil
		}
		labels = append(labels, string(question[at+1:next]))
		at = next
	}
	if at+5 > len(question) {
		return nil
	}
	n.mu.Lock()
	addresses, known := n.hosts[strings.ToLower(strings.Join(labels, "."))]
	n.mu.Unlock()
	if binary.BigEndian.Uint16(question[at+1:]) != typeA {
		addresses = nil
	}
	answer := append([]byte(nil), question[:at+5]...)
	answer[2], answer[3] = 0x85, 0x80 // an answer, with authority
	if !known {
		answer[3] |= noSuchName
	}
	binary.BigEndian.PutUint16(answer[4:], 1)
	binary.BigEndian.PutUint16(answer[6:], uint16(len(addresses)))
	binary.BigEndian.PutUint32(answer[8:], 0) // no more sections
	for _, ip := range addresses {
		answer = append(answer, 0xc0, header, 0, typeA, 0, 1, 0, 0, 0, 0, 0, 4)
		answer = append(answer, ip.To4()...)
	}
	return answer
}
