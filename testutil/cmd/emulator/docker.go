package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
)

// dockerHost is the name by which a container finds the machine that it runs on.
// Docker Desktop knows it; on Linux it takes --add-host host.docker.internal:host-gateway.
const dockerHost = "host.docker.internal"

// openToContainers lets Docker's containers reach what listens on loopback
// addresses of this machine, and nothing else. Docker Desktop forwards there itself. On
// Linux a container can only reach the address of Docker's bridge, which no other
// machine is given a way to.
func openToContainers(ctx context.Context, addresses ...string) error {
	bridge, err := bridgeAddress()
	if err != nil || bridge == "" {
		return err
	}
	for _, to := range addresses {
		_, port, err := net.SplitHostPort(strings.TrimPrefix(to, "http://"))
		if err != nil {
			return err
		}
		listener, err := net.Listen("tcp", net.JoinHostPort(bridge, port))
		if err != nil {
			return fmt.Errorf("bridge of Docker: %w", err)
		}
		context.AfterFunc(ctx, func() { listener.Close() })
		go forward(listener, net.JoinHostPort("127.0.0.1", port))
	}
	return nil
}

// bridgeAddress is that of docker0; "" where there is no such network.
func bridgeAddress() (string, error) {
	bridge, err := net.InterfaceByName("docker0")
	if err != nil {
		return "", nil
	}
	addresses, err := bridge.Addrs()
	if err != nil {
		return "", err
	}
	for _, a := range addresses {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.To4() != nil {
			return ip.IP.String(), nil
		}
	}
	return "", nil
}

// forward hands each connection on, until the listener is closed.
func forward(listener net.Listener, to string) {
	for {
		from, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer from.Close()
			target, err := net.Dial("tcp", to)
			if err != nil {
				return
			}
			defer target.Close()
			done := make(chan error, 2)
			pass := func(dst, src net.Conn) {
				_, err := io.Copy(dst, src)
				// The other way may still have something to say.
				done <- errors.Join(err, dst.(*net.TCPConn).CloseWrite())
			}
			go pass(target, from)
			go pass(from, target)
			<-done
			<-done
		}()
	}
}
