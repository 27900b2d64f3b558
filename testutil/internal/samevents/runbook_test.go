package samevents_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
	"github.com/quarterturn-dev/quarterturn/testutil/internal/samevents"
	"github.com/quarterturn-dev/quarterturn/testutil/lambdahost"
	"github.com/quarterturn-dev/quarterturn/testutil/localaws"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// misfortune is a failure that docs/runbook.md shows: the kind, and how it comes about.
type misfortune struct {
	kind     string
	function string   // "": the one for PostgreSQL
	step     string   // "": createSecret, with an empty AWSPENDING
	members  []any    // of the secret, over the usual
	run      []string // on the server, afterwards
	off      bool     // rotation was cancelled
	unknown  bool     // there is no such secret
	fault    func(operation string) awsemu.Fault
}

func misfortunes() []misfortune {
	on := func(operation string, f awsemu.Fault) func(string) awsemu.Fault {
		return func(o string) awsemu.Fault {
			if o == operation {
				return f
			}
			return awsemu.Fault{}
		}
	}
	return []misfortune{
		{kind: "misconfigured", members: []any{"engine", "mysql"}},
		{kind: "not found", unknown: true},
		{kind: "access denied", fault: on("UpdateSecretVersionStage", awsemu.Fault{Deny: true})},
		{kind: "login rejected", members: []any{"password", "another"}},
		{kind: "unreachable", members: []any{"host", "db.invalid"}},
		{kind: "tls", members: []any{"ssl", true}},
		{kind: "insufficient privilege", run: []string{"ALTER ROLE %s NOLOGIN"}},
		{kind: "not entitled", function: "postgres-alternating-users", run: []string{"CREATE ROLE %s_clone LOGIN"}},
		{kind: "password policy", function: "mysql-single-user"},
		{kind: "read only"},
		{kind: "too many connections", run: []string{"ALTER ROLE %s CONNECTION LIMIT 0"}},
		{kind: "conflict", off: true},
		{kind: "throttled", fault: on("DescribeSecret", awsemu.Fault{Throttle: true})},
		{kind: "deadline exceeded", function: "hasty", step: "setSecret"},
		{kind: "internal", step: "setSecret", run: []string{
			// it says that it is called at no such time, to sessions that only this user has
			"DO $$ BEGIN CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE internal AS " +
				"'pg_event_trigger_ddl_commands'; CREATE EVENT TRIGGER refuse ON login EXECUTE FUNCTION refuse(); " +
				"ALTER EVENT TRIGGER refuse ENABLE REPLICA; " +
				"ALTER ROLE %s SET session_replication_role = replica; END $$",
		}},
	}
}

