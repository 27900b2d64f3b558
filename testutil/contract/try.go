package contract

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
)

// T is one row being tried. Its methods stop the row when the preparation fails; the call that the row is about returns
// its error instead.
type T struct {
	Ctx context.Context
	SM  *secretsmanager.Client
	KMS *kms.Client
	STS *sts.Client
	RDS *rds.Client

	run     *run
	row     Row
	secret  *Secret
	names   map[string]string // what {x} stands for
	cleanup []func(context.Context) error
}

// Secret is a throwaway secret of a row.
type Secret struct {
	Name, ARN, Version string // Version: the first, "" if the secret was made without a value
}

// stop carries the error of a preparation to the runner.
type stop struct{ err error }

// Must ends the row when a preparation failed.
func (t *T) Must(err error) {
	if err != nil {
		panic(stop{err})
	}
}

// Let makes {name} stand for value in the row's expectation, and in reverse in what is reported.
func (t *T) Let(name, value string) string {
	t.names[name] = value
	return value
}

// Name is a fresh name for a secret, with the run's prefix.
func (t *T) Name() string { return t.run.prefix + strings.ToLower(t.row.ID) + "-" + random(4) }

// Secret makes a secret with a value, its first version; {name}, {arn}, {partial} and {first} stand for its parts.
// change alters the request.
func (t *T) Secret(change ...func(*secretsmanager.CreateSecretInput)) *Secret {
	in := &secretsmanager.CreateSecretInput{Name: aws.String(t.Name()), SecretString: aws.String("v1"),
		ClientRequestToken: aws.String(Token())}
	for _, f := range change {
		f(in)
	}
	out, err := t.SM.CreateSecret(t.Ctx, in)
	t.Must(wrap("CreateSecret", err))
	return t.Own(&Secret{Name: aws.ToString(out.Name), ARN: aws.ToString(out.ARN),
		Version: aws.ToString(out.VersionId)})
}

// Own makes s the row's secret: it is named in the expectation, and removed afterwards.
func (t *T) Own(s *Secret) *Secret {
	if t.row.Needs&NeedFunction != 0 {
		t.Remove(notebook(s.ARN))
	}
	t.Remove(s.ARN)
	t.secret = s
	t.Let("name", s.Name)
	t.Let("arn", s.ARN)
	if i := strings.LastIndex(s.ARN, "-"); i > 0 {
		t.Let("partial", s.ARN[:i])
	}
	if s.Version != "" {
		t.Let("first", s.Version)
	}
	return s
}

// Remove has a secret deleted at the end of the row.
func (t *T) Remove(id string) {
	t.cleanup = append(t.cleanup, func(ctx context.Context) error {
		_, err := t.SM.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: &id,
			ForceDeleteWithoutRecovery: aws.Bool(true)})
		if code, _, _ := codeOf(err); code == notFound {
			return nil // the row deleted it
		}
		return err
	})
}

// Later does something at the end of the row, last first.
func (t *T) Later(f func(context.Context) error) { t.cleanup = append(t.cleanup, f) }

// Put stores a value under labels (none: the service's default) and lets {name} stand for the version's id.
func (t *T) Put(s *Secret, name, value string, labels ...string) string {
	id := t.Let(name, Token())
	_, err := t.SM.PutSecretValue(t.Ctx, &secretsmanager.PutSecretValueInput{SecretId: &s.ARN, SecretString: &value,
		ClientRequestToken: &id, VersionStages: labels})
	t.Must(wrap("PutSecretValue", err))
	return id
}

// Move moves a label; an empty id is not sent.
func (t *T) Move(s *Secret, label, from, to string) (any, error) {
	in := &secretsmanager.UpdateSecretVersionStageInput{SecretId: &s.ARN, VersionStage: &label}
	if from != "" {
		in.RemoveFromVersionId = &from
	}
	if to != "" {
		in.MoveToVersionId = &to
	}
	return ret(t.SM.UpdateSecretVersionStage(t.Ctx, in))
}

// Get reads a value; an empty version or label is not sent.
func (t *T) Get(id, version, label string) (any, error) {
	return getValue(t.Ctx, t.SM, id, version, label)
}

func getValue(ctx context.Context, sm *secretsmanager.Client, id, version, label string) (any, error) {
	in := &secretsmanager.GetSecretValueInput{SecretId: &id}
	if version != "" {
		in.VersionId = &version
	}
	if label != "" {
		in.VersionStage = &label
	}
	return ret(sm.GetSecretValue(ctx, in))
}

