package rotationtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
)

// ServiceConfig is what a Service is opened with. Current is required, and so is Strategy or Deploy. Its functions may
// be called by many goroutines at once.
type ServiceConfig struct {
	Strategy  rotator.Strategy // for a function in this process
	Preflight rotator.PreflightMode
	Deploy    Deploy // nil: the function is in this process

	Current  secret.Document
	Previous secret.Document            // zero: there is none
	Pending  secret.Document            // of a rotation that is not complete; zero: there is none
	Related  map[string]secret.Document // other secrets that Current names, by ARN

	// BeforeCall is asked before each API call of the function, and AfterCall told when it was carried out and not yet
	// answered. nil: nothing goes wrong.
	BeforeCall func(operation string) Fault
	AfterCall  func(operation string)
	// Step runs in place of each step. nil: just invoke.
	Step StepFunc
}

// StepFunc runs one step, by invoke or otherwise.
type StepFunc func(ctx context.Context, step rotator.Step, invoke Invoke) error

// Invoke calls the function once, for the version that is being rotated.
type Invoke func(ctx context.Context, step rotator.Step) error

// Deploy makes a function that finds its secrets in an emulator, which it may put on an address. What the function
// prints goes to out.
type Deploy func(emulator *awsemu.Emulator, out io.Writer) (Function, error)

// A Function is what a Service rotates by.
type Function interface {
	ARN() string
	// Invoke calls it once, with an event. Many goroutines may.
	Invoke(ctx context.Context, event []byte) error
	// Kill ends each process of it, whatever it is doing, and returns when it can do nothing more. The next call runs
	// in another.
	Kill()
	Close() error
}

// Fault is what goes wrong with one API call.
type Fault string

const (
	FaultNone        Fault = ""
	FaultThrottled   Fault = "throttled"
	FaultServerError Fault = "server error"
	FaultExpired     Fault = "expired credentials"
	FaultDenied      Fault = "access denied"
	FaultKeyDisabled Fault = "key disabled"
	FaultStale       Fault = "stale read"
	FaultSlow        Fault = "slow"
	FaultLostAnswer  Fault = "lost answer" // carried out, and never answered
	FaultLostCall    Fault = "lost call"   // neither
)

// faults is all of them.
func faults() []Fault {
	return []Fault{FaultThrottled, FaultServerError, FaultExpired, FaultDenied, FaultKeyDisabled, FaultStale, FaultSlow,
		FaultLostAnswer, FaultLostCall}
}

// appliesTo says whether a fault makes a difference to an operation.
func (f Fault) appliesTo(operation string) bool {
	switch f {
	case FaultStale:
		return operation == "GetSecretValue" || operation == "DescribeSecret"
	case FaultKeyDisabled:
		return operation == "GetSecretValue" || operation == "PutSecretValue"
	}
	return true
}

// rotationSteps are the steps of a rotation, in order.
func rotationSteps() []rotator.Step {
	return []rotator.Step{rotator.StepCreateSecret, rotator.StepSetSecret, rotator.StepTestSecret,
		rotator.StepFinishSecret}
}

// Service is one secret in an emulator of Secrets Manager, and the function that rotates it.
type Service struct {
	config   ServiceConfig
	emulator *awsemu.Emulator
	function Function
	sdk      *secretsmanager.Client // of a person: what happens to the function's calls does not happen to theirs
	arn      string
	output   output
	days     atomic.Int64

	changes atomic.Int64 // how often a call may have changed the secret
	seen    atomic.Pointer[snapshot]

	mu     sync.Mutex
	failed error // of the latest step
}

// snapshot is the secret after so many changes. It is read far more often than it changes.
type snapshot struct {
	changes int64
	secret  awsemu.Secret
}

// operator is the access key of a person.
const operator = "OPERATOR"

// Open starts a Service. It closes what it has begun if it fails.
func Open(c ServiceConfig) (*Service, error) {
	region := "us-east-1"
	if parts := strings.Split(c.Current.Text("masterarn"), ":"); len(parts) > 4 && parts[0] == "arn" {
		region = parts[3] // a function reads secrets of its own Region alone
	}
	s := &Service{config: c, emulator: &awsemu.Emulator{Region: region, Attempts: 1}}
	// A rotation a day: the service lets nobody make a hundred versions in one.
	s.emulator.Now = func() time.Time { return time.Now().Add(time.Duration(s.days.Load()) * 25 * time.Hour) }
	deploy := c.Deploy
	if deploy == nil {
		deploy = inProcess(region, c.Strategy, c.Preflight)
	}
	var err error
	if s.function, err = deploy(s.emulator, &s.output); err != nil {
		return nil, errors.Join(err, s.emulator.Close())
	}
	s.emulator.Fault = s.fault
	s.emulator.Invoke = awsemu.InvokeHandler(s.invoke)
	s.sdk = secretsmanager.NewFromConfig(configOf(region, operator, s.emulator.Client()))
	for id, d := range c.Related {
		current := map[string]secret.Document{rotator.LabelCurrent: d}
		s.emulator.Seed(awsemu.Secret{Name: "related", ARN: id, Versions: versions(current)})
	}
	s.arn = s.emulator.Seed(awsemu.Secret{
		Name: "app", RotationEnabled: new(true), RotationLambdaARN: s.function.ARN(),
		Versions: versions(map[string]secret.Document{
			rotator.LabelPrevious: c.Previous, rotator.LabelCurrent: c.Current, rotator.LabelPending: c.Pending,
		}),
	})
	return s, nil
}

