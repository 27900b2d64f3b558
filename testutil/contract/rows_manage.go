package contract

import (
	"encoding/json"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
)

// manageRows are about deletion, tags, lists, resource policies and passwords: SM-2xx.
func manageRows() []Row {
	return []Row{
		{ID: "SM-200", Does: "DeleteSecret with a recovery window, then DescribeSecret", State: Recorded,
			Source: localstackSM + "test_force_delete_deleted_secret, 2024-10-11",
			Want:   Want{Fields: map[string]string{"DeletedDate": "*", "Name": "{name}"}, Labels: "first:AWSCURRENT"},
			Do: func(t *T) (any, error) {
				s := deleted(t)
				return t.Describe(s.ARN)
			}},
		{ID: "SM-201", Does: "DeleteSecret by force of a secret that is marked for deletion", State: Recorded,
			Source: localstackSM + "test_force_delete_deleted_secret, 2024-10-11",
			Want:   Want{Fields: map[string]string{"ARN": "{arn}", "Name": "{name}", "DeletionDate": "*"}},
			Do:     func(t *T) (any, error) { return remove(t, deleted(t).Name, true) }},
		{ID: "SM-202", Does: "DeleteSecret by force of a secret that is not there", State: Recorded,
			Source: localstackSM + "test_delete_non_existent_secret_returns_as_if_secret_exists, validated on AWS",
			Want:   Want{Fields: map[string]string{"Name": "{missing}", "DeletionDate": "*"}},
			Do:     func(t *T) (any, error) { return remove(t, t.Let("missing", t.Name()), true) }},
		{ID: "SM-203", Does: "DeleteSecret with a recovery window of a secret that is not there", State: Documented,
			Source: apiSM + "DeleteSecret.html#API_DeleteSecret_Errors",
			Want:   Want{Code: notFound, Status: 400},
			Do:     func(t *T) (any, error) { return remove(t, t.Name(), false) }},
		{ID: "SM-204", Does: "CreateSecret of a name that is marked for deletion", State: Recorded,
			Source: localstackSM + "test_exp_raised_on_creation_of_secret_scheduled_for_deletion, 2022-09-28",
			Want: Want{Code: invalidRequest, Status: 400,
				Text: "You can't create this secret because a secret with this name is already scheduled for " +
					"deletion."},
			Do: func(t *T) (any, error) { return create(t, deleted(t).Name, "v", Token()) }},
		{ID: "SM-205", Does: "CreateSecret of a name that was deleted by force", State: Recorded,
			Source: localstackSM + "test_can_recreate_delete_secret, 2022-09-28",
			Want:   Want{Fields: map[string]string{"Name": "{name}", "NewARN": "true"}},
			Do: func(t *T) (any, error) {
				s := t.Secret()
				_, err := remove(t, s.ARN, true)
				t.Must(err)
				return map[string]any{"Name": s.Name}, nil
			},
			// AWS deletes asynchronously, so that a name can be taken a while longer.
			Ask: func(t *T) (any, error) {
				old := t.secret.ARN
				out, err := t.SM.CreateSecret(t.Ctx, &secretsmanager.CreateSecretInput{Name: &t.secret.Name,
					SecretString: aws.String("v"), ClientRequestToken: aws.String(Token())})
				if err != nil {
					return nil, err
				}
				t.Remove(*out.ARN)
				return map[string]any{"Name": *out.Name, "NewARN": *out.ARN != old}, nil
			}},
		{ID: "SM-206", Does: "RestoreSecret", State: Recorded, Source: localstackSM + "test_secret_restore, 2024-03-20",
			Want: Want{Fields: map[string]string{"ARN": "{arn}", "Name": "{name}"}, Labels: "first:AWSCURRENT"},
			Do: func(t *T) (any, error) {
				return ret(t.SM.RestoreSecret(t.Ctx, &secretsmanager.RestoreSecretInput{SecretId: &deleted(t).ARN}))
			}},
		{ID: "SM-207", Does: "TagResource of a secret that is marked for deletion", State: Recorded,
			Source: localstackSM + "test_tag_untag_resource_on_deleted_secret, 2026-01-29",
			Want:   Want{Code: invalidRequest, Status: 400, Text: textDeleted},
			Do: func(t *T) (any, error) {
				return ret(t.SM.TagResource(t.Ctx, &secretsmanager.TagResourceInput{SecretId: &deleted(t).ARN,
					Tags: tags("a", "b")}))
			}},
		{ID: "SM-208", Does: "UntagResource of a secret that is marked for deletion", State: Recorded,
			Source: localstackSM + "test_tag_untag_resource_on_deleted_secret, 2026-01-29",
			Want:   Want{Code: invalidRequest, Status: 400, Text: textDeleted},
			Do: func(t *T) (any, error) {
				return ret(t.SM.UntagResource(t.Ctx, &secretsmanager.UntagResourceInput{SecretId: &deleted(t).ARN,
					TagKeys: []string{"a"}}))
			}},
		{ID: "SM-209", Does: "GetSecretValue of a secret that is marked for deletion", State: Documented,
			Source: apiSM + "GetSecretValue.html#API_GetSecretValue_Errors",
			Want:   Want{Code: invalidRequest, Status: 400},
			Do:     func(t *T) (any, error) { return t.Get(deleted(t).ARN, "", "") }},
		{ID: "SM-210", Does: "PutSecretValue into a secret that is marked for deletion", State: Documented,
			Source: apiSM + "PutSecretValue.html#API_PutSecretValue_Errors",
			Want:   Want{Code: invalidRequest, Status: 400, Labels: "first:AWSCURRENT"},
			Do:     func(t *T) (any, error) { return put(t, deleted(t).ARN, "v2", Token()) }},
		{ID: "SM-211", Does: "UpdateSecretVersionStage of a secret that is marked for deletion", State: Documented,
			Source: apiSM + "UpdateSecretVersionStage.html#API_UpdateSecretVersionStage_Errors",
			Want:   Want{Code: invalidRequest, Status: 400},
			Do: func(t *T) (any, error) {
				s := deleted(t)
				return t.Move(s, "mine", "", s.Version)
			}},
		{ID: "SM-212", Does: "RotateSecret of a secret that is marked for deletion", State: Documented,
			Source: apiSM + "RotateSecret.html#API_RotateSecret_Errors",
			Want:   Want{Code: invalidRequest, Status: 400},
			Do: func(t *T) (any, error) {
				return ret(t.SM.RotateSecret(t.Ctx, &secretsmanager.RotateSecretInput{SecretId: &deleted(t).ARN}))
			}},
		{ID: "SM-213", Does: "DeleteSecret with a recovery window of 6 days (7 to 30 are allowed)", State: Documented,
			Source: apiSM + "DeleteSecret.html (RecoveryWindowInDays)",
			Want:   Want{Code: AnyError, Labels: "first:AWSCURRENT"},
			Do: func(t *T) (any, error) {
				return ret(t.SM.DeleteSecret(t.Ctx, &secretsmanager.DeleteSecretInput{SecretId: &t.Secret().ARN,
					RecoveryWindowInDays: aws.Int64(6)}))
			}},
		{ID: "SM-214", Does: "DeleteSecret by force and with a recovery window", State: Documented,
			Source: apiSM + "DeleteSecret.html (ForceDeleteWithoutRecovery)",
			Want:   Want{Code: AnyError, Labels: "first:AWSCURRENT"},
			Do: func(t *T) (any, error) {
				return ret(t.SM.DeleteSecret(t.Ctx, &secretsmanager.DeleteSecretInput{SecretId: &t.Secret().ARN,
					RecoveryWindowInDays: aws.Int64(7), ForceDeleteWithoutRecovery: aws.Bool(true)}))
			}},
		{ID: "SM-220", Does: "DescribeSecret after the last tag was removed", State: Recorded,
			Source: localstackSM + "test_secret_tags, 2024-04-05",
			Want:   Want{Fields: map[string]string{"Tags": "[]"}},
			Do: func(t *T) (any, error) {
				s := t.Secret(func(in *secretsmanager.CreateSecretInput) { in.Tags = tags("tag1", "value1") })
				_, err := t.SM.UntagResource(t.Ctx, &secretsmanager.UntagResourceInput{SecretId: &s.ARN,
					TagKeys: []string{"tag1"}})
				t.Must(err)
				return t.Describe(s.ARN)
			}},
		{ID: "SM-221", Does: "TagResource beside a tag that is there", State: Recorded,
			Source: localstackSM + "test_secret_tags, 2024-04-05",
			Want: Want{Fields: map[string]string{"Tags.0.Key": "tag1", "Tags.0.Value": "value1", "Tags.1.Key": "tag2",
				"Tags.1.Value": "value2"}},
			Do: func(t *T) (any, error) {
				s := t.Secret(func(in *secretsmanager.CreateSecretInput) { in.Tags = tags("tag1", "value1") })
				_, err := t.SM.TagResource(t.Ctx, &secretsmanager.TagResourceInput{SecretId: &s.ARN,
					Tags: tags("tag2", "value2")})
				t.Must(err)
				return t.Describe(s.ARN)
			}},
		{ID: "SM-222", Does: "TagResource of a key that is there", State: Documented, Source: apiSM +
			"TagResource.html",
			Want: Want{Fields: map[string]string{"Tags.0.Value": "value2", "Tags.1": "-"}},
			Do: func(t *T) (any, error) {
				s := t.Secret(func(in *secretsmanager.CreateSecretInput) { in.Tags = tags("tag1", "value1") })
				_, err := t.SM.TagResource(t.Ctx, &secretsmanager.TagResourceInput{SecretId: &s.ARN,
					Tags: tags("tag1", "value2")})
				t.Must(err)
				return t.Describe(s.ARN)
			}},
		{ID: "SM-230", Does: "ListSecrets by name", State: Recorded,
			Source: localstackSM + "test_call_lists_secrets_multiple_times_snapshots, 2022-09-28",
			Want: Want{Fields: map[string]string{"SecretList.0.ARN": "{arn}", "SecretList.0.Name": "{name}",
				"SecretList.0.CreatedDate": "*", "SecretList.0.LastChangedDate": "*",
				"SecretList.0.SecretVersionsToStages": "{}", "SecretList.1": "-"}},
			Do:  func(t *T) (any, error) { t.Secret(); return nil, nil },
			Ask: func(t *T) (any, error) { return list(t, "name", t.secret.Name) }},
		{ID: "SM-231", Does: "ListSecrets by the beginning of the name", State: Recorded,
			Source: localstackSM + "test_list_secrets_filtering, validated on AWS",
			Want:   Want{Fields: map[string]string{"Names": "one+two"}},
			Do:     named("one", "two"),
			Ask:    func(t *T) (any, error) { return listed(t, "name", t.names["common"]) }},
		{ID: "SM-232", Does: "ListSecrets by two words that the name has, with something else between them",
			State:  Recorded,
			Source: localstackSM + "test_list_secrets_filtering, validated on AWS",
			Want:   Want{Fields: map[string]string{"Names": "-"}},
			Do:     named("one", "two"),
			Ask: func(t *T) (any, error) {
				return listed(t, "name", strings.ReplaceAll(t.names["common"], "/", " "))
			}},
		{ID: "SM-233", Does: "ListSecrets by the beginning of a word of the description, and by the beginning of " +
			"the name", State: Recorded,
			Source: localstackSM + "test_list_secrets_filtering, validated on AWS",
			Want:   Want{Fields: map[string]string{"Names": "described"}},
			Do:     described,
			Ask:    func(t *T) (any, error) { return listed(t, "name", t.names["common"], "description", "qt-contr") }},
		{ID: "SM-234", Does: "ListSecrets by the beginning of the name, without the descriptions that begin so",
			State:  Recorded,
			Source: localstackSM + "test_list_secrets_filtering, validated on AWS",
			Want:   Want{Fields: map[string]string{"Names": "plain"}},
			Do:     described,
			Ask: func(t *T) (any, error) {
				return listed(t, "name", t.names["common"], "description", "!qt-contr")
			}},
		{ID: "SM-235", Does: "ListSecrets by two filters of which one matches nothing", State: Recorded,
			Source: localstackSM + "test_list_secrets_filtering, validated on AWS",
			Want:   Want{Fields: map[string]string{"Names": "-"}},
			Do:     described,
			Ask:    func(t *T) (any, error) { return listed(t, "name", t.names["common"], "description", "zebra") }},
		{ID: "SM-236", Does: "ListSecrets by a tag's key", State: Documented, Source: apiSM + "Filter.html",
			Want: Want{Fields: map[string]string{"SecretList.0.ARN": "{arn}", "SecretList.0.Tags.0.Value": "v",
				"SecretList.1": "-"}},
			Do: func(t *T) (any, error) {
				t.Secret(func(in *secretsmanager.CreateSecretInput) {
					in.Tags = tags(t.Let("tag", "Qt"+random(6)), "v")
				})
				return nil, nil
			},
			Ask: func(t *T) (any, error) { return list(t, "tag-key", t.names["tag"]) }},
		{ID: "SM-237", Does: "ListSecrets of a secret that is marked for deletion", State: Documented,
			Source: apiSM + "ListSecrets.html (IncludePlannedDeletion)",
			Want:   Want{Fields: map[string]string{"SecretList.0": "-"}},
			Do:     func(t *T) (any, error) { deleted(t); return nil, nil },
			Ask:    func(t *T) (any, error) { return list(t, "name", t.secret.Name) }},
		{ID: "SM-240", Does: "GetResourcePolicy of a secret without one", State: Recorded,
			Source: github + "aws/aws-cdk/issues/31566",
			Want:   Want{Fields: map[string]string{"ARN": "{arn}", "Name": "{name}", "ResourcePolicy": "-"}},
			Do: func(t *T) (any, error) {
				return ret(t.SM.GetResourcePolicy(t.Ctx,
					&secretsmanager.GetResourcePolicyInput{SecretId: &t.Secret().ARN}))
			}},
		{ID: "SM-241", Does: "PutResourcePolicy", State: Recorded, Source: localstackSM + "test_resource_policy, " +
			"2024-03-19",
			Want: Want{Fields: map[string]string{"ARN": "{arn}", "Name": "{name}"}},
			Do: func(t *T) (any, error) {
				return ret(t.SM.PutResourcePolicy(t.Ctx,
					&secretsmanager.PutResourcePolicyInput{SecretId: &t.Secret().ARN,
						ResourcePolicy: aws.String(t.mine("secretsmanager:GetSecretValue"))}))
			}},
		{ID: "SM-242", Does: "GetResourcePolicy of a secret with one", State: Recorded,
			Source: localstackSM + "test_resource_policy, 2024-03-19",
			Want:   Want{Fields: map[string]string{"Same": "true"}},
			Do: func(t *T) (any, error) {
				s := t.Secret()
				policy := t.mine("secretsmanager:GetSecretValue")
				t.Attach(s, policy)
				out, err := t.SM.GetResourcePolicy(t.Ctx, &secretsmanager.GetResourcePolicyInput{SecretId: &s.ARN})
				if err != nil {
					return nil, err
				}
				var a, b any
				t.Must(json.Unmarshal([]byte(policy), &a))
				t.Must(json.Unmarshal([]byte(aws.ToString(out.ResourcePolicy)), &b))
				x, _ := json.Marshal(a)
				y, _ := json.Marshal(b)
				return map[string]any{"Same": string(x) == string(y)}, nil
			}},
		{ID: "SM-243", Does: "PutResourcePolicy of what is no JSON", State: Documented,
			Source: apiSM + "PutResourcePolicy.html#API_PutResourcePolicy_Errors",
			Want:   Want{Code: "MalformedPolicyDocumentException", Status: 400},
			Do: func(t *T) (any, error) {
				return ret(t.SM.PutResourcePolicy(t.Ctx,
					&secretsmanager.PutResourcePolicyInput{SecretId: &t.Secret().ARN,
						ResourcePolicy: aws.String("{")}))
			}},
		{ID: "SM-244", Does: "PutResourcePolicy of access for every principal, with BlockPublicPolicy",
			State:  Documented,
			Source: apiSM + "PutResourcePolicy.html#API_PutResourcePolicy_Errors",
			Want:   Want{Code: "PublicPolicyException", Status: 400},
			Do: func(t *T) (any, error) {
				return ret(t.SM.PutResourcePolicy(t.Ctx,
					&secretsmanager.PutResourcePolicyInput{SecretId: &t.Secret().ARN,
						BlockPublicPolicy: aws.Bool(true),
						ResourcePolicy: aws.String(Policy(map[string]any{"Effect": "Allow",
							"Principal": "*", "Action": "secretsmanager:GetSecretValue", "Resource": "*"}))}))
			}},
		{ID: "SM-245", Does: "DeleteResourcePolicy", State: Documented, Source: apiSM + "DeleteResourcePolicy.html",
			Want: Want{Fields: map[string]string{"ARN": "{arn}", "Name": "{name}"}},
			Do: func(t *T) (any, error) {
				s := t.Secret()
				t.Attach(s, t.mine("secretsmanager:GetSecretValue"))
				return ret(t.SM.DeleteResourcePolicy(t.Ctx,
					&secretsmanager.DeleteResourcePolicyInput{SecretId: &s.ARN}))
			}},
		{ID: "SM-250", Does: "GetRandomPassword without parameters: 32 characters", State: Documented,
			Source: apiSM + "GetRandomPassword.html (PasswordLength)",
			Want:   Want{Fields: map[string]string{"Length": "32"}},
			Do:     func(t *T) (any, error) { return password(t, &secretsmanager.GetRandomPasswordInput{}, "") }},
		{ID: "SM-251", Does: "GetRandomPassword without some characters and punctuation", State: Recorded,
			Source: localstackSM + "test_get_random_exclude_characters_and_symbols, validated on AWS",
			Want:   Want{Fields: map[string]string{"Length": "100", "Unwanted": "false"}},
			Do: func(t *T) (any, error) {
				return password(t, &secretsmanager.GetRandomPasswordInput{PasswordLength: aws.Int64(100),
					ExcludeCharacters: aws.String("xyzDje@?!."), ExcludePunctuation: aws.Bool(true)},
					"xyzDje"+`!"#$%&'()*+,-./:;<=>?@[\]^_`+"`{|}~")
			}},
		{ID: "SM-252", Does: "GetRandomPassword shorter than the classes that must be in it", State: Believed,
			Source: noSource,
			Want:   Want{Code: invalidParameter, Text: "Password length is too short based on the required types."},
			Do: func(t *T) (any, error) {
				return password(t, &secretsmanager.GetRandomPasswordInput{PasswordLength: aws.Int64(3)}, "")
			}},
		{ID: "SM-253", Does: "GetRandomPassword longer than 4,096 characters", State: Documented,
			Source: apiSM + "GetRandomPassword.html (PasswordLength)",
			Want:   Want{Code: AnyError},
			Do: func(t *T) (any, error) {
				return password(t, &secretsmanager.GetRandomPasswordInput{PasswordLength: aws.Int64(4097)}, "")
			}},
		{ID: "SM-260", Does: "BatchGetSecretValue of a secret that is there and one that is not", State: Documented,
			Source: apiSM + "BatchGetSecretValue.html (Errors)",
			Want: Want{Fields: map[string]string{"SecretValues.0.ARN": "{arn}", "SecretValues.0.SecretString": "v1",
				"Errors.0.SecretId": "{missing}", "Errors.0.ErrorCode": notFound}},
			Do: func(t *T) (any, error) {
				return ret(t.SM.BatchGetSecretValue(t.Ctx, &secretsmanager.BatchGetSecretValueInput{
					SecretIdList: []string{t.Secret().ARN, t.Let("missing", t.Name())}}))
			}},
		{ID: "SM-261", Does: "BatchGetSecretValue of 21 ids", State: Documented,
			Source: apiSM + "BatchGetSecretValue.html (SecretIdList)",
			Want:   Want{Code: AnyError},
			Do: func(t *T) (any, error) {
				ids := make([]string, 21)
				for i := range ids {
					ids[i] = t.Name()
				}
				return ret(t.SM.BatchGetSecretValue(t.Ctx, &secretsmanager.BatchGetSecretValueInput{SecretIdList: ids}))
			}},
	}
}

