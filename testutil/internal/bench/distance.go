package bench

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// line stands between a client and a server, at a distance: what either says arrives half a round
// trip later, in order and with no limit on how much is under way. It counts how often
// the server answers, which is what distance costs.
type line struct {
	to       string // "127.0.0.1:5432"
	away     time.Duration
	answers  atomic.Int64
	opened   atomic.Int64
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
	var asked atomic.Bool
	var both sync.WaitGroup
	both.Go(func() { l.carry(client, server, func() { asked.Store(true) }) })
	both.Go(func() {
		l.carry(server, client, func() {
			if asked.Swap(false) {
				l.answers.Add(1)
			}
		})
	})
	both.Wait()
}

type piece struct {
	due  time.Time
	data []byte
}

// carry brings what from says to to. When from has ended, to is told so.
func (l *line) carry(from, to net.Conn, said func()) {
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
