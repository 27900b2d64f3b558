package localaws_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
	"github.com/quarterturn-dev/quarterturn/testutil/internal/clients"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// boss makes a superuser.
func (w *world) boss() account {
	return account{Username: "boss", Password: w.user(w.db.boss)}
}

// strategy is a function that is deployed, and what a rotation by it costs.
type strategy struct {
	handler       string // behind the family of the engine
	env           []string
	calls, logins int
}

var everyStrategy = map[string]strategy{
	"single user": {"single-user", nil, 13, 4},
	"superuser":   {"single-user", []string{"SINGLE_USER_THROUGH_SUPERUSER=true"}, 14, 6},
	"alternating": {"alternating-users", nil, 14, 6},
}

// TestARealPasswordRotatesByTheRealBinary is the promise of the README, on every
// server: the deployed binary, over the Runtime API, a real server with TLS only;
// five rotations in a row, within the budget of calls and logins, and no password in
// any log.
func TestARealPasswordRotatesByTheRealBinary(t *testing.T) {
	try := func(server, family, name string, s strategy, open func(*testing.T) database) {
		t.Run(server+" "+name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, plan{db: open(t), handler: family + "-" + s.handler, env: s.env, attempts: 1})
			w.rotatesFiveTimes(t, family, name, s)
		})
	}
	for name, s := range everyStrategy {
		for _, major := range dbserver.MajorsInTier(t) {
			try("PostgreSQL "+strconv.Itoa(major), "postgres", name, s, func(t *testing.T) database { return tlsServer(t, major) })
		}
		for _, server := range dbserver.MySQLsInTier(t) {
			family, _, _ := strings.Cut(server, "-")
			try(server, family, name, s, func(t *testing.T) database { return newMySQL(t, server) })
		}
	}
	dual := strategy{"single-user", []string{"MYSQL_DUAL_PASSWORDS=true"}, 13, 4}
	try("mysql-9.7", "mysql", "dual passwords", dual, func(t *testing.T) database { return newMySQL(t, "mysql-9.7") })
}

func (w *world) rotatesFiveTimes(t *testing.T, family, name string, s strategy) {
	app := account{Username: "app", Password: w.user(w.db.app)}
	boss := w.boss()
	dual := name == "dual passwords"
	if dual {
		w.exec("GRANT APPLICATION_PASSWORD_ADMIN ON *.* TO 'app'@'%'")
	}
	superuser := w.seed("superuser", current(w.document("username", boss.Username, "password", boss.Password)))
	arn := w.seed("app", current(w.document("username", "app", "password", app.Password, "masterarn", superuser, "colour", "blue")))
	for n := range 5 {
		before := w.holder(arn, "AWSCURRENT")
		w.aws.AWS.ResetCalls()
		logins := w.logins()
		r := w.rotate(arn)
		if r.Outcome != "RotationSucceeded" || len(r.Attempts) != 1 {
			t.Fatalf("rotation %d: %s after %d attempts: %s", n, r.Outcome, len(r.Attempts), r.Message)
		}
		want := s.calls
		if name == "alternating" && !strings.HasPrefix(family, "postgres") && n > 0 {
			want += 2 // AWSPREVIOUS, in createSecret and in setSecret: the server does not show whose clone it is
		}
		if calls := len(w.aws.AWS.Calls()) - 1; calls != want {
			t.Errorf("rotation %d: %d API calls, the README says %d", n, calls, want)
		}
		if logged := w.logins() - logins; logged != s.logins {
			t.Errorf("rotation %d: %d logins, the README says %d", n, logged, s.logins)
		}
		after := w.holder(arn, "AWSCURRENT")
		if !w.accepts(after) {
			t.Fatalf("rotation %d: AWSCURRENT is refused", n)
		}
		still := before.Username != after.Username || dual
		if w.accepts(before) != still {
			t.Errorf("rotation %d: the password before it: accepted should be %v", n, still)
		}
		w.as(after, "INSERT INTO orders VALUES (1)", "CREATE TABLE made_"+strconv.Itoa(n)+" (id int)")
		for made := range n + 1 {
			w.as(after, "SELECT * FROM made_"+strconv.Itoa(made))
		}
	}
	if snapshot := w.aws.AWS.Snapshot(arn); !strings.Contains(string(snapshot.Holder("AWSCURRENT").Value.Reveal()), `"colour":"blue"`) {
		t.Error("a key of the application is gone")
	}
}

