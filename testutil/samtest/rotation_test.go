package samtest

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/quarterturn-dev/quarterturn/rotator/iam"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
	"github.com/quarterturn-dev/quarterturn/testutil/lambdahost"
	"github.com/quarterturn-dev/quarterturn/testutil/localaws"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// TestWhatIsDeployedRotates is the stack as a whole: the binaries that `sam build`
// made, with the environment and under the role that the template gives them,
// invoked as its permission lets Secrets Manager, on a real server with TLS only.
// Every statement of the roles is put to use by one of the cases, or needs no keeping.
func TestWhatIsDeployedRotates(t *testing.T) {
	t.Parallel()
	tier.Long(t)
	if runtime.GOOS != "linux" {
		t.Skip("sam build makes binaries for Linux")
	}
	cases := map[string]struct {
		handler string
		deploy  map[string]string
		uses    []string // statements
	}{
		"single user": {"postgres-single-user", map[string]string{"SecretArns": secretPattern, "KmsKeyArns": keyARN},
			[]string{"Rotate", "UseTheKey"}},
		"single user, by tag": {"postgres-single-user", map[string]string{"SecretTag": "yes", "KmsKeyArns": keyARN},
			[]string{"Rotate", "UseTheKey"}},
		"single user, only configured secrets": {"postgres-single-user", map[string]string{"SecretArns": secretPattern, "KmsKeyArns": keyARN, "OnlyConfiguredSecrets": "true"},
			[]string{"Rotate", "UseTheKey"}},
		"single user, through a superuser": {"postgres-single-user", map[string]string{"SecretArns": secretPattern, "KmsKeyArns": keyARN,
			"SuperuserSecretArns": superuserPattern, "SuperuserKmsKeyArns": superuserKeyARN, "SingleUserThroughSuperuser": "true"},
			[]string{"ReadTheSuperusersSecret", "Rotate", "UseTheKey", "UseTheSuperusersKey"}},
		"alternating users": {"postgres-alternating-users", map[string]string{"SecretArns": secretPattern, "KmsKeyArns": keyARN,
			"SuperuserSecretArns": superuserPattern, "SuperuserKmsKeyArns": superuserKeyARN},
			[]string{"ReadTheSuperusersSecret", "Rotate", "UseTheKey", "UseTheSuperusersKey"}},
		"one function for several engines": {"database", map[string]string{"Functions": "database", "Engines": "mysql,postgres", "SecretArns": secretPattern, "KmsKeyArns": keyARN},
			[]string{"Rotate", "UseTheKey"}},
		"one function for several engines, alternating users": {"database", map[string]string{"Functions": "database", "Engines": "postgres", "Strategy": "alternating-users",
			"SecretArns": secretPattern, "KmsKeyArns": keyARN, "SuperuserSecretArns": superuserPattern, "SuperuserKmsKeyArns": superuserKeyARN},
			[]string{"ReadTheSuperusersSecret", "Rotate", "UseTheKey", "UseTheSuperusersKey"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := deploy(t, c.handler, c.deploy)
			for n := range 2 { // alternating users: one of each
				if r := w.rotate(); r.Outcome != "RotationSucceeded" || len(r.Attempts) != 1 {
					t.Fatalf("rotation %d: %s after %d attempts: %s\n%s", n, r.Outcome, len(r.Attempts), r.Message,
						w.out.String())
				}
			}
			if used := w.statements(); !slices.Equal(used, c.uses) {
				t.Errorf("the rotations used the statements %v, want %v", used, c.uses)
			}
		})
	}
}

