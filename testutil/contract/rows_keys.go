package contract

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// keyRows are about customer keys, by KMS itself and through a secret: KM-xxx.
func keyRows() []Row {
	const (
		disabledFacts = apiSM + "GetSecretValue.html#API_GetSecretValue_Errors"
		crossKey      = repost + "secrets-manager-cross-account-key"
	)
	return []Row{
		{ID: "KM-001", Does: "DescribeKey", State: Recorded, Needs: NeedKey, Source: localstackKMS +
			"test_create_key, 2025-11-10",
			Want: Want{Fields: map[string]string{"KeyMetadata.Arn": "{main}", "KeyMetadata.AWSAccountId": "{account}",
				"KeyMetadata.CurrentKeyMaterialId": "*", "KeyMetadata.CustomerMasterKeySpec": "SYMMETRIC_DEFAULT",
				"KeyMetadata.KeySpec": "SYMMETRIC_DEFAULT", "KeyMetadata.KeyState": "Enabled",
				"KeyMetadata.Enabled":    "true",
				"KeyMetadata.KeyManager": "CUSTOMER", "KeyMetadata.KeyUsage": "ENCRYPT_DECRYPT",
				"KeyMetadata.MultiRegion": "false",
				"KeyMetadata.Origin":      "AWS_KMS", "KeyMetadata.EncryptionAlgorithms": "SYMMETRIC_DEFAULT"}},
			Do: func(t *T) (any, error) { return describeKey(t, t.Key("main")) }},
		{ID: "KM-002", Does: "DescribeKey of an id that is not there", State: Recorded, Needs: NeedKey,
			Source: localstackKMS + "test_get_key_does_not_exist, 2025-09-08",
			Want:   Want{Code: "NotFoundException", Status: 400, Text: "Key '{missing}' does not exist"},
			Do: func(t *T) (any, error) {
				arn := t.Key("main")
				id := Token()
				t.Let("missing", arn[:strings.LastIndex(arn, "/")+1]+id)
				return describeKey(t, id)
			}},
		{ID: "KM-003", Does: "DescribeKey of an ARN that is not there", State: Recorded, Needs: NeedKey,
			Source: localstackKMS + "test_get_key_does_not_exist, 2025-09-08",
			Want:   Want{Code: "NotFoundException", Status: 400, Text: "Key '{missing}' does not exist"},
			Do: func(t *T) (any, error) {
				arn := t.Key("main")
				return describeKey(t, t.Let("missing", arn[:strings.LastIndex(arn, "/")+1]+Token()))
			}},
		{ID: "KM-004", Does: "DescribeKey of what is no id", State: Recorded, Needs: NeedKey,
			Source: localstackKMS + "test_get_key_invalid_uuid, 2023-11-07",
			Want:   Want{Code: "NotFoundException", Status: 400, Text: "Invalid keyId 'fake-key-id'"},
			Do:     func(t *T) (any, error) { return describeKey(t, "fake-key-id") }},
		{ID: "KM-005", Does: "DescribeKey of an ARN of another Region", State: Recorded, Needs: NeedKey,
			Source: localstackKMS + "test_get_key_in_different_region, 2025-11-10",
			Want:   Want{Code: "NotFoundException", Status: 400, Text: "Invalid arn xx-nowhere-1"},
			Do: func(t *T) (any, error) {
				return describeKey(t, strings.Replace(t.Key("main"), ":"+t.run.at.Config.Region+":", ":xx-nowhere-1:",
					1))
			}},
		{ID: "KM-006", Does: "DescribeKey of an alias that is not there", State: Recorded, Needs: NeedKey,
			Source: github + "cloudposse/docs/issues/152",
			Want:   Want{Code: "NotFoundException", Status: 400, Text: "Alias {alias} is not found."},
			Do: func(t *T) (any, error) {
				arn := t.Key("main")
				name := "alias/" + Prefix + random(4)
				t.Let("alias", arn[:strings.LastIndex(arn, ":")+1]+name)
				return describeKey(t, name)
			}},
		{ID: "KM-010", Does: "GenerateDataKey", State: Recorded, Needs: NeedKey, Source: localstackKMS +
			"test_generate_data_key, 2023-05-11",
			Want: Want{Fields: map[string]string{"CiphertextBlob": "*", "Plaintext": "*", "KeyId": "{main}"}},
			Do:   func(t *T) (any, error) { return dataKey(t, t.Key("main"), false) }},
		{ID: "KM-011", Does: "GenerateDataKey with DryRun", State: Documented, Needs: NeedKey,
			Source: apiKMS + "GenerateDataKey.html (DryRun); " + localstackKMS +
				"test_generate_data_key_pair_dry_run, 2025-04-06 (of the pair)",
			Want: Want{Code: "DryRunOperationException", Status: 400, Text: textDryRun},
			Do:   func(t *T) (any, error) { return dataKey(t, t.Key("main"), true) }},
		{ID: "KM-012", Does: "GenerateDataKey with DryRun, by a role without the permission", State: Documented,
			Needs:  NeedKey | NeedRole,
			Source: apiKMS + "GenerateDataKey.html; " + guideKMS + "testing-permissions.html",
			Want:   Want{Code: denied, Status: 400},
			Do: func(t *T) (any, error) {
				key := t.Key("main")
				cfg := t.Role(Rights{Identity: Allow("kms:DescribeKey")})
				return ret(kms.NewFromConfig(cfg).GenerateDataKey(t.Ctx, &kms.GenerateDataKeyInput{KeyId: &key,
					KeySpec: kmstypes.DataKeySpecAes256, DryRun: aws.Bool(true)}))
			}},
		{ID: "KM-013", Does: "Decrypt", State: Recorded, Needs: NeedKey,
			Source: localstackKMS + "test_encrypt_decrypt_encryption_context, 2025-09-22",
			Want: Want{Fields: map[string]string{"EncryptionAlgorithm": "SYMMETRIC_DEFAULT", "KeyId": "{main}",
				"KeyMaterialId": "*",
				"Plaintext":     "*"}},
			Do: func(t *T) (any, error) {
				return decrypt(t, map[string]string{"a": "b"}, map[string]string{"a": "b"})
			}},
		{ID: "KM-014", Does: "Decrypt with another encryption context", State: Recorded, Needs: NeedKey,
			Source: localstackKMS + "test_encrypt_decrypt_encryption_context, 2025-09-22",
			Want:   Want{Code: "InvalidCiphertextException", Status: 400, Text: NoText},
			Do:     func(t *T) (any, error) { return decrypt(t, map[string]string{"a": "b"}, nil) }},
		{ID: "KM-015", Does: "Decrypt of what is no ciphertext", State: Recorded, Needs: NeedKey,
			Source: localstackKMS + "test_encrypt_decrypt_encryption_context, 2025-09-22",
			Want:   Want{Code: "InvalidCiphertextException", Status: 400, Text: NoText},
			Do: func(t *T) (any, error) {
				return ret(t.KMS.Decrypt(t.Ctx, &kms.DecryptInput{KeyId: aws.String(t.Key("main")),
					CiphertextBlob: []byte("nonsense")}))
			}},
		{ID: "KM-016", Does: "Decrypt with the id of another key", State: Recorded, Needs: NeedKey,
			Source: localstackKMS + "test_error_messaging_for_invalid_keys, 2023-04-13",
			Want:   Want{Code: "IncorrectKeyException", Status: 400, Text: textIncorrect},
			Do: func(t *T) (any, error) {
				out, err := t.KMS.GenerateDataKey(t.Ctx, &kms.GenerateDataKeyInput{KeyId: aws.String(t.Key("main")),
					KeySpec: kmstypes.DataKeySpecAes256})
				t.Must(wrap("GenerateDataKey", err))
				return ret(t.KMS.Decrypt(t.Ctx, &kms.DecryptInput{KeyId: aws.String(t.Key("second")),
					CiphertextBlob: out.CiphertextBlob}))
			}},
		{ID: "KM-017", Does: "Decrypt with DryRun and IGNORE_CIPHERTEXT, without a ciphertext", State: Documented,
			Needs:  NeedKey,
			Source: apiKMS + "Decrypt.html (DryRunModifiers)",
			Want:   Want{Code: "DryRunOperationException", Status: 400, Text: textDryRun},
			Do: func(t *T) (any, error) {
				return ret(t.KMS.Decrypt(t.Ctx, &kms.DecryptInput{KeyId: aws.String(t.Key("main")),
					DryRun:          aws.Bool(true),
					DryRunModifiers: []kmstypes.DryRunModifierType{kmstypes.DryRunModifierTypeIgnoreCiphertext}}))
			}},
		{ID: "KM-018", Does: "GenerateDataKey with a key that is disabled", State: Documented, Needs: NeedKey,
			Source: apiKMS + "GenerateDataKey.html#API_GenerateDataKey_Errors; " + localstackKMS +
				"test_rotate_key_on_demand_raises_error_given_key_is_disabled, 2025-03-08 (of RotateKeyOnDemand)",
			Want: Want{Code: "DisabledException", Status: 400, Text: "{main} is disabled."},
			Do: func(t *T) (any, error) {
				key := t.Key("main")
				t.disable(key)
				return dataKey(t, key, false)
			}},
		{ID: "KM-019", Does: "GenerateDataKey with a key that is pending deletion", State: Documented, Needs: NeedKey,
			Source: guideKMS + "key-state.html",
			Want:   Want{Code: "KMSInvalidStateException", Status: 400, Text: "{main} is pending deletion."},
			Do: func(t *T) (any, error) {
				key := t.Key("main")
				t.condemn(key)
				return dataKey(t, key, false)
			}},

		{ID: "KM-030", Does: "DescribeSecret of a secret under a customer key", State: Documented, Needs: NeedKey,
			Source: apiSM + "DescribeSecret.html (KmsKeyId)",
			Want:   Want{Fields: map[string]string{"KmsKeyId": "{main}"}},
			Do:     func(t *T) (any, error) { return t.Describe(t.keyed().ARN) }},
		{ID: "KM-031", Does: "GetSecretValue while the secret's key is disabled", State: Documented, Needs: NeedKey,
			Source: disabledFacts,
			Want:   Want{Code: "DecryptionFailure", Status: 400},
			Do:     disabled(func(t *T) (any, error) { return t.Get(t.secret.ARN, "", "") })},
		{ID: "KM-032", Does: "the text of that refusal, put together from recorded parts", State: Believed,
			Needs: NeedKey,
			Source: localstackKMS + "test_rotate_key_on_demand_raises_error_given_key_is_disabled (KMS's own " +
				"sentence); " +
				github + "hashicorp/terraform-provider-aws/pull/30273 (the frame)",
			Want: Want{Code: "DecryptionFailure", Text: "Secrets Manager can't decrypt the secret value: {main} is " +
				"disabled. (Service: AWSKMS; " +
				"Status Code: 400; Error Code: DisabledException; Request ID: x; Proxy: null)"},
			Do: disabled(func(t *T) (any, error) { return t.Get(t.secret.ARN, "", "") })},
		{ID: "KM-033", Does: "PutSecretValue while the secret's key is disabled", State: Documented, Needs: NeedKey,
			Source: apiSM + "PutSecretValue.html#API_PutSecretValue_Errors",
			Want:   Want{Code: "EncryptionFailure", Status: 400, Labels: "first:AWSCURRENT"},
			Do:     disabled(func(t *T) (any, error) { return put(t, t.secret.ARN, "v2", Token()) })},
		{ID: "KM-034", Does: "DescribeSecret while the secret's key is disabled", State: Documented, Needs: NeedKey,
			Source: guideSM + "security-encryption.html",
			Want:   Want{Fields: map[string]string{"ARN": "{arn}", "KmsKeyId": "{main}"}},
			Do:     disabled(func(t *T) (any, error) { return t.Describe(t.secret.ARN) })},
		{ID: "KM-035", Does: "UpdateSecretVersionStage while the secret's key is disabled", State: Documented,
			Needs:  NeedKey,
			Source: guideSM + "security-encryption.html",
			Want:   Want{Labels: "first:AWSCURRENT+mine"},
			Do:     disabled(func(t *T) (any, error) { return t.Move(t.secret, "mine", "", t.secret.Version) })},
		{ID: "KM-036", Does: "GetSecretValue while the secret's key is pending deletion", State: Documented,
			Needs:  NeedKey,
			Source: disabledFacts,
			Want:   Want{Code: "DecryptionFailure", Status: 400},
			Do: func(t *T) (any, error) {
				s := t.keyed()
				t.condemn(t.names["main"])
				return t.Get(s.ARN, "", "")
			}},
		{ID: "KM-037", Does: "GetSecretValue by a role that may read the secret and not use its key", State: Recorded,
			Needs:  NeedKey | NeedRole,
			Source: crossKey + "; " + github + "aws-samples/aws-secrets-manager-rotation-lambdas/issues/53",
			Want:   Want{Code: denied, Status: 400, Text: textKMS},
			Do: func(t *T) (any, error) {
				return call(t, t.Role(Rights{Identity: Allow("secretsmanager:*")}), getAction, t.keyed().ARN)
			}},
		{ID: "KM-038", Does: "PutSecretValue by a role that may write the secret and not use its key",
			State: Documented, Needs: NeedKey | NeedRole,
			Source: crossKey + "; " + github + "aws/aws-cdk/issues/7677 (of CreateSecret)",
			Want:   Want{Code: denied, Status: 400, Text: textKMS, Labels: "first:AWSCURRENT"},
			Do: func(t *T) (any, error) {
				return call(t, t.Role(Rights{Identity: Allow("secretsmanager:*")}), putAction, t.keyed().ARN)
			}},
		{ID: "KM-039", Does: "GetSecretValue of a version under an older key that the role may not use",
			State: Recorded,
			Needs: NeedKey | NeedRole, Source: crossKey,
			Want: Want{Code: denied, Status: 400, Text: textOldKey},
			Do: func(t *T) (any, error) {
				s := t.keyed()
				// Two more versions, so that the first has no label and is not encrypted again under the new key.
				t.Put(s, "second", "v2")
				t.Put(s, "third", "v3")
				second := t.Key("second")
				_, err := t.SM.UpdateSecret(t.Ctx, &secretsmanager.UpdateSecretInput{SecretId: &s.ARN,
					KmsKeyId: &second})
				t.Must(wrap("UpdateSecret", err))
				cfg := t.Role(Rights{Identity: Policy(map[string]any{"Effect": "Allow", "Action": "secretsmanager:*",
					"Resource": "*"},
					map[string]any{"Effect": "Allow", "Action": "kms:*", "Resource": second})})
				return getValue(t.Ctx, t.As(cfg), s.ARN, s.Version, "")
			}},
		{ID: "KM-040", Does: "GetSecretValue by a role that may use the key with the secret's ARN as context, " +
			"through Secrets Manager", State: Documented,
			Needs: NeedKey | NeedRole, Source: guideSM + "security-encryption.html; " + guideKMS +
				"conditions-kms.html (kms:ViaService)",
			Want: Want{Fields: map[string]string{"SecretString": "v1"}},
			Do: func(t *T) (any, error) {
				s := t.keyed()
				return call(t, t.via(s.ARN, "amazonaws.com"), getAction, s.ARN)
			}},
		{ID: "KM-041", Does: "the same with another secret's ARN", State: Documented, Needs: NeedKey | NeedRole,
			Source: guideSM + "security-encryption.html",
			Want:   Want{Code: denied, Status: 400, Text: textKMS},
			Do: func(t *T) (any, error) {
				s := t.keyed()
				return call(t, t.via(s.ARN+"x", "amazonaws.com"), getAction, s.ARN)
			}},
		{ID: "KM-042", Does: "the same with kms:ViaService of another domain than amazonaws.com", State: Documented,
			Needs:  NeedKey | NeedRole,
			Source: guideKMS + "conditions-kms.html (kms:ViaService); " + github + "kubernetes/kops/issues/18372",
			Want:   Want{Code: denied, Status: 400, Text: textKMS},
			Do: func(t *T) (any, error) {
				s := t.keyed()
				return call(t, t.via(s.ARN, "amazonaws.com.cn"), getAction, s.ARN)
			}},
		{ID: "KM-043", Does: "Secrets Manager does not set aws:CalledVia", State: Documented, Needs: NeedKey | NeedRole,
			Source: guideIAM + "reference_policies_condition-keys.html#condition-keys-calledvia",
			Want:   Want{Code: denied, Status: 400, Text: textKMS},
			Do: func(t *T) (any, error) {
				s := t.keyed()
				return call(t, t.Role(Rights{Identity: Policy(map[string]any{"Effect": "Allow",
					"Action": "secretsmanager:*", "Resource": "*"},
					map[string]any{"Effect": "Allow", "Action": "kms:*", "Resource": "*",
						"Condition": map[string]any{"ForAnyValue:StringEquals": map[string]string{
							"aws:CalledVia": "secretsmanager.amazonaws.com"}}})}),
					getAction, s.ARN)
			}},
		{ID: "KM-044", Does: "ListSecretVersionIds under a customer key", State: Documented, Needs: NeedKey,
			Source: apiSM + "SecretVersionsListEntry.html (KmsKeyIds)",
			Want:   Want{Fields: map[string]string{"Versions.0.KmsKeyIds": "{main}"}},
			Do:     func(t *T) (any, error) { return listVersions(t, t.keyed().ARN, false) }},
		{ID: "KM-045", Does: "CreateSecret under a key that is not there", State: Believed, Needs: NeedKey,
			Source: noSource,
			Want:   Want{Code: "EncryptionFailure", Status: 400},
			Do: func(t *T) (any, error) {
				arn := t.Key("main")
				return ret(t.SM.CreateSecret(t.Ctx, &secretsmanager.CreateSecretInput{Name: aws.String(t.Name()),
					SecretString: aws.String("v"),
					KmsKeyId:     aws.String(arn[:strings.LastIndex(arn, "/")+1] + Token())}))
			}},
	}
}

