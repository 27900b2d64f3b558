package bench

import (
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/testutil/internal/archive"
	"github.com/quarterturn-dev/quarterturn/testutil/localaws"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// TestAFunctionStartsWithLittleWork: of the function that has all engines, no package of the project makes much before
// main begins, such as compiled expressions or tables, and its archive is small. Both count at each cold start, and
// neither is a time. Under the race detector, in make test, packing the archive takes half a minute.
func TestAFunctionStartsWithLittleWork(t *testing.T) {
	tier.Long(t)
	built, err := localaws.Build(t.Context(), t.TempDir(), "database")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), built["database"])
	cmd.Env = []string{"GODEBUG=inittrace=1"} // without a runtime to serve, it ends by itself
	out, _ := cmd.CombinedOutput()
	line := regexp.MustCompile(`(?m)^init (\S+) @.* (\d+) bytes, \d+ allocs$`)
	found := line.FindAllStringSubmatch(string(out), -1)
	if len(found) < 20 {
		t.Fatalf("%d packages say what they do at the start:\n%s", len(found), out)
	}
	const most = 8 << 10
	sum := 0
	for _, m := range found {
		if n, _ := strconv.Atoi(m[2]); strings.HasPrefix(m[1], "github.com/quarterturn-dev/quarterturn/") {
			if sum += n; n > 1<<10 {
				t.Logf("%s: %d bytes", m[1], n)
			}
		}
	}
	if sum > most {
		t.Errorf("the project's packages allocate %d bytes before main, more than %d", sum, most)
	}
	if size, err := packed(built["database"]); err != nil || size >= archive.TooLarge {
		t.Errorf("the archive has %d bytes, which must be less than %d: %v", size, archive.TooLarge, err)
	}
}
