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
		{cause, Internal},
		{LoginRejected, LoginRejected},
		{fmt.Errorf("login: %w: %w", LoginRejected, cause), LoginRejected},
		{fmt.Errorf("outer: %w", fmt.Errorf("inner: %w: %w", TLSFailed, cause)), TLSFailed},
		{fmt.Errorf("query: %w", context.DeadlineExceeded), OutOfTime},
		{fmt.Errorf("dial: %w: %w", Unreachable, context.DeadlineExceeded), Unreachable},
		{&StepError{Kind: Conflict, Err: Conflict}, Conflict},
		{Attempts{{Err: LoginRejected}, {Err: LoginRejected}}, LoginRejected},
		{Attempts{{Err: LoginRejected}, {Err: fmt.Errorf("x: %w", Unreachable)}}, Unreachable},
	} {
		if got := KindOf(c.err); got != c.want {
			t.Errorf("KindOf(%v) = %q, want %q", c.err, got, c.want)
		}
	}
}

func TestAttemptsListsEveryCause(t *testing.T) {
	err := Attempts{
		{"AWSCURRENT", "app", fmt.Errorf("%w: code 1", LoginRejected)},
		{"AWSPENDING", "app", fmt.Errorf("%w: code 2", Unreachable)},
	}
	for _, want := range []string{"AWSCURRENT", "code 1", "AWSPENDING", "code 2", `"app"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v: does not say %q", err, want)
		}
	}
}
