package contract

import (
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
)

// valueRows are about secrets, values and idempotency: SM-0xx.
func valueRows() []Row {
	rows := []Row{
		{ID: "SM-001", Does: "CreateSecret with a value", State: Recorded,
			Source: localstackSM + "test_create_and_update_secret, 2022-09-28",
			Want: Want{Fields: map[string]string{"Name": "{name}", "ARN": "{arn}", "VersionId": "{first}"},
				Labels: "first:AWSCURRENT"},
			Do: func(t *T) (any, error) {
				out, err := t.SM.CreateSecret(t.Ctx, &secretsmanager.CreateSecretInput{Name: aws.String(t.Name()),
					SecretString: aws.String("v1"), ClientRequestToken: aws.String(t.Let("first", Token()))})
				t.Must(err)
				t.Own(&Secret{Name: *out.Name, ARN: *out.ARN})
				if i := len(*out.ARN) - 7; (*out.ARN)[i] != '-' || !strings.HasSuffix((*out.ARN)[:i], ":secret:"+
					*out.Name) {
					t.Must(fmt.Errorf("the ARN %s is not the name, a hyphen and six characters", *out.ARN))
				}
				return out, err
			}},
		{ID: "SM-002", Does: "CreateSecret without a value, then DescribeSecret", State: Recorded,
			Source: localstackSM + "test_create_secret_version_from_empty_secret, 2023-09-05",
			Want: Want{Fields: map[string]string{"Name": "{name}", "VersionIdsToStages": "-",
				"LastChangedDate": "*"}},
			Do: func(t *T) (any, error) {
				s := t.Secret(empty)
				if s.Version != "" {
					t.Must(fmt.Errorf("CreateSecret answered a VersionId"))
				}
				return t.Describe(s.ARN)
			}},
		{ID: "SM-003", Does: "PutSecretValue into a secret without a value", State: Recorded,
			Source: localstackSM + "test_create_secret_version_from_empty_secret, 2023-09-05",
			Want: Want{Fields: map[string]string{"Name": "{name}", "VersionId": "{token}",
				"VersionStages": "AWSCURRENT"},
				Labels: "token:AWSCURRENT"},
			Do: func(t *T) (any, error) {
				s := t.Secret(empty)
				return put(t, s.ARN, "v1", t.Let("token", Token()))
			}},
		{ID: "SM-004", Does: "GetSecretValue by name", State: Recorded,
			Source: localstackSM + "test_create_and_update_secret, 2022-09-28",
			Want: Want{Fields: map[string]string{"ARN": "{arn}", "Name": "{name}", "SecretString": "v1",
				"VersionId":     "{first}",
				"VersionStages": "AWSCURRENT", "CreatedDate": "*", "SecretBinary": "-"}},
			Do: func(t *T) (any, error) { return t.Get(t.Secret().Name, "", "") }},
		{ID: "SM-005", Does: "GetSecretValue by ARN", State: Recorded,
			Source: localstackSM + "test_create_and_update_secret, 2022-09-28",
			Want:   Want{Fields: map[string]string{"ARN": "{arn}", "SecretString": "v1"}},
			Do:     func(t *T) (any, error) { return t.Get(t.Secret().ARN, "", "") }},
		{ID: "SM-006", Does: "GetSecretValue by ARN without the six characters", State: Recorded,
			Source: localstackSM + "test_create_and_update_secret, 2022-09-28",
			Want:   Want{Fields: map[string]string{"ARN": "{arn}", "SecretString": "v1"}},
			Do: func(t *T) (any, error) {
				s := t.Secret()
				return t.Get(s.ARN[:len(s.ARN)-7], "", "")
			}},
		{ID: "SM-007", Does: "GetSecretValue by partial ARN, of a secret whose name ends in a hyphen and six " +
			"characters", State: Recorded,
			Source: localstackSM + "test_create_and_update_secret[Invalid], 2022-09-28",
			Want:   Want{Code: notFound, Status: 400, Text: textNoSecret},
			Do: func(t *T) (any, error) {
				s := t.Secret(func(in *secretsmanager.CreateSecretInput) { *in.Name += "-a1b2c3" })
				return t.Get(s.ARN[:len(s.ARN)-7], "", "")
			}},
		{ID: "SM-008", Does: "CreateSecret with every character that a name may have", State: Recorded,
			Source: localstackSM + "test_create_and_update_secret, 2022-09-28",
			Want:   Want{Fields: map[string]string{"SecretString": "v1"}},
			Do: func(t *T) (any, error) {
				s := t.Secret(func(in *secretsmanager.CreateSecretInput) { *in.Name += "/_+=.@-Name" })
				return t.Get(s.Name, "", "")
			}},
		{ID: "SM-009", Does: "GetSecretValue of a secret without a value", State: Recorded,
			Source: localstackSM + "test_secret_version_not_found, 2024-06-13",
			Want:   Want{Code: notFound, Status: 400, Text: textNoLabel + "AWSCURRENT"},
			Do:     func(t *T) (any, error) { return t.Get(t.Secret(empty).ARN, "", "") }},
		{ID: "SM-010", Does: "GetSecretValue by a version id that is not there", State: Recorded,
			Source: localstackSM + "test_secret_version_not_found, 2024-06-13",
			Want:   Want{Code: notFound, Text: textNoVersion + "{token}"},
			Do:     func(t *T) (any, error) { return t.Get(t.Secret(empty).ARN, t.Let("token", Token()), "") }},
		{ID: "SM-011", Does: "GetSecretValue by a label that is not there", State: Recorded,
			Source: localstackSM + "test_secret_version_not_found, 2024-06-13",
			Want:   Want{Code: notFound, Text: textNoLabel + "AWSPENDING"},
			Do:     func(t *T) (any, error) { return t.Get(t.Secret(empty).ARN, "", "AWSPENDING") }},
		{ID: "SM-012", Does: "GetSecretValue by AWSPREVIOUS of a secret with one version", State: Recorded,
			Source: localstackSM + "test_get_secret_value_errors, 2024-04-11",
			Want:   Want{Code: notFound, Status: 400, Text: textNoLabel + "AWSPREVIOUS"},
			Do:     func(t *T) (any, error) { return t.Get(t.Secret().ARN, "", "AWSPREVIOUS") }},
		{ID: "SM-013", Does: "GetSecretValue by a version id and a label that another version has", State: Recorded,
			Source: localstackSM + "test_get_secret_value_errors, 2024-04-11",
			Want:   Want{Code: invalidRequest, Status: 400, Text: textMismatch},
			Do: func(t *T) (any, error) {
				s := t.Secret()
				id := t.Put(s, "second", "v2")
				return t.Get(s.ARN, id, "AWSPREVIOUS")
			}},
		{ID: "SM-014", Does: "GetSecretValue of a secret that is not there", State: Recorded,
			Source: localstackSM + "test_secret_not_found, 2022-09-28",
			Want:   Want{Code: notFound, Status: 400, Text: textNoSecret},
			Do:     func(t *T) (any, error) { return t.Get(t.Name(), "", "") }},
		{ID: "SM-015", Does: "ListSecretVersionIds of a secret that is not there", State: Recorded,
			Source: localstackSM + "test_secret_not_found, 2022-09-28",
			Want:   Want{Code: notFound, Status: 400, Text: textNoSecret},
			Do: func(t *T) (any, error) {
				return ret(t.SM.ListSecretVersionIds(t.Ctx,
					&secretsmanager.ListSecretVersionIdsInput{SecretId: aws.String(t.Name())}))
			}},
		{ID: "SM-016", Does: "PutSecretValue, DescribeSecret of a secret that is not there", State: Documented,
			Source: apiSM + "PutSecretValue.html#API_PutSecretValue_Errors",
			Want:   Want{Code: notFound, Status: 400},
			Do:     func(t *T) (any, error) { return put(t, t.Name(), "v", Token()) }},
		{ID: "SM-017", Does: "PutSecretValue of bytes, then GetSecretValue", State: Recorded,
			Source: localstackSM + "test_change_secret_value_after_creation, 2026-02-07",
			Want: Want{Fields: map[string]string{"SecretString": "-", "SecretBinary": "AAEC/w==",
				"VersionId": "{token}"}},
			Do: func(t *T) (any, error) {
				s := t.Secret()
				_, err := t.SM.PutSecretValue(t.Ctx, &secretsmanager.PutSecretValueInput{SecretId: &s.ARN,
					SecretBinary: []byte{0, 1, 2, 255}, ClientRequestToken: aws.String(t.Let("token", Token()))})
				t.Must(err)
				return t.Get(s.ARN, "", "")
			}},
		{ID: "SM-020", Does: "CreateSecret of a name that is there, with another token", State: Recorded,
			Source: motoSM + "test_create_duplicate_secret_without_specifying_token, verified on AWS",
			Want: Want{Code: exists, Status: 400, Text: "The operation failed because the secret {name} already " +
				"exists."},
			Do: func(t *T) (any, error) { return create(t, t.Secret().Name, "v1", Token()) }},
		{ID: "SM-021", Does: "CreateSecret again with the same token and value", State: Recorded,
			Source: motoSM + "test_create_duplicate_secret_with_same_token, verified on AWS",
			Want:   Want{Fields: map[string]string{"ARN": "{arn}", "Name": "{name}", "VersionId": "{first}"}},
			Do: func(t *T) (any, error) {
				s := t.Secret()
				return create(t, s.Name, "v1", s.Version)
			}},
		{ID: "SM-022", Does: "CreateSecret again with the same token and another value", State: Recorded,
			Source: motoSM + "test_create_different_secret_with_same_token, verified on AWS",
			Want:   Want{Code: exists, Text: textTokenUsed},
			Do: func(t *T) (any, error) {
				s := t.Secret()
				return create(t, s.Name, "other", t.Let("token", s.Version))
			}},
		{ID: "SM-023", Does: "PutSecretValue again with the same token and value", State: Recorded,
			Source: motoSM + "test_put_same_secret_value_with_same_token, verified on AWS",
			Want: Want{Fields: map[string]string{"ARN": "{arn}", "VersionId": "{first}", "VersionStages": "AWSCURRENT"},
				Labels: "first:AWSCURRENT"},
			Do: func(t *T) (any, error) {
				s := t.Secret()
				return put(t, s.ARN, "v1", s.Version)
			}},
		{ID: "SM-024", Does: "PutSecretValue with a used token and another value", State: Recorded,
			Source: motoSM + "test_put_different_secret_value_with_same_token, verified on AWS",
			Want:   Want{Code: exists, Text: textTokenUsed, Labels: "first:AWSCURRENT"},
			Do: func(t *T) (any, error) {
				s := t.Secret()
				t.Let("token", s.Version)
				return put(t, s.ARN, "other", s.Version)
			}},
		{ID: "SM-025", Does: "UpdateSecret with a used token and the same value", State: Recorded,
			Source: motoSM + "test_update_same_secret_value_with_same_token, verified on AWS",
			Want:   Want{Fields: map[string]string{"VersionId": "{first}"}, Labels: "first:AWSCURRENT"},
			Do: func(t *T) (any, error) {
				s := t.Secret()
				return update(t, s.Name, "v1", s.Version)
			}},
		{ID: "SM-026", Does: "UpdateSecret with a used token and another value", State: Recorded,
			Source: motoSM + "test_update_different_secret_value_with_same_token, verified on AWS",
			Want:   Want{Code: exists, Text: textTokenUsed},
			Do: func(t *T) (any, error) {
				s := t.Secret()
				t.Let("token", s.Version)
				return update(t, s.ARN, "other", s.Version)
			}},
		{ID: "SM-027", Does: "PutSecretValue with a used token of a pending value and another value", State: Documented,
			Source: apiSM + "PutSecretValue.html (ClientRequestToken)",
			Want:   Want{Code: exists, Labels: "first:AWSCURRENT token:AWSPENDING"},
			Do: func(t *T) (any, error) {
				s := t.Secret()
				id := t.Put(s, "token", "v2", "AWSPENDING")
				return put(t, s.ARN, "v3", id, "AWSPENDING")
			}},
		{ID: "SM-028", Does: "PutSecretValue again with a pending value's token, value and label", State: Documented,
			Source: apiSM + "PutSecretValue.html (ClientRequestToken)",
			Want: Want{Fields: map[string]string{"VersionId": "{token}", "VersionStages": "AWSPENDING"},
				Labels: "first:AWSCURRENT token:AWSPENDING"},
			Do: func(t *T) (any, error) {
				s := t.Secret()
				id := t.Put(s, "token", "v2", "AWSPENDING")
				return put(t, s.ARN, "v2", id, "AWSPENDING")
			}},
		{ID: "SM-040", Does: "UpdateSecret of the description alone", State: Recorded,
			Source: localstackSM + "test_update_secret_description, 2022-09-28",
			Want: Want{Fields: map[string]string{"ARN": "{arn}", "Name": "{name}", "VersionId": "-"},
				Labels: "first:AWSCURRENT"},
			Do: func(t *T) (any, error) {
				return ret(t.SM.UpdateSecret(t.Ctx, &secretsmanager.UpdateSecretInput{SecretId: &t.Secret().ARN,
					Description: aws.String("new")}))
			}},
		{ID: "SM-041", Does: "UpdateSecret of the value", State: Recorded,
			Source: localstackSM + "test_update_secret_version_stages_current_previous, 2022-09-28",
			Want: Want{Fields: map[string]string{"VersionId": "{second}"}, Labels: "first:AWSPREVIOUS " +
				"second:AWSCURRENT"},
			Do: func(t *T) (any, error) { return update(t, t.Secret().Name, "v2", t.Let("second", Token())) }},
		{ID: "SM-042", Does: "DescribeSecret of a secret that was never read", State: Recorded,
			Source: localstackSM + "test_last_accessed_date, validated on AWS",
			Want: Want{Fields: map[string]string{"LastAccessedDate": "-", "LastChangedDate": "*", "CreatedDate": "*",
				"RotationEnabled": "-", "RotationLambdaARN": "-", "RotationRules": "-", "KmsKeyId": "-",
				"OwningService": "-",
				"DeletedDate":   "-", "Tags": "-"}},
			Do: func(t *T) (any, error) { return t.Describe(t.Secret().ARN) }},
		{ID: "SM-043", Does: "DescribeSecret after a read", State: Recorded,
			Source: localstackSM + "test_last_accessed_date, validated on AWS",
			Want:   Want{Fields: map[string]string{"LastAccessedDate": "*", "VersionIdsToStages.first": "AWSCURRENT"}},
			Do: func(t *T) (any, error) {
				s := t.Secret()
				_, err := t.Get(s.ARN, "", "")
				t.Must(err)
				return versionNames(t, s.ARN)
			}},
		{ID: "SM-044", Does: "PutSecretValue with a string and bytes", State: Believed, Source: noSource,
			Want: Want{Code: invalidParameter, Status: 400},
			Do: func(t *T) (any, error) {
				return ret(t.SM.PutSecretValue(t.Ctx, &secretsmanager.PutSecretValueInput{SecretId: &t.Secret().ARN,
					SecretString: aws.String("v"), SecretBinary: []byte("v")}))
			}},
		{ID: "SM-045", Does: "PutSecretValue of more than 65,536 bytes", State: Documented,
			Source: guideSM + "reference_limits.html; " + github +
				"kubernetes-sigs/cluster-api-provider-aws/issues/1531 (with the limit of then, 10240, on bytes)",
			Want: Want{Code: validation, Status: 400, Text: "1 validation error detected: Value at 'secretString' " +
				"failed to satisfy " +
				"constraint: Member must have length less than or equal to 65536"},
			Do: func(t *T) (any, error) { return put(t, t.Secret().ARN, strings.Repeat("x", 65537), Token()) }},
		{ID: "SM-046", Does: "PutSecretValue of exactly 65,536 bytes", State: Documented, Source: guideSM +
			"reference_limits.html",
			Want: Want{Fields: map[string]string{"VersionId": "*"}},
			Do:   func(t *T) (any, error) { return put(t, t.Secret().ARN, strings.Repeat("x", 65536), Token()) }},
	}
	// No ClientRequestToken is judged before the secret is looked for. An SDK always sends one.
	for _, r := range []struct{ id, op, code, member string }{
		{"SM-030", "CreateSecret", invalidRequest, "Name"},
		{"SM-031", "UpdateSecret", invalidRequest, "SecretId"},
		{"SM-032", "PutSecretValue", invalidRequest, "SecretId"},
		{"SM-033", "RotateSecret", invalidParameter, "SecretId"},
	} {
		rows = append(rows, Row{ID: r.id, Does: r.op + " without a ClientRequestToken, for a secret that is not there",
			State:  Recorded,
			Source: localstackSM + "test_no_client_request_token, 2023-05-12",
			Want:   Want{Code: r.code, Status: 400, Text: textToken},
			Do: func(t *T) (any, error) {
				return t.JSON(r.op, fmt.Sprintf(`{%q:%q,"SecretString":"v","Description":"d"}`, r.member, t.Name()))
			}})
	}
	// A malformed name or id is refused the same way by every operation.
	const bad = " Inv*Name? "
	for i, r := range []struct {
		op string
		do func(*T) (any, error)
	}{
		{"CreateSecret", func(t *T) (any, error) { return create(t, bad, "v", Token()) }},
		{"DeleteSecret", func(t *T) (any, error) {
			return ret(t.SM.DeleteSecret(t.Ctx, &secretsmanager.DeleteSecretInput{SecretId: aws.String(bad),
				ForceDeleteWithoutRecovery: aws.Bool(true)}))
		}},
		{"DescribeSecret", func(t *T) (any, error) { return t.Describe(bad) }},
		{"GetSecretValue", func(t *T) (any, error) { return t.Get(bad, "", "") }},
		{"ListSecretVersionIds", func(t *T) (any, error) {
			return ret(t.SM.ListSecretVersionIds(t.Ctx,
				&secretsmanager.ListSecretVersionIdsInput{SecretId: aws.String(bad),
					IncludeDeprecated: aws.Bool(true)}))
		}},
		{"PutSecretValue", func(t *T) (any, error) { return put(t, bad, "v", Token()) }},
		{"TagResource", func(t *T) (any, error) {
			return ret(t.SM.TagResource(t.Ctx, &secretsmanager.TagResourceInput{SecretId: aws.String(bad),
				Tags: tags("a", "b")}))
		}},
		{"UntagResource", func(t *T) (any, error) {
			return ret(t.SM.UntagResource(t.Ctx, &secretsmanager.UntagResourceInput{SecretId: aws.String(bad),
				TagKeys: []string{"a"}}))
		}},
		{"UpdateSecret", func(t *T) (any, error) {
			return ret(t.SM.UpdateSecret(t.Ctx, &secretsmanager.UpdateSecretInput{SecretId: aws.String(bad),
				Description: aws.String("d")}))
		}},
		{"ValidateResourcePolicy", func(t *T) (any, error) {
			return ret(t.SM.ValidateResourcePolicy(t.Ctx,
				&secretsmanager.ValidateResourcePolicyInput{SecretId: aws.String(bad),
					ResourcePolicy: aws.String(Allow("secretsmanager:GetSecretValue"))}))
		}},
	} {
		rows = append(rows, Row{ID: fmt.Sprintf("SM-%03d", 50+i), Does: r.op + " with a name that has blanks, * and ?",
			State:  Recorded,
			Source: localstackSM + "test_invalid_secret_name, 2022-09-28",
			Want:   Want{Code: validation, Status: 400, Text: textName}, Do: r.do})
	}
	return rows
}

