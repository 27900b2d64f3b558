package dbserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// guardScript outlives the process that started it. It reads process ids (an empty line for none) until its input ends,
// which is when the starter closes it or dies, by whatever cause; then it stops the last one and removes the folder ($1).
// PR_SET_PDEATHSIG would do less: it is Linux only, leaves the folder, and fires when the starting *thread* ends. The end of
// the server is also seen by its pid file ($2), because in a container nobody may reap an orphan.
const guardScript = `
while read -r line; do pid=$line; done
if [ -n "$pid" ]; then
	kill -QUIT "$pid"; n=0
	while kill -0 "$pid" && [ -e "$2" ] && [ $n -lt 50 ]; do sleep 0.1; n=$((n+1)); done
	kill -KILL "$pid"
fi
rm -rf -- "$1" || { sleep 1; rm -rf -- "$1"; }`

// stopTimeout is how long each of the three ways to stop a server may take before the next, ruder one.
const stopTimeout = 5 * time.Second

// process is one server process and the folder that is its alone.
type process struct {
	dir     string // everything of this server; removed by Close
	logFile string
	pidFile string // the server's own, in dir

	guard   *exec.Cmd
	guarded io.WriteCloser

	mu     sync.Mutex
	cmd    *exec.Cmd
	exited chan struct{} // closed when cmd has been reaped
	closed bool
	last   string // the log, kept by Close
}

// newProcess makes the folder of a server, which the server's user owns, and the guard that removes it. The pid file is
// where the server will have it, relative to the folder.
func newProcess(name, pidFile string) (*process, error) {
	parent, err := workDir()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(parent, name+"-")
	if err != nil {
		return nil, fmt.Errorf("server folder: %w", err)
	}
	p := &process{dir: dir, logFile: filepath.Join(dir, "log"), pidFile: filepath.Join(dir, pidFile)}
	if err := errors.Join(give(dir), p.watch()); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return p, nil
}

// watch starts the guard.
func (p *process) watch() error {
	p.guard = exec.Command("/bin/sh", "-c", guardScript, "guard", p.dir, p.pidFile)
	p.guard.SysProcAttr = ownSession()
	in, err := p.guard.StdinPipe()
	if err != nil {
		return fmt.Errorf("guard: %w", err)
	}
	p.guarded = in
	if err := p.guard.Start(); err != nil {
		return fmt.Errorf("guard: %w", err)
	}
	return nil
}

// start runs argv as the server's user, with everything it prints appended to the log file.
func (p *process) start(argv, env []string) error {
	log, err := os.OpenFile(p.logFile, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("server log: %w", err)
	}
	defer log.Close()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = p.dir, env, log, log
	cmd.SysProcAttr = asServerUser()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("server process: %w", err)
	}
	exited := make(chan struct{})
	p.mu.Lock()
	p.cmd, p.exited = cmd, exited
	p.mu.Unlock()
	go func() {
		_ = cmd.Wait() // the reason of an early end is in the log
		close(exited)
	}()
	if _, err := fmt.Fprintln(p.guarded, cmd.Process.Pid); err != nil {
		return errors.Join(fmt.Errorf("guard: %w", err), p.stop())
	}
	return nil
}

// await calls ready every few milliseconds until it says true. It ends early with the server or with ctx.
func (p *process) await(ctx context.Context, ready func() bool) error {
	tick := time.NewTicker(3 * time.Millisecond)
	defer tick.Stop()
	for !ready() {
		select {
		case <-p.exited:
			return errors.New("server ended while starting")
		case <-ctx.Done():
			return fmt.Errorf("server not ready: %w", context.Cause(ctx))
		case <-tick.C:
		}
	}
	return nil
}

// stop ends the server process and waits for its end; politely, then at once, then by force. The meanings of the signals
// are PostgreSQL's: fast and immediate shutdown.
func (p *process) stop() error {
	if p.cmd == nil {
		return nil
	}
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGKILL} {
		if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("server process: %w", err)
		}
		select {
		case <-p.exited:
			return nil
		case <-time.After(stopTimeout):
		}
	}
	return fmt.Errorf("server process %d does not end", p.cmd.Process.Pid)
}

// Close stops the server and removes its folder. What Log answers is kept. A second call does nothing.
func (p *process) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	err := p.stop()
	p.last = p.readLog()
	return errors.Join(err, os.RemoveAll(p.dir), p.unwatch())
}

// unwatch lets the guard end, with nothing left to do.
func (p *process) unwatch() error {
	_, err := fmt.Fprintln(p.guarded)
	return errors.Join(err, p.guarded.Close(), p.guard.Wait())
}

// Log is everything that the server has written to its log so far. Log works after Close.
func (p *process) Log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return p.last
	}
	return p.readLog()
}

func (p *process) readLog() string {
	text, err := os.ReadFile(p.logFile)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "server log: " + err.Error()
	}
	return string(text)
}

// logTail is the end of a log, for an error.
func logTail(text []byte) string {
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-12):], []byte("\n")))
}

// freePort is a TCP port of 127.0.0.1 that was free a moment ago; whoever uses it has to be ready to try again.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
