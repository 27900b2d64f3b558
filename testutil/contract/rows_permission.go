package contract

import (
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

const (
	getAction      = "secretsmanager:GetSecretValue"
	describeAction = "secretsmanager:DescribeSecret"
	putAction      = "secretsmanager:PutSecretValue"
	moveAction     = "secretsmanager:UpdateSecretVersionStage"
)

// permissionRows are about denials: AU-xxx.
func permissionRows() []Row {
	nothing := Rights{Identity: Allow("sts:GetCallerIdentity")}
	all := Rights{Identity: Allow("secretsmanager:*")}
	const (
		byName = github + "external-secrets/external-secrets/issues/2685"
		byARN  = github + "binbashar/le-tf-infra-aws/pull/874"
		forms  = guideIAM + "troubleshoot_access-denied.html"
	)
	rows := []Row{
		{ID: "AU-001", Does: "GetSecretValue by name, by a role without the permission", State: Recorded,
			Needs:  NeedRole,
			Source: byName + "; " + github + "amzn/selling-partner-api-samples/issues/76",
			Want:   Want{Code: denied, Status: 400, Text: textNoIdentity},
			Do: func(t *T) (any, error) {
				return refused(t, nothing, getAction, t.Let("resource", t.Secret().Name))
			}},
		{ID: "AU-002", Does: "GetSecretValue by ARN, by a role without the permission", State: Recorded,
			Needs: NeedRole, Source: byARN,
			Want: Want{Code: denied, Status: 400, Text: textNoIdentity},
			Do: func(t *T) (any, error) {
				return refused(t, nothing, getAction, t.Let("resource", t.Secret().ARN))
			}},
		{ID: "AU-003", Does: "GetSecretValue by partial ARN, by a role without the permission", State: Recorded,
			Needs:  NeedRole,
			Source: byName,
			Want:   Want{Code: denied, Status: 400, Text: textNoIdentity},
			Do: func(t *T) (any, error) {
				s := t.Secret()
				return refused(t, nothing, getAction, t.Let("resource", s.ARN[:len(s.ARN)-7]))
			}},
		{ID: "AU-004", Does: "GetSecretValue of a secret that is not there, by a role without the permission",
			State: Recorded,
			Needs: NeedRole, Source: github + "aws-samples/aws-health-aware/issues/19",
			Want: Want{Code: denied, Status: 400, Text: textNoIdentity},
			Do: func(t *T) (any, error) {
				return refused(t, nothing, getAction, t.Let("resource", t.Name()))
			}},
		{ID: "AU-005", Does: "DescribeSecret by name, with an explicit deny in the secret's policy", State: Recorded,
			Needs:  NeedRole,
			Source: github + "cloud-custodian/cloud-custodian/pull/10055",
			Want: Want{Code: denied, Status: 400, Text: "User: {principal} is not authorized to perform: {action} on " +
				"resource: {name} " +
				"with an explicit deny in a resource-based policy"},
			Do: func(t *T) (any, error) {
				s := t.Secret()
				cfg := t.Role(all)
				t.Attach(s, Policy(map[string]any{"Effect": "Deny", "Principal": "*", "Action": describeAction,
					"Resource":  "*",
					"Condition": map[string]any{"ArnLike": map[string]string{"aws:PrincipalArn": t.roleARN()}}}))
				return call(t, cfg, describeAction, s.Name)
			}},
		{ID: "AU-006", Does: "GetSecretValue with an explicit deny in an identity policy", State: Documented,
			Needs: NeedRole, Source: forms,
			Want: Want{Code: denied, Status: 400, Text: "User: {principal} is not authorized to perform: {action} on " +
				"resource: {arn} " +
				"with an explicit deny in an identity-based policy"},
			Do: func(t *T) (any, error) {
				return refused(t, Rights{Identity: Policy(
					map[string]any{"Effect": "Allow", "Action": "secretsmanager:*", "Resource": "*"},
					map[string]any{"Effect": "Deny", "Action": getAction, "Resource": "*"})}, getAction, t.Secret().ARN)
			}},
		{ID: "AU-007", Does: "GetSecretValue without the permission in the permissions boundary", State: Documented,
			Needs: NeedRole,
			Source: forms + "; " + github + "Kralizek/AWSSecretsManagerConfigurationExtensions/issues/76 (of " +
				"ListSecrets)",
			Want: Want{Code: denied, Status: 400, Text: "User: {principal} is not authorized to perform: {action} on " +
				"resource: {arn} " +
				"because no permissions boundary allows the {action} action"},
			Do: func(t *T) (any, error) {
				return refused(t, Rights{Identity: Allow("secretsmanager:*"), Boundary: Allow(describeAction)},
					getAction, t.Secret().ARN)
			}},
		{ID: "AU-008", Does: "GetSecretValue without the permission in the session policy", State: Documented,
			Needs: NeedRole, Source: forms,
			Want: Want{Code: denied, Status: 400, Text: "User: {principal} is not authorized to perform: {action} on " +
				"resource: {arn} " +
				"because no session policy allows the {action} action"},
			Do: func(t *T) (any, error) {
				return refused(t, Rights{Identity: Allow("secretsmanager:*"), Session: Allow(describeAction)},
					getAction, t.Secret().ARN)
			}},
		{ID: "AU-009", Does: "ListSecrets without the permission", State: Recorded, Needs: NeedRole,
			Source: github + "terraform-aws-modules/terraform-aws-iam/pull/305",
			Want: Want{Code: denied, Status: 400, Text: "User: {principal} is not authorized to perform: " +
				"secretsmanager:ListSecrets " +
				"because no identity-based policy allows the secretsmanager:ListSecrets action"},
			Do: func(t *T) (any, error) {
				return ret(t.As(t.Role(nothing)).ListSecrets(t.Ctx, &secretsmanager.ListSecretsInput{}))
			}},
		{ID: "AU-010", Does: "BatchGetSecretValue without the permission", State: Documented, Needs: NeedRole,
			Source: authorization,
			Want:   Want{Code: denied, Status: 400},
			Do: func(t *T) (any, error) {
				return ret(t.As(t.Role(nothing)).BatchGetSecretValue(t.Ctx, &secretsmanager.BatchGetSecretValueInput{
					SecretIdList: []string{t.Secret().ARN}}))
			}},
		{ID: "AU-011", Does: "BatchGetSecretValue without GetSecretValue on the secret", State: Documented,
			Needs:  NeedRole,
			Source: apiSM + "BatchGetSecretValue.html",
			Want:   Want{Fields: map[string]string{"Errors.0.ErrorCode": denied, "SecretValues.0": "-"}},
			Do: func(t *T) (any, error) {
				role := t.Role(Rights{Identity: Allow("secretsmanager:BatchGetSecretValue")})
				return ret(t.As(role).BatchGetSecretValue(t.Ctx,
					&secretsmanager.BatchGetSecretValueInput{SecretIdList: []string{t.Secret().ARN}}))
			}},
		{ID: "AU-012", Does: "GetSecretValue by AWSCURRENT where the policy wants secretsmanager:VersionStage to " +
			"be that", State: Documented,
			Needs: NeedRole, Source: authorization,
			Want: Want{Fields: map[string]string{"SecretString": "v1"}},
			Do:   staged("AWSCURRENT")},
		{ID: "AU-013", Does: "GetSecretValue without a label where the policy wants secretsmanager:VersionStage to " +
			"be AWSCURRENT: " +
			"the key exists only if a label was sent", State: Recorded,
			Needs: NeedRole, Source: github + "aws/aws-cli/issues/5031",
			Want: Want{Code: denied, Status: 400},
			Do:   staged("")},
		{ID: "AU-014", Does: "UpdateSecretVersionStage between two version ids that are not there, by a role without " +
			"the permission " +
			"(the probe of the preflight, S8)", State: Believed, Needs: NeedRole, Source: noSource,
			Want: Want{Code: denied, Status: 400, Labels: "first:AWSCURRENT"},
			Do: func(t *T) (any, error) {
				s := t.Secret()
				return ret(t.As(t.Role(Rights{Identity: Allow(describeAction, getAction,
					putAction)})).UpdateSecretVersionStage(t.Ctx,
					&secretsmanager.UpdateSecretVersionStageInput{SecretId: &s.ARN,
						VersionStage:        aws.String("AWSCURRENT"),
						RemoveFromVersionId: aws.String(Token()), MoveToVersionId: aws.String(Token())}))
			}},
		{ID: "AU-015", Does: "PutSecretValue with the token and another value of AWSCURRENT, by a role without the " +
			"permission", State: Believed,
			Needs: NeedRole, Source: noSource,
			Want: Want{Code: denied, Status: 400, Labels: "first:AWSCURRENT"},
			Do: func(t *T) (any, error) {
				s := t.Secret()
				return ret(t.As(t.Role(Rights{Identity: Allow(describeAction, getAction)})).PutSecretValue(t.Ctx,
					&secretsmanager.PutSecretValueInput{SecretId: &s.ARN, SecretString: aws.String("other"),
						ClientRequestToken: &s.Version}))
			}},
		{ID: "AU-016", Does: "GetSecretValue allowed by the secret's policy alone, to a role of the same account",
			State: Documented,
			Needs: NeedRole, Source: guideIAM + "reference_policies_evaluation-logic.html#policy-eval-basics-id-rdp",
			Want: Want{Fields: map[string]string{"SecretString": "v1"}},
			Do: func(t *T) (any, error) {
				s := t.Secret()
				cfg := t.Role(nothing)
				t.Attach(s, Policy(map[string]any{"Effect": "Allow", "Principal": map[string]string{"AWS": t.roleARN()},
					"Action": getAction, "Resource": "*"}))
				return call(t, cfg, getAction, s.ARN)
			}},
		{ID: "AU-017", Does: "GetSecretValue allowed on the ARN with six question marks", State: Documented,
			Needs:  NeedRole,
			Source: guideSM + "auth-and-access_iam-policies.html",
			Want:   Want{Fields: map[string]string{"SecretString": "v1"}},
			Do: func(t *T) (any, error) {
				s := t.Secret()
				return call(t, t.Role(Rights{Identity: Policy(map[string]any{"Effect": "Allow", "Action": getAction,
					"Resource": s.ARN[:len(s.ARN)-6] + "??????"})}), getAction, s.Name)
			}},
		{ID: "AU-018", Does: "GetSecretValue allowed where secretsmanager:resource/AllowRotationLambdaArn is the " +
			"function", State: Documented,
			Needs: NeedRole | NeedFunction, Source: authorization,
			Want: Want{Fields: map[string]string{"SecretString": "rotated"}},
			Do: func(t *T) (any, error) {
				s := t.Secret()
				t.Rotate(s)
				return call(t, t.Role(Rights{Identity: rotatedBy(t.Function())}), getAction, s.ARN)
			}},
		{ID: "AU-019", Does: "the same of a secret that never had a function", State: Documented,
			Needs:  NeedRole | NeedFunction,
			Source: authorization,
			Want:   Want{Code: denied, Status: 400},
			Do: func(t *T) (any, error) {
				return call(t, t.Role(Rights{Identity: rotatedBy(t.Function())}), getAction, t.Secret().ARN)
			}},
		{ID: "AU-020", Does: "GetRandomPassword allowed on a secret's ARN instead of *", State: Documented,
			Needs:  NeedRole,
			Source: authorization,
			Want:   Want{Code: denied, Status: 400},
			Do: func(t *T) (any, error) {
				s := t.Secret()
				return ret(t.As(t.Role(Rights{Identity: Policy(map[string]any{"Effect": "Allow",
					"Action":   "secretsmanager:GetRandomPassword",
					"Resource": s.ARN})})).GetRandomPassword(t.Ctx, &secretsmanager.GetRandomPasswordInput{}))
			}},
		{ID: "AU-021", Does: "AssumeRole of a role that is not there", State: Documented, Needs: NeedRole,
			Source: guideIAM + "troubleshoot_roles.html",
			Want:   Want{Code: "AccessDenied", Status: 403},
			Do: func(t *T) (any, error) {
				cfg := t.Role(nothing)
				return ret(sts.NewFromConfig(cfg).AssumeRole(t.Ctx,
					&sts.AssumeRoleInput{RoleSessionName: aws.String("contract"),
						RoleArn: aws.String(t.Let("missing", t.run.partition()+":iam::"+t.run.account+":role/"+Prefix+
							"missing"))}))
			}},
	}
	for _, r := range []struct{ id, action string }{
		{"AU-030", describeAction}, {"AU-031", putAction}, {"AU-032", moveAction},
		{"AU-033", "secretsmanager:GetResourcePolicy"}, {"AU-034", "secretsmanager:RotateSecret"},
	} {
		_, op, _ := strings.Cut(r.action, ":")
		rows = append(rows, Row{ID: r.id, Does: op + " by name, by a role without the permission", State: Documented,
			Needs:  NeedRole,
			Source: forms + "; recorded of GetSecretValue",
			Want:   Want{Code: denied, Status: 400, Text: textNoIdentity},
			Do: func(t *T) (any, error) {
				return refused(t, nothing, r.action, t.Let("resource", t.Secret().Name))
			}})
	}
	return rows
}

// roleARN is the ARN of the role that {principal} is a session of.
func (t *T) roleARN() string {
	parts := strings.Split(t.names["principal"], "/")
	return strings.NewReplacer(":sts:", ":iam:", ":assumed-role", ":role").
		Replace(strings.Join(parts[:len(parts)-1], "/"))
}

func rotatedBy(function string) string {
	return Policy(map[string]any{"Effect": "Allow", "Action": getAction, "Resource": "*", "Condition": map[string]any{
		"StringEquals": map[string]string{"secretsmanager:resource/AllowRotationLambdaArn": function}}})
}

// staged reads with a policy that wants the label to be AWSCURRENT.
func staged(label string) func(*T) (any, error) {
	return func(t *T) (any, error) {
		s := t.Secret()
		cfg := t.Role(Rights{Identity: Policy(map[string]any{"Effect": "Allow", "Action": getAction, "Resource": "*",
			"Condition": map[string]any{
				"StringEquals": map[string]string{"secretsmanager:VersionStage": "AWSCURRENT"}}})})
		return getValue(t.Ctx, t.As(cfg), s.ARN, "", label)
	}
}

// refused makes a call as a role with rights; {action} stands for it.
func refused(t *T, r Rights, action, id string) (any, error) { return call(t, t.Role(r), action, id) }

func call(t *T, cfg aws.Config, action, id string) (any, error) {
	t.Let("action", action)
	sm := t.As(cfg)
	switch action {
	case getAction:
		return getValue(t.Ctx, sm, id, "", "")
	case describeAction:
		return ret(sm.DescribeSecret(t.Ctx, &secretsmanager.DescribeSecretInput{SecretId: &id}))
	case putAction:
		return ret(sm.PutSecretValue(t.Ctx, &secretsmanager.PutSecretValueInput{SecretId: &id,
			SecretString: aws.String("v")}))
	case moveAction:
		return ret(sm.UpdateSecretVersionStage(t.Ctx, &secretsmanager.UpdateSecretVersionStageInput{SecretId: &id,
			VersionStage: aws.String("mine"), MoveToVersionId: aws.String(t.secret.Version)}))
	case "secretsmanager:GetResourcePolicy":
		return ret(sm.GetResourcePolicy(t.Ctx, &secretsmanager.GetResourcePolicyInput{SecretId: &id}))
	case "secretsmanager:RotateSecret":
		return ret(sm.RotateSecret(t.Ctx, &secretsmanager.RotateSecretInput{SecretId: &id, RotationRules: rules(1),
			RotationLambdaARN: aws.String(t.noFunction())}))
	}
	panic("no call for " + action)
}

// accountRows are about a secret of another account: AC-xxx.
func accountRows() []Row {
	const (
		cross = localstackSM + "test_cross_account_access, validated on AWS"
		own   = localstackSM + "test_cross_account_access_non_default_key, validated on AWS"
	)
	return []Row{
		{ID: "AC-001", Does: "DescribeSecret from another account that the secret's policy allows", State: Recorded,
			Source: cross,
			Needs:  NeedAccount, Want: Want{Fields: map[string]string{"ARN": "{arn}"}},
			Do: func(t *T) (any, error) {
				s, cfg := shared(t, "")
				return call(t, cfg, describeAction, s.ARN)
			}},
		{ID: "AC-002", Does: "GetSecretValue from another account, under aws/secretsmanager", State: Recorded,
			Source: cross,
			Needs:  NeedAccount, Want: Want{Code: invalidRequest, Status: 400, Text: textDefaultKey},
			Do: func(t *T) (any, error) {
				s, cfg := shared(t, "")
				return call(t, cfg, getAction, s.ARN)
			}},
		{ID: "AC-003", Does: "PutSecretValue from another account, under aws/secretsmanager", State: Recorded,
			Source: cross,
			Needs:  NeedAccount, Want: Want{Code: invalidRequest, Status: 400, Text: textDefaultKey,
				Labels: "first:AWSCURRENT"},
			Do: func(t *T) (any, error) {
				s, cfg := shared(t, "")
				return call(t, cfg, putAction, s.ARN)
			}},
		{ID: "AC-004", Does: "ListSecretVersionIds from another account", State: Recorded, Source: cross,
			Needs: NeedAccount,
			Want:  Want{Fields: map[string]string{"Versions.0.VersionId": "{first}", "Versions.1": "-"}},
			Do: func(t *T) (any, error) {
				s, cfg := shared(t, "")
				return ret(t.As(cfg).ListSecretVersionIds(t.Ctx,
					&secretsmanager.ListSecretVersionIdsInput{SecretId: &s.ARN}))
			}},
		{ID: "AC-005", Does: "ListSecrets from another account does not list it", State: Recorded, Source: cross,
			Needs: NeedAccount,
			Want:  Want{Fields: map[string]string{"Listed": "false"}},
			Do: func(t *T) (any, error) {
				s, cfg := shared(t, "")
				out, err := t.As(cfg).ListSecrets(t.Ctx, &secretsmanager.ListSecretsInput{})
				if err != nil {
					return nil, err
				}
				listed := false
				for _, l := range out.SecretList {
					listed = listed || aws.ToString(l.ARN) == s.ARN
				}
				return map[string]any{"Listed": listed}, nil
			}},
		{ID: "AC-006", Does: "TagResource from another account", State: Recorded, Source: cross, Needs: NeedAccount,
			Want: Want{Fields: map[string]string{"Tags.0.Key": "tag1", "Tags.0.Value": "value1"}},
			Do: func(t *T) (any, error) {
				s, cfg := shared(t, "")
				_, err := t.As(cfg).TagResource(t.Ctx, &secretsmanager.TagResourceInput{SecretId: &s.ARN,
					Tags: tags("tag1", "value1")})
				t.Must(err)
				return t.Describe(s.ARN)
			}},
		{ID: "AC-007", Does: "GetSecretValue from another account, under a customer key that allows it",
			State: Recorded, Source: own,
			Needs: NeedAccount | NeedKey, Want: Want{Fields: map[string]string{"SecretString": "v1"}},
			Do: func(t *T) (any, error) {
				s, cfg := shared(t, t.Key("shared"))
				return call(t, cfg, getAction, s.ARN)
			}},
		{ID: "AC-008", Does: "PutSecretValue from another account, under a customer key that allows it",
			State: Recorded, Source: own,
			Needs: NeedAccount | NeedKey, Want: Want{Fields: map[string]string{"VersionId": "*"}},
			Do: func(t *T) (any, error) {
				s, cfg := shared(t, t.Key("shared"))
				return call(t, cfg, putAction, s.ARN)
			}},
		{ID: "AC-009", Does: "DeleteSecret with a recovery window and RestoreSecret from another account",
			State: Recorded, Source: own,
			Needs: NeedAccount, Want: Want{Fields: map[string]string{"ARN": "{arn}", "DeletedDate": "-"}},
			Do: func(t *T) (any, error) {
				s, cfg := shared(t, "")
				_, err := t.As(cfg).DeleteSecret(t.Ctx, &secretsmanager.DeleteSecretInput{SecretId: &s.ARN,
					RecoveryWindowInDays: aws.Int64(7)})
				t.Must(err)
				_, err = t.As(cfg).RestoreSecret(t.Ctx, &secretsmanager.RestoreSecretInput{SecretId: &s.ARN})
				t.Must(err)
				return nil, nil
			},
			Ask: func(t *T) (any, error) { return t.Describe(t.secret.ARN) }},
		{ID: "AC-010", Does: "GetSecretValue by name from another account", State: Documented, Needs: NeedAccount,
			Source: apiSM + "GetSecretValue.html (SecretId)",
			Want:   Want{Code: notFound, Status: 400},
			Do: func(t *T) (any, error) {
				s, cfg := shared(t, "")
				return call(t, cfg, getAction, s.Name)
			}},
		{ID: "AC-011", Does: "GetSecretValue from another account that the secret's policy does not allow",
			State: Documented,
			Needs: NeedAccount, Source: guideSM + "auth-and-access_examples_cross.html",
			Want: Want{Code: denied, Status: 400},
			Do:   func(t *T) (any, error) { return call(t, t.Other(), getAction, t.Secret().ARN) }},
		{ID: "AC-012", Does: "PutSecretValue from another account, of a secret whose key was given by bare id",
			State: Recorded,
			Needs: NeedAccount | NeedKey, Source: github + "hashicorp/terraform-provider-aws/pull/30273",
			Want: Want{Code: "EncryptionFailure", Status: 400, Labels: "first:AWSCURRENT",
				Text: "Secrets Manager can't encrypt the secret value: Key '{elsewhere}' does not exist (Service: " +
					"AWSKMS; " +
					"Status Code: 400; Error Code: NotFoundException; Request ID: x; Proxy: null)"},
			Do: func(t *T) (any, error) {
				arn := t.Key("shared")
				s, cfg := shared(t, arn[strings.LastIndex(arn, "/")+1:])
				other := t.Let("other", t.otherAccount(cfg))
				t.Let("elsewhere", strings.Replace(arn, ":"+t.run.account+":", ":"+other+":", 1))
				return call(t, cfg, putAction, s.ARN)
			}},
	}
}

// shared is a secret, under a key or the default one, that everything is allowed to of the second account.
func shared(t *T, key string) (*Secret, aws.Config) {
	cfg := t.Other()
	s := t.Secret(func(in *secretsmanager.CreateSecretInput) {
		if key != "" {
			in.KmsKeyId = &key
		}
	})
	t.Attach(s, Policy(map[string]any{"Effect": "Allow", "Principal": map[string]string{
		"AWS": t.run.partition() + ":iam::" + t.otherAccount(cfg) + ":root"}, "Action": "secretsmanager:*",
		"Resource": "*"}))
	return s, cfg
}

func (t *T) otherAccount(cfg aws.Config) string {
	id, err := sts.NewFromConfig(cfg).GetCallerIdentity(t.Ctx, &sts.GetCallerIdentityInput{})
	t.Must(wrap("GetCallerIdentity", err))
	return aws.ToString(id.Account)
}
