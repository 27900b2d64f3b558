//go:build !linux

package lambdahost

import (
	"os/exec"
	"syscall"
	"time"
)

// Elsewhere the host does without: a process of the function's may survive it, and
// so may the function if the host dies without Close.

func processAttributes() *syscall.SysProcAttr { return nil }

func killGroup(cmd *exec.Cmd) {
	_ = cmd.Process.Kill() // an error means that it is dead
}

func peakMemoryMB(int) int { return 0 }

func processorTime(int) time.Duration { return 0 }
