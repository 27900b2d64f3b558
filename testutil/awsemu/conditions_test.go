package awsemu_test

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go"

	"github.com/quarterturn-dev/quarterturn/rotator/iam"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
)

const absent = "(absent)"

// TestConditionKeys: each key has, in a request that should carry it, exactly the
// value that it should have; and in one that should not, none.
func TestConditionKeys(t *testing.T) {
	t.Parallel()
	arn := newConditions().world(t).emu.Snapshot("app/db").ARN
	byARN := func(w *world) error {
		_, err := w.GetSecretValue(w.ctx, &secretsmanager.GetSecretValueInput{SecretId: &arn})
		return err
	}
	for _, c := range []struct {
		key, value string
		call       func(*world) error
	}{
		{"secretsmanager:SecretId", "app/db", get("", "")},
		{"secretsmanager:SecretId", arn, byARN},
		{"secretsmanager:SecretId", absent, create},
		{"secretsmanager:VersionStage", "AWSCURRENT", get("", "AWSCURRENT")},
		{"secretsmanager:VersionStage", absent, get("", "")},
		{"secretsmanager:VersionStage", "AWSPENDING", stage("AWSPENDING", id(1), id(2))},
		{"secretsmanager:VersionStage", absent, put(id(5), "x", "AWSPENDING")},
		{"secretsmanager:VersionId", id(2), get(id(2), "")},
		{"secretsmanager:VersionId", absent, get("", "")},
		{"secretsmanager:VersionId", absent, put(id(5), "x")},
		{"secretsmanager:resource/AllowRotationLambdaArn", functionARN, get("", "")},
		{"secretsmanager:resource/AllowRotationLambdaArn", absent, create},
		{"secretsmanager:resource/Type", "Partner", get("", "")},
		{"secretsmanager:ResourceTag/team", "blue", get("", "")},
		{"secretsmanager:ResourceTag/none", absent, get("", "")},
		{"aws:ResourceTag/team", "blue", put(id(5), "x")},
		{"secretsmanager:SecretPrimaryRegion", "us-east-1", get("", "")},
		{"secretsmanager:Name", "new", create},
		{"secretsmanager:Description", "words", create},
		{"secretsmanager:AddReplicaRegions", "eu-west-1", replicate},
		{"secretsmanager:AddReplicaRegions", absent, create},
		{"secretsmanager:ForceOverwriteReplicaSecret", "true", replicate},
		{"secretsmanager:ForceDeleteWithoutRecovery", "true", remove},
		{"secretsmanager:BlockPublicPolicy", "true", putPolicy},
		{"secretsmanager:RotationLambdaARN", functionARN, (*world).rotateOnce},
		{"secretsmanager:RotateImmediately", "false", (*world).rotateOnce},
		{"secretsmanager:ModifyRotationRules", "true", (*world).rotateOnce},
		{"aws:RequestTag/team", "red", tagIt},
		{"aws:TagKeys", "team", tagIt},
		{"aws:RequestedRegion", "us-east-1", get("", "")},
		{"aws:PrincipalArn", roleARN, get("", "")},
		{"aws:PrincipalAccount", home, get("", "")},
		{"aws:PrincipalTag/team", "blue", get("", "")},
		{"aws:PrincipalType", "AssumedRole", get("", "")},
		{"aws:ResourceAccount", home, get("", "")},
		{"aws:SecureTransport", "true", get("", "")},
		{"aws:SourceVpce", "vpce-1", get("", "")},
		{"aws:SourceVpc", "vpc-1", get("", "")},
		{"aws:SourceIp", absent, get("", "")},
		{"aws:ViaAWSService", "false", get("", "")},
		{"aws:CalledVia", absent, get("", "")},
		{"aws:PrincipalOrgID", "o-1", get("", "")},
		{"aws:CurrentTime", "2026-05-04T10:30:00Z", get("", "")},
		{"aws:TokenIssueTime", "2026-05-04T10:30:00Z", get("", "")},
		{"aws:username", absent, get("", "")},
	} {
		t.Run(c.key+" "+c.value, func(t *testing.T) {
			t.Parallel()
			test := func(value string) error {
				set := newConditions()
				condition := when("StringEquals", c.key, value)
				if value == absent {
					condition = when("Null", c.key, "true")
				}
				set.caller.Identity = []iam.NamedPolicy{named("p", statement("Allow", "*", condition), statement("Allow", "lambda:*"))}
				w := set.world(t)
				err := c.call(w)
				w.emu.Close()
				return err
			}
			if err := test(c.value); denied(err) {
				t.Errorf("with the right value: %v", err)
			}
			wrong := "another"
			if c.value != absent {
				if err := test(absent); !denied(err) {
					t.Errorf("as absent: %v", err)
				}
			}
			if err := test(wrong); !denied(err) {
				t.Errorf("with a wrong value: %v", err)
			}
		})
	}
}

