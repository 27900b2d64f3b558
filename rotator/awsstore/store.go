// Package awsstore is rotator.Store over AWS Secrets Manager. It asks RDS where the
// databases are whose superusers' secrets RDS manages.
package awsstore

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
)

// Store calls Secrets Manager, one API call for each method of rotator.Store. It is
// safe for concurrent use.
type Store struct {
	client *secretsmanager.Client
	cfg    aws.Config // for the services that are asked seldom

	onlyReads bool // what is asked for is a secret in which nothing is stored
}

// callTimeout bounds one call, the SDK's own retries included. Secrets Manager
// answers in milliseconds; what takes seconds is a missing route, and the person
// who looks at the log should read so instead of "Task timed out".
const callTimeout = 8 * time.Second

// New makes a Store from a configuration. endpoint replaces the address of the
// service; "" leaves it to the configuration (AWS_ENDPOINT_URL and the Region).
func New(cfg aws.Config, endpoint string) *Store {
	// Whatever a shared configuration asks for: bodies of these calls are secrets
	// and must not be logged.
	cfg.ClientLogMode = 0
	return &Store{cfg: cfg, client: secretsmanager.NewFromConfig(cfg, func(o *secretsmanager.Options) {
		if endpoint != "" {
			o.BaseEndpoint = aws.String(endpoint)
		}
	})}
}

// Describe implements rotator.Store.
func (s *Store) Describe(ctx context.Context, id string) (rotator.Metadata, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	out, err := s.client.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &id})
	if err != nil {
		return rotator.Metadata{}, s.wrapError(ctx, "DescribeSecret", id, err)
	}
	m := rotator.Metadata{
		ARN:               aws.ToString(out.ARN),
		Name:              aws.ToString(out.Name),
		Region:            regionOf(aws.ToString(out.ARN)),
		RotationEnabled:   out.RotationEnabled,
		RotationLambdaARN: aws.ToString(out.RotationLambdaARN),
		KMSKeyID:          aws.ToString(out.KmsKeyId),
		Labels:            out.VersionIdsToStages,
		OwningService:     aws.ToString(out.OwningService),
		Type:              aws.ToString(out.Type),
		PrimaryRegion:     aws.ToString(out.PrimaryRegion),
		DeletionDate:      aws.ToTime(out.DeletedDate),
		Schedule:          RotationRules(out.RotationRules),
		Tags:              make(map[string]string, len(out.Tags)),
	}
	for _, tag := range out.Tags {
		m.Tags[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
	}
	for _, r := range out.ReplicationStatus {
		m.Replicas = append(m.Replicas, rotator.Replica{Region: aws.ToString(r.Region), Status: string(r.Status),
			Message: aws.ToString(r.StatusMessage)})
	}
	return m, nil
}

// RotationRules is a schedule as the SDK has it; nil: none was ever set.
func RotationRules(r *types.RotationRulesType) rotator.RotationRules {
	if r == nil {
		return rotator.RotationRules{}
	}
	return rotator.RotationRules{Days: int(aws.ToInt64(r.AutomaticallyAfterDays)),
		Expression: aws.ToString(r.ScheduleExpression), Duration: aws.ToString(r.Duration)}
}

// regionOf reads the Region of arn:partition:secretsmanager:region:account:secret:name.
func regionOf(arn string) string {
	if part := strings.SplitN(arn, ":", 5); len(part) == 5 {
		return part[3]
	}
	return ""
}

// Value implements rotator.Store.
func (s *Store) Value(ctx context.Context, id string, v rotator.VersionRef) (rotator.SecretValue, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	out, err := s.client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{
		SecretId:     &id,
		VersionId:    optional(v.ID),
		VersionStage: optional(v.Label),
	})
	if err != nil {
		reader := Store{s.client, s.cfg, v.OnlyRead}
		return rotator.SecretValue{}, reader.wrapError(ctx, "GetSecretValue", id, err)
	}
	read := rotator.SecretValue{VersionID: aws.ToString(out.VersionId), Created: aws.ToTime(out.CreatedDate)}
	if out.SecretString == nil {
		return read, fmt.Errorf("value: %w: it is binary: want a JSON object stored as SecretString",
			rotator.KindMisconfigured)
	}
	if read.Document, err = secret.ParseDocument(*out.SecretString); err != nil {
		return read, fmt.Errorf("value: %w: %w", rotator.KindMisconfigured, err)
	}
	return read, nil
}

// Put implements rotator.Store.
func (s *Store) Put(ctx context.Context, p rotator.PutInput) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := s.client.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
		SecretId:           &p.SecretID,
		ClientRequestToken: &p.VersionID,
		RotationToken:      optional(p.RotationToken.Reveal()),
		SecretString:       aws.String(p.Document.Encode().Reveal()),
		VersionStages:      []string{rotator.LabelPending},
	})
	return s.wrapError(ctx, "PutSecretValue", p.SecretID, err)
}

// MoveLabel implements rotator.Store.
func (s *Store) MoveLabel(ctx context.Context, id string, m rotator.LabelMove) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := s.client.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{
		SecretId:            &id,
		VersionStage:        &m.Label,
		MoveToVersionId:     optional(m.To),
		RemoveFromVersionId: optional(m.From),
	})
	return s.wrapError(ctx, "UpdateSecretVersionStage", id, err)
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
