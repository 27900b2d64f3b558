package localaws_test

import (
	"context"
	"encoding/json"
	"net/http"
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

// TestOtherCallsOfLambda: what is no invocation goes to the emulator, which knows some calls of Lambda and answers the others
// as AWS does: with the name of an error, which the SDKs read from JSON alone.
func TestOtherCallsOfLambda(t *testing.T) {
	t.Parallel()
	s, err := localaws.Start(localaws.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, path := range []string{"/2015-03-31/functions/", "/2015-03-31/functions/f/invocations", "/2015-03-31/functions/f/policy"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKID/20260101/us-east-1/lambda/aws4_request, Signature=x")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		var body map[string]any
		if err := json.NewDecoder(resp.Body).Decode(&body); err != nil || resp.StatusCode < 400 || resp.StatusCode > 404 || resp.Header.Get("X-Amzn-Errortype") == "" {
			t.Errorf("GET %s: %s %v (%v), error type %q", path, resp.Status, body, err, resp.Header.Get("X-Amzn-Errortype"))
		}
		resp.Body.Close()
	}
}
