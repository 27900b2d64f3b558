package rotator_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"golang.org/x/tools/txtar"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/awsstore"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
)

var update = flag.Bool("update", false, "rewrite what the scenarios recorded")

// TestScenarios tells stories: labels and accounts before, events and faults, then
// what was called and what became of it all. Each file is one story, or a few that
// belong together; its comment says whose. The secrets are in the emulator and are
// reached through the SDK; the database is strategytest.Memory.
//
// A story is a script, one command a line (see the methods of story); what it
// printed is kept behind it, and -update rewrites that. Passwords are written p1,
// p2 and so on and stand for long ones, which must never be seen; generated ones
// appear as new1, new2.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/scenarios/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if len(archive.Files)%2 > 0 {
				t.Fatalf("%s: the last script has no log", file)
			}
			for i := 0; i+1 < len(archive.Files); i += 2 {
				name, is := strings.CutSuffix(archive.Files[i].Name, " script")
				if !is || archive.Files[i+1].Name != name+" log" {
					t.Fatalf("%s: want pairs of NAME script and NAME log", file)
				}
				t.Run(name, func(t *testing.T) {
					got := newStory(t).run(string(archive.Files[i].Data))
					if *update {
						archive.Files[i+1].Data = []byte(got)
					} else if want := string(archive.Files[i+1].Data); got != want {
						t.Errorf("the story went another way (go test ./rotator -update records "+
							"it).\ngot:\n%s\nwant:\n%s", got, want)
					}
				})
			}
			if *update {
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// story is one world: an account with a secret, a database, a function.
type story struct {
	t   *testing.T
	aws *awsemu.Emulator
	db  strategytest.Memory
	sdk *secretsmanager.Client

	config aws.Config // of the function
	url    string     // of the emulator

	end func() // at the latest when the test ends; earlier where it makes many

	rotator   rotator.Rotator
	seed      awsemu.Secret
	arn       string // once seeded
	superuser string // ARN, if there is one
	timeLeft  time.Duration

	mu        sync.Mutex
	out       strings.Builder
	journaled int               // entries of the database's journal that are printed
	passwords map[string]string // clear to symbol
	made      int
	faults    []fault
	began     bool // AWSCURRENT worked when the story began
}

// fault is a thing to go wrong at the n-th call of an operation from now on.
type fault struct {
	operation string
	nth       int
	what      awsemu.Fault
}

const token = "canary-rotation-token-0123456789-0123456789"

func newStory(t *testing.T) *story {
	s := &story{t: t, aws: &awsemu.Emulator{Attempts: 2}, passwords: map[string]string{token: "token"}}
	s.seed = awsemu.Secret{Name: "app", RotationEnabled: aws.Bool(true),
		RotationLambdaARN: "arn:aws:lambda:us-east-1:123456789012:function:rotate"}
	s.aws.Fault = s.goWrong
	s.aws.Observe = s.observe
	server := httptest.NewServer(s.aws)
	s.end = sync.OnceFunc(func() { s.aws.Close(); server.Close() })
	t.Cleanup(s.end)
	cfg := aws.Config{
		Region:       "us-east-1",
		BaseEndpoint: &server.URL, // of every service: nothing leaves the machine
		Credentials:  credentials.NewStaticCredentialsProvider("AKIDSTORY", "x", ""),
		Retryer: func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) {
				o.MaxAttempts = 2
				o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
				o.RateLimiter = noLimit{}
			})
		},
	}
	s.config, s.url = cfg, server.URL
	s.sdk = secretsmanager.NewFromConfig(cfg, func(o *secretsmanager.Options) { o.BaseEndpoint = &server.URL })
	s.rotator = rotator.Rotator{
		Store:       awsstore.New(cfg, server.URL),
		Strategy:    strategies.SingleUser{Engine: &s.db},
		Observe:     s.record,
		ReadBackoff: []time.Duration{time.Nanosecond},
	}
	s.aws.Invoke = awsemu.InvokeHandler(func(ctx context.Context, payload []byte) ([]byte, error) {
		report, err := s.rotator.HandleJSON(ctx, payload)
		answer, _ := json.Marshal(report)
		return answer, err
	})
	return s
}

// noLimit retries as often as the retryer says: a story has no budget of tokens.
type noLimit struct{}

func (noLimit) GetToken(context.Context, uint) (func() error, error) {
	return func() error { return nil }, nil
}
func (noLimit) AddTokens(uint) error { return nil }

