package samtest

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// TestWhatIsTakenAwayIsMissed takes each thing away from the template, one at a time,
// and wants it missed: a check that cannot fail checks nothing.
func TestWhatIsTakenAwayIsMissed(t *testing.T) {
	t.Parallel()
	tier.Long(t) // some 250 templates, each checked whole
	whole, folders := template(t), handlers(t)
	tried := 0
	missed := func(what string, mutant Template, handlers []string) {
		tried++
		if len(faults(mutant, handlers)) == 0 {
			t.Errorf("no check misses %s", what)
		}
	}
	without := func(what string, path ...string) {
		mutant := whole.Clone()
		parent := Get(map[string]any(mutant), path[:len(path)-1]...).(map[string]any)
		delete(parent, path[len(path)-1])
		missed(what, mutant, folders)
	}
	for _, section := range []string{"Parameters", "Rules", "Resources"} {
		for _, name := range slices.Sorted(maps.Keys(whole.Section(section))) {
			without(section+" "+name, section, name)
		}
	}
	for _, handler := range folders {
		if handler == "fleet" {
			continue
		}
		without("the output of "+handler, "Outputs", logicalID(handler)+"Arn")
	}
	for name := range Get(map[string]any(whole), "Globals", "Function", "Environment", "Variables").(map[string]any) {
		without("variable "+name, "Globals", "Function", "Environment", "Variables", name)
	}
	for i, group := range consoleForm(whole) {
		for j, name := range Get(group, "Parameters").([]any) {
			mutant := whole.Clone()
			form := consoleForm(mutant)[i].(map[string]any)
			form["Parameters"] = slices.Delete(form["Parameters"].([]any), j, j+1)
			missed(fmt.Sprintf("%s in the form", name), mutant, folders)
		}
	}

	// Statements, and each action of each.
	for _, policy := range []string{"RotationPolicy", "KeyPolicy", "SuperuserPolicy", "SuperuserKeyPolicy",
		"DatabasePolicy", "RuntimePolicy", "FleetPolicy"} {
		for i := range statements(whole, policy) {
			mutant := whole.Clone()
			document := Get(mutant.Section("Resources")[policy], "Properties", "PolicyDocument").(map[string]any)
			document["Statement"] = slices.Delete(document["Statement"].([]any), i, i+1)
			missed(fmt.Sprintf("statement %d of %s", i+1, policy), mutant, folders)

			actions, _ := statement(statements(whole, policy)[i])["Action"].([]any)
			for j, action := range actions {
				mutant := whole.Clone()
				s := statement(statements(mutant, policy)[i])
				s["Action"] = slices.Delete(s["Action"].([]any), j, j+1)
				missed(fmt.Sprintf("%v in statement %d of %s", action, i+1, policy), mutant, folders)
			}
			if statement(statements(whole, policy)[i])["Condition"] != nil {
				mutant := whole.Clone()
				delete(statement(statements(mutant, policy)[i]), "Condition")
				missed(fmt.Sprintf("the condition of statement %d of %s", i+1, policy), mutant, folders)
			}
			wide := whole.Clone()
			if s := statement(statements(wide, policy)[i]); s["Resource"] != "*" {
				s["Resource"] = "*"
				missed(fmt.Sprintf("the resource of statement %d of %s", i+1, policy), wide, folders)
			}
		}
	}

	// A handler without a function, a function without a handler.
	missed("a function for a new handler", whole, append(slices.Clone(folders), "oracle-single-user"))
	for i, handler := range folders {
		missed("the folder of "+handler, whole, slices.Delete(slices.Clone(folders), i, i+1))
	}
	if tried < 150 {
		t.Errorf("%d things taken away: fewer than there are", tried)
	}
	t.Logf("%d things taken away, one at a time", tried)
}

func consoleForm(t Template) []any {
	return Get(map[string]any(t), "Metadata", "AWS::CloudFormation::Interface", "ParameterGroups").([]any)
}

func statements(t Template, policy string) []any {
	return Get(t.Section("Resources")[policy], "Properties", "PolicyDocument", "Statement").([]any)
}

// statement is a statement, or the one that an If would give.
func statement(value any) map[string]any {
	if branches, ok := Get(value, "Fn::If").([]any); ok {
		value = branches[1]
	}
	return value.(map[string]any)
}
