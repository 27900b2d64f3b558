package awsemu

import (
	"fmt"
	"net/http"
)

// apiError is an error as the wire carries it.
type apiError struct {
	Code, Message string
	Status        int
}

func (e *apiError) Error() string { return e.Code + ": " + e.Message }

func refuse(code, format string, args ...any) *apiError {
	status := http.StatusBadRequest
	switch code {
	case codeInternal:
		status = http.StatusInternalServerError
	case codeUnknown:
		status = http.StatusNotFound
	}
	return &apiError{code, fmt.Sprintf(format, args...), status}
}

const (
	codeNotFound         = "ResourceNotFoundException"
	codeInvalidParameter = "InvalidParameterException"
	codeInvalidRequest   = "InvalidRequestException"
	codeExists           = "ResourceExistsException"
	codeLimit            = "LimitExceededException"
	codeDecryption       = "DecryptionFailure"
	codeEncryption       = "EncryptionFailure"
	codeInternal         = "InternalServiceError"
	codeMalformedPolicy  = "MalformedPolicyDocumentException"
	codePublicPolicy     = "PublicPolicyException"
	codeNextToken        = "InvalidNextTokenException"
	codeDenied           = "AccessDeniedException"
	codeThrottled        = "ThrottlingException"
	codeExpired          = "ExpiredTokenException"
	codeValidation       = "ValidationException"
	codeSerialization    = "SerializationException"
	codeUnknown          = "UnknownOperationException"
	codeNoToken          = "MissingAuthenticationTokenException"
	codeBadSignature     = "IncompleteSignatureException"
	codeUnrecognized     = "UnrecognizedClientException"

	codeKeyNotFound  = "NotFoundException"
	codeKeyDisabled  = "DisabledException"
	codeKeyState     = "KMSInvalidStateException"
	codeKeyUsage     = "InvalidKeyUsageException"
	codeKeyIncorrect = "IncorrectKeyException"
	codeCiphertext   = "InvalidCiphertextException"
	codeGrantID      = "InvalidGrantIdException"
	codeGrantToken   = "InvalidGrantTokenException"
	codeDryRun       = "DryRunOperationException"
)

// modelled errors are part of the service model and spell their text "Message";
// the others come from the layer in front of it, which spells it "message".
var modelled = map[string]bool{
	codeNotFound: true, codeInvalidParameter: true, codeInvalidRequest: true, codeExists: true, codeLimit: true,
	codeDecryption: true, codeEncryption: true, codeInternal: true, codeMalformedPolicy: true, codePublicPolicy: true,
	codeNextToken: true, codeDenied: true, // AccessDeniedException is not in the model, and still says "Message"
}

func errNotFound() error {
	return refuse(codeNotFound, "Secrets Manager can't find the specified secret.")
}
func errNoToken(code string) error {
	return refuse(code, "You must provide a ClientRequestToken value. We recommend a UUID-type value.")
}
func errTokenUsed(token string, s *Secret) error {
	return refuse(codeExists, "You can't use ClientRequestToken %s because that value is already in use for a "+
		"version of secret %s.", token, s.ARN)
}
func errNoVersion(id string) error {
	return refuse(codeNotFound, "Secrets Manager can't find the specified secret value for VersionId: %s", id)
}
func errNoStage(label string) error {
	return refuse(codeNotFound, "Secrets Manager can't find the specified secret value for staging label: %s", label)
}
func errMarkedDeleted() error {
	return refuse(codeInvalidRequest, "You can't perform this operation on the secret because it was marked for "+
		"deletion.")
}
func errReplica() error {
	return refuse(codeInvalidRequest, "Operation not permitted on a replica secret. Call must be made in primary "+
		"secret's region.")
}
func errOwned(service string) error {
	return refuse(codeInvalidRequest, "The secret is managed by another service (%s), and you must use that service "+
		"to update it.", service)
}
