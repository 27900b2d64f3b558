package strategytest

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
)

// bent is a right engine, bent at one place: what goes in, what comes out, or a
// whole method.
type bent struct {
	strategies.CloningEngine
	ctx      func(ctx context.Context) context.Context
	as       func(login strategies.Login) strategies.Login
	name     func(user string) string
	password func(p secret.Password) secret.Password
	fail     func(err error) error
	traits   func(t *strategies.Traits)
	ping     func(ctx context.Context, login strategies.Login) error
	set      func(ctx context.Context, login strategies.Login, user string, p secret.Password) error
	clone    func(ctx context.Context, login strategies.Login, pair strategies.Pair, p secret.Password) error
	keep     func(ctx context.Context, login strategies.Login, p secret.Password) error

	keepOther func(ctx context.Context, login strategies.Login, user string, old, p secret.Password) error

	rehearseKeeping func(ctx context.Context, login strategies.Login) error

	rehearse      func(ctx context.Context, login strategies.Login, user string) error
	rehearseClone func(ctx context.Context, login strategies.Login, pair strategies.Pair) error
}

func pass[T any](bend func(T) T, v T) T {
	if bend == nil {
		return v
	}
	return bend(v)
}

func (e *bent) failed(err error) error {
	if err == nil {
		return nil
	}
	return pass(e.fail, err)
}

func (e *bent) login(login strategies.Login) strategies.Login {
	login = pass(e.as, login)
	login.User, login.Password = pass(e.name, login.User), pass(e.password, login.Password)
	return login
}

func (e *bent) Traits() strategies.Traits {
	t := e.CloningEngine.Traits()
	if e.traits != nil {
		e.traits(&t)
	}
	return t
}

func (e *bent) Ping(ctx context.Context, login strategies.Login) error {
	ping := e.CloningEngine.Ping
	if e.ping != nil {
		ping = e.ping
	}
	return e.failed(ping(pass(e.ctx, ctx), e.login(login)))
}

func (e *bent) SetPassword(ctx context.Context, login strategies.Login, user string, p secret.Password) error {
	set := e.CloningEngine.SetPassword
	if e.set != nil {
		set = e.set
	}
	return e.failed(set(pass(e.ctx, ctx), e.login(login), pass(e.name, user), pass(e.password, p)))
}

func (e *bent) EnsureClone(ctx context.Context, login strategies.Login, pair strategies.Pair, p secret.Password) error {
	clone := e.CloningEngine.EnsureClone
	if e.clone != nil {
		clone = e.clone
	}
	pair.Original, pair.Clone, pair.Target = pass(e.name, pair.Original), pass(e.name, pair.Clone),
		pass(e.name, pair.Target)
	return e.failed(clone(pass(e.ctx, ctx), e.login(login), pair, pass(e.password, p)))
}

func (e *bent) SetPasswordKeeping(ctx context.Context, login strategies.Login, user string, old,
	p secret.Password) error {
	d := e.CloningEngine.(strategies.DualPasswordEngine)
	if e.keepOther != nil && login.User != user {
		return e.failed(e.keepOther(pass(e.ctx, ctx), e.login(login), user, old, pass(e.password, p)))
	}
	if e.keep != nil && login.User == user {
		return e.failed(e.keep(pass(e.ctx, ctx), e.login(login), pass(e.password, p)))
	}
	return e.failed(d.SetPasswordKeeping(pass(e.ctx, ctx), e.login(login), user, old, pass(e.password, p)))
}

func (e *bent) DryRunKeeping(ctx context.Context, login strategies.Login, user string, old,
	sample secret.Password) ([]strategies.Warning, error) {
	if e.rehearseKeeping != nil {
		return nil, e.rehearseKeeping(ctx, login)
	}
	return e.CloningEngine.(strategies.DualPasswordEngine).DryRunKeeping(ctx, login, user, old, sample)
}

func (e *bent) DryRunSetPassword(ctx context.Context, login strategies.Login, user string,
	sample secret.Password) ([]strategies.Warning, error) {
	if e.rehearse != nil {
		return nil, e.rehearse(ctx, login, user)
	}
	return e.CloningEngine.DryRunSetPassword(ctx, login, user, sample)
}

func (e *bent) DryRunEnsureClone(ctx context.Context, login strategies.Login, pair strategies.Pair,
	sample secret.Password) ([]strategies.Warning, error) {
	if e.rehearseClone != nil {
		return nil, e.rehearseClone(ctx, login, pair)
	}
	return e.CloningEngine.DryRunEnsureClone(ctx, login, pair, sample)
}

// wrongRehearsals are the engines whose preflight cannot be relied on.
func wrongRehearsals() []wrongEngine {
	return []wrongEngine{
		{"keeps what it rehearsed", "rehearse/self", func(w world, e *bent) {
			e.rehearse = func(ctx context.Context, login strategies.Login, user string) error {
				return w.SetPassword(ctx, login, user, throwaway())
			}
		}},
		{"keeps what a superuser rehearsed", "rehearse/superuser", func(w world, e *bent) {
			e.rehearse = func(ctx context.Context, login strategies.Login, user string) error {
				if login.User == user {
					_, err := w.DryRunSetPassword(ctx, login, user, throwaway())
					return err
				}
				return w.SetPassword(ctx, login, user, throwaway())
			}
		}},
		{"rehearses without logging in", "rehearse/wrong-password", func(_ world, e *bent) {
			e.rehearse = func(context.Context, strategies.Login, string) error { return nil }
		}},
		{"rehearses a login and no more", "rehearse/no-privilege", func(w world, e *bent) {
			e.rehearse = func(ctx context.Context, login strategies.Login, _ string) error { return w.Ping(ctx, login) }
		}},
		{"makes the clone that it rehearses", "rehearse/clone", func(w world, e *bent) {
			e.rehearseClone = func(ctx context.Context, login strategies.Login, pair strategies.Pair) error {
				return w.EnsureClone(ctx, login, pair, throwaway())
			}
		}},
		{"rehearses a clone by a login", "rehearse/clone-no-privilege", func(w world, e *bent) {
			e.rehearseClone = func(ctx context.Context, login strategies.Login, _ strategies.Pair) error {
				return w.Ping(ctx, login)
			}
		}},
	}
}

