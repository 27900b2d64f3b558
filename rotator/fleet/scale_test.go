package fleet_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator/fleet"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// TestAHundredThousandSecrets is an account of 100,000 secrets of which one in a thousand is overdue: a page for a hundred secrets, a
// call more for each suspect, function and key, and memory that does not grow from page to page. docs/fleet.md has what it prints.
// It takes half a minute: 1,000 pages are written and read as JSON, and the collector runs over the emulator's secrets at each measure.
func TestAHundredThousandSecrets(t *testing.T) {
	tier.Long(t)
	const secrets, overdue = 100_000, 100
	emu, s, names := seeded(t)
	seeded := len(names) + 3
	in, late := emu.Snapshot("fleet/in-order-1"), emu.Snapshot(names["F01"])
	for i := range secrets - seeded {
		next := in
		if i%(secrets/overdue) == 0 {
			next = late
		}
		next.Name, next.ARN = fmt.Sprintf("more/%06d", i), ""
		emu.Seed(next)
	}
	s.All = false

	heap := func() float64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc) / 1e6
	}
	pages, early, afterwards := 0, 0.0, 0.0
	s.Progress = func(_ fleet.Place, seen int) {
		switch pages++; pages {
		case 100:
			early = heap()
		case 1000:
			afterwards = heap()
		}
	}
	start := time.Now()
	r := scan(t, s)
	took := time.Since(start)
	if r.Totals.Secrets != secrets || r.Calls["ListSecrets"] != 1000 || r.Totals.Finding["F01"] < overdue {
		t.Errorf("%d secrets, %d overdue, by %v", r.Totals.Secrets, r.Totals.Finding["F01"], r.Calls)
	}
	// One DescribeSecret for each that is critical or high; the rest as in a small account.
	if n := r.Calls["DescribeSecret"]; n < overdue || n > overdue+seeded {
		t.Errorf("%d calls of DescribeSecret", n)
	}
	if n := r.Calls["ListSecretVersionIds"] + r.Calls["DescribeKey"] + r.Calls["GetPolicy"] + r.Calls["GetFunctionConcurrency"] + r.Calls["GetFunctionConfiguration"]; n > 40 {
		t.Errorf("calls that do not depend on the size: %v", r.Calls)
	}
	// 90,000 secrets in between would be 70 MB of JSON. What is kept is the findings, and the emulator's own record of calls.
	if grown := afterwards - early; grown > 20 {
		t.Errorf("the heap grew by %.1f MB from page 100 to page 1000", grown)
	}
	t.Logf("%d secrets in %s: %v; the heap from %.1f to %.1f MB, the emulator's secrets included; %d entries in the report",
		r.Totals.Secrets, took.Round(100*time.Millisecond), r.Calls, early, afterwards, len(r.Secrets))
}
