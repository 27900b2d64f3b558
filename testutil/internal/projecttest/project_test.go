// Package projecttest holds the project to the rules about itself that no
// compiler knows: who imports whom, where a secret may be revealed, how small a
// main is. ARCHITECTURE.md says why.
package projecttest

import (
	"encoding/json"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

const module = "github.com/quarterturn-dev/quarterturn/"

// root is the module's folder, seen from this package.
const root = "../../.."

type pkg struct {
	ImportPath string
	Name       string
	Imports    []string
	Standard   bool
}

// packages asks the go command for the packages of the project, as they are built
// and without their tests.
func packages(t *testing.T) map[string]pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Name,Imports", "./...")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	all := map[string]pkg{}
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p pkg
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		all[strings.TrimPrefix(p.ImportPath, module)] = p
	}
	return all
}

// TestImportsRunOneWay: secret <- rotator <- strategies <- engine <- handler, and
// handler -> serve -> awsstore. The first rule whose folder holds a package is its
// rule; what it may import beyond the standard library is listed.
func TestImportsRunOneWay(t *testing.T) {
	const sdk = "github.com/aws/aws-sdk-go-v2"
	rules := []struct {
		folder string
		may    []string
	}{
		{"rotator/secret", nil},
		{"rotator/iam/explain", []string{module + "rotator/iam", module + "rotator/permissions", sdk, "github.com/aws/smithy-go"}},
		{"rotator/iam", nil},
		{"rotator/permissions", nil},
		{"rotator/awsstore", []string{module + "rotator", sdk, "github.com/aws/smithy-go"}},
		{"rotator/emf", []string{module + "rotator"}},
		{"rotator/serve/fleetreport", []string{module + "rotator", module + "rotator/emf", module + "rotator/fleet", module + "rotator/serve", "github.com/aws/aws-lambda-go", sdk}},
		{"rotator/serve", []string{module + "rotator", "github.com/aws/aws-lambda-go", sdk, "github.com/aws/smithy-go/logging"}},
		{"rotator/fleet", []string{module + "rotator", sdk, "github.com/aws/smithy-go"}},
		{"rotator", []string{module + "rotator/secret"}},
		{"strategies/rdsca", nil},
		{"strategies/dial", []string{module + "rotator", module + "strategies"}},
		{"strategies/strategytest/census", []string{module + "rotator/secret"}},
		{"strategies/strategytest", []string{module + "rotator", module + "strategies"}},
		{"strategies/internal/enginetest", []string{module + "rotator", module + "strategies"}},
		{"strategies/postgres", []string{module + "rotator", module + "strategies", "github.com/jackc/pgx/v5", "github.com/xdg-go/stringprep", "golang.org/x/text"}},
		{"strategies/mysql", []string{module + "rotator", module + "strategies", "github.com/go-sql-driver/mysql", "filippo.io/edwards25519"}},
		{"strategies/valkey", []string{module + "rotator", module + "strategies"}},
		{"strategies", []string{module + "rotator", module + "rotator/secret"}},
		{"handlers/mysql-", []string{module + "rotator", module + "rotator/serve", module + "strategies", module + "strategies/mysql"}},
		{"handlers/valkey-", []string{module + "rotator", module + "rotator/serve", module + "strategies", module + "strategies/valkey"}},
		{"handlers/mariadb-", []string{module + "rotator", module + "rotator/serve", module + "strategies", module + "strategies/mysql"}},
		{"handlers/postgres-", []string{module + "rotator", module + "rotator/serve", module + "strategies", module + "strategies/postgres"}},
		{"handlers/database", []string{module + "rotator", module + "rotator/serve", module + "strategies"}},
		{"handlers/fleet", []string{module + "rotator/serve/fleetreport"}},
		{"cmd", []string{module + "rotator", module + "strategies", sdk, "github.com/spf13/", "golang.org/x/term"}},
		{"testutil/awsemu", []string{module + "rotator/iam"}},
		{"testutil/contract", []string{module + "testutil/awsemu", module + "rotator/iam", module + "testutil/internal/disk", "github.com/aws/"}},
		{"testutil/lambdahost", nil},
		{"testutil/tier", nil},
		{"testutil/dbserver", []string{module + "strategies/strategytest", module + "testutil/tier", module + "testutil/internal/disk", "github.com/jackc/pgx/v5", "github.com/go-sql-driver/mysql"}},
		{"testutil/rotationtest", []string{module + "rotator", module + "strategies", module + "testutil/awsemu", sdk}},
		{"testutil/samtest", []string{"go.yaml.in/yaml/v3", module + "testutil/internal/fetched"}},
		{"testutil/internal/prove", []string{module, "github.com/jackc/pgx/v5", "github.com/go-sql-driver/mysql", "github.com/aws/"}},
		{"testutil/internal/bench", []string{module, "github.com/jackc/pgx/v5", "github.com/go-sql-driver/mysql", "github.com/aws/"}},
		{"testutil/cmd", []string{module, "github.com/jackc/pgx/v5", "github.com/aws/"}},
		{"testutil", []string{module}},
	}
	for name, p := range packages(t) {
		ruled := false
		for _, rule := range rules {
			if name != rule.folder && !strings.HasPrefix(name, rule.folder+"/") &&
				!(strings.HasSuffix(rule.folder, "-") && strings.HasPrefix(name, rule.folder)) {
				continue
			}
			ruled = true
			for _, imported := range p.Imports {
				if strings.Contains(strings.SplitN(imported, "/", 2)[0], ".") && !anyPrefix(imported, rule.may) {
					t.Errorf("%s imports %s; packages of %s may import, beside the standard library, %q", name,
						imported, rule.folder, rule.may)
				}
			}
			break
		}
		if !ruled {
			t.Errorf("%s: a package that no rule of this test knows: say here what it may import", name)
		}
		if !strings.HasPrefix(name, "testutil") {
			for _, imported := range p.Imports {
				if strings.HasPrefix(imported, module+"testutil") || imported == "testing" &&
					name != "strategies/strategytest" && name != "strategies/internal/enginetest" {
					t.Errorf("%s imports %s: what is shipped never contains what is for tests", name, imported)
				}
			}
		}
	}
}

