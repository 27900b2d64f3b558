package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
	"github.com/quarterturn-dev/quarterturn/testutil/localaws"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// TestInvoke: what a person reads, for both handlers and both ends.
func TestInvoke(t *testing.T) {
	tier.Test(t)
	built, err := localaws.Build(t.Context(), t.TempDir(), "postgres-single-user", "postgres-alternating-users")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		function, event string
		env             []string
		fails           bool
		says            string
	}{
		{"postgres-single-user", "preflight-text", nil, false, "\npreflight of arn:"},
		{"postgres-alternating-users", "createSecret", nil, false, `"Status": "passed"`},
		{"postgres-single-user", "unknown-version", nil, true, `"errorType": "StepError"`},
		{"postgres-single-user", "createSecret", []string{"PASSWORD_LENGTH=5"}, true, "PASSWORD_LENGTH"},
	} {
		t.Run(c.function+" "+c.event, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			failed, err := invoke(t.Context(), built[c.function], c.function, filepath.Join("../../../sam/events",
				c.event+".json"), c.env, &out)
			if errors.Is(err, dbserver.ErrMissing) && !tier.Required(os.Getenv) {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			if failed != c.fails || !strings.Contains(out.String(), c.says) {
				t.Errorf("failed is %t, and %q is not in\n%s", failed, c.says, out.String())
			}
		})
	}
}

// TestNamesWhatThereIs: a name that is misspelt is answered by those that there are, before anything is compiled.
func TestNamesWhatThereIs(t *testing.T) {
	t.Chdir("../../..")
	for _, c := range []struct{ function, event, says string }{
		{"oracle", "preflight", `no function "oracle": database, fleet, mariadb-alternating-users, `},
		{"postgres-single-user", "preflihgt", `no event "preflihgt": cancelled-rotation, `},
	} {
		if _, err := run(t.Context(), c.function, c.event, nil, t.Output()); err == nil ||
			!strings.Contains(err.Error(), c.says) {
			t.Errorf("%s, %s: %v", c.function, c.event, err)
		}
	}
}
