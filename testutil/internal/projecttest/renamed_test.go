package projecttest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// TestRenamedIsGone: no identifier that was renamed has come back under its old name: testdata/renamed.txt has both.
func TestRenamedIsGone(t *testing.T) {
	table := map[string][][2]string{} // by package
	now := map[string]string{}        // a type's name of now, by package and name of before
	for line := range strings.Lines(read(t, "testutil/internal/projecttest/testdata/renamed.txt")) {
		if f := strings.Fields(line); len(f) == 3 && f[0] != "#" {
			table[f[0]] = append(table[f[0]], [2]string{f[1], f[2]})
			now[f[0]+" "+f[1]] = f[2]
		}
	}
	if len(table) < 10 {
		t.Fatalf("only %d packages in the table", len(table))
	}
	for pkg, renames := range table {
		declared := declarations(t, pkg)
		if len(declared) == 0 {
			t.Errorf("%s: nothing is declared there", pkg)
		}
		for _, r := range renames {
			old := r[0]
			if of, member, ok := strings.Cut(old, "."); ok && now[pkg+" "+of] != "" {
				old = now[pkg+" "+of] + "." + member
			}
			if declared[old] && old != r[1] {
				t.Errorf("%s: %s is back; it is called %s", pkg, old, r[1])
			}
		}
	}
}

// declarations are the names that a package declares: functions, types, values, and as Type.Name methods and fields.
func declarations(t *testing.T, pkg string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(pkg), "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				of := ""
				if d.Recv != nil {
					of = typeName(d.Recv.List[0].Type) + "."
				}
				names[of+d.Name.Name] = true
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					declare(names, spec)
				}
			}
		}
	}
	return names
}

func declare(names map[string]bool, spec ast.Spec) {
	switch s := spec.(type) {
	case *ast.ValueSpec:
		for _, n := range s.Names {
			names[n.Name] = true
		}
	case *ast.TypeSpec:
		names[s.Name.Name] = true
		var members *ast.FieldList
		switch typ := s.Type.(type) {
		case *ast.StructType:
			members = typ.Fields
		case *ast.InterfaceType:
			members = typ.Methods
		default:
			return
		}
		for _, f := range members.List {
			for _, n := range f.Names {
				names[s.Name.Name+"."+n.Name] = true
			}
		}
	}
}

// typeName is the name of a receiver's type.
func typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return typeName(e.X)
	case *ast.IndexExpr:
		return typeName(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}