// TestTheFunctionReadsNoPolicies: the evaluator of policies and the client of IAM are for
// programs that people run, and in no function.
func TestTheFunctionReadsNoPolicies(t *testing.T) {
	reads := func(path string) bool {
		return strings.HasPrefix(path+"/", module+"rotator/iam/") || strings.HasPrefix(path+"/",
			"github.com/aws/aws-sdk-go-v2/service/iam/")
	}
	for name, p := range packages(t) {
		folder, _, _ := strings.Cut(name, "/")
		if folder == "cmd" || folder == "testutil" || strings.HasPrefix(name, "rotator/iam") {
			continue
		}
		for _, imported := range p.Imports {
			if reads(imported) {
				t.Errorf("%s imports %s", name, imported)
			}
		}
	}
	cmd := exec.Command("go", "list", "-deps", "./handlers/...")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for path := range strings.FieldsSeq(string(out)) {
		if reads(path) {
			t.Errorf("the functions contain %s", path)
		}
	}
}

// TestRotatingFunctionsHaveNoPackageForPeople: the SDK's package config brings the clients of single sign-on and of
// instances' metadata, which is a tenth of an archive; what a function needs of it is in rotator/serve.
func TestRotatingFunctionsHaveNoPackageForPeople(t *testing.T) {
	mains, err := filepath.Glob(root + "/handlers/*")
	if err != nil || len(mains) < 2 {
		t.Fatalf("%d functions: %v", len(mains), err)
	}
	args := []string{"list", "-deps"}
	for _, folder := range mains {
		if name := filepath.Base(folder); name != "fleet" { // which rotates nothing
			args = append(args, "./handlers/"+name)
		}
	}
	cmd := exec.Command("go", args...)
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	if paths := strings.Fields(string(out)); slices.Contains(paths, "github.com/aws/aws-sdk-go-v2/config") ||
		!slices.Contains(paths, "github.com/aws/aws-sdk-go-v2/service/secretsmanager") {
		t.Error("the functions contain github.com/aws/aws-sdk-go-v2/config, or not even Secrets Manager's client")
	}
}

func anyPrefix(s string, prefixes []string) bool {
	for _, p := range prefixes {
		if s == p || strings.HasPrefix(s, strings.TrimSuffix(p, "/")+"/") && p != module+"rotator/secret" {
			return true
		}
	}
	return false
}

