package samtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/emf"
	"github.com/quarterturn-dev/quarterturn/testutil/internal/allsettings"
)

// root is the module's folder, seen from this package.
const root = "../.."

func template(t testing.TB) Template {
	t.Helper()
	read, err := Read(filepath.Join(root, "template.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return read
}

// handlers are the folders that become functions.
func handlers(t testing.TB) []string {
	t.Helper()
	folders, err := os.ReadDir(filepath.Join(root, "handlers"))
	if err != nil || len(folders) == 0 {
		t.Fatalf("no handlers: %v", err)
	}
	var names []string
	for _, folder := range folders {
		names = append(names, folder.Name())
	}
	return names
}

// logicalID is the name of a handler's function in the template: PostgresSingleUser
// for postgres-single-user. sam/Makefile turns it back.
func logicalID(handler string) string {
	id := ""
	for word := range strings.SplitSeq(handler, "-") {
		id += strings.ToUpper(word[:1]) + word[1:]
	}
	return id
}

// faults are the ways in which a template is not what the project needs. It is a
// function of the template so that a test can take something away and see it missed.
func faults(t Template, handlers []string) []string {
	var f []string
	f = append(f, faultsOfFunctions(t, handlers)...)
	f = append(f, faultsOfParameters(t)...)
	f = append(f, faultsOfSettings(t)...)
	f = append(f, faultsOfAlarms(t)...)
	f = append(f, faultsOfRoles(t)...)
	f = append(f, faultsOfStatements(t)...)
	f = append(f, faultsOfSizes(t)...)
	f = append(f, faultsOfFleet(t)...)
	return f
}

func TestTheTemplateIsWhatTheProjectNeeds(t *testing.T) {
	t.Parallel()
	for _, fault := range faults(template(t), handlers(t)) {
		t.Error(fault)
	}
}

// maxHandler is the longest handler's name. A function's name has 64 characters, of
// which a stack's name and a dash take the rest.
const maxHandler = 64 - 37 - 1

// faultsOfFunctions: each handler has its function, and each function its handler.
func faultsOfFunctions(t Template, handlers []string) (f []string) {
	resources, outputs := t.Section("Resources"), t.Section("Outputs")
	functions := map[string]bool{}
	for name, resource := range resources {
		if Get(resource, "Type") == "AWS::Serverless::Function" {
			functions[name] = true
		}
	}
	alone := func(handlers string) Stack {
		s, err := t.Deploy(map[string]string{"Functions": handlers, "Engines": "postgres", "SecretArns": secretPattern})
		if err != nil {
			f = append(f, fmt.Sprintf("Functions=%s: %v", handlers, err))
		}
		return s
	}
	handlers = slices.Clone(handlers)
	for _, handler := range handlers {
		if !functions[logicalID(handler)] {
			f = append(f, fmt.Sprintf("handlers/%s has no function %s", handler, logicalID(handler)))
		}
	}
	if fleet := slices.Index(handlers, "fleet"); fleet >= 0 { // which rotates nothing: faultsOfFleet
		handlers = slices.Delete(handlers, fleet, fleet+1)
		delete(functions, "Fleet")
	}
	for _, handler := range handlers {
		id := logicalID(handler)
		if !functions[id] {
			continue
		}
		delete(functions, id)
		want := func(what string, got, want any) {
			if fmt.Sprint(got) != fmt.Sprint(want) {
				f = append(f, fmt.Sprintf("%s: %s is %v, want %v", id, what, got, want))
			}
		}
		single, alternating := any("SingleUserRole"), any("AlternatingUsersRole")
		role := any(map[string]any{"Fn::GetAtt": []any{single, "Arn"}})
		switch {
		case strings.HasSuffix(handler, "-alternating-users"):
			role = map[string]any{"Fn::GetAtt": []any{alternating, "Arn"}}
		case handler == "database": // for whichever strategy it is deployed
			role = map[string]any{"Fn::If": []any{"Alternates", map[string]any{"Fn::GetAtt": []any{alternating, "Arn"}},
				role}}
		}
		if len(handler) > maxHandler {
			f = append(f, fmt.Sprintf("handlers/%s: docs/deploy.md says how long a stack's name may be, "+
				"and this leaves less", handler))
		}
		want("Condition", Get(resources[id], "Condition"), id)
		want("BuildMethod", Get(resources[id], "Metadata", "BuildMethod"), "makefile")
		want("FunctionName", Get(resources[id], "Properties", "FunctionName", "Fn::Sub"), "${AWS::StackName}-"+handler)
		want("Role", Get(resources[id], "Properties", "Role"), role)
		if Get(resources[id], "Properties", "Description") == nil {
			f = append(f, id+" has no description")
		}
		permission := resources[id+"Invocation"]
		want("the permission's Condition", Get(permission, "Condition"), id)
		want("who may invoke it", Get(permission, "Properties", "Principal"), "secretsmanager.amazonaws.com")
		want("what they may", Get(permission, "Properties", "Action"), "lambda:InvokeFunction")
		want("which function", Get(permission, "Properties", "FunctionName", "Ref"), id)
		want("for which account", Get(permission, "Properties", "SourceAccount", "Ref"), "AWS::AccountId")
		want("the output's Condition", Get(outputs[id+"Arn"], "Condition"), id)
		want("the output", Get(outputs[id+"Arn"], "Value", "Fn::GetAtt"), []any{id, "Arn"})
		for _, with := range append(slices.Clone(handlers), "all", strings.Join(handlers, ",")) {
			// which is in place of the others
			is, should := alone(with).Resource(id) != nil, slices.Contains(strings.Split(with, ","), handler) ||
				with == "all" && handler != "database"
			if is != should {
				f = append(f, fmt.Sprintf("Functions=%s: %s is deployed: %t", with, id, is))
			}
		}
	}
	for name := range functions {
		f = append(f, fmt.Sprintf("function %s has no folder below handlers", name))
	}
	for _, wrong := range []string{"", "postgres", "postgres-single-user,", "everything"} {
		if _, err := t.Deploy(map[string]string{"Functions": wrong, "SecretArns": secretPattern}); err == nil {
			f = append(f, fmt.Sprintf("Functions=%q is accepted", wrong))
		}
	}
	return f
}

// faultsOfParameters: each is described, asked for in the console, and used; and
// everything that is referred to is there.
func faultsOfParameters(t Template) (f []string) {
	parameters := t.Section("Parameters")
	asked := map[string]int{}
	for _, group := range Get(map[string]any(t), "Metadata", "AWS::CloudFormation::Interface",
		"ParameterGroups").([]any) {
		for _, name := range Get(group, "Parameters").([]any) {
			asked[name.(string)]++
			if parameters[name.(string)] == nil {
				f = append(f, fmt.Sprintf("the console would ask for %s, which is no parameter", name))
			}
		}
	}
	used := References([]any{t.Section("Rules"), t.Section("Conditions"), t.Section("Globals"), t.Section("Resources"),
		t.Section("Outputs")})
	for _, name := range slices.Sorted(maps.Keys(parameters)) {
		if asked[name] != 1 {
			f = append(f, fmt.Sprintf("parameter %s is in %d groups of the console's form", name, asked[name]))
		}
		if len(fmt.Sprint(Get(parameters[name], "Description"))) < 10 {
			f = append(f, fmt.Sprintf("parameter %s is not described", name))
		}
		if !used[name] {
			f = append(f, fmt.Sprintf("parameter %s is not used", name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(used)) {
		if !strings.HasPrefix(name, "AWS::") && parameters[name] == nil && t.Section("Resources")[name] == nil {
			f = append(f, fmt.Sprintf("%s is referred to, and is neither a parameter nor a resource", name))
		}
	}
	if _, err := t.Deploy(nil); err == nil || !strings.Contains(err.Error(), "SecretsAreNamed") {
		f = append(f, fmt.Sprintf("a stack that names no secrets is not refused: %v", err))
	}
	for name, values := range map[string][]string{
		"SecretArns":          {"*", "arn:aws:secretsmanager:us-east-1:123456789012:secret:*", secretPattern + ",*", "prod/app"},
		"SuperuserSecretArns": {"*", "arn:aws:secretsmanager:us-east-1:123456789012:secret:*"},
		"KmsKeyArns":          {"*", "arn:aws:kms:us-east-1:123456789012:key/*", "alias/app"},
		"SuperuserKmsKeyArns": {"*", "arn:aws:kms:us-east-1:123456789012:key/*"},
	} {
		for _, value := range values {
			with := map[string]string{"SecretArns": secretPattern}
			with[name] = value
			if _, err := t.Deploy(with); err == nil {
				f = append(f, fmt.Sprintf("%s=%s is accepted", name, value))
			}
		}
	}
	for rule, with := range map[string]map[string]string{
		"EnginesAreNamed":             {"Functions": "database"},
		"SubnetsHaveSecurityGroups":   {"SubnetIds": "subnet-1"},
		"StrictNeedsFullProbes":       {"Preflight": "strict", "PreflightProbes": "read-only"},
		"DualPasswordsAreTheUsersOwn": {"MysqlDualPasswords": "true", "SingleUserThroughSuperuser": "true"},
	} {
		with["SecretArns"] = secretPattern
		if _, err := t.Deploy(with); err == nil || !strings.Contains(err.Error(), rule) {
			f = append(f, fmt.Sprintf("%v is not refused by rule %s: %v", with, rule, err))
		}
	}
	return f
}

// byLambda are settings that come from Lambda itself, by LoggingConfig and the
// function's name, or that a stack has no use for.
var byLambda = []string{"AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_LOG_LEVEL", "LOG_LEVEL", "POWERTOOLS_LOG_LEVEL",
	"POWERTOOLS_METRICS_NAMESPACE"}

// faultsOfSettings: the template sets what the functions read and nothing else, and
// each value that a parameter may have is one that the functions take.
func faultsOfSettings(t Template) (f []string) {
	read := map[string]bool{}
	if err := allsettings.Read(func(name string) (string, bool) { read[name] = true; return "", false }); err != nil {
		return []string{err.Error()}
	}
	variables, _ := Get(map[string]any(t), "Globals", "Function", "Environment", "Variables").(map[string]any)
	for name := range variables {
		if !read[name] {
			f = append(f, fmt.Sprintf("the template sets %s, which no function reads", name))
		}
	}
	for name := range read {
		// the SDK's own
		if variables[name] == nil && !slices.Contains(byLambda, name) && !strings.HasPrefix(name, "AWS_ENDPOINT_URL") {
			f = append(f, fmt.Sprintf("the functions read %s, which the template does not set", name))
		}
	}
	check := func(with map[string]string) {
		with["SecretArns"] = secretPattern
		s, err := t.Deploy(with)
		if err == nil {
			environment, _ := s.Resolve(variables).(map[string]any)
			err = allsettings.Read(func(name string) (string, bool) {
				v, ok := environment[name].(string)
				return v, ok
			})
		}
		if err != nil {
			f = append(f, fmt.Sprintf("with %v: %v", with, err))
		}
	}
	check(map[string]string{})
	check(map[string]string{"Engines": "postgres,aurora-postgresql,mysql,aurora-mysql,mariadb,valkey,redis",
		"Strategy": "alternating-users"})
	check(map[string]string{"ExcludeCharacters": `:/@"'\`,
		"SecretsManagerEndpoint": "https://vpce-1.secretsmanager.us-east-1.vpce.amazonaws.com"})
	for _, url := range []string{"http://secretsmanager.us-east-1.amazonaws.com", "http://10.0.0.1",
		"http://127.0.0.1.example.com", "http://localhost.example.com", "ftp://localhost"} {
		if _, err := t.Deploy(map[string]string{"SecretArns": secretPattern, "SecretsManagerEndpoint": url}); err == nil {
			f = append(f, "SecretsManagerEndpoint takes "+url+", by which passwords would be readable on their way")
		}
	}
	check(map[string]string{"SecretsManagerEndpoint": "http://127.0.0.1:4566"})
	for name, declared := range t.Section("Parameters") {
		values, _ := Get(declared, "AllowedValues").([]any)
		for _, value := range values {
			check(map[string]string{name: value.(string)})
		}
	}
	return f
}

// faultsOfAlarms: each watches a metric that is there, and has an action.
func faultsOfAlarms(t Template) (f []string) {
	var line bytes.Buffer
	err := emf.Writer{W: &line, Function: "f", Service: "quarterturn"}.Write(rotator.Record{Report: &rotator.Report{}})
	var metrics map[string]any
	if err != nil || json.Unmarshal(line.Bytes(), &metrics) != nil {
		return []string{"no metric line"}
	}
	s, err := t.Deploy(map[string]string{"SecretArns": secretPattern, "AlarmEmail": "oncall@example.com"})
	if err != nil {
		return []string{err.Error()}
	}
	for _, name := range []string{"FunctionErrors", "PreflightBlocked", "NearTimeout"} {
		properties := Get(s.Resource(name), "Properties")
		if fmt.Sprint(Get(properties, "AlarmActions")) != "[AlarmTopic]" {
			f = append(f, fmt.Sprintf("alarm %s has no action", name))
		}
		if Get(properties, "Namespace") == nil {
			continue
		}
		metric, dimension := fmt.Sprint(Get(properties, "MetricName")), Get(properties, "Dimensions").([]any)[0]
		if Get(properties, "Namespace") != emf.Namespace || metrics[metric] == nil ||
			metrics[fmt.Sprint(Get(dimension, "Name"))] != Get(dimension, "Value") {
			f = append(f, fmt.Sprintf("alarm %s watches %s by %v, which no function writes", name, metric, dimension))
		}
	}
	// A line without a level counts as INFO, says Lambda's Developer Guide ("Log-level filtering").
	levels, _ := Get(t.Section("Parameters")["LogLevel"], "AllowedValues").([]any)
	for _, level := range levels {
		if _, has := metrics["level"]; !has && level != "DEBUG" && level != "INFO" {
			f = append(f, fmt.Sprintf("with LogLevel=%s Lambda drops the metrics, and no alarm sounds", level))
		}
	}
	watched := fmt.Sprint(Get(s.Resource("FunctionErrors"), "Properties", "Metrics"))
	for name := range t.Section("Resources") {
		if function, ok := Get(s.Resource(name), "Properties", "FunctionName").(string); ok &&
			strings.HasPrefix(function, "quarterturn-") && !strings.Contains(watched, "'"+function+"'") {
			f = append(f, fmt.Sprintf("alarm FunctionErrors does not watch %s", name))
		}
	}
	if slow := Get(s.Resource("NearTimeout"), "Properties", "Threshold"); slow != "45000" {
		f = append(f, fmt.Sprintf("alarm NearTimeout at %v ms, want 45000", slow))
	}
	if names := fmt.Sprint(Get(s.Resource("FailedRotations"), "Properties", "EventPattern")); names !=
		"map[detail:map[eventName:[RotationFailed RotationAbandoned TestRotationFailed] "+
			"eventSource:[secretsmanager.amazonaws.com]] detail-type:[AWS Service Event via CloudTrail] "+
			"source:[aws.secretsmanager]]" {
		f = append(f, "FailedRotations listens to "+names)
	}
	if fmt.Sprint(Get(s.Resource("AlarmTopicPolicy"), "Properties", "PolicyDocument", "Statement")) == fmt.Sprint(nil) {
		f = append(f, "alarms and events may not publish to AlarmTopic")
	}
	body, _ := Get(s.Resource("Overview"), "Properties", "DashboardBody").(string)
	var dashboard struct {
		Widgets []struct {
			Type       string
			Properties struct {
				Metrics []([]any)
				Query   string
			}
		}
	}
	if err := json.Unmarshal([]byte(body), &dashboard); err != nil || len(dashboard.Widgets) < 4 {
		return append(f, fmt.Sprintf("the dashboard is not one: %v", err))
	}
	for _, m := range regexp.MustCompile(`\["(?:Quarterturn|\.)", "(\w+)"`).FindAllStringSubmatch(body, -1) {
		if metrics[m[1]] == nil {
			f = append(f, fmt.Sprintf("the dashboard shows %s, which no function writes", m[1]))
		}
	}
	return f
}

// TestGuidedAsksForWhatMattersFirst: sam deploy --guided asks in the order of the file, and
// samconfig.toml names the same parameters.
func TestGuidedAsksForWhatMattersFirst(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "template.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	_, parameters, _ := strings.Cut(string(text), "\nParameters:\n")
	var order []string
	for _, m := range regexp.MustCompile(`(?m)^  ([A-Z]\w+):$`).FindAllStringSubmatch(parameters, 7) {
		order = append(order, m[1])
	}
	if want := "Functions SecretArns SecretTag SuperuserSecretArns SubnetIds SecurityGroupIds " +
		"AlarmEmail"; strings.Join(order, " ") != want {
		t.Errorf("it asks for %v first, want %s", order, want)
	}
	config, err := os.ReadFile(filepath.Join(root, "samconfig.toml"))
	if err != nil {
		t.Fatal(err)
	}
	given := regexp.MustCompile(`"(\w+)=([^"]*)"`).FindAllStringSubmatch(string(config), -1)
	if len(given) != 6 {
		t.Errorf("samconfig.toml has %d values", len(given))
	}
	for _, m := range given {
		if !slices.Contains(order, m[1]) {
			t.Errorf("samconfig.toml gives %s, which is not among the first", m[1])
		}
	}
}

// TestEnvJSONSetsWhatIsThere: sam local invoke drops variables that the template does
// not declare, without a word.
func TestEnvJSONSetsWhatIsThere(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "sam", "env.json"))
	if err != nil {
		t.Fatal(err)
	}
	var env map[string]map[string]string
	if err := json.Unmarshal(text, &env); err != nil {
		t.Fatal(err)
	}
	variables, _ := Get(map[string]any(template(t)), "Globals", "Function", "Environment", "Variables").(map[string]any)
	if len(env["Parameters"]) == 0 || len(env) != 1 {
		t.Errorf("sam/env.json has %v: want Parameters, which are for every function", slices.Sorted(maps.Keys(env)))
	}
	for name := range env["Parameters"] {
		if variables[name] == nil {
			t.Errorf("sam/env.json sets %s, which the template does not declare", name)
		}
	}
}

// TestTheExampleFitsTheTemplate: what it hands over is taken, and what it takes is there.
func TestTheExampleFitsTheTemplate(t *testing.T) {
	example, err := Read(filepath.Join(root, "sam", "example.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	whole := template(t)
	given := map[string]string{}
	for name := range Get(example.Section("Resources")["Rotation"], "Properties", "Parameters").(map[string]any) {
		given[name] = map[string]string{ // as CloudFormation would have them
			"Functions": "postgres-single-user", "SecretArns": secretARN, "KmsKeyArns": keyARN, "SubnetIds": "subnet-1,subnet-2",
			"SecurityGroupIds": "sg-1", "AlarmEmail": "oncall@example.com",
		}[name]
	}
	s, err := whole.Deploy(given)
	if err != nil {
		t.Fatal(err)
	}
	function := Get(example.Section("Resources")["Schedule"], "Properties", "RotationLambdaARN", "Fn::GetAtt").([]any)
	output := strings.TrimPrefix(function[1].(string), "Outputs.")
	if condition, ok := Get(whole.Section("Outputs")[output], "Condition").(string); function[0] != "Rotation" || !ok ||
		!s.condition(condition) {
		t.Errorf("the schedule wants %v, which this stack does not give", function)
	}
}
