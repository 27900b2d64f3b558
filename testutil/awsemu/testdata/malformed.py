# Sends what a server that others talk to gets one day, through boto3: members of every wrong type for every operation of
# Secrets Manager, bodies that are none, operations and services that are not there. Prints one JSON a line: what was sent, and
# the error that botocore reads from the answer. A client in Python reads the answers by AWS's own service models.
import json
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

config = Config(retries={"total_max_attempts": 1}, parameter_validation=False)


def report(what, call):
    got = {"what": what, "code": "", "status": 200}
    try:
        call()
    except ClientError as e:
        got["code"], got["status"] = e.response["Error"].get("Code", ""), e.response["ResponseMetadata"]["HTTPStatusCode"]
        got["text"] = e.response["Error"].get("Message", "")
    except Exception as e:  # an answer that botocore cannot read
        got["code"], got["status"] = type(e).__name__, 0
        got["text"] = str(e)
    print(json.dumps(got))


def raw(service, operation, body, target=None):
    client = boto3.client(service, config=config)

    def replace(params, **_):
        params["body"] = body if isinstance(body, bytes) else body.encode()
        if target is not None:
            params["headers"]["X-Amz-Target"] = target

    client.meta.events.register("before-call", replace)
    return lambda: client._make_api_call(operation, {})


WRONG = {
    "string": [{}, []],
    "blob": [{}, [], 5, "no base64"],
    "integer": ["x", {}, []],
    "long": ["x", {}, []],
    "boolean": ["x", {}, []],
    "list": ["x", {}, 5],
    "map": ["x", [], 5],
    "structure": ["x", [], 5],
}

for service in "secretsmanager", "kms":
    model = boto3.client(service).meta.service_model
    operations = model.operation_names
    if service == "kms":
        operations = ["Decrypt", "DescribeKey", "GenerateDataKey", "GetKeyPolicy", "ListGrants"]
    for name in operations:
        shape = model.operation_model(name).input_shape
        valid = {m: "x" for m in shape.required_members}
        for member, of in shape.members.items():
            for value in WRONG[of.type_name]:
                body = json.dumps({**valid, member: value})
                report(f"type {service} {name} {body}", raw(service, name, body))
        for body in "", "null", "{", "[]", '"x"', "5", '{"a"', "{}{}", "[" * 20000, b"\xff\xfe", b'{"SecretId":"\xff"}':
            report(f"body {service} {name} {body[:20]!r}", raw(service, name, body))
    for target in "", ".", "secretsmanager", "secretsmanager.", "secretsmanager.getsecretvalue", "secretsmanager.Rotate", "TrentService.", "TrentService.Turn", "DynamoDB_20120810.ListTables", "x" * 5000:
        report(f"target {service} {target[:40]}", raw(service, operations[0], "{}", target))

for service, operation in [("kms", "list_keys"), ("kms", "list_retirable_grants"), ("sts", "get_session_token"), ("iam", "list_users"), ("rds", "describe_db_snapshots"),
                           ("sqs", "list_queues"), ("dynamodb", "list_tables"), ("ssm", "describe_parameters"), ("lambda", "list_functions"),
                           ("organizations", "list_roots"), ("logs", "describe_log_groups"), ("cloudwatch", "list_metrics")]:
    client = boto3.client(service, config=config)
    report(f"unknown {service} {operation}", getattr(client, operation))

for service, operation, parameters in [
    ("sts", "assume_role", {}), ("sts", "assume_role", {"RoleArn": "x" * 3000, "RoleSessionName": "s"}), ("sts", "assume_role", {"RoleArn": "arn:aws:iam::123456789012:role/r", "RoleSessionName": "s p", "DurationSeconds": 5}),
    ("iam", "simulate_principal_policy", {}), ("iam", "get_role", {}), ("rds", "describe_db_instances", {"DBInstanceIdentifier": "?"}), ("rds", "describe_db_clusters", {"MaxRecords": "x"}),
    ("lambda", "get_policy", {"FunctionName": "a/b"}), ("secretsmanager", "get_secret_value", {"SecretId": ""}), ("secretsmanager", "list_secrets", {"NextToken": "x", "MaxResults": 0}),
    ("secretsmanager", "list_secrets", {"Filters": [{"Key": "nothing", "Values": []}]}), ("secretsmanager", "get_random_password", {"PasswordLength": -1}),
    ("secretsmanager", "batch_get_secret_value", {}), ("secretsmanager", "create_secret", {"Name": "n" * 600, "ClientRequestToken": "t" * 70}), ("secretsmanager", "put_resource_policy", {"SecretId": "x", "ResourcePolicy": "{"}),
    ("secretsmanager", "rotate_secret", {"SecretId": "x", "RotationRules": {"ScheduleExpression": "cron(now)"}}), ("secretsmanager", "delete_secret", {"SecretId": "x", "RecoveryWindowInDays": 3}),
    ("secretsmanager", "tag_resource", {"SecretId": "x", "Tags": [{"Key": "k" * 200}]}), ("secretsmanager", "replicate_secret_to_regions", {"SecretId": "x", "AddReplicaRegions": []}),
]:
    client = boto3.client(service, config=config)
    report(f"value {service} {operation} {str(parameters)[:60]}", lambda: client._make_api_call(client.meta.method_to_api_mapping[operation], parameters))
