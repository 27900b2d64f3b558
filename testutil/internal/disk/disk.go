// Package disk keeps bounded what tests and their programs put on the disk. A process that is killed removes nothing:
// the next one does it. The locks here say what a running process still uses.
package disk

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Unused is how long a folder has not been used when it may be removed.
const Unused = 24 * time.Hour

// Folder is a folder for temporary files, of one process.
type Folder struct {
	Path string
	held *os.File
}

// Temp makes a folder whose name begins with quarterturn, in parent or, if that is empty, in the folder for temporary
// files. It removes those of the same name that killed processes have left.
func Temp(parent, name string) (Folder, error) {
	if parent == "" {
		parent = os.TempDir()
	}
	prefix := "quarterturn-" + name + "-"
	Prune(parent, prefix, -1)
	dir, err := os.MkdirTemp(parent, prefix)
	if err != nil {
		return Folder{}, Full(err, parent, "a folder for temporary files", 0.1)
	}
	held, err := Hold(dir)
	if err != nil {
		return Folder{}, errors.Join(err, os.RemoveAll(dir))
	}
	return Folder{dir, held}, nil
}

// Remove removes the folder.
func (f Folder) Remove() error {
	if f.held == nil {
		return nil
	}
	err := os.RemoveAll(f.Path)
	f.held.Close()
	return err
}

// Hold keeps a folder from being removed by Prune until the file is closed or the process ends, and notes the use. A
// folder that is gone, or just goes, is fs.ErrNotExist.
func Hold(dir string) (held *os.File, err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := share(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock of %s: %w", dir, err)
	}
	locked, err := f.Stat()
	if there, gone := os.Stat(dir); err == nil && (gone != nil || !os.SameFile(locked, there)) {
		err = &fs.PathError{Op: "hold", Path: dir, Err: fs.ErrNotExist}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	now := time.Now()
	_ = os.Chtimes(dir, now, now) // not in a cache that another user owns, who removes what is in it
	return f, nil
}

// removed ends the name of a folder that is being removed, so that a half of it is never taken for the whole.
const removed = ".removed"

// Prune removes the folders in parent that begin with prefix and that no process holds, if they have not been used for
// a day or, with keep from 0, if they are not among the keep used last. What cannot be removed, stays.
func Prune(parent, prefix string, keep int) {
	type folder struct {
		path string
		used time.Time
	}
	var found []folder
	entries, _ := os.ReadDir(parent) // sorted by name, up to the error
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil && info.IsDir() && strings.HasPrefix(entry.Name(), prefix) {
			found = append(found, folder{filepath.Join(parent, entry.Name()), info.ModTime()})
		}
	}
	slices.SortStableFunc(found, func(a, b folder) int { return cmp.Compare(b.used.UnixNano(), a.used.UnixNano()) })
	kept := 0
	for _, f := range found {
		switch {
		case strings.HasSuffix(f.path, removed), time.Since(f.used) > Unused, keep >= 0 && kept >= keep:
			remove(f.path)
		default:
			kept++
		}
	}
}

func remove(dir string) {
	f, err := os.Open(dir)
	if err != nil {
		return
	}
	defer f.Close()
	if free, err := TryLock(f); err != nil || !free {
		return
	}
	if !strings.HasSuffix(dir, removed) {
		if os.Rename(dir, dir+removed) != nil {
			return
		}
		dir += removed
	}
	_ = os.RemoveAll(dir)
}

// Full makes one sentence of an error that a full disk caused, also where a program that was run says so in many lines:
// what needs how much, in which folder, and what the disk has. Other errors are as they were.
func Full(err error, dir, what string, gigabytes float64) error {
	if err == nil || errors.As(err, new(fullError)) {
		return err
	}
	full := errors.Is(err, syscall.ENOSPC)
	for _, words := range []string{"no space left on device", "enough free space", "ENOSPC"} {
		full = full || strings.Contains(strings.ToLower(err.Error()), strings.ToLower(words))
	}
	if !full {
		return err
	}
	return fullError(fmt.Sprintf("%v: %s needs about %.1f GB in %s, and the disk %s; make room there",
		syscall.ENOSPC, what, gigabytes, dir, state(dir)))
}

// fullError is a sentence of Full.
type fullError string

func (e fullError) Error() string        { return string(e) }
func (e fullError) Is(target error) bool { return target == syscall.ENOSPC }
