package permissions_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/awsstore"
	"github.com/quarterturn-dev/quarterturn/rotator/iam"
	"github.com/quarterturn-dev/quarterturn/rotator/iam/explain"
	"github.com/quarterturn-dev/quarterturn/rotator/permissions"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
)

const (
	home      = "123456789012"
	elsewhere = "999988887777"
	function  = "arn:aws:lambda:us-east-1:" + home + ":function:rotate"
	role      = "arn:aws:iam::" + home + ":role/rotate"
	password  = "canary-password-0123456789"
)

// world is an account in which all policies decide: the function's, as the
// caller FUNCTION, and those of the callers that a test adds.
type world struct {
	t        *testing.T
	emu      *awsemu.Emulator
	url      string
	rotation permissions.Rotation
	other    string // a secret to which no policy gives access
}

// newWorld seeds a secret and, where asked for, a superuser's, both under keys of
// their own whose policies leave it to IAM.
func newWorld(t *testing.T, superuser string) *world {
	t.Helper()
	w := &world{t: t, emu: &awsemu.Emulator{Attempts: 1, Callers: []awsemu.Caller{{AccessKey: "NOBODY"}}}}
	server := httptest.NewServer(w.emu)
	t.Cleanup(func() { w.emu.Close(); server.Close() })
	w.url = server.URL
	w.rotation = permissions.Rotation{Role: role, Function: function}
	value := map[string]any{"engine": "memory", "host": strategytest.MemoryHost, "username": "app",
		"password": password}
	boss := map[string]any{"username": "boss", "password": password}
	switch superuser {
	case full:
		boss["engine"], boss["host"] = "memory", strategytest.MemoryHost
		w.rotation.Superuser = w.seed("superuser", boss)
	case ofInstance:
		w.rotation.Database = w.emu.SeedInstance(awsemu.Instance{ID: "db", Engine: "memory",
			Host: strategytest.MemoryHost, Port: 7000})
		w.rotation.Superuser = w.seed("superuser", boss, "aws:rds:primaryDBInstanceArn", w.rotation.Database)
	case ofCluster:
		w.rotation.Database = w.emu.SeedCluster(awsemu.Cluster{ID: "db", Engine: "memory",
			Host: strategytest.MemoryHost, Port: 7000})
		w.rotation.Superuser = w.seed("superuser", boss, "aws:rds:primaryDBClusterArn", w.rotation.Database)
	}
	if superuser != "" {
		value["masterarn"] = w.rotation.Superuser.ARN
	}
	w.rotation.Secret = w.seed("app", value)
	w.other = w.seed("app-2", value).ARN
	return w
}

// The forms of a superuser secret: with all keys, or managed by RDS.
const (
	full       = "full"
	ofInstance = "of an instance"
	ofCluster  = "of a cluster"
)

func (w *world) seed(name string, value map[string]any, tag ...string) permissions.Secret {
	text, err := json.Marshal(value)
	if err != nil {
		w.t.Fatal(err)
	}
	key := w.emu.SeedKey(awsemu.Key{Aliases: []string{"alias/" + name}})
	tags, owner := map[string]string{}, ""
	if len(tag) == 2 {
		tags[tag[0]], owner = tag[1], "rds"
	}
	arn := w.emu.Seed(awsemu.Secret{
		Name: name, KMSKeyID: key, Tags: tags, OwningService: owner, RotationEnabled: aws.Bool(true),
		RotationLambdaARN: function,
		Versions: []awsemu.Version{
			{Labels: []string{"AWSPREVIOUS"}, Value: awsemu.Text(string(text))},
			{Labels: []string{"AWSCURRENT"}, Value: awsemu.Text(string(text))},
		},
	})
	return permissions.Secret{ARN: arn, Key: key}
}