// wrongToOthers are the engines that are wrong only in what becomes of others.
func wrongToOthers() []wrongEngine {
	set := func(more func(w world, user string)) func(w world, e *bent) {
		return func(w world, e *bent) {
			e.set = func(ctx context.Context, login strategies.Login, user string, p secret.Password) error {
				err := w.SetPassword(ctx, login, user, p)
				if err == nil {
					more(w, user)
				}
				return err
			}
		}
	}
	clone := func(more func(w world, pair strategies.Pair)) func(w world, e *bent) {
		return func(w world, e *bent) {
			e.clone = func(ctx context.Context, login strategies.Login, pair strategies.Pair, p secret.Password) error {
				err := w.EnsureClone(ctx, login, pair, p)
				if err == nil {
					more(w, pair)
				}
				return err
			}
		}
	}
	other := func(change func(a *Account)) func(w world, user string) {
		return func(w world, _ string) { w.edit("reader", change) }
	}
	third := func(change func(a *Account)) func(w world, pair strategies.Pair) {
		return func(w world, _ strategies.Pair) { w.edit("reader", change) }
	}
	return []wrongEngine{
		{"changes another account's password", "others/set", set(other(func(a *Account) { a.Password = fresh() }))},
		{"drops a third account's membership", "others/set", set(other(func(a *Account) { a.SetRole = "" }))},
		{"alters a bystander's settings", "others/set", set(other(func(a *Account) { a.Settings = nil }))},
		{"makes the user a superuser", "others/set",
			set(func(w world, user string) { w.edit(user, func(a *Account) { a.Superuser = true }) })},
		{"drops an account", "others/set", set(func(w world, _ string) { w.remove("owner") })},
		{"leaves an account behind", "others/rehearsal", func(w world, e *bent) {
			e.rehearse = func(ctx context.Context, login strategies.Login, user string) error {
				w.Add(Account{Name: "rehearsal", Password: fresh()})
				_, err := w.DryRunSetPassword(ctx, login, user, throwaway())
				return err
			}
		}},
		{"alters a bystander in a rehearsal of a clone", "others/rehearsal", func(w world, e *bent) {
			e.rehearseClone = func(ctx context.Context, login strategies.Login, pair strategies.Pair) error {
				w.edit("reader", func(a *Account) { a.Settings = nil })
				_, err := w.DryRunEnsureClone(ctx, login, pair, throwaway())
				return err
			}
		}},
		{"changes another account's password when it clones", "others/clone",
			clone(third(func(a *Account) { a.Password = fresh() }))},
		{"drops a membership when it clones", "others/clone", clone(third(func(a *Account) { a.SetRole = "" }))},
		{"grants the clone more than its original has", "others/clone", clone(func(w world, pair strategies.Pair) {
			w.edit(pair.Clone, func(a *Account) { a.Tables = []string{"owned"} })
		})},
		{"makes the clone a superuser", "others/clone", clone(func(w world, pair strategies.Pair) {
			w.edit(pair.Clone, func(a *Account) { a.Superuser = true })
		})},
		{"gives the original a setting of the clone's", "others/clone", clone(func(w world, pair strategies.Pair) {
			if pair.Target == pair.Original {
				w.edit(pair.Original, func(a *Account) { a.Settings = map[string]string{"search_path": "clone"} })
			}
		})},
		{"sets the password of one host of three", "hosts/set", set(func(w world, user string) {
			w.edit(user, func(a *Account) {
				if len(a.Hosts) > 0 {
					a.Hosts = map[string]secret.Password{"10.0.0.1": a.Password, "10.0.0.2": fresh()}
				}
			})
		})},
		{"clones one host of three", "hosts/clone", clone(func(w world, pair strategies.Pair) {
			w.edit(pair.Clone, func(a *Account) {
				a.Hosts = map[string]secret.Password{"10.0.0.1": a.Password, "10.0.0.2": fresh()}
			})
		})},
	}
}

// forgetful are the engines whose change is not whole when they say that it is.
func forgetful() []wrongEngine {
	return []wrongEngine{
		{"never saves", "durable/set", func(w world, e *bent) {
			e.set = func(ctx context.Context, login strategies.Login, user string, p secret.Password) error {
				return w.unsaved(func() error { return w.SetPassword(ctx, login, user, p) })
			}
		}},
		{"never saves a clone", "durable/set", func(w world, e *bent) {
			e.clone = func(ctx context.Context, login strategies.Login, pair strategies.Pair, p secret.Password) error {
				return w.unsaved(func() error { return w.EnsureClone(ctx, login, pair, p) })
			}
		}},
		{"never saves the second password", "durable/dual", func(w world, e *bent) {
			e.keep = func(ctx context.Context, login strategies.Login, p secret.Password) error {
				return w.unsaved(func() error {
					return w.SetPasswordKeeping(ctx, login, login.User, login.Password, p)
				})
			}
		}},
		{"forgets a node", "nodes/set", func(w world, e *bent) {
			e.set = func(ctx context.Context, login strategies.Login, user string, p secret.Password) error {
				before, _ := w.Account(user)
				err := w.SetPassword(ctx, login, user, p)
				if old, ok := before.Hosts[node2]; ok && err == nil {
					w.edit(user, func(a *Account) { a.Hosts = map[string]secret.Password{node2: old} })
				}
				return err
			}
		}},
		{"forgets a node of a clone", "nodes/set", func(w world, e *bent) {
			e.clone = func(ctx context.Context, login strategies.Login, pair strategies.Pair, p secret.Password) error {
				err := w.EnsureClone(ctx, login, pair, p)
				w.edit(pair.Clone, func(a *Account) { a.Hosts = map[string]secret.Password{node2: fresh()} })
				return err
			}
		}},
	}
}

