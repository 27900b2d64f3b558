package awsstore_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/awsstore"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

const clear = "canary-password-0123456789"

// world is an emulator, a store before it, and a secret: v1 AWSCURRENT, v2 AWSPENDING
// without a value.
func world(t *testing.T, fault awsemu.Fault) (*awsemu.Emulator, *awsstore.Store, string) {
	emu := &awsemu.Emulator{Fault: func(awsemu.Call) awsemu.Fault { return fault }}
	server := httptest.NewServer(emu)
	t.Cleanup(func() { emu.Close(); server.Close() })
	arn := emu.Seed(awsemu.Secret{
		Name: "app", KMSKeyID: "alias/app", Tags: map[string]string{"team": "a"}, RotationEnabled: aws.Bool(true),
		Versions: []awsemu.Version{
			{Labels: []string{"AWSCURRENT"}, Value: awsemu.Text(`{"password":"` + clear + `"}`)},
			{Labels: []string{"AWSPENDING"}},
		},
	})
	return emu, awsstore.New(config(), server.URL), arn
}

func config() aws.Config {
	return aws.Config{
		Region: "us-east-1", RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("AKID", "x", ""),
		// A shared configuration may ask for this; our client must not obey.
		ClientLogMode: aws.LogRequestWithBody | aws.LogResponseWithBody,
	}
}

func TestDescribe(t *testing.T) {
	_, store, arn := world(t, awsemu.Fault{})
	m, err := store.Describe(t.Context(), arn)
	if err != nil {
		t.Fatal(err)
	}
	if m.ARN != arn || m.Name != "app" || m.Region != "us-east-1" || m.KMSKeyID != "alias/app" ||
		m.Tags["team"] != "a" ||
		m.RotationEnabled == nil || !*m.RotationEnabled || !m.DeletionDate.IsZero() {
		t.Errorf("%+v", m)
	}
	if m.VersionWithLabel(rotator.LabelCurrent) != awsemu.VersionID(1) ||
		m.VersionWithLabel(rotator.LabelPending) != awsemu.VersionID(2) || m.VersionWithLabel("OTHER") != "" {
		t.Errorf("labels: %v", m.Labels)
	}
	if !m.HasLabel(awsemu.VersionID(2), rotator.LabelPending) || m.HasLabel(awsemu.VersionID(2), rotator.LabelCurrent) {
		t.Errorf("labels of v2: %v", m.Labels)
	}
}

func TestValuePutMove(t *testing.T) {
	emu, store, arn := world(t, awsemu.Fault{})
	v, err := store.Value(t.Context(), arn, rotator.VersionRef{})
	if err != nil || v.VersionID != awsemu.VersionID(1) || v.Document.Password().Reveal() != clear {
		t.Fatalf("AWSCURRENT: %v %v", v.VersionID, err)
	}
	pending := rotator.VersionRef{ID: awsemu.VersionID(2), Label: rotator.LabelPending}
	if _, err := store.Value(t.Context(), arn, pending); !errors.Is(err, rotator.KindNotFound) {
		t.Errorf("an empty version: %v", err)
	}
	if _, err := store.Value(t.Context(), arn,
		rotator.VersionRef{ID: awsemu.VersionID(1), Label: rotator.LabelPending}); !errors.Is(err,
		rotator.KindConflict) {
		t.Errorf("an id and a label that disagree: %v", err)
	}
	put := rotator.PutInput{SecretID: arn, VersionID: awsemu.VersionID(2),
		Document: v.Document.SetPassword(secret.NewPassword("next"))}
	if err := store.Put(t.Context(), put); err != nil {
		t.Fatal(err)
	}
	if got, err := store.Value(t.Context(), arn, pending); err != nil || !got.Document.Equal(put.Document) {
		t.Errorf("what was put is not what is read: %v", err)
	}
	put.Document = put.Document.SetPassword(secret.NewPassword("other"))
	if err := store.Put(t.Context(), put); !errors.Is(err, rotator.KindConflict) {
		t.Errorf("a second value for a version: %v", err)
	}
	if err := store.MoveLabel(t.Context(), arn,
		rotator.LabelMove{Label: "AWSCURRENT", To: awsemu.VersionID(2), From: awsemu.VersionID(2)}); !errors.Is(err,
		rotator.KindConflict) {
		t.Errorf("a label that is not where we thought: %v", err)
	}
	if err := store.MoveLabel(t.Context(), arn,
		rotator.LabelMove{Label: "AWSCURRENT", To: awsemu.VersionID(2), From: awsemu.VersionID(1)}); err != nil {
		t.Error(err)
	}
	if emu.Snapshot(arn).Holder("AWSCURRENT").ID != awsemu.VersionID(2) {
		t.Error("AWSCURRENT did not move")
	}
	if err := store.MoveLabel(t.Context(), arn,
		rotator.LabelMove{Label: "AWSPENDING", From: awsemu.VersionID(2)}); err != nil ||
		emu.Snapshot(arn).Holder("AWSPENDING").ID != "" {
		t.Errorf("AWSPENDING was not taken away: %v", err)
	}
	if err := store.MoveLabel(t.Context(), arn,
		rotator.LabelMove{Label: "AWSPENDING", To: awsemu.VersionID(2)}); err != nil ||
		emu.Snapshot(arn).Holder("AWSPENDING").ID != awsemu.VersionID(2) {
		t.Errorf("AWSPENDING was not given back: %v", err)
	}
}

