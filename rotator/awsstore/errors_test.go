package awsstore

import (
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
)

// TestErrorsOfAWSOnRecord: what AWS was recorded or documented to answer, and what it means. Ids are rows of
// testutil/contract.
func TestErrorsOfAWSOnRecord(t *testing.T) {
	const (
		key   = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
		frame = " (Service: AWSKMS; Status Code: 400; Error Code: %; Request ID: 0d0a; Proxy: null)"
	)
	said := func(text, code string) string { return text + strings.Replace(frame, "%", code, 1) }
	for name, c := range map[string]struct {
		operation, code, text string
		want                  rotator.Kind
		says                  string
	}{
		"AC-002 another account, default key, read": {"GetSecretValue", "InvalidRequestException",
			"You can't access a secret from a different AWS account if you encrypt the secret with the default KMS " +
				"service key.",
			rotator.KindMisconfigured, "update-secret --secret-id app --kms-key-id"},
		"AC-003 another account, default key, write": {"PutSecretValue", "InvalidRequestException",
			"You can't access a secret from a different AWS account if you encrypt the secret with the default KMS " +
				"service key.",
			rotator.KindMisconfigured, "customer managed key"},
		"AC-012 a key given by bare id": {"PutSecretValue", "EncryptionFailure",
			said("Secrets Manager can't encrypt the secret value: Key '"+key+"' does not exist", "NotFoundException"),
			rotator.KindMisconfigured, "whole ARN of the key"},
		"an alias of another account": {"GetSecretValue", "DecryptionFailure",
			said("Secrets Manager can't decrypt the secret value: Alias arn:aws:kms:us-east-1:123456789012:alias/app "+
				"is not found.", "NotFoundException"),
			rotator.KindMisconfigured, "whole ARN of the key"},
		"KM-032 disabled": {"GetSecretValue", "DecryptionFailure",
			said("Secrets Manager can't decrypt the secret value: "+key+" is disabled.", "DisabledException"),
			rotator.KindMisconfigured, "aws kms enable-key --key-id " + key},
		"KM-036 pending deletion": {"GetSecretValue", "DecryptionFailure",
			said("Secrets Manager can't decrypt the secret value: "+key+" is pending deletion.",
				"KMSInvalidStateException"),
			rotator.KindMisconfigured, "aws kms cancel-key-deletion --key-id " + key},
		"the code as some SDKs spell it, read":      {"GetSecretValue", "DecryptionFailureException", "x", rotator.KindMisconfigured, "enabled"},
		"the code as some SDKs spell it, write":     {"PutSecretValue", "EncryptionFailureException", "x", rotator.KindMisconfigured, "enabled"},
		"the service's own failure, spelled longer": {"GetSecretValue", "InternalServiceErrorException", "x", rotator.KindThrottled, "more than once"},
		"not found, spelled shorter":                {"GetSecretValue", "ResourceNotFound", "x", rotator.KindNotFound, ""},
		"an unknown failure where a key is used":    {"GetSecretValue", "InternalFailure", "An unknown error occurred", rotator.KindInternal, "key policy"},
		"the same where none is":                    {"DescribeSecret", "InternalFailure", "An unknown error occurred", rotator.KindThrottled, "more than once"},
		"SM-013 mismatch":                           {"GetSecretValue", "InvalidRequestException", "You provided a VersionStage that is not associated to the provided VersionId.", rotator.KindConflict, ""},
		"SM-111 no RemoveFromVersionId":             {"UpdateSecretVersionStage", "InvalidParameterException", "The parameter RemoveFromVersionId can't be empty.", rotator.KindConflict, ""},
	} {
		t.Run(name, func(t *testing.T) {
			kind, advice := classify(c.operation, "app", c.code, c.text)
			if kind != c.want || !strings.Contains(advice, c.says) {
				t.Errorf("%q, %q; want %q and advice with %q", kind, advice, c.want, c.says)
			}
		})
	}
}
