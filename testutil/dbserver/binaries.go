package dbserver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// FindPostgres is the folder of initdb and postgres of a major version: in the cache, then where Debian and Homebrew
// put them, then in PATH. The error wraps ErrMissing and says where it looked.
func FindPostgres(ctx context.Context, major int) (string, error) {
	var looked []string
	for _, dir := range postgresFolders(major) {
		err := usable(dir)
		if err == nil {
			return dir, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			dir += " (" + err.Error() + ")"
		}
		looked = append(looked, dir)
	}
	if dir, ok := postgresInPath(ctx, major); ok {
		return dir, nil
	}
	looked = append(looked, "PATH")
	if _, err := CacheDir(); err != nil {
		looked = append(looked, "no cache: "+err.Error())
	}
	return "", fmt.Errorf("PostgreSQL %d: %w (looked in %s); `%s` fetches it", major, ErrMissing, strings.Join(looked, ", "), fetchCommand)
}

// postgresFolders lists where the binaries of a major version can be, best first.
func postgresFolders(major int) []string {
	m := strconv.Itoa(major)
	folders := []string{
		"/usr/lib/postgresql/" + m + "/bin",
		"/usr/pgsql-" + m + "/bin",
		"/opt/homebrew/opt/postgresql@" + m + "/bin",
		"/usr/local/opt/postgresql@" + m + "/bin",
	}
	pkg, known := packageOf(major)
	cache, err := CacheDir()
	if !known || err != nil {
		return folders
	}
	return append([]string{filepath.Join(cache, pkg.folder(), "bin")}, folders...)
}

// usable says why the binaries in dir cannot be used.
func usable(dir string) error {
	for _, name := range []string{"initdb", "postgres"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return enterable(dir)
}

// postgresInPath follows the links of PATH's postgres, because initdb has to be beside it.
func postgresInPath(ctx context.Context, major int) (string, bool) {
	name, err := exec.LookPath("postgres")
	if err != nil {
		return "", false
	}
	if name, err = filepath.EvalSymlinks(name); err != nil {
		return "", false
	}
	out, err := exec.CommandContext(ctx, name, "--version").Output() // postgres (PostgreSQL) 15.18 (Debian ...)
	if err != nil || !strings.HasPrefix(string(out), fmt.Sprintf("postgres (PostgreSQL) %d.", major)) {
		return "", false
	}
	dir := filepath.Dir(name)
	return dir, usable(dir) == nil
}

// newestPostgres is the newest major version that can be had.
func newestPostgres(ctx context.Context) (int, error) {
	var newest int
	var err error
	for _, major := range Majors() {
		if _, missing := FindPostgres(ctx, major); missing == nil {
			newest = major
		} else {
			err = missing
		}
	}
	if newest == 0 {
		return 0, err
	}
	return newest, nil
}
