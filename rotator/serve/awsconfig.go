package serve

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"

	"github.com/quarterturn-dev/quarterturn/rotator"
)

// awsConfig is what the SDK's package config makes of the environment of a function, as a test says that compares them.
// That package has clients of single sign-on, of instances' metadata and of profiles too, which no function uses: a
// tenth of its archive, and a fifth of the processor's time of its start.
func awsConfig(lookup func(string) (string, bool)) (cfg aws.Config, err error) {
	sources := awsSources{lookup: lookup}
	for name, to := range map[string]*bool{
		"AWS_USE_FIPS_ENDPOINT":               &sources.fips,
		"AWS_USE_DUALSTACK_ENDPOINT":          &sources.dualStack,
		"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": &sources.ignoreURLs,
		"AWS_DISABLE_CLOCK_SKEW_CORRECTION":   &cfg.DisableClockSkewCorrection,
	} {
		if *to, err = rotator.BoolSetting(lookup, name); err != nil {
			return cfg, err
		}
	}
	cfg.ConfigSources = []any{sources}
	if u := text(lookup, "AWS_ENDPOINT_URL"); u != "" && !sources.ignoreURLs {
		cfg.BaseEndpoint = &u
	}
	if cfg.Region = text(lookup, "AWS_REGION"); cfg.Region == "" {
		cfg.Region = text(lookup, "AWS_DEFAULT_REGION")
	}
	cfg.AppID = text(lookup, "AWS_SDK_UA_APP_ID")
	// One attempt that hangs must leave time for another within a step.
	client := awshttp.NewBuildableClient().WithTimeout(3 * time.Second)
	pool, err := roots(lookup, "AWS_CA_BUNDLE")
	if err != nil {
		return cfg, err
	}
	if pool != nil {
		client = client.WithTransportOptions(func(t *http.Transport) { t.TLSClientConfig.RootCAs = pool })
	}
	cfg.HTTPClient = client
	cfg.Retryer = func() aws.Retryer {
		return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = time.Second })
	}
	cfg.Credentials, err = roleCredentials(lookup)
	return cfg, err
}

// roleCredentials are those of the function's role. Lambda gives them as variables, and where a process may outlive
// them, as the address of a page on the same machine.
func roleCredentials(lookup func(string) (string, bool)) (aws.CredentialsProvider, error) {
	c := aws.Credentials{AccessKeyID: text(lookup, "AWS_ACCESS_KEY_ID"),
		SecretAccessKey: text(lookup, "AWS_SECRET_ACCESS_KEY"), SessionToken: text(lookup, "AWS_SESSION_TOKEN")}
	if c.HasKeys() {
		return credentials.StaticCredentialsProvider{Value: c,
			Source: []aws.CredentialSource{aws.CredentialSourceEnvVars}}, nil
	}
	page := text(lookup, "AWS_CONTAINER_CREDENTIALS_FULL_URI")
	if page == "" {
		return nil, fmt.Errorf("environment: %w: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are missing, which "+
			"Lambda sets for the role of the function", rotator.KindMisconfigured)
	}
	if u, err := url.Parse(page); err != nil || u.Scheme != "https" && !isLoopback(u.Hostname()) {
		return nil, fmt.Errorf("environment: %w: AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor on this "+
			"machine", rotator.KindMisconfigured)
	}
	provider := endpointcreds.New(page, func(o *endpointcreds.Options) {
		o.AuthorizationToken = text(lookup, "AWS_CONTAINER_AUTHORIZATION_TOKEN")
		if file := text(lookup, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"); file != "" {
			o.AuthorizationTokenProvider = endpointcreds.TokenProviderFunc(func() (string, error) {
				token, err := os.ReadFile(file)
				return string(token), err
			})
		}
	})
	return aws.NewCredentialsCache(provider, func(o *aws.CredentialsCacheOptions) { o.ExpiryWindow = 5 * time.Minute }),
		nil
}

// awsSources answers what clients of the SDK ask the environment for themselves, by methods that they look for.
type awsSources struct {
	lookup                      func(string) (string, bool)
	fips, dualStack, ignoreURLs bool
}

// GetUseFIPSEndpoint is asked by each client.
func (s awsSources) GetUseFIPSEndpoint(context.Context) (aws.FIPSEndpointState, bool, error) {
	return aws.FIPSEndpointStateEnabled, s.fips, nil
}

// GetUseDualStackEndpoint is asked by each client.
func (s awsSources) GetUseDualStackEndpoint(context.Context) (aws.DualStackEndpointState, bool, error) {
	return aws.DualStackEndpointStateEnabled, s.dualStack, nil
}

// GetIgnoreConfiguredEndpoints is asked before GetServiceBaseEndpoint.
func (s awsSources) GetIgnoreConfiguredEndpoints(context.Context) (bool, bool, error) {
	return s.ignoreURLs, true, nil
}

// GetServiceBaseEndpoint is the address of one service: AWS_ENDPOINT_URL_SECRETS_MANAGER.
func (s awsSources) GetServiceBaseEndpoint(_ context.Context, service string) (string, bool, error) {
	u := text(s.lookup, "AWS_ENDPOINT_URL_"+strings.ReplaceAll(strings.ToUpper(service), " ", "_"))
	return u, u != "", nil
}
