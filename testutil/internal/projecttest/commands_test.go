//go:build unix

package projecttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// What holds a command of the documents true.
const (
	here      = "here"       // TestCommandsWork runs it as it is printed
	ci        = ".ci/run"    // is it, or runs it
	tested    = "tested"     // by a test of what it does, in the package that does it
	needsAWS  = "needs AWS"  // and nothing in this project can run it
	needsTime = "needs time" // and says nothing that a test could judge
)

// commands are those of the documents, each with what runs it. A command that ends in … stands for all that begin so.
var commands = map[string]string{
	"make test":      ci,
	"make test-long": ci,
	"make lint":      ci,
	"make sam":       ci,
	"make check":     tested, // it runs nothing that the others do not

	"make demo":                            here,
	"make demo ENGINE=mysql STRATEGY=dual": here,
	"make demo FAIL=permission":            here,
	"make demo FAIL=password":              here,
	"make demo FAIL=killed":                here,
	"make demo FAIL=policy":                here,
	"make policies":                        tested,
	"make contract":                        tested,
	"make contract AWS=1":                  needsAWS,
	"go generate ./testutil/contract":      tested,
	`make policies ARGS="--secret ARN --key ARN --role ARN --function ARN"`: here,
	"make emulator":                        here,
	"make emulator ENGINE=mysql":           tested,
	`make emulator ARGS="-events -docker"`: tested,
	`make emulator ARGS="-deny secretsmanager:UpdateSecretVersionStage"`:   here,
	"make invoke EVENT=createSecret":                                       here,
	"make invoke EVENT=preflight-text FUNCTION=postgres-alternating-users": here,
	`make recover ARGS="app finish --here"`:                                tested,
	"go run ./cmd/quarterturn":                                             tested,
	"go run ./cmd/quarterturn status app --here":                           tested, // as make recover does
	"quarterturn …": tested,
	"go install github.com/quarterturn-dev/quarterturn/cmd/quarterturn@latest": tested,
	"make invoke": tested,
	"make prove":  tested, // less of the same
	"make bench":  tested,
	`make bench ARGS="-into docs/performance.md"`: tested,
	"make mutants":   tested, // less of the same
	"make bench-raw": needsTime,
	"make dist":      tested,
	"make pictures":  tested,

	"sam build": tested,
	"GOARCH=amd64 sam build --parameter-overrides Architecture=x86_64": tested,
	"sam local invoke":                                  tested,
	"AWS_ENDPOINT_URL=http://127.0.0.1:4566 …":          tested,
	"sam deploy --guided --capabilities CAPABILITY_IAM": needsAWS,
	"sam deploy --tags team=payments":                   needsAWS,

	"make release":                          tested,
	"make release VERSION=1.2.3":            tested,
	"git checkout v1.2.3":                   tested,
	"sam deploy":                            needsAWS,
	"aws cloudformation create-stack-set …": needsAWS,

	"go test ./rotator -update": tested,
	"go mod init":               tested,
	"go mod tidy":               tested,
	"go get github.com/quarterturn-dev/quarterturn@latest": tested,
	"go test ./strategies/strategytest/shelf -v":           here,
	"go test ./strategies/strategytest/apikey -v":          here,
	"go test -run '^$' -bench Init -v ./testutil/samtest":  tested,

	"aws secretsmanager rotate-secret …":               tested,
	"aws secretsmanager describe-secret …":             tested,
	"aws secretsmanager update-secret-version-stage …": tested,
	"aws secretsmanager tag-resource …":                tested,
	"aws secretsmanager get-secret-value …":            needsAWS,
	"aws lambda invoke …":                              needsAWS,
	"aws lambda remove-permission …":                   tested,
	"aws lambda delete-function-concurrency …":         tested,
	"aws lambda get-function-concurrency …":            needsAWS,
	"aws lambda get-function-configuration …":          needsAWS,
	"aws logs …":             needsAWS,
	"jq -r . status.json":    needsAWS,
	"jq -r . preflight.json": needsAWS,
}

