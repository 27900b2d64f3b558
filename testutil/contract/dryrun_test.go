package contract

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/awsstore"
	"github.com/quarterturn-dev/quarterturn/rotator/iam"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// TestTheCLIsDryRunSeesAMissingPermission drives aws secretsmanager rotate-secret --no-rotate-immediately by the AWS CLI, of
// version 1 and of version 2, with both forms of the pending version that a configuration test can have. It is a preflight:
// the role of the function lacks UpdateSecretVersionStage, and TestRotationFailed says that S8 is denied. With the permission
// the same test succeeds.
func TestTheCLIsDryRunSeesAMissingPermission(t *testing.T) {
	for name, cli := range map[string]func(*testing.T) []string{"version 1": cliVersion1, "version 2": cliVersion2} {
		for form, empty := range map[string]bool{"a copy": false, "no value": true} {
			t.Run(name+", "+form, func(t *testing.T) {
				dryRunBy(t, cli(t), empty)
			})
		}
	}
}

const (
	dryFunction = "arn:aws:lambda:us-east-1:" + ownAccount + ":function:rotate"
	dryRole     = "arn:aws:iam::" + ownAccount + ":role/rotate"
)

// dryRunBy rotates a secret of an engine without a network, by a function whose role may do everything, and then everything
// but move labels.
func dryRunBy(t *testing.T, cli []string, empty bool) {
	db := &strategytest.Memory{}
	db.Add(strategytest.Account{Name: "app", Password: secret.NewPassword("old-password-0123456789")})
	role := func(actions ...string) awsemu.Caller {
		return awsemu.Caller{AccessKey: "AKIAFUNCTION", Identity: []iam.NamedPolicy{document("rights", Allow(actions...))},
			Principal: iam.Principal{ARN: strings.Replace(dryRole, ":iam:", ":sts:", 1) + "/f", Role: dryRole}}
	}
	emu := &awsemu.Emulator{EmptyTest: empty, Attempts: 1, Functions: []awsemu.Function{{ARN: dryFunction,
		Policy: document("function", Policy(map[string]any{"Effect": "Allow", "Principal": map[string]string{
			"Service": "secretsmanager.amazonaws.com"}, "Action": "lambda:InvokeFunction", "Resource": dryFunction}))}},
		Callers: []awsemu.Caller{{AccessKey: "AKIAPERSON", Identity: []iam.NamedPolicy{document("all", Allow("*"))},
			Principal: iam.Principal{ARN: "arn:aws:iam::" + ownAccount + ":user/person"}}, role("secretsmanager:*")}}
	server := httptest.NewServer(emu)
	defer server.Close()
	defer emu.Close()
	cfg := aws.Config{Region: "us-east-1", BaseEndpoint: &server.URL,
		Credentials: credentials.NewStaticCredentialsProvider("AKIAFUNCTION", "x", "")}
	function := rotator.Rotator{Store: awsstore.New(cfg, server.URL), Strategy: strategies.SingleUser{Engine: db}}
	emu.Invoke = awsemu.InvokeHandler(func(ctx context.Context, payload []byte) ([]byte, error) {
		report, err := function.HandleJSON(ctx, payload)
		answer, _ := json.Marshal(report)
		return answer, err
	})
	arn := emu.Seed(awsemu.Secret{Name: "app", Versions: []awsemu.Version{{Labels: []string{"AWSCURRENT"}, Value: awsemu.Text(fmt.Sprintf(
		`{"engine":"memory","host":%q,"username":"app","password":"old-password-0123456789"}`, strategytest.MemoryHost))}}})

	rotate := func() awsemu.Rotation {
		t.Helper()
		args := append(cli[1:], "--endpoint-url", server.URL, "--region", "us-east-1", "--output", "json", "secretsmanager", "rotate-secret",
			"--secret-id", "app", "--rotation-lambda-arn", dryFunction, "--rotation-rules", "AutomaticallyAfterDays=30",
			"--no-rotate-immediately")
		cmd := exec.CommandContext(t.Context(), cli[0], args...)
		cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID=AKIAPERSON", "AWS_SECRET_ACCESS_KEY=none", "AWS_PAGER=", "AWS_MAX_ATTEMPTS=1",
			"AWS_CONFIG_FILE="+os.DevNull, "AWS_SHARED_CREDENTIALS_FILE="+os.DevNull, "AWS_EC2_METADATA_DISABLED=true")
		if len(cli) > 1 { // Debian's, which is not installed
			root := filepath.Dir(filepath.Dir(filepath.Dir(cli[1])))
			cmd.Env = append(cmd.Env, "PYTHONPATH="+filepath.Join(root, "usr/lib/python3/dist-packages"))
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("aws secretsmanager rotate-secret: %v\n%s", err, out)
		}
		r, err := emu.WaitRotation(t.Context(), arn)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	before := emu.Snapshot(arn)
	if r := rotate(); r.Outcome != "TestRotationSucceeded" || !r.Test {
		t.Errorf("with every permission: %s %s", r.Outcome, r.Message)
	}
	emu.SetCaller(role("secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue"))
	r := rotate()
	if r.Outcome != "TestRotationFailed" || !strings.Contains(r.Message, "[S8 denied]") || !strings.Contains(r.Message, moveAction) {
		t.Errorf("without UpdateSecretVersionStage: %s %s", r.Outcome, r.Message)
	}
	if last := emu.Events()[len(emu.Events())-1]; last.Name != "TestRotationFailed" || !strings.Contains(last.Message, "[S8 denied]") {
		t.Errorf("the last event is %s: %s", last.Name, last.Message)
	}
	if after := emu.Snapshot(arn); len(after.Versions) != 1 || !after.Holder("AWSCURRENT").Value.Equal(before.Holder("AWSCURRENT").Value) {
		t.Error("the configuration test changed the secret")
	}
}

