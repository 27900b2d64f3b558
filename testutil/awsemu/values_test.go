package awsemu_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
)

// rule is one sentence of the service's documentation: a call on a secret, what
// it answers, and what the secret is afterwards.
type rule struct {
	name  string
	seed  awsemu.Secret
	call  func(*world) error
	code  string // of the error; "" is success
	text  string // part of the error's message
	shape string // afterwards; "" is as before
}

func (r rule) run(t *testing.T) {
	t.Run(r.name, func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, &awsemu.Emulator{Now: newClock().now})
		w.emu.Seed(r.seed)
		before := w.emu.Snapshot("app/db")
		want(t, r.call(w), r.code, r.text)
		after := w.emu.Snapshot("app/db")
		if r.shape != "" {
			w.wantShape(r.shape)
		} else if d := before.Diff(after); len(d) > 0 {
			t.Errorf("the secret changed: %q", d)
		}
	})
}

func get(version, stage string) func(*world) error {
	return func(w *world) error {
		_, err := w.GetSecretValue(w.ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String("app/db"), VersionId: str(version), VersionStage: str(stage)})
		return err
	}
}

func put(version, value string, stages ...string) func(*world) error {
	return func(w *world) error {
		_, err := w.PutSecretValue(w.ctx, &secretsmanager.PutSecretValueInput{SecretId: aws.String("app/db"), ClientRequestToken: str(version), SecretString: aws.String(value), VersionStages: stages})
		return err
	}
}

func update(version, value string) func(*world) error {
	return func(w *world) error {
		_, err := w.UpdateSecret(w.ctx, &secretsmanager.UpdateSecretInput{SecretId: aws.String("app/db"), ClientRequestToken: str(version), SecretString: aws.String(value)})
		return err
	}
}

func stage(label, from, to string) func(*world) error {
	return func(w *world) error {
		_, err := w.UpdateSecretVersionStage(w.ctx, &secretsmanager.UpdateSecretVersionStageInput{SecretId: aws.String("app/db"), VersionStage: aws.String(label), RemoveFromVersionId: str(from), MoveToVersionId: str(to)})
		return err
	}
}

func str(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func TestGetSecretValue(t *testing.T) {
	t.Parallel()
	for _, r := range []rule{
		{name: "neither id nor stage is AWSCURRENT", seed: rotated(), call: func(w *world) error {
			out, err := w.GetSecretValue(w.ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String("app/db")})
			if err == nil && (aws.ToString(out.SecretString) != "two" || aws.ToString(out.VersionId) != id(2)) {
				return fmt.Errorf("not the current version")
			}
			return err
		}},
		{name: "id and stage that agree", seed: rotated(), call: get(id(1), "AWSPREVIOUS")},
		{name: "id and stage must agree", seed: rotated(), call: get(id(1), "AWSCURRENT"),
			code: "InvalidRequestException", text: "You provided a VersionStage that is not associated to the provided VersionId."},
		{name: "an empty pending version has no value by id", seed: pendingEmpty(), call: get(id(3), ""),
			code: "ResourceNotFoundException", text: "VersionId: " + id(3)},
		{name: "an empty pending version has no value by stage", seed: pendingEmpty(), call: get("", "AWSPENDING"),
			code: "ResourceNotFoundException", text: "staging label: AWSPENDING"},
		{name: "an empty pending version has no value by both", seed: pendingEmpty(), call: get(id(3), "AWSPENDING"), code: "ResourceNotFoundException"},
		{name: "an id that is not there", seed: rotated(), call: get(id(9), ""), code: "ResourceNotFoundException"},
		{name: "a stage that is not there", seed: rotated(), call: get("", "BLUE"), code: "ResourceNotFoundException"},
		{name: "a deprecated version by id", seed: awsemu.Secret{Name: "app/db", Versions: []awsemu.Version{
			{Value: awsemu.Text("zero")}, {Labels: []string{"AWSCURRENT"}, Value: awsemu.Text("one")}}}, call: get(id(1), "")},
		{name: "a secret marked for deletion", seed: deleted(), call: get("", ""),
			code: "InvalidRequestException", text: "You can't perform this operation on the secret because it was marked for deletion."},
		{name: "a stage of no characters is no stage", seed: rotated(), call: func(w *world) error {
			_, err := w.GetSecretValue(w.ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String("app/db"), VersionStage: aws.String("")})
			return err
		}, code: "ValidationException", text: "'versionStage'"},
		{name: "an id has at least 32 characters", seed: rotated(), call: get("short", ""), code: "ValidationException", text: "'versionId'"},
	} {
		r.run(t)
	}
}

func deleted() awsemu.Secret {
	s := rotated()
	s.Deleted = newClock().now().Add(48 * time.Hour)
	return s
}

func owned() awsemu.Secret {
	s := rotated()
	s.OwningService = "rds"
	return s
}