// caller adds a caller with a policy.
func (w *world) caller(key, arn string, p permissions.Policy) *secretsmanager.Client {
	w.t.Helper()
	parsed, err := iam.ParseIdentity(p.String())
	if err != nil {
		w.t.Fatalf("%v\n%s", err, p)
	}
	w.emu.SetCaller(awsemu.Caller{AccessKey: key, Principal: principal(arn),
		Identity: []iam.NamedPolicy{{Name: "printed", Policy: parsed}}})
	return secretsmanager.NewFromConfig(w.config(key))
}

// principal is a session of a role.
func principal(role string) iam.Principal {
	session := strings.Replace(strings.Replace(role, ":iam:", ":sts:", 1), ":role/", ":assumed-role/", 1) + "/session"
	return iam.Principal{ARN: session, Role: role}
}

func (w *world) config(key string) aws.Config {
	return aws.Config{
		Region: "us-east-1", BaseEndpoint: &w.url, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(key, "x", ""),
	}
}

// rotate starts a rotation as a caller who may, with the function under its
// policies, and gives how it ended.
func (w *world) rotate(strategy func(*strategytest.Memory) rotator.Strategy) string {
	w.t.Helper()
	db := &strategytest.Memory{}
	db.Add(strategytest.Account{Name: "app", Password: secret.NewPassword(password)})
	db.Add(strategytest.Account{Name: "boss", Password: secret.NewPassword(password), Superuser: true})
	r := rotator.Rotator{Store: awsstore.New(w.config("FUNCTION"), ""), Strategy: strategy(db),
		ReadBackoff: []time.Duration{time.Nanosecond}}
	w.emu.Invoke = awsemu.InvokeHandler(func(ctx context.Context, payload []byte) ([]byte, error) {
		_, err := r.HandleJSON(ctx, payload)
		return nil, err
	})
	operator := w.caller("OPERATOR", "arn:aws:iam::"+home+":role/operator", w.rotation.OperatorPolicy())
	if _, err := operator.RotateSecret(w.t.Context(),
		&secretsmanager.RotateSecretInput{SecretId: &w.rotation.Secret.ARN}); err != nil {
		w.t.Fatal(err)
	}
	done, err := w.emu.WaitRotation(w.t.Context(), w.rotation.Secret.ARN)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(done.Outcome)
}

var strategyOf = map[string]func(*strategytest.Memory) rotator.Strategy{
	"single user": func(m *strategytest.Memory) rotator.Strategy { return strategies.SingleUser{Engine: m} },
	"through superuser": func(m *strategytest.Memory) rotator.Strategy {
		return strategies.SingleUser{Engine: m, ThroughSuperuser: true}
	},
	"alternating users": func(m *strategytest.Memory) rotator.Strategy { return strategies.AlternatingUsers{Engine: m} },
}

// TestTheRolePolicyIsMinimal: a rotation works under what is printed, and breaks
// when any one action of any statement is taken away.
func TestTheRolePolicyIsMinimal(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ strategy, superuser string }{
		{"single user", ""}, {"through superuser", full}, {"alternating users", full},
		{"through superuser", ofInstance}, {"alternating users", ofCluster},
	} {
		for _, only := range []bool{false, true} {
			t.Run(fmt.Sprint(c.strategy, ", superuser secret ", c.superuser, ", only as configured: ", only),
				func(t *testing.T) {
					t.Parallel()
					under := func(change func(permissions.Policy) permissions.Policy) string {
						w := newWorld(t, c.superuser)
						w.rotation.OnlyConfigured = only
						w.caller("FUNCTION", role, change(w.rotation.RolePolicy()))
						return w.rotate(strategyOf[c.strategy])
					}
					whole := func(p permissions.Policy) permissions.Policy { return p }
					if outcome := under(whole); outcome != "RotationSucceeded" {
						t.Fatalf("under the policy as printed: %s", outcome)
					}
					dropped := 0
					for i, s := range newWorld(t, c.superuser).rotation.RolePolicy() {
						for _, action := range s.Action {
							outcome := under(func(p permissions.Policy) permissions.Policy {
								return without(p, i, action)
							})
							dropped++
							if outcome != "RotationFailed" {
								t.Errorf("without %s in %s: %s: the policy is not minimal", action, s.Sid, outcome)
							}
						}
					}
					t.Logf("%d actions dropped, each missed", dropped)
				})
		}
	}
}