// cliVersion1 is the AWS CLI of pip.
func cliVersion1(t *testing.T) []string {
	return []string{versioned(t, "aws-cli/1.", tier.Program(t, "aws", "pip install awscli"))}
}

// cliVersion2 is the AWS CLI of Debian's package awscli, fetched by apt-get, unpacked below .cache and run from there: it
// needs no root. Its libraries are Python's, of the python3 that Debian itself has.
func cliVersion2(t *testing.T) []string {
	tier.Long(t)
	root, err := filepath.Abs("../../.cache/awscli-2")
	if err != nil {
		t.Fatal(err)
	}
	program := []string{"/usr/bin/python3", filepath.Join(root, "usr/bin/aws")}
	if _, err := os.Stat(filepath.Join(root, "complete")); err != nil {
		if err := fetchCLI2(t.Context(), root); err != nil {
			tier.Missing(t, fmt.Errorf("version 2 of the AWS CLI: %w", err))
		}
	}
	return program
}

func fetchCLI2(ctx context.Context, root string) error {
	if err := errors.Join(os.RemoveAll(root), os.MkdirAll(root, 0o755)); err != nil {
		return err
	}
	plan, err := exec.CommandContext(ctx, "apt-get", "install", "--simulate", "--no-install-recommends", "awscli").Output()
	if err != nil {
		return fmt.Errorf("apt-get has no awscli: %w", err)
	}
	download := []string{"download"}
	for _, line := range strings.Split(string(plan), "\n") {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "Inst" {
			download = append(download, f[1])
		}
	}
	debs, err := os.MkdirTemp("", "awscli")
	if err != nil {
		return err
	}
	defer os.RemoveAll(debs)
	get := exec.CommandContext(ctx, "apt-get", download...)
	get.Dir = debs
	if out, err := get.CombinedOutput(); err != nil {
		return fmt.Errorf("apt-get download: %w\n%s", err, out)
	}
	files, err := filepath.Glob(filepath.Join(debs, "*.deb"))
	if err != nil || len(files) == 0 {
		return errors.New("apt-get downloaded nothing: the package awscli is installed, or is not there")
	}
	for _, deb := range files {
		if out, err := exec.CommandContext(ctx, "dpkg-deb", "-x", deb, root).CombinedOutput(); err != nil {
			return fmt.Errorf("dpkg-deb: %w\n%s", err, out)
		}
	}
	return os.WriteFile(filepath.Join(root, "complete"), nil, 0o644)
}

// versioned skips a test whose program is of another version.
func versioned(t *testing.T, want, path string) string {
	out, err := exec.CommandContext(t.Context(), path, "--version").CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), want) {
		tier.Missing(t, fmt.Errorf("%s is not %s: %s", path, want, out))
	}
	return path
}
