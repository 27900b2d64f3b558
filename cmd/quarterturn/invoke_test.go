package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// TestErrorsOfLambda: an error of Lambda itself is told with what it means and what to do, whichever command meets it.
func TestErrorsOfLambda(t *testing.T) {
	s := newStage(t)
	for _, e := range invokeErrors() {
		for _, code := range e.codes {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("X-Amzn-Errortype", code+"Exception")
				w.WriteHeader(http.StatusBadRequest)
				io.WriteString(w, `{"Reason":"`+string(e.reason)+`","message":"Refused."}`) //nolint:errcheck
			}))
			t.Setenv("AWS_ENDPOINT_URL_LAMBDA", server.URL)
			for _, args := range [][]string{{"status", "fine"}, {"preflight", "fine"}, {"recover", "stuck", "finish"}} {
				_, errOut, exit := s.run(append(args, "--function", "rotate")...)
				if code == "TooManyRequests" && strings.Contains(errOut, "If that was not on purpose, remove it") ==
					(e.reason == lambdatypes.ThrottleReasonConcurrentInvocationLimitExceeded) {
					t.Errorf("reason %q: %s", e.reason, errOut)
				}
				for _, want := range append([]string{e.means, e.do}, e.run...) {
					want = strings.ReplaceAll(want, "FUNCTION", "rotate")
					if strings.HasPrefix(want, "aws ") {
						want = "\n  " + want + "\n" // on a line of its own
					}
					if !strings.Contains(errOut, want) || exit != exitUnknown {
						t.Errorf("%s: %q does not say %q (exit %d):\n%s", code, args, want, exit, errOut)
					}
				}
			}
			server.Close()
		}
	}
}

// TestTheRunbookShowsErrorsOfLambda: the table of the runbook is the one that the program decides by.
func TestTheRunbookShowsErrorsOfLambda(t *testing.T) {
	const path, end = "../../docs/runbook.md", "<!-- end -->\n"
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(page), "<!-- errors of Lambda:")
	note, rest, closes := strings.Cut(rest, "-->\n")
	table, after, ends := strings.Cut(rest, end)
	if !begins || !closes || !ends {
		t.Fatalf("%s has no place for the errors of Lambda", path)
	}
	if want := invokeTable(); table != want && !*update {
		t.Errorf("%s does not show the errors of Lambda. To write it:%s", path, note)
	} else if *update {
		page = []byte(before + "<!-- errors of Lambda:" + note + "-->\n" + want + end + after)
		if err := os.WriteFile(path, page, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
