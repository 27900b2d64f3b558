// Samtools sets up the SAM CLI and cfn-lint in a Python environment of the project's
// own, below .cache, and where it can, a Docker engine beside it for `sam local invoke`
// (root on Debian and its like, with no other engine running). It is quick when there is nothing to do, so that every
// `make test` can run it.
//
// Where there is no Python to do it with, that is said and is no failure, as the
// tests are skipped; where CI or QUARTERTURN_REQUIRE_SERVERS is true the exit code is 1.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/quarterturn-dev/quarterturn/testutil/internal/fetched"
	"github.com/quarterturn-dev/quarterturn/testutil/samtest"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// installTimeout is generous: 80 packages of 60 MB through a poor line.
const installTimeout = 15 * time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, installTimeout)
	defer cancel()
	if engine, err := samtest.EngineIn("."); err == nil {
		if err := engine.Fetch(ctx, os.Stdout); err != nil {
			fmt.Println("sam local invoke will not be tested:", err)
		}
	}
	tools, err := install(ctx, ".")
	if err == nil {
		fmt.Printf("to use them: export PATH=%s:$PATH\n", filepath.Dir(tools.Path("sam")))
		return
	}
	fmt.Fprintln(os.Stderr, "samtools:", err)
	if errors.Is(err, fetched.ErrNoPython) {
		fmt.Fprintln(os.Stderr, "samtools: install Python 3.10 or newer with venv (Debian: apt-get install "+
			"python3-venv) and run this again")
	}
	if tier.Required(os.Getenv) {
		os.Exit(1)
	}
	fmt.Fprintln(os.Stderr, "samtools: tests of the SAM CLI will be skipped")
}

// install does it, after installing Python where that is ours to do.
func install(ctx context.Context, root string) (samtest.Tools, error) {
	tools, err := samtest.ToolsIn(root)
	if err != nil {
		return tools, err
	}
	if tools.Installed() {
		fmt.Printf("SAM CLI and cfn-lint are already there: %s\n", tools.Dir)
		return tools, nil
	}
	err = tools.Install(ctx, os.Stdout)
	if errors.Is(err, fetched.ErrNoPython) && fetched.InstallPackage(ctx, os.Stdout, "python3-venv") == nil {
		err = tools.Install(ctx, os.Stdout)
	}
	return tools, err
}