// without drops one action of one statement, and the statement when it was the last.
// TestTheRolePolicySufficesForRecovery: what a rotation may do is what a status and a
// recover do, so that they need nothing more.
func TestTheRolePolicySufficesForRecovery(t *testing.T) {
	t.Parallel()
	for action, c := range map[string]struct {
		accepted string // by the database
		rotation bool
	}{
		"finish":  {"pending", true},
		"discard": {password, false},
	} {
		w := newWorld(t, "")
		w.caller("FUNCTION", role, w.rotation.RolePolicy())
		arn := w.rotation.Secret.ARN
		current := string(w.emu.Snapshot(arn).Holder("AWSCURRENT").Value.Reveal())
		admin := w.admin()
		if _, err := admin.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{
			SecretId: &arn, SecretString: aws.String(strings.Replace(current, password, "pending", 1)),
			VersionStages: []string{"AWSPENDING"}}); err != nil {
			t.Fatal(err)
		}
		if !c.rotation {
			if _, err := admin.CancelRotateSecret(t.Context(),
				&secretsmanager.CancelRotateSecretInput{SecretId: &arn}); err != nil {
				t.Fatal(err)
			}
		}
		db := &strategytest.Memory{}
		db.Add(strategytest.Account{Name: "app", Password: secret.NewPassword(c.accepted)})
		r := rotator.Rotator{Store: awsstore.New(w.config("FUNCTION"), ""), Strategy: strategies.SingleUser{Engine: db},
			ReadBackoff: []time.Duration{time.Nanosecond}}
		answer, err := r.HandleJSON(t.Context(), []byte(`{"Step":"recover","SecretId":"`+arn+`","Action":"`+action+
			`"}`))
		if d, _ := answer.(*rotator.Diagnosis); err != nil || d == nil || d.MovedLabel == "" {
			t.Errorf("%s: %+v, %v", action, d, err)
		}
	}
}

func without(p permissions.Policy, i int, action string) permissions.Policy {
	p = slices.Clone(p)
	p[i].Action = slices.DeleteFunc(slices.Clone(p[i].Action), func(a string) bool { return a == action })
	if len(p[i].Action) == 0 {
		return slices.Delete(p, i, i+1)
	}
	return p
}

// call is something that a policy must allow or must not.
type call struct {
	name string
	do   func(context.Context, *secretsmanager.Client) error
	ok   bool
}

func (w *world) try(who *secretsmanager.Client, calls []call) {
	w.t.Helper()
	for _, c := range calls {
		err := c.do(w.t.Context(), who)
		var api smithy.APIError
		refused := errors.As(err, &api) && strings.HasPrefix(api.ErrorCode(), "AccessDenied")
		if c.ok && err != nil || !c.ok && !refused {
			w.t.Errorf("%s: allowed should be %v: %v", c.name, c.ok, err)
		}
	}
}

func get(id, version, label string) func(context.Context, *secretsmanager.Client) error {
	return func(ctx context.Context, c *secretsmanager.Client) error {
		_, err := c.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &id, VersionId: optional(version),
			VersionStage: optional(label)})
		return err
	}
}

func describe(id string) func(context.Context, *secretsmanager.Client) error {
	return func(ctx context.Context, c *secretsmanager.Client) error {
		_, err := c.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &id})
		return err
	}
}

func put(id string) func(context.Context, *secretsmanager.Client) error {
	return func(ctx context.Context, c *secretsmanager.Client) error {
		_, err := c.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: &id,
			SecretString: aws.String("x")})
		return err
	}
}

