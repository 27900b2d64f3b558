package awsemu_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// TestWhatNoSDKSends: clients that others wrote send anything. The answer is an error of the service's kind with a type, and
// never a failure of the server.
func TestWhatNoSDKSends(t *testing.T) {
	t.Parallel()
	emu := &awsemu.Emulator{Callers: []awsemu.Caller{functionCaller(anything())}}
	t.Cleanup(func() { emu.Close() })
	emu.Seed(rotated())
	emu.SeedKey(awsemu.Key{ID: "k"})
	const (
		json11 = "application/x-amz-json-1.1"
		form   = "application/x-www-form-urlencoded"
	)
	signed := func(service string) string {
		return "AWS4-HMAC-SHA256 Credential=AKIDTEST/20260504/us-east-1/" + service + "/aws4_request, SignedHeaders=host, Signature=00"
	}
	bodies := map[string]string{
		"nothing": "", "no JSON": "{", "a list": "[]", "null": "null", "a number": "5", "a string": `"x"`, "not UTF-8": "\xff\xfe\x00",
		"deep": strings.Repeat(`{"a":`, 2000), "a wrong type": `{"SecretId":{},"KeyId":[],"Name":7}`, "null members": `{"SecretId":null,"KeyId":null}`,
		"twice": `{"SecretId":"a","SecretId":7}`, "big": `{"SecretId":"` + strings.Repeat("x", 2<<20) + `"}`,
		"form": "Action=GetCallerIdentity", "a form that is none": "%zz=%%", "an action alone": "Action=", "unknown action": "Action=Turn&Version=2011-06-15",
		"odd members":  "Action=AssumeRole&RoleArn.member.x=1&Tags.member.=2&Tags.member.1.Key=%00&a.b.c.d=1&a=2&RoleArn=x&RoleSessionName=y",
		"a huge index": "Action=AssumeRole&Tags.member.999999999999.Key=1",
	}
	// Under the race detector it tries every seventh: all of them are thirty thousand requests.
	tried, stride := 0, tier.Stride(t, 1, 7)
	for target, service := range map[string]string{
		"secretsmanager.GetSecretValue": "secretsmanager", "secretsmanager.PutSecretValue": "secretsmanager",
		"secretsmanager.CreateSecret": "secretsmanager", "secretsmanager.RotateSecret": "secretsmanager", "secretsmanager.Turn": "secretsmanager",
		"secretsmanager.": "secretsmanager", "secretsmanager": "secretsmanager", "Secretsmanager.getsecretvalue": "secretsmanager",
		"TrentService.Decrypt": "kms", "TrentService.GenerateDataKey": "kms", "TrentService.Turn": "kms", "TrentService.": "kms",
		"DynamoDB_20120810.GetItem": "dynamodb", "": "sts", "\x01": "secretsmanager",
	} {
		for _, kind := range []string{json11, "application/json", "text/plain", form, "", "application/x-amz-json-9.9; charset=\xff"} {
			for _, as := range []string{signed(service), signed("rds"), signed("iam"), signed("lambda"), "", "AWS4-HMAC-SHA256 nonsense", "Bearer x", signed("") + "/////"} {
				for _, method := range []string{"POST", "GET", "PUT"} {
					for name, body := range bodies {
						if method != "POST" && name != "no JSON" {
							continue
						}
						if tried++; tried%stride > 0 {
							continue
						}
						req := httptest.NewRequest(method, "/", strings.NewReader(body))
						req.Header["X-Amz-Target"] = []string{target}
						req.Header["Content-Type"] = []string{kind}
						req.Header["Authorization"] = []string{as}
						rec := httptest.NewRecorder()
						emu.ServeHTTP(rec, req)
						if rec.Code >= http.StatusInternalServerError {
							t.Fatalf("%s %q %q %q, %s: status %d: %s", method, target, kind, as, name, rec.Code, rec.Body)
						}
						if rec.Code == http.StatusOK || rec.Header().Get("Content-Type") == "text/xml" && strings.Contains(rec.Body.String(), "<Code>") {
							continue
						}
						var out struct {
							Type string `json:"__type"`
							Also string `json:"Type"` // Lambda's way
						}
						if err := json.Unmarshal(rec.Body.Bytes(), &out); err != nil || out.Type == "" && out.Also == "" {
							t.Fatalf("%s %q %q %q, %s: status %d without a type: %s", method, target, kind, as, name, rec.Code, rec.Body)
						}
					}
				}
			}
		}
	}
}
