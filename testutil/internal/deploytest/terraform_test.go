package deploytest

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator/permissions"
	"github.com/quarterturn-dev/quarterturn/testutil/internal/disk"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

const root = "../../.."

var stub struct {
	once sync.Once
	dir  disk.Folder
	err  error
}

// TestMain removes the provider, which is built once for all tests.
func TestMain(m *testing.M) {
	code := m.Run()
	stub.dir.Remove()
	os.Exit(code)
}

// provider builds the stub into a mirror of the registry. It has a go.mod of its own, so that
// the project does not depend on Terraform's libraries; the first build of those takes minutes.
func provider(t *testing.T) (config string) {
	t.Helper()
	stub.once.Do(func() {
		if stub.dir, stub.err = disk.Temp("", "terraform"); stub.err != nil {
			return
		}
		const version = "6.99.0"
		out := filepath.Join(stub.dir.Path, "registry.terraform.io", "hashicorp", "aws", version, runtime.GOOS+"_"+
			runtime.GOARCH, "terraform-provider-aws_v"+version)
		cmd := exec.Command("go", "build", "-o", out, ".")
		cmd.Dir = filepath.Join(root, "deploy", "terraform", "stubprovider")
		if text, err := cmd.CombinedOutput(); err != nil {
			stub.err = fmt.Errorf("the stub provider: %w\n%s", err, text)
			return
		}
		text := fmt.Sprintf("provider_installation {\n  filesystem_mirror {\n    path = %q\n  "+
			"}\n}\ndisable_checkpoint = true\n", stub.dir.Path)
		stub.err = os.WriteFile(filepath.Join(stub.dir.Path, "terraform.rc"), []byte(text), 0o644)
	})
	if stub.err != nil {
		t.Fatal(stub.err)
	}
	return filepath.Join(stub.dir.Path, "terraform.rc")
}

// workspace is a copy of deploy/terraform, initialized in one of its folders.
type workspace struct {
	t           *testing.T
	program     string
	config, dir string
}

func newWorkspace(t *testing.T, folder string) workspace {
	t.Helper()
	tier.Long(t)
	w := workspace{t: t, program: tier.Program(t, "terraform", "https://developer.hashicorp.com/terraform/install"),
		config: provider(t)}
	module := filepath.Join(t.TempDir(), "terraform")
	for _, part := range []string{".", "tests", "examples/single-user", "examples/fleet"} {
		files, err := filepath.Glob(filepath.Join(root, "deploy", "terraform", part, "*.*"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s is empty: %v", part, err)
		}
		if err := os.MkdirAll(filepath.Join(module, part), 0o755); err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			w.write(filepath.Join(module, part, filepath.Base(file)), readFile(t, file))
		}
	}
	w.dir = filepath.Join(module, folder)
	w.must("init", "-input=false")
	return w
}

