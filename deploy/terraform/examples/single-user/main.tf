# One secret, rotated by the user itself every Sunday at three, without a rotation at the moment of terraform apply.
variable "artifacts" {
  description = "Folder with the zips of a release"
  type        = string
}

variable "secret_arn" {
  description = "ARN of the secret"
  type        = string
}

module "quarterturn" {
  source      = "../.."
  artifacts   = var.artifacts
  functions   = ["postgres-single-user"]
  secret_arns = [var.secret_arn]
}

resource "aws_secretsmanager_secret_rotation" "app" {
  secret_id           = var.secret_arn
  rotation_lambda_arn = module.quarterturn.function_arns["postgres-single-user"]
  rotate_immediately  = false # or apply rotates now
  rotation_rules {
    schedule_expression = "cron(0 3 ? * SUN *)"
  }
}
