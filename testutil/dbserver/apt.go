package dbserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// errNoApt says that there is something to fetch and no apt to fetch it with.
var errNoApt = errors.New("it is fetched from Debian's archive, by apt-get and dpkg-deb of Linux on amd64 or arm64, " +
	"which this machine has not; install it on the machine (macOS: brew install)")

// keyrings are where Debian keeps the keys of its archive, newer name first.
var keyrings = []string{"/usr/share/keyrings/debian-archive-keyring.pgp",
	"/usr/share/keyrings/debian-archive-keyring.gpg"}

// archive is a package of Debian's archive, and what is kept of what it and the packages that it needs unpack to.
type archive struct {
	suite, pkg string
	wanted     func(file string) bool // of the packages' files; nil: all
	folders    []string               // below the root
}

// possible asks for the tools alone; that apt's sources name a Debian mirror is seen on the way.
func (a archive) possible() error {
	if runtime.GOOS != "linux" || !slices.Contains([]string{"amd64", "arm64"}, runtime.GOARCH) {
		return errNoApt
	}
	for _, tool := range []string{"apt-get", "dpkg-deb"} {
		if _, err := exec.LookPath(tool); err != nil {
			return errNoApt
		}
	}
	return nil
}

// bring unpacks the package and the libraries that it needs, of the suite that carries it, into a folder of their own.
// It needs no root, installs nothing, and leaves apt's lists alone: apt works for it in the folder temp, from which it
// sees the machine's proxies and credentials, and a single source.
func (a archive) bring(ctx context.Context, temp, into string) (megabytes int64, err error) {
	mirrors, err := debianMirrors(ctx)
	if err != nil {
		return 0, err
	}
	var refusals error
	for _, mirror := range mirrors {
		apt := debianApt{dir: temp, suite: a.suite, mirror: mirror}
		files, err := apt.download(ctx, a.pkg)
		if err != nil {
			refusals = errors.Join(refusals, err)
			continue
		}
		return a.unpack(ctx, files, filepath.Join(temp, "root"), into)
	}
	return 0, fmt.Errorf("suite %s: %w", a.suite, refusals)
}

// index is a line of `apt-get --print-uris update` about the index of a suite.
var index = regexp.MustCompile(`(?m)^'(\S+)/dists/([a-z]+)(-updates)?/InRelease' `)

// debianMirrors are the mirrors of this machine's apt sources that can be Debian's archive, the likeliest first. Apt
// itself reads the sources, which may have either of two formats.
func debianMirrors(ctx context.Context) ([]string, error) {
	out, err := exec.CommandContext(ctx, "apt-get", "--print-uris", "update").Output()
	if err != nil {
		return nil, fmt.Errorf("apt-get --print-uris update: %w", err)
	}
	mirrors := likelyMirrors(string(out))
	if len(mirrors) == 0 {
		return nil, errors.New("no mirror of Debian's archive among this machine's apt sources; add one, or install " +
			"it on the machine")
	}
	return mirrors, nil
}

// likelyMirrors knows Debian's archive by its suites; other vendors use the names too, but have no updates of them.
func likelyMirrors(indexes string) []string {
	var sure, perhaps []string
	for _, m := range index.FindAllStringSubmatch(indexes, -1) {
		switch mirror, suite, updates := m[1], m[2], m[3]; {
		case !slices.Contains([]string{"bullseye", "bookworm", "trixie", "forky", "sid", "oldoldstable", "oldstable",
			"stable", "testing", "unstable"}, suite):
		case updates != "" || suite == "sid" || suite == "unstable":
			sure = append(sure, mirror)
		default:
			perhaps = append(perhaps, mirror)
		}
	}
	var mirrors []string
	for _, mirror := range append(sure, perhaps...) {
		if !slices.Contains(mirrors, mirror) {
			mirrors = append(mirrors, mirror)
		}
	}
	return mirrors
}

// debianApt is apt with state, cache and sources of its own, as if on a machine without any package.
type debianApt struct{ dir, suite, mirror string }

// download gets a package and all that it depends on, without what it recommends.
func (a debianApt) download(ctx context.Context, pkg string) (archives []string, err error) {
	if err := a.configure(); err != nil {
		return nil, err
	}
	for _, args := range [][]string{{"update"}, {"--download-only", "install", pkg}} {
		cmd := exec.CommandContext(ctx, "apt-get", append([]string{"-c", a.file("apt.conf"), "-qq", "-y"}, args...)...)
		cmd.Env = append(os.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("apt-get %s: %w\n%s", strings.Join(args, " "), err, logTail(out))
		}
	}
	archives, err = filepath.Glob(a.file("archives/*.deb"))
	if err == nil && len(archives) == 0 {
		err = fmt.Errorf("apt-get install %s left no package", pkg)
	}
	return archives, err
}

func (a debianApt) file(name string) string { return filepath.Join(a.dir, name) }

// configure writes what apt works with. Signatures are verified against the machine's keys of Debian, which the
// machine's sources would be, too. Of sid alone an outdated index is accepted: mirrors that are snapshots have one.
func (a debianApt) configure() error {
	options := []string{"arch=" + runtime.GOARCH}
	for _, keyring := range keyrings {
		if _, err := os.Stat(keyring); err == nil {
			options = append(options, "signed-by="+keyring)
			break
		}
	}
	if a.suite == "sid" {
		options = append(options, "check-valid-until=no")
	}
	source := fmt.Sprintf("deb [%s] %s %s main\n", strings.Join(options, " "), a.mirror, a.suite)
	conf := fmt.Sprintf(`
Dir::State %[1]q;
Dir::State::lists %[2]q;
Dir::State::status %[3]q;
Dir::Cache %[1]q;
Dir::Cache::archives %[4]q;
Dir::Etc::sourcelist %[5]q;
Dir::Etc::sourceparts "-";
Dir::Etc::preferences "-";
Dir::Etc::preferencesparts "-";
#clear APT::Architectures;
APT::Architectures:: %[6]q;
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
APT::Update::Error-Mode "any";
APT::Install-Recommends "false";
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
`, a.dir, a.file("lists"), a.file("status"), a.file("archives"), a.file("sources.list"), runtime.GOARCH)
	return errors.Join(
		os.RemoveAll(a.file("lists")),
		os.MkdirAll(a.file("lists/partial"), 0o755),
		os.MkdirAll(a.file("archives/partial"), 0o755),
		os.WriteFile(a.file("status"), nil, 0o644),
		os.WriteFile(a.file("sources.list"), []byte(source), 0o644),
		os.WriteFile(a.file("apt.conf"), []byte(conf), 0o644),
	)
}

// unpack unpacks the packages' files into root and moves what is wanted of them to into.
func (a archive) unpack(ctx context.Context, files []string, root, into string) (megabytes int64, err error) {
	var size int64
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			return 0, err
		}
		size += info.Size()
		if a.wanted != nil && !a.wanted(filepath.Base(file)) {
			continue
		}
		if out, err := exec.CommandContext(ctx, "dpkg-deb", "-x", file, root).CombinedOutput(); err != nil {
			return 0, fmt.Errorf("dpkg-deb -x %s: %w\n%s", filepath.Base(file), err, bytes.TrimSpace(out))
		}
	}
	for _, folder := range a.folders {
		from, to := filepath.Join(root, folder), filepath.Join(into, folder)
		if info, err := os.Lstat(from); err != nil || !info.IsDir() { // lib is a link where /usr is merged
			continue
		}
		if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.Rename(from, to)); err != nil {
			return 0, err
		}
	}
	return size >> 20, nil
}
