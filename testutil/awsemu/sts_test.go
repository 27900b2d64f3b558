package awsemu_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/quarterturn-dev/quarterturn/rotator/iam"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
)

const userARN = "arn:aws:iam::" + home + ":user/team/ann"

func user(identity ...iam.NamedPolicy) awsemu.Caller {
	return awsemu.Caller{AccessKey: "USER", Principal: iam.Principal{ARN: userARN}, Identity: identity}
}

// roled is a world with a user who may assume a role that may do everything.
func roled(t *testing.T, change ...func(*awsemu.Emulator)) *world {
	emu := &awsemu.Emulator{
		Callers: []awsemu.Caller{user(allowing("user", "sts:*"))},
		Roles:   []awsemu.Role{{ARN: roleARN, Trust: named("trust", statement("Allow", "sts:*", to(account))), Identity: []iam.NamedPolicy{anything()}, Tags: map[string]string{"team": "blue", "site": "x"}}},
	}
	for _, c := range change {
		c(emu)
	}
	w := newWorld(t, emu)
	w.emu.Seed(rotated())
	return w
}

func TestGetCallerIdentity(t *testing.T) {
	t.Parallel()
	w := roled(t)
	who := func(c aws.Credentials) string {
		out, err := w.sts(c).GetCallerIdentity(w.ctx, &sts.GetCallerIdentityInput{})
		if err != nil {
			return err.Error()
		}
		return strings.Join([]string{aws.ToString(out.Arn), aws.ToString(out.Account), aws.ToString(out.UserId)[:4]}, " ")
	}
	if got := who(key("USER")); got != userARN+" "+home+" AIDA" {
		t.Error(got)
	}
	night, err := w.assume(key("USER"))
	want(t, err, "", "")
	if got := who(night); got != "arn:aws:sts::"+home+":assumed-role/rotate/night "+home+" AROA" {
		t.Error(got)
	}
	if got := who(key("STRANGER")); !strings.Contains(got, "InvalidClientTokenId") || !strings.Contains(got, "StatusCode: 403") {
		t.Error(got)
	}
	if got := w.emu.Calls()[1].String(); got != "sts:AssumeRole" {
		t.Errorf("call %s", got)
	}
	bare := newWorld(t, &awsemu.Emulator{})
	out, err := bare.sts(key("ANY")).GetCallerIdentity(w.ctx, &sts.GetCallerIdentityInput{})
	if err != nil || aws.ToString(out.Account) != home {
		t.Errorf("without callers: %v %v", out, err)
	}
	if _, err := bare.assume(key("ANY"), func(in *sts.AssumeRoleInput) { in.DurationSeconds = aws.Int32(7200) }); err != nil {
		t.Errorf("without callers: %v", err)
	}
}

