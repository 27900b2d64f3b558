package strategytest

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
)

// TestRotationNoticesWrongStrategies: each breach is found, by its name, where a
// strategy is wrong in one way.
func TestRotationNoticesWrongStrategies(t *testing.T) {
	single := func(e strategies.CloningEngine) rotator.Strategy { return strategies.SingleUser{Engine: e} }
	turns := func(e strategies.CloningEngine) rotator.Strategy { return strategies.AlternatingUsers{Engine: e} }
	login := func(db strategies.CloningEngine, d secret.Document) strategies.Login {
		return db.(*Memory).Login(d.Text("username"), d.Password())
	}
	for name, c := range map[string]struct {
		right func(e strategies.CloningEngine) rotator.Strategy
		bend  func(e strategies.CloningEngine, s *bentStrategy)
		spoil func(f *RotationFixture)
		want  Violation
	}{
		"sets another password than the pending one": {single, func(e strategies.CloningEngine, s *bentStrategy) {
			s.apply = func(ctx context.Context, r rotator.Rotation) error {
				return e.SetPassword(ctx, login(e, r.Current), r.Current.Text("username"), fresh())
			}
			s.verify = func(context.Context, rotator.Rotation) error { return nil }
		}, nil, ViolationLockedOut},
		"sets the password of the user in use": {turns, func(e strategies.CloningEngine, s *bentStrategy) {
			s.apply = func(ctx context.Context, r rotator.Rotation) error {
				return e.SetPassword(ctx, login(e, r.Current), r.Current.Text("username"), r.Pending.Password())
			}
			s.verify = func(context.Context, rotator.Rotation) error { return nil }
		}, nil, ViolationLockedOut},
		"knows no way back in after a crash": {single, func(e strategies.CloningEngine, s *bentStrategy) {
			s.apply = func(ctx context.Context, r rotator.Rotation) error {
				return e.SetPassword(ctx, login(e, r.Current), r.Current.Text("username"), r.Pending.Password())
			}
		}, nil, ViolationNotRecovered},
		"changes a member of the application's": {single, func(_ strategies.CloningEngine, s *bentStrategy) {
			right := s.Strategy.Propose
			s.next = func(ctx context.Context, r rotator.Rotation) (secret.Document, error) {
				d, err := right(ctx, r)
				return d.Set("colour", "red"), err
			}
		}, nil, ViolationCorrupted},
		"changes another account's password": {single, alongside(func(db *Memory, _ rotator.Rotation) {
			edit(db, "other", func(a *Account) { a.Password = fresh() })
		}), nil, ViolationBystander},
		"alters a bystander": {turns, alongside(func(db *Memory, _ rotator.Rotation) {
			edit(db, "other", func(a *Account) { a.Tables = nil })
		}), nil, ViolationBystander},
		"alters a bystander when a retry finds its work done": {turns, func(e strategies.CloningEngine, s *bentStrategy) {
			right := s.Strategy.Apply
			s.apply = func(ctx context.Context, r rotator.Rotation) error {
				if e.Ping(ctx, login(e, r.Pending)) == nil {
					edit(e.(*Memory), "other", func(a *Account) { a.Tables = nil })
				}
				return right(ctx, r)
			}
		}, nil, ViolationBystander},
		"gives the clone more": {turns, alongside(func(db *Memory, r rotator.Rotation) {
			edit(db, r.Pending.Text("username"), func(a *Account) { a.Superuser = true })
		}), nil, ViolationPrivileges},
		"leaves the clone without privileges": {turns, alongside(func(db *Memory, r rotator.Rotation) {
			edit(db, r.Pending.Text("username"), func(a *Account) { a.SetRole = "" })
		}), nil, ViolationPrivileges},
		"changes one host of three": {single, alongside(func(db *Memory, r rotator.Rotation) {
			edit(db, "app", func(a *Account) { a.Hosts = onHosts(a.Hosts, fresh()) })
		}), nil, ViolationLockedOut},
		"never saves": {single, func(e strategies.CloningEngine, s *bentStrategy) {
			right := s.Strategy.Apply
			s.apply = func(ctx context.Context, r rotator.Rotation) error {
				return world{Memory: e.(*Memory)}.unsaved(func() error { return right(ctx, r) })
			}
		}, nil, ViolationNotSaved},
		"saves in a second step, unless a retry finds its work done": {single, func(e strategies.CloningEngine, s *bentStrategy) {
			db := e.(*Memory)
			right := s.Strategy.Apply
			s.apply = func(ctx context.Context, r rotator.Rotation) error {
				if e.Ping(ctx, login(e, r.Pending)) == nil {
					return nil
				}
				if err := (world{Memory: db}).unsaved(func() error { return right(ctx, r) }); err != nil {
					return err
				}
				if err := e.Ping(ctx, login(e, r.Pending)); err != nil { // the line is cut here
					return err
				}
				world{Memory: db}.save()
				return nil
			}
		}, nil, ViolationNotSaved},
		"panics": {single, func(_ strategies.CloningEngine, s *bentStrategy) {
			right := s.Strategy.Verify
			first := true
			s.verify = func(ctx context.Context, r rotator.Rotation) error {
				if first {
					first = false
					panic("oh")
				}
				return right(ctx, r)
			}
		}, nil, ViolationPanicked},
		"shows a password to the server's log": {single, func(strategies.CloningEngine, *bentStrategy) {}, func(f *RotationFixture) {
			f.ServerLog = func() string { return "ALTER USER app PASSWORD '" + f.Current.Password().Reveal() + "'" }
		}, ViolationLeaked},
	} {
		t.Run(name, func(t *testing.T) {
			fresh := func(ctx context.Context) (RotationFixture, error) {
				f, err := MemoryRotation(func(e strategies.CloningEngine) rotator.Strategy {
					s := &bentStrategy{Strategy: c.right(e)}
					c.bend(e, s)
					return s
				}, name == "sets the password of the user in use")(ctx)
				if c.spoil != nil {
					c.spoil(&f)
				}
				return f, err
			}
			// Either the rotation without trouble is a breach already, or some trial is.
			trials, err := Trials(t.Context(), fresh)
			for _, trial := range trials {
				if err = trial.Run(t.Context()); err != nil && !errors.Is(err, ErrNotOffered) {
					break
				}
			}
			if !errors.Is(err, c.want) {
				t.Errorf("want %q, got: %v", c.want, err)
			}
		})
	}
}