var (
	block     = regexp.MustCompile(`(?m)^ {4,}((?:make|aws|sam|go|jq|git|npm|pip|quarterturn|[A-Z_]+=\S+) .+)$`)
	inline    = regexp.MustCompile("`((?:make|aws|sam|go|jq|git|npm|pip|quarterturn) [^`]+)`")
	remark    = regexp.MustCompile(`\s+# .*$`)
	continued = regexp.MustCompile(`\\\n\s*`)
	space     = regexp.MustCompile(`\s+`)
)

// documented gives the commands of all pages, and where each stands.
func documented(t *testing.T) map[string]string {
	found := map[string]string{}
	for name, page := range documents(t) {
		page = continued.ReplaceAllString(page, "")
		for _, re := range []*regexp.Regexp{block, inline} {
			for _, command := range sorted(page, re) {
				command = remark.ReplaceAllString(strings.TrimSpace(command), "")
				found[strings.TrimSpace(space.ReplaceAllString(command, " "))] = name
			}
		}
	}
	return found
}

func entry(command string) string {
	if _, ok := commands[command]; ok {
		return command
	}
	for pattern := range commands {
		if prefix, ok := strings.CutSuffix(pattern, "…"); ok && strings.HasPrefix(command, prefix) {
			return pattern
		}
	}
	return ""
}

// TestEachCommandIsRunOrNeedsAWS: no command stands in a document that is never run.
func TestEachCommandIsRunOrNeedsAWS(t *testing.T) {
	used := map[string]bool{}
	for command, page := range documented(t) {
		e := entry(command)
		if e == "" {
			t.Errorf("%s: nothing is known to run\n    %s", page, command)
		}
		used[e] = true
	}
	run, makefile := read(t, ".ci/run"), read(t, "Makefile")
	for e, by := range commands {
		if !used[e] {
			t.Errorf("no document has the command %s", e)
		}
		target, _ := strings.CutPrefix(e, "make ")
		prerequisite := regexp.MustCompile(`(?m)^test(-long)?:.*\b` + target + `\b`).MatchString(makefile)
		tier := regexp.MustCompile(`(?m)^go run ./testutil/cmd/tiers .*\b` + target + `\b`).MatchString(run)
		if by == ci && !strings.Contains(run, e) && !prerequisite && !tier {
			t.Errorf("%s: .ci/run does not run it", e)
		}
	}
}

// TestCommandsWork runs those that need nothing but this machine as they are printed;
// only that ARN is one, and a port that may be taken is another.
// It takes more than twenty seconds: each command compiles what it runs, as it does for a person. In make test it is
// those of the README.
func TestCommandsWork(t *testing.T) {
	tier.NotInCheck(t)
	readme := read(t, "README.md")
	instead := map[string]string{
		`make policies ARGS="--secret ARN --key ARN --role ARN --function ARN"`: `make policies ARGS="--secret arn:aws:secretsmanager:us-east-1:123456789012:secret:app-AbCdEf --key arn:aws:kms:us-east-1:123456789012:key/1 --role arn:aws:iam::123456789012:role/rotate --function arn:aws:lambda:us-east-1:123456789012:function:rotate"`,
		"make emulator": `make emulator ARGS="-address 127.0.0.1:0"`,
		`make emulator ARGS="-deny secretsmanager:UpdateSecretVersionStage"`: `make emulator ARGS="-deny secretsmanager:UpdateSecretVersionStage -address 127.0.0.1:0"`,
	}
	shows := map[string]string{ // what a reader wants to see
		"make demo":                            "accepted",
		"make demo ENGINE=mysql STRATEGY=dual": "accepted",
		"make demo FAIL=permission":            "accepted",
		"make demo FAIL=password":              "accepted",
		"make demo FAIL=killed":                "accepted",
		"make demo FAIL=policy":                "accepted",
		"make emulator":                        "--secret-id app",
		`make emulator ARGS="-deny secretsmanager:UpdateSecretVersionStage"`: "is denied " +
			"secretsmanager:UpdateSecretVersionStage",
		"make invoke EVENT=createSecret": "passed",
	}
	documented := documented(t)
	for _, command := range slices.Sorted(maps.Keys(commands)) { // one after another: some build into the same folder
		if commands[command] != here {
			continue
		}
		t.Run(command, func(t *testing.T) {
			if documented[command] == "" {
				t.Fatal("no document has it")
			}
			if strings.Contains(readme, command) {
				tier.Test(t)
			} else {
				tier.Long(t)
			}
			needsServers(t, command)
			line := command
			if instead[command] != "" {
				line = instead[command]
			}
			out, err := run(t, line, strings.HasPrefix(command, "make emulator"), shows[command])
			if err != nil || !strings.Contains(out, shows[command]) {
				t.Errorf("%v, and %q is to be in\n%s", err, shows[command], out)
			}
		})
	}
}

