package lambdahost

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// processAttributes gives the process a group of its own, and has the kernel kill
// it if the host dies without Close, as a test binary does that panics.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// killGroup kills the process and what it started. An error means that no process is left.
func killGroup(cmd *exec.Cmd) {
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
}

// peakMemoryMB is the most memory the process had resident so far; 0 if unknown.
func peakMemoryMB(pid int) int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		var kb int
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kb); n == 1 {
			return (kb + 1023) / 1024
		}
	}
	return 0
}

// processorTime is how long the threads of a process that still live have run; 0
// if unknown.
func processorTime(pid int) (sum time.Duration) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil {
		return 0
	}
	for _, file := range threads {
		text, err := os.ReadFile(file)
		var ns int64
		if n, _ := fmt.Sscan(string(text), &ns); err == nil && n == 1 {
			sum += time.Duration(ns)
		}
	}
	return sum
}
