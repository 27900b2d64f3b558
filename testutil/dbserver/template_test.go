//go:build unix

package dbserver

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/testutil/internal/disk"
)

// TestTemplatesAreBounded: options that change, and binaries that are in many places, do not fill the disk; and what a
// process copies at the moment is whole.
func TestTemplatesAreBounded(t *testing.T) {
	work := openDir(t)
	cache := filepath.Join(work, "cache")
	t.Setenv("QUARTERTURN_CACHE", cache)
	made := 0
	of := func(binary string, options ...string) template {
		return template{name: "server-1", binary: binary, options: options, make: func(_ context.Context, dir string) error {
			made++
			return errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, "file"), []byte(options[0]), 0o600))
		}}
	}
	binary := filepath.Join(work, "binary")
	if err := os.WriteFile(binary, []byte("x"), 0o700); err != nil {
		t.Fatal(err)
	}
	templates := func() []string {
		found, err := filepath.Glob(filepath.Join(cache, "*-template-*"))
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	first, err := of(binary, "0").folder(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	copying, err := disk.Hold(first)
	if err != nil {
		t.Fatal(err)
	}
	defer copying.Close()
	for i := range 10 {
		if err := of(binary, strconv.Itoa(i)).copyTo(t.Context(), filepath.Join(work, "copy"+strconv.Itoa(i))); err != nil {
			t.Fatal(err)
		}
	}
	if all := templates(); len(all) != keptTemplates+1 || made != 10 {
		t.Errorf("after ten settings there are %d, made %d times", len(all), made)
	}
	if text, err := os.ReadFile(filepath.Join(first, "file")); err != nil || string(text) != "0" {
		t.Errorf("what is being copied is gone: %v", err)
	}
	copying.Close()
	if err := of(binary, "3").copyTo(t.Context(), filepath.Join(work, "again")); err != nil || made != 11 {
		t.Errorf("one that was removed is made %d times: %v", made, err)
	}
	if text, err := os.ReadFile(filepath.Join(work, "again", "file")); err != nil || string(text) != "3" {
		t.Errorf("it holds %q: %v", text, err)
	}
	if all := templates(); len(all) != keptTemplates {
		t.Errorf("%d are left: %v", len(all), all)
	}
	other := filepath.Join(work, "other")
	if err := os.Symlink(work, other); err != nil {
		t.Fatal(err)
	}
	if err := of(filepath.Join(other, "binary"), "3").copyTo(t.Context(), filepath.Join(work, "linked")); err != nil ||
		made != 11 {
		t.Errorf("another path of the same binary makes another template: %v", err)
	}
}

// TestFetchOntoAFullDisk: one sentence, in place of what tar says about every file.
func TestFetchOntoAFullDisk(t *testing.T) {
	cache := filepath.Join(openDir(t), "cache")
	t.Setenv("QUARTERTURN_CACHE", cache)
	left := filepath.Join(cache, halfFetched+"1") // by a fetch that was killed
	bin := t.TempDir()
	script := "#!/bin/sh\nfor i in 1 2 3 4 5 6 7 8 9; do echo \"tar: ./usr/lib/$i: Cannot write: No space left on device\"; done; exit 2\n"
	if err := errors.Join(os.MkdirAll(left, 0o755), os.WriteFile(filepath.Join(bin, "dpkg-deb"), []byte(script), 0o700),
		os.WriteFile(filepath.Join(bin, "x.deb"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	err := fetchAll(t.Context(), &strings.Builder{}, []source{packed{file: filepath.Join(bin, "x.deb")}})
	if err == nil || strings.Contains(err.Error(), "\n") ||
		!strings.HasPrefix(err.Error(), "MariaDB 10.5: no space left on device: fetching it needs about 1.0 GB in "+cache+", and the disk at ") {
		t.Errorf("%v", err)
	}
	if !gone(left) {
		t.Error("what a killed fetch left is still there")
	}
}

// packed is a release whose packages are on this machine.
type packed struct {
	mysqlRelease
	file string
}

func (packed) String() string { return "MariaDB 10.5" }
func (packed) folder() string { return "mariadb-test" }
func (p packed) bring(ctx context.Context, temp, into string) (int64, error) {
	return archive{}.unpack(ctx, []string{p.file}, filepath.Join(temp, "root"), into)
}
