package permissions

import "encoding/json"

// Policy is an IAM policy document: its statements.
type Policy []Statement

// Statement is one statement of a policy, in the words of IAM.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html
type Statement struct {
	Sid       string                `json:",omitempty"`
	Effect    string                // Allow or Deny
	Principal map[string]StringList `json:",omitempty"` // in policies of resources: "AWS" or "Service"
	Action    StringList
	Resource  StringList
	Condition Condition `json:",omitempty"`
}

// Condition maps operators to condition keys to values.
type Condition map[string]map[string]StringList

// StringList is one value or several, and prints as IAM likes it: one without brackets.
type StringList []string

// MarshalJSON implements json.Marshaler.
func (l StringList) MarshalJSON() ([]byte, error) {
	if len(l) == 1 {
		return json.Marshal(l[0])
	}
	return json.Marshal([]string(l))
}

// MarshalJSON implements json.Marshaler.
func (p Policy) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Version   string
		Statement []Statement
	}{"2012-10-17", p})
}

// String is the policy as people paste it.
func (p Policy) String() string {
	text, _ := json.MarshalIndent(p, "", "  ") // strings, and lists and maps of them, cannot fail
	return string(text)
}

// String is the statement in one line, for a sentence.
func (s Statement) String() string {
	text, _ := json.Marshal(s)
	return string(text)
}

// WithPrincipal gives a statement its principal, as policies of resources need one; their
// resource is the one that they are attached to.
func (s Statement) WithPrincipal(principal string) Statement {
	s.Principal, s.Resource = map[string]StringList{"AWS": {principal}}, StringList{"*"}
	return s
}