// Describe describes a secret.
func (t *T) Describe(id string) (any, error) {
	return ret(t.SM.DescribeSecret(t.Ctx, &secretsmanager.DescribeSecretInput{SecretId: &id}))
}

// As is the Secrets Manager of another caller.
func (t *T) As(cfg aws.Config) *secretsmanager.Client { return secretsmanager.NewFromConfig(cfg) }

// Key is the run's customer key of that name, which stands for its ARN in braces.
func (t *T) Key(name string) string {
	arn, err := t.run.key(t.Ctx, name)
	t.Must(err)
	return t.Let(name, arn)
}

// Rights are the policies of a role, as JSON; "" leaves a layer out.
type Rights struct {
	Identity string
	Session  string
	Boundary string
}

// Role is a caller with these rights; {principal} stands for its ARN and {role} for the role's.
func (t *T) Role(r Rights) aws.Config {
	cfg, err := t.run.role(t.Ctx, r)
	t.Must(err)
	id, err := sts.NewFromConfig(cfg).GetCallerIdentity(t.Ctx, &sts.GetCallerIdentityInput{})
	t.Must(wrap("GetCallerIdentity", err))
	t.Let("principal", aws.ToString(id.Arn))
	return cfg
}

// Allow is a policy that allows actions on everything, and whatever else statements say.
func Allow(actions ...string) string {
	return Policy(map[string]any{"Effect": "Allow", "Action": actions, "Resource": "*"})
}

// Policy is a policy document of statements.
func Policy(statements ...map[string]any) string {
	b, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": statements})
	if err != nil {
		panic(err) // maps of strings do marshal
	}
	return string(b)
}

// Attach puts a resource policy on the row's secret.
func (t *T) Attach(s *Secret, policy string) {
	_, err := t.SM.PutResourcePolicy(t.Ctx, &secretsmanager.PutResourcePolicyInput{SecretId: &s.ARN,
		ResourcePolicy: &policy})
	t.Must(wrap("PutResourcePolicy", err))
}

// Other is an administrator of the second account.
func (t *T) Other() aws.Config {
	cfg, err := t.run.other(t.Ctx)
	t.Must(err)
	return cfg
}

// Function is the ARN of the echo function; {function} stands for it.
func (t *T) Function() string {
	arn, err := t.run.function(t.Ctx)
	t.Must(err)
	return t.Let("function", arn)
}

// Rotate asks for a rotation by the echo function and waits until it has come to its end, which is when label labels
// stay what they are for the endpoint's pause. It answers the id of the version that RotateSecret named. One before it
// is over once its function has answered, and its labels are final before that.
func (t *T) Rotate(s *Secret, change ...func(*secretsmanager.RotateSecretInput)) string {
	end := time.Now().Add(t.run.at.Patience)
	out, err := t.StartRotation(s, change...)
	for err != nil && strings.Contains(err.Error(), "A previous rotation isn't complete") && time.Now().Before(end) &&
		t.Ctx.Err() == nil {
		wait(t.Ctx, t.run.at.Patience/100)
		out, err = t.StartRotation(s, change...)
	}
	t.Must(wrap("RotateSecret", err))
	id := t.Let("pending", aws.ToString(out.VersionId))
	t.Must(t.run.settle(t.Ctx, s.ARN, id))
	return id
}

// StartRotation calls RotateSecret with the echo function.
func (t *T) StartRotation(s *Secret,
	change ...func(*secretsmanager.RotateSecretInput)) (*secretsmanager.RotateSecretOutput,
	error) {
	in := &secretsmanager.RotateSecretInput{SecretId: &s.ARN, RotationLambdaARN: aws.String(t.Function()),
		RotationRules: rules(30)}
	for _, f := range change {
		f(in)
	}
	return t.SM.RotateSecret(t.Ctx, in)
}

// Events are what the echo function saw of the row's secret, in order.
func (t *T) Events(s *Secret) []Seen {
	seen, err := notes(t.Ctx, t.SM, s.ARN)
	t.Must(wrap("the echo function's notes", err))
	return seen
}

// Raw sends a request that no SDK would: body as it is, headers as given. It is signed for service unless unsigned.
// The answer is status, headers that matter, and the members of a JSON or XML body.
func (t *T) Raw(service string, unsigned bool, headers map[string]string, body string) (any, error) {
	return t.run.raw(t.Ctx, service, unsigned, headers, body)
}

// JSON sends a body to an operation of Secrets Manager, signed.
func (t *T) JSON(operation, body string) (any, error) {
	return t.Raw("secretsmanager", false, map[string]string{"X-Amz-Target": "secretsmanager." + operation,
		"Content-Type": "application/x-amz-json-1.1"}, body)
}