// TestTheAWSCLIRotates: a rotation started, watched and proved by the AWS CLI.
func TestTheAWSCLIRotates(t *testing.T) {
	cli := clients.CLI1(t, "../..")
	w := newWorld(t, plan{db: tlsServer(t, newest()), handler: "postgres-single-user"})
	password := w.role("app")
	run := func(args ...string) map[string]any {
		t.Helper()
		cmd := cli.Command(t.Context(), w.aws.URL, "AKID", append([]string{"secretsmanager", "--output", "json"}, args...)...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("aws secretsmanager %s: %v\n%s", args[0], err, out)
		}
		var answer map[string]any
		if err := json.Unmarshal(out, &answer); err != nil {
			t.Fatalf("aws secretsmanager %s: not JSON", args[0])
		}
		return answer
	}
	run("create-secret", "--name", "app", "--secret-string", w.document("username", "app", "password", password))
	run("rotate-secret", "--secret-id", "app", "--rotation-lambda-arn", w.aws.Functions[w.name].ARN(), "--rotation-rules", "AutomaticallyAfterDays=30")
	if r := w.wait("app"); r.Outcome != "RotationSucceeded" {
		t.Fatalf("%s: %s", r.Outcome, r.Message)
	}
	if described := run("describe-secret", "--secret-id", "app"); described["RotationEnabled"] != true || described["LastRotatedDate"] == nil {
		t.Errorf("describe-secret: RotationEnabled %v, LastRotatedDate %v", described["RotationEnabled"], described["LastRotatedDate"])
	}
	value := run("get-secret-value", "--secret-id", "app")
	var c account
	if err := json.Unmarshal([]byte(value["SecretString"].(string)), &c); err != nil || c.Password == password || !w.accepts(c) {
		t.Error("get-secret-value does not give a new password that works")
	}
}

// TestDryRun: aws secretsmanager rotate-secret --no-rotate-immediately tells
// credentials that work from those that do not, and changes nothing.
func TestDryRun(t *testing.T) {
	tier.Test(t)
	w := newWorld(t, plan{db: tlsServer(t, newest()), handler: "postgres-single-user"})
	password := w.role("app")
	good := w.seed("good", current(w.document("username", "app", "password", password)))
	bad := w.seed("bad", current(w.document("username", "app", "password", w.canary())))
	for arn, want := range map[string]string{good: "TestRotationSucceeded", bad: "TestRotationFailed"} {
		before := w.aws.AWS.Snapshot(arn)
		if _, err := w.sdk.RotateSecret(t.Context(), testOnly(arn)); err != nil {
			t.Fatal(err)
		}
		if r := w.wait(arn); r.Outcome != want {
			t.Errorf("%s: %s, want %s: %s", arn, r.Outcome, want, r.Message)
		}
		after := w.aws.AWS.Snapshot(arn)
		if len(after.Versions) != len(before.Versions) || !after.Holder("AWSCURRENT").Value.Equal(before.Holder("AWSCURRENT").Value) {
			t.Errorf("%s: the test changed the secret: %v", arn, before.Diff(after))
		}
	}
}

// TestKilledBetweenSteps: SIGKILL after any API call; the service's next attempt
// completes, and at every moment some labelled credentials work.
func TestKilledBetweenSteps(t *testing.T) {
	tier.Test(t)
	for cut := 1; cut <= 10; cut++ {
		t.Run("call "+strconv.Itoa(cut), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, plan{db: postgres{dbserver.Postgres(t, newest())}, shared: true, handler: "postgres-single-user", attempts: 3})
			user := "killed_" + strconv.Itoa(cut)
			password := w.role(user)
			arn := w.seed("app", current(w.document("username", user, "password", password, "ssl", "false")))
			seen := 0
			w.aws.AWS.Observe = func(c awsemu.Call) {
				if c.Operation == "RotateSecret" {
					return
				}
				if seen++; seen == cut {
					go w.aws.Functions[w.name].Kill()
				}
			}
			r := w.rotate(arn)
			if r.Outcome != "RotationSucceeded" {
				t.Fatalf("%s: %s", r.Outcome, r.Message)
			}
			if !w.accepts(w.holder(arn, "AWSCURRENT")) {
				t.Error("AWSCURRENT is refused")
			}
		})
	}
}

