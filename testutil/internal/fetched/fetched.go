// Package fetched makes the folders below .cache that hold tools of tests: each is named by what is in it, made once,
// and complete or not there.
package fetched

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/quarterturn-dev/quarterturn/testutil/internal/disk"
)

// Folder is where the tools called name are, or would be, in the project at root. What they are made of is in the
// folder's name, and so is where it is: another list is another folder, and one that was moved, whose scripts name the
// old place, is not believed.
func Folder(root, name string, madeOf ...[]byte) (string, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	for _, b := range append(madeOf, []byte(root)) {
		fmt.Fprintf(sum, "%d:", len(b))
		sum.Write(b)
	}
	return filepath.Join(root, ".cache", fmt.Sprintf("%s-%x", name, sum.Sum(nil)[:6])), nil
}

// Complete reports whether Once has finished for dir.
func Complete(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, complete))
	return err == nil
}

// complete is the file that is written last.
const complete = "complete"

// onceGigabytes is what the largest of them takes, the SAM CLI or a browser.
const onceGigabytes = 1

// Once fills dir by install, unless it is complete. It begins with an empty folder, and one process at a time does it:
// the others wait and find it complete.
func Once(dir string, install func() error) error {
	if Complete(dir) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	unlock, err := disk.Lock(dir + ".lock")
	if err != nil {
		return err
	}
	defer unlock()
	if Complete(dir) {
		return nil
	}
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
		return err
	}
	if err := install(); err != nil {
		return disk.Full(err, dir, filepath.Base(dir), onceGigabytes)
	}
	return os.WriteFile(filepath.Join(dir, complete), nil, 0o644)
}
