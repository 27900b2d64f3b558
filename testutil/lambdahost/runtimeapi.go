package lambdahost

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// invocation is one event on its way through the process.
type invocation struct {
	id       string
	arn      string
	trace    string
	payload  []byte
	deadline time.Time
	answer   *answer // nil until the process posts one
}

// answer is what the process posted.
type answer struct {
	payload []byte
	failed  bool
}

func newInvocation(payload []byte, arn string) *invocation {
	if len(payload) == 0 {
		payload = []byte("{}")
	}
	return &invocation{id: newUUID(), arn: arn, trace: newTrace(time.Now()), payload: payload}
}

func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])  // never fails
	b[6] = b[6]&0x0f | 0x40 // version 4
	b[8] = b[8]&0x3f | 0x80 // RFC 9562 variant
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// newTrace makes an X-Ray header that says "not sampled".
func newTrace(now time.Time) string {
	var b [20]byte
	_, _ = rand.Read(b[:])
	return fmt.Sprintf("Root=1-%08x-%x;Parent=%x;Sampled=0", now.Unix(), b[:12], b[12:])
}

// runtimeAPI is the Lambda Runtime API, version 2018-06-01, as its one client sees it.
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
func (s *sandbox) runtimeAPI() http.Handler {
	const root = "/2018-06-01/runtime/"
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+root+"invocation/next", s.next)
	mux.HandleFunc("POST "+root+"invocation/{id}/response", s.response)
	mux.HandleFunc("POST "+root+"invocation/{id}/error", s.invocationError)
	mux.HandleFunc("POST "+root+"init/error", s.initError)
	return mux
}

func (s *sandbox) next(w http.ResponseWriter, r *http.Request) {
	if !s.mayAsk() {
		refuse(w, http.StatusForbidden, "InvalidStateTransition", "The invocation in progress has no response yet")
		return
	}
	select {
	case s.ready <- struct{}{}:
	case <-r.Context().Done():
		return
	}
	select {
	case inv := <-s.work:
		inv.deliver(w)
	case <-r.Context().Done(): // the process died, or the host closes
	}
}

// mayAsk notes a call of next and says whether it is in order.
func (s *sandbox) mayAsk() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begun = true
	return s.inv == nil || s.inv.answer != nil
}

func (inv *invocation) deliver(w http.ResponseWriter) {
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Lambda-Runtime-Aws-Request-Id", inv.id)
	header.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(inv.deadline.UnixMilli(), 10))
	header.Set("Lambda-Runtime-Invoked-Function-Arn", inv.arn)
	header.Set("Lambda-Runtime-Trace-Id", inv.trace)
	_, _ = w.Write(inv.payload) // an error means that the process is gone, which serve will see
}

func (s *sandbox) response(w http.ResponseWriter, r *http.Request) {
	payload, fits, err := readBody(r, maxResponse)
	switch {
	case err != nil: // half a response is none
		truncated(w)
	case fits:
		s.accept(w, r.PathValue("id"), &answer{payload: payload})
	default:
		message := fmt.Sprintf("Response payload size exceeded maximum allowed payload size (%d bytes).", maxResponse)
		if s.settle(w, r.PathValue("id"), &answer{errorObject("Function.ResponseSizeTooLarge", message), true}) {
			refuse(w, http.StatusRequestEntityTooLarge, "RequestEntityTooLarge",
				fmt.Sprintf("Exceeded maximum allowed payload size (%d bytes).", maxResponse))
		}
	}
}

func (s *sandbox) invocationError(w http.ResponseWriter, r *http.Request) {
	posted, err := reportedError(r)
	if err != nil {
		truncated(w)
		return
	}
	s.accept(w, r.PathValue("id"), &answer{payload: posted, failed: true})
}

func (s *sandbox) initError(w http.ResponseWriter, r *http.Request) {
	posted, err := reportedError(r)
	s.mu.Lock()
	begun := s.begun
	s.mu.Unlock()
	switch {
	case err != nil:
		truncated(w)
		return
	case begun:
		refuse(w, http.StatusForbidden, "InvalidStateTransition", "The init is over")
		return
	}
	kind, message := parseError(posted)
	select {
	case s.initErr <- &failure{kind: kind, message: message, posted: posted}:
	default: // the first report counts
	}
	accepted(w)
}

// reportedError reads an error object that the process posted; of an empty one,
// the header has to do.
func reportedError(r *http.Request) ([]byte, error) {
	body, fits, err := readBody(r, maxResponse)
	if err != nil {
		return nil, err
	}
	if len(body) == 0 || !fits {
		body = errorObject(cmp.Or(r.Header.Get("Lambda-Runtime-Function-Error-Type"), "Runtime.Unknown"), "")
	}
	return body, nil
}

// parseError reads an error object; one of another form has no type and no message.
func parseError(payload []byte) (kind, message string) {
	var object struct {
		Type    string `json:"errorType"`
		Message string `json:"errorMessage"`
	}
	if json.Unmarshal(payload, &object) != nil {
		return "", ""
	}
	return object.Type, object.Message
}

// accept takes an answer and says so.
func (s *sandbox) accept(w http.ResponseWriter, id string, a *answer) {
	if s.settle(w, id, a) {
		accepted(w)
	}
}

// settle takes the one answer of the invocation in progress, or refuses it.
func (s *sandbox) settle(w http.ResponseWriter, id string, a *answer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.inv == nil || s.inv.id != id:
		refuse(w, http.StatusBadRequest, "InvalidRequestID", "Invalid request ID")
		return false
	case s.inv.answer != nil:
		refuse(w, http.StatusForbidden, "InvalidStateTransition", "The invocation has its response already")
		return false
	}
	s.inv.answer = a
	return true
}

// readBody reads at most limit bytes. What is more is read and thrown away,
// because a client that is cut short sees a broken pipe instead of the answer.
func readBody(r *http.Request, limit int64) (body []byte, fits bool, err error) {
	body, err = io.ReadAll(io.LimitReader(r.Body, limit+1))
	if err != nil || int64(len(body)) <= limit {
		return body, true, err
	}
	_, err = io.Copy(io.Discard, r.Body)
	return nil, false, err
}

func accepted(w http.ResponseWriter) {
	writeJSON(w, http.StatusAccepted, []byte(`{"status":"OK"}`))
}

func truncated(w http.ResponseWriter) {
	refuse(w, http.StatusBadRequest, "TruncatedHTTPRequest", "HTTP request detected as truncated")
}

func refuse(w http.ResponseWriter, status int, kind, message string) {
	writeJSON(w, status, errorObject(kind, message))
}

func writeJSON(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the caller has closed the connection
}
