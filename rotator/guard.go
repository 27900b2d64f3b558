package rotator

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
			"To enable it, unless it was cancelled on purpose: aws secretsmanager rotate-secret --secret-id %s",
			KindConflict, ShellWord(m.ARN))
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
		restore := Fix{By: ByShell, For: "if clients use it, to restore it, then status again",
			Run: "aws secretsmanager restore-secret --secret-id " + ShellWord(m.ARN)}
		return WithFix(fmt.Errorf("secret: %w: scheduled for deletion: stop rotating it, or restore it if clients use "+
			"it", KindMisconfigured), restore.Run, restore)
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

// maxLabels is the quota of staging labels of a secret, on all its versions together.
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html
const maxLabels = 20

// checkLabelRoom refuses a secret whose own labels leave no room for those of a rotation. The last comes when
// AWSCURRENT moves, for the version that it leaves, which would go on naming a password that setSecret has replaced.
func checkLabelRoom(m Metadata) error {
	var own [][2]string
	for id, labels := range m.Labels {
		for _, l := range labels {
			if l != LabelCurrent && l != LabelPending && l != LabelPrevious {
				own = append(own, [2]string{l, id})
			}
		}
	}
	tooMany := len(own) + 3 - maxLabels
	if tooMany <= 0 {
		return nil
	}
	slices.SortFunc(own, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	fixes := []Fix{{By: ByShell, For: beforeMoving + "to see all labels",
		Run: "aws secretsmanager describe-secret --secret-id " + ShellWord(m.ARN) + " --query VersionIdsToStages"}}
	for _, l := range own {
		if len(fixes) <= tooMany && ShellWord(l[0]) == l[0] && !strings.HasPrefix(l[0], "-") {
			fixes = append(fixes, Fix{By: ByShell, For: beforeMoving + "if nothing needs label " + l[0] +
				", to remove it", Run: LabelMove{Label: l[0], From: l[1]}.cliCommand(m.ARN)})
		}
	}
	return WithFix(fmt.Errorf("secret: %w: its own staging labels are %d too many: a secret can have %d, and a "+
		"rotation needs AWSCURRENT, AWSPENDING and AWSPREVIOUS. At its end AWSCURRENT could not move. Remove as many "+
		"of your own that nothing needs", KindMisconfigured, tooMany, maxLabels), "", fixes...)
}
