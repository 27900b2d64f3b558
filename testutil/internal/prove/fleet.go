package prove

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/awsstore"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/rotationtest"
)

// Fleet is many secrets that rotate at the same time: the emulator over HTTP, the
// core and the AWS SDK in this process, and a database in memory for each.
type Fleet struct {
	Secrets         int
	AtOnce          int // rotations under way
	WritesPerSecond int // the service's quota; 0: none
}

// FleetResult is what became of a Fleet.
type FleetResult struct {
	Fleet
	Elapsed         time.Duration
	Failed          int // rotations that the service gave up
	Attempts        int // of whole rotations, all secrets together
	Needed, Arrived int // writes to Secrets Manager: three for a rotation, and what came
	EarlyTook       time.Duration
	LateTook        time.Duration // of one rotation, in the first and in the last stretch
	EarlyAlloc      uint64        // bytes, of one rotation
	LateAlloc       uint64        //
	Goroutines      int           // that were left
	// bytes of heap more for each rotation, between the two stretches: the emulator keeps histories
	Retained          int
	EarlyFrom, LateTo int // the stretches: rotations
}

// writes of one rotation that share a quota: the probe of createSecret, the value,
// the label.
const writes = 3

// Run rotates each secret once.
func (f Fleet) Run(ctx context.Context) (s FleetResult, err error) {
	s.Fleet = f
	before := runtime.NumGoroutine()
	emu := &awsemu.Emulator{WritesPerSecond: f.WritesPerSecond, Backoff: func(n int) time.Duration {
		return time.Duration(n) * time.Second
	}}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return s, err
	}
	server := &http.Server{Handler: emu}
	go server.Serve(listener)
	defer server.Close()
	defer emu.Close()
	url := "http://" + listener.Addr().String()
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 2 * f.AtOnce
	client := &http.Client{Transport: transport, Timeout: time.Minute}

	var arrived atomic.Int64
	emu.Observe = func(c awsemu.Call) {
		if c.Operation == "PutSecretValue" || c.Operation == "UpdateSecretVersionStage" {
			arrived.Add(1)
		}
	}
	cfg := aws.Config{
		Region: "us-east-1", BaseEndpoint: &url, Credentials: credentials.NewStaticCredentialsProvider("AKID", "x", ""),
		HTTPClient: client,
		Retryer: func() aws.Retryer { // as package serve has it
			return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = time.Second })
		},
	}
	store := awsstore.New(cfg, "")
	databases := map[string]*strategytest.Memory{}
	emu.Invoke = awsemu.InvokeHandler(func(ctx context.Context, payload []byte) ([]byte, error) {
		var event struct{ SecretId string }
		if err := json.Unmarshal(payload, &event); err != nil {
			return nil, err
		}
		_, err := rotator.Rotator{Store: store,
			Strategy: strategies.SingleUser{Engine: databases[event.SecretId]}}.HandleJSON(ctx, payload)
		return []byte("null"), err
	})
	arns := make([]string, f.Secrets)
	for i := range arns {
		db := &strategytest.Memory{}
		password := fmt.Sprintf("first-%d", i)
		db.Add(strategytest.Account{Name: "app", Password: secret.NewPassword(password)})
		text := fmt.Sprintf(`{"engine":"memory","host":%q,"username":"app","password":%q}`, strategytest.MemoryHost, password)
		arns[i] = emu.Seed(awsemu.Secret{
			Name: fmt.Sprintf("fleet/%d", i), RotationEnabled: new(true),
			RotationLambdaARN: "arn:aws:lambda:us-east-1:123456789012:function:fleet",
			Versions:          []awsemu.Version{{Labels: []string{rotator.LabelCurrent}, Value: awsemu.Text(text)}},
		})
		databases[arns[i]] = db
	}
	sdk := secretsmanager.New(secretsmanager.Options{BaseEndpoint: &url, Region: "us-east-1",
		Credentials: cfg.Credentials, HTTPClient: client})

	stretch := max(1, f.Secrets/10)
	s.EarlyFrom, s.LateTo = min(100, stretch), f.Secrets
	begin := time.Now()
	var heap [2]uint64
	batch := func(from, to int) (took time.Duration, alloc uint64, err error) {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		alloc = m.TotalAlloc
		start := time.Now()
		err = s.rotate(ctx, emu, sdk, arns[from:to])
		took = time.Since(start) / time.Duration(to-from)
		runtime.ReadMemStats(&m)
		return took, (m.TotalAlloc - alloc) / uint64(to-from), err
	}
	var errs []error
	for from := 0; from < f.Secrets && ctx.Err() == nil; {
		to := min(from+stretch, f.Secrets)
		if from == 0 {
			to = s.EarlyFrom // warms up: connections, code
		}
		took, alloc, err := batch(from, to)
		errs = append(errs, err)
		switch {
		case from == s.EarlyFrom:
			s.EarlyTook, s.EarlyAlloc = took, alloc
			heap[0] = live()
		case to == f.Secrets:
			s.LateTook, s.LateAlloc = took, alloc
			heap[1] = live()
		}
		emu.ResetCalls()
		from = to
	}
	s.Elapsed = time.Since(begin)
	s.Needed, s.Arrived = writes*f.Secrets, int(arrived.Load())
	if n := f.Secrets - 2*stretch; n > 0 {
		s.Retained = (int(heap[1]) - int(heap[0])) / n
	}
	transport.CloseIdleConnections()
	errs = append(errs, emu.Close(), server.Close())
	s.Goroutines = left(before)
	for i, arn := range arns {
		current := emu.Snapshot(arn).Holder(rotator.LabelCurrent)
		doc, err := secret.ParseDocument(string(current.Value.Reveal()))
		if err != nil {
			return s, err
		}
		if a, _ := databases[arn].Account("app"); !a.Password.Equal(doc.Password()) {
			errs = append(errs, fmt.Errorf("secret %d: %w: AWSCURRENT does not log in", i,
				rotationtest.ViolationLockedOut))
		}
	}
	return s, errors.Join(errs...)
}

// rotate rotates some secrets, AtOnce of them at a time.
func (s *FleetResult) rotate(ctx context.Context, emu *awsemu.Emulator, sdk *secretsmanager.Client,
	arns []string) error {
	work := make(chan string)
	var mu sync.Mutex
	var errs []error
	var workers sync.WaitGroup
	for range s.AtOnce {
		workers.Go(func() {
			for arn := range work {
				_, err := sdk.RotateSecret(ctx, &secretsmanager.RotateSecretInput{SecretId: &arn})
				var r awsemu.Rotation
				if err == nil {
					r, err = emu.WaitRotation(ctx, arn)
				}
				mu.Lock()
				s.Attempts += len(r.Attempts)
				if err == nil && r.Outcome != "RotationSucceeded" {
					s.Failed++
					if !strings.Contains(r.Message, string(rotator.KindThrottled)) {
						err = errors.New(r.Message)
					}
				}
				if err != nil {
					errs = append(errs, err)
				}
				mu.Unlock()
			}
		})
	}
	for _, arn := range arns {
		work <- arn
	}
	close(work)
	workers.Wait()
	return errors.Join(errs...)
}

// left is how many goroutines there are beyond so many, when those that were ending
// have had time to.
func left(before int) int {
	for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond)
	}
	return max(0, runtime.NumGoroutine()-before)
}

// live is how much of the heap is in use.
func live() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
