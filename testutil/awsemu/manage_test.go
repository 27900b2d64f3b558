package awsemu_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
)

func TestCreateSecret(t *testing.T) {
	t.Parallel()
	create := func(name string, change ...func(*secretsmanager.CreateSecretInput)) func(*world) error {
		return func(w *world) error {
			in := &secretsmanager.CreateSecretInput{Name: &name, ClientRequestToken: aws.String(id(2)), SecretString: aws.String("two")}
			for _, c := range change {
				c(in)
			}
			_, err := w.CreateSecret(w.ctx, in)
			return err
		}
	}
	for _, r := range []rule{
		{name: "a name that is taken", seed: rotated(), call: create("app/db", func(in *secretsmanager.CreateSecretInput) {
			in.SecretString, in.ClientRequestToken = aws.String("2"), aws.String(id(9))
		}), code: "ResourceExistsException", text: "The operation failed because the secret app/db already exists."},
		{name: "the same request again does nothing", seed: rotated(), call: create("app/db")},
		{name: "a name that is scheduled for deletion", seed: deleted(), call: create("app/db"), code: "InvalidRequestException", text: "already scheduled for deletion"},
		{name: "a name of other characters", seed: rotated(), call: create("app db"), code: "ValidationException", text: "Invalid name"},
		{name: "a name of 513 characters", seed: rotated(), call: create(strings.Repeat("x", 513)), code: "ValidationException", text: "'name'"},
		{name: "a value of 65,537 bytes", seed: rotated(), call: create("other", func(in *secretsmanager.CreateSecretInput) { in.SecretString = aws.String(strings.Repeat("x", 65537)) }), code: "ValidationException", text: "'secretString'"},
		{name: "text and bytes together", seed: rotated(), call: create("other", func(in *secretsmanager.CreateSecretInput) { in.SecretBinary = []byte("x") }), code: "InvalidParameterException", text: "both"},
		{name: "a tag of AWS", seed: rotated(), call: create("other", func(in *secretsmanager.CreateSecretInput) {
			in.Tags = []types.Tag{{Key: aws.String("aws:x"), Value: aws.String("y")}}
		}), code: "InvalidParameterException", text: "aws:"},
		{name: "its own Region as a replica", seed: rotated(), call: create("other", func(in *secretsmanager.CreateSecretInput) {
			in.AddReplicaRegions = []types.ReplicaRegionType{{Region: aws.String("us-east-1")}}
		}), code: "InvalidParameterException", text: "Invalid replica region"},
	} {
		r.run(t)
	}
	t.Run("a value makes an AWSCURRENT version of the token", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, &awsemu.Emulator{})
		want(t, create("app/db", func(in *secretsmanager.CreateSecretInput) { in.KmsKeyId = aws.String("alias/k") })(w), "", "")
		w.wantShape("v1[AWSCURRENT]")
		d, err := w.DescribeSecret(w.ctx, &secretsmanager.DescribeSecretInput{SecretId: aws.String("app/db")})
		want(t, err, "", "")
		arn := aws.ToString(d.ARN)
		if len(d.VersionIdsToStages[id(2)]) != 1 || aws.ToString(d.KmsKeyId) != "alias/k" || d.RotationEnabled != nil || d.PrimaryRegion != nil ||
			!strings.HasPrefix(arn, "arn:aws:secretsmanager:us-east-1:123456789012:secret:app/db-") || len(arn)-strings.LastIndex(arn, "-") != 7 {
			t.Errorf("%+v", d)
		}
	})
	t.Run("no value makes no version", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, &awsemu.Emulator{})
		want(t, create("app/db", func(in *secretsmanager.CreateSecretInput) { in.SecretString = nil })(w), "", "")
		w.wantShape("")
	})
}

