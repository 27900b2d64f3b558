// Package localaws puts Secrets Manager and Lambda on one address of this machine:
// the emulator of the one, hosts of the other's Runtime API around real bootstrap
// binaries, joined so that RotateSecret invokes a function over the Invoke API. The
// AWS CLI, the SDKs and the functions themselves all talk to that address.
package localaws

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator/iam"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/lambdahost"
)

// Config is what to start. Functions is all that it must have.
type Config struct {
	Address   string     // "": 127.0.0.1 and a free port
	Functions []Function //
	Output    io.Writer  // takes what the functions print; nil: discarded
	// AWS is the emulator to put there. nil: a new one.
	AWS *awsemu.Emulator
	// Prepare may set fields of the emulator before its first request.
	Prepare func(*awsemu.Emulator)
}

// Function is a Lambda function.
type Function struct {
	Name      string
	Bootstrap string   // path of the binary
	Env       []string // "K=V", over what Start sets itself
	Timeout   time.Duration
}

// Env is a running plan.
type Env struct {
	URL       string // of Secrets Manager and of Lambda
	AWS       *awsemu.Emulator
	Functions map[string]*lambdahost.Host
	server    *http.Server
}

// Start starts emulator and functions. The caller closes what it gives.
func Start(p Config) (*Env, error) {
	address := p.Address
	if address == "" {
		address = "127.0.0.1:0"
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("address: %w", err)
	}
	if !listener.Addr().(*net.TCPAddr).IP.IsLoopback() {
		listener.Close()
		return nil, fmt.Errorf("address: %s is not a loopback address: the emulator checks no signature and must not "+
			"be reached from elsewhere", address)
	}
	s := &Env{
		URL:       "http://" + listener.Addr().String(),
		AWS:       cmp.Or(p.AWS, &awsemu.Emulator{}),
		Functions: map[string]*lambdahost.Host{},
	}
	s.AWS.Invoke = awsemu.InvokeURL(s.URL)
	s.AWS.HasFunction = func(arn string) bool {
		for _, host := range s.Functions {
			if host.AnswersTo(arn) {
				return true
			}
		}
		return false
	}
	s.AWS.Configure = func(arn string, env map[string]string) {
		for _, host := range s.Functions {
			if host.AnswersTo(arn) {
				//nolint:errcheck // names were checked
				host.ReplaceEnv(append([]string{s.endpoint()}, settings(env)...)...)
			}
		}
	}
	if p.Prepare != nil {
		p.Prepare(s.AWS)
	}
	var hosts []*lambdahost.Host
	for _, f := range p.Functions {
		host, err := lambdahost.Start(lambdahost.Function{
			Name: f.Name, Bootstrap: f.Bootstrap, Timeout: f.Timeout, Output: p.Output,
			// Every service, so that nothing leaves the machine.
			Env: append([]string{s.endpoint()}, f.Env...),
		})
		if err != nil {
			listener.Close()
			return nil, errors.Join(fmt.Errorf("function %s: %w", f.Name, err), s.Close())
		}
		s.Functions[f.Name] = host
		hosts = append(hosts, host)
		described, err := describe(host, f.Env)
		if err != nil {
			listener.Close()
			return nil, errors.Join(fmt.Errorf("function %s: %w", f.Name, err), s.Close())
		}
		s.AWS.Functions = append(s.AWS.Functions, described)
	}
	mux := http.NewServeMux()
	mux.Handle("POST /2015-03-31/functions/{function}/invocations", s.unlessThrottled(lambdahost.Handler(hosts...)))
	mux.Handle("/", s.AWS)
	s.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go s.server.Serve(listener)
	return s, nil
}

// endpoint is every service's for the functions.
func (s *Env) endpoint() string { return "AWS_ENDPOINT_URL=" + s.URL }

// settings gives an environment as "K=V".
func settings(env map[string]string) (list []string) {
	for name, value := range env {
		list = append(list, name+"="+value)
	}
	return list
}

