package samtest

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/quarterturn-dev/quarterturn/testutil/internal/disk"
	"github.com/quarterturn-dev/quarterturn/testutil/localaws"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// tools are the SAM CLI and cfn-lint, or a skip; in CI a failure.
func tools(t testing.TB) Tools {
	t.Helper()
	tier.Long(t)
	tools, err := ToolsIn(root)
	if err != nil {
		t.Fatal(err)
	}
	if tools.Installed() {
		return tools
	}
	tier.Missing(t, errors.New("there is no SAM CLI here: make sam"))
	return tools
}

var templates = []string{"template.yaml", "sam/example.yaml"}

// TestLint: the real linters find nothing at all in the templates.
func TestLint(t *testing.T) {
	t.Parallel()
	tier.Long(t)
	tools := tools(t)
	for _, name := range templates {
		for tool, args := range map[string][]string{
			"cfn-lint": {name},
			"sam":      {"validate", "--lint", "--template", name},
		} {
			t.Run(tool+" "+name, func(t *testing.T) {
				t.Parallel()
				out, err := tools.Command(t.Context(), root, nil, tool, args...).CombinedOutput()
				if err != nil || tool == "cfn-lint" && len(bytes.TrimSpace(out)) > 0 {
					t.Errorf("%v\n%s", err, out)
				}
			})
		}
	}
}

// built are the functions as `sam build` makes them, for each processor once.
var built struct {
	sync.Mutex
	folders map[string]string
}

// samBuild gives the folder of <LogicalId>/bootstrap.
func samBuild(t testing.TB, processor string) string {
	t.Helper()
	tools := tools(t)
	built.Lock()
	defer built.Unlock()
	if built.folders == nil {
		built.folders = map[string]string{}
	}
	if folder := built.folders[processor]; folder != "" {
		return folder
	}
	folder := filepath.Join(buildDir, "sam-"+processor)
	architecture := strings.Replace(processor, "amd64", "x86_64", 1)
	out, err := tools.Command(t.Context(), root, []string{"GOARCH=" + processor}, "sam", "build",
		"--parallel", "--build-dir", folder, "--parameter-overrides", "Architecture="+architecture).CombinedOutput()
	if err != nil {
		t.Fatalf("sam build: %v\n%s", err, out)
	}
	built.folders[processor] = folder
	return folder
}

var buildDir string

func TestMain(m *testing.M) {
	dir, err := disk.Temp("", "sam")
	if err != nil {
		panic(err)
	}
	buildDir = dir.Path
	code := m.Run()
	dir.Remove()
	os.Exit(code)
}

// TestSAMBuildMakesWhatWeShip: for both processors the very bytes that `make dist`
// zips, and for this one what all our tests run.
// It takes minutes: the SAM CLI compiles every function twice.
func TestSAMBuildMakesWhatWeShip(t *testing.T) {
	t.Parallel()
	tier.Long(t)
	names := handlers(t)
	for _, processor := range []string{"arm64", "amd64"} {
		t.Run(processor, func(t *testing.T) {
			folder := samBuild(t, processor)
			found, err := filepath.Glob(filepath.Join(folder, "*", "bootstrap"))
			if err != nil || len(found) != len(names) {
				t.Errorf("sam build made %d functions of %d: %v", len(found), len(names), err)
			}
			if processor != runtime.GOARCH || runtime.GOOS != "linux" {
				return
			}
			ours, err := localaws.Build(t.Context(), t.TempDir(), names...)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range names {
				if !same(t, ours[name], filepath.Join(folder, logicalID(name), "bootstrap")) {
					t.Errorf("%s: sam build and our tests make different binaries", name)
				}
			}
		})
	}
}

func same(t testing.TB, a, b string) bool {
	t.Helper()
	var contents [][]byte
	for _, path := range []string{a, b} {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		contents = append(contents, content)
	}
	return slices.Equal(contents[0], contents[1])
}
