//go:build !unix

package dbserver

import (
	"os"
	"syscall"
)

// There is no server for these systems (see packages.go), and the guard is a Unix shell: what is here only has to
// compile.

func ownSession() *syscall.SysProcAttr   { return nil }
func asServerUser() *syscall.SysProcAttr { return nil }
func ownedByUs(os.FileInfo) bool         { return true }
