package dbserver

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func TestLikelyMirrors(t *testing.T) {
	t.Parallel()
	for indexes, want := range map[string]string{
		"": "",
		"'http://a.test/debian/dists/bookworm/InRelease' a_InRelease 0 \n": "http://a.test/debian",
		// A vendor that calls its suites as Debian does, before Debian.
		"'https://v.test/apt/dists/bookworm/InRelease' v 0\n" +
			"'http://a.test/debian/dists/bookworm/InRelease' a 0\n" +
			"'http://a.test/debian/dists/bookworm/main/binary-amd64/Packages.xz' a 0\n" +
			"'http://a.test/debian/dists/bookworm-updates/InRelease' a 0\n" +
			"'http://a.test/security/dists/bookworm-security/InRelease' a 0\n": "http://a.test/debian https://v.test/apt",
		"'mirror+file:/etc/apt/mirrors/debian.list/dists/trixie-updates/InRelease' m 0\n": "mirror+file:/etc/apt/mirrors/debian.list",
		"'http://u.test/ubuntu/dists/noble/InRelease' u 0\n":                              "",
		"'http://p.test/pub/dists/bookworm-pgdg/InRelease' p 0\n":                         "",
	} {
		if got := strings.Join(likelyMirrors(indexes), " "); got != want {
			t.Errorf("%s: %q, want %q", indexes, got, want)
		}
	}
}

func TestWantedArchive(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"libc6_2.41-12_amd64.deb": true, "libssl3t64_3.5_amd64.deb": true, "zlib1g_1.3_amd64.deb": true,
		"mysql-server-core_9.7.4-2_amd64.deb": true, "mariadb-server-core-10.5_10.5.23_amd64.deb": true,
		"libperl5.40_5.40.1_amd64.deb": false, "libdbi-perl_1.6_amd64.deb": false, "perl-base_5_amd64.deb": false,
		"mariadb-client_11.8.9_amd64.deb": false, "passwd_4.17_amd64.deb": false,
	} {
		if wantedArchive(name) != want {
			t.Errorf("%s: %t", name, !want)
		}
	}
}

// TestFetchByApt plays apt by a script, and unpacks a package of our own by the real dpkg-deb.
func TestFetchByApt(t *testing.T) {
	r := mysqlRelease{"mariadb-99.1", "trixie", "mariadb-server"}
	if err := r.possible(); err != nil {
		t.Skip(err)
	}
	const server = "#!/bin/sh\necho \"mariadbd  Ver 99.1.7-MariaDB for debian-linux-gnu\"\n"
	deb := debian(t, map[string]string{"usr/sbin/mariadbd": server, "usr/bin/tool": "x", "usr/share/mariadb/english/errmsg.sys": "x"})
	bin := t.TempDir()
	script := `#!/bin/sh
case "$*" in
"--print-uris update") echo "'http://vendor.test/dists/trixie/InRelease' x 0"; echo "'http://mirror.test/debian/dists/trixie-updates/InRelease' x 0" ;;
*" update") cp "$(dirname "$2")/sources.list" "$(dirname "$2")/apt.conf" ` + bin + ` ;;
*" --download-only install mariadb-server") cp ` + deb + ` "$(dirname "$2")/archives/mariadb-server_99.1.7_all.deb" ;;
*) exit 9 ;;
esac
`
	if err := os.WriteFile(filepath.Join(bin, "apt-get"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	cache := filepath.Join(openDir(t), "cache")
	t.Setenv("QUARTERTURN_CACHE", cache)

	moved := mysqlRelease{"mariadb-99.2", "trixie", "mariadb-server"}
	if err := fetchAll(t.Context(), t.Output(), []source{moved}); err == nil || !strings.Contains(err.Error(), "what suite trixie has: is version 99.1.7-MariaDB") {
		t.Errorf("a suite that has moved on: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(cache, "mariadb-*")); err != nil || len(left) != 0 {
		t.Errorf("it leaves %v: %v", left, err)
	}

	var out strings.Builder
	if err := fetchAll(t.Context(), &out, []source{r}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "\nMariaDB 99.1: fetched 99.1.7-MariaDB, 0 MB in ") {
		t.Errorf("it says %q", out.String())
	}
	folder := filepath.Join(cache, r.folder())
	if !gone(filepath.Join(folder, "usr/bin")) || gone(filepath.Join(folder, "usr/share/mariadb/english/errmsg.sys")) {
		t.Error("not what a server needs, and that alone, is unpacked")
	}
	asked, err := os.ReadFile(filepath.Join(bin, "sources.list"))
	if want := "http://mirror.test/debian trixie main\n"; err != nil || !strings.HasSuffix(string(asked), want) || !strings.Contains(string(asked), "arch="+runtime.GOARCH) {
		t.Errorf("apt was given %q: %v", asked, err)
	}
	if left, err := filepath.Glob(filepath.Join(cache, ".fetch-*")); err != nil || len(left) != 0 {
		t.Errorf("it leaves %v: %v", left, err)
	}

	t.Setenv("PATH", t.TempDir())
	if err := r.possible(); !errors.Is(err, errNoApt) {
		t.Errorf("without apt: %v", err)
	}
}

// TestAptIsOnItsOwn lets the real apt read what it is given, and say what it understood.
func TestAptIsOnItsOwn(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("apt-config"); err != nil {
		t.Skip("no apt on this machine")
	}
	for _, suite := range []string{"sid", "trixie"} {
		apt := debianApt{dir: t.TempDir(), suite: suite, mirror: "http://mirror.test/debian"}
		if err := apt.configure(); err != nil {
			t.Fatal(err)
		}
		source, err := os.ReadFile(apt.file("sources.list"))
		if err != nil || strings.Contains(string(source), "check-valid-until=no") != (suite == "sid") {
			t.Errorf("%s: %s: %v", suite, source, err)
		}
		uris, err := exec.CommandContext(t.Context(), "apt-get", "-c", apt.file("apt.conf"), "--print-uris", "update").Output()
		if err != nil || !slices.Equal(likelyMirrors(string(uris)), []string{apt.mirror}) || strings.Contains(string(uris), "dep11") {
			t.Errorf("%s: it would ask for %s: %v", suite, uris, err)
		}
		conf, err := exec.CommandContext(t.Context(), "apt-config", "-c", apt.file("apt.conf"), "dump").Output()
		if err != nil || strings.Contains(string(conf), "APT::Update::Post-Invoke:: ") || strings.Count(string(conf), "APT::Architectures:: ") != 1 {
			t.Errorf("%s: the machine's hooks or architectures are in force: %v", suite, err)
		}
		for _, line := range []string{`Dir::State::status "` + apt.file("status"), `Dir::Cache::archives "` + apt.file("archives"), `Dir::Etc::sourceparts "-"`} {
			if !strings.Contains(string(conf), line) {
				t.Errorf("%s: no %s", suite, line)
			}
		}
	}
}

// debian makes a package.
func debian(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "package")
	files["DEBIAN/control"] = "Package: mariadb-server\nVersion: 99.1.7\nArchitecture: all\nMaintainer: nobody <nobody@example.test>\nDescription: a test\n"
	for name, content := range files {
		name = filepath.Join(dir, name)
		mode := os.FileMode(0o755)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(content), mode)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(dir, "DEBIAN"), 0o755); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "dpkg-deb", "--root-owner-group", "-b", dir, dir+".deb").CombinedOutput()
	if err != nil {
		t.Fatalf("dpkg-deb: %v\n%s", err, out)
	}
	return dir + ".deb"
}