// remove drops an account.
func (w world) remove(user string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.accounts, user)
}

// wrongKeepers are the engines whose second password is not the right one.
func wrongKeepers() []wrongEngine {
	keep := func(bend func(w world, a *Account, login strategies.Login, p secret.Password)) func(w world, e *bent) {
		return func(w world, e *bent) {
			e.keep = func(ctx context.Context, login strategies.Login, p secret.Password) error {
				if err := w.Ping(ctx, login); err != nil {
					return err
				}
				w.edit(login.User, func(a *Account) { bend(w, a, login, p) })
				return nil
			}
		}
	}
	return []wrongEngine{
		{"keeps no old password", "dual/keeps-old", func(w world, e *bent) {
			e.keep = func(ctx context.Context, login strategies.Login, p secret.Password) error {
				return w.SetPassword(ctx, login, login.User, p)
			}
		}},
		{"keeps whatever is current", "dual/retried",
			keep(func(_ world, a *Account, _ strategies.Login, p secret.Password) {
				a.Password, a.RetainedPassword = p, a.Password
			})},
		{"keeps what was given up", "dual/given-up",
			keep(func(_ world, a *Account, _ strategies.Login, p secret.Password) {
				if !a.Password.Equal(p) {
					a.Password, a.RetainedPassword = p, a.Password
				}
			})},
		{"keeps the first for ever", "dual/next-rotation",
			keep(func(_ world, a *Account, login strategies.Login, p secret.Password) {
				if a.RetainedPassword.Empty() {
					a.RetainedPassword = login.Password
				}
				a.Password = p
			})},
		{"fails the second of two", "dual/concurrent", func(w world, e *bent) {
			var calls atomic.Int64
			e.keep = func(ctx context.Context, login strategies.Login, p secret.Password) error {
				if calls.Add(1) > 1 {
					return rotator.KindConflict
				}
				return w.SetPasswordKeeping(ctx, login, login.User, login.Password, p)
			}
		}},
		{"keeps what the superuser says, right or wrong", "dual/superuser", func(w world, e *bent) {
			e.keepOther = func(_ context.Context, _ strategies.Login, user string, old, p secret.Password) error {
				w.edit(user, func(a *Account) { a.Password, a.RetainedPassword = p, old })
				return nil
			}
		}},
		{"keeps nothing through a superuser", "dual/superuser", func(w world, e *bent) {
			e.keepOther = func(ctx context.Context, login strategies.Login, user string, _, p secret.Password) error {
				return w.SetPassword(ctx, login, user, p)
			}
		}},
		{"asks for no password before it adds one", "dual/wrong-password", func(w world, e *bent) {
			e.keep = func(ctx context.Context, login strategies.Login, p secret.Password) error {
				w.edit(login.User, func(a *Account) { a.RetainedPassword, a.Password = a.Password, p })
				return w.Ping(ctx, login)
			}
		}},
		{"keeps the password that it rehearses", "dual/rehearsal", func(w world, e *bent) {
			e.rehearseKeeping = func(ctx context.Context, login strategies.Login) error {
				return w.SetPasswordKeeping(ctx, login, login.User, login.Password, throwaway())
			}
		}},
		{"takes an expired password for a good one", "ping/expired", func(w world, e *bent) {
			e.ping = func(ctx context.Context, login strategies.Login) error {
				if a, _ := w.Account(login.User); a.Expired {
					return nil
				}
				return w.Ping(ctx, login)
			}
		}},
		{"looks around before it sets a password", "set/expired", func(w world, e *bent) {
			e.set = func(ctx context.Context, login strategies.Login, user string, p secret.Password) error {
				if err := w.Ping(ctx, login); err != nil {
					return err
				}
				return w.SetPassword(ctx, login, user, p)
			}
		}},
		{"knows one kind of hash", "set/methods", func(w world, e *bent) {
			e.set = func(ctx context.Context, login strategies.Login, user string, p secret.Password) error {
				err := w.SetPassword(ctx, login, user, p)
				if err == nil && user == "method_2" {
					w.edit(user, func(a *Account) { a.Password = throwaway() })
				}
				return err
			}
		}},
	}
}

// A wrongEngine is an engine with one fault, and the case that must find it.
type wrongEngine struct {
	fault, caughtBy string
	bend            func(w world, e *bent)
}

// edit changes an account behind the server's back.
func (w world) edit(user string, change func(a *Account)) {
	if a, ok := w.Account(user); ok {
		change(&a)
		w.Add(a)
	}
}

// asRoot makes a change that whoever asks could not.
func (w world) asRoot(login strategies.Login) strategies.Login {
	login.User, login.Password = w.superuser.User, w.superuser.Password
	return login
}

func kindFor(text string, kind rotator.Kind) func(err error) error {
	return func(err error) error {
		if strings.Contains(err.Error(), text) {
			return fmt.Errorf("%w: %v", kind, err)
		}
		return err
	}
}

func kindInstead(was, is rotator.Kind) func(err error) error {
	return func(err error) error {
		if errors.Is(err, was) {
			return fmt.Errorf("%w: %v", is, err)
		}
		return err
	}
}

func mapPassword(change func(s string) string) func(p secret.Password) secret.Password {
	return func(p secret.Password) secret.Password { return secret.NewPassword(change(p.Reveal())) }
}

func cutAt(n int) func(s string) string { return func(s string) string { return s[:min(n, len(s))] } }

