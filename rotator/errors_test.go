package rotator

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestKindOf(t *testing.T) {
	cause := errors.New("cause")
	for _, c := range []struct {
		err  error
		want Kind
	}{
		{nil, ""},
		{cause, KindInternal},
		{KindLoginRejected, KindLoginRejected},
		{fmt.Errorf("login: %w: %w", KindLoginRejected, cause), KindLoginRejected},
		{fmt.Errorf("outer: %w", fmt.Errorf("inner: %w: %w", KindTLS, cause)), KindTLS},
		{fmt.Errorf("query: %w", context.DeadlineExceeded), KindDeadline},
		{fmt.Errorf("dial: %w: %w", KindUnreachable, context.DeadlineExceeded), KindUnreachable},
		{&StepError{Kind: KindConflict, Err: KindConflict}, KindConflict},
		{LoginAttempts{{Err: KindLoginRejected}, {Err: KindLoginRejected}}, KindLoginRejected},
		{LoginAttempts{{Err: KindLoginRejected}, {Err: fmt.Errorf("x: %w", KindUnreachable)}}, KindUnreachable},
	} {
		if got := KindOf(c.err); got != c.want {
			t.Errorf("KindOf(%v) = %q, want %q", c.err, got, c.want)
		}
	}
}

func TestAttemptsListsEveryCause(t *testing.T) {
	err := LoginAttempts{
		{"AWSCURRENT", "app", fmt.Errorf("%w: code 1", KindLoginRejected)},
		{"AWSPENDING", "app", fmt.Errorf("%w: code 2", KindUnreachable)},
	}
	for _, want := range []string{"AWSCURRENT", "code 1", "AWSPENDING", "code 2", `"app"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v: does not say %q", err, want)
		}
	}
}
