package samtest

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/quarterturn-dev/quarterturn/testutil/localaws"
)

// BenchmarkInit is what a cold start costs before the first event: the processor time
// of the real bootstrap, user and system, from its start until it asks the Runtime API
// for an event. Lambda gives 128 MB a fourteenth of a core, so that a millisecond here
// is many there (during init itself it gives more).
//
//	go test -run '^$' -bench Init -v ./testutil/samtest
//
// What dominates, measured on two cores of an AMD EPYC in November 2026: of 4.6 ms in
// all, 1.9 are those of any Go program that speaks HTTP, 1.0 is the SDK's
// LoadDefaultConfig, 1.0 the tables of the clients of Secrets Manager, KMS and IAM, and
// the rest the driver, the authorities of Amazon RDS (parsed at the first login) and
// what is ours. The project allows itself 20.
//
// With -v it prints the packages whose initialisation takes longest, as the Go runtime
// tells them (GODEBUG=inittrace=1).
func BenchmarkInit(b *testing.B) {
	names := handlers(b)
	built, err := localaws.Build(b.Context(), b.TempDir(), names...)
	if err != nil {
		b.Fatal(err)
	}
	for _, name := range names {
		b.Run(name, func(b *testing.B) {
			var cpu []time.Duration
			for b.Loop() {
				spent, _ := start(b, built[name])
				cpu = append(cpu, spent)
			}
			slices.Sort(cpu)
			b.ReportMetric(float64(cpu[len(cpu)/2].Microseconds())/1e3, "cpu-ms/op")
			_, trace := start(b, built[name], "GODEBUG=inittrace=1")
			b.Log(slowest(trace, 6))
		})
	}
}

// start runs a bootstrap until it asks for its first event.
func start(b *testing.B, bootstrap string, env ...string) (cpu time.Duration, stderr string) {
	b.Helper()
	asked, done := make(chan struct{}, 1), make(chan struct{})
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-done
	}))
	defer api.Close()
	defer close(done)
	var text bytes.Buffer
	cmd := exec.CommandContext(b.Context(), bootstrap)
	cmd.Env = append([]string{
		"AWS_LAMBDA_RUNTIME_API=" + strings.TrimPrefix(api.URL, "http://"), "AWS_REGION=us-east-1",
		"AWS_LAMBDA_FUNCTION_NAME=f",
		"AWS_ACCESS_KEY_ID=ASIA", "AWS_SECRET_ACCESS_KEY=x", "AWS_SESSION_TOKEN=x",
	}, env...)
	cmd.Stderr = &text
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	<-asked
	cmd.Process.Kill()
	cmd.Wait() // killed
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), text.String()
}

var initialised = regexp.MustCompile(`^init (\S+) @\S+ ms, (\S+) ms clock`)

// slowest reads an inittrace.
func slowest(trace string, n int) string {
	type cost struct {
		pkg string
		ms  float64
	}
	var costs []cost
	total := 0.0
	for lines := bufio.NewScanner(strings.NewReader(trace)); lines.Scan(); {
		if m := initialised.FindStringSubmatch(lines.Text()); m != nil {
			ms, _ := strconv.ParseFloat(m[2], 64)
			costs, total = append(costs, cost{m[1], ms}), total+ms
		}
	}
	slices.SortFunc(costs, func(a, b cost) int { return int((b.ms - a.ms) * 1e6) })
	text := fmt.Sprintf("%.2f ms in the initialisation of %d packages, of which\n", total, len(costs))
	for _, c := range costs[:min(n, len(costs))] {
		text += fmt.Sprintf("%7.2f ms  %s\n", c.ms, c.pkg)
	}
	return text
}