// sources visits every Go file of the project that is not a test.
func sources(t *testing.T, visit func(path, text string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".cache" || d.Name() == ".git" || d.Name() == "build" || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err == nil {
			rel, _ := filepath.Rel(root, path)
			visit(filepath.ToSlash(rel), string(text))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestLinesAreShort: a line has 120 characters at the most, tabs counted as four, but for texts in back quotes and
// directives, which are as they are. Tests may have tables with longer rows.
func TestLinesAreShort(t *testing.T) {
	const most = 120
	sources(t, func(path, text string) {
		quoted := false
		for i, line := range strings.Split(text, "\n") {
			inText := quoted || strings.Contains(line, "`")
			quoted = quoted != (strings.Count(line, "`")%2 == 1)
			if n := utf8.RuneCountInString(strings.ReplaceAll(line, "\t", "    ")); n > most && !inText &&
				!strings.HasPrefix(line, "//go:") {
				t.Errorf("%s:%d has %d characters", path, i+1, n)
			}
		}
	})
}

// TestSecretsAreRevealedAtTheWireOnly: a Password gives its value in the last step
// before a wire, and where the value is made or judged.
func TestSecretsAreRevealedAtTheWireOnly(t *testing.T) {
	allowed := regexp.MustCompile(`^(rotator/secret/|rotator/awsstore/|strategies/(postgres|mysql|valkey)/|strategies/strategytest/|testutil/|rotator/event\.go$|strategies/strategies\.go$)`)
	sources(t, func(path, text string) {
		if strings.Contains(text, ".Reveal()") && !allowed.MatchString(path) {
			t.Errorf("%s reveals a secret: that belongs to the engines and the store", path)
		}
	})
}

// TestNoHiddenMachinery: no init, no blank import, no goroutine and no package
// variable that changes, in what rotates secrets.
func TestNoHiddenMachinery(t *testing.T) {
	wrong := map[string]*regexp.Regexp{
		"an init function": regexp.MustCompile(`(?m)^func init\(`),
		"a blank import":   regexp.MustCompile(`(?m)^\s*(import\s+)?_ "[^"]+"`),
		"a goroutine":      regexp.MustCompile(`(?m)^\s*go (func|[a-z])`),
		"the environment":  regexp.MustCompile(`os\.(Getenv|LookupEnv|Environ)`),
	}
	exceptions := []string{
		"rotator/serve/serve.go the environment",
		"rotator/serve/fleetreport/fleetreport.go the environment",
		"strategies/postgres/connect.go the environment", // to keep PGSERVICE, which the driver reads, without effect
		"strategies/rdsca/rdsca.go a blank import",       // of embed
		"rotator/fleet/html.go a blank import",           // of embed
	}
	sources(t, func(path, text string) {
		forTests := strings.HasPrefix(path, "strategies/strategytest/") ||
			strings.HasPrefix(path, "strategies/internal/enginetest/")
		if forTests || !regexp.MustCompile(`^(rotator|strategies|handlers)/`).MatchString(path) {
			return
		}
		text = regexp.MustCompile(`(?m)//.*$`).ReplaceAllString(text, "")
		for what, re := range wrong {
			if re.MatchString(text) && !slices.Contains(exceptions, path+" "+what) {
				t.Errorf("%s has %s", path, what)
			}
		}
	})
}

// TestHandlersAreSmall: a main says which engine and which strategy, and no more.
func TestHandlersAreSmall(t *testing.T) {
	mains, err := filepath.Glob(root + "/handlers/*/*.go")
	if err != nil || len(mains) == 0 {
		t.Fatalf("no handlers found: %v", err)
	}
	for _, main := range mains {
		text, err := os.ReadFile(main)
		if err != nil {
			t.Fatal(err)
		}
		most := 24
		if strings.Contains(main, "/database/") {
			most = 28
		}
		if n := strings.Count(string(text), "\n"); n > most {
			t.Errorf("%s has %d lines: a main is a dozen, or two where it has settings, and a little more for "+
				"several engines", main, n)
		}
		f, err := parser.ParseFile(token.NewFileSet(), main, text, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		if f.Doc == nil {
			t.Errorf("%s does not say what it rotates", main)
		}
	}
}

// TestDocumentsNameWhatExists: every path and make target that the documents give
// in code style is there.
func TestDocumentsNameWhatExists(t *testing.T) {
	makefile := read(t, "Makefile")
	for doc, text := range documents(t) {
		for _, target := range sorted(text, regexp.MustCompile("(?m)(?:`|^ {4,})make ([a-z-]+)")) {
			if !regexp.MustCompile(`(?m)^` + target + `:`).MatchString(makefile) {
				t.Errorf("%s: there is no `make %s`", doc, target)
			}
		}
		for _, path := range sorted(text, regexp.MustCompile("`((?:rotator|strategies|handlers|sam|testutil)/[A-Za-z0-9_./-]*)`")) {
			if _, err := os.Stat(filepath.Join(root, path)); err != nil {
				t.Errorf("%s names %s, which does not exist", doc, path)
			}
		}
	}
}