// TestWithoutAStatementNothingTurns takes single statements away from the role, and
// wants a rotation that says so and changes nothing, in place of one that half works.
func TestWithoutAStatementNothingTurns(t *testing.T) {
	t.Parallel()
	tier.Long(t)
	if runtime.GOOS != "linux" {
		t.Skip("sam build makes binaries for Linux")
	}
	w := deploy(t, "postgres-alternating-users", map[string]string{"SecretArns": secretPattern, "KmsKeyArns": keyARN,
		"SuperuserSecretArns": superuserPattern, "SuperuserKmsKeyArns": superuserKeyARN})
	whole := w.caller
	for policy, document := range w.documents {
		var d struct {
			Version   string
			Statement []map[string]any
		}
		if err := json.Unmarshal([]byte(document), &d); err != nil {
			t.Fatal(err)
		}
		for i, s := range d.Statement {
			if strings.HasPrefix(fmt.Sprint(s["Action"]), "[logs:") {
				continue // of Lambda itself
			}
			t.Run(fmt.Sprint(s["Sid"]), func(t *testing.T) {
				less := d
				less.Statement = slices.Delete(slices.Clone(d.Statement), i, i+1)
				text, err := json.Marshal(less)
				if err != nil {
					t.Fatal(err)
				}
				documents := maps.Clone(w.documents)
				documents[policy] = string(text)
				if len(less.Statement) == 0 {
					delete(documents, policy)
				}
				w.caller.Identity = named(t, documents)
				w.stage.AWS.SetCaller(w.caller)
				defer w.stage.AWS.SetCaller(whole)
				before := w.stage.AWS.Snapshot(w.secret)
				w.out.Reset()
				if r := w.rotate(); r.Outcome != "RotationFailed" || !strings.Contains(r.Message, "access denied") {
					t.Errorf("%s: %s", r.Outcome, r.Message)
				}
				after := w.stage.AWS.Snapshot(w.secret)
				if !after.Holder("AWSCURRENT").Value.Equal(before.Holder("AWSCURRENT").Value) ||
					!after.Holder("AWSPENDING").Value.Empty() {
					t.Error("the secret has changed")
				}
			})
		}
	}
}

// world is a deployed stack with a secret in it.
type world struct {
	t         *testing.T
	stage     *localaws.Env
	sdk       *secretsmanager.Client
	function  string // its ARN
	secret    string // its ARN
	documents map[string]string
	caller    awsemu.Caller // the function
	out       *lambdahost.Output
}

// roleKey is the access key that every function on a lambdahost has.
const roleKey = "ASIALAMBDAHOSTSAMPLE"

