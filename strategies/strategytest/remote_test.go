package strategytest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
)

// remote is a Memory behind a socket: the network cases need a line to cut. The
// protocol is two questions and two answers, in JSON: hello, in place of a TLS
// handshake, and then a request with the password in it. Its fields make it wrong.
type remote struct {
	deaf         bool   // obeys no context once it is connected
	onlyDeadline bool   // obeys a deadline and no cancellation
	deafLate     bool   // obeys the context until the server has said hello
	rejectsCuts  bool   // takes a broken line for a rejected login
	rejectsFog   bool   // takes an answer that makes no sense for one
	hasty        string // in this operation, it sends the password before the server has proved its name
	fallsBack    bool   // goes on without TLS
	twice        bool   // sets a password in two steps, with another one in between
	savesApart   bool   // saves in a second command
	hidesUnsaved bool   // and does not say when that failed
	optimist     bool   // takes a lost answer for a yes
	asksFirst    bool   // logs in on a line of its own before it does anything: that is not wrong
}

type hello struct{ ServerName string }

type request struct {
	Op, User, Database, Target, New, Old string
	Password                             string
	Pair                                 strategies.Pair
	Possession                           *reply // of Pair.Possession
}

type reply struct {
	Kind    rotator.Kind
	Text    string
	AtLogin bool
}

func (r reply) err() error {
	if r.Kind == "" {
		return nil
	}
	err := fmt.Errorf("%w: %s", r.Kind, r.Text)
	if r.AtLogin {
		return strategies.MarkLoginError(err)
	}
	return err
}