func TestDeleteAndRestore(t *testing.T) {
	t.Parallel()
	del := func(days int64, force bool) func(*world) error {
		return func(w *world) error {
			in := &secretsmanager.DeleteSecretInput{SecretId: aws.String("app/db"), ForceDeleteWithoutRecovery: &force}
			if days > 0 {
				in.RecoveryWindowInDays = &days
			}
			_, err := w.DeleteSecret(w.ctx, in)
			return err
		}
	}
	for _, r := range []rule{
		{name: "a window of 6 days", seed: rotated(), call: del(6, false), code: "InvalidParameterException", text: "between 7 and 30"},
		{name: "a window of 31 days", seed: rotated(), call: del(31, false), code: "InvalidParameterException", text: "between 7 and 30"},
		{name: "a window and none", seed: rotated(), call: del(7, true), code: "InvalidParameterException", text: "in conjunction"},
		{name: "twice", seed: deleted(), call: del(7, false), code: "InvalidRequestException", text: "already scheduled"},
		{name: "a secret that a service owns", seed: owned(), call: del(7, false), code: "InvalidRequestException", text: "managed by another service"},
	} {
		r.run(t)
	}
	t.Run("a window, a restore, and the window's end", func(t *testing.T) {
		t.Parallel()
		c := newClock()
		w := newWorld(t, &awsemu.Emulator{Now: c.now})
		w.emu.Seed(rotated())
		describe := func() (*secretsmanager.DescribeSecretOutput, error) {
			return w.DescribeSecret(w.ctx, &secretsmanager.DescribeSecretInput{SecretId: aws.String("app/db")})
		}
		want(t, del(0, false)(w), "", "")
		d, err := describe()
		want(t, err, "", "")
		if !aws.ToTime(d.DeletedDate).Equal(c.now().Add(30 * 24 * time.Hour)) {
			t.Errorf("DeletedDate %v", d.DeletedDate)
		}
		_, err = w.RestoreSecret(w.ctx, &secretsmanager.RestoreSecretInput{SecretId: aws.String("app/db")})
		want(t, err, "", "")
		want(t, get("", "")(w), "", "")
		want(t, del(7, false)(w), "", "")
		c.pass(7*24*time.Hour + time.Second)
		_, err = describe()
		want(t, err, "ResourceNotFoundException", "")
	})
	t.Run("by force at once, also when scheduled, and the next of its name has another ARN", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, &awsemu.Emulator{Now: newClock().now})
		arn := w.emu.Seed(deleted())
		want(t, del(0, true)(w), "", "")
		want(t, get("", "")(w), "ResourceNotFoundException", "")
		out, err := w.CreateSecret(w.ctx, &secretsmanager.CreateSecretInput{Name: aws.String("app/db")})
		want(t, err, "", "")
		if aws.ToString(out.ARN) == arn {
			t.Error("the same ARN again")
		}
	})
}

// TestDeletedSecret: what works on a secret that is marked for deletion is the
// exception.
func TestDeletedSecret(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &awsemu.Emulator{Now: newClock().now})
	w.emu.Seed(deleted())
	n := aws.String("app/db")
	policy := aws.String(policyFor(`"arn:aws:iam::123456789012:root"`))
	for name, call := range map[string]func() error{
		"GetResourcePolicy": func() error {
			_, err := w.GetResourcePolicy(w.ctx, &secretsmanager.GetResourcePolicyInput{SecretId: n})
			return err
		},
		"PutResourcePolicy": func() error {
			_, err := w.PutResourcePolicy(w.ctx, &secretsmanager.PutResourcePolicyInput{SecretId: n, ResourcePolicy: policy})
			return err
		},
		"TagResource": func() error {
			_, err := w.TagResource(w.ctx, &secretsmanager.TagResourceInput{SecretId: n, Tags: []types.Tag{}})
			return err
		},
		"CancelRotateSecret": func() error {
			_, err := w.CancelRotateSecret(w.ctx, &secretsmanager.CancelRotateSecretInput{SecretId: n})
			return err
		},
		"ReplicateSecretToRegions": func() error {
			_, err := w.ReplicateSecretToRegions(w.ctx, &secretsmanager.ReplicateSecretToRegionsInput{SecretId: n, AddReplicaRegions: []types.ReplicaRegionType{{Region: aws.String("eu-west-1")}}})
			return err
		},
	} {
		want(t, call(), "InvalidRequestException", "marked for deletion")
		t.Log(name)
	}
	if _, err := w.DescribeSecret(w.ctx, &secretsmanager.DescribeSecretInput{SecretId: n}); err != nil {
		t.Error(err)
	}
}

func TestTags(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &awsemu.Emulator{})
	arn := w.emu.Seed(rotated())
	tags := []types.Tag{{Key: aws.String("a"), Value: aws.String("1")}, {Key: aws.String("b"), Value: aws.String("2")}}
	_, err := w.TagResource(w.ctx, &secretsmanager.TagResourceInput{SecretId: &arn, Tags: tags})
	want(t, err, "", "")
	_, err = w.UntagResource(w.ctx, &secretsmanager.UntagResourceInput{SecretId: &arn, TagKeys: []string{"a", "c"}})
	want(t, err, "", "")
	if got := w.emu.Snapshot(arn).Tags; len(got) != 1 || got["b"] != "2" {
		t.Errorf("tags %v", got)
	}
	var many []types.Tag
	for i := range 50 {
		many = append(many, types.Tag{Key: aws.String(fmt.Sprint(i)), Value: aws.String("")})
	}
	_, err = w.TagResource(w.ctx, &secretsmanager.TagResourceInput{SecretId: &arn, Tags: many})
	want(t, err, "InvalidParameterException", "50")
}

