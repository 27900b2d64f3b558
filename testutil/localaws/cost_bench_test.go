package localaws_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/awsstore"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	pg "github.com/quarterturn-dev/quarterturn/strategies/postgres"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/lambdahost"
)

var modes = map[string]string{"single": "postgres-single-user", "alternating": "postgres-alternating-users"}

// costs is a world with a secret to rotate.
func costs(b *testing.B, handler string) (w *world, arn string) {
	w = newWorld(b, plan{db: tlsServer(b, newest()), handler: handler, attempts: 1})
	// An hour each millisecond: the service lets nobody make a hundred versions in a day.
	begin := time.Now()
	w.aws.AWS.Now = func() time.Time { return begin.Add(time.Since(begin) * (time.Hour / time.Millisecond)) }
	app := w.role("app", "LOGIN")
	boss := w.boss()
	superuser := w.seed("superuser", current(w.document("username", "boss", "password", boss.Password)))
	return w, w.seed("app", current(w.document("username", "app", "password", app, "masterarn", superuser)))
}

// BenchmarkSteps is what each step of a rotation by the deployed binary takes, warm:
// wall and processor time of the function, and the API calls and logins of the
// whole. "peak-MB" is the most memory that the process ever had.
func BenchmarkSteps(b *testing.B) {
	for name, handler := range modes {
		b.Run(name, func(b *testing.B) {
			w, arn := costs(b, handler)
			host := w.aws.Functions[handler]
			wall, cpu, peak := map[string]time.Duration{}, map[string]time.Duration{}, 0
			w.aws.AWS.Invoke = func(ctx context.Context, _ string, payload []byte) (awsemu.Response, error) {
				var event struct{ Step string }
				if err := json.Unmarshal(payload, &event); err != nil {
					return awsemu.Response{}, err
				}
				r, err := host.Invoke(ctx, payload)
				wall[event.Step] += r.Duration
				cpu[event.Step] += r.CPU
				peak = max(peak, r.MaxMemoryMB)
				return awsemu.Response{Payload: r.Payload, FunctionError: r.FunctionError}, err
			}
			turn := func() {
				if _, err := w.sdk.RotateSecret(b.Context(), rotateNow(arn)); err != nil {
					b.Fatal(err)
				}
				if r, err := w.aws.AWS.WaitRotation(b.Context(), arn); err != nil || r.Outcome != "RotationSucceeded" {
					b.Fatal(r.Message, err)
				}
			}
			turn() // the cold start
			clear(wall)
			clear(cpu)
			logins, calls, n := w.logins(), 0, 0
			for b.Loop() {
				w.aws.AWS.ResetCalls()
				turn()
				calls, n = calls+len(w.aws.AWS.Calls())-1, n+1
			}
			for step, d := range wall {
				b.ReportMetric(float64(d.Microseconds())/1e3/float64(n), strings.TrimSuffix(step, "Secret")+"-ms")
				b.ReportMetric(float64(cpu[step].Microseconds())/1e3/float64(n), strings.TrimSuffix(step, "Secret")+"-cpu-ms")
			}
			b.ReportMetric(float64(calls)/float64(n), "calls/op")
			b.ReportMetric(float64(w.logins()-logins)/float64(n), "logins/op")
			b.ReportMetric(float64(peak), "peak-MB")
		})
	}
}

