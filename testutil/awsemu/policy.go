package awsemu

import (
	"encoding/json"
	"slices"

	"github.com/quarterturn-dev/quarterturn/rotator/iam"
)

type resourcePolicyOutput struct {
	ARN            string
	Name           string
	ResourcePolicy string `json:",omitempty"`
}

func (e *Emulator) getResourcePolicy(r *request, in *secretIdInput) (any, error) {
	s, err := e.readLive(r, in.SecretId)
	if err != nil {
		return nil, err
	}
	return resourcePolicyOutput{s.ARN, s.Name, s.Policy}, nil
}

type putResourcePolicyInput struct {
	SecretId          string `check:"required len=1-2048 name"`
	ResourcePolicy    string `check:"required len=1-20480"`
	BlockPublicPolicy bool
}

func (e *Emulator) putResourcePolicy(r *request, in *putResourcePolicyInput) (any, error) {
	rec, err := e.primary(r, in.SecretId)
	if err != nil {
		return nil, err
	}
	policy, err := parsePolicy(in.ResourcePolicy)
	if err != nil {
		return nil, err
	}
	if in.BlockPublicPolicy && policy.public() {
		return nil, refuse(codePublicPolicy, "You can't attach a resource policy that grants broad access to the "+
			"secret.")
	}
	err = e.change(rec, r.now, func(s *Secret) error { s.Policy = in.ResourcePolicy; return nil })
	return identity(&rec.secret), err
}

func (e *Emulator) deleteResourcePolicy(r *request, in *secretIdInput) (any, error) {
	rec, err := e.primary(r, in.SecretId)
	if err != nil {
		return nil, err
	}
	err = e.change(rec, r.now, func(s *Secret) error { s.Policy = ""; return nil })
	return identity(&rec.secret), err
}

type validateResourcePolicyInput struct {
	SecretId       string `check:"len=1-2048 name"`
	ResourcePolicy string `check:"required len=1-20480"`
}

type validationError struct{ CheckName, ErrorMessage string }

type validateResourcePolicyOutput struct {
	PolicyValidationPassed bool
	ValidationErrors       []validationError `json:",omitempty"`
}

// validateResourcePolicy checks syntax and broad access. The service also checks
// whether the policy would lock the caller out; this emulator does not.
func (e *Emulator) validateResourcePolicy(r *request, in *validateResourcePolicyInput) (any, error) {
	if in.SecretId != "" {
		if _, err := e.readLive(r, in.SecretId); err != nil {
			return nil, err
		}
	}
	policy, err := parsePolicy(in.ResourcePolicy)
	if err != nil {
		return nil, err
	}
	if policy.public() {
		return validateResourcePolicyOutput{ValidationErrors: []validationError{{"PUBLIC_POLICY",
			"The resource policy grants broad access to the secret."}}}, nil
	}
	return validateResourcePolicyOutput{PolicyValidationPassed: true}, nil
}

// policyDocument is as much of a resource policy as its syntax needs.
type policyDocument struct {
	Version   string
	Id        string
	Statement oneOrMore[statement]
}

type statement struct {
	Sid                                      string
	Effect                                   string
	Principal, NotPrincipal                  principal
	Action, NotAction, Resource, NotResource oneOrMore[string]
	Condition                                map[string]map[string]oneOrMore[any]
}

// oneOrMore is a JSON value that may stand alone where a list is meant.
type oneOrMore[T any] []T

func (l *oneOrMore[T]) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '[' {
		return json.Unmarshal(b, (*[]T)(l))
	}
	*l = make([]T, 1)
	return json.Unmarshal(b, &(*l)[0])
}

// principal is "*" or a map such as {"AWS": ["arn:..."]}.
type principal map[string]oneOrMore[string]

func (p *principal) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		*p = principal{"AWS": {s}}
		return nil
	}
	return json.Unmarshal(b, (*map[string]oneOrMore[string])(p))
}

func parsePolicy(text string) (policyDocument, error) {
	var p policyDocument
	if json.Unmarshal([]byte(text), &p) != nil {
		return p, refuse(codeMalformedPolicy, "This resource policy contains invalid Json")
	}
	if len(p.Statement) == 0 || !slices.Contains([]string{"", "2012-10-17", "2008-10-17"}, p.Version) {
		return p, refuse(codeMalformedPolicy, "This resource policy contains a syntax error: Version or Statement")
	}
	if _, err := iam.ParseResource(text); err != nil { // what is stored must be fit to decide
		return p, refuse(codeMalformedPolicy, "This resource policy contains a syntax error: %s", err)
	}
	for _, s := range p.Statement {
		if fault := s.fault(); fault != "" {
			return p, refuse(codeMalformedPolicy, "This resource policy contains a syntax error: %s", fault)
		}
	}
	return p, nil
}

func (s statement) fault() string {
	switch {
	case s.Effect != "Allow" && s.Effect != "Deny":
		return "Effect"
	case (len(s.Principal) == 0) == (len(s.NotPrincipal) == 0):
		return "Principal"
	case (len(s.Action) == 0) == (len(s.NotAction) == 0):
		return "Action"
	case (len(s.Resource) == 0) == (len(s.NotResource) == 0):
		return "Resource"
	}
	return ""
}

// public says whether a statement allows everybody without a condition.
func (p policyDocument) public() bool {
	return slices.ContainsFunc(p.Statement, func(s statement) bool {
		return s.Effect == "Allow" && len(s.Condition) == 0 &&
			(len(s.NotPrincipal) > 0 || slices.Contains(s.Principal["AWS"], "*"))
	})
}
