package fleet

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go"

	"github.com/quarterturn-dev/quarterturn/rotator/awsstore"
)

// client makes the calls of one account and Region, and counts them. None of them reads a
// value.
type client struct {
	secrets *secretsmanager.Client
	lambda  *lambda.Client
	kms     *kms.Client
	calls   map[string]int
}

// attempts is how often a call is tried that is throttled or not answered.
const attempts = 5

func newClient(cfg aws.Config) *client {
	cfg = cfg.Copy()
	// Adaptive: what is throttled slows everything that follows, so that retries do not
	// become the load.
	cfg.Retryer = func() aws.Retryer {
		return retry.NewAdaptiveMode(func(o *retry.AdaptiveModeOptions) {
			o.StandardOptions = append(o.StandardOptions, func(o *retry.StandardOptions) {
				o.MaxAttempts, o.MaxBackoff = attempts, 5*time.Second
			})
		})
	}
	return &client{
		secrets: secretsmanager.NewFromConfig(cfg), lambda: lambda.NewFromConfig(cfg), kms: kms.NewFromConfig(cfg),
		calls: map[string]int{},
	}
}

// list gives the secrets of a place, page by page, those scheduled for deletion included.
func (c *client) list(ctx context.Context, p Place, page func([]Secret)) error {
	pages := secretsmanager.NewListSecretsPaginator(c.secrets, &secretsmanager.ListSecretsInput{
		IncludePlannedDeletion: aws.Bool(true), MaxResults: aws.Int32(100),
	})
	for pages.HasMorePages() {
		c.calls[list]++
		out, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		secrets := make([]Secret, len(out.SecretList))
		for i, e := range out.SecretList {
			secrets[i] = p.secret(e)
		}
		page(secrets)
	}
	return nil
}

// secret is what AWS says of a secret of the place.
func (p Place) secret(e types.SecretListEntry) Secret {
	return Secret{
		ARN: aws.ToString(e.ARN), Name: aws.ToString(e.Name), Account: p.Account, Region: p.Region, Tags: tags(e.Tags),
		RotationEnabled: e.RotationEnabled, FunctionARN: aws.ToString(e.RotationLambdaARN),
		Rules: awsstore.RotationRules(e.RotationRules), Created: date(e.CreatedDate),
		LastRotated: date(e.LastRotatedDate), LastChanged: date(e.LastChangedDate),
		LastAccessed: date(e.LastAccessedDate), NextRotation: date(e.NextRotationDate),
		Deleted: date(e.DeletedDate), KMSKeyID: aws.ToString(e.KmsKeyId), OwningService: aws.ToString(e.OwningService),
		Type: aws.ToString(e.Type), PrimaryRegion: aws.ToString(e.PrimaryRegion), Labels: e.SecretVersionsToStages,
	}
}

func (c *client) describe(ctx context.Context, p Place, arn string) (Secret, error) {
	c.calls[describe]++
	e, err := c.secrets.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &arn})
	if err != nil {
		return Secret{}, err
	}
	s := p.secret(types.SecretListEntry{ // the same members, but for the name of one
		ARN: e.ARN, Name: e.Name, Tags: e.Tags, RotationEnabled: e.RotationEnabled,
		RotationLambdaARN: e.RotationLambdaARN, RotationRules: e.RotationRules, CreatedDate: e.CreatedDate,
		LastRotatedDate: e.LastRotatedDate, LastChangedDate: e.LastChangedDate, LastAccessedDate: e.LastAccessedDate,
		NextRotationDate: e.NextRotationDate, DeletedDate: e.DeletedDate, KmsKeyId: e.KmsKeyId,
		OwningService: e.OwningService, Type: e.Type, PrimaryRegion: e.PrimaryRegion,
		SecretVersionsToStages: e.VersionIdsToStages,
	})
	for _, r := range e.ReplicationStatus {
		s.Replicas = append(s.Replicas,
			Replica{aws.ToString(r.Region), string(r.Status), aws.ToString(r.StatusMessage)})
	}
	return s, nil
}

func (c *client) versions(ctx context.Context, arn string) ([]Version, error) {
	all := []Version{}
	pages := secretsmanager.NewListSecretVersionIdsPaginator(c.secrets, &secretsmanager.ListSecretVersionIdsInput{
		SecretId: &arn, IncludeDeprecated: aws.Bool(true), MaxResults: aws.Int32(100),
	})
	for pages.HasMorePages() {
		c.calls[versions]++
		out, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, v := range out.Versions {
			all = append(all, Version{aws.ToString(v.VersionId), v.VersionStages, date(v.CreatedDate)})
		}
	}
	return all, nil
}

func (c *client) resourcePolicy(ctx context.Context, arn string) (string, error) {
	c.calls["GetResourcePolicy"]++
	out, err := c.secrets.GetResourcePolicy(ctx, &secretsmanager.GetResourcePolicyInput{SecretId: &arn})
	if err != nil {
		return "", err
	}
	return aws.ToString(out.ResourcePolicy), nil
}

