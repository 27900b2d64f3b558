package contract

// Where facts come from. A test file that was run against AWS is named with the test and, where the file says so, the
// day of the recording.
const (
	localstackSM  = "LocalStack tests/aws/services/secretsmanager "
	localstackKMS = "LocalStack tests/aws/services/kms "
	localstackSTS = "LocalStack tests/aws/services/sts "
	motoSM        = "moto tests/test_secretsmanager "
	apiSM         = "https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_"
	guideSM       = "https://docs.aws.amazon.com/secretsmanager/latest/userguide/"
	apiKMS        = "https://docs.aws.amazon.com/kms/latest/APIReference/API_"
	guideKMS      = "https://docs.aws.amazon.com/kms/latest/developerguide/"
	apiSTS        = "https://docs.aws.amazon.com/STS/latest/APIReference/API_"
	apiRDS        = "https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_"
	guideIAM      = "https://docs.aws.amazon.com/IAM/latest/UserGuide/"
	authorization = "https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssecretsmanager.html"
	repost        = "https://repost.aws/knowledge-center/"
	jsonErrors    = "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html (of " +
		"another service with this protocol)"
	awsJSON  = "https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html"
	github   = "https://github.com/"
	noSource = "no public record"
)

// Texts that several rows expect.
const (
	textNoSecret  = "Secrets Manager can't find the specified secret."
	textNoLabel   = "Secrets Manager can't find the specified secret value for staging label: "
	textNoVersion = "Secrets Manager can't find the specified secret value for VersionId: "
	textName      = "Invalid name. Must be a valid name containing alphanumeric characters, or any of the " +
		"following: -/_+=.@!"
	textToken     = "You must provide a ClientRequestToken value. We recommend a UUID-type value."
	textTokenUsed = "You can't use ClientRequestToken {token} because that value is already in use for a version " +
		"of secret {arn}."
	textDeleted    = "You can't perform this operation on the secret because it was marked for deletion."
	textMismatch   = "You provided a VersionStage that is not associated to the provided VersionId."
	textDefaultKey = "You can't access a secret from a different AWS account if you encrypt the secret with the " +
		"default KMS service key."
	textInvoke = "Secrets Manager cannot invoke the specified Lambda function. Ensure that the function policy " +
		"grants access to the principal secretsmanager.amazonaws.com."
	textKMS        = "Access to KMS is not allowed"
	textOldKey     = "Access to KMS is not allowed. This version of secret is not encrypted with the current KMS key."
	textDryRun     = "The request would have succeeded, but the DryRun option is set."
	textNoLambda   = "No Lambda rotation function ARN is associated with this secret."
	textUnfinished = "A previous rotation isn't complete. That rotation will be reattempted."
	textNoIdentity = "User: {principal} is not authorized to perform: {action} on resource: {resource} because no " +
		"identity-based policy allows the {action} action"
	textIncorrect   = "The key ID in the request does not identify a CMK that can perform this operation."
	textRemoveEmpty = "The parameter RemoveFromVersionId can't be empty. Staging label AWSCURRENT is currently " +
		"attached to version {first}, so you must explicitly reference that version in RemoveFromVersionId."
)

const (
	notFound         = "ResourceNotFoundException"
	invalidRequest   = "InvalidRequestException"
	invalidParameter = "InvalidParameterException"
	exists           = "ResourceExistsException"
	denied           = "AccessDeniedException"
	validation       = "ValidationException"
)
