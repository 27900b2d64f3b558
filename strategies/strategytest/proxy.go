package strategytest

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// A Proxy stands between an engine and its server, and can do to the line what
// networks do. It knows no protocol. In one that asks and answers, what arrives in
// one read is what was said in one breath, a statement or its answer; so the
// pieces that it counts are the places where a connection can break and mean
// something else each time. (With TLS they are records, and say nothing of what
// is in them: let the line be plain where that matters.)
type Proxy struct {
	// Dial reaches the server. It is asked for each connection anew.
	Dial func(ctx context.Context) (net.Conn, error)
	// OnChunk is asked about each piece before it goes on, by many goroutines if there
	// are many connections. nil: everything passes.
	OnChunk func(Chunk) ChunkAction

	ctx      context.Context
	cancel   context.CancelFunc
	listener net.Listener
	running  sync.WaitGroup

	mu    sync.Mutex
	shut  *sync.Cond // a line went
	lines map[*line]bool
	down  bool
}

// Chunk is one thing that was said.
type Chunk struct {
	FromServer bool
	Opening    bool // nothing was said yet: the client has come
	Size       int
}

// ChunkAction is what becomes of a piece.
type ChunkAction int

const (
	ChunkForward ChunkAction = iota
	ChunkReset               // it is lost, and both ends are reset
	ChunkDrop                // it is lost, as is everything after it; both ends stay open
	ChunkSlow                // it arrives byte by byte
)

// line is one connection through a Proxy.
type line struct {
	client, server net.Conn // server: nil until dialed
	muted          bool
}

// Listen begins on a free port of 127.0.0.1.
func (p *Proxy) Listen() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	p.listener, p.lines, p.shut = l, make(map[*line]bool), sync.NewCond(&p.mu)
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.running.Go(func() { p.serve(c) })
		}
	})
	return nil
}

// Port is where it listens.
func (p *Proxy) Port() int { return p.listener.Addr().(*net.TCPAddr).Port }

// ResetAll resets every line there is, and while down every new one, as a host does on
// which no server runs.
func (p *Proxy) ResetAll(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
	for l := range p.lines {
		l.reset()
	}
}

// Idle waits until no line is open. It fails when ctx ends first.
func (p *Proxy) Idle(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.shut.Broadcast()
	})
	defer stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.lines) > 0 {
		if ctx.Err() != nil {
			return errors.New("a connection to the database was left open")
		}
		p.shut.Wait()
	}
	return nil
}

// Close ends everything, and waits for it.
func (p *Proxy) Close() {
	p.listener.Close()
	p.cancel()
	p.ResetAll(true)
	p.running.Wait()
}

func (p *Proxy) serve(c net.Conn) {
	l := &line{client: c}
	p.mu.Lock()
	p.lines[l] = true
	down := p.down
	p.mu.Unlock()
	defer p.end(l)
	if down || p.judge(Chunk{Opening: true}) == ChunkReset {
		p.reset(l)
		return
	}
	server, err := p.Dial(p.ctx)
	if err != nil {
		p.reset(l)
		return
	}
	p.mu.Lock()
	l.server = server
	if p.down {
		l.reset()
	}
	p.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { p.pass(l, l.client, l.server, false) })
	both.Go(func() { p.pass(l, l.server, l.client, true) })
	both.Wait()
}

func (p *Proxy) judge(piece Chunk) ChunkAction {
	if p.OnChunk == nil {
		return ChunkForward
	}
	return p.OnChunk(piece)
}

// pass carries one direction. When it ends, what was said before has arrived, and
// the other end is told by a close.
func (p *Proxy) pass(l *line, from, to net.Conn, fromServer bool) {
	defer to.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 && !p.silent(l) && !p.deliver(l, to, buffer[:n], fromServer) {
			return
		}
		if err != nil {
			return
		}
	}
}

func (p *Proxy) deliver(l *line, to net.Conn, b []byte, fromServer bool) (goOn bool) {
	switch p.judge(Chunk{FromServer: fromServer, Size: len(b)}) {
	case ChunkReset:
		p.reset(l)
		return false
	case ChunkDrop:
		p.mu.Lock()
		l.muted = true
		p.mu.Unlock()
		return true
	case ChunkSlow:
		for i := range b {
			if _, err := to.Write(b[i : i+1]); err != nil {
				return false
			}
			time.Sleep(50 * time.Microsecond) // or the kernel would put them together again
		}
		return true
	}
	_, err := to.Write(b)
	return err == nil
}

func (p *Proxy) silent(l *line) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return l.muted
}

func (p *Proxy) reset(l *line) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.reset()
}

// reset closes both ends so that they learn of it by RST.
func (l *line) reset() {
	for _, c := range []net.Conn{l.client, l.server} {
		if tcp, ok := c.(*net.TCPConn); ok {
			tcp.SetLinger(0)
		}
		if c != nil {
			c.Close()
		}
	}
}

func (p *Proxy) end(l *line) {
	l.client.Close()
	if l.server != nil {
		l.server.Close()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.lines, l)
	p.shut.Broadcast()
}
