package contract

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// stsRows are about who is asking: ST-xxx.
func stsRows() []Row {
	rows := []Row{
		{ID: "ST-001", Does: "GetCallerIdentity", State: Documented, Source: apiSTS + "GetCallerIdentity.html",
			Want: Want{Fields: map[string]string{"Account": "{account}", "Arn": "{caller}", "UserId": "*"}},
			Do: func(t *T) (any, error) {
				return ret(t.STS.GetCallerIdentity(t.Ctx, &sts.GetCallerIdentityInput{}))
			}},
		{ID: "ST-002", Does: "GetCallerIdentity by a role that is denied it", State: Documented, Needs: NeedRole,
			Source: apiSTS + "GetCallerIdentity.html",
			Want:   Want{Fields: map[string]string{"Account": "{account}", "Arn": "{principal}"}},
			Do: func(t *T) (any, error) {
				cfg := t.Role(Rights{Identity: Policy(map[string]any{"Effect": "Deny", "Action": "*",
					"Resource": "*"})})
				return ret(sts.NewFromConfig(cfg).GetCallerIdentity(t.Ctx, &sts.GetCallerIdentityInput{}))
			}},
		{ID: "ST-010", Does: "AssumeRole with a session name that has a colon", State: Recorded,
			Source: localstackSTS + "test_sts_invalid_parameters, validated on AWS",
			Want: Want{Code: "ValidationError", Status: 400, Text: "1 validation error detected: Value 'Session1:2' " +
				"at 'roleSessionName' " +
				`failed to satisfy constraint: Member must satisfy regular expression pattern: [\w+=,.@-]*`},
			Do: func(t *T) (any, error) {
				return assume(t, t.run.partition()+":iam::"+t.run.account+":role/"+Prefix+"missing", "Session1:2")
			}},
	}
	for i, arn := range []string{"nothing-valid-in-here", "arn::b:::something/test-role",
		"arn:a::::something/test-role",
		"arn:a:::something/test-role", "arn:a:a::aaaaaaaaaa:"} {
		rows = append(rows, Row{ID: fmt.Sprintf("ST-%03d", 11+i), Does: "AssumeRole of " + arn, State: Recorded,
			Source: localstackSTS + "test_sts_invalid_parameters, validated on AWS",
			Want:   Want{Code: "ValidationError", Status: 400, Text: arn + " is invalid"},
			Do:     func(t *T) (any, error) { return assume(t, arn, "session") }})
	}
	return rows
}

func assume(t *T, role, session string) (any, error) {
	return ret(t.STS.AssumeRole(t.Ctx, &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: &session}))
}

