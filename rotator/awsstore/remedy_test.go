package awsstore_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go/logging"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/awsstore"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
)

// script is an AWS that answers each operation by its line, in AWS's words: an error
// "CODE: TEXT", or a JSON object. What is not in it is denied without a reason.
type script map[string]string

func (s script) store(t *testing.T) *awsstore.Store {
	t.Helper()
	store, _ := s.recorded(t, config())
	return store
}

// recorded gives also what was asked: operations, each with its body.
func (s script) recorded(t *testing.T, cfg aws.Config) (*awsstore.Store, func() []string) {
	t.Helper()
	var mu sync.Mutex
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		if operation == "" { // STS speaks another protocol
			io.WriteString(w, `<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>`+scriptCaller+
				`</Arn><Account>111122223333</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`)
			return
		}
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		asked = append(asked, operation+" "+string(body))
		mu.Unlock()
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
	cfg.BaseEndpoint = &server.URL
	return awsstore.New(cfg, ""), func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(asked)
	}
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
		{"an ARN, which needs no call", scriptARN, `{"ARN":"another"}`, whole},
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
		store, asked := script{"DescribeSecret": deniedAs("DescribeSecret", "app", noIdentity)}.recorded(t, config())
		_, err := store.Describe(t.Context(), "app")
		if want := paste("DescribeSecret", `"arn:aws:secretsmanager:us-east-1:111122223333:secret:app-??????"`); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %s, got %v", want, err)
		}
		const tags, add = "aws secretsmanager describe-secret --secret-id app --query Tags.", "Else add to the role of the function"
		if !strings.Contains(err.Error(), tags) || !strings.Contains(err.Error(), add) {
			t.Errorf("the role may be limited by a tag: %v", err)
		}
		if calls := asked(); len(calls) != 1 {
			t.Errorf("asked %q", calls)
		}
	})
}