// TestTheRunbookShowsWhatIsLogged: the real binaries fail on real servers in each of
// the ways that there are, and the line of the log is the one in docs/runbook.md. So
// are the page's status, its preflight, and the picture of one. What differs from run
// to run (ports, and the numbers by which this test tells its secrets apart) is
// written as in the page.
func TestTheRunbookShowsWhatIsLogged(t *testing.T) {
	tier.Test(t)
	page := read(t, "docs", "runbook.md")
	built, err := localaws.Build(t.Context(), t.TempDir(), "postgres-single-user", "postgres-alternating-users",
		"mysql-single-user")
	if err != nil {
		t.Fatal(err)
	}
	db := dbserver.NewPostgres(t, dbserver.Options{})
	reader, err := db.Standby(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reader.Close() })
	var out lambdahost.Output
	faults := map[string]func(string) awsemu.Fault{}
	s, err := localaws.Start(localaws.Config{
		Functions: []localaws.Function{
			{Name: "postgres-single-user", Bootstrap: built["postgres-single-user"], Timeout: time.Minute},
			{Name: "postgres-alternating-users", Bootstrap: built["postgres-alternating-users"], Timeout: time.Minute},
			{Name: "mysql-single-user", Bootstrap: built["mysql-single-user"], Timeout: time.Minute},
			{Name: "hasty", Bootstrap: built["postgres-single-user"], Timeout: 8 * time.Second},
		},
		Output: &out,
		Prepare: func(e *awsemu.Emulator) {
			e.Fault = func(c awsemu.Call) awsemu.Fault {
				if f := faults[c.Name]; f != nil {
					return f(c.Operation)
				}
				return awsemu.Fault{}
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	ports := map[int]string{db.Port: "5432", reader.Port: "5432"}
	asInThePage := func(text string) string {
		for port, name := range ports {
			text = strings.ReplaceAll(text, fmt.Sprintf(":%d", port), ":"+name)
		}
		text = regexp.MustCompile(`\bapp_\d+`).ReplaceAllString(text, "app")
		text = regexp.MustCompile(`lookup (\S+) on \S+:53:`).ReplaceAllString(text, "lookup $1 on 10.0.0.2:53:")
		return regexp.MustCompile(`[0-9.]+s left`).ReplaceAllString(text, "7.5s left")
	}
	invoke := func(t *testing.T, function, event string) (answer string, failed map[string]any, line string) {
		t.Helper()
		out.Reset()
		r, err := s.Functions[function].Invoke(t.Context(), []byte(event))
		if err != nil {
			t.Fatal(err)
		}
		for _, line = range strings.Split(out.String(), "\n") {
			if strings.Contains(line, `"level":"ERROR"`) {
				if err := json.Unmarshal([]byte(line), &failed); err != nil {
					t.Fatal(err)
				}
				break
			}
		}
		json.Unmarshal(r.Payload, &answer) // no text: no answer that a page shows
		return answer, failed, line
	}
	for i, m := range misfortunes() {
		t.Run(m.kind, func(t *testing.T) {
			name, password := fmt.Sprintf("app_%d", i), rand.Text()
			members := []any{"engine", "postgres", "host", db.Host, "port", db.Port, "ssl", false, "username", name,
				"password", password}
			switch m.kind {
			case "password policy":
				my := dbserver.NewMySQL(t, dbserver.MySQLOptions{})
				ports[my.Port] = "3306"
				exec(t, my, "INSTALL COMPONENT 'file://component_validate_password'",
					"SET GLOBAL validate_password.length = 60",
					fmt.Sprintf("CREATE USER '%s'@'%%' IDENTIFIED BY '%s-aA1%s'", name, password,
						strings.Repeat("x", 60)))
				members = append(members, "engine", "mysql", "port", my.Port, "password", password+"-aA1"+
					strings.Repeat("x", 60), "ssl", false)
			case "not entitled":
				superuser := s.AWS.Seed(awsemu.Secret{Name: "superuser",
					ARN: "arn:aws:secretsmanager:us-east-1:123456789012:secret:superuser-AbCdEf",
					Versions: []awsemu.Version{{Labels: []string{"AWSCURRENT"},
						Value: document(t, append(members, "username", db.Superuser, "password", db.Password))}}})
				members = append(members, "masterarn", superuser)
				exec(t, db, fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s'", name, password))
			case "read only":
				members = append(members, "port", reader.Port)
				fallthrough
			default:
				exec(t, db, fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s'", name, password))
			}
			members = append(members, m.members...)
			if m.kind == "internal" && db.Major < 17 {
				t.Skipf("PostgreSQL %d has no event triggers for logins: make servers", db.Major)
			}
			for _, statement := range m.run {
				exec(t, db, fmt.Sprintf(statement, name))
			}
			if m.kind == "read only" {
				caughtUp(t, reader, name, password)
			}
			secret := awsemu.Secret{
				Name: name, ARN: "arn:aws:secretsmanager:us-east-1:123456789012:secret:" + name + "-AbCdEf",
				RotationEnabled: new(!m.off), RotationLambdaARN: s.Functions["postgres-single-user"].ARN(),
				Versions: []awsemu.Version{{Labels: []string{"AWSCURRENT"}, Value: document(t, members)},
					{Labels: []string{"AWSPENDING"}}},
			}
			step, function := "createSecret", "postgres-single-user"
			if m.step != "" {
				step = m.step
				secret.Versions[1].Value = document(t, append(members, "password", rand.Text()))
			}
			if m.function != "" {
				function = m.function
			}
			if !m.unknown {
				s.AWS.Seed(secret)
			}
			faults[name] = m.fault
			event := fmt.Sprintf(`{"Step":%q,"SecretId":%q,"ClientRequestToken":%q}`, step, secret.ARN,
				awsemu.VersionID(2))
			_, failed, line := invoke(t, function, event)
			if failed["kind"] != m.kind {
				t.Fatalf("the kind is %v: %v", failed["kind"], failed["error"])
			}
			shows(t, "docs/runbook.md", page, "    "+asInThePage(fmt.Sprint(failed["error"])))
			switch m.kind {
			case "login rejected": // the page has one line whole
				for _, field := range []string{"timestamp", "build", "function_request_id", "duration_ms"} {
					value, _ := json.Marshal(failed[field])
					line = strings.Replace(line, string(value), "~", 1)
				}
				pattern := regexp.QuoteMeta("    " + asInThePage(line))
				if !regexp.MustCompile(strings.ReplaceAll(pattern, "~", `("[^"]*"|[0-9.]+)`)).MatchString(page) {
					t.Errorf("docs/runbook.md does not show\n    %s", asInThePage(line))
				}
			case "access denied":
				answer, _, _ := invoke(t, function, fmt.Sprintf(`{"Step":"preflight","SecretId":%q,"Format":"text"}`,
					secret.ARN))
				drawn(t, "preflight.svg", asInThePage(answer))
			}
		})
	}
	t.Run("status", func(t *testing.T) {
		if err := samevents.Set(t.Context(), s.AWS, db, db.Host,
			s.Functions["postgres-single-user"].ARN()); err != nil {
			t.Fatal(err)
		}
		answer, _, _ := invoke(t, "postgres-single-user", read(t, "sam", "events", "status.json"))
		var indented []string
		for line := range strings.Lines(answer) {
			indented = append(indented, "    "+line)
		}
		shows(t, "docs/runbook.md", page, strings.TrimRight(asInThePage(strings.Join(indented, "")), "\n"))
	})
}

func shows(t *testing.T, name, page, want string) {
	t.Helper()
	if !strings.Contains(page, want+"\n") {
		t.Errorf("%s does not show\n%s", name, want)
	}
}

func read(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(append([]string{root}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")))
}

func document(t *testing.T, pairs []any) awsemu.Value {
	t.Helper()
	members := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		members[pairs[i].(string)] = pairs[i+1]
	}
	text, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return awsemu.Text(string(text))
}

func exec(t *testing.T, db interface {
	Exec(ctx context.Context, statements ...string) error
}, statements ...string) {
	t.Helper()
	if err := db.Exec(t.Context(), statements...); err != nil {
		t.Fatal("a statement of the scene was refused")
	}
}

// caughtUp waits until the reader knows the user: it is the server's own account of
// what it has replayed that ends the wait, or a minute.
func caughtUp(t *testing.T, reader *dbserver.Server, user, password string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		conn, err := reader.Connect(ctx, user, password, "postgres")
		if err == nil {
			conn.Close(ctx)
			return
		}
		if ctx.Err() != nil {
			t.Fatal("the reader never got the user")
		}
	}
}
