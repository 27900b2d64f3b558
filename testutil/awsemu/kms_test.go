package awsemu_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator/iam"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/internal/clients"
)

const appKey = `"KeyId":"alias/app"`

// TestKeyStates: what a key in a bad state does to secrets under it and to direct
// calls. The surface of the former on AWS is not verified.
func TestKeyStates(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ state, usage, get, put, direct, text string }{
		{"", "", "", "", "DryRunOperationException", ""},
		{"Enabled", "", "", "", "DryRunOperationException", ""},
		{"Disabled", "", "DecryptionFailure", "EncryptionFailure", "DisabledException", "is disabled"},
		{"PendingDeletion", "", "DecryptionFailure", "EncryptionFailure", "KMSInvalidStateException", "is pending deletion"},
		{"PendingImport", "", "DecryptionFailure", "EncryptionFailure", "KMSInvalidStateException", "is pending import"},
		{"Unavailable", "", "DecryptionFailure", "EncryptionFailure", "KMSInvalidStateException", "is unavailable"},
		{"", "SIGN_VERIFY", "DecryptionFailure", "EncryptionFailure", "InvalidKeyUsageException", "SIGN_VERIFY"},
	} {
		for _, callers := range [][]awsemu.Caller{nil, {functionCaller(anything())}} {
			t.Run(fmt.Sprintf("%s %s %d", c.state, c.usage, len(callers)), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, &awsemu.Emulator{Callers: callers})
				w.emu.Seed(keyed(w.emu.SeedKey(awsemu.Key{Aliases: []string{"alias/app"}, State: c.state, Usage: c.usage})))
				want(t, get("", "")(w), c.get, "")
				want(t, put(id(2), "two")(w), c.get, "") // it compares
				want(t, put(id(3), "three")(w), c.put, "")
				want(t, describe(w), "", "")
				w.wantKMS("AKIDTEST", "Decrypt", `{`+appKey+`,"DryRun":true,"DryRunModifiers":["IGNORE_CIPHERTEXT"]}`, c.direct, c.text)
				w.wantKMS("AKIDTEST", "GenerateDataKey", `{`+appKey+`,"KeySpec":"AES_256","DryRun":true}`, c.direct, c.text)
			})
		}
	}
	t.Run("no such key", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, &awsemu.Emulator{Callers: []awsemu.Caller{functionCaller(anything())}})
		w.emu.Seed(keyed("alias/none"))
		want(t, get("", "")(w), "DecryptionFailure", "")
		want(t, put(id(3), "three")(w), "EncryptionFailure", "")
	})
	t.Run("who may not use the key does not learn its state", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, &awsemu.Emulator{Callers: []awsemu.Caller{functionCaller(allowing("p", "secretsmanager:*"))}})
		w.emu.Seed(keyed(w.emu.SeedKey(awsemu.Key{Aliases: []string{"alias/app"}, State: "Disabled"})))
		want(t, get("", "")(w), "AccessDeniedException", "Access to KMS is not allowed")
		w.wantKMS("AKIDTEST", "Decrypt", `{`+appKey+`,"DryRun":true,"DryRunModifiers":["IGNORE_CIPHERTEXT"]}`, "AccessDeniedException", "kms:Decrypt")
	})
}

