package awsstore

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/permissions"
)

// A denial names who was denied, what, on which resource, and one kind of policy
// that decided; others may deny as well. Policies of some kinds are followed by
// their ARN.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
var (
	deniedTo       = regexp.MustCompile(`User: (\S+) is not authorized`)
	deniedAction   = regexp.MustCompile(`to perform: (\S+)`)
	deniedResource = regexp.MustCompile(`on resource: (\S+)`)
	deniedLayer    = regexp.MustCompile(`(because no|explicit deny in an?) ((?:identity-based|resource-based|session|service control|resource control|VPC endpoint) policy|permissions boundary)`)
	assumedRole    = regexp.MustCompile(`^(arn:[a-z-]+):sts::([0-9]+):assumed-role/([^/]+)/`)
)

// remedy gives what to paste, and where, for a denial by Secrets Manager.
func remedy(message string) string {
	action, resource := first(deniedAction, message), first(deniedResource, message)
	if action == "" || resource == "" {
		return ""
	}
	s := permissions.Statement{Effect: "Allow", Action: permissions.List{action}, Resource: permissions.List{resource}}
	layer := deniedLayer.FindStringSubmatch(message)
	switch {
	case layer == nil:
		return fmt.Sprintf(" (which policy decided is not said; the role of the function needs %s)", s)
	case layer[1] != "because no":
		return fmt.Sprintf(" (an explicit deny in the %s: narrow it, for no Allow outweighs it)", layer[2])
	case layer[2] == "resource-based policy":
		return fmt.Sprintf(" (add to the resource policy of the secret: %s)", s.To(role(first(deniedTo, message))))
	case layer[2] == "identity-based policy":
		return fmt.Sprintf(" (add to the role of the function: %s)", s)
	case layer[2] == "VPC endpoint policy", layer[2] == "resource control policy": // these speak of everybody's requests
		s.Principal = map[string]permissions.List{"AWS": {"*"}}
	}
	return fmt.Sprintf(" (let the %s allow it: %s)", layer[2], s)
}

// noKeyAccess is all that Secrets Manager says of a refusal by KMS.
const noKeyAccess = "Access to KMS is not allowed"

// keyAction is what Secrets Manager asks of KMS in the caller's name.
func keyAction(operation string) string {
	if operation == "PutSecretValue" {
		return "kms:GenerateDataKey"
	}
	return "kms:Decrypt"
}

// keyRemedy gives what to paste where the secret may be used and its key may not.
// Neither the key nor the policy that refused is named in the refusal: the key is
// looked up, and whoever reads this has to know the policies.
func (s *Store) keyRemedy(ctx context.Context, operation, secretID string) string {
	ctx, cancel := context.WithTimeout(ctx, sideTime)
	defer cancel()
	m, err := s.Describe(ctx, secretID)
	switch {
	case err != nil:
		m = rotator.Metadata{ARN: secretID, KMSKeyID: "*"}
	case !m.CustomerKey():
		return " (the secret is encrypted with aws/secretsmanager, which only its own account can use. From another account: give the secret a customer managed key, aws secretsmanager update-secret --kms-key-id. Otherwise: find the policy that denies " + keyAction(operation) + ")"
	}
	action, key := keyAction(operation), s.keyARN(ctx, m)
	use := permissions.UseOfKey(permissions.Secret{ARN: m.ARN, Key: key}, action)
	text := fmt.Sprintf(" (the secret may be used, its KMS key may not, for %s: add to the role of the function: %s", action, use)
	if who, err := sts.NewFromConfig(s.cfg).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}); err == nil {
		text += fmt.Sprintf("; where the policy of the key does not leave that to IAM, add there too: %s", use.To(role(aws.ToString(who.Arn))))
	}
	return text + "; a permissions boundary, session or service control policy must allow it as well)"
}

// keyARN is the key of a secret, as far as it can be known: one of the secret's own
// account may be named by its id or by an alias, and where the secret may not be
// described it is any ("*").
func (s *Store) keyARN(ctx context.Context, m rotator.Metadata) string {
	if strings.Contains(m.KMSKeyID, ":key/") {
		return m.KMSKeyID
	}
	if out, err := s.keys().DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &m.KMSKeyID}); err == nil {
		return aws.ToString(out.KeyMetadata.Arn)
	}
	place := strings.Replace(strings.SplitN(m.ARN, ":secret:", 2)[0], ":secretsmanager:", ":kms:", 1)
	switch {
	case strings.HasPrefix(m.KMSKeyID, "arn:"):
		return m.KMSKeyID
	case strings.HasPrefix(m.KMSKeyID, "alias/"):
		return place + ":" + m.KMSKeyID
	}
	return place + ":key/" + m.KMSKeyID
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
