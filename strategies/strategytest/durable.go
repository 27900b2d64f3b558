package strategytest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
)

// TestDurability runs the cases that restart the server, one after another: for
// fixtures whose server other fixtures use as well, and which leave Restart out of
// TestEngine for that.
func TestDurability(t *testing.T, newFixture func(t *testing.T) EngineFixture) {
	for _, r := range durableRules() {
		t.Run(r.name, func(t *testing.T) {
			f := newFixture(t)
			if f.Restart == nil {
				t.Fatal("fixture: no Restart")
			}
			ctx, cancel := context.WithTimeout(t.Context(), caseTime)
			defer cancel()
			switch err := engineCase(r).Check(ctx, f); {
			case errors.Is(err, ErrNotOffered):
				t.Skip(err)
			case err != nil:
				t.Errorf("%v\nWhy this matters: %s", err, r.why)
			}
		})
	}
}

func durableRules() []engineRule {
	rule := func(name, why string, check func(ctx context.Context, b *engineEnv) error) engineRule {
		return engineRule{name, why, func(ctx context.Context, b *engineEnv) error {
			if b.Restart == nil {
				return notOffered("Restart (so whether a password survives a restart of the server was not looked at)")
			}
			return check(ctx, b)
		}}
	}
	return []engineRule{
		rule("durable/set", "A server that forgets the new password at its next restart brings the old one back, and "+
			"locks out every client, weeks after the rotation.", func(ctx context.Context, b *engineEnv) error {
			for _, c := range b.changes() {
				p := b.password()
				if c.as.User == b.User.User {
					c.as = b.User
				}
				err := steps(
					func() error { return wrapf(c.do(ctx, c.as, p), "%s", c.name) },
					func() error { return b.restart(ctx) },
					func() error { return b.mustLogIn(ctx, with(c.of, p), c.name+", after a restart") },
				)
				if err != nil {
					return err
				}
				if c.of.User == b.User.User {
					if err := b.mustReject(ctx, b.User, c.name+", after a restart, with the old password"); err != nil {
						return err
					}
					b.User = with(b.User, p)
				}
			}
			return nil
		}),
		rule("durable/dual", "The second password has to be there after a restart, and so has the first.",
			func(ctx context.Context, b *engineEnv) error {
				e, ok := b.Engine.(strategies.DualPasswordEngine)
				if !ok || b.DualPasswordUser.User == "" {
					return notOffered("SetPasswordKeeping and DualPasswordUser")
				}
				k := keeper{e, b, b.DualPasswordUser}
				next, err := k.keep(ctx, k.user)
				if err != nil {
					return err
				}
				return steps(
					func() error { return b.restart(ctx) },
					func() error { return k.both(ctx, k.user, next, "after a restart") },
				)
			}),
		rule("durable/cut", "Cut off between the change and its saving, a rotation is retried and finds that the "+
			"pending password works: unless that saves it, the next restart takes it away, when AWSCURRENT names it.",
			durableCut),
	}
}

// restart restarts the server, and has no census compare what was with what is.
func (b *engineEnv) restart(ctx context.Context) error {
	return wrapf(b.Restart(ctx), "fixture: restart")
}