func TestPutSecretValue(t *testing.T) {
	t.Parallel()
	many := rotated()
	for i := range 18 {
		many.Versions[0].Labels = append(many.Versions[0].Labels, fmt.Sprintf("L%02d", i))
	}
	filled := pendingEmpty()
	filled.Versions[2].Value = awsemu.Text("three")
	for _, r := range []rule{
		{name: "no stages moves AWSCURRENT and AWSPREVIOUS", seed: rotated(), call: put(id(3), "three"), shape: "v1[] v2[AWSPREVIOUS] v3[AWSCURRENT]"},
		{name: "same token and same value does nothing", seed: rotated(), call: put(id(2), "two", "AWSCURRENT")},
		{name: "same token and same value does not even move labels", seed: rotated(), call: put(id(1), "one", "AWSCURRENT")},
		{name: "same token and another value", seed: rotated(), call: put(id(2), "2", "AWSCURRENT"), code: "ResourceExistsException", text: id(2)},
		{name: "same token, text for bytes", seed: rotated(), call: func(w *world) error {
			_, err := w.PutSecretValue(w.ctx, &secretsmanager.PutSecretValueInput{SecretId: aws.String("app/db"), ClientRequestToken: aws.String(id(2)), SecretBinary: []byte("two")})
			return err
		}, code: "ResourceExistsException"},
		{name: "the empty pending version is filled", seed: pendingEmpty(), call: put(id(3), "three", "AWSPENDING"), shape: "v1[AWSPREVIOUS] v2[AWSCURRENT] v3[AWSPENDING]"},
		{name: "a filled pending version keeps its value", seed: filled, call: put(id(3), "3", "AWSPENDING"), code: "ResourceExistsException"},
		{name: "a listed label moves from another version", seed: pendingEmpty(), call: put(id(4), "four", "AWSPENDING", "BLUE"), shape: "v1[AWSPREVIOUS] v2[AWSCURRENT] v3[]empty v4[AWSPENDING BLUE]"},
		{name: "listing AWSCURRENT moves AWSPREVIOUS", seed: rotated(), call: put(id(3), "three", "AWSCURRENT"), shape: "v1[] v2[AWSPREVIOUS] v3[AWSCURRENT]"},
		{name: "the first version is AWSCURRENT", seed: awsemu.Secret{Name: "app/db"}, call: put(id(1), "one", "BLUE"), shape: "v1[AWSCURRENT BLUE]"},
		{name: "at most 20 labels", seed: many, call: put(id(3), "three", "BLUE"), code: "LimitExceededException", text: "labels"},
		{name: "at most 20 stages in a call", seed: rotated(), call: put(id(3), "three", make([]string, 21)...), code: "ValidationException", text: "'versionStages'"},
		{name: "65,536 bytes fit", seed: rotated(), call: put(id(3), strings.Repeat("x", 65536)), shape: "v1[] v2[AWSPREVIOUS] v3[AWSCURRENT]"},
		{name: "65,537 bytes do not", seed: rotated(), call: put(id(3), strings.Repeat("x", 65537)), code: "ValidationException", text: "65536"},
		{name: "bytes count, not characters", seed: rotated(), call: put(id(3), strings.Repeat("é", 32769)), code: "ValidationException", text: "65536"},
		{name: "text and bytes together", seed: rotated(), call: func(w *world) error {
			_, err := w.PutSecretValue(w.ctx, &secretsmanager.PutSecretValueInput{SecretId: aws.String("app/db"), ClientRequestToken: aws.String(id(3)), SecretBinary: []byte("x"), SecretString: aws.String("x")})
			return err
		}, code: "InvalidParameterException", text: "both"},
		{name: "no value at all", seed: rotated(), call: func(w *world) error {
			_, err := w.PutSecretValue(w.ctx, &secretsmanager.PutSecretValueInput{SecretId: aws.String("app/db"), ClientRequestToken: aws.String(id(3))})
			return err
		}, code: "InvalidRequestException", text: "SecretString or SecretBinary"},
		{name: "a token of 31 characters", seed: rotated(), call: put(strings.Repeat("a", 31), "x"), code: "ValidationException", text: "greater than or equal to 32"},
		{name: "a token of 65 characters", seed: rotated(), call: put(strings.Repeat("a", 65), "x"), code: "ValidationException", text: "less than or equal to 64"},
		{name: "a secret marked for deletion", seed: deleted(), call: put(id(3), "three"), code: "InvalidRequestException", text: "marked for deletion"},
		{name: "a secret that a service owns", seed: owned(), call: put(id(3), "three"), code: "InvalidRequestException", text: "managed by another service"},
	} {
		r.run(t)
	}
}

