// Package samtest holds template.yaml to what the project is: each handler has its
// function, each setting of the functions its parameter, and the roles allow what a
// rotation needs and no more. Its tests run the real SAM CLI and cfn-lint.
package samtest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/quarterturn-dev/quarterturn/testutil/internal/fetched"
)

// Tools is a Python environment with the SAM CLI and cfn-lint, of the versions that
// sam/requirements.txt pins.
type Tools struct{ fetched.Python }

// ToolsIn is where the tools of the project in root are, or would be.
func ToolsIn(root string) (Tools, error) {
	list, err := os.ReadFile(filepath.Join(root, "sam", "requirements.txt"))
	if err != nil {
		return Tools{}, fmt.Errorf("SAM CLI: %w", err)
	}
	python, err := fetched.PythonIn(root, "sam", list)
	return Tools{python}, err
}

// Command is one of the tools, ready to run in the folder dir: without telemetry,
// without the settings and credentials of the user who runs it, without a way to AWS, and
// with env over that.
func (t Tools) Command(ctx context.Context, dir string, env []string, tool string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, t.Path(tool), args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(),
		"PATH="+filepath.Join(t.Dir, "bin")+string(os.PathListSeparator)+os.Getenv("PATH"),
		"SAM_CLI_TELEMETRY=0", "AWS_DEFAULT_REGION=us-east-1", "AWS_EC2_METADATA_DISABLED=true",
		"AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null", "AWS_ENDPOINT_URL=http://127.0.0.1:9",
	)
	cmd.Env = append(cmd.Env, env...)
	return cmd
}
