// Package clients fetches the programs of others that tests point at the emulator, or compare with it: the AWS CLI in
// both versions, boto3, a moto server, Terraform. Nothing of them is taken from PATH but Terraform, which comes with no
// registry that we use.
package clients

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quarterturn-dev/quarterturn/testutil/internal/fetched"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// requirements are the packages of the environment, each with its hashes.
//
//go:embed requirements.txt
var requirements []byte

// Client is a program that talks to AWS.
type Client struct {
	command []string // with its first arguments
	env     []string
	flag    bool // the address is given by a flag: older releases do not read AWS_ENDPOINT_URL
}

// Command is the program with further arguments, as the caller with an access key, in us-east-1. It knows no address
// but url, and none of the settings and credentials of this machine.
func (c Client) Command(ctx context.Context, url, accessKey string, args ...string) *exec.Cmd {
	if c.flag && url != "" {
		args = append([]string{"--endpoint-url", url}, args...)
	}
	cmd := exec.CommandContext(ctx, c.command[0], append(slices.Clone(c.command[1:]), args...)...)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(s string) bool {
		return strings.HasPrefix(s, "AWS_") || strings.HasPrefix(s, "TF_")
	})
	cmd.Env = append(cmd.Env, "AWS_ENDPOINT_URL="+url, "AWS_ACCESS_KEY_ID="+accessKey, "AWS_SECRET_ACCESS_KEY=none",
		"AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1", "AWS_PAGER=", "AWS_MAX_ATTEMPTS=1",
		"AWS_EC2_METADATA_DISABLED=true",
		"AWS_CONFIG_FILE="+os.DevNull, "AWS_SHARED_CREDENTIALS_FILE="+os.DevNull)
	cmd.Env = append(cmd.Env, c.env...)
	return cmd
}

// python is the environment with requirements in the project at root, fetched where it is missing.
func python(t testing.TB, root string) fetched.Python {
	t.Helper()
	tier.Long(t)
	env, err := fetched.PythonIn(root, "clients", requirements)
	if err != nil {
		t.Fatal(err)
	}
	if err := env.Install(t.Context(), io.Discard); err != nil {
		tier.Missing(t, fmt.Errorf("clients in Python: %w", err))
	}
	return env
}

// CLI1 is version 1 of the AWS CLI, pip's.
func CLI1(t testing.TB, root string) Client {
	t.Helper()
	return version(t, "aws-cli/1.", Client{command: []string{python(t, root).Path("aws")}, flag: true})
}

// CLI2 is version 2 of the AWS CLI, of Debian's package awscli: unpacked, and run from there by the python3 of Debian,
// whose libraries it uses.
func CLI2(t testing.TB, root string) Client {
	t.Helper()
	tier.Long(t)
	dir, err := fetched.Folder(root, "awscli2")
	if err != nil {
		t.Fatal(err)
	}
	if err := fetched.Once(dir, func() error {
		needs, err := fetched.DebianNeeds(t.Context(), "awscli")
		if err != nil {
			return err
		}
		return fetched.Debian(t.Context(), dir, needs...)
	}); err != nil {
		tier.Missing(t, fmt.Errorf("version 2 of the AWS CLI: %w", err))
	}
	return version(t, "aws-cli/2.", Client{flag: true, command: []string{"/usr/bin/python3",
		filepath.Join(dir, "usr/bin/aws")},
		env: []string{"PYTHONPATH=" + filepath.Join(dir, "usr/lib/python3/dist-packages")}})
}

func version(t testing.TB, want string, c Client) Client {
	t.Helper()
	out, err := c.Command(t.Context(), "", "", "--version").CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), want) {
		tier.Missing(t, fmt.Errorf("%v is not %s: %v: %s", c.command, want, err, out))
	}
	return c
}

// Boto3 is a Python that has boto3.
func Boto3(t testing.TB, root string) Client {
	t.Helper()
	return Client{command: []string{python(t, root).Path("python")}}
}

// Moto starts a moto server, which ends with the test, and is its address.
func Moto(t testing.TB, root string) string {
	t.Helper()
	path := python(t, root).Path("moto_server")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	var said bytes.Buffer
	cmd := exec.Command(path, "-H", "127.0.0.1", "-p", fmt.Sprint(port))
	cmd.Env = append(os.Environ(), "MOTO_CALL_RESET_API=false")
	cmd.Stdout, cmd.Stderr = io.Discard, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	url := fmt.Sprintf("http://127.0.0.1:%d", port)
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if resp, err := http.Get(url + "/moto-api/"); err == nil {
			resp.Body.Close()
			return url
		}
	}
	t.Fatalf("moto does not answer: %s", said.String())
	return ""
}

// Terraform is a terraform in a folder whose files name the provider hashicorp/aws, initialized. The provider is one of
// this machine, where a folder of providers is found, and of Terraform's own registry otherwise.
func Terraform(t testing.TB, dir string) Client {
	t.Helper()
	c := Client{command: []string{tier.Program(t, "terraform", "https://developer.hashicorp.com/terraform/install"),
		"-chdir=" + dir},
		env: []string{"CHECKPOINT_DISABLE=1", "TF_IN_AUTOMATION=1", "TF_CLI_ARGS=-no-color"}}
	args := []string{"init", "-input=false"}
	if plugins := providers(); plugins != "" {
		args = append(args, "-plugin-dir="+plugins)
	}
	if out, err := c.Command(t.Context(), "", "", args...).CombinedOutput(); err != nil {
		tier.Missing(t, fmt.Errorf("terraform init: %w\n%s", err, out))
	}
	return c
}

// providers is a folder with Terraform's provider for AWS, "" where none is found. Terraform itself looks into some of
// them.
func providers() string {
	home, _ := os.UserHomeDir()
	for _, pattern := range []string{filepath.Join(home, ".terraform.d/plugins"), "/usr/local/share/terraform/plugins",
		"/usr/share/terraform/plugins", "/opt/*"} {
		found, _ := filepath.Glob(filepath.Join(pattern, "registry.terraform.io/hashicorp/aws"))
		for _, f := range found {
			return filepath.Dir(filepath.Dir(filepath.Dir(f)))
		}
	}
	return ""
}