func denied(err error) bool {
	var api smithy.APIError
	return errors.As(err, &api) && api.ErrorCode() == "AccessDeniedException"
}

// newConditions is a set-up in which every condition key has something to say.
func newConditions() guarded {
	c := functionCaller()
	c.Principal.Tags = map[string]string{"team": "blue"}
	c.Endpoints = map[string]awsemu.Endpoint{"secretsmanager": {ID: "vpce-1", VPC: "vpc-1"}}
	c.Context = iam.Context{"aws:PrincipalOrgID": {"o-1"}}
	s := rotated()
	s.Versions[0].Labels = append(s.Versions[0].Labels, "AWSPENDING")
	s.RotationLambdaARN, s.Type, s.Tags = functionARN, "Partner", map[string]string{"team": "blue"}
	return guarded{caller: c, secret: s, clock: newClock()}
}

func create(w *world) error {
	_, err := w.CreateSecret(w.ctx, &secretsmanager.CreateSecretInput{Name: aws.String("new"), Description: aws.String("words")})
	return err
}

func replicate(w *world) error {
	_, err := w.ReplicateSecretToRegions(w.ctx, &secretsmanager.ReplicateSecretToRegionsInput{
		SecretId: aws.String("app/db"), AddReplicaRegions: []types.ReplicaRegionType{{Region: aws.String("eu-west-1")}}, ForceOverwriteReplicaSecret: true,
	})
	return err
}

func remove(w *world) error {
	_, err := w.DeleteSecret(w.ctx, &secretsmanager.DeleteSecretInput{SecretId: aws.String("app/db"), ForceDeleteWithoutRecovery: aws.Bool(true)})
	return err
}

func putPolicy(w *world) error {
	_, err := w.PutResourcePolicy(w.ctx, &secretsmanager.PutResourcePolicyInput{
		SecretId: aws.String("app/db"), BlockPublicPolicy: aws.Bool(true), ResourcePolicy: aws.String(document(statement("Allow", "secretsmanager:*", to(account)))),
	})
	return err
}

func tagIt(w *world) error {
	_, err := w.TagResource(w.ctx, &secretsmanager.TagResourceInput{SecretId: aws.String("app/db"), Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("red")}}})
	return err
}

func (w *world) rotateOnce() error {
	_, err := w.RotateSecret(w.ctx, &secretsmanager.RotateSecretInput{
		SecretId: aws.String("app/db"), RotationLambdaARN: aws.String(functionARN), RotateImmediately: aws.Bool(false),
		RotationRules: &types.RotationRulesType{AutomaticallyAfterDays: aws.Int64(30)},
	})
	return err
}