// TestDryRun: it is always an error, and the kind of the error is the answer. A
// direct call and one through Secrets Manager can differ in both directions.
func TestDryRun(t *testing.T) {
	t.Parallel()
	const ignoring = `,"DryRun":true,"DryRunModifiers":["IGNORE_CIPHERTEXT"]}`
	via := when("StringEquals", "kms:ViaService", "secretsmanager.us-east-1.amazonaws.com")
	direct := when("Null", "kms:ViaService", "true")
	for _, c := range []struct {
		name, operation, body string
		identity              []string
		code, text            string
		secret                string // code of GetSecretValue
	}{
		{"may decrypt", "Decrypt", `{` + appKey + ignoring, []string{statement("Allow", "kms:Decrypt")}, "DryRunOperationException", "would have succeeded", ""},
		{"may not decrypt", "Decrypt", `{` + appKey + ignoring, []string{statement("Allow", "kms:Encrypt")}, "AccessDeniedException", "not authorized to perform: kms:Decrypt on resource: arn:aws:kms:us-east-1:123456789012:key/", "AccessDeniedException"},
		{"may generate", "GenerateDataKey", `{` + appKey + `,"KeySpec":"AES_256","DryRun":true}`, []string{statement("Allow", "kms:GenerateDataKey")}, "DryRunOperationException", "", "AccessDeniedException"},
		{"may not generate", "GenerateDataKey", `{` + appKey + `,"KeySpec":"AES_256","DryRun":true}`, []string{statement("Allow", "kms:Decrypt")}, "AccessDeniedException", "kms:GenerateDataKey", ""},
		{"only through the service: a false alarm", "Decrypt", `{` + appKey + ignoring, []string{statement("Allow", "kms:*", via)}, "AccessDeniedException", "kms:Decrypt", ""},
		{"only directly: a false hope", "Decrypt", `{` + appKey + ignoring, []string{statement("Allow", "kms:*", direct)}, "DryRunOperationException", "", "AccessDeniedException"},
		{"without a ciphertext", "Decrypt", `{` + appKey + `,"DryRun":true}`, []string{statement("Allow", "kms:*")}, "ValidationException", "ciphertextBlob", ""},
		{"a modifier without a dry run", "Decrypt", `{` + appKey + `,"DryRunModifiers":["IGNORE_CIPHERTEXT"]}`, []string{statement("Allow", "kms:*")}, "ValidationException", "DryRun", ""},
		{"a modifier that is not known", "Decrypt", `{` + appKey + `,"DryRun":true,"DryRunModifiers":["X"]}`, []string{statement("Allow", "kms:*")}, "ValidationException", "IGNORE_CIPHERTEXT", ""},
		{"no key", "Decrypt", `{"DryRun":true,"DryRunModifiers":["IGNORE_CIPHERTEXT"]}`, []string{statement("Allow", "kms:*")}, "ValidationException", "KeyId", ""},
		{"a key that is not there", "Decrypt", `{"KeyId":"alias/none"` + ignoring, []string{statement("Allow", "kms:*")}, "NotFoundException", "Alias arn:aws:kms:us-east-1:123456789012:alias/none is not found.", ""},
		{"a context that the policy wants", "Decrypt", `{` + appKey + `,"EncryptionContext":{"SecretARN":"a"}` + ignoring, []string{statement("Allow", "kms:*", when("StringEquals", "kms:EncryptionContext:SecretARN", "a"))}, "DryRunOperationException", "", "AccessDeniedException"},
		{"a context that it does not", "Decrypt", `{` + appKey + `,"EncryptionContext":{"SecretARN":"b"}` + ignoring, []string{statement("Allow", "kms:*", when("StringEquals", "kms:EncryptionContext:SecretARN", "a"))}, "AccessDeniedException", "", "AccessDeniedException"},
		{"a grant", "CreateGrant", `{` + appKey + `,"GranteePrincipal":"` + roleARN + `","Operations":["Decrypt"],"DryRun":true}`, []string{statement("Allow", "kms:CreateGrant")}, "DryRunOperationException", "", "AccessDeniedException"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			identity := append(c.identity, statement("Allow", "secretsmanager:*"))
			w := newWorld(t, &awsemu.Emulator{Callers: []awsemu.Caller{functionCaller(named("p", identity...))}})
			w.emu.Seed(keyed(w.emu.SeedKey(awsemu.Key{Aliases: []string{"alias/app"}})))
			w.wantKMS("AKIDTEST", c.operation, c.body, c.code, c.text)
			want(t, get("", "")(w), c.secret, "")
			if k := w.emu.KeySnapshot("alias/app"); len(k.Grants) > 0 {
				t.Errorf("a dry run made %d grants", len(k.Grants))
			}
		})
	}
}

