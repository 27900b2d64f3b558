package samtest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/quarterturn-dev/quarterturn/testutil/internal/disk"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// TestSAMLocalInvoke is `sam local invoke` itself, in a Docker engine of our own:
// the functions as `sam build` made them, with the events in sam/events, against the
// emulator on this machine as docs/deploy.md says.
// It takes minutes: a Docker engine starts and builds an image, and each invocation has a container of its own.
func TestSAMLocalInvoke(t *testing.T) {
	t.Parallel()
	tier.Long(t)
	tools := tools(t)
	engine, err := EngineIn(root)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	dir, err := disk.Temp("", "docker") // short, for the socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Remove() })
	daemon, err := engine.Start(dir.Path)
	if errors.Is(err, ErrNoEngine) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := daemon.Stop(); err != nil {
			t.Error(err)
		}
	})
	architecture := strings.Replace(runtime.GOARCH, "amd64", "x86_64", 1)
	if err := daemon.RuntimeImage(ctx, tools, architecture, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	url := startEmulator(t)
	port := url[strings.LastIndex(url, ":"):]
	variables := filepath.Join(t.TempDir(), "env.json")
	text, err := os.ReadFile(filepath.Join(root, "sam", "env.json"))
	if err == nil {
		err = os.WriteFile(variables, []byte(strings.Replace(string(text), ":4566", port, 1)), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ function, event, says string }{
		{"PostgresSingleUser", "preflight-text", "none blocks a rotation"},
		{"PostgresAlternatingUsers", "createSecret", `createSecret done`},
		{"PostgresSingleUser", "unknown-version", `"errorType": "StepError"`},
	} {
		t.Run(c.function+" "+c.event, func(t *testing.T) {
			env := []string{"DOCKER_HOST=" + daemon.Host(), "AWS_ENDPOINT_URL=" + url, "AWS_ACCESS_KEY_ID=test",
				"AWS_SECRET_ACCESS_KEY=test",
				"SAM_CLI_CONTAINER_CONNECTION_TIMEOUT=300"} // a slow machine is no failure
			out, err := tools.Command(ctx, root, env, "sam", "local", "invoke", c.function, "--event", "sam/events/"+
				c.event+".json",
				"--template", filepath.Join(samBuild(t, runtime.GOARCH), "template.yaml"), "--env-vars", variables,
				"--parameter-overrides", "Architecture="+architecture, "--skip-pull-image", "--add-host",
				"host.docker.internal:host-gateway").CombinedOutput()
			if err != nil || !strings.Contains(strings.ReplaceAll(string(out), `":"`, `": "`), c.says) {
				t.Errorf("%v, and %q is not in\n%s", err, c.says, out)
			}
		})
	}
}

// startEmulator runs the command that people run, and gives its address.
func startEmulator(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "emulator")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./testutil/cmd/emulator")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(binary, "-events", "-docker", "-address", "127.0.0.1:0")
	endWithUs(cmd)
	out, err := cmd.StdoutPipe()
	if err == nil {
		cmd.Stderr = cmd.Stdout
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		cmd.Wait()
	})
	said := ""
	for lines := bufio.NewScanner(out); lines.Scan(); {
		said += fmt.Sprintln(lines.Text())
		if m := regexp.MustCompile(`listen on (http://\S+)`).FindStringSubmatch(lines.Text()); m != nil {
			return m[1]
		}
	}
	t.Fatalf("the emulator does not listen:\n%s", said)
	return ""
}
