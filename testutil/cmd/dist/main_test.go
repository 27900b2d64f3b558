package main

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/testutil/internal/archive"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

const root = "../../.."

// TestTheSameSourceGivesTheSameBytes builds copies of the project in two folders, one
// of them under git, as a release and a check of it do.
// It takes minutes: every function is compiled for two processors, with -trimpath, in folders of which no cache knows.
func TestTheSameSourceGivesTheSameBytes(t *testing.T) {
	tier.Long(t)
	handlers, err := filepath.Glob(root + "/handlers/*")
	if err != nil || len(handlers) == 0 {
		t.Fatalf("no handlers: %v", err)
	}
	one := filepath.Base(handlers[0])
	first := dist(t, copyProject(t, false))
	again := dist(t, copyProject(t, true), "HANDLERS="+one)
	if len(first) != 4*len(handlers)+3 || len(again) != 7 {
		t.Errorf("%d files for %d functions, %d files for one", len(first), len(handlers), len(again))
	}
	for name, content := range again {
		if name != "SHA256SUMS" && !bytes.Equal(first[name], content) {
			t.Errorf("%s is not the same in another folder", name)
		}
	}
	for name, content := range first {
		switch {
		case name == "terraform-module.zip":
		case strings.HasSuffix(name, ".zip"):
			checkZip(t, name, content)
		case strings.HasSuffix(name, ".cdx.json"):
			checkBOM(t, name, content)
		}
	}
	if want := sums(without(first, "SHA256SUMS")); !bytes.Equal(first["SHA256SUMS"], want) {
		t.Errorf("SHA256SUMS:\n%s\nwant\n%s", first["SHA256SUMS"], want)
	}
}

func checkZip(t *testing.T, name string, content []byte) {
	if len(content) >= archive.TooLarge {
		t.Errorf("%s has %d bytes, which must be less than %d", name, len(content), archive.TooLarge)
	}
	packed, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil || len(packed.File) != 1 || packed.File[0].Name != "bootstrap" || packed.File[0].Mode() != 0o755 {
		t.Errorf("%s: Lambda needs one file, bootstrap, that can be run: %v", name, err)
	}
}

// checkBOM holds a list to what the specification requires, and to what is known to be in there.
func checkBOM(t *testing.T, name string, content []byte) {
	var d document
	if err := json.Unmarshal(content, &d); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	names, refs := map[string]bool{}, map[string]bool{d.Metadata.Component.Ref: true}
	for _, c := range d.Components {
		if c.Type != "library" || c.Version == "" || refs[c.Ref] || !strings.HasPrefix(c.PURL, "pkg:golang/") {
			t.Errorf("%s: %+v", name, c)
		}
		names[c.Name], refs[c.Ref] = true, true
	}
	for _, must := range []string{"std", "github.com/aws/aws-lambda-go",
		"github.com/aws/aws-sdk-go-v2/service/secretsmanager"} {
		if !names[must] {
			t.Errorf("%s does not list %s", name, must)
		}
	}
	if d.Format != "CycloneDX" || len(d.Dependencies) != 1 || len(d.Dependencies[0].DependsOn) != len(d.Components) ||
		len(d.Metadata.Component.Hashes[0].Content) != 64 {
		t.Errorf("%s: not a CycloneDX list of a binary", name)
	}
}

// copyProject copies what a build reads.
func copyProject(t *testing.T, git bool) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), fmt.Sprintf("git-%t", git))
	for _, folder := range []string{"deploy/terraform", "handlers", "rotator", "strategies", "testutil"} {
		if err := os.CopyFS(filepath.Join(dir, folder), os.DirFS(filepath.Join(root, folder))); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"go.mod", "go.sum", "Makefile", "template.yaml"} {
		content, err := os.ReadFile(filepath.Join(root, file))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, file), content, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if git {
		for _, args := range [][]string{{"init", "-q"}, {"-c", "user.name=t", "-c", "user.email=t@example.com",
			"commit", "-q", "--allow-empty", "-m", "release"}} {
			cmd := exec.Command("git", args...)
			cmd.Dir = dir
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Skipf("git %s: %v\n%s", args[0], err, out)
			}
		}
	}
	return dir
}

// dist runs `make dist` and gives what it made.
func dist(t *testing.T, dir string, args ...string) map[string][]byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "make", append([]string{"--no-print-directory", "dist"}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-buildvcs=auto") // Go's default, whatever this machine has
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make dist: %v\n%s", err, out)
	}
	files := map[string][]byte{}
	paths, _ := filepath.Glob(filepath.Join(dir, "dist", "*"))
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Base(path)] = content
	}
	return files
}

func without(files map[string][]byte, name string) map[string][]byte {
	rest := maps.Clone(files)
	delete(rest, name)
	return rest
}

// TestPackRefuses what is not what its folder says.
func TestPackRefuses(t *testing.T) {
	from := t.TempDir()
	if err := pack(root, from, t.TempDir(), &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(),
		"make build") {
		t.Errorf("an empty folder: %v", err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	binary, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(from, "z80", "some-function")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, content := range [][]byte{binary, []byte("#!/bin/sh\n")} {
		if err := os.WriteFile(filepath.Join(folder, "bootstrap"), content, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := pack(root, from, t.TempDir(), &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "z80") {
			t.Errorf("a binary for another processor, or none: %v", err)
		}
	}
}
