package rotator

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator/secret"
)

// The staging labels that Secrets Manager gives a meaning to.
const (
	LabelCurrent  = "AWSCURRENT"
	LabelPending  = "AWSPENDING"
	LabelPrevious = "AWSPREVIOUS"
)

// Store is the part of Secrets Manager that a rotation needs: one method for
// each permission of the rotation role. Every method makes one API call (the
// SDK's own retries aside) and wraps its failures with a Kind: KindNotFound,
// KindAccessDenied, KindThrottled, KindConflict, KindUnreachable, or another that fits.
type Store interface {
	// Describe reads labels and configuration (DescribeSecret).
	Describe(ctx context.Context, secretID string) (Metadata, error)
	// Value reads the version that v names (GetSecretValue). KindNotFound means that
	// there is no such version, or that it has no value yet; KindConflict means that
	// the version exists and does not carry the label. KindMisconfigured with a VersionID
	// beside it means that the value was read, and is no document.
	Value(ctx context.Context, secretID string, v VersionRef) (SecretValue, error)
	// Put gives the pending version its value (PutSecretValue). KindConflict means
	// that the version has a different value already (ResourceExistsException).
	Put(ctx context.Context, p PutInput) error
	// MoveLabel moves a label, and fails with KindConflict if m.From does not hold it any
	// more (UpdateSecretVersionStage).
	MoveLabel(ctx context.Context, secretID string, m LabelMove) error
}

// IsRDSHost says whether a host has a name that RDS gives: NAME.ID.REGION.rds.amazonaws.com, and in China
// NAME.ID.rds.REGION.amazonaws.com.cn.
func IsRDSHost(host string) bool {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	return strings.HasSuffix(host, ".rds.amazonaws.com") || strings.Contains(host, ".rds.cn-") &&
		strings.HasSuffix(host, ".amazonaws.com.cn")
}

// DatabaseResolver is what a Store may know beyond secrets: of the databases that they
// are for.
type DatabaseResolver interface {
	// Resolve gives a secret that RDS manages, which holds username and password
	// and nothing else, the engine, host and port of its database. Any other
	// document comes back as it is and costs no call.
	Resolve(ctx context.Context, secretID string, d secret.Document) (secret.Document, error)
	// IsEndpointOf is nil if host and port are another way to the database that d is for
	// than the one that d names: its reader endpoint, or a replica. KindConflict says
	// that they are not, or that it is not known.
	IsEndpointOf(ctx context.Context, d secret.Document, host string, port int) error
}

// LabelMove is a label that changes hands: a compare-and-swap between two version ids.
// No From: no version has it. No To: it is removed, which AWSCURRENT cannot be.
// When AWSCURRENT moves, the service has AWSPREVIOUS follow to From.
type LabelMove struct{ Label, From, To string }

// VersionRef names a version of a secret, by id, by label, or by both, in which
// case the two must agree. The zero Version is AWSCURRENT.
type VersionRef struct {
	ID, Label string
	// OnlyRead: the secret is another than the one that is rotated, a superuser's, and nothing is stored there.
	OnlyRead bool
}

// SecretValue is what a version holds.
type SecretValue struct {
	VersionID string
	Document  secret.Document
	Created   time.Time // of the version; zero: not known
}

// PutInput is a value for the pending version of a rotation.
type PutInput struct {
	SecretID  string
	VersionID string // the event's ClientRequestToken: it becomes the version's id
	// RotationToken comes from the event and proves to Secrets Manager that the
	// value was made by the rotation function, which cross-account rotation and
	// assumed roles need. It is as sensitive as a password.
	RotationToken secret.Password
	Document      secret.Document
}

// Metadata is what DescribeSecret says, as far as a rotation cares.
type Metadata struct {
	ARN, Name         string
	Region            string              // of the ARN
	RotationEnabled   *bool               // nil: rotation was never set up
	RotationLambdaARN string              //
	Schedule          RotationRules       //
	KMSKeyID          string              // "": aws/secretsmanager
	Labels            map[string][]string // version id to its labels
	OwningService     string              // "rds" and so on: that service rotates it
	Type              string              // a partner's managed external secret
	PrimaryRegion     string              // differs from Region on a replica
	DeletionDate      time.Time           // not zero: scheduled for deletion
	Tags              map[string]string
	Replicas          []Replica // in other Regions
}

// Replica is a copy of a secret in another Region.
type Replica struct{ Region, Status, Message string }

// replicaInSync is the status of a replica that has the value of its primary.
const replicaInSync = "InSync"

// HasCustomerKey says whether the secret is encrypted with a key other than the one
// that AWS manages for Secrets Manager.
func (m Metadata) HasCustomerKey() bool {
	return m.KMSKeyID != "" && !strings.HasSuffix(m.KMSKeyID, "alias/aws/secretsmanager")
}

// VersionWithLabel gives the id of the version that carries a label, or "".
func (m Metadata) VersionWithLabel(label string) string {
	for id, labels := range m.Labels {
		if slices.Contains(labels, label) {
			return id
		}
	}
	return ""
}

// HasLabel says whether a version carries a label.
func (m Metadata) HasLabel(version, label string) bool {
	return slices.Contains(m.Labels[version], label)
}
