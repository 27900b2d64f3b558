package prove

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/lambdahost"
	"github.com/quarterturn-dev/quarterturn/testutil/localaws"
	"github.com/quarterturn-dev/quarterturn/testutil/rotationtest"
)

// Function is a rotation function as it is deployed: the binary that the Lambda
// runtime runs. The secrets are in us-east-1: a masterarn has to name that Region.
type Function struct {
	Bootstrap string
	Env       []string // "K=V"
	Timeout   time.Duration
	// Peak is given the most memory, in MB, that any process of it had. nil: nobody
	// wants to know.
	Peak *atomic.Int64
}

// Open is for rotationtest.Fixture: the secret is in an emulator of Secrets
// Manager and the function a process, which Kill ends with SIGKILL.
func (f Function) Open(s rotationtest.ServiceConfig) (rotationtest.Service, error) {
	d := &deployed{setting: s, function: f}
	opened, err := localaws.Start(localaws.Config{
		Functions: []localaws.Function{{Name: "rotate", Bootstrap: f.Bootstrap, Env: f.Env, Timeout: f.Timeout}},
		Output:    &d.output,
		Prepare: func(e *awsemu.Emulator) {
			e.Attempts = 1
			e.Fault = d.fault
			e.Invoke = d.invoke
			// A rotation a day: the service lets nobody make a hundred versions in one.
			e.Now = func() time.Time { return time.Now().Add(time.Duration(d.days.Load()) * 25 * time.Hour) }
		},
	})
	if err != nil {
		return nil, err
	}
	d.stage, d.host = opened, opened.Functions["rotate"]
	for id, doc := range s.Related {
		d.stage.AWS.Seed(awsemu.Secret{Name: "related", ARN: id, Versions: []awsemu.Version{{
			Labels: []string{rotator.LabelCurrent}, Value: awsemu.Text(doc.Encode().Reveal()),
		}}})
	}
	var versions []awsemu.Version
	for label, doc := range map[string]secret.Document{rotator.LabelCurrent: s.Current, rotator.LabelPrevious: s.Previous, rotator.LabelPending: s.Pending} {
		if !doc.IsZero() {
			versions = append(versions, awsemu.Version{Labels: []string{label}, Value: awsemu.Text(doc.Encode().Reveal())})
		}
	}
	d.arn = d.stage.AWS.Seed(awsemu.Secret{
		Name: "app", RotationEnabled: new(true), RotationLambdaARN: d.host.ARN(),
		Versions: versions,
	})
	d.sdk = secretsmanager.New(secretsmanager.Options{
		BaseEndpoint: &opened.URL, Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider(operator, "x", ""),
	})
	return d, nil
}

// operator is the access key of whoever starts rotations: what happens to the
// function's calls does not happen to theirs.
const operator = "OPERATOR"

type deployed struct {
	setting  rotationtest.ServiceConfig
	function Function
	stage    *localaws.Env
	sdk      *secretsmanager.Client
	arn      string
	output   lambdahost.Output
	days     atomic.Int64

	mu    sync.Mutex
	host  *lambdahost.Host
	spare *lambdahost.Host // for an invocation while host is busy: Lambda would scale out
	busy  bool
}

// fault puts what the suite asks for into the emulator's words.
func (d *deployed) fault(c awsemu.Call) awsemu.Fault {
	if c.AccessKey == operator {
		return awsemu.Fault{}
	}
	f := awsemu.Fault{After: func() { d.setting.AfterCall(c.Operation) }}
	switch d.setting.BeforeCall(c.Operation) {
	case rotationtest.FaultThrottled:
		f.Throttle = true
	case rotationtest.FaultServerError:
		f.ServerError = true
	case rotationtest.FaultExpired:
		f.ExpiredToken = true
	case rotationtest.FaultDenied:
		f.Deny = true
	case rotationtest.FaultKeyDisabled:
		f.DecryptionFailure, f.EncryptionFailure = true, true
	case rotationtest.FaultStale:
		f.Stale = true
	case rotationtest.FaultSlow:
		f.Delay = 30 * time.Millisecond
	case rotationtest.FaultLostAnswer:
		f.LoseResponse = true
	case rotationtest.FaultLostCall:
		f.Hang = true
	}
	return f
}

