package awsemu_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"

	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
)

const functionARN = "arn:aws:lambda:us-east-1:123456789012:function:rotate"

// world is an emulator behind a server, and the real SDK in front of it.
type world struct {
	*secretsmanager.Client
	t   *testing.T
	emu *awsemu.Emulator
	url string
	ctx context.Context
}

func newWorld(t *testing.T, emu *awsemu.Emulator) *world {
	t.Helper()
	srv := httptest.NewServer(emu)
	t.Cleanup(srv.Close)
	t.Cleanup(func() { emu.Close() })
	w := &world{t: t, emu: emu, url: srv.URL, ctx: t.Context()}
	w.Client = w.region("us-east-1")
	return w
}

// region is a client for another Region, without retries.
func (w *world) region(name string) *secretsmanager.Client {
	return secretsmanager.New(secretsmanager.Options{
		Region:           name,
		BaseEndpoint:     aws.String(w.url),
		RetryMaxAttempts: 1,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIDTEST", SecretAccessKey: "none"}, nil
		}),
	})
}

// shape is the versions and labels of a secret in a line: "v1[AWSPREVIOUS]
// v2[AWSCURRENT] v3[AWSPENDING]empty".
func (w *world) shape(id string) string { return shape(w.emu.Snapshot(id)) }

func shape(s awsemu.Secret) string {
	var words []string
	for i, v := range s.Versions {
		word := fmt.Sprintf("v%d%v", i+1, v.Labels)
		if v.Value.Empty() {
			word += "empty"
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func (w *world) wantShape(want string) {
	w.t.Helper()
	const id = "app/db"
	if got := w.shape(id); got != want {
		w.t.Errorf("%s is %s, want %s", id, got, want)
	}
}

// want holds an error to its code, and to a part of its text.
func want(t *testing.T, err error, code, text string) {
	t.Helper()
	if code == "" {
		if err != nil {
			t.Fatalf("error %v, want none", err)
		}
		return
	}
	var api smithy.APIError
	if !errors.As(err, &api) {
		t.Fatalf("error %v, want %s", err, code)
	}
	if api.ErrorCode() != code || !strings.Contains(api.ErrorMessage(), text) {
		t.Fatalf("error %s %q, want %s %q", api.ErrorCode(), api.ErrorMessage(), code, text)
	}
}

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 5, 4, 10, 30, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func id(n int) string { return awsemu.VersionID(n) }

// rotated is a secret after one rotation, and pending one in the middle of its
// next.
func rotated() awsemu.Secret {
	return awsemu.Secret{Name: "app/db", Versions: []awsemu.Version{
		{Labels: []string{"AWSPREVIOUS"}, Value: awsemu.Text("one")},
		{Labels: []string{"AWSCURRENT"}, Value: awsemu.Text("two")},
	}}
}

func pendingEmpty() awsemu.Secret {
	s := rotated()
	s.Versions = append(s.Versions, awsemu.Version{Labels: []string{"AWSPENDING"}})
	s.RotationEnabled, s.RotationLambdaARN = new(true), functionARN
	return s
}
