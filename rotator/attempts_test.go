package rotator_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// rejections counts the rejected logins in a journal: all of them, and the most in a
// row for one account.
func rejections(journal []string) (all, inARow int) {
	row := map[string]int{}
	for _, entry := range journal {
		login, isLogin := strings.CutPrefix(entry, "login ")
		user, rejected := strings.CutSuffix(login, ": login rejected")
		switch {
		case !isLogin:
		case rejected:
			all++
			row[user]++
			inARow = max(inARow, row[user])
		case !strings.Contains(login, ":"):
			row[user] = 0
		}
	}
	return all, inARow
}

// TestARetryNeverLocksAnAccount: servers lock an account after some rejected logins in
// a row. A first run makes none. A retry, whatever the first run was cut off at, never
// makes two: where two lock the account, it succeeds. Under the race detector it tries every fifth place.
func TestARetryNeverLocksAnAccount(t *testing.T) {
	cuts, stride := 0, tier.Stride(t, 1, 5)
	for _, strategy := range []string{"single", "superuser", "alternating", "dual"} {
		for _, where := range []string{"before call", "after call", "before operation", "after operation"} {
			for n := 1; ; n += stride {
				s := newStory(t)
				s.db.LockAfter = 2
				s.run("strategy " + strategy + "\naccount boss/ps superuser\nsuperuser boss/ps\naccount " +
					"app/p1\nversion AWSCURRENT app/p1\nstate")
				cut := s.cut(where, n)
				if all, _ := rejections(s.db.Journal()); all != 0 {
					t.Fatalf("%s, cut %s %d: the first run makes %d rejected logins: %v", strategy, where, n, all,
						s.db.Journal())
				}
				if !cut { // there was no n-th
					break
				}
				cuts++
				for range 2 { // the retry, and a rotation after it
					s.sdk.RotateSecret(t.Context(), &secretsmanager.RotateSecretInput{SecretId: &s.arn}) //nolint:errcheck // it says that a rotation is incomplete
					if r, err := s.aws.WaitRotation(t.Context(), s.arn); err != nil ||
						r.Outcome != "RotationSucceeded" {
						t.Fatalf("%s, cut %s %d: %s %v: %v", strategy, where, n, r.Message, err, s.db.Journal())
					}
				}
				if _, inARow := rejections(s.db.Journal()); inARow > 1 {
					t.Fatalf("%s, cut %s %d: %d rejected logins in a row: %v", strategy, where, n, inARow,
						s.db.Journal())
				}
			}
		}
	}
	if cuts < 100/stride {
		t.Errorf("%d cuts are too few to be true", cuts)
	}
}

// strict is a server whose password policy refuses the first proposals; it keeps what
// it was shown in a dry run.
type strict struct {
	*strategytest.Memory
	refuse int
	shown  *[]secret.Password
}

func (e strict) DryRunSetPassword(ctx context.Context, as strategies.Login, user string,
	p secret.Password) ([]strategies.Warning, error) {
	*e.shown = append(*e.shown, p)
	if len(*e.shown) <= e.refuse {
		return nil, fmt.Errorf("new password: %w: no such word", rotator.KindPasswordPolicy)
	}
	return e.Memory.DryRunSetPassword(ctx, as, user, p)
}

// TestARefusedPasswordIsNeverStored: createSecret shows the server the very password
// that it is about to store, and proposes another where the server's policy refuses it,
// three in all.
func TestARefusedPasswordIsNeverStored(t *testing.T) {
	for refuse, stored := range []bool{true, true, true, false} {
		s := newStory(t)
		s.run("account app/p1\nversion AWSCURRENT app/p1\nversion AWSPENDING empty\nstate")
		var shown []secret.Password
		s.rotator.Strategy = strategies.SingleUser{Engine: strict{&s.db, refuse, &shown}}
		var failed error
		s.rotator.Observe = func(_ context.Context, r rotator.Record) { failed = r.Err }
		s.step("createSecret", "v2")
		pending := s.aws.Snapshot(s.arn).Holder("AWSPENDING").Value
		if !stored {
			if !pending.Empty() || !errors.Is(failed, rotator.KindPasswordPolicy) || len(shown) != 3 {
				t.Errorf("%d refused: %d shown, empty: %v, %v", refuse, len(shown), pending.Empty(), failed)
			}
			continue
		}
		d, err := secret.ParseDocument(string(pending.Reveal()))
		if err != nil || failed != nil || len(shown) != refuse+1 || !d.Password().Equal(shown[refuse]) {
			t.Errorf("%d refused: %d shown, and the one stored is not the last: %v", refuse, len(shown), failed)
		}
	}
}
