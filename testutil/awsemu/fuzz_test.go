package awsemu_test

import (
	"encoding/json"
	"encoding/xml"
	"maps"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
)

// FuzzRequest: whatever comes in, the answer is JSON, it is an answer of the
// service's kind, and no label is ever on two versions.
func FuzzRequest(f *testing.F) {
	for _, seed := range [][2]string{
		{"GetSecretValue", `{"SecretId":"app/db","VersionStage":"AWSCURRENT"}`},
		{"PutSecretValue", `{"SecretId":"app/db","ClientRequestToken":"` + id(3) + `","SecretString":"x","VersionStages":["AWSPENDING","BLUE"]}`},
		{"UpdateSecretVersionStage", `{"SecretId":"app/db","VersionStage":"AWSCURRENT","RemoveFromVersionId":"` + id(2) + `","MoveToVersionId":"` + id(1) + `"}`},
		{"CreateSecret", `{"Name":"x","Tags":[{"Key":"a","Value":"b"}],"AddReplicaRegions":[{"Region":"eu-west-1"}]}`},
		{"RotateSecret", `{"SecretId":"app/db","ClientRequestToken":"` + id(3) + `","RotationRules":{"ScheduleExpression":"cron(0 8 1 * ? *)"}}`},
		{"ListSecrets", `{"Filters":[{"Key":"all","Values":["!a b"]}],"NextToken":"MQ=="}`},
		{"PutResourcePolicy", `{"SecretId":"app/db","ResourcePolicy":"{\"Statement\":[{\"Principal\":\"*\"}]}"}`},
		{"GetRandomPassword", `{"PasswordLength":4,"ExcludeCharacters":"é"}`},
		{"DescribeSecret", `{"SecretId":`},
		{"BatchGetSecretValue", `null`},
	} {
		f.Add(seed[0], seed[1], signature)
	}
	f.Fuzz(func(t *testing.T, operation, body, authorization string) {
		emu := &awsemu.Emulator{Invoke: awsemu.InvokeHandler((&function{before: func(event) error { panic("no") }}).Invoke), Attempts: 1}
		defer emu.Close()
		emu.Seed(pendingEmpty())
		req := httptest.NewRequest("POST", "/", strings.NewReader(body))
		req.Header.Set("X-Amz-Target", "secretsmanager."+operation)
		req.Header.Set("Authorization", authorization)
		rec := httptest.NewRecorder()
		emu.ServeHTTP(rec, req)
		var out map[string]any
		if err := json.Unmarshal(rec.Body.Bytes(), &out); err != nil || !slices.Contains([]int{200, 400, 404}, rec.Code) {
			t.Fatalf("status %d with an answer of %d bytes: %v", rec.Code, rec.Body.Len(), err)
		}
		if kind, refused := out["__type"]; refused != (rec.Code != 200) {
			t.Fatalf("status %d with __type %v", rec.Code, kind)
		}
		seen := map[string]bool{}
		for _, v := range emu.Snapshot("app/db").Versions {
			for _, label := range v.Labels {
				if seen[label] {
					t.Fatalf("%q is on two versions; labels %v", label, slices.Collect(maps.Keys(seen)))
				}
				seen[label] = true
			}
		}
	})
}

// FuzzOtherServices: KMS and STS answer whatever comes in their own way, and a
// dry run changes nothing.
func FuzzOtherServices(f *testing.F) {
	f.Add("TrentService.Decrypt", "", `{"KeyId":"k","DryRun":true,"DryRunModifiers":["IGNORE_CIPHERTEXT"],"EncryptionContext":{"a":"b"}}`)
	f.Add("TrentService.CreateGrant", "", `{"KeyId":"alias/aws/secretsmanager","GranteePrincipal":"x","Operations":["Decrypt"],"DryRun":true}`)
	f.Add("TrentService.RetireGrant", "", `{"KeyId":"arn:aws:kms:us-east-1:1:key/k","GrantId":"g"}`)
	f.Add("TrentService.GenerateDataKey", "", `{"KeyId":"k","NumberOfBytes":7}`)
	f.Add("", "application/x-www-form-urlencoded", "Action=AssumeRole&RoleArn="+roleARN+"&RoleSessionName=ab&Tags.member.1.Key=k&Tags.member.1.Value=v&DurationSeconds=900")
	f.Add("", "application/x-www-form-urlencoded", "Action=GetCallerIdentity&Version=2011-06-15")
	f.Fuzz(func(t *testing.T, target, kind, body string) {
		emu := &awsemu.Emulator{
			Callers: []awsemu.Caller{functionCaller(anything())},
			Roles:   []awsemu.Role{{ARN: roleARN, Trust: named("t", statement("Allow", "sts:*", to(account)))}},
		}
		defer emu.Close()
		emu.SeedKey(awsemu.Key{ID: "k", Grants: []awsemu.Grant{{ID: "g"}}})
		req := httptest.NewRequest("POST", "/", strings.NewReader(body))
		req.Header.Set("X-Amz-Target", target)
		req.Header.Set("Content-Type", kind)
		req.Header.Set("Authorization", signature)
		rec := httptest.NewRecorder()
		emu.ServeHTTP(rec, req)
		if !slices.Contains([]int{200, 400, 403, 404}, rec.Code) {
			t.Fatalf("status %d", rec.Code)
		}
		if rec.Header().Get("Content-Type") == "text/xml" {
			if err := xml.Unmarshal(rec.Body.Bytes(), new(struct{ RequestId string })); err != nil {
				t.Fatal(err)
			}
		} else if !json.Valid(rec.Body.Bytes()) {
			t.Fatalf("an answer of %d bytes is not JSON", rec.Body.Len())
		}
	})
}
