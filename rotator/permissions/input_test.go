package permissions_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator/permissions"
)

var update = flag.Bool("update", false, "rewrite testdata")

// base is input that fits together.
func base() permissions.Input {
	return permissions.Input{
		Secret:   "arn:aws:secretsmanager:us-east-1:111122223333:secret:prod/app-AbCd12",
		Role:     "arn:aws:iam::111122223333:role/service-role/rotate",
		Function: "arn:aws:lambda:us-east-1:111122223333:function:rotate",
	}
}

const (
	inputKey       = "arn:aws:kms:us-east-1:111122223333:key/10000000-0000-4000-8000-000000000001"
	inputSuperuser = "arn:aws:secretsmanager:us-east-1:111122223333:secret:prod/superuser-XyZ123"
	inputManaged   = "arn:aws:secretsmanager:us-east-1:111122223333:secret:rds!db-0a1b2c3d-XyZ123"
	inputDatabase  = "arn:aws:rds:us-east-1:111122223333:db:app"
	inputReader    = "arn:aws:iam::111122223333:role/application"
)

// oddInputs are what people give by mistake, and what they may well give.
func oddInputs() []struct {
	name   string
	change func(*permissions.Input)
} {
	type in = *permissions.Input
	in2 := func(partition, region string) func(in) {
		return func(i in) {
			for _, s := range []*string{&i.Secret, &i.Role, &i.Function} {
				*s = strings.NewReplacer("arn:aws:", "arn:"+partition+":", "us-east-1", region).Replace(*s)
			}
			i.Key = strings.NewReplacer("arn:aws:", "arn:"+partition+":", "us-east-1", region).Replace(inputKey)
			i.VPC = true
		}
	}
	return []struct {
		name   string
		change func(*permissions.Input)
	}{
		// What fits, printed.
		{"as it is", func(i in) {}},
		{"a pattern", func(i in) { i.Secret, i.Key = strings.Replace(i.Secret, "AbCd12", "??????", 1), inputKey }},
		{"a pattern with a star", func(i in) { i.Secret, i.Key = strings.Replace(i.Secret, "app-AbCd12", "*", 1), inputKey }},
		{"an alias of the function", func(i in) { i.Function += ":live"; i.OnlyConfigured = true }},
		{"the latest version of the function", func(i in) { i.Function += ":$LATEST" }},
		{"China", in2("aws-cn", "cn-north-1")},
		{"the European Sovereign Cloud", in2("aws-eusc", "eusc-de-east-1")},
		{"an RDS instance for the secret of a cluster", func(i in) {
			i.Superuser, i.Database = strings.Replace(inputManaged, "rds!db-", "rds!cluster-", 1), inputDatabase
		}},
		{"an RDS cluster for the secret of an instance", func(i in) {
			i.Superuser, i.Database = inputManaged, strings.Replace(inputDatabase, ":db:", ":cluster:", 1)
		}},
		{"the role of the function as reader", func(i in) { i.Reader = i.Role }},
		{"an account as reader", func(i in) { i.Reader = "arn:aws:iam::111122223333:root" }},
		{"GovCloud", in2("aws-us-gov", "us-gov-west-1")},
		{"iso", in2("aws-iso", "us-iso-east-1")},
		{"a superuser", func(i in) { i.Superuser, i.SuperuserKey = inputSuperuser, inputKey }},
		{"a superuser that RDS manages", func(i in) { i.Superuser, i.Database = inputManaged, inputDatabase }},
		{"another account", func(i in) {
			i.Role, i.Function, i.Key = strings.Replace(i.Role, "1111", "9999", 1), strings.Replace(i.Function, "1111",
				"9999", 1), inputKey
		}},
		{"a reader", func(i in) { i.Reader, i.Key = inputReader, inputKey }},
		{"labels with spaces", func(i in) { i.Reader, i.Labels = inputReader, "AWSCURRENT, AWSPREVIOUS" }},
		{"Regions with spaces", func(i in) { i.Regions = " eu-west-1 , eu-central-1 " }},
		{"spaces around an ARN", func(i in) { i.Secret = "  " + i.Secret + "\n" }},
		{"a multi-Region key", func(i in) {
			i.Key = "arn:aws:kms:us-east-1:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab"
		}},

		// One by one.
		{"nothing", func(i in) { *i = permissions.Input{} }},
		{"no role", func(i in) { i.Role = "" }},
		{"no function", func(i in) { i.Function = " " }},
		{"a secret by name", func(i in) { i.Secret = "prod/app" }},
		{"a secret without its six characters", func(i in) { i.Secret = strings.TrimSuffix(i.Secret, "-AbCd12") }},
		{"a secret whose name ends like them", func(i in) { i.Secret = strings.Replace(i.Secret, "app-AbCd12", "db-secret", 1) }},
		{"a secret whose name ends in a date", func(i in) { i.Secret = strings.Replace(i.Secret, "app-AbCd12", "app-202611", 1) }},
		{"every secret", func(i in) { i.Secret = "arn:aws:secretsmanager:us-east-1:111122223333:secret:*" }},
		{"a star", func(i in) { i.Secret = "*" }},
		{"two secrets", func(i in) { i.Secret += "," + i.Secret }},
		{"a secret in quotes", func(i in) { i.Secret = `"` + i.Secret + `"` }},
		{"any account", func(i in) { i.Secret = strings.Replace(i.Secret, "111122223333", "*", 1) }},
		{"an account with hyphens", func(i in) { i.Role = strings.Replace(i.Role, "111122223333", "1111-2222-3333", 1) }},
		{"an availability zone", func(i in) { i.Secret = strings.Replace(i.Secret, "us-east-1", "us-east-1a", 1) }},
		{"no Region", func(i in) { i.Function = strings.Replace(i.Function, "us-east-1", "", 1) }},
		{"half an ARN", func(i in) { i.Secret = "arn:aws:secretsmanager" }},
		{"a secret that RDS rotates", func(i in) { i.Secret = inputManaged }},
		{"a partition that is none", func(i in) { i.Secret = strings.Replace(i.Secret, "arn:aws:", "arn:amazon:", 1) }},
		{"China's Region in the wrong partition", func(i in) { i.Secret = strings.Replace(i.Secret, "us-east-1", "cn-north-1", 1) }},
		{"another Region in China's partition", func(i in) { i.Secret = strings.Replace(i.Secret, "arn:aws:", "arn:aws-cn:", 1) }},
		{"a role by name", func(i in) { i.Role = "rotate" }},
		{"a session", func(i in) { i.Role = "arn:aws:sts::111122223333:assumed-role/rotate/function" }},
		{"a user in place of the role", func(i in) { i.Role = "arn:aws:iam::111122223333:user/ann" }},
		{"the account in place of the role", func(i in) { i.Role = "arn:aws:iam::111122223333:root" }},
		{"an instance profile", func(i in) { i.Role = "arn:aws:iam::111122223333:instance-profile/rotate" }},
		{"any role", func(i in) { i.Role = "arn:aws:iam::111122223333:role/*" }},
		{"a role with a Region", func(i in) { i.Role = "arn:aws:iam:us-east-1:111122223333:role/rotate" }},
		{"a function by name", func(i in) { i.Function = "rotate" }},
		{"a partial function", func(i in) { i.Function = "111122223333:function:rotate" }},
		{"any function", func(i in) { i.Function = "arn:aws:lambda:us-east-1:111122223333:function:*" }},
		{"a layer", func(i in) { i.Function = "arn:aws:lambda:us-east-1:111122223333:layer:rotate:3" }},
		{"a key by alias", func(i in) { i.Key = "alias/app" }},
		{"a key by the ARN of an alias", func(i in) { i.Key = "arn:aws:kms:us-east-1:111122223333:alias/app" }},
		{"a key by id", func(i in) { i.Key = "1234abcd-12ab-34cd-56ef-1234567890ab" }},
		{"a multi-Region key by id", func(i in) { i.Key = "mrk-1234abcd12ab34cd56ef1234567890ab" }},
		{"AWS's own key", func(i in) { i.Key = "alias/aws/secretsmanager" }},
		{"AWS's own key by ARN", func(i in) { i.Key = "arn:aws:kms:us-east-1:111122223333:alias/aws/secretsmanager" }},
		{"any key", func(i in) { i.Key = "arn:aws:kms:us-east-1:111122223333:key/*" }},
		{"a word for a key", func(i in) { i.Key = "default" }},
		{"a database by name", func(i in) { i.Superuser, i.Database = inputManaged, "app" }},
		{"a proxy for a database", func(i in) {
			i.Superuser, i.Database = inputManaged, "arn:aws:rds:us-east-1:111122223333:db-proxy:prx-1"
		}},
		{"a lower-case label", func(i in) { i.Reader, i.Labels = inputReader, "awscurrent" }},
		{"a label that AWS does not have", func(i in) { i.Reader, i.Labels = inputReader, "AWSCURENT" }},
		{"labels without commas", func(i in) { i.Reader, i.Labels = inputReader, "AWSCURRENT AWSPREVIOUS" }},
		{"a comma too much", func(i in) { i.Reader, i.Labels = inputReader, "AWSCURRENT," }},
		{"a label twice", func(i in) { i.Reader, i.Labels = inputReader, "blue,blue" }},
		{"any label", func(i in) { i.Reader, i.Labels = inputReader, "*" }},
		{"a city for a Region", func(i in) { i.Regions = "ireland" }},

		// One against the other.
		{"secret and role swapped", func(i in) { i.Secret, i.Role = i.Role, i.Secret }},
		{"role and function swapped", func(i in) { i.Role, i.Function = i.Function, i.Role }},
		{"the key in place of the secret", func(i in) { i.Secret = inputKey }},
		{"the database in place of the superuser", func(i in) { i.Superuser = inputDatabase }},
		{"a bucket in place of the secret", func(i in) { i.Secret = "arn:aws:s3:::bucket" }},
		{"a function in another Region", func(i in) { i.Function = strings.Replace(i.Function, "us-east-1", "eu-west-1", 1) }},
		{"a function in another partition", func(i in) { i.Function = "arn:aws-cn:lambda:cn-north-1:111122223333:function:rotate" }},
		{"a role in another partition", func(i in) { i.Role = strings.Replace(i.Role, "arn:aws:", "arn:aws-us-gov:", 1) }},
		{"a role of another account than the function", func(i in) { i.Role = strings.Replace(i.Role, "1111", "9999", 1) }},
		{"a key in another Region", func(i in) { i.Key = strings.Replace(inputKey, "us-east-1", "eu-west-1", 1) }},
		{"another account without a key", func(i in) {
			i.Role, i.Function = strings.Replace(i.Role, "1111", "9999", 1), strings.Replace(i.Function, "1111", "9999",
				1)
		}},
		{"another account without a superuser's key", func(i in) {
			i.Role, i.Function, i.Key, i.Superuser = strings.Replace(i.Role, "1111", "9999", 1),
				strings.Replace(i.Function, "1111", "9999", 1), inputKey, inputSuperuser
		}},
		{"a reader of another account without a key", func(i in) { i.Reader = strings.Replace(inputReader, "1111", "9999", 1) }},
		{"a superuser in another Region", func(i in) { i.Superuser = strings.Replace(inputSuperuser, "us-east-1", "eu-west-1", 1) }},
		{"the secret as its own superuser", func(i in) { i.Superuser = i.Secret }},
		{"a pattern that is of the superuser too", func(i in) {
			i.Secret, i.Superuser = strings.Replace(i.Secret, "app-AbCd12", "*", 1), inputSuperuser
		}},
		{"a superuser's key without a superuser", func(i in) { i.SuperuserKey = inputKey }},
		{"a superuser's key by alias", func(i in) { i.Superuser, i.SuperuserKey = inputSuperuser, "alias/app" }},
		{"a superuser's key in another Region", func(i in) {
			i.Superuser, i.SuperuserKey = inputSuperuser, strings.Replace(inputKey, "us-east-1", "eu-west-1", 1)
		}},
		{"a database without a superuser", func(i in) { i.Database = inputDatabase }},
		{"a managed superuser without a database", func(i in) { i.Superuser = inputManaged }},
		{"a database in another Region", func(i in) {
			i.Superuser, i.Database = inputManaged, strings.Replace(inputDatabase, "us-east-1", "eu-west-1", 1)
		}},
		{"a database of another account", func(i in) { i.Superuser, i.Database = inputManaged, strings.Replace(inputDatabase, "1111", "9999", 1) }},
		{"labels without a reader", func(i in) { i.Labels = "AWSPREVIOUS" }},
		{"replicating to where the secret is", func(i in) { i.Regions = "us-east-1" }},
		{"replicating to another partition", func(i in) { i.Regions = "cn-north-1" }},
	}
}

