package localaws_test

import (
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// TestOneFunctionForEveryEngine: handlers/database is the function of the secret's engine, and
// refuses an engine that ENGINES does not list before it asks a database anything.
func TestOneFunctionForEveryEngine(t *testing.T) {
	tier.Long(t) // a server of each kind
	for name, start := range newestServers {
		t.Run(name, func(t *testing.T) {
			for strategy, listed := range map[string]bool{"single-user": true, "alternating-users": true, "": false} {
				t.Run(strategy, func(t *testing.T) {
					db := start(t)
					engines := "postgres,mysql,mariadb"
					if !listed {
						engines = strings.Trim(strings.ReplaceAll(","+engines+",", ","+db.family()+",", ","), ",")
					}
					w := newWorld(t, plan{db: db, handler: "database", env: []string{"ENGINES=" + engines, "STRATEGY=" + strategy}, attempts: 1})
					app, boss := w.user(db.app), w.user(db.boss)
					superuser := w.seed("superuser", current(w.document("username", "boss", "password", boss)))
					arn := w.seed("app", current(w.document("username", "app", "password", app, "masterarn", superuser)))
					before, logins := w.holder(arn, "AWSCURRENT"), w.logins()
					r := w.rotate(arn)
					after := w.holder(arn, "AWSCURRENT")
					switch {
					case listed && (r.Outcome != "RotationSucceeded" || !w.accepts(after) || (after.Username == "app_clone") != (strategy == "alternating-users")):
						t.Errorf("%s: %s; user %s", r.Outcome, r.Message, after.Username)
					case !listed && (r.Outcome == "RotationSucceeded" || after != before || w.logins() != logins || !strings.Contains(r.Message, "ENGINES")):
						t.Errorf("%s: %s; %d logins", r.Outcome, r.Message, w.logins()-logins)
					}
				})
			}
		})
	}
}