// invoke is how the emulator reaches the function: by way of the suite.
func (d *deployed) invoke(ctx context.Context, _ string, payload []byte) (answer awsemu.Response, err error) {
	var event map[string]string
	if err := json.Unmarshal(payload, &event); err != nil {
		return answer, err
	}
	var mu sync.Mutex
	failed := d.setting.Step(ctx, rotator.Step(event["Step"]), func(ctx context.Context, step rotator.Step) error {
		mine := map[string]string{}
		for k, v := range event {
			mine[k] = v
		}
		mine["Step"] = string(step)
		body, err := json.Marshal(mine)
		if err != nil {
			return err
		}
		result, err := d.call(ctx, body)
		if err == nil && result.FunctionError != "" {
			err = fmt.Errorf("%s: %s", result.ErrorType, result.ErrorMessage)
		}
		mu.Lock()
		answer = awsemu.Response{Payload: result.Payload, FunctionError: result.FunctionError}
		mu.Unlock()
		return err
	})
	if failed == nil {
		return awsemu.Response{Payload: []byte("null")}, nil
	}
	if answer.FunctionError == "" { // the suite has failed the step
		body, err := json.Marshal(map[string]string{"errorType": "suite", "errorMessage": failed.Error()})
		return awsemu.Response{Payload: body, FunctionError: "Unhandled"}, err
	}
	return answer, nil
}

// call invokes the function, or a second instance of it while the first is busy.
func (d *deployed) call(ctx context.Context, payload []byte) (lambdahost.Result, error) {
	d.mu.Lock()
	host := d.host
	first := !d.busy
	if first {
		d.busy = true
	} else {
		if d.spare == nil {
			spare, err := lambdahost.Start(lambdahost.Function{
				Name: "rotate", Bootstrap: d.function.Bootstrap, Timeout: d.function.Timeout, Output: &d.output,
				Env: append([]string{"AWS_ENDPOINT_URL=" + d.stage.URL}, d.function.Env...),
			})
			if err != nil {
				d.mu.Unlock()
				return lambdahost.Result{}, err
			}
			d.spare = spare
		}
		host = d.spare
	}
	d.mu.Unlock()
	result, err := host.Invoke(ctx, payload)
	d.mu.Lock()
	defer d.mu.Unlock()
	if first {
		d.busy = false
	}
	if peak := d.function.Peak; peak != nil {
		for old := peak.Load(); int64(result.MaxMemoryMB) > old && !peak.CompareAndSwap(old, int64(result.MaxMemoryMB)); old = peak.Load() {
		}
	}
	return result, err
}

func (d *deployed) Rotate(ctx context.Context, attempts int) (err error) {
	for range attempts {
		d.days.Add(1)
		_, refused := d.sdk.RotateSecret(ctx, &secretsmanager.RotateSecretInput{SecretId: &d.arn})
		// This one error says that the rotation before it is tried again.
		if incomplete := new(types.InvalidRequestException); refused != nil && !errors.As(refused, &incomplete) {
			return refused
		}
		r, waiting := d.stage.AWS.WaitRotation(ctx, d.arn)
		switch {
		case waiting != nil:
			return waiting
		case r.Outcome == "RotationSucceeded":
			return nil
		}
		err = fmt.Errorf("%s: %s", r.Outcome, r.Message)
	}
	return err
}

func (d *deployed) PutByHand(ctx context.Context, doc secret.Document) error {
	text := doc.Encode().Reveal()
	_, err := d.sdk.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: &d.arn, SecretString: &text})
	return err
}

func (d *deployed) ValueAt(label string) secret.Document {
	doc, err := secret.ParseDocument(string(d.stage.AWS.Snapshot(d.arn).Holder(label).Value.Reveal()))
	if err != nil {
		return secret.Document{} // an empty version
	}
	return doc
}

func (d *deployed) Kill() {
	d.mu.Lock()
	host, spare := d.host, d.spare
	d.mu.Unlock()
	host.Kill()
	if spare != nil {
		spare.Kill()
	}
}

func (d *deployed) Output() string {
	last, _ := d.stage.AWS.WaitRotation(context.Background(), d.arn)
	return fmt.Sprintf("%s\n%+v\n%+v\n%+v", d.output.String(), d.stage.AWS.Calls(), d.stage.AWS.Events(), last.Message)
}

func (d *deployed) Close() error {
	err := d.stage.Close()
	d.mu.Lock()
	spare := d.spare
	d.mu.Unlock()
	if spare != nil {
		err = errors.Join(err, spare.Close())
	}
	return err
}