func describeKey(t *T, id string) (any, error) {
	return ret(t.KMS.DescribeKey(t.Ctx, &kms.DescribeKeyInput{KeyId: &id}))
}

func dataKey(t *T, id string, dry bool) (any, error) {
	in := &kms.GenerateDataKeyInput{KeyId: &id, KeySpec: kmstypes.DataKeySpecAes256}
	if dry {
		in.DryRun = &dry
	}
	return ret(t.KMS.GenerateDataKey(t.Ctx, in))
}

// decrypt makes a data key under one encryption context and decrypts it under another.
func decrypt(t *T, made, asked map[string]string) (any, error) {
	key := t.Key("main")
	out, err := t.KMS.GenerateDataKey(t.Ctx, &kms.GenerateDataKeyInput{KeyId: &key, KeySpec: kmstypes.DataKeySpecAes256,
		EncryptionContext: made})
	t.Must(wrap("GenerateDataKey", err))
	return ret(t.KMS.Decrypt(t.Ctx, &kms.DecryptInput{KeyId: &key, CiphertextBlob: out.CiphertextBlob,
		EncryptionContext: asked}))
}

// keyed is a secret under the main key.
func (t *T) keyed() *Secret {
	key := t.Key("main")
	return t.Secret(func(in *secretsmanager.CreateSecretInput) { in.KmsKeyId = &key })
}

