package awsemu_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
)

func handlerFunc(h func(path string) (status int, functionError, body string)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, functionError, body := h(r.URL.Path)
		if functionError != "" {
			w.Header().Set("X-Amz-Function-Error", functionError)
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	})
}

// always makes every request fail in the same way.
func always(f awsemu.Fault) func(awsemu.Call) awsemu.Fault {
	return func(awsemu.Call) awsemu.Fault { return f }
}

func TestFaults(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		fault      awsemu.Fault
		call       func(*world) error
		code, text string
	}{
		{"denied", awsemu.Fault{Deny: true}, get("", ""), "AccessDeniedException", "is not authorized to perform: secretsmanager:GetSecretValue on resource: app/db because"},
		{"the denial's reason", awsemu.Fault{Deny: true}, put(id(3), "x"), "AccessDeniedException", "because no identity-based policy allows the secretsmanager:PutSecretValue action"},
		{"denied before the state is looked at", awsemu.Fault{Deny: true}, stage("AWSCURRENT", id(8), id(9)), "AccessDeniedException", "UpdateSecretVersionStage"},
		{"throttled", awsemu.Fault{Throttle: true}, get("", ""), "ThrottlingException", "Rate exceeded"},
		{"server error", awsemu.Fault{ServerError: true}, put(id(3), "x"), "InternalServiceError", ""},
		{"expired token", awsemu.Fault{ExpiredToken: true}, get("", ""), "ExpiredTokenException", "expired"},
		{"no key to read with", awsemu.Fault{DenyKMS: true}, get("", ""), "AccessDeniedException", "Access to KMS is not allowed"},
		{"no key to write with", awsemu.Fault{DenyKMS: true}, put(id(3), "x"), "AccessDeniedException", "Access to KMS is not allowed"},
		{"a key that is disabled, reading", awsemu.Fault{DecryptionFailure: true}, get("", ""), "DecryptionFailure", ""},
		{"a key that is disabled, comparing", awsemu.Fault{DecryptionFailure: true}, put(id(2), "two"), "DecryptionFailure", ""},
		{"a key that is disabled, writing", awsemu.Fault{EncryptionFailure: true}, put(id(3), "x"), "EncryptionFailure", ""},
		{"the key comes after the state", awsemu.Fault{DenyKMS: true}, get(id(9), ""), "ResourceNotFoundException", ""},
		{"labels need no key", awsemu.Fault{DenyKMS: true}, stage("BLUE", id(2), id(1)), "InvalidParameterException", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, &awsemu.Emulator{Fault: always(c.fault)})
			w.emu.Seed(rotated())
			before := w.emu.Snapshot("app/db")
			want(t, c.call(w), c.code, c.text)
			if d := before.Diff(w.emu.Snapshot("app/db")); len(d) > 0 {
				t.Errorf("a refused call changed the secret: %q", d)
			}
			if calls := w.emu.Calls(); len(calls) != 1 || calls[0].Err != c.code {
				t.Errorf("calls %v", calls)
			}
		})
	}
}

func TestLoseResponse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &awsemu.Emulator{Fault: always(awsemu.Fault{LoseResponse: true})})
	w.emu.Seed(rotated())
	err := put(id(3), "three")(w)
	if !errors.Is(err, io.EOF) {
		t.Errorf("error %v, want the connection's end", err)
	}
	w.wantShape("v1[] v2[AWSPREVIOUS] v3[AWSCURRENT]")
	if got := w.emu.Calls()[0].String(); got != "PutSecretValue v3 (no answer)" {
		t.Errorf("call %s", got)
	}
}

func TestLoseRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &awsemu.Emulator{Fault: always(awsemu.Fault{LoseRequest: true})})
	w.emu.Seed(rotated())
	if err := put(id(3), "three")(w); !errors.Is(err, io.EOF) {
		t.Errorf("error %v, want the connection's end", err)
	}
	w.wantShape("v1[AWSPREVIOUS] v2[AWSCURRENT]")
	if got := w.emu.Calls()[0].String(); got != "PutSecretValue v?: NoAnswer (no answer)" {
		t.Errorf("call %s", got)
	}
}

