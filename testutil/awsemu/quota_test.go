package awsemu_test

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
)

// TestWritesHaveAQuota: reads have none, and time gives back what writes took.
func TestWritesHaveAQuota(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	emu := &awsemu.Emulator{WritesPerSecond: 3, Now: func() time.Time { return now }}
	defer emu.Close()
	server := httptest.NewServer(emu)
	defer server.Close()
	arn := emu.Seed(awsemu.Secret{Name: "app", Versions: []awsemu.Version{{Labels: []string{"AWSCURRENT"}, Value: awsemu.Text("v1")}}})
	sdk := secretsmanager.New(secretsmanager.Options{
		BaseEndpoint: &server.URL, Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("AKID", "x", ""), Retryer: aws.NopRetryer{},
	})
	put := func() error {
		_, err := sdk.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: &arn, SecretString: aws.String("v2"), ClientRequestToken: aws.String(awsemu.VersionID(2))})
		return err
	}
	accepted := func() (n int) {
		for range 5 {
			if put() == nil {
				n++
			}
		}
		return n
	}
	if n := accepted(); n != 3 {
		t.Errorf("%d writes at once, want 3", n)
	}
	if _, err := sdk.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &arn}); err != nil {
		t.Errorf("a read: %v", err)
	}
	now = now.Add(time.Second / 2)
	if n := accepted(); n != 1 {
		t.Errorf("%d writes half a second later, want 1", n)
	}
	now = now.Add(time.Hour)
	if n := accepted(); n != 3 {
		t.Errorf("%d writes an hour later, want 3", n)
	}
}