// TestForwardedConditionKeys: the calls that Secrets Manager makes to KMS in the
// caller's name carry these keys, and no others of the caller's connection. A
// statement of the key policy with the wrong value, or none, is "Access to KMS is
// not allowed".
func TestForwardedConditionKeys(t *testing.T) {
	t.Parallel()
	arn := newForwarded().world(t).emu.Snapshot("app/db").ARN
	const via = "secretsmanager.us-east-1.amazonaws.com"
	for _, c := range []struct {
		key, value string
		call       func(*world) error
	}{
		{"kms:ViaService", via, get("", "")},
		{"kms:ViaService", via, put(id(3), "three")},
		{"kms:CallerAccount", home, get("", "")},
		{"kms:EncryptionContext:SecretARN", arn, get("", "")},
		{"kms:EncryptionContext:SecretARN", arn, put(id(3), "three")},
		{"kms:EncryptionContext:SecretVersionId", id(2), get("", "")},
		{"kms:EncryptionContext:SecretVersionId", id(1), get(id(1), "")},
		{"kms:EncryptionContext:SecretVersionId", id(3), put(id(3), "three")},
		{"kms:EncryptionContext:SecretVersionId", id(2), put(id(2), "two")},
		{"kms:EncryptionContext:SecretVersionId", "RequestToValidateKeyAccess", setKey},
		{"aws:ViaAWSService", "true", get("", "")},
		{"aws:CalledVia", absent, get("", "")}, // Secrets Manager is not among the services that set it
		{"aws:SourceVpce", absent, get("", "")},
		{"aws:SourceVpc", absent, get("", "")},
		{"aws:SourceIp", absent, get("", "")},
		{"aws:PrincipalArn", roleARN, get("", "")},
		{"aws:RequestedRegion", "us-east-1", get("", "")},
		{"aws:ResourceTag/team", "blue", get("", "")},
		{"secretsmanager:SecretId", absent, get("", "")},
	} {
		t.Run(c.key+" "+c.value, func(t *testing.T) {
			t.Parallel()
			test := func(value string) error {
				g := newForwarded()
				condition := when("StringEquals", c.key, value)
				if value == absent {
					condition = when("Null", c.key, "true")
				}
				g.key.Policy = document(statement("Allow", "kms:*", to(`{"AWS":"`+roleARN+`"}`), condition))
				return c.call(g.world(t))
			}
			want(t, test(c.value), "", "")
			want(t, test("another"), "AccessDeniedException", "Access to KMS is not allowed")
			if c.value != absent {
				want(t, test(absent), "AccessDeniedException", "Access to KMS is not allowed")
			}
		})
	}
	t.Run("kms:EncryptionContextKeys", func(t *testing.T) {
		t.Parallel()
		for _, c := range []struct {
			keys []string
			code string
		}{{[]string{"SecretARN", "SecretVersionId"}, ""}, {[]string{"SecretARN"}, "AccessDeniedException"}} {
			g := newForwarded()
			g.key.Policy = document(statement("Allow", "kms:*", to(account), when("ForAllValues:StringEquals", "kms:EncryptionContextKeys", c.keys...)))
			want(t, get("", "")(g.world(t)), c.code, "")
		}
	})
}

func newForwarded() guarded {
	g := newConditions()
	g.caller.Identity = []iam.NamedPolicy{allowing("role policy", "secretsmanager:*", "kms:*")}
	g.caller.Context["aws:SourceIp"] = []string{"192.0.2.1"}
	g.secret.KMSKeyID, g.secret.Type = "alias/app", ""
	g.key = awsemu.Key{Aliases: []string{"alias/app"}, Tags: map[string]string{"team": "blue"}}
	return g
}

func setKey(w *world) error {
	_, err := w.UpdateSecret(w.ctx, &secretsmanager.UpdateSecretInput{SecretId: aws.String("app/db"), KmsKeyId: aws.String("alias/app")})
	return err
}

