package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/testutil/samtest"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// maxObject is what CloudFormation takes of a template in a bucket; as a body it takes 51,200,
// which the functions with all their settings written out do not fit into.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
const maxObject = 1 << 20

func plainOf(t *testing.T) (map[string]any, []byte) {
	t.Helper()
	template, err := samtest.Read(filepath.Join(root, "template.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := plainTemplate(template)
	if err != nil {
		t.Fatal(err)
	}
	var plain map[string]any
	if err := json.Unmarshal(text, &plain); err != nil {
		t.Fatal(err)
	}
	return plain, text
}

// TestThePlainTemplate: no macro is left, each handler has its zip, and what the functions are
// told is what template.yaml tells them.
func TestThePlainTemplate(t *testing.T) {
	plain, text := plainOf(t)
	if len(text) > maxObject || strings.Contains(string(text), "Serverless") || plain["Transform"] != nil ||
		plain["Globals"] != nil {
		t.Errorf("%d bytes, or a macro in it", len(text))
	}
	handlers, _ := filepath.Glob(root + "/handlers/*")
	for _, folder := range handlers {
		name := filepath.Base(folder)
		if !strings.Contains(string(text), "${CodeKeyPrefix}"+name+"-${Zip}.zip") {
			t.Errorf("no function has the zip of %s", name)
		}
	}
	resources := plain["Resources"].(map[string]any)
	for name, resource := range resources {
		if samtest.Get(resource, "Type") != "AWS::Lambda::Function" {
			continue
		}
		for _, property := range []string{"Role", "Runtime", "Handler", "Code", "LoggingConfig", "TracingConfig"} {
			if samtest.Get(resource, "Properties", property) == nil {
				t.Errorf("%s has no %s", name, property)
			}
		}
		if samtest.Get(resource, "Properties", "Environment", "Variables", "POWERTOOLS_SERVICE_NAME") == nil {
			t.Errorf("%s lost the settings of all functions", name)
		}
	}
	if samtest.Get(resources["Fleet"], "Properties", "Environment", "Variables", "FLEET_ACCOUNTS") == nil ||
		resources["FleetRun"] == nil || resources["FleetRunPermission"] == nil {
		t.Error("the report has no settings of its own, or no schedule")
	}
	for name := range plain["Parameters"].(map[string]any) {
		if resources[name] != nil {
			t.Errorf("a resource and a parameter are called %s", name)
		}
	}
	for name, output := range plain["Outputs"].(map[string]any) {
		if samtest.Get(output, "Export", "Name", "Fn::Sub") != "${AWS::StackName}-"+name {
			t.Errorf("output %s is not exported under the stack's name", name)
		}
	}
}

// TestAPropertyThatIsNotTranslatedIsRefused, and so is an event of another type.
func TestAPropertyThatIsNotTranslatedIsRefused(t *testing.T) {
	template, err := samtest.Read(filepath.Join(root, "template.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for says, change := range map[string]func(properties map[string]any){
		"AutoPublishAlias": func(p map[string]any) { p["AutoPublishAlias"] = "live" },
		"Api":              func(p map[string]any) { p["Events"] = map[string]any{"X": map[string]any{"Type": "Api"}} },
	} {
		mutant := template.Clone()
		change(samtest.Get(mutant.Section("Resources")["Fleet"], "Properties").(map[string]any))
		if _, err := plainTemplate(mutant); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
}

// TestThePlainTemplateIsWhatSAMMakes: cfn-lint has nothing to say of it, and the functions have
// the properties that AWS's own translator gives them.
func TestThePlainTemplateIsWhatSAMMakes(t *testing.T) {
	tier.Long(t)
	tools, err := samtest.ToolsIn(root)
	if err != nil {
		t.Fatal(err)
	}
	if !tools.Installed() {
		tier.Missing(t, errors.New("no cfn-lint: make sam"))
	}
	plain, text := plainOf(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "template.json")
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := tools.Command(t.Context(), dir, nil, "cfn-lint", path).CombinedOutput(); err != nil {
		t.Errorf("cfn-lint: %v\n%s", err, out)
	}
	translated := translate(t, tools, dir)
	for name, resource := range plain["Resources"].(map[string]any) {
		properties, _ := samtest.Get(resource, "Properties").(map[string]any)
		theirs, _ := samtest.Get(translated["Resources"], name, "Properties").(map[string]any)
		if samtest.Get(resource, "Type") != "AWS::Lambda::Function" {
			continue
		}
		delete(properties, "Code")
		delete(theirs, "Code")
		delete(theirs, "Tags") // lambda:createdBy
		ours, _ := json.Marshal(properties)
		want, _ := json.Marshal(stringly(theirs))
		if string(ours) != string(want) {
			t.Errorf("%s is\n%s\nand SAM makes\n%s", name, ours, want)
		}
	}
	for _, kind := range []string{"AWS::Events::Rule", "AWS::Lambda::Permission", "AWS::IAM::Role"} {
		if ours, want := count(plain, kind), count(translated, kind); ours != want {
			t.Errorf("%d of %s, and SAM makes %d", ours, kind, want)
		}
	}
}

// translate has AWS's translator do it.
func translate(t *testing.T, tools samtest.Tools, dir string) map[string]any {
	t.Helper()
	source, err := os.ReadFile(filepath.Join(root, "template.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	source = regexp.MustCompile(`CodeUri: .*`).ReplaceAll(source, []byte("CodeUri: s3://bucket/key"))
	if err := os.WriteFile(filepath.Join(dir, "sam.yaml"), source, 0o644); err != nil {
		t.Fatal(err)
	}
	const script = `
import json
from samtranslator.yaml_helper import yaml_parse
from samtranslator.translator.transform import transform
class Policies:
    def load(self): return {}
print(json.dumps(transform(yaml_parse(open("sam.yaml").read()), {}, Policies())))`
	cmd := tools.Command(t.Context(), dir, nil, "python", "-c", script)
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	if exit, ok := err.(*exec.ExitError); ok {
		t.Fatalf("the translator: %v", exit)
	}
	if err != nil {
		t.Fatal(err)
	}
	var translated map[string]any
	if err := json.Unmarshal(out, &translated); err != nil {
		t.Fatal(err)
	}
	return translated
}

func count(template map[string]any, kind string) (n int) {
	for _, resource := range template["Resources"].(map[string]any) {
		if samtest.Get(resource, "Type") == kind {
			n++
		}
	}
	return n
}

// stringly writes numbers and booleans as text, as the template of this project is read.
func stringly(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for name := range v {
			v[name] = stringly(v[name])
		}
		return v
	case []any:
		for i := range v {
			v[i] = stringly(v[i])
		}
		return v
	case string:
		return v
	}
	text, _ := json.Marshal(value) // of JSON's own kinds
	return string(text)
}
