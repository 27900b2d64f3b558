package dbserver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// mysqlRelease is one release series of MySQL or MariaDB that tests run on, and the Debian suite and package that carry
// it. Nothing is pinned: what a suite has today is what is tested, and Fetch says what that is.
type mysqlRelease struct {
	name  string
	suite string
	pkg   string
}

// mysqlReleases is the one place that names them. MariaDB's package is the one with the plugins, not only the server.
var mysqlReleases = []mysqlRelease{
	{"mysql-9.7", "sid", "mysql-server-core"},
	{"mariadb-10.5", "bullseye", "mariadb-server"},
	{"mariadb-10.11", "bookworm", "mariadb-server"},
	{"mariadb-11.8", "trixie", "mariadb-server"},
}

func releaseOf(name string) (mysqlRelease, bool) {
	for _, r := range mysqlReleases {
		if r.name == name {
			return r, true
		}
	}
	return mysqlRelease{}, false
}

// mariaDB tells a server's kind by its name.
func mariaDB(name string) bool { return strings.HasPrefix(name, "mariadb-") }

// title is a server's name as its makers write it: MariaDB 10.11.
func title(name string) string {
	_, version, _ := strings.Cut(name, "-")
	if mariaDB(name) {
		return "MariaDB " + version
	}
	return "MySQL " + version
}

// String is the release in sentences.
func (r mysqlRelease) String() string { return title(r.name) }

// folder is the release's name in the cache.
func (r mysqlRelease) folder() string { return r.name + "-" + platform() }

// daemon is the name of the server's program.
func (r mysqlRelease) daemon() string {
	if mariaDB(r.name) {
		return "mariadbd"
	}
	return "mysqld"
}

func (r mysqlRelease) find(ctx context.Context) (string, error) { return FindMySQL(ctx, r.name) }

func (r mysqlRelease) possible() error { return r.archive().possible() }

func (r mysqlRelease) bring(ctx context.Context, temp, into string) (megabytes int64, err error) {
	return r.archive().bring(ctx, temp, into)
}

// archive is where a release comes from.
func (r mysqlRelease) archive() archive {
	return archive{suite: r.suite, pkg: r.pkg, wanted: wantedArchive, folders: serverFolders}
}

// check runs the server just far enough to say its version, which takes all of its libraries.
func (r mysqlRelease) check(ctx context.Context, dir string) (version string, err error) {
	b, err := inspectMySQL(ctx, r, filepath.Join(dir, "usr", "sbin", r.daemon()))
	if err != nil {
		return "", fmt.Errorf("what suite %s has: %w", r.suite, err)
	}
	return b.version, nil
}

// serverFolders are what a server needs of what its packages unpack to; their clients, documents and tools are four
// fifths.
var serverFolders = []string{"usr/sbin", "usr/lib", "lib", "usr/share/mysql", "usr/share/mariadb"}

// wantedArchive reports whether a package holds a server or a library; perl, for one, is there for scripts that nobody
// runs.
func wantedArchive(name string) bool {
	name, _, _ = strings.Cut(name, "_")
	library := strings.HasPrefix(name, "lib") && !strings.Contains(name, "perl") || strings.HasPrefix(name, "zlib")
	return library || strings.HasPrefix(name, "mysql-server") || strings.HasPrefix(name, "mariadb-server")
}

// mysqlBinaries is an installation that can be run.
type mysqlBinaries struct {
	daemon   string
	loader   []string // what the daemon is run through, where its libraries are not this machine's
	base     string
	messages string // the folder of error messages, character sets and MariaDB's system tables
	plugins  string
	version  string // as the server says it: 10.11.18-MariaDB-0+deb12u1
}

// FindMySQL is the server program of a release ("mysql-9.7", "mariadb-10.11"): in the cache, then where Debian and
// Homebrew put it, then in PATH. The error wraps ErrMissing and says where it looked.
func FindMySQL(ctx context.Context, name string) (string, error) {
	b, err := findMySQL(ctx, name)
	return b.daemon, err
}

func findMySQL(ctx context.Context, name string) (mysqlBinaries, error) {
	r, known := releaseOf(name)
	if !known {
		return mysqlBinaries{}, fmt.Errorf("%s: %w: it is none of %s", name, ErrMissing, strings.Join(MySQLs(), ", "))
	}
	var looked []string
	for _, try := range r.places() {
		b, err := inspectMySQL(ctx, r, try)
		if err == nil {
			return b, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			try += " (" + err.Error() + ")"
		}
		looked = append(looked, try)
	}
	looked = append(looked, "PATH")
	if _, err := CacheDir(); err != nil {
		looked = append(looked, "no cache: "+err.Error())
	}
	return mysqlBinaries{}, fmt.Errorf("%s: %w (looked in %s); `%s` fetches it", r, ErrMissing, strings.Join(looked, ", "), fetchCommand)
}

