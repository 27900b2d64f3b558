package localaws_test

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/internal/archive"
	"github.com/quarterturn-dev/quarterturn/testutil/lambdahost"
)

var modes = map[string]string{"single": "postgres-single-user", "alternating": "postgres-alternating-users"}

// costs is a world with a secret to rotate.
func costs(b *testing.B, handler string) (w *world, arn string) {
	w = newWorld(b, plan{db: tlsServer(b, newest()), handler: handler, attempts: 1})
	// An hour each millisecond: the service lets nobody make a hundred versions in a day.
	begin := time.Now()
	w.aws.AWS.Now = func() time.Time { return begin.Add(time.Since(begin) * (time.Hour / time.Millisecond)) }
	app := w.role("app")
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
			zipped, err := archive.Bootstrap(binary)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(len(zipped))/1e6, "zip-MB")
		})
	}
}
