package samtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/quarterturn-dev/quarterturn/rotator/fleet"
	"github.com/quarterturn-dev/quarterturn/rotator/iam"
	"github.com/quarterturn-dev/quarterturn/rotator/serve/fleetreport"
)

// faultsOfFleet: the report on all secrets is off unless it is asked for. Then it runs on its
// schedule, tells by alarms, and may read whatever rotator/fleet reads and no value.
func faultsOfFleet(t Template) (f []string) {
	want := func(what string, got, want any) {
		if fmt.Sprint(got) != fmt.Sprint(want) {
			f = append(f, fmt.Sprintf("fleet: %s is %v, want %v", what, got, want))
		}
	}
	deploy := func(with map[string]string) Stack {
		with = maps.Clone(with)
		with["SecretArns"] = secretPattern
		s, err := t.Deploy(with)
		if err != nil {
			f = append(f, err.Error())
		}
		return s
	}
	off := deploy(map[string]string{})
	for name := range t.Section("Resources") {
		if strings.HasPrefix(name, "Fleet") && off.Resource(name) != nil {
			f = append(f, name+" is deployed although no report was asked for")
		}
	}
	on := deploy(map[string]string{
		"FleetSchedule": "6-hourly", "SubnetIds": "subnet-1", "SecurityGroupIds": "sg-1", "AlarmEmail": "oncall@example.com",
		"FleetAccounts": "organization", "FleetRegions": "us-east-1,eu-west-1", "PermissionsBoundaryArn": full["PermissionsBoundaryArn"], "RolePath": "/service/",
	})
	function := Get(on.Resource("Fleet"), "Properties")
	want("the function's name", Get(function, "FunctionName"), "quarterturn-fleet")
	want("its role", strings.Contains(fmt.Sprint(Get(function, "Role")), "FleetRole"), true)
	want("its schedule", Get(function, "Events", "Run", "Properties", "Schedule"), "rate(6 hours)")
	want("its timeout", Get(function, "Timeout"), "900")
	want("how it is built", Get(t.Section("Resources")["Fleet"], "Metadata", "BuildMethod"), "makefile")
	want("its network", fmt.Sprint(Get(t.Section("Resources")["Fleet"], "Properties", "VpcConfig")),
		"map[Ref:AWS::NoValue]")
	for _, name := range []string{"FleetRole", "FleetPolicy"} {
		want("the path of "+name, Get(on.Resource(name), "Properties", "Path"), "/service/")
	}
	want("the boundary", Get(on.Resource("FleetRole"), "Properties", "PermissionsBoundary"),
		full["PermissionsBoundaryArn"])
	want("the output", fmt.Sprint(Get(t.Section("Outputs")["FleetRoleArn"], "Value", "Fn::GetAtt")), "[FleetRole Arn]")

	// What it is told.
	read := map[string]bool{}
	variables, _ := Get(function, "Environment", "Variables").(map[string]any)
	settings, err := fleetreport.FromEnvironment(func(name string) (string, bool) {
		read[name] = true
		value, ok := variables[name].(string)
		return value, ok
	})
	if err != nil || !settings.Organization || len(settings.Regions) != 2 || !slices.Equal(settings.Policy.Functions,
		[]string{"quarterturn-*", "quarterturn-*"}) || settings.Policy.MaxAge.Hours() != 90*24 {
		f = append(f, fmt.Sprintf("fleet: the settings are %+v: %v", settings, err))
	}
	for name := range variables {
		if !read[name] {
			f = append(f, fmt.Sprintf("the template sets %s, which the function does not read", name))
		}
	}

	f = append(f, faultsOfFleetRole(t, on)...)
	return append(f, faultsOfFleetAlarms(t, on)...)
}

// fleetNeeds is every call that rotator/fleet makes.
var fleetNeeds = []request{
	{action: "secretsmanager:ListSecrets", resource: "*"},
	{action: "secretsmanager:DescribeSecret", resource: otherARN},
	{action: "secretsmanager:ListSecretVersionIds", resource: strings.Replace(otherARN, "us-east-1", "eu-west-1", 1)},
	{action: "lambda:GetFunctionConcurrency", resource: "arn:aws:lambda:us-east-1:123456789012:function:other"},
	{action: "lambda:GetPolicy", resource: "arn:aws:lambda:us-east-1:123456789012:function:other"},
	{action: "lambda:GetFunctionConfiguration", resource: functionARN},
	{action: "lambda:GetFunctionConfiguration", resource: "arn:aws:lambda:us-east-1:123456789012:function:SecretsManagerRDSPostgreSQLRotation"},
	{action: "kms:DescribeKey", resource: keyARN},
	{action: "logs:PutLogEvents", resource: logARN},
	{action: "logs:CreateLogStream", resource: logARN},
}

