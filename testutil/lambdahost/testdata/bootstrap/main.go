// Command bootstrap is a function that does what its event says, for the tests of
// lambdahost: it succeeds, fails, panics, hangs, exits and misbehaves on demand.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

type event struct {
	Do   string
	Text string
	N    int
	Addr string
	ID   string
}

type seen struct {
	PID       int
	Text      string
	RequestID string
	ARN       string
	Trace     string
	Deadline  int64 // Unix milliseconds
	Env       []string
	Dir       string
	Child     int
	Answers   []string
}

// OddError is a failure with a type name of its own.
type OddError struct{ Text string }

func (e *OddError) Error() string { return e.Text }

func main() {
	switch os.Getenv("INIT") {
	case "child": // of "spawn": holds on to stdout until it is killed
		time.Sleep(time.Hour)
	case "print":
		fmt.Println("init speaks")
	case "exit":
		fmt.Println("init gives up")
		os.Exit(7)
	case "exit0":
		os.Exit(0)
	case "error":
		_, _ = post("init/error", `{"errorType":"Odd.Init","errorMessage":"no configuration"}`)
		os.Exit(1)
	case "bare error":
		request, _ := http.NewRequest(http.MethodPost, api("init/error"), nil)
		request.Header.Set("Lambda-Runtime-Function-Error-Type", "Odd.Bare")
		_, _ = http.DefaultClient.Do(request)
		os.Exit(1)
	case "hang":
		time.Sleep(time.Hour)
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
	}
	lambda.Start(handle)
}

func handle(ctx context.Context, e event) (*seen, error) {
	lc, _ := lambdacontext.FromContext(ctx)
	deadline, _ := ctx.Deadline()
	dir, _ := os.Getwd()
	s := &seen{
		PID:       os.Getpid(),
		Text:      e.Text,
		RequestID: lc.AwsRequestID,
		ARN:       lc.InvokedFunctionArn,
		Trace:     os.Getenv("_X_AMZN_TRACE_ID"),
		Deadline:  deadline.UnixMilli(),
		Dir:       dir,
	}
	switch e.Do {
	case "", "echo":
	case "env":
		s.Env = os.Environ()
	case "fail":
		return nil, &OddError{e.Text}
	case "panic":
		panic(e.Text)
	case "exit":
		os.Exit(e.N)
	case "hang":
		fmt.Println("hanging")
		time.Sleep(time.Hour)
	case "print":
		fmt.Println("one")
		fmt.Fprintln(os.Stderr, "two")
		fmt.Print(e.Text) // no newline
	case "big":
		s.Text = strings.Repeat("x", e.N)
	case "lines":
		for i := range e.N {
			fmt.Printf("line %d of many\n", i)
		}
	case "hold":
		return s, hold(e.Addr)
	case "spawn":
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), "INIT=child")
		child.Stdout = os.Stdout
		if err := child.Start(); err != nil {
			return nil, err
		}
		s.Child = child.Process.Pid
	case "misbehave":
		s.misbehave(e.ID)
	case "answer twice":
		_, err := post("invocation/"+lc.AwsRequestID+"/response", `{"Text":"first"}`)
		return s, err
	default:
		return nil, errors.New("no such thing to do")
	}
	return s, nil
}

// hold connects to addr and returns when the other side hangs up.
func hold(addr string) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := fmt.Fprintln(conn, os.Getpid()); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, conn)
	return err
}

// misbehave makes calls that the Runtime API has to refuse.
func (s *seen) misbehave(oldID string) {
	for _, path := range []string{
		"invocation/no-such-id/response",
		"invocation/" + oldID + "/response",
		"invocation/" + oldID + "/error",
		"init/error",
	} {
		answer, err := post(path, `{}`)
		if err != nil {
			answer = err.Error()
		}
		s.Answers = append(s.Answers, answer)
	}
	answer, err := result(http.Get(api("invocation/next")))
	if err != nil {
		answer = err.Error()
	}
	s.Answers = append(s.Answers, answer)
}

func api(path string) string {
	return "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/" + path
}

func post(path, body string) (string, error) {
	return result(http.Post(api(path), "application/json", strings.NewReader(body)))
}

// result is the status and the body in one line.
func result(r *http.Response, err error) (string, error) {
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	return fmt.Sprint(r.StatusCode, " ", string(bytes.TrimSpace(body))), err
}
