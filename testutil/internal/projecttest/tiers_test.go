package projecttest

import (
	"cmp"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestEveryTestHasItsTier: each of the three make targets tests every package, CI runs those that make check does not
// stand in for, and package tier alone decides which test is in which. That each test has then run in one of them is
// what testutil/cmd/tiers sees, at the end of .ci/run.
func TestEveryTestHasItsTier(t *testing.T) {
	makefile := read(t, "Makefile")
	for target, asks := range map[string]string{
		"check":     `\$\(GO\) test -short `,
		"test":      `QUARTERTURN_TEST_TIER= \$\(GO\) test \$\$race `,
		"test-long": `QUARTERTURN_TEST_TIER=long \$\(GO\) test `,
	} {
		recipe := regexp.MustCompile(`(?m)^` + target + `:.*\n((?:\t.*\n)+)`).FindStringSubmatch(makefile)
		if recipe == nil {
			t.Fatalf("Makefile: there is no target %s", target)
		}
		if runs := regexp.MustCompile(asks+`.*-timeout \d+m \$\(ARGS\) (\$\(longest\) )?\./\.\.\.\n`).
			FindAllString(recipe[1], -1); len(runs) != 1 {
			t.Errorf("make %s does not run all packages once, with a limit:\n%s", target, recipe[1])
		}
		if strings.Contains(recipe[1], "-run") || strings.Contains(recipe[1], "-skip") {
			t.Errorf("make %s chooses tests by name:\n%s", target, recipe[1])
		}
	}
	if !regexp.MustCompile(`(?m)^go run \./testutil/cmd/tiers test test-long$`).MatchString(read(t, ".ci/run")) {
		t.Error(".ci/run does not run make test and make test-long")
	}
	decides := regexp.MustCompile(`testing\.Short\(|QUARTERTURN_TEST_TIER|(?m)^//go:build .*(tier|long|integration)`)
	tested := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && (d.Name() == ".cache" || d.Name() == ".git") {
			return cmp.Or(err, filepath.SkipDir)
		}
		if !strings.HasSuffix(path, "_test.go") || filepath.Base(filepath.Dir(path)) == "projecttest" {
			return nil
		}
		tested++
		text, err := os.ReadFile(path)
		if found := decides.Find(text); found != nil && filepath.Base(filepath.Dir(path)) != "tier" {
			t.Errorf("%s has %s: which tier a test is in is for package testutil/tier to say", path, found)
		}
		return err
	})
	if err != nil || tested < 50 {
		t.Errorf("%d files of tests: %v", tested, err)
	}
}

// TestMakeKnowsItsVariables: one that is misspelt is refused with those that there are, and not ignored.
func TestMakeKnowsItsVariables(t *testing.T) {
	make := func(args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "make", append([]string{"-n"}, args...)...)
		cmd.Dir = root
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := make("demo", "engine=mysql"); err == nil || !strings.Contains(out, "no variable engine: ") ||
		!strings.Contains(out, " ENGINE ") {
		t.Errorf("%v\n%s", err, out)
	}
	used := regexp.MustCompile(`\$\(([A-Z]+)\)`)
	for _, name := range sorted(read(t, "Makefile"), used) {
		if name == "MAKE" || name == "STATICCHECK" || name == "VARIABLES" {
			continue
		}
		if out, err := make("help", name+"=x"); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}
