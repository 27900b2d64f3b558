package serve

import (
	"context"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/quarterturn-dev/quarterturn/rotator"
)

// onlyThese gives the process, for the SDK looks there itself, the AWS_ variables that are listed and no others.
func onlyThese(t *testing.T, given map[string]string) {
	t.Helper()
	for _, entry := range os.Environ() {
		if name, value, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, value) // put back at the end
			os.Unsetenv(name)
		}
	}
	for name, value := range given {
		t.Setenv(name, value)
	}
}

// requests are what the four clients of a function send, as far as an environment has a say in it.
func requests(t *testing.T, cfg aws.Config) map[string]string {
	t.Helper()
	cfg.Retryer = func() aws.Retryer { return aws.NopRetryer{} }
	sent := map[string]string{}
	service := ""
	cfg.HTTPClient = recorder(func(r *http.Request) {
		credential := regexp.MustCompile(`Credential=[^,]+`).FindString(r.Header.Get("Authorization"))
		sent[service] = strings.Join([]string{r.URL.String(), credential, r.Header.Get("X-Amz-Security-Token"),
			r.Header.Get("User-Agent")}, "\n")
	})
	for name, call := range map[string]func(context.Context) error{
		"Secrets Manager": func(ctx context.Context) error {
			_, err := secretsmanager.NewFromConfig(cfg).DescribeSecret(ctx,
				&secretsmanager.DescribeSecretInput{SecretId: aws.String("app")})
			return err
		},
		"KMS": func(ctx context.Context) error {
			_, err := kms.NewFromConfig(cfg).GenerateDataKey(ctx, &kms.GenerateDataKeyInput{KeyId: aws.String("key")})
			return err
		},
		"RDS": func(ctx context.Context) error {
			_, err := rds.NewFromConfig(cfg).DescribeDBInstances(ctx, nil)
			return err
		},
		"STS": func(ctx context.Context) error {
			_, err := sts.NewFromConfig(cfg).GetCallerIdentity(ctx, nil)
			return err
		},
	} {
		service = name
		if err := call(t.Context()); err != nil && sent[name] == "" {
			sent[name] = err.Error() // before anything is sent
		}
	}
	return sent
}

type recorder func(*http.Request)

func (f recorder) Do(r *http.Request) (*http.Response, error) {
	f(r)
	return nil, errors.New("recorded")
}