// keyID is the id in a key's ARN.
func keyID(arn string) string { return arn[strings.LastIndex(arn, "/")+1:] }

// disable disables a key until the end of the row.
func (t *T) disable(key string) {
	key = keyID(key)
	t.Later(func(ctx context.Context) error {
		_, err := t.KMS.EnableKey(ctx, &kms.EnableKeyInput{KeyId: &key})
		return err
	})
	_, err := t.KMS.DisableKey(t.Ctx, &kms.DisableKeyInput{KeyId: &key})
	t.Must(wrap("DisableKey", err))
}

// condemn schedules a key for deletion until the end of the row.
func (t *T) condemn(key string) {
	key = keyID(key)
	t.Later(func(ctx context.Context) error {
		if _, err := t.KMS.CancelKeyDeletion(ctx, &kms.CancelKeyDeletionInput{KeyId: &key}); err != nil {
			return err
		}
		_, err := t.KMS.EnableKey(ctx, &kms.EnableKeyInput{KeyId: &key})
		return err
	})
	_, err := t.KMS.ScheduleKeyDeletion(t.Ctx, &kms.ScheduleKeyDeletionInput{KeyId: &key,
		PendingWindowInDays: aws.Int32(7)})
	t.Must(wrap("ScheduleKeyDeletion", err))
}

// disabled makes a call about a secret whose key is disabled.
func disabled(do func(*T) (any, error)) func(*T) (any, error) {
	return func(t *T) (any, error) {
		t.keyed()
		t.disable(t.names["main"])
		return do(t)
	}
}

// via is a role that may use keys through Secrets Manager alone, for one secret.
func (t *T) via(arn, suffix string) aws.Config {
	return t.Role(Rights{Identity: Policy(map[string]any{"Effect": "Allow", "Action": "secretsmanager:*",
		"Resource": "*"},
		map[string]any{"Effect": "Allow", "Action": []string{"kms:Decrypt", "kms:GenerateDataKey"}, "Resource": "*",
			"Condition": map[string]any{"StringEquals": map[string]string{"kms:EncryptionContext:SecretARN": arn,
				"kms:ViaService": "secretsmanager." + t.run.at.Config.Region + "." + suffix}}})})
}
