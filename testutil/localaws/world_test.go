package localaws_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/quarterturn-dev/quarterturn/strategies/strategytest/census"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/internal/disk"
	"github.com/quarterturn-dev/quarterturn/testutil/lambdahost"
	"github.com/quarterturn-dev/quarterturn/testutil/localaws"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// handlers are the binaries that are deployed, built once for all tests here.
var handlers struct {
	once  sync.Once
	paths map[string]string
	err   error
}

func bootstrap(t testing.TB, name string) string {
	t.Helper()
	tier.NotInCheck(t)
	handlers.once.Do(func() {
		all, err := os.ReadDir("../../handlers")
		if err != nil {
			handlers.err = err
			return
		}
		var names []string
		for _, entry := range all {
			names = append(names, entry.Name())
		}
		handlers.paths, handlers.err = localaws.Build(context.Background(), filepath.Join(buildDir, "handlers"), names...)
	})
	if handlers.err != nil {
		t.Fatal(handlers.err)
	}
	return handlers.paths[name]
}

var buildDir string

func TestMain(m *testing.M) {
	dir, err := disk.Temp("", "stage")
	if err != nil {
		panic(err)
	}
	buildDir = dir.Path
	code := m.Run()
	dir.Remove()
	os.Exit(code)
}

// world is a rotation with everything real but AWS.
type world struct {
	t    testing.TB
	db   database
	aws  *localaws.Env
	sdk  *secretsmanager.Client
	out  lambdahost.Output
	name string // of the function

	shared   bool // others use the server at the same time
	secrets  []string
	knocked  int
	canaries []string
}

// plan is what a world is made of.
type plan struct {
	db       database
	shared   bool // others use it at the same time
	handler  string
	more     []string // further functions, by their handlers
	also     string   // a further function, with the same handler
	env      []string
	timeout  time.Duration
	attempts int
}

func newWorld(t testing.TB, p plan) *world {
	t.Helper()
	w := &world{t: t, db: p.db, shared: p.shared, name: p.handler}
	env := p.env
	if ca := p.db.caFile(); ca != "" { // what the plan says comes last, and wins
		env = append([]string{"DATABASE_CA_FILE=" + ca}, env...)
	}
	functions := []localaws.Function{{Name: p.handler, Bootstrap: bootstrap(t, p.handler), Env: env, Timeout: p.timeout}}
	for _, name := range p.more {
		functions = append(functions, localaws.Function{Name: name, Bootstrap: bootstrap(t, name), Env: env, Timeout: p.timeout})
	}
	if p.also != "" {
		functions = append(functions, localaws.Function{Name: p.also, Bootstrap: bootstrap(t, p.handler), Env: env, Timeout: p.timeout})
	}
	s, err := localaws.Start(localaws.Config{
		Functions: functions,
		Output:    &w.out,
		Prepare:   func(e *awsemu.Emulator) { e.Attempts = p.attempts },
	})
	if err != nil {
		t.Fatal(err)
	}
	w.aws = s
	w.sdk = secretsmanager.New(secretsmanager.Options{
		BaseEndpoint: &s.URL, Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("AKID", "x", ""),
	})
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		w.noCanary()
	})
	return w
}

// role makes a role with a password that must not be seen again.
func (w *world) role(name string) (password string) {
	w.t.Helper()
	password = w.canary()
	w.exec("CREATE ROLE " + name + " LOGIN PASSWORD '" + password + "'")
	return password
}

func (w *world) canary() string {
	c := "canary-" + rand.Text()
	w.canaries = append(w.canaries, c)
	return c
}

func (w *world) exec(sql ...string) {
	w.t.Helper()
	if err := w.db.Exec(w.t.Context(), sql...); err != nil {
		w.t.Fatal(err)
	}
}

// user makes app, or boss, who may rotate it.
func (w *world) user(create func(password string) []string) (password string) {
	w.t.Helper()
	password = w.canary()
	w.exec(create(password)...)
	return password
}

// document is a secret's JSON; later pairs win.
func (w *world) document(pairs ...any) string {
	m := w.db.where()
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i].(string)] = pairs[i+1]
	}
	text, err := json.Marshal(m)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(text)
}

func (w *world) seed(name string, versions ...awsemu.Version) string {
	arn := w.aws.AWS.Seed(awsemu.Secret{
		Name: name, Versions: versions, RotationEnabled: aws.Bool(true), RotationLambdaARN: w.aws.Functions[w.name].ARN(),
	})
	w.secrets = append(w.secrets, arn)
	return arn
}

func current(text string) awsemu.Version {
	return awsemu.Version{Labels: []string{"AWSCURRENT"}, Value: awsemu.Text(text)}
}

// rotate has the service do it, and notes the passwords it made.
func (w *world) rotate(arn string) awsemu.Rotation {
	w.t.Helper()
	b := w.look(arn)
	if _, err := w.sdk.RotateSecret(w.t.Context(), &secretsmanager.RotateSecretInput{SecretId: &arn}); err != nil {
		w.t.Fatal(err)
	}
	r := w.wait(arn)
	w.harms(arn, b, r.Outcome == "RotationSucceeded")
	return r
}

