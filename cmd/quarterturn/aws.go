package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/quarterturn-dev/quarterturn/rotator"
)

// signIn is what to do where AWS knows no credentials, or not these.
const signIn = "sign in (aws sso login), choose a profile (AWS_PROFILE), or set AWS_ACCESS_KEY_ID and " +
	"AWS_SECRET_ACCESS_KEY"

// apiError is an answer of AWS that is an error.
type apiError interface {
	error
	ErrorCode() string
	ErrorMessage() string
}

// errCaller is an error of this machine or this person: the function was not asked.
type errCaller struct{ error }

func (e errCaller) Unwrap() error { return e.error }

// awsConfig is the configuration of the AWS CLI. Without credentials or a Region no call
// can succeed, and what a call says then names neither. secret may be an ARN, which names
// its Region.
func awsConfig(ctx context.Context, secret string, needsRegion bool) (aws.Config, error) {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return cfg, errCaller{fmt.Errorf("AWS configuration: %w", err)}
	}
	if parsed, err := arn.Parse(secret); err == nil && parsed.Region != "" {
		cfg.Region = parsed.Region
	}
	if cfg.Region == "" && needsRegion {
		return cfg, usage("no AWS Region: set AWS_REGION, or choose a profile that has one (AWS_PROFILE)")
	}
	if cfg.Credentials == nil {
		return cfg, errCaller{errors.New("no AWS credentials: " + signIn)}
	}
	if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
		detail := " (" + strings.TrimPrefix(err.Error(), "failed to refresh cached credentials, ") + ")"
		if strings.Contains(detail, "IMDS") { // the last that is tried: this is no EC2 instance
			detail = ""
		}
		return cfg, errCaller{fmt.Errorf("no AWS credentials: %s%s", signIn, detail)}
	}
	return cfg, nil
}

// innermost is the cause, without the SDK's wrapping around it.
func innermost(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// plain gives an error of the SDK in one sentence, with what to do. What else there is to
// it, such as the id of a request, helps only AWS.
func plain(what string, err error) error {
	var api apiError
	var dns *net.DNSError
	var op *net.OpError
	var call *url.Error
	if errors.As(err, &api) {
		advice := ""
		switch {
		case strings.HasPrefix(api.ErrorCode(), "AccessDenied"):
			advice = " (these are the credentials of this machine: aws sts get-caller-identity)"
		case notAccepted(api.ErrorCode()):
			advice = ": AWS does not accept these credentials: " + signIn
		}
		said := strings.TrimRight(api.ErrorCode()+": "+api.ErrorMessage(), ".: ")
		return errCaller{fmt.Errorf("%s: %s%s", what, said, advice)}
	}
	host := "AWS"
	if errors.As(err, &call) {
		if u, bad := url.Parse(call.URL); bad == nil {
			host = u.Host
		}
	}
	const check = "check AWS_REGION, AWS_ENDPOINT_URL and the network"
	switch {
	case errors.As(err, &dns):
		return errCaller{fmt.Errorf("%s: the name %s does not resolve: %s", what, dns.Name, check)}
	case errors.Is(err, context.Canceled):
		return errCaller{fmt.Errorf("%s: cancelled", what)}
	case errors.Is(err, context.DeadlineExceeded):
		return errCaller{fmt.Errorf("%s: no answer from %s: %s", what, host, check)}
	case errors.As(err, &op):
		return errCaller{fmt.Errorf("%s: no connection to %s: %w: %s", what, host, op.Err, check)}
	}
	return errCaller{fmt.Errorf("%s: %w", what, innermost(err))}
}

// notAccepted says whether an error is about the credentials, whatever they may do.
func notAccepted(code string) bool {
	switch strings.TrimSuffix(code, "Exception") {
	case "ExpiredToken", "UnrecognizedClient", "InvalidClientTokenId", "InvalidSignature", "IncompleteSignature",
		"SignatureDoesNotMatch":
		return true
	}
	return false
}

// noSecret says where a secret was looked for.
func (q *question) noSecret(ctx context.Context, cfg aws.Config) error {
	account := ""
	if who, err := sts.NewFromConfig(cfg).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}); err == nil {
		account = " of account " + aws.ToString(who.Account)
	}
	return errCaller{fmt.Errorf("%w: no secret %s in %s%s: check the name, the Region (AWS_REGION) and the account "+
		"(AWS_PROFILE)",
		rotator.KindNotFound, q.secret, cfg.Region, account)}
}
