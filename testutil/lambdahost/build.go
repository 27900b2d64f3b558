package lambdahost

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
)

// Build compiles a main package into a bootstrap exactly as the project ships it
// (CGO_ENABLED=0, -tags lambda.norpc, -trimpath, -buildvcs=false, -ldflags "-s -w"), but for this
// machine's system and processor whatever GOOS and GOARCH say, so that a Host can
// run it. pkg is an import path, or a folder that begins with "./"; out is the file
// to write. The error holds the compiler's words. It needs the go command.
func Build(ctx context.Context, pkg, out string) error {
	cmd := exec.CommandContext(ctx, "go", "build",
		"-tags", "lambda.norpc", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", out, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
	output, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		err = errors.Join(ctx.Err(), err)
	}
	if err != nil {
		return fmt.Errorf("go build %s: %w\n%s", pkg, err, bytes.TrimSpace(output))
	}
	return nil
}