// rdsRows are about what RDS says, and about the secrets that it manages: RD-xxx.
func rdsRows() []Row {
	return []Row{
		{ID: "RD-001", Does: "DescribeDBInstances of an instance that is not there", State: Recorded, Needs: NeedLambda,
			Source: github + "ministackorg/ministack/issues/531; " + apiRDS + "DescribeDBInstances.html",
			Want:   Want{Code: "DBInstanceNotFound", Status: 404, Text: "DBInstance {missing} not found."},
			Do: func(t *T) (any, error) {
				return ret(t.RDS.DescribeDBInstances(t.Ctx, &rds.DescribeDBInstancesInput{
					DBInstanceIdentifier: aws.String(t.Let("missing", "quarterturn-"+random(4)))}))
			}},
		{ID: "RD-002", Does: "DescribeDBClusters of a cluster that is not there", State: Documented, Needs: NeedLambda,
			Source: apiRDS + "DescribeDBClusters.html",
			Want:   Want{Code: "DBClusterNotFoundFault", Status: 404},
			Do: func(t *T) (any, error) {
				return ret(t.RDS.DescribeDBClusters(t.Ctx, &rds.DescribeDBClustersInput{
					DBClusterIdentifier: aws.String("quarterturn-" + random(4))}))
			}},
		{ID: "RD-010", Does: "DescribeSecret of a secret that RDS manages", State: Recorded, Needs: NeedManaged,
			Source: github + "floci-io/floci/issues/2378; " + guideSM + "service-linked-secrets.html",
			Want: Want{Fields: map[string]string{"OwningService": "rds", "RotationLambdaARN": "-",
				"RotationEnabled": "true",
				"NameBegins":      "rds!", "OwnerTag": "rds", "DatabaseTag": "true"}},
			Do: func(t *T) (any, error) {
				out, err := t.SM.DescribeSecret(t.Ctx,
					&secretsmanager.DescribeSecretInput{SecretId: aws.String(t.managed())})
				if err != nil {
					return nil, err
				}
				flat := map[string]any{"OwningService": out.OwningService, "RotationLambdaARN": out.RotationLambdaARN,
					"RotationEnabled": out.RotationEnabled, "NameBegins": aws.ToString(out.Name)[:4]}
				for _, tag := range out.Tags {
					switch aws.ToString(tag.Key) {
					case "aws:secretsmanager:owningService":
						flat["OwnerTag"] = tag.Value
					case "aws:rds:primaryDBInstanceArn", "aws:rds:primaryDBClusterArn":
						flat["DatabaseTag"] = "true"
					}
				}
				return flat, nil
			}},
		{ID: "RD-011", Does: "PutSecretValue into a secret that RDS manages", State: Documented, Needs: NeedManaged,
			Source: guideSM + "service-linked-secrets.html",
			Want:   Want{Code: invalidRequest, Status: 400},
			Do:     func(t *T) (any, error) { return put(t, t.managed(), "v", Token()) }},
		{ID: "RD-012", Does: "the members of a secret that RDS manages", State: Recorded, Needs: NeedManaged,
			Source: github + "floci-io/floci/issues/2378",
			Want:   Want{Fields: map[string]string{"Members": "password+username"}},
			Do: func(t *T) (any, error) {
				out, err := t.SM.GetSecretValue(t.Ctx,
					&secretsmanager.GetSecretValueInput{SecretId: aws.String(t.managed())})
				if err != nil {
					return nil, err
				}
				return membersOf(aws.ToString(out.SecretString))
			}},
	}
}

// membersOf are the members of a JSON object, and nothing of their values.
func membersOf(object string) (any, error) {
	var m map[string]any
	if err := json.Unmarshal([]byte(object), &m); err != nil {
		return nil, errors.New("the value is no JSON object")
	}
	return map[string]any{"Members": sortedKeys(m)}, nil
}

// managed is the id of a secret that RDS manages.
func (t *T) managed() string {
	if m, ok := t.run.at.Supply.(interface{ Managed() string }); ok && m.Managed() != "" {
		return m.Managed()
	}
	t.Must(ErrMissing)
	return ""
}

