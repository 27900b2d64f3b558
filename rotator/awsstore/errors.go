package awsstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
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
		kind, advice := classify(operation, api.ErrorCode())
		if kind == rotator.KindAccessDenied {
			advice = s.remedy(ctx, operation, secretID, api.ErrorMessage())
		}
		return fmt.Errorf("%s: %w: %w%s", operation, kind, apiError{err, api}, advice)
	}
	return fmt.Errorf("%s: %w: %w", operation, rotator.KindUnreachable, noResponse{err, s.host(), "Secrets Manager", "secretsmanager"})
}

func classify(operation, code string) (rotator.Kind, string) {
	switch {
	case code == "ResourceNotFoundException":
		return rotator.KindNotFound, ""
	case code == "ResourceExistsException":
		return rotator.KindConflict, ""
	// RemoveFromVersionId that no longer holds the label, as either of two codes.
	case operation == "UpdateSecretVersionStage" && (code == "InvalidParameterException" || code == "InvalidRequestException"):
		return rotator.KindConflict, ""
	case code == "InvalidRequestException":
		return rotator.KindConflict, ""
	case code == "DecryptionFailure", code == "EncryptionFailure":
		return rotator.KindMisconfigured, " (the KMS key of the secret cannot be used: see that it is enabled and not pending deletion)"
	case strings.HasPrefix(code, "AccessDenied"):
		return rotator.KindAccessDenied, "" // the remedy takes more than the code
	case strings.HasPrefix(code, "UnrecognizedClient"), strings.HasPrefix(code, "ExpiredToken"),
		code == "InvalidClientTokenId", code == "InvalidSignatureException", code == "IncompleteSignature", code == "MissingAuthenticationTokenException":
		// No policy was asked: this says nothing of permissions.
		return rotator.KindMisconfigured, " (the function's own AWS credentials are not accepted: they have expired, or are those of another partition or account)"
	case strings.Contains(code, "Throttl"), code == "TooManyRequestsException", code == "RequestLimitExceeded",
		code == "LimitExceededException", code == "InternalServiceError", code == "ServiceUnavailable", code == "InternalFailure":
		return rotator.KindThrottled, " (tried more than once)"
	case code == "InvalidParameterException", code == "ValidationException":
		return rotator.KindMisconfigured, ""
	}
	return rotator.KindInternal, ""
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
	route := fmt.Sprintf(" (a function in a VPC reaches %s by a NAT gateway or by the interface endpoint %s with private DNS, whose security group lets port 443 in from the function)", s.service, s.endpoint)
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