func empty(in *secretsmanager.CreateSecretInput) { in.SecretString = nil }

func create(t *T, name, value, token string) (any, error) {
	return ret(t.SM.CreateSecret(t.Ctx, &secretsmanager.CreateSecretInput{Name: &name, SecretString: &value,
		ClientRequestToken: &token}))
}

func put(t *T, id, value, token string, labels ...string) (any, error) {
	return ret(t.SM.PutSecretValue(t.Ctx, &secretsmanager.PutSecretValueInput{SecretId: &id, SecretString: &value,
		ClientRequestToken: &token, VersionStages: labels}))
}

func update(t *T, id, value, token string) (any, error) {
	return ret(t.SM.UpdateSecret(t.Ctx, &secretsmanager.UpdateSecretInput{SecretId: &id, SecretString: &value,
		ClientRequestToken: &token}))
}

func tags(key, value string) []types.Tag { return []types.Tag{{Key: &key, Value: &value}} }

// versionNames is a description whose VersionIdsToStages has the row's names for ids.
func versionNames(t *T, id string) (any, error) {
	out, err := t.SM.DescribeSecret(t.Ctx, &secretsmanager.DescribeSecretInput{SecretId: &id})
	if err != nil {
		return nil, err
	}
	named := map[string][]string{}
	for v, labels := range out.VersionIdsToStages {
		named[strings.Trim(t.named(v), "{}")] = labels
	}
	out.VersionIdsToStages = named
	return out, nil
}