func TestUpdateSecret(t *testing.T) {
	t.Parallel()
	for _, r := range []rule{
		{name: "a value moves AWSCURRENT", seed: rotated(), call: update(id(3), "three"), shape: "v1[] v2[AWSPREVIOUS] v3[AWSCURRENT]"},
		{name: "a token of a version with the same value does nothing", seed: rotated(), call: update(id(2), "two")},
		{name: "a token of a version is refused with another value", seed: rotated(), call: update(id(2), "other"), code: "ResourceExistsException"},
		{name: "a token of the empty pending version is refused", seed: pendingEmpty(), call: update(id(3), "three"), code: "ResourceExistsException"},
		{name: "a secret that a service owns", seed: owned(), call: update(id(3), "three"), code: "InvalidRequestException", text: "managed by another service"},
		{name: "a secret marked for deletion", seed: deleted(), call: update(id(3), "three"), code: "InvalidRequestException"},
	} {
		r.run(t)
	}
	t.Run("a description makes no version", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, &awsemu.Emulator{})
		w.emu.Seed(rotated())
		out, err := w.UpdateSecret(w.ctx, &secretsmanager.UpdateSecretInput{SecretId: aws.String("app/db"), Description: aws.String("new"), KmsKeyId: aws.String("alias/k")})
		want(t, err, "", "")
		s := w.emu.Snapshot("app/db")
		if out.VersionId != nil || s.Description != "new" || s.KMSKeyID != "alias/k" || len(s.Versions) != 2 {
			t.Errorf("version %v, secret %v", aws.ToString(out.VersionId), s)
		}
	})
}

func TestUpdateSecretVersionStage(t *testing.T) {
	t.Parallel()
	blue := rotated()
	blue.Versions[0].Labels = []string{"AWSPREVIOUS", "BLUE"}
	for _, r := range []rule{
		{name: "AWSCURRENT moves and AWSPREVIOUS follows", seed: pendingEmpty(), call: stage("AWSCURRENT", id(2), id(3)), shape: "v1[] v2[AWSPREVIOUS] v3[AWSCURRENT AWSPENDING]empty"},
		{name: "AWSCURRENT moves back", seed: rotated(), call: stage("AWSCURRENT", id(2), id(1)), shape: "v1[AWSCURRENT] v2[AWSPREVIOUS]"},
		{name: "RemoveFrom is mandatory", seed: rotated(), call: stage("AWSCURRENT", "", id(1)), code: "InvalidParameterException", text: "The parameter RemoveFromVersionId can't be empty. Staging label AWSCURRENT is currently attached to version " + id(2)},
		{name: "RemoveFrom is mandatory for own labels", seed: blue, call: stage("BLUE", "", id(2)), code: "InvalidParameterException"},
		{name: "RemoveFrom must match", seed: pendingEmpty(), call: stage("AWSCURRENT", id(1), id(3)), code: "InvalidParameterException"},
		{name: "RemoveFrom must match for own labels", seed: blue, call: stage("BLUE", id(2), id(2)), code: "InvalidParameterException"},
		{name: "a new label needs no RemoveFrom", seed: rotated(), call: stage("BLUE", "", id(1)), shape: "v1[AWSPREVIOUS BLUE] v2[AWSCURRENT]"},
		{name: "an own label moves", seed: blue, call: stage("BLUE", id(1), id(2)), shape: "v1[AWSPREVIOUS] v2[AWSCURRENT BLUE]"},
		{name: "only RemoveFrom takes a label off", seed: pendingEmpty(), call: stage("AWSPENDING", id(3), ""), shape: "v1[AWSPREVIOUS] v2[AWSCURRENT] v3[]empty"},
		{name: "AWSCURRENT is never taken off", seed: rotated(), call: stage("AWSCURRENT", id(2), ""), code: "InvalidParameterException", text: "It can't be completely removed."},
		{name: "neither RemoveFrom nor MoveTo", seed: rotated(), call: stage("BLUE", "", ""), code: "InvalidParameterException"},
		{name: "versions that are not there", seed: rotated(), call: stage("AWSCURRENT", id(8), id(9)), code: "ResourceNotFoundException"},
		{name: "a secret marked for deletion", seed: deleted(), call: stage("AWSCURRENT", id(2), id(1)), code: "InvalidRequestException"},
		{name: "a secret that a service owns", seed: owned(), call: stage("AWSCURRENT", id(2), id(1)), code: "InvalidRequestException"},
	} {
		r.run(t)
	}
}

