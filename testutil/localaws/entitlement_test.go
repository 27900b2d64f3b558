package localaws_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// takeOver is what somebody writes into a secret who may write nothing else, or whose
// account may create accounts, to be given the password of another account.
type takeOver struct {
	user    string // of the secret; it works
	members []any
	pasted  bool // with the line that the refusal ends in, it is a rotation like any other
}

const itself = "arn:aws:secretsmanager:us-east-1:123456789012:secret:itself-AbCdEf"

var takeOvers = map[string]takeOver{
	"the superuser as the other user":         {user: "app", members: []any{"alternateUsername", "boss"}},
	"another user as the other user":          {user: "app", members: []any{"alternateUsername", "other"}, pasted: true},
	"a clone of the superuser":                {user: "boss_clone"},
	"a clone of another user":                 {user: "other_clone", pasted: true},
	"a clone that is another's":               {user: "third", pasted: true},
	"masterarn names the secret":              {user: "app", members: []any{"masterarn", itself}},
	"masterarn names the secret in short":     {user: "app", members: []any{"masterarn", strings.TrimSuffix(itself, "-AbCdEf")}},
	"masterarn names the secret by its name":  {user: "app", members: []any{"masterarn", "itself"}},
	"another secret of the same user as that": {user: "app", members: []any{"masterarn", "twin"}},
}

