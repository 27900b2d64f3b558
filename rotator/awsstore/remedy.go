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

// remedy adds to a denial by Secrets Manager what to paste, and where. A text that is no denial gets nothing.
func (s *Store) remedy(ctx context.Context, operation, secretID, message string, err error) error {
	d, ok := permissions.ParseDenial(message)
	switch {
	case !ok:
		return err
	case d.Key:
		return s.keyRemedy(ctx, operation, secretID, d, err)
	}
	hint := d.Remedy(permissions.Place{Secret: s.arnOf(ctx, operation, secretID, d)})
	// Each rotation and each answer to people begins with this call: once is enough.
	if operation == "DescribeSecret" && d.Layer == "identity-based policy" && !d.Explicit {
		hint = "where the role is limited to secrets with a tag (SecretTag of the stack), see first whether this one " +
			"still has it, as someone who may: aws secretsmanager describe-secret --secret-id " +
			rotator.ShellWord(secretID) + " --query Tags. If it is gone, tag the secret again. Else " + hint
	}
	err = rotator.WithHint(err, hint)
	if d.OfSecretPolicy() {
		err = rotator.WithFix(err, "", policyFixes(secretID)...)
	}
	return rotator.WithFix(err, "", denyFixes(d, secretID, s.cfg.Region)...)
}

// denyFixes show the policy that denies explicitly, of each kind that AWS says. A session policy nothing shows; the
// secret's own is shown with how it is replaced.
func denyFixes(d permissions.Denial, secretID, region string) (all []rotator.Fix) {
	if !d.Explicit {
		return nil
	}
	organizations := func(kind string) rotator.Fix {
		f := inShell("for p in $(aws organizations list-policies --filter %s --query 'Policies[].Id' --output text); "+
			`do aws organizations describe-policy --policy-id "$p"; done`, kind)
		f.For = "to see those policies, in the organization's management account"
		return f
	}
	account := inAccount(d.Principal, secretID)
	switch _, id, _ := strings.Cut(d.Policy, ":organizations:"); {
	case id != "":
		one := inShell("aws organizations describe-policy --policy-id %s", id[strings.LastIndex(id, "/")+1:])
		one.For = "to see that policy, in the organization's management account"
		return []rotator.Fix{one}
	case strings.Contains(d.Policy, ":iam:"):
		return []rotator.Fix{policyVersion(d.Policy, "to see that policy"+account)}
	}
	for _, layer := range []string{d.Layer, d.Through} {
		switch role := permissions.RoleOf(d.Principal); layer {
		case "identity-based policy":
			all = append(all, roleFixes(role, account)...)
		case "permissions boundary":
			all = append(all, boundaryFixes(role, account)...)
		case "service control policy":
			all = append(all, organizations("SERVICE_CONTROL_POLICY"))
		case "resource control policy":
			all = append(all, organizations("RESOURCE_CONTROL_POLICY"))
		case "VPC endpoint policy":
			f := inShell("aws ec2 describe-vpc-endpoints --filters "+
				"Name=service-name,Values=com.amazonaws.%s.secretsmanager --query "+
				"'VpcEndpoints[].[VpcEndpointId,PolicyDocument]' --output text", region)
			f.For = "to see the policies of the endpoints by which the function may have come"
			all = append(all, f)
		}
	}
	return all
}

// inAccount says that a role is of another account than the secret, as far as its id tells.
func inAccount(principal, secretID string) string {
	who, of := strings.Split(principal, ":"), strings.Split(secretID, ":")
	if len(who) < 6 || len(of) < 6 || who[4] == of[4] {
		return ""
	}
	return ", in account " + who[4] + ", which is not the secret's"
}

// roleName is the name of a role by its ARN; "": it is none.
func roleName(arn string) string {
	_, path, _ := strings.Cut(arn, ":role/")
	return path[strings.LastIndex(path, "/")+1:]
}

// policyVersion shows a managed policy as it is in force.
func policyVersion(arn, what string) rotator.Fix {
	f := inShell("aws iam get-policy-version --policy-arn %[1]s --version-id \"$(aws iam get-policy --policy-arn "+
		"%[1]s --query Policy.DefaultVersionId --output text)\"", arn)
	f.For = what
	return f
}

// roleFixes show the policies of a role, one of which denies.
func roleFixes(arn, account string) []rotator.Fix {
	name := roleName(arn)
	if name == "" {
		return nil
	}
	inline := inShell("aws iam list-role-policies --role-name %s", name)
	inline.For = "to see which policies the role has of its own" + account
	one := inShell("aws iam get-role-policy --role-name %s --policy-name POLICY", name)
	one.For = "to see one of them, with its name in place of POLICY"
	attached := inShell("aws iam list-attached-role-policies --role-name %s", name)
	attached.For = "to see which are attached to it"
	return []rotator.Fix{inline, one, attached, policyVersion("POLICY-ARN",
		"to see one of these, with its ARN in place of POLICY-ARN")}
}

