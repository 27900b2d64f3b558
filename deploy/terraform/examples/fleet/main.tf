# Forty databases: one function for every engine, secrets by tag, the report on all secrets every hour.
variable "artifacts" {
  description = "Folder with the zips of a release"
  type        = string
}

variable "alarm_topic_arn" {
  description = "SNS topic for alarms"
  type        = string
}

module "quarterturn" {
  source                = "../.."
  artifacts             = var.artifacts
  functions             = ["database"]
  engines               = ["postgres", "aurora-postgresql", "mysql"]
  strategy              = "alternating-users"
  secret_tag            = "yes"
  superuser_secret_arns = ["arn:aws:secretsmanager:us-east-1:123456789012:secret:superusers/*"]
  alarm_topic_arn       = var.alarm_topic_arn
  fleet                 = { accounts = ["organization"], regions = ["us-east-1", "eu-west-1"] }
}

output "function_arns" {
  value = module.quarterturn.function_arns
}