// run acts a script and gives what was printed, in symbols.
func (s *story) run(script string) string {
	acting := false
	for line := range strings.Lines(script) {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(line, "#") {
			continue
		}
		if set, ok := s.sets()[words[0]]; ok && !acting {
			set(words[1:])
			continue
		}
		act, ok := s.acts()[words[0]]
		if !ok {
			s.t.Fatalf("no such command, or too late for it: %s", line)
		}
		if !acting {
			acting = true
			s.open()
		}
		s.print("> %s", strings.Join(words, " "))
		act(words[1:])
		s.journal()
	}
	s.state()
	s.nobodyLockedOut()
	return s.symbols(s.out.String())
}

// sets are the commands that say how things stand before anything happens.
func (s *story) sets() map[string]func([]string) {
	return map[string]func([]string){
		"strategy": s.setStrategy,
		"account":  s.setAccount,
		// The pending version of a configuration test without a value, in place of a copy of AWSCURRENT's.
		"empty-test": func([]string) { s.aws.EmptyTest = true },
		"superuser": func(w []string) {
			s.superuser = s.aws.Seed(awsemu.Secret{Name: "superuser", Versions: []awsemu.Version{
				{Labels: []string{"AWSCURRENT"}, Value: s.value(w)}}})
		},
		"managed":  s.setManaged,
		"instance": s.setInstance,
		"cluster":  s.setCluster,
		"version": func(w []string) {
			v := awsemu.Version{ID: awsemu.VersionID(len(s.seed.Versions) + 1)}
			if w[0] != "-" {
				v.Labels = strings.Split(w[0], ",")
			}
			v.Value = s.value(w[1:])
			s.seed.Versions = append(s.seed.Versions, v)
		},
		"secret": s.setSecret,
		"schedule": func(w []string) {
			s.seed.Rules.ScheduleExpression = strings.Join(w, " ")
		},
		"copies": func(w []string) { s.rotator.Copies = rotator.CopiesMode(w[0]) },
		"choices": func(w []string) { // SECRET_TAGS
			var err error
			if s.rotator.TagChoices, err = secret.ParseTagChoices(w[0]); err != nil {
				s.t.Fatal(err)
			}
		},
		"tag": func(w []string) {
			if s.seed.Tags == nil {
				s.seed.Tags = map[string]string{}
			}
			s.seed.Tags[w[0]] = w[1]
		},
		"locks": func(w []string) { // an account, after so many rejected logins in a row
			s.db.LockAfter, _ = strconv.Atoi(w[0])
		},
		"mode": func(w []string) { s.rotator.PreflightMode = rotator.PreflightMode(w[0]) },
		"look": func([]string) { s.rotator.ReadOnlyProbes = true },
		"invoked": func(w []string) { // by which ARN; none: not on Lambda
			s.rotator.FunctionARN = func(context.Context) string { return strings.Join(w, "") }
		},
	}
}

func (s *story) setStrategy(w []string) {
	s.rotator.Strategy = map[string]rotator.Strategy{
		"single":      strategies.SingleUser{Engine: &s.db},
		"superuser":   strategies.SingleUser{Engine: &s.db, ThroughSuperuser: true},
		"environment": strategies.SingleUser{Engine: &s.db, ThroughSuperuser: true, SuperuserSecretARN: "superuser"},
		"alternating": strategies.AlternatingUsers{Engine: &s.db},
		"dual":        strategies.DualPasswords{Engine: &s.db},
		"rotate-only": strategies.AlternatingUsers{Engine: &s.db, RotateOnly: true},
	}[w[0]]
}

// setManaged makes the superuser secret as RDS does: USER/PASSWORD, and a tag.
func (s *story) setManaged(w []string) {
	user, password, _ := strings.Cut(w[0], "/")
	key, arn, _ := strings.Cut(w[1], "=")
	text := secret.Document{}.Set("username", user).Set("password", s.clear(password)).Encode().Reveal()
	s.superuser = s.aws.Seed(awsemu.Secret{Name: "superuser", OwningService: "rds", Tags: map[string]string{key: arn},
		Versions: []awsemu.Version{
			{Labels: []string{"AWSCURRENT"}, Value: awsemu.Text(text)}}})
}

// setInstance has RDS know an instance: ID HOST, then what is special about it.
func (s *story) setInstance(w []string) {
	i := awsemu.Instance{ID: w[0], Host: w[1], Port: strategytest.MemoryPort, Engine: "memory"}
	if i.Host == "-" {
		i.Host = ""
	}
	for _, word := range w[2:] {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "of":
			i.ReplicaOf = value
		case "in":
			i.Cluster = value
		case "engine":
			i.Engine = value
		default:
			s.t.Fatalf("an instance has no %q", key)
		}
	}
	s.aws.SeedInstance(i)
}

