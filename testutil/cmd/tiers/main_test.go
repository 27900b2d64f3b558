package main

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// TestReport: what fails is shown whole, what passes in a line; what make prints in between stays; and the end is
// sorted.
func TestReport(t *testing.T) {
	var out strings.Builder
	r := newReport("make test", &out)
	r.took = 90 * time.Second
	if err := r.read(strings.NewReader(strings.Join([]string{
		`go vet ./...`,
		`{"Action":"start","Package":"p/quick"}`,
		`{"Action":"output","Package":"p/quick","Test":"TestA","Output":"    a_test.go:1: chatter\n"}`,
		`{"Action":"pass","Package":"p/quick","Test":"TestA","Elapsed":0.1}`,
		`{"Action":"output","Package":"p/quick","Output":"PASS\n"}`,
		`{"Action":"output","Package":"p/quick","Output":"ok  \tp/quick\t0.2s\n"}`,
		`{"Action":"pass","Package":"p/quick","Elapsed":0.2}`,
		`{"Action":"build-output","ImportPath":"p/broken","Output":"b.go:1: undefined: x\n"}`,
		`{"Action":"output","Package":"p/slow","Test":"TestB/one","Output":"    b_test.go:7: what was wrong\n"}`,
		`{"Action":"fail","Package":"p/slow","Test":"TestB/one","Elapsed":8}`,
		`{"Action":"fail","Package":"p/slow","Test":"TestB","Elapsed":8}`,
		`{"Action":"output","Package":"p/slow","Output":"FAIL\n"}`,
		`{"Action":"output","Package":"p/slow","Output":"FAIL\tp/slow\t8.1s\n"}`,
		`{"Action":"fail","Package":"p/slow","Elapsed":8.1}`,
	}, "\n"))); err != nil {
		t.Fatal(err)
	}
	for _, shown := range []string{"go vet ./...\n", "ok  \tp/quick\t0.2s\n", "b.go:1: undefined: x\n",
		"what was wrong\n", "FAIL\tp/slow\t8.1s\n"} {
		if !strings.Contains(out.String(), shown) {
			t.Errorf("%q is not in\n%s", shown, out.String())
		}
	}
	if strings.Contains(out.String(), "chatter") {
		t.Errorf("what a passing test says is shown:\n%s", out.String())
	}
	out.Reset()
	r.write(&out)
	if want := "\nmake test took 1m30s; its packages, slowest first:\nFAIL\tp/slow\t8.1s\nok  " +
		"\tp/quick\t0.2s\n"; out.String() != want {
		t.Errorf("the end is %q", out.String())
	}
}

// TestNeverRun: a test that is skipped in one tier is run by another; one that every tier leaves to another is named.
func TestNeverRun(t *testing.T) {
	skipped := func(test, why string) string {
		return `{"Action":"output","Package":"p","Test":"` + test + `","Output":"    a_test.go:1: ` + why + `\n"}` +
			"\n" +
			`{"Action":"skip","Package":"p","Test":"` + test + `"}` + "\n"
	}
	first, second := newReport("make test", t.Output()), newReport("make test-long", t.Output())
	if err := first.read(strings.NewReader(skipped("TestLong", "make test-long runs it") + skipped("TestRoot", "not root") + skipped("TestLost", "make test-long runs it"))); err != nil {
		t.Fatal(err)
	}
	if err := second.read(strings.NewReader(`{"Action":"pass","Package":"p","Test":"TestLong"}` + "\n" + skipped("TestRoot", "not root") + skipped("TestLost", "make test runs it"))); err != nil {
		t.Fatal(err)
	}
	want := []string{"p TestLost: a_test.go:1: make test-long runs it; a_test.go:1: make test runs it"}
	if left := neverRun([]*report{first, second}); !slices.Equal(left, want) {
		t.Errorf("%q", left)
	}
}
