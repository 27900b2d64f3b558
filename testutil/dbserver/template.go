package dbserver

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/quarterturn-dev/quarterturn/testutil/internal/disk"
)

// template is a fresh data folder in the cache, to be copied. Measured on two cores: initdb takes 0.4 to 0.5 s and a
// copy 0.05 s; MySQL takes 2.3 s and a copy 0.06 s. It is kept in this user's own cache where the cache belongs to
// another user.
type template struct {
	name string
	// Another binary, or other options, make another template: not another path of the same binary.
	binary  string
	options []string
	// make fills a folder that does not exist yet, in one that does.
	make func(ctx context.Context, dir string) error
}

// serverGigabytes is what a data folder takes while tests run on it.
const serverGigabytes = 0.2

// keptTemplates is how many templates of one server are kept, those used last: enough for some branches with options of
// their own. Each takes 20 to 180 MB.
const keptTemplates = 3

// copyTo makes the data folder dir.
func (t template) copyTo(ctx context.Context, dir string) error {
	for {
		from, err := t.folder(ctx)
		if err != nil {
			return err
		}
		held, err := disk.Hold(from)
		if errors.Is(err, fs.ErrNotExist) { // removed by another process meanwhile
			continue
		}
		if err != nil {
			return fmt.Errorf("template: %w", err)
		}
		defer held.Close()
		return copyTree(from, dir)
	}
}

// folder is the template's, which is made where it is not there yet.
func (t template) folder(ctx context.Context) (string, error) {
	key, err := t.key()
	if err != nil {
		return "", err
	}
	name := fmt.Sprintf("%s-template-%s", t.name, key)
	var problems error
	for _, folder := range []func() (string, error){CacheDir, privateCache} {
		cache, err := folder()
		if err != nil {
			return "", err
		}
		final := filepath.Join(cache, name)
		if _, err := os.Stat(final); err == nil {
			return final, nil
		}
		temp, err := templateFolder(cache)
		if err != nil {
			problems = errors.Join(problems, err)
			continue
		}
		defer os.RemoveAll(temp)
		if err := t.fill(ctx, filepath.Join(temp, "data"), final); err != nil {
			return "", disk.Full(err, cache, "a data folder of "+t.name, serverGigabytes)
		}
		disk.Prune(cache, t.name+"-template-", keptTemplates)
		return final, nil
	}
	return "", fmt.Errorf("template: %w", problems)
}

// fill makes the data folder in temp and moves it into its place. Others may be doing the same at the same time; the
// first one stays.
func (t template) fill(ctx context.Context, temp, final string) error {
	if err := t.make(ctx, temp); err != nil {
		return err
	}
	if err := os.Rename(temp, final); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("template: %w", err)
	}
	return nil
}

// templateFolder is a folder in the cache for a template to be made in.
func templateFolder(cache string) (string, error) {
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	disk.Prune(cache, halfTemplate, -1)
	temp, err := os.MkdirTemp(cache, halfTemplate)
	if err != nil {
		return "", err
	}
	return temp, give(temp)
}

// halfTemplate begins the names of folders that templates are made in.
const halfTemplate = ".template-"

// key stands for the very binary, for how it is used, and for the user that owns the folder.
func (t template) key() (string, error) {
	info, err := os.Stat(t.binary)
	if err != nil {
		return "", fmt.Errorf("template: %w", err)
	}
	sum := sha256.Sum256(fmt.Append(nil, info.Size(), info.ModTime().UnixNano(), t.options, os.Geteuid()))
	return hex.EncodeToString(sum[:6]), nil
}
