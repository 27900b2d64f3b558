package tier

import (
	"slices"
	"testing"
)

// TestOf: -short is make check, whatever the environment says, and a value that is misspelt is not taken for make test.
func TestOf(t *testing.T) {
	for _, c := range []struct {
		short bool
		value string
		want  tier
		ok    bool
	}{
		{false, "", test, true},
		{true, "", check, true},
		{true, "long", check, true},
		{false, "long", long, true},
		{false, "Long", "", false},
		{false, "check", "", false},
	} {
		if got, ok := of(c.short, c.value); got != c.want || ok != c.ok {
			t.Errorf("-short %t, %q: %q, %t", c.short, c.value, got, ok)
		}
	}
}

// TestEverythingHasItsShare: what make test leaves out, make test-long runs, and nothing runs in both.
func TestEverythingHasItsShare(t *testing.T) {
	all := []int{13, 14, 15, 16}
	for _, inTest := range [][]int{nil, {13}, {13, 16}, all} {
		tests, longs := share(test, all, inTest), share(long, all, inTest)
		both := slices.Sorted(slices.Values(slices.Concat(tests, longs)))
		if !slices.Equal(tests, inTest) || !slices.Equal(both, all) {
			t.Errorf("of %v, make test runs %v and make test-long %v", all, tests, longs)
		}
	}
}

func TestRequired(t *testing.T) {
	for _, c := range []struct {
		ci, own string
		want    bool
	}{
		{"", "", false},
		{"true", "", true},
		{"1", "", true},
		{"false", "", false},
		{"", "1", true},
		{"true", "0", false}, // the narrower variable decides
		{"woodpecker", "", true},
	} {
		env := map[string]string{"CI": c.ci, "QUARTERTURN_REQUIRE_SERVERS": c.own}
		if got := Required(func(name string) string { return env[name] }); got != c.want {
			t.Errorf("CI=%q QUARTERTURN_REQUIRE_SERVERS=%q: %t", c.ci, c.own, got)
		}
	}
}