// TestARefusalThatIsNoDenial says what AWS said, and no more.
func TestARefusalThatIsNoDenial(t *testing.T) {
	t.Parallel()
	store, asked := script{"GetSecretValue": "AccessDeniedException: not today"}.recorded(t, config())
	err := read(t, store, "app")
	if calls := asked(); !errors.Is(err, rotator.KindAccessDenied) || !strings.HasSuffix(err.Error(), "not today") || len(calls) != 1 {
		t.Errorf("%v, after %q", err, calls)
	}
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

// TestTheSecretsOwnPolicy, where it decided, is shown and put back by lines to be run; any other is not the secret's.
func TestTheSecretsOwnPolicy(t *testing.T) {
	t.Parallel()
	for reason, lines := range map[string]int{
		"with an explicit deny in a resource-based policy":   3,
		"because no resource-based policy allows the action": 3,
		"because no identity-based policy allows the action": 0,
		"with an explicit deny":                              0, "": 0,
	} {
		store := script{"UpdateSecretVersionStage": deniedAs("UpdateSecretVersionStage", scriptARN, reason)}.store(t)
		err := store.MoveLabel(t.Context(), scriptARN, rotator.LabelMove{Label: "AWSCURRENT", To: "a", From: "b"})
		fixes := rotator.FixesOf(err)
		if len(fixes) != lines {
			t.Fatalf("%q: to be run: %v", reason, fixes)
		}
		for i, begin := range []string{"get-resource-policy", "put-resource-policy", "delete-resource-policy"}[:lines] {
			if fixes[i].By != rotator.ByShell || !strings.HasPrefix(fixes[i].Run, "aws secretsmanager "+begin+" --secret-id "+scriptARN) {
				t.Errorf("%q: %+v", reason, fixes[i])
			}
		}
	}
}

// TestThePolicyThatDenies is shown by lines to be run, of each kind that AWS says; of a role in another account than the
// secret, with that account.
func TestThePolicyThatDenies(t *testing.T) {
	t.Parallel()
	const version = `aws iam get-policy-version --policy-arn POLICY-ARN --version-id "$(aws iam get-policy --policy-arn POLICY-ARN --query Policy.DefaultVersionId --output text)"`
	role := []string{"aws iam list-role-policies --role-name rotate", "aws iam get-role-policy --role-name rotate --policy-name POLICY",
		"aws iam list-attached-role-policies --role-name rotate", version}
	organization := func(kind string) []string {
		return []string{"for p in $(aws organizations list-policies --filter " + kind + " --query 'Policies[].Id' --output text); do " +
			`aws organizations describe-policy --policy-id "$p"; done`}
	}
	endpoint := []string{"aws ec2 describe-vpc-endpoints --filters Name=service-name,Values=com.amazonaws.us-east-1.secretsmanager " +
		"--query 'VpcEndpoints[].[VpcEndpointId,PolicyDocument]' --output text"}
	const guard, scp = "arn:aws:iam::111122223333:policy/team/guard", "arn:aws:organizations::111111111111:policy/o-abc/service_control_policy/p-abcd1234"
	for reason, want := range map[string][]string{
		"an identity-based policy": role,
		"a permissions boundary": {"aws iam get-role --role-name rotate --query Role.PermissionsBoundary.PermissionsBoundaryArn --output text",
			version},
		"a service control policy":  organization("SERVICE_CONTROL_POLICY"),
		"a resource control policy": organization("RESOURCE_CONTROL_POLICY"),
		"a VPC endpoint policy":     endpoint,
		"a VPC endpoint policy transitively through a service control policy": append(endpoint[:1:1], organization("SERVICE_CONTROL_POLICY")...),
		"a session policy":                   nil,
		"an identity-based policy: " + guard: {strings.ReplaceAll(version, "POLICY-ARN", guard)},
		"a permissions boundary: " + guard:   {strings.ReplaceAll(version, "POLICY-ARN", guard)},
		"a service control policy: " + scp:   {"aws organizations describe-policy --policy-id p-abcd1234"},
	} {
		for _, secretARN := range []string{scriptARN, strings.Replace(scriptARN, "111122223333", "444455556666", 1)} {
			store := script{"UpdateSecretVersionStage": deniedAs("UpdateSecretVersionStage", secretARN, "with an explicit deny in "+reason)}.store(t)
			fixes := rotator.FixesOf(store.MoveLabel(t.Context(), secretARN, rotator.LabelMove{Label: "AWSCURRENT", To: "a", From: "b"}))
			var got []string
			for _, f := range fixes {
				got = append(got, f.Run)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: to be run: %q, want %q", reason, got, want)
			}
			other := secretARN != scriptARN && strings.Contains(fmt.Sprint(want), " iam ")
			if other != (len(fixes) > 0 && strings.Contains(fixes[0].For, "in account 111122223333, which is not the secret's")) {
				t.Errorf("%s, secret %s: %+v", reason, secretARN, fixes)
			}
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
				scriptARN + `"`, "aws iam get-role --role-name rotate"}, "is in another Region"},
		{"a key by id", script{"DescribeSecret": describedWith("10000000-0000-4000-8000-000000000001"), "GetSecretValue": denied}, []string{`"Resource":"` + scriptKey + `"`}, ""},
		{"a key by ARN, which needs no call", script{"DescribeSecret": describedWith(scriptKey), "GetSecretValue": denied, "DescribeKey": `{"KeyMetadata":{"KeyId":"1","Arn":"another"}}`},
			[]string{`"Resource":"` + scriptKey + `"`}, "another\""},
		{"a key by the ARN of an alias", script{"DescribeSecret": describedWith("arn:aws:kms:us-east-1:111122223333:alias/app"), "GetSecretValue": denied},
			[]string{`"kms:ResourceAliases":"alias/app"`}, "key/arn:"},
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

// TestAKeyIsGivenWhole: whichever use of its key is denied, both are given, since every rotation has both; by lines that
// put the statement into the policy of the key. What is only read needs one of them.
func TestAKeyIsGivenWhole(t *testing.T) {
	t.Parallel()
	const denied = "AccessDeniedException: Access to KMS is not allowed"
	const both, one = `"Action":["kms:Decrypt","kms:GenerateDataKey"]`, `"Action":"kms:Decrypt"`
	described := `{"ARN":"` + scriptARN + `","KmsKeyId":"` + scriptKey + `"`
	for name, c := range map[string]struct{ described, actions, not string }{
		"a secret to rotate":       {described + "}", both, one},
		"a superuser's":            {described + "}", one, "GenerateDataKey"},
		"a secret of RDS":          {described + `,"OwningService":"rds"}`, one, "GenerateDataKey"},
		"DescribeSecret is denied": {deniedAs("DescribeSecret", scriptARN, ""), one, "GenerateDataKey"},
	} {
		store := script{"DescribeSecret": c.described, "GetSecretValue": denied, "PutSecretValue": denied}.store(t)
		errs := []error{read(t, store, scriptARN)}
		if name == "a superuser's" {
			_, errs[0] = store.Value(t.Context(), scriptARN, rotator.VersionRef{Label: rotator.LabelCurrent, OnlyRead: true})
			if strings.Contains(errs[0].Error(), "the roles of clients") {
				t.Errorf("%s: its clients are the functions: %v", name, errs[0])
			}
		}
		if c.actions == both {
			errs = append(errs, store.Put(t.Context(), rotator.PutInput{SecretID: scriptARN, VersionID: "v", Document: secret.Document{}.Set("a", "b")}))
		}
		for _, err := range errs {
			if text := err.Error(); !strings.Contains(text, c.actions) || strings.Contains(text, c.not) {
				t.Errorf("%s: want %s, got %v", name, c.actions, err)
			}
			f := rotator.NewFinding("S5", "", err)
			if len(f.Fixes) == 0 && name == "DescribeSecret is denied" {
				continue // the key is not known
			}
			if strings.Contains(f.Detail, `"Principal"`) || !strings.Contains(f.Hint, `"Principal"`) {
				t.Errorf("%s: the line is said twice, or the hint has it not: %s", name, f.Detail)
			}
			if len(f.Fixes) != 3 || !strings.Contains(f.Fixes[0].For, "account 111122223333, Region us-east-1") {
				t.Fatalf("%s: to be run: %+v", name, f.Fixes)
			}
			for i, want := range []string{"aws kms get-key-policy --key-id " + scriptKey + " --policy-name default ", `echo '{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:role/rotate"},` +
				c.actions, "aws kms put-key-policy --key-id " + scriptKey + " --policy-name default --policy file://"} {
				if f.Fixes[i].By != rotator.ByShell || !strings.HasPrefix(f.Fixes[i].Run, want) {
					t.Errorf("%s: %+v; want %s", name, f.Fixes[i], want)
				}
			}
		}
	}
}

// TestARemedyForAKeyOfANamedSecret: where not even the account is known, it says how to find the key; and writing takes
// another permission than reading.
func TestARemedyForAKeyOfANamedSecret(t *testing.T) {
	t.Parallel()
	const denied = "AccessDeniedException: Access to KMS is not allowed"
	store := script{"GetSecretValue": denied, "PutSecretValue": denied}.store(t)
	for want, err := range map[string]error{
		"must be allowed kms:Decrypt with that key":         read(t, store, "app"),
		"must be allowed kms:GenerateDataKey with that key": store.Put(t.Context(), rotator.PutInput{SecretID: "app", VersionID: "v", Document: secret.Document{}.Set("a", "b")}),
	} {
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "describe-secret --secret-id app ") {
			t.Errorf("%v; want %q in it", err, want)
		}
	}
}

// TestTheKeyIsAskedForOnce, as Secrets Manager itself would use it.
func TestTheKeyIsAskedForOnce(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]rotator.Kind{
		"{}": "", "DryRunOperationException: x": "", "ThrottlingException: x": rotator.KindThrottled,
		"AccessDeniedException: x": rotator.KindAccessDenied, "DisabledException: x": rotator.KindMisconfigured,
		"KMSInvalidStateException: x": rotator.KindMisconfigured, "NotFoundException: x": rotator.KindMisconfigured,
		"InvalidKeyUsageException: x": rotator.KindMisconfigured,
	} {
		cfg := config()
		cfg.RetryMaxAttempts = 3
		store, asked := script{"GenerateDataKey": answer}.recorded(t, cfg)
		err := store.CheckKeyAccess(t.Context(), rotator.Metadata{ARN: scriptARN, KMSKeyID: scriptKey})
		if rotator.KindOf(err) != want {
			t.Errorf("%s: want %q, got %v", answer, want, err)
		}
		if given := len(rotator.FixesOf(err)) > 0; given != (want == rotator.KindAccessDenied) {
			t.Errorf("%s: to be run: %v", answer, rotator.FixesOf(err))
		}
		calls := asked()
		if len(calls) != 1 {
			t.Fatalf("%s: %q", answer, calls)
		}
		for _, says := range []string{`"DryRun":true`, `"KeyId":"` + scriptKey + `"`, `"KeySpec":"AES_256"`,
			`"SecretARN":"` + scriptARN + `"`, `"SecretVersionId":"RequestToValidateKeyAccess"`} {
			if !strings.Contains(calls[0], says) {
				t.Errorf("%s: %s; want %s in it", answer, calls[0], says)
			}
		}
	}
}

