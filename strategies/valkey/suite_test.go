package valkey_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest/census"
	"github.com/quarterturn-dev/quarterturn/strategies/valkey"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
)

// selfChange are the rights of a user that changes itself, and of a superuser.
var selfChange = []string{"+acl", "+config|get", "+config|rewrite", "+info", "+multi", "+exec", "+discard"}

// ordinary are those of an application.
var ordinary = []string{"~*", "+get", "+set", "+ping"}

type server struct{ *dbserver.ValkeyServer }

func name(kind string) string { return kind + "_" + strings.ToLower(rand.Text()[:10]) }

// user creates one, and gives its login.
func (s server) user(ctx context.Context, name string, rules ...[]string) (strategies.Login, error) {
	p := secret.NewPassword("Pw1-" + rand.Text())
	if strings.ContainsAny(name, " \x00") {
		return strategies.Login{}, strategytest.ErrNotOffered
	}
	words := []string{"ACL", "SETUSER", name, "reset", "on", ">" + p.Reveal()}
	for _, r := range rules {
		words = append(words, r...)
	}
	save := []string{"ACL", "SAVE"}
	return s.login(name, p), s.Exec(ctx, words, save)
}

func (s server) login(user string, p secret.Password) strategies.Login {
	return strategies.Login{Host: s.Host, Port: s.Port, User: user, Password: p,
		TLS: strategies.TLS{Disabled: s.CAs == nil}}
}

func (s server) logIn(ctx context.Context, login strategies.Login) error {
	err := s.As(ctx, login.User, login.Password.Reveal())
	var said dbserver.ValkeyError
	if errors.As(err, &said) && strings.HasPrefix(string(said), "WRONGPASS") {
		return fmt.Errorf("user %q: %w", login.User, rotator.KindLoginRejected)
	}
	return err
}

// fixture has users of its own on a server.
func fixture(t *testing.T, s, plain server, others *census.Neighbors) strategytest.EngineFixture {
	t.Helper()
	ctx := t.Context()
	must := func(login strategies.Login, err error) strategies.Login {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return login
	}
	user, boss, dual := name("user"), name("boss"), name("dual")
	mine := others.Join(user, boss, dual)
	engine := valkey.Engine{Roots: s.CAs, AllowSelfChange: true}
	admin := func(ctx context.Context, user string, rules ...string) error {
		return s.Exec(ctx, append([]string{"ACL", "SETUSER", user}, rules...), []string{"ACL", "SAVE"})
	}
	one := func(ctx context.Context, login strategies.Login, commands ...[]string) error {
		return s.As(ctx, login.User, login.Password.Reveal(), commands...)
	}
	f := strategytest.EngineFixture{
		Engine:            engine,
		Superuser:         must(s.user(ctx, boss, selfChange)),
		User:              must(s.user(ctx, user, ordinary, selfChange)),
		DualPasswordUser:  must(s.user(ctx, dual, ordinary, selfChange)),
		SelfChangeIsAdmin: true,
		NoDatabases:       true,
		LogIn:             s.logIn,
		NewUser: func(ctx context.Context, name string) (strategies.Login, error) {
			mine.Owns(name)
			return s.user(ctx, name, selfChange)
		},
		NewUnprivileged: func(ctx context.Context, name string) (strategies.Login, error) {
			mine.Owns(name)
			return s.user(ctx, name, ordinary)
		},
		NewSuperuser: func(ctx context.Context, name string) (strategies.Login, error) {
			mine.Owns(name)
			return s.user(ctx, name, selfChange, []string{"+@admin"})
		},
		UsePrivilege: func(ctx context.Context, login strategies.Login) error {
			return one(ctx, login, []string{"GET", "shared"})
		},
		CreateObject: func(ctx context.Context, login strategies.Login, object string) error {
			return one(ctx, login, []string{"SET", object, "1"})
		},
		ModifyObject: func(ctx context.Context, login strategies.Login, object string) error {
			return one(ctx, login, []string{"GET", object}, []string{"SET", object, "2"})
		},
		Revoke:       func(ctx context.Context, user string) error { return admin(ctx, user, "-get") },
		SetAttribute: func(ctx context.Context, user string) error { return admin(ctx, user, "+strlen") },
		HasAttribute: func(ctx context.Context, user string) (bool, error) {
			users, err := s.Users(ctx)
			return strings.Contains(users[user], "+strlen"), err
		},
		ServerLog: func() string {
			sent, err := s.Commands(context.Background())
			if err != nil {
				t.Error(err)
			}
			return sent + s.Log()
		},
		Dial: s.Dial,
		Census: func(ctx context.Context) (map[string]string, error) {
			all, err := s.Census(ctx)
			return mine.Census(all, "_clone"), err
		},
	}
	if s.CAs != nil {
		f.TLS = true
		f.PlaintextOnly = must(plain.user(ctx, name("plain"), ordinary))
		f.PlaintextOnly.TLS.Disabled = false
	}
	return f
}

// TestSuite is the acceptance suite for engines, on every release.
func TestSuite(t *testing.T) {
	t.Parallel()
	for _, release := range dbserver.ValkeysInTier(t) {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			s := server{dbserver.NewValkey(t,
				dbserver.ValkeyOptions{Name: release, TLS: &dbserver.TLS{Names: []string{"127.0.0.1"}}})}
			plain := server{dbserver.NewValkey(t, dbserver.ValkeyOptions{Name: release})}
			var fixtures census.Neighbors
			strategytest.TestEngine(t, func(t *testing.T) strategytest.EngineFixture {
				return fixture(t, s, plain, &fixtures)
			})
		})
	}
}

// TestDurability is the part of the suite that kills the server, and starts it again.
func TestDurability(t *testing.T) {
	t.Parallel()
	for _, release := range dbserver.ValkeysInTier(t) {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			s := server{dbserver.NewValkey(t, dbserver.ValkeyOptions{Name: release})}
			var fixtures census.Neighbors
			strategytest.TestDurability(t, func(t *testing.T) strategytest.EngineFixture {
				f := fixture(t, s, s, &fixtures)
				f.Restart = s.Restart
				return f
			})
		})
	}
}

// TestNodes is the part that several nodes need: of the suite the cases whose accounts withNodes copies.
func TestNodes(t *testing.T) {
	t.Parallel()
	s, second := server{dbserver.NewValkey(t, dbserver.ValkeyOptions{})},
		server{dbserver.NewValkey(t, dbserver.ValkeyOptions{})}
	var fixtures census.Neighbors
	for _, c := range strategytest.EngineCases() {
		switch c.Name {
		case "nodes/set", "set/self", "set/twice", "set/superuser", "set/concurrent":
		default:
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			f := fixture(t, s, s, &fixtures)
			withNodes(t, &f, s, second)
			if err := c.Check(t.Context(), f); err != nil {
				t.Errorf("%v\nWhy this matters: %s", err, c.Why)
			}
		})
	}
}

// withNodes copies the users of a fixture to a second node, and has their logins lead to both.
func withNodes(t *testing.T, f *strategytest.EngineFixture, first, second server) {
	t.Helper()
	first.copyTo(t, second, f.Superuser, f.User)
	f.Superuser, f.User = and(f.Superuser, second), and(f.User, second)
	f.Nodes = []string{"first", "second"}
	f.LogInAt = func(ctx context.Context, node string, login strategies.Login) error {
		if node == "first" {
			return first.logIn(ctx, login)
		}
		return second.logIn(ctx, login)
	}
	f.LogIn = func(ctx context.Context, login strategies.Login) error {
		return errors.Join(first.logIn(ctx, login), second.logIn(ctx, login))
	}
}