// places lists where the program of a release can be, best first.
func (r mysqlRelease) places() []string {
	var places []string
	if cache, err := CacheDir(); err == nil {
		places = append(places, filepath.Join(cache, r.folder(), "usr", "sbin", r.daemon()))
	}
	kind, version, _ := strings.Cut(r.name, "-")
	for _, dir := range []string{
		"/usr/sbin", "/usr/libexec",
		"/opt/homebrew/opt/" + kind + "@" + version + "/bin", "/opt/homebrew/opt/" + kind + "/bin",
		"/usr/local/opt/" + kind + "@" + version + "/bin", "/usr/local/opt/" + kind + "/bin",
	} {
		places = append(places, filepath.Join(dir, r.daemon()))
	}
	if path, err := exec.LookPath(r.daemon()); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			places = append(places, path)
		}
	}
	return places
}

// inspectMySQL looks at a program and at what is around it. An error that is not fs.ErrNotExist says why it cannot be
// used.
func inspectMySQL(ctx context.Context, r mysqlRelease, daemon string) (mysqlBinaries, error) {
	if _, err := os.Stat(daemon); err != nil {
		return mysqlBinaries{}, err
	}
	if err := enterable(filepath.Dir(daemon)); err != nil {
		return mysqlBinaries{}, err
	}
	b := mysqlBinaries{daemon: daemon, base: filepath.Dir(filepath.Dir(daemon))}
	b.loader = ownLoader(filepath.Dir(b.base))
	b.messages = firstFolder(b.base+"/share/mariadb", b.base+"/share/mysql")
	b.plugins = firstFolder(b.base+"/lib/mysql/plugin", b.base+"/lib64/mysql/plugin", b.base+"/lib64/mariadb/plugin",
		b.base+"/lib/plugin")
	argv := b.argv("--no-defaults", "--version")
	// mariadbd  Ver 10.11.18-MariaDB-0+deb12u1 for ...
	out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).Output()
	if err != nil {
		return mysqlBinaries{}, fmt.Errorf("does not run: %w", err)
	}
	_, rest, _ := strings.Cut(string(out), " Ver ")
	b.version, _, _ = strings.Cut(strings.TrimSpace(rest), " ")
	if !isRelease(r.name, b.version) {
		return mysqlBinaries{}, fmt.Errorf("is version %s", b.version)
	}
	return b, nil
}

// isRelease reports whether a server that calls itself so is of the release of that name.
func isRelease(name, version string) bool {
	_, series, _ := strings.Cut(name, "-")
	return strings.HasPrefix(version, series+".") && strings.Contains(version, "MariaDB") == mariaDB(name)
}

// ownLoader is the dynamic loader below root and its way to the libraries there, so that a server built for another
// distribution runs with the libraries it was built for. The root of the machine needs none.
func ownLoader(root string) []string {
	if root == "/" {
		return nil
	}
	// x86-64.so.2, aarch64.so.1
	for _, pattern := range []string{"/usr/lib/*/ld-linux-*.so.*", "/lib/*/ld-linux-*.so.*"} {
		found, err := filepath.Glob(root + pattern)
		if err != nil || len(found) == 0 {
			continue
		}
		triplet := filepath.Base(filepath.Dir(found[0]))
		libraries := root + "/lib/" + triplet + ":" + root + "/usr/lib/" + triplet
		return []string{found[0], "--inhibit-cache", "--library-path", libraries}
	}
	return nil
}

// firstFolder is the first of some folders that exists, or "".
func firstFolder(dirs ...string) string {
	for _, dir := range dirs {
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			return dir
		}
	}
	return ""
}

// argv is a command line of the server.
func (b mysqlBinaries) argv(args ...string) []string {
	return append(append(append([]string(nil), b.loader...), b.daemon), args...)
}

// where are the options that tell the server where its own files are.
func (b mysqlBinaries) where() []string {
	options := []string{"--basedir=" + b.base}
	if b.messages != "" {
		options = append(options, "--lc-messages-dir="+b.messages,
			"--character-sets-dir="+filepath.Join(b.messages, "charsets"))
	}
	if b.plugins != "" {
		options = append(options, "--plugin-dir="+b.plugins)
	}
	return options
}