// setCluster has RDS know a cluster: ID WRITER READER.
func (s *story) setCluster(w []string) {
	s.aws.SeedCluster(awsemu.Cluster{ID: w[0], Host: w[1], Reader: w[2], Port: strategytest.MemoryPort,
		Engine: "memory"})
}

func (s *story) setAccount(w []string) {
	user, password, _ := strings.Cut(w[0], "/")
	a := strategytest.Account{
		Name: user, Password: secret.NewPassword(s.clear(password)),
		Superuser: slices.Contains(w, "superuser"), Locked: slices.Contains(w, "locked"),
	}
	if slices.Contains(w, "clone") {
		a.SetRole = strings.TrimSuffix(user, "_clone")
	}
	s.db.Add(a)
}

func (s *story) setSecret(w []string) {
	for _, word := range w {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "rotation":
			s.seed.RotationEnabled = map[string]*bool{"on": aws.Bool(true), "off": aws.Bool(false), "never": nil}[value]
		case "owner":
			s.seed.OwningService = value
		case "type":
			s.seed.Type = value
		case "primary":
			s.seed.PrimaryRegion = value
		case "deleted":
			s.seed.Deleted = time.Now().Add(7 * 24 * time.Hour)
		default:
			s.t.Fatalf("secret has no %q", key)
		}
	}
}

// value reads "empty", "binary", "text ..." (where <p1> is p1) or "user/password
// key=value ...".
func (s *story) value(w []string) awsemu.Value {
	switch w[0] {
	case "empty":
		return awsemu.Value{}
	case "binary":
		return awsemu.Binary([]byte(s.clear("p1")))
	case "text":
		return awsemu.Text(strings.ReplaceAll(strings.Join(w[1:], " "), "<p1>", s.clear("p1")))
	}
	user, password, _ := strings.Cut(w[0], "/")
	d, err := secret.ParseDocument(`{"engine":"memory","host":"` + strategytest.MemoryHost + `"}`)
	if err != nil {
		s.t.Fatal(err)
	}
	d = d.Set("username", user).Set("password", s.clear(password))
	if s.superuser != "" {
		d = d.Set("masterarn", s.superuser)
	}
	for _, word := range w[1:] {
		key, value, _ := strings.Cut(word, "=")
		d = d.Set(key, value)
	}
	return awsemu.Text(d.Encode().Reveal())
}

// clear gives what a symbol stands for, and the reverse for symbols.
func (s *story) clear(symbol string) string {
	password := "canary-" + symbol + "-0123456789"
	s.passwords[password] = symbol
	return password
}

func (s *story) open() {
	s.arn = s.aws.Seed(s.seed)
	s.began = s.works("AWSCURRENT")
}

// acts are the commands by which things happen.
func (s *story) acts() map[string]func([]string) {
	return map[string]func([]string){
		"step": func(w []string) { s.step(w[0], w[1]) },
		"turn": func(w []string) { // the four steps, as the service sends them
			for _, step := range []string{"createSecret", "setSecret", "testSecret", "finishSecret"} {
				s.print("- %s", step)
				s.step(step, w[0])
			}
		},
		"event":  func(w []string) { s.handle([]byte(strings.Join(w, " "))) },
		"rotate": s.rotate,
		"status": func([]string) { s.ask("status", "") },
		"recover": func(w []string) { // ACTION, or none
			s.ask("recover", strings.Join(w, ""))
		},
		"fault": func(w []string) { // OPERATION NTH WHAT
			n, err := strconv.Atoi(w[1])
			what, ok := faults[w[2]]
			if err != nil || !ok {
				s.t.Fatalf("not a fault: %s", w)
			}
			s.faults = append(s.faults, fault{w[0], n, what})
		},
		"server": s.server,
		"cancel": func([]string) {
			_, err := s.sdk.CancelRotateSecret(s.t.Context(), &secretsmanager.CancelRotateSecretInput{SecretId: &s.arn})
			s.told(err)
		},
		"put": func(w []string) { // a value, by hand
			_, err := s.sdk.PutSecretValue(s.t.Context(), &secretsmanager.PutSecretValueInput{SecretId: &s.arn,
				SecretString: aws.String(string(s.value(w).Reveal()))})
			s.told(err)
		},
		"move": func(w []string) { // LABEL TO FROM, by hand; "-" for none
			in := &secretsmanager.UpdateSecretVersionStageInput{SecretId: &s.arn, VersionStage: &w[0]}
			if w[1] != "-" {
				in.MoveToVersionId = aws.String(s.version(w[1]))
			}
			if w[2] != "-" {
				in.RemoveFromVersionId = aws.String(s.version(w[2]))
			}
			_, err := s.sdk.UpdateSecretVersionStage(s.t.Context(), in)
			s.told(err)
		},
		"account": s.setAccount,
		"left": func(w []string) { // how much time an invocation has
			d, err := time.ParseDuration(w[0])
			if err != nil {
				s.t.Fatal(err)
			}
			s.timeLeft = d
		},
		"state": func([]string) { s.state() },
	}
}