func deploy(t *testing.T, handler string, parameters map[string]string) *world {
	t.Helper()
	folder := samBuild(t, runtime.GOARCH)
	template := template(t)
	s, err := template.Deploy(parameters)
	if err != nil {
		t.Fatal(err)
	}
	id := logicalID(handler)
	role := regexp.MustCompile(`-(\w+Role)-`).FindStringSubmatch(Get(s.Resource(id), "Properties", "Role").(string))[1]
	name := Get(s.Resource(id), "Properties", "FunctionName").(string)
	db := dbserver.NewPostgres(t, dbserver.Options{TLS: &dbserver.TLS{},
		HBA: []string{"hostssl all all all scram-sha-256"}})

	w := &world{t: t, documents: s.Policies(role), out: &lambdahost.Output{},
		function: "arn:aws:lambda:us-east-1:123456789012:function:" + name}
	w.caller = awsemu.Caller{
		AccessKey: roleKey,
		Principal: iam.Principal{ARN: "arn:aws:sts::123456789012:assumed-role/" + role + "/" + name, Role: "arn:aws:iam::123456789012:role/" + role},
		Identity:  named(t, w.documents),
	}
	operator := awsemu.Caller{
		AccessKey: "OPERATOR", Principal: iam.Principal{ARN: "arn:aws:iam::123456789012:user/operator"},
		Identity: named(t, map[string]string{"everything": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`}),
	}
	env := []string{"DATABASE_CA_FILE=" + db.CAFile}
	variables := s.Resolve(Get(map[string]any(template), "Globals", "Function", "Environment",
		"Variables")).(map[string]any)
	for variable, value := range variables {
		env = append(env, variable+"="+value.(string))
	}
	w.stage, err = localaws.Start(localaws.Config{
		Functions: []localaws.Function{{Name: name, Bootstrap: filepath.Join(folder, id, "bootstrap"), Env: env}},
		Output:    w.out,
		Prepare: func(e *awsemu.Emulator) {
			e.Attempts = 1
			e.Callers = []awsemu.Caller{w.caller, operator}
			e.Functions = []awsemu.Function{{ARN: w.function,
				Policy: named(t, map[string]string{"permission": permission(s, id, w.function)})[0]}}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.stage.Close(); err != nil {
			t.Error(err)
		}
	})
	w.sdk = secretsmanager.New(secretsmanager.Options{
		BaseEndpoint: &w.stage.URL, Region: "us-east-1",
		Credentials: credentials.NewStaticCredentialsProvider("OPERATOR", "x", ""),
	})

	app, boss := "app-"+rand.Text(), "boss-"+rand.Text()
	if err := db.Exec(t.Context(),
		"CREATE ROLE app LOGIN PASSWORD '"+app+"'", "CREATE ROLE boss LOGIN CREATEROLE PASSWORD '"+boss+"'",
		"GRANT app TO boss WITH ADMIN OPTION",
	); err != nil {
		t.Fatal(err)
	}
	document := func(user, password, superuser string) awsemu.Value {
		text, _ := json.Marshal(map[string]any{ // text and a number cannot fail
			"engine": "postgres", "host": db.Host, "port": db.Port, "username": user, "password": password, "masterarn": superuser,
		})
		return awsemu.Text(string(text))
	}
	key := func(arn string) string {
		return w.stage.AWS.SeedKey(awsemu.Key{ID: arn[strings.LastIndex(arn, "/")+1:]})
	}
	superuser := w.stage.AWS.Seed(awsemu.Secret{Name: "prod/superuser", KMSKeyID: key(superuserKeyARN),
		Versions: []awsemu.Version{
			{Labels: []string{"AWSCURRENT"}, Value: document("boss", boss, "")},
		}})
	w.secret = w.stage.AWS.Seed(awsemu.Secret{Name: "prod/app", KMSKeyID: key(keyARN),
		Tags: map[string]string{"quarterturn": "yes"}, Versions: []awsemu.Version{
			{Labels: []string{"AWSCURRENT"}, Value: document("app", app, superuser)},
		}})
	return w
}

// permission is the resource policy that Lambda makes of a permission.
func permission(s Stack, id, function string) string {
	p := Get(s.Resource(id+"Invocation"), "Properties")
	account := Get(p, "SourceAccount")
	if account == "AWS::AccountId" {
		account = "123456789012"
	}
	// text cannot fail
	text, _ := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": []any{map[string]any{
		"Effect": "Allow", "Principal": map[string]any{"Service": Get(p, "Principal")}, "Action": Get(p, "Action"), "Resource": function,
		"Condition": map[string]any{"StringEquals": map[string]any{"AWS:SourceAccount": account}},
	}}})
	return string(text)
}

func named(t *testing.T, documents map[string]string) []iam.NamedPolicy {
	t.Helper()
	var all []iam.NamedPolicy
	for name, text := range documents {
		policy, err := iam.Parse(text)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all = append(all, iam.NamedPolicy{Name: name, Policy: policy})
	}
	return all
}

func (w *world) rotate() awsemu.Rotation {
	w.t.Helper()
	// A rotation that failed is taken up again, which answers an error: the outcome counts.
	_, err := w.sdk.RotateSecret(w.t.Context(), &secretsmanager.RotateSecretInput{SecretId: &w.secret,
		RotationLambdaARN: aws.String(w.function)})
	if err != nil && !strings.Contains(err.Error(), "previous rotation") {
		w.t.Fatal(err)
	}
	r, err := w.stage.AWS.WaitRotation(w.t.Context(), w.secret)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// statements are those by which the function was allowed something.
func (w *world) statements() []string {
	used := map[string]bool{}
	for _, call := range w.stage.AWS.Calls() {
		for _, d := range call.Decisions {
			if d.Allowed && d.Policy != "everything" && d.Policy != "permission" && w.documents[d.Policy] != "" {
				used[d.Statement] = true
			}
			for _, s := range d.Trace { // of a key, the key policy decides, and IAM with it
				if s.Matched && w.documents[s.Policy] != "" {
					used[s.Statement] = true
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(used))
}
