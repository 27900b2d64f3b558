package localaws_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// invoke runs one step as the service does, on the second version of a secret.
func (w *world) invoke(arn, step string) (kind, message string) {
	w.t.Helper()
	r, err := w.aws.Functions[w.name].Invoke(w.t.Context(), []byte(`{"Step":"`+step+`","SecretId":"`+arn+`","ClientRequestToken":"`+awsemu.VersionID(2)+`"}`))
	if err != nil {
		w.t.Fatal(err)
	}
	if r.FunctionError == "" {
		return "", ""
	}
	kind, _ = w.last()
	return kind, r.ErrorMessage
}

// status has the function say how a secret stands.
func (w *world) status(event string) rotator.Diagnosis {
	w.t.Helper()
	r, err := w.aws.Functions[w.name].Invoke(w.t.Context(), []byte(event))
	var d rotator.Diagnosis
	if err != nil || r.FunctionError != "" || json.Unmarshal(r.Payload, &d) != nil {
		w.t.Fatalf("%s: %v %s", event, err, r.ErrorMessage)
	}
	return d
}

func pending(text string) awsemu.Version {
	return awsemu.Version{ID: awsemu.VersionID(2), Labels: []string{"AWSPENDING"}, Value: awsemu.Text(text)}
}

// TestAPasswordChangedAfterTestSecretIsNotFinished: a person sets another password in
// the database, and stores it, between testSecret and finishSecret.
func TestAPasswordChangedAfterTestSecretIsNotFinished(t *testing.T) {
	tier.Test(t)
	for name, open := range map[string]func(*testing.T) (db database, set string){
		"postgres": func(t *testing.T) (database, string) { return tlsServer(t, newest()), "ALTER ROLE app PASSWORD '%'" },
		"mysql": func(t *testing.T) (database, string) {
			return newMySQL(t, "mysql-9.7"), "ALTER USER app IDENTIFIED BY '%'"
		},
		"mariadb": func(t *testing.T) (database, string) {
			return newMySQL(t, "mariadb-11.8"), "ALTER USER app IDENTIFIED BY '%'"
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, set := open(t)
			w := newWorld(t, plan{db: db, handler: name + "-single-user", attempts: 1})
			arn := w.seed("app", current(w.document("username", "app", "password", w.user(w.db.app))), awsemu.Version{ID: awsemu.VersionID(2), Labels: []string{"AWSPENDING"}})
			for _, step := range []string{"createSecret", "setSecret", "testSecret"} {
				if kind, message := w.invoke(arn, step); kind != "" {
					t.Fatalf("%s: %s", step, message)
				}
			}
			w.exec(strings.Replace(set, "%", w.canary(), 1))
			kind, message := w.invoke(arn, "finishSecret")
			if kind != string(rotator.KindConflict) || !strings.Contains(message, "the password was changed after testSecret") {
				t.Errorf("finishSecret: %s: %s", kind, message)
			}
			if id := w.aws.AWS.Snapshot(arn).Holder("AWSCURRENT").ID; id == awsemu.VersionID(2) {
				t.Error("AWSCURRENT was moved to a password that the database rejects")
			}
		})
	}
}

// TestOurLoginsDoNotLockAnAccount: MySQL locks the account for good after two rejected
// logins in a row. A rotation whose finishSecret was denied is tried again and succeeds; a
// status where nothing stored works leaves the account open.
func TestOurLoginsDoNotLockAnAccount(t *testing.T) {
	tier.Test(t)
	t.Parallel()
	w := newWorld(t, plan{db: newMySQL(t, "mysql-9.7"), handler: "mysql-single-user", attempts: 2})
	password := w.user(w.db.app)
	w.exec("ALTER USER app FAILED_LOGIN_ATTEMPTS 2 PASSWORD_LOCK_TIME UNBOUNDED")
	arn := w.seed("app", current(w.document("username", "app", "password", password)))
	denied := 0
	w.aws.AWS.Fault = func(c awsemu.Call) awsemu.Fault {
		if c.Phase == "finishSecret" && c.Operation == "UpdateSecretVersionStage" {
			denied++
			return awsemu.Fault{Deny: denied == 1}
		}
		return awsemu.Fault{}
	}
	if r := w.rotate(arn); r.Outcome != "RotationSucceeded" || len(r.Attempts) != 2 || !w.accepts(w.holder(arn, "AWSCURRENT")) {
		t.Fatalf("%s after %d attempts: %s", r.Outcome, len(r.Attempts), r.Message)
	}
	set := w.canary()
	w.exec("ALTER USER app IDENTIFIED BY '" + set + "'")
	stale := w.seed("stale", current(w.document("username", "app", "password", password)), pending(w.document("username", "app", "password", w.canary())))
	d := w.status(`{"Step":"status","SecretId":"` + stale + `"}`)
	if !strings.Contains(d.RecoverEvent, "ClientRequestToken") || !strings.Contains(d.Text(), "can lock user") {
		t.Errorf("status does not say which version was not tested, and how to test it: %s", d.Text())
	}
	if !w.accepts(account{Username: "app", Password: set}) {
		t.Error("a status has locked the account")
	}
}

