package strategies_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest"
)

// value is a secret for a Memory.
func value(user, password string) secret.Document {
	return secret.Document{}.Set("engine", "memory").Set("host", strategytest.MemoryHost).Set("username",
		user).SetPassword(secret.NewPassword(password))
}

// TestNoOtherAccountIsUsed: where AWSPREVIOUS or a pending value of an earlier attempt
// is for an account that the secret does not rotate, its password is not sent, in setSecret
// and in the preflight.
func TestNoOtherAccountIsUsed(t *testing.T) {
	var db strategytest.Memory
	for name, s := range map[string]rotator.Strategy{
		"single user":       strategies.SingleUser{Engine: &db},
		"dual passwords":    strategies.DualPasswords{Engine: &db},
		"alternating users": strategies.AlternatingUsers{Engine: &db},
	} {
		db.Add(strategytest.Account{Name: "app", Password: secret.NewPassword("nobody knows it")})
		db.Add(strategytest.Account{Name: "stranger", Password: secret.NewPassword("stranger's own")})
		stranger := func(context.Context) (secret.Document, error) { return value("stranger", "stranger's own"), nil }
		pending := value("app", "pending one")
		if name == "alternating users" {
			pending = value("app_clone", "pending one")
		}
		r := rotator.Rotation{Current: value("app", "current one"), Pending: pending, ReadPrevious: stranger,
			ReadPending: stranger}
		before := len(db.Journal())
		if err := s.Apply(t.Context(), r); !errors.Is(err, rotator.KindLoginRejected) {
			t.Errorf("%s: Apply: %v", name, err)
		}
		s.(rotator.Preflighter).Preflight(t.Context(), r)
		for _, entry := range db.Journal()[before:] {
			if strings.Contains(entry, "stranger") {
				t.Errorf("%s: %s", name, entry)
			}
		}
	}
}

// TestThePreflightComesToThePreviousValue, as setSecret does: with alternating users too.
func TestThePreflightComesToThePreviousValue(t *testing.T) {
	var db strategytest.Memory
	db.Add(strategytest.Account{Name: "app", Password: secret.NewPassword("another one")})
	db.Add(strategytest.Account{Name: "app_clone", Password: secret.NewPassword("previous one")})
	db.Add(strategytest.Account{Name: "boss", Password: secret.NewPassword("boss's own"), Superuser: true})
	findings := strategies.AlternatingUsers{Engine: &db, SuperuserSecretARN: "superuser"}.Preflight(t.Context(),
		rotator.Rotation{
			Current: value("app", "current one"),
			ReadPrevious: func(context.Context) (secret.Document, error) {
				return value("app_clone", "previous one"), nil
			},
			ReadSecret: func(context.Context, string) (secret.Document, error) {
				return value("boss", "boss's own"), nil
			},
		})
	for _, f := range findings {
		if f.Status == rotator.StatusDenied || f.Status == rotator.StatusFailed {
			t.Errorf("%+v", f)
		}
	}
	if len(findings) < 10 || !strings.Contains(strings.Join(db.Journal(), ","), "login app_clone,login boss") {
		t.Errorf("%d findings: %v", len(findings), db.Journal())
	}
}

// TestThePasswordPolicyIsHeldToTheEngine: no password is proposed that the engine cannot
// take, up to the byte, and a policy that no password meets is named.
func TestThePasswordPolicyIsHeldToTheEngine(t *testing.T) {
	var db strategytest.Memory
	most := db.Traits().MaxPasswordSize
	for length, ok := range map[int]bool{most: true, most + 1: false} {
		_, err := strategies.SingleUser{Engine: &db}.Propose(t.Context(),
			rotator.Rotation{Current: value("app", "current one"),
				PasswordPolicy: secret.PasswordPolicy{Length: length}})
		if (err == nil) != ok || err != nil && (!errors.Is(err, rotator.KindMisconfigured) ||
			!strings.Contains(err.Error(), "PASSWORD_LENGTH")) {
			t.Errorf("%d bytes: %v", length, err)
		}
	}
	none := secret.PasswordPolicy{ExcludeLowercase: true, ExcludeUppercase: true, ExcludeNumbers: true,
		ExcludePunctuation: true}
	if _, err := (strategies.SingleUser{Engine: &db}).Propose(t.Context(),
		rotator.Rotation{Current: value("app", "current one"), PasswordPolicy: none}); !errors.Is(err,
		rotator.KindMisconfigured) {
		t.Errorf("a policy that no password meets: %v", err)
	}
	if _, err := (strategies.AlternatingUsers{Engine: &db}).Propose(t.Context(),
		rotator.Rotation{Current: value("app", "current one"), PasswordPolicy: none}); !errors.Is(err,
		rotator.KindMisconfigured) {
		t.Errorf("a policy that no password meets, of a pair: %v", err)
	}
}

// cannotClone is an engine whose EnsureClone fails.
type cannotClone struct {
	*strategytest.Memory
	err error
}

func (c cannotClone) EnsureClone(context.Context, strategies.Login, strategies.Pair, secret.Password) error {
	return c.err
}

// TestAFailedChangeIsAFailure and not a rotation; where AWSCURRENT works there is nothing to roll back.
func TestAFailedChangeIsAFailure(t *testing.T) {
	var db strategytest.Memory
	db.Add(strategytest.Account{Name: "app", Password: secret.NewPassword("current one")})
	db.Add(strategytest.Account{Name: "boss", Password: secret.NewPassword("boss's own"), Superuser: true})
	for _, kind := range []rotator.Kind{rotator.KindPrivilege, rotator.KindNotFound} {
		err := strategies.AlternatingUsers{Engine: cannotClone{&db, kind},
			SuperuserSecretARN: "superuser"}.Apply(t.Context(), rotator.Rotation{
			Current: value("app", "current one"), Pending: value("app_clone", "pending one"),
			ReadSecret: func(context.Context, string) (secret.Document, error) {
				return value("boss", "boss's own"), nil
			},
		})
		if !errors.Is(err, kind) || strings.Contains(err.Error(), "rollback") {
			t.Errorf("Apply: %v", err)
		}
	}
}