// alongside does something more when the right strategy has applied a value.
func alongside(more func(db *Memory, r rotator.Rotation)) func(e strategies.CloningEngine, s *bentStrategy) {
	return func(e strategies.CloningEngine, s *bentStrategy) {
		right := s.Strategy.Apply
		s.apply = func(ctx context.Context, r rotator.Rotation) error {
			err := right(ctx, r)
			if err == nil {
				more(e.(*Memory), r)
			}
			return err
		}
	}
}

func edit(db *Memory, user string, change func(a *Account)) { world{Memory: db}.edit(user, change) }

// TestProxy does to a line each thing that it can do.
func TestProxy(t *testing.T) {
	echo, err := listen(func(_ *fakeServer, c net.Conn) { io.Copy(c, c); c.Close() })
	if err != nil {
		t.Fatal(err)
	}
	defer echo.close()
	var verdict atomic.Int32
	p := Proxy{
		Dial: func(ctx context.Context) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", echo.listener.Addr().String())
		},
		OnChunk: func(piece Chunk) ChunkAction {
			if piece.FromServer {
				return ChunkAction(verdict.Load())
			}
			return ChunkForward
		},
	}
	if err := p.Listen(); err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	say := func(v ChunkAction, wait time.Duration) (string, error) {
		verdict.Store(int32(v))
		c, err := net.Dial("tcp", p.listener.Addr().String())
		if err != nil {
			return "", err
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(wait))
		io.WriteString(c, "hello")
		heard := make([]byte, 5)
		n, err := io.ReadFull(c, heard)
		return string(heard[:n]), err
	}
	for v, want := range map[ChunkAction]string{ChunkForward: "hello", ChunkSlow: "hello", ChunkReset: "", ChunkDrop: ""} {
		wait := time.Minute
		if v == ChunkDrop {
			wait = 50 * time.Millisecond
		}
		heard, err := say(v, wait)
		if heard != want || (err == nil) != (want != "") || errors.Is(err, os.ErrDeadlineExceeded) != (v == ChunkDrop) {
			t.Errorf("verdict %d: heard %q, %v", v, heard, err)
		}
		if err := p.Idle(t.Context()); err != nil {
			t.Errorf("verdict %d: %v", v, err)
		}
	}
	p.ResetAll(true)
	if heard, err := say(ChunkForward, time.Minute); err == nil {
		t.Errorf("down: heard %q", heard)
	}
	p.ResetAll(false)
	if heard, err := say(ChunkForward, time.Minute); heard != "hello" {
		t.Errorf("up again: heard %q, %v", heard, err)
	}
	held, err := net.Dial("tcp", p.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	io.WriteString(held, "hello")
	io.ReadFull(held, make([]byte, 5)) // now it is through
	over, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := p.Idle(over); err == nil || !strings.Contains(err.Error(), "left open") {
		t.Errorf("a connection that is held: %v", err)
	}
}
