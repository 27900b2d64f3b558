package badinput_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/awsstore"
	"github.com/quarterturn-dev/quarterturn/rotator/emf"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/rotator/serve"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/mysql"
	"github.com/quarterturn-dev/quarterturn/strategies/postgres"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/badinput"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
)

// server is a real one.
type server struct {
	engine   strategies.CloningEngine
	document map[string]any // of a secret, but for the user
	superuser,
	password string
	create func(user, password string) error
	logIn  func(user, password string) error
}

func newPostgres(t *testing.T) server {
	majors := dbserver.Majors()
	s := dbserver.Postgres(t, majors[len(majors)-1])
	quote := func(text, with string) string { return with + strings.ReplaceAll(text, with, with+with) + with }
	return server{
		engine: postgres.Engine{},
		document: map[string]any{"engine": "postgres", "host": s.Host, "port": s.Port, "dbname": "postgres",
			"ssl": false},
		superuser: s.Superuser, password: s.Password,
		create: func(user, password string) error {
			return s.Exec(t.Context(), "CREATE ROLE "+quote(user, `"`)+" LOGIN PASSWORD "+quote(password, `'`))
		},
		logIn: func(user, password string) error {
			conn, err := s.Connect(t.Context(), user, password, "postgres")
			if err != nil {
				return err
			}
			return conn.Close(context.Background())
		},
	}
}

func newMySQL(t *testing.T, name, engine string, of strategies.CloningEngine) server {
	s := dbserver.MySQL(t, name)
	db := s.NewDatabase(t)
	return server{
		engine:    of,
		document:  map[string]any{"engine": engine, "host": s.Host, "port": s.Port, "dbname": db, "ssl": false},
		superuser: s.Superuser, password: s.Password,
		create: func(user, password string) error {
			who := "`" + strings.ReplaceAll(user, "`", "``") + "`@'%'"
			return s.Exec(t.Context(), "CREATE USER "+who+" IDENTIFIED BY '"+strings.NewReplacer(`\`, `\\`, `'`,
				`\'`).Replace(password)+"'",
				"GRANT SELECT ON "+db+".* TO "+who)
		},
		logIn: func(user, password string) error {
			conn, err := s.Connect(t.Context(), user, password, db)
			if err != nil {
				return err
			}
			return conn.Close()
		},
	}
}

func (s server) secret(t *testing.T, user, password, superuser string) awsemu.Value {
	t.Helper()
	s.document["username"], s.document["password"], s.document["masterarn"] = user, password, superuser
	text, err := json.Marshal(s.document)
	if err != nil {
		t.Fatal(err)
	}
	return awsemu.Text(string(text))
}

// TestRealServersTakeHostileNames: names and passwords full of quotes, and passwords
// made of everything that is printable, rotate as any others, and the new password logs
// in by another client than the function's.
func TestRealServersTakeHostileNames(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(*testing.T) server{
		"PostgreSQL": newPostgres,
		"MySQL":      func(t *testing.T) server { return newMySQL(t, "mysql-9.7", "mysql", mysql.Engine{}) },
		"MariaDB":    func(t *testing.T) server { return newMySQL(t, "mariadb-11.8", "mariadb", mysql.MariaDB{}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, rotated := open(t), 0
			for i, user := range badinput.Names() {
				password := badinput.Passwords()[i%len(badinput.Passwords())]
				if err := s.create(user, password); err != nil {
					t.Fatalf("%q: %v", user, err)
				}
				if err := s.logIn(user, password); err != nil {
					t.Fatalf("%q with its first password: %v", user, err)
				}
				if s.rotate(t, user, password, i%2 == 1) {
					rotated++
				}
			}
			t.Logf("%d users rotated, single user and alternating", rotated)
		})
	}
}

// rotate takes a user through a rotation, by one strategy or the other.
func (s server) rotate(t *testing.T, user, password string, alternating bool) bool {
	t.Helper()
	var emu awsemu.Emulator
	defer emu.Close()
	superuser := emu.Seed(awsemu.Secret{Name: "boss", Versions: []awsemu.Version{{Labels: []string{"AWSCURRENT"},
		Value: s.secret(t, s.superuser, s.password, "")}}})
	arn := emu.Seed(awsemu.Secret{Name: "app", RotationEnabled: aws.Bool(true), Versions: []awsemu.Version{
		{Labels: []string{"AWSCURRENT"}, Value: s.secret(t, user, password, superuser)}, {Labels: []string{"AWSPENDING"}},
	}})
	var strategy rotator.Strategy = strategies.SingleUser{Engine: s.engine}
	if alternating {
		strategy = strategies.AlternatingUsers{Engine: s.engine}
	}
	endpoint := "http://secretsmanager.invalid"
	cfg := aws.Config{Region: "us-east-1", BaseEndpoint: &endpoint,
		Credentials: credentials.NewStaticCredentialsProvider("AKID", "x", ""),
		HTTPClient:  emu.Client()}
	var out bytes.Buffer
	handler := serve.NewHandler(rotator.Rotator{
		Store: awsstore.New(cfg, endpoint), Strategy: strategy, PasswordPolicy: secret.PasswordPolicy{Length: 64,
			ExcludeCharacters: new(string)},
	}, serve.Logger(&out, slog.LevelDebug), emf.Writer{W: &out})
	for _, step := range badinput.Steps {
		event := fmt.Sprintf(`{"Step":%q,"SecretId":%q,"ClientRequestToken":%q}`, step, arn, awsemu.VersionID(2))
		if _, err := handler(t.Context(), json.RawMessage(event)); err != nil {
			t.Errorf("%q: %v", user, err)
			return false
		}
	}
	var now struct{ Username, Password string }
	if err := json.Unmarshal(emu.Snapshot(arn).Holder("AWSCURRENT").Value.Reveal(), &now); err != nil {
		t.Fatal(err)
	}
	if now.Password == password || len(now.Password) != 64 || alternating != (now.Username != user) {
		t.Errorf("%q: the rotation ended with user %q", user, now.Username)
	}
	if err := s.logIn(now.Username, now.Password); err != nil {
		t.Errorf("%q: the new password of %q: %v", user, now.Username, err)
	}
	if err := s.logIn(user, password); (err == nil) != alternating {
		t.Errorf("%q: the old password, afterwards: %v", user, err)
	}
	for line := range strings.Lines(out.String()) {
		var entry map[string]any
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Errorf("%q: not JSON: %s", user, line)
		}
		message, _ := entry["message"].(string)
		if strings.ContainsFunc(message, unicode.IsControl) {
			t.Errorf("%q: a line is forged: %q", user, message)
		}
		for _, p := range []string{password, now.Password} {
			if strings.Contains(line, p) || strings.Contains(message, p) {
				t.Errorf("%q: a password is in the log", user)
			}
		}
	}
	return true
}
