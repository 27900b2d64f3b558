package dbserver

import (
	"errors"
	"strings"
	"testing"
)

// TestProgramsSayTheirVersion: each program that was fetched runs, with its own libraries.
func TestProgramsSayTheirVersion(t *testing.T) {
	t.Parallel()
	for _, name := range Programs() {
		t.Run(name, func(t *testing.T) {
			p, err := FindProgram(t.Context(), name)
			if errors.Is(err, ErrMissing) {
				t.Skip(err)
			}
			if err != nil || p.Version == "" {
				t.Fatalf("%q, %v", p.Version, err)
			}
		})
	}
	if _, err := FindProgram(t.Context(), "oracle-23"); !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "valkey-9") {
		t.Errorf("a program that is not there: %v", err)
	}
}

// TestASeriesIsItsOwn: a server of another series than the one asked for is not taken for it.
func TestASeriesIsItsOwn(t *testing.T) {
	t.Parallel()
	place, err := programs[0].find(t.Context()) // Redis 6
	if err != nil {
		t.Skip(err)
	}
	asked := programs[0]
	asked.series = "8."
	if _, err := asked.inspect(t.Context(), place); err == nil || !strings.Contains(err.Error(), "v=6.") {
		t.Errorf("Redis 6 passes for 8: %v", err)
	}
}