// TestTakeOversAreRefused: nothing is changed or stored, also where the preflight is
// off; and where the two users are a pair after all, the line that the error ends in,
// pasted into the superuser secret, lets the rotation go on. It takes twenty seconds for each server.
func TestTakeOversAreRefused(t *testing.T) {
	type scene struct{ server, preflight string }
	var all []scene
	for _, server := range []string{"postgres", "mysql-9.7", "mariadb-10.11"} {
		all = append(all, scene{server, "enforce"}, scene{server, "off"})
	}
	for _, s := range tier.Share(t, all, scene{"postgres", "enforce"}, scene{"mysql-9.7", "off"}) {
		t.Run(s.server+" "+s.preflight, func(t *testing.T) {
			t.Parallel()
			var db database
			if s.server == "postgres" {
				db = tlsServer(t, newest())
			} else {
				db = newMySQL(t, s.server)
			}
			w := newWorld(t, plan{db: db, handler: db.family() + "-alternating-users", env: []string{"PREFLIGHT=" + s.preflight}, attempts: 1})
			passwords := map[string]string{"app": w.user(w.db.app), "boss": w.boss().Password}
			for _, name := range []string{"other", "other_clone", "third", "third_clone", "boss_clone"} {
				passwords[name] = w.user(func(p string) []string {
					if db.family() == "postgres" {
						return []string{fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s'", name, p), fmt.Sprintf("GRANT %s TO boss WITH ADMIN OPTION", name)}
					}
					return []string{fmt.Sprintf("CREATE USER %s@'%%' IDENTIFIED BY '%s'", name, p), fmt.Sprintf("GRANT SELECT ON shop.* TO %s@'%%'", name)}
				})
			}
			for what, c := range takeOvers {
				w.takeOver(t, what, c, passwords, s.preflight == "enforce")
			}
		})
	}
}

func (w *world) takeOver(t *testing.T, what string, c takeOver, passwords map[string]string, checks bool) {
	t.Helper()
	const superuser = "arn:aws:secretsmanager:us-east-1:123456789012:secret:superuser-AbCdEf"
	vouching := func(more ...any) {
		value := w.document(append([]any{"username", "boss", "password", passwords["boss"]}, more...)...)
		w.aws.AWS.Seed(awsemu.Secret{Name: "superuser", ARN: superuser, Versions: []awsemu.Version{current(value)}})
	}
	vouching()
	members := append([]any{"username", c.user, "password", passwords[c.user], "masterarn", superuser}, c.members...)
	w.seed("twin", current(w.document(append(members, "masterarn", superuser)...)))
	secret := awsemu.Secret{Name: "itself", ARN: itself, RotationEnabled: new(true), RotationLambdaARN: w.aws.Functions[w.name].ARN(),
		Versions: []awsemu.Version{current(w.document(members...))}}
	w.aws.AWS.Seed(secret)
	before := w.accountState()
	r := w.rotate(itself)
	kind, sentence := w.last()
	if r.Outcome == "RotationSucceeded" || kind != "not entitled" {
		t.Errorf("%s: %s: %s: %s", what, r.Outcome, kind, sentence)
	}
	if w.accountState() != before {
		t.Fatalf("%s: an account was changed", what)
	}
	if v := w.aws.AWS.Snapshot(itself).Holder("AWSPENDING").Value; checks && len(v.Reveal()) > 0 {
		t.Errorf("%s: a value was stored", what)
	}
	if !c.pasted {
		return
	}
	line := regexp.MustCompile(`"rotates": \["[^"]+"\]`).FindString(sentence)
	var member map[string]any
	if err := json.Unmarshal([]byte("{"+line+"}"), &member); err != nil || line == "" {
		t.Fatalf("%s: there is no line to paste in: %s", what, sentence)
	}
	vouching("rotates", member["rotates"])
	w.aws.AWS.Seed(secret)
	if r := w.rotate(itself); r.Outcome != "RotationSucceeded" {
		t.Errorf("%s: with %s: %s: %s", what, line, r.Outcome, r.Message)
	}
	after := w.holder(itself, "AWSCURRENT")
	if after.Username == c.user || !w.accepts(after) {
		t.Errorf("%s: with %s: AWSCURRENT is for %s, and accepted: %t", what, line, after.Username, w.accepts(after))
	}
	passwords[after.Username] = after.Password
}

// TestAPreviousValueOfTheOtherUser: the holder of other_clone writes the name of an account that is
// not its own into the secret. That AWSPREVIOUS works proves the password of other_clone
// and nothing else: it gets none of what the other may do.
func TestAPreviousValueOfTheOtherUser(t *testing.T) {
	tier.Test(t)
	for server, open := range map[string]func(*testing.T) database{
		"postgres":      func(t *testing.T) database { return tlsServer(t, newest()) },
		"mysql-9.7":     func(t *testing.T) database { return newMySQL(t, "mysql-9.7") },
		"mariadb-10.11": func(t *testing.T) database { return newMySQL(t, "mariadb-10.11") },
	} {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			db := open(t)
			w := newWorld(t, plan{db: db, handler: db.family() + "-alternating-users", attempts: 1})
			w.user(w.db.app)
			boss := w.boss()
			passwords := map[string]string{}
			for _, name := range []string{"other", "other_clone"} {
				passwords[name] = w.user(func(p string) []string {
					if db.family() == "postgres" {
						return []string{fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s'", name, p), fmt.Sprintf("GRANT %s TO boss WITH ADMIN OPTION", name)}
					}
					sql := []string{fmt.Sprintf("CREATE USER %s@'%%' IDENTIFIED BY '%s'", name, p)}
					if name == "other" {
						sql = append(sql, "GRANT SELECT ON shop.* TO other@'%'")
					}
					return sql
				})
			}
			superuser := w.seed("superuser", current(w.document("username", "boss", "password", boss.Password)))
			own := awsemu.Version{Labels: []string{"AWSPREVIOUS"}, Value: awsemu.Text(w.document("username", "other_clone", "password", passwords["other_clone"], "masterarn", superuser))}
			arn := w.seed("app", own, current(w.document("username", "other", "password", "Wrong-1-wrong", "masterarn", superuser)))
			before := w.census()
			for range 2 {
				if w.rotate(arn).Outcome != "RotationSucceeded" {
					break // refused is as good
				}
			}
			if !w.accepts(account{Username: "other", Password: passwords["other"]}) {
				t.Error("other is locked out")
			}
			for key, value := range w.census() {
				// Its own password is the secret's to set.
				if before[key] != value && key != `"other_clone" verifier` && key != `"other_clone" strength` {
					t.Errorf("%s: %s, before %q", key, value, before[key])
				}
			}
		})
	}
}
