# The statements are those that quarterturn policies prints and template.yaml has; a test holds the three to each other.

locals {
  assume = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Principal = { Service = "lambda.amazonaws.com" }, Action = "sts:AssumeRole" }]
  })
  via = "secretsmanager.${local.region}.amazonaws.com"

  # A managed policy has at most 6,144 characters: forty ARNs take two.
  secret_chunks = length(var.secret_arns) > 0 ? chunklist(var.secret_arns, 30) : [["arn:${local.partition}:secretsmanager:${local.region}:${local.account}:secret:*"]] # with the tag
  narrowed = merge(
    var.secret_tag == null ? {} : { StringEquals = { "aws:ResourceTag/quarterturn" = var.secret_tag } },
    !var.only_configured_secrets ? {} : { ArnLike = { "secretsmanager:resource/AllowRotationLambdaArn" = "arn:${local.partition}:lambda:${local.region}:${local.account}:function:${var.name}-*" } },
  )
  every_secret = "arn:${local.partition}:secretsmanager:${local.region}:*:secret:*"

  rotation_policies = { for i, arns in local.secret_chunks : tostring(i) => [merge({
    Sid      = "Rotate"
    Effect   = "Allow"
    Action   = ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue", "secretsmanager:UpdateSecretVersionStage"]
    Resource = arns
  }, length(local.narrowed) == 0 ? {} : { Condition = local.narrowed })] }

  key_statements = length(var.kms_key_arns) == 0 ? [] : [{
    Sid      = "UseTheKey"
    Effect   = "Allow"
    Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
    Resource = var.kms_key_arns
    Condition = {
      StringEquals = { "kms:ViaService" = local.via }
      StringLike   = { "kms:EncryptionContext:SecretARN" = length(var.secret_arns) == 1 ? var.secret_arns[0] : local.every_secret }
    }
  }]

  superuser_statements = concat([{
    Sid      = "ReadTheSuperusersSecret"
    Effect   = "Allow"
    Action   = concat(["secretsmanager:GetSecretValue"], length(var.superuser_database_arns) > 0 ? ["secretsmanager:DescribeSecret"] : [])
    Resource = var.superuser_secret_arns
    }], length(var.superuser_kms_key_arns) == 0 ? [] : [{
    Sid      = "UseTheSuperusersKey"
    Effect   = "Allow"
    Action   = ["kms:Decrypt"]
    Resource = var.superuser_kms_key_arns
    Condition = {
      StringEquals = { "kms:ViaService" = local.via }
      StringLike   = { "kms:EncryptionContext:SecretARN" = length(var.superuser_secret_arns) == 1 ? var.superuser_secret_arns[0] : local.every_secret }
    }
    }], length(var.superuser_database_arns) == 0 ? [] : [{
    Sid      = "FindTheDatabase"
    Effect   = "Allow"
    Action   = ["rds:DescribeDBInstances", "rds:DescribeDBClusters"]
    Resource = var.superuser_database_arns
  }])

  network = ["ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:DeleteNetworkInterface",
  "ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses"]
  runtime_statements = concat([{
    Sid      = "WriteTheLog"
    Effect   = "Allow"
    Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    Resource = ["arn:${local.partition}:logs:${local.region}:${local.account}:log-group:/quarterturn/${var.name}:*"]
    }], [for s in [
    { Sid = "JoinTheNetwork", Effect = "Allow", Action = local.network, Resource = ["*"] }, # no resource can be named for these, AWS says
    { Sid = "NoNetworkForTheCode", Effect = "Deny", Action = local.network, Resource = ["*"], Condition = {
    ArnLike = { "lambda:SourceFunctionArn" = "arn:${local.partition}:lambda:${local.region}:${local.account}:function:${var.name}-*" } } },
  ] : s if local.in_vpc])
}

resource "aws_iam_role" "this" {
  for_each             = local.roles
  name                 = "${var.name}-${each.key}-${local.region}"
  path                 = var.role_path
  permissions_boundary = var.permissions_boundary_arn
  assume_role_policy   = local.assume
  tags                 = var.tags
}

resource "aws_iam_policy" "rotation" {
  for_each = local.rotation_policies
  name     = "${var.name}-rotation-${each.key}-${local.region}"
  path     = var.role_path
  policy   = jsonencode({ Version = "2012-10-17", Statement = each.value })
  tags     = var.tags
  lifecycle {
    precondition {
      condition     = length(jsonencode({ Version = "2012-10-17", Statement = each.value })) <= 6144
      error_message = "The ARNs in secret_arns are too long for a managed policy of IAM: use patterns, or secret_tag."
    }
  }
}

resource "aws_iam_role_policy_attachment" "rotation" {
  for_each   = { for pair in setproduct(local.roles, keys(local.rotation_policies)) : "${pair[0]}/${pair[1]}" => { role = pair[0], policy = pair[1] } }
  role       = aws_iam_role.this[each.value.role].name
  policy_arn = aws_iam_policy.rotation[each.value.policy].arn
}

resource "aws_iam_policy" "runtime" {
  name   = "${var.name}-runtime-${local.region}"
  path   = var.role_path
  policy = jsonencode({ Version = "2012-10-17", Statement = concat(local.runtime_statements, local.key_statements) })
  tags   = var.tags
}

resource "aws_iam_role_policy_attachment" "runtime" {
  for_each   = local.roles
  role       = aws_iam_role.this[each.key].name
  policy_arn = aws_iam_policy.runtime.arn
}

resource "aws_iam_policy" "superuser" {
  count  = length(local.superusers) > 0 ? 1 : 0
  name   = "${var.name}-superuser-${local.region}"
  path   = var.role_path
  policy = jsonencode({ Version = "2012-10-17", Statement = local.superuser_statements })
  tags   = var.tags
}

resource "aws_iam_role_policy_attachment" "superuser" {
  for_each   = local.superusers
  role       = aws_iam_role.this[each.key].name
  policy_arn = aws_iam_policy.superuser[0].arn
}
