package samtest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/quarterturn-dev/quarterturn/testutil/internal/fetched"
)

// ErrNoEngine says that no Docker engine of our own can be had here.
var ErrNoEngine = errors.New("no Docker engine of our own on this machine")

// Engine is a Docker engine for `sam local invoke`, unpacked from Debian's packages and
// not installed: a daemon of its own, with its own folder and socket. There is no
// registry to pull from; its one image is made from scratch.
type Engine struct{ Dir string }

// EngineIn is where the engine of the project in root is, or would be.
func EngineIn(root string) (Engine, error) {
	root, err := filepath.Abs(root)
	return Engine{filepath.Join(root, ".cache", "docker")}, err
}

// Possible says why there can be none: a daemon needs root and Linux, and where
// another engine is running, ours keeps away.
func (e Engine) Possible() error {
	_, err := os.Stat("/var/run/docker.sock")
	switch {
	case runtime.GOOS != "linux" || os.Geteuid() != 0:
		return fmt.Errorf("%w: it takes root on Linux", ErrNoEngine)
	case err == nil:
		return fmt.Errorf("%w: there is another at /var/run/docker.sock", ErrNoEngine)
	}
	return nil
}

func (e Engine) done() string { return filepath.Join(e.Dir, "complete") }

// Fetched says whether Fetch has finished.
func (e Engine) Fetched() bool {
	_, err := os.Stat(e.done())
	return err == nil
}

// Fetch unpacks the engine, unless it is there, by this machine's apt-get.
func (e Engine) Fetch(ctx context.Context, out io.Writer) error {
	if err := e.Possible(); err != nil || e.Fetched() {
		return err
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("%w: it takes apt-get", ErrNoEngine)
	}
	if err := os.RemoveAll(e.Dir); err != nil {
		return err
	}
	if err := os.MkdirAll(e.Dir, 0o755); err != nil {
		return err
	}
	fmt.Fprintf(out, "unpacking a Docker engine into %s\n", e.Dir)
	if err := fetched.Debian(ctx, filepath.Join(e.Dir, "root"), "docker.io", "containerd", "runc"); err != nil {
		return fmt.Errorf("%w: %w", ErrNoEngine, err)
	}
	return os.WriteFile(e.done(), nil, 0o644)
}

// Daemon is a running engine.
type Daemon struct {
	engine Engine
	dir    string
	cmd    *exec.Cmd
	bridge bool         // docker0 was there before
	alone  net.Listener // held, so that another test run keeps its hands off docker0
}

// Start starts the daemon with its state below dir, and returns when it says that it
// listens. The caller stops it.
func (e Engine) Start(dir string) (*Daemon, error) {
	if err := e.Possible(); err != nil {
		return nil, err
	}
	if !e.Fetched() {
		return nil, fmt.Errorf("%w: make sam fetches it", ErrNoEngine)
	}
	alone, err := net.Listen("unix", "@quarterturn-docker") // a name in no folder, gone with the process
	if err != nil {
		return nil, fmt.Errorf("%w: another test run has one", ErrNoEngine)
	}
	_, noBridge := net.InterfaceByName("docker0")
	d := &Daemon{engine: e, dir: dir, bridge: noBridge == nil, alone: alone}
	if err := d.start(); err != nil {
		return nil, errors.Join(err, alone.Close())
	}
	return d, nil
}

func (d *Daemon) start() error {
	e, dir := d.engine, d.dir
	d.cmd = exec.Command(filepath.Join(e.Dir, "root/usr/sbin/dockerd"), "--host", d.Host(),
		"--data-root", filepath.Join(dir, "data"), "--exec-root", filepath.Join(dir, "exec"), "--pidfile",
		filepath.Join(dir, "pid"),
		"--storage-driver", "vfs", "--iptables=false", "--ip-forward=false", "--ip-masq=false")
	d.cmd.Env = append(os.Environ(), e.path())
	endWithUs(d.cmd)
	log, err := d.cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := d.cmd.Start(); err != nil {
		return err
	}
	giveUp := time.AfterFunc(time.Minute, func() { d.cmd.Process.Kill() })
	defer giveUp.Stop()
	var said []string
	for lines := bufio.NewScanner(log); lines.Scan(); {
		said = append(said, lines.Text())
		if strings.Contains(lines.Text(), "API listen on") {
			go io.Copy(io.Discard, log)
			return nil
		}
	}
	d.cmd.Wait()
	return fmt.Errorf("%w: dockerd ended:\n%s", ErrNoEngine, strings.Join(said[max(0, len(said)-5):], "\n"))
}

func (e Engine) path() string {
	return "PATH=" + filepath.Join(e.Dir, "root/usr/bin") + ":" + filepath.Join(e.Dir, "root/usr/sbin") + ":" +
		os.Getenv("PATH")
}

// Host is what DOCKER_HOST says to reach it.
func (d *Daemon) Host() string { return "unix://" + filepath.Join(d.dir, "docker.sock") }

// Docker runs a command of the client.
func (d *Daemon) Docker(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(d.engine.Dir, "root/usr/bin/docker"), args...)
	cmd.Env = append(os.Environ(), "DOCKER_HOST="+d.Host())
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("docker %s: %w\n%s", args[0], err, out)
	}
	return nil
}

// Stop ends the daemon, and takes away its bridge unless it was there before.
func (d *Daemon) Stop() error {
	err := d.cmd.Process.Signal(os.Interrupt)
	killed := time.AfterFunc(30*time.Second, func() { d.cmd.Process.Kill() })
	defer killed.Stop()
	d.cmd.Wait() // its exit code says nothing
	defer d.alone.Close()
	if !d.bridge {
		exec.Command("ip", "link", "delete", "docker0").Run() // where there is no ip, it stays, and does no harm
	}
	return err
}

// RuntimeImage is the image that `sam local invoke` looks for, for a processor in
// SAM's words (x86_64, arm64). Of AWS's it has what our static binaries need: the SAM
// CLI's own Runtime API, and nothing else.
func (d *Daemon) RuntimeImage(ctx context.Context, tools Tools, architecture, dir string) error {
	found, err := filepath.Glob(filepath.Join(tools.Dir, "lib", "python*", "site-packages", "samcli", "local", "rapid",
		"aws-lambda-rie-"+architecture))
	if err != nil || len(found) != 1 {
		return fmt.Errorf("the SAM CLI in %s has no aws-lambda-rie-%s", tools.Dir, architecture)
	}
	rie, err := os.ReadFile(found[0])
	if err != nil {
		return err
	}
	files := map[string][]byte{
		"aws-lambda-rie": rie,
		"tmp/.keep":      nil,
		"Dockerfile": []byte("FROM scratch\nCOPY aws-lambda-rie /var/rapid/aws-lambda-rie\nCOPY tmp /tmp\n" +
			"ENV PATH=/usr/local/bin:/usr/bin:/bin LAMBDA_TASK_ROOT=/var/task " +
			"LAMBDA_RUNTIME_DIR=/var/runtime\nWORKDIR /var/task\n"),
	}
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, content, 0o755)); err != nil {
			return err
		}
	}
	return d.Docker(ctx, "build", "--quiet", "--tag", "public.ecr.aws/lambda/provided:al2023-rapid-"+architecture, dir)
}