// leak puts passwords into the errors of SetPassword.
func leak(spell func(p string) string) func(w world, e *bent) {
	return func(w world, e *bent) {
		e.set = func(ctx context.Context, login strategies.Login, user string, p secret.Password) error {
			if err := w.SetPassword(ctx, login, user, p); err != nil {
				return fmt.Errorf("ALTER USER app PASSWORD %s: %w", spell(p.Reveal()), err)
			}
			return nil
		}
	}
}

func wrongEngines() []wrongEngine {
	limits := new(Memory).Traits()
	return []wrongEngine{
		{"has no name", "traits/sane", func(w world, e *bent) {
			e.traits = func(t *strategies.Traits) { t.Name = "" }
		}},
		{"serves no engine key", "traits/sane", func(w world, e *bent) {
			e.traits = func(t *strategies.Traits) { t.Engines = nil }
		}},
		{"has no port", "traits/sane", func(w world, e *bent) { e.traits = func(t *strategies.Traits) { t.Port = 0 } }},
		{"has no suffix for clones", "traits/sane", func(w world, e *bent) {
			e.traits = func(t *strategies.Traits) { t.CloneSuffix = "" }
		}},
		{"takes shorter passwords than are made", "traits/sane", func(w world, e *bent) {
			e.traits = func(t *strategies.Traits) { t.MaxPasswordSize = 16 }
		}},
		{"rejects everybody", "ping/right-password", func(w world, e *bent) {
			e.ping = func(context.Context, strategies.Login) error { return rotator.KindLoginRejected }
		}},
		{"lets everybody in", "ping/wrong-password", func(w world, e *bent) {
			e.ping = func(ctx context.Context, login strategies.Login) error { return nil }
		}},
		{"compares passwords by their beginning", "ping/wrong-password", func(w world, e *bent) {
			e.password = mapPassword(cutAt(len(w.user.Password.Reveal())))
		}},
		{"calls a wrong password a lack of privilege", "ping/wrong-password", func(w world, e *bent) {
			e.fail = kindInstead(rotator.KindLoginRejected, rotator.KindPrivilege)
		}},
		{"calls an unknown user not found", "ping/unknown-user", func(w world, e *bent) {
			e.ping = func(ctx context.Context, login strategies.Login) error {
				if _, ok := w.Account(login.User); !ok {
					return rotator.KindNotFound
				}
				return w.Ping(ctx, login)
			}
		}},
		{"calls a missing database a rejected login", "ping/missing-database", func(w world, e *bent) {
			e.fail = kindFor("there is no database", rotator.KindLoginRejected)
		}},
		{"ignores the database", "ping/missing-database", func(w world, e *bent) {
			e.as = func(login strategies.Login) strategies.Login { login.Database = ""; return login }
		}},
		{"calls a locked account a rejected login", "ping/locked", func(w world, e *bent) {
			e.fail = kindFor("locked", rotator.KindLoginRejected)
		}},
		{"takes any server's trust for a proof", "ping/any-password", func(w world, e *bent) {
			e.ping = func(ctx context.Context, login strategies.Login) error {
				if a, _ := w.Account(login.User); a.AcceptsAnyPassword {
					return nil
				}
				return w.Ping(ctx, login)
			}
		}},
		{"does not check the server's name", "ping/tls", func(w world, e *bent) {
			e.as = func(login strategies.Login) strategies.Login { login.TLS.ServerName = ""; return login }
		}},
		{"calls a wrong certificate unreachable", "ping/tls", func(w world, e *bent) {
			e.fail = kindFor("certificate", rotator.KindUnreachable)
		}},
		{"resets settings at each login", "ping/changes-nothing", func(w world, e *bent) {
			e.ping = func(ctx context.Context, login strategies.Login) error {
				w.edit(login.User, func(a *Account) { a.Settings = nil })
				return w.Ping(ctx, login)
			}
		}},
		{"makes whatever is tried the password", "ping/changes-nothing", func(w world, e *bent) {
			e.ping = func(ctx context.Context, login strategies.Login) error {
				err := w.Ping(ctx, login)
				if errors.Is(err, rotator.KindLoginRejected) {
					w.edit(login.User, func(a *Account) { a.Password = login.Password })
				}
				return err
			}
		}},
		{"keeps a session for each user", "engine/stateless", func(w world, e *bent) {
			var sessions sync.Map
			e.ping = func(ctx context.Context, login strategies.Login) error {
				if _, kept := sessions.Load(login.User); kept {
					return nil
				}
				err := w.Ping(ctx, login)
				if err == nil {
					sessions.Store(login.User, true)
				}
				return err
			}
		}},
		{"has errors without a kind", "errors/kind", func(w world, e *bent) {
			e.fail = func(err error) error { return errors.New(err.Error()) }
		}},
		{"has no kind for a lack of privilege", "errors/kind", func(w world, e *bent) {
			e.fail = func(err error) error {
				if errors.Is(err, rotator.KindPrivilege) {
					return errors.New(err.Error())
				}
				return err
			}
		}},

		{"sets nothing", "set/self", func(w world, e *bent) {
			e.set = func(ctx context.Context, login strategies.Login, _ string, _ secret.Password) error {
				return w.Ping(ctx, login)
			}
		}},
		{"sets the password of whoever logs in", "set/superuser", func(w world, e *bent) {
			e.set = func(ctx context.Context, login strategies.Login, _ string, p secret.Password) error {
				return w.SetPassword(ctx, login, login.User, p)
			}
		}},
		{"changes passwords without being asked for one", "set/wrong-password", func(w world, e *bent) {
			e.set = func(ctx context.Context, login strategies.Login, user string, p secret.Password) error {
				return w.SetPassword(ctx, w.asRoot(login), user, p)
			}
		}},
		{"changes the password first and judges later", "set/wrong-password", func(w world, e *bent) {
			e.set = func(ctx context.Context, login strategies.Login, user string, p secret.Password) error {
				err := w.Ping(ctx, login)
				w.SetPassword(ctx, w.asRoot(login), user, p) //nolint:errcheck
				return err
			}
		}},
		{"lets everybody change everybody", "set/no-privilege", func(w world, e *bent) {
			e.set = func(ctx context.Context, login strategies.Login, user string, p secret.Password) error {
				if err := w.Ping(ctx, login); err != nil {
					return err
				}
				return w.SetPassword(ctx, w.asRoot(login), user, p)
			}
		}},
		{"creates the user", "set/unknown-user", func(w world, e *bent) {
			e.set = func(ctx context.Context, login strategies.Login, user string, p secret.Password) error {
				err := w.SetPassword(ctx, login, user, p)
				if errors.Is(err, rotator.KindNotFound) {
					w.Add(Account{Name: user, Password: p})
				}
				return err
			}
		}},
		{"does not mind if there is no such user", "set/unknown-user", func(w world, e *bent) {
			e.set = func(ctx context.Context, login strategies.Login, user string, p secret.Password) error {
				err := w.SetPassword(ctx, login, user, p)
				if errors.Is(err, rotator.KindNotFound) {
					return nil
				}
				return err
			}
		}},
		{"takes an empty password", "set/empty-password", func(w world, e *bent) {
			e.set = func(ctx context.Context, login strategies.Login, user string, p secret.Password) error {
				if p.Empty() {
					w.edit(user, func(a *Account) { a.Password = p })
					return nil
				}
				return w.SetPassword(ctx, login, user, p)
			}
		}},
		{"cuts passwords at a NUL", "set/nul", func(w world, e *bent) {
			e.password = mapPassword(func(s string) string { head, _, _ := strings.Cut(s, "\x00"); return head })
		}},
		{"cuts long passwords", "set/too-long", func(w world, e *bent) {
			e.password = mapPassword(cutAt(limits.MaxPasswordSize))
		}},
		{"takes letters and digits alone", "set/generated-passwords", func(w world, e *bent) {
			e.set = func(ctx context.Context, login strategies.Login, user string, p secret.Password) error {
				if strings.ContainsAny(p.Reveal(), "!#$%&()*+,.;<=>?[]^_`{|}~") {
					return rotator.KindPasswordPolicy
				}
				return w.SetPassword(ctx, login, user, p)
			}
		}},
		{"trims white space from new passwords", "set/hostile-passwords", trims(strings.TrimSpace)},
		{"doubles quotes in new passwords", "set/hostile-passwords", trims(func(s string) string { return strings.ReplaceAll(s, "'", "''") })},
		{"takes backslashes away", "set/hostile-passwords", trims(func(s string) string { return strings.ReplaceAll(s, `\`, "") })},
		{"formats new passwords", "set/hostile-passwords", trims(func(s string) string { return strings.ReplaceAll(s, "%%", "%") })},
		{"refuses a character without a kind that fits", "set/hostile-passwords", func(w world, e *bent) {
			e.set = func(ctx context.Context, login strategies.Login, user string, p secret.Password) error {
				if strings.Contains(p.Reveal(), "$") && strings.Contains(p.Reveal(), "HOME") {
					return rotator.KindPasswordPolicy // "${HOME}" holds nothing that Traits exclude
				}
				return w.SetPassword(ctx, login, user, p)
			}
		}},
		{"makes names small letters", "set/hostile-users", func(w world, e *bent) { e.name = strings.ToLower }},
		{"ends names at a quote", "set/hostile-users", func(w world, e *bent) {
			e.name = func(s string) string { head, _, _ := strings.Cut(s, `"`); return head }
		}},
		{"takes % for any name", "set/hostile-users", func(w world, e *bent) {
			e.set = func(ctx context.Context, login strategies.Login, user string, p secret.Password) error {
				err := w.SetPassword(ctx, login, user, p)
				if err == nil && strings.HasPrefix(user, "%") {
					w.edit(w.user.User, func(a *Account) { a.Password = p })
				}
				return err
			}
		}},
		{"refuses names with a space", "set/hostile-users", func(w world, e *bent) {
			e.set = func(ctx context.Context, login strategies.Login, user string, p secret.Password) error {
				if strings.Contains(user, " ") {
					return rotator.KindMisconfigured
				}
				return w.SetPassword(ctx, login, user, p)
			}
		}},
		{"cuts names over the limit", "set/user-over-limit", func(w world, e *bent) { e.name = cutAt(limits.MaxUserBytes) }},
		{"changes every name that begins like this one", "set/others-untouched", func(w world, e *bent) {
			e.set = func(ctx context.Context, login strategies.Login, user string, p secret.Password) error {
				w.edit(user+"_2", func(a *Account) { a.Password = p })
				return w.SetPassword(ctx, login, user, p)
			}
		}},
		{"drops the account and makes it again", "set/keeps-rights", recreates},
		{"drops settings with the account", "set/keeps-attributes", recreates},
		{"cannot set the same password again", "set/twice", func(w world, e *bent) {
			e.set = func(ctx context.Context, login strategies.Login, user string, p secret.Password) error {
				if a, _ := w.Account(user); a.Password.Equal(p) && !p.Empty() {
					return rotator.KindPasswordPolicy
				}
				return w.SetPassword(ctx, login, user, p)
			}
		}},
		{"fails although it came through, when there are two", "set/concurrent", func(w world, e *bent) {
			var calls atomic.Int64
			e.set = func(ctx context.Context, login strategies.Login, user string, p secret.Password) error {
				err := w.SetPassword(ctx, w.asRoot(login), user, p)
				if calls.Add(1)%2 == 0 {
					w.edit(user, func(a *Account) { a.Password = p }) // also if the first was slower
					return cmp.Or(err, error(rotator.KindConflict))
				}
				return err
			}
		}},
		{"has passwords in errors", "set/no-password-in-errors", leak(func(p string) string { return p })},
		{"has quoted passwords in errors", "set/no-password-in-errors", leak(func(p string) string { return fmt.Sprintf("%q", p) })},
		{"has SQL in errors", "set/no-password-in-errors", leak(func(p string) string { return "'" + strings.ReplaceAll(p, "'", "''") + "'" })},
		{"has base64 in errors", "set/no-password-in-errors", leak(func(p string) string { return base64.StdEncoding.EncodeToString([]byte("app:" + p)) })},
		{"has hex in errors", "set/no-password-in-errors", leak(func(p string) string { return fmt.Sprintf("%X", p) })},
		{"has the beginning of passwords in errors", "set/no-password-in-errors", leak(func(p string) string { return p[:min(20, len(p))] + "..." })},
		{"has the login's password in errors", "set/no-password-in-errors", func(w world, e *bent) {
			e.ping = func(ctx context.Context, login strategies.Login) error {
				return wrapf(w.Ping(ctx, login), "postgres://%s:%s@%s", login.User, login.Password.Reveal(), login.Host)
			}
		}},
		{"sends passwords in statements", "set/no-password-in-server-log", func(w world, e *bent) {
			e.set = func(ctx context.Context, login strategies.Login, user string, p secret.Password) error {
				w.mu.Lock()
				w.journal = append(w.journal, fmt.Sprintf("ALTER USER %s PASSWORD '%s'", user, p.Reveal()))
				w.mu.Unlock()
				return w.SetPassword(ctx, login, user, p)
			}
		}},

		{"calls a closed port a rejected login", "network/closed-port", func(w world, e *bent) { e.fail = kindFor("no server there", rotator.KindLoginRejected) }},
		{"calls a closed port misconfigured", "network/closed-port", func(w world, e *bent) { e.fail = kindFor("no server there", rotator.KindMisconfigured) }},
		{"calls an unknown host a rejected login", "network/unknown-host", func(w world, e *bent) { e.fail = kindFor(".invalid", rotator.KindLoginRejected) }},
		{"begins when all is over", "context/cancelled", func(w world, e *bent) { e.ctx = context.WithoutCancel }},
		{"blames the password when time is over", "context/cancelled", func(w world, e *bent) {
			e.fail = func(err error) error {
				if errors.Is(err, context.Canceled) {
					return rotator.KindLoginRejected
				}
				return err
			}
		}},

		{"creates the clone without its password", "clone/creates", func(w world, e *bent) {
			e.clone = func(ctx context.Context, login strategies.Login, pair strategies.Pair, p secret.Password) error {
				return w.EnsureClone(ctx, login, pair, secret.NewPassword("other-"+unique()))
			}
		}},
		{"gives the clone the original's password", "clone/creates", func(w world, e *bent) {
			e.clone = func(ctx context.Context, login strategies.Login, pair strategies.Pair, p secret.Password) error {
				a, _ := w.Account(pair.InUse())
				return w.EnsureClone(ctx, login, pair, a.Password)
			}
		}},
		{"sets both passwords", "clone/original-undisturbed", func(w world, e *bent) {
			e.clone = func(ctx context.Context, login strategies.Login, pair strategies.Pair, p secret.Password) error {
				err := w.EnsureClone(ctx, login, pair, p)
				if err == nil {
					w.edit(pair.InUse(), func(a *Account) { a.Password = p })
				}
				return err
			}
		}},
		{"locks the original for a moment", "clone/original-undisturbed", func(w world, e *bent) {
			e.clone = func(ctx context.Context, login strategies.Login, pair strategies.Pair, p secret.Password) error {
				before, refused := slices.Clone(w.Journal()), "login "+pair.InUse()+": "
				w.edit(pair.InUse(), func(a *Account) { a.Locked = true })
				for ctx.Err() == nil && !slices.ContainsFunc(w.Journal()[len(before):], func(s string) bool { return strings.HasPrefix(s, refused) }) {
					time.Sleep(time.Millisecond) // until a client has come by
				}
				w.edit(pair.InUse(), func(a *Account) { a.Locked = false })
				return w.EnsureClone(ctx, login, pair, p)
			}
		}},
		{"always sets the clone's password", "clone/back", func(w world, e *bent) {
			e.clone = func(ctx context.Context, login strategies.Login, pair strategies.Pair, p secret.Password) error {
				pair.Target = pair.Clone
				return w.EnsureClone(ctx, login, pair, p)
			}
		}},
		{"creates a clone only once", "clone/idempotent", func(w world, e *bent) {
			e.clone = func(ctx context.Context, login strategies.Login, pair strategies.Pair, p secret.Password) error {
				if _, ok := w.Account(pair.Clone); ok {
					return rotator.KindConflict
				}
				return w.EnsureClone(ctx, login, pair, p)
			}
		}},
		{"leaves a clone that is there as it is", "clone/idempotent", func(w world, e *bent) {
			e.clone = func(ctx context.Context, login strategies.Login, pair strategies.Pair, p secret.Password) error {
				if _, ok := w.Account(pair.Clone); ok {
					return nil
				}
				return w.EnsureClone(ctx, login, pair, p)
			}
		}},
		{"clones nothing when there are two", "clone/concurrent", func(w world, e *bent) {
			var calls atomic.Int64
			e.clone = func(ctx context.Context, login strategies.Login, pair strategies.Pair, p secret.Password) error {
				err := w.EnsureClone(ctx, login, pair, p)
				if calls.Add(1)%2 == 0 {
					w.edit(pair.Target, func(a *Account) { a.Password = fresh() })
				}
				return err
			}
		}},
		{"creates clones without rights", "clone/rights", func(w world, e *bent) {
			e.clone = alone(w, func(bool) bool { return false })
		}},
		{"gives rights at creation alone", "clone/pre-existing-without-rights", func(w world, e *bent) {
			e.clone = alone(w, func(existed bool) bool { return !existed })
		}},
		{"copies rights and never takes any away", "clone/revoked", func(w world, e *bent) {
			e.clone = copies(w)
		}},
		{"copies rights one way", "clone/objects-both-ways", func(w world, e *bent) {
			e.clone = copies(w)
		}},
		{"copies settings at creation alone", "clone/attributes", func(w world, e *bent) {
			e.clone = func(ctx context.Context, login strategies.Login, pair strategies.Pair, p secret.Password) error {
				old, existed := w.Account(pair.Clone)
				err := w.EnsureClone(ctx, login, pair, p)
				if err == nil && existed {
					w.edit(pair.Clone, func(a *Account) { a.Settings = old.Settings })
				}
				return err
			}
		}},
		{"forgets the original's settings on its turn", "clone/attributes", func(w world, e *bent) {
			e.clone = func(ctx context.Context, login strategies.Login, pair strategies.Pair, p secret.Password) error {
				err := w.EnsureClone(ctx, login, pair, p)
				if err == nil && pair.Target == pair.Original {
					w.edit(pair.Original, func(a *Account) { a.Settings = nil })
				}
				return err
			}
		}},
		{"makes up a missing original", "clone/missing-original", func(w world, e *bent) {
			e.clone = func(ctx context.Context, login strategies.Login, pair strategies.Pair, p secret.Password) error {
				if _, ok := w.Account(pair.Original); !ok {
					w.Add(Account{Name: pair.Original, Password: p})
				}
				return w.EnsureClone(ctx, login, pair, p)
			}
		}},
		{"leaves half a clone behind", "clone/missing-original", func(w world, e *bent) {
			e.clone = func(ctx context.Context, login strategies.Login, pair strategies.Pair, p secret.Password) error {
				err := w.EnsureClone(ctx, login, pair, p)
				if errors.Is(err, rotator.KindNotFound) {
					w.Add(Account{Name: pair.Clone, Password: p})
				}
				return err
			}
		}},
		{"lets an account take turns with itself", "clone/not-a-pair", func(w world, e *bent) {
			e.clone = func(ctx context.Context, login strategies.Login, pair strategies.Pair, p secret.Password) error {
				if pair.Original == pair.Clone {
					return w.SetPassword(ctx, login, pair.Target, p)
				}
				return w.EnsureClone(ctx, login, pair, p)
			}
		}},
		{"cuts the names of clones", "clone/name-over-limit", func(w world, e *bent) {
			cut := cutAt(limits.MaxUserBytes)
			e.clone = func(ctx context.Context, login strategies.Login, pair strategies.Pair, p secret.Password) error {
				pair.Clone, pair.Target = cut(pair.Clone), cut(pair.Target)
				return w.EnsureClone(ctx, login, pair, p)
			}
		}},
		{"makes the names of clones small letters", "clone/hostile-names", func(w world, e *bent) {
			e.clone = func(ctx context.Context, login strategies.Login, pair strategies.Pair, p secret.Password) error {
				pair.Clone, pair.Target = strings.ToLower(pair.Clone), strings.ToLower(pair.Target)
				return w.EnsureClone(ctx, login, pair, p)
			}
		}},
		{"lets everybody clone everybody", "clone/no-privilege", func(w world, e *bent) {
			e.clone = func(ctx context.Context, login strategies.Login, pair strategies.Pair, p secret.Password) error {
				if err := w.Ping(ctx, login); err != nil {
					return err
				}
				return w.EnsureClone(ctx, w.asRoot(login), pair, p)
			}
		}},
		{"calls a lack of privilege misconfigured", "clone/no-privilege", func(w world, e *bent) { e.fail = kindFor("only a superuser", rotator.KindMisconfigured) }},
		{"does not ask the superuser for a password", "clone/wrong-password", func(w world, e *bent) {
			e.clone = func(ctx context.Context, login strategies.Login, pair strategies.Pair, p secret.Password) error {
				return w.EnsureClone(ctx, w.asRoot(login), pair, p)
			}
		}},
	}
}

// unentitled are the engines by which a secret reaches accounts of others.
func unentitled() []wrongEngine {
	pairs := func(bend func(pair *strategies.Pair)) func(w world, e *bent) {
		return func(w world, e *bent) {
			e.clone = func(ctx context.Context, login strategies.Login, pair strategies.Pair, p secret.Password) error {
				bend(&pair)
				return w.EnsureClone(ctx, login, pair, p)
			}
		}
	}
	return []wrongEngine{
		{"takes whatever bears the suffix for the clone", "entitled/unrelated", pairs(func(pair *strategies.Pair) { pair.Consent = true })},
		{"takes whatever a clone is named after for its original", "entitled/original", pairs(func(pair *strategies.Pair) {
			pair.Consent = pair.Target == pair.Original
		})},
		{"does not ask for possession", "entitled/possession-refuted", pairs(func(pair *strategies.Pair) { pair.Possession = possessed })},
		{"takes an outage for a refusal", "entitled/possession-unclear", func(_ world, e *bent) { e.fail = kindFor("throttled", rotator.KindNotEntitled) }},
		{"knows no consent", "entitled/consent", pairs(func(pair *strategies.Pair) { pair.Consent = false })},
		{"hands out its superuser", "entitled/superuser", func(w world, e *bent) {
			e.clone = func(ctx context.Context, login strategies.Login, pair strategies.Pair, p secret.Password) error {
				if pair.Target == login.User {
					return w.SetPassword(ctx, login, login.User, p)
				}
				return w.EnsureClone(ctx, login, pair, p)
			}
		}},
		{"hands out administrators with consent", "entitled/administrator", pairs(func(pair *strategies.Pair) {
			if pair.Consent {
				pair.Possession = possessed
			}
		})},
		{"makes two users alike that it is to leave as they are", "entitled/password-only", pairs(func(pair *strategies.Pair) { pair.PasswordOnly = false })},
	}
}

// trims alters the passwords that are set, and not those that are tried.
func trims(alter func(s string) string) func(w world, e *bent) {
	return func(w world, e *bent) {
		e.set = func(ctx context.Context, login strategies.Login, user string, p secret.Password) error {
			return w.SetPassword(ctx, login, user, mapPassword(alter)(p))
		}
	}
}

func recreates(w world, e *bent) {
	e.set = func(ctx context.Context, login strategies.Login, user string, p secret.Password) error {
		err := w.SetPassword(ctx, login, user, p)
		if err == nil && user != w.superuser.User {
			w.Add(Account{Name: user, Password: p})
		}
		return err
	}
}

// alone clones, and takes the clone's rights away unless may says that it has some.
func alone(w world, may func(existed bool) bool) func(context.Context, strategies.Login, strategies.Pair, secret.Password) error {
	return func(ctx context.Context, login strategies.Login, pair strategies.Pair, p secret.Password) error {
		_, existed := w.Account(pair.Clone)
		err := w.EnsureClone(ctx, login, pair, p)
		if err == nil && !may(existed) {
			w.edit(pair.Clone, func(a *Account) { a.SetRole = "" })
		}
		return err
	}
}

// copies clones as AWS's templates do: what the original may use now.
func copies(w world) func(context.Context, strategies.Login, strategies.Pair, secret.Password) error {
	return func(ctx context.Context, login strategies.Login, pair strategies.Pair, p secret.Password) error {
		original, _ := w.Account(pair.Original)
		clone, _ := w.Account(pair.Clone)
		err := w.EnsureClone(ctx, login, pair, p)
		if err == nil {
			w.edit(pair.Original, func(a *Account) { a.Tables = original.Tables })
			w.edit(pair.Clone, func(a *Account) { a.SetRole, a.Tables = "", union(original.Tables, clone.Tables) })
		}
		return err
	}
}

// TestSuiteCatchesWrongEngines: each fault is found by the case that is about it.
func TestSuiteCatchesWrongEngines(t *testing.T) {
	caught := make(map[string]bool)
	for _, wrong := range slices.Concat(wrongEngines(), wrongRehearsals(), wrongKeepers(), wrongToOthers(), unentitled(), forgetful()) {
		caught[wrong.caughtBy] = true
		t.Run(wrong.fault, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			e := &bent{CloningEngine: w}
			wrong.bend(w, e)
			mustCatch(t, EngineCases(), wrong.caughtBy, w.engineFixture(e))
		})
	}
	for fault, wrong := range map[string]struct {
		caughtBy string
		engine   strategies.Engine
	}{
		"goes on without TLS":                        {"ping/plaintext-server", remote{fallsBack: true}},
		"takes a hang-up for a rejected login":       {"network/hang-up", remote{rejectsCuts: true}},
		"takes nonsense for a rejected login":        {"network/nonsense", remote{rejectsFog: true}},
		"sends passwords in clear":                   {"network/no-password-in-clear", remote{hasty: "ping"}},
		"sends passwords in clear in a change":       {"network/no-password-in-clear", remote{hasty: "set"}},
		"is deaf to deadlines":                       {"context/deadline", remote{deaf: true}},
		"is deaf to cancellation":                    {"context/cancelled-midway", remote{onlyDeadline: true}},
		"takes a cut for a rejected login":           {"network/cut-anywhere", remote{rejectsCuts: true}},
		"sets passwords in two steps":                {"network/cut-anywhere", remote{twice: true}},
		"keeps the old password in two steps":        {"dual/cut-anywhere", remote{twice: true}},
		"saves in a second command":                  {"durable/cut", remote{savesApart: true}},
		"does not say that it could not save":        {"durable/cut", persisting{remote{savesApart: true, hidesUnsaved: true}}},
		"takes a lost answer for a yes":              {"network/cut-anywhere", remote{optimist: true}},
		"takes a lost answer for a yes, keeping":     {"dual/cut-anywhere", remote{optimist: true}},
		"is deaf as soon as the server has answered": {"network/silent-anywhere", remote{deafLate: true}},
	} {
		caught[wrong.caughtBy] = true
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			f := remoteFixture(t, wrong.engine)
			f.CancelGrace = 100 * time.Millisecond
			mustCatch(t, EngineCases(), wrong.caughtBy, f)
		})
	}
	everyCaseCatches(t, EngineCases(), caught)
}

