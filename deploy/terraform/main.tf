data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.id
  zip       = { arm64 = "arm64", x86_64 = "amd64" }[var.architecture]
  in_vpc    = length(var.subnet_ids) > 0

  # One role for each strategy, so that a function which needs no superuser cannot read a superuser's secret.
  strategies = { for f in var.functions : f => f == "database" ? var.strategy : endswith(f, "-alternating-users") ? "alternating-users" : "single-user" }
  roles      = toset(values(local.strategies))
  # Strategies whose role reads the superusers' secrets.
  superusers = length(var.superuser_secret_arns) == 0 ? toset([]) : toset([for r in local.roles : r if r == "alternating-users" || var.single_user_through_superuser])

  alarm_actions = var.alarm_topic_arn == null ? [] : [var.alarm_topic_arn]
}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/quarterturn/${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.log_kms_key_arn
  tags              = var.tags
}

resource "aws_lambda_function" "this" {
  for_each = var.functions

  function_name                  = "${var.name}-${each.key}"
  description                    = "Rotates credentials in Secrets Manager: ${each.key}"
  role                           = aws_iam_role.this[local.strategies[each.key]].arn
  filename                       = "${var.artifacts}/${each.key}-${local.zip}.zip"
  source_code_hash               = try(filebase64sha256("${var.artifacts}/${each.key}-${local.zip}.zip"), null)
  runtime                        = "provided.al2023"
  handler                        = "bootstrap"
  architectures                  = [var.architecture]
  timeout                        = var.timeout
  memory_size                    = var.memory_size
  reserved_concurrent_executions = var.reserved_concurrency
  tags                           = var.tags

  environment {
    variables = merge({
      POWERTOOLS_SERVICE_NAME       = var.name
      SINGLE_USER_THROUGH_SUPERUSER = tostring(var.single_user_through_superuser)
      }, each.key == "database" ? { ENGINES = join(",", var.engines), STRATEGY = var.strategy } : {},
    var.environment)
  }
  logging_config {
    log_format            = "JSON"
    application_log_level = "INFO"
    system_log_level      = "INFO"
    log_group             = aws_cloudwatch_log_group.this.name
  }
  dynamic "vpc_config" {
    for_each = local.in_vpc ? [1] : []
    content {
      subnet_ids         = var.subnet_ids
      security_group_ids = var.security_group_ids
    }
  }

  lifecycle {
    precondition {
      condition     = length(var.secret_arns) > 0 || var.secret_tag != null
      error_message = "Say which secrets may be rotated, by secret_arns or by secret_tag."
    }
    precondition {
      condition     = !local.in_vpc || length(var.security_group_ids) > 0
      error_message = "subnet_ids needs security_group_ids."
    }
    precondition {
      condition     = each.key != "database" || length(var.engines) > 0
      error_message = "The function database needs engines."
    }
  }
  depends_on = [aws_iam_role_policy_attachment.rotation, aws_iam_role_policy_attachment.runtime]
}

# Secrets Manager of this account alone.
resource "aws_lambda_permission" "this" {
  for_each = var.functions

  statement_id   = "SecretsManager"
  function_name  = aws_lambda_function.this[each.key].function_name
  action         = "lambda:InvokeFunction"
  principal      = "secretsmanager.amazonaws.com"
  source_account = local.account
}

resource "aws_cloudwatch_metric_alarm" "errors" {
  for_each = var.functions

  alarm_name          = "${var.name}-${each.key}-errors"
  alarm_description   = "The function failed. Its last ERROR line in ${aws_cloudwatch_log_group.this.name} names the cause and the remedy."
  namespace           = "AWS/Lambda"
  metric_name         = "Errors"
  dimensions          = { FunctionName = aws_lambda_function.this[each.key].function_name }
  statistic           = "Sum"
  period              = 300
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarm_actions
  tags                = var.tags
}

resource "aws_cloudwatch_metric_alarm" "preflight_blocked" {
  alarm_name          = "${var.name}-preflight-blocked"
  alarm_description   = "A preflight stopped a rotation before anything changed. The preflight lines in ${aws_cloudwatch_log_group.this.name} say what is missing."
  namespace           = "Quarterturn"
  metric_name         = "PreflightBlocked"
  dimensions          = { Service = var.name }
  statistic           = "Sum"
  period              = 300
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarm_actions
  tags                = var.tags
}
