package lambdahost

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// sandbox is one execution environment: a process, and a Runtime API of its own,
// so that nothing a dead process left on the wire can reach its successor.
type sandbox struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed once the process is dead and reaped
	pipe   *logPipe
	server *http.Server
	conns  sync.WaitGroup // the accept loop and every connection of server
	once   sync.Once      // close

	ready   chan struct{}    // the process called next
	work    chan *invocation // what next answers
	initErr chan *failure    // what the process reported instead of calling next

	mu    sync.Mutex  // guards begun, inv, and inv.answer
	begun bool        // next was called at least once: the init is over
	inv   *invocation // in the process's hands, or nil

	peakMB int // of the invocation that holds the host's turn
}

// failure is an end that Lambda reports for the function.
type failure struct {
	kind    string // errorType
	message string // without the request id
	posted  []byte // the error object, if the process wrote it itself
	timeout bool
}

// payload is the error object that the caller gets.
func (f *failure) payload(id string) []byte {
	if f.posted != nil {
		return f.posted
	}
	return errorObject(f.kind, fmt.Sprintf("RequestId: %s Error: %s", id, f.message))
}

func errorObject(kind, message string) []byte {
	b, _ := json.Marshal(struct { // two strings cannot fail
		Type    string `json:"errorType"`
		Message string `json:"errorMessage"`
	}{kind, message})
	return b
}

func timedOut(after time.Duration) *failure {
	return &failure{
		kind:    "Sandbox.Timedout",
		message: fmt.Sprintf("Task timed out after %.2f seconds", after.Seconds()),
		timeout: true,
	}
}

// exitFailure describes a dead process in Lambda's words, which happen to be Go's.
func exitFailure(state *os.ProcessState) *failure {
	f := &failure{kind: "Runtime.ExitError", message: "Runtime exited without providing a reason"}
	if !state.Success() {
		f.message = "Runtime exited with error: " + state.String()
	}
	return f
}

// startSandbox starts the process with its Runtime API.
func startSandbox(fn Function, log *logbook) (*sandbox, *failure, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, fmt.Errorf("runtime api: %w", err)
	}
	pipe, err := newLogPipe(log)
	if err != nil {
		listener.Close()
		return nil, nil, fmt.Errorf("log pipe: %w", err)
	}
	s := &sandbox{
		cmd: &exec.Cmd{
			Path:        fn.Bootstrap,
			Args:        []string{fn.Bootstrap},
			Dir:         filepath.Dir(fn.Bootstrap),
			Env:         environment(fn, listener.Addr().String()),
			Stdout:      pipe.w,
			Stderr:      pipe.w,
			SysProcAttr: processAttributes(),
		},
		exited:  make(chan struct{}),
		pipe:    pipe,
		ready:   make(chan struct{}),
		work:    make(chan *invocation),
		initErr: make(chan *failure, 1),
	}
	s.listen(listener)
	if err := s.start(); err != nil {
		close(s.exited)
		s.close()
		return nil, &failure{kind: "Runtime.InvalidEntrypoint", message: err.Error()}, nil
	}
	return s, nil, nil
}

// listen serves the Runtime API until close.
func (s *sandbox) listen(listener net.Listener) {
	s.server = &http.Server{
		Handler: s.runtimeAPI(),
		// Server.Close does not wait for connections; close does, by this count.
		ConnState: func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				s.conns.Add(1)
			case http.StateClosed:
				s.conns.Done()
			}
		},
	}
	s.conns.Go(func() { _ = s.server.Serve(listener) }) // always http.ErrServerClosed
}

// start starts the process and has it reaped. One thread stays with the process
// for its whole life, because Linux sends Pdeathsig when the thread that forked
// ends, not the process (https://go.dev/issue/27505).
func (s *sandbox) start() error {
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := s.cmd.Start()
		started <- err
		if err != nil {
			return
		}
		_ = s.cmd.Wait() // how it ended is in ProcessState
		killGroup(s.cmd) // whatever it started dies with it
		close(s.exited)
	}()
	return <-started
}

// init waits until the process asks for its first event.
func (s *sandbox) init(limit time.Duration) *failure {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-s.ready:
		return nil
	case f := <-s.initErr:
		return f
	case <-timer.C:
		return timedOut(limit)
	case <-s.exited:
	}
	select {
	case f := <-s.initErr: // it said why and then exited; the reason says more
		return f
	default:
		return exitFailure(s.cmd.ProcessState)
	}
}

// serve hands inv to the process and waits for its end, which is not the response
// but the process's next call of next. An invocation can have both a response and
// a failure: aws-lambda-go reports a panic and then exits.
func (s *sandbox) serve(inv *invocation, timeout time.Duration) *failure {
	inv.deadline = time.Now().Add(timeout)
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	s.hold(inv)
	defer s.hold(nil)
	work := s.work
	for {
		select {
		case work <- inv:
			work = nil // once
		case <-s.ready:
			if s.answered(inv) {
				return nil
			}
		case <-s.exited:
			return exitFailure(s.cmd.ProcessState)
		case <-timer.C:
			return timedOut(timeout)
		}
	}
}

func (s *sandbox) hold(inv *invocation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inv = inv
}

func (s *sandbox) answered(inv *invocation) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return inv.answer != nil
}

// sample gives the peak memory of the process so far; after its death, as it was
// when last looked at. (rusage is no help: on Linux it counts the parent's memory
// before exec too.)
func (s *sandbox) sample() int {
	if !s.dead() {
		s.peakMB = max(s.peakMB, peakMemoryMB(s.cmd.Process.Pid))
	}
	return s.peakMB
}

func (s *sandbox) dead() bool {
	select {
	case <-s.exited:
		return true
	default:
		return false
	}
}

func (s *sandbox) kill() {
	if !s.dead() {
		killGroup(s.cmd)
		<-s.exited
	}
}

func (s *sandbox) terminate(grace time.Duration) {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // an error means dead already, or Windows: kill sees to both
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-s.exited:
	case <-timer.C:
	}
	s.kill()
}

// close leaves nothing behind: no process, connection, goroutine or unread log.
func (s *sandbox) close() {
	s.once.Do(func() {
		s.kill()
		s.pipe.sync()
		s.pipe.close()
		_ = s.server.Close()
		s.conns.Wait()
	})
}
