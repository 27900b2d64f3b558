package contract

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/quarterturn-dev/quarterturn/testutil/internal/disk"
)

// Account is a Supply that makes what rows need in an AWS account, when it is first needed. Close removes it all.
//
// What the caller may not make is no failure: the rows that need it are not tried, and say why. Rows that need nothing
// of it run with permissions on Secrets Manager alone.
type Account struct {
	Config aws.Config
	// Second are credentials of an administrator of another account; nil: rows about another account are not tried.
	Second *aws.Config
	// Module is the folder of this project's source, from which the echo function is built; "": the current one.
	Module string
	// Settle is how long IAM and Lambda need until what was made works everywhere; 0: 15 seconds.
	Settle time.Duration
	// Say is told what is made and removed; nil: nothing is.
	Say func(format string, args ...any)

	name     string // begins the names of everything
	account  string
	arn      string // of the caller
	keys     map[string]string
	function string
	roles    []string
	undo     []undo
}

type undo struct {
	what string
	do   func(context.Context) error
}

// Plan says what a run makes in the account, and what it costs.
func (a *Account) Plan(rows []Row) string {
	var b strings.Builder
	has := map[Needs]int{}
	for _, r := range rows {
		for n := NeedKey; n <= NeedLambda; n <<= 1 {
			if r.Needs&n != 0 {
				has[n]++
			}
		}
	}
	fmt.Fprintf(&b, "This makes, uses and removes in Region %s, with names that begin with %s:\n", a.Config.Region,
		Prefix)
	fmt.Fprintf(&b, "  about %d secrets, each for seconds and deleted without recovery: less than 0.05 USD with all "+
		"API calls\n", len(rows)*3/2)
	if has[NeedKey] > 0 {
		fmt.Fprintf(&b, "  3 customer keys, for %d rows: a key costs 1 USD a month by the hour, so less than 0.01 "+
			"USD; each is then scheduled for deletion in 7 days, which costs nothing\n", has[NeedKey])
	}
	if has[NeedFunction] > 0 {
		fmt.Fprintf(&b, "  1 Lambda function of 128 MB with its role, for %d rows: within the free tier, otherwise "+
			"less than 0.01 USD\n", has[NeedFunction])
	}
	if has[NeedRole] > 0 {
		fmt.Fprintf(&b, "  up to %d IAM roles, some with a policy as permissions boundary: free\n", has[NeedRole])
	}
	if a.Second == nil {
		fmt.Fprintf(&b, "  %d rows about a second account are not tried (give a profile of one with -second)\n",
			has[NeedAccount])
	}
	fmt.Fprintf(&b, "  nothing in RDS: %d rows about secrets that RDS manages are not tried\n", has[NeedManaged])
	b.WriteString("It takes about 20 minutes. Failed calls appear in CloudTrail, among them denials, and may trip " +
		"alarms.\n")
	return b.String()
}

// Has is what this account can supply.
func (a *Account) Has() Needs {
	has := NeedKey | NeedFunction | NeedRole | NeedLambda
	if a.Second != nil {
		has |= NeedAccount
	}
	return has
}

func (a *Account) begin(ctx context.Context) error {
	if a.account != "" {
		return nil
	}
	id, err := sts.NewFromConfig(a.Config).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return wrap("GetCallerIdentity", err)
	}
	a.account, a.arn = aws.ToString(id.Account), aws.ToString(id.Arn)
	a.name = Prefix + random(4)
	a.keys = map[string]string{}
	return nil
}

func (a *Account) partition() string { return strings.Join(strings.SplitN(a.arn, ":", 3)[:2], ":") }

func (a *Account) say(format string, args ...any) {
	if a.Say != nil {
		a.Say(format, args...)
	}
}

// later notes how to remove what was just made.
func (a *Account) later(what string, do func(context.Context) error) {
	a.say("made %s", what)
	a.undo = append(a.undo, undo{what, do})
}

// missing turns the failure to make something into a reason why rows are not tried.
func missing(what string, err error) error {
	return fmt.Errorf("%w: %s: %w", ErrMissing, what, err)
}

func (a *Account) settle(ctx context.Context) {
	d := a.Settle
	if d == 0 {
		d = 15 * time.Second
	}
	wait(ctx, d)
}