func (r *run) raw(ctx context.Context, service string, unsigned bool, headers map[string]string, body string) (any,
	error) {
	endpoint := "https://" + service + "." + r.at.Config.Region + ".amazonaws.com/"
	if r.at.Config.BaseEndpoint != nil {
		endpoint = strings.TrimRight(*r.at.Config.BaseEndpoint, "/") + "/"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(body))
	if err != nil {
		panic(stop{err})
	}
	for k, v := range headers {
		req.Header.Set(k, v)
	}
	if !unsigned {
		cred, err := r.at.Config.Credentials.Retrieve(ctx)
		if err != nil {
			panic(stop{err})
		}
		sum := sha256.Sum256([]byte(body))
		if err := v4.NewSigner().SignHTTP(ctx, cred, req, hex.EncodeToString(sum[:]), service, r.at.Config.Region,
			time.Now()); err != nil {
			panic(stop{err})
		}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		panic(stop{err})
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		panic(stop{err})
	}
	return readRaw(resp, answer)
}

// readRaw turns a bare answer into what an SDK would: an error with a code, or members.
func readRaw(resp *http.Response, body []byte) (any, error) {
	members := map[string]any{}
	code, text := "", ""
	if bytes.HasPrefix(bytes.TrimSpace(body), []byte("<")) {
		code, text = between(string(body), "<Code>", "</Code>"), between(string(body), "<Message>", "</Message>")
		members["Type"] = between(string(body), "<Type>", "</Type>")
	} else if len(body) > 0 {
		if err := json.Unmarshal(body, &members); err != nil {
			members["Body"] = string(body)
		}
		code, _ = members["__type"].(string)
		code = code[strings.LastIndex(code, "#")+1:]
		for _, k := range []string{"Message", "message"} {
			if s, ok := members[k].(string); ok {
				text = s
			}
		}
	}
	members["Status"] = resp.StatusCode
	members["ContentType"] = resp.Header.Get("Content-Type")
	members["RequestId"] = resp.Header.Get("X-Amzn-RequestId")
	if resp.StatusCode < 300 {
		return members, nil
	}
	return members, &rawError{status: resp.StatusCode, GenericAPIError: smithy.GenericAPIError{Code: code,
		Message: text}}
}

type rawError struct {
	smithy.GenericAPIError
	status int
}

func (e *rawError) HTTPStatusCode() int { return e.status }

// Token is a fresh ClientRequestToken.
func Token() string {
	b := make([]byte, 16)
	rand.Read(b)
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func random(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return hex.EncodeToString(b)
}

// ret makes a typed answer an any, without the trap of a nil pointer in it.
func ret[O any](out *O, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return out, nil
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

func between(s, from, to string) string {
	_, s, ok := strings.Cut(s, from)
	if !ok {
		return ""
	}
	s, _, _ = strings.Cut(s, to)
	return s
}

// flatten makes an answer a map from path to text. Lists of strings are one entry.
func flatten(out any) map[string]string {
	flat := map[string]string{}
	if out == nil {
		return flat
	}
	b, err := json.Marshal(out)
	if err != nil {
		return map[string]string{"": err.Error()}
	}
	var v any
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		return map[string]string{"": err.Error()}
	}
	walk("", v, flat)
	return flat
}

func walk(path string, v any, flat map[string]string) {
	switch v := v.(type) {
	case nil:
	case map[string]any:
		if path != "" {
			flat[path] = "{}"
		}
		for k, m := range v {
			walk(strings.TrimPrefix(path+"."+k, "."), m, flat)
		}
	case []any:
		var texts []string
		for i, m := range v {
			if s, ok := m.(string); ok {
				texts = append(texts, s)
			}
			walk(fmt.Sprintf("%s.%d", path, i), m, flat)
		}
		slices.Sort(texts)
		flat[path] = strings.Join(texts, "+")
		if len(v) == 0 {
			flat[path] = "[]"
		}
	default:
		flat[path] = fmt.Sprint(v)
	}
}

// noAnswer stands for the code where nothing came back that the SDK can read.
const noAnswer = "no answer"

func codeOf(err error) (code, text string, status int) {
	var api smithy.APIError
	if errors.As(err, &api) {
		code, text = api.ErrorCode(), api.ErrorMessage()
	} else if err != nil {
		code, text = noAnswer, err.Error()
	}
	var http interface{ HTTPStatusCode() int }
	if errors.As(err, &http) {
		status = http.HTTPStatusCode()
		if code == noAnswer {
			text = "" // what an SDK says about a page that is no answer differs with the SDK
		}
	}
	return code, text, status
}
