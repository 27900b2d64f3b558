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

// TestAReplicaIsBehind: setSecret waits for its change to arrive, with one login that
// may count against the account, and leaves it to testSecret to say that it has not.
func TestAReplicaIsBehind(t *testing.T) { synctest.Test(t, replicaIsBehind) }

func replicaIsBehind(t *testing.T) {
	for behind, logins := range map[int]int{0: 1, 2: 1, 9: 1} { // looks that come too early; logins of the clone
		var db strategytest.Memory
		password := func(user string) secret.Password { return secret.NewPassword("password of " + user) }
		db.Add(strategytest.Account{Name: "app", Password: password("app")})
		db.Add(strategytest.Account{Name: "boss", Password: password("boss"), Superuser: true})
		early := behind
		db.Before = func(_ context.Context, op, user string) error {
			if op != "login" || user != "app_clone" || early == 0 {
				return nil
			}
			early--
			return fmt.Errorf("%w: the replica is behind", rotator.KindLoginRejected)
		}
		document := func(user, host string) secret.Document {
			d := secret.Document{}.Set("engine", "memory").Set("host", host).Set("username", user).Set("masterarn", "superuser")
			return d.SetPassword(password(user))
		}
		var notes []string
		begin := time.Now()
		err := strategies.AlternatingUsers{Engine: &db}.Apply(t.Context(), rotator.Rotation{
			Current: document("app", strategytest.MemoryReader), Pending: document("app_clone", strategytest.MemoryReader),
			ReadSecret: func(context.Context, string) (secret.Document, error) {
				return document("boss", strategytest.MemoryHost), nil
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
			t.Fatalf("%d behind: %v", behind, err)
		}
		if took := time.Since(begin); took < 500*time.Millisecond || (took >= 2500*time.Millisecond) != (behind > 0) {
			t.Errorf("%d behind: the change was given %s", behind, took)
		}
		seen := 0
		for _, entry := range db.Journal() {
			if strings.HasPrefix(entry, "login app_clone") {
				seen++
			}
		}
		if seen != logins {
			t.Errorf("%d behind: %d logins of the clone, want %d: %v", behind, seen, logins, db.Journal())
		}
		late := slices.ContainsFunc(notes, func(n string) bool { return strings.Contains(n, "has not replicated to") })
		if late != (behind > 0) {
			t.Errorf("%d behind: notes %q", behind, notes)
		}
	}
}