// TestAssumeRole: both sides of a role's door.
func TestAssumeRole(t *testing.T) {
	t.Parallel()
	trust := func(principal string, parts ...string) func(*awsemu.Emulator) {
		return func(e *awsemu.Emulator) {
			e.Roles[0].Trust = named("trust", statement("Allow", "sts:*", append(parts, to(principal))...))
		}
	}
	nothing := func(e *awsemu.Emulator) { e.Callers[0].Identity = nil }
	const refused = "User: " + userARN + " is not authorized to perform: sts:AssumeRole on resource: "
	for _, c := range []struct {
		name       string
		set        []func(*awsemu.Emulator)
		ask        func(*sts.AssumeRoleInput)
		code, text string
	}{
		{name: "trusts the account, and the user may"},
		{name: "trusts the account, and the user may not", set: []func(*awsemu.Emulator){nothing}, code: "AccessDenied", text: refused + roleARN},
		{name: "trusts the user, who need not be allowed", set: []func(*awsemu.Emulator){nothing, trust(`{"AWS":"` + userARN + `"}`)}},
		{name: "trusts somebody else", set: []func(*awsemu.Emulator){trust(`{"AWS":"arn:aws:iam::` + home + `:user/bob"}`)}, code: "AccessDenied", text: refused + roleARN},
		{name: "trusts Lambda", set: []func(*awsemu.Emulator){trust(`{"Service":"lambda.amazonaws.com"}`)}, code: "AccessDenied"},
		{name: "no such role", ask: func(in *sts.AssumeRoleInput) { in.RoleArn = aws.String(roleARN + "s") }, code: "AccessDenied", text: refused + roleARN + "s"},
		{name: "an external id", set: []func(*awsemu.Emulator){trust(account, when("StringEquals", "sts:ExternalId", "x1"))}, ask: func(in *sts.AssumeRoleInput) { in.ExternalId = aws.String("x1") }},
		{name: "no external id", set: []func(*awsemu.Emulator){trust(account, when("StringEquals", "sts:ExternalId", "x1"))}, code: "AccessDenied"},
		{name: "a session name", set: []func(*awsemu.Emulator){trust(account, when("StringEquals", "sts:RoleSessionName", "night"))}},
		{name: "another session name", set: []func(*awsemu.Emulator){trust(account, when("StringEquals", "sts:RoleSessionName", "day"))}, code: "AccessDenied"},
		{name: "a tag that the trust policy wants", set: []func(*awsemu.Emulator){trust(account, when("StringEquals", "aws:RequestTag/team", "red"))}, ask: tagged},
		{name: "a tag without sts:TagSession", set: []func(*awsemu.Emulator){func(e *awsemu.Emulator) {
			e.Callers[0].Identity[0] = allowing("user", "sts:AssumeRole")
		}}, ask: tagged, code: "AccessDenied", text: "sts:AssumeRole"},
		{name: "an SCP", set: []func(*awsemu.Emulator){func(e *awsemu.Emulator) {
			e.Accounts = []awsemu.Account{{ID: home, SCPs: [][]iam.NamedPolicy{{allowing("scp", "kms:*")}}}}
		}}, code: "AccessDenied"},
		{name: "a role of another account that does not trust ours", set: []func(*awsemu.Emulator){func(e *awsemu.Emulator) {
			e.Roles[0].ARN, e.Roles[0].Trust = strings.Replace(roleARN, home, abroad, 1), named("trust", statement("Allow", "sts:AssumeRole", to(`{"AWS":"`+abroad+`"}`)))
		}}, ask: func(in *sts.AssumeRoleInput) { in.RoleArn = aws.String(strings.Replace(roleARN, home, abroad, 1)) }, code: "AccessDenied"},
		{name: "14 minutes", ask: func(in *sts.AssumeRoleInput) { in.DurationSeconds = aws.Int32(840) }, code: "ValidationError", text: "durationSeconds"},
		{name: "two hours", ask: func(in *sts.AssumeRoleInput) { in.DurationSeconds = aws.Int32(7200) }, code: "ValidationError", text: "MaxSessionDuration"},
		{name: "two hours of a role that lasts", set: []func(*awsemu.Emulator){func(e *awsemu.Emulator) { e.Roles[0].MaxSession = 2 * time.Hour }}, ask: func(in *sts.AssumeRoleInput) { in.DurationSeconds = aws.Int32(7200) }},
		{name: "a session name of other characters", ask: func(in *sts.AssumeRoleInput) { in.RoleSessionName = aws.String("a b") }, code: "ValidationError", text: "roleSessionName"},
		{name: "a session policy that does not parse", ask: func(in *sts.AssumeRoleInput) { in.Policy = aws.String("{}") }, code: "MalformedPolicyDocument"},
		{name: "managed session policies", ask: func(in *sts.AssumeRoleInput) {
			in.PolicyArns = []types.PolicyDescriptorType{{Arn: aws.String("arn:aws:iam::aws:policy/ReadOnlyAccess")}}
		}, code: "ValidationError", text: "managed policies"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := roled(t, c.set...)
			var change []func(*sts.AssumeRoleInput)
			if c.ask != nil {
				change = append(change, c.ask)
			}
			night, err := w.assume(key("USER"), change...)
			want(t, err, c.code, c.text)
			if c.code == "" {
				want(t, get("", "")(w.with(night)), "", "")
			}
		})
	}
}

func tagged(in *sts.AssumeRoleInput) {
	in.Tags = []types.Tag{{Key: aws.String("team"), Value: aws.String("red")}}
}

