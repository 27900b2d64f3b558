package awsstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/aws/smithy-go"

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
		"no value yet":                              {"GetSecretValue", "ResourceNotFoundException", "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT", rotator.KindNotFound, "the secret has no value yet"},
		"no value under another label":              {"GetSecretValue", "ResourceNotFoundException", "Secrets Manager can't find the specified secret value for staging label: AWSPENDING", rotator.KindNotFound, ""},
		"no secret, in another call":                {"DescribeSecret", "ResourceNotFoundException", "label: AWSCURRENT", rotator.KindNotFound, ""},
		"no value, by another code":                 {"GetSecretValue", "InvalidRequestException", "label: AWSCURRENT", rotator.KindConflict, ""},
		"an unknown failure where a key is used":    {"GetSecretValue", "InternalFailure", "An unknown error occurred", rotator.KindInternal, "key policy"},
		"the same where none is":                    {"DescribeSecret", "InternalFailure", "An unknown error occurred", rotator.KindThrottled, "more than once"},
		"SM-013 mismatch":                           {"GetSecretValue", "InvalidRequestException", "You provided a VersionStage that is not associated to the provided VersionId.", rotator.KindConflict, ""},
		"SM-111 no RemoveFromVersionId":             {"UpdateSecretVersionStage", "InvalidParameterException", "The parameter RemoveFromVersionId can't be empty.", rotator.KindConflict, ""},
		"a label that has moved, as the other code": {"UpdateSecretVersionStage", "InvalidRequestException", "x", rotator.KindConflict, ""},
		"the words of another code":                 {"GetSecretValue", "AccessDeniedException", "the default KMS service key", rotator.KindAccessDenied, ""},
		"a key without its ARN":                     {"GetSecretValue", "DecryptionFailure", "the key is disabled", rotator.KindMisconfigured, "--key-id KEY-ARN"},
		"a key that is not there":                   {"GetSecretValue", "DecryptionFailure", "the key does not exist", rotator.KindMisconfigured, "whole ARN"},
		"an unknown failure, in words alone":        {"PutSecretValue", "Weird", "an unknown error occurred", rotator.KindInternal, "key policy"},
		"an unknown failure, by its code":           {"PutSecretValue", "InternalFailure", "x", rotator.KindInternal, "key policy"},
		"an unknown code":                           {"GetSecretValue", "Weird", "x", rotator.KindInternal, ""},
		"a parameter":                               {"PutSecretValue", "InvalidParameterException", "x", rotator.KindMisconfigured, ""},
		"a check of the request":                    {"PutSecretValue", "ValidationException", "x", rotator.KindMisconfigured, ""},
		"another value":                             {"PutSecretValue", "ResourceExistsException", "x", rotator.KindConflict, ""},
		"throttled, 1":                              {"DescribeSecret", "ThrottlingException", "x", rotator.KindThrottled, "more than once"},
		"throttled, 2":                              {"DescribeSecret", "TooManyRequestsException", "x", rotator.KindThrottled, "more than once"},
		"throttled, 3":                              {"DescribeSecret", "RequestLimitExceeded", "x", rotator.KindThrottled, "more than once"},
		"one label too many":                        {"UpdateSecretVersionStage", "LimitExceededException", "x", rotator.KindMisconfigured, "--version-stage LABEL --remove-from-version-id VERSION-ID"},
		"unavailable":                               {"DescribeSecret", "ServiceUnavailable", "x", rotator.KindThrottled, "more than once"},
		"no client":                                 {"DescribeSecret", "UnrecognizedClientException", "x", rotator.KindMisconfigured, "rejected the function's credentials"},
		"expired":                                   {"DescribeSecret", "ExpiredTokenException", "x", rotator.KindMisconfigured, "rejected the function's credentials"},
		"no such key":                               {"DescribeSecret", "InvalidClientTokenId", "x", rotator.KindMisconfigured, "rejected the function's credentials"},
		"a wrong signature":                         {"DescribeSecret", "InvalidSignatureException", "x", rotator.KindMisconfigured, "rejected the function's credentials"},
		"half a signature":                          {"DescribeSecret", "IncompleteSignatureException", "x", rotator.KindMisconfigured, "rejected the function's credentials"},
		"no signature":                              {"DescribeSecret", "MissingAuthenticationTokenException", "x", rotator.KindMisconfigured, "rejected the function's credentials"},
	} {
		t.Run(name, func(t *testing.T) {
			kind, advice := classify(c.operation, "app", c.code, c.text)
			if kind != c.want || !strings.Contains(advice.Text, c.says) || c.says == "" && advice.Text != "" {
				t.Errorf("%q, %q; want %q and advice with %q", kind, advice, c.want, c.says)
			}
		})
	}
}

// TestWhatIsRunOfAnAdvice: the commands in it, and none with a word to be filled in.
func TestWhatIsRunOfAnAdvice(t *testing.T) {
	const key = "arn:aws:kms:eu-west-1:123456789012:key/1"
	for text, want := range map[string][]string{
		key + " is pending deletion.": {"aws kms cancel-key-deletion --key-id " + key, "aws kms enable-key --key-id " + key},
		key + " is disabled":          {"aws kms enable-key --key-id " + key},
		"the key is pending deletion": nil,
		"the key does not exist":      nil,
	} {
		_, advice := classify("GetSecretValue", "app", "DecryptionFailure", text)
		var runs []string
		for _, f := range advice.Fixes {
			runs = append(runs, f.Run)
		}
		if !slices.Equal(runs, want) {
			t.Errorf("%s: %q", text, runs)
		}
	}
}

// TestCallsWithoutAnAnswer: each is told from the others, and its cause is still there.
func TestCallsWithoutAnAnswer(t *testing.T) {
	op := &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	for want, cause := range map[string]error{
		"the name of the endpoint h does not resolve (a function in a VPC reaches": &net.DNSError{},
		"the call to h was cancelled":                      context.Canceled,
		"no answer from h (a function in a VPC":            context.DeadlineExceeded,
		"no answer from h (a function":                     os.ErrDeadlineExceeded,
		"no answer from h (a":                              errors.Join(&net.OpError{Op: "read", Err: io.EOF}, context.DeadlineExceeded),
		"no connection to h: connection refused":           op,
		"no usable answer from h: wrapped: unexpected EOF": io.ErrUnexpectedEOF,
	} {
		err := fmt.Errorf("call: %w", noResponse{fmt.Errorf("wrapped: %w", cause), "h", "Secrets Manager", "secretsmanager"})
		if !strings.Contains(err.Error(), want) || !errors.Is(err, cause) {
			t.Errorf("%v; want %q in it", err, want)
		}
	}
	api := apiError{fmt.Errorf("wrapped: %w", io.EOF), &smithy.GenericAPIError{Code: "Code", Message: "text"}}
	if !errors.Is(api, io.EOF) || api.Error() != "Code: text" {
		t.Errorf("an answer: %v", api)
	}
}

// TestWhereCallsGo: to the endpoint that is set, or to AWS's own.
func TestWhereCallsGo(t *testing.T) {
	for endpoint, want := range map[string]string{
		"https://vpce.example.com:8443/x": "vpce.example.com:8443",
		"":                                "rds.eu-west-1.amazonaws.com",
		"://":                             "rds.eu-west-1.amazonaws.com",
	} {
		if got := hostOf(&endpoint, "rds", "eu-west-1"); got != want {
			t.Errorf("%q: %s, want %s", endpoint, got, want)
		}
	}
	if got := hostOf(nil, "rds", "eu-west-1"); got != "rds.eu-west-1.amazonaws.com" {
		t.Error(got)
	}
}