func move(id, label, to, from string) func(context.Context, *secretsmanager.Client) error {
	return func(ctx context.Context, c *secretsmanager.Client) error {
		_, err := c.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{
			SecretId: &id, VersionStage: &label, MoveToVersionId: optional(to), RemoveFromVersionId: optional(from)})
		return err
	}
}

func rotate(id, function string) func(context.Context, *secretsmanager.Client) error {
	return func(ctx context.Context, c *secretsmanager.Client) error {
		_, err := c.RotateSecret(ctx, &secretsmanager.RotateSecretInput{SecretId: &id,
			RotationLambdaARN: optional(function)})
		return err
	}
}

func cancel(id string) func(context.Context, *secretsmanager.Client) error {
	return func(ctx context.Context, c *secretsmanager.Client) error {
		_, err := c.CancelRotateSecret(ctx, &secretsmanager.CancelRotateSecretInput{SecretId: &id})
		return err
	}
}

func remove(id string) func(context.Context, *secretsmanager.Client) error {
	return func(ctx context.Context, c *secretsmanager.Client) error {
		_, err := c.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: &id})
		return err
	}
}

func create(name string, regions ...string) func(context.Context, *secretsmanager.Client) error {
	return func(ctx context.Context, c *secretsmanager.Client) error {
		_, err := c.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: &name, SecretString: aws.String("x"),
			AddReplicaRegions: replicas(regions)})
		return err
	}
}

func replicate(id string, regions ...string) func(context.Context, *secretsmanager.Client) error {
	return func(ctx context.Context, c *secretsmanager.Client) error {
		_, err := c.ReplicateSecretToRegions(ctx, &secretsmanager.ReplicateSecretToRegionsInput{SecretId: &id,
			AddReplicaRegions: replicas(regions)})
		return err
	}
}

func replicas(regions []string) []types.ReplicaRegionType {
	var all []types.ReplicaRegionType
	for _, r := range regions {
		all = append(all, types.ReplicaRegionType{Region: aws.String(r)})
	}
	return all
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// decryptDirectly is what the function's role must not be able to do: use the key
// without Secrets Manager in between.
func (w *world) decryptDirectly(key string) func(context.Context, *secretsmanager.Client) error {
	return func(ctx context.Context, _ *secretsmanager.Client) error {
		_, err := kms.NewFromConfig(w.config(key)).GenerateDataKey(ctx, &kms.GenerateDataKeyInput{
			KeyId: &w.rotation.Secret.Key, KeySpec: kmstypes.DataKeySpecAes256,
			EncryptionContext: map[string]string{"SecretARN": w.rotation.Secret.ARN,
				"SecretVersionId": awsemu.VersionID(2)},
		})
		return err
	}
}

// TestTheRolePolicyAllowsNothingElse: neither another secret, nor the key itself, nor
// anything but a rotation.
func TestTheRolePolicyAllowsNothingElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, full)
	who, arn, boss := w.caller("FUNCTION", role, w.rotation.RolePolicy()), w.rotation.Secret.ARN,
		w.rotation.Superuser.ARN
	w.try(who, []call{
		{"reading the secret", get(arn, "", ""), true},
		{"reading the superuser secret", get(boss, "", ""), true},
		{"writing the superuser secret", put(boss), false},
		{"moving the superuser's labels", move(boss, "AWSCURRENT", awsemu.VersionID(1), awsemu.VersionID(2)), false},
		{"reading a secret whose name begins alike", get(w.other, "", ""), false},
		{"writing a secret whose name begins alike", put(w.other), false},
		{"deleting", remove(arn), false},
		{"creating", create("new"), false},
		{"rotating", rotate(arn, ""), false},
		{"using the key directly", w.decryptDirectly("FUNCTION"), false},
	})

	// Another policy lets the role read more: the key is still for the one secret.
	neighbour := w.emu.Seed(awsemu.Secret{Name: "neighbour", KMSKeyID: w.rotation.Secret.Key,
		Versions: []awsemu.Version{
			{Labels: []string{"AWSCURRENT"}, Value: awsemu.Text("x")}}})
	who = w.caller("FUNCTION", role, append(w.rotation.RolePolicy(), permissions.Statement{
		Effect: "Allow", Action: permissions.StringList{"secretsmanager:GetSecretValue"},
		Resource: permissions.StringList{neighbour}}))
	w.try(who, []call{{"using the key for another secret", get(neighbour, "", ""), false}})

	w.rotation.OnlyConfigured = true
	w.rotation.Function += "-2"
	who = w.caller("FUNCTION", role, w.rotation.RolePolicy())
	w.try(who, []call{{"a secret that names another function", get(arn, "", ""), false}})
}