// function fills in what Lambda says, and gives the calls that failed. GetFunctionConcurrency
// is asked of every function: unlike GetFunctionConfiguration it does not return the
// environment, so that the reader needs the latter for known functions alone.
func (c *client) function(ctx context.Context, fn *Function) map[string]error {
	failed := map[string]error{}
	try := func(call string, f func() error) {
		c.calls[call]++
		err := f()
		var gone *lambdatypes.ResourceNotFoundException
		switch {
		case err == nil:
		case errors.As(err, &gone):
			if call == "GetFunctionConcurrency" {
				fn.Gone = true
			}
			if call == "GetPolicy" { // the function may simply have none
				fn.PolicyRead = true
			}
		default:
			failed[call] = err
		}
	}
	try("GetFunctionConcurrency", func() error {
		out, err := c.lambda.GetFunctionConcurrency(ctx, &lambda.GetFunctionConcurrencyInput{FunctionName: &fn.ARN})
		if err == nil && out.ReservedConcurrentExecutions != nil {
			n := int(*out.ReservedConcurrentExecutions)
			fn.Reserved = &n
		}
		return err
	})
	if fn.Gone {
		return failed
	}
	if fn.Ours || strings.HasPrefix(functionName(fn.ARN), "SecretsManager") {
		try("GetFunctionConfiguration", func() error {
			out, err := c.lambda.GetFunctionConfiguration(ctx,
				&lambda.GetFunctionConfigurationInput{FunctionName: &fn.ARN})
			if err == nil {
				fn.State, fn.LastUpdate, fn.Runtime = string(out.State), string(out.LastUpdateStatus),
					string(out.Runtime)
				if e := out.Environment; fn.Ours && (e == nil || e.Error == nil) {
					fn.settingsRead = true
					if e != nil {
						fn.settings = e.Variables
					}
				}
			}
			return err
		})
	}
	try("GetPolicy", func() error {
		out, err := c.lambda.GetPolicy(ctx, &lambda.GetPolicyInput{FunctionName: &fn.ARN})
		if err == nil {
			fn.Policy, fn.PolicyRead = aws.ToString(out.Policy), true
		}
		return err
	})
	return failed
}

func (c *client) key(ctx context.Context, id string) (*Key, error) {
	c.calls["DescribeKey"]++
	out, err := c.kms.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &id})
	if err != nil {
		return nil, err
	}
	return &Key{ID: id, State: string(out.KeyMetadata.KeyState), Deletion: date(out.KeyMetadata.DeletionDate)}, nil
}

const assumeRole = "AssumeRole"

// permissions are the actions behind the calls, as IAM names them.
var permissions = map[string]string{
	list: "secretsmanager:ListSecrets", describe: "secretsmanager:DescribeSecret",
	versions:            "secretsmanager:ListSecretVersionIds",
	"GetResourcePolicy": "secretsmanager:GetResourcePolicy", "GetFunctionConcurrency": "lambda:GetFunctionConcurrency",
	"GetFunctionConfiguration": "lambda:GetFunctionConfiguration", "GetPolicy": "lambda:GetPolicy",
	"DescribeKey": "kms:DescribeKey",
	assumeRole:    "sts:AssumeRole", "ListAccounts": "organizations:ListAccounts",
}

// assumed says whether a call failed before it was made: its credentials are those of a role
// that could not be assumed.
func assumed(err error) bool {
	for operation := (*smithy.OperationError)(nil); errors.As(err, &operation); err = operation.Unwrap() {
		if operation.Operation() == "AssumeRole" {
			return true
		}
	}
	return false
}

// throttled says whether a call was refused for its rate to the end.
func throttled(err error) bool {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return false
	}
	_, known := retry.DefaultThrottleErrorCodes[api.ErrorCode()]
	return known
}

// reason is why a call could not be made, in AWS's words.
func reason(call string, err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return fmt.Sprintf("%s (%s): %s", permissions[call], api.ErrorCode(), api.ErrorMessage())
	}
	return err.Error()
}

// grant is the statement to add to the reader's role for a call that was denied.
func grant(u Unreadable) string {
	switch {
	case !strings.Contains(u.Reason, "AccessDenied") || permissions[u.Call] == "":
		return ""
	case u.Call == assumeRole:
		return "deploy the role in account " + u.Account +
			", with this identity as ReaderArn: deploy/cloudformation/fleet-reader.yaml"
	}
	return `{"Effect":"Allow","Action":"` + permissions[u.Call] + `","Resource":"*"}`
}

func date(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

func tags(list []types.Tag) map[string]string {
	all := map[string]string{}
	for _, t := range list {
		all[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	return all
}
