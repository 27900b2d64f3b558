package projecttest

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// shelfMain is the function of docs/writing-an-engine.md, which the Example of testutil/localaws runs.
const shelfMain = "testutil/localaws/testdata/shelf/main.go"

// TestTheFunctionOfThePageIsTheOneThatRuns: what an author copies has been compiled, and has rotated a secret.
func TestTheFunctionOfThePageIsTheOneThatRuns(t *testing.T) {
	_, main, _ := strings.Cut(read(t, shelfMain), "func main()")
	sample := strings.ReplaceAll("func main()"+strings.TrimRight(main, "\n"), "\t", "    ")
	sample = "        " + strings.ReplaceAll(sample, "\n", "\n        ")
	if !strings.Contains(read(t, "docs/writing-an-engine.md"), sample) {
		t.Errorf("docs/writing-an-engine.md has another function than %s:\n%s", shelfMain, sample)
	}
}

// TestThePagesForAuthorsNameWhatIsThere: each pkg.Name, pkg.Type.Member and pkg.Type{...}.Member.
func TestThePagesForAuthorsNameWhatIsThere(t *testing.T) {
	name := regexp.MustCompile(`\b([a-z]+)\.([A-Z]\w*)(?:\{[^}\n]*\})?(?:\.([A-Z]\w*))?`)
	packages, seen := map[string]map[string]bool{}, 0
	for _, folder := range []string{
		"rotator", "rotator/serve", "strategies", "strategies/dial", "strategies/strategytest", "strategies/strategytest/census",
		"strategies/strategytest/shelf", "testutil/lambdahost", "testutil/localaws", "testutil/internal/prove", "testutil/rotationtest",
	} {
		packages[filepath.Base(folder)] = declarations(t, folder)
	}
	for _, page := range []string{"docs/writing-an-engine.md", "docs/writing-a-strategy.md"} {
		for _, m := range name.FindAllStringSubmatch(read(t, page), -1) {
			declared, ours := packages[m[1]]
			if !ours {
				continue
			}
			seen++
			if !declared[m[2]] {
				t.Errorf("%s: there is no %s.%s", page, m[1], m[2])
			} else if m[3] != "" && !declared[m[2]+"."+m[3]] {
				t.Errorf("%s: there is no %s in %s.%s", page, m[3], m[1], m[2])
			}
		}
	}
	if seen < 30 {
		t.Errorf("only %d names", seen)
	}
}

// TestAnEngineIsWrittenOutside: the example, copied into a module of its own, is built and passes its suite by the
// commands of docs/writing-an-engine.md, with this tree published and as a checkout.
func TestAnEngineIsWrittenOutside(t *testing.T) {
	tier.Long(t)
	page := read(t, "docs/writing-an-engine.md")
	build := regexp.MustCompile("`(GOOS=linux GOARCH=arm64 [^`]+)`").FindStringSubmatch(page)
	replace := regexp.MustCompile("`(replace [^`]+ => )[^`]+`").FindStringSubmatch(page)
	if build == nil || replace == nil {
		t.Fatal("docs/writing-an-engine.md: no command that builds, or no replace")
	}
	tree, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	_, env := published(t, t.TempDir())
	files := map[string]string{"main.go": read(t, shelfMain)}
	for _, name := range []string{"shelf.go", "server.go", "shelf_test.go"} {
		files["shelf/"+name] = read(t, "strategies/strategytest/shelf/"+name)
	}
	if err := os.Mkdir(filepath.Join(dir, "shelf"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		text = strings.ReplaceAll(text, module+"strategies/strategytest/shelf", "example.com/mine/shelf")
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, command := range []string{
		"go mod init example.com/mine", "go get " + strings.TrimSuffix(module, "/") + "@latest", "go mod tidy", build[1],
		"rm go.*", "go mod init example.com/mine", "echo '" + replace[1] + tree + "' >> go.mod", "go mod tidy", "go test ./shelf",
	} {
		c := exec.CommandContext(t.Context(), "sh", "-c", command)
		c.Dir, c.Env = dir, env
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", command, err, out)
		}
	}
}
