package contract

import (
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
)

func rules(days int64) *types.RotationRulesType {
	return &types.RotationRulesType{AutomaticallyAfterDays: &days}
}

// rotationRows are about RotateSecret and what the function is told: RO-xxx.
func rotationRows() []Row {
	const (
		success  = localstackSM + "test_rotate_secret_with_lambda_success, 2025-03-30"
		verified = motoSM + "test_rotate_secret_using_lambda, verified on AWS"
		dry      = motoSM + "test_rotate_secret_using_lambda_dont_rotate_immediately, verified on AWS; getmoto/moto " +
			"pull 8547"
	)
	return []Row{
		{ID: "RO-001", Does: "RotateSecret of a secret that never had a function", State: Recorded,
			Source: localstackSM + "test_first_rotate_secret_with_missing_lambda_arn, 2025-03-27",
			Want:   Want{Code: invalidRequest, Status: 400, Text: textNoLambda, Labels: "first:AWSCURRENT"},
			Do: func(t *T) (any, error) {
				return ret(t.SM.RotateSecret(t.Ctx, &secretsmanager.RotateSecretInput{SecretId: &t.Secret().ARN,
					RotationRules: rules(1)}))
			}},
		{ID: "RO-002", Does: "RotateSecret with a function that is not there", State: Recorded,
			Source: localstackSM + "test_rotate_secret_invalid_lambda_arn, 2024-03-15",
			Want:   Want{Code: denied, Status: 400, Text: textInvoke, Labels: "first:AWSCURRENT"},
			Do: func(t *T) (any, error) {
				return ret(t.SM.RotateSecret(t.Ctx, &secretsmanager.RotateSecretInput{SecretId: &t.Secret().ARN,
					RotationRules:     rules(1),
					RotationLambdaARN: aws.String(t.noFunction())}))
			}},
		{ID: "RO-003", Does: "RotateSecret with a function that is not there stores nothing", State: Recorded,
			Source: localstackSM + "test_rotate_secret_invalid_lambda_arn, 2024-03-15",
			Want: Want{Fields: map[string]string{"RotationEnabled": "-", "RotationRules": "-",
				"RotationLambdaARN": "-"}},
			Do: func(t *T) (any, error) {
				s := t.Secret()
				if _, err := t.SM.RotateSecret(t.Ctx, &secretsmanager.RotateSecretInput{SecretId: &s.ARN,
					RotationRules:     rules(1),
					RotationLambdaARN: aws.String(t.noFunction())}); err == nil {
					t.Must(errors.New("RotateSecret was accepted"))
				}
				return t.Describe(s.ARN)
			}},
		{ID: "RO-010", Does: "RotateSecret: the answer", State: Recorded, Source: success, Needs: NeedFunction,
			Want: Want{Fields: map[string]string{"ARN": "{arn}", "Name": "{name}", "VersionId": "{token}"}},
			Do: func(t *T) (any, error) {
				s := t.Secret()
				out, err := t.StartRotation(s, func(in *secretsmanager.RotateSecretInput) {
					in.ClientRequestToken = aws.String(t.Let("token", Token()))
				})
				if err == nil {
					t.Must(t.run.settle(t.Ctx, s.ARN, *out.VersionId))
				}
				return ret(out, err)
			}},
		{ID: "RO-011", Does: "RotateSecret: the labels at its end", State: Recorded, Source: success,
			Needs: NeedFunction,
			Want:  Want{Labels: "first:AWSPREVIOUS pending:AWSCURRENT"},
			Do:    func(t *T) (any, error) { t.Rotate(t.Secret()); return nil, nil },
			Ask:   func(t *T) (any, error) { return nil, nil }},
		{ID: "RO-012", Does: "RotateSecret: DescribeSecret at its end", State: Recorded, Source: success,
			Needs: NeedFunction,
			Want: Want{Fields: map[string]string{"RotationEnabled": "true", "RotationLambdaARN": "{function}",
				"RotationRules.AutomaticallyAfterDays": "30", "LastRotatedDate": "*", "NextRotationDate": "*"}},
			Do:  func(t *T) (any, error) { t.Rotate(t.Secret()); return nil, nil },
			Ask: func(t *T) (any, error) { return t.Describe(t.secret.ARN) }},
		{ID: "RO-013", Does: "a second rotation", State: Recorded, Needs: NeedFunction,
			Source: localstackSM + "test_rotate_secret_multiple_times_with_lambda_success, 2025-03-29",
			Want:   Want{Labels: "pending:AWSCURRENT second:AWSPREVIOUS"},
			Do: func(t *T) (any, error) {
				s := t.Secret()
				t.Let("second", t.Rotate(s))
				t.Rotate(s, func(in *secretsmanager.RotateSecretInput) {
					in.RotationLambdaARN, in.RotationRules = nil, nil
				})
				return nil, nil
			},
			Ask: func(t *T) (any, error) { return nil, nil }},
		{ID: "RO-014", Does: "the steps of a rotation, in order", State: Documented, Needs: NeedFunction,
			Source: guideSM + "rotate-secrets_lambda-functions.html",
			Want:   Want{Fields: map[string]string{"Steps": "createSecret setSecret testSecret finishSecret"}},
			Do: func(t *T) (any, error) {
				s := t.Secret()
				t.Rotate(s)
				return steps(t.Events(s)), nil
			}},
		{ID: "RO-015", Does: "the members of a rotation event", State: Recorded, Needs: NeedFunction,
			Source: github + "aws/aws-lambda-go/pull/583",
			Want:   Want{Fields: map[string]string{"Members": "ClientRequestToken+RotationToken+SecretId+Step"}},
			Do:     event("createSecret")},
		{ID: "RO-016", Does: "SecretId and ClientRequestToken of a rotation event", State: Recorded,
			Needs:  NeedFunction,
			Source: github + "aws-samples/aws-secrets-manager-rotation-lambdas/issues/16",
			Want:   Want{Fields: map[string]string{"SecretId": "{arn}", "ClientRequestToken": "{pending}"}},
			Do:     event("createSecret")},
		{ID: "RO-017", Does: "the pending version at createSecret is labelled and not listed as current",
			State: Documented,
			Needs: NeedFunction, Source: guideSM + "rotate-secrets_lambda-functions.html",
			Want: Want{Fields: map[string]string{"Labels.{pending}": "AWSPENDING", "Labels.{first}": "AWSCURRENT"}},
			Do:   event("createSecret")},
		{ID: "RO-018", Does: "GetSecretValue at createSecret, by the token and AWSPENDING", State: Recorded,
			Needs:  NeedFunction,
			Source: verified + "; " + github + "aws/aws-sdk-js-v3/issues/7701",
			Want:   Want{Fields: map[string]string{"Pending.Code": notFound}},
			Do:     event("createSecret")},
		{ID: "RO-019", Does: "GetSecretValue at createSecret, by AWSPENDING alone", State: Recorded,
			Needs:  NeedFunction,
			Source: github + "aws/aws-sdk-js-v3/issues/7701",
			Want: Want{Fields: map[string]string{"ByLabel.Code": notFound, "ByLabel.Text": textNoLabel +
				"AWSPENDING"}},
			Do: event("createSecret")},
		{ID: "RO-020", Does: "GetSecretValue at createSecret, by the token alone", State: Recorded, Needs: NeedFunction,
			Source: github + "aws/aws-sdk-js-v3/issues/7701",
			Want:   Want{Fields: map[string]string{"ByID.Code": notFound, "ByID.Text": textNoVersion + "{pending}"}},
			Do:     event("createSecret")},
		{ID: "RO-021", Does: "GetSecretValue at finishSecret, by the token and AWSPENDING", State: Recorded,
			Needs:  NeedFunction,
			Source: verified,
			Want: Want{Fields: map[string]string{"Pending.Value": "rotated", "Pending.Labels": "AWSPENDING",
				"Pending.Version": "{pending}"}},
			Do: event("finishSecret")},
		{ID: "RO-022", Does: "a function that removes AWSPENDING itself, after it moved AWSCURRENT", State: Recorded,
			Needs: NeedFunction,
			Source: localstackSM + "functions/lambda_rotate_secret.py with test_rotate_secret_with_lambda_success, " +
				"2025-03-30",
			Want: Want{Labels: "first:AWSPREVIOUS pending:AWSCURRENT"},
			Do: func(t *T) (any, error) {
				t.Rotate(t.Secret(func(in *secretsmanager.CreateSecretInput) { in.Tags = tags(TagUnlabel, "yes") }))
				return nil, nil
			},
			Ask: func(t *T) (any, error) { return nil, nil }},
		{ID: "RO-030", Does: "RotateSecret with RotateImmediately=false runs one step", State: Documented,
			Needs:  NeedFunction,
			Source: apiSM + "RotateSecret.html (RotateImmediately)",
			Want:   Want{Fields: map[string]string{"Steps": "testSecret"}},
			Do: func(t *T) (any, error) {
				s := t.Secret()
				t.Must(configurationTest(t, s))
				return nil, nil
			},
			Ask: func(t *T) (any, error) { return steps(t.Events(t.secret)), nil }},
		{ID: "RO-031", Does: "the pending version of a configuration test holds the value of AWSCURRENT",
			State: Recorded,
			Needs: NeedFunction, Source: dry,
			Want: Want{Fields: map[string]string{"ByLabel.Value": "v1", "ByLabel.Labels": "AWSPENDING"}},
			Do:   func(t *T) (any, error) { return nil, configurationTest(t, t.Secret()) },
			Ask:  func(t *T) (any, error) { return stepSeen(t, "testSecret") }},
		{ID: "RO-032", Does: "the pending version of a configuration test is a version of its own", State: Recorded,
			Needs: NeedFunction, Source: dry,
			Want: Want{Fields: map[string]string{"Own": "true"}},
			Do:   func(t *T) (any, error) { return nil, configurationTest(t, t.Secret()) },
			Ask: func(t *T) (any, error) {
				for _, s := range t.Events(t.secret) {
					return map[string]any{"Own": s.ByLabel.Version != "" && s.ByLabel.Version != t.secret.Version}, nil
				}
				return nil, nil
			}},
		{ID: "RO-033", Does: "the labels after a configuration test", State: Recorded, Needs: NeedFunction, Source: dry,
			Want: Want{Labels: "first:AWSCURRENT"},
			Do:   func(t *T) (any, error) { return nil, configurationTest(t, t.Secret()) },
			Ask:  func(t *T) (any, error) { return nil, nil }},
		{ID: "RO-034", Does: "the value after a configuration test", State: Recorded, Needs: NeedFunction, Source: dry,
			Want: Want{Fields: map[string]string{"SecretString": "v1", "VersionId": "{first}"}},
			Do: func(t *T) (any, error) {
				s := t.Secret()
				t.Must(configurationTest(t, s))
				return t.Get(s.ARN, "", "AWSCURRENT")
			}},
		{ID: "RO-035", Does: "the event of a configuration test has the pending version as its token", State: Believed,
			Needs: NeedFunction, Source: noSource,
			Want: Want{Fields: map[string]string{"Same": "true"}},
			Do:   func(t *T) (any, error) { return nil, configurationTest(t, t.Secret()) },
			Ask: func(t *T) (any, error) {
				for _, s := range t.Events(t.secret) {
					return map[string]any{"Same": strings.EqualFold(s.ClientRequestToken, s.ByLabel.Version)}, nil
				}
				return nil, nil
			}},
		{ID: "RO-040", Does: "RotateSecret while AWSPENDING is on a version that is not current", State: Documented,
			Needs:  NeedFunction,
			Source: apiSM + "RotateSecret.html",
			Want:   Want{Code: invalidRequest, Status: 400, Text: textUnfinished},
			Do: func(t *T) (any, error) {
				s := t.Secret()
				t.Put(s, "second", "v2", "AWSPENDING")
				return ret(t.StartRotation(s))
			}},
		{ID: "RO-041", Does: "RotateSecret while AWSPENDING is on the current version", State: Documented,
			Needs:  NeedFunction,
			Source: apiSM + "RotateSecret.html",
			Want:   Want{Labels: "pending:AWSCURRENT second:AWSPREVIOUS"},
			Do: func(t *T) (any, error) {
				s := t.Secret()
				_, err := t.Move(s, "AWSCURRENT", s.Version, t.Put(s, "second", "v2", "AWSPENDING"))
				t.Must(err)
				t.Rotate(s)
				return nil, nil
			},
			Ask: func(t *T) (any, error) { return nil, nil }},
		{ID: "RO-042", Does: "CancelRotateSecret", State: Documented, Needs: NeedFunction, Source: apiSM +
			"CancelRotateSecret.html",
			Want: Want{Fields: map[string]string{"RotationEnabled": "false", "RotationLambdaARN": "{function}"}},
			Do: func(t *T) (any, error) {
				s := t.Secret()
				t.Rotate(s)
				_, err := t.SM.CancelRotateSecret(t.Ctx, &secretsmanager.CancelRotateSecretInput{SecretId: &s.ARN})
				t.Must(err)
				return t.Describe(s.ARN)
			}},
		{ID: "RO-043", Does: "CancelRotateSecret of a secret that never had a function", State: Believed,
			Source: noSource,
			Want:   Want{Code: invalidRequest, Status: 400},
			Do: func(t *T) (any, error) {
				return ret(t.SM.CancelRotateSecret(t.Ctx,
					&secretsmanager.CancelRotateSecretInput{SecretId: &t.Secret().ARN}))
			}},
		{ID: "RO-044", Does: "RotateSecret with AutomaticallyAfterDays of 1,001", State: Documented,
			Needs:  NeedFunction,
			Source: apiSM + "RotationRulesType.html",
			Want:   Want{Code: AnyError, Labels: "first:AWSCURRENT"},
			Do: func(t *T) (any, error) {
				return ret(t.StartRotation(t.Secret(), func(in *secretsmanager.RotateSecretInput) {
					in.RotationRules = rules(1001)
				}))
			}},
		{ID: "RO-045", Does: "RotateSecret with a token of fewer than 32 characters", State: Documented,
			Needs:  NeedFunction,
			Source: apiSM + "RotateSecret.html (ClientRequestToken)",
			Want:   Want{Code: AnyError, Labels: "first:AWSCURRENT"},
			Do: func(t *T) (any, error) {
				return ret(t.StartRotation(t.Secret(), func(in *secretsmanager.RotateSecretInput) {
					in.ClientRequestToken = aws.String("short")
				}))
			}},
		{ID: "RO-046", Does: "a rotation whose testSecret fails leaves AWSCURRENT, and AWSPENDING on its version",
			State: Documented,
			Needs: NeedFunction, Source: guideSM + "troubleshoot_rotation.html; " + apiSM + "CancelRotateSecret.html",
			Want: Want{Labels: "first:AWSCURRENT pending:AWSPENDING"},
			Do: func(t *T) (any, error) {
				s := t.Secret(func(in *secretsmanager.CreateSecretInput) { in.Tags = tags(TagFail, "testSecret") })
				out, err := t.StartRotation(s)
				t.Must(wrap("RotateSecret", err))
				t.Let("pending", *out.VersionId)
				return nil, nil
			},
			Ask: func(t *T) (any, error) {
				if n := len(t.Events(t.secret)); n < 3 {
					return nil, fmt.Errorf("%d steps so far", n)
				}
				return nil, nil
			}},
		{ID: "RO-047", Does: "a failed step is answered by the whole rotation again, with the same token",
			State: Believed,
			Needs: NeedFunction, Source: noSource,
			Want: Want{Fields: map[string]string{"Begins": "createSecret setSecret testSecret createSecret setSecret " +
				"testSecret",
				"Tokens": "{pending}"}},
			Do: func(t *T) (any, error) {
				s := t.Secret(func(in *secretsmanager.CreateSecretInput) { in.Tags = tags(TagFail, "testSecret") })
				out, err := t.StartRotation(s)
				t.Must(wrap("RotateSecret", err))
				t.Let("pending", *out.VersionId)
				return nil, nil
			},
			Ask: func(t *T) (any, error) {
				events := t.Events(t.secret)
				if len(events) < 6 {
					return nil, fmt.Errorf("%d steps so far", len(events))
				}
				tokens := map[string]bool{}
				var all []string
				for _, e := range events[:6] {
					if !tokens[e.ClientRequestToken] {
						all = append(all, e.ClientRequestToken)
					}
					tokens[e.ClientRequestToken] = true
				}
				return map[string]any{"Begins": steps(events[:6])["Steps"], "Tokens": all}, nil
			}},
		{ID: "RO-048", Does: "RotateSecret after CancelRotateSecret, while AWSPENDING is on another version, " +
			"is refused and enables nothing",
			State: Believed, Needs: NeedFunction, Source: noSource,
			Want: Want{Fields: map[string]string{"RotationEnabled": "false"}},
			Do: func(t *T) (any, error) {
				s := t.Secret()
				t.Rotate(s)
				_, err := t.SM.CancelRotateSecret(t.Ctx, &secretsmanager.CancelRotateSecretInput{SecretId: &s.ARN})
				t.Must(err)
				t.Put(s, "left", "v3", "AWSPENDING")
				if _, err := t.StartRotation(s); err == nil {
					t.Must(errors.New("RotateSecret was accepted"))
				}
				return t.Describe(s.ARN)
			}},
		{ID: "RO-049", Does: "RotateSecret without RotationRules leaves those that the secret has", State: Believed,
			Needs: NeedFunction, Source: noSource,
			Want: Want{Fields: map[string]string{"RotationRules.AutomaticallyAfterDays": "30",
				"RotationEnabled": "true"}},
			Do: func(t *T) (any, error) {
				s := t.Secret()
				t.Rotate(s)
				_, err := t.StartRotation(s, func(in *secretsmanager.RotateSecretInput) {
					in.RotationRules, in.RotateImmediately = nil, aws.Bool(false)
				})
				t.Must(err)
				return t.Describe(s.ARN)
			}},
		{ID: "RO-050", Does: "RotateSecret with another function, while AWSPENDING is on a version that is not " +
			"current, " +
			"leaves the former function",
			State: Believed, Needs: NeedFunction, Source: noSource,
			Want: Want{Fields: map[string]string{"RotationLambdaARN": "{function}"}},
			Do: func(t *T) (any, error) {
				s := t.Secret()
				t.Rotate(s)
				t.Put(s, "left", "v3", "AWSPENDING")
				if _, err := t.StartRotation(s, func(in *secretsmanager.RotateSecretInput) {
					in.RotationLambdaARN = aws.String(t.noFunction())
				}); err == nil {
					t.Must(errors.New("RotateSecret was accepted"))
				}
				return t.Describe(s.ARN)
			}},
	}
}