// TestDataKeys: what GenerateDataKey wraps, Decrypt opens, with the same key and
// context only.
func TestDataKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &awsemu.Emulator{})
	w.emu.SeedKey(awsemu.Key{Aliases: []string{"alias/app"}})
	w.emu.SeedKey(awsemu.Key{Aliases: []string{"alias/other"}})
	made := w.wantKMS("ANY", "GenerateDataKey", `{`+appKey+`,"KeySpec":"AES_256","EncryptionContext":{"a":"b"}}`, "", "")
	blob := fmt.Sprintf(`"CiphertextBlob":%q`, made["CiphertextBlob"])
	opened := w.wantKMS("ANY", "Decrypt", `{`+blob+`,"EncryptionContext":{"a":"b"}}`, "", "")
	if opened["Plaintext"] != made["Plaintext"] || opened["KeyId"] != made["KeyId"] || made["Plaintext"] == "" {
		t.Error("what was opened is not what was wrapped")
	}
	w.wantKMS("ANY", "Decrypt", `{`+blob+`,"EncryptionContext":{"a":"c"}}`, "InvalidCiphertextException", "")
	w.wantKMS("ANY", "Decrypt", `{`+blob+`,"EncryptionContext":{"a":"b"},"KeyId":"alias/other"}`, "IncorrectKeyException", "")
	w.wantKMS("ANY", "Decrypt", `{`+blob+`,"EncryptionContext":{"a":"b"},"DryRun":true}`, "DryRunOperationException", "")
	w.wantKMS("ANY", "Decrypt", `{`+blob+`,"EncryptionContext":{"a":"c"},"DryRun":true}`, "InvalidCiphertextException", "")
	w.wantKMS("ANY", "Decrypt", `{"CiphertextBlob":"AAAA"}`, "InvalidCiphertextException", "")
	w.wantKMS("ANY", "GenerateDataKey", `{`+appKey+`}`, "ValidationException", "")
	w.wantKMS("ANY", "Encrypt", `{`+appKey+`}`, "UnknownOperationException", "")
	w.wantKMS("ANY", "ReEncrypt", `{}`, "UnknownOperationException", `This is the emulator, whose kms has no "ReEncrypt".`)
}

// TestKeyLife walks a key through its states and its policy.
func TestKeyLife(t *testing.T) {
	t.Parallel()
	c := newClock()
	w := newWorld(t, &awsemu.Emulator{Now: c.now, Callers: []awsemu.Caller{functionCaller(anything())}})
	arn := w.emu.SeedKey(awsemu.Key{Aliases: []string{"alias/app"}, MultiRegion: true})
	state := func(wanted string) {
		t.Helper()
		out := w.wantKMS("AKIDTEST", "DescribeKey", `{"KeyId":"`+arn+`"}`, "", "")
		m, _ := out["KeyMetadata"].(map[string]any)
		if m["KeyState"] != wanted || m["Enabled"] != (wanted == "Enabled") || m["Arn"] != arn || m["KeyManager"] != "CUSTOMER" || m["MultiRegion"] != true {
			t.Errorf("metadata %v", m)
		}
	}
	state("Enabled")
	w.wantKMS("AKIDTEST", "CancelKeyDeletion", `{`+appKey+`}`, "KMSInvalidStateException", "")
	w.wantKMS("AKIDTEST", "DisableKey", `{`+appKey+`}`, "", "")
	state("Disabled")
	w.wantKMS("AKIDTEST", "EnableKey", `{`+appKey+`}`, "", "")
	state("Enabled")
	w.wantKMS("AKIDTEST", "ScheduleKeyDeletion", `{`+appKey+`,"PendingWindowInDays":6}`, "ValidationException", "")
	w.wantKMS("AKIDTEST", "ScheduleKeyDeletion", `{`+appKey+`,"PendingWindowInDays":7}`, "", "")
	state("PendingDeletion")
	if k := w.emu.KeySnapshot(arn); !k.Deletion.Equal(c.now().Add(7 * 24 * time.Hour)) {
		t.Errorf("deletion %v", k.Deletion)
	}
	w.wantKMS("AKIDTEST", "EnableKey", `{`+appKey+`}`, "KMSInvalidStateException", "")
	w.wantKMS("AKIDTEST", "CancelKeyDeletion", `{`+appKey+`}`, "", "")
	state("Disabled")

	policy := document(statement("Allow", "kms:Get*", to(account)), statement("Allow", "kms:Put*", to(account)))
	w.wantKMS("AKIDTEST", "PutKeyPolicy", fmt.Sprintf(`{%s,"Policy":%q}`, appKey, `{"Statement":[]}`), "MalformedPolicyDocumentException", "")
	w.wantKMS("AKIDTEST", "PutKeyPolicy", fmt.Sprintf(`{%s,"Policy":%q}`, appKey, policy), "", "")
	if out := w.wantKMS("AKIDTEST", "GetKeyPolicy", `{`+appKey+`}`, "", ""); out["Policy"] != policy || out["PolicyName"] != "default" {
		t.Errorf("policy %v", out)
	}
	w.wantKMS("AKIDTEST", "DescribeKey", `{`+appKey+`}`, "AccessDeniedException", "kms:DescribeKey")
}

