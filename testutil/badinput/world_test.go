package badinput_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/awsstore"
	"github.com/quarterturn-dev/quarterturn/rotator/emf"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/rotator/serve"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/badinput"
	"github.com/quarterturn-dev/quarterturn/testutil/internal/allsettings"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// What may not be seen. Everything that is secret has "canary" in it.
const (
	password  = "canary-current-0123456789"
	proposed  = "canary-pending-0123456789"
	strongest = "canary-superuser-0123456789"
	token     = "canary-token-0123456789-0123456789-0123456789"
	more      = "canary-api-key-0123456789"
)

var hidden = []string{"canary-", token[:20]}

const boss = "arn:aws:secretsmanager:us-east-1:123456789012:secret:boss-AbCdEf"

// value is the secret of a user at the Memory.
func value(user, password string) string {
	return fmt.Sprintf(`{"engine":"memory","host":%q,"port":%d,"dbname":"main","username":%q,"password":%q,"masterarn":%q,"apiKey":%q}`,
		strategytest.MemoryHost, strategytest.MemoryPort, user, password, boss, more)
}

// world is a function, its secrets and its database.
type world struct {
	aws     awsemu.Emulator
	db      strategytest.Memory
	handler serve.Handler
	out     bytes.Buffer
	arn     string
	before  []awsemu.Secret
}

var ways = []struct {
	name    string
	next    string // the user of a pending value
	through bool   // a superuser
	make    func(*strategytest.Memory) rotator.Strategy
}{
	{"single user", "app", false, func(db *strategytest.Memory) rotator.Strategy { return strategies.SingleUser{Engine: db} }},
	{"single user through a superuser", "app", true, func(db *strategytest.Memory) rotator.Strategy {
		return strategies.SingleUser{Engine: db, ThroughSuperuser: true}
	}},
	{"alternating users", "app_clone", true, func(db *strategytest.Memory) rotator.Strategy { return strategies.AlternatingUsers{Engine: db} }},
	{"dual passwords", "app", false, func(db *strategytest.Memory) rotator.Strategy { return strategies.DualPasswords{Engine: db} }},
}

// scene is the values of the secret and of its superuser's.
type scene struct{ current, pending, superuser awsemu.Value }

func newWorld(strategy func(*strategytest.Memory) rotator.Strategy, s scene) *world {
	w := &world{}
	w.db.Add(strategytest.Account{Name: "app", Password: secret.NewPassword(password)})
	w.db.Add(strategytest.Account{Name: "boss", Password: secret.NewPassword(strongest), Superuser: true})
	w.arn = w.aws.Seed(awsemu.Secret{Name: "app", RotationEnabled: aws.Bool(true),
		RotationLambdaARN: "arn:aws:lambda:us-east-1:123456789012:function:rotate", Versions: []awsemu.Version{
			{Labels: []string{"AWSCURRENT"}, Value: s.current}, {Labels: []string{"AWSPENDING"}, Value: s.pending},
		}})
	w.aws.Seed(awsemu.Secret{Name: "boss", ARN: boss, Versions: []awsemu.Version{{Labels: []string{"AWSCURRENT"},
		Value: s.superuser}}})
	w.before = []awsemu.Secret{w.aws.Snapshot(w.arn), w.aws.Snapshot(boss)}
	endpoint := "http://secretsmanager.invalid"
	cfg := aws.Config{Region: "us-east-1", BaseEndpoint: &endpoint,
		Credentials: credentials.NewStaticCredentialsProvider("AKID", "x", ""),
		HTTPClient:  w.aws.Client(), Retryer: func() aws.Retryer { return aws.NopRetryer{} }}
	w.handler = serve.NewHandler(rotator.Rotator{
		Store: awsstore.New(cfg, endpoint), Strategy: strategy(&w.db), ReadBackoff: []time.Duration{time.Nanosecond},
	}, serve.Logger(&w.out, slog.LevelDebug), emf.Writer{W: &w.out, Function: "rotate"})
	return w
}

