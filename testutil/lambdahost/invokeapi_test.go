package lambdahost_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/testutil/internal/clients"
	"github.com/quarterturn-dev/quarterturn/testutil/lambdahost"
)

// call is one request to the Invoke API; header is a list of names and values.
func call(t *testing.T, base, function string, payload []byte, header ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
		base+"/2015-03-31/functions/"+url.PathEscape(function)+"/invocations", bytes.NewReader(payload))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

func serve(t *testing.T, handler http.Handler) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

func TestInvokeAPI(t *testing.T) {
	t.Parallel()
	h := start(t, lambdahost.Function{Name: "turn"})
	base := serve(t, h)

	for _, tt := range []struct {
		name     string
		function string
		payload  []byte
		header   []string
		status   int
		errorIs  string // X-Amzn-Errortype
		failed   string // X-Amz-Function-Error
		body     string // a part of it
	}{
		{name: "name", payload: []byte(`{"Text":"hello"}`), status: 200, body: `"hello"`},
		{name: "no payload", status: 200},
		{name: "name and version", function: "turn:$LATEST", status: 200},
		{name: "partial ARN", function: "123456789012:function:turn", status: 200},
		{name: "ARN", function: h.ARN(), status: 200},
		{name: "ARN and version", function: h.ARN() + ":$LATEST", status: 200},
		{name: "function error", payload: []byte(`{"Do":"fail","Text":"no"}`), status: 200, failed: "Unhandled", body: `{"errorMessage":"no","errorType":"OddError"}`},
		{name: "RequestResponse", header: []string{"X-Amz-Invocation-Type", "RequestResponse"}, status: 200},
		{name: "DryRun", header: []string{"X-Amz-Invocation-Type", "DryRun"}, status: 204},
		{name: "6 MB", payload: large(6 << 20), status: 200},
		{name: "another function", function: "other", status: 404, errorIs: "ResourceNotFoundException", body: "Function not found: other"},
		{name: "another version", function: "turn:7", status: 404, errorIs: "ResourceNotFoundException"},
		{name: "another account", function: "999999999999:function:turn", status: 404, errorIs: "ResourceNotFoundException"},
		{name: "more than 6 MB", payload: large(6<<20 + 1), status: 413, errorIs: "RequestEntityTooLargeException", body: "6291456"},
		{name: "event of more than 1 MB", payload: large(1<<20 + 1), header: []string{"X-Amz-Invocation-Type", "Event"}, status: 413, errorIs: "RequestEntityTooLargeException", body: "1048576"},
		{name: "not JSON", payload: []byte("{"), status: 400, errorIs: "InvalidRequestContentException"},
		{name: "invocation type", header: []string{"X-Amz-Invocation-Type", "Maybe"}, status: 400, errorIs: "InvalidParameterValueException"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			function := tt.function
			if function == "" {
				function = "turn"
			}
			response, body := call(t, base, function, tt.payload, tt.header...)
			if response.StatusCode != tt.status || response.Header.Get("X-Amzn-Errortype") != tt.errorIs ||
				response.Header.Get("X-Amz-Function-Error") != tt.failed {
				t.Errorf("%s %v", response.Status, response.Header)
			}
			if !strings.Contains(body, tt.body) {
				t.Errorf("body %.200s", body)
			}
			if tt.status < 300 && response.Header.Get("X-Amz-Executed-Version") != "$LATEST" {
				t.Error("no executed version")
			}
		})
	}
}

// large is an event of n bytes that is not echoed.
func large(n int) []byte {
	return append(append([]byte(`{"More":"`), bytes.Repeat([]byte("x"), n-11)...), `"}`...)
}

func TestInvokeQualifier(t *testing.T) {
	t.Parallel()
	h := start(t, lambdahost.Function{})
	base := serve(t, h) + "/2015-03-31/functions/function/invocations?Qualifier="
	for qualifier, status := range map[string]int{"$LATEST": 200, "blue": 404} {
		response, err := http.Post(base+url.QueryEscape(qualifier), "application/json", nil)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != status {
			t.Errorf("%s: %s", qualifier, response.Status)
		}
	}
}

