package lambdahost_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/quarterturn-dev/quarterturn/testutil/lambdahost"
)

func TestProcessIsGoneAfterClose(t *testing.T) {
	t.Parallel()
	h := start(t, lambdahost.Function{})
	s, _ := succeed(t, h, event{})
	if err := syscall.Kill(s.PID, 0); err != nil {
		t.Fatalf("process %d: %v", s.PID, err)
	}
	h.Close()
	if err := syscall.Kill(s.PID, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d: %v", s.PID, err)
	}
}

// TestChildrenDieToo also shows that a child that holds stdout holds up nothing.
func TestChildrenDieToo(t *testing.T) {
	t.Parallel()
	h := start(t, lambdahost.Function{})
	s, _ := succeed(t, h, event{Do: "spawn"})
	if !running(s.Child) {
		t.Fatal("the child does not run")
	}
	h.Close()
	// the kernel takes its time over a SIGKILL
	for deadline := time.Now().Add(time.Minute); running(s.Child); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("the child runs on")
		}
	}
}

// running tells a process from a zombie, which cannot be reaped here.
func running(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, state, _ := bytes.Cut(stat, []byte(") "))
	return err == nil && !bytes.HasPrefix(state, []byte("Z")) && !bytes.HasPrefix(state, []byte("X"))
}

// TestNoOrphan kills a host outright: the function must die with it.
func TestNoOrphan(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	host := exec.CommandContext(t.Context(), os.Args[0])
	host.Env = append(os.Environ(), "LAMBDAHOST_TEST_HOLD="+listener.Addr().String(), "LAMBDAHOST_TEST_BOOTSTRAP="+
		bootstrap)
	host.Stderr = os.Stderr
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fromFunction := bufio.NewReader(conn)
	if _, err := fromFunction.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if err := host.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = host.Wait()
	conn.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := fromFunction.ReadByte(); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the function lives on: %v", err)
	}
}

// TestBuildFlags reads the flags back from the binary.
func TestBuildFlags(t *testing.T) {
	t.Parallel()
	output, err := exec.CommandContext(t.Context(), "go", "version", "-m", bootstrap).Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"-tags=lambda.norpc", "-trimpath=true", "CGO_ENABLED=0"} {
		if !strings.Contains(string(output), want) {
			t.Errorf("no %s in\n%s", want, output)
		}
	}
	program, err := os.ReadFile(bootstrap)
	if err != nil {
		t.Fatal(err)
	}
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(program, []byte(here)) || bytes.Contains(program, []byte(".debug_info")) {
		t.Error("the binary holds paths of this machine, or debug information")
	}
}
