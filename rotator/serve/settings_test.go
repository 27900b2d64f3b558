package serve

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
)

func environment(pairs ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1], true
			}
		}
		return "", false
	}
}

func TestSettingsOfAnEmptyEnvironment(t *testing.T) {
	s, err := FromEnvironment(environment())
	if err != nil || s.SecretsManagerURL != "" || s.ThroughSuperuser || s.RotateOnly || s.RootCAs != nil ||
		s.LogLevel != slog.LevelInfo {
		t.Fatalf("%+v, %v", s, err)
	}
	if p, err := s.PasswordPolicy.WithDefaultExclusions(`:/@"'\`).Generate(); err != nil || len(p.Reveal()) != 32 {
		t.Errorf("AWS's default password has 32 characters: %v", err)
	}
}

// Secrets and functions made for AWS's templates keep their settings.
func TestSettingsHaveAWSNamesAndMeaning(t *testing.T) {
	s, err := FromEnvironment(environment(
		"SECRETS_MANAGER_ENDPOINT", "https://secretsmanager.eu-west-1.amazonaws.com",
		"EXCLUDE_CHARACTERS", "abc", "PASSWORD_LENGTH", "40", "EXCLUDE_PUNCTUATION", "Yes",
		"REQUIRE_EACH_INCLUDED_TYPE", "1", "AWS_LAMBDA_FUNCTION_NAME", "rotate", "POWERTOOLS_LOG_LEVEL", "debug",
		"SUPERUSER_SECRET_ARN", "superuser", "ENGINES", "postgres, mysql", "STRATEGY", "alternating-users",
	))
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.PasswordPolicy.WithDefaultExclusions("ignored, for the environment says otherwise").Generate()
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Reveal()) != 40 || strings.ContainsAny(p.Reveal(), "abc!#$%&") {
		t.Error("the password does not follow the settings")
	}
	if s.SecretsManagerURL != "https://secretsmanager.eu-west-1.amazonaws.com" || s.FunctionName != "rotate" ||
		s.LogLevel != slog.LevelDebug || s.SuperuserSecretARN != "superuser" ||
		!slices.Equal(s.Engines, []string{"postgres", "mysql"}) || !s.Alternating {
		t.Errorf("%+v", s)
	}
}

func TestSettingsRefuseWhatCannotWork(t *testing.T) {
	notPEM := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(notPEM, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, env := range map[string][]string{
		"PASSWORD_LENGTH":               {"PASSWORD_LENGTH", "many"},
		"PASSWORD_LENGTH ":              {"PASSWORD_LENGTH", "5000"},
		"EXCLUDE_NUMBERS":               {"EXCLUDE_NUMBERS", "true", "EXCLUDE_PUNCTUATION", "true", "EXCLUDE_UPPERCASE", "true", "EXCLUDE_LOWERCASE", "true"},
		"PASSWORD_LENGTH  ":             {"PASSWORD_LENGTH", "4"},
		"ROTATE_ONLY":                   {"ROTATE_ONLY", "perhaps"},
		"SINGLE_USER_THROUGH_SUPERUSER": {"SINGLE_USER_THROUGH_SUPERUSER", "2"},
		"SECRETS_MANAGER_ENDPOINT ":     {"SECRETS_MANAGER_ENDPOINT", "https://"},
		"SECRETS_MANAGER_ENDPOINT  ":    {"SECRETS_MANAGER_ENDPOINT", "https://user:password@example.com"},
		"SECRETS_MANAGER_ENDPOINT   ":   {"SECRETS_MANAGER_ENDPOINT", "https://example.com:0"},
		"SUPERUSER_SECRET_ARN":          {"SUPERUSER_SECRET_ARN", "arn:aws\n"},
		"SECRETS_MANAGER_ENDPOINT":      {"SECRETS_MANAGER_ENDPOINT", "localhost:4566"},
		"PREFLIGHT":                     {"PREFLIGHT", "perhaps"},
		"LOG_LEVEL":                     {"LOG_LEVEL", "loud"},
		"STRATEGY":                      {"STRATEGY", "alternating"},
		"DATABASE_CA_FILE":              {"DATABASE_CA_FILE", notPEM},
		"DATABASE_CA_FILE ":             {"DATABASE_CA_FILE", notPEM + ".missing"},
	} {
		_, err := FromEnvironment(environment(env...))
		if !errors.Is(err, rotator.KindMisconfigured) || !strings.Contains(err.Error(), strings.TrimSpace(name)) {
			t.Errorf("%s: want a Misconfigured error that names it, got: %v", env, err)
		}
	}
}

// Everything that is secret goes to the endpoint: without TLS to this machine alone.
func TestAnEndpointWithoutTLSIsThisMachine(t *testing.T) {
	variables := []string{"SECRETS_MANAGER_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SECRETS_MANAGER",
		"AWS_ENDPOINT_URL_KMS", "AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL_RDS", "AWS_ENDPOINT_URL_IAM"}
	for url, good := range map[string]bool{
		"https://secretsmanager.eu-west-1.amazonaws.com": true, "https://10.0.0.1:8443/": true,
		"http://127.0.0.1:4566": true, "http://127.9.9.9": true, "http://localhost:4566": true, "http://LOCALHOST": true, "http://[::1]:4566/": true,
		"http://secretsmanager.eu-west-1.amazonaws.com": false, "http://10.0.0.1": false, "http://169.254.1.1": false, "http://0.0.0.0:1": false, "http://[::]": false,
		"http://127.0.0.1.example.com": false, "http://localhost.example.com": false, "http://2130706433": false, "http://127.1": false,
		"http://host.docker.internal:4566": false, "HTTP://example.com": false, "//127.0.0.1": false, "http://127.0.0.1@example.com": false,
	} {
		for _, variable := range variables {
			_, err := FromEnvironment(environment(variable, url))
			if good != (err == nil) || err != nil && (!errors.Is(err, rotator.KindMisconfigured) ||
				!strings.Contains(err.Error(), variable)) {
				t.Errorf("%s=%s: %v", variable, url, err)
			}
		}
	}
	if _, err := FromEnvironment(environment("SECRETS_MANAGER_ENDPOINT", "http://10.0.0.1")); err == nil ||
		!strings.Contains(err.Error(), "https") {
		t.Errorf("what to do is not said: %v", err)
	}
	// In the container of sam local invoke, that name is the machine that runs it.
	if _, err := FromEnvironment(environment("SECRETS_MANAGER_ENDPOINT", "http://host.docker.internal:4566", "AWS_SAM_LOCAL", "true")); err != nil {
		t.Error(err)
	}
}

// FuzzFromEnvironment: a function starts with settings that work, or says in one short
// and printable sentence why not.
func FuzzFromEnvironment(f *testing.F) {
	for _, name := range variables {
		f.Add(name, "true", "PASSWORD_LENGTH", "20")
	}
	f.Fuzz(func(t *testing.T, a, av, b, bv string) {
		s, err := FromEnvironment(environment(a, av, b, bv))
		if err == nil {
			if _, err := s.PasswordPolicy.Generate(); err != nil {
				t.Errorf("accepted, and no password can be made: %v", err)
			}
			return
		}
		printable := strings.IndexFunc(err.Error(), func(r rune) bool { return !strconv.IsPrint(r) }) < 0
		if rotator.KindOf(err) != rotator.KindMisconfigured || len(err.Error()) > 2000 || !printable {
			t.Errorf("%d bytes: %q", len(err.Error()), err)
		}
	})
}

var variables = []string{
	"EXCLUDE_NUMBERS", "EXCLUDE_CHARACTERS", "PASSWORD_LENGTH", "PASSWORD_PRESET", "REQUIRE_EACH_INCLUDED_TYPE",
	"ROTATE_ONLY", "SUPERUSER_SECRET_ARN",
	"SECRETS_MANAGER_ENDPOINT", "PREFLIGHT", "PREFLIGHT_PROBES", "ROTATE_COPIES", "AWS_LAMBDA_LOG_LEVEL",
	"DATABASE_CA_FILE", "STRATEGY",
}