func (w *world) wait(arn string) awsemu.Rotation {
	w.t.Helper()
	r, err := w.aws.AWS.WaitRotation(w.t.Context(), arn)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, v := range w.aws.AWS.Snapshot(arn).Versions {
		if c, ok := parse(v.Value); ok && c.Password != "" {
			w.canaries = append(w.canaries, c.Password)
		}
	}
	return r
}

type account struct{ Username, Password, Database string }

func parse(v awsemu.Value) (account, bool) {
	var c struct{ Username, Password, Dbname string }
	err := json.Unmarshal(v.Reveal(), &c)
	return account{c.Username, c.Password, c.Dbname}, err == nil
}

// holder gives the credentials under a label.
func (w *world) holder(arn, label string) account {
	w.t.Helper()
	a, ok := parse(w.aws.AWS.Snapshot(arn).Holder(label).Value)
	if !ok {
		w.t.Fatalf("%s holds no document", label)
	}
	return a
}

// accepts asks the server.
func (w *world) accepts(a account) bool { return w.db.as(w.t.Context(), a) == nil }

// as runs statements as an account, and fails the test unless they all work.
func (w *world) as(a account, sql ...string) {
	w.t.Helper()
	if err := w.db.as(w.t.Context(), a, sql...); err != nil {
		w.t.Errorf("as %s: %v", a.Username, err)
	}
}

// logins counts, by the server's log, who logged in as the function does.
func (w *world) logins() int { return w.db.logins() - w.knocked }

// accountState is what the server stores of all accounts, as a text.
func (w *world) accountState() string { return fmt.Sprint(w.census()) }

func (w *world) census() map[string]string {
	w.t.Helper()
	all, err := w.db.Census(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return all
}

// before is what there is before a rotation: what the server stores, and which of the
// other secrets log in.
type before struct {
	census map[string]string
	others map[string]account
	names  []string // of the accounts of the secret
}

func (w *world) look(arn string) before {
	b := before{census: w.census(), others: map[string]account{}, names: w.names(arn)}
	for _, other := range w.secrets {
		if a, ok := parse(w.aws.AWS.Snapshot(other).Holder("AWSCURRENT").Value); ok && other != arn && w.knocks(a) {
			b.others[other] = a
		}
	}
	return b
}

// names are the users of all versions of a secret.
func (w *world) names(arn string) (all []string) {
	for _, v := range w.aws.AWS.Snapshot(arn).Versions {
		if a, ok := parse(v.Value); ok {
			all = append(all, a.Username)
		}
	}
	return all
}

// knocks is a login that does not count.
func (w *world) knocks(a account) bool {
	ok := w.accepts(a)
	if ok && w.db.family() != "postgres" { // whose logs tell a function's logins from others
		w.knocked++
	}
	return ok
}

// harms fails the test if a rotation has changed more than the accounts of its secret,
// or if another secret no longer logs in.
func (w *world) harms(arn string, b before, complete bool) {
	w.t.Helper()
	names := append(b.names, w.names(arn)...)
	may := census.Change{Passwords: names, Superuser: "boss", Cut: !complete}
	for _, clone := range names {
		if original, ok := strings.CutSuffix(clone, "_clone"); ok && slices.Contains(names, original) {
			may.Original, may.Clone = original, clone
		}
	}
	after := w.census()
	if w.shared {
		for _, c := range []map[string]string{b.census, after} {
			maps.DeleteFunc(c, func(key, _ string) bool {
				return !slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(key, census.Fact(n, "")) })
			})
		}
	}
	if err := may.Check(b.census, after); err != nil {
		w.t.Errorf("after the rotation: %v", err)
	}
	for name, a := range b.others {
		if !w.knocks(a) {
			w.t.Errorf("after the rotation, the secret %s of user %s no longer logs in", name, a.Username)
		}
	}
}

// last gives the kind and the sentence of the latest failure in the function's log.
func (w *world) last() (kind, sentence string) {
	for line := range strings.Lines(w.out.String()) {
		var entry struct{ Kind, Error string }
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Error != "" {
			kind, sentence = entry.Kind, entry.Error
		}
	}
	return kind, sentence
}

// noCanary searches everything that anybody can read afterwards.
func (w *world) noCanary() {
	places := map[string]string{
		"the function's output": w.out.String(),
		"the server's logs":     w.db.logs(),
		"the calls":             fmt.Sprintf("%+v", w.aws.AWS.Calls()),
		"the service's events":  fmt.Sprintf("%+v", w.aws.AWS.Events()),
	}
	for _, canary := range w.canaries {
		for place, text := range places {
			if strings.Contains(text, canary) {
				w.t.Errorf("a password is in %s", place)
			}
		}
	}
	if strings.Contains(w.out.String(), "panic") {
		w.t.Error("there was a panic")
	}
}