// mustCatch runs the case that has to notice a fault.
func mustCatch[F any](t *testing.T, cases []Case[F], name string, f F) {
	t.Helper()
	i := slices.IndexFunc(cases, func(c Case[F]) bool { return c.Name == name })
	if i < 0 {
		t.Fatalf("no case is called %s", name)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	switch err := cases[i].Check(ctx, f); {
	case err == nil:
		t.Errorf("%s does not notice", name)
	case errors.Is(err, ErrNotOffered):
		t.Errorf("%s cannot tell: %v", name, err)
	case strings.Contains(err.Error(), "fixture:") || ctx.Err() != nil:
		t.Errorf("%s fails, but not because of the fault: %v", name, err)
	default:
		t.Log(err)
	}
}

// everyCaseCatches: a rule that nothing here breaks may be no rule at all.
func everyCaseCatches[F any](t *testing.T, cases []Case[F], caught map[string]bool) {
	t.Helper()
	seen := make(map[string]bool)
	for _, c := range cases {
		switch {
		case c.Why == "":
			t.Errorf("%s does not say why", c.Name)
		case seen[c.Name]:
			t.Errorf("two cases are called %s", c.Name)
		case !caught[c.Name]:
			t.Errorf("no wrong implementation here is for %s to catch", c.Name)
		}
		seen[c.Name] = true
	}
	for name := range maps.Keys(caught) {
		if !seen[name] {
			t.Errorf("no case is called %s", name)
		}
	}
}
