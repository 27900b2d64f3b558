package fetched

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/quarterturn-dev/quarterturn/testutil/internal/disk"
)

// Debian unpacks packages below dir, without installing them: apt-get downloads them, and that needs no root.
func Debian(ctx context.Context, dir string, packages ...string) error {
	debs, err := disk.Temp("", "debian")
	if err != nil {
		return err
	}
	defer debs.Remove()
	download := func() (string, error) {
		cmd := exec.CommandContext(ctx, "apt-get", append([]string{"download"}, packages...)...)
		cmd.Dir = debs.Path
		text, err := cmd.CombinedOutput()
		return string(text), err
	}
	text, err := download()
	if err != nil { // perhaps for want of lists
		if text, err := run(ctx, "apt-get", "update"); err != nil {
			return fmt.Errorf("apt-get update: %w\n%s", err, text)
		}
		text, err = download()
	}
	if err != nil {
		return fmt.Errorf("apt-get download: %w\n%s", err, text)
	}
	archives, err := filepath.Glob(filepath.Join(debs.Path, "*.deb"))
	if err != nil || len(archives) == 0 {
		return fmt.Errorf("apt-get download gave no package (%v)", err)
	}
	for _, archive := range archives {
		if text, err := run(ctx, "dpkg-deb", "-x", archive, dir); err != nil {
			return fmt.Errorf("dpkg-deb: %w\n%s", err, text)
		}
	}
	return nil
}

// DebianNeeds are the packages that apt-get would install for one, itself among them.
func DebianNeeds(ctx context.Context, name string) ([]string, error) {
	simulate := func() (string, error) {
		return run(ctx, "apt-get", "install", "--simulate", "--no-install-recommends", name)
	}
	plan, err := simulate()
	if err != nil {
		if text, err := run(ctx, "apt-get", "update"); err != nil {
			return nil, fmt.Errorf("apt-get update: %w\n%s", err, text)
		}
		plan, err = simulate()
	}
	if err != nil {
		return nil, fmt.Errorf("apt-get has no %s: %w\n%s", name, err, plan)
	}
	var needs []string
	for _, line := range strings.Split(plan, "\n") {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "Inst" {
			needs = append(needs, f[1])
		}
	}
	if len(needs) == 0 {
		return nil, fmt.Errorf("%s is installed already", name)
	}
	return needs, nil
}
