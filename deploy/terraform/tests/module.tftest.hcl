# Offline, against the stub provider of this folder: see stubprovider.

variables {
  artifacts   = "dist"
  functions   = ["postgres-single-user"]
  secret_arns = ["arn:aws:secretsmanager:us-east-1:123456789012:secret:prod/app-??????"]
}

run "one_function" {
  assert {
    condition     = output.function_arns["postgres-single-user"] == "arn:aws:lambda:us-east-1:123456789012:function:quarterturn-postgres-single-user"
    error_message = "the ARN is not that of the function"
  }
  assert {
    condition     = aws_lambda_permission.this["postgres-single-user"].source_account == "123456789012"
    error_message = "Secrets Manager of every account may invoke the function"
  }
  assert {
    condition     = length(aws_iam_policy.superuser) == 0 && length(aws_lambda_function.fleet) == 0 && output.fleet_role_arn == null
    error_message = "a role for superusers, or a report, although neither was asked for"
  }
  assert {
    condition     = length(aws_lambda_function.this["postgres-single-user"].vpc_config) == 0
    error_message = "a network, although none was asked for"
  }
}

run "a_single_user_role_reads_no_superuser" {
  command = plan
  variables {
    functions             = ["postgres-single-user", "mysql-alternating-users"]
    superuser_secret_arns = ["arn:aws:secretsmanager:us-east-1:123456789012:secret:superuser-??????"]
  }
  assert {
    condition     = join(",", keys(aws_iam_role_policy_attachment.superuser)) == "alternating-users"
    error_message = "the role of single user functions reads the superuser's secret"
  }
}

run "single_user_through_a_superuser" {
  command = plan
  variables {
    superuser_secret_arns         = ["arn:aws:secretsmanager:us-east-1:123456789012:secret:superuser-??????"]
    single_user_through_superuser = true
  }
  assert {
    condition     = join(",", keys(aws_iam_role_policy_attachment.superuser)) == "single-user" && aws_lambda_function.this["postgres-single-user"].environment[0].variables["SINGLE_USER_THROUGH_SUPERUSER"] == "true"
    error_message = "the single user role does not read the superuser's secret"
  }
}

run "one_function_for_every_engine" {
  command = plan
  variables {
    functions    = ["database"]
    engines      = ["postgres", "mysql"]
    strategy     = "alternating-users"
    architecture = "x86_64"
  }
  assert {
    condition     = aws_lambda_function.this["database"].environment[0].variables["ENGINES"] == "postgres,mysql" && aws_lambda_function.this["database"].environment[0].variables["STRATEGY"] == "alternating-users"
    error_message = "the function does not know its engines and strategy"
  }
  assert {
    condition     = aws_lambda_function.this["database"].filename == "dist/database-amd64.zip" && join(",", keys(aws_iam_role.this)) == "alternating-users"
    error_message = "another zip, or another role"
  }
}

run "no_engines" {
  command = plan
  variables {
    functions = ["database"]
  }
  expect_failures = [aws_lambda_function.this["database"]]
}

run "no_secrets" {
  command = plan
  variables {
    secret_arns = []
  }
  expect_failures = [aws_lambda_function.this["postgres-single-user"]]
}

run "every_secret_at_once" {
  command = plan
  variables {
    secret_arns = ["arn:aws:secretsmanager:us-east-1:123456789012:secret:*"]
  }
  expect_failures = [var.secret_arns]
}

run "subnets_without_security_groups" {
  command = plan
  variables {
    subnet_ids = ["subnet-1"]
  }
  expect_failures = [aws_lambda_function.this["postgres-single-user"]]
}

# A managed policy has at most 6,144 characters, and a role ten of them.
run "forty_arns" {
  command = plan
  variables {
    secret_arns = [for i in range(40) : format("arn:aws:secretsmanager:us-east-1:123456789012:secret:production/team/database/application-%02d-??????", i)]
  }
  assert {
    condition     = length(aws_iam_policy.rotation) == 2 && alltrue([for p in aws_iam_policy.rotation : length(p.policy) <= 6144])
    error_message = "forty ARNs do not fit"
  }
}

run "a_hundred_and_fifty_arns" {
  command = plan
  variables {
    secret_arns = [for i in range(150) : format("arn:aws:secretsmanager:us-east-1:123456789012:secret:production/team/database/application-%03d-??????", i)]
  }
  assert {
    condition     = length(aws_iam_policy.rotation) + 2 <= 10
    error_message = "a role has ten policies at most"
  }
}

run "more_than_a_role_can_hold" {
  command = plan
  variables {
    secret_arns = [for i in range(151) : format("arn:aws:secretsmanager:us-east-1:123456789012:secret:app-%03d-??????", i)]
  }
  expect_failures = [var.secret_arns]
}

run "arns_too_long" {
  command = plan
  variables {
    secret_arns = [for i in range(30) : format("arn:aws:secretsmanager:us-east-1:123456789012:secret:%s-%02d-??????", join("", [for j in range(40) : "abcdefghij"]), i)]
  }
  expect_failures = [aws_iam_policy.rotation["0"]]
}

run "the_report" {
  command = plan
  variables {
    fleet = { hours = 6, accounts = ["organization"] }
  }
  assert {
    condition     = aws_cloudwatch_event_rule.fleet["fleet"].schedule_expression == "rate(6 hours)" && aws_cloudwatch_metric_alarm.fleet["overdue"].period == 21600 && aws_cloudwatch_metric_alarm.fleet_silent["fleet"].treat_missing_data == "breaching"
    error_message = "the schedule or its alarms"
  }
  assert {
    condition     = length([for s in jsondecode(aws_iam_role_policy.fleet["fleet"].policy).Statement : s if s.Effect == "Deny" && contains(s.Action, "secretsmanager:GetSecretValue") && s.Resource[0] == "*"]) == 1
    error_message = "the role does not deny values"
  }
}
