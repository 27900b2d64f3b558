package dbserver

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// nobody is the uid and gid that servers run as when we are root: the overflow id of Linux, `nobody` nearly everywhere.
const nobody = 65534

// maxWorkDir leaves room for a socket's name: the path of a Unix socket ends at 103 bytes on some systems.
const maxWorkDir = 50

// CacheDir is the folder that binaries and templates of data folders are kept in: QUARTERTURN_CACHE (an absolute path),
// or .cache/servers beside the go.mod of the module that we are in. As root, servers run as another user; where that
// user cannot enter the folder (a home folder of mode 0700), the folder is one of root's own in the folder for
// temporary files.
func CacheDir() (string, error) {
	if dir := os.Getenv("QUARTERTURN_CACHE"); dir != "" {
		if !filepath.IsAbs(dir) {
			return "", errors.New("QUARTERTURN_CACHE is not an absolute path")
		}
		return dir, enterable(dir)
	}
	if root, ok := moduleRoot(); ok {
		if dir := filepath.Join(root, ".cache", "servers"); enterable(dir) == nil {
			return dir, nil
		}
	}
	return privateCache()
}

// privateCache is a cache of this user's own. Others can write beside it, so it must be ours before it is believed:
// what is in it gets executed.
func privateCache() (string, error) {
	parent, err := tempDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(parent, "quarterturn-servers-"+strconv.Itoa(os.Geteuid()))
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("cache folder: %w", err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return "", fmt.Errorf("cache folder: %w", err)
	}
	if !info.IsDir() || !ownedByUs(info) {
		return "", fmt.Errorf("cache folder %s: somebody else can write to it; set QUARTERTURN_CACHE", dir)
	}
	return dir, nil
}

// moduleRoot is the folder of the nearest go.mod, from the working folder upwards.
func moduleRoot() (string, bool) {
	dir, err := os.Getwd()
	if err != nil {
		return "", false
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, true
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", false
		}
		dir = parent
	}
}

// workDir is where the folders of servers are made: TMPDIR where it is set, else in memory where there is room, else
// the folder for temporary files.
func workDir() (string, error) {
	if os.Getenv("TMPDIR") == "" {
		if dir, ok := memoryDir(); ok {
			return dir, nil
		}
	}
	return tempDir()
}

// tempDir is the folder for temporary files, or /tmp where that one is too deep for a Unix socket (macOS) or closed to
// the server's user.
func tempDir() (string, error) {
	own := os.TempDir()
	err := enterable(own)
	if err == nil && len(own) <= maxWorkDir {
		return own, nil
	}
	if enterable("/tmp") == nil {
		return "/tmp", nil
	}
	return "", errors.Join(errors.New("no folder for temporary files that a server can use"), err)
}

// enterable says which folder on the way to dir, if any, the server's user cannot enter. Folders that do not exist yet
// will be ours to make.
func enterable(dir string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	for ; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err == nil && info.Mode().Perm()&0o001 == 0 {
			return fmt.Errorf("folder %s is closed to uid %d, which servers run as when started by root", dir, nobody)
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}

// give makes the server's user the owner of a file.
func give(name string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	return os.Lchown(name, nobody, nobody)
}

// writeFile makes a file that only the server's user can read; PostgreSQL insists on that for its key.
func writeFile(name string, content []byte) error {
	if err := os.WriteFile(name, content, 0o600); err != nil {
		return err
	}
	return give(name)
}

// copyTree copies a data folder for the server's user. It may be in use: a file that goes away meanwhile is not copied.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(name string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && name != from {
			return nil
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		switch {
		case entry.IsDir():
			err = os.Mkdir(target, 0o700)
		case entry.Type().IsRegular():
			err = copyFile(name, target)
		default:
			return nil
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return errors.Join(err, give(target))
	})
}

func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(out, in)
	return err
}
