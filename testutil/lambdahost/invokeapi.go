package lambdahost

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// ServeHTTP is Lambda's Invoke API for this one function; see Handler.
func (h *Host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	Handler(h).ServeHTTP(w, r)
}

// Handler is Lambda's Invoke API for some functions, as the AWS CLI
// (aws lambda invoke --endpoint-url) and the SDKs call it. A function answers to
// its name, its ARN and its partial ARN; its one version is $LATEST. Credentials
// are not looked at, so serve it on the loopback only.
// https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
func Handler(hosts ...*Host) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /2015-03-31/functions/{function}/invocations", func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("function")
		if q := r.URL.Query().Get("Qualifier"); q != "" {
			name += ":" + q
		}
		for _, h := range hosts {
			if h.AnswersTo(name) {
				h.serveInvoke(w, r)
				return
			}
		}
		apiError(w, http.StatusNotFound, "ResourceNotFoundException", "Function not found: "+name)
	})
	return mux
}

// AnswersTo says whether a name means this function: its own, its ARN or a part of it, with or without $LATEST.
func (h *Host) AnswersTo(name string) bool {
	arn := h.ARN()
	switch strings.TrimSuffix(name, ":$LATEST") {
	case h.fn.Name, arn, h.fn.Account + ":function:" + h.fn.Name:
		return true
	}
	return false
}

func (h *Host) serveInvoke(w http.ResponseWriter, r *http.Request) {
	invocationType := cmp.Or(r.Header.Get("X-Amz-Invocation-Type"), "RequestResponse")
	limit := int64(maxPayload)
	tooLarge := fmt.Sprintf("Request must be smaller than %d bytes for the InvokeFunction operation", maxPayload)
	if invocationType == "Event" {
		limit = maxEventPayload
		tooLarge = fmt.Sprintf("The payload is too large for the Event invocation type (limit %d bytes)",
			maxEventPayload)
	}
	payload, fits, err := readBody(r, limit)
	switch {
	case err != nil:
		return // the caller hung up
	case !fits:
		apiError(w, http.StatusRequestEntityTooLarge, "RequestEntityTooLargeException", tooLarge)
		return
	case len(payload) > 0 && !json.Valid(payload):
		apiError(w, http.StatusBadRequest, "InvalidRequestContentException", "Could not parse request body into json")
		return
	}
	w.Header().Set("X-Amz-Executed-Version", "$LATEST")
	switch invocationType {
	case "RequestResponse":
		h.answer(w, r, payload)
	case "Event":
		h.enqueue(w, payload)
	case "DryRun":
		w.WriteHeader(http.StatusNoContent)
	default:
		apiError(w, http.StatusBadRequest, "InvalidParameterValueException",
			"Invocation type must be RequestResponse, Event or DryRun")
	}
}

// answer is a synchronous invocation. Its status is 200 even if the function failed.
func (h *Host) answer(w http.ResponseWriter, r *http.Request, payload []byte) {
	result, err := h.Invoke(r.Context(), payload)
	if err != nil {
		apiError(w, http.StatusInternalServerError, "ServiceException", err.Error())
		return
	}
	header := w.Header()
	header.Set("X-Amzn-Requestid", result.RequestID)
	if result.FunctionError != "" {
		header.Set("X-Amz-Function-Error", result.FunctionError)
	}
	if r.Header.Get("X-Amz-Log-Type") == "Tail" {
		header.Set("X-Amz-Log-Result", base64.StdEncoding.EncodeToString(result.Log))
	}
	writeJSON(w, http.StatusOK, result.Payload)
}

// enqueue is an asynchronous invocation: only the log says how it ended.
func (h *Host) enqueue(w http.ResponseWriter, payload []byte) {
	if !h.background(func() { _, _ = h.Invoke(h.ctx, payload) }) {
		apiError(w, http.StatusInternalServerError, "ServiceException", ErrClosed.Error())
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

// apiError writes an error of Lambda's API. AWS spells the member that holds the text
// "Message" in some shapes and "message" in others; clients of all kinds find one.
func apiError(w http.ResponseWriter, status int, kind, text string) {
	w.Header().Set("X-Amzn-Errortype", kind)
	side := "User"
	if status >= http.StatusInternalServerError {
		side = "Service"
	}
	body, _ := json.Marshal(map[string]string{"Type": side, "Message": text, "message": text}) // strings cannot fail
	writeJSON(w, status, body)
}