// BenchmarkWarm holds a whole rotation, preflight included, against its own API
// calls and database operations made bare, one after another, in the same run:
// "ratio" is the one through the other, and should stay under 1.3. A bare operation
// is the engine's, called by nobody: a login and what is to be done. It runs in
// this process, so that both sides are without the way through Lambda; "left" is
// goroutines that are there afterwards and were not before.
func BenchmarkWarm(b *testing.B) {
	for name, handler := range modes {
		b.Run(name, func(b *testing.B) {
			w, arn := costs(b, handler)
			alternating := name == "alternating"
			engine := pg.Engine{Roots: w.postgres().CAs}
			var strategy rotator.Strategy = strategies.SingleUser{Engine: engine}
			if alternating {
				strategy = strategies.AlternatingUsers{Engine: engine}
			}
			cfg := aws.Config{Region: "us-east-1", BaseEndpoint: &w.aws.URL, Credentials: credentials.NewStaticCredentialsProvider("AKID", "x", "")}
			r := rotator.Rotator{Store: awsstore.New(cfg, ""), Strategy: strategy}
			var whole, parts time.Duration
			var allocated uint64
			w.aws.AWS.Invoke = awsemu.InvokeHandler(func(ctx context.Context, payload []byte) ([]byte, error) {
				begin := time.Now()
				_, err := r.HandleJSON(ctx, payload)
				whole += time.Since(begin)
				return []byte("null"), err
			})
			bare := newBare(b, w, engine)
			turn := func() {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				if got := w.rotate(arn); got.Outcome != "RotationSucceeded" {
					b.Fatal(got.Message)
				}
				runtime.ReadMemStats(&after)
				allocated += after.TotalAlloc - before.TotalAlloc
			}
			turn()
			bare.rotation(alternating)
			whole, allocated = 0, 0
			goroutines, n := runtime.NumGoroutine(), 0
			for b.Loop() {
				turn()
				begin := time.Now()
				bare.rotation(alternating)
				parts += time.Since(begin)
				n++
			}
			b.ReportMetric(float64(whole)/float64(parts), "ratio")
			b.ReportMetric(float64(whole.Microseconds())/1e3/float64(n), "rotation-ms")
			b.ReportMetric(float64(bare.api.Microseconds())/1e3/float64(n+1), "bare-API-ms")
			b.ReportMetric(float64(bare.db.Microseconds())/1e3/float64(n+1), "bare-database-ms")
			b.ReportMetric(float64(allocated)/1e3/float64(n), "allocated-kB") // with the emulator's
			for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > goroutines && time.Now().Before(deadline); {
				time.Sleep(time.Millisecond) // those that are ending
			}
			b.ReportMetric(float64(max(0, runtime.NumGoroutine()-goroutines)), "left")
		})
	}
}

// bare is the API calls and database operations of a rotation, without anything
// around them.
type bare struct {
	b      *testing.B
	w      *world
	engine pg.Engine
	arn    string
	at     int // rotations so far
	user   strategies.Login
	boss   strategies.Login
	api    time.Duration
	db     time.Duration
}

func newBare(b *testing.B, w *world, engine pg.Engine) *bare {
	login := func(user, password string) strategies.Login {
		return strategies.Login{Host: w.postgres().Host, Port: w.postgres().Port, Database: "postgres", User: user, Password: secret.NewPassword(password)}
	}
	p := &bare{b: b, w: w, engine: engine, user: login("bare", w.role("bare", "LOGIN")), boss: login("bareboss", w.role("bareboss", "LOGIN CREATEROLE"))}
	w.exec("GRANT bare TO bareboss WITH ADMIN OPTION")
	p.arn = w.seed("bare", current(w.document("username", "bare", "password", "none")))
	return p
}

