// Package samtest holds template.yaml to what the project is: each handler has its
// function, each setting of the functions its parameter, and the roles allow what a
// rotation needs and no more. Its tests run the real SAM CLI and cfn-lint.
package samtest

import (
	"bytes"
	"context"
	"crypto/sha256"
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

// Tools is a Python environment with the SAM CLI and cfn-lint, of the versions that
// sam/requirements.txt pins.
type Tools struct{ Dir string }

// ToolsIn is where the tools of the project in root are, or would be: a folder below
// .cache that is named by what is in it and where, so that another list is another
// folder, and one that was moved, whose scripts name the old place, is not believed.
func ToolsIn(root string) (Tools, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return Tools{}, err
	}
	list, err := os.ReadFile(filepath.Join(root, "sam", "requirements.txt"))
	if err != nil {
		return Tools{}, fmt.Errorf("SAM CLI: %w", err)
	}
	return Tools{filepath.Join(root, ".cache", fmt.Sprintf("sam-%x", sha256.Sum256(append(list, root...)))[:16])}, nil
}

// done is a file that is written last.
func (t Tools) done() string { return filepath.Join(t.Dir, "complete") }

// Installed says whether Install has finished.
func (t Tools) Installed() bool {
	_, err := os.Stat(t.done())
	return err == nil
}

// Install makes the environment, unless it is there, by this machine's python3 and
// pip as they are configured.
func (t Tools) Install(ctx context.Context, root string, out io.Writer) error {
	if t.Installed() {
		fmt.Fprintf(out, "SAM CLI and cfn-lint are already there: %s\n", t.Dir)
		return nil
	}
	if _, err := exec.LookPath("python3"); err != nil {
		return ErrNoPython
	}
	begin := time.Now()
	if err := os.RemoveAll(t.Dir); err != nil { // half of it, from a run that was stopped
		return err
	}
	if text, err := run(ctx, "python3", "-m", "venv", t.Dir); err != nil {
		if strings.Contains(text, "ensurepip") { // as Debian has it without python3-venv
			return ErrNoPython
		}
		return fmt.Errorf("python3 -m venv: %w\n%s", err, text)
	}
	fmt.Fprintf(out, "installing the SAM CLI and cfn-lint into %s\n", t.Dir)
	text, err := run(ctx, t.path("pip"), "install", "--quiet", "--disable-pip-version-check", "--no-deps", "-r", filepath.Join(root, "sam", "requirements.txt"))
	if err != nil {
		return fmt.Errorf("pip install: %w\n%s", err, text)
	}
	fmt.Fprintf(out, "installed in %.0f s\n", time.Since(begin).Seconds())
	return os.WriteFile(t.done(), nil, 0o644)
}

func (t Tools) path(name string) string { return filepath.Join(t.Dir, "bin", name) }

// Command is one of the tools, ready to run in the folder dir: without telemetry,
// without the settings and credentials of whoever runs it, without a way to AWS, and
// with env over that.
func (t Tools) Command(ctx context.Context, dir string, env []string, tool string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, t.path(tool), args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(),
		"PATH="+filepath.Join(t.Dir, "bin")+string(os.PathListSeparator)+os.Getenv("PATH"),
		"SAM_CLI_TELEMETRY=0", "AWS_DEFAULT_REGION=us-east-1", "AWS_EC2_METADATA_DISABLED=true",
		"AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null", "AWS_ENDPOINT_URL=http://127.0.0.1:9",
	)
	cmd.Env = append(cmd.Env, env...)
	return cmd
}

func run(ctx context.Context, name string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	return string(bytes.TrimSpace(out)), err
}