// versions are the values that there are, the oldest first.
func versions(values map[string]secret.Document) (all []awsemu.Version) {
	for _, label := range []string{rotator.LabelPrevious, rotator.LabelCurrent, rotator.LabelPending} {
		if d := values[label]; !d.IsZero() {
			all = append(all, awsemu.Version{Labels: []string{label}, Value: awsemu.Text(d.Encode().Reveal())})
		}
	}
	return all
}

func configOf(region, accessKey string, client aws.HTTPClient) aws.Config {
	return aws.Config{
		Region: region, Credentials: credentials.NewStaticCredentialsProvider(accessKey, "x", ""), HTTPClient: client,
		Retryer: func() aws.Retryer { return aws.NopRetryer{} },
	}
}

// fault puts what was asked for into the emulator's words.
func (s *Service) fault(c awsemu.Call) (f awsemu.Fault) {
	f.After = func() {
		s.changes.Add(1)
		if c.AccessKey != operator && s.config.AfterCall != nil {
			s.config.AfterCall(c.Operation)
		}
	}
	if c.AccessKey == operator || s.config.BeforeCall == nil {
		return f
	}
	switch s.config.BeforeCall(c.Operation) {
	case FaultThrottled:
		f.Throttle = true
	case FaultServerError:
		f.ServerError = true
	case FaultExpired:
		f.ExpiredToken = true
	case FaultDenied:
		f.Deny = true
	case FaultKeyDisabled:
		f.DecryptionFailure, f.EncryptionFailure = true, true
	case FaultStale:
		f.Stale = true
	case FaultSlow:
		f.Delay = 30 * time.Millisecond
	case FaultLostAnswer:
		f.LoseResponse = true
	case FaultLostCall:
		// A call that hangs takes the function seconds. They are waited for where it is deployed.
		_, here := s.function.(*local)
		f.LoseRequest, f.Hang = here, !here
	}
	return f
}

// invoke is how the emulator reaches the function: by way of Step.
func (s *Service) invoke(ctx context.Context, event []byte) ([]byte, error) {
	var members map[string]string
	if err := json.Unmarshal(event, &members); err != nil {
		return nil, err
	}
	call := func(ctx context.Context, step rotator.Step) error {
		mine := maps.Clone(members)
		mine["Step"] = string(step)
		body, err := json.Marshal(mine)
		if err != nil {
			return err
		}
		return s.function.Invoke(ctx, body)
	}
	run, step := s.config.Step, rotator.Step(members["Step"])
	if run == nil {
		run = func(ctx context.Context, step rotator.Step, invoke Invoke) error { return invoke(ctx, step) }
	}
	err := run(ctx, step, call)
	if err != nil {
		err = fmt.Errorf("%s: %w", step, err)
	}
	s.fail(err)
	return []byte("null"), err
}

func (s *Service) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = err
}

func (s *Service) lastFailure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

// Rotate begins a rotation, or goes on with the one that is not complete, and tries it so many times. nil: it is
// complete. Otherwise the error wraps that of the step that failed.
func (s *Service) Rotate(ctx context.Context, attempts int) (err error) {
	for range attempts {
		s.days.Add(1)
		s.fail(nil)
		_, refused := s.sdk.RotateSecret(ctx, &secretsmanager.RotateSecretInput{SecretId: &s.arn})
		// This one error says that the rotation before it is tried again.
		if incomplete := new(types.InvalidRequestException); refused != nil && !errors.As(refused, &incomplete) {
			return refused
		}
		r, waiting := s.emulator.WaitRotation(ctx, s.arn)
		s.changes.Add(1) // AWSPENDING goes with the end of a rotation
		switch {
		case waiting != nil:
			return waiting
		case r.Outcome == "RotationSucceeded":
			return nil
		}
		if err = s.lastFailure(); err == nil {
			err = fmt.Errorf("%s: %s", r.Outcome, r.Message)
		}
	}
	return err
}

// PutByHand stores a value by hand, which becomes AWSCURRENT.
func (s *Service) PutByHand(ctx context.Context, d secret.Document) error {
	text := d.Encode().Reveal()
	_, err := s.sdk.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: &s.arn, SecretString: &text})
	return err
}

// ValueAt gives the value under a label; zero: there is none.
func (s *Service) ValueAt(label string) secret.Document {
	changes := s.changes.Load()
	seen := s.seen.Load()
	if seen == nil || seen.changes != changes {
		seen = &snapshot{changes, s.emulator.Snapshot(s.arn)}
		s.seen.Store(seen)
	}
	d, err := secret.ParseDocument(string(seen.secret.Holder(label).Value.Reveal()))
	if err != nil {
		return secret.Document{} // an empty version
	}
	return d
}

// Kill ends each process of the function.
func (s *Service) Kill() { s.function.Kill() }

// Output is everything that the function has printed and answered, and what the emulator says of its calls.
func (s *Service) Output() string {
	last, _ := s.emulator.WaitRotation(context.Background(), s.arn)
	return fmt.Sprintf("%s\n%+v\n%+v\n%+v", s.output.String(), s.emulator.Calls(), s.emulator.Events(), last.Message)
}

// Close ends a rotation that is running, and the function.
func (s *Service) Close() error { return errors.Join(s.emulator.Close(), s.function.Close()) }

// output keeps what is written by many.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
