package dbserver

import "syscall"

// bindNoPort is IP_BIND_ADDRESS_NO_PORT of linux/in.h, which package syscall has not.
const bindNoPort = 24

// portAtConnect has the kernel choose the port of a connection when it is made and not when its address is bound. A
// port that is bound is taken until the connection before has left TIME_WAIT, a minute, whatever that led to. Clients
// that log in without a pause use up the machine's 28,000 in less.
func portAtConnect(_, _ string, c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) { failed = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, bindNoPort, 1) })
	if err != nil {
		return err
	}
	return failed
}