// TestForwardedOperations: reading needs kms:Decrypt, a new value
// kms:GenerateDataKey, an old value again kms:Decrypt, and nothing else needs the
// key.
func TestForwardedOperations(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		call  func(*world) error
		needs []string
	}{
		{"get", get("", ""), []string{"kms:Decrypt"}},
		{"put", put(id(3), "three"), []string{"kms:GenerateDataKey"}},
		{"put again", put(id(2), "two"), []string{"kms:Decrypt"}},
		{"update a value", update(id(3), "three"), []string{"kms:GenerateDataKey"}},
		{"update the key", setKey, []string{"kms:Decrypt", "kms:GenerateDataKey"}},
		{"replicate", replicate, []string{"kms:Decrypt"}},
		{"move a label", stage("AWSCURRENT", id(2), id(1)), nil},
		{"describe", describe, nil},
		{"delete", remove, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			all := []string{"kms:Decrypt", "kms:GenerateDataKey", "kms:Encrypt", "kms:DescribeKey"}
			with := func(actions ...string) error {
				g := newForwarded()
				g.caller.Identity = []iam.NamedPolicy{allowing("p", append(actions, "secretsmanager:*")...)}
				return c.call(g.world(t))
			}
			want(t, with(c.needs...), "", "")
			for _, without := range c.needs {
				var rest []string
				for _, a := range all {
					if a != without {
						rest = append(rest, a)
					}
				}
				want(t, with(rest...), "AccessDeniedException", "Access to KMS is not allowed")
			}
		})
	}
}

// TestAnotherKey: a key is tried when a secret gets it, even without a value.
func TestAnotherKey(t *testing.T) {
	t.Parallel()
	g := newForwarded()
	w := g.world(t)
	other := w.emu.SeedKey(awsemu.Key{ID: "other", Policy: document(statement("Allow", "kms:*", to(`{"AWS":"`+userARN+`"}`)))})
	half := w.emu.SeedKey(awsemu.Key{ID: "half", Policy: document(statement("Allow", "kms:GenerateDataKey", to(account)))})
	for _, key := range []string{other, half} {
		_, err := w.UpdateSecret(w.ctx, &secretsmanager.UpdateSecretInput{SecretId: aws.String("app/db"), KmsKeyId: &key})
		want(t, err, "AccessDeniedException", "Access to KMS is not allowed")
		_, err = w.CreateSecret(w.ctx, &secretsmanager.CreateSecretInput{Name: aws.String("new"), KmsKeyId: &key})
		want(t, err, "AccessDeniedException", "Access to KMS is not allowed")
	}
	if got := w.emu.Snapshot("app/db").KMSKeyID; got != "alias/app" {
		t.Errorf("key %s", got)
	}
}

// TestCallerContextOverrules: in whatever letter case.
func TestCallerContextOverrules(t *testing.T) {
	t.Parallel()
	g := newConditions()
	g.caller.Context["AWS:SECURETRANSPORT"] = []string{"false"}
	g.caller.Identity = []iam.NamedPolicy{named("p", statement("Allow", "*", when("Bool", "aws:SecureTransport", "false")))}
	w := g.world(t)
	for range 20 { // the order of a map
		want(t, get("", "")(w), "", "")
	}
}

// TestNullIsAbsent: some clients send null for what they do not mean to send.
func TestNullIsAbsent(t *testing.T) {
	t.Parallel()
	g := newConditions()
	g.caller.Identity = []iam.NamedPolicy{named("p", statement("Allow", "*", when("Null", "secretsmanager:VersionStage", "true")))}
	w := g.world(t)
	for stage, status := range map[string]int{"null": 200, `"AWSCURRENT"`: 400} {
		body := strings.NewReader(`{"SecretId":"app/db","VersionStage":` + stage + `}`)
		req := httptest.NewRequest("POST", "/", body)
		req.Header.Set("X-Amz-Target", "secretsmanager.GetSecretValue")
		req.Header.Set("Authorization", signature)
		rec := httptest.NewRecorder()
		w.emu.ServeHTTP(rec, req)
		if rec.Code != status {
			t.Errorf("VersionStage %s: status %d", stage, rec.Code)
		}
	}
}

