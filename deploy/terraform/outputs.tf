# The permission is part of it: whatever uses an ARN waits until Secrets Manager may invoke the function.
output "function_arns" {
  description = "ARNs by the names of functions, for rotation_lambda_arn"
  value       = { for name, f in aws_lambda_function.this : name => f.arn }
  depends_on  = [aws_lambda_permission.this]
}

output "role_arns" {
  description = "Roles by strategy, for key policies and resource policies that name them"
  value       = { for name, r in aws_iam_role.this : name => r.arn }
}

output "fleet_role_arn" {
  description = "Who QuarterturnFleetReader in other accounts must trust; null without fleet"
  value       = try(aws_iam_role.fleet["fleet"].arn, null)
}

output "log_group_name" {
  value = aws_cloudwatch_log_group.this.name
}
