package strategytest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"

	"github.com/quarterturn-dev/quarterturn/strategies"
)

// A fakeServer is a port of this machine that something of ours answers.
type fakeServer struct {
	listener net.Listener
	spoke    chan struct{} // closed when a client has said something
	entered  chan struct{} // closed when a client has connected

	mu      sync.Mutex
	came    *sync.Cond // a client did
	heard   bytes.Buffer
	open    []net.Conn
	guests  map[string]bool // remote addresses
	knocked int             // guests that were ourselves
}

// listen answers each connection by serve, until close.
func listen(serve func(s *fakeServer, c net.Conn)) (*fakeServer, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &fakeServer{listener: l, spoke: make(chan struct{}), entered: make(chan struct{}),
		guests: make(map[string]bool)}
	s.came = sync.NewCond(&s.mu)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.welcome(c)
			go serve(s, c)
		}
	}()
	return s, nil
}

// listenSilently accepts, listens and never answers.
func listenSilently() (*fakeServer, error) {
	return listen(func(s *fakeServer, c net.Conn) { io.Copy(s, c) })
}

func (s *fakeServer) welcome(c net.Conn) {
	s.hold(c)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.guests) == 0 {
		close(s.entered)
	}
	s.guests[c.RemoteAddr().String()] = true
	s.came.Broadcast()
}

// untilVisited is a context that ends when a client connects, which would else wait for an answer that never comes.
func (s *fakeServer) untilVisited(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(parent)
	go func() {
		select {
		case <-s.entered:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// visited says whether a client has connected. It connects itself and waits until it is
// let in: then every client that came before has been seen.
func (s *fakeServer) visited() (bool, error) {
	c, err := net.Dial("tcp", s.listener.Addr().String())
	if err != nil {
		return false, err
	}
	defer c.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.guests[c.LocalAddr().String()] {
		s.came.Wait()
	}
	s.knocked++
	return len(s.guests) > s.knocked, nil
}

// unvisited is an error if a client has connected.
func (s *fakeServer) unvisited(complaint string) error {
	visited, err := s.visited()
	if err == nil && visited {
		err = errors.New(complaint)
	}
	return err
}

func (s *fakeServer) hold(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = append(s.open, c)
}

// Write remembers what was heard.
func (s *fakeServer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.heard.Len() == 0 && len(p) > 0 {
		close(s.spoke)
	}
	return s.heard.Write(p)
}

func (s *fakeServer) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.heard.String()
}

func (s *fakeServer) close() {
	s.listener.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.open {
		c.Close()
	}
}

func (s *fakeServer) port() int { return s.listener.Addr().(*net.TCPAddr).Port }

// lead sends a login to the socket in place of its server. The certificate is
// judged as it would be there.
func (s *fakeServer) lead(login strategies.Login) strategies.Login {
	if login.TLS.ServerName == "" {
		login.TLS.ServerName = login.Host
	}
	login.Host, login.Port = "127.0.0.1", s.port()
	return login
}

// closedPort is one on which nothing listens.
func closedPort() (int, error) {
	s, err := listenSilently()
	if err != nil {
		return 0, err
	}
	s.close()
	return s.port(), nil
}

// forward passes connections on to a server, and stops after so many bytes of its answers, on
// all connections together: by hanging up, or by saying no more. limit < 0: it never stops.
func forward(ctx context.Context, dial func(ctx context.Context) (net.Conn, error), limit int64,
	hangUp bool) (*fakeServer, error) {
	left := &allowance{bytes: limit}
	return listen(func(s *fakeServer, c net.Conn) {
		server, err := dial(ctx)
		if err != nil {
			c.Close()
			return
		}
		s.hold(server)
		go func() {
			io.Copy(sender{server, left, hangUp}, c)
			server.Close()
		}()
		answers := io.Reader(io.TeeReader(server, s))
		if limit >= 0 {
			answers = &limited{answers, left}
		}
		io.Copy(c, answers)
		if hangUp || limit < 0 || !left.spent() {
			c.Close()
		}
	})
}

// allowance is how many bytes some readers together may still read. Below 0: any number.
type allowance struct {
	mu    sync.Mutex
	bytes int64
	held  int64 // of those that wait for them
}

// take gives at most n of them.
func (a *allowance) take(n int) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	taken := min(int64(n), a.bytes)
	a.bytes -= taken
	a.held += taken
	return int(taken)
}

// used says how many of the bytes taken were read.
func (a *allowance) used(n, taken int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.bytes += int64(taken - n)
	a.held -= int64(taken)
}

func (a *allowance) spent() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.bytes == 0 && a.held == 0
}

// sender is the way to the server. What a client says to the last bytes of a cut line is lost with it, however quick it
// is:
// the allowance is spent before they reach it.
type sender struct {
	net.Conn
	left   *allowance
	hangUp bool
}

func (s sender) Write(p []byte) (int, error) {
	if s.hangUp && s.left.spent() {
		return 0, io.ErrClosedPipe
	}
	return s.Conn.Write(p)
}

// limited ends where the allowance does.
type limited struct {
	from io.Reader
	left *allowance
}

func (l *limited) Read(p []byte) (int, error) {
	may := l.left.take(len(p))
	if may == 0 {
		return 0, io.EOF
	}
	n, err := l.from.Read(p[:may])
	l.left.used(n, may)
	return n, err
}
