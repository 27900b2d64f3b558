package rotator

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
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

// TestWhatHelps: each kind has a hint of its own, but for the two of which status knows more.
func TestWhatHelps(t *testing.T) {
	for kind, want := range map[Kind]string{
		KindMisconfigured: "correct what the error names", KindNotFound: "a secret without a value", KindAccessDenied: "allow the call",
		KindLoginRejected: "send the event status", KindConflict: "send the event status", KindUnreachable: "security groups",
		KindTLS: "certificate", KindPrivilege: "run the statement", KindNotEntitled: "provably belongs", KindPasswordPolicy: "password settings",
		KindReadOnly: "writer endpoint", KindTooManyConnections: "free a connection", KindThrottled: "wait:", KindDeadline: "timeout of the function",
		KindInternal: "report it", "another": "report it",
	} {
		if got := kindHint(kind); !strings.Contains(got, want) {
			t.Errorf("%s: %s; want %q in it", kind, got, want)
		}
	}
}

// TestNoHint: an error to which nothing is added stays what it is.
func TestNoHint(t *testing.T) {
	if err := WithHint(nil, "x"); err != nil {
		t.Errorf("from nothing: %v", err)
	}
	if err := WithHint(KindTLS, ""); err != KindTLS {
		t.Errorf("nothing added: %v", err)
	}
}

// TestWhatMayBeRotated: not what another service rotates, what is about to go, or what a replica repeats.
func TestWhatMayBeRotated(t *testing.T) {
	on, off := true, false
	labels := map[string][]string{"v1": {LabelCurrent, "mine"}, "v2": {LabelPending}, "v3": {LabelPrevious, "mine"}}
	for name, c := range map[string]struct {
		m       Metadata
		version string
		done    bool
		want    Kind
		says    string
	}{
		"pending":                   {Metadata{RotationEnabled: &on}, "v2", false, "", ""},
		"rotation was never set up": {Metadata{}, "v2", false, "", ""},
		"current":                   {Metadata{}, "v1", true, "", ""},
		"the primary of replicas":   {Metadata{Region: "a", PrimaryRegion: "a"}, "v2", false, "", ""},
		"rotation is disabled":      {Metadata{RotationEnabled: &off}, "v2", false, KindConflict, "rotation is disabled"},
		"no such version":           {Metadata{}, "v4", false, KindConflict, "no such version"},
		"not pending":               {Metadata{}, "v3", false, KindConflict, "it has the label AWSPREVIOUS, mine, not AWSPENDING"},
		"about to be deleted":       {Metadata{DeletionDate: time.Unix(1, 0)}, "v1", false, KindMisconfigured, "scheduled for deletion"},
		"managed by a service":      {Metadata{OwningService: "rds"}, "v1", false, KindMisconfigured, "managed by rds"},
		"managed by a partner":      {Metadata{Type: "Partner"}, "v1", false, KindMisconfigured, "type Partner"},
		"a replica":                 {Metadata{Region: "a", PrimaryRegion: "b"}, "v1", false, KindMisconfigured, "replica of the secret in b"},
	} {
		c.m.Labels = labels
		done, err := checkVersion(c.m, c.version)
		if done != c.done || KindOf(err) != c.want || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %t, %v", name, done, err)
		}
	}
}

// TestBoolSetting: what is neither true nor false is said, by the name of the setting.
func TestBoolSetting(t *testing.T) {
	for text, want := range map[string]bool{"": false, "true": true, "TRUE": true, "1": true, "false": false, "0": false} {
		if got, err := BoolSetting(func(string) (string, bool) { return text, true }, "X"); got != want || err != nil {
			t.Errorf("%q: %t, %v", text, got, err)
		}
	}
	if _, err := BoolSetting(func(string) (string, bool) { return "ture", true }, "X"); !errors.Is(err, KindMisconfigured) || !strings.Contains(err.Error(), "X is neither") {
		t.Error(err)
	}
}
