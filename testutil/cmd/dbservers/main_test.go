package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
)

func TestOutcome(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err      error
		required bool
		want     int
		says     string
	}{
		{nil, true, 0, ""},
		{dbserver.ErrNoNPM, false, 0, "install npm"},
		{dbserver.ErrNoNPM, true, 1, "install npm"},
		{errors.New("no network"), false, 0, "will be skipped"},
		{errors.New("no network"), true, 1, "no network"},
		{fmt.Errorf("PostgreSQL 17: %w", dbserver.ErrIntegrity), false, 1, "pinned SHA-512"},
	} {
		var out strings.Builder
		if got := outcome(c.err, c.required, &out); got != c.want || !strings.Contains(out.String(), c.says) {
			t.Errorf("%v, required %t: %d, saying %q", c.err, c.required, got, out.String())
		}
	}
}

func TestSplit(t *testing.T) {
	t.Parallel()
	if got, err := split(join(dbserver.Majors())); err != nil || !slices.Equal(got, dbserver.Majors()) {
		t.Errorf("%v: %v", got, err)
	}
	if _, err := split("17;18"); err == nil {
		t.Error("17;18 is a list")
	}
}
