// Package fleetreport runs the report on a fleet of secrets (rotator/fleet) as a Lambda
// function: what to look at from the environment, findings to the log, counts to CloudWatch.
package fleetreport

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/emf"
	"github.com/quarterturn-dev/quarterturn/rotator/fleet"
	"github.com/quarterturn-dev/quarterturn/rotator/serve"
)

// Settings is what the environment of the function says.
type Settings struct {
	// Accounts are account ids: FLEET_ACCOUNTS, by comma. The word organization is all
	// active accounts of the organization. None: the function's own.
	Accounts     []string
	Organization bool
	// Regions are FLEET_REGIONS, by comma. None: the function's own.
	Regions []string
	// Role is the name of the role to assume in other accounts: FLEET_ROLE. "": fleet.ReaderRole.
	Role string
	// Policy is what counts as in order: FLEET_MAX_AGE_DAYS, FLEET_MAX_INTERVAL_DAYS,
	// FLEET_REQUIRE_TAGS and, for functions of other names than quarterturn-*,
	// FLEET_FUNCTIONS.
	Policy fleet.Policy

	ServiceName, MetricsNamespace string // as those of serve.Settings
}

// FromEnvironment reads Settings; lookup is os.LookupEnv. An error names the variable.
func FromEnvironment(lookup func(string) (string, bool)) (Settings, error) {
	text := func(name string) string { v, _ := lookup(name); return v }
	list := func(name string) (all []string) {
		for item := range strings.SplitSeq(text(name), ",") {
			if item = strings.TrimSpace(item); item != "" {
				all = append(all, item)
			}
		}
		return all
	}
	s := Settings{
		Accounts: list("FLEET_ACCOUNTS"), Regions: list("FLEET_REGIONS"), Role: text("FLEET_ROLE"),
		Policy:      fleet.Policy{Tags: list("FLEET_REQUIRE_TAGS"), Functions: list("FLEET_FUNCTIONS")},
		ServiceName: text("POWERTOOLS_SERVICE_NAME"), MetricsNamespace: text("POWERTOOLS_METRICS_NAMESPACE"),
	}
	if slices.Equal(s.Accounts, []string{"organization"}) {
		s.Accounts, s.Organization = nil, true
	}
	for name, to := range map[string]*time.Duration{"FLEET_MAX_AGE_DAYS": &s.Policy.MaxAge,
		"FLEET_MAX_INTERVAL_DAYS": &s.Policy.MaxInterval} {
		if text(name) == "" {
			continue
		}
		days, err := strconv.ParseUint(text(name), 10, 12)
		if err != nil || days == 0 {
			return s, fmt.Errorf("environment: %s is %.80q: want a number of days, from 1 to 4095", name, text(name))
		}
		*to = time.Duration(days) * 24 * time.Hour
	}
	return s, nil
}

// Lambda makes a report at each event, whatever is in it, and does not return.
func Lambda() {
	lambda.Start(func(ctx context.Context) (fleet.Totals, error) { return run(ctx, os.LookupEnv, os.Stdout) })
}

// maxLines is how many findings are logged: a fleet without rotation has thousands, which
// quarterturn fleet lists.
const maxLines = 500

// run makes one report. It fails where there is no report; what could not be read is in it.
func run(ctx context.Context, lookup func(string) (string, bool), out io.Writer) (fleet.Totals, error) {
	s, err := FromEnvironment(lookup)
	if err != nil {
		return fleet.Totals{}, err
	}
	log := serve.Logger(out, slog.LevelInfo).With("service", s.ServiceName, "function", lambdacontext.FunctionName,
		"build", rotator.Release)
	if lc, ok := lambdacontext.FromContext(ctx); ok {
		log = log.With("function_request_id", lc.AwsRequestID)
	}
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return fleet.Totals{}, fmt.Errorf("AWS configuration: %w", err)
	}
	places, err := fleet.Accounts{Config: cfg, IDs: s.Accounts, All: s.Organization, Role: s.Role,
		Regions: s.Regions}.Places(ctx)
	if err != nil {
		return fleet.Totals{}, err
	}
	report, err := fleet.Scanner{Places: places, Policy: s.Policy}.Scan(ctx)
	if err != nil {
		return fleet.Totals{}, err
	}
	tell(log, report)
	if s.MetricsNamespace == "" {
		s.MetricsNamespace = emf.Namespace
	}
	return report.Totals, report.Metrics(out, s.MetricsNamespace, s.ServiceName)
}

// tell logs a line for each finding that counts, worst first, and one for the whole.
func tell(log *slog.Logger, r *fleet.Report) {
	left := maxLines
	line := func(f fleet.Finding, attrs ...any) {
		if left--; left < 0 || !f.Severity.AtLeast(fleet.Unknown) {
			return
		}
		level := slog.LevelWarn
		if f.Severity.AtLeast(fleet.High) {
			level = slog.LevelError
		}
		attrs = append(attrs, "finding", f.ID, "severity", f.Severity)
		if f.Remedy != "" {
			attrs = append(attrs, "remedy", f.Remedy)
		}
		log.Log(context.Background(), level, f.Sentence, attrs...)
	}
	for _, f := range r.Findings {
		line(f.Finding, "account", f.Account, "region", f.Region)
	}
	for _, e := range r.Secrets {
		for _, f := range e.Findings {
			line(f, "secret_arn", e.ARN)
		}
	}
	if left < 0 {
		log.Warn(fmt.Sprintf("%d more findings: quarterturn fleet lists them", -left))
	}
	log.Info("fleet report: " + r.Summary())
}
