# What a stack with a rotated secret holds, for the provider of AWS as its users have it.
terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

variable "description" { default = "one" }
variable "value" { default = "first" }
variable "function" {}
variable "days" { default = 30 }

# No key can be made in the emulator, nor a function that is not there be given a secret: plans for the errors.
variable "key" { default = false }

provider "aws" {
  region      = "us-east-1"
  max_retries = 0
}

data "aws_caller_identity" "me" {}

resource "aws_secretsmanager_secret" "app" {
  name                    = "app/db"
  description             = var.description
  recovery_window_in_days = 0
  tags                    = { team = "payments" }

  replica { region = "eu-west-1" }
}

resource "aws_secretsmanager_secret_version" "app" {
  secret_id     = aws_secretsmanager_secret.app.id
  secret_string = var.value
}

data "aws_iam_policy_document" "readers" {
  statement {
    actions   = ["secretsmanager:GetSecretValue"]
    resources = ["*"]
    principals {
      type        = "AWS"
      identifiers = ["arn:aws:iam::${data.aws_caller_identity.me.account_id}:root"]
    }
  }
}

resource "aws_secretsmanager_secret_policy" "app" {
  secret_arn          = aws_secretsmanager_secret.app.arn
  policy              = data.aws_iam_policy_document.readers.json
  block_public_policy = true
}

resource "aws_secretsmanager_secret_rotation" "app" {
  secret_id           = aws_secretsmanager_secret.app.id
  rotation_lambda_arn = var.function
  rotate_immediately  = false

  rotation_rules { automatically_after_days = var.days }

  depends_on = [aws_secretsmanager_secret_version.app]
}

data "aws_secretsmanager_random_password" "fresh" { password_length = 40 }

data "aws_secretsmanager_secret_version" "app" {
  secret_id  = aws_secretsmanager_secret.app.id
  depends_on = [aws_secretsmanager_secret_version.app]
}

data "aws_secretsmanager_secrets" "all" {
  filter {
    name   = "name"
    values = ["app/"]
  }
  depends_on = [aws_secretsmanager_secret.app]
}

resource "aws_kms_key" "app" {
  count = var.key ? 1 : 0
}

output "read" {
  value     = data.aws_secretsmanager_secret_version.app.secret_string
  sensitive = true
}

output "length" {
  value     = length(data.aws_secretsmanager_random_password.fresh.random_password)
  sensitive = true
}

output "found" { value = tolist(data.aws_secretsmanager_secrets.all.names) }
