// Package serve runs a Strategy as a Lambda function: settings from the
// environment, Secrets Manager behind it, logs and metrics in front.
//
// A function is a main that calls [Lambda] with the strategy it wants. [Settings] are what
// its environment may say, and [FromEnvironment] reads them. A program
// that is no Lambda function makes its own [Handler] with [NewHandler].
package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/smithy-go/logging"
	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/awsstore"
	"github.com/quarterturn-dev/quarterturn/rotator/emf"
)

// Lambda serves the rotation events of the Lambda runtime with the strategy that
// build makes of the settings, and does not return. Settings that cannot work, by an
// error of build or a panic too, are found while the function starts: the reason is
// logged, and is the answer to every event.
func Lambda(build func(Settings) (rotator.Strategy, error)) {
	handler, err := start(build, os.LookupEnv, os.Stdout)
	if err != nil {
		// Answering every event with the reason, rather than exiting, lets the
		// person who rotates read it where they look: in the rotation's error.
		handler = func(context.Context, json.RawMessage) (rotator.Response, error) { return nil, err }
		Logger(os.Stdout, slog.LevelError).With("function", os.Getenv("AWS_LAMBDA_FUNCTION_NAME"), "build",
			rotator.Release).Error("the function cannot start", "kind", rotator.KindOf(err), "error", err.Error())
	}
	stdlog.SetFlags(0) // the runtime's library repeats an error as JSON, and a date before it would break that
	lambda.Start(handler)
}

// A Handler is what the Lambda runtime calls. It answers null, the report of a
// preflight, or a diagnosis.
type Handler func(ctx context.Context, event json.RawMessage) (rotator.Response, error)

func start(build func(Settings) (rotator.Strategy, error), lookup func(string) (string, bool),
	out io.Writer) (_ Handler, err error) {
	defer func() {
		if p := recover(); p != nil { // in build, which would end the process without a reason
			err = fmt.Errorf("%w: panic: %v", rotator.KindInternal, p)
			err = &rotator.StepError{Step: "start", Kind: rotator.KindInternal, Err: err}
		}
	}()
	settings, err := FromEnvironment(lookup)
	if err != nil {
		return nil, &rotator.StepError{Step: "start", Kind: rotator.KindOf(err), Err: err}
	}
	strategy, err := build(settings)
	if err != nil {
		return nil, &rotator.StepError{Step: "start", Kind: rotator.KindOf(err), Err: err}
	}
	log := Logger(out, settings.LogLevel).With("function", settings.FunctionName, "build", rotator.Release)
	if settings.ServiceName != "" {
		log = log.With("service", settings.ServiceName)
	}
	cfg, err := awsConfig(lookup)
	if err != nil {
		return nil, &rotator.StepError{Step: "start", Kind: rotator.KindOf(err), Err: err}
	}
	// Its own words would be lines that are not JSON.
	cfg.Logger = logging.LoggerFunc(func(_ logging.Classification, format string, args ...any) {
		log.Warn("AWS SDK", "detail", fmt.Sprintf(format, args...))
	})
	return NewHandler(rotator.Rotator{
		Store:          awsstore.New(cfg, settings.SecretsManagerURL),
		Strategy:       strategy,
		PasswordPolicy: settings.PasswordPolicy,
		TagChoices:     settings.TagChoices,

		PreflightMode:  settings.PreflightMode,
		Copies:         settings.Copies,
		ReadOnlyProbes: settings.ReadOnlyProbes,
		FunctionARN:    invokedARN,
	}, log, emf.Writer{W: out, Namespace: settings.MetricsNamespace, Function: settings.FunctionName,
		Service: settings.ServiceName}), nil
}

// invokedARN is the ARN by which the Lambda runtime was asked to run the function,
// with the version or alias, if that was in it.
func invokedARN(ctx context.Context) string {
	if lc, ok := lambdacontext.FromContext(ctx); ok {
		return lc.InvokedFunctionArn
	}
	return ""
}

// NewHandler makes a Handler of a Rotator that logs each step and writes its metrics.
func NewHandler(r rotator.Rotator, log *slog.Logger, metrics emf.Writer) Handler {
	r.Observe = func(ctx context.Context, rec rotator.Record) {
		logRecord(ctx, log, rec)
		if err := metrics.Write(rec); err != nil {
			log.ErrorContext(ctx, "metrics", "error", err.Error())
		}
	}
	return func(ctx context.Context, payload json.RawMessage) (rotator.Response, error) {
		return r.HandleJSON(ctx, payload)
	}
}

// Logger writes JSON lines with the field names that Lambda's own logs and
// Powertools use, so that one query finds them all.
func Logger(out io.Writer, level slog.Level) *slog.Logger {
	return slog.New(slog.NewJSONHandler(out, &slog.HandlerOptions{
		Level: level,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 {
				switch a.Key {
				case slog.TimeKey:
					a.Key = "timestamp"
				case slog.MessageKey:
					a.Key = "message"
				}
			}
			return a
		},
	}))
}

