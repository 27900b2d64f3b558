package samtest

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Template is a template as it is written: maps, lists and text, with every
// intrinsic function in its long form, {"Fn::Sub": "..."}.
type Template map[string]any

// Read reads a template.
func Read(path string) (Template, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var node yaml.Node
	if err := yaml.Unmarshal(text, &node); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	value, err := plain(node.Content[0])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	t, ok := value.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%s: not a template", path)
	}
	return t, nil
}

// plain turns a node into maps, lists and scalars, and short forms into long ones.
func plain(n *yaml.Node) (any, error) {
	var value any
	switch n.Kind {
	case yaml.MappingNode:
		m := map[string]any{}
		for i := 0; i < len(n.Content); i += 2 {
			v, err := plain(n.Content[i+1])
			if err != nil {
				return nil, err
			}
			m[n.Content[i].Value] = v
		}
		value = m
	case yaml.SequenceNode:
		list := []any{}
		for _, item := range n.Content {
			v, err := plain(item)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		value = list
	case yaml.ScalarNode:
		value = n.Value // CloudFormation, too, takes numbers and booleans for text
	default:
		return nil, fmt.Errorf("line %d: anchors are nothing for CloudFormation", n.Line)
	}
	switch name, tagged := strings.CutPrefix(n.Tag, "!"); {
	case !tagged || strings.HasPrefix(name, "!"):
		return value, nil
	case name == "Ref" || name == "Condition":
		return map[string]any{name: value}, nil
	case name == "GetAtt":
		if s, ok := value.(string); ok {
			logical, attribute, _ := strings.Cut(s, ".")
			value = []any{logical, attribute}
		}
		fallthrough
	default:
		return map[string]any{"Fn::" + name: value}, nil
	}
}

// Section is one of the maps at the top, such as Resources.
func (t Template) Section(name string) map[string]any {
	section, _ := t[name].(map[string]any)
	return section
}

// Get walks down maps; nil if there is nothing.
func Get(value any, path ...string) any {
	for _, name := range path {
		m, _ := value.(map[string]any)
		value = m[name]
	}
	return value
}

// Clone is a copy that shares nothing.
func (t Template) Clone() Template { return clone(map[string]any(t)).(map[string]any) }

func clone(value any) any {
	switch v := value.(type) {
	case map[string]any:
		m := map[string]any{}
		for k := range v {
			m[k] = clone(v[k])
		}
		return m
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = clone(v[i])
		}
		return list
	}
	return value
}

// Walk visits every value below value, and value itself.
func Walk(value any, visit func(any)) {
	visit(value)
	switch v := value.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			Walk(v[name], visit)
		}
	case []any:
		for _, item := range v {
			Walk(item, visit)
		}
	}
}

// References gives every name that Ref, GetAtt, Sub or Condition mention.
func References(value any) map[string]bool {
	names := map[string]bool{}
	Walk(value, func(v any) {
		m, ok := v.(map[string]any)
		if !ok {
			return
		}
		for function, argument := range m {
			switch a := argument.(type) {
			case string:
				switch function {
				case "Ref":
					names[a] = true
				case "Fn::Sub":
					for _, found := range variable.FindAllStringSubmatch(a, -1) {
						names[found[1]] = true
					}
				}
			case []any:
				if function == "Fn::GetAtt" {
					names[a[0].(string)] = true
				}
			}
		}
	})
	return names
}

var variable = regexp.MustCompile(`\$\{([A-Za-z0-9:.]+)\}`)

// Stack is a template with the values of one deployment.
type Stack struct {
	template   Template
	parameters map[string]string
}

// Deploy resolves a template for a stack, with parameters over their defaults (which
// cfn-lint holds to what they allow). A value that AllowedValues or AllowedPattern
// refuses is an error, and so is a rule that is broken. AWS::Partition, AWS::Region and
// AWS::URLSuffix put the stack elsewhere.
func (t Template) Deploy(parameters map[string]string) (Stack, error) {
	s := Stack{t, map[string]string{
		"AWS::AccountId": "123456789012", "AWS::Region": "us-east-1", "AWS::Partition": "aws",
		"AWS::URLSuffix": "amazonaws.com",
		"AWS::StackName": "quarterturn",
	}}
	for name, declared := range t.Section("Parameters") {
		value, given := parameters[name]
		if fallback, ok := Get(declared, "Default").(string); !given && ok {
			value, given = fallback, true
		}
		if !given {
			return s, fmt.Errorf("parameter %s has no value", name)
		}
		s.parameters[name] = value
	}
	for name, value := range parameters {
		if strings.HasPrefix(name, "AWS::") {
			s.parameters[name] = value
			continue
		}
		declared, known := t.Section("Parameters")[name]
		if !known {
			return s, fmt.Errorf("there is no parameter %s", name)
		}
		if allowed, ok := Get(declared, "AllowedValues").([]any); ok && !slices.Contains(allowed, any(value)) {
			return s, fmt.Errorf("parameter %s: %q is none of %v", name, value, allowed)
		}
		if pattern, ok := Get(declared, "AllowedPattern").(string); ok && !regexp.MustCompile(`^(?:`+pattern+`)$`).
			MatchString(value) {
			return s, fmt.Errorf("parameter %s: %q does not match %s", name, value, pattern)
		}
	}
	for name, rule := range t.Section("Rules") {
		if condition := Get(rule, "RuleCondition"); condition != nil && !s.holds(condition) {
			continue
		}
		for _, assertion := range Get(rule, "Assertions").([]any) {
			if !s.holds(Get(assertion, "Assert")) {
				return s, fmt.Errorf("rule %s: %s", name, Get(assertion, "AssertDescription"))
			}
		}
	}
	return s, nil
}

