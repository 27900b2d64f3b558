package awsstore_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/awsstore"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
)

// script is an AWS that answers each operation by its line, in AWS's words: an error
// "CODE: TEXT", or a JSON object. What is not in it is denied without a reason.
type script map[string]string

func (s script) store(t *testing.T) *awsstore.Store {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		if operation == "" { // STS speaks another protocol
			io.WriteString(w, `<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>`+scriptCaller+
				`</Arn><Account>111122223333</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`)
			return
		}
		answer, ok := s[operation]
		if !ok {
			answer = "AccessDeniedException: User: " + scriptCaller + " is not authorized to perform: x:" + operation
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		if code, text, isError := strings.Cut(answer, ": "); isError && !strings.HasPrefix(answer, "{") {
			w.WriteHeader(http.StatusBadRequest)
			body, _ := json.Marshal(map[string]string{"__type": code, "Message": text})
			w.Write(body)
			return
		}
		io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	cfg := config()
	cfg.BaseEndpoint = &server.URL
	return awsstore.New(cfg, "")
}

const (
	scriptCaller = "arn:aws:sts::111122223333:assumed-role/rotate/function"
	scriptARN    = "arn:aws:secretsmanager:us-east-1:111122223333:secret:prod/db-secret-AbCd12"
	scriptKey    = "arn:aws:kms:us-east-1:111122223333:key/10000000-0000-4000-8000-000000000001"
)

func deniedAs(action, resource, reason string) string {
	return "AccessDeniedException: User: " + scriptCaller + " is not authorized to perform: secretsmanager:" + action +
		" on resource: " + resource + " " + reason
}

// TestARemedyNamesTheWholeARN, whatever the event named the secret by, since that is
// all that AWS's denial repeats.
func TestARemedyNamesTheWholeARN(t *testing.T) {
	t.Parallel()
	described := `{"ARN":"` + scriptARN + `","Name":"prod/db-secret"}`
	const noIdentity = "because no identity-based policy allows the action"
	paste := func(action, resource string) string {
		return `"Action":"secretsmanager:` + action + `","Resource":` + resource + `}`
	}
	whole := `"` + scriptARN + `"`
	for _, c := range []struct {
		name, id, described string
		want                string
	}{
		{"a name", "prod/db-secret", described, whole},
		{"a partial ARN", strings.TrimSuffix(scriptARN, "-AbCd12"), described, whole},
		{"an ARN", scriptARN, described, whole},
		{"a name, and DescribeSecret is denied", "prod/db-secret", "", `"arn:aws:secretsmanager:us-east-1:111122223333:secret:prod/db-secret-??????"`},
		{"a partial ARN, and DescribeSecret is denied", "arn:aws:secretsmanager:us-east-1:111122223333:secret:app", "", `"arn:aws:secretsmanager:us-east-1:111122223333:secret:app-??????"`},
		{"an ARN, and DescribeSecret is denied", scriptARN, "", whole},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := script{}
			if c.described != "" {
				s["DescribeSecret"] = c.described
			}
			for _, action := range []string{"GetSecretValue", "PutSecretValue", "UpdateSecretVersionStage"} {
				s[action] = deniedAs(action, c.id, noIdentity)
			}
			store := s.store(t)
			for action, err := range map[string]error{
				"GetSecretValue":           read(t, store, c.id),
				"PutSecretValue":           store.Put(t.Context(), rotator.PutInput{SecretID: c.id, VersionID: "v", Document: secret.Document{}.Set("a", "b")}),
				"UpdateSecretVersionStage": store.MoveLabel(t.Context(), c.id, rotator.LabelMove{Label: "AWSCURRENT", To: "a", From: "b"}),
			} {
				if rotator.KindOf(err) != rotator.KindAccessDenied || !strings.Contains(err.Error(),
					paste(action, c.want)) {
					t.Errorf("want %s, got %v", paste(action, c.want), err)
				}
			}
		})
	}
	t.Run("DescribeSecret itself", func(t *testing.T) {
		t.Parallel()
		store := script{"DescribeSecret": deniedAs("DescribeSecret", "app", noIdentity)}.store(t)
		_, err := store.Describe(t.Context(), "app")
		if want := paste("DescribeSecret", `"arn:aws:secretsmanager:us-east-1:111122223333:secret:app-??????"`); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %s, got %v", want, err)
		}
	})
}