func (p *bare) rotation(alternating bool) {
	ctx, nobody, label := p.b.Context(), awsemu.VersionID(999999), "AWSCURRENT"
	ok := func(err error) {
		if err != nil {
			p.b.Fatal(err)
		}
	}
	timed := func(sum *time.Duration, f func()) {
		begin := time.Now()
		f()
		*sum += time.Since(begin)
	}
	describe := func() {
		_, err := p.w.sdk.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &p.arn})
		ok(err)
	}
	get := func(label string) {
		_, err := p.w.sdk.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &p.arn, VersionStage: &label})
		ok(err)
	}
	p.at++
	from, to := awsemu.VersionID(p.at), awsemu.VersionID(p.at+1)
	timed(&p.api, func() {
		describe() // createSecret
		get(label)
		p.w.sdk.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{SecretId: &p.arn, VersionStage: &label, MoveToVersionId: &nobody, RemoveFromVersionId: &nobody})
		_, err := p.w.sdk.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: &p.arn, ClientRequestToken: &to,
			SecretString: aws.String(p.w.document("username", "bare", "password", "other")), VersionStages: []string{"AWSPENDING"}})
		ok(err)
		describe() // setSecret
		get(label)
		get("AWSPENDING")
		get("AWSPENDING") // testSecret
		describe()        // finishSecret
		_, err = p.w.sdk.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{SecretId: &p.arn, VersionStage: &label, MoveToVersionId: &to, RemoveFromVersionId: &from})
		ok(err)
		if alternating { // the superuser's secret, in both of the first steps
			get(label)
			get(label)
		}
	})
	next := secret.NewPassword("canary-" + rand.Text())
	p.w.canaries = append(p.w.canaries, next.Reveal())
	timed(&p.db, func() {
		if !alternating {
			_, err := p.engine.DryRunSetPassword(ctx, p.user, p.user.User, secret.NewPassword("Rehearsed-1"+rand.Text()))
			ok(err)
			ok(p.engine.SetPassword(ctx, p.user, p.user.User, next))
			p.user.Password = next
			ok(p.engine.Ping(ctx, p.user))
			return
		}
		pair := strategies.Pair{Original: "bare", Clone: "bare_clone", Target: "bare_clone"}
		if p.at%2 == 0 {
			pair.Target = "bare"
		}
		ok(p.engine.Ping(ctx, p.user))
		_, err := p.engine.DryRunEnsureClone(ctx, p.boss, pair, secret.NewPassword("Rehearsed-1"+rand.Text()))
		ok(err)
		ok(p.engine.Ping(ctx, p.user))
		ok(p.engine.EnsureClone(ctx, p.boss, pair, next))
		p.user.User, p.user.Password = pair.Target, next
		ok(p.engine.Ping(ctx, p.user))
	})
}

// BenchmarkColdStart is the first invocation of a process: how long until it asks
// for its first event, how long that event (a preflight, which does most of what a
// rotation does) takes, and on how much processor time; and how large the binary
// is, as it is shipped and in a zip.
func BenchmarkColdStart(b *testing.B) {
	for name, handler := range modes {
		b.Run(name, func(b *testing.B) {
			w, arn := costs(b, handler)
			host := w.aws.Functions[handler]
			event := []byte(`{"Step":"preflight","SecretId":"` + arn + `"}`)
			var sum, warm lambdahost.Result
			n := 0
			for b.Loop() {
				host.Kill()
				r, err := host.Invoke(b.Context(), event)
				if err != nil || r.FunctionError != "" || !r.Cold {
					b.Fatal(r.ErrorMessage, err)
				}
				sum.Init, sum.Duration, sum.CPU = sum.Init+r.Init, sum.Duration+r.Duration, sum.CPU+r.CPU
				again, err := host.Invoke(b.Context(), event)
				if err != nil {
					b.Fatal(err)
				}
				warm.Duration, warm.CPU = warm.Duration+again.Duration, warm.CPU+again.CPU
				sum.MaxMemoryMB = max(sum.MaxMemoryMB, again.MaxMemoryMB)
				n++
			}
			ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 / float64(n) }
			b.ReportMetric(ms(sum.Init), "init-ms")
			b.ReportMetric(ms(sum.Duration), "first-ms")
			b.ReportMetric(ms(sum.CPU), "cpu-ms")
			b.ReportMetric(ms(warm.Duration), "warm-ms")
			b.ReportMetric(ms(warm.CPU), "warm-cpu-ms")
			b.ReportMetric(float64(sum.MaxMemoryMB), "peak-MB")
			binary, err := os.ReadFile(bootstrap(b, handler))
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(len(binary))/1e6, "binary-MB")
			b.ReportMetric(float64(zipped(b, binary))/1e6, "zip-MB")
		})
	}
}

func zipped(b *testing.B, binary []byte) int {
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	f, err := z.Create("bootstrap")
	if err == nil {
		_, err = io.Copy(f, bytes.NewReader(binary))
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		b.Fatal(err)
	}
	return buf.Len()
}
