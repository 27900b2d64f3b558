package lambdahost

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math"
	"os"
	"sync"
	"time"
)

// Output is a Function.Output that keeps what is printed in memory. The zero
// value is ready for use, by several functions at once.
type Output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write appends p. It does not fail.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

// String is all that was printed since the last Reset.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// Reset forgets what was printed.
func (o *Output) Reset() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.buf.Reset()
}

// tailSize is how much log X-Amz-Log-Result holds.
const tailSize = 4 << 10

// logbook writes what CloudWatch would show, and keeps the end of the invocation
// at hand. Writers are the host and the process, in the order of events.
type logbook struct {
	mu   sync.Mutex
	out  io.Writer
	tail []byte
}

func (l *logbook) write(p []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tail = append(l.tail, p...)
	if n := len(l.tail) - tailSize; n > 0 {
		l.tail = append(l.tail[:0], l.tail[n:]...)
	}
	_, _ = l.out.Write(p) // a log that cannot be written must not fail the function
}

func (l *logbook) printf(format string, args ...any) {
	l.write(fmt.Appendf(nil, format, args...))
}

func (l *logbook) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tail = nil
}

func (l *logbook) last() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.tail)
}

// end writes the last lines of an invocation. Since August 2025 the billed time
// includes the init.
func (l *logbook) end(r Result, memoryMB int, failed *failure) {
	status := ""
	switch {
	case failed == nil:
	case failed.timeout:
		l.printf("%s %s %s\n", time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), r.RequestID, failed.message)
		status = "Status: timeout"
	default:
		if failed.posted == nil {
			l.printf("RequestId: %s Error: %s\n%s\n", r.RequestID, failed.message, failed.kind)
		}
		status = "Status: error\tError Type: " + failed.kind
	}
	l.printf("END RequestId: %s\n", r.RequestID)
	var b bytes.Buffer
	fmt.Fprintf(&b, "REPORT RequestId: %s\tDuration: %.2f ms\tBilled Duration: %.0f ms\tMemory Size: %d MB\tMax "+
		"Memory Used: %d MB\t",
		r.RequestID, milliseconds(r.Duration), math.Ceil(milliseconds(r.Duration+r.Init)), memoryMB, r.MaxMemoryMB)
	if r.Cold {
		fmt.Fprintf(&b, "Init Duration: %.2f ms\t", milliseconds(r.Init))
	}
	fmt.Fprintf(&b, "%s\n", status)
	l.write(b.Bytes())
}

func milliseconds(d time.Duration) float64 {
	return float64(d) / float64(time.Millisecond)
}

// logPipe is the process's stdout and stderr. The host keeps a writing end of its
// own and puts a marker into it: once the marker is read, so is everything that
// the process wrote before. End of file would not do, because the process lives
// on, and so may a child that holds the pipe.
type logPipe struct {
	r, w   *os.File
	marker []byte
	seen   chan struct{}
	read   chan struct{} // closed when reading has ended
}

func newLogPipe(log *logbook) (*logPipe, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p := &logPipe{
		r:      r,
		w:      w,
		marker: []byte("\x00" + newUUID() + "\n"), // shorter than PIPE_BUF: written in one piece
		seen:   make(chan struct{}),
		read:   make(chan struct{}),
	}
	go p.copyLines(log)
	return p, nil
}

// copyLines reads until close. A line is written whole; the rest of one that had
// no end when the marker came follows as a line of its own.
func (p *logPipe) copyLines(log *logbook) {
	defer close(p.read)
	in := bufio.NewReader(p.r)
	for {
		line, err := in.ReadBytes('\n')
		text, marked := bytes.CutSuffix(line, p.marker)
		if len(text) > 0 {
			if !bytes.HasSuffix(text, []byte("\n")) {
				text = append(bytes.Clone(text), '\n')
			}
			log.write(text)
		}
		if marked {
			p.seen <- struct{}{}
		}
		if err != nil {
			return
		}
	}
}

// sync returns when all that the process has written is in the log.
func (p *logPipe) sync() {
	if _, err := p.w.Write(p.marker); err != nil {
		return // closed: there is nothing more to come
	}
	<-p.seen
}

func (p *logPipe) close() {
	_ = p.r.Close() // this also ends a read that waits
	_ = p.w.Close()
	<-p.read
}