// TestClient: the way without a network is as the one with it.
func TestClient(t *testing.T) {
	t.Parallel()
	var fault awsemu.Fault
	emu := &awsemu.Emulator{Fault: func(awsemu.Call) awsemu.Fault { return fault }}
	defer emu.Close()
	emu.Seed(rotated())
	w := &world{t: t, emu: emu, ctx: t.Context(), Client: secretsmanager.New(secretsmanager.Options{
		Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("AKID", "x", ""),
		HTTPClient: emu.Client(), Retryer: aws.NopRetryer{},
	})}
	want(t, get("", "")(w), "", "")
	want(t, get(id(9), "")(w), "ResourceNotFoundException", "")
	for _, fault = range []awsemu.Fault{{LoseRequest: true}, {LoseResponse: true}} {
		if err := put(id(3), "three")(w); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%+v: error %v, want the connection's end", fault, err)
		}
	}
	w.wantShape("v1[] v2[AWSPREVIOUS] v3[AWSCURRENT]")
	ctx, cancel := context.WithCancel(t.Context())
	w.ctx, fault = ctx, awsemu.Fault{After: cancel}
	if err := get("", "")(w); !errors.Is(err, context.Canceled) {
		t.Errorf("a client that has given up: error %v", err)
	}
	w.ctx, cancel = context.WithCancel(t.Context())
	fault = awsemu.Fault{Hang: true, Before: cancel}
	if err := get("", "")(w); !errors.Is(err, context.Canceled) {
		t.Errorf("a call that hangs: error %v", err)
	}
}

func TestStale(t *testing.T) {
	t.Parallel()
	stale := false
	w := newWorld(t, &awsemu.Emulator{Fault: func(awsemu.Call) awsemu.Fault { return awsemu.Fault{Stale: stale} }})
	w.emu.Seed(pendingEmpty())
	read := func(version string) string {
		out, err := w.GetSecretValue(w.ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String("app/db"), VersionId: &version})
		if err != nil {
			return "none"
		}
		return aws.ToString(out.SecretString)
	}
	want(t, put(id(3), "three", "AWSPENDING")(w), "", "")
	stale = true
	if read(id(3)) != "none" {
		t.Error("a stale read must not see the latest write")
	}
	stale = false
	if read(id(3)) != "three" {
		t.Error("a good read must see it")
	}
	want(t, stage("BLUE", "", id(3))(w), "", "")
	stale = true
	if read(id(3)) != "three" {
		t.Error("a stale read must see the write before the latest")
	}
	want(t, put(id(3), "3", "AWSPENDING")(w), "ResourceExistsException", "")
	if _, err := w.CreateSecret(w.ctx, &secretsmanager.CreateSecretInput{Name: aws.String("fresh")}); err != nil {
		t.Fatal(err)
	}
	_, err := w.DescribeSecret(w.ctx, &secretsmanager.DescribeSecretInput{SecretId: aws.String("fresh")})
	want(t, err, "ResourceNotFoundException", "")
}

func TestHang(t *testing.T) {
	t.Parallel()
	t.Run("until the client gives up", func(t *testing.T) {
		t.Parallel()
		logged := make(chan awsemu.Call, 1)
		arrived := make(chan struct{})
		w := newWorld(t, &awsemu.Emulator{
			Fault:   always(awsemu.Fault{Hang: true, Before: func() { close(arrived) }}),
			Observe: func(c awsemu.Call) { logged <- c },
		})
		w.emu.Seed(rotated())
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-arrived; cancel() }()
		w.ctx = ctx
		if err := put(id(3), "x")(w); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		if c := <-logged; !c.Lost || c.String() != "PutSecretValue v?: NoAnswer (no answer)" {
			t.Errorf("call %s", c)
		}
		w.wantShape("v1[AWSPREVIOUS] v2[AWSCURRENT]")
	})
	t.Run("until Close", func(t *testing.T) {
		t.Parallel()
		var emu *awsemu.Emulator
		emu = &awsemu.Emulator{Fault: always(awsemu.Fault{Hang: true, Before: func() { emu.Close() }})}
		w := newWorld(t, emu)
		emu.Seed(rotated())
		if err := get("", "")(w); err == nil {
			t.Error("a call that hangs was answered")
		}
	})
}

func TestDelay(t *testing.T) {
	t.Parallel()
	const delay = 20 * time.Millisecond
	w := newWorld(t, &awsemu.Emulator{Fault: always(awsemu.Fault{Delay: delay})})
	w.emu.Seed(rotated())
	began := time.Now()
	want(t, get("", "")(w), "", "")
	if took := time.Since(began); took < delay {
		t.Errorf("answered after %v", took)
	}
}

func TestHooks(t *testing.T) {
	t.Parallel()
	var order []string
	var w *world
	hook := func(name string) func() {
		return func() { order = append(order, name+" "+w.shape("app/db")) }
	}
	w = newWorld(t, &awsemu.Emulator{
		Fault:   always(awsemu.Fault{Before: hook("before"), After: hook("after")}),
		Observe: func(c awsemu.Call) { order = append(order, "observed "+c.String()) },
	})
	w.emu.Seed(rotated())
	want(t, put(id(3), "x")(w), "", "")
	if want := []string{"before v1[AWSPREVIOUS] v2[AWSCURRENT]", "after v1[] v2[AWSPREVIOUS] v3[AWSCURRENT]", "observed PutSecretValue v3"}; !slices.Equal(order, want) {
		t.Errorf("order %q", order)
	}
}

