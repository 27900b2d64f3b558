package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"

	"github.com/quarterturn-dev/quarterturn/testutil/lambdahost"
	"github.com/quarterturn-dev/quarterturn/testutil/localaws"
)

// TestWhatAnOperatorBreaksAndMends: a function that is stopped, or has other settings; a key that is made, and disabled;
// a permission that the role lacks.
func TestWhatAnOperatorBreaksAndMends(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	said, bootstrap := filepath.Join(dir, "said"), filepath.Join(dir, "bootstrap")
	if err := os.WriteFile(bootstrap, []byte("#!/bin/sh\necho \"$SETTING-$OTHER\" >"+said+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	s, err := start(localaws.Config{Functions: []localaws.Function{{Name: "f", Bootstrap: bootstrap,
		Env: []string{"SETTING=before", "OTHER=x"}}}}, scene{denied: []string{"secretsmanager:DescribeSecret"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	as := func(key string) aws.CredentialsProvider {
		return credentials.NewStaticCredentialsProvider(key, "test", "")
	}
	functions := lambda.New(lambda.Options{BaseEndpoint: &s.URL, Region: "us-east-1", Credentials: as("test"),
		RetryMaxAttempts: 1})
	keys := kms.New(kms.Options{BaseEndpoint: &s.URL, Region: "us-east-1", Credentials: as("test")})
	secrets := secretsmanager.New(secretsmanager.Options{BaseEndpoint: &s.URL, Region: "us-east-1", Credentials: as("test")})
	f, app := aws.String("f"), aws.String("app")
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	refused := func(code string) func(any, error) {
		return func(_ any, err error) {
			t.Helper()
			if api := smithy.APIError(nil); !errors.As(err, &api) || api.ErrorCode() != code {
				t.Errorf("want %s: %v", code, err)
			}
		}
	}
	invoke := func() (any, error) { return functions.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: f}) }
	sees := func(want string) {
		t.Helper()
		must(invoke())
		if got, err := os.ReadFile(said); strings.TrimSpace(string(got)) != want {
			t.Errorf("the function sees %q, want %q: %v", got, want, err)
		}
	}
	sees("before-x")
	must(functions.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{FunctionName: f,
		Environment: &lambdatypes.Environment{Variables: map[string]string{"SETTING": "after"}}}))
	sees("after-")
	refused("ValidationException")(functions.UpdateFunctionConfiguration(t.Context(),
		&lambda.UpdateFunctionConfigurationInput{FunctionName: f, Timeout: aws.Int32(3)}))
	must(functions.PutFunctionConcurrency(t.Context(), &lambda.PutFunctionConcurrencyInput{FunctionName: f,
		ReservedConcurrentExecutions: aws.Int32(0)}))
	refused("TooManyRequestsException")(invoke())
	must(functions.DeleteFunctionConcurrency(t.Context(), &lambda.DeleteFunctionConcurrencyInput{FunctionName: f}))
	sees("after-")

	key, err := keys.CreateKey(t.Context(), &kms.CreateKeyInput{Description: aws.String("mine")})
	must(key, err)
	alias := &kms.CreateAliasInput{AliasName: aws.String("alias/mine"), TargetKeyId: key.KeyMetadata.KeyId}
	must(keys.CreateAlias(t.Context(), alias))
	refused("AlreadyExistsException")(keys.CreateAlias(t.Context(), alias))
	if list, err := keys.ListAliases(t.Context(), &kms.ListAliasesInput{KeyId: key.KeyMetadata.Arn}); err != nil ||
		len(list.Aliases) != 1 || *list.Aliases[0].TargetKeyId != *key.KeyMetadata.KeyId {
		t.Errorf("%+v %v", list, err)
	}
	must(secrets.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: app, SecretString: aws.String("a"),
		KmsKeyId: aws.String("alias/mine")}))
	read := func() (any, error) {
		return secrets.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: app})
	}
	must(read())
	must(keys.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: key.KeyMetadata.KeyId}))
	if _, err := read(); err == nil {
		t.Error("the key is disabled, and the secret is read")
	}
	must(keys.EnableKey(t.Context(), &kms.EnableKeyInput{KeyId: key.KeyMetadata.KeyId}))
	must(read())

	function := secretsmanager.New(secretsmanager.Options{BaseEndpoint: &s.URL, Region: "us-east-1",
		Credentials: as(lambdahost.AccessKey)})
	describe := func() (any, error) {
		return function.DescribeSecret(context.Background(), &secretsmanager.DescribeSecretInput{SecretId: app})
	}
	roles := iam.New(iam.Options{BaseEndpoint: &s.URL, Region: "us-east-1", Credentials: as("test")})
	role, policy := aws.String("rotation"), aws.String("more")
	refused("AccessDeniedException")(describe())
	refused("MalformedPolicyDocument")(roles.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: role,
		PolicyName: policy, PolicyDocument: aws.String("{}")}))
	must(roles.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: role, PolicyName: policy,
		PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":{"Effect":"Allow",` +
			`"Action":"secretsmanager:DescribeSecret","Resource":"*"}}`)}))
	must(describe())
	must(roles.DeleteRolePolicy(t.Context(), &iam.DeleteRolePolicyInput{RoleName: role, PolicyName: policy}))
	refused("AccessDeniedException")(describe())
	refused("NoSuchEntity")(roles.DeleteRolePolicy(t.Context(), &iam.DeleteRolePolicyInput{RoleName: role,
		PolicyName: policy}))
}
