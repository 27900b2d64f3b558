package awsstore

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
)

// TestRemediesAreReadyToPaste: the smallest statement, for the layer that the
// denial names.
func TestRemediesAreReadyToPaste(t *testing.T) {
	const who = "User: arn:aws:sts::111122223333:assumed-role/rotate/session is not authorized to perform: secretsmanager:UpdateSecretVersionStage on resource: arn:aws:secretsmanager:us-east-1:111122223333:secret:app-AbCdEf "
	for message, want := range map[string]struct{ where, paste string }{
		who + "because no identity-based policy allows the secretsmanager:UpdateSecretVersionStage action": {
			"the role of the function", `{"Effect":"Allow","Action":"secretsmanager:UpdateSecretVersionStage","Resource":"arn:aws:secretsmanager:us-east-1:111122223333:secret:app-AbCdEf"}`},
		who + "because no resource-based policy allows the secretsmanager:UpdateSecretVersionStage action": {
			"the resource policy of the secret", `{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:role/rotate"},"Action":"secretsmanager:UpdateSecretVersionStage","Resource":"*"}`},
		who + "because no permissions boundary policy allows the secretsmanager:UpdateSecretVersionStage action": {
			"the permissions boundary policy", `"Action":"secretsmanager:UpdateSecretVersionStage"`},
		who + "because no VPC endpoint policy allows the secretsmanager:UpdateSecretVersionStage action": {
			"the VPC endpoint policy", `"Action":"secretsmanager:UpdateSecretVersionStage"`},
		who + "with an explicit deny in a service control policy: arn:aws:organizations::1:policy/o-1/service_control_policy/p-1": {
			"an explicit deny in the service control policy", "narrow it"},
		who: {"not said", `"Action":"secretsmanager:UpdateSecretVersionStage"`},
		"Access to KMS is not allowed": {
			"the key policy", `{"Effect":"Allow","Action":["kms:Decrypt","kms:GenerateDataKey"],"Resource":"ARN of the secret's KMS key","Condition":{"StringEquals":{"kms:ViaService":"secretsmanager.us-east-1.amazonaws.com"}}}`},
	} {
		got := remedy(message, "us-east-1")
		if !strings.Contains(got, want.where) || !strings.Contains(got, want.paste) {
			t.Errorf("%s:\ngot  %s\nwant %s and %s", message, got, want.where, want.paste)
		}
		if found := regexp.MustCompile(`\{.*\}`).FindString(got); found != "" && !json.Valid([]byte(found)) {
			t.Errorf("%s: not JSON: %s", message, found)
		}
	}
	if got := remedy("denied, somehow", "us-east-1"); got != "" {
		t.Errorf("a remedy for what nobody said: %s", got)
	}
}