func TestListSecretVersionIds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &awsemu.Emulator{Now: newClock().now})
	s := pendingEmpty()
	s.Versions = append([]awsemu.Version{{ID: id(50), Value: awsemu.Text("zero")}}, s.Versions...)
	for i := range s.Versions[1:] {
		s.Versions[i+1].ID = id(i + 1)
	}
	w.emu.Seed(s)
	list := func(in secretsmanager.ListSecretVersionIdsInput) ([]string, *string) {
		in.SecretId = aws.String("app/db")
		out, err := w.ListSecretVersionIds(w.ctx, &in)
		want(t, err, "", "")
		var ids []string
		for _, v := range out.Versions {
			ids = append(ids, aws.ToString(v.VersionId))
		}
		return ids, out.NextToken
	}
	if ids, _ := list(secretsmanager.ListSecretVersionIdsInput{}); !slices.Equal(ids, []string{id(1), id(2)}) {
		t.Errorf("without deprecated: %v", ids)
	}
	all, _ := list(secretsmanager.ListSecretVersionIdsInput{IncludeDeprecated: aws.Bool(true)})
	if !slices.Equal(all, []string{id(50), id(1), id(2)}) {
		t.Errorf("with deprecated, and without the empty pending version: %v", all)
	}
	first, token := list(secretsmanager.ListSecretVersionIdsInput{IncludeDeprecated: aws.Bool(true), MaxResults: aws.Int32(2)})
	rest, end := list(secretsmanager.ListSecretVersionIdsInput{IncludeDeprecated: aws.Bool(true), MaxResults: aws.Int32(2), NextToken: token})
	if !slices.Equal(append(first, rest...), all) || end != nil {
		t.Errorf("pages %v and %v", first, rest)
	}
	_, err := w.ListSecretVersionIds(w.ctx, &secretsmanager.ListSecretVersionIdsInput{SecretId: aws.String("app/db"), NextToken: aws.String("x")})
	want(t, err, "InvalidNextTokenException", "")
	d, err := w.DescribeSecret(w.ctx, &secretsmanager.DescribeSecretInput{SecretId: aws.String("app/db")})
	want(t, err, "", "")
	if len(d.VersionIdsToStages) != 3 || len(d.VersionIdsToStages[id(3)]) != 1 {
		t.Errorf("DescribeSecret shows the empty pending version and no deprecated one: %v", d.VersionIdsToStages)
	}
}