// TestSession: what a session may do, how long, and that it needs its token.
func TestSession(t *testing.T) {
	t.Parallel()
	t.Run("a session policy limits it", func(t *testing.T) {
		t.Parallel()
		w := roled(t)
		night, err := w.assume(key("USER"), func(in *sts.AssumeRoleInput) {
			in.Policy = aws.String(document(statement("Allow", "secretsmanager:DescribeSecret")))
		})
		want(t, err, "", "")
		want(t, describe(w.with(night)), "", "")
		want(t, get("", "")(w.with(night)), "AccessDeniedException", "because no session policy allows the secretsmanager:GetSecretValue action")
	})
	t.Run("it follows its role's policies", func(t *testing.T) {
		t.Parallel()
		w := roled(t)
		night, err := w.assume(key("USER"))
		want(t, err, "", "")
		want(t, get("", "")(w.with(night)), "", "")
		w.emu.SetRole(awsemu.Role{ARN: roleARN, Identity: []iam.NamedPolicy{allowing("p", "kms:*")}})
		want(t, get("", "")(w.with(night)), "AccessDeniedException", "User: arn:aws:sts::"+home+":assumed-role/rotate/night is not authorized")
	})
	t.Run("it ends", func(t *testing.T) {
		t.Parallel()
		c := newClock()
		w := roled(t, func(e *awsemu.Emulator) { e.Now = c.now })
		night, err := w.assume(key("USER"), func(in *sts.AssumeRoleInput) { in.DurationSeconds = aws.Int32(900) })
		want(t, err, "", "")
		c.pass(15*time.Minute - time.Second)
		want(t, get("", "")(w.with(night)), "", "")
		c.pass(time.Second)
		want(t, get("", "")(w.with(night)), "ExpiredTokenException", "expired")
		_, err = w.assume(night)
		want(t, err, "ExpiredToken", "expired")
	})
	t.Run("it needs its token", func(t *testing.T) {
		t.Parallel()
		w := roled(t)
		night, err := w.assume(key("USER"))
		want(t, err, "", "")
		night.SessionToken = "another"
		want(t, get("", "")(w.with(night)), "UnrecognizedClientException", "")
	})
	t.Run("tags of the role and of the session", func(t *testing.T) {
		t.Parallel()
		w := roled(t, func(e *awsemu.Emulator) {
			e.Roles[0].Identity = []iam.NamedPolicy{named("p", statement("Allow", "*", `"Condition":{"StringEquals":{"aws:PrincipalTag/team":"red","aws:PrincipalTag/site":"x"}}`))}
		})
		night, err := w.assume(key("USER"), tagged)
		want(t, err, "", "")
		want(t, get("", "")(w.with(night)), "", "")
		night, err = w.assume(key("USER"))
		want(t, err, "", "")
		want(t, get("", "")(w.with(night)), "AccessDeniedException", "")
	})
	t.Run("a session that assumes a role has an hour", func(t *testing.T) {
		t.Parallel()
		w := roled(t, func(e *awsemu.Emulator) { e.Roles[0].MaxSession = 12 * time.Hour })
		night, err := w.assume(key("USER"))
		want(t, err, "", "")
		_, err = w.assume(night, func(in *sts.AssumeRoleInput) { in.DurationSeconds = aws.Int32(7200) })
		want(t, err, "ValidationError", "role chaining")
	})
	t.Run("it goes through its caller's endpoint", func(t *testing.T) {
		t.Parallel()
		w := roled(t, func(e *awsemu.Emulator) {
			e.Callers[0].Endpoints = map[string]awsemu.Endpoint{"secretsmanager": {ID: "vpce-1"}}
			e.Roles[0].Identity = []iam.NamedPolicy{named("p", statement("Allow", "*", when("StringEquals", "aws:SourceVpce", "vpce-1")))}
		})
		night, err := w.assume(key("USER"))
		want(t, err, "", "")
		want(t, get("", "")(w.with(night)), "", "")
	})
}

// TestAcrossAccounts: a secret of another account goes by its ARN, and needs the
// caller's policy, the secret's, the key's, and a key that is the customer's.
func TestAcrossAccounts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name                  string
		identity              []iam.NamedPolicy
		secret, key           string
		code, text, otherText string
	}{
		{"all sides", []iam.NamedPolicy{anything()}, "*", "*", "", "", ""},
		{"not the caller's", []iam.NamedPolicy{allowing("k", "kms:*")}, "*", "*", "AccessDeniedException", "because no identity-based policy allows", ""},
		{"not the secret's", []iam.NamedPolicy{anything()}, "kms:*", "*", "AccessDeniedException", "because no resource-based policy allows", ""},
		{"not the key's", []iam.NamedPolicy{anything()}, "*", "s3:*", "AccessDeniedException", "Access to KMS is not allowed", ""},
		{"not the caller's for the key", []iam.NamedPolicy{allowing("s", "secretsmanager:*")}, "*", "*", "AccessDeniedException", "Access to KMS is not allowed", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, &awsemu.Emulator{Callers: []awsemu.Caller{functionCaller(c.identity...)}})
			ours := w.emu.Seed(rotated())
			s := rotated()
			s.Account = abroad
			s.KMSKeyID = w.emu.SeedKey(awsemu.Key{Account: abroad, Policy: document(statement("Allow", c.key, to(account)))})
			s.Policy = document(statement("Allow", c.secret, to(account)))
			theirs := w.emu.Seed(s)
			if theirs == ours || !strings.Contains(theirs, abroad) {
				t.Fatalf("%s, %s", ours, theirs)
			}
			if got := w.emu.Snapshot(theirs); got.Account != abroad || w.emu.Snapshot("app/db").Account != home {
				t.Errorf("account %s", got.Account)
			}
			_, err := w.GetSecretValue(w.ctx, &secretsmanager.GetSecretValueInput{SecretId: &theirs})
			want(t, err, c.code, c.text)
		})
	}
}

