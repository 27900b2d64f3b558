package main

import (
	"errors"
	"strings"

	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// invokeError is an error that Lambda documents for Invoke. The function did not run: its log has no line about it.
// https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
type invokeError struct {
	codes  []string // without "Exception"
	reason lambdatypes.ThrottleReason
	means  string
	do     string
	run    []string // by which it is done, or seen; FUNCTION stands for its name
}

const (
	lookAtConcurrency = "aws lambda get-function-concurrency --function-name FUNCTION"
	startAgain        = "aws lambda delete-function-concurrency --function-name FUNCTION"
	stopped           = "look at its reserved concurrency first: 0 stops it. If that was not on purpose, remove it. " +
		"If it is not 0, run this again"
	lookAtSettings = "aws lambda get-function-configuration --function-name FUNCTION"
	lookAtKey      = "look at KMSKeyArn"
)

// invokeErrors is read from the top: the first row that fits.
func invokeErrors() []invokeError {
	return []invokeError{
		{[]string{"TooManyRequests"}, lambdatypes.ThrottleReasonReservedFunctionConcurrentInvocationLimitExceeded,
			"its reserved concurrency is 0, or used up",
			stopped, []string{lookAtConcurrency, startAgain}},
		{[]string{"TooManyRequests"}, lambdatypes.ThrottleReasonConcurrentInvocationLimitExceeded,
			"the concurrency of the account in this Region is used up",
			"run this again; if that lasts, look for the function that uses it up, or raise the quota", nil},
		{[]string{"TooManyRequests"}, "", "a rate or concurrency was exceeded",
			stopped, []string{lookAtConcurrency, startAgain}},
		{[]string{"ResourceNotFound"}, "", "there is no such function, version or alias in this Region and account",
			"deploy it again, or correct the name or the Region", nil},
		{[]string{"AccessDenied"}, "", "the credentials of this machine may not invoke it",
			"allow them lambda:InvokeFunction on the function", nil},
		{[]string{"ResourceNotReady", "ResourceConflict", "SnapStartNotReady"}, "",
			"it is inactive, or being created or updated",
			"run this again; if that lasts, look at State and LastUpdateStatus", []string{lookAtSettings}},
		{[]string{"KMSAccessDenied"}, "", "its role may not decrypt its environment",
			"allow kms:Decrypt with that key; " + lookAtKey, []string{lookAtSettings}},
		{[]string{"KMSDisabled", "KMSInvalidState"}, "",
			"the key of its environment is disabled, or about to be deleted",
			"enable the key; " + lookAtKey, []string{lookAtSettings}},
		{[]string{"KMSNotFound"}, "", "the key of its environment is gone",
			"deploy it with another key; " + lookAtKey, []string{lookAtSettings}},
		{[]string{"InvalidRuntime", "InvalidZipFile"}, "", "its runtime or its code cannot be loaded",
			"deploy it again", nil},
		{[]string{"EC2AccessDenied"}, "", "its role may not make network interfaces",
			"attach AWSLambdaVPCAccessExecutionRole to the role", nil},
		{[]string{"EC2Throttled", "EC2Unexpected"}, "", "Amazon EC2 gave it no network interface", "run this " +
			"again", nil},
		{[]string{"ENILimitReached"}, "", "the limit of network interfaces is reached", "raise that quota of the " +
			"VPC", nil},
		{[]string{"SubnetIPAddressLimitReached"}, "", "its subnets have no free address",
			"deploy it with subnets that have some", nil},
		{[]string{"InvalidSubnetID", "InvalidSecurityGroupID"}, "", "a subnet or security group of it is gone",
			"deploy it with others; look at VpcConfig", []string{lookAtSettings}},
		{[]string{"EFSIO", "EFSMountConnectivity", "EFSMountFailure", "EFSMountTimeout"}, "",
			"its file system cannot be mounted", "Quarterturn needs none: deploy it without", nil},
		{[]string{"Service"}, "", "an internal error of Lambda", "run this again", nil},
	}
}

// invokeAdvice says what an error of Lambda means, and what to do. It is empty for an error of another kind.
func invokeAdvice(function string, err error) string {
	var api apiError
	if !errors.As(err, &api) {
		return ""
	}
	var limited *lambdatypes.TooManyRequestsException
	var reason lambdatypes.ThrottleReason
	if errors.As(err, &limited) {
		reason = limited.Reason
	}
	for _, e := range invokeErrors() {
		for _, code := range e.codes {
			if strings.TrimSuffix(api.ErrorCode(), "Exception") == code && (e.reason == "" || e.reason == reason) {
				lines := append([]string{"the function did not run: " + e.means + ". To fix it: " + e.do}, e.run...)
				return strings.ReplaceAll(strings.Join(lines, "\n  "), "FUNCTION", function)
			}
		}
	}
	return ""
}

// invokeTable is the table for the runbook.
func invokeTable() string {
	var b strings.Builder
	b.WriteString("| error of Lambda | means | do |\n|---|---|---|\n")
	for _, e := range invokeErrors() {
		names := "`" + strings.Join(e.codes, "Exception`, `") + "Exception`"
		if e.reason != "" {
			names += ", reason `" + string(e.reason) + "`"
		}
		do := e.do
		for i, command := range e.run {
			do += []string{": ", ", "}[min(i, 1)] + "`" + strings.ReplaceAll(command, "FUNCTION", "NAME") + "`"
		}
		b.WriteString("| " + names + " | " + e.means + " | " + do + " |\n")
	}
	return b.String()
}
