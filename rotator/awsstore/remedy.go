package awsstore

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/permissions"
)

// remedy gives what to paste, and where, for a denial by Secrets Manager. It is "" for
// a text that is no denial.
func (s *Store) remedy(ctx context.Context, operation, secretID, message string) string {
	d, ok := permissions.ParseDenial(message)
	switch {
	case !ok:
		return ""
	case d.Key:
		return s.keyRemedy(ctx, operation, secretID, d)
	}
	return d.Remedy(permissions.Place{Secret: s.arnOf(ctx, operation, secretID, d)})
}

// arnOf is the whole ARN of a secret, which a policy needs: AWS's denial has no more of
// it than the caller sent. Where that may be a part, the secret itself is asked.
func (s *Store) arnOf(ctx context.Context, operation, secretID string, d permissions.Denial) permissions.StringList {
	arns, sure := permissions.SecretARN(secretID, d.Principal, s.cfg.Region)
	if sure || operation == "DescribeSecret" {
		return arns
	}
	ctx, cancel := context.WithTimeout(ctx, optionalCallTimeout)
	defer cancel()
	if m, err := s.Describe(ctx, secretID); err == nil {
		return permissions.StringList{m.ARN}
	}
	return arns
}

// keyAction is what Secrets Manager asks of KMS in the caller's name.
func keyAction(operation string) string {
	if operation == "PutSecretValue" {
		return "kms:GenerateDataKey"
	}
	return "kms:Decrypt"
}

// keyRemedy gives what to paste where the secret may be used and its key may not.
// Neither the key nor the policy that denied is named in the denial: the key is
// looked up, and the reader has to know the policies.
func (s *Store) keyRemedy(ctx context.Context, operation, secretID string, d permissions.Denial) string {
	ctx, cancel := context.WithTimeout(ctx, optionalCallTimeout)
	defer cancel()
	action := keyAction(operation)
	m, err := s.Describe(ctx, secretID)
	of := permissions.Secret{ARN: m.ARN}
	switch {
	case err != nil:
		// A rotation need not be allowed to describe a superuser secret: any key, but for that secret alone.
		arns, _ := permissions.SecretARN(secretID, d.Principal, s.cfg.Region)
		if len(arns) == 0 {
			return fmt.Sprintf("the secret is accessible, but its KMS key is not, for %s. To see which key that is: "+
				"aws secretsmanager describe-secret --secret-id %s --query KmsKeyId. The role of the function must "+
				"be allowed %s with that key", action, rotator.ShellWord(secretID), action)
		}
		of = permissions.Secret{ARN: arns[0], Key: keysBeside(arns[0]) + ":key/*"}
	case d.OldKey:
		return fmt.Sprintf("this version is encrypted with a key that the secret had before, and that key is not "+
			"accessible, for %s. To see which key that is: aws secretsmanager list-secret-version-ids --secret-id %s "+
			"--include-deprecated. The role of the function must be allowed %s with that key too", action,
			rotator.ShellWord(m.ARN), action)
	case !m.HasCustomerKey():
		return "the secret is encrypted with aws/secretsmanager, which only its own account can use. From another " +
			"account: give the secret a customer managed key, aws secretsmanager update-secret --secret-id " +
			rotator.ShellWord(m.ARN) + " --kms-key-id KEY-ARN. Otherwise: find the policy that denies " + action
	default:
		of.Key = s.keyARN(ctx, m)
	}
	use := permissions.KeyUseStatement(of, action)
	text := fmt.Sprintf("the secret is accessible, but its KMS key is not, for %s: add to the role of the function: %s",
		action, use)
	if who, err := sts.NewFromConfig(s.cfg).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}); err == nil {
		text += "; where the policy of the key does not leave that to IAM, add there too: " +
			permissions.InKeyPolicy(use, aws.ToString(who.Arn))
	}
	if d.NoKey {
		text += "; to AWS it may also be that the key is not there, or is in another Region"
	}
	return text + "; a permissions boundary, session or service control policy must allow it as well"
}

// keyARN is the key of a secret, as far as it can be known: one of the secret's own
// account may be named by its id or by an alias.
func (s *Store) keyARN(ctx context.Context, m rotator.Metadata) string {
	if strings.Contains(m.KMSKeyID, ":key/") {
		return m.KMSKeyID
	}
	if out, err := s.kmsClient().DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &m.KMSKeyID}); err == nil {
		return aws.ToString(out.KeyMetadata.Arn)
	}
	place := keysBeside(m.ARN)
	switch {
	case strings.HasPrefix(m.KMSKeyID, "arn:"):
		return m.KMSKeyID
	case strings.HasPrefix(m.KMSKeyID, "alias/"):
		return place + ":" + m.KMSKeyID
	}
	return place + ":key/" + m.KMSKeyID
}

// keysBeside is how the ARNs of keys begin that are of a secret's account and Region.
func keysBeside(secretARN string) string {
	before, _, _ := strings.Cut(secretARN, ":secret:")
	return strings.Replace(before, ":secretsmanager:", ":kms:", 1)
}