// TestAPairMadeByAWSTemplateGoesOn: app_clone as the template makes it (membership
// alone), whichever is in use, whether AWSPENDING has a value, and whether the
// clone has made things of its own.
func TestAPairMadeByAWSTemplateGoesOn(t *testing.T) {
	tier.Test(t)
	for name, c := range map[string]struct {
		inUse   string
		pending bool
		owns    bool
	}{
		"app in use":                         {"app", false, false},
		"app in use, pending stored":         {"app", true, false},
		"clone in use":                       {"app_clone", false, false},
		"clone in use, pending stored":       {"app_clone", true, false},
		"clone in use, with things it made":  {"app_clone", false, true},
		"app in use, clone with things made": {"app", false, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, plan{db: tlsServer(t, newest()), handler: "postgres-alternating-users", attempts: 1})
			passwords := map[string]string{"app": w.role("app")}
			boss := w.boss()
			clonePassword := w.canary()
			passwords["app_clone"] = clonePassword
			w.as(boss, "CREATE ROLE app_clone LOGIN", "GRANT app TO app_clone")
			w.exec("ALTER ROLE app_clone PASSWORD '"+clonePassword+"'", "GRANT CREATE ON SCHEMA public TO app", "CREATE TABLE orders (id int)", "ALTER TABLE orders OWNER TO app")
			if c.owns {
				w.as(account{Username: "app_clone", Password: clonePassword}, "CREATE TABLE made_by_clone (id int)")
			}
			superuser := w.seed("superuser", current(w.document("username", "boss", "password", boss.Password)))
			versions := []awsemu.Version{current(w.document("username", c.inUse, "password", passwords[c.inUse], "masterarn", superuser))}
			if c.pending {
				other := map[string]string{"app": "app_clone", "app_clone": "app"}[c.inUse]
				versions = append(versions, awsemu.Version{Labels: []string{"AWSPENDING"},
					Value: awsemu.Text(w.document("username", other, "password", w.canary(), "masterarn", superuser))})
			}
			arn := w.seed("app", versions...)
			before := w.holder(arn, "AWSCURRENT")
			if c.pending {
				if _, err := w.sdk.RotateSecret(t.Context(), rotateNow(arn)); err == nil {
					t.Error("the service starts a new rotation although one is not complete")
				}
				w.wait(arn)
			} else if r := w.rotate(arn); r.Outcome != "RotationSucceeded" {
				t.Fatalf("%s: %s", r.Outcome, r.Message)
			}
			after := w.holder(arn, "AWSCURRENT")
			if after.Username == before.Username || !w.accepts(after) || !w.accepts(before) {
				t.Fatalf("from %s to %s; accepted: before %v, after %v", before.Username, after.Username, w.accepts(before), w.accepts(after))
			}
			w.as(after, "INSERT INTO orders VALUES (1)")
			w.as(before, "INSERT INTO orders VALUES (1)")
			if c.owns {
				w.as(account{Username: "app_clone", Password: map[string]string{after.Username: after.Password, before.Username: before.Password}["app_clone"]},
					"SELECT * FROM made_by_clone")
			}
		})
	}
}

// TestSilentServiceEndsInTime: a function in a VPC without a route to Secrets
// Manager says so instead of running into Lambda's time-out.
func TestSilentServiceEndsInTime(t *testing.T) {
	tier.Test(t)
	w := newWorld(t, plan{db: postgres{dbserver.Postgres(t, newest())}, shared: true, handler: "postgres-single-user", attempts: 1, timeout: 5 * time.Minute})
	password := w.role("silent_service")
	arn := w.seed("app", current(w.document("username", "silent_service", "password", password, "ssl", "false")))
	w.aws.AWS.Fault = func(c awsemu.Call) awsemu.Fault { return awsemu.Fault{Hang: c.Operation == "DescribeSecret"} }
	begin := time.Now()
	if _, err := w.sdk.RotateSecret(t.Context(), rotateNow(arn)); err != nil {
		t.Fatal(err)
	}
	r := w.wait(arn)
	kind, sentence := w.last()
	if r.Outcome != "RotationFailed" || kind != "unreachable" || !strings.Contains(sentence, "no answer from") {
		t.Errorf("%s after %v: %s: %s", r.Outcome, time.Since(begin), kind, sentence)
	}
}
