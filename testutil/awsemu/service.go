package awsemu

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
)

// service is one of the AWS services behind the handler: what it offers and how
// it speaks.
type service struct {
	name       string // as IAM spells it
	target     string // before the operation in X-Amz-Target; "": the query protocol
	space      string // of the query protocol's XML
	operations map[string]operation
	codes      map[string]string // its own names of errors that every service has
	// rest reads the operation, and what the path says of its input, from method and path; nil: the
	// service has no such protocol.
	rest func(*http.Request) (operation string, input map[string]string)
}

// serviceOf tells the services apart as an SDK does: by protocol and target, or the
// name in the credential scope. What
// fits none of them is refused by Secrets Manager.
func serviceOf(hr *http.Request) service {
	switch target := hr.Header.Get("X-Amz-Target"); {
	case strings.HasPrefix(target, keyManagement.target):
		return keyManagement
	case strings.HasPrefix(target, organization.target):
		return organization
	case strings.Contains(hr.URL.Path, "/functions"):
		return lambdaService
	case target == "" && strings.HasPrefix(hr.Header.Get("Content-Type"), formType):
		for _, s := range []service{identities, databases} {
			if strings.Contains(hr.Header.Get("Authorization"), "/"+s.name+"/aws4_request") {
				return s
			}
		}
		return tokens
	}
	return secretsManager
}

// query says whether the service speaks the query protocol: forms in, XML out.
func (s service) query() bool { return s.target == "" && s.rest == nil }

// read gives the operation and its input as JSON.
func (s service) read(hr *http.Request) (operation string, body []byte, err error) {
	if body, err = readBody(hr); err != nil {
		return "", nil, err
	}
	if s.rest != nil {
		operation, named := s.rest(hr)
		if operation == "" {
			return "", nil, unknownOperation(s.name, hr.Method+" "+hr.URL.Path)
		}
		input := map[string]any{}
		if len(body) > 0 && json.Unmarshal(body, &input) != nil {
			return "", nil, refuse(codeSerialization, "The request body is not an object.")
		}
		for name, value := range named {
			input[name] = value
		}
		body, err := json.Marshal(input)
		return operation, body, err
	}
	ok := true
	if s.target == "" {
		operation, body = readForm(body)
	} else {
		operation, ok = strings.CutPrefix(hr.Header.Get("X-Amz-Target"), s.target)
	}
	if _, known := s.operations[operation]; !ok || !known || hr.Method != http.MethodPost {
		return "", nil, unknownOperation(s.name, operation)
	}
	return operation, body, nil
}

// unknownOperation says that the emulator has no such operation, and what to do instead.
func unknownOperation(service, operation string) error {
	instead := map[string]string{
		"lambda": ": its functions are those that it was started with " +
			"(make emulator ARGS=\"-function NAME=PATH\")",
	}
	return refuse(codeUnknown, "The requested operation is not known to this service. This is the emulator, "+
		"whose %s has no %.80q%s.", service, operation, instead[service])
}

// spell gives an error the name that this service has for it.
func (s service) spell(err error) error {
	var api *apiError
	if !errors.As(err, &api) || s.codes[api.Code] == "" {
		return err
	}
	return &apiError{s.codes[api.Code], api.Message, api.Status}
}

func (s service) encode(operation string, out any) ([]byte, error) {
	if s.query() {
		return s.encodeXML(operation, out)
	}
	return json.Marshal(out)
}

func (s service) answer(w http.ResponseWriter, body []byte, err error) {
	id := newUUID()
	w.Header().Set("x-amzn-RequestId", id)
	w.Header().Set("Content-Type", contentType)
	if s.query() {
		w.Header().Set("Content-Type", "text/xml")
	}
	if err == nil {
		w.Write(body)
		return
	}
	var api *apiError
	if !errors.As(s.spell(err), &api) {
		api = refuse(codeInternal, "An error occurred on the server side.")
	}
	status := api.Status
	if s.rest != nil {
		w.Header().Set("X-Amzn-Errortype", api.Code)
	}
	if s.query() {
		body, status = s.errorXML(api, id)
	} else {
		body, _ = json.Marshal(errorBody(api)) // two strings always encode
	}
	w.WriteHeader(status)
	w.Write(body)
}

func errorBody(err *apiError) map[string]string {
	key := "message"
	if modelled[err.Code] {
		key = "Message"
	}
	return map[string]string{"__type": err.Code, key: err.Message}
}