// TestGrants: a grant lets its grantee in, as far as its operations and its
// constraint reach, until it is retired or revoked.
func TestGrants(t *testing.T) {
	t.Parallel()
	admin := awsemu.Caller{AccessKey: "ADMIN", Principal: iam.Principal{ARN: "arn:aws:iam::" + home + ":user/admin"}, Identity: []iam.NamedPolicy{anything()}}
	function := functionCaller(allowing("p", "secretsmanager:*"))
	w := newWorld(t, &awsemu.Emulator{Callers: []awsemu.Caller{admin, function}})
	arn := w.emu.Seed(keyed(w.emu.SeedKey(awsemu.Key{Aliases: []string{"alias/app"}})))
	grant := func(constraint string) string {
		out := w.wantKMS("ADMIN", "CreateGrant", `{`+appKey+`,"GranteePrincipal":"`+roleARN+`","RetiringPrincipal":"`+roleARN+`","Operations":["Decrypt"],"Constraints":{`+constraint+`}}`, "", "")
		return fmt.Sprint(out["GrantId"])
	}
	want(t, get("", "")(w), "AccessDeniedException", "Access to KMS is not allowed")
	other := grant(`"EncryptionContextSubset":{"SecretARN":"another"}`)
	want(t, get("", "")(w), "AccessDeniedException", "Access to KMS is not allowed")
	ours := grant(`"EncryptionContextSubset":{"SecretARN":"` + arn + `"}`)
	want(t, get("", "")(w), "", "")
	want(t, put(id(3), "three")(w), "AccessDeniedException", "Access to KMS is not allowed")
	list := func() int {
		out := w.wantKMS("ADMIN", "ListGrants", `{`+appKey+`}`, "", "")
		grants, _ := out["Grants"].([]any)
		return len(grants)
	}
	if n := list(); n != 2 {
		t.Errorf("%d grants", n)
	}
	w.wantKMS("AKIDTEST", "RevokeGrant", `{`+appKey+`,"GrantId":"`+ours+`"}`, "AccessDeniedException", "kms:RevokeGrant")
	w.wantKMS("ADMIN", "RevokeGrant", `{`+appKey+`,"GrantId":"`+ours+`","DryRun":true}`, "DryRunOperationException", "")
	w.wantKMS("ADMIN", "RevokeGrant", `{`+appKey+`,"GrantId":"`+ours+`"}`, "", "")
	want(t, get("", "")(w), "AccessDeniedException", "Access to KMS is not allowed")
	w.wantKMS("ADMIN", "RevokeGrant", `{`+appKey+`,"GrantId":"`+ours+`"}`, "NotFoundException", "")
	w.wantKMS("AKIDTEST", "RetireGrant", `{"GrantToken":"`+other+`","DryRun":true}`, "DryRunOperationException", "")
	w.wantKMS("AKIDTEST", "RetireGrant", `{"GrantToken":"`+other+`"}`, "", "")
	w.wantKMS("ADMIN", "RetireGrant", `{"GrantToken":"`+other+`"}`, "InvalidGrantTokenException", "")
	if n := list(); n != 0 {
		t.Errorf("%d grants", n)
	}
}

// TestKeysAcrossAccounts: a key of another account goes by its ARN, needs both
// sides, and some operations are not possible on it at all.
func TestKeysAcrossAccounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &awsemu.Emulator{Callers: []awsemu.Caller{functionCaller(anything())}})
	closed := w.emu.SeedKey(awsemu.Key{Account: abroad, ID: "closed", Aliases: []string{"alias/app"}})
	open := w.emu.SeedKey(awsemu.Key{Account: abroad, ID: "open", Policy: document(statement("Allow", "kms:*", to(account)))})
	w.wantKMS("AKIDTEST", "DescribeKey", `{`+appKey+`}`, "NotFoundException", "")
	w.wantKMS("AKIDTEST", "DescribeKey", `{"KeyId":"open"}`, "NotFoundException", "")
	w.wantKMS("AKIDTEST", "DescribeKey", `{"KeyId":"`+closed+`"}`, "AccessDeniedException", "because no resource-based policy allows the kms:DescribeKey action")
	w.wantKMS("AKIDTEST", "DescribeKey", `{"KeyId":"`+open+`"}`, "", "")
	w.wantKMS("AKIDTEST", "GetKeyPolicy", `{"KeyId":"`+open+`"}`, "AccessDeniedException", "")
	w.wantKMS("AKIDTEST", "DescribeKey", `{"KeyId":"`+strings.Replace(open, "us-east-1", "eu-west-1", 1)+`"}`, "NotFoundException", "Invalid arn eu-west-1")
	w.emu.SetCaller(functionCaller())
	w.wantKMS("AKIDTEST", "DescribeKey", `{"KeyId":"`+open+`"}`, "AccessDeniedException", "because no identity-based policy allows the kms:DescribeKey action")
}