func TestCalls(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &awsemu.Emulator{})
	w.emu.Seed(pendingEmpty())
	want(t, get("", "")(w), "", "")
	want(t, get(id(1), "AWSPREVIOUS")(w), "", "")
	want(t, get("", "AWSPENDING")(w), "ResourceNotFoundException", "")
	want(t, put(id(3), "three", "AWSPENDING")(w), "", "")
	want(t, put(id(4), "four", "AWSPENDING", "BLUE")(w), "", "")
	want(t, stage("AWSCURRENT", id(2), id(3))(w), "", "")
	want(t, get(id(9), "")(w), "ResourceNotFoundException", "")
	const golden = `GetSecretValue
GetSecretValue v1 AWSPREVIOUS
GetSecretValue AWSPENDING: ResourceNotFoundException
PutSecretValue v3 AWSPENDING
PutSecretValue v4 AWSPENDING,BLUE
UpdateSecretVersionStage v3 from v2 AWSCURRENT
GetSecretValue v?: ResourceNotFoundException
`
	var got strings.Builder
	for i, c := range w.emu.Calls() {
		fmt.Fprintln(&got, c)
		if c.N != i+1 || c.AccessKey != "AKIDTEST" || c.Region != "us-east-1" || c.Name != "app/db" {
			t.Errorf("call %+v", c)
		}
	}
	if got.String() != golden {
		t.Errorf("calls:\n%s", got.String())
	}
	w.emu.ResetCalls()
	want(t, get("", "")(w), "", "")
	if calls := w.emu.Calls(); len(calls) != 1 || calls[0].N != 8 {
		t.Errorf("calls after a reset: %+v", calls)
	}
}

func TestPhase(t *testing.T) {
	t.Parallel()
	w := rotating(t, &awsemu.Emulator{}, &function{})
	w.emu.Seed(rotated())
	want(t, w.rotate(id(3)), "", "")
	w.wait()
	var phases []string
	for _, c := range w.emu.Calls() {
		phases = append(phases, c.Phase+":"+c.Operation)
	}
	if got := strings.Join(phases, " "); got != ":RotateSecret createSecret:PutSecretValue finishSecret:DescribeSecret finishSecret:UpdateSecretVersionStage" {
		t.Errorf("phases %s", got)
	}
}

// post is a request that no SDK would send.
func post(t *testing.T, w *world, method, target, authorization, body string) (int, http.Header, map[string]string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, w.url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Amz-Target", target)
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	out := map[string]string{}
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, out
}

const signature = "AWS4-HMAC-SHA256 Credential=AKIDTEST/20260504/us-east-1/secretsmanager/aws4_request, SignedHeaders=host, Signature=00"

func TestWire(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &awsemu.Emulator{Fault: func(c awsemu.Call) awsemu.Fault {
		return awsemu.Fault{ServerError: c.SecretID == "broken"}
	}})
	w.emu.Seed(rotated())
	const describe = "secretsmanager.DescribeSecret"
	for _, c := range []struct {
		name, method, target, authorization, body string
		status                                    int
		code, key                                 string
	}{
		{"not signed", "POST", describe, "", `{}`, 400, "MissingAuthenticationTokenException", "message"},
		{"signed with something else", "POST", describe, "Basic x", `{}`, 400, "IncompleteSignatureException", "message"},
		{"no scope", "POST", describe, "AWS4-HMAC-SHA256 Credential=AKID", `{}`, 400, "IncompleteSignatureException", "message"},
		{"an operation of nobody", "POST", "secretsmanager.Frobnicate", signature, `{}`, 404, "UnknownOperationException", "message"},
		{"another service", "POST", "kms.DescribeSecret", signature, `{}`, 404, "UnknownOperationException", "message"},
		{"another method", "PUT", describe, signature, `{}`, 404, "UnknownOperationException", "message"},
		{"not JSON", "POST", describe, signature, `{`, 400, "SerializationException", "message"},
		{"a list", "POST", describe, signature, `[]`, 400, "SerializationException", "message"},
		{"null", "POST", describe, signature, `null`, 400, "SerializationException", "message"},
		{"a number for a string", "POST", describe, signature, `{"SecretId":1}`, 400, "SerializationException", "message"},
		{"nothing", "POST", describe, signature, ``, 400, "ValidationException", "message"},
		{"a required member that is null", "POST", describe, signature, `{"SecretId":null}`, 400, "ValidationException", "message"},
		{"a member in another case", "POST", describe, signature, `{"secretid":"app/db"}`, 400, "ValidationException", "message"},
		{"a list that has null in it", "POST", "secretsmanager.UntagResource", signature, `{"SecretId":"x","TagKeys":[null]}`, 400, "ValidationException", "message"},
		{"a modelled error", "POST", describe, signature, `{"SecretId":"none"}`, 400, "ResourceNotFoundException", "Message"},
		{"a server error", "POST", describe, signature, `{"SecretId":"broken"}`, 500, "InternalServiceError", "Message"},
		{"too much", "POST", describe, signature, `{"SecretId":"` + strings.Repeat("x", 1<<20) + `"}`, 400, "SerializationException", "message"},
		{"raw puts need a token", "POST", "secretsmanager.PutSecretValue", signature, `{"SecretId":"app/db","SecretString":"x"}`, 400, "InvalidRequestException", "Message"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			status, header, body := post(t, w, c.method, c.target, c.authorization, c.body)
			if status != c.status || body["__type"] != c.code || len(body[c.key]) == 0 && c.code != "" {
				t.Errorf("status %d, body %v", status, body)
			}
			if header.Get("x-amzn-RequestId") == "" || header.Get("Content-Type") != "application/x-amz-json-1.1" {
				t.Errorf("header %v", header)
			}
		})
	}
}

