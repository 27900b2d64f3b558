package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator/permissions"
)

// TestEveryPolicyIsPrinted, as JSON that can be pasted, and none for what is not there.
func TestEveryPolicyIsPrinted(t *testing.T) {
	small := permissions.Rotation{
		Secret: permissions.Secret{ARN: "arn:aws:secretsmanager:us-east-1:111122223333:secret:app-AbCdEf"},
		Role:   "arn:aws:iam::111122223333:role/rotate", Function: "arn:aws:lambda:us-east-1:111122223333:function:rotate",
	}
	large := small
	large.Secret.Key = "arn:aws:kms:us-east-1:111122223333:key/1"
	large.Superuser = permissions.Secret{ARN: strings.Replace(small.Secret.ARN, "app", "boss", 1), Key: large.Secret.Key}
	reader := permissions.Reader{Secret: large.Secret, Principal: "arn:aws:iam::111122223333:role/application"}
	for _, c := range []struct {
		sections []section
		want     int
	}{
		{sections(small, permissions.Reader{}, false, nil), 7},
		{sections(large, reader, true, []string{"eu-west-1"}), 13},
	} {
		if len(c.sections) != c.want {
			t.Errorf("%d policies, want %d", len(c.sections), c.want)
		}
		for _, s := range c.sections {
			var out strings.Builder
			s.print(&out)
			where, text, _ := strings.Cut(out.String(), "\n")
			if !strings.HasPrefix(where, "# ") || !json.Valid([]byte(text)) || strings.Contains(text, "null") {
				t.Errorf("%s: %s", where, text)
			}
		}
	}
	if missing := lacking(permissions.Rotation{Role: "arn:x"}); !slices.Equal(missing, []string{"secret", "function"}) {
		t.Error(missing)
	}
}