// TestTheOperatorSetsUpAndNoMore.
func TestTheOperatorSetsUpAndNoMore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	arn := w.rotation.Secret.ARN
	w.emu.Invoke = awsemu.InvokeHandler(func(context.Context, []byte) ([]byte, error) {
		return nil, errors.New("not now")
	})
	who := w.caller("OPERATOR", "arn:aws:iam::"+home+":role/operator", w.rotation.OperatorPolicy())
	w.try(who, []call{
		{"looking", describe(arn), true},
		{"setting rotation up", rotate(arn, function), true},
		{"setting up another function", rotate(arn, function+"-2"), false},
		{"rotating another secret", rotate(w.other, function), false},
		{"reading the value", get(arn, "", ""), false},
		{"writing a value", put(arn), false},
		{"moving AWSCURRENT", move(arn, "AWSCURRENT", awsemu.VersionID(1), awsemu.VersionID(2)), false},
	})
	if _, err := w.emu.WaitRotation(t.Context(), arn); err != nil {
		t.Fatal(err)
	}
	anyFunction := append(w.rotation.OperatorPolicy(), permissions.Statement{
		Effect: "Allow", Action: permissions.StringList{"lambda:InvokeFunction"},
		Resource: permissions.StringList{"*"}})
	w.try(w.caller("OPERATOR", "arn:aws:iam::"+home+":role/operator", anyFunction), []call{
		{"setting up another function that it may invoke", rotate(arn, function+"-2"), false},
	})
	w.try(who, []call{
		{"discarding the pending version", move(arn, "AWSPENDING", "", w.emu.Snapshot(arn).Holder("AWSPENDING").ID), true},
		{"stopping rotation", cancel(arn), true},
		{"deleting", remove(arn), false},
	})
}

// TestAReaderReadsWhatItsLabelsSay, in the account and from another one, where the
// secret's own policy and the key's have to say so too.
func TestAReaderReadsWhatItsLabelsSay(t *testing.T) {
	t.Parallel()
	for name, account := range map[string]string{"in the account": home, "from another": elsewhere} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "")
			arn := w.rotation.Secret.ARN
			r := permissions.SecretReader{Secret: w.rotation.Secret, Principal: "arn:aws:iam::" + account +
				":role/application"}
			who := w.caller("READER", r.Principal, r.IdentityPolicy())
			if account != home {
				w.try(who, []call{{"reading before the secret's policy says so", get(arn, "", ""), false}})
				w.attach(arn, r.ResourcePolicy())
				w.try(who, []call{{"reading before the key's policy says so", get(arn, "", ""), false}})
				w.extendKey(w.rotation.Secret.Key, r.KeyPolicy())
			}
			w.try(who, []call{
				{"reading", get(arn, "", ""), true},
				{"reading AWSCURRENT", get(arn, "", "AWSCURRENT"), true},
				{"looking", describe(arn), true},
				{"reading AWSPREVIOUS", get(arn, "", "AWSPREVIOUS"), false},
				{"reading AWSPENDING", get(arn, "", "AWSPENDING"), false},
				{"reading a version by id", get(arn, awsemu.VersionID(2), ""), false},
				{"reading another secret", get(w.other, "", ""), false},
				{"writing", put(arn), false},
				{"moving a label", move(arn, "AWSCURRENT", awsemu.VersionID(1), awsemu.VersionID(2)), false},
				{"using the key directly", w.decryptDirectly("READER"), false},
			})
			r.Labels = []string{"AWSCURRENT", "AWSPREVIOUS"}
			if account != home {
				w.attach(arn, r.ResourcePolicy())
			}
			w.try(w.caller("READER", r.Principal, r.IdentityPolicy()), []call{
				{"reading AWSPREVIOUS, which is among the labels", get(arn, "", "AWSPREVIOUS"), true},
				{"reading AWSPENDING, which is not", get(arn, "", "AWSPENDING"), false},
			})
		})
	}
}