var faults = map[string]awsemu.Fault{
	"denied":       {Deny: true},
	"kms-denied":   {DenyKMS: true},
	"throttled":    {Throttle: true},
	"5xx":          {ServerError: true},
	"lost":         {LoseResponse: true},
	"stale":        {Stale: true},
	"expired":      {ExpiredToken: true},
	"key-disabled": {DecryptionFailure: true, EncryptionFailure: true},
}

func (s *story) step(step, version string) {
	payload, err := json.Marshal(map[string]string{
		"Step": step, "SecretId": s.arn, "ClientRequestToken": s.version(version), "RotationToken": token,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.handle(payload)
}

// version gives the id of v1, v2 and so on, by the order in which they were made.
func (s *story) version(symbol string) string {
	n, err := strconv.Atoi(strings.TrimPrefix(symbol, "v"))
	if err != nil {
		s.t.Fatalf("not a version: %s", symbol)
	}
	if versions := s.aws.Snapshot(s.arn).Versions; n <= len(versions) {
		return versions[n-1].ID
	}
	return awsemu.VersionID(n)
}

func (s *story) handle(payload []byte) {
	ctx := s.t.Context()
	if s.timeLeft != 0 {
		limited, cancel := context.WithTimeout(ctx, s.timeLeft)
		defer cancel()
		ctx = limited
	}
	_, err := s.rotator.HandleJSON(ctx, payload)
	var step *rotator.StepError
	if err != nil && !errors.As(err, &step) {
		s.t.Errorf("an error of type %T: Lambda must report a named one", err)
	}
}

// rotate has the service do it: RotateSecret, and all that follows.
func (s *story) rotate(w []string) {
	in := &secretsmanager.RotateSecretInput{SecretId: &s.arn}
	if slices.Contains(w, "--no-rotate-immediately") {
		in.RotateImmediately = aws.Bool(false)
	}
	_, refused := s.sdk.RotateSecret(s.t.Context(), in)
	// A refusal can mean that an earlier rotation is tried again: that is waited for
	// too.
	done, err := s.aws.WaitRotation(s.t.Context(), s.arn)
	s.journal()
	s.told(refused)
	if err != nil {
		s.t.Fatal(err)
	}
	s.print("%s after %d attempt(s)", done.Outcome, len(done.Attempts))
}

// server has the database fail from now on: OP USER KIND, or well again.
func (s *story) server(w []string) {
	if w[0] == "well" {
		s.db.Before, s.db.After = nil, nil
		return
	}
	op, user, kind := w[0], w[1], rotator.Kind(strings.Join(w[2:], " "))
	fail := func(_ context.Context, did, to string) error {
		if did == op && (to == user || user == "*") {
			return fmt.Errorf("the database says: %w", kind)
		}
		return nil
	}
	s.db.Before = fail
	if after, ok := strings.CutSuffix(string(kind), ", done"); ok { // carried out, and the answer lost
		kind, s.db.Before, s.db.After = rotator.Kind(after), nil, fail
	}
}

func (s *story) goWrong(c awsemu.Call) awsemu.Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.faults {
		if f := &s.faults[i]; f.operation == c.Operation && f.nth > 0 {
			if f.nth--; f.nth == 0 {
				return f.what
			}
		}
	}
	return awsemu.Fault{}
}

// observe prints a call, behind what the database was asked before it.
func (s *story) observe(c awsemu.Call) {
	s.journal()
	s.print("  %s%s", c, map[bool]string{true: "  (of superuser)"}[c.Name == "superuser"])
}

func (s *story) journal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	entries := s.db.Journal()
	for _, entry := range entries[s.journaled:] {
		fmt.Fprintf(&s.out, "  database: %s\n", entry)
	}
	s.journaled = len(entries)
}

