package localaws_test

import (
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/quarterturn-dev/quarterturn/rotator/fleet"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/localaws"
)

// TestFleetFindsTheFunctions: a function that rotates secrets here is one that Lambda describes, with a policy that lets
// Secrets Manager in; and one that is not here is gone.
func TestFleetFindsTheFunctions(t *testing.T) {
	t.Parallel()
	s, err := localaws.Start(localaws.Config{Functions: []localaws.Function{
		{Name: "quarterturn-postgres-single-user", Bootstrap: "/bin/true",
			Env: []string{"SECRET_TAGS=password-length=16-64"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	on, here := true, s.Functions["quarterturn-postgres-single-user"].ARN()
	for name, function := range map[string]string{"app": here, "lost": here + "-gone"} {
		s.AWS.Seed(awsemu.Secret{
			Name: name, RotationEnabled: &on, RotationLambdaARN: function,
			Rules:       awsemu.RotationRules{AutomaticallyAfterDays: 30},
			LastRotated: time.Now(), NextRotation: time.Now().Add(24 * time.Hour),
			Versions: []awsemu.Version{{Labels: []string{"AWSCURRENT"}, Value: awsemu.Text(`{"engine":"postgres"}`)}},
		})
	}
	report, err := fleet.Scanner{All: true, Places: []fleet.Place{{Account: "123456789012", Region: "us-east-1",
		Config: aws.Config{
			Region: "us-east-1", BaseEndpoint: &s.URL, Credentials: credentials.NewStaticCredentialsProvider("AKID",
				"x", ""),
		}}}}.Scan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range report.Secrets {
		var found []string
		for _, f := range e.Findings {
			found = append(found, f.ID+" "+f.Sentence)
		}
		gone := slices.ContainsFunc(e.Findings, func(f fleet.Finding) bool { return f.ID == "F12" })
		if gone != (e.Name == "lost") || e.Name == "app" && found != nil {
			t.Errorf("%s: %q", e.Name, found)
		}
	}
	if len(report.Secrets) != 2 {
		t.Errorf("%d secrets", len(report.Secrets))
	}
}