// TestTheSDKIsConfiguredAsByItsOwnPackage: every variable that means something to a function means what it means to the
// SDK's package config, which functions have not.
func TestTheSDKIsConfiguredAsByItsOwnPackage(t *testing.T) {
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer page") {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		io.WriteString(w, `{"AccessKeyId":"PAGE","SecretAccessKey":"x","Token":"`+r.Header.Get("Authorization")+
			`","Expiration":"2999-01-01T00:00:00Z"}`)
	}))
	t.Cleanup(page.Close)
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("Bearer page of a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{}
	for _, given := range []map[string]string{
		{},
		{"AWS_SESSION_TOKEN": "session"},
		{"AWS_REGION": "cn-north-1"},
		{"AWS_REGION": "", "AWS_DEFAULT_REGION": "eu-central-1"},
		{"AWS_DEFAULT_REGION": "eu-central-1"},
		{"AWS_REGION": ""},
		{"AWS_USE_FIPS_ENDPOINT": "true"},
		{"AWS_USE_FIPS_ENDPOINT": "False"},
		{"AWS_REGION": "us-gov-west-1", "AWS_USE_FIPS_ENDPOINT": "TRUE"},
		{"AWS_USE_DUALSTACK_ENDPOINT": "true"},
		{"AWS_USE_DUALSTACK_ENDPOINT": "true", "AWS_USE_FIPS_ENDPOINT": "true"},
		{"AWS_ENDPOINT_URL": "https://one.example"},
		{"AWS_ENDPOINT_URL_SECRETS_MANAGER": "https://secrets.example", "AWS_ENDPOINT_URL_STS": "https://sts.example"},
		{"AWS_ENDPOINT_URL_KMS": "https://kms.example", "AWS_ENDPOINT_URL": "https://one.example"},
		{"AWS_ENDPOINT_URL_RDS": "https://rds.example", "AWS_USE_FIPS_ENDPOINT": "true"},
		{"AWS_ENDPOINT_URL": "https://one.example", "AWS_ENDPOINT_URL_KMS": "https://kms.example",
			"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
		{"AWS_ENDPOINT_URL_KMS": "https://kms.example", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "false"},
		{"AWS_SDK_UA_APP_ID": "shelf"},
		{"AWS_DISABLE_CLOCK_SKEW_CORRECTION": "true"},
		{"AWS_ACCESS_KEY_ID": "", "AWS_CONTAINER_CREDENTIALS_FULL_URI": page.URL + "/credentials",
			"AWS_CONTAINER_AUTHORIZATION_TOKEN": "Bearer page of a variable"},
		{"AWS_ACCESS_KEY_ID": "", "AWS_CONTAINER_CREDENTIALS_FULL_URI": page.URL + "/credentials",
			"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": token},
		{"AWS_ACCESS_KEY_ID": "", "AWS_CONTAINER_CREDENTIALS_FULL_URI": page.URL + "/credentials"},
		{"AWS_CONTAINER_CREDENTIALS_FULL_URI": page.URL + "/credentials"},
	} {
		all := map[string]string{"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "x",
			"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_EC2_METADATA_DISABLED": "true",
			"AWS_LAMBDA_FUNCTION_NAME": "rotate"}
		for name, value := range given {
			all[name] = value
		}
		t.Run("", func(t *testing.T) {
			onlyThese(t, all)
			theirs, err := config.LoadDefaultConfig(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			ours, err := awsConfig(os.LookupEnv)
			if err != nil {
				t.Fatal(err)
			}
			want, got := requests(t, theirs), requests(t, ours)
			for service := range want {
				if got[service] != want[service] {
					t.Errorf("%s with %v:\n%s\nwant\n%s", service, given, got[service], want[service])
				}
				seen[got[service]] = service
			}
			if ours.DisableClockSkewCorrection != theirs.DisableClockSkewCorrection {
				t.Errorf("with %v: clock skew is corrected by one of them", given)
			}
		})
	}
	if len(seen) < 40 {
		t.Errorf("of all these environments, %d requests differ: the test compares too little", len(seen))
	}
}

// TestAWSConfigRefuses what the SDK refuses too, or would find out at the first call.
func TestAWSConfigRefuses(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]string{
		"AWS_USE_FIPS_ENDPOINT":              "yes, please",
		"AWS_USE_DUALSTACK_ENDPOINT":         "2",
		"AWS_DISABLE_CLOCK_SKEW_CORRECTION":  "-",
		"AWS_CA_BUNDLE":                      "/nonexistent",
		"AWS_ACCESS_KEY_ID":                  "",
		"AWS_SECRET_ACCESS_KEY":              "",
		"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://credentials.example/",
	} {
		lookup := func(asked string) (string, bool) {
			switch {
			case asked == name:
				return value, true
			case name == "AWS_CONTAINER_CREDENTIALS_FULL_URI": // asked where there are no keys
				return "", false
			}
			return environment("AWS_REGION", "us-east-1", "AWS_ACCESS_KEY_ID", "AKID", "AWS_SECRET_ACCESS_KEY", "x")(asked)
		}
		if _, err := awsConfig(lookup); rotator.KindOf(err) != rotator.KindMisconfigured || !strings.Contains(err.Error(), name) {
			t.Errorf("%s=%s: %v", name, value, err)
		}
	}
}

// TestAWSCABundle: calls trust the certificates in that file, and without it a server of that kind is not trusted.
func TestAWSCABundle(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		io.WriteString(w, `{"Name":"app"}`)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of a handshake that fails, as it has to
	server.StartTLS()
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, bundle := range []string{file, ""} {
		given := map[string]string{"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "x",
			"AWS_ENDPOINT_URL": server.URL, "AWS_CA_BUNDLE": bundle}
		onlyThese(t, given)
		cfg, err := awsConfig(os.LookupEnv)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Retryer = func() aws.Retryer { return aws.NopRetryer{} }
		_, err = secretsmanager.NewFromConfig(cfg).DescribeSecret(t.Context(),
			&secretsmanager.DescribeSecretInput{SecretId: aws.String("app")})
		if (err == nil) != (bundle != "") {
			t.Errorf("AWS_CA_BUNDLE=%q: %v", bundle, err)
		}
	}
}
