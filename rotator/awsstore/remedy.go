package awsstore

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// A denial names who was denied, what, on which resource, and one kind of policy
// that decided; others may deny as well. Policies of some kinds are followed by
// their ARN.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
var (
	deniedTo       = regexp.MustCompile(`User: (\S+) is not authorized`)
	deniedAction   = regexp.MustCompile(`to perform: (\S+)`)
	deniedResource = regexp.MustCompile(`on resource: (\S+)`)
	deniedLayer    = regexp.MustCompile(`(because no|explicit deny in an?) (.+?) policy`)
	assumedRole    = regexp.MustCompile(`^(arn:[a-z-]+):sts::([0-9]+):assumed-role/([^/]+)/`)
)

// statement is a policy statement, as small as it can be.
type statement struct {
	Effect    string
	Principal map[string]string            `json:",omitempty"`
	Action    any                          // one, or several
	Resource  string                       //
	Condition map[string]map[string]string `json:",omitempty"`
}

func (s statement) String() string {
	text, _ := json.Marshal(s) // strings and maps of them cannot fail
	return string(text)
}

// remedy gives what to paste, and where, for a denial.
func remedy(message, region string) string {
	if strings.Contains(message, noKeyAccess) {
		s := statement{
			Effect: "Allow", Action: []string{"kms:Decrypt", "kms:GenerateDataKey"}, Resource: "ARN of the secret's KMS key",
			Condition: map[string]map[string]string{"StringEquals": {"kms:ViaService": "secretsmanager." + region + ".amazonaws.com"}},
		}
		return fmt.Sprintf(" (the secret may be used, its KMS key may not: add to the role of the function, and where the key policy does not leave that to IAM, there too: %s)", s)
	}
	action, resource := first(deniedAction, message), first(deniedResource, message)
	if action == "" || resource == "" {
		return ""
	}
	s := statement{Effect: "Allow", Action: action, Resource: resource}
	layer := deniedLayer.FindStringSubmatch(message)
	switch {
	case layer == nil:
		return fmt.Sprintf(" (which policy decided is not said; the role of the function needs %s)", s)
	case layer[1] != "because no":
		return fmt.Sprintf(" (an explicit deny in the %s policy: narrow it, for no Allow outweighs it)", layer[2])
	case layer[2] == "resource-based":
		s.Principal, s.Resource = map[string]string{"AWS": role(first(deniedTo, message))}, "*"
		return fmt.Sprintf(" (add to the resource policy of the secret: %s)", s)
	case layer[2] == "identity-based":
		return fmt.Sprintf(" (add to the role of the function: %s)", s)
	}
	return fmt.Sprintf(" (let the %s policy allow it: %s)", layer[2], s)
}

func first(re *regexp.Regexp, text string) string {
	if m := re.FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return ""
}

// role gives the role behind a session, as far as its ARN tells: the path of the
// role is not in it.
func role(arn string) string {
	if m := assumedRole.FindStringSubmatch(arn); m != nil {
		return m[1] + ":iam::" + m[2] + ":role/" + m[3]
	}
	return arn
}