func (s *story) record(_ context.Context, r rotator.Record) {
	s.journal()
	if r.PanicStack != "" {
		s.t.Errorf("a panic: %v\n%s", r.Err, r.PanicStack)
	}
	if r.Diagnosis != nil {
		s.print("%s", strings.TrimSuffix(r.Diagnosis.Text(), "\n"))
	}
	if r.Err != nil {
		s.print("  = %s: %v", r.Kind, r.Err)
		return
	}
	if r.Step == rotator.StepPreflight {
		s.print("%s", strings.TrimSuffix(r.Report.Text(), "\n"))
	}
	s.print("  = %s%s", r.Outcome, strings.Join(append([]string{""}, r.Notes...), "; "))
}

// told prints what the service answered to a person.
func (s *story) told(err error) {
	var api interface{ ErrorMessage() string }
	if errors.As(err, &api) {
		s.print("  refused: %s", api.ErrorMessage())
	} else if err != nil {
		s.t.Fatal(err)
	}
}

func (s *story) print(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(&s.out, format+"\n", args...)
}

// state prints labels, values and accounts.
func (s *story) state() {
	s.journal()
	s.print("state")
	for i, v := range s.aws.Snapshot(s.arn).Versions {
		s.print("  v%d %s %s", i+1, cmp.Or(strings.Join(v.Labels, ","), "-"), s.shown(v.Value))
	}
	for _, user := range []string{"app", "app_clone", "blue", "green"} {
		if a, ok := s.db.Account(user); ok {
			s.print("  account %s/%s", user, s.symbol(a.Password.Reveal()))
		}
	}
}

// shown gives a value in the words of scripts, less what every value has.
func (s *story) shown(v awsemu.Value) string {
	d, err := secret.ParseDocument(string(v.Reveal()))
	switch {
	case v.Empty():
		return "empty"
	case err != nil:
		return "(not a document)"
	}
	text := d.Text("username") + "/" + s.symbol(d.Password().Reveal())
	for _, key := range d.Keys() {
		if !slices.Contains([]string{"engine", "host", "username", "password", "masterarn"}, key) || key == "host" &&
			d.Text(key) != strategytest.MemoryHost {
			value := cmp.Or(s.passwords[d.Text(key)], d.Text(key))
			for password, symbol := range s.passwords { // within a longer text, too
				escaped := strings.ReplaceAll(url.QueryEscape(password), "+", "%20")
				value = strings.NewReplacer(escaped, symbol, password, symbol).Replace(value)
			}
			text += " " + key + "=" + value
		}
	}
	return text
}

func (s *story) symbol(password string) string {
	if _, ok := s.passwords[password]; !ok {
		s.made++
		s.passwords[password] = fmt.Sprintf("new%d", s.made)
	}
	return s.passwords[password]
}

var left = regexp.MustCompile(`[0-9.]+s left`)

var uuid = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

// symbols makes the log fit to be compared, once it has been searched for what must
// not be in it.
func (s *story) symbols(log string) string {
	for password, symbol := range s.passwords {
		if len(password) > 8 && strings.Contains(log, password) {
			s.t.Errorf("%s is in the log in clear", symbol)
		}
	}
	log = strings.ReplaceAll(log, s.arn, "ARN")
	log = strings.ReplaceAll(log, strings.TrimPrefix(s.url, "http://"), "ENDPOINT")
	if s.superuser != "" {
		log = strings.ReplaceAll(log, s.superuser, "SUPERUSER")
	}
	places := map[string]string{}
	for i, v := range s.aws.Snapshot(s.arn).Versions {
		places[v.ID] = fmt.Sprintf("v%d", i+1)
	}
	log = left.ReplaceAllString(log, "too little left")
	return uuid.ReplaceAllStringFunc(log, func(id string) string { return cmp.Or(places[id], "v?") })
}

// nobodyLockedOut is the promise: where AWSCURRENT worked when the story began,
// some credentials with a label work when it ends.
func (s *story) nobodyLockedOut() {
	if s.began && !s.works("AWSCURRENT") && !s.works("AWSPENDING") && !s.works("AWSPREVIOUS") {
		s.t.Error("locked out: AWSCURRENT worked when the story began, and nothing with a label does now")
	}
}

// works says whether the database would let the holder of a label in. It does not log
// in, so that it leaves no trace in the log.
func (s *story) works(label string) bool {
	d, err := secret.ParseDocument(string(s.aws.Snapshot(s.arn).Holder(label).Value.Reveal()))
	if err != nil {
		return false
	}
	a, ok := s.db.Account(d.Text("username"))
	return ok && a.Password.Equal(d.Password())
}