// wireRows are about requests that no SDK sends: WI-xxx.
func wireRows() []Row {
	json11 := "application/x-amz-json-1.1"
	target := func(op string) map[string]string {
		return map[string]string{"X-Amz-Target": "secretsmanager." + op, "Content-Type": json11}
	}
	return []Row{
		{ID: "WI-001", Does: "an error's body has __type without a prefix and Message", State: Recorded,
			Source: localstackSM + "test_no_client_request_token, 2023-05-12",
			Want: Want{Code: notFound, Status: 400, Text: textNoSecret, Fields: map[string]string{"__type": notFound,
				"Message": textNoSecret}},
			Do: func(t *T) (any, error) {
				return t.JSON("GetSecretValue", fmt.Sprintf(`{"SecretId":%q}`, t.Name()))
			}},
		{ID: "WI-002", Does: "an answer is application/x-amz-json-1.1 and has a request id", State: Documented,
			Source: awsJSON,
			Want:   Want{Fields: map[string]string{"ContentType": json11, "RequestId": "*", "Status": "200"}},
			Do: func(t *T) (any, error) {
				return t.JSON("GetSecretValue", fmt.Sprintf(`{"SecretId":%q}`, t.Secret().ARN))
			}},
		{ID: "WI-003", Does: "dates are numbers of seconds", State: Documented, Source: awsJSON,
			Want: Want{Fields: map[string]string{"Number": "true"}},
			Do: func(t *T) (any, error) {
				out, err := t.JSON("GetSecretValue", fmt.Sprintf(`{"SecretId":%q}`, t.Secret().ARN))
				if err != nil {
					return nil, err
				}
				_, ok := out.(map[string]any)["CreatedDate"].(float64)
				return map[string]any{"Number": ok}, nil
			}},
		{ID: "WI-004", Does: "a request without a signature", State: Documented, Source: jsonErrors,
			Want: Want{Code: "MissingAuthenticationTokenException", Status: 400},
			Do:   func(t *T) (any, error) { return t.Raw("secretsmanager", true, target("ListSecrets"), "{}") }},
		{ID: "WI-005", Does: "a signature that cannot be read", State: Documented, Source: jsonErrors,
			Want: Want{Code: "IncompleteSignatureException", Status: 400},
			Do: func(t *T) (any, error) {
				h := target("ListSecrets")
				h["Authorization"] = "AWS4-HMAC-SHA256 nonsense"
				return t.Raw("secretsmanager", true, h, "{}")
			}},
		{ID: "WI-006", Does: "an operation that is not there", State: Believed,
			Source: github + "floci-io/floci/pull/3925 (says that AWS's pages of common errors give this status; " +
				"the copies that we read do not)",
			Want: Want{Code: "UnknownOperationException", Status: 404},
			Do:   func(t *T) (any, error) { return t.JSON("TurnSecret", "{}") }},
		{ID: "WI-007", Does: "a request without X-Amz-Target", State: Believed, Source: noSource,
			Want: Want{Code: "UnknownOperationException", Status: 404},
			Do: func(t *T) (any, error) {
				return t.Raw("secretsmanager", false, map[string]string{"Content-Type": json11}, "{}")
			}},
		{ID: "WI-008", Does: "a body that is no JSON", State: Believed,
			Source: github + "pplu/aws-sdk-perl/issues/237 (of another service with this protocol)",
			Want:   Want{Code: "SerializationException", Status: 400},
			Do:     func(t *T) (any, error) { return t.JSON("GetSecretValue", `{"SecretId":`) }},
		{ID: "WI-009", Does: "a number where a string belongs", State: Believed, Source: noSource,
			Want: Want{Code: "SerializationException", Status: 400},
			Do:   func(t *T) (any, error) { return t.JSON("GetSecretValue", `{"SecretId":{}}`) }},
		{ID: "WI-010", Does: "a member that the operation does not have", State: Documented, Source: awsJSON,
			Want: Want{Fields: map[string]string{"SecretString": "v1"}},
			Do: func(t *T) (any, error) {
				return t.JSON("GetSecretValue", fmt.Sprintf(`{"SecretId":%q,"Unheard":"of"}`, t.Secret().ARN))
			}},
		{ID: "WI-011", Does: "a required member that is missing", State: Believed, Source: noSource,
			Want: Want{Code: AnyError, Status: 400},
			Do:   func(t *T) (any, error) { return t.JSON("GetSecretValue", "{}") }},
		{ID: "WI-012", Does: "members that are null", State: Documented, Source: awsJSON,
			Want: Want{Fields: map[string]string{"SecretString": "v1"}},
			Do: func(t *T) (any, error) {
				return t.JSON("GetSecretValue", fmt.Sprintf(`{"SecretId":%q,"VersionId":null,"VersionStage":null}`,
					t.Secret().ARN))
			}},
		{ID: "WI-013", Does: "an error of STS is XML with Type Sender", State: Recorded,
			Source: localstackSTS + "test_sts_invalid_parameters, validated on AWS",
			Want:   Want{Code: "ValidationError", Status: 400, Fields: map[string]string{"Type": "Sender"}},
			Do: func(t *T) (any, error) {
				return t.Raw("sts", false, map[string]string{"Content-Type": "application/x-www-form-urlencoded; " +
					"charset=utf-8"},
					"Action=AssumeRole&Version=2011-06-15&RoleArn=nothing-valid-in-here&RoleSessionName=session")
			}},
		{ID: "WI-014", Does: "an action of STS that is not there", State: Documented,
			Source: "https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html",
			Want:   Want{Code: "InvalidAction", Status: 400},
			Do: func(t *T) (any, error) {
				return t.Raw("sts", false, map[string]string{"Content-Type": "application/x-www-form-urlencoded; " +
					"charset=utf-8"},
					"Action=Turn&Version=2011-06-15")
			}},
		{ID: "WI-015", Does: "a body of a megabyte", State: Believed, Source: noSource,
			Want: Want{Code: AnyError},
			Do: func(t *T) (any, error) {
				return t.JSON("GetSecretValue", `{"SecretId":"`+strings.Repeat("x", 1<<20)+`"}`)
			}},
	}
}
