package oracle

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator/permissions"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// TestPrintedPoliciesPassTheValidators: what the printer prints, in four partitions, is
// sound to Cloud Copilot's validator and to parliament.
func TestPrintedPoliciesPassTheValidators(t *testing.T) {
	tier.Long(t)
	t.Parallel()
	simulator, err := Simulator(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	parliament, err := Parliament(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	var questions []Question
	var names []string
	for partition, region := range map[string]string{"aws": "us-east-1", "aws-cn": "cn-north-1",
		"aws-us-gov": "us-gov-west-1", "aws-iso": "us-iso-east-1"} {
		there := strings.NewReplacer("PARTITION", partition, "REGION", region).Replace
		small := permissions.Input{
			Secret:   there("arn:PARTITION:secretsmanager:REGION:111122223333:secret:prod/app-??????"),
			Role:     there("arn:PARTITION:iam::111122223333:role/service-role/rotate"),
			Function: there("arn:PARTITION:lambda:REGION:111122223333:function:rotate"),
		}
		large := small
		large.Key, large.SuperuserKey = there("arn:PARTITION:kms:REGION:111122223333:key/10000000-0000-4000-8000-000000000001"), there("arn:PARTITION:kms:REGION:111122223333:key/10000000-0000-4000-8000-000000000002")
		large.Superuser, large.Database = there("arn:PARTITION:secretsmanager:REGION:111122223333:secret:rds!db-0a1b2c3d-XyZ123"), there("arn:PARTITION:rds:REGION:111122223333:db:app")
		large.Reader, large.Labels = there("arn:PARTITION:iam::999922223333:role/application"), "AWSCURRENT,AWSPREVIOUS"
		large.VPC, large.OnlyConfigured = true, true
		for _, in := range []permissions.Input{small, large} {
			all, err := in.Policies()
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range all {
				text, _ := json.Marshal(a.Policy)
				kind := "identity"
				if a.Policy[0].Principal != nil {
					kind = "resource"
				}
				questions, names = append(questions, Question{Policy: text, Kind: kind}), append(names, partition+", "+
					a.To)
			}
		}
	}
	for name, tool := range map[string]Tool{"iam-policy": simulator, "parliament": parliament} {
		answers, err := tool.Ask(t.Context(), questions)
		if err != nil {
			t.Fatal(err)
		}
		for i, a := range answers {
			for _, fault := range append(a.Faults, a.Error) {
				if fault != "" && !mistaken(fault) {
					t.Errorf("%s: %s: %s\n%s", name, names[i], fault, questions[i].Policy)
				}
			}
		}
	}
	t.Logf("%d policies", len(questions))
}

// mistaken are what parliament finds wrong in sound policies: actions that have no other
// resource than "*", the account of AWS's own policies, and Regions that it does not know.
func mistaken(fault string) bool {
	return strings.HasPrefix(fault, "RESOURCE_STAR") ||
		strings.HasPrefix(fault, "INVALID_ARN") && (strings.Contains(fault, ":iam::aws:policy/") ||
			strings.Contains(fault, ":us-iso-"))
}