// noFunction is the ARN of a function that is not there.
func (t *T) noFunction() string {
	return t.run.partition() + ":lambda:" + t.run.at.Config.Region + ":" + t.run.account + ":function:" + Prefix +
		"missing"
}

func steps(seen []Seen) map[string]any {
	var all []string
	for _, s := range seen {
		all = append(all, s.Step)
	}
	return map[string]any{"Steps": strings.Join(all, " ")}
}

// event rotates a secret and answers what the function saw in a step, with the row's names for version ids.
func event(step string) func(*T) (any, error) {
	return func(t *T) (any, error) {
		t.Rotate(t.Secret())
		return stepSeen(t, step)
	}
}

func stepSeen(t *T, step string) (any, error) {
	for _, s := range t.Events(t.secret) {
		if s.Step == step {
			return s, nil
		}
	}
	return nil, nil
}

// configurationTest asks for a configuration test and waits until its pending version is gone.
func configurationTest(t *T, s *Secret) error {
	out, err := t.StartRotation(s, func(in *secretsmanager.RotateSecretInput) {
		in.RotateImmediately = aws.Bool(false)
	})
	if err != nil {
		return wrap("RotateSecret", err)
	}
	return t.run.settle(t.Ctx, s.ARN, aws.ToString(out.VersionId))
}