// TestALockedUserIsSaidToBeLocked, with the statement that unlocks it, and no version is
// called unknown.
func TestALockedUserIsSaidToBeLocked(t *testing.T) {
	tier.Test(t)
	for name, c := range map[string]struct {
		open         func(*testing.T) database
		lock, unlock string
	}{
		"postgres": {func(t *testing.T) database { return tlsServer(t, newest()) }, "ALTER ROLE app NOLOGIN", `ALTER ROLE "app" LOGIN`},
		"mysql":    {func(t *testing.T) database { return newMySQL(t, "mysql-9.7") }, "ALTER USER app ACCOUNT LOCK", "ACCOUNT UNLOCK"},
		"mariadb":  {func(t *testing.T) database { return newMySQL(t, "mariadb-11.8") }, "ALTER USER app ACCOUNT LOCK", "ACCOUNT UNLOCK"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, plan{db: c.open(t), handler: name + "-single-user"})
			arn := w.seed("app", current(w.document("username", "app", "password", w.user(w.db.app))))
			w.exec(c.lock)
			d := w.status(`{"Step":"status","SecretId":"` + arn + `"}`)
			if d.Versions[0].State != rotator.CredentialBlocked || !strings.Contains(d.Text(), c.unlock) {
				t.Errorf("status: %s", d.Text())
			}
		})
	}
}

// TestFinishSecretAloneMovesNothingElsewhere: who may invoke the function and move AWSPENDING, as an operator may, gives
// that label to a version of another time, and sends finishSecret without the steps before it. No server judges such a
// value, so that it took no login to have clients read it.
func TestFinishSecretAloneMovesNothingElsewhere(t *testing.T) {
	tier.NotInCheck(t)
	for engine, open := range newestServers {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			db := open(t)
			w := newWorld(t, plan{db: db, handler: db.family() + "-single-user", attempts: 1})
			password := w.user(w.db.app)
			for what, stored := range map[string]struct {
				more []any
				kind rotator.Kind
			}{
				"a port where nothing listens": {[]any{"port", dbserver.ClosedPort(t)}, rotator.KindConflict},
				"a host that is gone":          {[]any{"host", "gone.invalid"}, rotator.KindConflict},
				"another database":             {[]any{"dbname", "nowhere"}, rotator.KindConflict},
				"no password":                  {[]any{"password", nil}, rotator.KindMisconfigured},
				"another engine":               {[]any{"engine", "oracle"}, rotator.KindMisconfigured},
			} {
				value := append([]any{"username", "app", "password", password}, stored.more...)
				arn := w.seed(strings.ReplaceAll(what, " ", "-"), current(w.document("username", "app", "password", password)), pending(w.document(value...)))
				kind, message := w.invoke(arn, "finishSecret")
				if kind != string(stored.kind) || !strings.Contains(message, "AWSCURRENT was not moved") {
					t.Errorf("%s: %s: %s", what, kind, message)
				}
				if w.aws.AWS.Snapshot(arn).Holder("AWSCURRENT").ID == awsemu.VersionID(2) {
					t.Errorf("%s: AWSCURRENT was moved", what)
				}
			}
		})
	}
}

// TestARotationEndsWhereNothingIsLeftToChange: once setSecret is done, clients wait for finishSecret, and what would
// stop a change only, in the database or on the way to the superuser, stops no attempt that has none to make.
func TestARotationEndsWhereNothingIsLeftToChange(t *testing.T) {
	tier.Test(t)
	strict := map[string][]string{
		"mysql": {"INSTALL COMPONENT 'file://component_validate_password'", "SET GLOBAL validate_password.length = 60"},
		"mariadb": {"INSTALL SONAME 'simple_password_check'", "SET GLOBAL simple_password_check_minimal_length = 60",
			"SET GLOBAL general_log = ON"},
	}
	for name, open := range map[string]func(*testing.T) database{
		"postgres": func(t *testing.T) database { return tlsServer(t, newest()) },
		"mysql":    func(t *testing.T) database { return newMySQL(t, "mysql-9.7") },
		"mariadb":  func(t *testing.T) database { return newMySQL(t, "mariadb-11.8") },
	} {
		for _, through := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, superuser %v", name, through), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, plan{db: open(t), handler: name + "-single-user", attempts: 1,
					env: []string{"SINGLE_USER_THROUGH_SUPERUSER=" + strconv.FormatBool(through)}})
				members := []any{"username", "app", "password", w.user(w.db.app)}
				if through {
					super := w.seed("superuser", current(w.document("username", "boss", "password", w.user(w.db.boss))))
					members = append(members, "masterarn", super)
				}
				arn := w.seed("app", current(w.document(members...)),
					awsemu.Version{ID: awsemu.VersionID(2), Labels: []string{"AWSPENDING"}})
				invoke := func(steps ...string) {
					t.Helper()
					for _, step := range steps {
						if kind, message := w.invoke(arn, step); kind != "" {
							t.Fatalf("%s: %s", step, message)
						}
					}
				}
				invoke("createSecret", "setSecret")
				if w.accepts(w.holder(arn, "AWSCURRENT")) {
					t.Fatal("clients are not waiting")
				}
				w.exec(strict[name]...)
				if name == "postgres" && through {
					w.aws.AWS.Fault = func(c awsemu.Call) awsemu.Fault {
						return awsemu.Fault{Deny: c.Operation == "GetSecretValue" && c.Name == "superuser"}
					}
				}
				invoke("createSecret", "setSecret", "testSecret", "finishSecret")
				if !w.accepts(w.holder(arn, "AWSCURRENT")) {
					t.Error("AWSCURRENT is refused")
				}
			})
		}
	}
}

