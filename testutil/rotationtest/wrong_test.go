package rotationtest

import (
	"context"
	"crypto/rand"
	"errors"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest"
)

// TestRotationNoticesWrongStrategies: each breach is found, by its name, where a
// strategy is wrong in one way.
func TestRotationNoticesWrongStrategies(t *testing.T) {
	single := func(e strategies.CloningEngine) rotator.Strategy { return strategies.SingleUser{Engine: e} }
	turns := func(e strategies.CloningEngine) rotator.Strategy { return strategies.AlternatingUsers{Engine: e} }
	login := func(db strategies.CloningEngine, d secret.Document) strategies.Login {
		return db.(*strategytest.Memory).Login(d.Text("username"), d.Password())
	}
	for name, c := range map[string]struct {
		right func(e strategies.CloningEngine) rotator.Strategy
		bend  func(e strategies.CloningEngine, s *bentStrategy)
		spoil func(f *Fixture)
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
		"changes another account's password": {single, alongside(func(db *strategytest.Memory, _ rotator.Rotation) {
			edit(db, "other", func(a *strategytest.Account) { a.Password = fresh() })
		}), nil, ViolationBystander},
		"alters a bystander": {turns, alongside(func(db *strategytest.Memory, _ rotator.Rotation) {
			edit(db, "other", func(a *strategytest.Account) { a.Tables = nil })
		}), nil, ViolationBystander},
		"alters a bystander when a retry finds its work done": {turns, func(e strategies.CloningEngine, s *bentStrategy) {
			right := s.Strategy.Apply
			s.apply = func(ctx context.Context, r rotator.Rotation) error {
				if e.Ping(ctx, login(e, r.Pending)) == nil {
					edit(e.(*strategytest.Memory), "other", func(a *strategytest.Account) { a.Tables = nil })
				}
				return right(ctx, r)
			}
		}, nil, ViolationBystander},
		"gives the clone more": {turns, alongside(func(db *strategytest.Memory, r rotator.Rotation) {
			edit(db, r.Pending.Text("username"), func(a *strategytest.Account) { a.Superuser = true })
		}), nil, ViolationPrivileges},
		"leaves the clone without privileges": {turns, alongside(func(db *strategytest.Memory, r rotator.Rotation) {
			edit(db, r.Pending.Text("username"), func(a *strategytest.Account) { a.SetRole = "" })
		}), nil, ViolationPrivileges},
		"changes one host of three": {single, alongside(func(db *strategytest.Memory, r rotator.Rotation) {
			edit(db, "app", func(a *strategytest.Account) { a.Hosts = map[string]secret.Password{"10.0.0.2": fresh()} })
		}), nil, ViolationLockedOut},
		"never saves": {single, func(e strategies.CloningEngine, s *bentStrategy) {
			right := s.Strategy.Apply
			s.apply = func(ctx context.Context, r rotator.Rotation) error {
				s.unsaved, _ = e.(*strategytest.Memory).Account("app")
				return right(ctx, r)
			}
		}, nil, ViolationNotSaved},
		"saves in a second step, unless a retry finds its work done": {single, func(e strategies.CloningEngine, s *bentStrategy) {
			right := s.Strategy.Apply
			s.apply = func(ctx context.Context, r rotator.Rotation) error {
				if e.Ping(ctx, login(e, r.Pending)) == nil {
					return nil
				}
				s.unsaved, _ = e.(*strategytest.Memory).Account("app")
				if err := right(ctx, r); err != nil {
					return err
				}
				if err := e.Ping(ctx, login(e, r.Pending)); err != nil { // the line is cut here
					return err
				}
				s.unsaved = strategytest.Account{}
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
		"shows a password to the server's log": {single, func(strategies.CloningEngine, *bentStrategy) {}, func(f *Fixture) {
			f.ServerLog = func() string { return "ALTER USER app PASSWORD '" + f.Current.Password().Reveal() + "'" }
		}, ViolationLeaked},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fresh := func(ctx context.Context) (Fixture, error) {
				var db *strategytest.Memory
				var s *bentStrategy
				f, err := MemoryFixture(func(e strategies.CloningEngine) rotator.Strategy {
					db, s = e.(*strategytest.Memory), &bentStrategy{Strategy: c.right(e)}
					c.bend(e, s)
					return s
				}, name == "sets the password of the user in use")(ctx)
				f.Restart = func(ctx context.Context) error {
					if s.unsaved.Name != "" {
						db.Add(s.unsaved)
					}
					return db.Restart(ctx)
				}
				if c.spoil != nil {
					c.spoil(&f)
				}
				return f, err
			}
			// Either the rotation without trouble is a breach already, or some trial is.
			trials, err := Trials(t.Context(), fresh)
			for _, trial := range spread(trials) {
				if err = trial.Run(t.Context()); err != nil && !errors.Is(err, strategytest.ErrNotOffered) {
					break
				}
			}
			if !errors.Is(err, c.want) {
				t.Errorf("want %q, got: %v", c.want, err)
			}
		})
	}
}

// spread gives all of them in another order: neighbors mostly end alike, so that a breach is met sooner.
func spread[T any](all []T) (spread []T) {
	const stride = 23
	for first := range stride {
		for i := first; i < len(all); i += stride {
			spread = append(spread, all[i])
		}
	}
	return spread
}

// alongside does something more when the right strategy has applied a value.
func alongside(more func(db *strategytest.Memory, r rotator.Rotation)) func(e strategies.CloningEngine, s *bentStrategy) {
	return func(e strategies.CloningEngine, s *bentStrategy) {
		right := s.Strategy.Apply
		s.apply = func(ctx context.Context, r rotator.Rotation) error {
			err := right(ctx, r)
			if err == nil {
				more(e.(*strategytest.Memory), r)
			}
			return err
		}
	}
}

func fresh() secret.Password { return secret.NewPassword("Fresh-" + rand.Text()) }

// edit changes an account behind the server's back.
func edit(db *strategytest.Memory, user string, change func(a *strategytest.Account)) {
	if a, ok := db.Account(user); ok {
		change(&a)
		db.Add(a)
	}
}

// bentStrategy is a right strategy, bent at one place.
type bentStrategy struct {
	rotator.Strategy
	next   func(ctx context.Context, r rotator.Rotation) (secret.Document, error)
	apply  func(ctx context.Context, r rotator.Rotation) error
	verify func(ctx context.Context, r rotator.Rotation) error

	// unsaved is the account as a restart brings it back, if what was changed is not saved.
	unsaved strategytest.Account
}

func (s *bentStrategy) Propose(ctx context.Context, r rotator.Rotation) (secret.Document, error) {
	if s.next != nil {
		return s.next(ctx, r)
	}
	return s.Strategy.Propose(ctx, r)
}

func (s *bentStrategy) Apply(ctx context.Context, r rotator.Rotation) error {
	if s.apply != nil {
		return s.apply(ctx, r)
	}
	return s.Strategy.Apply(ctx, r)
}

func (s *bentStrategy) Verify(ctx context.Context, r rotator.Rotation) error {
	if s.verify != nil {
		return s.verify(ctx, r)
	}
	return s.Strategy.Verify(ctx, r)
}
