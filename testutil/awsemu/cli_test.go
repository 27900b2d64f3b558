package awsemu_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/internal/clients"
)

// TestCLI runs the real AWS CLI for every operation: botocore, unlike the Go SDK,
// checks answers against the service model.
// It takes more than twenty seconds: the AWS CLI takes a second to start, for each of some thirty commands.
func TestCLI(t *testing.T) {
	t.Parallel()
	cli := clients.CLI1(t, "../..")
	w := rotating(t, &awsemu.Emulator{}, &function{})
	run := func(region, words string) (string, error) {
		cmd := cli.Command(t.Context(), w.url, "AKIDCLI", append([]string{"--region", region, "--output", "text", "secretsmanager"}, strings.Fields(words)...)...)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			return stderr.String(), err
		}
		return string(out), nil
	}
	policy := policyFor(`"arn:aws:iam::123456789012:root"`)
	for _, c := range []struct{ region, words, shows string }{
		{"us-east-1", "create-secret --name app/db --secret-string one --client-request-token " + id(1), id(1)},
		{"us-east-1", "describe-secret --secret-id app/db", "AWSCURRENT"},
		{"us-east-1", "put-secret-value --secret-id app/db --secret-string two --client-request-token " + id(2), id(2)},
		{"us-east-1", "get-secret-value --secret-id app/db --query SecretString", "two"},
		{"us-east-1", "get-secret-value --secret-id app/db --version-stage AWSPREVIOUS --query SecretString", "one"},
		{"us-east-1", "update-secret --secret-id app/db --description words", "app/db"},
		{"us-east-1", "update-secret-version-stage --secret-id app/db --version-stage BLUE --move-to-version-id " + id(1), "app/db"},
		{"us-east-1", "update-secret-version-stage --secret-id app/db --version-stage AWSCURRENT --move-to-version-id " + id(1), "!RemoveFromVersionId can't be empty"},
		{"us-east-1", "tag-resource --secret-id app/db --tags Key=a,Value=b", ""},
		{"us-east-1", "list-secrets --filters Key=tag-key,Values=a", "app/db"},
		{"us-east-1", "untag-resource --secret-id app/db --tag-keys a", ""},
		{"us-east-1", "list-secret-version-ids --secret-id app/db", "BLUE"},
		{"us-east-1", "batch-get-secret-value --secret-id-list app/db none", "ResourceNotFoundException"},
		{"us-east-1", "get-random-password --password-length 20", ""},
		{"us-east-1", "put-resource-policy --secret-id app/db --block-public-policy --resource-policy " + policy, "app/db"},
		{"us-east-1", "get-resource-policy --secret-id app/db", "secretsmanager:GetSecretValue"},
		{"us-east-1", "validate-resource-policy --resource-policy " + policy, "True"},
		{"us-east-1", "delete-resource-policy --secret-id app/db", "app/db"},
		{"us-east-1", "rotate-secret --secret-id app/db --rotation-lambda-arn " + functionARN + " --rotation-rules AutomaticallyAfterDays=30 --client-request-token " + id(3), id(3)},
		{"us-east-1", "cancel-rotate-secret --secret-id app/db", "app/db"},
		{"us-east-1", "replicate-secret-to-regions --secret-id app/db --add-replica-regions Region=eu-west-1 Region=eu-north-1", "InSync"},
		{"eu-west-1", "stop-replication-to-replica --secret-id app/db", "eu-west-1"},
		{"us-east-1", "remove-regions-from-replication --secret-id app/db --remove-replica-regions eu-north-1", "app/db"},
		{"us-east-1", "delete-secret --secret-id app/db --recovery-window-in-days 7", "app/db"},
		{"us-east-1", "get-secret-value --secret-id app/db", "!marked for deletion"},
		{"us-east-1", "restore-secret --secret-id app/db", "app/db"},
	} {
		out, err := run(c.region, c.words)
		shows, fails := strings.CutPrefix(c.shows, "!")
		if (err != nil) != fails || !strings.Contains(out, shows) {
			t.Errorf("aws secretsmanager %s: %v: %s", c.words, err, out)
		}
		if strings.HasPrefix(c.words, "rotate-secret") {
			w.wait()
		}
	}
	used := map[string]bool{}
	for _, c := range w.emu.Calls() {
		if c.AccessKey == "AKIDCLI" {
			used[c.Operation] = true
		}
	}
	if len(used) != awsemu.OperationCount {
		t.Errorf("%d operations of %d were called", len(used), awsemu.OperationCount)
	}
}