// TestRotationAcrossAccounts: a function rotates a secret of another account, with
// its own role or with a role of that account. Either way the value must come with
// the event's RotationToken, or the service does not believe where it is from.
func TestRotationAcrossAccounts(t *testing.T) {
	t.Parallel()
	const theirRole = "arn:aws:iam::" + abroad + ":role/rotate-here"
	for _, c := range []struct {
		name            string
		assume, token   bool
		outcome, reason string
	}{
		{"its own role, with the token", false, true, "RotationSucceeded", ""},
		{"its own role, without it", false, false, "RotationFailed", "was not created by Lambda"},
		{"a role of theirs, with the token", true, true, "RotationSucceeded", ""},
		{"a role of theirs, without it", true, false, "RotationFailed", "was not created by Lambda"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			operator := awsemu.Caller{AccessKey: "OPERATOR", Principal: iam.Principal{ARN: "arn:aws:iam::" + abroad + ":user/op"}, Identity: []iam.NamedPolicy{anything()}}
			f := &function{}
			w := rotating(t, &awsemu.Emulator{
				Attempts: 1,
				Callers:  []awsemu.Caller{functionCaller(anything()), operator},
				Roles:    []awsemu.Role{{ARN: theirRole, Identity: []iam.NamedPolicy{anything()}, Trust: named("trust", statement("Allow", "sts:AssumeRole", to(`{"AWS":"`+roleARN+`"}`)))}},
				Functions: []awsemu.Function{{ARN: functionARN, Policy: named("function policy",
					statement("Allow", "lambda:InvokeFunction", to(`{"AWS":"arn:aws:iam::`+abroad+`:root"}`)),
					statement("Allow", "lambda:InvokeFunction", to(`{"Service":"secretsmanager.amazonaws.com"}`), when("StringEquals", "aws:SourceAccount", abroad)))}},
			}, f)
			s := rotated()
			s.Account = abroad
			s.KMSKeyID = w.emu.SeedKey(awsemu.Key{Account: abroad, Policy: document(statement("Allow", "kms:*", to(account)), statement("Allow", "kms:*", to(`{"AWS":"`+abroad+`"}`)))})
			s.Policy = document(statement("Allow", "secretsmanager:*", to(`{"AWS":"`+roleARN+`"}`)))
			arn := w.emu.Seed(s)
			f.before = func(e event) error {
				if c.assume {
					there, err := w.assume(key("AKIDTEST"), func(in *sts.AssumeRoleInput) { in.RoleArn = aws.String(theirRole) })
					if err != nil {
						return err
					}
					f.w = w.with(there)
				}
				if e.Step != "createSecret" || c.token {
					return nil
				}
				_, err := f.w.PutSecretValue(w.ctx, &secretsmanager.PutSecretValueInput{SecretId: &e.SecretId, ClientRequestToken: &e.ClientRequestToken,
					SecretString: aws.String("new"), VersionStages: []string{"AWSPENDING"}})
				return err
			}
			_, err := w.as(key("OPERATOR")).RotateSecret(w.ctx, &secretsmanager.RotateSecretInput{SecretId: &arn, RotationLambdaARN: aws.String(functionARN), ClientRequestToken: aws.String(id(3))})
			want(t, err, "", "")
			r, err := w.emu.WaitRotation(w.ctx, arn)
			if err != nil || r.Outcome != c.outcome || !strings.Contains(r.Message, c.reason) {
				t.Errorf("%s %q %v", r.Outcome, r.Message, err)
			}
		})
	}
}
