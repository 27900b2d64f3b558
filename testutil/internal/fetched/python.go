package fetched

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// ErrNoPython says that there is no Python that can make an environment.
var ErrNoPython = errors.New("no python3 with venv on this machine")

// Python is a Python environment of the project's own, with the packages of a pip requirements file that names every
// one of them: none that is not named is installed, and where the file has hashes, pip holds all packages to them.
type Python struct {
	Dir          string
	Requirements []byte
}

// PythonIn is where the environment called name is, or would be, in the project at root.
func PythonIn(root, name string, requirements []byte) (Python, error) {
	dir, err := Folder(root, name, requirements)
	return Python{dir, requirements}, err
}

// Installed reports whether Install has finished.
func (p Python) Installed() bool { return Complete(p.Dir) }

// Install makes the environment, unless it is there, by this machine's python3 and pip as they are configured.
func (p Python) Install(ctx context.Context, out io.Writer) error {
	return Once(p.Dir, func() error {
		if _, err := exec.LookPath("python3"); err != nil {
			return ErrNoPython
		}
		begin := time.Now()
		if text, err := run(ctx, "python3", "-m", "venv", p.Dir); err != nil {
			if strings.Contains(text, "ensurepip") { // as Debian has it without python3-venv
				return ErrNoPython
			}
			return fmt.Errorf("python3 -m venv: %w\n%s", err, text)
		}
		list := filepath.Join(p.Dir, "requirements.txt")
		if err := os.WriteFile(list, p.Requirements, 0o644); err != nil {
			return err
		}
		fmt.Fprintf(out, "installing Python packages into %s\n", p.Dir)
		text, err := run(ctx, p.Path("pip"), "install", "--quiet", "--disable-pip-version-check", "--no-deps", "-r",
			list)
		if err != nil {
			return fmt.Errorf("pip install: %w\n%s", err, text)
		}
		fmt.Fprintf(out, "installed in %.0f s\n", time.Since(begin).Seconds())
		return nil
	})
}

// Path is the path of a program of the environment.
func (p Python) Path(program string) string { return filepath.Join(p.Dir, "bin", program) }

func run(ctx context.Context, name string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	return string(bytes.TrimSpace(out)), err
}