func TestNothingPrintsAValue(t *testing.T) {
	t.Parallel()
	const value = "correct horse"
	w := newWorld(t, &awsemu.Emulator{})
	s := rotated()
	s.Versions[1].Value = awsemu.Text(value)
	s.Versions[1].RotationToken = awsemu.Text(value)
	w.emu.Seed(s)
	want(t, put(id(2), value+" battery")(w), "ResourceExistsException", "")
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb, w.emu.Snapshot("app/db"))
		fmt.Fprintf(&out, verb, w.emu)
		fmt.Fprintf(&out, verb, s.Versions[1].Value)
		fmt.Fprintf(&out, verb, w.emu.Calls())
	}
	json.NewEncoder(&out).Encode(w.emu.Snapshot("app/db"))
	fmt.Fprint(&out, rotated().Diff(w.emu.Snapshot("app/db")))
	text, _ := s.Versions[1].Value.MarshalText()
	fmt.Fprint(&out, string(text), s.Versions[1].Value.LogValue())
	for _, leak := range []string{value, fmt.Sprintf("%x", value), fmt.Sprint([]byte(value))} {
		if strings.Contains(out.String(), leak) {
			t.Error("a value was printed")
		}
	}
}

func TestDiff(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &awsemu.Emulator{Now: newClock().now})
	w.emu.Seed(rotated())
	before := w.emu.Snapshot("app/db")
	want(t, get("", "")(w), "", "")
	if d := before.Diff(w.emu.Snapshot("app/db")); len(d) > 0 {
		t.Errorf("reading changed the secret: %q", d)
	}
	changed := before
	changed.Versions = slices.Clone(before.Versions)
	changed.Versions[0].Value = awsemu.Text("another")
	changed.Versions[1].ID = id(7)
	changed.Tags = map[string]string{"a": "b"}
	changed.RotationEnabled = new(false)
	changed.Deleted = newClock().now()
	if d := before.Diff(changed); len(d) != 6 || before.Equal(changed) {
		t.Errorf("%d differences: %q", len(d), d)
	}
}

func TestConcurrentCallers(t *testing.T) {
	t.Parallel()
	w := rotating(t, &awsemu.Emulator{Observe: func(awsemu.Call) {}}, &function{})
	w.emu.Seed(rotated())
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			for i := range 10 {
				put(id(100+10*n+i), "x", "BLUE")(w)
				get("", "")(w)
				w.rotate(id(1000 + 10*n + i))
				w.DescribeSecret(w.ctx, &secretsmanager.DescribeSecretInput{SecretId: aws.String("app/db")})
				w.ListSecretVersionIds(w.ctx, &secretsmanager.ListSecretVersionIdsInput{SecretId: aws.String("app/db")})
				w.emu.Snapshot("app/db")
				w.emu.Calls()
				w.emu.Events()
			}
		})
	}
	all.Wait()
	s := w.emu.Snapshot("app/db")
	seen := map[string]bool{}
	for _, v := range s.Versions {
		for _, label := range v.Labels {
			if seen[label] {
				t.Errorf("%s is on two versions", label)
			}
			seen[label] = true
		}
	}
}
