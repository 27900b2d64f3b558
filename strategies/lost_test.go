package strategies_test

import (
	"context"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest"
)

// TestAUserThatAFailoverLostIsRolledBack: AWSCURRENT names a clone that is gone with the
// server that it was made on. The error says what mends that, and promises a user that the next rotation makes again
// only of a clone: an original, a person brings back.
func TestAUserThatAFailoverLostIsRolledBack(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		apply       bool
		lost, there string
		says        string
		rotateOnly  bool
	}{
		"preflight, the clone": {false, "app_clone", "app", "Roll back, and the next rotation makes it again",
			false},
		"apply, the clone": {true, "app_clone", "app", "Roll back, and the next rotation makes it again", false},
		"preflight, a clone that no rotation makes": {false, "app_clone", "app",
			"Roll back, and bring the user back: no rotation makes it", true},
		"apply, a clone that no rotation makes": {true, "app_clone", "app",
			"Roll back, and bring the user back: no rotation makes it", true},
		"preflight, the original": {false, "app", "app_clone",
			"Roll back, and bring the user back: no rotation makes it", false},
		"apply, the original": {true, "app", "app_clone",
			"Roll back, and bring the user back: no rotation makes it", false},
	} {
		db := &strategytest.Memory{}
		app, boss := secret.NewPassword("canary-app"), secret.NewPassword("canary-boss")
		db.Add(strategytest.Account{Name: c.there, Password: app})
		db.Add(strategytest.Account{Name: "boss", Password: boss, Superuser: true})
		document := func(user string, p secret.Password) secret.Document {
			return secret.Document{}.Set("engine", "memory").Set("host", strategytest.MemoryHost).Set("username",
				user).SetPassword(p).Set("masterarn", bossARN)
		}
		r := rotator.Rotation{
			SecretARN: "arn:aws:secretsmanager:eu-central-1:123456789012:secret:app-a1b2c3",
			Current:   document(c.lost, secret.NewPassword("canary-lost")),
			Pending:   document(c.there, secret.NewPassword("canary-next")),
			ReadPrevious: func(context.Context) (secret.Document, error) {
				return document(c.there, app), nil
			},
			ReadPending: func(context.Context) (secret.Document, error) {
				return secret.Document{}, rotator.KindNotFound
			},
			ReadSecret: func(context.Context, string) (secret.Document, error) { return document("boss", boss), nil },
		}
		s := strategies.AlternatingUsers{Engine: db, RotateOnly: c.rotateOnly}
		var text string
		if c.apply {
			if err := s.Apply(t.Context(), r); err != nil {
				text = err.Error()
			}
		} else {
			for _, f := range s.Preflight(t.Context(), r) {
				text += f.Detail + "\n"
			}
		}
		if !strings.Contains(text, `{"Step":"recover","Action":"rollback","SecretId":"`+r.SecretARN+`"}`) {
			t.Errorf("%s: no way out: %s", name, text)
		}
		if !strings.Contains(text, c.says) {
			t.Errorf("%s does not say %q: %s", name, c.says, text)
		}
	}
}

// TestARejectedSuperuserNamesItsSecret: status of the secret that rotates says nothing of the superuser's password.
func TestARejectedSuperuserNamesItsSecret(t *testing.T) {
	t.Parallel()
	db := &strategytest.Memory{}
	app := secret.NewPassword("canary-app")
	db.Add(strategytest.Account{Name: "app", Password: app})
	db.Add(strategytest.Account{Name: "boss", Password: secret.NewPassword("canary-boss"), Superuser: true})
	document := func(user, superuser string, p secret.Password) secret.Document {
		return secret.Document{}.Set("engine", "memory").Set("host", strategytest.MemoryHost).Set("username", user).
			SetPassword(p).Set("masterarn", superuser)
	}
	for name, c := range map[string]struct {
		strategy interface {
			rotator.Strategy
			rotator.Preflighter
		}
		target, masterarn string
	}{
		"alternating":  {strategies.AlternatingUsers{Engine: db}, "app_clone", bossARN},
		"single":       {strategies.SingleUser{Engine: db, ThroughSuperuser: true}, "app", bossARN},
		"from setting": {strategies.AlternatingUsers{Engine: db, SuperuserSecretARN: bossARN}, "app_clone", ""},
	} {
		none := func(context.Context) (secret.Document, error) { return secret.Document{}, rotator.KindNotFound }
		r := rotator.Rotation{
			Current:      document("app", c.masterarn, app),
			Pending:      document(c.target, c.masterarn, secret.NewPassword("canary-next")),
			ReadPrevious: none, ReadPending: none,
			ReadSecret: func(context.Context, string) (secret.Document, error) {
				return document("boss", "", secret.NewPassword("canary-stale")), nil
			},
		}
		const want = "this is the user of the superuser secret " + bossARN
		if err := c.strategy.Apply(t.Context(), r); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
		var text string
		for _, f := range c.strategy.Preflight(t.Context(), r) {
			text += f.Detail + "\n"
		}
		if !strings.Contains(text, want) {
			t.Errorf("%s, preflight: %s", name, text)
		}
	}
}

const bossARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:boss-a1b2c3"