func TestInvokeLogAndRequestID(t *testing.T) {
	t.Parallel()
	h := start(t, lambdahost.Function{})
	base := serve(t, h)
	response, _ := call(t, base, "function", []byte(`{"Do":"print","Text":"three"}`), "X-Amz-Log-Type", "Tail")
	log, err := base64.StdEncoding.DecodeString(response.Header.Get("X-Amz-Log-Result"))
	id := response.Header.Get("X-Amzn-Requestid")
	if err != nil || !strings.HasPrefix(string(log), "START RequestId: "+id) || !strings.Contains(string(log),
		"one\ntwo\nthree\nEND") {
		t.Errorf("%v, log:\n%s", err, log)
	}
	response, _ = call(t, base, "function", nil)
	if response.Header.Get("X-Amz-Log-Result") != "" {
		t.Error("a log that was not asked for")
	}
}

func TestInvokeEventAndDryRun(t *testing.T) {
	t.Parallel()
	out := newOutput()
	h := start(t, lambdahost.Function{Output: out})
	base := serve(t, h)
	call(t, base, "function", nil, "X-Amz-Invocation-Type", "DryRun")
	if out.String() != "" {
		t.Errorf("the dry run ran:\n%s", out)
	}
	response, body := call(t, base, "function", []byte(`{"Do":"print","Text":"three"}`), "X-Amz-Invocation-Type",
		"Event")
	if response.StatusCode != http.StatusAccepted || body != "" {
		t.Errorf("%s %q", response.Status, body)
	}
	out.wait(t, "three")
	out.wait(t, "REPORT")
}

func TestInvokeClosed(t *testing.T) {
	t.Parallel()
	h := start(t, lambdahost.Function{})
	h.Close()
	base := serve(t, h)
	for _, kind := range []string{"RequestResponse", "Event"} {
		response, _ := call(t, base, "function", nil, "X-Amz-Invocation-Type", kind)
		if response.StatusCode != 500 || response.Header.Get("X-Amzn-Errortype") != "ServiceException" {
			t.Errorf("%s: %s", kind, response.Status)
		}
	}
}

func TestHandlerOfManyFunctions(t *testing.T) {
	t.Parallel()
	left := start(t, lambdahost.Function{Name: "left"})
	right := start(t, lambdahost.Function{Name: "right"})
	base := serve(t, lambdahost.Handler(left, right))
	for _, h := range []*lambdahost.Host{left, right} {
		_, body := call(t, base, h.ARN(), nil)
		if !strings.Contains(body, `"`+h.ARN()+`"`) {
			t.Errorf("%s answered for %s", body, h.ARN())
		}
	}
	if response, _ := call(t, base, "middle", nil); response.StatusCode != 404 {
		t.Error(response.Status)
	}
}

// TestAWSCLI has the AWS CLI as a judge of the wire format.
func TestAWSCLI(t *testing.T) {
	t.Parallel()
	cli := clients.CLI1(t, "../..")
	h := start(t, lambdahost.Function{Name: "turn"})
	base := serve(t, h)
	dir := t.TempDir()
	aws := func(name, event string) (answer map[string]any, payload string, text string) {
		in, out := filepath.Join(dir, "event.json"), filepath.Join(dir, "out.json")
		if err := os.WriteFile(in, []byte(event), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := cli.Command(t.Context(), base, "x", "lambda", "invoke", "--output", "json", "--function-name", name,
			"--log-type", "Tail", "--payload", "fileb://"+in, out)
		output, err := cmd.CombinedOutput()
		if err != nil {
			return nil, "", string(output)
		}
		written, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(output, &answer); err != nil {
			t.Fatalf("%v:\n%s", err, output)
		}
		return answer, string(written), ""
	}

	answer, payload, text := aws(h.ARN(), `{"Text":"hello"}`)
	if answer["StatusCode"] != 200.0 || answer["ExecutedVersion"] != "$LATEST" || answer["FunctionError"] != nil ||
		!strings.Contains(payload, `"hello"`) {
		t.Errorf("success: %v %s %s", answer, payload, text)
	}
	log, err := base64.StdEncoding.DecodeString(answer["LogResult"].(string))
	if err != nil || !strings.Contains(string(log), "REPORT") {
		t.Errorf("log: %v %s", err, log)
	}
	answer, payload, text = aws("turn", `{"Do":"fail","Text":"no luck"}`)
	if answer["FunctionError"] != "Unhandled" || !strings.Contains(payload, "no luck") {
		t.Errorf("function error: %v %s %s", answer, payload, text)
	}
	_, _, text = aws("other", `{}`)
	if !strings.Contains(text, "ResourceNotFoundException") || !strings.Contains(text, "Function not found: other") {
		t.Errorf("another function: %s", text)
	}
}