// serveRemote serves a Memory on a port of this machine.
func serveRemote(t *testing.T, w world, withTLS bool) *fakeServer {
	t.Helper()
	s, err := listen(func(_ *fakeServer, c net.Conn) {
		defer c.Close()
		in, out := json.NewDecoder(c), json.NewEncoder(c)
		answer := func(err error) {
			r := reply{Kind: rotator.KindOf(err), AtLogin: errors.As(err, new(rotator.LoginError))}
			if err != nil {
				r.Text = err.Error()
			}
			out.Encode(r) //nolint:errcheck // the line may be cut
		}
		var h hello
		if in.Decode(&h) != nil {
			return
		}
		switch {
		case h.ServerName != "" && !withTLS:
			answer(fmt.Errorf("%w: the server speaks no TLS", rotator.KindTLS))
		case h.ServerName != "" && h.ServerName != "127.0.0.1":
			answer(fmt.Errorf("%w: the certificate is for 127.0.0.1", rotator.KindTLS))
			return
		default:
			answer(nil)
		}
		var q request
		if in.Decode(&q) == nil {
			answer(w.serve(context.Background(), q))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s
}

func (w world) serve(ctx context.Context, q request) error {
	login := w.Login(q.User, secret.NewPassword(q.Password))
	login.Database = q.Database
	if q.Possession != nil {
		q.Pair.Possession = func(context.Context, func(secret.Password) bool) error { return q.Possession.err() }
	}
	switch p := secret.NewPassword(q.New); q.Op {
	case "set unsaved":
		return w.unsaved(func() error { return w.SetPassword(ctx, login, q.Target, p) })
	case "save":
		w.save()
		return nil
	case "set":
		return w.SetPassword(ctx, login, q.Target, p)
	case "clone":
		return w.EnsureClone(ctx, login, q.Pair, p)
	case "keep":
		return w.SetPasswordKeeping(ctx, login, q.Target, secret.NewPassword(q.Old), p)
	case "rehearse keeping":
		_, err := w.DryRunKeeping(ctx, login, q.Target, secret.NewPassword(q.Old), p)
		return err
	case "rehearse":
		_, err := w.DryRunSetPassword(ctx, login, q.Target, p)
		return err
	case "rehearse clone":
		_, err := w.DryRunEnsureClone(ctx, login, q.Pair, p)
		return err
	}
	return w.Ping(ctx, login)
}

func (r remote) Traits() strategies.Traits { return new(Memory).Traits() }

func (r remote) Ping(ctx context.Context, login strategies.Login) error {
	return r.call(ctx, login, request{Op: "ping"})
}

func (r remote) SetPassword(ctx context.Context, login strategies.Login, user string, p secret.Password) error {
	if r.twice {
		between := secret.NewPassword("Between-" + unique())
		if err := r.call(ctx, login, request{Op: "set", Target: user, New: between.Reveal()}); err != nil {
			return err
		}
		if login.User == user {
			login.Password = between
		}
	}
	if r.savesApart {
		if err := r.call(ctx, login, request{Op: "set unsaved", Target: user, New: p.Reveal()}); err != nil {
			return err
		}
		err := r.call(ctx, login, request{Op: "save"})
		if r.hidesUnsaved {
			return nil
		}
		return err
	}
	return r.call(ctx, login, request{Op: "set", Target: user, New: p.Reveal()})
}

func (r remote) SetPasswordKeeping(ctx context.Context, login strategies.Login, user string, old,
	p secret.Password) error {
	if r.twice {
		between := secret.NewPassword("Between-" + unique())
		if err := r.call(ctx, login, request{Op: "keep", Target: user, Old: old.Reveal(),
			New: between.Reveal()}); err != nil {
			return err
		}
		old = between
		if login.User == user {
			login.Password = between
		}
	}
	return r.call(ctx, login, request{Op: "keep", Target: user, Old: old.Reveal(), New: p.Reveal()})
}

func (r remote) DryRunKeeping(ctx context.Context, login strategies.Login, user string, old,
	sample secret.Password) ([]strategies.Warning, error) {
	return nil, r.call(ctx, login, request{Op: "rehearse keeping", Target: user, Old: old.Reveal(),
		New: sample.Reveal()})
}

func (r remote) EnsureClone(ctx context.Context, login strategies.Login, pair strategies.Pair,
	p secret.Password) error {
	return r.callForPair(ctx, login, request{Op: "clone", Pair: pair, New: p.Reveal()})
}

func (r remote) DryRunSetPassword(ctx context.Context, login strategies.Login, user string,
	sample secret.Password) ([]strategies.Warning, error) {
	return nil, r.call(ctx, login, request{Op: "rehearse", Target: user, New: sample.Reveal()})
}

func (r remote) DryRunEnsureClone(ctx context.Context, login strategies.Login, pair strategies.Pair,
	sample secret.Password) ([]strategies.Warning, error) {
	return nil, r.callForPair(ctx, login, request{Op: "rehearse clone", Pair: pair, New: sample.Reveal()})
}

// callForPair has the strategy asked here whether the secret holds a password, for the
// server on the other side cannot.
func (r remote) callForPair(ctx context.Context, login strategies.Login, q request) error {
	if q.Pair.Possession != nil {
		q.Possession = new(reply)
		if err := q.Pair.Possession(ctx, nil); err != nil {
			*q.Possession = reply{Kind: rotator.KindOf(err), Text: err.Error()}
		}
	}
	return r.call(ctx, login, q)
}

func (r remote) call(ctx context.Context, login strategies.Login, q request) error {
	if r.asksFirst {
		first := r
		first.asksFirst = false
		if err := first.Ping(ctx, login); err != nil && !errors.Is(err, rotator.KindPrivilege) { // expired, perhaps
			return err
		}
	}
	var dialer net.Dialer
	c, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(login.Host, strconv.Itoa(login.Port)))
	if err != nil {
		return r.broken(ctx, err)
	}
	defer c.Close()
	if deadline, ok := ctx.Deadline(); ok && r.onlyDeadline {
		c.SetDeadline(deadline)
	}
	stop := func() bool { return true }
	if !r.deaf && !r.onlyDeadline {
		stop = context.AfterFunc(ctx, func() { c.Close() })
	}
	defer stop()
	return r.converse(ctx, c, login, q, func() {
		if r.deafLate {
			stop()
		}
	})
}

// persisting is a remote that saves what was set and not saved.
type persisting struct{ remote }

func (r persisting) Persist(ctx context.Context, login strategies.Login, _ string, _ secret.Password) error {
	return r.call(ctx, login, request{Op: "save"})
}

func (r remote) converse(ctx context.Context, c net.Conn, login strategies.Login, q request, greeted func()) error {
	q.User, q.Database, q.Password = login.User, login.Database, login.Password.Reveal()
	in, out := json.NewDecoder(c), json.NewEncoder(c)
	h := hello{ServerName: login.TLS.ServerName}
	if h.ServerName == "" {
		h.ServerName = login.Host
	}
	if login.TLS.Disabled {
		h.ServerName = ""
	}
	out.Encode(h) //nolint:errcheck // the next read will tell
	if r.hasty == q.Op {
		out.Encode(q) //nolint:errcheck
	}
	var answer reply
	if err := in.Decode(&answer); err != nil {
		return r.broken(ctx, err)
	}
	greeted()
	if err := answer.err(); err != nil && !r.fallsBack {
		return err
	}
	if r.hasty != q.Op {
		out.Encode(q) //nolint:errcheck
	}
	answer = reply{}
	if err := in.Decode(&answer); err != nil {
		if r.optimist && ctx.Err() == nil {
			return nil
		}
		return r.broken(ctx, err)
	}
	return answer.err()
}

func (r remote) broken(ctx context.Context, err error) error {
	_, fog := errors.AsType[*json.SyntaxError](err)
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%w: %w", rotator.KindDeadline, ctx.Err())
	case fog && r.rejectsFog, !fog && r.rejectsCuts:
		return fmt.Errorf("%w: %w", rotator.KindLoginRejected, err)
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%w: the server hung up", rotator.KindUnreachable)
	}
	return fmt.Errorf("%w: %w", rotator.KindUnreachable, err)
}

// remoteFixture is a world that answers on the network.
func remoteFixture(t *testing.T, e strategies.Engine) EngineFixture {
	t.Helper()
	w := newWorld()
	server, plain := serveRemote(t, w, true), serveRemote(t, w, false)
	at := func(s *fakeServer, login strategies.Login) strategies.Login {
		login.Host, login.Port = "127.0.0.1", s.port()
		return login
	}
	f := w.engineFixture(e)
	local := f
	home := func(login strategies.Login) strategies.Login { return w.Login(login.User, login.Password) }
	for _, login := range []*strategies.Login{&f.Superuser, &f.User, &f.Locked, &f.Expired, &f.DualPasswordUser,
		&f.TrustedUser} {
		*login = at(server, *login)
	}
	f.NewUserPerAuthMethod = func(ctx context.Context) ([]strategies.Login, error) {
		all, err := local.NewUserPerAuthMethod(ctx)
		for i := range all {
			all[i] = at(server, all[i])
		}
		return all, err
	}
	f.PlaintextOnly = at(plain, w.user)
	f.NewUser = func(ctx context.Context, name string) (strategies.Login, error) {
		login, err := local.NewUser(ctx, name)
		return at(server, login), err
	}
	f.LogIn = func(ctx context.Context, login strategies.Login) error { return w.Ping(ctx, home(login)) }
	f.UsePrivilege = func(ctx context.Context, login strategies.Login) error {
		return local.UsePrivilege(ctx, home(login))
	}
	f.CreateObject = func(ctx context.Context, login strategies.Login, object string) error {
		return w.Create(ctx, home(login), object)
	}
	f.ModifyObject = func(ctx context.Context, login strategies.Login, object string) error {
		return w.Use(ctx, home(login), object)
	}
	f.Dial = func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", server.listener.Addr().String())
	}
	return f
}

func TestRemoteIsAnEngine(t *testing.T) {
	TestEngine(t, func(t *testing.T) EngineFixture { return remoteFixture(t, remote{}) })
	for name, e := range map[string]strategies.Engine{
		"two lines for each call":                    remote{asksFirst: true},
		"saving in a second command, and persisting": persisting{remote{savesApart: true}},
	} {
		t.Run(name, func(t *testing.T) {
			TestEngine(t, func(t *testing.T) EngineFixture { return remoteFixture(t, e) })
		})
	}
}
