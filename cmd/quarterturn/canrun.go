package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/quarterturn-dev/quarterturn/rotator"
)

// withFunction looks whether the function can run at all, where this machine answered in its place and there is
// something to do: a retry would change nothing while it cannot, and is not recommended then. What else is recommended
// stays, and a rotation comes after.
func (q *question) withFunction(ctx context.Context, d *rotator.Diagnosis) {
	rotates := slices.ContainsFunc(d.Fixes, func(f rotator.Fix) bool {
		return strings.HasPrefix(f.Run, "aws secretsmanager rotate-secret --secret-id ") &&
			!strings.Contains(f.Run, " --rotation-")
	})
	if !q.here || !rotates && (d.Action == rotator.ActionNone || d.Action == rotator.ActionNotManaged) {
		return
	}
	cfg, err := awsConfig(ctx, q.secret, true)
	if err != nil {
		return // the answer came from somewhere, so there are credentials
	}
	function, err := q.functionOf(ctx, cfg)
	if err != nil {
		return // no function rotates it, which the reason says
	}
	why, fix, err := cannotRun(ctx, cfg, function)
	switch {
	case err != nil:
		d.Reason += ". Whether function " + function + " can run was not found out: " + err.Error()
	case why == "":
	default:
		fix.By, fix.For = rotator.ByShell, "so that the function can run"
		d.Fixes = append(d.Fixes, fix)
		if d.Action != rotator.ActionRetry {
			d.Reason += ". Before the next rotation: " + why
			return
		}
		d.Action, d.Commands = rotator.ActionInvestigate, nil
		d.Reason = "AWSCURRENT works and a rotation is incomplete, but " + why + ", so that rotate-secret would " +
			"change " +
			"nothing: do what is printed below, then run status again"
	}
}

// cannotRun says why Lambda does not run a function, and what has it run; "": nothing is known to keep it.
func cannotRun(ctx context.Context, cfg aws.Config, function string) (why string, fix rotator.Fix, err error) {
	client := lambda.NewFromConfig(cfg)
	out, err := client.GetFunctionConcurrency(ctx, &lambda.GetFunctionConcurrencyInput{FunctionName: &function})
	switch {
	case err != nil && isNotFound(err):
		return fmt.Sprintf("there is no function %s", function), rotator.Fix{
			Run: "aws lambda list-functions --query 'Functions[].FunctionArn'",
			Note: "deploy the function again, or give the secret to one that is there: aws secretsmanager " +
				"rotate-secret " +
				"--secret-id SECRET --rotation-lambda-arn FUNCTION-ARN",
		}, nil
	case err != nil:
		return "", fix, plain("lambda:GetFunctionConcurrency", err)
	case out.ReservedConcurrentExecutions != nil && *out.ReservedConcurrentExecutions == 0:
		return fmt.Sprintf("function %s cannot run: its reserved concurrency is 0", function), rotator.Fix{
			Run: "aws lambda delete-function-concurrency --function-name " + function,
			Note: "or, to reserve some: aws lambda put-function-concurrency --function-name " + function +
				" --reserved-concurrent-executions 1",
		}, nil
	}
	return "", fix, nil
}

func isNotFound(err error) bool {
	var api apiError
	return errors.As(err, &api) && strings.HasPrefix(api.ErrorCode(), "ResourceNotFound")
}
