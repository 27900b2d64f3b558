package strategytest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
)

const rootARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:root-a1b2c3"

// value is a secret for an account of a Memory.
func value(t *testing.T, login strategies.Login, more string) secret.Document {
	t.Helper()
	text := fmt.Sprintf(`{"engine": "memory", "host": %q, "port": %d, "dbname": %q, "username": %q, "password": %q%s}`,
		login.Host, login.Port, login.Database, login.User, login.Password.Reveal(), more)
	d, err := secret.ParseDocument(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// loginOf reads who logs in where, without much of a check.
func loginOf(d secret.Document) strategies.Login {
	port, _ := d.Int("port")
	return strategies.Login{Host: d.Text("host"), Port: port, Database: d.Text("dbname"), User: d.Text("username"),
		Password: d.Password()}
}

// strategyFixture is a world for a strategy that works on its Memory.
func (w world) strategyFixture(t *testing.T, s rotator.Strategy) StrategyFixture {
	t.Helper()
	root := value(t, w.superuser, "")
	_, alternates := s.(strategies.AlternatingUsers)
	_, dual := s.(strategies.DualPasswords)
	if b, ok := s.(strategies.ByEngine); ok {
		alternates = b.Alternating
	}
	if b, ok := s.(*bentStrategy); ok {
		_, alternates = b.Strategy.(strategies.AlternatingUsers)
	}
	return StrategyFixture{
		Strategy: s,
		Current:  value(t, w.user, `, "masterarn": "`+rootARN+`"`),
		LogIn:    func(ctx context.Context, d secret.Document) error { return w.Ping(ctx, loginOf(d)) },
		Related: func(_ context.Context, id string) (secret.Document, error) {
			if id != rootARN {
				return secret.Document{}, rotator.KindNotFound
			}
			return root, nil
		},
		Logins: func() int {
			n := 0
			for _, entry := range w.Journal() {
				if strings.HasPrefix(entry, "login ") {
					n++
				}
			}
			return n
		},
		KeepsCurrent: alternates || dual,
		Census:       w.Census,
		Others:       map[string]secret.Document{"reader": value(t, w.Login("reader", reader), "")},
		Rights: func(_ context.Context, d secret.Document) ([]string, error) {
			return w.Rights(d.Text("username"), d.Password())
		},
	}
}

func TestStrategiesOnMemory(t *testing.T) {
	for name, make := range map[string]func(w world) rotator.Strategy{
		"single user": func(w world) rotator.Strategy { return strategies.SingleUser{Engine: w} },
		"single user through superuser": func(w world) rotator.Strategy {
			return strategies.SingleUser{Engine: w, ThroughSuperuser: true}
		},
		"dual passwords": func(w world) rotator.Strategy { return strategies.DualPasswords{Engine: w} },
		"alternating users": func(w world) rotator.Strategy {
			return strategies.AlternatingUsers{Engine: w}
		},
		"single user by engine": func(w world) rotator.Strategy {
			return strategies.ByEngine{Engines: []strategies.Engine{w}, Allowed: []string{"memory"}}
		},
		"alternating users by engine": func(w world) rotator.Strategy {
			return strategies.ByEngine{Engines: []strategies.Engine{w}, Allowed: []string{"memory"}, Alternating: true}
		},
	} {
		t.Run(name, func(t *testing.T) {
			TestStrategy(t, func(t *testing.T) StrategyFixture {
				w := newWorld()
				return w.strategyFixture(t, make(w))
			})
		})
	}
	t.Run("several hosts", func(t *testing.T) {
		TestStrategy(t, func(t *testing.T) StrategyFixture {
			w := newWorld()
			return w.onHosts(w.strategyFixture(t, strategies.SingleUser{Engine: w, ThroughSuperuser: true}))
		})
	})
	t.Run("a pair made beforehand", func(t *testing.T) {
		TestStrategy(t, func(t *testing.T) StrategyFixture {
			w := newWorld()
			w.Add(Account{Name: "app2", Password: fresh(), Tables: []string{"shared"}})
			f := w.strategyFixture(t, strategies.AlternatingUsers{Engine: w, RotateOnly: true})
			f.Current = value(t, w.user, `, "masterarn": "`+rootARN+`", "alternateUsername": "app2"`)
			related := f.Related
			f.Related = func(ctx context.Context, id string) (secret.Document, error) {
				d, err := related(ctx, id)
				return d.Set("rotates", w.user.User+"/app2"), err
			}
			return f
		})
	})
}

// onHosts makes the user several, one for each host that clients come from.
func (w world) onHosts(f StrategyFixture) StrategyFixture {
	f.Hosts = []string{"10.0.0.1", "10.0.0.2", "192.0.2.1"}
	w.edit(w.user.User, func(a *Account) {
		a.Hosts = map[string]secret.Password{"10.0.0.1": a.Password, "10.0.0.2": a.Password}
	})
	f.LogInFrom = func(_ context.Context, host string, d secret.Document) error {
		return w.LogInFrom(host, d.Text("username"), d.Password())
	}
	return f
}

// bentStrategy is a right strategy, bent at one place.
type bentStrategy struct {
	rotator.Strategy
	in     func(r rotator.Rotation) rotator.Rotation
	fail   func(err error) error
	next   func(ctx context.Context, r rotator.Rotation) (secret.Document, error)
	apply  func(ctx context.Context, r rotator.Rotation) error
	verify func(ctx context.Context, r rotator.Rotation) error
}

func (s *bentStrategy) failed(err error) error {
	if err == nil || s.fail == nil {
		return err
	}
	return s.fail(err)
}

func (s *bentStrategy) Propose(ctx context.Context, r rotator.Rotation) (secret.Document, error) {
	next := s.Strategy.Propose
	if s.next != nil {
		next = s.next
	}
	d, err := next(ctx, pass(s.in, r))
	return d, s.failed(err)
}

func (s *bentStrategy) Apply(ctx context.Context, r rotator.Rotation) error {
	apply := s.Strategy.Apply
	if s.apply != nil {
		apply = s.apply
	}
	return s.failed(apply(ctx, pass(s.in, r)))
}

func (s *bentStrategy) Verify(ctx context.Context, r rotator.Rotation) error {
	verify := s.Strategy.Verify
	if s.verify != nil {
		verify = s.verify
	}
	return s.failed(verify(ctx, pass(s.in, r)))
}

// after alters what the right strategy proposes.
func after(alter func(current, next secret.Document) secret.Document) func(w world, s *bentStrategy) {
	return func(w world, s *bentStrategy) {
		right := s.Strategy.Propose
		s.next = func(ctx context.Context, r rotator.Rotation) (secret.Document, error) {
			d, err := right(ctx, r)
			if err == nil {
				d = alter(r.Current, d)
			}
			return d, err
		}
	}
}

// visit connects to the place in a value, as a driver would.
func visit(ctx context.Context, d secret.Document) {
	login := loginOf(d)
	if login.Host != "127.0.0.1" { // no traffic to anywhere else
		return
	}
	var dialer net.Dialer
	if c, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(login.Host, strconv.Itoa(login.Port))); err == nil {
		c.Close()
	}
}

// A wrongStrategy is a strategy with one fault, and the case that must find it.
type wrongStrategy struct {
	fault, caughtBy string
	bend            func(w world, s *bentStrategy)
}

// faultsOfAny are those that any strategy can have. Next to each, s.Strategy is
// the right one.
func faultsOfAny() []wrongStrategy {
	return []wrongStrategy{
		{"sets the password in Next", "propose/changes-nothing", func(w world, s *bentStrategy) {
			right := s.Strategy.Propose
			s.next = func(ctx context.Context, r rotator.Rotation) (secret.Document, error) {
				d, err := right(ctx, r)
				w.edit(d.Text("username"), func(a *Account) { a.Password = d.Password() })
				if err == nil && d.Text("username") != r.Current.Text("username") {
					w.Add(Account{Name: d.Text("username"), Password: d.Password()})
				}
				return d, err
			}
		}},
		{"drops members that it does not know", "propose/keeps-unknown-members",
			after(func(current, next secret.Document) secret.Document {
				d, _ := secret.ParseDocument(`{}`)
				for _, key := range []string{"engine", "host", "dbname", "username", "password", "masterarn"} {
					d = d.Set(key, next.Text(key))
				}
				d, _ = member(d, "port", MemoryPort)
				return d
			})},
		{"reads numbers as floats", "propose/keeps-unknown-members",
			after(func(current, next secret.Document) secret.Document {
				var all map[string]any
				json.Unmarshal([]byte(next.Encode().Reveal()), &all) //nolint:errcheck
				text, _ := json.Marshal(all)
				d, _ := secret.ParseDocument(string(text))
				return d
			})},
		{"adds a member", "propose/keeps-unknown-members", after(func(current, next secret.Document) secret.Document {
			return next.Set("rotated", "yes")
		})},
		{"puts members into order", "propose/keeps-order-and-bytes",
			after(func(current, next secret.Document) secret.Document {
				d, _ := member(next, "nothing", nil)
				return d
			})},
		{"proposes what there is", "propose/differs", after(func(current, next secret.Document) secret.Document {
			return current
		})},
		{"always makes the same password", "propose/differs",
			after(func(current, next secret.Document) secret.Document {
				return next.SetPassword(secret.NewPassword("always-the-same-1"))
			})},
		{"has a policy of its own", "propose/policy", func(w world, s *bentStrategy) {
			s.in = func(r rotator.Rotation) rotator.Rotation { r.PasswordPolicy = secret.PasswordPolicy{}; return r }
		}},
		{"does not say which key is missing", "propose/missing-keys", func(w world, s *bentStrategy) {
			s.fail = func(err error) error {
				if errors.Is(err, rotator.KindMisconfigured) {
					return fmt.Errorf("secret: %w", rotator.KindMisconfigured)
				}
				return err
			}
		}},
		{"makes up a missing engine", "propose/missing-keys", func(w world, s *bentStrategy) {
			s.in = func(r rotator.Rotation) rotator.Rotation {
				for _, d := range []*secret.Document{&r.Current, &r.Pending} {
					if !d.IsZero() && !d.Has("engine") {
						*d = d.Set("engine", "memory")
					}
				}
				return r
			}
		}},
		{"is content without a document", "propose/no-document", func(w world, s *bentStrategy) {
			right := s.Strategy.Apply
			s.apply = func(ctx context.Context, r rotator.Rotation) error {
				if r.Current.IsZero() || r.Pending.IsZero() {
					return nil
				}
				return right(ctx, r)
			}
		}},

		{"applies nothing", "apply/then-verify", func(w world, s *bentStrategy) {
			s.apply = func(context.Context, rotator.Rotation) error { return nil }
		}},
		{"applies once", "apply/twice", applyOnce},
		{"fails if there are duplicates", "apply/duplicates-at-once", applyOnce},
		{"sets another password for a moment", "apply/always-a-way-in", func(w world, s *bentStrategy) {
			right, once := s.Strategy.Apply, false
			s.apply = func(ctx context.Context, r rotator.Rotation) error {
				if once {
					return right(ctx, r)
				}
				once = true
				user, before := r.Current.Text("username"), len(w.Journal())
				account, _ := w.Account(user)
				w.edit(user, func(a *Account) { a.Password = fresh() })
				refusals := 2 // of a client that tries both values
				if r.Pending.Text("username") != user {
					refusals = 1
				}
				for ctx.Err() == nil && strings.Count(strings.Join(w.Journal()[before:], "\n"),
					"login rejected") < refusals {
					time.Sleep(time.Millisecond) // until a client has come by
				}
				w.Add(account)
				return right(ctx, r)
			}
		}},
		{"tries the pending value first", "apply/identity", func(w world, s *bentStrategy) {
			right := s.Strategy.Apply
			s.apply = func(ctx context.Context, r rotator.Rotation) error {
				if w.Ping(ctx, loginOf(r.Pending)) == nil {
					return nil
				}
				return right(ctx, r)
			}
		}},
		{"connects before it compares", "apply/identity", func(w world, s *bentStrategy) {
			right := s.Strategy.Apply
			s.apply = func(ctx context.Context, r rotator.Rotation) error {
				visit(ctx, r.Pending)
				return right(ctx, r)
			}
		}},
		{"compares neither port nor database", "apply/identity", func(w world, s *bentStrategy) {
			s.in = func(r rotator.Rotation) rotator.Rotation {
				if !r.Pending.IsZero() && !r.Current.IsZero() {
					r.Pending = r.Pending.Set("dbname", r.Current.Text("dbname"))
					r.Pending, _ = member(r.Pending, "port", MemoryPort)
				}
				return r
			}
		}},
		{"begins when all is over", "apply/cancelled", func(w world, s *bentStrategy) {
			right := s.Strategy.Apply
			s.apply = func(ctx context.Context, r rotator.Rotation) error {
				return right(context.WithoutCancel(ctx), r)
			}
		}},
		{"verifies nothing", "verify/before-apply", func(w world, s *bentStrategy) {
			s.verify = func(context.Context, rotator.Rotation) error { return nil }
		}},
		{"makes true what it verifies", "verify/before-apply", func(w world, s *bentStrategy) {
			s.verify = func(_ context.Context, r rotator.Rotation) error {
				w.Add(Account{Name: r.Pending.Text("username"), Password: r.Pending.Password()})
				return nil
			}
		}},
		{"verifies whatever it is given", "verify/identity", func(w world, s *bentStrategy) {
			right := s.Strategy.Verify
			s.verify = func(ctx context.Context, r rotator.Rotation) error {
				r.Current = secret.Document{}
				return right(ctx, r)
			}
		}},
		{"tests a value before it compares it", "verify/identity", func(w world, s *bentStrategy) {
			right := s.Strategy.Verify
			s.verify = func(ctx context.Context, r rotator.Rotation) error {
				visit(ctx, r.Pending)
				return right(ctx, r)
			}
		}},
		{"locks the account after it was verified", "verify/changes-nothing", func(w world, s *bentStrategy) {
			right := s.Strategy.Verify
			s.verify = func(ctx context.Context, r rotator.Rotation) error {
				err := right(ctx, r)
				w.edit(r.Pending.Text("username"), func(a *Account) { a.Locked = true })
				return err
			}
		}},
		{"forgets AWSPREVIOUS", "apply/previous", noPrevious},
		{"uses AWSPREVIOUS wherever it is from", "apply/previous-elsewhere", func(w world, s *bentStrategy) {
			s.in = func(r rotator.Rotation) rotator.Rotation {
				right := r.ReadPrevious
				r.ReadPrevious = func(ctx context.Context) (secret.Document, error) {
					d, err := right(ctx)
					if err == nil {
						d = d.Set("host", MemoryHost)
						d, err = member(d, "port", MemoryPort)
					}
					return d, err
				}
				return r
			}
		}},
		{"goes where AWSPREVIOUS leads", "apply/previous-elsewhere", func(w world, s *bentStrategy) {
			right := s.Strategy.Apply
			s.apply = func(ctx context.Context, r rotator.Rotation) error {
				err := right(ctx, r)
				if d, none := r.ReadPrevious(ctx); none == nil && err != nil {
					visit(ctx, d)
				}
				return err
			}
		}},
		{"has one sentence for everything", "apply/all-rejected", func(w world, s *bentStrategy) {
			s.fail = func(err error) error {
				return fmt.Errorf("unable to log into database with previous, current, or pending secret: %w",
					rotator.KindOf(err))
			}
		}},
		{"leaves an attempt out of its list", "apply/all-rejected", noPrevious},
		{"tries everything twice", "apply/bounded-logins", func(w world, s *bentStrategy) {
			right := s.Strategy.Apply
			s.apply = func(ctx context.Context, r rotator.Rotation) error {
				if right(ctx, r) == nil {
					return nil
				}
				return right(ctx, r)
			}
		}},
		{"takes an outage for a rejected login", "apply/network-is-no-rejection", func(w world, s *bentStrategy) {
			s.fail = kindInstead(rotator.KindUnreachable, rotator.KindLoginRejected)
		}},
		{"tries everything in an outage", "apply/network-is-no-rejection", func(w world, s *bentStrategy) {
			right := s.Strategy.Apply
			s.apply = func(ctx context.Context, r rotator.Rotation) error {
				err := right(ctx, r)
				if errors.Is(err, rotator.KindUnreachable) {
					w.Ping(ctx, loginOf(r.Pending)) //nolint:errcheck
				}
				return err
			}
		}},
		{"rotates a few times", "rotation/many", func(w world, s *bentStrategy) {
			right, n := s.Strategy.Apply, 0
			s.apply = func(ctx context.Context, r rotator.Rotation) error {
				if n++; n > 3 {
					return rotator.KindConflict
				}
				return right(ctx, r)
			}
		}},
		{"keeps old passwords valid", "rotation/many", func(w world, s *bentStrategy) {
			right := s.Strategy.Apply
			s.apply = func(ctx context.Context, r rotator.Rotation) error {
				err := right(ctx, r)
				if old, none := r.ReadPrevious(ctx); none == nil && err == nil {
					w.edit(old.Text("username"), func(a *Account) { a.Password = old.Password() })
				}
				return err
			}
		}},
		{"has the password in its notes", "rotation/no-secret-in-errors-or-notes", func(w world, s *bentStrategy) {
			right := s.Strategy.Apply
			s.apply = func(ctx context.Context, r rotator.Rotation) error {
				r.Logf("new password %q", r.Pending.Password().Reveal())
				return right(ctx, r)
			}
		}},
		{"has the value in its errors", "rotation/no-secret-in-errors-or-notes", func(w world, s *bentStrategy) {
			right := s.Strategy.Apply
			s.apply = func(ctx context.Context, r rotator.Rotation) error {
				return wrapf(right(ctx, r), "apply %s", r.Pending.Encode().Reveal())
			}
		}},
	}
}

// beside makes the right strategy do something more when it has applied a value.
func beside(more func(w world, r rotator.Rotation)) func(w world, s *bentStrategy) {
	return func(w world, s *bentStrategy) {
		right := s.Strategy.Apply
		s.apply = func(ctx context.Context, r rotator.Rotation) error {
			err := right(ctx, r)
			if err == nil {
				more(w, r)
			}
			return err
		}
	}
}

// faultsToOthers are those that change nothing but what is another's.
func faultsToOthers() []wrongStrategy {
	return []wrongStrategy{
		{"changes another account's password", "others/secrets", beside(func(w world, _ rotator.Rotation) {
			w.edit("reader", func(a *Account) { a.Password = fresh() })
		})},
		{"changes the password of an account whose secret is not here", "others/untouched",
			beside(func(w world, _ rotator.Rotation) {
				w.edit("owner", func(a *Account) { a.Password = fresh() })
			})},
		{"drops a third account's membership", "others/untouched", beside(func(w world, _ rotator.Rotation) {
			w.edit("reader", func(a *Account) { a.SetRole = "" })
		})},
		{"alters a bystander's settings", "others/untouched", beside(func(w world, _ rotator.Rotation) {
			w.edit("reader", func(a *Account) { a.Settings = map[string]string{"limit": "4"} })
		})},
		{"makes an account of its own", "others/untouched", beside(func(w world, _ rotator.Rotation) {
			w.Add(Account{Name: "rotation_helper", Password: fresh()})
		})},
		{"gives the account a table", "others/untouched", beside(func(w world, r rotator.Rotation) {
			w.edit("app", func(a *Account) { a.Tables = union(a.Tables, []string{"owned"}) })
		})},
		{"hands out a superuser", "holder/gains-nothing", beside(func(w world, r rotator.Rotation) {
			w.edit(r.Pending.Text("username"), func(a *Account) { a.Superuser = true })
		})},
		{"takes the account's privileges away", "holder/gains-nothing", beside(func(w world, r rotator.Rotation) {
			w.edit(r.Pending.Text("username"), func(a *Account) { a.Tables, a.SetRole = nil, "" })
		})},
		{"alters a bystander when it refuses", "others/refused", func(w world, s *bentStrategy) {
			right := s.Strategy.Apply
			s.apply = func(ctx context.Context, r rotator.Rotation) error {
				err := right(ctx, r)
				if err != nil {
					w.edit("reader", func(a *Account) { a.Settings = nil })
				}
				return err
			}
		}},
		{"changes one host of three", "hosts/every", beside(func(w world, r rotator.Rotation) {
			w.edit(r.Pending.Text("username"), func(a *Account) {
				a.Hosts = map[string]secret.Password{"10.0.0.1": a.Password, "10.0.0.2": r.Current.Password()}
			})
		})},
	}
}

// faultsWithSuperuser are those of strategies that have a superuser do the work.
func faultsWithSuperuser() []wrongStrategy {
	return []wrongStrategy{
		{"disturbs the user in use", "apply/keeps-current", func(w world, s *bentStrategy) {
			right := s.Strategy.Apply
			s.apply = func(ctx context.Context, r rotator.Rotation) error {
				err := right(ctx, r)
				w.edit(r.Current.Text("username"), func(a *Account) { a.Password = r.Pending.Password() })
				return err
			}
		}},
		{"takes the superuser that AWSPENDING names", "superuser/from-current-only", func(w world, s *bentStrategy) {
			right := s.Strategy.Apply
			s.apply = func(ctx context.Context, r rotator.Rotation) error {
				r.Current = r.Current.Set("masterarn", r.Pending.Text("masterarn"))
				return right(ctx, r)
			}
		}},
		{"sends the superuser to any server", "superuser/elsewhere", func(w world, s *bentStrategy) {
			s.in = func(r rotator.Rotation) rotator.Rotation {
				right := r.ReadSecret
				r.ReadSecret = func(ctx context.Context, id string) (secret.Document, error) {
					d, err := right(ctx, id)
					visit(ctx, d)
					return d, err
				}
				return r
			}
		}},
		{"takes the superuser's password wherever it is from", "superuser/elsewhere", func(w world, s *bentStrategy) {
			s.in = func(r rotator.Rotation) rotator.Rotation {
				right := r.ReadSecret
				r.ReadSecret = func(ctx context.Context, id string) (secret.Document, error) {
					d, err := right(ctx, id)
					if err == nil {
						d, err = member(d.Set("host", MemoryHost), "port", MemoryPort)
					}
					return d, err
				}
				return r
			}
		}},
		{"takes itself for its superuser", "superuser/not-itself", fromAnySuperuser},
		{"sets the password of its superuser", "superuser/not-its-own-password", fromAnySuperuser},
		{"has the superuser work for anybody", "superuser/not-for-strangers", func(w world, s *bentStrategy) {
			s.apply = func(ctx context.Context, r rotator.Rotation) error {
				user := r.Pending.Text("username")
				if _, ok := w.Account(user); !ok {
					w.Add(Account{Name: user, Password: r.Pending.Password()})
				}
				return w.SetPassword(ctx, w.superuser, user, r.Pending.Password())
			}
		}},
	}
}

// fromAnySuperuser acts as the right superuser, whoever the secret makes it.
func fromAnySuperuser(w world, s *bentStrategy) {
	s.in = func(r rotator.Rotation) rotator.Rotation {
		right := r.ReadSecret
		r.ReadSecret = func(ctx context.Context, id string) (secret.Document, error) {
			d, err := right(ctx, id)
			return d.Set("username", w.superuser.User), err
		}
		return r
	}
}

func applyOnce(w world, s *bentStrategy) {
	var applied atomic.Bool
	right := s.Strategy.Apply
	s.apply = func(ctx context.Context, r rotator.Rotation) error {
		if applied.Swap(true) {
			return fmt.Errorf("%w: done already", rotator.KindMisconfigured)
		}
		return right(ctx, r)
	}
}

func noPrevious(w world, s *bentStrategy) {
	s.in = func(r rotator.Rotation) rotator.Rotation {
		r.ReadPrevious = func(context.Context) (secret.Document, error) {
			return secret.Document{}, rotator.KindNotFound
		}
		return r
	}
}

// TestSuiteCatchesWrongStrategies: each fault is found by the case that is about
// it, in single user and in alternating users.
func TestSuiteCatchesWrongStrategies(t *testing.T) {
	caught := make(map[string]bool)
	check := func(t *testing.T, wrong wrongStrategy, right func(w world) rotator.Strategy) {
		t.Parallel()
		w := newWorld()
		s := &bentStrategy{Strategy: right(w)}
		wrong.bend(w, s)
		f := w.strategyFixture(t, s)
		if strings.HasPrefix(wrong.caughtBy, "hosts/") {
			f = w.onHosts(f)
		}
		mustCatch(t, StrategyCases(), wrong.caughtBy, f)
	}
	single := func(w world) rotator.Strategy { return strategies.SingleUser{Engine: w} }
	alternating := func(w world) rotator.Strategy { return strategies.AlternatingUsers{Engine: w} }
	for _, wrong := range slices.Concat(faultsOfAny(), faultsToOthers()) {
		caught[wrong.caughtBy] = true
		t.Run("single user/"+wrong.fault, func(t *testing.T) { check(t, wrong, single) })
		t.Run("alternating users/"+wrong.fault, func(t *testing.T) { check(t, wrong, alternating) })
	}
	for _, wrong := range faultsWithSuperuser() {
		caught[wrong.caughtBy] = true
		t.Run("alternating users/"+wrong.fault, func(t *testing.T) { check(t, wrong, alternating) })
	}
	everyCaseCatches(t, StrategyCases(), caught)
}
