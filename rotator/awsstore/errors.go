package awsstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"

	"github.com/quarterturn-dev/quarterturn/rotator"
)

// wrapError gives an error of the SDK its kind and a sentence. The codes are those
// of the service model; AccessDeniedException, which the model leaves out, and the
// throttling codes are documented with the common errors of AWS.
func (s *Store) wrapError(ctx context.Context, operation, secretID string, err error) error {
	if err == nil {
		return nil
	}
	var api smithy.APIError
	if errors.As(err, &api) {
		kind, advice := classify(operation, secretID, api.ErrorCode(), api.ErrorMessage())
		err = fmt.Errorf("%s: %w: %w", operation, kind, apiError{err, api})
		if kind == rotator.KindAccessDenied {
			return s.remedy(ctx, operation, secretID, api.ErrorMessage(), err)
		}
		return rotator.WithFix(rotator.WithHint(err, advice.Text), "", advice.Fixes...)
	}
	return fmt.Errorf("%s: %w: %w", operation, rotator.KindUnreachable, noResponse{err, s.host(), "Secrets Manager",
		"secretsmanager"})
}

// policyFixes show the resource policy of a secret, and put the corrected one in its place, which cannot be empty.
func policyFixes(secretID string) []rotator.Fix {
	show := inShell("aws secretsmanager get-resource-policy --secret-id %s --query ResourcePolicy --output text",
		secretID)
	show.For = "to see the resource policy of the secret"
	put := inShell("aws secretsmanager put-resource-policy --secret-id %s --resource-policy file://policy.json "+
		"--block-public-policy", secretID)
	put.For = "with the whole of it, corrected as said above, in policy.json"
	remove := inShell("aws secretsmanager delete-resource-policy --secret-id %s", secretID)
	remove.For = "if no statement of it is left"
	return []rotator.Fix{show, put, remove}
}

// inShell is a command for people, with the secret or the key in it that it is about.
func inShell(format, of string) rotator.Fix {
	return rotator.Fix{By: rotator.ByShell, Run: fmt.Sprintf(format, rotator.ShellWord(of))}
}

// classify gives an error its kind and what to do. Some SDKs and documents end the codes in Exception and others do
// not, so that is no part of what is compared.
func classify(operation, secretID, code, text string) (rotator.Kind, rotator.Sentence) {
	none := rotator.Sentence{}
	usesKey := operation == "GetSecretValue" || operation == "PutSecretValue"
	switch name := strings.TrimSuffix(code, "Exception"); {
	case name == "ResourceNotFound" && operation == "GetSecretValue" && strings.Contains(text, "label: AWSCURRENT"):
		return rotator.KindNotFound, rotator.Sentencef("the secret has no value yet. Store the credentials now in "+
			"use: %s",
			inShell("aws secretsmanager put-secret-value --secret-id %s --secret-string file://value.json", secretID))
	case name == "ResourceNotFound":
		return rotator.KindNotFound, none
	case name == "ResourceExists":
		return rotator.KindConflict, none
	// RemoveFromVersionId that no longer holds the label, as this code or as InvalidRequest.
	case operation == "UpdateSecretVersionStage" && name == "InvalidParameter":
		return rotator.KindConflict, none
	case name == "InvalidRequest" && strings.Contains(text, "default KMS service key"):
		return rotator.KindMisconfigured, rotator.Sentencef("the secret is encrypted with aws/secretsmanager, which "+
			"only its own account can use. Give it a customer managed key whose policy allows the role of the "+
			"function, in the account of the secret: aws secretsmanager update-secret --secret-id %s --kms-key-id "+
			"KEY-ARN", rotator.ShellWord(secretID))
	case name == "InvalidRequest" && strings.Contains(text, "marked for deletion"):
		restore := inShell("aws secretsmanager restore-secret --secret-id %s", secretID)
		restore.For = "if it is used, as a superuser's is by rotations, to restore it, then status again"
		return rotator.KindConflict, rotator.Sentencef("restore the secret, if it is used, as a superuser's is by "+
			"rotations: %s", restore)
	case name == "InvalidRequest":
		return rotator.KindConflict, none
	case name == "DecryptionFailure", name == "EncryptionFailure":
		return rotator.KindMisconfigured, keyAdvice(secretID, text)
	case strings.HasPrefix(name, "AccessDenied"):
		return rotator.KindAccessDenied, none // the remedy takes more than the code
	case strings.HasPrefix(name, "UnrecognizedClient"), strings.HasPrefix(name, "ExpiredToken"),
		name == "InvalidClientTokenId", name == "InvalidSignature", name == "IncompleteSignature",
		name == "MissingAuthenticationToken":
		// No policy was asked: this says nothing of permissions.
		return rotator.KindMisconfigured, rotator.Sentencef("AWS rejected the function's credentials: expired, or of " +
			"another partition or account")
	case usesKey && (name == "InternalFailure" || strings.EqualFold(text, "An unknown error occurred")):
		return rotator.KindInternal, rotator.Sentencef("tried more than once. AWS answers this also where the KMS " +
			"key of the secret is of another account and its key policy does not allow the role of the function: if " +
			"it lasts, see the key policy")
	case name == "LimitExceeded": // a quota of the secret's, which passes by itself as little
		return rotator.KindMisconfigured, rotator.Sentencef("remove labels of your own that nothing needs: a secret "+
			"can have 20, and AWSPREVIOUS is one more when AWSCURRENT first moves. To see all: %s. To remove one: aws "+
			"secretsmanager update-secret-version-stage --secret-id %s --version-stage LABEL --remove-from-version-id "+
			"VERSION-ID. Then status says how to go on",
			inShell("aws secretsmanager describe-secret --secret-id %s --query VersionIdsToStages", secretID),
			rotator.ShellWord(secretID))
	case strings.Contains(name, "Throttl"), name == "TooManyRequests", name == "RequestLimitExceeded",
		name == "InternalServiceError", name == "ServiceUnavailable", name == "InternalFailure":
		return rotator.KindThrottled, rotator.Sentencef("tried more than once; the service tries the rotation again " +
			"by itself")
	case name == "InvalidParameter", name == "Validation":
		return rotator.KindMisconfigured, none
	}
	return rotator.KindInternal, none
}

