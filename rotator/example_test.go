package rotator_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/awsstore"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
)

// world is a secret in an emulated account, and the database that it is for.
func world(password string) (r rotator.Rotator, arn string, end func()) {
	emu := &awsemu.Emulator{}
	server := httptest.NewServer(emu)
	arn = emu.Seed(awsemu.Secret{Name: "app", RotationEnabled: aws.Bool(true), Versions: []awsemu.Version{
		{Labels: []string{"AWSCURRENT"}, Value: awsemu.Text(`{"engine":"memory","host":"db.example.com","username":"app","password":"in-use"}`)},
		{Labels: []string{"AWSPENDING"}}, // empty: the service makes it so
	}})
	var db strategytest.Memory
	db.Add(strategytest.Account{Name: "app", Password: secret.NewPassword(password)})
	cfg := aws.Config{
		Region: "us-east-1", BaseEndpoint: &server.URL,
		Credentials: credentials.NewStaticCredentialsProvider("AKID", "any", ""),
	}
	return rotator.Rotator{
		Store:    awsstore.New(cfg, server.URL),
		Strategy: strategies.SingleUser{Engine: &db},
	}, arn, func() { server.Close(); emu.Close() }
}

// Secrets Manager sends four events. In a Lambda function, package serve does this.
func Example() {
	r, arn, end := world("in-use")
	defer end()
	r.Observe = func(_ context.Context, rec rotator.Record) { fmt.Println(rec.Step, rec.Outcome) }
	for _, step := range []rotator.Step{
		rotator.StepCreateSecret, rotator.StepSetSecret, rotator.StepTestSecret, rotator.StepFinishSecret,
	} {
		event := rotator.Event{Step: step, SecretID: arn, VersionID: awsemu.VersionID(2)}
		if err := r.Handle(context.Background(), event); err != nil {
			fmt.Println(err)
		}
	}
	// Output:
	// createSecret done
	// setSecret done
	// testSecret done
	// finishSecret done
}

// What a rotation needs is tested before there is one.
func ExampleRotator_Preflight() {
	r, arn, end := world("changed-by-hand")
	defer end()
	report, err := r.Preflight(context.Background(), arn)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(report.Verdict(), report.Counts()[rotator.StatusFailed])
	for _, f := range report.Blocking() {
		fmt.Println(f.ID, f.Status, f.Kind)
	}
	// Output:
	// blocked 1
	// P2 failed login rejected
}

// A secret whose password was changed by hand, and what to do about it.
func ExampleRotator_Diagnose() {
	r, arn, end := world("changed-by-hand")
	defer end()
	d, err := r.Diagnose(context.Background(), arn, "")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(d.Verdict(), d.Action)
	for _, v := range d.Versions {
		fmt.Println(v.Labels, v.State)
	}
	// Output:
	// action needed reset-password
	// [AWSCURRENT] rejected
	// [AWSPENDING] missing
}

// An error has a kind for programs, and a hint for people.
func ExampleStepError() {
	r, _, end := world("in-use")
	defer end()
	err := r.Handle(context.Background(), rotator.Event{
		Step: rotator.StepCreateSecret, SecretID: "other", VersionID: awsemu.VersionID(2),
	})
	var step *rotator.StepError
	if errors.As(err, &step) {
		fmt.Println(step.Kind, errors.Is(err, rotator.KindNotFound), rotator.Retryable(err))
		fmt.Println(step.Hint)
	}
	// Output:
	// not found true false
	// check the name, the Region and the account; give a secret without a value the credentials now in use
}
