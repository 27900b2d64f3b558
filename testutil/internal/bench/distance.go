package bench

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// line stands between a client and a server, at a distance: what either says arrives half a round
// trip later, in order and with no limit on how much is under way. It counts how often
// the server answers, which is what distance costs, and how long clients wait for that.
type line struct {
	to       string // "127.0.0.1:5432"
	away     time.Duration
	answers  atomic.Int64
	opened   atomic.Int64
	waited   atomic.Int64 // nanoseconds
	listener net.Listener
	running  sync.WaitGroup
}

func (l *line) listen() (err error) {
	l.listener, err = net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	l.running.Go(func() {
		for {
			c, err := l.listener.Accept()
			if err != nil {
				return
			}
			l.running.Go(func() { l.serve(c) })
		}
	})
	return nil
}

func (l *line) port() int { return l.listener.Addr().(*net.TCPAddr).Port }

func (l *line) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", l.to)
	if err != nil {
		return
	}
	defer server.Close()
	l.opened.Add(1)
	time.Sleep(l.away) // TCP's own handshake, of which the client sees nothing
	l.waited.Add(int64(l.away))
	begin := time.Now()
	var asked atomic.Int64 // when, since begin; 0: what was asked is answered
	const gone = -1        // the client
	greeted := false       // a server that speaks first is waited for as well
	var both sync.WaitGroup
	both.Go(func() {
		l.carry(client, server, func() { asked.CompareAndSwap(0, max(1, int64(time.Since(begin)))) }, func() {
			asked.Store(gone)
		})
	})
	both.Go(func() {
		l.carry(server, client, func() {
			at := asked.Swap(0)
			if at == gone { // what is said now is waited for no more
				asked.Store(gone)
				return
			}
			if at > 0 {
				l.answers.Add(1)
			}
			if at > 0 || !greeted {
				l.waited.Add(int64(time.Since(begin)+l.away/2) - at)
			}
			greeted = true
		}, func() {})
	})
	both.Wait()
}

type piece struct {
	due  time.Time
	data []byte
}

// carry brings what from says to to. When from has ended, to is told so.
func (l *line) carry(from, to net.Conn, said, ended func()) {
	pieces := make(chan piece, 1024)
	go func() {
		defer close(pieces)
		for {
			data := make([]byte, 32<<10)
			n, err := from.Read(data)
			if n > 0 {
				said()
				pieces <- piece{time.Now().Add(l.away / 2), data[:n]}
			}
			if err != nil {
				ended()
				return
			}
		}
	}()
	for p := range pieces {
		if l.away > 0 {
			time.Sleep(time.Until(p.due))
		}
		if _, err := to.Write(p.data); err != nil {
			from.Close()
		}
	}
	to.(*net.TCPConn).CloseWrite()
}
