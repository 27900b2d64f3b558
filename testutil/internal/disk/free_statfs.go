//go:build linux || darwin

package disk

import (
	"fmt"
	"syscall"
)

// state is where the disk of dir is mounted, and what is free on it.
func state(dir string) string {
	at := mount(dir)
	var fs syscall.Statfs_t
	if err := syscall.Statfs(at, &fs); err != nil {
		return "at " + at + " has no more"
	}
	return fmt.Sprintf("at %s has %.1f GB left", at, float64(fs.Bavail)*float64(fs.Bsize)/1e9)
}