// TestMakeRefusesWrongValues before anything is compiled, and says which there are; a handler that is named is the only
// one that is built.
func TestMakeRefusesWrongValues(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for command, says := range map[string]string{
		"make -n demo ENGINE=oracle":                                     "ENGINE=oracle: choose postgres mysql mariadb valkey redis",
		"make -n emulator ENGINE=oracle":                                 "ENGINE=oracle: choose postgres mysql mariadb valkey redis",
		"make -n emulator ENGINE=mysql":                                  "emulator -engine mysql",
		fmt.Sprintf(`make emulator ARGS="-v -address %s"`, taken.Addr()): "is in use (does an emulator run already?)",
		fmt.Sprintf(`make emulator ARGS=--address=%s`, taken.Addr()):     "is in use (does an emulator run already?)",
		"make free ARGS=-v":                                              "",
		"make -n emulator STRATEGY=dual":                                 "STRATEGY=dual is for make demo alone",
		"make -n demo STRATEGY=both":                                     "STRATEGY=both: choose single",
		"make -n demo FAIL=no":                                           "FAIL=no: choose permission",
		"make -n build HANDLER=nope":                                     "HANDLER=nope: choose database",
		"make -n demo STRATEGY=alternating-users":                        "-strategy alternating-users",
		"make -n --no-print-directory build HANDLER=fleet":               "for h in fleet; do",
	} {
		if out, _ := run(t, command, false, ""); !strings.Contains(out, says) {
			t.Errorf("%s: no %q in\n%s", command, says, out)
		}
	}
}

func needsServers(t *testing.T, command string) {
	if tier.Required(os.Getenv) {
		return
	}
	_, err := dbserver.FindPostgres(t.Context(), dbserver.Majors()[0])
	if strings.Contains(command, "ENGINE=mysql") || strings.Contains(command, "FAIL=policy") {
		_, err = dbserver.FindMySQL(t.Context(), dbserver.MySQLs()[0])
	}
	if errors.Is(err, dbserver.ErrMissing) && strings.HasPrefix(command, "make demo") {
		t.Skip(err)
	}
}

// run gives a command to the shell, in the project's folder. One that does not end by
// itself is interrupted, as by a person, when it has shown what it was started for.
func run(t *testing.T, line string, endless bool, shows string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", line)
	cmd.Dir = root
	// As in a terminal: what a make around this test was told is not for the one in the command.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "MAKE") || strings.HasPrefix(v, "MFLAGS=") || strings.HasPrefix(v, "ARGS=")
	})
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	interrupt := func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.Cancel, cmd.WaitDelay = interrupt, 5*time.Minute
	out := &watched{shows: []byte(shows), seen: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		return "", err
	}
	if endless {
		select {
		case <-out.seen:
		case <-ctx.Done():
		}
		interrupt()
		cmd.Wait() // make calls an interrupt an error
		return out.String(), ctx.Err()
	}
	err := cmd.Wait()
	return out.String(), err
}

// watched is output, and word that it holds what is waited for.
type watched struct {
	mu    sync.Mutex
	buf   bytes.Buffer
	shows []byte
	seen  chan struct{}
	once  sync.Once
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf.Write(p)
	if bytes.Contains(w.buf.Bytes(), w.shows) {
		w.once.Do(func() { close(w.seen) })
	}
	return len(p), nil
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.String()
}
