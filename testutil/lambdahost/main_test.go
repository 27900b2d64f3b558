package lambdahost_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quarterturn-dev/quarterturn/testutil/internal/disk"
	"github.com/quarterturn-dev/quarterturn/testutil/lambdahost"
)

// bootstrap is testdata/bootstrap, built as the project builds its handlers.
var bootstrap string

// leak must not be seen by any function.
const leak = "LAMBDAHOST_TEST_LEAK"

func TestMain(m *testing.M) {
	if addr := os.Getenv("LAMBDAHOST_TEST_HOLD"); addr != "" {
		holdForEver(os.Getenv("LAMBDAHOST_TEST_BOOTSTRAP"), addr)
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := disk.Temp("", "lambdahost")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer dir.Remove()
	bootstrap = filepath.Join(dir.Path, "bootstrap")
	if err := lambdahost.Build(context.Background(), "./testdata/bootstrap", bootstrap); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	os.Setenv(leak, "1")
	return m.Run()
}

// holdForEver is the host that TestNoOrphan kills.
func holdForEver(bootstrap, addr string) {
	h, err := lambdahost.Start(lambdahost.Function{Bootstrap: bootstrap, Timeout: 10 * time.Minute})
	if err == nil {
		_, err = h.Invoke(context.Background(), fmt.Appendf(nil, `{"Do":"hold","Addr":%q}`, addr))
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// event is what the bootstrap of testdata understands.
type event struct {
	Do   string `json:",omitempty"`
	Text string `json:",omitempty"`
	N    int    `json:",omitempty"`
	Addr string `json:",omitempty"`
	ID   string `json:",omitempty"`
}

// seen is what it answers.
type seen struct {
	PID       int
	Text      string
	RequestID string
	ARN       string
	Trace     string
	Deadline  int64
	Env       []string
	Dir       string
	Child     int
	Answers   []string
}

// start makes a host that ends with the test.
func start(t testing.TB, fn lambdahost.Function) *lambdahost.Host {
	t.Helper()
	if fn.Bootstrap == "" {
		fn.Bootstrap = bootstrap
	}
	if fn.InitTimeout == 0 {
		fn.InitTimeout = time.Minute // a slow machine is no failure
	}
	if fn.Timeout == 0 {
		fn.Timeout = 5 * time.Minute
	}
	h, err := lambdahost.Start(fn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

func (e event) json(t testing.TB) []byte {
	t.Helper()
	b, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// invoke is an invocation that reaches the function.
func invoke(t testing.TB, h *lambdahost.Host, e event) lambdahost.Result {
	t.Helper()
	result, err := h.Invoke(t.Context(), e.json(t))
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// succeed is an invocation that the function answers.
func succeed(t testing.TB, h *lambdahost.Host, e event) (seen, lambdahost.Result) {
	t.Helper()
	result := invoke(t, h, e)
	if result.FunctionError != "" {
		t.Fatalf("%s: %s", result.FunctionError, result.Payload)
	}
	var s seen
	if err := json.Unmarshal(result.Payload, &s); err != nil {
		t.Fatalf("payload %q: %v", result.Payload, err)
	}
	return s, result
}

// held is an invocation that waits in the function until released.
type held struct {
	net.Conn
	ended chan lambdahost.Result
	err   error // after ended
}

// hold begins an invocation and returns once the function is in the midst of it.
func hold(t *testing.T, ctx context.Context, h *lambdahost.Host) *held {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	payload := event{Do: "hold", Addr: listener.Addr().String()}.json(t)
	held := &held{ended: make(chan lambdahost.Result, 1)}
	go func() {
		var result lambdahost.Result
		result, held.err = h.Invoke(ctx, payload)
		held.ended <- result
	}()
	if held.Conn, err = listener.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { held.Close() })
	if _, err := bufio.NewReader(held).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	return held
}

// output is an Output that can be waited on.
type output struct {
	mu     sync.Mutex
	text   bytes.Buffer
	onLine func(line string) // may be nil; called outside the lock
	lines  chan string
}

func newOutput() *output { return &output{lines: make(chan string, 10_000)} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	o.text.Write(p)
	o.mu.Unlock()
	for line := range strings.Lines(string(p)) {
		if o.onLine != nil {
			o.onLine(line)
		}
		o.lines <- line
	}
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// wait returns when a line with prefix has come.
func (o *output) wait(t *testing.T, prefix string) {
	t.Helper()
	for {
		select {
		case line := <-o.lines:
			if strings.HasPrefix(line, prefix) {
				return
			}
		case <-t.Context().Done():
			t.Fatal("the test ended before the line came")
		}
	}
}
