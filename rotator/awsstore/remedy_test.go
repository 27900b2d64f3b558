package awsstore

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/quarterturn-dev/quarterturn/rotator"
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
		who + "because no permissions boundary allows the secretsmanager:UpdateSecretVersionStage action": {
			"let the permissions boundary allow it", `"Action":"secretsmanager:UpdateSecretVersionStage"`},
		who + "because no VPC endpoint policy allows the secretsmanager:UpdateSecretVersionStage action": {
			"the VPC endpoint policy", `"Principal":{"AWS":"*"},"Action":"secretsmanager:UpdateSecretVersionStage"`},
		who + "with an explicit deny in a service control policy: arn:aws:organizations::1:policy/o-1/service_control_policy/p-1": {
			"an explicit deny in the service control policy", "narrow it"},
		who: {"not said", `"Action":"secretsmanager:UpdateSecretVersionStage"`},
	} {
		got := remedy(message)
		if !strings.Contains(got, want.where) || !strings.Contains(got, want.paste) {
			t.Errorf("%s:\ngot  %s\nwant %s and %s", message, got, want.where, want.paste)
		}
		if found := regexp.MustCompile(`\{.*\}`).FindString(got); found != "" && !json.Valid([]byte(found)) {
			t.Errorf("%s: not JSON: %s", message, found)
		}
	}
	if got := remedy("denied, somehow"); got != "" {
		t.Errorf("a remedy for what nobody said: %s", got)
	}
}

// TestTheKeyOfARemedy is found from whatever the secret names it by, KMS itself out of
// reach.
func TestTheKeyOfARemedy(t *testing.T) {
	t.Parallel()
	const arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:app-AbCdEf"
	for key, want := range map[string]string{
		"arn:aws:kms:us-east-1:444455556666:key/1":     "arn:aws:kms:us-east-1:444455556666:key/1",
		"10000000-0000-4000-8000-000000000009":         "arn:aws:kms:us-east-1:123456789012:key/10000000-0000-4000-8000-000000000009",
		"alias/app":                                    "arn:aws:kms:us-east-1:123456789012:alias/app",
		"arn:aws:kms:us-east-1:123456789012:alias/app": "arn:aws:kms:us-east-1:123456789012:alias/app",
	} {
		s := New(aws.Config{Region: "us-east-1", BaseEndpoint: aws.String("http://127.0.0.1:1"), Credentials: aws.AnonymousCredentials{}}, "")
		if got := s.keyARN(t.Context(), rotator.Metadata{ARN: arn, KMSKeyID: key}); got != want {
			t.Errorf("%s: %s, want %s", key, got, want)
		}
	}
}