// Key implements Supply.
func (a *Account) Key(ctx context.Context, name string) (string, error) {
	if err := a.begin(ctx); err != nil {
		return "", err
	}
	if arn, ok := a.keys[name]; ok {
		return arn, nil
	}
	other := ""
	if a.Second != nil {
		id, err := sts.NewFromConfig(*a.Second).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
		if err != nil {
			return "", wrap("GetCallerIdentity of the second account", err)
		}
		other = a.partition() + ":iam::" + aws.ToString(id.Account) + ":root"
	}
	client := kms.NewFromConfig(a.Config)
	out, err := client.CreateKey(ctx, &kms.CreateKeyInput{Description: aws.String(a.name + " " + name),
		Policy: aws.String(keyPolicy(name, a.partition()+":iam::"+a.account+":root", other))})
	if err != nil {
		return "", missing("CreateKey", err)
	}
	arn := aws.ToString(out.KeyMetadata.Arn)
	a.keys[name] = arn
	a.later("key "+arn, func(ctx context.Context) error {
		_, err := client.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: out.KeyMetadata.KeyId,
			PendingWindowInDays: aws.Int32(7)})
		return err
	})
	a.settle(ctx)
	return arn, nil
}

// Role implements Supply.
func (a *Account) Role(ctx context.Context, r Rights) (aws.Config, error) {
	if err := a.begin(ctx); err != nil {
		return a.Config, err
	}
	arn, err := a.makeRole(ctx, trust(a.partition()+":iam::"+a.account+":root"), r)
	if err != nil {
		return a.Config, err
	}
	return assumed(ctx, a.Config, arn, r.Session)
}

// makeRole makes a role, with its policies, and waits until it can be used.
func (a *Account) makeRole(ctx context.Context, trust string, r Rights) (string, error) {
	client := iam.NewFromConfig(a.Config)
	name := fmt.Sprintf("%s-%d", a.name, len(a.roles))
	in := &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &trust,
		Description: aws.String("made by make contract, to be deleted")}
	if r.Boundary != "" {
		p, err := client.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: &name, PolicyDocument: &r.Boundary})
		if err != nil {
			return "", missing("CreatePolicy", err)
		}
		in.PermissionsBoundary = p.Policy.Arn
		a.later("policy "+name, func(ctx context.Context) error {
			_, err := client.DeletePolicy(ctx, &iam.DeletePolicyInput{PolicyArn: p.Policy.Arn})
			return err
		})
	}
	out, err := client.CreateRole(ctx, in)
	if err != nil {
		return "", missing("CreateRole", err)
	}
	a.roles = append(a.roles, name)
	a.later("role "+name, func(ctx context.Context) error {
		_, err := client.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: &name})
		return err
	})
	if r.Identity != "" {
		if _, err := client.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: &name,
			PolicyName:     aws.String("rights"),
			PolicyDocument: &r.Identity}); err != nil {
			return "", missing("PutRolePolicy", err)
		}
		a.later("policy of role "+name, func(ctx context.Context) error {
			_, err := client.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: &name,
				PolicyName: aws.String("rights")})
			return err
		})
	}
	a.settle(ctx)
	return aws.ToString(out.Role.Arn), nil
}

// Other implements Supply.
func (a *Account) Other(context.Context) (aws.Config, error) {
	if a.Second == nil {
		return a.Config, missing("second account", errors.New("no profile was given"))
	}
	return *a.Second, nil
}