// deleted is a secret that is marked for deletion.
func deleted(t *T) *Secret {
	s := t.Secret()
	_, err := t.SM.DeleteSecret(t.Ctx, &secretsmanager.DeleteSecretInput{SecretId: &s.ARN,
		RecoveryWindowInDays: aws.Int64(7)})
	t.Must(wrap("DeleteSecret", err))
	return s
}

func remove(t *T, id string, force bool) (any, error) {
	in := &secretsmanager.DeleteSecretInput{SecretId: &id}
	if force {
		in.ForceDeleteWithoutRecovery = &force
	}
	return ret(t.SM.DeleteSecret(t.Ctx, in))
}

// mine is a resource policy that allows an action to the caller's own account.
func (t *T) mine(action string) string {
	return Policy(map[string]any{"Effect": "Allow", "Principal": map[string]any{"AWS": t.run.partition() + ":iam::" +
		t.run.account + ":root"}, "Action": action, "Resource": "*"})
}

// partition is "arn:aws" of the run's caller.
func (r *run) partition() string {
	parts := strings.SplitN(r.caller, ":", 3)
	return strings.Join(parts[:min(2, len(parts))], ":")
}

func list(t *T, pairs ...string) (*secretsmanager.ListSecretsOutput, error) {
	in := &secretsmanager.ListSecretsInput{}
	for i := 0; i+1 < len(pairs); i += 2 {
		in.Filters = append(in.Filters, types.Filter{Key: types.FilterNameStringType(pairs[i]),
			Values: []string{pairs[i+1]}})
	}
	return t.SM.ListSecrets(t.Ctx, in)
}

