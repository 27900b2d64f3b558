package prove

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/quarterturn-dev/quarterturn/testutil/badinput"
)

// Inputs puts bad events, values and environments to every strategy, and prints a line
// for each kind with what became of them. The tables are testutil/badinput, whose own
// tests hold everything to them.
func Inputs(ctx context.Context, root string, out io.Writer) error {
	cmd := exec.CommandContext(ctx, "go", "test", "-count=1", "-v", "-run",
		"TestEvents|TestValues|TestSuperusers|TestEnvironments", "./testutil/badinput")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "QUARTERTURN_TEST_TIER=long") // which leaves none out
	text, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	lines := 0
	for line := range strings.Lines(string(text)) {
		if _, tally, ok := strings.Cut(line, ".go:"); ok && strings.Contains(tally, badinput.Counted) {
			_, tally, _ = strings.Cut(tally, ": ")
			fmt.Fprint(out, tally)
			lines++
		}
	}
	if err != nil || lines == 0 {
		return fmt.Errorf("bad inputs: %w\n%s", err, text)
	}
	return nil
}
