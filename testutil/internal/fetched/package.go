package fetched

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// InstallPackage installs a package of Debian, as root alone: on the throwaway machines of a CI. out is told.
func InstallPackage(ctx context.Context, out io.Writer, name string) error {
	if _, err := exec.LookPath("apt-get"); err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return os.ErrPermission
	}
	for _, args := range [][]string{{"update"}, {"install", "-y", "--no-install-recommends", name}} {
		fmt.Fprintln(out, name+" is missing: apt-get", strings.Join(args, " "))
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if said, err := cmd.CombinedOutput(); err != nil {
			err = fmt.Errorf("apt-get: %w: %s", err, said)
			fmt.Fprintln(out, err)
			return err
		}
	}
	return nil
}
