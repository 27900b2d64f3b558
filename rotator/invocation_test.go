package rotator

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator/secret"
)

// TestNothingForgesALine: what others wrote is shown on one line, and as it is.
func TestNothingForgesALine(t *testing.T) {
	for text, want := range map[string]string{
		"":                                  "",
		"role \"müller\" 密码 🔑":              "role \"müller\" 密码 🔑",
		"user \"a\n{\"level\":\"INFO\"}\"":  `user "a\n{"level":"INFO"}"`,
		"\r\x00\x1b[2J\x7f\u0085":           `\r\x00\x1b[2J\x7f\u0085`,
		"a\u2028b\u202ec\u200bd\ufeffe\xff": `a\u2028b\u202ec\u200bd\ufeffe\xff`,
		"\ufffd 'quoted' \\n":               "\ufffd 'quoted' \\n",
	} {
		if got := escapeControl(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
		err := sanitizedError{errors.Join(KindConflict, errors.New(text))}
		if !errors.Is(err, KindConflict) || strings.ContainsAny(err.Error(), "\n\r\x00") {
			t.Errorf("%q as an error: %q", text, err)
		}
	}
}

// TestTheTimeThatAChangeTakes: exactly as much is enough.
func TestTheTimeThatAChangeTakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			set, left time.Duration
			enough    bool
		}{{0, 10 * time.Second, true}, {0, 10*time.Second - 1, false}, {time.Second, time.Second, true}, {time.Second, time.Second - 1, false}} {
			ctx, cancel := context.WithTimeout(t.Context(), c.left)
			v := invocation{Rotator: Rotator{MinApplyTime: c.set}}
			if err := v.checkTimeLeft(ctx); (err == nil) != c.enough || err != nil && !errors.Is(err, KindDeadline) {
				t.Errorf("%s left of %s: %v", c.left, c.set, err)
			}
			cancel()
		}
	})
}

// TestASuperusersSecretIsOnlyRead, so that what is printed where its key is denied gives no more than that needs.
func TestASuperusersSecretIsOnlyRead(t *testing.T) {
	var read readRefs
	r := (&invocation{Rotator: Rotator{Store: &read}}).newRotation(secret.Document{}, secret.Document{})
	_, err := r.ReadSecret(t.Context(), "boss")
	_, err2 := r.ReadPrevious(t.Context())
	if err != nil || err2 != nil || len(read.refs) != 2 || !read.refs[0].OnlyRead || read.refs[1].OnlyRead {
		t.Errorf("%v, %v: %+v", err, err2, read.refs)
	}
}

type readRefs struct {
	Store
	refs []VersionRef
}

func (r *readRefs) Value(_ context.Context, _ string, v VersionRef) (SecretValue, error) {
	r.refs = append(r.refs, v)
	return SecretValue{}, nil
}

// FuzzFit: whatever a secret and a text hold, what is shown is printable and is without
// the secret.
func FuzzFit(f *testing.F) {
	f.Add("canary\n\x00\u2028", "login with canary\n\x00\u2028 failed")
	f.Add(`a\nbc`, "a\nbc")
	f.Add("\xff\xfe\xfd\xfc", "\xff\xfe\xfd\xfc\xfb")
	f.Fuzz(func(t *testing.T, hidden, text string) {
		var v invocation
		v.scrub.Add(secret.NewPassword(hidden))
		for _, got := range []string{v.sanitize(text), v.sanitize(text + hidden),
			v.scrub.Error(sanitizedError{errors.New(hidden + text)}).Error()} {
			if strings.IndexFunc(got, func(r rune) bool { return !strconv.IsPrint(r) }) >= 0 {
				t.Errorf("not printable: %q", got)
			}
			if len(hidden) >= 4 && strings.Contains(got, hidden) {
				t.Errorf("%q is in %q", hidden, got)
			}
		}
	})
}