// TestWhatIsPrinted: each odd input has one line that says which flag and why, or the
// policies that it makes. The file is meant to be read.
func TestWhatIsPrinted(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	names := map[string]bool{}
	for _, c := range oddInputs() {
		in := base()
		c.change(&in)
		fmt.Fprintf(&out, "== %s\n", c.name)
		names[c.name] = true
		all, err := in.Policies()
		if err != nil {
			if line := err.Error(); !strings.HasPrefix(line, "--") || strings.Contains(line, "\n") ||
				strings.Contains(line, "%!") {
				t.Errorf("%s: not one line about a flag: %q", c.name, line)
			}
			fmt.Fprintf(&out, "%v\n", err)
			continue
		}
		for _, a := range all {
			fmt.Fprintf(&out, "# %s\n", a.To)
			for _, s := range a.Policy {
				fmt.Fprintf(&out, "  %s\n", s)
			}
			if text := a.String(); !json.Valid([]byte(text[strings.Index(text, "\n"):])) ||
				strings.Contains(text, "null") {
				t.Errorf("%s: not JSON: %s", c.name, text)
			}
		}
	}
	if len(names) != len(oddInputs()) {
		t.Error("two inputs have one name")
	}
	const golden = "testdata/printed.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got := out.String(); got != string(want) {
		g, w := strings.Split(got, "\n"), strings.Split(string(want), "\n")
		for i := range min(len(g), len(w)) {
			if g[i] != w[i] {
				t.Fatalf("line %d (go test ./rotator/permissions -run TestWhatIsPrinted -update, and read what "+
					"changed)\ngot  %s\nwant %s", i+1, g[i], w[i])
			}
		}
		t.Fatal("one is longer than the other")
	}
}
