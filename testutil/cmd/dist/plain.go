package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"strings"

	"github.com/quarterturn-dev/quarterturn/testutil/samtest"
)

// plainTemplate is template.yaml without the macro AWS::Serverless, which StackSets refuse:
// each function as CloudFormation itself has it, its code in a bucket of its own Region. It
// translates what the template uses and refuses the rest, so that nothing is left out in silence.
func plainTemplate(t samtest.Template) ([]byte, error) {
	t = t.Clone()
	globals := samtest.Get(map[string]any(t), "Globals", "Function")
	delete(t, "Transform")
	delete(t, "Globals")
	metadata := t.Section("Metadata")
	delete(metadata, "AWS::ServerlessRepo::Application")
	form := metadata["AWS::CloudFormation::Interface"].(map[string]any)
	form["ParameterGroups"] = append([]any{map[string]any{
		"Label": map[string]any{"default": "Where the code is"}, "Parameters": []any{"CodeBucketPrefix",
			"CodeKeyPrefix"},
	}}, form["ParameterGroups"].([]any)...)
	parameters := t.Section("Parameters")
	parameters["CodeBucketPrefix"] = map[string]any{
		"Type": "String", "AllowedPattern": "^[a-z0-9][a-z0-9.-]{1,40}$",
		"Description": "Buckets with the zips are called this, a dash and the Region: Lambda takes code from its own " +
			"Region alone",
	}
	parameters["CodeKeyPrefix"] = map[string]any{
		"Type": "String", "Default": "", "AllowedPattern": "^$|^[A-Za-z0-9!_.*'()/-]+/$", "Description": "Folder of " +
			"the zips in the bucket, with the slash at its end",
	}
	t.Section("Conditions")["IsARM"] = map[string]any{"Fn::Equals": []any{map[string]any{"Ref": "Architecture"},
		"arm64"}}

	resources := t.Section("Resources")
	for _, name := range sortedKeys(resources) {
		resource := resources[name].(map[string]any)
		if resource["Type"] != "AWS::Serverless::Function" {
			continue
		}
		if err := plainFunction(name, resource, globals, resources); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	err := e.Encode(t)
	return out.Bytes(), err
}

// same are properties that SAM hands through.
var same = map[string]bool{
	"Runtime": true, "Handler": true, "Architectures": true, "Timeout": true, "MemorySize": true,
	"ReservedConcurrentExecutions": true,
	"LoggingConfig":                true, "VpcConfig": true, "Environment": true, "FunctionName": true,
	"Description": true,
	"Role":        true,
}

func plainFunction(name string, resource map[string]any, globals any, resources map[string]any) error {
	own := resource["Properties"].(map[string]any)
	all := maps.Clone(globals.(map[string]any))
	maps.Copy(all, own)
	if samtest.Get(own, "Environment") != nil {
		variables := maps.Clone(samtest.Get(globals, "Environment", "Variables").(map[string]any))
		maps.Copy(variables, samtest.Get(own, "Environment", "Variables").(map[string]any))
		all["Environment"] = map[string]any{"Variables": variables}
	}
	properties := map[string]any{"Code": map[string]any{
		"S3Bucket": map[string]any{"Fn::Sub": "${CodeBucketPrefix}-${AWS::Region}"},
		"S3Key": map[string]any{"Fn::Sub": []any{"${CodeKeyPrefix}" + handler(name) + "-${Zip}.zip",
			map[string]any{"Zip": map[string]any{"Fn::If": []any{"IsARM", "arm64", "amd64"}}}}},
	}}
	for property, value := range all {
		switch {
		case same[property]:
			properties[property] = value
		case property == "CodeUri":
		case property == "Tracing":
			properties["TracingConfig"] = map[string]any{"Mode": value}
		case property == "Events":
			if err := plainSchedules(name, resource["Condition"], value.(map[string]any), resources); err != nil {
				return err
			}
		default:
			return fmt.Errorf("the property %s is not translated", property)
		}
	}
	resource["Type"], resource["Properties"] = "AWS::Lambda::Function", properties
	delete(resource, "Metadata")
	return nil
}

func plainSchedules(function string, condition any, events map[string]any, resources map[string]any) error {
	for name, event := range events {
		if resources[function+name] != nil {
			return fmt.Errorf("two resources are called %s", function+name)
		}
		if samtest.Get(event, "Type") != "Schedule" {
			return fmt.Errorf("events of type %v are not translated", samtest.Get(event, "Type"))
		}
		arn := map[string]any{"Fn::GetAtt": []any{function, "Arn"}}
		resources[function+name] = map[string]any{"Type": "AWS::Events::Rule", "Condition": condition,
			"Properties": map[string]any{
				"ScheduleExpression": samtest.Get(event, "Properties", "Schedule"),
				"Targets":            []any{map[string]any{"Id": "function", "Arn": arn}},
			}}
		resources[function+name+"Permission"] = map[string]any{"Type": "AWS::Lambda::Permission",
			"Condition": condition, "Properties": map[string]any{
				"FunctionName": map[string]any{"Ref": function}, "Action": "lambda:InvokeFunction",
				"Principal": "events.amazonaws.com",
				"SourceArn": map[string]any{"Fn::GetAtt": []any{function + name, "Arn"}},
			}}
	}
	return nil
}

// handler is the folder of a function: postgres-single-user of PostgresSingleUser.
func handler(logicalID string) string {
	return strings.ToLower(strings.TrimPrefix(regexp.MustCompile(`[A-Z]`).ReplaceAllString(logicalID, "-$0"), "-"))
}