// attach puts a policy on a secret, and extendKey statements into the policy of a
// key, as an administrator does.
func (w *world) attach(arn string, p permissions.Policy) {
	w.t.Helper()
	admin := w.admin()
	if _, err := admin.PutResourcePolicy(w.t.Context(),
		&secretsmanager.PutResourcePolicyInput{SecretId: &arn, ResourcePolicy: aws.String(p.String()),
			BlockPublicPolicy: aws.Bool(true)}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) extendKey(key string, p permissions.Policy) {
	w.t.Helper()
	w.admin()
	account := permissions.Statement{Sid: "Account", Effect: "Allow",
		Principal: map[string]permissions.StringList{"AWS": {"arn:aws:iam::" + home + ":root"}},
		Action:    permissions.StringList{"kms:*"}, Resource: permissions.StringList{"*"}}
	text := append(permissions.Policy{account}, p...).String()
	if _, err := kms.NewFromConfig(w.config("ADMIN")).PutKeyPolicy(w.t.Context(),
		&kms.PutKeyPolicyInput{KeyId: &key, Policy: &text}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) admin() *secretsmanager.Client {
	w.t.Helper()
	return w.caller("ADMIN", "arn:aws:iam::"+home+":role/admin",
		permissions.Policy{{Effect: "Allow", Action: permissions.StringList{"*"},
			Resource: permissions.StringList{"*"}}})
}

// TestAcrossAccounts: a function of another account rotates under the policies that
// are printed for that, and not with any one of them left out.
func TestAcrossAccounts(t *testing.T) {
	t.Parallel()
	foreign := "arn:aws:iam::" + elsewhere + ":role/rotate"
	attachments := []func(*world){
		func(w *world) { w.attach(w.rotation.Secret.ARN, w.rotation.ResourcePolicy()) },
		func(w *world) { w.attach(w.rotation.Superuser.ARN, w.rotation.SuperuserResourcePolicy()) },
		func(w *world) { w.extendKey(w.rotation.Secret.Key, w.rotation.KeyPolicy()) },
		func(w *world) { w.extendKey(w.rotation.Superuser.Key, w.rotation.SuperuserKeyPolicy()) },
	}
	for left := -1; left < len(attachments); left++ {
		w := newWorld(t, full)
		w.rotation.Role = foreign
		w.caller("FUNCTION", foreign, w.rotation.RolePolicy())
		for i, attach := range attachments {
			if i != left {
				attach(w)
			}
		}
		want := "RotationFailed"
		if left < 0 {
			want = "RotationSucceeded"
		}
		if outcome := w.rotate(strategyOf["alternating users"]); outcome != want {
			t.Errorf("with policy %d of %d left out: %s", left, len(attachments), outcome)
		}
	}
}

// TestTheFunctionIsInvokedForItsAccountOnly.
func TestTheFunctionIsInvokedForItsAccountOnly(t *testing.T) {
	t.Parallel()
	for _, account := range []string{home, elsewhere} {
		w := newWorld(t, "")
		r := w.rotation
		r.Secret.ARN = strings.Replace(r.Secret.ARN, home, account, 1)
		policy, err := iam.ParseResource(r.FunctionPolicy().String())
		if err != nil {
			t.Fatal(err)
		}
		w.emu.Functions = []awsemu.Function{{ARN: function, Policy: iam.NamedPolicy{Name: "function", Policy: policy}}}
		w.emu.Invoke = awsemu.InvokeHandler(func(context.Context, []byte) ([]byte, error) { return nil, nil })
		who := w.caller("OPERATOR", "arn:aws:iam::"+home+":role/operator", w.rotation.OperatorPolicy())
		w.try(who, []call{{"rotating a secret of the account, with secrets of " + account + " let in",
			rotate(w.rotation.Secret.ARN, ""), account == home}})
	}
}

// TestReplicationIsPrevented, or limited to the Regions named; all else stays as it
// was.
func TestReplicationIsPrevented(t *testing.T) {
	t.Parallel()
	allow := permissions.Statement{Effect: "Allow", Action: permissions.StringList{"*"},
		Resource: permissions.StringList{"*"}}
	w := newWorld(t, "")
	arn := w.rotation.Secret.ARN
	w.try(w.caller("NONE", "arn:aws:iam::"+home+":role/none", append(permissions.DenyReplication(), allow)), []call{
		{"replicating", replicate(arn, "eu-west-1"), false},
		{"creating with a replica", create("a", "eu-west-1"), false},
		{"creating", create("b"), true},
		{"reading", get(arn, "", ""), true},
	})
	w.try(w.caller("SOME", "arn:aws:iam::"+home+":role/some",
		append(permissions.DenyReplication("eu-west-1", "eu-central-1"), allow)), []call{
		{"replicating there", replicate(arn, "eu-west-1"), true},
		{"replicating elsewhere", replicate(arn, "us-west-2"), false},
		{"replicating there and elsewhere", replicate(arn, "eu-central-1", "us-west-2"), false},
		{"creating with a replica elsewhere", create("c", "us-west-2"), false},
		{"creating", create("d"), true},
	})
}

// TestTheExplainPolicyIsWhatExplainAsksFor: with it a denial is explained from all that
// counts, and without any of its actions something is missing and said to be.
func TestTheExplainPolicyIsWhatExplainAsksFor(t *testing.T) {
	t.Parallel()
	const person = "arn:aws:iam::" + home + ":role/person"
	explained := func(drop string) explain.Explanation {
		w := newWorld(t, "")
		w.caller("FUNCTION", role, without(w.rotation.RolePolicy(), 1, "kms:Decrypt")) // only the key is denied
		_, err := awsstore.New(w.config("FUNCTION"), "").Value(t.Context(), w.rotation.Secret.ARN,
			rotator.VersionRef{Label: rotator.LabelCurrent})
		p := permissions.Policy{}
		for _, s := range w.rotation.ExplainPolicy() {
			s.Action = slices.DeleteFunc(slices.Clone(s.Action), func(a string) bool { return a == drop })
			if len(s.Action) > 0 {
				p = append(p, s)
			}
		}
		w.caller("PERSON", person, p)
		x, err := explain.Explainer{Config: w.config("PERSON")}.Explain(t.Context(), explain.Call{Denial: err.Error(),
			SecretID: w.rotation.Secret.ARN, Role: role})
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	whole := explained("")
	if text := whole.Text(); len(whole.NotRead) != 1 || !strings.Contains(text, "no identity-based policy there "+
		"allows kms:Decrypt") || !strings.Contains(text, "simulator agrees") {
		t.Errorf("not explained: %s", text)
	}
	for _, s := range newWorld(t, "").rotation.ExplainPolicy() {
		for _, action := range s.Action {
			// This role has no managed policy, this key is known by its ARN, and it is the key that
			// was denied: package explain tests the rest.
			if slices.Contains([]string{"iam:GetPolicy", "iam:GetPolicyVersion", "kms:DescribeKey",
				"secretsmanager:GetResourcePolicy"}, action) {
				continue
			}
			if x := explained(action); len(x.NotRead) <= len(whole.NotRead) {
				t.Errorf("without %s nothing is missing: %s", action, x.Text())
			}
		}
	}
}
