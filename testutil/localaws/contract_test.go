package localaws_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/quarterturn-dev/quarterturn/testutil/contract"
	"github.com/quarterturn-dev/quarterturn/testutil/lambdahost"
	"github.com/quarterturn-dev/quarterturn/testutil/localaws"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// TestContract holds emulator and functions on one address to what AWS is known to answer, with the echo function as a real
// bootstrap behind the Invoke API. The rows about roles, keys and a second account are package contract's own test.
func TestContract(t *testing.T) {
	t.Parallel()
	tier.NotInCheck(t)
	binary := filepath.Join(t.TempDir(), "bootstrap")
	if err := lambdahost.Build(t.Context(), "github.com/quarterturn-dev/quarterturn/testutil/cmd/contractecho", binary); err != nil {
		t.Fatal(err)
	}
	s, err := localaws.Start(localaws.Config{Functions: []localaws.Function{{Name: "echo", Bootstrap: binary}}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	results, err := contract.Run(t.Context(), contract.Table(), contract.Endpoint{
		Name:   "local AWS",
		Config: aws.Config{Region: "us-east-1", BaseEndpoint: &s.URL, Credentials: credentials.NewStaticCredentialsProvider("AKIALOCAL", "x", "")},
		Supply: oneFunction(s.Functions["echo"].ARN()),
		Has:    contract.NeedFunction | contract.NeedLambda,
		// A process is started for the first event, which takes long on a busy machine.
		Patience: time.Minute,
	})
	if err != nil {
		t.Error(err)
	}
	invoked := 0
	for _, r := range results {
		if r.Difference != "" {
			t.Errorf("%s (%s): want %s, got %s", r.Row.ID, r.Row.Does, r.Row.Want, r.Difference)
		}
		if r.NotTried == "" && r.Row.Needs&contract.NeedFunction != 0 {
			invoked++
		}
	}
	if invoked < 20 {
		t.Errorf("%d rows had a function", invoked)
	}
}

// oneFunction supplies a function, and nothing else.
type oneFunction string

func (f oneFunction) Function(context.Context) (string, error) { return string(f), nil }

func (oneFunction) Key(context.Context, string) (string, error) { return "", contract.ErrMissing }

func (oneFunction) Role(context.Context, contract.Rights) (aws.Config, error) {
	return aws.Config{}, contract.ErrMissing
}

func (oneFunction) Other(context.Context) (aws.Config, error) {
	return aws.Config{}, contract.ErrMissing
}