// changed lists what is otherwise than at first, in secrets and in accounts.
func (w *world) changed() (all []string) {
	for _, before := range w.before {
		all = append(all, before.Diff(w.aws.Snapshot(before.ARN))...)
	}
	for _, entry := range w.db.Journal() {
		if op, _, _ := strings.Cut(entry, " "); op != "login" && op != "rehearse" && !strings.Contains(entry, ": ") {
			all = append(all, entry)
		}
	}
	return all
}

func (w *world) printed() string {
	text := w.out.String()
	w.out.Reset()
	return text
}

func (w *world) trial(input, payload string) badinput.Trial {
	return badinput.Trial{
		Input: input, Hidden: hidden, Printed: w.printed, Changed: w.changed,
		Do: func(ctx context.Context) (rotator.Response, error) { return w.handler(ctx, []byte(payload)) },
	}
}

// trials counts, and shows the first few of what is wrong.
type trials struct {
	t     *testing.T
	tally badinput.Tally
	shown int
}

func (a *trials) run(trial badinput.Trial) {
	for _, wrong := range a.tally.Run(a.t.Context(), trial) {
		if a.shown++; a.shown <= 40 {
			a.t.Errorf("%s: %s", trial.Input, wrong)
		} else if a.shown == 41 {
			a.t.Error("and so on")
		}
	}
}

// part is the inputs that the running tier tries: make test-long tries all.
func part(t *testing.T, all []badinput.Input) (some []badinput.Input) {
	stride := stride(t)
	for i := 0; i < len(all); i += stride {
		some = append(some, all[i])
	}
	return some
}

func stride(t *testing.T) int { return tier.Stride(t, 20, 10) }

// count wants so many of all inputs.
func (a *trials) count(all int) {
	a.t.Log(a.tally)
	if atLeast := all / stride(a.t); a.tally.Inputs < atLeast {
		a.t.Errorf("only %d inputs", a.tally.Inputs)
	}
}

func right() scene {
	return scene{awsemu.Text(value("app", password)), awsemu.Text(value("app", proposed)),
		awsemu.Text(value("boss", strongest))}
}

// TestEvents: none is acted on, whatever the strategy.
func TestEvents(t *testing.T) {
	t.Parallel()
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			a := trials{t: t}
			s := right()
			s.pending = awsemu.Text(value(way.next, proposed))
			w := newWorld(way.make, s)
			for _, input := range part(t, badinput.Events(w.arn, awsemu.VersionID(2), token)) {
				if a.run(w.trial(input.Name, input.Text)); len(w.changed()) > 0 {
					w = newWorld(way.make, s)
				}
			}
			a.count(1000)
		})
	}
}

// place is where a bad value stands, and the step that meets it.
type place struct {
	name string
	step string
	put  func(scene, awsemu.Value) scene
	// only says which spoilt members matter there; nil: all.
	only func(badinput.Input) bool
	// through: for a strategy with a superuser.
	through bool
}

var empty awsemu.Value

func inCurrent(s scene, v awsemu.Value) scene { s.current = v; return s }
func inPending(s scene, v awsemu.Value) scene { s.pending = v; return s }
func inBoss(s scene, v awsemu.Value) scene    { s.superuser = v; return s }
func first(put func(scene, awsemu.Value) scene) func(scene, awsemu.Value) scene {
	return func(s scene, v awsemu.Value) scene { s.pending = empty; return put(s, v) }
}