func TestListSecrets(t *testing.T) {
	t.Parallel()
	c := newClock()
	w := newWorld(t, &awsemu.Emulator{Now: c.now})
	for i, s := range []awsemu.Secret{
		{Name: "prod/a", Description: "Main database", Tags: map[string]string{"team": "blue"}},
		{Name: "prod/b", OwningService: "rds", Tags: map[string]string{"team": "red"}},
		{Name: "test/a", Description: "main test", Tags: map[string]string{"stage": "blue"}},
		{Name: "gone", Deleted: c.now().Add(time.Hour)},
	} {
		s.Created = c.now().Add(time.Duration(-i) * time.Hour)
		w.emu.Seed(s)
	}
	for _, f := range []struct {
		key    types.FilterNameStringType
		values []string
		want   string
	}{
		{"", nil, "test/a prod/b prod/a"},
		{"name", []string{"prod"}, "prod/b prod/a"},
		{"name", []string{"PROD"}, ""},
		{"name", []string{"!prod"}, "test/a"},
		{"name", []string{"prod/a", "test"}, "test/a prod/a"},
		{"description", []string{"MAIN"}, "test/a prod/a"},
		{"tag-key", []string{"team"}, "prod/b prod/a"},
		{"tag-value", []string{"bl"}, "test/a prod/a"},
		{"owning-service", []string{"rds"}, "prod/b"},
		{"all", []string{"main prod"}, "prod/a"},
		{"all", []string{"RED"}, "prod/b"},
	} {
		t.Run(string(f.key)+" "+strings.Join(f.values, ","), func(t *testing.T) {
			t.Parallel()
			in := &secretsmanager.ListSecretsInput{}
			if f.key != "" {
				in.Filters = []types.Filter{{Key: f.key, Values: f.values}}
			}
			out, err := w.ListSecrets(t.Context(), in)
			want(t, err, "", "")
			if got := names(out.SecretList); got != f.want {
				t.Errorf("%s, want %s", got, f.want)
			}
		})
	}
	t.Run("sorted, paged, with what is planned to go", func(t *testing.T) {
		t.Parallel()
		var got []string
		in := &secretsmanager.ListSecretsInput{IncludePlannedDeletion: aws.Bool(true), SortBy: types.SortByTypeName, SortOrder: types.SortOrderTypeDesc, MaxResults: aws.Int32(3)}
		pages := secretsmanager.NewListSecretsPaginator(w.Client, in)
		for pages.HasMorePages() {
			out, err := pages.NextPage(t.Context())
			want(t, err, "", "")
			got = append(got, names(out.SecretList))
		}
		if !slices.Equal(got, []string{"test/a prod/b prod/a", "gone"}) {
			t.Errorf("pages %q", got)
		}
	})
	t.Run("another Region has other secrets", func(t *testing.T) {
		t.Parallel()
		out, err := w.region("eu-west-1").ListSecrets(t.Context(), &secretsmanager.ListSecretsInput{})
		want(t, err, "", "")
		if len(out.SecretList) > 0 {
			t.Errorf("%s", names(out.SecretList))
		}
	})
	for name, in := range map[string]*secretsmanager.ListSecretsInput{
		"a filter of nobody":      {Filters: []types.Filter{{Key: "size", Values: []string{"x"}}}},
		"a filter of no value":    {Filters: []types.Filter{{Key: "name", Values: []string{}}}},
		"a filter's characters":   {Filters: []types.Filter{{Key: "name", Values: []string{"a*"}}}},
		"an order of nobody":      {SortOrder: "up"},
		"a page of 101":           {MaxResults: aws.Int32(101)},
		"eleven filters":          {Filters: make([]types.Filter, 11)},
		"a page of none":          {MaxResults: aws.Int32(0)},
		"a token of no character": {NextToken: aws.String("")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := w.ListSecrets(t.Context(), in)
			want(t, err, "ValidationException", "")
		})
	}
}

func names(list []types.SecretListEntry) string {
	var words []string
	for _, s := range list {
		words = append(words, aws.ToString(s.Name))
	}
	return strings.Join(words, " ")
}

func TestGetRandomPassword(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &awsemu.Emulator{})
	const lower, upper, digits, punct = "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789", "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
	all := []string{lower, upper, digits, punct}
	for _, c := range []struct {
		name    string
		in      secretsmanager.GetRandomPasswordInput
		length  int
		from    []string // each type that must be there; nothing else may
		require bool
		code    string
		text    string
	}{
		{name: "by default 32 of every type", length: 32, from: all, require: true},
		{name: "of each type one", in: secretsmanager.GetRandomPasswordInput{PasswordLength: aws.Int64(4)}, length: 4, from: all, require: true},
		{name: "4096", in: secretsmanager.GetRandomPasswordInput{PasswordLength: aws.Int64(4096)}, length: 4096, from: all, require: true},
		{name: "too short for its types", in: secretsmanager.GetRandomPasswordInput{PasswordLength: aws.Int64(3)}, code: "InvalidParameterException", text: "Password length is too short based on the required types."},
		{name: "the space is a type", in: secretsmanager.GetRandomPasswordInput{PasswordLength: aws.Int64(4), IncludeSpace: aws.Bool(true)}, code: "InvalidParameterException", text: "too short"},
		{name: "spaces", in: secretsmanager.GetRandomPasswordInput{PasswordLength: aws.Int64(5), IncludeSpace: aws.Bool(true)}, length: 5, from: append(slices.Clone(all), " "), require: true},
		{name: "digits alone", in: secretsmanager.GetRandomPasswordInput{PasswordLength: aws.Int64(1), ExcludeLowercase: aws.Bool(true), ExcludeUppercase: aws.Bool(true), ExcludePunctuation: aws.Bool(true)}, length: 1, from: []string{digits}, require: true},
		{name: "one character of no required type", in: secretsmanager.GetRandomPasswordInput{PasswordLength: aws.Int64(1), RequireEachIncludedType: aws.Bool(false)}, length: 1, from: all},
		{name: "characters that are excluded", in: secretsmanager.GetRandomPasswordInput{ExcludeCharacters: aws.String("/@\"'\\" + lower[1:])}, length: 32, from: []string{"a", upper, digits, "!#$%&()*+,-.:;<=>?[]^_`{|}~"}, require: true},
		{name: "a required type without characters", in: secretsmanager.GetRandomPasswordInput{ExcludeCharacters: aws.String(digits)}, code: "InvalidParameterException"},
		{name: "no characters at all", in: secretsmanager.GetRandomPasswordInput{ExcludeNumbers: aws.Bool(true), ExcludeLowercase: aws.Bool(true), ExcludeUppercase: aws.Bool(true), ExcludePunctuation: aws.Bool(true)}, code: "InvalidParameterException"},
		{name: "length 0", in: secretsmanager.GetRandomPasswordInput{PasswordLength: aws.Int64(0)}, code: "ValidationException"},
		{name: "length 4097", in: secretsmanager.GetRandomPasswordInput{PasswordLength: aws.Int64(4097)}, code: "ValidationException"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			out, err := w.GetRandomPassword(t.Context(), &c.in)
			want(t, err, c.code, c.text)
			if c.code != "" {
				return
			}
			p := aws.ToString(out.RandomPassword)
			if len(p) != c.length || strings.Trim(p, strings.Join(c.from, "")) != "" {
				t.Errorf("%d characters, or others than asked for", len(p))
			}
			for i, chars := range c.from {
				if c.require && !strings.ContainsAny(p, chars) {
					t.Errorf("nothing of type %d", i)
				}
			}
		})
	}
}