// logRecord tells a step as a story: a line for each thing done, then how it ended.
func logRecord(ctx context.Context, log *slog.Logger, rec rotator.Record) {
	log = log.With("step", rec.Step, "secret_arn", rec.SecretID, "version", rec.VersionID)
	if lc, ok := lambdacontext.FromContext(ctx); ok {
		log = log.With("function_request_id", lc.AwsRequestID)
	}
	for _, note := range rec.Notes {
		log.InfoContext(ctx, note)
	}
	if rec.Report != nil {
		logReport(ctx, log, *rec.Report, rec.Outcome == rotator.OutcomeChecked)
	}
	if rec.Diagnosis != nil {
		logDiagnosis(ctx, log, *rec.Diagnosis)
	}
	ms := slog.Float64("duration_ms", float64(rec.Elapsed.Microseconds())/1e3)
	if rec.Err == nil {
		if rec.RotationTime > 0 {
			log = log.With("rotation_ms", float64(rec.RotationTime.Microseconds())/1e3)
		}
		if rec.PasswordPolicy != "" {
			log = log.With("password_policy", rec.PasswordPolicy)
		}
		audit(ctx, log, rec)
		log.InfoContext(ctx, string(rec.Step)+" "+string(rec.Outcome), ms)
		return
	}
	if rec.PanicStack != "" {
		log = log.With("stack_trace", rec.PanicStack)
	}
	attrs := []any{"kind", rec.Kind, "error", rec.Err.Error()}
	if step, ok := errors.AsType[*rotator.StepError](rec.Err); ok {
		attrs = append(attrs, "hint", step.Hint)
	}
	log.ErrorContext(ctx, string(rec.Step)+" failed", append(attrs, ms)...)
}

// auditSchema names the members of an audit line, which are stable: docs/runbook.md. Members
// are added under the same name; whatever is changed or removed makes another.
const auditSchema = "quarterturn.audit/1"

// audit writes the one line of a rotation that is kept: which secret, which versions, for which
// account, from when to when, how, by which function and build. It has no value in it. Each step is an
// invocation of its own, so that of the others' times it knows only when the version was made.
func audit(ctx context.Context, log *slog.Logger, rec rotator.Record) {
	if rec.MovedFrom == "" {
		return
	}
	finished := rec.Start.Add(rec.Elapsed).UTC()
	attrs := []any{"audit", auditSchema, "previous_version", rec.MovedFrom, "finish_started", rec.Start.UTC(),
		"finished", finished}
	if t := rec.Target; t != (rotator.Target{}) {
		attrs = append(attrs, "strategy", t.Strategy, slog.Group("target", "engine", t.Engine, "host", t.Host, "port",
			t.Port, "database", t.Database, "user", t.User))
	}
	if rec.RotationTime > 0 {
		attrs = append(attrs, "started", finished.Add(-rec.RotationTime))
	}
	if arn := invokedARN(ctx); arn != "" {
		attrs = append(attrs, "function_arn", arn, "function_version", lambdacontext.FunctionVersion)
	}
	log.InfoContext(ctx, "rotation completed", attrs...)
}

// logReport writes a line for each finding: all of them if the event is a
// preflight, and in a rotation those that need attention.
func logReport(ctx context.Context, log *slog.Logger, report rotator.Report, asked bool) {
	for _, f := range report.Findings {
		level := slog.LevelDebug
		switch f.Status {
		case rotator.StatusDenied, rotator.StatusFailed, rotator.StatusUnknown:
			level = slog.LevelWarn
		case rotator.StatusPassed:
			if asked || f.Detail != "" {
				level = slog.LevelInfo
			}
		default:
			if asked {
				level = slog.LevelInfo
			}
		}
		attrs := []any{"check", f.Check, "status", f.Status}
		if f.Kind != "" {
			attrs = append(attrs, "kind", f.Kind)
		}
		if f.Detail != "" {
			attrs = append(attrs, "detail", f.Detail)
		}
		if f.PolicyAnalysis != nil {
			attrs = append(attrs, "why", f.PolicyAnalysis)
		}
		log.Log(ctx, level, "preflight "+f.ID, attrs...)
	}
}

// logDiagnosis writes a line for each version, and one that says what to do.
func logDiagnosis(ctx context.Context, log *slog.Logger, d rotator.Diagnosis) {
	for _, s := range d.Versions {
		attrs := []any{"stored_version", s.VersionID, "labels", s.Labels, "state", s.State}
		if s.Kind != "" {
			attrs = append(attrs, "kind", s.Kind)
		}
		if s.Detail != "" {
			attrs = append(attrs, "detail", s.Detail)
		}
		log.InfoContext(ctx, "status: "+s.LabelMeaning, attrs...)
	}
	log.InfoContext(ctx, "recommended action: "+string(d.Action), "reason", d.Reason, "commands", d.Commands)
}
