// Package enginetest is what the tests of the engines in this module share.
package enginetest

import (
	"context"
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
)

// OK ends the test on an error.
func OK(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Wants ends the test unless err has the kind and says the words.
func Wants(t *testing.T, err error, kind rotator.Kind, words ...string) {
	t.Helper()
	OK(t, Differs(err, kind, words...))
}

// Differs says in what way err is not the one that is wanted, or what it has a person run is no statement.
func Differs(err error, kind rotator.Kind, words ...string) error {
	if rotator.KindOf(err) != kind {
		return fmt.Errorf("kind %q, want %q: %v", rotator.KindOf(err), kind, err)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			return fmt.Errorf("the error does not say %q: %v", w, err)
		}
	}
	for _, f := range rotator.FixesOf(err) {
		if f.By != rotator.ByShell && isProse(f.Run) {
			return fmt.Errorf("to run is %s: %v", f.Run, err)
		}
	}
	return nil
}

var (
	quoted = regexp.MustCompile("'[^']*'|\"[^\"]*\"|`[^`]*`")
	words  = regexp.MustCompile(`[a-z]{2} [a-z]`)
	rules  = regexp.MustCompile(`^ACL SETUSER \S+( (on|off|reset[a-z]*|(skip-)?sanitize-payload|[-+~%&>#(].*))*$`)
)

// isProse says whether a line to run is none: it has words in small letters beside each other, as no statement of SQL
// that this project prints, or what is no rule of a user; or what stands around it in its sentence.
func isProse(run string) bool {
	bare := quoted.ReplaceAllString(run, "")
	if strings.HasPrefix(run, "ACL SETUSER ") {
		return !rules.MatchString(run)
	}
	return words.MatchString(bare) || strings.Count(bare, "(") != strings.Count(bare, ")")
}

// With is a login with a change.
func With(login strategies.Login, change func(*strategies.Login)) strategies.Login {
	change(&login)
	return login
}

// WithPassword is a login with another password.
func WithPassword(login strategies.Login, p secret.Password) strategies.Login {
	login.Password = p
	return login
}

// Listen is a server of the test's own on a port of 127.0.0.1. When serve returns, the
// connection ends.
func Listen(t *testing.T, serve func(net.Conn)) (port int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	OK(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				serve(conn)
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

// Entitled has an engine rehearse and make the change of a pair. refusal is what the
// error says of it; "": both go through. census is all that the server keeps of both
// accounts: a dry run and a refused change leave it as it is.
func Entitled(t *testing.T, e strategies.CloningEngine, login strategies.Login, pair strategies.Pair, p secret.Password,
	refusal string, census func() string) {
	t.Helper()
	before := census()
	_, rehearsed := e.DryRunEnsureClone(t.Context(), login, pair, p)
	if census() != before {
		t.Error("a dry run changed something")
	}
	done := e.EnsureClone(t.Context(), login, pair, p)
	if refusal == "" {
		if rehearsed != nil || done != nil {
			t.Errorf("refused: %v; %v", rehearsed, done)
		}
		return
	}
	for _, err := range []error{rehearsed, done} {
		if wrong := Differs(err, rotator.KindNotEntitled, refusal); wrong != nil {
			t.Error(wrong)
		}
	}
	if census() != before {
		t.Error("a refused call changed something")
	}
}

// Pause holds a client that connects through Dial before one of its writes, until Resume is closed.
type Pause struct {
	Reached, Resume chan struct{}

	net.Conn
	writes int // that are let through
}

// NewPause makes the Pause before the write of that number, from 1.
func NewPause(write int) *Pause {
	return &Pause{Reached: make(chan struct{}), Resume: make(chan struct{}), writes: write - 1}
}

// Dial connects once.
func (p *Pause) Dial(ctx context.Context, network, address string) (_ net.Conn, err error) {
	p.Conn, err = new(net.Dialer).DialContext(ctx, network, address)
	return p, err
}

func (p *Pause) Write(b []byte) (int, error) {
	if p.writes--; p.writes == -1 {
		close(p.Reached)
		<-p.Resume
	}
	return p.Conn.Write(b)
}
