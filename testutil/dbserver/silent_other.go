//go:build !unix

package dbserver

import (
	"errors"
	"net"
)

// keepSilent is for Unix alone.
func keepSilent(net.IP, int) (end func() error, err error) {
	return nil, errors.New("no address of this machine can be kept silent")
}
