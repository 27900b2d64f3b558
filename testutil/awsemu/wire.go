package awsemu

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"time"
)

const (
	contentType = "application/x-amz-json-1.1"
	// maxBody lets 65,536 bytes through in the longest JSON spelling (\u0041 for
	// each) with room for the rest.
	maxBody = 1 << 20
)

// request is one call on its way through the emulator.
type request struct {
	service service
	call    Call
	caller  *Caller // nil: no callers are configured, and everything is allowed
	asked   members
	fault   Fault
	now     time.Time
	then    []func() // done once the call was observed: a rotation's own calls come after the one that started it
}

// ServeHTTP answers one request to Secrets Manager, KMS, STS, IAM or RDS.
func (e *Emulator) ServeHTTP(w http.ResponseWriter, hr *http.Request) {
	r := &request{now: e.now(), service: serviceOf(hr)}
	out, err := e.serve(r, hr)
	if r.call.N > 0 && e.Observe != nil {
		e.Observe(r.call)
	}
	for _, f := range r.then {
		f()
	}
	if r.call.Lost {
		panic(http.ErrAbortHandler) // net/http's way to close a connection without an answer
	}
	r.service.answer(w, out, err)
}

// serve is the order in which the service looks at a request: who signed it,
// whether it is well formed, whether it is allowed, and only then the state.
func (e *Emulator) serve(r *request, hr *http.Request) ([]byte, error) {
	signer, err := readSigner(hr)
	if err != nil {
		return nil, err
	}
	operation, body, err := r.service.read(hr)
	if err != nil {
		return nil, err
	}
	r.asked = readMembers(body)
	r.call = describeCall(operation, r.asked, signer)
	r.call.Service = r.service.name
	unknown := e.identify(r, signer)
	e.arrive(r)
	if unknown != nil {
		return nil, e.finish(r, unknown)
	}
	run, err := r.service.operations[operation](body)
	if err != nil {
		return nil, e.finish(r, err)
	}
	if err := e.disturb(r, hr); err != nil {
		return nil, e.finish(r, err)
	}
	out, err := e.carryOut(r, run)
	if r.fault.After != nil {
		r.fault.After()
	}
	return out, err
}

// arrive numbers the call and asks Fault about it.
func (e *Emulator) arrive(r *request) {
	e.mu.Lock()
	e.arrived++
	r.call.N = e.arrived
	if rec, err := e.find(r.call.home(), r.call.SecretID); err == nil {
		r.call.Name = rec.secret.Name
		r.call.Phase = rec.phase()
	}
	e.mu.Unlock()
	if e.Fault != nil {
		r.fault = e.Fault(r.call)
	}
}

// carryOut runs the operation under the lock that makes calls atomic.
func (e *Emulator) carryOut(r *request, run prepared) (body []byte, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out any
	if !describing[r.call.Operation] {
		e.listed = nil
	}
	if err = e.authorise(r); err == nil {
		out, err = run(e, r)
	}
	if err == nil { // still under the lock: an answer may share slices with the state
		body, err = r.service.encode(r.call.Operation, out)
	}
	err = r.service.spell(err)
	r.call.Err, r.call.Lost = code(err), r.fault.LoseResponse
	e.log(&r.call)
	return body, err
}

// finish logs a call that was never carried out.
func (e *Emulator) finish(r *request, err error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	err = r.service.spell(err)
	r.call.Err = code(err)
	e.log(&r.call)
	return err
}

// disturb is what Fault asks for ahead of the operation.
func (e *Emulator) disturb(r *request, hr *http.Request) error {
	f := r.fault
	if f.Before != nil {
		f.Before()
	}
	if err := e.pause(r, hr); err != nil {
		return err
	}
	switch {
	case f.LoseRequest:
		r.call.Lost = true
		return errors.New("the connection broke")
	case f.ExpiredToken:
		return refuse(codeExpired, "The security token included in the request is expired")
	case f.Throttle, e.overQuota(r):
		return refuse(codeThrottled, "Rate exceeded")
	case f.ServerError:
		return refuse(codeInternal, "An error occurred on the server side.")
	}
	return nil
}

func (e *Emulator) pause(r *request, hr *http.Request) error {
	var until <-chan time.Time // nil, for Hang: never
	switch {
	case r.fault.Hang:
	case r.fault.Delay > 0:
		timer := time.NewTimer(r.fault.Delay)
		defer timer.Stop()
		until = timer.C
	default:
		return nil
	}
	e.mu.Lock()
	closing := e.lifetime().Done()
	e.mu.Unlock()
	select {
	case <-until:
		return nil
	case <-hr.Context().Done():
	case <-closing:
	}
	r.call.Lost = true
	return errors.New("the client gave up")
}

