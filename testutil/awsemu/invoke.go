package awsemu

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"time"
)

// InvokeFunc calls a Lambda function and waits for it. A function that was
// reached and failed is a Response with FunctionError; an error means that it was
// not reached.
type InvokeFunc func(ctx context.Context, functionARN string, payload []byte) (Response, error)

// Response is what a function answered.
type Response struct {
	Payload       []byte
	FunctionError string // "Unhandled" or "Handled": Payload is {"errorType", "errorMessage"}
}

// InvokeHandler calls a handler in this process: a lambda.Handler's Invoke, or
// any function of that shape. Its errors and panics become the errors that the
// Lambda runtime would report.
func InvokeHandler(h func(ctx context.Context, payload []byte) ([]byte, error)) InvokeFunc {
	return func(ctx context.Context, _ string, payload []byte) (r Response, err error) {
		defer func() {
			if p := recover(); p != nil {
				r = unhandled(fmt.Sprint(p), fmt.Sprintf("%T", p))
			}
		}()
		out, err := h(ctx, payload)
		if err != nil {
			return unhandled(err.Error(), typeName(err)), nil
		}
		return Response{Payload: out}, nil
	}
}

func unhandled(message, name string) Response {
	payload, _ := json.Marshal(lambdaError{message, name})
	return Response{Payload: payload, FunctionError: "Unhandled"}
}

// typeName is the errorType that aws-lambda-go reports: the type's name alone.
func typeName(err error) string {
	t := reflect.TypeOf(err)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Name()
}

// InvokeURL calls functions over the Lambda Invoke API of an endpoint such as
// http://127.0.0.1:9001. Requests are not signed.
func InvokeURL(endpoint string) InvokeFunc {
	return func(ctx context.Context, functionARN string, payload []byte) (Response, error) {
		at := strings.TrimRight(endpoint, "/") + "/2015-03-31/functions/" + url.PathEscape(functionARN) + "/invocations"
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, at, bytes.NewReader(payload))
		if err != nil {
			return Response{}, fmt.Errorf("invoke %s: %w", functionARN, err)
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return Response{}, fmt.Errorf("invoke %s: %w", functionARN, err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return Response{}, fmt.Errorf("invoke %s: %w", functionARN, err)
		}
		if resp.StatusCode != http.StatusOK {
			return Response{}, fmt.Errorf("invoke %s: HTTP status %s", functionARN, resp.Status)
		}
		return Response{Payload: body, FunctionError: resp.Header.Get("X-Amz-Function-Error")}, nil
	}
}

type lambdaError struct {
	ErrorMessage string `json:"errorMessage"`
	ErrorType    string `json:"errorType"`
}

// stepRun reads an invocation's result as the service does.
func stepRun(step string, r Response, err error, took time.Duration) StepRun {
	s := StepRun{Step: step, Response: r.Payload, Took: took}
	switch {
	case err != nil:
		s.ErrorType, s.ErrorMessage = "InvocationFailed", err.Error()
	case r.FunctionError != "":
		var e lambdaError
		json.Unmarshal(r.Payload, &e)
		s.ErrorType, s.ErrorMessage = cmp.Or(e.ErrorType, r.FunctionError), e.ErrorMessage
	}
	return s
}