// TestKMSCallsAreCalls: direct calls appear among the others, meet faults and
// unknown keys as they do.
func TestKMSCallsAreCalls(t *testing.T) {
	t.Parallel()
	fault := awsemu.Fault{}
	w := newWorld(t, &awsemu.Emulator{Fault: func(awsemu.Call) awsemu.Fault { return fault }, Callers: []awsemu.Caller{functionCaller(anything())}})
	arn := w.emu.SeedKey(awsemu.Key{})
	ask := func(who, code string) { w.wantKMS(who, "DescribeKey", `{"KeyId":"`+arn+`"}`, code, "") }
	ask("AKIDTEST", "")
	ask("STRANGER", "UnrecognizedClientException")
	fault.Deny = true
	ask("AKIDTEST", "AccessDeniedException")
	fault = awsemu.Fault{ServerError: true}
	ask("AKIDTEST", "KMSInternalException")
	calls := w.emu.Calls()
	if c := calls[0]; len(calls) != 4 || c.Service != "kms" || c.Target != arn || c.String() != "kms:DescribeKey" {
		t.Errorf("calls %v", calls)
	}
}

// TestSeedKeyRefuses what cannot decide.
func TestSeedKeyRefuses(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("a key policy that does not parse was taken")
		}
	}()
	new(awsemu.Emulator).SeedKey(awsemu.Key{Policy: "{}"})
}

// TestOtherServicesCLI runs the real AWS CLI for KMS and STS: botocore checks
// answers against the service models.
func TestOtherServicesCLI(t *testing.T) {
	t.Parallel()
	cli := clients.CLI1(t, "../..")
	role := awsemu.Role{ARN: roleARN, Trust: named("trust", statement("Allow", "sts:AssumeRole", to(account)))}
	w := newWorld(t, &awsemu.Emulator{Callers: []awsemu.Caller{functionCaller(anything())}, Roles: []awsemu.Role{role}})
	w.emu.SeedKey(awsemu.Key{ID: "0", Grants: []awsemu.Grant{{ID: "g", Grant: iam.Grant{Grantee: roleARN, Operations: []string{"Decrypt"}}}}})
	for _, c := range []struct{ words, shows string }{
		{"sts get-caller-identity", sessARN},
		{"sts assume-role --role-arn " + roleARN + " --role-session-name night --duration-seconds 900", "assumed-role/rotate/night"},
		{"sts assume-role --role-arn " + roleARN + "s --role-session-name night", "!AccessDenied"},
		{"kms describe-key --key-id 0", "SYMMETRIC_DEFAULT"},
		{"kms get-key-policy --key-id 0", "kms:*"},
		{"kms list-grants --key-id 0", roleARN},
		{"kms create-grant --key-id 0 --grantee-principal " + roleARN + " --operations Decrypt --query length(GrantId)", "64"},
		{"kms retire-grant --key-id 0 --grant-id g", ""},
		{"kms generate-data-key --key-id 0 --key-spec AES_256 --query KeyId", "key/0"},
		{"kms generate-data-key --key-id 0 --key-spec AES_256 --dry-run", "!DryRunOperationException"},
		{"kms disable-key --key-id 0", ""},
		{"kms generate-data-key --key-id 0 --key-spec AES_256", "!DisabledException"},
		{"kms schedule-key-deletion --key-id 0", "PendingDeletion"},
		{"kms cancel-key-deletion --key-id 0", "key/0"},
		{"kms enable-key --key-id 0", ""},
	} {
		cmd := cli.Command(t.Context(), w.url, "AKIDTEST", append([]string{"--output", "text"}, strings.Fields(c.words)...)...)
		out, err := cmd.CombinedOutput()
		shows, fails := strings.CutPrefix(c.shows, "!")
		if (err != nil) != fails || !strings.Contains(string(out), shows) {
			t.Errorf("aws %s: %v: %s", c.words, err, out)
		}
	}
}
