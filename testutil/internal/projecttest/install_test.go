package projecttest

import (
	"archive/zip"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// TestGoInstallGivesTheProgram: `go install .../cmd/quarterturn@latest`, from a module proxy that has this tree as its
// newest version, gives a program that knows that version. A replace in go.mod would make it fail.
func TestGoInstallGivesTheProgram(t *testing.T) {
	tier.Long(t)
	bin := t.TempDir()
	version, env := published(t, bin)
	cmd := exec.CommandContext(t.Context(), "go", "install", module+"cmd/quarterturn@latest")
	cmd.Dir = bin // outside of the module
	cmd.Env = append(env, "GOBIN="+bin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go install: %v\n%s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), filepath.Join(bin, "quarterturn"), "version").Output()
	if err != nil || !strings.Contains(string(out), "quarterturn "+version) {
		t.Errorf("%v: %s", err, out)
	}
}

// published has a module proxy offer this tree as its newest version. env is for go commands that ask it, and keep
// below dir what they download.
func published(t *testing.T, dir string) (version string, env []string) {
	t.Helper()
	version = "v0.0.1"
	proxy := t.TempDir()
	files := filepath.Join(proxy, strings.TrimSuffix(module, "/"), "@v")
	if err := os.MkdirAll(files, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"list": version + "\n", version + ".info": `{"Version":"` + version + `","Time":"2026-11-26T00:00:00Z"}`, version + ".mod": read(t, "go.mod"),
	} {
		if err := os.WriteFile(filepath.Join(files, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	pack(t, filepath.Join(files, version+".zip"), strings.TrimSuffix(module, "/")+"@"+version+"/")

	out, err := exec.CommandContext(t.Context(), "go", "env", "GOPROXY", "GOMODCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	machine := strings.Fields(string(out)) // what it has downloaded already is not downloaded again
	return version, append(os.Environ(), "GOPROXY=file://"+proxy+",file://"+machine[1]+"/cache/download,"+machine[0],
		"GONOSUMDB="+strings.TrimSuffix(module, "/"), "GOFLAGS=-modcacherw -trimpath", "GOMODCACHE="+filepath.Join(dir, "modules"))
}

// pack puts the module's files into a zip, as the go command wants it.
func pack(t *testing.T, name, prefix string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	w := zip.NewWriter(f)
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(root, path)
		switch {
		case err != nil:
			return err
		case d.IsDir() && rel != "." && (strings.HasPrefix(d.Name(), ".") || rel == "build" || rel == "dist"):
			return filepath.SkipDir
		case d.IsDir() && rel != "." && isModule(path): // a module of its own is in no other's zip
			return filepath.SkipDir
		case !d.Type().IsRegular() || strings.HasPrefix(d.Name(), "."):
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		entry, err := w.Create(prefix + filepath.ToSlash(rel))
		if err == nil {
			_, err = entry.Write(text)
		}
		return err
	})
	if err == nil {
		err = w.Close()
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func isModule(folder string) bool {
	_, err := os.Stat(filepath.Join(folder, "go.mod"))
	return err == nil
}