func faultsOfFleetRole(t Template, on Stack) (f []string) {
	policies, err := identity(on, "FleetRole")
	if err != nil {
		return []string{err.Error()}
	}
	everything, err := iam.ParseIdentity(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`)
	if err != nil {
		return []string{err.Error()}
	}
	generous := append(slices.Clone(policies), iam.NamedPolicy{Name: "whatever else is attached",
		Policy: everything})
	for _, q := range fleetNeeds {
		if !allowed(policies, q) {
			f = append(f, fmt.Sprintf("FleetRole: %s on %s is needed", q.action, q.resource))
		}
	}
	for _, q := range []request{
		{action: "secretsmanager:GetSecretValue", resource: secretARN}, {action: "secretsmanager:BatchGetSecretValue", resource: "*"},
		{action: "kms:Decrypt", resource: keyARN, context: through(secretARN)}, {action: "lambda:InvokeFunction", resource: functionARN},
	} {
		if allowed(generous, q) {
			f = append(f, fmt.Sprintf("FleetRole: %s is denied to no one who attaches another policy", q.action))
		}
	}
	for _, q := range []request{
		{action: "secretsmanager:PutSecretValue", resource: secretARN}, {action: "secretsmanager:RotateSecret", resource: secretARN},
		{action: "lambda:GetFunctionConfiguration", resource: "arn:aws:lambda:us-east-1:123456789012:function:other"},
		{action: "secretsmanager:DescribeSecret", resource: strings.Replace(secretARN, "123456789012", "210987654321", 1)},
		{action: "lambda:GetPolicy", resource: strings.Replace(functionARN, "123456789012", "210987654321", 1)},
		{action: "lambda:GetFunctionConcurrency", resource: "arn:aws:iam::123456789012:role/x"},
		{action: "kms:DescribeKey", resource: "arn:aws:iam::123456789012:role/x"},
		{action: "secretsmanager:ListSecretVersionIds", resource: "arn:aws:iam::123456789012:role/x"},
		{action: "logs:PutLogEvents", resource: "arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/other:log-stream:x"},
		{action: "sts:AssumeRole", resource: "arn:aws:iam::210987654321:role/Admin"},
	} {
		if allowed(policies, q) {
			f = append(f, fmt.Sprintf("FleetRole: %s on %s is allowed, and the report does not need it", q.action,
				q.resource))
		}
	}
	// Other accounts, only where they are asked for.
	for accounts, may := range map[string][2]bool{"": {false, false}, "210987654321": {true, false},
		"organization": {true, true}} {
		s, err := t.Deploy(map[string]string{"SecretArns": secretPattern, "FleetSchedule": "hourly",
			"FleetAccounts": accounts})
		if err != nil {
			return append(f, err.Error())
		}
		policies, err := identity(s, "FleetRole")
		if err != nil {
			return append(f, err.Error())
		}
		for i, q := range []request{{action: "sts:AssumeRole", resource: "arn:aws:iam::123456789012:role/" +
			fleet.ReaderRole}, {action: "organizations:ListAccounts", resource: "*"}} {
			if allowed(policies, q) != may[i] {
				f = append(f, fmt.Sprintf("FleetRole with FleetAccounts=%s: %s is allowed: %t", accounts, q.action,
					!may[i]))
			}
		}
	}
	return f
}

// faultsOfFleetAlarms: they watch metrics that a report has, over as many reports as they say,
// and a report that does not come is an alarm too.
func faultsOfFleetAlarms(t Template, on Stack) (f []string) {
	var line bytes.Buffer
	var metrics map[string]any
	if err := (&fleet.Report{}).Metrics(&line, "Quarterturn", "quarterturn"); err != nil || json.Unmarshal(line.Bytes(),
		&metrics) != nil {
		return []string{"fleet: no metric line"}
	}
	for name, c := range map[string]struct{ metric, period, runs, missing, operator string }{
		"FleetCritical":   {"FleetCritical", "21600", "1", "notBreaching", "GreaterThanThreshold"},
		"FleetOverdue":    {"FleetOverdue", "21600", "2", "notBreaching", "GreaterThanThreshold"},
		"FleetUnreadable": {"FleetUnreadable", "21600", "3", "notBreaching", "GreaterThanThreshold"},
		"FleetSilent":     {"FleetFinished", "86400", "1", "breaching", "LessThanThreshold"},
	} {
		p := Get(on.Resource(name), "Properties")
		got := []any{Get(p, "MetricName"), Get(p, "Period"), Get(p, "EvaluationPeriods"), Get(p, "TreatMissingData"),
			Get(p, "ComparisonOperator"), Get(p, "AlarmActions"), Get(p, "Namespace"), Get(p, "Dimensions")}
		if want := []any{c.metric, c.period, c.runs, c.missing, c.operator, []any{"AlarmTopic"}, "Quarterturn",
			[]any{map[string]any{"Name": "Service", "Value": "quarterturn"}}}; fmt.Sprint(got) != fmt.Sprint(want) {
			f = append(f, fmt.Sprintf("alarm %s is %v, want %v", name, got, want))
		}
		if metrics[c.metric] == nil {
			f = append(f, fmt.Sprintf("alarm %s watches %s, which no report has", name, c.metric))
		}
	}
	// Each schedule has its seconds.
	schedules, _ := Get(t.Section("Parameters")["FleetSchedule"], "AllowedValues").([]any)
	for _, schedule := range schedules {
		if schedule != "" && Get(t.Section("Mappings"), "FleetRuns", schedule.(string), "Seconds") == nil {
			f = append(f, fmt.Sprintf("FleetSchedule=%s has no period for its alarms", schedule))
		}
	}
	return f
}