// keyAdvice says what to do about a key that cannot be used, by what KMS said of it. Where that does not name the key,
// nothing can be run as it stands.
func keyAdvice(secretID, text string) rotator.Sentence {
	named := regexp.MustCompile(`arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+`).FindString(text)
	key := cmp.Or(named, "KEY-ARN")
	enable := inShell("aws kms enable-key --key-id %s", key)
	var advice rotator.Sentence
	switch {
	case strings.Contains(text, "NotFoundException"), strings.Contains(text, "does not exist"):
		return rotator.Sentencef("the KMS key of the secret is not there. A key that is named by its id or alias "+
			"alone is looked up in the caller's account: for a secret of another account, store the whole ARN of the "+
			"key with the secret, from the account of the secret: aws secretsmanager update-secret --secret-id %s "+
			"--kms-key-id KEY-ARN", rotator.ShellWord(secretID))
	case strings.Contains(text, "is disabled"):
		advice = rotator.Sentencef("enable the KMS key of the secret: %s", enable)
	case strings.Contains(text, "pending deletion"):
		advice = rotator.Sentencef("the KMS key of the secret is going to be deleted, and the secret's values with "+
			"it: %s",
			rotator.RunEach(inShell("aws kms cancel-key-deletion --key-id %s", key), enable))
	default:
		return rotator.Sentencef("the KMS key of the secret cannot be used: see that it is enabled and not pending " +
			"deletion")
	}
	if named == "" {
		advice.Fixes = nil
	}
	return advice
}

// apiError prints what the service said, without the SDK's wrapping around it.
type apiError struct {
	error
	api smithy.APIError
}

func (a apiError) Error() string { return a.api.ErrorCode() + ": " + a.api.ErrorMessage() }
func (a apiError) Unwrap() error { return a.error }

// noResponse prints a call that got no answer.
type noResponse struct {
	error
	host     string
	service  string // for people
	endpoint string // what ends the name of its interface endpoint
}

func (s noResponse) Error() string {
	var dns *net.DNSError
	var op *net.OpError
	at := s.host
	route := fmt.Sprintf(" (a function in a VPC reaches %s by a NAT gateway or by the interface endpoint %s with "+
		"private DNS, whose security group lets port 443 in from the function)", s.service, s.endpoint)
	switch {
	case errors.As(s.error, &dns):
		return fmt.Sprintf("the name of the endpoint %s does not resolve%s", at, route)
	case errors.Is(s.error, context.Canceled):
		return fmt.Sprintf("the call to %s was cancelled", at)
	case errors.Is(s.error, context.DeadlineExceeded), timeout(s.error):
		return fmt.Sprintf("no answer from %s%s", at, route)
	case errors.As(s.error, &op):
		return fmt.Sprintf("no connection to %s: %v", at, op.Err)
	}
	return fmt.Sprintf("no usable answer from %s: %v", at, s.error)
}

func (s noResponse) Unwrap() error { return s.error }

func timeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// host is where the calls go.
func (s *Store) host() string {
	o := s.client.Options()
	return hostOf(o.BaseEndpoint, "secretsmanager", o.Region)
}

func hostOf(endpoint *string, service, region string) string {
	if u, err := url.Parse(aws.ToString(endpoint)); err == nil && u.Host != "" {
		return u.Host
	}
	return service + "." + region + ".amazonaws.com"
}