// Function implements Supply: testutil/cmd/contractecho, built, packed and allowed to be invoked by Secrets Manager.
func (a *Account) Function(ctx context.Context) (string, error) {
	if err := a.begin(ctx); err != nil || a.function != "" {
		return a.function, err
	}
	code, err := echoZip(ctx, a.Module)
	if err != nil {
		return "", err
	}
	secrets := a.partition() + ":secretsmanager:*:" + a.account + ":secret:" + Prefix + "*"
	role, err := a.makeRole(ctx, Policy(map[string]any{"Effect": "Allow",
		"Principal": map[string]string{"Service": "lambda.amazonaws.com"},
		"Action":    "sts:AssumeRole"}), Rights{Identity: Policy(map[string]any{"Effect": "Allow", "Action": []string{
		"secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue",
		"secretsmanager:UpdateSecretVersionStage", "secretsmanager:CreateSecret"}, "Resource": secrets})})
	if err != nil {
		return "", err
	}
	client := lambda.NewFromConfig(a.Config)
	name := a.name + "-echo"
	out, err := client.CreateFunction(ctx, &lambda.CreateFunctionInput{FunctionName: &name, Role: &role,
		Runtime: lambdatypes.RuntimeProvidedal2023,
		Handler: aws.String("bootstrap"), Architectures: []lambdatypes.Architecture{lambdatypes.ArchitectureArm64},
		Timeout: aws.Int32(30), Code: &lambdatypes.FunctionCode{ZipFile: code}})
	if err != nil {
		return "", missing("CreateFunction", err)
	}
	a.later("function "+name, func(ctx context.Context) error {
		_, err := client.DeleteFunction(ctx, &lambda.DeleteFunctionInput{FunctionName: &name})
		return err
	})
	if _, err := client.AddPermission(ctx, &lambda.AddPermissionInput{FunctionName: &name,
		StatementId: aws.String("contract"),
		Action:      aws.String("lambda:InvokeFunction"), Principal: aws.String("secretsmanager.amazonaws.com"),
		SourceAccount: &a.account}); err != nil {
		return "", missing("AddPermission", err)
	}
	if err := lambda.NewFunctionActiveV2Waiter(client).Wait(ctx, &lambda.GetFunctionInput{FunctionName: &name},
		2*time.Minute); err != nil {
		return "", missing("function", err)
	}
	a.function = aws.ToString(out.FunctionArn)
	a.settle(ctx)
	return a.function, nil
}

// echoZip builds the echo function and packs it.
func echoZip(ctx context.Context, module string) ([]byte, error) {
	dir, err := disk.Temp("", "contract")
	if err != nil {
		return nil, err
	}
	defer dir.Remove()
	path := filepath.Join(dir.Path, "bootstrap")
	build := exec.CommandContext(ctx, "go", "build", "-tags", "lambda.norpc", "-trimpath", "-ldflags", "-s -w", "-o",
		path,
		"github.com/quarterturn-dev/quarterturn/testutil/cmd/contractecho")
	build.Dir = module
	build.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build of the echo function: %w\n%s", err, out)
	}
	binary, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	h := &zip.FileHeader{Name: "bootstrap", Method: zip.Deflate}
	h.SetMode(0o755)
	w, err := z.CreateHeader(h)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(binary); err != nil {
		return nil, err
	}
	return b.Bytes(), z.Close()
}

// Close removes everything that was made, last first, and every secret whose name begins as this package's do. It goes
// on after a failure, and names what is left.
func (a *Account) Close(ctx context.Context) error {
	var errs []error
	for i := len(a.undo) - 1; i >= 0; i-- {
		u := a.undo[i]
		if err := u.do(ctx); err != nil {
			errs = append(errs, fmt.Errorf("%s is left: %w", u.what, err))
			continue
		}
		a.say("removed %s", u.what)
	}
	a.undo = nil
	return errors.Join(append(errs, a.sweep(ctx))...)
}

// sweep deletes secrets of this package that are still there.
func (a *Account) sweep(ctx context.Context) error {
	client := secretsmanager.NewFromConfig(a.Config)
	pages := secretsmanager.NewListSecretsPaginator(client, &secretsmanager.ListSecretsInput{
		Filters:                []types.Filter{{Key: types.FilterNameStringTypeName, Values: []string{Prefix}}},
		IncludePlannedDeletion: aws.Bool(true)})
	var errs []error
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("secrets that begin with %s may be left: %w", Prefix, err)
		}
		for _, s := range page.SecretList {
			if !strings.HasPrefix(aws.ToString(s.Name), Prefix) {
				continue
			}
			if _, err := client.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: s.ARN,
				ForceDeleteWithoutRecovery: aws.Bool(true)}); err != nil {
				errs = append(errs, fmt.Errorf("secret %s is left: %w", aws.ToString(s.Name), err))
				continue
			}
			a.say("removed secret %s", aws.ToString(s.Name))
		}
	}
	return errors.Join(errs...)
}
