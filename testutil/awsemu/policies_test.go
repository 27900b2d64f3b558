package awsemu_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/quarterturn-dev/quarterturn/rotator/iam"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
)

const (
	home      = "123456789012"
	abroad    = "210987654321"
	roleARN   = "arn:aws:iam::" + home + ":role/service-role/rotate"
	sessARN   = "arn:aws:sts::" + home + ":assumed-role/rotate/f"
	everybody = `{"AWS":"*"}`
	account   = `{"AWS":"arn:aws:iam::` + home + `:root"}`
)

// statement writes one; parts are further members, such as "Condition".
func statement(effect, action string, parts ...string) string {
	s := fmt.Sprintf(`{"Effect":%q,"Action":%q`, effect, action)
	if !strings.Contains(strings.Join(parts, ""), `"Resource"`) {
		parts = append(parts, `"Resource":"*"`)
	}
	return s + "," + strings.Join(parts, ",") + "}"
}

func document(statements ...string) string {
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
}

func to(principal string) string { return `"Principal":` + principal }
func when(test, key string, values ...string) string {
	list, _ := json.Marshal(values)
	return fmt.Sprintf(`"Condition":{%q:{%q:%s}}`, test, key, list)
}

func named(name string, statements ...string) iam.NamedPolicy {
	p, err := iam.Parse(document(statements...))
	if err != nil {
		panic(err)
	}
	return iam.NamedPolicy{Name: name, Policy: p}
}

// allowing is a policy that allows actions, on everything.
func allowing(name string, actions ...string) iam.NamedPolicy {
	var all []string
	for _, a := range actions {
		all = append(all, statement("Allow", a))
	}
	return named(name, all...)
}

func anything() iam.NamedPolicy { return allowing("everything", "*") }

// function is a caller as a rotation function is: the session of a role.
func functionCaller(identity ...iam.NamedPolicy) awsemu.Caller {
	return awsemu.Caller{AccessKey: "AKIDTEST", Principal: iam.Principal{ARN: sessARN, Role: roleARN, Account: home}, Identity: identity}
}

// as is a client for an access key.
func (w *world) as(c aws.Credentials) *secretsmanager.Client {
	return secretsmanager.New(secretsmanager.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(w.url), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(c.AccessKeyID, "none", c.SessionToken),
	})
}

func key(id string) aws.Credentials { return aws.Credentials{AccessKeyID: id} }

// with is a world as another caller sees it.
func (w *world) with(c aws.Credentials) *world {
	other := *w
	other.Client = w.as(c)
	return &other
}

func (w *world) sts(c aws.Credentials) *sts.Client {
	return sts.New(sts.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(w.url), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(c.AccessKeyID, "none", c.SessionToken),
	})
}

// assume is the credentials of a role's session.
func (w *world) assume(c aws.Credentials, change ...func(*sts.AssumeRoleInput)) (aws.Credentials, error) {
	in := &sts.AssumeRoleInput{RoleArn: aws.String(roleARN), RoleSessionName: aws.String("night")}
	for _, f := range change {
		f(in)
	}
	out, err := w.sts(c).AssumeRole(w.ctx, in)
	if err != nil {
		return aws.Credentials{}, err
	}
	return aws.Credentials{AccessKeyID: *out.Credentials.AccessKeyId, SessionToken: *out.Credentials.SessionToken}, nil
}

// kms calls KMS in raw JSON and gives the answer and the error's code and text.
func (w *world) kms(accessKey, operation, body string) (out map[string]any, code, text string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, w.url, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("X-Amz-Target", "TrentService."+operation)
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+accessKey+"/20260504/us-east-1/kms/aws4_request, SignedHeaders=host, Signature=00")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := json.NewDecoder(bytes.NewReader(raw)).Decode(&out); err != nil {
		w.t.Fatal(err)
	}
	word := func(names ...string) string {
		for _, n := range names {
			if s, ok := out[n].(string); ok {
				return s
			}
		}
		return ""
	}
	if resp.StatusCode == http.StatusOK {
		return out, "", ""
	}
	return out, word("__type"), word("message", "Message")
}

// wantKMS holds an answer of KMS to an error's code and a part of its text.
func (w *world) wantKMS(accessKey, operation, body, code, text string) map[string]any {
	w.t.Helper()
	out, gotCode, gotText := w.kms(accessKey, operation, body)
	if gotCode != code || !strings.Contains(gotText, text) {
		w.t.Errorf("%s: %s %q, want %s %q", operation, gotCode, gotText, code, text)
	}
	return out
}

// keyed is a secret under a key of its own.
func keyed(arn string) awsemu.Secret {
	s := rotated()
	s.KMSKeyID = arn
	return s
}

func describe(w *world) error {
	_, err := w.DescribeSecret(w.ctx, &secretsmanager.DescribeSecretInput{SecretId: aws.String("app/db")})
	return err
}
