package samtest

import (
	"os/exec"
	"syscall"
)

// endWithUs has a process end, in good order, when ours does, however that happens.
func endWithUs(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
}
