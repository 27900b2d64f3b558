package serve

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
)

// Settings is what the environment of the function says. Names that AWS's rotation
// templates know mean here what they mean there.
type Settings struct {
	// PasswordPolicy is how passwords are made: PASSWORD_LENGTH, EXCLUDE_CHARACTERS,
	// EXCLUDE_NUMBERS, EXCLUDE_PUNCTUATION, EXCLUDE_UPPERCASE, EXCLUDE_LOWERCASE,
	// REQUIRE_EACH_INCLUDED_TYPE; PASSWORD_PRESET.
	PasswordPolicy secret.PasswordPolicy
	// TagChoices is what the tags of a secret may change of that: SECRET_TAGS. Without it no
	// tag is read.
	TagChoices secret.TagChoices
	// SecretsManagerURL replaces the address of Secrets Manager: SECRETS_MANAGER_ENDPOINT.
	// Optional here; AWS_ENDPOINT_URL and AWS_ENDPOINT_URL_SECRETS_MANAGER do the
	// same by way of the SDK. Without TLS (http) it has to be on this machine.
	SecretsManagerURL string
	// RootCAs replaces the certificate authorities of Amazon RDS that the engines
	// embed: DATABASE_CA_FILE, a PEM file in the function's package. nil: those
	// embedded.
	RootCAs *x509.CertPool
	// ThroughSuperuser has single user rotation use the superuser secret:
	// SINGLE_USER_THROUGH_SUPERUSER=true.
	ThroughSuperuser bool
	// SuperuserSecretARN is the superuser secret for secrets without masterarn, which
	// CloudFormation's MasterSecretArn does not set: SUPERUSER_SECRET_ARN.
	SuperuserSecretARN string
	// Engines are the engines that a function for several may rotate, as values of the
	// secret's key engine: ENGINES, by comma. Functions for one engine do not look at it.
	Engines []string
	// Alternating has such a function rotate pairs of users: STRATEGY=alternating-users
	// (default: single-user).
	Alternating bool
	// RotateOnly has alternating users set passwords and never create or align a
	// clone: ROTATE_ONLY=true.
	RotateOnly bool
	// PreflightMode is what a preflight does with what it finds: PREFLIGHT=enforce (the
	// default), strict, report or off.
	PreflightMode rotator.PreflightMode
	// Copies is what becomes of copies of the credentials in other members of a secret:
	// ROTATE_COPIES=refuse (the default), follow or ignore.
	Copies rotator.CopiesMode
	// ReadOnlyProbes means no probe designed to fail and no dry run in the
	// database: PREFLIGHT_PROBES=read-only (default: full).
	ReadOnlyProbes bool
	// LogLevel is how much is logged: AWS_LAMBDA_LOG_LEVEL, which Lambda's own log
	// settings make, or LOG_LEVEL, or POWERTOOLS_LOG_LEVEL.
	LogLevel slog.Level
	// FunctionName is the function's name, for metrics: AWS_LAMBDA_FUNCTION_NAME.
	FunctionName string
	// ServiceName is what several functions are together, for metrics and logs, and
	// Namespace where the metrics are shown: POWERTOOLS_SERVICE_NAME and
	// POWERTOOLS_METRICS_NAMESPACE, which people set for all their functions.
	ServiceName, MetricsNamespace string
	// Lookup finds a setting of an engine or a strategy, which knows its name and its
	// meaning: see postgres.Engine.Configure. rotator.BoolSetting reads one that is true or
	// false. It is os.LookupEnv.
	Lookup func(name string) (string, bool)
}

// FromEnvironment reads Settings; lookup is os.LookupEnv. An error names the
// variable and what it may say. It, what is given Settings.Lookup, and what is made of the
// SDK's own AWS_ variables are the readers of the environment: nothing else of what is deployed
// looks there.
func FromEnvironment(lookup func(string) (string, bool)) (Settings, error) {
	s := Settings{
		SecretsManagerURL:  text(lookup, "SECRETS_MANAGER_ENDPOINT"),
		SuperuserSecretARN: text(lookup, "SUPERUSER_SECRET_ARN"),
		FunctionName:       text(lookup, "AWS_LAMBDA_FUNCTION_NAME"),
		ServiceName:        text(lookup, "POWERTOOLS_SERVICE_NAME"),
		MetricsNamespace:   text(lookup, "POWERTOOLS_METRICS_NAMESPACE"),
		Lookup:             lookup,
	}
	var err error
	if s.PasswordPolicy, err = secret.ParsePolicy(lookup); err != nil {
		return s, fmt.Errorf("environment: %w: %w", rotator.KindMisconfigured, err)
	}
	if err := s.PasswordPolicy.Validate(); err != nil {
		return s, fmt.Errorf("environment: %w: %w", rotator.KindMisconfigured, err)
	}
	if s.TagChoices, err = secret.ParseTagChoices(text(lookup, secret.EnvTags)); err != nil {
		return s, fmt.Errorf("environment: %w: %w", rotator.KindMisconfigured, err)
	}
	for name, to := range map[string]*bool{
		"SINGLE_USER_THROUGH_SUPERUSER": &s.ThroughSuperuser,
		"ROTATE_ONLY":                   &s.RotateOnly,
	} {
		if *to, err = rotator.BoolSetting(lookup, name); err != nil {
			return s, err
		}
	}
	if err := s.engines(lookup); err != nil {
		return s, err
	}
	if s.SuperuserSecretARN != "" && !rotator.ValidSecretID(s.SuperuserSecretARN) {
		return s, fmt.Errorf("environment: %w: SUPERUSER_SECRET_ARN is not a secret's ARN", rotator.KindMisconfigured)
	}
	if err := checkEndpoints(lookup); err != nil {
		return s, err
	}
	if err := s.preflight(lookup); err != nil {
		return s, err
	}
	if s.LogLevel, err = level(lookup); err != nil {
		return s, err
	}
	s.RootCAs, err = roots(lookup, "DATABASE_CA_FILE")
	return s, err
}

