variable "name" {
  description = "What every resource's name begins with. Keep quarterturn, or a name that begins so: quarterturn fleet then knows its functions."
  type        = string
  default     = "quarterturn"
  validation {
    condition     = can(regex("^[A-Za-z][A-Za-z0-9-]{0,36}$", var.name))
    error_message = "name is a letter and at most 36 letters, digits and dashes: Lambda allows 64 characters with the function's own name."
  }
}

variable "artifacts" {
  description = "Folder with the zips of a release (or of make dist), such as postgres-single-user-arm64.zip"
  type        = string
}

variable "functions" {
  description = "Functions to deploy: folders below handlers, such as postgres-single-user. database is one for several engines"
  type        = set(string)
  validation {
    condition     = length(var.functions) > 0 && alltrue([for f in var.functions : can(regex("^(database|[a-z]+-(single-user|alternating-users))$", f))])
    error_message = "functions are names as postgres-single-user, mysql-alternating-users or database."
  }
}

variable "engines" {
  description = "Function database, which needs it: the engines that it rotates, as secrets have them under the key engine"
  type        = list(string)
  default     = []
}

variable "strategy" {
  description = "Function database: single-user or alternating-users, for every engine"
  type        = string
  default     = "single-user"
  validation {
    condition     = contains(["single-user", "alternating-users"], var.strategy)
    error_message = "strategy is single-user or alternating-users."
  }
}

variable "architecture" {
  description = "Processor: arm64 or x86_64"
  type        = string
  default     = "arm64"
  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "architecture is arm64 or x86_64."
  }
}

variable "secret_arns" {
  description = "ARNs or ARN patterns of the secrets to rotate. This or secret_tag is required; with both, a secret must satisfy both"
  type        = list(string)
  default     = []
  validation {
    condition     = alltrue([for a in var.secret_arns : can(regex("^arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[^*?,][^,]*$", a))])
    error_message = "secret_arns are ARN patterns that name account and secret; not every secret at once."
  }
  validation {
    condition     = length(var.secret_arns) <= 150
    error_message = "More than 150 ARNs do not fit into the policies of a role: use patterns (secret:prod/*), or secret_tag."
  }
}

variable "secret_tag" {
  description = "Secrets of this account and Region with the tag quarterturn and this value may be rotated, however many there are"
  type        = string
  default     = null
}

variable "kms_key_arns" {
  description = "ARNs of the customer managed keys of those secrets. Empty for aws/secretsmanager"
  type        = list(string)
  default     = []
}

variable "only_configured_secrets" {
  description = "Allow only secrets whose rotation is set to a function of this module (AllowRotationLambdaArn)"
  type        = bool
  default     = false
}

variable "superuser_secret_arns" {
  description = "ARNs or ARN patterns of the secrets that masterarn names. Alternating users need them"
  type        = list(string)
  default     = []
}

variable "superuser_kms_key_arns" {
  description = "ARNs of the customer managed keys of the superusers' secrets"
  type        = list(string)
  default     = []
}

variable "superuser_database_arns" {
  description = "ARNs of the RDS instances or clusters whose superusers' secrets RDS manages (rds!...)"
  type        = list(string)
  default     = []
}

variable "single_user_through_superuser" {
  description = "Single user functions set the password through the superuser, for users who may not change their own"
  type        = bool
  default     = false
}

variable "subnet_ids" {
  description = "Subnets from which the databases and Secrets Manager can be reached. Empty for no VPC"
  type        = list(string)
  default     = []
}

variable "security_group_ids" {
  description = "Security groups of the functions, needed with subnet_ids. The database must admit them"
  type        = list(string)
  default     = []
}

variable "environment" {
  description = "Settings of the functions, by the names of docs/settings.md: PASSWORD_LENGTH, SECRET_TAGS, PREFLIGHT and so on"
  type        = map(string)
  default     = {}
}

variable "timeout" {
  description = "Seconds that a step may take. setSecret does not begin with less than 10 left"
  type        = number
  default     = 60
  validation {
    condition     = var.timeout >= 30 && var.timeout <= 900
    error_message = "timeout is 30 to 900 seconds."
  }
}

variable "memory_size" {
  description = "MB; processor time grows with it"
  type        = number
  default     = 128
}

variable "reserved_concurrency" {
  description = "Invocations at once that are set aside for each function; -1 for none. With less than 10, rotations get stuck between steps"
  type        = number
  default     = -1
}

variable "log_retention_days" {
  description = "Days for which logs are kept"
  type        = number
  default     = 90
}

variable "log_kms_key_arn" {
  description = "KMS key of the log group. Its policy must let CloudWatch Logs in"
  type        = string
  default     = null
}

variable "permissions_boundary_arn" {
  description = "Permissions boundary of the roles"
  type        = string
  default     = null
}

variable "role_path" {
  description = "Path of the roles and of their policies"
  type        = string
  default     = "/"
}

variable "alarm_topic_arn" {
  description = "SNS topic for alarms. null: the alarms tell nobody"
  type        = string
  default     = null
}

variable "fleet" {
  description = "The report on all secrets, on a schedule (docs/fleet.md). null: none. hours is 1, 6 or 12; accounts are ids, or [\"organization\"]"
  type = object({
    hours        = optional(number, 1)
    accounts     = optional(list(string), [])
    regions      = optional(list(string), [])
    max_age_days = optional(number, 90)
  })
  default = null
  validation {
    condition     = var.fleet == null ? true : contains([1, 6, 12], var.fleet.hours)
    error_message = "fleet.hours is 1, 6 or 12."
  }
}

variable "tags" {
  description = "Tags of every resource"
  type        = map(string)
  default     = {}
}