// TestPoliciesThatCannotDecide are not stored.
func TestPoliciesThatCannotDecide(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &awsemu.Emulator{})
	w.emu.Seed(rotated())
	_, err := w.PutResourcePolicy(w.ctx, &secretsmanager.PutResourcePolicyInput{SecretId: aws.String("app/db"),
		ResourcePolicy: aws.String(document(statement("Allow", "secretsmanager:*", to(account), `"Conditions":{}`)))})
	want(t, err, "MalformedPolicyDocumentException", "Conditions")
}

// TestManagedKey: aws/secretsmanager serves everybody in its account through
// Secrets Manager, nobody directly, and nobody from elsewhere.
func TestManagedKey(t *testing.T) {
	t.Parallel()
	stranger := awsemu.Caller{AccessKey: "ABROAD", Principal: iam.Principal{ARN: "arn:aws:iam::" + abroad + ":user/eve"}, Identity: []iam.NamedPolicy{anything()}}
	w := newWorld(t, &awsemu.Emulator{Callers: []awsemu.Caller{functionCaller(allowing("p", "secretsmanager:*")), stranger}})
	s := rotated()
	s.Policy = document(statement("Allow", "secretsmanager:*", to(`{"AWS":"arn:aws:iam::`+abroad+`:root"}`)))
	arn := w.emu.Seed(s)
	want(t, get("", "")(w), "", "")
	want(t, put(id(3), "three")(w), "", "")
	_, err := w.as(key("ABROAD")).GetSecretValue(w.ctx, &secretsmanager.GetSecretValueInput{SecretId: &arn})
	want(t, err, "InvalidRequestException", "default KMS service key")
	w.emu.SetCaller(functionCaller(anything()))
	w.wantKMS("AKIDTEST", "Decrypt", `{"KeyId":"alias/aws/secretsmanager","DryRun":true,"DryRunModifiers":["IGNORE_CIPHERTEXT"]}`, "AccessDeniedException", "kms:Decrypt")
	out := w.wantKMS("AKIDTEST", "DescribeKey", `{"KeyId":"alias/aws/secretsmanager"}`, "", "")
	if m, _ := out["KeyMetadata"].(map[string]any); m["KeyManager"] != "AWS" || m["KeyState"] != "Enabled" {
		t.Errorf("metadata %v", out)
	}
}

// TestBatchIsPerSecret: a secret that the caller may not read is an error in the
// answer, beside the others' values.
func TestBatchIsPerSecret(t *testing.T) {
	t.Parallel()
	policy := named("p", statement("Allow", "secretsmanager:BatchGetSecretValue"), statement("Allow", "secretsmanager:GetSecretValue", `"Resource":"arn:aws:secretsmanager:*:*:secret:app/*"`))
	w := newWorld(t, &awsemu.Emulator{Callers: []awsemu.Caller{functionCaller(policy)}})
	w.emu.Seed(rotated())
	other := rotated()
	other.Name = "private"
	w.emu.Seed(other)
	out, err := w.BatchGetSecretValue(w.ctx, &secretsmanager.BatchGetSecretValueInput{SecretIdList: []string{"app/db", "private"}})
	want(t, err, "", "")
	if len(out.SecretValues) != 1 || len(out.Errors) != 1 || aws.ToString(out.Errors[0].ErrorCode) != "AccessDeniedException" || aws.ToString(out.Errors[0].SecretId) != "private" {
		t.Errorf("%d values, errors %v", len(out.SecretValues), out.Errors)
	}
	_, err = w.BatchGetSecretValue(w.ctx, &secretsmanager.BatchGetSecretValueInput{Filters: []types.Filter{{Key: "name", Values: []string{"app"}}}})
	want(t, err, "AccessDeniedException", "secretsmanager:ListSecrets because")
}

