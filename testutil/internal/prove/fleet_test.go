package prove

import (
	"testing"

	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// TestFleet is the quick form: a rotation costs the same however many there were.
func TestFleet(t *testing.T) {
	tier.NotInCheck(t)
	s, err := Fleet{Secrets: 1000 / tier.Stride(t, 5, 5), AtOnce: 8}.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s.Failed > 0 || s.Attempts != s.Secrets || s.Arrived != s.Needed {
		t.Errorf("%d rotations failed, %d attempts for %d secrets, %d writes for %d", s.Failed, s.Attempts, s.Secrets, s.Arrived, s.Needed)
	}
	if s.LateAlloc > s.EarlyAlloc*5/4 {
		t.Errorf("a rotation allocates %d bytes at the beginning and %d at the end", s.EarlyAlloc, s.LateAlloc)
	}
	if s.Goroutines > 0 {
		t.Errorf("%d goroutines were left", s.Goroutines)
	}
}

// TestFleetUnderQuota: what is throttled is tried again, and not in such numbers
// that trying is what the quota is spent on.
func TestFleetUnderQuota(t *testing.T) {
	tier.Test(t)
	s, err := Fleet{Secrets: 60, AtOnce: 20, WritesPerSecond: 50}.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s.Failed > 0 || s.Arrived < s.Needed || s.Arrived > 2*s.Needed {
		t.Errorf("%d rotations failed; %d writes for %d that were needed: want less than twice as many", s.Failed, s.Arrived, s.Needed)
	}
}
