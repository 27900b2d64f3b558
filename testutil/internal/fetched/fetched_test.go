package fetched

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// TestInstallWithoutPython: without Python, or with Debian's without venv, the error says so, and what is half there
// does not count.
func TestInstallWithoutPython(t *testing.T) {
	for name, script := range map[string]string{
		"none":         "",
		"without venv": "#!/bin/sh\necho 'The virtual environment was not created successfully because ensurepip is not available.'; exit 1\n",
	} {
		t.Run(name, func(t *testing.T) {
			path := t.TempDir()
			if script != "" {
				if err := os.WriteFile(filepath.Join(path, "python3"), []byte(script), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			t.Setenv("PATH", path)
			env := Python{Dir: filepath.Join(t.TempDir(), "tools")}
			var out strings.Builder
			if err := env.Install(t.Context(), &out); !errors.Is(err, ErrNoPython) {
				t.Errorf("%v", err)
			}
			if env.Installed() {
				t.Error("it counts as installed")
			}
		})
	}
}

// TestFoldersAreNamedByWhatIsInThem: another list of versions is another folder, and so is another place.
func TestFoldersAreNamedByWhatIsInThem(t *testing.T) {
	folders := map[string]bool{}
	for _, root := range []string{"/a", "/b"} {
		for _, list := range []string{"aws-sam-cli==1.170.0\n", "aws-sam-cli==1.171.0\n"} {
			dir, err := Folder(root, "sam", []byte(list))
			if err != nil {
				t.Fatal(err)
			}
			folders[filepath.Base(dir)] = true
		}
	}
	if len(folders) != 4 {
		t.Errorf("%v", folders)
	}
}

// TestOnce: of many that want the same folder one makes it, and after a failure the next begins with an empty one.
func TestOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache", "tools")
	if err := Once(dir, func() error {
		os.WriteFile(filepath.Join(dir, "half"), nil, 0o644)
		return errors.New("no line")
	}); err == nil || Complete(dir) {
		t.Fatalf("a failure is %v, complete: %v", err, Complete(dir))
	}
	var all sync.WaitGroup
	made := 0 // by one at a time
	for range 8 {
		all.Go(func() {
			if err := Once(dir, func() error {
				made++
				if _, err := os.Stat(filepath.Join(dir, "half")); err == nil {
					t.Error("what a failure left is still there")
				}
				return nil
			}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if made != 1 || !Complete(dir) {
		t.Errorf("made %d times", made)
	}
}
