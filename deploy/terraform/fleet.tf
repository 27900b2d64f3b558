# The report on all secrets. Its role denies every way to a value, whoever would grant one.

locals {
  fleet        = { for name, f in { fleet = var.fleet } : name => f if f != null }
  fleet_period = var.fleet == null ? 3600 : var.fleet.hours * 3600
  fleet_statements = flatten([for f in values(local.fleet) : concat([
    { Sid = "WriteTheLog", Effect = "Allow", Action = ["logs:CreateLogStream", "logs:PutLogEvents"], Resource = local.runtime_statements[0].Resource },
    { Sid = "ListSecrets", Effect = "Allow", Action = ["secretsmanager:ListSecrets"], Resource = ["*"] },
    { Sid = "DescribeSecrets", Effect = "Allow", Action = ["secretsmanager:DescribeSecret", "secretsmanager:ListSecretVersionIds"],
    Resource = ["arn:${local.partition}:secretsmanager:*:${local.account}:secret:*"] },
    { Sid = "FindFunctions", Effect = "Allow", Action = ["lambda:GetFunctionConcurrency", "lambda:GetPolicy"],
    Resource = ["arn:${local.partition}:lambda:*:${local.account}:function:*"] },
    { Sid = "ReadRuntimes", Effect = "Allow", Action = ["lambda:GetFunctionConfiguration"], # which returns the environment: of rotation functions alone
    Resource = [for n in distinct(["${var.name}-*", "quarterturn-*", "SecretsManager*"]) : "arn:${local.partition}:lambda:*:${local.account}:function:${n}"] },
    { Sid = "DescribeKeys", Effect = "Allow", Action = ["kms:DescribeKey"], Resource = ["arn:${local.partition}:kms:*:${local.account}:key/*"] },
    { Sid = "NoValues", Effect = "Deny", Resource = ["*"],
    Action = ["secretsmanager:GetSecretValue", "secretsmanager:BatchGetSecretValue", "kms:Decrypt", "lambda:InvokeFunction"] },
    ], length(f.accounts) == 0 ? [] : [
    { Sid = "OtherAccounts", Effect = "Allow", Action = ["sts:AssumeRole"], Resource = ["arn:${local.partition}:iam::*:role/QuarterturnFleetReader"] },
    ], !contains(f.accounts, "organization") ? [] : [
    { Sid = "ListAccounts", Effect = "Allow", Action = ["organizations:ListAccounts"], Resource = ["*"] },
  ])])
  fleet_alarms = { for name, a in {
    critical   = { metric = "FleetCritical", runs = 1, text = "Secrets are stuck or about to lock clients out, or nothing can rotate them." }
    overdue    = { metric = "FleetOverdue", runs = 2, text = "Rotations were due and did not happen, for two reports." }
    unreadable = { metric = "FleetUnreadable", runs = 3, text = "Accounts, Regions or secrets could not be read, for three reports." }
  } : name => a if var.fleet != null }
}

resource "aws_iam_role" "fleet" {
  for_each             = local.fleet
  name                 = "${var.name}-fleet-${local.region}"
  path                 = var.role_path
  permissions_boundary = var.permissions_boundary_arn
  assume_role_policy   = local.assume
  tags                 = var.tags
}

resource "aws_iam_role_policy" "fleet" {
  for_each = local.fleet
  name     = "fleet"
  role     = aws_iam_role.fleet["fleet"].name
  policy   = jsonencode({ Version = "2012-10-17", Statement = local.fleet_statements })
}

resource "aws_lambda_function" "fleet" {
  for_each         = local.fleet
  function_name    = "${var.name}-fleet"
  description      = "Says which secrets are not rotated as they should be"
  role             = aws_iam_role.fleet["fleet"].arn
  filename         = "${var.artifacts}/fleet-${local.zip}.zip"
  source_code_hash = try(filebase64sha256("${var.artifacts}/fleet-${local.zip}.zip"), null)
  runtime          = "provided.al2023"
  handler          = "bootstrap"
  architectures    = [var.architecture]
  timeout          = 900
  memory_size      = 512
  tags             = var.tags
  environment {
    variables = {
      POWERTOOLS_SERVICE_NAME = var.name
      FLEET_ACCOUNTS          = join(",", each.value.accounts)
      FLEET_REGIONS           = join(",", each.value.regions)
      FLEET_MAX_AGE_DAYS      = tostring(each.value.max_age_days)
      FLEET_FUNCTIONS         = "quarterturn-*,${var.name}-*"
    }
  }
  logging_config {
    log_format            = "JSON"
    application_log_level = "INFO"
    system_log_level      = "INFO"
    log_group             = aws_cloudwatch_log_group.this.name
  }
}

resource "aws_cloudwatch_event_rule" "fleet" {
  for_each            = local.fleet
  name                = "${var.name}-fleet"
  schedule_expression = each.value.hours == 1 ? "rate(1 hour)" : "rate(${each.value.hours} hours)"
  tags                = var.tags
}

resource "aws_cloudwatch_event_target" "fleet" {
  for_each = local.fleet
  rule     = aws_cloudwatch_event_rule.fleet["fleet"].name
  arn      = aws_lambda_function.fleet["fleet"].arn
}

resource "aws_lambda_permission" "fleet" {
  for_each      = local.fleet
  statement_id  = "Schedule"
  function_name = aws_lambda_function.fleet["fleet"].function_name
  action        = "lambda:InvokeFunction"
  principal     = "events.amazonaws.com"
  source_arn    = aws_cloudwatch_event_rule.fleet["fleet"].arn
}

resource "aws_cloudwatch_metric_alarm" "fleet" {
  for_each            = local.fleet_alarms
  alarm_name          = "${var.name}-fleet-${each.key}"
  alarm_description   = "${each.value.text} ${aws_cloudwatch_log_group.this.name} names them, and what to type."
  namespace           = "Quarterturn"
  metric_name         = each.value.metric
  dimensions          = { Service = var.name }
  statistic           = "Maximum"
  period              = local.fleet_period
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  evaluation_periods  = each.value.runs
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarm_actions
  tags                = var.tags
}

resource "aws_cloudwatch_metric_alarm" "fleet_silent" {
  for_each            = local.fleet
  alarm_name          = "${var.name}-fleet-silent"
  alarm_description   = "There was no report on the secrets for a day. ${aws_cloudwatch_log_group.this.name} says why."
  namespace           = "Quarterturn"
  metric_name         = "FleetFinished"
  dimensions          = { Service = var.name }
  statistic           = "Sum"
  period              = 86400
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  evaluation_periods  = 1
  treat_missing_data  = "breaching"
  alarm_actions       = local.alarm_actions
  tags                = var.tags
}
