package deploytest

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/testutil/samtest"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// lint has cfn-lint judge templates.
func lint(t *testing.T, paths ...string) {
	t.Helper()
	tools, err := samtest.ToolsIn(root)
	if err != nil {
		t.Fatal(err)
	}
	if !tools.Installed() {
		tier.Missing(t, errors.New("no cfn-lint: make sam"))
	}
	if out, err := tools.Command(t.Context(), t.TempDir(), nil, "cfn-lint", paths...).CombinedOutput(); err != nil {
		t.Errorf("cfn-lint: %v\n%s", err, out)
	}
}

// schedule is the one RotationSchedule of a template, and its logical id.
func schedule(t *testing.T, resources map[string]any) (id string, properties any) {
	t.Helper()
	for name, r := range resources {
		if samtest.Get(r, "Type") == "AWS::SecretsManager::RotationSchedule" {
			if id != "" {
				t.Errorf("two schedules: %s and %s", id, name)
			}
			id, properties = name, samtest.Get(r, "Properties")
		}
	}
	return id, properties
}

// TestTheCDKExample: synthesized without a network, clean, and the schedule keeps its logical id.
// It takes a minute: npm fetches CDK, of 60 MB, by the hashes of package-lock.json.
func TestTheCDKExample(t *testing.T) {
	tier.Long(t)
	node, npm := tier.Program(t, "node", "https://nodejs.org"), tier.Program(t, "npm", "https://nodejs.org")
	dir := t.TempDir()
	if app := readFile(t, filepath.Join(root, "deploy", "cdk", "app.js")); !strings.Contains(app,
		"tryGetContext('before')") {
		t.Error("whoever deploys all stacks gets a database that is there to be compared")
	}
	for _, name := range []string{"app.js", "package.json", "package-lock.json"} {
		if err := os.WriteFile(filepath.Join(dir, name),
			[]byte(readFile(t, filepath.Join(root, "deploy", "cdk", name))), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	install := exec.CommandContext(t.Context(), npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	synth := exec.CommandContext(t.Context(), node, "app.js")
	if unshare, err := exec.LookPath("unshare"); err == nil && os.Geteuid() == 0 {
		synth = exec.CommandContext(t.Context(), unshare, "-n", node, "app.js")
	}
	synth.Dir, synth.Env = dir, append(os.Environ(), `CDK_CONTEXT_JSON={"before":"true"}`)
	if out, err := synth.CombinedOutput(); err != nil {
		t.Fatalf("synth: %v\n%s", err, out)
	}
	stacks := map[string]map[string]any{}
	var paths []string
	for _, name := range []string{"OrdersBefore", "Orders"} {
		path := filepath.Join(dir, "cdk.out", name+".template.json")
		var template map[string]any
		if err := json.Unmarshal([]byte(readFile(t, path)), &template); err != nil {
			t.Fatal(err)
		}
		stacks[name], paths = template["Resources"].(map[string]any), append(paths, path)
	}
	lint(t, paths...)
	before, _ := schedule(t, stacks["OrdersBefore"])
	after, properties := schedule(t, stacks["Orders"])
	if before == "" || before != after {
		t.Errorf("the schedule is %q, and was %q: CloudFormation would make a new one and then delete the old", after,
			before)
	}
	if samtest.Get(properties, "RotateImmediatelyOnUpdate") != false || samtest.Get(properties, "RotationRules",
		"ScheduleExpression") != "cron(0 3 ? * SUN *)" ||
		samtest.Get(properties, "RotationLambdaARN", "Fn::ImportValue") != "quarterturn-PostgresSingleUserArn" {
		t.Errorf("the schedule is %v", properties)
	}
	for name, r := range stacks["Orders"] {
		if kind := fmt.Sprint(samtest.Get(r, "Type")); strings.HasPrefix(kind, "AWS::Lambda") ||
			strings.HasPrefix(kind, "AWS::Serverless") {
			t.Errorf("%s is a %s: the function and its permission are those of Quarterturn's stack", name, kind)
		}
	}
}

// TestTheCloudFormationExamples: after is before with another function, under the same logical id.
func TestTheCloudFormationExamples(t *testing.T) {
	read := func(name string) map[string]any {
		template, err := samtest.Read(filepath.Join(root, "deploy", "cloudformation", name))
		if err != nil {
			t.Fatal(err)
		}
		return template.Section("Resources")
	}
	before, after := read("before.yaml"), read("after.yaml")
	id, _ := schedule(t, before)
	newID, properties := schedule(t, after)
	if id == "" || id != newID || samtest.Get(properties, "RotateImmediatelyOnUpdate") != "false" ||
		samtest.Get(properties, "HostedRotationLambda") != nil {
		t.Errorf("%s, %s: %v", id, newID, properties)
	}
	for name := range before {
		if name != id && fmt.Sprint(before[name]) != fmt.Sprint(after[name]) {
			t.Errorf("%s differs, and the move is of the schedule alone", name)
		}
	}
	exported, err := samtest.Read(filepath.Join(root, "template.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if output := strings.TrimPrefix(fmt.Sprint(samtest.Get(properties, "RotationLambdaARN", "Fn::ImportValue")),
		"quarterturn-"); exported.Section("Outputs")[output] == nil {
		t.Errorf("template.yaml exports no %s", output)
	}
}

// TestTheCloudFormationExamplesAreClean, by cfn-lint.
func TestTheCloudFormationExamplesAreClean(t *testing.T) {
	tier.Long(t)
	paths, err := filepath.Glob(filepath.Join(root, "deploy", "cloudformation", "*.yaml"))
	if err != nil || len(paths) < 3 {
		t.Fatalf("%v: %v", paths, err)
	}
	for i, path := range paths {
		if paths[i], err = filepath.Abs(path); err != nil {
			t.Fatal(err)
		}
	}
	lint(t, paths...)
}

// TestTheReadersRole: the role for other accounts has the statements of the page that describes it.
func TestTheReadersRole(t *testing.T) {
	template, err := samtest.Read(filepath.Join(root, "deploy", "cloudformation", "fleet-reader.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := template.Deploy(map[string]string{"ReaderArn": "arn:aws:iam::123456789012:role/fleet",
		"OrganizationId": "o-abcdefghij"})
	if err != nil {
		t.Fatal(err)
	}
	policies := samtest.Get(s.Resource("Reader"), "Properties", "Policies").([]any)
	page := readFile(t, filepath.Join(root, "docs", "fleet.md"))
	for _, statement := range samtest.Get(policies[0], "PolicyDocument", "Statement").([]any) {
		actions, ok := samtest.Get(statement, "Action").([]any)
		if !ok {
			actions = []any{samtest.Get(statement, "Action")}
		}
		for _, action := range actions {
			if !strings.Contains(page, fmt.Sprintf("%q", action)) {
				t.Errorf("docs/fleet.md does not name %s", action)
			}
		}
	}
}