// boundaryFixes show the permissions boundary of a role.
func boundaryFixes(arn, account string) []rotator.Fix {
	name := roleName(arn)
	if name == "" {
		return nil
	}
	show := inShell("aws iam get-role --role-name %s --query Role.PermissionsBoundary.PermissionsBoundaryArn --output "+
		"text", name)
	show.For = "to see the ARN of the permissions boundary" + account
	return []rotator.Fix{show, policyVersion("POLICY-ARN", "to see that policy, with its ARN in place of POLICY-ARN")}
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

// keyRemedy adds what to paste where the secret may be used and its key may not.
// Neither the key nor the policy that denied is named in the denial: the key is
// looked up, and the reader has to know the policies.
func (s *Store) keyRemedy(ctx context.Context, operation, secretID string, d permissions.Denial, err error) error {
	ctx, cancel := context.WithTimeout(ctx, optionalCallTimeout)
	defer cancel()
	action := keyAction(operation)
	m, unseen := s.Describe(ctx, secretID)
	of := permissions.Secret{ARN: m.ARN}
	switch {
	case unseen != nil:
		// A rotation need not be allowed to describe a superuser secret: any key, but for that secret alone.
		arns, _ := permissions.SecretARN(secretID, d.Principal, s.cfg.Region)
		if len(arns) == 0 {
			return rotator.WithHint(err, fmt.Sprintf("the secret is accessible, but its KMS key is not, for %s. To "+
				"see which key that is: aws secretsmanager describe-secret --secret-id %s --query KmsKeyId. The role "+
				"of the function must be allowed %s with that key", action, rotator.ShellWord(secretID), action))
		}
		of = permissions.Secret{ARN: arns[0], Key: keysBeside(arns[0]) + ":key/*"}
	case d.OldKey:
		return rotator.WithHint(err, fmt.Sprintf("this version is encrypted with a key that the secret had before, "+
			"and that key is not accessible, for %s. To see which key that is: aws secretsmanager "+
			"list-secret-version-ids --secret-id %s --include-deprecated. The role of the function must be allowed "+
			"%s with that key too", action, rotator.ShellWord(m.ARN), action))
	case !m.HasCustomerKey():
		return rotator.WithHint(err, "the secret is encrypted with aws/secretsmanager, which only its own account can "+
			"use. From another account: give the secret a customer managed key, aws secretsmanager update-secret "+
			"--secret-id "+rotator.ShellWord(m.ARN)+" --kms-key-id KEY-ARN. Otherwise: find the policy that denies "+
			action)
	default:
		of.Key = s.keyARN(ctx, m)
	}
	key, actions := "its KMS key", []string{action}
	if unseen == nil {
		key += " " + of.Key
	}
	text := "the secret is accessible, but " + key + " is not, for " + action
	if unseen == nil && m.OwningService == "" && !s.onlyReads { // else it is a superuser's
		actions = keyActions
		text += ". A rotation needs both kms:Decrypt and kms:GenerateDataKey, and the roles of clients need kms:Decrypt"
	}
	if d.NoKey {
		text += ". To AWS it may also be that the key is not there, or is in another Region"
	}
	text += ". A permissions boundary, session or service control policy must allow it as well, and " +
		"none may deny it, nor may the policy of the key"
	text += ". Add to the role of the function: " + permissions.KeyUseStatement(of, actions...).String()
	line, fixes := s.keyFixes(ctx, of, actions...)
	if fixes == nil {
		return rotator.WithHint(err, text+line)
	}
	line = strings.TrimPrefix(line, "; ")
	return rotator.WithFix(told{rotator.WithHint(err, text), text + "; " + line}, line, fixes...)
}

// keyActions are what a rotation needs of the key of its secret.
var keyActions = []string{"kms:Decrypt", "kms:GenerateDataKey"}

// keyFixes put into the policy of a key what it lacks, where that policy does not leave it to IAM; line says the same
// in a sentence, and is all where the key is known by an alias, by which no policy is read.
func (s *Store) keyFixes(ctx context.Context, of permissions.Secret, actions ...string) (line string,
	fixes []rotator.Fix) {
	who, err := sts.NewFromConfig(s.cfg).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return "", nil
	}
	use := permissions.KeyUseStatement(of, actions...)
	line = permissions.InKeyPolicy(use, aws.ToString(who.Arn))
	statement := use.WithPrincipal(permissions.RoleOf(aws.ToString(who.Arn))).String()
	if strings.Contains(of.Key, ":key/") && !strings.HasSuffix(of.Key, "*") {
		show := inShell("aws kms get-key-policy --key-id %s --policy-name default --query Policy --output text "+
			">policy.json", of.Key)
		show.For = "where the policy of the key does not leave that to IAM, to have it in policy.json" + placeOf(of.Key)
		show.Note = "if a statement in it denies this to the role, change that one: no Allow overrides a Deny"
		add := inShell("echo %s >>policy.json", statement)
		add.For = "with the statement for the function at its end, to be moved into the list Statement"
		add.Note = strings.TrimPrefix(strings.TrimPrefix(line, statement), ". ")
		put := inShell("aws kms put-key-policy --key-id %s --policy-name default --policy file://policy.json", of.Key)
		put.For = "once that is done"
		fixes = []rotator.Fix{show, add, put}
	}
	return "; where the policy of the key does not leave that to IAM, add there too: " + line, fixes
}

// placeOf says where a command for a key is to be run, which fails elsewhere.
func placeOf(key string) string {
	part := strings.Split(key, ":")
	if len(part) != 6 {
		return ""
	}
	return ", in account " + part[4] + ", Region " + part[3]
}

// told is an error whose text says its hint already, or is going to.
type told struct {
	error
	hint string
}

func (t told) Unwrap() error { return t.error }
func (t told) Hint() string  { return t.hint }

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