// Resource is one resource with its functions resolved; nil if it is not deployed.
func (s Stack) Resource(name string) map[string]any {
	resource := s.template.Section("Resources")[name]
	if condition, ok := Get(resource, "Condition").(string); ok && !s.condition(condition) {
		return nil
	}
	resolved, _ := s.Resolve(resource).(map[string]any)
	return resolved
}

// Policies are the policy documents of a role, by the names of their resources:
// those that it names, and those that name it.
func (s Stack) Policies(role string) map[string]string {
	documents := map[string]string{}
	add := func(name string) {
		// maps, lists and text cannot fail
		text, _ := json.Marshal(Get(s.Resource(name), "Properties", "PolicyDocument"))
		documents[name] = string(text)
	}
	arns, _ := Get(s.Resource(role), "Properties", "ManagedPolicyArns").([]any)
	for _, name := range arns {
		add(name.(string))
	}
	for name := range s.template.Section("Resources") {
		if roles, _ := Get(s.Resource(name), "Properties", "Roles").([]any); slices.Contains(roles, any(role)) {
			add(name)
		}
	}
	return documents
}

// none is AWS::NoValue.
type none struct{}

// Resolve is a value with its functions resolved. A reference to a resource is its
// logical name, and an attribute stands as NAME.ATTRIBUTE, unless it is an ARN.
func (s Stack) Resolve(value any) any {
	switch v := value.(type) {
	case map[string]any:
		if len(v) == 1 {
			for function, argument := range v {
				if function == "Ref" || strings.HasPrefix(function, "Fn::") {
					return s.call(function, argument)
				}
			}
		}
		m := map[string]any{}
		for name := range v {
			if r := s.Resolve(v[name]); r != (none{}) {
				m[name] = r
			}
		}
		return m
	case []any:
		list := []any{}
		for _, item := range v {
			if r := s.Resolve(item); r != (none{}) {
				list = append(list, r)
			}
		}
		return list
	}
	return value
}

func (s Stack) call(function string, argument any) any {
	list, _ := argument.([]any)
	switch function {
	case "Ref":
		return s.ref(argument.(string))
	case "Fn::Sub":
		return variable.ReplaceAllStringFunc(argument.(string), func(match string) string {
			return s.ref(match[2 : len(match)-1]).(string)
		})
	case "Fn::If":
		if s.condition(list[0].(string)) {
			return s.Resolve(list[1])
		}
		return s.Resolve(list[2])
	case "Fn::GetAtt":
		return s.attribute(list[0].(string), list[1].(string))
	case "Fn::Split":
		parts := []any{}
		for _, part := range strings.Split(s.Resolve(list[1]).(string), list[0].(string)) {
			parts = append(parts, part)
		}
		return parts
	case "Fn::FindInMap":
		return Get(s.template.Section("Mappings"), s.Resolve(list[0]).(string), s.Resolve(list[1]).(string),
			s.Resolve(list[2]).(string))
	case "Fn::Select":
		return s.Resolve(list[1]).([]any)[0]
	}
	panic("samtest: no " + function + " in the templates of this project so far")
}

func (s Stack) ref(name string) any {
	if name == "AWS::NoValue" {
		return none{}
	}
	if value, ok := s.parameters[name]; ok {
		return value
	}
	return name // a resource
}

// attribute is one of a resource. Where it is an ARN that policies name, it is one of
// the form that CloudFormation would give.
func (s Stack) attribute(resource, name string) string {
	physical := s.parameters["AWS::StackName"] + "-" + resource + "-1ABCDEFGHIJK"
	partition, region := s.parameters["AWS::Partition"], s.parameters["AWS::Region"]
	switch kind := Get(s.template.Section("Resources")[resource], "Type"); {
	case kind == "AWS::Logs::LogGroup" && name == "Arn":
		return "arn:" + partition + ":logs:" + region + ":123456789012:log-group:" + physical + ":*"
	case kind == "AWS::IAM::Role" && name == "Arn":
		return "arn:" + partition + ":iam::123456789012:role" + s.parameters["RolePath"] + physical
	}
	return resource + "." + name
}

func (s Stack) condition(name string) bool { return s.holds(s.template.Section("Conditions")[name]) }

func (s Stack) holds(condition any) bool {
	for function, argument := range condition.(map[string]any) {
		if name, ok := argument.(string); ok && function == "Condition" {
			return s.condition(name)
		}
		list := argument.([]any)
		switch function {
		case "Fn::Equals":
			return s.Resolve(list[0]) == s.Resolve(list[1])
		case "Fn::Not":
			return !s.holds(list[0])
		case "Fn::And":
			return !slices.ContainsFunc(list, func(c any) bool { return !s.holds(c) })
		case "Fn::Or":
			return slices.ContainsFunc(list, s.holds)
		}
	}
	panic(fmt.Sprintf("samtest: not a condition: %v", condition))
}
