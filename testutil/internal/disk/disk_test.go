//go:build unix

package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// old makes a folder that was used so long ago.
func old(t *testing.T, parent, name string, ago time.Duration) string {
	t.Helper()
	dir, then := filepath.Join(parent, name), time.Now().Add(-ago)
	if err := errors.Join(os.MkdirAll(filepath.Join(dir, "sub"), 0o700), os.Chtimes(dir, then, then)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func names(t *testing.T, dir string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

// TestPrune: what was not used for a day goes, and what is above the number; never what is held or of another name.
func TestPrune(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	for i := range 5 {
		old(t, parent, fmt.Sprintf("a-%d", i), time.Duration(i+1)*time.Hour)
	}
	old(t, parent, "a-5.removed", time.Minute) // by a process that was killed meanwhile
	held := old(t, parent, "a-6", 50*time.Hour)
	f, err := Hold(held)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	then := time.Now().Add(-50 * time.Hour)
	if err := os.Chtimes(held, then, then); err != nil {
		t.Fatal(err)
	}
	old(t, parent, "a-7", 50*time.Hour)
	old(t, parent, "b-0", 50*time.Hour)
	Prune(parent, "a-", -1)
	if got := names(t, parent); !slices.Equal(got, []string{"a-0", "a-1", "a-2", "a-3", "a-4", "a-6", "b-0"}) {
		t.Errorf("by age alone: %v", got)
	}
	Prune(parent, "a-", 2)
	if got := names(t, parent); !slices.Equal(got, []string{"a-0", "a-1", "a-6", "b-0"}) {
		t.Errorf("two are kept: %v", got)
	}
	f.Close()
	Prune(parent, "a-", 2)
	if got := names(t, parent); !slices.Equal(got, []string{"a-0", "a-1", "b-0"}) {
		t.Errorf("it is held no longer: %v", got)
	}
}

// TestHold: a use is noted, and what is being removed is not there.
func TestHold(t *testing.T) {
	t.Parallel()
	dir := old(t, t.TempDir(), "a", 50*time.Hour)
	f, err := Hold(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || time.Since(info.ModTime()) > time.Hour {
		t.Errorf("the use is not noted: %v", err)
	}
	if _, err := Hold(dir + "-other"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what there is not: %v", err)
	}
	second, err := Hold(dir)
	if err != nil {
		t.Fatalf("a second one: %v", err)
	}
	second.Close()
	remover, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if free, err := TryLock(remover); err != nil || !free {
		t.Fatalf("locked after it was released: %v", err)
	}
	done := make(chan error)
	go func() {
		f, err := Hold(dir)
		if err == nil {
			f.Close()
		}
		done <- err
	}()
	if err := os.Rename(dir, dir+removed); err != nil {
		t.Fatal(err)
	}
	remover.Close()
	if err := <-done; !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what another process removes meanwhile: %v", err)
	}
}

// TestTemp: what killed processes have left goes with the next folder of the name, and what is in use stays.
func TestTemp(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	running, err := Temp(parent, "x")
	if err != nil {
		t.Fatal(err)
	}
	then := time.Now().Add(-50 * time.Hour)
	if err := os.Chtimes(running.Path, then, then); err != nil {
		t.Fatal(err)
	}
	left := old(t, parent, "quarterturn-x-1", 50*time.Hour)
	young := old(t, parent, "quarterturn-x-2", time.Hour)
	next, err := Temp(parent, "x")
	if err != nil {
		t.Fatal(err)
	}
	for dir, stays := range map[string]bool{running.Path: true, left: false, young: true, next.Path: true} {
		if _, err := os.Stat(dir); (err == nil) != stays {
			t.Errorf("%s: %v", filepath.Base(dir), err)
		}
	}
	if err := errors.Join(running.Remove(), next.Remove(), Folder{}.Remove()); err != nil {
		t.Error(err)
	}
	if got := names(t, parent); len(got) != 1 {
		t.Errorf("%v", got)
	}
	if _, err := Temp(filepath.Join(parent, "none"), "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in a folder that there is not: %v", err)
	}
}

// TestFull: of a page by tar remains one sentence, which says what is needed where.
func TestFull(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "not", "there", "yet")
	at := mount(dir)
	if info, err := os.Stat(at); err != nil || !info.IsDir() {
		t.Fatalf("mounted at %q: %v", at, err)
	}
	tar := "dpkg-deb: exit status 2\n" + strings.Repeat("tar: ./usr/lib/x: Cannot write: No space left on device\n", 30)
	for name, err := range map[string]error{
		"a program": errors.New(tar),
		"apt":       errors.New("E: You don't have enough free space in /var/cache/apt/archives/."),
		"npm":       errors.New("npm error code ENOSPC"),
		"a call":    fmt.Errorf("copy: %w", &fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}),
	} {
		full := Full(fmt.Errorf("unpack: %w", err), dir, "MariaDB 10.5", 1)
		if text := full.Error(); !errors.Is(full, syscall.ENOSPC) || strings.Contains(text, "\n") ||
			!strings.HasPrefix(text, "no space left on device: MariaDB 10.5 needs about 1.0 GB in "+dir+", and the disk at "+at+" has ") {
			t.Errorf("%s: %q", name, text)
		}
		if again := Full(fmt.Errorf("fetch: %w", full), dir, "all", 9); strings.Contains(again.Error(), "needs about 9.0 GB") {
			t.Errorf("%s, twice: %v", name, again)
		}
	}
	if other := fs.ErrPermission; Full(other, dir, "x", 1) != other || Full(nil, dir, "x", 1) != nil {
		t.Error("another error is changed")
	}
}