// durableCut cuts each change at each piece of what is said, does what a strategy does
// when it is retried, and restarts the server.
func durableCut(ctx context.Context, b *engineEnv) error {
	if b.Dial == nil {
		return notOffered("Dial")
	}
	for _, c := range b.changes() {
		var right secret.Password
		if c.of.User == b.User.User {
			right = b.User.Password
		}
		const most = 1000 // pieces
		for n := 1; ; n++ {
			if n > most {
				return fmt.Errorf("%s: more than %d pieces", c.name, most)
			}
			if c.as.User == c.of.User {
				c.as = with(c.as, right)
			}
			p := b.password()
			cut, err := b.cutAt(ctx, c, p, n)
			if err != nil {
				return err
			}
			if !cut {
				// The call says that it is done. What was lost may have been a goodbye, and not the answer to a saving.
				if err := b.restart(ctx); err != nil {
					return err
				}
				if err := b.mustLogIn(ctx, with(c.of, p),
					fmt.Sprintf("%s, cut at piece %d: no error, but after a restart", c.name, n)); err != nil {
					return err
				}
				if c.of.User == b.User.User {
					b.User = with(b.User, p)
				}
				break
			}
			// Where p works, a strategy takes the change for done, but for these.
			worksNow := b.LogIn(ctx, with(c.of, p)) == nil
			if !worksNow {
				if !right.Empty() {
					if err := b.mustLogIn(ctx, with(c.of, right), fmt.Sprintf("%s, cut at piece %d", c.name,
						n)); err != nil {
						return err
					}
				}
				continue
			}
			acting := c.as
			if acting.User == c.of.User {
				acting = with(acting, p)
			}
			persister, persists := b.raw.(strategies.Persister)
			switch {
			case acting.User != c.of.User && b.Engine.Traits().SeveralAccounts:
				err = c.do(ctx, acting, p)
			case persists:
				err = persister.Persist(ctx, acting, c.of.User, p)
			}
			what := fmt.Sprintf("%s, cut at piece %d, retried", c.name, n)
			if !persists {
				what += " (the engine has no Persist)"
			}
			if err != nil {
				return fmt.Errorf("%s: %w", what, err)
			}
			if err := b.restart(ctx); err != nil {
				return err
			}
			if err := b.mustLogIn(ctx, with(c.of, p), what+", after a restart"); err != nil {
				return err
			}
			if !right.Empty() {
				if err := b.mustReject(ctx, with(c.of, right),
					what+", after a restart, with the old password"); err != nil {
					return err
				}
			}
			right = p
		}
	}
	return nil
}

// cutAt makes a change by way of a proxy that resets the line at its n-th piece. cut: it
// came to that.
func (b *engineEnv) cutAt(ctx context.Context, c change, p secret.Password, n int) (cut bool, err error) {
	var mu sync.Mutex
	seen := 0
	proxy := &Proxy{Dial: b.Dial, OnChunk: func(Chunk) ChunkAction {
		mu.Lock()
		defer mu.Unlock()
		seen++
		if seen >= n {
			cut = true
			return ChunkReset
		}
		return ChunkForward
	}}
	if err := proxy.Listen(); err != nil {
		return false, err
	}
	defer proxy.Close()
	login := c.as
	if login.TLS.ServerName == "" {
		login.TLS.ServerName = login.Host
	}
	login.Host, login.Port = "127.0.0.1", proxy.Port()
	err, deaf := respectsContext(ctx, b.CancelGrace, c.name, func(ctx context.Context) error {
		return c.do(ctx, login, p)
	})
	if deaf != nil {
		return false, deaf
	}
	mu.Lock()
	defer mu.Unlock()
	switch {
	case !cut && err != nil:
		return false, fmt.Errorf("%s by way of a proxy: %w", c.name, err)
	case errors.Is(err, rotator.KindLoginRejected):
		return false, fmt.Errorf("%s, cut at piece %d: a cut is no rejected login: %w", c.name, n, err)
	}
	return cut && err != nil, nil // the last piece may be a goodbye, and then nothing was lost
}

// nodeRules are about servers of several nodes, each of which knows passwords of its own.
func nodeRules() []engineRule {
	return []engineRule{
		{"nodes/set", "Clients are sent to any node. One that was forgotten refuses them, and goes on taking the old " +
			"password.", func(ctx context.Context, b *engineEnv) error {
			if b.Nodes == nil || b.LogInAt == nil {
				return notOffered("Nodes and LogInAt")
			}
			for _, c := range b.changes() {
				p := b.password()
				if c.as.User == b.User.User {
					c.as = b.User
				}
				if err := c.do(ctx, c.as, p); err != nil {
					return fmt.Errorf("%s: %w", c.name, err)
				}
				for _, node := range b.Nodes {
					if err := b.LogInAt(ctx, node, with(c.of, p)); err != nil {
						return fmt.Errorf("%s: at node %s, user %q must be able to log in with the new password: %w",
							c.name, node, c.of.User, err)
					}
					if c.of.User != b.User.User {
						continue
					}
					if err := wantKind(fmt.Sprintf("%s: login as %q at node %s with the old password", c.name,
						c.of.User, node), b.LogInAt(ctx, node, b.User), rotator.KindLoginRejected); err != nil {
						return err
					}
				}
				if c.of.User == b.User.User {
					b.User = with(b.User, p)
				}
			}
			return nil
		}},
	}
}
