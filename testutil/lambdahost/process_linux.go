package lambdahost

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// processAttributes gives the process a group of its own, and has the kernel kill
// it if the host dies without Close, as a test binary does that panics.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// killGroup kills the process and what it started. An error means that nobody is left.
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