// TestAlsoNeeded: what an operation needs beside its own action.
func TestAlsoNeeded(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		call func(*world) error
		also string
	}{
		{"tags at creation", func(w *world) error {
			_, err := w.CreateSecret(w.ctx, &secretsmanager.CreateSecretInput{Name: aws.String("new"), Tags: []types.Tag{{Key: aws.String("a")}}})
			return err
		}, "secretsmanager:TagResource"},
		{"replicas at creation", func(w *world) error {
			_, err := w.CreateSecret(w.ctx, &secretsmanager.CreateSecretInput{Name: aws.String("new"), AddReplicaRegions: []types.ReplicaRegionType{{Region: aws.String("eu-west-1")}}})
			return err
		}, "secretsmanager:ReplicateSecretToRegions"},
		{"the validation of a policy", func(w *world) error {
			_, err := w.ValidateResourcePolicy(w.ctx, &secretsmanager.ValidateResourcePolicyInput{ResourcePolicy: aws.String(policyFor(`"arn:aws:iam::123456789012:root"`))})
			return err
		}, "secretsmanager:PutResourcePolicy"},
		{"rotation", (*world).rotateOnce, "lambda:InvokeFunction"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := rotating(t, &awsemu.Emulator{Callers: []awsemu.Caller{functionCaller(anything())}}, &function{})
			w.emu.Seed(rotated())
			w.emu.SetCaller(functionCaller(anything(), named("d", statement("Deny", c.also))))
			want(t, c.call(w), "AccessDeniedException", "not authorized to perform: "+c.also)
			if c.also == "lambda:InvokeFunction" && w.emu.Snapshot("app/db").RotationEnabled != nil {
				t.Error("rotation was set up all the same")
			}
			w.emu.SetCaller(functionCaller(anything()))
			want(t, c.call(w), "", "")
		})
	}
}

// TestFunctionPolicy: Secrets Manager itself must be let in, for this account.
func TestFunctionPolicy(t *testing.T) {
	t.Parallel()
	service := to(`{"Service":"secretsmanager.amazonaws.com"}`)
	for _, c := range []struct {
		name, statement, account, code string
	}{
		{"for the service", statement("Allow", "lambda:InvokeFunction", service), home, ""},
		{"from the secret's account", statement("Allow", "lambda:InvokeFunction", service, when("StringEquals", "aws:SourceAccount", home)), home, ""},
		{"from the secret's account, which is not the caller's", statement("Allow", "lambda:InvokeFunction", service, when("StringEquals", "aws:SourceAccount", abroad)), abroad, ""},
		{"from another account", statement("Allow", "lambda:InvokeFunction", service, when("StringEquals", "aws:SourceAccount", abroad)), home, "AccessDeniedException"},
		{"for this secret", statement("Allow", "lambda:InvokeFunction", service, when("ArnLike", "aws:SourceArn", "arn:aws:secretsmanager:*:*:secret:app/db-??????")), home, ""},
		{"for another secret", statement("Allow", "lambda:InvokeFunction", service, when("ArnLike", "aws:SourceArn", "arn:aws:secretsmanager:*:*:secret:other-*")), home, "AccessDeniedException"},
		{"for another service", statement("Allow", "lambda:InvokeFunction", to(`{"Service":"s3.amazonaws.com"}`)), home, "AccessDeniedException"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := rotating(t, &awsemu.Emulator{Functions: []awsemu.Function{{ARN: functionARN, Policy: named("f", c.statement)}}}, &function{})
			s := rotated()
			s.Account = c.account
			arn := w.emu.Seed(s)
			_, err := w.RotateSecret(w.ctx, &secretsmanager.RotateSecretInput{SecretId: &arn, RotationLambdaARN: aws.String(functionARN), RotateImmediately: aws.Bool(false)})
			want(t, err, c.code, map[bool]string{true: "grants access to the principal secretsmanager.amazonaws.com"}[c.code != ""])
		})
	}
}