// unlessThrottled refuses to invoke a function that has a reserved concurrency of 0.
func (s *Env) unlessThrottled(invoke http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.AWS.Throttled(r.PathValue("function")) {
			invoke.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Amzn-Errortype", "TooManyRequestsException")
		w.WriteHeader(http.StatusTooManyRequests)
		io.WriteString(w, `{"Reason":"ReservedFunctionConcurrentInvocationLimitExceeded","Type":"User",`+ //nolint:errcheck
			`"message":"Rate Exceeded."}`)
	})
}

// describe is what Lambda says of a function, whose policy is the one that the templates of deploy give it.
func describe(host *lambdahost.Host, env []string) (awsemu.Function, error) {
	account := strings.Split(host.ARN(), ":")[4]
	document := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Sid":"SecretsManager","Effect":"Allow",`+
		`"Principal":{"Service":"secretsmanager.amazonaws.com"},"Action":"lambda:InvokeFunction","Resource":%q,`+
		`"Condition":{"StringEquals":{"AWS:SourceAccount":%q}}}]}`, host.ARN(), account)
	policy, err := iam.ParseResource(document)
	settings := map[string]string{}
	for _, setting := range env {
		name, value, _ := strings.Cut(setting, "=")
		settings[name] = value
	}
	return awsemu.Function{
		ARN: host.ARN(), Document: document, Policy: iam.NamedPolicy{Name: "function", Policy: policy},
		Environment: settings,
	}, err
}

// Deny makes policies count: the role of the functions is allowed everything but these
// actions, and everybody else everything.
func (s *Env) Deny(actions ...string) error {
	statement := map[string]any{"Effect": "Allow", "Action": "*", "Resource": "*"}
	if len(actions) > 0 {
		delete(statement, "Action")
		statement["NotAction"] = actions
	}
	policy := func(statement map[string]any) ([]iam.NamedPolicy, error) {
		text, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": statement})
		if err != nil {
			return nil, err
		}
		document, err := iam.ParseIdentity(string(text))
		return []iam.NamedPolicy{{Name: "demo", Policy: document}}, err
	}
	role, err := policy(statement)
	if err != nil {
		return fmt.Errorf("deny: %w", err)
	}
	all, err := policy(map[string]any{"Effect": "Allow", "Action": "*", "Resource": "*"})
	if err != nil {
		return fmt.Errorf("deny: %w", err)
	}
	s.AWS.SetOthers(awsemu.Caller{Principal: iam.Principal{ARN: "arn:aws:iam::123456789012:user/you"}, Identity: all})
	s.AWS.SetCaller(awsemu.Caller{AccessKey: lambdahost.AccessKey, Identity: role, Principal: iam.Principal{
		ARN:  "arn:aws:sts::123456789012:assumed-role/rotation/function",
		Role: "arn:aws:iam::123456789012:role/rotation"}})
	return nil
}

// Close ends rotations, functions and the address, in that order.
func (s *Env) Close() error {
	errs := []error{s.AWS.Close()}
	for _, host := range s.Functions {
		errs = append(errs, host.Close())
	}
	if s.server != nil {
		errs = append(errs, s.server.Close())
	}
	return errors.Join(errs...)
}

// Build compiles the handlers of this module that are named, as they are shipped,
// below dir, and gives the path of each bootstrap.
func Build(ctx context.Context, dir string, handlers ...string) (map[string]string, error) {
	built := map[string]string{}
	for _, name := range handlers {
		out := filepath.Join(dir, name, "bootstrap")
		if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
			return nil, err
		}
		if err := lambdahost.Build(ctx, module+"handlers/"+name, out); err != nil {
			return nil, err
		}
		built[name] = out
	}
	return built, nil
}

const module = "github.com/quarterturn-dev/quarterturn/"

// ParseFunction reads "name=path/to/bootstrap".
func ParseFunction(s string) (Function, error) {
	name, path, ok := strings.Cut(s, "=")
	if !ok || name == "" || path == "" {
		return Function{}, fmt.Errorf("%q is not name=path/to/bootstrap", s)
	}
	return Function{Name: name, Bootstrap: path}, nil
}