func TestVersionLimit(t *testing.T) {
	t.Parallel()
	c := newClock()
	w := newWorld(t, &awsemu.Emulator{Now: c.now})
	s := awsemu.Secret{Name: "app/db"}
	for i := range 100 {
		s.Versions = append(s.Versions, awsemu.Version{ID: id(1000 + i), Value: awsemu.Text("x")})
	}
	s.Versions[0].Labels = []string{"AWSPREVIOUS"}
	s.Versions[99].Labels = []string{"AWSCURRENT"}
	w.emu.Seed(s)
	c.pass(23 * time.Hour)
	want(t, put(id(1), "x")(w), "LimitExceededException", "versions")
	c.pass(time.Hour)
	want(t, put(id(1), "x", "BLUE")(w), "", "")
	after := w.emu.Snapshot("app/db")
	if len(after.Versions) != 100 || after.Version(id(1000)).ID == "" || after.Version(id(1001)).ID != "" {
		t.Errorf("%d versions; the oldest without labels must go, and only it", len(after.Versions))
	}
}

func TestFindSecret(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &awsemu.Emulator{Now: newClock().now})
	arn := w.emu.Seed(rotated())
	w.emu.Seed(awsemu.Secret{Name: arn[strings.Index(arn, "app/"):]}) // the trap that the guide warns of
	for range 20 {
		d, err := w.DescribeSecret(w.ctx, &secretsmanager.DescribeSecretInput{SecretId: &arn})
		want(t, err, "", "")
		if aws.ToString(d.Name) != "app/db" {
			t.Fatalf("%s found by the ARN of app/db", aws.ToString(d.Name))
		}
	}
	for _, c := range []struct{ name, id, code string }{
		{"name", "app/db", ""},
		{"ARN", arn, ""},
		{"ARN without its six characters", arn[:len(arn)-7], ""},
		{"ARN cut elsewhere", arn[:len(arn)-6], "ResourceNotFoundException"},
		{"prefix of a name", "app", "ResourceNotFoundException"},
		{"ARN of another Region", strings.Replace(arn, "us-east-1", "eu-west-1", 1), "ResourceNotFoundException"},
		{"another case", "APP/DB", "ResourceNotFoundException"},
		{"nothing", "", "ValidationException"},
		{"too long", strings.Repeat("x", 2049), "ValidationException"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := w.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String(c.id)})
			want(t, err, c.code, "")
		})
	}
}

func TestBinary(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &awsemu.Emulator{})
	w.emu.Seed(rotated())
	_, err := w.PutSecretValue(w.ctx, &secretsmanager.PutSecretValueInput{SecretId: aws.String("app/db"), SecretBinary: []byte{0, 1, 255}})
	want(t, err, "", "")
	out, err := w.GetSecretValue(w.ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String("app/db")})
	want(t, err, "", "")
	if out.SecretString != nil || string(out.SecretBinary) != "\x00\x01\xff" {
		t.Error("the bytes did not come back as bytes")
	}
}

func TestBatchGetSecretValue(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &awsemu.Emulator{Now: newClock().now})
	w.emu.Seed(pendingEmpty())
	w.emu.Seed(awsemu.Secret{Name: "app/empty"})
	gone := deleted()
	gone.Name = "app/gone"
	w.emu.Seed(gone)
	out, err := w.BatchGetSecretValue(w.ctx, &secretsmanager.BatchGetSecretValueInput{SecretIdList: []string{"app/db", "app/empty", "app/gone", "none"}})
	want(t, err, "", "")
	var codes []string
	for _, e := range out.Errors {
		codes = append(codes, aws.ToString(e.SecretId)+" "+aws.ToString(e.ErrorCode))
	}
	if got := strings.Join(codes, ", "); got != "app/empty ResourceNotFoundException, app/gone InvalidRequestException, none ResourceNotFoundException" {
		t.Errorf("errors %s", got)
	}
	if len(out.SecretValues) != 1 || aws.ToString(out.SecretValues[0].VersionId) != id(2) {
		t.Error("the one good secret must come back with AWSCURRENT")
	}
	byName := []types.Filter{{Key: types.FilterNameStringTypeName, Values: []string{"app/"}}}
	out, err = w.BatchGetSecretValue(w.ctx, &secretsmanager.BatchGetSecretValueInput{Filters: byName, MaxResults: aws.Int32(1)})
	want(t, err, "", "")
	if len(out.SecretValues) != 1 || out.NextToken == nil {
		t.Error("a page of one must say that there is more")
	}
	for name, in := range map[string]*secretsmanager.BatchGetSecretValueInput{
		"neither list nor filters": {},
		"both":                     {SecretIdList: []string{"x"}, Filters: byName},
		"MaxResults without them":  {SecretIdList: []string{"x"}, MaxResults: aws.Int32(3)},
	} {
		_, err := w.BatchGetSecretValue(w.ctx, in)
		t.Run(name, func(t *testing.T) { want(t, err, "InvalidParameterException", "") })
	}
	_, err = w.BatchGetSecretValue(w.ctx, &secretsmanager.BatchGetSecretValueInput{SecretIdList: make([]string, 21)})
	want(t, err, "ValidationException", "")
}