// TestAllThatASecretSays of itself is read.
func TestAllThatASecretSays(t *testing.T) {
	t.Parallel()
	on := true
	for text, want := range map[string]rotator.Metadata{
		`{"ARN":"` + scriptARN + `","Name":"prod/db-secret","KmsKeyId":"k","RotationEnabled":true,"RotationLambdaARN":"f",` +
			`"OwningService":"rds","Type":"Partner","PrimaryRegion":"eu-west-1","DeletedDate":1000,` +
			`"RotationRules":{"AutomaticallyAfterDays":30,"ScheduleExpression":"rate(30 days)","Duration":"3h"},` +
			`"Tags":[{"Key":"team","Value":"a"}],"VersionIdsToStages":{"v1":["AWSCURRENT"]},` +
			`"ReplicationStatus":[{"Region":"eu-west-2","Status":"Failed","StatusMessage":"no"}]}`: {
			ARN: scriptARN, Name: "prod/db-secret", Region: "us-east-1", KMSKeyID: "k", RotationEnabled: &on, RotationLambdaARN: "f",
			OwningService: "rds", Type: "Partner", PrimaryRegion: "eu-west-1", DeletionDate: time.Unix(1000, 0).UTC(),
			Schedule: rotator.RotationRules{Days: 30, Expression: "rate(30 days)", Duration: "3h"},
			Tags:     map[string]string{"team": "a"}, Labels: map[string][]string{"v1": {"AWSCURRENT"}},
			Replicas: []rotator.Replica{{Region: "eu-west-2", Status: "Failed", Message: "no"}},
		},
		`{"ARN":"short:arn"}`: {ARN: "short:arn", Tags: map[string]string{}},
	} {
		got, err := script{"DescribeSecret": text}.store(t).Describe(t.Context(), "app")
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v, %v; want %+v", got, err, want)
		}
	}
}

