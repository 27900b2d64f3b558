package strategies_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest"
)

// TestWhereNoReplicaIsWaitedFor: at the server itself, and once the time of the invocation is up.
func TestWhereNoReplicaIsWaitedFor(t *testing.T) {
	for name, c := range map[string]struct {
		host string
		left time.Duration
	}{
		"the server itself": {strategytest.MemoryHost, time.Hour},
		"no time is left":   {strategytest.MemoryReader, 100 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), c.left)
			defer cancel()
			var db strategytest.Memory
			db.Add(strategytest.Account{Name: "app", Password: secret.NewPassword("current one")})
			db.Add(strategytest.Account{Name: "boss", Password: secret.NewPassword("boss's own"), Superuser: true})
			begin := time.Now()
			err := strategies.AlternatingUsers{Engine: &db, SuperuserSecretARN: "superuser"}.Apply(ctx,
				rotator.Rotation{
					Current: value("app", "current one").Set("host", c.host),
					Pending: value("app_clone", "pending one").Set("host", c.host),
					ReadSecret: func(context.Context, string) (secret.Document, error) {
						return value("boss", "boss's own"), nil
					},
					IsEndpointOf: func(context.Context, secret.Document, string, int) error { return nil },
				})
			if took := time.Since(begin); err != nil || took >= 500*time.Millisecond {
				t.Errorf("%s: %s: %v", name, took, err)
			}
			if journal := strings.Join(db.Journal(), ","); strings.Contains(journal, "login app_clone") {
				t.Errorf("%s: a login too many: %s", name, journal)
			}
		})
	}
}

// TestAReplicaIsBehind: setSecret waits for its change to arrive, with one login that
// may count against the account, and leaves it to testSecret to say that it has not.
func TestAReplicaIsBehind(t *testing.T) { synctest.Test(t, replicaIsBehind) }

func replicaIsBehind(t *testing.T) {
	for _, behind := range []int{0, 2, 9} { // looks that come too early
		waits(t, behind, "app_clone", func(e strategies.CloningEngine) rotator.Strategy {
			return strategies.AlternatingUsers{Engine: e}
		})
		waits(t, behind, "app", func(e strategies.CloningEngine) rotator.Strategy {
			return strategies.SingleUser{Engine: e, ThroughSuperuser: true}
		})
	}
}

// waits has a rotation of target go through a superuser to a reader that is behind for so many looks.
func waits(t *testing.T, behind int, target string, strategy func(strategies.CloningEngine) rotator.Strategy) {
	var db strategytest.Memory
	password := func(user string) secret.Password { return secret.NewPassword("password of " + user) }
	db.Add(strategytest.Account{Name: "app", Password: password("app")})
	db.Add(strategytest.Account{Name: "boss", Password: password("boss"), Superuser: true})
	early, changed, looks := behind, false, 0
	db.Before = func(_ context.Context, op, user string) error {
		changed = changed || op == "set" || op == "clone"
		if op != "login" || user != target || !changed {
			return nil
		}
		if looks++; early == 0 {
			return nil
		}
		early--
		return fmt.Errorf("%w: the replica is behind", rotator.KindLoginRejected)
	}
	document := func(user, password string) secret.Document {
		return value(user, password).Set("host", strategytest.MemoryReader).Set("masterarn", "superuser")
	}
	var notes []string
	begin := time.Now()
	err := strategy(&db).Apply(t.Context(), rotator.Rotation{
		Current: document("app", "password of app"), Pending: document(target, "pending one"),
		ReadPrevious: func(context.Context) (secret.Document, error) { return secret.Document{}, rotator.KindNotFound },
		ReadSecret: func(context.Context, string) (secret.Document, error) {
			return value("boss", "password of boss"), nil
		},
		IsEndpointOf: func(_ context.Context, _ secret.Document, host string, _ int) error {
			if host != strategytest.MemoryReader {
				return rotator.KindConflict
			}
			return nil
		},
		Log: func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) },
	})
	if err != nil {
		t.Fatalf("%s, %d behind: %v", target, behind, err)
	}
	if took := time.Since(begin); took < 500*time.Millisecond || (took >= 2500*time.Millisecond) != (behind > 0) {
		t.Errorf("%s, %d behind: the change was given %s", target, behind, took)
	}
	if looks != 1 {
		t.Errorf("%s, %d behind: %d logins after the change, want 1: %v", target, behind, looks, db.Journal())
	}
	late := slices.ContainsFunc(notes, func(n string) bool { return strings.Contains(n, "has not replicated to") })
	if late != (behind > 0) {
		t.Errorf("%s, %d behind: notes %q", target, behind, notes)
	}
}