func code(err error) string {
	if err == nil {
		return ""
	}
	var api *apiError
	if errors.As(err, &api) {
		return api.Code
	}
	return "NoAnswer"
}

// signer is who a request claims to come from. The signature is not verified: the
// emulator knows no secret keys.
type signer struct{ accessKey, region, token string }

// readSigner reads the credential scope of a SigV4 header:
// Credential=<access key>/<date>/<Region>/secretsmanager/aws4_request.
func readSigner(hr *http.Request) (signer, error) {
	header := hr.Header.Get("Authorization")
	if header == "" {
		return signer{}, refuse(codeNoToken, "Request is missing Authentication Token")
	}
	_, rest, ok := strings.Cut(header, "Credential=")
	scope, _, _ := strings.Cut(rest, ",")
	part := strings.Split(strings.TrimSpace(scope), "/")
	if !ok || !strings.HasPrefix(header, "AWS4-HMAC-SHA256 ") || len(part) < 5 || part[0] == "" ||
		part[len(part)-3] == "" {
		return signer{}, refuse(codeBadSignature, "Authorization header requires a SigV4 'Credential' parameter with "+
			"access key, date, Region and service.")
	}
	return signer{part[0], part[len(part)-3], hr.Header.Get("X-Amz-Security-Token")}, nil
}

func readBody(hr *http.Request) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(hr.Body, maxBody+1))
	switch {
	case err != nil:
		return nil, refuse(codeSerialization, "The request body could not be read.")
	case len(body) > maxBody:
		return nil, refuse(codeSerialization, "The request body is larger than any request needs.")
	}
	return body, nil
}

// members is the input of a request as it came. One that does not parse has none;
// the operation itself will refuse it.
type members map[string]json.RawMessage

func readMembers(body []byte) members {
	var m members
	json.Unmarshal(body, &m)
	maps.DeleteFunc(m, func(_ string, raw json.RawMessage) bool { return string(raw) == "null" })
	return m
}

// text is a member that is a string, or "".
func (m members) text(name string) string {
	var s string
	json.Unmarshal(m[name], &s)
	return s
}

// words is a member as condition keys spell it: a string, a number or a Boolean
// alone, the strings of a list, the Regions of a list of replicas; nil if absent.
func (m members) words(name string) []string {
	raw, present := m[name]
	if !present {
		return nil
	}
	var list []json.RawMessage
	switch {
	case raw[0] == '"':
		return []string{m.text(name)}
	case json.Unmarshal(raw, &list) != nil:
		return []string{string(raw)}
	}
	words := []string{}
	for _, item := range list {
		var word string
		var replica replicaRegion
		if json.Unmarshal(item, &word) != nil && json.Unmarshal(item, &replica) == nil {
			word = replica.Region
		}
		words = append(words, word)
	}
	return words
}

func (m members) list(name string) string { return strings.Join(m.words(name), ",") }

func (m members) tags() []tag {
	var list []tag
	json.Unmarshal(m["Tags"], &list)
	return list
}

// describeCall reads what a Call may show.
func describeCall(operation string, in members, s signer) Call {
	return Call{
		Operation: operation,
		SecretID:  cmp.Or(cmp.Or(in.text("SecretId"), in.text("Name")), in.list("SecretIdList")),
		Version:   cmp.Or(cmp.Or(in.text("VersionId"), in.text("MoveToVersionId")), in.text("ClientRequestToken")),
		From:      in.text("RemoveFromVersionId"),
		Stage:     cmp.Or(in.text("VersionStage"), in.list("VersionStages")),
		Target: cmp.Or(in.text("KeyId"),
			cmp.Or(cmp.Or(in.text("RoleArn"), in.text("PolicySourceArn")),
				cmp.Or(in.text("DBInstanceIdentifier"), in.text("DBClusterIdentifier")))),
		Region:    s.region,
		AccessKey: s.accessKey,
	}
}

// stamp is a time as this protocol writes it: seconds since 1970, with a fraction.
type stamp struct{ time.Time }

func (s stamp) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, "%.3f", float64(s.UnixMilli())/1000), nil
}

// newUUID is a random (version 4) UUID.
func newUUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
