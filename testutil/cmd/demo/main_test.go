package main

import (
	"strings"
	"testing"
)

// TestStrategyNames: the functions' own names are taken too, and what is no name is told which there are.
func TestStrategyNames(t *testing.T) {
	t.Parallel()
	for name, says := range map[string]string{
		"single-user": "no engine", "single": "no engine", "alternating-users": "no engine", "dual-passwords": "no engine",
		"both": "no strategy",
	} {
		err := demo(t.Context(), "oracle", name, "", false, false)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
