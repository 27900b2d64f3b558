// Dist packs what `make build` built into what is shipped: for each processor and
// function a zip with the bootstrap alone and a CycloneDX list of the modules in it,
// the template as plain CloudFormation, the Terraform module, and SHA256SUMS over them all. The same binaries give the
// same bytes, wherever and whenever it runs.
//
//	go run ./testutil/cmd/dist -from build/dist -to dist    # build/dist/<processor>/<function>/bootstrap
package main

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"debug/buildinfo"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/quarterturn-dev/quarterturn/testutil/internal/archive"
	"github.com/quarterturn-dev/quarterturn/testutil/samtest"
)

func main() {
	from := flag.String("from", "build/dist", "`folder` of <processor>/<function>/bootstrap")
	to := flag.String("to", "dist", "`folder` to write to")
	root := flag.String("root", ".", "`folder` of the project")
	flag.Parse()
	if err := pack(*root, *from, *to, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "dist:", err)
		os.Exit(1)
	}
}

// pack writes to anew: nothing of an earlier run stays behind.
func pack(root, from, to string, out io.Writer) error {
	binaries, err := filepath.Glob(filepath.Join(from, "*", "*", "bootstrap"))
	if err != nil {
		return err
	}
	if len(binaries) == 0 {
		return fmt.Errorf("no %s: make build BUILD=%s/$GOARCH", filepath.Join(from, "*", "*", "bootstrap"), from)
	}
	files := map[string][]byte{}
	for _, path := range binaries {
		binary, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		info, err := buildinfo.Read(bytes.NewReader(binary))
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		function, processor := filepath.Base(filepath.Dir(path)), filepath.Base(filepath.Dir(filepath.Dir(path)))
		if built := setting(info, "GOARCH"); built != processor {
			return fmt.Errorf("%s is for %s", path, built)
		}
		name := function + "-" + processor
		if files[name+".zip"], err = archive.Bootstrap(binary); err != nil {
			return err
		}
		if files[name+".cdx.json"], err = bom(function, binary, info); err != nil {
			return err
		}
		fmt.Fprintf(out, "%-45s %5.2f MB, %5.2f MB unpacked\n", name+".zip", float64(len(files[name+".zip"]))/1e6,
			float64(len(binary))/1e6)
	}
	template, err := samtest.Read(filepath.Join(root, "template.yaml"))
	if err != nil {
		return err
	}
	if files["template.json"], err = plainTemplate(template); err != nil {
		return fmt.Errorf("template.json: %w", err)
	}
	if files["terraform-module.zip"], err = module(filepath.Join(root, "deploy", "terraform")); err != nil {
		return fmt.Errorf("terraform-module.zip: %w", err)
	}
	files["SHA256SUMS"] = sums(files)
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(to, name), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// module is an archive of the Terraform module, as a source of one may be.
func module(folder string) ([]byte, error) {
	files := map[string][]byte{}
	for _, pattern := range []string{"*.tf", "README.md"} {
		paths, _ := filepath.Glob(filepath.Join(folder, pattern)) // the patterns are good
		for _, path := range paths {
			content, err := os.ReadFile(path)
			if err != nil {
				return nil, err
			}
			files[filepath.Base(path)] = content
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s is empty", folder)
	}
	return archive.Zip(files, 0o644)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// sums is what `sha256sum -c` reads.
func sums(files map[string][]byte) []byte {
	var lines []string
	for name, content := range files {
		lines = append(lines, fmt.Sprintf("%x  %s\n", sha256.Sum256(content), name))
	}
	slices.SortFunc(lines, func(a, b string) int { return cmp.Compare(a[64:], b[64:]) })
	return []byte(strings.Join(lines, ""))
}
