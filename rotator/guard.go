package rotator

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// checkSecret reads the state of the secret and says whether this event may still act on
// it. done means that the version is AWSCURRENT already: a duplicate, or another
// attempt after success, which must change nothing.
//
// The checks are those of AWS's templates, in their order, behind those for
// secrets that are not ours to rotate at all.
func (v *invocation) checkSecret(ctx context.Context) (m Metadata, done bool, err error) {
	err = v.retryRead(ctx, kindStaleRead, func() error {
		if m, err = v.Store.Describe(ctx, v.event.SecretID); err != nil {
			return fmt.Errorf("secret: %w", err)
		}
		done, err = checkVersion(m, v.event.VersionID)
		return err
	})
	return m, done, err
}

// kindStaleRead marks a refusal that a stale answer of DescribeSecret can cause: the
// service made the version only just now.
const kindStaleRead Kind = "no such version of the secret"

// checkVersion judges one answer of DescribeSecret.
func checkVersion(m Metadata, version string) (done bool, err error) {
	if err := checkRotatable(m); err != nil {
		return false, err
	}
	if m.RotationEnabled != nil && !*m.RotationEnabled {
		return false, fmt.Errorf("secret: %w: rotation is disabled (perhaps cancelled after this event was sent). "+
			"To enable it: aws secretsmanager rotate-secret --secret-id %s", KindConflict, ShellWord(m.ARN))
	}
	labels, known := m.Labels[version]
	switch {
	case !known:
		return false, fmt.Errorf("version %s: %w: %w", version, KindConflict, kindStaleRead)
	case m.HasLabel(version, LabelCurrent):
		return true, nil
	case !m.HasLabel(version, LabelPending):
		return false, fmt.Errorf("version %s: %w: it has the label %s, not AWSPENDING: another rotation replaced it, "+
			"or the label was moved by hand", version, KindConflict, strings.Join(labels, ", "))
	}
	return false, nil
}

// checkRotatable refuses secrets that no function may rotate, or not here.
func checkRotatable(m Metadata) error {
	switch {
	case !m.DeletionDate.IsZero():
		return fmt.Errorf("secret: %w: scheduled for deletion: restore it (aws secretsmanager restore-secret "+
			"--secret-id %s) or stop rotating it", KindMisconfigured, ShellWord(m.ARN))
	case m.OwningService != "":
		return fmt.Errorf("secret: %w: managed by %s, which rotates it itself: remove the rotation function from it; "+
			"as a superuser secret it can be used", KindMisconfigured, m.OwningService)
	case m.Type != "":
		return fmt.Errorf("secret: %w: a managed external secret of type %s, which Secrets Manager rotates without a "+
			"function", KindMisconfigured, m.Type)
	case m.PrimaryRegion != "" && m.PrimaryRegion != m.Region:
		return fmt.Errorf("secret: %w: a replica of the secret in %s: rotate it there, and the new value is "+
			"replicated to %s", KindMisconfigured, m.PrimaryRegion, m.Region)
	}
	return nil
}

// moveLabel moves a label. already means that it was found to have arrived although the
// call failed: an answer that was lost, and a second try that found the work done,
// look like failures. A refusal is one.
func (v *invocation) moveLabel(ctx context.Context, m LabelMove) (already bool, err error) {
	err = v.Store.MoveLabel(ctx, v.event.SecretID, m)
	if err == nil {
		return false, nil
	}
	if !errors.Is(err, KindAccessDenied) && v.labelArrived(ctx, m) {
		return true, nil
	}
	return false, fmt.Errorf("%s: %w", m.Label, err)
}

// labelArrived says whether a label is where it was to go, whatever moved it.
func (v *invocation) labelArrived(ctx context.Context, m LabelMove) bool {
	err := v.retryRead(ctx, kindStaleRead, func() error {
		meta, err := v.Store.Describe(ctx, v.event.SecretID)
		if err == nil && meta.VersionWithLabel(m.Label) != m.To {
			err = kindStaleRead
		}
		return err
	})
	return err == nil
}
