package prove

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/quarterturn-dev/quarterturn/strategies/strategytest"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
	"github.com/quarterturn-dev/quarterturn/testutil/internal/disk"
	"github.com/quarterturn-dev/quarterturn/testutil/rotationtest"
)

// Chaos is what fixtures need for trials of rotationtest.ChaosTrials, beside a server with TLS.
type Chaos struct {
	Bootstrap string               // the function that is starved; "": none is
	Names     *dbserver.NameServer // that this process asks; nil: no name has dead addresses
}

// functionTimeout is the default of template.yaml.
const functionTimeout = time.Minute

func (c Chaos) into(f *rotationtest.Fixture, function Function) {
	if c.Names != nil {
		f.Chaos.Name = c.Names.Name
	}
	if c.Bootstrap == "" {
		return
	}
	f.Chaos.Starved = func(emulator *awsemu.Emulator, out io.Writer) (rotationtest.Function, error) {
		bootstrap, end, err := starve(c.Bootstrap)
		if err != nil {
			return nil, err
		}
		function.Bootstrap = bootstrap
		deployed, err := function.Deploy(emulator, out)
		if err != nil {
			return nil, errors.Join(err, end())
		}
		return starved{deployed, end}, nil
	}
}

// starved is a function that ends with its limits.
type starved struct {
	rotationtest.Function
	end func() error
}

func (s starved) Close() error { return errors.Join(s.Function.Close(), s.end()) }

// What the smallest function has, of a processor and in bytes.
const (
	starvedQuota  = 7_000 // of a period, in µs
	starvedPeriod = 100_000
	starvedMemory = 128 << 20
)

// starve gives a program that runs the function in control groups of its own. Where this machine does not let us make
// any, it is an error that wraps ErrNotOffered.
func starve(bootstrap string) (wrapped string, end func() error, err error) {
	const root = "/sys/fs/cgroup"
	name := "quarterturn-" + strings.ToLower(rand.Text()[:10])
	limits := map[string]string{ // version 1: a tree for each controller
		"cpu/" + name + "/cpu.cfs_period_us":        fmt.Sprint(starvedPeriod),
		"cpu/" + name + "/cpu.cfs_quota_us":         fmt.Sprint(starvedQuota),
		"memory/" + name + "/memory.limit_in_bytes": fmt.Sprint(starvedMemory),
	}
	if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err == nil { // version 2: one tree
		limits = map[string]string{
			name + "/cpu.max":    fmt.Sprintf("%d %d", starvedQuota, starvedPeriod),
			name + "/memory.max": fmt.Sprint(starvedMemory),
		}
	}
	folders := map[string]bool{}
	for file := range limits {
		folders[filepath.Join(root, filepath.Dir(file))] = true
	}
	dir, err := disk.Temp("", "starved")
	if err != nil {
		return "", nil, err
	}
	end = func() error {
		errs := []error{dir.Remove()}
		for folder := range folders {
			if err := os.Remove(folder); !errors.Is(err, os.ErrNotExist) { // the kernel removes its files
				errs = append(errs, err)
			}
		}
		return errors.Join(errs...)
	}
	script := "#!/bin/sh\n"
	for folder := range folders {
		if err := os.Mkdir(folder, 0o755); err != nil {
			return "", nil, errors.Join(fmt.Errorf("%w: a control group: %w", strategytest.ErrNotOffered, err), end())
		}
		script += "echo $$ > " + folder + "/cgroup.procs || exit 1\n"
	}
	for file, limit := range limits {
		if err := os.WriteFile(filepath.Join(root, file), []byte(limit), 0); err != nil {
			return "", nil, errors.Join(fmt.Errorf("%w: a limit of a control group: %w", strategytest.ErrNotOffered,
				err), end())
		}
	}
	wrapped = filepath.Join(dir.Path, "bootstrap")
	script += "exec " + bootstrap + "\n"
	if err := os.WriteFile(wrapped, []byte(script), 0o755); err != nil {
		return "", nil, errors.Join(err, end())
	}
	return wrapped, end, nil
}

// replicated is a server of package dbserver, which can have a standby of its own kind.
type replicated[S any] interface {
	Standby(ctx context.Context) (S, error)
	Cut(ctx context.Context, leader S) error
	Promote(ctx context.Context) error
	Close() error
	NewCertificate(ctx context.Context, trusted bool) error
}

// chaosOf is what can be done to a server. lead has the fixture go to another, and back; tls: it has certificates.
func chaosOf[S replicated[S]](server S, tls bool, lead func(S)) rotationtest.Chaos {
	c := rotationtest.Chaos{Standby: func(ctx context.Context) (rotationtest.Standby, error) {
		b, err := server.Standby(ctx)
		if err != nil {
			return rotationtest.Standby{}, err
		}
		return rotationtest.Standby{
			Cut: func(ctx context.Context) error { return b.Cut(ctx, server) },
			Promote: func(ctx context.Context) error {
				if err := b.Promote(ctx); err != nil {
					return err
				}
				lead(b)
				return nil
			},
			Close: func() error { lead(server); return b.Close() },
		}, nil
	}}
	if tls {
		c.NewCertificate = server.NewCertificate
	}
	return c
}

// withCA has a function trust the authority of a server; "": the server has none.
func withCA(env []string, caFile string) []string {
	if caFile == "" {
		return env
	}
	return append([]string{"DATABASE_CA_FILE=" + caFile}, env...)
}