func policyFor(principal string) string {
	return `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":` + principal + `},"Action":"secretsmanager:GetSecretValue","Resource":"*"}}`
}

func TestResourcePolicy(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &awsemu.Emulator{})
	arn := w.emu.Seed(rotated())
	policy := policyFor(`"arn:aws:iam::123456789012:root"`)
	get := func() *string {
		out, err := w.GetResourcePolicy(w.ctx, &secretsmanager.GetResourcePolicyInput{SecretId: &arn})
		want(t, err, "", "")
		return out.ResourcePolicy
	}
	put := func(policy string, block bool) error {
		_, err := w.PutResourcePolicy(w.ctx, &secretsmanager.PutResourcePolicyInput{SecretId: &arn, ResourcePolicy: &policy, BlockPublicPolicy: &block})
		return err
	}
	if get() != nil {
		t.Error("a policy where none was put")
	}
	want(t, put(policy, true), "", "")
	if aws.ToString(get()) != policy {
		t.Error("not the policy that was put")
	}
	_, err := w.DeleteResourcePolicy(w.ctx, &secretsmanager.DeleteResourcePolicyInput{SecretId: &arn})
	want(t, err, "", "")
	if get() != nil {
		t.Error("a policy that was deleted")
	}
	public := policyFor(`"*"`)
	want(t, put(public, true), "PublicPolicyException", "broad access")
	want(t, put(public, false), "", "")
	want(t, put(strings.Repeat(" ", 20481), false), "ValidationException", "20480")
	for name, bad := range map[string]string{
		"not JSON":     `{`,
		"no statement": `{"Version":"2012-10-17"}`,
		"a version":    strings.Replace(policy, "2012", "2013", 1),
		"an effect":    strings.Replace(policy, "Allow", "Maybe", 1),
		"no principal": strings.Replace(policy, `"Principal":{"AWS":"arn:aws:iam::123456789012:root"},`, "", 1),
		"no action":    strings.Replace(policy, `"Action":"secretsmanager:GetSecretValue",`, "", 1),
		"no resource":  strings.Replace(policy, `,"Resource":"*"`, "", 1),
		"a number":     strings.Replace(policy, `"*"`, "1", 1),
	} {
		t.Run(name, func(t *testing.T) {
			want(t, put(bad, false), "MalformedPolicyDocumentException", "")
			_, err := w.ValidateResourcePolicy(w.ctx, &secretsmanager.ValidateResourcePolicyInput{ResourcePolicy: &bad})
			want(t, err, "MalformedPolicyDocumentException", "")
		})
	}
	for text, passes := range map[string]bool{policy: true, public: false} {
		out, err := w.ValidateResourcePolicy(w.ctx, &secretsmanager.ValidateResourcePolicyInput{SecretId: &arn, ResourcePolicy: &text})
		want(t, err, "", "")
		if out.PolicyValidationPassed != passes || (len(out.ValidationErrors) == 0) != passes {
			t.Errorf("validation: %+v", out)
		}
	}
}
