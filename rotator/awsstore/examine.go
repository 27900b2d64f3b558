package awsstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/permissions"
)

var _ rotator.KeyChecker = (*Store)(nil)

// optionalCallTimeout bounds a call to a service that a rotation does not need. A function in
// a closed VPC has no way to it, and must not wait for long to find out.
const optionalCallTimeout = 3 * time.Second

// validation stands for a version id where Secrets Manager itself only validates
// that a key can be used.
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html
const validation = "RequestToValidateKeyAccess"

// CheckKeyAccess implements rotator.KeyChecker: GenerateDataKey with DryRun, which makes
// no key. A yes is signalled by an error of its own.
// https://docs.aws.amazon.com/kms/latest/developerguide/testing-permissions.html
func (s *Store) CheckKeyAccess(ctx context.Context, m rotator.Metadata) error {
	ctx, cancel := context.WithTimeout(ctx, optionalCallTimeout)
	defer cancel()
	_, err := s.kmsClient().GenerateDataKey(ctx, &kms.GenerateDataKeyInput{
		KeyId:             &m.KMSKeyID,
		KeySpec:           kmstypes.DataKeySpecAes256,
		EncryptionContext: map[string]string{"SecretARN": m.ARN, "SecretVersionId": validation},
		DryRun:            aws.Bool(true),
	})
	var api smithy.APIError
	if !errors.As(err, &api) {
		if err == nil {
			return nil
		}
		return fmt.Errorf("kms:GenerateDataKey: %w: no answer from KMS", rotator.KindUnreachable)
	}
	switch api.ErrorCode() {
	case "DryRunOperationException":
		return nil
	case "AccessDeniedException":
		err = fmt.Errorf("kms:GenerateDataKey: %w: %w", rotator.KindAccessDenied, apiError{err, api})
		_, fixes := s.keyFixes(ctx, permissions.Secret{ARN: m.ARN, Key: s.keyARN(ctx, m)}, keyActions...)
		return rotator.WithFix(err, "", fixes...)
	case "DisabledException", "KMSInvalidStateException", "NotFoundException", "InvalidKeyUsageException":
		return fmt.Errorf("kms:GenerateDataKey: %w: %w (the KMS key of the secret cannot be used: see that it is "+
			"there, enabled, symmetric, and not pending deletion)", rotator.KindMisconfigured, apiError{err, api})
	}
	return fmt.Errorf("kms:GenerateDataKey: %w: %w", rotator.KindThrottled, apiError{err, api})
}

// kmsClient is a client of KMS that tries once.
func (s *Store) kmsClient() *kms.Client {
	return kms.NewFromConfig(s.cfg, func(o *kms.Options) { o.RetryMaxAttempts = 1 })
}
