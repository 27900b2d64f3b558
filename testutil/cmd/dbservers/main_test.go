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

// TestMissing: a server that is there is not fetched again, and one that is not known is refused.
func TestMissing(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"postgres", "mariadb-11.8", "valkey", "redis", "redis-6", "haproxy"} {
		if names, err := missing(t.Context(), kind); err != nil || len(names) > 1 || len(names) == 1 &&
			!strings.HasPrefix(names[0], kind) {
			t.Errorf("%s: %v, %v", kind, names, err)
		}
	}
	if _, err := missing(t.Context(), "oracle"); err == nil || !strings.Contains(err.Error(), "postgres, mysql, "+
		"mariadb, redis, valkey") {
		t.Errorf("a kind that there is not: %v", err)
	}
}

func TestSelection(t *testing.T) {
	t.Parallel()
	for list, want := range map[string][]string{
		strings.Join(dbserver.Names(), ","): dbserver.Names(),
		"postgres-17":                       {"postgres-17"},
		"mysql-9.7, mariadb":                {"mysql-9.7", "mariadb-10.5", "mariadb-10.11", "mariadb-11.8"},
		"postgres-17;18":                    nil, "oracle": nil, "": nil,
	} {
		if got, err := selection(list); !slices.Equal(got, want) || (err == nil) != (want != nil) {
			t.Errorf("%q: %v, %v", list, got, err)
		}
	}
}
