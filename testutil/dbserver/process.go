package dbserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/quarterturn-dev/quarterturn/testutil/internal/disk"
)

// guardScript outlives the process that started it. It reads process ids (an empty line for none) until its input ends,
// which is when the starter closes it or dies, by whatever cause; then it stops the last one by signal $3 and removes
// the folder ($1). PR_SET_PDEATHSIG would do less: it is Linux only, leaves the folder, and fires when the starting
// *thread* ends. The end of the server is also seen by its pid file ($2), because in a container nobody may reap an
// orphan.
const guardScript = `
while read -r line; do pid=$line; done
if [ -n "$pid" ]; then
	kill -"$3" "$pid"; n=0
	while kill -0 "$pid" && [ -e "$2" ] && [ $n -lt 50 ]; do sleep 0.1; n=$((n+1)); done
	kill -KILL "$pid"
fi
rm -rf -- "$1" || { sleep 1; rm -rf -- "$1"; }`

// stopTimeout is how long each of the ways to stop a server may take before the next, ruder one.
const stopTimeout = 30 * time.Second

// habits are what a kind of server wants of a process.
type habits struct {
	name    string           // of its folder
	pidFile string           // where the server will have it, relative to its folder
	stop    []syscall.Signal // politely first; the last is by force, and the one before it is for when nobody waits
	logs    []string         // files beside its log that Close keeps, relative to its folder
}

// process is one server process and the folder that is its alone. There is none where somebody else runs the server.
type process struct {
	habits
	dir     string // everything of this server; removed by Close
	folder  disk.Folder
	logFile string

	guard   *exec.Cmd
	guarded io.WriteCloser

	mu     sync.Mutex
	cmd    *exec.Cmd
	exited chan struct{} // closed when cmd has been reaped
	closed bool
	kept   map[string]string // the logs, by Close
}

// serverLog is what a server prints, relative to its folder.
const serverLog = "log"

// newProcess makes the folder of a server, which the server's user owns, and the guard that removes it.
func newProcess(h habits) (*process, error) {
	parent, err := workDir()
	if err != nil {
		return nil, err
	}
	folder, err := disk.Temp(parent, h.name)
	if err != nil {
		return nil, fmt.Errorf("server folder: %w", err)
	}
	p := &process{habits: h, dir: folder.Path, folder: folder, logFile: filepath.Join(folder.Path, serverLog)}
	if err := errors.Join(give(p.dir), p.watch()); err != nil {
		return nil, errors.Join(err, folder.Remove())
	}
	return p, nil
}

// watch starts the guard.
func (p *process) watch() error {
	signal := p.stop[max(0, len(p.stop)-2)]
	p.guard = exec.Command("/bin/sh", "-c", guardScript, "guard", p.dir, filepath.Join(p.dir, p.pidFile),
		strconv.Itoa(int(signal)))
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
		return errors.Join(fmt.Errorf("guard: %w", err), p.end())
	}
	return nil
}

// serve runs the server on a free port until it is ready; on another port if somebody was quicker, which the server's
// log tells by the words taken.
func (p *process) serve(ctx context.Context, argv func(port int) []string, ready func() bool,
	taken string) (int, error) {
	for tries := 5; ; tries-- {
		port, err := freePort()
		if err != nil {
			return 0, err
		}
		if err := p.start(argv(port), serverEnv()); err != nil {
			return 0, err
		}
		err = p.await(ctx, ready)
		if err == nil || tries == 1 || !strings.Contains(p.Log(), taken) {
			return port, err
		}
	}
}

// serverEnv is all that a server sees of our environment: nothing.
func serverEnv() []string { return []string{"LC_ALL=C", "TZ=UTC", "PATH=/usr/bin:/bin"} }

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

// end stops the server process and waits for its end; politely, then ever more rudely.
func (p *process) end() error {
	if p.cmd == nil {
		return nil
	}
	for _, sig := range p.stop {
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

// Close stops the server and removes its folder. What its logs hold is kept. A second call does nothing, and so does a
// call for a server that somebody else runs.
func (p *process) Close() error {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	err := p.end()
	p.kept = map[string]string{}
	for _, name := range append(p.logs, serverLog) {
		p.kept[name] = p.readLog(name)
	}
	return errors.Join(err, p.folder.Remove(), p.unwatch())
}

// unwatch lets the guard end, with nothing left to do.
func (p *process) unwatch() error {
	_, err := fmt.Fprintln(p.guarded)
	return errors.Join(err, p.guarded.Close(), p.guard.Wait())
}

// Log is everything that the server has written to its log so far. Log works after Close. It is empty for a server that
// somebody else runs.
func (p *process) Log() string {
	if p == nil {
		return ""
	}
	return p.log(serverLog)
}

// log is what one of the server's logs holds, or held at Close.
func (p *process) log(name string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return p.kept[name]
	}
	return p.readLog(name)
}

func (p *process) readLog(name string) string {
	text, err := os.ReadFile(filepath.Join(p.dir, name))
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

// freePort is a TCP port of 127.0.0.1 that was free a moment ago; whoever uses it has to be ready to try again. It is
// below those that the kernel hands out, so that nobody is given it while its server restarts.
func freePort() (int, error) {
	const lowest, highest = 10240, 32000
	for tries := 50; ; tries-- {
		port := lowest + rand.IntN(highest-lowest)
		if tries == 0 {
			port = 0
		}
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			defer l.Close()
			return l.Addr().(*net.TCPAddr).Port, nil
		}
		if tries == 0 {
			return 0, fmt.Errorf("free port: %w", err)
		}
	}
}
