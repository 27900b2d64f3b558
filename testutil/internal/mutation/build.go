package mutation

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const module = "github.com/quarterturn-dev/quarterturn/"

// Build is the mutants of some packages, and test binaries in which each can be turned on.
type Build struct {
	Mutants []Mutant
	Tests   []string // packages
	root    string
	dir     string
}

type listed struct {
	ImportPath, Name, Dir, Export string
	GoFiles                       []string
}

// New puts mutants into packages of the module at root, and compiles tests with them. Both are
// folders of the module; all files are written below dir.
func New(ctx context.Context, root, dir string, packages, tests []string) (*Build, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	all, err := list(ctx, root, packages)
	if err != nil {
		return nil, err
	}
	exports := map[string]string{}
	for _, p := range all {
		exports[p.ImportPath] = p.Export
	}
	b := &Build{Tests: tests, root: root, dir: dir}
	overlay := map[string]string{}
	next := 0
	for _, name := range packages {
		if err := b.mutate(all, exports, name, &next, overlay); err != nil {
			return nil, err
		}
	}
	text, err := json.Marshal(map[string]any{"Replace": overlay})
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(b.overlay(), text, 0o600); err != nil {
		return nil, err
	}
	for _, name := range tests {
		cmd := exec.CommandContext(ctx, "go", "test", "-c", "-vet=off", "-overlay", b.overlay(), "-o", b.binary(name),
			"./"+name)
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("compile the tests of %s: %w\n%s", name, err, out)
		}
	}
	return b, nil
}

func (b *Build) overlay() string { return filepath.Join(b.dir, "overlay.json") }

func (b *Build) binary(test string) string {
	return filepath.Join(b.dir, strings.ReplaceAll(test, "/", "_")+".test")
}

// list asks the go command for packages and all that they import, with what types need.
func list(ctx context.Context, root string, packages []string) ([]listed, error) {
	args := []string{"list", "-export", "-deps", "-json=ImportPath,Name,Dir,Export,GoFiles"}
	for _, p := range packages {
		args = append(args, "./"+p)
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w\n%s", err, &stderr)
	}
	var all []listed
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
}

func (b *Build) mutate(all []listed, exports map[string]string, name string, next *int,
	overlay map[string]string) error {
	for _, p := range all {
		if p.ImportPath != module+name {
			continue
		}
		fset := token.NewFileSet()
		var files []*ast.File
		var sources [][]byte
		for _, f := range p.GoFiles {
			source, err := os.ReadFile(filepath.Join(p.Dir, f))
			if err != nil {
				return err
			}
			parsed, err := parser.ParseFile(fset, filepath.Join(p.Dir, f), source, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			files, sources = append(files, parsed), append(sources, source)
		}
		info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{},
			Defs: map[*ast.Ident]types.Object{}}
		config := types.Config{Importer: importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) {
			return os.Open(exports[path])
		})}
		if _, err := config.Check(p.ImportPath, fset, files, info); err != nil {
			return fmt.Errorf("types of %s: %w", name, err)
		}
		from := *next + 1
		for i, file := range files {
			r := &rewriter{fset: fset, info: info, source: sources[i], pkg: name, file: name + "/" + p.GoFiles[i],
				next: next}
			for _, d := range file.Decls {
				f, ok := d.(*ast.FuncDecl)
				if !ok || f.Body == nil {
					continue
				}
				r.function(title(f), info.Defs[f.Name].Type().(*types.Signature), f.Body)
			}
			text, err := r.apply()
			if err != nil {
				return err
			}
			b.Mutants = append(b.Mutants, r.mutants...)
			if err := b.replace(overlay, filepath.Join(p.Dir, p.GoFiles[i]), text); err != nil {
				return err
			}
		}
		return b.replace(overlay, filepath.Join(p.Dir, "zz_mutants.go"), []byte(choice(p.Name, from, *next)))
	}
	return fmt.Errorf("there is no package %s", name)
}

func (b *Build) replace(overlay map[string]string, file string, text []byte) error {
	to := filepath.Join(b.dir, fmt.Sprintf("%d.go", len(overlay)))
	overlay[file] = to
	return os.WriteFile(to, text, 0o600)
}

// title is a function's name, with its receiver.
func title(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return f.Name.Name
	}
	t := f.Recv.List[0].Type
	star := ""
	if s, ok := t.(*ast.StarExpr); ok {
		t, star = s.X, "*"
	}
	if i, ok := t.(*ast.IndexExpr); ok {
		t = i.X
	}
	return fmt.Sprintf("(%s%s).%s", star, t.(*ast.Ident).Name, f.Name.Name)
}
