//go:build unix

package dbserver

import (
	"os"
	"syscall"
)

// ownSession keeps ^C and the end of a terminal away from a child: its end is ours to order.
func ownSession() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// asServerUser is ownSession, and not root.
func asServerUser() *syscall.SysProcAttr {
	attr := ownSession()
	if os.Geteuid() == 0 {
		attr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	}
	return attr
}

// ownedByUs reports whether info is of a file of this user that nobody else may write.
func ownedByUs(info os.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Geteuid() && info.Mode().Perm()&0o022 == 0
}