// TestAnAcceptedPasswordEndsARotation: setSecret has set the password, and then who owns the secret's database, or may
// log in, keeps every login out after its password. Clients wait for AWSCURRENT, which is of no use: testSecret and
// finishSecret pass, and status says to finish.
func TestAnAcceptedPasswordEndsARotation(t *testing.T) {
	tier.Test(t)
	type scene struct{ breaks, mends string }
	mysqls := map[string]scene{
		"dropped": {"DROP DATABASE other", "CREATE DATABASE other"},
		"revoked": {"REVOKE ALL ON other.* FROM app", "GRANT ALL ON other.* TO app"},
		"full":    {"ALTER USER app WITH MAX_QUERIES_PER_HOUR 1", "ALTER USER app WITH MAX_QUERIES_PER_HOUR 0"},
		"init":    {"SET GLOBAL init_connect = 'SELECT 1 FROM shop.gone'", "SET GLOBAL init_connect = ''"},
	}
	for name, c := range map[string]struct {
		open   func(*testing.T) database
		before []string
		scenes map[string]scene
	}{
		"postgres": {func(t *testing.T) database { return tlsServer(t, newest()) }, []string{"CREATE DATABASE other"},
			map[string]scene{
				"dropped": {"DROP DATABASE other", "CREATE DATABASE other"},
				"closed":  {"ALTER DATABASE other ALLOW_CONNECTIONS false", "ALTER DATABASE other ALLOW_CONNECTIONS true"},
				"revoked": {"REVOKE CONNECT ON DATABASE other FROM public", "GRANT CONNECT ON DATABASE other TO public"},
				"full":    {"ALTER DATABASE other CONNECTION LIMIT 0", "ALTER DATABASE other CONNECTION LIMIT -1"},
				"library": {"ALTER DATABASE other SET local_preload_libraries = 'none'", "ALTER DATABASE other RESET local_preload_libraries"},
			}},
		"mysql": {func(t *testing.T) database { return newMySQL(t, "mysql-9.7") }, []string{"CREATE DATABASE other",
			"GRANT ALL ON other.* TO app"}, mysqls},
		"mariadb": {func(t *testing.T) database { return newMySQL(t, "mariadb-11.8") }, []string{"CREATE DATABASE other",
			"GRANT ALL ON other.* TO app"}, mysqls},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, plan{db: c.open(t), handler: name + "-single-user", attempts: 1})
			now := account{Username: "app", Password: w.user(w.db.app)}
			w.exec(c.before...)
			for of, s := range c.scenes {
				for _, end := range []string{"testSecret", "status"} {
					arn := w.seed(of+"-"+end, current(w.document("username", "app", "password", now.Password, "dbname", "other")),
						awsemu.Version{ID: awsemu.VersionID(2), Labels: []string{"AWSPENDING"}})
					for _, step := range []string{"createSecret", "setSecret"} {
						if _, message := w.invoke(arn, step); message != "" {
							t.Fatalf("%s, %s: %s", of, step, message)
						}
					}
					w.exec(s.breaks)
					if end == "status" {
						if d := w.status(`{"Step":"status","SecretId":"` + arn + `","ClientRequestToken":"` + awsemu.VersionID(2) + `"}`); d.Action != rotator.ActionFinish {
							t.Errorf("%s: %s: %s", of, d.Action, d.Text())
						}
						w.diagnose(arn, "finish")
					} else {
						for _, step := range []string{"testSecret", "finishSecret"} {
							if _, message := w.invoke(arn, step); message != "" {
								t.Errorf("%s, %s: %s", of, step, message)
							}
						}
					}
					w.exec(s.mends)
					if now = w.holder(arn, "AWSCURRENT"); !w.accepts(now) {
						t.Fatalf("%s, %s: AWSCURRENT is refused", of, end)
					}
				}
			}
		})
	}
}