// TestWhenAVersionWasMade is read with its value.
func TestWhenAVersionWasMade(t *testing.T) {
	t.Parallel()
	got, err := script{"GetSecretValue": `{"VersionId":"v","CreatedDate":1000,"SecretString":"{}"}`}.store(t).Value(t.Context(), "app", rotator.VersionRef{})
	if err != nil || got.VersionID != "v" || !got.Created.Equal(time.Unix(1000, 0)) {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestValuesThatAreNoDocument are misconfigured, and whose they are is still known.
func TestValuesThatAreNoDocument(t *testing.T) {
	t.Parallel()
	for answer, says := range map[string]string{
		`{"VersionId":"v","SecretBinary":"e30="}`:          "it is binary",
		`{"VersionId":"v","SecretString":"` + clear + `"}`: "not JSON",
	} {
		got, err := script{"GetSecretValue": answer}.store(t).Value(t.Context(), "app", rotator.VersionRef{})
		if !errors.Is(err, rotator.KindMisconfigured) || !strings.Contains(err.Error(), says) || got.VersionID != "v" || strings.Contains(err.Error(), clear) {
			t.Errorf("%q: %v; want %q in it", got.VersionID, err, says)
		}
	}
}

// TestWhatIsAskedOfSecretsManager: each field where AWS has it, and none that is not set. No body is logged.
func TestWhatIsAskedOfSecretsManager(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	cfg := config()
	cfg.Logger = logging.LoggerFunc(func(_ logging.Classification, format string, v ...any) { fmt.Fprintf(&log, format, v...) })
	store, asked := script{"PutSecretValue": "{}", "UpdateSecretVersionStage": "{}", "GetSecretValue": `{"SecretString":"{}"}`}.recorded(t, cfg)
	for _, err := range []error{
		store.Put(t.Context(), rotator.PutInput{SecretID: "app", VersionID: "v2", RotationToken: secret.NewPassword("token"), Document: secret.Document{}.Set("password", clear)}),
		store.MoveLabel(t.Context(), "app", rotator.LabelMove{Label: rotator.LabelCurrent, From: "v1", To: "v2"}),
		store.MoveLabel(t.Context(), "app", rotator.LabelMove{Label: rotator.LabelPending, From: "v2"}),
		read(t, store, "app"),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	want := []string{
		`PutSecretValue {"ClientRequestToken":"v2","RotationToken":"token","SecretId":"app","SecretString":"{\"password\":\"` + clear + `\"}","VersionStages":["AWSPENDING"]}`,
		`UpdateSecretVersionStage {"MoveToVersionId":"v2","RemoveFromVersionId":"v1","SecretId":"app","VersionStage":"AWSCURRENT"}`,
		`UpdateSecretVersionStage {"RemoveFromVersionId":"v2","SecretId":"app","VersionStage":"AWSPENDING"}`,
		`GetSecretValue {"SecretId":"app","VersionStage":"AWSCURRENT"}`,
	}
	if got := asked(); !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
	if strings.Contains(log.String(), clear) {
		t.Error("a body is in the log")
	}
}
