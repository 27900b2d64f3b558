package strategytest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
)

func networkRules() []engineRule {
	return []engineRule{
		{"network/closed-port", "If an outage looks like a rejected login, strategies try every password they know, " +
			"and lock the account when the server is back.", func(ctx context.Context, b *engineEnv) error {
			port, err := closedPort()
			if err != nil {
				return err
			}
			return b.eachCall(ctx, func(login strategies.Login) strategies.Login {
				login.Host, login.Port = "127.0.0.1", port
				return login
			}, rotator.KindUnreachable)
		}},
		{"network/unknown-host", "A host name with a slip in it is the network's affair and not the password's.",
			func(ctx context.Context, b *engineEnv) error {
				return b.eachCall(ctx, func(login strategies.Login) strategies.Login {
					// A label this long is no name, so that no name server is asked.
					login.Host = strings.Repeat("x", 64) + ".invalid"
					return login
				}, rotator.KindUnreachable, rotator.KindMisconfigured)
			}},
		{"network/hang-up", "A proxy without a database behind it accepts and hangs up: the credentials were not " +
			"judged.", func(ctx context.Context, b *engineEnv) error {
			s, err := listen(func(_ *fakeServer, c net.Conn) { c.Close() })
			if err != nil {
				return err
			}
			defer s.close()
			return b.eachCall(ctx, s.lead)
		}},
		{"network/nonsense", "Something else listens on that port: an answer that makes no sense is not a judgement.",
			func(ctx context.Context, b *engineEnv) error {
				s, err := listen(func(s *fakeServer, c net.Conn) {
					io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n\x00\xff\x00\xff")
					io.Copy(s, c)
					c.Close()
				})
				if err != nil {
					return err
				}
				defer s.close()
				ctx, cancel := context.WithTimeout(ctx, 2*time.Second) // it may wait for more
				defer cancel()
				return b.eachCall(ctx, s.lead)
			}},
		{"network/no-password-in-clear", "A host that answers without TLS must not be sent the password.",
			func(ctx context.Context, b *engineEnv) error {
				s, err := listenSilently()
				if err != nil {
					return err
				}
				defer s.close()
				for _, call := range b.calls() {
					login := s.lead(with(call.as, b.canary()))
					login.TLS.Disabled = false
					ctx, cancel := context.WithTimeout(ctx, 200*time.Millisecond) // each waits for as long
					_, deaf := respectsContext(ctx, b.CancelGrace, call.name, func(ctx context.Context) error {
						return call.do(ctx, login, b.canary())
					})
					cancel()
					if deaf != nil {
						return deaf
					}
				}
				if b.leaks(s.text()) {
					return errors.New("a server that had not proved its name was sent a password in clear")
				}
				return nil
			}},
		{"context/cancelled", "Lambda's time is over, or the caller has given up: nothing may begin now.",
			func(ctx context.Context, b *engineEnv) error {
				ctx2, cancel := context.WithCancel(ctx)
				cancel()
				for _, call := range b.calls() {
					p := b.password()
					err, deaf := respectsContext(ctx2, b.CancelGrace, call.name, func(ctx context.Context) error {
						return call.do(ctx, call.as, p)
					})
					if deaf != nil {
						return deaf
					}
					if err := wantFailure(call.name+" with a cancelled context", err); err != nil {
						return err
					}
					if err := b.unchanged(ctx, p); err != nil {
						return err
					}
				}
				return nil
			}},
		{"context/deadline", "A server that accepts and never answers held AWS's functions until Lambda killed them, " +
			"without a reason in the log.", func(ctx context.Context, b *engineEnv) error {
			return b.silence(ctx, func(ctx context.Context, _ *fakeServer) (context.Context, context.CancelFunc) {
				return context.WithTimeout(ctx, 300*time.Millisecond)
			})
		}},
		{"context/cancelled-midway", "Giving up must reach the handshake too, and not only the dialing.",
			func(ctx context.Context, b *engineEnv) error {
				return b.silence(ctx, func(ctx context.Context, s *fakeServer) (context.Context, context.CancelFunc) {
					ctx, cancel := context.WithCancel(ctx)
					go func() {
						select {
						case <-s.spoke:
						case <-ctx.Done():
						case <-time.After(time.Second): // with this engine the server speaks first
						}
						cancel()
					}()
					return ctx, cancel
				})
			}},
		{"network/cut-anywhere", "Connections break in the middle of everything: the account must have one password " +
			"or the other, and no break is a rejected login.", func(ctx context.Context, b *engineEnv) error {
			return b.cutEverywhere(ctx, true)
		}},
		{"network/silent-anywhere", "Servers fall silent in the middle of everything, and a failover looks just " +
			"like that.", func(ctx context.Context, b *engineEnv) error {
			return b.cutEverywhere(ctx, false)
		}},
	}
}