var places = []place{
	{"AWSCURRENT", "createSecret", first(inCurrent), nil, false},
	{"AWSCURRENT", "setSecret", inCurrent, nil, false},
	{"AWSCURRENT, tested alone", "testSecret", first(inCurrent), nil, false},
	{"AWSCURRENT", "preflight", inCurrent, nil, false},
	{"AWSCURRENT", "status", inCurrent, nil, false},
	// Any other password is one to be set.
	{"AWSPENDING", "setSecret", inPending, func(i badinput.Input) bool {
		return !strings.HasPrefix(i.Name, "password: ") || strings.Contains(i.Text, `"password":""`)
	}, false},
	{"AWSPENDING", "testSecret", inPending, nil, false},
	{"AWSPENDING", "status", inPending, nil, false},
	// A superuser works in the database of the secret to rotate.
	{"the superuser's", "createSecret", first(inBoss), func(i badinput.Input) bool { return i.Field != "dbname" }, true},
	{"the superuser's", "setSecret", inBoss, func(i badinput.Input) bool { return i.Field != "dbname" }, true},
	{"the superuser's", "preflight", inBoss, func(i badinput.Input) bool { return i.Field != "dbname" }, true},
}

func event(step, arn string) string {
	return fmt.Sprintf(`{"Step":%q,"SecretId":%q,"ClientRequestToken":%q,"RotationToken":%q}`, step, arn,
		awsemu.VersionID(2), token)
}

// TestValues: a bad value is refused wherever it stands, by every strategy.
// In make test-long it takes more than twenty seconds: some five thousand values, for each of which a function is set
// up.
func TestValues(t *testing.T) {
	t.Parallel()
	for nth, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			a := trials{t: t}
			for at, p := range places {
				if p.through && !way.through {
					continue
				}
				valid := value("app", password)
				s := right()
				s.pending = awsemu.Text(value(way.next, proposed))
				switch {
				case p.through:
					valid = value("boss", strongest)
				case strings.HasPrefix(p.name, "AWSPENDING"):
					valid = value(way.next, proposed)
				}
				for i, input := range part(t, badinput.Values(valid)) {
					// What reads a value is the same code for all: the first strategy gets every
					// input in the first place, and elsewhere they are shared out.
					if share := 3 + 2*min(nth, 1); nth+at > 0 && i%share != (nth+at)%share {
						continue
					}
					if p.only != nil && !p.only(input) {
						continue
					}
					w := newWorld(way.make, p.put(s, awsemu.Text(input.Text)))
					a.run(w.trial(p.name+" at "+p.step+": "+input.Name, event(p.step, w.arn)))
				}
			}
			a.count(500)
		})
	}
}

// TestSuperusers: a superuser secret that is none, or is for elsewhere, and a
// partner that is none.
func TestSuperusers(t *testing.T) {
	t.Parallel()
	a := trials{t: t}
	masters, alternates := badinput.Superusers(value("app", password))
	for _, way := range ways {
		if !way.through {
			continue
		}
		inputs := masters
		if way.next != "app" {
			inputs = append(inputs, alternates...)
		}
		for _, input := range part(t, inputs) {
			for _, step := range []string{"createSecret", "setSecret", "preflight"} {
				s := right()
				s.current, s.pending = awsemu.Text(input.Text), awsemu.Text(value(way.next, proposed))
				if step == "createSecret" {
					s.pending = empty
				}
				w := newWorld(way.make, s)
				a.run(w.trial(way.name+" at "+step+": "+input.Name, event(step, w.arn)))
			}
		}
	}
	a.count(300)
}

// TestEnvironments: the error names the variable and nothing is started.
func TestEnvironments(t *testing.T) {
	t.Parallel()
	a := trials{t: t}
	for _, input := range badinput.Environments() {
		a.run(badinput.Trial{Input: input.Name, Hidden: hidden, Do: func(context.Context) (rotator.Response, error) {
			err := allsettings.Read(func(name string) (string, bool) {
				if name != input.Field {
					return "", false
				}
				return input.Text, true
			})
			if err == nil {
				return nil, nil
			}
			if !strings.Contains(err.Error(), input.Field) {
				t.Errorf("%s: the error does not name the variable: %v", input.Name, err)
			}
			return nil, &rotator.StepError{Step: "start", Kind: rotator.KindOf(err), Err: err}
		}})
	}
	a.count(300)
}