func TestErrorsHaveTheirKind(t *testing.T) {
	for name, c := range map[string]struct {
		fault awsemu.Fault
		want  rotator.Kind
		says  string
	}{
		"denied":       {awsemu.Fault{Deny: true}, rotator.KindAccessDenied, "identity-based policy"},
		"key denied":   {awsemu.Fault{DenyKMS: true}, rotator.KindAccessDenied, "kms:Decrypt"},
		"key disabled": {awsemu.Fault{DecryptionFailure: true}, rotator.KindMisconfigured, "enabled"},
		"throttled":    {awsemu.Fault{Throttle: true}, rotator.KindThrottled, "Rate exceeded"},
		"5xx":          {awsemu.Fault{ServerError: true}, rotator.KindThrottled, "InternalServiceError"},
		"expired":      {awsemu.Fault{ExpiredToken: true}, rotator.KindMisconfigured, "rejected the function's credentials"},
		"no answer":    {awsemu.Fault{LoseResponse: true}, rotator.KindUnreachable, "127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, store, arn := world(t, c.fault)
			_, err := store.Value(t.Context(), arn, rotator.VersionRef{})
			if rotator.KindOf(err) != c.want || !strings.Contains(err.Error(), c.says) {
				t.Errorf("want %q and a sentence that says %q, got %q: %v", c.want, c.says, rotator.KindOf(err), err)
			}
			if strings.Contains(err.Error(), clear) {
				t.Error("the error shows the value")
			}
		})
	}
}

// TestNobodyAnswers: what a function in a VPC without an endpoint sees.
func TestNobodyAnswers(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	closed := fmt.Sprintf("127.0.0.1:%d", dbserver.ClosedPort(t))
	for name, c := range map[string]struct{ endpoint, says string }{
		"silence":       {"http://" + silent.Addr().String(), "no answer from " + silent.Addr().String()},
		"a closed port": {"http://" + closed, "no connection to " + closed},
		"no such name":  {"http://secretsmanager.invalid", "does not resolve"},
	} {
		tier.Patiently(t, func(limit time.Duration) error {
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			_, err := awsstore.New(config(), c.endpoint).Describe(ctx, "app")
			if rotator.KindOf(err) != rotator.KindUnreachable || !strings.Contains(err.Error(), c.says) {
				return fmt.Errorf("%s: want unreachable and %q, got %q: %v", name, c.says, rotator.KindOf(err), err)
			}
			return nil
		})
	}
}
