// Package tier says which tests a run is to run. There are three tiers, each a make target, and each of them tests
// every package:
//
//	make check      go test -short ./...                          no server, no program to build, under a minute
//	make test       go test ./...                                 real servers, the race detector
//	make test-long  QUARTERTURN_TEST_TIER=long go test ./...      what the other two leave out
//
// A test that says nothing runs in every tier, so it has to be quick. One that starts a database server (package
// dbserver), or builds a program, or takes seconds, says so in its first line: Test, Long or NotInCheck. One that does
// the same on many versions divides them by Share. Nothing can fall between the tiers: what Test and Share leave out of
// make test-long, make test has run, and the other way round.
package tier

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"testing"
	"time"
)

// variable is the environment variable that asks for make test-long.
const variable = "QUARTERTURN_TEST_TIER"

// tier is one of the three.
type tier string

const (
	check tier = "check"
	test  tier = "test"
	long  tier = "long"
)

// running is the tier of this process.
func running(t testing.TB) tier {
	t.Helper()
	is, ok := of(testing.Short(), os.Getenv(variable))
	if !ok {
		t.Fatalf("%s is %q: want long, or nothing", variable, os.Getenv(variable))
	}
	return is
}

// of is the decision of running.
func of(short bool, value string) (is tier, ok bool) {
	switch {
	case short:
		return check, true
	case value == "":
		return test, true
	case value == string(long):
		return long, true
	}
	return "", false
}

// NotInCheck skips the test in make check: it starts a server or builds a program. In make test-long, too, it runs.
func NotInCheck(t testing.TB) {
	t.Helper()
	if running(t) == check {
		t.Skip("not in make check: make test runs it")
	}
}

// Test skips the test unless make test is running.
func Test(t testing.TB) {
	t.Helper()
	if running(t) != test {
		t.Skip("make test runs it")
	}
}

// Long skips the test unless make test-long is running.
func Long(t testing.TB) {
	t.Helper()
	if running(t) != long {
		t.Skip("make test-long runs it")
	}
}

// Share divides what a test repeats, such as versions of a server: those of inTest are for make test, the rest of all
// for make test-long. In make check it skips the test.
func Share[T comparable](t testing.TB, all []T, inTest ...T) []T {
	t.Helper()
	NotInCheck(t)
	for _, one := range inTest {
		if !slices.Contains(all, one) {
			t.Fatalf("%v is none of %v", one, all)
		}
	}
	return share(running(t), all, inTest)
}

// Some is Share for what make test-long is to repeat: inTest are for make test, all of them for make test-long.
func Some[T comparable](t testing.TB, all []T, inTest ...T) []T {
	t.Helper()
	some := Share(t, all, inTest...)
	if running(t) == long {
		return append(some, inTest...)
	}
	return some
}

// share is the decision of Share.
func share[T comparable](of tier, all, inTest []T) []T {
	return slices.DeleteFunc(slices.Clone(all), func(one T) bool {
		return slices.Contains(inTest, one) != (of == test)
	})
}

// Stride is for thousands of inputs: which part of them a test is to try. 1 is all of them, in make test-long; 10 is
// every tenth.
func Stride(t testing.TB, inCheck, inTest int) int {
	t.Helper()
	switch running(t) {
	case check:
		return inCheck
	case test:
		return inTest
	}
	return 1
}

// Patiently is for a test that brings something about within a limit of time and sees what the limit then does. How
// long that takes is not for a test to know: try gets a short limit, and longer ones as long as it gives an error, up
// to minutes. What is wrong stays wrong; what was only slow does not.
func Patiently(t testing.TB, try func(limit time.Duration) error) {
	t.Helper()
	var err error
	for limit := 150 * time.Millisecond; limit < 5*time.Minute; limit *= 6 {
		if err = try(limit); err == nil {
			return
		}
	}
	t.Error(err)
}

// Program is the path of a program that a test of make test-long runs, such as aws. Where it is not on this machine the
// test is skipped, with the command that installs it; where Required says so it fails.
func Program(t testing.TB, name, install string) string {
	t.Helper()
	Long(t)
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	Missing(t, fmt.Errorf("there is no %s here: %s", name, install))
	return ""
}

// Missing ends a test for which something is not on this machine: it is skipped, or fails where Required says so.
func Missing(t testing.TB, err error) {
	t.Helper()
	if Required(os.Getenv) {
		t.Fatal(err)
	}
	t.Skip(err)
}

// Required reports whether what is not to be had, a server or a program, is a failure and not a skipped test:
// QUARTERTURN_REQUIRE_SERVERS decides where it is set, else CI.
func Required(getenv func(string) string) bool {
	for _, name := range []string{"QUARTERTURN_REQUIRE_SERVERS", "CI"} {
		if value := getenv(name); value != "" {
			on, err := strconv.ParseBool(value)
			return on || err != nil
		}
	}
	return false
}