// listed are the last parts of the names that a list has.
func listed(t *T, pairs ...string) (any, error) {
	out, err := list(t, pairs...)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, s := range out.SecretList {
		n := aws.ToString(s.Name)
		names = append(names, n[strings.LastIndex(n, "/")+1:])
	}
	return map[string]any{"Names": names}, nil
}

// named makes secrets whose names begin alike, with {common}.
func named(ends ...string) func(*T) (any, error) {
	return func(t *T) (any, error) {
		common := t.Let("common", t.Name())
		for _, end := range ends {
			t.Secret(func(in *secretsmanager.CreateSecretInput) { in.Name = aws.String(common + "/" + end) })
		}
		return nil, nil
	}
}

// described makes a secret with a description and one without.
func described(t *T) (any, error) {
	common := t.Let("common", t.Name())
	t.Secret(func(in *secretsmanager.CreateSecretInput) { in.Name = aws.String(common + "/plain") })
	t.Secret(func(in *secretsmanager.CreateSecretInput) {
		in.Name, in.Description = aws.String(common+"/described"), aws.String("qt-contract row")
	})
	return nil, nil
}

func password(t *T, in *secretsmanager.GetRandomPasswordInput, unwanted string) (any, error) {
	out, err := t.SM.GetRandomPassword(t.Ctx, in)
	if err != nil {
		return nil, err
	}
	p := aws.ToString(out.RandomPassword)
	return map[string]any{"Length": len(p), "Unwanted": strings.ContainsAny(p, unwanted)}, nil
}
