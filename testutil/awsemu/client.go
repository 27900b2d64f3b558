package awsemu

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
)

// Client reaches the emulator without a network: each request runs in the goroutine that sends it, whatever host it
// names, so that an SDK with this client cannot reach AWS by mistake. An answer that is lost is [io.ErrUnexpectedEOF].
func (e *Emulator) Client() *http.Client { return &http.Client{Transport: direct{e}} }

type direct struct{ to http.Handler }

func (d direct) RoundTrip(r *http.Request) (answer *http.Response, err error) {
	if r.Body == nil {
		r = r.Clone(r.Context())
		r.Body = http.NoBody // as a server would see it
	}
	defer r.Body.Close()
	w := &recorder{header: http.Header{}, status: http.StatusOK}
	defer func() {
		switch p := recover(); {
		case p != nil && p != http.ErrAbortHandler:
			panic(p)
		case r.Context().Err() != nil: // the client gave up, and is told so even if an answer came
			answer, err = nil, r.Context().Err()
		case p != nil:
			answer, err = nil, io.ErrUnexpectedEOF
		}
	}()
	d.to.ServeHTTP(w, r)
	return &http.Response{
		Status: fmt.Sprintf("%d %s", w.status, http.StatusText(w.status)), StatusCode: w.status, Request: r,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: w.header,
		ContentLength: int64(w.body.Len()), Body: io.NopCloser(&w.body),
	}, nil
}

// recorder is an http.ResponseWriter that keeps what is written.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *recorder) Header() http.Header             { return w.header }
func (w *recorder) WriteHeader(status int)          { w.status = status }
func (w *recorder) Write(b []byte) (n int, e error) { return w.body.Write(b) }