func read(t *testing.T, store *awsstore.Store, id string) error {
	t.Helper()
	_, err := store.Value(t.Context(), id, rotator.VersionRef{Label: rotator.LabelCurrent})
	return err
}

// TestNoAllowWhereNoneHelps: neither after an explicit deny, nor where AWS does not say
// which policy decided.
func TestNoAllowWhereNoneHelps(t *testing.T) {
	t.Parallel()
	for reason, says := range map[string]string{
		"":                      "AWS does not say which policy decided",
		"with an explicit deny": "does not name",
		"with an explicit deny in a resource-based policy":                                             "the resource policy of the secret",
		"with an explicit deny in a VPC endpoint policy transitively through a service control policy": "the VPC endpoint policy and the service control policy",
	} {
		store := script{"GetSecretValue": deniedAs("GetSecretValue", scriptARN, reason)}.store(t)
		err := read(t, store, scriptARN)
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), `"Effect"`) {
			t.Errorf("%q: want %q and no statement, got %v", reason, says, err)
		}
	}
}

// TestARemedyForAKey, from whatever the secret names it by and whatever KMS is said to
// have said, the key itself out of sight.
func TestARemedyForAKey(t *testing.T) {
	t.Parallel()
	const denied = "AccessDeniedException: Access to KMS is not allowed"
	describedWith := func(key string) string { return `{"ARN":"` + scriptARN + `","KmsKeyId":"` + key + `"}` }
	for _, c := range []struct {
		name string
		script
		want []string
		not  string
	}{
		{"a key by ARN", script{"DescribeSecret": describedWith(scriptKey), "GetSecretValue": denied},
			[]string{"for kms:Decrypt", `"Resource":"` + scriptKey + `"`, `"kms:EncryptionContext:SecretARN":"` +
				scriptARN + `"`, "aws iam get-role --role-name rotate"}, ""},
		{"a key by id", script{"DescribeSecret": describedWith("10000000-0000-4000-8000-000000000001"), "GetSecretValue": denied}, []string{`"Resource":"` + scriptKey + `"`}, ""},
		{"a key by alias", script{"DescribeSecret": describedWith("alias/app"), "GetSecretValue": denied},
			[]string{`"kms:ResourceAliases":"alias/app"`}, ""},
		{"a key by alias that KMS tells", script{"DescribeSecret": describedWith("alias/app"), "GetSecretValue": denied, "DescribeKey": `{"KeyMetadata":{"KeyId":"1","Arn":"` + scriptKey + `"}}`},
			[]string{`"Resource":"` + scriptKey + `"`}, "ResourceAliases"},
		{"the key of an old version", script{"DescribeSecret": describedWith(scriptKey), "GetSecretValue": denied + ". This version of secret is not encrypted with the current KMS key."},
			[]string{"a key that the secret had before", "list-secret-version-ids --secret-id " + scriptARN},
			`"Effect"`},
		{"perhaps no key", script{"DescribeSecret": describedWith(scriptKey), "GetSecretValue": "AccessDeniedException: The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access."},
			[]string{`"Resource":"` + scriptKey + `"`, "not there, or is in another Region"}, ""},
		{"DescribeSecret is denied", script{"GetSecretValue": denied}, []string{ // any key, but for that secret alone
			`"Resource":"arn:aws:kms:us-east-1:111122223333:key/*"`, `"kms:EncryptionContext:SecretARN":"` + scriptARN +
				`"`}, ""},
		{"aws/secretsmanager", script{"DescribeSecret": describedWith(""), "GetSecretValue": denied}, []string{"aws/secretsmanager", "kms:Decrypt"}, `"Effect"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := read(t, c.store(t), scriptARN)
			for _, want := range c.want {
				if rotator.KindOf(err) != rotator.KindAccessDenied || !strings.Contains(err.Error(), want) {
					t.Errorf("want %q, got %v", want, err)
				}
			}
			if c.not != "" && strings.Contains(err.Error(), c.not) {
				t.Errorf("has %q: %v", c.not, err)
			}
		})
	}
}
