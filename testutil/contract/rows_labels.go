package contract

import (
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// labelRows are about versions and staging labels: SM-1xx.
func labelRows() []Row {
	return []Row{
		{ID: "SM-100", Does: "PutSecretValue without labels", State: Recorded,
			Source: localstackSM + "test_create_and_update_secret, 2022-09-28",
			Want: Want{Fields: map[string]string{"VersionStages": "AWSCURRENT", "VersionId": "{second}"},
				Labels: "first:AWSPREVIOUS second:AWSCURRENT"},
			Do: func(t *T) (any, error) { return put(t, t.Secret().ARN, "v2", t.Let("second", Token())) }},
		{ID: "SM-101", Does: "PutSecretValue with labels of one's own", State: Recorded,
			Source: localstackSM + "test_put_secret_value_with_version_stages, 2022-09-28",
			Want: Want{Fields: map[string]string{"VersionStages": "SAMPLESTAGE0+SAMPLESTAGE1"},
				Labels: "first:AWSCURRENT second:SAMPLESTAGE0+SAMPLESTAGE1"},
			Do: func(t *T) (any, error) {
				return put(t, t.Secret().ARN, "v2", t.Let("second", Token()), "SAMPLESTAGE1", "SAMPLESTAGE0")
			}},
		{ID: "SM-102", Does: "PutSecretValue with labels that another version has, all of them", State: Recorded,
			Source: localstackSM + "test_non_versioning_version_stages_replacement, 2022-09-28",
			Want:   Want{Labels: "first:AWSCURRENT third:four+one+three+two"},
			Do: func(t *T) (any, error) {
				s := t.Secret()
				t.Put(s, "second", "v2", "one", "two", "three")
				return put(t, s.ARN, "v3", t.Let("third", Token()), "one", "two", "three", "four")
			}},
		{ID: "SM-103", Does: "PutSecretValue with labels that another version has, some of them", State: Recorded,
			Source: localstackSM + "test_non_versioning_version_stages_no_replacement, 2022-09-28",
			Want:   Want{Labels: "first:AWSCURRENT second:three third:four+one+two"},
			Do: func(t *T) (any, error) {
				s := t.Secret()
				t.Put(s, "second", "v2", "one", "two", "three")
				return put(t, s.ARN, "v3", t.Let("third", Token()), "one", "two", "four")
			}},
		{ID: "SM-104", Does: "PutSecretValue as AWSPENDING", State: Recorded,
			Source: localstackSM + "test_put_secret_value_with_version_stages, 2022-09-28",
			Want: Want{Fields: map[string]string{"VersionStages": "AWSPENDING"}, Labels: "first:AWSCURRENT " +
				"second:AWSPENDING"},
			Do: func(t *T) (any, error) {
				return put(t, t.Secret().ARN, "v2", t.Let("second", Token()), "AWSPENDING")
			}},
		{ID: "SM-105", Does: "UpdateSecretVersionStage moves AWSCURRENT to the pending version", State: Recorded,
			Source: localstackSM + "test_update_secret_version_stages_current_pending, 2022-09-28; " + motoSM +
				"test_update_secret_version_stage_manually, verified on AWS",
			Want: Want{Fields: map[string]string{"ARN": "{arn}", "Name": "{name}"},
				Labels: "first:AWSPREVIOUS second:AWSCURRENT+AWSPENDING"},
			Do: func(t *T) (any, error) {
				s := t.Secret()
				return t.Move(s, "AWSCURRENT", s.Version, t.Put(s, "second", "v2", "AWSPENDING"))
			}},
		{ID: "SM-106", Does: "PutSecretValue moves AWSCURRENT off a version that has AWSPENDING too", State: Recorded,
			Source: localstackSM + "test_update_secret_version_stages_current_pending, 2022-09-28",
			Want:   Want{Labels: "second:AWSPREVIOUS third:AWSCURRENT"},
			Do: func(t *T) (any, error) {
				s := t.Secret()
				_, err := t.Move(s, "AWSCURRENT", s.Version, t.Put(s, "second", "v2", "AWSPENDING"))
				t.Must(err)
				return put(t, s.ARN, "v3", t.Let("third", Token()))
			}},
		{ID: "SM-107", Does: "PutSecretValue as AWSPENDING takes the label off the current version", State: Recorded,
			Source: localstackSM + "test_update_secret_version_stages_current_pending_cycle, 2022-09-28",
			Want:   Want{Labels: "first:AWSPREVIOUS second:AWSCURRENT third:AWSPENDING"},
			Do: func(t *T) (any, error) {
				s := t.Secret()
				_, err := t.Move(s, "AWSCURRENT", s.Version, t.Put(s, "second", "v2", "AWSPENDING"))
				t.Must(err)
				return put(t, s.ARN, "v3", t.Let("third", Token()), "AWSPENDING")
			}},
		{ID: "SM-108", Does: "a second move of AWSCURRENT, after which the first version has no label", State: Recorded,
			Source: localstackSM + "test_update_secret_version_stages_current_pending_cycle, 2022-09-28",
			Want:   Want{Labels: "second:AWSPREVIOUS third:AWSCURRENT+AWSPENDING"},
			Do: func(t *T) (any, error) {
				s := t.Secret()
				second := t.Put(s, "second", "v2", "AWSPENDING")
				_, err := t.Move(s, "AWSCURRENT", s.Version, second)
				t.Must(err)
				return t.Move(s, "AWSCURRENT", second, t.Put(s, "third", "v3", "AWSPENDING"))
			}},
		{ID: "SM-109", Does: "moves of AWSCURRENT leave other labels where they are", State: Recorded,
			Source: localstackSM + "test_update_secret_version_stages_current_pending_cycle_custom_stages_2, " +
				"2022-09-28",
			Want: Want{Labels: "first:PUT0 second:AWSPREVIOUS+PUT1 third:AWSCURRENT+AWSPENDING+PUT2"},
			Do: func(t *T) (any, error) {
				s := t.Secret(empty)
				first := t.Put(s, "first", "v1", "AWSCURRENT", "PUT0")
				second := t.Put(s, "second", "v2", "AWSPENDING", "PUT1")
				_, err := t.Move(s, "AWSCURRENT", first, second)
				t.Must(err)
				return t.Move(s, "AWSCURRENT", second, t.Put(s, "third", "v3", "AWSPENDING", "PUT2"))
			}},
		{ID: "SM-110", Does: "UpdateSecretVersionStage removes a label of one's own", State: Recorded,
			Source: localstackSM + "test_update_secret_version_stages_current_pending_cycle_custom_stages_3, " +
				"2024-01-18",
			Want: Want{Fields: map[string]string{"ARN": "{arn}", "Name": "{name}"}, Labels: "first:AWSPREVIOUS " +
				"second:AWSCURRENT"},
			Do: func(t *T) (any, error) {
				s := t.Secret()
				second := t.Put(s, "second", "v2", "PENDING")
				_, err := t.Move(s, "AWSCURRENT", s.Version, second)
				t.Must(err)
				return t.Move(s, "PENDING", second, "")
			}},
		{ID: "SM-111", Does: "UpdateSecretVersionStage moves AWSCURRENT without RemoveFromVersionId", State: Recorded,
			Source: motoSM + "test_update_secret_version_stage_dont_specify_current_stage, verified on AWS",
			Want:   Want{Code: invalidParameter, Text: textRemoveEmpty, Labels: "first:AWSCURRENT second:AWSPENDING"},
			Do: func(t *T) (any, error) {
				s := t.Secret()
				return t.Move(s, "AWSCURRENT", "", t.Put(s, "second", "v2", "AWSPENDING"))
			}},
		{ID: "SM-112", Does: "UpdateSecretVersionStage moves AWSCURRENT and names a version that does not have it",
			State:  Documented,
			Source: apiSM + "UpdateSecretVersionStage.html (RemoveFromVersionId)",
			Want:   Want{Code: AnyError, Labels: "first:AWSPREVIOUS second:AWSCURRENT third:AWSPENDING"},
			Do: func(t *T) (any, error) {
				s := t.Secret()
				t.Put(s, "second", "v2")
				return t.Move(s, "AWSCURRENT", s.Version, t.Put(s, "third", "v3", "AWSPENDING"))
			}},
		{ID: "SM-113", Does: "its code", State: Believed, Source: noSource,
			Want: Want{Code: invalidParameter, Status: 400},
			Do: func(t *T) (any, error) {
				s := t.Secret()
				t.Put(s, "second", "v2")
				return t.Move(s, "AWSCURRENT", s.Version, t.Put(s, "third", "v3", "AWSPENDING"))
			}},
		{ID: "SM-114", Does: "UpdateSecretVersionStage moves AWSCURRENT between two version ids that are not there, " +
			"by a caller who " +
			"may (the probe of the preflight, S8)", State: Documented,
			Source: apiSM + "UpdateSecretVersionStage.html (RemoveFromVersionId)",
			Want:   Want{Code: AnyError, Labels: "first:AWSCURRENT"},
			Do:     func(t *T) (any, error) { return t.Move(t.Secret(), "AWSCURRENT", Token(), Token()) }},
		{ID: "SM-115", Does: "the probe's refusal is no AccessDeniedException for a caller who may", State: Believed,
			Source: noSource,
			Want:   Want{Fields: map[string]string{"Denied": "false"}},
			Do: func(t *T) (any, error) {
				_, err := t.Move(t.Secret(), "AWSCURRENT", Token(), Token())
				code, _, _ := codeOf(err)
				return map[string]any{"Denied": code == denied}, nil
			}},
		{ID: "SM-116", Does: "the code of the probe's refusal", State: Believed, Source: noSource,
			Want: Want{Code: invalidParameter + " or " + notFound, Status: 400},
			Do:   func(t *T) (any, error) { return t.Move(t.Secret(), "AWSCURRENT", Token(), Token()) }},
		{ID: "SM-117", Does: "UpdateSecretVersionStage takes AWSCURRENT off its version without a new one",
			State:  Believed,
			Source: noSource,
			Want:   Want{Code: invalidParameter, Labels: "first:AWSCURRENT"},
			Do: func(t *T) (any, error) {
				s := t.Secret()
				return t.Move(s, "AWSCURRENT", s.Version, "")
			}},
		{ID: "SM-118", Does: "UpdateSecretVersionStage moves AWSCURRENT to the version that has it", State: Believed,
			Source: noSource,
			Want:   Want{Labels: "first:AWSCURRENT"},
			Do: func(t *T) (any, error) {
				s := t.Secret()
				return t.Move(s, "AWSCURRENT", s.Version, s.Version)
			}},
		{ID: "SM-119", Does: "UpdateSecretVersionStage attaches a label that no version has", State: Documented,
			Source: apiSM + "UpdateSecretVersionStage.html (MoveToVersionId)",
			Want:   Want{Labels: "first:AWSCURRENT+mine"},
			Do: func(t *T) (any, error) {
				s := t.Secret()
				return t.Move(s, "mine", "", s.Version)
			}},
		{ID: "SM-120", Does: "UpdateSecretVersionStage moves a label of one's own without RemoveFromVersionId",
			State:  Documented,
			Source: apiSM + "UpdateSecretVersionStage.html (RemoveFromVersionId)",
			Want:   Want{Code: AnyError, Labels: "first:AWSPREVIOUS+mine second:AWSCURRENT"},
			Do: func(t *T) (any, error) {
				s := t.Secret()
				_, err := t.Move(s, "mine", "", s.Version)
				t.Must(err)
				return t.Move(s, "mine", "", t.Put(s, "second", "v2"))
			}},
		{ID: "SM-121", Does: "UpdateSecretVersionStage removes AWSPENDING", State: Documented,
			Source: apiSM + "UpdateSecretVersionStage.html (RemoveFromVersionId)",
			Want:   Want{Labels: "first:AWSCURRENT"},
			Do: func(t *T) (any, error) {
				s := t.Secret()
				return t.Move(s, "AWSPENDING", t.Put(s, "second", "v2", "AWSPENDING"), "")
			}},
		{ID: "SM-122", Does: "UpdateSecretVersionStage moves AWSCURRENT back to the previous version",
			State:  Documented,
			Source: apiSM + "UpdateSecretVersionStage.html",
			Want:   Want{Labels: "first:AWSCURRENT second:AWSPREVIOUS"},
			Do: func(t *T) (any, error) {
				s := t.Secret()
				return t.Move(s, "AWSCURRENT", t.Put(s, "second", "v2"), s.Version)
			}},
		{ID: "SM-130", Does: "ListSecretVersionIds of a fresh secret", State: Recorded,
			Source: localstackSM + "test_deprecated_secret_version_stage, 2024-03-29",
			Want: Want{Fields: map[string]string{"Versions.0.VersionId": "{first}",
				"Versions.0.VersionStages": "AWSCURRENT",
				"Versions.0.KmsKeyIds":     "DefaultEncryptionKey", "Versions.0.CreatedDate": "*", "Versions.1": "-"}},
			Do: func(t *T) (any, error) { return listVersions(t, t.Secret().ARN, false) }},
		{ID: "SM-131", Does: "ListSecretVersionIds leaves out a version without labels", State: Recorded,
			Source: localstackSM + "test_deprecated_secret_version_stage, 2024-03-29",
			Want:   Want{Fields: map[string]string{"Count": "2", "HasFirst": "false"}},
			Do:     func(t *T) (any, error) { return countVersions(t, false) }},
		{ID: "SM-132", Does: "ListSecretVersionIds with IncludeDeprecated shows a version without labels",
			State:  Recorded,
			Source: localstackSM + "test_deprecated_secret_version_stage, 2024-03-29",
			Want:   Want{Fields: map[string]string{"Count": "3", "HasFirst": "true"}},
			Do:     func(t *T) (any, error) { return countVersions(t, true) }},
		{ID: "SM-133", Does: "GetSecretValue by id of a version without labels", State: Documented,
			Source: guideSM + "whats-in-a-secret.html#term_version",
			Want:   Want{Fields: map[string]string{"SecretString": "v1", "VersionId": "{first}", "VersionStages": "-"}},
			Do: func(t *T) (any, error) {
				s := t.Secret()
				t.Put(s, "second", "v2")
				t.Put(s, "third", "v3")
				return t.Get(s.ARN, s.Version, "")
			}},
		{ID: "SM-134", Does: "the twenty-first label of a secret", State: Documented, Source: guideSM +
			"reference_limits.html",
			Want: Want{Code: "LimitExceededException", Status: 400},
			Do: func(t *T) (any, error) {
				s := t.Secret()
				for i := range 19 {
					if _, err := t.Move(s, fmt.Sprintf("label-%d", i), "", s.Version); err != nil {
						t.Must(errors.Join(errors.New("the first twenty labels"), err))
					}
				}
				return t.Move(s, "one-too-many", "", s.Version)
			}},
	}
}

func listVersions(t *T, id string, deprecated bool) (any, error) {
	return ret(t.SM.ListSecretVersionIds(t.Ctx, &secretsmanager.ListSecretVersionIdsInput{SecretId: &id,
		IncludeDeprecated: aws.Bool(deprecated)}))
}

// countVersions makes three versions, of which the first loses its labels, and lists them.
func countVersions(t *T, deprecated bool) (any, error) {
	s := t.Secret()
	t.Put(s, "second", "v2")
	t.Put(s, "third", "v3")
	out, err := t.SM.ListSecretVersionIds(t.Ctx, &secretsmanager.ListSecretVersionIdsInput{SecretId: &s.ARN,
		IncludeDeprecated: aws.Bool(deprecated)})
	if err != nil {
		return nil, err
	}
	has := false
	for _, v := range out.Versions {
		has = has || aws.ToString(v.VersionId) == s.Version
	}
	return map[string]any{"Count": len(out.Versions), "HasFirst": has}, nil
}
