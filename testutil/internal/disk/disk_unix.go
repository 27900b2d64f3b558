//go:build unix

package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// TryLock takes the lock of an open file; false when another process has it. The lock ends with the file.
func TryLock(f *os.File) (bool, error) {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

// Lock waits for the lock of a file, which it makes. A process that ends, however it does, lets go of it.
func Lock(path string) (unlock func() error, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, err
	}
	return f.Close, nil
}

// share takes the lock of a folder that others may have too, but not with TryLock.
func share(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_SH) }

// mount is where the disk of dir begins. The folder may not exist yet.
func mount(dir string) string {
	device := func(dir string) (string, bool) {
		info, err := os.Stat(dir)
		if err != nil {
			return "", false
		}
		stat, ok := info.Sys().(*syscall.Stat_t)
		return fmt.Sprint(stat.Dev), ok
	}
	for {
		parent := filepath.Dir(dir)
		above, ok := device(parent)
		own, exists := device(dir)
		if parent == dir || exists && (!ok || above != own) {
			return dir
		}
		dir = parent
	}
}