// checkEndpoints refuses addresses of AWS's services that cannot be called, and those
// without TLS that are not on this machine: everything that is secret goes there. The
// SDK checks none.
func checkEndpoints(lookup func(string) (string, bool)) error {
	for _, name := range []string{"SECRETS_MANAGER_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SECRETS_MANAGER",
		"AWS_ENDPOINT_URL_KMS", "AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL_RDS", "AWS_ENDPOINT_URL_IAM"} {
		value := text(lookup, name)
		if value == "" {
			continue
		}
		u, err := url.Parse(value)
		if err != nil || !isURL(u) {
			return fmt.Errorf("environment: %w: %s is not the address of a service: want https://host",
				rotator.KindMisconfigured, name)
		}
		// sam local invoke runs functions in containers, where Docker gives the
		// machine that name.
		here := isLoopback(u.Hostname()) || u.Hostname() == "host.docker.internal" &&
			text(lookup, "AWS_SAM_LOCAL") == "true"
		if u.Scheme != "https" && !here {
			return fmt.Errorf("environment: %w: %s is without TLS, and passwords would be readable on their way: "+
				"want https://host (http is for localhost, 127.0.0.1 and [::1] only)", rotator.KindMisconfigured, name)
		}
	}
	return nil
}

// isURL says whether u is a place that can be called.
func isURL(u *url.URL) bool {
	if u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" ||
		u.Fragment != "" {
		return false
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	return u.Port() == "" || err == nil && port > 0
}

func isLoopback(host string) bool {
	return strings.EqualFold(host, "localhost") || net.ParseIP(host).IsLoopback()
}

func (s *Settings) preflight(lookup func(string) (string, bool)) error {
	switch s.PreflightMode = rotator.PreflightMode(text(lookup, "PREFLIGHT")); s.PreflightMode {
	case "", rotator.PreflightEnforce, rotator.PreflightStrict, rotator.PreflightReport, rotator.PreflightOff:
	default:
		return fmt.Errorf("environment: %w: PREFLIGHT is %.80q: want enforce, strict, report or off",
			rotator.KindMisconfigured, s.PreflightMode)
	}
	switch s.Copies = rotator.CopiesMode(text(lookup, "ROTATE_COPIES")); s.Copies {
	case "", rotator.CopiesRefuse, rotator.CopiesFollow, rotator.CopiesIgnore:
	default:
		return fmt.Errorf("environment: %w: ROTATE_COPIES is %.80q: want refuse, follow or ignore",
			rotator.KindMisconfigured, s.Copies)
	}
	switch probes := text(lookup, "PREFLIGHT_PROBES"); probes {
	case "", "full":
	case "read-only":
		s.ReadOnlyProbes = true
	default:
		return fmt.Errorf("environment: %w: PREFLIGHT_PROBES is %.80q: want full or read-only",
			rotator.KindMisconfigured, probes)
	}
	if s.ReadOnlyProbes && s.PreflightMode == rotator.PreflightStrict {
		return fmt.Errorf("environment: %w: PREFLIGHT=strict blocks on unknown, and PREFLIGHT_PROBES=read-only "+
			"leaves S8 unknown: no rotation could start. Change one", rotator.KindMisconfigured)
	}
	return nil
}

func (s *Settings) engines(lookup func(string) (string, bool)) error {
	if list := text(lookup, "ENGINES"); list != "" {
		for name := range strings.SplitSeq(list, ",") {
			s.Engines = append(s.Engines, strings.TrimSpace(name))
		}
	}
	switch strategy := text(lookup, "STRATEGY"); strategy {
	case "", "single-user":
	case "alternating-users":
		s.Alternating = true
	default:
		return fmt.Errorf("environment: %w: STRATEGY is %.80q: want single-user or alternating-users",
			rotator.KindMisconfigured, strategy)
	}
	return nil
}

func text(lookup func(string) (string, bool), name string) string {
	v, _ := lookup(name)
	return v
}

func level(lookup func(string) (string, bool)) (l slog.Level, err error) {
	for _, name := range []string{"AWS_LAMBDA_LOG_LEVEL", "LOG_LEVEL", "POWERTOOLS_LOG_LEVEL"} {
		v := text(lookup, name)
		switch strings.ToUpper(v) {
		case "":
			continue
		case "TRACE": // Lambda's finest
			return slog.LevelDebug, nil
		case "FATAL", "CRITICAL":
			return slog.LevelError, nil
		}
		if l.UnmarshalText([]byte(v)) != nil {
			return l, fmt.Errorf("environment: %w: %s is none of DEBUG, INFO, WARN, ERROR", rotator.KindMisconfigured,
				name)
		}
		return l, nil
	}
	return slog.LevelInfo, nil
}

// roots reads the PEM file that a variable names. It is nil where there is none.
func roots(lookup func(string) (string, bool), name string) (*x509.CertPool, error) {
	file := text(lookup, name)
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("environment: %w: %s %.200q: %w: it is the path of a PEM file in the function's "+
			"package, as "+
			"/var/task/ca.pem", rotator.KindMisconfigured, name, file, unnamed(err))
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("environment: %w: %s %.200q holds no certificate in PEM form: it is to be the "+
			"certificate of "+
			"the CA that signed the server's (-----BEGIN CERTIFICATE-----)", rotator.KindMisconfigured, name, file)
	}
	return pool, nil
}

// unnamed is an error of the file system without the path, which it shows as it is.
func unnamed(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}