// eachCall makes every call to a place where no server of the engine is. An
// account is untouched by that, and no credentials are judged. Without kinds, any
// failure will do; the context's own end always does.
func (b *engineEnv) eachCall(ctx context.Context, lead func(login strategies.Login) strategies.Login,
	kinds ...rotator.Kind) error {
	for _, call := range b.calls() {
		p := b.password()
		err, deaf := respectsContext(ctx, b.CancelGrace, call.name, func(ctx context.Context) error {
			return call.do(ctx, lead(call.as), p)
		})
		if deaf != nil {
			return deaf
		}
		if err := wantFailure(call.name, err); err != nil {
			return err
		}
		if len(kinds) > 0 {
			if err := wantKind(call.name, err, append(kinds, rotator.KindDeadline)...); err != nil {
				return err
			}
		}
	}
	return nil
}

// silence makes every call to a server that accepts and never answers.
func (b *engineEnv) silence(ctx context.Context, limit func(ctx context.Context, s *fakeServer) (context.Context,
	context.CancelFunc)) error {
	for _, call := range b.calls() {
		err := func() error {
			s, err := listenSilently()
			if err != nil {
				return err
			}
			defer s.close()
			ctx, cancel := limit(ctx, s)
			defer cancel()
			err, deaf := respectsContext(ctx, b.CancelGrace, call.name, func(ctx context.Context) error {
				return call.do(ctx, s.lead(call.as), b.password())
			})
			if deaf != nil {
				return deaf
			}
			return wantFailure(call.name+" at a silent server", err)
		}()
		if err != nil {
			return err
		}
	}
	return nil
}

// cutEverywhere counts the bytes that a server sends during a call, and repeats
// the call with the line cut, or silent, after ever more of them.
func (b *engineEnv) cutEverywhere(ctx context.Context, hangUp bool) error {
	if b.Dial == nil {
		return notOffered("Dial")
	}
	cuts := int64(10)
	if !hangUp {
		cuts = 5 // each waits for a deadline
	}
	for _, call := range b.changes() {
		login, right := call.as, b.password()
		began := time.Now()
		total, err := b.through(ctx, call, login, right, -1, 0)
		if err != nil {
			return fmt.Errorf("%s through a proxy: %w", call.name, err)
		}
		var silence time.Duration
		if !hangUp {
			// Ten times what the whole call takes is enough to come to the place of silence. On a machine that is
			// slow just then, the wait ends before it, which is an end as good as any.
			silence = min(300*time.Millisecond, max(50*time.Millisecond, 10*time.Since(began)))
		}
		for i := range cuts {
			if login.User == call.of.User {
				login = with(login, right)
			}
			p := b.password()
			sent, err := b.through(ctx, call, login, p, total*i/cuts, silence)
			what := fmt.Sprintf("%s, with the line cut after %d of some %d bytes of the answers", call.name,
				sent, total)
			done := err == nil // what was lost may have been a goodbye
			if !done && !errors.Is(err, errIgnoresContext) {
				err = wantFailure(what, err)
			}
			if err != nil {
				return err
			}
			switch {
			case b.Nodes == nil || call.of.User == b.User.User:
				if right, err = b.oneOf(ctx, call.of, right, p); err == nil && done && !right.Equal(p) {
					err = fmt.Errorf("no error, and user %q still has the password from before", call.of.User)
				}
			case done: // it is not in use; what is done at some nodes is done again
				err = b.mustLogIn(ctx, with(call.of, p), "no error")
			}
			if err != nil {
				return fmt.Errorf("%s: %w", what, err)
			}
			if call.of.User != b.User.User {
				if err := b.mustLogIn(ctx, b.User, what+": the account in use"); err != nil {
					return err
				}
			}
		}
		if call.of.User == b.User.User {
			b.User = with(b.User, right)
		}
	}
	return nil
}

var errIgnoresContext = errors.New("deaf to its context")

// through makes a call by way of a proxy that stops after so many bytes, and says
// how many the server sent. Where it is silent then, silence is how long that is waited for; 0: it hangs up.
func (b *engineEnv) through(ctx context.Context, call change, login strategies.Login, p secret.Password, limit int64,
	silence time.Duration) (int64, error) {
	s, err := forward(ctx, b.Dial, limit, silence == 0)
	if err != nil {
		return 0, err
	}
	defer s.close()
	if silence > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, silence)
		defer cancel()
	}
	err, deaf := respectsContext(ctx, b.CancelGrace, call.name, func(ctx context.Context) error {
		return call.do(ctx, s.lead(login), p)
	})
	if deaf != nil {
		return 0, fmt.Errorf("%w: %w", errIgnoresContext, deaf)
	}
	return int64(len(s.text())), err
}
