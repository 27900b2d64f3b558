package dbserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// program is what tests run beside PostgreSQL, MySQL and MariaDB: stores of other kinds, what stands before a database,
// and tools. It comes from Debian's archive, is unpacked into the cache as the servers are, and is installed nowhere.
type program struct {
	name    string // of Programs: "valkey-9", or the program's own name where one version is enough
	series  string // what its version begins with; "": any
	archive archive
	path    string   // below the root of the packages
	says    []string // the arguments with which it says its version
	// forks: it starts itself again by way of /proc/self/exe, which would be the loader. It runs with the loader and
	// the C library of this machine, and finds the other libraries by the environment.
	forks bool
}

// programs is the one place that names them.
var programs = []program{
	{"redis-6", "6.", archive{"bullseye", "redis-server", nil, runtimeFolders}, "usr/bin/redis-server",
		[]string{"--version"}, false},
	{"redis-7", "7.", archive{"bookworm", "redis-server", nil, runtimeFolders}, "usr/bin/redis-server",
		[]string{"--version"}, false},
	{"redis-8", "8.", archive{"trixie", "redis-server", nil, runtimeFolders}, "usr/bin/redis-server",
		[]string{"--version"}, false},
	{"valkey-8", "8.", archive{"trixie", "valkey-server", nil, runtimeFolders}, "usr/bin/valkey-server",
		[]string{"--version"}, false},
	{"valkey-9", "9.", archive{"sid", "valkey-server", nil, runtimeFolders}, "usr/bin/valkey-server",
		[]string{"--version"}, false},
	{"pgbouncer", "", archive{"bookworm", "pgbouncer", nil, runtimeFolders}, "usr/sbin/pgbouncer",
		[]string{"--version"}, false},
	{"haproxy", "", archive{"bookworm", "haproxy", nil, runtimeFolders}, "usr/sbin/haproxy", []string{"-v"}, false},
	{"chromium-headless-shell", "", archive{"bookworm", "chromium-headless-shell", notTheCLibrary, runtimeFolders},
		"usr/lib/chromium/chromium-headless-shell", []string{"--version"}, true},
}

// runtimeFolders are what a program needs to run.
var runtimeFolders = []string{"usr/bin", "usr/sbin", "usr/lib", "lib", "lib64"}

func notTheCLibrary(file string) bool { return !strings.HasPrefix(file, "libc6_") }

// Programs is all that Fetch can bring beside Names.
func Programs() []string {
	var names []string
	for _, p := range programs {
		names = append(names, p.name)
	}
	return names
}

// Program is a program of Programs that can be run.
type Program struct {
	Version   string // the first line of what it says
	argv      []string
	libraries string // LD_LIBRARY_PATH; "": the loader in argv knows
}

// Command is the program's command line with arguments, which may have to begin with the loader of the libraries that
// it was built for.
func (p Program) Command(ctx context.Context, args ...string) *exec.Cmd {
	argv := append(slices.Clone(p.argv), args...)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	if p.libraries != "" {
		cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+p.libraries)
	}
	return cmd
}

// FindProgram is a program by one of Programs, in the cache or in PATH. The error wraps ErrMissing and says how to get
// it.
func FindProgram(ctx context.Context, name string) (Program, error) {
	at := slices.IndexFunc(programs, func(p program) bool { return p.name == name })
	if at < 0 {
		return Program{}, fmt.Errorf("%s: %w: it is none of %s", name, ErrMissing, strings.Join(Programs(), ", "))
	}
	p := programs[at]
	var places []string
	if cache, err := CacheDir(); err == nil {
		places = append(places, filepath.Join(cache, p.folder(), p.path))
	}
	if path, err := exec.LookPath(filepath.Base(p.path)); err == nil {
		places = append(places, path)
	}
	var looked []string
	for _, place := range places {
		found, err := p.inspect(ctx, place)
		if err == nil {
			return found, nil
		}
		if !errors.Is(err, os.ErrNotExist) {
			place += " (" + err.Error() + ")"
		}
		looked = append(looked, place)
	}
	return Program{}, fmt.Errorf("%s: %w (looked in %s); `%s -only %s` fetches it", name, ErrMissing, strings.Join(looked, ", "), fetchCommand, name)
}

// inspect runs a program just far enough to say its version, which takes all of its libraries.
func (p program) inspect(ctx context.Context, path string) (Program, error) {
	if _, err := os.Stat(path); err != nil {
		return Program{}, err
	}
	if err := enterable(filepath.Dir(path)); err != nil {
		return Program{}, err
	}
	found := Program{argv: []string{path}}
	switch root, ok := strings.CutSuffix(path, "/"+p.path); {
	case ok && p.forks:
		var folders []string
		for _, pattern := range []string{"/usr/lib/*-linux-gnu*", "/lib/*-linux-gnu*",
			"/usr/lib/*-linux-gnu*/pulseaudio"} {
			found, _ := filepath.Glob(root + pattern)
			folders = append(folders, found...)
		}
		found.libraries = strings.Join(folders, ":")
	case ok:
		found.argv = append(ownLoader(root), path)
	}
	out, err := found.Command(ctx, p.says...).Output()
	if err != nil {
		return Program{}, fmt.Errorf("does not run: %w", err)
	}
	found.Version, _, _ = strings.Cut(strings.TrimSpace(string(out)), "\n")
	if p.series != "" && !strings.Contains(found.Version, "v="+p.series) {
		return Program{}, fmt.Errorf("is %s", found.Version)
	}
	return found, nil
}

// String is the program in sentences.
func (p program) String() string { return p.name }

func (p program) find(ctx context.Context) (string, error) {
	found, err := FindProgram(ctx, p.name)
	if err != nil {
		return "", err
	}
	return found.argv[len(found.argv)-1], nil
}

func (p program) folder() string { return p.name + "-" + platform() }

func (p program) possible() error { return p.archive.possible() }

func (p program) bring(ctx context.Context, temp, into string) (megabytes int64, err error) {
	return p.archive.bring(ctx, temp, into)
}

func (p program) check(ctx context.Context, dir string) (version string, err error) {
	found, err := p.inspect(ctx, filepath.Join(dir, p.path))
	if err != nil {
		return "", fmt.Errorf("what suite %s has: %w", p.archive.suite, err)
	}
	return found.Version, nil
}