func (w workspace) write(path, text string) {
	w.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (w workspace) run(args ...string) (string, error) {
	cmd := exec.CommandContext(w.t.Context(), w.program, args...)
	cmd.Dir = w.dir
	cmd.Env = append(os.Environ(), "TF_CLI_CONFIG_FILE="+w.config, "TF_CLI_ARGS=-no-color", "CHECKPOINT_DISABLE=1")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (w workspace) must(args ...string) string {
	w.t.Helper()
	out, err := w.run(args...)
	if err != nil {
		w.t.Fatalf("terraform %s: %v\n%s", args[0], err, out)
	}
	return out
}

// TestTheModule: formatted, valid, and what its own tests say of it; the examples are valid.
func TestTheModule(t *testing.T) {
	w := newWorkspace(t, ".")
	w.must("fmt", "-check", "-recursive")
	w.must("validate")
	if out := w.must("test"); strings.Contains(out, "0 passed") || !strings.Contains(out, "0 failed") {
		t.Error(out)
	}
	for _, example := range []string{"single-user", "fleet"} {
		newWorkspace(t, filepath.Join("examples", example)).must("validate")
	}
}

// plan is what Terraform would do.
type plan struct {
	ResourceChanges []struct {
		Address string
		Change  struct {
			Actions []string
			After   map[string]any
		}
	} `json:"resource_changes"`
}

func (w workspace) plan(args ...string) plan {
	w.t.Helper()
	w.must(append([]string{"plan", "-input=false", "-out=plan"}, args...)...)
	var p plan
	if err := json.Unmarshal([]byte(w.must("show", "-json", "plan")), &p); err != nil {
		w.t.Fatal(err)
	}
	return p
}

// does gives the actions on an address, as "update" or "delete,create"; "": there is no such.
func (p plan) does(address string) string {
	for _, c := range p.ResourceChanges {
		if c.Address == address {
			return strings.Join(c.Change.Actions, ",")
		}
	}
	return ""
}

// TestTheModuleAllowsWhatThePrinterPrints: quarterturn policies, template.yaml and the module
// have the same statements.
func TestTheModuleAllowsWhatThePrinterPrints(t *testing.T) {
	const arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:"
	rotation := permissions.Rotation{
		Secret:    permissions.Secret{ARN: arn + "app-??????", Key: "arn:aws:kms:us-east-1:123456789012:key/10000000-0000-4000-8000-000000000001"},
		Superuser: permissions.Secret{ARN: arn + "boss-??????", Key: "arn:aws:kms:us-east-1:123456789012:key/10000000-0000-4000-8000-000000000002"},
		Database:  "arn:aws:rds:us-east-1:123456789012:db:app",
		Function:  "arn:aws:lambda:us-east-1:123456789012:function:quarterturn-postgres-alternating-users",
	}
	list := func(values ...string) string { text, _ := json.Marshal(values); return string(text) }
	w := newWorkspace(t, ".")
	p := w.plan("-var", "artifacts=dist", "-var", "functions="+list("postgres-alternating-users"), "-var",
		"secret_arns="+list(rotation.Secret.ARN),
		"-var", "kms_key_arns="+list(rotation.Secret.Key), "-var", "superuser_secret_arns="+
			list(rotation.Superuser.ARN),
		"-var", "superuser_kms_key_arns="+list(rotation.Superuser.Key), "-var", "superuser_database_arns="+
			list(rotation.Database),
		"-var", "subnet_ids="+list("subnet-1"), "-var", "security_group_ids="+list("sg-1"))
	written := map[string]map[string]any{}
	for _, c := range p.ResourceChanges {
		text, ok := c.Change.After["policy"].(string)
		if !ok {
			continue
		}
		var document struct{ Statement []map[string]any }
		if err := json.Unmarshal([]byte(text), &document); err != nil {
			t.Fatal(err)
		}
		for _, s := range document.Statement {
			written[fmt.Sprint(s["Sid"])] = s
		}
	}
	for _, statement := range append(rotation.RolePolicy(), rotation.RuntimePolicy(true)...) {
		text, err := json.Marshal(statement)
		if err != nil {
			t.Fatal(err)
		}
		var want map[string]any
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatal(err)
		}
		got := written[statement.Sid]
		switch statement.Sid {
		case "WriteTheLog": // the printer does not know the group's name
			want["Resource"] = got["Resource"]
		case "FindTheDatabase": // a module may have instances and clusters
			want["Action"] = got["Action"]
		}
		if normal(got) != normal(want) {
			t.Errorf("%s is %s, and rotator/permissions prints %s", statement.Sid, normal(got), normal(want))
		}
		delete(written, statement.Sid)
	}
	delete(written, "NoNetworkForTheCode") // a Deny
	for sid := range written {
		t.Errorf("statement %s is nothing that rotator/permissions prints", sid)
	}
}

// normal is a statement as text in which lists of one, and the order of lists, do not count.
func normal(statement map[string]any) string {
	var flat func(any) any
	flat = func(value any) any {
		switch v := value.(type) {
		case map[string]any:
			m := map[string]any{}
			for k, inner := range v {
				m[k] = flat(inner)
			}
			return m
		case []any:
			if len(v) == 1 {
				return v[0]
			}
			var texts []string
			for _, item := range v {
				texts = append(texts, fmt.Sprint(item))
			}
			slices.Sort(texts)
			return texts
		}
		return value
	}
	text, _ := json.Marshal(flat(statement)) // maps, lists and text cannot fail
	return string(text)
}

// TestMovesInTerraform: a new function is an update in place, with one call of RotateSecret; so is
// a new address with a moved block no change at all. Without the block, what was there is destroyed
// (CancelRotateSecret) at the same time as the new one is created (RotateSecret): docs/migrating.md.
func TestMovesInTerraform(t *testing.T) {
	w := newWorkspace(t, ".")
	w.dir = t.TempDir()
	const secret = "arn:aws:secretsmanager:us-east-1:123456789012:secret:app-AbCdEf"
	rotation := func(name, function string) string {
		return fmt.Sprintf(`
resource "aws_secretsmanager_secret_rotation" %q {
  secret_id           = %q
  rotation_lambda_arn = "arn:aws:lambda:us-east-1:123456789012:function:%s"
  rotate_immediately  = false
  rotation_rules {
    schedule_expression = "cron(0 3 ? * SUN *)"
  }
}
`, name, secret, function)
	}
	main := filepath.Join(w.dir, "main.tf")
	w.write(main, rotation("app", "SecretsManagerRDSPostgreSQLRotation"))
	w.must("init", "-input=false")
	w.must("apply", "-auto-approve", "-input=false")

	w.write(main, rotation("app", "quarterturn-postgres-single-user"))
	if p := w.plan(); p.does("aws_secretsmanager_secret_rotation.app") != "update" {
		t.Errorf("a new function: %s", p.does("aws_secretsmanager_secret_rotation.app"))
	}
	w.must("apply", "-input=false", "plan")

	w.write(main, rotation("orders", "quarterturn-postgres-single-user"))
	if p := w.plan(); p.does("aws_secretsmanager_secret_rotation.app") != "delete" ||
		p.does("aws_secretsmanager_secret_rotation.orders") != "create" {
		t.Error("a new address without moved is not destroyed and created: docs/migrating.md warns of something that " +
			"does not happen")
	}
	w.write(main, rotation("orders", "quarterturn-postgres-single-user")+
		"moved {\n  from = aws_secretsmanager_secret_rotation.app\n  to   = "+
		"aws_secretsmanager_secret_rotation.orders\n}\n")
	if p := w.plan(); p.does("aws_secretsmanager_secret_rotation.orders") != "no-op" {
		t.Errorf("a new address with moved: %s", p.does("aws_secretsmanager_secret_rotation.orders"))
	}

	// Rotation that was set up by hand.
	w.dir = t.TempDir()
	w.write(filepath.Join(w.dir, "main.tf"), rotation("app", "quarterturn-postgres-single-user")+
		fmt.Sprintf("import {\n  to = aws_secretsmanager_secret_rotation.app\n  id = %q\n}\n", secret))
	w.must("init", "-input=false")
	if out := w.must("plan", "-input=false"); !strings.Contains(out, "1 to import, 0 to add, 1 to change, "+
		"0 to destroy") {
		t.Errorf("an import block:\n%s", out)
	}
}
